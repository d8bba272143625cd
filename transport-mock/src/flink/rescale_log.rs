//! What the adaptive scheduler remembers of a job's rescales, and the phases that it goes through meanwhile.
//!
//! Each decision about a job's parallelism is a rescale: the first, one after new bounds, one after a failure. At most
//! one is in progress, the newest. It has succeeded when the tasks are deployed again with a parallelism within its
//! bounds; until then it waits, however long, or gives way to new bounds or to the end of the job.

use std::collections::BTreeMap;
use std::time::Duration;

use super::ids::Ids;
use super::wire::millis;

/// What the scheduler does with a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Created,
    WaitingForResources,
    CreatingExecutionGraph,
    Executing,
    StopWithSavepoint,
    Restarting,
}

impl Phase {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Created => "Created",
            Self::WaitingForResources => "WaitingForResources",
            Self::CreatingExecutionGraph => "CreatingExecutionGraph",
            Self::Executing => "Executing",
            Self::StopWithSavepoint => "StopWithSavepoint",
            Self::Restarting => "Restarting",
        }
    }

    /// Whether the job has tasks, which a cancellation has to end.
    fn has_tasks(self) -> bool {
        matches!(self, Self::Executing | Self::StopWithSavepoint | Self::Restarting)
    }
}

/// Why a rescale begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    InitialSchedule,
    UpdateRequirement,
    NewResourceAvailable,
    RecoverableFailover,
}

impl Cause {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::InitialSchedule => "INITIAL_SCHEDULE",
            Self::UpdateRequirement => "UPDATE_REQUIREMENT",
            Self::NewResourceAvailable => "NEW_RESOURCE_AVAILABLE",
            Self::RecoverableFailover => "RECOVERABLE_FAILOVER",
        }
    }
}

/// Why a rescale is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    Succeeded,
    ExceptionOccurred,
    RequirementsUpdated,
    NothingChanges,
    JobFinished,
    JobFailed,
    JobCanceled,
}

impl Reason {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "SUCCEEDED",
            Self::ExceptionOccurred => "EXCEPTION_OCCURRED",
            Self::RequirementsUpdated => "RESOURCE_REQUIREMENTS_UPDATED",
            Self::NothingChanges => "NO_RESOURCES_OR_PARALLELISMS_CHANGE",
            Self::JobFinished => "JOB_FINISHED",
            Self::JobFailed => "JOB_FAILED",
            Self::JobCanceled => "JOB_CANCELED",
        }
    }

    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::Succeeded => Outcome::Completed,
            Self::ExceptionOccurred => Outcome::Failed,
            _ => Outcome::Ignored,
        }
    }
}

/// How a rescale ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    Completed,
    Failed,
    Ignored,
}

impl Outcome {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Ignored => "IGNORED",
        }
    }
}

/// A phase that is over.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub(super) phase: Phase,
    pub(super) entered: Duration,
    pub(super) left: Duration,
    /// The stack trace of the failure that ended it.
    pub(super) exception: Option<String>,
}

/// A rescale. Bounds and parallelism are those of the source and of the sink.
#[derive(Debug, Clone)]
pub(super) struct Rescale {
    pub(super) id: String,
    pub(super) requirements: String,
    /// Counts the rescales for the same requirements from 1.
    pub(super) attempt: u64,
    pub(super) cause: Cause,
    pub(super) bounds: [(u32, u32); 2],
    /// The parallelism before; `None` if the job had not run.
    pub(super) before: Option<[u32; 2]>,
    /// The parallelism that it led to.
    pub(super) after: Option<[u32; 2]>,
    pub(super) spans: Vec<Span>,
    pub(super) started: Duration,
    /// `None` while it is in progress.
    pub(super) ended: Option<(Duration, Reason)>,
}

/// The bookkeeping.
#[derive(Debug, Clone)]
pub(super) struct RescaleLog {
    /// How many rescales are remembered. With 0, none is recorded.
    pub(super) size: usize,
    phase: Phase,
    phase_entered: Duration,
    /// Newest last.
    pub(super) history: Vec<Rescale>,
    /// The newest of each outcome, which the history may have forgotten.
    pub(super) latest: BTreeMap<Outcome, Rescale>,
    /// How many milliseconds each took that is over, oldest first.
    pub(super) durations: Vec<(Outcome, u64)>,
}

