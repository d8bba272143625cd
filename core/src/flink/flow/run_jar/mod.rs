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
//! | Submit ended with | and the cluster | then |
//! |---|---|---|
//! | the answer | | done |
//! | no answer of the cluster's own | knows the job | done |
//! | no answer of the cluster's own | does not know the job after 10 lookups (about 13 s); the same JobManager answers | Submit with the same id, at most 5 times in total; then ambiguous |
//! | no answer of the cluster's own | does not know the job after these lookups; another JobManager answers, no high availability | failed: `main()` may have killed it |
//! | no answer of the cluster's own | does not know the job after these lookups; another JobManager answers, high availability | ambiguous: the first JobManager may still execute `main()` |
//! | no answer of the cluster's own | does not know the job after these lookups; whether it is the same JobManager is unknown | ambiguous |
//! | not sent, or temporarily rejected | | Repeat: identify the JobManager again, then Submit |
//! | the same, after an attempt without an answer; another JobManager answers | does not know the job | as in the rows with another JobManager |
//! | the cluster has not got the jar | | Upload, at most three times, if the jar is given |
//! | the same, after an attempt without an answer | | Check; Upload if the same JobManager answers |
//! | the cluster could not ask its JobManager | knows the job | done |
//! | rejected as a duplicate, after an attempt without an answer | knows the job | done |
//! | rejected as a duplicate, under an id chosen by us | knows the job | done: the request was delivered twice |
//! | rejected as a duplicate, otherwise | knows the job | failed: the id is another job's |
//! | any other rejection with 400, every attempt answered | knows the job | failed: the main method failed and left its job behind |
//! | any other rejection with 400, otherwise | knows the job | ambiguous: it may be an earlier attempt's, which is all right |
//! | a rejection, every attempt answered | does not know the job | that rejection |
//! | a rejection, after an attempt without an answer | does not know the job after these lookups | ambiguous |
//! | nothing: resumed less than 1 h after the first submission | does not know the job | Check |
//! | nothing: resumed later | does not know the job | ambiguous: the cluster forgets ended jobs after 1 h (`jobstore.expiration-time`) |
//! | anything but the answer | cannot be polled for the job until the deadline, or for 90 s without one | that error; ambiguous after an attempt without an answer |
//!
//! A rejection for lack of a leader is no answer of the cluster's own here: a gateway that delivers a run twice hands
//! one out after the first delivery has killed the JobManager.
//!
//! Identify reads which JobManager process is going to execute `main()`, and Check reads it again: see
//! [`JobManagerLookup`](super::JobManagerLookup). What Identify found is saved, so that a resumed flow obeys the same
//! rule. Repeat reads it before each further attempt of the same call, because that attempt may reach another process.
//!
//! If no attempt can have submitted the job, each error is preceded by a saved state that says so. A resumed flow then
//! submits the job, however late, and on any JobManager.
//!
//! Invariants: the job's id is chosen and saved before it is submitted, and again when that is answered; there is never
//! a second id; the job of a main method that may be at work is looked up before it is called again; it is not called
//! again after it may have killed its JobManager. Limits of the last invariant, if requests are distributed over
//! several JobManagers: see [`JobManagerLookup`](super::JobManagerLookup).

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
    /// What to run, once its jar is on the cluster.
    pub(super) struct JarRun {
        pub jar: JarId,
        /// The class with the main method.
        pub entry_class: Option<String>,
        /// The arguments of the main method.
        pub program_args: Private<Vec<String>>,
        /// The parallelism of operators that have none of their own.
        pub parallelism: Option<i32>,
        /// Configuration for this job.
        pub flink_configuration: Private<BTreeMap<String, String>>,
        /// The savepoint or checkpoint to start from.
        pub savepoint_path: Option<String>,
        /// Who owns it from then on.
        pub claim_mode: Option<ClaimMode>,
        /// State in it that the graph has no operator for is dropped.
        pub allow_non_restored_state: Option<bool>,
    }

    struct RunState {
        pub run: JarRun,
        /// The job's id.
        pub job: JobId,
        /// When it was first submitted, in milliseconds since the epoch, by our clock.
        pub since: u64,
        /// Whether the cluster has got it.
        pub acknowledged: bool,
        /// Whether the job's id was chosen at random.
        pub is_own: Option<bool>,
        /// Whether every attempt was rejected, so that the job was never submitted.
        pub unsent: Option<bool>,
        /// Whether the cluster has answered a submission with success, so that the job is of this jar.
        pub is_certain: Option<bool>,
        /// Which JobManager process was to execute the main method.
        pub job_manager: Option<String>,
    }
}

