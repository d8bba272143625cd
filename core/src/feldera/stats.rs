//! Statistics of a pipeline process and of its connectors.

use std::collections::BTreeMap;

use super::value::tagged;
use super::{FelderaApi, Json};
use crate::schema::{json_structs, operations, string_enums};

operations! { FelderaApi;
    /// What the process has done, and its connectors. Includes an input for each way of ingress that was used.
    ///
    /// Rejected with 503 if the pipeline is not deployed, with 410 `Terminating` or 500 when the circuit has died.
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

    /// Records, memory and storage of the last minute, a sample each second. Since 0.129.
    ///
    /// [Reference](https://docs.feldera.com/api/get-time-series-stats).
    Safe GET "/v0/pipelines/{pipeline_name}/time_series" GetTimeSeries "get_pipeline_time_series" -> TimeSeries {
        path { pipeline_name: String }
    }
}

string_enums! {
    /// What a circuit does.
    pub enum PipelineState {
        /// Its connectors rest.
        Paused = "Paused",
        /// It runs.
        Running = "Running",
        /// It has ended.
        Terminated = "Terminated",
    }

    /// What the circuit does about a transaction. [`GlobalMetrics::open_transaction`] tells whether one is open.
    pub enum TransactionStatus {
        /// The circuit is in no transaction. One that was started and has received no data yet also shows this.
        NoTransaction = "NoTransaction",
        /// It is open.
        TransactionInProgress = "TransactionInProgress",
        /// It is being committed.
        CommitInProgress = "CommitInProgress",
    }

    /// The progress of one participant of a transaction.
    pub enum TransactionPhase {
        /// Open.
        Started = "Started",
        Committed = "Committed",
    }

    /// How little memory is left.
    pub enum MemoryPressure {
        /// Enough.
        Low = "low",
        /// Less.
        Moderate = "moderate",
        /// Little.
        High = "high",
        /// Next to nothing.
        Critical = "critical",
    }

    /// How far filling changed views beside the others is.
    pub enum BootstrapPhase {
        /// Nothing of the kind.
        Inactive = "Inactive",
        /// They are being filled.
        ConcurrentBootstrapping = "ConcurrentBootstrapping",
        /// The last part.
        Synchronizing = "Synchronizing",
    }

    /// Whether a checkpoint is being made.
    pub enum CheckpointActivityStatus {
        /// No, and none waits.
        Idle = "idle",
        /// One waits.
        Delayed = "delayed",
        /// Yes.
        InProgress = "in_progress",
    }

    /// How a connector is.
    pub enum ConnectorHealthStatus {
        /// Well.
        Healthy = "Healthy",
        /// Not well.
        Unhealthy = "Unhealthy",
    }
}

tagged! {
    /// Why no checkpoint can be made now.
    pub enum TemporarySuspendError {
        /// The input after the last checkpoint is being replayed.
        Replaying = "Replaying",
        /// Changed views are being filled.
        Bootstrapping = "Bootstrapping",
        /// A transaction is open.
        TransactionInProgress = "TransactionInProgress",
        /// Hosts agree with each other.
        Coordination = "Coordination";
        /// A connector has to get somewhere first.
        InputEndpointBarrier(String) = "InputEndpointBarrier",
    }

    /// Why no checkpoint can be made at all.
    pub enum PermanentSuspendError {
        /// There is no storage.
        StorageRequired = "StorageRequired",
        /// It is the open-source edition.
        EnterpriseFeature = "EnterpriseFeature";
        /// A connector cannot be continued.
        UnsupportedInputEndpoint(String) = "UnsupportedInputEndpoint",
        /// A connector that failed cannot reach a place to continue from. Since 0.375.
        FailedInputEndpointBarrier(String) = "FailedInputEndpointBarrier",
    }

    /// Why no checkpoint can be made.
    pub enum SuspendError {
        ;
        /// Not at all.
        Permanent(Vec<PermanentSuspendError>) = "Permanent",
        /// Not now.
        Temporary(Vec<TemporarySuspendError>) = "Temporary",
    }
}

