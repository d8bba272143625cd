//! The history of rescales, as it was measured on Flink 2.3.0 with the adaptive scheduler.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::super::job::{SINK_ID, SOURCE_ID};
use super::super::{Cluster, Config, History, Program};
use super::{Sim, errors, read, text};

/// A cluster that remembers three rescales of each job. Rescales follow new bounds after a second.
fn remembering() -> Sim {
    Sim::with(config())
}

fn config() -> Config {
    Config {
        adaptive_scheduler: true,
        rescale_history: 3,
        rescale_delay: Duration::from_secs(1),
        refresh_interval: Duration::ZERO,
        ..Config::default()
    }
}

/// A program of two tasks a vertex.
fn program() -> Program {
    Program::endless("job").parallelism(2)
}

fn put(sim: &mut Sim, job: &str, lower: u32, upper: u32) {
    let bounds = json!({ "parallelism": { "lowerBound": lower, "upperBound": upper } });
    let body = json!({ SOURCE_ID: bounds, SINK_ID: bounds });
    assert_eq!(sim.ask("PUT", &format!("/v1/jobs/{job}/resource-requirements"), &body).0, 200);
}

fn rescales(sim: &mut Sim, job: &str, path: &str) -> Value {
    let answer = sim.get(&format!("/v1/jobs/{job}/rescales/{path}"));
    assert_eq!(answer.0, 200, "{path}: {answer:?}");
    answer.1
}

/// Cause, reason, and phases of a rescale.
type Told = (String, Option<String>, Vec<String>);

/// Cause, reason, and phases of each rescale that is remembered, newest first.
fn told(sim: &mut Sim, job: &str) -> Vec<Told> {
    let history = rescales(sim, job, "history");
    let ids: Vec<String> =
        history.as_array().expect("a list").iter().map(|entry| text(&entry["rescaleUuid"])).collect();
    let tell = |id: &String| {
        let details = rescales(sim, job, &format!("details/{id}"));
        let phases = details["schedulerStates"].as_array().expect("a list").iter().map(|span| text(&span["state"]));
        let phases = phases.collect();
        (text(&details["triggerCause"]), details["terminatedReason"].as_str().map(str::to_owned), phases)
    };
    ids.iter().map(tell).collect()
}

fn rescale(cause: &str, reason: Option<&str>, phases: &[&str]) -> Told {
    (cause.to_owned(), reason.map(str::to_owned), phases.iter().map(|phase| (*phase).to_owned()).collect())
}

fn initial() -> Told {
    let phases = ["Created", "WaitingForResources", "CreatingExecutionGraph", "Executing"];
    rescale("INITIAL_SCHEDULE", Some("SUCCEEDED"), &phases)
}

#[test]
fn a_rescale_tells_what_the_job_had_wants_and_got() {
    let mut sim = remembering();
    let job = sim.job(&program());
    let first = rescales(&mut sim, &job, "history")[0].clone();
    assert_eq!((&first["terminalState"], &first["rescaleAttemptId"]), (&json!("COMPLETED"), &json!(1)));
    assert_eq!((&first["vertices"], &first["schedulerStates"]), (&json!({}), &json!([])), "only details have them");
    sim.wait(2000);
    put(&mut sim, &job, 1, 9);
    let path = format!("details/{}", text(&rescales(&mut sim, &job, "history")[0]["rescaleUuid"]));
    let details = rescales(&mut sim, &job, &path);
    let parallelism = |details: &Value, vertex: &str| {
        ["desired", "sufficient", "preRescale", "postRescale"]
            .map(|which| details["vertices"][vertex][format!("{which}Parallelism")].clone())
    };
    assert_eq!(parallelism(&details, SOURCE_ID), [json!(9), json!(1), json!(2), Value::Null]);
    assert_eq!((&details["endTimestampInMillis"], &details["terminalState"]), (&Value::Null, &Value::Null));
    sim.wait(2000);
    let details = rescales(&mut sim, &job, &path);
    assert_eq!(parallelism(&details, SINK_ID), [json!(9), json!(1), json!(2), json!(4)], "there are four slots");
    let slots = details["slots"].as_object().and_then(|slots| slots.values().next()).expect("a group");
    assert_eq!((&slots["preRescaleSlots"], &slots["postRescaleSlots"]), (&json!(2), &json!(4)));
    assert_eq!(slots["acquiredResourceProfile"]["cpuCores"], 1.0);
    assert_eq!(slots["requestResourceProfile"]["cpuCores"], -1.0);
    let spans = &details["schedulerStates"];
    let time = |value: &Value| value.as_u64().expect("a time");
    assert!(time(&spans[0]["enterTimestampInMillis"]) < time(&details["startTimestampInMillis"]), "it ran before");
    assert_eq!(spans[3]["leaveTimestampInMillis"], details["endTimestampInMillis"]);
    let phases = ["Executing", "Restarting", "CreatingExecutionGraph", "Executing"];
    assert_eq!(told(&mut sim, &job), [rescale("UPDATE_REQUIREMENT", Some("SUCCEEDED"), &phases), initial()]);
}

