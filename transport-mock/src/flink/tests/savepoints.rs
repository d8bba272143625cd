//! Asynchronous operations: savepoints, stops, triggered checkpoints, and how each of them goes wrong.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::job::SOURCE_ID;
use super::super::{Config, Program, SavepointKind};
use super::{Sim, errors, failure, pending, text, trigger_id};

#[test]
fn a_savepoint_completes_and_its_result_stays_until_it_is_too_old() {
    let mut sim = Sim::new();
    let job = sim.job(&Program::endless("x"));
    sim.wait(500);
    sim.trigger(&job, "savepoints", 1);
    assert_eq!(sim.operation(&job, 1), (200, pending()));
    assert_eq!(sim.wait(299).operation(&job, 1), (200, pending()));
    let done = sim.wait(1).operation(&job, 1);
    let savepoint = sim.cluster.savepoints().swap_remove(0);
    assert_eq!((savepoint.records, savepoint.kind), (50, SavepointKind::Savepoint));
    assert!(savepoint.path.starts_with(&format!("file:/savepoints/savepoint-{}-", &job[..6])));
    assert_eq!(done, (200, json!({ "status": { "id": "COMPLETED" }, "operation": { "location": savepoint.path } })));
    assert_eq!(sim.wait(299_999).operation(&job, 1), done);
    let gone = sim.wait(1).operation(&job, 1);
    assert_eq!(gone.0, 404);
    let expected = format!("There is no savepoint operation with triggerId={} for job {job}.", trigger_id(1));
    assert!(errors(&gone).contains(&expected));
}

#[test]
fn the_same_trigger_id_is_the_same_operation_until_it_is_forgotten() {
    let mut sim = Sim::new();
    let job = sim.job(&Program::endless("x"));
    for _ in 0..3 {
        sim.trigger(&job, "savepoints", 1);
        sim.wait(200);
    }
    // A stop with the id of a savepoint is that savepoint.
    sim.trigger(&job, "stop", 1);
    assert_eq!(sim.operation(&job, 1).1["operation"]["location"], sim.cluster.savepoints()[0].path);
    sim.wait(1000);
    assert_eq!((sim.state(&job).as_str(), sim.cluster.savepoints().len()), ("RUNNING", 1));
    sim.wait(300_000);
    sim.trigger(&job, "savepoints", 1);
    assert_eq!(sim.wait(300).cluster.savepoints().len(), 2);
}

#[test]
fn trigger_ids_belong_to_a_job_and_checkpoints_have_their_own() {
    let mut sim = Sim::new();
    let (one, two) = (sim.job(&Program::endless("x")), sim.job(&Program::endless("y")));
    sim.trigger(&one, "savepoints", 1);
    assert_eq!(sim.operation(&two, 1).0, 404);
    let path = format!("/v1/jobs/{one}/checkpoints/{}", trigger_id(1));
    let unknown = sim.get(&path);
    assert!(unknown.0 == 404 && errors(&unknown).contains("There is no checkpoint operation"));
    sim.trigger(&one, "checkpoints", 1);
    assert_eq!(sim.get(&path), (200, pending()));
    let done = sim.wait(20).get(&path).1;
    assert_eq!(done, json!({ "status": { "id": "COMPLETED" }, "operation": { "checkpointId": 2 } }));
}

#[test]
fn unknown_and_ended_jobs_are_accepted_and_fail_in_the_operation() {
    let mut sim = Sim::new();
    let unknown = format!("{:032x}", 0xbad);
    let ended = sim.job(&Program::bounded("x", 1));
    sim.wait(100);
    for job in [unknown, ended] {
        for (what, id) in [("savepoints", 1), ("stop", 2)] {
            sim.trigger(&job, what, id);
            let expected = format!(
                "java.util.concurrent.CompletionException: org.apache.flink.runtime.messages.FlinkJobNotFoundException: Could not find Flink job ({job})"
            );
            assert_eq!(failure(&sim.operation(&job, id), "failure-cause"), expected);
        }
        sim.trigger(&job, "checkpoints", 1);
        let answer = sim.get(&format!("/v1/jobs/{job}/checkpoints/{}", trigger_id(1)));
        assert!(failure(&answer, "failureCause").contains("FlinkJobNotFoundException"));
    }
}

