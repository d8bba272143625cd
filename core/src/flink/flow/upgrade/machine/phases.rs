//! The first step of each phase of an upgrade.

use std::time::Duration;

use super::stability::StabilityCheck;
use super::{NOT_UPLOADED, State, UpgradeMachine};
use crate::error::{BuildError, ErrorKind, FlowError, Misuse};
use crate::flink::checkpoints::{Checkpoints, GetCheckpoints};
use crate::flink::error::is_unknown_jar;
use crate::flink::flow::await_job::{AwaitJob, AwaitMachine};
use crate::flink::flow::cancel::Cancel;
use crate::flink::flow::observation_window::ObservationWindow;
use crate::flink::flow::run_jar::{JarRun, RunJar, RunMachine};
use crate::flink::flow::stop::StopWithSavepoint;
use crate::flink::flow::upgrade::{UpgradePhase, UpgradeStatus};
use crate::flink::flow::upload::Upload;
use crate::flink::jars::ClaimMode;
use crate::flink::tuning::MAX_REUPLOADS;
use crate::flink::{FlinkRest, JarId, JobId};
use crate::flow::{FlowContext, Notice, Runner, SavedState, StateMachine as _};

impl UpgradeMachine {
    pub(super) fn name_of(which: usize) -> &'static str {
        if which == 0 { "old jar" } else { "new jar" }
    }

    pub(super) fn run_of(&mut self, which: usize) -> &mut JarRun {
        if which == 0 { &mut self.data.old } else { &mut self.data.new }
    }

    /// Begins the next step of Prepare: the uploads, then the plans, the old jar before the new jar, then the stop. A
    /// requested rollback needs only the old jar.
    pub(super) fn prepare(&mut self, cx: &mut FlowContext<FlinkRest>) -> Result<State, FlowError> {
        let needed = if self.is_roll_back() { 1 } else { 2 };
        let missing = self.is_uploaded.iter().take(needed).position(|is_uploaded| !is_uploaded);
        let Some(which) = missing else {
            if self.is_roll_back() {
                return self.run_old(cx);
            }
            // A plan can kill the JobManager, and without high availability the job dies with it.
            let is_stopped = self.data.savepoint.is_some();
            return Ok(if is_stopped { self.plan(0, cx) } else { self.read_last_checkpoint(cx) });
        };
        let Some((name, content)) = self.jars.get(which).cloned().flatten() else {
            let problem = "it was not uploaded yet: give the resumed goal both jars with with_jars";
            return Err(BuildError::value(Self::NAME, "jar", Self::name_of(which), problem).into());
        };
        cx.phase(Self::NAME, if which == 0 { "uploading the old jar" } else { "uploading the new jar" });
        Ok(State::Upload(which, cx.child(Upload::new(name, content))))
    }

    /// Returns the state to save. The id of a jar is never empty in it.
    pub(super) fn saved(&self) -> SavedState {
        let mut data = self.data.clone();
        for run in [&mut data.old, &mut data.new] {
            if run.jar.as_str().is_empty() {
                run.jar = NOT_UPLOADED.into();
            }
        }
        SavedState::new(Self::NAME, &data)
    }

    pub(super) fn save(&self, cx: &mut FlowContext<FlinkRest>) {
        cx.save(self.saved());
    }

    /// Records that the cluster has this jar now.
    pub(super) fn uploaded(
        &mut self,
        which: usize,
        jar: JarId,
        cx: &mut FlowContext<FlinkRest>,
    ) -> Result<State, FlowError> {
        cx.say(Notice::Observed { what: Self::name_of(which).to_owned(), state: format!("uploaded as {jar}") });
        self.run_of(which).jar = jar;
        if let Some(is_uploaded) = self.is_uploaded.get_mut(which) {
            *is_uploaded = true;
        }
        self.save(cx);
        self.prepare(cx)
    }

    /// Returns whether to upload the jar again, because the cluster no longer has it.
    pub(super) fn is_uploadable(&self, which: usize, error: &FlowError) -> bool {
        let is_gone = error.service().is_some_and(is_unknown_jar);
        is_gone && self.jars.get(which).is_some_and(Option::is_some) && self.uploads < MAX_REUPLOADS
    }

    pub(super) fn upload_again(&mut self, which: usize, error: &FlowError) -> bool {
        let can = self.is_uploadable(which, error);
        if let Some(is_uploaded) = self.is_uploaded.get_mut(which).filter(|_| can) {
            self.uploads += 1;
            *is_uploaded = false;
        }
        can
    }

    /// Begins Check: before the stop, all tasks of the job must run.
    pub(super) fn check(&mut self, cx: &mut FlowContext<FlinkRest>) -> State {
        cx.phase(Self::NAME, "waiting until all tasks of the job run");
        self.settle_until = cx.now() + Duration::from_millis(self.data.settle_timeout);
        self.observed = ObservationWindow::default();
        State::Check(self.settle(self.data.job, cx))
    }

    /// Reads the last checkpoint before the stop. The caller needs it if the path of the stop's savepoint stays
    /// unknown.
    pub(super) fn before_stop(&mut self, cx: &mut FlowContext<FlinkRest>) -> State {
        self.is_planned = true;
        self.read_last_checkpoint(cx)
    }

    fn read_last_checkpoint(&self, cx: &mut FlowContext<FlinkRest>) -> State {
        State::LastCheckpoint(cx.call(GetCheckpoints::new(self.data.job)))
    }

    /// Handles the list of checkpoints. If the cluster or a proxy rejects the request, the upgrade continues: the path
    /// is only information. Without an answer, the upgrade ends before a plan or a stop.
    pub(super) fn last_checkpoint(
        &mut self,
        checkpoints: Result<Checkpoints, FlowError>,
        cx: &mut FlowContext<FlinkRest>,
    ) -> Result<State, FlowError> {
        match checkpoints {
            Ok(checkpoints) => {
                self.data.last_checkpoint = checkpoints.start_from().or(self.data.last_checkpoint.take());
            }
            Err(FlowError::Service(error)) if error.kind() != ErrorKind::Rejected || !error.is_transient() => {}
            Err(error) => return Err(error),
        }
        if self.is_planned {
            return self.enter(UpgradePhase::Stop, None, cx);
        }
        Ok(self.plan(0, cx))
    }

    /// Enters a phase that can be resumed. `resumed` is the saved state of its flow.
    pub(super) fn enter(
        &mut self,
        phase: UpgradePhase,
        resumed: Option<&SavedState>,
        cx: &mut FlowContext<FlinkRest>,
    ) -> Result<State, FlowError> {
        let text = match phase {
            UpgradePhase::Prepare => return Ok(State::Start),
            UpgradePhase::Stop => "stopping the job with a savepoint",
            UpgradePhase::Run => "running the new jar from the savepoint",
            UpgradePhase::Settle => "waiting for the new job's tasks and its first checkpoint",
            UpgradePhase::Verify => "watching the new job, which must stay stable",
            UpgradePhase::CancelNew => "cancelling the new job",
            UpgradePhase::RunOld => "running the old jar from the same savepoint",
            UpgradePhase::SettleOld => "waiting for the old job's tasks",
            UpgradePhase::Unknown(_) => return Err(FlowError::Misuse(Misuse::WrongState)),
        };
        if phase == UpgradePhase::Settle {
            // The state may have been saved before the cluster accepted the new job.
            self.data.launched = Some(true);
        }
        self.data.phase = phase;
        self.data.child = resumed.cloned();
        cx.phase(Self::NAME, text);
        self.save(cx);
        Ok(match self.data.phase {
            UpgradePhase::Stop => {
                let goal = match resumed {
                    Some(saved) => StopWithSavepoint::resume(saved)?,
                    None => StopWithSavepoint::new(self.data.job),
                };
                let goal = match &self.data.target_directory {
                    Some(directory) => goal.target_directory(directory),
                    None => goal,
                };
                State::Stop(cx.child(goal))
            }
            UpgradePhase::Run => State::Run(self.run(1, resumed, cx)?),
            UpgradePhase::RunOld => State::RunOld(self.run(0, resumed, cx)?),
            UpgradePhase::CancelNew => {
                self.status = UpgradeStatus::Unknown;
                State::CancelNew(cx.child(Cancel::new(self.data.new_job)))
            }
            UpgradePhase::Verify => {
                let until = cx.now() + Duration::from_millis(self.data.stable_for.unwrap_or_default());
                State::Verify(StabilityCheck::new(self.data.new_job, self.mark, until, self.observed))
            }
            UpgradePhase::Prepare | UpgradePhase::Settle | UpgradePhase::SettleOld | UpgradePhase::Unknown(_) => {
                self.settle_until = cx.now() + Duration::from_millis(self.data.settle_timeout);
                self.observed = ObservationWindow::default();
                let is_new = self.data.phase == UpgradePhase::Settle;
                let flow = self.settle(if is_new { self.data.new_job } else { self.data.old_job }, cx);
                if is_new { State::Settle(flow) } else { State::SettleOld(flow) }
            }
        })
    }

    /// Runs a jar from the savepoint, with the claim mode `NO_CLAIM`.
    fn run(
        &mut self,
        which: usize,
        resumed: Option<&SavedState>,
        cx: &mut FlowContext<FlinkRest>,
    ) -> Result<Runner<RunMachine>, FlowError> {
        let content = self.jars.get(which).cloned().flatten();
        if let Some(saved) = resumed {
            let goal = RunJar::resume(saved)?.with_content(content);
            // The main method of the old jar has run before.
            let goal = if which == 0 { goal.trusted() } else { goal };
            return Ok(cx.child(goal));
        }
        let job = if which == 0 { self.data.old_job } else { self.data.new_job };
        let mut run = self.run_of(which).clone();
        run.savepoint_path.clone_from(&self.data.savepoint);
        run.claim_mode = Some(ClaimMode::NoClaim);
        let goal = RunJar::of(run, job).with_content(content);
        let goal = if which == 0 && self.is_contended() { goal.contended() } else { goal };
        Ok(cx.child(goal))
    }

    /// Returns to the phase Settle, with the rest of the settle timeout.
    pub(super) fn settle_again(&mut self, cx: &mut FlowContext<FlinkRest>) -> State {
        self.data.phase = UpgradePhase::Settle;
        cx.phase(Self::NAME, "waiting again for the new job's tasks and for another checkpoint");
        self.save(cx);
        State::Settle(self.settle(self.data.new_job, cx))
    }

    pub(super) fn settle(&self, job: JobId, cx: &mut FlowContext<FlinkRest>) -> Runner<AwaitMachine> {
        let until = cx.no_later_than(self.settle_until);
        cx.child(AwaitMachine::from(AwaitJob::running(job)).observing(self.observed)).with_deadline(until)
    }
}
