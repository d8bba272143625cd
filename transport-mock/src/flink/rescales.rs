//! The rescales of a job of the adaptive scheduler.

use http::StatusCode;
use serde_json::{Value, json};

use super::cache::Lookup;
use super::config::Config;
use super::errors::{Answer, Rejection, Throwable, ok};
use super::job::{SINK_ID, SOURCE_ID, VERTICES};
use super::request::path_id;
use super::rescale_log::{Outcome, Rescale, RescaleLog, Span};
use super::statistics;
use super::task_managers::resources;
use super::vertices::{NAMES, SLOT_SHARING_GROUP};
use super::wire::millis;

const GROUP_NAME: &str = "default";

pub(super) fn rescale_config(graphs: Lookup<'_>, config: &Config, job: &str) -> Answer {
    let id = path_id("jobid", job)?;
    let (_, job) = graphs.find(&id)?;
    if !job.adaptive {
        return Err(Rejection::handler(
            StatusCode::NOT_FOUND,
            format!("AdaptiveScheduler is not enabled for this job ({id})."),
            "org.apache.flink.runtime.rest.handler.job.rescales.JobRescaleConfigHandler.getJobRescaleConfigInfo(JobRescaleConfigHandler.java:82)",
        ));
    }
    Ok(ok(json!({
        "rescaleHistoryMax": job.rescales.size,
        "schedulerExecutionMode": null,
        "submissionResourceWaitTimeoutInMillis": 300_000,
        "submissionResourceStabilizationTimeoutInMillis": 10_000,
        "slotIdleTimeoutInMillis": 50_000,
        "executingCooldownTimeoutInMillis": millis(config.rescale_delay),
        "executingResourceStabilizationTimeoutInMillis": 60_000,
        "maximumDelayForTriggeringRescaleInMillis": 3000,
        "rescaleOnFailedCheckpointCount": 2,
    })))
}

/// What is remembered of a job's rescales, unless nothing is.
fn find<'a>(graphs: Lookup<'a>, job: &str) -> Result<&'a RescaleLog, Rejection> {
    let id = path_id("jobid", job)?;
    let (_, job) = graphs.find(&id)?;
    if job.rescales.size > 0 {
        return Ok(&job.rescales);
    }
    let message = format!(
        "The job `{id}` has not enabled the `Adaptive` scheduler, or it has been enabled but the value of configuration option `web.adaptive-scheduler.rescale-history.size` has not been set to greater than `0`."
    );
    let class = "org.apache.flink.runtime.rest.handler.job.rescales.RescalesUnavailableException";
    let frame = "org.apache.flink.runtime.rest.handler.job.rescales.RescalesUnavailableException.createForJob(RescalesUnavailableException.java:39)";
    Err(Rejection::Handler(StatusCode::NOT_FOUND, Throwable::new(class, message, frame)))
}

pub(super) fn rescale_history(graphs: Lookup<'_>, job: &str) -> Answer {
    Ok(ok(find(graphs, job)?.history.iter().rev().map(entry).collect()))
}

pub(super) fn rescale_details(graphs: Lookup<'_>, job: &str, rescale: &str) -> Answer {
    path_id("jobid", job)?;
    let wanted = path_id("rescaleuuid", rescale)?;
    let found = find(graphs, job)?.history.iter().find(|rescale| rescale.id == wanted).ok_or_else(|| {
        Rejection::handler(
            StatusCode::NOT_FOUND,
            format!("Could not find rescale details of specified rescaleUuid {wanted}."),
            "org.apache.flink.runtime.rest.handler.job.rescales.JobRescaleDetailsHandler.handleRequest(JobRescaleDetailsHandler.java:93)",
        )
    })?;
    let mut details = entry(found);
    details["vertices"] = json!({ SOURCE_ID: vertex_entry(found, 0), SINK_ID: vertex_entry(found, 1) });
    details["slots"] = json!({ SLOT_SHARING_GROUP: slots_entry(found) });
    details["schedulerStates"] = found.spans.iter().map(span_entry).collect();
    Ok(ok(details))
}

