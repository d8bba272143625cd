//! A pipeline as the manager has it, and what happens to it by itself.

use std::collections::VecDeque;
use std::time::Duration;

use pipewright::Seed;
use serde_json::{Value, json};

use super::compilation::Compilation;
use super::config::{CompilerFailure, Config};
use super::log::Log;
use super::process::Process;
use super::release::Release;
use super::saved_state::SavedState;
use super::trouble::{Trouble, panic_error};
use super::views::History;
use super::wire::{stamp, uuid};

/// How many events are kept.
const EVENTS: usize = 720;

/// What is due for its deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// The runner checks whether the pipeline is to be started.
    CheckStart,
    /// The process is there.
    Provisioned,
    /// The process has initialized.
    Initialized,
    /// The runner sees what the process is doing.
    Observe,
    /// The checkpoint of a suspend is made.
    Suspended,
    /// The runner begins to stop it.
    Stop,
    /// The process is gone.
    Stopped,
}

impl Due {
    /// Whether it does not happen while the process does not answer.
    fn needs_process(self) -> bool {
        matches!(self, Self::Initialized | Self::Observe | Self::Suspended)
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) release: Release,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) tags: Vec<Value>,
    pub(super) created: Duration,
    pub(super) version: u64,
    pub(super) refresh_version: u64,
    pub(super) runtime_config: Value,
    /// The resources of the present deployment.
    pub(super) deployment_config: Value,
    /// How much memory its process may use.
    pub(super) memory_max: Value,
    /// When its process uses other resources.
    pub(super) resized: Option<Duration>,
    pub(super) program_config: Value,
    pub(super) code: String,
    pub(super) udf_rust: String,
    pub(super) udf_toml: String,
    pub(super) program_version: u64,
    pub(super) compilation: Compilation,
    pub(super) error: Value,
    pub(super) storage: &'static str,
    pub(super) storage_due: Option<Duration>,
    pub(super) checkpoints: Vec<SavedState>,
    /// The checkpoints that were pushed to object storage, in this order.
    pub(super) remote: Vec<String>,
    pub(super) resources: &'static str,
    pub(super) resources_since: Duration,
    /// Whether it is to be deployed.
    pub(super) wanted: bool,
    pub(super) wanted_since: Duration,
    pub(super) initial: Option<&'static str>,
    pub(super) policy: Option<String>,
    pub(super) deployment_id: Option<String>,
    pub(super) runtime: Option<&'static str>,
    pub(super) runtime_since: Duration,
    pub(super) runtime_desired: Option<&'static str>,
    pub(super) runtime_desired_since: Duration,
    pub(super) due: Option<(Duration, Due)>,
    pub(super) trouble: Option<(Duration, Trouble)>,
    pub(super) process: Option<Process>,
    /// What processes did that have ended.
    pub(super) past: History,
    pub(super) deployments: u64,
    /// What has changed, as the API tells it, oldest first.
    pub(super) events: VecDeque<Value>,
    pub(super) noted: u64,
    pub(super) log: Log,
}

impl Pipeline {
    pub(super) fn new(id: String, name: String, log: Log, now: Duration, config: &Config) -> Self {
        Self {
            release: config.release,
            id,
            name,
            description: String::new(),
            tags: Vec::new(),
            created: now,
            version: 1,
            refresh_version: 1,
            runtime_config: Value::Null,
            deployment_config: Value::Null,
            memory_max: Value::Null,
            resized: None,
            program_config: Value::Null,
            code: String::new(),
            udf_rust: String::new(),
            udf_toml: String::new(),
            program_version: 1,
            compilation: Compilation::new(now, config),
            error: Value::Null,
            storage: "Cleared",
            storage_due: None,
            checkpoints: Vec::new(),
            remote: Vec::new(),
            resources: "Stopped",
            resources_since: now,
            wanted: false,
            wanted_since: now,
            initial: None,
            policy: None,
            deployment_id: None,
            runtime: None,
            runtime_since: now,
            runtime_desired: None,
            runtime_desired_since: now,
            due: None,
            trouble: None,
            process: None,
            past: History::default(),
            deployments: 0,
            events: VecDeque::new(),
            noted: 0,
            log,
        }
    }

    /// Stopped, and no start is desired.
    pub(super) fn is_stopped(&self) -> bool {
        self.resources == "Stopped" && !self.wanted
    }

