//! Jars, from the upload to what a run of one is answered.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::{Config, Exits, Program};
use super::{Sim, errors, read, text};

const PART: &str = "--b\r\nContent-Disposition: form-data; name=\"jarfile\"";

#[test]
fn an_upload_is_listed_newest_first_and_deleted_once() {
    let mut sim = Sim::new();
    let (status, answer) = read(&sim.upload("dir/my jöb.jar", &Program::endless("x").jar()));
    assert_eq!((status, &answer["status"]), (200, &json!("success")));
    let id = text(&answer["filename"]).rsplit('/').next().expect("an id").to_owned();
    assert!(id.ends_with("_my jöb.jar") && id.len() == 36 + "_my jöb.jar".len(), "{id}");
    sim.upload("broken.jar", b"this is not a jar");
    sim.jar(&Program::endless("y").without_main_class());
    let files = sim.get("/v1/jars").1["files"].clone();
    let names: Vec<_> = files.as_array().expect("files").iter().map(|file| file["name"].clone()).collect();
    assert_eq!(names, ["a.jar", "broken.jar", "my jöb.jar"]);
    assert_eq!(files[2]["entry"], json!([{ "name": "demo.Counting", "description": null }]));
    assert_eq!((&files[0]["entry"], &files[1]["entry"]), (&json!([]), &json!([])));
    assert_eq!(files[2]["id"], id);
    let path = format!("/v1/jars/{}", id.replace(' ', "%20").replace('ö', "%C3%B6"));
    assert_eq!(sim.ask("DELETE", &path, &Value::Null), (200, json!({})));
    let again = sim.ask("DELETE", &path, &Value::Null);
    assert_eq!(again.0, 400);
    assert!(errors(&again).contains(&format!("File {id} does not exist in")));
}

#[test]
fn an_upload_is_exactly_one_file_with_the_right_name() {
    let mut sim = Sim::new();
    let closed = format!("{PART}; filename=\"a.jar\"\r\n\r\n1\r\n");
    let two = format!("{closed}{closed}--b--\r\n");
    for (body, expected) in [
        (format!("{closed}--b--\r\n"), None),
        (closed.clone(), Some("Exactly 1 file must be sent, received 0.")),
        ("--b--\r\n".into(), Some("Exactly 1 file must be sent, received 0.")),
        (two, Some("Exactly 1 file must be sent, received 2.")),
        (format!("{PART}; filename=\"a.zip\"\r\n\r\n1\r\n--b--"), Some("Only Jar files are allowed.")),
        (format!("{PART}\r\n\r\nhello\r\n--b--"), Some("Received unknown attribute jarfile.")),
    ] {
        let answer = read(&sim.multipart(body.clone()));
        match expected {
            None => assert_eq!(answer.0, 200, "{body}"),
            Some(text) => assert!(answer.0 == 400 && errors(&answer).contains(text), "{body}: {answer:?}"),
        }
    }
    assert!(errors(&sim.post("/v1/jars/upload", &json!({}))).contains("received 0"));
    assert!(errors(&read(&sim.send("POST", "/v1/jars/upload", "PK"))).contains("EmptyRequestBody"));
}

#[test]
fn an_id_with_a_plus_is_found_when_it_is_encoded_twice() {
    let mut sim = Sim::new();
    sim.upload("a+b.jar", &Program::endless("x").jar());
    let id = sim.cluster.jars().swap_remove(0);
    assert_eq!(sim.get(&format!("/v1/jars/{}/plan", id.replace('+', "%252B"))).0, 200);
    let once = sim.get(&format!("/v1/jars/{}/plan", id.replace('+', "%2B")));
    assert_eq!(once.0, 500);
    assert!(errors(&once).contains("does not exist"));
}

#[test]
fn a_run_answers_with_the_job_and_takes_what_it_is_told() {
    let mut sim = Sim::new();
    let id = "A".repeat(32);
    let body = json!({ "jobId": id, "parallelism": 2, "programArgsList": ["--name", "named"], "savepointPath": null });
    let jar = sim.jar(&Program::endless("x"));
    let answer = sim.post(&format!("/v1/jars/{jar}/run?parallelism=3&programArg=--name,query"), &body);
    let id = id.to_ascii_lowercase();
    assert_eq!(answer, (200, json!({ "jobid": id, "applicationId": id })));
    let view = &sim.cluster.jobs()[0];
    assert_eq!((view.name.as_str(), view.parallelism), ("named", 2));
    sim.post(&format!("/v1/jars/{jar}/run?parallelism=3&programArg=--name,query"), &Value::Null);
    let view = &sim.cluster.jobs()[1];
    assert_eq!((view.name.as_str(), view.parallelism), ("query", 3));
    let old = Sim::version("1.18.1").run(&Program::endless("x"), &json!({}));
    assert!(old.1.get("applicationId").is_none());
}

