//! A simulated SQL Gateway of Apache Flink, as seen through its REST endpoint, versions 1 to 4.
//!
//! [`Gateway::handle`] answers one request at a time, as a real one does: sessions that close themselves when nobody asks
//! anything of them, statements that are accepted whatever they say, results that are not ready at first, pages without
//! rows, a page that can be asked for again until the next one was, and 500 for nearly everything it does not like. There is
//! no network in it, no clock and no chance.
//!
//! What it can say: `SELECT <number>`, `SELECT n FROM numbers LIMIT <number>` (without the limit it has no end), DDL and
//! `SET`, which are OK, `INSERT`, which starts a job, and whatever is [defined](Gateway::define). Anything else is refused
//! with its result, as by the real parser.
//!
//! ```
//! # use std::time::Duration;
//! use pipewright_mock::sql_gateway::{Config, Gateway};
//!
//! let mut gateway = Gateway::new(Config::default());
//! let now = Duration::from_secs(1_800_000_000);
//! let request = http::Request::post("/v2/sessions").body(bytes::Bytes::new())?;
//! assert_eq!(gateway.handle(now, &request).status(), 200);
//! assert_eq!(gateway.sessions(), 1);
//! # Ok::<(), http::Error>(())
//! ```

mod refusal;
mod results;
mod statement;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use serde_json::{Map, Value, json};

pub use self::statement::Script;

use self::refusal::{Refusal, respond};
use self::results::Operation;

/// What a simulated gateway is like.
#[derive(Debug, Clone)]
pub struct Config {
    /// The release that `/info` names: `2.3.0`.
    pub version: String,
    /// How long a session lives that nobody asks anything of (`sql-gateway.session.idle-timeout`): 10 min.
    pub idle_timeout: Duration,
    /// How long results are not ready: 300 ms.
    pub ready_after: Duration,
    /// How many rows a page has at the most: 100. Two of three pages have none.
    pub page_size: usize,
    /// What handles are made from: 0.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            version: "2.3.0".into(),
            idle_timeout: Duration::from_secs(600),
            ready_after: Duration::from_millis(300),
            page_size: 100,
            seed: 0,
        }
    }
}

/// A simulated gateway. See the [module](self).
#[derive(Debug)]
pub struct Gateway {
    config: Config,
    now: Duration,
    handles: u64,
    sessions: BTreeMap<String, Session>,
    scripts: BTreeMap<String, Script>,
    submitted: Vec<String>,
}

#[derive(Debug)]
struct Session {
    touched: Duration,
    properties: Map<String, Value>,
    operations: BTreeMap<String, Operation>,
}

type Answer = Result<Value, Refusal>;

