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
//! | desired status | actual status | storage | then |
//! |---|---|---|---|
//! | any other than stopped | any | any | failed: `StorageInUse` |
//! | stopped | not stopped yet | any | wait |
//! | stopped | stopped | `Cleared` | done |
//! | stopped | stopped | `Clearing` | wait |
//! | stopped | stopped | in use, after a clear was accepted | failed: `StorageInUse` |
//! | stopped | stopped | in use, after a clear without an answer, and the pipeline may have been up since | **ambiguous** |
//! | stopped | stopped | in use | clear |
//!
//! If storage is in use again after an accepted clear, it has new data of another client: the flow does not clear it a
//! second time. If the outcome of a clear is unknown, the flow clears again only if the pipeline has been stopped all
//! the time since the poll before the clear. So the flow polls after a clear without an answer, before it sends
//! another.

use std::time::Duration;

use super::Interruption;
use super::reconcile::{ActionCall, Labels, Memory, Next, PendingAction, Plan, Reconciler, is_to_stop};
use crate::feldera::FelderaApi;
use crate::feldera::lifecycle::ClearPipeline;
use crate::feldera::pipelines::{Pipeline, PipelineStatus, StorageStatus};
use crate::flow::{FlowContext, goal};
use crate::time::Timestamp;

/// Clears the storage of a stopped pipeline, **including its checkpoints**, and waits until it is empty. Only a
/// pipeline with clear storage can be deleted or renamed, or get another number of workers or hosts, or another fault
/// tolerance.
///
/// Returns the pipeline as of the last poll. If the pipeline is stopping, the flow waits.
///
/// # Errors
/// * [`FlowError::Failed`](crate::error::FlowError::Failed) with [`Interruption::StorageInUse`] if the desired status
///   is not `Stopped`. Stop the pipeline first.
/// * [`FlowError::Ambiguous`](crate::error::FlowError::Ambiguous) if the answer to a clear was lost, and another client
///   may have used the storage since. The flow does not clear that client's data.
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
    /// Clears the storage of the pipeline with this name.
    pub fn new(pipeline: impl Into<String>) -> Self {
        Self { pipeline: pipeline.into(), timeout: None }
    }
}

/// The transitions of [`ClearStorage`].
#[derive(Debug)]
pub struct ClearPlan {
    goal: ClearStorage,
    /// The time since which the pipeline was stopped, at the poll before a clear.
    at_rest_since: Option<String>,
}

impl ClearPlan {
    /// Returns whether a clear can delete only data from before the first clear.
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
