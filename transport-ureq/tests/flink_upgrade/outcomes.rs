//! The exit codes of the tool, its output, and the commands that it tells the operator to run next.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::str::FromStr as _;
use std::time::Duration;

use pipewright::flink::{JobId, StopWithSavepoint};
use pipewright_mock::flink::{Exits, Program};

use crate::relay::When;
use crate::stage::{SECRET, Said, Stage};

pub(crate) fn endless(name: &str) -> Program {
    Program::endless(name)
}

/// A jar that is rejected when it starts from a savepoint.
pub(crate) fn bad() -> Program {
    endless("new").state_dropped()
}

/// Runs the n-th command that a result tells to run next. The values of arguments, which are not shown, are filled in.
pub(crate) fn run_next(stage: &Stage, result: &serde_json::Value, number: usize) -> Said {
    let command = result["next"][number].as_str().unwrap_or_else(|| panic!("{result}"));
    let command = command.replace("<arg-1>", SECRET);
    Stage::run(Command::new("sh").args(["-c", &command]).current_dir(&stage.files).stdin(Stdio::null()))
}

pub(crate) fn replace(stage: &Stage, file: &str, program: &Program) {
    fs::write(stage.file(file), program.jar()).expect("written");
}

/// Stops the job with a savepoint.
pub(crate) fn stop(stage: &Stage) -> String {
    let job = JobId::from_str(stage.job()).expect("an id");
    stage.client().run(StopWithSavepoint::new(job)).expect("it stops").location
}

#[test]
fn an_upgrade_ends_with_0_and_leaves_nothing_behind() {
    for with_job in [true, false] {
        let stage = Stage::new(&endless("new"));
        let stage = if with_job { stage.with_job() } else { stage };
        let said = Stage::run(&mut stage.tool());
        let result = said.ended(0, "flink_upgrade: upgraded: job ");
        assert!(said.err.contains(" was restored from file:/savepoints/"), "{said:?}");
        assert_eq!((&result["result"], &result["next"]), (&"upgraded".into(), &serde_json::json!([])));
        assert_eq!(result["job"], stage.alive()[0].id);
        stage.check_end("new", "upgraded");
    }
}

#[test]
fn a_bad_jar_ends_with_3_and_the_next_command_upgrades_with_a_good_one() {
    let stage = Stage::new(&bad()).with_job();
    let result = Stage::run(&mut stage.tool()).ended(3, "rolled back: ");
    assert_eq!(result["job"], stage.alive()[0].id);
    stage.check_end("old", "rolled back");

    replace(&stage, "new.jar", &endless("new"));
    run_next(&stage, &result, 0).ended(0, "upgraded");
    stage.check_end("new", "upgraded after that");
}

#[test]
fn state_that_is_dropped_on_purpose_is_no_error() {
    let stage = Stage::new(&bad()).with_job();
    Stage::run(stage.tool().arg("--allow-non-restored-state")).ended(0, "upgraded");
    stage.check_end("new", "upgraded");
}

#[test]
fn a_jar_that_cannot_be_planned_ends_with_5_and_the_job_runs_on() {
    for with_job in [true, false] {
        let stage = Stage::new(&endless("new").main_fails("no such topic"));
        let stage = if with_job { stage.with_job() } else { stage };
        let said = Stage::run(&mut stage.tool());
        let result = said.ended(5, "no such topic");
        let alive = stage.alive();
        assert_eq!((alive.len(), &*alive[0].name, alive[0].restored_from.as_ref()), (1, "old", None), "{said:?}");
        assert_eq!(result["job"], alive[0].id);
        // The job that was started from here is known by the state alone.
        assert_eq!(stage.has_state(), !with_job);

        replace(&stage, "new.jar", &endless("new"));
        run_next(&stage, &result, 0).ended(0, "upgraded");
        stage.check_end("new", "upgraded after that");
    }
}

#[test]
fn without_a_state_the_next_command_names_the_job_that_was_started() {
    let stage = Stage::new(&endless("new").main_fails("no such topic"));
    let mut command = stage.bare();
    command.args(["--url", stage.server.url(), "--jar", "old.jar", "--next-jar", "new.jar"]);
    let result = Stage::run(&mut command).ended(5, "no such topic");
    replace(&stage, "new.jar", &endless("new"));
    run_next(&stage, &result, 0).ended(0, "upgraded");
    stage.check_end("new", "upgraded after that");
}

#[test]
fn a_savepoint_that_fails_ends_with_5() {
    let stage =
        Stage::of(&endless("old").snapshots_fail().checkpoint_interval(None).restarts(9), &endless("new")).with_job();
    Stage::run(&mut stage.tool()).ended(5, "savepoint");
    assert_eq!(stage.alive().len(), 1);
}

