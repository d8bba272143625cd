//! The plans of the two jars. No plan may kill a second JobManager.
//!
//! ```text
//!  Identify ──▶ Plan ──answered──▶ the next phase
//!     not sent: │▲ │ no answer
//!     Identify ─┘│ ▼
//!   the same     │ Check ──another, or unknown──▶ Suspect ──▶ error
//!   JobManager, ─┘
//!   once
//! ```

use super::{State, UpgradeMachine};
use crate::error::{Ambiguity, ErrorKind, Evidence, Failure, FlowError};
use crate::flink::FlinkRest;
use crate::flink::flow::diagnose::{DiagnoseJob, Found};
use crate::flink::flow::diagnosis::{JobDiagnosis, JobLookup};
use crate::flink::flow::job_manager::JobManagerLookup;
use crate::flink::flow::job_manager::{Identify, Process, compare, is_of_failover, next_step, suspicion};
use crate::flink::flow::run_jar::JarRun;
use crate::flink::flow::upgrade::{UpgradePhase, UpgradeStatus};
use crate::flink::jars::PlanJar;
use crate::flow::{FlowContext, StateMachine as _};
use crate::operation::Operation as _;

impl UpgradeMachine {
    /// Reads which JobManager will execute the main method of a jar, before it is planned.
    pub(super) fn plan(&mut self, which: usize, cx: &mut FlowContext<FlinkRest>) -> State {
        cx.phase(Self::NAME, if which == 0 { "planning the old jar" } else { "planning the new jar" });
        self.is_planned_again = false;
        State::Identify(which, Identify::before())
    }

    /// Saves that the jar is about to be planned, so that a resumed flow does not kill another JobManager with it.
    /// After an attempt without an answer, only the same JobManager may plan it. Returns the next state if another
    /// JobManager answers.
    pub(super) fn identified(
        &mut self,
        which: usize,
        process: Result<Process, String>,
        cx: &mut FlowContext<FlinkRest>,
    ) -> Option<State> {
        if self.is_plan_open {
            let survival = compare(self.data.job_manager.as_deref(), process);
            if survival != JobManagerLookup::Same {
                return Some(self.suspect(survival, None, cx));
            }
        } else {
            self.data.job_manager = process.ok().map(|process| process.identity);
        }
        (self.data.phase, self.data.child) = (UpgradePhase::Prepare, None);
        self.data.planning = Some(Self::name_of(which).to_owned());
        self.save(cx);
        None
    }

    pub(super) fn send_plan(&mut self, which: usize, cx: &mut FlowContext<FlinkRest>) -> State {
        let JarRun { jar, entry_class, program_args, parallelism, flink_configuration, .. } =
            self.run_of(which).clone();
        let mut plan = PlanJar::new(jar);
        plan.entry_class = entry_class;
        plan.program_args = Some(program_args.0).filter(|args| !args.is_empty());
        plan.parallelism = parallelism;
        plan.flink_configuration = Some(flink_configuration.0).filter(|configuration| !configuration.is_empty());
        self.identified_attempts = 0;
        State::Plan(which, cx.call(plan).handing_back(is_of_failover))
    }

    /// Handles the end of a plan.
    pub(super) fn answered_plan(
        &mut self,
        which: usize,
        plan: Result<(), FlowError>,
        cx: &mut FlowContext<FlinkRest>,
    ) -> Result<State, FlowError> {
        let Err(error) = plan else {
            self.planned();
            self.save(cx);
            if which == 0 {
                return Ok(self.plan(1, cx));
            }
            return match &self.data.savepoint {
                Some(_) => self.enter(UpgradePhase::Run, None, cx),
                // The cluster had lost a jar. So its JobManager was restarted, and the job may have been lost with it.
                None if self.uploads > 0 => {
                    self.is_planned = true;
                    Ok(self.check(cx))
                }
                None => Ok(self.before_stop(cx)),
            };
        };
        if Self::is_open(&error) || self.is_plan_open && self.is_uploadable(which, &error) {
            self.is_plan_open = true;
            return Ok(self.check_job_manager(Some((which, error))));
        }
        if self.upload_again(which, &error) {
            self.planned();
            self.save(cx);
            return self.prepare(cx);
        }
        Err(self.not_planned(error, cx))
    }

    /// Records that the jar was planned: its main method has not killed the JobManager.
    pub(super) fn planned(&mut self) {
        (self.data.planning, self.data.job_manager, self.is_plan_open) = (None, None, false);
        self.old_job_is_untouched();
    }

    /// Records that a main method may still run, and may kill the JobManager and the old job.
    fn old_job_is_unknown(&mut self) {
        if self.data.savepoint.is_none() {
            self.status = UpgradeStatus::Unknown;
        }
    }

    fn old_job_is_untouched(&mut self) {
        if self.data.savepoint.is_none() {
            self.status = UpgradeStatus::Untouched;
        }
    }

    /// Handles a jar that was rejected, or never planned: a resumed flow plans it again, whichever JobManager answers
    /// then. If an earlier attempt got no answer, this requires a rejection of the plan itself; otherwise that attempt
    /// may have killed the JobManager.
    pub(super) fn not_planned(&mut self, error: FlowError, cx: &mut FlowContext<FlinkRest>) -> FlowError {
        let is_rejected = matches!(&error, FlowError::Service(error) if error.kind() == ErrorKind::Rejected);
        if is_rejected || !self.is_plan_open {
            self.planned();
            self.save(cx);
        } else {
            self.old_job_is_unknown();
        }
        error
    }

