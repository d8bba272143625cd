//! A `Transaction` without rows: it is open, but its status is that of no transaction.

use pipewright::driver::{self, NoCredentials};
use pipewright::error::FlowError;
use pipewright::feldera::data::CompletionToken;
use pipewright::feldera::{AwaitCompletion, Feldera, Transaction, TransactionEvent};
use pipewright::flow::{Goal as _, Notice};
use pipewright_mock::feldera::Config;
use pipewright_mock::{Fault, FaultPlan, Script, World};
use pipewright_tests::recorded::{Recorded, feldera};
use serde_json::json;

use super::transaction::{Run, found, is};
use super::{COMMIT, START, base, calm, looked, recorded, stats};

/// Statistics as a real server shows them until the first rows arrive.
fn idle(id: i64, api: &str) -> String {
    stats(|body| {
        let metrics = &mut body["global_metrics"];
        (metrics["transaction_status"], metrics["transaction_id"]) = (json!("NoTransaction"), json!(id));
        metrics["transaction_initiators"] =
            json!({"initiated_by_api": api, "initiated_by_connectors": {}, "transaction_id": id});
    })
}

fn open(id: i64) -> String {
    idle(id, "Started")
}

fn started() -> Script {
    looked(recorded(calm(Script::new()), "POST", START, "transaction_start"), &open(20))
}

#[test]
fn a_resumed_transaction_without_rows_is_open() {
    let script = started();
    let mut run = Run::new(&script, Transaction::new("p"));
    is(run.next(), "Started { id: 20 }");
    script.finish();

    let script = looked(looked(Script::new(), &open(20)), &open(20));
    let script = calm(looked(recorded(script, "POST", COMMIT, "transaction_commit_200"), &idle(20, "Committed")));
    let mut resumed = run.resume(&script);
    is(resumed.next(), "Started { id: 20 }");
    resumed.transaction.commit();
    is(resumed.next(), "Committed { id: 20 }");
    script.finish();
}

#[test]
fn a_lost_start_of_a_transaction_without_rows_is_found() {
    let lost = || looked(calm(Script::new()).expect("POST", START).reply_lost(), &open(20));
    let script = lost();
    is(Run::new(&script, Transaction::new("p").take_over()).next(), "Started { id: 20 }");
    script.finish();

    let script = lost();
    let error = Run::new(&script, Transaction::new("p")).next().expect_err("unknown outcome");
    assert!(found(error).starts_with("transaction 20 has been open; "));
    script.finish();
}

/// Another client's that was there before is not taken over, by a resumed flow neither.
#[test]
fn another_clients_transaction_without_rows_is_not_taken_over() {
    let script = looked(looked(Script::new(), &open(19)).expect("POST", START).reply_lost(), &open(19));
    let mut run = Run::new(&script, Transaction::new("p").take_over());
    let error = run.next().expect_err("not ours");
    assert!(matches!(&error, FlowError::Failed(failure) if failure.reason.contains("before this start")), "{error:?}");
    script.finish();

    let script = looked(Script::new(), &open(19));
    let resumed = Transaction::resume(&run.saved[0]).expect("its own state").take_over();
    let error = Run::new(&script, resumed).next().expect_err("not ours");
    assert!(matches!(&error, FlowError::Failed(failure) if failure.reason.contains("before this start")), "{error:?}");
    script.finish();
}

#[test]
fn a_lost_commit_of_a_transaction_without_rows_is_looked_for() {
    let lost = || looked(started(), &open(20)).expect("POST", COMMIT).reply_lost();
    let committed = |script: Script| {
        let mut run = Run::new(&script, Transaction::new("p"));
        is(run.next(), "Started { id: 20 }");
        run.transaction.commit();
        let event = run.next();
        script.finish();
        event
    };
    // It has not arrived, as far as the flow can tell.
    let script = (0..11).fold(lost(), |script, _| looked(script, &open(20)));
    assert_eq!(found(committed(script).expect_err("open")), "transaction 20 is still open, and not being committed");
    // It has arrived.
    let script = (0..11).fold(lost(), |script, _| looked(script, &idle(20, "Committed")));
    is(committed(calm(script)), "Committed { id: 20 }");
}

#[test]
fn an_open_transaction_without_rows_holds_back_for_as_long_as_it_likes() {
    let answer = |name: &str, _: &str| match name {
        "get_pipeline_stats" => Some((200, open(20))),
        _ => Some(feldera("completion_status_in_transaction")),
    };
    let feldera = Feldera::new(base(), Recorded::new(answer));
    let goal = AwaitCompletion::new("p", CompletionToken::from("tok")).timeout(std::time::Duration::from_secs(1000));
    let error = feldera.run(goal).expect_err("no client commits it");
    assert!(matches!(error, FlowError::Deadline { .. }), "{error:?}");
}

/// The same on the simulated server, which shares nothing with the client.
#[test]
fn a_transaction_without_rows_is_open_on_a_server() {
    let world = World::new(3);
    let service = world.feldera("http://feldera.test:8080".parse().expect("a base"), Config::default());
    let feldera = Feldera::new(service.base(), world.clone());
    feldera.run(pipewright::feldera::Deploy::new("p", "CREATE TABLE t (x INT);")).expect("it runs");
    let is_open = || service.with(|manager| manager.pipeline("p")).expect("it is there").transaction.is_some();

    world.set_faults(FaultPlan::none().nth_of("start_transaction", 1, Fault::ReplyLost));
    let mut saved = None;
    let mut transaction = Transaction::new("p").take_over().start(feldera.config(), feldera.seed());
    let event = driver::run(&mut transaction, &world, &NoCredentials, |notice| {
        if let Notice::Persist(state) = notice {
            saved = Some(state);
        }
    });
    is(event, "Started { id: 20 }");

    let resumed = Transaction::resume(&saved.expect("saved")).expect("its own state");
    let mut resumed = resumed.start(feldera.config(), feldera.seed());
    is(driver::run(&mut resumed, &world, &NoCredentials, driver::ignore_notices), "Started { id: 20 }");
    assert!(is_open());
    resumed.commit();
    let event = driver::run(&mut resumed, &world, &NoCredentials, driver::ignore_notices).expect("committed");
    assert_eq!(event, TransactionEvent::Committed { id: 20 });
    assert!(!is_open());
}
