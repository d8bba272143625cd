//! The goal [`RunJar`].
//!
//! ```text
//!  fresh ──▶ Upload (unless it is there) ──▶ Submit ──answered──▶ done
//!                                             │  ▲
//!                              any refusal,   │  │ an attempt got no answer, the job is still unknown after
//!                              any doubt      ▼  │ some looks; or resumed while young, and the job is unknown
//!  resumed ────────────────────────────────▶ Look ◀──▶ Wait
//! ```
//!
//! | Submit ended with | and the cluster | then |
//! |---|---|---|
//! | the answer | | done |
//! | no answer of the cluster's own | knows the job | done |
//! | no answer of the cluster's own | does not know the job, look after look | Submit, the same id |
//! | refused as a duplicate, after an attempt without an answer | knows the job | done |
//! | refused as a duplicate, otherwise | knows the job | failed: the id is another job's |
//! | any other refusal with 400, every attempt answered | knows the job | failed: the main method failed and left its job behind |
//! | any other refusal with 400, otherwise | knows the job | ambiguous: it may be an earlier attempt's, which is all right |
//! | a refusal, every attempt answered | does not know the job | that refusal |
//! | a refusal, after an attempt without an answer | does not know the job, look after look | ambiguous |
//!
//! Invariants: the job's id is chosen and saved before it is submitted, and again when that is answered; there is never a
//! second id; a main method that may be at work is looked for before it is called again.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Pace;
use super::upload::Upload;
use crate::body::Body;
use crate::error::{Ambiguity, ErrorKind, Failure, FlowError, ServiceError};
use crate::flink::error::is_unknown_job;
use crate::flink::jars::ClaimMode;
use crate::flink::{FlinkRest, GetJobStatus, JarId, JobId, JobState, SubmitJar};
use crate::flow::{Call, Common, Config, Flow, Goal, Machine, Notice, Reply, Running, Saved, Step, ok};
use crate::operation::Operation as _;
use crate::secret::Private;
use crate::seed::Seed;
use crate::table::records;
use crate::time::Timestamp;

records! {
    /// What to run, once its jar is on the cluster.
    pub(super) struct JarRun {
        /// The jar.
        pub jar: JarId = "jar",
        /// The class with the main method.
        pub entry_class: Option<String> = "entry_class",
        /// The arguments of the main method.
        pub program_args: Private<Vec<String>> = "program_args",
        /// The parallelism of operators that have none of their own.
        pub parallelism: Option<i32> = "parallelism",
        /// Configuration for this job.
        pub flink_configuration: Private<BTreeMap<String, String>> = "flink_configuration",
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
        /// When it was first submitted, in milliseconds since the epoch, by our clock.
        pub since: u64 = "since",
        /// Whether the cluster has got it.
        pub acknowledged: bool = "acknowledged",
    }
}

/// Uploads a jar, unless it is on the cluster, and runs it under a job id chosen beforehand.
///
/// Comes to a [`Launched`] as soon as the job is submitted; [`AwaitJob`](super::AwaitJob) waits for more. Ends in
/// [`FlowError::Service`] when the cluster refuses and has not got the job; in [`FlowError::Failed`] when the main method
/// fails after it submitted its job, which then runs on; in [`FlowError::Ambiguous`] when nobody can tell.
///
/// The job is submitted once as long as the JobManager lives: one that is restarted between a lost answer and the next
/// attempt, which may be that of a resumed flow within the hour, knows no ended jobs. A job that came to its end before
/// is run again then, if the jar is still there (`web.upload.dir`).
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
    resumed: Option<Resumed>,
}

