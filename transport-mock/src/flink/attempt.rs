//! One run of a job's tasks: the states that they went through. All tasks of a vertex change together.

use std::collections::BTreeMap;
use std::time::Duration;

/// The states of a task; canceling has one L here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TaskState {
    Created,
    Scheduled,
    Deploying,
    Initializing,
    Running,
    Finished,
    Canceling,
    Canceled,
    Failed,
    Reconciling,
}

impl TaskState {
    pub(super) const ALL: [Self; 10] = [
        Self::Created,
        Self::Scheduled,
        Self::Deploying,
        Self::Initializing,
        Self::Running,
        Self::Finished,
        Self::Canceling,
        Self::Canceled,
        Self::Failed,
        Self::Reconciling,
    ];
    /// The states before the end, in their order: those whose durations the server tells.
    pub(super) const TIMED: [Self; 5] =
        [Self::Created, Self::Scheduled, Self::Deploying, Self::Initializing, Self::Running];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Scheduled => "SCHEDULED",
            Self::Deploying => "DEPLOYING",
            Self::Initializing => "INITIALIZING",
            Self::Running => "RUNNING",
            Self::Finished => "FINISHED",
            Self::Canceling => "CANCELING",
            Self::Canceled => "CANCELED",
            Self::Failed => "FAILED",
            Self::Reconciling => "RECONCILING",
        }
    }

    pub(super) fn has_ended(self) -> bool {
        matches!(self, Self::Finished | Self::Canceled | Self::Failed)
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    /// Counts the attempts of a job from 0.
    pub(super) number: u32,
    pub(super) state: TaskState,
    entered: BTreeMap<TaskState, Duration>,
    /// How many tasks the source and the sink have in it.
    pub(super) each: [u32; 2],
    /// The job's count when the attempt ended.
    pub(super) records: Option<u64>,
}

impl Attempt {
    pub(super) fn new(number: u32, each: [u32; 2], at: Duration) -> Self {
        let state = TaskState::Created;
        Self { number, state, entered: BTreeMap::from([(state, at)]), each, records: None }
    }

    pub(super) fn enter(&mut self, state: TaskState, at: Duration) {
        self.state = state;
        self.entered.insert(state, at);
    }

    /// The state of a vertex' tasks: when a task fails, it is one of the second vertex, and those of the first vertex
    /// are canceled.
    pub(super) fn state_of(&self, vertex: usize) -> TaskState {
        match self.state {
            TaskState::Failed if vertex == 0 => TaskState::Canceled,
            state => state,
        }
    }

    /// When a vertex' tasks entered a state.
    pub(super) fn entered(&self, vertex: usize, state: TaskState) -> Option<Duration> {
        let failed = self.entered.get(&TaskState::Failed).copied().filter(|_| vertex == 0);
        match state {
            TaskState::Failed if vertex == 0 => None,
            TaskState::Canceling | TaskState::Canceled => self.entered.get(&state).copied().or(failed),
            state => self.entered.get(&state).copied(),
        }
    }

    /// When the tasks ended, if they have.
    pub(super) fn ended(&self) -> Option<Duration> {
        self.entered.get(&self.state).copied().filter(|_| self.state.has_ended())
    }

    /// How long a vertex' tasks were in a state; `None` if they never were in it.
    pub(super) fn time_in(&self, vertex: usize, state: TaskState, now: Duration) -> Option<Duration> {
        let from = self.entered(vertex, state)?;
        let later = TaskState::ALL.into_iter().filter(|later| *later > state);
        let until = later.filter_map(|later| self.entered(vertex, later)).min();
        Some(until.unwrap_or(now).saturating_sub(from))
    }
}

/// The part of `all` that the task `index` of `count` has: the first tasks have one more.
pub(super) fn share(all: u64, count: u32, index: u32) -> u64 {
    let (count, index) = (u64::from(count.max(1)), u64::from(index));
    all / count + u64::from(index < all % count)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Attempt, TaskState, share};

    #[test]
    fn the_time_in_a_state_ends_with_the_next_one() {
        let at = Duration::from_millis;
        let mut attempt = Attempt::new(0, [1, 1], at(10));
        attempt.enter(TaskState::Scheduled, at(13));
        attempt.enter(TaskState::Running, at(20));
        assert_eq!(attempt.time_in(0, TaskState::Scheduled, at(99)), Some(at(7)));
        assert_eq!(attempt.time_in(0, TaskState::Running, at(99)), Some(at(79)));
        assert_eq!(attempt.time_in(0, TaskState::Deploying, at(99)), None);
        attempt.enter(TaskState::Failed, at(50));
        assert_eq!([attempt.state_of(0), attempt.state_of(1)], [TaskState::Canceled, TaskState::Failed]);
        assert_eq!(attempt.time_in(1, TaskState::Running, at(99)), Some(at(30)));
        assert_eq!(attempt.entered(0, TaskState::Canceled), Some(at(50)));
        assert_eq!((attempt.ended(), attempt.entered(0, TaskState::Failed)), (Some(at(50)), None));
    }

    #[test]
    fn shares_add_up() {
        assert_eq!([share(5, 3, 0), share(5, 3, 1), share(5, 3, 2)], [2, 2, 1]);
    }
}
