//! The network between flows and services: the clock, and all requests and responses in transit.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, Response};
use pipewright::error::{Delivery, TransportError, TransportErrorKind};
use pipewright::flow::{Exchange, Reply};
use pipewright::{Seed, Timestamp};

use super::Pending;
use super::mount::{Mount, Service, key};
use super::trace::Trace;
use crate::event::{Event, Incident, Outcome};
use crate::fault::answer::Answer;
use crate::fault::{Fault, FaultPlan};
use crate::random::between;
use crate::streaming::OpenBody;

pub(super) struct Network {
    pub(super) now: Timestamp,
    /// Draws latencies, the order of simultaneous events, and how streaming bodies are split.
    pub(super) seed: Seed,
    /// Draws the entropy of flows. A separate generator, so that neither sequence changes the other.
    pub(super) entropy: Seed,
    pub(super) latency: RangeInclusive<Duration>,
    pub(super) plan: FaultPlan,
    pub(super) services: BTreeMap<String, Mount>,
    pub(super) trace: Trace,
    /// Submitted exchanges without a reply.
    pub(super) submitted: BTreeMap<u64, Exchange>,
    /// Replies to submitted exchanges that arrived while no caller waited.
    pub(super) unclaimed: VecDeque<(Pending, Reply)>,
    queue: BTreeMap<Moment, Due>,
    sent: u64,
    moments: u64,
}

/// The order of events: by time, then by a random number, then by age.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(Timestamp, u64, u64);

enum Due {
    /// A request reaches its service.
    Arrival(Box<Trip>),
    /// A response has arrived, or the exchange has timed out.
    Return(Box<Trip>, Answer),
}

/// The result of a step.
enum Progress {
    /// Nothing is due.
    Idle,
    /// A request reached its service.
    Arrived,
    /// An exchange has its response or its error.
    Returned(u64, Answer),
}

/// An exchange in transit.
#[derive(Clone)]
struct Trip {
    number: u64,
    exchange: Head,
    sent: Timestamp,
    /// When the exchange times out.
    until: Timestamp,
    latency: Duration,
    fault: Option<Fault>,
    applied: Option<Timestamp>,
    /// The result that is still to be delivered.
    request: Option<Request<Bytes>>,
    /// Whether the flow has already seen a timeout.
    late: bool,
}

/// The parts of an exchange that transit and the trace need.
#[derive(Clone)]
struct Head {
    operation: &'static str,
    method: http::Method,
    uri: http::Uri,
    service: String,
    body_limit: u64,
    streaming: bool,
}

impl Head {
    fn new(exchange: &Exchange) -> Self {
        let request = exchange.request();
        let uri = request.uri().clone();
        let service = uri.authority().map(|authority| key(uri.scheme_str().unwrap_or("http"), authority));
        Self {
            operation: exchange.info().name,
            method: request.method().clone(),
            service: service.unwrap_or_default(),
            uri,
            body_limit: exchange.body_limit(),
            streaming: exchange.is_streaming(),
        }
    }
}

impl Network {
    pub(super) fn new(now: Timestamp, seed: u64) -> Self {
        let mut seed = Seed::new(u128::from(seed));
        Self {
            now,
            entropy: seed.split(),
            seed: seed.split(),
            latency: Duration::from_millis(2)..=Duration::from_millis(8),
            plan: FaultPlan::none(),
            services: BTreeMap::new(),
            trace: Trace::default(),
            submitted: BTreeMap::new(),
            unclaimed: VecDeque::new(),
            queue: BTreeMap::new(),
            sent: 0,
            moments: 0,
        }
    }

