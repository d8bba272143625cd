//! How a Flink server says no.
//!
//! There are three forms, and a client has to live with all of them: a *handler error* is one string with a Java
//! stack trace, an *internal error* is two strings of which the second wraps the stack trace in a marker, and a
//! *router error* is one short string and nothing else. Failures of asynchronous operations are no error
//! responses at all but a throwable inside a 200. All of them are built from [`Throwable`].

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};

use super::java_objects::{self, Link};
use crate::routes::mark_not_simulated;
use crate::streaming::{NoAnswer, Remark};

/// What a handler comes back with.
pub(super) type Answer = Result<Reply, Rejection>;

/// A success: what it says and under which status.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Value,
    /// What the simulator's log says beside the request.
    pub(super) remark: Option<String>,
}

impl Reply {
    fn new(status: StatusCode, body: Value) -> Self {
        Self { status, body, remark: None }
    }
}

/// 200 with a body.
pub(super) fn ok(body: Value) -> Reply {
    Reply::new(StatusCode::OK, body)
}

/// 200 with a file, which the server calls plain text whatever it is. No JSON here is a bare text.
pub(super) fn page(text: String) -> Reply {
    Reply::new(StatusCode::OK, Value::String(text))
}

/// 202 with a body.
pub(super) fn accepted(body: Value) -> Reply {
    Reply::new(StatusCode::ACCEPTED, body)
}

/// A rejection in one of the server's forms.
#[derive(Debug)]
pub(super) enum Rejection {
    /// An exception which a handler threw on purpose.
    Handler(StatusCode, Throwable),
    /// An exception that no handler expected: always 500.
    Internal(Throwable),
    /// One short string, sent by the router, or by a process that finds no leader to ask.
    Short(StatusCode, String),
    /// The same from the file server and the reader of uploads, which lack the header for other origins.
    Bare(StatusCode, String),
    /// No body at all.
    Empty(StatusCode),
    /// A route that only a real cluster has.
    NotSimulated(String),
    /// The connection does not survive this answer.
    BadRequestLine,
    /// None at all: `main` has called `System.exit`, and the process is gone.
    Exited,
}

impl Rejection {
    /// A `RestHandlerException` of a handler.
    pub(super) fn handler(status: StatusCode, message: impl Into<String>, frame: &'static str) -> Self {
        Self::Handler(status, Throwable::new(REST_HANDLER_EXCEPTION, message, frame))
    }

    /// The same with the reason behind it.
    pub(super) fn caused(
        status: StatusCode,
        message: impl Into<String>,
        frame: &'static str,
        cause: Throwable,
    ) -> Self {
        Self::Handler(status, Throwable::new(REST_HANDLER_EXCEPTION, message, frame).because(cause))
    }

    /// A path or query parameter which cannot be read.
    pub(super) fn parameter(place: &str, name: &str, value: &str) -> Self {
        let message = format!("Cannot resolve {place} parameter ({name}) from value \"{value}\".");
        Self::caused(
            StatusCode::BAD_REQUEST,
            format!("Bad request, could not parse parameters: {message}"),
            "org.apache.flink.runtime.rest.handler.AbstractHandler.respondAsLeader(AbstractHandler.java:188)",
            Throwable::new(
                "org.apache.flink.runtime.rest.handler.HandlerRequestException",
                message,
                "org.apache.flink.runtime.rest.handler.HandlerRequest.resolvePathParameters(HandlerRequest.java:177)",
            ),
        )
    }

    /// A body which is no JSON or not the JSON that was expected.
    pub(super) fn body(format: &str, cause: Throwable) -> Self {
        Self::caused(
            StatusCode::BAD_REQUEST,
            format!("Request did not match expected format {format}."),
            "org.apache.flink.runtime.rest.handler.AbstractHandler.respondAsLeader(AbstractHandler.java:165)",
            cause,
        )
    }

    /// No such job, as everything that is cut from the execution graph says it.
    pub(super) fn job_not_found(job: &str) -> Self {
        Self::Handler(
            StatusCode::NOT_FOUND,
            Throwable::new(
                "org.apache.flink.runtime.rest.NotFoundException",
                format!("Job {job} not found"),
                "org.apache.flink.runtime.rest.handler.job.AbstractExecutionGraphHandler.lambda$handleRequest$1(AbstractExecutionGraphHandler.java:99)",
            )
            .because(flink_job_not_found(job, "requestExecutionGraphInfo(Dispatcher.java:1769)")),
        )
    }
}

