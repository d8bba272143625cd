//! Flame graphs: samples that are taken when a client asks for them.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::cache::Lookup;
use super::errors::{Answer, Rejection, ok};
use super::job::{SINK_ID, VERTICES};
use super::request::{Call, path_id};
use super::wire::millis;

/// From the first question until the samples are taken.
const TAKES: Duration = Duration::from_secs(1);
/// When they are taken again.
const REFRESH: Duration = Duration::from_secs(60);
/// Stacks are cut at this depth (`rest.flamegraph.stack-depth`).
const DEPTH: usize = 100;

/// When samples were asked for last, by job and vertex.
#[derive(Debug, Default)]
pub(super) struct Samples(BTreeMap<(String, String), Duration>);

impl Samples {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn flame_graph(
        &mut self,
        call: &Call,
        job: &str,
        vertex: &str,
        graphs: Lookup<'_>,
        enabled: bool,
    ) -> Answer {
        let id = path_id("jobid", job)?;
        let vertex = path_id("vertexid", vertex)?;
        let kind = call.query("type")?.map_or("FULL".into(), str::to_ascii_uppercase);
        if !["FULL", "ON_CPU", "OFF_CPU"].contains(&&*kind) {
            return Err(Rejection::parameter("query", "type", &kind));
        }
        let subtask = call.query_number("subtaskindex")?;
        let now = graphs.now;
        let (_, job) = graphs.find(&id)?;
        if !job.graph || !VERTICES.contains(&&*vertex) {
            return Err(reject(format!("No vertex with ID '{vertex}' exists.")));
        }
        let parallelism = i64::from(job.each[usize::from(vertex == SINK_ID)]);
        if subtask.is_some_and(|index| !(0..parallelism).contains(&index)) {
            return Err(reject(format!("Invalid subtask index for vertex {vertex}")));
        }
        if job.state.has_ended() || !enabled {
            let why = if enabled { -1 } else { -2 };
            return Ok(ok(json!({ "endTimestamp": why })));
        }
        let asked = self.0.entry((id, vertex)).or_insert(now);
        if now.saturating_sub(*asked) > REFRESH {
            *asked = now;
        }
        let taken = asked.saturating_add(TAKES);
        if now < taken {
            return Ok(ok(json!({ "endTimestamp": -3 })));
        }
        let samples = if subtask.is_some() { 20 } else { 20 * parallelism };
        Ok(ok(json!({ "endTimestamp": millis(taken), "data": stack(samples, &kind) })))
    }
}

/// All samples have the same stack. A thread that waits is never on a CPU.
fn stack(samples: i64, kind: &str) -> Value {
    let node = |name: &str, children: Vec<Value>| json!({ "name": name, "value": samples, "children": children });
    if kind == "ON_CPU" {
        return json!({ "name": "root", "value": 0, "children": [] });
    }
    let mut below = Vec::new();
    for frame in (1..DEPTH).rev() {
        below = vec![node(&format!("demo.Counting.frame{frame}:{frame}"), below)];
    }
    node("root", below)
}

fn reject(message: String) -> Rejection {
    Rejection::handler(
        StatusCode::NOT_FOUND,
        message,
        "org.apache.flink.runtime.rest.handler.job.AbstractJobVertexHandler.handleRequest(AbstractJobVertexHandler.java:90)",
    )
}
