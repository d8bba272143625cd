//! Keys and roles; metrics, events, programs compiled without a pipeline.

use serde_json::{Value, json};

use super::{Config, Release, SQL, Sim, read, rejection};

impl Sim {
    fn ask_as(&mut self, key: &str, method: &str, target: &str, body: &str) -> super::Answered {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("/v0{target}"))
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json");
        let request = request.body(body.to_owned().into()).expect("a request");
        read(&self.manager.handle(self.now, &request))
    }
}

#[test]
fn keys_have_roles() {
    let mut sim = Sim::with(Config { api_key: Some("apikey:x".into()), ..Config::default() });
    let mut make = |name: &str, role: &str| {
        let body = json!({ "name": name, "role": role }).to_string();
        let (status, answer) = sim.ask_as("apikey:x", "POST", "/api_keys", &body);
        assert_eq!(status, 201);
        answer["api_key"].as_str().expect("a key").to_owned()
    };
    let (reader, writer) = (make("r", "read"), make("w", "write"));
    assert_eq!(reader.len(), "apikey:".len() + 128);
    for (method, target) in [
        ("POST", "/pipelines"),
        ("POST", "/pipelines/p/start"),
        ("POST", "/pipelines/p/ingress/t"),
        ("POST", "/pipelines/p/egress/t"),
        ("GET", "/pipelines/p/query?sql=select"),
        ("GET", "/pipelines/p/tables/t/connectors/c/completion_token"),
        ("GET", "/api_keys"),
    ] {
        let answer = sim.ask_as(&reader, method, target, "");
        assert_eq!(rejection(&answer), (403, "InsufficientPermissions"), "{method} {target}");
        assert_eq!(answer.1["details"], json!({ "required": "write", "actual": "read" }));
        let answer = sim.ask_as(&writer, method, target, "");
        assert_ne!(answer.0, 403, "{method} {target}");
    }
    assert_eq!(sim.ask_as(&reader, "GET", "/pipelines", "").0, 200);
    assert_eq!(sim.ask_as(&reader, "GET", "/config/session", "").1["role"], "read");
    assert_eq!(sim.ask_as(&writer, "GET", "/tenants", "").1["details"]["required"], "owner");
    for (method, target) in [("GET", "/oidc_trust"), ("POST", "/oidc_trust"), ("DELETE", "/oidc_trust/t")] {
        let rejected = sim.ask_as(&writer, method, target, "");
        assert_eq!(rejected.1["details"], json!({ "required": "admin", "actual": "write" }), "{method} {target}");
    }
    assert_eq!(sim.ask_as("apikey:no", "GET", "/pipelines", "").0, 401);

    // Nothing but the name and the role is shown again.
    let (_, key) = sim.ask_as(&writer, "GET", "/api_keys/r", "");
    assert_eq!((&key[0]["role"], key[0].get("api_key")), (&json!("read"), None));
    assert_eq!(sim.ask_as(&writer, "DELETE", "/api_keys/r", "").0, 200);
    assert_eq!(sim.ask_as(&reader, "GET", "/pipelines", "").0, 401);
    assert_eq!(rejection(&sim.ask_as(&writer, "DELETE", "/api_keys/r", "")), (404, "UnknownApiKey"));
    for (body, rejected) in [
        ("{\"name\":\"w\"}", (409, "DuplicateName")),
        ("{\"name\":\"a\",\"role\":\"admin\"}", (403, "OwnerAdminNotMintableAsApiKey")),
    ] {
        assert_eq!(rejection(&sim.ask_as(&writer, "POST", "/api_keys", body)), rejected);
    }
    let (status, text) = sim.ask_as(&writer, "POST", "/api_keys", "{\"name\":\"a\",\"role\":\"zzz\"}");
    assert!(status == 400 && text.as_str().is_some_and(|text| text.contains("unknown variant `zzz`")), "{text}");
}

#[test]
fn metrics_in_both_formats() {
    let mut sim = Sim::new().running();
    let token = sim.token("kv?format=json", "{\"insert\":{\"k\":1,\"v\":\"a\"}}");
    sim.wait(100);
    assert_eq!(sim.completion(&token).1["status"], "complete");
    let (_, text) = sim.get("/pipelines/p/metrics");
    let text = text.as_str().expect("a text");
    assert!(text.contains("records_processed_total{pipeline_name=\"p\"} 1\n"), "{text}");
    assert_eq!(sim.get("/metrics").1, json!(text));
    let (_, metrics) = sim.get("/pipelines/p/metrics?format=json");
    assert_eq!(metrics[1]["values"], json!([{ "labels": { "pipeline_name": "p" }, "value": 1 }]));
    // One step was made, and no checkpoint.
    assert!(text.contains("step_latency_seconds_bucket{pipeline_name=\"p\",le=\"0.029999\"} 1\n"), "{text}");
    assert_eq!(
        [&metrics[4]["type"], &metrics[4]["values"][0]["value"], &metrics[5]["values"][0]["value"]],
        [
            &json!("histogram"),
            &json!({ "buckets": [{ "gt": 0.019_999, "le": 0.029_999, "count": 1 }], "sum": 0.02, "count": 1 }),
            &json!({ "buckets": [], "sum": 0.0, "count": 0 }),
        ]
    );
    assert_eq!(sim.get("/pipelines/p/metrics?format=xml").0, 400);
    sim.stop();
    assert_eq!(rejection(&sim.get("/pipelines/p/metrics")), (503, "PipelineInteractionNotDeployed"));
    assert_eq!(sim.get("/metrics").0, 200);
}