const REST_HANDLER_EXCEPTION: &str = "org.apache.flink.runtime.rest.handler.RestHandlerException";

/// The dispatcher's exception for a job it does not know.
pub(super) fn flink_job_not_found(job: &str, frame: &'static str) -> Throwable {
    let text = format!("Could not find Flink job ({job})");
    Throwable::new("org.apache.flink.runtime.messages.FlinkJobNotFoundException", text, frame)
        .thrown_by("org.apache.flink.runtime.dispatcher.Dispatcher.")
}

/// The `JobManager` in charge is dead, and another JobManager's endpoint has not noticed.
pub(super) fn unreachable(segments: &[String]) -> Rejection {
    let cause = Throwable::new(
        "org.apache.flink.runtime.rpc.exceptions.RecipientUnreachableException",
        "Could not send message [RemoteFencedMessage(a4f8, RemoteRpcInvocation(RestfulGateway))] from sender [Actor[pekko://flink/temp/dispatcher_0]] to recipient [Actor[pekko.tcp://flink@127.0.0.1:6123/user/rpc/dispatcher_0]], because the recipient is unreachable. This can either mean that the recipient has been terminated or that the remote RpcService is currently not reachable.",
        "org.apache.flink.runtime.rpc.pekko.DeadLettersActor.handleDeadLetter(DeadLettersActor.java:61)",
    );
    let status = match segments {
        [jobs, _, savepoints, trigger] if jobs == "jobs" && savepoints == "savepoints" => Some(trigger),
        _ => None,
    };
    Rejection::Internal(match status {
        Some(trigger) => Throwable::new(
            REST_HANDLER_EXCEPTION,
            format!("Internal server error while retrieving status of savepoint operation with triggerId={trigger}."),
            "org.apache.flink.runtime.rest.handler.job.savepoints.SavepointHandlers$SavepointStatusHandler.maybeCreateNotFoundError(SavepointHandlers.java:330)",
        )
        .because(cause),
        None => Throwable::completion(cause),
    })
}

/// The `JobManager` in charge died while it was asked something, and the process that asked has waited for so long.
pub(super) fn ask_timeout(question: &str, waited: Duration) -> Throwable {
    let timeout = Throwable::new(
        "org.apache.pekko.pattern.AskTimeoutException",
        format!(
            "Ask timed out on [Actor[pekko.tcp://flink@127.0.0.1:6123/user/rpc/dispatcher_1#1193]] after [{} ms]. Message of type [org.apache.flink.runtime.rpc.messages.RemoteFencedMessage]. A typical reason for `AskTimeoutException` is that the recipient actor didn't send a reply.",
            waited.as_millis()
        ),
        "org.apache.pekko.pattern.PromiseActorRef$.$anonfun$defaultOnTimeout$1(AskSupport.scala:723)",
    );
    Throwable::new(
        "java.util.concurrent.TimeoutException",
        format!("Invocation of [RemoteRpcInvocation(RestfulGateway.{question})] at recipient [pekko.tcp://flink@127.0.0.1:6123/user/rpc/dispatcher_1] timed out. This is usually caused by: 1) Pekko failed sending the message silently, due to problems like oversized payload or serialization failures."),
        "org.apache.flink.runtime.rpc.pekko.PekkoInvocationHandler.invokeRpc(PekkoInvocationHandler.java:268)",
    )
    .because(timeout)
}

/// A Java exception, as far as it can be seen from outside.
#[derive(Debug, Clone)]
pub(super) struct Throwable {
    pub(super) class: &'static str,
    pub(super) message: String,
    owner: &'static str,
    frame: &'static str,
    cause: Option<Box<Throwable>>,
}

impl Throwable {
    pub(super) fn new(class: &'static str, message: impl Into<String>, frame: &'static str) -> Self {
        Self { class, message: message.into(), owner: "", frame, cause: None }
    }

