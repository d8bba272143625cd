//! Counts how often each fault met each phase of a writer.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use http::Response;
use pipewright::error::{Delivery, TransportError};

/// What a writer is doing when it sends something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Host and token.
    Session,
    Open,
    Reopen,
    Append,
    /// An append of what was sent before.
    Replay,
    Look,
    /// A poll with nothing waiting.
    Idle,
}

pub(crate) const PHASES: [Phase; 7] =
    [Phase::Session, Phase::Open, Phase::Reopen, Phase::Append, Phase::Replay, Phase::Look, Phase::Idle];

/// Faults as a writer sees them, and the phases that they can meet: `-` for those that they cannot.
const FAULTS: [(&str, &str); 44] = [
    //                  Session Open Reopen Append Replay Look Idle
    ("not sent", "sorapli"),
    ("no answer", "sorapli"),
    ("429", "sorapli"),
    ("5xx of a proxy", "sorapli"),
    ("503 without a node", "-orapli"),
    ("200, unreadable", "sorapli"),
    ("200, says nothing", "-----li"),
    ("come again in hours", "sorapli"),
    ("401", "sorapli"),
    ("403", "-orapli"),
    ("404 of an edge", "-orapli"),
    ("404 with a code", "-orapli"),
    ("410", "-orapli"),
    ("410 without a code", "-orapli"),
    ("3xx", "sorapli"),
    ("3xx, carried out", "sorapli"),
    ("408", "sorapli"),
    ("408, carried out", "sorapli"),
    ("499", "sorapli"),
    ("499, carried out", "sorapli"),
    ("400, unknown", "---ap--"),
    ("400, carried out", "---ap--"),
    ("409, carried out", "---ap--"),
    ("400 out of order", "----p--"),
    ("400 stale", "---ap--"),
    ("409 superseded", "---ap--"),
    ("400 file mode", "---ap--"),
    ("409, another", "---ap--"),
    ("409 uncommitted", "-or----"),
    ("409 opening", "-or----"),
    ("409 invalid pipe", "-or----"),
    ("status not SUCCESS", "-or--li"),
    ("status without a pipe", "-----li"),
    ("crash before it is sent", "sorapli"),
    ("crash before the reply", "sorapli"),
    ("none", "sorapli"),
    // Beside one of the above.
    ("(earlier status)", "-----li"),
    ("(a number for a code)", "-orapli"),
    ("(discarded)", "---ap--"),
    ("(gzip)", "---ap--"),
    ("(zstd)", "---ap--"),
    // Of rows that are given to a writer.
    ("(row without a token)", "---a---"),
    ("(closed by bytes)", "---a---"),
    ("(full by bytes)", "---a---"),
];

#[derive(Clone, Debug, Default)]
pub(crate) struct Coverage {
    counts: BTreeMap<(&'static str, Phase), u64>,
}

impl Coverage {
    pub(crate) fn count(&mut self, fault: &'static str, phase: Phase) {
        *self.counts.entry((fault, phase)).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (key, count) in &other.counts {
            *self.counts.entry(*key).or_default() += count;
        }
    }

    fn of(&self, fault: &'static str, phase: Phase) -> u64 {
        self.counts.get(&(fault, phase)).copied().unwrap_or_default()
    }

    /// What could have happened and has not.
    pub(crate) fn missing(&self) -> Vec<(&'static str, Phase)> {
        let all = FAULTS
            .iter()
            .flat_map(|(fault, marks)| marks.chars().zip(PHASES).map(move |(mark, phase)| (fault, mark, phase)));
        all.filter(|(_, mark, _)| *mark != '-')
            .map(|(fault, _, phase)| (*fault, phase))
            .filter(|(fault, phase)| self.of(fault, *phase) == 0)
            .collect()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:24}", "")?;
        PHASES.iter().try_for_each(|phase| write!(f, "{:>9}", format!("{phase:?}")))?;
        for (fault, marks) in FAULTS {
            write!(f, "\n{fault:24}")?;
            for (mark, phase) in marks.chars().zip(PHASES) {
                match self.of(fault, phase) {
                    0 if mark == '-' => write!(f, "{:>9}", "")?,
                    count => write!(f, "{count:>9}")?,
                }
            }
        }
        Ok(())
    }
}

