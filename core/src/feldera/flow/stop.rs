//! The goal [`Stop`].
//!
//! ```text
//!            ┌───────────────────┐
//!            ▼                   │
//!  Poll ──is to be up──▶ Stop ───┘
//!   ▲ │
//!   └─┤ stopping
//!     └─▶ done, or failed
//! ```
//!
//! | desired status | actual status | then |
//! |---|---|---|
//! | stopped | stopped by an error, without the requested checkpoint | failed: `Crashed` |
//! | stopped | stopped | done |
//! | suspended | not stopped yet, and force was requested | stop |
//! | stopped or suspended | not stopped yet | wait |
//! | up | another deployment than before | failed: `Replaced` |
//! | unknown | any, after the desired status was stopped or a stop was accepted | wait |
//! | up | any, after the desired status was stopped | failed: `Overruled` |
//! | up | any, a stop with a checkpoint was accepted less than 10 s ago | wait |
//! | up | any, a stop was accepted earlier | failed: `Overruled` |
//! | standby | standby, and a checkpoint was requested | failed: `Standby` |
//! | up | any | stop |
//!
//! While the process is being suspended, its statistics show the delay in `suspend_error`. The flow requests them after
//! a second, and then every five seconds.
//!
//! A process that awaits approval rejects a checkpoint: `AwaitingApproval`. The open-source edition rejects a stop with
//! a checkpoint. The flow then sends a forced stop only if the caller allowed it with `or_forced`.

use std::time::Duration;

use super::Interruption;
use super::reconcile::{
    ActionCall, Labels, Memory, Next, PendingAction, Plan, Reconciler, action_call, end_of, is_to_stop,
    unless_overtaken,
};
use crate::error::{Cause, Failure, FlowError, ServiceError};
use crate::feldera::checkpoints::CheckpointInfo;
use crate::feldera::lifecycle::StopPipeline;
use crate::feldera::pipelines::{DesiredStatus, Pipeline, PipelineStatus};
use crate::feldera::{ErrorCode, FelderaApi, error_code};
use crate::flow::{FlowContext, goal};
use crate::time::Timestamp;

/// Stops a pipeline, with a checkpoint or by force, and waits until its process is gone. Does nothing if the pipeline
/// is stopped.
///
/// Only the enterprise edition makes checkpoints. The open-source edition rejects [`Stop::new`]. Use [`Stop::forced`]
/// or [`or_forced`](Self::or_forced) there: then the contents of the tables are lost.
///
/// An open transaction or a backfill of views delays the checkpoint. A forced stop ends both.
/// [`Notice::Observed`](crate::flow::Notice::Observed) shows what delays the checkpoint.
///
/// # Errors
/// * [`FlowError::Failed`] with an [`Interruption`]: `Crashed` if the checkpoint fails, `Overruled` or `Replaced` if
///   another client starts the pipeline again, `AwaitingApproval` or `Standby` if a pipeline in this status has to make
///   a checkpoint.
/// * `Failed` without an interruption if the edition makes no checkpoints: use [`Stop::forced`].
/// * [`FlowError::Deadline`] if the timeout expires. It shows what delays the checkpoint. The pipeline continues to
///   stop.
///
/// ```
/// # let runtime = pipewright::driver::Canned::new([
/// #     ("GET /v0/pipelines/orders", 200, r#"{"deployment_status":"Running","deployment_desired_status":"Running"}"#),
/// #     ("POST /v0/pipelines/orders/stop", 202, r#""Pipeline is suspending""#),
/// #     ("GET /v0/pipelines/orders", 200, r#"{"deployment_status":"Running","deployment_desired_status":"Suspended"}"#),
/// #     ("GET /v0/pipelines/orders", 200, r#"{"deployment_status":"Stopped","deployment_desired_status":"Stopped",
/// #         "storage_status_details":{"checkpoints":[{"uuid":"0190","fingerprint":7,"steps":41}]}}"#),
/// # ]);
/// use pipewright::feldera::{Feldera, Stop};
///
/// let feldera = Feldera::new("http://127.0.0.1:8080".parse()?, runtime);
/// let stopped = feldera.run(Stop::new("orders"))?;
/// assert_eq!(stopped.checkpoint.and_then(|checkpoint| checkpoint.steps), Some(41));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct Stop {
    pipeline: String,
    force: bool,
    or_forced: bool,
    timeout: Option<Duration>,
}

impl Stop {
    /// Stops the pipeline with this name after a checkpoint. The next start continues from the checkpoint.
    pub fn new(pipeline: impl Into<String>) -> Self {
        Self { pipeline: pipeline.into(), force: false, or_forced: false, timeout: None }
    }

    /// Stops the pipeline at once, without a checkpoint: all changes since the last checkpoint are lost.
    pub fn forced(pipeline: impl Into<String>) -> Self {
        Self { force: true, ..Self::new(pipeline) }
    }

    /// Allows a forced stop if the edition makes no checkpoints: then the contents of the tables are lost.
    pub fn or_forced(mut self) -> Self {
        self.or_forced = true;
        self
    }
}

