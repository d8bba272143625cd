//! The decisions after a run of the new or the old jar.

use super::{State, UpgradeMachine};
use crate::error::{ErrorKind, Failure, FlowError};
use crate::flink::error::is_unknown_job;
use crate::flink::flow::await_job::JobReport;
use crate::flink::flow::diagnosis::{JobDiagnosis, JobLookup};
use crate::flink::flow::run_jar::{Launched, RunMachine};
use crate::flink::flow::upgrade::{Upgrade, UpgradePhase, UpgradeStatus};
use crate::flink::jobs::JobState;
use crate::flink::{FlinkRest, JobId};
use crate::flow::{FlowContext, Notice};
use crate::time::Timestamp;

/// The facts that a run knows about its job.
#[derive(Clone, Copy)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct RunSummary {
    /// The job was certainly not submitted.
    is_unsubmitted: bool,
    /// The JobManager that was to execute `main()` is dead, and its successor does not know the job.
    pub(super) is_lost: bool,
    /// The cluster does not know the job, and would know one that has ended.
    pub(super) is_absent: bool,
    /// The cluster does not know the job, but another JobManager may still execute `main()`.
    may_still_start: bool,
    is_alive: bool,
    is_known: bool,
    /// The job that the cluster knows is the job that this run has submitted.
    is_certain: bool,
}

impl RunSummary {
    pub(super) fn of(run: &RunMachine, now: Timestamp) -> Self {
        Self {
            is_unsubmitted: run.is_unsubmitted(),
            is_lost: run.is_lost(),
            is_absent: run.is_absent(now),
            may_still_start: run.may_still_start(now),
            is_alive: run.is_alive(),
            is_known: run.is_known(),
            is_certain: run.is_certain(),
        }
    }
}

impl UpgradeMachine {
    /// Handles the end of the run of the new jar.
    pub(super) fn ran(
        &mut self,
        launched: Result<Launched, FlowError>,
        run: RunSummary,
        cx: &mut FlowContext<FlinkRest>,
    ) -> Result<State, FlowError> {
        match launched {
            Ok(launched) => {
                self.status = UpgradeStatus::Unknown;
                (self.data.new_job, self.data.launched) = (launched.job, Some(true));
                self.data.new.jar = launched.jar;
                self.enter(UpgradePhase::Settle, None, cx)
            }
            Err(error) if run.is_lost || run.may_still_start => self.run_instead(&error, cx),
            Err(error) if Self::is_verdict(&error) => {
                // A main method may have failed after it had submitted its job.
                self.data.launched = Some(matches!(error, FlowError::Failed(_)));
                self.roll_back(error.to_string(), cx)
            }
            // It does not matter which attempt has submitted the job: the state of the job decides.
            Err(error) if Self::is_submitted(&error) => {
                (self.status, self.data.launched) = (UpgradeStatus::Unknown, Some(true));
                cx.say(Notice::Observed { what: format!("job {}", self.data.new_job), state: error.to_string() });
                self.enter(UpgradePhase::Settle, None, cx)
            }
            Err(error) => {
                self.status = if run.is_unsubmitted { UpgradeStatus::NoJobRuns } else { UpgradeStatus::Unknown };
                Err(error)
            }
        }
    }

    /// Handles the end of the run of the old jar.
    pub(super) fn ran_old(
        &mut self,
        launched: Result<Launched, FlowError>,
        run: RunSummary,
        cx: &mut FlowContext<FlinkRest>,
    ) -> Result<State, FlowError> {
        let is_certain = run.is_certain || !self.is_contended();
        match launched {
            Ok(_) if !is_certain => self.give_way(cx),
            Err(error) if !is_certain && (run.is_known || Self::is_submitted(&error)) => self.give_way(cx),
            Ok(launched) => {
                self.status = UpgradeStatus::Unknown;
                (self.data.old_job, self.data.old.jar) = (launched.job, launched.jar);
                self.enter(UpgradePhase::SettleOld, None, cx)
            }
            Err(error) if Self::is_submitted(&error) => {
                self.status = UpgradeStatus::Unknown;
                cx.say(Notice::Observed { what: format!("job {}", self.data.old_job), state: error.to_string() });
                self.enter(UpgradePhase::SettleOld, None, cx)
            }
            Err(error) => {
                self.status = match () {
                    () if run.is_alive => UpgradeStatus::OldJobRuns,
                    // The main method of the new jar may still submit the new job under this id.
                    () if (run.is_unsubmitted || run.is_lost) && !self.is_contended() => UpgradeStatus::NoJobRuns,
                    () => UpgradeStatus::Unknown,
                };
                Err(if Self::is_verdict(&error) { self.not_run(&error, cx) } else { error })
            }
        }
    }