#[test]
fn events_are_told_newest_first() {
    let mut sim = Sim::new().running();
    sim.manager.panic("p", "no");
    sim.wait(5000);
    let (_, events) = sim.get("/pipelines/p/events");
    let events = events.as_array().expect("a list");
    assert_eq!(
        (&events[0]["deployment_resources_status"], &events[0]["deployment_has_error"]),
        (&json!("Stopped"), &json!(true))
    );
    assert!(events.iter().all(|event| event.get("deployment_error").is_none()));
    assert!(events.iter().any(|event| event["deployment_runtime_status"] == "Running"));
    let (_, latest) = sim.get("/pipelines/p/events/latest?selector=all");
    assert_eq!(latest["deployment_error"]["error_code"], "RuntimeError.WorkerPanic");
    let id = events[1]["event_id"].as_str().expect("an id");
    assert_eq!(sim.get(&format!("/pipelines/p/events/{id}")).1, events[1]);
    assert_eq!(rejection(&sim.get("/pipelines/p/events/0")), (404, "UnknownPipelineMonitorEvent"));
}

#[test]
fn programs_are_compared_and_validated() {
    let mut sim = Sim::new().compiled();
    let other = SQL.replace("v VARCHAR", "v VARCHAR, w INT").replace("CREATE VIEW plain", "CREATE VIEW other");
    let (_, diff) = sim.ask("POST", "/pipelines/p/diff", &json!({ "program_code": other }));
    let expected = json!({ "added_tables": [], "removed_tables": [], "modified_tables": ["kv"], 
        "added_views": ["other"], "removed_views": ["plain"], "modified_views": [] });
    assert_eq!(diff["program_diff"], expected);
    let bad = json!({ "program_code": "SELECT" });
    assert_eq!(rejection(&sim.ask("POST", "/pipelines/p/diff", &bad)), (400, "InvalidNewProgramSql"));
    let validate = |sim: &mut Sim, body: Value| sim.ask("POST", "/validate_program", &body);
    assert!(validate(&mut sim, json!({ "program_code": SQL })).1["Success"]["program_info"]["schema"].is_object());
    assert_eq!(validate(&mut sim, bad).1["SqlError"]["info"]["exit_code"], 1);
    let version = json!({ "program_code": SQL, "runtime_version": "zzz" });
    assert_eq!(rejection(&validate(&mut sim, version)), (400, "InvalidRuntimeVersion"));
}

/// As recorded: the part of the manager is called `api`, and each part says when it was checked.
#[test]
fn cluster_health_has_the_shape_of_a_real_one() {
    let (status, health) = Sim::new().get("/cluster_healthz");
    assert_eq!((status, &health["all_healthy"]), (200, &json!(true)));
    for part in ["api", "compiler", "runner"] {
        for field in ["healthy", "message", "unchanged_since", "checked_at"] {
            assert!(!health[part][field].is_null(), "{part}.{field}");
        }
    }
    assert!(health["api_server"].is_null());
}

#[test]
fn before_0_327_a_key_has_no_role_and_may_write() {
    let mut sim = Sim::with(Config { api_key: Some("apikey:x".into()), release: Release::V0_130, ..Config::default() });
    for body in ["{\"name\":\"a\"}", "{\"name\":\"b\",\"role\":\"admin\"}", "{\"name\":\"c\",\"role\":\"read\"}"] {
        let (status, answer) = sim.ask_as("apikey:x", "POST", "/api_keys", body);
        assert_eq!(status, 201, "{answer}");
        let key = answer["api_key"].as_str().expect("a key").to_owned();
        let (_, shown) = sim.ask_as(&key, "GET", "/api_keys", "");
        assert_eq!(shown[0]["scopes"], json!(["Read", "Write"]), "{body}");
    }
}

#[test]
fn a_configuration_tells_how_it_was_built() {
    let mut sim = Sim::new();
    assert!(sim.get("/config").1["build_info"]["rustc_version"].is_string());
}

#[test]
fn the_cluster_has_one_event() {
    let mut sim = Sim::new();
    let (_, events) = sim.get("/cluster/events");
    assert_eq!((&events[0]["all_healthy"], &events[0]["runner_status"]), (&json!(true), &json!("Healthy")));
    assert_eq!((events.as_array().map(Vec::len), events[0].get("api_self_info")), (Some(1), None));
    let id = events[0]["id"].as_str().expect("an id");
    assert_eq!(sim.get(&format!("/cluster/events/{id}")).1, events[0]);
    assert!(sim.get("/cluster/events/latest?selector=all").1["api_self_info"].is_string());
    assert_eq!(rejection(&sim.get("/cluster/events/0")), (404, "UnknownClusterMonitorEvent"));
}

#[test]
fn a_running_pipeline_takes_care_of_itself() {
    let mut sim = Sim::new().compiled();
    assert_eq!(rejection(&sim.post("/pipelines/p/rebalance")), (503, "PipelineInteractionNotDeployed"));
    sim.start();
    for action in ["rebalance", "start_compaction"] {
        assert_eq!(sim.post(&format!("/pipelines/p/{action}")), (200, json!("")));
    }
    let answer = sim.ask("POST", "/pipelines/p/clock/advance", &json!({ "delta_ms": 5 }));
    assert_eq!(rejection(&answer), (400, "InvalidParam"));
    assert_eq!(sim.get("/pipelines/p/dataflow_graph").1, json!({ "calcite_plan": {}, "mir": {} }));
}
