//! Bodies that go on: egress, logs, time series.
//!
//! A reader of egress gets records as steps complete. 100 of them are kept for it: what does not fit is numbered and
//! discarded, or, with backpressure, not even begun, and then the whole pipeline stands still. After 3 s of silence comes a
//! record that says nothing. When the process ends, so does the body, properly and without a word.
//!
//! As a real server does, it accepts the update format `debezium` and then drops all rows: only the pipeline's log tells.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::Duration;

use pipewright::Timestamp;
use serde_json::{Value, json};

use super::Manager;
use super::errors::{Answer, Reply};
use super::pipeline::Pipeline;
use super::process::Process;
use super::program::Table;
use super::rows::Change;
use crate::live::{Coming, OpenBody};

/// How many records are kept for a reader.
const KEPT: usize = 100;
/// After so long a silence comes a heartbeat.
const HEARTBEAT: Duration = Duration::from_secs(3);
/// Between two samples of a time series.
const SECOND: Duration = Duration::from_secs(1);
/// How many samples are kept.
const SAMPLES: u32 = 60;

/// What a client is reading.
#[derive(Debug)]
pub(super) struct Reading {
    /// Id of the pipeline.
    pipeline: String,
    what: What,
}

#[derive(Debug)]
enum What {
    /// Of this process, as a subscriber.
    Egress(String),
    /// Lines so far, of all that there ever were.
    Logs(u64),
    /// Of this process: when the next sample is due.
    TimeSeries(String, Duration),
}

/// How a reader of egress gets rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Csv,
    InsertDelete,
    /// One row in each record.
    Snowflake,
    /// Not at all: egress over HTTP has no place for the key of a message.
    Debezium,
}

/// A reader of egress, as the process sees it.
#[derive(Debug)]
pub(super) struct Subscriber {
    number: u64,
    encoding: Encoding,
    backpressure: bool,
    table: Table,
    /// How many rows were sent.
    rows: u64,
    next: u64,
    queue: VecDeque<String>,
    /// When the last record was made.
    quiet_since: Duration,
}

impl Subscriber {
    pub(super) fn new(now: Duration, table: Table, encoding: Encoding, backpressure: bool) -> Self {
        Self { number: 0, encoding, backpressure, table, rows: 0, next: 0, queue: VecDeque::new(), quiet_since: now }
    }

    /// Sends changes; whether the encoding can.
    pub(super) fn send(&mut self, at: Duration, snapshot: bool, changes: &[Change]) -> bool {
        match self.encoding {
            Encoding::Debezium => return changes.is_empty(),
            Encoding::Snowflake => changes.chunks(1).for_each(|change| self.record(at, snapshot, Some(change))),
            Encoding::Csv | Encoding::InsertDelete => self.record(at, snapshot, Some(changes)),
        }
        true
    }

    /// A row as the update format has it.
    fn json(&mut self, Change { delete, row }: &Change) -> Value {
        let action = if *delete { "delete" } else { "insert" };
        if self.encoding != Encoding::Snowflake {
            return json!({ action: row });
        }
        let mut row = row.clone();
        row["__action"] = json!(action);
        row["__stream_id"] = json!(self.number);
        row["__seq_number"] = json!(self.rows);
        self.rows += 1;
        row
    }

    /// One record; without changes, a heartbeat.
    fn record(&mut self, at: Duration, snapshot: bool, changes: Option<&[Change]>) {
        let mut text = format!("{{\"sequence_number\":{},\"snapshot\":{snapshot}", self.next);
        self.next += 1;
        self.quiet_since = at;
        if self.queue.len() >= KEPT && !snapshot {
            return;
        }
        match changes {
            Some(changes) if self.encoding != Encoding::Csv => {
                let data: Vec<Value> = changes.iter().map(|change| self.json(change)).collect();
                // Writing to a text never fails.
                let _ = write!(text, ",\"json_data\":{}", json!(data));
            }
            Some(changes) => {
                let data: String = changes.iter().map(|change| csv(&self.table, change)).collect();
                let _ = write!(text, ",\"text_data\":{}", json!(data));
            }
            None => {}
        }
        text.push_str("}\r\n");
        self.queue.push_back(text);
    }