#[test]
fn new_bounds_end_a_rescale_and_equal_bounds_do_nothing() {
    let mut sim = remembering();
    let job = sim.job(&program());
    sim.wait(2000);
    put(&mut sim, &job, 1, 2);
    assert_eq!(told(&mut sim, &job), [initial()], "nothing is new");
    put(&mut sim, &job, 2, 2);
    sim.wait(60_000);
    assert_eq!(told(&mut sim, &job)[0], rescale("UPDATE_REQUIREMENT", None, &[]), "it changes nothing, and stays");
    put(&mut sim, &job, 1, 1);
    sim.wait(2000);
    let phases = ["Executing", "Restarting", "CreatingExecutionGraph", "Executing"];
    let updated = rescale("UPDATE_REQUIREMENT", Some("RESOURCE_REQUIREMENTS_UPDATED"), &["Executing"]);
    assert_eq!(told(&mut sim, &job), [rescale("UPDATE_REQUIREMENT", Some("SUCCEEDED"), &phases), updated, initial()]);
    assert_eq!(sim.cluster.jobs()[0].parallelism, 1);
}

#[test]
fn bounds_that_come_within_the_cool_down_and_change_nothing_are_ignored_at_its_end() {
    let mut sim = remembering();
    let job = sim.job(&program());
    put(&mut sim, &job, 2, 2);
    sim.wait(2000);
    let ignored = rescale("UPDATE_REQUIREMENT", Some("NO_RESOURCES_OR_PARALLELISMS_CHANGE"), &[]);
    assert_eq!(told(&mut sim, &job), [ignored, initial()]);
}

#[test]
fn a_failure_takes_over_the_rescale_in_progress_or_is_another_attempt() {
    let mut sim = remembering();
    let job = sim.job(&Program::endless("job").parallelism(4).fails_after(Duration::from_secs(5)).fails_times(2));
    sim.wait(2000);
    put(&mut sim, &job, 1, 9);
    let updated = rescales(&mut sim, &job, "history")[0].clone();
    sim.wait(3500);
    let phases = ["Executing", "Restarting", "CreatingExecutionGraph", "Executing"];
    assert_eq!(told(&mut sim, &job), [rescale("RECOVERABLE_FAILOVER", None, &phases[..1]), initial()]);
    sim.wait(2000);
    let failover = rescale("RECOVERABLE_FAILOVER", Some("SUCCEEDED"), &phases);
    assert_eq!(told(&mut sim, &job), [failover.clone(), initial()]);
    sim.wait(6000);
    assert_eq!(told(&mut sim, &job), [failover.clone(), failover, initial()]);
    let history = rescales(&mut sim, &job, "history");
    for (entry, attempt) in [(&history[0], 2), (&history[1], 1)] {
        assert_eq!(entry["rescaleAttemptId"], attempt);
        assert_eq!(entry["resourceRequirementsUuid"], updated["resourceRequirementsUuid"]);
    }
    assert_eq!(history[1]["rescaleUuid"], updated["rescaleUuid"]);
    assert_ne!(history[1]["startTimestampInMillis"], updated["startTimestampInMillis"], "it starts with the failure");
}

