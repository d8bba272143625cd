//! The goals [`DisposeSavepoint`] and [`DeleteDataset`].
//!
//! ```text
//!  Start ──answered──▶ Poll ◀──▶ Wait
//!    ▲                  │ ├─▶ done: it is gone
//!    │                  │ └─▶ failed: the cause
//!    └──── Again ◀──────┘ forgotten
//! ```
//!
//! | state | response | next step |
//! |---|---|---|
//! | Start | a trigger id | Poll |
//! | Start | outcome unknown | Again, until the deadline, or for 90 s without a deadline; then ambiguous |
//! | Start | another error, after a request whose outcome is unknown | ambiguous |
//! | Poll | another rejection, no answer | Poll again, until the deadline, or for 90 s without a deadline; then ambiguous |
//! | Poll | in progress | Wait, then Poll |
//! | Poll | completed | done |
//! | Poll | failed, because it does not exist, after a request whose outcome is unknown | done, with `was_gone` |
//! | Poll | failed otherwise | failed |
//! | Poll | unknown trigger: the cluster has forgotten it, or the JobManager was restarted | Again, then Start |
//!
//! A second removal changes nothing, so the flow saves no state, and repeats a request that the cluster has forgotten.
//! The flow remembers an attempt without an answer: if it removed the target, the next attempt does not find it.

use std::fmt::Debug;
use std::ops::ControlFlow;
use std::time::Duration;

use super::PollInterval;
use super::lookup_retry::LookupRetry;
use crate::error::{Ambiguity, Failure, FlowError};
use crate::flink::datasets::{GetDatasetDeletion, StartDatasetDeletion};
use crate::flink::disposal::{GetSavepointDisposal, StartSavepointDisposal};
use crate::flink::error::is_unknown_trigger;
use crate::flink::savepoints::{Removal, Trigger};
use crate::flink::{DatasetId, FlinkRest, Throwable, TriggerId};
use crate::flow::{Call, FlowContext, Notice, StateMachine, Transition, done, goal};
use crate::operation::Operation;
use crate::time::Timestamp;

/// Deletes the files of a savepoint and waits until they are gone.
///
/// The flow saves no state: after an error or a crash, run the goal again.
///
/// # Errors
/// * [`FlowError::Failed`] with the cluster's reason if the deletion fails, or if the savepoint does not exist.
/// * [`FlowError::Ambiguous`] if the cluster may have deleted the savepoint, but can no longer be reached.
/// * [`FlowError::Deadline`] if the [`timeout`](Self::timeout) expires. The cluster continues the deletion.
///
/// ```
/// use pipewright::flink::DisposeSavepoint;
/// use std::time::Duration;
/// let goal = DisposeSavepoint::new("s3://bucket/savepoints/savepoint-4c7e6f-1").timeout(Duration::from_secs(60));
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct DisposeSavepoint {
    path: String,
    timeout: Option<Duration>,
}

impl DisposeSavepoint {
    /// Creates the goal for a savepoint's path: see [`Savepoint::location`](super::Savepoint::location).
    pub fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), timeout: None }
    }
}

/// Deletes a cluster data set and waits until it is gone. If the cluster does not know it, the flow succeeds.
///
/// # Errors
/// The same as those of [`DisposeSavepoint`].
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct DeleteDataset {
    dataset: DatasetId,
    timeout: Option<Duration>,
}

impl DeleteDataset {
    /// Creates the goal for a data set.
    pub fn new(dataset: DatasetId) -> Self {
        Self { dataset, timeout: None }
    }
}

/// The result of a [`DisposeSavepoint`] or [`DeleteDataset`]: the target no longer exists.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Removed {
    /// Whether the target did not exist when the request that was answered arrived. Only after an earlier request
    /// without an answer: either that request removed the target, or the target never existed.
    pub was_gone: bool,
}

/// What differs between the removals.
pub trait Removable: Debug {
    /// The operation that triggers the removal.
    type Start: Operation<Output = Trigger, Service = FlinkRest> + Debug;
    /// The operation that reads the outcome.
    type Status: Operation<Output = Removal, Service = FlinkRest> + Debug;
    /// The goal's name.
    const NAME: &'static str;

    /// A description of what is removed.
    fn what(&self) -> String;
    /// Creates the operation that triggers the removal.
    fn start(&self) -> Self::Start;
    /// Creates the operation that reads the outcome.
    fn status(id: TriggerId) -> Self::Status;
    /// Returns whether a failure means that the target does not exist.
    fn is_gone(cause: &Throwable) -> bool;
}

impl Removable for DisposeSavepoint {
    type Start = StartSavepointDisposal;
    type Status = GetSavepointDisposal;
    const NAME: &'static str = "DisposeSavepoint";

    fn what(&self) -> String {
        format!("disposal of savepoint {}", self.path)
    }

    fn start(&self) -> StartSavepointDisposal {
        StartSavepointDisposal::new(&*self.path)
    }

    fn status(id: TriggerId) -> GetSavepointDisposal {
        GetSavepointDisposal::new(id)
    }

    fn is_gone(cause: &Throwable) -> bool {
        cause.stack_trace.as_deref().is_some_and(|trace| trace.contains("FileNotFoundException"))
    }
}

