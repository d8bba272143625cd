//! The goal [`ApproveBootstrap`].
//!
//! ```text
//!            ┌───────────────────────────┐
//!            ▼                           │
//!  Poll ──awaits approval──▶ Approve ────┘
//!   ▲ │
//!   ├─┤ starting, or backfilling
//!   │ ├─▶ failed
//!   │ └─ up ─▶ Confirm ──▶ done
//!   └────────────┘ the process does not answer
//! ```
//!
//! | desired status | actual status | then |
//! |---|---|---|
//! | stopped | not stopped yet | wait |
//! | stopped | stopped by an error | failed: `Crashed` |
//! | stopped | stopped | failed: `Stopped` |
//! | any other | `AwaitingApproval`, approved less than 10 s ago | wait |
//! | any other | `AwaitingApproval` | approve |
//! | unknown | does not answer | wait |
//! | running or paused | the same | done, once the process has answered a request for its statistics |
//! | any other, such as standby | the same | done |
//! | any other | any other | wait |
//!
//! If the deployment differs from the deployment of the last poll, the flow fails: `Replaced`.

use std::time::Duration;

use super::reconcile::{
    ActionCall, Labels, Memory, Next, PendingAction, Plan, Reconciler, action_call, end_of, is_to_stop,
};
use crate::feldera::FelderaApi;
use crate::feldera::lifecycle::ApprovePipeline;
use crate::feldera::pipelines::{DesiredStatus, Pipeline, PipelineStatus};
use crate::flow::{FlowContext, goal};
use crate::time::Timestamp;

/// Approves the backfill of changed views of a starting pipeline, and waits until the pipeline has its desired status.
/// Since 0.164. Returns the pipeline as of the last poll. Also succeeds if no approval is needed.
///
/// # Errors
/// [`FlowError::Failed`](crate::error::FlowError::Failed) with an [`Interruption`](super::Interruption):
///
/// * `Stopped` if the pipeline is not being started, or another client stops it;
/// * `Crashed` if it ends with an error;
/// * `Replaced` if another client stops it and starts it again.
///
/// ```
/// # let awaits = r#"{"deployment_status":"AwaitingApproval","deployment_desired_status":"Running"}"#;
/// # let runtime = pipewright::driver::Canned::new([
/// #     ("GET /v0/pipelines/orders", 200, awaits),
/// #     ("GET /v0/pipelines/orders", 200, awaits),
/// #     ("POST /v0/pipelines/orders/approve", 200, r#""Bootstrap approved""#),
/// #     ("GET /v0/pipelines/orders", 200, r#"{"deployment_status":"Bootstrapping","deployment_desired_status":"Running"}"#),
/// #     ("GET /v0/pipelines/orders", 200, r#"{"deployment_status":"Running","deployment_desired_status":"Running"}"#),
/// #     ("GET /v0/pipelines/orders/stats", 200, r#"{"global_metrics":{"state":"Running","buffered_input_records":0,
/// #         "total_input_records":0,"total_processed_records":0,"pipeline_complete":false},"inputs":[],"outputs":[]}"#),
/// # ]);
/// use pipewright::feldera::{ApproveBootstrap, EnsureRunning, Feldera, Interruption};
///
/// let feldera = Feldera::new("http://127.0.0.1:8080".parse()?, runtime);
/// let mut orders = feldera.run(EnsureRunning::new("orders"));
/// if let Some(Interruption::AwaitingApproval) = orders.as_ref().err().and_then(Interruption::of) {
///     orders = feldera.run(ApproveBootstrap::new("orders").silent(true));
/// }
/// assert_eq!(orders?.deployment_status.as_str(), "Running");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct ApproveBootstrap {
    pipeline: String,
    silent: Option<bool>,
    concurrent: Option<bool>,
    timeout: Option<Duration>,
}

impl ApproveBootstrap {
    /// Approves the bootstrap of the pipeline with this name.
    pub fn new(pipeline: impl Into<String>) -> Self {
        Self { pipeline: pipeline.into(), silent: None, concurrent: None, timeout: None }
    }

    /// Sets whether the backfill writes no output. Do not combine it with [`concurrent`](Self::concurrent).
    pub fn silent(mut self, silent: bool) -> Self {
        self.silent = Some(silent);
        self
    }

    /// Sets whether the other views are processed during the backfill. Feldera calls it mutually exclusive with
    /// [`silent`](Self::silent).
    pub fn concurrent(mut self, concurrent: bool) -> Self {
        self.concurrent = Some(concurrent);
        self
    }
}

/// The transitions of [`ApproveBootstrap`].
#[derive(Debug)]
pub struct ApprovePlan {
    goal: ApproveBootstrap,
}

impl Plan for ApprovePlan {
    type Output = Pipeline;
    const NAME: &'static str = "ApproveBootstrap";

    fn labels(&self) -> Labels {
        Labels { goal: Self::NAME, what: "bootstrap", waiting: "the pipeline to backfill its views" }
    }

    fn pipeline(&self) -> &str {
        &self.goal.pipeline
    }

    fn decide(&mut self, seen: Pipeline, memory: &mut Memory, asked: Timestamp) -> Next<Pipeline> {
        if is_to_stop(&seen) {
            let is_stopped = seen.deployment_status == PipelineStatus::Stopped;
            return if is_stopped { Next::Fail(end_of(&seen)) } else { Next::Wait };
        }
        if let Some(replaced) = memory.replaced(&seen) {
            return Next::Fail(replaced);
        }
        let desired = seen.deployment_desired_status.as_ref().map(DesiredStatus::as_str);
        match &seen.deployment_status {
            PipelineStatus::AwaitingApproval if memory.is_fresh(asked) => Next::Wait,
            PipelineStatus::AwaitingApproval => Next::Act(PendingAction::Approve),
            // The desired status is `Unavailable` then, too.
            PipelineStatus::Unavailable => Next::Wait,
            status if desired.is_some_and(|desired| desired != status.as_str()) => Next::Wait,
            status @ (PipelineStatus::Running | PipelineStatus::Paused) => {
                let status = status.clone();
                Next::Up(seen, status)
            }
            // The statistics of a standby, and of statuses that later releases add, do not show whether the process is
            // up.
            _ => Next::Done(seen),
        }
    }

    fn call(&self, _action: PendingAction, cx: &mut FlowContext<FelderaApi>) -> Option<ActionCall> {
        let mut approve = ApprovePipeline::new(&*self.goal.pipeline);
        approve.silent_bootstrap = self.goal.silent;
        approve.concurrent_bootstrap = self.goal.concurrent;
        Some(action_call(approve, cx))
    }
}

impl From<ApproveBootstrap> for Reconciler<ApprovePlan> {
    fn from(goal: ApproveBootstrap) -> Self {
        Reconciler::new(ApprovePlan { goal })
    }
}

goal!(ApproveBootstrap: FelderaApi => Pipeline, Reconciler<ApprovePlan>);
