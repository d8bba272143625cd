//! The goals [`EnsureRunning`] and [`EnsurePaused`].
//!
//! ```text
//!            ┌─────────────────────────────────────────────────┐
//!            ▼                                                 │
//!  Look ──at rest──▶ Dismiss (an older error) ──▶ Start ───────┤
//!   ▲ │───is, and is to be, something else──▶ Pause or Resume ─┤
//!   │ │───is what is wished──▶ Confirm ──▶ done                │
//!   └─┤ on the way              └─ the process does not answer ┘
//!     └─▶ failed
//! ```
//!
//! | it is to be | and is | then |
//! |---|---|---|
//! | what is wished | that | done, once its process has answered: see below |
//! | what is wished | anything else | wait |
//! | anything but stopped | `AwaitingApproval` | failed: `AwaitingApproval` |
//! | something else | anything, the wish was seen before | failed: `Overruled` |
//! | something else | anything, the wish was accepted less than 10 s ago | wait |
//! | something else | anything, the wish was accepted earlier | failed: `Overruled` |
//! | something else | that, paused or running | pause or resume |
//! | a standby | that | failed: `Standby` |
//! | something else, or nobody knows | anything else | wait |
//! | stopped | not stopped yet | wait |
//! | stopped | stopped, and its program does not compile | failed: `NotCompiled`, or `CompilerFailed` if the platform is at fault |
//! | stopped | stopped by an error since the flow began | failed: `Crashed` |
//! | stopped | stopped, after the wish was accepted or seen | failed: `Stopped` |
//! | stopped | stopped, and its storage is being cleared | wait |
//! | stopped | stopped, with an error of before | dismiss it |
//! | stopped | stopped | start |
//!
//! Another deployment than at the look before, when neither was to stop, is `Replaced`.
//!
//! The manager shows `Running` for up to five seconds after a process has died. So the process is asked for its statistics
//! before the flow succeeds; if it does not answer, the flow looks again until the manager shows why, and fails after a
//! minute with the rejection.
//!
//! An older error is dismissed by itself and not by the start: the start could be sent twice, and would then forget the error
//! that it has led to.
//!
//! Before 0.148 a start has no parameters and resumes too, and a pause starts as paused.

use std::time::Duration;

use super::Interruption;
use super::steer::{
    Next, Past, Plan, Steered, Wish, Wishing, Words, end_of, is_to_stop, not_compiled, unless_overtaken, wishing,
};
use crate::error::{FlowError, ServiceError};
use crate::feldera::lifecycle::Initial;
use crate::feldera::pipelines::{
    BootstrapPolicy, DesiredStatus, Pipeline, PipelineStatus, ProgramStatus, StorageStatus,
};
use crate::feldera::{DismissError, FelderaApi, PausePipeline, ResumePipeline, StartPipeline};
use crate::flow::{Common, Config, Goal, Running};
use crate::seed::Seed;
use crate::time::Timestamp;

/// Brings a pipeline to run: compiled or not, stopped, paused, or stopping just now. Does nothing when it runs.
///
/// Succeeds when the manager shows that the pipeline runs, and its process has answered a request for its statistics.
///
/// Comes to the pipeline as it was seen last. Ends in [`FlowError::Failed`] with an [`Interruption`]: when the program does
/// not compile, the start fails, somebody has to approve a bootstrap first, or another client wants something else of it. In
/// [`FlowError::Service`] when there is no such pipeline, or the credential does not allow it; in [`FlowError::Deadline`]
/// when the time is up, and the wish stays with the service. Nothing needs to be saved: running it again is the same.
///
/// ```
/// # mod scripted { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/feldera/flow/scripted.rs")); }
/// # use scripted::Scripted;
/// # let runtime = Scripted::new([
/// #     ("GET /v0/pipelines/orders", 200, r#"{"deployment_status":"Stopped","deployment_desired_status":"Stopped"}"#),
/// #     ("POST /v0/pipelines/orders/start", 202, r#""Pipeline is starting""#),
/// #     ("GET /v0/pipelines/orders", 200, r#"{"deployment_status":"Provisioning","deployment_desired_status":"Running"}"#),
/// #     ("GET /v0/pipelines/orders", 200, r#"{"deployment_status":"Running","deployment_desired_status":"Running"}"#),
/// #     ("GET /v0/pipelines/orders/stats", 200, r#"{"global_metrics":{"state":"Running","buffered_input_records":0,
/// #         "total_input_records":0,"total_processed_records":0,"pipeline_complete":false},"inputs":[],"outputs":[]}"#),
/// # ]);
/// use std::time::Duration;
/// use pipewright::feldera::pipelines::{BootstrapPolicy, PipelineStatus};
/// use pipewright::feldera::{EnsureRunning, Feldera};
///
/// let feldera = Feldera::new("http://127.0.0.1:8080".parse()?, runtime);
/// let goal = EnsureRunning::new("orders").bootstrap_policy(BootstrapPolicy::Allow).within(Duration::from_secs(300));
/// let orders = feldera.run(goal)?;
/// assert_eq!(orders.deployment_status, PipelineStatus::Running);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct EnsureRunning(Ensure);

