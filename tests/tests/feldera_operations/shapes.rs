//! Feldera's answers and configurations that differ from its API description, and in forms that no recording has:
//! storage, graphs, earlier releases. The meaning of each error code.

use http::Response;
use pipewright::Operation;
use pipewright::feldera::checkpoints::{CheckpointSyncStatus, ListCheckpoints};
use pipewright::feldera::data::{
    CommitTransaction, CompletionStatus, ConnectorAction, ControlInput, GetCompletionStatus, StartTransaction,
};
use pipewright::feldera::health::Health;
use pipewright::feldera::lifecycle::{
    ApprovePipeline, ClearPipeline, DismissError, PausePipeline, RebalancePipeline, ResumePipeline, StartCompaction,
    StartPipeline, StopPipeline,
};
use pipewright::feldera::pipelines::{
    BootstrapPolicy, DeletePipeline, GetPipeline, Pipeline, ProgramError, PutPipeline, RuntimeConfig, StartFrom,
    StorageBackend, Switch,
};
use pipewright::feldera::pipelines::{CalciteId, Dataflow};
use pipewright::feldera::platform::{ClusterEvent, Configuration, GetAuthentication, Session};
use pipewright::feldera::stats::{ControllerStatus, GetTimeSeries};
use pipewright::feldera::{Accepted, ConfigDuration, ErrorClass, ErrorCode};
use pipewright_tests::recorded;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn read<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_str(&value.to_string()).unwrap_or_else(|error| panic!("{value}: {error}"))
}

fn written<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).expect("JSON")
}

#[test]
fn every_storage_is_read_and_written_as_it_was() {
    let whole = json!({"bucket": "b/f", "read_bucket": "r", "endpoint": "http://localhost:9000", "provider": "Minio",
        "region": "eu", "access_key": "id", "secret_key": "s3cr3t", "start_from_checkpoint": "latest",
        "fail_if_no_checkpoint": true, "standby": false, "pull_interval": 5, "push_interval": 60,
        "retention_min_age": 1, "retention_min_count": 2, "transfers": 3, "checkers": 4, "ignore_checksum": false,
        "multi_thread_cutoff": "1G", "multi_thread_streams": 5, "upload_concurrency": 6,
        "optimize_download_resources": false, "flags": ["--fast-list"]});
    for backend in [
        json!({"name": "default"}),
        json!({"name": "file", "config": {"async_threads": true, "ioop_delay": 3, "sync": whole}}),
        json!({"name": "file", "config": {"sync": {"bucket": "b", "start_from_checkpoint": true}}}),
        json!({"name": "object", "config": {"url": "s3://b/f", "access_key_id": "id", "secret_access_key": "s3cr3t"}}),
        // Of another release: neither lost nor an error.
        json!({"name": "object", "config": {"bucket": 1}}),
        json!({"name": "tape", "config": {"reels": [1, 2]}}),
        json!({"name": "tape"}),
    ] {
        let config = json!({"storage": {"backend": backend, "compression": "snappy"}, "env": {"KEY": "s3cr3t"}});
        let typed: RuntimeConfig = read(&config);
        assert_eq!(written(&typed), config);
        assert!(!format!("{typed:?}").contains("s3cr3t"), "{typed:?}");
    }
    let start = |value: Value| read::<StartFrom>(&value);
    assert_eq!(start(json!("latest")), StartFrom::Latest);
    assert_eq!(start(json!("01a2")), StartFrom::Checkpoint("01a2".into()));
    assert_eq!(start(json!(true)), StartFrom::Flag(true));
    assert!(matches!(read(&json!({"name": "object", "config": {}})), StorageBackend::Unknown(..)), "it has no address");
}

