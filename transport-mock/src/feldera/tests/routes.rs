//! All operations of 0.375 are routed.

use serde_json::json;

use super::{Config, Edition, Release, SQL, Sim};

/// A real server's operations: method, and path with the names of what it is about.
const OPERATIONS: [(&str, &str); 78] = [
    ("GET", "/config/authentication"),
    ("GET", "/v0/api_keys"),
    ("POST", "/v0/api_keys"),
    ("GET", "/v0/api_keys/k"),
    ("DELETE", "/v0/api_keys/k"),
    ("GET", "/v0/cluster/events"),
    ("GET", "/v0/cluster/events/latest"),
    ("GET", "/v0/cluster_healthz"),
    ("GET", "/v0/config"),
    ("GET", "/v0/config/demos"),
    ("GET", "/v0/config/owners"),
    ("GET", "/v0/config/session"),
    ("GET", "/v0/metrics"),
    ("GET", "/v0/oidc_trust"),
    ("POST", "/v0/oidc_trust"),
    ("GET", "/v0/oidc_trust/n"),
    ("DELETE", "/v0/oidc_trust/n"),
    ("GET", "/v0/pipelines"),
    ("POST", "/v0/pipelines"),
    ("GET", "/v0/pipelines/p"),
    ("PUT", "/v0/pipelines/p"),
    ("PATCH", "/v0/pipelines/p"),
    ("DELETE", "/v0/pipelines/p"),
    ("POST", "/v0/pipelines/p/activate"),
    ("POST", "/v0/pipelines/p/approve"),
    ("POST", "/v0/pipelines/p/checkpoint"),
    ("POST", "/v0/pipelines/p/checkpoint/sync"),
    ("GET", "/v0/pipelines/p/checkpoint/sync_status"),
    ("GET", "/v0/pipelines/p/checkpoint_status"),
    ("GET", "/v0/pipelines/p/checkpoints"),
    ("GET", "/v0/pipelines/p/checkpoints/remote"),
    ("GET", "/v0/pipelines/p/circuit_json_profile"),
    ("GET", "/v0/pipelines/p/circuit_profile"),
    ("POST", "/v0/pipelines/p/clear"),
    ("POST", "/v0/pipelines/p/clock/advance"),
    ("POST", "/v0/pipelines/p/commit_transaction"),
    ("GET", "/v0/pipelines/p/completion_status"),
    ("GET", "/v0/pipelines/p/dataflow_graph"),
    ("POST", "/v0/pipelines/p/diff"),
    ("POST", "/v0/pipelines/p/dismiss_error"),
    ("POST", "/v0/pipelines/p/egress/t"),
    ("GET", "/v0/pipelines/p/events"),
    ("GET", "/v0/pipelines/p/events/latest"),
    ("GET", "/v0/pipelines/p/heap_profile"),
    ("POST", "/v0/pipelines/p/ingress/t"),
    ("GET", "/v0/pipelines/p/logs"),
    ("GET", "/v0/pipelines/p/metrics"),
    ("POST", "/v0/pipelines/p/pause"),
    ("GET", "/v0/pipelines/p/query"),
    ("POST", "/v0/pipelines/p/rebalance"),
    ("POST", "/v0/pipelines/p/resume"),
    ("GET", "/v0/pipelines/p/samply_profile"),
    ("POST", "/v0/pipelines/p/samply_profile"),
    ("POST", "/v0/pipelines/p/start"),
    ("POST", "/v0/pipelines/p/start_compaction"),
    ("POST", "/v0/pipelines/p/start_transaction"),
    ("GET", "/v0/pipelines/p/stats"),
    ("POST", "/v0/pipelines/p/stop"),
    ("GET", "/v0/pipelines/p/support_bundle"),
    ("GET", "/v0/pipelines/p/tables/t/connectors/c/completion_token"),
    ("GET", "/v0/pipelines/p/tables/t/connectors/c/stats"),
    ("POST", "/v0/pipelines/p/tables/t/connectors/c/start"),
    ("GET", "/v0/pipelines/p/time_series"),
    ("GET", "/v0/pipelines/p/time_series_stream"),
    ("POST", "/v0/pipelines/p/update_runtime"),
    ("POST", "/v0/pipelines/p/views/v/connectors/c/command"),
    ("GET", "/v0/pipelines/p/views/v/connectors/c/stats"),
    ("POST", "/v0/pipelines/p/views/v/connectors/c/start"),
    ("GET", "/v0/tenant/users"),
    ("POST", "/v0/tenant/users"),
    ("PUT", "/v0/tenant/users/u"),
    ("DELETE", "/v0/tenant/users/u"),
    ("GET", "/v0/tenants"),
    ("POST", "/v0/tenants"),
    ("GET", "/v0/tenants/x"),
    ("PATCH", "/v0/tenants/x"),
    ("DELETE", "/v0/tenants/x"),
    ("POST", "/v0/validate_program"),
];

/// The operations that only a real server carries out.
const NOT_SIMULATED: [(&str, &str); 15] = [
    ("GET", "/v0/config/demos"),
    ("GET", "/v0/config/owners"),
    ("GET", "/v0/oidc_trust"),
    ("POST", "/v0/oidc_trust"),
    ("GET", "/v0/oidc_trust/n"),
    ("DELETE", "/v0/oidc_trust/n"),
    ("GET", "/v0/tenant/users"),
    ("POST", "/v0/tenant/users"),
    ("PUT", "/v0/tenant/users/u"),
    ("DELETE", "/v0/tenant/users/u"),
    ("GET", "/v0/tenants"),
    ("POST", "/v0/tenants"),
    ("GET", "/v0/tenants/x"),
    ("PATCH", "/v0/tenants/x"),
    ("DELETE", "/v0/tenants/x"),
];

fn routed(release: Release) -> Vec<(&'static str, &'static str)> {
    let operations = OPERATIONS.into_iter().filter(|(method, path)| {
        // Each on a server of its own, as some end what others need.
        let mut sim = Sim::with(Config { release, edition: Edition::Enterprise, ..Config::default() });
        sim.create(SQL);
        sim.wait(1000);
        sim.post("/pipelines/p/start");
        sim.wait(1000);
        let (status, answer) = sim.exact(method, path);
        let is_not_simulated = NOT_SIMULATED.contains(&(*method, *path));
        assert!(status != 501 || is_not_simulated, "{method} {path}: {answer}");
        let is_unknown = status == 404 && answer == json!("");
        if is_not_simulated && !is_unknown {
            let message = answer["message"].as_str().unwrap_or_default();
            let says_so = message.contains(&format!("pipewright-sim does not simulate {method} {path}"));
            assert!(status == 501 && answer["error_code"] == "NotSimulated" && says_so, "{method} {path}: {answer}");
        }
        !is_unknown
    });
    operations.collect()
}

#[test]
fn every_operation_is_routed_or_says_that_it_is_not_simulated() {
    assert_eq!(routed(Release::V0_375), OPERATIONS);
}

#[test]
fn an_older_release_has_fewer_operations() {
    let added = |older: Release| {
        let older = routed(older);
        OPERATIONS.into_iter().filter(|operation| !older.contains(operation)).collect::<Vec<_>>()
    };
    assert_eq!(added(Release::V0_337), [("POST", "/v0/pipelines/p/views/v/connectors/c/start")]);
    let added = added(Release::V0_130);
    assert_eq!(OPERATIONS.len() - added.len(), 40);
    for path in ["resume", "activate", "approve", "dismiss_error", "checkpoints", "events"] {
        assert!(added.iter().any(|(_, added)| *added == format!("/v0/pipelines/p/{path}")), "{path}");
    }
}
