//! [`Renewal`]: the flow of the holder of a lease.
//!
//! ```text
//!  Start ──no host known──▶ Hostname ──▶ Exchange ──▶ done: the session has host and token
//!    └──────known──▶ Exchange ─┐  ▲            │
//!                              ▼  │            ▼
//!                           rejected, perhaps because of the host ──by the second host──▶ failed
//! ```
//!
//! The account may fail over between the two requests, or the name of the host may arrive truncated. Then the account
//! rejects the host, and not the client. So a rejection is final only for the second requested host.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{BuildError, FlowError, ServiceError};
use crate::flow::{Call, Config, Flow, FlowContext, Reply, Runner, StateMachine, Step, Transition, done};
use crate::seed::Seed;
use crate::snowpipe::account::{ExchangeToken, GetHostname, ScopedToken};
use crate::snowpipe::session::Lease;
use crate::snowpipe::session::state::Host;
use crate::snowpipe::tuning::MAX_HOSTNAME_REQUESTS;
use crate::snowpipe::{RequestId, SnowpipeAccount};
use crate::time::Timestamp;
use crate::url::Base;

/// Gets a token for a [session](crate::snowpipe::session), and first the host if it is not known. Sends requests only
/// to the account's host.
///
/// # Errors
/// The error of the failed call. If it is final, the session returns it also to the flows that wait for a token.
#[derive(Debug)]
#[must_use = "a flow does nothing until it is polled"]
pub struct Renewal {
    runner: Runner<RenewalMachine>,
}

impl Renewal {
    pub(crate) fn new(lease: Lease, account: &Config<SnowpipeAccount>, seed: Seed, timeout: Option<Duration>) -> Self {
        Self { runner: Runner::new(RenewalMachine::new(lease), account, seed, timeout) }
    }

    /// Sets the time at which the renewal ends at the latest.
    pub fn with_deadline(mut self, deadline: impl Into<Option<Timestamp>>) -> Self {
        self.runner = self.runner.with_deadline(deadline);
        self
    }
}

impl Flow for Renewal {
    type Output = ();

    fn poll(&mut self, now: Timestamp, reply: Option<Reply>) -> Step<()> {
        self.runner.poll(now, reply)
    }
}

/// The transitions of [`Renewal`].
pub(super) struct RenewalMachine {
    lease: Lease,
    /// How many times the host was requested.
    hostname_requests: u32,
    /// The part of the current call's waits (those that the account has asked for) that the session knows.
    reported_wait: Duration,
    state: State,
}

enum State {
    Start,
    Hostname(Call<GetHostname>),
    Exchange { call: Call<ExchangeToken>, host: Arc<str> },
}

impl RenewalMachine {
    fn new(lease: Lease) -> Self {
        Self { lease, hostname_requests: 0, reported_wait: Duration::ZERO, state: State::Start }
    }

    /// Returns how long the account has asked the current call to wait, beyond the call's own waits.
    fn asked_to_wait(&self) -> Duration {
        match &self.state {
            State::Start => Duration::ZERO,
            State::Hostname(call) => call.asked_to_wait(),
            State::Exchange { call, .. } => call.asked_to_wait(),
        }
    }

    fn hostname(&mut self, cx: &mut FlowContext<SnowpipeAccount>) -> State {
        self.hostname_requests += 1;
        cx.phase(Self::NAME, "requesting the ingest host");
        let kind = self.lease.session.shared.options.token_type.clone();
        let id = RequestId::from_bits(cx.seed.next_u128());
        State::Hostname(cx.call(GetHostname::new(kind, id)))
    }

    fn exchange(&self, host: Arc<str>, cx: &mut FlowContext<SnowpipeAccount>) -> State {
        cx.phase(Self::NAME, "exchanging the credential for a token");
        let options = &self.lease.session.shared.options;
        let id = RequestId::from_bits(cx.seed.next_u128());
        let mut exchange = ExchangeToken::new(options.token_type.clone(), &*host, id);
        exchange.role.clone_from(&options.role);
        State::Exchange { call: cx.call(exchange), host }
    }

