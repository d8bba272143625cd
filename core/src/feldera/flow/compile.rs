//! The goal [`Compile`].
//!
//! ```text
//!  Look ──▶ Wait, while it is being compiled ──▶ Look
//!    └─compiled, or not─▶ Look, at all of it ──▶ done, or failed
//! ```
//!
//! | program | then |
//! |---|---|
//! | of another version than at the first look, or than was given | failed: `Edited` |
//! | `Success` | done |
//! | `SqlError`, `RustError`, `SystemError` | failed: `NotCompiled` |
//! | anything else, names of later releases too | wait |

use std::time::Duration;

use super::Interruption;
use super::steer::{Next, Past, Plan, Steered, Words, not_compiled};
use crate::feldera::FelderaApi;
use crate::feldera::pipelines::{Pipeline, ProgramStatus};
use crate::flow::{Config, Goal, Running};
use crate::seed::Seed;
use crate::time::Timestamp;

/// Waits until a pipeline's program is compiled. Compiling begins by itself when a pipeline is made or changed.
///
/// Comes to the pipeline with all there is to know: tables and views in `program_info`, warnings in `program_error`. Ends in
/// [`FlowError::Failed`](crate::error::FlowError::Failed) with [`Interruption::NotCompiled`], which has the errors with lines
/// and columns, or with [`Interruption::Edited`] when another client changes the program meanwhile.
///
/// ```
/// # mod scripted { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/feldera/flow/scripted.rs")); }
/// # use scripted::Scripted;
/// # let body = r#"{"name":"orders","program_version":3,"program_status":"SqlError","deployment_status":"Stopped",
/// #     "program_error":{"sql_compilation":{"exit_code":1,"messages":[{"start_line_number":2,"start_column":8,
/// #     "end_line_number":2,"end_column":10,"warning":false,"error_type":"Error in SQL statement",
/// #     "message":"Column 'idd' not found in any table","snippet":null}]}}}"#;
/// # let runtime = Scripted::new([("GET /v0/pipelines/orders", 200, body), ("GET /v0/pipelines/orders", 200, body)]);
/// use pipewright::feldera::flow::Interruption;
/// use pipewright::feldera::{Compile, Feldera};
///
/// let feldera = Feldera::new("http://127.0.0.1:8080".parse()?, runtime);
/// let error = feldera.run(Compile::new("orders")).expect_err("a typo");
/// let Some(Interruption::NotCompiled { error, .. }) = Interruption::of(&error) else { panic!("{error}") };
/// let message = error.sql_errors().next().expect("one error");
/// assert_eq!((message.start_line_number, message.start_column), (2, 8));
/// # Ok::<(), pipewright::error::BuildError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct Compile {
    pipeline: String,
    version: Option<i64>,
    within: Option<Duration>,
}

impl Compile {
    /// The program that the pipeline of this name has now.
    pub fn new(pipeline: impl Into<String>) -> Self {
        Self { pipeline: pipeline.into(), version: None, within: None }
    }

    /// The `program_version` that was just put; another one is another client's.
    pub fn version(mut self, program_version: i64) -> Self {
        self.version = Some(program_version);
        self
    }

    /// How long the flow may take; as long as it takes by default.
    pub fn within(mut self, time: Duration) -> Self {
        self.within = Some(time);
        self
    }

    pub(super) fn machine(self) -> Steered<CompilePlan> {
        Steered::new(CompilePlan { goal: self })
    }
}

/// The transitions of [`Compile`].
#[doc(hidden)]
#[derive(Debug)]
pub struct CompilePlan {
    goal: Compile,
}

impl Plan for CompilePlan {
    type Output = Pipeline;
    const NAME: &'static str = "Compile";

    fn words(&self) -> Words {
        Words { goal: Self::NAME, what: "compilation", waiting: "the program to be compiled" }
    }

    fn pipeline(&self) -> &str {
        &self.goal.pipeline
    }

    fn judge(&mut self, seen: Pipeline, past: &mut Past, _asked: Timestamp) -> Next<Pipeline> {
        match (self.goal.version, seen.program_version) {
            (Some(was), Some(is)) if was != is => return Next::Fail(Interruption::Edited { was, is }),
            (_, is) => self.goal.version = self.goal.version.or(is),
        }
        match seen.program_status.clone() {
            Some(ProgramStatus::Success) if past.whole => Next::Done(seen),
            Some(ProgramStatus::Success) => Next::Whole,
            Some(status) if status.is_failure() => not_compiled(status, &seen, past),
            _ => Next::Wait,
        }
    }
}

impl Goal for Compile {
    type Service = FelderaApi;
    type Output = Pipeline;
    type Flow = Running<Steered<CompilePlan>>;

    fn start(self, config: &Config<FelderaApi>, seed: Seed) -> Self::Flow {
        let within = self.within;
        Running::new(self.machine(), config, seed, within)
    }
}
