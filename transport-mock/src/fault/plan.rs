//! [`FaultPlan`]: which exchanges meet faults.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use http::{Method, StatusCode};
use pipewright::{Seed, Timestamp};

use super::{Fault, RetryAfter};
use crate::random::{below, between, coin, unit};

/// A plan of faults: explicit faults, and faults that are drawn at random from a seed.
///
/// ```
/// use pipewright_mock::{Fault, FaultKind, FaultPlan};
///
/// let plan = FaultPlan::none()
///     .nth(1, Fault::NotSent)
///     .nth_of("triggerSavepoint", 1, Fault::ReplyLost);
/// let drawn = FaultPlan::seeded(7).chance(FaultKind::NotSent, 0.5).at_most(10);
/// ```
///
/// Explicit faults always happen. [`at_most`](Self::at_most) and [`until`](Self::until) limit the drawn faults, so that
/// a test can assert that a flow succeeds in the end.
#[derive(Clone, Debug)]
pub struct FaultPlan {
    seed: Seed,
    chances: BTreeMap<FaultKind, f64>,
    routes: Vec<Route>,
    by_number: BTreeMap<u64, Fault>,
    by_operation: BTreeMap<(String, u64), Fault>,
    left: u64,
    until: Timestamp,
    delays: RangeInclusive<Duration>,
    downtimes: RangeInclusive<Duration>,
    exchanges: u64,
    exchanges_of: BTreeMap<&'static str, u64>,
}

/// The chances of the exchanges with one method and path.
#[derive(Clone, Debug)]
struct Route {
    method: String,
    path: String,
    chances: BTreeMap<FaultKind, f64>,
}

impl Route {
    fn matches(&self, method: &Method, path: &str) -> bool {
        if self.method != "*" && self.method != method.as_str() {
            return false;
        }
        let mut segments = path.split('/');
        let mut patterns = self.path.split('/').peekable();
        while let Some(pattern) = patterns.next() {
            match (pattern, segments.next()) {
                ("**", _) if patterns.peek().is_none() => return true,
                (pattern, Some(segment)) if pattern == "*" || pattern == segment => {}
                _ => return false,
            }
        }
        segments.next().is_none()
    }
}

/// The kinds of [`Fault`]. The plan's seed decides the details, such as the length of a delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FaultKind {
    /// [`Fault::NotSent`].
    NotSent,
    /// [`Fault::ReplyLost`].
    ReplyLost,
    /// [`Fault::DelayRequest`], by one of [`FaultPlan::delays`].
    DelayRequest,
    /// [`Fault::DelayReply`], by one of [`FaultPlan::delays`].
    DelayReply,
    /// [`Fault::TooManyRequests`]: no `Retry-After`, 1 to 5 seconds, or a date that far away.
    TooManyRequests,
    /// [`Fault::Unavailable`], with `Retry-After` like [`TooManyRequests`](Self::TooManyRequests).
    Unavailable,
    /// [`Fault::ProxyPage`]: 502, 503 and 504, half of them applied, and 200, not applied.
    ProxyPage,
    /// [`Fault::CutOff`].
    CutOff,
    /// [`Fault::ShortBody`].
    ShortBody,
    /// [`Fault::MalformedBody`].
    MalformedBody,
    /// [`Fault::Restart`], down for one of [`FaultPlan::downtimes`]; half of them applied.
    Restart,
    /// [`Fault::Unauthorized`].
    Unauthorized,
    /// [`Fault::ProxyPage`] with 401, 403 or 404, not applied: the proxy has lost its route to the service. A flow
    /// survives them after the first response of the service.
    LostRoute,
    /// [`Fault::DeliveredTwice`].
    DeliveredTwice,
    /// [`Fault::LeaderLost`], without a leader for one of [`FaultPlan::downtimes`].
    LeaderLost,
}

impl FaultKind {
    /// All kinds.
    pub const ALL: &'static [Self] = &[
        Self::NotSent,
        Self::ReplyLost,
        Self::DelayRequest,
        Self::DelayReply,
        Self::TooManyRequests,
        Self::Unavailable,
        Self::ProxyPage,
        Self::CutOff,
        Self::ShortBody,
        Self::MalformedBody,
        Self::Restart,
        Self::Unauthorized,
        Self::LostRoute,
        Self::DeliveredTwice,
        Self::LeaderLost,
    ];
}

/// Writes the kind as on the command line of `pipewright-sim`: `not-sent`, `reply-lost` and so on.
impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NotSent => "not-sent",
            Self::ReplyLost => "reply-lost",
            Self::DelayRequest => "delay-request",
            Self::DelayReply => "delay-reply",
            Self::TooManyRequests => "too-many-requests",
            Self::Unavailable => "unavailable",
            Self::ProxyPage => "proxy-page",
            Self::CutOff => "cut-off",
            Self::ShortBody => "short-body",
            Self::MalformedBody => "malformed-body",
            Self::Restart => "restart",
            Self::Unauthorized => "unauthorized",
            Self::LostRoute => "lost-route",
            Self::DeliveredTwice => "delivered-twice",
            Self::LeaderLost => "leader-lost",
        })
    }
}