    /// Whether there is one status of a pipeline only, and `initial` is the desired status, whatever the process knows.
    pub(super) fn has_one_status(&self) -> bool {
        self.release < Release::V0_337
    }

    pub(super) fn status(&self) -> &'static str {
        let suspends = self.initial == Some("Suspended") || self.runtime == Some("Suspended");
        match self.runtime {
            Some(_) if self.has_one_status() && suspends => "Suspending",
            runtime => runtime.unwrap_or(self.resources),
        }
    }

    pub(super) fn desired(&self) -> &'static str {
        let runtime = self.runtime_desired.filter(|_| !self.has_one_status());
        if self.wanted { runtime.or(self.initial).unwrap_or("Stopped") } else { "Stopped" }
    }

    /// Compiles from the beginning.
    pub(super) fn recompile(&mut self, now: Duration, config: &Config) {
        self.compilation = Compilation::new(now, config);
        self.compilation.is_gen2 = self.release >= Release::V0_375 && self.program_config["runtime_version"] == "gen2";
        self.note_compilation(now);
    }

    fn note_compilation(&mut self, at: Duration) {
        self.refresh_version += 1;
        self.note(at);
    }

    /// Sets whether it is to be deployed.
    pub(super) fn want(&mut self, wanted: bool, now: Duration) {
        if self.wanted != wanted {
            (self.wanted, self.wanted_since) = (wanted, now);
            self.refresh_version += 1;
        }
        if !wanted {
            self.initial = None;
        }
    }

    /// Ends the deployment, soon.
    pub(super) fn stop(&mut self, now: Duration, config: &Config) {
        self.want(false, now);
        match self.resources {
            "Stopped" => self.due = None,
            "Stopping" => {}
            _ if matches!(self.due, Some((_, Due::Stop))) => {}
            _ => self.due = Some((now.saturating_add(config.runner_delay), Due::Stop)),
        }
    }

    pub(super) fn advance(
        &mut self,
        now: Duration,
        config: &Config,
        compiler: Option<&CompilerFailure>,
        seed: &mut Seed,
    ) {
        while let Some(at) = self.next_due().filter(|at| *at <= now) {
            if self.compilation.due.is_some_and(|due| due <= at) {
                self.compilation.advance(at, config, &self.code, &self.udf_rust, compiler);
                self.note_compilation(at);
                if self.compilation.due.is_none() && self.wanted && self.resources == "Stopped" {
                    self.due = Some((at, Due::CheckStart));
                }
            } else if self.storage_due.is_some_and(|due| due <= at) {
                self.storage_due = None;
                self.storage = "Cleared";
                self.checkpoints.clear();
            } else if self.resized.take_if(|due| *due <= at).is_some() {
                self.memory_max = self.deployment_config["resources"]["memory_max"].clone();
            } else if let Some((_, step)) = self.next_step().filter(|(due, _)| *due <= at) {
                self.due = None;
                self.deploy(at, step, config, seed);
            } else if let Some((_, trouble)) = self.trouble.take_if(|(due, _)| *due <= at) {
                self.suffer(at, trouble, config);
            } else {
                self.run(at, config, seed);
            }
        }
    }

    fn run(&mut self, at: Duration, config: &Config, seed: &mut Seed) {
        let (Some(process), Some(program)) = (&mut self.process, &self.compilation.program) else { return };
        if process.happen(at, config, program) {
            let saved = process.save(uuid(seed, at), self.program_version);
            self.checkpoints.push(saved);
        }
        if let Some(failure) = process.failure.take() {
            self.trouble = Some((at.saturating_add(config.panic_duration), Trouble::Panic(failure)));
        }
        self.remote.append(&mut process.syncs.pushed);
        if std::mem::take(&mut process.subscribers.dropped) {
            self.tell_of_dropped_rows(at);
        }
        if self.due.is_none() {
            self.suspend(at, config);
        }
    }

    /// What a real log says of rows in an update format with keys.
    pub(super) fn tell_of_dropped_rows(&mut self, at: Duration) {
        self.log.write(at, &self.name, "error encoding output: the HTTP transport does not support key-value pairs");
    }

    fn deploy(&mut self, at: Duration, step: Due, config: &Config, seed: &mut Seed) {
        match step {
            Due::CheckStart => self.check_desired(at, config, seed),
            Due::Provisioned => {
                self.set_resources("Provisioned", at);
                self.deployment_config = self.configured_resources();
                self.memory_max = self.deployment_config["resources"]["memory_max"].clone();
                let initial = self.initial.unwrap_or("Running");
                let has_storage = !self.runtime_config["storage"].is_null();
                let process = Process::new(uuid(seed, at), at, initial, has_storage, self.checkpoints.last());
                self.process = Some(process);
                self.observe(at);
                self.due = Some((at.saturating_add(config.initialize_duration), Due::Initialized));
            }
            Due::Initialized => self.initialized(at, config),
            Due::Observe => {
                self.follow_desired(at, config);
                self.observe(at);
                self.suspend(at, config);
            }
            Due::Suspended => {
                if let Some(error) = self.process.as_ref().and_then(|process| process.checkpoints.obstacle()) {
                    let message = format!("The pipeline could not be suspended: {error}");
                    self.error = json!({ "message": message, "error_code": "SuspendError",
                        "details": { "error": error } });
                    return self.stop(at, config);
                }
                if let Some(process) = &mut self.process {
                    let saved = process.save(uuid(seed, at), self.program_version);
                    self.checkpoints.push(saved);
                    process.status = "Suspended";
                }
                self.observe(at);
                self.want(false, at);
                self.due = Some((at.saturating_add(config.runner_delay), Due::Stop));
            }
            Due::Stop => {
                if let Some(process) = self.process.take() {
                    self.past.append(process.history);
                }
                (self.trouble, self.deployment_id) = (None, None);
                (self.runtime, self.runtime_desired) = (None, None);
                (self.deployment_config, self.memory_max, self.resized) = (Value::Null, Value::Null, None);
                self.set_resources("Stopping", at);
                self.due = Some((at.saturating_add(config.provision_duration), Due::Stopped));
            }
            Due::Stopped => {
                self.set_resources("Stopped", at);
                self.policy = None;
            }
        }
    }

    fn check_desired(&mut self, at: Duration, config: &Config, seed: &mut Seed) {
        match self.compilation.status {
            "Success" => {
                self.set_resources("Provisioning", at);
                self.deployment_id = Some(uuid(seed, at));
                self.deployments += 1;
                self.storage = "InUse";
                self.due = Some((at.saturating_add(config.provision_duration), Due::Provisioned));
            }
            status if status.ends_with("Error") => {
                self.want(false, at);
                let cause = format!("{status} occurred (see `program_error` for more information)");
                self.error = json!({
                    "message": "Not possible to start the pipeline because the program failed to compile",
                    "error_code": "StartFailedDueToFailedCompilation", "details": { "compiler_error": cause },
                });
            }
            // The end of the compilation checks again.
            _ => {}
        }
    }

    fn initialized(&mut self, at: Duration, config: &Config) {
        if let (Some(process), Some(program)) = (&mut self.process, &self.compilation.program) {
            let made = self.checkpoints.last().map(|saved| &saved.made);
            if let Err(error) = process.endpoints.connect(at, program, made) {
                self.error = error;
                return self.stop(at, config);
            }
            process.outputs = program.outputs().collect();
            if let Err(failure) = process.tables.open(program) {
                self.trouble = Some((at.saturating_add(config.panic_duration), Trouble::Panic(failure)));
            }
        }
        let changed = self.checkpoints.last().is_some_and(|saved| saved.program_version != self.program_version);
        match self.policy.as_deref() {
            Some("reject") if changed => {
                self.error = json!({ "message": "The pipeline has changed, and its bootstrap is rejected.",
                    "error_code": "BootstrapRejected", "details": null });
                return self.stop(at, config);
            }
            Some("await_approval") if changed => {
                if let Some(process) = &mut self.process {
                    process.status = "AwaitingApproval";
                }
            }
            _ => {
                self.follow_desired(at, config);
                self.enter_desired(at, config);
            }
        }
        self.observe(at);
    }

    /// The process begins to do what it was started for.
    pub(super) fn enter_desired(&mut self, at: Duration, config: &Config) {
        if let Some(process) = &mut self.process {
            process.status = process.desired;
            if process.status == "Running" {
                process.release(at, config);
            }
        }
    }

    /// Before 0.148 the runner tells the process the desired status, as soon as it can.
    fn follow_desired(&mut self, at: Duration, config: &Config) {
        let wished = self.initial.filter(|wished| self.has_one_status() && *wished != "Suspended");
        if let (Some(process), Some(wished), None) = (&mut self.process, wished, &self.trouble) {
            process.desired = wished;
            if process.status != wished && process.status != "Initializing" {
                self.enter_desired(at, config);
            }
        }
    }

    /// The runner takes over what the process says.
    fn observe(&mut self, at: Duration) {
        let Some(process) = &self.process else { return };
        let (status, desired) = (Some(process.status), Some(process.desired));
        self.set_runtime(status, desired, at);
    }

    fn set_runtime(&mut self, status: Option<&'static str>, desired: Option<&'static str>, at: Duration) {
        if self.runtime != status {
            (self.runtime, self.runtime_since) = (status, at);
        }
        if self.runtime_desired != desired {
            (self.runtime_desired, self.runtime_desired_since) = (desired, at);
        }
        self.note(at);
    }

    fn set_resources(&mut self, resources: &'static str, at: Duration) {
        (self.resources, self.resources_since) = (resources, at);
        self.note(at);
        self.log.write(at, &self.name, resources);
    }

    /// Begins the checkpoint of a suspend, if a suspend is desired and no transaction is open.
    fn suspend(&mut self, at: Duration, config: &Config) {
        let Some(process) = &self.process else { return };
        if process.desired == "Suspended" && process.status != "Suspended" && process.transaction.open.is_none() {
            self.due = Some((at.saturating_add(config.checkpoint_duration), Due::Suspended));
        }
    }

    /// Notes that something has changed.
    fn note(&mut self, at: Duration) {
        self.noted += 1;
        let id = format!("{:08x}-0000-7000-8000-{:012x}", at.as_secs() & 0xffff_ffff, self.noted);
        let desired = if self.wanted { "Provisioned" } else { "Stopped" };
        let error = self.error.clone();
        self.events.push_back(json!({
            "event_id": id, "recorded_at": stamp(at), "deployment_resources_status": self.resources,
            "deployment_resources_status_details": null, "deployment_resources_desired_status": desired,
            "deployment_runtime_status": self.runtime, "deployment_runtime_status_details": null,
            "deployment_runtime_desired_status": self.runtime_desired, "deployment_has_error": !error.is_null(),
            "deployment_error": error, "program_status": self.compilation.status, "storage_status": self.storage,
            "storage_status_details": null,
        }));
        if self.events.len() > EVENTS {
            self.events.pop_front();
        }
    }

    /// What is due for its deployment, unless that takes a process that answers.
    fn next_step(&self) -> Option<(Duration, Due)> {
        self.due.filter(|(_, step)| self.trouble.is_none() || !step.needs_process())
    }

    /// When something happens next by itself.
    pub(super) fn next_due(&self) -> Option<Duration> {
        let due = [
            self.compilation.due,
            self.storage_due,
            self.resized,
            self.next_step().map(|(at, _)| at),
            self.trouble.as_ref().map(|(at, _)| *at),
            self.process.as_ref().filter(|_| self.trouble.is_none()).and_then(Process::next_due),
        ];
        due.into_iter().flatten().min()
    }

    /// The runner sees what is wrong with the process.
    fn suffer(&mut self, at: Duration, trouble: Trouble, config: &Config) {
        match trouble {
            Trouble::Frozen(until, false) if until > at => {
                self.set_runtime(Some("Unavailable"), Some("Unavailable"), at);
                self.trouble = Some((until, Trouble::Frozen(until, true)));
            }
            Trouble::Frozen(..) => {
                self.follow_desired(at, config);
                self.observe(at);
                // What waited for the process.
                self.due = self.due.map(|(due, step)| (due.max(at), step));
            }
            Trouble::Panic(message) | Trouble::ReportedPanic(message) => {
                self.error = panic_error(&message);
                self.stop(at, config);
            }
            Trouble::Killed => {
                let error = "Pipeline process exited prematurely with signal: 9 (SIGKILL)";
                let message = format!(
                    "Pipeline check failed: compute and/or storage resources encountered a fatal error.\n\n{error}"
                );
                self.error = json!({ "message": message, "error_code": "RunnerCheckError",
                    "details": { "error": error } });
                self.stop(at, config);
            }
        }
        if !self.wanted && self.due.is_some() {
            self.due = Some((at, Due::Stop));
        }
    }
}
