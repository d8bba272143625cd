//! What a simulated Feldera is like.

use std::time::Duration;

use super::release::{Edition, Release};

/// What a simulated Feldera is like.
#[derive(Debug, Clone)]
pub struct Config {
    /// The release: [`Release::V0_337`].
    pub release: Release,
    /// The edition: [`Edition::OpenSource`].
    pub edition: Edition,
    /// What is taken after `Bearer`, besides the keys that are made with it: anything, or nothing at all. Its role is
    /// `write`, as that of no made key exceeds.
    pub api_key: Option<String>,
    /// How long each phase of a compilation takes, of which there are four: 250 ms.
    pub compile_duration: Duration,
    /// How soon the runner sees the desired status: 50 ms.
    pub runner_delay: Duration,
    /// From the runner's decision until a process is there, and until it is gone: 300 ms.
    pub provision_duration: Duration,
    /// How long a process initializes: 50 ms.
    pub initialize_duration: Duration,
    /// How long storage takes to be cleared: 200 ms.
    pub clear_duration: Duration,
    /// How long a step takes, from its input until its output is delivered: 20 ms.
    pub step_duration: Duration,
    /// How long a checkpoint takes: 100 ms.
    pub checkpoint_duration: Duration,
    /// How long a transaction takes to commit: 50 ms.
    pub commit_duration: Duration,
    /// How soon the runner sees that a process is gone or does not answer: 5 s. Until then the manager shows `Running`.
    pub failure_delay: Duration,
    /// From a panic until the runner stops the pipeline: 4 s. Until then the manager shows `Running`.
    pub panic_duration: Duration,
    /// Whether running pipelines can be resized, as by a server with `--enable-pipeline-resize`: yes.
    pub resizes: bool,
    /// From a resize until the process uses its resources: 200 ms.
    pub resize_duration: Duration,
    /// How many lines of a pipeline's log are kept: 50 000.
    pub log_lines: usize,
    /// How many requests are remembered for [`Manager::requests`](super::Manager::requests): 100 000.
    pub history: usize,
    /// What ids are made from: 0.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            release: Release::default(),
            edition: Edition::default(),
            api_key: None,
            compile_duration: Duration::from_millis(250),
            runner_delay: Duration::from_millis(50),
            provision_duration: Duration::from_millis(300),
            initialize_duration: Duration::from_millis(50),
            clear_duration: Duration::from_millis(200),
            step_duration: Duration::from_millis(20),
            checkpoint_duration: Duration::from_millis(100),
            commit_duration: Duration::from_millis(50),
            failure_delay: Duration::from_secs(5),
            panic_duration: Duration::from_secs(4),
            resizes: true,
            resize_duration: Duration::from_millis(200),
            log_lines: 50_000,
            history: 100_000,
            seed: 0,
        }
    }
}

/// How the platform fails to compile programs that are not wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CompilerFailure {
    /// The compiler cannot do its work: `SystemError` with this text.
    System(String),
    /// The Rust compiler is killed or cannot write: `RustError`, and this is what it printed.
    Rust(String),
}
