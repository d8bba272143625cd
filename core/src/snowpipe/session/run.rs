//! [`SessionRun`]: a flow of the ingest host, with the session's token.
//!
//! ```text
//!  Entering ──pass──▶ Running ──the flow asks for a credential──▶ Asking ──pass for the same host──▶ Running
//!                        ├─▶ result                                 └─ for another ─▶ Running, whose request fails
//!                        └─▶ 410: the session forgets the host
//! ```

use std::fmt;
use std::time::Duration;

use http::{HeaderValue, StatusCode};

use super::token_wait::TokenWait;
use super::{Grant, Session};
use crate::error::{CredentialError, FlowError, Misuse};
use crate::flow::{
    Config, CredentialRequest, Flow, FlowContext, Goal, GoalFlow, MachineGoal, Reply, Runner, StateMachine, Step, ready,
};
use crate::seed::Seed;
use crate::snowpipe::{SnowpipeAccount, SnowpipeIngest};

/// A flow of the ingest host, such as [`OpenChannel`](crate::snowpipe::flow::OpenChannel), with the session's token. Made by
/// [`Session::run`], or for one operation by [`Session::call`]; run it on the handle of the account.
///
/// Asks for host and token when the session has none, and for another token when the service refuses it (401, 403), once for
/// each request. On 410 the session forgets the host, so that the next flow goes to another: a channel has to be opened again
/// there.
///
/// Ends as the flow does, and in the error of the [renewal](super::Renewal) when there is no token to begin with. When there is
/// none later, or the session has moved to another host by then, the request that asked for it ends in
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
    Entering(TokenWait, G),
    Running(Runner<G::Machine>),
    Asking(Runner<G::Machine>, CredentialRequest, TokenWait),
    /// While it changes.
    Between,
}

impl<G> SessionRun<G> {
    pub(super) fn new(session: Session, goal: G) -> Self {
        Self { session, goal, timeout: None }
    }

    /// Sets how long all of it may take, including the time to find the host and the token; without a limit by default. The goal's own `timeout`
    /// begins when there is a token.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = Some(time);
        self
    }
}

impl<G: MachineGoal<Service = SnowpipeIngest, Flow = GoalFlow<G>>> SessionRunMachine<G> {
    /// The session has a token, or there is none to be had: the request that asked for it fails then, and the flow says what
    /// that means.
    fn entered(
        &mut self,
        result: Result<Grant, FlowError>,
        cx: &mut FlowContext<SnowpipeAccount>,
        reply: &mut Option<Reply>,
    ) -> Result<(), FlowError> {
        match (std::mem::replace(&mut self.state, State::Between), result) {
            (State::Entering(_, goal), Ok(grant)) => {
                self.generation = grant.generation;
                self.granted = Some(grant.header);
                let flow = goal.start(&grant.config, cx.seed.split()).into_runner().with_deadline(cx.deadline());
                self.state = State::Running(flow);
            }
            (State::Asking(flow, request, _), Ok(grant)) => {
                let moved = || CredentialError::permanent("the session has moved to another host: begin anew there");
                let same = grant.generation == self.generation;
                *reply = Some(request.settle(same.then_some(grant.header).ok_or_else(moved)));
                self.state = State::Running(flow);
            }
            (State::Asking(flow, request, _), Err(error)) => {
                *reply = Some(request.settle(Err(CredentialError::permanent(error.to_string()))));
                self.state = State::Running(flow);
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

    fn step(&mut self, cx: &mut FlowContext<SnowpipeAccount>, reply: &mut Option<Reply>) -> Step<G::Output> {
        loop {
            let end = match &self.state {
                State::Asking(flow, ..) => flow.deadline(),
                _ => None,
            };
            match &mut self.state {
                State::Entering(entry, _) | State::Asking(_, _, entry) => {
                    let result = ready!(cx.until(end, |cx| entry.step(cx, reply)));
                    if let Err(error) = self.entered(result, cx, reply) {
                        return Step::Done(Err(error));
                    }
                }
                State::Running(flow) => match flow.poll(cx.now(), reply.take()) {
                    Step::Authorize(request) => {
                        if let Some(header) = self.granted.take() {
                            *reply = Some(request.settle(Ok(header)));
                            continue;
                        }
                        if let Some(rejected) = request.rejected() {
                            self.session.reject(rejected, cx.now());
                        }
                        if let State::Running(flow) = std::mem::replace(&mut self.state, State::Between) {
                            self.state = State::Asking(flow, request, TokenWait::new(&self.session));
                        }
                    }
                    Step::Done(result) => {
                        if result.as_ref().err().is_some_and(has_moved) {
                            self.session.moved(self.generation);
                        }
                        return Step::Done(result);
                    }
                    step => return step,
                },
                State::Between => return Step::Done(Err(FlowError::Misuse(Misuse::PolledAfterDone))),
            }
        }
    }
}

/// Whether the service says that what was asked for is elsewhere now.
fn has_moved(error: &FlowError) -> bool {
    error.service().is_some_and(|error| error.status() == StatusCode::GONE)
}

impl<G: MachineGoal<Service = SnowpipeIngest, Flow = GoalFlow<G>>> Goal for SessionRun<G> {
    type Service = SnowpipeAccount;
    type Output = G::Output;
    type Flow = GoalFlow<Self>;

    fn start(self, config: &Config<SnowpipeAccount>, seed: Seed) -> Self::Flow {
        let Self { session, goal, timeout } = self;
        let state = State::Entering(TokenWait::new(&session), goal);
        GoalFlow::new(SessionRunMachine { session, generation: 0, granted: None, state }, config, seed, timeout)
    }
}

impl<G: MachineGoal<Service = SnowpipeIngest, Flow = GoalFlow<G>>> MachineGoal for SessionRun<G> {
    type Machine = SessionRunMachine<G>;
}

impl<G: MachineGoal> fmt::Debug for SessionRunMachine<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Entering(..) => "entering",
            State::Running(_) => "running",
            State::Asking(..) => "asking",
            State::Between => "between",
        };
        f.debug_struct("SessionRunMachine")
            .field("goal", &G::Machine::NAME)
            .field("generation", &self.generation)
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
