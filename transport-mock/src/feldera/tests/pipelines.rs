//! Pipelines as objects, keys, and the forms of errors.

use serde_json::{Value, json};

use super::super::{Config, Manager};
use super::{SQL, START, Sim, read, rejection};

#[test]
fn a_pipeline_is_shown_as_was_captured() {
    let mut sim = Sim::new();
    let (status, object) = sim.create(SQL);
    assert_eq!(status, 201);
    assert_eq!(object["runtime_config"]["workers"], 8);
    assert_eq!(object["program_error"]["sql_compilation"], Value::Null);
    let (status, short) = sim.get("/pipelines/p?selector=status");
    assert_eq!(status, 200);
    let keys: Vec<&String> = short.as_object().expect("an object").keys().collect();
    let expected = [
        "bootstrap_policy",
        "concurrent_bootstrap",
        "created_at",
        "deployment_desired_status",
        "deployment_desired_status_since",
        "deployment_error",
        "deployment_id",
        "deployment_initial",
        "deployment_resources_desired_status",
        "deployment_resources_desired_status_since",
        "deployment_resources_status",
        "deployment_resources_status_since",
        "deployment_runtime_desired_status",
        "deployment_runtime_desired_status_since",
        "deployment_runtime_status",
        "deployment_runtime_status_details",
        "deployment_runtime_status_since",
        "deployment_status",
        "deployment_status_since",
        "description",
        "id",
        "name",
        "platform_version",
        "program_config",
        "program_status",
        "program_status_since",
        "program_version",
        "refresh_version",
        "silent_bootstrap",
        "storage_status",
        "storage_status_details",
        "tags",
        "version",
    ];
    assert_eq!(keys, expected);
    assert_eq!(short["created_at"], "2027-01-15T08:00:00.000000Z");
    let connectors = sim.get("/pipelines/p?selector=status_with_connectors").1["connectors"].clone();
    assert_eq!(connectors, json!({ "num_errors": 0 }));
    assert_eq!(sim.get("/pipelines").1.as_array().map(Vec::len), Some(1));
    assert_eq!(sim.get("/pipelines?selector=none").0, 400);
}

#[test]
fn names_are_checked() {
    let mut sim = Sim::new();
    for (name, code) in [("", "EmptyName"), ("x y", "NameDoesNotMatchPattern"), ("-x", "NameDoesNotMatchPattern")] {
        let body = json!({ "name": name, "program_code": "" });
        assert_eq!(rejection(&sim.ask("POST", "/pipelines", &body)), (400, code));
    }
    let long = json!({ "name": "x".repeat(101), "program_code": "" });
    assert_eq!(rejection(&sim.ask("POST", "/pipelines", &long)), (400, "TooLongName"));
    sim.create(SQL);
    let body = json!({ "message": "An entity with this name already exists", "error_code": "DuplicateName",
        "details": {} });
    assert_eq!(sim.create(SQL), (409, body));
}

#[test]
fn a_body_that_cannot_be_read_is_answered_in_plain_text() {
    let mut sim = Sim::new();
    let response = sim.send("POST", "/pipelines", "application/json", "{\"name\":");
    assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
    let (status, text) = read(&response);
    assert!(status == 400 && text.as_str().is_some_and(|text| text.starts_with("Json deserialize error: EOF")));
    let missing = sim.ask("POST", "/pipelines", &json!({ "name": "p" }));
    assert!(missing.1.as_str().is_some_and(|text| text.contains("missing field `program_code`")), "{missing:?}");
    assert_eq!(read(&sim.send("POST", "/pipelines", "text/plain", "{}")), (400, json!("Content type error")));
}

#[test]
fn a_put_creates_or_replaces_and_a_patch_changes() {
    let mut sim = Sim::new();
    let other = json!({ "name": "q", "program_code": "" });
    assert_eq!(rejection(&sim.ask("PUT", "/pipelines/p", &other)), (400, "CannotRenameNonExistingPipeline"));
    let body = json!({ "name": "p", "program_code": SQL, "runtime_config": { "workers": 2 } });
    assert_eq!(sim.ask("PUT", "/pipelines/p", &body).0, 201);
    sim.wait(1000);
    // The same again changes nothing; without a configuration, it is the default configuration.
    let (status, object) = sim.ask("PUT", "/pipelines/p", &body);
    assert_eq!((status, &object["version"], &object["program_status"]), (200, &json!(1), &json!("Success")));
    let (_, object) = sim.ask("PUT", "/pipelines/p", &json!({ "name": "p", "program_code": SQL }));
    assert_eq!((&object["runtime_config"]["workers"], &object["program_version"]), (&json!(8), &json!(1)));
    let (_, object) = sim.ask("PATCH", "/pipelines/p", &json!({ "program_code": "CREATE TABLE x (a INT)" }));
    assert_eq!((&object["program_version"], &object["program_status"]), (&json!(2), &json!("Pending")));
    let (_, object) = sim.ask("PATCH", "/pipelines/p", &json!({ "description": "d", "name": "q" }));
    assert_eq!((&object["name"], &object["program_version"]), (&json!("q"), &json!(2)));
    assert_eq!(rejection(&sim.get("/pipelines/p")), (404, "UnknownPipelineName"));
}

