//! The transitions of [`RunJar`], as drawn in its module.

mod decide;

use std::ops::ControlFlow;

use super::{JarRun, Launched, Purpose, Resumed, RunJar, RunState};
use crate::body::Body;
use crate::error::{Applied, ErrorKind, FlowError, ServiceError};
use crate::flink::error::{is_unknown_jar, is_unknown_job};
use crate::flink::flow::PollInterval;
use crate::flink::flow::diagnosis::{JobDiagnosis, JobLookup};
use crate::flink::flow::job_manager::JobManagerLookup;
use crate::flink::flow::job_manager::{Identify, Process, compare, is_of_failover};
use crate::flink::flow::lookup_retry::LookupRetry;
use crate::flink::flow::upload::Upload;
use crate::flink::jars::SubmitJar;
use crate::flink::jobs::GetJobStatus;
use crate::flink::tuning::{JOB_RETENTION, MAX_REUPLOADS};
use crate::flink::{FlinkRest, JobId};
use crate::flow::{Call, FlowContext, Notice, Runner, SavedState, StateMachine, Transition, done};
use crate::time::Timestamp;

/// The transitions of [`RunJar`].
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct RunMachine {
    run: JarRun,
    /// The name and the bytes of the jar, for a cluster that no longer has it.
    content: Option<(String, Body)>,
    is_uploaded: bool,
    /// How often it was uploaded again.
    uploads: u32,
    job: Option<JobId>,
    /// Whether only this flow can have used the id of the job: it was chosen at random.
    is_own: bool,
    purpose: Purpose,
    /// Whether the cluster has answered with success for this flow's own submission.
    is_certain: bool,
    /// When the job was first submitted, in milliseconds since the epoch.
    since: Option<u64>,
    /// Whether an attempt without an answer, in this or in another process, may have submitted the job.
    unanswered: bool,
    /// Whether another JobManager than before may execute the main method again, once.
    is_trusted: bool,
    /// Whether the last rejection leaves open if the job was submitted: its main method failed.
    is_open: bool,
    /// The attempts of this submission that were handed out when the JobManager was identified last.
    identified: u32,
    submissions: u32,
    /// How often the job was looked up since the last submission.
    lookups: u32,
    pace: PollInterval,
    /// For how long a lookup of the job that fails is repeated.
    retry: LookupRetry,
    /// What the cluster said about the job last.
    lookup: JobLookup,
    /// Which JobManager process was to execute the main method last.
    job_manager: Option<String>,
    /// Whether that process still runs, if the request got no answer.
    survival: JobManagerLookup,
    state: State,
}

#[derive(Debug)]
enum State {
    Start,
    Resumed,
    Upload(Runner<Upload>),
    /// Reads which JobManager is about to execute the main method.
    Identify(Identify),
    Submit(Call<SubmitJar>),
    /// Reads which JobManager is about to execute the main method, before another attempt of a submission that was not
    /// carried out.
    Repeat(Identify, Call<SubmitJar>),
    /// Reads whether the cluster knows the job. With the error of its submission; `None` if another process has
    /// submitted it.
    Lookup(Call<GetJobStatus>, Option<FlowError>),
    Wait(Timestamp, Option<FlowError>),
    /// The cluster does not know the job: reads whether the JobManager is still the same.
    Check(Identify, Option<FlowError>),
    Launched,
}

/// Returns the rejection if it is about the main method: if it is from the cluster itself, and not about a JobManager
/// that cannot be reached. It also shows that the JobManager that was to execute the main method is alive.
fn says_why(error: &FlowError) -> Option<&ServiceError> {
    error.service().filter(|rejection| rejection.kind() == ErrorKind::Rejected && !is_of_failover(rejection))
}

/// Returns whether the cluster says that it has executed nothing.
fn is_not_applied(error: &FlowError) -> bool {
    error.service().is_some_and(|rejection| is_of_failover(rejection) && rejection.applied() == Applied::No)
}

fn is_duplicate(rejection: &ServiceError) -> bool {
    rejection.details().unwrap_or_default().contains("Duplicate")
}

