//! A file's rows, on their way into a table.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use pipewright::error::FlowError;
use pipewright::feldera::data::UpdateFormat;
use pipewright::feldera::{Feldera, Ingest, IngestEvent, PushError, RejectedRows, UnconfirmedRows};
use pipewright_ureq::Ureq;

use crate::Problem;
use crate::support::Progress;

/// What a record may have.
const LONGEST: usize = 8 << 20;
/// How many errors of rows that are not in are shown.
const SHOWN: u64 = 20;

/// Rows that are not in, or perhaps.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) rejected: u64,
    pub(crate) unconfirmed: u64,
}

/// The records of a file, one after the other.
pub(crate) struct Rows {
    name: PathBuf,
    file: BufReader<File>,
    csv: bool,
    line: u64,
    bytes: u64,
    length: u64,
}

struct Row {
    /// Where it begins.
    line: u64,
    text: Vec<u8>,
}

impl Rows {
    pub(crate) fn open(name: &Path) -> io::Result<Self> {
        let file = File::open(name)?;
        let length = file.metadata()?.len();
        let mut file = BufReader::new(file);
        // A byte order mark is no part of the first row.
        let mark = if file.fill_buf()?.starts_with("\u{feff}".as_bytes()) { 3 } else { 0 };
        file.consume(mark);
        let csv = name.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        Ok(Self { name: name.to_owned(), file, csv, line: 0, bytes: mark as u64, length })
    }

    pub(crate) fn are_csv(&self) -> bool {
        self.csv
    }

    /// The next line that is not blank; of CSV with those after it, as far as a quote is open.
    fn next(&mut self) -> io::Result<Option<Row>> {
        let mut row = Row { line: self.line + 1, text: Vec::new() };
        let mut quoted = false;
        loop {
            let before = row.text.len();
            let read = (&mut self.file).take((LONGEST + 1 - before) as u64).read_until(b'\n', &mut row.text)?;
            (self.line, self.bytes) = (self.line + 1, self.bytes + read as u64);
            let marks = row.text.iter().skip(before).filter(|byte| **byte == b'"').count();
            quoted ^= self.csv && marks % 2 == 1;
            match (read, row.text.trim_ascii_start().is_empty()) {
                _ if row.text.len() > LONGEST => {
                    return Err(io::Error::other(format!("line {} has more than {LONGEST} bytes", row.line)));
                }
                (0, true) => return Ok(None),
                (_, true) => row = Row { line: self.line + 1, text: Vec::new() },
                (1.., false) if quoted => {}
                _ => return Ok(Some(row)),
            }
        }
    }
}

/// Feeds all of them, and waits until they are processed.
pub(crate) fn feed(
    feldera: &Feldera<Ureq>,
    goal: Ingest,
    resend: bool,
    rows: Rows,
    progress: &Progress,
    explain: impl Fn(&FlowError) -> Problem,
) -> Result<Tally, Problem> {
    let goal = if rows.csv { goal } else { goal.update_format(UpdateFormat::Raw) };
    let goal = if resend { goal.resend_unconfirmed() } else { goal };
    let mut feed =
        Feed { rows, progress, unsent: 0, unconfirmed: 0, shown: 0, settled: 0, lines: VecDeque::new(), next: None };
    let mut ingestion = feldera.start_with(goal, |notice| progress.show(&notice));
    loop {
        // As much as the buffer takes: there is room again after each chunk.
        while let Some(row) = feed.take().map_err(|error| feed.placed(&error.into()))? {
            match ingestion.flow_mut().push_record(row.text) {
                Ok(_) => feed.lines.push_back(row.line),
                Err(full @ PushError::Full { .. }) => {
                    feed.next = Some(Row { text: full.into_row(), ..row });
                    break;
                }
                Err(error) => {
                    feed.unsent += 1;
                    feed.reject(Some(row.line), &error.to_string());
                }
            }
        }
        if feed.next.is_none() {
            ingestion.flow_mut().finish();
        }
        match ingestion.next() {
            Ok(Some(IngestEvent::Accepted(accepted))) => feed.settle(&accepted.rows),
            Ok(Some(IngestEvent::Rejected(rejected))) => feed.rejected(&rejected),
            Ok(Some(IngestEvent::Unconfirmed(unconfirmed))) => {
                feed.report_unconfirmed(&unconfirmed);
                ingestion.flow_mut().skip(unconfirmed).expect("they are the rows that this session waits for");
            }
            Ok(Some(IngestEvent::Finished(done))) => {
                progress.say(&format!("{} rows are in and processed", done.accepted));
                let tally = Tally { rejected: feed.unsent + done.rejected, unconfirmed: feed.unconfirmed };
                feed.ended(tally, resend);
                return Ok(tally);
            }
            Ok(_) => {}
            Err(error) => return Err(feed.placed(&explain(&error))),
        }
    }
}

