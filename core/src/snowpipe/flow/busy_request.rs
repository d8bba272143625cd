//! [`BusyRequest`]: waits while the service rejects a request because rows are not committed yet.

use std::ops::ControlFlow;
use std::time::Duration;

use super::ChannelPath;
use crate::error::{FlowError, ServiceError};
use crate::flow::{Call, FlowContext, Notice, Step};
use crate::operation::Operation;
use crate::snowpipe::tuning::{MAX_BUSY_BACKOFF, MIN_BUSY_BACKOFF};
use crate::snowpipe::{ErrorCode, RequestId, SnowpipeIngest, error_code};
use crate::time::Timestamp;

/// Returns whether a rejection ends by itself, when rows are committed or another open is answered.
pub(super) fn is_busy(error: &ServiceError) -> bool {
    matches!(error_code(error), Some(ErrorCode::UncommittedData | ErrorCode::OpenInProgress))
}

/// A request that is retried while the channel is busy: after about 1, 2, 4, 8, 8, … s, and not before the service's
/// `Retry-After`.
///
/// The limit is for the time from rejection to rejection. Waits that the service asks for do not count. A step counts
/// for at most its own wait and one attempt, so a jump of the clock does not count.
#[derive(Debug)]
pub(super) struct BusyRequest<O: Operation> {
    /// The names of the flow and of its phase.
    phase: (&'static str, &'static str),
    limit: Duration,
    time: Duration,
    /// When the last such rejection arrived, and for how long the next step counts at most.
    last: Option<(Timestamp, Duration)>,
    wait: Duration,
    asked_to_wait: Duration,
    is_unanswered: bool,
    state: State<O>,
}

#[derive(Debug)]
enum State<O: Operation> {
    Start,
    Call(Call<O>),
    Wait(Timestamp),
}

impl<O: Operation<Service = SnowpipeIngest>> BusyRequest<O> {
    pub(super) fn new(phase: (&'static str, &'static str), limit: Duration) -> Self {
        Self {
            phase,
            limit,
            time: Duration::ZERO,
            last: None,
            wait: MIN_BUSY_BACKOFF,
            asked_to_wait: Duration::ZERO,
            is_unanswered: false,
            state: State::Start,
        }
    }

    /// Returns whether the service may have carried out an attempt without a response, or may still carry it out.
    pub(super) fn has_unanswered(&self) -> bool {
        self.is_unanswered || matches!(&self.state, State::Call(call) if call.has_unanswered())
    }

    /// Returns the sum of the waits that the service has asked for, beyond the flow's own waits.
    pub(super) fn asked_to_wait(&self) -> Duration {
        self.asked_to_wait
    }

    /// Makes the next transition. Returns the result of the last request, or `None` if another transition follows.
    pub(super) fn advance<T>(
        &mut self,
        path: &ChannelPath,
        cx: &mut FlowContext<SnowpipeIngest>,
        operation: impl FnOnce(RequestId) -> O,
    ) -> ControlFlow<Step<T>, Option<Result<O::Output, FlowError>>> {
        match &mut self.state {
            State::Start => cx.phase(self.phase.0, self.phase.1),
            State::Wait(until) => cx.wait(*until, "earlier rows to be committed")?,
            State::Call(call) => {
                let result = cx.poll(call)?;
                self.is_unanswered |= call.has_unanswered();
                let asked_to_wait = call.asked_to_wait();
                self.exclude(asked_to_wait, cx);
                let Some(at) = result.as_ref().err().and_then(|error| self.retry_at(error, path, cx)) else {
                    return ControlFlow::Continue(Some(result));
                };
                self.state = State::Wait(at);
                return ControlFlow::Continue(None);
            }
        }
        let id = RequestId::from_bits(cx.seed.next_u128());
        self.state = State::Call(cx.call(operation(id)).handing_back(is_busy));
        ControlFlow::Continue(None)
    }

    /// Adds the waits that the service has asked a request for.
    fn exclude(&mut self, asked_to_wait: Duration, cx: &mut FlowContext<SnowpipeIngest>) {
        self.asked_to_wait += asked_to_wait;
        if let Some((last, _)) = &mut self.last {
            *last = *last + asked_to_wait;
        }
        cx.excuse(asked_to_wait);
    }

    /// Returns when to retry; `None` if the error is not such a rejection, or the limit is reached.
    fn retry_at(
        &mut self,
        error: &FlowError,
        path: &ChannelPath,
        cx: &mut FlowContext<SnowpipeIngest>,
    ) -> Option<Timestamp> {
        let rejection = error.service().filter(|rejection| is_busy(rejection))?;
        let now = cx.now();
        self.time += self.last.map_or(Duration::ZERO, |(last, most)| now.since(last).min(most));
        if self.time >= self.limit {
            return None;
        }
        let (what, state) = (format!("channel {path}"), rejection.code().unwrap_or_default().to_owned());
        cx.say(Notice::Observed { what, state });
        let wait = self.wait;
        self.wait = (wait * 2).min(MAX_BUSY_BACKOFF);
        // Three to five quarters of the wait, so that many clients do not retry at the same time.
        let part = u64::try_from(wait.as_millis() / 2).unwrap_or_default();
        let wait = wait * 3 / 4 + Duration::from_millis(cx.seed.below(part));
        let asked = rejection.retry_after().map(|after| after.resolve(now).since(now)).unwrap_or_default();
        let beyond = asked.min(cx.retry().longest_retry_after).saturating_sub(wait);
        self.last = Some((now, wait + cx.retry().attempt_timeout));
        self.exclude(beyond, cx);
        Some(now + wait + beyond)
    }
}
