//! [`Diagnosis`]: finds out why a pipeline rejects a request, by reading the pipeline object.
//!
//! ```text
//!  Poll ──the cause shows──▶ done: the interruption
//!  │ ▲ └─10 s are over─────▶ done: what the poll shows, or the rejection
//!  ▼ │
//!  Wait
//! ```
//!
//! | the rejection | polls the pipeline | if no cause shows |
//! |---|---|---|
//! | 410 `Terminating`, 503 `Suspended` | for 10 s | the rejection |
//! | 500 with the code of a panic | for 10 s | [`Crashed`](Interruption::Crashed), with the message of the 500 |
//! | 503 `PipelineInteractionUnreachable`, `PipelineUnavailable`: closed or refused connections, timeouts | for 10 s | the rejection |
//! | 503 `PipelineInteractionNotDeployed` | once | the rejection |
//! | 503 `AwaitingApproval`, and 410 and 400 of another process | no | the interruption that the code names |
//! | anything else | no | the rejection |
//!
//! A stop shows in the pipeline object before the process has ended, and `Paused` until the manager knows of the end.
//! So neither explains a process that has ended or rejects all connections: both count only after the 10 s, or if the
//! pipeline is stopping. The last poll may take five seconds more.
//!
//! The manager learns of the end of a process later than the clients do. A panic shows in the pipeline object after
//! about four seconds, a killed process after up to five; until then the pipeline has the status `Running` and no
//! error.

use std::ops::ControlFlow;

use super::Interruption;
use super::interruption::is_end_of_process;
use crate::error::{Ambiguity, FlowError, ServiceError};
use crate::feldera::data::HttpInput;
use crate::feldera::pipelines::{DesiredStatus, GetPipeline, Pipeline, PipelineStatus, Selector};
use crate::feldera::tuning::{LAST_POLL_TIMEOUT, MAX_STATUS_LAG};
use crate::feldera::{ErrorCode, FelderaApi, error_code};
use crate::flow::{Call, FlowContext, PollInterval, Step};
use crate::operation::Operation as _;
use crate::time::Timestamp;

/// A rejection on its way to becoming the error of a flow.
#[derive(Debug)]
pub(super) struct Diagnosis {
    pipeline: String,
    /// A description of the failed activity.
    what: String,
    rejection: FlowError,
    /// Whether the flow has got an answer of a process before. If so, a process that is still starting is another
    /// process.
    had_process: bool,
    /// Until when the pipeline is polled.
    until: Timestamp,
    pace: PollInterval,
    /// The deployment at the first poll.
    deployment: Option<String>,
    /// What the last poll showed, if the end of the process may hide another cause.
    provisional: Option<Interruption>,
    state: State,
}

#[derive(Debug)]
enum State {
    Poll(Call<GetPipeline>),
    Wait(Timestamp),
    /// The rejection explains itself.
    Conclude,
}

impl Diagnosis {
    /// Starts the diagnosis of a rejection. `had_process` tells whether the flow has got an answer of a process before.
    pub(super) fn new(
        pipeline: &str,
        what: String,
        rejection: FlowError,
        had_process: bool,
        cx: &mut FlowContext<FelderaApi>,
    ) -> Self {
        let code = rejection.service().and_then(error_code);
        let needs_poll = code.as_ref().is_some_and(says_too_little);
        let until =
            if code == Some(ErrorCode::PipelineInteractionNotDeployed) { cx.now() } else { cx.now() + MAX_STATUS_LAG };
        let state = if needs_poll { State::Poll(get_pipeline(pipeline, until, cx)) } else { State::Conclude };
        let (pipeline, pace) = (pipeline.to_owned(), PollInterval::START);
        let (deployment, provisional) = (None, None);
        Self { pipeline, what, rejection, had_process, until, pace, deployment, provisional, state }
    }

    /// Returns the error that the flow ends with.
    pub(super) fn poll<T>(&mut self, cx: &mut FlowContext<FelderaApi>) -> ControlFlow<Step<T>, FlowError> {
        loop {
            match &mut self.state {
                State::Poll(call) => {
                    let Ok(pipeline) = cx.poll(call)? else { return ControlFlow::Continue(self.conclude(None)) };
                    let found = self.found(&pipeline);
                    let is_final = found.as_ref().is_some_and(|found| self.is_final(found, &pipeline));
                    if is_final || self.until <= cx.now() {
                        return ControlFlow::Continue(self.conclude(found));
                    }
                    self.provisional = found;
                    self.state = State::Wait(self.pace.next(cx.now()));
                }
                State::Wait(at) => match cx.wait_or_expire(*at, "the end of the pipeline")? {
                    // The rejection says more than an expired timeout.
                    Err(_) => return ControlFlow::Continue(self.conclude(None)),
                    Ok(()) => self.state = State::Poll(get_pipeline(&self.pipeline, self.until, cx)),
                },
                State::Conclude => return ControlFlow::Continue(self.conclude(None)),
            }
        }
    }

    /// Returns the cause of the rejection, if a poll shows it.
    fn found(&mut self, pipeline: &Pipeline) -> Option<Interruption> {
        let found = interruption(pipeline).filter(|found| self.explains(found));
        let deployment = pipeline.deployment_id.clone();
        let is_other = self.deployment.is_some() && deployment.is_some() && self.deployment != deployment;
        self.deployment = self.deployment.take().or(deployment);
        found.or(is_other.then_some(Interruption::Restarted))
    }