#[test]
fn the_single_argument_string_is_silently_dropped_by_2x() {
    for (version, name) in [("1.20.5", "one string"), ("2.3.0", "x")] {
        let mut sim = Sim::version(version);
        assert_eq!(sim.run(&Program::endless("x"), &json!({ "programArgs": "--name 'one string'" })).0, 200);
        assert_eq!(sim.cluster.jobs()[0].name, name, "{version}");
    }
}

#[test]
fn a_job_id_is_used_up_even_when_its_job_has_ended() {
    let mut sim = Sim::new();
    let body = json!({ "jobId": "a".repeat(32) });
    let program = Program::bounded("x", 10);
    assert_eq!(sim.run(&program, &body).0, 200);
    sim.wait(1000);
    assert_eq!(sim.state(&"a".repeat(32)), "FINISHED");
    let again = sim.run(&program, &body);
    assert_eq!(again.0, 400);
    assert!(
        errors(&again).contains("DuplicateApplicationSubmissionException: Application has already been submitted.")
    );
    assert_eq!(sim.cluster.jobs().len(), 1);
    sim.cluster.restart(sim.now, Duration::ZERO);
    assert_eq!(sim.run(&program, &body).0, 200);
}

#[test]
fn a_run_fails_in_the_ways_of_its_program() {
    let cases = [
        (Program::endless("x").main_fails("boom"), json!({}), 400, "The main method caused an error: boom", 0),
        (Program::endless("x").never_executes(), json!({}), 400, "No jobs included in application.", 0),
        (Program::endless("x").main_fails_after_submit(), json!({}), 400, "after the job was submitted", 1),
        (Program::endless("x").without_main_class(), json!({}), 500, "Neither a 'Main-Class'", 0),
        (Program::endless("x"), json!({ "entryClass": "demo.Nope" }), 500, "'demo.Nope' was not found", 0),
        (Program::endless("x"), json!({ "parallelism": 0 }), 400, "Parallelism must be at least one", 0),
        (Program::endless("x"), json!({ "savepointPath": "file:///nope/1" }), 400, "Cannot find checkpoint", 1),
    ];
    for (program, body, status, expected, jobs) in cases {
        let mut sim = Sim::new();
        let answer = sim.run(&program, &body);
        assert!(answer.0 == status && errors(&answer).contains(expected), "{answer:?}");
        assert_eq!(sim.cluster.jobs().len(), jobs, "{expected}");
    }
    let named = Program::endless("x").without_main_class().entry_class("a.B");
    assert_eq!(Sim::new().run(&named, &json!({ "entryClass": "a.B" })).0, 200);
    assert_eq!(Sim::new().run(&Program::endless("x"), &json!({ "parallelism": -1 })).0, 200);
    let mut sim = Sim::new();
    sim.upload("b.jar", b"");
    let id = sim.cluster.jars().swap_remove(0);
    let broken = sim.post(&format!("/v1/jars/{id}/run"), &json!({}));
    assert!(broken.0 == 500 && errors(&broken).contains("Error while opening jar file"));
}

#[test]
fn a_job_that_cannot_be_initialized_is_there_and_has_no_scheduler() {
    let mut sim = Sim::new();
    sim.run(&Program::endless("x"), &json!({ "savepointPath": "/nope" }));
    let entry = sim.get("/v1/jobs/overview").1["jobs"][0].clone();
    assert_eq!(
        (&entry["state"], &entry["schedulerType"], &entry["tasks"]["total"]),
        (&json!("FAILED"), &Value::Null, &json!(0))
    );
}

#[test]
fn state_without_an_operator_has_to_be_left_behind_on_purpose() {
    let mut sim = Sim::new();
    let job = sim.job(&Program::endless("x"));
    sim.trigger(&job, "stop", 1);
    sim.wait(1000);
    let path = sim.cluster.savepoints()[0].path.clone();
    let program = Program::endless("x").state_dropped();
    let rejected = sim.run(&program, &json!({ "savepointPath": path }));
    assert!(rejected.0 == 400 && errors(&rejected).contains("--allowNonRestoredState"));
    assert_eq!(sim.run(&program, &json!({ "savepointPath": path, "allowNonRestoredState": true })).0, 200);
}

#[test]
fn a_plan_is_made_and_every_failure_of_it_is_500() {
    let mut sim = Sim::new();
    let jar = sim.jar(&Program::endless("x").parallelism(3));
    let (status, answer) = sim.post(&format!("/v1/jars/{jar}/plan"), &json!({}));
    assert_eq!(
        (status, &answer["plan"]["name"], &answer["plan"]["nodes"][0]["parallelism"]),
        (200, &json!("x"), &json!(3))
    );
    assert!(sim.cluster.jobs().is_empty());
    for program in [Program::endless("x").main_fails("boom"), Program::endless("x").never_executes()] {
        let jar = sim.jar(&program);
        assert_eq!(sim.get(&format!("/v1/jars/{jar}/plan")).0, 500);
    }
    assert_eq!(sim.get("/v1/jars/nope.jar/plan").0, 500);
    assert_eq!(Sim::version("1.13.6").get("/v1/jars/nope.jar/plan").0, 400);
}

