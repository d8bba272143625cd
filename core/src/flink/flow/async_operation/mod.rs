//! Flink's asynchronous operations, from the trigger to the outcome: the goals [`TakeSavepoint`] and
//! [`TriggerCheckpoint`], and what they share with [`StopWithSavepoint`](super::StopWithSavepoint).
//!
//! ```text
//!  fresh ───▶ Trigger ──answered──▶ Poll ◀──▶ Wait
//!               │  ▲                 │ ├─▶ done: the outcome
//!     ambiguous │  │ young, unknown  │ └─▶ failed: the cause
//!               ▼  │                 │
//!  resumed ──▶ Lookup ──known───────▶┤
//!               │                    │ forgotten (404)
//!               └──── unknown ───────┴──▶ Lost ──▶ ambiguous, with what was found
//! ```
//!
//! | state | event | next step |
//! |---|---|---|
//! | Trigger | the response has a trigger id | Poll; saves that the id is acknowledged |
//! | Trigger | outcome unknown | Lookup; an attempt is unanswered from now on |
//! | Trigger | rejected, not sent, out of time | ends with that error; another id is saved for a resumed flow |
//! | Lookup | a status | Poll |
//! | Lookup | unknown id; never acknowledged, no attempt unanswered, and the cluster cannot have forgotten it yet (5 min) | Trigger, same id |
//! | Lookup | unknown id otherwise | Lost |
//! | Poll | in progress | Wait, then Poll |
//! | Poll | completed | the outcome |
//! | Poll | failed because the job is unknown, and an attempt is unanswered | Lost: a first operation of this id may have been carried out |
//! | Poll | unknown id | Lost |
//! | Lookup, Poll | another rejection, no answer | the same state again, until the deadline, or for 90 s without a deadline; then ambiguous |
//! | Lookup, Poll | failed, and every attempt was answered | ends with that error; another id is saved for a resumed flow |
//!
//! Invariants:
//!
//! * A flow uses one trigger id.
//! * It sends the id only if it has seen no answer to it and the server cannot have forgotten it.
//! * It saves the id before the first attempt, and again when the server acknowledges it.

mod goals;
mod machine;

use crate::error::Failure;
use crate::flink::savepoints::{Outcome, Trigger};
use crate::flink::{FlinkRest, JobId, TriggerId};
use crate::flow::SavedState;
use crate::operation::Operation;
use crate::schema::json_structs;
pub use goals::{Savepoint, TakeSavepoint, TriggerCheckpoint};
pub(super) use machine::AsyncOperation;

json_structs! {
    /// What is known of a trigger.
    pub struct TriggerState {
        pub job: JobId,
        /// The trigger id, chosen by this flow.
        pub trigger_id: TriggerId,
        /// When it was first sent, in milliseconds since the epoch, by the client's clock.
        pub since: u64,
        /// Whether the cluster has acknowledged the id. If so, it is never sent again.
        pub acknowledged: bool,
        /// Whether an earlier attempt had got no answer when the id was acknowledged: the operation may be the second
        /// operation of the id.
        pub unanswered: Option<bool>,
        /// Whether the id was never sent: the previous operation failed, and a resumed flow starts another operation.
        pub unsent: Option<bool>,
    }
}

/// A trigger, and what differs between the asynchronous operations. The goals hold it with their options.
pub trait Kind: Operation<Output = Trigger, Service = FlinkRest> + Clone + std::fmt::Debug {
    /// The request for the outcome.
    type Status: Operation<Service = FlinkRest> + std::fmt::Debug;
    /// The result of a success.
    type Value;
    /// The goal's name.
    const NAME: &'static str;
    /// The name of the operation in messages, such as "savepoint".
    const WHAT: &'static str;
    /// Whether the state of the job shows the outcome: a stop is the last action of a job.
    const IS_STOP: bool = false;

    /// Returns the job, and the trigger id if the caller has chosen it.
    fn ids(&self) -> (JobId, Option<TriggerId>);
    /// Creates the request for the outcome of a trigger id.
    fn status(job: JobId, id: TriggerId) -> Self::Status;
    /// Returns the same trigger with another id.
    fn with_id(self, id: TriggerId) -> Self;
    /// Returns the outcome; `None` if the operation is in progress, or has ended without a result and without a cause.
    fn outcome(job: JobId, status: &<Self::Status as Operation>::Output) -> Option<Outcome<Self::Value>>;
    /// Returns whether the operation has ended, with or without success.
    fn is_over(status: &<Self::Status as Operation>::Output) -> bool;
    /// Returns the path of a savepoint that the operation has written although it failed.
    fn left_behind(_status: &<Self::Status as Operation>::Output) -> Option<&str> {
        None
    }
    /// Returns the state to save.
    fn saved(&self, state: &TriggerState) -> SavedState;
    /// Returns whether a failure may be a consequence of a first operation of the same id, or of a restart that hides
    /// what the first operation has done.
    fn is_lost(failure: &Failure) -> bool {
        failure.details.as_deref().unwrap_or_default().contains("FlinkJobNotFoundException")
    }
}

/// The methods that are the same for all triggers, and the request for the outcome with its answer.
macro_rules! trigger_methods {
    ($Status:ident -> $Answer:ty) => {
        type Status = $Status;

        fn ids(&self) -> (JobId, Option<TriggerId>) {
            (self.jobid, self.trigger_id)
        }

        fn with_id(self, id: TriggerId) -> Self {
            self.trigger_id(id)
        }

        fn status(job: JobId, id: TriggerId) -> $Status {
            $Status::new(job, id)
        }

        fn is_over(status: &$Answer) -> bool {
            status.status.id == $crate::flink::jobs::QueueStatus::Completed
        }
    };
}
pub(super) use trigger_methods;