#[test]
fn neither_jar_runs_ends_with_6_and_the_next_commands_use_the_savepoint() {
    // Its own savepoint cannot be read by the old jar either.
    let stage = Stage::of(&endless("old").state_incompatible().restarts(0), &bad()).with_job();
    let said = Stage::run(&mut stage.tool());
    let result = said.ended(6, "savepoint file:/savepoints/");
    assert!(stage.alive().is_empty() && stage.has_state(), "{said:?}");
    let savepoints = stage.server.with(|cluster| cluster.savepoints());
    assert_eq!(result["savepoint"], savepoints[0].path);
    // Both continue from the state, and neither can end otherwise.
    let first = result;
    run_next(&stage, &first, 0).ended(6, "savepoint file:/savepoints/");
    let result = run_next(&stage, &first, 1).ended(6, "savepoint file:/savepoints/");
    assert!(stage.alive().is_empty(), "{result}");

    // Without the state, another jar can be run from the savepoint.
    replace(&stage, "new.jar", &endless("new"));
    run_next(&stage, &first, 2).ended(0, "upgraded");
    stage.check_end("new", "upgraded from the savepoint");
}

#[test]
fn without_a_state_the_next_command_names_the_savepoint() {
    let stage = Stage::of(&endless("old").state_incompatible().restarts(0), &bad()).with_job();
    let mut command = stage.bare();
    command.args(["--url", stage.server.url(), "--jar", "old.jar", "--next-jar", "new.jar", "--job", stage.job()]);
    let result = Stage::run(&mut command).ended(6, "savepoint file:/savepoints/");
    replace(&stage, "old.jar", &endless("old"));
    let rolled_back = run_next(&stage, &result, 0);
    rolled_back.ended(3, "rolled back");
    assert_eq!(stage.alive().len(), 1, "{rolled_back:?}");
}

#[test]
fn a_state_that_cannot_be_written_on_the_way_ends_with_4() {
    let stage = Stage::new(&endless("new")).with_job();
    // Where the state is written before it gets its name, there is a folder when the savepoint is asked for.
    let new = stage.file("state.json.new");
    let (said, _) = stage.run_behind_relay(move |_, request, when| {
        if when == When::After && request.contains("/savepoints/") {
            let _ = fs::create_dir(&new);
        }
        false
    });
    said.ended(4, "state.json: Is a directory");
    fs::remove_dir(stage.file("state.json.new")).expect("removed");
    let (said, _) = stage.run_behind_relay(|_, _, _| false);
    said.ended(0, "upgraded");
    stage.check_end("new", "resumed");
}

#[test]
fn what_is_wrong_from_the_beginning_ends_with_1_and_changes_nothing() {
    let stage = Stage::new(&endless("new")).with_job();
    let requests = [
        (&["--jar", "absent.jar"][..], "absent.jar: No such file"),
        (&["--next-jar", "absent.jar"], "absent.jar: No such file"),
        (&["--next-jar", "."], ".: Is a directory"),
        (
            &["--state", "absent/state.json"],
            "absent/state.json.lock: No such file or directory (os error 2); its folder must exist",
        ),
        (&["--state", "absent.json", "--roll-back"], "there is no upgrade to roll back"),
        (&["--job", "00000000000000000000000000000001"], "Could not find Flink job (00000000000000000000000000000001)"),
    ];
    for (arguments, problem) in requests {
        let said = Stage::run(stage.tool().args(arguments));
        let result = said.ended(1, problem);
        let next = result["next"][0].as_str().expect("a command");
        assert!(next.contains("flink_upgrade --url ") && said.err.contains(next), "{said:?}");
        // There is no state that would hold the arguments.
        assert!(next.ends_with(" --arg <arg-1>"), "{said:?}");
        assert!(!stage.has_state(), "{said:?}");
    }
    let alive = stage.alive();
    assert!(alive.len() == 1 && alive[0].savepoints.is_empty(), "{alive:?}");
    // The port of a server that is gone.
    let gone = Stage::new(&endless("new"));
    let url = gone.server.url().to_owned();
    drop(gone);
    Stage::run(&mut stage.tool_at(&url)).ended(1, "no connection to 127.0.0.1:");
    Stage::run(&mut stage.tool()).ended(0, "upgraded");
}

/// The upgrade is killed when the new job was submitted.
fn interrupted() -> Stage {
    interrupted_with(&endless("new"))
}

pub(crate) fn interrupted_with(new: &Program) -> Stage {
    let stage = Stage::new(new).with_job();
    let (said, _) = stage.run_behind_relay(|_, request, when| request.contains("/run ") && when == When::After);
    assert!(said.code.is_none() && stage.alive().iter().any(|job| job.name == "new"), "{said:?}");
    stage.use_address(stage.server.url());
    stage
}

