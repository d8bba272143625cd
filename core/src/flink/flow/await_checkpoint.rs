//! The goal [`AwaitCheckpoint`].
//!
//! ```text
//!  Poll ──▶ a newer checkpoint ──▶ done
//!   ▲ └──▶ none yet ──▶ Status ──▶ the job has ended: Last ──▶ done, or failed
//!   └────────── Wait ◀────┘ the job has not ended
//! ```
//!
//! The cluster caches the checkpoint statistics (3 s), but not the status. So if the job has ended, the flow waits
//! until the cache cannot be older than the end, and reads the statistics once more.

use std::ops::ControlFlow;
use std::time::Duration;

use super::PollInterval;
use crate::error::FlowError;
use crate::flink::checkpoints::{Checkpoint, Checkpoints, GetCheckpoints};
use crate::flink::cluster::GetConfig;
use crate::flink::jobs::{GetJobStatus, JobState};
use crate::flink::{FlinkRest, JobId};
use crate::flow::{Call, FlowContext, Notice, StateMachine, Transition, done, goal};
use crate::time::Timestamp;

/// Waits until a job has completed a checkpoint, periodic or triggered by a client. Savepoints do not count.
///
/// The flow triggers no checkpoint. If the job has no periodic checkpoints, it waits until its timeout: use
/// [`TriggerCheckpoint`](super::TriggerCheckpoint) instead.
///
/// # Errors
/// * [`FlowError::Failed`] if the job ends without such a checkpoint.
/// * [`FlowError::Service`] if the cluster does not know the job (see
///   [`is_unknown_job`](crate::flink::is_unknown_job)).
/// * [`FlowError::Deadline`] if the [`timeout`](Self::timeout) expires.
///
/// ```
/// use pipewright::flink::{AwaitCheckpoint, JobId};
/// use std::time::Duration;
/// let job: JobId = "4c7e6f1c8d3b0a5fd2e19a7b3c8d4e5f".parse()?;
/// let goal = AwaitCheckpoint::next(job).timeout(Duration::from_secs(300));
/// # Ok::<(), pipewright::error::BuildError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct AwaitCheckpoint {
    job: JobId,
    after: After,
    timeout: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
enum After {
    Any,
    Next,
    Number(i64),
}

impl AwaitCheckpoint {
    /// Accepts any completed checkpoint, even if it was completed before the flow began.
    pub fn any(job: JobId) -> Self {
        Self { job, after: After::Any, timeout: None }
    }

    /// Waits for a checkpoint that is newer than the newest checkpoint in the flow's first response. The cluster caches
    /// that response for 3 s, so the checkpoint may have completed up to 3 s before the flow began.
    pub fn next(job: JobId) -> Self {
        Self { job, after: After::Next, timeout: None }
    }

    /// Waits for a checkpoint with a higher number.
    pub fn after(job: JobId, number: i64) -> Self {
        Self { job, after: After::Number(number), timeout: None }
    }
}

/// The transitions of [`AwaitCheckpoint`].
#[derive(Debug)]
pub struct AwaitCheckpointMachine {
    job: JobId,
    after: After,
    failed: i64,
    /// Why the last failed checkpoint failed.
    failure: Option<String>,
    /// The number of the newest completed checkpoint.
    newest: Option<i64>,
    pace: PollInterval,
    state: State,
}

#[derive(Debug)]
enum State {
    Start,
    Poll(Call<GetCheckpoints>),
    Status(Call<GetJobStatus>),
    /// The job has ended: reads how long the cluster caches a response.
    Config(Call<GetConfig>, JobState),
    Settle(Timestamp, JobState),
    Last(Call<GetCheckpoints>, JobState),
    Wait(Timestamp),
}

