//! The goals [`EnsureRunning`] and [`EnsurePaused`].
//!
//! ```text
//!           ┌────────────────────────────────────────────────────┐
//!           ▼                                                    │
//!  Poll ──stopped──▶ Dismiss (an older error) ──▶ Start ─────────┤
//!   ▲ │──desired status is not the goal──▶ Pause or Resume ──────┤
//!   │ │──actual status is the goal──▶ Confirm ──▶ done           │
//!   └─┤ in transition                   └─ no answer of process ─┘
//!     └─▶ failed
//! ```
//!
//! The first row that matches applies. `Suspended` counts as stopped, and `Unavailable` as unknown.
//!
//! | desired status | actual status | then |
//! |---|---|---|
//! | the goal | the goal | done, once its process has answered: see below |
//! | the goal | any other | wait |
//! | any but stopped | `AwaitingApproval` | failed: `AwaitingApproval` |
//! | absent (older releases) | the goal | done, once its process has answered |
//! | another | any, and an earlier poll has shown the goal as desired | failed: `Overruled` |
//! | another | any, and our action was accepted less than 10 s ago | wait |
//! | another | any, and our action was accepted earlier | failed: `Overruled` |
//! | another | paused or running, as desired | pause or resume |
//! | standby | standby | failed: `Standby` |
//! | another, or unknown | any other | wait |
//! | stopped | not stopped yet | wait |
//! | stopped | stopped, and its program does not compile | failed: `NotCompiled`, or `CompilerFailed` if the platform is at fault |
//! | stopped | stopped by an error since the flow began | failed: `Crashed` |
//! | stopped | stopped, after our action was accepted or has shown | failed: `Stopped` |
//! | stopped | stopped, and its storage is being cleared | wait |
//! | stopped | stopped, with an error from before the flow | dismiss it |
//! | stopped | stopped | start |
//!
//! A deployment that differs from the deployment of the last poll is `Replaced`, unless either was to be stopped.
//!
//! The manager shows `Running` for up to five seconds after a process has died. So the process is asked for its
//! statistics before the flow succeeds. If it does not answer, the flow polls until the manager shows why, and fails
//! after a minute with the rejection.
//!
//! An older error is dismissed by a request of its own and not by the start. A start that is sent twice would dismiss
//! the error that it has caused itself.
//!
//! Before 0.148 a start has no parameters and resumes too, and a pause starts as paused.

use std::time::Duration;

use super::Interruption;
use super::reconcile::{
    ActionCall, Labels, Memory, Next, PendingAction, Plan, Reconciler, action_call, end_of, is_to_stop, not_compiled,
    unless_overtaken,
};
use crate::error::{FlowError, ServiceError};
use crate::feldera::FelderaApi;
use crate::feldera::lifecycle::{DismissError, Initial, PausePipeline, ResumePipeline, StartPipeline};
use crate::feldera::pipelines::{
    BootstrapPolicy, DesiredStatus, Pipeline, PipelineStatus, ProgramStatus, StorageStatus,
};
use crate::flow::{FlowContext, goal};
use crate::time::Timestamp;

/// Starts or resumes a pipeline, and waits until it runs. Does nothing if the pipeline runs. If it is still being
/// compiled or stopped, the flow waits first.
///
/// Succeeds when the manager shows that the pipeline runs, and its process has answered a request for its statistics.
/// Returns the pipeline as of the last poll. If the flow was interrupted, run it again.
///
/// # Errors
/// * [`FlowError::Failed`] with an [`Interruption`]: `NotCompiled` or `CompilerFailed` if there is no compiled program,
///   `Crashed` if the start fails, `AwaitingApproval` if a backfill has to be approved first, `Standby` if the pipeline
///   is a standby, `Overruled`, `Stopped` or `Replaced` if another client interferes.
/// * [`FlowError::Service`] if the pipeline does not exist, or if the credential does not allow the request.
/// * [`FlowError::Deadline`] if the timeout expires. The server keeps the desired status.
///
/// ```
/// # let runtime = pipewright::driver::Canned::new([
/// #     ("GET /v0/pipelines/orders", 200, r#"{"deployment_status":"Stopped","deployment_desired_status":"Stopped"}"#),
/// #     ("POST /v0/pipelines/orders/start", 202, r#""Pipeline is starting""#),
/// #     ("GET /v0/pipelines/orders", 200, r#"{"deployment_status":"Provisioning","deployment_desired_status":"Running"}"#),
/// #     ("GET /v0/pipelines/orders", 200, r#"{"deployment_status":"Running","deployment_desired_status":"Running"}"#),
/// #     ("GET /v0/pipelines/orders/stats", 200, r#"{"global_metrics":{"state":"Running","buffered_input_records":0,
/// #         "total_input_records":0,"total_processed_records":0,"pipeline_complete":false},"inputs":[],"outputs":[]}"#),
/// # ]);
/// use pipewright::feldera::{EnsureRunning, Feldera};
/// use pipewright::feldera::pipelines::{BootstrapPolicy, PipelineStatus};
/// use std::time::Duration;
///
/// let feldera = Feldera::new("http://127.0.0.1:8080".parse()?, runtime);
/// let goal = EnsureRunning::new("orders").bootstrap_policy(BootstrapPolicy::Allow).timeout(Duration::from_secs(300));
/// let orders = feldera.run(goal)?;
/// assert_eq!(orders.deployment_status, PipelineStatus::Running);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct EnsureRunning {
    ensure: Ensure,
    timeout: Option<Duration>,
}

