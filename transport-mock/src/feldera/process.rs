//! The process of a pipeline: what it holds, and its steps.

use std::collections::VecDeque;
use std::time::Duration;

use super::checkpointing::{Checkpointing, Syncs};
use super::config::Config;
use super::connectors::Output;
use super::endpoint::Endpoints;
use super::program::Program;
use super::progress::Progress;
use super::rows::Change;
use super::saved_state::SavedState;
use super::subscriber::Subscribers;
use super::tables::{Delta, Tables};
use super::token::Token;
use super::transaction::Transaction;
use super::views::{CheckpointView, History, SyncView, TakenView, TransactionView};

/// How many steps may wait before connectors do.
const MOST_STEPS: usize = 1000;

/// What a step changes, in the order of its arrival.
#[derive(Debug)]
struct Step {
    number: u64,
    /// By table or scripted view; those of a transaction are in one step.
    parts: Vec<(String, Vec<Change>)>,
    records: u64,
    /// Not before a transaction is over.
    due: Option<Duration>,
}

/// A delivery that waits for the pipeline to be resumed.
#[derive(Debug)]
struct Held {
    endpoint: usize,
    table: String,
    changes: Vec<Change>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) incarnation: String,
    pub(super) status: &'static str,
    pub(super) desired: &'static str,
    pub(super) started: Duration,
    pub(super) tables: Tables,
    pub(super) endpoints: Endpoints,
    pub(super) outputs: Vec<Output>,
    pub(super) subscribers: Subscribers,
    pub(super) progress: Progress,
    pub(super) initiated: u64,
    pub(super) completed: u64,
    pub(super) input_records: u64,
    pub(super) completed_records: u64,
    pub(super) transaction: Transaction,
    /// Why its circuit panics: a view cannot be evaluated.
    pub(super) failure: Option<String>,
    steps: VecDeque<Step>,
    held: Vec<Held>,
    pub(super) wedged: bool,
    pub(super) checkpoints: Checkpointing,
    pub(super) syncs: Syncs,
    pub(super) history: History,
}

impl Process {
    pub(super) fn new(
        incarnation: String,
        now: Duration,
        desired: &'static str,
        has_storage: bool,
        saved: Option<&SavedState>,
    ) -> Self {
        let steps = saved.map_or(0, |saved| saved.steps);
        let records = saved.map_or(0, |saved| saved.records);
        Self {
            incarnation,
            status: "Initializing",
            desired,
            started: now,
            tables: saved.map(|saved| saved.tables.clone()).unwrap_or_default(),
            endpoints: Endpoints::default(),
            outputs: Vec::new(),
            subscribers: Subscribers::default(),
            progress: Progress::new(now),
            initiated: steps,
            completed: steps,
            input_records: records,
            completed_records: records,
            transaction: Transaction::new(),
            failure: None,
            steps: VecDeque::new(),
            held: Vec::new(),
            wedged: false,
            checkpoints: Checkpointing::new(has_storage),
            syncs: Syncs::default(),
            history: History::default(),
        }
    }

    /// Takes changes in, for a step of their own.
    pub(super) fn take(&mut self, now: Duration, config: &Config, endpoint: usize, table: &str, changes: Vec<Change>) {
        let records = changes.len() as u64;
        let Some(place) = self.endpoints.get_mut(endpoint) else { return };
        place.records += records;
        if records == 0 {
            return;
        }
        self.transaction.note_rows(now);
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
        let waits = self.transaction.open.is_some() || self.wedged;
        let after = self.steps.back().and_then(|step| step.due).unwrap_or(now).max(now);
        let due = (!waits).then(|| after.saturating_add(config.step_duration));
        let parts = vec![(table.to_owned(), changes)];
        self.steps.push_back(Step { number: self.initiated, parts, records, due });
    }

    /// Takes rows of a view that a test emits, for a step of their own.
    #[cfg(feature = "sql")]
    pub(super) fn take_emitted(&mut self, now: Duration, config: &Config, view: &str, changes: Vec<Change>) {
        self.initiated += 1;
        let waits = self.transaction.open.is_some() || self.wedged;
        let after = self.steps.back().and_then(|step| step.due).unwrap_or(now).max(now);
        let due = (!waits).then(|| after.saturating_add(config.step_duration));
        let parts = vec![(view.to_owned(), changes)];
        self.steps.push_back(Step { number: self.initiated, parts, records: 0, due });
    }

    /// Keeps changes until the pipeline is resumed.
    pub(super) fn hold(&mut self, endpoint: usize, table: &str, changes: Vec<Change>) {
        self.held.push(Held { endpoint, table: table.to_owned(), changes });
    }

    pub(super) fn release(&mut self, now: Duration, config: &Config) {
        self.endpoints.wake(now);
        for Held { endpoint, table, changes } in std::mem::take(&mut self.held) {
            self.take(now, config, endpoint, &table, changes);
        }
    }

    /// A token for everything that an endpoint took in so far.
    pub(super) fn token(&self, endpoint: usize) -> Token {
        let records = self.endpoints.get(endpoint).map_or(0, |endpoint| endpoint.records);
        Token { incarnation: self.incarnation.clone(), endpoint, records }
    }