pub(super) fn rescale_overview(graphs: Lookup<'_>, job: &str) -> Answer {
    let log = find(graphs, job)?;
    let latest = |outcome| log.latest.get(&outcome).map(entry);
    Ok(ok(json!({
        "rescalesCounts": counts(log),
        "latest": {
            "completed": latest(Outcome::Completed),
            "failed": latest(Outcome::Failed),
            "ignored": latest(Outcome::Ignored),
        },
    })))
}

pub(super) fn rescale_summary(graphs: Lookup<'_>, job: &str) -> Answer {
    let log = find(graphs, job)?;
    let durations = |only: Option<Outcome>| {
        let those = log.durations.iter().filter(|(outcome, _)| only.is_none_or(|only| only == *outcome));
        statistics::of_window(those.map(|(_, duration)| *duration).collect(), log.size)
    };
    Ok(ok(json!({
        "rescalesCounts": counts(log),
        "rescalesDurationStatsInMillis": durations(None),
        "completedRescalesDurationStatsInMillis": durations(Some(Outcome::Completed)),
        "ignoredRescalesDurationStatsInMillis": durations(Some(Outcome::Ignored)),
        "failedRescalesDurationStatsInMillis": durations(Some(Outcome::Failed)),
    })))
}

/// All there were, whether or not they are remembered.
fn counts(log: &RescaleLog) -> Value {
    let count = |outcome| log.durations.iter().filter(|(of, _)| *of == outcome).count();
    json!({
        "ignored": count(Outcome::Ignored),
        "inProgress": u32::from(log.is_in_progress()),
        "completed": count(Outcome::Completed),
        "failed": count(Outcome::Failed),
    })
}

/// A rescale as it stands in lists.
fn entry(rescale: &Rescale) -> Value {
    json!({
        "rescaleUuid": rescale.id,
        "resourceRequirementsUuid": rescale.requirements,
        "rescaleAttemptId": rescale.attempt,
        "vertices": {},
        "slots": {},
        "schedulerStates": [],
        "startTimestampInMillis": millis(rescale.started),
        "endTimestampInMillis": rescale.ended.map(|(at, _)| millis(at)),
        "terminalState": rescale.ended.map(|(_, reason)| reason.outcome().name()),
        "triggerCause": rescale.cause.name(),
        "terminatedReason": rescale.ended.map(|(_, reason)| reason.name()),
    })
}

fn vertex_entry(rescale: &Rescale, vertex: usize) -> Value {
    let (sufficient, desired) = rescale.bounds[vertex];
    json!({
        "jobVertexId": VERTICES[vertex],
        "jobVertexName": NAMES[vertex],
        "slotSharingGroupId": SLOT_SHARING_GROUP,
        "slotSharingGroupName": GROUP_NAME,
        "desiredParallelism": desired,
        "sufficientParallelism": sufficient,
        "preRescaleParallelism": rescale.before.map(|each| each[vertex]),
        "postRescaleParallelism": rescale.after.map(|each| each[vertex]),
    })
}

fn slots_entry(rescale: &Rescale) -> Value {
    let [(source_lower, source_upper), (sink_lower, sink_upper)] = rescale.bounds;
    let slots = |each: [u32; 2]| each[0].max(each[1]);
    json!({
        "slotSharingGroupId": SLOT_SHARING_GROUP,
        "slotSharingGroupName": GROUP_NAME,
        "requestResourceProfile": any_resources(),
        "desiredSlots": source_upper.max(sink_upper),
        "minimalRequiredSlots": source_lower.max(sink_lower),
        "preRescaleSlots": rescale.before.map(slots),
        "postRescaleSlots": rescale.after.map(slots),
        "acquiredResourceProfile": rescale.after.map_or_else(any_resources, |_| resources(1)),
    })
}

/// The resources of a slot that may be any slot.
fn any_resources() -> Value {
    json!({
        "cpuCores": -1.0,
        "taskHeapMemory": -1,
        "taskOffHeapMemory": -1,
        "managedMemory": -1,
        "networkMemory": -1,
        "extendedResources": {},
    })
}

fn span_entry(span: &Span) -> Value {
    json!({
        "state": span.phase.name(),
        "enterTimestampInMillis": millis(span.entered),
        "leaveTimestampInMillis": millis(span.left),
        "durationInMillis": millis(span.left.saturating_sub(span.entered)),
        "stringifiedException": span.exception,
    })
}
