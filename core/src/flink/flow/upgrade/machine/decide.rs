//! The decisions of an upgrade: from an answer to the next state.

use std::ops::ControlFlow;
use std::time::Duration;

use super::stability::Stability;
use super::{Next, State, UpgradeMachine};
use crate::error::{Ambiguity, Evidence, Failure, FlowError, ServiceError};
use crate::flink::checkpoints::{Checkpoint, Checkpoints, GetCheckpoints};
use crate::flink::error::is_unknown_job;
use crate::flink::flow::async_operation::AsyncOperation;
use crate::flink::flow::async_operation::TriggerCheckpoint;
use crate::flink::flow::await_job::{AwaitMachine, JobReport};
use crate::flink::flow::diagnose::{DiagnoseJob, Found};
use crate::flink::flow::diagnosis::{JobDiagnosis, JobLookup};
use crate::flink::flow::upgrade::{Upgrade, UpgradeDiagnosis, UpgradePhase, UpgradeStatus};
use crate::flink::jars::SubmitJar;
use crate::flink::jobs::{GetJobExceptions, JobState};
use crate::flink::tuning::{CHECKPOINT_RETRY_INTERVAL, MAX_REPEATED_STOPS};
use crate::flink::{FlinkRest, JobId};
use crate::flow::{FlowContext, Notice, StateMachine as _, done, or_done};
use crate::operation::Operation as _;
use crate::time::Timestamp;

impl UpgradeMachine {
    pub(super) fn roll_back(&mut self, reason: String, cx: &mut FlowContext<FlinkRest>) -> Result<State, FlowError> {
        cx.say(Notice::Observed {
            what: format!("job {}", self.data.new_job),
            state: format!("rolling back to the old jar: {reason}"),
        });
        self.data.reason = Some(reason);
        self.enter(UpgradePhase::CancelNew, None, cx)
    }

    /// Returns whether an error only means that the settle timeout has expired, and the job was polled for the second
    /// half of it without a gap of more than 5 s. Any other error ends the upgrade: a job that could not be polled may
    /// run well. The last poll may still be under way.
    pub(super) fn is_own_deadline(&self, error: &FlowError, cx: &FlowContext<FlinkRest>) -> bool {
        let (until, half) = (self.settle_until, self.data.settle_timeout / 2);
        let from = Timestamp::from_millis(until.as_millis().saturating_sub(half));
        let is_own = matches!(error, FlowError::Deadline { .. }) && cx.expired("").is_none();
        is_own && cx.now() >= until && self.observed.covers(from, until)
    }

    /// Handles the end of Check: all tasks of the old job run, or it has ended, or the settle timeout has expired.
    pub(super) fn checked(
        &mut self,
        report: Result<JobReport, FlowError>,
        cx: &mut FlowContext<FlinkRest>,
    ) -> Result<State, FlowError> {
        match report {
            Ok(report) if report.state == JobState::Running && self.is_planned => Ok(self.before_stop(cx)),
            Ok(report) if report.state == JobState::Running => self.prepare(cx),
            Ok(report) => self.ended(report.state, cx),
            Err(error) if self.is_own_deadline(&error, cx) => {
                Err(self.not_upgraded(&format!("some of its tasks did not run within {} s", self.settle_seconds())))
            }
            Err(error) => Err(self.not_checked(error)),
        }
    }

    /// Handles a failed lookup of the old job. If the cluster no longer knows it, the cluster has forgotten its end, or
    /// lost it in a restart.
    pub(super) fn not_checked(&mut self, error: FlowError) -> FlowError {
        let was_known = self.data.last_checkpoint.is_some() || self.data.earlier_savepoint.is_some();
        if was_known && error.service().is_some_and(is_unknown_job) {
            self.status = UpgradeStatus::Unknown;
        }
        error
    }

    /// Returns the error for a FINISHED job under the id of both jars. It is not known which jar has done the work.
    pub(super) fn disputed(&mut self) -> FlowError {
        self.status = UpgradeStatus::Unknown;
        let reason = format!("job {} is FINISHED, and it is not known which of the two jars it ran", self.data.new_job);
        let what = format!("rolling back the upgrade of job {}", self.data.job);
        FlowError::Ambiguous(Ambiguity {
            operation: SubmitJar::INFO.name,
            cause: Box::new(FlowError::failed(what, reason)),
            unanswered: true,
            evidence: None,
            found: Some("check its output before you start another job".to_owned()),
        })
    }

