//! [`Script`]: the exchanges that a test expects, in order, with their answers.

mod diff;
mod expectation;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use pipewright::driver::{Clock, Entropy, Opened, Transport};
use pipewright::error::{Delivery, TransportError, TransportErrorKind};
use pipewright::flow::Exchange;
use pipewright::{Seed, Timestamp};

pub use self::expectation::Expectation;

use self::diff::Seen;
use self::expectation::{Expected, Scripted};
use crate::streaming::Chunks;
use crate::world::{START, lock};

/// A list of expected exchanges, in order, with the response to each. Clones share the list.
///
/// A script is a transport, a clock and a source of entropy in one value. Its clock begins at [`START`], and moves only
/// when a caller waits or a [response takes time](Expectation::after). The entropy is the same in every script.
///
/// # Panics
/// A script panics, and so fails the test,
///
/// * if an exchange differs from the next expected exchange: the message has a diff;
/// * if an exchange follows the last expected exchange;
/// * if the last clone is dropped, or [`finish`](Self::finish) is called, while it still expects exchanges.
#[derive(Clone, Debug)]
pub struct Script {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    now: Timestamp,
    seed: Seed,
    expected: VecDeque<Expected>,
    /// The number of exchanges so far.
    seen: u64,
    /// An exchange was not as expected. Then the script does not report the remaining expectations.
    broken: bool,
}

impl Script {
    /// Creates a script without expectations.
    pub fn new() -> Self {
        let state = State { now: START, seed: Seed::new(0), expected: VecDeque::new(), seen: 0, broken: false };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Adds an expected exchange at the end. `target` is the path and query as they are sent. If it does not begin with
    /// a slash, it is the whole address.
    pub fn expect(self, method: &str, target: &str) -> Expectation {
        Expectation::new(self, method, target)
    }

    /// Checks that all expected exchanges were sent.
    ///
    /// # Panics
    /// If an expected exchange was not sent.
    #[track_caller]
    pub fn finish(self) {
        let left = std::mem::take(&mut lock(&self.state).expected);
        if let Some(message) = unmet(&left) {
            panic!("{message}");
        }
    }

    fn push(&self, expected: Expected) {
        lock(&self.state).expected.push_back(expected);
    }

    /// Takes the next expectation, and sets the clock forward by its delay.
    #[track_caller]
    fn next(&self, exchange: &Exchange) -> Result<Scripted, TransportError> {
        let seen = Seen::new(exchange);
        let mut state = lock(&self.state);
        state.seen += 1;
        let Expected { answer, delay, .. } = match diff::check(state.expected.pop_front(), &seen) {
            Ok(expected) => expected,
            Err(problem) => {
                state.broken = true;
                let number = state.seen;
                drop(state);
                panic!("exchange {number}, {}: {problem}", exchange.info().name);
            }
        };
        let patience = exchange.timeout();
        state.now = state.now + delay.min(patience);
        if delay > patience { Err(timeout(patience)) } else { answer }
    }
}

impl Default for Script {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if let Some(message) = unmet(&self.expected)
            && !self.broken
            && !std::thread::panicking()
        {
            panic!("{message}");
        }
    }
}

fn unmet(left: &VecDeque<Expected>) -> Option<String> {
    let lines: Vec<_> = left.iter().map(|expected| format!("  {} {}", expected.method, expected.target)).collect();
    (!left.is_empty()).then(|| format!("{} expected and never sent:\n{}", left.len(), lines.join("\n")))
}

fn timeout(after: Duration) -> TransportError {
    let message = format!("no answer within {after:?}");
    TransportError::new(TransportErrorKind::Timeout, Delivery::Unknown, message)
}

impl Transport for Script {
    #[track_caller]
    fn send(&self, exchange: &Exchange) -> Result<Response<Bytes>, TransportError> {
        let Scripted { head, chunks, end } = self.next(exchange)?;
        match end {
            None => Ok(head.map(|()| chunks.concat().into())),
            Some(error) => Err(error),
        }
    }

    #[track_caller]
    fn open(&self, exchange: &Exchange) -> Result<Opened, TransportError> {
        let Scripted { head, chunks, end } = self.next(exchange)?;
        if head.status().is_success() {
            return Ok(Opened::Streaming(head.map(|()| Box::new(Chunks::new(chunks, end)) as _)));
        }
        match end {
            None => Ok(Opened::Rejection(head.map(|()| chunks.concat().into()))),
            Some(error) => Err(error),
        }
    }
}

impl Clock for Script {
    fn now(&self) -> Timestamp {
        lock(&self.state).now
    }

    fn sleep_until(&self, at: Timestamp) {
        let mut state = lock(&self.state);
        state.now = state.now.max(at);
    }
}

impl Entropy for Script {
    fn bits(&self) -> u128 {
        lock(&self.state).seed.next_u128()
    }
}
