//! Flame graphs: samples of the stacks of the threads that run a vertex's tasks.

use super::{FlinkRest, JobId, Millis, VertexId};
use crate::schema::{json_structs, operations, string_enums};

operations! { FlinkRest;
    /// Returns the flame graph of a vertex.
    ///
    /// The server takes the samples on request, so the first response has no data: see [`state`](FlameGraph::state).
    /// The goal [`SampleFlameGraph`](super::flow::SampleFlameGraph) waits for the samples. The server keeps them for
    /// `rest.flamegraph.refresh-interval` (1 min). Unless `rest.flamegraph.enabled` is set, the response has no data.
    ///
    /// An unknown job, vertex or subtask is rejected with 404.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jobs-jobid-vertices-vertexid-flamegraph).
    Safe GET "/jobs/{jobid}/vertices/{vertexid}/flamegraph" GetFlameGraph "getJobVertexFlameGraph" -> FlameGraph {
        path { jobid: JobId, vertexid: VertexId }
        query? {
            /// Which samples to count; all samples by default.
            kind: FlameGraphKind = "type",
            /// Samples only one subtask, counted from 0. Since 1.17; older servers ignore it.
            subtask: u32 = "subtaskindex",
        }
    }
}

string_enums! {
    /// Which samples a flame graph counts.
    pub enum FlameGraphKind {
        /// All samples.
        Full = "FULL",
        /// Samples of threads that were running.
        OnCpu = "ON_CPU",
        /// Samples of threads that were waiting.
        OffCpu = "OFF_CPU",
    }
}

json_structs! {
    /// A flame graph.
    pub struct FlameGraph {
        /// When sampling ended. A negative number is a code: see [`state`](Self::state).
        pub end_timestamp: Millis = "endTimestamp",
        /// The root. Its children are the first frames of the stacks. `None` if there is no flame graph.
        pub data: Option<FlameNode>,
    }

    /// A frame that several stacks have in common.
    pub struct FlameNode {
        /// Class, method and line, as in `java.lang.Thread.run:840`.
        pub name: Option<String>,
        /// The number of samples with this frame.
        pub value: Option<i64>,
        /// The frames that it called.
        pub children: Vec<FlameNode>,
    }
}

/// Whether a flame graph exists, and otherwise why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlameGraphState {
    /// The flame graph exists.
    Ready,
    /// Samples are being taken: request the flame graph again.
    Sampling,
    /// The job or the vertex has ended.
    Ended,
    /// `rest.flamegraph.enabled` is not set.
    Disabled,
    /// No flame graph exists, for a reason that this version of the library does not know.
    Unavailable,
}

impl FlameGraph {
    /// Returns whether the response has a flame graph, and otherwise why not.
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
