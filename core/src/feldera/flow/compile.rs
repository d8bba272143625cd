//! The goal [`Compile`].
//!
//! ```text
//!  Look ──▶ Wait, while it is being compiled ──▶ Look
//!   ▲ └─compiled, or not─▶ Look, at all of it ──▶ done, or failed
//!   │                              │ the platform failed, and `recompile` is set: once
//!   └──────── Restore ◀── Touch ◀──┘
//! ```
//!
//! | program | then |
//! |---|---|
//! | of another version than at the first look, or than was given | failed: `Edited` |
//! | `Success` | done |
//! | `SqlError`, `RustError` | failed: `NotCompiled` |
//! | `SystemError`, `RustError` that points at no mistake, with `recompile`, for the first time | Touch: a line feed is added to the SQL. Restore: it is removed |
//! | the same otherwise | failed: `CompilerFailed` |
//! | anything else, names of later releases too | wait |
//!
//! Feldera has no request that repeats a compilation: `update_runtime` does nothing for a pipeline of the present release. A
//! change of the SQL, of any kind, sets `program_status` to `Pending`. If the flow ends between Touch and Restore, the program
//! has one line feed more at its end, and is compiled nevertheless.

use std::time::Duration;

use super::Interruption;
use super::steer::{Next, Past, Plan, Steered, Words, not_compiled};
use crate::error::FlowError;
use crate::feldera::pipelines::{Pipeline, ProgramStatus, Selector};
use crate::feldera::{FelderaApi, GetPipeline, PatchPipeline};
use crate::flow::{Call, Common, Config, Flow as _, Goal, Machine, Reply, Running, Step, ok};
use crate::seed::Seed;
use crate::time::Timestamp;

/// Waits until a pipeline's program is compiled. Compiling begins by itself when a pipeline is made or changed.
///
/// Comes to the pipeline with all there is to know: tables and views in `program_info`, warnings in `program_error`. Ends in
/// [`FlowError::Failed`] with [`Interruption::NotCompiled`], which has the errors with lines
/// and columns, with [`Interruption::CompilerFailed`] when the platform and not the program is at fault, or with
/// [`Interruption::Edited`] when another client changes the program meanwhile.
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
    recompile: bool,
    within: Option<Duration>,
}

impl Compile {
    const NAME: &'static str = "Compile";

    /// The program that the pipeline of this name has now.
    pub fn new(pipeline: impl Into<String>) -> Self {
        Self { pipeline: pipeline.into(), version: None, recompile: false, within: None }
    }

    /// Whether the program is compiled again, once, if the platform failed to compile it
    /// ([`Interruption::CompilerFailed`]); false by default. A program that is wrong is never compiled again.
    ///
    /// Feldera 0.337 keeps a `SystemError` until the program changes, and has no request that repeats a compilation. So the
    /// flow changes the SQL twice: it adds a line feed and removes it. Both changes increment `program_version`, and one that
    /// another client makes at that moment is overwritten. Releases that forbid changes while the storage is in use end the
    /// flow with [`FlowError::Service`]: use [`ClearStorage`](super::ClearStorage) first.
    ///
    /// Verified on a real 0.337.0: a change of the SQL increments `program_version` and sets `program_status` to `Pending`;
    /// `update_runtime` changes nothing. Read in the server's source only: any difference counts, a line feed too. Not tried out on
    /// a real server: a `SystemError` that is compiled again after the cause was removed.
    pub fn recompile(mut self, recompile: bool) -> Self {
        self.recompile = recompile;
        self
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

    pub(super) fn machine(self) -> CompileMachine {
        let compiling = Steered::new(CompilePlan { goal: self.clone() });
        CompileMachine { goal: self, compiling, again: None }
    }
}

/// The transitions of [`Compile`].
#[doc(hidden)]
#[derive(Debug)]
pub struct CompileMachine {
    goal: Compile,
    compiling: Steered<CompilePlan>,
    /// The program is being put anew.
    again: Option<Again>,
}

#[derive(Debug)]
enum Again {
    Look(Call<GetPipeline>),
    /// With the program as it is to be afterwards.
    Touch(Box<Call<PatchPipeline>>, String),
    Restore(Box<Call<PatchPipeline>>),
}

impl CompileMachine {
    /// Looks at what the compilation came to; an error that another compilation may remove is none yet.
    fn compiled(&mut self, result: Result<Pipeline, FlowError>, cx: &mut Common<FelderaApi>) -> Option<Step<Pipeline>> {
        let is_platform =
            |error: &FlowError| matches!(Interruption::of(error), Some(Interruption::CompilerFailed { .. }));
        if !self.goal.recompile || !result.as_ref().is_err_and(is_platform) {
            return Some(Step::Done(result));
        }
        self.goal.recompile = false;
        cx.phase(Compile::NAME, "compiling again");
        self.again = Some(Again::Look(cx.call(GetPipeline::new(&*self.goal.pipeline).selector(Selector::All))));
        None
    }

