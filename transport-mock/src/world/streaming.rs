//! Streaming bodies in a world.

use std::fmt;
use std::sync::{Arc, Mutex};

use bytes::{Buf as _, Bytes};
use pipewright::Timestamp;
use pipewright::driver::StreamingBody;
use pipewright::error::{Delivery, TransportError, TransportErrorKind};

use super::network::Network;
use super::{Service, World, lock};
use crate::random::below;
use crate::streaming::{Coming, OpenBody};

/// What a response holds of a body, and then what its service says, as the clock advances.
pub(super) struct WorldBody {
    world: World,
    ready: Bytes,
    rest: Option<Rest>,
    /// Instead of a proper end.
    end: Option<TransportError>,
}

/// The part of a body that its service has not said yet.
pub(super) struct Rest {
    body: OpenBody,
    service: Arc<Mutex<dyn Service>>,
}

impl Rest {
    pub(super) fn new(body: OpenBody, service: Arc<Mutex<dyn Service>>) -> Self {
        Self { body, service }
    }

    /// What comes next; waits by letting happen what is due before it.
    fn next(&self, network: &mut Network) -> Result<Option<Bytes>, TransportError> {
        loop {
            let coming = lock(&self.service).read(network.now, self.body);
            match coming {
                Coming::Bytes(bytes) if bytes.is_empty() => {}
                Coming::Bytes(bytes) => return Ok(Some(bytes)),
                Coming::End => return Ok(None),
                Coming::Later(at) => {
                    if !network.happen(at) {
                        network.now = network.now.max(at);
                    }
                }
                Coming::Idle if network.happen(Timestamp::MAX) => {}
                Coming::Idle => {
                    let message = "nothing comes on this body any more, for nothing is under way in this world";
                    return Err(TransportError::new(TransportErrorKind::Timeout, Delivery::Unknown, message));
                }
            }
        }
    }
}

impl WorldBody {
    pub(super) fn new(world: World, ready: Bytes, rest: Option<Rest>, end: Option<TransportError>) -> Self {
        Self { world, ready, rest, end }
    }
}

impl StreamingBody for WorldBody {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, TransportError> {
        if self.ready.is_empty()
            && let Some(rest) = &self.rest
        {
            match self.world.change(|network| rest.next(network))? {
                Some(bytes) => self.ready = bytes,
                None => self.rest = None,
            }
        }
        if self.ready.is_empty() {
            return self.end.clone().map_or(Ok(0), Err);
        }
        let length = 1 + self.world.change(|network| below(&mut network.seed, self.ready.len() as u64));
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(self.ready.len()).min(buffer.len());
        self.ready.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

/// The service notices that its reader is gone.
impl Drop for WorldBody {
    fn drop(&mut self) {
        if let Some(rest) = &self.rest {
            self.world.change(|network| lock(&rest.service).close(network.now, rest.body));
        }
    }
}

impl fmt::Debug for WorldBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorldBody").field("ready", &self.ready.len()).finish_non_exhaustive()
    }
}