impl RescaleLog {
    pub(super) fn new(size: usize) -> Self {
        Self {
            size,
            phase: Phase::Created,
            phase_entered: Duration::ZERO,
            history: Vec::new(),
            latest: BTreeMap::new(),
            durations: Vec::new(),
        }
    }

    pub(super) fn is_in_progress(&self) -> bool {
        self.history.last().is_some_and(|rescale| rescale.ended.is_none())
    }

    /// The rescale in progress.
    fn current(&mut self) -> Option<&mut Rescale> {
        self.history.last_mut().filter(|rescale| rescale.ended.is_none())
    }

    /// A rescale begins. A failure takes over the rescale in progress, and so do new resources; new bounds end it.
    pub(super) fn begin(&mut self, cause: Cause, bounds: [(u32, u32); 2], ids: &mut Ids, at: Duration) {
        if self.size == 0 {
            return;
        }
        let is_retry = matches!(cause, Cause::NewResourceAvailable | Cause::RecoverableFailover);
        if is_retry && let Some(current) = self.current() {
            if cause == Cause::RecoverableFailover {
                current.cause = cause;
                current.started = at;
            }
            return;
        }
        self.end(Reason::RequirementsUpdated, None, at);
        let (requirements, attempt) = match self.history.last() {
            Some(last) if is_retry => (last.requirements.clone(), last.attempt + 1),
            _ => (ids.hex32(), 1),
        };
        self.history.push(Rescale {
            id: ids.hex32(),
            requirements,
            attempt,
            cause,
            bounds,
            before: self.latest.get(&Outcome::Completed).and_then(|rescale| rescale.after),
            after: None,
            spans: Vec::new(),
            started: at,
            ended: None,
        });
        if self.history.len() > self.size {
            self.history.remove(0);
        }
    }

    /// The job is created, and then waits for its slots.
    pub(super) fn schedule(&mut self, bounds: [(u32, u32); 2], ids: &mut Ids, at: Duration) {
        (self.phase, self.phase_entered) = (Phase::Created, at);
        self.begin(Cause::InitialSchedule, bounds, ids, at);
        self.enter(Phase::WaitingForResources, at);
    }

    pub(super) fn enter(&mut self, phase: Phase, at: Duration) {
        if self.phase != phase {
            self.close_phase(None, at);
            (self.phase, self.phase_entered) = (phase, at);
        }
    }

    /// The tasks are deployed, so many of the source and of the sink. New bounds may have come too late for them.
    pub(super) fn execute(&mut self, each: [u32; 2], at: Duration) {
        self.enter(Phase::Executing, at);
        let Some(current) = self.current() else {
            return;
        };
        let mut bounds = current.bounds.iter().zip(each);
        if bounds.all(|((lower, upper), parallelism)| (*lower..=*upper).contains(&parallelism)) {
            current.after = Some(each);
            self.end(Reason::Succeeded, None, at);
        }
    }

    /// The job is to be canceled. A job without tasks just ends.
    pub(super) fn cancel(&mut self, at: Duration) {
        if self.phase.has_tasks() {
            self.end(Reason::JobCanceled, None, at);
        }
    }

    /// Ends the rescale in progress, if there is one; `exception` is what ended the present phase.
    pub(super) fn end(&mut self, reason: Reason, exception: Option<String>, at: Duration) {
        self.close_phase(exception, at);
        self.finish(reason, at);
    }

    /// New bounds change nothing. The scheduler finds that out at the end of the cool-down after the tasks were
    /// deployed, and at no other time: after new bounds that come later, the rescale stays in progress.
    pub(super) fn change_nothing(&mut self, cool_down: Duration, at: Duration) {
        let cools_until = self.phase_entered.saturating_add(cool_down);
        let is_executing = self.phase == Phase::Executing;
        if is_executing && self.current().is_some_and(|current| current.started < cools_until) {
            self.finish(Reason::NothingChanges, at);
        }
    }

    fn finish(&mut self, reason: Reason, at: Duration) {
        if let Some(current) = self.current() {
            current.ended = Some((at, reason));
            let (outcome, ended) = (reason.outcome(), current.clone());
            self.durations.push((outcome, millis(at.saturating_sub(ended.started))));
            self.latest.insert(outcome, ended);
        }
    }

    /// Writes the present phase into the rescale in progress.
    fn close_phase(&mut self, exception: Option<String>, at: Duration) {
        let (phase, entered) = (self.phase, self.phase_entered);
        if let Some(current) = self.current() {
            current.spans.push(Span { phase, entered, left: at, exception });
        }
    }
}
