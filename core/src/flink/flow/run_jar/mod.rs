//! The goal [`RunJar`].
//!
//! ```text
//!  fresh ──▶ Upload (unless it is there) ──▶ Identify ──▶ Submit ──answered──▶ done
//!                                                          │  ▲ └─▶ Repeat ─▶ Submit: not sent, or not carried out
//!                                           any rejection, │  │ the same JobManager answers
//!                                                no answer │  └── Check ──another, or unknown──▶ failed, or ambiguous
//!                                                          ▼       ▲
//!  resumed ─────────────────────────────────────────────▶ Lookup ──┘ an attempt got no answer, the job is still unknown after
//!                                                          ▲ │       some lookups; or resumed while young, and the job is unknown
//!                                                          └─┴─▶ Wait
//! ```
//!
//! "No answer" means no response from the cluster itself. A rejection for lack of a leader counts as no answer: if a
//! gateway delivers a run twice, it returns such a rejection after the first delivery has killed the JobManager.
//!
//! | Submit ended with | the cluster | next step |
//! |---|---|---|
//! | success | | done |
//! | no answer | knows the job | done |
//! | no answer | does not know the job after 10 lookups (about 13 s); the same JobManager answers | Submit with the same id, at most 5 times in total; then ambiguous |
//! | no answer | does not know the job after these lookups; another JobManager answers, no high availability | failed: `main()` may have killed the JobManager |
//! | no answer | does not know the job after these lookups; another JobManager answers, high availability | ambiguous: the first JobManager may still execute `main()` |
//! | no answer | does not know the job after these lookups; whether the same JobManager answers is unknown | ambiguous |
//! | not sent, or temporarily rejected | | Repeat: identify the JobManager again, then Submit |
//! | the same, after an attempt without an answer; another JobManager answers | does not know the job | as in the rows with another JobManager |
//! | rejected: the cluster does not have the jar | | Upload, at most three times, if the jar is given |
//! | the same, after an attempt without an answer | | Check; Upload if the same JobManager answers |
//! | rejected: the cluster cannot reach its JobManager | knows the job | done |
//! | rejected as a duplicate, after an attempt without an answer | knows the job | done |
//! | rejected as a duplicate, under an id chosen by this flow | knows the job | done: the request was delivered twice |
//! | rejected as a duplicate, otherwise | knows the job | failed: another job has this id |
//! | any other rejection with 400, every attempt answered | knows the job | failed: the main method failed after it had submitted the job |
//! | any other rejection with 400, otherwise | knows the job | ambiguous: an earlier attempt may have submitted the job without an error |
//! | a rejection, every attempt answered | does not know the job | ends with that rejection |
//! | a rejection, after an attempt without an answer | does not know the job after these lookups | ambiguous |
//! | (resumed less than 1 h after the first submission) | does not know the job | Check |
//! | (resumed later) | does not know the job | ambiguous: the cluster forgets ended jobs after 1 h (`jobstore.expiration-time`) |
//! | anything but success | cannot be polled for the job until the deadline, or for 90 s without a deadline | ends with that error; ambiguous after an attempt without an answer |
//!
//! Identify reads which JobManager process is going to execute `main()`, and Check reads it again: see
//! [`JobManagerLookup`](super::JobManagerLookup). The flow saves what Identify found, so that a resumed flow obeys the
//! same rule. Repeat reads it before each further attempt of the same call, because that attempt may reach another
//! process.
//!
//! If no attempt can have submitted the job, the flow saves a state that says so before it ends with an error. A
//! resumed flow then submits the job at any later time, on any JobManager.
//!
//! Invariants:
//!
//! * The flow chooses one job id. It saves the id before it submits the job, and again when the cluster accepts it.
//! * If `main()` may still be running, the flow looks the job up before it executes `main()` again.
//! * If `main()` may have killed its JobManager, the flow does not execute it again. For limits, see
//!   [`JobManagerLookup`](super::JobManagerLookup).

mod machine;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::body::Body;
#[cfg(doc)]
use crate::error::FlowError;
use crate::flink::jars::ClaimMode;
use crate::flink::{FlinkRest, JarId, JobId};
use crate::flow::goal;
use crate::schema::json_structs;
use crate::secret::Private;
pub(super) use machine::RunMachine;

