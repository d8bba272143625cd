//! The states of [`SyncCheckpoint`], and how its actions are carried out.

use std::ops::ControlFlow;

use super::decide::{Action, Evidence, Known, Told, Why, decide};
use super::goal::{SyncCheckpoint, SyncState, Synced};
use crate::feldera::FelderaApi;
use crate::feldera::checkpoints::{GetCheckpointSyncStatus, ListRemoteCheckpoints, StartCheckpointSync};
use crate::feldera::flow::PollInterval;
use crate::feldera::flow::diagnosis::Diagnosis;
use crate::feldera::stats::GetStats;
use crate::feldera::tuning::{STALL_TIMEOUT, STATS_INTERVAL};
use crate::flow::{Call, FlowContext, Notice, SavedState, StateMachine, Transition, done};
use crate::time::Timestamp;

/// The transitions of [`SyncCheckpoint`].
#[derive(Debug)]
pub struct SyncMachine {
    known: Known,
    pace: PollInterval,
    state: State,
}

#[derive(Debug)]
enum State {
    Begin,
    Stats(Call<GetStats>),
    Status(Call<GetCheckpointSyncStatus>),
    Request(Call<StartCheckpointSync>),
    Wait(Timestamp),
    Remote(Call<ListRemoteCheckpoints>, Why),
    Diagnosis(Diagnosis),
}

impl From<SyncCheckpoint> for SyncMachine {
    fn from(goal: SyncCheckpoint) -> Self {
        let mut known = Known {
            pipeline: goal.pipeline,
            process: None,
            checkpoint: None,
            seen: None,
            stats_at: Timestamp::UNIX_EPOCH,
            before: (None, None),
            was_running: false,
            stale_until: None,
            told: (None, None),
            listed: (None, None),
            list_at: Timestamp::UNIX_EPOCH,
            over_at: None,
        };
        if let Some(SyncState { checkpoint: Some(checkpoint), process, seen, success, failure, .. }) = goal.resumed {
            (known.checkpoint, known.process, known.seen) = (Some(checkpoint), process, seen);
            known.before = (success, failure);
        }
        Self { known, pace: PollInterval::START, state: State::Begin }
    }
}

impl SyncMachine {
    fn save(&self, cx: &mut FlowContext<FelderaApi>) {
        let Known { pipeline, process, checkpoint, seen, before: (success, failure), .. } = &self.known;
        let state = SyncState {
            pipeline: pipeline.clone(),
            process: process.clone(),
            checkpoint: checkpoint.clone(),
            seen: seen.clone(),
            success: success.clone(),
            failure: failure.clone(),
        };
        cx.save(SavedState::new(Self::NAME, &state));
    }

    /// Carries out an action: all changes of the state are here.
    fn carry_out(&mut self, action: Action, cx: &mut FlowContext<FelderaApi>) -> Transition<Synced> {
        let pipeline = self.known.pipeline.clone();
        self.state = match action {
            Action::ReadStats => {
                self.known.stats_at = cx.now() + STATS_INTERVAL;
                State::Stats(cx.call(GetStats::new(pipeline)))
            }
            Action::SaveProcess(process) => {
                self.known.seen = process;
                self.save(cx);
                return self.carry_out(Action::ReadStatus, cx);
            }
            Action::ReadStatus => {
                let mut status = GetCheckpointSyncStatus::new(pipeline);
                status.incarnation_uuid.clone_from(&self.known.process);
                State::Status(cx.call(status))
            }
            Action::Request => {
                cx.phase(Self::NAME, "sending the newest checkpoint");
                self.save(cx);
                State::Request(cx.call(StartCheckpointSync::new(pipeline)))
            }
            Action::SaveAndFollow => {
                let state = self.known.checkpoint.clone().unwrap_or_default();
                cx.say(Notice::Observed { what: "newest checkpoint".to_owned(), state });
                self.save(cx);
                let is_unknown = self.known.process.is_none();
                return self.carry_out(if is_unknown { Action::ReadStats } else { Action::ReadStatus }, cx);
            }
            Action::Wait => State::Wait(self.pace.next(cx.now())),
            Action::List(why) => {
                self.known.list_at = cx.now() + STALL_TIMEOUT;
                self.known.listed = self.known.told.clone();
                State::Remote(cx.call(ListRemoteCheckpoints::new(pipeline)), why)
            }
            Action::Diagnose(rejection) => {
                let had_process = self.known.checkpoint.is_some() || self.known.seen.is_some();
                State::Diagnosis(Diagnosis::new(&pipeline, self.known.what(), rejection, had_process, cx))
            }
            Action::End(result) => return done(result),
        };
        ControlFlow::Continue(())
    }
}

/// Describes the outcomes that the process reported last.
fn told_so_far((success, failure): &Told) -> String {
    let failure = failure.as_ref().map(|failure| format!("{} ({})", failure.uuid, failure.reason()));
    let or_none = |last: Option<&String>| last.map_or("none", String::as_str).to_owned();
    format!("not sent yet; last success: {}; last failure: {}", or_none(success.as_ref()), or_none(failure.as_ref()))
}

impl StateMachine for SyncMachine {
    type Service = FelderaApi;
    type Output = Synced;
    const NAME: &'static str = "SyncCheckpoint";

    fn transition(&mut self, cx: &mut FlowContext<FelderaApi>) -> Transition<Synced> {
        let evidence = match &mut self.state {
            State::Begin => {
                self.known.follow(cx.now());
                Evidence::Begun
            }
            State::Stats(call) => Evidence::Stats(cx.poll(call)?),
            State::Status(call) => Evidence::Status(cx.poll(call)?),
            State::Request(call) => Evidence::Request(cx.poll(call)?),
            State::Wait(until) => {
                cx.wait(*until, "the checkpoint to be sent")?;
                Evidence::Waited
            }
            State::Remote(call, why) => {
                let listed = cx.poll(call)?;
                Evidence::Listed(listed, why.clone())
            }
            State::Diagnosis(diagnosis) => Evidence::Cause(diagnosis.poll(cx)?),
        };
        self.known.record(&evidence, cx.now());
        if let (Evidence::Status(Ok(_)), Some(_)) = (&evidence, &self.known.checkpoint) {
            cx.note(self.known.what(), told_so_far(&self.known.told));
        }
        self.carry_out(decide(evidence, &self.known, cx.now()), cx)
    }
}
