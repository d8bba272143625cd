//! Transactions, checkpoints and connectors, case by case, with what a real Feldera answered.

mod checkpoint;
mod connectors;
mod ending;
mod starting;
mod sync;
mod transaction;
mod transaction_idle;

use pipewright::error::FlowError;
use pipewright::feldera::{Feldera, FelderaApi};
use pipewright::flow::{Goal, Notice, SavedState};
use pipewright_mock::Script;
use pipewright_tests::recorded::feldera;
use serde_json::{Value, json};

const STATS: &str = "/v0/pipelines/p/stats";
const START: &str = "/v0/pipelines/p/start_transaction";
const COMMIT: &str = "/v0/pipelines/p/commit_transaction";
const CHECKPOINT: &str = "/v0/pipelines/p/checkpoint";

fn base() -> pipewright::Base {
    "http://feldera.test".parse().expect("a base")
}

fn recorded(script: Script, method: &str, target: &str, name: &str) -> Script {
    let (status, body) = feldera(name);
    script.expect(method, target).reply_json(status, body)
}

/// Statistics as recorded, changed.
fn stats(change: impl FnOnce(&mut Value)) -> String {
    let mut body: Value = serde_json::from_str(&feldera("stats_after_transaction").1).expect("JSON");
    change(&mut body);
    body.to_string()
}

fn restarted() -> String {
    stats(|body| body["global_metrics"]["incarnation_uuid"] = json!("another"))
}

fn looked(script: Script, body: &str) -> Script {
    script.expect("GET", STATS).reply_json(200, body)
}

fn calm(script: Script) -> Script {
    recorded(script, "GET", STATS, "stats_after_transaction")
}

fn run<G: Goal<Service = FelderaApi>>(script: &Script, goal: G) -> (Result<G::Output, FlowError>, Vec<SavedState>) {
    let mut saved = Vec::new();
    let result = Feldera::new(base(), script.clone()).run_with(goal, |notice| {
        if let Notice::Persist(state) = notice {
            saved.push(state);
        }
    });
    (result, saved)
}
