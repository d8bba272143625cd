//! [`TokenWait`]: waits until a session has a token, and renews it if the session gives out the lease.

use std::ops::ControlFlow;
use std::time::Duration;

use super::Renewal;
use crate::flow::{FlowContext, Polled};
use crate::snowpipe::SnowpipeAccount;
use crate::snowpipe::session::{Access, Grant, Session};
use crate::time::Timestamp;

/// The wait for a token: part of a machine that runs on the account's client.
pub(crate) struct TokenWait {
    session: Session,
    renewal: Option<Renewal>,
    /// Whether the renewal is early: the previous token is still valid.
    is_early: bool,
    /// How long the account has asked the holder of the lease to wait during this wait. The holder may be this machine
    /// or another flow.
    asked_to_wait: Duration,
    /// When this wait was last polled.
    polled_at: Option<Timestamp>,
}

impl TokenWait {
    pub(crate) fn new(session: &Session) -> Self {
        Self {
            session: session.clone(),
            renewal: None,
            is_early: false,
            asked_to_wait: Duration::ZERO,
            polled_at: None,
        }
    }

    /// Returns how long the account has asked the holder of the lease to wait during this wait.
    pub(crate) fn asked_to_wait(&self) -> Duration {
        self.asked_to_wait
    }

    pub(crate) fn poll<T>(&mut self, cx: &mut FlowContext<SnowpipeAccount>) -> Polled<T, Grant> {
        let before = self.polled_at.replace(cx.now()).unwrap_or(cx.now());
        self.asked_to_wait += self.session.state().asked_until().min(cx.now()).since(before);
        loop {
            if let Some(renewal) = &mut self.renewal {
                let result = cx.poll(renewal)?;
                self.renewal = None;
                // If the previous token has expired in the meantime, another renewal follows, without a time limit.
                if let Err(error) = result
                    && !self.is_early
                {
                    // The previous token may still be valid.
                    return ControlFlow::Continue(match self.session.token(cx.now()) {
                        Access::Ready(grant) => Ok(grant),
                        _ => Err(error),
                    });
                }
            }
            // A stray reply is returned first: the token may become a reply, too.
            cx.pause(cx.now())?;
            match self.session.token(cx.now()) {
                Access::Ready(grant) => return ControlFlow::Continue(Ok(grant)),
                Access::Renew(lease) => {
                    self.is_early = lease.is_early;
                    self.renewal = Some(lease.renew(cx.seed.split()).with_deadline(cx.deadline()));
                }
                Access::Rejected(error) => return ControlFlow::Continue(Err(error)),
                Access::Wait(until) => {
                    if let Err(error) = cx.wait_or_expire(until, "a token for the ingest host")? {
                        return ControlFlow::Continue(Err(error));
                    }
                }
            }
        }
    }
}
