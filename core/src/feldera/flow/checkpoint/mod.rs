//! The goal [`Checkpoint`].
//!
//! ```text
//!  Stats: Before ──▶ Request ──number, saved──▶ Status ◀──▶ Wait ◀──▶ Stats: Watch, each 5 s
//!    ▲                 │ no answer                │ └─▶ done, failed
//!    └─────────────────┘         resumed ─────────┘
//! ```
//!
//! [`decide`](decide::decide) tells what to do next. The first row that matches applies. N is the number of the
//! requested checkpoint.
//!
//! | state | observed | next |
//! |---|---|---|
//! | Stats: Before | the process | Request, after saving |
//! | Request | the number N | Status, after saving |
//! | Request | no answer | Stats: Before, up to five times: another checkpoint does as well, and those that wait together are one |
//! | Request | no answer, and it cannot be sent again, or that is rejected, or the time is up | **ambiguous**: it may have been made |
//! | Request | 501 | failed: the open-source edition has no checkpoints |
//! | Status | done or failed by a row below, and the process takes no id | Stats: Confirm |
//! | Status | success ≥ N | done: what is durable is at least as new |
//! | Status | failure = N | failed, with its reason |
//! | Status | failure > N | failed: a later failure hides what became of N, and nothing newer succeeded |
//! | Status | none of these, and the process says that it has nothing to do | failed: that will not change any more |
//! | Status | none of these: it waits or is being made | Wait |
//! | Status | 400 `IncarnationUuidMismatch` | **ambiguous**: another process counts from 0 again |
//! | Wait | five seconds after the last statistics | Stats: Watch |
//! | Wait | | Status |
//! | Stats: Watch, Confirm | another process | **ambiguous** |
//! | Stats: Watch | the same process | Status |
//! | Stats: Confirm | the same process | the end that the status has told |
//! | any | 410 `Terminating`, 500 with the code of a panic, 503 for good | polls the pipeline for up to 10 s; **ambiguous** with the cause if there is an N |
//!
//! Invariants: the success decides first, because a failure is never forgotten. A number is compared only with what the
//! process says that gave it.

mod decide;
mod goal;
mod machine;

pub use self::goal::{Checkpoint, Checkpointed};