    /// Sends an exchange, and returns its number.
    pub(super) fn send(&mut self, exchange: &Exchange) -> u64 {
        self.sent += 1;
        let head = Head::new(exchange);
        let latency = between(&mut self.seed, &self.latency);
        let fault = self.plan.next(self.now, head.operation, &head.method, head.uri.path());
        let mut trip = Trip {
            number: self.sent,
            exchange: head,
            sent: self.now,
            until: self.now + exchange.timeout(),
            latency,
            fault,
            applied: None,
            request: None,
            late: false,
        };
        let halfway = self.now + latency / 2;
        // What is not sent is known not to be, however little time there is.
        let rejected = halfway.min(trip.until);
        let not_sent = |kind, message| Answer::failure(kind, Delivery::NotSent, message);
        let body = exchange.request().body().read();
        match (body, fault) {
            (Err(error), _) => {
                let answer = not_sent(TransportErrorKind::Source, error.to_string());
                self.push(self.now, Due::Return(Box::new(trip), answer));
            }
            (Ok(_), Some(Fault::NotSent)) => {
                let message = format!("{} refused the connection", trip.exchange.service);
                self.give_back(trip, rejected, not_sent(TransportErrorKind::Connect, message));
            }
            (Ok(_), _) if !self.services.contains_key(&trip.exchange.service) => {
                let message = format!("nothing is mounted at {}", trip.exchange.service);
                self.give_back(trip, rejected, not_sent(TransportErrorKind::Resolve, message));
            }
            (Ok(body), fault) => {
                let mut request = Request::new(body);
                *request.method_mut() = trip.exchange.method.clone();
                *request.uri_mut() = trip.exchange.uri.clone();
                *request.headers_mut() = exchange.request().headers().clone();
                // Whatever moves bytes says so by itself.
                let host = trip.exchange.uri.authority().and_then(|host| HeaderValue::try_from(host.as_str()).ok());
                if let Some(host) = host {
                    request.headers_mut().entry(HOST).or_insert(host);
                }
                let delay = match fault {
                    Some(Fault::DelayRequest(delay)) => delay,
                    _ => Duration::ZERO,
                };
                let arrival = halfway + delay;
                if arrival > trip.until {
                    self.time_out(trip.clone());
                    trip.late = true;
                }
                trip.request = Some(request);
                self.push(arrival, Due::Arrival(Box::new(trip)));
            }
        }
        self.sent
    }

    /// Handles the next event that is due by `until`, and sets the clock to its time.
    fn step(&mut self, until: Timestamp) -> Progress {
        let Some(first) = self.queue.first_entry().filter(|first| first.key().0 <= until) else {
            return Progress::Idle;
        };
        let (Moment(at, ..), due) = first.remove_entry();
        self.now = self.now.max(at);
        match due {
            Due::Arrival(trip) => {
                self.arrive(*trip);
                Progress::Arrived
            }
            Due::Return(trip, answer) => {
                let Trip { number, exchange, sent, fault, applied, .. } = *trip;
                let Head { operation, method, uri, .. } = exchange;
                let outcome = match &answer.result {
                    Ok(response) => Outcome::Answer(response.status()),
                    Err(error) => Outcome::Failure(error.kind(), error.delivery()),
                };
                let what = Incident::Exchange { number, operation, method, uri, sent, applied, outcome, fault };
                self.record(what);
                Progress::Returned(number, answer)
            }
        }
    }

    /// Handles events until a reply arrives. If none arrives before `until`, sets the clock to `until` and returns
    /// `None`.
    pub(super) fn next(&mut self, until: Timestamp) -> Option<(u64, Answer)> {
        let from = self.now;
        loop {
            match self.step(until) {
                Progress::Returned(number, answer) => return Some((number, answer)),
                Progress::Arrived => {}
                Progress::Idle if until > self.now => {
                    self.now = until;
                    self.record(Incident::Wait { from });
                    return None;
                }
                Progress::Idle => return None,
            }
        }
    }

    /// Settles the submitted exchange of this number with its result.
    pub(super) fn settle(&mut self, number: u64, answer: Answer) -> Option<(Pending, Reply)> {
        let exchange = self.submitted.remove(&number)?;
        let result = if exchange.is_streaming() { Err(unsupported()) } else { answer.result };
        Some((Pending(number), exchange.settle(result)))
    }

    pub(super) fn restart(&mut self, service: &str, downtime: Duration) {
        if let Some(mount) = self.services.get(service) {
            mount.restart(self.now, downtime);
            self.record(Incident::Restart { service: service.to_owned(), downtime });
        }
    }

