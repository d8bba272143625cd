//! The policy of a [`Writer`](super::Writer): what an error means, and what the writer does about it. These are pure
//! functions; the [machine](super::handle) carries the action out.
//!
//! An error becomes a [`Fault`] by what the service says:
//!
//! | error | fault |
//! |---|---|
//! | 400 `STALE_CONTINUATION_TOKEN_SEQUENCER` of an append; 409 of an append, with an unknown code or without a code | `Taken` |
//! | 410 | `HostMoved` |
//! | 401, 403; other 400 of an append; a rejection by a proxy | `Suspect` |
//! | 409 `ERR_PIPE_IN_INVALID_STATE`; 404 of channel, pipe or table; 413; an open that stayed busy for as long as faults may last; a request that cannot be sent; the writer's deadline | `Permanent` |
//! | no answer, 408, 429, 5xx, 404 without a code; an answer that cannot be read; 3xx; any status of a channel but `SUCCESS` | `Transient` |
//! | from the account, through the session: `Suspect` and `Permanent` as above | `AccountRejected` |
//!
//! The writer detects the other faults itself: `SessionMoved`, `Stalled`, `ChannelLost`, and `Unproven` for a status
//! that may be outdated.
//!
//! The [`Action`] depends on the fault and on what is [`Known`] about earlier faults. The first row that applies
//! counts:
//!
//! | fault | condition | action |
//! |---|---|---|
//! | `Permanent`, `ChannelLost` | | `Fail` |
//! | `Unproven` | | `PollAgain` |
//! | `SessionMoved` | | `Reopen` |
//! | `Suspect`, `AccountRejected` | third in a row for the same operation | `Fail` |
//! | `AccountRejected` | | `ReopenLater`: after 3 s at the earliest |
//! | `Taken` | 3 times within 10 min, or 10 times if the service does not say that another client opened the channel; an open of this writer that may explain the fault does not count | `FailContested` |
//! | any but `HostMoved` | the host has never answered, and the time for that is up | `TimeOut` |
//! | any | faults have lasted longer than the retry timeout, without a commit in between | `TimeOut` |
//! | any | | `Reopen` |

use std::collections::VecDeque;
use std::time::Duration;

use http::StatusCode;

use crate::error::{Ambiguity, Delivery, ErrorKind, FlowError, ServiceError, TransportError, TransportErrorKind};
use crate::flow::Contact;
use crate::operation::Operation as _;
use crate::snowpipe::append::AppendRows;
use crate::snowpipe::channels::OpenChannelOperation;
use crate::snowpipe::flow::busy_request::is_busy;
use crate::snowpipe::flow::loss_detector::LossDetector;
use crate::snowpipe::tuning::{
    CONTEST_WINDOW, MAX_INVALIDATIONS, MAX_REJECTIONS, MAX_REOPEN_BACKOFF, MAX_TAKEOVERS, SILENT_HOST_TIMEOUT,
    UNREACHED_HOST_TIMEOUT,
};
use crate::snowpipe::{ErrorCode, error_code};
use crate::time::Timestamp;

/// What an error means by itself. See the first table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Opening the channel again resolves it.
    Transient,
    /// The channel was opened by another client, or invalidated.
    Taken {
        /// Whether an unanswered attempt of this writer may be the reason.
        may_be_own: bool,
        /// Whether the service says that another client opened the channel. Otherwise the service may have invalidated
        /// the channel.
        is_stated: bool,
    },
    /// The service is at another host now.
    HostMoved,
    /// The session has found another host already.
    SessionMoved,
    /// A rejection that may be a mistake.
    Suspect,
    /// A rejection by the account.
    AccountRejected,
    /// Appends are answered, but no rows are committed.
    Stalled,
    /// A status says that the channel is lost or cannot be read, and may be outdated.
    Unproven,
    /// The channel is lost, or was recreated.
    ChannelLost,
    /// A retry does not help.
    Permanent,
}

