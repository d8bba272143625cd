//! Flame graphs: what the threads of a vertex's tasks are doing, by samples of their stacks.

use super::{FlinkRest, JobId, Millis, VertexId};
use crate::schema::{json_structs, operations, string_enums};

operations! { FlinkRest;
    /// What the threads of a vertex are doing. The server takes samples on request: see [`state`](FlameGraph::state),
    /// and [`SampleFlameGraph`](super::flow::SampleFlameGraph) for waiting. They are kept for
    /// `rest.flamegraph.refresh-interval` (1 min).
    ///
    /// Answers without data unless `rest.flamegraph.enabled` is set. Rejected with 404: an unknown job, vertex or
    /// subtask.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-vertices-vertexid-flamegraph).
    Safe GET "/jobs/{jobid}/vertices/{vertexid}/flamegraph" GetFlameGraph "getJobVertexFlameGraph" -> FlameGraph {
        path { jobid: JobId, vertexid: VertexId }
        query? {
            /// Which samples to count; all of them by default.
            kind: FlameGraphKind = "type",
            /// Only of one subtask, from 0. Since 1.17; older servers ignore it.
            subtask: u32 = "subtaskindex",
        }
    }
}

string_enums! {
    /// Which samples a flame graph counts.
    pub enum FlameGraphKind {
        /// All of them.
        Full = "FULL",
        /// Those of threads that ran.
        OnCpu = "ON_CPU",
        /// Those of threads that waited.
        OffCpu = "OFF_CPU",
    }
}

json_structs! {
    /// What threads were doing.
    pub struct FlameGraph {
        /// When sampling ended; negative for what [`state`](Self::state) says.
        pub end_timestamp: Millis = "endTimestamp",
        /// The root; its children are what the stacks begin with.
        pub data: Option<FlameNode>,
    }

    /// A frame of stacks that are the same up to here.
    pub struct FlameNode {
        /// Class, method and line, as in `java.lang.Thread.run:840`.
        pub name: Option<String>,
        /// In how many samples.
        pub value: Option<i64>,
        /// What it called.
        pub children: Vec<FlameNode>,
    }
}

/// Whether there is a flame graph, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlameGraphState {
    /// Here it is.
    Ready,
    /// Samples are being taken: ask again.
    Sampling,
    /// The job or the vertex has ended.
    Ended,
    /// `rest.flamegraph.enabled` is not set.
    Disabled,
    /// No flame graph exists, for a reason that this version of the library does not know.
    Unavailable,
}

impl FlameGraph {
    /// Whether it is there.
    pub fn state(&self) -> FlameGraphState {
        match self.end_timestamp.0 {
            0.. => FlameGraphState::Ready,
            -1 => FlameGraphState::Ended,
            -2 => FlameGraphState::Disabled,
            -3 => FlameGraphState::Sampling,
            _ => FlameGraphState::Unavailable,
        }
    }
}
