//! What happened, for tests to read and for a watcher.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::event::Event;

pub(super) type Watcher = Arc<dyn Fn(&Event) + Send + Sync>;

pub(super) struct Trace {
    pub(super) events: VecDeque<Event>,
    pub(super) keeps: usize,
    pub(super) watcher: Option<Watcher>,
    /// What the watcher has not seen. It is called when the world is not locked, so that it may use the world.
    unseen: Vec<Event>,
}

impl Default for Trace {
    fn default() -> Self {
        Self { events: VecDeque::new(), keeps: 100_000, watcher: None, unseen: Vec::new() }
    }
}

impl Trace {
    pub(super) fn push(&mut self, event: Event) {
        if self.watcher.is_some() {
            self.unseen.push(event.clone());
        }
        self.events.push_back(event);
        self.shorten();
    }

    pub(super) fn shorten(&mut self) {
        let excess = self.events.len().saturating_sub(self.keeps);
        self.events.drain(..excess);
    }

    /// The watcher and what it is to be shown.
    pub(super) fn unseen(&mut self) -> Option<(Watcher, Vec<Event>)> {
        let watcher = self.watcher.clone().filter(|_| !self.unseen.is_empty())?;
        Some((watcher, std::mem::take(&mut self.unseen)))
    }
}