/// Starts a pipeline as paused, or pauses it, and waits until it is paused: its process runs, but its connectors do not
/// read. In all else like [`EnsureRunning`].
///
/// ```
/// # let runtime = pipewright::driver::Canned::new([
/// #     ("GET /v0/pipelines/orders", 200, r#"{"deployment_status":"Running","deployment_desired_status":"Running"}"#),
/// #     ("POST /v0/pipelines/orders/pause", 202, r#""Pipeline transitioning from Running to Paused""#),
/// #     ("GET /v0/pipelines/orders", 200, r#"{"deployment_status":"Paused","deployment_desired_status":"Paused"}"#),
/// #     ("GET /v0/pipelines/orders/stats", 200, r#"{"global_metrics":{"state":"Paused","buffered_input_records":0,
/// #         "total_input_records":0,"total_processed_records":0,"pipeline_complete":false},"inputs":[],"outputs":[]}"#),
/// # ]);
/// use pipewright::feldera::{EnsurePaused, Feldera};
///
/// let feldera = Feldera::new("http://127.0.0.1:8080".parse()?, runtime);
/// let orders = feldera.run(EnsurePaused::new("orders"))?;
/// assert_eq!(orders.deployment_status.as_str(), "Paused");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct EnsurePaused {
    ensure: Ensure,
    timeout: Option<Duration>,
}

/// The common parts of both goals.
#[derive(Clone, Debug)]
pub(super) struct Ensure {
    pub(super) pipeline: String,
    pub(super) bootstrap_policy: Option<BootstrapPolicy>,
    silent_bootstrap: Option<bool>,
    concurrent_bootstrap: Option<bool>,
}

impl Ensure {
    pub(super) fn new(pipeline: String) -> Self {
        Self { pipeline, bootstrap_policy: None, silent_bootstrap: None, concurrent_bootstrap: None }
    }
}

macro_rules! ensure {
    ($($goal:ident, $paused:literal;)*) => {$(
        impl $goal {
            /// Starts, pauses or resumes the pipeline with this name.
            pub fn new(pipeline: impl Into<String>) -> Self {
                Self { ensure: Ensure::new(pipeline.into()), timeout: None }
            }

            /// Sets whether a start backfills changed views; `AwaitApproval` by default.
            pub fn bootstrap_policy(mut self, policy: BootstrapPolicy) -> Self {
                self.ensure.bootstrap_policy = Some(policy);
                self
            }

            /// Sets whether the backfill writes no output. Do not combine it with
            /// [`concurrent_bootstrap`](Self::concurrent_bootstrap).
            pub fn silent_bootstrap(mut self, silent: bool) -> Self {
                self.ensure.silent_bootstrap = Some(silent);
                self
            }

            /// Sets whether the other views are processed during the backfill. Feldera's description of the approval
            /// calls it mutually exclusive with [`silent_bootstrap`](Self::silent_bootstrap).
            pub fn concurrent_bootstrap(mut self, concurrent: bool) -> Self {
                self.ensure.concurrent_bootstrap = Some(concurrent);
                self
            }
        }

        impl From<$goal> for Reconciler<EnsurePlan> {
            fn from(goal: $goal) -> Self {
                Reconciler::new(EnsurePlan::new(goal.ensure, $paused))
            }
        }

        goal!($goal: FelderaApi => Pipeline, Reconciler<EnsurePlan>);
    )*};
}

ensure! {
    EnsureRunning, false;
    EnsurePaused, true;
}

/// The age of the server, as far as its answers show it: an old server lacks some requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Release {
    /// Before 0.148.
    NoResume,
    /// Before 0.251.
    NoDismissal,
    Recent,
}

/// The transitions of [`EnsureRunning`] and [`EnsurePaused`].
#[derive(Debug)]
pub struct EnsurePlan {
    goal: Ensure,
    paused: bool,
    release: Release,
    /// Whether a poll has shown the pipeline stopped without an error. If so, a later error is from a later start.
    is_clean: bool,
}

impl EnsurePlan {
    pub(super) fn new(goal: Ensure, paused: bool) -> Self {
        Self { goal, paused, release: Release::Recent, is_clean: false }
    }

    fn wanted(&self) -> (PipelineStatus, DesiredStatus) {
        if self.paused {
            (PipelineStatus::Paused, DesiredStatus::Paused)
        } else {
            (PipelineStatus::Running, DesiredStatus::Running)
        }
    }