#[test]
fn edits_are_restricted_by_state_and_storage() {
    let mut sim = Sim::new().running();
    let code = json!({ "program_code": "" });
    assert_eq!(rejection(&sim.ask("PATCH", "/pipelines/p", &code)), (400, "UpdateRestrictedToStopped"));
    assert_eq!(sim.ask("PATCH", "/pipelines/p", &json!({ "description": "live edit" })).0, 200);
    assert_eq!(rejection(&sim.ask("DELETE", "/pipelines/p", &Value::Null)), (400, "DeleteRestrictedToFullyStopped"));
    sim.stop();
    let workers = json!({ "runtime_config": { "workers": 3 } });
    let rejected = sim.ask("PATCH", "/pipelines/p", &workers);
    assert_eq!(rejection(&rejected), (400, "EditRestrictedToClearedStorage"));
    assert_eq!(rejected.1["details"], json!({ "not_allowed": ["`runtime_config.workers`"] }));
    let delete = sim.ask("DELETE", "/pipelines/p", &Value::Null);
    assert_eq!(rejection(&delete), (400, "DeleteRestrictedToClearedStorage"));
    sim.post("/pipelines/p/clear");
    sim.wait(200);
    assert_eq!(sim.ask("PATCH", "/pipelines/p", &workers).0, 200);
    assert_eq!(sim.ask("DELETE", "/pipelines/p", &Value::Null), (200, json!("")));
    assert_eq!(rejection(&sim.ask("DELETE", "/pipelines/p", &Value::Null)), (404, "UnknownPipelineName"));
    let config = json!({ "fault_tolerance": { "model": "exactly_once" } });
    let tolerant = json!({ "name": "f", "program_code": "", "runtime_config": config });
    assert_eq!(rejection(&sim.ask("POST", "/pipelines", &tolerant)), (400, "InvalidRuntimeConfig"));
}

#[test]
fn a_program_config_is_checked_when_it_is_sent() {
    let mut sim = Sim::new();
    sim.create(SQL);
    for wrong in [
        json!(7),
        json!({ "profile": "fastest" }),
        json!({ "profile": 7 }),
        json!({ "cache": "yes" }),
        json!({ "use_platform_compiler": null }),
        json!({ "runtime_version": 375 }),
    ] {
        let create = json!({ "name": "q", "program_code": "", "program_config": wrong });
        let created = sim.ask("POST", "/pipelines", &create);
        assert_eq!(rejection(&created), (400, "InvalidProgramConfig"), "{wrong}");
        let changed = sim.ask("PATCH", "/pipelines/p", &json!({ "program_config": wrong }));
        assert_eq!(rejection(&changed), (400, "InvalidProgramConfig"), "{wrong}");
        assert_eq!(changed.1["details"]["value"], wrong);
    }
    assert_eq!(sim.get("/pipelines/q").0, 404);
    let right = json!({ "program_config": { "profile": "dev", "cache": false, "runtime_version": null } });
    assert_eq!(sim.ask("PATCH", "/pipelines/p", &right).0, 200);
}

#[test]
fn errors_have_five_forms() {
    let mut sim = Sim::new();
    assert_eq!(sim.get("/nosuch"), (404, json!("")));
    // A trailing slash makes another route.
    assert_eq!(sim.get("/pipelines/"), (404, json!("")));
    assert_eq!(sim.get("/config/"), (404, json!("")));
    let denied = sim.get("/pipelines/p/egress/v");
    assert_eq!(rejection(&denied), (403, "InsufficientPermissions"));
    assert_eq!(denied.1.get("details"), None);

    let config = Config { api_key: Some("apikey:x".into()), ..Config::default() };
    let mut manager = Manager::new(config);
    let mut ask = |authorization: Option<&str>, target: &str| {
        let mut request = http::Request::get(target);
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        manager.handle(START, &request.body(bytes::Bytes::new()).expect("a request"))
    };
    let wrong = ask(Some("Bearer apikey:y"), "/v0/pipelines");
    assert_eq!(wrong.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(read(&wrong), (401, json!({ "message": "Unauthorized API key", "error_code": "AuthenticationFailed" })));
    for none in [None, Some("bearer apikey:x"), Some("Basic x")] {
        let response = ask(none, "/v0/pipelines");
        assert!(
            response.status() == 401
                && response.body().is_empty()
                && response.headers().contains_key("www-authenticate")
        );
    }
    assert_eq!(ask(Some("Bearer apikey:x"), "/v0/pipelines").status(), 200);
    assert_eq!(ask(None, "/config/authentication").body(), "{}");
    assert_eq!(ask(None, "/healthz").status(), 200);
}

/// The official client names every field, and sends `null` for those that are to stay.
#[test]
fn null_in_a_patch_changes_nothing() {
    let mut sim = Sim::new();
    let body = json!({ "name": "p", "program_code": SQL, "runtime_config": { "workers": 2 },
        "program_config": { "profile": "dev" } });
    assert_eq!(sim.ask("POST", "/pipelines", &body).0, 201);
    let patch = json!({ "description": "other", "program_code": null, "udf_rust": null, "udf_toml": null,
        "program_config": null, "runtime_config": null, "tags": null });
    let (status, object) = sim.ask("PATCH", "/pipelines/p", &patch);
    assert_eq!((status, &object["description"], &object["program_version"]), (200, &json!("other"), &json!(1)));
    assert_eq!(
        (&object["runtime_config"]["workers"], &object["program_config"]["profile"]),
        (&json!(2), &json!("dev"))
    );
}

#[test]
fn a_setting_of_the_wrong_type_is_rejected() {
    let mut sim = Sim::new();
    for (config, reason) in [
        (json!({ "workers": "many" }), "workers: invalid type: \"many\", expected an integer"),
        (json!({ "tracing": 1 }), "tracing: invalid type: 1, expected a boolean"),
    ] {
        let body = json!({ "name": "p", "program_code": SQL, "runtime_config": config });
        let answer = sim.ask("POST", "/pipelines", &body);
        assert_eq!(rejection(&answer), (400, "InvalidRuntimeConfig"));
        let message = answer.1["message"].as_str().expect("a message");
        assert!(message.ends_with(&format!("could not deserialize due to: {reason}")), "{message}");
    }
}