#[test]
fn a_state_of_another_upgrade_is_rejected() {
    let stage = interrupted();
    let other = Stage::new(&endless("new"));
    let kept = fs::read(stage.file("state.json")).expect("a state");
    replace(&stage, "other.jar", &endless("other"));
    fs::write(stage.file("none.json"), "{}").expect("written");
    let at_other_cluster = ["--url", other.server.url()];
    for (arguments, problem) in [
        (&["--job", "00000000000000000000000000000001"][..], "an upgrade of job "),
        (&["--jar", "other.jar"], "other.jar is another jar than that of this upgrade"),
        (&["--next-jar", "other.jar"], "other.jar is another jar than that of this upgrade"),
        (&["--next-arg", "other"], "new.jar was to be run with other arguments"),
        (&["--entry-class", "demo.Other"], "old.jar was to be run with another entry class"),
        (&["--from-savepoint", "file:/other"], "does not begin with this --from-savepoint"),
        (&["--allow-non-restored-state"], "was begun without --allow-non-restored-state"),
        (&at_other_cluster, "does not know job"),
        (&["--state", "none.json"], "not a state of this tool"),
    ] {
        let said = Stage::run(stage.tool().args(arguments));
        let result = said.ended(1, problem);
        // What is no state holds no arguments.
        let next = result["next"][0].as_str().expect("a command");
        assert_eq!(next.ends_with(" --arg <arg-1>"), problem == "not a state of this tool", "{said:?}");
        assert_eq!(fs::read(stage.file("state.json")).expect("untouched"), kept, "{said:?}");
    }
    for file in ["none.json", "other.jar"] {
        fs::remove_file(stage.file(file)).expect("removed");
    }
    Stage::run(&mut stage.tool()).ended(0, "upgraded");
    stage.check_end("new", "resumed");
}

#[test]
fn the_jars_are_not_needed_to_resume_while_the_cluster_has_them() {
    let stage = interrupted();
    fs::remove_file(stage.file("new.jar")).expect("removed");
    Stage::run(&mut stage.tool()).ended(0, "a jar cannot be read");
    replace(&stage, "new.jar", &endless("new"));
    stage.check_end("new", "resumed");
}

#[test]
fn two_processes_do_not_share_a_state() {
    let stage = Stage::new(&endless("new")).with_job();
    let lock = File::create(stage.file("state.json.lock")).expect("a file");
    lock.lock().expect("locked");
    Stage::run(&mut stage.tool()).ended(1, "another process uses this file");
    drop(lock);
    Stage::run(&mut stage.tool()).ended(0, "upgraded");
    stage.check_end("new", "upgraded");
}

/// Arguments may be secrets.
#[cfg(unix)]
#[test]
fn only_its_owner_reads_the_state() {
    use std::os::unix::fs::PermissionsExt as _;

    let stage = interrupted();
    let mode = stage.file("state.json").metadata().expect("it exists").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_report_that_cannot_be_written_leaves_the_state() {
    let stage = Stage::new(&endless("new"));
    let mut process = stage.tool().spawn().expect("it starts");
    drop(process.stdout.take());
    let said = Said::of(process.wait_with_output().expect("a child"));
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("writing the report failed") && stage.has_state(), "{said:?}");
    Stage::run(&mut stage.tool()).ended(0, "upgraded");
    stage.check_end("new", "reported");
}

#[test]
fn a_stopped_job_is_upgraded_from_its_savepoint() {
    let stage = Stage::new(&endless("new")).with_job();
    let running = Stage::run(stage.tool().args(["--from-savepoint", "file:/savepoints/any"]));
    let result = running.ended(5, "--from-savepoint is for a job that is stopped");
    assert!(!result["next"][0].as_str().expect("a command").contains("--from-savepoint"), "{result}");

    let path = stop(&stage);
    // Its savepoint is not known to the tool: it cannot be upgraded by its id alone.
    let result = Stage::run(&mut stage.tool()).ended(1, "FINISHED");
    let next = result["next"].as_array().expect("commands");
    assert!(next.len() == 1 && next[0].as_str().expect("a command").ends_with(" --from-savepoint <path>"), "{result}");
    Stage::run(stage.tool().args(["--from-savepoint", &path, "--dry-run"])).ended(0, "was not checked");
    Stage::run(stage.tool().args(["--from-savepoint", &path])).ended(0, "upgraded");
    stage.check_end("new", "upgraded");
    // Nor while the new job runs from it: the id of the new job is known then.
    let new = stage.alive()[0].id.clone();
    Stage::run(stage.tool().args(["--from-savepoint", &path, "--job", &new])).ended(5, "is RUNNING");
}

