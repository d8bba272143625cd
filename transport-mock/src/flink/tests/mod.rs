//! The simulator's own tests: each rule of a server that a client could stumble over, seen through the API.

mod applications;
mod inside;
mod jars;
mod jobs;
mod processes;
mod rescales;
mod routes;
mod savepoints;
mod submissions;
mod upkeep;
mod vertices;

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use super::{Cluster, Config, Program};

const START: Duration = Duration::from_secs(1_800_000_000);

/// A cluster, a clock and what it takes to ask.
struct Sim {
    cluster: Cluster,
    now: Duration,
}

impl Sim {
    fn new() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        Self { cluster: Cluster::new(config), now: START }
    }

    fn version(version: &str) -> Self {
        Self::with(Config { version: version.into(), ..Config::default() })
    }

    fn wait(&mut self, millis: u64) -> &mut Self {
        self.now += Duration::from_millis(millis);
        self.cluster.advance(self.now);
        self
    }

    fn send(&mut self, method: &str, path: &str, body: impl Into<Bytes>) -> http::Response<Bytes> {
        let mut request = http::Request::new(body.into());
        *request.method_mut() = method.parse().expect("a method");
        *request.uri_mut() = path.parse().expect("a path");
        self.cluster.handle(self.now, &request)
    }

    fn ask(&mut self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        read(&self.send(method, path, body))
    }

    fn get(&mut self, path: &str) -> (u16, Value) {
        self.ask("GET", path, &Value::Null)
    }

    fn post(&mut self, path: &str, body: &Value) -> (u16, Value) {
        self.ask("POST", path, body)
    }

    fn upload(&mut self, name: &str, content: &[u8]) -> http::Response<Bytes> {
        let mut body =
            format!("--b\r\nContent-Disposition: form-data; name=\"j\"; filename=\"{name}\"\r\n\r\n").into_bytes();
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n--b--\r\n");
        self.multipart(body)
    }

    fn multipart(&mut self, body: impl Into<Bytes>) -> http::Response<Bytes> {
        self.multipart_to("/v1/jars/upload", body)
    }

    fn multipart_to(&mut self, path: &str, body: impl Into<Bytes>) -> http::Response<Bytes> {
        let mut request = http::Request::new(body.into());
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = path.parse().expect("a path");
        let form = http::HeaderValue::from_static("multipart/form-data; boundary=b");
        request.headers_mut().insert(http::header::CONTENT_TYPE, form);
        self.cluster.handle(self.now, &request)
    }

    fn jar(&mut self, program: &Program) -> String {
        assert_eq!(self.upload("a.jar", &program.jar()).status(), StatusCode::OK);
        self.cluster.jars().swap_remove(0)
    }

    fn run(&mut self, program: &Program, body: &Value) -> (u16, Value) {
        let jar = self.jar(program);
        self.post(&format!("/v1/jars/{jar}/run"), body)
    }

    /// Submits a job and waits until its tasks are running.
    fn job(&mut self, program: &Program) -> String {
        let (status, answer) = self.run(program, &json!({}));
        assert_eq!(status, 200, "{answer}");
        self.wait(200);
        text(&answer["jobid"])
    }

    fn state(&mut self, job: &str) -> String {
        text(&self.get(&format!("/v1/jobs/{job}/status")).1["status"])
    }

    fn records(&self, job: &str) -> u64 {
        self.cluster.jobs().iter().find(|view| view.id == job).expect("the job").records
    }

    fn trigger(&mut self, job: &str, what: &str, id: u32) {
        let id = trigger_id(id);
        let answer = self.post(&format!("/v1/jobs/{job}/{what}"), &json!({ "triggerId": id }));
        assert_eq!(answer, (202, json!({ "request-id": id })));
    }

    fn operation(&mut self, job: &str, id: u32) -> (u16, Value) {
        self.get(&format!("/v1/jobs/{job}/savepoints/{}", trigger_id(id)))
    }
}

fn trigger_id(id: u32) -> String {
    format!("{id:032x}")
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn read(response: &http::Response<Bytes>) -> (u16, Value) {
    let body = serde_json::from_slice(response.body()).unwrap_or(Value::Null);
    (response.status().as_u16(), body)
}

fn pending() -> Value {
    json!({ "status": { "id": "IN_PROGRESS" }, "operation": null })
}

/// The first line of an operation's failure.
fn failure(answer: &(u16, Value), key: &str) -> String {
    assert_eq!((answer.0, &answer.1["status"]["id"]), (200, &json!("COMPLETED")), "{answer:?}");
    text(&answer.1["operation"][key]["stack-trace"]).lines().next().expect("a line").to_owned()
}

/// The whole text of an error answer.
fn errors(answer: &(u16, Value)) -> String {
    answer.1["errors"].as_array().expect("errors").iter().map(text).collect::<Vec<_>>().join("\n")
}
