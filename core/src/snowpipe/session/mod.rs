//! A session: the ingest host and a token for it, requested once and shared by any number of channels and threads.
//!
//! [`OpenSession`] requests both and returns the [`Session`]. All its clones are the same session. An
//! [`IngestClient`](super::IngestClient) uses its session automatically. In an event loop, make goals of the account
//! with the session:
//!
//! ```no_run
//! # use pipewright::driver::Runtime;
//! # use pipewright::snowpipe::{Account, OpenSession, RequestId};
//! # use pipewright::snowpipe::account::TokenType;
//! # use pipewright::snowpipe::channels::BulkGetChannelStatus;
//! # fn example(account: &Account<impl Runtime>) -> Result<(), pipewright::error::FlowError> {
//! let session = account.run(OpenSession::new(TokenType::KeypairJwt))?;
//! let ask = BulkGetChannelStatus::new("DB", "PUBLIC", "T-STREAMING", RequestId::from_bits(1), vec!["loader-1".into()]);
//! let statuses = account.run(session.call(ask))?;
//! # Ok(())
//! # }
//! ```
//!
//! The session has no thread and no clock, and holds no lock during a request. A flow that needs a token calls
//! [`Session::token`]. A flow that gets a lease renews the token before it continues:
//!
//! ```text
//!                 token(now)
//!                     │
//!    ┌────────────────┼───────────────┬─────────────────────┐
//!    ▼                ▼               ▼                     ▼
//!  Ready(grant)   Wait(until)     Renew(lease)          Rejected(error)
//!  continue      ask again       run lease.renew(seed) the account has just rejected the credential
//!                                │
//!                                ├─ done:    all flows get the token
//!                                ├─ failed:  a final error ends all flows that wait for a token
//!                                └─ dropped: the next flow that asks gets the lease
//! ```
//!
//! | token | lease | [`Session::token`] returns |
//! |---|---|---|
//! | valid for more than 5 min | | `Ready` |
//! | valid for less | free, and the last exchange was at least 3 s ago | `Renew` |
//! | valid for less | taken, or the last exchange was within 3 s | `Ready` |
//! | missing or expired | taken | `Wait` |
//! | missing or expired | free, but the last exchange was within 3 s | `Rejected` if it was rejected, else `Wait` |
//! | missing or expired | free, and the last exchange was at least 3 s ago | `Renew` |
//!
//! Guarantees:
//!
//! * **One exchange at a time.** One flow has the lease. If it does nothing for twice the attempt timeout, the lease is
//!   void, and the session ignores the token of this flow.
//! * **Only the flow that renews a token early waits for the renewal**, for 10 s at most. If the renewal fails, the
//!   previous token is used until it expires, and no flow tries again for 30 s.
//! * **A token that the service rejects** (401, 403) is dropped by [`reject`](Session::reject). A late rejection of an
//!   earlier token changes nothing. The renewal follows at once. If the next token is rejected within 3 s, flows wait
//!   for the rest of the 3 s.
//! * **When the pipe has moved** (410), [`moved`](Session::moved) drops host and token, and the next flow that asks
//!   requests both again. A second report about the same host changes nothing: [`generation`](Session::generation)
//!   counts the hosts.
//! * **A token is sent only to the host it was issued for**, and only over `https`; see
//!   [`OpenSession::allow_plaintext_loopback`] for tests.
//! * A token contains its expiry. If it does not, or if it has already expired by the client's clock, it is renewed
//!   after 5 min and used until it is rejected.

pub(crate) mod flow;
mod state;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderValue;

pub use self::flow::{OperationGoal, Renewal, SessionCall, SessionRun};

use self::flow::OpenSession;
use self::state::{State, Verdict};
use super::tuning::EARLY_RENEWAL_TIMEOUT;
use super::{SnowpipeAccount, SnowpipeIngest};
use crate::error::FlowError;
use crate::flow::Config;
use crate::seed::Seed;
use crate::time::Timestamp;

/// The ingest host and a token for it. A clone is the same session. See the [module](self).
#[derive(Clone)]
pub struct Session {
    shared: Arc<Shared>,
}

struct Shared {
    account: Config<SnowpipeAccount>,
    options: OpenSession,
    state: Mutex<State>,
}

/// The result of [`Session::token`].
#[derive(Debug)]
#[must_use = "a lease that is dropped is free again"]
pub enum Access {
    /// The token.
    Ready(Grant),
    /// Another flow is renewing the token. Call [`Session::token`] again at this time.
    Wait(Timestamp),
    /// The caller must renew the token: run [`Lease::renew`], then call [`Session::token`] again.
    Renew(Lease),
    /// The account has just rejected the credential of another flow, and a retry does not help.
    Rejected(FlowError),
}

