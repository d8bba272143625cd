//! What each release does differently.

use serde_json::{Value, json};

use super::{Config, Edition, NOT_DEPLOYED, Release, SQL, Sim, rejection};

impl Sim {
    fn of(release: Release) -> Self {
        Self::with(Config { release, edition: Edition::Enterprise, ..Config::default() })
    }

    fn object(&mut self) -> Value {
        self.get("/pipelines/p").1
    }

    fn configured(&mut self, config: &Value) -> Value {
        let (status, answer) = self.ask("PATCH", "/pipelines/p", &json!({ "runtime_config": config }));
        assert_eq!(status, 200, "{answer}");
        answer["runtime_config"].clone()
    }
}

#[test]
fn before_0_148_a_start_resumes_and_a_pause_starts_as_paused() {
    let mut sim = Sim::of(Release::V0_130).compiled();
    assert_eq!(sim.status(), super::status("Stopped", "Stopped"));
    assert_eq!(sim.post("/pipelines/p/pause").0, 202);
    assert_eq!(sim.status(), super::status("Stopped", "Paused"));
    sim.wait(1000);
    assert_eq!(sim.status(), super::status("Paused", "Paused"));
    let object = sim.object();
    for absent in ["deployment_id", "deployment_resources_status", "deployment_runtime_status", "tags"] {
        assert_eq!(object.get(absent), None, "{absent}");
    }
    // The desired status changes at once, whatever the process does.
    sim.manager.freeze("p", std::time::Duration::from_secs(10));
    assert_eq!(sim.post("/pipelines/p/start").0, 202);
    sim.wait(6000);
    assert_eq!(sim.status(), super::status("Unavailable", "Running"));
    sim.wait(5000);
    assert_eq!(sim.status(), super::status("Running", "Running"));
    assert_eq!(sim.post("/pipelines/p/resume"), (404, json!("")));
    assert_eq!(sim.post("/pipelines/p/stop?force=true").0, 202);
    sim.wait(60);
    assert_eq!(rejection(&sim.post("/pipelines/p/start")), (400, "IllegalPipelineAction"));
}

#[test]
fn before_0_148_a_pipeline_that_makes_its_last_checkpoint_is_suspending() {
    let mut sim = Sim::of(Release::V0_130).running();
    assert_eq!(sim.post("/pipelines/p/stop").0, 202);
    assert_eq!(sim.status(), super::status("Suspending", "Suspended"));
    assert_eq!(rejection(&sim.post("/pipelines/p/start")), (400, "IllegalPipelineAction"));
    sim.wait(2000);
    assert_eq!(sim.status(), super::status("Stopped", "Stopped"));
    assert_eq!(sim.view().checkpoints, 1);
}

#[test]
fn older_releases_know_a_start_by_its_older_parameters_only() {
    let mut sim = Sim::of(Release::V0_130).compiled();
    assert_eq!(sim.post("/pipelines/p/start?initial=paused").0, 202, "a parameter that it does not know");
    sim.wait(1000);
    assert_eq!(sim.view().status, "Running");
    let mut sim = Sim::of(Release::V0_337).compiled();
    assert_eq!(rejection(&sim.post("/pipelines/p/pause")), NOT_DEPLOYED);
}

#[test]
fn since_0_375_statistics_show_the_disk_of_each_of_several_hosts() {
    for (release, hosts, shown) in
        [(Release::V0_337, 2, None), (Release::V0_375, 1, None), (Release::V0_375, 2, Some(2))]
    {
        let mut sim = Sim::of(release).compiled();
        sim.configured(&json!({ "hosts": hosts }));
        sim.wait(1000);
        sim.start();
        let statistics = sim.get("/pipelines/p/stats").1;
        let disks = statistics.get("host_metrics").and_then(Value::as_array);
        assert_eq!(disks.map(Vec::len), shown, "{release:?} with {hosts} hosts");
        assert!(disks.is_none_or(|disks| disks.iter().all(|disk| disk["disk_total_bytes"].is_u64())), "{statistics}");
    }
}