#[test]
fn a_graph_has_types() {
    let graph = json!({
        "calcite_plan": {"v": {"rels": [
            {"id": 0, "relOp": "LogicalTableScan", "table": ["schema", "t"], "inputs": []},
            {"id": 1, "relOp": "LogicalFilter", "inputs": [0], "condition":
                {"op": {"name": ">", "kind": "GREATER_THAN", "syntax": "BINARY"},
                "operands": [{"input": 0, "name": "$0"}]}},
            {"id": 2, "relOp": "LogicalAggregate", "inputs": [1], "group": [0],
                "aggs": [{"agg": {}, "distinct": false}]},
            {"id": 3, "relOp": "LogicalJoin", "inputs": [1, 2], "joinType": "inner", "all": true, "fields": ["a"],
                "exprs": [{"input": 1}]}
        ]}},
        "mir": {
            "s0": {"operation": "source_multiset", "table": "t", "inputs": [], "calcite": {},
                "positions": [], "persistent_id": "x"},
            "s1": {"operation": "map", "view": "v", "inputs": [{"node": "s0", "output": 0}],
                "outputs": [null, {"node": "s2", "output": 1}],
                "calcite": {"and": [{"partial": 1}, {"seq": [{"final": 2}, {}]}]},
                "positions": [{"start_line_number": 1, "start_column": 2, "end_line_number": 3, "end_column": 4}]}
        }
    });
    let typed: Dataflow = read(&graph);
    let survival = pipewright_tests::json_coverage::survival(&graph, &written(&typed), &[]);
    assert_eq!((survival.kept, survival.lost.len()), (survival.total, 0), "{:?}", survival.lost);
    let Some(CalciteId::And(parts)) = &typed.mir["s1"].calcite else { panic!("{typed:?}") };
    assert_eq!(parts[0], CalciteId::Partial(1));
    assert_eq!(typed.calcite_plan["v"].rels[3].join_type.as_deref(), Some("inner"));
    // The server's own type writes `null` where nothing stands for a node.
    let CalciteId::And(parts) = read(&json!({ "and": [null, { "final": 2 }] })) else { panic!("a list") };
    assert_eq!(parts, [CalciteId::Unknown("".into(), None), CalciteId::Final(2)]);
}

/// What 0.375 answers beside what 0.337 does, in the places where it does.
#[test]
fn answers_of_0_375_keep_what_is_new_in_them() {
    fn survives<T: DeserializeOwned + Serialize>(value: &Value) -> T {
        let typed: T = read(value);
        let survival = pipewright_tests::json_coverage::survival(value, &written(&typed), &[]);
        assert!(survival.lost.is_empty(), "{value}: {:?}", survival.lost);
        typed
    }

    let metrics = json!({"state": "Running", "buffered_input_records": 0, "total_input_records": 1,
        "total_processed_records": 1, "pipeline_complete": false, "platform_version": "0.375.0+enterprise",
        "runtime_version": "gen2", "disk_available_bytes": 5, "disk_total_bytes": 9});
    let stats: ControllerStatus = survives(&json!({"global_metrics": metrics, "inputs": [], "outputs": [],
        "host_metrics": [{"disk_available_bytes": 1, "disk_total_bytes": 2}, {}],
        "permanent_checkpoint_errors": [{"FailedInputEndpointBarrier": "t.c"}]}));
    assert_eq!(stats.host_metrics[0].disk_total_bytes, Some(2));
    let part = json!({"healthy": true, "message": "", "unchanged_since": "", "checked_at": ""});
    let health: Health = survives(&json!({"all_healthy": false, "stale": true, "stale_after_seconds": 60, "api": part,
        "compiler": part, "runner": part}));
    assert_eq!(health.stale, Some(true));
    survives::<ClusterEvent>(&json!({"id": "e", "recorded_at": "", "all_healthy": false, "stale": true,
        "api_status": "Healthy", "compiler_status": "Healthy", "runner_status": "Healthy"}));
    survives::<Session>(&json!({"memberships": [], "user_created_at": "2026-11-01T00:00:00Z"}));
    let failed: ProgramError = survives(&json!({"rust_compilation": {"exit_code": 101, "stdout": "", "stderr": "",
        "messages": [{"file": "udf.rs", "start_line_number": 3, "start_column": 1, "end_line_number": 3,
        "end_column": 2, "warning": false, "error_type": "E0425", "message": "cannot find `f`", "rendered": "…"}]}}));
    assert_eq!(failed.to_string(), "udf.rs, line 3, column 1: E0425: cannot find `f`");
    survives::<CheckpointSyncStatus>(&json!({"running": ["01a2"], "success": "01a1"}));
}

