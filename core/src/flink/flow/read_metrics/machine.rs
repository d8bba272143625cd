//! The transitions of [`ReadMetrics`](super::ReadMetrics) and [`ReadAggregatedMetrics`](super::ReadAggregatedMetrics),
//! as drawn in their module.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::time::Duration;

use super::scope::{Request, Source};
use crate::error::BuildError;
use crate::flink::flow::PollInterval;
use crate::flink::{CommaList, FlinkRest};
use crate::flow::{FlowContext, StateMachine, Transition, done};
use crate::operation::Service as _;
use crate::time::Timestamp;
use crate::url::{Base, query_length};

/// The transitions of both goals.
#[derive(Debug)]
pub struct MetricsMachine<S: Source> {
    source: S,
    /// The names that the caller wants; `None` for all.
    names: Option<Vec<String>>,
    fetch_timeout: Duration,
    /// The time until which an empty answer is not final.
    until: Option<Timestamp>,
    pace: PollInterval,
    /// Names that were not requested yet.
    pending: VecDeque<String>,
    /// The names of the current request.
    requested: Vec<String>,
    /// The greatest number of names in a request.
    at_most: usize,
    found: BTreeMap<String, S::Item>,
    state: State<S::Item>,
}

#[derive(Debug)]
enum State<T> {
    Start,
    Names(Box<dyn Request<T>>),
    /// Lists the names after an empty answer, to find out which of the requested names exist.
    Again(Box<dyn Request<T>>),
    /// Requests the first of the pending names.
    Next,
    Values(Box<dyn Request<T>>),
    /// No requested name exists.
    Empty,
    Wait(Timestamp),
}

fn cannot_be_sent(name: &str) -> bool {
    name.contains(',') || query_length(&name) > FlinkRest::MAX_REQUEST_LINE
}

impl<S: Source> MetricsMachine<S> {
    pub(super) fn new(source: S, names: Option<Vec<String>>, fetch_timeout: Duration) -> Self {
        Self {
            source,
            names,
            fetch_timeout,
            until: None,
            pace: PollInterval::START,
            pending: VecDeque::new(),
            requested: Vec::new(),
            at_most: usize::MAX,
            found: BTreeMap::new(),
            state: State::Start,
        }
    }

    /// Chooses the names to request from the names that exist. A name with a comma cannot be requested, so it is left
    /// out.
    fn choose(&mut self, listed: &[S::Item]) {
        let exists = |name: &str| listed.iter().any(|item| S::name(item) == name);
        self.pending = match &self.names {
            Some(names) => names.iter().filter(|name| exists(name)).cloned().collect(),
            None => listed.iter().map(S::name).filter(|name| !name.contains(',')).map(str::to_owned).collect(),
        };
        self.state = if listed.is_empty() { State::Empty } else { State::Next };
    }

    /// Chooses the names to request after an empty answer: those that exist, and fewer at a time if all of them exist.
    fn choose_again(&mut self, listed: &[S::Item]) {
        let mut requested = std::mem::take(&mut self.requested);
        let before = requested.len();
        requested.retain(|name| listed.iter().any(|item| S::name(item) == name));
        if requested.len() == before {
            self.at_most = (before / 2).max(1);
        }
        for name in requested.into_iter().rev() {
            self.pending.push_front(name);
        }
        self.state = State::Next;
    }

    /// Takes as many of the pending names as fit into one request line, and at least one.
    fn take_names(&mut self, base: &Base) -> Result<CommaList<String>, BuildError> {
        let mut room = FlinkRest::MAX_REQUEST_LINE.saturating_sub(self.source.line(base)?);
        let mut names = Vec::new();
        while let Some(name) = self.pending.front().filter(|_| names.len() < self.at_most) {
            // An encoded comma takes three bytes.
            let length = query_length(name) + if names.is_empty() { 0 } else { 3 };
            if length > room && !names.is_empty() {
                break;
            }
            room = room.saturating_sub(length);
            names.extend(self.pending.pop_front());
        }
        self.requested.clone_from(&names);
        Ok(CommaList(names))
    }

    /// Returns the metrics that were found, in the order of the request.
    fn result(&mut self) -> Vec<S::Item> {
        let mut found = std::mem::take(&mut self.found);
        match &self.names {
            Some(names) => names.iter().filter_map(|name| found.remove(name)).collect(),
            None => found.into_values().collect(),
        }
    }
}

impl<S: Source> StateMachine for MetricsMachine<S> {
    type Service = FlinkRest;
    type Output = Vec<S::Item>;
    const NAME: &'static str = S::FLOW;

    fn transition(&mut self, cx: &mut FlowContext<FlinkRest>) -> Transition<Vec<S::Item>> {
        match &mut self.state {
            State::Start => {
                self.state = match &self.names {
                    Some(names) if names.is_empty() => State::Next,
                    // If a name cannot be sent, the names are not listed first: the request fails.
                    Some(names) if !S::ALL_OR_NOTHING || names.iter().any(|name| cannot_be_sent(name)) => {
                        self.pending = names.iter().cloned().collect();
                        State::Next
                    }
                    _ => State::Names(self.source.request(None, cx)),
                };
            }
            State::Names(call) => match cx.poll(call.as_mut())? {
                Ok(listed) => self.choose(&listed),
                Err(error) => return done(Err(error)),
            },
            State::Again(call) => match cx.poll(call.as_mut())? {
                Ok(listed) => self.choose_again(&listed),
                Err(error) => return done(Err(error)),
            },
            State::Next if self.pending.is_empty() => {
                // No metrics were found, although some were requested.
                if self.found.is_empty() && self.names.as_ref().is_none_or(|names| !names.is_empty()) {
                    self.state = State::Empty;
                } else {
                    return done(Ok(self.result()));
                }
            }
            State::Next => match self.take_names(cx.base()) {
                Ok(names) => self.state = State::Values(self.source.request(Some(names), cx)),
                Err(error) => return done(Err(error.into())),
            },
            State::Values(call) => match cx.poll(call.as_mut())? {
                // One of the metrics no longer exists, or its value is not a number.
                Ok(metrics) if metrics.is_empty() && S::ALL_OR_NOTHING && self.requested.len() > 1 => {
                    self.state = State::Again(self.source.request(None, cx));
                }
                Ok(metrics) => {
                    if !metrics.is_empty() {
                        self.at_most = usize::MAX;
                    }
                    self.found.extend(metrics.into_iter().map(|metric| (S::name(&metric).to_owned(), metric)));
                    self.state = State::Next;
                }
                Err(error) => return done(Err(error)),
            },
            State::Empty => {
                let until = *self.until.get_or_insert(cx.now() + self.fetch_timeout);
                if cx.now() >= until {
                    return done(Ok(Vec::new()));
                }
                cx.phase(Self::NAME, "waiting until the JobManager has fetched metrics");
                self.state = State::Wait(self.pace.next(cx.now()).min(until));
            }
            State::Wait(at) => {
                cx.wait(*at, "metrics")?;
                self.state = State::Start;
            }
        }
        ControlFlow::Continue(())
    }
}