#[test]
fn a_failure_that_ends_the_job_is_told_by_the_phase_that_it_ended() {
    let mut sim = remembering();
    let job = sim.job(&Program::endless("job").parallelism(4).fails_after(Duration::from_secs(5)).restarts(0));
    sim.wait(2000);
    put(&mut sim, &job, 1, 9);
    sim.wait(4000);
    assert_eq!(told(&mut sim, &job)[0], rescale("UPDATE_REQUIREMENT", Some("JOB_FAILED"), &["Executing"]));
    let id = text(&rescales(&mut sim, &job, "history")[0]["rescaleUuid"]);
    let details = rescales(&mut sim, &job, &format!("details/{id}"));
    let exception = text(&details["schedulerStates"][0]["stringifiedException"]);
    assert!(exception.starts_with("org.apache.flink.runtime.JobException: Recovery is suppressed by"), "{exception}");
}

#[test]
fn what_ends_a_job_ends_its_rescale() {
    for (end, reason, last) in [
        ("cancel", "JOB_CANCELED", "Executing"),
        ("stop", "JOB_FINISHED", "StopWithSavepoint"),
        ("failed stop", "NO_RESOURCES_OR_PARALLELISMS_CHANGE", "StopWithSavepoint"),
    ] {
        let mut sim = remembering();
        let job = sim.job(&Program::endless("job").parallelism(4));
        sim.wait(2000);
        put(&mut sim, &job, 1, 9);
        sim.wait(2000);
        let target = if end == "failed stop" { "file:///proc/none" } else { "file:///savepoints" };
        let answer = match end {
            "cancel" => sim.ask("PATCH", &format!("/v1/jobs/{job}"), &Value::Null),
            _ => sim.post(&format!("/v1/jobs/{job}/stop"), &json!({ "targetDirectory": target })),
        };
        assert_eq!(answer.0, 202, "{answer:?}");
        sim.wait(2000);
        let (_, told, phases) = told(&mut sim, &job).remove(0);
        assert_eq!((told.as_deref(), phases.last().map(String::as_str)), (Some(reason), Some(last)), "{end}");
    }
}

#[test]
fn a_job_that_waits_for_slots_is_in_its_first_rescale() {
    let mut sim = remembering();
    let other = sim.job(&Program::endless("other").parallelism(4));
    let job = sim.job(&program());
    assert_eq!(told(&mut sim, &job), [rescale("INITIAL_SCHEDULE", None, &["Created"])]);
    sim.ask("PATCH", &format!("/v1/jobs/{other}"), &Value::Null);
    sim.wait(1000);
    assert_eq!(told(&mut sim, &job), [initial()]);
    let waiting = sim.job(&Program::endless("waiting").parallelism(4));
    sim.ask("PATCH", &format!("/v1/jobs/{waiting}"), &Value::Null);
    sim.wait(1000);
    // It has no tasks that would have to be canceled.
    let ended = rescale("INITIAL_SCHEDULE", Some("JOB_FINISHED"), &["Created", "WaitingForResources"]);
    assert_eq!(told(&mut sim, &waiting), [ended]);
}

#[test]
fn a_job_that_cannot_be_initialized_has_a_failed_rescale() {
    let mut sim = remembering();
    sim.run(&program(), &json!({ "savepointPath": "file:///none" }));
    let job = sim.cluster.jobs()[0].id.clone();
    let failed = rescale("INITIAL_SCHEDULE", Some("EXCEPTION_OCCURRED"), &["Created", "WaitingForResources"]);
    assert_eq!(told(&mut sim, &job), [failed]);
    let overview = rescales(&mut sim, &job, "overview");
    assert_eq!(overview["rescalesCounts"], json!({ "ignored": 0, "inProgress": 0, "completed": 0, "failed": 1 }));
    assert_eq!(overview["latest"]["failed"]["terminalState"], "FAILED");
}

