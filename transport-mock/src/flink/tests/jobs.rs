//! Jobs: their states, their caches and their ends.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::{Config, Program};
use super::{Sim, errors, text, trigger_id};

#[test]
fn a_job_becomes_running_before_its_tasks_do() {
    let mut sim = Sim::new();
    let job = text(&sim.run(&Program::endless("x").parallelism(2), &json!({})).1["jobid"]);
    let sparse = sim.get("/v1/jobs/overview").1["jobs"][0].clone();
    assert_eq!((&sparse["state"], &sparse["schedulerType"]), (&json!("INITIALIZING"), &Value::Null));
    assert_eq!(sim.wait(25).state(&job), "CREATED");
    assert_eq!(sim.wait(25).state(&job), "RUNNING");
    for (after, state) in [(0, "scheduled"), (50, "deploying"), (50, "initializing"), (50, "running")] {
        let tasks = sim.wait(after).get("/v1/jobs/overview").1["jobs"][0]["tasks"].clone();
        assert_eq!((&tasks[state], &tasks["total"]), (&json!(4), &json!(4)), "{tasks}");
    }
    assert_eq!(sim.records(&job), 0);
    sim.wait(1000);
    assert_eq!(sim.records(&job), 100);
    assert_eq!(sim.get("/v1/overview").1["slots-available"], 2);
}

#[test]
fn details_are_as_old_as_the_cache_allows_and_the_status_is_not() {
    let mut sim = Sim::new();
    let job = sim.job(&Program::endless("x"));
    let path = format!("/v1/jobs/{job}");
    assert_eq!(sim.get(&path).1["state"], "RUNNING");
    let before = sim.get(&format!("{path}/accumulators"));
    assert_eq!(sim.ask("PATCH", &path, &Value::Null), (202, json!({})));
    assert_eq!(sim.state(&job), "CANCELLING");
    sim.wait(2999);
    assert_eq!(sim.state(&job), "CANCELED");
    let stale = sim.get(&path).1;
    assert_eq!((&stale["state"], &stale["end-time"]), (&json!("RUNNING"), &json!(-1)));
    assert_eq!(sim.get(&format!("{path}/accumulators")), before);
    assert_eq!(sim.get("/v1/jobs").1["jobs"][0]["status"], "CANCELED");
    let fresh = sim.wait(1).get(&path).1;
    assert_eq!((&fresh["state"], &fresh["timestamps"]["FINISHED"]), (&json!("CANCELED"), &json!(0)));
    assert_ne!(fresh["timestamps"]["CANCELED"], 0);
    assert_eq!(fresh["status-counts"]["CANCELED"], 2);
}

#[test]
fn unknown_jobs_are_unknown_in_different_ways() {
    let mut sim = Sim::new();
    let path = format!("/v1/jobs/{:032x}", 0xbad);
    for (end, status) in [
        ("", 404),
        ("/plan", 404),
        ("/config", 404),
        ("/exceptions", 404),
        ("/accumulators", 404),
        ("/checkpoints", 404),
        ("/checkpoints/config", 404),
        ("/execution-result", 404),
        ("/status", 500),
    ] {
        let answer = sim.get(&format!("{path}{end}"));
        assert_eq!(answer.0, status, "{end}");
        assert!(errors(&answer).contains("FlinkJobNotFoundException"), "{end}");
    }
    let status = sim.get(&format!("{path}/status"));
    assert_eq!(status.1["errors"][0], "Internal server error.");
    assert!(errors(&sim.ask("PATCH", &path, &Value::Null)).contains("Job could not be found."));
}

#[test]
fn cancelling_is_repeatable_but_not_for_what_ended_otherwise() {
    let mut sim = Sim::new();
    let job = sim.job(&Program::endless("x"));
    let path = format!("/v1/jobs/{job}");
    let cancel = |sim: &mut Sim, query: &str| sim.ask("PATCH", &format!("{path}{query}"), &Value::Null).0;
    assert_eq!(cancel(&mut sim, "?mode=stop"), 308);
    assert_eq!(cancel(&mut sim, "?mode=explode"), 400);
    assert_eq!(sim.state(&job), "RUNNING");
    assert_eq!(cancel(&mut sim, "?mode=CANCEL"), 202);
    assert_eq!(cancel(&mut sim, ""), 202);
    sim.wait(100);
    assert_eq!(sim.state(&job), "CANCELED");
    assert_eq!(cancel(&mut sim, ""), 202);
    let finished = sim.job(&Program::bounded("x", 1));
    sim.wait(100);
    let answer = sim.ask("PATCH", &format!("/jobs/{finished}"), &Value::Null);
    assert!(answer.0 == 409 && errors(&answer).contains("another terminal state (FINISHED)"));
    let mut old = Sim::version("1.13.6");
    let job = old.job(&Program::bounded("x", 1));
    assert_eq!(old.wait(100).ask("PATCH", &format!("/jobs/{job}"), &Value::Null).0, 404);
}

