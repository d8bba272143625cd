//! What the examples share.
#![allow(dead_code, reason = "each example uses its part")]

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use pipewright::flow::{Notice, Saved};

/// Replaces the file as a whole, so that a crash leaves the state before or the state after.
pub(crate) fn save(file: &Path, saved: &Saved) -> std::io::Result<()> {
    let new = file.with_extension("new");
    std::fs::write(&new, serde_json::to_vec(saved)?)?;
    std::fs::rename(new, file)
}

/// A bar on a terminal, lines elsewhere: on the standard error output, so that the standard output is free for data.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    /// What was shown last of a flow's notices: parts of a flow see the same.
    shown: Mutex<String>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
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
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }

    /// A line of data, for the standard output.
    pub(crate) fn print(&self, line: &[u8]) -> std::io::Result<()> {
        let write = || {
            let mut out = std::io::stdout().lock();
            out.write_all(line)?;
            out.write_all(b"\n")
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// The last line, which is the result.
    pub(crate) fn end(&self, line: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        println!("{line}");
    }
}
