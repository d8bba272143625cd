//! [`World`]: a virtual clock with simulated services and a plan of faults.
//!
//! ```text
//!    flow              World                        service
//!     │  exchange        │                             │
//!     ├─────────────────▶│ fault drawn, number given   │
//!     │                  ├── half of the latency ─────▶│ handle(now, request)
//!     │                  │◀───── the other half ───────┤
//!     │  answer, or what │                             │
//!     │◀─────────────────┤ the fault makes of it       │
//! ```
//!
//! Time moves only when a caller waits for an answer or for a time. Nothing sleeps. Two worlds with the same seed,
//! services, plan and flows give the same run to the last byte.

mod mount;
mod network;
mod run;
pub mod schedule;
mod streaming;
mod trace;

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use pipewright::Timestamp;
use pipewright::driver::{Clock, Entropy, Opened, Transport};
use pipewright::error::{Delivery, TransportError, TransportErrorKind};
use pipewright::flow::{Exchange, Reply};

pub use self::mount::{FelderaHandle, FlinkHandle, Mounted, Service, SnowpipeHandle, SqlGatewayHandle};

use self::network::Network;
use crate::event::Event;
use crate::fault::FaultPlan;
use crate::fault::answer::Answer;

/// The time at which every world and every script begins: 2026-01-01T00:00:00Z.
pub const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// A virtual clock with simulated services and a plan of faults. Clones share all of it.
///
/// A world is a transport, a clock and a source of entropy in one value. It blocks like any blocking transport, but in
/// virtual time. To run many flows on one clock, use [`run_all`](Self::run_all), or write a loop around
/// [`submit`](Self::submit) and [`next_reply`](Self::next_reply).
#[derive(Clone)]
pub struct World {
    network: Arc<Mutex<Network>>,
}

/// The number of a [submitted](World::submit) exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pending(u64);

impl World {
    /// Creates a world without services and faults. All randomness comes from the seed.
    pub fn new(seed: u64) -> Self {
        Self { network: Arc::new(Mutex::new(Network::new(START, seed))) }
    }

    /// Sets the plan of faults for exchanges from now on.
    pub fn set_faults(&self, plan: FaultPlan) {
        self.change(|network| network.plan = plan);
    }

    /// Sets how long an exchange without a fault takes; 2 to 8 ms by default. The request arrives after half of this
    /// time.
    pub fn set_latency(&self, range: RangeInclusive<Duration>) {
        self.change(|network| network.latency = range);
    }

    /// Returns the events so far, oldest first.
    pub fn trace(&self) -> Vec<Event> {
        self.change(|network| network.trace.events.iter().cloned().collect())
    }

    /// Sets how many of the latest events are kept; 100 000 by default.
    pub fn keep_trace(&self, events: usize) {
        self.change(|network| {
            network.trace.keeps = events;
            network.trace.shorten();
        });
    }

    /// Calls a function with every event from now on.
    ///
    /// ```
    /// # let world = pipewright_mock::World::new(1);
    /// world.on_event(|event| println!("{event}"));
    /// ```
    pub fn on_event(&self, watcher: impl Fn(&Event) + Send + Sync + 'static) {
        self.change(|network| network.trace.watcher = Some(Arc::new(watcher)));
    }

    /// Sends an exchange without waiting for its reply. A streaming exchange cannot be submitted: its reply is the
    /// error [`Unsupported`](pipewright::error::TransportErrorKind::Unsupported).
    pub fn submit(&self, exchange: Exchange) -> Pending {
        self.change(|network| {
            let number = network.send(&exchange);
            network.submitted.insert(number, exchange);
            Pending(number)
        })
    }

    /// Waits for the next reply to a submitted exchange, but not beyond `until`. The clock then shows the time of the
    /// reply, or `until` if the result is `None`.
    pub fn next_reply(&self, until: Timestamp) -> Option<(Pending, Reply)> {
        self.change(|network| {
            if let Some(reply) = network.unclaimed.pop_front() {
                return Some(reply);
            }
            let (number, answer) = network.next(until)?;
            network.settle(number, answer)
        })
    }

    /// Sends an exchange and waits for what comes of it.
    fn execute(&self, exchange: &Exchange) -> Answer {
        self.change(|network| {
            let sent = network.send(exchange);
            while let Some((number, answer)) = network.next(Timestamp::MAX) {
                if number == sent {
                    return answer;
                }
                let reply = network.settle(number, answer);
                network.unclaimed.extend(reply);
            }
            unreachable!("whatever is sent comes back, if only as a timeout")
        })
    }

    fn restart(&self, service: &str, downtime: Duration) {
        self.change(|network| network.restart(service, downtime));
    }

    /// Changes the network, and then shows the watcher what happened.
    fn change<T>(&self, change: impl FnOnce(&mut Network) -> T) -> T {
        let mut network = lock(&self.network);
        let result = change(&mut network);
        let unseen = network.trace.unseen();
        drop(network);
        if let Some((watcher, events)) = unseen {
            for event in &events {
                watcher(event);
            }
        }
        result
    }
}

impl Transport for World {
    fn send(&self, exchange: &Exchange) -> Result<Response<Bytes>, TransportError> {
        self.execute(exchange).result
    }

    /// The body of a success comes in chunks of any length, and as time passes: reading sets the clock forward to when
    /// there is something to read. A body on which nothing will ever come again fails as timed out.
    fn open(&self, exchange: &Exchange) -> Result<Opened, TransportError> {
        let Answer { result, cut } = self.execute(exchange);
        let response = result?;
        if !response.status().is_success() {
            return Ok(Opened::Rejection(response));
        }
        let end = cut.then(|| {
            let message = "the connection was reset in the middle of the body";
            TransportError::new(TransportErrorKind::Closed, Delivery::Unknown, message).with_status(response.status())
        });
        let open = network::open_body(&response);
        let service = self.change(|network| network.service(exchange.request().uri()));
        let (head, body) = response.into_parts();
        let rest = open.zip(service).map(|(body, service)| streaming::Rest::new(body, service));
        let body = streaming::WorldBody::new(self.clone(), body, rest, end);
        Ok(Opened::Streaming(Response::from_parts(head, Box::new(body))))
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        lock(&self.network).now
    }

    /// Sets the clock forward; whatever is under way happens on the way there.
    fn sleep_until(&self, at: Timestamp) {
        self.change(|network| {
            while let Some((number, answer)) = network.next(at) {
                let reply = network.settle(number, answer);
                network.unclaimed.extend(reply);
            }
        });
    }
}

impl Entropy for World {
    fn bits(&self) -> u128 {
        lock(&self.network).entropy.next_u128()
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("now", &self.now()).finish_non_exhaustive()
    }
}

/// A test that panics while it looks at something leaves nothing half done here.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