impl From<Stop> for Reconciler<StopPlan> {
    fn from(goal: Stop) -> Self {
        Reconciler::new(StopPlan { goal, known: None })
    }
}

/// A pipeline that was stopped.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Stopped {
    /// The pipeline at the last poll.
    pub pipeline: Pipeline,
    /// The newest checkpoint that was made since the flow began. If `None`, all changes since the last checkpoint are
    /// lost.
    pub checkpoint: Option<CheckpointInfo>,
}

/// The transitions of [`Stop`].
#[derive(Debug)]
pub struct StopPlan {
    goal: Stop,
    /// The checkpoints from before the flow.
    known: Option<Vec<String>>,
}

impl StopPlan {
    /// Returns the newest checkpoint that is not in the first poll.
    fn checkpoint(&mut self, seen: &Pipeline) -> Option<CheckpointInfo> {
        let all = seen.storage_status_details.iter().flat_map(|details| &details.checkpoints);
        let known = self.known.get_or_insert_with(|| all.clone().map(|checkpoint| checkpoint.uuid.clone()).collect());
        all.filter(|checkpoint| !known.contains(&checkpoint.uuid)).max_by_key(|checkpoint| checkpoint.steps).cloned()
    }

    fn what(&self) -> String {
        format!("{} of pipeline {}", self.labels().what, self.goal.pipeline)
    }
}

impl Plan for StopPlan {
    type Output = Stopped;
    const NAME: &'static str = "Stop";

    fn labels(&self) -> Labels {
        Labels { goal: Self::NAME, what: "stop", waiting: "the pipeline to stop" }
    }

    fn pipeline(&self) -> &str {
        &self.goal.pipeline
    }

    fn decide(&mut self, seen: Pipeline, memory: &mut Memory, asked: Timestamp) -> Next<Stopped> {
        let checkpoint = self.checkpoint(&seen);
        let is_stopped = seen.deployment_status == PipelineStatus::Stopped;
        let desired = seen.deployment_desired_status.clone();
        if is_to_stop(&seen) {
            let forces = self.goal.force && memory.accepted.is_none() && desired == Some(DesiredStatus::Suspended);
            return match (is_stopped, &seen.deployment_error) {
                (true, Some(_)) if memory.alive && !self.goal.force => Next::Fail(end_of(&seen)),
                (true, _) => Next::Done(Stopped { pipeline: seen, checkpoint }),
                (false, _) if forces => Next::Act(PendingAction::Stop),
                (false, _) => {
                    (memory.alive, memory.shown) = (true, true);
                    Next::Wait
                }
            };
        }
        memory.alive = true;
        if let Some(replaced) = memory.replaced(&seen) {
            return Next::Fail(replaced);
        }
        match desired {
            Some(DesiredStatus::Unavailable) | None if memory.accepted.is_some() || memory.shown => Next::Wait,
            Some(desired) if memory.shown => Next::Fail(Interruption::Overruled { desired }),
            _ if memory.is_fresh(asked) && !self.goal.force => Next::Wait,
            Some(desired) if memory.accepted.is_some() => Next::Fail(Interruption::Overruled { desired }),
            Some(DesiredStatus::Standby) if !self.goal.force && seen.deployment_status == PipelineStatus::Standby => {
                Next::Fail(Interruption::Standby)
            }
            _ => Next::Act(PendingAction::Stop),
        }
    }

    fn may_be_delayed(&self, seen: &Pipeline) -> bool {
        let is_gone = matches!(seen.deployment_status, PipelineStatus::Stopped | PipelineStatus::Stopping);
        seen.deployment_desired_status == Some(DesiredStatus::Suspended) && !is_gone
    }

    fn call(&self, _action: PendingAction, cx: &mut FlowContext<FelderaApi>) -> Option<ActionCall> {
        let mut stop = StopPipeline::new(&*self.goal.pipeline);
        stop.force = self.goal.force.then_some(true);
        Some(action_call(stop, cx))
    }

    fn phase(&self, action: PendingAction) -> &'static str {
        if self.goal.force { "stopping by force" } else { action.phase() }
    }

    fn rejected(&mut self, _action: PendingAction, error: ServiceError) -> Result<(), FlowError> {
        match error_code(&error) {
            _ if self.goal.force => return unless_overtaken(error),
            Some(ErrorCode::AwaitingApproval) => {
                return Err(Interruption::AwaitingApproval.into_error(self.what(), Some(error.to_string())));
            }
            Some(ErrorCode::EnterpriseFeature) => {}
            _ => return unless_overtaken(error),
        }
        if self.goal.or_forced {
            self.goal.force = true;
            return Ok(());
        }
        let reason = "only the enterprise edition makes checkpoints; stop by force (Stop::forced, Deploy::force_stop), which loses \
                      what the pipeline has computed";
        let (reason, details) = (reason.to_owned(), Some(error.to_string()));
        Err(FlowError::Failed(Failure { what: self.what(), reason, details, cause: Some(Cause::new(error)) }))
    }
}

goal!(Stop: FelderaApi => Stopped, Reconciler<StopPlan>);
