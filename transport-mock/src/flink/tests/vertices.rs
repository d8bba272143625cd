//! Vertices, their subtasks and attempts, and checkpoints by subtask.

use serde_json::{Value, json};

use super::super::job::{SINK_ID, SOURCE_ID};
use super::super::{Config, Program};
use super::{START, Sim, errors};

const UNKNOWN: &str = "ffffffffffffffffffffffffffffffff";

fn start_millis() -> u64 {
    u64::try_from(START.as_millis()).expect("a time")
}

/// A job with two subtasks in each vertex that has run for a second.
fn running(config: Config) -> (Sim, String) {
    let mut sim = Sim::with(config);
    let job = sim.job(&Program::endless("job").parallelism(2));
    sim.wait(1000);
    (sim, job)
}

/// A job that has failed after one restart.
fn failed(adaptive_scheduler: bool, version: &str) -> (Sim, String) {
    let config = Config { adaptive_scheduler, version: version.into(), ..Config::default() };
    let mut sim = Sim::with(config);
    let job = sim.job(&Program::endless("job").checkpoint_interval(None).restarts(1).fails_after(20));
    sim.wait(5000);
    assert_eq!(sim.state(&job), "FAILED");
    (sim, job)
}

#[test]
fn a_vertex_has_its_subtasks_and_takes_them_together() {
    let (mut sim, job) = running(Config::default());
    let (status, vertex) = sim.get(&format!("/v1/jobs/{job}/vertices/{SINK_ID}"));
    assert_eq!((status, &vertex["subtasks"][1]["metrics"]["read-records"]), (200, &json!(50)));
    let first = &vertex["subtasks"][0];
    assert_eq!(
        first["status-duration"],
        json!({ "CREATED": 25, "SCHEDULED": 50, "DEPLOYING": 50, "INITIALIZING": 50, "RUNNING": 1000 })
    );
    assert_eq!((&first["endpoint"], &first["host"]), (&json!("localhost:33509"), &Value::Null));
    let read = &vertex["aggregated"]["metrics"]["read-records"];
    assert_eq!(
        *read,
        json!({ "min": 50, "max": 50, "avg": 50, "sum": 100, "median": 50, "p25": 50, "p75": 50, "p95": 50 })
    );
    assert_eq!(vertex["aggregated"]["status-duration"]["RUNNING"]["sum"], 2000);
    let managers = sim.get(&format!("/v1/jobs/{job}/vertices/{SINK_ID}/taskmanagers")).1;
    assert_eq!(managers["taskmanagers"][0]["status-counts"]["RUNNING"], 2);
    assert_eq!(managers["taskmanagers"][0]["aggregated"], vertex["aggregated"]);
    assert_eq!(sim.get(&format!("/v1/jobs/{job}/vertices/{SINK_ID}/subtasks/0")).1, *first);
    assert_eq!(sim.get(&format!("/v1/jobs/{job}/vertices/{SINK_ID}/subtasks/0/attempts/0")).1, *first);
}

#[test]
fn hosts_and_aggregates_come_and_go_with_the_releases() {
    for (version, has_host, has_endpoint, has_aggregate) in [
        ("1.13.6", true, false, false),
        ("1.18.1", true, false, true),
        ("1.20.5", true, true, true),
        ("2.3.0", false, true, true),
    ] {
        let (mut sim, job) = running(Config { version: version.into(), ..Config::default() });
        let vertex = sim.get(&format!("/v1/jobs/{job}/vertices/{SOURCE_ID}")).1;
        let subtask = &vertex["subtasks"][0];
        assert_eq!(subtask["host"].is_string(), has_host, "{version}");
        assert_eq!(subtask["endpoint"].is_string(), has_endpoint, "{version}");
        assert_eq!(vertex["aggregated"].is_object(), has_aggregate, "{version}");
        assert_eq!(subtask["status-duration"].is_object(), has_aggregate, "{version}");
    }
}

