//! The goal [`AwaitCompletion`].
//!
//! ```text
//!  Ask ──complete──▶ done
//!  │ ▲ └─inprogress─▶ Wait ──▶ Ask
//!  │ │                  └─ each 5 s ─▶ Stats ──▶ Ask
//!  │ └─────────────────────────────────────┘ └─ stands still ─▶ failed
//!  └─ rejected ─▶ Diagnosis ──▶ failed
//! ```
//!
//! | state | observed | next |
//! |---|---|---|
//! | Ask | 200 `complete` | done |
//! | Ask | 200 `inprogress` | Wait, longer each time |
//! | Ask | 410: another process | failed: [`Restarted`](super::Interruption::Restarted) |
//! | Ask, Stats | 410 `Terminating`, 500 with the code of a panic | Diagnosis, for up to 10 s; failed: [`Crashed`](super::Interruption::Crashed) |
//! | Ask, Stats | 503 until the retries are used up, not deployed | Diagnosis; failed: stopped, crashed, awaiting approval |
//! | Stats | no progress, paused, no step is open | failed: [`Paused`](super::Interruption::Paused) |
//! | Stats | no progress for the stall timeout | failed: [`Wedged`](super::Interruption::Wedged) |
//! | Stats | a transaction is open, or views are being backfilled | Ask: that may take any time |
//!
//! Invariants: all requests are safe, so no outcome is ambiguous. `complete` ends the flow at any time, even if the
//! pipeline has another problem. A token belongs to one process, so another process cannot answer for it.

use std::ops::ControlFlow;
use std::time::Duration;

use super::PollInterval;
use super::diagnosis::Diagnosis;
use super::stall_detector::StallDetector;
use crate::error::FlowError;
use crate::feldera::FelderaApi;
use crate::feldera::data::{CompletionStatus, CompletionToken, GetCompletionStatus};
use crate::feldera::stats::{GetStats, GlobalMetrics, PipelineState};
use crate::feldera::tuning::{STALL_TIMEOUT, STATS_INTERVAL};
use crate::flow::{Call, FlowContext, Notice, StateMachine, Transition, done, goal};
use crate::time::Timestamp;

/// Waits until the input that a [`CompletionToken`] covers is processed, and all output connectors have delivered
/// its changes. An HTTP subscriber may still lag behind: see [`AwaitDelivery`](super::AwaitDelivery).
///
/// An open transaction delays the completion until it is committed. Set a [`timeout`](Self::timeout) if it may stay
/// open. If the flow was interrupted, run it again with the same token.
///
/// # Errors
/// [`FlowError::Failed`] with an [`Interruption`](super::Interruption):
///
/// * `Restarted`, `Stopped` or `Crashed` if the process that issued the token has ended;
/// * `Wedged` if a running circuit makes no progress for [a minute](Self::stall_timeout);
/// * `Paused` if the pipeline is paused, and no step is in progress;
/// * `AwaitingApproval` if the pipeline waits for approval of its bootstrap.
///
/// ```
/// # let runtime = pipewright::driver::Canned::new([
/// #     ("GET /v0/pipelines/orders/completion_status", 200, r#"{"status":"inprogress","step":null}"#),
/// #     ("GET /v0/pipelines/orders/completion_status", 200, r#"{"status":"complete","step":37}"#),
/// # ]);
/// use pipewright::feldera::{AwaitCompletion, Feldera, data::CompletionToken};
/// use std::time::Duration;
///
/// let feldera = Feldera::new("http://127.0.0.1:8080".parse()?, runtime);
/// let token = CompletionToken::from("eyJ1IjoiMDFhMjAwNDYiLCJlIjozLCJjIjo1fQ");
/// let completed = feldera.run(AwaitCompletion::new("orders", token).timeout(Duration::from_secs(60)))?;
/// assert_eq!(completed.step, Some(37));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct AwaitCompletion {
    pipeline: String,
    token: CompletionToken,
    stall_timeout: Option<Duration>,
    even_paused: bool,
    timeout: Option<Duration>,
}

impl AwaitCompletion {
    /// Waits for the input that a token of this pipeline covers.
    pub fn new(pipeline: impl Into<String>, token: CompletionToken) -> Self {
        Self { pipeline: pipeline.into(), token, stall_timeout: Some(STALL_TIMEOUT), even_paused: false, timeout: None }
    }

    /// Sets how long the circuit may make no progress; a minute by default. `None` disables the limit.
    ///
    /// Completed steps, processed records, written output and the progress of a commit count as progress, and so does
    /// the use of at least half a processor. Set a longer time if a step can use less for longer, or if an output can
    /// write nothing for longer.
    pub fn stall_timeout(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.stall_timeout = time.into();
        self
    }

    /// Also waits while the pipeline is paused.
    pub(super) fn even_paused(mut self, even_paused: bool) -> Self {
        self.even_paused = even_paused;
        self
    }
}

impl From<AwaitCompletion> for AwaitCompletionMachine {
    fn from(goal: AwaitCompletion) -> Self {
        let stall_detector = StallDetector::new(goal.stall_timeout).even_paused(goal.even_paused);
        let (pace, state) = (PollInterval::START, State::Ask(None));
        AwaitCompletionMachine { goal, stall_detector, poll_at: None, obstacle: None, step: None, pace, state }
    }
}

