//! [`Canned`]: a runtime with prepared answers.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{Response, StatusCode};

use super::{Clock, Entropy, Opened, StreamingBody, Transport};
use crate::error::{Delivery, TransportError, TransportErrorKind};
use crate::flow::Exchange;
use crate::time::Timestamp;

/// A runtime with prepared answers, for examples and small tests.
///
/// Each answer belongs to one request, in order: method and path, status, body. A request that does not match ends its
/// flow with an error that names both. The clock starts at 2023-11-14T22:13:20Z and moves when a flow waits; the random
/// bits count from 1.
///
/// ```
/// use pipewright::driver::Canned;
/// use pipewright::flink::{Flink, JobId};
/// use pipewright::flink::jobs::{GetJobStatus, JobState};
///
/// let runtime = Canned::new([
///     ("GET /v1/jobs/00000000000000000000000000000007/status", 503, "starting"),
///     ("GET /v1/jobs/00000000000000000000000000000007/status", 200, r#"{"status":"RUNNING"}"#),
/// ]);
/// let flink = Flink::new("http://127.0.0.1:8081".parse()?, runtime);
/// assert_eq!(flink.call(GetJobStatus::new(JobId::from_bits(7)))?.status, JobState::Running);
/// assert_eq!(flink.runtime().left(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The crate `pipewright-mock` has more: scripts that compare whole requests, and simulated services.
#[derive(Debug)]
pub struct Canned {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    answers: VecDeque<Answer>,
    now: Timestamp,
    bits: u128,
}

#[derive(Debug)]
struct Answer {
    request: &'static str,
    status: u16,
    body: &'static str,
}

impl Canned {
    /// Creates a runtime with these answers: each has the expected request, such as `"GET /v1/overview"`, the status
    /// and the body.
    pub fn new(answers: impl IntoIterator<Item = (&'static str, u16, &'static str)>) -> Self {
        let answers = answers.into_iter().map(|(request, status, body)| Answer { request, status, body }).collect();
        Self { state: Mutex::new(State { answers, now: Timestamp::from_millis(1_700_000_000_000), bits: 0 }) }
    }

    /// Returns the number of answers that are left.
    pub fn left(&self) -> usize {
        self.state().answers.len()
    }

    fn answer(&self, exchange: &Exchange) -> Result<Response<Bytes>, TransportError> {
        let request = format!("{} {}", exchange.request().method(), exchange.request().uri().path());
        let unexpected = |expected: &str| {
            let message = format!("expected {expected}, got {request}");
            TransportError::new(TransportErrorKind::Unsupported, Delivery::NotSent, message)
        };
        let next = self.state().answers.pop_front();
        let answer = next.ok_or_else(|| unexpected("no more requests"))?;
        let status = StatusCode::from_u16(answer.status).map_err(|_| unexpected("a valid status"))?;
        if answer.request != request {
            return Err(unexpected(answer.request));
        }
        let mut response = Response::new(Bytes::from_static(answer.body.as_bytes()));
        *response.status_mut() = status;
        Ok(response)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport for Canned {
    fn send(&self, exchange: &Exchange) -> Result<Response<Bytes>, TransportError> {
        self.answer(exchange)
    }

    fn open(&self, exchange: &Exchange) -> Result<Opened, TransportError> {
        let response = self.answer(exchange)?;
        if response.status().is_success() {
            Ok(Opened::Streaming(response.map(|body| Box::new(CannedBody(body)) as Box<dyn StreamingBody>)))
        } else {
            Ok(Opened::Rejection(response))
        }
    }
}

impl Clock for Canned {
    fn now(&self) -> Timestamp {
        self.state().now
    }

    fn sleep_until(&self, at: Timestamp) {
        let mut state = self.state();
        state.now = state.now.max(at);
    }
}

impl Entropy for Canned {
    fn bits(&self) -> u128 {
        let mut state = self.state();
        state.bits += 1;
        state.bits
    }
}

#[derive(Debug)]
struct CannedBody(Bytes);

impl StreamingBody for CannedBody {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, TransportError> {
        let length = buffer.len().min(self.0.len());
        for (target, byte) in buffer.iter_mut().zip(self.0.split_to(length)) {
            *target = byte;
        }
        Ok(length)
    }
}
