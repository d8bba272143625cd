//! The goal [`SyncCheckpoint`].
//!
//! ```text
//!  Stats ──▶ Status ──▶ Request ──id, saved──▶ Status ◀──▶ Wait ◀── it is new ──┐
//!  the process, and what it told before         │ │ └─▶ done, failed            │
//!                                    resumed ───┘ └─ missed, another process ──▶ Remote ─▶ done, failed, ambiguous
//! ```
//!
//! [`decide`](decide::decide) tells what to do next. The first row that matches applies. U is the checkpoint that is
//! sent.
//!
//! | state | observed | next |
//! |---|---|---|
//! | Stats, before the request | the process | Status |
//! | Status, before the request | the last success and the last failure | Request, after saving |
//! | Request | U | Status, after saving; Stats of a process that takes no id |
//! | Status | `running` names U | Wait: the reported outcome of U is from an earlier attempt |
//! | Status | success = U | done, even if U was sent before the request |
//! | Status | failure = U, and it is not the failure from before the request, or `running` has named U | Remote: it may be the attempt of another client |
//! | Status | failure = U, as before the request, for a minute | Remote: it may be the failure of the newest attempt |
//! | Status | anything else, and `running` has named U | Remote: U is over, and another checkpoint hides its outcome |
//! | Status | another success or failure than at the last listing | Remote: the status has only the newest of each, so U may have ended in between |
//! | Status | anything else, for a minute | Remote |
//! | Status | anything else | Wait |
//! | Status | 400 `IncarnationUuidMismatch` | Remote |
//! | Wait | a process that takes no id, five seconds after its last statistics | Stats |
//! | Wait | | Status |
//! | Stats | another process than before | Remote |
//! | Stats | the same process | Status |
//! | any | 410 `Terminating`, 500 with the code of a panic, 503 until the retries are used up | polls the pipeline for up to 10 s; **ambiguous** with the cause after the request |
//!
//! | why Remote lists the store | the store has U | the store does not have U, or cannot be listed |
//! |---|---|---|
//! | another process answers | done | **ambiguous** |
//! | failure = U | done | failed, with its reason |
//! | U has left `running` | done | **ambiguous** |
//! | success is newer than U, or failure has been newer for a minute | done | **ambiguous**: checkpoints are sent one at a time, in order, so U has ended |
//! | otherwise | done | Wait |
//!
//! Since 0.349 the status has `running`: the checkpoints that are being sent. A checkpoint leaves it at the moment in
//! which it becomes the success or the failure. So the flow can distinguish the outcome of an attempt from an earlier
//! outcome. It cannot distinguish two attempts at the same time, because `running` is a set of ids. Two clients make
//! two attempts, and so does a request that is sent again after its answer was lost. It is unknown whether `running`
//! has requests that wait for another request. While `running` names U, the flow waits without limit, and does not list
//! the store.
//!
//! Before 0.337 a request cannot name the process. Then the flow reads its id from the statistics: before the request,
//! right after it, and every 5 s.
//!
//! Invariants: the flow recognizes U by its id alone. The ids begin with the time, and so show which of two checkpoints
//! is newer. The flow ignores `periodic`, the checkpoints that the process sends by itself: some releases report them
//! too early.

mod decide;
mod goal;
mod machine;

pub use self::goal::{SyncCheckpoint, Synced};
