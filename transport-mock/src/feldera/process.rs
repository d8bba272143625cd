//! The process of a pipeline: what it holds, and its steps.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};

use super::Config;
use super::connectors::Generator;
use super::live::Subscriber;
use super::object::stamp;
use super::program::{Program, Table};
use super::rows::Change;
use super::views::{CheckpointView, History, SyncView, TakenView, TransactionView};

/// Rows of a table, by their text, and how often each is there. With a key, the text is that of the key.
pub(super) type Rows = BTreeMap<String, (Value, u64)>;

/// How many steps may wait before connectors do.
const MOST_STEPS: usize = 1000;

/// What a checkpoint keeps.
#[derive(Debug, Clone)]
pub(super) struct SavedState {
    pub(super) uuid: String,
    pub(super) tables: BTreeMap<String, Rows>,
    pub(super) program_version: u64,
    pub(super) steps: u64,
    pub(super) records: u64,
    /// How far each connector was.
    pub(super) made: BTreeMap<String, u64>,
}

/// What a step changes, in the order of its arrival.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) number: u64,
    table: String,
    changes: Vec<Change>,
    records: u64,
    /// Not before a transaction is over.
    due: Option<Duration>,
}

/// A place where data comes in.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) name: String,
    pub(super) stream: String,
    pub(super) records: u64,
    pub(super) bytes: usize,
    pub(super) errors: usize,
    /// What fills it, if it is a connector.
    pub(super) generator: Option<Generator>,
    /// How many records it had taken in when each step began.
    steps: Vec<(u64, u64)>,
}

/// A delivery that waits for the pipeline to be resumed.
#[derive(Debug)]
struct Held {
    endpoint: usize,
    table: String,
    changes: Vec<Change>,
}

/// A checkpoint that was asked for.
#[derive(Debug)]
struct Asked {
    sequence: u64,
    due: Option<Duration>,
}

/// What goes wrong, whenever it is asked for.
#[derive(Debug, Default)]
pub(super) struct Fails {
    pub(super) checkpoints: bool,
    pub(super) syncs: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) incarnation: String,
    pub(super) status: &'static str,
    pub(super) desired: &'static str,
    pub(super) started: Duration,
    pub(super) tables: BTreeMap<String, Rows>,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) subscribers: Vec<Subscriber>,
    pub(super) subscribed: u64,
    /// Rows were dropped, which the log does not tell yet.
    pub(super) dropped: bool,
    /// When how many records had gone through, of the last minute and one before.
    pub(super) progress: Vec<(Duration, u64)>,
    pub(super) initiated: u64,
    pub(super) completed: u64,
    pub(super) input_records: u64,
    pub(super) completed_records: u64,
    pub(super) transaction: Option<u64>,
    /// When the first rows came into the transaction; until then, statistics do not show it.
    pub(super) transaction_began: Option<Duration>,
    committing: Option<Duration>,
    next_transaction: u64,
    steps: VecDeque<Step>,
    held: Vec<Held>,
    pub(super) wedged: bool,
    pub(super) fails: Fails,
    pub(super) has_storage: bool,
    /// Checkpoints on their way to the object store, one at a time, and when each is there.
    syncing: VecDeque<(Duration, String)>,
    /// Those that got there, until the pipeline takes note of them.
    pub(super) pushed: Vec<String>,
    /// The last one that got there.
    pub(super) synced: Option<String>,
    /// The last one that did not.
    pub(super) sync_failure: Value,
    asked: VecDeque<Asked>,
    next_sequence: u64,
    pub(super) success: Option<u64>,
    pub(super) failure: Option<(u64, Value)>,
    pub(super) history: History,
}

impl Process {
    pub(super) fn new(incarnation: String, now: Duration, desired: &'static str, saved: Option<&SavedState>) -> Self {
        let steps = saved.map_or(0, |saved| saved.steps);
        let records = saved.map_or(0, |saved| saved.records);
        Self {
            incarnation,
            status: "Initializing",
            desired,
            started: now,
            tables: saved.map(|saved| saved.tables.clone()).unwrap_or_default(),
            endpoints: Vec::new(),
            subscribers: Vec::new(),
            subscribed: 0,
            dropped: false,
            progress: Vec::new(),
            initiated: steps,
            completed: steps,
            input_records: records,
            completed_records: records,
            transaction: None,
            transaction_began: None,
            committing: None,
            next_transaction: 20,
            steps: VecDeque::new(),
            held: Vec::new(),
            wedged: false,
            fails: Fails::default(),
            syncing: VecDeque::new(),
            pushed: Vec::new(),
            synced: None,
            sync_failure: Value::Null,
            has_storage: true,
            asked: VecDeque::new(),
            next_sequence: 0,
            success: None,
            failure: None,
            history: History::default(),
        }
    }

