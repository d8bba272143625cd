//! The rollback that the caller requests.

use super::{State, UpgradeMachine};
use crate::error::{BuildError, FlowError};
use crate::flink::flow::await_job::{AwaitMachine, JobReport};
use crate::flink::flow::run_jar::{Launched, RunJar};
use crate::flink::flow::upgrade::{UpgradeJob, UpgradePhase, UpgradeStatus};
use crate::flink::{FlinkRest, JobId};
use crate::flow::{FlowContext, Notice, SavedState};

/// The reason in the result.
const REQUESTED: &str = "requested by the caller";

impl UpgradeMachine {
    /// Returns whether the caller requested a rollback.
    pub(super) fn is_roll_back(&self) -> bool {
        self.data.roll_back == Some(true)
    }

    /// Begins with the old job, or with the jars if the old job is stopped.
    pub(super) fn begin(&mut self, cx: &mut FlowContext<FlinkRest>) -> Result<State, FlowError> {
        let is_stopped = self.data.savepoint.is_some();
        if !self.is_roll_back() || is_stopped {
            self.save(cx);
            return if is_stopped { self.prepare(cx) } else { Ok(self.check(cx)) };
        }
        let problem = "to roll back, name a savepoint with from_savepoint or resume the upgrade from its saved state; to return \
                       after a successful upgrade, run UpgradeJob::new with the jars exchanged";
        Err(BuildError::value(UpgradeJob::NAME, "roll_back", &self.data.job.to_string(), problem).into())
    }

    /// Runs the old jar from the savepoint. No job runs.
    pub(super) fn run_old(&mut self, cx: &mut FlowContext<FlinkRest>) -> Result<State, FlowError> {
        self.data.reason.get_or_insert_with(|| REQUESTED.to_owned());
        self.enter(UpgradePhase::RunOld, None, cx)
    }

    /// Continues from the phase that was saved.
    pub(super) fn resume(&mut self, cx: &mut FlowContext<FlinkRest>) -> Result<State, FlowError> {
        let (phase, child) = (self.data.phase.clone(), self.data.child.clone());
        if !self.is_roll_back() {
            if phase == UpgradePhase::Prepare && self.data.planning.is_some() {
                cx.phase(UpgradeJob::NAME, "looking for the JobManager that was to plan a jar");
                self.is_plan_open = true;
                return Ok(self.check_job_manager(None));
            }
            // A resumed flow verifies the new job from the start.
            let phase = if phase == UpgradePhase::Verify { UpgradePhase::Settle } else { phase };
            return self.enter(phase, child.as_ref(), cx);
        }
        match phase {
            UpgradePhase::Prepare if self.data.savepoint.is_some() => self.enter(phase, None, cx),
            // The stop saves its trigger before it sends it.
            UpgradePhase::Prepare | UpgradePhase::Stop if child.is_none() => {
                self.data.phase = UpgradePhase::Prepare;
                cx.phase(UpgradeJob::NAME, "looking at the old job, which was not stopped");
                Ok(State::Untouched(cx.child(AwaitMachine::ending(self.data.job))))
            }
            UpgradePhase::Run => match child {
                None => self.run_old(cx),
                Some(child) => self.find_new(&child, cx),
            },
            UpgradePhase::Settle | UpgradePhase::Verify => {
                self.data.launched = Some(true);
                self.roll_back(REQUESTED.to_owned(), cx)
            }
            phase => self.enter(phase, child.as_ref(), cx),
        }
    }

    /// Looks for the new job, which may have been submitted.
    fn find_new(&mut self, child: &SavedState, cx: &mut FlowContext<FlinkRest>) -> Result<State, FlowError> {
        let run = RunJar::resume(child)?;
        if run.is_unsent() {
            return self.run_old(cx);
        }
        cx.phase(UpgradeJob::NAME, "looking for the new job");
        Ok(State::FindNew(cx.child(run.lookup_only())))
    }

    /// Runs the old jar under the id of the new job. The cluster does not know the new job, but its `main()` may still
    /// run and submit it: the cluster accepts an id once.
    pub(super) fn contend(&mut self, cx: &mut FlowContext<FlinkRest>) -> Result<State, FlowError> {
        self.data.old_job = self.data.new_job;
        self.run_old(cx)
    }

    /// Rolls back if the run of the new jar got no answer, and another JobManager answers: see
    /// [`contend`](Self::contend).
    pub(super) fn run_instead(
        &mut self,
        error: &FlowError,
        cx: &mut FlowContext<FlinkRest>,
    ) -> Result<State, FlowError> {
        let reason = error.to_string();
        cx.say(Notice::Observed {
            what: format!("job {}", self.data.new_job),
            state: format!("rolling back to the old jar: {reason}"),
        });
        (self.data.reason, self.data.launched) = (Some(reason), Some(false));
        self.contend(cx)
    }

    /// Returns whether the old jar is run under the id of the new job.
    pub(super) fn is_contended(&self) -> bool {
        self.data.old_job == self.data.new_job
    }

    /// Cancels a job under the id of both jars, which may run either jar, and gives the old jar another id. A rejection
    /// as a duplicate does not say which jar the job runs, because a gateway may have delivered the run twice.
    pub(super) fn give_way(&mut self, cx: &mut FlowContext<FlinkRest>) -> Result<State, FlowError> {
        self.data.is_disputed = Some(true);
        self.data.old_job = JobId::from_bits(cx.seed.next_u128());
        self.data.launched = Some(true);
        let reason = self.data.reason.clone().unwrap_or_else(|| REQUESTED.to_owned());
        self.roll_back(reason, cx)
    }

    /// Cancels the new job, which was submitted: it must not run beside the old jar.
    pub(super) fn found_new(
        &mut self,
        launched: &Launched,
        cx: &mut FlowContext<FlinkRest>,
    ) -> Result<State, FlowError> {
        (self.data.new_job, self.data.launched) = (launched.job, Some(true));
        self.roll_back(REQUESTED.to_owned(), cx)
    }

    /// Handles the state of the old job if the upgrade was in its first phase.
    pub(super) fn untouched(
        &mut self,
        report: &JobReport,
        cx: &mut FlowContext<FlinkRest>,
    ) -> Result<State, FlowError> {
        let (state, has_ended) = (&report.state, report.state.is_terminal());
        self.status = if has_ended { UpgradeStatus::NoJobRuns } else { UpgradeStatus::OldJobRuns };
        self.save(cx);
        if has_ended && self.data.earlier_savepoint.is_some() {
            return self.ended(state.clone(), cx);
        }
        let reason = if has_ended {
            format!("the upgrade has stopped no job, and the job is {state}: it has ended without the upgrade")
        } else {
            format!("the upgrade has stopped no job, and the job is {state}: nothing needs to be rolled back")
        };
        let what = format!("rolling back the upgrade of job {}", self.data.job);
        Err(FlowError::failed(what, reason))
    }
}
