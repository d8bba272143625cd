//! Paths, methods, bodies and the answers to wrong requests.

use std::time::Duration;

use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_LENGTH, CONTENT_TYPE};
use serde_json::json;

use super::super::{Config, Program, ROUTES, routes};
use super::{Sim, errors, read, trigger_id};
use crate::routes::compare;

/// What stands for the variables of paths.
const VALUES: [(&str, &str); 13] = [
    (":jobid", ID),
    (":vertexid", ID),
    (":applicationid", ID),
    (":triggerid", ID),
    (":datasetid", ID),
    (":rescaleuuid", ID),
    (":operatorUid", ID),
    (":taskmanagerid", "127.0.0.1-a"),
    (":filename", "x.log"),
    (":jarid", "x.jar"),
    (":checkpointid", "1"),
    (":subtaskindex", "0"),
    (":attempt", "0"),
];
const ID: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn the_table_of_routes_says_what_each_release_answers() {
    for version in ["1.13.6", "1.16.3", "1.18.1", "1.20.5", "2.3.0"] {
        let config = Config { version: version.into(), profiling: true, ..Config::default() };
        let (major, minor) = config.release();
        compare(ROUTES, &[major, minor], &VALUES, |route, path| {
            let response = Sim::with(config.clone()).send(route.method, path, "");
            let answer = read(&response);
            let text = answer.1["errors"][0].as_str().unwrap_or_default();
            let unknown = [format!("Unable to load requested file {path}."), format!("Not found: {path}")];
            (response, answer.0 == 404 && unknown.iter().any(|unknown| unknown == text))
        });
    }
}

#[test]
fn the_documentation_shows_the_table_of_routes() {
    assert!(include_str!("../mod.rs").contains("//!\n#![doc = include_str!(\"routes.md\")]\n//!"));
    assert_eq!(routes().len(), 99, "97, and the web UI with its two names");
}

#[test]
fn a_route_that_is_not_simulated_is_rejected_in_the_form_of_the_server() {
    let mut sim = Sim::new();
    for path in ["/v1/jobs/x/coordinators/y", "/jobs/x/coordinators/y/"] {
        let answer = sim.post(path, &json!({}));
        assert_eq!(answer.0, 501);
        let expected = format!("POST {path} is not simulated by pipewright-sim; ");
        assert!(errors(&answer).starts_with(&expected), "{answer:?}");
    }
}

#[test]
fn the_bare_path_and_v1_are_the_same_and_a_slash_may_trail() {
    let mut sim = Sim::new();
    let overview = sim.get("/v1/overview");
    assert_eq!(overview.0, 200);
    assert_eq!(overview.1["flink-version"], "2.3.0");
    assert_eq!(overview.1["slots-available"], 4);
    for path in ["/overview", "/v1/overview/", "/overview?nonsense=1"] {
        assert_eq!(sim.get(path), overview, "{path}");
    }
    for path in ["/v2/overview", "/v1//overview", "/v1/Overview", "/v1/overview/x"] {
        let expected = format!("Unable to load requested file {path}.");
        assert_eq!(sim.get(path), (404, json!({ "errors": [expected] })));
    }
}

#[test]
fn a_wrong_method_is_404_with_a_short_text() {
    let mut sim = Sim::new();
    assert_eq!(sim.post("/v1/overview", &json!({})), (404, json!({ "errors": ["Not found: /v1/overview"] })));
    assert_eq!(sim.get("/v1/jars/a.jar/run").0, 404);
    let head = sim.send("HEAD", "/v1/overview", "");
    assert_eq!((head.status().as_u16(), head.body().len()), (404, 0));
}

#[test]
fn rest_answers_may_be_read_by_other_origins_and_files_may_not() {
    let mut sim = Sim::new();
    for (path, cors) in [("/overview", true), ("/jobs/x", true), ("/nothing", false)] {
        let response = sim.send("GET", path, "");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json; charset=UTF-8");
        assert_eq!(response.headers()[CONTENT_LENGTH], response.body().len().to_string());
        assert_eq!(response.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN), cors, "{path}");
    }
}

#[test]
fn a_request_line_of_more_than_4096_bytes_is_a_bad_request() {
    let mut sim = Sim::new();
    // "GET " and " HTTP/1.1" are 13 of them.
    let path = format!("/overview?{}", "x".repeat(4083 - 10));
    assert_eq!(sim.get(&path).0, 200);
    let answer = sim.get(&format!("{path}x"));
    assert_eq!(answer, (404, json!({ "errors": ["Unable to load requested file /bad-request."] })));
}

#[test]
fn an_id_of_the_wrong_form_is_400_but_for_a_wrong_body_that_comes_first() {
    let mut sim = Sim::new();
    for id in ["abc", &"z".repeat(32), &"0".repeat(34)] {
        let answer = sim.get(&format!("/v1/jobs/{id}"));
        assert_eq!(answer.0, 400);
        let expected = format!("Cannot resolve path parameter (jobid) from value \"{id}\".");
        assert!(errors(&answer).contains(&expected), "{answer:?}");
    }
    let answer = read(&sim.send("POST", "/v1/jobs/abc/stop", "{"));
    assert!(errors(&answer).contains("did not match expected format StopWithSavepointRequestBody"));
    assert!(errors(&answer).contains("JsonEOFException"));
}