impl AwaitCheckpointMachine {
    /// Describes the progress while no checkpoint is new enough.
    fn so_far(&self, state: &JobState) -> String {
        let newest = match self.newest {
            Some(id) => format!("the newest completed checkpoint is {id}"),
            None => "no checkpoint is completed".to_owned(),
        };
        let failure = self.failure.as_ref().map(|failure| format!("; {failure}")).unwrap_or_default();
        format!("{state}; {newest}{failure}")
    }

    /// Returns the newest completed checkpoint if it is new enough.
    fn found(&mut self, checkpoints: Checkpoints) -> Option<Checkpoint> {
        let completed = checkpoints.latest.completed;
        let newest = completed.as_ref().map_or(0, |checkpoint| checkpoint.id);
        match self.after {
            After::Any => completed,
            After::Next => {
                self.after = After::Number(newest);
                None
            }
            After::Number(number) => completed.filter(|checkpoint| checkpoint.id > number),
        }
    }
}

impl StateMachine for AwaitCheckpointMachine {
    type Service = FlinkRest;
    type Output = Checkpoint;
    const NAME: &'static str = "AwaitCheckpoint";

    fn transition(&mut self, cx: &mut FlowContext<FlinkRest>) -> Transition<Checkpoint> {
        match &mut self.state {
            State::Start => self.state = State::Poll(cx.call(GetCheckpoints::new(self.job))),
            State::Poll(call) => match cx.poll(call)? {
                Ok(checkpoints) => {
                    let failed = checkpoints.counts.failed.unwrap_or(self.failed);
                    if failed > std::mem::replace(&mut self.failed, failed) {
                        let why = checkpoints.latest.failed.as_ref().and_then(|failed| failed.failure_message.clone());
                        let state = format!("{failed} checkpoints failed: {}", why.unwrap_or_default());
                        self.failure = Some(state.clone());
                        cx.say(Notice::Observed { what: format!("job {}", self.job), state });
                    }
                    self.newest = checkpoints.latest.completed.as_ref().map(|checkpoint| checkpoint.id);
                    if let Some(checkpoint) = self.found(checkpoints) {
                        return done(Ok(checkpoint));
                    }
                    self.state = State::Status(cx.call(GetJobStatus::new(self.job)));
                }
                Err(error) => return done(Err(error)),
            },
            State::Status(call) => match cx.poll(call)? {
                Ok(job) if job.status.is_terminal() => {
                    self.state = State::Config(cx.call(GetConfig::new()), job.status);
                }
                Ok(job) => {
                    cx.note(format!("job {}", self.job), self.so_far(&job.status));
                    self.state = State::Wait(self.pace.next(cx.now()));
                }
                Err(error) => return done(Err(error)),
            },
            State::Config(call, state) => match cx.poll(call)? {
                Ok(config) => self.state = State::Settle(cx.now() + config.freshness(), state.clone()),
                Err(error) => return done(Err(error)),
            },
            State::Settle(until, state) => {
                cx.wait(*until, "the last statistics")?;
                self.state = State::Last(cx.call(GetCheckpoints::new(self.job)), state.clone());
            }
            State::Last(call, state) => {
                let result = cx.poll(call)?;
                let what = format!("checkpoint of job {}", self.job);
                let reason = format!("the job is {state}, and completed no such checkpoint");
                return done(result.and_then(|checkpoints| {
                    let failure = FlowError::failed(what, reason);
                    self.found(checkpoints).ok_or(failure)
                }));
            }
            State::Wait(until) => {
                cx.wait(*until, "a checkpoint")?;
                self.state = State::Start;
            }
        }
        ControlFlow::Continue(())
    }
}

impl From<AwaitCheckpoint> for AwaitCheckpointMachine {
    fn from(goal: AwaitCheckpoint) -> Self {
        let (job, after) = (goal.job, goal.after);
        let (failed, failure, newest, pace) = (0, None, None, PollInterval::START);
        AwaitCheckpointMachine { job, after, failed, failure, newest, pace, state: State::Start }
    }
}

goal!(AwaitCheckpoint: FlinkRest => Checkpoint, AwaitCheckpointMachine);
