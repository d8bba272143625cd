//! Applications of 2.3: around jobs that are submitted alone, and those that `run-application` starts.

use serde_json::{Value, json};

use super::super::Program;
use super::{Sim, errors, text};

impl Sim {
    fn application(&mut self, program: &Program, body: &Value) -> String {
        let jar = self.jar(program);
        let (status, answer) = self.post(&format!("/v1/jars/{jar}/run-application"), body);
        assert_eq!(status, 202, "{answer}");
        text(&answer["applicationid"])
    }

    fn application_status(&mut self, id: &str) -> String {
        text(&self.get(&format!("/v1/applications/{id}")).1["status"])
    }

    fn exception(&mut self, id: &str) -> Value {
        self.get(&format!("/v1/applications/{id}/exceptions")).1["exceptionHistory"]["entries"][0].clone()
    }
}

#[test]
fn a_job_that_is_submitted_alone_is_an_application_by_itself() {
    let mut sim = Sim::new();
    assert_eq!(sim.get("/v1/applications/overview"), (200, json!({ "applications": [] })));
    let job = sim.job(&Program::bounded("import", 100));
    let summary = sim.get("/v1/applications/overview").1["applications"][0].clone();
    assert_eq!((&summary["id"], &summary["name"]), (&json!(job), &json!("SingleJobApplication(import)")));
    assert_eq!((&summary["status"], &summary["end-time"]), (&json!("RUNNING"), &json!(-1)));
    assert_eq!(summary["jobs"], json!({ "RUNNING": 1 }));
    let details = sim.get(&format!("/v1/applications/{job}")).1;
    assert_eq!(
        (&details["timestamps"]["FINISHED"], details["timestamps"].as_object().map(serde_json::Map::len)),
        (&json!(0), Some(7))
    );
    assert_eq!(details["jobs"][0]["jid"], job);
    sim.wait(2000);
    assert_eq!(sim.application_status(&job), "FINISHED");
    assert_eq!(sim.exception(&job), Value::Null);
    let failed = sim.job(&Program::endless("x").fails_after(1).restarts(0));
    sim.wait(1000);
    assert_eq!(sim.application_status(&failed), "FAILED");
    let exception = sim.exception(&failed);
    assert_eq!(
        (&exception["jobId"], &exception["exceptionName"]),
        (&json!(failed), &json!("org.apache.flink.runtime.JobException"))
    );
}

#[test]
fn an_application_has_an_id_of_its_own_and_ends_some_time_after_its_job() {
    let mut sim = Sim::new();
    let chosen = "AAAABBBB00000000000000000000CAFE";
    let id = sim.application(&Program::bounded("import", 10), &json!({ "applicationId": chosen }));
    assert_eq!(id, chosen.to_ascii_lowercase());
    sim.wait(1000);
    let details = sim.get(&format!("/v1/applications/{id}")).1;
    assert_eq!((&details["name"], &details["status"]), (&json!("demo.Counting"), &json!("RUNNING")));
    let job = text(&details["jobs"][0]["jid"]);
    assert_ne!(job, id);
    assert_eq!(sim.state(&job), "FINISHED");
    assert_eq!(sim.get(&format!("/v1/jobs/{job}")).1["application-id"], id);
    sim.wait(2000);
    assert_eq!(sim.application_status(&id), "FINISHED");
    let list = sim.get("/v1/applications/overview").1["applications"].clone();
    assert_eq!((list.as_array().map(Vec::len), &list[0]["jobs"]), (Some(1), &json!({ "FINISHED": 1 })));
}

#[test]
fn an_id_names_one_application_or_job() {
    let mut sim = Sim::new();
    let body = json!({ "applicationId": "c".repeat(32) });
    sim.application(&Program::endless("x"), &body);
    let jar = sim.cluster.jars().swap_remove(0);
    let again = sim.post(&format!("/v1/jars/{jar}/run-application"), &body);
    assert!(again.0 == 400 && errors(&again).contains("DuplicateApplicationSubmissionException"), "{again:?}");
    let job = sim.post(&format!("/v1/jars/{jar}/run"), &json!({ "jobId": "c".repeat(32) }));
    assert!(job.0 == 400 && errors(&job).contains("Application has already been submitted."), "{job:?}");
    assert_eq!(sim.cluster.jobs().len(), 1);
}