#[test]
fn fields_are_checked_and_null_is_as_good_as_absent() {
    let mut sim = Sim::new();
    let path = format!("/v1/jobs/{}/savepoints", "0".repeat(32));
    for body in
        [json!({ "formatType": "native" }), json!({ "triggerId": "nope" }), json!({ "cancel-job": 7 }), json!([])]
    {
        assert_eq!(sim.post(&path, &body).0, 400, "{body}");
    }
    for body in [json!({ "formatType": null, "triggerId": null }), json!({ "cancel-job": "true" }), json!(null)] {
        assert_eq!(sim.post(&path, &body).0, 202, "{body}");
    }
    let upper = sim.post(&path, &json!({ "triggerId": "ABCDEFABCDEFABCDEFABCDEFABCDEFAB" }));
    assert_eq!(upper.1["request-id"], "abcdefabcdefabcdefabcdefabcdefab");
}

#[test]
fn unknown_fields_are_rejected_by_old_releases_and_ignored_by_new_ones() {
    let path = format!("/v1/jobs/{}/savepoints", "0".repeat(32));
    for (version, field, status) in [
        ("2.3.0", "nonsense", 202),
        ("1.20.5", "nonsense", 202),
        ("1.18.1", "nonsense", 400),
        ("1.19.3", "nonsense", 400),
        ("1.18.1", "triggerId", 202),
        ("1.13.6", "triggerId", 400),
    ] {
        let answer = Sim::version(version).post(&path, &json!({ field: trigger_id(1) }));
        assert_eq!(answer.0, status, "{version} {field}: {answer:?}");
    }
}

#[test]
fn endpoints_come_with_their_releases() {
    let job = "0".repeat(32);
    for (version, path, status) in
        [("1.13.6", format!("/v1/jobs/{job}/status"), 404), ("1.14.0", format!("/v1/jobs/{job}/status"), 500)]
    {
        assert_eq!(Sim::version(version).get(&path).0, status, "{version}");
    }
    let path = format!("/v1/jobs/{job}/checkpoints");
    assert_eq!(Sim::version("1.16.0").post(&path, &json!({})).0, 404);
    assert_eq!(Sim::version("1.17.0").post(&path, &json!({})).0, 202);
}

#[test]
fn while_there_is_no_leader_everything_is_503() {
    let mut sim = Sim::new();
    sim.cluster.restart(sim.now, Duration::from_secs(2));
    let answer = sim.wait(1999).get("/v1/overview");
    assert_eq!(answer.0, 503);
    assert!(errors(&answer).contains("ongoing leader election"));
    assert_eq!(sim.wait(1).get("/v1/overview").0, 200);
}

#[test]
fn no_request_and_no_time_makes_it_panic() {
    let mut seed = 7_u64;
    let mut next = |limit: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 40).unwrap_or(0) % limit
    };
    let mut sim = Sim::with(Config { seed: 3, ..Config::default() });
    let job = sim.job(&Program::endless("a").fails_after(30).rate(u64::MAX));
    let jar = sim.cluster.jars().swap_remove(0);
    let pieces = [
        "v1",
        "jobs",
        "jars",
        &job,
        &jar,
        "savepoints",
        "stop",
        "checkpoints",
        "run",
        "plan",
        "upload",
        "%",
        "%zz",
        "+",
        "",
        "exceptions?maxExceptions=-9",
        "vertices",
        "?mode=x&mode",
    ];
    let bodies = [
        "",
        "{}",
        "{",
        "null",
        "[[[[",
        "{\"triggerId\":\"00000000000000000000000000000001\"}",
        "\u{fffd}",
        "{\"parallelism\":2147483647,\"savepointPath\":\":\"}",
        "--b",
    ];
    for round in 0..20_000 {
        let path: Vec<_> = (0..next(6)).map(|_| pieces[next(pieces.len())]).collect();
        let method = ["GET", "POST", "PATCH", "DELETE", "PUT"][next(5)];
        let mut request = http::Request::new(bytes::Bytes::from(bodies[next(bodies.len())]));
        *request.method_mut() = method.parse().expect("a method");
        let Ok(uri) = format!("/{}", path.join("/")).parse() else { continue };
        *request.uri_mut() = uri;
        let status = sim.cluster.handle(sim.now, &request).status();
        assert!((200..504).contains(&status.as_u16()), "{method} {path:?} {status}");
        sim.now += Duration::from_millis(next(40) as u64);
        if round % 5000 == 4999 {
            sim.cluster.restart(sim.now, Duration::from_millis(50));
        }
    }
    sim.cluster.advance(Duration::MAX);
    sim.cluster.restart(Duration::MAX, Duration::MAX);
}
