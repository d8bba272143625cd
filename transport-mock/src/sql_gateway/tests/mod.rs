//! The gateway by itself, with its own texts.

mod catalog;
#[cfg(feature = "sql")]
mod engine;
mod statements;

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};

use super::{Config, Gateway, ROUTES, routes};
use crate::routes::compare;

fn ask(gateway: &mut Gateway, at: u64, line: &str, body: &str) -> (u16, Value) {
    let (method, path) = line.split_once(' ').expect("method and path");
    let request = Request::builder().method(method).uri(path).body(Bytes::copy_from_slice(body.as_bytes()));
    let response = gateway.handle(Duration::from_millis(at), &request.expect("a request"));
    (response.status().as_u16(), serde_json::from_slice(response.body()).expect("JSON"))
}

/// A session with a statement: the path of its operation.
fn submit(gateway: &mut Gateway, statement: &str) -> String {
    let (_, session) = ask(gateway, 0, "POST /v3/sessions", "{}");
    let session = format!("/v3/sessions/{}", session["sessionHandle"].as_str().expect("a handle"));
    let body = json!({"statement": statement}).to_string();
    let (status, operation) = ask(gateway, 0, &format!("POST {session}/statements"), &body);
    assert_eq!(status, 200, "whatever it says");
    format!("{session}/operations/{}", operation["operationHandle"].as_str().expect("a handle"))
}

fn errors(answer: &Value) -> &str {
    answer["errors"].as_array().and_then(|errors| errors.last()?.as_str()).unwrap_or_default()
}

#[test]
fn pages_follow_their_uris_and_the_last_one_can_be_had_again() {
    let mut gateway = Gateway::new(Config { page_size: 2, ..Config::default() });
    let operation = submit(&mut gateway, "select n from numbers limit 5");
    let (_, answer) = ask(&mut gateway, 299, &format!("GET {operation}/result/0"), "");
    assert_eq!((&answer["resultType"], answer.get("results")), (&json!("NOT_READY"), None));
    let mut uri = answer["nextResultUri"].as_str().expect("the same").to_owned();
    let mut rows = Vec::new();
    loop {
        let (status, page) = ask(&mut gateway, 300, &format!("GET {uri}"), "");
        assert_eq!((status, &page), (200, &ask(&mut gateway, 300, &format!("GET {uri}"), "").1), "the same again");
        rows.extend(page["results"]["data"].as_array().expect("rows").iter().map(|row| row["fields"][0].clone()));
        let Some(next) = page["nextResultUri"].as_str() else { break assert_eq!(page["resultType"], "EOS") };
        next.clone_into(&mut uri);
    }
    assert_eq!(rows, [0, 1, 2, 3, 4]);
    let (status, answer) = ask(&mut gateway, 300, &format!("GET {operation}/result/0"), "");
    assert_eq!(status, 500);
    assert!(errors(&answer).contains("Expecting token to be 9 or 8, but found 0."), "{answer}");
}

#[test]
fn what_is_wrong_comes_with_the_result() {
    let mut gateway = Gateway::new(Config::default());
    let operation = submit(&mut gateway, "SELEKT 1");
    let (status, answer) = ask(&mut gateway, 300, &format!("GET {operation}/result/0?rowFormat=JSON"), "");
    assert_eq!(status, 500);
    let cause =
        "Caused by: org.apache.calcite.runtime.CalciteException: Non-query expression encountered in illegal context";
    assert!(errors(&answer).contains(cause), "{answer}");
    assert_eq!(ask(&mut gateway, 300, &format!("GET {operation}/status"), "").1, json!({"status": "ERROR"}));
    assert_eq!(ask(&mut gateway, 300, &format!("GET {operation}/result/0?rowFormat=XML"), "").0, 400);
}

#[test]
fn an_idle_session_closes_itself() {
    let mut gateway = Gateway::new(Config::default());
    let operation = submit(&mut gateway, "SELECT 1");
    let session = operation.split("/operations").next().expect("its session").to_owned();
    assert_eq!(ask(&mut gateway, 599_999, &format!("POST {session}/heartbeat"), "").0, 200);
    assert_eq!(ask(&mut gateway, 1_199_998, &format!("GET {session}"), "").0, 200);
    let (status, answer) = ask(&mut gateway, 1_799_998, &format!("GET {session}"), "");
    assert_eq!((status, gateway.sessions(), gateway.operations()), (500, 0, 0));
    assert!(errors(&answer).contains("' does not exist."), "{answer}");
}

#[test]
fn a_version_has_what_it_has() {
    let mut gateway = Gateway::new(Config::default());
    let session = submit(&mut gateway, "SELECT 1").split("/operations").next().expect("its session").to_owned();
    let session = session.trim_start_matches("/v3");
    for (line, status) in [
        (format!("POST /v1{session}/configure-session"), 404),
        (format!("POST /v2{session}/configure-session"), 500),
        (format!("GET /v1{session}/complete-statement"), 404),
        (format!("GET /v2{session}/complete-statement"), 400),
        (format!("POST /v2{session}/complete-statement"), 404),
        (format!("POST /v2{session}/materialized-tables/t/refresh"), 404),
        (format!("POST /v3{session}/materialized-tables/t/refresh"), 501),
        (format!("POST /v4{session}/materialized-tables/t/refresh"), 404),
        (format!("POST /v3{session}/scripts"), 404),
        (format!("POST {session}/scripts"), 500),
        ("GET /v9/info".to_owned(), 404),
    ] {
        assert_eq!(ask(&mut gateway, 0, &line, "").0, status, "{line}");
    }
}

