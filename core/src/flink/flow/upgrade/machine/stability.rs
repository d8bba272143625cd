//! [`StabilityCheck`]: checks whether a job keeps all its tasks running for some time.
//!
//! The list of jobs is not cached, and says when a task last entered its state. If that time is the same as before, no
//! task was restarted, also between two polls.

use std::ops::ControlFlow;

use crate::error::FlowError;
use crate::flink::flow::PollInterval;
use crate::flink::flow::await_job::{TaskMark, unreadable_jobs};
use crate::flink::flow::lookup_retry::LookupRetry;
use crate::flink::flow::observation_window::ObservationWindow;
use crate::flink::jobs::GetJobsOverview;
use crate::flink::{FlinkRest, JobId};
use crate::flow::{Call, FlowContext, Polled};
use crate::time::Timestamp;

/// Polls a job until it has been stable for long enough, or a task has left RUNNING.
#[derive(Debug)]
pub(super) struct StabilityCheck {
    job: JobId,
    /// The tasks before the job's first checkpoint.
    mark: TaskMark,
    /// When the job has run for long enough.
    until: Timestamp,
    requested_at: Timestamp,
    observed: ObservationWindow,
    retry: LookupRetry,
    pace: PollInterval,
    state: State,
}

#[derive(Debug)]
enum State {
    Start,
    Poll(Call<GetJobsOverview>),
    Wait(Timestamp),
}

/// The result of the check.
#[derive(Debug)]
pub(super) enum Stability {
    /// No task was restarted.
    Stable,
    /// All tasks run or have finished, and this many have finished: more than before.
    TasksFinished(u32),
    /// A task or the job has left RUNNING.
    Unstable(String),
}

impl StabilityCheck {
    pub(super) fn new(job: JobId, mark: TaskMark, until: Timestamp, observed: ObservationWindow) -> Self {
        let requested_at = Timestamp::UNIX_EPOCH;
        Self {
            job,
            mark,
            until,
            requested_at,
            observed,
            retry: LookupRetry::default(),
            pace: PollInterval::START,
            state: State::Start,
        }
    }

    pub(super) fn observed(&self) -> ObservationWindow {
        self.observed
    }

    pub(super) fn poll<T>(&mut self, cx: &mut FlowContext<FlinkRest>) -> Polled<T, Stability> {
        loop {
            match &mut self.state {
                State::Start => {
                    self.requested_at = cx.now();
                    self.state = State::Poll(cx.call(GetJobsOverview::new()));
                }
                State::Poll(call) => match cx.poll(call)? {
                    Ok(overview) => {
                        self.observed.record(self.requested_at);
                        self.retry.answered();
                        let Some(job) = overview.jobs.iter().find(|job| job.id == self.job) else {
                            if !overview.jobs.is_complete() {
                                let error =
                                    FlowError::failed(format!("job {}", self.job), unreadable_jobs(&overview.jobs));
                                return ControlFlow::Continue(Err(error));
                            }
                            return ControlFlow::Continue(Ok(Stability::Unstable(
                                "the cluster does not list it".to_owned(),
                            )));
                        };
                        match TaskMark::of(job) {
                            Some(mark) if mark == self.mark && self.requested_at >= self.until => {
                                return ControlFlow::Continue(Ok(Stability::Stable));
                            }
                            Some(mark) if mark == self.mark => self.wait(cx),
                            Some(mark) if mark.finished > self.mark.finished => {
                                return ControlFlow::Continue(Ok(Stability::TasksFinished(mark.finished)));
                            }
                            Some(_) => {
                                return ControlFlow::Continue(Ok(Stability::Unstable(
                                    "a task was started again".to_owned(),
                                )));
                            }
                            None => {
                                let tasks = &job.tasks;
                                let why =
                                    format!("it is {}, and {} of {} tasks run", job.state, tasks.running, tasks.total);
                                return ControlFlow::Continue(Ok(Stability::Unstable(why)));
                            }
                        }
                    }
                    Err(error) if self.retry.allows(&error, cx) => {
                        self.state = State::Wait(self.pace.next(cx.now()));
                    }
                    Err(error) => return ControlFlow::Continue(Err(error)),
                },
                State::Wait(until) => {
                    if let Err(error) = cx.wait_or_expire(*until, "the new job to stay stable")? {
                        return ControlFlow::Continue(Err(error));
                    }
                    self.state = State::Start;
                }
            }
        }
    }

    /// Waits for the next poll. The last poll is at the end of the time, or later.
    fn wait(&mut self, cx: &FlowContext<FlinkRest>) {
        let at = self.pace.next(cx.now());
        self.state = State::Wait(if cx.now() < self.until { at.min(self.until) } else { at });
    }
}