#[test]
fn a_stop_ends_the_job_shortly_before_it_reads_as_completed() {
    let mut sim = Sim::new();
    let job = sim.job(&Program::endless("x"));
    sim.wait(700);
    sim.trigger(&job, "stop", 1);
    sim.wait(300);
    assert_eq!((sim.state(&job).as_str(), sim.records(&job)), ("FINISHED", 100));
    assert_eq!(sim.operation(&job, 1), (200, pending()));
    sim.wait(50);
    let savepoint = sim.cluster.savepoints().swap_remove(0);
    assert_eq!((savepoint.records, savepoint.kind), (100, SavepointKind::Stop));
    assert_eq!(sim.operation(&job, 1).1["operation"]["location"], savepoint.path);
    let latest = sim.get(&format!("/v1/jobs/{job}/checkpoints")).1["latest"]["savepoint"].clone();
    assert_eq!(
        (&latest["external_path"], &latest["checkpoint_type"]),
        (&json!(savepoint.path), &json!("SYNC_SAVEPOINT"))
    );
}

#[test]
fn a_restored_job_goes_on_counting_where_the_savepoint_was_taken() {
    let mut sim = Sim::new();
    let job = sim.job(&Program::endless("x"));
    sim.wait(700);
    sim.trigger(&job, "stop", 1);
    sim.wait(1000);
    let path = sim.cluster.savepoints()[0].path.clone();
    for written in [path.clone(), path.replace("file:/", "file:///"), path.replace("file:", "")] {
        let (status, answer) =
            sim.run(&Program::endless("y"), &json!({ "savepointPath": written, "claimMode": "NO_CLAIM" }));
        assert_eq!(status, 200, "{answer}");
        let restored = text(&answer["jobid"]);
        assert_eq!(sim.records(&restored), 100);
        sim.wait(1200);
        assert_eq!(sim.records(&restored), 200);
        let statistics = sim.get(&format!("/v1/jobs/{restored}/checkpoints")).1;
        assert_eq!(
            (&statistics["counts"]["restored"], &statistics["latest"]["restored"]["external_path"]),
            (&json!(1), &json!(path))
        );
        assert_eq!(statistics["history"][0]["id"], 2);
        sim.ask("PATCH", &format!("/v1/jobs/{restored}"), &Value::Null);
    }
}

#[test]
fn incompatible_state_keeps_a_job_from_ever_running() {
    let mut sim = Sim::new();
    let job = sim.job(&Program::endless("x"));
    sim.trigger(&job, "stop", 1);
    sim.wait(1000);
    let body = json!({ "savepointPath": sim.cluster.savepoints()[0].path });
    let program = Program::endless("y").state_incompatible();
    for (program, state) in [(program.clone(), "RESTARTING"), (program.restarts(0), "FAILED")] {
        let restored = text(&sim.run(&program, &body).1["jobid"]);
        sim.wait(700);
        assert_eq!(sim.state(&restored), state);
        let history = sim.get(&format!("/v1/jobs/{restored}/exceptions")).1;
        assert!(history.to_string().contains("StateMigrationException"));
    }
}

#[test]
fn two_stops_at_once_kill_each_other_and_the_job_restarts() {
    for (program, state, later) in [
        (Program::endless("x"), "RESTARTING", "RUNNING"),
        (Program::endless("x").checkpoint_interval(None), "FAILED", "FAILED"),
    ] {
        let mut sim = Sim::new();
        let job = sim.job(&program);
        sim.trigger(&job, "stop", 1);
        sim.wait(100);
        sim.trigger(&job, "stop", 2);
        for id in [1, 2] {
            let cause = failure(&sim.operation(&job, id), "failure-cause");
            assert!(cause.ends_with("CheckpointException: Checkpoint Coordinator is suspending."), "{cause}");
        }
        assert_eq!(sim.state(&job), state);
        let history = sim.get(&format!("/v1/jobs/{job}/exceptions")).1;
        assert!(history.to_string().contains("Stop-with-savepoint failed."));
        sim.wait(2000);
        assert_eq!((sim.state(&job).as_str(), sim.cluster.savepoints().len()), (later, 0));
    }
}

#[test]
fn cancelling_fails_the_savepoints_in_flight() {
    let mut sim = Sim::new();
    let job = sim.job(&Program::endless("x"));
    sim.trigger(&job, "savepoints", 1);
    sim.wait(100);
    sim.trigger(&job, "savepoints", 2);
    sim.ask("PATCH", &format!("/v1/jobs/{job}"), &Value::Null);
    for id in [1, 2] {
        let cause = failure(&sim.operation(&job, id), "failure-cause");
        assert!(cause.ends_with("CheckpointException: Checkpoint Coordinator is suspending."), "{cause}");
    }
    let failed = sim.get(&format!("/v1/jobs/{job}/checkpoints")).1;
    assert_eq!((&failed["counts"]["failed"], &failed["latest"]["failed"]["className"]), (&json!(2), &json!("failed")));
}

