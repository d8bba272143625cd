//! How a `JobManager` dies: by a `main` method, or as the leader that a standby asks; and what tells one process from the next.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::Cluster;
use super::errors::{Refusal, ask_timeout, respond};
use super::ids::Ids;
use super::jars::not_executed;

/// How long the REST endpoint waits for the leader: with a job to submit (`client.timeout`), and with any other question
/// (`web.timeout`), which is longer than clients wait.
const WAITS: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(600));

/// Paths, or parts of them, that each REST endpoint answers without the leader.
const OWN: [&str; 2] = ["/jars", "/jobmanager/config"];

impl Cluster {
    /// `main` has called `System.exit`. It runs in the process that serves the REST API.
    pub(super) fn exit(&mut self) {
        let now = self.world.now();
        self.exits.push(now);
        self.restart(now, self.world.config.exit_downtime);
        if self.world.config.standby {
            self.generation += 1;
            self.lose_uploads();
        }
    }

    /// The leader dies at `now`, right after it carried `request` out, to which `response` is the answer, and another one takes over
    /// after `downtime`. With a [`standby`](super::Config::standby), whose REST endpoint has passed the request on, that endpoint
    /// waits in vain: returns what it answers, and after how long. What the endpoint answers by itself, it answers at once: its
    /// configuration, jars, plans, and a run that fails before the job is submitted. Without a standby, nothing answers.
    pub fn lose_leader(
        &mut self,
        now: Duration,
        downtime: Duration,
        request: &http::Request<Bytes>,
        response: http::Response<Bytes>,
    ) -> Option<(Duration, http::Response<Bytes>)> {
        self.restart(now, downtime);
        if !self.world.config.standby {
            return None;
        }
        let path = request.uri().path();
        let is_run = request.method() == http::Method::POST && path.ends_with("/run");
        let is_own = !is_run && OWN.iter().any(|own| path.contains(own)) || is_run && !response.status().is_success();
        if is_own {
            return Some((Duration::ZERO, response));
        }
        let (wait, refusal) = if is_run {
            let timeout = ask_timeout("requestJobStatus(JobID, Duration)", WAITS.0);
            (WAITS.0, not_executed(timeout))
        } else {
            (WAITS.1, Refusal::Internal(ask_timeout("requestMultipleJobDetails(Duration)", WAITS.1)))
        };
        Some((wait, respond(Err(refusal))))
    }

    /// `/jobmanager/config`, as far as it matters here. Each process works in a directory of its own.
    pub(super) fn job_manager_config(&self) -> Value {
        let config = &self.world.config;
        let process = Ids::new(config.seed ^ self.generation.wrapping_mul(0x9e37_79b9) ^ 0x7765_6274).uuid();
        let scheduler = if config.adaptive_scheduler { "adaptive" } else { "default" };
        let mut entries = json!([
            { "key": "jobmanager.rpc.address", "value": "127.0.0.1" },
            { "key": "jobmanager.scheduler", "value": scheduler },
            { "key": "taskmanager.numberOfTaskSlots", "value": config.slots.to_string() },
            { "key": "web.tmpdir", "value": format!("/tmp/flink-web-{process}") },
        ]);
        if let Some(entries) = entries.as_array_mut().filter(|_| config.high_availability) {
            let key = if self.version() < (1, 17) { "high-availability" } else { "high-availability.type" };
            entries.insert(0, json!({ "key": key, "value": "zookeeper" }));
        }
        entries
    }
}
