//! What is behind the port: the simulator, and the plan of what goes wrong with it.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use pipewright::Timestamp;
use pipewright::operation::OperationInfo;

use super::Shared;
use super::limits::Limits;
use crate::fault::answer::Answer;
use crate::fault::{Fault, FaultPlan};
use crate::streaming::{NoAnswer, OpenBody};
use crate::world::{Service, lock};

/// See the module.
pub(super) struct Site<S> {
    pub(super) simulator: S,
    /// What the operations of its service are listed under.
    service: &'static str,
    pub(super) faults: FaultPlan,
}

/// What goes back to the client.
pub(super) enum Outcome {
    /// An answer.
    Whole(Response<Bytes>),
    /// The head of an answer and half of its body.
    Cut(Response<Bytes>),
    /// The end of the connection.
    Nothing,
}

impl<S: Service> Site<S> {
    pub(super) fn new(service: &'static str, simulator: S, faults: FaultPlan) -> Self {
        Self { simulator, service, faults }
    }

    /// The fault for the next request. None for what no service has, and the simulator tells of itself.
    pub(super) fn draw(&mut self, now: Timestamp, method: &Method, path: &str) -> Option<Fault> {
        if path.starts_with("/_simulator/") {
            return None;
        }
        self.faults.next(now, operation(self.service, method, path), method, path)
    }

    /// What the server takes of a head.
    pub(super) fn limits(&self) -> Limits {
        Limits::of(self.service)
    }

    /// What a client is told whose request cannot be read. Flink says what it says to a path that it does not have.
    pub(super) fn unreadable(&mut self, now: Timestamp) -> Response<Bytes> {
        match self.service {
            "flink" | "flink-sql-gateway" => {
                let mut request = Request::new(Bytes::new());
                *request.uri_mut() = Uri::from_static("/bad-request");
                let mut response = self.simulator.handle(now, &request);
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                response
            }
            _ => bare(StatusCode::BAD_REQUEST),
        }
    }

