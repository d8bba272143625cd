//! Statistics of a pipeline process and of its connectors.

use std::collections::BTreeMap;

use super::value::tagged;
use super::{FelderaApi, Json};
use crate::schema::{json_structs, operations, string_enums};

operations! { FelderaApi;
    /// Returns the statistics of a pipeline process and of its connectors. `inputs` also has each endpoint of HTTP
    /// ingress that was used.
    ///
    /// Rejected: 503 if the pipeline is not deployed; 410 `Terminating`, or 500, if the circuit has died.
    /// [Reference](https://docs.feldera.com/api/get-pipeline-stats).
    Safe GET "/v0/pipelines/{pipeline_name}/stats" GetStats "get_pipeline_stats" -> ControllerStatus {
        path { pipeline_name: String }
        query? {
            /// Whether to return the most recent errors of each connector, which can hold values of the records that
            /// caused them. In Feldera's description since 0.375; older servers know it, too.
            include_connector_errors: bool,
        }
    }

    /// Returns the statistics of a connector of a table. Rejected with 404 `UnknownInputEndpoint`.
    ///
    /// [Reference](https://docs.feldera.com/api/get-input-status).
    Safe GET "/v0/pipelines/{pipeline_name}/tables/{table_name}/connectors/{connector_name}/stats"
    GetInputStatus "get_pipeline_input_connector_status" -> InputStatus {
        path { pipeline_name: String, table_name: String, connector_name: String }
    }

    /// Returns the statistics of a connector of a view. Rejected with 404 `UnknownOutputEndpoint`.
    ///
    /// [Reference](https://docs.feldera.com/api/get-output-status).
    Safe GET "/v0/pipelines/{pipeline_name}/views/{view_name}/connectors/{connector_name}/stats"
    GetOutputStatus "get_pipeline_output_connector_status" -> OutputStatus {
        path { pipeline_name: String, view_name: String, connector_name: String }
    }

    /// Returns records, memory and storage of the last minute, with a sample each second. Since 0.129.
    ///
    /// [Reference](https://docs.feldera.com/api/get-time-series-stats).
    Safe GET "/v0/pipelines/{pipeline_name}/time_series" GetTimeSeries "get_pipeline_time_series" -> TimeSeries {
        path { pipeline_name: String }
    }
}

string_enums! {
    /// The state of a circuit.
    pub enum PipelineState {
        /// Its connectors do not read.
        Paused = "Paused",
        Running = "Running",
        /// The circuit has ended.
        Terminated = "Terminated",
    }

    /// The state of the circuit's transaction. [`GlobalMetrics::open_transaction`] tells whether a transaction is open.
    pub enum TransactionStatus {
        /// No transaction is open, or an open transaction has received no data yet.
        NoTransaction = "NoTransaction",
        /// A transaction is open.
        TransactionInProgress = "TransactionInProgress",
        /// A transaction is being committed.
        CommitInProgress = "CommitInProgress",
    }

    /// The progress of one participant of a transaction.
    pub enum TransactionPhase {
        /// The participant has opened the transaction.
        Started = "Started",
        Committed = "Committed",
    }

    /// How close the process is to its memory limit.
    pub enum MemoryPressure {
        Low = "low",
        Moderate = "moderate",
        High = "high",
        Critical = "critical",
    }

    /// The phase of a backfill of changed views during which the other views are processed.
    pub enum BootstrapPhase {
        /// No such backfill is running.
        Inactive = "Inactive",
        /// The changed views are being backfilled.
        ConcurrentBootstrapping = "ConcurrentBootstrapping",
        /// The last part of the backfill.
        Synchronizing = "Synchronizing",
    }

    /// The state of checkpoints in a process.
    pub enum CheckpointActivityStatus {
        /// No checkpoint is requested.
        Idle = "idle",
        /// A checkpoint is requested, and waits.
        Delayed = "delayed",
        /// A checkpoint is being made.
        InProgress = "in_progress",
    }

    /// The health of a connector.
    pub enum ConnectorHealthStatus {
        Healthy = "Healthy",
        Unhealthy = "Unhealthy",
    }
}

