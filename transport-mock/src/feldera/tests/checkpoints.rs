//! Checkpoints, suspend and resume, bootstrap: the enterprise edition.

use serde_json::{Value, json};

use super::super::Release;
use super::{Config, Edition, SQL, Sim, rejection, status};

fn checkpoint(sim: &mut Sim) -> (u64, String) {
    let (status, answer) = sim.post("/pipelines/p/checkpoint");
    assert_eq!(status, 200, "{answer}");
    let incarnation = answer["incarnation_uuid"].as_str().expect("a uuid").to_owned();
    (answer["checkpoint_sequence_number"].as_u64().expect("a number"), incarnation)
}

fn verdict(sim: &mut Sim) -> Value {
    sim.get("/pipelines/p/checkpoint_status").1
}

/// A pipeline that runs and has a bucket for its checkpoints.
fn with_bucket() -> Sim {
    with_bucket_of(Release::default())
}

fn with_bucket_of(release: Release) -> Sim {
    let mut sim = Sim::with(Config { edition: Edition::Enterprise, release, ..Config::default() });
    let sync = json!({ "bucket": "checkpoints", "provider": "Other" });
    let storage = json!({ "backend": { "name": "file", "config": { "sync": sync } } });
    let body = json!({ "name": "p", "program_code": SQL, "runtime_config": { "storage": storage } });
    assert_eq!(sim.ask("POST", "/pipelines", &body).0, 201);
    sim.wait(1000);
    sim.start();
    sim
}

#[test]
fn a_checkpoint_succeeds_and_outlives_a_restart() {
    let mut sim = Sim::enterprise().running();
    sim.token("t?format=csv", "1,true,1,x\n");
    sim.wait(20);
    let (number, incarnation) = checkpoint(&mut sim);
    assert_eq!((number, Some(&incarnation)), (0, sim.view().incarnation.as_ref()));
    assert_eq!(verdict(&mut sim), json!({ "success": null, "failure": null }));
    assert_eq!(sim.get("/pipelines/p/stats").1["checkpoint_activity"]["status"], "in_progress");
    sim.wait(100);
    assert_eq!(verdict(&mut sim), json!({ "success": 0, "failure": null }));
    assert_eq!(sim.get("/pipelines/p/checkpoints").1[0]["processed_records"], 1);
    sim.token("t?format=csv", "2,true,1,x\n");
    sim.wait(20);
    sim.stop();
    sim.start();
    // What came after the checkpoint is gone, and so are its numbers.
    assert_eq!(sim.rows("t").len(), 1);
    assert_eq!(verdict(&mut sim), json!({ "success": null, "failure": null }));
    let old = sim.get(&format!("/pipelines/p/checkpoint_status?incarnation_uuid={incarnation}"));
    assert_eq!(rejection(&old), (400, "IncarnationUuidMismatch"));
    assert_eq!(old.1["details"]["requested"], json!(incarnation));
    assert_eq!(sim.get("/pipelines/p/checkpoint_status?incarnation_uuid=zzz").0, 400);
    assert_eq!(checkpoint(&mut sim).0, 0);
}

#[test]
fn only_the_newest_failure_is_told_and_it_stays() {
    let mut sim = Sim::enterprise().running();
    sim.manager.fail_checkpoints("p", true);
    for number in 0..2 {
        assert_eq!(checkpoint(&mut sim).0, number);
        sim.wait(100);
        let failure = verdict(&mut sim)["failure"].clone();
        assert_eq!((&failure["sequence_number"], &failure["error"]), (&json!(number), &json!("I/O error")));
    }
    sim.manager.fail_checkpoints("p", false);
    checkpoint(&mut sim);
    sim.wait(100);
    let verdict = verdict(&mut sim);
    assert_eq!((&verdict["success"], &verdict["failure"]["sequence_number"]), (&json!(2), &json!(1)));
}

#[test]
fn without_storage_a_checkpoint_fails_at_once() {
    let mut sim = Sim::enterprise();
    let body = json!({ "name": "p", "program_code": SQL, "runtime_config": { "storage": null } });
    assert_eq!(sim.ask("POST", "/pipelines", &body).0, 201);
    sim.wait(1000);
    sim.start();
    checkpoint(&mut sim);
    assert_eq!(verdict(&mut sim)["failure"]["sequence_number"], 0);
    assert_eq!(sim.get("/pipelines/p/stats").1["suspend_error"], json!({ "Permanent": ["StorageRequired"] }));
}

