//! The session [`WatchJob`].
//!
//! ```text
//!  Status ──▶ changed? an event ──▶ Exceptions ──▶ new ones? events, oldest first ──▶ Wait ──▶ Status
//!     └─────▶ it has ended ──▶ Config ──▶ Settle ──▶ Last: exceptions ──▶ Result ──▶ the last event
//! ```
//!
//! Exceptions come from a cache (`web.refresh-interval`, 3 s), the status does not: when the job has ended, the flow waits
//! until that cache cannot be older than the end, so that no exception is missed.

use std::collections::VecDeque;
use std::time::Duration;

use super::await_job::JobReport;
use crate::error::{FlowError, Misuse};
use crate::flink::jobs::{ExceptionInfo, Exceptions};
use crate::flink::{
    FlinkRest, GetConfig, GetJobExceptions, GetJobExecutionResult, GetJobStatus, JobId, JobState, Millis,
};
use crate::flow::{Call, Config, Flow, Goal, Reply, Step, ready};
use crate::seed::Seed;
use crate::time::Timestamp;

/// Watches a job: yields each change of its state and each exception once, until it has ended. For dashboards and alarms.
///
/// A **session**: after each [`JobEvent`] it is polled again, as with `driver::run(&mut watch, …)`. The last event is
/// [`JobEvent::Ended`]. States are looked at [`every`](Self::every) second, so that one that lasts shorter may be missed;
/// exceptions are not, unless there come more of them between two looks than the cluster remembers
/// (`web.exception-history-size`, 16). Those from before the watch begins are yielded too, oldest first.
///
/// Ends in [`FlowError::Service`] for a job that the cluster does not know, or no longer knows (see
/// [`is_unknown_job`](crate::flink::is_unknown_job)).
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> { Ok(()) }
/// # fn with<T>(flink: pipewright::flink::Flink<T>, job: pipewright::flink::JobId) -> Result<(), Box<dyn std::error::Error>>
/// # where T: pipewright::driver::Transport + pipewright::driver::Clock + pipewright::driver::Entropy {
/// use pipewright::driver::{self, NoCredentials};
/// use pipewright::flink::{JobEvent, WatchJob};
/// use pipewright::flow::Goal as _;
///
/// let mut watch = WatchJob::new(job).start(flink.config(), flink.seed());
/// loop {
///     match driver::run(&mut watch, flink.runtime(), &NoCredentials, drop)? {
///         JobEvent::State(state) => println!("{state}"),
///         JobEvent::Exception(exception) => println!("{}", exception.exception_name),
///         JobEvent::Ended(report) => break println!("{}", report.state),
///         _ => {}
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct WatchJob {
    job: JobId,
    every: Duration,
}

impl WatchJob {
    /// Watches a job, once a second.
    pub fn new(job: JobId) -> Self {
        Self { job, every: Duration::from_secs(1) }
    }

    /// How often to look.
    pub fn every(mut self, interval: Duration) -> Self {
        self.every = interval;
        self
    }
}

/// What a [`WatchJob`] yields.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum JobEvent {
    /// The job has another state than at the last look. Its first state is an event too.
    State(JobState),
    /// The job ran into something.
    Exception(ExceptionInfo),
    /// The job has ended, and nothing more comes.
    Ended(JobReport),
}

/// A job being watched. Made by [`WatchJob::start`](Goal::start); poll it again after each event.
#[derive(Debug)]
#[must_use = "a session does nothing until it is polled"]
pub struct JobWatch {
    goal: WatchJob,
    config: Config<FlinkRest>,
    seed: Seed,
    now: Timestamp,
    seen: Option<JobState>,
    /// The newest exceptions that were yielded.
    known: VecDeque<Key>,
    events: VecDeque<JobEvent>,
    state: State,
}

/// What tells exceptions apart.
type Key = (Millis, String, Option<String>);

/// How many exceptions are remembered: more than any answer holds.
const KNOWN: usize = 1024;

#[derive(Debug)]
enum State {
    Start,
    Status(Call<GetJobStatus>),
    Exceptions(Call<GetJobExceptions>),
    Wait(Timestamp),
    Config(Call<GetConfig>),
    Settle(Timestamp),
    Last(Call<GetJobExceptions>),
    Result(Call<GetJobExecutionResult>),
    Ended(FlowError),
}

impl JobWatch {
    fn call<O: crate::Operation<Service = FlinkRest>>(&mut self, operation: O) -> Call<O> {
        Call::new(operation, &self.config, self.seed.split())
    }

    fn exceptions(&mut self) -> GetJobExceptions {
        // The server would cut the list at 20 by itself.
        GetJobExceptions::new(self.goal.job).max_exceptions(1000_u32)
    }