tagged! {
    /// The reason why a checkpoint has to wait.
    pub enum TemporarySuspendError {
        /// The input after the last checkpoint is being replayed.
        Replaying = "Replaying",
        /// Changed views are being backfilled.
        Bootstrapping = "Bootstrapping",
        /// A transaction is open.
        TransactionInProgress = "TransactionInProgress",
        /// The hosts of the pipeline are coordinating.
        Coordination = "Coordination";
        /// The connector of this name has to reach a position from which it can resume.
        InputEndpointBarrier(String) = "InputEndpointBarrier",
    }

    /// The reason why a pipeline cannot make checkpoints.
    pub enum PermanentSuspendError {
        /// The pipeline has no storage.
        StorageRequired = "StorageRequired",
        /// The server is the open-source edition.
        EnterpriseFeature = "EnterpriseFeature";
        /// The connector of this name cannot resume after a restart.
        UnsupportedInputEndpoint(String) = "UnsupportedInputEndpoint",
        /// The connector of this name failed, and cannot reach a position from which it can resume. Since 0.375.
        FailedInputEndpointBarrier(String) = "FailedInputEndpointBarrier",
    }

    /// The reasons why no checkpoint can be made.
    pub enum SuspendError {
        ;
        /// The pipeline cannot make checkpoints.
        Permanent(Vec<PermanentSuspendError>) = "Permanent",
        /// The checkpoint has to wait.
        Temporary(Vec<TemporarySuspendError>) = "Temporary",
    }
}

