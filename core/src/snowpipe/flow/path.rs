//! [`ChannelPath`].

use std::fmt;

use crate::schema::json_structs;
use crate::snowpipe::RequestId;
use crate::snowpipe::channels::{BulkGetChannelStatus, DropChannelOperation, OpenChannelOperation};

json_structs! {
    /// Where a channel is: its full name.
    ///
    /// Database, schema and pipe are identifiers; one whose case matters stands in double quotes. The name of a channel
    /// is taken as it is. One channel has one writer: put what tells the writers apart into the name, such as the
    /// partition, or the node.
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
        /// The pipe; `<TABLE>-STREAMING` is the default pipe of a table.
        pub pipe: String,
        pub channel: String,
    }
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

    /// A channel of a table's default pipe, which the service makes with the first channel. It takes the keys of rows
    /// for the names of columns.
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

    /// Whether it is of the same pipe as another channel.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        self.database == other.database && self.schema == other.schema && self.pipe == other.pipe
    }

    /// The channel with the first name there can be, of the same pipe.
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

    /// Of several channels of this channel's pipe.
    pub(super) fn status(&self, id: RequestId, channels: Vec<String>) -> BulkGetChannelStatus {
        let Self { database, schema, pipe, .. } = self;
        BulkGetChannelStatus::new(database, schema, pipe, id, channels)
    }
}

/// As in `DB.PUBLIC.ORDERS-STREAMING.partition-3`.
impl fmt::Display for ChannelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.{}", self.database, self.schema, self.pipe, self.channel)
    }
}