    /// `CompletionException`, which every failed future of the server arrives in; it repeats its cause's headline.
    pub(super) fn completion(cause: Throwable) -> Self {
        Self::new(
            "java.util.concurrent.CompletionException",
            cause.headline(),
            "java.base/java.util.concurrent.CompletableFuture.encodeThrowable(CompletableFuture.java:332)",
        )
        .because(cause)
    }

    pub(super) fn because(mut self, cause: Throwable) -> Self {
        self.cause = Some(Box::new(cause));
        self
    }

    /// Names the class of the method that threw it, if `frame` is the method alone.
    pub(super) fn thrown_by(mut self, owner: &'static str) -> Self {
        self.owner = owner;
        self
    }

    pub(super) fn headline(&self) -> String {
        format!("{}: {}", self.class, self.message)
    }

    /// The stack trace as `printStackTrace` writes it.
    pub(super) fn stack_trace(&self) -> String {
        let mut text = String::new();
        let mut next = Some(self);
        let mut depth = 0;
        while let Some(throwable) = next {
            if depth > 0 {
                text.push_str("Caused by: ");
            }
            text.push_str(&throwable.headline());
            text.push_str("\n\tat ");
            text.push_str(throwable.owner);
            text.push_str(throwable.frame);
            text.push('\n');
            if depth > 0 {
                text.push_str("\t... 37 more\n");
            }
            depth += 1;
            next = throwable.cause.as_deref();
        }
        text
    }

    /// The form in which the failure of an asynchronous operation is sent, with the Java object that Java clients need.
    pub(super) fn serialized(&self) -> Value {
        let chain: Vec<_> = std::iter::successors(Some(self), |throwable| throwable.cause.as_deref()).collect();
        let link = |throwable: &&Self| Link {
            class: throwable.class,
            message: throwable.headline(),
            stack_trace: throwable.stack_trace(),
        };
        json!({
            "class": self.class,
            "stack-trace": self.stack_trace(),
            "serialized-throwable": java_objects::throwable(&chain.iter().map(link).collect::<Vec<_>>()),
        })
    }
}

/// Turns what a handler came back with into the response.
pub(super) fn respond(answer: Answer) -> http::Response<Bytes> {
    let rejected = |status, text: Vec<String>, cors| json_response(status, &json!({ "errors": text }), cors);
    match answer {
        Ok(reply) => {
            let mut response = json_response(reply.status, &reply.body, true);
            if let Some(remark) = reply.remark {
                response.extensions_mut().insert(Remark(remark));
            }
            response
        }
        Err(Rejection::Handler(status, throwable)) => rejected(status, vec![throwable.stack_trace()], true),
        Err(Rejection::Internal(throwable)) => {
            let trace = throwable.stack_trace();
            let marked = format!("<Exception on server side:\n{trace}\nEnd of exception on server side>");
            rejected(StatusCode::INTERNAL_SERVER_ERROR, vec!["Internal server error.".into(), marked], true)
        }
        Err(Rejection::Short(status, text)) => rejected(status, vec![text], true),
        Err(Rejection::Bare(status, text)) => rejected(status, vec![text], false),
        Err(Rejection::Empty(status)) => {
            let mut response = http::Response::new(Bytes::new());
            *response.status_mut() = status;
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
            response
        }
        Err(Rejection::NotSimulated(text)) => {
            let mut response = rejected(StatusCode::NOT_IMPLEMENTED, vec![text], true);
            mark_not_simulated(&mut response);
            response
        }
        Err(Rejection::Exited) => {
            let mut response = http::Response::new(Bytes::new());
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response.extensions_mut().insert(NoAnswer);
            response
        }
        Err(Rejection::BadRequestLine) => {
            let text = "Unable to load requested file /bad-request.".to_owned();
            let mut response = rejected(StatusCode::NOT_FOUND, vec![text], false);
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            response
        }
    }
}

fn json_response(status: StatusCode, body: &Value, cors: bool) -> http::Response<Bytes> {
    let (body, kind) = match body {
        Value::String(text) => (Bytes::from(text.clone()), "text/plain"),
        body => (Bytes::from(body.to_string()), "application/json; charset=UTF-8"),
    };
    let length = HeaderValue::from(body.len());
    let mut response = http::Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if cors {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    }
    headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
    headers.insert(CONTENT_LENGTH, length);
    response
}