impl FromStr for FaultKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|kind| kind.to_string() == text).copied();
        found.ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(Self::to_string).collect();
            format!("unknown kind of fault {text:?}; use one of {}", names.join(", "))
        })
    }
}

impl FaultPlan {
    /// Creates a plan without faults.
    pub fn none() -> Self {
        Self::seeded(0)
    }

    /// Creates a plan without faults, with the seed for faults that you add with [`chance`](Self::chance).
    pub fn seeded(seed: u64) -> Self {
        Self {
            seed: Seed::new(u128::from(seed)).split(),
            chances: BTreeMap::new(),
            routes: Vec::new(),
            by_number: BTreeMap::new(),
            by_operation: BTreeMap::new(),
            left: u64::MAX,
            until: Timestamp::MAX,
            delays: Duration::from_millis(50)..=Duration::from_secs(2),
            downtimes: Duration::from_millis(500)..=Duration::from_secs(5),
            exchanges: 0,
            exchanges_of: BTreeMap::new(),
        }
    }

    /// Creates a plan for an unreliable network: an exchange in ten is not sent, delayed by up to 2 s, rejected, or
    /// loses its reply.
    pub fn flaky(seed: u64) -> Self {
        Self::seeded(seed)
            .chance(FaultKind::NotSent, 0.02)
            .chance(FaultKind::ReplyLost, 0.02)
            .chance(FaultKind::DelayReply, 0.03)
            .chance(FaultKind::TooManyRequests, 0.01)
            .chance(FaultKind::Unavailable, 0.02)
    }

    /// Creates a plan in which more than a third of all exchanges meet a fault. Delays go up to 40 s, which is longer
    /// than a call waits by default.
    ///
    /// Five kinds do not occur. Add them with [`chance`](Self::chance) if your flow can survive them:
    ///
    /// * [`Unauthorized`](FaultKind::Unauthorized): no flow without credentials survives it;
    /// * [`LostRoute`](FaultKind::LostRoute): no flow survives it at its first request;
    /// * [`DelayRequest`](FaultKind::DelayRequest): no flow can find out the outcome of the request;
    /// * [`DeliveredTwice`](FaultKind::DeliveredTwice): harmless if the service recognizes a repeated request;
    /// * [`LeaderLost`](FaultKind::LeaderLost): for a service with a standby.
    pub fn hostile(seed: u64) -> Self {
        Self::seeded(seed)
            .delays(Duration::from_millis(50)..=Duration::from_secs(40))
            .chance(FaultKind::NotSent, 0.06)
            .chance(FaultKind::ReplyLost, 0.06)
            .chance(FaultKind::DelayReply, 0.06)
            .chance(FaultKind::TooManyRequests, 0.03)
            .chance(FaultKind::Unavailable, 0.04)
            .chance(FaultKind::ProxyPage, 0.04)
            .chance(FaultKind::CutOff, 0.02)
            .chance(FaultKind::ShortBody, 0.02)
            .chance(FaultKind::MalformedBody, 0.02)
            .chance(FaultKind::Restart, 0.02)
    }

    /// Sets the probability, from 0 to 1, that an exchange meets a fault of this kind. If the sum over all kinds is
    /// more than 1, the last kinds in the order of [`FaultKind`] happen less often.
    pub fn chance(mut self, kind: FaultKind, probability: f64) -> Self {
        self.chances.insert(kind, probability);
        self
    }

    /// Sets the probability, from 0 to 1, that an exchange with this method and path meets a fault of this kind.
    ///
    /// Such exchanges meet only these faults, not those of [`chance`](Self::chance). If several routes match, the route
    /// that was added first counts. In `method`, `*` is any method. In `path`, `*` is any segment, and `**` at the end
    /// is any rest; within a segment, both are plain characters.
    ///
    /// ```
    /// # use pipewright_mock::{FaultKind, FaultPlan};
    /// let plan = FaultPlan::flaky(7).chance_of("POST", "/v1/jobs/*/stop", FaultKind::ReplyLost, 0.5);
    /// ```
    pub fn chance_of(mut self, method: &str, path: &str, kind: FaultKind, probability: f64) -> Self {
        self.add_route(method, path).insert(kind, probability);
        self
    }

    /// Returns the probabilities of a route. A new route has none.
    pub(super) fn add_route(&mut self, method: &str, path: &str) -> &mut BTreeMap<FaultKind, f64> {
        let known = self.routes.iter().position(|route| route.method == method && route.path == path);
        let at = known.unwrap_or_else(|| {
            self.routes.push(Route { method: method.to_owned(), path: path.to_owned(), chances: BTreeMap::new() });
            self.routes.len() - 1
        });
        &mut self.routes[at].chances
    }