json_structs! {
    /// The statistics of a pipeline process and of its connectors.
    pub struct ControllerStatus {
        /// The statistics of the process.
        pub global_metrics: GlobalMetrics,
        /// Why the pipeline cannot be suspended now. `None` if it can be.
        pub suspend_error: Option<SuspendError>,
        /// The state of checkpoints.
        pub checkpoint_activity: Option<CheckpointActivity>,
        /// Why the pipeline cannot make checkpoints.
        pub permanent_checkpoint_errors: Option<Vec<PermanentSuspendError>>,
        /// The connectors of tables, and the endpoints of HTTP ingress.
        pub inputs: Vec<InputStatus>,
        /// The connectors of views.
        pub outputs: Vec<OutputStatus>,
        /// The hosts of a pipeline with several hosts, by their numbers. Since 0.375.
        pub host_metrics: Vec<HostMetrics>,
    }

    /// The disk of a host of a pipeline.
    pub struct HostMetrics {
        /// The free space on the disk of the storage, in bytes. `None` if it is unknown.
        pub disk_available_bytes: Option<u64>,
        /// The size of this disk in bytes. `None` if it is unknown.
        pub disk_total_bytes: Option<u64>,
    }

    /// The statistics of a pipeline process.
    pub struct GlobalMetrics {
        /// The state of the circuit.
        pub state: PipelineState,
        /// Whether changed views are being backfilled.
        pub bootstrap_in_progress: Option<bool>,
        /// The state of the transaction. [`open_transaction`](Self::open_transaction) tells whether a transaction is
        /// open.
        pub transaction_status: Option<TransactionStatus> = "transaction_status" (decisive),
        /// The id of the transaction; 0 if no transaction is open.
        pub transaction_id: Option<i64> = "transaction_id" (decisive),
        /// How long the transaction has been open, in milliseconds.
        pub transaction_msecs: Option<u64>,
        /// The number of records that the transaction has received.
        pub transaction_records: Option<u64>,
        /// The progress of the commit.
        pub commit_progress: Option<CommitProgress>,
        /// Who opened the transaction: the API or connectors.
        pub transaction_initiators: Option<TransactionInitiators> = "transaction_initiators" (decisive),
        /// The phase of a backfill during which the other views are processed.
        pub concurrent_bootstrap_phase: Option<BootstrapPhase>,
        /// The progress of this backfill.
        pub concurrent_bootstrap_progress: Option<CommitProgress>,
        /// The memory of the process in bytes.
        pub rss_bytes: Option<u64>,
        pub memory_pressure: Option<MemoryPressure>,
        /// How often the memory pressure has changed.
        pub memory_pressure_epoch: Option<u64>,
        /// The processor time of the process in milliseconds.
        pub cpu_msecs: Option<u64>,
        /// How long the process has run, in milliseconds.
        pub uptime_msecs: Option<u64>,
        /// When the process started, in **seconds** since the epoch.
        pub start_time: Option<u64>,
        /// The id of the process. Each process of a pipeline has another id.
        pub incarnation_uuid: Option<String> = "incarnation_uuid" (decisive),
        /// When the first process started from whose checkpoints this process continues, in seconds since the epoch.
        pub initial_start_time: Option<u64>,
        /// The size of the state on disk in bytes.
        pub storage_bytes: Option<u64>,
        /// The free space on the disk of the storage, in bytes. `None` if it is unknown, and before 0.375.
        pub disk_available_bytes: Option<u64>,
        /// The size of this disk in bytes. `None` if it is unknown, and before 0.375.
        pub disk_total_bytes: Option<u64>,
        /// The size of the state on disk, integrated over time, in megabyte-seconds.
        pub storage_mb_secs: Option<u64>,
        /// How long the workers have worked, in milliseconds.
        pub runtime_elapsed_msecs: Option<u64>,
        /// The number of records that were received and are not processed yet.
        pub buffered_input_records: Option<u64>,
        /// The size of these records in bytes.
        pub buffered_input_bytes: Option<u64>,
        /// The number of records that were received.
        pub total_input_records: Option<u64>,
        /// The size of these records in bytes.
        pub total_input_bytes: Option<u64>,
        /// The number of records that the circuit has processed.
        pub total_processed_records: Option<u64>,
        /// The size of these records in bytes.
        pub total_processed_bytes: Option<u64>,
        /// The number of records whose outputs were delivered.
        pub total_completed_records: Option<u64>,
        /// How long the current stall of the circuit by full output buffers has lasted, in milliseconds; 0 if it is not
        /// stalled.
        pub output_stall_msecs: Option<u64>,
        /// The number of steps that have begun.
        pub total_initiated_steps: Option<u64>,
        /// The number of steps whose outputs were delivered. On a wedged circuit it stays below
        /// `total_initiated_steps`.
        pub total_completed_steps: Option<u64>,
        /// Whether all connectors have ended, and all outputs were delivered.
        pub pipeline_complete: Option<bool>,
        /// The version of the platform that compiled the pipeline, such as `0.375.0+enterprise`. Since 0.375.
        pub platform_version: Option<String>,
        /// The runtime of the pipeline: the platform's version, a tag, a commit, or `gen2`. Since 0.375.
        pub runtime_version: Option<String>,
    }

    /// The progress of a commit or a backfill.
    pub struct CommitProgress {
        /// The number of operators that have finished.
        pub completed: Option<u64>,
        /// The number of operators that are working.
        pub in_progress: Option<u64>,
        /// The number of operators that have not begun.
        pub remaining: Option<u64>,
        /// The number of records that the working operators have processed.
        pub in_progress_processed_records: Option<u64>,
        /// The number of records that the working operators have to process in total.
        pub in_progress_total_records: Option<u64>,
    }

    /// Who opened a transaction.
    pub struct TransactionInitiators {
        pub transaction_id: Option<i64> = "transaction_id" (decisive),
        /// The phase of the transaction, if a client of the API opened it.
        pub initiated_by_api: Option<TransactionPhase> = "initiated_by_api" (decisive),
        /// The connectors that opened it, by name.
        pub initiated_by_connectors: BTreeMap<String, ConnectorTransaction>,
    }

    /// A connector's part in a transaction.
    pub struct ConnectorTransaction {
        pub phase: TransactionPhase,
        /// The connector's own label for the transaction.
        pub label: Option<String>,
    }

    /// The state of checkpoints in a process.
    pub struct CheckpointActivity {
        pub status: CheckpointActivityStatus,
        /// Since when the checkpoint waits, in RFC 3339.
        pub delayed_since: Option<String>,
        /// Why the checkpoint waits.
        pub reasons: Vec<TemporarySuspendError>,
        /// Since when the checkpoint is being made, in RFC 3339.
        pub started_at: Option<String>,
    }

    /// The status of a connector of a table, or of an endpoint of HTTP ingress.
    pub struct InputStatus {
        /// The name, such as `t.c` for connector `c` of table `t`.
        pub endpoint_name: String,
        /// The table.
        pub config: StreamConfig,
        pub metrics: InputMetrics,
        /// The error that ended the connector. `None` if it works.
        pub fatal_error: Option<String> = "fatal_error" (decisive),
        pub health: Option<ConnectorHealth>,
        /// Whether a client has paused the connector.
        pub paused: Option<bool>,
        /// Whether the connector delays a checkpoint.
        pub barrier: Option<bool>,
        /// The position in the source up to which all outputs were delivered.
        pub completed_frontier: Option<Watermark>,
        /// The latest records that could not be parsed. `None` unless requested with `include_connector_errors`.
        pub parse_errors: Option<Vec<ConnectorError>>,
        /// The latest errors of the source. `None` unless requested with `include_connector_errors`.
        pub transport_errors: Option<Vec<ConnectorError>>,
    }

    /// The status of a connector of a view.
    pub struct OutputStatus {
        /// The name, such as `v.c` for connector `c` of view `v`.
        pub endpoint_name: String,
        /// The view.
        pub config: StreamConfig,
        pub metrics: OutputMetrics,
        /// The error that ended the connector. `None` if it works.
        pub fatal_error: Option<String>,
        pub health: Option<ConnectorHealth>,
        /// Whether a client has paused the connector, which then discards its output. `None` before 0.349.
        pub paused: Option<bool>,
        /// The latest records that could not be written. `None` unless requested with `include_connector_errors`.
        pub encode_errors: Option<Vec<ConnectorError>>,
        /// The latest errors of the sink. `None` unless requested with `include_connector_errors`.
        pub transport_errors: Option<Vec<ConnectorError>>,
    }

    /// The table or view of a connector.
    pub struct StreamConfig {
        /// The name of the table or view, in quotes if it was declared in quotes.
        pub stream: Option<String>,
    }

    /// The health of a connector.
    pub struct ConnectorHealth {
        pub status: ConnectorHealthStatus,
        /// The connector's message.
        pub description: Option<String>,
    }

    /// The position up to which all outputs of a connector's data were delivered.
    pub struct Watermark {
        /// The position, as the connector describes it.
        pub metadata: Option<Json>,
        /// When the data was received, in RFC 3339.
        pub ingested_at: Option<String>,
        /// When the circuit processed the data, in RFC 3339.
        pub processed_at: Option<String>,
        /// When all outputs were delivered, in RFC 3339.
        pub completed_at: Option<String>,
    }

    /// An error of a connector.
    pub struct ConnectorError {
        /// The number of the error.
        pub index: Option<u64>,
        /// When the error occurred, in RFC 3339.
        pub timestamp: Option<String>,
        /// The kind of the error.
        pub tag: Option<String>,
        pub message: Option<String>,
    }

    /// The counters of a connector of a table.
    pub struct InputMetrics {
        /// The number of bytes that were received.
        pub total_bytes: Option<u64>,
        /// The number of records that were received.
        pub total_records: Option<u64>,
        /// The number of records that are not processed yet.
        pub buffered_records: Option<u64>,
        /// The size of these records in bytes.
        pub buffered_bytes: Option<u64>,
        /// The number of errors of the source.
        pub num_transport_errors: Option<u64>,
        /// The number of records that could not be parsed.
        pub num_parse_errors: Option<u64>,
        /// Whether the connector has reached the end of its input.
        pub end_of_input: Option<bool>,
        /// The 99th percentile of the time in which a record is processed, in microseconds.
        pub processing_latency_p99_micros: Option<u64>,
    }

    /// The counters of a connector of a view.
    pub struct OutputMetrics {
        /// The number of records that were written.
        pub transmitted_records: Option<u64>,
        /// The size of these records in bytes.
        pub transmitted_bytes: Option<u64>,
        /// The number of records that wait to be encoded.
        pub queued_records: Option<u64>,
        /// The number of batches with these records.
        pub queued_batches: Option<u64>,
        /// The number of records that wait to be written.
        pub buffered_records: Option<u64>,
        /// The number of batches with these records.
        pub buffered_batches: Option<u64>,
        /// The number of records of the current batch that were written.
        pub batch_records_written: Option<u64>,
        /// The number of records that could not be encoded.
        pub num_encode_errors: Option<u64>,
        /// The number of errors of the sink.
        pub num_transport_errors: Option<u64>,
        /// The number of input records whose outputs were delivered.
        pub total_processed_input_records: Option<u64>,
        /// The number of steps whose outputs were delivered.
        pub total_processed_steps: Option<u64>,
        /// The memory of the connector in bytes.
        pub memory: Option<u64>,
    }

    /// The samples of the last minute.
    pub struct TimeSeries {
        /// The time of the answer, in **milliseconds** since the epoch; Feldera's description says otherwise.
        pub now: Option<u64>,
        /// The samples, oldest first.
        pub samples: Vec<Sample>,
    }

    /// The state of a process at a time.
    pub struct Sample {
        /// The time in milliseconds since the epoch.
        pub time: Option<u64> = "t",
        /// The number of records that were processed so far.
        pub records: Option<u64> = "r",
        /// The memory of the process in bytes.
        pub memory: Option<u64> = "m",
        /// The size of the state on disk in bytes.
        pub storage: Option<u64> = "s",
    }
}