    /// Handles the end of SettleOld.
    pub(super) fn settled_old(
        &mut self,
        report: Result<JobReport, FlowError>,
        cx: &mut FlowContext<FlinkRest>,
    ) -> Result<Upgrade, FlowError> {
        match report {
            Ok(report) if matches!(report.state, JobState::Running | JobState::Finished) => Ok(Upgrade::RolledBack {
                job: self.data.old_job,
                savepoint: self.savepoint(),
                reason: self.data.reason.clone().unwrap_or_default(),
            }),
            Ok(report) => Err(self.not_brought_back(&report, cx)),
            Err(FlowError::Service(error)) if is_unknown_job(&error) => Err(self.forgotten(self.data.old_job, error)),
            // An expired timeout is no failure: the job exists, and may still start.
            Err(error) => Err(error),
        }
    }

    /// Returns whether the cluster itself says that a jar cannot be run. A proxy's answer does not count.
    fn is_verdict(error: &FlowError) -> bool {
        match error {
            FlowError::Failed(_) => true,
            FlowError::Service(error) => error.kind() == ErrorKind::Rejected && !error.is_transient(),
            _ => false,
        }
    }

    /// Returns whether the cluster knows the job, although it is not known which attempt has submitted it, or whether
    /// its main method has failed after that.
    fn is_submitted(error: &FlowError) -> bool {
        let is_known = |diagnosis: &JobDiagnosis| matches!(diagnosis.lookup, JobLookup::State(_));
        error.is_ambiguous() && JobDiagnosis::of(error).is_some_and(is_known)
    }

    /// Returns the error for a job of the old jar that has ended other than FINISHED. A resumed flow runs it again,
    /// under an unused id.
    fn not_brought_back(&mut self, report: &JobReport, cx: &mut FlowContext<FlinkRest>) -> FlowError {
        let why = report.failure().map(|why| format!(": {why}")).unwrap_or_default();
        let error = self.lost(&format!("it is {}{why}", report.state));
        self.status = UpgradeStatus::NoJobRuns;
        self.data.old_job = JobId::from_bits(cx.seed.next_u128());
        self.data.phase = UpgradePhase::RunOld;
        self.data.child = None;
        self.save(cx);
        error
    }

    /// Returns the error if the old jar was rejected, or if the JobManager died while its main method ran and its job
    /// does not exist. A resumed flow runs it again at any later time: the main method has run before.
    fn not_run(&mut self, error: &FlowError, cx: &mut FlowContext<FlinkRest>) -> FlowError {
        let is_lost = JobDiagnosis::of(error).is_some_and(|known| known.lookup == JobLookup::NotFound);
        if matches!(error, FlowError::Service(_)) || is_lost {
            self.data.child = None;
            self.save(cx);
        }
        self.lost(&error.to_string())
    }

    /// Returns the error for an old jar that could not be run again, with all that is known.
    fn lost(&self, why: &str) -> FlowError {
        FlowError::Failed(Failure {
            what: format!("bringing back the old jar as job {} from savepoint {}", self.data.old_job, self.savepoint()),
            reason: why.to_owned(),
            details: self.data.reason.as_ref().map(|reason| format!("the new job was given up: {reason}")),
            cause: None,
        })
    }
}
