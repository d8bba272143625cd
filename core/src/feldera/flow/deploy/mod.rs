//! The goal [`Deploy`].
//!
//! ```text
//!           ┌─ another client was faster, or outcome unknown ─┐
//!           ▼                                                 │
//!  start ─▶ Poll ──no such pipeline──▶ Create ────────────────┼─▶ Compile ──▶ Ensure ──▶ done
//!           │  ├─ as it should be, and up ────────────────────┼──────┼─────────▲
//!           │  ├─ as it should be ────────────────────────────┼──────┤
//!           │  ├─ differs, stopped ──▶ Change ────────────────┴──────┘
//!           │  │                         ▲
//!           │  └─ differs, up ──▶ Validate ──▶ Stop
//!           └─▶ failed
//! ```
//!
//! [`decide`](decide::decide) tells what to do next. The first row that matches applies.
//!
//! | state | observed | next |
//! |---|---|---|
//! | start | a configuration is to be sent, and the server's version is not known | request the version: the names of settings depend on it |
//! | start | the configuration has a number that JSON cannot represent | failed |
//! | start | the server's version does not know a setting | failed: `SettingsIgnored`; if the client knew the version before, request the version first |
//! | start | otherwise, or after the version or a rejection was received | Poll |
//! | Poll | no such pipeline | Create |
//! | Poll | nothing to change, the program compiled, actual and desired status are the goal | Ensure: its process has to answer |
//! | Poll | nothing to change | Compile |
//! | Poll | up, and its SQL ends with one extra line feed | treated as unchanged: an interrupted `recompile` leaves this line feed |
//! | Poll | something to change that requires clear storage | failed: `StorageInUse`, without a change |
//! | Poll | only description or tags to change, or the pipeline is stopped | Change |
//! | Poll | something to change, up again after our Stop | failed: `Overruled` |
//! | Poll | the SQL is to change | Validate |
//! | Poll | something else is to change | Stop |
//! | Poll | the pipeline cannot be read | failed; **ambiguous** after a request without an answer |
//! | Create | created, and the answer lacks a setting | failed: `SettingsIgnored`; if the client knew the version before, request the version first |
//! | Create | created | Compile |
//! | Create | no answer, or 409 `DuplicateName` | Poll, at most eight times: it may be the request of this flow. Then the request's error |
//! | Validate | the SQL compiles, or 404 (before 0.324) | Stop |
//! | Validate | the SQL does not compile | failed: `NotCompiled`, or `CompilerFailed` if the platform is at fault |
//! | Stop | stopped | Change |
//! | Change | changed, and the answer shows another program | Poll, at most eight times; then failed: `Edited` |
//! | Change | changed, and the answer lacks a setting | failed: `SettingsIgnored`, and the pipeline stays stopped; if the client knew the version before, request the version first |
//! | version | requested because settings seem to be ignored, and as before | failed: `SettingsIgnored` |
//! | version | another version: the server was updated | Poll, and send the settings under the names of this version |
//! | Change | changed | Compile |
//! | Change | no answer, or `UpdateRestrictedToStopped` | Poll, at most eight times. Then the request's error |
//! | Compile | compiled | Ensure |
//! | Ensure | up, with another version of the program | failed: `Edited` |
//! | Ensure | up | done |
//! | any | any other error | failed |
//!
//! The flow compares settings by their values: `max_rss_mb: 16000` and `max_rss: "16G"` are equal.
//!
//! Invariants:
//!
//! * A running pipeline is not stopped for SQL that does not compile, as far as the server can validate it before.
//! * A pipeline that needs no change is not stopped.
//! * At the end, the given program runs; otherwise the flow fails: `Edited`.
//!
//! If the platform failed to compile the program, [`Compile`](super::Compile) compiles it again if the caller allows
//! it.

mod decide;
mod differences;
mod ignored;
mod machine;

use std::time::Duration;

pub(crate) use machine::DeployMachine;

use super::ensure::Ensure;
use crate::feldera::FelderaApi;
use crate::feldera::pipelines::{BootstrapPolicy, CreatePipeline, Pipeline, ProgramConfig, RuntimeConfig};
use crate::flow::goal;
use crate::secret::Private;

