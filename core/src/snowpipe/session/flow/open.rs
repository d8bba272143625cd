//! The goal [`OpenSession`].

use std::fmt;

use http::HeaderMap;

use super::token_wait::TokenWait;
use crate::flow::{Config, FlowContext, Goal, GoalFlow, MachineGoal, StateMachine, Transition, done};
use crate::seed::Seed;
use crate::snowpipe::SnowpipeAccount;
use crate::snowpipe::account::TokenType;
use crate::snowpipe::session::Session;

/// Finds the ingest host and gets a token for it.
///
/// Run it on the handle of the account, whose credentials are asked: for a key-pair token, an OAuth access token or a
/// programmatic access token, as the [`TokenType`] says.
///
/// Ends in [`FlowError::Service`](crate::error::FlowError::Service) if the account rejects the credential: 401 `390144`
/// if names, key or clock of a key-pair token are wrong, 400 `invalid_grant` if it is wrong for this account.
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
    /// With the kind of the account's credential.
    pub fn new(token_type: TokenType) -> Self {
        Self { token_type, role: None, ingest_headers: HeaderMap::new(), plaintext_loopback: false }
    }

    /// The role to work with; the user's default role without it. A key-pair token names its role itself.
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.role = Some(role.into());
        self
    }

    /// Headers for every request to the ingest host, such as a `User-Agent` of one's own. Those of the account's config
    /// go to the account's host only.
    pub fn ingest_headers(mut self, headers: HeaderMap) -> Self {
        self.ingest_headers = headers;
        self
    }

    /// An ingest host that is this machine is spoken to over plain `http`: for simulators. Any other is not, in any
    /// case. Without it, a session with an account that is plain `http` on this machine ends with an error that names
    /// this method.
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
