//! [`Renewal`]: what the holder of a lease does.
//!
//! ```text
//!  Start ──no host known──▶ Hostname ──▶ Exchange ──▶ done: the session has host and token
//!    └──────known──▶ Exchange ─┐  ▲            │
//!                              ▼  │            ▼
//!                           refused, for the host perhaps ──twice with a host just asked for──▶ failed
//! ```
//!
//! The account may fail over between the two questions, and the name of a host may be cut off on its way: what is refused then is
//! the host and not us. So a refusal is believed when it comes for a second host that was asked for.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Lease;
use super::state::Host;
use crate::error::{BuildError, FlowError, ServiceError};
use crate::flow::{Call, Config, Flow, FlowContext, Reply, Runner, StateMachine, Step, ready};
use crate::seed::Seed;
use crate::snowpipe::{ExchangeToken, GetHostname, RequestId, ScopedToken, SnowpipeAccount};
use crate::time::Timestamp;
use crate::url::Base;

/// Refused with this many hosts that were just asked for, it is refused.
const MOST_ASKED: u32 = 2;

/// Gets a token for a [session](super), and the host before that when it is not known. All that it sends goes to the account's host.
///
/// Ends in the error of the call that failed. The session has it too when it is final, for those who ask next.
#[derive(Debug)]
#[must_use = "a flow does nothing until it is polled"]
pub struct Renewal {
    runner: Runner<RenewalMachine>,
}

impl Renewal {
    pub(super) fn new(lease: Lease, account: &Config<SnowpipeAccount>, seed: Seed, timeout: Option<Duration>) -> Self {
        Self { runner: Runner::new(RenewalMachine::new(lease), account, seed, timeout) }
    }

    /// Ends the renewal at this time at the latest.
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
    /// How often the account was asked for its host.
    asked: u32,
    /// How much of the waits that the account has asked the current call for the session knows.
    told: Duration,
    state: State,
}

enum State {
    Start,
    Hostname(Call<GetHostname>),
    Exchange { call: Call<ExchangeToken>, host: Arc<str> },
}

impl RenewalMachine {
    fn new(lease: Lease) -> Self {
        Self { lease, asked: 0, told: Duration::ZERO, state: State::Start }
    }

    /// How long the account has asked the current call to wait, beyond our own waits.
    fn asked_to_wait(&self) -> Duration {
        match &self.state {
            State::Start => Duration::ZERO,
            State::Hostname(call) => call.asked_to_wait(),
            State::Exchange { call, .. } => call.asked_to_wait(),
        }
    }

    fn hostname(&mut self, cx: &mut FlowContext<SnowpipeAccount>) -> State {
        self.asked += 1;
        cx.phase(Self::NAME, "asking for the ingest host");
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

    /// Gives the session what was got.
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
            // Nothing there would answer over `https`.
            false if is_simulator => Err(BuildError::Base { address: plain.to_string(), problem: NOT_ALLOWED }.into()),
            _ => Ok(format!("https://{host}").parse()?),
        }
    }

    fn fail(&self, error: FlowError, cx: &FlowContext<SnowpipeAccount>) -> Step<()> {
        let refused = Some(error.clone()).filter(is_final);
        self.lease.session.state().fail(self.lease.number, refused, cx.now());
        Step::Done(Err(error))
    }
}

/// What to do about an ingest host that would have to be spoken to over `http`.
const NOT_ALLOWED: &str = "the account and its ingest host are on this machine, and the account is plain http: \
    call OpenSession::allow_plaintext_loopback to send tokens and rows over plain http, too";

/// Whether somebody else would fare no better.
fn is_final(error: &FlowError) -> bool {
    match error {
        FlowError::Build(_) => true,
        FlowError::Service(error) => !error.is_transient(),
        FlowError::Credential(error) => !error.is_transient(),
        _ => false,
    }
}

/// Whether the account does not know the host, perhaps.
fn may_be_wrong_host(error: &ServiceError) -> bool {
    !error.is_transient() && !matches!(error.status().as_u16(), 401 | 403)
}

impl StateMachine for RenewalMachine {
    type Service = SnowpipeAccount;
    type Output = ();
    const NAME: &'static str = "Renewal";

    fn step(&mut self, cx: &mut FlowContext<SnowpipeAccount>, reply: &mut Option<Reply>) -> Step<()> {
        let step = self.advance(cx, reply);
        // A blocking driver is not heard of before.
        self.lease.hold(if let Step::WaitUntil(at) = &step { cx.now().max(*at) } else { cx.now() });
        if let Step::WaitUntil(at) = &step {
            let asked_to_wait = self.asked_to_wait();
            if asked_to_wait > self.told {
                self.told = asked_to_wait;
                self.lease.wait(*at);
            }
        }
        step
    }
}

impl RenewalMachine {
    fn advance(&mut self, cx: &mut FlowContext<SnowpipeAccount>, reply: &mut Option<Reply>) -> Step<()> {
        loop {
            if let Some(notice) = cx.next_notice(reply.as_ref()) {
                return Step::Notice(notice);
            }
            match &mut self.state {
                State::Start => {
                    self.state = match self.lease.host.clone() {
                        Some(host) => self.exchange(host, cx),
                        None => self.hostname(cx),
                    };
                }
                State::Hostname(call) => {
                    let result = ready!(call.poll(cx.now(), reply.take()));
                    self.told = Duration::ZERO;
                    match result {
                        Ok(hostname) => match self.base(&hostname.host()) {
                            Ok(_) => self.state = self.exchange(hostname.host().into(), cx),
                            Err(error) => return self.fail(error, cx),
                        },
                        Err(error) => return self.fail(error, cx),
                    }
                }
                State::Exchange { call, host } => {
                    let result = ready!(call.poll(cx.now(), reply.take()));
                    self.told = Duration::ZERO;
                    match result {
                        Ok(scoped) => {
                            let host = Arc::clone(host);
                            return match self.install(host, &scoped, cx) {
                                Ok(()) => Step::Done(Ok(())),
                                Err(error) => self.fail(error, cx),
                            };
                        }
                        Err(FlowError::Service(error)) if self.asked < MOST_ASKED && may_be_wrong_host(&error) => {
                            self.state = self.hostname(cx);
                        }
                        Err(error) => return self.fail(error, cx),
                    }
                }
            }
        }
    }
}

impl fmt::Debug for RenewalMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenewalMachine").field("lease", &self.lease).finish_non_exhaustive()
    }
}