    pub(super) fn start_transaction(&mut self) -> u64 {
        let id = self.transaction.start();
        let incarnation = self.incarnation.clone();
        self.history.transactions.push(TransactionView { incarnation, id, committed: None });
        id
    }

    pub(super) fn request_checkpoint(&mut self, now: Duration, config: &Config) -> u64 {
        let sequence = self.checkpoints.request(now, config, self.transaction.open.is_some());
        let incarnation = self.incarnation.clone();
        self.history.checkpoints.push(CheckpointView { incarnation, sequence, made: None });
        sequence
    }

    /// When something happens next.
    pub(super) fn next_due(&self) -> Option<Duration> {
        let step = self.steps.front().filter(|_| !self.subscribers.is_held_up()).and_then(|step| step.due);
        let due =
            [step, self.checkpoints.next_due(), self.syncs.next_due(), self.transaction.committing, self.next_rows()];
        due.into_iter().flatten().min()
    }

    /// When a connector makes rows next.
    fn next_rows(&self) -> Option<Duration> {
        let at_work = self.status == "Running" && self.steps.len() < MOST_STEPS;
        self.endpoints.next_rows().filter(|_| at_work)
    }

    /// Lets it happen; whether it made a checkpoint.
    pub(super) fn happen(&mut self, at: Duration, config: &Config, program: &Program) -> bool {
        if self.transaction.end_by(at) {
            if let Some(transaction) = self.history.transactions.last_mut() {
                transaction.committed = Some(at);
            }
            if !self.wedged {
                self.merge_waiting(at);
            }
            self.checkpoints.release(at, config);
            return false;
        }
        let step_is_due = |step: &Step| step.due.is_some_and(|due| due <= at);
        if !self.subscribers.is_held_up() && self.steps.front().is_some_and(step_is_due) {
            if let Some(step) = self.steps.pop_front() {
                self.complete(at, step, program);
            }
            return false;
        }
        if let Some(checkpoint) = self.syncs.finish(at) {
            let incarnation = self.incarnation.clone();
            self.history.syncs.push(SyncView { incarnation, checkpoint, succeeded: !self.syncs.fails });
            return false;
        }
        if self.checkpoints.is_due(at) {
            let Some(sequence) = self.checkpoints.finish(at) else { return false };
            for checkpoint in self.history.checkpoints.iter_mut().filter(|made| made.sequence <= sequence) {
                checkpoint.made.get_or_insert(at);
            }
            return true;
        }
        if self.next_rows().is_some_and(|due| due <= at)
            && let Some((endpoint, table, changes)) = self.endpoints.generate(at, program)
        {
            self.take(at, config, endpoint, &table, changes);
        }
        false
    }

    /// Makes one step of all that waited for the end of a transaction: readers see no state between them.
    fn merge_waiting(&mut self, at: Duration) {
        let (mut steps, waiting): (VecDeque<Step>, VecDeque<Step>) =
            std::mem::take(&mut self.steps).into_iter().partition(|step| step.due.is_some());
        let whole = waiting.into_iter().reduce(|mut whole, step| {
            whole.number = step.number;
            whole.records += step.records;
            whole.parts.extend(step.parts);
            whole
        });
        steps.extend(whole.map(|step| Step { due: Some(at), ..step }));
        self.steps = steps;
    }

    /// Rows that were completed, to be kept.
    pub(super) fn save(&self, uuid: String, program_version: u64) -> SavedState {
        let (steps, records) = (self.completed, self.completed_records);
        let made = self.endpoints.iter().filter_map(|endpoint| Some((endpoint.name.clone(), endpoint.made()?)));
        SavedState { uuid, tables: self.tables.clone(), program_version, steps, records, made: made.collect() }
    }

    /// The reader that held it up has read, or is gone: what was due continues from here.
    pub(super) fn resume(&mut self, now: Duration) {
        for step in &mut self.steps {
            step.due = step.due.map(|due| due.max(now));
        }
    }

    /// Whether all inputs have ended, and all they took in has gone through.
    pub(super) fn is_complete(&self) -> bool {
        self.endpoints.are_at_end() && self.initiated == self.completed
    }

    fn complete(&mut self, at: Duration, step: Step, program: &Program) {
        let Step { number, parts, records, .. } = step;
        self.completed = number;
        self.completed_records += records;
        self.progress.add(at, self.completed_records);
        let mut deltas = Vec::new();
        for (table, changes) in parts {
            let changed = match program.tables.iter().find(|shape| shape.name == table) {
                Some(shape) => self.tables.apply(program, shape, changes),
                #[cfg(feature = "sql")]
                None => self.tables.emit(program, &table, changes),
                #[cfg(not(feature = "sql"))]
                None => Ok(Vec::new()),
            };
            match changed {
                Ok(changed) => deltas.push(changed),
                Err(failure) => {
                    self.failure = Some(failure);
                    deltas.clear();
                    break;
                }
            }
        }
        let deltas = Delta::merged(deltas);
        for output in self.outputs.iter_mut().filter(|output| !output.paused) {
            let deltas = deltas.iter().filter(|delta| delta.relations.contains(&output.view.as_str()));
            output.records += deltas.map(Delta::len).sum::<usize>();
        }
        self.subscribers.deliver(at, &deltas, number);
    }
}
