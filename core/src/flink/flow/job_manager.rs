//! [`Identify`]: which JobManager process answers, so that no request kills a second JobManager.
//!
//! ```text
//!  Start ──▶ Read ──▶ done
//!    ▲        │ after main(): no answer, or an error that passes, for 90 s at the most
//!    └─ Wait ◀┘ 403 to 405 of a proxy, up to five times
//! ```
//!
//! A request that executes `main()` can end without an answer because `main()` has called `System.exit`. Then each
//! repetition would kill the next JobManager. So the flows read the identity of the process before each attempt of such
//! a request. After an attempt without an answer they compare it:
//!
//! | read before | read after | the JobManager is | the request |
//! |---|---|---|---|
//! | an identity | the same one | the same | may be repeated |
//! | an identity | another identity; no high availability | [replaced](JobManagerLookup::Restarted) | is not repeated |
//! | an identity | another identity; high availability | [another JobManager](JobManagerLookup::DifferentReplica) | is not repeated |
//! | an identity | nothing: no answer, or a proxy in the way | [unknown](JobManagerLookup::LookupFailed) | is not repeated |
//! | nothing | | [unknown](JobManagerLookup::LookupFailed) | is not repeated |
//!
//! With high availability there may be several JobManagers, each with a REST endpoint. So another identity does not
//! show that the process that got the request is dead.
//!
//! Limits: if a load balancer or a Kubernetes service distributes requests over several JobManagers, the process that
//! was identified may not be the process that gets the request. Then [the same](JobManagerLookup::Same) identity does
//! not show that the process lives that got it, and a `main()` that calls `System.exit` may kill further JobManagers:
//! at most one more for a plan, four more for a run. Use the address of one JobManager to avoid this. The cluster
//! accepts each job id once, so no second job runs. If the process is replaced between the answer that identifies it
//! and the request itself, the next process executes `main()`, although the flow takes it for dead. So an upgrade that
//! gives up the new job in this way runs the old jar under the same job id.
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

/// Whether the JobManager that was to execute a main method, and gave no answer, still lives.
///
/// A main method that calls `System.exit` kills its JobManager. So `main()` is executed again only if the JobManager is
/// the [`Same`](Self::Same) process.
///
/// Limit: if a load balancer or a Kubernetes service distributes requests over several JobManagers, the process that
/// was identified may not be the process that got the request. Then [`Same`](Self::Same) does not show that the latter
/// lives, and a `main()` that exits may kill further JobManagers: at most one more for a plan, four more for a run. No
/// second job runs, because the cluster accepts each job id once. Use the address of one JobManager.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobManagerLookup {
    /// The flow did not look it up: each such request was answered, or none was sent.
    NotTried,
    /// The same process answers. The answer was lost on the way, or `main()` took too long.
    Same,
    /// Another process answers, and the cluster has no high availability: **the JobManager died** since `main()` was to
    /// be executed. Do not run the jar again before you know why.
    Restarted,
    /// Another process answers, and the cluster has high availability: several JobManagers may run. The process that
    /// got the request may have died of `main()`, or may still execute it and submit the job. Do not run the jar again
    /// before you know.
    DifferentReplica,
    /// The lookup failed, for this reason: `main()` may have killed the JobManager.
    LookupFailed(String),
}

/// The option whose value tells one process from another.
const KEY: &str = "web.tmpdir";
/// The options that say whether there is high availability: the name since 1.17, and the older name. Without them,
/// there is no high availability.
const HIGH_AVAILABILITY: [&str; 2] = ["high-availability.type", "high-availability"];

/// One request, which is repeated until it is answered if `main()` has been executed.
#[derive(Debug)]
pub(super) struct Identify {
    is_after: bool,
    until: Option<Timestamp>,
    /// How often a proxy has barred the way.
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
    /// Before `main()` is executed: a cluster that cannot be reached ends the flow.
    pub(super) fn before() -> Self {
        Self { is_after: false, until: None, barred: 0, pace: PollInterval::START, state: State::Start }
    }

    /// After a request that got no answer: a JobManager that is being started, or a new leader, has time to come up.
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

/// A proxy that passes only some paths on says so, or one that has lost the service.
fn is_barred(error: &ServiceError) -> bool {
    error.kind() == ErrorKind::Foreign && matches!(error.status().as_u16(), 403..=405)
}

/// The cluster itself says that it has no leader, or could not reach it. A gateway that delivers a request twice hands
/// out such an answer to the second delivery if the first delivery has killed the JobManager.
pub(super) fn is_of_failover(rejection: &ServiceError) -> bool {
    rejection.kind() == ErrorKind::Rejected && (rejection.is_transient() || is_passing(rejection))
}

/// A JobManager that answers.
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

/// Whether the process that answers now is the process that was to execute `main()`.
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

/// What the caller has to do if the request is not repeated.
pub(super) fn next_step(job_manager: &JobManagerLookup) -> &'static str {
    match job_manager {
        JobManagerLookup::DifferentReplica => {
            "read the logs of all JobManagers, and run the jar again only if main() no longer runs and did not end one of them"
        }
        _ => "read the log of the JobManager, and run the jar again only if something else ended the process",
    }
}

/// Why the request is not repeated; `None` if it may be.
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
