//! [`Many`]: thousands of flows on one thread.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::fmt;

use super::{CredentialRequest, Exchange, Flow, Notice, Reply, Step, Ticket};
use crate::error::{FlowError, Misuse};
use crate::time::Timestamp;

/// A set of flows for one event loop. It finds the flow that is due, and the flow that a reply belongs to.
///
/// Call [`poll`](Self::poll) until it returns [`ManyStep::Idle`]; then wait for the next reply or until the given time.
/// Pass each reply to [`settle`](Self::settle). Flows of different types share a set as `Box<dyn Flow<Output = …> +
/// Send>`.
///
/// A flow leaves the set when it ends: with an error, or after its result. An event flow stays until its last event.
/// After an event it is polled again, so give it work with [`get_mut`](Self::get_mut) before the next
/// [`poll`](Self::poll).
///
/// Each step costs the logarithm of the number of flows.
///
/// ```
/// use pipewright::Seed;
/// use pipewright::driver::{Canned, Clock as _, Transport as _};
/// use pipewright::flink::{AwaitJob, FlinkRest, JobId};
/// use pipewright::flow::{Config, Goal as _, Many, ManyStep};
///
/// # let runtime = Canned::new([
/// #     ("GET /v1/jobs/00000000000000000000000000000001/status", 200, r#"{"status":"FINISHED"}"#),
/// #     ("GET /v1/jobs/00000000000000000000000000000002/status", 200, r#"{"status":"RUNNING"}"#),
/// #     ("GET /v1/jobs/00000000000000000000000000000001/execution-result", 404, r#"{"errors":["gone"]}"#),
/// #     ("GET /v1/jobs/00000000000000000000000000000002/status", 200, r#"{"status":"FAILED"}"#),
/// #     ("GET /v1/jobs/00000000000000000000000000000002/execution-result", 404, r#"{"errors":["gone"]}"#),
/// # ]);
/// let config = Config::<FlinkRest>::new("http://127.0.0.1:8081".parse()?);
/// let mut jobs = Many::new();
/// for number in [1, 2] {
///     jobs.insert(AwaitJob::ended(JobId::from_bits(number)).start(&config, Seed::new(number)));
/// }
/// loop {
///     match jobs.poll(runtime.now()) {
///         // An event loop hands the exchange to a socket, and settles it when the answer is there.
///         ManyStep::Send(_, exchange) => {
///             let answer = runtime.send(&exchange);
///             jobs.settle(exchange.settle(answer));
///         }
///         ManyStep::Authorize(_, request) => unreachable!("{request:?}: no credentials are configured"),
///         ManyStep::Notice(_, notice) => println!("{notice}"),
///         ManyStep::Done(_, report) => println!("{:?}", report?),
///         ManyStep::Idle { until: Some(at) } => runtime.sleep_until(at),
///         // No reply is outstanding here, so all flows have ended.
///         ManyStep::Idle { until: None } => break,
///     }
/// }
/// assert_eq!(runtime.left(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Many<F> {
    slots: BTreeMap<FlowId, Slot<F>>,
    last: u64,
    /// Flows to poll now, each of them once.
    ready: VecDeque<FlowId>,
    /// When flows are to be polled without a reply. An entry counts only if its slot has the same time.
    timers: BinaryHeap<Reverse<(Timestamp, FlowId)>>,
    /// Which flow waits for which reply.
    waiting: BTreeMap<Ticket, FlowId>,
}

/// The id of a flow in a [`Many`]. A set never reuses an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId(u64);

/// What the event loop of a [`Many`] does next.
#[derive(Debug)]
#[must_use = "a dropped step is an exchange that never happens"]
pub enum ManyStep<T> {
    /// Execute this exchange, and settle the reply.
    Send(FlowId, Exchange),
    /// Find a credential, and settle the reply.
    Authorize(FlowId, CredentialRequest),
    /// Show this progress, or save this state before the next poll.
    Notice(FlowId, Notice),
    /// The result of a flow, or an event of an event flow.
    Done(FlowId, Result<T, FlowError>),
    /// Every flow waits. Poll again at this time, or after a reply; `None` if no flow waits for a time.
    Idle {
        /// When the first flow is due.
        until: Option<Timestamp>,
    },
}

struct Slot<F> {
    flow: F,
    reply: Option<Reply>,
    is_ready: bool,
    wake_at: Option<Timestamp>,
    ticket: Option<Ticket>,
    /// Whether it has returned a result or an event.
    has_yielded: bool,
}

impl<F: Flow> Many<F> {
    /// Creates an empty set.
    pub fn new() -> Self {
        Self {
            slots: BTreeMap::new(),
            last: 0,
            ready: VecDeque::new(),
            timers: BinaryHeap::new(),
            waiting: BTreeMap::new(),
        }
    }

    /// Adds a flow. The next [`poll`](Self::poll) starts it.
    pub fn insert(&mut self, flow: F) -> FlowId {
        self.last += 1;
        let id = FlowId(self.last);
        self.slots
            .insert(id, Slot { flow, reply: None, is_ready: false, wake_at: None, ticket: None, has_yielded: false });
        self.make_ready(id);
        id
    }

