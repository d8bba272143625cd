//! Panics, kills, freezes, a wedged circuit, a manager that is down.

use std::time::Duration;

use serde_json::json;

use super::{Config, Edition, NOT_DEPLOYED, Release, SQL, Sim, rejection, status};

#[test]
fn a_panic_is_410_for_four_seconds_and_then_the_end() {
    let mut sim = Sim::new().running();
    let token = sim.token("t?format=csv", "1,true,1,x\n");
    assert!(sim.view().answers);
    sim.manager.panic("p", "deliberate");
    for answer in [sim.completion(&token), sim.ingress("t", ""), sim.get("/pipelines/p/stats")] {
        assert_eq!(rejection(&answer), (410, "Terminating"));
    }
    // The manager knows of nothing.
    assert!(!sim.view().answers);
    assert_eq!(sim.get("/pipelines/p").1["deployment_error"], json!(null));
    assert_eq!(sim.wait(3999).status(), status("Running", "Running"));
    assert_eq!(sim.wait(1).status(), status("Stopping", "Stopped"));
    assert_eq!(sim.wait(300).status(), status("Stopped", "Stopped"));
    assert_eq!(sim.view().error.expect("one")["error_code"], "RuntimeError.WorkerPanic");
    assert_eq!(rejection(&sim.completion(&token)), NOT_DEPLOYED);
    let undismissed = sim.post("/pipelines/p/start?dismiss_error=false");
    assert_eq!(rejection(&undismissed), (400, "CannotStartWithUndismissedError"));
    assert_eq!(sim.post("/pipelines/p/dismiss_error").0, 200);
    assert_eq!(sim.view().error, None);
    assert_eq!(sim.post("/pipelines/p/start?dismiss_error=false").0, 202);
}

#[test]
fn a_panic_that_is_reported_is_500_until_the_end() {
    let mut sim = Sim::new().running();
    let token = sim.token("t?format=csv", "1,true,1,x\n");
    sim.manager.report_panic("p", "deliberate");
    for answer in [sim.completion(&token), sim.ingress("t", ""), sim.post("/pipelines/p/pause")] {
        assert_eq!(rejection(&answer), (500, "RuntimeError.WorkerPanic"));
        assert!(answer.1["message"].as_str().is_some_and(|text| text.contains("panic message: deliberate")));
    }
    assert_eq!(sim.wait(3999).status(), status("Running", "Running"));
    assert_eq!(sim.wait(301).status(), status("Stopped", "Stopped"));
    assert_eq!(sim.view().error.expect("one")["error_code"], "RuntimeError.WorkerPanic");
}

#[test]
fn a_killed_process_refuses_connections_until_the_runner_sees_it() {
    let mut sim = Sim::new().running();
    sim.manager.kill("p");
    let answer = sim.ingress("t?format=csv", "1,true,1,x\n");
    assert_eq!(rejection(&answer), (503, "PipelineInteractionUnreachable"));
    assert!(answer.1["message"].as_str().is_some_and(|text| text.contains("Failed to connect to host")));
    assert!(!sim.view().answers);
    assert_eq!(sim.wait(4999).status(), status("Running", "Running"));
    assert_eq!(rejection(&sim.get("/pipelines/p/stats")), (503, "PipelineInteractionUnreachable"));
    sim.wait(351);
    assert_eq!(sim.status(), status("Stopped", "Stopped"));
    assert_eq!(sim.view().error.expect("one")["error_code"], "RunnerCheckError");
    sim.start();
    assert_eq!(sim.view().error, None);
}

#[test]
fn a_frozen_process_is_unavailable_and_comes_back_by_itself() {
    let mut sim = Sim::new().running();
    let before = sim.view();
    sim.manager.freeze("p", Duration::from_secs(10));
    let answer = sim.get("/pipelines/p/stats");
    assert!(answer.1["message"].as_str().is_some_and(|text| text.contains("timeout (10s) was reached")));
    sim.wait(5000);
    assert_eq!(sim.status(), status("Unavailable", "Unavailable"));
    assert_eq!(rejection(&sim.get("/pipelines/p/stats")), (503, "PipelineUnavailable"));
    sim.wait(5000);
    assert_eq!(sim.status(), status("Running", "Running"));
    assert_eq!(sim.get("/pipelines/p/stats").0, 200);
    let after = sim.view();
    assert_eq!((before.deployment_id, before.incarnation), (after.deployment_id, after.incarnation));
}

#[test]
fn a_short_freeze_goes_unseen() {
    let mut sim = Sim::new().running();
    sim.manager.freeze("p", Duration::from_secs(1));
    sim.wait(1000);
    assert_eq!(sim.status(), status("Running", "Running"));
    assert_eq!(sim.get("/pipelines/p/stats").0, 200);
}

#[test]
fn a_wedged_circuit_shows_in_the_counters_only() {
    let mut sim = Sim::new().running();
    sim.manager.wedge("p");
    let token = sim.token("t?format=csv", "1,true,1,x\n");
    sim.wait(3_600_000);
    assert_eq!(sim.completion(&token).1["status"], "inprogress");
    assert_eq!(sim.status(), status("Running", "Running"));
    let metrics = sim.get("/pipelines/p/stats").1["global_metrics"].clone();
    assert_eq!((&metrics["total_initiated_steps"], &metrics["total_completed_steps"]), (&json!(1), &json!(0)));
    sim.stop();
}

#[test]
fn weighted_and_redis_updates_wedge_the_circuit() {
    for update in ["weighted", "redis"] {
        let mut sim = Sim::new().running();
        let answer = sim.ingress(&format!("t?format=json&update_format={update}"), "{}");
        assert_eq!(rejection(&answer), (503, "PipelineInteractionUnreachable"));
        assert!(answer.1["message"].as_str().is_some_and(|text| text.contains("the pipeline disconnected")));
        let token = sim.token("t?format=csv", "1,true,1,x\n");
        sim.wait(60_000);
        assert_eq!(sim.completion(&token).1["status"], "inprogress");
        assert_eq!(sim.status(), status("Running", "Running"));
    }
}