/// What stands for the variables of paths.
const VALUES: [(&str, &str); 4] =
    [("{session_handle}", "s"), ("{operation_handle}", "o"), ("{identifier}", "t"), ("{token}", "0")];

#[test]
fn the_table_of_routes_says_what_each_version_answers() {
    for version in 1..=4 {
        compare(ROUTES, &[version], &VALUES, |route, path| {
            let path = format!("/v{version}{path}");
            let request = Request::builder().method(route.method).uri(&path).body(Bytes::new()).expect("a request");
            let response = Gateway::new(Config::default()).handle(Duration::ZERO, &request);
            let body: Value = serde_json::from_slice(response.body()).expect("JSON");
            let is_unknown = response.status() == 404 && body["errors"][0] == format!("Not found: {path}");
            (response, is_unknown)
        });
    }
}

#[test]
fn the_documentation_shows_the_table_of_routes() {
    assert!(include_str!("../mod.rs").contains("//!\n#![doc = include_str!(\"routes.md\")]\n//!"));
    assert_eq!(routes().len(), 15);
}

/// The names of columns, the kind of the result, and the rows.
type Outcome = (Vec<String>, String, Vec<Vec<Value>>);

/// A session, and a clock.
struct Session {
    gateway: Gateway,
    path: String,
    now: u64,
}

impl Session {
    fn new() -> Self {
        Self::of(Gateway::new(Config::default()))
    }

    fn of(mut gateway: Gateway) -> Self {
        let (_, session) = ask(&mut gateway, 0, "POST /v3/sessions", r#"{"properties":{"a":"b"}}"#);
        let path = format!("/v3/sessions/{}", session["sessionHandle"].as_str().expect("a handle"));
        Self { gateway, path, now: 0 }
    }

    fn submit(&mut self, statement: &str) -> String {
        let body = json!({ "statement": statement }).to_string();
        let (_, answer) = ask(&mut self.gateway, self.now, &format!("POST {}/statements", self.path), &body);
        format!("{}/operations/{}", self.path, answer["operationHandle"].as_str().expect("a handle"))
    }

    /// What comes of a statement, or class and message of the first exception that it brings.
    fn result(&mut self, statement: &str) -> Result<Outcome, String> {
        let operation = self.submit(statement);
        self.now += 300;
        let (mut uri, mut rows) = (format!("{operation}/result/0"), Vec::new());
        loop {
            let (status, page) = ask(&mut self.gateway, self.now, &format!("GET {uri}"), "");
            if status != 200 {
                let text = errors(&page);
                let mut causes = text.split("Caused by: ").skip_while(|cause| !cause.contains("Failed to execute the"));
                return Err(causes.nth(1).unwrap_or(text).split("\n\tat").next().unwrap_or_default().to_owned());
            }
            let fields = |row: &Value| row["fields"].as_array().cloned().unwrap_or_default();
            rows.extend(page["results"]["data"].as_array().expect("rows").iter().map(fields));
            let Some(next) = page["nextResultUri"].as_str() else {
                let columns = page["results"]["columns"].as_array().expect("columns");
                let names = columns.iter().map(|column| column["name"].as_str().unwrap_or_default().to_owned());
                return Ok((names.collect(), page["resultKind"].as_str().unwrap_or_default().to_owned(), rows));
            };
            next.clone_into(&mut uri);
        }
    }

    fn ok(&mut self, statement: &str) -> &mut Self {
        assert_eq!(
            self.result(statement),
            Ok((vec!["result".into()], "SUCCESS".into(), vec![vec![json!("OK")]])),
            "{statement}"
        );
        self
    }

    /// The rows of a result with these columns.
    fn rows(&mut self, statement: &str, columns: &[&str]) -> Vec<Vec<Value>> {
        let (names, kind, rows) = self.result(statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
        assert_eq!((names, kind.as_str()), (columns.iter().map(ToString::to_string).collect(), "SUCCESS_WITH_CONTENT"));
        rows
    }

    /// The texts of a result with one column.
    fn list(&mut self, statement: &str, column: &str) -> Vec<String> {
        let text = |row: Vec<Value>| row[0].as_str().expect("a text").to_owned();
        self.rows(statement, &[column]).into_iter().map(text).collect()
    }

    fn fails(&mut self, statement: &str, error: &str) -> &mut Self {
        assert_eq!(self.result(statement), Err(error.to_owned()), "{statement}");
        self
    }

    fn validation(&mut self, statement: &str, message: &str) -> &mut Self {
        self.fails(statement, &format!("org.apache.flink.table.api.ValidationException: {message}"))
    }
}

#[test]
fn a_statement_that_was_carried_out_for_a_configuration_cannot_be_cancelled() {
    let mut session = Session::new();
    let operation = session.submit("SELECT n FROM numbers");
    let (path, now) = (session.path.clone(), session.now);
    let body = r#"{"statement": "SET 'a' = 'c'"}"#;
    assert_eq!(ask(&mut session.gateway, now, &format!("POST {path}/configure-session"), body).0, 200);
    assert_eq!(ask(&mut session.gateway, now, &format!("GET {operation}/status"), "").1["status"], "FINISHED");
    assert_eq!(ask(&mut session.gateway, now, &format!("POST {operation}/cancel"), "").0, 500);
    let operation = session.submit("SELECT n FROM numbers");
    assert_eq!(ask(&mut session.gateway, now, &format!("POST {operation}/cancel"), "").0, 200);
    let jobs = session.rows("SHOW JOBS", &["job id", "job name", "status", "start time"]);
    assert_eq!(jobs.len(), 1, "the cancelled one never started: {jobs:?}");
}
