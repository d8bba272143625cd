//! [`Notice`]: what a flow tells its caller before it ends.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{FlowError, Misuse};
use crate::operation::OperationInfo;
use crate::schema::json_structs;
use crate::time::Timestamp;

/// What a flow tells its caller before it ends: for progress bars and logs, and to resume after a crash.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Notice {
    /// A request is about to be sent.
    #[non_exhaustive]
    Sending {
        /// The operation: its name, method and path template.
        operation: &'static OperationInfo,
        /// The number of earlier attempts.
        attempt: u32,
    },
    /// A response came, and the call ends with it.
    #[non_exhaustive]
    Answered {
        /// The operation: its name, method and path template.
        operation: &'static OperationInfo,
        /// The number of earlier attempts.
        attempt: u32,
        /// The status of the response.
        status: StatusCode,
        /// The time since the request was sent.
        elapsed: Duration,
    },
    /// An attempt failed, and the flow will make another attempt.
    #[non_exhaustive]
    Retrying {
        /// The operation: its name, method and path template.
        operation: &'static OperationInfo,
        /// The number of attempts before the failed attempt.
        attempt: u32,
        /// The time since the request, or the request for a credential, was sent.
        elapsed: Duration,
        /// The error of the attempt.
        cause: Arc<FlowError>,
        /// When the next attempt follows.
        at: Timestamp,
    },
    /// The flow enters another phase.
    #[non_exhaustive]
    Phase {
        /// The flow, as in `UpgradeJob`.
        flow: &'static str,
        /// A description of what it does now.
        phase: &'static str,
        /// The number of the phase, from 1. It goes back if the flow repeats a phase.
        index: u32,
        /// How many phases the flow has at most; 0 if they are not numbered.
        total: u32,
    },
    /// The flow observed something to show, such as the state of a job.
    #[non_exhaustive]
    Observed {
        /// What was observed, as in `job 4c7e…`.
        what: String,
        /// Its state.
        state: String,
    },
    /// A state to save **before the next poll**, if the flow is to be resumed after a crash.
    Persist(SavedState),
}

impl Notice {
    /// Creates a [`Notice::Observed`], for a flow of your own.
    pub fn observed(what: impl Into<String>, state: impl Into<String>) -> Self {
        Self::Observed { what: what.into(), state: state.into() }
    }

    /// Creates a [`Notice::Phase`] without numbers, for a flow of your own.
    pub fn phase(flow: &'static str, phase: &'static str) -> Self {
        Self::numbered_phase(flow, phase, &[])
    }

    /// Creates a phase with its place in the list of the flow's phases.
    pub(crate) fn numbered_phase(flow: &'static str, phase: &'static str, phases: &[&str]) -> Self {
        let index = phases.iter().position(|listed| *listed == phase).map_or(0, |place| place + 1);
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let total = if index == 0 { 0 } else { number(phases.len()) };
        Self::Phase { flow, phase, index: number(index), total }
    }
}

json_structs! {
    /// The state of a flow between two exchanges, small and serialisable.
    ///
    /// Only the flow's `resume` reads its content. It may contain the arguments and the configuration of a program:
    /// protect it like those. `Debug` does not show it.
    ///
    /// ```
    /// use pipewright::flow::SavedState;
    /// let text = r#"{"flow":"TakeSavepoint","state":"{}"}"#;
    /// let saved: SavedState = serde_json::from_str(text)?;
    /// assert_eq!(saved.flow, "TakeSavepoint");
    /// assert_eq!(serde_json::to_string(&saved)?, text);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub struct SavedState {
        /// The flow that can be resumed from it.
        pub flow: String,
        /// JSON, as text.
        pub state: String = "state" (private),
    }
}

impl SavedState {
    pub(crate) fn new<T: Serialize>(flow: &'static str, state: &T) -> Self {
        // The states of this crate are plain records, which serialise without a failure.
        Self { flow: flow.to_owned(), state: serde_json::to_string(state).unwrap_or_default() }
    }

    pub(crate) fn read<T: DeserializeOwned>(&self, flow: &'static str) -> Result<T, FlowError> {
        let wrong = FlowError::Misuse(Misuse::WrongState);
        if self.flow == flow { crate::json::read(self.state.as_bytes()).map_err(|_| wrong) } else { Err(wrong) }
    }
}

/// One line, for logs.
impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sending { operation, attempt: 0 } => write!(f, "sending {}", operation.name),
            Self::Sending { operation, attempt } => {
                write!(f, "sending {}, attempt {}", operation.name, attempt.saturating_add(1))
            }
            Self::Answered { operation, status, .. } => write!(f, "{} answered {}", operation.name, status.as_u16()),
            Self::Retrying { operation, cause, at, .. } => write!(f, "{} again at {at}: {cause}", operation.name),
            Self::Phase { flow, phase, .. } => write!(f, "{flow}: {phase}"),
            Self::Observed { what, state } => write!(f, "{what}: {state}"),
            Self::Persist(saved) => write!(f, "{}: state to save", saved.flow),
        }
    }
}