#[derive(Clone, Copy, Debug)]
struct Resumed {
    since: u64,
    acknowledged: bool,
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
            program_args: Private::default(),
            parallelism: None,
            flink_configuration: Private::default(),
            savepoint_path: None,
            claim_mode: None,
            allow_non_restored_state: None,
        };
        Self { upload: None, run, job: None, within: None, resumed: None }
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
        let RunState { run, job, since, acknowledged } = saved.read(Self::NAME)?;
        Ok(Self { upload: None, run, job: Some(job), within: None, resumed: Some(Resumed { since, acknowledged }) })
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
    /// read; the newer one makes 1.18 and 1.19 refuse the whole request.
    pub fn claim_mode(mut self, mode: ClaimMode) -> Self {
        self.run.claim_mode = Some(mode);
        self
    }

    /// State in the savepoint that the graph has no operator for is dropped instead of refused.
    pub fn allow_non_restored_state(mut self, allow: bool) -> Self {
        self.run.allow_non_restored_state = Some(allow);
        self
    }

    /// The job's id; it must be new since the JobManager started. Chosen from the seed by default. A resumed goal keeps
    /// the id that it was saved with.
    pub fn job_id(mut self, job: JobId) -> Self {
        if self.resumed.is_none() {
            self.job = Some(job);
        }
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
        Self { upload: None, run, job: Some(job), within: None, resumed: None }
    }

    pub(super) fn machine(self) -> RunMachine {
        let state = match (self.upload, self.resumed) {
            (Some((name, content)), _) => State::Start(Some(Upload::new(name, content))),
            (None, Some(Resumed { acknowledged: true, .. })) => State::Launched,
            (None, Some(_)) => State::Resumed,
            (None, None) => State::Start(None),
        };
        let since = self.resumed.map(|resumed| resumed.since);
        RunMachine {
            run: self.run,
            job: self.job,
            since,
            unanswered: since.is_some(),
            tries: 0,
            looks: 0,
            pace: Pace::START,
            state,
        }
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

/// How often a job is submitted, all under the same id.
const TRIES: u32 = 5;
/// How often a job is looked for before it is submitted again: about 13 s.
const LOOKS: u32 = 10;
/// How long a JobManager knows a job that has ended, by default (`jobstore.expiration-time`).
const KNOWN: Duration = Duration::from_secs(3600);

/// The transitions of [`RunJar`].
#[doc(hidden)]
#[derive(Debug)]
pub struct RunMachine {
    run: JarRun,
    job: Option<JobId>,
    /// When it was first submitted, in milliseconds since the epoch.
    since: Option<u64>,
    /// Whether it may have been submitted by an attempt without an answer, here or in another process.
    unanswered: bool,
    tries: u32,
    /// Since the last try.
    looks: u32,
    pace: Pace,
    state: State,
}

#[derive(Debug)]
enum State {
    Start(Option<Upload>),
    Resumed,
    Upload(Running<Upload>),
    Submit(Call<SubmitJar>),
    /// Does the cluster know the job? With what came of submitting it; `None` when that was another process.
    Look(Call<GetJobStatus>, Option<FlowError>),
    Wait(Timestamp, FlowError),
    Launched,
}

impl RunMachine {
    fn job(&mut self, cx: &mut Common<FlinkRest>) -> JobId {
        *self.job.get_or_insert_with(|| JobId::from_bits(cx.seed.next_u128()))
    }

    fn save(&mut self, acknowledged: bool, cx: &mut Common<FlinkRest>) {
        let (job, since) = (self.job(cx), *self.since.get_or_insert(cx.now().as_millis()));
        cx.save(Saved::new(RunJar::NAME, &RunState { run: self.run.clone(), job, since, acknowledged }));
    }

    fn submit(&mut self, cx: &mut Common<FlinkRest>) {
        let job = self.job(cx);
        (self.tries, self.looks, self.pace) = (self.tries + 1, 0, Pace::START);
        cx.phase(RunJar::NAME, "submitting the job");
        self.save(false, cx);
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
        submit.program_args = Some(program_args.0).filter(|args| !args.is_empty());
        submit.parallelism = parallelism;
        submit.flink_configuration = Some(flink_configuration.0).filter(|configuration| !configuration.is_empty());
        submit.savepoint_path = savepoint_path;
        submit.allow_non_restored_state = allow_non_restored_state;
        submit.restore_mode = claim_mode;
        self.state = State::Submit(cx.call(submit).without_resending());
    }

    fn look(&mut self, trouble: Option<FlowError>, cx: &mut Common<FlinkRest>) {
        let job = self.job(cx);
        self.state = State::Look(cx.call(GetJobStatus::new(job)), trouble);
    }

    /// It may have been submitted, and nobody can tell.
    fn ambiguous(cause: FlowError, found: Option<String>) -> FlowError {
        match cause {
            FlowError::Ambiguous(ambiguity) => FlowError::Ambiguous(Ambiguity { unanswered: true, found, ..ambiguity }),
            cause => {
                let (operation, cause) = (SubmitJar::INFO.name, Box::new(cause));
                FlowError::Ambiguous(Ambiguity { operation, cause, unanswered: true, found })
            }
        }
    }

    /// The cluster has the job: is it ours, and all right?
    fn known(&self, job: JobId, state: &JobState, trouble: Option<&FlowError>) -> Result<(), FlowError> {
        // What is not the cluster's own word says nothing about the main method.
        let says_why = |error: &&ServiceError| error.kind() == ErrorKind::Refused && error.status().is_client_error();
        let Some(refusal) = trouble.and_then(FlowError::service).filter(says_why) else {
            return Ok(());
        };
        let is_duplicate = refusal.details().unwrap_or_default().contains("Duplicate");
        let what = match is_duplicate {
            true if self.unanswered => return Ok(()),
            // An earlier attempt's main method may have submitted it, and have been in the way of this one's.
            false if self.unanswered => {
                let found = Some(format!("job {job} is {state}"));
                return Err(Self::ambiguous(FlowError::Service(refusal.clone()), found));
            }
            true => "its id was used before, or the program calls execute more than once",
            false => "but the job was submitted all the same",
        };
        Err(FlowError::Failed(Failure {
            what: format!("running a jar as job {job}"),
            reason: format!("{refusal}; {what}; the job is {state}"),
            details: refusal.details().map(str::to_owned),
            cause: None,
        }))
    }

    /// The cluster has not got the job. What to do next, or how it ends.
    fn unknown(&mut self, trouble: Option<FlowError>, cx: &mut Common<FlinkRest>) -> Result<(), FlowError> {
        let found = Some(format!("the cluster does not know job {}", self.job(cx)));
        let Some(trouble) = trouble else {
            let since = Timestamp::from_millis(self.since.unwrap_or_default());
            if cx.now().since(since) < KNOWN {
                self.submit(cx);
                return Ok(());
            }
            let waiting = "a job that was submitted so long ago that the cluster may have forgotten it";
            let cause = FlowError::Deadline { at: since + KNOWN, waiting, last: None };
            return Err(Self::ambiguous(cause, found));
        };
        if !self.unanswered {
            // The cluster has answered every attempt, and has not got the job: the refusal is all there is to say.
            return Err(match trouble {
                FlowError::Ambiguous(Ambiguity { cause, .. }) => *cause,
                refusal => refusal,
            });
        }
        let is_refused = trouble.service().is_some_and(|error| error.kind() == ErrorKind::Refused);
        if self.looks < LOOKS {
            self.looks += 1;
            self.state = State::Wait(self.pace.next(cx.now()), trouble);
        } else if self.tries < TRIES && !is_refused {
            self.submit(cx);
        } else {
            return Err(Self::ambiguous(trouble, found));
        }
        Ok(())
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
                State::Start(None) => self.submit(cx),
                State::Start(upload) => {
                    if let Some(upload) = upload.take() {
                        cx.phase(Self::NAME, "uploading the jar");
                        self.state = State::Upload(cx.child(upload));
                    }
                }
                State::Resumed => {
                    cx.phase(Self::NAME, "looking for the job");
                    self.look(None, cx);
                }
                State::Upload(flow) => match ok!(flow.poll(cx.now(), reply.take())) {
                    Ok(jar) => {
                        cx.say(Notice::Observed { what: "jar".to_owned(), state: format!("uploaded as {jar}") });
                        self.run.jar = jar;
                        self.submit(cx);
                    }
                    Err(error) => return Step::Done(Err(error)),
                },
                State::Submit(call) => match ok!(call.poll(cx.now(), reply.take())) {
                    Ok(submitted) => {
                        // A cluster that chose an id of its own would have ignored ours.
                        self.job = Some(submitted.job_id);
                        self.save(true, cx);
                        self.state = State::Launched;
                    }
                    Err(error @ (FlowError::Service(_) | FlowError::Ambiguous(_))) => {
                        self.unanswered |= matches!(&error, FlowError::Ambiguous(ambiguity) if ambiguity.unanswered);
                        cx.phase(Self::NAME, "looking for the job");
                        self.look(Some(error), cx);
                    }
                    Err(error) if self.unanswered => return Step::Done(Err(Self::ambiguous(error, None))),
                    Err(error) => return Step::Done(Err(error)),
                },
                State::Look(call, trouble) => {
                    let status = ok!(call.poll(cx.now(), reply.take()));
                    let trouble = trouble.take();
                    let next = match status {
                        Ok(found) => {
                            let job = self.job(cx);
                            cx.say(Notice::Observed { what: format!("job {job}"), state: found.status.to_string() });
                            self.known(job, &found.status, trouble.as_ref()).map(|()| {
                                self.save(true, cx);
                                self.state = State::Launched;
                            })
                        }
                        Err(FlowError::Service(error)) if is_unknown_job(&error) => self.unknown(trouble, cx),
                        // There is no way to look.
                        Err(error) if self.unanswered => Err(Self::ambiguous(trouble.unwrap_or(error), None)),
                        Err(error) => Err(trouble.unwrap_or(error)),
                    };
                    if let Err(error) = next {
                        return Step::Done(Err(error));
                    }
                }
                State::Wait(until, trouble) => {
                    if let Some(step) = cx.wait_until(*until, "the job to be submitted", reply) {
                        return match step {
                            Step::Done(_) => Step::Done(Err(match trouble.clone() {
                                // Time is up, and it may have been submitted.
                                FlowError::Ambiguous(ambiguity) => FlowError::Ambiguous(ambiguity),
                                trouble => Self::ambiguous(trouble, None),
                            })),
                            step => step,
                        };
                    }
                    let trouble = trouble.clone();
                    self.look(Some(trouble), cx);
                }
                State::Launched => {
                    let job = self.job(cx);
                    return Step::Done(Ok(Launched { job, jar: self.run.jar.clone() }));
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
