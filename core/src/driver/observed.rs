//! [`Observed`]: a runtime that reports each exchange to a listener.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};

use super::{Clock, Entropy, Opened, Transport};
use crate::error::TransportError;
use crate::flow::Exchange;
use crate::operation::OperationInfo;
use crate::time::Timestamp;

/// A runtime that reports each exchange to a listener, for metrics and logs of a whole program.
///
/// The listener gets every attempt of every flow, with or without an answer. For the progress of one flow, listen to
/// its notices.
///
/// ```
/// use pipewright::driver::{Canned, Observation, Observed};
/// use pipewright::flink::{Flink, JobId, jobs::GetJobStatus};
///
/// # let runtime = Canned::new([("GET /v1/jobs/00000000000000000000000000000007/status", 200, r#"{"status":"RUNNING"}"#)]);
/// let runtime = Observed::new(runtime, |seen: &Observation| {
///     // "GET /jobs/{jobid}/status" has few values, so that it may be the label of a metric.
///     let result = seen.result.map_or_else(|error| format!("{:?}", error.kind()), |status| status.to_string());
///     println!("{} {} {result} {:?}", seen.operation.method, seen.operation.path, seen.elapsed);
/// });
/// let flink = Flink::new("http://127.0.0.1:8081".parse()?, runtime);
/// flink.call(GetJobStatus::new(JobId::from_bits(7)))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Observed<R, L> {
    runtime: R,
    listener: L,
}

/// An exchange that has ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Observation<'a> {
    /// The operation: its name, method and path template.
    pub operation: &'static OperationInfo,
    /// The status of the response, or why no response came.
    pub result: Result<StatusCode, &'a TransportError>,
    /// The duration of the exchange, by the clock of the runtime; for a streaming exchange, until the head of the
    /// response.
    pub elapsed: Duration,
}

impl<R, L: Fn(&Observation<'_>)> Observed<R, L> {
    /// Wraps a runtime, and reports each exchange to `listener`.
    pub fn new(runtime: R, listener: L) -> Self {
        Self { runtime, listener }
    }
}

impl<R, L> Observed<R, L> {
    /// Returns the runtime.
    pub fn runtime(&self) -> &R {
        &self.runtime
    }
}

impl<R: Transport + Clock, L: Fn(&Observation<'_>)> Observed<R, L> {
    fn observe<T>(
        &self,
        exchange: &Exchange,
        send: impl FnOnce() -> Result<T, TransportError>,
        status: impl FnOnce(&T) -> StatusCode,
    ) -> Result<T, TransportError> {
        let began = self.runtime.now();
        let answer = send();
        let elapsed = self.runtime.now().since(began);
        (self.listener)(&Observation { operation: exchange.info(), result: answer.as_ref().map(status), elapsed });
        answer
    }
}

impl<R: Transport + Clock, L: Fn(&Observation<'_>)> Transport for Observed<R, L> {
    fn send(&self, exchange: &Exchange) -> Result<Response<Bytes>, TransportError> {
        self.observe(exchange, || self.runtime.send(exchange), Response::status)
    }

    fn open(&self, exchange: &Exchange) -> Result<Opened, TransportError> {
        let status = |opened: &Opened| match opened {
            Opened::Streaming(response) => response.status(),
            Opened::Rejection(response) => response.status(),
        };
        self.observe(exchange, || self.runtime.open(exchange), status)
    }
}

impl<R: Clock, L> Clock for Observed<R, L> {
    fn now(&self) -> Timestamp {
        self.runtime.now()
    }

    fn sleep_until(&self, at: Timestamp) {
        self.runtime.sleep_until(at);
    }
}

impl<R: Entropy, L> Entropy for Observed<R, L> {
    fn bits(&self) -> u128 {
        self.runtime.bits()
    }
}

impl<R: fmt::Debug, L> fmt::Debug for Observed<R, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observed").field("runtime", &self.runtime).finish_non_exhaustive()
    }
}
