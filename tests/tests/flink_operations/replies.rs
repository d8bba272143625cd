//! Every recorded answer is read: successes by their type, rejections by their service.
//!
//! With `PIPEWRIGHT_CAPTURES=<folder>` also over all recordings in that folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use pipewright::error::{Applied, ErrorKind, ServiceError};
use pipewright::flink::checkpoints::GetCheckpointStatus;
use pipewright::flink::jobs::GetJobExecutionResult;
use pipewright::flink::savepoints::GetSavepointStatus;
use pipewright::flink::{JobId, TriggerId, is_unknown_job};
use pipewright::operation::{Operation, OperationInfo};
use pipewright_tests::har::{self, Entry, Recording};
use pipewright_tests::json_coverage::{self, Survival};
use pipewright_tests::replay::RENAMED;
use pipewright_tests::replies::{Parsed, parse_with};
use pipewright_tests::{routes, shorten};
use serde_json::Value;

/// What there is no recording of with the newest release, and why.
const MISSING: [(&str, &str); 4] = [
    ("getRescalingStatus", "is always refused"),
    ("rescaleJob", "is always refused"),
    ("sendRequestToCoordinator", "takes a JVM on this side"),
    ("yarnStopJob", "is always refused"),
];

/// Fields that the types leave out on purpose.
const LEFT_OUT: [&str; 0] = [];

fn fixtures() -> Vec<Recording> {
    har::read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/flink")).expect("the fixtures")
}

/// The entries of recordings that belong to an operation we have.
fn ours(recordings: &[Recording]) -> impl Iterator<Item = (&Recording, &Entry, &'static OperationInfo)> {
    recordings.iter().flat_map(|recording| {
        recording.entries.iter().filter_map(move |entry| Some((recording, entry, routes::of("flink", entry)?)))
    })
}

fn read(entry: &Entry, info: &OperationInfo) -> Result<Parsed, ServiceError> {
    parse_with(info.name, entry.response.clone()).expect("a row for every operation")
}

/// A description of what is wrong with how the answers are read.
fn problems(recordings: &[Recording]) -> Vec<String> {
    let mut problems = Vec::new();
    for (recording, entry, info) in ours(recordings) {
        let mut problem = |what: &str| problems.push(format!("{}/{}: {what}", recording.name, entry.name));
        match (entry.response.status().is_success(), read(entry, info)) {
            (true, Ok(parsed)) if parsed.debug.contains("Unknown(") => problem(&format!("{:#}", parsed.debug)),
            (true, Ok(_)) => {}
            (true, Err(error)) => problem(&format!("cannot be read: {error}")),
            (false, Ok(_)) => problem("a refusal was read as a success"),
            (false, Err(error)) => {
                if error.status() != entry.response.status() || error.operation() != info.name {
                    problem(&format!("another status or operation: {error:?}"));
                }
                // The one refusal of Flink's own without a body.
                let is_empty_413 = error.status() == 413 && entry.response.body().is_empty();
                let is_own = entry.response.body().starts_with(br#"{"errors""#) || is_empty_413;
                if is_own != (error.kind() == ErrorKind::Rejected) || error.message().is_empty() {
                    problem(&format!("not recognised: {error:?}"));
                }
            }
        }
    }
    problems
}

/// How many leaves of the successes survive, by operation.
fn survivals(recordings: &[Recording]) -> BTreeMap<&'static str, Survival> {
    let mut survivals = BTreeMap::<_, Survival>::new();
    for (_, entry, info) in ours(recordings).filter(|(_, entry, _)| entry.response.status().is_success()) {
        // Logs are read as they are.
        let Ok(before) = serde_json::from_slice::<Value>(entry.response.body()) else { continue };
        let after = serde_json::from_str(&read(entry, info).expect("a success").json).expect("JSON");
        survivals.entry(info.name).or_default().add(json_coverage::survival(&before, &after, RENAMED));
    }
    survivals
}

fn table(survivals: &BTreeMap<&str, Survival>) -> String {
    let mut text = String::new();
    for (name, Survival { total, kept, lost }) in survivals {
        let lost = lost.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        writeln!(text, "{name:32} {kept:6} of {total:6} {lost}").expect("a string");
    }
    text
}

