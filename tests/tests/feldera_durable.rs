//! Transactions, checkpoints and connectors, case by case, with what a real Feldera answered.

use std::time::Duration;

use pipewright::drive::{self, Clock as _, NoCredentials};
use pipewright::error::{Ambiguity, FlowError};
use pipewright::feldera::flow::{Checkpointed, FinishedConnector, Interruption, TransactionEvent, TransactionRun};
use pipewright::feldera::{AwaitConnectorsFinished, Checkpoint, Feldera, FelderaApi, SyncCheckpoint, Transaction};
use pipewright::flow::{Goal, Notice, Saved};
use pipewright_mock::Script;
use pipewright_tests::fake::{Fake, feldera};
use serde_json::{Value, json};

const STATS: &str = "/v0/pipelines/p/stats";
const START: &str = "/v0/pipelines/p/start_transaction";
const COMMIT: &str = "/v0/pipelines/p/commit_transaction";
const CHECKPOINT: &str = "/v0/pipelines/p/checkpoint";

fn base() -> pipewright::Base {
    "http://feldera.test".parse().expect("a base")
}

fn recorded(script: Script, method: &str, target: &str, name: &str) -> Script {
    let (status, body) = feldera(name);
    script.expect(method, target).reply_json(status, body)
}

/// Statistics as recorded, changed.
fn stats(change: impl FnOnce(&mut Value)) -> String {
    let mut body: Value = serde_json::from_str(&feldera("stats_after_transaction").1).expect("JSON");
    change(&mut body);
    body.to_string()
}

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

fn restarted() -> String {
    stats(|body| body["global_metrics"]["incarnation_uuid"] = json!("another"))
}

fn looked(script: Script, body: &str) -> Script {
    script.expect("GET", STATS).reply_json(200, body)
}

fn calm(script: Script) -> Script {
    recorded(script, "GET", STATS, "stats_after_transaction")
}

struct Run {
    transaction: TransactionRun,
    script: Script,
    saved: Vec<Saved>,
}

impl Run {
    fn new(script: &Script, goal: Transaction) -> Self {
        let feldera = Feldera::new(base(), script.clone());
        let transaction = goal.start(feldera.config(), feldera.seed());
        Self { transaction, script: script.clone(), saved: Vec::new() }
    }

    fn next(&mut self) -> Result<TransactionEvent, FlowError> {
        drive::run(&mut self.transaction, &self.script, &NoCredentials, |notice| {
            if let Notice::Save(state) = notice {
                self.saved.push(state);
            }
        })
    }

    fn resume(&self, script: &Script) -> Self {
        Self::new(script, Transaction::resume(self.saved.last().expect("saved")).expect("its own state"))
    }
}

fn is(event: Result<TransactionEvent, FlowError>, expected: &str) {
    assert_eq!(event.map(|event| format!("{event:?}")).expect("no error"), expected);
}

