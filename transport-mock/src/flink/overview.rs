//! The cluster as a whole and its jobs, without caches: configuration, overview, lists, status, end.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::config::Version;
use super::errors::{Answer, Rejection, Throwable, accepted, flink_job_not_found, ok};
use super::java_objects;
use super::job::{Job, JobState, TaskState};
use super::job_manager::JobManager;
use super::request::{Call, path_id};
use super::wire::millis;

pub(super) fn overview(manager: &JobManager) -> Value {
    let count = |wanted: &[JobState]| manager.jobs.all().iter().filter(|job| wanted.contains(&job.state)).count();
    let ended = [JobState::Finished, JobState::Canceled, JobState::Failed];
    json!({
        "taskmanagers": 1,
        "slots-total": manager.config.slots,
        "slots-available": manager.free_slots(),
        "jobs-running": manager.jobs.all().len() - count(&ended),
        "jobs-finished": count(&[JobState::Finished]),
        "jobs-cancelled": count(&[JobState::Canceled]),
        "jobs-failed": count(&[JobState::Failed]),
        "flink-version": manager.config.version,
        "flink-commit": "c0f8d1a",
    })
}

pub(super) fn configuration(manager: &JobManager) -> Value {
    json!({
        "refresh-interval": millis(manager.config.refresh_interval),
        "timezone-name": "Coordinated Universal Time",
        "timezone-offset": 0,
        "flink-version": manager.config.version,
        "flink-revision": "c0f8d1a @ 2026-06-14T16:29:03+02:00",
        "features": { "web-submit": true, "web-cancel": true, "web-rescale": false, "web-history": false },
    })
}

pub(super) fn list_jobs(manager: &JobManager) -> Value {
    let entry = |job: &Job| json!({ "id": job.id, "status": job.state.name() });
    json!({ "jobs": newest_first(manager).map(entry).collect::<Vec<_>>() })
}

pub(super) fn jobs_overview(manager: &JobManager, version: Version) -> Value {
    let now = manager.now();
    json!({ "jobs": newest_first(manager).map(|job| overview_entry(job, now, version)).collect::<Vec<_>>() })
}

fn newest_first(manager: &JobManager) -> impl Iterator<Item = &Job> {
    manager.jobs.all().iter().rev()
}

pub(super) fn job_status(manager: &JobManager, job: &str) -> Answer {
    let id = path_id("jobid", job)?;
    match manager.jobs.get(&id) {
        Some(job) => Ok(ok(json!({ "status": job.state.name() }))),
        None => Err(Rejection::Internal(flink_job_not_found(&id, "lambda$requestJobStatus$46(Dispatcher.java:1760)"))),
    }
}

/// Cancels; `mode=stop` belongs to the past.
pub(super) fn cancel_job(manager: &mut JobManager, call: &Call, job: &str) -> Answer {
    let id = path_id("jobid", job)?;
    match call.query("mode")?.map(str::to_ascii_lowercase).as_deref() {
        None | Some("cancel") => {}
        Some("stop") => return stop_job(job),
        Some(_) => return Err(Rejection::parameter("query", "mode", call.query("mode")?.unwrap_or(""))),
    }
    let at = manager.now();
    // Until 1.13 an ended job was one that could not be found.
    let state = match manager.jobs.get(&id) {
        Some(job) if call.version >= (1, 14) || !job.state.has_ended() => job.state,
        _ => return Err(nothing_to_cancel(&id)),
    };
    if matches!(state, JobState::Finished | JobState::Failed) {
        let state = state.name();
        return Err(Rejection::handler(
            StatusCode::CONFLICT,
            format!("Job cancellation failed because the job has already reached another terminal state ({state})."),
            "org.apache.flink.runtime.rest.handler.job.JobCancellationHandler.lambda$handleRequest$0(JobCancellationHandler.java:115)",
        ));
    }
    manager.cancel(&id, at);
    Ok(accepted(json!({})))
}

