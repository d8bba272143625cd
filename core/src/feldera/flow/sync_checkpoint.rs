//! The goal [`SyncCheckpoint`].
//!
//! ```text
//!  Before ──▶ Request ──id, saved──▶ Status ◀──▶ Wait
//!                                     │ ├─▶ done, failed
//!                          resumed ───┘ └─ another process ─▶ Remote ─▶ done, ambiguous
//! ```
//!
//! | what is sent is checkpoint U, and the status says | then |
//! |---|---|
//! | success = U | done, also when it was sent before |
//! | failure = U, and it is not the one from before the request | failed, with its reason |
//! | failure = U, as before the request | Wait; failed when that stays so for a minute: the newest attempt cannot be told from it |
//! | anything else | Wait |
//! | 400 `IncarnationUuidMismatch` | Remote: is it in the store? done; otherwise **ambiguous** |
//!
//! A process that takes no id (before 0.337) is known by its statistics, which are looked at right after the request and each
//! 5 s: those of another one lead to Remote, too.
//!
//! Invariants: ids are compared, never order: only the last success and the last failure are told. What the process says that
//! it sent by itself (`periodic`) counts for nothing, because it was said too early by some releases.

use std::time::Duration;

use super::inquiry::Inquiry;
use super::pulse::{BEAT, PATIENCE};
use super::{Interruption, Pace};
use crate::error::{Ambiguity, Failure, FlowError};
use crate::feldera::checkpoints::{CheckpointSyncFailure, CheckpointSyncStatus};
use crate::feldera::{
    ErrorCode, FelderaApi, GetCheckpointSyncStatus, GetStats, ListRemoteCheckpoints, StartCheckpointSync, error_code,
};
use crate::flow::{Call, Common, Config, Flow as _, Goal, Machine, Notice, Reply, Running, Saved, Step, ok};
use crate::operation::Operation as _;
use crate::seed::Seed;
use crate::table::records;
use crate::time::Timestamp;

records! {
    struct SyncState {
        /// Whose.
        pub pipeline: String = "pipeline",
        /// The process that sends, as far as it says.
        pub process: Option<String> = "process",
        /// The checkpoint; `None` when the request is about to be sent.
        pub checkpoint: Option<String> = "checkpoint",
        /// The process, if it is known only by its statistics.
        pub seen: Option<String> = "seen",
    }
}

/// Sends the newest checkpoint of a pipeline to its object store, and waits until it is there. Enterprise edition only.
///
/// Ends in
///
/// * [`FlowError::Service`]: 501 `EnterpriseFeature` by the open-source edition; 400, with the code `400`, when there is no
///   checkpoint yet: make one with [`Checkpoint`](super::Checkpoint);
/// * [`FlowError::Failed`] when sending it failed, with Feldera's reason;
/// * [`FlowError::Ambiguous`] when the process was replaced or stopped before it said, and the store does not tell.
///
/// Asking again is harmless; what is saved is the checkpoint's id and the process that sends it.
///
/// ```
/// # mod scripted { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/feldera/flow/scripted.rs")); }
/// # use scripted::Scripted;
/// # let runtime = Scripted::new([
/// #     ("GET /v0/pipelines/orders/checkpoint/sync_status", 200, r#"{"success":null,"failure":null,"periodic":null}"#),
/// #     ("POST /v0/pipelines/orders/checkpoint/sync", 202, r#"{"checkpoint_uuid":"0190","incarnation_uuid":"u"}"#),
/// #     ("GET /v0/pipelines/orders/checkpoint/sync_status", 200, r#"{"success":null,"failure":null,"periodic":null}"#),
/// #     ("GET /v0/pipelines/orders/checkpoint/sync_status", 200, r#"{"success":"0190","failure":null,"periodic":null}"#),
/// # ]);
/// use std::time::Duration;
/// use pipewright::feldera::{Feldera, SyncCheckpoint};
///
/// let feldera = Feldera::new("http://127.0.0.1:8080".parse()?, runtime);
/// let synced = feldera.run(SyncCheckpoint::new("orders").within(Duration::from_secs(600)))?;
/// assert_eq!(synced.checkpoint, "0190");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct SyncCheckpoint {
    pipeline: String,
    within: Option<Duration>,
    resumed: Option<SyncState>,
}

impl SyncCheckpoint {
    const NAME: &'static str = "SyncCheckpoint";

    /// The newest checkpoint of a pipeline.
    pub fn new(pipeline: impl Into<String>) -> Self {
        Self { pipeline: pipeline.into(), within: None, resumed: None }
    }

