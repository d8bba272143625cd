//! Statistics, tokens, transactions, statuses and errors.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use feldera_types::adapter_stats::{
    CompletedWatermark, ConnectorError, ConnectorHealth, ConnectorHealthStatus, ExternalConnectorTransactionPhase,
    ExternalControllerStatus, ExternalGlobalControllerMetrics, ExternalInputEndpointMetrics,
    ExternalInputEndpointStatus, ExternalOutputEndpointMetrics, ExternalOutputEndpointStatus,
    ExternalTransactionInitiators, ExternalTransactionPhase, PipelineState, ShortEndpointConfig, TransactionStatus,
};
use feldera_types::checkpoint::CheckpointActivity;
use feldera_types::completion_token::{CompletionStatus, CompletionStatusResponse, CompletionTokenResponse};
use feldera_types::error::ErrorResponse;
use feldera_types::memory_pressure::MemoryPressure;
use feldera_types::runtime_status::{
    BootstrapPolicy, ConnectorStats, RuntimeDesiredStatus, RuntimeStatus, RuntimeStatusDetails,
};
use feldera_types::suspend::{PermanentSuspendError, SuspendError, TemporarySuspendError};
use feldera_types::time_series::{SampleStatistics, TimeSeries};
use feldera_types::transaction::{CommitProgressSummary, ConcurrentBootstrapPhase, StartTransactionResponse};
use feldera_types::transport::clock::ClockAdvanceResponse;
use pipewright::feldera::{ErrorResponse as Rejected, data, pipelines, stats};
use serde_json::json;
use uuid::Uuid;

use crate::compare::{compare, compare_words, each};
use crate::program::pipeline_diff;

pub(crate) fn moment(text: &str) -> DateTime<Utc> {
    text.parse().expect("a moment")
}

pub(crate) fn uuid() -> Uuid {
    Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0001)
}

fn progress() -> CommitProgressSummary {
    CommitProgressSummary {
        completed: 1,
        in_progress: 2,
        remaining: 3,
        in_progress_processed_records: 4,
        in_progress_total_records: 5,
    }
}

fn errors() -> Option<Vec<ConnectorError>> {
    Some(vec![ConnectorError {
        timestamp: moment("2026-11-01T10:00:00.123456Z"),
        index: 7,
        tag: Some("tag".to_owned()),
        message: "message".to_owned(),
    }])
}

fn health() -> Option<ConnectorHealth> {
    Some(ConnectorHealth { status: ConnectorHealthStatus::Unhealthy, description: Some("description".to_owned()) })
}

fn input() -> ExternalInputEndpointStatus {
    ExternalInputEndpointStatus {
        endpoint_name: "t.c".to_owned(),
        config: ShortEndpointConfig { stream: "t".to_owned() },
        metrics: ExternalInputEndpointMetrics {
            total_bytes: 1,
            total_records: 2,
            buffered_records: 3,
            buffered_bytes: 4,
            num_transport_errors: 5,
            num_parse_errors: 6,
            end_of_input: true,
            processing_latency_p99_micros: Some(7),
        },
        fatal_error: Some("fatal".to_owned()),
        parse_errors: errors(),
        transport_errors: errors(),
        health: health(),
        paused: true,
        barrier: true,
        completed_frontier: Some(CompletedWatermark {
            metadata: json!({ "partitions": [{ "offset": 12 }] }),
            ingested_at: moment("2026-11-01T10:00:00.000001Z"),
            processed_at: moment("2026-11-01T10:00:00.000002Z"),
            completed_at: moment("2026-11-01T10:00:00.000003Z"),
        }),
    }
}

fn output() -> ExternalOutputEndpointStatus {
    ExternalOutputEndpointStatus {
        endpoint_name: "v.c".to_owned(),
        config: ShortEndpointConfig { stream: "v".to_owned() },
        metrics: ExternalOutputEndpointMetrics {
            transmitted_records: 1,
            transmitted_bytes: 2,
            queued_records: 3,
            queued_batches: 4,
            buffered_records: 5,
            buffered_batches: 6,
            num_encode_errors: 7,
            num_transport_errors: 8,
            total_processed_input_records: 9,
            total_processed_steps: 10,
            memory: 11,
            batch_records_written: Some(12),
        },
        fatal_error: Some("fatal".to_owned()),
        encode_errors: errors(),
        transport_errors: errors(),
        health: health(),
        paused: true,
    }
}

fn initiators() -> ExternalTransactionInitiators {
    let phase =
        |phase, label: Option<&str>| ExternalConnectorTransactionPhase { phase, label: label.map(str::to_owned) };
    ExternalTransactionInitiators {
        transaction_id: Some(4),
        initiated_by_api: Some(ExternalTransactionPhase::Committed),
        initiated_by_connectors: BTreeMap::from([
            ("t.c".to_owned(), phase(ExternalTransactionPhase::Started, Some("label"))),
            ("t.d".to_owned(), phase(ExternalTransactionPhase::Committed, Some("label"))),
        ]),
    }
}

