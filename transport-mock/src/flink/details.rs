//! What is cut from a job's execution graph: all of it comes from the cache and may be as old as that allows.
//!
//! The clock in such an answer is that of the request, while the states in it are those of the cached graph.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::cache::Lookup;
use super::config::Version;
use super::errors::{Answer, Rejection, Throwable, ok};
use super::java_objects;
use super::job::{Job, JobState, PastFailure, SINK_ID, SOURCE_ID, TaskState};
use super::overview::scheduler;
use super::request::{Call, path_id};
use super::vertices::{status_counts, vertex_summary};
use super::wire::{TASK_ADDRESS, TASK_MANAGER, millis};

pub(super) fn job_details(graphs: Lookup<'_>, call: &Call, job: &str) -> Answer {
    let id = path_id("jobid", job)?;
    let now = graphs.now;
    let (at, job) = graphs.find(&id)?;
    Ok(ok(details(job, at, now, call.version)))
}

pub(super) fn job_plan(graphs: Lookup<'_>, call: &Call, job: &str) -> Answer {
    let id = path_id("jobid", job)?;
    let (_, job) = graphs.find(&id)?;
    Ok(ok(json!({ "plan": plan_of(job, call.version) })))
}

pub(super) fn job_config(graphs: Lookup<'_>, call: &Call, job: &str) -> Answer {
    let id = path_id("jobid", job)?;
    let (_, job) = graphs.find(&id)?;
    let mut execution = json!({
        "restart-strategy": "Cluster level default restart strategy",
        "job-parallelism": job.parallelism,
        "object-reuse-mode": false,
        "user-config": {},
    });
    if call.version < (2, 0) {
        execution["execution-mode"] = "PIPELINED".into();
    }
    Ok(ok(json!({ "jid": job.id, "name": job.name, "execution-config": execution })))
}

pub(super) fn job_accumulators(graphs: Lookup<'_>, call: &Call, job: &str) -> Answer {
    let id = path_id("jobid", job)?;
    let serialized = call.query("includeSerializedValue")?.is_some_and(|flag| flag.eq_ignore_ascii_case("true"));
    let (at, job) = graphs.find(&id)?;
    let records = job.records(at);
    let mut accumulators = Vec::new();
    let mut values = Map::new();
    if job.graph {
        accumulators.push(json!({ "name": "records", "type": "LongCounter", "value": records.to_string() }));
        if serialized {
            values.insert("records".into(), java_objects::long(records).into());
        }
    }
    Ok(ok(json!({
        "job-accumulators": [],
        "user-task-accumulators": accumulators,
        "serialized-user-task-accumulators": values,
    })))
}

pub(super) fn job_exceptions(graphs: Lookup<'_>, call: &Call, job: &str) -> Answer {
    let id = path_id("jobid", job)?;
    let filters = call.query_list("failureLabelFilter");
    if let Some(bad) = filters.iter().find(|filter| !filter.contains(':')) {
        return Err(Rejection::parameter("query", "failureLabelFilter", bad));
    }
    let limit = call.query_number("maxExceptions")?.unwrap_or(i64::MAX);
    let (_, job) = graphs.find(&id)?;
    let Ok(limit) = usize::try_from(limit) else {
        return Err(Rejection::Internal(Throwable::new(
            "java.lang.IllegalArgumentException",
            limit.to_string(),
            "java.base/java.util.stream.ReferencePipeline.limit(ReferencePipeline.java:568)",
        )));
    };
    // No failure here has a label, so any filter leaves nothing.
    let found: &[PastFailure] = if filters.is_empty() { &job.history } else { &[] };
    let entries: Vec<_> = found.iter().take(limit).map(|failure| past_failure(failure, call.version)).collect();
    let history = json!({ "entries": entries, "truncated": found.len() > limit });
    let mut body = json!({ "exceptionHistory": history });
    if call.version < (2, 0) {
        let last = job.history.first();
        let root = job.root_failure.as_ref().or(last.map(|failure| &failure.cause));
        body["root-exception"] = root.map(Throwable::stack_trace).into();
        body["timestamp"] = last.map(|failure| millis(failure.at)).into();
        body["all-exceptions"] = failed_tasks(job, call.version).into();
        body["truncated"] = false.into();
    }
    Ok(ok(body))
}

