//! Log files and standard output of the JobManager and of the one TaskManager, which write to the same folder.

use std::fmt::Write as _;

use http::StatusCode;
use serde_json::json;

use super::errors::{Answer, Rejection, Throwable, ok, page};
use super::job_manager::JobManager;
use super::request::Call;
use super::wire::{TASK_MANAGER, millis};

const JOB_MANAGER_LOG: &str = "flink-jobmanager.log";
const JOB_MANAGER_OUT: &str = "flink-jobmanager.out";
const TASK_MANAGER_LOG: &str = "flink-taskmanager1.log";
const TASK_MANAGER_OUT: &str = "flink-taskmanager1.out";

/// How many of its newest lines a job's print sink leaves in the standard output.
const PRINTED: u64 = 1000;

/// What of a process is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum File<'a> {
    Log,
    Out,
    Named(&'a str),
}

const FILE_HANDLER: &str = "org.apache.flink.runtime.rest.handler.taskmanager.AbstractTaskManagerFileHandler.handleException(AbstractTaskManagerFileHandler.java:216)";

pub(super) fn list_logs(manager: &JobManager, call: &Call, task_manager: Option<&str>) -> Answer {
    if let Some(id) = task_manager.filter(|id| *id != TASK_MANAGER) {
        let frame = "org.apache.flink.runtime.rest.handler.taskmanager.TaskManagerLogListHandler.lambda$handleRequest$0(TaskManagerLogListHandler.java:91)";
        return Err(no_list(id, frame));
    }
    let files = [JOB_MANAGER_OUT, TASK_MANAGER_LOG, TASK_MANAGER_OUT, JOB_MANAGER_LOG].map(|name| {
        let mut file = json!({ "name": name, "size": content(manager, name).map_or(0, |content| content.len()) });
        if call.version >= (1, 14) {
            file["mtime"] = millis(manager.now()).into();
        }
        file
    });
    Ok(ok(json!({ "logs": files })))
}

pub(super) fn job_manager_file(manager: &JobManager, file: File<'_>) -> Answer {
    let name = match file {
        File::Log => JOB_MANAGER_LOG,
        File::Out => JOB_MANAGER_OUT,
        File::Named(name) => name,
    };
    let missing = "This file does not exist in JobManager log dir.";
    let missing = || Rejection::Short(StatusCode::NOT_FOUND, missing.to_owned());
    content(manager, name).map(page).ok_or_else(missing)
}

/// An unknown TaskManager is asked for its files.
pub(super) fn no_list(id: &str, frame: &'static str) -> Rejection {
    Rejection::caused(StatusCode::NOT_FOUND, format!("Could not find TaskExecutor {id}"), frame, unknown(id))
}

/// An unknown TaskManager is asked for one file.
pub(super) fn no_file(id: &str) -> Rejection {
    let message = format!("Failed to transfer file from TaskExecutor {id} because it was unknown.");
    let class = "org.apache.flink.runtime.rest.NotFoundException";
    Rejection::Handler(StatusCode::NOT_FOUND, Throwable::new(class, message, FILE_HANDLER).because(unknown(id)))
}

pub(super) fn task_manager_file(manager: &JobManager, id: &str, file: File<'_>) -> Answer {
    if id != TASK_MANAGER {
        return Err(no_file(id));
    }
    let name = match file {
        File::Log => TASK_MANAGER_LOG,
        File::Out => TASK_MANAGER_OUT,
        File::Named(name) => name,
    };
    content(manager, name).map(page).ok_or_else(|| {
        let message = format!("Failed to transfer file from TaskExecutor {id}.");
        let cause = format!("The file {name} does not exist on the TaskExecutor.");
        let cause = Throwable::new("java.io.FileNotFoundException", cause, FILE_HANDLER);
        Rejection::Internal(
            Throwable::new("org.apache.flink.util.FlinkException", message, FILE_HANDLER).because(cause),
        )
    })
}

fn content(manager: &JobManager, name: &str) -> Option<String> {
    match name {
        JOB_MANAGER_LOG => Some(job_manager_log(manager)),
        TASK_MANAGER_LOG => Some("INFO  TaskManagerRunner [] - Starting TaskManager\n".to_owned()),
        TASK_MANAGER_OUT => Some(printed(manager)),
        JOB_MANAGER_OUT => Some(String::new()),
        _ => None,
    }
}

/// The states of the jobs that it knows, in the order of their time.
fn job_manager_log(manager: &JobManager) -> String {
    let mut lines = Vec::new();
    for job in manager.jobs.all() {
        let mut entered: Vec<_> = job.entered.iter().map(|(state, at)| (*at, state.name())).collect();
        entered.sort_unstable();
        for pair in entered.windows(2) {
            if let [(_, from), (at, to)] = pair {
                let line = format!("Job {} ({}) switched from state {from} to {to}.", job.name, job.id);
                lines.push((*at, line));
            }
        }
    }
    lines.sort();
    let version = &manager.config.version;
    let mut log = format!("INFO  ClusterEntrypoint [] - Starting StandaloneSessionClusterEntrypoint ({version})\n");
    for (at, line) in lines {
        let _ = writeln!(log, "{} INFO  ExecutionGraph [] - {line}", millis(at));
    }
    log
}

/// What the print sinks have printed.
fn printed(manager: &JobManager) -> String {
    let mut out = String::new();
    for job in manager.jobs.all() {
        let records = job.records(manager.now());
        for record in records.saturating_sub(PRINTED)..records {
            let _ = writeln!(out, "(key {},{record})", record % 7);
        }
    }
    out
}

fn unknown(id: &str) -> Throwable {
    Throwable::new(
        "org.apache.flink.runtime.resourcemanager.exceptions.UnknownTaskExecutorException",
        format!("No TaskExecutor registered under {id}."),
        "org.apache.flink.runtime.resourcemanager.ResourceManager.requestTaskManagerFileUploadByNameAndType(ResourceManager.java:812)",
    )
}
