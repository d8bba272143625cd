//! Log files and standard output of the JobManager and of the one TaskManager, which write to the same folder.

use std::fmt::Write as _;

use http::StatusCode;
use serde_json::json;

use super::errors::{Answer, Refusal, Throwable, ok, page};
use super::request::Call;
use super::{Cluster, TASK_MANAGER, millis};

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

impl Cluster {
    pub(super) fn list_logs(&self, call: &Call, task_manager: Option<&str>) -> Answer {
        if let Some(id) = task_manager.filter(|id| *id != TASK_MANAGER) {
            return Err(Refusal::caused(
                StatusCode::NOT_FOUND,
                format!("Could not find TaskExecutor {id}"),
                "org.apache.flink.runtime.rest.handler.taskmanager.TaskManagerLogListHandler.lambda$handleRequest$0(TaskManagerLogListHandler.java:91)",
                unknown(id),
            ));
        }
        let files = [JOB_MANAGER_OUT, TASK_MANAGER_LOG, TASK_MANAGER_OUT, JOB_MANAGER_LOG].map(|name| {
            let mut file = json!({ "name": name, "size": self.content(name).map_or(0, |content| content.len()) });
            if call.version >= (1, 14) {
                file["mtime"] = millis(self.now()).into();
            }
            file
        });
        Ok(ok(json!({ "logs": files })))
    }

    pub(super) fn job_manager_file(&self, file: File<'_>) -> Answer {
        let name = match file {
            File::Log => JOB_MANAGER_LOG,
            File::Out => JOB_MANAGER_OUT,
            File::Named(name) => name,
        };
        let missing = "This file does not exist in JobManager log dir.";
        let missing = || Refusal::Short(StatusCode::NOT_FOUND, missing.to_owned());
        self.content(name).map(page).ok_or_else(missing)
    }

    pub(super) fn task_manager_file(&self, id: &str, file: File<'_>) -> Answer {
        let frame = "org.apache.flink.runtime.rest.handler.taskmanager.AbstractTaskManagerFileHandler.handleException(AbstractTaskManagerFileHandler.java:216)";
        if id != TASK_MANAGER {
            let message = format!("Failed to transfer file from TaskExecutor {id} because it was unknown.");
            let class = "org.apache.flink.runtime.rest.NotFoundException";
            let refusal = Throwable::new(class, message, frame).because(unknown(id));
            return Err(Refusal::Handler(StatusCode::NOT_FOUND, refusal));
        }
        let name = match file {
            File::Log => TASK_MANAGER_LOG,
            File::Out => TASK_MANAGER_OUT,
            File::Named(name) => name,
        };
        self.content(name).map(page).ok_or_else(|| {
            let message = format!("Failed to transfer file from TaskExecutor {id}.");
            let cause = format!("The file {name} does not exist on the TaskExecutor.");
            let cause = Throwable::new("java.io.FileNotFoundException", cause, frame);
            Refusal::Internal(Throwable::new("org.apache.flink.util.FlinkException", message, frame).because(cause))
        })
    }

    fn content(&self, name: &str) -> Option<String> {
        match name {
            JOB_MANAGER_LOG => Some(self.job_manager_log()),
            TASK_MANAGER_LOG => Some("INFO  TaskManagerRunner [] - Starting TaskManager\n".to_owned()),
            TASK_MANAGER_OUT => Some(self.printed()),
            JOB_MANAGER_OUT => Some(String::new()),
            _ => None,
        }
    }

    /// The states of the jobs that it knows, in the order of their time.
    fn job_manager_log(&self) -> String {
        let mut lines = Vec::new();
        for job in &self.world.jobs {
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
        let version = &self.world.config.version;
        let mut log = format!("INFO  ClusterEntrypoint [] - Starting StandaloneSessionClusterEntrypoint ({version})\n");
        for (at, line) in lines {
            let _ = writeln!(log, "{} INFO  ExecutionGraph [] - {line}", millis(at));
        }
        log
    }

    /// What the print sinks have printed.
    fn printed(&self) -> String {
        let mut out = String::new();
        for job in &self.world.jobs {
            let records = job.records(self.now());
            for record in records.saturating_sub(PRINTED)..records {
                let _ = writeln!(out, "(key {},{record})", record % 7);
            }
        }
        out
    }
}

fn unknown(id: &str) -> Throwable {
    Throwable::new(
        "org.apache.flink.runtime.resourcemanager.exceptions.UnknownTaskExecutorException",
        format!("No TaskExecutor registered under {id}."),
        "org.apache.flink.runtime.resourcemanager.ResourceManager.requestTaskManagerFileUploadByNameAndType(ResourceManager.java:812)",
    )
}
