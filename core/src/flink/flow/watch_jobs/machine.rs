//! The transitions of [`WatchJobs`], as drawn in the parent module.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;
use std::ops::ControlFlow;

use super::{Filter, JobListEvent, SavedJob, WatchJobs};
use crate::error::{FlowError, Misuse};
use crate::flink::error::is_unknown_job;
use crate::flink::flow::PollInterval;
use crate::flink::flow::lookup_retry::LookupRetry;
use crate::flink::jobs::{GetJobStatus, GetJobsOverview, JobState, JobSummary};
use crate::flink::tuning::MISSING_JOB_TIMEOUT;
use crate::flink::{FlinkRest, JobId, PartialList};
use crate::flow::{Call, FlowContext, SavedState, StateMachine, Transition, done};
use crate::time::Timestamp;

/// The transitions of [`WatchJobs`].
#[derive(Debug)]
pub(super) struct WatchJobsMachine {
    goal: WatchJobs,
    jobs: BTreeMap<JobId, KnownJob>,
    events: VecDeque<JobListEvent>,
    /// The jobs whose status is still to be read.
    unverified: Vec<JobId>,
    /// How many jobs of the last overview cannot be read.
    unreadable: usize,
    /// Since when the overview lists no watched job, if no job is known; `None` after a poll that failed.
    empty_since: Option<Timestamp>,
    /// Whether a job was known at any time.
    has_known_jobs: bool,
    is_saved: bool,
    retry: LookupRetry,
    /// For how long reading the status of missing jobs is repeated, however many overviews are read in between.
    verify_retry: LookupRetry,
    /// The wait before a poll that failed is repeated.
    pace: PollInterval,
    state: State,
}

#[derive(Debug, Default)]
struct KnownJob {
    /// `None` until the overview lists it.
    state: Option<JobState>,
    /// Since when the overview does not list it, without a poll that failed.
    missing_since: Option<Timestamp>,
}

impl KnownJob {
    fn has_ended(&self) -> bool {
        self.state.as_ref().is_some_and(JobState::is_terminal)
    }
}

#[derive(Debug)]
enum State {
    Start,
    Poll(Call<GetJobsOverview>),
    Verify(JobId, Call<GetJobStatus>),
    Compared,
    Wait(Timestamp),
    /// The last event is yielded.
    Ended,
}

impl From<WatchJobs> for WatchJobsMachine {
    fn from(mut goal: WatchJobs) -> Self {
        let known = |job: SavedJob| (job.id, KnownJob { state: job.state, missing_since: None });
        let jobs: BTreeMap<_, _> = match (goal.resumed.take(), &goal.filter) {
            (Some(saved), _) => saved.into_iter().map(known).collect(),
            (None, Filter::Ids(ids)) => ids.iter().map(|id| (*id, KnownJob::default())).collect(),
            (None, Filter::All | Filter::NamePrefix(_)) => BTreeMap::new(),
        };
        Self {
            goal,
            has_known_jobs: !jobs.is_empty(),
            jobs,
            events: VecDeque::new(),
            unverified: Vec::new(),
            unreadable: 0,
            empty_since: None,
            is_saved: true,
            retry: LookupRetry::default(),
            verify_retry: LookupRetry::default(),
            pace: PollInterval::START,
            state: State::Start,
        }
    }
}

impl WatchJobsMachine {
    /// Compares an overview with what is known, as in the table of the parent module.
    fn compare(&mut self, overview: PartialList<JobSummary>, now: Timestamp) {
        self.unreadable = overview.unreadable();
        let mut missing = mem::take(&mut self.jobs);
        // A job that is being archived, or was submitted again under its id, may be listed twice. If one entry has not
        // ended, the job has not ended.
        let active: BTreeSet<JobId> =
            overview.iter().filter(|job| !job.state.is_terminal()).map(|job| job.id).collect();
        for job in overview {
            let is_counted =
                !self.jobs.contains_key(&job.id) && (!job.state.is_terminal() || !active.contains(&job.id));
            if is_counted && (missing.contains_key(&job.id) || self.goal.filter.accepts(&job)) {
                let known = missing.remove(&job.id).unwrap_or_default();
                self.listed(known, job);
            }
        }
        if missing.values().all(KnownJob::has_ended) {
            self.verify_retry.answered();
        }
        // A job that is not listed may be among the jobs that cannot be read.
        if self.unreadable > 0 {
            self.jobs.extend(missing);
            self.failed();
            return;
        }
        for (id, mut known) in missing {
            let since = *known.missing_since.get_or_insert(now);
            let is_due = now.since(since) >= MISSING_JOB_TIMEOUT;
            if is_due && known.has_ended() {
                self.is_saved = false;
                continue;
            }
            if is_due {
                self.unverified.push(id);
            }
            self.jobs.insert(id, known);
        }
        self.has_known_jobs |= !self.jobs.is_empty();
        self.empty_since = self.jobs.is_empty().then(|| self.empty_since.unwrap_or(now));
    }

