//! Jobs that a Java client has planned: `POST /jobs` with the serialized job graph and its jars.
//!
//! The simulator has no JVM and cannot run the graph. An endless job takes its place, with the id and the name of the
//! graph's, so that the client finds it, and the log says so.

use http::StatusCode;
use serde_json::{Value, json};

use super::applications::Applications;
use super::config::Version;
use super::errors::{Answer, Rejection, Throwable, accepted};
use super::jar_runs::submitted_already;
use super::job_graph::{JobGraph, STREAM};
use super::job_manager::{JobManager, Submission};
use super::multipart::{self, Part};
use super::program::Program;
use super::request::{Body, Call, Format};

const JSON: Format = Format { name: "JobSubmitRequestBody", fields: &[] };

/// What the file with the graph is called, in the request and in messages.
struct Names {
    field: &'static str,
    class: &'static str,
}

fn names(version: Version) -> Names {
    if version < (2, 0) {
        Names { field: "jobGraphFileName", class: "JobGraph" }
    } else {
        Names { field: "executionPlanFileName", class: "ExecutionPlan" }
    }
}

pub(super) fn submit_job(manager: &mut JobManager, applications: &Applications, call: &Call) -> Answer {
    let Names { field, class } = names(call.version);
    let Some(boundary) = &call.boundary else {
        Body::read(call, &JSON)?;
        return Err(no_graph());
    };
    let parts = multipart::parts(&call.body, boundary);
    let (files, fields): (Vec<_>, Vec<_>) = parts.iter().partition(|part| part.filename.is_some());
    if let Some(unknown) = fields.iter().find(|part| part.name != "request") {
        let text = format!("Received unknown attribute {}.", unknown.name);
        return Err(Rejection::Bare(StatusCode::BAD_REQUEST, text));
    }
    let request = fields.first().map(|part| serde_json::from_slice::<Value>(&part.content));
    let request = request.and_then(Result::ok).unwrap_or_default();
    let Some(name) = request[field].as_str() else {
        return Err(no_graph());
    };
    let Some(plan) = files.iter().find(|file| file_name(file) == name) else {
        return Err(missing_file(class, name));
    };
    let graph = JobGraph::read(&plan.content).ok_or_else(|| not_read(class, &plan.content))?;
    if manager.jobs.is_used(&graph.id) || applications.is_used(&graph.id) {
        return Err(Rejection::Internal(submitted_already(call.version)));
    }
    let jar = files.iter().map(|file| file_name(file)).find(|file| *file != name);
    let name = graph.name.or_else(|| jar.map(str::to_owned)).unwrap_or_else(|| "Flink Streaming Job".to_owned());
    let mut reply = accepted(json!({ "jobUrl": format!("/jobs/{}", graph.id) }));
    reply.remark = Some(format!("the simulator cannot run a job graph: {} is an endless job named {name:?}", graph.id));
    manager.submit(Submission {
        id: graph.id,
        program: Program::endless(&name),
        name,
        application: None,
        parallelism: 1,
        origin: None,
    });
    Ok(reply)
}

fn file_name(part: &Part) -> &str {
    let path = part.filename.as_deref().unwrap_or("");
    path.rsplit('/').next().unwrap_or(path)
}

const HANDLER: &str =
    "org.apache.flink.runtime.rest.handler.job.JobSubmitHandler.handleRequest(JobSubmitHandler.java:107)";

/// The name of the field is that of 1.x in all releases.
fn no_graph() -> Rejection {
    let message = "The jobGraphFileName field must not be omitted or be null.";
    Rejection::handler(StatusCode::BAD_REQUEST, message, HANDLER)
}

fn missing_file(class: &str, name: &str) -> Rejection {
    Rejection::Handler(
        StatusCode::BAD_REQUEST,
        Throwable::new(
            "org.apache.flink.runtime.rest.handler.job.JobSubmitHandler$MissingFileException",
            format!("{class} file {name} could not be found on the server."),
            "org.apache.flink.runtime.rest.handler.job.JobSubmitHandler.getPathAndAssertUpload(JobSubmitHandler.java:229)",
        ),
    )
}

fn not_read(class: &str, content: &[u8]) -> Rejection {
    let start = content.first_chunk::<4>().map_or(0, |start| u32::from_be_bytes(*start));
    let cause = if content.starts_with(STREAM) {
        let message = "pipewright-sim finds no job id in the serialized graph";
        Throwable::new("java.io.InvalidObjectException", message, HANDLER)
    } else {
        Throwable::new(
            "java.io.StreamCorruptedException",
            format!("invalid stream header: {start:08x}"),
            "java.base/java.io.ObjectInputStream.readStreamHeader(ObjectInputStream.java:958)",
        )
    };
    Rejection::caused(
        StatusCode::BAD_REQUEST,
        format!("Failed to deserialize {class}."),
        "org.apache.flink.runtime.rest.handler.job.JobSubmitHandler.lambda$loadExecutionPlan$2(JobSubmitHandler.java:154)",
        cause,
    )
}
