//! From a path and a method to a handler.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, Request};
use serde_json::{Value, json};

use super::errors::{Answer, Rejection};
use super::failure::Failure;
use super::operation::Operation;
use super::session::Action;
use super::statement::Script;
use super::words::Words;
use super::workspace::{Context, Workspace};
use super::{Gateway, ROUTES};
use crate::routes;

impl Gateway {
    pub(super) fn route(&mut self, request: &Request<Bytes>) -> Answer {
        let path = request.uri().path();
        let not_found = || Rejection::NotFound(path.to_owned());
        let mut segments: Vec<&str> = path.trim_end_matches('/').split('/').skip(1).collect();
        let version = match segments.first().copied() {
            Some("v1") => 1,
            Some("v2") => 2,
            Some("v3") => 3,
            Some("v4") => 4,
            _ => 0,
        };
        if version > 0 {
            segments.remove(0);
        }
        // Without one it speaks the newest.
        let version = if version == 0 { 4 } else { version };
        match (request.method(), segments.as_slice()) {
            (&Method::GET, ["api_versions"]) => Ok(json!({"versions": ["V1", "V2", "V3", "V4"]}).to_string()),
            (&Method::GET, ["info"]) => {
                Ok(json!({"productName": "Apache Flink", "version": self.config.version}).to_string())
            }
            (&Method::POST, ["sessions"]) => Ok(self.open(&body(request, "OpenSessionRequestBody")?).to_string()),
            (&Method::GET, ["sessions", session]) => {
                let session = self.sessions.find(session, self.now, "Failed to getSessionConfig.")?;
                Ok(json!({"properties": session.workspace.properties()}).to_string())
            }
            (&Method::DELETE, ["sessions", session]) => {
                self.sessions.find(session, self.now, "Failed to closeSession.")?;
                self.sessions.remove(session, &mut self.jobs);
                Ok(json!({"status": "CLOSED"}).to_string())
            }
            (&Method::POST, ["sessions", session, "heartbeat"]) => {
                // So does the real one call it.
                self.sessions.find(session, self.now, "Failed to getSessionConfig.").map(|_| json!({}).to_string())
            }
            (&Method::POST, ["sessions", session, "statements"]) => {
                let body = body(request, "ExecuteStatementRequestBody")?;
                self.submit(session, &body)
            }
            (&Method::POST, ["sessions", session, "configure-session"]) if version >= 2 => {
                let body = body(request, "ConfigureSessionRequestBody")?;
                self.configure(session, &body)
            }
            (&Method::GET, ["sessions", session, "complete-statement"]) if version >= 2 => {
                let body = body(request, "CompleteStatementRequestBody")?;
                if !body["position"].is_u64() {
                    return Err(Rejection::bad_request("Cannot map `null` into type `int`"));
                }
                let found = self.sessions.find(session, self.now, "Failed to complete statement.")?;
                let position = body["position"].as_u64().and_then(|position| usize::try_from(position).ok());
                let text: String =
                    body["statement"].as_str().unwrap_or_default().chars().take(position.unwrap_or(0)).collect();
                Ok(json!({"candidates": found.workspace.candidates(&text)}).to_string())
            }
            (&Method::POST, ["sessions", session, "scripts"]) if version >= 4 => {
                self.sessions.find(session, self.now, "Failed to deploy script to cluster.")?;
                let why = "Application Mode not supported by standalone deployments.";
                Err(Rejection::internal(
                    "Failed to deploy script to cluster.",
                    "java.lang.UnsupportedOperationException",
                    why,
                ))
            }
            (method, ["sessions", session, "operations", operation, rest @ ..]) => {
                let action = Action::read(method, rest).ok_or_else(not_found)?;
                let query = request.uri().query().unwrap_or_default();
                let base = format!("/v{version}/sessions/{session}/operations/{operation}/result");
                let session = self.sessions.find(session, self.now, action.failed())?;
                session.operation(operation, &action, self.now, &base, (version, query), &mut self.jobs)
            }
            (method, segments) => Err(without_handler(method, path, version, segments)),
        }
    }

    fn open(&mut self, body: &Value) -> Value {
        let handle = self.handles.next(0);
        let mut settings = self.config.settings();
        settings.extend(texts(&body["properties"]));
        self.sessions.open(handle.clone(), Workspace::new(settings), self.now);
        json!({"sessionHandle": handle})
    }

    fn submit(&mut self, session: &str, body: &Value) -> Answer {
        let failed = "Failed to execute statement.";
        self.sessions.find(session, self.now, failed)?;
        no_timeout(body, failed)?;
        let text = body["statement"].as_str().unwrap_or_default().to_owned();
        let script = self.scripts.get(&text).cloned();
        self.start(session, (text, texts(&body["executionConfig"])), script)
    }

