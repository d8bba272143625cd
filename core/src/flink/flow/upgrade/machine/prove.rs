//! [`Proof`]: whether a job keeps all its tasks running for some time.
//!
//! The list of jobs is not cached and says when a task last entered its state. If that moment is the same as before, no task was
//! started again, also between two polls.

use crate::flink::flow::PollInterval;
use crate::flink::flow::await_job::TaskMark;
use crate::flink::flow::look::LookupRetry;
use crate::flink::flow::observation_window::ObservationWindow;
use crate::flink::{FlinkRest, GetJobsOverview, JobId};
use crate::flow::{Call, Flow, FlowContext, Reply, Step, ready};
use crate::time::Timestamp;

/// Polls a job until it has proved itself, or has not.
#[derive(Debug)]
pub(super) struct Proof {
    job: JobId,
    /// The tasks before the job's first checkpoint.
    mark: TaskMark,
    /// When the job has run for long enough.
    until: Timestamp,
    asked: Timestamp,
    observed: ObservationWindow,
    retry: LookupRetry,
    pace: PollInterval,
    state: State,
}

#[derive(Debug)]
enum State {
    Start,
    Ask(Call<GetJobsOverview>),
    Wait(Timestamp),
}

/// What the polls showed.
#[derive(Debug)]
pub(super) enum Proved {
    /// No task was started again.
    Yes,
    /// All tasks run or have finished, and this many have finished: more than before.
    TasksFinished(u32),
    /// A task has left RUNNING, or the job has.
    No(String),
}

impl Proof {
    pub(super) fn new(job: JobId, mark: TaskMark, until: Timestamp, observed: ObservationWindow) -> Self {
        let asked = Timestamp::UNIX_EPOCH;
        Self {
            job,
            mark,
            until,
            asked,
            observed,
            retry: LookupRetry::default(),
            pace: PollInterval::START,
            state: State::Start,
        }
    }

    pub(super) fn observed(&self) -> ObservationWindow {
        self.observed
    }

    pub(super) fn poll(&mut self, cx: &mut FlowContext<FlinkRest>, reply: &mut Option<Reply>) -> Step<Proved> {
        loop {
            match &mut self.state {
                State::Start => {
                    self.asked = cx.now();
                    self.state = State::Ask(cx.call(GetJobsOverview::new()));
                }
                State::Ask(call) => match ready!(call.poll(cx.now(), reply.take())) {
                    Ok(overview) => {
                        self.observed.record(self.asked);
                        self.retry.answered();
                        let Some(job) = overview.jobs.into_iter().find(|job| job.id == self.job) else {
                            return Step::Done(Ok(Proved::No("the cluster does not list it".to_owned())));
                        };
                        match TaskMark::of(&job) {
                            Some(mark) if mark == self.mark && self.asked >= self.until => {
                                return Step::Done(Ok(Proved::Yes));
                            }
                            Some(mark) if mark == self.mark => self.wait(cx),
                            Some(mark) if mark.finished > self.mark.finished => {
                                return Step::Done(Ok(Proved::TasksFinished(mark.finished)));
                            }
                            Some(_) => return Step::Done(Ok(Proved::No("a task was started again".to_owned()))),
                            None => {
                                let tasks = &job.tasks;
                                let why =
                                    format!("it is {}, and {} of {} tasks run", job.state, tasks.running, tasks.total);
                                return Step::Done(Ok(Proved::No(why)));
                            }
                        }
                    }
                    Err(error) if self.retry.allows(&error, cx) => {
                        self.state = State::Wait(self.pace.next(cx.now()));
                    }
                    Err(error) => return Step::Done(Err(error)),
                },
                State::Wait(until) => {
                    if let Some(step) = cx.wait_until(*until, "the new job to prove itself", reply) {
                        return step;
                    }
                    self.state = State::Start;
                }
            }
        }
    }

    /// The last poll is at the end of the time, or later.
    fn wait(&mut self, cx: &FlowContext<FlinkRest>) {
        let at = self.pace.next(cx.now());
        self.state = State::Wait(if cx.now() < self.until { at.min(self.until) } else { at });
    }
}
