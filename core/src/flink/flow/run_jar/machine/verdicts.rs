//! What a run concludes from what it sees.

use super::{KNOWN, LOOKS, RunMachine, State, TRIES, is_duplicate, is_not_applied, says_why};
use crate::error::{Ambiguity, Failure, FlowError};
use crate::flink::flow::diagnosis::JobManagerLookup;
use crate::flink::flow::job_manager::{Identify, Process, compare, next_step, suspicion};
use crate::flink::flow::run_jar::Purpose;
use crate::flink::{FlinkRest, JobId, JobState, SubmitJar};
use crate::flow::FlowContext;
use crate::operation::Operation as _;
use crate::time::Timestamp;

impl RunMachine {
    /// It is not known whether the job was submitted.
    pub(super) fn ambiguous(cause: FlowError, found: Option<String>) -> FlowError {
        match cause {
            FlowError::Ambiguous(ambiguity) => FlowError::Ambiguous(Ambiguity { unanswered: true, found, ..ambiguity }),
            cause => {
                let (operation, cause) = (SubmitJar::INFO.name, Box::new(cause));
                FlowError::Ambiguous(Ambiguity { operation, cause, unanswered: true, found, evidence: None })
            }
        }
    }

    /// The cluster has the job: is it ours, and all right?
    pub(super) fn known(&self, job: JobId, state: &JobState, trouble: Option<&FlowError>) -> Result<(), FlowError> {
        let Some(refusal) = trouble.and_then(says_why).filter(|refusal| refusal.status().is_client_error()) else {
            return Ok(());
        };
        let what = match is_duplicate(refusal) {
            true if self.unanswered => return Ok(()),
            // An earlier attempt's main method may have submitted it, and have been in the way of this one's.
            false if self.unanswered => {
                let found = Some(format!("job {job} is {state}"));
                return Err(Self::ambiguous(FlowError::Service(refusal.clone()), found));
            }
            true => "its id was used before",
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
    pub(super) fn unknown(
        &mut self,
        trouble: Option<FlowError>,
        cx: &mut FlowContext<FlinkRest>,
    ) -> Result<(), FlowError> {
        // It was looked up once more, because that JobManager is gone.
        if suspicion(&self.survival).is_some() {
            return Err(self.gone(trouble, cx));
        }
        let found = Some(format!("the cluster does not know job {}", self.job(cx)));
        let Some(trouble) = trouble else {
            let since = Timestamp::from_millis(self.since.unwrap_or_default());
            if self.purpose == Purpose::LookOnly && self.looks < LOOKS {
                self.looks += 1;
                self.state = State::Wait(self.pace.next(cx.now()), None);
                return Ok(());
            }
            // Another JobManager cannot be about to submit it.
            if self.purpose == Purpose::LookOnly && self.survival == JobManagerLookup::NotTried {
                self.state = State::Check(Identify::after(), None);
                return Ok(());
            }
            if self.purpose == Purpose::LookOnly {
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
            if cx.now().since(since) < KNOWN {
                self.state = State::Check(Identify::after(), None);
                return Ok(());
            }
            let waiting = "the job, which the cluster may have forgotten an hour after it ended; check its output before you submit it again";
            let cause = FlowError::Deadline { at: since + KNOWN, waiting, observed: None, last: None, evidence: None };
            return Err(Self::ambiguous(cause, found));
        };
        if !self.unanswered {
            // The cluster has answered every attempt, and has not got the job: the refusal is all there is to say.
            self.is_open = false;
            return Err(match trouble {
                FlowError::Ambiguous(Ambiguity { cause, .. }) => *cause,
                refusal => refusal,
            });
        }
        let is_refused = says_why(&trouble).is_some();
        if self.looks < LOOKS && !is_not_applied(&trouble) {
            self.looks += 1;
            self.state = State::Wait(self.pace.next(cx.now()), Some(trouble));
        } else if is_refused {
            return Err(Self::ambiguous(trouble, found));
        } else {
            self.state = State::Check(Identify::after(), Some(trouble));
        }
        Ok(())
    }

    /// The cluster did not know the job, and this tells whether the JobManager that was to execute `main()` still lives. Only the same
    /// one may execute it again. The next one may have recovered the job.
    pub(super) fn checked(
        &mut self,
        process: Result<Process, String>,
        trouble: Option<FlowError>,
        cx: &mut FlowContext<FlinkRest>,
    ) -> Result<(), FlowError> {
        self.survival = compare(self.job_manager.as_deref(), process.clone());
        let may_submit = match self.survival {
            JobManagerLookup::Same => true,
            // If the first one submits the job after all, the cluster rejects the second submission, because of its id.
            JobManagerLookup::Another if std::mem::take(&mut self.is_trusted) => {
                self.job_manager = process.ok().map(|process| process.identity);
                true
            }
            _ => false,
        };
        if !may_submit || self.purpose == Purpose::LookOnly {
            self.look(trouble, cx);
            return Ok(());
        }
        if trouble.as_ref().is_some_and(|trouble| self.upload_again(trouble, cx)) {
            return Ok(());
        }
        let Some(trouble) = trouble.filter(|_| self.tries >= TRIES) else {
            self.submit(cx);
            return Ok(());
        };
        let found = Some(format!("the cluster does not know job {}", self.job(cx)));
        Err(Self::ambiguous(trouble, found))
    }

    /// Neither the job is there nor, perhaps, the JobManager that was to execute `main()`.
    pub(super) fn gone(&mut self, trouble: Option<FlowError>, cx: &mut FlowContext<FlinkRest>) -> FlowError {
        let job = self.job(cx);
        let suspicion = suspicion(&self.survival).unwrap_or_default();
        let from = self.run.savepoint_path.as_ref().map(|path| format!(", which was to start from {path}"));
        let (from, next_step) = (from.unwrap_or_default(), next_step(&self.survival));
        let reason = format!("{suspicion}; the cluster does not know job {job}{from}; {next_step}");
        if self.survival == JobManagerLookup::Replaced {
            let what = format!("running jar {} as job {job}", self.run.jar);
            let details = trouble.map(|trouble| trouble.to_string());
            return FlowError::Failed(Failure { what, reason, details, cause: None });
        }
        let waiting = "the answer to an earlier attempt";
        let trouble = trouble.unwrap_or(FlowError::Deadline {
            at: Timestamp::from_millis(self.since.unwrap_or_default()),
            waiting,
            observed: None,
            last: None,
            evidence: None,
        });
        Self::ambiguous(trouble, Some(reason))
    }
}
