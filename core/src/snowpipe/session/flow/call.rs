//! [`SessionCall`]: one operation of the ingest host, with the session's token.

use super::SessionRun;
use crate::error::{FlowError, Misuse};
use crate::flow::{Call, Config, FlowContext, Goal, GoalFlow, MachineGoal, StateMachine, Transition, done};
use crate::operation::Operation;
use crate::seed::Seed;
use crate::snowpipe::SnowpipeIngest;

/// One operation of the ingest host, with the session's token. Created by
/// [`Session::call`](crate::snowpipe::session::Session::call). Run it on the account's client.
///
/// # Errors
/// The errors of the operation, and those of [`SessionRun`].
pub type SessionCall<O> = SessionRun<OperationGoal<O>>;

/// An operation as a goal.
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct OperationGoal<O>(pub(crate) O);

/// The transitions of [`OperationGoal`].
#[derive(Debug)]
pub struct OperationGoalMachine<O: Operation> {
    /// The operation, until it is called.
    operation: Option<O>,
    call: Option<Call<O>>,
}

impl<O: Operation<Service = SnowpipeIngest>> StateMachine for OperationGoalMachine<O> {
    type Service = SnowpipeIngest;
    type Output = O::Output;
    const NAME: &'static str = O::INFO.name;

    fn transition(&mut self, cx: &mut FlowContext<SnowpipeIngest>) -> Transition<O::Output> {
        if let Some(operation) = self.operation.take() {
            self.call = Some(cx.call(operation));
        }
        match &mut self.call {
            Some(call) => done(cx.poll(call)?),
            None => done(Err(FlowError::Misuse(Misuse::PolledAfterDone))),
        }
    }
}

impl<O: Operation<Service = SnowpipeIngest>> Goal for OperationGoal<O> {
    type Service = SnowpipeIngest;
    type Output = O::Output;
    type Flow = GoalFlow<Self>;

    fn start(self, config: &Config<SnowpipeIngest>, seed: Seed) -> Self::Flow {
        GoalFlow::new(OperationGoalMachine { operation: Some(self.0), call: None }, config, seed, None)
    }
}

impl<O: Operation<Service = SnowpipeIngest>> MachineGoal for OperationGoal<O> {
    type Machine = OperationGoalMachine<O>;
}
