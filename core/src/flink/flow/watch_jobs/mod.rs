//! The event flow [`WatchJobs`].
//!
//! ```text
//!  Poll ──▶ compare with what is known ──▶ events ──▶ Compared, saved ──▶ Wait ──▶ Poll
//!                 │                         ▲            └─ all have ended ──▶ the last event
//!                 └─ missing for 10 s ──▶ Verify: is the job known? ── no ──▶ Gone
//! ```
//!
//! | the flow knows of the job | the overview shows | events |
//! |---|---|---|
//! | nothing | the job, not ended | `Appeared` |
//! | nothing | the job, ended | `Appeared`, `Ended` |
//! | it has not ended | another state, not ended | `StateChanged` |
//! | it has not ended | the job, ended | `Ended` |
//! | it has ended | the job, ended | none |
//! | it has ended | the job, not ended: the id was submitted again | `Appeared` |
//! | it has not ended, or its id is watched | no such job for 10 s, and its status is unknown | `Gone`; the flow forgets the job |
//! | it has not ended, or its id is watched | no such job for 10 s, but the cluster knows its status | none |
//! | it has ended | no such job for 10 s | none; the flow forgets the job |
//!
//! If the overview lists an id twice, the entry that has not ended counts, otherwise the first entry.
//!
//! A failed poll restarts the 10 s. So the flow does not report jobs as gone during a failover: polls fail until a new
//! leader exists, and then the new JobManager has 10 s to list the jobs that it recovers.
//!
//! The machine remembers only an id and a state for each watched job that the overview lists.

mod machine;

use std::collections::BTreeSet;
use std::time::Duration;

use self::machine::WatchJobsMachine;
#[cfg(doc)]
use crate::error::FlowError;
use crate::flink::jobs::{JobState, JobSummary};
use crate::flink::tuning::{MIN_WATCH_INTERVAL, WATCH_INTERVAL};
use crate::flink::{FlinkRest, JobId};
use crate::flow::{Runner, goal};
use crate::schema::json_structs;

