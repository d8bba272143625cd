//! The goal [`ClearStorage`].
//!
//! ```text
//!            ┌────────────────────┐
//!            ▼                    │
//!  Poll ──in use──▶ Clear ────────┘
//!   ▲ │
//!   └─┤ being stopped, being cleared
//!     └─▶ done, or failed
//! ```
//!
//! | it is to be | and is | its storage is | then |
//! |---|---|---|---|
//! | up | anything | anything | failed: `StorageInUse` |
//! | stopped | not stopped yet | anything | wait |
//! | stopped | stopped | `Cleared` | done |
//! | stopped | stopped | `Clearing` | wait |
//! | stopped | stopped | in use, after a clear was accepted | failed: `StorageInUse` |
//! | stopped | stopped | in use, after a clear without an answer, and it may have been up since | **ambiguous** |
//! | stopped | stopped | in use | clear |
//!
//! Storage that is in use again after a clear was accepted holds what another client has put there since: it is not
//! cleared a second time. Nor is it when nobody knows whether a clear was carried out, unless the pipeline has been at
//! rest all the time since the poll that it was decided by. So a clear without an answer is followed by a poll, and
//! never just sent again.

use std::time::Duration;

use super::Interruption;
use super::reconcile::{ActionCall, Labels, Memory, Next, PendingAction, Plan, Reconciler, is_to_stop};
use crate::feldera::FelderaApi;
use crate::feldera::lifecycle::ClearPipeline;
use crate::feldera::pipelines::{Pipeline, PipelineStatus, StorageStatus};
use crate::flow::{FlowContext, goal};
use crate::time::Timestamp;

/// Clears the storage of a stopped pipeline, **with its checkpoints**, and waits until it is gone. A pipeline can be
/// deleted, and its name, workers, hosts and fault tolerance be changed, only when its storage is clear.
///
/// Comes to the pipeline as it was seen last. One that is stopping is waited for; one that is to be up ends the flow in
/// [`FlowError::Failed`](crate::error::FlowError::Failed) with [`Interruption::StorageInUse`]. When the answer to a
/// clear was lost and another client has used the storage since, the flow ends in
/// [`FlowError::Ambiguous`](crate::error::FlowError::Ambiguous): what is there now may be that client's, and is left
/// alone.
///
/// ```
/// # let runtime = pipewright::driver::Canned::new([
/// #     ("GET /v0/pipelines/orders", 200, r#"{"deployment_status":"Stopped","deployment_desired_status":"Stopped",
/// #         "storage_status":"InUse"}"#),
/// #     ("POST /v0/pipelines/orders/clear", 202, r#""Pipeline storage is being cleared""#),
/// #     ("GET /v0/pipelines/orders", 200, r#"{"deployment_status":"Stopped","deployment_desired_status":"Stopped",
/// #         "storage_status":"Cleared"}"#),
/// #     ("DELETE /v0/pipelines/orders", 200, ""),
/// # ]);
/// use pipewright::feldera::{ClearStorage, Feldera};
/// use pipewright::feldera::pipelines::DeletePipeline;
///
/// let feldera = Feldera::new("http://127.0.0.1:8080".parse()?, runtime);
/// feldera.run(ClearStorage::new("orders"))?;
/// feldera.call(DeletePipeline::new("orders"))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct ClearStorage {
    pipeline: String,
    timeout: Option<Duration>,
}

impl ClearStorage {
    /// Of the pipeline of this name.
    pub fn new(pipeline: impl Into<String>) -> Self {
        Self { pipeline: pipeline.into(), timeout: None }
    }
}

/// The transitions of [`ClearStorage`].
#[derive(Debug)]
pub struct ClearPlan {
    goal: ClearStorage,
    /// Since when the pipeline was at rest, when a clear was decided on.
    at_rest_since: Option<String>,
}

impl ClearPlan {
    /// Whether a clear can take away only what was there before the first one.
    fn may_clear(&mut self, seen: &Pipeline, memory: &Memory) -> bool {
        let since = seen.deployment_resources_status_since.as_ref().or(seen.deployment_status_since.as_ref());
        if memory.unanswered.is_some() {
            return since.is_some() && self.at_rest_since.as_ref() == since;
        }
        self.at_rest_since = since.cloned();
        true
    }
}

impl Plan for ClearPlan {
    type Output = Pipeline;
    const NAME: &'static str = "ClearStorage";

    fn labels(&self) -> Labels {
        Labels { goal: Self::NAME, what: "clearing of the storage", waiting: "the storage to be cleared" }
    }

    fn pipeline(&self) -> &str {
        &self.goal.pipeline
    }

    fn decide(&mut self, seen: Pipeline, memory: &mut Memory, _asked: Timestamp) -> Next<Pipeline> {
        if !is_to_stop(&seen) {
            return Next::Fail(Interruption::StorageInUse);
        }
        match &seen.storage_status {
            _ if seen.deployment_status != PipelineStatus::Stopped => Next::Wait,
            Some(StorageStatus::Cleared) => Next::Done(seen),
            Some(StorageStatus::Clearing) => Next::Wait,
            _ if memory.accepted.is_none() && self.may_clear(&seen, memory) => Next::Act(PendingAction::Clear),
            _ => Next::Fail(Interruption::StorageInUse),
        }
    }

    fn call(&self, _action: PendingAction, cx: &mut FlowContext<FelderaApi>) -> Option<ActionCall> {
        Some(Box::new(cx.call(ClearPipeline::new(&*self.goal.pipeline)).without_resending()))
    }
}

impl From<ClearStorage> for Reconciler<ClearPlan> {
    fn from(goal: ClearStorage) -> Self {
        Reconciler::new(ClearPlan { goal, at_rest_since: None })
    }
}

goal!(ClearStorage: FelderaApi => Pipeline, Reconciler<ClearPlan>);
