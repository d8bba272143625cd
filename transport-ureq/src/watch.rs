//! [`Watch`]: the progress and the deadline of the exchange that this thread executes.
//!
//! ureq calls its connector and its connections without telling them the exchange, and a pooled connection has served
//! other exchanges before. But it calls them on the thread of the caller, and a thread executes one exchange at a time.
//! So the watch belongs to the thread.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// How far an exchange is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Looking the host up, or looking for an idle connection.
    Resolving,
    /// Making a connection, with proxy and TLS.
    Connecting,
    /// Connected, and nothing of the request is sent.
    Connected,
    /// From the first byte of the request on.
    Sending,
    /// From the moment on that we waited for an answer.
    Receiving,
}

/// What is known of the exchange of this thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    /// When it has to be over; `None` is never.
    pub(crate) deadline: Option<Instant>,
    pub(crate) phase: Phase,
    /// Whether the connection was cut off, as opposed to closed in an orderly way.
    pub(crate) cut_off: bool,
}

thread_local! {
    static WATCH: Cell<Watch> =
        const { Cell::new(Watch { deadline: None, phase: Phase::Resolving, cut_off: false }) };
}

/// Does some work of an exchange under a watch of its own, and says what the watch has seen.
pub(crate) fn watched<T>(deadline: Option<Instant>, phase: Phase, work: impl FnOnce() -> T) -> (T, Watch) {
    // A source of a request body may run an exchange itself, within ours; and work may panic.
    struct Restore(Watch);
    impl Drop for Restore {
        fn drop(&mut self) {
            WATCH.set(self.0);
        }
    }
    let _restore = Restore(WATCH.replace(Watch { deadline, phase, cut_off: false }));
    let result = work();
    (result, WATCH.get())
}

pub(crate) fn phase() -> Phase {
    WATCH.get().phase
}

pub(crate) fn enter(phase: Phase) {
    WATCH.set(Watch { phase, ..WATCH.get() });
}

pub(crate) fn cut_off() {
    WATCH.set(Watch { cut_off: true, ..WATCH.get() });
}

/// How much time is left; zero when it is up, `None` when there is no end.
pub(crate) fn remaining() -> Option<Duration> {
    WATCH.get().deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_within_another_leaves_the_outer_watch_alone() {
        let soon = Instant::now() + Duration::from_secs(60);
        let ((), outer) = watched(Some(soon), Phase::Resolving, || {
            enter(Phase::Sending);
            let ((), inner) = watched(None, Phase::Resolving, || {
                assert_eq!(remaining(), None);
                cut_off();
            });
            assert!(inner.cut_off);
            assert!(remaining().is_some());
        });
        assert_eq!((outer.phase, outer.cut_off), (Phase::Sending, false));
        assert_eq!(remaining(), None);
    }
}