    /// What a client is told whose head is too long.
    pub(super) fn head_too_large(&mut self, now: Timestamp) -> Response<Bytes> {
        match self.service {
            "flink" | "flink-sql-gateway" => self.unreadable(now),
            _ => bare(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        }
    }

    /// What a client is told that names scheme and host in its request line, if the server does not know this form. It
    /// takes all of it for a path then.
    pub(super) fn absolute_form(&mut self, now: Timestamp, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        if self.limits().is_lenient || request.uri().scheme().is_none() {
            return None;
        }
        let mut unknown = Request::new(Bytes::new());
        *unknown.method_mut() = request.method().clone();
        *unknown.uri_mut() = Uri::from_static("/absolute-form");
        let response = self.simulator.handle(now, &unknown);
        let (mut head, body) = response.into_parts();
        let body = String::from_utf8_lossy(&body).replace("/absolute-form", &request.uri().to_string());
        head.headers.remove(header::CONTENT_LENGTH);
        Some(Response::from_parts(head, body.into()))
    }
}

/// An answer without a body.
fn bare(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

impl<S: Service> Shared<S> {
    /// Carries a request out, with its fault; `None` when the server stops meanwhile.
    pub(super) fn answer(&self, request: &Request<Bytes>, fault: Option<Fault>) -> Option<Outcome> {
        if let Some(Fault::DelayRequest(delay)) = fault
            && !self.wait(self.clock.scaled(delay))
        {
            return None;
        }
        let (response, wait) = {
            let mut site = lock(&self.site);
            let now = self.clock.now();
            let applied = fault.is_none_or(Fault::applied);
            if fault == Some(Fault::DeliveredTwice) {
                site.simulator.handle(now, request);
            }
            let response = applied.then(|| site.simulator.handle(now, request));
            let mut wait = Duration::ZERO;
            let response = match fault {
                Some(Fault::Restart { downtime, .. }) => {
                    site.simulator.restart(now, downtime);
                    response
                }
                Some(Fault::LeaderLost { downtime }) => {
                    let instead =
                        response.and_then(|response| site.simulator.lose_leader(now, downtime, request, response));
                    instead.map(|(after, response)| {
                        wait = after;
                        response
                    })
                }
                Some(Fault::DelayReply(delay)) => {
                    wait = delay;
                    response
                }
                _ => response,
            };
            (response, wait)
        };
        if !wait.is_zero() && !self.wait(self.clock.scaled(wait)) {
            return None;
        }
        let open: Option<OpenBody> = response.as_ref().and_then(|response| response.extensions().get().copied());
        let outcome = match (fault, response) {
            (Some(Fault::CutOff), Some(response)) if response.extensions().get::<NoAnswer>().is_none() => {
                Outcome::Cut(response)
            }
            (fault, response) => match Answer::spoilt(fault, response, false, self.clock.outside()).result {
                Ok(response) => Outcome::Whole(response),
                Err(_) => Outcome::Nothing,
            },
        };
        // A client that never gets the answer does not read on.
        let arrives = matches!(&outcome, Outcome::Whole(response) if response.extensions().get() == open.as_ref());
        if let Some(body) = open.filter(|_| !arrives) {
            lock(&self.site).simulator.close(self.clock.now(), body);
        }
        Some(outcome)
    }
}

/// The vendor's name of the operation that a request is; empty if this build does not know it.
pub(super) fn operation(service: &str, method: &Method, path: &str) -> &'static str {
    let path = match service {
        "flink" => path.strip_prefix("/v1").filter(|rest| rest.starts_with('/')).unwrap_or(path),
        "flink-sql-gateway" => {
            let versions = ["/v1", "/v2", "/v3", "/v4"].iter();
            let mut stripped = versions.filter_map(|version| path.strip_prefix(version));
            stripped.find(|rest| rest.starts_with('/')).unwrap_or(path)
        }
        _ => path,
    };
    let fits = |info: &&OperationInfo| info.service == service && info.method == *method && matches(info.path, path);
    // `/jobs/overview` fits `/jobs/{jobid}` too.
    let closest = pipewright::operations().filter(fits).min_by_key(|info| info.path.matches('{').count());
    closest.map_or("", |info| info.name)
}

fn matches(template: &str, path: &str) -> bool {
    let path = path.strip_suffix('/').unwrap_or(path);
    let (mut pieces, mut segments) = (template.split('/'), path.split('/'));
    loop {
        match (pieces.next(), segments.next()) {
            (None, None) => return true,
            (Some(piece), Some(segment)) if piece == segment || fills(piece, segment) => {}
            _ => return false,
        }
    }
}

/// Whether a segment can be a parameter's value, with what follows the parameter, as in `{pipe}:bulk-channel-status`.
fn fills(piece: &str, segment: &str) -> bool {
    let tail = piece.strip_prefix('{').and_then(|rest| rest.split_once('}')).map(|(_, tail)| tail);
    tail.is_some_and(|tail| segment.len() > tail.len() && segment.ends_with(tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_recognised_by_method_and_path() {
        for (method, path, name) in [
            (Method::GET, "/v1/overview", "getClusterOverview"),
            (Method::GET, "/overview/", "getClusterOverview"),
            (Method::GET, "/v1/jobs/overview", "getJobsOverview"),
            (Method::POST, "/v1/jobs/0/stop", "triggerStopWithSavepoint"),
            (Method::POST, "/v1/jobs//stop", ""),
            (Method::PUT, "/v1/overview", ""),
            (Method::GET, "/v1", ""),
            (Method::GET, "/", ""),
        ] {
            assert_eq!(operation("flink", &method, path), name, "{method} {path}");
        }
        assert_eq!(operation("feldera", &Method::GET, "/v0/pipelines/p/query"), "pipeline_adhoc_sql");
        let status = "/v2/streaming/databases/D/schemas/S/pipes/T-STREAMING:bulk-channel-status";
        assert_eq!(operation("snowpipe", &Method::POST, status), "bulkGetChannelStatus");
        assert_eq!(operation("snowpipe", &Method::GET, "/overview"), "");
    }

    #[test]
    fn a_parameter_may_have_something_behind_it() {
        let template = "/pipes/{pipe}:bulk-channel-status";
        assert!(matches(template, "/pipes/A-STREAMING:bulk-channel-status"));
        assert!(!matches(template, "/pipes/:bulk-channel-status"));
        assert!(!matches(template, "/pipes/A-STREAMING"));
        assert!(!matches(template, "/pipes/A-STREAMING:pipe-info"));
    }
}
