//! [`ListenerResult`]: what a listener to notices returns.

use std::fmt;

use crate::error::FlowError;
use crate::flow::Notice;

/// What a listener to notices returns: nothing, or a `Result` whose error stops the flow.
///
/// The flow sends [`Notice::Persist`] before the request that must not be sent twice. If the listener returns an error
/// because it cannot save the state, the request is not sent.
///
/// ```
/// # use pipewright::driver::{self, NoCredentials, Runtime};
/// # use pipewright::error::FlowError;
/// # use pipewright::flow::{Flow, Notice, SavedState};
/// # fn store(_: &SavedState) -> std::io::Result<()> { Ok(()) }
/// # fn example<F: Flow>(flow: F, runtime: &impl Runtime) -> Result<F::Output, FlowError> {
/// driver::run(flow, runtime, &NoCredentials, |notice| match notice {
///     Notice::Persist(saved) => store(&saved),
///     notice => Ok(println!("{notice}")),
/// })
/// # }
/// ```
pub trait ListenerResult {
    /// Returns `Ok` if the flow continues.
    ///
    /// # Errors
    /// [`FlowError::Stopped`] with the listener's reason.
    fn verdict(self) -> Result<(), FlowError>;
}

impl ListenerResult for () {
    fn verdict(self) -> Result<(), FlowError> {
        Ok(())
    }
}

impl<E: fmt::Display> ListenerResult for Result<(), E> {
    fn verdict(self) -> Result<(), FlowError> {
        self.map_err(|error| FlowError::Stopped(error.to_string()))
    }
}

/// Ignores a notice, including states to save. Pass it where a listener is required.
///
/// ```
/// # use pipewright::driver::{self, NoCredentials, Runtime};
/// # fn example<F: pipewright::flow::Flow>(flow: F, runtime: &impl Runtime) -> Result<F::Output, pipewright::error::FlowError> {
/// driver::run(flow, runtime, &NoCredentials, driver::ignore_notices)
/// # }
/// ```
pub fn ignore_notices(_notice: Notice) {}
