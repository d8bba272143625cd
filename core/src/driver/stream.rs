//! [`Stream`]: a live body and its decoder.

use std::error::Error;
use std::fmt;

use super::LiveBody;
use crate::decode::{DecodeError, Decoder, End};
use crate::error::TransportError;

/// How much is read at a time.
const CHUNK: usize = 16 * 1024;

/// Items from a live body, blocking.
///
/// ```
/// # use pipewright::decode::{Lines, LineLimit};
/// # use pipewright::driver::{LiveBody, Stream};
/// # #[derive(Debug)] struct Canned(&'static [u8]);
/// # impl LiveBody for Canned {
/// #     fn read(&mut self, buffer: &mut [u8]) -> Result<usize, pipewright::error::TransportError> {
/// #         Ok(std::io::Read::read(&mut self.0, buffer).unwrap_or(0))
/// #     }
/// # }
/// # let body = Box::new(Canned(b"one\ntwo\n"));
/// let mut stream = Stream::new(Lines::new(LineLimit::default()), body);
/// let mut count = 0;
/// while let Some(line) = stream.next_item()? {
///     println!("{}", String::from_utf8_lossy(line));
///     count += 1;
/// }
/// assert_eq!(count, 2);
/// # Ok::<(), pipewright::driver::StreamError>(())
/// ```
#[must_use = "dropping a stream closes it"]
pub struct Stream<D> {
    decoder: D,
    body: Box<dyn LiveBody>,
    buffer: Box<[u8]>,
    state: State,
}

enum State {
    Reading,
    /// The body has ended, the decoder may still hold items.
    Draining,
    Failed(StreamError),
}

impl<D> Stream<D> {
    /// A decoder for a live body.
    pub fn new(decoder: D, body: Box<dyn LiveBody>) -> Self {
        Self { decoder, body, buffer: vec![0; CHUNK].into(), state: State::Reading }
    }

    /// The decoder, for what it knows besides items.
    pub fn decoder(&self) -> &D {
        &self.decoder
    }
}

impl<D: Decoder> Stream<D> {
    /// Waits for the next item; `None` is the end.
    ///
    /// # Errors
    /// When the body breaks off or cannot be decoded; the same error again from then on. Items that were complete
    /// before are given first.
    pub fn next_item(&mut self) -> Result<Option<D::Item<'_>>, StreamError> {
        loop {
            match self.decoder.advance() {
                Ok(true) => return Ok(Some(self.decoder.item())),
                Ok(false) => {}
                Err(error) => self.state = State::Failed(error.into()),
            }
            match &self.state {
                State::Failed(error) => return Err(error.clone()),
                State::Draining => return Ok(None),
                State::Reading => {}
            }
            match self.body.read(&mut self.buffer) {
                Ok(0) => {
                    self.state = match self.decoder.finish(End::Complete) {
                        Ok(()) => State::Draining,
                        Err(error) => State::Failed(error.into()),
                    };
                }
                Ok(read) => self.decoder.feed(self.buffer.get(..read).unwrap_or_default()),
                Err(error) => {
                    // What the decoder makes of its rest does not matter: the body broke off.
                    let _ = self.decoder.finish(End::Truncated);
                    self.state = State::Failed(error.into());
                }
            }
        }
    }
}

impl<D: fmt::Debug> fmt::Debug for Stream<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("decoder", &self.decoder).field("body", &self.body).finish_non_exhaustive()
    }
}

/// Why a stream ended before its end.
#[derive(Clone, Debug)]
pub enum StreamError {
    /// The body broke off.
    Transport(TransportError),
    /// The body is not what it should be.
    Decode(DecodeError),
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(error) => write!(f, "the stream broke off: {error}"),
            Self::Decode(error) => error.fmt(f),
        }
    }
}

impl Error for StreamError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Transport(error) => Some(error),
            Self::Decode(error) => Some(error),
        }
    }
}

impl From<TransportError> for StreamError {
    fn from(error: TransportError) -> Self {
        Self::Transport(error)
    }
}

impl From<DecodeError> for StreamError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}
