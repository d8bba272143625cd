//! [`Looks`]: a pipeline, looked at again and again.

use crate::feldera::pipelines::{Pipeline, ProgramStatus, Selector};
use crate::feldera::{FelderaApi, GetPipeline};
use crate::flow::{Call, Common, Flow, Notice, Pace, Reply, Step, ok};
use crate::time::Timestamp;

/// A pipeline, looked at again and again: at once, then with pauses that grow while nothing changes. Says what changed.
///
/// A session: each poll to a [`Step::Done`] is one look.
#[derive(Debug)]
pub(super) struct Looks {
    pipeline: String,
    /// Whether the next look is at all of it.
    whole: bool,
    pace: Pace,
    seen: Option<String>,
    /// When the last look began.
    asked: Timestamp,
    state: State,
}

#[derive(Debug)]
enum State {
    Due,
    Looking(Call<GetPipeline>),
    Resting(Timestamp),
}

impl Looks {
    pub(super) fn new(pipeline: &str) -> Self {
        Self {
            pipeline: pipeline.to_owned(),
            whole: false,
            pace: Pace::START,
            seen: None,
            asked: Timestamp::UNIX_EPOCH,
            state: State::Due,
        }
    }

    /// What was seen last, in a few words.
    pub(super) fn seen(&self) -> Option<&str> {
        self.seen.as_deref()
    }

    /// When the last look began. What it shows is not older than that, but may be older than now.
    pub(super) fn asked(&self) -> Timestamp {
        self.asked
    }

    /// The next look is at once: something was done.
    pub(super) fn again(&mut self) {
        self.pace = Pace::START;
        self.state = State::Due;
    }

    /// The next look is at once, and at all of it: program, errors, configuration.
    pub(super) fn at_all(&mut self) {
        self.whole = true;
        self.again();
    }

    /// Waits for the next look and takes it. `waiting` is for the error that the time is up.
    pub(super) fn poll(
        &mut self,
        cx: &mut Common<FelderaApi>,
        waiting: &'static str,
        reply: &mut Option<Reply>,
    ) -> Step<Pipeline> {
        loop {
            match &mut self.state {
                State::Due => {
                    self.asked = cx.now();
                    let whole = std::mem::take(&mut self.whole);
                    let selector = if whole { Selector::All } else { Selector::Status };
                    self.state = State::Looking(cx.call(GetPipeline::new(&*self.pipeline).selector(selector)));
                }
                State::Looking(call) => {
                    let looked = ok!(call.poll(cx.now(), reply.take()));
                    if let Ok(pipeline) = &looked {
                        let summary = summary(pipeline);
                        if self.seen.as_ref() != Some(&summary) {
                            let what = format!("pipeline {}", self.pipeline);
                            cx.say(Notice::Observed { what, state: summary.clone() });
                            self.pace = Pace::START;
                        }
                        self.seen = Some(summary);
                    }
                    self.state = State::Resting(self.pace.next(cx.now()));
                    return Step::Done(looked);
                }
                State::Resting(until) => {
                    if let Some(step) = cx.wait_until(*until, waiting, reply) {
                        return step;
                    }
                    self.state = State::Due;
                }
            }
        }
    }
}

/// What is worth showing, in a few words.
pub(super) fn summary(pipeline: &Pipeline) -> String {
    let mut text = pipeline.deployment_status.to_string();
    if let Some(desired) = &pipeline.deployment_desired_status
        && desired.as_str() != pipeline.deployment_status.as_str()
    {
        text = format!("{text}, to be {desired}");
    }
    match &pipeline.program_status {
        None | Some(ProgramStatus::Success) => text,
        Some(program) => format!("{text}; program {program}"),
    }
}
