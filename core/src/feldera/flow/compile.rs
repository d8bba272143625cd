//! The goal [`Compile`].
//!
//! ```text
//!  Poll ──▶ Wait, while it is being compiled ──▶ Poll
//!   ▲ └─compiled, or not─▶ Poll, at all of it ──▶ done, or failed
//!   │                              │ the platform failed, and `recompile` is set: once
//!   └─────────── Recompile ◀───────┘
//! ```
//!
//! | program | then |
//! |---|---|
//! | another version than at the first poll, or than the caller gave | failed: `Edited` |
//! | `Success` | done |
//! | `SqlError`, `RustError` | failed: `NotCompiled` |
//! | `SystemError`, or `RustError` without a diagnostic; for the first time, and `recompile` is set | recompile: a line feed is added to the SQL and removed |
//! | `SystemError`, or `RustError` without a diagnostic, otherwise | failed: `CompilerFailed` |
//! | any other, including statuses that later releases add | wait |
//!
//! Feldera has no request that repeats a compilation: `update_runtime` does nothing for a pipeline of the current
//! release. A change of the SQL, of any kind, sets `program_status` to `Pending`. If the flow ends between the two
//! changes, the program has one line feed more at its end, and is compiled nevertheless. [`Deploy`](super::Deploy) does
//! not restart a pipeline for it.

use std::ops::ControlFlow;
use std::time::Duration;

use super::Interruption;
use super::recompile::Recompile;
use super::reconcile::{Labels, Memory, Next, Plan, Reconciler, not_compiled};
use crate::error::FlowError;
use crate::feldera::FelderaApi;
use crate::feldera::pipelines::{Pipeline, ProgramStatus};
use crate::flow::{FlowContext, StateMachine, Step, Transition, done, goal};
use crate::time::Timestamp;

/// Waits until a pipeline's program is compiled. Feldera starts to compile when a pipeline is created or changed.
///
/// Returns the whole pipeline, with tables and views in `program_info` and warnings in `program_error`.
///
/// # Errors
/// [`FlowError::Failed`] with one of these interruptions:
///
/// * [`Interruption::NotCompiled`] if the program has errors; it has their lines and columns.
/// * [`Interruption::CompilerFailed`] if the platform failed to compile the program: see
///   [`recompile`](Self::recompile).
/// * [`Interruption::Edited`] if another client changes the program in the meantime.
///
/// ```
/// # let body = r#"{"name":"orders","program_version":3,"program_status":"SqlError","deployment_status":"Stopped",
/// #     "program_error":{"sql_compilation":{"exit_code":1,"messages":[{"start_line_number":2,"start_column":8,
/// #     "end_line_number":2,"end_column":10,"warning":false,"error_type":"Error in SQL statement",
/// #     "message":"Column 'idd' not found in any table","snippet":null}]}}}"#;
/// # let runtime = pipewright::driver::Canned::new([("GET /v0/pipelines/orders", 200, body), ("GET /v0/pipelines/orders", 200, body)]);
/// use pipewright::feldera::{Compile, Feldera, Interruption};
///
/// let feldera = Feldera::new("http://127.0.0.1:8080".parse()?, runtime);
/// let error = feldera.run(Compile::new("orders")).expect_err("a typo");
/// let Some(Interruption::NotCompiled { error, .. }) = Interruption::of(&error) else { panic!("{error}") };
/// let message = error.sql_errors().next().expect("one error");
/// assert_eq!((message.start_line_number, message.start_column), (Some(2), Some(8)));
/// # Ok::<(), pipewright::error::BuildError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct Compile {
    pipeline: String,
    version: Option<i64>,
    recompile: bool,
    timeout: Option<Duration>,
}

impl Compile {
    const NAME: &'static str = "Compile";

    /// Waits for the current program of the pipeline with this name.
    pub fn new(pipeline: impl Into<String>) -> Self {
        Self { pipeline: pipeline.into(), version: None, recompile: false, timeout: None }
    }

    /// Sets whether the flow has the program compiled again, once, if the platform failed to compile it
    /// ([`Interruption::CompilerFailed`]); false by default. A program with errors is never compiled again.
    ///
    /// Feldera 0.337 keeps a `SystemError` until the program changes, and has no request that repeats a compilation. So
    /// the flow changes the SQL twice: it adds a line feed and removes it. Both changes increment `program_version`. If
    /// another client changes the program in between, the flow ends with [`Interruption::Edited`]: its details say
    /// whether that change was overwritten. If the server rejects one of the changes, the flow ends with the original
    /// `CompilerFailed`; its reason says whether the added line feed is still in the SQL. `Deploy` accepts that line
    /// feed. Releases that forbid changes while the storage is in use reject them: use
    /// [`ClearStorage`](super::ClearStorage) first. If the outcome of a change is unknown, the flow ends with
    /// [`FlowError::Ambiguous`].
    ///
    /// Verified on a real 0.337.0: a change of the SQL increments `program_version` and sets `program_status` to
    /// `Pending`; `update_runtime` changes nothing. Read in the server's source only: a line feed counts as a change.
    /// Not tried on a real server: compiling again after a `SystemError`.
    pub fn recompile(mut self, recompile: bool) -> Self {
        self.recompile = recompile;
        self
    }

