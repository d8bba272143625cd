//! Metrics, logs, and the HistoryServer.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::super::job::SINK_ID;
use super::super::{Cluster, Config, History, Program};
use super::{Sim, errors, read};

/// A job with two subtasks a vertex, whose metrics were fetched.
fn measured() -> (Sim, String) {
    let mut sim = Sim::new();
    let job = sim.job(&Program::endless("job").parallelism(2));
    sim.wait(2005);
    assert_eq!(sim.get("/v1/jobs/metrics"), (200, json!([])), "no client has asked before");
    sim.wait(100);
    (sim, job)
}

fn ids(answer: &(u16, Value)) -> Vec<&str> {
    answer.1.as_array().expect("a list").iter().filter_map(|metric| metric["id"].as_str()).collect()
}

#[test]
fn metrics_are_fetched_when_somebody_asks_and_kept_for_a_while() {
    let (mut sim, job) = measured();
    let path = format!("/v1/jobs/{job}/vertices/{SINK_ID}/subtasks/metrics?get=numRecordsIn&agg=sum");
    // As of the first question.
    let first = sim.get(&path);
    assert_eq!(first, (200, json!([{ "id": "numRecordsIn", "sum": 200.0 }])));
    sim.wait(9000);
    assert_eq!(sim.get(&path), first, "not older than ten seconds");
    sim.wait(1000);
    assert_eq!(sim.get(&path), first, "older, and this question has it fetched");
    sim.wait(100);
    assert_eq!(sim.get(&path).1[0]["sum"], 1210.0);
}

#[test]
fn metrics_come_plain_and_taken_together() {
    let (mut sim, job) = measured();
    let vertex = format!("/v1/jobs/{job}/vertices/{SINK_ID}");
    let plain = sim.get(&format!("{vertex}/metrics?get=1.numRecordsIn%2C0.numRecordsIn&get=no.such"));
    assert_eq!(
        plain.1,
        json!([{ "id": "0.numRecordsIn", "value": "100" }, { "id": "1.numRecordsIn", "value": "100" }])
    );
    assert_eq!(sim.get(&format!("{vertex}/subtasks/1/metrics?get=numRecordsIn")).1[0]["value"], "100");
    let names = sim.get(&format!("{vertex}/metrics"));
    assert!(ids(&names).join(",").len() > 2000 && ids(&names).iter().all(|name| name.starts_with(['0', '1'])));
    let all = sim.get(&format!("{vertex}/subtasks/metrics?get=numRecordsIn,busyTimeMsPerSecond"));
    assert_eq!(
        all.1[1],
        json!({ "id": "numRecordsIn", "min": 100.0, "max": 100.0, "avg": 100.0, "sum": 200.0, "skew": 0.0 })
    );
    // What is no number has a name and no value.
    assert!(ids(&sim.get("/v1/jobs/metrics")).contains(&"lastCheckpointExternalPath"));
    assert_eq!(sim.get("/v1/jobs/metrics?get=lastCheckpointExternalPath"), (200, json!([])));
    assert_eq!(
        ids(&sim.get("/v1/jobs/metrics?get=lastCheckpointExternalPath,uptime")),
        ["uptime"],
        "it is left out alone"
    );
    for aggregated in [format!("{vertex}/subtasks"), "/v1/jobs".to_owned(), "/v1/taskmanagers".to_owned()] {
        let names = sim.get(&format!("{aggregated}/metrics"));
        let known = ids(&names)[0];
        let with_unknown = sim.get(&format!("{aggregated}/metrics?get={known},no.such"));
        assert_eq!(with_unknown, (200, json!([])), "one unknown name empties the answer");
    }
    assert_eq!(sim.get("/v1/jobmanager/metrics?get="), (200, json!([])));
    assert_eq!(sim.get("/v1/jobmanager/metrics?get=numRunningJobs").1[0]["value"], "1");
}

