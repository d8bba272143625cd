//! [`IngestClient`]: a client for the ingest host.

use std::fmt;

use super::session::Session;
use super::{Account, ChannelPath, OpenSession, OpenWriter, SnowpipeAccount, SnowpipeIngest};
use crate::driver::{DrivenFlow, ListenerResult, Runtime, ignore_notices};
use crate::error::FlowError;
use crate::flow::{Goal, GoalFlow, MachineGoal, Notice};
use crate::operation::Operation;

/// A client for the ingest host: an account's client with a [`Session`]. Returned by [`Account::open_session`].
///
/// It requests the host and its token from the account, renews the token, and finds the host again when the pipe has
/// moved. A clone has the same session.
///
/// ```no_run
/// # use pipewright::driver::Runtime;
/// # use pipewright::snowpipe::Account;
/// # fn example(account: &Account<impl Runtime + Clone>) -> Result<(), pipewright::error::FlowError> {
/// use pipewright::snowpipe::account::TokenType;
/// use pipewright::snowpipe::rows::Batch;
/// use pipewright::snowpipe::{ChannelPath, OpenChannel, OpenSession};
///
/// let ingest = account.open_session(OpenSession::new(TokenType::KeypairJwt))?;
/// let channel = ingest.run(OpenChannel::new(ChannelPath::of_table("DB", "PUBLIC", "T", "c")))?;
/// let channel = ingest.run(channel.append(Batch::new("{\"ID\":1}\n", 1, "1", "1")))?;
/// let committed = ingest.run(channel.await_committed("1"))?;
/// println!("{:?} of the rows were rejected", committed.rejected);
/// # Ok(())
/// # }
/// ```
pub struct IngestClient<R> {
    account: Account<R>,
    session: Session,
}

impl<R: Runtime + Clone> Account<R> {
    /// Opens a session, and returns a client for its ingest host. Ignores its notices.
    ///
    /// # Errors
    /// The errors of [`OpenSession`].
    pub fn open_session(&self, goal: OpenSession) -> Result<IngestClient<R>, FlowError> {
        Ok(IngestClient::new(self.clone(), self.run(goal)?))
    }
}

impl<R> IngestClient<R> {
    /// Creates a client from an existing session and the client of its account.
    pub fn new(account: Account<R>, session: Session) -> Self {
        Self { account, session }
    }

    /// Returns the session.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Returns the account's client.
    pub fn account(&self) -> &Account<R> {
        &self.account
    }

    /// Returns the goal to write to a channel with this session: set its options, and [`start`](Self::start) it.
    pub fn open_writer(&self, path: ChannelPath) -> OpenWriter {
        OpenWriter::new(&self.session, path)
    }
}

impl<R: Runtime> IngestClient<R> {
    /// Calls one operation, with retries. Ignores its notices.
    ///
    /// # Errors
    /// The errors of [`SessionCall`](super::session::SessionCall).
    pub fn call<O: Operation<Service = SnowpipeIngest>>(&self, operation: O) -> Result<O::Output, FlowError> {
        self.call_with(operation, ignore_notices)
    }

    /// Calls one operation, with retries, and gives each notice to `on_notice`.
    ///
    /// # Errors
    /// The errors of [`SessionCall`](super::session::SessionCall), and [`FlowError::Stopped`] if `on_notice` returns an
    /// error.
    pub fn call_with<O: Operation<Service = SnowpipeIngest>, H: ListenerResult>(
        &self,
        operation: O,
        on_notice: impl FnMut(Notice) -> H,
    ) -> Result<O::Output, FlowError> {
        self.account.run_with(self.session.call(operation), on_notice)
    }

    /// Runs a flow to its result. Ignores its notices.
    ///
    /// # Errors
    /// The errors of [`SessionRun`](super::session::SessionRun).
    pub fn run<G>(&self, goal: G) -> Result<G::Output, FlowError>
    where
        G: MachineGoal<Service = SnowpipeIngest, Flow = GoalFlow<G>>,
    {
        self.run_with(goal, ignore_notices)
    }

    /// Runs a flow to its result, and gives each notice to `on_notice`.
    ///
    /// # Errors
    /// The errors of [`SessionRun`](super::session::SessionRun), and [`FlowError::Stopped`] if `on_notice` returns an
    /// error.
    pub fn run_with<G, H: ListenerResult>(
        &self,
        goal: G,
        on_notice: impl FnMut(Notice) -> H,
    ) -> Result<G::Output, FlowError>
    where
        G: MachineGoal<Service = SnowpipeIngest, Flow = GoalFlow<G>>,
    {
        self.account.run_with(self.session.run(goal), on_notice)
    }

    /// Starts an event flow that has this session, such as a writer. **Ignores its notices, including the states to
    /// save**: use [`start_with`](Self::start_with) to save them.
    ///
    /// ```no_run
    /// # use pipewright::driver::Runtime;
    /// # use pipewright::snowpipe::{ChannelPath, IngestClient};
    /// # fn example(ingest: &IngestClient<impl Runtime>) -> Result<(), Box<dyn std::error::Error>> {
    /// let path = ChannelPath::of_table("DB", "PUBLIC", "T", "loader-1");
    /// let mut writer = ingest.start(ingest.open_writer(path).token_prefix("orders-2026-11-29"));
    /// while let Some(event) = writer.next()? {
    ///     println!("{event}");
    /// #   writer.flow_mut().close()?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn start<G: Goal<Service = SnowpipeAccount>>(&self, goal: G) -> DrivenFlow<'_, G::Flow, R> {
        self.account.start(goal)
    }

    /// Starts an event flow that has this session, such as a writer, and gives each notice to `on_notice`.
    pub fn start_with<G: Goal<Service = SnowpipeAccount>, L: FnMut(Notice) -> H, H: ListenerResult>(
        &self,
        goal: G,
        on_notice: L,
    ) -> DrivenFlow<'_, G::Flow, R, L> {
        self.account.start_with(goal, on_notice)
    }
}

impl<R: Clone> Clone for IngestClient<R> {
    fn clone(&self) -> Self {
        Self { account: self.account.clone(), session: self.session.clone() }
    }
}

impl<R> fmt::Debug for IngestClient<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IngestClient").field("session", &self.session).finish_non_exhaustive()
    }
}
