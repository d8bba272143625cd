//! The signals that end a server.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Whether SIGTERM or SIGINT has come.
pub(super) struct Signals(Arc<AtomicBool>);

impl Signals {
    /// Takes the signals from now on. A second signal ends the process at once.
    pub(super) fn register() -> io::Result<Self> {
        let came = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            flag::register_conditional_shutdown(signal, 1, Arc::clone(&came))?;
            flag::register(signal, Arc::clone(&came))?;
        }
        Ok(Self(came))
    }

    /// Waits for a signal as long as a condition holds; false if the condition ended.
    pub(super) fn wait_while(&self, running: impl Fn() -> bool) -> bool {
        while running() {
            if self.0.load(Ordering::Relaxed) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }
}
