//! The goal [`RunJar`].
//!
//! ```text
//!  fresh ──▶ Upload (unless it is there) ──▶ Version (for a claim mode) ──▶ Submit ──▶ done
//!                                                                            │  ▲
//!                                                              any refusal,  │  │ resumed,
//!                                                              any doubt     ▼  │ unknown job
//!  resumed ────────────────────────────────────────────────────────────────▶ Look
//! ```
//!
//! | Submit ended with | and the cluster | then |
//! |---|---|---|
//! | the answer | | done |
//! | no answer, none of the cluster's own, or refused as a duplicate | knows the job | done |
//! | any other refusal with 400 | knows the job | failed: the main method failed and left its job behind |
//! | a refusal, every attempt answered | does not know the job | that refusal |
//! | no answer | does not know the job | ambiguous |
//!
//! Invariants: the job's id is chosen and saved before it is submitted; there is never a second id.

use std::collections::BTreeMap;
use std::time::Duration;

use super::upload::Upload;
use crate::body::Body;
use crate::error::{Ambiguity, ErrorKind, Failure, FlowError, ServiceError};
use crate::flink::error::is_unknown_job;
use crate::flink::jars::ClaimMode;
use crate::flink::{FlinkRest, FlinkVersion, GetConfig, GetJobStatus, JarId, JobId, JobState, SubmitJar};
use crate::flow::{Call, Common, Config, Flow, Goal, Machine, Notice, Reply, Running, Saved, Step, ok};
use crate::seed::Seed;
use crate::table::records;

records! {
    /// What to run, once its jar is on the cluster.
    pub struct JarRun {
        /// The jar.
        pub jar: JarId = "jar",
        /// The class with the main method.
        pub entry_class: Option<String> = "entry_class",
        /// The arguments of the main method.
        pub program_args: Vec<String> = "program_args",
        /// The parallelism of operators that have none of their own.
        pub parallelism: Option<i32> = "parallelism",
        /// Configuration for this job.
        pub flink_configuration: BTreeMap<String, String> = "flink_configuration",
        /// The savepoint or checkpoint to start from.
        pub savepoint_path: Option<String> = "savepoint_path",
        /// Who owns it from then on.
        pub claim_mode: Option<ClaimMode> = "claim_mode",
        /// State in it that the graph has no operator for is dropped.
        pub allow_non_restored_state: Option<bool> = "allow_non_restored_state",
    }

    struct RunState {
        /// What to run.
        pub run: JarRun = "run",
        /// The job's id.
        pub job: JobId = "job",
    }
}

/// Uploads a jar, unless it is on the cluster, and runs it under a job id chosen beforehand.
///
/// Comes to a [`Launched`] as soon as the job is submitted; [`AwaitJob`](super::AwaitJob) waits for more. Ends in
/// [`FlowError::Service`] when the cluster refuses and has not got the job; in [`FlowError::Failed`] when the main method
/// fails after it submitted its job, which then runs on; in [`FlowError::Ambiguous`] when nobody can tell.
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
    upload: Option<(String, Body)>,
    run: JarRun,
    job: Option<JobId>,
    within: Option<Duration>,
    resumed: bool,
}

impl RunJar {
    const NAME: &'static str = "RunJar";

    /// Runs a jar that is uploaded first. The name ends in `.jar`; on the cluster it gets a mark.
    pub fn upload(name: impl Into<String>, content: impl Into<Body>) -> Self {
        Self { upload: Some((name.into(), content.into())), ..Self::uploaded("") }
    }

    /// Runs a jar that is on the cluster.
    pub fn uploaded(jar: impl Into<JarId>) -> Self {
        let run = JarRun {
            jar: jar.into(),
            entry_class: None,
            program_args: Vec::new(),
            parallelism: None,
            flink_configuration: BTreeMap::new(),
            savepoint_path: None,
            claim_mode: None,
            allow_non_restored_state: None,
        };
        Self { upload: None, run, job: None, within: None, resumed: false }
    }

    /// The same run of a jar that is on the cluster by now.
    pub fn from_uploaded(mut self, jar: impl Into<JarId>) -> Self {
        self.upload = None;
        self.run.jar = jar.into();
        self
    }

    /// Goes on from a state that an earlier flow announced with [`Notice::Save`].
    ///
    /// # Errors
    /// [`FlowError::Misuse`] when the state is another flow's.
    pub fn resume(saved: &Saved) -> Result<Self, FlowError> {
        let RunState { run, job } = saved.read(Self::NAME)?;
        Ok(Self { upload: None, run, job: Some(job), within: None, resumed: true })
    }

    /// The class with the main method, for a jar without a `Main-Class`.
    pub fn entry_class(mut self, class: impl Into<String>) -> Self {
        self.run.entry_class = Some(class.into());
        self
    }