/// Uploads a jar, unless it is on the cluster, and runs it under a job id chosen beforehand.
///
/// Returns a [`Launched`] as soon as the job is submitted; [`AwaitJob`](super::AwaitJob) waits for more.
///
/// # Errors
/// * [`FlowError::Service`] if the cluster rejects the run and does not have the job.
/// * [`FlowError::Failed`] if the main method fails after it submitted its job, which keeps running.
/// * [`FlowError::Ambiguous`] if it is not known whether the job was submitted: look up the job before you run the jar
///   again.
///
/// The latter two carry a [`JobDiagnosis`](super::JobDiagnosis) with the job's id, its state, and the id of the jar.
///
/// # Main methods that exit
/// A main method that calls `System.exit` kills the JobManager, and each repetition would kill the next JobManager. So
/// the jar is run again after a lost answer only if the same JobManager process is seen to answer, also by a resumed
/// flow. Otherwise the flow ends in [`FlowError::Failed`] if another JobManager answers and does not know the job, in
/// [`FlowError::Ambiguous`] if that could not be found out, or if the cluster has high availability: the first
/// JobManager may still execute `main()`. [`JobDiagnosis::job_manager`](super::JobDiagnosis::job_manager) tells which.
/// A job that ended before the JobManager died is unknown to the next JobManager, too: check its output before you run
/// the jar again.
///
/// Programs that call `execute` several times cannot be run this way: their second job would have the id of the first.
///
/// ```
/// use pipewright::flink::RunJar;
/// let goal = RunJar::upload("orders.jar", "PK…").entry_class("com.example.Orders").program_args(["--rate", "50"]);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct RunJar {
    /// Name and bytes of the jar, if we have them.
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

/// What is done about a job that the cluster does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// It is submitted.
    Submit,
    /// It is looked up again, for some seconds, and never submitted.
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

    /// Runs a jar that is uploaded first. The name ends in `.jar`; on the cluster it gets a mark.
    pub fn upload(name: impl Into<String>, content: impl Into<Body>) -> Self {
        Self { content: Some((name.into(), content.into())), is_uploaded: false, ..Self::uploaded("") }
    }

    /// Runs a jar that is on the cluster.
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

    /// The same run of a jar that is on the cluster by now. If the cluster has lost it when it is run, it is uploaded
    /// again.
    pub fn from_uploaded(mut self, jar: impl Into<JarId>) -> Self {
        self.is_uploaded = true;
        self.run.jar = jar.into();
        self
    }

    /// Gives a resumed goal, or one of an uploaded jar, the jar itself: it is uploaded again if the cluster has not got
    /// it any more. Uploads are lost with the JobManager unless `web.upload.dir` is set.
    pub fn with_jar(mut self, name: impl Into<String>, content: impl Into<Body>) -> Self {
        self.content = Some((name.into(), content.into()));
        self
    }

    /// The class with the main method, for a jar without a `Main-Class`.
    pub fn entry_class(mut self, class: impl Into<String>) -> Self {
        self.run.entry_class = Some(class.into());
        self
    }

    /// The arguments of the main method.
    pub fn program_args<A: Into<String>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.run.program_args = Private(args.into_iter().map(Into::into).collect());
        self
    }

    /// The parallelism of operators that have none of their own; -1 for the cluster's default.
    pub fn parallelism(mut self, parallelism: i32) -> Self {
        self.run.parallelism = Some(parallelism);
        self
    }

    /// Configuration for this job. Since 1.17.
    pub fn flink_configuration(mut self, configuration: BTreeMap<String, String>) -> Self {
        self.run.flink_configuration = Private(configuration);
        self
    }

    /// The savepoint or checkpoint to start from.
    pub fn savepoint_path(mut self, path: impl Into<String>) -> Self {
        self.run.savepoint_path = Some(path.into());
        self
    }

    /// Who owns that savepoint from then on. Said by the field's older name `restoreMode`, which all releases up to 2.3
    /// read; the newer one makes 1.18 and 1.19 reject the whole request.
    pub fn claim_mode(mut self, mode: ClaimMode) -> Self {
        self.run.claim_mode = Some(mode);
        self
    }

    /// State in the savepoint that the graph has no operator for is dropped instead of rejected.
    pub fn allow_non_restored_state(mut self, allow: bool) -> Self {
        self.run.allow_non_restored_state = Some(allow);
        self
    }

    /// The job's id; it must be new since the JobManager started. Chosen from the seed by default. A resumed goal keeps
    /// the id that it was saved with.
    pub fn job_id(mut self, job: JobId) -> Self {
        if self.resumed.is_none() {
            (self.job, self.is_own) = (Some(job), false);
        }
        self
    }

    /// Returns the id that the job has or gets; `None` if it is not chosen yet. A resumed goal has the id that it was
    /// saved with, so that the caller can look the job up without submitting anything.
    pub fn chosen_job_id(&self) -> Option<JobId> {
        self.job
    }

    /// The jar itself, whether the cluster has it, and what to run.
    pub(super) fn into_parts(self) -> (Option<(String, Body)>, bool, JarRun) {
        (self.content, self.is_uploaded, self.run)
    }

    /// Of a jar that is on the cluster, under an id that was chosen at random.
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

    /// Under an id that another job may have.
    pub(super) fn contended(mut self) -> Self {
        self.is_own = false;
        self
    }

    /// Whether the saved state says that the job was never submitted.
    pub(super) fn is_unsent(&self) -> bool {
        self.resumed.as_ref().is_none_or(|resumed| resumed.unsent)
    }

    /// A resumed goal whose main method has run before without killing its JobManager: if another JobManager answers,
    /// that one executes it again, under the same id.
    pub(super) fn trusted(mut self) -> Self {
        self.is_trusted = true;
        self
    }

    /// A resumed goal that only finds out whether the cluster has the job.
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

/// A job that was submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Launched {
    /// The job.
    pub job: JobId,
    /// The jar it runs from.
    pub jar: JarId,
}

goal!(RunJar: FlinkRest => Launched, RunMachine, resume RunState);