    /// Adds a fault for the nth exchange under this plan, counted from 1.
    pub fn nth(mut self, n: u64, fault: Fault) -> Self {
        self.by_number.insert(n, fault);
        self
    }

    /// Adds a fault for the nth exchange of an operation under this plan, counted from 1. Every attempt counts.
    /// `operation` is the vendor's name, as in [`OperationInfo::name`](pipewright::operation::OperationInfo::name).
    pub fn nth_of(mut self, operation: impl Into<String>, n: u64, fault: Fault) -> Self {
        self.by_operation.insert((operation.into(), n), fault);
        self
    }

    /// Sets how many faults are drawn at most; unlimited by default.
    pub fn at_most(mut self, faults: u64) -> Self {
        self.left = faults;
        self
    }

    /// Draws no fault for requests that are sent at this time or later.
    pub fn until(mut self, time: Timestamp) -> Self {
        self.until = time;
        self
    }

    /// Sets how long drawn delays are; 50 ms to 2 s by default.
    pub fn delays(mut self, range: RangeInclusive<Duration>) -> Self {
        self.delays = range;
        self
    }

    /// Sets how long a service is down after a drawn restart; 500 ms to 5 s by default.
    pub fn downtimes(mut self, range: RangeInclusive<Duration>) -> Self {
        self.downtimes = range;
        self
    }

    /// Returns the fault for the next exchange.
    pub(crate) fn next(
        &mut self,
        now: Timestamp,
        operation: &'static str,
        method: &Method,
        path: &str,
    ) -> Option<Fault> {
        self.exchanges += 1;
        let of = self.exchanges_of.entry(operation).or_default();
        *of += 1;
        let key = (operation.to_owned(), *of);
        let explicit = self.by_operation.get(&key).or_else(|| self.by_number.get(&self.exchanges));
        if let Some(fault) = explicit {
            return Some(*fault);
        }
        if self.left == 0 || now >= self.until {
            return None;
        }
        let mut at = unit(&mut self.seed);
        let route = self.routes.iter().find(|route| route.matches(method, path));
        let chances = route.map_or(&self.chances, |route| &route.chances);
        let kind = chances.iter().find_map(|(kind, probability)| {
            at -= probability;
            (at < 0.0).then_some(*kind)
        })?;
        self.left -= 1;
        Some(self.draw(kind))
    }

    fn draw(&mut self, kind: FaultKind) -> Fault {
        let seed = &mut self.seed;
        match kind {
            FaultKind::NotSent => Fault::NotSent,
            FaultKind::ReplyLost => Fault::ReplyLost,
            FaultKind::DelayRequest => Fault::DelayRequest(between(seed, &self.delays)),
            FaultKind::DelayReply => Fault::DelayReply(between(seed, &self.delays)),
            FaultKind::TooManyRequests => Fault::TooManyRequests(draw_retry_after(seed)),
            FaultKind::Unavailable => Fault::Unavailable(draw_retry_after(seed)),
            FaultKind::ProxyPage => {
                let (status, applied) = match below(seed, 4) {
                    0 => (StatusCode::BAD_GATEWAY, coin(seed)),
                    1 => (StatusCode::SERVICE_UNAVAILABLE, coin(seed)),
                    2 => (StatusCode::GATEWAY_TIMEOUT, coin(seed)),
                    _ => (StatusCode::OK, false),
                };
                Fault::ProxyPage { status, applied }
            }
            FaultKind::CutOff => Fault::CutOff,
            FaultKind::ShortBody => Fault::ShortBody,
            FaultKind::MalformedBody => Fault::MalformedBody,
            FaultKind::Restart => Fault::Restart { downtime: between(seed, &self.downtimes), applied: coin(seed) },
            FaultKind::Unauthorized => Fault::Unauthorized,
            FaultKind::LostRoute => {
                let status = match below(seed, 4) {
                    0 => StatusCode::UNAUTHORIZED,
                    1 => StatusCode::FORBIDDEN,
                    _ => StatusCode::NOT_FOUND,
                };
                Fault::ProxyPage { status, applied: false }
            }
            FaultKind::DeliveredTwice => Fault::DeliveredTwice,
            FaultKind::LeaderLost => Fault::LeaderLost { downtime: between(seed, &self.downtimes) },
        }
    }
}

fn draw_retry_after(seed: &mut Seed) -> RetryAfter {
    let seconds = u32::try_from(1 + below(seed, 5)).unwrap_or(1);
    match below(seed, 3) {
        0 => RetryAfter::Absent,
        1 => RetryAfter::Seconds(seconds),
        _ => RetryAfter::Date(seconds),
    }
}

/// No faults, as [`FaultPlan::none`].
impl Default for FaultPlan {
    fn default() -> Self {
        Self::none()
    }
}
