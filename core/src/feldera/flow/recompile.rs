//! [`Recompile`]: makes the server compile a program again that the platform failed to compile.
//!
//! ```text
//!  Read ──▶ Touch ──▶ Check ──▶ Restore ──▶ done: the version that is being compiled
//!   │                                │ unknown outcome  ▲
//!   └─▶ done: changed since          └──▶ Verify ───────┘
//! ```
//!
//! | step | answer | then |
//! |---|---|---|
//! | Read | the program that failed | Touch: a line feed is added to the SQL |
//! | Read | another program, or a compiled program | done: [`Compile`](super::Compile) decides |
//! | Touch | the next version | Check |
//! | Touch | a later version | failed: `Edited` |
//! | Touch | unknown outcome, or applied with an unreadable answer | Check |
//! | Touch | rejected | failed, with `CompilerFailed` as the cause |
//! | Check | the version and the SQL of Touch | Restore: the line feed is removed |
//! | Check | the previous program, after an unknown outcome | **ambiguous** |
//! | Check | anything else | failed: `Edited` |
//! | Restore | the next version | done |
//! | Restore | a later version: another client's change was overwritten | failed: `Edited` |
//! | Restore | unknown outcome, or applied with an unreadable answer | Verify |
//! | Restore | rejected, for example because another client has started the pipeline | failed, with `CompilerFailed` as the cause: one line feed is left |
//! | Verify | the next version and the previous SQL | done |
//! | Verify | the version and the SQL of Touch | **ambiguous**: one line feed is left |
//! | Verify | anything else | failed: `Edited` |
//!
//! Feldera has no conditional change. The versions show afterwards whether another client has changed the program in
//! between. Check shortens the time in which that can happen.

use std::ops::ControlFlow;

use super::Interruption;
use crate::error::{Ambiguity, Cause, Failure, FlowError};
use crate::feldera::FelderaApi;
use crate::feldera::pipelines::{GetPipeline, PatchPipeline, Pipeline, ProgramStatus, Selector};
use crate::flow::{Call, FlowContext, Polled};
use crate::secret::Private;

const LINE_FEED: &str =
    "the SQL has one line feed more at its end, which Deploy accepts, and removes once the pipeline is stopped";

/// The steps that make the server compile a program again. They end with the version to wait for; `None` if it is
/// unknown.
#[derive(Debug)]
pub(super) struct Recompile {
    pipeline: String,
    /// Why it is compiled again.
    failed: Interruption,
    /// The SQL, as it is to be afterwards.
    code: Private<String>,
    /// The version that was seen last or made by this flow.
    version: Option<i64>,
    state: State,
}

#[derive(Debug)]
enum State {
    Read(Call<GetPipeline>),
    Touch(Box<Call<PatchPipeline>>),
    /// With the error that hides the outcome of Touch.
    Check(Call<GetPipeline>, Option<FlowError>),
    Restore(Box<Call<PatchPipeline>>),
    /// With the error that hides the outcome of Restore.
    Verify(Call<GetPipeline>, FlowError),
}

/// What comes next: another state, or the end.
type Next = Result<State, Result<Option<i64>, FlowError>>;

impl Recompile {
    /// Begins for a program of this version, if it is known, after it `failed`.
    pub(super) fn new(
        pipeline: &str,
        version: Option<i64>,
        failed: Interruption,
        cx: &mut FlowContext<FelderaApi>,
    ) -> Self {
        let state = State::Read(read(pipeline, cx));
        Self { pipeline: pipeline.to_owned(), failed, code: Private(String::new()), version, state }
    }

    pub(super) fn poll<T>(&mut self, cx: &mut FlowContext<FelderaApi>) -> Polled<T, Option<i64>> {
        loop {
            let next = match &mut self.state {
                State::Read(call) => {
                    let seen = cx.poll(call)?;
                    self.polled(seen, cx)
                }
                State::Touch(call) => {
                    let touched = cx.poll(call)?;
                    self.touched(touched, cx)
                }
                State::Check(call, unknown) => {
                    let (seen, unknown) = (cx.poll(call)?, unknown.take());
                    self.checked(seen, unknown, cx)
                }
                State::Restore(call) => {
                    let restored = cx.poll(call)?;
                    self.restored(restored, cx)
                }
                State::Verify(call, unknown) => {
                    let (seen, unknown) = (cx.poll(call)?, unknown.clone());
                    self.verified(seen, unknown)
                }
            };
            match next {
                Ok(state) => self.state = state,
                Err(result) => return ControlFlow::Continue(result),
            }
        }
    }

    fn polled(&mut self, seen: Result<Pipeline, FlowError>, cx: &mut FlowContext<FelderaApi>) -> Next {
        let seen = seen.map_err(|error| Err(self.failed("", error)))?;
        let is_same = seen.program_version == self.version || self.version.is_none();
        let is_failed = seen.program_status.as_ref().is_some_and(ProgramStatus::is_failure);
        let Some(code) = seen.program_code.filter(|_| is_same && is_failed) else { return Err(Ok(self.version)) };
        self.version = seen.program_version;
        self.code = Private(code);
        Ok(State::Touch(self.put(self.with_line_feed(), cx)))
    }

