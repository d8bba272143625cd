//! `AwaitCompletion`.

use std::time::Duration;

use pipewright::drive::Clock as _;
use pipewright::error::FlowError;
use pipewright::feldera::data::CompletionToken;
use pipewright::feldera::flow::Interruption;
use pipewright::feldera::{AwaitCompletion, Feldera};
use pipewright_mock::Script;
use pipewright_tests::fake::{Fake, feldera};
use serde_json::{Value, json};

use super::{ASK, COMPLETE, STATUS, cause, recorded, stats};

fn await_completion(
    answer: impl FnMut(&str, &str) -> Option<(u16, String)>,
    goal: AwaitCompletion,
) -> (Result<Option<u64>, FlowError>, Duration) {
    let feldera = Feldera::new("http://feldera.test".parse().expect("a base"), Fake::new(answer));
    let start = feldera.runtime().now();
    let result = feldera.run(goal).map(|completed| completed.step);
    (result, feldera.runtime().now().since(start))
}

fn tok() -> AwaitCompletion {
    AwaitCompletion::new("p", CompletionToken::from("tok"))
}

#[test]
fn a_slow_step_is_waited_for() {
    let mut answers = ["slow_step_completion_0", "slow_step_completion_1", "slow_step_completion_4"].into_iter();
    let (result, took) = await_completion(|_, _| answers.next().map(feldera), tok());
    assert_eq!(result.expect("it is complete"), Some(2));
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn a_token_of_another_process_is_no_error_of_the_token() {
    for name in ["completion_status_after_restart_410", "completion_status_other_incarnation_410"] {
        let script = recorded(Script::new(), "GET", ASK, name);
        let flow = Feldera::new("http://feldera.test".parse().expect("a base"), script.clone()).run(tok());
        assert_eq!(cause(&flow.expect_err("restarted")), Some(&Interruption::Restarted));
        script.finish();
    }
    let (result, _) = await_completion(|_, _| Some(feldera("completion_status_garbage_token_400")), tok());
    assert!(matches!(result, Err(FlowError::Service(error)) if error.code() == Some("InvalidParam")));
}

#[test]
fn a_panic_is_told_by_the_process_and_later_by_the_pipeline() {
    let panic = json!({"message": "DBSP error: runtime error: One or more worker threads terminated unexpectedly\nworker",
        "error_code": "RuntimeError.WorkerPanic", "details": {"panic_info": []}});
    let (result, _) = await_completion(|_, _| Some((500, panic.to_string())), tok());
    let error = result.expect_err("dead");
    assert!(
        matches!(cause(&error), Some(Interruption::Crashed(error)) if error.error_code.as_str() == "RuntimeError.WorkerPanic")
    );
    assert!(error.to_string().ends_with("One or more worker threads terminated unexpectedly"), "{error}");

    let (_, stopped) = feldera("panic_completion_status_stopped");
    let object = |error: &Value| {
        json!({"name": "p", "deployment_status": "Stopped", "deployment_desired_status": "Stopped",
        "deployment_error": error})
    };
    for (left, expected) in [(panic, true), (Value::Null, false)] {
        let script = Script::new()
            .expect("GET", ASK)
            .reply_json(503, &stopped)
            .expect("GET", STATUS)
            .reply_json(200, object(&left));
        let result = Feldera::new("http://feldera.test".parse().expect("a base"), script.clone()).run(tok());
        match cause(&result.expect_err("stopped")) {
            Some(Interruption::Crashed(_)) => assert!(expected),
            other => assert_eq!((other, expected), (Some(&Interruption::Stopped), false)),
        }
        script.finish();
    }
}

#[test]
fn approval_is_somebody_elses() {
    let refusal = r#"{"message":"Operation failed because the pipeline is awaiting approval of its bootstrap.","error_code":"AwaitingApproval","details":null}"#;
    let (result, _) = await_completion(|_, _| Some((503, refusal.to_owned())), tok());
    assert_eq!(cause(&result.expect_err("waits")), Some(&Interruption::AwaitingApproval));
}

#[test]
fn a_wedged_circuit_is_seen_by_what_does_not_move() {
    let wedged = |metrics: &mut Value| {
        (metrics["total_initiated_steps"], metrics["total_completed_steps"]) = (json!(12), json!(11));
    };
    let answer = |name: &str, _: &str| match name {
        "get_pipeline_stats" => Some(stats(wedged)),
        _ => Some(feldera("wedged_completion_status")),
    };
    let (result, took) = await_completion(answer, tok());
    let outputs = Vec::new();
    assert_eq!(
        cause(&result.expect_err("stuck")),
        Some(&Interruption::Wedged { initiated: 12, completed: 11, outputs })
    );
    assert!((60..75).contains(&took.as_secs()), "{took:?}");
    let patient = tok().stalled_after(Duration::from_secs(600)).within(Duration::from_secs(300));
    let (result, took) = await_completion(answer, patient);
    assert!(matches!(result, Err(FlowError::Deadline { .. })));
    assert_eq!(took.as_secs(), 300);
}

#[test]
fn what_moves_is_not_wedged() {
    let mut records = 0;
    let answer = |name: &str, _: &str| match name {
        "get_pipeline_stats" => {
            records += 1;
            Some(stats(|metrics| {
                metrics["total_initiated_steps"] = json!(40);
                metrics["total_processed_records"] = json!(records);
            }))
        }
        _ if records >= 40 => Some((200, COMPLETE.to_owned())),
        _ => Some(feldera("slow_step_completion_0")),
    };
    assert_eq!(await_completion(answer, tok()).0.expect("it is slow"), Some(7));
}

#[test]
fn an_open_transaction_holds_back_for_as_long_as_it_likes() {
    let answer = |name: &str, _: &str| match name {
        "get_pipeline_stats" => Some(stats(|metrics| {
            metrics["total_initiated_steps"] = json!(40);
            metrics["transaction_status"] = json!("TransactionInProgress");
        })),
        _ => Some(feldera("completion_status_in_transaction")),
    };
    let (result, _) = await_completion(answer, tok().within(Duration::from_secs(1000)));
    assert!(matches!(result, Err(FlowError::Deadline { .. })), "{result:?}");
}

#[test]
fn a_paused_pipeline_in_which_nothing_moves_is_paused() {
    let answer = |name: &str, _: &str| match name {
        "get_pipeline_stats" => Some(feldera("paused_stats")),
        _ => Some((200, r#"{"status":"inprogress","step":null}"#.to_owned())),
    };
    let (result, took) = await_completion(answer, tok());
    assert_eq!(cause(&result.expect_err("paused")), Some(&Interruption::Paused));
    assert!(took < Duration::from_secs(15), "{took:?}");
    // What was forced in is processed all the same.
    let mut answers = ["paused_completion_status", "paused_completion_status_after_1s"].into_iter();
    assert_eq!(await_completion(|_, _| answers.next().map(feldera), tok()).0.expect("complete"), Some(3));
}
