//! Live bodies in memory.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes};
use pipewright::drive::LiveBody;
use pipewright::error::TransportError;

/// Chunks, each of which a read gives at the most one of, and then the end or an error.
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

impl LiveBody for Chunks {
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
