//! The commands to run next: complete, quoted, and without secrets.

use std::ffi::OsString;
use std::process::Command;

use pipewright::flink::{JobId, UpgradePhase};

use crate::next::{after_success, after_upgrade, command_again};
use crate::options::Options;
use crate::report::{Outcome, Report};

const JOB: &str = "4c7e6f1c8d3b0a5fd2e19a7b3c8d4e5f";

/// What all commands begin with.
const FIRST: &str = r"flink_upgrade --url http://h:8081 --jar 'it'\''s old.jar' --next-jar new.jar";

fn options(more: &[&str]) -> Options {
    let all = ["flink_upgrade", "--url", "http://h:8081", "--jar", "it's old.jar", "--next-jar", "new.jar"];
    let all = all.iter().chain(more).map(OsString::from);
    Options::parse(all).expect("usable").expect("no help")
}

fn report(outcome: Outcome) -> Report {
    let job = |bits| Some(JobId::from_bits(bits));
    Report {
        job: JOB.parse().ok(),
        new_job: job(2),
        old_job: job(3),
        savepoint: Some("file:/s p".into()),
        ..Report::new(outcome, "")
    }
}

/// What each command is without its first part, which all of them have.
fn after(more: &[&str], report: &Report, has_state: bool) -> Vec<String> {
    let all = after_upgrade(&options(more), report, has_state);
    all.into_iter()
        .map(|next| next.command.strip_prefix(FIRST).unwrap_or(&next.command).trim_start().to_owned())
        .collect()
}

#[test]
fn a_state_resumes_whatever_has_happened() {
    let state = ["--state", "s.json", "--arg", "s3cr3t"];
    let again = "--state s.json";
    // Of an Unknown without a phase, the jobs are not known: the state could not be saved.
    for outcome in [Outcome::Unknown, Outcome::OldJobRuns, Outcome::Failed] {
        assert_eq!(after(&state, &report(outcome), true), [again], "{outcome:?}");
    }
    let begin = format!("rm s.json && {FIRST} --job {JOB} --state s.json --from-savepoint 'file:/s p' --arg <arg-1>");
    assert_eq!(after(&state, &report(Outcome::NoJobRuns), true), [again, "--state s.json --roll-back", &begin]);
    let rolling_back = ["--state", "s.json", "--roll-back"];
    let begin = format!("rm s.json && {FIRST} --job {JOB} --state s.json --from-savepoint 'file:/s p' --roll-back");
    assert_eq!(after(&rolling_back, &report(Outcome::NoJobRuns), true), ["--state s.json --roll-back", &begin]);
    assert_eq!(after(&rolling_back, &report(Outcome::Unknown), true), ["--state s.json --roll-back"]);
    assert_eq!(after(&rolling_back, &report(Outcome::OldJobRuns), true), ["rm s.json"]);
}

#[test]
fn without_a_state_the_job_and_the_savepoint_are_named() {
    let args = ["--settle", "9", "--stable-for", "5", "--arg", "s3cr3t", "--next-arg", "s3cr3t", "--next-arg", "t"];
    let tail = "--arg <arg-1> --next-arg <next-arg-1> --next-arg <next-arg-2>";
    let job = format!("--job {JOB} --settle 9 --stable-for 5");
    assert_eq!(after(&args, &report(Outcome::OldJobRuns), false), [format!("{job} {tail}")]);
    let from = format!("{job} --from-savepoint 'file:/s p'");
    let (new, old) = (format!("{from} {tail}"), format!("{from} --roll-back {tail}"));
    assert_eq!(after(&args, &report(Outcome::NoJobRuns), false), [old.clone(), new.clone()]);
    let look = |job: &str| format!("curl http://h:8081/v1/jobs/{job}/status");
    let (second, third) = (JobId::from_bits(2).to_string(), JobId::from_bits(3).to_string());
    assert_eq!(after(&args, &report(Outcome::Unknown), false), [look(JOB), look(&second), look(&third), new, old]);
    // Without a savepoint no start is possible.
    let open = Report { savepoint: None, new_job: None, old_job: None, ..report(Outcome::Unknown) };
    assert_eq!(after(&args, &open, false), [look(JOB), format!("{job} {tail}")]);
}

