//! [`TokenWait`]: asking a session until it has a token, and renewing it when that is ours to do.

use std::time::Duration;

use super::{Access, Grant, Renewal, Session};
use crate::flow::{Flow, FlowContext, Reply, Step, ready};
use crate::snowpipe::SnowpipeAccount;
use crate::time::Timestamp;

/// Comes to a token. Part of a machine on the account's handle.
pub(crate) struct TokenWait {
    session: Session,
    renewal: Option<Renewal>,
    /// Whether that one has little time, because there is a token.
    is_early: bool,
    /// How long the account has asked the holder of the lease to wait, while this was waiting: for itself, or for another holder.
    asked_to_wait: Duration,
    /// When it was polled last.
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

    /// How long the account has asked the holder of the lease to wait, as far as this has waited for it.
    pub(crate) fn asked_to_wait(&self) -> Duration {
        self.asked_to_wait
    }

    pub(crate) fn step(&mut self, cx: &mut FlowContext<SnowpipeAccount>, reply: &mut Option<Reply>) -> Step<Grant> {
        let before = self.polled_at.replace(cx.now()).unwrap_or(cx.now());
        self.asked_to_wait += self.session.state().asked_until().min(cx.now()).since(before);
        loop {
            if let Some(renewal) = &mut self.renewal {
                let result = ready!(renewal.poll(cx.now(), reply.take()));
                self.renewal = None;
                // When that token is not good any more by now, it is looked for once more, and for as long as it takes.
                if let Err(error) = result
                    && !self.is_early
                {
                    // The token of before may still do.
                    return Step::Done(match self.session.token(cx.now()) {
                        Access::Ready(grant) => Ok(grant),
                        _ => Err(error),
                    });
                }
            }
            if let Some(stray) = reply.take() {
                return Step::Stray(stray);
            }
            match self.session.token(cx.now()) {
                Access::Ready(grant) => return Step::Done(Ok(grant)),
                Access::Renew(lease) => {
                    self.is_early = lease.is_early;
                    self.renewal = Some(lease.renew(cx.seed.split()).with_deadline(cx.deadline()));
                }
                Access::Refused(error) => return Step::Done(Err(error)),
                Access::Wait(until) => {
                    if let Some(step) = cx.wait_until(until, "a token for the ingest host", reply) {
                        return step;
                    }
                }
            }
        }
    }
}