/// Features of the enterprise edition are there in both of its editions.
#[test]
fn both_enterprise_editions_are_enterprise() {
    let edition = |name: &str| {
        let licence = json!({"current": "", "is_trial": false, "is_dev": name == "EnterpriseDev",
            "description_html": "", "remind_schedule": "Once"});
        let value = json!({"edition": name, "version": "0.375.0", "revision": "", "changelog_url": "",
            "allow_rust_udfs": false, "license_validity": {"Exists": licence}});
        let config: Configuration = read(&value);
        assert_eq!(pipewright_tests::json_coverage::survival(&value, &written(&config), &[]).lost, [].into());
        config.is_enterprise()
    };
    assert_eq!((edition("Enterprise"), edition("EnterpriseDev")), (Some(true), Some(true)));
    assert_eq!((edition("Open source"), edition("Enterprising")), (Some(false), Some(false)));
}

/// A setting that is off is `null`, and one that has the server's default is absent.
#[test]
fn a_setting_that_is_off_stays_off() {
    let config = json!({ "storage": null, "clock_resolution_usecs": null,
        "fault_tolerance": { "model": "exactly_once", "checkpoint_interval_secs": null } });
    let typed: RuntimeConfig = read(&config);
    assert_eq!((&typed.storage, &typed.clock_resolution), (&Some(Switch::Off), &Some(Switch::Off)));
    assert_eq!(written(&typed), config);
    let typed: RuntimeConfig = read(&json!({ "storage": {}, "clock_resolution_usecs": 7 }));
    assert_eq!(typed.clock_resolution.and_then(Switch::on), Some(ConfigDuration::from_micros(7)));
    assert_eq!(written(&typed.storage.and_then(Switch::on)), json!({}));
    assert_eq!(written(&read::<RuntimeConfig>(&json!({}))), json!({}));
}

/// The process of a pipeline writes the details, and its runtime may be older than the platform.
#[test]
fn a_pipeline_is_read_whatever_its_details_are() {
    let details = |details: Value| {
        let pipeline = json!({ "deployment_status": "AwaitingApproval", "deployment_runtime_status_details": details });
        *read::<Pipeline>(&pipeline).deployment_runtime_status_details.expect("details")
    };
    let diff = json!({ "program_diff": { "added_tables": ["t"], "removed_tables": [], "modified_tables": [],
            "added_views": [], "removed_views": [], "modified_views": [] }, "program_diff_error": null,
        "added_input_connectors": [], "modified_input_connectors": [], "removed_input_connectors": [],
        "added_output_connectors": [], "modified_output_connectors": [], "removed_output_connectors": [] });
    for approval in [details(json!({ "approval_diff": diff })), details(diff)] {
        let program = approval.approval_diff.and_then(|diff| diff.program_diff).expect("differences");
        assert_eq!(program.added_tables, ["t"]);
    }
    let old = details(json!(""));
    assert_eq!((old.reason, old.unknown), (None, None));
    assert_eq!(details(json!("it starts")).reason.as_deref(), Some("it starts"));
    let counted = details(json!({ "connector_stats": { "num_errors": 8 }, "memory_max": "1Gi" }));
    assert_eq!(counted.connector_stats.and_then(|stats| stats.num_errors), Some(8));
    for other in [json!([1.50]), json!({ "approval_diff": "soon" }), json!({ "reason": { "code": 1 } }), json!(7)] {
        let kept = details(other.clone());
        assert!(kept.unknown.is_some() && kept.reason.is_none(), "{kept:?}");
        assert_eq!(written(&kept), other);
    }
}

