//! After a failed upgrade, the next run can always continue, and no option is lost.

use std::fs;
use std::process::Command;
use std::time::Duration;

use pipewright::flink::{JobId, TriggerCheckpoint};
use pipewright_mock::flink::{Config, Exits, Program};
use pipewright_mock::{Fault, FaultPlan};
use serde_json::Value;

use crate::outcomes::{bad, endless, interrupted_with, replace, run_next, stop};
use crate::relay::When;
use crate::stage::{SECRET, Said, Stage};

const UNKNOWN: &str = "00000000000000000000000000000001";

fn next(result: &Value) -> Vec<&str> {
    result["next"].as_array().expect("commands").iter().map(|command| command.as_str().expect("text")).collect()
}

/// The tool without `--arg`, as its own commands call it while there is a state.
fn resume(stage: &Stage) -> Command {
    let mut command = stage.bare();
    command.args(["--url", stage.server.url(), "--jar", "old.jar", "--next-jar", "new.jar", "--state", "state.json"]);
    command.args(["--settle", "20"]);
    command
}

/// A start whose answer was lost, on a cluster that does not show whether its JobManager died.
fn lose_the_start(stage: &Stage) {
    let page = |status| Fault::ProxyPage { status, applied: false };
    let plan = FaultPlan::none().nth_of("submitJobFromJar", 1, page(http::StatusCode::BAD_GATEWAY));
    let barred = page(http::StatusCode::FORBIDDEN);
    stage.server.set_faults((1..=20).fold(plan, |plan, nth| plan.nth_of("getClusterConfigurationInfo", nth, barred)));
}

#[test]
fn a_lost_start_without_a_state_names_the_job() {
    let stage = Stage::new(&endless("new"));
    lose_the_start(&stage);
    let mut command = stage.bare();
    command.args(["--url", stage.server.url(), "--jar", "old.jar", "--next-jar", "new.jar"]);
    let result = Stage::run(&mut command).ended(4, "it may run");
    let job = result["job"].as_str().expect("an id");
    let commands = next(&result);
    assert_eq!(commands[0], format!("curl {}/v1/jobs/{job}/status", stage.server.url()));
    assert!(commands.len() == 2 && commands[1].ends_with(&format!(" --job {job}")), "{result}");
    // It does not run, and nothing else is started.
    run_next(&stage, &result, 1).ended(1, job);
    assert!(stage.alive().is_empty());
}

/// The state is the only place that has the id of a job that was submitted.
#[test]
fn a_rollback_names_the_job_that_was_submitted() {
    for (when, code) in [(When::After, 5), (When::Before, 4)] {
        let stage = Stage::new(&endless("new"));
        let (said, _) = stage.run_behind_relay(move |_, request, at| request.contains("/run ") && at == when);
        assert!(said.code.is_none(), "{said:?}");
        stage.use_address(stage.server.url());
        let result = Stage::run(stage.tool().arg("--roll-back")).ended(code, "nothing to roll back");
        let job = result["job"].as_str().expect("an id");
        let commands = next(&result);
        assert_eq!(commands.last(), Some(&"rm state.json"));
        match when {
            When::After => assert_eq!((job, commands.len()), (&*stage.alive()[0].id, 1)),
            When::Before => assert!(commands[0].ends_with(&format!("/jobs/{job}/status")), "{result}"),
        }
        Stage::run(&mut stage.tool()).ended(0, "upgraded");
        stage.check_end("new", "resumed all the same");
    }
}

#[test]
fn a_rollback_of_nothing_names_no_file_that_is_removed() {
    for (point, text) in [("1:before", "nothing to roll back"), ("1:after", "nothing needs to be rolled back")] {
        let stage = Stage::new(&endless("new")).with_job();
        // It is killed before anything is stopped.
        Stage::run(stage.tool().env("FLINK_UPGRADE_ABORT_AT", point));
        let has_state = stage.has_state();
        let result = Stage::run(stage.tool().arg("--roll-back")).ended(5, text);
        assert!(has_state && !stage.has_state() && next(&result).is_empty(), "{result}");
    }
}

