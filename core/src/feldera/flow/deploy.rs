//! The goal [`Deploy`].
//!
//! ```text
//!           ┌─ somebody was faster, or nobody knows ──────┐
//!           ▼                                             │
//!  start ─▶ Look ──unknown──▶ Create ─────────────────────┼─▶ Compile ──▶ Ensure ──▶ done
//!           │  ├─ as it should be, and runs ─▶ done       │      ▲
//!           │  ├─ as it should be ────────────────────────┼──────┤
//!           │  ├─ differs, stopped ──▶ Change ────────────┴──────┘
//!           │  │                         ▲
//!           │  └─ differs, up ──▶ Validate ──▶ Stop
//!           └─▶ failed
//! ```
//!
//! | Look shows | then |
//! |---|---|
//! | no such pipeline | Create |
//! | nothing to change, the program compiled, the pipeline as wished | done |
//! | nothing to change | Compile |
//! | only description or tags to change | Change, whatever it does |
//! | something to change that its storage forbids | failed: `StorageInUse`, nothing was touched |
//! | something to change, stopped | Change |
//! | something to change, up, for the first time | Validate if the SQL is to change, then Stop |
//! | something to change, up again after our Stop | failed: `Overruled` |
//!
//! Invariants: what runs is not stopped for SQL that does not compile, as far as the service can tell before; what is not to
//! change is not stopped; at the end the program that runs is the one that was put, or the flow ends as `Edited`.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::compile::{Compile, CompilePlan};
use super::ensure::{Ensure, EnsurePlan};
use super::steer::Steered;
use super::stop::{Stop, StopPlan};
use super::{Interruption, Pace};
use crate::error::{Cause, Failure, FlowError, ServiceError};
use crate::feldera::pipelines::{
    BootstrapPolicy, DesiredStatus, Pipeline, PipelineStatus, ProgramConfig, ProgramError, ProgramStatus,
    RuntimeConfig, Selector, StorageStatus,
};
use crate::feldera::programs::Validation;
use crate::feldera::{
    CreatePipeline, ErrorCode, FelderaApi, GetPipeline, PatchPipeline, ValidateProgram, error_code, is_unknown_pipeline,
};
use crate::flow::{Call, Common, Config, Flow as _, Goal, Machine, Notice, Reply, Running, Step, ok};
use crate::seed::Seed;
use crate::time::Timestamp;

/// Creates or changes a pipeline so that it runs a program: makes it, or stops, changes and starts it, and waits until it
/// runs. Does nothing when it runs that program with that configuration.
///
/// What is not given stays as it is. SQL that is to replace what runs is validated first (since 0.324), so that a mistake in
/// it stops nothing; one in user-defined functions shows only after the stop, and the pipeline then stays stopped, with the
/// new program.
///
/// Ends in [`FlowError::Failed`] with an [`Interruption`]: `NotCompiled` with the compilers' errors and their places,
/// `AwaitingApproval` when somebody has to approve with [`ApproveBootstrap`](super::ApproveBootstrap) that views are filled,
/// `StorageInUse` for what can be changed only after [`ClearStorage`](super::ClearStorage), `Edited` and others when another
/// client interferes. Needs no saved state: run again, it finds what is done.
///
/// ```
/// # mod scripted { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/feldera/flow/scripted.rs")); }
/// # use scripted::Scripted;
/// # let unknown = r#"{"message":"Unknown pipeline name 'orders'","error_code":"UnknownPipelineName","details":null}"#;
/// # let compiled = r#"{"program_version":1,"program_status":"Success","deployment_status":"Stopped",
/// #     "deployment_desired_status":"Stopped"}"#;
/// # let runs = r#"{"program_version":1,"program_status":"Success","deployment_status":"Running",
/// #     "deployment_desired_status":"Running"}"#;
/// # let runtime = Scripted::new([
/// #     ("GET /v0/pipelines/orders", 404, unknown),
/// #     ("POST /v0/pipelines", 201, r#"{"program_version":1,"deployment_status":"Stopped"}"#),
/// #     ("GET /v0/pipelines/orders", 200, compiled),
/// #     ("GET /v0/pipelines/orders", 200, compiled),
/// #     ("GET /v0/pipelines/orders", 200, compiled),
/// #     ("POST /v0/pipelines/orders/start", 202, r#""Pipeline is starting""#),
/// #     ("GET /v0/pipelines/orders", 200, runs),
/// # ]);
/// use pipewright::feldera::flow::Change;
/// use pipewright::feldera::{Deploy, Feldera};
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
    program_code: String,
    udf_rust: Option<String>,
    udf_toml: Option<String>,
    program_config: Option<ProgramConfig>,
    runtime_config: Option<RuntimeConfig>,
    description: Option<String>,
    tags: Option<Vec<String>>,
    force_stop: bool,
    paused: bool,
    ensure: Ensure,
}