#[test]
fn the_oldest_rescales_are_forgotten_and_still_counted() {
    let mut sim = remembering();
    let job = sim.job(&program());
    let first = text(&rescales(&mut sim, &job, "history")[0]["rescaleUuid"]);
    sim.wait(2000);
    for upper in 9..13 {
        put(&mut sim, &job, 2, upper);
        sim.wait(100);
    }
    assert_eq!(rescales(&mut sim, &job, "history").as_array().map(Vec::len), Some(3));
    let forgotten = sim.get(&format!("/v1/jobs/{job}/rescales/details/{first}"));
    assert!(forgotten.0 == 404 && errors(&forgotten).contains(&format!("specified rescaleUuid {first}.")));
    let overview = rescales(&mut sim, &job, "overview");
    assert_eq!(overview["rescalesCounts"], json!({ "ignored": 3, "inProgress": 1, "completed": 1, "failed": 0 }));
    assert_eq!(overview["latest"]["completed"]["rescaleUuid"], *first, "the overview keeps it");
    let summary = rescales(&mut sim, &job, "summary");
    assert_eq!(summary["rescalesCounts"], overview["rescalesCounts"]);
    assert_eq!(summary["ignoredRescalesDurationStatsInMillis"]["p50"], 100.0);
    assert_eq!(summary["failedRescalesDurationStatsInMillis"]["p50"], "NaN");
}

#[test]
fn what_is_unknown_is_rejected() {
    let mut sim = remembering();
    let job = sim.job(&program());
    assert_eq!(rescales(&mut sim, &job, "config")["rescaleHistoryMax"], 3);
    let unknown = "f".repeat(32);
    for path in ["config", "history", "overview", "summary", &format!("details/{unknown}")] {
        assert_eq!(sim.get(&format!("/v1/jobs/{unknown}/rescales/{path}")).0, 404, "{path}");
    }
    let rejected = sim.get(&format!("/v1/jobs/{job}/rescales/details/xyz"));
    assert!(rejected.0 == 400 && errors(&rejected).contains("(rescaleuuid)"), "{rejected:?}");
    let mut old = Sim::with(Config { version: "2.2.0".into(), ..config() });
    let job = old.job(&program());
    assert_eq!(old.get(&format!("/v1/jobs/{job}/rescales/history")).0, 404);
}

#[test]
fn the_history_server_keeps_the_rescales_of_a_job() {
    let mut sim = remembering();
    let job = sim.job(&program());
    let id = text(&rescales(&mut sim, &job, "history")[0]["rescaleUuid"]);
    sim.ask("PATCH", &format!("/v1/jobs/{job}"), &Value::Null);
    sim.wait(20_000);
    let cluster = Arc::new(Mutex::new(std::mem::replace(&mut sim.cluster, Cluster::new(Config::default()))));
    let mut history = History::new(cluster);
    let mut get = |path: &str| {
        let path = format!("/jobs/{job}/rescales/{path}");
        read(&history.handle(sim.now, &http::Request::get(path).body(Bytes::new()).expect("a request")))
    };
    assert_eq!(get("history").1[0]["rescaleUuid"], *id);
    assert_eq!(get(&format!("details/{id}")).1["terminatedReason"], "SUCCEEDED");
    assert_eq!(get("overview").1["rescalesCounts"]["completed"], 1);
    assert_eq!(get("summary").1["rescalesCounts"]["completed"], 1);
    assert_eq!(get("config").1["rescaleHistoryMax"], 3);
    assert_eq!(get(&format!("details/{}", "f".repeat(32))), (404, json!({ "errors": ["File not found."] })));
}
