//! What follows from the answers that a run gets.

use super::{RunMachine, State, is_duplicate, is_not_applied, says_why};
use crate::error::{Ambiguity, Applied, Failure, FlowError};
use crate::flink::flow::diagnosis::JobLookup;
use crate::flink::flow::job_manager::JobManagerLookup;
use crate::flink::flow::job_manager::{Identify, Process, compare, is_of_failover, next_step, suspicion};
use crate::flink::flow::run_jar::{Purpose, RunJar};
use crate::flink::jars::SubmitJar;
use crate::flink::jobs::JobState;
use crate::flink::tuning::{JOB_RETENTION, MAX_JOB_LOOKUPS, MAX_SUBMISSIONS};
use crate::flink::{FlinkRest, JobId};
use crate::flow::FlowContext;
use crate::operation::Operation as _;
use crate::time::Timestamp;

impl RunMachine {
    /// Returns the error for a job of which it is not known whether it was submitted.
    pub(super) fn ambiguous(cause: FlowError, found: Option<String>) -> FlowError {
        match cause {
            FlowError::Ambiguous(ambiguity) => FlowError::Ambiguous(Ambiguity { unanswered: true, found, ..ambiguity }),
            cause => {
                let (operation, cause) = (SubmitJar::INFO.name, Box::new(cause));
                FlowError::Ambiguous(Ambiguity { operation, cause, unanswered: true, found, evidence: None })
            }
        }
    }

    /// The submission was rejected, or got no answer: the job is looked up, unless only the jar is missing.
    pub(super) fn not_submitted(&mut self, error: FlowError, cx: &mut FlowContext<FlinkRest>) -> State {
        // Another attempt may still execute main(), or may have killed the JobManager that had the jar.
        if self.unanswered && self.is_uploadable(&error) {
            return State::Check(Identify::after(), Some(error));
        }
        let rejection = error.service();
        self.is_open |= error.is_ambiguous() || rejection.is_some_and(|rejection| rejection.applied() != Applied::No);
        self.unanswered |= matches!(&error, FlowError::Ambiguous(ambiguity) if ambiguity.unanswered);
        // A gateway delivered the request twice, or the cluster itself did not wait for the end of main().
        self.unanswered |=
            rejection.is_some_and(|rejection| self.is_own && is_duplicate(rejection) || is_of_failover(rejection));
        // The jar is missing before anything is executed.
        if let Some(upload) = self.upload_again(&error, cx) {
            return upload;
        }
        cx.phase(RunJar::NAME, "looking for the job");
        self.look_up(Some(error), cx)
    }

    /// Waits for the next lookup if there is time for it; otherwise ends.
    pub(super) fn look_up_again(
        &mut self,
        error: FlowError,
        submit_error: Option<FlowError>,
        cx: &FlowContext<FlinkRest>,
    ) -> Result<State, FlowError> {
        self.lookup = JobLookup::LookupFailed(error.to_string());
        if self.retry.allows(&error, cx) {
            return Ok(State::Wait(self.pace.next(cx.now()), submit_error));
        }
        Err(self.or_ambiguous(submit_error.unwrap_or(error)))
    }

    /// Decides after the cluster has said that it knows the job: whether it is this flow's job, and without an error.
    pub(super) fn known(
        &self,
        job: JobId,
        state: &JobState,
        submit_error: Option<&FlowError>,
    ) -> Result<(), FlowError> {
        let Some(rejection) = submit_error.and_then(says_why).filter(|rejection| rejection.status().is_client_error())
        else {
            return Ok(());
        };
        let what = match is_duplicate(rejection) {
            true if self.unanswered => return Ok(()),
            // The main method of an earlier attempt may have submitted the job, so that the main method of this attempt
            // failed.
            false if self.unanswered => {
                let found = Some(format!("job {job} is {state}"));
                return Err(Self::ambiguous(FlowError::Service(rejection.clone()), found));
            }
            true => "its id was used before",
            false => "but the job was submitted",
        };
        Err(FlowError::Failed(Failure {
            what: format!("running a jar as job {job}"),
            reason: format!("{rejection}; {what}; the job is {state}"),
            details: rejection.details().map(str::to_owned),
            cause: None,
        }))
    }

