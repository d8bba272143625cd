//! [`StatusPoller`]: polls a pipeline's status.

use std::ops::ControlFlow;

use crate::feldera::FelderaApi;
use crate::feldera::pipelines::{GetPipeline, Pipeline, ProgramStatus, Selector};
use crate::flow::{Call, FlowContext, Notice, PollInterval, Polled};
use crate::time::Timestamp;

/// Polls a pipeline's status: at once, then at intervals that grow while nothing changes. Tells the listener about each
/// change.
///
/// Each result of [`poll`](Self::poll) is one reading of the pipeline.
#[derive(Debug)]
pub(super) struct StatusPoller {
    pipeline: String,
    /// Whether the next poll reads the whole pipeline object.
    whole: bool,
    /// Whether each poll does.
    always_whole: bool,
    pace: PollInterval,
    seen: Option<String>,
    /// When the last poll began.
    asked: Timestamp,
    state: State,
}

#[derive(Debug)]
enum State {
    Due,
    Polling(Call<GetPipeline>),
    Waiting(Timestamp),
}

impl StatusPoller {
    pub(super) fn new(pipeline: &str) -> Self {
        Self {
            pipeline: pipeline.to_owned(),
            whole: false,
            always_whole: false,
            pace: PollInterval::START,
            seen: None,
            asked: Timestamp::UNIX_EPOCH,
            state: State::Due,
        }
    }

    /// A poller that reads the whole pipeline object each time.
    pub(super) fn of_whole(pipeline: &str) -> Self {
        Self { always_whole: true, ..Self::new(pipeline) }
    }

    /// Returns a summary of what the last poll showed.
    pub(super) fn seen(&self) -> Option<&str> {
        self.seen.as_deref()
    }

    /// Returns when the last poll began. What it showed is not older than that, but may be older than now.
    pub(super) fn asked(&self) -> Timestamp {
        self.asked
    }

    /// Polls at once, because an action was carried out.
    pub(super) fn again(&mut self) {
        self.pace = PollInterval::START;
        self.state = State::Due;
    }

    /// Polls the whole pipeline object at once: program, errors, configuration.
    pub(super) fn whole(&mut self) {
        self.whole = true;
        self.again();
    }

    /// Waits until the next poll is due, and polls. `waiting` is for the error that the timeout expired.
    pub(super) fn poll<T>(&mut self, cx: &mut FlowContext<FelderaApi>, waiting: &'static str) -> Polled<T, Pipeline> {
        loop {
            match &mut self.state {
                State::Due => {
                    self.asked = cx.now();
                    let whole = std::mem::take(&mut self.whole) || self.always_whole;
                    let selector = if whole { Selector::All } else { Selector::Status };
                    self.state = State::Polling(cx.call(GetPipeline::new(&*self.pipeline).selector(selector)));
                }
                State::Polling(call) => {
                    let polled = cx.poll(call)?;
                    if let Ok(pipeline) = &polled {
                        let summary = summary(pipeline);
                        if self.seen.as_ref() != Some(&summary) {
                            let what = format!("pipeline {}", self.pipeline);
                            cx.say(Notice::Observed { what, state: summary.clone() });
                            self.pace = PollInterval::START;
                        }
                        self.seen = Some(summary);
                    }
                    self.state = State::Waiting(self.pace.next(cx.now()));
                    return ControlFlow::Continue(polled);
                }
                State::Waiting(until) => {
                    // The flow decides what the deadline means: a request before it may have been carried out.
                    if let Err(error) = cx.wait_or_expire(*until, waiting)? {
                        return ControlFlow::Continue(Err(error));
                    }
                    self.state = State::Due;
                }
            }
        }
    }
}

/// Returns a summary of a pipeline's status.
pub(super) fn summary(pipeline: &Pipeline) -> String {
    let mut text = pipeline.deployment_status.to_string();
    if let Some(desired) = &pipeline.deployment_desired_status
        && desired.as_str() != pipeline.deployment_status.as_str()
    {
        text = format!("{text}, desired {desired}");
    }
    match &pipeline.program_status {
        None | Some(ProgramStatus::Success) => text,
        Some(program) => format!("{text}; program {program}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::error::FlowError;
    use crate::flow::{Config, Step};
    use crate::seed::Seed;

    #[test]
    fn a_deadline_between_two_polls_is_given_to_the_flow() {
        const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
        let config = Config::new("http://feldera.test".parse().expect("an address"));
        let mut cx = FlowContext::new(&config, Seed::new(1), Some(Duration::from_secs(1)));
        cx.tick(NOW);
        let mut poller = StatusPoller::new("p");
        let body = r#"{"name":"p","deployment_status":"Stopped"}"#;
        loop {
            match poller.poll::<()>(&mut cx, "the pipeline") {
                ControlFlow::Break(Step::Send(exchange)) => {
                    cx.put_reply(exchange.settle(Ok(http::Response::new(body.into()))));
                }
                ControlFlow::Break(_) => {}
                ControlFlow::Continue(pipeline) => {
                    pipeline.expect("a pipeline");
                    break;
                }
            }
        }
        // The flow may know of a request that may have been carried out.
        cx.tick(NOW + Duration::from_secs(2));
        let end = poller.poll::<()>(&mut cx, "the pipeline");
        assert!(matches!(end, ControlFlow::Continue(Err(FlowError::Deadline { .. }))), "{end:?}");
    }
}