fn found(error: FlowError) -> String {
    match error {
        FlowError::Ambiguous(Ambiguity { found: Some(found), .. }) => found,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_transaction_is_started_and_committed() {
    let script = recorded(calm(Script::new()), "POST", START, "transaction_start");
    let script = recorded(script, "POST", COMMIT, "transaction_commit_200");
    let script = looked(script, &in_transaction(20, 900, "CommitInProgress"));
    let script = calm(script);
    let mut run = Run::new(&script, Transaction::new("p"));
    is(run.next(), "Started { id: 20 }");
    is(run.next(), "Started { id: 20 }");
    run.transaction.commit();
    is(run.next(), "Committed { id: 20 }");
    run.next().expect_err("over");
    // Before the start, with the id, before the commit.
    assert_eq!(run.saved.len(), 3);
    script.finish();
}

#[test]
fn another_ones_transaction_is_in_the_way() {
    let script = looked(Script::new(), &in_transaction(19, 5000, "TransactionInProgress"));
    let script = recorded(script, "POST", START, "transaction_start_twice_409");
    let error = Run::new(&script, Transaction::new("p")).next().expect_err("refused");
    assert_eq!(error.service().and_then(|error| error.code()), Some("TransactionInProgress"));
    script.finish();
}

/// What is open after a lost answer may be ours or another client's.
#[test]
fn a_lost_start_is_looked_for() {
    let lost = || calm(Script::new()).expect("POST", START).reply_lost();
    let ours = in_transaction(20, 0, "TransactionInProgress");

    let script = looked(lost(), &ours);
    let error = Run::new(&script, Transaction::new("p")).next().expect_err("nobody can tell");
    assert!(found(error).starts_with("transaction 20 has been open for 0ns"));
    script.finish();

    let script = looked(lost(), &ours);
    is(Run::new(&script, Transaction::new("p").take_over()).next(), "Started { id: 20 }");
    script.finish();

    // Opened before this one was asked for: known not to be ours, whoever may take over what.
    let script = looked(lost(), &in_transaction(20, 60_000, "TransactionInProgress"));
    let error = Run::new(&script, Transaction::new("p").take_over()).next().expect_err("not ours");
    assert!(matches!(error, FlowError::Failed(_)), "{error:?}");
    script.finish();

    let script = looked(Script::new(), &ours).expect("POST", START).reply_lost();
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

#[test]
fn a_lost_start_that_shows_nothing_may_still_arrive() {
    let mut script = calm(Script::new()).expect("POST", START).reply_lost();
    for _ in 0..11 {
        script = calm(script);
    }
    let error = Run::new(&script, Transaction::new("p").take_over()).next().expect_err("nobody can tell");
    assert_eq!(found(error), "no transaction is open");
    script.finish();
}

/// A transaction ends with its process, so that it can be started anew.
#[test]
fn a_lost_start_of_another_process_is_started_again() {
    let script = calm(Script::new()).expect("POST", START).reply_lost();
    let script = recorded(looked(script, &restarted()), "POST", START, "transaction_start");
    let mut run = Run::new(&script, Transaction::new("p"));
    is(run.next(), "Started { id: 20 }");
    script.finish();
}

#[test]
fn a_lost_commit_is_looked_for() {
    let start = || recorded(calm(Script::new()), "POST", START, "transaction_start");
    let lost = || start().expect("POST", COMMIT).reply_lost();
    let open = in_transaction(20, 900, "TransactionInProgress");

    // It was carried out, or somebody else has committed.
    for script in [calm(lost()), calm(recorded(start(), "POST", COMMIT, "transaction_commit_without_start_400"))] {
        let mut run = Run::new(&script, Transaction::new("p"));
        is(run.next(), "Started { id: 20 }");
        run.transaction.commit();
        is(run.next(), "Committed { id: 20 }");
        script.finish();
    }

    let mut script = lost();
    for _ in 0..11 {
        script = looked(script, &open);
    }
    let mut run = Run::new(&script, Transaction::new("p"));
    is(run.next(), "Started { id: 20 }");
    run.transaction.commit();
    assert_eq!(
        found(run.next().expect_err("nobody can tell")),
        "transaction 20 is still open, and not being committed"
    );
    script.finish();

    // Resumed, it is looked at as long, and then committed.
    let mut script = Script::new();
    for _ in 0..11 {
        script = looked(script, &open);
    }
    let script = calm(recorded(script, "POST", COMMIT, "transaction_commit_200"));
    is(run.resume(&script).next(), "Committed { id: 20 }");
    script.finish();
}

#[test]
fn a_resumed_transaction_is_open_or_gone() {
    let script = recorded(calm(Script::new()), "POST", START, "transaction_start");
    let mut run = Run::new(&script, Transaction::new("p"));
    is(run.next(), "Started { id: 20 }");
    script.finish();

    let script = looked(Script::new(), &in_transaction(20, 900, "TransactionInProgress"));
    is(run.resume(&script).next(), "Started { id: 20 }");
    script.finish();
    // Somebody has committed it.
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
    assert!(Run::new(&script, early.clone()).next().expect_err("nobody can tell").is_ambiguous());
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
    let feldera = Feldera::new(base(), Fake::new(answer));
    let mut transaction = Transaction::new("p").start(feldera.config(), feldera.seed());
    drive::run(&mut transaction, feldera.runtime(), &NoCredentials, drop).expect("started");
    transaction.commit();
    let start = feldera.runtime().now();
    let error = drive::run(&mut transaction, feldera.runtime(), &NoCredentials, drop).expect_err("stuck");
    assert!(matches!(Interruption::of(&error), Some(Interruption::Wedged { .. })));
    assert!((60..70).contains(&feldera.runtime().now().since(start).as_secs()));
}

fn run<G: Goal<Service = FelderaApi>>(script: &Script, goal: G) -> (Result<G::Output, FlowError>, Vec<Saved>) {
    let mut saved = Vec::new();
    let result = Feldera::new(base(), script.clone()).run_with(goal, |notice| {
        if let Notice::Save(state) = notice {
            saved.push(state);
        }
    });
    (result, saved)
}

/// A checkpoint that was asked for: number 7 of the derived recordings' process.
fn asked() -> Script {
    recorded(calm(Script::new()), "POST", CHECKPOINT, "checkpoint_post")
}

const CHECKPOINT_STATUS: &str =
    "/v0/pipelines/p/checkpoint_status?incarnation_uuid=01990000-0000-7000-8000-00000000000a";

fn outcome(name: &str) -> Result<Checkpointed, FlowError> {
    let script = recorded(asked(), "GET", CHECKPOINT_STATUS, "checkpoint_status_running");
    let script = recorded(script, "GET", CHECKPOINT_STATUS, name);
    let (result, saved) = run(&script, Checkpoint::new("p"));
    assert_eq!(saved.len(), 2);
    script.finish();
    let script = recorded(Script::new(), "GET", CHECKPOINT_STATUS, name);
    let (again, _) = run(&script, Checkpoint::resume(&saved[1]).expect("its own state"));
    assert_eq!(again.is_ok(), result.is_ok());
    script.finish();
    result
}

#[test]
fn a_checkpoint_is_judged_by_its_number() {
    let made = outcome("checkpoint_status_success").expect("made");
    assert_eq!((made.number, made.newest), (7, 7));
    assert_eq!(outcome("checkpoint_status_superseded").expect("made").newest, 9);
    assert!(outcome("checkpoint_status_failed").expect_err("failed").to_string().contains("I/O error"));
    let hidden = outcome("checkpoint_status_failure_hidden_by_later_failure").expect_err("failed").to_string();
    assert!(hidden.contains("a later one, 8, hides"), "{hidden}");
    let lost = outcome("checkpoint_status_wrong_incarnation_400").expect_err("another process");
    assert!(lost.is_ambiguous());
    assert_eq!(Interruption::of(&lost), Some(&Interruption::Restarted));
}

#[test]
fn the_open_source_edition_has_no_checkpoints() {
    let script = recorded(calm(Script::new()), "POST", CHECKPOINT, "checkpoint_while_running_oss_501");
    let error = run(&script, Checkpoint::new("p")).0.expect_err("refused");
    assert!(matches!(&error, FlowError::Service(error) if error.code() == Some("EnterpriseFeature")));
    assert!(error.to_string().contains("enterprise-only feature"), "{error}");
    script.finish();
}

/// Another checkpoint does as well as one whose answer was lost.
#[test]
fn a_lost_request_for_a_checkpoint_is_sent_again() {
    let script = calm(Script::new()).expect("POST", CHECKPOINT).reply_lost();
    let script = recorded(calm(script), "POST", CHECKPOINT, "checkpoint_post");
    let script = recorded(script, "GET", CHECKPOINT_STATUS, "checkpoint_status_success");
    assert_eq!(run(&script, Checkpoint::new("p")).0.expect("made").number, 7);
    script.finish();
}

/// Servers before 0.337 do not say which process counts, and old numbers look as if they were running, or done.
#[test]
fn an_old_servers_restart_shows_in_its_statistics() {
    let mut polls = 0;
    let mut answer = |restarts: bool, name: &str| {
        Some(match name {
            "checkpoint_pipeline" => feldera("checkpoint_post_old_server"),
            "get_checkpoint_status" => {
                polls += 1;
                feldera("checkpoint_status_idle")
            }
            _ if restarts && polls > 3 => (200, restarted()),
            _ => (
                200,
                stats(|body| body["checkpoint_activity"] = json!({"status": "in_progress", "started_at": "2026"})),
            ),
        })
    };
    let fake = Feldera::new(base(), Fake::new(|name: &str, _: &str| answer(true, name)));
    let error = fake.run(Checkpoint::new("p")).expect_err("another process");
    assert_eq!(Interruption::of(&error), Some(&Interruption::Restarted));
    let patient = Feldera::new(base(), Fake::new(|name: &str, _: &str| answer(false, name)));
    let error = patient.run(Checkpoint::new("p").within(Duration::from_secs(500))).expect_err("still at work");
    assert!(matches!(error, FlowError::Deadline { .. }));
}

/// A process that has nothing to do, and has not said what became of the checkpoint, never will.
#[test]
fn an_idle_process_has_no_more_to_say() {
    let answer = |name: &str, _: &str| {
        Some(match name {
            "checkpoint_pipeline" => feldera("checkpoint_post"),
            "get_checkpoint_status" => feldera("checkpoint_status_running"),
            _ => (
                200,
                stats(|body| {
                    body["global_metrics"]["incarnation_uuid"] = json!("01990000-0000-7000-8000-00000000000a");
                }),
            ),
        })
    };
    let feldera = Feldera::new(base(), Fake::new(answer));
    let error = feldera.run(Checkpoint::new("p")).expect_err("no word");
    assert!(matches!(&error, FlowError::Failed(failure) if failure.reason.contains("nothing to do")), "{error:?}");
}

const SYNC: &str = "/v0/pipelines/p/checkpoint/sync";
const SYNC_BEFORE: &str = "/v0/pipelines/p/checkpoint/sync_status";
const SYNC_STATUS: &str =
    "/v0/pipelines/p/checkpoint/sync_status?incarnation_uuid=01990000-0000-7000-8000-00000000000a";
const REMOTE: &str = "/v0/pipelines/p/checkpoints/remote";

fn sent() -> Script {
    recorded(
        recorded(Script::new(), "GET", SYNC_BEFORE, "checkpoint_sync_status"),
        "POST",
        SYNC,
        "checkpoint_sync_post",
    )
}

#[test]
fn a_checkpoint_is_sent_and_known_by_its_id() {
    let script = recorded(sent(), "GET", SYNC_STATUS, "checkpoint_sync_status_running");
    let script = recorded(script, "GET", SYNC_STATUS, "checkpoint_sync_status_success");
    let (result, saved) = run(&script, SyncCheckpoint::new("p"));
    assert_eq!(result.expect("there").checkpoint, "01990000-0000-7000-8000-00000000000b");
    script.finish();
    let script = recorded(Script::new(), "GET", SYNC_STATUS, "checkpoint_sync_status_success");
    run(&script, SyncCheckpoint::resume(&saved[1]).expect("its own state")).0.expect("there");
    script.finish();

    let script = recorded(sent(), "GET", SYNC_STATUS, "checkpoint_sync_status_failure");
    let error = run(&script, SyncCheckpoint::new("p")).0.expect_err("failed");
    assert!(error.to_string().ends_with("push failed"), "{error}");
    script.finish();
}

/// The failure of an earlier attempt with the same checkpoint says nothing about this one, for a while.
#[test]
fn an_old_failure_is_not_believed_at_once() {
    let script = recorded(Script::new(), "GET", SYNC_BEFORE, "checkpoint_sync_status_failure");
    let script = recorded(script, "POST", SYNC, "checkpoint_sync_post");
    let script = recorded(script, "GET", SYNC_STATUS, "checkpoint_sync_status_failure");
    let script = recorded(script, "GET", SYNC_STATUS, "checkpoint_sync_status_success");
    run(&script, SyncCheckpoint::new("p")).0.expect("there");
    script.finish();

    let answer = |name: &str, _: &str| {
        Some(feldera(if name == "sync_checkpoint" { "checkpoint_sync_post" } else { "checkpoint_sync_status_failure" }))
    };
    let feldera = Feldera::new(base(), Fake::new(answer));
    let start = feldera.runtime().now();
    feldera.run(SyncCheckpoint::new("p")).expect_err("failed again");
    assert!((60..70).contains(&feldera.runtime().now().since(start).as_secs()));
}

#[test]
fn after_a_restart_the_store_tells() {
    let script = recorded(sent(), "GET", SYNC_STATUS, "checkpoint_status_wrong_incarnation_400");
    let script = recorded(script, "GET", REMOTE, "checkpoints_remote");
    run(&script, SyncCheckpoint::new("p")).0.expect("there");
    script.finish();

    let script = recorded(sent(), "GET", SYNC_STATUS, "checkpoint_status_wrong_incarnation_400");
    let script = script.expect("GET", REMOTE).reply_json(200, "[]");
    let error = run(&script, SyncCheckpoint::new("p")).0.expect_err("nobody can tell");
    assert!(error.is_ambiguous());
    assert_eq!(Interruption::of(&error), Some(&Interruption::Restarted));
    script.finish();
}

#[test]
fn there_has_to_be_a_checkpoint_to_send() {
    let none = r#"{"message":"no checkpoints found; make a POST request to `/checkpoint` to make a new checkpoint","error_code":"400","details":null}"#;
    let script = recorded(Script::new(), "GET", SYNC_BEFORE, "checkpoint_sync_status");
    let script = script.expect("POST", SYNC).reply_json(400, none);
    let error = run(&script, SyncCheckpoint::new("p")).0.expect_err("none");
    assert!(error.to_string().contains("no checkpoints found"), "{error}");
    script.finish();
}

/// The recorded statistics have one connector, `t.gen1`, at its end, and many ways of ingress.
fn connector(change: impl FnOnce(&mut Value)) -> String {
    stats(|body| {
        let inputs = body["inputs"].as_array_mut().expect("a list");
        let gen1 = inputs.iter_mut().find(|input| input["endpoint_name"] == "t.gen1").expect("the connector");
        change(gen1);
    })
}

fn finished(script: Script) -> Script {
    let script = calm(script)
        .expect("GET", "/v0/pipelines/p/tables/t/connectors/gen1/completion_token")
        .reply_json(200, r#"{"token":"tok"}"#)
        .expect("GET", "/v0/pipelines/p/completion_status?token=tok")
        .reply_json(200, r#"{"status":"complete","step":7}"#);
    calm(script)
}

fn summary(connectors: &[FinishedConnector]) -> Vec<(&str, u64)> {
    connectors.iter().map(|connector| (&*connector.name, connector.records)).collect()
}

#[test]
fn connectors_are_waited_for_and_ways_of_ingress_are_not() {
    let script = looked(Script::new(), &connector(|gen1| gen1["metrics"]["end_of_input"] = json!(false)));
    let script = finished(script);
    let (result, _) = run(&script, AwaitConnectorsFinished::all("p"));
    assert_eq!(summary(&result.expect("finished")), [("t.gen1", 5)]);
    script.finish();
    let script = finished(Script::new());
    run(&script, AwaitConnectorsFinished::named("p", ["t.gen1"])).0.expect("finished");
    script.finish();
}

#[test]
fn a_connector_that_failed_is_named() {
    let script = looked(Script::new(), &connector(|gen1| gen1["fatal_error"] = json!("no such bucket")));
    let error = run(&script, AwaitConnectorsFinished::all("p")).0.expect_err("failed");
    let (connector, why) = ("t.gen1".to_owned(), "no such bucket".to_owned());
    assert_eq!(Interruption::of(&error), Some(&Interruption::ConnectorFailed { connector, error: why }));
    script.finish();

    let script = calm(Script::new());
    let error = run(&script, AwaitConnectorsFinished::named("p", ["t.gen2"])).0.expect_err("none");
    assert!(error.to_string().ends_with("there is no input connector t.gen2; there are: t.gen1"), "{error}");
    script.finish();
}

#[test]
fn a_paused_pipelines_connectors_do_not_come_to_their_end() {
    let paused = stats(|body| {
        body["global_metrics"]["state"] = json!("Paused");
        let inputs = body["inputs"].as_array_mut().expect("a list");
        for input in inputs.iter_mut() {
            input["metrics"]["end_of_input"] = json!(false);
        }
    });
    let script = looked(Script::new(), &paused);
    let error = run(&script, AwaitConnectorsFinished::all("p")).0.expect_err("paused");
    assert_eq!(Interruption::of(&error), Some(&Interruption::Paused));
    script.finish();
    let script = finished(looked(Script::new(), &paused));
    run(&script, AwaitConnectorsFinished::all("p").even_paused()).0.expect("finished");
    script.finish();
}

#[test]
fn a_restarted_source_has_not_come_to_its_end() {
    let script = calm(Script::new())
        .expect("GET", "/v0/pipelines/p/tables/t/connectors/gen1/completion_token")
        .reply_json(200, r#"{"token":"tok"}"#)
        .expect("GET", "/v0/pipelines/p/completion_status?token=tok")
        .reply_json(200, r#"{"status":"complete","step":7}"#);
    let script = looked(script, &restarted());
    let error = run(&script, AwaitConnectorsFinished::all("p")).0.expect_err("restarted");
    assert_eq!(Interruption::of(&error), Some(&Interruption::Restarted));
    script.finish();
}
