//! [`Stream`]: a streaming response, read item by item.

use std::error::Error;
use std::fmt;

use super::StreamingBody;
use crate::decode::{DecodeError, Decoder, End};
use crate::error::TransportError;

/// How much is read at a time, in bytes.
const CHUNK: usize = 16 * 1024;

/// A streaming response, read item by item, blocking. Created by [`Client::open`](super::Client::open).
///
/// ```
/// # use pipewright::decode::{Lines, LineLimit};
/// # use pipewright::driver::{StreamingBody, Stream};
/// # #[derive(Debug)] struct Text(&'static [u8]);
/// # impl StreamingBody for Text {
/// #     fn read(&mut self, buffer: &mut [u8]) -> Result<usize, pipewright::error::TransportError> {
/// #         Ok(std::io::Read::read(&mut self.0, buffer).unwrap_or(0))
/// #     }
/// # }
/// # let body = Box::new(Text(b"one\ntwo\n"));
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
    items: Items<D>,
    body: Box<dyn StreamingBody>,
    buffer: Box<[u8]>,
}

impl<D> Stream<D> {
    /// Creates the stream of the items that a decoder finds in a body.
    pub fn new(decoder: D, body: Box<dyn StreamingBody>) -> Self {
        Self { items: Items::new(decoder), body, buffer: vec![0; CHUNK].into() }
    }

    /// Returns the decoder, for information other than items.
    pub fn decoder(&self) -> &D {
        &self.items.decoder
    }
}

impl<D: Decoder> Stream<D> {
    /// Waits for the next item. Returns `None` at the end.
    ///
    /// # Errors
    /// A [`StreamError`] if the body is cut off or cannot be decoded, after the items that were complete before. Every
    /// later call returns the same error.
    pub fn next_item(&mut self) -> Result<Option<D::Item<'_>>, StreamError> {
        loop {
            match self.items.advance()? {
                Next::Item => return Ok(Some(self.items.decoder.item())),
                Next::End => return Ok(None),
                Next::Bytes => {}
            }
            match self.body.read(&mut self.buffer) {
                Ok(0) => self.items.end(),
                Ok(read) => self.items.feed(self.buffer.get(..read).unwrap_or_default()),
                Err(error) => self.items.cut_off(error),
            }
        }
    }
}

impl<D: fmt::Debug> fmt::Debug for Stream<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("decoder", self.decoder()).field("body", &self.body).finish_non_exhaustive()
    }
}

/// A decoder with the state of its body. Blocking and async streams share it.
pub(super) struct Items<D> {
    pub(super) decoder: D,
    state: State,
}

/// What a stream does next.
pub(super) enum Next {
    /// Return the decoder's item.
    Item,
    End,
    /// Read more of the body.
    Bytes,
}

enum State {
    Reading,
    /// The body has ended. The decoder may still have items.
    Draining,
    Failed(StreamError),
}

impl<D> Items<D> {
    pub(super) fn new(decoder: D) -> Self {
        Self { decoder, state: State::Reading }
    }
}

impl<D: Decoder> Items<D> {
    pub(super) fn advance(&mut self) -> Result<Next, StreamError> {
        match self.decoder.advance() {
            Ok(true) => return Ok(Next::Item),
            Ok(false) => {}
            Err(error) => self.state = State::Failed(error.into()),
        }
        match &self.state {
            State::Failed(error) => Err(error.clone()),
            State::Draining => Ok(Next::End),
            State::Reading => Ok(Next::Bytes),
        }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.decoder.feed(bytes);
    }

    /// Records that the body is complete.
    pub(super) fn end(&mut self) {
        self.state = match self.decoder.finish(End::Complete) {
            Ok(()) => State::Draining,
            Err(error) => State::Failed(error.into()),
        };
    }

    pub(super) fn cut_off(&mut self, error: TransportError) {
        // The error of the body is more important than the error of an incomplete item.
        let _ = self.decoder.finish(End::Truncated);
        self.state = State::Failed(error.into());
    }
}

/// Why a stream ended early.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StreamError {
    /// The body was cut off.
    Transport(TransportError),
    /// The body is not in the expected format.
    Decode(DecodeError),
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(error) => write!(f, "the stream was cut off: {error}"),
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
