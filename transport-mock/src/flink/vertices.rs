//! The vertices of an execution graph: a source and a sink, whatever the program.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::cache::Lookup;
use super::config::Version;
use super::errors::{Answer, Rejection, Throwable, ok};
use super::job::{Job, SINK_NAME, SOURCE_NAME, TaskState, VERTICES};
use super::request::{Call, path_id};
use super::tasks::{Task, aggregated, io_metrics, tasks, time};
use super::wire::{TASK_ADDRESS, TASK_MANAGER, UNASSIGNED, millis};

/// By their place in a job.
pub(super) const NAMES: [&str; 2] = [SOURCE_NAME, SINK_NAME];
/// The id of the group whose tasks share slots, which is the same for both vertices.
pub(super) const SLOT_SHARING_GROUP: &str = "5b9d308f5c4a3e06298b997d05a328ef";

/// A vertex of a job as an answer reads it.
pub(super) struct Found<'a> {
    pub(super) job: &'a Job,
    pub(super) vertex: usize,
    pub(super) at: Duration,
    pub(super) now: Duration,
}

impl<'a> Found<'a> {
    /// `missing` rejects the id of a vertex that the job does not have.
    pub(super) fn find(
        graphs: Lookup<'a>,
        job: &str,
        vertex: &str,
        missing: impl FnOnce(&str) -> Rejection,
    ) -> Result<Self, Rejection> {
        let id = path_id("jobid", job)?;
        let wanted = path_id("vertexid", vertex)?;
        let now = graphs.now;
        let (at, job) = graphs.find(&id)?;
        let vertex = find(job, &wanted).ok_or_else(|| missing(&wanted))?;
        Ok(Self { job, vertex, at, now })
    }

    pub(super) fn tasks(&self) -> Vec<Task<'a>> {
        tasks(self.job, self.vertex, self.at, self.now)
    }
}

pub(super) fn job_vertex(graphs: Lookup<'_>, call: &Call, job: &str, vertex: &str) -> Answer {
    let frame = "org.apache.flink.runtime.rest.handler.job.JobVertexDetailsHandler.handleRequest(JobVertexDetailsHandler.java:90)";
    let found = Found::find(graphs, job, vertex, |wanted| missing(wanted, frame))?;
    let (vertex, tasks) = (found.vertex, found.tasks());
    let mut body = json!({
        "id": VERTICES[vertex],
        "name": NAMES[vertex],
        "parallelism": found.job.each[vertex],
        "maxParallelism": 128,
        "now": millis(found.now),
        "subtasks": tasks.iter().map(|task| task.details(call.version)).collect::<Vec<_>>(),
    });
    if call.version >= (1, 14) {
        body["aggregated"] = aggregated(&tasks);
    }
    Ok(ok(body))
}

/// `/taskmanagers`: the vertex by the TaskManagers that run its tasks, of which there is one.
pub(super) fn vertex_task_managers(graphs: Lookup<'_>, call: &Call, job: &str, vertex: &str) -> Answer {
    let frame = "org.apache.flink.runtime.rest.handler.job.JobVertexTaskManagersHandler.handleRequest(JobVertexTaskManagersHandler.java:106)";
    let found = Found::find(graphs, job, vertex, |wanted| missing(wanted, frame))?;
    let (vertex, tasks) = (found.vertex, found.tasks());
    let summary = vertex_summary(found.job, vertex, found.at, found.now, call.version);
    let is_deployed = tasks.first().is_some_and(Task::is_deployed);
    let place = |assigned: &'static str| if is_deployed { assigned } else { UNASSIGNED };
    let mut entry = json!({
        "status": summary["status"],
        "start-time": summary["start-time"],
        "end-time": summary["end-time"],
        "duration": summary["duration"],
        "metrics": summary["metrics"],
        "status-counts": summary["tasks"],
        "taskmanager-id": place(TASK_MANAGER),
    });
    // Unlike that of a task, this host has a port.
    if call.version < (2, 0) {
        entry["host"] = place(TASK_ADDRESS).into();
    }
    if call.version >= (1, 19) {
        entry["endpoint"] = place(TASK_ADDRESS).into();
    }
    if call.version >= (1, 14) {
        entry["aggregated"] = aggregated(&tasks);
    }
    let body =
        json!({ "id": VERTICES[vertex], "name": NAMES[vertex], "now": millis(found.now), "taskmanagers": [entry] });
    Ok(ok(body))
}

/// The place of a vertex, if the job has it.
pub(super) fn find(job: &Job, wanted: &str) -> Option<usize> {
    VERTICES.iter().position(|id| *id == wanted).filter(|_| job.graph)
}

fn missing(vertex: &str, frame: &'static str) -> Rejection {
    let message = format!("JobVertex {vertex} not found");
    Rejection::Handler(
        StatusCode::NOT_FOUND,
        Throwable::new("org.apache.flink.runtime.rest.NotFoundException", message, frame),
    )
}

/// A vertex as it stands in the details of its job.
pub(super) fn vertex_summary(job: &Job, vertex: usize, at: Duration, now: Duration, version: Version) -> Value {
    let state = job.attempt.state_of(vertex);
    let tasks = tasks(job, vertex, at, now);
    let first = tasks.first();
    let mut summary = json!({
        "id": VERTICES[vertex],
        "name": NAMES[vertex],
        "maxParallelism": 128,
        "parallelism": job.each[vertex],
        "status": if state == TaskState::Scheduled { "CREATED" } else { state.name() },
        "start-time": time(first.and_then(Task::started)),
        "end-time": time(first.and_then(Task::ended)),
        "duration": time(first.and_then(Task::duration)),
        "tasks": counts(state, job.each[vertex]),
        "metrics": io_metrics(&tasks, version),
    });
    if version >= (1, 20) {
        summary["slotSharingGroupId"] = SLOT_SHARING_GROUP.into();
    }
    summary
}

/// Vertices by state. One whose tasks are scheduled counts as created.
pub(super) fn status_counts(job: &Job) -> Value {
    let mut all = counts(TaskState::Created, 0);
    for vertex in (0..2).filter(|_| job.graph) {
        let state = match job.attempt.state_of(vertex) {
            TaskState::Scheduled => TaskState::Created,
            state => state,
        };
        let count = all[state.name()].as_u64().unwrap_or(0) + 1;
        all[state.name()] = count.into();
    }
    all
}

fn counts(state: TaskState, count: u32) -> Value {
    let mut counts: Map<_, _> = TaskState::ALL.iter().map(|state| (state.name().to_owned(), 0.into())).collect();
    counts.insert(state.name().to_owned(), count.into());
    Value::Object(counts)
}