#[test]
fn several_savepoints_in_flight_each_get_their_result() {
    let mut sim = Sim::new();
    let job = sim.job(&Program::endless("x"));
    sim.trigger(&job, "savepoints", 1);
    sim.trigger(&job, "savepoints", 2);
    sim.wait(300);
    let locations = [1, 2].map(|id| text(&sim.operation(&job, id).1["operation"]["location"]));
    assert_ne!(locations[0], locations[1]);
}

#[test]
fn a_job_that_ends_while_it_is_being_stopped_takes_the_savepoint_with_it() {
    let mut sim = Sim::new();
    let job = sim.job(&Program::bounded("x", 20));
    sim.trigger(&job, "stop", 1);
    sim.wait(300);
    assert_eq!(sim.state(&job), "FINISHED");
    assert!(failure(&sim.operation(&job, 1), "failure-cause").ends_with("CheckpointCoordinator shutdown."));
    assert!(sim.cluster.savepoints().is_empty());
}

#[test]
fn a_savepoint_needs_running_tasks() {
    let mut sim = Sim::new();
    let early = text(&sim.run(&Program::endless("x"), &json!({})).1["jobid"]);
    sim.trigger(&early, "savepoints", 1);
    assert!(failure(&sim.operation(&early, 1), "failure-cause").contains("initializing job"));
    sim.wait(199);
    sim.trigger(&early, "savepoints", 2);
    assert!(failure(&sim.operation(&early, 2), "failure-cause").contains("is not being executed at the moment"));
    let job = sim.job(&Program::endless("y").never_runs());
    sim.trigger(&job, "stop", 1);
    assert!(failure(&sim.operation(&job, 1), "failure-cause").contains("Checkpoint triggering task Source: numbers"));
    assert_eq!(sim.state(&job), "RUNNING");
}

#[test]
fn cancel_with_savepoint_cancels_after_success_only() {
    for (target, state) in
        [("/tmp/x", "CANCELED"), ("s3://no-such/bucket", "RUNNING"), ("file:///proc/nope", "RUNNING")]
    {
        let mut sim = Sim::new();
        let job = sim.job(&Program::endless("x"));
        let body = json!({ "cancel-job": true, "target-directory": target, "triggerId": trigger_id(1) });
        assert_eq!(sim.post(&format!("/v1/jobs/{job}/savepoints"), &body).0, 202);
        assert_eq!(sim.operation(&job, 1), (200, pending()));
        sim.wait(400);
        assert_eq!(sim.state(&job), state, "{target}");
        let answer = sim.operation(&job, 1);
        if state == "RUNNING" {
            assert!(failure(&answer, "failure-cause").contains("IO-problem detected."));
        } else {
            assert!(text(&answer.1["operation"]["location"]).starts_with("file:/tmp/x/savepoint-"));
        }
    }
}

#[test]
fn without_a_directory_a_target_has_to_be_named() {
    let mut sim = Sim::with(Config { savepoint_directory: None, ..Config::default() });
    let job = sim.job(&Program::endless("x"));
    for (what, field) in [("savepoints", "target-directory"), ("stop", "targetDirectory")] {
        let answer = sim.post(&format!("/v1/jobs/{job}/{what}"), &json!({}));
        assert!(answer.0 == 400 && errors(&answer).contains(&format!("Property [{field}] must be provided.")));
        assert_eq!(sim.post(&format!("/v1/jobs/{job}/{what}"), &json!({ field: "/tmp" })).0, 202);
    }
}

#[test]
fn a_failing_snapshot_fails_the_task() {
    let program = Program::endless("x").checkpoint_interval(None).snapshots_fail();
    for (program, what, message, state) in [
        (program.clone(), "stop", "CheckpointCoordinator shutdown.", "FAILED"),
        (program.restarts(9), "savepoints", "FailoverRegion is restarting.", "RESTARTING"),
    ] {
        let mut sim = Sim::new();
        let job = sim.job(&program);
        sim.trigger(&job, what, 1);
        sim.wait(300);
        assert!(failure(&sim.operation(&job, 1), "failure-cause").ends_with(message));
        assert_eq!(sim.state(&job), state);
    }
}

