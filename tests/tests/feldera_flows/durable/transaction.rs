//! `Transaction`.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use pipewright::driver::{self, Clock as _, NoCredentials};
use pipewright::error::{Ambiguity, Delivery, FlowError, TransportError, TransportErrorKind};
use pipewright::feldera::{Feldera, Interruption, Transaction, TransactionEvent, TransactionRun, UnknownOutcome};
use pipewright::flow::{Flow as _, Goal, Notice, SavedState, Step};
use pipewright_mock::{START, Script};
use pipewright_tests::recorded::{Recorded, feldera};
use serde_json::{Value, json};

use super::{COMMIT, START as START_TRANSACTION, STATS, base, calm, looked, recorded, restarted, stats};

/// Statistics with a transaction: its id, how long it has been open, whether it is being committed.
fn in_transaction(id: i64, msecs: u64, status: &str) -> String {
    stats(|body| {
        let metrics = &mut body["global_metrics"];
        (metrics["transaction_id"], metrics["transaction_msecs"]) = (json!(id), json!(msecs));
        metrics["transaction_status"] = json!(status);
        metrics["transaction_initiators"] =
            json!({"transaction_id": id, "initiated_by_api": "Started", "initiated_by_connectors": {}});
    })
}

/// Open, for some time.
fn open() -> String {
    in_transaction(20, 900, "TransactionInProgress")
}

/// Of another process, in a transaction of the same id that was opened just now.
fn open_elsewhere() -> String {
    let (mut elsewhere, open): (Value, Value) =
        (restarted().parse().expect("JSON"), in_transaction(20, 0, "TransactionInProgress").parse().expect("JSON"));
    let metrics = &mut elsewhere["global_metrics"];
    for field in ["transaction_id", "transaction_msecs", "transaction_status", "transaction_initiators"] {
        metrics[field] = open["global_metrics"][field].clone();
    }
    elsewhere.to_string()
}

/// Until it is open.
fn started() -> Script {
    looked(recorded(calm(Script::new()), "POST", START_TRANSACTION, "transaction_start"), &open())
}

pub(super) struct Run {
    pub(super) transaction: TransactionRun,
    script: Script,
    pub(super) saved: Vec<SavedState>,
}

impl Run {
    pub(super) fn new(script: &Script, goal: Transaction) -> Self {
        let feldera = Feldera::new(base(), script.clone());
        let transaction = goal.start(feldera.config(), feldera.seed());
        Self { transaction, script: script.clone(), saved: Vec::new() }
    }

    pub(super) fn next(&mut self) -> Result<TransactionEvent, FlowError> {
        driver::run(&mut self.transaction, &self.script, &NoCredentials, |notice| {
            if let Notice::Persist(state) = notice {
                self.saved.push(state);
            }
        })
    }

    pub(super) fn resume(&self, script: &Script) -> Self {
        Self::new(script, Transaction::resume(self.saved.last().expect("saved")).expect("its own state"))
    }
}

pub(super) fn is(event: Result<TransactionEvent, FlowError>, expected: &str) {
    assert_eq!(event.map(|event| format!("{event:?}")).expect("no error"), expected);
}

