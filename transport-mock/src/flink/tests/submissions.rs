//! Job graphs of Java clients, and the end of the cluster.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::super::{Config, Program, job_graph};
use super::{Sim, errors, read};
use crate::streaming::{NoAnswer, Remark};

const ID: [u8; 16] = [0xab; 16];

impl Sim {
    /// Submits a graph as `flink run -d` does.
    fn submit(&mut self, request: &Value, plan: &[u8]) -> http::Response<bytes::Bytes> {
        let part = |head: &str, content: &[u8]| {
            [format!("--b\r\ncontent-disposition: form-data; {head}\r\n\r\n").as_bytes(), content, b"\r\n"].concat()
        };
        let body = [
            part("name=\"request\"", request.to_string().as_bytes()),
            part("name=\"file_0\"; filename=\"plan.bin\"", plan),
            part("name=\"file_1\"; filename=\"words.jar\"", b"PK\x03\x04"),
            b"--b--\r\n".to_vec(),
        ];
        self.multipart_to("/v1/jobs", body.concat())
    }
}

#[test]
fn a_job_graph_becomes_an_endless_job_with_its_id_and_name() {
    for (version, field) in [("2.3.0", "executionPlanFileName"), ("1.20.5", "jobGraphFileName")] {
        let mut sim = Sim::version(version);
        let request = json!({ field: "plan.bin", "jobJarFileNames": ["words.jar"], "jobArtifactFileNames": [] });
        let response = sim.submit(&request, &job_graph::written(ID, "word count"));
        let id = "ab".repeat(16);
        assert_eq!(read(&response), (202, json!({ "jobUrl": format!("/jobs/{id}") })), "{version}");
        let remark = response.extensions().get::<Remark>().map(|remark| remark.0.as_str());
        assert!(
            remark.is_some_and(|text| text.contains("cannot run a job graph") && text.contains("\"word count\"")),
            "{remark:?}"
        );
        sim.wait(1000);
        let jobs = sim.cluster.jobs();
        assert_eq!(
            (jobs[0].id.as_str(), jobs[0].name.as_str(), jobs[0].state.as_str()),
            (id.as_str(), "word count", "RUNNING")
        );
        let again = read(&sim.submit(&request, &job_graph::written(ID, "word count")));
        assert!(again.0 == 500 && errors(&again).contains("has already been submitted."), "{again:?}");
    }
}

#[test]
fn a_graph_whose_name_is_not_read_is_named_after_its_jar() {
    let mut sim = Sim::new();
    let mut plan = job_graph::written(ID, "");
    plan.truncate(plan.len() - 3);
    sim.submit(&json!({ "executionPlanFileName": "plan.bin" }), &plan);
    assert_eq!(sim.cluster.jobs()[0].name, "words.jar");
}

#[test]
fn what_is_no_job_graph_is_400() {
    let mut sim = Sim::new();
    let named = json!({ "executionPlanFileName": "plan.bin" });
    let other = json!({ "executionPlanFileName": "nope.bin" });
    for (request, plan, expected) in [
        (&json!({}), &b"rubbish"[..], "The jobGraphFileName field must not be omitted or be null."),
        (&other, b"rubbish", "ExecutionPlan file nope.bin could not be found on the server."),
        (&named, b"rubbish", "StreamCorruptedException: invalid stream header: 72756262"),
        (&named, b"", "invalid stream header: 00000000"),
        (&named, b"\xac\xed\x00\x05sr", "pipewright-sim finds no job id in the serialized graph"),
    ] {
        let answer = read(&sim.submit(request, plan));
        assert!(answer.0 == 400 && errors(&answer).contains(expected), "{expected}: {answer:?}");
    }
    assert!(errors(&sim.post("/v1/jobs", &json!({}))).contains("jobGraphFileName"));
    assert!(sim.cluster.jobs().is_empty());
}

#[test]
fn a_real_jar_is_rejected_with_the_way_out() {
    let mut sim = Sim::new();
    let answer = read(&sim.upload("words.jar", b"PK\x03\x04..."));
    assert_eq!(answer.0, 400);
    let text = errors(&answer);
    assert!(text.contains("pipewright-sim cannot run words.jar: it is a real jar"), "{text}");
    assert!(text.contains("`pipewright-sim jar endless -o words.jar`"), "{text}");
    assert!(sim.cluster.jars().is_empty());
}

#[test]
fn a_cluster_that_was_shut_down_is_gone() {
    let mut sim = Sim::new();
    sim.job(&Program::endless("x"));
    assert_eq!(sim.ask("DELETE", "/v1/cluster", &Value::Null), (200, json!({})));
    assert!(sim.cluster.is_shut_down() && sim.cluster.jobs().is_empty());
    sim.cluster.restart(sim.now, Duration::ZERO);
    let response = sim.wait(1000).send("GET", "/v1/overview", "");
    assert!(response.extensions().get::<NoAnswer>().is_some());
}

#[test]
fn a_shutdown_waits_until_each_result_is_read() {
    let mut sim = Sim::new();
    let job = sim.job(&Program::endless("x"));
    sim.trigger(&job, "savepoints", 1);
    sim.ask("DELETE", "/v1/cluster", &Value::Null);
    // Reading that it is not over does not count.
    assert_eq!(sim.operation(&job, 1).1["status"]["id"], "IN_PROGRESS");
    assert_eq!(sim.wait(1000).state(&job), "RUNNING");
    assert!(!sim.cluster.is_shut_down());
    assert_eq!(sim.operation(&job, 1).1["status"]["id"], "COMPLETED");
    assert!(sim.cluster.is_shut_down());
    assert_eq!(sim.cluster.savepoints().len(), 1);
}

#[test]
fn a_result_that_no_client_reads_delays_a_shutdown_until_it_expires() {
    let mut sim = Sim::with(Config { result_retention: Duration::from_secs(30), ..Config::default() });
    sim.post("/v1/savepoint-disposal", &json!({ "savepoint-path": "file:///nope" }));
    sim.ask("DELETE", "/v1/cluster", &Value::Null);
    assert_eq!(sim.wait(29_000).send("GET", "/v1/overview", "").status(), StatusCode::OK);
    assert!(sim.wait(2000).cluster.is_shut_down());
}
