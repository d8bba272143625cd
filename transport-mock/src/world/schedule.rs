//! [`Schedule`]: when a driver polls, where it is free to choose.
//!
//! The contract of [`Flow`] leaves a driver much freedom: it may poll more often than asked, be late, and hand in
//! replies that belong to another flow. None of that may change the result of a flow.
//! [`World::run_with_schedule`] drives a flow in just that way, and panics when the flow breaks its own side:
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

/// When a driver polls: a turn for each time that the flow waits for something. When they are used up it does what it
/// is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    turns: Vec<Turn>,
}

/// What a driver does when a flow waits for a reply or for a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// What it is asked for.
    Prompt,
    /// Polls so many times more, at once. Of a flow that has failed: checks whether it fails in the same way again.
    Again(u8),
    /// Polls once more when so many percent of the wait are over.
    Early(u8),
    /// Hands in a reply that is not the flow's before it continues.
    Stray,
    /// Is that late. A reply is still handed in before the flow stops waiting for it; one that comes just then is
    /// handed in afterwards, when the flow wants it no more.
    Late(Duration),
}

impl Schedule {
    /// These turns, in this order.
    pub fn new(turns: impl IntoIterator<Item = Turn>) -> Self {
        Self { turns: turns.into_iter().collect() }
    }

    /// The turns.
    pub fn turns(&self) -> &[Turn] {
        &self.turns
    }
}

/// The result of a flow, without the details: the outcomes that no schedule may change into each other.
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
    /// Runs a flow to its end as a [`Schedule`] says.
    ///
    /// Being [late](Turn::Late) takes time. So a flow with a deadline may miss it, and a service may have advanced in
    /// the meantime, as it may with any driver.
    ///
    /// # Errors
    /// The flow's.
    ///
    /// # Panics
    /// When the flow breaks the contract of [`Flow`]: it takes a reply that is not its own, advances because it was
    /// polled once more, or fails in another way when it is asked again.
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
    /// The exchange that is out, and when the flow stops waiting for it.
    sent: Option<(Pending, Timestamp)>,
    /// Replies to what others submitted before.
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

    /// Waits for the reply of what is out, or else for a moment; then the next step. `asked` is what the flow said.
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

    /// The reply of what is out, if it comes by then.
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

    /// Polls without need: the flow must not advance.
    fn still(&mut self, asked: &'static str) {
        // Until its first wait is over a flow may have something to say.
        loop {
            match self.poll(None) {
                Step::Notice(_) => {}
                step if name(&step) == asked => return,
                step => panic!("polled once more while it waited, the flow advanced: {} after {asked}", name(&step)),
            }
        }
    }

    /// Hands in a reply that is not the flow's, or not any more: the flow must give it back.
    fn stray(&mut self, reply: Reply) {
        let step = self.poll(Some(reply));
        assert!(matches!(step, Step::Stray(_)), "the flow took a reply that was not its own: {}", name(&step));
    }

    fn ask_again(&mut self, result: &Result<F::Output, FlowError>) {
        let Err(error) = result else { return };
        let Some(Turn::Again(times)) = self.turns.next() else { return };
        for _ in 0..times {
            let Step::Done(Err(again)) = self.poll(None) else { panic!("the flow failed with {error}, and advanced") };
            assert_eq!(again.to_string(), error.to_string(), "the flow failed in another way when it was asked again");
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
