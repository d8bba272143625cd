//! A simulated Feldera: the manager, and the processes of its pipelines, as seen through the manager's API.
//!
//! [`Manager::handle`] answers one request at a time, as a real server does: with its status codes and bodies, its
//! wishes that are granted later, and its refusals. There is no network in it, no clock and no chance: time is an
//! argument, and ids follow from [`Config::seed`]. Between two requests everything that is due by the time of the second
//! one happens, in order.
//!
//! ```text
//!   program     Pending ▶ CompilingSql ▶ SqlCompiled ▶ CompilingRust ▶ Success       or SqlError, RustError, SystemError
//!   deployment  Stopped ▶ Provisioning ▶ Initializing ▶ Running ◀▶ Paused ▶ Stopping ▶ Stopped
//!   storage     Cleared ▶ InUse ▶ Clearing ▶ Cleared
//! ```
//!
//! A program has tables, and views that are `SELECT * FROM` a table: anything else does not compile. A table keeps the
//! rows that are pushed into it. Queries and snapshots need a materialized view, or a table
//! `WITH ('materialized' = 'true')`. A table can have connectors: `datagen` with one plan, whose limit and rate count, and
//! `file_input`, whose file is never there. Egress, logs and time series go on: their responses have an [`OpenBody`]
//! among their extensions, by which [`Manager::read`] gives the rest.
//!
//! How things really are, as opposed to what the API says about them, is seen with [`Manager::pipelines`] and
//! [`Manager::requests`], and what its processes have done with [`Manager::history`]. What goes wrong behind the API: [`panic`](Manager::panic),
//! [`report_panic`](Manager::report_panic), [`kill`](Manager::kill), [`freeze`](Manager::freeze), [`wedge`](Manager::wedge), [`fail_checkpoints`](Manager::fail_checkpoints),
//! [`fail_syncs`](Manager::fail_syncs), [`fail_compilations`](Manager::fail_compilations).
//!
//! # Limits
//!
//! Answers come at once: what a real manager says after its patience is over (30 s of an ingress into a paused
//! pipeline) is said without the wait. Tenants, trust and connectors of outputs are not simulated: 404. Where there are keys,
//! tenants are refused to all but owners and trust to all but admins, with 403. Profiles are files of the right form with next to nothing in them.
//!
//! The simulator shares no type and no code with a client: a misunderstanding of the protocol would otherwise be
//! on both sides and never show.
//!
//! ```
//! # use std::time::Duration;
//! use pipewright_mock::feldera::{Config, Manager};
//!
//! let mut manager = Manager::new(Config::default());
//! let now = Duration::from_secs(1_800_000_000);
//! let request = http::Request::get("/v0/pipelines").body(bytes::Bytes::new())?;
//! assert_eq!(manager.handle(now, &request).body(), "[]");
//! # Ok::<(), http::Error>(())
//! ```

mod checkpoints;
mod connectors;
mod data;
mod errors;
mod faults;
mod introspection;
mod lifecycle;
mod live;
mod object;
mod pipeline;
mod pipelines;
mod platform;
mod process;
mod profiles;
mod program;
mod request;
mod rows;
mod statistics;
#[cfg(test)]
mod tests;
mod tokens;
mod validation;
mod views;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use pipewright::Seed;
use serde_json::json;

pub use self::faults::CompilerFailure;
pub use self::views::{CheckpointView, History, PipelineView, RequestView, SyncView, TakenView, TransactionView};

use self::errors::{Answer, Refusal, Reply, respond};
use self::live::Reading;
use self::pipeline::Pipeline;
use self::platform::{Key, check_role, needed};
use self::request::Call;
use self::validation::validate_program;
use crate::live::OpenBody;

/// What a simulated Feldera is like.
#[derive(Debug, Clone)]
pub struct Config {
    /// The release: `0.337.0`.
    pub version: String,
    /// Whether it is the enterprise edition, which has checkpoints and suspends: no.
    pub enterprise: bool,
    /// What is taken after `Bearer`, besides the keys that are made with it: anything, or nothing at all. Its role is `write`,
    /// as that of no made key exceeds.
    pub api_key: Option<String>,
    /// How long each phase of a compilation takes, of which there are four: 250 ms.
    pub compile_duration: Duration,
    /// How soon the runner sees what is wished: 50 ms.
    pub runner_delay: Duration,
    /// From the runner's decision until a process is there, and until it is gone: 300 ms.
    pub provision_duration: Duration,
    /// How long a process initializes: 50 ms.
    pub initialize_duration: Duration,
    /// How long storage takes to be cleared: 200 ms.
    pub clear_duration: Duration,
    /// How long a step takes, from its input until its output is delivered: 20 ms.
    pub step_duration: Duration,
    /// How long a checkpoint takes: 100 ms.
    pub checkpoint_duration: Duration,
    /// How long a transaction takes to commit: 50 ms.
    pub commit_duration: Duration,
    /// How soon the runner sees that a process is gone or does not answer: 5 s. Until then the manager shows `Running`.
    pub failure_delay: Duration,
    /// From a panic until the runner stops the pipeline: 4 s. Until then the manager shows `Running`.
    pub panic_duration: Duration,
    /// How many requests are remembered for [`Manager::requests`]: 100 000.
    pub history: usize,
    /// What ids are made from: 0.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            version: "0.337.0".into(),
            enterprise: false,
            api_key: None,
            compile_duration: Duration::from_millis(250),
            runner_delay: Duration::from_millis(50),
            provision_duration: Duration::from_millis(300),
            initialize_duration: Duration::from_millis(50),
            clear_duration: Duration::from_millis(200),
            step_duration: Duration::from_millis(20),
            checkpoint_duration: Duration::from_millis(100),
            commit_duration: Duration::from_millis(50),
            failure_delay: Duration::from_secs(5),
            panic_duration: Duration::from_secs(4),
            history: 100_000,
            seed: 0,
        }
    }
}

