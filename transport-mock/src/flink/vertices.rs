//! The vertices of an execution graph and their subtasks: a source and a sink, whatever the program.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::cache::Lookup;
use super::config::Version;
use super::errors::{Answer, Rejection, Throwable, ok};
use super::job::{Job, SINK_ID, SINK_NAME, SOURCE_ID, SOURCE_NAME, TaskState};
use super::overview::vertex_state;
use super::request::{Call, path_id};
use super::wire::{TASK_MANAGER, millis};

const VERTICES: [(&str, &str); 2] = [(SOURCE_ID, SOURCE_NAME), (SINK_ID, SINK_NAME)];

pub(super) fn job_vertex(graphs: Lookup<'_>, call: &Call, job: &str, vertex: &str) -> Answer {
    let id = path_id("jobid", job)?;
    let wanted = path_id("vertexid", vertex)?;
    let now = graphs.now;
    let (at, job) = graphs.find(&id)?;
    let known = if job.graph { &VERTICES[..] } else { &[] };
    let Some(index) = (0..2_u8).zip(known).find(|(_, (id, _))| *id == wanted).map(|(index, _)| index) else {
        return Err(Rejection::Handler(
            StatusCode::NOT_FOUND,
            Throwable::new(
                "org.apache.flink.runtime.rest.NotFoundException",
                format!("JobVertex {wanted} not found"),
                "org.apache.flink.runtime.rest.handler.job.JobVertexDetailsHandler.handleRequest(JobVertexDetailsHandler.java:90)",
            ),
        ));
    };
    let summary = vertex_summary(job, index, at, now, call.version);
    let subtask = |number: u32| {
        let mut subtask = json!({
            "subtask": number,
            "status": vertex_state(job, index).name(),
            "attempt": job.restarts,
            "start-time": summary["start-time"],
            "end-time": summary["end-time"],
            "duration": summary["duration"],
            "metrics": summary["metrics"],
            "taskmanager-id": TASK_MANAGER,
            "status-duration": {},
            "start_time": summary["start-time"],
        });
        subtask[if call.version >= (1, 19) { "endpoint" } else { "host" }] = "localhost:33509".into();
        subtask
    };
    // A simulated job may be asked to run with any parallelism; no client reads more subtasks than this.
    let subtasks: Vec<_> = (0..job.each[usize::from(index)].min(1024)).map(subtask).collect();
    Ok(ok(json!({
        "id": summary["id"],
        "name": summary["name"],
        "parallelism": summary["parallelism"],
        "maxParallelism": summary["maxParallelism"],
        "now": millis(now),
        "subtasks": subtasks,
        "aggregated": { "metrics": {}, "status-duration": {} },
    })))
}

/// A vertex as it stands in the details of its job.
pub(super) fn vertex_summary(job: &Job, vertex: u8, at: Duration, now: Duration, version: Version) -> Value {
    let (id, name) = VERTICES[usize::from(vertex.min(1))];
    let state = vertex_state(job, vertex);
    let parallelism = job.each[usize::from(vertex.min(1))];
    let started = job.deployed.filter(|_| has_started(state));
    let ended = job.ended().filter(|_| started.is_some());
    let time = |time: Option<Duration>| time.map_or(json!(-1), |time| millis(time).into());
    let records = job.records(at);
    let (read, written) = if vertex == 0 { (0, records) } else { (records, 0) };
    let complete = started.is_some();
    let mut metrics = json!({
        "read-bytes": read.saturating_mul(23),
        "read-bytes-complete": complete,
        "write-bytes": written.saturating_mul(23),
        "write-bytes-complete": complete,
        "read-records": read,
        "read-records-complete": complete,
        "write-records": written,
        "write-records-complete": complete,
    });
    if version >= (1, 14) {
        metrics["accumulated-backpressured-time"] = 0.into();
        metrics["accumulated-idle-time"] = 0.into();
        metrics["accumulated-busy-time"] = 0.0.into();
    }
    let mut summary = json!({
        "id": id,
        "name": name,
        "maxParallelism": 128,
        "parallelism": parallelism,
        "status": if state == TaskState::Scheduled { "CREATED" } else { state.name() },
        "start-time": time(started),
        "end-time": time(ended),
        "duration": time(started.map(|started| ended.unwrap_or(now).saturating_sub(started))),
        "tasks": counts(state, parallelism),
        "metrics": metrics,
    });
    if version >= (1, 20) {
        summary["slotSharingGroupId"] = "5b9d308f5c4a3e06298b997d05a328ef".into();
    }
    summary
}

fn has_started(state: TaskState) -> bool {
    !matches!(state, TaskState::Created | TaskState::Scheduled)
}

/// Vertices by state. One whose tasks are scheduled counts as created.
pub(super) fn status_counts(job: &Job) -> Value {
    let mut all = counts(TaskState::Created, 0);
    for vertex in (0..2).filter(|_| job.graph) {
        let state = match vertex_state(job, vertex) {
            TaskState::Scheduled => TaskState::Created,
            state => state,
        };
        let count = all[state.name()].as_u64().unwrap_or(0) + 1;
        all[state.name()] = count.into();
    }
    all
}

fn counts(state: TaskState, count: u32) -> Value {
    let mut counts = Map::new();
    for name in [
        "CREATED",
        "SCHEDULED",
        "DEPLOYING",
        "INITIALIZING",
        "RUNNING",
        "FINISHED",
        "CANCELING",
        "CANCELED",
        "FAILED",
        "RECONCILING",
    ] {
        counts.insert(name.into(), 0.into());
    }
    counts.insert(state.name().into(), count.into());
    Value::Object(counts)
}
