//! [`Schedule`]: when a driver polls a flow.
//!
//! The contract of [`Flow`] allows a driver to poll more often than the flow asks, to poll late, and to pass replies
//! that belong to another flow. None of these may change the result of the flow. [`World::run_with_schedule`] drives a
//! flow in these ways, and panics if the flow breaks the contract:
//!
//! ```
//! use std::time::Duration;
//!
//! use pipewright::driver::NoCredentials;
//! use pipewright::flink::{FlinkRest, JobId, TakeSavepoint};
//! use pipewright::flow::{Config, Goal};
//! use pipewright::Seed;
//! use pipewright_mock::schedule::{Schedule, Turn, class_of};
//! use pipewright_mock::{World, flink};
//!
//! let class = |schedule: &Schedule| {
//!     let world = World::new(42);
//!     let cluster = world.flink("http://flink.test:8081".parse()?, flink::Config::default());
//!     let config = Config::<FlinkRest>::new(cluster.base());
//!     let flow = TakeSavepoint::new(JobId::from_bits(7)).start(&config, Seed::new(1));
//!     Ok::<_, pipewright::error::BuildError>(class_of(&world.run_with_schedule(flow, &NoCredentials, schedule)))
//! };
//! let schedule = Schedule::new([Turn::Again(3), Turn::Stray, Turn::Late(Duration::from_millis(20)), Turn::Early(50)]);
//! assert_eq!(class(&schedule)?, class(&Schedule::default())?);
//! # Ok::<(), pipewright::error::BuildError>(())
//! ```
//!
//! The feature `proptest` has a strategy for schedules, `strategies::schedule`.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use pipewright::Timestamp;
use pipewright::driver::{Clock as _, Credentials};
use pipewright::error::{FlowError, Misuse};
use pipewright::flow::{Flow, Reply, Step};

use super::{Pending, World};
use crate::conformance::probe::Ask;

/// A list of turns: one for each wait of the flow, in order. After the last turn, the driver polls as the flow asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    turns: Vec<Turn>,
}

/// What a driver does while a flow waits for a reply or a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Polls as the flow asks.
    Prompt,
    /// Polls this many additional times, at once. If the flow has failed, checks that it fails again with the same
    /// error.
    Again(u8),
    /// Polls once more after this percentage of the wait.
    Early(u8),
    /// Passes a reply of another flow first.
    Stray,
    /// Polls this much later. A reply is passed before its exchange times out. A reply that arrives at that moment is
    /// passed afterwards, when the flow no longer expects it.
    Late(Duration),
}

impl Schedule {
    /// Creates a schedule of these turns.
    pub fn new(turns: impl IntoIterator<Item = Turn>) -> Self {
        Self { turns: turns.into_iter().collect() }
    }

    /// Returns the turns, in order.
    pub fn turns(&self) -> &[Turn] {
        &self.turns
    }
}

/// Returns the class of a result, such as `done`, `ambiguous` or `deadline`. No schedule may change the class of a
/// flow's result.
pub fn class_of<T>(result: &Result<T, FlowError>) -> &'static str {
    match result {
        Ok(_) => "done",
        Err(FlowError::Build(_)) => "build",
        Err(FlowError::Credential(_)) => "credential",
        Err(FlowError::Transport(_)) => "transport",
        Err(FlowError::Service(_)) => "service",
        Err(FlowError::Ambiguous(_)) => "ambiguous",
        Err(FlowError::Failed(_)) => "failed",
        Err(FlowError::Deadline { .. }) => "deadline",
        Err(FlowError::Misuse(_)) => "misuse",
        Err(_) => "other",
    }
}

impl World {
    /// Runs a flow to its end, and polls it as the schedule says.
    ///
    /// A [late](Turn::Late) turn takes virtual time. So the flow may miss its deadline, and the service may advance in
    /// the meantime.
    ///
    /// # Errors
    /// The error of the flow.
    ///
    /// # Panics
    /// If the flow breaks the contract of [`Flow`]: it accepts a reply of another flow, advances because of an
    /// additional poll, or fails with another error when it is polled after a failure.
    pub fn run_with_schedule<F: Flow>(
        &self,
        flow: F,
        credentials: &dyn Credentials,
        schedule: &Schedule,
    ) -> Result<F::Output, FlowError> {
        let mut driver =
            Driver { world: self, flow, turns: schedule.turns.iter().copied(), sent: None, others: Vec::new() };
        let result = driver.run(credentials);
        let others = driver.others;
        self.change(|network| network.unclaimed.extend(others));
        result
    }
}

struct Driver<'a, F, T> {
    world: &'a World,
    flow: F,
    turns: T,
    /// The outstanding exchange, and the time at which it times out.
    sent: Option<(Pending, Timestamp)>,
    /// Replies to exchanges that were submitted before this flow.
    others: Vec<(Pending, Reply)>,
}

