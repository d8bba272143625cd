//! [`Runtime`]: what a blocking driver needs from its environment.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;

use crate::error::TransportError;
use crate::flow::Exchange;
use crate::time::Timestamp;

/// Executes exchanges, tells the time and draws random bits. Implemented for every type that does all three.
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

/// Executes one exchange, blocking.
///
/// A transport follows no redirects, retries nothing, adds no headers of its own beyond what HTTP needs (`Host`,
/// `Content-Length`, `Connection`), treats every status as an answer, bounds the body by [`Exchange::body_limit`] and
/// the time by [`Exchange::timeout`], and says of each failure whether the request was
/// [`NotSent`](crate::error::Delivery::NotSent) or its outcome is [`Unknown`](crate::error::Delivery::Unknown). If it
/// cannot tell, the outcome is unknown.
pub trait Transport {
    /// Sends the request and reads the whole answer.
    ///
    /// # Errors
    /// When there is no whole answer.
    fn send(&self, exchange: &Exchange) -> Result<Response<Bytes>, TransportError>;

    /// Sends the request of a streaming exchange and reads the head of the answer; of an error response, the whole.
    ///
    /// # Errors
    /// When there is no answer.
    fn open(&self, exchange: &Exchange) -> Result<Opened, TransportError>;
}

/// The answer to a streaming exchange.
#[derive(Debug)]
pub enum Opened {
    /// A success, its body unread.
    Streaming(Response<Box<dyn StreamingBody>>),
    /// Any other status, with its body.
    Rejection(Response<Bytes>),
}

/// A body that is still coming.
pub trait StreamingBody: fmt::Debug + Send {
    /// Waits for the next bytes and puts them into the buffer; 0 is the end.
    ///
    /// # Errors
    /// When the body is cut off, or nothing came for longer than the transport waits.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, TransportError>;
}

/// Tells the time and waits.
pub trait Clock {
    /// Returns the current time.
    fn now(&self) -> Timestamp;

    /// Returns when it is `at` or later.
    fn sleep_until(&self, at: Timestamp);
}

/// Draws random bits, for jitter and for ids.
pub trait Entropy {
    /// Returns 128 bits that were never drawn before.
    fn bits(&self) -> u128;
}

/// What a pointer to a transport, clock or source of entropy does: the same as its target.
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
