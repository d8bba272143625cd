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
//! | [`DelayRequest`](Fault::DelayRequest) | **yes**, later | the response, or a timeout before the request is applied |
//! | [`DelayReply`](Fault::DelayReply) | **yes** | the response, or a timeout after the request was applied |
//! | [`TooManyRequests`](Fault::TooManyRequests), [`Unavailable`](Fault::Unavailable) | no | 429 or 503 of a proxy |
//! | [`ProxyPage`](Fault::ProxyPage) | if its `applied` is true | HTML with the given status |
//! | [`CutOff`](Fault::CutOff) | **yes** | a transport error that has the status; half of a streaming body, then an error |
//! | [`ShortBody`](Fault::ShortBody) | **yes** | the response with half its body |
//! | [`MalformedBody`](Fault::MalformedBody) | **yes** | the response with a byte overwritten |
//! | [`Restart`](Fault::Restart) | if its `applied` is true | a transport error, outcome unknown; then refused connections or error responses while the service is down |
//! | [`LeaderLost`](Fault::LeaderLost) | **yes** | the error response of a standby process; without a standby, the same as [`Restart`](Fault::Restart) |
//! | [`Unauthorized`](Fault::Unauthorized) | no | 401 |
//! | [`DeliveredTwice`](Fault::DeliveredTwice) | **yes**, twice | the response to the second delivery |

pub(crate) mod answer;
mod file;
mod plan;

use std::fmt;
use std::time::Duration;

use http::StatusCode;

pub use self::file::PlanError;
pub use self::plan::{FaultKind, FaultPlan};

/// A fault of one exchange. The table of the [module](self) shows what a flow sees of each fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The connection is refused.
    NotSent,
    /// The service carries out the request, and the connection ends before the response.
    ReplyLost,
    /// The request arrives later by this time. If that is after the timeout of the exchange, the service carries out
    /// the request after the flow has seen a timeout: perhaps after its next attempt.
    DelayRequest(Duration),
    /// The response arrives later by this time.
    DelayReply(Duration),
    /// A proxy rejects the request with 429.
    TooManyRequests(RetryAfter),
    /// A proxy rejects the request with 503, without passing the request on.
    Unavailable(RetryAfter),
    /// A proxy answers with its own page, and drops the service's response if there is one.
    ProxyPage {
        /// The status, such as 502, 503 or 504, or the 200 of a login page.
        status: StatusCode,
        /// Whether the proxy passed the request on to the service first.
        applied: bool,
    },
    /// The connection ends in the middle of the answer's body.
    CutOff,
    /// The response has half its body, and no sign that the rest is missing.
    ShortBody,
    /// A byte of the body is overwritten with NUL, which makes any JSON text invalid.
    MalformedBody,
    /// The service fails as the request arrives, and starts again.
    Restart {
        /// How long the service is down.
        downtime: Duration,
        /// Whether the service carried out the request first.
        applied: bool,
    },
    /// The leader carries out the request and dies before it answers. A standby process has forwarded the request, and
    /// waits for the leader.
    ///
    /// On a Flink cluster with a [`standby`](crate::flink::Config::standby), the standby answers a run with 400 after
    /// 60 s, and other requests with 500 after 600 s. Requests that the standby answers by itself do not fail. A
    /// service without a standby closes the connection, as in a [`Restart`](Self::Restart).
    LeaderLost {
        /// How long the service has no leader.
        downtime: Duration,
    },
    /// 401: the credential has expired.
    Unauthorized,
    /// A gateway delivers the request twice in a row, and passes on the second response.
    DeliveredTwice,
}

/// The `Retry-After` header of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// No header.
    Absent,
    /// This number of seconds.
    Seconds(u32),
    /// An HTTP date, this many seconds after the response. It is rounded up, because a date has whole seconds.
    Date(u32),
}

impl Fault {
    /// Returns whether the service carries out the request despite the fault.
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

    /// Returns the kind of the fault.
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
