//! The goals [`DisposeSavepoint`] and [`DeleteDataset`].
//!
//! ```text
//!  Start ──answered──▶ Poll ◀──▶ Wait
//!    ▲                  │ ├─▶ done: it is gone
//!    │                  │ └─▶ failed: the cause
//!    └──── Again ◀──────┘ forgotten
//! ```
//!
//! | state | what came | next |
//! |---|---|---|
//! | Start | an id | Poll |
//! | Start | outcome unknown | Again, until the deadline, or for 90 s without one; then ambiguous |
//! | Start | another error, after a request whose outcome is unknown | ambiguous |
//! | Poll | another rejection, no answer | Poll again, until the deadline, or for 90 s without one; then ambiguous |
//! | Poll | in progress | Wait, then Poll |
//! | Poll | completed | done |
//! | Poll | failed, because it is not there, after a request whose outcome is unknown | done, and it was gone before |
//! | Poll | failed otherwise | failed |
//! | Poll | unknown: forgotten, or the JobManager was restarted | Again, then Start |
//!
//! Removing twice is the same as once, so nothing needs to be saved, and a request that was forgotten is sent again. An
//! attempt without an answer is remembered, because the next attempt may then find nothing left.

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
/// Ends in [`FlowError::Failed`] with the cluster's reason, also for a savepoint that is not there; in
/// [`FlowError::Ambiguous`] if the cluster cannot be reached any more and may have deleted it; in
/// [`FlowError::Deadline`] while it is being deleted, which the cluster continues. Nothing needs to be saved: running
/// it again is the same.
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
    /// Deletes the savepoint at a path, as [`Savepoint::location`](super::Savepoint::location) says.
    pub fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), timeout: None }
    }
}

/// Deletes a cluster data set and waits until it is gone.
///
/// One that the cluster does not know is no error: it is gone. Ends in errors as [`DisposeSavepoint`] does.
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct DeleteDataset {
    dataset: DatasetId,
    timeout: Option<Duration>,
}

impl DeleteDataset {
    /// Deletes a data set.
    pub fn new(dataset: DatasetId) -> Self {
        Self { dataset, timeout: None }
    }
}

/// Something is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Removed {
    /// An attempt before got no answer, and the attempt that did found nothing left: either the first attempt removed
    /// it, or it was never there.
    pub was_gone: bool,
}

/// What differs between the removals.
pub trait Removable: Debug {
    /// The trigger.
    type Start: Operation<Output = Trigger, Service = FlinkRest> + Debug;
    /// The question for the outcome.
    type Status: Operation<Output = Removal, Service = FlinkRest> + Debug;
    /// The goal's name.
    const NAME: &'static str;

    /// A description of what is removed.
    fn what(&self) -> String;
    /// The trigger.
    fn start(&self) -> Self::Start;
    /// The question.
    fn status(id: TriggerId) -> Self::Status;
    /// Whether a failure means that nothing exists to remove.
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

/// The transitions of both.
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
    /// Forgotten: not at once, because a JobManager that keeps being restarted keeps forgetting.
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

    /// Ends as ambiguous if an earlier request may have been carried out.
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
