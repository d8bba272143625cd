//! From a path and a method to a handler.

use serde_json::json;

use super::errors::{Answer, Rejection, Reply};
use super::keys::{check_role, needed};
use super::release::Release;
use super::request::Call;
#[cfg(feature = "sql")]
use super::scripting;
use super::{Manager, ROUTES};
use super::{
    checkpoints, data, inputs, introspection, lifecycle, outputs, pipelines, profiles, queries, statistics, streaming,
    upkeep, validation,
};
use crate::routes;

impl Manager {
    pub(super) fn answer(&mut self, call: &Call) -> Answer {
        if self.store.now < self.up_at {
            return Err(Rejection::gateway());
        }
        let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
        match (call.method.as_str(), segments.as_slice()) {
            ("GET", ["healthz"]) => return Ok(Reply::json(json!({ "status": "healthy" }))),
            ("GET", ["config", "authentication"]) => return Ok(Reply::json(json!({}))),
            #[cfg(feature = "sql")]
            ("POST", ["_simulator", "pipelines", name, "views", view, "emit"]) => {
                return scripting::emit(&mut self.store, call, name, view);
            }
            _ => {}
        }
        let Some((&"v0", segments)) = segments.split_first() else {
            let is_missing = is_missing(call, self.store.config.release);
            let missing = is_missing.then(|| Rejection::not_simulated(&call.method, &call.target));
            return Err(missing.unwrap_or_else(Rejection::unknown_route));
        };
        let role = self.keys.authenticate(self.store.config.api_key.as_deref(), call)?;
        if self.store.config.api_key.is_some() {
            check_role(role, needed(&call.method, segments))?;
        }
        let release = self.store.config.release;
        if since(&call.method, segments) > release {
            return Err(Rejection::unknown_route());
        }
        if is_missing(call, release) {
            return Err(Rejection::not_simulated(&call.method, &call.target));
        }
        match (call.method.as_str(), segments) {
            ("GET", ["config"]) => Ok(Reply::json(introspection::configuration(&self.store.config))),
            ("GET", ["config", "session"]) => Ok(Reply::json(introspection::session(&self.store.config, role.name()))),
            ("GET", ["cluster_healthz"]) => Ok(Reply::json(introspection::cluster_health(self.store.now, release))),
            ("GET", ["cluster", "events"]) => introspection::cluster_events(&self.store.config, call),
            ("GET", ["cluster", "events", id]) => introspection::cluster_event(&self.store.config, call, id),
            ("GET", ["api_keys"]) => Ok(self.keys.list(release)),
            ("POST", ["api_keys"]) => self.keys.make(call, release, self.store.now, &mut self.store.seed),
            ("GET", ["api_keys", name]) => self.keys.get(name, release),
            ("DELETE", ["api_keys", name]) => self.keys.delete(name),
            ("GET", ["metrics"]) => Ok(introspection::all_metrics(&self.store)),
            ("GET", ["pipelines"]) => pipelines::list_pipelines(&mut self.store, call),
            ("POST", ["pipelines"]) => pipelines::post_pipeline(&mut self.store, call),
            ("POST", ["validate_program"]) => validation::validate_program(call, release, self.store.compiler.as_ref()),
            (_, [.., ""]) => Err(Rejection::unknown_route()),
            (method, ["pipelines", name, rest @ ..]) => self.route_pipeline(call, method, name, rest),
            _ => Err(Rejection::unknown_route()),
        }
    }