#[test]
fn a_transaction_delays_a_checkpoint() {
    let mut sim = Sim::enterprise().running();
    sim.post("/pipelines/p/start_transaction");
    checkpoint(&mut sim);
    sim.wait(60_000);
    assert_eq!(verdict(&mut sim)["success"], Value::Null);
    assert_eq!(sim.get("/pipelines/p/stats").1["checkpoint_activity"]["status"], "delayed");
    sim.post("/pipelines/p/commit_transaction");
    sim.wait(150);
    assert_eq!(verdict(&mut sim)["success"], 0);
}

#[test]
fn a_sync_pushes_the_newest_checkpoint() {
    let mut sim = with_bucket();
    assert_eq!(rejection(&sim.post("/pipelines/p/checkpoint/sync")), (400, "400"));
    checkpoint(&mut sim);
    sim.wait(100);
    let (accepted, answer) = sim.post("/pipelines/p/checkpoint/sync");
    assert_eq!(accepted, 202);
    assert_eq!(sim.get("/pipelines/p/checkpoint/sync_status").1["success"], Value::Null);
    sim.wait(100);
    assert_eq!(sim.get("/pipelines/p/checkpoint/sync_status").1["success"], answer["checkpoint_uuid"]);
    let remote = |sim: &mut Sim| sim.get("/pipelines/p/checkpoints/remote").1.as_array().map(Vec::len);
    assert_eq!(remote(&mut sim), Some(1));
    // The store keeps it, and the next process knows nothing.
    sim.stop();
    sim.start();
    assert_eq!(sim.get("/pipelines/p/checkpoint/sync_status").1["success"], Value::Null);
    assert_eq!(remote(&mut sim), Some(1));
}

#[test]
fn only_the_last_sync_of_each_kind_is_told() {
    let mut sim = with_bucket();
    let sync = |sim: &mut Sim| {
        checkpoint(sim);
        sim.wait(100);
        sim.post("/pipelines/p/checkpoint/sync").1["checkpoint_uuid"].clone()
    };
    sim.manager.fail_syncs("p", true);
    let (_, second) = (sync(&mut sim), sync(&mut sim));
    sim.wait(200);
    let told = sim.get("/pipelines/p/checkpoint/sync_status").1;
    assert_eq!(
        told,
        json!({ "success": null, "failure": { "uuid": second, "error": "push failed" }, "periodic": null })
    );
    assert_eq!(sim.get("/pipelines/p/checkpoints/remote").1, json!([]));
    sim.manager.fail_syncs("p", false);
    let (third, fourth) = (sync(&mut sim), sync(&mut sim));
    sim.wait(200);
    let told = sim.get("/pipelines/p/checkpoint/sync_status").1;
    assert_eq!((&told["success"], &told["failure"]["uuid"]), (&fourth, &second), "a failure is never forgotten");
    assert_eq!(sim.get("/pipelines/p/checkpoints/remote").1, json!([{ "uuid": third }, { "uuid": fourth }]));
}

#[test]
fn a_recent_release_names_the_checkpoints_that_are_being_sent() {
    let mut sim = with_bucket_of(Release::V0_375);
    checkpoint(&mut sim);
    sim.wait(100);
    let told = |sim: &mut Sim| sim.get("/pipelines/p/checkpoint/sync_status").1;
    sim.manager.fail_syncs("p", true);
    let uuid = sim.post("/pipelines/p/checkpoint/sync").1["checkpoint_uuid"].clone();
    let running = json!([uuid]);
    assert_eq!(told(&mut sim), json!({ "success": null, "failure": null, "periodic": null, "running": running }));
    sim.wait(100);
    let failure = json!({ "uuid": uuid, "error": "push failed" });
    assert_eq!(told(&mut sim), json!({ "success": null, "failure": failure, "periodic": null, "running": [] }));
    // Sent again, it replaces its own failure at its end.
    sim.manager.fail_syncs("p", false);
    sim.post("/pipelines/p/checkpoint/sync");
    assert_eq!(told(&mut sim), json!({ "success": null, "failure": failure, "periodic": null, "running": running }));
    sim.wait(100);
    assert_eq!(told(&mut sim), json!({ "success": uuid, "failure": null, "periodic": null, "running": [] }));
}

