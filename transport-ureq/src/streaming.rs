//! [`Streaming`]: the body of a streaming response.

use std::fmt;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use http::{StatusCode, Uri};
use pipewright::driver::StreamingBody;
use pipewright::error::{Delivery, TransportError, TransportErrorKind};
use ureq::BodyReader;

use crate::classify::Peer;
use crate::watch::{Phase, watched};

/// Hands out whatever is there. Dropping it closes the connection.
pub(crate) struct Streaming {
    body: BodyReader<'static>,
    status: StatusCode,
    peer: Peer,
    idle_timeout: Option<Duration>,
    /// ureq forgets that a body has failed, and takes the next read for the end.
    failed: Option<TransportError>,
}

impl Streaming {
    pub(crate) fn new(body: ureq::Body, status: StatusCode, uri: Uri, idle_timeout: Option<Duration>) -> Self {
        Self { body: body.into_reader(), status, peer: Peer { uri, patience: None }, idle_timeout, failed: None }
    }

    fn read_once(&mut self, buffer: &mut [u8]) -> Result<usize, TransportError> {
        let deadline = self.idle_timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let (read, watch) = watched(deadline, Phase::Receiving, || {
            loop {
                match self.body.read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    result => return result,
                }
            }
        });
        match read {
            Ok(0) if watch.cut_off => Err(self.peer.cut_off()),
            Ok(read) => Ok(read),
            Err(error) => Err(match (error.into(), self.idle_timeout) {
                (ureq::Error::Timeout(_), Some(timeout)) => {
                    let message = format!("nothing came from {} for {timeout:?}", self.peer);
                    TransportError::new(TransportErrorKind::Timeout, Delivery::Unknown, message)
                }
                (error, _) => self.peer.blame(error, &watch),
            }),
        }
    }
}

impl StreamingBody for Streaming {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, TransportError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.read_once(buffer).map_err(|error| {
            let error = error.with_status(self.status);
            self.failed = Some(error.clone());
            error
        })
    }
}

impl fmt::Debug for Streaming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streaming")
            .field("from", &self.peer.to_string())
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}
