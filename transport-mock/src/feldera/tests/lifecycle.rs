//! Compilation, start, pause, resume, stop, storage.

use serde_json::{Value, json};

use super::{NOT_DEPLOYED, SQL, Sim, rejection, status};
use crate::feldera::CompilerFailure;

#[test]
fn a_program_is_compiled_in_phases() {
    let mut sim = Sim::new();
    sim.create(SQL);
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(sim.view().program_status);
        sim.wait(250);
    }
    assert_eq!(seen, ["Pending", "CompilingSql", "SqlCompiled", "CompilingRust", "Success"]);
    let object = sim.get("/pipelines/p").1;
    let tables = &object["program_info"]["schema"]["inputs"];
    assert_eq!((&tables[0]["name"], &tables[1]["primary_key"]), (&json!("t"), &json!(["k"])));
    assert_eq!(object["program_info"]["schema"]["outputs"][0]["materialized"], true);
}

#[test]
fn mistakes_end_a_compilation_and_forbid_a_start() {
    for (sql, udf, state) in [
        ("CREATE TABLE t (id BIGINT);\n  CREATE VIEW v AS SELECT * FROM nosuch;", "", "SqlError"),
        ("CREATE TABLE t (id BIGINT)", "compile_error!()", "RustError"),
    ] {
        let mut sim = Sim::new();
        let body = json!({ "name": "p", "program_code": sql, "udf_rust": udf });
        assert_eq!(sim.ask("POST", "/pipelines", &body).0, 201);
        assert_eq!(sim.wait(1000).view().program_status, state);
        let error = sim.get("/pipelines/p").1["program_error"].clone();
        if state == "SqlError" {
            let message = &error["sql_compilation"]["messages"][0];
            // Without a parser only the statement is known.
            let column = if cfg!(feature = "sql") { 34 } else { 3 };
            assert_eq!((&message["start_line_number"], &message["start_column"]), (&json!(2), &json!(column)));
            assert_eq!(message["message"], "Object 'nosuch' not found");
        } else {
            assert_eq!(error["rust_compilation"]["exit_code"], 101);
        }
        let rejected = sim.post("/pipelines/p/start");
        assert_eq!(rejection(&rejected), (400, "CannotStartWithCompilationError"));
    }
}

#[test]
fn an_unknown_column_type_does_not_compile() {
    let compile = |sql: &str| {
        let mut sim = Sim::new();
        assert_eq!(sim.create(sql).0, 201);
        sim.wait(1000);
        (sim.view().program_status, sim.get("/pipelines/p").1)
    };
    for unknown in ["STRNG", "FLOAT", "BIGINTT"] {
        let (state, object) = compile(&format!("CREATE TABLE t (id BIGINT,\n s {unknown}(3) NOT NULL);"));
        assert_eq!(state, "SqlError", "{unknown}");
        let message = &object["program_error"]["sql_compilation"]["messages"][0]["message"];
        assert!(message.as_str().is_some_and(|message| message.contains(unknown)), "{message}");
    }
    let sql = "CREATE TABLE t (a INT8, b varchar(3), c DECIMAL(4, 2), d INT ARRAY, e TIMESTAMP, f MAP<INT, INT>, \
        PRIMARY KEY (a, b));";
    let (state, object) = compile(sql);
    assert_eq!(state, "Success", "{object}");
    assert_eq!(object["program_info"]["schema"]["inputs"][0]["primary_key"], json!(["a", "b"]));
}