json_structs! {
    /// How to run a jar that is on the cluster.
    pub(super) struct JarRun {
        pub jar: JarId,
        /// The class with the main method.
        pub entry_class: Option<String>,
        /// The arguments of the main method.
        pub program_args: Private<Vec<String>>,
        /// The parallelism of operators whose parallelism the program does not set.
        pub parallelism: Option<i32>,
        pub flink_configuration: Private<BTreeMap<String, String>>,
        /// The savepoint or checkpoint to start from.
        pub savepoint_path: Option<String>,
        pub claim_mode: Option<ClaimMode>,
        pub allow_non_restored_state: Option<bool>,
    }

    struct RunState {
        pub run: JarRun,
        /// The job's id.
        pub job: JobId,
        /// When the job was first submitted, in milliseconds since the epoch, by the client's clock.
        pub since: u64,
        /// Whether the cluster has accepted the job.
        pub acknowledged: bool,
        /// Whether the job's id was chosen at random.
        pub is_own: Option<bool>,
        /// Whether every attempt was rejected, so that the job was never submitted.
        pub unsent: Option<bool>,
        /// Whether the cluster has answered a submission with success, so that the job certainly runs this jar.
        pub is_certain: Option<bool>,
        /// Which JobManager process was to execute the main method.
        pub job_manager: Option<String>,
    }
}

/// Uploads a jar, unless the cluster has it, and runs it under a job id that the flow chooses and saves first.
///
/// Returns a [`Launched`] as soon as the job is submitted. To wait until it runs or has ended, use
/// [`AwaitJob`](super::AwaitJob).
///
/// # Errors
/// * [`FlowError::Service`] if the cluster rejects the run and does not have the job.
/// * [`FlowError::Failed`] if the main method fails after it submitted its job, which keeps running.
/// * [`FlowError::Failed`] if the main method may have killed the JobManager: see below.
/// * [`FlowError::Ambiguous`] if it is not known whether the job was submitted. Look up the job before you run the jar
///   again.
/// * [`FlowError::Deadline`] if the [`timeout`](Self::timeout) expires. Resume from the saved state.
///
/// `Failed` and `Ambiguous` carry a [`JobDiagnosis`](super::JobDiagnosis) with the job's id, its state, and the id of
/// the jar.
///
/// # Main methods that exit
/// A main method that calls `System.exit` kills the JobManager, and each repetition would kill the next JobManager. So
/// after a lost response, the flow runs the jar again only if the same JobManager process answers. A resumed flow obeys
/// the same rule. Otherwise the flow ends:
///
/// * in [`FlowError::Failed`] if another JobManager answers and does not know the job;
/// * in [`FlowError::Ambiguous`] if the flow cannot find out which JobManager answers;
/// * in `Ambiguous` if another JobManager answers and the cluster has high availability: the first JobManager may still
///   execute `main()`.
///
/// [`JobDiagnosis::job_manager`](super::JobDiagnosis::job_manager) says which case it is. If the job ended before the
/// JobManager died, the next JobManager does not know it. So check the job's output before you run the jar again.
///
/// # Programs with several jobs
/// Do not use this goal for a program that calls `execute` several times: its second job would have the id of the
/// first.
///
/// ```
/// use pipewright::flink::RunJar;
/// let goal = RunJar::upload("orders.jar", "PK…").entry_class("com.example.Orders").program_args(["--rate", "50"]);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct RunJar {
    /// The name and the bytes of the jar, if they are given.
    content: Option<(String, Body)>,
    is_uploaded: bool,
    run: JarRun,
    job: Option<JobId>,
    /// Whether the job's id is chosen at random.
    is_own: bool,
    /// Whether another JobManager may execute the main method again, once.
    is_trusted: bool,
    timeout: Option<Duration>,
    resumed: Option<Resumed>,
    purpose: Purpose,
}

/// What the flow does if the cluster does not know the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// Submits the job.
    Submit,
    /// Looks the job up again for some seconds, and never submits it.
    Lookup,
}

#[derive(Clone, Debug)]
struct Resumed {
    since: u64,
    acknowledged: bool,
    unsent: bool,
    is_certain: bool,
    job_manager: Option<String>,
}

impl RunJar {
    const NAME: &'static str = "RunJar";

    /// Uploads a jar and runs it. The name must end in `.jar`. The flow appends a random mark to the name, to find the
    /// jar on the cluster if the response to the upload is lost.
    pub fn upload(name: impl Into<String>, content: impl Into<Body>) -> Self {
        Self { content: Some((name.into(), content.into())), is_uploaded: false, ..Self::uploaded("") }
    }

    /// Runs a jar that is already on the cluster.
    pub fn uploaded(jar: impl Into<JarId>) -> Self {
        let run = JarRun {
            jar: jar.into(),
            entry_class: None,
            program_args: Private::default(),
            parallelism: None,
            flink_configuration: Private::default(),
            savepoint_path: None,
            claim_mode: None,
            allow_non_restored_state: None,
        };
        Self::with_run(run, None)
    }

    /// Skips the upload, because the jar is on the cluster by now. If the cluster no longer has the jar when it is run,
    /// the flow uploads it again.
    pub fn from_uploaded(mut self, jar: impl Into<JarId>) -> Self {
        self.is_uploaded = true;
        self.run.jar = jar.into();
        self
    }

