//! The account host, the ingest hosts and their nodes: which of them answer, and when.

use std::time::Duration;

use http::StatusCode;

use super::config::{Config, FailedOver};
use super::errors::Rejection;
use super::request::Call;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    /// Which of [`Config::ingest_hosts`] it is, counted on for ever.
    pub(super) generation: u64,
    /// Until then the pipe is failing over.
    failing_over: Duration,
    /// Until then no node owns anything.
    pub(super) up_at: Duration,
}

impl Hosts {
    /// Time passes from `before` to `now`: a failover may end.
    pub(super) fn advance(&mut self, before: Duration, now: Duration) {
        if before < self.failing_over && self.failing_over <= now {
            self.generation += 1;
        }
    }

    /// Starts a failover, or makes a running one last longer.
    pub(super) fn fail_over(&mut self, now: Duration, downtime: Duration) {
        let running = self.failing_over > now;
        self.failing_over = now.saturating_add(downtime).max(self.failing_over);
        if !running && self.failing_over == now {
            self.generation += 1;
        }
    }

    pub(super) fn check_node(&self, now: Duration) -> Result<(), Rejection> {
        if now < self.up_at { Err(Rejection::unowned()) } else { Ok(()) }
    }

    pub(super) fn check(&self, call: &Call, now: Duration, config: &Config) -> Result<(), Rejection> {
        let hosts = &config.ingest_hosts;
        if let Some(host) = call.host.as_deref().map(|host| dashed(name(host))).filter(|_| !hosts.is_empty()) {
            if !hosts.iter().any(|ingest| dashed(ingest) == host) {
                return Err(Rejection::no_route());
            }
            if host != dashed(&self.ingest_host(call, config)) {
                return Err(failed_over(config));
            }
        }
        if now < self.failing_over {
            return Err(failed_over(config));
        }
        Ok(())
    }

    /// The host for the data, as the service names it.
    pub(super) fn ingest_host(&self, call: &Call, config: &Config) -> String {
        let hosts = &config.ingest_hosts;
        let turn = usize::try_from(self.generation).unwrap_or(usize::MAX).checked_rem(hosts.len());
        let single = config.advertised_host.as_ref().or(call.host.as_ref());
        turn.and_then(|turn| hosts.get(turn)).or(single).cloned().unwrap_or_else(|| "localhost".into())
    }
}

/// Whether a request may be for the account host.
pub(super) fn is_account(call: &Call, config: &Config) -> bool {
    match &call.host {
        Some(host) => !config.ingest_hosts.iter().any(|ingest| dashed(ingest) == dashed(name(host))),
        None => true,
    }
}

pub(super) fn failed_over(config: &Config) -> Rejection {
    match config.failed_over {
        FailedOver::Coded => Rejection::new(StatusCode::GONE, "ERR_PIPE_FAILED_OVER", "The pipe has failed over."),
        FailedOver::Bare => Rejection::Edge(StatusCode::GONE),
    }
}

/// The host of a `Host`, without its port.
pub(super) fn name(host: &str) -> &str {
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

/// A host as it is compared.
pub(crate) fn dashed(host: &str) -> String {
    host.replace('_', "-").to_ascii_lowercase()
}