/// A real server keeps the verdict, whatever happens to the platform, until something that is compiled changes.
#[test]
fn what_the_platform_failed_to_compile_stays_so_until_the_program_changes() {
    for (failure, state) in [
        (CompilerFailure::System("No space left on device (os error 28)".to_owned()), "SystemError"),
        (CompilerFailure::Rust("error: could not compile `main` (signal: 9, SIGKILL: kill)\n".to_owned()), "RustError"),
    ] {
        let mut sim = Sim::new();
        sim.manager.fail_compilations(failure.clone());
        sim.create(SQL);
        assert_eq!(sim.wait(1000).view().program_status, state);
        let error = sim.get("/pipelines/p").1["program_error"].to_string();
        assert!(error.contains("os error 28") || error.contains("SIGKILL"), "{error}");
        let answer = sim.ask("POST", "/validate_program", &json!({ "program_code": SQL })).1;
        assert_eq!(answer["SystemError"].is_object(), state == "SystemError", "{answer}");
        sim.manager.fail_compilations(None);
        assert_eq!(rejection(&sim.post("/pipelines/p/start")), (400, "CannotStartWithCompilationError"));
        assert_eq!(sim.post("/pipelines/p/update_runtime").0, 200);
        assert_eq!(sim.ask("PATCH", "/pipelines/p", &json!({ "program_code": SQL })).0, 200);
        assert_eq!(sim.wait(60_000).view().program_status, state);
        assert_eq!(sim.ask("PATCH", "/pipelines/p", &json!({ "program_code": format!("{SQL}\n") })).0, 200);
        assert_eq!(sim.wait(1000).view().program_status, "Success");
    }
}

#[test]
fn a_start_is_a_wish_and_granted_step_by_step() {
    let mut sim = Sim::new().compiled();
    assert_eq!(sim.post("/pipelines/p/start?initial=paused"), (202, json!("Pipeline is starting")));
    assert_eq!(sim.status(), status("Stopped", "Paused"));
    assert_eq!(sim.view().storage, "Cleared");
    sim.wait(50);
    assert_eq!(sim.status(), status("Provisioning", "Paused"));
    let deployment = sim.view().deployment_id.expect("one");
    assert_eq!(sim.view().storage, "InUse");
    sim.wait(300);
    assert_eq!(sim.status(), status("Initializing", "Paused"));
    let initializing = sim.get("/pipelines/p/stats");
    assert_eq!(rejection(&initializing), (503, "Initializing"));
    sim.wait(50);
    assert_eq!(sim.status(), status("Paused", "Paused"));
    assert_eq!(sim.view().deployment_id.as_deref(), Some(deployment.as_str()));
    // The same start again is nothing; a different start is rejected.
    assert_eq!(sim.post("/pipelines/p/start?initial=paused").0, 202);
    assert_eq!(rejection(&sim.post("/pipelines/p/start")), (400, "InitialImmutableUnlessStopped"));
    assert_eq!(rejection(&sim.post("/pipelines/p/start?initial=zzz")), (405, "UnsupportedPipelineAction"));
}

#[test]
fn an_early_start_waits_for_the_compilation() {
    let mut sim = Sim::new();
    sim.create(SQL);
    assert_eq!(sim.post("/pipelines/p/start").0, 202);
    sim.wait(999);
    assert_eq!(sim.status(), status("Stopped", "Running"));
    sim.wait(1);
    assert_eq!(sim.status(), status("Provisioning", "Running"));

    let mut sim = Sim::new();
    sim.create("DROP TABLE t");
    sim.post("/pipelines/p/start");
    sim.wait(500);
    assert_eq!(sim.status(), status("Stopped", "Stopped"));
    let error = sim.view().error.expect("one");
    assert_eq!(error["error_code"], "StartFailedDueToFailedCompilation");
    let cause = "SqlError occurred (see `program_error` for more information)";
    assert_eq!(error["details"]["compiler_error"], cause);
}

#[test]
fn pause_and_resume_show_when_the_runner_looks() {
    let mut sim = Sim::new().running();
    assert_eq!(sim.post("/pipelines/p/pause"), (202, json!("Pipeline transitioning from Running to Paused")));
    assert_eq!(sim.status(), status("Running", "Running"));
    assert_eq!(sim.view().process.as_deref(), Some("Paused"));
    sim.wait(50);
    assert_eq!(sim.status(), status("Paused", "Paused"));
    assert_eq!(sim.post("/pipelines/p/pause"), (202, json!("Pipeline transitioning from Paused to Paused")));
    assert_eq!(sim.post("/pipelines/p/resume"), (202, json!("Pipeline transitioning from Paused to Running")));
    sim.wait(50);
    assert_eq!(sim.status(), status("Running", "Running"));
}

