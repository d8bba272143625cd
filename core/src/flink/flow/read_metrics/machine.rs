//! The transitions of [`ReadMetrics`](super::ReadMetrics) and [`ReadAggregatedMetrics`](super::ReadAggregatedMetrics), as
//! drawn in their module.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::scope::{Ask, Source};
use crate::error::BuildError;
use crate::flink::flow::PollInterval;
use crate::flink::{CommaList, FlinkRest};
use crate::flow::{FlowContext, Reply, StateMachine, Step, ready};
use crate::operation::Service as _;
use crate::time::Timestamp;
use crate::url::{Base, query_length};

/// The transitions of both goals.
#[doc(hidden)]
#[derive(Debug)]
pub struct MetricsMachine<S: Source> {
    source: S,
    /// Those that were asked for.
    names: Option<Vec<String>>,
    patience: Duration,
    /// When patience is over.
    until: Option<Timestamp>,
    pace: PollInterval,
    /// Names that were not asked for yet.
    pending: VecDeque<String>,
    /// Those of the request under way.
    asked: Vec<String>,
    /// How many names a request may have.
    at_most: usize,
    found: BTreeMap<String, S::Item>,
    state: State<S::Item>,
}

#[derive(Debug)]
enum State<T> {
    Start,
    Names(Box<dyn Ask<T>>),
    /// The names of a request that was answered with nothing: do all of them exist?
    Again(Box<dyn Ask<T>>),
    /// Asks for the first of the pending names.
    Next,
    Values(Box<dyn Ask<T>>),
    /// No name that was asked for exists.
    Empty,
    Wait(Timestamp),
}

fn cannot_be_sent(name: &str) -> bool {
    name.contains(',') || query_length(&name) > FlinkRest::MAX_REQUEST_LINE
}

impl<S: Source> MetricsMachine<S> {
    pub(super) fn new(source: S, names: Option<Vec<String>>, patience: Duration) -> Self {
        Self {
            source,
            names,
            patience,
            until: None,
            pace: PollInterval::START,
            pending: VecDeque::new(),
            asked: Vec::new(),
            at_most: usize::MAX,
            found: BTreeMap::new(),
            state: State::Start,
        }
    }

    /// The names to ask for, now that those that exist are known. A listed name with a comma cannot be asked for, which is no
    /// reason to keep the others back.
    fn choose(&mut self, listed: &[S::Item]) {
        let exists = |name: &str| listed.iter().any(|item| S::name(item) == name);
        self.pending = match &self.names {
            Some(names) => names.iter().filter(|name| exists(name)).cloned().collect(),
            None => listed.iter().map(S::name).filter(|name| !name.contains(',')).map(str::to_owned).collect(),
        };
        self.state = if listed.is_empty() { State::Empty } else { State::Next };
    }

    /// Asks again for names whose values did not come: for those that exist, and for fewer at a time if all of them do.
    fn choose_again(&mut self, listed: &[S::Item]) {
        let mut asked = std::mem::take(&mut self.asked);
        let before = asked.len();
        asked.retain(|name| listed.iter().any(|item| S::name(item) == name));
        if asked.len() == before {
            self.at_most = (before / 2).max(1);
        }
        for name in asked.into_iter().rev() {
            self.pending.push_front(name);
        }
        self.state = State::Next;
    }

    /// Takes as many of the pending names as fit into one request line, and at least one.
    fn take_names(&mut self, base: &Base) -> Result<CommaList<String>, BuildError> {
        let mut room = FlinkRest::MAX_REQUEST_LINE.saturating_sub(self.source.line(base)?);
        let mut names = Vec::new();
        while let Some(name) = self.pending.front().filter(|_| names.len() < self.at_most) {
            // A comma in between takes three bytes, once it is encoded.
            let length = query_length(name) + if names.is_empty() { 0 } else { 3 };
            if length > room && !names.is_empty() {
                break;
            }
            room = room.saturating_sub(length);
            names.extend(self.pending.pop_front());
        }
        self.asked.clone_from(&names);
        Ok(CommaList(names))
    }

    /// What was found, in the order that it was asked for.
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

    fn step(&mut self, cx: &mut FlowContext<FlinkRest>, reply: &mut Option<Reply>) -> Step<Vec<S::Item>> {
        loop {
            if let Some(notice) = cx.next_notice(reply.as_ref()) {
                return Step::Notice(notice);
            }
            match &mut self.state {
                State::Start => {
                    self.state = match &self.names {
                        Some(names) if names.is_empty() => State::Next,
                        // What cannot be sent is not looked for, but refused when it is asked for.
                        Some(names) if !S::ALL_OR_NOTHING || names.iter().any(|name| cannot_be_sent(name)) => {
                            self.pending = names.iter().cloned().collect();
                            State::Next
                        }
                        _ => State::Names(self.source.ask(None, cx)),
                    };
                }
                State::Names(call) => match ready!(call.poll(cx.now(), reply.take())) {
                    Ok(listed) => self.choose(&listed),
                    Err(error) => return Step::Done(Err(error)),
                },
                State::Again(call) => match ready!(call.poll(cx.now(), reply.take())) {
                    Ok(listed) => self.choose_again(&listed),
                    Err(error) => return Step::Done(Err(error)),
                },
                State::Next if self.pending.is_empty() => {
                    // None were found, although some were asked for.
                    if self.found.is_empty() && self.names.as_ref().is_none_or(|names| !names.is_empty()) {
                        self.state = State::Empty;
                    } else {
                        return Step::Done(Ok(self.result()));
                    }
                }
                State::Next => match self.take_names(cx.base()) {
                    Ok(names) => self.state = State::Values(self.source.ask(Some(names), cx)),
                    Err(error) => return Step::Done(Err(error.into())),
                },
                State::Values(call) => match ready!(call.poll(cx.now(), reply.take())) {
                    // A single one does not exist any more, or is no number.
                    Ok(metrics) if metrics.is_empty() && S::ALL_OR_NOTHING && self.asked.len() > 1 => {
                        self.state = State::Again(self.source.ask(None, cx));
                    }
                    Ok(metrics) => {
                        if !metrics.is_empty() {
                            self.at_most = usize::MAX;
                        }
                        self.found.extend(metrics.into_iter().map(|metric| (S::name(&metric).to_owned(), metric)));
                        self.state = State::Next;
                    }
                    Err(error) => return Step::Done(Err(error)),
                },
                State::Empty => {
                    let until = *self.until.get_or_insert(cx.now() + self.patience);
                    if cx.now() >= until {
                        return Step::Done(Ok(Vec::new()));
                    }
                    cx.phase(Self::NAME, "waiting until the JobManager has fetched metrics");
                    self.state = State::Wait(self.pace.next(cx.now()).min(until));
                }
                State::Wait(at) => {
                    if let Some(step) = cx.wait_until(*at, "metrics", reply) {
                        return step;
                    }
                    self.state = State::Start;
                }
            }
        }
    }
}
