//! The checkpoint statistics of a job, from a cache of their own, and its checkpoint settings.

use serde_json::{Value, json};
use std::time::Duration;

use super::cache::Lookup;
use super::checkpoint_log::{Checkpoint, CheckpointLog, Progress, Purpose, size};
use super::config::Version;
use super::errors::{Answer, ok};
use super::job::Job;
use super::request::{Call, path_id};
use super::statistics;
use super::wire::millis;

pub(super) fn checkpoint_statistics(known: Lookup<'_>, call: &Call, job: &str) -> Answer {
    let id = path_id("jobid", job)?;
    let (at, job) = known.find(&id)?;
    let log = &job.checkpoints;
    let in_progress = log.pending().count();
    let total = log.completed + log.failed + u64::try_from(in_progress).unwrap_or(0);
    let entry = |checkpoint: &Checkpoint| checkpoint_entry(checkpoint, job, at, call.version);
    let latest = |checkpoint: &Option<Checkpoint>| checkpoint.as_ref().map(entry);
    let restored = job.restored.as_ref().map(|(at, snapshot)| {
        json!({
            "id": snapshot.checkpoint,
            "restore_timestamp": millis(*at),
            "is_savepoint": snapshot.savepoint,
            "external_path": snapshot.path,
        })
    });
    Ok(ok(json!({
        "counts": {
            "restored": log.restored,
            "total": total,
            "in_progress": in_progress,
            "completed": log.completed,
            "failed": log.failed,
        },
        "summary": summary(log, call.version),
        "latest": {
            "completed": latest(&log.latest_completed),
            "savepoint": latest(&log.latest_savepoint),
            "failed": latest(&log.latest_failed),
            "restored": restored,
        },
        "history": log.history.iter().rev().map(entry).collect::<Vec<_>>(),
    })))
}

pub(super) fn checkpoint_config(graphs: Lookup<'_>, call: &Call, job: &str) -> Answer {
    let id = path_id("jobid", job)?;
    let (_, job) = graphs.find(&id)?;
    let interval = job.program.checkpoint_interval;
    let mut config = json!({
        "mode": if interval.is_some() { "exactly_once" } else { "at_least_once" },
        "interval": interval.map_or(i64::MAX.unsigned_abs(), millis),
        "timeout": 600_000,
        "min_pause": 0,
        "max_concurrent": 1,
        "externalization": { "enabled": false, "delete_on_cancellation": true },
        "state_backend": "HashMapStateBackend",
        "checkpoint_storage": "FileSystemCheckpointStorage",
        "unaligned_checkpoints": false,
        "tolerable_failed_checkpoints": 0,
    });
    if call.version >= (1, 14) {
        config["aligned_checkpoint_timeout"] = 0.into();
        config["checkpoints_after_tasks_finish"] = true.into();
    }
    if call.version >= (1, 15) {
        config["state_changelog_enabled"] = false.into();
        config["changelog_periodic_materialization_interval"] = 600_000.into();
        config["changelog_storage"] = "memory".into();
    }
    Ok(ok(config))
}

pub(super) fn checkpoint_entry(checkpoint: &Checkpoint, job: &Job, at: Duration, version: Version) -> Value {
    let savepoint = checkpoint.purpose != Purpose::Checkpoint;
    let (class, status, acknowledged, end) = match checkpoint.progress {
        Progress::Pending => ("in_progress", "IN_PROGRESS", None, at),
        Progress::Completed { at, .. } => ("completed", "COMPLETED", Some(at), at),
        Progress::Failed { at, .. } => ("failed", "FAILED", None, at),
    };
    let subtasks = job.subtasks();
    let size = if acknowledged.is_some() { size(checkpoint.purpose) } else { 0 };
    let mut entry = json!({
        "id": checkpoint.id,
        "status": status,
        "is_savepoint": savepoint,
        "trigger_timestamp": millis(checkpoint.triggered),
        "latest_ack_timestamp": acknowledged.map_or(json!(-1), |at| millis(at).into()),
        "state_size": size,
        "end_to_end_duration": millis(end.saturating_sub(checkpoint.triggered)),
        "alignment_buffered": 0,
        "processed_data": 0,
        "persisted_data": 0,
        "num_subtasks": subtasks,
        "num_acknowledged_subtasks": if acknowledged.is_some() { subtasks } else { 0 },
        "checkpoint_type": match checkpoint.purpose {
            Purpose::Checkpoint => "CHECKPOINT",
            Purpose::Savepoint => "SAVEPOINT",
            Purpose::Stop => "SYNC_SAVEPOINT",
        },
        "tasks": {},
    });
    if version >= (1, 14) {
        entry["className"] = class.into();
        entry["checkpointed_size"] = size.into();
    } else {
        entry["@class"] = class.into();
    }
    if version >= (1, 17) {
        let format = if checkpoint.native { "NATIVE" } else { "CANONICAL" };
        entry["savepointFormat"] = if savepoint { format.into() } else { Value::Null };
    }
    match &checkpoint.progress {
        Progress::Pending => {}
        Progress::Completed { path, discarded, .. } => {
            entry["external_path"] = path.clone().into();
            entry["discarded"] = (*discarded).into();
        }
        Progress::Failed { at, message } => {
            entry["failure_timestamp"] = millis(*at).into();
            entry["failure_message"] = (*message).into();
        }
    }
    entry
}

fn summary(log: &CheckpointLog, version: Version) -> Value {
    let of = |samples| if version >= (1, 14) { statistics::of(samples) } else { statistics::bounds_of(samples) };
    let sizes = of(log.samples.iter().map(|(size, _)| *size).collect());
    let nothing = of(log.samples.iter().map(|_| 0).collect());
    let mut summary = json!({
        "state_size": sizes,
        "end_to_end_duration": of(log.samples.iter().map(|(_, duration)| *duration).collect()),
        // The only statistic that is not counted any more, and so has numbers even without checkpoints.
        "alignment_buffered": of(vec![0]),
        "processed_data": nothing,
        "persisted_data": nothing,
    });
    if version >= (1, 14) {
        summary["checkpointed_size"] = sizes;
    }
    summary
}