struct Feed<'a> {
    rows: Rows,
    progress: &'a Progress,
    /// Rows that could not be sent.
    unsent: u64,
    unconfirmed: u64,
    /// How many errors were shown, or would have been.
    shown: u64,
    /// How many rows wait for nothing any more.
    settled: u64,
    /// The lines of the others.
    lines: VecDeque<u64>,
    /// What did not fit.
    next: Option<Row>,
}

impl Feed<'_> {
    fn take(&mut self) -> Result<Option<Row>, String> {
        match self.next.take() {
            Some(row) => Ok(Some(row)),
            None => self.rows.next().map_err(|error| format!("{}: {error}", self.rows.name.display())),
        }
    }

    /// The line that a row was on.
    fn line(&self, row: u64) -> Option<u64> {
        self.lines.get(usize::try_from(row.checked_sub(self.settled)?).ok()?).copied()
    }

    fn settle(&mut self, rows: &Range<u64>) {
        while self.settled < rows.end && self.lines.pop_front().is_some() {
            self.settled += 1;
        }
        let Rows { name, bytes, length, .. } = &self.rows;
        self.progress.status(|| {
            let percent = (bytes * 100).checked_div(*length).unwrap_or(100);
            format!("{} rows are sent, {percent}% of {} is read", self.settled, name.display())
        });
    }

    /// A row is not in. The first twenty are named.
    fn reject(&mut self, line: Option<u64>, problem: &str) {
        self.shown += 1;
        let name = self.rows.name.display();
        let line = line.map_or("?".to_owned(), |line| line.to_string());
        match self.shown {
            ..=SHOWN => self.progress.say(&format!("{name}:{line}: not taken in: {problem}")),
            shown if shown == SHOWN + 1 => self.progress.say(&format!("{name}: there are more, which are not named")),
            _ => {}
        }
    }

    fn rejected(&mut self, rejected: &RejectedRows) {
        for row in &rejected.rows {
            let line = row.row.and_then(|row| self.line(row));
            let text = row.error.invalid_text.as_deref().filter(|_| line.is_none()).unwrap_or_default();
            self.reject(line, format!("{} {text}", row.error).trim_end());
        }
        self.settle(&rejected.chunk.rows());
    }

    fn report_unconfirmed(&mut self, unconfirmed: &UnconfirmedRows) {
        let rows = unconfirmed.chunk().rows();
        let line = |row| self.line(row).unwrap_or_default();
        let (first, last) = (line(rows.start), line(rows.end.saturating_sub(1)));
        let name = self.rows.name.display();
        let cause = unconfirmed.cause();
        self.progress
            .say(&format!("{name}: the rows of lines {first} to {last} may or may not have been ingested: {cause}"));
        self.unconfirmed += rows.end - rows.start;
        self.settle(&rows);
    }

    /// What came between, and how far it got.
    fn placed(&self, problem: &Problem) -> Problem {
        let next = self.lines.front().copied().or(self.next.as_ref().map(|row| row.line));
        let unsent = next.map_or(String::new(), |line| format!(", and from line {line} on nothing was"));
        let text = format!("{}\n{}: {} rows were sent{unsent}", problem.text, self.rows.name.display(), self.settled);
        Problem { text, ..*problem }
    }

    fn ended(&self, tally: Tally, resent: bool) {
        let Tally { rejected, unconfirmed } = tally;
        let name = self.rows.name.display();
        match rejected {
            0 => {}
            1 => self.progress.say(&format!("{name}: 1 row was rejected; all others are ingested")),
            _ => self.progress.say(&format!("{name}: {rejected} rows were rejected; all others are ingested")),
        }
        let more = if resent { "; --resend has done so five times" } else { "; --resend does so at once" };
        if unconfirmed > 0 {
            self.progress.say(&format!(
                "{name}: {unconfirmed} rows may or may not have been ingested. If a second copy of a row changes nothing, as in a table with a primary \
                 key, feed them once more{more}"
            ));
        }
    }
}