/// What stopped jobs long ago, and names its successor now.
pub(super) fn stop_job(job: &str) -> Answer {
    path_id("jobid", job)?;
    Err(Rejection::handler(
        StatusCode::PERMANENT_REDIRECT,
        "The termination mode \"stop\" has been removed. For an ungraceful shutdown, please use \"cancel\" instead. For a graceful shutdown, please use \"jobs/:jobId/stop\" instead.",
        "org.apache.flink.runtime.rest.handler.job.JobCancellationHandler.handleRequest(JobCancellationHandler.java:94)",
    ))
}

pub(super) fn execution_result(manager: &JobManager, call: &Call, job: &str) -> Answer {
    let id = path_id("jobid", job)?;
    let Some(job) = manager.jobs.get(&id) else {
        let cause = flink_job_not_found(&id, "lambda$requestJobStatus$46(Dispatcher.java:1760)");
        return Err(Rejection::caused(
            StatusCode::NOT_FOUND,
            cause.headline(),
            "org.apache.flink.runtime.rest.handler.job.JobExecutionResultHandler.propagateException(JobExecutionResultHandler.java:94)",
            Throwable::completion(cause),
        ));
    };
    let Some(ended) = job.ended() else {
        return Ok(ok(json!({ "status": { "id": "IN_PROGRESS" } })));
    };
    let status = match job.state {
        JobState::Finished => "SUCCEEDED",
        JobState::Canceled => "CANCELED",
        _ => "FAILED",
    };
    let mut accumulators = Map::new();
    if job.graph {
        accumulators.insert("records".into(), java_objects::long(job.records(ended)).into());
    }
    let mut result = json!({
        "id": id,
        "application-status": status,
        "accumulator-results": accumulators,
        "net-runtime": millis(ended.saturating_sub(job.submitted)),
    });
    if let Some(cause) = &job.root_failure {
        result["failure-cause"] = cause.serialized();
    }
    if call.version >= (2, 3) {
        result["name"] = job.name.clone().into();
        result["application-id"] = job.application_id().into();
        result["start-time"] = millis(job.submitted).into();
        result["end-time"] = millis(ended).into();
    }
    Ok(ok(json!({ "status": { "id": "COMPLETED" }, "job-execution-result": result })))
}

fn nothing_to_cancel(id: &str) -> Rejection {
    Rejection::caused(
        StatusCode::NOT_FOUND,
        "Job could not be found.",
        "org.apache.flink.runtime.rest.handler.job.JobCancellationHandler.lambda$handleRequest$0(JobCancellationHandler.java:128)",
        flink_job_not_found(id, "cancelJob(Dispatcher.java:1555)"),
    )
}

/// A job as lists of jobs have it.
pub(super) fn overview_entry(job: &Job, now: Duration, version: Version) -> Value {
    let ended = job.ended();
    let last_change = job.entered.values().max().copied().unwrap_or(job.submitted);
    let mut entry = json!({
        "jid": job.id,
        "name": job.name,
        "start-time": millis(job.submitted),
        "end-time": ended.map_or(json!(-1), |at| millis(at).into()),
        "duration": millis(ended.unwrap_or(now).saturating_sub(job.submitted)),
        "state": job.state.name(),
        "last-modification": millis(last_change),
        "tasks": tasks(job),
    });
    if version >= (2, 0) {
        entry["pending-operators"] = 0.into();
    }
    if version >= (2, 3) {
        entry["jobType"] = "STREAMING".into();
        // Who never got as far as a graph never got a scheduler either.
        entry["schedulerType"] = if job.graph { scheduler(job).into() } else { Value::Null };
    }
    entry
}

pub(super) fn scheduler(job: &Job) -> &'static str {
    if job.adaptive { "Adaptive" } else { "Default" }
}

/// Subtasks by state, in lower case here.
fn tasks(job: &Job) -> Value {
    let total = if job.graph { job.subtasks() } else { 0 };
    let mut counts = Map::new();
    for state in TaskState::ALL {
        counts.insert(state.name().to_ascii_lowercase(), 0.into());
    }
    counts.insert("total".into(), total.into());
    for vertex in 0..2 {
        let name = job.attempt.state_of(vertex).name().to_ascii_lowercase();
        let count = counts.get(&name).and_then(Value::as_u64).unwrap_or(0)
            + u64::from(if job.graph { job.each[vertex] } else { 0 });
        counts.insert(name, count.into());
    }
    Value::Object(counts)
}