impl Deploy {
    /// Runs this SQL in the pipeline of this name.
    pub fn new(pipeline: impl Into<String>, program_code: impl Into<String>) -> Self {
        Self {
            program_code: program_code.into(),
            udf_rust: None,
            udf_toml: None,
            program_config: None,
            runtime_config: None,
            description: None,
            tags: None,
            force_stop: false,
            paused: false,
            ensure: Ensure::new(pipeline.into()),
        }
    }

    /// User-defined functions in Rust.
    pub fn udf_rust(mut self, code: impl Into<String>) -> Self {
        self.udf_rust = Some(code.into());
        self
    }

    /// What they depend on, as in `Cargo.toml`.
    pub fn udf_toml(mut self, dependencies: impl Into<String>) -> Self {
        self.udf_toml = Some(dependencies.into());
        self
    }

    /// How it is compiled. When something in it differs, all of it is replaced.
    pub fn program_config(mut self, config: ProgramConfig) -> Self {
        self.program_config = Some(config);
        self
    }

    /// How it is run. When something in it differs, all of it is replaced.
    pub fn runtime_config(mut self, config: RuntimeConfig) -> Self {
        self.runtime_config = Some(config);
        self
    }

    /// What it is for.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Tags. Since 0.327.
    pub fn tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags = Some(tags.into_iter().map(Into::into).collect());
        self
    }

    /// Stops it by force if it has to be stopped: **what it has computed since its last checkpoint is lost**. The open-source
    /// edition, which makes no checkpoints, cannot do otherwise.
    pub fn force_stop(mut self, force: bool) -> Self {
        self.force_stop = force;
        self
    }

    /// It is to be paused in the end, and not to run.
    pub fn paused(mut self, paused: bool) -> Self {
        self.paused = paused;
        self
    }

    /// Whether views that have changed are filled; `AwaitApproval` by default.
    pub fn bootstrap_policy(mut self, policy: BootstrapPolicy) -> Self {
        self.ensure.bootstrap_policy = Some(policy);
        self
    }

    /// How long the flow may take; as long as it takes by default.
    pub fn within(mut self, time: Duration) -> Self {
        self.ensure.within = Some(time);
        self
    }

    fn name(&self) -> &str {
        &self.ensure.pipeline
    }

    fn create(&self) -> CreatePipeline {
        let mut create = CreatePipeline::new(self.name(), &*self.program_code);
        create.udf_rust.clone_from(&self.udf_rust);
        create.udf_toml.clone_from(&self.udf_toml);
        create.program_config.clone_from(&self.program_config);
        create.runtime_config.clone_from(&self.runtime_config);
        create.description.clone_from(&self.description);
        create.tags.clone_from(&self.tags);
        create
    }

    /// What of a pipeline is to change.
    fn differences(&self, seen: &Pipeline) -> Differences {
        let differs = |wanted: &Option<String>, has: &Option<String>| {
            wanted.clone().filter(|wanted| has.as_deref().unwrap_or_default() != wanted)
        };
        let mut patch = PatchPipeline::new(self.name());
        patch.program_code = differs(&Some(self.program_code.clone()), &seen.program_code);
        patch.udf_rust = differs(&self.udf_rust, &seen.udf_rust);
        patch.udf_toml = differs(&self.udf_toml, &seen.udf_toml);
        patch.program_config =
            self.program_config.clone().filter(|wanted| !is_part(wanted, seen.program_config.as_ref()));
        patch.runtime_config =
            self.runtime_config.clone().filter(|wanted| !is_part(wanted, seen.runtime_config.as_ref()));
        patch.description = differs(&self.description, &seen.description);
        patch.tags = self.tags.clone().filter(|tags| *tags != seen.tags);
        Differences(patch)
    }
}

/// What is to change.
#[derive(Clone, Debug)]
struct Differences(PatchPipeline);

impl Differences {
    /// Whether it can change only while the pipeline is stopped.
    fn need_a_stop(&self) -> bool {
        let PatchPipeline { program_code, udf_rust, udf_toml, program_config, runtime_config, .. } = &self.0;
        program_code.is_some()
            || udf_rust.is_some()
            || udf_toml.is_some()
            || program_config.is_some()
            || runtime_config.is_some()
    }

