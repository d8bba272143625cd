//! Classifies the errors of ureq: the kind, whether the request may have arrived, and the message.

use std::fmt;
use std::io;
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use pipewright::error::{Delivery, TransportError, TransportErrorKind as Kind};
use ureq::Error;

use crate::connect::is_cut_off;
use crate::watch::{Phase, Watch};

/// Who was spoken to, and how long we were willing to wait.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) uri: Uri,
    pub(crate) patience: Option<Duration>,
}

/// Host and port. Nothing else of an address is fit for an error: a path holds names, a query may hold a secret.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.uri.host().unwrap_or("an address without a host"))?;
        match self.uri.port() {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// Proxies that forward plain http expect it in absolute form, which ureq does not write.
const NO_FORWARDING: &str = "plain http is sent through a tunnel, too, and forwarding by a proxy is not supported: let the \
     proxy allow CONNECT to this port, use https, or set no proxy for this host";

impl Peer {
    /// Converts ureq's error, with the watch that it happened under.
    pub(crate) fn blame(&self, error: Error, watch: &Watch) -> TransportError {
        let kind = self.kind(&error, watch.phase);
        let delivery = if watch.phase < Phase::Sending { Delivery::NotSent } else { Delivery::Unknown };
        let cause = cause(&error);
        let message = match (kind, watch.phase) {
            (Kind::Resolve, _) => format!("no address for {self}: {cause}"),
            (Kind::Connect, _) if matches!(error, Error::ConnectProxyFailed(_)) && !self.is_https() => {
                format!("no connection to {self}: {cause}; {NO_FORWARDING}")
            }
            (Kind::Connect, _) if matches!(error, Error::Timeout(_)) => format!("no connection to {self} in time"),
            (Kind::Connect, _) => format!("no connection to {self}: {cause}"),
            (Kind::Tls, _) => format!("no TLS with {self}: {cause}"),
            (Kind::Timeout, Phase::Sending) => format!("{self} did not take the whole request{}", self.waited()),
            (Kind::Timeout, _) => format!("no complete answer from {self}{}", self.waited()),
            (Kind::Closed, _) => format!("{self} ended the connection before its answer was complete: {cause}"),
            (Kind::Protocol, _) => format!("what {self} answers is not HTTP: {cause}"),
            (Kind::TooLarge, _) => format!("the head of the answer of {self} is too large: {cause}"),
            (Kind::Unsupported, _) => format!("cannot send this request to {self}: {cause}"),
            _ => format!("the exchange with {self} failed: {cause}"),
        };
        let blamed = TransportError::new(kind, delivery, message);
        match error {
            Error::Io(error) => blamed.with_source(error),
            // Those hold a whole address.
            Error::BadUri(_) | Error::RequireHttpsOnly(_) => blamed,
            error => blamed.with_source(error),
        }
    }

    /// The answer is cut off, although ureq found nothing wrong with its end.
    pub(crate) fn cut_off(&self) -> TransportError {
        let message = format!("{self} ended the connection before its answer was complete");
        TransportError::new(Kind::Closed, Delivery::Unknown, message)
    }

    /// The answer is longer than it may be.
    pub(crate) fn too_large(&self, limit: u64) -> TransportError {
        let message = format!("the answer of {self} is longer than {limit} bytes");
        TransportError::new(Kind::TooLarge, Delivery::Unknown, message)
    }

    fn waited(&self) -> String {
        self.patience.map(|patience| format!(" within {patience:?}")).unwrap_or_default()
    }

    fn kind(&self, error: &Error, phase: Phase) -> Kind {
        let begun = phase >= Phase::Sending;
        match error {
            Error::HostNotFound => Kind::Resolve,
            Error::Io(_) if phase == Phase::Resolving => Kind::Resolve,
            Error::Io(error) if begun => self.kind_of_exchange(error),
            Error::Io(error) => self.kind_of_connecting(error),
            Error::Timeout(_) if begun => Kind::Timeout,
            Error::Timeout(_) | Error::ConnectionFailed | Error::ConnectProxyFailed(_) => Kind::Connect,
            Error::Tls(_) => Kind::Tls,
            #[cfg(feature = "rustls")]
            Error::Rustls(_) | Error::Pem(_) => Kind::Tls,
            Error::Protocol(_) if begun => Kind::Protocol,
            Error::LargeResponseHeader(..) => Kind::TooLarge,
            Error::BodyStalled => Kind::Closed,
            Error::BadUri(_)
            | Error::RequireHttpsOnly(_)
            | Error::TlsRequired
            | Error::InvalidProxyUrl
            | Error::Http(_)
            | Error::Protocol(_) => Kind::Unsupported,
            _ => Kind::Other,
        }
    }

    fn is_https(&self) -> bool {
        self.uri.scheme() == Some(&Scheme::HTTPS)
    }

    /// A certificate, an alert, or an answer that is not TLS is invalid data. A connection that is cut off during the
    /// handshake says nothing of TLS: a load balancer ends it while the service behind it restarts.
    fn kind_of_connecting(&self, error: &io::Error) -> Kind {
        if self.is_https() && error.kind() == io::ErrorKind::InvalidData { Kind::Tls } else { Kind::Connect }
    }

    fn kind_of_exchange(&self, error: &io::Error) -> Kind {
        match error.kind() {
            _ if is_cut_off(error) => Kind::Closed,
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Kind::Timeout,
            // Such as an alert that our certificate is not wanted, which TLS 1.3 sends after the handshake.
            io::ErrorKind::InvalidData if self.is_https() => Kind::Tls,
            io::ErrorKind::InvalidData => Kind::Protocol,
            _ => Kind::Other,
        }
    }
}

/// The error's message, without an address.
fn cause(error: &Error) -> String {
    match error {
        Error::Io(error) => error.to_string(),
        Error::TlsRequired => "https needs the feature `rustls` of pipewright-ureq".to_owned(),
        Error::RequireHttpsOnly(_) => "only https is allowed here".to_owned(),
        Error::BadUri(_) => "its address needs a host, and http or https in front of it".to_owned(),
        error => error.to_string(),
    }
}