#[test]
fn since_0_367_settings_have_units_and_new_names() {
    let mut sim = Sim::of(Release::V0_375);
    sim.create(SQL);
    let config = sim.configured(&json!({
        "max_rss_mb": 16_001, "max_buffering_delay": "1500us", "clock_resolution_usecs": null, "workers": 4,
        "resources": { "memory_mb_max": 2000, "storage_max": "400Gi" }, "nobody_knows": 1,
        "storage": { "cache_mib": 1024,
            "backend": { "name": "file", "config": { "sync": { "retention_min_age": 30 } } } },
    }));
    assert_eq!(config["max_rss"], "16001M");
    assert_eq!((&config["max_buffering_delay"], &config["clock_resolution"]), (&json!("1ms500us"), &Value::Null));
    assert_eq!(
        (&config["resources"]["memory_max"], &config["resources"]["storage_max"]),
        (&json!("2G"), &json!("400Gi"))
    );
    assert_eq!(config["storage"]["cache_size"], "1Gi");
    assert_eq!(config["storage"]["backend"]["config"]["sync"]["min_retention"], "30d");
    assert_eq!((&config["nobody_knows"], &config["workers"]), (&json!(1), &json!(4)));
    for old in ["max_rss_mb", "clock_resolution_usecs", "max_buffering_delay_usecs"] {
        assert_eq!(config.get(old), None, "{old}");
    }
    // Whole: what is not named has its default again.
    let config = sim.configured(&json!({}));
    assert_eq!((config.get("max_rss"), &config["workers"]), (None, &json!(8)));
    assert_eq!(config["clock_resolution"], "1s");
    for wrong in
        [json!({ "max_rss": "16000" }), json!({ "max_rss": "1G", "max_rss_mb": 1000 }), json!({ "max_rss": [] })]
    {
        let answer = sim.ask("PATCH", "/pipelines/p", &json!({ "runtime_config": wrong }));
        assert_eq!(rejection(&answer), (400, "InvalidRuntimeConfig"), "{wrong}");
    }
}

#[test]
fn before_0_367_new_names_are_dropped_and_old_ones_stay() {
    for release in [Release::V0_130, Release::V0_337] {
        let mut sim = Sim::of(release);
        sim.create(SQL);
        let config =
            sim.configured(&json!({ "max_rss_mb": 5, "max_rss": "16G", "resources": { "memory_max": "1Gi" } }));
        assert_eq!((&config["max_rss_mb"], config.get("max_rss")), (&json!(5), None));
        assert_eq!((&config["resources"], &config["clock_resolution_usecs"]), (&json!({}), &json!(1_000_000)));
        // And what came with them.
        let sync = json!({ "backend": { "config": { "sync": { "take_bucket_ownership": true } } } });
        let added = json!({ "resources": { "autoscaling": {}, "volume_attributes_class": "x" }, "storage": sync });
        let config = sim.configured(&added);
        assert_eq!((&config["resources"], &config["storage"]["backend"]["config"]["sync"]), (&json!({}), &json!({})));
        let added = json!({ "storage": { "compression_level": 3, "bloom_false_positive_rate": 0.1 } });
        assert_eq!(sim.configured(&added)["storage"], json!({}));
        let zstd = json!({ "runtime_config": { "storage": { "compression": "zstd" } } });
        assert_eq!(rejection(&sim.ask("PATCH", "/pipelines/p", &zstd)), (400, "InvalidRuntimeConfig"));
    }
}

fn resize(sim: &mut Sim, resources: &Value) -> super::Answered {
    sim.ask("PATCH", "/pipelines/p", &json!({ "deployment_config": { "resources": resources } }))
}

#[test]
fn a_running_pipeline_is_resized_and_shows_it_when_its_process_does_it() {
    let mut sim = Sim::of(Release::V0_375).compiled();
    let stopped = resize(&mut sim, &json!({ "memory_max": "8Gi" }));
    assert_eq!(rejection(&stopped), (400, "DeploymentRestrictedToRunning"));
    sim.configured(&json!({ "resources": { "memory_max": "4Gi", "cpu_cores_min": 2 } }));
    sim.start();
    let memory = |sim: &mut Sim| sim.object()["deployment_runtime_status_details"]["memory_max"].clone();
    assert_eq!(memory(&mut sim), "4Gi");
    let (status, answer) = resize(&mut sim, &json!({ "memory_mb_max": 16_000, "cpu_cores_max": 4.5 }));
    let resources = json!({ "memory_max": "16G", "cpu_cores_min": 2, "cpu_cores_max": 4.5 });
    let shown = answer["deployment_config"]["resources"].as_object().expect("resources");
    assert!(resources.as_object().expect("an object").iter().all(|(name, value)| shown[name] == *value), "{shown:?}");
    assert_eq!((status, memory(&mut sim)), (200, json!("4Gi")), "not yet");
    sim.wait(200);
    assert_eq!(memory(&mut sim), "16G");
    assert_eq!(sim.object()["runtime_config"]["resources"]["memory_max"], "4Gi", "the next start has it again");

    for wrong in [json!({ "cpu_cores_min": 9 }), json!({ "storage_max": "1Gi" }), json!({ "memory_max": "16" })] {
        assert_eq!(rejection(&resize(&mut sim, &wrong)), (400, "InvalidDeploymentPatch"), "{wrong}");
    }
    let both = json!({ "deployment_config": {}, "description": "x" });
    assert_eq!(rejection(&sim.ask("PATCH", "/pipelines/p", &both)), (400, "InvalidDeploymentPatch"));
    // Paused, it has its process; asked to stop, it has one no longer.
    assert_eq!(sim.post("/pipelines/p/pause").0, 202);
    sim.wait(200);
    assert_eq!((sim.view().status.as_str(), resize(&mut sim, &json!({})).0), ("Paused", 200));
    for stop in ["stop", "stop?force=true"] {
        assert_eq!(sim.post(&format!("/pipelines/p/{stop}")).0, 202);
        assert_eq!(rejection(&resize(&mut sim, &json!({}))), (400, "DeploymentRestrictedToRunning"), "{stop}");
    }
    sim.wait(1000);
    assert_eq!(sim.object()["deployment_config"], Value::Null);

    let mut sim = Sim::with(Config { release: Release::V0_375, resizes: false, ..Config::default() }).running();
    assert_eq!(rejection(&resize(&mut sim, &json!({}))), (405, "UnsupportedPipelineAction"));
    let mut sim = Sim::of(Release::V0_337).running();
    assert_eq!(resize(&mut sim, &json!({})).0, 200, "a field that it does not know");
}

