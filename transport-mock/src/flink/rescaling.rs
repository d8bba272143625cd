//! The adaptive scheduler: bounds of the parallelism, and a job that follows them after a while.
//!
//! What is put shows at once; the job is restarted from its last checkpoint when the scheduler's cool-down is over, with as
//! many tasks as the bounds allow and the slots suffice for.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::Cluster;
use super::errors::{Answer, Refusal, Throwable, flink_job_not_found, ok};
use super::job::{Job, SINK_ID, SOURCE_ID};
use super::request::{Call, path_id};
use super::world::{Step, World};

/// Of both vertices.
const VERTICES: [&str; 2] = [SOURCE_ID, SINK_ID];
const MAX_PARALLELISM: u32 = 128;
/// When a rescale finds the job busy with something else.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

impl Cluster {
    /// The running job that is meant, if its scheduler can do this at all.
    fn rescalable(&self, job: &str) -> Result<&Job, Refusal> {
        let id = path_id("jobid", job)?;
        let found = self.world.job(&id).filter(|job| !job.state.has_ended());
        let Some(job) = found else {
            return Err(Refusal::Internal(flink_job_not_found(&id, "getJobMasterGateway(Dispatcher.java:2432)")));
        };
        if !self.world.config.adaptive_scheduler {
            return Err(Refusal::Internal(Throwable::new(
                "java.lang.UnsupportedOperationException",
                "The DefaultScheduler does not support changing the parallelism without a job restart. This feature is currently only expected to work with the AdaptiveScheduler.",
                "org.apache.flink.runtime.scheduler.SchedulerNG.requestJobResourceRequirements(SchedulerNG.java:225)",
            )));
        }
        Ok(job)
    }

    pub(super) fn resource_requirements(&self, job: &str) -> Answer {
        let job = self.rescalable(job)?;
        let entry = |index: usize| {
            let (lower, upper) = job.bounds[index];
            json!({ "parallelism": { "lowerBound": lower, "upperBound": upper } })
        };
        Ok(ok(json!({ SOURCE_ID: entry(0), SINK_ID: entry(1) })))
    }

    pub(super) fn put_resource_requirements(&mut self, call: &Call, job: &str) -> Answer {
        let bounds = requirements(call)?;
        let id = self.rescalable(job)?.id.clone();
        let bounds = check(&bounds)?;
        let (now, delay) = (self.now(), self.world.config.rescale_delay);
        if let Some(job) = self.world.job_mut(&id) {
            job.bounds = bounds;
        }
        self.world.later(&id, now.saturating_add(delay), Step::Rescales);
        Ok(ok(json!({})))
    }

    pub(super) fn rescaling_disabled() -> Answer {
        Err(Refusal::handler(
            StatusCode::SERVICE_UNAVAILABLE,
            "Rescaling is temporarily disabled. See FLINK-12312.",
            "org.apache.flink.runtime.rest.handler.job.rescaling.RescalingHandlers.featureDisabledException(RescalingHandlers.java:50)",
        ))
    }
}

fn refuse(message: impl Into<String>) -> Refusal {
    Refusal::handler(
        StatusCode::BAD_REQUEST,
        message,
        "org.apache.flink.runtime.rest.handler.job.JobResourceRequirementsUpdateHandler.handleRequest(JobResourceRequirementsUpdateHandler.java:66)",
    )
}

/// By vertex, in the order of the body.
fn requirements(call: &Call) -> Result<Vec<(String, u32, u32)>, Refusal> {
    let malformed = || {
        Refusal::body(
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
        return Err(refuse("Request body does not specify resource requirements."));
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

fn check(asked: &[(String, u32, u32)]) -> Result<[(u32, u32); 2], Refusal> {
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
            Err(refuse(problems.join("\n")))
        }
    }
}

impl World {
    /// The parallelism that a job's bounds and the slots come to now.
    fn fitting(&self, job: &Job) -> [u32; 2] {
        let slots = self.free_slots().saturating_add(job.parallelism);
        job.bounds.map(|(lower, upper)| upper.min(slots).max(lower))
    }

    /// Gives a job that starts anew the parallelism that its bounds allow.
    pub(super) fn fit(&mut self, id: &str) {
        if let Some(each) = self.job(id).filter(|_| self.config.adaptive_scheduler).map(|job| self.fitting(job))
            && let Some(job) = self.job_mut(id)
        {
            job.set_parallelism(each);
        }
    }

    /// The cool-down is over.
    pub(super) fn rescale(&mut self, id: &str, at: Duration) {
        let Some(job) = self.job(id) else { return };
        if job.each == self.fitting(job) {
            return;
        }
        if !job.is_processing() {
            self.later(id, at.saturating_add(AGAIN_AFTER), Step::Rescales);
            return;
        }
        self.restart_job(id, at);
    }
}