/// A job that certainly does not exist leaves nothing to resume.
#[test]
fn an_old_jar_that_was_rejected_can_be_corrected() {
    let stage = Stage::of(&endless("old").main_fails("no such topic"), &endless("new"));
    let result = Stage::run(&mut stage.tool()).ended(1, "no such topic");
    assert!(!stage.has_state(), "{result}");
    replace(&stage, "old.jar", &endless("old"));
    run_next(&stage, &result, 0).ended(0, "upgraded");
    stage.check_end("new", "corrected");
}

/// Its main method fails after it has submitted the job.
#[test]
fn an_old_jar_whose_job_runs_all_the_same_keeps_its_state() {
    let stage = Stage::of(&endless("old").main_fails_after_submit(), &endless("new"));
    let result = Stage::run(&mut stage.tool()).ended(5, "but the job was submitted");
    assert!(stage.has_state() && result["job"] == stage.alive()[0].id, "{result}");
    run_next(&stage, &result, 0);
    assert_eq!(stage.alive().len(), 1);
}

#[test]
fn a_new_jar_for_a_savepoint_can_be_corrected() {
    let stage = Stage::new(&endless("new").main_fails("no such topic")).with_job();
    let path = stop(&stage);
    let result = Stage::run(stage.tool().args(["--from-savepoint", &path])).ended(6, "no such topic");
    assert!(!stage.has_state() && result["savepoint"] == path, "{result}");
    replace(&stage, "new.jar", &endless("new"));
    run_next(&stage, &result, 1).ended(0, "upgraded");
    stage.check_end("new", "corrected");
}

/// A run that resumes gets the arguments from the state. The commands to run next have them, too.
#[test]
fn the_next_command_has_the_arguments_that_the_state_held() {
    let stage = Stage::new(&bad()).with_job();
    stage.run_behind_relay(|_, request, when| request.contains("/run ") && when == When::Before);
    stage.use_address(stage.server.url());
    let result = Stage::run(&mut resume(&stage)).ended(3, "rolled back: ");
    let commands = next(&result);
    assert!(commands.len() == 1 && commands[0].ends_with(" --arg <arg-1>"), "{result}");
    replace(&stage, "new.jar", &endless("new"));
    run_next(&stage, &result, 0).ended(0, "upgraded");
    stage.check_end("new", "upgraded after that");
}

#[test]
fn saved_arguments_of_the_new_jar_are_not_replaced_by_those_of_the_old_one() {
    let stage = Stage::new(&endless("new").main_fails("no such topic"));
    let next_args = ["--next-arg", "b", "--next-arg", "c"];
    Stage::run(stage.tool().args(next_args)).ended(5, "no such topic");
    let saved = || {
        let record: Value = serde_json::from_slice(&fs::read(stage.file("state.json")).expect("kept")).expect("JSON");
        (record["old"]["args"].clone(), record["new"]["args"].clone())
    };
    let expected = (serde_json::json!([SECRET]), serde_json::json!(["b", "c"]));
    assert_eq!(saved(), expected);
    Stage::run(&mut stage.tool()).ended(5, "no such topic");
    assert_eq!(saved(), expected);
    // Others may be given, as long as the new jar has not run.
    Stage::run(stage.tool().args(["--next-arg", "d"])).ended(5, "no such topic");
    assert_eq!(saved().1, serde_json::json!(["d"]));
}

/// Without high availability, a main method that exits takes the old job with it.
#[test]
fn a_job_that_died_with_its_job_manager_continues_from_its_last_checkpoint() {
    let config = Config { high_availability: false, ..Config::default() };
    let stage = Stage::on(config, &endless("old"), &endless("new").exits(Exits::Always)).with_job();
    let job: JobId = stage.job().parse().expect("an id");
    stage.client().run(TriggerCheckpoint::new(job)).expect("completed");
    let result = Stage::run(&mut stage.tool()).ended(6, "last checkpoint");
    let path = result["last_checkpoint"].as_str().expect("a path");
    assert!(stage.alive().is_empty() && !stage.has_state(), "{result}");
    let commands = next(&result);
    assert_eq!(commands.len(), 2, "{result}");
    assert!(commands.iter().all(|command| command.contains(&format!(" --from-savepoint {path}"))), "{result}");
}

