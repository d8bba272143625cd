//! Rescaling, removal of savepoints and data sets, flame graphs.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::job::{SINK_ID, SOURCE_ID};
use super::super::{Config, Program};
use super::Sim;

fn adaptive() -> Sim {
    Sim::with(Config { adaptive_scheduler: true, flame_graphs: true, ..Config::default() })
}

fn bounds(source: (u32, u32), sink: (u32, u32)) -> Value {
    let bounds = |(lower, upper)| json!({ "parallelism": { "lowerBound": lower, "upperBound": upper } });
    json!({ SOURCE_ID: bounds(source), SINK_ID: bounds(sink) })
}

#[test]
fn a_job_follows_its_bounds_when_the_cool_down_is_over() {
    let mut sim = adaptive();
    let job = sim.job(&Program::endless("job"));
    sim.wait(2000);
    let path = format!("/v1/jobs/{job}/resource-requirements");
    assert_eq!(sim.get(&path), (200, bounds((1, 1), (1, 1))));
    let before = sim.cluster.jobs()[0].records;
    assert_eq!(sim.ask("PUT", &path, &bounds((1, 3), (1, 9))), (200, json!({})));
    assert_eq!(sim.get(&path), (200, bounds((1, 3), (1, 9))), "at once");
    sim.wait(29_000);
    assert_eq!(sim.cluster.jobs()[0].parallelism, 1, "not yet");
    sim.wait(10_000);
    let view = sim.cluster.jobs().remove(0);
    // Four slots, however much was asked for.
    assert_eq!((&*view.state, view.parallelism, view.restarts), ("RUNNING", 4, 0));
    assert!(view.records >= before && view.restored_from.is_some(), "{view:?}");
    let (_, details) = sim.get(&format!("/v1/jobs/{job}"));
    let each: Vec<_> = (0..2).map(|vertex| details["vertices"][vertex]["parallelism"].clone()).collect();
    assert_eq!((each, &details["schedulerType"]), (vec![json!(3), json!(4)], &json!("Adaptive")));
    let (_, overview) = sim.get("/v1/jobs/overview");
    assert_eq!(overview["jobs"][0]["tasks"]["running"], 7);
}

#[test]
fn bounds_are_checked() {
    let mut sim = adaptive();
    let job = sim.job(&Program::endless("job"));
    let path = format!("/v1/jobs/{job}/resource-requirements");
    for (body, message) in [
        (json!({}), "does not specify resource requirements"),
        (bounds((0, 0), (1, 1)), "must be greater than zero"),
        (bounds((3, 2), (1, 1)), "is higher than the upper bound [2]"),
        (bounds((1, 4096), (1, 1)), "exceeds its maximum parallelism 128"),
        (json!({ SOURCE_ID: { "parallelism": { "lowerBound": 1, "upperBound": 1 } } }), "missing job vertex"),
    ] {
        let (status, answer) = sim.ask("PUT", &path, &body);
        assert!(status == 400 && answer.to_string().contains(message), "{status} {answer}");
    }
    let (status, answer) = Sim::new().get(&path);
    assert!(status == 500 && answer.to_string().contains("FlinkJobNotFoundException"), "{answer}");
    let mut sim = Sim::new();
    let job = sim.job(&Program::endless("job"));
    let (status, answer) = sim.get(&format!("/v1/jobs/{job}/resource-requirements"));
    assert!(status == 500 && answer.to_string().contains("The DefaultScheduler does not support"), "{answer}");
    assert_eq!(sim.ask("PATCH", &format!("/v1/jobs/{job}/rescaling?parallelism=2"), &Value::Null).0, 503);
}

#[test]
fn a_savepoint_is_disposed_of_once() {
    let mut sim = Sim::new();
    let job = sim.job(&Program::endless("job"));
    sim.post(&format!("/v1/jobs/{job}/savepoints"), &json!({}));
    sim.wait(1000);
    let path = sim.cluster.savepoints()[0].path.clone();
    assert!(sim.cluster.is_stored(&path));
    for gone in [false, true] {
        let (status, trigger) = sim.post("/v1/savepoint-disposal", &json!({ "savepoint-path": path }));
        assert_eq!(status, 200, "not 202");
        let at = format!("/v1/savepoint-disposal/{}", trigger["request-id"].as_str().expect("an id"));
        assert_eq!(sim.get(&at).1["status"]["id"], "IN_PROGRESS");
        sim.wait(100);
        let (_, answer) = sim.get(&at);
        assert_eq!(answer["status"]["id"], "COMPLETED");
        assert_eq!(answer.to_string().contains("FileNotFoundException"), gone, "{answer}");
        // Its result is kept for five minutes.
        sim.wait(301_000);
        assert_eq!(sim.get(&at).0, 404);
    }
    assert!(!sim.cluster.is_stored(&path));
    assert_eq!(sim.post("/v1/savepoint-disposal", &json!({})).0, 400);
}