/// What a writer sees of an exchange.
pub(crate) fn seen(result: &Result<Response<Bytes>, TransportError>, phase: Phase) -> &'static str {
    let response = match result {
        Ok(response) => response,
        Err(error) if error.delivery() == Delivery::NotSent => return "not sent",
        Err(_) => return "no answer",
    };
    let body = String::from_utf8_lossy(response.body());
    // There is a code without a message, and a message without a code that tells.
    let says = |code: &str, words: &str| body.contains(code) || body.contains(words);
    let is_json = serde_json::from_str::<serde_json::Value>(&body).is_ok();
    match response.status().as_u16() {
        200 if phase == Phase::Session => {
            if body.starts_with('<') || body.contains('\0') {
                "200, unreadable"
            } else {
                "none"
            }
        }
        200 if !is_json => "200, unreadable",
        200 if matches!(phase, Phase::Look | Phase::Idle) && !body.contains("\"channel_statuses\":{") => {
            "200, says nothing"
        }
        200 if body.contains("\"channel_status_code\":\"ERR_PIPE_DOES_NOT_EXIST_OR_NOT_AUTHORIZED\"") => {
            "status without a pipe"
        }
        200 if body.contains("\"channel_status_code\"") && !body.contains("\"channel_status_code\":\"SUCCESS\"") => {
            "status not SUCCESS"
        }
        200 => "none",
        429 => "429",
        503 if body.contains("ERR_GENERAL_EXCEPTION_RETRY_REQUEST") => "503 without a node",
        500..=599 => "5xx of a proxy",
        401 => "401",
        403 => "403",
        404 if body.is_empty() => "404 of an edge",
        410 if body.is_empty() => "410 without a code",
        410 => "410",
        400 if says("STALE_CONTINUATION_TOKEN_SEQUENCER", "token is stale") => "400 stale",
        400 if says("ERR_CHANNEL_HAS_INVALID_ROW_SEQUENCER", "Row sequencer") => "400 out of order",
        400 if says("SWITCH_TO_FILE_MODE", "Switch to file mode") => "400 file mode",
        409 if says("ERR_CHANNEL_HAS_UNCOMMITTED_DATA", "not committed yet") => "409 uncommitted",
        409 if says("ERR_OPEN_CHANNEL_IN_PROGRESS", "open of the channel is in progress") => "409 opening",
        409 if says("ERR_CHANNEL_HAS_INVALID_CLIENT_SEQUENCER", "Client sequencer") => "409 superseded",
        409 if says("ERR_PIPE_IN_INVALID_STATE", "pipe is in an invalid state") => "409 invalid pipe",
        // The exchange of a token for a host that is not the account's any more.
        400 if phase == Phase::Session => "other",
        409 => "409, another",
        400..=499 if !is_json => "other",
        404 => "404 with a code",
        other => panic!("{other}: {body}"),
    }
}

/// Whether a rejection has a number where others have a code.
pub(crate) fn has_number(result: &Result<Response<Bytes>, TransportError>) -> bool {
    let rejection = result.as_ref().ok().filter(|response| !response.status().is_success());
    rejection.is_some_and(|response| String::from_utf8_lossy(response.body()).contains("\"status_code\":"))
}

/// Whether a poll is answered by a node that does not know what is committed now.
pub(crate) fn seen_behind(result: &Result<Response<Bytes>, TransportError>, committed: Option<&str>) -> bool {
    let Some(body) = result.as_ref().ok().and_then(|response| serde_json::from_slice(response.body()).ok()) else {
        return false;
    };
    let body: serde_json::Value = body;
    let Some(statuses) = body["channel_statuses"].as_object() else { return false };
    statuses.values().all(|status| status["last_committed_offset_token"].as_str() != committed)
}