impl Gateway {
    /// A gateway without sessions.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            now: Duration::ZERO,
            handles: 0,
            sessions: BTreeMap::new(),
            scripts: BTreeMap::new(),
            submitted: Vec::new(),
        }
    }

    /// Says what comes of a statement, word for word.
    pub fn define(&mut self, statement: impl Into<String>, script: Script) {
        self.scripts.insert(statement.into(), script);
    }

    /// How many sessions are open, as of the last call.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// How many operations are open in all sessions, as of the last call.
    pub fn operations(&self) -> usize {
        self.sessions.values().map(|session| session.operations.len()).sum()
    }

    /// Every statement that was ever submitted, oldest first.
    pub fn submitted(&self) -> &[String] {
        &self.submitted
    }

    /// Closes the sessions whose time is up by `now`, the time since the UNIX epoch.
    pub fn advance(&mut self, now: Duration) {
        self.now = self.now.max(now);
        let (now, limit) = (self.now, self.config.idle_timeout);
        self.sessions.retain(|_, session| now.saturating_sub(session.touched) < limit);
    }

    /// The gateway ends and starts anew: it knows no session any more.
    pub fn restart(&mut self, now: Duration) {
        self.advance(now);
        self.sessions.clear();
    }

    /// Answers a request that arrives at `now`, the time since the UNIX epoch.
    pub fn handle(&mut self, now: Duration, request: &Request<Bytes>) -> Response<Bytes> {
        self.advance(now);
        respond(self.route(request))
    }

    fn route(&mut self, request: &Request<Bytes>) -> Answer {
        let path = request.uri().path();
        let not_found = || Refusal::NotFound(path.to_owned());
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
                let session = self.session(session, "Failed to getSessionConfig.")?;
                Ok(json!({"properties": session.properties}))
            }
            (&Method::DELETE, ["sessions", session]) => {
                self.session(session, "Failed to closeSession.")?;
                self.sessions.remove(*session);
                Ok(json!({"status": "CLOSED"}))
            }
            (&Method::POST, ["sessions", session, "heartbeat"]) => {
                // So does the real one call it.
                self.session(session, "Failed to getSessionConfig.").map(|_| json!({}))
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
                    return Err(Refusal::bad_request("Cannot map `null` into type `int`"));
                }
                self.session(session, "Failed to complete statement.")?;
                let wanted = body["statement"].as_str().unwrap_or_default().ends_with("FROM nu");
                Ok(
                    json!({"candidates": if wanted { vec!["default_catalog.default_database.numbers"] } else { vec![] }}),
                )
            }
            (&Method::POST, ["sessions", session, "materialized-tables", table, "refresh"]) if version == 3 => {
                self.session(session, "Failed to refresh materialized table.")?;
                let text = format!("REFRESH {table}");
                self.start(session, text, Script::job())
            }
            (&Method::POST, ["sessions", session, "scripts"]) if version >= 4 => {
                self.session(session, "Failed to deploy script to cluster.")?;
                let why = "Application Mode not supported by standalone deployments.";
                Err(Refusal::internal(
                    "Failed to deploy script to cluster.",
                    "java.lang.UnsupportedOperationException",
                    why,
                ))
            }
            (method, ["sessions", session, "operations", operation, rest @ ..]) => {
                let query = request.uri().query().unwrap_or_default();
                self.operation(method, session, operation, rest, (version, query)).unwrap_or_else(|| Err(not_found()))
            }
            _ => Err(not_found()),
        }
    }

    fn handle_of(&mut self, kind: u64) -> String {
        self.handles += 1;
        // Looks random, and follows from the seed.
        let mix = (self.config.seed ^ (self.handles << 1 | kind)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let high = mix ^ mix >> 29;
        format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            kind,
            self.handles
        )
    }

    fn open(&mut self, body: &Value) -> Value {
        let handle = self.handle_of(0);
        let properties = body["properties"].as_object().cloned().unwrap_or_default();
        self.sessions.insert(handle.clone(), Session { touched: self.now, properties, operations: BTreeMap::new() });
        json!({"sessionHandle": handle})
    }

    /// A session, which is thereby kept alive.
    fn session(&mut self, handle: &str, failed: &str) -> Result<&mut Session, Refusal> {
        if !is_uuid(handle) {
            return Err(Refusal::parameter("session_handle", handle));
        }
        let now = self.now;
        let unknown = || Refusal::handler(failed, &format!("Session '{handle}' does not exist."));
        let session = self.sessions.get_mut(handle).ok_or_else(unknown)?;
        session.touched = now;
        Ok(session)
    }

    fn submit(&mut self, session: &str, body: &Value) -> Answer {
        let failed = "Failed to execute statement.";
        self.session(session, failed)?;
        no_timeout(body, failed)?;
        let text = body["statement"].as_str().unwrap_or_default().to_owned();
        let script = self.scripts.get(&text).cloned().unwrap_or_else(|| Script::interpret(&text));
        self.start(session, text, script)
    }

    fn start(&mut self, session: &str, text: String, script: Script) -> Answer {
        let handle = self.handle_of(1);
        let operation = Operation::new(script, self.now + self.config.ready_after, &handle, self.config.page_size);
        self.session(session, "Failed to execute statement.")?.operations.insert(handle.clone(), operation);
        self.submitted.push(text);
        Ok(json!({"operationHandle": handle}))
    }

    fn configure(&mut self, session: &str, body: &Value) -> Answer {
        let failed = "Failed to configure session.";
        self.session(session, failed)?;
        no_timeout(body, failed)?;
        let text = body["statement"].as_str().unwrap_or_default();
        let script = self.scripts.get(text).cloned().unwrap_or_else(|| Script::interpret(text));
        match script.failure {
            Some((class, why)) => Err(Refusal::internal(failed, &class, &why)),
            None if !script.is_configuring => {
                let why = format!("Unsupported statement for configuring session: {text}");
                Err(Refusal::internal(failed, "java.lang.UnsupportedOperationException", &why))
            }
            None => Ok(json!({})),
        }
    }

    /// None when the path is none.
    fn operation(
        &mut self,
        method: &Method,
        session: &str,
        handle: &str,
        rest: &[&str],
        (version, query): (u32, &str),
    ) -> Option<Answer> {
        let failed = match (method, rest) {
            (&Method::GET, ["status"]) => "Failed to getOperationInfo.",
            (&Method::GET, ["result", _]) => "Failed to fetchResults.",
            (&Method::POST, ["cancel"]) => "Failed to cancelOperation.",
            (&Method::DELETE, ["close"]) => "Failed to closeOperation.",
            _ => return None,
        };
        let now = self.now;
        let base = format!("/v{version}/sessions/{session}/operations/{handle}/result");
        let found = match self.session(session, failed) {
            Ok(session) => session,
            Err(refusal) => return Some(Err(refusal)),
        };
        if !is_uuid(handle) {
            return Some(Err(Refusal::parameter("operation_handle", handle)));
        }
        if rest == ["close"] {
            found.operations.remove(handle);
            return Some(Ok(json!({"status": "CLOSED"})));
        }
        let Some(operation) = found.operations.get_mut(handle) else {
            let why = format!("Can not find the submitted operation in the OperationManager with the {handle}.");
            return Some(Err(Refusal::handler(failed, &why)));
        };
        Some(match rest {
            ["status"] => Ok(json!({"status": operation.status(now)})),
            ["cancel"] => match operation.status(now) {
                "RUNNING" => {
                    operation.cancel();
                    Ok(json!({"status": "CANCELED"}))
                }
                status => {
                    let why = format!("Failed to convert the Operation Status from {status} to CANCELED for {handle}.");
                    Err(Refusal::handler(failed, &why))
                }
            },
            ["result", token] => match (token.parse(), results::format(query)) {
                (Err(_), _) => Err(Refusal::parameter("token", token)),
                (_, Err(format)) if version >= 2 => Err(Refusal::query("rowFormat", &format)),
                (Ok(token), format) => operation.fetch(now, token, &base, format.unwrap_or_default(), version),
            },
            _ => return None,
        })
    }
}

fn no_timeout(body: &Value, failed: &str) -> Result<(), Refusal> {
    if body["executionTimeout"].as_i64().unwrap_or_default() > 0 {
        let why = "SqlGatewayService doesn't support timeout mechanism now.";
        return Err(Refusal::internal(failed, "java.lang.UnsupportedOperationException", why));
    }
    Ok(())
}

/// Nothing is the same as `{}`.
fn body(request: &Request<Bytes>, format: &str) -> Result<Value, Refusal> {
    if request.body().is_empty() {
        return Ok(json!({}));
    }
    let value: Option<Value> = serde_json::from_slice(request.body()).ok().filter(Value::is_object);
    value.ok_or_else(|| Refusal::bad_request(&format!("Request did not match expected format {format}.")))
}

fn is_uuid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}