#[test]
fn a_suspend_is_a_checkpoint_and_a_stop() {
    let mut sim = Sim::enterprise().running();
    sim.token("t?format=csv", "1,true,1,x\n");
    sim.wait(20);
    assert_eq!(sim.post("/pipelines/p/stop"), (202, json!("Pipeline is suspending")));
    // The runner has not asked the process yet.
    assert_eq!(sim.status(), status("Running", "Running"));
    sim.wait(50);
    assert_eq!(sim.status(), status("Running", "Suspended"));
    sim.wait(100);
    assert_eq!(sim.status(), status("Suspended", "Stopped"));
    assert_eq!(rejection(&sim.get("/pipelines/p/stats")), (503, "Suspended"));
    sim.wait(350);
    assert_eq!(sim.status(), status("Stopped", "Stopped"));
    let details = sim.get("/pipelines/p").1["storage_status_details"].clone();
    assert_eq!(details["checkpoints"].as_array().map(Vec::len), Some(1));
    // Not provisioned: the same as by force.
    assert_eq!(sim.post("/pipelines/p/stop"), (202, json!("Pipeline is forcefully stopping")));
    sim.start();
    assert_eq!(sim.rows("t").len(), 1);
}

/// The edition does not matter.
#[test]
fn without_a_bucket_no_remote_checkpoints_can_be_listed() {
    for sim in [Sim::new(), Sim::enterprise()] {
        let mut sim = sim.running();
        let rejected = sim.get("/pipelines/p/checkpoints/remote");
        assert_eq!(rejection(&rejected), (500, "CheckpointFetchError"));
        let error = "listing remote checkpoints requires sync to be configured";
        assert_eq!(rejected.1["details"], json!({ "error": error }));
    }
    assert_eq!(with_bucket().get("/pipelines/p/checkpoints/remote"), (200, json!([])));
}

#[test]
fn a_suspend_waits_for_an_open_transaction() {
    let mut sim = Sim::enterprise().running();
    let suspend_error = |sim: &mut Sim| sim.get("/pipelines/p/stats").1["suspend_error"].clone();
    assert_eq!(suspend_error(&mut sim), Value::Null);
    sim.post("/pipelines/p/start_transaction");
    sim.token("t?format=csv", "1,true,1,x\n");
    assert_eq!(sim.post("/pipelines/p/stop"), (202, json!("Pipeline is suspending")));
    sim.wait(60_000);
    assert_eq!(sim.status(), status("Running", "Suspended"));
    assert_eq!(suspend_error(&mut sim), json!({ "Temporary": ["TransactionInProgress"] }));
    sim.post("/pipelines/p/commit_transaction");
    sim.wait(600);
    assert_eq!(sim.status(), status("Stopped", "Stopped"));
    sim.start();
    assert_eq!(sim.rows("t").len(), 1, "what was committed is in the checkpoint");

    // By force it does not wait.
    sim.post("/pipelines/p/start_transaction");
    sim.post("/pipelines/p/stop");
    sim.wait(1000);
    sim.stop();
}

#[test]
fn a_changed_program_awaits_approval() {
    for (policy, expected) in [("await_approval", "AwaitingApproval"), ("allow", "Running"), ("reject", "Stopped")] {
        let mut sim = Sim::enterprise().running();
        checkpoint(&mut sim);
        sim.wait(100);
        sim.stop();
        let changed = json!({ "program_code": format!("{SQL}CREATE VIEW v2 AS SELECT * FROM t;") });
        assert_eq!(sim.ask("PATCH", "/pipelines/p", &changed).0, 200);
        sim.wait(1000);
        sim.post(&format!("/pipelines/p/start?bootstrap_policy={policy}"));
        sim.wait(800);
        assert_eq!(sim.view().status, expected);
        match policy {
            "await_approval" => {
                assert_eq!(rejection(&sim.get("/pipelines/p/stats")), (503, "AwaitingApproval"));
                assert_eq!(sim.post("/pipelines/p/approve"), (200, json!("Bootstrap approved")));
                assert_eq!(sim.wait(50).view().status, "Running");
                assert_eq!(sim.post("/pipelines/p/approve").0, 200);
                // A stop is not forgotten over it.
                sim.stop();
                sim.post(&format!("/pipelines/p/start?bootstrap_policy={policy}"));
                sim.wait(800);
                assert_eq!(sim.view().status, "AwaitingApproval");
                sim.post("/pipelines/p/stop?force=true");
                assert_eq!(sim.post("/pipelines/p/approve").0, 200);
                assert_eq!(sim.wait(1000).view().status, "Stopped");
            }
            "reject" => assert_eq!(sim.view().error.expect("one")["error_code"], "BootstrapRejected"),
            _ => {}
        }
    }
}
