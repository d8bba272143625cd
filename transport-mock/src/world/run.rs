//! Many flows on one clock.

use std::collections::{BTreeMap, BTreeSet};

use pipewright::Timestamp;
use pipewright::driver::{Clock as _, Credentials, NoCredentials};
use pipewright::error::{FlowError, Misuse};
use pipewright::flow::{Flow, Notice, Reply, Step};

use super::network::Network;
use super::{Pending, World};

impl World {
    /// Runs flows side by side in virtual time. Returns their results in the order of the flows.
    ///
    /// All flows start now. The world's seed decides the order of events at the same virtual time. To run flows of
    /// several types, pass them as `Box<dyn Flow<Output = …>>`.
    pub fn run_all<F: Flow>(&self, flows: impl IntoIterator<Item = F>) -> Vec<Result<F::Output, FlowError>> {
        self.run_all_with(flows, &NoCredentials, |_, _| {})
    }

    /// Runs flows as [`run_all`](Self::run_all) does, with credentials. `on_notice` gets each notice with the index of
    /// its flow.
    pub fn run_all_with<F: Flow>(
        &self,
        flows: impl IntoIterator<Item = F>,
        credentials: &dyn Credentials,
        on_notice: impl FnMut(usize, Notice),
    ) -> Vec<Result<F::Output, FlowError>> {
        let flows: Vec<F> = flows.into_iter().collect();
        let mut run = Run {
            world: self,
            credentials,
            on_notice,
            results: flows.iter().map(|_| None).collect(),
            flows,
            waiting: BTreeSet::new(),
            sent: BTreeMap::new(),
        };
        (0..run.flows.len()).for_each(|flow| run.wait(flow, self.now()));
        run.finish();
        run.results.into_iter().map(|result| result.unwrap_or(Err(FlowError::Misuse(Misuse::WrongReply)))).collect()
    }
}

struct Run<'a, F: Flow, N> {
    world: &'a World,
    credentials: &'a dyn Credentials,
    on_notice: N,
    flows: Vec<F>,
    results: Vec<Option<Result<F::Output, FlowError>>>,
    /// For each waiting flow: when to poll it, a random number for the order at equal times, and its index.
    waiting: BTreeSet<(Timestamp, u64, usize)>,
    /// The index of the flow that each outstanding exchange belongs to.
    sent: BTreeMap<Pending, usize>,
}

impl<F: Flow, N: FnMut(usize, Notice)> Run<'_, F, N> {
    fn finish(&mut self) {
        // Replies to exchanges that were submitted before.
        let mut others = Vec::new();
        while !self.waiting.is_empty() || !self.sent.is_empty() {
            let until = self.waiting.first().map_or(Timestamp::MAX, |(at, ..)| *at);
            match self.world.next_reply(until) {
                Some((pending, reply)) => match self.sent.remove(&pending) {
                    Some(flow) => self.poll(flow, Some(reply)),
                    None => others.push((pending, reply)),
                },
                None => match self.waiting.pop_first() {
                    Some((_, _, flow)) => self.poll(flow, None),
                    None => break,
                },
            }
        }
        self.world.change(|network| network.unclaimed.extend(others));
    }

    fn wait(&mut self, flow: usize, at: Timestamp) {
        let lot = self.world.change(Network::lot);
        self.waiting.insert((at, lot, flow));
    }

    /// Polls a flow until it waits or ends.
    fn poll(&mut self, flow: usize, mut reply: Option<Reply>) {
        let result = loop {
            let now = self.world.now();
            match self.flows[flow].poll(now, reply.take()) {
                Step::Send(exchange) if exchange.is_streaming() => break Err(FlowError::Misuse(Misuse::WrongMethod)),
                Step::Send(exchange) => {
                    self.sent.insert(self.world.submit(exchange), flow);
                    return;
                }
                Step::Authorize(request) => {
                    let header = self.credentials.authorize(&request, now);
                    reply = Some(request.settle(header));
                }
                Step::WaitUntil(at) | Step::InFlight { until: at } => return self.wait(flow, at),
                Step::Notice(notice) => (self.on_notice)(flow, notice),
                Step::Stray(_) => break Err(FlowError::Misuse(Misuse::WrongReply)),
                Step::Done(result) => break result,
            }
        };
        self.results[flow] = Some(result);
    }
}
