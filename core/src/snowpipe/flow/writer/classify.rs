//! What a fault means for a writer.

use http::StatusCode;

use crate::error::{Ambiguity, ErrorKind, FlowError, ServiceError, TransportErrorKind};
use crate::operation::Operation as _;
use crate::snowpipe::{AppendRows, ErrorCode, error_code};

/// What to do about a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Open the channel again and send again what is not committed. Whatever the fault has left unconfirmed, that settles it.
    Reopen,
    /// The same; and somebody has opened the channel since we did.
    Taken {
        /// Whether that may have been ourselves, by an attempt without an answer.
        perhaps_ours: bool,
        /// Whether the code says so; else the channel may have been invalidated, and nobody else has opened it.
        is_told: bool,
    },
    /// The service is somewhere else now.
    Moved,
    /// The credential was refused, or the refusal is not in the service's own words, or not in those that are known: believed
    /// when it is repeated.
    Suspect,
    /// No repetition helps.
    GiveUp,
}

pub(super) fn classify(error: &FlowError) -> Verdict {
    match error {
        FlowError::Ambiguous(Ambiguity { cause, unanswered, .. }) => match classify(cause) {
            Verdict::Taken { perhaps_ours, is_told } => {
                Verdict::Taken { perhaps_ours: perhaps_ours || *unanswered, is_told }
            }
            verdict => verdict,
        },
        FlowError::Service(error) => classify_response(error),
        FlowError::Transport(error) => match error.kind() {
            TransportErrorKind::TooLarge | TransportErrorKind::Unsupported => Verdict::GiveUp,
            _ => Verdict::Reopen,
        },
        FlowError::Credential(error) if error.is_transient() => Verdict::Reopen,
        _ => Verdict::GiveUp,
    }
}

fn classify_response(error: &ServiceError) -> Verdict {
    let taken = |is_told| Verdict::Taken { perhaps_ours: false, is_told };
    let is_append = error.operation() == AppendRows::INFO.name;
    let by_code = match error_code(error) {
        // A status may be older than the last open: it does not show that yet another client opens the channel.
        Some(ErrorCode::StaleContinuationToken | ErrorCode::InvalidClientSequencer) if is_append => Some(taken(true)),
        Some(ErrorCode::PipeFailedOver) => Some(Verdict::Moved),
        Some(ErrorCode::PipeInInvalidState) => Some(Verdict::GiveUp),
        Some(code) if code.is_missing() => Some(Verdict::GiveUp),
        // Another token did not help.
        Some(ErrorCode::InvalidToken) => Some(Verdict::Suspect),
        Some(code) if code.asks_to_reopen() || code.is_passing() => Some(Verdict::Reopen),
        _ => None,
    };
    by_code.unwrap_or_else(|| match error.status() {
        StatusCode::GONE => Verdict::Moved,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Verdict::Suspect,
        StatusCode::CONFLICT if is_append => taken(false),
        // Whether the token is good for anything afterwards, nobody knows.
        StatusCode::BAD_REQUEST if is_append => Verdict::Suspect,
        // A channel whose status is of a kind that nobody knows, or an answer that cannot be read.
        status if status.is_success() || status.is_redirection() || status == StatusCode::CONFLICT => Verdict::Reopen,
        _ if error.is_transient() => Verdict::Reopen,
        status if error.kind() == ErrorKind::Foreign && status != StatusCode::PAYLOAD_TOO_LARGE => Verdict::Suspect,
        _ => Verdict::GiveUp,
    })
}

/// Whether an append that is refused so may be in the table all the same, because somebody in between has sent it twice and has
/// passed on what the second one was answered.
pub(super) fn may_be_of_a_repetition(error: &ServiceError) -> bool {
    match error_code(error) {
        // Also without a body: whoever has sent it twice may have left that out.
        Some(ErrorCode::Unknown(_)) | None => {
            matches!(error.status(), StatusCode::BAD_REQUEST | StatusCode::CONFLICT)
        }
        Some(code) => code.asks_to_reopen(),
    }
}
