//! Feldera's flows: what takes several exchanges.
//!
//! | goal | comes to | saves |
//! |---|---|---|
//! | [`AwaitCompletion`] | what a token covers has gone through | |
//!
//! A flow ends in [`FlowError::Failed`](crate::error::FlowError::Failed) with an [`Interruption`] when the pipeline cannot go
//! on with what it was asked for.

pub mod await_completion;
mod inquiry;
mod interruption;
mod pulse;

pub use await_completion::{AwaitCompletion, Completed};
pub use interruption::Interruption;

use crate::flow::Pace;