#[test]
fn a_snapshot_that_never_completes_expires_without_hurting_the_job() {
    let mut sim = Sim::new();
    let job = sim.job(&Program::endless("x").checkpoints_never_complete());
    sim.trigger(&job, "stop", 1);
    assert_eq!(sim.wait(599_999).operation(&job, 1), (200, pending()));
    let expired = failure(&sim.wait(1).operation(&job, 1), "failure-cause");
    assert!(expired.ends_with("Checkpoint expired before completing."));
    assert_eq!(sim.state(&job), "RUNNING");
}

#[test]
fn a_restart_forgets_results_and_operations_but_not_savepoints() {
    let mut sim = Sim::new();
    let job = sim.job(&Program::endless("x"));
    sim.trigger(&job, "savepoints", 1);
    sim.wait(300);
    sim.trigger(&job, "stop", 2);
    sim.cluster.restart(sim.now, Duration::ZERO);
    assert_eq!((sim.operation(&job, 1).0, sim.operation(&job, 2).0), (404, 404));
    sim.wait(1000);
    assert_eq!(sim.state(&job), "RUNNING");
    let savepoints = sim.cluster.savepoints();
    assert_eq!(savepoints.len(), 1);
    assert_eq!(sim.run(&Program::endless("y"), &json!({ "savepointPath": savepoints[0].path })).0, 200);
}

#[test]
fn a_job_that_fails_while_it_is_stopped_leaves_its_savepoint_behind() {
    let mut sim = Sim::new();
    let job = sim.job(&Program::endless("x").fails_while_stopping());
    sim.wait(500);
    sim.trigger(&job, "stop", 1);
    let done = sim.wait(350).operation(&job, 1);
    let path = sim.cluster.savepoints().swap_remove(0).path;
    let expected = format!(
        "java.util.concurrent.CompletionException: org.apache.flink.runtime.scheduler.stopwithsavepoint.StopWithSavepointStoppingException: A savepoint has been created at: {path}, but the corresponding job {job} failed during stopping. The savepoint is consistent, but might have uncommitted transactions. If you want to commit the transaction please restart a job from this savepoint."
    );
    assert_eq!(failure(&done, "failure-cause"), expected);
    // For good, although it has a restart strategy.
    assert_eq!(sim.wait(10_000).state(&job), "FAILED");
    let savepoint = sim.get(&format!("/v1/jobs/{job}/checkpoints")).1["latest"]["savepoint"].clone();
    assert_eq!((&savepoint["checkpoint_type"], &savepoint["external_path"]), (&json!("SYNC_SAVEPOINT"), &json!(path)));
}

/// As recorded from 1.13.6.
#[test]
fn answers_of_1_13_have_no_field_of_later_releases() {
    let mut sim = Sim::version("1.13.6");
    let job = sim.job(&Program::endless("job").checkpoint_interval(Some(Duration::from_millis(500))));
    sim.wait(5000);
    let checkpoints = format!("/v1/jobs/{job}/checkpoints");
    let keys = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    let statistics = sim.get(&checkpoints).1;
    let mut summary = keys(&statistics["summary"]);
    summary.sort();
    assert_eq!(
        summary,
        ["alignment_buffered", "end_to_end_duration", "persisted_data", "processed_data", "state_size"]
    );
    for statistic in ["alignment_buffered", "state_size"] {
        let mut bounds = keys(&statistics["summary"][statistic]);
        bounds.sort();
        assert_eq!(bounds, ["avg", "max", "min"]);
    }
    let config = sim.get(&format!("{checkpoints}/config")).1;
    for field in
        ["aligned_checkpoint_timeout", "checkpoints_after_tasks_finish", "state_changelog_enabled", "changelog_storage"]
    {
        assert_eq!(config.get(field), None, "{field}");
    }
    assert_eq!(config["tolerable_failed_checkpoints"], 0);
    let number = &statistics["latest"]["completed"]["id"];
    let subtasks = sim.get(&format!("{checkpoints}/details/{number}/subtasks/{SOURCE_ID}")).1;
    assert_eq!(subtasks["summary"]["start_delay"].get("p50"), None, "{subtasks}");
    let plan = sim.get(&format!("/v1/jobs/{job}/plan")).1;
    assert_eq!((plan["plan"].get("type"), &plan["plan"]["nodes"][1]["id"]), (None, &json!(SOURCE_ID)));
    assert_eq!(plan["plan"]["nodes"][0]["description"], "count per key -&gt; Sink: print");
}