    fn looked(&mut self, seen: Pipeline, cx: &mut Common<FelderaApi>) {
        let version = self.compiling.plan().goal.version;
        let is_same = seen.program_version == version || version.is_none();
        let is_failed = seen.program_status.as_ref().is_some_and(ProgramStatus::is_failure);
        match seen.program_code.filter(|_| is_same && is_failed) {
            Some(code) => {
                let touch = self.put(format!("{code}\n"), cx);
                self.again = Some(Again::Touch(touch, code));
            }
            // Another client has changed it or had it compiled.
            None => self.compile(version),
        }
    }

    fn put(&self, code: String, cx: &mut Common<FelderaApi>) -> Box<Call<PatchPipeline>> {
        Box::new(cx.call(PatchPipeline::new(&*self.goal.pipeline).program_code(code)))
    }

    fn compile(&mut self, version: Option<i64>) {
        self.goal.version = version;
        self.again = None;
        self.compiling = Steered::new(CompilePlan { goal: self.goal.clone() });
    }
}

impl Machine for CompileMachine {
    type Service = FelderaApi;
    type Output = Pipeline;
    const NAME: &'static str = Compile::NAME;

    fn step(&mut self, cx: &mut Common<FelderaApi>, reply: &mut Option<Reply>) -> Step<Pipeline> {
        loop {
            if let Some(notice) = cx.next_notice(reply.as_ref()) {
                return Step::Notice(notice);
            }
            match &mut self.again {
                None => {
                    let compiled = ok!(self.compiling.step(cx, reply));
                    if let Some(done) = self.compiled(compiled, cx) {
                        return done;
                    }
                }
                Some(Again::Look(call)) => match ok!(call.poll(cx.now(), reply.take())) {
                    Ok(seen) => self.looked(seen, cx),
                    Err(error) => return Step::Done(Err(error)),
                },
                Some(Again::Touch(call, code)) => {
                    match (ok!(call.poll(cx.now(), reply.take())), std::mem::take(code)) {
                        (Ok(_), code) => self.again = Some(Again::Restore(self.put(code, cx))),
                        (Err(error), _) => return Step::Done(Err(error)),
                    }
                }
                Some(Again::Restore(call)) => match ok!(call.poll(cx.now(), reply.take())) {
                    Ok(restored) => self.compile(restored.program_version),
                    Err(error) => return Step::Done(Err(error)),
                },
            }
        }
    }
}

/// How a compilation is waited for.
#[doc(hidden)]
#[derive(Debug)]
pub struct CompilePlan {
    goal: Compile,
}

impl Plan for CompilePlan {
    type Output = Pipeline;
    const NAME: &'static str = Compile::NAME;

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
    type Flow = Running<CompileMachine>;

    fn start(self, config: &Config<FelderaApi>, seed: Seed) -> Self::Flow {
        let within = self.within;
        Running::new(self.machine(), config, seed, within)
    }
}