#[test]
fn what_needs_a_process_is_rejected_for_good_without_one() {
    let mut sim = Sim::new().compiled();
    for (method, path) in [
        ("POST", "pause"),
        ("POST", "resume"),
        ("POST", "approve"),
        ("POST", "start_transaction"),
        ("POST", "egress/v?format=json"),
        ("POST", "ingress/t"),
        ("GET", "stats"),
        ("GET", "completion_status?token=abc"),
        ("GET", "checkpoint_status"),
        ("GET", "query?sql=select%201"),
        ("GET", "tables/t/connectors/x/stats"),
    ] {
        let response = sim.send(method, &format!("/pipelines/p/{path}"), "text/plain", "");
        assert_eq!(response.headers()["retry-after"], "5", "{path}");
        let answer = super::read(&response);
        assert_eq!(rejection(&answer), NOT_DEPLOYED, "{path}");
        let details = json!({ "pipeline_name": "p", "status": "Stopped", "desired_status": "Stopped" });
        assert_eq!(answer.1["details"], details, "{path}");
    }
}

#[test]
fn a_stop_cannot_be_taken_back() {
    let mut sim = Sim::new().running();
    assert_eq!(sim.post("/pipelines/p/stop?force=true"), (202, json!("Pipeline is forcefully stopping")));
    assert_eq!(sim.status(), status("Running", "Stopped"));
    let rejected = sim.post("/pipelines/p/start");
    assert_eq!(rejection(&rejected), (400, "IllegalPipelineAction"));
    assert_eq!(rejected.1["details"]["status"], "Provisioned");
    sim.wait(50);
    assert_eq!(sim.status(), status("Stopping", "Stopped"));
    assert_eq!(sim.view().deployment_id, None);
    assert_eq!(sim.post("/pipelines/p/stop?force=true").0, 202);
    sim.wait(300);
    assert_eq!(sim.status(), status("Stopped", "Stopped"));
    assert_eq!(sim.post("/pipelines/p/stop?force=true").0, 202);
    assert_eq!(rejection(&sim.post("/pipelines/p/stop")), (501, "EnterpriseFeature"));
}

#[test]
fn each_deployment_is_another_and_starts_empty() {
    let mut sim = Sim::new().running();
    let first = sim.view();
    sim.token("t?format=csv", "1,true,1,x\n");
    assert_eq!(sim.wait(20).rows("t").len(), 1);
    sim.stop();
    sim.start();
    let second = sim.view();
    assert!(first.deployment_id != second.deployment_id && first.incarnation != second.incarnation);
    assert_eq!((second.deployments, sim.rows("t").len()), (2, 0));
}

#[test]
fn storage_is_cleared_while_stopped_and_a_start_waits_for_it() {
    let mut sim = Sim::new().running();
    assert_eq!(rejection(&sim.post("/pipelines/p/clear")), (400, "StorageStatusImmutableUnlessStopped"));
    sim.stop();
    assert_eq!(sim.view().storage, "InUse");
    assert_eq!(sim.post("/pipelines/p/clear"), (202, json!("Pipeline storage is being cleared")));
    assert_eq!(sim.view().storage, "Clearing");
    assert_eq!(rejection(&sim.post("/pipelines/p/start")), (400, "CannotStartWhileClearingStorage"));
    assert_eq!(sim.wait(200).view().storage, "Cleared");
    assert_eq!(sim.post("/pipelines/p/clear").0, 202);
    sim.start();
}

#[test]
fn the_open_edition_has_no_checkpoints() {
    let mut sim = Sim::new();
    for path in ["checkpoint", "checkpoint/sync"] {
        let answer = sim.post(&format!("/pipelines/nosuch/{path}"));
        let message = "Cannot use enterprise-only feature (checkpoint) in Feldera community edition.";
        let body =
            json!({ "message": message, "error_code": "EnterpriseFeature", "details": { "feature": "checkpoint" } });
        assert_eq!(answer, (501, body));
    }
    assert_eq!(rejection(&sim.post("/pipelines/nosuch/activate")), (501, "EnterpriseFeature"));
    assert_eq!(sim.get("/config").1["edition"], "Open source");
    assert_eq!(sim.get("/config/session").1["memberships"], json!([]));
    assert_ne!(sim.get("/cluster_healthz").1["all_healthy"], Value::Null);
}
