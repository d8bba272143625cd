//! [`Load`]: loads all rows of a source into a channel, exactly once, in one call.

mod loader;
mod source;
mod summary;

pub use self::source::{Ndjson, NextRow, OffsetError, RowSource, Rows};
pub use self::summary::{LoadError, LoadFailure, LoadSummary};

use self::loader::Loader;
use super::flow::{OpenWriter, Writer, WriterEvent};
use super::ingest::IngestClient;
use crate::driver::{ListenerResult, Runtime, ignore_notices};
use crate::flow::Notice;

/// A goal for [`IngestClient::load`]: an [`OpenWriter`], a policy for rejected rows and a policy for unconfirmed rows.
/// Create it from an [`OpenWriter`].
///
/// ```no_run
/// # use pipewright::driver::Runtime;
/// # use pipewright::snowpipe::IngestClient;
/// # fn example(ingest: &IngestClient<impl Runtime>) -> Result<(), Box<dyn std::error::Error>> {
/// use pipewright::snowpipe::{ChannelPath, Load, Ndjson, OnRejected};
///
/// let path = ChannelPath::of_table("DB", "PUBLIC", "ORDERS", "loader-1");
/// let writer = ingest.open_writer(path).token_prefix("orders-2026-11-30");
/// let rows = Ndjson::new(std::fs::File::open("orders-2026-11-30.ndjson")?);
/// let summary = ingest.load(Load::from(writer).on_rejected(OnRejected::Skip), rows)?;
/// println!("{summary}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct Load {
    writer: OpenWriter,
    on_rejected: OnRejected,
    on_unconfirmed: OnUnconfirmed,
}

/// The policy of a [`Load`] for rejected rows. A row is rejected by the service, or by the writer if it is not a JSON
/// object that fits into an append.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnRejected {
    /// Stops reading, waits until the rows that were read before are committed, and fails. The service reports rejected
    /// rows seconds later, so rows that were sent in the meantime are committed, too. A load that is started again
    /// continues after the committed rows: it does not report the rejection again.
    #[default]
    Fail,
    /// Continues without the row. The summary counts these rows and has the last reasons. With
    /// [`load_with`](IngestClient::load_with), the listener gets a notice of each row that the writer leaves out.
    Skip,
}

/// The policy of a [`Load`] whose writer ends with unconfirmed rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnUnconfirmed {
    /// Fails. The rows are in [`LoadError::unsettled`]. To continue after the committed rows, start the load again.
    #[default]
    Fail,
    /// Starts another writer, reads which rows are committed, and sends the other rows again. It does so only if the
    /// previous writer has ended with the error of a request or of a credential, and has committed something. So the
    /// load fails with a [`ChannelLost`](super::ChannelLost), if commits stall, or if the goal's timeout expires. The
    /// timeout counts for all writers together.
    Resend,
}

impl From<OpenWriter> for Load {
    fn from(writer: OpenWriter) -> Self {
        Self { writer, on_rejected: OnRejected::default(), on_unconfirmed: OnUnconfirmed::default() }
    }
}

impl Load {
    /// Sets what to do when a row is rejected; [`OnRejected::Fail`] by default.
    pub fn on_rejected(mut self, policy: OnRejected) -> Self {
        self.on_rejected = policy;
        self
    }

    /// Sets what to do when the writer ends with unconfirmed rows; [`OnUnconfirmed::Fail`] by default.
    pub fn on_unconfirmed(mut self, policy: OnUnconfirmed) -> Self {
        self.on_unconfirmed = policy;
        self
    }
}

impl<R: Runtime> IngestClient<R> {
    /// Loads all rows of a source into a channel, exactly once, and waits until they are committed. Ignores notices.
    ///
    /// The source is [`Rows`] for an iterator, [`Ndjson`] for a reader, or your own [`RowSource`]. Each row has an
    /// offset token. If the channel has a committed token, the load skips the rows up to it. If a load fails, start it
    /// again with the same rows. **Equal tokens must mean equal rows**: give the goal a
    /// [prefix](OpenWriter::token_prefix) that names the load.
    ///
    /// The load reads a row, passes it to the writer, and sends the batches that are due. While the source blocks, the
    /// load sends nothing. While the writer is [full](OpenWriter::max_bytes), it reads no row.
    ///
    /// ```
    /// use pipewright::Secret;
    /// use pipewright::driver::Canned;
    /// use pipewright::snowpipe::account::TokenType;
    /// use pipewright::snowpipe::{Account, ChannelPath, OpenSession, Rows};
    /// use serde_json::json;
    ///
    /// let runtime = Canned::new([
    ///     ("GET /v2/streaming/hostname", 200, "acct.ingest.snowflakecomputing.com"),
    ///     ("POST /oauth/token", 200, "a-token"),
    ///     // An earlier load has committed the first row.
    ///     ("PUT /v2/streaming/databases/DB/schemas/PUBLIC/pipes/T-STREAMING/channels/c", 200,
    ///         r#"{"next_continuation_token":"1_0","channel_status":{"channel_status_code":"SUCCESS",
    ///             "last_committed_offset_token":"orders|1"}}"#),
    ///     ("POST /v2/streaming/data/databases/DB/schemas/PUBLIC/pipes/T-STREAMING/channels/c/rows", 200,
    ///         r#"{"next_continuation_token":"1_1"}"#),
    ///     ("POST /v2/streaming/databases/DB/schemas/PUBLIC/pipes/T-STREAMING:bulk-channel-status", 200,
    ///         r#"{"channel_statuses":{"c":{"channel_status_code":"SUCCESS","last_committed_offset_token":"orders|3"}}}"#),
    /// ]);
    /// let account = Account::new("https://acct.snowflakecomputing.com".parse()?, &runtime);
    /// let account = account.with_credentials(Secret::new("my-access-token"));
    /// let ingest = account.open_session(OpenSession::new(TokenType::ProgrammaticAccessToken))?;
    ///
    /// let path = ChannelPath::of_table("DB", "PUBLIC", "T", "c");
    /// let orders = [json!({ "ID": 1 }), json!({ "ID": 2 }), json!({ "ID": 3 })];
    /// let summary = ingest.load(ingest.open_writer(path).token_prefix("orders"), Rows::new(orders))?;
    /// assert_eq!((summary.rows_skipped, summary.rows_committed), (1, 2));
    /// assert_eq!(summary.committed.as_deref(), Some("3"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`LoadFailure`] lists the reasons. If the source, a row or the service is the reason, the rows before the
    /// failure are committed first. The error has the summary, and all rows that are not known to be committed: see
    /// [`LoadError::unsettled`]. If the writer ends before it takes the last row that was read, the error has its
    /// [number](LoadError::not_taken).
    pub fn load(&self, goal: impl Into<Load>, rows: impl RowSource) -> Result<LoadSummary, Box<LoadError>> {
        self.load_with(goal, rows, ignore_notices, |_, _| ())
    }

    /// Loads all rows of a source as [`load`](Self::load) does. Passes each notice to `on_notice`, and each event
    /// with the writer to `on_event`, for example to save states and to show progress.
    ///
    /// # Errors
    /// As [`load`](Self::load), and [`LoadFailure::Stopped`] if `on_notice` returns an error.
    pub fn load_with<H: ListenerResult>(
        &self,
        goal: impl Into<Load>,
        rows: impl RowSource,
        on_notice: impl FnMut(Notice) -> H,
        on_event: impl FnMut(&WriterEvent, &Writer),
    ) -> Result<LoadSummary, Box<LoadError>> {
        Loader::new(self.account(), goal.into(), on_notice, on_event).run(rows)
    }
}