    fn any(&self) -> bool {
        self.need_a_stop() || self.0.description.is_some() || self.0.tags.is_some()
    }

    /// What can change only while the storage is clear, as far as is known.
    fn need_clear_storage(&self, seen: &Pipeline) -> Option<&'static str> {
        let (wanted, has) = (self.0.runtime_config.as_ref()?, seen.runtime_config.as_ref()?);
        let other = |wanted: Value, has: Value| !wanted.is_null() && !contains(&has, &wanted);
        [
            ("workers", other(wanted.workers.into(), has.workers.into())),
            ("hosts", other(wanted.hosts.into(), has.hosts.into())),
            ("fault_tolerance", other(value(&wanted.fault_tolerance), value(&has.fault_tolerance))),
        ]
        .into_iter()
        .find_map(|(name, differs)| differs.then_some(name))
    }
}

fn value<T: Serialize>(of: &T) -> Value {
    serde_json::to_value(of).unwrap_or_default()
}

/// Whether all that is given is so already. What is not given has defaults that only the service knows.
fn is_part<T: Serialize>(wanted: &T, has: Option<&T>) -> bool {
    has.is_some_and(|has| contains(&value(has), &value(wanted)))
}

fn contains(has: &Value, wanted: &Value) -> bool {
    match (has, wanted) {
        (Value::Object(has), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| wanted.is_null() || has.get(key).is_some_and(|has| contains(has, wanted)))
        }
        (has, wanted) => has == wanted,
    }
}

/// A pipeline that runs the program that it was given.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Deployed {
    /// As it was seen last.
    pub pipeline: Pipeline,
    /// What became of its definition.
    pub change: Change,
    /// Whether it was stopped for that.
    pub restarted: bool,
}

/// What a [`Deploy`] has done to a pipeline's definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// Nothing: it was so already.
    None,
    /// There was none of the name before.
    Created,
    /// It was different before.
    Updated,
}

/// How often the flow begins again with a look.
const LOOKS: u32 = 8;

/// The transitions of [`Deploy`].
#[doc(hidden)]
#[derive(Debug)]
pub struct DeployMachine {
    goal: Deploy,
    change: Change,
    restarted: bool,
    /// The program that is to run.
    version: Option<i64>,
    looks: u32,
    pace: Pace,
    /// Why there is another look.
    trouble: Option<FlowError>,
    state: State,
}

#[derive(Debug)]
enum State {
    Start,
    Look(Call<GetPipeline>),
    Wait(Timestamp),
    Create(Box<Call<CreatePipeline>>),
    Validate(Box<Call<ValidateProgram>>, Box<Differences>),
    Stop(Box<Running<Steered<StopPlan>>>, Box<Differences>),
    Change(Box<Call<PatchPipeline>>),
    Compile(Box<Running<Steered<CompilePlan>>>),
    Ensure(Box<Running<Steered<EnsurePlan>>>),
}

impl DeployMachine {
    fn failed(&self, interruption: Interruption, details: Option<String>) -> FlowError {
        interruption.into_error(format!("deployment of pipeline {}", self.goal.name()), details)
    }

    /// Decides by what there is; `None` is no pipeline. A result is the end.
    fn looked(&mut self, seen: Option<Pipeline>, cx: &mut Common<FelderaApi>) -> Option<Result<Deployed, FlowError>> {
        let Some(seen) = seen else {
            self.change = Change::Created;
            cx.phase(Self::NAME, "creating the pipeline");
            self.state = State::Create(Box::new(cx.call(self.goal.create())));
            return None;
        };
        let differences = self.goal.differences(&seen);
        if !differences.any() {
            return self.unchanged(seen, cx);
        }
        if self.change == Change::None {
            self.change = Change::Updated;
        }
        let is_clear = seen.storage_status.as_ref().is_none_or(|status| *status == StorageStatus::Cleared);
        if let Some(field) = differences.need_clear_storage(&seen).filter(|_| !is_clear) {
            let what = format!("deployment of pipeline {}", self.goal.name());
            let reason = format!(
                "{field} can be changed only while the storage is clear: stop the pipeline, with Stop, and then lose what is \
                 in there, with ClearStorage"
            );
            let cause = Some(Cause::new(Interruption::StorageInUse));
            return Some(Err(FlowError::Failed(Failure { what, reason, details: None, cause })));
        }
        if seen.is_at_rest() || !differences.need_a_stop() {
            self.change(differences, cx);
        } else if self.restarted {
            let desired = seen.deployment_desired_status.unwrap_or(DesiredStatus::Running);
            return Some(Err(self.failed(Interruption::Overruled { desired }, None)));
        } else if let Some(code) = &differences.0.program_code {
            cx.phase(Self::NAME, "validating the SQL");
            let mut validate = ValidateProgram::new(&**code);
            let config = differences.0.program_config.as_ref().or(seen.program_config.as_ref());
            validate.runtime_version = config.and_then(|config| config.runtime_version.clone());
            self.state = State::Validate(Box::new(cx.call(validate)), Box::new(differences));
        } else {
            self.stop(differences, cx);
        }
        None
    }

