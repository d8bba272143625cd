//! Sessions, their handles and their operations.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use http::Method;
use serde_json::json;

use super::errors::{Answer, Rejection};
use super::forms::format;
use super::jobs::Jobs;
use super::operation::Operation;
use super::workspace::{Context, Workspace};

/// Where handles come from.
#[derive(Debug)]
pub(super) struct Handles {
    seed: u64,
    given: u64,
}

impl Handles {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, given: 0 }
    }

    pub(super) fn next(&mut self, kind: u64) -> String {
        self.given += 1;
        // Looks random, and follows from the seed.
        let mix = (self.seed ^ (self.given << 1 | kind)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let high = mix ^ mix >> 29;
        format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            kind,
            self.given
        )
    }
}

/// What a request does with an operation.
#[derive(Debug)]
pub(super) enum Action<'a> {
    Status,
    /// Fetches the page of a token.
    Result(&'a str),
    Cancel,
    Close,
}

impl<'a> Action<'a> {
    /// Reads a method and the end of a path. Returns `None` if there is no such path.
    pub(super) fn read(method: &Method, rest: &[&'a str]) -> Option<Self> {
        match (method, rest) {
            (&Method::GET, ["status"]) => Some(Self::Status),
            (&Method::GET, ["result", token]) => Some(Self::Result(token)),
            (&Method::POST, ["cancel"]) => Some(Self::Cancel),
            (&Method::DELETE, ["close"]) => Some(Self::Close),
            _ => None,
        }
    }

    /// How its failures begin.
    pub(super) fn failed(&self) -> &'static str {
        match self {
            Self::Status => "Failed to getOperationInfo.",
            Self::Result(_) => "Failed to fetchResults.",
            Self::Cancel => "Failed to cancelOperation.",
            Self::Close => "Failed to closeOperation.",
        }
    }
}

#[derive(Debug)]
pub(super) struct Session {
    touched: Duration,
    pub(super) workspace: Workspace,
    operations: BTreeMap<String, Operation>,
    /// Operations that have not been carried out, in the order in which they came.
    pending: VecDeque<String>,
}

impl Session {
    pub(super) fn start(&mut self, handle: String, operation: Operation) {
        if operation.is_pending() {
            self.pending.push_back(handle.clone());
        }
        self.operations.insert(handle, operation);
    }

    /// Carries out what is due, one after the other.
    pub(super) fn run(&mut self, until: Duration, jobs: &mut Jobs) {
        while let Some(handle) = self.pending.pop_front() {
            let Some(operation) = self.operations.get_mut(&handle).filter(|operation| operation.is_pending()) else {
                continue;
            };
            if operation.ready_at > until {
                return self.pending.push_front(handle);
            }
            let (text, settings) = operation.statement.clone();
            let mut context = Context { now: operation.ready_at, job: operation.job(), settings, jobs };
            operation.finish(self.workspace.execute(&text, &mut context));
        }
    }

    /// Carries out what has come, without its wait: another request waits for it.
    pub(super) fn run_all(&mut self, now: Duration, jobs: &mut Jobs) {
        for handle in &self.pending {
            if let Some(operation) = self.operations.get_mut(handle) {
                operation.ready_at = operation.ready_at.min(now);
            }
        }
        self.run(now, jobs);
    }

    /// The jobs of its queries, which end with it.
    pub(super) fn queries(&self) -> impl Iterator<Item = String> {
        self.operations.values().filter(|operation| operation.is_query()).map(Operation::job)
    }

    /// Answers a request about an operation.
    pub(super) fn operation(
        &mut self,
        handle: &str,
        action: &Action<'_>,
        now: Duration,
        base: &str,
        (version, query): (u32, &str),
        jobs: &mut Jobs,
    ) -> Answer {
        if !is_uuid(handle) {
            return Err(Rejection::parameter("operation_handle", handle));
        }
        match (action, self.operations.get_mut(handle)) {
            (Action::Close, _) => {
                if let Some(closed) = self.operations.remove(handle)
                    && closed.is_query()
                {
                    jobs.end(&closed.job(), "CANCELED");
                }
                Ok(json!({"status": "CLOSED"}).to_string())
            }
            (_, None) => {
                let why = format!("Can not find the submitted operation in the OperationManager with the {handle}.");
                Err(Rejection::handler(action.failed(), &why))
            }
            (Action::Status, Some(operation)) => Ok(json!({"status": operation.status(now)}).to_string()),
            (Action::Cancel, Some(operation)) => match operation.status(now) {
                "RUNNING" => {
                    operation.cancel();
                    Ok(json!({"status": "CANCELED"}).to_string())
                }
                status => {
                    let why = format!("Failed to convert the Operation Status from {status} to CANCELED for {handle}.");
                    Err(Rejection::handler(action.failed(), &why))
                }
            },
            (Action::Result(token), Some(operation)) => match (token.parse(), format(query)) {
                (Err(_), _) => Err(Rejection::parameter("token", token)),
                (_, Err(format)) if version >= 2 => Err(Rejection::query("rowFormat", &format)),
                (Ok(token), format) => operation.fetch(now, token, base, format.unwrap_or_default(), version),
            },
        }
    }
}

/// The open sessions, by handle.
#[derive(Debug, Default)]
pub(super) struct Sessions(BTreeMap<String, Session>);

impl Sessions {
    pub(super) fn open(&mut self, handle: String, workspace: Workspace, now: Duration) {
        let (operations, pending) = (BTreeMap::new(), VecDeque::new());
        self.0.insert(handle, Session { touched: now, workspace, operations, pending });
    }

    /// Carries out what is due in all sessions.
    pub(super) fn run(&mut self, until: Duration, jobs: &mut Jobs) {
        for session in self.0.values_mut() {
            session.run(until, jobs);
        }
    }

    pub(super) fn remove(&mut self, handle: &str, jobs: &mut Jobs) {
        for job in self.0.remove(handle).iter().flat_map(Session::queries) {
            jobs.end(&job, "CANCELED");
        }
    }

    /// Closes all of them.
    pub(super) fn clear(&mut self, jobs: &mut Jobs) {
        for session in std::mem::take(&mut self.0).into_values() {
            for job in session.queries() {
                jobs.end(&job, "CANCELED");
            }
        }
    }

    /// Closes the sessions that no request has used for `idle_timeout`.
    pub(super) fn expire(&mut self, now: Duration, idle_timeout: Duration, jobs: &mut Jobs) {
        let is_idle = |session: &Session| now.saturating_sub(session.touched) >= idle_timeout;
        let idle: Vec<String> =
            self.0.iter().filter(|(_, session)| is_idle(session)).map(|(handle, _)| handle.clone()).collect();
        for handle in idle {
            self.remove(&handle, jobs);
        }
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn count_operations(&self) -> usize {
        self.0.values().map(|session| session.operations.len()).sum()
    }

    /// A session, which is thereby kept alive.
    pub(super) fn find(&mut self, handle: &str, now: Duration, failed: &str) -> Result<&mut Session, Rejection> {
        if !is_uuid(handle) {
            return Err(Rejection::parameter("session_handle", handle));
        }
        let unknown = || Rejection::handler(failed, &format!("Session '{handle}' does not exist."));
        let session = self.0.get_mut(handle).ok_or_else(unknown)?;
        session.touched = now;
        Ok(session)
    }
}

fn is_uuid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}