    fn conclude(&mut self, found: Option<Interruption>) -> FlowError {
        let found = found.or_else(|| self.provisional.take());
        // The process's own error counts more than a later stop.
        let found = match (found, self.rejection.service().and_then(Interruption::told_by)) {
            (Some(Interruption::Crashed(error)), _) => Some(Interruption::Crashed(error)),
            (found, told) => told.or(found),
        };
        let details = match &found {
            Some(Interruption::Crashed(error)) => Some(error.message.clone()),
            _ => self.rejection.service().and_then(|rejection| rejection.details().map(str::to_owned)),
        };
        let what = std::mem::take(&mut self.what);
        match (found, self.rejection.clone()) {
            (Some(found), FlowError::Ambiguous(ambiguity)) => {
                with_unknown_outcome(ambiguity, found.into_error(what, details))
            }
            (Some(found), _) => found.into_error(what, details),
            (None, rejection) => rejection,
        }
    }

    /// Returns whether a cause is final: the end of the process cannot hide another cause behind it.
    fn is_final(&self, found: &Interruption, pipeline: &Pipeline) -> bool {
        let is_stopping = matches!(pipeline.deployment_status, PipelineStatus::Stopped | PipelineStatus::Stopping);
        match found {
            Interruption::Paused => !self.may_have_ended(),
            Interruption::Stopped => is_stopping || !self.may_have_ended(),
            _ => true,
        }
    }

    /// Returns whether the rejection says that the process has ended or cannot be reached. A process that takes too
    /// long to answer may be alive: a paused process holds rows back.
    fn may_have_ended(&self) -> bool {
        let Some(rejection) = self.rejection.service() else { return false };
        match error_code(rejection) {
            Some(ErrorCode::Terminating | ErrorCode::PipelineUnavailable) => true,
            Some(ErrorCode::PipelineInteractionUnreachable) => !rejection.message().contains("timeout ("),
            Some(code) => is_end_of_process(&code),
            None => false,
        }
    }

    /// Returns whether the finding explains why the pipeline rejected the request.
    fn explains(&self, found: &Interruption) -> bool {
        match found {
            // The first process of a pipeline, which is still starting, has ingested nothing.
            Interruption::Restarted => self.had_process,
            // A paused process holds rows back, and serves all other requests.
            Interruption::Paused => {
                self.rejection.service().is_some_and(|rejection| rejection.operation() == HttpInput::INFO.name)
            }
            _ => true,
        }
    }
}

/// Makes what ended the process the cause of a request's unknown outcome, so that [`Interruption::of`] finds it.
pub(super) fn with_unknown_outcome(ambiguity: Ambiguity, interruption: FlowError) -> FlowError {
    FlowError::Ambiguous(Ambiguity { cause: Box::new(interruption), ..ambiguity })
}

fn get_pipeline(pipeline: &str, until: Timestamp, cx: &mut FlowContext<FelderaApi>) -> Call<GetPipeline> {
    cx.until(Some(until + LAST_POLL_TIMEOUT), |cx| cx.call(GetPipeline::new(pipeline).selector(Selector::Status)))
}

/// Returns whether a rejection does not show why the process cannot serve requests, or shows it before the manager
/// does.
fn says_too_little(code: &ErrorCode) -> bool {
    is_end_of_process(code)
        || matches!(
            code,
            ErrorCode::PipelineInteractionNotDeployed
                | ErrorCode::PipelineInteractionUnreachable
                | ErrorCode::PipelineUnavailable
                | ErrorCode::Suspended
                | ErrorCode::Terminating
        )
}

/// Returns whether a rejection is about the process, and not about the request: another poll of the pipeline shows
/// more.
pub(super) fn is_of_process(rejection: &ServiceError) -> bool {
    error_code(rejection).is_some_and(|code| {
        says_too_little(&code)
            || matches!(
                code,
                ErrorCode::Initializing
                    | ErrorCode::AwaitingApproval
                    | ErrorCode::BootstrapInProgress
                    | ErrorCode::RestoreInProgress
            )
    })
}

/// Returns why a process cannot serve requests, if the pipeline object shows it.
pub(super) fn interruption(pipeline: &Pipeline) -> Option<Interruption> {
    let ends =
        matches!(
            pipeline.deployment_status,
            PipelineStatus::Stopped | PipelineStatus::Stopping | PipelineStatus::Suspended | PipelineStatus::Suspending
        ) || matches!(pipeline.deployment_desired_status, Some(DesiredStatus::Stopped | DesiredStatus::Suspended));
    match (&pipeline.deployment_error, &pipeline.deployment_status) {
        (Some(error), _) => Some(Interruption::Crashed(error.clone())),
        (None, _) if ends => Some(Interruption::Stopped),
        (None, PipelineStatus::AwaitingApproval) => Some(Interruption::AwaitingApproval),
        (None, PipelineStatus::Provisioning | PipelineStatus::Initializing) => Some(Interruption::Restarted),
        (None, PipelineStatus::Paused) => Some(Interruption::Paused),
        _ => None,
    }
}