    /// Sets the `program_version` to wait for, as the server returned it for your last change. If the pipeline has any
    /// other version, the flow fails with [`Interruption::Edited`]. By default, the version of the first poll.
    pub fn version(mut self, program_version: i64) -> Self {
        self.version = Some(program_version);
        self
    }
}

impl From<Compile> for CompileMachine {
    fn from(goal: Compile) -> Self {
        let compiling = Reconciler::new(CompilePlan::new(goal.clone()));
        CompileMachine { goal, compiling, recompile: None }
    }
}

/// The transitions of [`Compile`].
#[derive(Debug)]
pub struct CompileMachine {
    goal: Compile,
    compiling: Reconciler<CompilePlan>,
    /// Set while the program is being compiled again.
    recompile: Option<Recompile>,
}

impl CompileMachine {
    /// Decides by the result of the compilation. An error that another compilation may remove does not end the flow
    /// yet.
    fn compiled(
        &mut self,
        result: Result<Pipeline, FlowError>,
        cx: &mut FlowContext<FelderaApi>,
    ) -> Option<Result<Pipeline, FlowError>> {
        let failed = result.as_ref().err().and_then(Interruption::of);
        let Some(failed @ Interruption::CompilerFailed { .. }) = failed.filter(|_| self.goal.recompile) else {
            return Some(result);
        };
        self.goal.recompile = false;
        cx.phase(Compile::NAME, "compiling again");
        let version = self.compiling.plan().goal.version;
        self.recompile = Some(Recompile::new(&self.goal.pipeline, version, failed.clone(), cx));
        None
    }
}

impl StateMachine for CompileMachine {
    type Service = FelderaApi;
    type Output = Pipeline;
    const NAME: &'static str = Compile::NAME;

    fn transition(&mut self, cx: &mut FlowContext<FelderaApi>) -> Transition<Pipeline> {
        match &mut self.recompile {
            None => match self.compiling.transition(cx) {
                ControlFlow::Break(Step::Done(compiled)) => {
                    if let Some(result) = self.compiled(compiled, cx) {
                        return done(result);
                    }
                }
                other => return other,
            },
            Some(recompile) => match recompile.poll(cx)? {
                Ok(version) => {
                    self.goal.version = version;
                    self.recompile = None;
                    self.compiling = Reconciler::new(CompilePlan::new(self.goal.clone()));
                }
                Err(error) => return done(Err(error)),
            },
        }
        ControlFlow::Continue(())
    }
}

/// Polls until a program is compiled.
#[derive(Debug)]
pub(crate) struct CompilePlan {
    goal: Compile,
    /// Whether the whole object has shown that Rust is compiled after the SQL.
    needs_rust: bool,
}

impl CompilePlan {
    fn new(goal: Compile) -> Self {
        Self { goal, needs_rust: false }
    }
}

impl Plan for CompilePlan {
    type Output = Pipeline;
    const NAME: &'static str = Compile::NAME;

    fn labels(&self) -> Labels {
        Labels { goal: Self::NAME, what: "compilation", waiting: "the program to be compiled" }
    }

    fn pipeline(&self) -> &str {
        &self.goal.pipeline
    }

    fn decide(&mut self, seen: Pipeline, memory: &mut Memory, _asked: Timestamp) -> Next<Pipeline> {
        match (self.goal.version, seen.program_version) {
            (Some(was), Some(is)) if was != is => return Next::Fail(Interruption::Edited { was, is }),
            (_, is) => self.goal.version = self.goal.version.or(is),
        }
        match seen.program_status.clone() {
            Some(ProgramStatus::Success) if memory.whole => Next::Done(seen),
            Some(ProgramStatus::Success) => Next::Whole,
            // Of a Gen-2 program, only the whole object tells whether it has user-defined functions in Rust.
            Some(ProgramStatus::SqlCompiled) if seen.is_compiled() && !self.needs_rust && !memory.whole => Next::Whole,
            Some(ProgramStatus::SqlCompiled) if seen.is_compiled() && memory.whole => Next::Done(seen),
            Some(ProgramStatus::SqlCompiled) => {
                self.needs_rust |= memory.whole;
                Next::Wait
            }
            Some(status) if status.is_failure() => not_compiled(status, &seen, memory),
            _ => Next::Wait,
        }
    }
}

goal!(Compile: FelderaApi => Pipeline, CompileMachine);
