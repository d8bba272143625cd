//! One checkpoint of a job: by vertex, and by the subtasks of a vertex.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::attempt::share;
use super::cache::Lookup;
use super::checkpoint_log::{Checkpoint, Progress, size};
use super::checkpoints::checkpoint_entry;
use super::errors::{Answer, Rejection, Throwable, ok};
use super::job::{Job, VERTICES};
use super::request::{Call, path_id};
use super::statistics;
use super::tasks::SHOWN;
use super::wire::millis;

/// The longest that a task takes for the parts of a checkpoint that are told apart, in milliseconds.
const SYNC: u64 = 2;
const ASYNC: u64 = 1;
const START_DELAY: u64 = 7;

pub(super) fn checkpoint_details(statistics: Lookup<'_>, call: &Call, job: &str, checkpoint: &str) -> Answer {
    let (at, job, checkpoint) = find(statistics, job, checkpoint)?;
    let mut body = checkpoint_entry(checkpoint, job, at, call.version);
    let task = |vertex: usize| (VERTICES[vertex].to_owned(), vertex_entry(checkpoint, job, vertex, call));
    body["tasks"] = Value::Object((0..VERTICES.len()).map(task).collect());
    Ok(ok(body))
}

pub(super) fn checkpoint_subtasks(
    statistics: Lookup<'_>,
    call: &Call,
    job: &str,
    checkpoint: &str,
    vertex: &str,
) -> Answer {
    let wanted = path_id("vertexid", vertex)?;
    let (_, job, checkpoint) = find(statistics, job, checkpoint)?;
    let vertex = VERTICES.iter().position(|id| *id == wanted).ok_or_else(|| {
        Rejection::Handler(
            StatusCode::NOT_FOUND,
            Throwable::new(
                "org.apache.flink.runtime.rest.NotFoundException",
                format!("There is no checkpoint statistics for task {wanted}."),
                "org.apache.flink.runtime.rest.handler.job.checkpoints.TaskCheckpointStatisticDetailsHandler.handleCheckpointRequest(TaskCheckpointStatisticDetailsHandler.java:98)",
            ),
        )
    })?;
    let mut body = vertex_entry(checkpoint, job, vertex, call);
    let tasks = job.each[vertex];
    body["summary"] = summary(checkpoint, vertex, tasks, call);
    body["subtasks"] = (0..tasks.min(SHOWN)).map(|index| subtask(checkpoint, vertex, tasks, index, call)).collect();
    Ok(ok(body))
}

/// A checkpoint of a job that the coordinator remembers.
fn find<'a>(
    statistics: Lookup<'a>,
    job: &str,
    checkpoint: &str,
) -> Result<(Duration, &'a Job, &'a Checkpoint), Rejection> {
    let id = path_id("jobid", job)?;
    let number: u64 = checkpoint.parse().map_err(|_| Rejection::parameter("path", "checkpointid", checkpoint))?;
    let (at, job) = statistics.find(&id)?;
    let found = job.checkpoints.get(number).ok_or_else(|| {
        Rejection::handler(
            StatusCode::NOT_FOUND,
            format!("Could not find checkpointing statistics for checkpoint {number}."),
            "org.apache.flink.runtime.rest.handler.job.checkpoints.AbstractCheckpointHandler.handleCheckpointStatsRequest(AbstractCheckpointHandler.java:95)",
        )
    })?;
    Ok((at, job, found))
}

/// When a checkpoint was complete, and how long it took.
fn completed(checkpoint: &Checkpoint) -> Option<(u64, u64)> {
    match checkpoint.progress {
        Progress::Completed { at, .. } => Some((millis(at), millis(at.saturating_sub(checkpoint.triggered)))),
        _ => None,
    }
}

/// Bytes of a vertex: a tenth of the state is that of the source.
fn vertex_size(checkpoint: &Checkpoint, vertex: usize) -> u64 {
    let all = size(checkpoint.purpose);
    match (completed(checkpoint), vertex) {
        (None, _) => 0,
        (Some(_), 0) => all / 10,
        (Some(_), _) => all - all / 10,
    }
}

fn vertex_entry(checkpoint: &Checkpoint, job: &Job, vertex: usize, call: &Call) -> Value {
    let status = match checkpoint.progress {
        Progress::Pending => "IN_PROGRESS",
        Progress::Completed { .. } => "COMPLETED",
        Progress::Failed { .. } => "FAILED",
    };
    let size = vertex_size(checkpoint, vertex);
    let completed = completed(checkpoint);
    let tasks = job.each[vertex];
    let mut entry = json!({
        "id": checkpoint.id,
        "status": status,
        "latest_ack_timestamp": completed.map_or(json!(-1), |(at, _)| at.into()),
        "state_size": size,
        "end_to_end_duration": completed.map_or(json!(-1), |(_, took)| took.into()),
        "alignment_buffered": 0,
        "processed_data": 0,
        "persisted_data": 0,
        "num_subtasks": tasks,
        "num_acknowledged_subtasks": completed.map_or(0, |_| tasks),
    });
    if call.version >= (1, 14) {
        entry["checkpointed_size"] = size.into();
    }
    entry
}

/// What the subtasks of a vertex report, together. The server counts no percentiles here, except for `buffered`, which
/// is not measured any more.
fn summary(checkpoint: &Checkpoint, vertex: usize, tasks: u32, call: &Call) -> Value {
    let acknowledged = if completed(checkpoint).is_some() { tasks.min(SHOWN) } else { 0 };
    let has_percentiles = call.version >= (1, 14);
    let of = |value: &dyn Fn(u32) -> u64| {
        let samples = (0..acknowledged).map(value).collect();
        if has_percentiles { statistics::without_percentiles(samples) } else { statistics::bounds_of(samples) }
    };
    let size = of(&|index| share(vertex_size(checkpoint, vertex), tasks, index));
    let took = completed(checkpoint).map_or(0, |(_, took)| took);
    let nothing = of(&|_| 0);
    let mut summary = json!({
        "state_size": size,
        "end_to_end_duration": of(&|_| took),
        "checkpoint_duration": { "sync": of(&|_| SYNC.min(took)), "async": of(&|_| ASYNC.min(took)) },
        "alignment": {
            "buffered": if has_percentiles { statistics::of(vec![0]) } else { statistics::bounds_of(vec![0]) },
            "processed": nothing,
            "persisted": nothing,
            "duration": nothing,
        },
        "start_delay": of(&|_| START_DELAY.min(took)),
    });
    if call.version >= (1, 14) {
        summary["checkpointed_size"] = size;
    }
    summary
}

fn subtask(checkpoint: &Checkpoint, vertex: usize, tasks: u32, index: u32, call: &Call) -> Value {
    let class = if call.version >= (1, 14) { "className" } else { "@class" };
    let Some((at, took)) = completed(checkpoint) else {
        return json!({ class: "pending", "index": index, "status": "pending_or_failed" });
    };
    let size = share(vertex_size(checkpoint, vertex), tasks, index);
    let mut entry = json!({
        "index": index,
        "ack_timestamp": at,
        "end_to_end_duration": took,
        "state_size": size,
        "checkpoint": { "sync": SYNC.min(took), "async": ASYNC.min(took) },
        "alignment": { "buffered": 0, "processed": 0, "persisted": 0, "duration": 0 },
        "start_delay": START_DELAY.min(took),
        "unaligned_checkpoint": false,
        "aborted": false,
        "status": "completed",
    });
    entry[class] = "completed".into();
    if call.version >= (1, 14) {
        entry["checkpointed_size"] = size.into();
    }
    entry
}
