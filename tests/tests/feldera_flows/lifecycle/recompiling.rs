//! Compiling again changes the SQL twice. Each change may fail, get lost or meet a change of another client.

use pipewright::error::FlowError;
use pipewright::feldera::{Compile, ErrorCode, Interruption};
use pipewright_mock::{Expectation, Script};
use serde_json::{Value, json};

use super::{Scripted as _, interruption, is, play, with};

const OBJECT: &str = "/v0/pipelines/p";
const SQL: &str = "CREATE TABLE t (x INT);";
const TOUCHED: &str = "CREATE TABLE t (x INT);\n";
const THEIRS: &str = "CREATE TABLE theirs (x INT);";

/// A pipeline whose program the platform failed to compile.
fn failed(version: i64, code: &str) -> Value {
    let pipeline = with(is("Stopped", "Stopped"), "program_status", "SystemError");
    let error = json!({ "sql_compilation": null, "rust_compilation": null, "system_error": "No space left on device" });
    with(with(with(pipeline, "program_error", error), "program_version", version), "program_code", code)
}

fn compiled(version: i64) -> Value {
    with(with(is("Stopped", "Stopped"), "program_version", version), "program_code", SQL)
}

/// The program has failed, and the line feed is about to be added.
fn before_touch() -> Script {
    Script::new().sees(failed(1, SQL)).sees_all(failed(1, SQL)).sees_all(failed(1, SQL))
}

/// The line feed was added, and the pipeline is looked at.
fn after_touch() -> Script {
    before_touch().puts(TOUCHED).reply_json(200, failed(2, TOUCHED))
}

trait Puts {
    /// The SQL is changed to this.
    fn puts(self, code: &str) -> Expectation;
}

impl Puts for Script {
    fn puts(self, code: &str) -> Expectation {
        self.expect("PATCH", OBJECT).json(json!({ "program_code": code }))
    }
}

fn rejection(code: &str) -> Value {
    json!({ "message": "not now", "error_code": code, "details": null })
}

fn recompile(script: &Script) -> Result<pipewright::feldera::pipelines::Pipeline, FlowError> {
    play(script, Compile::new("p").recompile(true))
}

/// The compiler's failure is the cause, and the text says what kept it from being compiled again.
#[track_caller]
fn keeps_the_failure(error: &FlowError) -> String {
    assert!(matches!(Interruption::of(error), Some(Interruption::CompilerFailed { .. })), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("No space left") && text.contains("not now"), "{text}");
    text
}

/// Older servers forbid any change while the storage is in use.
#[test]
fn a_rejected_change_keeps_the_compilers_failure() {
    let script = before_touch().puts(TOUCHED).reply_json(400, rejection("EditRestrictedToClearedStorage"));
    let text = keeps_the_failure(&recompile(&script).expect_err("not with storage in use"));
    assert!(!text.contains("line feed"), "{text}");
}

/// Another client has started the pipeline early, and what runs does not change.
#[test]
fn a_rejected_restoration_says_that_a_line_feed_is_left() {
    let script = after_touch().sees_all(failed(2, TOUCHED)).puts(SQL);
    let script = script.reply_json(400, rejection(ErrorCode::UpdateRestrictedToStopped.as_str()));
    let text = keeps_the_failure(&recompile(&script).expect_err("it runs"));
    assert!(text.contains("one line feed more"), "{text}");
}

#[test]
fn a_change_whose_answer_is_lost_is_taken_back() {
    let restored = |script: Script| {
        let script = script.sees_all(failed(2, TOUCHED)).puts(SQL).reply_json(200, failed(3, SQL));
        script.sees(compiled(3)).sees_all(compiled(3))
    };
    recompile(&restored(before_touch().puts(TOUCHED).reply_lost())).expect("compiled");
    // An answer that cannot be read says that the change was made.
    recompile(&restored(before_touch().puts(TOUCHED).reply_json(200, json!([])))).expect("compiled");
    // It had not arrived by the time of the poll, and may arrive later.
    let script = before_touch().puts(TOUCHED).reply_lost().sees_all(failed(1, SQL));
    let error = recompile(&script).expect_err("it may be changed later");
    assert!(error.is_ambiguous() && error.to_string().contains("may still get a line feed"), "{error}");
}

#[test]
fn a_restoration_whose_answer_is_lost_is_looked_for() {
    let lost = || after_touch().sees_all(failed(2, TOUCHED)).puts(SQL).reply_lost();
    let script = lost().sees_all(failed(3, SQL)).sees(compiled(3)).sees_all(compiled(3));
    recompile(&script).expect("compiled");
    let error = recompile(&lost().sees_all(failed(2, TOUCHED))).expect_err("it has not arrived");
    assert!(error.is_ambiguous() && error.to_string().contains("one line feed more"), "{error}");
    let result = recompile(&lost().sees_all(failed(4, THEIRS)));
    assert_eq!(interruption(result), Interruption::Edited { was: 2, is: 4 });
}

#[test]
fn another_clients_program_is_not_replaced_by_the_restoration() {
    let edited = Interruption::Edited { was: 2, is: 3 };
    assert_eq!(interruption(recompile(&after_touch().sees_all(failed(3, THEIRS)))), edited);
    // Nor if no answer told whether the line feed was added.
    let script = before_touch().puts(TOUCHED).reply_lost().sees_all(failed(3, THEIRS));
    assert_eq!(interruption(recompile(&script)), edited);
}

/// Feldera has no conditional change: the versions tell what was overwritten.
#[test]
fn a_program_that_was_overwritten_is_told() {
    let script = before_touch().puts(TOUCHED).reply_json(200, failed(3, TOUCHED));
    let mut errors = vec![recompile(&script).expect_err("version 2 is another client's")];
    let script = after_touch().sees_all(failed(2, TOUCHED)).puts(SQL).reply_json(200, failed(4, SQL));
    errors.push(recompile(&script).expect_err("version 3 is another client's"));
    for error in errors {
        assert!(matches!(Interruption::of(&error), Some(Interruption::Edited { .. })), "{error:?}");
        let FlowError::Failed(failure) = &error else { panic!("{error:?}") };
        assert!(failure.details.as_ref().is_some_and(|details| details.contains("overwritten")), "{failure:?}");
    }
}