    fn route_pipeline(&mut self, call: &Call, method: &str, name: &str, rest: &[&str]) -> Answer {
        let Self { store, readings, .. } = self;
        match (method, rest) {
            ("GET", []) => pipelines::get_pipeline(store, call, name),
            ("PUT", []) => pipelines::put_pipeline(store, call, name),
            ("PATCH", []) => pipelines::patch_pipeline(store, call, name),
            ("DELETE", []) => pipelines::delete_pipeline(store, name),
            ("POST", ["start"]) => lifecycle::start(store, call, name),
            ("POST", ["stop"]) => lifecycle::stop(store, call, name),
            ("POST", ["pause"]) => lifecycle::pause(store, name),
            ("POST", ["resume"]) => lifecycle::resume(store, name),
            ("POST", ["activate"]) => lifecycle::activate(store, call, name),
            ("POST", ["approve"]) => lifecycle::approve(store, name),
            ("POST", ["clear"]) => lifecycle::clear(store, name),
            ("POST", ["dismiss_error"]) => lifecycle::dismiss_error(store, name),
            ("POST", ["update_runtime"]) => pipelines::update_runtime(store, name),
            ("POST", ["checkpoint"]) => checkpoints::checkpoint(store, name),
            ("POST", ["checkpoint", "sync"]) => checkpoints::sync_checkpoint(store, name),
            ("GET", ["checkpoint", "sync_status"]) => checkpoints::sync_status(store, call, name),
            ("GET", ["checkpoint_status"]) => checkpoints::checkpoint_status(store, call, name),
            ("GET", ["checkpoints"]) => checkpoints::list_checkpoints(store, name),
            ("GET", ["checkpoints", "remote"]) => checkpoints::list_remote_checkpoints(store, name),
            ("POST", ["start_transaction"]) => lifecycle::start_transaction(store, name),
            ("POST", ["commit_transaction"]) => lifecycle::commit_transaction(store, name),
            ("POST", ["ingress", table]) => data::ingress(store, call, name, table),
            ("POST", ["egress", view]) => data::egress(store, readings, call, name, view),
            ("GET", ["query"]) => queries::query(store, call, name),
            ("GET", ["completion_status"]) => inputs::completion_status(store, call, name),
            ("GET", ["stats"]) => statistics::statistics(store, name),
            ("GET", ["logs"]) => readings.logs(store, call, name),
            ("GET", ["metrics"]) => introspection::metrics(store, call, name),
            ("GET", ["events"]) => introspection::events(store, call, name),
            ("GET", ["events", id]) => introspection::event(store, call, name, id),
            ("GET", ["dataflow_graph"]) => validation::dataflow_graph(store, name),
            ("POST", ["rebalance"]) => upkeep::rebalance(store, name),
            ("POST", ["start_compaction"]) => upkeep::start_compaction(store, name),
            ("POST", ["clock", "advance"]) => upkeep::advance_clock(store, call, name),
            ("POST", ["diff"]) => validation::diff(store, call, name),
            ("GET", ["time_series"]) => streaming::time_series(store, name),
            ("GET", ["time_series_stream"]) => readings.time_series(store, name),
            ("GET", ["support_bundle"]) => profiles::support_bundle(store, call, name),
            ("GET", ["circuit_profile"]) => profiles::circuit_profile(store, name),
            ("GET", ["circuit_json_profile"]) => profiles::circuit_json_profile(store, name),
            ("GET", ["heap_profile"]) => profiles::heap_profile(store, name),
            ("GET", ["samply_profile"]) => profiles::samply_profile(store, name),
            ("POST", ["samply_profile"]) => profiles::start_samply_profile(store, name),
            ("GET", ["tables", table, "connectors", connector, "stats"]) => {
                inputs::input_status(store, name, table, connector)
            }
            ("GET", ["tables", table, "connectors", connector, "completion_token"]) => {
                inputs::input_token(store, name, table, connector)
            }
            ("POST", ["tables", table, "connectors", connector, action]) => {
                inputs::control_input(store, name, table, connector, action)
            }
            ("GET", ["views", view, "connectors", connector, "stats"]) => {
                outputs::output_status(store, name, view, connector)
            }
            ("POST", ["views", view, "connectors", connector, "command"]) => {
                outputs::command(store, call, name, view, connector)
            }
            ("POST", ["views", view, "connectors", connector, action]) => {
                outputs::control_output(store, name, view, connector, action)
            }
            // A path of the API, and none of its methods.
            (_, [known]) if KNOWN.contains(known) => Err(Rejection::Denied),
            (_, ["ingress" | "egress", _]) => Err(Rejection::Denied),
            _ => Err(Rejection::unknown_route()),
        }
    }
}

/// Whether it is a route that only real servers have.
fn is_missing(call: &Call, release: Release) -> bool {
    let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
    routes::find_missing(ROUTES, &release.numbers(), &call.method, &segments).is_some()
}

/// The first release of the simulator that has a route.
fn since(method: &str, segments: &[&str]) -> Release {
    match (method, segments) {
        (_, ["pipelines", _, rest @ ..]) => since_of_pipeline(method, rest),
        (_, ["config" | "api_keys" | "metrics" | "pipelines"] | ["config", "demos"] | ["api_keys", _]) => {
            Release::V0_130
        }
        _ => Release::V0_337,
    }
}

fn since_of_pipeline(method: &str, rest: &[&str]) -> Release {
    match (method, rest) {
        // Served before it was described.
        ("POST", ["views", _, "connectors", _, "command"]) => Release::V0_337,
        ("POST", ["views", _, "connectors", _, _]) => Release::V0_375,
        (_, [] | ["ingress" | "egress", _] | ["tables" | "views", ..] | ["checkpoint", "sync" | "sync_status"]) => {
            Release::V0_130
        }
        (_, [first]) if FIRST.contains(first) => Release::V0_130,
        _ => Release::V0_337,
    }
}

/// What 0.130 has behind the name of a pipeline.
const FIRST: [&str; 18] = [
    "checkpoint",
    "checkpoint_status",
    "circuit_profile",
    "clear",
    "commit_transaction",
    "completion_status",
    "heap_profile",
    "logs",
    "metrics",
    "pause",
    "query",
    "start",
    "start_transaction",
    "stats",
    "stop",
    "support_bundle",
    "time_series",
    "time_series_stream",
];

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