    /// The endpoint of a name, which stays for as long as the process.
    pub(super) fn endpoint(&mut self, name: &str, stream: &str) -> usize {
        if let Some(at) = self.endpoints.iter().position(|endpoint| endpoint.name == name) {
            return at;
        }
        let (name, stream) = (name.to_owned(), stream.to_owned());
        let (records, bytes, errors, generator, steps) = (0, 0, 0, None, Vec::new());
        self.endpoints.push(Endpoint { name, stream, records, bytes, errors, generator, steps });
        self.endpoints.len() - 1
    }

    /// Takes changes in, for a step of their own.
    pub(super) fn take(&mut self, now: Duration, config: &Config, endpoint: usize, table: &str, changes: Vec<Change>) {
        let records = changes.len() as u64;
        let Some(place) = self.endpoints.get_mut(endpoint) else { return };
        place.records += records;
        if records == 0 {
            return;
        }
        if self.transaction.is_some() {
            self.transaction_began.get_or_insert(now);
        }
        self.initiated += 1;
        place.steps.push((place.records, self.initiated));
        self.input_records += records;
        self.history.taken.extend(changes.iter().map(|Change { delete, row }| TakenView {
            incarnation: self.incarnation.clone(),
            step: self.initiated,
            table: table.to_owned(),
            delete: *delete,
            row: row.clone(),
        }));
        let waits = self.transaction.is_some() || self.wedged;
        let after = self.steps.back().and_then(|step| step.due).unwrap_or(now).max(now);
        let due = (!waits).then(|| after.saturating_add(config.step_duration));
        self.steps.push_back(Step { number: self.initiated, table: table.to_owned(), changes, records, due });
    }

    /// Keeps changes until the pipeline is resumed.
    pub(super) fn hold(&mut self, endpoint: usize, table: &str, changes: Vec<Change>) {
        self.held.push(Held { endpoint, table: table.to_owned(), changes });
    }

    pub(super) fn release(&mut self, now: Duration, config: &Config) {
        self.wake(now);
        for Held { endpoint, table, changes } in std::mem::take(&mut self.held) {
            self.take(now, config, endpoint, &table, changes);
        }
    }

    /// The step that so many records of an endpoint were in, if they are in any yet.
    pub(super) fn step_of(&self, endpoint: usize, records: u64) -> Option<u64> {
        let steps = &self.endpoints.get(endpoint)?.steps;
        steps.iter().find(|(taken, _)| *taken >= records).map(|(_, step)| *step)
    }

    pub(super) fn start_transaction(&mut self) -> u64 {
        let number = self.next_transaction;
        self.next_transaction += 1;
        (self.transaction, self.transaction_began) = (Some(number), None);
        let incarnation = self.incarnation.clone();
        self.history.transactions.push(TransactionView { incarnation, id: number, committed: None });
        number
    }

    pub(super) fn commit_transaction(&mut self, at: Duration) {
        self.committing = Some(at);
    }

    pub(super) fn is_committing(&self) -> bool {
        self.committing.is_some()
    }

    pub(super) fn ask_checkpoint(&mut self, now: Duration, config: &Config) -> u64 {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let incarnation = self.incarnation.clone();
        self.history.checkpoints.push(CheckpointView { incarnation, sequence, made: None });
        if self.has_storage {
            let due = self.transaction.is_none().then(|| now.saturating_add(config.checkpoint_duration));
            self.asked.push_back(Asked { sequence, due });
        } else {
            self.fail(
                sequence,
                "The pipeline does not support checkpointing for the following reasons: Storage must be configured",
                now,
            );
        }
        sequence
    }

    /// Sends a checkpoint to the object store. One that is on its way already is not sent again.
    pub(super) fn ask_sync(&mut self, now: Duration, uuid: &str, config: &Config) {
        if self.syncing.iter().all(|(_, other)| other != uuid) {
            let free = self.syncing.back().map_or(now, |(due, _)| now.max(*due));
            self.syncing.push_back((free.saturating_add(config.checkpoint_duration), uuid.to_owned()));
        }
    }

    fn end_sync(&mut self, uuid: String) {
        let (incarnation, checkpoint) = (self.incarnation.clone(), uuid.clone());
        self.history.syncs.push(SyncView { incarnation, checkpoint, succeeded: !self.fails.syncs });
        if self.fails.syncs {
            self.sync_failure = json!({ "uuid": uuid, "error": "push failed" });
        } else {
            self.pushed.push(uuid.clone());
            self.synced = Some(uuid);
        }
    }

    fn fail(&mut self, sequence: u64, error: &str, at: Duration) {
        // Only that with the highest number is kept, and it stays.
        if self.failure.as_ref().is_none_or(|(failed, _)| *failed <= sequence) {
            let failure = json!({ "sequence_number": sequence, "error": error, "failed_at": stamp(at) });
            self.failure = Some((sequence, failure));
        }
    }

    /// What its checkpoints are doing.
    pub(super) fn checkpoint_activity(&self) -> Value {
        match self.asked.front() {
            None => json!({ "status": "idle" }),
            Some(Asked { due: None, .. }) => {
                json!({ "status": "delayed", "reasons": ["TransactionInProgress"], "delayed_since": stamp(self.started) })
            }
            Some(_) => json!({ "status": "in_progress", "started_at": stamp(self.started) }),
        }
    }