    fn touched(&mut self, answer: Result<Pipeline, FlowError>, cx: &mut FlowContext<FelderaApi>) -> Next {
        let unknown = match answer {
            Ok(touched) => {
                self.made(&touched, "it was overwritten")?;
                None
            }
            Err(error) if is_unknown(&error) => Some(error),
            Err(error) => return Err(Err(self.failed("", error))),
        };
        Ok(State::Check(read(&self.pipeline, cx), unknown))
    }

    fn checked(
        &mut self,
        seen: Result<Pipeline, FlowError>,
        unknown: Option<FlowError>,
        cx: &mut FlowContext<FelderaApi>,
    ) -> Next {
        let seen = match (seen, unknown.clone()) {
            (Ok(seen), _) => seen,
            (Err(_), Some(unknown)) => return Err(Err(found(unknown, LINE_FEED))),
            (Err(error), None) => return Err(Err(self.failed(LINE_FEED, error))),
        };
        if let Some(unknown) = unknown {
            if shows(&seen, self.version, &self.code.0) {
                return Err(Err(found(unknown, "the program is as before, and may still get a line feed at its end")));
            }
            self.version = next(self.version);
        }
        if shows(&seen, self.version, &self.with_line_feed()) {
            return Ok(State::Restore(self.put(self.code.0.clone(), cx)));
        }
        Err(Err(self.edited(seen.program_version, "it was left as it is")))
    }

    fn restored(&mut self, answer: Result<Pipeline, FlowError>, cx: &mut FlowContext<FelderaApi>) -> Next {
        match answer {
            Ok(restored) => {
                self.made(&restored, "it was overwritten")?;
                Err(Ok(self.version))
            }
            Err(error) if is_unknown(&error) => Ok(State::Verify(read(&self.pipeline, cx), error)),
            Err(error) => Err(Err(self.failed(LINE_FEED, error))),
        }
    }

    fn verified(&mut self, seen: Result<Pipeline, FlowError>, unknown: FlowError) -> Next {
        let Ok(seen) = seen else { return Err(Err(unknown)) };
        if shows(&seen, next(self.version), &self.code.0) {
            return Err(Ok(seen.program_version));
        }
        if shows(&seen, self.version, &self.with_line_feed()) {
            return Err(Err(found(unknown, LINE_FEED)));
        }
        Err(Err(self.edited(seen.program_version, "it may have been overwritten")))
    }

    /// Records the version that a change of this flow has made. A version later than the next shows that another client
    /// changed the program.
    fn made(&mut self, changed: &Pipeline, what: &str) -> Result<(), Result<Option<i64>, FlowError>> {
        let expected = next(self.version);
        match (expected, changed.program_version) {
            (Some(expected), Some(is)) if expected != is => Err(Err(self.edited(Some(is), what))),
            (expected, is) => {
                self.version = is.or(expected);
                Ok(())
            }
        }
    }

    fn with_line_feed(&self) -> String {
        format!("{}\n", self.code.0)
    }

    fn put(&self, code: String, cx: &mut FlowContext<FelderaApi>) -> Box<Call<PatchPipeline>> {
        Box::new(cx.call(PatchPipeline::new(&*self.pipeline).program_code(code)))
    }

    fn what(&self) -> String {
        format!("compilation of pipeline {}", self.pipeline)
    }

    /// Returns the error if another client has changed the program.
    fn edited(&self, is: Option<i64>, what: &str) -> FlowError {
        let was = self.version.unwrap_or_default();
        let details = format!("another client has changed the program while it was being compiled again; {what}");
        Interruption::Edited { was, is: is.unwrap_or_default() }.into_error(self.what(), Some(details))
    }

    /// Returns the error if a change was rejected: the compiler's failure stays the cause.
    fn failed(&self, left: &str, error: FlowError) -> FlowError {
        if matches!(error, FlowError::Deadline { .. } | FlowError::Ambiguous(_)) {
            return error;
        }
        let separator = if left.is_empty() { "" } else { "; " };
        let reason = format!("{}; it could not be compiled again: {error}{separator}{left}", self.failed);
        let (details, cause) = (Some(error.to_string()), Some(Cause::new(self.failed.clone())));
        FlowError::Failed(Failure { what: self.what(), reason, details, cause })
    }
}

fn read(pipeline: &str, cx: &mut FlowContext<FelderaApi>) -> Call<GetPipeline> {
    cx.call(GetPipeline::new(pipeline).selector(Selector::All))
}

fn next(version: Option<i64>) -> Option<i64> {
    version.map(|version| version.saturating_add(1))
}

/// Returns whether a reading shows this version of the program, if the server reports versions.
fn shows(seen: &Pipeline, version: Option<i64>, code: &str) -> bool {
    seen.program_version.zip(version).is_none_or(|(is, wanted)| is == wanted)
        && seen.program_code.as_deref() == Some(code)
}

/// Returns whether a change was or may have been made, although no readable answer arrived.
fn is_unknown(error: &FlowError) -> bool {
    error.is_ambiguous() || error.says_applied()
}

/// Adds what was found to an error whose outcome is unknown.
fn found(error: FlowError, found: &str) -> FlowError {
    match error {
        FlowError::Ambiguous(ambiguity) => {
            FlowError::Ambiguous(Ambiguity { found: Some(found.to_owned()), ..ambiguity })
        }
        error => error,
    }
}
