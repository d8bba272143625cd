//! [`GoalFlow`]: the runner that the flows of all services share.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use super::{Call, Config, Flow, Notice, Reply, Retry, SavedState, Step};
use crate::error::{FlowError, Misuse};
use crate::operation::{Operation, Service};
use crate::seed::Seed;
use crate::time::Timestamp;
use crate::url::Base;

/// A flow towards a goal: the state machine of the goal, and the context that all state machines share.
///
/// Created by [`Goal::start`](super::Goal::start).
#[must_use = "a flow does nothing until it is polled"]
pub struct GoalFlow<M: StateMachine> {
    machine: M,
    cx: FlowContext<M::Service>,
    /// Held back until a stray reply or the last notice is out.
    held: Option<Step<M::Output>>,
    ended: Option<FlowError>,
}

/// The state machine of a goal. Sealed: all goals belong to this crate.
pub trait StateMachine {
    /// The service that it talks to.
    type Service: Service;
    /// The result of the goal.
    type Output;
    /// The goal's name, for notices and saved states.
    const NAME: &'static str;

    /// Advances as far as possible. Takes the reply if it belongs to one of the machine's calls.
    fn step(&mut self, cx: &mut FlowContext<Self::Service>, reply: &mut Option<Reply>) -> Step<Self::Output>;
}

/// The context of a state machine: configuration, clock, deadline, seed and notices.
pub struct FlowContext<S> {
    config: Config<S>,
    pub(crate) seed: Seed,
    /// How long the whole flow may take, from its first poll.
    timeout: Option<Duration>,
    deadline: Option<Timestamp>,
    /// By how much the waits that the service asks for may still move the deadline.
    excuse: Duration,
    started: bool,
    now: Timestamp,
    notices: VecDeque<Notice>,
    /// What was observed last: of what, and its state.
    observed: Option<(String, String)>,
}

impl<M: StateMachine> GoalFlow<M> {
    pub(crate) fn new(machine: M, config: &Config<M::Service>, seed: Seed, timeout: Option<Duration>) -> Self {
        Self { machine, cx: FlowContext::new(config, seed, timeout), held: None, ended: None }
    }

    pub(crate) fn machine(&self) -> &M {
        &self.machine
    }

    /// Ends the flow at this moment at the latest, whatever else it is given.
    pub fn with_deadline(mut self, deadline: impl Into<Option<Timestamp>>) -> Self {
        self.cx.set_deadline(deadline.into());
        self
    }

    /// Moves the deadline by the waits that the service asks for, by this much altogether at most.
    pub(crate) fn excusing(mut self, at_most: Duration) -> Self {
        self.cx.excuse = at_most;
        self
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.cx.deadline()
    }
}

impl<M: StateMachine> Flow for GoalFlow<M> {
    type Output = M::Output;

    fn poll(&mut self, now: Timestamp, reply: Option<Reply>) -> Step<M::Output> {
        if let Some(error) = &self.ended {
            return reply.map_or_else(|| Step::Done(Err(error.clone())), Step::Stray);
        }
        self.cx.tick(now);
        let mut reply = reply;
        let step = match self.held.take() {
            Some(step) => step,
            None => self.machine.step(&mut self.cx, &mut reply),
        };
        if let Some(stray) = reply {
            // Nothing is outstanding that it could have been for.
            self.held = Some(step);
            return Step::Stray(stray);
        }
        let Step::Done(mut result) = step else { return step };
        // A call knows only its own operation.
        if let Err(FlowError::Deadline { observed: observed @ None, .. }) = &mut result {
            *observed = self.cx.observed();
        }
        if let Some(notice) = self.cx.next_notice(None) {
            self.held = Some(Step::Done(result));
            return Step::Notice(notice);
        }
        self.ended = Some(result.as_ref().err().cloned().unwrap_or(FlowError::Misuse(Misuse::PolledAfterDone)));
        Step::Done(result)
    }
}

impl<S: Service> FlowContext<S> {
    pub(crate) fn new(config: &Config<S>, seed: Seed, timeout: Option<Duration>) -> Self {
        Self {
            config: config.clone(),
            seed,
            timeout,
            deadline: None,
            excuse: Duration::ZERO,
            started: false,
            now: Timestamp::UNIX_EPOCH,
            notices: VecDeque::new(),
            observed: None,
        }
    }