/// Creates a pipeline that runs a program, or stops, changes and restarts an existing pipeline, and waits until it
/// runs. Does nothing if the pipeline runs this program with this configuration.
///
/// Options that are not set keep their values in the pipeline. If the program of a running pipeline changes, the server
/// validates the new SQL first (since 0.324). So an error in the SQL does not stop the pipeline. An error in
/// user-defined functions shows only after the stop: then the pipeline stays stopped, with the new program.
///
/// If the flow was interrupted, run it again: it skips steps that are done.
///
/// # Errors
/// [`FlowError::Failed`](crate::error::FlowError::Failed) with an [`Interruption`](super::Interruption):
///
/// * `NotCompiled` if the program has errors; it has the messages of the compilers with their positions.
/// * `CompilerFailed` if the platform could not compile the program: see [`recompile`](Self::recompile).
/// * `AwaitingApproval` if the backfill of changed views needs approval: run
///   [`ApproveBootstrap`](super::ApproveBootstrap).
/// * `Standby` if the pipeline is a standby.
/// * `StorageInUse` if a change needs clear storage: run [`ClearStorage`](super::ClearStorage) first.
/// * `SettingsIgnored` if the server does not know a setting: see [`runtime_config`](Self::runtime_config).
/// * `Edited`, `Overruled` or `Replaced` if another client changes, controls or replaces the pipeline in the meantime.
///
/// ```
/// # let unknown = r#"{"message":"Unknown pipeline name 'orders'","error_code":"UnknownPipelineName","details":null}"#;
/// # let compiled = r#"{"program_version":1,"program_status":"Success","deployment_status":"Stopped",
/// #     "deployment_desired_status":"Stopped"}"#;
/// # let runs = r#"{"program_version":1,"program_status":"Success","deployment_status":"Running",
/// #     "deployment_desired_status":"Running"}"#;
/// # let runtime = pipewright::driver::Canned::new([
/// #     ("GET /v0/pipelines/orders", 404, unknown),
/// #     ("POST /v0/pipelines", 201, r#"{"program_version":1,"deployment_status":"Stopped"}"#),
/// #     ("GET /v0/pipelines/orders", 200, compiled),
/// #     ("GET /v0/pipelines/orders", 200, compiled),
/// #     ("GET /v0/pipelines/orders", 200, compiled),
/// #     ("POST /v0/pipelines/orders/start", 202, r#""Pipeline is starting""#),
/// #     ("GET /v0/pipelines/orders", 200, runs),
/// #     ("GET /v0/pipelines/orders/stats", 200, r#"{"global_metrics":{"state":"Running","buffered_input_records":0,
/// #         "total_input_records":0,"total_processed_records":0,"pipeline_complete":false},"inputs":[],"outputs":[]}"#),
/// # ]);
/// use pipewright::feldera::{Change, Deploy, Feldera};
///
/// let feldera = Feldera::new("http://127.0.0.1:8080".parse()?, runtime);
/// let sql = "CREATE TABLE t (id BIGINT NOT NULL); CREATE MATERIALIZED VIEW v AS SELECT count(*) FROM t;";
/// let deployed = feldera.run(Deploy::new("orders", sql))?;
/// assert_eq!((deployed.change, deployed.restarted), (Change::Created, false));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct Deploy {
    program_code: Private<String>,
    udf_rust: Private<Option<String>>,
    udf_toml: Private<Option<String>>,
    program_config: Option<ProgramConfig>,
    runtime_config: Private<Option<RuntimeConfig>>,
    description: Option<String>,
    tags: Option<Vec<String>>,
    force_stop: bool,
    recompile: bool,
    paused: bool,
    ensure: Ensure,
    timeout: Option<Duration>,
}

impl Deploy {
    /// Runs this SQL in the pipeline with this name.
    pub fn new(pipeline: impl Into<String>, program_code: impl Into<String>) -> Self {
        Self {
            program_code: Private(program_code.into()),
            udf_rust: Private(None),
            udf_toml: Private(None),
            program_config: None,
            runtime_config: Private(None),
            description: None,
            tags: None,
            force_stop: false,
            recompile: false,
            paused: false,
            ensure: Ensure::new(pipeline.into()),
            timeout: None,
        }
    }

