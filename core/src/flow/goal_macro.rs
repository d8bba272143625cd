//! `goal!`: the implementations that all goals share.

/// Implements [`Goal`](super::Goal) for a goal, and its methods `timeout` and, if it can be resumed, `resume`.
///
/// The goal has a field `timeout: Option<Duration>`; its machine is made with `From<Goal>`. After `resume`, the goal is
/// made of the saved state with `TryFrom<State>`, or `From<State>`; the state's flow is the machine's `NAME`.
///
/// ```text
/// goal!(Cancel: FlinkRest => JobReport, CancelMachine);
/// goal!(TakeSavepoint: FlinkRest => Savepoint, SavepointMachine, resume SavepointState);
/// goal!(WatchJob: FlinkRest => JobEvent, WatchMachine, events JobWatch);
/// ```
///
/// With `events`, the goal starts an event flow: a struct with one field, `runner: Runner<Machine>`, for which the
/// macro implements [`Flow`](super::Flow).
macro_rules! goal {
    ($Goal:ty: $Service:ty => $Output:ty, $Machine:ty $(, resume $State:ty)?) => {
        $crate::flow::goal!(@timeout $Goal);
        $($crate::flow::goal!(@resume $Goal, $Machine, $State);)?

        impl $crate::flow::Goal for $Goal {
            type Service = $Service;
            type Output = $Output;
            type Flow = $crate::flow::GoalFlow<Self>;

            fn start(self, config: &$crate::flow::Config<$Service>, seed: $crate::Seed) -> Self::Flow {
                let timeout = self.timeout;
                $crate::flow::GoalFlow::new(<$Machine>::from(self), config, seed, timeout)
            }
        }

        impl $crate::flow::MachineGoal for $Goal {
            type Machine = $Machine;
        }
    };
    ($Goal:ty: $Service:ty => $Output:ty, $Machine:ty, events $Events:ident $(, resume $State:ty)?) => {
        $crate::flow::goal!(@timeout $Goal);
        $($crate::flow::goal!(@resume $Goal, $Machine, $State);)?

        impl $crate::flow::Goal for $Goal {
            type Service = $Service;
            type Output = $Output;
            type Flow = $Events;

            fn start(self, config: &$crate::flow::Config<$Service>, seed: $crate::Seed) -> $Events {
                let timeout = self.timeout;
                $Events { runner: $crate::flow::Runner::new(<$Machine>::from(self), config, seed, timeout) }
            }
        }

        impl $Events {
            /// Ends the flow at this time at the latest, even if the goal's timeout is longer.
            pub fn with_deadline(mut self, deadline: impl Into<Option<$crate::Timestamp>>) -> Self {
                self.runner = self.runner.with_deadline(deadline);
                self
            }
        }

        impl $crate::flow::Flow for $Events {
            type Output = $Output;

            fn poll(
                &mut self,
                now: $crate::Timestamp,
                reply: Option<$crate::flow::Reply>,
            ) -> $crate::flow::Step<$Output> {
                self.runner.poll(now, reply)
            }
        }
    };
    (@timeout $Goal:ty) => {
        impl $Goal {
            /// Sets how long the flow may take, from its first poll; without a limit by default.
            ///
            /// When the timeout expires, the flow ends with [`FlowError::Deadline`](crate::error::FlowError::Deadline),
            /// or with [`FlowError::Ambiguous`](crate::error::FlowError::Ambiguous) if a request may have been carried
            /// out.
            pub fn timeout(mut self, timeout: std::time::Duration) -> Self {
                self.timeout = Some(timeout);
                self
            }
        }
    };
    (@resume $Goal:ty, $Machine:ty, $State:ty) => {
        impl $Goal {
            /// Creates a goal that continues an interrupted flow, from the newest state of its
            /// [`Notice::Persist`](crate::flow::Notice::Persist).
            ///
            /// # Errors
            /// [`FlowError::Misuse`](crate::error::FlowError::Misuse) if the state belongs to another flow.
            pub fn resume(saved: &$crate::flow::SavedState) -> Result<Self, $crate::error::FlowError> {
                let state: $State = saved.read(<$Machine as $crate::flow::StateMachine>::NAME)?;
                let goal = Self::try_from(state)?;
                Ok(goal)
            }
        }
    };
}
pub(crate) use goal;