    /// The overview lists a job.
    fn listed(&mut self, known: KnownJob, job: JobSummary) {
        let (id, state) = (job.id, job.state.clone());
        let events = match known.state {
            Some(last) if last == state || last.is_terminal() && state.is_terminal() => [None, None],
            Some(last) if last.is_terminal() => [Some(JobListEvent::Appeared(job)), None],
            Some(_) if state.is_terminal() => [Some(JobListEvent::Ended(job)), None],
            Some(previous) => [Some(JobListEvent::StateChanged { job, previous }), None],
            None if state.is_terminal() => [Some(JobListEvent::Appeared(job.clone())), Some(JobListEvent::Ended(job))],
            None => [Some(JobListEvent::Appeared(job)), None],
        };
        for event in events.into_iter().flatten() {
            self.events.push_back(event);
            self.is_saved = false;
        }
        self.jobs.insert(id, KnownJob { state: Some(state), missing_since: None });
    }

    /// Reads the status of the next job that is missing.
    fn verify(&mut self, cx: &mut FlowContext<FlinkRest>) -> State {
        match self.unverified.pop() {
            Some(job) => State::Verify(job, cx.call(GetJobStatus::new(job))),
            None => State::Compared,
        }
    }

    /// The job may exist: it must be missing for the whole time again.
    fn found(&mut self, id: JobId) {
        self.jobs.entry(id).and_modify(|job| job.missing_since = None);
    }

    fn gone(&mut self, id: JobId) {
        if let Some(job) = self.jobs.remove(&id) {
            self.events.push_back(JobListEvent::Gone { job: id, last_state: job.state });
            self.is_saved = false;
        }
    }

    /// A poll failed. Jobs may have been missing for the same reason.
    fn failed(&mut self) {
        for job in self.jobs.values_mut() {
            job.missing_since = None;
        }
        self.empty_since = None;
    }

    fn save(&mut self, cx: &mut FlowContext<FlinkRest>) {
        if !mem::replace(&mut self.is_saved, true) {
            let jobs = self.jobs.iter().map(|(id, job)| SavedJob { id: *id, state: job.state.clone() }).collect();
            cx.save(SavedState::new(Self::NAME, &self.goal.state(jobs)));
        }
    }

    /// Returns whether no job is left to watch.
    fn is_over(&self, now: Timestamp) -> bool {
        let is_empty = || self.empty_since.is_some_and(|since| now.since(since) >= MISSING_JOB_TIMEOUT);
        self.unreadable == 0
            && self.goal.until_all_ended
            && self.jobs.values().all(KnownJob::has_ended)
            && (self.has_known_jobs || is_empty())
    }
}

impl StateMachine for WatchJobsMachine {
    type Service = FlinkRest;
    type Output = JobListEvent;
    const NAME: &'static str = "WatchJobs";

    fn transition(&mut self, cx: &mut FlowContext<FlinkRest>) -> Transition<JobListEvent> {
        // No request is outstanding while events are left.
        if let Some(event) = self.events.pop_front() {
            return done(Ok(event));
        }
        self.state = match &mut self.state {
            State::Start => State::Poll(cx.call(GetJobsOverview::new())),
            State::Poll(call) => match cx.poll(call)? {
                Ok(overview) => {
                    self.compare(overview.jobs, cx.now());
                    self.retry.answered();
                    self.pace = PollInterval::START;
                    self.verify(cx)
                }
                Err(error) if self.retry.allows(&error, cx) => {
                    self.failed();
                    State::Wait(self.pace.next(cx.now()))
                }
                Err(error) => return done(Err(error)),
            },
            State::Verify(id, call) => {
                let status = cx.poll(call)?;
                let id = *id;
                match status {
                    // Its JobMaster may not answer, or the overview was a little older.
                    Ok(_) => {
                        self.verify_retry.answered();
                        self.found(id);
                        self.verify(cx)
                    }
                    Err(FlowError::Service(error)) if is_unknown_job(&error) => {
                        self.verify_retry.answered();
                        self.gone(id);
                        self.verify(cx)
                    }
                    // The other jobs are verified after the next poll, unless that fails too.
                    Err(error) if self.verify_retry.allows(&error, cx) => {
                        self.found(id);
                        self.unverified.clear();
                        State::Compared
                    }
                    Err(error) => return done(Err(error)),
                }
            }
            State::Compared => {
                self.save(cx);
                let ended = self.jobs.values().filter(|job| job.has_ended()).count();
                let unreadable = match self.unreadable {
                    0 => String::new(),
                    number => format!("; {number} listed jobs cannot be read by this version of the library"),
                };
                cx.note("watched jobs".to_owned(), format!("{ended} of {} have ended{unreadable}", self.jobs.len()));
                if self.is_over(cx.now()) {
                    self.events.push_back(JobListEvent::AllEnded);
                    State::Ended
                } else {
                    State::Wait(cx.now() + self.goal.poll_interval)
                }
            }
            State::Wait(until) => {
                cx.wait(*until, "the next poll of the jobs")?;
                State::Start
            }
            State::Ended => return done(Err(FlowError::Misuse(Misuse::PolledAfterDone))),
        };
        ControlFlow::Continue(())
    }

    fn is_last(&self, event: &JobListEvent) -> bool {
        matches!(event, JobListEvent::AllEnded)
    }
}
