//! The transitions of a session, without a lock around them.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use super::Grant;
use crate::error::FlowError;
use crate::flow::Config;
use crate::snowpipe::SnowpipeIngest;
use crate::snowpipe::tuning::{
    ASSUMED_TOKEN_AGE, EARLY_RENEWAL_PAUSE, EARLY_RENEWAL_TIMEOUT, MIN_EXCHANGE_INTERVAL, RENEWAL_POLL_INTERVAL,
    SLOW_RENEWAL_POLL_INTERVAL, TOKEN_RENEWAL_LEAD,
};
use crate::time::Timestamp;

/// The state of a session: see the table of the [module](super).
#[derive(Debug, Default)]
pub(super) struct State {
    /// How many hosts were found so far.
    generation: u64,
    host: Option<Host>,
    token: Option<Token>,
    lease: Option<LeaseState>,
    /// How many leases were given out.
    leases: u64,
    /// The time until which the account has asked the holder of a lease to wait.
    asked_until: Timestamp,
    /// Before this time no exchange begins.
    not_before: Timestamp,
    /// Before this time no exchange begins while the token is still valid.
    not_early_before: Timestamp,
    rejected_at: Option<Timestamp>,
    /// The rejection that the last exchange ended with.
    rejection: Option<FlowError>,
}

#[derive(Clone, Debug)]
pub(super) struct Host {
    pub(super) name: Arc<str>,
    pub(super) config: Config<SnowpipeIngest>,
}

#[derive(Debug)]
struct Token {
    header: HeaderValue,
    renew_at: Timestamp,
    ends_at: Timestamp,
}

#[derive(Debug)]
struct LeaseState {
    number: u64,
    void_at: Timestamp,
}

/// The result of [`State::token`].
#[derive(Debug)]
pub(super) enum Verdict {
    Ready(Grant),
    Wait(Timestamp),
    Renew { number: u64, host: Option<Arc<str>>, is_early: bool },
    Rejected(FlowError),
}

impl State {
    /// Returns the token, or a lease that is void after `void_after`.
    pub(super) fn token(&mut self, now: Timestamp, void_after: Duration) -> Verdict {
        self.lease.take_if(|lease| lease.void_at <= now);
        let free = self.lease.is_none() && self.not_before <= now;
        if let (Some(host), Some(token)) = (&self.host, &self.token)
            && now < token.ends_at
            && (now < token.renew_at.max(self.not_early_before) || !free)
        {
            let (header, config) = (token.header.clone(), host.config.clone());
            return Verdict::Ready(Grant { header, config, generation: self.generation });
        }
        if let Some(lease) = &self.lease {
            let poll_at = if now < self.asked_until {
                self.asked_until.min(now + SLOW_RENEWAL_POLL_INTERVAL)
            } else {
                now + RENEWAL_POLL_INTERVAL
            };
            return Verdict::Wait(lease.void_at.min(poll_at));
        }
        if !free {
            return self.rejection.clone().map_or(Verdict::Wait(self.not_before), Verdict::Rejected);
        }
        self.leases += 1;
        self.lease = Some(LeaseState { number: self.leases, void_at: now + void_after });
        let host = self.host.as_ref().map(|host| Arc::clone(&host.name));
        let is_early = self.token.as_ref().is_some_and(|token| now + EARLY_RENEWAL_TIMEOUT < token.ends_at);
        Verdict::Renew { number: self.leases, host, is_early }
    }

    /// Installs the host and the token that the holder of a lease got.
    pub(super) fn install(
        &mut self,
        number: u64,
        host: Host,
        header: HeaderValue,
        ends_at: Option<Timestamp>,
        now: Timestamp,
    ) {
        if !self.end(number) {
            return;
        }
        if self.host.as_ref().is_none_or(|known| known.name != host.name) {
            self.generation += 1;
            self.host = Some(host);
        }
        // A token that has already expired was issued by another clock.
        let (renew_at, ends_at) = match ends_at.filter(|ends_at| *ends_at > now) {
            Some(ends_at) => (Timestamp::from_unix(ends_at.as_unix().saturating_sub(TOKEN_RENEWAL_LEAD)), ends_at),
            None => (now + ASSUMED_TOKEN_AGE, Timestamp::MAX),
        };
        self.token = Some(Token { header, renew_at, ends_at });
        self.not_before = now + MIN_EXCHANGE_INTERVAL;
        self.rejection = None;
    }

    /// Records that the holder of a lease has failed: for all flows if there is a rejection, otherwise only for itself.
    pub(super) fn fail(&mut self, number: u64, rejection: Option<FlowError>, now: Timestamp) {
        if self.end(number) {
            self.not_early_before = now + EARLY_RENEWAL_PAUSE;
            self.not_before = if rejection.is_some() { now + MIN_EXCHANGE_INTERVAL } else { self.not_before };
            self.rejection = rejection;
        }
    }

    /// Records that the account asks the holder of a lease to wait until then.
    pub(super) fn wait(&mut self, number: u64, until: Timestamp) {
        if self.lease.as_ref().is_some_and(|lease| lease.number == number) {
            self.asked_until = self.asked_until.max(until);
        }
    }

    /// Returns the time until which the account has asked to wait.
    pub(super) fn asked_until(&self) -> Timestamp {
        self.asked_until
    }

    /// Extends a lease.
    pub(super) fn hold(&mut self, number: u64, void_at: Timestamp) {
        if let Some(lease) = self.lease.as_mut().filter(|lease| lease.number == number) {
            lease.void_at = void_at;
        }
    }

    /// Ends a lease whose holder was dropped.
    pub(super) fn release(&mut self, number: u64) {
        self.end(number);
    }

    pub(super) fn reject(&mut self, header: &HeaderValue, now: Timestamp) {
        if self.token.take_if(|token| token.header == header).is_none() {
            return;
        }
        let is_repeated = self.rejected_at.is_some_and(|before| now < before + MIN_EXCHANGE_INTERVAL);
        if !is_repeated {
            self.not_before = now;
        }
        self.rejected_at = Some(now);
    }

    pub(super) fn moved(&mut self, generation: u64) {
        if self.generation == generation {
            (self.host, self.token) = (None, None);
            // The token of its holder is for the earlier host.
            self.lease = None;
        }
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn ingest(&self) -> Option<Config<SnowpipeIngest>> {
        self.host.as_ref().map(|host| host.config.clone())
    }

    /// Ends a lease; returns false if it was void.
    fn end(&mut self, number: u64) -> bool {
        self.lease.take_if(|lease| lease.number == number).is_some()
    }
}
