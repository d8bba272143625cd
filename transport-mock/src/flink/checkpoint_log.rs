//! What a job's checkpoint coordinator remembers: the pending snapshots, the last ten of the others, and counts.

use std::time::Duration;

use super::operations::OperationKey;

/// What a snapshot is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Checkpoint,
    Savepoint,
    /// The savepoint a job is stopped with.
    Stop,
}

/// What a trigger asks for.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) purpose: Purpose,
    pub(super) target: String,
    pub(super) native: bool,
    pub(super) cancel_after: bool,
}

impl Ask {
    /// A checkpoint, periodic or triggered.
    pub(super) fn checkpoint(job: &str) -> Self {
        let target = format!("file:/checkpoints/{job}");
        Self { purpose: Purpose::Checkpoint, target, native: false, cancel_after: false }
    }
}

/// How a pending snapshot will end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Completes,
    /// It fails, and nothing else does.
    Fails(&'static str),
    /// A task fails over it.
    FailsTask,
}

/// How far a snapshot is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    Pending,
    Completed { at: Duration, path: String, discarded: bool },
    Failed { at: Duration, message: &'static str },
}

/// A snapshot of a job's state: checkpoint or savepoint.
#[derive(Debug, Clone)]
pub(super) struct Checkpoint {
    pub(super) id: u64,
    pub(super) purpose: Purpose,
    pub(super) native: bool,
    pub(super) triggered: Duration,
    /// The count it holds; a stop's is not known before it is complete, for the sources run until then.
    pub(super) records: u64,
    pub(super) target: String,
    pub(super) cancel_after: bool,
    pub(super) operation: Option<OperationKey>,
    pub(super) fate: Fate,
    pub(super) progress: Progress,
}

/// The bookkeeping.
#[derive(Debug, Clone)]
pub(super) struct CheckpointLog {
    pub(super) next_id: u64,
    pub(super) restored: u64,
    pub(super) completed: u64,
    pub(super) failed: u64,
    /// Newest last.
    pub(super) history: Vec<Checkpoint>,
    pub(super) latest_completed: Option<Checkpoint>,
    pub(super) latest_savepoint: Option<Checkpoint>,
    pub(super) latest_failed: Option<Checkpoint>,
    /// Sizes and durations in ms of the completed checkpoints, for the summary.
    pub(super) samples: Vec<(u64, u64)>,
}

impl Default for CheckpointLog {
    fn default() -> Self {
        Self {
            next_id: 1,
            restored: 0,
            completed: 0,
            failed: 0,
            history: Vec::new(),
            latest_completed: None,
            latest_savepoint: None,
            latest_failed: None,
            samples: Vec::new(),
        }
    }
}

const HISTORY: usize = 10;
const SAMPLES: usize = 10_000;

/// Bytes of a checkpoint and of a savepoint: any number would do.
pub(super) fn size(purpose: Purpose) -> u64 {
    if purpose == Purpose::Checkpoint { 5698 } else { 3086 }
}

impl CheckpointLog {
    /// Continues from a restored snapshot: numbers are not used twice.
    pub(super) fn restored(&mut self, id: u64) {
        self.restored += 1;
        self.next_id = self.next_id.max(id.saturating_add(1));
    }

    pub(super) fn start(&mut self, checkpoint: Checkpoint) {
        self.history.push(checkpoint);
        let ended = self.history.iter().filter(|checkpoint| checkpoint.progress != Progress::Pending).count();
        if ended > HISTORY
            && let Some(oldest) = self.history.iter().position(|checkpoint| checkpoint.progress != Progress::Pending)
        {
            self.history.remove(oldest);
        }
    }

    /// A snapshot that is still remembered.
    pub(super) fn get(&self, id: u64) -> Option<&Checkpoint> {
        let latest = [&self.latest_completed, &self.latest_savepoint, &self.latest_failed];
        self.history.iter().chain(latest.into_iter().flatten()).find(|checkpoint| checkpoint.id == id)
    }

    pub(super) fn pending(&self) -> impl Iterator<Item = &Checkpoint> {
        self.history.iter().filter(|checkpoint| checkpoint.progress == Progress::Pending)
    }

    pub(super) fn is_pending(&self, purpose: Purpose) -> bool {
        self.pending().any(|checkpoint| checkpoint.purpose == purpose)
    }

    /// Records that a pending snapshot is complete; returns the path of the checkpoint it takes the place of.
    pub(super) fn complete(&mut self, id: u64, records: u64, at: Duration, path: &str) -> Option<String> {
        let checkpoint = self.history.iter_mut().find(|checkpoint| checkpoint.id == id)?;
        checkpoint.records = records;
        checkpoint.progress = Progress::Completed { at, path: path.to_owned(), discarded: false };
        let checkpoint = checkpoint.clone();
        self.completed += 1;
        let took = at.saturating_sub(checkpoint.triggered).as_millis();
        if self.samples.len() < SAMPLES {
            self.samples.push((size(checkpoint.purpose), u64::try_from(took).unwrap_or(u64::MAX)));
        }
        if checkpoint.purpose != Purpose::Checkpoint {
            self.latest_savepoint = Some(checkpoint);
            return None;
        }
        let replaced = self.latest_completed.replace(checkpoint)?;
        self.discard(replaced.id);
        match replaced.progress {
            Progress::Completed { path, .. } => Some(path),
            _ => None,
        }
    }

    pub(super) fn fail(&mut self, id: u64, at: Duration, message: &'static str) {
        if let Some(checkpoint) = self.history.iter_mut().find(|checkpoint| checkpoint.id == id) {
            checkpoint.progress = Progress::Failed { at, message };
            self.failed += 1;
            self.latest_failed = Some(checkpoint.clone());
        }
    }

    /// Marks a checkpoint's files as deleted.
    pub(super) fn discard(&mut self, id: u64) {
        for checkpoint in self.history.iter_mut().chain(&mut self.latest_completed) {
            if checkpoint.id == id
                && let Progress::Completed { discarded, .. } = &mut checkpoint.progress
            {
                *discarded = true;
            }
        }
    }
}
