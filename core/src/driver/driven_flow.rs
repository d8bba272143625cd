//! [`DrivenFlow`]: an event flow with the client that drives it.

use std::fmt;

use super::{Credentials, ListenerResult, Runtime, run_until};
use crate::error::{FlowError, Misuse};
use crate::flow::{Flow, Notice};
use crate::time::Timestamp;

/// An event flow with the client that drives it. Created by [`Client::start`](super::Client::start) and
/// [`Client::start_with`](super::Client::start_with).
///
/// [`next`](Self::next) drives an event flow to its next event. In between, [`flow_mut`](Self::flow_mut) gives access
/// to the flow, for example to push rows.
///
/// ```no_run
/// # use pipewright::driver::Runtime;
/// # use pipewright::flink::{Flink, JobEvent, JobId, WatchJob};
/// # fn example(flink: &Flink<impl Runtime>, job: JobId) -> Result<(), pipewright::error::FlowError> {
/// let mut watch = flink.start(WatchJob::new(job));
/// while let Some(event) = watch.next()? {
///     match event {
///         JobEvent::State(state) => println!("{state}"),
///         event => println!("{event:?}"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "a flow does nothing until it is driven"]
pub struct DrivenFlow<'c, F, R, L = fn(Notice)> {
    flow: F,
    runtime: &'c R,
    credentials: &'c (dyn Credentials + Send + Sync),
    on_notice: L,
    ended: bool,
}

impl<'c, F, R, L> DrivenFlow<'c, F, R, L> {
    pub(super) fn new(flow: F, runtime: &'c R, credentials: &'c (dyn Credentials + Send + Sync), on_notice: L) -> Self {
        Self { flow, runtime, credentials, on_notice, ended: false }
    }

    /// Returns the flow.
    pub fn flow(&self) -> &F {
        &self.flow
    }

    /// Returns the flow, to give it work between two events.
    pub fn flow_mut(&mut self) -> &mut F {
        &mut self.flow
    }

    /// Returns the flow, to drive it in another way.
    pub fn into_flow(self) -> F {
        self.flow
    }

    /// Returns whether [`next`](Self::next) has returned an error, or `None` after the last event.
    ///
    /// Right after the last event this is still `false`: the flow reports its end when it is driven again.
    pub fn has_ended(&self) -> bool {
        self.ended
    }
}

impl<F, R, L, H> DrivenFlow<'_, F, R, L>
where
    F: Flow,
    R: Runtime,
    L: FnMut(Notice) -> H,
    H: ListenerResult,
{
    /// Drives the flow to its next event or to its result. Returns `None` after the last event, and after an error.
    ///
    /// # Errors
    /// The error of the flow; [`FlowError::Stopped`] if the listener returns an error.
    #[expect(clippy::should_implement_trait, reason = "an iterator could not be given work between two events")]
    pub fn next(&mut self) -> Result<Option<F::Output>, FlowError> {
        while !self.ended {
            if let Some(event) = self.next_before(Timestamp::MAX)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// Drives the flow to its next event or to its result. Returns `None` if the flow has nothing to do before `until`,
    /// and after the end: see [`has_ended`](Self::has_ended).
    ///
    /// # Errors
    /// The error of the flow; [`FlowError::Stopped`] if the listener returns an error.
    pub fn next_before(&mut self, until: Timestamp) -> Result<Option<F::Output>, FlowError> {
        if self.ended {
            return Ok(None);
        }
        let result = run_until(&mut self.flow, until, self.runtime, self.credentials, &mut self.on_notice);
        self.ended = result.is_err();
        match result {
            // The last event was returned before.
            Err(FlowError::Misuse(Misuse::PolledAfterDone)) => Ok(None),
            result => result,
        }
    }

    /// Drives the flow without sleeping: it waits only for answers. Returns `None` if there is no event yet, and after
    /// the end.
    ///
    /// # Errors
    /// The error of the flow; [`FlowError::Stopped`] if the listener returns an error.
    pub fn next_ready(&mut self) -> Result<Option<F::Output>, FlowError> {
        self.next_before(Timestamp::UNIX_EPOCH)
    }
}

impl<F: fmt::Debug, R, L> fmt::Debug for DrivenFlow<'_, F, R, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DrivenFlow").field("flow", &self.flow).field("ended", &self.ended).finish_non_exhaustive()
    }
}