    /// When something happens next.
    pub(super) fn next_due(&self) -> Option<Duration> {
        let step = self.steps.front().filter(|_| !self.is_held_up()).and_then(|step| step.due);
        let asked = self.asked.front().and_then(|asked| asked.due);
        let synced = self.syncing.front().map(|(due, _)| *due);
        [step, asked, synced, self.committing, self.next_rows()].into_iter().flatten().min()
    }

    /// Lets it happen; a checkpoint, if it made one.
    pub(super) fn happen(&mut self, at: Duration, config: &Config, program: &Program) -> bool {
        if self.committing.is_some_and(|due| due <= at) {
            (self.committing, self.transaction, self.transaction_began) = (None, None, None);
            if let Some(transaction) = self.history.transactions.last_mut() {
                transaction.committed = Some(at);
            }
            for step in &mut self.steps {
                step.due = step.due.or((!self.wedged).then_some(at));
            }
            for asked in &mut self.asked {
                asked.due = asked.due.or(Some(at.saturating_add(config.checkpoint_duration)));
            }
            return false;
        }
        if !self.is_held_up() && self.steps.front().is_some_and(|step| step.due.is_some_and(|due| due <= at)) {
            if let Some(step) = self.steps.pop_front() {
                self.complete(at, step, program);
            }
            return false;
        }
        if self.syncing.front().is_some_and(|(due, _)| *due <= at) {
            if let Some((_, uuid)) = self.syncing.pop_front() {
                self.end_sync(uuid);
            }
            return false;
        }
        if self.asked.front().is_some_and(|asked| asked.due.is_some_and(|due| due <= at)) {
            // Those that wait together are one.
            let mut last = None;
            while self.asked.front().is_some_and(|asked| asked.due.is_some_and(|due| due <= at)) {
                last = self.asked.pop_front();
            }
            let Some(Asked { sequence, .. }) = last else { return false };
            if self.fails.checkpoints {
                self.fail(sequence, "I/O error", at);
                return false;
            }
            self.success = Some(sequence);
            for checkpoint in self.history.checkpoints.iter_mut().filter(|asked| asked.sequence <= sequence) {
                checkpoint.made.get_or_insert(at);
            }
            return true;
        }
        self.generate(at, config, program);
        false
    }

    /// So much waits that connectors do.
    pub(super) fn is_busy(&self) -> bool {
        self.steps.len() >= MOST_STEPS
    }

    /// Rows that were completed, to be kept.
    pub(super) fn save(&self, uuid: String, program_version: u64) -> SavedState {
        let (steps, records) = (self.completed, self.completed_records);
        let made = self.endpoints.iter().filter_map(|endpoint| Some((endpoint.name.clone(), endpoint.made()?)));
        SavedState { uuid, tables: self.tables.clone(), program_version, steps, records, made: made.collect() }
    }

    /// Whoever held it up has read, or is gone: what was due goes on from here.
    pub(super) fn resume(&mut self, now: Duration) {
        for step in &mut self.steps {
            step.due = step.due.map(|due| due.max(now));
        }
    }

    fn complete(&mut self, at: Duration, step: Step, program: &Program) {
        let Step { number, table, changes, records, .. } = step;
        self.completed = number;
        self.completed_records += records;
        let old = self.progress.partition_point(|(time, _)| time.saturating_add(Duration::from_secs(61)) < at);
        self.progress.drain(..old.saturating_sub(1));
        self.progress.push((at, self.completed_records));
        let Some(shape) = program.tables.iter().find(|shape| shape.name == table) else { return };
        let rows = self.tables.entry(table.clone()).or_default();
        let delta: Vec<Change> = changes.into_iter().flat_map(|change| apply(shape, rows, change)).collect();
        self.deliver(at, &table, &delta);
    }
}

/// Changes rows; what has really changed.
fn apply(table: &Table, rows: &mut Rows, change: Change) -> Vec<Change> {
    let keyed: Vec<&str> =
        table.columns.iter().filter(|column| column.key).map(|column| column.name.as_str()).collect();
    let Change { delete, row } = change;
    if keyed.is_empty() {
        let text = row.to_string();
        let count = rows.get(&text).map_or(0, |(_, count)| *count);
        match (delete, count) {
            // The circuit would hold a negative weight; here nothing is there to be deleted.
            (true, 0) => return Vec::new(),
            (true, 1) => {
                rows.remove(&text);
            }
            (true, count) => {
                rows.insert(text, (row.clone(), count - 1));
            }
            (false, count) => {
                rows.insert(text, (row.clone(), count + 1));
            }
        }
        return vec![Change { delete, row }];
    }
    let key: Vec<&Value> = keyed.iter().filter_map(|name| row.get(*name)).collect();
    let key = json!(key).to_string();
    let before = rows.remove(&key).map(|(row, _)| Change { delete: true, row });
    if delete {
        return before.into_iter().collect();
    }
    rows.insert(key, (row.clone(), 1));
    before.into_iter().chain([Change { delete: false, row }]).collect()
}