impl GlobalMetrics {
    /// Which process it is, as far as it says: by its id, or by the second in which it started.
    pub fn process(&self) -> Option<String> {
        let started = || self.start_time.map(|second| format!("started at {second}"));
        self.incarnation_uuid.clone().or_else(started)
    }

    /// Returns the id of the transaction that is open or being committed.
    ///
    /// The ids decide. [`transaction_status`](Self::transaction_status) does not: a transaction without data has the
    /// status `NoTransaction` until its first rows arrive, and blocks other transactions from the start.
    pub fn open_transaction(&self) -> Option<i64> {
        let initiated = self.transaction_initiators.as_ref().and_then(|initiators| initiators.transaction_id);
        [self.transaction_id, initiated].into_iter().flatten().find(|id| *id != 0)
    }

    /// Returns whether the open transaction is being committed, as far as the process says.
    pub(super) fn is_committing(&self) -> bool {
        let initiated =
            self.transaction_initiators.as_ref().and_then(|initiators| initiators.initiated_by_api.as_ref());
        let is_open = match &self.transaction_status {
            None | Some(TransactionStatus::NoTransaction | TransactionStatus::TransactionInProgress) => true,
            Some(TransactionStatus::CommitInProgress | TransactionStatus::Unknown(_)) => false,
        };
        self.open_transaction().is_some() && (!is_open || initiated == Some(&TransactionPhase::Committed))
    }

    /// Returns whether steps have begun that are not completed. On a wedged circuit this stays true.
    pub fn has_open_steps(&self) -> bool {
        matches!((self.total_initiated_steps, self.total_completed_steps), (Some(begun), Some(done)) if begun > done)
    }
}