    /// Returns the error for a submitted job that the cluster no longer knows. It may have ended since: the old jar
    /// would do its work again.
    pub(super) fn forgotten(&mut self, job: JobId, error: ServiceError) -> FlowError {
        self.status = UpgradeStatus::Unknown;
        FlowError::Ambiguous(Ambiguity {
            operation: SubmitJar::INFO.name,
            cause: Box::new(error.into()),
            unanswered: false,
            evidence: None,
            found: Some(format!("the cluster does not know job {job}; its savepoint is {}", self.savepoint())),
        })
    }

    pub(super) fn settle_seconds(&self) -> f64 {
        Duration::from_millis(self.data.settle_timeout).as_secs_f64()
    }

    pub(super) fn not_upgraded(&self, state: &str) -> FlowError {
        FlowError::failed(
            format!("upgrade of job {}", self.data.job),
            format!("only a job whose tasks all run can be stopped with a savepoint, and {state}"),
        )
    }

    /// Continues after the stop has written its savepoint.
    pub(super) fn stopped(&mut self, savepoint: String, cx: &mut FlowContext<FlinkRest>) -> Result<State, FlowError> {
        cx.say(Notice::Observed { what: "savepoint".to_owned(), state: savepoint.clone() });
        (self.data.savepoint, self.data.earlier_savepoint) = (Some(savepoint), None);
        self.status = UpgradeStatus::NoJobRuns;
        if self.is_roll_back() { self.run_old(cx) } else { self.enter(UpgradePhase::Run, None, cx) }
    }

    /// Handles a job that has ended before it could be stopped. If it is not FINISHED, the caller needs a path to start
    /// from: its last checkpoint, and the savepoint of an earlier stop if it exists.
    pub(super) fn ended(&mut self, state: JobState, cx: &mut FlowContext<FlinkRest>) -> Result<State, FlowError> {
        self.status = UpgradeStatus::NoJobRuns;
        if state == JobState::Finished {
            return Err(self.not_upgraded(&format!("it is {state}")));
        }
        cx.phase(Self::NAME, "looking for the last checkpoint of the job");
        let diagnosis = JobDiagnosis {
            lookup: JobLookup::State(state),
            savepoint: self.data.earlier_savepoint.clone(),
            ..JobDiagnosis::new(self.data.job)
        };
        Ok(State::Ended(DiagnoseJob::new(diagnosis)))
    }

    /// Returns the error for a job that has ended, with its snapshots. The caller must choose the newest.
    pub(super) fn not_stoppable(&mut self, found: Found) -> FlowError {
        let diagnosis = found.diagnosis;
        if let Some(checkpoint) = &diagnosis.last_checkpoint {
            self.data.last_checkpoint = Some(checkpoint.path.clone());
        }
        let listed = diagnosis.last_checkpoint.as_ref().map(ToString::to_string).or(self.data.last_checkpoint.clone());
        let reason = match (&diagnosis.savepoint, listed) {
            (Some(savepoint), Some(checkpoint)) => format!(
                "{}, after a stop had written savepoint {savepoint} and a failover had brought the job back; its last checkpoint is \
                 {checkpoint}; pass the newer of the two to UpgradeJob::from_savepoint",
                diagnosis.lookup
            ),
            (Some(savepoint), None) => format!(
                "{}, after a stop had written savepoint {savepoint} and a failover had brought the job back; the cluster lists no \
                 checkpoint of it; if its checkpoint directory has none that is newer than the savepoint, pass the savepoint to \
                 UpgradeJob::from_savepoint",
                diagnosis.lookup
            ),
            (None, Some(checkpoint)) => format!(
                "only a job whose tasks all run can be stopped with a savepoint, and {}; its last checkpoint is {checkpoint}: pass \
                 it to UpgradeJob::from_savepoint to start the new jar from there",
                diagnosis.lookup
            ),
            (None, None) => format!(
                "only a job whose tasks all run can be stopped with a savepoint, and {}; the cluster lists no checkpoint of it",
                diagnosis.lookup
            ),
        };
        FlowError::Failed(Failure {
            what: format!("upgrade of job {}", self.data.job),
            reason,
            details: None,
            cause: Some(Evidence::new(diagnosis)),
        })
    }