impl Removable for DeleteDataset {
    type Start = StartDatasetDeletion;
    type Status = GetDatasetDeletion;
    const NAME: &'static str = "DeleteDataset";

    fn what(&self) -> String {
        format!("deletion of data set {}", self.dataset)
    }

    fn start(&self) -> StartDatasetDeletion {
        StartDatasetDeletion::new(self.dataset)
    }

    fn status(id: TriggerId) -> GetDatasetDeletion {
        GetDatasetDeletion::new(id)
    }

    fn is_gone(_cause: &Throwable) -> bool {
        false
    }
}

/// The transitions of both goals.
#[derive(Debug)]
pub struct Removing<R: Removable> {
    target: R,
    /// Whether the outcome of an earlier request is unknown.
    outcome_unknown: bool,
    retry: LookupRetry,
    pace: PollInterval,
    state: State<R>,
}

#[derive(Debug)]
enum State<R: Removable> {
    Fresh,
    Start(Call<R::Start>),
    Poll(Call<R::Status>, TriggerId),
    Wait(Timestamp, TriggerId),
    /// Waits before the removal is requested again. A JobManager that restarts repeatedly forgets each trigger.
    Again(Timestamp),
}

impl<R: Removable> Removing<R> {
    fn new(target: R) -> Self {
        Self {
            target,
            outcome_unknown: false,
            retry: LookupRetry::default(),
            pace: PollInterval::START,
            state: State::Fresh,
        }
    }

    /// Makes an error ambiguous if an earlier request may have been carried out.
    fn unconfirmed(&self, error: FlowError) -> FlowError {
        match error {
            FlowError::Ambiguous(_) => error,
            error if self.outcome_unknown => FlowError::Ambiguous(Ambiguity {
                operation: R::Start::INFO.name,
                cause: Box::new(error),
                unanswered: true,
                found: None,
                evidence: None,
            }),
            error => error,
        }
    }

    fn over(&self, cause: Option<Throwable>) -> Result<Removed, FlowError> {
        match cause {
            None => Ok(Removed { was_gone: false }),
            Some(cause) if self.outcome_unknown && R::is_gone(&cause) => Ok(Removed { was_gone: true }),
            Some(cause) => Err(FlowError::Failed(Failure {
                what: self.target.what(),
                reason: cause.cause().to_string(),
                details: cause.stack_trace,
                cause: None,
            })),
        }
    }
}

impl<R: Removable> StateMachine for Removing<R> {
    type Service = FlinkRest;
    type Output = Removed;
    const NAME: &'static str = R::NAME;

    fn transition(&mut self, cx: &mut FlowContext<FlinkRest>) -> Transition<Removed> {
        match &mut self.state {
            State::Fresh => {
                cx.phase(R::NAME, "triggering");
                self.state = State::Start(cx.call(self.target.start()));
            }
            State::Start(call) => match cx.poll(call)? {
                Ok(trigger) => {
                    self.outcome_unknown |= call.has_unanswered();
                    cx.phase(R::NAME, "waiting for the outcome");
                    self.state = State::Poll(cx.call(R::status(trigger.request_id)), trigger.request_id);
                }
                Err(error) if error.is_ambiguous() && self.retry.allows(&error, cx) => {
                    self.outcome_unknown = true;
                    self.state = State::Again(self.pace.next(cx.now()));
                }
                Err(error) => return done(Err(self.unconfirmed(error))),
            },
            State::Poll(call, id) => match cx.poll(call)? {
                Ok(removal) => {
                    self.retry.answered();
                    match removal.outcome() {
                        Some(outcome) => return done(self.over(outcome.err())),
                        None => self.state = State::Wait(self.pace.next(cx.now()), *id),
                    }
                }
                Err(FlowError::Service(error)) if is_unknown_trigger(&error) => {
                    let state = "the cluster has forgotten the trigger".to_owned();
                    cx.say(Notice::Observed { what: self.target.what(), state });
                    self.outcome_unknown = true;
                    self.state = State::Again(self.pace.next(cx.now()));
                }
                Err(error @ FlowError::Deadline { .. }) => return done(Err(error)),
                Err(error) if self.retry.allows(&error, cx) => {
                    self.state = State::Wait(self.pace.next(cx.now()), *id);
                }
                Err(error) => {
                    return done(Err(FlowError::Ambiguous(Ambiguity {
                        operation: R::Start::INFO.name,
                        cause: Box::new(error),
                        unanswered: false,
                        found: None,
                        evidence: None,
                    })));
                }
            },
            State::Again(until) => {
                if let Err(error) = cx.wait_or_expire(*until, "the removal")? {
                    return done(Err(self.unconfirmed(error)));
                }
                self.state = State::Fresh;
            }
            State::Wait(until, id) => {
                cx.wait(*until, "the removal")?;
                self.state = State::Poll(cx.call(R::status(*id)), *id);
            }
        }
        ControlFlow::Continue(())
    }
}

impl<R: Removable> From<R> for Removing<R> {
    fn from(goal: R) -> Self {
        Self::new(goal)
    }
}

goal!(DisposeSavepoint: FlinkRest => Removed, Removing<DisposeSavepoint>);
goal!(DeleteDataset: FlinkRest => Removed, Removing<DeleteDataset>);
