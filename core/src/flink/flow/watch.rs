//! The event flow [`WatchJob`].
//!
//! ```text
//!  Status ──▶ changed? an event ──▶ Exceptions ──▶ new? events, oldest first ──▶ Wait ──▶ Status
//!     └─────▶ it has ended ──▶ Config ──▶ Settle ──▶ Last: exceptions ──▶ Result ──▶ the last event
//! ```
//!
//! The cluster caches exceptions (`web.refresh-interval`, 3 s), but not the status. So if the job has ended, the flow
//! waits until the cache cannot be older than the end. Then it misses no exception.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::time::Duration;

use super::await_job::JobReport;
use crate::error::{FlowError, Misuse};
use crate::flink::cluster::GetConfig;
use crate::flink::jobs::{
    ExceptionInfo, Exceptions, GetJobExceptions, GetJobExecutionResult, GetJobStatus, JobResult, JobState,
};
use crate::flink::tuning::{MAX_EXCEPTIONS, MAX_KNOWN_EXCEPTIONS, WATCH_INTERVAL};
use crate::flink::{FlinkRest, JobId, Millis};
use crate::flow::{Call, FlowContext, Runner, StateMachine, Transition, done, goal};
use crate::time::Timestamp;

/// Watches a job for a dashboard or an alarm: yields each change of its state and each exception once, until the job
/// has ended.
///
/// This is an **event flow**: drive it with [`Client::start`](crate::driver::Client::start). The last event is
/// [`JobEvent::Ended`].
///
/// The flow polls the state once per [`poll_interval`](Self::poll_interval), and may miss a state that lasts shorter.
/// It misses exceptions only if more of them occur between two polls than the cluster remembers
/// (`web.exception-history-size`, 16 by default). It first yields the exceptions from before the watch, oldest first.
///
/// # Errors
/// * [`FlowError::Service`] if the cluster does not know the job, or has forgotten it (see
///   [`is_unknown_job`](crate::flink::is_unknown_job)).
/// * [`FlowError::Deadline`] if the [`timeout`](Self::timeout) expires.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> { Ok(()) }
/// # fn with(flink: pipewright::flink::Flink<impl pipewright::driver::Runtime>, job: pipewright::flink::JobId)
/// # -> Result<(), Box<dyn std::error::Error>> {
/// use pipewright::flink::{JobEvent, WatchJob};
///
/// let mut watch = flink.start(WatchJob::new(job));
/// while let Some(event) = watch.next()? {
///     match event {
///         JobEvent::State(state) => println!("{state}"),
///         JobEvent::Exception(exception) => println!("{}", exception.exception_name.unwrap_or_default()),
///         JobEvent::Ended(report) => println!("{}", report.state),
///         _ => {}
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct WatchJob {
    job: JobId,
    poll_interval: Duration,
    timeout: Option<Duration>,
}

impl WatchJob {
    /// Creates the goal for a job.
    pub fn new(job: JobId) -> Self {
        Self { job, poll_interval: WATCH_INTERVAL, timeout: None }
    }

    /// Sets the time between two polls; 1 s by default.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }
}

/// An event of a [`WatchJob`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum JobEvent {
    /// The job has another state than at the last poll. Its first state is an event too.
    State(JobState),
    /// A task, or the job as a whole, has failed with this exception.
    Exception(ExceptionInfo),
    /// The job has ended. The last event.
    Ended(JobReport),
}

/// A running [`WatchJob`]. Created by [`WatchJob::start`](crate::flow::Goal::start); poll it again after each event.
#[derive(Debug)]
#[must_use = "an event flow does nothing until it is polled"]
pub struct JobWatch {
    runner: Runner<WatchMachine>,
}

/// The transitions of [`WatchJob`].
#[derive(Debug)]
pub(crate) struct WatchMachine {
    goal: WatchJob,
    last_state: Option<JobState>,
    /// The newest yielded exceptions, so that each is yielded once.
    known: VecDeque<Key>,
    events: VecDeque<JobEvent>,
    state: State,
}

/// The identity of an exception.
type Key = (Option<Millis>, Option<String>, Option<String>);

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
    /// The last event is yielded.
    Ended,
}

