//! The goal [`SyncCheckpoint`].
//!
//! ```text
//!  Process ──▶ Before ──▶ Request ──id, saved──▶ Status ◀──▶ Wait ◀── it goes on ──┐
//!                                                 │ │ └─▶ done, failed             │
//!                                      resumed ───┘ └─ missed, another process ──▶ Remote ─▶ done, failed, ambiguous
//! ```
//!
//! | what is sent is checkpoint U, and the status says | then |
//! |---|---|
//! | success = U | done, also when it was sent before |
//! | failure = U, and it is not the one from before the request | failed, with its reason |
//! | failure = U, as before the request | Wait; Remote when that stays so for a minute: the newest attempt cannot be told from it |
//! | anything else, other than before | Remote: only the last of each kind are told, so that U may have been among them |
//! | anything else, for a minute | Remote |
//! | anything else | Wait |
//! | 400 `IncarnationUuidMismatch` | Remote |
//! | 410 `Terminating`, 500 with the code of a panic, 503 for good | polls the pipeline for up to 10 s, then **ambiguous**: why |
//!
//! | Remote is asked because | U is in the store | it is not, or nobody can tell |
//! |---|---|---|
//! | another process answers | done | **ambiguous** |
//! | failure = U, as before the request, for a minute | done | failed |
//! | success is newer than U, or failure was so a minute ago | done | **ambiguous**: one is sent at a time, in order, so that U is over |
//! | otherwise | done | Wait |
//!
//! A process that takes no id (before 0.337) is known by its statistics, which are looked at before the request, right
//! after it, and each 5 s: those of another one lead to Remote, too.
//!
//! Invariants: U itself is known by its id alone. Which of two checkpoints is newer is known by their ids, which begin
//! with the time. What the process says that it sent by itself (`periodic`) counts for nothing, because it was said too
//! early by some releases.

use std::ops::ControlFlow;
use std::time::Duration;

use super::diagnosis::Diagnosis;
use super::{Interruption, PollInterval, UnknownOutcome};
use crate::error::{Ambiguity, Failure, FlowError};
use crate::feldera::checkpoints::{
    CheckpointSyncFailure, CheckpointSyncStatus, GetCheckpointSyncStatus, ListRemoteCheckpoints, RemoteCheckpoint,
    StartCheckpointSync,
};
use crate::feldera::stats::GetStats;
use crate::feldera::tuning::{STALL_TIMEOUT, STATS_INTERVAL};
use crate::feldera::{ErrorCode, FelderaApi, error_code};
use crate::flow::{Call, FlowContext, Notice, SavedState, StateMachine, Transition, done, goal};
use crate::operation::Operation as _;
use crate::schema::json_structs;
use crate::time::Timestamp;

json_structs! {
    struct SyncState {
        /// Whose.
        pub pipeline: String,
        /// The process that sends, as far as it says.
        pub process: Option<String>,
        /// The checkpoint; `None` when the request is about to be sent.
        pub checkpoint: Option<String>,
        /// The process, if it is known only by its statistics.
        pub seen: Option<String>,
        /// The last success and the last failure from before the request.
        pub success: Option<String>,
        pub failure: Option<CheckpointSyncFailure>,
    }
}

/// Sends the newest checkpoint of a pipeline to its object store, and waits until it is there. Enterprise edition only.
///
/// Ends in
///
/// * [`FlowError::Service`]: 501 `EnterpriseFeature` by the open-source edition; 400, with the code `400`, when there
///   is no checkpoint yet: make one with [`Checkpoint`](super::Checkpoint);
/// * [`FlowError::Failed`] when sending it failed, with Feldera's reason;
/// * [`FlowError::Ambiguous`] when the process was replaced or stopped before it said, or says only what became of
///   newer checkpoints, and the store does not tell.
///
/// Asking again is harmless. The saved state holds the checkpoint's id, the process that sends it, and what that said
/// before. If the state was saved before the answer, [`resume`](Self::resume) sends the checkpoint that is the newest
/// then.
///
/// ```
/// # let runtime = pipewright::driver::Canned::new([
/// #     ("GET /v0/pipelines/orders/stats", 200, r#"{"global_metrics":{"state":"Running","incarnation_uuid":"u","buffered_input_records":0,
/// #         "total_input_records":0,"total_processed_records":0,"pipeline_complete":false},"inputs":[],"outputs":[]}"#),
/// #     ("GET /v0/pipelines/orders/checkpoint/sync_status", 200, r#"{"success":null,"failure":null,"periodic":null}"#),
/// #     ("POST /v0/pipelines/orders/checkpoint/sync", 202, r#"{"checkpoint_uuid":"0190","incarnation_uuid":"u"}"#),
/// #     ("GET /v0/pipelines/orders/checkpoint/sync_status", 200, r#"{"success":null,"failure":null,"periodic":null}"#),
/// #     ("GET /v0/pipelines/orders/checkpoint/sync_status", 200, r#"{"success":"0190","failure":null,"periodic":null}"#),
/// # ]);
/// use pipewright::feldera::{Feldera, SyncCheckpoint};
/// use std::time::Duration;
///
/// let feldera = Feldera::new("http://127.0.0.1:8080".parse()?, runtime);
/// let synced = feldera.run(SyncCheckpoint::new("orders").timeout(Duration::from_secs(600)))?;
/// assert_eq!(synced.checkpoint, "0190");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct SyncCheckpoint {
    pipeline: String,
    timeout: Option<Duration>,
    resumed: Option<SyncState>,
}