    /// The arguments of the main method.
    pub fn program_args<A: Into<String>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.run.program_args = args.into_iter().map(Into::into).collect();
        self
    }

    /// The parallelism of operators that have none of their own; -1 for the cluster's default.
    pub fn parallelism(mut self, parallelism: i32) -> Self {
        self.run.parallelism = Some(parallelism);
        self
    }

    /// Configuration for this job. Since 1.17.
    pub fn flink_configuration(mut self, configuration: BTreeMap<String, String>) -> Self {
        self.run.flink_configuration = configuration;
        self
    }

    /// The savepoint or checkpoint to start from.
    pub fn savepoint_path(mut self, path: impl Into<String>) -> Self {
        self.run.savepoint_path = Some(path.into());
        self
    }

    /// Who owns that savepoint from then on; said in the way that the cluster's version understands.
    pub fn claim_mode(mut self, mode: ClaimMode) -> Self {
        self.run.claim_mode = Some(mode);
        self
    }

    /// State in the savepoint that the graph has no operator for is dropped instead of refused.
    pub fn allow_non_restored_state(mut self, allow: bool) -> Self {
        self.run.allow_non_restored_state = Some(allow);
        self
    }

    /// The job's id; it must be new since the JobManager started. Chosen from the seed by default.
    pub fn job_id(mut self, job: JobId) -> Self {
        self.job = Some(job);
        self
    }

    /// How long the flow may take; as long as it takes by default.
    pub fn within(mut self, time: Duration) -> Self {
        self.within = Some(time);
        self
    }

    /// The upload, if there is one, and what to run afterwards.
    pub(super) fn into_parts(self) -> (Option<(String, Body)>, JarRun) {
        (self.upload, self.run)
    }

    pub(super) fn of(run: JarRun, job: JobId) -> Self {
        Self { upload: None, run, job: Some(job), within: None, resumed: false }
    }

    pub(super) fn machine(self) -> RunMachine {
        let state = match self.upload {
            Some((name, content)) => State::Start(Some(Upload::new(name, content))),
            None if self.resumed => State::Resumed,
            None => State::Start(None),
        };
        RunMachine { run: self.run, job: self.job, version: None, state }
    }
}

/// A job that was submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launched {
    /// The job.
    pub job: JobId,
    /// The jar it runs from.
    pub jar: JarId,
}

/// The transitions of [`RunJar`].
#[doc(hidden)]
#[derive(Debug)]
pub struct RunMachine {
    run: JarRun,
    job: Option<JobId>,
    version: Option<FlinkVersion>,
    state: State,
}

#[derive(Debug)]
enum State {
    Start(Option<Upload>),
    Resumed,
    Upload(Running<Upload>),
    Version(Call<GetConfig>),
    Submit(Call<SubmitJar>),
    /// Does the cluster know the job? With what came of submitting it.
    Look(Call<GetJobStatus>, Option<Trouble>),
}

#[derive(Debug)]
enum Trouble {
    Refused(ServiceError),
    Ambiguous(Ambiguity),
}

impl RunMachine {
    fn job(&mut self, cx: &mut Common<FlinkRest>) -> JobId {
        *self.job.get_or_insert_with(|| JobId::from_bits(cx.seed.next_u128()))
    }

    fn version_or_submit(&mut self, cx: &mut Common<FlinkRest>) {
        if self.run.claim_mode.is_some() && self.version.is_none() {
            self.state = State::Version(cx.call(GetConfig::new()));
        } else {
            self.submit(cx);
        }
    }

    fn submit(&mut self, cx: &mut Common<FlinkRest>) {
        let job = self.job(cx);
        cx.phase(RunJar::NAME, "submitting the job");
        cx.save(Saved::new(RunJar::NAME, &RunState { run: self.run.clone(), job }));
        let JarRun {
            jar,
            entry_class,
            program_args,
            parallelism,
            flink_configuration,
            savepoint_path,
            claim_mode,
            allow_non_restored_state,
        } = self.run.clone();
        let mut submit = SubmitJar::new(jar).job_id(job);
        submit.entry_class = entry_class;
        submit.program_args = Some(program_args).filter(|args| !args.is_empty());
        submit.parallelism = parallelism;
        submit.flink_configuration = Some(flink_configuration).filter(|configuration| !configuration.is_empty());
        submit.savepoint_path = savepoint_path;
        submit.allow_non_restored_state = allow_non_restored_state;
        match self.version {
            Some(version) if version < FlinkVersion::CLAIM_MODE => submit.restore_mode = claim_mode,
            _ => submit.claim_mode = claim_mode,
        }
        self.state = State::Submit(cx.call(submit));
    }

    fn look(&mut self, trouble: Option<Trouble>, cx: &mut Common<FlinkRest>) {
        let job = self.job(cx);
        cx.phase(RunJar::NAME, "looking for the job");
        self.state = State::Look(cx.call(GetJobStatus::new(job)), trouble);
    }

    fn launched(&mut self, cx: &mut Common<FlinkRest>) -> Launched {
        Launched { job: self.job(cx), jar: self.run.jar.clone() }
    }
}

