//! How things really are.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

/// Database, schema and pipe as Snowflake folds identifiers.
pub(super) type PipeKey = [String; 3];
/// The same and the channel, whose name is taken as it is.
pub(super) type ChannelKey = (PipeKey, String);

/// The channel of every pipe that takes rows without tokens.
pub(super) const ELASTIC: &str = "ELASTIC";

/// Whether a name is reserved for [`ELASTIC`], which it is in any case.
pub(super) fn is_elastic(channel: &str) -> bool {
    channel.eq_ignore_ascii_case(ELASTIC)
}

/// Where a channel is.
///
/// Database, schema and pipe are identifiers: without quotes their case does not matter. The name of a channel is
/// taken as it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChannelPath {
    /// The database.
    pub database: String,
    /// The schema.
    pub schema: String,
    /// The pipe, such as `ORDERS-STREAMING`, the default one of the table `ORDERS`.
    pub pipe: String,
    /// The channel; `ELASTIC` is where rows without one go.
    pub channel: String,
}

impl ChannelPath {
    /// A path of four names.
    pub fn new(
        database: impl Into<String>,
        schema: impl Into<String>,
        pipe: impl Into<String>,
        channel: impl Into<String>,
    ) -> Self {
        Self { database: database.into(), schema: schema.into(), pipe: pipe.into(), channel: channel.into() }
    }

    pub(super) fn pipe_key(&self) -> PipeKey {
        [folded(&self.database), folded(&self.schema), folded(&self.pipe)]
    }

    pub(super) fn key(&self) -> ChannelKey {
        (self.pipe_key(), self.channel.clone())
    }
}

/// As in `DB.SCHEMA.PIPE.channel`.
impl fmt::Display for ChannelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.{}", self.database, self.schema, self.pipe, self.channel)
    }
}

/// An identifier as the service folds it.
fn folded(name: &str) -> String {
    match name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => quoted.to_owned(),
        None => name.to_uppercase(),
    }
}

/// A channel as it really is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelView {
    /// Where it is, as the last open has spelled it.
    pub path: ChannelPath,
    /// Whether it is there; dropped and expired channels are remembered for their rows.
    pub exists: bool,
    /// How often it was opened.
    pub client_sequencer: u64,
    /// Appends since.
    pub row_sequencer: u64,
    /// What its status is.
    pub status_code: String,
    /// The offset token of what was committed last.
    pub committed: Option<String>,
    /// The rows that were committed, in that order, those of its earlier lives too.
    pub rows: Vec<Bytes>,
    /// The rows that were errors when they were to be committed, in that order.
    pub rejected: Vec<Bytes>,
    /// How many rows wait to be committed.
    pub buffered: usize,
    /// How many rows were taken and discarded.
    pub discarded: usize,
}

/// A request as it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestView {
    /// When it came, since the UNIX epoch.
    pub at: Duration,
    /// Its method.
    pub method: String,
    /// Its path, as it was sent.
    pub path: String,
    /// Its query, decoded.
    pub query: Vec<(String, String)>,
    /// The channel it was for, if it came that far.
    pub channel: Option<ChannelPath>,
    /// What it was answered.
    pub status: u16,
    /// What it did.
    pub effect: Effect,
    /// The rows of an append.
    pub rows: usize,
}

impl RequestView {
    /// A parameter of its query.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// What a request did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: it was rejected, or only reads.
    #[default]
    Nothing,
    /// What it was meant to.
    Applied,
    /// Nothing again: its continuation token had been used, and it was answered as if it had not.
    Replayed,
    /// Its rows were taken and discarded, by a pipe or a channel that no longer exists.
    Discarded,
}
