//! [`Runtime`]: what a blocking driver needs from its environment.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;

use crate::error::TransportError;
use crate::flow::Exchange;
use crate::time::Timestamp;

/// What a blocking driver needs: a transport, a clock and random bits. Implemented for every type that has all three.
///
/// A reference, an `Arc` or a `Box` of a runtime is a runtime, too.
///
/// ```
/// use pipewright::driver::Runtime;
/// use pipewright::error::FlowError;
/// use pipewright::flink::Flink;
/// use pipewright::flink::cluster::GetOverview;
///
/// fn free_slots(flink: &Flink<impl Runtime>) -> Result<Option<u32>, FlowError> {
///     flink.call(GetOverview::new()).map(|overview| overview.slots_available)
/// }
/// ```
pub trait Runtime: Transport + Clock + Entropy {}

impl<T: Transport + Clock + Entropy + ?Sized> Runtime for T {}

/// An HTTP client that executes one exchange at a time, blocking.
///
/// A transport
///
/// * follows no redirects and retries nothing;
/// * adds no headers beyond what HTTP needs (`Host`, `Content-Length`, `Connection`);
/// * returns every status as a response, not as an error;
/// * limits the body to [`Exchange::body_limit`] and the time to [`Exchange::timeout`];
/// * reports with each error whether the request was [`NotSent`](crate::error::Delivery::NotSent). If it cannot tell,
///   the outcome is [`Unknown`](crate::error::Delivery::Unknown);
/// * shows no URL in its errors, because the query may contain SQL or the arguments of a program.
pub trait Transport {
    /// Sends the request, and reads the whole response.
    ///
    /// # Errors
    /// A [`TransportError`] if no complete response arrives.
    fn send(&self, exchange: &Exchange) -> Result<Response<Bytes>, TransportError>;

    /// Sends the request of a streaming exchange, and reads the head of the response; if it is an error response, also
    /// its body.
    ///
    /// # Errors
    /// A [`TransportError`] if no response arrives.
    fn open(&self, exchange: &Exchange) -> Result<Opened, TransportError>;
}

/// The response to a streaming exchange.
#[derive(Debug)]
pub enum Opened {
    /// A success, whose body is not read yet.
    Streaming(Response<Box<dyn StreamingBody>>),
    /// Any other status, with its body.
    Rejection(Response<Bytes>),
}

/// A response body that is still being received.
pub trait StreamingBody: fmt::Debug + Send {
    /// Waits for the next bytes, writes them to the buffer and returns their number. At the end of the body, returns 0.
    ///
    /// # Errors
    /// A [`TransportError`] if the body is cut off, or if no bytes arrive within the transport's timeout.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, TransportError>;
}

/// A clock that can sleep.
pub trait Clock {
    /// Returns the current time.
    fn now(&self) -> Timestamp;

    /// Sleeps until the time is `at` or later.
    fn sleep_until(&self, at: Timestamp);
}

/// A source of random bits, for jitter and ids.
pub trait Entropy {
    /// Returns 128 bits that were never drawn before.
    fn bits(&self) -> u128;
}

/// Implements a trait for pointers: they do the same as their target.
macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<T: Transport + ?Sized> Transport for $pointer {
            fn send(&self, exchange: &Exchange) -> Result<Response<Bytes>, TransportError> {
                (**self).send(exchange)
            }

            fn open(&self, exchange: &Exchange) -> Result<Opened, TransportError> {
                (**self).open(exchange)
            }
        }

        impl<T: Clock + ?Sized> Clock for $pointer {
            fn now(&self) -> Timestamp {
                (**self).now()
            }

            fn sleep_until(&self, at: Timestamp) {
                (**self).sleep_until(at);
            }
        }

        impl<T: Entropy + ?Sized> Entropy for $pointer {
            fn bits(&self) -> u128 {
                (**self).bits()
            }
        }
    )*};
}

forward!(&T, Arc<T>, Box<T>);
