//! From a path and a method to a handler.

use bytes::Bytes;
use http::{Method, Request};
use serde_json::{Value, json};

use super::errors::{Answer, Rejection};
use super::operation::Operation;
use super::session::Action;
use super::statement::Script;
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
            (&Method::GET, ["api_versions"]) => Ok(json!({"versions": ["V1", "V2", "V3", "V4"]})),
            (&Method::GET, ["info"]) => Ok(json!({"productName": "Apache Flink", "version": self.config.version})),
            (&Method::POST, ["sessions"]) => Ok(self.open(&body(request, "OpenSessionRequestBody")?)),
            (&Method::GET, ["sessions", session]) => {
                let session = self.sessions.find(session, self.now, "Failed to getSessionConfig.")?;
                Ok(json!({"properties": session.properties}))
            }
            (&Method::DELETE, ["sessions", session]) => {
                self.sessions.find(session, self.now, "Failed to closeSession.")?;
                self.sessions.remove(session);
                Ok(json!({"status": "CLOSED"}))
            }
            (&Method::POST, ["sessions", session, "heartbeat"]) => {
                // So does the real one call it.
                self.sessions.find(session, self.now, "Failed to getSessionConfig.").map(|_| json!({}))
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
                self.sessions.find(session, self.now, "Failed to complete statement.")?;
                let wanted = body["statement"].as_str().unwrap_or_default().ends_with("FROM nu");
                Ok(
                    json!({"candidates": if wanted { vec!["default_catalog.default_database.numbers"] } else { vec![] }}),
                )
            }
            (&Method::POST, ["sessions", session, "materialized-tables", table, "refresh"]) if version == 3 => {
                self.sessions.find(session, self.now, "Failed to refresh materialized table.")?;
                let text = format!("REFRESH {table}");
                self.start(session, text, Script::job())
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
                session.operation(operation, &action, self.now, &base, (version, query))
            }
            (method, segments) => Err(without_handler(method, path, version, segments)),
        }
    }

    fn open(&mut self, body: &Value) -> Value {
        let handle = self.handles.next(0);
        let properties = body["properties"].as_object().cloned().unwrap_or_default();
        self.sessions.open(handle.clone(), properties, self.now);
        json!({"sessionHandle": handle})
    }

    fn submit(&mut self, session: &str, body: &Value) -> Answer {
        let failed = "Failed to execute statement.";
        self.sessions.find(session, self.now, failed)?;
        no_timeout(body, failed)?;
        let text = body["statement"].as_str().unwrap_or_default().to_owned();
        let script = self.scripts.get(&text).cloned().unwrap_or_else(|| Script::interpret(&text));
        self.start(session, text, script)
    }

    fn start(&mut self, session: &str, text: String, script: Script) -> Answer {
        let handle = self.handles.next(1);
        let operation = Operation::new(script, self.now + self.config.ready_after, &handle, self.config.page_size);
        self.sessions.find(session, self.now, "Failed to execute statement.")?.start(handle.clone(), operation);
        self.submitted.push(text);
        Ok(json!({"operationHandle": handle}))
    }

    fn configure(&mut self, session: &str, body: &Value) -> Answer {
        let failed = "Failed to configure session.";
        self.sessions.find(session, self.now, failed)?;
        no_timeout(body, failed)?;
        let text = body["statement"].as_str().unwrap_or_default();
        let script = self.scripts.get(text).cloned().unwrap_or_else(|| Script::interpret(text));
        match script.failure {
            Some((class, why)) => Err(Rejection::internal(failed, &class, &why)),
            None if !script.is_configuring => {
                let why = format!("Unsupported statement for configuring session: {text}");
                Err(Rejection::internal(failed, "java.lang.UnsupportedOperationException", &why))
            }
            None => Ok(json!({})),
        }
    }
}

fn without_handler(method: &Method, path: &str, version: u32, segments: &[&str]) -> Rejection {
    match routes::find_missing(ROUTES, &[version], method.as_str(), segments) {
        Some(_) => Rejection::NotSimulated(routes::not_simulated("flink-sql-gateway", method.as_str(), path)),
        None => Rejection::NotFound(path.to_owned()),
    }
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