#[test]
fn a_stop_ends_whatever_is_wrong() {
    for harm in [
        |sim: &mut Sim| sim.manager.panic("p", "x"),
        |sim: &mut Sim| sim.manager.kill("p"),
        |sim: &mut Sim| {
            sim.manager.freeze("p", Duration::from_secs(3600));
        },
    ] {
        let mut sim = Sim::new().running();
        harm(&mut sim);
        sim.stop();
        assert_eq!(sim.wait(10_000).status(), status("Stopped", "Stopped"));
        assert_eq!(sim.view().error, None);
        sim.start();
    }
}

#[test]
fn a_manager_that_is_down_leaves_pipelines_running() {
    let mut sim = Sim::new().running();
    let now = sim.now;
    let deployment = sim.view().deployment_id;
    sim.manager.restart(now, Duration::from_secs(5));
    assert_eq!(sim.get("/pipelines").0, 502);
    assert_eq!(sim.wait(4999).get("/pipelines").0, 502);
    assert_eq!(sim.wait(1).get("/pipelines").0, 200);
    assert_eq!(sim.view().deployment_id, deployment);
}

#[test]
fn ids_come_from_the_seed() {
    let incarnation = |seed| {
        let sim = Sim::with(super::Config { seed, ..super::Config::default() }).running();
        sim.view().incarnation.expect("one")
    };
    assert_eq!(incarnation(1), incarnation(1));
    assert_ne!(incarnation(1), incarnation(2));
}

#[test]
fn since_0_375_weighted_updates_are_rejected() {
    let mut sim = Sim::with(Config { release: Release::V0_375, ..Config::default() }).running();
    let answer = sim.ingress("t?format=json&update_format=weighted", "{}");
    assert_eq!(rejection(&answer), (400, "ConfigError.ParserConfigParseError"));
    assert!(!answer.1.to_string().contains("`weighted`, `debezium`"), "{answer:?}");
    let token = sim.token("t?format=csv", "1,true,1,x\n");
    sim.wait(1000);
    assert_eq!(sim.completion(&token).1["status"], "complete");
}

/// A way to lose a process, and what the pipeline ends with.
type Death = (fn(&mut Sim), &'static str);

const DEATHS: [Death; 3] = [
    (|sim| sim.manager.kill("p"), "RunnerCheckError"),
    (|sim| sim.manager.panic("p", "x"), "RuntimeError.WorkerPanic"),
    (|sim| sim.manager.report_panic("p", "x"), "RuntimeError.WorkerPanic"),
];

#[test]
fn a_dead_process_does_not_thaw() {
    for (die, code) in DEATHS {
        let mut sim = Sim::new().running();
        die(&mut sim);
        sim.manager.freeze("p", Duration::from_secs(1));
        sim.wait(2000);
        assert_ne!(sim.get("/pipelines/p/stats").0, 200);
        sim.wait(10_000);
        assert_eq!(sim.status(), status("Stopped", "Stopped"));
        assert_eq!(sim.view().error.expect("one")["error_code"], code);
    }
}

#[test]
fn a_process_that_does_not_answer_is_not_suspended() {
    for (die, code) in DEATHS {
        for wait in [0, 60] {
            let mut sim = Sim::enterprise().running();
            assert_eq!(sim.post("/pipelines/p/stop").0, 202);
            sim.wait(wait);
            die(&mut sim);
            sim.wait(10_000);
            assert_eq!(sim.status(), status("Stopped", "Stopped"));
            assert_eq!((sim.view().checkpoints, &sim.view().error.expect("one")["error_code"]), (0, &json!(code)));
        }
    }
    let mut sim = Sim::enterprise().running();
    assert_eq!(sim.post("/pipelines/p/stop").0, 202);
    sim.manager.freeze("p", Duration::from_secs(4));
    sim.wait(3900);
    assert_eq!((sim.status(), sim.view().checkpoints), (status("Running", "Running"), 0));
    sim.wait(2000);
    assert_eq!((sim.status(), sim.view().checkpoints), (status("Stopped", "Stopped"), 1));
}

#[test]
fn before_0_148_a_wish_does_not_thaw_a_process() {
    let mut sim = Sim::with(Config { release: Release::V0_130, ..Config::default() }).running();
    sim.manager.freeze("p", Duration::from_secs(20));
    sim.wait(6000);
    assert_eq!(sim.post("/pipelines/p/pause").0, 202);
    sim.wait(6000);
    assert_eq!(sim.status(), status("Unavailable", "Paused"));
    sim.wait(9000);
    assert_eq!(sim.status(), status("Paused", "Paused"));
}

#[test]
fn a_suspend_that_cannot_make_its_checkpoint_ends_in_an_error() {
    for storage in [json!({}), json!(null)] {
        let mut sim = Sim::with(Config { edition: Edition::Enterprise, ..Config::default() });
        let body = json!({ "name": "p", "program_code": SQL, "runtime_config": { "storage": storage } });
        assert_eq!(sim.ask("POST", "/pipelines", &body).0, 201);
        sim.wait(1000);
        sim.start();
        sim.manager.fail_checkpoints("p", !storage.is_null());
        assert_eq!(sim.post("/pipelines/p/stop").0, 202);
        sim.wait(5000);
        assert_eq!((sim.status(), sim.view().checkpoints), (status("Stopped", "Stopped"), 0));
        assert_eq!(sim.view().error.expect("one")["error_code"], "SuspendError");
    }
}