#[test]
fn a_bounded_job_finishes_with_its_count_as_result() {
    let mut sim = Sim::new();
    let job = sim.job(&Program::bounded("x", 50));
    let path = format!("/v1/jobs/{job}/execution-result");
    assert_eq!(sim.get(&path), (200, json!({ "status": { "id": "IN_PROGRESS" } })));
    sim.wait(499);
    assert_eq!((sim.state(&job).as_str(), sim.records(&job)), ("RUNNING", 49));
    sim.wait(1);
    assert_eq!((sim.state(&job).as_str(), sim.records(&job)), ("FINISHED", 50));
    let result = sim.get(&path).1["job-execution-result"].clone();
    assert_eq!((&result["application-status"], &result["net-runtime"]), (&json!("SUCCEEDED"), &json!(700)));
    assert!(text(&result["accumulator-results"]["records"]).ends_with("AAAAAAAAADJ4"));
    let accumulators = sim.get(&format!("/v1/jobs/{job}/accumulators")).1;
    let expected = json!([{ "name": "records", "type": "LongCounter", "value": "50" }]);
    assert_eq!(accumulators["user-task-accumulators"], expected);
}

#[test]
fn a_failing_job_is_restarted_from_its_checkpoint_as_often_as_allowed() {
    let mut sim = Sim::new();
    let job = sim.job(&Program::endless("x").fails_after(150_u64).restarts(1));
    sim.wait(1500);
    assert_eq!(sim.state(&job), "RESTARTING");
    assert_eq!(sim.get(&format!("/v1/jobs/{job}/execution-result")).1["status"]["id"], "IN_PROGRESS");
    sim.wait(1000);
    assert_eq!((sim.state(&job).as_str(), sim.records(&job)), ("RUNNING", 100));
    assert_eq!(sim.cluster.jobs()[0].restored_from, Some(format!("file:/checkpoints/{job}/chk-1")));
    sim.wait(700);
    assert_eq!(sim.state(&job), "FAILED");
    let history = sim.get(&format!("/v1/jobs/{job}/exceptions")).1["exceptionHistory"]["entries"].clone();
    assert_eq!(history.as_array().map(Vec::len), Some(2));
    assert!(text(&history[0]["stacktrace"]).contains("Recovery is suppressed by FixedDelay"));
    assert!(history[0].get("taskName").is_none());
    assert!(text(&history[1]["taskName"]).ends_with("execution #0"));
    let result = sim.get(&format!("/v1/jobs/{job}/execution-result")).1["job-execution-result"].clone();
    assert_eq!(result["application-status"], "FAILED");
    assert!(text(&result["failure-cause"]["stack-trace"]).contains("Caused by: java.lang.IllegalStateException"));
}

#[test]
fn without_checkpoints_a_failure_is_final_and_with_them_it_is_not() {
    for (interval, state) in [(None, "FAILED"), (Some(Duration::from_secs(1)), "RUNNING")] {
        let mut sim = Sim::new();
        let program = Program::endless("x").checkpoint_interval(interval);
        let job = sim.job(&program.fails_after(Duration::from_millis(10)).fails_times(1));
        sim.wait(5000);
        assert_eq!(sim.state(&job), state);
    }
}

#[test]
fn a_job_without_slots_is_running_and_its_tasks_are_not() {
    let mut sim = Sim::new();
    let wide = sim.job(&Program::endless("wide").parallelism(3));
    let waiting = sim.job(&Program::endless("waiting").parallelism(2));
    let never = sim.job(&Program::endless("never").never_runs());
    sim.wait(1000);
    assert_eq!((sim.state(&waiting).as_str(), sim.records(&waiting)), ("RUNNING", 0));
    let vertex = sim.get(&format!("/v1/jobs/{waiting}")).1["vertices"][0].clone();
    assert_eq!(
        (&vertex["status"], &vertex["tasks"]["SCHEDULED"], &vertex["start-time"]),
        (&json!("CREATED"), &json!(2), &json!(-1))
    );
    sim.ask("PATCH", &format!("/v1/jobs/{wide}"), &Value::Null);
    sim.wait(1250);
    assert_eq!((sim.records(&waiting), sim.records(&never)), (100, 0));
}

#[test]
fn ended_jobs_are_forgotten_after_a_while() {
    let mut sim = Sim::new();
    let job = sim.job(&Program::bounded("x", 1));
    let path = format!("/v1/jobs/{job}/status");
    assert_eq!(sim.wait(3_600_000).get(&path).0, 200);
    assert_eq!(sim.wait(10).get(&path).0, 500);
}