#[test]
fn of_two_snapshots_each_is_offered() {
    let (earlier, checkpoint) = (Some("file:/s".into()), Some("file:/c".into()));
    let older = Report {
        savepoint: None,
        earlier_savepoint: earlier,
        last_checkpoint: checkpoint,
        ..report(Outcome::NoJobRuns)
    };
    let from = |path: &str| format!("--job {JOB} --from-savepoint {path}");
    let each = |path: &str| [format!("{} --roll-back", from(path)), from(path)];
    assert_eq!(after(&[], &older, false), [each("file:/s"), each("file:/c")].concat());
    let purposes = after_upgrade(&options(&[]), &older, false);
    assert_eq!(purposes[0].purpose, "if the savepoint is newer than the last checkpoint, to run the old jar again");
    assert_eq!(purposes[3].purpose, "if the last checkpoint is newer than the savepoint, to run the new jar");
    // A stop whose outcome is unknown may have written a newer savepoint.
    let open = Report { earlier_savepoint: None, outcome: Outcome::Unknown, ..older };
    assert!(after_upgrade(&options(&[]), &open, false)[3].purpose.contains("no newer savepoint"));
    let gone = Report { is_gone: true, last_checkpoint: None, outcome: Outcome::Failed, ..open };
    assert_eq!(after(&[], &gone, false), [format!("--job {JOB} --from-savepoint <path>")]);
}

/// The same answer may come for ever: each lookup of the JobManager may be barred.
#[test]
fn an_operator_can_decide_what_a_resumption_cannot() {
    let state = ["--state", "s.json"];
    let look = |bits| format!("curl http://h:8081/v1/jobs/{}/status", JobId::from_bits(bits));
    let job = format!("curl http://h:8081/v1/jobs/{JOB}/status");
    let from = format!("rm s.json && {FIRST} --job {JOB} --state s.json --from-savepoint 'file:/s p'");
    let back = format!("{from} --roll-back");
    let open = |phase| Report { phase: Some(phase), ..report(Outcome::Unknown) };
    let run = open(UpgradePhase::Run);
    let (again, roll_back) = ("--state s.json", "--state s.json --roll-back");
    let ids = [&*job, &look(2), &look(3)];
    let all = [&[again, roll_back], &ids[..], &[&*from, &back]].concat();
    assert_eq!(after(&state, &run, true), all);
    // Only the phase Run ends otherwise with --roll-back.
    let settle = open(UpgradePhase::Settle);
    assert_eq!(after(&state, &settle, true), [&[again], &ids[..], &[&*from, &back]].concat());
    let rolling_back = ["--state", "s.json", "--roll-back"];
    assert_eq!(after(&rolling_back, &run, true), [&[roll_back], &ids[..], &[&*back]].concat());
    let purposes = after_upgrade(&options(&state), &run, true);
    assert!(purposes[5].purpose.starts_with("if no job runs and none has finished, "), "{purposes:?}");
    // A rollback under the id of the new job: each id once.
    let same = Report { old_job: run.new_job, ..run };
    assert_eq!(after(&state, &same, true).iter().filter(|command| **command == look(2)).count(), 1);
    // Without a path, the state can be given up all the same.
    let stop = Report { savepoint: None, new_job: None, old_job: None, ..open(UpgradePhase::Stop) };
    assert_eq!(after(&state, &stop, true), [again, &job, "rm s.json"]);
    assert_eq!(after_upgrade(&options(&state), &stop, true)[2].purpose, "if no job runs, to give the upgrade up");
}

#[test]
fn an_open_plan_is_repeated_only_without_its_state() {
    let state = ["--state", "s.json"];
    let begin = format!("rm s.json && {FIRST} --job {JOB} --state s.json");
    let open = Report {
        phase: Some(UpgradePhase::Prepare),
        has_open_plan: true,
        savepoint: None,
        new_job: None,
        old_job: None,
        ..report(Outcome::OldJobRuns)
    };
    assert_eq!(after(&state, &open, true), ["--state s.json", &begin]);
    let purpose = &after_upgrade(&options(&state), &open, true)[1].purpose;
    assert!(purpose.starts_with("once it is certain that no main method ends its JobManager"), "{purpose}");
    let lost = Report { outcome: Outcome::Unknown, ..open };
    let look = format!("curl http://h:8081/v1/jobs/{JOB}/status");
    assert_eq!(after(&state, &lost, true), ["--state s.json", &look, &begin, "rm s.json"]);
    // Nothing is planned for a rollback.
    assert_eq!(
        after(&["--state", "s.json", "--roll-back"], &lost, true),
        ["--state s.json --roll-back", &look, "rm s.json"]
    );
}