    /// Sets the source of the user-defined functions, in Rust.
    pub fn udf_rust(mut self, code: impl Into<String>) -> Self {
        self.udf_rust.0 = Some(code.into());
        self
    }

    /// Sets the dependencies of the user-defined functions, in the format of `Cargo.toml`.
    pub fn udf_toml(mut self, dependencies: impl Into<String>) -> Self {
        self.udf_toml.0 = Some(dependencies.into());
        self
    }

    /// Sets how the program is compiled. Settings that are not given keep their values.
    pub fn program_config(mut self, config: ProgramConfig) -> Self {
        self.program_config = Some(config);
        self
    }

    /// Sets the runtime configuration. Settings that are not given keep their values, including settings that this
    /// version of the library does not know. A storage backend of another type replaces the old backend, and so does
    /// any object store, with its options.
    ///
    /// A deployment cannot reset a known setting to Feldera's default, nor remove a variable from `env`. Use
    /// [`PatchPipeline`](crate::feldera::pipelines::PatchPipeline) for that. If `fault_tolerance` has no `model`, a new
    /// pipeline gets the model `ExactlyOnce`, and an existing pipeline keeps its model, including `None`. Set the
    /// model.
    ///
    /// The flow requests the server's version, unless the client knows it. If the server seems to ignore a setting, the
    /// flow requests the version again, because the server may have been updated since. A server ignores settings that
    /// it does not know, and the flow then fails with [`SettingsIgnored`](super::Interruption::SettingsIgnored):
    ///
    /// | the setting | the flow fails |
    /// |---|---|
    /// | is known to be missing in the server's version | before it changes the pipeline |
    /// | is missing in the server's answer to the change | after the change, and **the pipeline stays stopped**. Otherwise each deployment would find the setting missing, and would stop the pipeline |
    pub fn runtime_config(mut self, config: RuntimeConfig) -> Self {
        self.runtime_config.0 = Some(config);
        self
    }

    /// Sets the description.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Sets the tags. Since 0.327.
    pub fn tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags = Some(tags.into_iter().map(Into::into).collect());
        self
    }

    /// Stops the pipeline by force if it has to be stopped: **all changes since its last checkpoint are lost**.
    /// Required for the open-source edition, which makes no checkpoints.
    pub fn force_stop(mut self, force: bool) -> Self {
        self.force_stop = force;
        self
    }

    /// Sets whether the flow has the program compiled again, once, if the platform failed to compile it, now or in the
    /// past; false by default. See [`Compile::recompile`](super::Compile::recompile) for the steps, and for what was
    /// verified on a real server. If the flow is interrupted in between, the next deployment of the same SQL puts the
    /// program back.
    pub fn recompile(mut self, recompile: bool) -> Self {
        self.recompile = recompile;
        self
    }

    /// Leaves the pipeline paused at the end, instead of running.
    pub fn paused(mut self, paused: bool) -> Self {
        self.paused = paused;
        self
    }

    /// Sets whether changed views are backfilled; `AwaitApproval` by default.
    pub fn bootstrap_policy(mut self, policy: BootstrapPolicy) -> Self {
        self.ensure.bootstrap_policy = Some(policy);
        self
    }

    fn name(&self) -> &str {
        &self.ensure.pipeline
    }

    fn create(&self) -> CreatePipeline {
        let mut create = CreatePipeline::new(self.name(), &*self.program_code.0);
        create.udf_rust.clone_from(&self.udf_rust.0);
        create.udf_toml.clone_from(&self.udf_toml.0);
        create.program_config.clone_from(&self.program_config);
        create.runtime_config.clone_from(&self.runtime_config.0);
        create.description.clone_from(&self.description);
        create.tags.clone_from(&self.tags);
        create
    }
}

/// The result of a [`Deploy`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Deployed {
    /// The pipeline at the last poll.
    pub pipeline: Pipeline,
    /// The change of the pipeline's definition.
    pub change: Change,
    /// Whether the pipeline was stopped for the change.
    pub restarted: bool,
}

/// The change of a pipeline's definition by a [`Deploy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The definition was up to date.
    None,
    /// The pipeline did not exist.
    Created,
    /// The definition was different.
    Updated,
}

goal!(Deploy: FelderaApi => Deployed, DeployMachine);