    /// Decides after the stop failed.
    ///
    /// * If the savepoint is written and the job has ended, the upgrade continues.
    /// * If the job still runs, it is stopped again: now if a failover has restored it, otherwise by the resumed flow.
    /// * If the job is FINISHED, it has continued after the savepoint to the end of its work. Another job from that
    ///   savepoint would do this part again, so the flow ends.
    pub(super) fn not_stopped(
        &mut self,
        error: FlowError,
        cx: &mut FlowContext<FlinkRest>,
    ) -> Result<State, FlowError> {
        let diagnosis = JobDiagnosis::of(&error).cloned();
        self.status = match (&error, &diagnosis) {
            (_, Some(diagnosis)) if diagnosis.is_terminal() => UpgradeStatus::NoJobRuns,
            (FlowError::Failed(_), Some(diagnosis)) if diagnosis.is_alive() => UpgradeStatus::OldJobRuns,
            (FlowError::Ambiguous(_) | FlowError::Failed(_) | FlowError::Deadline { .. }, _) => UpgradeStatus::Unknown,
            // The trigger was not sent, or the cluster has rejected it: the state of the job has not changed.
            _ => self.status,
        };
        let Some(diagnosis) = diagnosis else { return Err(error) };
        let job = || format!("job {}", self.data.job);
        match diagnosis.savepoint.clone() {
            Some(savepoint) if diagnosis.has_ended() && diagnosis.lookup != JobLookup::State(JobState::Finished) => {
                cx.say(Notice::Observed { what: job(), state: error.to_string() });
                return self.stopped(savepoint, cx);
            }
            // Without a savepoint, the caller needs the last checkpoint. A resumed flow looks the job up again.
            None if diagnosis.is_terminal() => {
                if let Some(checkpoint) = &diagnosis.last_checkpoint {
                    self.data.last_checkpoint = Some(checkpoint.path.clone());
                }
                if matches!(error, FlowError::Failed(_)) {
                    (self.data.phase, self.data.child) = (UpgradePhase::Prepare, None);
                    self.save(cx);
                }
            }
            savepoint if diagnosis.is_alive() && matches!(error, FlowError::Failed(_)) => {
                // That operation has ended: another poll of its trigger would give the same answer.
                (self.data.phase, self.data.child) = (UpgradePhase::Prepare, None);
                let is_written = savepoint.is_some();
                self.data.earlier_savepoint = savepoint.or(self.data.earlier_savepoint.take());
                self.save(cx);
                if is_written && self.stops < MAX_REPEATED_STOPS && !self.is_roll_back() {
                    self.stops += 1;
                    cx.say(Notice::Observed { what: job(), state: error.to_string() });
                    self.is_planned = true;
                    return Ok(self.check(cx));
                }
            }
            _ => {}
        }
        let has_failed = diagnosis.has_ended() && diagnosis.lookup != JobLookup::State(JobState::Finished);
        let checkpoint = self.data.last_checkpoint.as_ref().filter(|_| has_failed && diagnosis.savepoint.is_none());
        Err(match (error, checkpoint) {
            (FlowError::Failed(failure), Some(path)) => {
                let reason = format!("{}; its last checkpoint is {path}", failure.reason);
                FlowError::Failed(Failure { reason, ..failure })
            }
            (error, _) => error,
        })
    }

    /// Adds the diagnosis to the error that ends the upgrade.
    pub(super) fn explain(&self, error: FlowError) -> FlowError {
        let last = JobDiagnosis::of(&error).cloned();
        let known = self.diagnosis();
        // If the job continued after the savepoint of its stop, that savepoint is only an earlier savepoint.
        let is_open = |last: &&JobDiagnosis| matches!(last.lookup, JobLookup::NotTried | JobLookup::LookupFailed(_));
        let written = last.as_ref().filter(is_open).and_then(|last| last.savepoint.clone());
        let written = written.filter(|_| self.data.phase == UpgradePhase::Stop);
        let diagnosis = UpgradeDiagnosis { savepoint: known.savepoint.clone().or(written), last, ..known };
        let error = match error {
            FlowError::Ambiguous(ambiguity) => {
                let found = ambiguity.found.map_or_else(String::new, |found| format!("{found}; "));
                FlowError::Ambiguous(Ambiguity { found: Some(format!("{found}{diagnosis}")), ..ambiguity })
            }
            error => error,
        };
        error.with_evidence(diagnosis)
    }

