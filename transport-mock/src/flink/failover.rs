//! What the REST endpoint of a standby answers when the leader dies.

use std::time::Duration;

use bytes::Bytes;

use super::errors::{Rejection, ask_timeout, respond};
use super::jar_runs::not_executed;

/// How long the REST endpoint waits for the leader: with a job to submit (`client.timeout`), and with any other
/// question (`web.timeout`), which is longer than clients wait.
const WAITS: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(600));

/// Paths, or parts of them, that each REST endpoint answers without the leader.
const OWN: [&str; 5] =
    ["/jars", "/jobmanager/config", "/jobmanager/environment", "/jobmanager/thread-dump", "/log-url"];

/// What a REST endpoint answers, and after how long, if the leader died right after it carried `request` out, to which
/// `response` is the answer.
pub(super) fn without_leader(
    request: &http::Request<Bytes>,
    response: http::Response<Bytes>,
) -> (Duration, http::Response<Bytes>) {
    let path = request.uri().path();
    let is_run = request.method() == http::Method::POST && path.ends_with("/run");
    let is_own = !is_run && OWN.iter().any(|own| path.contains(own)) || is_run && !response.status().is_success();
    if is_own {
        return (Duration::ZERO, response);
    }
    let (wait, rejection) = if is_run {
        let timeout = ask_timeout("requestJobStatus(JobID, Duration)", WAITS.0);
        (WAITS.0, not_executed(timeout))
    } else {
        (WAITS.1, Rejection::Internal(ask_timeout("requestMultipleJobDetails(Duration)", WAITS.1)))
    };
    (wait, respond(Err(rejection)))
}
