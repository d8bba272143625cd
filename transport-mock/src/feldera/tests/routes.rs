//! The table of routes, beside the router.

use serde_json::{Value, json};

use super::super::{ROUTES, routes};
use super::{Config, Edition, Release, SQL, Sim, read};
use crate::routes::compare;

/// What stands for the variables of paths.
const VALUES: [(&str, &str); 10] = [
    ("{pipeline_name}", "p"),
    ("{table_name}", "t"),
    ("{view_name}", "v"),
    ("{connector_name}", "c"),
    ("{action}", "start"),
    ("{event_id}", "latest"),
    ("{api_key_name}", "k"),
    ("{tenant_id}", "x"),
    ("{user_id}", "u"),
    ("{name}", "n"),
];

fn running(release: Release) -> Sim {
    let mut sim = Sim::with(Config { release, edition: Edition::Enterprise, ..Config::default() });
    sim.create(SQL);
    sim.wait(1000);
    sim.post("/pipelines/p/start");
    sim.wait(1000);
    sim
}

#[test]
fn the_table_of_routes_says_what_each_release_answers() {
    for release in Release::ALL {
        compare(ROUTES, &release.numbers(), &VALUES, |route, path| {
            // On a server of its own, as some end what others need.
            let response = running(release).send_to(route.method, path, "application/json", "{}");
            let (status, body) = read(&response);
            (response, status == 404 && body == json!(""))
        });
    }
}

#[test]
fn the_documentation_shows_the_table_of_routes() {
    assert!(include_str!("../mod.rs").contains("//!\n#![doc = include_str!(\"routes.md\")]\n//!"));
    assert!(routes().len() >= 80, "78 operations, the health check and the web console");
}

#[test]
fn a_route_that_is_not_simulated_is_rejected_in_the_form_of_the_server() {
    let (status, body) = running(Release::V0_375).exact("POST", "/v0/tenants?x=1");
    assert_eq!((status, &body["error_code"]), (501, &json!("NotSimulated")));
    assert_eq!(body["details"], json!({ "method": "POST", "path": "/v0/tenants" }));
    let message = body["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("POST /v0/tenants is not simulated by pipewright-sim; "), "{message}");
}

#[test]
fn a_route_that_no_server_has_is_an_empty_404() {
    let mut sim = running(Release::V0_375);
    for path in ["/v0/nothing", "/v0/pipelines/p/nothing/at/all", "/v1/pipelines", "/v0/tenants/x/y"] {
        assert_eq!(sim.exact("GET", path), (404, Value::String(String::new())), "{path}");
    }
}

/// What 0.130 does not have yet: what is new in the description of 0.375 against that of 0.104, without transactions
/// (0.116), support bundles (0.121), the synchronization of checkpoints (0.127) and time series (0.129).
const ADDED_SINCE_0_130: [&str; 38] = [
    "DELETE /v0/oidc_trust/{name}",
    "DELETE /v0/tenant/users/{user_id}",
    "DELETE /v0/tenants/{tenant_id}",
    "GET /v0/cluster/events",
    "GET /v0/cluster/events/{event_id}",
    "GET /v0/cluster_healthz",
    "GET /v0/config/owners",
    "GET /v0/config/session",
    "GET /v0/oidc_trust",
    "GET /v0/oidc_trust/{name}",
    "GET /v0/pipelines/{pipeline_name}/checkpoints",
    "GET /v0/pipelines/{pipeline_name}/checkpoints/remote",
    "GET /v0/pipelines/{pipeline_name}/circuit_json_profile",
    "GET /v0/pipelines/{pipeline_name}/dataflow_graph",
    "GET /v0/pipelines/{pipeline_name}/events",
    "GET /v0/pipelines/{pipeline_name}/events/{event_id}",
    "GET /v0/pipelines/{pipeline_name}/samply_profile",
    "GET /v0/tenant/users",
    "GET /v0/tenants",
    "GET /v0/tenants/{tenant_id}",
    "PATCH /v0/tenants/{tenant_id}",
    "POST /v0/oidc_trust",
    "POST /v0/pipelines/{pipeline_name}/activate",
    "POST /v0/pipelines/{pipeline_name}/approve",
    "POST /v0/pipelines/{pipeline_name}/clock/advance",
    "POST /v0/pipelines/{pipeline_name}/diff",
    "POST /v0/pipelines/{pipeline_name}/dismiss_error",
    "POST /v0/pipelines/{pipeline_name}/rebalance",
    "POST /v0/pipelines/{pipeline_name}/resume",
    "POST /v0/pipelines/{pipeline_name}/samply_profile",
    "POST /v0/pipelines/{pipeline_name}/start_compaction",
    "POST /v0/pipelines/{pipeline_name}/update_runtime",
    "POST /v0/pipelines/{pipeline_name}/views/{view_name}/connectors/{connector_name}/command",
    "POST /v0/pipelines/{pipeline_name}/views/{view_name}/connectors/{connector_name}/{action}",
    "POST /v0/tenant/users",
    "POST /v0/tenants",
    "POST /v0/validate_program",
    "PUT /v0/tenant/users/{user_id}",
];

#[test]
fn an_older_release_has_fewer_operations() {
    let missing = |release: Release| {
        let missing = routes().into_iter().filter(move |route| !route.exists_in(&release.numbers()));
        let mut missing: Vec<_> = missing.map(|route| format!("{} {}", route.method, route.path)).collect();
        missing.sort_unstable();
        missing
    };
    let connectors = "/v0/pipelines/{pipeline_name}/views/{view_name}/connectors/{connector_name}/{action}";
    assert_eq!(missing(Release::V0_337), [format!("POST {connectors}")]);
    assert_eq!(missing(Release::V0_130), ADDED_SINCE_0_130);
}
