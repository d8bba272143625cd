//! [`UnknownOutcome`]: what a flow had requested when it ended without knowing the outcome.

use std::error::Error;
use std::fmt;

use crate::error::FlowError;

/// What a flow had requested when it ended without knowing the outcome: the [evidence](FlowError::evidence) of
/// [`FlowError::Ambiguous`].
///
/// ```
/// use pipewright::error::FlowError;
/// use pipewright::feldera::UnknownOutcome;
///
/// fn number(error: &FlowError) -> Option<u64> {
///     match UnknownOutcome::of(error)? {
///         UnknownOutcome::Checkpoint { number, .. } => Some(*number),
///         _ => None,
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnknownOutcome {
    /// A checkpoint was requested, and its outcome was never reported.
    Checkpoint {
        /// The number of the checkpoint, counted from 0 in each process.
        number: u64,
        /// The `incarnation_uuid` of the process that counts. `None` if the server does not report it.
        process: Option<String>,
    },
    /// A checkpoint was being copied to the object store.
    Sync {
        /// The UUID of the checkpoint.
        checkpoint: String,
    },
    /// A transaction was started.
    Transaction {
        /// The id of the transaction.
        id: i64,
    },
}

impl UnknownOutcome {
    /// Returns what an error carries; `None` if the error has no such evidence.
    pub fn of(error: &FlowError) -> Option<&Self> {
        error.evidence()
    }

    /// Adds it to an error whose outcome is unknown; returns other errors unchanged.
    pub(super) fn add_to(self, error: FlowError) -> FlowError {
        if error.is_ambiguous() { error.with_evidence(self) } else { error }
    }
}

impl fmt::Display for UnknownOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoint { number, .. } => write!(f, "checkpoint {number} was requested"),
            Self::Sync { checkpoint } => write!(f, "checkpoint {checkpoint} was being copied to the object store"),
            Self::Transaction { id } => write!(f, "transaction {id} was started"),
        }
    }
}

impl Error for UnknownOutcome {}