    /// Goes on from a state that an earlier flow announced with [`Notice::Save`]. If that was before the answer, the newest
    /// checkpoint is sent, whichever that is by now.
    ///
    /// # Errors
    /// [`FlowError::Misuse`] when the state is another flow's.
    pub fn resume(saved: &Saved) -> Result<Self, FlowError> {
        let state: SyncState = saved.read(Self::NAME)?;
        Ok(Self { pipeline: state.pipeline.clone(), within: None, resumed: Some(state) })
    }

    /// How long the flow may take; as long as it takes by default.
    pub fn within(mut self, time: Duration) -> Self {
        self.within = Some(time);
        self
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
#[doc(hidden)]
#[derive(Debug)]
pub struct SyncMachine {
    pipeline: String,
    process: Option<String>,
    checkpoint: String,
    /// The process, if it is known only by its statistics.
    seen: Option<String>,
    /// When to look at these again.
    look_at: Timestamp,
    /// The failure that was known before the request.
    stale: Option<CheckpointSyncFailure>,
    /// Until when the same failure may be that old one.
    stale_until: Option<Timestamp>,
    pace: Pace,
    state: State,
}

#[derive(Debug)]
enum State {
    Start(Option<SyncState>),
    Before(Call<GetCheckpointSyncStatus>),
    Request(Call<StartCheckpointSync>),
    Stats(Call<GetStats>),
    Status(Call<GetCheckpointSyncStatus>),
    Wait(Timestamp),
    Remote(Call<ListRemoteCheckpoints>, FlowError),
    Inquiry(Inquiry),
}

impl SyncMachine {
    fn what(&self) -> String {
        match &*self.checkpoint {
            "" => format!("sending the newest checkpoint of pipeline {}", self.pipeline),
            checkpoint => format!("sending checkpoint {checkpoint} of pipeline {}", self.pipeline),
        }
    }

    fn inquire(&mut self, refusal: FlowError, cx: &mut Common<FelderaApi>) {
        let had_process = !self.checkpoint.is_empty();
        self.state = State::Inquiry(Inquiry::new(&self.pipeline, self.what(), refusal, had_process, cx));
    }

    fn save(&self, cx: &mut Common<FelderaApi>) {
        let checkpoint = Some(self.checkpoint.clone()).filter(|checkpoint| !checkpoint.is_empty());
        let (process, seen) = (self.process.clone(), self.seen.clone());
        let state = SyncState { pipeline: self.pipeline.clone(), process, checkpoint, seen };
        cx.save(Saved::new(SyncCheckpoint::NAME, &state));
    }

    fn look(&mut self, cx: &mut Common<FelderaApi>) {
        self.look_at = cx.now() + BEAT;
        self.state = State::Stats(cx.call(GetStats::new(self.pipeline.clone())));
    }

    /// Another process than the one that was asked answers.
    fn restarted(&mut self, details: Option<String>, cx: &mut Common<FelderaApi>) {
        let error = Interruption::Restarted.into_error(self.what(), details);
        self.state = State::Remote(cx.call(ListRemoteCheckpoints::new(self.pipeline.clone())), error);
    }

    fn status(&mut self, cx: &mut Common<FelderaApi>) {
        let mut status = GetCheckpointSyncStatus::new(self.pipeline.clone());
        status.incarnation_uuid.clone_from(&self.process);
        self.state = State::Status(cx.call(status));
    }

    fn judge(
        &mut self,
        status: &CheckpointSyncStatus,
        cx: &mut Common<FelderaApi>,
    ) -> Option<Result<Synced, FlowError>> {
        if status.success.as_ref() == Some(&self.checkpoint) {
            return Some(Ok(Synced { checkpoint: self.checkpoint.clone() }));
        }
        if let Some(failure) = status.failure.as_ref().filter(|failure| failure.uuid == self.checkpoint) {
            let until = *self.stale_until.get_or_insert(cx.now() + PATIENCE);
            if self.stale.as_ref() != Some(failure) || until <= cx.now() {
                let (what, reason) = (self.what(), failure.error.clone());
                return Some(Err(FlowError::Failed(Failure { what, reason, details: None, cause: None })));
            }
        }
        self.state = State::Wait(self.pace.next(cx.now()));
        None
    }
}

/// Nobody knows what became of it.
fn lost(cause: FlowError, found: String) -> FlowError {
    FlowError::Ambiguous(Ambiguity {
        operation: StartCheckpointSync::INFO.name,
        cause: Box::new(cause),
        unanswered: false,
        found: Some(found),
    })
}

impl Machine for SyncMachine {
    type Service = FelderaApi;
    type Output = Synced;
    const NAME: &'static str = SyncCheckpoint::NAME;

    fn step(&mut self, cx: &mut Common<FelderaApi>, reply: &mut Option<Reply>) -> Step<Synced> {
        loop {
            if let Some(notice) = cx.next_notice(reply.as_ref()) {
                return Step::Notice(notice);
            }
            match &mut self.state {
                State::Start(resumed) => match resumed.take() {
                    Some(SyncState { checkpoint: Some(checkpoint), process, seen, .. }) => {
                        (self.checkpoint, self.process, self.seen) = (checkpoint, process, seen);
                        if self.process.is_none() { self.look(cx) } else { self.status(cx) }
                    }
                    _ => self.state = State::Before(cx.call(GetCheckpointSyncStatus::new(self.pipeline.clone()))),
                },
                State::Before(call) => match ok!(call.poll(cx.now(), reply.take())) {
                    Ok(status) => {
                        self.stale = status.failure;
                        cx.phase(Self::NAME, "sending the newest checkpoint");
                        self.save(cx);
                        self.state = State::Request(cx.call(StartCheckpointSync::new(self.pipeline.clone())));
                    }
                    Err(error) => self.inquire(error, cx),
                },
                State::Request(call) => match ok!(call.poll(cx.now(), reply.take())) {
                    Ok(started) => {
                        (self.checkpoint, self.process) = (started.checkpoint_uuid, started.incarnation_uuid);
                        let (what, state) = ("newest checkpoint".to_owned(), self.checkpoint.clone());
                        cx.say(Notice::Observed { what, state });
                        if self.process.is_none() {
                            self.look(cx);
                        } else {
                            self.save(cx);
                            self.status(cx);
                        }
                    }
                    Err(error) => self.inquire(error, cx),
                },
                State::Stats(call) => match ok!(call.poll(cx.now(), reply.take())) {
                    Ok(stats) => match (stats.global_metrics.process(), &self.seen) {
                        (process, Some(seen)) if process.as_ref() != Some(seen) => self.restarted(None, cx),
                        (_, Some(_)) => self.status(cx),
                        (process, None) => {
                            self.seen = process;
                            self.save(cx);
                            self.status(cx);
                        }
                    },
                    Err(error) => self.inquire(error, cx),
                },
                State::Status(call) => match ok!(call.poll(cx.now(), reply.take())) {
                    Ok(status) => {
                        if let Some(result) = self.judge(&status, cx) {
                            return Step::Done(result);
                        }
                    }
                    Err(FlowError::Service(error))
                        if error_code(&error) == Some(ErrorCode::IncarnationUuidMismatch) =>
                    {
                        self.restarted(error.details().map(str::to_owned), cx);
                    }
                    Err(error) => self.inquire(error, cx),
                },
                State::Wait(until) => {
                    if let Some(step) = cx.wait_until(*until, "the checkpoint to be sent", reply) {
                        return step;
                    }
                    if self.process.is_none() && self.look_at <= cx.now() { self.look(cx) } else { self.status(cx) }
                }
                State::Remote(call, cause) => {
                    let listed = ok!(call.poll(cx.now(), reply.take()));
                    let cause = cause.clone();
                    return Step::Done(match listed {
                        Ok(listed) if listed.iter().any(|remote| remote.uuid == self.checkpoint) => {
                            Ok(Synced { checkpoint: self.checkpoint.clone() })
                        }
                        Ok(_) => Err(lost(cause, "the store does not list it".to_owned())),
                        Err(error) => Err(lost(cause, format!("the store could not be listed: {error}"))),
                    });
                }
                State::Inquiry(inquiry) => {
                    let (Ok(error) | Err(error)) = ok!(inquiry.poll(cx.now(), reply.take()));
                    return Step::Done(Err(match error {
                        error @ FlowError::Failed(_) if !self.checkpoint.is_empty() => {
                            lost(error, "there was no word of it".to_owned())
                        }
                        error => error,
                    }));
                }
            }
        }
    }
}

impl Goal for SyncCheckpoint {
    type Service = FelderaApi;
    type Output = Synced;
    type Flow = Running<SyncMachine>;

    fn start(self, config: &Config<FelderaApi>, seed: Seed) -> Self::Flow {
        let machine = SyncMachine {
            pipeline: self.pipeline,
            process: None,
            checkpoint: String::new(),
            seen: None,
            look_at: Timestamp::UNIX_EPOCH,
            stale: None,
            stale_until: None,
            pace: Pace::START,
            state: State::Start(self.resumed),
        };
        Running::new(machine, config, seed, self.within)
    }
}
