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

#[test]
fn an_older_release_has_fewer_operations() {
    let missing = |release: Release| {
        let missing = routes().into_iter().filter(move |route| !route.exists_in(&release.numbers()));
        missing.map(|route| route.path).collect::<Vec<_>>()
    };
    let connectors = "/v0/pipelines/{pipeline_name}/views/{view_name}/connectors/{connector_name}/{action}";
    assert_eq!(missing(Release::V0_337), [connectors]);
    let added = missing(Release::V0_130);
    assert_eq!(added.len(), 38);
    for path in ["resume", "activate", "approve", "dismiss_error", "checkpoints", "events"] {
        assert!(added.contains(&format!("/v0/pipelines/{{pipeline_name}}/{path}").as_str()), "{path}");
    }
}