impl SyncCheckpoint {
    /// The newest checkpoint of a pipeline.
    pub fn new(pipeline: impl Into<String>) -> Self {
        Self { pipeline: pipeline.into(), timeout: None, resumed: None }
    }
}

/// A checkpoint that is in the object store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Synced {
    /// Its id.
    pub checkpoint: String,
}

/// The transitions of [`SyncCheckpoint`].
#[derive(Debug)]
pub struct SyncMachine {
    pipeline: String,
    process: Option<String>,
    checkpoint: String,
    /// The process by its statistics, while it is not known by its own word.
    seen: Option<String>,
    /// When to look at these again.
    poll_at: Timestamp,
    /// The last ones from before the request.
    before: Told,
    /// Until when the failure from before the request may be that old one.
    stale_until: Option<Timestamp>,
    /// The last ones when the store was asked last.
    told: Told,
    /// When to ask it again, whatever is told.
    ask_at: Timestamp,
    /// When that ends which cannot be told: a newer checkpoint was sent, or was to be, and it can only be over.
    over_at: Option<Timestamp>,
    pace: PollInterval,
    state: State,
}

/// The last success and the last failure.
type Told = (Option<String>, Option<CheckpointSyncFailure>);

/// Why the store is asked.
#[derive(Clone, Debug)]
enum Why {
    /// Another process answers, which knows nothing of it.
    Restarted(FlowError),
    /// The attempt before had failed, and nothing has changed since.
    Failed(CheckpointSyncFailure),
    /// It may have been missed.
    Missed,
}

#[derive(Debug)]
enum State {
    Start(Option<SyncState>),
    Process(Call<GetStats>),
    Before(Call<GetCheckpointSyncStatus>),
    Request(Call<StartCheckpointSync>),
    Stats(Call<GetStats>),
    Status(Call<GetCheckpointSyncStatus>),
    Wait(Timestamp),
    Remote(Call<ListRemoteCheckpoints>, Why),
    Diagnosis(Diagnosis),
}

impl SyncMachine {
    fn what(&self) -> String {
        match &*self.checkpoint {
            "" => format!("sending the newest checkpoint of pipeline {}", self.pipeline),
            checkpoint => format!("sending checkpoint {checkpoint} of pipeline {}", self.pipeline),
        }
    }

    fn diagnose(&mut self, rejection: FlowError, cx: &mut FlowContext<FelderaApi>) {
        let had_process = !self.checkpoint.is_empty() || self.seen.is_some();
        self.state = State::Diagnosis(Diagnosis::new(&self.pipeline, self.what(), rejection, had_process, cx));
    }

    fn save(&self, cx: &mut FlowContext<FelderaApi>) {
        let checkpoint = Some(self.checkpoint.clone()).filter(|checkpoint| !checkpoint.is_empty());
        let (process, seen) = (self.process.clone(), self.seen.clone());
        let (success, failure) = self.before.clone();
        let state = SyncState { pipeline: self.pipeline.clone(), process, checkpoint, seen, success, failure };
        cx.save(SavedState::new(Self::NAME, &state));
    }

    fn look(&mut self, cx: &mut FlowContext<FelderaApi>) {
        self.poll_at = cx.now() + STATS_INTERVAL;
        self.state = State::Stats(cx.call(GetStats::new(self.pipeline.clone())));
    }

    /// Another process than the one that was asked answers.
    fn restarted(&mut self, details: Option<String>, cx: &mut FlowContext<FelderaApi>) {
        let error = Interruption::Restarted.into_error(self.what(), details);
        self.remote(Why::Restarted(error), cx);
    }

    fn remote(&mut self, why: Why, cx: &mut FlowContext<FelderaApi>) {
        self.ask_at = cx.now() + STALL_TIMEOUT;
        self.state = State::Remote(cx.call(ListRemoteCheckpoints::new(self.pipeline.clone())), why);
    }