#[test]
fn nothing_unknown_has_metrics_and_nothing_unreadable_is_taken() {
    let (mut sim, job) = measured();
    let unknown = "0".repeat(32);
    for path in [
        format!("/v1/jobs/{unknown}/metrics"),
        format!("/v1/jobs/{job}/vertices/{unknown}/metrics"),
        format!("/v1/jobs/{job}/vertices/{SINK_ID}/subtasks/9/metrics"),
        format!("/v1/jobs/{job}/vertices/{SINK_ID}/subtasks/metrics?get=numRecordsIn&subtasks=x"),
        format!("/v1/jobs/{job}/vertices/{SINK_ID}/jm-operator-metrics"),
        format!("/v1/jobs/metrics?get=uptime&jobs={unknown}"),
        "/v1/taskmanagers/nope/metrics".to_owned(),
        "/v1/taskmanagers/metrics?get=Status.JVM.Memory.Heap.Used&taskmanagers=nope".to_owned(),
    ] {
        assert_eq!(sim.get(&path), (200, json!([])), "{path}");
    }
    for (path, parameter) in
        [("/v1/jobs/metrics?get=uptime&jobs=xyz", "jobs"), ("/v1/taskmanagers/metrics?get=a&agg=median", "agg")]
    {
        let rejected = sim.get(path);
        assert!(rejected.0 == 400 && errors(&rejected).contains(&format!("({parameter})")), "{rejected:?}");
    }
    let mut old = Sim::version("1.18.1");
    assert_eq!(old.get("/v1/jobs/metrics?get=uptime&agg=skew").0, 400);
    assert_eq!(old.get(&format!("/v1/jobs/{job}/vertices/{SINK_ID}/jm-operator-metrics")).0, 404);
    // A job that has ended keeps its last metrics, except for those that say nothing any more.
    let busy = format!("/v1/jobs/{job}/vertices/{SINK_ID}/metrics?get=0.busyTimeMsPerSecond,0.numRecordsIn");
    assert_eq!(ids(&sim.get(&busy)), ["0.busyTimeMsPerSecond", "0.numRecordsIn"]);
    sim.ask("PATCH", &format!("/v1/jobs/{job}"), &Value::Null);
    sim.wait(11_000);
    sim.get("/v1/jobs/metrics");
    sim.wait(100);
    assert_eq!(ids(&sim.get(&busy)), ["0.numRecordsIn"]);
    assert_eq!(ids(&sim.get("/v1/jobs/metrics?get=uptime")), ["uptime"]);
    // They are forgotten with their job.
    sim.wait(3_600_000);
    sim.get("/v1/jobs/metrics");
    sim.wait(100);
    assert_eq!(sim.get("/v1/jobs/metrics"), (200, json!([])));
}

#[test]
fn logs_are_text_and_what_is_missing_is_rejected_in_three_ways() {
    let mut sim = Sim::new();
    let job = sim.job(&Program::endless("job"));
    sim.wait(100);
    let names = sim.get("/v1/jobmanager/logs").1;
    assert_eq!(names["logs"].as_array().map(Vec::len), Some(4));
    let log = sim.send("GET", "/v1/jobmanager/log", "");
    assert_eq!(log.headers()["content-type"], "text/plain");
    let log = String::from_utf8(log.body().to_vec()).expect("text");
    assert!(log.contains(&format!("Job job ({job}) switched from state CREATED to RUNNING.")), "{log}");
    assert_eq!(sim.send("GET", "/v1/jobmanager/logs/flink-jobmanager.log", "").body(), &log);
    let manager = "/v1/taskmanagers/127.0.0.1:44883-f8bb4a";
    let printed = sim.send("GET", &format!("{manager}/stdout"), "");
    assert_eq!(String::from_utf8_lossy(printed.body()).lines().count(), 10);
    assert!(sim.send("GET", "/v1/jobmanager/stdout", "").body().is_empty());
    for (path, status, words) in [
        ("/v1/jobmanager/logs/nope.log".to_owned(), 404, "does not exist in JobManager log dir"),
        (format!("{manager}/logs/nope.log"), 500, "The file nope.log does not exist on the TaskExecutor."),
        ("/v1/taskmanagers/nope/log".to_owned(), 404, "because it was unknown"),
        ("/v1/taskmanagers/nope/logs".to_owned(), 404, "Could not find TaskExecutor nope"),
    ] {
        let rejected = sim.get(&path);
        assert!(rejected.0 == status && errors(&rejected).contains(words), "{path}: {rejected:?}");
    }
}

