//! What happens behind the back of the clients, and what is really so.

use std::time::Duration;

use super::Manager;
use super::config::CompilerFailure;
use super::log::Log;
use super::pipeline::Pipeline;
use super::process::Process;
use super::store::Store;
use super::trouble::Trouble;
use super::views::{History, PipelineView, RequestView};
use super::wire::uuid;

impl Manager {
    /// Lets all compilations of Rust fail, or succeed again. A program that has failed stays so until it changes, as in
    /// a real server. With [`CompilerFailure::System`], programs cannot be validated either.
    pub fn fail_compilations(&mut self, failure: impl Into<Option<CompilerFailure>>) {
        self.store.compiler = failure.into();
    }

    /// The manager fails and is back after `downtime`; until then a proxy answers 502. Pipelines run on.
    pub fn restart(&mut self, now: Duration, downtime: Duration) {
        self.advance(now);
        self.up_at = self.store.now.saturating_add(downtime);
        // It is a proxy between them and their readers.
        self.readings.close_all(&mut self.store);
    }

    /// The runner restarts: the logs of all pipelines are cleared and begin another epoch. Pipelines run on, and the
    /// readers of logs reach the end of their bodies.
    pub fn restart_runner(&mut self) {
        let Store { config, now, seed, pipelines, .. } = &mut self.store;
        for pipeline in pipelines {
            pipeline.log = Log::new(uuid(seed, *now), config.log_lines, *now);
        }
    }

    /// Writes into the log of a pipeline, as its process does: each line of the text is one of the log.
    pub fn write_log(&mut self, name: &str, text: &str) {
        if let Ok(pipeline) = self.store.find(name) {
            text.split('\n').for_each(|line| pipeline.log.push(line.to_owned()));
        }
    }

    /// A worker thread of a pipeline panics. What needs its process is answered 410 `Terminating` [for some
    /// time](super::Config::panic_duration), while the pipeline still shows `Running` and no error; then it is stopped
    /// with `RuntimeError.WorkerPanic`. Does nothing without a process.
    pub fn panic(&mut self, name: &str, message: &str) {
        let due = self.store.now.saturating_add(self.store.config.panic_duration);
        self.trouble(name, due, Trouble::Panic(message.to_owned()));
    }

    /// As [`panic`](Self::panic), but the process answers 500 with the panic itself until it is stopped. Real servers
    /// do both.
    pub fn report_panic(&mut self, name: &str, message: &str) {
        let due = self.store.now.saturating_add(self.store.config.panic_duration);
        self.trouble(name, due, Trouble::ReportedPanic(message.to_owned()));
    }

    /// The process of a pipeline is killed. What needs it is answered 503, connection refused, until the runner
    /// [sees it](super::Config::failure_delay); until then the pipeline shows `Running`.
    pub fn kill(&mut self, name: &str) {
        let due = self.store.now.saturating_add(self.store.config.failure_delay);
        self.trouble(name, due, Trouble::Killed);
    }

    /// The process of a pipeline does not answer for a time. Requests time out, until the runner sees it and the
    /// pipeline is `Unavailable`; then it continues as before.
    pub fn freeze(&mut self, name: &str, time: Duration) {
        let until = self.store.now.saturating_add(time);
        let due = self.store.now.saturating_add(self.store.config.failure_delay).min(until);
        self.trouble(name, due, Trouble::Frozen(until, false));
    }

    /// The circuit of a pipeline begins steps and completes none, for as long as its process lives.
    pub fn wedge(&mut self, name: &str) {
        self.with_process(name, |process| process.wedged = true);
    }

    /// Lets checkpoints of a pipeline's process fail, or succeed again.
    pub fn fail_checkpoints(&mut self, name: &str, fail: bool) {
        self.with_process(name, |process| process.checkpoints.fails = fail);
    }

    /// Lets checkpoints on their way from a pipeline's process to the object store fail, or get there again.
    pub fn fail_syncs(&mut self, name: &str, fail: bool) {
        self.with_process(name, |process| process.syncs.fails = fail);
    }

    /// All pipelines, in the order of their creation, as of the last call.
    pub fn pipelines(&self) -> Vec<PipelineView> {
        self.store.pipelines.iter().map(Pipeline::view).collect()
    }

    /// One of them.
    pub fn pipeline(&self, name: &str) -> Option<PipelineView> {
        self.store.pipelines.iter().find(|pipeline| pipeline.name == name).map(Pipeline::view)
    }

    /// What the processes of a pipeline have done since it was made.
    pub fn history(&self, name: &str) -> History {
        let pipeline = self.store.pipelines.iter().find(|pipeline| pipeline.name == name);
        pipeline.map(Pipeline::history).unwrap_or_default()
    }

    /// The latest requests, oldest first, [as many](super::Config::history) as are remembered.
    pub fn requests(&self) -> impl ExactSizeIterator<Item = &RequestView> {
        self.requests.iter()
    }

    fn trouble(&mut self, name: &str, due: Duration, trouble: Trouble) {
        if let Ok(pipeline) = self.store.find(name)
            && pipeline.process.is_some()
            && pipeline.trouble.as_ref().is_none_or(|(_, present)| present.rank() <= trouble.rank())
        {
            pipeline.trouble = Some((due, trouble));
        }
    }

    fn with_process(&mut self, name: &str, change: impl FnOnce(&mut Process)) {
        if let Ok(Pipeline { process: Some(process), .. }) = self.store.find(name) {
            change(process);
        }
    }
}

impl Pipeline {
    fn history(&self) -> History {
        let mut all = self.past.clone();
        if let Some(process) = &self.process {
            all.append(process.history.clone());
        }
        all
    }

    fn view(&self) -> PipelineView {
        let process = self.process.as_ref();
        let tables = process.zip(self.compilation.program.as_ref());
        let tables = tables.map(|(process, program)| process.tables.contents(program));
        PipelineView {
            name: self.name.clone(),
            program_status: self.compilation.status.to_owned(),
            program_version: self.program_version,
            status: self.status().to_owned(),
            desired_status: self.desired().to_owned(),
            process: process.map(|process| process.status.to_owned()),
            answers: process.is_some() && self.trouble.is_none(),
            storage: self.storage.to_owned(),
            deployment_id: self.deployment_id.clone(),
            deployments: self.deployments,
            incarnation: process.map(|process| process.incarnation.clone()),
            error: Some(self.error.clone()).filter(|error| !error.is_null()),
            tables: tables.unwrap_or_default(),
            steps: process.map_or((0, 0), |process| (process.initiated, process.completed)),
            checkpoints: self.checkpoints.len(),
            synced: self.remote.last().cloned(),
            transaction: process.and_then(|process| process.transaction.open),
        }
    }
}