    fn at_rest(&mut self, seen: &Pipeline, memory: &Memory) -> Next<Pipeline> {
        if let Some(status) = seen.program_status.clone().filter(ProgramStatus::is_failure) {
            return not_compiled(status, seen, memory);
        }
        let is_our_end = memory.accepted.is_some() || memory.shown;
        self.is_clean |= seen.deployment_error.is_none();
        match &seen.deployment_error {
            Some(_) if memory.alive || self.is_clean => Next::Fail(end_of(seen)),
            _ if is_our_end => Next::Fail(Interruption::Stopped),
            _ if seen.storage_status == Some(StorageStatus::Clearing) => Next::Wait,
            Some(_) if self.release == Release::Recent => Next::Act(PendingAction::Dismiss),
            _ => Next::Act(PendingAction::Start),
        }
    }
}

impl Plan for EnsurePlan {
    type Output = Pipeline;
    const NAME: &'static str = "Ensure";

    fn labels(&self) -> Labels {
        if self.paused {
            Labels { goal: "EnsurePaused", what: "pause", waiting: "the pipeline to pause" }
        } else {
            Labels { goal: "EnsureRunning", what: "start", waiting: "the pipeline to start" }
        }
    }

    fn pipeline(&self) -> &str {
        &self.goal.pipeline
    }

    fn decide(&mut self, seen: Pipeline, memory: &mut Memory, asked: Timestamp) -> Next<Pipeline> {
        if seen.deployment_resources_status.is_none() {
            self.release = Release::NoResume;
        }
        if is_to_stop(&seen) {
            memory.forget_deployment();
            return if seen.deployment_status == PipelineStatus::Stopped {
                self.at_rest(&seen, memory)
            } else {
                Next::Wait
            };
        }
        memory.alive = true;
        if let Some(replaced) = memory.replaced(&seen) {
            return Next::Fail(replaced);
        }
        if seen.deployment_status == PipelineStatus::AwaitingApproval {
            let diff = seen.deployment_runtime_status_details.and_then(|details| details.approval_diff);
            memory.diff = diff.and_then(|diff| serde_json::to_string(&diff).ok());
            return Next::Fail(Interruption::AwaitingApproval);
        }
        let (status, wanted) = self.wanted();
        let desired = match &seen.deployment_desired_status {
            None if seen.deployment_status == status => return Next::Up(seen, status),
            None | Some(DesiredStatus::Unavailable) => return Next::Wait,
            Some(desired) => desired.clone(),
        };
        if desired == wanted {
            memory.shown = true;
            return if seen.deployment_status == status { Next::Up(seen, status) } else { Next::Wait };
        }
        match &seen.deployment_status {
            _ if memory.shown => Next::Fail(Interruption::Overruled { desired }),
            _ if memory.is_fresh(asked) => Next::Wait,
            _ if memory.accepted.is_some() => Next::Fail(Interruption::Overruled { desired }),
            PipelineStatus::Paused | PipelineStatus::Running => {
                Next::Act(if self.paused { PendingAction::Pause } else { PendingAction::Resume })
            }
            PipelineStatus::Standby if desired == DesiredStatus::Standby => Next::Fail(Interruption::Standby),
            _ => Next::Wait,
        }
    }

    fn call(&self, action: PendingAction, cx: &mut FlowContext<FelderaApi>) -> Option<ActionCall> {
        let name = &*self.goal.pipeline;
        Some(match action {
            PendingAction::Dismiss => action_call(DismissError::new(name), cx),
            PendingAction::Pause => action_call(PausePipeline::new(name), cx),
            PendingAction::Start if self.paused && self.release == Release::NoResume => {
                action_call(PausePipeline::new(name), cx)
            }
            PendingAction::Resume if self.release == Release::NoResume => action_call(StartPipeline::new(name), cx),
            PendingAction::Resume => action_call(ResumePipeline::new(name), cx),
            _ => {
                let mut start = StartPipeline::new(name);
                // The default is left out, because older releases do not know the parameter.
                start.initial = self.paused.then_some(Initial::Paused);
                start.bootstrap_policy.clone_from(&self.goal.bootstrap_policy);
                start.silent_bootstrap = self.goal.silent_bootstrap;
                start.concurrent_bootstrap = self.goal.concurrent_bootstrap;
                start.dismiss_error = (self.release == Release::Recent).then_some(false);
                action_call(start, cx)
            }
        })
    }

    fn rejected(&mut self, action: PendingAction, error: ServiceError) -> Result<(), FlowError> {
        // The path does not exist: before 0.251, a start clears the error.
        if action == PendingAction::Dismiss && error.status() == http::StatusCode::NOT_FOUND && error.code().is_none() {
            self.release = self.release.min(Release::NoDismissal);
            return Ok(());
        }
        unless_overtaken(error)
    }
}