/// Brings a pipeline to rest with its process there: started as paused, or paused. As [`EnsureRunning`] otherwise.
///
/// ```
/// # mod scripted { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/feldera/flow/scripted.rs")); }
/// # use scripted::Scripted;
/// # let runtime = Scripted::new([
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
pub struct EnsurePaused(Ensure);

/// What both have in common.
#[derive(Clone, Debug)]
pub(super) struct Ensure {
    pub(super) pipeline: String,
    pub(super) bootstrap_policy: Option<BootstrapPolicy>,
    silent_bootstrap: Option<bool>,
    concurrent_bootstrap: Option<bool>,
    pub(super) within: Option<Duration>,
}

impl Ensure {
    pub(super) fn new(pipeline: String) -> Self {
        Self { pipeline, bootstrap_policy: None, silent_bootstrap: None, concurrent_bootstrap: None, within: None }
    }

    fn start(self, paused: bool, config: &Config<FelderaApi>, seed: Seed) -> Running<Steered<EnsurePlan>> {
        let within = self.within;
        Running::new(Steered::new(EnsurePlan::new(self, paused)), config, seed, within)
    }
}

macro_rules! ensure {
    ($($goal:ident, $paused:literal;)*) => {$(
        impl $goal {
            /// The pipeline of this name.
            pub fn new(pipeline: impl Into<String>) -> Self {
                Self(Ensure::new(pipeline.into()))
            }

            /// Whether changed views are filled, if it has to be started; `AwaitApproval` by default.
            pub fn bootstrap_policy(mut self, policy: BootstrapPolicy) -> Self {
                self.0.bootstrap_policy = Some(policy);
                self
            }

            /// Filling them writes no output.
            pub fn silent_bootstrap(mut self, silent: bool) -> Self {
                self.0.silent_bootstrap = Some(silent);
                self
            }

            /// The other views go on meanwhile.
            pub fn concurrent_bootstrap(mut self, concurrent: bool) -> Self {
                self.0.concurrent_bootstrap = Some(concurrent);
                self
            }

            /// How long the flow may take; as long as it takes by default.
            pub fn within(mut self, time: Duration) -> Self {
                self.0.within = Some(time);
                self
            }
        }

        impl Goal for $goal {
            type Service = FelderaApi;
            type Output = Pipeline;
            type Flow = Running<Steered<EnsurePlan>>;

            fn start(self, config: &Config<FelderaApi>, seed: Seed) -> Self::Flow {
                self.0.start($paused, config, seed)
            }
        }
    )*};
}

ensure! {
    EnsureRunning, false;
    EnsurePaused, true;
}

/// What the service is too old for, as far as it has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Release {
    /// Before 0.148.
    NoResume,
    /// Before 0.251.
    NoDismissal,
    Recent,
}

/// The transitions of [`EnsureRunning`] and [`EnsurePaused`].
#[doc(hidden)]
#[derive(Debug)]
pub struct EnsurePlan {
    goal: Ensure,
    paused: bool,
    release: Release,
    /// It was seen at rest without an error, so that one that is there later is of its end since.
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

