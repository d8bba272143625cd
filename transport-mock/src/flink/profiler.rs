//! The profiler of the JobManager and of the one TaskManager: one profile at a time for each.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::errors::{Answer, Rejection, Throwable, ok, page};
use super::logs::{no_file, no_list};
use super::request::{Body, Call, Format, Kind};
use super::wire::{TASK_MANAGER, millis};

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

const JOB_MANAGER: &str = "JobManager";
/// How many profiles are listed (`rest.profiling.history-size`).
const HISTORY: usize = 10;
/// From the end of the sampling until the file is written.
const WRITES: Duration = Duration::from_millis(100);

/// A profile that was started.
#[derive(Debug)]
struct Profile {
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

/// The profiles of each process, newest first.
#[derive(Debug, Default)]
pub(super) struct Profiles(BTreeMap<&'static str, Vec<Profile>>);

impl Profiles {
    /// Those of the `JobManager` are lost with it.
    pub(super) fn lose_job_manager(&mut self) {
        self.0.remove(JOB_MANAGER);
    }

    pub(super) fn start(&mut self, call: &Call, task_manager: Option<&str>, now: Duration) -> Answer {
        let body = Body::read(call, &REQUEST)?;
        let process = process(task_manager)?;
        let seconds = body.number("duration").and_then(|seconds| u32::try_from(seconds).ok());
        let Some(seconds) = seconds.filter(|seconds| (1..=300).contains(seconds)) else {
            return Err(internal("java.lang.IllegalArgumentException", "`duration` must be set between (0s, 300s]."));
        };
        let profiles = self.0.entry(process).or_default();
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

    pub(super) fn list(&self, task_manager: Option<&str>, now: Duration) -> Answer {
        if let Some(id) = task_manager.filter(|id| *id != TASK_MANAGER) {
            let frame = "org.apache.flink.runtime.rest.handler.taskmanager.TaskManagerProfilingListHandler.lambda$handleRequest$0(TaskManagerProfilingListHandler.java:95)";
            return Err(no_list(id, frame));
        }
        let process = process(task_manager)?;
        let profiles = self.0.get(process).map_or(&[][..], Vec::as_slice);
        let views: Vec<_> = profiles.iter().map(|profile| profile.view(process, now)).collect();
        Ok(ok(json!({ "profilingList": views })))
    }

    pub(super) fn fetch(&self, task_manager: Option<&str>, file: &str, now: Duration) -> Answer {
        if let Some(id) = task_manager.filter(|id| *id != TASK_MANAGER) {
            return Err(no_file(id));
        }
        let process = process(task_manager)?;
        let mut profiles = self.0.get(process).map_or(&[][..], Vec::as_slice).iter();
        if profiles.any(|profile| now >= profile.over() && profile.file(process) == file) {
            let text = format!("<!DOCTYPE html>\n<html lang='en'><title>{file}</title></html>\n");
            return Ok(page(text));
        }
        match task_manager {
            None => {
                let text = "This file does not exist in JobManager log dir.";
                Err(Rejection::Short(StatusCode::NOT_FOUND, text.into()))
            }
            Some(id) => {
                let message = format!("Failed to transfer file from TaskExecutor {id}.");
                Err(internal("org.apache.flink.util.FlinkException", &message))
            }
        }
    }
}

fn process(task_manager: Option<&str>) -> Result<&'static str, Rejection> {
    match task_manager {
        None => Ok(JOB_MANAGER),
        Some(TASK_MANAGER) => Ok(TASK_MANAGER),
        Some(other) => {
            let class = "org.apache.flink.runtime.resourcemanager.exceptions.UnknownTaskExecutorException";
            Err(internal(class, &format!("No TaskExecutor registered under {other}.")))
        }
    }
}

fn internal(class: &'static str, message: &str) -> Rejection {
    let frame = "org.apache.flink.runtime.util.profiler.ProfilingService.requestProfiling(ProfilingService.java:131)";
    Rejection::Internal(Throwable::new(class, message, frame))
}