    fn unchanged(&mut self, seen: Pipeline, cx: &mut Common<FelderaApi>) -> Option<Result<Deployed, FlowError>> {
        self.version = seen.program_version;
        let wished = if self.goal.paused { PipelineStatus::Paused } else { PipelineStatus::Running };
        let is_desired =
            seen.deployment_desired_status.as_ref().is_none_or(|desired| desired.as_str() == wished.as_str());
        if seen.deployment_status == wished && is_desired && seen.program_status == Some(ProgramStatus::Success) {
            return Some(Ok(self.deployed(seen)));
        }
        self.compile(cx);
        None
    }

    fn deployed(&self, pipeline: Pipeline) -> Deployed {
        Deployed { pipeline, change: self.change, restarted: self.restarted }
    }

    fn change(&mut self, differences: Differences, cx: &mut Common<FelderaApi>) {
        cx.phase(Self::NAME, "changing the pipeline");
        self.state = State::Change(Box::new(cx.call(differences.0)));
    }

    fn stop(&mut self, differences: Differences, cx: &mut Common<FelderaApi>) {
        let name = self.goal.name();
        let stop = if self.goal.force_stop { Stop::forced(name) } else { Stop::new(name) };
        let child = cx.child(stop.machine());
        self.state = State::Stop(Box::new(child), Box::new(differences));
    }

    fn compile(&mut self, cx: &mut Common<FelderaApi>) {
        let mut compile = Compile::new(self.goal.name());
        if let Some(version) = self.version {
            compile = compile.version(version);
        }
        let child = cx.child(compile.machine());
        self.state = State::Compile(Box::new(child));
    }