#[test]
fn data_sets_are_deleted_known_or_not() {
    let mut sim = Sim::new();
    let id = "77432d037795ecc38fa3988dc214af95";
    sim.cluster.add_dataset(id);
    assert_eq!(sim.get("/v1/datasets").1, json!({ "dataSets": [{ "id": id, "isComplete": true }] }));
    for _ in 0..2 {
        let (status, trigger) = sim.ask("DELETE", &format!("/v1/datasets/{id}"), &Value::Null);
        assert_eq!(status, 202);
        sim.wait(100);
        let at = format!("/v1/datasets/delete/{}", trigger["request-id"].as_str().expect("an id"));
        assert_eq!(sim.get(&at).1, json!({ "status": { "id": "COMPLETED" }, "operation": {} }));
    }
    assert_eq!(sim.get("/v1/datasets").1, json!({ "dataSets": [] }));
    assert_eq!(sim.ask("DELETE", "/v1/datasets/xyz", &Value::Null).0, 400);
}

#[test]
fn a_flame_graph_is_there_after_a_while() {
    let mut sim = adaptive();
    let job = sim.job(&Program::endless("job"));
    let path = format!("/v1/jobs/{job}/vertices/{SINK_ID}/flamegraph");
    assert_eq!(sim.get(&path), (200, json!({ "endTimestamp": -3 })));
    sim.wait(1000);
    // Deeper than most readers of JSON go by themselves.
    let answer = sim.send("GET", &format!("{path}?type=off_cpu&subtaskindex=0"), "");
    let graph = String::from_utf8_lossy(answer.body()).into_owned();
    assert_eq!((answer.status().as_u16(), graph.matches(r#""value":20"#).count()), (200, 100));
    assert_eq!(sim.get(&format!("{path}?subtaskindex=9")).0, 404);
    assert_eq!(sim.get(&path.replace(SINK_ID, &"0".repeat(32))).0, 404);
    sim.ask("PATCH", &format!("/v1/jobs/{job}"), &Value::Null);
    sim.wait(10_000);
    assert_eq!(sim.get(&path), (200, json!({ "endTimestamp": -1 })));
    let mut sim = Sim::with(Config { rescale_delay: Duration::ZERO, ..Config::default() });
    let job = sim.job(&Program::endless("job"));
    assert_eq!(sim.get(&format!("/v1/jobs/{job}/vertices/{SINK_ID}/flamegraph")).1, json!({ "endTimestamp": -2 }));
}

#[test]
fn a_process_is_profiled_once_at_a_time() {
    let mut sim = Sim::with(Config { profiling: true, ..Config::default() });
    let body = json!({ "mode": "ITIMER", "duration": 2 });
    for path in ["/v1/jobmanager/profiler", "/v1/taskmanagers/127.0.0.1:44883-f8bb4a/profiler"] {
        assert_eq!(sim.get(path).1, json!({ "profilingList": [] }));
        let (status, started) = sim.post(path, &body);
        assert_eq!((status, &started["status"]), (200, &json!("RUNNING")));
        let busy = sim.post(path, &body);
        assert!(busy.0 == 500 && busy.1.to_string().contains("is still under profiling"), "{busy:?}");
        sim.wait(3000);
        let profile = sim.get(path).1["profilingList"][0].clone();
        assert_eq!((&profile["status"], &profile["triggerTime"]), (&json!("FINISHED"), &started["triggerTime"]));
        let file = profile["outputFile"].as_str().expect("a file").to_owned();
        let answer = sim.send("GET", &format!("{path}/{file}"), "");
        assert!(answer.status() == 200 && answer.headers()["content-type"] == "text/plain", "{answer:?}");
        assert!(matches!(sim.get(&format!("{path}/nope.html")).0, 404 | 500));
        let (status, _) = sim.post(path, &json!({ "mode": "ITIMER", "duration": 301 }));
        assert_eq!(status, 500);
        assert_eq!(sim.post(path, &json!({ "mode": "NOPE", "duration": 1 })).0, 400);
    }
    assert_eq!(sim.get("/v1/taskmanagers/absent/profiler").0, 404);
    assert_eq!(sim.get("/v1/taskmanagers/absent/profiler/a.html").0, 404);
    for mut closed in [Sim::new(), Sim::with(Config { profiling: true, version: "1.18.1".into(), ..Config::default() })]
    {
        assert_eq!(closed.post("/v1/jobmanager/profiler", &body).0, 404);
    }
}
