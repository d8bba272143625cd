//! What the examples share.

use std::io::IsTerminal as _;
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use pipewright::flow::{Notice, Saved};

/// Replaces the file as a whole, so that a crash leaves the state before or the state after.
pub(crate) fn save(file: &Path, saved: &Saved) -> std::io::Result<()> {
    let new = file.with_extension("new");
    std::fs::write(&new, serde_json::to_vec(saved)?)?;
    std::fs::rename(new, file)
}

/// A bar on a terminal, lines elsewhere.
pub(crate) struct Progress(Option<ProgressBar>);

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = std::io::stdout().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner} [{elapsed}] {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            let bar = ProgressBar::new_spinner().with_style(style);
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self(bar)
    }

    pub(crate) fn show(&self, notice: &Notice) {
        match (notice, &self.0) {
            (Notice::Phase { .. }, Some(bar)) => bar.set_message(notice.to_string()),
            (Notice::Phase { .. } | Notice::Observed { .. } | Notice::Retrying { .. }, _) => {
                self.say(&notice.to_string());
            }
            _ => {}
        }
    }

    pub(crate) fn say(&self, line: &str) {
        match &self.0 {
            Some(bar) => bar.println(line),
            None => println!("{line}"),
        }
    }

    pub(crate) fn end(&self, line: &str) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
        println!("{line}");
    }
}