#[test]
fn the_history_server_keeps_what_the_cluster_forgets() {
    let mut sim = Sim::new();
    let job = sim.job(&Program::bounded("job", 100));
    sim.wait(5000);
    assert_eq!(sim.state(&job), "FINISHED");
    let mut now = sim.now;
    let cluster = Arc::new(Mutex::new(std::mem::replace(&mut sim.cluster, Cluster::new(Config::default()))));
    let mut history = History::new(Arc::clone(&cluster));
    let ask = |history: &mut History, now, method: &str, path: &str| {
        let mut request = http::Request::new(Bytes::new());
        *request.method_mut() = method.parse().expect("a method");
        *request.uri_mut() = path.parse().expect("a path");
        history.handle(now, &request)
    };
    let get = |history: &mut History, now, path: &str| read(&ask(history, now, "GET", path));
    let details = format!("/jobs/{job}");
    let missing = (404, json!({ "errors": ["File not found."] }));
    assert_eq!(get(&mut history, now, &details), missing, "not yet");
    // The cluster forgets it, and the files stay.
    now += Duration::from_secs(7200);
    cluster.lock().expect("not poisoned").restart(now, Duration::ZERO);
    assert!(cluster.lock().expect("not poisoned").jobs().is_empty());
    assert_eq!(get(&mut history, now, &details).1["state"], "FINISHED");
    let later = now + Duration::from_secs(60);
    assert_eq!(get(&mut history, now, &details), get(&mut history, later, &details), "files do not change");
    assert_eq!(get(&mut history, now, "/jobs/overview").1["jobs"][0]["jid"], *job);
    assert_eq!(get(&mut history, now, &format!("{details}/exceptions?maxExceptions=x")).0, 200, "it is ignored");
    let accumulators = get(&mut history, now, &format!("{details}/accumulators")).1;
    assert!(accumulators["serialized-user-task-accumulators"]["records"].is_string(), "{accumulators}");
    assert_eq!(get(&mut history, now, &format!("{details}/vertices/{SINK_ID}")).1["id"], *SINK_ID);
    let vertex = format!("{details}/vertices/{SINK_ID}");
    for path in ["subtasktimes", "taskmanagers", "subtasks/0/attempts/0", "subtasks/0/attempts/0/accumulators"] {
        assert_eq!(get(&mut history, now, &format!("{vertex}/{path}")).0, 200, "{path}");
    }
    for path in ["accumulators", "subtasks/0", "subtasks/accumulators", "metrics"] {
        assert_eq!(get(&mut history, now, &format!("{vertex}/{path}")), missing, "{path}");
    }
    let application = format!("/applications/{job}");
    assert_eq!(get(&mut history, now, &application).1["status"], "FINISHED");
    assert_eq!(get(&mut history, now, "/applications/overview").1["applications"][0]["id"], *job);
    assert_eq!(get(&mut history, now, &format!("{application}/exceptions")).0, 200);
    for (known, kind) in [(&details, "jobs"), (&application, "applications")] {
        assert!(get(&mut history, now, &format!("{known}/jobmanager/config")).1.is_array(), "{kind}");
        assert_eq!(get(&mut history, now, &format!("/{kind}/{}/jobmanager/config", "0".repeat(32))), missing);
    }
    let rescales = get(&mut history, now, &format!("{details}/rescales/config"));
    let text = format!("AdaptiveScheduler is not enabled for this job ({job}).");
    assert_eq!(rescales, (200, json!({ "errors": [text] })), "a rejection is archived as the answer");
    let config = get(&mut history, now, "/config").1;
    assert_eq!((&config["features"]["web-history"], &config["refresh-interval"]), (&json!(true), &json!(10_000)));
    let unknown = format!("/jobs/{}", "0".repeat(32));
    for path in [
        &*format!("/v1{details}"),
        &format!("{details}/status"),
        &format!("{details}/"),
        "/jobs",
        "/overview",
        &unknown,
    ] {
        assert_eq!(get(&mut history, now, path), missing, "{path}");
    }
    let rejected = ask(&mut history, now, "PATCH", &details);
    assert_eq!(
        (rejected.status().as_u16(), &rejected.headers()["content-type"]),
        (500, &"text/plain".parse().expect("a value"))
    );
}

#[test]
fn a_cluster_keeps_no_history_of_rescales_by_default() {
    for adaptive_scheduler in [false, true] {
        let mut sim = Sim::with(Config { adaptive_scheduler, ..Config::default() });
        let job = sim.job(&Program::endless("job"));
        let rescales = format!("/v1/jobs/{job}/rescales");
        let config = sim.get(&format!("{rescales}/config"));
        if adaptive_scheduler {
            assert_eq!((config.0, &config.1["rescaleHistoryMax"]), (200, &json!(0)));
        } else {
            assert!(config.0 == 404 && errors(&config).contains("AdaptiveScheduler is not enabled"), "{config:?}");
        }
        let details = format!("details/{}", "0".repeat(32));
        for path in ["history", "overview", "summary", &details] {
            let rejected = sim.get(&format!("{rescales}/{path}"));
            assert!(rejected.0 == 404 && errors(&rejected).contains("RescalesUnavailableException"), "{rejected:?}");
        }
        assert_eq!(sim.get(&format!("{rescales}/details/xyz")).0, 400);
        assert_eq!(sim.get(&format!("/v1/jobs/{}/rescales/history", "0".repeat(32))).0, 404);
    }
}
