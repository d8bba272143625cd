//! The adaptive scheduler: bounds of the parallelism, and a job that follows them after a while.
//!
//! What is put shows at once; the job is restarted from its last checkpoint when the scheduler's cool-down is over,
//! with as many tasks as the bounds allow and the slots suffice for.

use http::StatusCode;
use serde_json::{Value, json};

use super::errors::{Answer, Rejection, Throwable, flink_job_not_found, ok};
use super::job::{Job, SINK_ID, SOURCE_ID, VERTICES};
use super::job_manager::JobManager;
use super::request::{Call, path_id};

const MAX_PARALLELISM: u32 = 128;

/// The running job that is meant, if its scheduler can do this at all.
fn rescalable<'a>(manager: &'a JobManager, job: &str) -> Result<&'a Job, Rejection> {
    let id = path_id("jobid", job)?;
    let found = manager.jobs.get(&id).filter(|job| !job.state.has_ended());
    let Some(job) = found else {
        return Err(Rejection::Internal(flink_job_not_found(&id, "getJobMasterGateway(Dispatcher.java:2432)")));
    };
    if !manager.config.adaptive_scheduler {
        return Err(Rejection::Internal(Throwable::new(
            "java.lang.UnsupportedOperationException",
            "The DefaultScheduler does not support changing the parallelism without a job restart. This feature is currently only expected to work with the AdaptiveScheduler.",
            "org.apache.flink.runtime.scheduler.SchedulerNG.requestJobResourceRequirements(SchedulerNG.java:225)",
        )));
    }
    Ok(job)
}

pub(super) fn resource_requirements(manager: &JobManager, job: &str) -> Answer {
    let job = rescalable(manager, job)?;
    let entry = |index: usize| {
        let (lower, upper) = job.bounds[index];
        json!({ "parallelism": { "lowerBound": lower, "upperBound": upper } })
    };
    Ok(ok(json!({ SOURCE_ID: entry(0), SINK_ID: entry(1) })))
}

pub(super) fn put_resource_requirements(manager: &mut JobManager, call: &Call, job: &str) -> Answer {
    let bounds = requirements(call)?;
    let id = rescalable(manager, job)?.id.clone();
    let bounds = check(&bounds)?;
    manager.set_bounds(&id, bounds);
    Ok(ok(json!({})))
}

pub(super) fn rescaling_disabled() -> Answer {
    Err(Rejection::handler(
        StatusCode::SERVICE_UNAVAILABLE,
        "Rescaling is temporarily disabled. See FLINK-12312.",
        "org.apache.flink.runtime.rest.handler.job.rescaling.RescalingHandlers.featureDisabledException(RescalingHandlers.java:50)",
    ))
}

fn reject(message: impl Into<String>) -> Rejection {
    Rejection::handler(
        StatusCode::BAD_REQUEST,
        message,
        "org.apache.flink.runtime.rest.handler.job.JobResourceRequirementsUpdateHandler.handleRequest(JobResourceRequirementsUpdateHandler.java:66)",
    )
}

/// By vertex, in the order of the body.
fn requirements(call: &Call) -> Result<Vec<(String, u32, u32)>, Rejection> {
    let malformed = || {
        Rejection::body(
            "JobResourceRequirementsBody",
            Throwable::new(
                "org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.exc.MismatchedInputException",
                "Cannot map `null` into type `int` (set DeserializationConfig.DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES to 'false' to allow)",
                "org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper.readValue(ObjectMapper.java:3777)",
            ),
        )
    };
    let body: Value = if call.body.iter().all(u8::is_ascii_whitespace) {
        json!({})
    } else {
        serde_json::from_slice(&call.body).map_err(|_| malformed())?
    };
    let vertices = body.as_object().ok_or_else(malformed)?;
    if vertices.is_empty() {
        return Err(reject("Request body does not specify resource requirements."));
    }
    let mut read = Vec::new();
    for (id, vertex) in vertices {
        let bound = |name: &str| {
            let bound = vertex["parallelism"][name].as_i64().ok_or_else(malformed)?;
            // What is negative is refused like 0.
            Ok(u32::try_from(bound).unwrap_or(0))
        };
        read.push((path_id("jobvertexid", id)?, bound("lowerBound")?, bound("upperBound")?));
    }
    Ok(read)
}

fn check(asked: &[(String, u32, u32)]) -> Result<[(u32, u32); 2], Rejection> {
    let mut problems = Vec::new();
    for (id, lower, upper) in asked {
        if *lower == 0 || *upper == 0 {
            problems.push(format!(
                "Both, the requested lower bound [{lower}] and upper bound [{upper}] for job vertex [{id}] must be greater than zero."
            ));
        } else if lower > upper {
            problems.push(format!(
                "The requested lower bound [{lower}] for job vertex [{id}] is higher than the upper bound [{upper}]."
            ));
        } else if !VERTICES.contains(&&**id) {
            problems.push(format!("Job vertex [{id}] was not found in the JobGraph."));
        } else if *upper > MAX_PARALLELISM {
            problems.push(format!(
                "The newly requested parallelism {upper} for the job vertex {id} exceeds its maximum parallelism {MAX_PARALLELISM}."
            ));
        }
    }
    let bounds = VERTICES.map(|vertex| {
        let found = asked.iter().find(|(id, ..)| id == vertex).map(|(_, lower, upper)| (*lower, *upper));
        found.ok_or_else(|| format!("The request is incomplete, missing job vertex [{vertex}] resource requirements."))
    });
    match bounds {
        [Ok(source), Ok(sink)] if problems.is_empty() => Ok([source, sink]),
        bounds => {
            problems.extend(bounds.into_iter().filter_map(Result::err));
            Err(reject(problems.join("\n")))
        }
    }
}
