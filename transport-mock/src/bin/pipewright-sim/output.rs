//! What the program writes. A reader that has closed an output, or reads it no more, does not stop the program.

use std::fmt::Display;
use std::io::Write as _;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long the last line may take to be written.
const LAST_LINE: Duration = Duration::from_secs(1);

/// Writes a line to the standard output.
pub(super) fn print(line: impl Display) {
    let mut output = std::io::stdout();
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
}

/// Writes a line to the standard error output.
pub(super) fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Writes a line to the standard error output, and gives up after a second: a pipe that nothing reads may be full.
pub(super) fn say_last(line: impl Display) {
    let line = line.to_string();
    let (done, written) = mpsc::channel();
    thread::spawn(move || {
        say(line);
        let _ = done.send(());
    });
    let _ = written.recv_timeout(LAST_LINE);
}