#[test]
fn a_job_that_the_cluster_does_not_know_is_no_proof_that_it_is_stopped() {
    let stage = Stage::new(&endless("new")).with_job();
    let path = stop(&stage);
    let arguments = ["--job", UNKNOWN, "--from-savepoint", &path];
    let warning = "the cluster does not know job 00000000000000000000000000000001";
    Stage::run(stage.tool().args(arguments).arg("--dry-run")).ended(0, warning);
    Stage::run(stage.tool().args(arguments)).ended(0, warning);
}

#[test]
fn a_dry_run_says_what_it_leaves_and_what_it_did_not_check() {
    let stage = Stage::new(&endless("new")).with_job();
    let running = ["--dry-run", "--from-savepoint", "file:/savepoints/any"];
    let result = Stage::run(stage.tool().args(running)).ended(5, "is for a job that is stopped");
    assert!(!next(&result)[0].contains("--from-savepoint"), "{result}");

    stage.server.set_faults(FaultPlan::none().nth_of("uploadJar", 1, Fault::ReplyLost));
    Stage::run(stage.tool().arg("--dry-run")).ended(1, "the upload may be left on the cluster: look for …_old.jar");
    assert_eq!(stage.server.with(|cluster| cluster.jars()).len(), 2);

    let mut process = stage.tool().arg("--dry-run").spawn().expect("it starts");
    drop(process.stdout.take());
    let said = Said::of(process.wait_with_output().expect("a child"));
    assert!(said.code == Some(1) && said.err.contains("writing the report failed"), "{said:?}");
}

#[test]
fn it_says_what_it_waits_for_while_the_cluster_is_away() {
    let stage = Stage::new(&endless("new")).with_job();
    stage.server.set_faults(FaultPlan::none().nth(3, Fault::NotSent).nth(4, Fault::NotSent));
    let said = Stage::run(&mut stage.tool());
    said.ended(0, "lookups are repeated until about ");
    assert_eq!(said.err.matches("lookups are repeated").count(), 1, "{said:?}");
    stage.check_end("new", "upgraded");
}

#[test]
fn a_rejected_state_says_how_to_give_the_upgrade_up() {
    let stage = interrupted_with(&endless("new"));
    replace(&stage, "other.jar", &Program::endless("other"));
    let result = Stage::run(stage.tool().args(["--next-jar", "other.jar"])).ended(1, "another jar");
    assert_eq!(next(&result).last(), Some(&"rm state.json"));
    let savepoint = result["savepoint"].as_str().expect("a path");
    assert!(result["text"].as_str().expect("text").contains(savepoint), "{result}");
    let savepoints = stage.server.with(|cluster| cluster.savepoints());
    assert!(savepoints.iter().any(|known| known.path == savepoint), "{result}");
}

/// Behind a proxy that cuts long requests: the main methods may still run, and may still end their JobManager.
#[test]
fn a_plan_without_an_answer_stays_in_the_state() {
    let stage = Stage::new(&endless("new")).with_job();
    let page = Fault::ProxyPage { status: http::StatusCode::GATEWAY_TIMEOUT, applied: true };
    let plan = |nth: [u64; 2]| {
        let all = nth.into_iter().fold(FaultPlan::none(), |plan, nth| plan.nth_of("generatePlanFromJar", nth, page));
        stage.server.set_faults(all);
    };
    plan([2, 3]);
    let said = Stage::run(&mut stage.tool());
    let result = said.result().expect("a result");
    assert!(said.code == Some(4) || said.code == Some(5), "{said:?}");
    let saved = fs::read_to_string(stage.file("state.json")).expect("kept");
    assert!(saved.contains("planning"), "{saved}");
    assert!(next(&result).iter().any(|command| command.starts_with("rm state.json && ")), "{result}");
    // Another JobManager answers now: the flow does not ask it to plan the jar.
    stage
        .server
        .set_faults(FaultPlan::none().nth(1, Fault::Restart { downtime: Duration::from_millis(10), applied: false }));
    let said = Stage::run(&mut stage.tool());
    assert!(said.code == Some(4) || said.code == Some(5), "{said:?}");
    assert!(said.err.contains("planning the new jar"), "{said:?}");
    assert!(stage.has_state() && stage.alive().len() == 1, "{said:?}");
    // It is certain that the jar does no harm.
    let result = said.result().expect("a result");
    let number = next(&result).iter().position(|command| command.starts_with("rm state.json && "));
    run_next(&stage, &result, number.expect("a way on")).ended(0, "upgraded");
    stage.check_end("new", "begun again");
}