impl RunMachine {
    /// Begins a new run, or continues from the state that another process has saved.
    pub(super) fn new(goal: RunJar) -> Self {
        let RunJar { content, is_uploaded, run, job, is_own, is_trusted, resumed, purpose, .. } = goal;
        let state = match resumed {
            Some(Resumed { acknowledged: true, .. }) => State::Launched,
            Some(Resumed { unsent: false, .. }) => State::Resumed,
            Some(Resumed { unsent: true, .. }) | None => State::Start,
        };
        let is_certain = resumed.as_ref().is_some_and(|resumed| resumed.is_certain);
        let sent = resumed.filter(|resumed| !resumed.unsent);
        let (since, job_manager) = sent.map_or((None, None), |sent| (Some(sent.since), sent.job_manager));
        Self {
            run,
            content,
            is_uploaded,
            uploads: 0,
            job,
            is_own,
            purpose,
            is_certain,
            since,
            unanswered: since.is_some(),
            is_trusted,
            is_open: false,
            identified: 0,
            submissions: 0,
            lookups: 0,
            pace: PollInterval::START,
            retry: LookupRetry::default(),
            lookup: JobLookup::NotTried,
            job_manager,
            survival: JobManagerLookup::NotTried,
            state,
        }
    }

    /// Returns whether the job was certainly not submitted: the cluster has answered every attempt, and does not know
    /// the job.
    pub(in crate::flink::flow) fn is_unsubmitted(&self) -> bool {
        !self.unanswered && matches!(self.lookup, JobLookup::NotTried | JobLookup::NotFound)
    }

    /// Returns whether the job with this id is certainly the job that this flow has submitted.
    pub(in crate::flink::flow) fn is_certain(&self) -> bool {
        self.is_certain
    }

    /// Returns whether the cluster does not know the job, although it would know a submitted job that has ended.
    pub(in crate::flink::flow) fn is_absent(&self, now: Timestamp) -> bool {
        let since = Timestamp::from_millis(self.since.unwrap_or_default());
        self.lookup == JobLookup::NotFound && now.since(since) < JOB_RETENTION
    }

    /// Returns whether the cluster said that the job exists or existed.
    pub(in crate::flink::flow) fn is_known(&self) -> bool {
        matches!(self.lookup, JobLookup::State(_))
    }

    /// Returns whether another JobManager, which was not to execute `main()`, said that it does not know the job.
    pub(in crate::flink::flow) fn is_lost(&self) -> bool {
        self.survival == JobManagerLookup::Restarted && self.lookup == JobLookup::NotFound
    }

    /// Returns whether another JobManager said that it does not know the job, and the JobManager that was to execute
    /// `main()` may still execute it.
    pub(in crate::flink::flow) fn may_still_start(&self, now: Timestamp) -> bool {
        self.survival == JobManagerLookup::DifferentReplica && self.is_absent(now)
    }

    /// Returns whether the cluster said that the job exists and has not ended.
    pub(in crate::flink::flow) fn is_alive(&self) -> bool {
        matches!(&self.lookup, JobLookup::State(state) if !state.is_terminal())
    }

    fn job(&mut self, cx: &mut FlowContext<FlinkRest>) -> JobId {
        *self.job.get_or_insert_with(|| JobId::from_bits(cx.seed.next_u128()))
    }

    fn save(&mut self, acknowledged: bool, cx: &mut FlowContext<FlinkRest>) {
        self.since.get_or_insert(cx.now().as_millis());
        let state = RunState { acknowledged, ..self.saved(cx) };
        cx.save(SavedState::new(RunJar::NAME, &state));
    }

    /// Saves that every attempt was rejected or never sent, so that the cluster does not have the job: a resumed flow
    /// may run it at any later time.
    fn save_unsent(&mut self, cx: &mut FlowContext<FlinkRest>) {
        if self.since.is_none() || self.unanswered || self.is_open {
            return;
        }
        let state = RunState { unsent: Some(true), ..self.saved(cx) };
        cx.save(SavedState::new(RunJar::NAME, &state));
    }