    /// Ends the flow at this moment at the latest.
    pub(crate) fn set_deadline(&mut self, deadline: Option<Timestamp>) {
        self.deadline = deadline;
    }

    /// What every poll begins with.
    pub(crate) fn tick(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        if !std::mem::replace(&mut self.started, true) {
            let own = self.timeout.map(|timeout| self.now + timeout);
            self.deadline = self.deadline.into_iter().chain(own).min();
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// How patient calls are.
    pub(crate) fn retry(&self) -> &Retry {
        self.config.retry()
    }

    /// Where the service is.
    pub(crate) fn base(&self) -> &Base {
        self.config.base()
    }

    /// Does something that has to end at this moment at the latest, if the flow does not end before.
    pub(crate) fn until<T>(&mut self, at: Option<Timestamp>, act: impl FnOnce(&mut Self) -> T) -> T {
        let own = self.deadline;
        self.deadline = own.into_iter().chain(at).min();
        let result = act(self);
        self.deadline = own;
        result
    }

    /// When the flow ends at the latest.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.deadline
    }

    /// The earlier one of the flow's deadline and another.
    pub(crate) fn no_later_than(&self, at: Timestamp) -> Timestamp {
        self.deadline.map_or(at, |deadline| deadline.min(at))
    }

    /// The time is up.
    pub(crate) fn expired(&self, waiting: &'static str) -> Option<FlowError> {
        let at = self.deadline.filter(|at| *at <= self.now)?;
        Some(FlowError::Deadline { at, waiting, observed: self.observed(), last: None, evidence: None })
    }

    pub(crate) fn call<O: Operation<Service = S>>(&mut self, operation: O) -> Call<O> {
        Call::new(operation, &self.config, self.seed.split()).with_deadline(self.deadline).excusing(self.excuse)
    }

    /// What the service has asked a call to wait moves the flow's deadline too, if it may be moved.
    pub(crate) fn excuse(&mut self, asked_to_wait: Duration) {
        let excused = asked_to_wait.min(self.excuse);
        self.excuse -= excused;
        self.deadline = self.deadline.map(|deadline| deadline + excused);
    }

    /// A child that is a goal of its own, with the same deadline.
    pub(crate) fn child<M: StateMachine<Service = S>>(&mut self, machine: M) -> GoalFlow<M> {
        GoalFlow::new(machine, &self.config, self.seed.split(), None).with_deadline(self.deadline)
    }

    pub(crate) fn say(&mut self, notice: Notice) {
        if let Notice::Observed { what, state } = &notice {
            self.note(what.clone(), state.clone());
        }
        self.notices.push_back(notice);
    }

    /// Keeps an observation for the error that the time is up, without a notice.
    pub(crate) fn note(&mut self, what: String, state: String) {
        self.observed = Some((what, state));
    }

    fn observed(&self) -> Option<String> {
        self.observed.as_ref().map(|(what, state)| format!("{what}: {state}"))
    }

    pub(crate) fn phase(&mut self, flow: &'static str, phase: &'static str) {
        self.say(Notice::Phase { flow, phase });
    }

    pub(crate) fn save(&mut self, saved: SavedState) {
        self.say(Notice::Persist(saved));
    }

    /// What must go out before anything else happens. A reply is taken first, so that it is never kept waiting.
    pub(crate) fn next_notice(&mut self, reply: Option<&Reply>) -> Option<Notice> {
        if reply.is_some() { None } else { self.notices.pop_front() }
    }

    /// The step of a machine that waits for a moment; `None` when it has come.
    pub(crate) fn wait_until<T>(
        &self,
        at: Timestamp,
        waiting: &'static str,
        reply: &mut Option<Reply>,
    ) -> Option<Step<T>> {
        if let Some(stray) = reply.take() {
            return Some(Step::Stray(stray));
        }
        if let Some(error) = self.expired(waiting) {
            return Some(Step::Done(Err(error)));
        }
        (at > self.now).then(|| Step::WaitUntil(self.no_later_than(at)))
    }
}

impl<M: StateMachine> fmt::Debug for GoalFlow<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("goal", &M::NAME)
            .field("common", &self.cx)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl<S: Service> fmt::Debug for FlowContext<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlowContext")
            .field("config", &self.config)
            .field("now", &self.now)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
