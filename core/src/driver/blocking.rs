//! The drivers for blocking transports.

use bytes::Bytes;
use http::Response;

use super::credentials::authorize;
use super::{Credentials, ListenerResult, Opened, Runtime, Stream};
use crate::error::{Delivery, FlowError, Misuse, TransportError, TransportErrorKind};
use crate::flow::{Flow, Notice, Step};
use crate::time::Timestamp;

/// Runs a flow to its result, blocking; an event flow to its next event. Each notice is given to `on_notice` before the
/// flow continues.
///
/// # Errors
/// The error of the flow; [`FlowError::Stopped`] if the listener returns an error.
pub fn run<F: Flow, H: ListenerResult>(
    mut flow: F,
    runtime: &(impl Runtime + ?Sized),
    credentials: &dyn Credentials,
    mut on_notice: impl FnMut(Notice) -> H,
) -> Result<F::Output, FlowError> {
    loop {
        if let Some(output) = run_until(&mut flow, Timestamp::MAX, runtime, credentials, &mut on_notice)? {
            return Ok(output);
        }
    }
}

/// Runs a flow until it has a result or an event. Returns `None` if it has nothing to do before `until`.
///
/// Use it for event flows that get work in between, such as a `snowpipe::Writer`. If `until` has passed, the flow does
/// what it can do at once. The driver waits for the answer to each exchange that it sends before `until`.
///
/// # Errors
/// The error of the flow; [`FlowError::Stopped`] if the listener returns an error.
pub fn run_until<F: Flow, H: ListenerResult>(
    flow: &mut F,
    until: Timestamp,
    runtime: &(impl Runtime + ?Sized),
    credentials: &dyn Credentials,
    mut on_notice: impl FnMut(Notice) -> H,
) -> Result<Option<F::Output>, FlowError> {
    let mut reply = None;
    loop {
        let now = runtime.now();
        match flow.poll(now, reply.take()) {
            Step::Send(exchange) if exchange.is_streaming() => return Err(FlowError::Misuse(Misuse::WrongMethod)),
            Step::Send(exchange) => {
                let answer = runtime.send(&exchange);
                reply = Some(exchange.settle(answer));
            }
            Step::Authorize(request) => reply = Some(authorize(request, credentials, runtime.now())),
            Step::WaitUntil(at) | Step::InFlight { until: at } => {
                // A caller that polls after each row does not sleep, and need not ask for the time again.
                if at.min(until) > now {
                    runtime.sleep_until(at.min(until));
                }
                if at > until {
                    return Ok(None);
                }
            }
            Step::Notice(notice) => on_notice(notice).verdict()?,
            Step::Stray(_) => return Err(FlowError::Misuse(Misuse::WrongReply)),
            Step::Done(result) => return result.map(Some),
        }
    }
}

/// Runs the call of a streaming operation until the head of the response arrives, and returns the stream.
///
/// # Errors
/// The error of the call; [`FlowError::Stopped`] if the listener returns an error.
pub fn open<F: Flow, H: ListenerResult>(
    mut call: F,
    runtime: &(impl Runtime + ?Sized),
    credentials: &dyn Credentials,
    mut on_notice: impl FnMut(Notice) -> H,
) -> Result<Stream<F::Output>, FlowError> {
    let (mut reply, mut body) = (None, None);
    loop {
        match call.poll(runtime.now(), reply.take()) {
            Step::Send(exchange) if !exchange.is_streaming() => return Err(FlowError::Misuse(Misuse::WrongMethod)),
            Step::Send(exchange) => {
                let answer = runtime.open(&exchange).map(|opened| match opened {
                    Opened::Rejection(response) => response,
                    Opened::Streaming(response) => {
                        let (head, streaming) = response.into_parts();
                        body = Some(streaming);
                        Response::from_parts(head, Bytes::new())
                    }
                });
                reply = Some(exchange.settle(answer));
            }
            Step::Authorize(request) => reply = Some(authorize(request, credentials, runtime.now())),
            Step::WaitUntil(at) | Step::InFlight { until: at } => runtime.sleep_until(at),
            Step::Notice(notice) => on_notice(notice).verdict()?,
            Step::Stray(_) => return Err(FlowError::Misuse(Misuse::WrongReply)),
            Step::Done(result) => {
                let decoder = result?;
                return Ok(Stream::new(decoder, body.ok_or_else(no_body)?));
            }
        }
    }
}

/// Returns the error for a transport that returned a success without a body.
pub(super) fn no_body() -> TransportError {
    let message = "the transport returned a success without a body to stream";
    TransportError::new(TransportErrorKind::Unsupported, Delivery::Unknown, message)
}