impl Trouble {
    fn into_error(self) -> FlowError {
        match self {
            Self::Refused(error) => FlowError::Service(error),
            Self::Ambiguous(ambiguity) => FlowError::Ambiguous(ambiguity),
        }
    }

    /// The cluster has the job.
    fn with_job(self, job: JobId, state: &JobState) -> Result<(), FlowError> {
        let refusal = match &self {
            Self::Refused(error) => error,
            Self::Ambiguous(ambiguity) => match &*ambiguity.cause {
                FlowError::Service(error) => error,
                _ => return Ok(()),
            },
        };
        // What is not the cluster's own word says nothing about the main method.
        let says_why = refusal.kind() == ErrorKind::Refused && refusal.status().is_client_error();
        if !says_why || refusal.details().unwrap_or_default().contains("Duplicate") {
            return Ok(());
        }
        Err(FlowError::Failed(Failure {
            what: format!("running a jar as job {job}"),
            reason: format!("{refusal}; but the job was submitted all the same, and is {state}"),
            details: refusal.details().map(str::to_owned),
        }))
    }

    /// The cluster has not got the job.
    fn without_job(self, job: JobId) -> FlowError {
        match self {
            Self::Refused(error) => FlowError::Service(error),
            Self::Ambiguous(Ambiguity { unanswered: false, cause, .. }) => *cause,
            Self::Ambiguous(mut ambiguity) => {
                ambiguity.found = Some(format!("the cluster does not know job {job}"));
                FlowError::Ambiguous(ambiguity)
            }
        }
    }
}

impl Machine for RunMachine {
    type Service = FlinkRest;
    type Output = Launched;
    const NAME: &'static str = RunJar::NAME;

    fn step(&mut self, cx: &mut Common<FlinkRest>, reply: &mut Option<Reply>) -> Step<Launched> {
        loop {
            if let Some(notice) = cx.next_notice(reply.as_ref()) {
                return Step::Notice(notice);
            }
            match &mut self.state {
                State::Start(None) => self.version_or_submit(cx),
                State::Start(upload) => {
                    if let Some(upload) = upload.take() {
                        cx.phase(Self::NAME, "uploading the jar");
                        self.state = State::Upload(cx.child(upload));
                    }
                }
                State::Resumed => self.look(None, cx),
                State::Upload(flow) => match ok!(flow.poll(cx.now(), reply.take())) {
                    Ok(jar) => {
                        cx.say(Notice::Observed { what: "jar".to_owned(), state: format!("uploaded as {jar}") });
                        self.run.jar = jar;
                        self.version_or_submit(cx);
                    }
                    Err(error) => return Step::Done(Err(error)),
                },
                State::Version(call) => match ok!(call.poll(cx.now(), reply.take())) {
                    Ok(config) => {
                        // What cannot be read is newer than what can.
                        self.version = Some(config.version().unwrap_or(FlinkVersion::CLAIM_MODE));
                        self.submit(cx);
                    }
                    Err(error) => return Step::Done(Err(error)),
                },
                State::Submit(call) => match ok!(call.poll(cx.now(), reply.take())) {
                    Ok(submitted) => {
                        // A cluster that chose an id of its own would have ignored ours.
                        self.job = Some(submitted.job_id);
                        return Step::Done(Ok(self.launched(cx)));
                    }
                    Err(FlowError::Service(error)) => self.look(Some(Trouble::Refused(error)), cx),
                    Err(FlowError::Ambiguous(ambiguity)) => self.look(Some(Trouble::Ambiguous(ambiguity)), cx),
                    Err(error) => return Step::Done(Err(error)),
                },
                State::Look(call, trouble) => {
                    let status = ok!(call.poll(cx.now(), reply.take()));
                    let trouble = trouble.take();
                    let job = self.job(cx);
                    match (status, trouble) {
                        (Ok(found), trouble) => {
                            cx.say(Notice::Observed { what: format!("job {job}"), state: found.status.to_string() });
                            let result = trouble.map_or(Ok(()), |trouble| trouble.with_job(job, &found.status));
                            return Step::Done(result.map(|()| self.launched(cx)));
                        }
                        (Err(FlowError::Service(error)), None) if is_unknown_job(&error) => self.version_or_submit(cx),
                        (Err(FlowError::Service(error)), Some(trouble)) if is_unknown_job(&error) => {
                            return Step::Done(Err(trouble.without_job(job)));
                        }
                        (Err(error), trouble) => return Step::Done(Err(trouble.map_or(error, Trouble::into_error))),
                    }
                }
            }
        }
    }
}

impl Goal for RunJar {
    type Service = FlinkRest;
    type Output = Launched;
    type Flow = Running<RunMachine>;

    fn start(self, config: &Config<FlinkRest>, seed: Seed) -> Self::Flow {
        let within = self.within;
        Running::new(self.machine(), config, seed, within)
    }
}
