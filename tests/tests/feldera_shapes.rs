//! Feldera's answers and configurations in shapes that no recording has: storage, graphs, older releases.

use pipewright::feldera::pipelines::{RuntimeConfig, StartFrom, StorageBackend};
use pipewright::feldera::programs::{CalciteId, Dataflow};
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
                {"op": {"name": ">", "kind": "GREATER_THAN", "syntax": "BINARY"}, "operands": [{"input": 0, "name": "$0"}]}},
            {"id": 2, "relOp": "LogicalAggregate", "inputs": [1], "group": [0], "aggs": [{"agg": {}, "distinct": false}]},
            {"id": 3, "relOp": "LogicalJoin", "inputs": [1, 2], "joinType": "inner", "all": true, "fields": ["a"],
                "exprs": [{"input": 1}]}
        ]}},
        "mir": {
            "s0": {"operation": "source_multiset", "table": "t", "inputs": [], "calcite": {}, "positions": [], "persistent_id": "x"},
            "s1": {"operation": "map", "view": "v", "inputs": [{"node": "s0", "output": 0}], "outputs": [null, {"node": "s2", "output": 1}],
                "calcite": {"and": [{"partial": 1}, {"seq": [{"final": 2}, {}]}]},
                "positions": [{"start_line_number": 1, "start_column": 2, "end_line_number": 3, "end_column": 4}]}
        }
    });
    let typed: Dataflow = read(&graph);
    let survival = pipewright_tests::leaves::survival(&graph, &written(&typed), &[]);
    assert_eq!((survival.kept, survival.lost.len()), (survival.total, 0), "{:?}", survival.lost);
    let Some(CalciteId::And(parts)) = &typed.mir["s1"].calcite else { panic!("{typed:?}") };
    assert_eq!(parts[0], CalciteId::Partial(1));
    assert_eq!(typed.calcite_plan["v"].rels[3].join_type.as_deref(), Some("inner"));
}
