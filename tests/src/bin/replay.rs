//! Parses recorded answers with the types of this library, and reports what they lose.
//!
//! ```text
//! cargo run -p pipewright-tests --bin replay -- [-q] [--base PATH] FILE…
//! ```
//!
//! A path is a HAR file of any program, or a folder of such files. For each entry it prints a line:
//!
//! | line | meaning |
//! |---|---|
//! | `ok` | the answer was parsed |
//! | `service error CODE` | an error response of the service |
//! | `foreign error` | an error response that the service did not write |
//! | `unmatched WHY` | the exchange belongs to no operation of this library |
//! | `unrecorded WHY` | the recording has no answer, or no body |
//! | `FAILED WHY` | the answer cannot be parsed |
//!
//! After that it prints, for each operation, how many JSON values survive being read and written back, which places are
//! kept as JSON, and a summary. `-q` leaves out entries that did not fail. It exits with 1 if an entry failed, and with
//! 2 if a path cannot be read; it replays the other paths nevertheless.
//!
//! `--base` is the path of a proxy in front of the service, as in `--base /proxy/flink`. It is not needed before a
//! version, as in `/proxy/flink/v1/jobs`.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use pipewright_tests::har::{self, HarError, Recording};
use pipewright_tests::replay::{Report, Verdict, percent};
use pipewright_tests::unmatched;

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_quiet = arguments.iter().any(|argument| argument == "-q");
    arguments.retain(|argument| argument != "-q");
    let base = match arguments.iter().position(|argument| argument == "--base") {
        Some(at) if at + 1 < arguments.len() => arguments.drain(at..at + 2).next_back().unwrap_or_default(),
        _ => String::new(),
    };
    if arguments.is_empty() || arguments.iter().any(|argument| argument.starts_with('-')) {
        eprintln!("usage: replay [-q] [--base PATH] FILE…   (HAR files or folders of them)");
        return ExitCode::from(2);
    }
    let mut report = Report::default();
    let mut is_unreadable = false;
    let mut out = io::stdout().lock();
    for path in &arguments {
        match read(Path::new(path)) {
            Ok(recordings) => {
                for mut recording in recordings {
                    recording.entries.iter_mut().for_each(|entry| entry.strip(&base));
                    // Who closes the pipe has seen enough; the exit code is still worth something.
                    let _ = replay(&recording, &mut report, is_quiet, &mut out);
                }
            }
            Err(error) => {
                eprintln!("replay: {error}");
                is_unreadable = true;
            }
        }
    }
    for (operation, survival) in &report.survivals {
        let lost: Vec<&str> = survival.lost.iter().map(String::as_str).collect();
        let lost = if lost.is_empty() { String::new() } else { format!("\tlost: {}", lost.join(", ")) };
        let _ = writeln!(
            out,
            "{operation}\tkept {} of {} leaves, {}%{lost}",
            survival.kept,
            survival.total,
            percent(survival)
        );
    }
    for (operation, places) in &report.untyped {
        // One that is opaque as a whole has an empty place.
        let places: Vec<_> = places.iter().copied().filter(|place| !place.is_empty()).collect();
        let colon = if places.is_empty() { "" } else { ": " };
        let _ = writeln!(out, "{operation}\tuntyped{colon}{}", places.join(", "));
    }
    for place in &report.unlisted {
        let _ = writeln!(out, "{place}\tuntyped, and not listed as opaque");
    }
    if report.unexplained > 0 {
        let _ = writeln!(out, "{} unmatched entries without an explanation", report.unexplained);
    }
    let _ = writeln!(out, "{}", report.summary());
    match (is_unreadable, report.count("failed")) {
        (true, _) => ExitCode::from(2),
        (false, 0) => ExitCode::SUCCESS,
        (false, _) => ExitCode::FAILURE,
    }
}

fn read(path: &Path) -> Result<Vec<Recording>, HarError> {
    if path.is_dir() { har::read_folder(path) } else { Ok(vec![har::read_file(path)?]) }
}

fn replay(recording: &Recording, report: &mut Report, is_quiet: bool, out: &mut impl Write) -> io::Result<()> {
    for entry in &recording.entries {
        let (verdict, info) = report.add(entry);
        if is_quiet && !matches!(verdict, Verdict::Failed(_)) {
            continue;
        }
        let (method, path) = (entry.request.method(), entry.request.uri().path());
        let reason = match verdict {
            Verdict::Unmatched => unmatched::reason(method, path).unwrap_or("without an explanation"),
            _ => "",
        };
        let operation = info.map_or("-", |info| info.name);
        writeln!(
            out,
            "{}\t{method} {path}\t{}\t{operation}\t{verdict}{}{reason}",
            recording.name,
            entry.response.status().as_u16(),
            if reason.is_empty() { "" } else { ": " }
        )?;
    }
    for skipped in &recording.skipped {
        report.skip();
        if !is_quiet {
            writeln!(out, "{}\t{}\t-\t-\tunrecorded: {}", recording.name, skipped.exchange, skipped.why)?;
        }
    }
    Ok(())
}