fn global() -> ExternalGlobalControllerMetrics {
    ExternalGlobalControllerMetrics {
        state: PipelineState::Running,
        bootstrap_in_progress: true,
        transaction_status: TransactionStatus::CommitInProgress,
        transaction_id: 4,
        transaction_msecs: Some(5),
        transaction_records: Some(6),
        commit_progress: Some(progress()),
        transaction_initiators: initiators(),
        concurrent_bootstrap_phase: ConcurrentBootstrapPhase::Synchronizing,
        concurrent_bootstrap_progress: Some(progress()),
        rss_bytes: 7,
        memory_pressure: MemoryPressure::High,
        memory_pressure_epoch: 8,
        cpu_msecs: 9,
        uptime_msecs: 10,
        start_time: moment("2026-11-01T10:00:00Z"),
        incarnation_uuid: uuid(),
        initial_start_time: moment("2026-11-01T09:00:00Z"),
        storage_bytes: 11,
        storage_mb_secs: 12,
        runtime_elapsed_msecs: 13,
        buffered_input_records: 14,
        buffered_input_bytes: 15,
        total_input_records: 16,
        total_input_bytes: 17,
        total_processed_records: 18,
        total_processed_bytes: 19,
        total_completed_records: 20,
        output_stall_msecs: 21,
        total_initiated_steps: 22,
        total_completed_steps: 23,
        pipeline_complete: true,
    }
}

fn permanent() -> Vec<PermanentSuspendError> {
    let all = vec![
        PermanentSuspendError::StorageRequired,
        PermanentSuspendError::EnterpriseFeature,
        PermanentSuspendError::UnsupportedInputEndpoint("t.c".to_owned()),
    ];
    // Does not compile if there is another variant.
    all.iter().for_each(|error| match error {
        PermanentSuspendError::StorageRequired
        | PermanentSuspendError::EnterpriseFeature
        | PermanentSuspendError::UnsupportedInputEndpoint(_) => (),
    });
    all
}

fn temporary() -> Vec<TemporarySuspendError> {
    let all = vec![
        TemporarySuspendError::Replaying,
        TemporarySuspendError::Bootstrapping,
        TemporarySuspendError::TransactionInProgress,
        TemporarySuspendError::InputEndpointBarrier("t.c".to_owned()),
        TemporarySuspendError::Coordination,
    ];
    all.iter().for_each(|error| match error {
        TemporarySuspendError::Replaying
        | TemporarySuspendError::Bootstrapping
        | TemporarySuspendError::TransactionInProgress
        | TemporarySuspendError::InputEndpointBarrier(_)
        | TemporarySuspendError::Coordination => (),
    });
    all
}

fn status(suspend_error: SuspendError, activity: CheckpointActivity) -> ExternalControllerStatus {
    ExternalControllerStatus {
        global_metrics: global(),
        suspend_error: Some(suspend_error),
        checkpoint_activity: Some(activity),
        permanent_checkpoint_errors: Some(permanent()),
        inputs: vec![input()],
        outputs: vec![output()],
    }
}

#[test]
fn statistics_of_a_pipeline() {
    let since = moment("2026-11-01T10:00:00.5Z");
    let delayed = CheckpointActivity::Delayed { reasons: temporary(), delayed_since: since };
    let in_progress = CheckpointActivity::InProgress { started_at: since };
    let values = [
        status(SuspendError::Permanent(permanent()), delayed),
        status(SuspendError::Temporary(temporary()), in_progress),
        status(SuspendError::Temporary(temporary()), CheckpointActivity::Idle),
    ];
    // The fields of an activity differ with its status. The others are of releases after 0.349.
    let ours_only = [
        "disk_available_bytes",
        "disk_total_bytes",
        "host_metrics",
        "platform_version",
        "runtime_version",
        "started_at",
    ];
    compare::<stats::ControllerStatus, _>(&values, &ours_only);
    compare::<stats::InputStatus, _>(&[input()], &[]);
    compare::<stats::OutputStatus, _>(&[output()], &[]);
}