/// Watches the jobs of a cluster: yields an event for each job that appears, changes its state, ends or is gone.
///
/// This is an **event flow**: drive it with [`Client::start`](crate::driver::Client::start). It sends one
/// [`GetJobsOverview`](crate::flink::jobs::GetJobsOverview) for each [`poll_interval`](Self::poll_interval), however
/// many jobs there are. Use it instead of many [`WatchJob`](crate::flink::WatchJob) or
/// [`AwaitJob`](crate::flink::AwaitJob) flows if you follow more than a few jobs of one cluster. Use `WatchJob` for the
/// exceptions of a job, or for the reason of its failure.
///
/// | event | meaning |
/// |---|---|
/// | [`Appeared`](JobListEvent::Appeared) | the overview lists a job for the first time |
/// | [`StateChanged`](JobListEvent::StateChanged) | a job has another state than at the last poll, and has not ended |
/// | [`Ended`](JobListEvent::Ended) | a job is FINISHED, CANCELED or FAILED |
/// | [`Gone`](JobListEvent::Gone) | the cluster no longer knows a job that had not ended |
/// | [`AllEnded`](JobListEvent::AllEnded) | all watched jobs have ended or are gone; the last event |
///
/// At the first poll, each watched job appears. A job that has already ended yields `Appeared`, then `Ended`.
///
/// The overview shows only the state at the time of each poll. If a job restarts and runs again between two polls,
/// there is no event. If a job is submitted and forgotten between two polls, it never appears. The same holds for a job
/// that is submitted again under its old id, and ends, between two polls.
///
/// If a job is missing from the overview, the flow does not report it at once. The cluster leaves a job out while its
/// JobMaster does not answer, and a new JobManager may need a moment to list the jobs that it recovers. So the flow
/// continues polling for 10 s, then asks for the status of this job. It yields `Gone` only if the cluster does not know
/// the job. Without high availability, all jobs of a JobManager that dies are gone. A new JobManager does not list jobs
/// that ended before it started; this yields no event.
///
/// `Gone` needs Flink 1.14: older releases cannot be asked for the status of one job. With these, the flow ends with
/// their error when a job that had not ended is missing.
///
/// If a poll fails, the flow repeats it: until its deadline if it has one, otherwise for 90 s. The same holds for
/// reading the status of a missing job.
///
/// [`resume`](Self::resume) continues with the events after the saved state. The flow sends the state
/// ([`Notice::Persist`](crate::flow::Notice::Persist)) after all events of a poll. If the program dies in between, the
/// resumed flow yields events of the last poll again.
///
/// # Errors
/// * The error of the last poll if none succeeds for 90 s, or until the deadline.
/// * The error of reading a missing job's status if that does not succeed for 90 s, for example because a proxy rejects
///   it. The flow does not claim that the job is gone.
/// * [`FlowError::Deadline`] if the [`timeout`](Self::timeout) ends before the flow does.
///
/// ```
/// # use pipewright::driver::Canned;
/// use pipewright::flink::{Flink, JobListEvent, WatchJobs};
///
/// # let runtime = Canned::new([
/// #     ("GET /v1/jobs/overview", 200, r#"{"jobs":[{"jid":"00000000000000000000000000000007","name":"words-1",
/// #         "start-time":1,"end-time":-1,"duration":9,"state":"RUNNING","last-modification":5,"tasks":{"total":1,
/// #         "created":0,"scheduled":0,"deploying":0,"running":1,"finished":0,"canceling":0,"canceled":0,"failed":0,
/// #         "reconciling":0,"initializing":0}}]}"#),
/// #     ("GET /v1/jobs/overview", 200, r#"{"jobs":[{"jid":"00000000000000000000000000000007","name":"words-1",
/// #         "start-time":1,"end-time":20,"duration":19,"state":"FINISHED","last-modification":5,"tasks":{"total":1,
/// #         "created":0,"scheduled":0,"deploying":0,"running":0,"finished":1,"canceling":0,"canceled":0,"failed":0,
/// #         "reconciling":0,"initializing":0}}]}"#),
/// # ]);
/// let flink = Flink::new("http://127.0.0.1:8081".parse()?, runtime);
/// let mut watch = flink.start(WatchJobs::of_name_prefix("words-").until_all_ended());
/// let mut lines = Vec::new();
/// while let Some(event) = watch.next()? {
///     match event {
///         JobListEvent::Appeared(job) => lines.push(format!("{} is {}", job.name.unwrap_or_default(), job.state)),
///         JobListEvent::Ended(job) => {
///             lines.push(format!("{} has ended: {}", job.name.unwrap_or_default(), job.state));
///         }
///         JobListEvent::Gone { job, .. } => lines.push(format!("{job} is gone")),
///         _ => {}
///     }
/// }
/// assert_eq!(lines, ["words-1 is RUNNING", "words-1 has ended: FINISHED"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct WatchJobs {
    filter: Filter,
    poll_interval: Duration,
    until_all_ended: bool,
    timeout: Option<Duration>,
    resumed: Option<Vec<SavedJob>>,
}

/// Which jobs are watched.
#[derive(Clone, Debug)]
enum Filter {
    All,
    Ids(BTreeSet<JobId>),
    NamePrefix(String),
}

impl Filter {
    fn accepts(&self, job: &JobSummary) -> bool {
        match self {
            Self::All => true,
            Self::Ids(ids) => ids.contains(&job.id),
            Self::NamePrefix(prefix) => job.name.as_ref().is_some_and(|name| name.starts_with(prefix.as_str())),
        }
    }
}

impl WatchJobs {
    fn new(filter: Filter) -> Self {
        Self { filter, poll_interval: WATCH_INTERVAL, until_all_ended: false, timeout: None, resumed: None }
    }

    /// Watches all jobs of the cluster.
    pub fn all() -> Self {
        Self::new(Filter::All)
    }

    /// Watches the jobs with these ids. A job that the cluster does not know for 10 s is [`Gone`](JobListEvent::Gone).
    pub fn of_ids(jobs: impl IntoIterator<Item = JobId>) -> Self {
        Self::new(Filter::Ids(jobs.into_iter().collect()))
    }

    /// Watches the jobs whose names begin with a prefix.
    pub fn of_name_prefix(prefix: impl Into<String>) -> Self {
        Self::new(Filter::NamePrefix(prefix.into()))
    }

