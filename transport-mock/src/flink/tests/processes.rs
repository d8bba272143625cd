//! What the processes of the cluster say of themselves: TaskManager, JobManager, their threads.

use serde_json::{Value, json};

use super::super::{Config, Program};
use super::{Sim, errors, text};

const TASK_MANAGER: &str = "/v1/taskmanagers/127.0.0.1:44883-f8bb4a";

#[test]
fn a_task_manager_shows_the_slots_and_tasks_of_running_jobs() {
    let mut sim = Sim::new();
    let listed = sim.get("/v1/taskmanagers").1["taskmanagers"][0].clone();
    assert_eq!(
        (&listed["slotsNumber"], &listed["freeSlots"], &listed["assignedTasks"]),
        (&json!(4), &json!(4), &json!(0))
    );
    assert_eq!(listed["totalResource"], listed["freeResource"]);
    assert_eq!(listed["memoryConfiguration"]["totalProcessMemory"], 1_409_286_144_u64);
    let job = sim.job(&Program::endless("x").parallelism(2));
    let details = sim.get(TASK_MANAGER).1;
    assert_eq!((&details["freeSlots"], &details["assignedTasks"]), (&json!(2), &json!(4)));
    assert_eq!(details["freeResource"]["taskHeapMemory"], 192);
    let slots = details["allocatedSlots"].as_array().expect("slots");
    assert_eq!(slots.len(), 2);
    for slot in slots {
        assert_eq!((&slot["jobId"], &slot["assignedTasks"]), (&json!(job), &json!(2)));
        assert_eq!(slot["resource"]["cpuCores"], 1.0);
    }
    assert_eq!(details["metrics"]["nettyShuffleMemorySegmentsUsed"], 8);
    sim.ask("PATCH", &format!("/v1/jobs/{job}"), &Value::Null);
    let details = sim.wait(1000).get(TASK_MANAGER).1;
    assert_eq!((&details["freeSlots"], &details["allocatedSlots"]), (&json!(4), &json!([])));
}

#[test]
fn a_task_manager_has_the_fields_of_its_release() {
    for (version, scheme, assigned, segments) in
        [("1.13.6", "akka.tcp", false, true), ("1.20.5", "pekko.tcp", false, true), ("2.3.0", "pekko.tcp", true, false)]
    {
        let details = Sim::version(version).get(TASK_MANAGER).1;
        assert!(text(&details["path"]).starts_with(scheme), "{version}");
        assert_eq!(details.get("assignedTasks").is_some(), assigned, "{version}");
        assert_eq!(details["metrics"].get("memorySegmentsTotal").is_some(), segments, "{version}");
    }
}

#[test]
fn an_unknown_task_manager_is_500() {
    let mut sim = Sim::new();
    for path in ["/v1/taskmanagers/nope", "/v1/taskmanagers/nope/thread-dump"] {
        let answer = sim.get(path);
        assert!(answer.0 == 500 && errors(&answer).contains("No TaskExecutor registered under nope."), "{answer:?}");
    }
}

#[test]
fn thread_dumps_name_the_threads_of_running_tasks() {
    let mut sim = Sim::new();
    let names = |dump: &Value| -> Vec<String> {
        dump["threadInfos"].as_array().expect("threads").iter().map(|thread| text(&thread["threadName"])).collect()
    };
    let path = format!("{TASK_MANAGER}/thread-dump");
    let task = "Source: numbers -> throttle (2/2)#0".to_owned();
    assert!(!names(&sim.get(&path).1).contains(&task));
    sim.job(&Program::endless("x").parallelism(2));
    let dump = sim.get(&path).1;
    assert!(names(&dump).contains(&task), "{dump}");
    for thread in dump["threadInfos"].as_array().expect("threads") {
        let start = format!("\"{}\" Id=", text(&thread["threadName"]));
        assert!(text(&thread["stringifiedThreadInfo"]).starts_with(&start), "{thread}");
    }
    let dump = sim.get("/v1/jobmanager/thread-dump").1;
    assert!(names(&dump).iter().any(|name| name.starts_with("flink-rest-server-netty-worker")), "{dump}");
}

#[test]
fn the_configuration_is_that_of_the_simulator_for_each_job_and_application() {
    let mut sim = Sim::with(Config { slots: 7, adaptive_scheduler: true, ..Config::default() });
    let configuration = sim.get("/v1/jobmanager/config").1;
    let value = |key: &str| {
        let entries = configuration.as_array().expect("entries");
        entries.iter().find(|entry| entry["key"] == key).map(|entry| text(&entry["value"]))
    };
    assert_eq!(value("taskmanager.numberOfTaskSlots").as_deref(), Some("7"));
    assert_eq!(value("jobmanager.scheduler").as_deref(), Some("adaptive"));
    assert_eq!(value("execution.checkpointing.savepoint-dir").as_deref(), Some("file:///savepoints"));
    assert_eq!(value("web.upload.dir"), None);
    // The server does not check whether they exist.
    let unknown = "0".repeat(32);
    for owner in ["jobs", "applications"] {
        assert_eq!(sim.get(&format!("/v1/{owner}/{unknown}/jobmanager/config")), (200, configuration.clone()));
        assert_eq!(sim.get(&format!("/v1/{owner}/x/jobmanager/config")).0, 400);
    }
}

#[test]
fn the_environment_and_the_urls_of_logs_are_there_since_1_14() {
    let unknown = "0".repeat(32);
    let paths = ["environment", "log-url"].map(|what| format!("/v1/jobs/{unknown}/jobmanager/{what}"));
    for path in paths.iter().map(String::as_str).chain(["/v1/jobmanager/environment", "/v1/jobmanager/thread-dump"]) {
        assert_eq!(Sim::new().get(path).0, 200, "{path}");
        assert_eq!(Sim::version("1.13.6").get(path).0, 404, "{path}");
    }
    let environment = Sim::version("1.18.1").get("/v1/jobmanager/environment").1;
    assert_eq!(environment["jvm"]["arch"], "amd64");
    assert!(environment["classpath"].to_string().contains("flink-dist-1.18.1.jar"));
    let url = Sim::new().get("/v1/jobs/x/taskmanagers/y/log-url").1;
    assert_eq!(url["url"], "http://127.0.0.1:8081/#/task-manager/y/logs");
}

#[test]
fn a_heartbeat_of_a_client_needs_its_time_and_no_job() {
    let mut sim = Sim::new();
    let path = format!("/v1/jobs/{}/clientHeartbeat", "0".repeat(32));
    assert_eq!(sim.ask("PATCH", &path, &json!({ "expiredTimestamp": 1_800_000_000_000_u64 })), (202, json!({})));
    for body in [Value::Null, json!({}), json!({ "expiredTimestamp": null })] {
        let answer = sim.ask("PATCH", &path, &body);
        assert!(answer.0 == 400 && errors(&answer).contains("JobClientHeartbeatRequestBody"), "{answer:?}");
    }
    assert_eq!(Sim::version("1.16.0").ask("PATCH", &path, &json!({ "expiredTimestamp": 1 })).0, 404);
}