    /// The request was accepted, by now or by an earlier flow.
    fn wait_for(&mut self, checkpoint: String, process: Option<String>, cx: &mut FlowContext<FelderaApi>) {
        (self.checkpoint, self.process) = (checkpoint, process);
        self.told = self.before.clone();
        self.ask_at = cx.now() + STALL_TIMEOUT;
    }

    fn failed(&self, reason: String) -> FlowError {
        FlowError::Failed(Failure { what: self.what(), reason, details: None, cause: None })
    }

    /// The outcome is not known.
    fn lost(&self, cause: FlowError, found: String) -> FlowError {
        let started = UnknownOutcome::Sync { checkpoint: self.checkpoint.clone() };
        started.add_to(FlowError::Ambiguous(Ambiguity {
            operation: StartCheckpointSync::INFO.name,
            cause: Box::new(cause),
            unanswered: false,
            found: Some(found),
            evidence: None,
        }))
    }

    fn status(&mut self, cx: &mut FlowContext<FelderaApi>) {
        let mut status = GetCheckpointSyncStatus::new(self.pipeline.clone());
        status.incarnation_uuid.clone_from(&self.process);
        self.state = State::Status(cx.call(status));
    }

    fn decide(
        &mut self,
        status: &CheckpointSyncStatus,
        cx: &mut FlowContext<FelderaApi>,
    ) -> Option<Result<Synced, FlowError>> {
        if status.success.as_ref() == Some(&self.checkpoint) {
            return Some(Ok(Synced { checkpoint: self.checkpoint.clone() }));
        }
        let told = (status.success.clone(), status.failure.clone());
        if let Some(failure) = status.failure.as_ref().filter(|failure| failure.uuid == self.checkpoint) {
            if self.before.1.as_ref() != Some(failure) {
                return Some(Err(self.failed(failure.error.clone())));
            }
            let until = *self.stale_until.get_or_insert(cx.now() + STALL_TIMEOUT);
            if until <= cx.now() {
                self.remote(Why::Failed(failure.clone()), cx);
                return None;
            }
        } else {
            let over_at = self.over_at(status, cx.now());
            self.over_at = self.over_at.into_iter().chain(over_at).min();
        }
        cx.note(self.what(), told_so_far(&told));
        if told != self.told || self.ask_at <= cx.now() {
            self.told = told;
            self.remote(Why::Missed, cx);
        } else {
            self.state = State::Wait(self.pace.next(cx.now()));
        }
        None
    }

    /// From when on this one is not waited for any more because of a newer one, if there is one. A newer one that
    /// failed may have done so at once, in releases that did not send one at a time.
    fn over_at(&self, status: &CheckpointSyncStatus, now: Timestamp) -> Option<Timestamp> {
        let is_newer = |uuid: &str| is_newer(uuid, &self.checkpoint);
        let success = status.success.as_ref().filter(|uuid| self.before.0.as_ref() != Some(*uuid) && is_newer(uuid));
        let failure = status.failure.as_ref();
        let failure = failure.filter(|failure| self.before.1.as_ref() != Some(*failure) && is_newer(&failure.uuid));
        success.map(|_| now).or(failure.map(|_| now + STALL_TIMEOUT))
    }

    /// The store was asked. A result is the end.
    fn listed(
        &mut self,
        listed: Result<Vec<RemoteCheckpoint>, FlowError>,
        why: Why,
        cx: &mut FlowContext<FelderaApi>,
    ) -> Option<Result<Synced, FlowError>> {
        let found = match listed {
            Ok(listed) if listed.iter().any(|remote| remote.uuid == self.checkpoint) => {
                return Some(Ok(Synced { checkpoint: self.checkpoint.clone() }));
            }
            Ok(_) => "the store does not list it".to_owned(),
            Err(error) => format!("the store could not be listed: {error}"),
        };
        match why {
            Why::Restarted(cause) => Some(Err(self.lost(cause, found))),
            Why::Failed(failure) => Some(Err(self.failed(failure.error))),
            Why::Missed if self.over_at.is_some_and(|at| at <= cx.now()) => {
                let reason = "the process tells only what became of newer ones".to_owned();
                Some(Err(self.lost(self.failed(reason), found)))
            }
            Why::Missed => {
                self.state = State::Wait(self.pace.next(cx.now()));
                None
            }
        }
    }
}

/// What the process says that it sent last.
fn told_so_far((success, failure): &Told) -> String {
    let failure = failure.as_ref().map(|failure| format!("{} ({})", failure.uuid, failure.error));
    let or_none = |last: Option<&String>| last.map_or("none", String::as_str).to_owned();
    format!("not sent yet; last one sent: {}; last failure: {}", or_none(success.as_ref()), or_none(failure.as_ref()))
}