#[test]
fn only_running_jobs_survive_a_restart_and_only_with_high_availability() {
    for high_availability in [true, false] {
        let mut sim = Sim::with(Config { high_availability, ..Config::default() });
        let job = sim.job(&Program::endless("x"));
        sim.job(&Program::bounded("y", 1));
        sim.wait(1750);
        sim.cluster.restart(sim.now, Duration::from_secs(5));
        let jobs = sim.cluster.jobs();
        if !high_availability {
            assert!(jobs.is_empty());
            continue;
        }
        assert_eq!(jobs.len(), 1);
        sim.wait(5200);
        assert_eq!((sim.state(&job).as_str(), sim.records(&job)), ("RUNNING", 100));
        let restored = sim.get(&format!("/v1/jobs/{job}/checkpoints")).1["latest"]["restored"].clone();
        assert_eq!((&restored["id"], &restored["is_savepoint"]), (&json!(1), &json!(false)));
    }
}

#[test]
fn checkpoints_are_counted_and_their_statistics_cached() {
    let mut sim = Sim::new();
    let job = sim.job(&Program::endless("x"));
    let path = format!("/v1/jobs/{job}/checkpoints");
    let empty = sim.get(&path).1;
    assert_eq!(empty["counts"]["total"], 0);
    assert_eq!(empty["summary"]["state_size"]["p99"], "NaN");
    assert_eq!(empty["summary"]["alignment_buffered"]["p99"], 0.0);
    assert_eq!(sim.wait(2999).get(&path).1, empty);
    let full = sim.wait(21).get(&path).1;
    assert_eq!((&full["counts"]["completed"], &full["latest"]["completed"]["id"]), (&json!(3), &json!(3)));
    assert_eq!(full["history"][0]["className"], "completed");
    assert_eq!(full["history"][1]["discarded"], true);
    assert_eq!(full["summary"]["end_to_end_duration"]["p50"], 20.0);
    assert_eq!(sim.get(&format!("{path}/config")).1["interval"], 1000);
    let off = sim.job(&Program::endless("y").checkpoint_interval(None));
    assert_eq!(sim.get(&format!("/v1/jobs/{off}/checkpoints/config")).1["interval"], i64::MAX);
}

#[test]
fn the_limit_of_exceptions_is_checked() {
    let mut sim = Sim::new();
    let job = sim.job(&Program::endless("x").checkpoint_interval(None).fails_after(0));
    let path = format!("/v1/jobs/{job}/exceptions");
    assert_eq!(sim.get(&path).1["exceptionHistory"]["truncated"], false);
    let none = sim.get(&format!("{path}?maxExceptions=0")).1["exceptionHistory"].clone();
    assert_eq!(none, json!({ "entries": [], "truncated": true }));
    assert_eq!(sim.get(&format!("{path}?maxExceptions=x")).0, 400);
    assert_eq!(sim.get(&format!("{path}?maxExceptions=-1")).0, 500);
    assert_eq!(sim.get(&format!("{path}?failureLabelFilter=nocolon")).0, 400);
}

#[test]
fn details_have_the_fields_of_their_release() {
    for (version, present, absent) in
        [("2.3.0", "application-id", "x"), ("1.20.5", "job-type", "application-id"), ("1.18.1", "plan", "job-type")]
    {
        let mut sim = Sim::version(version);
        let job = sim.job(&Program::endless("x"));
        let details = sim.get(&format!("/v1/jobs/{job}")).1;
        assert!(details.get(present).is_some() && details.get(absent).is_none(), "{version}");
        let exceptions = sim.get(&format!("/v1/jobs/{job}/exceptions")).1;
        assert_eq!(exceptions.get("root-exception").is_some(), version.starts_with('1'), "{version}");
    }
}

#[test]
fn a_failover_behind_a_standby_is_unreachable_then_an_election_then_over() {
    let mut sim = Sim::with(Config { standby: true, ..Config::default() });
    let job = sim.job(&Program::endless("x"));
    sim.cluster.restart(sim.now, Duration::from_secs(60));
    let status = format!("/v1/jobs/{job}/status");
    let dead = sim.get(&status);
    assert!(
        dead.0 == 500 && errors(&dead).contains("RecipientUnreachableException: Could not send message ["),
        "{dead:?}"
    );
    let trigger = sim.get(&format!("/v1/jobs/{job}/savepoints/{}", trigger_id(1)));
    assert!(errors(&trigger).contains("while retrieving status of savepoint operation with triggerId="), "{trigger:?}");
    let election = sim.wait(59_500).get(&status);
    assert!(election.0 == 503 && errors(&election).contains("ongoing leader election"), "{election:?}");
    assert_eq!(sim.wait(1000).get(&status).0, 200);
}
