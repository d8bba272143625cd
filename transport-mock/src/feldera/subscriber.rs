//! The readers of egress, as a process sees them.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;

use super::release::Release;
use super::tables::{Delta, Record};

/// How many records are kept for a reader.
const KEPT: usize = 100;
/// After so long a silence comes a heartbeat.
const HEARTBEAT: Duration = Duration::from_secs(3);

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

/// What a record holds.
#[derive(Clone, Copy)]
enum Chunk<'a> {
    Rows(&'a [Record]),
    /// So many steps have been processed.
    EndOfStep(u64),
    Heartbeat,
}

/// A reader of egress, as the process sees it.
#[derive(Debug)]
pub(super) struct Subscriber {
    number: u64,
    encoding: Encoding,
    backpressure: bool,
    /// The table or view that it reads.
    relation: String,
    /// How many rows were sent.
    rows: u64,
    next: u64,
    queue: VecDeque<String>,
    /// When the last record was made.
    quiet_since: Duration,
    release: Release,
}

impl Subscriber {
    pub(super) fn new(
        now: Duration,
        release: Release,
        relation: String,
        encoding: Encoding,
        backpressure: bool,
    ) -> Self {
        let (number, rows, next, queue) = (0, 0, 0, VecDeque::new());
        Self { number, encoding, backpressure, relation, rows, next, queue, quiet_since: now, release }
    }

    /// Sends changes; whether the encoding can.
    pub(super) fn send(&mut self, at: Duration, snapshot: bool, changes: &[Record]) -> bool {
        match self.encoding {
            Encoding::Debezium => return changes.is_empty(),
            Encoding::Snowflake => changes.chunks(1).for_each(|change| self.record(at, snapshot, Chunk::Rows(change))),
            Encoding::Csv | Encoding::InsertDelete => self.record(at, snapshot, Chunk::Rows(changes)),
        }
        true
    }

    /// A row as the update format has it.
    fn json(&mut self, Record { delete, json, .. }: &Record) -> String {
        let action = if *delete { "delete" } else { "insert" };
        if self.encoding != Encoding::Snowflake {
            return format!("{{\"{action}\":{json}}}");
        }
        let fields = json.strip_suffix('}').unwrap_or(json);
        let comma = if fields == "{" { "" } else { "," };
        let (stream, number) = (self.number, self.rows);
        self.rows += 1;
        format!("{fields}{comma}\"__action\":\"{action}\",\"__stream_id\":{stream},\"__seq_number\":{number}}}")
    }

    /// Says that the output of so many steps has been sent.
    fn end_step(&mut self, at: Duration, steps: u64) {
        if self.release >= Release::V0_375 {
            self.beat(at);
            self.record(at, false, Chunk::EndOfStep(steps));
        }
    }

    fn record(&mut self, at: Duration, snapshot: bool, chunk: Chunk<'_>) {
        let mut text = format!("{{\"sequence_number\":{}", self.next);
        // Writing to a text never fails.
        if self.release >= Release::V0_337 {
            let _ = write!(text, ",\"snapshot\":{snapshot}");
        }
        self.next += 1;
        self.quiet_since = at;
        // With backpressure nothing is lost: what is too much for the queue is the rest of one step at most.
        if self.queue.len() >= KEPT && !snapshot && !self.backpressure {
            return;
        }
        match chunk {
            Chunk::Rows(changes) if self.encoding != Encoding::Csv => {
                let data: Vec<String> = changes.iter().map(|change| self.json(change)).collect();
                let _ = write!(text, ",\"json_data\":[{}]", data.join(","));
            }
            Chunk::Rows(changes) => {
                let data: String = changes.iter().map(csv).collect();
                let _ = write!(text, ",\"text_data\":{}", json!(data));
            }
            Chunk::EndOfStep(steps) => {
                let _ = write!(text, ",\"processed_steps\":{steps}");
            }
            Chunk::Heartbeat => {}
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

    /// Heartbeats up to a time.
    pub(super) fn beat(&mut self, now: Duration) {
        while self.next_beat() <= now && !self.is_full() {
            self.record(self.next_beat(), false, Chunk::Heartbeat);
        }
        // Who holds the pipeline up is not told that it lives.
        if self.is_full() {
            self.quiet_since = now;
        }
    }

    /// When the next heartbeat is due, unless rows come before it.
    pub(super) fn next_beat(&self) -> Duration {
        self.quiet_since.saturating_add(HEARTBEAT)
    }
}

/// The subscribers of a process.
#[derive(Debug, Default)]
pub(super) struct Subscribers {
    list: Vec<Subscriber>,
    /// How many there ever were.
    count: u64,
    /// Rows were dropped, which the log does not tell yet.
    pub(super) dropped: bool,
}

impl Subscribers {
    /// The subscriber's number.
    pub(super) fn subscribe(&mut self, mut subscriber: Subscriber) -> u64 {
        self.count += 1;
        subscriber.number = self.count;
        self.list.push(subscriber);
        self.count
    }

    /// Whether a subscriber with backpressure does not read.
    pub(super) fn is_held_up(&self) -> bool {
        self.list.iter().any(Subscriber::is_full)
    }

    /// Sends what a step changed to those that read it, and that the step is over, to all.
    pub(super) fn deliver(&mut self, at: Duration, deltas: &[Delta<'_>], step: u64) {
        for delta in deltas {
            let reads = |subscriber: &Subscriber| delta.relations.contains(&subscriber.relation.as_str());
            if !self.list.iter().any(reads) {
                continue;
            }
            let records = delta.records();
            for subscriber in self.list.iter_mut().filter(|subscriber| reads(subscriber)) {
                subscriber.beat(at);
                self.dropped |= !subscriber.send(at, false, &records);
            }
        }
        for subscriber in &mut self.list {
            subscriber.end_step(at, step);
        }
    }

    pub(super) fn get(&mut self, number: u64) -> Option<&mut Subscriber> {
        self.list.iter_mut().find(|subscriber| subscriber.number == number)
    }

    pub(super) fn remove(&mut self, number: u64) {
        self.list.retain(|subscriber| subscriber.number != number);
    }
}

/// A line, and its weight at the end.
fn csv(Record { delete, csv, .. }: &Record) -> String {
    let weight = if *delete { -1 } else { 1 };
    format!("{csv},{weight}\n")
}