/// Whether a checkpoint was made after another. Their ids are UUIDs of version 7, which begin with the time; of others
/// nobody knows, and they count as newer.
fn is_newer(one: &str, other: &str) -> bool {
    let begins_with_time = |id: &str| id.len() == 36 && id.as_bytes().get(14) == Some(&b'7');
    !begins_with_time(one) || !begins_with_time(other) || one > other
}

impl StateMachine for SyncMachine {
    type Service = FelderaApi;
    type Output = Synced;
    const NAME: &'static str = "SyncCheckpoint";

    fn transition(&mut self, cx: &mut FlowContext<FelderaApi>) -> Transition<Synced> {
        match &mut self.state {
            State::Start(resumed) => match resumed.take() {
                Some(SyncState { checkpoint: Some(checkpoint), process, seen, success, failure, .. }) => {
                    (self.seen, self.before) = (seen, (success, failure));
                    self.wait_for(checkpoint, process, cx);
                    if self.process.is_none() { self.look(cx) } else { self.status(cx) }
                }
                _ => self.state = State::Process(cx.call(GetStats::new(self.pipeline.clone()))),
            },
            State::Process(call) => match cx.poll(call)? {
                Ok(stats) => {
                    self.seen = stats.global_metrics.process();
                    self.state = State::Before(cx.call(GetCheckpointSyncStatus::new(self.pipeline.clone())));
                }
                Err(error) => self.diagnose(error, cx),
            },
            State::Before(call) => match cx.poll(call)? {
                Ok(status) => {
                    self.before = (status.success, status.failure);
                    cx.phase(Self::NAME, "sending the newest checkpoint");
                    self.save(cx);
                    self.state = State::Request(cx.call(StartCheckpointSync::new(self.pipeline.clone())));
                }
                Err(error) => self.diagnose(error, cx),
            },
            State::Request(call) => match cx.poll(call)? {
                Ok(started) => {
                    self.wait_for(started.checkpoint_uuid, started.incarnation_uuid, cx);
                    let (what, state) = ("newest checkpoint".to_owned(), self.checkpoint.clone());
                    cx.say(Notice::Observed { what, state });
                    if self.process.is_some() {
                        self.seen = None;
                    }
                    self.save(cx);
                    if self.process.is_none() { self.look(cx) } else { self.status(cx) }
                }
                Err(error) => self.diagnose(error, cx),
            },
            State::Stats(call) => match cx.poll(call)? {
                Ok(stats) => match (stats.global_metrics.process(), &self.seen) {
                    (process, Some(seen)) if process.as_ref() != Some(seen) => self.restarted(None, cx),
                    (_, Some(_)) => self.status(cx),
                    (process, None) => {
                        self.seen = process;
                        self.save(cx);
                        self.status(cx);
                    }
                },
                Err(error) => self.diagnose(error, cx),
            },
            State::Status(call) => match cx.poll(call)? {
                Ok(status) => {
                    if let Some(result) = self.decide(&status, cx) {
                        return done(result);
                    }
                }
                Err(FlowError::Service(error)) if error_code(&error) == Some(ErrorCode::IncarnationUuidMismatch) => {
                    self.restarted(error.details().map(str::to_owned), cx);
                }
                Err(error) => self.diagnose(error, cx),
            },
            State::Wait(until) => {
                cx.wait(*until, "the checkpoint to be sent")?;
                if self.process.is_none() && self.poll_at <= cx.now() { self.look(cx) } else { self.status(cx) }
            }
            State::Remote(call, why) => {
                let listed = cx.poll(call)?;
                let why = why.clone();
                if let Some(result) = self.listed(listed, why, cx) {
                    return done(result);
                }
            }
            State::Diagnosis(diagnosis) => {
                let error = diagnosis.poll(cx)?;
                return done(Err(match error {
                    error @ FlowError::Failed(_) if !self.checkpoint.is_empty() => {
                        self.lost(error, "its outcome was never reported".to_owned())
                    }
                    error => error,
                }));
            }
        }
        ControlFlow::Continue(())
    }
}

impl From<SyncState> for SyncCheckpoint {
    fn from(state: SyncState) -> Self {
        Self { pipeline: state.pipeline.clone(), timeout: None, resumed: Some(state) }
    }
}

impl From<SyncCheckpoint> for SyncMachine {
    fn from(goal: SyncCheckpoint) -> Self {
        SyncMachine {
            pipeline: goal.pipeline,
            process: None,
            checkpoint: String::new(),
            seen: None,
            poll_at: Timestamp::UNIX_EPOCH,
            before: (None, None),
            stale_until: None,
            told: (None, None),
            ask_at: Timestamp::UNIX_EPOCH,
            over_at: None,
            pace: PollInterval::START,
            state: State::Start(goal.resumed),
        }
    }
}

goal!(SyncCheckpoint: FelderaApi => Synced, SyncMachine, resume SyncState);