    /// What the compiler says of SQL before anything is stopped for it.
    fn validated(&self, answer: Result<Validation, FlowError>) -> Result<(), FlowError> {
        let nothing = ProgramError { sql_compilation: None, rust_compilation: None, system_error: None };
        let (status, error) = match answer {
            Ok(Validation::SqlError(problem)) => {
                (ProgramStatus::SqlError, ProgramError { sql_compilation: Some(problem.info), ..nothing })
            }
            Ok(Validation::SystemError(problem)) => {
                (ProgramStatus::SystemError, ProgramError { system_error: Some(problem.error), ..nothing })
            }
            Ok(_) => return Ok(()),
            // No such address: before 0.324 nobody can tell.
            Err(FlowError::Service(error)) if is_no_address(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        let details = Some(error.to_string());
        Err(self.failed(Interruption::NotCompiled { status, error }, details))
    }

    /// After a change that may have been made, or not by us.
    fn look_again(&mut self, trouble: FlowError, cx: &Common<FelderaApi>) -> Result<(), FlowError> {
        if self.looks >= LOOKS {
            return Err(trouble);
        }
        self.trouble = Some(trouble);
        self.state = State::Wait(self.pace.next(cx.now()));
        Ok(())
    }

    fn created(&mut self, answer: Result<Pipeline, FlowError>, cx: &mut Common<FelderaApi>) -> Result<(), FlowError> {
        match answer {
            Ok(created) => {
                self.version = created.program_version;
                self.compile(cx);
                Ok(())
            }
            Err(error) if error.is_ambiguous() || says(&error, &ErrorCode::DuplicateName) => self.look_again(error, cx),
            Err(error) => Err(error),
        }
    }

    fn changed(&mut self, answer: Result<Pipeline, FlowError>, cx: &mut Common<FelderaApi>) -> Result<(), FlowError> {
        match answer {
            Ok(changed) => {
                self.version = changed.program_version;
                self.compile(cx);
                Ok(())
            }
            Err(error) if error.is_ambiguous() || says(&error, &ErrorCode::UpdateRestrictedToStopped) => {
                self.look_again(error, cx)
            }
            Err(error) => Err(error),
        }
    }

    fn compiled(&mut self, compiled: &Pipeline, cx: &mut Common<FelderaApi>) {
        self.version = self.version.or(compiled.program_version);
        let ensure = EnsurePlan::new(self.goal.ensure.clone(), self.goal.paused);
        let child = cx.child(Steered::new(ensure));
        self.state = State::Ensure(Box::new(child));
    }

    /// The pipeline is up. Is it with the program that was put?
    fn ensured(&self, pipeline: Pipeline) -> Result<Deployed, FlowError> {
        match (self.version, pipeline.program_version) {
            (Some(was), Some(is)) if was != is => Err(self.failed(Interruption::Edited { was, is }, None)),
            _ => Ok(self.deployed(pipeline)),
        }
    }
}

fn says(error: &FlowError, code: &ErrorCode) -> bool {
    error.service().and_then(error_code).as_ref() == Some(code)
}

fn is_no_address(error: &ServiceError) -> bool {
    error.status() == http::StatusCode::NOT_FOUND && error.code().is_none()
}

impl Machine for DeployMachine {
    type Service = FelderaApi;
    type Output = Deployed;
    const NAME: &'static str = "Deploy";

    fn step(&mut self, cx: &mut Common<FelderaApi>, reply: &mut Option<Reply>) -> Step<Deployed> {
        loop {
            if let Some(notice) = cx.next_notice(reply.as_ref()) {
                return Step::Notice(notice);
            }
            let next = match &mut self.state {
                State::Start => {
                    self.looks += 1;
                    self.state = State::Look(cx.call(GetPipeline::new(self.goal.name()).selector(Selector::All)));
                    Ok(())
                }
                State::Look(call) => {
                    let seen = match ok!(call.poll(cx.now(), reply.take())) {
                        Ok(seen) => Some(seen),
                        Err(FlowError::Service(error)) if is_unknown_pipeline(&error) => None,
                        // A doubt is not forgotten because there is no way to look.
                        Err(error) => {
                            let doubt = self.trouble.take().filter(FlowError::is_ambiguous);
                            return Step::Done(Err(doubt.unwrap_or(error)));
                        }
                    };
                    let state = seen.as_ref().map_or_else(|| "not there".to_owned(), super::looks::summary);
                    cx.say(Notice::Observed { what: format!("pipeline {}", self.goal.name()), state });
                    if let Some(result) = self.looked(seen, cx) {
                        return Step::Done(result);
                    }
                    Ok(())
                }
                State::Wait(until) => {
                    if let Some(step) = cx.wait_until(*until, "the pipeline to be changed", reply) {
                        return step;
                    }
                    self.state = State::Start;
                    Ok(())
                }
                State::Create(call) => {
                    let answer = ok!(call.poll(cx.now(), reply.take()));
                    self.created(answer, cx)
                }
                State::Validate(call, differences) => {
                    let (answer, differences) = (ok!(call.poll(cx.now(), reply.take())), differences.clone());
                    self.validated(answer).map(|()| self.stop(*differences, cx))
                }
                State::Stop(child, differences) => {
                    let (answer, differences) = (ok!(child.poll(cx.now(), reply.take())), differences.clone());
                    answer.map(|_| {
                        self.restarted = true;
                        self.change(*differences, cx);
                    })
                }
                State::Change(call) => {
                    let answer = ok!(call.poll(cx.now(), reply.take()));
                    self.changed(answer, cx)
                }
                State::Compile(child) => {
                    let answer = ok!(child.poll(cx.now(), reply.take()));
                    answer.map(|compiled| self.compiled(&compiled, cx))
                }
                State::Ensure(child) => {
                    let answer = ok!(child.poll(cx.now(), reply.take()));
                    return Step::Done(answer.and_then(|pipeline| self.ensured(pipeline)));
                }
            };
            if let Err(error) = next {
                return Step::Done(Err(error));
            }
        }
    }
}

impl Goal for Deploy {
    type Service = FelderaApi;
    type Output = Deployed;
    type Flow = Running<DeployMachine>;

    fn start(self, config: &Config<FelderaApi>, seed: Seed) -> Self::Flow {
        let within = self.ensure.within;
        let machine = DeployMachine {
            goal: self,
            change: Change::None,
            restarted: false,
            version: None,
            looks: 0,
            pace: Pace::START,
            trouble: None,
            state: State::Start,
        };
        Running::new(machine, config, seed, within)
    }
}
