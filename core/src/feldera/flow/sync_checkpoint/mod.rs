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
//! | Status | `running` names U | Wait: what is told of U is of an earlier attempt |
//! | Status | success = U | done, also when it was sent before |
//! | Status | failure = U, and it is not the failure from before the request, or `running` has named U | Remote: it may be the attempt of another client |
//! | Status | failure = U, as before the request, for a minute | Remote: the newest attempt cannot be told from it |
//! | Status | anything else, and `running` has named U | Remote: U is over, and another checkpoint hides its outcome |
//! | Status | anything else, other than before | Remote: only the last of each kind are told, so that U may have been among them |
//! | Status | anything else, for a minute | Remote |
//! | Status | anything else | Wait |
//! | Status | 400 `IncarnationUuidMismatch` | Remote |
//! | Wait | a process that takes no id, five seconds after its last statistics | Stats |
//! | Wait | | Status |
//! | Stats | another process than before | Remote |
//! | Stats | the same process | Status |
//! | any | 410 `Terminating`, 500 with the code of a panic, 503 for good | polls the pipeline for up to 10 s; **ambiguous** with the cause after the request |
//!
//! | Remote is asked because | U is in the store | it is not, or the store cannot be listed |
//! |---|---|---|
//! | another process answers | done | **ambiguous** |
//! | failure = U | done | failed, with its reason |
//! | U has left `running` | done | **ambiguous** |
//! | success is newer than U, or failure was so a minute ago | done | **ambiguous**: one is sent at a time, in order, so that U is over |
//! | otherwise | done | Wait |
//!
//! Since 0.349 the status has `running`: the checkpoints that are being sent. A checkpoint leaves it at the moment in
//! which it becomes the success or the failure, and it never is both. So the outcome from before an attempt can be told
//! from its own. Two attempts at a time cannot be told apart: `running` is a set of ids. They are those of two clients,
//! or a request that was sent again because its answer was lost. Whether a request that waits for another request is in
//! `running` is not known. While `running` names U, the flow waits, however long that is, and does not list the store.
//!
//! A process that takes no id (before 0.337) is known by its statistics, which are read before the request, right after
//! it, and each 5 s.
//!
//! Invariants: U itself is known by its id alone. Which of two checkpoints is newer is known by their ids, which begin
//! with the time. What the process says that it sent by itself (`periodic`) counts for nothing, because it was said too
//! early by some releases.

mod decide;
mod goal;
mod machine;

pub use self::goal::{SyncCheckpoint, Synced};
