//! [`SentRows`]: whether the rows of a delivery that failed were ingested.

use std::error::Error;
use std::fmt;

use crate::error::{Failure, FlowError};
use crate::feldera::data::{CompletionToken, HttpInput};
use crate::feldera::flow::Interruption;
use crate::operation::Operation as _;

/// Whether the rows of an [`AwaitDelivery`](super::AwaitDelivery) that failed were ingested.
///
/// ```
/// use pipewright::error::{Applied, FlowError};
/// use pipewright::feldera::SentRows;
///
/// /// Whether sending the rows again adds no row twice.
/// fn can_repeat(error: &FlowError) -> bool {
///     match SentRows::of(error) {
///         Some(rows) => *rows == SentRows::NotIngested,
///         None => error.service().is_some_and(|rejection| rejection.applied() == Applied::No),
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SentRows {
    /// No row was ingested. Subscribe again, then repeat the goal.
    NotIngested,
    /// Some or all rows may have been ingested. If the table has a primary key, send them again.
    Unconfirmed,
    /// All rows were ingested. If the process was restarted since, they are lost unless a checkpoint or fault tolerance
    /// kept them. Otherwise do not send them again: if the table has no primary key, that doubles them.
    #[non_exhaustive]
    Ingested {
        /// The token of the rows.
        token: CompletionToken,
        /// Whether the token was complete: the rows were processed.
        is_processed: bool,
    },
}

impl SentRows {
    /// Returns whether the rows were ingested, from an error of [`AwaitDelivery`](super::AwaitDelivery). `None` if the
    /// request with the rows was rejected: see [`applied`](crate::error::ServiceError::applied).
    pub fn of(error: &FlowError) -> Option<&Self> {
        error.evidence::<Known>().map(|known| &known.rows)
    }

    /// Adds this to the error that a flow ends with.
    pub(super) fn add_to(&self, error: FlowError) -> FlowError {
        let (rows, interruption) = (self.clone(), Interruption::of(&error).cloned());
        match error {
            FlowError::Service(rejection) if rejection.operation() == HttpInput::INFO.name => rejection.into(),
            FlowError::Failed(failure) => {
                let reason = format!("{}; {rows}", failure.reason);
                FlowError::Failed(Failure { reason, ..failure }).with_evidence(Known { rows, interruption })
            }
            error => error.with_evidence(Known { rows, interruption: None }),
        }
    }

    pub(super) fn token(&self) -> Option<&CompletionToken> {
        match self {
            Self::Ingested { token, .. } => Some(token),
            _ => None,
        }
    }
}

impl fmt::Display for SentRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotIngested => "no row was ingested",
            Self::Unconfirmed => "the rows may or may not have been ingested",
            Self::Ingested { is_processed: false, .. } => "the rows were ingested",
            Self::Ingested { is_processed: true, .. } => "the rows were ingested and processed",
        })
    }
}

/// The evidence: the rows, and what came between.
#[derive(Debug)]
struct Known {
    rows: SentRows,
    interruption: Option<Interruption>,
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rows.fmt(f)
    }
}

impl Error for Known {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.interruption.as_ref().map(|interruption| interruption as &(dyn Error + 'static))
    }
}
