//! The rescales of a job. A simulated cluster keeps no history of them, as it is by default.

use http::StatusCode;
use serde_json::json;

use super::cache::Lookup;
use super::config::Config;
use super::errors::{Answer, Rejection, Throwable, ok};
use super::request::path_id;
use super::wire::millis;

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
        "rescaleHistoryMax": 0,
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

/// The history, its overview and its summary, none of which a job has.
pub(super) fn rescale_history(graphs: Lookup<'_>, job: &str) -> Answer {
    let id = path_id("jobid", job)?;
    graphs.find(&id)?;
    let message = format!(
        "The job `{id}` has not enabled the `Adaptive` scheduler, or it has been enabled but the value of configuration option `web.adaptive-scheduler.rescale-history.size` has not been set to greater than `0`."
    );
    let class = "org.apache.flink.runtime.rest.handler.job.rescales.RescalesUnavailableException";
    let frame = "org.apache.flink.runtime.rest.handler.job.rescales.RescalesUnavailableException.createForJob(RescalesUnavailableException.java:39)";
    Err(Rejection::Handler(StatusCode::NOT_FOUND, Throwable::new(class, message, frame)))
}

pub(super) fn rescale_details(graphs: Lookup<'_>, job: &str, rescale: &str) -> Answer {
    path_id("rescaleuuid", rescale)?;
    rescale_history(graphs, job)
}