json_structs! {
    /// What a process has done, and its connectors.
    pub struct ControllerStatus {
        /// The process.
        pub global_metrics: GlobalMetrics,
        /// Why it cannot be suspended.
        pub suspend_error: Option<SuspendError>,
        /// Whether a checkpoint is being made.
        pub checkpoint_activity: Option<CheckpointActivity>,
        /// Why no checkpoint can be made at all.
        pub permanent_checkpoint_errors: Option<Vec<PermanentSuspendError>>,
        /// Connectors of tables, and ways of ingress.
        pub inputs: Vec<InputStatus>,
        /// Connectors of views.
        pub outputs: Vec<OutputStatus>,
        /// The hosts of a pipeline with several hosts, by their numbers. Since 0.375.
        pub host_metrics: Vec<HostMetrics>,
    }

    /// What a host of a pipeline uses.
    pub struct HostMetrics {
        /// Space that is left on the disk of the storage; bytes. `None` if it is not known.
        pub disk_available_bytes: Option<u64>,
        /// Size of that disk; bytes. `None` if it is not known.
        pub disk_total_bytes: Option<u64>,
    }

    /// What a process has done.
    pub struct GlobalMetrics {
        /// What its circuit does.
        pub state: PipelineState,
        /// Changed views are being filled.
        pub bootstrap_in_progress: Option<bool>,
        /// What the circuit does about a transaction. [`open_transaction`](Self::open_transaction) tells whether one is
        /// open.
        pub transaction_status: Option<TransactionStatus> = "transaction_status" (decisive),
        /// Its id; 0 for none.
        pub transaction_id: Option<i64> = "transaction_id" (decisive),
        /// How long it has been open; milliseconds.
        pub transaction_msecs: Option<u64>,
        /// What came in since.
        pub transaction_records: Option<u64>,
        /// How far committing is.
        pub commit_progress: Option<CommitProgress>,
        /// Who opened it.
        pub transaction_initiators: Option<TransactionInitiators> = "transaction_initiators" (decisive),
        /// How far filling changed views beside the others is.
        pub concurrent_bootstrap_phase: Option<BootstrapPhase>,
        /// The same in numbers.
        pub concurrent_bootstrap_progress: Option<CommitProgress>,
        /// Memory; bytes.
        pub rss_bytes: Option<u64>,
        /// How little memory is left.
        pub memory_pressure: Option<MemoryPressure>,
        /// How often that has changed.
        pub memory_pressure_epoch: Option<u64>,
        /// Processor time; milliseconds.
        pub cpu_msecs: Option<u64>,
        /// How long the process has run; milliseconds.
        pub uptime_msecs: Option<u64>,
        /// When it started; **seconds** since the epoch.
        pub start_time: Option<u64>,
        /// This process: each process has another id.
        pub incarnation_uuid: Option<String> = "incarnation_uuid" (decisive),
        /// When the first of its line started; seconds since the epoch.
        pub initial_start_time: Option<u64>,
        /// On disk; bytes.
        pub storage_bytes: Option<u64>,
        /// Space that is left on the disk of the storage; bytes. `None` if it is not known, and before 0.375.
        pub disk_available_bytes: Option<u64>,
        /// Size of that disk; bytes. `None` if it is not known, and before 0.375.
        pub disk_total_bytes: Option<u64>,
        /// On disk over time; MB times seconds.
        pub storage_mb_secs: Option<u64>,
        /// How long its workers have worked; milliseconds.
        pub runtime_elapsed_msecs: Option<u64>,
        /// Records that came in and wait.
        pub buffered_input_records: Option<u64>,
        /// The same in bytes.
        pub buffered_input_bytes: Option<u64>,
        /// Records that came in.
        pub total_input_records: Option<u64>,
        /// The same in bytes.
        pub total_input_bytes: Option<u64>,
        /// Records that went through the circuit.
        pub total_processed_records: Option<u64>,
        /// The same in bytes.
        pub total_processed_bytes: Option<u64>,
        /// Records whose outputs were delivered.
        pub total_completed_records: Option<u64>,
        /// How long outputs have kept the circuit waiting; milliseconds.
        pub output_stall_msecs: Option<u64>,
        /// Steps that began.
        pub total_initiated_steps: Option<u64>,
        /// Steps whose outputs were delivered. Behind for ever when the circuit is wedged.
        pub total_completed_steps: Option<u64>,
        /// All connectors have ended and all outputs were delivered.
        pub pipeline_complete: Option<bool>,
        /// The platform that compiled the pipeline, as in `0.375.0+enterprise`. Since 0.375.
        pub platform_version: Option<String>,
        /// The runtime of the pipeline: the platform's version, a tag, a commit, or `gen2`. Since 0.375.
        pub runtime_version: Option<String>,
    }

    /// How far committing is.
    pub struct CommitProgress {
        /// Operators that are done.
        pub completed: Option<u64>,
        /// At work.
        pub in_progress: Option<u64>,
        /// Not begun.
        pub remaining: Option<u64>,
        /// Records that those at work have done.
        pub in_progress_processed_records: Option<u64>,
        /// Records that those at work have in all.
        pub in_progress_total_records: Option<u64>,
    }

    /// Who opened a transaction.
    pub struct TransactionInitiators {
        pub transaction_id: Option<i64> = "transaction_id" (decisive),
        /// A client of this API.
        pub initiated_by_api: Option<TransactionPhase> = "initiated_by_api" (decisive),
        /// Connectors, by name.
        pub initiated_by_connectors: BTreeMap<String, ConnectorTransaction>,
    }

    /// A connector's part in a transaction.
    pub struct ConnectorTransaction {
        /// How far it is.
        pub phase: TransactionPhase,
        /// What the connector calls it.
        pub label: Option<String>,
    }

    /// Whether a checkpoint is being made.
    pub struct CheckpointActivity {
        /// Whether.
        pub status: CheckpointActivityStatus,
        /// Since when it waits; RFC 3339.
        pub delayed_since: Option<String>,
        /// Why it waits.
        pub reasons: Vec<TemporarySuspendError>,
        /// Since when it is being made; RFC 3339.
        pub started_at: Option<String>,
    }

    /// A connector of a table, or a way of ingress.
    pub struct InputStatus {
        /// Its name, as in `t.c`.
        pub endpoint_name: String,
        /// What it feeds.
        pub config: StreamConfig,
        /// What it has done.
        pub metrics: InputMetrics,
        /// What ended it.
        pub fatal_error: Option<String> = "fatal_error" (decisive),
        /// How it is.
        pub health: Option<ConnectorHealth>,
        /// It rests.
        pub paused: Option<bool>,
        /// It keeps a checkpoint waiting.
        pub barrier: Option<bool>,
        /// Up to where all outputs were delivered.
        pub completed_frontier: Option<Watermark>,
        /// Records that could not be parsed. On request.
        pub parse_errors: Option<Vec<ConnectorError>>,
        /// Errors of its source. On request.
        pub transport_errors: Option<Vec<ConnectorError>>,
    }

    /// A connector of a view.
    pub struct OutputStatus {
        /// Its name, as in `v.c`.
        pub endpoint_name: String,
        /// What it writes.
        pub config: StreamConfig,
        /// What it has done.
        pub metrics: OutputMetrics,
        /// What ended it.
        pub fatal_error: Option<String>,
        /// How it is.
        pub health: Option<ConnectorHealth>,
        /// The user has paused it: it discards its output. `None` before 0.349.
        pub paused: Option<bool>,
        /// Records that could not be written. On request.
        pub encode_errors: Option<Vec<ConnectorError>>,
        /// Errors of its sink. On request.
        pub transport_errors: Option<Vec<ConnectorError>>,
    }

    /// What a connector is for.
    pub struct StreamConfig {
        /// The table or view, in quotes if its name is.
        pub stream: Option<String>,
    }

    /// How a connector is.
    pub struct ConnectorHealth {
        /// Whether it is well.
        pub status: ConnectorHealthStatus,
        /// The connector's message.
        pub description: Option<String>,
    }

    /// Up to where all outputs of a connector's data were delivered.
    pub struct Watermark {
        /// The place, as the connector describes it.
        pub metadata: Option<Json>,
        /// When it came in; RFC 3339.
        pub ingested_at: Option<String>,
        /// When it went through; RFC 3339.
        pub processed_at: Option<String>,
        /// When all outputs were delivered; RFC 3339.
        pub completed_at: Option<String>,
    }

    /// An error of a connector.
    pub struct ConnectorError {
        /// Its number.
        pub index: Option<u64>,
        /// When; RFC 3339.
        pub timestamp: Option<String>,
        /// What kind.
        pub tag: Option<String>,
        /// The error message.
        pub message: Option<String>,
    }

    /// What a connector of a table has done.
    pub struct InputMetrics {
        /// Bytes that came in.
        pub total_bytes: Option<u64>,
        /// Records that came in.
        pub total_records: Option<u64>,
        /// Records that wait.
        pub buffered_records: Option<u64>,
        /// The same in bytes.
        pub buffered_bytes: Option<u64>,
        /// Errors of its source.
        pub num_transport_errors: Option<u64>,
        /// Records that could not be parsed.
        pub num_parse_errors: Option<u64>,
        /// It has reached the end of its input.
        pub end_of_input: Option<bool>,
        /// How long 99% of records took to go through, at the most; microseconds.
        pub processing_latency_p99_micros: Option<u64>,
    }

    /// What a connector of a view has done.
    pub struct OutputMetrics {
        /// Records that were written.
        pub transmitted_records: Option<u64>,
        /// The same in bytes.
        pub transmitted_bytes: Option<u64>,
        /// Records that wait to be turned into the format.
        pub queued_records: Option<u64>,
        /// The same in batches.
        pub queued_batches: Option<u64>,
        /// Records that wait to be written.
        pub buffered_records: Option<u64>,
        /// The same in batches.
        pub buffered_batches: Option<u64>,
        /// Records of the present batch that were written.
        pub batch_records_written: Option<u64>,
        /// Records that could not be written.
        pub num_encode_errors: Option<u64>,
        /// Errors of its sink.
        pub num_transport_errors: Option<u64>,
        /// Records that came in and whose outputs were delivered.
        pub total_processed_input_records: Option<u64>,
        /// Steps whose outputs were delivered.
        pub total_processed_steps: Option<u64>,
        /// Memory; bytes.
        pub memory: Option<u64>,
    }

    /// Samples of the last minute.
    pub struct TimeSeries {
        /// When it was asked for; **milliseconds** since the epoch, whatever Feldera's description says.
        pub now: Option<u64>,
        /// The samples, oldest first.
        pub samples: Vec<Sample>,
    }

    /// A moment of a process.
    pub struct Sample {
        /// When; milliseconds since the epoch.
        pub time: Option<u64> = "t",
        /// Records that went through so far.
        pub records: Option<u64> = "r",
        /// Memory; bytes.
        pub memory: Option<u64> = "m",
        /// On disk; bytes.
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

    /// Whether steps have begun that are not completed: for ever so when the circuit is wedged.
    pub fn has_open_steps(&self) -> bool {
        matches!((self.total_initiated_steps, self.total_completed_steps), (Some(begun), Some(done)) if begun > done)
    }
}
