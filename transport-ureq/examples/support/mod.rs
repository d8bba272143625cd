//! What the examples share.
#![allow(dead_code, reason = "each example uses its part")]

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use pipewright::flow::Notice;
use serde_json::Value;

/// Replaces the file as a whole, so that a crash leaves the state before or the state after.
pub(crate) fn save(file: &Path, state: &Value) -> io::Result<()> {
    let name = file.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    let mut new = name.to_owned();
    // A unique name: other states and other processes have other names.
    new.push(format!(".{}.new", std::process::id()));
    let new = file.with_file_name(new);
    let write = || {
        let mut file = File::create(&new)?;
        file.write_all(state.to_string().as_bytes())?;
        file.sync_all()
    };
    let saved = write().and_then(|()| fs::rename(&new, file));
    saved.inspect_err(|_| drop(fs::remove_file(&new)))
}

/// A line on the standard error output. When its reader is gone, the work continues.
pub(crate) fn tell(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// A line on the standard output, which is the result: it counts whether or not it is read.
pub(crate) fn answer(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// A bar on a terminal, lines elsewhere: on the standard error output, so that the standard output is free for data.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    /// What was shown last of a flow's notices: parts of a flow see the same.
    shown: Mutex<String>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner} [{elapsed}] {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            let bar = ProgressBar::new_spinner().with_style(style);
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self { bar, shown: Mutex::default() }
    }

    pub(crate) fn show(&self, notice: &Notice) {
        let line = match (notice, &self.bar) {
            (Notice::Phase { .. }, Some(bar)) => return bar.set_message(notice.to_string()),
            (Notice::Phase { .. } | Notice::Observed { .. } | Notice::Retrying { .. }, _) => notice.to_string(),
            _ => return,
        };
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if *shown != line {
            self.say(&line);
            *shown = line;
        }
    }

    /// What changes too often for lines.
    pub(crate) fn status(&self, text: impl FnOnce() -> String) {
        if let Some(bar) = &self.bar {
            bar.set_message(text());
        }
    }

    pub(crate) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| tell(line)),
            None => tell(line),
        }
    }

    /// A line of data, for the standard output.
    pub(crate) fn print(&self, line: &[u8]) -> io::Result<()> {
        let write = || {
            let mut out = io::stdout().lock();
            out.write_all(line)?;
            out.write_all(b"\n")
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Removes the bar.
    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// The last line, which is the result.
    pub(crate) fn end(&self, line: &str) {
        self.clear();
        answer(line);
    }
}