    fn diagnosis(&self) -> UpgradeDiagnosis {
        UpgradeDiagnosis {
            phase: self.data.phase.clone(),
            status: self.status,
            job: self.data.job,
            new_job: self.data.new_job,
            old_job: self.data.old_job,
            new_jar: self.data.new.jar.clone(),
            old_jar: self.data.old.jar.clone(),
            savepoint: self.data.savepoint.clone(),
            earlier_savepoint: self.data.earlier_savepoint.clone(),
            last_checkpoint: self.data.last_checkpoint.clone(),
            reason: self.data.reason.clone(),
            last: None,
        }
    }

    fn too_slow(&self, what: &str, cx: &mut FlowContext<FlinkRest>) -> State {
        let reason = format!("the new job {what} within {} s", self.settle_seconds());
        self.give_up(reason, cx)
    }

    /// Reads the exceptions of the new job, then rolls back.
    fn give_up(&self, reason: String, cx: &mut FlowContext<FlinkRest>) -> State {
        State::Explain(cx.call(GetJobExceptions::new(self.data.new_job).max_exceptions(1_u32)), reason)
    }

    pub(super) fn settled(&mut self, report: Result<JobReport, FlowError>, cx: &mut FlowContext<FlinkRest>) -> Next {
        match report {
            Ok(report) if report.state == JobState::Running => {
                self.status = UpgradeStatus::NewJobRuns;
                let until = cx.no_later_than(self.settle_until);
                let checkpoint =
                    AsyncOperation::from(TriggerCheckpoint::new(self.data.new_job)).observing(self.observed);
                ControlFlow::Continue(State::Checkpoint(cx.child(checkpoint).with_deadline(until)))
            }
            Ok(report) if report.state == JobState::Finished => done(Ok(self.upgraded(None))),
            Ok(report) => {
                let why = report.failure().map(|why| format!(": {why}")).unwrap_or_default();
                or_done(self.roll_back(format!("the new job is {}{why}", report.state), cx))
            }
            Err(error) if self.is_own_deadline(&error, cx) => {
                ControlFlow::Continue(self.too_slow("did not get all its tasks to run", cx))
            }
            Err(FlowError::Service(error)) if is_unknown_job(&error) => {
                done(Err(self.forgotten(self.data.new_job, error)))
            }
            Err(error) => done(Err(error)),
        }
    }

    pub(super) fn checkpointed(&mut self, result: Result<i64, FlowError>, cx: &mut FlowContext<FlinkRest>) -> Next {
        match result {
            Ok(number) if self.data.stable_for.unwrap_or_default() > 0 => {
                (self.checkpoint, self.finished) = (Some(number), self.finished.max(self.mark.finished));
                or_done(self.enter(UpgradePhase::Verify, None, cx))
            }
            Ok(number) => done(Ok(self.upgraded(Some(number)))),
            // The last poll of the trigger may be seconds ago, and the job takes checkpoints by itself.
            Err(error) if self.is_own_deadline(&error, cx) => {
                ControlFlow::Continue(State::CheckpointLookup(cx.call(GetCheckpoints::new(self.data.new_job)), error))
            }
            // The checkpoint may have failed because a task has just failed: the state of the job shows that.
            Err(FlowError::Failed(failure)) if cx.now() < self.settle_until => {
                cx.say(Notice::Observed { what: failure.what, state: failure.reason });
                ControlFlow::Continue(State::Pause(cx.now() + CHECKPOINT_RETRY_INTERVAL))
            }
            Err(FlowError::Failed(failure)) => or_done(self.roll_back(failure.reason, cx)),
            // Another checkpoint does no harm.
            Err(FlowError::Ambiguous(_)) if cx.now() < self.settle_until => {
                ControlFlow::Continue(State::Pause(cx.now() + CHECKPOINT_RETRY_INTERVAL))
            }
            // It is not known whether the job has completed a checkpoint in time.
            Err(error @ FlowError::Ambiguous(_)) => {
                let (at, waiting) = (cx.no_later_than(self.settle_until), "the new job's first checkpoint");
                let last = Some(Box::new(error));
                done(Err(FlowError::Deadline { at, waiting, observed: None, last, evidence: None }))
            }
            Err(error) => done(Err(error)),
        }
    }

