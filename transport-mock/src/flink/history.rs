//! A simulated HistoryServer: files of jobs that have ended, which outlive the cluster's memory of them.
//!
//! It knows one answer for each path, as a JobManager gives it: they are made when a job is archived, and never
//! change. Paths have no version in front, are decoded once, and their queries are ignored.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use serde_json::json;

use super::errors::{Rejection, ok, respond};
use super::overview::configuration;
use super::request::Call;
use super::{Cluster, Config};
use crate::world::lock;

/// How long after its end a job appears (`historyserver.archive.fs.refresh-interval`).
const REFRESH: Duration = Duration::from_secs(10);

/// A simulated HistoryServer of one [`Cluster`].
#[derive(Debug)]
pub struct History {
    cluster: Arc<Mutex<Cluster>>,
    /// Answers as the cluster would have, had it forgotten nothing and nothing but ended jobs.
    archive: Cluster,
    archived: BTreeSet<String>,
}

impl History {
    /// The jobs that a cluster archives as they end, from now on and from before.
    pub fn new(cluster: Arc<Mutex<Cluster>>) -> Self {
        let config = Config {
            refresh_interval: REFRESH,
            job_expiration: Duration::MAX,
            ..lock(&cluster).manager.config.clone()
        };
        Self { cluster, archive: Cluster::new(config), archived: BTreeSet::new() }
    }

    /// Answers a request that arrives at `now`, the time since the UNIX epoch.
    pub fn handle(&mut self, now: Duration, request: &Request<Bytes>) -> Response<Bytes> {
        self.advance(now);
        if request.method() != Method::GET {
            let trace = format!("java.io.IOException: Unsupported HTTP method: {}\n", request.method());
            let mut response = Response::new(Bytes::from(trace));
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
            return response;
        }
        let call = Call::of_file(request, self.archive.manager.config.release());
        let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
        let not_found = || Rejection::Bare(StatusCode::NOT_FOUND, "File not found.".to_owned());
        let answer = match segments.as_slice() {
            ["config"] => {
                let mut config = configuration(&self.archive.manager);
                config["features"]["web-submit"] = false.into();
                config["features"]["web-cancel"] = false.into();
                config["features"]["web-history"] = true.into();
                Ok(ok(config))
            }
            // The first of these is `overview`, or a job.
            ["jobs" | "applications", _]
            | ["jobs", _, "plan" | "config" | "exceptions" | "accumulators" | "checkpoints"]
            | ["jobs", _, "checkpoints", "config"]
            | ["jobs", _, "checkpoints" | "rescales", "details", _]
            | ["jobs", _, "checkpoints", "details", _, "subtasks", _]
            | ["jobs", _, "vertices", _]
            | ["jobs", _, "vertices", _, "subtasktimes" | "taskmanagers"]
            | ["jobs", _, "vertices", _, "subtasks", _, "attempts", _]
            | ["jobs", _, "vertices", _, "subtasks", _, "attempts", _, "accumulators"]
            | ["applications", _, "exceptions"] => self.archive.route(&call).map_err(|_| not_found()),
            // For a cluster, these are of any job, and of any application.
            [kind @ ("jobs" | "applications"), id, "jobmanager", "config"]
            | [kind @ "jobs", id, "jobmanager", "environment"]
                if self.is_archived(kind, id) =>
            {
                self.archive.route(&call).map_err(|_| not_found())
            }
            // A rejection is archived as the answer, by its message alone.
            ["jobs", job, "rescales", "config" | "history" | "overview" | "summary"]
                if self.archived.contains(*job) =>
            {
                match self.archive.route(&call) {
                    Err(Rejection::Handler(_, throwable)) => Ok(ok(json!({ "errors": [throwable.message] }))),
                    answer => answer.map_err(|_| not_found()),
                }
            }
            _ => Err(not_found()),
        };
        respond(answer)
    }

    fn is_archived(&self, kind: &str, id: &str) -> bool {
        let mut jobs = self.archive.manager.jobs.all().iter();
        jobs.any(|job| id == if kind == "jobs" { &job.id } else { job.application_id() })
    }

    /// Takes over what has ended long enough before `now`.
    pub fn advance(&mut self, now: Duration) {
        let mut cluster = lock(&self.cluster);
        cluster.advance(now);
        for job in cluster.manager.jobs.archived() {
            let is_due = job.ended().is_some_and(|at| at.saturating_add(REFRESH) <= now);
            if is_due && self.archived.insert(job.id.clone()) {
                self.archive.manager.jobs.add_archived(job.clone());
                let application = job.application.as_ref().and_then(|id| cluster.applications.get(id));
                if let Some(application) = application {
                    self.archive.applications.add(application.clone());
                }
                // Its answers are of then.
                self.archive.advance(job.ended().unwrap_or_default());
            }
        }
    }
}