    fn saved(&mut self, cx: &mut FlowContext<FlinkRest>) -> RunState {
        RunState {
            run: self.run.clone(),
            job: self.job(cx),
            since: self.since.unwrap_or_default(),
            acknowledged: false,
            is_own: Some(self.is_own),
            unsent: None,
            is_certain: self.is_certain.then_some(true),
            job_manager: self.job_manager.clone(),
        }
    }

    fn start(&mut self, cx: &mut FlowContext<FlinkRest>) -> State {
        match self.content.clone().filter(|_| !self.is_uploaded) {
            Some((name, content)) => {
                cx.phase(RunJar::NAME, "uploading the jar");
                State::Upload(cx.child(Upload::new(name, content)))
            }
            None => State::Identify(Identify::before()),
        }
    }

    /// Returns whether to upload the jar again: a JobManager that was restarted has lost it, and another JobManager
    /// never had it.
    fn is_uploadable(&self, error: &FlowError) -> bool {
        error.service().is_some_and(is_unknown_jar) && self.content.is_some() && self.uploads < MAX_REUPLOADS
    }

    fn upload_again(&mut self, error: &FlowError, cx: &mut FlowContext<FlinkRest>) -> Option<State> {
        if !self.is_uploadable(error) {
            return None;
        }
        (self.uploads, self.is_uploaded) = (self.uploads + 1, false);
        cx.say(Notice::Observed {
            what: "jar".to_owned(),
            state: format!("the cluster no longer has {}; uploading it again", self.run.jar),
        });
        Some(self.start(cx))
    }

    /// Records which JobManager is about to execute the main method. If an earlier attempt got no answer, it must be
    /// the same JobManager. Returns whether the job may be submitted.
    fn identified(&mut self, process: Result<Process, String>) -> bool {
        if self.unanswered {
            self.survival = compare(self.job_manager.as_deref(), process);
            self.survival == JobManagerLookup::Same
        } else {
            self.job_manager = process.ok().map(|process| process.identity);
            true
        }
    }

    fn submit(&mut self, cx: &mut FlowContext<FlinkRest>) -> State {
        let job = self.job(cx);
        self.identified = 0;
        (self.submissions, self.lookups, self.pace) = (self.submissions + 1, 0, PollInterval::START);
        self.survival = JobManagerLookup::NotTried;
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
        State::Submit(cx.call(submit).handing_back(is_of_failover))
    }

    fn look_up(&mut self, submit_error: Option<FlowError>, cx: &mut FlowContext<FlinkRest>) -> State {
        let job = self.job(cx);
        State::Lookup(cx.call(GetJobStatus::new(job)), submit_error)
    }

    /// Ends with an error. If no attempt can have submitted the job, saves that a resumed flow may submit it.
    fn failed(&mut self, error: FlowError, cx: &mut FlowContext<FlinkRest>) -> Transition<Launched> {
        self.save_unsent(cx);
        done(Err(error))
    }

    /// Makes an error that is not about the submission ambiguous if the job may have been submitted.
    fn or_ambiguous(&self, error: FlowError) -> FlowError {
        if self.unanswered { Self::ambiguous(error, None) } else { error }
    }
}