    fn arrive(&mut self, mut trip: Trip) {
        let request = trip.request.take().filter(|_| trip.fault.is_none_or(Fault::applied));
        let mount = self.services.get(&trip.exchange.service);
        if mount.is_some_and(|mount| mount.is_down(self.now)) {
            if !trip.late {
                let message = format!("{} refused the connection", trip.exchange.service);
                let answer = Answer::failure(TransportErrorKind::Connect, Delivery::NotSent, message);
                self.give_back(trip, self.now, answer);
            }
            return;
        }
        let mut delay = Duration::ZERO;
        let response = request.zip(mount).and_then(|(request, mount)| {
            if trip.fault == Some(Fault::DeliveredTwice) {
                mount.handle(self.now, request.clone());
            }
            if let Some(Fault::LeaderLost { downtime }) = trip.fault {
                let response = mount.handle(self.now, request.clone());
                let (after, response) = mount.lose_leader(self.now, downtime, &request, response)?;
                delay = after;
                return Some(response);
            }
            Some(mount.handle(self.now, request))
        });
        let open = response.as_ref().and_then(open_body);
        if response.is_some() || matches!(trip.fault, Some(Fault::LeaderLost { .. })) {
            trip.applied = Some(self.now);
        }
        if let Some(Fault::Restart { downtime, .. }) = trip.fault {
            self.restart(&trip.exchange.service, downtime);
        }
        if let Some(Fault::LeaderLost { downtime }) = trip.fault {
            self.record(Incident::Restart { service: trip.exchange.service.clone(), downtime });
        }
        if trip.late {
            self.close(&trip.exchange.service, open);
            return self.record(Incident::Late { number: trip.number, operation: trip.exchange.operation });
        }
        if let Some(Fault::DelayReply(by)) = trip.fault {
            delay = by;
        }
        let back = self.now + trip.latency.saturating_sub(trip.latency / 2) + delay;
        let Head { body_limit, streaming, .. } = trip.exchange;
        let answer = Answer::spoilt(trip.fault, response, streaming, back).bounded(body_limit, streaming);
        // A client that never gets the answer does not read on.
        let arrives =
            streaming && back <= trip.until && answer.result.as_ref().is_ok_and(|answer| open_body(answer) == open);
        self.close(&trip.exchange.service, open.filter(|_| !arrives));
        self.give_back(trip, back, answer);
    }

    /// Schedules the arrival of a response, or a timeout if the response would arrive too late.
    fn give_back(&mut self, trip: Trip, at: Timestamp, answer: Answer) {
        if at <= trip.until {
            self.push(at, Due::Return(Box::new(trip), answer));
        } else {
            self.time_out(trip);
        }
    }

    fn time_out(&mut self, trip: Trip) {
        let message = format!("no answer within {:?}", trip.until.since(trip.sent));
        let answer = Answer::failure(TransportErrorKind::Timeout, Delivery::Unknown, message);
        self.push(trip.until, Due::Return(Box::new(trip), answer));
    }

    /// Returns the service that is mounted at an address.
    pub(super) fn service(&self, uri: &http::Uri) -> Option<Arc<Mutex<dyn Service>>> {
        let key = key(uri.scheme_str().unwrap_or("http"), uri.authority()?);
        self.services.get(&key).map(Mount::service)
    }

    /// Handles the first event that is due, if any. Keeps a reply for the caller.
    pub(super) fn happen(&mut self, until: Timestamp) -> bool {
        let due = self.queue.first_key_value().is_some_and(|(moment, _)| moment.0 <= until);
        if let Progress::Returned(number, answer) = self.step(until) {
            let reply = self.settle(number, answer);
            self.unclaimed.extend(reply);
        }
        due
    }

    fn close(&self, service: &str, open: Option<OpenBody>) {
        if let Some((mount, body)) = self.services.get(service).zip(open) {
            mount.close(self.now, body);
        }
    }

    /// Returns a random number that orders simultaneous events.
    pub(super) fn lot(&mut self) -> u64 {
        self.seed.next_u64()
    }

    fn push(&mut self, at: Timestamp, due: Due) {
        self.moments += 1;
        let moment = Moment(at, self.lot(), self.moments);
        self.queue.insert(moment, due);
    }

    fn record(&mut self, what: Incident) {
        self.trace.push(Event { at: self.now, what });
    }
}

pub(super) fn open_body(response: &Response<Bytes>) -> Option<OpenBody> {
    response.extensions().get().copied()
}

fn unsupported() -> TransportError {
    let message = "an exchange with a streaming body is opened, and not submitted";
    TransportError::new(TransportErrorKind::Unsupported, Delivery::Unknown, message)
}
