//! [`ChannelPath`].

use std::fmt;

use crate::schema::json_structs;
use crate::snowpipe::RequestId;
use crate::snowpipe::channels::{BulkGetChannelStatus, DropChannelOperation, OpenChannelOperation};

json_structs! {
    /// The full name of a channel.
    ///
    /// Database, schema and pipe are SQL identifiers: put an identifier in double quotes if its case matters. The name
    /// of a channel is used as it is. Give each writer its own channel: put the partition or the node into the name.
    ///
    /// ```
    /// use pipewright::snowpipe::ChannelPath;
    /// let path = ChannelPath::new("DB", "PUBLIC", "ORDERS-STREAMING", "partition-3");
    /// assert_eq!(path.to_string(), "DB.PUBLIC.ORDERS-STREAMING.partition-3");
    /// ```
    #[derive(Eq, PartialOrd, Ord, Hash)]
    pub struct ChannelPath {
        pub database: String,
        pub schema: String,
        /// `<TABLE>-STREAMING` is the default pipe of a table.
        pub pipe: String,
        pub channel: String,
    }
}

impl ChannelPath {
    /// Creates a path from its four names.
    pub fn new(
        database: impl Into<String>,
        schema: impl Into<String>,
        pipe: impl Into<String>,
        channel: impl Into<String>,
    ) -> Self {
        Self { database: database.into(), schema: schema.into(), pipe: pipe.into(), channel: channel.into() }
    }

    /// Creates the path of a channel of a table's default pipe. The service creates this pipe with its first channel.
    /// The pipe uses the keys of rows as the names of columns.
    ///
    /// ```
    /// use pipewright::snowpipe::ChannelPath;
    /// assert_eq!(ChannelPath::of_table("DB", "PUBLIC", "ORDERS", "c").pipe, "ORDERS-STREAMING");
    /// assert_eq!(ChannelPath::of_table("DB", "PUBLIC", "\"orders\"", "c").pipe, "\"orders-STREAMING\"");
    /// ```
    pub fn of_table(
        database: impl Into<String>,
        schema: impl Into<String>,
        table: &str,
        channel: impl Into<String>,
    ) -> Self {
        let pipe = match table.strip_suffix('"').filter(|name| name.starts_with('"')) {
            Some(quoted) => format!("{quoted}-STREAMING\""),
            None => format!("{table}-STREAMING"),
        };
        Self::new(database, schema, pipe, channel)
    }

    /// Returns whether this channel is of the same pipe as another channel.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        self.database == other.database && self.schema == other.schema && self.pipe == other.pipe
    }

    /// Returns the first possible channel of the same pipe, in the order of names.
    pub(super) fn first_beside(&self) -> Self {
        Self { channel: String::new(), ..self.clone() }
    }

    pub(super) fn open(&self, id: RequestId, fail_on_uncommitted_rows: bool) -> OpenChannelOperation {
        let Self { database, schema, pipe, channel } = self;
        OpenChannelOperation::new(database, schema, pipe, channel, id, fail_on_uncommitted_rows)
    }

    pub(super) fn drop(&self, id: RequestId) -> DropChannelOperation {
        let Self { database, schema, pipe, channel } = self;
        DropChannelOperation::new(database, schema, pipe, channel, id)
    }

    /// Creates the request for the status of several channels of this channel's pipe.
    pub(super) fn status(&self, id: RequestId, channels: Vec<String>) -> BulkGetChannelStatus {
        let Self { database, schema, pipe, .. } = self;
        BulkGetChannelStatus::new(database, schema, pipe, id, channels)
    }
}

/// Shows the path as in `DB.PUBLIC.ORDERS-STREAMING.partition-3`.
impl fmt::Display for ChannelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.{}", self.database, self.schema, self.pipe, self.channel)
    }
}