    /// Gives the session the host and the token.
    fn install(
        &self,
        host: Arc<str>,
        scoped: &ScopedToken,
        cx: &FlowContext<SnowpipeAccount>,
    ) -> Result<(), FlowError> {
        let header = scoped.token.bearer()?;
        let session = &self.lease.session.shared;
        let config = Config::new(self.base(&host)?)
            .with_retry(session.account.retry().clone())
            .with_body_limit(session.account.body_limit())
            .with_headers(session.options.ingest_headers.clone())
            .with_credentials();
        let mut state = self.lease.session.state();
        state.install(self.lease.number, Host { name: host, config }, header, scoped.expires, cx.now());
        Ok(())
    }

    fn base(&self, host: &str) -> Result<Base, FlowError> {
        let plain: Base = format!("http://{host}").parse()?;
        let session = &self.lease.session.shared;
        let is_simulator = !plain.is_exposed() && session.account.base().is_plaintext_loopback();
        match session.options.plaintext_loopback {
            true if !plain.is_exposed() => Ok(plain),
            // A simulator on this machine does not answer over `https`.
            false if is_simulator => Err(BuildError::Base { address: plain.to_string(), problem: NOT_ALLOWED }.into()),
            _ => Ok(format!("https://{host}").parse()?),
        }
    }

    fn fail(&self, error: FlowError, cx: &FlowContext<SnowpipeAccount>) -> Transition<()> {
        let rejection = Some(error.clone()).filter(is_final);
        self.lease.session.state().fail(self.lease.number, rejection, cx.now());
        done(Err(error))
    }
}

/// What to do if the ingest host requires plain `http`.
const NOT_ALLOWED: &str = "the account and its ingest host are on this machine, and the account is plain http: \
    call OpenSession::allow_plaintext_loopback to send tokens and rows over plain http, too";

/// Returns whether another attempt would fail, too.
fn is_final(error: &FlowError) -> bool {
    match error {
        FlowError::Build(_) => true,
        FlowError::Service(error) => !error.is_transient(),
        FlowError::Credential(error) => !error.is_transient(),
        _ => false,
    }
}

/// Returns whether the account may have rejected the host.
fn may_be_wrong_host(error: &ServiceError) -> bool {
    !error.is_transient() && !matches!(error.status().as_u16(), 401 | 403)
}

impl StateMachine for RenewalMachine {
    type Service = SnowpipeAccount;
    type Output = ();
    const NAME: &'static str = "Renewal";

    fn transition(&mut self, cx: &mut FlowContext<SnowpipeAccount>) -> Transition<()> {
        let transition = self.advance(cx);
        let wait = match &transition {
            ControlFlow::Break(Step::WaitUntil(at)) => Some(*at),
            _ => None,
        };
        // A blocking driver does not poll before that time.
        self.lease.hold(wait.map_or(cx.now(), |at| at.max(cx.now())));
        let asked_to_wait = self.asked_to_wait();
        if let Some(at) = wait
            && asked_to_wait > self.reported_wait
        {
            self.reported_wait = asked_to_wait;
            self.lease.wait(at);
        }
        transition
    }
}

impl RenewalMachine {
    fn advance(&mut self, cx: &mut FlowContext<SnowpipeAccount>) -> Transition<()> {
        match &mut self.state {
            State::Start => {
                self.state = match self.lease.host.clone() {
                    Some(host) => self.exchange(host, cx),
                    None => self.hostname(cx),
                };
            }
            State::Hostname(call) => {
                let hostname = cx.poll(call)?;
                self.reported_wait = Duration::ZERO;
                match hostname.and_then(|hostname| self.base(&hostname.host()).map(|_| hostname.host())) {
                    Ok(host) => self.state = self.exchange(host.into(), cx),
                    Err(error) => return self.fail(error, cx),
                }
            }
            State::Exchange { call, host } => {
                let scoped = cx.poll(call)?;
                self.reported_wait = Duration::ZERO;
                match scoped {
                    Ok(scoped) => {
                        let host = Arc::clone(host);
                        return match self.install(host, &scoped, cx) {
                            Ok(()) => done(Ok(())),
                            Err(error) => self.fail(error, cx),
                        };
                    }
                    Err(FlowError::Service(error))
                        if self.hostname_requests < MAX_HOSTNAME_REQUESTS && may_be_wrong_host(&error) =>
                    {
                        self.state = self.hostname(cx);
                    }
                    Err(error) => return self.fail(error, cx),
                }
            }
        }
        ControlFlow::Continue(())
    }
}

impl fmt::Debug for RenewalMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenewalMachine").field("lease", &self.lease).finish_non_exhaustive()
    }
}
