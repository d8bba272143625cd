//! [`Fault`]: a fault of one exchange. [`FaultPlan`]: when faults happen.
//!
//! [`FaultPlan::parse`] reads a plan from a file.
//!
//! Every fault says whether the service carries out the request before the fault happens: see [`Fault::applied`].
//!
//! | fault | applied | what the flow sees |
//! |---|---|---|
//! | [`NotSent`](Fault::NotSent) | no | a transport error, not sent |
//! | [`ReplyLost`](Fault::ReplyLost) | **yes** | a transport error, outcome unknown |
//! | [`DelayRequest`](Fault::DelayRequest) | **yes**, that much later | the answer, or a timeout before it is applied |
//! | [`DelayReply`](Fault::DelayReply) | **yes** | the answer, or a timeout after it was applied |
//! | [`TooManyRequests`](Fault::TooManyRequests), [`Unavailable`](Fault::Unavailable) | no | 429 or 503 of a proxy |
//! | [`ProxyPage`](Fault::ProxyPage) | as it says | HTML with the given status |
//! | [`CutOff`](Fault::CutOff) | **yes** | a transport error that keeps the status; of a streaming body half, then an error |
//! | [`ShortBody`](Fault::ShortBody) | **yes** | the answer with half its body |
//! | [`MalformedBody`](Fault::MalformedBody) | **yes** | the answer with a byte overwritten |
//! | [`Restart`](Fault::Restart) | as it says | a transport error, outcome unknown; then whatever the service does while it is down |
//! | [`LeaderLost`](Fault::LeaderLost) | **yes** | the answer of a process in front that has waited for the dead process, or as [`Restart`](Fault::Restart) |
//! | [`Unauthorized`](Fault::Unauthorized) | no | 401 |
//! | [`DeliveredTwice`](Fault::DeliveredTwice) | **yes**, twice | the answer to the second delivery |

pub(crate) mod answer;
mod file;
mod plan;

use std::fmt;
use std::time::Duration;

use http::StatusCode;

pub use self::file::PlanError;
pub use self::plan::{FaultKind, FaultPlan};

/// What goes wrong with one exchange. What each does is in the table of the [module](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The connection is refused.
    NotSent,
    /// The service carries the request out, and the connection ends before its answer.
    ReplyLost,
    /// The request is under way for so much longer. When that is longer than the flow waits, it is carried out after
    /// the flow has seen a timeout: perhaps after its next attempt.
    DelayRequest(Duration),
    /// The answer is under way for so much longer.
    DelayReply(Duration),
    /// A proxy rejects the request with 429.
    TooManyRequests(RetryAfter),
    /// A proxy rejects the request with 503, without passing the request on.
    Unavailable(RetryAfter),
    /// A proxy answers with a page of its own, instead of the service or in place of its answer.
    ProxyPage {
        /// As in 502, 503, 504, or the 200 of a login page.
        status: StatusCode,
        /// Whether it passed the request on before.
        applied: bool,
    },
    /// The connection ends in the middle of the answer's body.
    CutOff,
    /// The body ends early, and nothing shows it.
    ShortBody,
    /// A byte of the body is overwritten with NUL, which no JSON text may hold anywhere.
    MalformedBody,
    /// The service fails as the request arrives, and starts again.
    Restart {
        /// How long it is down.
        downtime: Duration,
        /// Whether it carried the request out before.
        applied: bool,
    },
    /// The process that carries the request out dies right after that, while another one waits for it and then answers:
    /// of a Flink cluster with a [`standby`](crate::flink::Config::standby), 400 after 60 s for a run, and 500 after
    /// 600 s for all else, except for what that process answers by itself. A service without such a process closes the
    /// connection, as in a [`Restart`](Self::Restart).
    LeaderLost {
        /// How long the service has no process in charge.
        downtime: Duration,
    },
    /// 401: the credential has expired.
    Unauthorized,
    /// A gateway delivers the request twice, one right after the other, and passes on the second answer.
    DeliveredTwice,
}

/// What a proxy says about coming again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// Nothing.
    Absent,
    /// So many seconds.
    Seconds(u32),
    /// An HTTP date, so many seconds after the answer (rounded up, as a date has whole seconds).
    Date(u32),
}

impl Fault {
    /// Whether the service carries the request out all the same.
    pub fn applied(self) -> bool {
        match self {
            Self::NotSent | Self::TooManyRequests(_) | Self::Unavailable(_) | Self::Unauthorized => false,
            Self::ReplyLost
            | Self::DelayRequest(_)
            | Self::DelayReply(_)
            | Self::CutOff
            | Self::ShortBody
            | Self::MalformedBody
            | Self::LeaderLost { .. }
            | Self::DeliveredTwice => true,
            Self::ProxyPage { applied, .. } | Self::Restart { applied, .. } => applied,
        }
    }

    /// Its kind.
    pub fn kind(self) -> FaultKind {
        match self {
            Self::NotSent => FaultKind::NotSent,
            Self::ReplyLost => FaultKind::ReplyLost,
            Self::DelayRequest(_) => FaultKind::DelayRequest,
            Self::DelayReply(_) => FaultKind::DelayReply,
            Self::TooManyRequests(_) => FaultKind::TooManyRequests,
            Self::Unavailable(_) => FaultKind::Unavailable,
            Self::ProxyPage {
                status: StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND,
                applied: false,
            } => FaultKind::LostRoute,
            Self::ProxyPage { .. } => FaultKind::ProxyPage,
            Self::CutOff => FaultKind::CutOff,
            Self::ShortBody => FaultKind::ShortBody,
            Self::MalformedBody => FaultKind::MalformedBody,
            Self::Restart { .. } => FaultKind::Restart,
            Self::LeaderLost { .. } => FaultKind::LeaderLost,
            Self::Unauthorized => FaultKind::Unauthorized,
            Self::DeliveredTwice => FaultKind::DeliveredTwice,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tell = |applied: bool| if applied { "applied" } else { "not applied" };
        match self {
            Self::NotSent => f.write_str("not sent"),
            Self::ReplyLost => f.write_str("applied, but the reply lost"),
            Self::DelayRequest(delay) => write!(f, "request delayed by {delay:?}"),
            Self::DelayReply(delay) => write!(f, "reply delayed by {delay:?}"),
            Self::TooManyRequests(after) => write!(f, "429 of a proxy{after}"),
            Self::Unavailable(after) => write!(f, "503 of a proxy{after}"),
            Self::ProxyPage { status, applied } => {
                write!(f, "page of a proxy with {}, {}", status.as_u16(), tell(*applied))
            }
            Self::CutOff => f.write_str("connection cut in the body"),
            Self::ShortBody => f.write_str("half of the body"),
            Self::MalformedBody => f.write_str("malformed body"),
            Self::Restart { downtime, applied } => write!(f, "restart, down for {downtime:?}, {}", tell(*applied)),
            Self::LeaderLost { downtime } => write!(f, "leader lost while it was asked, none for {downtime:?}"),
            Self::Unauthorized => f.write_str("401"),
            Self::DeliveredTwice => f.write_str("delivered twice"),
        }
    }
}

/// Empty when absent.
impl fmt::Display for RetryAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => Ok(()),
            Self::Seconds(seconds) => write!(f, ", again after {seconds} s"),
            Self::Date(seconds) => write!(f, ", again after a date in {seconds} s"),
        }
    }
}