impl StateMachine for RunMachine {
    type Service = FlinkRest;
    type Output = Launched;
    const NAME: &'static str = RunJar::NAME;
    const PHASES: &'static [&'static str] = &["uploading the jar", "submitting the job", "looking for the job"];

    fn transition(&mut self, cx: &mut FlowContext<FlinkRest>) -> Transition<Launched> {
        let next = match &mut self.state {
            State::Start => Ok(self.start(cx)),
            State::Upload(flow) => cx.poll(flow)?.map(|jar| {
                cx.say(Notice::Observed { what: "jar".to_owned(), state: format!("uploaded as {jar}") });
                (self.run.jar, self.is_uploaded) = (jar, true);
                State::Identify(Identify::before())
            }),
            State::Identify(lookup) => match lookup.poll(cx)?.map(|process| self.identified(process)) {
                Ok(true) => Ok(self.submit(cx)),
                Ok(false) => Ok(self.look_up(None, cx)),
                Err(error) => Err(self.or_ambiguous(error)),
            },
            State::Submit(call) if !cx.has_reply() && call.is_about_to_repeat() && self.identified != call.sent() => {
                self.identified = call.sent();
                let State::Submit(call) = std::mem::replace(&mut self.state, State::Start) else {
                    return ControlFlow::Continue(());
                };
                Ok(State::Repeat(Identify::before(), call))
            }
            State::Repeat(lookup, _) => {
                let process = lookup.poll(cx)?;
                let State::Repeat(_, call) = std::mem::replace(&mut self.state, State::Start) else {
                    return ControlFlow::Continue(());
                };
                match process.map(|process| self.identified(process)) {
                    Ok(true) => {
                        self.save(false, cx);
                        Ok(State::Submit(call))
                    }
                    Ok(false) => Ok(self.look_up(None, cx)),
                    Err(error) => Err(self.or_ambiguous(error)),
                }
            }
            State::Submit(call) => match cx.poll(call)? {
                Ok(submitted) => {
                    // A cluster that ignores the requested id has chosen another id.
                    self.job = Some(submitted.job_id);
                    self.is_certain = true;
                    self.save(true, cx);
                    Ok(State::Launched)
                }
                Err(error @ (FlowError::Service(_) | FlowError::Ambiguous(_))) => Ok(self.not_submitted(error, cx)),
                Err(error) => Err(self.or_ambiguous(error)),
            },
            State::Resumed => {
                cx.phase(RunJar::NAME, "looking for the job");
                Ok(self.look_up(None, cx))
            }
            State::Lookup(call, submit_error) => {
                let status = cx.poll(call)?;
                let submit_error = submit_error.take();
                match status {
                    Ok(found) => {
                        let job = self.job(cx);
                        self.lookup = JobLookup::State(found.status.clone());
                        cx.say(Notice::Observed { what: format!("job {job}"), state: found.status.to_string() });
                        self.known(job, &found.status, submit_error.as_ref()).map(|()| {
                            self.save(true, cx);
                            State::Launched
                        })
                    }
                    Err(FlowError::Service(error)) if is_unknown_job(&error) => {
                        self.lookup = JobLookup::NotFound;
                        self.unknown(submit_error, cx)
                    }
                    Err(error) => self.look_up_again(error, submit_error, cx),
                }
            }
            State::Wait(until, submit_error) => {
                let waited = cx.wait_or_expire(*until, "the job to be submitted")?;
                let submit_error = submit_error.take();
                match waited {
                    Ok(()) => Ok(self.look_up(submit_error, cx)),
                    // The job may have been submitted.
                    Err(error) => Err(match submit_error.unwrap_or(error) {
                        error @ FlowError::Ambiguous(_) => error,
                        error => self.or_ambiguous(error),
                    }),
                }
            }
            State::Check(lookup, submit_error) => {
                let process = lookup.poll(cx)?;
                let submit_error = submit_error.take();
                self.checked(process.unwrap_or_else(|error| Err(error.to_string())), submit_error, cx)
            }
            State::Launched => {
                let job = self.job(cx);
                return done(Ok(Launched { job, jar: self.run.jar.clone() }));
            }
        };
        match next {
            Ok(state) => self.state = state,
            Err(error) => return self.failed(error, cx),
        }
        ControlFlow::Continue(())
    }

    /// Adds the ids that the caller needs to look the job up.
    fn add_evidence(&mut self, error: FlowError) -> FlowError {
        let is_open = matches!(error, FlowError::Ambiguous(_) | FlowError::Deadline { .. } | FlowError::Failed(_));
        let Some(job) = self.job.filter(|_| is_open) else { return error };
        let (lookup, jar) = (self.lookup.clone(), Some(self.run.jar.clone()));
        error.with_evidence(JobDiagnosis { lookup, jar, job_manager: self.survival.clone(), ..JobDiagnosis::new(job) })
    }
}
