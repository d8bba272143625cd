//! What is asked of single subtasks and their attempts: details, times, accumulators.

use http::StatusCode;
use serde_json::{Value, json};

use super::attempt::{Attempt, TaskState};
use super::cache::Lookup;
use super::config::Version;
use super::errors::{Answer, Rejection, Reply, ok};
use super::job::VERTICES;
use super::request::Call;
use super::tasks::{Task, tasks_of, time};
use super::vertices::{Found, NAMES};
use super::wire::millis;

impl<'a> Found<'a> {
    /// The task of a subtask's attempt; the present attempt unless another attempt is named.
    fn task(&self, subtask: u32, attempt: Option<u32>) -> Result<Task<'a>, Rejection> {
        let invalid = |message, frame| Rejection::handler(StatusCode::NOT_FOUND, message, frame);
        if subtask >= self.job.each[self.vertex] {
            return Err(invalid(
                format!("Invalid subtask index for vertex {}", VERTICES[self.vertex]),
                "org.apache.flink.runtime.rest.handler.job.AbstractSubtaskHandler.handleRequest(AbstractSubtaskHandler.java:92)",
            ));
        }
        let number = attempt.unwrap_or(self.job.attempt.number);
        let attempt: Option<&Attempt> = self.job.attempt(number);
        let tasks = attempt.map(|attempt| tasks_of(self.job, attempt, self.vertex, self.at, self.now));
        tasks.into_iter().flatten().find(|task| task.index == subtask).ok_or_else(|| {
            invalid(
                format!("Invalid attempt num {number}"),
                "org.apache.flink.runtime.rest.handler.job.AbstractSubtaskAttemptHandler.handleRequest(AbstractSubtaskAttemptHandler.java:117)",
            )
        })
    }
}

pub(super) fn no_vertex(vertex: &str) -> Rejection {
    Rejection::handler(
        StatusCode::NOT_FOUND,
        format!("No vertex with ID '{vertex}' exists."),
        "org.apache.flink.runtime.rest.handler.job.AbstractJobVertexHandler.handleRequest(AbstractJobVertexHandler.java:90)",
    )
}

/// A number in a path.
fn number(name: &str, text: &str) -> Result<u32, Rejection> {
    text.parse().map_err(|_| Rejection::parameter("path", name, text))
}

pub(super) fn subtask(graphs: Lookup<'_>, call: &Call, job: &str, vertex: &str, subtask: &str) -> Answer {
    let subtask = number("subtaskindex", subtask)?;
    let found = Found::find(graphs, job, vertex, no_vertex)?;
    Ok(ok(found.task(subtask, None)?.details(call.version)))
}

/// A task's attempt by the texts of a path, and its vertex.
fn find_attempt<'a>(
    graphs: Lookup<'a>,
    job: &str,
    vertex: &str,
    subtask: &str,
    attempt: &str,
) -> Result<(Found<'a>, Task<'a>), Rejection> {
    let (subtask, attempt) = (number("subtaskindex", subtask)?, number("attempt", attempt)?);
    let found = Found::find(graphs, job, vertex, no_vertex)?;
    let task = found.task(subtask, Some(attempt))?;
    Ok((found, task))
}

pub(super) fn attempt(
    graphs: Lookup<'_>,
    call: &Call,
    job: &str,
    vertex: &str,
    subtask: &str,
    attempt: &str,
) -> Answer {
    let (_, task) = find_attempt(graphs, job, vertex, subtask, attempt)?;
    Ok(ok(task.details(call.version)))
}

pub(super) fn attempt_accumulators(
    graphs: Lookup<'_>,
    call: &Call,
    job: &str,
    vertex: &str,
    subtask: &str,
    attempt: &str,
) -> Answer {
    let (found, task) = find_attempt(graphs, job, vertex, subtask, attempt)?;
    Ok(ok(json!({
        "subtask": task.index,
        "attempt": task.attempt.number,
        "id": execution_id(&found, &task, call.version),
        "user-accumulators": accumulators(found.vertex, task.records),
    })))
}

/// The id of an execution: its graph, vertex, subtask and attempt; until 1.14 it says nothing.
fn execution_id(found: &Found<'_>, task: &Task<'_>, version: Version) -> String {
    let graph: String = found.job.id.chars().rev().collect();
    if version < (1, 15) {
        return graph;
    }
    format!("{graph}_{}_{}_{}", VERTICES[found.vertex], task.index, task.attempt.number)
}

/// The sink counts, and the source does not.
fn accumulators(vertex: usize, records: u64) -> Value {
    if vertex == 0 {
        return json!([]);
    }
    json!([{ "name": "records", "type": "LongCounter", "value": records.to_string() }])
}

pub(super) fn vertex_accumulators(graphs: Lookup<'_>, job: &str, vertex: &str) -> Answer {
    let found = Found::find(graphs, job, vertex, no_vertex)?;
    let records = found.tasks().iter().map(|task| task.records).fold(0, u64::saturating_add);
    Ok(ok(json!({ "id": VERTICES[found.vertex], "user-accumulators": accumulators(found.vertex, records) })))
}

pub(super) fn subtask_accumulators(graphs: Lookup<'_>, call: &Call, job: &str, vertex: &str) -> Answer {
    let found = Found::find(graphs, job, vertex, no_vertex)?;
    let entry = |task: &Task<'_>| {
        let entry = json!({
            "subtask": task.index,
            "attempt": task.attempt.number,
            "user-accumulators": accumulators(found.vertex, task.records),
        });
        task.located(entry, call.version)
    };
    Ok(each_subtask(&found, json!({ "parallelism": found.job.each[found.vertex] }), entry))
}

pub(super) fn subtask_times(graphs: Lookup<'_>, call: &Call, job: &str, vertex: &str) -> Answer {
    let found = Found::find(graphs, job, vertex, no_vertex)?;
    let entry = |task: &Task<'_>| {
        let entered = |state: TaskState| (state.name().to_owned(), task.entered(state).map_or(0, millis).into());
        let timestamps: serde_json::Map<_, _> = TaskState::ALL.into_iter().map(entered).collect();
        let entry = json!({
            "subtask": task.index,
            "duration": time(task.time_since_scheduled()),
            "timestamps": timestamps,
        });
        task.located(entry, call.version)
    };
    Ok(each_subtask(&found, json!({ "name": NAMES[found.vertex], "now": millis(found.now) }), entry))
}

/// Completes a body with the id of its vertex and an entry for each subtask.
fn each_subtask(found: &Found<'_>, mut body: Value, entry: impl Fn(&Task<'_>) -> Value) -> Reply {
    body["id"] = VERTICES[found.vertex].into();
    body["subtasks"] = found.tasks().iter().map(entry).collect();
    ok(body)
}