/// A simulated Feldera. See the [module](self).
#[derive(Debug)]
pub struct Manager {
    config: Config,
    now: Duration,
    seed: Seed,
    /// In the order of their creation.
    pipelines: Vec<Pipeline>,
    keys: Vec<Key>,
    requests: VecDeque<RequestView>,
    /// Bodies that are being read.
    readings: BTreeMap<OpenBody, Reading>,
    opened: u64,
    up_at: Duration,
    /// How compilations fail.
    compiler: Option<CompilerFailure>,
}

impl Manager {
    /// A manager without pipelines.
    pub fn new(config: Config) -> Self {
        Self {
            seed: Seed::new(u128::from(config.seed)),
            config,
            now: Duration::ZERO,
            pipelines: Vec::new(),
            keys: Vec::new(),
            requests: VecDeque::new(),
            readings: BTreeMap::new(),
            opened: 0,
            up_at: Duration::ZERO,
            compiler: None,
        }
    }

    /// Answers a request that arrives at `now`, the time since the UNIX epoch. A time before that of the last call
    /// is taken for that time.
    pub fn handle(&mut self, now: Duration, request: &http::Request<Bytes>) -> http::Response<Bytes> {
        self.advance(now);
        let call = Call::read(request);
        let response = respond(self.answer(&call));
        self.requests.push_back(RequestView {
            at: self.now,
            method: call.method,
            target: call.target,
            status: response.status().as_u16(),
        });
        while self.requests.len() > self.config.history {
            self.requests.pop_front();
        }
        response
    }

    /// Lets everything happen that is due by `now`, for the views to be of that time.
    pub fn advance(&mut self, now: Duration) {
        self.now = self.now.max(now);
        for pipeline in &mut self.pipelines {
            pipeline.advance(self.now, &self.config, self.compiler.as_ref(), &mut self.seed);
        }
    }

    fn answer(&mut self, call: &Call) -> Answer {
        if self.now < self.up_at {
            return Err(Refusal::gateway());
        }
        let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
        match (call.method.as_str(), segments.as_slice()) {
            ("GET", ["healthz"]) => return Ok(Reply::json(json!({ "status": "healthy" }))),
            ("GET", ["config", "authentication"]) => return Ok(Reply::json(json!({}))),
            _ => {}
        }
        let Some((&"v0", segments)) = segments.split_first() else { return Err(Refusal::unknown_route()) };
        let role = self.authenticate(call)?;
        check_role(role, needed(&call.method, segments))?;
        match (call.method.as_str(), segments) {
            ("GET", ["config"]) => Ok(Reply::json(self.configuration())),
            ("GET", ["config", "session"]) => Ok(Reply::json(json!({
                "tenant_id": "00000000-0000-0000-0000-000000000000", "tenant_name": "default",
                "role": role.name(), "memberships": [],
            }))),
            ("GET", ["cluster_healthz"]) => Ok(Reply::json(cluster_health(self.now))),
            ("GET", ["api_keys"]) => Ok(self.list_keys()),
            ("POST", ["api_keys"]) => self.post_key(call),
            ("GET", ["api_keys", name]) => self.get_key(name),
            ("DELETE", ["api_keys", name]) => self.delete_key(name),
            ("GET", ["metrics"]) => Ok(self.all_metrics()),
            ("GET", ["pipelines"]) => self.list_pipelines(call),
            ("POST", ["pipelines"]) => self.post_pipeline(call),
            ("POST", ["validate_program"]) => validate_program(call, self.compiler.as_ref()),
            (_, [.., ""]) => Err(Refusal::unknown_route()),
            (method, ["pipelines", name, rest @ ..]) => self.route_pipeline(call, method, name, rest),
            _ => Err(Refusal::unknown_route()),
        }
    }