#[test]
fn uploads_vanish_with_the_job_manager_unless_retained() {
    for retain_uploads in [false, true] {
        let mut sim = Sim::with(Config { retain_uploads, ..Config::default() });
        sim.jar(&Program::endless("x"));
        sim.cluster.restart(sim.now, Duration::ZERO);
        assert_eq!(sim.cluster.jars().len(), usize::from(retain_uploads));
    }
}

/// The response is never sent, the process that served it is gone, and what it held in memory with it.
#[test]
fn a_main_method_that_exits_kills_the_job_manager() {
    let process = |sim: &mut Sim| {
        let entries = sim.get("/v1/jobmanager/config").1;
        let entry = entries.as_array().expect("entries").iter().find(|entry| entry["key"] == "web.tmpdir").cloned();
        text(&entry.expect("a directory of its own")["value"])
    };
    // When it exits, and whether it dies of a plan and of a run, and leaves a job.
    for (when, dies, leaves) in [
        (Exits::Always, [true, true], false),
        (Exits::BeforeExecute, [false, true], false),
        (Exits::AfterExecute, [false, true], true),
    ] {
        for (high_availability, standby) in [(true, false), (true, true), (false, false)] {
            let mut sim = Sim::with(Config { high_availability, standby, retain_uploads: true, ..Config::default() });
            let before = sim.job(&Program::endless("before"));
            let jar = sim.jar(&Program::endless("x").exits(when));
            let first = process(&mut sim);
            let mut deaths = 0;
            for (what, dies) in ["plan", "run"].into_iter().zip(dies) {
                let response = sim.send("POST", &format!("/v1/jars/{jar}/{what}"), "");
                assert_eq!(response.extensions().get::<crate::NoAnswer>().is_some(), dies, "{when:?}, {what}");
                deaths += usize::from(dies);
                assert_eq!(sim.cluster.exits().len(), deaths);
                assert_eq!(
                    sim.get("/v1/overview").0,
                    if !dies {
                        200
                    } else if standby {
                        500
                    } else {
                        503
                    }
                );
                sim.wait(2500);
            }
            assert_ne!(process(&mut sim), first);
            let jobs = if high_availability { 1 + usize::from(leaves) } else { 0 };
            assert_eq!(sim.cluster.jobs().len(), jobs, "{when:?}");
            assert_eq!(sim.cluster.jobs().iter().any(|job| job.id == before), high_availability);
        }
    }
}

/// The endpoint of a standby lives on when the leader dies, and says so when it has waited long enough.
#[test]
fn a_leader_that_is_lost_leaves_the_answer_to_the_process_in_front() {
    let mut sim = Sim::with(Config { standby: true, ..Config::default() });
    let lose = |sim: &mut Sim, method: http::Method, path: &str| {
        let mut request = http::Request::new(bytes::Bytes::new());
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().expect("a path");
        let response = sim.cluster.handle(sim.now, &request);
        let (after, response) = sim.cluster.lose_leader(sim.now, Duration::from_secs(1), &request, response)?;
        sim.wait(3000);
        Some((after.as_secs(), response.status().as_u16(), String::from_utf8_lossy(response.body()).into_owned()))
    };
    let jar = sim.jar(&Program::endless("x"));
    let run = format!("/v1/jars/{jar}/run");
    let post = || http::Method::POST;
    let (after, status, text) = lose(&mut sim, post(), &run).expect("it answers");
    assert_eq!((after, status), (60, 400));
    assert!(text.contains("Could not execute application.") && text.contains("AskTimeoutException"), "{text}");
    let (after, status, _) = lose(&mut sim, post(), "/v1/jobs/0/stop").expect("it answers");
    assert_eq!((after, status), (600, 500));
    // It does not ask the leader for these, and keeps its uploads.
    let fails = sim.jar(&Program::endless("x").main_fails("no"));
    for (method, path, expected) in [
        (post(), format!("/v1/jars/{jar}/plan"), 200),
        (post(), "/v1/jars/no.jar/run".to_owned(), 500),
        (post(), format!("/v1/jars/{fails}/run"), 400),
        (http::Method::GET, "/v1/jobmanager/config".to_owned(), 200),
        (http::Method::GET, "/v1/jars".to_owned(), 200),
    ] {
        let (after, status, text) = lose(&mut sim, method, &path).expect("it answers");
        assert_eq!((after, status), (0, expected), "{path}: {text}");
        assert!(!text.contains("AskTimeoutException"), "{path}: {text}");
        assert_eq!(sim.cluster.jars().len(), 2, "{path}");
    }
    let mut alone = Sim::new();
    let jar = alone.jar(&Program::endless("x"));
    assert!(lose(&mut alone, post(), &format!("/v1/jars/{jar}/run")).is_none());
    assert!(alone.cluster.jars().is_empty());
}
