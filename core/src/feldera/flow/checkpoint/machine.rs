//! The states of [`Checkpoint`], and how its actions are carried out.

use std::ops::ControlFlow;

use super::decide::{Action, Evidence, Known, Reading, decide};
use super::goal::{Checkpoint, CheckpointState, Checkpointed};
use crate::feldera::FelderaApi;
use crate::feldera::checkpoints::{GetCheckpointStatus, StartCheckpoint};
use crate::feldera::flow::diagnosis::Diagnosis;
use crate::feldera::flow::{PollInterval, obstacles};
use crate::feldera::stats::{ControllerStatus, GetStats};
use crate::feldera::tuning::STATS_INTERVAL;
use crate::flow::{Call, FlowContext, Notice, SavedState, StateMachine, Transition, done};
use crate::time::Timestamp;

/// The transitions of [`Checkpoint`].
#[derive(Debug)]
pub struct CheckpointMachine {
    known: Known,
    /// What the process does, as the listener was told last.
    activity: Option<String>,
    pace: PollInterval,
    state: State,
}

#[derive(Debug)]
enum State {
    Begin,
    Stats(Call<GetStats>, Reading),
    Request(Call<StartCheckpoint>),
    Status(Call<GetCheckpointStatus>),
    Wait(Timestamp),
    Diagnosis(Diagnosis),
}

impl From<Checkpoint> for CheckpointMachine {
    fn from(goal: Checkpoint) -> Self {
        let mut known = Known {
            pipeline: goal.pipeline,
            process: None,
            checks_process: false,
            number: None,
            resends: 0,
            unanswered: None,
            stats_at: Timestamp::UNIX_EPOCH,
            idle: false,
        };
        if let Some(CheckpointState { number: Some(number), process, checks_process, .. }) = goal.resumed {
            (known.number, known.process, known.checks_process) = (Some(number), process, checks_process);
        }
        Self { known, activity: None, pace: PollInterval::START, state: State::Begin }
    }
}

impl CheckpointMachine {
    fn save(&self, cx: &mut FlowContext<FelderaApi>) {
        let Known { pipeline, process, checks_process, number, .. } = &self.known;
        let (pipeline, process) = (pipeline.clone(), process.clone());
        let state = CheckpointState { pipeline, process, checks_process: *checks_process, number: *number };
        cx.save(SavedState::new(Self::NAME, &state));
    }

    /// Tells the listener what the process that counts does about checkpoints.
    fn observe(&mut self, stats: &ControllerStatus, cx: &mut FlowContext<FelderaApi>) {
        let activity = stats.checkpoint_activity.as_ref().filter(|_| !self.known.is_other_process(stats));
        let Some(activity) = activity else { return };
        let text = match activity.reasons.as_slice() {
            [] => activity.status.to_string(),
            reasons => format!("{}: {}", activity.status, obstacles::temporary(reasons)),
        };
        if self.activity.as_ref() != Some(&text) {
            cx.say(Notice::Observed { what: self.known.what(), state: text.clone() });
            self.activity = Some(text);
        }
    }

    /// Carries out an action: all changes of the state are here.
    fn carry_out(&mut self, action: Action, cx: &mut FlowContext<FelderaApi>) -> Transition<Checkpointed> {
        let pipeline = self.known.pipeline.clone();
        self.state = match action {
            Action::ReadStats(reading) => {
                self.known.stats_at = cx.now() + STATS_INTERVAL;
                State::Stats(cx.call(GetStats::new(pipeline)), reading)
            }
            Action::Request => {
                cx.phase(Self::NAME, "asking for a checkpoint");
                self.save(cx);
                State::Request(cx.call(StartCheckpoint::new(pipeline)))
            }
            Action::RequestAgain(lost) => {
                self.known.resends += 1;
                self.known.unanswered = Some(lost);
                return self.carry_out(Action::ReadStats(Reading::Before), cx);
            }
            Action::SaveAndReadStatus => {
                self.save(cx);
                cx.phase(Self::NAME, "waiting for the checkpoint");
                return self.carry_out(Action::ReadStatus, cx);
            }
            Action::ReadStatus => {
                let mut status = GetCheckpointStatus::new(pipeline);
                status.incarnation_uuid = self.known.process.clone().filter(|_| self.known.checks_process);
                State::Status(cx.call(status))
            }
            Action::Wait => {
                if self.activity.is_none() {
                    cx.note(self.known.what(), "requested, not made yet".to_owned());
                }
                State::Wait(self.pace.next(cx.now()))
            }
            Action::Diagnose(rejection) => {
                let had_process = self.known.number.is_some() || self.known.process.is_some();
                State::Diagnosis(Diagnosis::new(&pipeline, self.known.what(), rejection, had_process, cx))
            }
            Action::End(result) => return done(result),
        };
        ControlFlow::Continue(())
    }
}

impl StateMachine for CheckpointMachine {
    type Service = FelderaApi;
    type Output = Checkpointed;
    const NAME: &'static str = "Checkpoint";
    const PHASES: &'static [&'static str] = &["asking for a checkpoint", "waiting for the checkpoint"];

    fn transition(&mut self, cx: &mut FlowContext<FelderaApi>) -> Transition<Checkpointed> {
        let evidence = match &mut self.state {
            State::Begin => Evidence::Begun,
            State::Stats(call, reading) => Evidence::Stats(reading.clone(), cx.poll(call)?),
            State::Request(call) => Evidence::Request(cx.poll(call)?),
            State::Status(call) => Evidence::Status(cx.poll(call)?),
            State::Wait(until) => {
                cx.wait(*until, "the checkpoint")?;
                Evidence::Waited
            }
            State::Diagnosis(diagnosis) => Evidence::Cause(diagnosis.poll(cx)?),
        };
        self.known.record(&evidence, cx.now());
        if let Evidence::Stats(Reading::Watch | Reading::Confirm(_), Ok(stats)) = &evidence {
            self.observe(stats, cx);
        }
        let action = decide(evidence, &self.known, cx.now(), cx.expired("").is_none());
        self.carry_out(action, cx)
    }
}