    fn start(
        &mut self,
        session: &str,
        statement: (String, BTreeMap<String, String>),
        outcome: Option<Script>,
    ) -> Answer {
        let handle = self.handles.next(1);
        self.submitted.push(statement.0.clone());
        let ready_at = self.now + self.config.ready_after;
        let operation = Operation::new(statement, outcome, ready_at, &handle, self.config.page_size);
        self.sessions.find(session, self.now, "Failed to execute statement.")?.start(handle.clone(), operation);
        Ok(json!({"operationHandle": handle}).to_string())
    }

    fn configure(&mut self, session: &str, body: &Value) -> Answer {
        let failed = "Failed to configure session.";
        self.sessions.find(session, self.now, failed)?;
        no_timeout(body, failed)?;
        let text = body["statement"].as_str().unwrap_or_default();
        let handle = self.handles.next(1);
        let script = if let Some(script) = self.scripts.get(text) {
            script.clone()
        } else {
            let found = self.sessions.find(session, self.now, failed)?;
            // What came before is carried out before.
            found.run_all(self.now, &mut self.jobs);
            configuring(text).map_or_else(Script::failure, |()| {
                let (job, settings) = (String::new(), BTreeMap::new());
                let mut context = Context { now: self.now, job, settings, jobs: &mut self.jobs };
                found.workspace.execute(text, &mut context)
            })
        };
        match script.failure {
            Some(failure) => Err(Rejection::statement(failed, &failure, &handle)),
            None => Ok(json!({}).to_string()),
        }
    }
}

fn without_handler(method: &Method, path: &str, version: u32, segments: &[&str]) -> Rejection {
    match routes::find_missing(ROUTES, &[version], method.as_str(), segments) {
        Some(_) => Rejection::NotSimulated(routes::not_simulated("flink-sql-gateway", method.as_str(), path)),
        None => Rejection::NotFound(path.to_owned()),
    }
}

/// # Errors
///
/// If the statement does not configure a session.
fn configuring(text: &str) -> Result<(), Failure> {
    let mut words = Words::new(text)?;
    let verbs = [
        "SELECT", "WITH", "VALUES", "INSERT", "EXECUTE", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "STOP", "DELETE",
        "UPDATE", "REMOVE",
    ];
    if words.take_one_of(&verbs).is_none() {
        return Ok(());
    }
    let message = format!("Unsupported statement for configuring session: {text}\n{CONFIGURING}");
    Err(Failure::new("java.lang.UnsupportedOperationException", message))
}

const CONFIGURING: &str = "The configureSession API only supports executing statements of type SET, RESET, CREATE TABLE, CREATE VIEW, CREATE DATABASE, CREATE FUNCTION, CREATE TEMPORARY SYSTEM FUNCTION, CREATE CATALOG, CREATE MODEL, CREATE MATERIALIZED TABLE, DROP TABLE, DROP VIEW, DROP DATABASE, DROP FUNCTION, DROP TEMPORARY SYSTEM FUNCTION, DROP CATALOG, DROP MODEL, DROP MATERIALIZED TABLE, ALTER TABLE, ALTER VIEW, ALTER DATABASE, ALTER FUNCTION, ALTER CATALOG SET, ALTER CATALOG RESET, ALTER CATALOG COMMENT, ALTER MODEL, ALTER MODEL, ALTER MATERIALIZED TABLE, USE CATALOG, USE [CATALOG.]DATABASE, USE MODULES, LOAD MODULE, UNLOAD MODULE, ADD JAR.";

/// Settings of a body, as texts.
fn texts(settings: &Value) -> BTreeMap<String, String> {
    let settings = settings.as_object().into_iter().flatten();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    settings.map(|(key, value)| (key.clone(), text(value))).collect()
}

fn no_timeout(body: &Value, failed: &str) -> Result<(), Rejection> {
    if body["executionTimeout"].as_i64().unwrap_or_default() > 0 {
        let why = "SqlGatewayService doesn't support timeout mechanism now.";
        return Err(Rejection::internal(failed, "java.lang.UnsupportedOperationException", why));
    }
    Ok(())
}

/// Nothing is the same as `{}`.
fn body(request: &Request<Bytes>, format: &str) -> Result<Value, Rejection> {
    if request.body().is_empty() {
        return Ok(json!({}));
    }
    let value: Option<Value> = serde_json::from_slice(request.body()).ok().filter(Value::is_object);
    value.ok_or_else(|| Rejection::bad_request(&format!("Request did not match expected format {format}.")))
}