    /// Sets the jar itself for a goal from [`uploaded`](Self::uploaded) or `resume`: the flow uploads it again if the
    /// cluster no longer has it. A JobManager loses its uploads when it ends, unless `web.upload.dir` is set.
    pub fn with_jar(mut self, name: impl Into<String>, content: impl Into<Body>) -> Self {
        self.content = Some((name.into(), content.into()));
        self
    }

    /// Sets the class with the main method; by default the `Main-Class` of the jar's manifest.
    pub fn entry_class(mut self, class: impl Into<String>) -> Self {
        self.run.entry_class = Some(class.into());
        self
    }

    /// Sets the arguments of the main method.
    pub fn program_args<A: Into<String>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.run.program_args = Private(args.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the parallelism of operators whose parallelism the program does not set; -1 for the cluster's default.
    pub fn parallelism(mut self, parallelism: i32) -> Self {
        self.run.parallelism = Some(parallelism);
        self
    }

    /// Sets configuration options for this job. Since 1.17.
    pub fn flink_configuration(mut self, configuration: BTreeMap<String, String>) -> Self {
        self.run.flink_configuration = Private(configuration);
        self
    }

    /// Sets the path of the savepoint or checkpoint to start from.
    pub fn savepoint_path(mut self, path: impl Into<String>) -> Self {
        self.run.savepoint_path = Some(path.into());
        self
    }

    /// Sets who owns the files of that savepoint from then on.
    ///
    /// The request uses the older name `restoreMode`, which all releases up to 2.3 accept. The newer name `claimMode`
    /// makes 1.18 and 1.19 reject the request.
    pub fn claim_mode(mut self, mode: ClaimMode) -> Self {
        self.run.claim_mode = Some(mode);
        self
    }

    /// Sets whether the job may start if the savepoint has state for an operator that the program does not have. Flink
    /// then drops that state.
    pub fn allow_non_restored_state(mut self, allow: bool) -> Self {
        self.run.allow_non_restored_state = Some(allow);
        self
    }

    /// Sets the job's id. No job may have had it since the JobManager started. Chosen from the seed by default. A
    /// resumed goal keeps its saved id.
    pub fn job_id(mut self, job: JobId) -> Self {
        if self.resumed.is_none() {
            (self.job, self.is_own) = (Some(job), false);
        }
        self
    }

    /// Returns the id that the job has or gets; `None` if it is not chosen yet. With the id of a resumed goal you can
    /// look the job up without submitting it.
    pub fn chosen_job_id(&self) -> Option<JobId> {
        self.job
    }

    /// Returns the jar itself, whether the cluster has it, and how to run it.
    pub(super) fn into_parts(self) -> (Option<(String, Body)>, bool, JarRun) {
        (self.content, self.is_uploaded, self.run)
    }

    /// Creates the goal for a jar that is on the cluster, under an id that was chosen at random.
    pub(super) fn of(run: JarRun, job: JobId) -> Self {
        Self::with_run(run, Some(job))
    }

    fn with_run(run: JarRun, job: Option<JobId>) -> Self {
        Self {
            content: None,
            is_uploaded: true,
            run,
            job,
            is_own: true,
            is_trusted: false,
            timeout: None,
            resumed: None,
            purpose: Purpose::Submit,
        }
    }

    /// Marks the id as an id that another job may have.
    pub(super) fn contended(mut self) -> Self {
        self.is_own = false;
        self
    }

    /// Returns whether the saved state says that the job was never submitted.
    pub(super) fn is_unsent(&self) -> bool {
        self.resumed.as_ref().is_none_or(|resumed| resumed.unsent)
    }

    /// Marks the main method as trusted, because it has run before without killing its JobManager: if another
    /// JobManager answers, that JobManager may execute it again, under the same id.
    pub(super) fn trusted(mut self) -> Self {
        self.is_trusted = true;
        self
    }

    /// Makes a resumed goal only find out whether the cluster has the job.
    pub(super) fn lookup_only(mut self) -> Self {
        self.purpose = Purpose::Lookup;
        self
    }

    pub(super) fn with_content(mut self, content: Option<(String, Body)>) -> Self {
        self.content = content;
        self
    }
}

impl From<RunState> for RunJar {
    fn from(state: RunState) -> Self {
        let RunState { run, job, since, acknowledged, is_own, unsent, is_certain, job_manager } = state;
        let (unsent, is_certain) = (unsent.unwrap_or_default(), is_certain.unwrap_or_default());
        let resumed = Some(Resumed { since, acknowledged, unsent, is_certain, job_manager });
        Self { is_own: is_own.unwrap_or_default(), resumed, ..Self::with_run(run, Some(job)) }
    }
}

impl From<RunJar> for RunMachine {
    fn from(goal: RunJar) -> Self {
        RunMachine::new(goal)
    }
}

/// A submitted job.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Launched {
    #[allow(missing_docs, reason = "the name says everything")]
    pub job: JobId,
    /// The jar that it runs.
    pub jar: JarId,
}

goal!(RunJar: FlinkRest => Launched, RunMachine, resume RunState);