const SUNK: &str = "CREATE TABLE t (id BIGINT NOT NULL);\nCREATE VIEW v WITH ('connectors' = '[{\"name\": \"f\", \"transport\": {\"name\": \"file_output\", \"config\": {\"path\": \"/x\"}}}]') AS SELECT * FROM t;";

#[test]
fn a_paused_output_connector_discards_what_it_is_given() {
    let mut sim = Sim::of(Release::V0_375);
    sim.create(SUNK);
    sim.wait(1000);
    sim.start();
    let push = |sim: &mut Sim, id: u32| {
        sim.token("t?format=json", &format!("{{\"insert\":{{\"id\":{id}}}}}"));
        sim.wait(100);
        let status = sim.get("/pipelines/p/views/v/connectors/f/stats").1;
        (status["metrics"]["transmitted_records"].clone(), status["paused"].clone())
    };
    assert_eq!(push(&mut sim, 1), (json!(1), json!(false)));
    assert_eq!(sim.post("/pipelines/p/views/V/connectors/f/pause"), (200, json!("")));
    assert_eq!(push(&mut sim, 2), (json!(1), json!(true)));
    assert_eq!(sim.get("/pipelines/p/stats").1["outputs"][0]["paused"], true);
    sim.post("/pipelines/p/views/v/connectors/f/start");
    assert_eq!(push(&mut sim, 3), (json!(2), json!(false)));
    let stop = sim.post("/pipelines/p/views/v/connectors/f/stop");
    assert_eq!(rejection(&stop), (400, "InvalidConnectorAction"));
    assert_eq!(rejection(&sim.post("/pipelines/p/views/v/connectors/g/start")), (404, "UnknownOutputEndpoint"));
    let command = sim.ask("POST", "/pipelines/p/views/v/connectors/f/command", &json!({ "a": 1 }));
    assert_eq!(rejection(&command), (400, "CommandError"));
}

#[test]
fn answers_grow_from_release_to_release() {
    let fields = |release: Release| {
        let mut sim = Sim::of(release).running();
        let token = sim.token("kv?format=json", "{\"insert\":{\"k\":1}}");
        let health = sim.get("/cluster_healthz").1;
        [
            sim.get("/config").1.get("allow_rust_udfs").is_some(),
            sim.get("/config").1.get("telemetry").is_some(),
            sim.get("/pipelines/p/stats").1["global_metrics"].get("platform_version").is_some(),
            sim.completion(&token).1.get("step").is_some(),
            health.get("stale").is_some(),
            sim.post("/pipelines/p/checkpoint").1.get("incarnation_uuid").is_some(),
        ]
    };
    assert_eq!(fields(Release::V0_130), [false, true, false, false, false, false]);
    assert_eq!(fields(Release::V0_337), [false, false, false, true, false, true]);
    assert_eq!(fields(Release::V0_375), [true, false, true, true, true, true]);
}

#[test]
fn since_0_375_errors_of_rust_are_parsed_and_gen2_compiles_none() {
    for (release, parsed) in [(Release::V0_337, None), (Release::V0_375, Some(1))] {
        let mut sim = Sim::of(release);
        let body = json!({ "name": "p", "program_code": SQL, "udf_rust": "compile_error!();" });
        assert_eq!(sim.ask("POST", "/pipelines", &body).0, 201);
        sim.wait(1000);
        let error = sim.object()["program_error"]["rust_compilation"].clone();
        assert_eq!((&error["exit_code"], error["messages"].as_array().map(Vec::len)), (&json!(101), parsed));

        let body = json!({ "program_config": { "runtime_version": "gen2" } });
        assert_eq!(sim.ask("PATCH", "/pipelines/p", &body).0, 200);
        sim.wait(1000);
        let is_compiled = sim.view().program_status == "Success";
        assert_eq!(is_compiled, parsed.is_some());
        let body = json!({ "program_code": SQL, "runtime_version": "gen2" });
        let status = sim.ask("POST", "/validate_program", &body).0;
        assert_eq!(status, if parsed.is_some() { 200 } else { 400 });
    }
}
