//! [`Event`]: an exchange or an incident of a world.

use std::fmt;
use std::time::Duration;

use http::{Method, StatusCode, Uri};
use pipewright::Timestamp;
use pipewright::error::{Delivery, TransportErrorKind};

use crate::fault::Fault;

/// Something that happened in a [`World`](crate::World), and when. `Display` is one line.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When the event ended.
    pub at: Timestamp,
    /// What happened.
    pub what: Incident,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Incident {
    /// An exchange ended with an answer or a failure.
    Exchange {
        /// The number of the exchange, counted from 1.
        number: u64,
        /// The vendor's name of the operation.
        operation: &'static str,
        /// The request's method.
        method: Method,
        /// The request's target.
        uri: Uri,
        /// When it was sent.
        sent: Timestamp,
        /// When the service carried it out; `None` if it had not done so by then.
        applied: Option<Timestamp>,
        /// The answer or the failure.
        outcome: Outcome,
        /// The injected fault; `None` without a fault.
        fault: Option<Fault>,
    },
    /// The service carried a request out after the flow had seen a timeout.
    Late {
        /// The number of the exchange.
        number: u64,
        /// The vendor's name of the operation.
        operation: &'static str,
    },
    /// The clock moved forward without an answer.
    Wait {
        /// The time before.
        from: Timestamp,
    },
    /// A service failed and starts again.
    Restart {
        /// Scheme, host and port.
        service: String,
        /// How long it is down.
        downtime: Duration,
    },
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer with this status.
    Answer(StatusCode),
    /// No answer.
    Failure(TransportErrorKind, Delivery),
}

impl Event {
    /// Returns the fault that was injected into an exchange; `None` for other events, and without a fault.
    pub fn fault(&self) -> Option<Fault> {
        match self.what {
            Incident::Exchange { fault, .. } => fault,
            _ => None,
        }
    }

    /// Returns the vendor's name of an exchange's operation; `None` for other events.
    pub fn operation(&self) -> Option<&'static str> {
        match self.what {
            Incident::Exchange { operation, .. } | Incident::Late { operation, .. } => Some(operation),
            _ => None,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.at)?;
        match &self.what {
            Incident::Exchange { number, method, uri, sent, outcome, fault, .. } => {
                write!(f, "#{number} {method} {uri}: {outcome} after {:?}", self.at.since(*sent))?;
                fault.map_or(Ok(()), |fault| write!(f, " [{fault}]"))
            }
            Incident::Late { number, operation } => write!(f, "#{number} {operation} arrived late and was applied"),
            Incident::Wait { from } => write!(f, "waited {:?}", self.at.since(*from)),
            Incident::Restart { service, downtime } => write!(f, "{service} restarts, down for {downtime:?}"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(status) => write!(f, "{}", status.as_u16()),
            Self::Failure(kind, Delivery::NotSent) => write!(f, "{kind:?}, not sent"),
            Self::Failure(kind, Delivery::Unknown) => write!(f, "{kind:?}, outcome unknown"),
        }
    }
}
