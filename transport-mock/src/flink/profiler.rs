//! The profiler of the JobManager and of the one TaskManager: one profile at a time for each.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::errors::{Answer, Refusal, Throwable, ok};
use super::request::{Body, Call, Format, Kind};
use super::{Cluster, TASK_MANAGER, millis};

const REQUEST: Format = Format {
    name: "ProfilingRequestBody",
    fields: &[
        (
            "mode",
            Kind::OneOf(
                "org.apache.flink.runtime.rest.messages.ProfilingInfo$ProfilingMode",
                &["CPU", "WALL", "LOCK", "ITIMER", "ALLOC"],
            ),
            (1, 19),
        ),
        ("duration", Kind::Number, (1, 19)),
    ],
};

/// How many profiles are listed (`rest.profiling.history-size`).
const HISTORY: usize = 10;
/// From the end of the sampling until the file is written.
const WRITES: Duration = Duration::from_millis(100);

/// A profile that was started.
#[derive(Debug)]
pub(super) struct Profile {
    mode: String,
    started: Duration,
    seconds: u32,
}

impl Profile {
    fn over(&self) -> Duration {
        self.started.saturating_add(Duration::from_secs(self.seconds.into())).saturating_add(WRITES)
    }

    fn file(&self, process: &str) -> String {
        format!("{process}_{}_{}.html", self.mode, millis(self.started))
    }

    /// Hardware counters are what this machine does not have.
    fn view(&self, process: &str, now: Duration) -> Value {
        let (status, message, file) = match &*self.mode {
            _ if now < self.over() => ("RUNNING", None, None),
            "CPU" => ("FAILED", Some("No access to perf events. Try --fdtransfer or --all-user option"), None),
            _ => ("FINISHED", Some("Profiling Successful"), Some(self.file(process))),
        };
        json!({
            "status": status,
            "mode": self.mode,
            "triggerTime": millis(self.started),
            "finishedTime": message.map(|_| millis(self.over())),
            "duration": self.seconds,
            "message": message,
            "outputFile": file,
            "profilingMode": self.mode,
        })
    }
}

impl Cluster {
    /// Whether there is a profiler at all.
    pub(super) fn has_profiler(&self, call: &Call) -> bool {
        self.world.config.profiling && call.version >= (1, 19)
    }

    pub(super) fn start_profile(&mut self, call: &Call, task_manager: Option<&str>) -> Answer {
        let body = Body::read(call, &REQUEST)?;
        let process = process(task_manager)?;
        let seconds = body.number("duration").and_then(|seconds| u32::try_from(seconds).ok());
        let Some(seconds) = seconds.filter(|seconds| (1..=300).contains(seconds)) else {
            return Err(internal("java.lang.IllegalArgumentException", "`duration` must be set between (0s, 300s]."));
        };
        let now = self.now();
        let profiles = self.world.profiles.entry(process.to_owned()).or_default();
        if profiles.iter().any(|profile| now < profile.over()) {
            let message = format!("{process} is still under profiling.");
            return Err(internal("java.lang.IllegalStateException", &message));
        }
        let profile = Profile { mode: body.text("mode").unwrap_or("ITIMER").to_owned(), started: now, seconds };
        let view = profile.view(process, now);
        profiles.insert(0, profile);
        profiles.truncate(HISTORY);
        Ok(ok(view))
    }

    pub(super) fn list_profiles(&mut self, task_manager: Option<&str>) -> Answer {
        let process = process(task_manager)?;
        let now = self.now();
        let profiles = self.world.profiles.get(process).map_or(&[][..], Vec::as_slice);
        let views: Vec<_> = profiles.iter().map(|profile| profile.view(process, now)).collect();
        Ok(ok(json!({ "profilingList": views })))
    }

    pub(super) fn fetch_profile(&mut self, task_manager: Option<&str>, file: &str) -> Answer {
        let process = process(task_manager)?;
        let now = self.now();
        let mut profiles = self.world.profiles.get(process).map_or(&[][..], Vec::as_slice).iter();
        if profiles.any(|profile| now >= profile.over() && profile.file(process) == file) {
            let page = format!("<!DOCTYPE html>\n<html lang='en'><title>{file}</title></html>\n");
            return Ok(super::errors::page(page));
        }
        match task_manager {
            None => {
                let text = "This file does not exist in JobManager log dir.";
                Err(Refusal::Short(StatusCode::NOT_FOUND, text.into()))
            }
            Some(id) => {
                let message = format!("Failed to transfer file from TaskExecutor {id}.");
                Err(internal("org.apache.flink.util.FlinkException", &message))
            }
        }
    }
}

fn process(task_manager: Option<&str>) -> Result<&'static str, Refusal> {
    match task_manager {
        None => Ok("JobManager"),
        Some(TASK_MANAGER) => Ok(TASK_MANAGER),
        Some(other) => {
            let class = "org.apache.flink.runtime.resourcemanager.exceptions.UnknownTaskExecutorException";
            Err(internal(class, &format!("No TaskExecutor registered under {other}.")))
        }
    }
}

fn internal(class: &'static str, message: &str) -> Refusal {
    let frame = "org.apache.flink.runtime.util.profiler.ProfilingService.requestProfiling(ProfilingService.java:131)";
    Refusal::Internal(Throwable::new(class, message, frame))
}
