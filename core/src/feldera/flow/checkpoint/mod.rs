//! The goal [`Checkpoint`].
//!
//! ```text
//!  Stats: Before ──▶ Request ──number, saved──▶ Status ◀──▶ Wait ◀──▶ Stats: Watch, each 5 s
//!    ▲                 │ no answer                │ └─▶ done, failed
//!    └─────────────────┘         resumed ─────────┘
//! ```
//!
//! [`decide`](decide::decide) decides what to do next. The first row that matches applies. N is the number of the
//! requested checkpoint.
//!
//! | state | observed | next |
//! |---|---|---|
//! | Stats: Before | the process | Request, after saving |
//! | Request | the number N | Status, after saving |
//! | Request | no answer | Stats: Before, up to five times: any later checkpoint is good enough, and the process answers all waiting requests with one checkpoint |
//! | Request | no answer, and the next request cannot be sent, is rejected, or exceeds the timeout | **ambiguous**: the checkpoint may have been made |
//! | Request | 501 | failed: the open-source edition has no checkpoints |
//! | Status | done or failed by a row below, and the process takes no id | Stats: Confirm |
//! | Status | success ≥ N | done: the durable state is at least as new |
//! | Status | failure = N | failed, with its reason |
//! | Status | failure > N | failed: a later failure hides the outcome of N, and no newer checkpoint succeeded |
//! | Status | none of these, and the process reports no activity | failed: the status will not change any more |
//! | Status | none of these: N waits or is being made | Wait |
//! | Status | 400 `IncarnationUuidMismatch` | **ambiguous**: another process counts from 0 again |
//! | Wait | five seconds after the last statistics | Stats: Watch |
//! | Wait | | Status |
//! | Stats: Watch, Confirm | another process | **ambiguous** |
//! | Stats: Watch | the same process | Status |
//! | Stats: Confirm | the same process | the outcome that the status has shown |
//! | any | 410 `Terminating`, 500 with the code of a panic, 503 until the retries are used up | polls the pipeline for up to 10 s; **ambiguous** with the cause if N is known |
//!
//! Invariants: the success is checked first, because the server never clears a failure. A number is compared only with
//! the status of the process that assigned it.

mod decide;
mod goal;
mod machine;

pub use self::goal::{Checkpoint, Checkpointed};