#[test]
fn times_and_accumulators_of_subtasks() {
    let (mut sim, job) = running(Config::default());
    let vertex = format!("/v1/jobs/{job}/vertices/{SINK_ID}");
    let times = sim.get(&format!("{vertex}/subtasktimes")).1;
    let submitted = start_millis();
    assert_eq!(times["subtasks"][1]["timestamps"]["RUNNING"], submitted + 200);
    assert_eq!(times["subtasks"][1]["timestamps"]["FAILED"], 0);
    assert_eq!((&times["subtasks"][0]["duration"], &times["now"]), (&json!(1150), &json!(submitted + 1200)));
    let counted = json!([{ "name": "records", "type": "LongCounter", "value": "50" }]);
    let subtasks = sim.get(&format!("{vertex}/subtasks/accumulators")).1;
    assert_eq!((&subtasks["parallelism"], &subtasks["subtasks"][1]["user-accumulators"]), (&json!(2), &counted));
    assert_eq!(sim.get(&format!("{vertex}/accumulators")).1["user-accumulators"][0]["value"], "100");
    let attempt = sim.get(&format!("{vertex}/subtasks/1/attempts/0/accumulators")).1;
    assert_eq!(attempt["user-accumulators"], counted);
    assert!(attempt["id"].as_str().is_some_and(|id| id.ends_with(&format!("_{SINK_ID}_1_0"))), "{attempt}");
    let source = sim.get(&format!("/v1/jobs/{job}/vertices/{SOURCE_ID}/accumulators"));
    assert_eq!(source, (200, json!({ "id": SOURCE_ID, "user-accumulators": [] })));
}

#[test]
fn the_default_scheduler_remembers_earlier_attempts_and_the_adaptive_one_does_not() {
    for (adaptive, status) in [(false, 200), (true, 404)] {
        let (mut sim, job) = failed(adaptive, "2.3.0");
        let subtask = format!("/v1/jobs/{job}/vertices/{SINK_ID}/subtasks/0");
        let now = sim.get(&subtask).1;
        assert_eq!((&now["attempt"], &now["status"]), (&json!(1), &json!("FAILED")));
        assert_eq!(sim.get(&format!("/v1/jobs/{job}/vertices/{SOURCE_ID}/subtasks/0")).1["status"], "CANCELED");
        let before = sim.get(&format!("{subtask}/attempts/0"));
        assert_eq!(before.0, status, "{before:?}");
        if adaptive {
            assert!(errors(&before).contains("Invalid attempt num 0"), "{before:?}");
        } else {
            assert_eq!((&before.1["attempt"], &before.1["status"]), (&json!(0), &json!("FAILED")));
        }
    }
}

#[test]
fn a_task_without_a_slot_is_nowhere() {
    let mut sim = Sim::new();
    let job = sim.job(&Program::endless("job").never_runs());
    let subtask = sim.get(&format!("/v1/jobs/{job}/vertices/{SINK_ID}/subtasks/0")).1;
    assert_eq!((&subtask["status"], &subtask["endpoint"]), (&json!("SCHEDULED"), &json!("(unassigned)")));
    assert_eq!((&subtask["start-time"], &subtask["status-duration"]["RUNNING"]), (&json!(-1), &json!(-1)));
}

#[test]
fn what_a_vertex_does_not_have_is_404() {
    let (mut sim, job) = running(Config::default());
    let vertex = format!("/v1/jobs/{job}/vertices/{SINK_ID}");
    let unknown = format!("/v1/jobs/{job}/vertices/{UNKNOWN}");
    let no_vertex = format!("No vertex with ID '{UNKNOWN}' exists.");
    for (path, text) in [
        (format!("{unknown}/accumulators"), &*no_vertex),
        (format!("{unknown}/subtasktimes"), &no_vertex),
        (format!("{unknown}/subtasks/accumulators"), &no_vertex),
        (format!("{unknown}/subtasks/0"), &no_vertex),
        (format!("{unknown}/watermarks"), &no_vertex),
        (format!("{unknown}/taskmanagers"), "JobVertex ffffffffffffffffffffffffffffffff not found"),
        (format!("{vertex}/subtasks/2"), "Invalid subtask index for vertex"),
        (format!("{vertex}/subtasks/0/attempts/1"), "Invalid attempt num 1"),
        (format!("{vertex}/subtasks/0/attempts/1/accumulators"), "Invalid attempt num 1"),
        (format!("/v1/jobs/{UNKNOWN}/vertices/{SINK_ID}/subtasktimes"), "not found"),
        (format!("/v1/jobs/{UNKNOWN}/vertices/{SINK_ID}/watermarks"), "not found"),
    ] {
        let answer = sim.get(&path);
        assert!(answer.0 == 404 && errors(&answer).contains(text), "{path}: {answer:?}");
    }
    let answer = sim.get(&format!("{vertex}/subtasks/x"));
    assert!(answer.0 == 400 && errors(&answer).contains("(subtaskindex)"), "{answer:?}");
}

