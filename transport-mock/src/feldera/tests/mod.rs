//! The simulator's own tests: each rule of a server that a client could stumble over, seen through the API.

mod checkpoints;
mod connectors;
mod data;
mod failures;
mod lifecycle;
mod pipelines;
mod platform;
mod profiles;
mod releases;
mod routes;
#[cfg(feature = "sql")]
mod sql;
mod streaming;

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Config, Edition, Manager, PipelineView, Release};

const START: Duration = Duration::from_secs(1_800_000_000);
const SQL: &str = "-- rows come and go\nCREATE TABLE t (id BIGINT NOT NULL, b BOOLEAN NOT NULL, i BIGINT, s VARCHAR NOT NULL);\nCREATE TABLE kv (k BIGINT NOT NULL PRIMARY KEY, v VARCHAR) WITH ('materialized' = 'true');\nCREATE MATERIALIZED VIEW v AS SELECT * FROM t;\nCREATE VIEW plain AS SELECT * FROM t;\n";

/// What was answered: the status and the body, as JSON if it is.
type Answered = (u16, Value);

/// A manager, a clock and what it takes to ask.
struct Sim {
    manager: Manager,
    now: Duration,
}

impl Sim {
    fn new() -> Self {
        Self::with(Config::default())
    }

    fn enterprise() -> Self {
        Self::with(Config { edition: Edition::Enterprise, ..Config::default() })
    }

    fn with(config: Config) -> Self {
        Self { manager: Manager::new(config), now: START }
    }

    fn wait(&mut self, millis: u64) -> &mut Self {
        self.now += Duration::from_millis(millis);
        self.manager.advance(self.now);
        self
    }

    fn send(&mut self, method: &str, target: &str, kind: &str, body: impl Into<Bytes>) -> http::Response<Bytes> {
        self.send_to(method, &format!("/v0{target}"), kind, body)
    }

    /// What is answered to a whole target, without a body.
    fn exact(&mut self, method: &str, target: &str) -> Answered {
        read(&self.send_to(method, target, "application/json", "{}"))
    }

    fn send_to(&mut self, method: &str, target: &str, kind: &str, body: impl Into<Bytes>) -> http::Response<Bytes> {
        let mut request = http::Request::new(body.into());
        *request.method_mut() = method.parse().expect("a method");
        *request.uri_mut() = target.parse().expect("a target");
        let kind = http::HeaderValue::from_str(kind).expect("a value");
        request.headers_mut().insert(http::header::CONTENT_TYPE, kind);
        self.manager.handle(self.now, &request)
    }

    fn ask(&mut self, method: &str, target: &str, body: &Value) -> Answered {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        read(&self.send(method, target, "application/json", body))
    }

    fn get(&mut self, target: &str) -> Answered {
        self.ask("GET", target, &Value::Null)
    }

    fn post(&mut self, target: &str) -> Answered {
        self.ask("POST", target, &Value::Null)
    }

    fn create(&mut self, sql: &str) -> Answered {
        self.ask("POST", "/pipelines", &json!({ "name": "p", "program_code": sql }))
    }

    /// A pipeline that has been compiled.
    fn compiled(mut self) -> Self {
        assert_eq!(self.create(SQL).0, 201);
        self.wait(1000);
        assert_eq!(self.view().program_status, "Success");
        self
    }

    /// And one that runs.
    fn running(self) -> Self {
        let mut sim = self.compiled();
        sim.start();
        sim
    }

    fn start(&mut self) {
        assert_eq!(self.post("/pipelines/p/start"), (202, json!("Pipeline is starting")));
        self.wait(400);
        assert_eq!(self.view().status, "Running");
    }

    fn stop(&mut self) {
        assert_eq!(self.post("/pipelines/p/stop?force=true").0, 202);
        self.wait(350);
        assert_eq!(self.view().status, "Stopped");
    }

    fn view(&self) -> PipelineView {
        self.manager.pipeline("p").expect("the pipeline")
    }

    /// What the API says: combined, and combined desired status.
    fn status(&mut self) -> (String, String) {
        let object = self.get("/pipelines/p?selector=status").1;
        let text = |key: &str| object[key].as_str().expect("a status").to_owned();
        (text("deployment_status"), text("deployment_desired_status"))
    }

    fn ingress(&mut self, query: &str, body: &str) -> Answered {
        read(&self.send("POST", &format!("/pipelines/p/ingress/{query}"), "text/plain", body.to_owned()))
    }

    fn token(&mut self, query: &str, body: &str) -> String {
        let (status, answer) = self.ingress(query, body);
        assert_eq!(status, 200, "{answer}");
        answer["token"].as_str().expect("a token").to_owned()
    }

    fn completion(&mut self, token: &str) -> Answered {
        self.get(&format!("/pipelines/p/completion_status?token={token}"))
    }

    fn rows(&self, table: &str) -> Vec<Value> {
        self.view().tables.remove(table).unwrap_or_default()
    }
}

fn read(response: &http::Response<Bytes>) -> Answered {
    let text = String::from_utf8_lossy(response.body()).into_owned();
    (response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// The status and the code of a rejection.
fn rejection(answer: &Answered) -> (u16, &str) {
    (answer.0, answer.1["error_code"].as_str().unwrap_or_default())
}

fn status(combined: &str, desired: &str) -> (String, String) {
    (combined.to_owned(), desired.to_owned())
}

const NOT_DEPLOYED: (u16, &str) = (503, "PipelineInteractionNotDeployed");
