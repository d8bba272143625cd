//! [`SessionCall`]: one operation of the ingest host, with the session's token.
//!
//! ```text
//!  Entering ──pass──▶ Calling ──the call asks for a credential──▶ Asking ──pass for the same host──▶ Calling
//!     ▲                  │                                           │
//!     │                  ├─▶ result                                  ├─ for another, nothing sent yet ─▶ Calling, anew
//!     │                  └─▶ 410: the session forgets the host       └─ for another, and something sent ─▶ failed
//!     └─ only when the session has no host yet
//! ```

use std::fmt;

use super::entry::Entry;
use super::{Pass, Session};
use crate::error::{Ambiguity, CredentialError, FlowError};
use crate::flow::{Call, Common, Config, CredentialRequest, Flow, Goal, Machine, Reply, Running, Step, ok};
use crate::operation::{Effect, Operation};
use crate::seed::Seed;
use crate::snowpipe::{SnowpipeAccount, SnowpipeIngest};

/// One operation of the ingest host, with the session's token. Run it on the handle of the account.
///
/// Asks for host and token when the session has none, and for another token when the service refuses it (401, 403), once.
/// On 410 the session forgets the host, so that the next call goes to another.
///
/// Ends as the operation's own call does; in the error of the [renewal](super::Renewal) when there is no token to be had; and in
/// [`FlowError::Credential`] when the session has moved to another host between two attempts.
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct SessionCall<O> {
    session: Session,
    operation: O,
}

/// The transitions of [`SessionCall`].
#[doc(hidden)]
pub struct SessionCallMachine<O: Operation> {
    session: Session,
    /// Of the host that the call is for.
    generation: u64,
    /// Whether an attempt was handed out.
    sent: bool,
    state: State<O>,
}

enum State<O: Operation> {
    Entering(Entry, O),
    Calling(Call<O>),
    Asking(Call<O>, CredentialRequest, Entry),
    /// While it changes.
    Between,
}

impl<O> SessionCall<O> {
    pub(super) fn new(session: Session, operation: O) -> Self {
        Self { session, operation }
    }
}

impl<O: Operation<Service = SnowpipeIngest>> SessionCallMachine<O> {
    pub(crate) fn new(session: &Session, operation: O) -> Self {
        let state = State::Entering(Entry::new(session), operation);
        Self { session: session.clone(), generation: 0, sent: false, state }
    }

    fn call(&mut self, operation: O, pass: &Pass, cx: &mut Common<SnowpipeAccount>) {
        self.generation = pass.generation;
        let call = Call::new(operation, &pass.config, cx.seed.split()).with_deadline(cx.deadline());
        self.state = State::Calling(call);
    }

    /// There is a token for a call that asked for one.
    fn answer(&mut self, pass: Pass, cx: &mut Common<SnowpipeAccount>, reply: &mut Option<Reply>) {
        self.state = match std::mem::replace(&mut self.state, State::Between) {
            State::Entering(_, operation) => return self.call(operation, &pass, cx),
            State::Asking(call, ..) if pass.generation != self.generation && !self.sent => {
                return self.call(call.into_operation(), &pass, cx);
            }
            State::Asking(call, request, _) => {
                let moved = || CredentialError::permanent("the session has moved to another host: begin anew there");
                let same = pass.generation == self.generation;
                *reply = Some(request.settle(same.then_some(pass.header).ok_or_else(moved)));
                State::Calling(call)
            }
            state => state,
        };
    }

    /// No token, while an attempt may have been carried out.
    fn without_token(&self, error: FlowError) -> FlowError {
        match &self.state {
            State::Asking(call, ..) if call.has_unanswered() && call.operation().effect() != Effect::Safe => {
                let cause = Box::new(error);
                FlowError::Ambiguous(Ambiguity { operation: O::INFO.name, cause, unanswered: true, found: None })
            }
            _ => error,
        }
    }
}

impl<O: Operation<Service = SnowpipeIngest>> Machine for SessionCallMachine<O> {
    type Service = SnowpipeAccount;
    type Output = O::Output;
    const NAME: &'static str = "SessionCall";

    fn step(&mut self, cx: &mut Common<SnowpipeAccount>, reply: &mut Option<Reply>) -> Step<O::Output> {
        loop {
            match &mut self.state {
                State::Entering(entry, _) | State::Asking(_, _, entry) => match ok!(entry.step(cx, reply)) {
                    Ok(pass) => self.answer(pass, cx, reply),
                    Err(error) => return Step::Done(Err(self.without_token(error))),
                },
                State::Calling(call) => match call.poll(cx.now(), reply.take()) {
                    Step::Authorize(request) => {
                        if let Some(rejected) = request.rejected() {
                            self.session.reject(rejected, cx.now());
                        }
                        if let State::Calling(call) = std::mem::replace(&mut self.state, State::Between) {
                            self.state = State::Asking(call, request, Entry::new(&self.session));
                        }
                    }
                    Step::Done(result) => {
                        if result.as_ref().err().is_some_and(has_moved) {
                            self.session.moved(self.generation);
                        }
                        return Step::Done(result);
                    }
                    step => {
                        self.sent |= matches!(step, Step::Send(_));
                        return step;
                    }
                },
                State::Between => return Step::Done(Err(FlowError::Misuse(crate::error::Misuse::PolledAfterDone))),
            }
        }
    }
}

/// Whether the service says that what was asked for is elsewhere now.
pub(super) fn has_moved(error: &FlowError) -> bool {
    error.service().is_some_and(|error| error.status() == http::StatusCode::GONE)
}

impl<O: Operation<Service = SnowpipeIngest>> Goal for SessionCall<O> {
    type Service = SnowpipeAccount;
    type Output = O::Output;
    type Flow = Running<SessionCallMachine<O>>;

    fn start(self, config: &Config<SnowpipeAccount>, seed: Seed) -> Self::Flow {
        Running::new(SessionCallMachine::new(&self.session, self.operation), config, seed, None)
    }
}

impl<O: Operation> fmt::Debug for SessionCallMachine<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Entering(..) => "entering",
            State::Calling(_) => "calling",
            State::Asking(..) => "asking",
            State::Between => "between",
        };
        f.debug_struct("SessionCallMachine")
            .field("operation", &O::INFO.name)
            .field("generation", &self.generation)
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