/// A token with the host that it is for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Grant {
    /// The value of the `Authorization` header, marked as sensitive.
    pub header: HeaderValue,
    /// The configuration of the host that the token is for.
    pub config: Config<SnowpipeIngest>,
    /// The number of that host: see [`Session::generation`].
    pub generation: u64,
}

/// The right to renew the session's token. Dropping the lease returns it.
#[must_use = "other flows wait for the token that the holder of the lease gets"]
pub struct Lease {
    session: Session,
    number: u64,
    /// The host, if it is known.
    host: Option<Arc<str>>,
    /// Whether the current token is valid for so long that this renewal may fail.
    is_early: bool,
}

impl Session {
    pub(super) fn new(account: &Config<SnowpipeAccount>, options: OpenSession) -> Self {
        let account = account.clone().with_credentials();
        Self { shared: Arc::new(Shared { account, options, state: Mutex::new(State::default()) }) }
    }

    /// Returns the token, or how to get it.
    pub fn token(&self, now: Timestamp) -> Access {
        let void_after = self.shared.account.retry().attempt_timeout.saturating_mul(2);
        match self.state().token(now, void_after) {
            Verdict::Ready(grant) => Access::Ready(grant),
            Verdict::Wait(until) => Access::Wait(until),
            Verdict::Renew { number, host, is_early } => {
                Access::Renew(Lease { session: self.clone(), number, host, is_early })
            }
            Verdict::Rejected(error) => Access::Rejected(error),
        }
    }

    /// Reports that the service has rejected a token, given as the value of an `Authorization` header. Does nothing if
    /// the session has another token by now.
    pub fn reject(&self, header: &HeaderValue, now: Timestamp) {
        self.state().reject(header, now);
    }

    /// Reports that the pipe has moved from the host of this generation: the session requests host and token again.
    /// Does nothing if the session no longer uses that host.
    pub fn moved(&self, generation: u64) {
        self.state().moved(generation);
    }

    /// Returns the number of the current host, counted from 1; 0 before the first host is known. If the number changes,
    /// open all channels again.
    pub fn generation(&self) -> u64 {
        self.state().generation()
    }

    /// Returns the configuration of the ingest host; `None` if it is not known yet.
    pub fn ingest(&self) -> Option<Config<SnowpipeIngest>> {
        self.state().ingest()
    }

    /// Returns the configuration of the account's host.
    pub fn account(&self) -> &Config<SnowpipeAccount> {
        &self.shared.account
    }

    /// Makes a goal for the account's client from one operation of the ingest host. It uses the session's token.
    /// [`IngestClient::call`](super::IngestClient::call) runs it.
    pub fn call<O>(&self, operation: O) -> SessionCall<O> {
        self.run(OperationGoal(operation))
    }

    /// Makes a goal for the account's client from a goal of the ingest host. It uses the session's token.
    /// [`IngestClient::run`](super::IngestClient::run) runs it.
    pub fn run<G>(&self, goal: G) -> SessionRun<G> {
        SessionRun::new(self.clone(), goal)
    }

    /// Locks the state. The lock is never held during a request, and the state is always consistent.
    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// Returns the flow that renews the token. It holds the lease while it runs. If the current token is still valid,
    /// the flow takes 10 s at most.
    pub fn renew(self, seed: Seed) -> Renewal {
        let account = self.session.shared.account.clone();
        let timeout = self.is_early.then_some(EARLY_RENEWAL_TIMEOUT);
        Renewal::new(self, &account, seed, timeout)
    }

    /// Extends the lease, because its holder is still active.
    fn hold(&self, now: Timestamp) {
        let void_after = self.session.shared.account.retry().attempt_timeout.saturating_mul(2);
        self.session.state().hold(self.number, now + void_after);
    }

    /// Records that the account asks the holder to wait until then. That time does not count for any writer.
    fn wait(&self, until: Timestamp) {
        self.session.state().wait(self.number, until);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.session.state().release(self.number);
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ingest = self.ingest();
        f.debug_struct("Session")
            .field("account", &self.shared.account.base())
            .field("ingest", &ingest.as_ref().map(Config::base))
            .field("generation", &self.generation())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("number", &self.number).field("host", &self.host).finish_non_exhaustive()
    }
}