/// A job that fails soon after its first checkpoint is upgraded, unless it has to run for longer than that.
#[test]
fn a_job_that_must_prove_itself_is_rolled_back_if_it_fails_later() {
    let new = endless("new").fails_after(Duration::from_millis(700)).restarts(0);
    let stage = Stage::new(&new).with_job();
    Stage::run(stage.tool().args(["--stable-for", "2"])).ended(3, "rolled back: ");
    stage.check_end("old", "it failed in time");

    let stage = Stage::new(&new).with_job();
    Stage::run(&mut stage.tool()).ended(0, "upgraded");
    // Resumed, the time of the command line counts.
    let stage = interrupted_with(&new);
    Stage::run(stage.tool().args(["--stable-for", "2"])).ended(3, "rolled back: ");
    stage.check_end("old", "resumed");
}

/// A main method that calls `System.exit` kills the JobManager. Its jobs are recovered, because another JobManager
/// runs.
#[test]
fn a_main_method_that_exits_kills_one_job_manager_and_no_job() {
    let exits = |stage: &Stage| stage.server.with(|cluster| cluster.exits().len());
    let stage = Stage::new(&endless("new").exits(Exits::Always)).with_job();
    let said = Stage::run(&mut stage.tool());
    said.ended(5, "main()");
    assert!(exits(&stage) == 1 && stage.alive().len() == 1 && stage.has_state(), "{said:?}");
    // The same command does not kill the next JobManager.
    let said = Stage::run(&mut stage.tool());
    let result = said.ended(5, "another JobManager answers");
    assert!(exits(&stage) == 1 && stage.alive().len() == 1, "{said:?}");
    assert!(result["next"][1].as_str().expect("a command").starts_with("rm state.json && "), "{result}");
    let said = Stage::run(stage.tool().arg("--dry-run"));
    said.ended(1, "its main method may have ended the JobManager");
    assert!(exits(&stage) == 2 && stage.alive().len() == 1, "{said:?}");

    let stage = Stage::new(&endless("new").exits(Exits::BeforeExecute)).with_job();
    let said = Stage::run(&mut stage.tool());
    said.ended(3, "main()");
    assert_eq!(exits(&stage), 1, "{said:?}");
    stage.check_end("old", "rolled back");
}

#[test]
fn a_dry_run_changes_nothing() {
    let stage = Stage::new(&endless("new")).with_job();
    let said = Stage::run(stage.tool().arg("--dry-run"));
    let result = said.ended(0, "both jars can be planned, and no vertex vanishes");
    assert!(said.err.contains("does not show the ids of the operators behind it"), "{said:?}");
    assert!(said.err.contains(&format!("an upgrade would stop job {}", stage.job())), "{said:?}");
    let alive = stage.alive();
    assert!(alive.len() == 1 && alive[0].savepoints.is_empty() && !stage.has_state(), "{said:?}");
    // The jar of the running job is left.
    assert_eq!(stage.server.with(|cluster| cluster.jars()).len(), 1);

    replace(&stage, "new.jar", &endless("new").main_fails("no such topic"));
    Stage::run(stage.tool().arg("--dry-run")).ended(1, "no such topic");
    assert_eq!(stage.server.with(|cluster| cluster.jars()).len(), 1);
    replace(&stage, "new.jar", &endless("new"));
    run_next(&stage, &result, 0).ended(0, "upgraded");
    stage.check_end("new", "upgraded");
}

#[test]
fn wrong_usage_is_2_and_help_is_0() {
    let stage = Stage::new(&endless("new"));
    for (arguments, problem) in [
        (&["--jar", "a.jar"][..], "--url is missing"),
        (&["--url", "http://h"], "--jar is missing"),
        (&["--url", "http://h", "--jar", "a.jar"], "--next-jar is missing"),
        (&["--url", "http://me:hunter2@h", "--jar", "a.jar", "--next-jar", "b.jar"], "credentials"),
        (&["--url", "http://h", "--jar", "a.jar", "--roll-back"], "--roll-back needs --state or --from-savepoint"),
        (
            &["--url", "http://h", "--jar", "a.jar", "--next-jar", "b.jar", "--from-savepoint", "file:/s"],
            "--from-savepoint needs --job",
        ),
        (&["--url", "http://h", "--jar", "a.jar", "--state", "s", "--roll-back", "--dry-run"], "give one of them"),
        (&["--settle", "soon"], "soon"),
        (&["--frequency", "1"], "--frequency"),
    ] {
        let said = Stage::run(stage.bare().args(arguments));
        assert!(said.code == Some(2) && said.err.contains(problem) && said.err.contains("\nusage: "), "{said:?}");
        assert!(!said.err.contains("hunter2"), "{said:?}");
    }
    let help = Stage::run(stage.bare().arg("--help"));
    assert!(help.code == Some(0) && help.out.contains("\nexit codes:\n"), "{help:?}");
}