    /// Decides after the cluster has said that it does not know the job.
    pub(super) fn unknown(
        &mut self,
        submit_error: Option<FlowError>,
        cx: &mut FlowContext<FlinkRest>,
    ) -> Result<State, FlowError> {
        // This was the last lookup, after the JobManager had changed.
        if suspicion(&self.survival).is_some() {
            return Err(self.gone(submit_error, cx));
        }
        let found = Some(format!("the cluster does not know job {}", self.job(cx)));
        let Some(submit_error) = submit_error else {
            let since = Timestamp::from_millis(self.since.unwrap_or_default());
            if self.purpose == Purpose::Lookup && self.lookups < MAX_JOB_LOOKUPS {
                self.lookups += 1;
                return Ok(State::Wait(self.pace.next(cx.now()), None));
            }
            // No other JobManager can be about to submit the job.
            if self.purpose == Purpose::Lookup && self.survival == JobManagerLookup::NotTried {
                return Ok(State::Check(Identify::after(), None));
            }
            if self.purpose == Purpose::Lookup {
                let cause = FlowError::Failed(Failure {
                    what: format!("looking up job {} after its submission got no answer", self.job(cx)),
                    reason: "the cluster does not know it, and its main() may still run; once it cannot run any more, start a job from \
                             the savepoint"
                        .to_owned(),
                    details: None,
                    cause: None,
                });
                return Err(Self::ambiguous(cause, found));
            }
            if cx.now().since(since) < JOB_RETENTION {
                return Ok(State::Check(Identify::after(), None));
            }
            let waiting = "the job, which the cluster may have forgotten an hour after it ended; check its output before you submit it again";
            let cause =
                FlowError::Deadline { at: since + JOB_RETENTION, waiting, observed: None, last: None, evidence: None };
            return Err(Self::ambiguous(cause, found));
        };
        if !self.unanswered {
            // The cluster has answered every attempt, and does not have the job. So the rejection is the result.
            self.is_open = false;
            return Err(match submit_error {
                FlowError::Ambiguous(Ambiguity { cause, .. }) => *cause,
                rejection => rejection,
            });
        }
        let is_rejected = says_why(&submit_error).is_some();
        if self.lookups < MAX_JOB_LOOKUPS && !is_not_applied(&submit_error) {
            self.lookups += 1;
            Ok(State::Wait(self.pace.next(cx.now()), Some(submit_error)))
        } else if is_rejected {
            Err(Self::ambiguous(submit_error, found))
        } else {
            Ok(State::Check(Identify::after(), Some(submit_error)))
        }
    }

    /// Decides by the identity of the JobManager, if the cluster does not know the job. Only the same JobManager may
    /// execute `main()` again. Its successor may have recovered the job.
    pub(super) fn checked(
        &mut self,
        process: Result<Process, String>,
        submit_error: Option<FlowError>,
        cx: &mut FlowContext<FlinkRest>,
    ) -> Result<State, FlowError> {
        self.survival = compare(self.job_manager.as_deref(), process.clone());
        let may_submit = match self.survival {
            JobManagerLookup::Same => true,
            // If the first JobManager still submits the job, the cluster rejects the second submission as a duplicate.
            JobManagerLookup::DifferentReplica if std::mem::take(&mut self.is_trusted) => {
                self.job_manager = process.ok().map(|process| process.identity);
                true
            }
            _ => false,
        };
        if !may_submit || self.purpose == Purpose::Lookup {
            return Ok(self.look_up(submit_error, cx));
        }
        if let Some(upload) = submit_error.as_ref().and_then(|error| self.upload_again(error, cx)) {
            return Ok(upload);
        }
        let Some(submit_error) = submit_error.filter(|_| self.submissions >= MAX_SUBMISSIONS) else {
            return Ok(self.submit(cx));
        };
        let found = Some(format!("the cluster does not know job {}", self.job(cx)));
        Err(Self::ambiguous(submit_error, found))
    }

    /// Returns the error for a job that does not exist, if the JobManager that was to execute `main()` may be dead.
    pub(super) fn gone(&mut self, submit_error: Option<FlowError>, cx: &mut FlowContext<FlinkRest>) -> FlowError {
        let job = self.job(cx);
        let suspicion = suspicion(&self.survival).unwrap_or_default();
        let from = self.run.savepoint_path.as_ref().map(|path| format!(", which was to start from {path}"));
        let (from, next_step) = (from.unwrap_or_default(), next_step(&self.survival));
        let reason = format!("{suspicion}; the cluster does not know job {job}{from}; {next_step}");
        if self.survival == JobManagerLookup::Restarted {
            let what = format!("running jar {} as job {job}", self.run.jar);
            let details = submit_error.map(|submit_error| submit_error.to_string());
            return FlowError::Failed(Failure { what, reason, details, cause: None });
        }
        let waiting = "the answer to an earlier attempt";
        let submit_error = submit_error.unwrap_or(FlowError::Deadline {
            at: Timestamp::from_millis(self.since.unwrap_or_default()),
            waiting,
            observed: None,
            last: None,
            evidence: None,
        });
        Self::ambiguous(submit_error, Some(reason))
    }
}