#[test]
fn words_of_statistics() {
    use stats::{BootstrapPhase, ConnectorHealthStatus as Health, TransactionPhase, TransactionStatus as Status};

    let states = [stats::PipelineState::Paused, stats::PipelineState::Running, stats::PipelineState::Terminated];
    compare_words(&each!(PipelineState { Paused, Running, Terminated }), &states, &[]);
    compare_words(
        &each!(TransactionStatus { NoTransaction, TransactionInProgress, CommitInProgress }),
        &[Status::NoTransaction, Status::TransactionInProgress, Status::CommitInProgress],
        &[],
    );
    compare_words(
        &each!(ExternalTransactionPhase { Started, Committed }),
        &[TransactionPhase::Started, TransactionPhase::Committed],
        &[],
    );
    compare_words(&each!(ConnectorHealthStatus { Healthy, Unhealthy }), &[Health::Healthy, Health::Unhealthy], &[]);
    let pressure = [
        stats::MemoryPressure::Low,
        stats::MemoryPressure::Moderate,
        stats::MemoryPressure::High,
        stats::MemoryPressure::Critical,
    ];
    compare_words(&each!(MemoryPressure { Low, Moderate, High, Critical }), &pressure, &[]);
    compare_words(
        &each!(ConcurrentBootstrapPhase { Inactive, ConcurrentBootstrapping, Synchronizing }),
        &[BootstrapPhase::Inactive, BootstrapPhase::ConcurrentBootstrapping, BootstrapPhase::Synchronizing],
        &[],
    );
}

#[test]
fn samples_of_the_last_minute() {
    let sample = SampleStatistics {
        time: moment("2026-11-01T10:00:00.123Z"),
        total_processed_records: 1,
        memory_bytes: 2,
        storage_bytes: 3,
    };
    compare::<stats::TimeSeries, _>(
        &[TimeSeries { now: moment("2026-11-01T10:00:01.456Z"), samples: vec![sample] }],
        &[],
    );
    compare::<stats::Sample, _>(&[sample], &[]);
}

#[test]
fn tokens_transactions_and_the_clock() {
    compare::<data::Token, _>(&[CompletionTokenResponse { token: "eyJ1Ijoi-_".to_owned() }], &[]);
    let [complete, in_progress] = each!(CompletionStatus { Complete, InProgress });
    let values = [
        CompletionStatusResponse { status: complete, step: Some(3) },
        CompletionStatusResponse { status: in_progress, step: None },
    ];
    compare::<data::Completion, _>(&values, &[]);
    compare::<data::TransactionStarted, _>(&[StartTransactionResponse { transaction_id: 4 }], &[]);
    let clock = ClockAdvanceResponse { now_ms: 1_790_000_000_000, now: "2026-09-21T13:33:20Z".to_owned() };
    compare::<data::ClockAdvanced, _>(&[clock], &[]);
    let ours = [data::CompletionStatus::Complete, data::CompletionStatus::InProgress];
    compare_words(&each!(CompletionStatus { Complete, InProgress }), &ours, &[]);
}

#[test]
fn errors_with_any_details() {
    let error = |details| ErrorResponse { message: "message".to_owned(), error_code: "ParseErrors".into(), details };
    let values = [
        error(json!({ "num_errors": 1, "errors": [] })),
        error(json!("a text")),
        error(json!([1, 2])),
        error(json!(1.5)),
        error(json!(null)),
    ];
    compare::<Rejected, _>(&values, &[]);
}

#[test]
fn statuses_of_a_process() {
    use pipelines::{BootstrapPolicy as Policy, RuntimeStatus as Status};

    let theirs = each!(RuntimeStatus {
        Unavailable,
        Coordination,
        Standby,
        Initializing,
        AwaitingApproval,
        Bootstrapping,
        Replaying,
        Paused,
        Running,
        Suspended,
        ConcurrentBootstrapping,
        Synchronizing,
    });
    let ours = [
        Status::Unavailable,
        Status::Coordination,
        Status::Standby,
        Status::Initializing,
        Status::AwaitingApproval,
        Status::Bootstrapping,
        Status::Replaying,
        Status::Paused,
        Status::Running,
        Status::Suspended,
        Status::ConcurrentBootstrapping,
        Status::Synchronizing,
    ];
    compare_words(&theirs, &ours, &[]);
    // What a process is to be has one type with what it is. `DesiredStatus` is the manager's.
    let desired = each!(RuntimeDesiredStatus { Unavailable, Coordination, Standby, Paused, Running, Suspended });
    compare_words::<Status, _>(&desired, &[], &[]);
    compare_words(
        &each!(BootstrapPolicy { Allow, Reject, AwaitApproval }),
        &[Policy::Allow, Policy::Reject, Policy::AwaitApproval],
        &[],
    );
}

#[test]
fn details_of_a_status() {
    let details = |approval_diff| RuntimeStatusDetails {
        reason: Some("reason".to_owned()),
        connector_stats: Some(ConnectorStats { num_errors: 8 }),
        approval_diff,
    };
    let [with_program, without] = pipeline_diff().map(|diff| Some(serde_json::to_value(diff).expect("JSON")));
    let values = [details(with_program), details(without), details(None)];
    // One part of the differences is absent in each, and the server sends no field that the library does not know.
    compare::<pipelines::RuntimeStatusDetails, _>(&values, &["memory_max", "program_diff_error", "unknown"]);
}
