//! [`WriterMetrics`].

/// The counters of a writer since its start, for metrics. Each counter only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriterMetrics {
    /// Batches that were sent, including those that were sent again after the channel was reopened.
    pub batches_sent: u64,
    /// Bytes of these batches, as they were sent.
    pub bytes_sent: u64,
    /// Batches of this writer that are committed.
    pub batches_committed: u64,
    /// Rows of these batches, including rejected rows.
    pub rows_committed: u64,
    /// Rows that the service has rejected, according to the channel's error count.
    pub rows_rejected: u64,
    /// Requests to the ingest host that were sent again.
    pub retries: u64,
    /// How many times the channel was reopened.
    pub reopenings: u64,
    /// How many of the reopenings followed a takeover: the service said that another client had opened the channel.
    pub takeovers: u64,
}
