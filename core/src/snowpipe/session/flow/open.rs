//! The goal [`OpenSession`].

use std::fmt;

use http::HeaderMap;

use super::token_wait::TokenWait;
use crate::flow::{Config, FlowContext, Goal, GoalFlow, MachineGoal, StateMachine, Transition, done};
use crate::seed::Seed;
use crate::snowpipe::SnowpipeAccount;
use crate::snowpipe::account::TokenType;
use crate::snowpipe::session::Session;

/// Requests the ingest host and a token for it.
///
/// Run it on the account's client. The client's credentials must be of the kind that the [`TokenType`] says: a key-pair
/// token, an OAuth access token or a programmatic access token.
///
/// # Errors
/// [`FlowError::Service`](crate::error::FlowError::Service) if the account rejects the credential:
///
/// * 401 `390144` if a name, the key or the clock of a key-pair token is wrong;
/// * 400 `invalid_grant` if the credential is wrong for this account.
///
/// ```
/// use pipewright::snowpipe::OpenSession;
/// use pipewright::snowpipe::account::TokenType;
/// let goal = OpenSession::new(TokenType::ProgrammaticAccessToken).role("LOADER");
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct OpenSession {
    pub(super) token_type: TokenType,
    pub(super) role: Option<String>,
    pub(super) ingest_headers: HeaderMap,
    pub(super) plaintext_loopback: bool,
}

impl OpenSession {
    /// Creates the goal for the kind of the account's credential.
    pub fn new(token_type: TokenType) -> Self {
        Self { token_type, role: None, ingest_headers: HeaderMap::new(), plaintext_loopback: false }
    }

    /// Sets the role to use; the user's default role by default. A key-pair token contains its role.
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.role = Some(role.into());
        self
    }

    /// Sets headers for every request to the ingest host, such as a `User-Agent`. The headers of the account's
    /// configuration are sent only to the account's host.
    pub fn ingest_headers(mut self, headers: HeaderMap) -> Self {
        self.ingest_headers = headers;
        self
    }

    /// Uses plain `http` if the ingest host is this machine, for tests with simulators. Requests to any other host
    /// always use `https`. Without this setting, a session with a plain `http` account on this machine ends with an
    /// error that names this method.
    pub fn allow_plaintext_loopback(mut self) -> Self {
        self.plaintext_loopback = true;
        self
    }

    /// Returns a session without a token. The first flow that uses it requests host and token from `account`.
    pub fn connect_lazy(self, account: &Config<SnowpipeAccount>) -> Session {
        Session::new(account, self)
    }
}

/// The transitions of [`OpenSession`].
pub struct OpenSessionMachine {
    session: Session,
    wait: TokenWait,
}

impl StateMachine for OpenSessionMachine {
    type Service = SnowpipeAccount;
    type Output = Session;
    const NAME: &'static str = "OpenSession";

    fn transition(&mut self, cx: &mut FlowContext<SnowpipeAccount>) -> Transition<Session> {
        let grant = self.wait.poll(cx)?;
        done(grant.map(|_| self.session.clone()))
    }
}

impl fmt::Debug for OpenSessionMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenSessionMachine").field("session", &self.session).finish_non_exhaustive()
    }
}

impl Goal for OpenSession {
    type Service = SnowpipeAccount;
    type Output = Session;
    type Flow = GoalFlow<Self>;

    fn start(self, config: &Config<SnowpipeAccount>, seed: Seed) -> Self::Flow {
        let session = self.connect_lazy(config);
        let wait = TokenWait::new(&session);
        GoalFlow::new(OpenSessionMachine { session, wait }, config, seed, None)
    }
}

impl MachineGoal for OpenSession {
    type Machine = OpenSessionMachine;
}