/// The tasks that have failed in the present attempt.
fn failed_tasks(job: &Job, version: Version) -> Vec<Value> {
    let newest = job.history.first().filter(|_| job.attempt.state == TaskState::Failed);
    let failed = newest.map(|failure| failure.concurrent.first().unwrap_or(failure));
    let entry = |failure: &PastFailure| {
        let mut entry = json!({
            "exception": failure.cause.stack_trace(),
            "task": job.failing_task(),
            "location": TASK_ADDRESS,
            "timestamp": millis(failure.at),
        });
        if version >= (1, 17) {
            entry["taskManagerId"] = TASK_MANAGER.into();
        }
        if version >= (1, 19) {
            entry["endpoint"] = TASK_ADDRESS.into();
        }
        entry
    };
    failed.map(entry).into_iter().collect()
}

fn past_failure(failure: &PastFailure, version: Version) -> Value {
    let mut entry = json!({
        "exceptionName": failure.cause.class,
        "stacktrace": failure.cause.stack_trace(),
        "timestamp": millis(failure.at),
    });
    if version >= (1, 18) {
        entry["failureLabels"] = json!({});
    }
    if let Some(task) = &failure.task {
        entry["taskName"] = task.clone().into();
        if version < (2, 0) {
            entry["location"] = TASK_ADDRESS.into();
        }
        if version >= (1, 19) {
            entry["endpoint"] = TASK_ADDRESS.into();
        }
        if version >= (1, 17) {
            entry["taskManagerId"] = TASK_MANAGER.into();
        }
    }
    let concurrent = failure.concurrent.iter().map(|failure| {
        let mut entry = past_failure(failure, version);
        if let Some(fields) = entry.as_object_mut() {
            fields.remove("concurrentExceptions");
        }
        entry
    });
    entry["concurrentExceptions"] = concurrent.collect::<Vec<_>>().into();
    entry
}

fn details(job: &Job, at: Duration, now: Duration, version: Version) -> Value {
    let ended = job.ended();
    let entered = |state: JobState| job.entered.get(&state).map_or(0, |at| millis(*at));
    let timestamps: Map<_, _> =
        JobState::ALL.iter().map(|state| (state.name().to_owned(), entered(*state).into())).collect();
    let vertices: Vec<_> = if job.graph {
        (0..2).map(|vertex| vertex_summary(job, vertex, at, now, version)).collect()
    } else {
        Vec::new()
    };
    let mut body = json!({
        "jid": job.id,
        "name": job.name,
        "isStoppable": false,
        "state": job.state.name(),
        "start-time": millis(job.submitted),
        "end-time": ended.map_or(json!(-1), |at| millis(at).into()),
        "duration": millis(ended.unwrap_or(now).saturating_sub(job.submitted)),
        "maxParallelism": -1,
        "now": millis(now),
        "timestamps": timestamps,
        "vertices": vertices,
        "status-counts": status_counts(job),
        "plan": plan_of(job, version),
    });
    if version >= (1, 20) {
        body["job-type"] = "STREAMING".into();
    }
    if version >= (2, 0) {
        body["pending-operators"] = 0.into();
    }
    if version >= (2, 3) {
        body["application-id"] = if job.graph { job.application_id().into() } else { Value::Null };
        body["schedulerType"] = if job.graph { scheduler(job).into() } else { Value::Null };
    }
    body
}

fn plan_of(job: &Job, version: Version) -> Value {
    let mut plan = plan(&job.id, &job.name, job.parallelism, version);
    if !job.graph {
        plan["nodes"] = json!([]);
    }
    plan
}

/// A plan, the sink first.
pub(super) fn plan(id: &str, name: &str, parallelism: u32, version: Version) -> Value {
    let node = |id: &str, description: &str| {
        json!({
            "id": id,
            "operator": "",
            "parallelism": parallelism,
            "operator_strategy": "",
            "description": description,
            "optimizer_properties": {},
        })
    };
    // Until 1.14, operators stand in one line, and the arrow is escaped.
    let [source, sink] = if version < (1, 15) {
        ["Source: numbers -&gt; throttle", "count per key -&gt; Sink: print"]
    } else {
        ["Source: numbers<br/>+- throttle<br/>", "count per key<br/>+- Sink: print<br/>"]
    };
    let mut sink = node(SINK_ID, sink);
    sink["inputs"] = json!([{ "id": SOURCE_ID, "num": 0, "exchange": "pipelined_bounded", "ship_strategy": "HASH" }]);
    let source = node(SOURCE_ID, source);
    let mut plan = json!({ "jid": id, "name": name, "nodes": [sink, source] });
    if version >= (1, 14) {
        plan["type"] = "STREAMING".into();
    }
    plan
}