    pub(super) fn take(&mut self) -> String {
        self.queue.drain(..).collect()
    }

    fn is_full(&self) -> bool {
        self.backpressure && self.queue.len() >= KEPT
    }
}

/// A line, and its weight at the end.
fn csv(table: &Table, Change { delete, row }: &Change) -> String {
    let field = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) if text.contains([',', '"', '\n']) => format!("\"{}\"", text.replace('"', "\"\"")),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut fields: Vec<String> = table.columns.iter().map(|column| field(&row[&column.name])).collect();
    fields.push(if *delete { "-1" } else { "1" }.into());
    format!("{}\n", fields.join(","))
}

impl Process {
    /// The subscriber's number.
    pub(super) fn subscribe(&mut self, mut subscriber: Subscriber) -> u64 {
        self.subscribed += 1;
        subscriber.number = self.subscribed;
        self.subscribers.push(subscriber);
        self.subscribed
    }

    /// Whether somebody with backpressure does not read.
    pub(super) fn is_held_up(&self) -> bool {
        self.subscribers.iter().any(Subscriber::is_full)
    }

    pub(super) fn deliver(&mut self, at: Duration, table: &str, delta: &[Change]) {
        let readers = self.subscribers.iter_mut().filter(|subscriber| subscriber.table.name == table);
        readers.filter(|_| !delta.is_empty()).for_each(|subscriber| {
            subscriber.beat(at);
            self.dropped |= !subscriber.send(at, false, delta);
        });
    }

    /// Records that went through up to a time.
    fn completed_by(&self, at: Duration) -> u64 {
        let later = self.progress.partition_point(|(time, _)| *time <= at);
        later.checked_sub(1).and_then(|last| self.progress.get(last)).map_or(0, |(_, records)| *records)
    }

    fn sample(&self, at: Duration) -> Value {
        json!({ "t": millis(at), "r": self.completed_by(at), "m": 163_213_312, "s": 0 })
    }

    /// Of the last minute, up to now; and when the next is due.
    fn samples(&self, now: Duration) -> (Vec<Value>, Duration) {
        let last = now.saturating_sub(self.started).as_secs();
        let first = (last + 1).saturating_sub(u64::from(SAMPLES)).max(1);
        let at = |number: u64| self.started.saturating_add(Duration::from_secs(number));
        ((first..=last).map(|number| self.sample(at(number))).collect(), at(last + 1))
    }
}

impl Subscriber {
    /// Heartbeats up to a time.
    fn beat(&mut self, now: Duration) {
        // Who holds the pipeline up is not told that it lives.
        if self.is_full() {
            self.quiet_since = now;
        }
        while self.quiet_since.saturating_add(HEARTBEAT) <= now {
            let at = self.quiet_since.saturating_add(HEARTBEAT);
            self.record(at, false, None);
        }
    }
}

impl Manager {
    /// Leaves a body open.
    pub(super) fn open_egress(&mut self, name: &str, subscriber: Subscriber) -> Answer {
        let pipeline = self.live(name)?;
        let id = pipeline.id.clone();
        let Some(process) = &mut pipeline.process else { return Err(super::Refusal::unknown_route()) };
        let number = process.subscribe(subscriber);
        let first = process.subscriber(number).map(Subscriber::take).unwrap_or_default();
        let incarnation = process.incarnation.clone();
        let body = self.open(Reading { pipeline: id, what: What::Egress(format!("{incarnation}/{number}")) });
        Ok(Reply::live("application/json", first, body))
    }

    pub(super) fn logs(&mut self, name: &str) -> Answer {
        let pipeline = self.find(name)?;
        let (first, read) = pipeline.log_since(0);
        let id = pipeline.id.clone();
        let body = self.open(Reading { pipeline: id, what: What::Logs(read) });
        Ok(Reply::live("text/plain", first, body))
    }

    pub(super) fn time_series(&mut self, name: &str) -> Answer {
        let now = self.now;
        let Some(process) = &self.live(name)?.process else { return Err(super::Refusal::unknown_route()) };
        Ok(Reply::json(json!({ "now": millis(now), "samples": process.samples(now).0 })))
    }

