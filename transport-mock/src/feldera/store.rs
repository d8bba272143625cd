//! The pipelines of a manager, and what their handlers share: time, ids and configuration.

use std::time::Duration;

use pipewright::Seed;

use super::config::{CompilerFailure, Config};
use super::errors::Rejection;
use super::pipeline::Pipeline;
use super::process::Process;

/// See the module.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) config: Config,
    pub(super) now: Duration,
    pub(super) seed: Seed,
    /// In the order of their creation.
    pub(super) pipelines: Vec<Pipeline>,
    /// How compilations fail.
    pub(super) compiler: Option<CompilerFailure>,
}

impl Store {
    pub(super) fn new(config: Config) -> Self {
        let seed = Seed::new(u128::from(config.seed));
        Self { config, now: Duration::ZERO, seed, pipelines: Vec::new(), compiler: None }
    }

    /// Lets everything happen that is due by `now`.
    pub(super) fn advance(&mut self, now: Duration) {
        self.now = self.now.max(now);
        for pipeline in &mut self.pipelines {
            pipeline.advance(self.now, &self.config, self.compiler.as_ref(), &mut self.seed);
        }
    }

    /// A pipeline, whatever it does.
    pub(super) fn find(&mut self, name: &str) -> Result<&mut Pipeline, Rejection> {
        let pipeline = self.pipelines.iter_mut().find(|pipeline| pipeline.name == name);
        pipeline.ok_or_else(|| Rejection::unknown_pipeline(name))
    }

    /// A pipeline whose process answers.
    pub(super) fn running(&mut self, name: &str) -> Result<&mut Pipeline, Rejection> {
        let pipeline = self.find(name)?;
        pipeline.check_process("")?;
        Ok(pipeline)
    }

    /// A process that answers.
    pub(super) fn process(&mut self, name: &str) -> Result<&mut Process, Rejection> {
        self.running(name)?.process.as_mut().ok_or_else(Rejection::unknown_route)
    }
}