    /// Removes and returns a flow. [`settle`](Self::settle) returns its later replies.
    pub fn remove(&mut self, id: FlowId) -> Option<F> {
        let slot = self.slots.remove(&id)?;
        if let Some(ticket) = slot.ticket {
            self.waiting.remove(&ticket);
        }
        Some(slot.flow)
    }

    /// Returns how many flows have not ended. A flow counts until it is polled after its result.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns whether all flows have ended. A flow counts until it is polled after its result.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Returns a flow that has not ended.
    pub fn get(&self, id: FlowId) -> Option<&F> {
        self.slots.get(&id).map(|slot| &slot.flow)
    }

    /// Returns an event flow to give work to. The next [`poll`](Self::poll) polls it.
    pub fn get_mut(&mut self, id: FlowId) -> Option<&mut F> {
        self.make_ready(id);
        self.slots.get_mut(&id).map(|slot| &mut slot.flow)
    }

    /// Takes a reply. The next [`poll`](Self::poll) gives it to its flow.
    ///
    /// Returns the reply if no flow waits for it: its flow no longer waits, was removed, or belongs to another set.
    pub fn settle(&mut self, reply: Reply) -> Option<Reply> {
        let Some(id) = self.waiting.remove(&reply.ticket) else { return Some(reply) };
        if let Some(slot) = self.slots.get_mut(&id) {
            (slot.reply, slot.ticket) = (Some(reply), None);
            self.make_ready(id);
        }
        None
    }

    /// Polls the flows that are due, until one of them has a step.
    pub fn poll(&mut self, now: Timestamp) -> ManyStep<F::Output> {
        loop {
            while let Some(Reverse((at, id))) = self.timers.peek().copied().filter(|Reverse((at, _))| *at <= now) {
                self.timers.pop();
                if let Some(slot) = self.slots.get_mut(&id).filter(|slot| slot.wake_at == Some(at)) {
                    slot.wake_at = None;
                    self.make_ready(id);
                }
            }
            let Some(id) = self.ready.pop_front() else { return ManyStep::Idle { until: self.next_timer() } };
            let Some(slot) = self.slots.get_mut(&id) else { continue };
            slot.is_ready = false;
            match slot.flow.poll(now, slot.reply.take()) {
                Step::Send(exchange) => {
                    self.wait_for(id, exchange.ticket);
                    self.wake_at(id, now + exchange.timeout);
                    return ManyStep::Send(id, exchange);
                }
                Step::Authorize(request) => {
                    self.wait_for(id, request.ticket);
                    // Only the flow knows how long it waits.
                    self.make_ready(id);
                    return ManyStep::Authorize(id, request);
                }
                Step::WaitUntil(at) | Step::InFlight { until: at } => self.wake_at(id, at),
                Step::Notice(notice) => {
                    self.make_ready(id);
                    return ManyStep::Notice(id, notice);
                }
                // The flow no longer waits for this reply, but for another reply or for a time.
                Step::Stray(_) => self.make_ready(id),
                // Only the flow knows whether that was its last event.
                Step::Done(Ok(output)) => {
                    slot.has_yielded = true;
                    self.make_ready(id);
                    return ManyStep::Done(id, Ok(output));
                }
                Step::Done(Err(FlowError::Misuse(Misuse::PolledAfterDone))) if slot.has_yielded => {
                    self.remove(id);
                }
                Step::Done(Err(error)) => {
                    self.remove(id);
                    return ManyStep::Done(id, Err(error));
                }
            }
        }
    }

    /// Returns the first timer that is not outdated.
    fn next_timer(&mut self) -> Option<Timestamp> {
        while let Some(Reverse((at, id))) = self.timers.peek().copied() {
            if self.slots.get(&id).is_some_and(|slot| slot.wake_at == Some(at)) {
                return Some(at);
            }
            self.timers.pop();
        }
        None
    }

    fn make_ready(&mut self, id: FlowId) {
        if let Some(slot) = self.slots.get_mut(&id).filter(|slot| !slot.is_ready) {
            slot.is_ready = true;
            self.ready.push_back(id);
        }
    }

    fn wake_at(&mut self, id: FlowId, at: Timestamp) {
        let Some(slot) = self.slots.get_mut(&id) else { return };
        if slot.wake_at.replace(at) != Some(at) {
            self.timers.push(Reverse((at, id)));
        }
        // Times that no longer count are dropped before they are most of the heap.
        if self.timers.len() > 2 * self.slots.len() + 64 {
            let slots = &self.slots;
            self.timers.retain(|Reverse((at, id))| slots.get(id).is_some_and(|slot| slot.wake_at == Some(*at)));
        }
    }

    fn wait_for(&mut self, id: FlowId, ticket: Ticket) {
        let Some(slot) = self.slots.get_mut(&id) else { return };
        if let Some(given_up) = slot.ticket.replace(ticket) {
            self.waiting.remove(&given_up);
        }
        self.waiting.insert(ticket, id);
    }
}

impl<F: Flow> Default for Many<F> {
    fn default() -> Self {
        Self::new()
    }
}

impl<F> fmt::Debug for Many<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Many")
            .field("flows", &self.slots.len())
            .field("ready", &self.ready.len())
            .finish_non_exhaustive()
    }
}