pub(super) fn found(error: FlowError) -> String {
    match error {
        FlowError::Ambiguous(Ambiguity { found: Some(found), .. }) => found,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_transaction_is_started_and_committed() {
    let script = recorded(looked(started(), &open()), "POST", COMMIT, "transaction_commit_200");
    let script = looked(script, &in_transaction(20, 900, "CommitInProgress"));
    let script = calm(script);
    let mut run = Run::new(&script, Transaction::new("p"));
    is(run.next(), "Started { id: 20 }");
    is(run.next(), "Started { id: 20 }");
    run.transaction.commit();
    is(run.next(), "Committed { id: 20 }");
    run.next().expect_err("over");
    // Before the start, with the id, with the process that shows it, before the commit.
    assert_eq!(run.saved.len(), 4);
    script.finish();
}

/// Statistics may be behind: what they have never shown is not committed because they do not show it.
#[test]
fn a_transaction_that_was_never_seen_is_committed_all_the_same() {
    let script = calm(calm(recorded(calm(Script::new()), "POST", START_TRANSACTION, "transaction_start")));
    let script = calm(recorded(script, "POST", COMMIT, "transaction_commit_200"));
    let mut run = Run::new(&script, Transaction::new("p"));
    is(run.next(), "Started { id: 20 }");
    run.transaction.commit();
    is(run.next(), "Committed { id: 20 }");
    script.finish();
}

/// A start that was answered is known, whatever the poll behind it returns.
#[test]
fn the_id_of_a_start_that_was_answered_is_not_lost() {
    let script = recorded(calm(Script::new()), "POST", START_TRANSACTION, "transaction_start");
    let script =
        script.expect("GET", STATS).reply_json(401, r#"{"message":"m","error_code":"Unauthorized","details":null}"#);
    let mut run = Run::new(&script, Transaction::new("p"));
    run.next().expect_err("no poll is allowed");
    assert_eq!(run.transaction.id(), Some(20));
    let again = looked(Script::new(), &open());
    is(run.resume(&again).next(), "Started { id: 20 }");
    script.finish();
}

#[test]
fn another_ones_transaction_is_in_the_way() {
    let script = looked(Script::new(), &in_transaction(19, 5000, "TransactionInProgress"));
    let script = recorded(script, "POST", START_TRANSACTION, "transaction_start_twice_409");
    let error = Run::new(&script, Transaction::new("p")).next().expect_err("refused");
    assert_eq!(error.service().and_then(|error| error.code()), Some("TransactionInProgress"));
    script.finish();
}

/// What is open after a lost answer may be ours or another client's.
#[test]
fn a_lost_start_is_looked_for() {
    let lost = || calm(Script::new()).expect("POST", START_TRANSACTION).reply_lost();
    let ours = in_transaction(20, 0, "TransactionInProgress");

    let script = looked(lost(), &ours);
    let error = Run::new(&script, Transaction::new("p")).next().expect_err("unknown outcome");
    assert!(found(error).starts_with("transaction 20 has been open for 0ns"));
    script.finish();

    let script = looked(lost(), &ours);
    is(Run::new(&script, Transaction::new("p").take_over()).next(), "Started { id: 20 }");
    script.finish();

    // Opened before this start was requested: known not to be ours, with or without `take_over`.
    let script = looked(lost(), &in_transaction(20, 60_000, "TransactionInProgress"));
    let error = Run::new(&script, Transaction::new("p").take_over()).next().expect_err("not ours");
    assert!(matches!(error, FlowError::Failed(_)), "{error:?}");
    script.finish();

    let script = looked(Script::new(), &ours).expect("POST", START_TRANSACTION).reply_lost();
    let script = looked(script, &ours);
    let error = Run::new(&script, Transaction::new("p").take_over()).next().expect_err("not ours");
    assert!(matches!(error, FlowError::Failed(_)), "{error:?}");
    script.finish();

    // A connector's.
    let connectors = stats(|body| {
        let metrics = &mut body["global_metrics"];
        (metrics["transaction_id"], metrics["transaction_status"]) = (json!(20), json!("TransactionInProgress"));
        metrics["transaction_initiators"] = json!({"transaction_id": 20, "initiated_by_api": null,
            "initiated_by_connectors": {"t.c": {"phase": "Started"}}});
    });
    let script = looked(lost(), &connectors);
    let error = Run::new(&script, Transaction::new("p").take_over()).next().expect_err("not ours");
    assert!(error.is_ambiguous());
    script.finish();
}

/// Statistics that were long on their way may show a transaction that was opened before ours: it is not taken over.
#[test]
fn a_slow_look_takes_nothing_over() {
    let feldera = Feldera::new(base(), Script::new());
    let mut transaction = Transaction::new("p").take_over().start(feldera.config(), feldera.seed());
    let (mut now, mut reply, mut looks) = (START, None, 0);
    let event = loop {
        match transaction.poll(now, reply.take()) {
            Step::Send(exchange) => {
                let lost = || TransportError::new(TransportErrorKind::Closed, Delivery::Unknown, "lost");
                let answer = |body: String| Ok(Response::new(Bytes::from(body)));
                let result = match (exchange.info().name, looks) {
                    ("start_transaction", _) => Err(lost()),
                    (_, 0) => answer(stats(|_| {})),
                    // Opened two seconds before ours, and three seconds on its way.
                    (_, 1) => {
                        now = now + Duration::from_secs(3);
                        answer(in_transaction(20, 2000, "TransactionInProgress"))
                    }
                    _ => answer(in_transaction(20, 7000, "TransactionInProgress")),
                };
                looks += u32::from(exchange.info().name == "get_pipeline_stats");
                reply = Some(exchange.settle(result));
            }
            Step::WaitUntil(at) => now = at,
            Step::Notice(_) => {}
            Step::Done(result) => break result,
            other => panic!("{other:?}"),
        }
    };
    let error = event.expect_err("not ours");
    assert!(matches!(&error, FlowError::Failed(failure) if failure.reason.contains("before this start")), "{error:?}");
}

/// A process that does not name itself is known by when it started.
#[test]
fn a_restart_shows_in_the_start_time() {
    let at = |second: u64| {
        stats(|body| {
            let metrics = &mut body["global_metrics"];
            (metrics["incarnation_uuid"], metrics["start_time"]) = (json!(null), json!(second));
        })
    };
    let script = recorded(looked(Script::new(), &at(1)), "POST", START_TRANSACTION, "transaction_start");
    let script = looked(looked(script, &at(1)), &at(2));
    let mut run = Run::new(&script, Transaction::new("p"));
    is(run.next(), "Started { id: 20 }");
    run.transaction.commit();
    let error = run.next().expect_err("its process is gone, and it with it");
    assert_eq!(Interruption::of(&error), Some(&Interruption::Restarted));
    // The other process may have another client's transaction: nothing was committed.
    assert!(!error.is_ambiguous());
    script.finish();
}

/// Between the poll before and the start, the pipeline was restarted.
#[test]
fn a_start_is_in_the_process_that_shows_it() {
    let script = recorded(calm(Script::new()), "POST", START_TRANSACTION, "transaction_start");
    let script = looked(looked(script, &open_elsewhere()), &open_elsewhere());
    let script = looked(recorded(script, "POST", COMMIT, "transaction_commit_200"), &restarted());
    let mut run = Run::new(&script, Transaction::new("p"));
    is(run.next(), "Started { id: 20 }");
    run.transaction.commit();
    is(run.next(), "Committed { id: 20 }");
    script.finish();

    // It was gone with its process when it was asked for.
    let script = recorded(calm(Script::new()), "POST", START_TRANSACTION, "transaction_start");
    let script = looked(script, &restarted());
    let error = Run::new(&script, Transaction::new("p")).next().expect_err("gone");
    assert_eq!(Interruption::of(&error), Some(&Interruption::Restarted));
    script.finish();
}

#[test]
fn a_process_that_ends_after_the_commit_may_have_committed() {
    let script = recorded(looked(started(), &open()), "POST", COMMIT, "transaction_commit_200");
    for (script, unanswered) in [
        (looked(script, &restarted()), false),
        (looked(looked(started(), &open()).expect("POST", COMMIT).reply_lost(), &restarted()), true),
    ] {
        let mut run = Run::new(&script, Transaction::new("p"));
        is(run.next(), "Started { id: 20 }");
        run.transaction.commit();
        let error = run.next().expect_err("unknown outcome");
        assert_eq!(Interruption::of(&error), Some(&Interruption::Restarted));
        assert_eq!(UnknownOutcome::of(&error), Some(&UnknownOutcome::Transaction { id: 20 }));
        assert!(matches!(error, FlowError::Ambiguous(ambiguity) if ambiguity.unanswered == unanswered));
        script.finish();
    }
}

#[test]
fn a_lost_start_that_shows_nothing_may_still_arrive() {
    let mut script = calm(Script::new()).expect("POST", START_TRANSACTION).reply_lost();
    for _ in 0..11 {
        script = calm(script);
    }
    let error = Run::new(&script, Transaction::new("p").take_over()).next().expect_err("unknown outcome");
    assert_eq!(found(error), "no transaction is open");
    script.finish();
}

/// It may have met either of them, and ids say nothing without their process.
#[test]
fn a_lost_start_may_have_met_another_process() {
    let lost = || looked(Script::new(), &open()).expect("POST", START_TRANSACTION).reply_lost();
    let script = looked(lost(), &open_elsewhere());
    let error = Run::new(&script, Transaction::new("p")).next().expect_err("unknown outcome");
    assert!(found(error).starts_with("transaction 20 has been open for 0ns"));
    script.finish();

    let mut script = lost();
    for _ in 0..11 {
        script = looked(script, &restarted());
    }
    let error = Run::new(&script, Transaction::new("p")).next().expect_err("unknown outcome");
    assert_eq!(found(error), "no transaction is open");
    script.finish();
}

#[test]
fn a_lost_commit_is_looked_for() {
    let start = || looked(started(), &open());
    let lost = || start().expect("POST", COMMIT).reply_lost();

    // It was carried out, or another client has committed.
    for script in [calm(lost()), calm(recorded(start(), "POST", COMMIT, "transaction_commit_without_start_400"))] {
        let mut run = Run::new(&script, Transaction::new("p"));
        is(run.next(), "Started { id: 20 }");
        run.transaction.commit();
        is(run.next(), "Committed { id: 20 }");
        script.finish();
    }

    let mut script = lost();
    for _ in 0..11 {
        script = looked(script, &open());
    }
    let mut run = Run::new(&script, Transaction::new("p"));
    is(run.next(), "Started { id: 20 }");
    run.transaction.commit();
    assert_eq!(
        found(run.next().expect_err("unknown outcome")),
        "transaction 20 is still open, and not being committed"
    );
    script.finish();

    // Resumed, it is looked at as long, and then committed.
    let mut script = Script::new();
    for _ in 0..11 {
        script = looked(script, &open());
    }
    let script = calm(recorded(script, "POST", COMMIT, "transaction_commit_200"));
    is(run.resume(&script).next(), "Committed { id: 20 }");
    script.finish();
}

#[test]
fn a_resumed_transaction_is_open_or_gone() {
    let script = started();
    let mut run = Run::new(&script, Transaction::new("p"));
    is(run.next(), "Started { id: 20 }");
    script.finish();

    let script = looked(Script::new(), &open());
    is(run.resume(&script).next(), "Started { id: 20 }");
    script.finish();
    // Another client has committed it.
    let script = looked(Script::new(), &in_transaction(21, 900, "TransactionInProgress"));
    is(run.resume(&script).next(), "Committed { id: 20 }");
    script.finish();
    let script = looked(Script::new(), &restarted());
    let error = run.resume(&script).next().expect_err("gone");
    assert_eq!(Interruption::of(&error), Some(&Interruption::Restarted));
    script.finish();
    // Saved before the start, which may have been sent.
    let script = looked(Script::new(), &in_transaction(20, 0, "TransactionInProgress"));
    let early = Transaction::resume(&run.saved[0]).expect("its own state");
    assert!(Run::new(&script, early.clone()).next().expect_err("unknown outcome").is_ambiguous());
    script.finish();
    let script = looked(Script::new(), &in_transaction(20, 0, "TransactionInProgress"));
    is(Run::new(&script, early.take_over()).next(), "Started { id: 20 }");
    script.finish();
}

#[test]
fn a_commit_that_makes_no_progress_is_wedged() {
    let answer = |name: &str, _: &str| {
        Some(match name {
            "start_transaction" => feldera("transaction_start"),
            "commit_transaction" => feldera("transaction_commit_200"),
            _ => (200, in_transaction(20, 900, "CommitInProgress")),
        })
    };
    let feldera = Feldera::new(base(), Recorded::new(answer));
    let mut transaction = Transaction::new("p").start(feldera.config(), feldera.seed());
    driver::run(&mut transaction, feldera.runtime(), &NoCredentials, driver::ignore_notices).expect("started");
    transaction.commit();
    let start = feldera.runtime().now();
    let error =
        driver::run(&mut transaction, feldera.runtime(), &NoCredentials, driver::ignore_notices).expect_err("stuck");
    assert!(matches!(Interruption::of(&error), Some(Interruption::Wedged { .. })));
    assert!((60..70).contains(&feldera.runtime().now().since(start).as_secs()));
}