    fn route_pipeline(&mut self, call: &Call, method: &str, name: &str, rest: &[&str]) -> Answer {
        match (method, rest) {
            ("GET", []) => self.get_pipeline(call, name),
            ("PUT", []) => self.put_pipeline(call, name),
            ("PATCH", []) => self.patch_pipeline(call, name),
            ("DELETE", []) => self.delete_pipeline(name),
            ("POST", ["start"]) => self.start(call, name),
            ("POST", ["stop"]) => self.stop(call, name),
            ("POST", ["pause"]) => self.pause(name),
            ("POST", ["resume"]) => self.resume(name),
            ("POST", ["activate"]) => self.activate(call, name),
            ("POST", ["approve"]) => self.approve(name),
            ("POST", ["clear"]) => self.clear(name),
            ("POST", ["dismiss_error"]) => self.dismiss_error(name),
            ("POST", ["update_runtime"]) => self.update_runtime(name),
            ("POST", ["checkpoint"]) => self.checkpoint(name),
            ("POST", ["checkpoint", "sync"]) => self.sync_checkpoint(name),
            ("GET", ["checkpoint", "sync_status"]) => self.sync_status(call, name),
            ("GET", ["checkpoint_status"]) => self.checkpoint_status(call, name),
            ("GET", ["checkpoints"]) => self.list_checkpoints(name),
            ("GET", ["checkpoints", "remote"]) => self.list_remote_checkpoints(name),
            ("POST", ["start_transaction"]) => self.start_transaction(name),
            ("POST", ["commit_transaction"]) => self.commit_transaction(name),
            ("POST", ["ingress", table]) => self.ingress(call, name, table),
            ("POST", ["egress", view]) => self.egress(call, name, view),
            ("GET", ["query"]) => self.query(call, name),
            ("GET", ["completion_status"]) => self.completion_status(call, name),
            ("GET", ["stats"]) => self.statistics(name),
            ("GET", ["logs"]) => self.logs(name),
            ("GET", ["metrics"]) => self.metrics(call, name),
            ("GET", ["events"]) => self.events(call, name),
            ("GET", ["events", id]) => self.event(call, name, id),
            ("POST", ["diff"]) => self.diff(call, name),
            ("GET", ["time_series"]) => self.time_series(name),
            ("GET", ["time_series_stream"]) => self.time_series_stream(name),
            ("GET", ["support_bundle"]) => self.support_bundle(call, name),
            ("GET", ["circuit_profile"]) => self.circuit_profile(name),
            ("GET", ["circuit_json_profile"]) => self.circuit_json_profile(name),
            ("GET", ["heap_profile"]) => self.heap_profile(name),
            ("GET", ["samply_profile"]) => self.samply_profile(name),
            ("POST", ["samply_profile"]) => self.start_samply_profile(name),
            ("GET", ["tables", table, "connectors", connector, "stats"]) => self.input_status(name, table, connector),
            ("GET", ["tables", table, "connectors", connector, "completion_token"]) => {
                self.input_token(name, table, connector)
            }
            ("POST", ["tables", table, "connectors", connector, action]) => {
                self.control_input(name, table, connector, action)
            }
            ("GET", ["views", view, "connectors", connector, "stats"]) => {
                self.live(name)?;
                Err(Refusal::unknown_output(view, connector))
            }
            // A path of the API, and none of its methods.
            (_, [known]) if KNOWN.contains(known) => Err(Refusal::Denied),
            (_, ["ingress" | "egress", _]) => Err(Refusal::Denied),
            _ => Err(Refusal::unknown_route()),
        }
    }

    /// A pipeline, whatever it does.
    fn find(&mut self, name: &str) -> Result<&mut Pipeline, Refusal> {
        let pipeline = self.pipelines.iter_mut().find(|pipeline| pipeline.name == name);
        pipeline.ok_or_else(|| Refusal::unknown_pipeline(name))
    }

    fn configuration(&self) -> serde_json::Value {
        let edition = if self.config.enterprise { "Enterprise" } else { "Open source" };
        json!({
            "posthog": "", "conceptualhq": "", "product_fruits": "", "edition": edition,
            "version": self.config.version, "revision": "", "runtime_revision": "", "license_validity": null,
            "update_info": null, "unstable_features": null, "changelog_url": "", "build_source": "source",
        })
    }
}

fn cluster_health(now: Duration) -> serde_json::Value {
    let part = |name: &str| {
        let message = format!("Healthy: The {name} service responded successfully to the last health check.");
        let (since, checked) = (object::stamp(Duration::ZERO), object::stamp(now));
        json!({ "healthy": true, "message": message, "unchanged_since": since, "checked_at": checked })
    };
    json!({ "all_healthy": true, "api": part("api"), "compiler": part("compiler"), "runner": part("runner") })
}

const KNOWN: [&str; 28] = [
    "support_bundle",
    "circuit_profile",
    "circuit_json_profile",
    "heap_profile",
    "samply_profile",
    "start",
    "stop",
    "pause",
    "resume",
    "activate",
    "approve",
    "clear",
    "dismiss_error",
    "update_runtime",
    "checkpoint",
    "checkpoint_status",
    "checkpoints",
    "start_transaction",
    "commit_transaction",
    "query",
    "completion_status",
    "stats",
    "logs",
    "time_series",
    "time_series_stream",
    "metrics",
    "events",
    "diff",
];
