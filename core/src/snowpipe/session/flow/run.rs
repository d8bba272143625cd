//! [`SessionRun`]: a flow of the ingest host, with the session's token.
//!
//! ```text
//!  Start ──token──▶ Run ──the flow requests a credential──▶ Authorize ──token for the same host──▶ Run
//!                    ├─▶ result                                └─ for another host, or no token ─▶ Run, whose request fails
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

/// A flow of the ingest host, such as [`OpenChannel`](crate::snowpipe::OpenChannel), with the session's token. Created
/// by [`Session::run`], or for one operation by [`Session::call`]. Run it on the account's client.
///
/// If the session has no host or token, the flow requests them first. If the service rejects the token (401, 403), the
/// flow renews it, once for each request. On 410, the session drops the host, and the next flow requests another host:
/// open all channels again there.
///
/// # Errors
/// * The errors of the goal itself.
/// * The error of the [renewal](super::Renewal) if the session has no token at the start.
/// * [`FlowError::Credential`] if a renewal fails later, or if the session has moved to another host in the meantime.
///   If an attempt may have been carried out, this is the cause of an [`FlowError::Ambiguous`].
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
    /// The number of the host that the flow is for.
    generation: u64,
    /// The token that the flow began with, until it requests a token.
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

    /// Sets how long the flow may take, including the requests for host and token; without a limit by default. The
    /// goal's own `timeout` begins when the session has a token.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = Some(time);
        self
    }
}

impl<G: MachineGoal<Service = SnowpipeIngest, Flow = GoalFlow<G>>> SessionRunMachine<G> {
    /// Uses the session's token to start the flow, or for the request that waits for it. Without a token the request
    /// fails, and the flow decides how to continue.
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

/// Returns whether the service says that the pipe is at another host now.
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