impl<F: Flow, T: Iterator<Item = Turn>> Driver<'_, F, T> {
    fn run(&mut self, credentials: &dyn Credentials) -> Result<F::Output, FlowError> {
        let mut step = self.poll(None);
        loop {
            step = match step {
                Step::Send(exchange) if exchange.is_streaming() => return Err(FlowError::Misuse(Misuse::WrongMethod)),
                Step::Send(exchange) => {
                    let until = self.world.now() + exchange.timeout();
                    self.sent = Some((self.world.submit(exchange), until));
                    self.wait(until, "InFlight")
                }
                Step::InFlight { until } => self.wait(until, "InFlight"),
                Step::WaitUntil(at) => self.wait(at, "WaitUntil"),
                Step::Authorize(request) => {
                    let header = credentials.authorize(&request, self.world.now());
                    self.poll(Some(request.settle(header)))
                }
                Step::Notice(_) => self.poll(None),
                Step::Stray(_) => panic!("the flow gave back its own reply"),
                Step::Done(result) => {
                    self.ask_again(&result);
                    return result;
                }
            };
        }
    }

    fn poll(&mut self, reply: Option<Reply>) -> Step<F::Output> {
        self.flow.poll(self.world.now(), reply)
    }

    /// Waits for the outstanding reply or until a time, and returns the next step. `asked` names the last step.
    fn wait(&mut self, until: Timestamp, asked: &'static str) -> Step<F::Output> {
        let turn = self.turns.next().unwrap_or(Turn::Prompt);
        let now = self.world.now();
        match turn {
            Turn::Prompt | Turn::Late(_) => {}
            Turn::Again(times) => (0..times).for_each(|_| self.still(asked)),
            Turn::Stray => self.stray(decoy()),
            Turn::Early(percent) => {
                let part = until.since(now).mul_f64(f64::from(percent.min(99)) / 100.0);
                if let Some(reply) = self.reply_by(now + part) {
                    return self.poll(Some(reply));
                }
                if self.world.now() < until {
                    self.still(asked);
                }
            }
        }
        let late = if let Turn::Late(late) = turn { late } else { Duration::ZERO };
        let Some((_, patience)) = self.sent else {
            self.world.sleep_until(until + late);
            return self.poll(None);
        };
        let reply = self.reply_by(patience);
        if late > Duration::ZERO && self.world.now() >= patience {
            let step = self.poll(None);
            if let Some(reply) = reply {
                self.stray(reply);
            }
            return step;
        }
        let latest = Timestamp::from_unix(patience.as_unix().saturating_sub(Duration::from_micros(1)));
        self.world.sleep_until((self.world.now() + late).min(latest));
        self.poll(reply)
    }

    /// Returns the outstanding reply if it arrives by then.
    fn reply_by(&mut self, until: Timestamp) -> Option<Reply> {
        let (sent, _) = self.sent?;
        while let Some((pending, reply)) = self.world.next_reply(until) {
            if pending == sent {
                self.sent = None;
                return Some(reply);
            }
            self.others.push((pending, reply));
        }
        None
    }

    /// Polls although nothing is due: the flow must not advance.
    fn still(&mut self, asked: &'static str) {
        // A flow may still have notices before its first wait is over.
        loop {
            match self.poll(None) {
                Step::Notice(_) => {}
                step if name(&step) == asked => return,
                step => panic!("the flow advanced because of an additional poll: {} after {asked}", name(&step)),
            }
        }
    }

    /// Passes a reply that the flow does not expect: the flow must return it.
    fn stray(&mut self, reply: Reply) {
        let step = self.poll(Some(reply));
        assert!(matches!(step, Step::Stray(_)), "the flow accepted a reply of another flow: {}", name(&step));
    }

    fn ask_again(&mut self, result: &Result<F::Output, FlowError>) {
        let Err(error) = result else { return };
        let Some(Turn::Again(times)) = self.turns.next() else { return };
        for _ in 0..times {
            let Step::Done(Err(again)) = self.poll(None) else {
                panic!("the flow failed with {error}, and advanced when it was polled again")
            };
            assert_eq!(
                again.to_string(),
                error.to_string(),
                "the flow failed with another error when it was polled again"
            );
        }
    }
}

fn decoy() -> Reply {
    let exchange = Ask::get().exchange("decoy.invalid");
    exchange.settle(Ok(Response::new(Bytes::from_static(b"{}"))))
}

fn name<T>(step: &Step<T>) -> &'static str {
    match step {
        Step::Send(_) => "Send",
        Step::Authorize(_) => "Authorize",
        Step::WaitUntil(_) => "WaitUntil",
        Step::InFlight { .. } => "InFlight",
        Step::Notice(_) => "Notice",
        Step::Stray(_) => "Stray",
        Step::Done(_) => "Done",
    }
}
