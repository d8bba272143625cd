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
//! | state | event | next |
//! |---|---|---|
//! | Trigger | an id | Poll; acknowledged is saved |
//! | Trigger | ambiguous | Lookup; an attempt is unanswered from now on |
//! | Trigger | rejected, not sent, out of time | that error; another id is saved for a resumption |
//! | Lookup | a status | Poll |
//! | Lookup | unknown; never acknowledged, no attempt unanswered, and younger than results are kept | Trigger, same id |
//! | Lookup | unknown otherwise | Lost |
//! | Poll | in progress | Wait, then Poll |
//! | Poll | completed | the outcome |
//! | Poll | failed because the job is unknown, and an attempt is unanswered | Lost: a first operation of this id may have been carried out |
//! | Poll | unknown | Lost |
//! | Lookup, Poll | another rejection, no answer | the same again, until the deadline, or for 90 s without one; then ambiguous |
//! | Lookup, Poll | failed, and every attempt was answered | that error; another id is saved for a resumption |
//!
//! Invariants: one id; sent only while no answer to it was seen and the server could not have forgotten it; saved
//! before it is sent for the first time, and again when it is acknowledged.

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
        /// The id, chosen by us.
        pub trigger_id: TriggerId,
        /// When it was first sent, in milliseconds since the epoch, by our clock.
        pub since: u64,
        /// Whether the cluster has answered for it; it is then never sent again.
        pub acknowledged: bool,
        /// Whether an earlier attempt had got no answer by then: the operation may be the second operation of the id.
        pub unanswered: Option<bool>,
        /// Whether it was never sent: the operation before it failed, and a resumption starts another operation.
        pub unsent: Option<bool>,
    }
}

/// A trigger, and what differs between the asynchronous operations. The goals hold it with their options.
pub trait Kind: Operation<Output = Trigger, Service = FlinkRest> + Clone + std::fmt::Debug {
    /// The request for the outcome.
    type Status: Operation<Service = FlinkRest> + std::fmt::Debug;
    /// What a success brings.
    type Value;
    /// The goal's name.
    const NAME: &'static str;
    /// What it makes, for messages.
    const WHAT: &'static str;
    /// Whether the state of the job shows the outcome: a stop is the last action of a job.
    const IS_STOP: bool = false;

    /// The job, and the trigger id if the caller has chosen it.
    fn ids(&self) -> (JobId, Option<TriggerId>);
    /// The request for the outcome with an id.
    fn status(job: JobId, id: TriggerId) -> Self::Status;
    /// The same trigger with another id.
    fn with_id(self, id: TriggerId) -> Self;
    /// `None` while it is in progress, or over with nothing to tell.
    fn outcome(job: JobId, status: &<Self::Status as Operation>::Output) -> Option<Outcome<Self::Value>>;
    /// Whether it has ended, with or without success.
    fn is_over(status: &<Self::Status as Operation>::Output) -> bool;
    /// The path of a savepoint that it has written although it failed.
    fn left_behind(_status: &<Self::Status as Operation>::Output) -> Option<&str> {
        None
    }
    /// What to save.
    fn saved(&self, state: &TriggerState) -> SavedState;
    /// Whether a failure may come from what a first operation of the same id has done to the job, or from a restart
    /// that hides what the first operation has done.
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
