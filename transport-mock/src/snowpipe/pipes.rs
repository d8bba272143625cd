//! Pipes: which exist, and which take rows.

use std::collections::BTreeMap;

use http::StatusCode;

use super::config::PipeState;
use super::errors::Rejection;
use super::views::{ChannelPath, PipeKey};

/// The pipes whose state was set. Of all others, only the default pipes of tables exist.
#[derive(Debug, Default)]
pub(super) struct Pipes(BTreeMap<PipeKey, PipeState>);

impl Pipes {
    pub(super) fn set(&mut self, pipe: &ChannelPath, state: PipeState) {
        self.0.insert(pipe.pipe_key(), state);
    }

    /// Returns the state of a pipe that exists.
    pub(super) fn check(&self, path: &ChannelPath) -> Result<PipeState, Rejection> {
        // A default pipe is made on demand; any other has to be there.
        let unset = if is_default(&path.pipe) { PipeState::Healthy } else { PipeState::Missing };
        let state = self.0.get(&path.pipe_key()).copied().unwrap_or(unset);
        state.rejection().map_or(Ok(state), Err)
    }

    /// The same, for requests that an invalid pipe rejects.
    pub(super) fn check_valid(&self, path: &ChannelPath) -> Result<PipeState, Rejection> {
        let state = self.check(path)?;
        if state == PipeState::Invalid {
            let message = "The pipe is in an invalid state.";
            return Err(Rejection::new(StatusCode::CONFLICT, "ERR_PIPE_IN_INVALID_STATE", message));
        }
        Ok(state)
    }
}

/// The pipe that comes with a table.
pub(super) fn default_pipe(table: &str) -> String {
    match table.strip_suffix('"') {
        Some(quoted) => format!("{quoted}-STREAMING\""),
        None => format!("{table}-STREAMING"),
    }
}

fn is_default(pipe: &str) -> bool {
    pipe.trim_end_matches('"').to_ascii_uppercase().ends_with("-STREAMING")
}

impl PipeState {
    /// The rejection of every request to it.
    fn rejection(self) -> Option<Rejection> {
        let code = |status, code, text| Some(Rejection::new(status, code, text));
        match self {
            Self::Healthy | Self::Discards | Self::Invalid | Self::FileMode => None,
            Self::Missing => code(
                StatusCode::NOT_FOUND,
                "ERR_PIPE_DOES_NOT_EXIST_OR_NOT_AUTHORIZED",
                "The pipe does not exist, or the role is not authorized.",
            ),
            Self::TableMissing => code(
                StatusCode::NOT_FOUND,
                "ERR_TABLE_DOES_NOT_EXIST_NOT_AUTHORIZED",
                "The table does not exist, or the role is not authorized.",
            ),
            Self::Forbidden => code(StatusCode::FORBIDDEN, "FORBIDDEN", "The role lacks a privilege."),
            Self::Unowned => Some(Rejection::unowned()),
            Self::Misrouted => Some(Rejection::Edge(StatusCode::NOT_FOUND)),
        }
    }
}