#[test]
fn how_main_fails_shows_in_the_application_alone() {
    let mut sim = Sim::new();
    for program in [Program::endless("x").main_fails("boom"), Program::endless("x").main_fails_after_submit()] {
        let id = sim.application(&program, &json!({}));
        sim.wait(500);
        assert_eq!(sim.application_status(&id), "FAILED");
        let exception = sim.exception(&id);
        let name = "org.apache.flink.client.deployment.application.ApplicationExecutionException";
        assert_eq!((&exception["exceptionName"], exception.get("jobId")), (&json!(name), None));
        assert!(text(&exception["stacktrace"]).contains("The main method caused an error: "), "{exception}");
    }
    // What the second one submitted was cancelled.
    let states: Vec<_> = sim.cluster.jobs().iter().map(|job| job.state.clone()).collect();
    assert_eq!(states, ["CANCELED"]);
    let id = sim.application(&Program::endless("x").never_executes(), &json!({}));
    assert_eq!(sim.application_status(&id), "FINISHED");
}

#[test]
fn a_failed_job_fails_its_application() {
    let mut sim = Sim::new();
    let id = sim.application(&Program::endless("x").fails_after(1).restarts(0), &json!({}));
    sim.wait(3000);
    assert_eq!(sim.application_status(&id), "FAILED");
    let exception = sim.exception(&id);
    let job = sim.cluster.jobs()[0].id.clone();
    assert_eq!(
        (&exception["jobId"], &exception["exceptionName"]),
        (&json!(job), &json!("org.apache.flink.runtime.client.JobExecutionException"))
    );
    assert!(text(&exception["stacktrace"]).contains("Caused by: java.lang.IllegalStateException: demo: told to fail"));
}

#[test]
fn a_cancelled_application_cancels_its_job_and_an_ended_one_is_not_found() {
    let mut sim = Sim::new();
    let id = sim.application(&Program::endless("x"), &json!({}));
    sim.wait(500);
    let path = format!("/v1/applications/{id}/cancel");
    assert_eq!(sim.post(&path, &Value::Null), (202, json!({})));
    assert_eq!(sim.application_status(&id), "CANCELING");
    assert_eq!(sim.wait(200).application_status(&id), "CANCELING");
    assert_eq!(sim.cluster.jobs()[0].state, "CANCELED");
    assert_eq!(sim.wait(2000).application_status(&id), "CANCELED");
    for path in [path, format!("/v1/applications/{}/cancel", "0".repeat(32))] {
        let answer = sim.post(&path, &Value::Null);
        assert!(answer.0 == 404 && errors(&answer).contains("Application could not be found."), "{answer:?}");
    }
    let single = sim.job(&Program::endless("y"));
    assert_eq!(sim.post(&format!("/v1/applications/{single}/cancel"), &Value::Null).0, 202);
    assert_eq!(sim.wait(200).application_status(&single), "CANCELED");
}

#[test]
fn applications_are_forgotten_with_their_jobs_and_by_another_job_manager() {
    let mut sim = Sim::new();
    let running = sim.application(&Program::endless("x"), &json!({}));
    let ended = sim.application(&Program::bounded("y", 1), &json!({}));
    let failed = sim.application(&Program::endless("z").main_fails("boom"), &json!({}));
    sim.wait(3000);
    sim.cluster.restart(sim.now, std::time::Duration::ZERO);
    assert_eq!(sim.wait(1000).application_status(&running), "RUNNING");
    for id in [ended, failed] {
        assert_eq!(sim.get(&format!("/v1/applications/{id}")).0, 500);
    }
    let path = format!("/v1/applications/{running}");
    sim.post(&format!("{path}/cancel"), &Value::Null);
    assert_eq!(sim.wait(3_599_000).get(&path).0, 200);
    assert_eq!(sim.wait(2000).get(&path).0, 500);
}

#[test]
fn older_releases_have_no_applications() {
    for path in ["/v1/applications/overview", "/v1/applications/x", "/v1/applications/x/exceptions"] {
        assert_eq!(Sim::version("2.2.1").get(path).0, 404, "{path}");
        assert_ne!(Sim::new().get(path).0, 404, "{path}");
    }
}