    /// Queues what is new, oldest first.
    fn found(&mut self, exceptions: Exceptions) {
        let Some(history) = exceptions.history else { return };
        for exception in history.entries.into_iter().rev() {
            let key = (exception.timestamp, exception.exception_name.clone(), exception.task_name.clone());
            if !self.known.contains(&key) {
                self.known.push_back(key);
                self.events.push_back(JobEvent::Exception(exception));
            }
        }
        while self.known.len() > KNOWN {
            self.known.pop_front();
        }
    }

    fn saw(&mut self, state: JobState) {
        let is_terminal = state.is_terminal();
        if self.seen.as_ref() != Some(&state) {
            self.events.push_back(JobEvent::State(state.clone()));
        }
        self.seen = Some(state);
        self.state = if is_terminal {
            State::Config(self.call(GetConfig::new()))
        } else {
            let exceptions = self.exceptions();
            State::Exceptions(self.call(exceptions))
        };
    }

    fn report(&self, result: Option<crate::flink::jobs::JobResult>) -> JobReport {
        let state = self.seen.clone().unwrap_or(JobState::Unknown("".into()));
        JobReport { job: self.goal.job, state, result }
    }

    fn wait_until(&self, until: Timestamp, reply: &mut Option<Reply>) -> Option<Step<JobEvent>> {
        if let Some(stray) = reply.take() {
            return Some(Step::Stray(stray));
        }
        (until > self.now).then_some(Step::WaitUntil(until))
    }

    fn fail(&mut self, error: FlowError) -> Step<JobEvent> {
        self.state = State::Ended(error.clone());
        Step::Done(Err(error))
    }
}

impl Flow for JobWatch {
    type Output = JobEvent;

    fn poll(&mut self, now: Timestamp, reply: Option<Reply>) -> Step<JobEvent> {
        self.now = self.now.max(now);
        let mut reply = reply;
        loop {
            // Events wait until a reply is taken, and no call is out while there are any.
            if let Some(event) = self.events.pop_front() {
                if let Some(stray) = reply.take() {
                    self.events.push_front(event);
                    return Step::Stray(stray);
                }
                return Step::Done(Ok(event));
            }
            match &mut self.state {
                State::Start => {
                    let job = self.goal.job;
                    self.state = State::Status(self.call(GetJobStatus::new(job)));
                }
                State::Status(call) => match ready!(call.poll(self.now, reply.take())) {
                    Ok(job) => self.saw(job.status),
                    Err(error) => return self.fail(error),
                },
                State::Exceptions(call) => match ready!(call.poll(self.now, reply.take())) {
                    Ok(exceptions) => {
                        self.found(exceptions);
                        self.state = State::Wait(self.now + self.goal.every);
                    }
                    Err(error) => return self.fail(error),
                },
                State::Wait(until) => {
                    let until = *until;
                    if let Some(step) = self.wait_until(until, &mut reply) {
                        return step;
                    }
                    self.state = State::Start;
                }
                State::Config(call) => match ready!(call.poll(self.now, reply.take())) {
                    Ok(config) => self.state = State::Settle(self.now + config.freshness()),
                    Err(error) => return self.fail(error),
                },
                State::Settle(until) => {
                    let until = *until;
                    if let Some(step) = self.wait_until(until, &mut reply) {
                        return step;
                    }
                    let exceptions = self.exceptions();
                    self.state = State::Last(self.call(exceptions));
                }
                State::Last(call) => match ready!(call.poll(self.now, reply.take())) {
                    Ok(exceptions) => {
                        self.found(exceptions);
                        let job = self.goal.job;
                        self.state = State::Result(self.call(GetJobExecutionResult::new(job)));
                    }
                    Err(error) => return self.fail(error),
                },
                State::Result(call) => {
                    // How it ended is known; the rest may be forgotten by now.
                    let result = ready!(call.poll(self.now, reply.take())).ok().and_then(|result| result.result);
                    self.events.push_back(JobEvent::Ended(self.report(result)));
                    self.state = State::Ended(FlowError::Misuse(Misuse::PolledAfterDone));
                }
                State::Ended(error) => {
                    let error = error.clone();
                    return reply.map_or(Step::Done(Err(error)), Step::Stray);
                }
            }
        }
    }
}

impl Goal for WatchJob {
    type Service = FlinkRest;
    type Output = JobEvent;
    type Flow = JobWatch;

    fn start(self, config: &Config<FlinkRest>, seed: Seed) -> JobWatch {
        JobWatch {
            goal: self,
            config: config.clone(),
            seed,
            now: Timestamp::UNIX_EPOCH,
            seen: None,
            known: VecDeque::new(),
            events: VecDeque::new(),
            state: State::Start,
        }
    }
}