    fn at_rest(&mut self, seen: &Pipeline, past: &Past) -> Next<Pipeline> {
        if let Some(status) = seen.program_status.clone().filter(ProgramStatus::is_failure) {
            return not_compiled(status, seen, past);
        }
        let is_our_end = past.accepted.is_some() || past.shown;
        self.is_clean |= seen.deployment_error.is_none();
        match &seen.deployment_error {
            Some(_) if past.alive || self.is_clean => Next::Fail(end_of(seen)),
            _ if is_our_end => Next::Fail(Interruption::Stopped),
            _ if seen.storage_status == Some(StorageStatus::Clearing) => Next::Wait,
            Some(_) if self.release == Release::Recent => Next::Act(Wish::Dismiss),
            _ => Next::Act(Wish::Start),
        }
    }
}

impl Plan for EnsurePlan {
    type Output = Pipeline;
    const NAME: &'static str = "Ensure";

    fn words(&self) -> Words {
        if self.paused {
            Words { goal: "EnsurePaused", what: "pause", waiting: "the pipeline to pause" }
        } else {
            Words { goal: "EnsureRunning", what: "start", waiting: "the pipeline to start" }
        }
    }

    fn pipeline(&self) -> &str {
        &self.goal.pipeline
    }

    fn judge(&mut self, seen: Pipeline, past: &mut Past, asked: Timestamp) -> Next<Pipeline> {
        if seen.deployment_resources_status.is_none() {
            self.release = Release::NoResume;
        }
        if is_to_stop(&seen) {
            past.forget_deployment();
            return if seen.deployment_status == PipelineStatus::Stopped {
                self.at_rest(&seen, past)
            } else {
                Next::Wait
            };
        }
        past.alive = true;
        if let Some(replaced) = past.replaced(&seen) {
            return Next::Fail(replaced);
        }
        if seen.deployment_status == PipelineStatus::AwaitingApproval {
            let diff = seen.deployment_runtime_status_details.and_then(|details| details.approval_diff);
            past.diff = diff.and_then(|diff| serde_json::to_string(&diff).ok());
            return Next::Fail(Interruption::AwaitingApproval);
        }
        let (status, wanted) = self.wanted();
        let desired = match &seen.deployment_desired_status {
            None if seen.deployment_status == status => return Next::Up(seen, status),
            None | Some(DesiredStatus::Unavailable) => return Next::Wait,
            Some(desired) => desired.clone(),
        };
        if desired == wanted {
            past.shown = true;
            return if seen.deployment_status == status { Next::Up(seen, status) } else { Next::Wait };
        }
        match &seen.deployment_status {
            _ if past.shown => Next::Fail(Interruption::Overruled { desired }),
            _ if past.is_fresh(asked) => Next::Wait,
            _ if past.accepted.is_some() => Next::Fail(Interruption::Overruled { desired }),
            PipelineStatus::Paused | PipelineStatus::Running => {
                Next::Act(if self.paused { Wish::Pause } else { Wish::Resume })
            }
            PipelineStatus::Standby if desired == DesiredStatus::Standby => Next::Fail(Interruption::Standby),
            _ => Next::Wait,
        }
    }

    fn wish(&self, wish: Wish, cx: &mut Common<FelderaApi>) -> Option<Wishing> {
        let name = &*self.goal.pipeline;
        Some(match wish {
            Wish::Dismiss => wishing(DismissError::new(name), cx),
            Wish::Pause => wishing(PausePipeline::new(name), cx),
            Wish::Start if self.paused && self.release == Release::NoResume => wishing(PausePipeline::new(name), cx),
            Wish::Resume if self.release == Release::NoResume => wishing(StartPipeline::new(name), cx),
            Wish::Resume => wishing(ResumePipeline::new(name), cx),
            _ => {
                let mut start = StartPipeline::new(name);
                // What everybody gets by default is not said, so that older releases are not asked for what they cannot.
                start.initial = self.paused.then_some(Initial::Paused);
                start.bootstrap_policy.clone_from(&self.goal.bootstrap_policy);
                start.silent_bootstrap = self.goal.silent_bootstrap;
                start.concurrent_bootstrap = self.goal.concurrent_bootstrap;
                start.dismiss_error = (self.release == Release::Recent).then_some(false);
                wishing(start, cx)
            }
        })
    }

    fn refused(&mut self, wish: Wish, error: ServiceError) -> Result<(), FlowError> {
        // No such address: before 0.251 the start forgets the error.
        if wish == Wish::Dismiss && error.status() == http::StatusCode::NOT_FOUND && error.code().is_none() {
            self.release = self.release.min(Release::NoDismissal);
            return Ok(());
        }
        unless_overtaken(error)
    }
}