/// What the writer does about a fault. See the second table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Polls the status again.
    PollAgain,
    /// Opens the channel again, and sends again what is not committed.
    Reopen,
    /// The same, after the session may ask the account again.
    ReopenLater,
    /// Ends with the error.
    Fail,
    /// Ends, because another client keeps opening the channel.
    FailContested,
    /// Ends with the last error, because faults have lasted for too long.
    TimeOut,
}

/// What is known of the faults so far, including the current fault.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    /// How many rejections of the same operation came in a row.
    rejections: u32,
    /// Another client keeps opening the channel.
    is_contested: bool,
    /// The host has never answered, and was tried for so long that its address is probably wrong.
    is_silent: bool,
    /// Faults have lasted for the retry timeout.
    is_timed_out: bool,
}

pub(super) fn decide(fault: Fault, known: Known) -> Action {
    match fault {
        Fault::Permanent | Fault::ChannelLost => Action::Fail,
        Fault::Unproven => Action::PollAgain,
        Fault::SessionMoved => Action::Reopen,
        Fault::Suspect | Fault::AccountRejected if known.rejections >= MAX_REJECTIONS => Action::Fail,
        Fault::AccountRejected => Action::ReopenLater,
        Fault::Taken { .. } if known.is_contested => Action::FailContested,
        _ if known.is_silent || known.is_timed_out => Action::TimeOut,
        _ => Action::Reopen,
    }
}

/// Whether an append that has failed may be in the table all the same.
///
/// [`Call`](crate::flow::Call) says of every append that may have been carried out that it is ambiguous. A proxy may
/// have sent an append twice, and have passed on how the second attempt was rejected.
pub(super) fn may_be_appended(error: &FlowError, action: Action) -> bool {
    error.is_ambiguous() || action != Action::Fail && error.service().is_some_and(may_be_of_a_repetition)
}

fn may_be_of_a_repetition(error: &ServiceError) -> bool {
    match error_code(error) {
        // A response without a body counts, too: a proxy may have removed the body.
        Some(ErrorCode::Unknown(_)) | None => {
            matches!(error.status(), StatusCode::BAD_REQUEST | StatusCode::CONFLICT)
        }
        Some(code) => code.asks_to_reopen(),
    }
}

impl Fault {
    pub(super) fn of(error: &FlowError) -> Self {
        match error {
            FlowError::Ambiguous(Ambiguity { cause, unanswered, .. }) => match Self::of(cause) {
                Self::Taken { may_be_own, is_stated } => {
                    Self::Taken { may_be_own: may_be_own || *unanswered, is_stated }
                }
                fault => fault,
            },
            FlowError::Service(error) => Self::of_rejection(error),
            FlowError::Transport(error) => match error.kind() {
                TransportErrorKind::TooLarge | TransportErrorKind::Unsupported => Self::Permanent,
                _ => Self::Transient,
            },
            FlowError::Credential(error) if error.is_transient() => Self::Transient,
            _ => Self::Permanent,
        }
    }

    /// The fault of a session that has no token.
    pub(super) fn of_session(error: &FlowError) -> Self {
        match Self::of(error) {
            Self::Permanent | Self::Suspect if error.service().is_some() => Self::AccountRejected,
            fault => fault,
        }
    }

    fn of_rejection(error: &ServiceError) -> Self {
        let taken = |is_stated| Self::Taken { may_be_own: false, is_stated };
        let is_append = error.operation() == AppendRows::INFO.name;
        let by_code = match error_code(error) {
            // The open has waited for as long as faults may last.
            _ if is_busy(error) && error.operation() == OpenChannelOperation::INFO.name => Some(Self::Permanent),
            // A status may be older than the last open: it does not show that yet another client opens the channel.
            Some(ErrorCode::StaleContinuationToken | ErrorCode::InvalidClientSequencer) if is_append => {
                Some(taken(true))
            }
            Some(ErrorCode::PipeFailedOver) => Some(Self::HostMoved),
            Some(ErrorCode::PipeInInvalidState) => Some(Self::Permanent),
            Some(code) if code.is_missing() => Some(Self::Permanent),
            // Another token did not help.
            Some(ErrorCode::InvalidToken) => Some(Self::Suspect),
            Some(code) if code.asks_to_reopen() || code.is_passing() => Some(Self::Transient),
            _ => None,
        };
        by_code.unwrap_or_else(|| match error.status() {
            StatusCode::GONE => Self::HostMoved,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Self::Suspect,
            StatusCode::CONFLICT if is_append => taken(false),
            // Whether the continuation token can be used again is not documented.
            StatusCode::BAD_REQUEST if is_append => Self::Suspect,
            // A channel whose status is of an unknown kind, or an answer that cannot be read.
            status if status.is_success() || status.is_redirection() || status == StatusCode::CONFLICT => {
                Self::Transient
            }
            _ if error.is_transient() => Self::Transient,
            status if error.kind() == ErrorKind::Foreign && status != StatusCode::PAYLOAD_TOO_LARGE => Self::Suspect,
            _ => Self::Permanent,
        })
    }
}