    pub(super) fn time_series_stream(&mut self, name: &str) -> Answer {
        let now = self.now;
        let pipeline = self.live(name)?;
        let id = pipeline.id.clone();
        let Some(process) = &pipeline.process else { return Err(super::Refusal::unknown_route()) };
        let (samples, next) = process.samples(now);
        let what = What::TimeSeries(process.incarnation.clone(), next);
        let body = self.open(Reading { pipeline: id, what });
        Ok(Reply::live("application/x-ndjson", super::data::lines(samples.iter()), body))
    }

    fn open(&mut self, reading: Reading) -> OpenBody {
        self.opened += 1;
        let body = OpenBody(self.opened);
        self.readings.insert(body, reading);
        body
    }

    /// What comes next, at `now`, of the body of an answer that goes on: egress, logs, time series.
    pub fn read(&mut self, now: Duration, body: OpenBody) -> Coming {
        self.advance(now);
        let now = self.now;
        let Some(reading) = self.readings.get_mut(&body) else { return Coming::End };
        let pipeline = self.pipelines.iter_mut().find(|pipeline| pipeline.id == reading.pipeline);
        let text = pipeline.and_then(|pipeline| next(now, pipeline, &mut reading.what));
        match text {
            Some(Next::Text(text)) => Coming::Bytes(text.into()),
            Some(Next::At(Some(at))) => Coming::Later(Timestamp::from_unix(at)),
            Some(Next::At(None)) => Coming::Idle,
            None => {
                self.close(now, body);
                Coming::End
            }
        }
    }

    /// Nobody reads that body any more.
    pub fn close(&mut self, now: Duration, body: OpenBody) {
        self.advance(now);
        let Some(Reading { pipeline, what: What::Egress(key) }) = self.readings.remove(&body) else { return };
        let pipeline = self.pipelines.iter_mut().find(|other| other.id == pipeline);
        if let Some(process) = pipeline.and_then(|pipeline| pipeline.process.as_mut())
            && let Some(number) = process.number_of(&key)
        {
            process.subscribers.retain(|subscriber| subscriber.number != number);
            process.resume(self.now);
        }
    }
}

enum Next {
    Text(String),
    At(Option<Duration>),
}

/// What comes next of a pipeline; `None` is the end.
fn next(now: Duration, pipeline: &mut Pipeline, what: &mut What) -> Option<Next> {
    let due = pipeline.next_due();
    match what {
        What::Logs(read) => {
            let (text, total) = pipeline.log_since(*read);
            *read = total;
            Some(if text.is_empty() { Next::At(due) } else { Next::Text(text) })
        }
        What::Egress(key) => {
            let is_well = pipeline.trouble.is_none();
            let process = pipeline.process.as_mut()?;
            let number = process.number_of(key)?;
            let subscriber = process.subscriber(number)?;
            // A process that hangs or is gone does not say so.
            if !is_well {
                return Some(Next::At(due));
            }
            subscriber.beat(now);
            let text = subscriber.take();
            let beat = subscriber.quiet_since.saturating_add(HEARTBEAT);
            if text.is_empty() {
                return Some(Next::At(Some(due.map_or(beat, |due| due.min(beat)))));
            }
            process.resume(now);
            Some(Next::Text(text))
        }
        What::TimeSeries(incarnation, next) => {
            let process = pipeline.process.as_ref().filter(|process| process.incarnation == *incarnation)?;
            let mut samples = Vec::new();
            while *next <= now {
                samples.push(process.sample(*next));
                *next = next.saturating_add(SECOND);
            }
            Some(if samples.is_empty() {
                Next::At(Some(due.map_or(*next, |due| due.min(*next))))
            } else {
                Next::Text(super::data::lines(samples.iter()))
            })
        }
    }
}

impl Process {
    fn subscriber(&mut self, number: u64) -> Option<&mut Subscriber> {
        self.subscribers.iter_mut().find(|subscriber| subscriber.number == number)
    }

    /// The number of a subscriber of this process, and not of an earlier one.
    fn number_of(&self, key: &str) -> Option<u64> {
        key.strip_prefix(&self.incarnation)?.strip_prefix('/')?.parse().ok()
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