/// An ambiguous stop may have written a savepoint that the cluster has not listed, or lists with an earlier time.
#[test]
fn a_stop_that_may_have_written_a_newer_savepoint_says_so() {
    let checkpoint = Some("file:/c".into());
    let stop = Report {
        phase: Some(UpgradePhase::Stop),
        savepoint: None,
        last_checkpoint: checkpoint,
        ..report(Outcome::NoJobRuns)
    };
    let proviso = "if the target directory has no newer savepoint of the job, ";
    let purposes = |more: &[&str], report: &Report, has_state: bool| {
        let all = after_upgrade(&options(more), report, has_state).into_iter();
        all.filter(|next| next.command.contains("--from-savepoint")).map(|next| next.purpose).collect::<Vec<_>>()
    };
    for earlier in [None, Some("file:/s".into())] {
        let stop = Report { earlier_savepoint: earlier, ..stop.clone() };
        for (more, has_state) in [(&[][..], false), (&["--state", "s.json"][..], true)] {
            let all = purposes(more, &stop, has_state);
            assert!(!all.is_empty() && all.iter().all(|purpose| purpose.starts_with(proviso)), "{all:?}");
        }
        let open = purposes(&[], &Report { outcome: Outcome::Unknown, ..stop }, false);
        assert!(open.iter().all(|purpose| purpose.contains("has no newer savepoint")), "{open:?}");
    }
    let ended = Report { phase: Some(UpgradePhase::Prepare), ..stop };
    assert_eq!(purposes(&[], &ended, false), ["to run the old jar again", "to run the new jar"]);
}

#[test]
fn a_rollback_of_a_running_job_names_a_command() {
    let from = ["--job", JOB, "--from-savepoint", "file:/s", "--roll-back"];
    let command = format!("--job {JOB} --from-savepoint file:/s --roll-back");
    assert_eq!(after(&from, &report(Outcome::OldJobRuns), false), [command]);
}

#[test]
fn a_savepoint_of_a_running_job_is_not_used_again() {
    let from = ["--job", JOB, "--from-savepoint", "file:/s"];
    assert_eq!(after(&from, &report(Outcome::OldJobRuns), false), [format!("--job {JOB}")]);
    let next =
        after_success(&options(&from), &Report { job: Some(JobId::from_bits(7)), ..report(Outcome::RolledBack) });
    assert!(next[0].command.ends_with(&format!("--next-jar new.jar --job {}", JobId::from_bits(7))), "{next:?}");
}

/// A shell reads each word as it was given, and does not run a command whose values are left out.
#[test]
fn a_shell_understands_the_commands() {
    let all = ["--savepoint-dir", "a b'c\"d$e\\f", "--entry-class", "", "--state", "s;t.json"];
    let command = command_again(&options(&all), None, true).command;
    let words = command.strip_prefix("flink_upgrade ").expect("the program");
    let printed = Command::new("sh").args(["-c", &format!("printf '%s\\n' {words}")]).output().expect("a shell");
    let printed = String::from_utf8(printed.stdout).expect("text");
    let given: Vec<&str> = printed.lines().collect();
    let wanted = ["--url", "http://h:8081", "--jar", "it's old.jar", "--next-jar", "new.jar"];
    assert!(given.starts_with(&wanted), "{given:?}");
    assert_eq!(given[6..], all, "{command}");

    let command = command_again(&options(&["--arg", "s3cr3t"]), None, false).command;
    let ran = Command::new("sh").args(["-c", &command.replace("flink_upgrade", "echo")]).output().expect("a shell");
    assert!(!ran.status.success() && ran.stdout.is_empty() && !command.contains("s3cr3t"), "{ran:?}");
}