    /// Decides after the settle timeout has expired. The flow gives up the new job only if the cluster lists no
    /// completed checkpoint since its tasks have been running.
    pub(super) fn looked_up(
        &mut self,
        checkpoints: Result<Checkpoints, FlowError>,
        error: FlowError,
        cx: &mut FlowContext<FlinkRest>,
    ) -> Next {
        let since = self.mark.modified;
        let newest = |checkpoints: Checkpoints| checkpoints.latest.completed;
        // A checkpoint without a time may be the job's first: the flow does not know, and does not give the job up.
        let is_since = |completed: &Checkpoint| completed.trigger_timestamp.map(|triggered| triggered.0 >= since);
        match checkpoints.map(newest) {
            Ok(Some(completed)) if is_since(&completed).is_none() => done(Err(error)),
            Ok(Some(completed)) if is_since(&completed) == Some(true) => self.checkpointed(Ok(completed.id), cx),
            Ok(_) => ControlFlow::Continue(self.too_slow("completed no checkpoint", cx)),
            Err(_) => done(Err(error)),
        }
    }

    /// Handles the end of Verify: the job was stable for the whole time, or a task has left RUNNING.
    pub(super) fn verified(&mut self, stability: Stability, cx: &mut FlowContext<FlinkRest>) -> Next {
        match stability {
            Stability::Stable => done(Ok(self.upgraded(self.checkpoint))),
            // The time starts again, but not if the same tasks finish after a restart: otherwise a job that fails
            // repeatedly would never be given up.
            Stability::TasksFinished(finished) if finished > self.finished => {
                self.finished = finished;
                let state = format!("{finished} of its tasks have finished by themselves");
                cx.say(Notice::Observed { what: format!("job {}", self.data.new_job), state });
                or_done(self.enter(UpgradePhase::Settle, None, cx))
            }
            Stability::TasksFinished(_) => {
                ControlFlow::Continue(self.poll_again("a task has finished once more after a restart".to_owned(), cx))
            }
            Stability::Unstable(why) => ControlFlow::Continue(self.poll_again(why, cx)),
        }
    }

    fn poll_again(&mut self, why: String, cx: &mut FlowContext<FlinkRest>) -> State {
        self.status = UpgradeStatus::Unknown;
        State::Unstable(cx.child(AwaitMachine::ending(self.data.new_job)), why)
    }

    /// Decides by the state of the job, after a task has left RUNNING.
    pub(super) fn unstable(
        &mut self,
        report: Result<JobReport, FlowError>,
        why: &str,
        cx: &mut FlowContext<FlinkRest>,
    ) -> Next {
        match report {
            Ok(report) if report.state == JobState::Finished => done(Ok(self.upgraded(self.checkpoint))),
            Ok(report) if report.state.is_terminal() => {
                let cause = report.failure().map(|cause| format!(": {cause}")).unwrap_or_default();
                or_done(self.roll_back(format!("the new job is {}{cause}", report.state), cx))
            }
            Ok(_) if cx.now() < self.settle_until => {
                self.status = UpgradeStatus::NewJobRuns;
                cx.say(Notice::Observed { what: format!("job {}", self.data.new_job), state: why.to_owned() });
                ControlFlow::Continue(self.settle_again(cx))
            }
            Ok(_) => {
                let seconds = Duration::from_millis(self.data.stable_for.unwrap_or_default()).as_secs_f64();
                ControlFlow::Continue(
                    self.give_up(format!("the new job did not keep all its tasks running for {seconds} s: {why}"), cx),
                )
            }
            Err(FlowError::Service(error)) if is_unknown_job(&error) => {
                done(Err(self.forgotten(self.data.new_job, error)))
            }
            Err(error) => done(Err(error)),
        }
    }

    pub(super) fn cancelled(&mut self, report: Result<JobReport, FlowError>, cx: &mut FlowContext<FlinkRest>) -> Next {
        match report {
            Ok(report) if report.state == JobState::Finished && self.data.is_disputed == Some(true) => {
                done(Err(self.disputed()))
            }
            // The job was slow, but has done all its work by now: the old jar would do it again.
            Ok(report) if report.state == JobState::Finished => done(Ok(self.upgraded(None))),
            Ok(_) => or_done(self.run_old(cx)),
            Err(error) if error.service().is_some_and(is_unknown_job) && self.data.launched != Some(true) => {
                or_done(self.run_old(cx))
            }
            Err(FlowError::Service(error)) if is_unknown_job(&error) => {
                done(Err(self.forgotten(self.data.new_job, error)))
            }
            Err(error) => done(Err(error)),
        }
    }

    pub(super) fn savepoint(&self) -> String {
        self.data.savepoint.clone().unwrap_or_default()
    }

    pub(super) fn upgraded(&self, checkpoint: Option<i64>) -> Upgrade {
        Upgrade::Upgraded { job: self.data.new_job, savepoint: self.savepoint(), checkpoint }
    }
}