/// The main method of the new jar ends the only JobManager, and no checkpoint of the old job is known.
#[test]
fn a_rollback_after_a_deadly_plan_does_not_forget_it() {
    let config = Config { high_availability: false, ..Config::default() };
    let old = endless("old").checkpoint_interval(None);
    let stage = Stage::on(config, &old, &endless("new").exits(Exits::Always)).with_job();
    let (said, _) = stage.run_behind_relay({
        let plans = std::sync::atomic::AtomicU32::new(0);
        move |_, request, when| {
            let is_plan = request.contains("/plan ") && when == When::Before;
            is_plan && plans.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 1
        }
    });
    assert!(said.code.is_none() && stage.has_state(), "{said:?}");
    stage.use_address(stage.server.url());
    // The plan arrives, and the JobManager dies of it.
    let restart = Fault::Restart { downtime: Duration::from_millis(10), applied: false };
    stage.server.set_faults(FaultPlan::none().nth(1, restart));
    let result = Stage::run(stage.tool().arg("--roll-back")).ended(4, "Could not find Flink job");
    let saved = fs::read_to_string(stage.file("state.json")).expect("kept");
    assert!(saved.contains("planning"), "{saved}");
    assert_eq!(next(&result).last(), Some(&"rm state.json"));
}

/// The job that was started from here is known by the state, which keeps no savepoint that the job has outlived.
#[test]
fn a_savepoint_of_a_running_job_does_not_stay_in_the_state() {
    let stage = Stage::new(&endless("new").main_fails("no such topic"));
    let result = Stage::run(&mut stage.tool()).ended(5, "no such topic");
    let job = result["job"].as_str().expect("an id");
    let from = ["--job", job, "--from-savepoint", "file:/savepoints/any"];
    let result = Stage::run(stage.tool().args(from)).ended(5, "leave it out");
    replace(&stage, "new.jar", &endless("new"));
    run_next(&stage, &result, 0).ended(0, "upgraded");
    stage.check_end("new", "without the savepoint");
}

/// The lookup of the JobManager is barred: the same command may give the same answer for ever.
#[test]
fn a_lost_start_with_a_state_can_be_given_up() {
    let stage = Stage::new(&endless("new"));
    lose_the_start(&stage);
    let result = Stage::run(&mut stage.tool()).ended(4, "it may run");
    let job = result["job"].as_str().expect("an id");
    let commands = next(&result);
    assert!(stage.has_state() && commands.len() == 3, "{result}");
    assert_eq!(commands[1..], [&format!("curl {}/v1/jobs/{job}/status", stage.server.url()), "rm state.json"]);
}

/// As above, in the phase Run: a rollback need not know whether the JobManager still runs.
#[test]
fn a_lost_run_can_be_rolled_back() {
    let stage = Stage::new(&endless("new")).with_job();
    lose_the_start(&stage);
    let result = Stage::run(&mut stage.tool()).ended(4, "");
    let commands = next(&result);
    assert!(commands[1].ends_with(" --roll-back") && commands[2].starts_with("curl "), "{result}");
    assert!(commands[5].starts_with("rm state.json && "), "{result}");
    run_next(&stage, &result, 1).ended(3, "rolled back");
    stage.check_end("old", "rolled back");
}
