//! The goal [`SampleFlameGraph`].
//!
//! ```text
//!  Poll ──▶ the flame graph ──▶ done
//!   ▲ └───▶ ended, or switched off ──▶ failed
//!   └── Wait ◀── samples are being taken
//! ```

use std::ops::ControlFlow;
use std::time::Duration;

use super::PollInterval;
use crate::error::FlowError;
use crate::flink::flamegraph::{FlameGraph, FlameGraphKind, FlameGraphState, GetFlameGraph};
use crate::flink::{FlinkRest, JobId, VertexId};
use crate::flow::{Call, FlowContext, StateMachine, Transition, done, goal};
use crate::time::Timestamp;

/// Requests the flame graph of a vertex, and waits until the cluster has taken its samples (5 s by default).
///
/// The flame graph may be up to `rest.flamegraph.refresh-interval` (1 min by default) old.
///
/// # Errors
/// * [`FlowError::Service`] if the cluster does not know the job, the vertex or the subtask.
/// * [`FlowError::Failed`] if the job has ended, or if `rest.flamegraph.enabled` is not set on the cluster.
/// * [`FlowError::Deadline`] if the [`timeout`](Self::timeout) expires.
///
/// ```
/// use pipewright::flink::{JobId, SampleFlameGraph, VertexId};
/// use pipewright::flink::flamegraph::FlameGraphKind;
/// let job: JobId = "4c7e6f1c8d3b0a5fd2e19a7b3c8d4e5f".parse()?;
/// let vertex: VertexId = "b71731f1c0df9c3076c4a455334d0ad6".parse()?;
/// let goal = SampleFlameGraph::new(job, vertex).kind(FlameGraphKind::OnCpu);
/// # Ok::<(), pipewright::error::BuildError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct SampleFlameGraph {
    ask: GetFlameGraph,
    timeout: Option<Duration>,
}

impl SampleFlameGraph {
    /// Samples all threads of a vertex.
    pub fn new(job: JobId, vertex: VertexId) -> Self {
        Self { ask: GetFlameGraph::new(job, vertex), timeout: None }
    }

    /// Sets which samples to count; all samples by default.
    pub fn kind(mut self, kind: FlameGraphKind) -> Self {
        self.ask = self.ask.kind(kind);
        self
    }

    /// Samples only one subtask, counted from 0. Since 1.17.
    pub fn subtask(mut self, index: u32) -> Self {
        self.ask = self.ask.subtask(index);
        self
    }
}

/// The transitions of [`SampleFlameGraph`].
#[derive(Debug)]
pub struct FlameMachine {
    ask: GetFlameGraph,
    pace: PollInterval,
    state: State,
}

#[derive(Debug)]
enum State {
    Start,
    Poll(Call<GetFlameGraph>),
    Wait(Timestamp),
}

impl FlameMachine {
    fn failed(&self, reason: &str) -> FlowError {
        let what = format!("flame graph of vertex {} of job {}", self.ask.vertexid, self.ask.jobid);
        FlowError::failed(what, reason.to_owned())
    }
}

impl StateMachine for FlameMachine {
    type Service = FlinkRest;
    type Output = FlameGraph;
    const NAME: &'static str = "SampleFlameGraph";

    fn transition(&mut self, cx: &mut FlowContext<FlinkRest>) -> Transition<FlameGraph> {
        match &mut self.state {
            State::Start => self.state = State::Poll(cx.call(self.ask.clone())),
            State::Poll(call) => match cx.poll(call)? {
                Ok(graph) => match graph.state() {
                    FlameGraphState::Ready => return done(Ok(graph)),
                    FlameGraphState::Sampling => self.state = State::Wait(self.pace.next(cx.now())),
                    FlameGraphState::Ended => {
                        return done(Err(self.failed("the job or the vertex has ended")));
                    }
                    FlameGraphState::Disabled => {
                        return done(Err(self.failed("rest.flamegraph.enabled is not set on the cluster")));
                    }
                    FlameGraphState::Unavailable => {
                        let reason = format!(
                            "the cluster has no samples, and reports the unknown code {}",
                            graph.end_timestamp.0
                        );
                        return done(Err(self.failed(&reason)));
                    }
                },
                Err(error) => return done(Err(error)),
            },
            State::Wait(until) => {
                cx.wait(*until, "samples to be taken")?;
                self.state = State::Start;
            }
        }
        ControlFlow::Continue(())
    }
}

impl From<SampleFlameGraph> for FlameMachine {
    fn from(goal: SampleFlameGraph) -> Self {
        FlameMachine { ask: goal.ask, pace: PollInterval::START, state: State::Start }
    }
}

goal!(SampleFlameGraph: FlinkRest => FlameGraph, FlameMachine);
