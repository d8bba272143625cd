//! A session: the ingest host and the token for it, found once and shared by any number of channels and threads.
//!
//! [`OpenSession`] finds both and gives the [`Session`], all clones of which are the same session. An
//! [`IngestClient`](super::IngestClient) uses it by itself. An event loop gets goals of the account from it:
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
//! The session does nothing on its own: it has no thread and no clock, and holds no lock while anything is under way.
//! A flow that needs a token calls [`Session::token`]. A flow that gets a lease renews the token before it continues:
//!
//! ```text
//!                 token(now)
//!                     │
//!    ┌────────────────┼───────────────┬─────────────────────┐
//!    ▼                ▼               ▼                     ▼
//!  Ready(grant)   Wait(until)     Renew(lease)          Rejected(error)
//!  continue      ask again       run lease.renew(seed) the account has just rejected the credential
//!                                │
//!                                ├─ done:    the token is there, for all
//!                                ├─ failed:  for all flows without a token, if it is final
//!                                └─ dropped: the next flow that asks gets the lease
//! ```
//!
//! | there is | token | lease | the answer |
//! |---|---|---|---|
//! | a host | good for more than 5 min | | `Ready` |
//! | a host | good for less | free, and the last exchange was 3 s ago | `Renew` |
//! | a host | good for less | taken, or the last exchange was within 3 s | `Ready` |
//! | | none, or expired | taken | `Wait` |
//! | | none, or expired | free, but the last exchange was within 3 s | `Rejected` if it was rejected, else `Wait` |
//! | | none, or expired | free | `Renew` |
//!
//! What holds:
//!
//! * **One exchange at a time.** One flow has the lease. If it does nothing for twice the time that an answer may take,
//!   the lease is void, and so is what the flow brings.
//! * **Only the flow that renews a token early waits for the renewal**, for 10 s at most. If the renewal fails, the
//!   previous token is used until it ends, and no flow tries again for 30 s.
//! * **A token that the service rejects** (401, 403) is dropped by [`reject`](Session::reject). A late rejection of an
//!   earlier token changes nothing. The renewal follows at once; if the next token is rejected within 3 s, flows wait
//!   until these are over.
//! * **When the pipe has moved** (410), [`moved`](Session::moved) drops host and token, and the next flow that asks
//!   requests both again. A second report about the same host changes nothing: [`generation`](Session::generation)
//!   counts the hosts.
//! * **A token goes to the host it was issued for** and nowhere else, and over `https`; see
//!   [`OpenSession::allow_plaintext_loopback`] for tests.
//! * A token says itself when it ends. One that does not, or that has ended by our clock when it comes, is renewed
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

/// The ingest host and the token for it. A clone is the same session. See the [module](self).
#[derive(Clone)]
pub struct Session {
    shared: Arc<Shared>,
}

struct Shared {
    account: Config<SnowpipeAccount>,
    options: OpenSession,
    state: Mutex<State>,
}

/// What [`Session::token`] says.
#[derive(Debug)]
#[must_use = "a lease that is dropped is free again"]
pub enum Access {
    /// There is a token.
    Ready(Grant),
    /// Another flow is renewing the token: ask again at this time.
    Wait(Timestamp),
    /// It is yours to get one: run [`Lease::renew`], and ask again.
    Renew(Lease),
    /// The account has just rejected the credential of another flow, and repeating does not help.
    Rejected(FlowError),
}

/// A token with the host that it is for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Grant {
    /// The value of the `Authorization` header, marked as sensitive.
    pub header: HeaderValue,
    /// Where it may go.
    pub config: Config<SnowpipeIngest>,
    /// Which of the session's hosts that is: see [`Session::generation`].
    pub generation: u64,
}

/// The right to get the session's next token. Dropping it gives it back.
#[must_use = "others wait for what the holder of the lease brings"]
pub struct Lease {
    session: Session,
    number: u64,
    /// The host, when it is known.
    host: Option<Arc<str>>,
    /// Whether the current token is valid for so long that this renewal may fail.
    is_early: bool,
}

impl Session {
    pub(super) fn new(account: &Config<SnowpipeAccount>, options: OpenSession) -> Self {
        let account = account.clone().with_credentials();
        Self { shared: Arc::new(Shared { account, options, state: Mutex::new(State::default()) }) }
    }

    /// The token, or how to come by it.
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

    /// Which host it is, counted from 1; 0 before the first is found. What was opened at another host has to be opened
    /// again.
    pub fn generation(&self) -> u64 {
        self.state().generation()
    }

    /// The ingest host, once it is found.
    pub fn ingest(&self) -> Option<Config<SnowpipeIngest>> {
        self.state().ingest()
    }

    /// The account's host.
    pub fn account(&self) -> &Config<SnowpipeAccount> {
        &self.shared.account
    }

    /// Makes a goal of the account of one operation of the ingest host, with the session's token.
    /// [`IngestClient::call`](super::IngestClient::call) runs it.
    pub fn call<O>(&self, operation: O) -> SessionCall<O> {
        self.run(OperationGoal(operation))
    }

    /// Makes a goal of the account of a goal of the ingest host, with the session's token.
    /// [`IngestClient::run`](super::IngestClient::run) runs it.
    pub fn run<G>(&self, goal: G) -> SessionRun<G> {
        SessionRun::new(self.clone(), goal)
    }

    /// Never held while anything is under way, and never left half changed.
    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// The flow that gets the token. While it runs, the lease is held. While the current token is valid for longer than
    /// that, it takes 10 s at most.
    pub fn renew(self, seed: Seed) -> Renewal {
        let account = self.session.shared.account.clone();
        let timeout = self.is_early.then_some(EARLY_RENEWAL_TIMEOUT);
        Renewal::new(self, &account, seed, timeout)
    }

    /// The holder is still there.
    fn hold(&self, now: Timestamp) {
        let void_after = self.session.shared.account.retry().attempt_timeout.saturating_mul(2);
        self.session.state().hold(self.number, now + void_after);
    }

    /// The account asks the holder to wait until then: that time does not count for any writer.
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
