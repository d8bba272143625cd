//! Streaming bodies: of services, and in memory.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes};
use pipewright::Timestamp;
use pipewright::driver::StreamingBody;
use pipewright::error::TransportError;

/// A body that continues after what its response holds: among the extensions of a [`Service`](crate::Service)'s
/// response, this is what the rest of it is asked for with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpenBody(pub u64);

/// Among the extensions of a [`Service`](crate::Service)'s response: the response is never sent, because the process
/// dies before it answers. The client sees a connection that was reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAnswer;

/// Among the extensions of a [`Service`](crate::Service)'s response: what the log of a served simulator says beside the
/// request, because the simulator does something else than the real service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark(pub String);

/// What comes next of an [`OpenBody`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coming {
    /// These bytes, at once.
    Bytes(Bytes),
    /// Nothing before this time, which is in the future, unless another request changes that.
    Later(Timestamp),
    /// Nothing, until another request changes that.
    Idle,
    /// The end, as it should be.
    End,
}

/// Chunks, of which each read gives at most one, and then the end or an error.
#[derive(Debug)]
pub(crate) struct Chunks {
    chunks: VecDeque<Bytes>,
    end: Option<TransportError>,
}

impl Chunks {
    pub(crate) fn new(chunks: impl IntoIterator<Item = Bytes>, end: Option<TransportError>) -> Self {
        // A chunk of no bytes would read as the end.
        Self { chunks: chunks.into_iter().filter(|chunk| !chunk.is_empty()).collect(), end }
    }
}

impl StreamingBody for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, TransportError> {
        let Some(chunk) = self.chunks.front_mut() else {
            return self.end.clone().map_or(Ok(0), Err);
        };
        let length = chunk.len().min(buffer.len());
        chunk.copy_to_slice(&mut buffer[..length]);
        if chunk.is_empty() {
            self.chunks.pop_front();
        }
        Ok(length)
    }
}
