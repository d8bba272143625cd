//! [`Identify`]: reads which JobManager process answers, so that no request kills a second JobManager.
//!
//! ```text
//!  Start ──▶ Read ──▶ done
//!    ▲        │ after main(): no answer, or a temporary error, for at most 90 s
//!    └─ Wait ◀┘ 403 to 405 of a proxy, up to five times
//! ```
//!
//! A request that executes `main()` can end without an answer because `main()` has called `System.exit`. Then each
//! repetition would kill the next JobManager. So the flows read the identity of the process before each attempt of such
//! a request. After an attempt without an answer they read it again, and compare:
//!
//! | identity before | identity after | the JobManager is | the request |
//! |---|---|---|---|
//! | an identity | the same identity | the same | may be repeated |
//! | an identity | another identity; no high availability | [replaced](JobManagerLookup::Restarted) | is not repeated |
//! | an identity | another identity; high availability | [another JobManager](JobManagerLookup::DifferentReplica) | is not repeated |
//! | an identity | not readable: no answer, or a proxy rejects the request | [unknown](JobManagerLookup::LookupFailed) | is not repeated |
//! | not readable | | [unknown](JobManagerLookup::LookupFailed) | is not repeated |
//!
//! With high availability there may be several JobManagers, each with a REST endpoint. So another identity does not
//! show that the process that got the request is dead.
//!
//! Limits:
//!
//! * A load balancer or a Kubernetes service may distribute requests over several JobManagers: see
//!   [`JobManagerLookup`].
//! * The process may be replaced between the answer that identifies it and the request itself. Then the next process
//!   executes `main()`, although the flow assumes that the process that got the request is dead. So an upgrade that
//!   gives up the new job in this way runs the old jar under the same job id.
//!
//! A rejection for lack of a leader counts as no answer: see [`is_of_failover`].
//!
//! The identity is the configured directory `web.tmpdir`, to which each process appends a random id when it starts.
//! Measured on 1.18.1, 1.20.5 and 2.3.0: after a `kill -9` and a restart, nothing else of `/config`, `/overview`,
//! `/jobmanager/environment`, `/jars` and the metrics differs reliably. `main()` runs in the process whose REST
//! endpoint answers, and so does this request.

use std::ops::ControlFlow;

use super::PollInterval;
use crate::error::{ErrorKind, FlowError, ServiceError};
use crate::flink::FlinkRest;
use crate::flink::error::is_passing;
use crate::flink::jobmanager::GetJobManagerConfig;
use crate::flink::logs::ConfigEntry;
use crate::flink::tuning::{LOOKUP_TIMEOUT, MAX_BARRED_ANSWERS};
use crate::flow::{Call, FlowContext, Polled};
use crate::time::Timestamp;

/// What a flow knows about the JobManager that was to execute a main method and did not answer.
///
/// A main method that calls `System.exit` kills its JobManager. So the flow executes `main()` again only if the
/// [`Same`](Self::Same) JobManager process answers.
///
/// Limit: a load balancer or a Kubernetes service may distribute requests over several JobManagers. Then the identified
/// process may not be the process that got the request, and [`Same`](Self::Same) does not show that the latter still
/// runs. A `main()` that exits may kill further JobManagers: at most one more for a plan, four more for a run. To avoid
/// this, use the address of one JobManager. No second job runs in any case, because the cluster accepts each job id
/// once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobManagerLookup {
    /// The flow did not look the JobManager up: every such request was answered, or no such request was sent.
    NotTried,
    /// The same process answers: the response was lost, or `main()` took too long.
    Same,
    /// Another process answers, and the cluster has no high availability: **the JobManager died** after it got the
    /// request. Find out why before you run the jar again.
    Restarted,
    /// Another process answers, and the cluster has high availability: several JobManagers may run. The process that
    /// got the request may have died because of `main()`, or may still execute it and submit the job. Find out which
    /// before you run the jar again.
    DifferentReplica,
    /// The lookup failed, for this reason: `main()` may have killed the JobManager.
    LookupFailed(String),
}

/// The option whose value tells one process from another.
const KEY: &str = "web.tmpdir";
/// The options that configure high availability: the name since 1.17, and the older name. If both are missing, the
/// cluster has no high availability.
const HIGH_AVAILABILITY: [&str; 2] = ["high-availability.type", "high-availability"];

/// One request, which is repeated until it is answered if `main()` has been executed.
#[derive(Debug)]
pub(super) struct Identify {
    is_after: bool,
    until: Option<Timestamp>,
    /// How often a proxy has rejected the request.
    barred: u32,
    pace: PollInterval,
    state: State,
}

#[derive(Debug)]
enum State {
    Start,
    Read(Call<GetJobManagerConfig>),
    Wait(Timestamp),
}

impl Identify {
    /// Identifies the process before `main()` is executed: if the cluster cannot be reached, the flow ends.
    pub(super) fn before() -> Self {
        Self { is_after: false, until: None, barred: 0, pace: PollInterval::START, state: State::Start }
    }

    /// Identifies the process after a request that got no answer: waits for a JobManager that is starting, or for a new
    /// leader.
    pub(super) fn after() -> Self {
        Self { is_after: true, ..Self::before() }
    }

