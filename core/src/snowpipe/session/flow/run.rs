//! [`SessionRun`]: a flow of the ingest host, with the session's token.
//!
//! ```text
//!  Start ──token──▶ Run ──the flow requests a credential──▶ Authorize ──token for the same host──▶ Run
//!                    ├─▶ result                                └─ for another host, or none ─▶ Run, whose request fails
//!                    └─▶ 410: the session forgets the host
//! ```

use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

use http::{HeaderValue, StatusCode};

use super::token_wait::TokenWait;
use crate::error::{CredentialError, FlowError, Misuse};
use crate::flow::{
    Config, CredentialRequest, Flow as _, FlowContext, Goal, GoalFlow, MachineGoal, Runner, StateMachine, Step,
    Transition, done,
};
use crate::seed::Seed;
use crate::snowpipe::session::{Grant, Session};
use crate::snowpipe::{SnowpipeAccount, SnowpipeIngest};

/// A flow of the ingest host, such as [`OpenChannel`](crate::snowpipe::OpenChannel), with the session's token. Made by
/// [`Session::run`], or for one operation by [`Session::call`]; run it on the handle of the account.
///
/// Asks for host and token when the session has none, and for another token when the service rejects it (401, 403),
/// once for each request. On 410 the session forgets the host, so that the next flow goes to another: a channel has to
/// be opened again there.
///
/// Ends as the flow does, and in the error of the [renewal](super::Renewal) when there is no token to begin with. When
/// there is no token later, or the session has moved to another host by then, the request that asked for it ends in
/// [`FlowError::Credential`], or in [`FlowError::Ambiguous`] around it when an attempt may have been carried out.
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct SessionRun<G> {
    session: Session,
    goal: G,
    timeout: Option<Duration>,
}

/// The transitions of [`SessionRun`].
pub struct SessionRunMachine<G: MachineGoal> {
    session: Session,
    /// Of the host that the flow is for.
    generation: u64,
    /// The token that it began with, until it asks for one.
    granted: Option<HeaderValue>,
    state: State<G>,
}

enum State<G: MachineGoal> {
    Start(TokenWait, G),
    Run(Runner<G::Machine>),
    Authorize(Runner<G::Machine>, CredentialRequest, TokenWait),
    /// During a transition.
    Between,
}

impl<G> SessionRun<G> {
    pub(crate) fn new(session: Session, goal: G) -> Self {
        Self { session, goal, timeout: None }
    }

    /// Sets how long all of it may take, including the time to find the host and the token; without a limit by default.
    /// The goal's own `timeout` begins when there is a token.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = Some(time);
        self
    }
}

impl<G: MachineGoal<Service = SnowpipeIngest, Flow = GoalFlow<G>>> SessionRunMachine<G> {
    /// Uses the session's token: to start the flow, or for the request that waits for it. Without a token that request
    /// fails, and the flow decides what that means.
    fn use_token(
        &mut self,
        result: Result<Grant, FlowError>,
        cx: &mut FlowContext<SnowpipeAccount>,
    ) -> Result<(), FlowError> {
        match (std::mem::replace(&mut self.state, State::Between), result) {
            (State::Start(_, goal), Ok(grant)) => {
                self.generation = grant.generation;
                self.granted = Some(grant.header);
                let flow = goal.start(&grant.config, cx.seed.split()).into_runner().with_deadline(cx.deadline());
                self.state = State::Run(flow);
            }
            (State::Authorize(flow, request, _), Ok(grant)) => {
                let moved = || CredentialError::permanent("the session has moved to another host: start again there");
                let same = grant.generation == self.generation;
                cx.put_reply(request.settle(same.then_some(grant.header).ok_or_else(moved)));
                self.state = State::Run(flow);
            }
            (State::Authorize(flow, request, _), Err(error)) => {
                cx.put_reply(request.settle(Err(CredentialError::permanent(error.to_string()))));
                self.state = State::Run(flow);
            }
            (_, Err(error)) => return Err(error),
            (state, Ok(_)) => self.state = state,
        }
        Ok(())
    }
}

impl<G: MachineGoal<Service = SnowpipeIngest, Flow = GoalFlow<G>>> StateMachine for SessionRunMachine<G> {
    type Service = SnowpipeAccount;
    type Output = G::Output;
    const NAME: &'static str = G::Machine::NAME;

    fn transition(&mut self, cx: &mut FlowContext<SnowpipeAccount>) -> Transition<G::Output> {
        let deadline = match &self.state {
            State::Authorize(flow, ..) => flow.deadline(),
            _ => None,
        };
        match &mut self.state {
            State::Start(wait, _) | State::Authorize(_, _, wait) => {
                let result = cx.until(deadline, |cx| wait.poll(cx))?;
                if let Err(error) = self.use_token(result, cx) {
                    return done(Err(error));
                }
            }
            State::Run(flow) => match flow.poll(cx.now(), cx.take_reply()) {
                Step::Authorize(request) => {
                    if let Some(header) = self.granted.take() {
                        cx.put_reply(request.settle(Ok(header)));
                        return ControlFlow::Continue(());
                    }
                    if let Some(rejected) = request.rejected() {
                        self.session.reject(rejected, cx.now());
                    }
                    if let State::Run(flow) = std::mem::replace(&mut self.state, State::Between) {
                        self.state = State::Authorize(flow, request, TokenWait::new(&self.session));
                    }
                }
                step => {
                    let result = step.into_result()?;
                    if result.as_ref().err().is_some_and(has_moved) {
                        self.session.moved(self.generation);
                    }
                    return done(result);
                }
            },
            State::Between => return done(Err(FlowError::Misuse(Misuse::PolledAfterDone))),
        }
        ControlFlow::Continue(())
    }
}

/// Whether the service says that the pipe is at another host now.
fn has_moved(error: &FlowError) -> bool {
    error.service().is_some_and(|error| error.status() == StatusCode::GONE)
}

impl<G: MachineGoal<Service = SnowpipeIngest, Flow = GoalFlow<G>>> Goal for SessionRun<G> {
    type Service = SnowpipeAccount;
    type Output = G::Output;
    type Flow = GoalFlow<Self>;

    fn start(self, config: &Config<SnowpipeAccount>, seed: Seed) -> Self::Flow {
        let Self { session, goal, timeout } = self;
        let state = State::Start(TokenWait::new(&session), goal);
        GoalFlow::new(SessionRunMachine { session, generation: 0, granted: None, state }, config, seed, timeout)
    }
}

impl<G: MachineGoal<Service = SnowpipeIngest, Flow = GoalFlow<G>>> MachineGoal for SessionRun<G> {
    type Machine = SessionRunMachine<G>;
}

impl<G: MachineGoal> fmt::Debug for SessionRunMachine<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Start(..) => "start",
            State::Run(_) => "run",
            State::Authorize(..) => "authorize",
            State::Between => "between",
        };
        f.debug_struct("SessionRunMachine")
            .field("goal", &G::Machine::NAME)
            .field("generation", &self.generation)
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