    /// Returns whether a plan may have killed the JobManager.
    pub(super) fn is_open(error: &FlowError) -> bool {
        matches!(error, FlowError::Ambiguous(_)) || error.service().is_some_and(is_of_failover)
    }

    /// Identifies the JobManager after a plan without an answer, here or in the process that saved the state: only the
    /// same JobManager may plan the jar again.
    pub(super) fn check_job_manager(&mut self, plan: Option<(usize, FlowError)>) -> State {
        self.old_job_is_unknown();
        State::CheckJobManager(plan, Identify::after())
    }

    pub(super) fn job_manager_checked(
        &mut self,
        plan: Option<(usize, FlowError)>,
        process: Result<Process, String>,
        cx: &mut FlowContext<FlinkRest>,
    ) -> Result<State, FlowError> {
        let survival = compare(self.data.job_manager.as_deref(), process);
        let is_unknown = matches!(survival, JobManagerLookup::LookupFailed(_));
        if let Some(error) = cx.expired("the JobManager that was to plan a jar").filter(|_| is_unknown) {
            return Err(error);
        }
        if survival == JobManagerLookup::Same {
            self.old_job_is_untouched();
        }
        match (survival, plan) {
            (JobManagerLookup::Same, None) => Ok(State::Start),
            (JobManagerLookup::Same, Some((which, error))) if self.upload_again(which, &error) => self.prepare(cx),
            (JobManagerLookup::Same, Some((which, _))) if !std::mem::replace(&mut self.is_planned_again, true) => {
                Ok(self.send_plan(which, cx))
            }
            // A plan starts no job, but its main method may still run.
            (JobManagerLookup::Same, Some((_, error))) => {
                self.old_job_is_unknown();
                Err(cause_of(error))
            }
            (survival, plan) => Ok(self.suspect(survival, plan.map(|(_, error)| error), cx)),
        }
    }

    fn suspect(&self, survival: JobManagerLookup, plan: Option<FlowError>, cx: &mut FlowContext<FlinkRest>) -> State {
        cx.phase(Self::NAME, "looking for the old job, because the JobManager may have died");
        let diagnosis = JobDiagnosis { job_manager: survival, ..JobDiagnosis::new(self.data.job) };
        State::Suspect(plan, DiagnoseJob::new(diagnosis))
    }

    /// Returns the error for a JobManager that died, or may have died, while a jar was planned. A resumed flow ends
    /// with the same error: the caller must decide whether to plan the jar again.
    pub(super) fn suspected(&mut self, plan: Option<FlowError>, found: Found) -> FlowError {
        let diagnosis = found.diagnosis;
        self.status = match (&self.data.savepoint, &diagnosis.lookup) {
            (None, JobLookup::State(state)) if !state.is_terminal() => UpgradeStatus::Untouched,
            (None, JobLookup::NotTried | JobLookup::LookupFailed(_)) => UpgradeStatus::Unknown,
            _ => UpgradeStatus::NoJobRuns,
        };
        let suspicion = suspicion(&diagnosis.job_manager).unwrap_or_default();
        let checkpoint = self.data.last_checkpoint.as_ref().map_or_else(
            || "look for its last checkpoint in the directory of its checkpoints".to_owned(),
            // The job may have completed newer checkpoints since, and the cluster deletes older checkpoints.
            |path| {
                format!(
                    "run the old jar from its last checkpoint {path}, or from a newer checkpoint in the same directory"
                )
            },
        );
        let job = match (&self.data.savepoint, &diagnosis.lookup) {
            (Some(savepoint), _) => format!("the old job was stopped before, with savepoint {savepoint}"),
            (None, JobLookup::State(state)) if !state.is_terminal() => {
                format!("the upgrade has not touched the old job, and it is {state}")
            }
            (None, JobLookup::NotFound) => format!(
                "the upgrade has not touched the old job, but the cluster does not know it any more: without high availability it died \
                 with the JobManager; {checkpoint}"
            ),
            (None, _) => format!("the upgrade has not touched the old job: {}", found.text),
        };
        let next_step = next_step(&diagnosis.job_manager);
        let which = self.data.planning.as_deref().unwrap_or("jar");
        let reason = format!("{suspicion}; {job}; {next_step}, in a new upgrade");
        let what = format!("planning the {which}");
        if diagnosis.job_manager == JobManagerLookup::Restarted {
            let (details, cause) = (plan.map(|error| error.to_string()), Some(Evidence::new(diagnosis)));
            return FlowError::Failed(Failure { what, reason, details, cause });
        }
        let ended = "the process that planned it ended before the answer".to_owned();
        let cause = plan.map_or_else(|| FlowError::failed(what.clone(), ended), cause_of);
        FlowError::Ambiguous(Ambiguity {
            operation: PlanJar::INFO.name,
            cause: Box::new(cause),
            unanswered: true,
            found: Some(format!("{what}: {reason}")),
            evidence: Some(Evidence::new(diagnosis)),
        })
    }
}

/// Returns the cause of an error of a plan without an answer.
fn cause_of(error: FlowError) -> FlowError {
    match error {
        FlowError::Ambiguous(Ambiguity { cause, .. }) => *cause,
        error => error,
    }
}