/// Whether a list is absent or empty is a difference: before 0.349 no server has it.
#[test]
fn checkpoints_on_their_way_are_none_or_unknown() {
    let running = |value: Value| read::<CheckpointSyncStatus>(&value).running;
    assert_eq!(running(json!({ "success": null })), None);
    assert_eq!(running(json!({ "running": [] })), Some(Vec::new()));
    assert_eq!(running(json!({ "running": ["u"] })), Some(vec!["u".to_owned()]));
}

/// An answer in the type of its operation.
fn parsed<O: Operation>(operation: &O, status: u16, body: impl Into<String>) -> O::Output {
    let response = Response::builder().status(status).header("content-type", "application/json");
    operation.parse(response.body(body.into().into()).expect("a response")).expect("a success")
}

fn recorded<O: Operation>(operation: &O, name: &str) -> O::Output {
    let (status, body) = recorded::feldera(name);
    parsed(operation, status, body)
}

#[test]
fn successes_without_a_described_body_have_a_text_or_none() {
    fn message<O: Operation<Output = Accepted>>(operation: &O, name: &str) -> Option<String> {
        recorded(operation, name).message
    }
    let control = |action| ControlInput::new("p", "t", "c", action);
    for (message, expected) in [
        (message(&StartPipeline::new("p"), "p1_start_paused"), Some("Pipeline is starting")),
        (message(&StopPipeline::new("p"), "stop_noforce_accepted"), Some("Pipeline is suspending")),
        (message(&StopPipeline::new("p"), "early_start_cancelled_by_stop"), Some("Pipeline is forcefully stopping")),
        (message(&ClearPipeline::new("p"), "clear_202"), Some("Pipeline storage is being cleared")),
        (
            message(&DismissError::new("p"), "pipeline_dismiss_error_200"),
            Some("Pipeline deployment error has been dismissed"),
        ),
        (message(&CommitTransaction::new("p"), "transaction_commit_200"), Some("Transaction commit initiated")),
        (
            message(&PausePipeline::new("p"), "pause_when_paused_202"),
            Some("Pipeline transitioning from Paused to Paused"),
        ),
        (message(&ResumePipeline::new("p"), "resume_202"), Some("Pipeline transitioning from Paused to Running")),
        (message(&ApprovePipeline::new("p"), "approve_when_not_awaiting"), Some("Bootstrap approved")),
        (message(&DeletePipeline::new("p"), "pipeline_delete_200"), None),
        (message(&control(ConnectorAction::Start), "connector_start_200"), None),
        (message(&control(ConnectorAction::Pause), "connector_pause_200"), None),
        (message(&RebalancePipeline::new("p"), "rebalance_running"), None),
        (message(&StartCompaction::new("p"), "start_compaction_running"), None),
    ] {
        assert_eq!(message.as_deref(), expected);
    }
}