impl From<WatchJob> for WatchMachine {
    fn from(goal: WatchJob) -> Self {
        Self { goal, last_state: None, known: VecDeque::new(), events: VecDeque::new(), state: State::Start }
    }
}

impl WatchMachine {
    fn exceptions(&self, cx: &mut FlowContext<FlinkRest>) -> Call<GetJobExceptions> {
        // Without a limit, the server returns at most 20 exceptions.
        cx.call(GetJobExceptions::new(self.goal.job).max_exceptions(MAX_EXCEPTIONS))
    }

    /// Queues an event for each new exception, oldest first.
    fn found(&mut self, exceptions: Exceptions) {
        let Some(history) = exceptions.history else { return };
        for exception in history.entries.into_iter().rev() {
            let key = (exception.timestamp, exception.exception_name.clone(), exception.task_name.clone());
            if !self.known.contains(&key) {
                self.known.push_back(key);
                self.events.push_back(JobEvent::Exception(exception));
            }
        }
        while self.known.len() > MAX_KNOWN_EXCEPTIONS {
            self.known.pop_front();
        }
    }

    fn saw(&mut self, state: JobState, cx: &mut FlowContext<FlinkRest>) {
        let is_terminal = state.is_terminal();
        if self.last_state.as_ref() != Some(&state) {
            self.events.push_back(JobEvent::State(state.clone()));
        }
        self.last_state = Some(state);
        self.state =
            if is_terminal { State::Config(cx.call(GetConfig::new())) } else { State::Exceptions(self.exceptions(cx)) };
    }

    fn report(&self, result: Option<JobResult>) -> JobReport {
        let state = self.last_state.clone().unwrap_or(JobState::Unknown("".into()));
        JobReport { job: self.goal.job, state, result }
    }
}

impl StateMachine for WatchMachine {
    type Service = FlinkRest;
    type Output = JobEvent;
    const NAME: &'static str = "WatchJob";

    fn transition(&mut self, cx: &mut FlowContext<FlinkRest>) -> Transition<JobEvent> {
        // No request is outstanding while events are left.
        if let Some(event) = self.events.pop_front() {
            return done(Ok(event));
        }
        match &mut self.state {
            State::Start => self.state = State::Status(cx.call(GetJobStatus::new(self.goal.job))),
            State::Status(call) => match cx.poll(call)? {
                Ok(job) => self.saw(job.status, cx),
                Err(error) => return done(Err(error)),
            },
            State::Exceptions(call) => match cx.poll(call)? {
                Ok(exceptions) => {
                    self.found(exceptions);
                    self.state = State::Wait(cx.now() + self.goal.poll_interval);
                }
                Err(error) => return done(Err(error)),
            },
            State::Wait(until) => {
                cx.wait(*until, "the job")?;
                self.state = State::Start;
            }
            State::Config(call) => match cx.poll(call)? {
                Ok(config) => self.state = State::Settle(cx.now() + config.freshness()),
                Err(error) => return done(Err(error)),
            },
            State::Settle(until) => {
                cx.wait(*until, "the last exceptions")?;
                self.state = State::Last(self.exceptions(cx));
            }
            State::Last(call) => match cx.poll(call)? {
                Ok(exceptions) => {
                    self.found(exceptions);
                    self.state = State::Result(cx.call(GetJobExecutionResult::new(self.goal.job)));
                }
                Err(error) => return done(Err(error)),
            },
            State::Result(call) => {
                // The final state is known. The cluster may have forgotten the result.
                let result = cx.poll(call)?.ok().and_then(|result| result.result);
                self.events.push_back(JobEvent::Ended(self.report(result)));
                self.state = State::Ended;
            }
            State::Ended => return done(Err(FlowError::Misuse(Misuse::PolledAfterDone))),
        }
        ControlFlow::Continue(())
    }

    fn is_last(&self, event: &JobEvent) -> bool {
        matches!(event, JobEvent::Ended(_))
    }
}

goal!(WatchJob: FlinkRest => JobEvent, WatchMachine, events JobWatch);
