//! The signals that end a server.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::GRACE;

/// What the end of the connections that are cut off may take beyond [`GRACE`].
const CUT_OFF: Duration = Duration::from_millis(500);

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
            thread::sleep(Duration::from_millis(50));
        }
        false
    }
}

/// Shuts down, and returns whether everything finished within the grace period. A connection whose thread cannot write
/// its line, because nothing reads the error output, does not keep the process.
pub(super) fn within_grace(shutdown: impl FnOnce() -> bool + Send + 'static) -> bool {
    let (done, finished) = mpsc::channel();
    thread::spawn(move || {
        let _ = done.send(shutdown());
    });
    finished.recv_timeout(GRACE + CUT_OFF).unwrap_or(false)
}