#[test]
fn what_comes_is_read_and_not_what_is_described() {
    // Neither of the described alternatives.
    assert!(recorded(&GetAuthentication::new(), "config_authentication_noauth").is_open());
    assert!(!recorded(&GetAuthentication::new(), "auth_config_authentication").is_open());
    // Moments are numbers.
    let series = parsed(
        &GetTimeSeries::new("p"),
        200,
        r#"{"now":1795300985808,"samples":[{"t":1795300985000,"r":1,"m":2,"s":3}]}"#,
    );
    assert_eq!((series.now, series.samples[0].time), (Some(1_795_300_985_808), Some(1_795_300_985_000)));
    // 200 comes, and 202 is described.
    for status in [200, 202] {
        let progress = parsed(&GetCompletionStatus::new("p", "t"), status, r#"{"status":"inprogress","step":null}"#);
        assert_eq!((progress.status, progress.step), (CompletionStatus::InProgress, None));
    }
    // Created and replaced.
    for name in ["p1_put", "put_rename_existing"] {
        assert!(recorded(&PutPipeline::new("p", "p", ""), name).id.is_some(), "{name}");
    }
    // Fields that are not described, while it is started.
    let running = recorded(&GetPipeline::new("p"), "gzip_pipeline_get");
    assert_eq!(running.bootstrap_policy, Some(BootstrapPolicy::AwaitApproval));
    assert_eq!((running.silent_bootstrap, running.concurrent_bootstrap), (Some(false), Some(false)));
    assert!(running.deployment_resources_status_details.is_some());
}

/// Connectors stand in the SQL, in the properties of a table and by themselves, with the keys that they need.
#[test]
fn a_program_and_its_connectors_are_not_shown() {
    let (_, body) = recorded::feldera("sqlwarning_get_success");
    let mut pipeline: Pipeline = serde_json::from_str(&body).expect("a pipeline");
    for (secret, udf) in [("datagen", &mut pipeline.udf_rust), ("CREATE TABLE kv", &mut pipeline.udf_toml)] {
        assert!(body.contains(secret), "{secret}");
        *udf = Some(secret.to_owned());
    }
    let shown = format!("{pipeline:?}");
    for secret in ["datagen", "CREATE TABLE kv", "file_output"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    for there in ["name: Some(\"p6\")", "program_code: …", "value: …", "main_rust: None"] {
        assert!(shown.contains(there), "{there} in {shown}");
    }
    assert_eq!(written(&pipeline)["program_code"], serde_json::from_str::<Value>(&body).expect("JSON")["program_code"]);
}

#[test]
fn numbers_of_64_bits_are_kept() {
    let list = r#"[{"uuid":"u","identifier":null,"fingerprint":18446744073709551615}]"#;
    assert_eq!(parsed(&ListCheckpoints::new("p"), 200, list)[0].fingerprint, Some(u64::MAX));
    let started = parsed(&StartTransaction::new("p"), 200, r#"{"transaction_id":9007199254740993}"#);
    assert_eq!(started.transaction_id, 9_007_199_254_740_993);
}

/// By who says so and with which status, as the server's source has it.
const CODES: &[(ErrorClass, &[&str])] = &[
    (
        ErrorClass::Transient,
        &[
            // The manager, 503 with `Retry-After`, and 504.
            "PipelineUnavailable",
            "RunnerInteractionUnreachable",
            "RunnerInteractionLogFollowRequestChannelFull",
            "LockTookTooLong",
            "DeadlockDetected",
            "CompilerUnavailable",
            "CompilerTimeout",
            // The process, 503 without, and 429.
            "Initializing",
            "RestoreInProgress",
            "BootstrapInProgress",
            "ApiConnectionLimit",
        ],
    ),
    (
        ErrorClass::OutcomeUnknown,
        &[
            "PipelineInteractionUnreachable",
            "PipelineMissingDeploymentLocation",
            "PipelineInteractionInvalidResponse",
            "LockTimeout",
            "UnableToCreateSupportBundle",
            "UnableToFetchCircuitProfile",
            "RuntimeError.WorkerPanic",
            "DbspPanic",
            "ControllerPanic",
            "ControllerExit",
            "StorageError",
            "CheckpointPushError",
            "SuspendError",
            "CommandError",
        ],
    ),
    (
        ErrorClass::Gone,
        &[
            "Terminating",
            "PipelineRestarted",
            "UnknownEndpointInCompletionToken",
            "InvalidInitialStatus",
            "IncarnationUuidMismatch",
        ],
    ),
    (
        ErrorClass::Rejection,
        &[
            // A 503 that stays as long as no client starts the pipeline.
            "PipelineInteractionNotDeployed",
            // Create, replace, change, delete.
            "DuplicateName",
            "EmptyName",
            "TooLongName",
            "NameDoesNotMatchPattern",
            "InvalidRuntimeConfig",
            "InvalidProgramConfig",
            "InvalidTag",
            "TooManyTags",
            "TooLongDescription",
            "CannotRenameNonExistingPipeline",
            "UpdateRestrictedToStopped",
            "EditRestrictedToClearedStorage",
            "DeleteRestrictedToFullyStopped",
            "DeleteRestrictedToClearedStorage",
            // Start, stop, pause and the like.
            "IllegalPipelineAction",
            "CannotStartWithCompilationError",
            "CannotStartWhileClearingStorage",
            "CannotStartWithUndismissedError",
            "InitialImmutableUnlessStopped",
            "BootstrapPolicyImmutableUnlessStopped",
            "InitialStandbyNotAllowed",
            "InvalidBootstrapConfig",
            "UnsupportedPipelineAction",
            "EnterpriseFeature",
            "InvalidTransition",
            "InvalidActivateStatus",
            "StorageStatusImmutableUnlessStopped",
            "DismissErrorRestrictedToFullyStopped",
            "InvalidConnectorAction",
            "UnknownInputEndpoint",
            "TransactionInProgress",
            "NoTransactionInProgress",
            // The manager, 4xx.
            "UnknownPipelineName",
            "UnknownApiKey",
            "UnknownOidcTrust",
            "UnknownTenant",
            "UnknownUser",
            "UnknownPipelineMonitorEvent",
            "UnknownClusterMonitorEvent",
            "ProgramNotCompiled",
            "ProgramInfoMissesDataflow",
            "TenantNotEmpty",
            "OutdatedProgramVersion",
            "OutdatedPipelineVersion",
            "AuthenticationFailed",
            "InsufficientPermissions",
            "RoleExceedsCreator",
            "OwnerAdminNotMintableAsApiKey",
            "NotATenantMember",
            "NoTenantMemberships",
            "OidcTenantNotTrusted",
            "InvalidUuidParam",
            "InvalidRuntimeVersion",
            "InvalidNewProgramSql",
            "BootstrapNotAllowed",
            "AmbiguousTenantMembership",
            "InvalidSupportBundleParameter",
            // The process: 503 that waits for a client, 409, 404, 400, 500.
            "AwaitingApproval",
            "Suspended",
            "BootstrapRejected",
            "UnknownOutputEndpoint",
            "ConfigError.UnknownInputStream",
            "ConfigError.UnknownOutputStream",
            "ConfigError.UnknownInputFormat",
            "ConfigError.ParserConfigParseError",
            "ConfigError.InputFormatNotSupported",
            "ConfigError.OutputFormatNotSupported",
            "ConfigError.InvalidTransportConfig",
            "ParseErrors",
            "InvalidParam",
            "AdHocQueryError",
            "HeapProfilerError",
            "NoSamplyProfile",
            "SamplyProfilingFailure",
            "NotSupported",
            "StorageRequired",
            "InitializationError",
            "CheckpointFetchError",
            // Only of a pipeline that stopped.
            "StartFailedDueToFailedCompilation",
            "AutomatonProvisioningTimeout",
            "AutomatonCannotProvisionUnsupportedPlatformVersion",
            "RunnerProvisionError",
            "RunnerCheckError",
            "RunnerConfigError",
            "RunnerStopError",
            "RunnerClearError",
            "PipelineTerminated",
        ],
    ),
];

#[test]
fn every_code_is_known_and_has_its_class() {
    for (class, codes) in CODES {
        for word in *codes {
            let code = ErrorCode::from(*word);
            assert!(!matches!(code, ErrorCode::Unknown(_)), "{word} is not known");
            assert_eq!((code.class(), code.as_str()), (*class, *word), "{word}");
        }
    }
    // Families that grow with each release, and unknown metrics.
    for (word, class) in [
        ("RuntimeError.Killed", ErrorClass::OutcomeUnknown),
        ("SchedulerError.OwnershipConflict", ErrorClass::OutcomeUnknown),
        ("PostgresError", ErrorClass::OutcomeUnknown),
        ("ConfigError.Another", ErrorClass::Rejection),
        ("400", ErrorClass::Rejection),
        ("Another", ErrorClass::Rejection),
    ] {
        assert_eq!(ErrorCode::from(word).class(), class, "{word}");
    }
}