    /// Returns the identity, or why it could not be read.
    pub(super) fn poll<T>(&mut self, cx: &mut FlowContext<FlinkRest>) -> Polled<T, Result<Process, String>> {
        loop {
            match &mut self.state {
                State::Start => {
                    let call = cx.call(GetJobManagerConfig::new()).handing_back(is_barred);
                    let until = self.is_after.then(|| *self.until.get_or_insert(cx.now() + LOOKUP_TIMEOUT));
                    self.state = State::Read(match until {
                        Some(until) => call.with_deadline(cx.no_later_than(until)),
                        None => call,
                    });
                }
                State::Read(call) => match cx.poll(call)? {
                    Ok(entries) => return ControlFlow::Continue(Ok(identity(entries))),
                    Err(FlowError::Service(error)) if is_barred(&error) => {
                        self.barred += 1;
                        if self.barred >= MAX_BARRED_ANSWERS {
                            return ControlFlow::Continue(Ok(Err(error.to_string())));
                        }
                        self.state = State::Wait(self.pace.next(cx.now()));
                    }
                    Err(FlowError::Service(error)) if !error.is_transient() => {
                        return ControlFlow::Continue(Ok(Err(error.to_string())));
                    }
                    Err(error) if self.is_after => {
                        if self.until.is_none_or(|until| cx.now() >= until) || cx.expired("").is_some() {
                            return ControlFlow::Continue(Ok(Err(error.to_string())));
                        }
                        self.state = State::Wait(self.pace.next(cx.now()));
                    }
                    Err(FlowError::Service(error)) => return ControlFlow::Continue(Ok(Err(error.to_string()))),
                    Err(error) => return ControlFlow::Continue(Err(error)),
                },
                State::Wait(until) => {
                    cx.pause(*until)?;
                    self.state = State::Start;
                }
            }
        }
    }
}

/// Returns whether a proxy has rejected the request, because it does not forward the path or cannot reach the cluster.
fn is_barred(error: &ServiceError) -> bool {
    error.kind() == ErrorKind::Foreign && matches!(error.status().as_u16(), 403..=405)
}

/// Returns whether the cluster itself says that it has no leader, or cannot reach it. If a gateway delivers a request
/// twice, and the first delivery kills the JobManager, the second delivery gets such an answer.
pub(super) fn is_of_failover(rejection: &ServiceError) -> bool {
    rejection.kind() == ErrorKind::Rejected && (rejection.is_transient() || is_passing(rejection))
}

/// The JobManager process that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) identity: String,
    /// Whether the cluster may have other JobManagers.
    is_one_of_several: bool,
}

fn identity(entries: Vec<ConfigEntry>) -> Result<Process, String> {
    let is_set = |entry: &ConfigEntry| !entry.value.as_ref().is_some_and(|value| value.eq_ignore_ascii_case("none"));
    let is_one_of_several =
        entries.iter().any(|entry| HIGH_AVAILABILITY.contains(&entry.key.as_str()) && is_set(entry));
    let entry = entries.into_iter().find(|entry| entry.key == KEY);
    let identity = entry
        .and_then(|entry| entry.value)
        .ok_or_else(|| format!("/jobmanager/config: {KEY} is missing; the JobManager cannot be identified"))?;
    Ok(Process { identity, is_one_of_several })
}

/// Returns whether the process that answers now is the process that was to execute `main()`.
pub(super) fn compare(before: Option<&str>, after: Result<Process, String>) -> JobManagerLookup {
    match (before, after) {
        (None, _) => {
            let why = format!("its identity ({KEY} of /jobmanager/config) could not be read before");
            JobManagerLookup::LookupFailed(why)
        }
        (Some(before), Ok(after)) if before == after.identity => JobManagerLookup::Same,
        (Some(_), Ok(after)) if after.is_one_of_several => JobManagerLookup::DifferentReplica,
        (Some(_), Ok(_)) => JobManagerLookup::Restarted,
        (Some(_), Err(why)) => JobManagerLookup::LookupFailed(why),
    }
}

/// Returns what the caller must do if the request is not repeated.
pub(super) fn next_step(job_manager: &JobManagerLookup) -> &'static str {
    match job_manager {
        JobManagerLookup::DifferentReplica => {
            "read the logs of all JobManagers, and run the jar again only if main() no longer runs and did not end one of them"
        }
        _ => "read the log of the JobManager, and run the jar again only if something else ended the process",
    }
}

/// Returns why the request is not repeated; `None` if it may be.
pub(super) fn suspicion(job_manager: &JobManagerLookup) -> Option<String> {
    match job_manager {
        JobManagerLookup::NotTried | JobManagerLookup::Same => None,
        JobManagerLookup::Restarted => {
            Some("the JobManager died while main() ran, perhaps because main() calls System.exit".to_owned())
        }
        JobManagerLookup::DifferentReplica => Some(
            "another JobManager answers, and with high availability the process that got the request may still execute main(), or may have \
             died, perhaps because main() calls System.exit"
                .to_owned(),
        ),
        JobManagerLookup::LookupFailed(why) => Some(format!(
            "the JobManager may have died while main() ran, perhaps because main() calls System.exit: whether it is still the same \
             process is not known, because {why}"
        )),
    }
}
