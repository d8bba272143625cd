//! [`Contact`]: whether an address has ever answered.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// What earlier exchanges have shown about the address of a service. The clones of a [`Config`](super::Config) share
/// it, and so do all flows of a client.
#[derive(Debug, Default)]
pub(crate) struct Contact(AtomicU8);

/// An HTTP response arrived, from the service or from a proxy.
const REACHED: u8 = 1;
/// The service itself answered: a success that can be read, or a rejection that only the service writes.
const ANSWERED: u8 = 2;
/// The last exchange got no response.
const SILENT: u8 = 4;

impl Contact {
    /// Returns whether an HTTP response has ever arrived from the address. Over `https` this means that TLS works.
    pub(crate) fn is_reached(&self) -> bool {
        self.has(REACHED)
    }

    /// Returns whether the service itself has ever answered: then the address is right.
    pub(crate) fn has_answered(&self) -> bool {
        self.has(ANSWERED)
    }

    /// Returns whether the last exchange got no response: kept connections may be dead.
    pub(super) fn is_silent(&self) -> bool {
        self.has(SILENT)
    }

    /// Records that an HTTP response arrived.
    pub(super) fn reached(&self) {
        // Written only when something changes: threads share it.
        if self.0.load(Relaxed) & (REACHED | SILENT) != REACHED {
            self.0.fetch_or(REACHED, Relaxed);
            self.0.fetch_and(!SILENT, Relaxed);
        }
    }

    /// Records that the service itself answered.
    pub(super) fn answered(&self) {
        if !self.has_answered() {
            self.0.fetch_or(ANSWERED, Relaxed);
        }
    }

    /// Records that an exchange got no response.
    pub(super) fn silent(&self) {
        self.0.fetch_or(SILENT, Relaxed);
    }

    fn has(&self, fact: u8) -> bool {
        self.0.load(Relaxed) & fact != 0
    }
}

/// Copies the state for a configuration that is changed. The copy is independent.
impl Clone for Contact {
    fn clone(&self) -> Self {
        Self(AtomicU8::new(self.0.load(Relaxed)))
    }
}