    /// Sets the time between two polls; 1 s by default, and at least 1 ms.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval.max(MIN_WATCH_INTERVAL);
        self
    }

    /// Ends the flow with [`AllEnded`](JobListEvent::AllEnded) when all watched jobs have ended or are gone; by default
    /// the flow never ends by itself. If the overview lists no watched job from the start, the flow ends after 10 s.
    pub fn until_all_ended(mut self) -> Self {
        self.until_all_ended = true;
        self
    }
}

/// An event of a [`WatchJobs`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum JobListEvent {
    /// The overview lists a job that it did not list before. At the first poll, this is each watched job.
    Appeared(JobSummary),
    /// A job has another state than at the last poll, and has not ended.
    #[non_exhaustive]
    StateChanged {
        /// The job with its new state.
        job: JobSummary,
        /// Its state at the last poll that listed it.
        previous: JobState,
    },
    /// A job has ended: its state is FINISHED, CANCELED or FAILED. The last event of this job, unless a job with its id
    /// appears again.
    Ended(JobSummary),
    /// The cluster no longer knows a job that had not ended, or does not know a job whose id is watched. The last event
    /// of this job, unless a job with its id appears again.
    #[non_exhaustive]
    Gone {
        #[allow(missing_docs, reason = "the name says everything")]
        job: JobId,
        /// Its state at the last poll that listed it; `None` if no poll did.
        last_state: Option<JobState>,
    },
    /// All watched jobs have ended or are gone. The last event; only with
    /// [`until_all_ended`](WatchJobs::until_all_ended).
    AllEnded,
}

impl JobListEvent {
    /// Returns the id of the job; `None` for [`AllEnded`](Self::AllEnded).
    pub fn job(&self) -> Option<JobId> {
        match self {
            Self::Appeared(job) | Self::Ended(job) | Self::StateChanged { job, .. } => Some(job.id),
            Self::Gone { job, .. } => Some(*job),
            Self::AllEnded => None,
        }
    }
}

/// A running [`WatchJobs`]. Created by [`WatchJobs::start`](crate::flow::Goal::start). Poll it again after each event.
#[derive(Debug)]
#[must_use = "an event flow does nothing until it is polled"]
pub struct JobListWatch {
    runner: Runner<WatchJobsMachine>,
}

json_structs! {
    /// The saved state.
    struct WatchJobsState {
        /// The watched ids; `None` if jobs are not selected by id.
        pub ids: Option<Vec<JobId>>,
        /// The prefix of the watched names; `None` if jobs are not selected by name.
        pub name_prefix: Option<String>,
        /// The time between two polls, in milliseconds.
        pub poll_interval: u64,
        pub until_all_ended: bool,
        /// The known jobs.
        pub jobs: Vec<SavedJob>,
    }

    /// A job that is watched.
    struct SavedJob {
        pub id: JobId,
        /// Its last state; `None` if it was never listed.
        pub state: Option<JobState>,
    }
}

impl WatchJobs {
    fn state(&self, jobs: Vec<SavedJob>) -> WatchJobsState {
        let (ids, name_prefix) = match &self.filter {
            Filter::All => (None, None),
            Filter::Ids(ids) => (Some(ids.iter().copied().collect()), None),
            Filter::NamePrefix(prefix) => (None, Some(prefix.clone())),
        };
        let poll_interval = u64::try_from(self.poll_interval.as_millis()).unwrap_or(u64::MAX);
        WatchJobsState { ids, name_prefix, poll_interval, until_all_ended: self.until_all_ended, jobs }
    }
}

impl From<WatchJobsState> for WatchJobs {
    fn from(state: WatchJobsState) -> Self {
        let filter = match (state.ids, state.name_prefix) {
            (Some(ids), _) => Filter::Ids(ids.into_iter().collect()),
            (None, Some(prefix)) => Filter::NamePrefix(prefix),
            (None, None) => Filter::All,
        };
        Self {
            poll_interval: Duration::from_millis(state.poll_interval).max(MIN_WATCH_INTERVAL),
            until_all_ended: state.until_all_ended,
            resumed: Some(state.jobs),
            ..Self::new(filter)
        }
    }
}

goal!(WatchJobs: FlinkRest => JobListEvent, WatchJobsMachine, events JobListWatch, resume WatchJobsState);