#[test]
fn back_pressure_and_watermarks_come_from_the_metrics() {
    let (mut sim, job) = running(Config::default());
    let vertex = format!("/v1/jobs/{job}/vertices/{SINK_ID}");
    assert_eq!(sim.get(&format!("{vertex}/backpressure")), (200, json!({ "status": "deprecated" })), "not fetched yet");
    sim.wait(100);
    let answer = sim.get(&format!("{vertex}/backpressure")).1;
    assert_eq!((&answer["status"], &answer["end-timestamp"]), (&json!("ok"), &json!(start_millis() + 1250)));
    assert_eq!(
        answer["subtasks"][1],
        json!({
            "subtask": 1, "backpressureLevel": "ok", "backpressure-level": "ok",
            "ratio": 0.0, "idleRatio": 0.0, "busyRatio": 1.0,
        })
    );
    let lowest = i64::MIN.to_string();
    assert_eq!(
        sim.get(&format!("{vertex}/watermarks")).1,
        json!([
            { "id": "0.currentInputWatermark", "value": lowest },
            { "id": "1.currentInputWatermark", "value": lowest },
        ])
    );
    assert_eq!(sim.get(&format!("/v1/jobs/{job}/vertices/{SOURCE_ID}/watermarks")), (200, json!([])));
    let unknown = format!("/v1/jobs/{job}/vertices/{UNKNOWN}/backpressure");
    assert_eq!(sim.get(&unknown), (200, json!({ "status": "deprecated" })));
}

#[test]
fn a_checkpoint_is_told_by_vertex_and_by_subtask() {
    let (mut sim, job) = running(Config::default());
    sim.wait(100);
    let checkpoint = format!("/v1/jobs/{job}/checkpoints/details/1");
    let details = sim.get(&checkpoint).1;
    assert_eq!((&details["status"], &details["num_subtasks"]), (&json!("COMPLETED"), &json!(4)));
    let tasks = [&details["tasks"][SOURCE_ID], &details["tasks"][SINK_ID]];
    let sizes: u64 = tasks.iter().filter_map(|task| task["state_size"].as_u64()).sum();
    assert_eq!(details["state_size"], sizes);
    let sink = sim.get(&format!("{checkpoint}/subtasks/{SINK_ID}")).1;
    assert_eq!(sink["summary"]["state_size"]["avg"], sink["subtasks"][1]["state_size"]);
    assert_eq!(sink["summary"]["state_size"]["p50"], "NaN");
    assert_eq!(sink["summary"]["alignment"]["buffered"]["p50"], 0.0);
    assert_eq!(
        (&sink["subtasks"][0]["className"], &sink["subtasks"][0]["status"]),
        (&json!("completed"), &json!("completed"))
    );
    for (path, text) in [
        (
            format!("/v1/jobs/{job}/checkpoints/details/99"),
            "Could not find checkpointing statistics for checkpoint 99.",
        ),
        (format!("{checkpoint}/subtasks/{UNKNOWN}"), "There is no checkpoint statistics for task"),
    ] {
        let answer = sim.get(&path);
        assert!(answer.0 == 404 && errors(&answer).contains(text), "{path}: {answer:?}");
    }
    assert_eq!(sim.get(&format!("/v1/jobs/{job}/checkpoints/details/x")).0, 400);
}

#[test]
fn the_subtasks_of_a_failed_checkpoint_have_told_nothing() {
    let (mut sim, job) = running(Config::default());
    sim.post(&format!("/v1/jobs/{job}/savepoints"), &json!({ "target-directory": "file:///proc/none" }));
    sim.wait(20);
    let failed = sim.get(&format!("/v1/jobs/{job}/checkpoints")).1["latest"]["failed"].clone();
    let sink = sim.get(&format!("/v1/jobs/{job}/checkpoints/details/{}/subtasks/{SINK_ID}", failed["id"])).1;
    assert_eq!(sink["subtasks"][1], json!({ "className": "pending", "index": 1, "status": "pending_or_failed" }));
    assert_eq!((&sink["end_to_end_duration"], &sink["num_acknowledged_subtasks"]), (&json!(-1), &json!(0)));
}

#[test]
fn the_adaptive_scheduler_does_not_say_which_task_failed() {
    for (adaptive, concurrent) in [(false, 1), (true, 0)] {
        let (mut sim, job) = failed(adaptive, "1.20.5");
        let body = sim.get(&format!("/v1/jobs/{job}/exceptions")).1;
        let entries = &body["exceptionHistory"]["entries"];
        assert_eq!(entries[0]["concurrentExceptions"].as_array().map(Vec::len), Some(concurrent));
        assert_eq!(entries[1]["taskName"].is_null(), adaptive, "{entries}");
        assert!(body["root-exception"].as_str().is_some_and(|root| root.contains("Recovery is suppressed")), "{body}");
        assert_eq!(body["all-exceptions"][0]["task"], "count per key -> Sink: print (1/1)");
        assert_eq!(body["all-exceptions"][0]["endpoint"], "localhost:33509");
    }
}