#[test]
fn every_recorded_answer_is_read() {
    let problems = problems(&fixtures());
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn what_is_read_is_written_back() {
    let survivals = survivals(&fixtures());
    let lost: BTreeSet<_> = survivals.values().flat_map(|survival| &survival.lost).map(String::as_str).collect();
    assert_eq!(lost, BTreeSet::from(LEFT_OUT), "\n{}", table(&survivals));
}

#[test]
fn what_was_recorded_is_complete() {
    let recordings = fixtures();
    let recorded: BTreeSet<_> = ours(&recordings)
        .filter(|(_, entry, _)| entry.response.status().is_success())
        .filter_map(|(recording, _, info)| Some((recording.name.split('-').next()?, info.name)))
        .collect();
    let missing = |version: &str| -> Vec<_> {
        let mut names: Vec<_> = pipewright::operations()
            .filter(|info| info.service == "flink")
            .map(|info| info.name)
            .filter(|name| !recorded.contains(&(version, *name)))
            .collect();
        names.sort_unstable();
        names
    };
    assert_eq!(missing("2.3.0"), MISSING.map(|(name, _)| name));
    // What a release does not have yet, and what was left out with the older releases.
    for version in ["1.13.6", "1.18.1", "1.20.5"] {
        snapshot("missing", version, &missing(version).join("\n"));
    }
}

#[test]
fn the_richest_answers_match_their_snapshots() {
    let recordings = fixtures();
    let mut richest = BTreeMap::<(&str, &str), (usize, Value, &str)>::new();
    for (recording, entry, info) in ours(&recordings).filter(|(_, entry, _)| entry.response.status().is_success()) {
        let version = recording.name.split('-').next().unwrap_or_default();
        let answer: Value = serde_json::from_str(&read(entry, info).expect("a success").json).expect("JSON");
        let leaves = json_coverage::survival(&answer, &answer, &[]).total;
        let best = richest.entry((info.name, version)).or_insert((0, Value::Null, ""));
        if leaves > best.0 {
            *best = (leaves, answer, &entry.name);
        }
    }
    for ((operation, version), (_, mut answer, name)) in richest {
        shorten::json(&mut answer);
        let text = format!("{name}\n{}", serde_json::to_string_pretty(&answer).expect("JSON"));
        snapshot("answers", &format!("{operation}@{version}"), &text);
    }
}

#[test]
fn error_responses_match_the_snapshots_of_each_release() {
    for recording in fixtures() {
        let mut text = String::new();
        for (_, entry, info) in ours(std::slice::from_ref(&recording)) {
            if let Err(error) = read(entry, info) {
                let applied = match error.applied() {
                    Applied::Yes => "applied",
                    Applied::No => "not applied",
                    Applied::Unknown => "perhaps applied",
                };
                let transient = if error.is_transient() { "transient" } else { "final" };
                let unknown_job = if is_unknown_job(&error) { ", unknown job" } else { "" };
                let (kind, status, code) = (error.kind(), error.status().as_u16(), error.code().unwrap_or("no code"));
                writeln!(text, "{} ({})", entry.name, info.name).expect("a string");
                writeln!(text, "    {kind:?} {status} {code}, {applied}, {transient}{unknown_job}").expect("a string");
                writeln!(text, "    {}", shorten::text(error.message())).expect("a string");
            }
        }
        snapshot("refusals", &recording.name, &text);
    }
}

/// What the helpers of the answers to triggers and results make of them.
#[test]
fn outcomes_of_triggers_match_their_snapshot() {
    let recordings = fixtures();
    let (job, trigger) = (JobId::from_bits(1), TriggerId::from_bits(2));
    let mut text = String::new();
    for (recording, entry, info) in ours(&recordings).filter(|(_, entry, _)| entry.response.status().is_success()) {
        let answer = entry.response.clone();
        let outcome = match info.name {
            "getSavepointStatus" => {
                let status = GetSavepointStatus::new(job, trigger).parse(answer).expect("a success");
                status.outcome().map(|outcome| outcome.map(str::to_owned).map_err(|cause| cause.cause().to_string()))
            }
            "getCheckpointStatus" => {
                let status = GetCheckpointStatus::new(job, trigger).parse(answer).expect("a success");
                status
                    .outcome()
                    .map(|outcome| outcome.map(|id| id.to_string()).map_err(|cause| cause.cause().to_string()))
            }
            "getJobExecutionResult" => {
                let answer = GetJobExecutionResult::new(job).parse(answer).expect("a success");
                answer.result.map(|result| match result.failure_cause {
                    None => Ok(result.application_status.to_string()),
                    Some(cause) => Err(cause.cause().to_string()),
                })
            }
            _ => continue,
        };
        let outcome = match outcome {
            None => "in progress".to_owned(),
            Some(Ok(good)) => format!("good: {good}"),
            Some(Err(cause)) => format!("failed: {}", shorten::text(&cause)),
        };
        writeln!(text, "{}/{}\n    {outcome}", recording.name, entry.name).expect("a string");
    }
    snapshot("outcomes", "all", &text);
}

#[test]
fn every_answer_in_the_folder_of_captures_is_read() {
    let Some(folder) = std::env::var_os("PIPEWRIGHT_CAPTURES") else {
        println!("skipped: PIPEWRIGHT_CAPTURES names no folder with recordings");
        return;
    };
    let recordings = har::read_folder(Path::new(&folder)).expect("recordings");
    assert!(ours(&recordings).count() > 0, "nothing of ours in {}", folder.display());
    let problems = problems(&recordings);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    println!("{} answers\n{}", ours(&recordings).count(), table(&survivals(&recordings)));
}

fn snapshot(folder: &str, name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(format!("../snapshots/{folder}"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}
