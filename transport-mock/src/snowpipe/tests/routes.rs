//! The table of routes, beside the router.

use bytes::Bytes;

use super::super::config::ErrorShape;
use super::super::{Account, Config, ROUTES, routes};
use super::{INGEST, START, Sim};
use crate::routes::compare;

/// What stands for the variables of paths.
const VALUES: [(&str, &str); 6] = [
    ("{database}", "Db1"),
    ("{schema}", "Sch1"),
    ("{pipe}", "TBL-STREAMING"),
    ("{channel}", "c"),
    ("{table}", "tbl"),
    ("{statement}", "s"),
];

fn request(method: &str, path: &str) -> http::Request<Bytes> {
    let builder = http::Request::builder().method(method).uri(path).header("accept", "*/*");
    builder.body(Bytes::new()).expect("a request")
}

#[test]
fn the_table_of_routes_says_what_is_answered() {
    compare(ROUTES, &[], &VALUES, |route, path| {
        let response = Account::new(Config::default()).handle(START, &request(route.method, path));
        let is_unknown = response.status() == 404 && response.body().starts_with(br#"{"code":"NOT_FOUND""#);
        (response, is_unknown)
    });
}

#[test]
fn the_documentation_shows_the_table_of_routes() {
    assert!(include_str!("../mod.rs").contains("//!\n#![doc = include_str!(\"routes.md\")]\n//!"));
    assert!(routes().iter().any(|route| route.path == "/oauth/token" && route.is_simulated));
}

#[test]
fn a_route_that_is_not_simulated_is_rejected_in_each_form_of_the_service() {
    for (shape, start) in [
        (ErrorShape::Code, r#"{"code":"NOT_SIMULATED","message":"#),
        (ErrorShape::ErrorCode, r#"{"error_code":"NOT_SIMULATED","message":"#),
        (ErrorShape::Text, ""),
        (ErrorShape::StatusCode, r#"{"message":"#),
    ] {
        let mut account = Account::new(Config { error_shape: shape, ..Config::default() });
        let response = account.handle(START, &request("POST", "/v1/streaming/channels/open/"));
        let body = String::from_utf8_lossy(response.body()).into_owned();
        let text = r#""POST /v1/streaming/channels/open/ is not simulated by pipewright-sim; "#;
        assert!(body.starts_with(&format!("{start}{text}")), "{body}");
        assert_eq!(response.status(), 501);
    }
}

#[test]
fn a_route_that_no_account_has_is_404_on_both_hosts() {
    let mut sim = Sim::new();
    for host in [INGEST, "my-org-my-acct.snow.test"] {
        sim.host = host;
        let answer = sim.ask("GET", "/v2/streaming/nothing", "application/json", "");
        assert_eq!((answer.0, answer.1["code"].as_str()), (404, Some("NOT_FOUND")), "{host}");
    }
}
