//! [`State`]: what `--state` keeps.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use pipewright::flow::SavedState;
use pipewright::snowpipe::ChannelPath;
use serde_json::{Value, json};

use crate::support::save;

/// Where a load is, in a file of its own.
pub(crate) struct State {
    file: PathBuf,
    channel: String,
    /// How many rows of the channel had been rejected when the load began, if the service says.
    pub(crate) rejected_before: Option<i64>,
    /// What the writer wanted to be kept last: nothing before its first append.
    pub(crate) saved: Option<SavedState>,
}

impl State {
    /// What the file holds, which must be the state of this channel. A file that is not there is made, so that it shows
    /// at once whether it can be.
    pub(crate) fn open(file: &Path, path: &ChannelPath) -> Result<Self, String> {
        let channel = path.to_string();
        let named = |problem: &str| format!("--state {}: {problem}", file.display());
        let text = match fs::read(file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let state = Self { file: file.to_owned(), channel, rejected_before: None, saved: None };
                state.write(&Value::Null)?;
                return Ok(state);
            }
            Err(error) => return Err(named(&error.to_string())),
        };
        let no_state =
            || named("this is no state of a load: give the file that an earlier load has written, or a new name");
        let mut state: Value = serde_json::from_slice(&text).map_err(|_| no_state())?;
        let theirs = state.get("channel").and_then(Value::as_str).ok_or_else(no_state)?;
        if theirs != channel {
            return Err(named(&format!("that is the state of the channel {theirs}, and not of {channel}")));
        }
        let rejected_before = state.get("rejected_before").and_then(Value::as_i64);
        let saved = state.get_mut("writer").map(Value::take).ok_or_else(no_state)?;
        let saved = serde_json::from_value(saved).map_err(|_| no_state())?;
        Ok(Self { file: file.to_owned(), channel, rejected_before, saved })
    }

    /// Replaces it with what the writer wants to be kept.
    pub(crate) fn keep(&self, saved: &SavedState) -> Result<(), String> {
        self.write(&json!(saved))
    }

    fn write(&self, writer: &Value) -> Result<(), String> {
        let state = json!({ "channel": self.channel, "rejected_before": self.rejected_before, "writer": writer });
        save(&self.file, &state).map_err(|error| format!("--state {}: {error}", self.file.display()))
    }
}