/// The result of an [`AwaitCompletion`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Completed {
    /// The number of steps that had to be completed. `None` on servers before 0.242.
    pub step: Option<u64>,
}

/// The transitions of [`AwaitCompletion`].
#[derive(Debug)]
pub struct AwaitCompletionMachine {
    goal: AwaitCompletion,
    stall_detector: StallDetector,
    /// When statistics are due; `None` before the first answer.
    poll_at: Option<Timestamp>,
    /// What delays the steps, by the last statistics.
    obstacle: Option<&'static str>,
    /// The number of steps that must be completed; `None` until the process reports it.
    step: Option<u64>,
    pace: PollInterval,
    state: State,
}

#[derive(Debug)]
enum State {
    Ask(Option<Call<GetCompletionStatus>>),
    Wait(Timestamp),
    /// With the time of the request.
    Stats(Call<GetStats>, Timestamp),
    Diagnosis(Diagnosis),
}

impl AwaitCompletionMachine {
    /// Returns the number of steps that must be completed; `None` until the process reports it.
    pub(super) fn step(&self) -> Option<u64> {
        self.step
    }

    /// Polls the status now instead of later.
    pub(super) fn poll_now(&mut self) {
        if let State::Wait(_) = self.state {
            self.state = State::Ask(None);
        }
    }

    fn what(&self) -> String {
        format!("processing of rows by pipeline {}", self.goal.pipeline)
    }

    /// Records how far the rows are, for the error that the timeout expired.
    fn noted(&self, step: Option<u64>, cx: &mut FlowContext<FelderaApi>) {
        let mut state = match step {
            Some(step) => format!("the rows are in step {step}, which is not completed"),
            None => "the rows are in no step yet".to_owned(),
        };
        if let Some(obstacle) = self.obstacle {
            state = format!("{state}: {obstacle}");
        }
        cx.note(format!("pipeline {}", self.goal.pipeline), state);
    }

    fn diagnose(&mut self, rejection: FlowError, cx: &mut FlowContext<FelderaApi>) {
        // The pipeline of the token.
        self.state = State::Diagnosis(Diagnosis::new(&self.goal.pipeline, self.what(), rejection, true, cx));
    }
}

/// Returns what delays all steps, if the statistics show it.
fn obstacle(metrics: &GlobalMetrics) -> Option<&'static str> {
    if metrics.open_transaction().is_some() {
        Some("a transaction is open")
    } else if metrics.bootstrap_in_progress == Some(true) {
        Some("the pipeline backfills changed views")
    } else if metrics.state == PipelineState::Paused {
        Some("the pipeline is paused")
    } else {
        None
    }
}

impl StateMachine for AwaitCompletionMachine {
    type Service = FelderaApi;
    type Output = Completed;
    const NAME: &'static str = "AwaitCompletion";

    fn transition(&mut self, cx: &mut FlowContext<FelderaApi>) -> Transition<Completed> {
        match &mut self.state {
            State::Ask(None) => {
                let ask = GetCompletionStatus::new(self.goal.pipeline.clone(), self.goal.token.clone());
                self.state = State::Ask(Some(cx.call(ask)));
            }
            State::Ask(Some(call)) => match cx.poll(call)? {
                Ok(answer) if answer.status == CompletionStatus::Complete => {
                    return done(Ok(Completed { step: answer.step }));
                }
                Ok(answer) => {
                    self.step = answer.step;
                    self.noted(answer.step, cx);
                    self.poll_at.get_or_insert(cx.now() + STATS_INTERVAL);
                    self.state = State::Wait(self.pace.next(cx.now()));
                }
                Err(FlowError::Service(rejection)) => self.diagnose(rejection.into(), cx),
                Err(error) => return done(Err(error)),
            },
            State::Wait(until) => {
                cx.wait(*until, "rows to be processed")?;
                self.state = match self.poll_at {
                    Some(at) if at <= cx.now() => {
                        State::Stats(cx.call(GetStats::new(self.goal.pipeline.clone())), cx.now())
                    }
                    _ => State::Ask(None),
                };
            }
            State::Stats(call, asked) => match (cx.poll(call)?, *asked) {
                (Ok(stats), asked) => {
                    if let Some(interruption) = self.stall_detector.observe(&stats, asked, cx.now()) {
                        return done(Err(interruption.into_error(self.what(), None)));
                    }
                    let metrics = &stats.global_metrics;
                    if let (Some(begun), Some(done)) = (metrics.total_initiated_steps, metrics.total_completed_steps) {
                        let what = format!("pipeline {}", self.goal.pipeline);
                        cx.say(Notice::Observed { what, state: format!("{done} of {begun} steps are completed") });
                    }
                    self.obstacle = obstacle(metrics);
                    self.poll_at = Some(cx.now() + STATS_INTERVAL);
                    self.state = State::Ask(None);
                }
                (Err(FlowError::Service(rejection)), _) => self.diagnose(rejection.into(), cx),
                (Err(error), _) => return done(Err(error)),
            },
            State::Diagnosis(diagnosis) => {
                let error = diagnosis.poll(cx)?;
                return done(Err(error));
            }
        }
        ControlFlow::Continue(())
    }
}

goal!(AwaitCompletion: FelderaApi => Completed, AwaitCompletionMachine);