/// When and where a fault occurred.
pub(super) struct Occurrence<'a> {
    pub(super) operation: &'static str,
    pub(super) error: &'a FlowError,
    pub(super) now: Timestamp,
    /// The working time, and how much of it had passed when the request began.
    pub(super) worked: Duration,
    pub(super) began: Duration,
    pub(super) retry_timeout: Duration,
    /// The host that the request went to, unless it has answered before.
    pub(super) silent_host: Option<&'a Contact>,
}

/// The faults since the last commit.
#[derive(Debug, Default)]
pub(super) struct FaultHistory {
    /// Since when faults last, by the writer's working time.
    since: Option<Duration>,
    /// How much of the waits that the service has asked for was excluded since the last commit.
    pub(super) excluded: Duration,
    /// The wait that the service has asked for before the channel is reopened.
    pub(super) requested_wait: Duration,
    /// How many times the channel was reopened since the last commit.
    pub(super) reopenings: u32,
    /// The operation that was rejected last, and how many times in a row.
    rejections: (&'static str, u32),
    /// When the channel was taken, and whether the service said so.
    takeovers: VecDeque<(Timestamp, bool)>,
    /// Statuses that say that the channel is lost, or that cannot be read.
    pub(super) lost: LossDetector,
    /// When an open got no answer: it may arrive later, and take the channel from this writer itself.
    pub(super) unanswered_open: Option<Timestamp>,
    /// A host that has never answered: its operation, its limit, and since when it is tried.
    silence: Option<(&'static str, Duration, Duration)>,
}

impl FaultHistory {
    /// Clears the history after a commit, or after a good status while no rows are buffered. An answered append is no
    /// progress, because a channel may accept rows that invalidate it.
    pub(super) fn clear(&mut self) {
        self.since = None;
        self.excluded = Duration::ZERO;
        self.reopenings = 0;
        self.clear_rejections();
    }

    /// Records that the service has accepted the operation that it rejected before.
    pub(super) fn clear_rejections(&mut self) {
        self.rejections = ("", 0);
    }

    /// Returns how long faults have lasted.
    pub(super) fn duration(&self, worked: Duration) -> Duration {
        self.since.map_or(Duration::ZERO, |since| worked.saturating_sub(since))
    }

    /// Returns whether an unanswered open of this writer may have taken the channel.
    pub(super) fn may_have_opened(&self, now: Timestamp) -> bool {
        self.unanswered_open.is_some_and(|at| now.since(at) < CONTEST_WINDOW)
    }

    /// Returns how many times the channel was taken within ten minutes.
    pub(super) fn takeovers(&self) -> usize {
        self.takeovers.len()
    }

    /// Adds a fault, and returns what is known with it.
    pub(super) fn add(&mut self, fault: Fault, at: &Occurrence<'_>) -> Known {
        let mut known = Known::default();
        match fault {
            Fault::Unproven | Fault::SessionMoved | Fault::ChannelLost | Fault::Permanent => return known,
            Fault::Suspect | Fault::AccountRejected => {
                let (operation, times) = self.rejections;
                self.rejections = (at.operation, if operation == at.operation { times + 1 } else { 1 });
                known.rejections = self.rejections.1;
            }
            Fault::Taken { may_be_own: false, is_stated } if !self.may_have_opened(at.now) => {
                known.is_contested = self.add_takeover(at.now, is_stated);
            }
            Fault::Taken { .. } | Fault::Transient | Fault::HostMoved | Fault::Stalled => {}
        }
        if fault == Fault::AccountRejected {
            return known;
        }
        // A host that says that the pipe has moved belongs to the service.
        known.is_silent = fault != Fault::HostMoved && self.is_silent(at);
        self.since.get_or_insert(at.began);
        known.is_timed_out = self.duration(at.worked) >= at.retry_timeout;
        known
    }

    fn add_takeover(&mut self, now: Timestamp, is_stated: bool) -> bool {
        self.takeovers.retain(|(at, _)| now.since(*at) < CONTEST_WINDOW);
        self.takeovers.push_back((now, is_stated));
        let stated = self.takeovers.iter().filter(|(_, is_stated)| *is_stated).count();
        stated >= MAX_TAKEOVERS || self.takeovers.len() >= MAX_INVALIDATIONS
    }

    fn is_silent(&mut self, at: &Occurrence<'_>) -> bool {
        let Some(limit) = at.silent_host.and_then(|host| silence_limit(at.error, host)) else { return false };
        let begun = self.silence.filter(|(operation, before, _)| (*operation, *before) == (at.operation, limit));
        let since = begun.map_or(at.worked, |(.., since)| since);
        self.silence = Some((at.operation, limit, since));
        at.worked.saturating_sub(since) >= limit
    }

    /// Returns the wait before the channel is reopened: 0 at first, and then about 1, 2, 4, … s. `random` returns a
    /// number up to its argument.
    pub(super) fn next_backoff(&mut self, random: impl FnOnce(u64) -> u64) -> Duration {
        let reopenings = self.reopenings;
        self.reopenings = reopenings.saturating_add(1);
        let Some(doublings) = reopenings.checked_sub(1) else { return Duration::ZERO };
        let wait = Duration::from_secs(1 << doublings.min(5)).min(MAX_REOPEN_BACKOFF);
        let half = u64::try_from(wait.as_millis() / 2).unwrap_or_default();
        wait / 2 + Duration::from_millis(random(half))
    }
}

/// Returns how long a host that has never answered is tried; `None` if the error does not show that it has not
/// answered.
fn silence_limit(error: &FlowError, host: &Contact) -> Option<Duration> {
    match error {
        FlowError::Credential(_) => None,
        // A host that asks for a wait has answered.
        _ if error.service().and_then(ServiceError::retry_after).is_some() => None,
        FlowError::Transport(error) if error.kind() == TransportErrorKind::Tls && !host.is_reached() => {
            Some(Duration::ZERO)
        }
        FlowError::Transport(error) if error.delivery() == Delivery::NotSent && !host.is_reached() => {
            Some(UNREACHED_HOST_TIMEOUT)
        }
        _ => Some(SILENT_HOST_TIMEOUT),
    }
}

/// Returns whether a request has run into its deadline.
pub(super) fn is_deadline(error: &FlowError) -> bool {
    match error {
        FlowError::Deadline { .. } => true,
        FlowError::Ambiguous(ambiguity) => is_deadline(&ambiguity.cause),
        _ => false,
    }
}

/// Returns the last fault of a request that the writer itself has cut off, which says more than the deadline. If the
/// clock has jumped, or the request has waited for a token, no such fault exists.
pub(super) fn without_deadline(error: FlowError) -> FlowError {
    match error {
        FlowError::Deadline { last: Some(last), .. } => *last,
        FlowError::Deadline { waiting, observed, .. } => {
            let observed = observed.map(|observed| format!(" ({observed})")).unwrap_or_default();
            let message = format!("{waiting}: not in time{observed}");
            TransportError::new(TransportErrorKind::Timeout, Delivery::Unknown, message).into()
        }
        FlowError::Ambiguous(ambiguity) => {
            let cause = Box::new(without_deadline(*ambiguity.cause));
            FlowError::Ambiguous(Ambiguity { cause, ..ambiguity })
        }
        error => error,
    }
}
