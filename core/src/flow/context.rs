//! [`FlowContext`]: what a state machine gets from its runner.

use std::collections::VecDeque;
use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

use super::{Call, Config, Flow, Notice, Reply, Retry, SavedState, Step};
use crate::error::FlowError;
use crate::operation::{Operation, ServerVersion, Service};
use crate::seed::Seed;
use crate::time::Timestamp;
use crate::url::Base;

/// What a transition leads to: the next transition, or a step for the caller.
pub(crate) type Transition<T> = ControlFlow<Step<T>>;

/// What polling a child gives to its parent: the child's result, or a step to pass on.
pub(crate) type Polled<T, O> = ControlFlow<Step<T>, Result<O, FlowError>>;

/// Ends a machine with its result, or yields an event.
pub(crate) fn done<T, C>(result: Result<T, FlowError>) -> ControlFlow<Step<T>, C> {
    ControlFlow::Break(Step::Done(result))
}

/// Ends a machine if there is an error.
pub(crate) fn or_done<T, O>(result: Result<O, FlowError>) -> ControlFlow<Step<T>, O> {
    match result {
        Ok(value) => ControlFlow::Continue(value),
        Err(error) => ControlFlow::Break(Step::Done(Err(error))),
    }
}

/// The context of a state machine: configuration, clock, deadline, seed, notices and the reply.
pub struct FlowContext<S> {
    pub(super) config: Config<S>,
    pub(crate) seed: Seed,
    /// How long the whole flow may take, from its first poll.
    timeout: Option<Duration>,
    deadline: Option<Timestamp>,
    /// By how much the waits that the service asks for may still extend the deadline.
    pub(super) excuse: Duration,
    /// The phases of the flow, in the usual order.
    pub(super) phases: &'static [&'static str],
    started: bool,
    now: Timestamp,
    pub(super) reply: Option<Reply>,
    pub(super) notices: VecDeque<Notice>,
    /// What was observed last: of what, and its state.
    observed: Option<Box<(String, String)>>,
}

impl<S: Service> FlowContext<S> {
    pub(crate) fn new(config: &Config<S>, seed: Seed, timeout: Option<Duration>) -> Self {
        Self {
            config: config.clone(),
            seed,
            timeout,
            deadline: None,
            excuse: Duration::ZERO,
            phases: &[],
            started: false,
            now: Timestamp::UNIX_EPOCH,
            reply: None,
            notices: VecDeque::new(),
            observed: None,
        }
    }

    /// Ends the flow at this time at the latest.
    pub(crate) fn set_deadline(&mut self, deadline: Option<Timestamp>) {
        self.deadline = deadline;
    }

    /// Begins a poll: sets the time, and the deadline at the first poll.
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

    /// Returns the retries of calls.
    pub(crate) fn retry(&self) -> &Retry {
        self.config.retry()
    }

    /// Returns the base address of the service.
    pub(crate) fn base(&self) -> &Base {
        self.config.base()
    }

    /// Returns the version of the server, if it is known.
    pub(crate) fn server_version(&self) -> Option<ServerVersion> {
        self.config.server_version()
    }

    /// Remembers the version of the server, for all flows of the client.
    pub(crate) fn learn_server_version(&self, version: ServerVersion) {
        self.config.learn_server_version(version);
    }

    /// Runs `act` with an earlier deadline, if `at` is before the flow's deadline.
    pub(crate) fn until<T>(&mut self, at: Option<Timestamp>, act: impl FnOnce(&mut Self) -> T) -> T {
        let own = self.deadline;
        self.deadline = own.into_iter().chain(at).min();
        let result = act(self);
        self.deadline = own;
        result
    }

    /// Returns the deadline of the flow.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.deadline
    }

    /// Returns the earlier of the flow's deadline and `at`.
    pub(crate) fn no_later_than(&self, at: Timestamp) -> Timestamp {
        self.deadline.map_or(at, |deadline| deadline.min(at))
    }

    /// Returns the error if the deadline has passed.
    pub(crate) fn expired(&self, waiting: &'static str) -> Option<FlowError> {
        let at = self.deadline.filter(|at| *at <= self.now)?;
        Some(FlowError::Deadline { at, waiting, observed: self.observed(), last: None, evidence: None })
    }

    pub(crate) fn call<O: Operation<Service = S>>(&mut self, operation: O) -> Call<O> {
        Call::new(operation, &self.config, self.seed.split()).with_deadline(self.deadline).excusing(self.excuse)
    }

    /// Extends the flow's deadline by what the service asked a call to wait, if the goal allows it.
    pub(crate) fn excuse(&mut self, asked_to_wait: Duration) {
        let excused = asked_to_wait.min(self.excuse);
        self.excuse -= excused;
        self.deadline = self.deadline.map(|deadline| deadline + excused);
    }

    pub(crate) fn say(&mut self, notice: Notice) {
        if let Notice::Observed { what, state } = &notice {
            self.note(what.clone(), state.clone());
        }
        self.notices.push_back(notice);
    }

    /// Keeps an observation for the error that the timeout expired, without a notice.
    pub(crate) fn note(&mut self, what: String, state: String) {
        self.observed = Some(Box::new((what, state)));
    }

    pub(super) fn observed(&self) -> Option<String> {
        self.observed.as_deref().map(|(what, state)| format!("{what}: {state}"))
    }

    pub(crate) fn phase(&mut self, flow: &'static str, phase: &'static str) {
        self.say(Notice::numbered_phase(flow, phase, self.phases));
    }

    pub(crate) fn save(&mut self, saved: SavedState) {
        self.say(Notice::Persist(saved));
    }

    /// Polls a child with the reply, if there is one. `?` passes on every step but the child's result.
    pub(crate) fn poll<T, F: Flow + ?Sized>(&mut self, child: &mut F) -> Polled<T, F::Output> {
        child.poll(self.now, self.reply.take()).into_result()
    }

    /// Returns whether a reply has arrived that no child has taken yet.
    pub(crate) fn has_reply(&self) -> bool {
        self.reply.is_some()
    }

    /// Returns whether a reply to an exchange has arrived that no child has taken yet.
    pub(crate) fn has_exchange_reply(&self) -> bool {
        self.reply.as_ref().is_some_and(Reply::is_of_exchange)
    }

    /// Takes the reply, for a child whose steps the machine inspects before it passes them on.
    pub(crate) fn take_reply(&mut self) -> Option<Reply> {
        self.reply.take()
    }

    /// Sets the reply: the one just taken, or a reply that the machine made itself.
    pub(crate) fn put_reply(&mut self, reply: Reply) {
        self.reply = Some(reply);
    }

    /// Waits until `at`, or until the deadline, which the next request then reports. `?` returns the step.
    pub(crate) fn pause<T>(&self, at: Timestamp) -> Transition<T> {
        let at = self.no_later_than(at);
        // With a reply of another flow, the runner hands that back first.
        if at > self.now || self.reply.is_some() {
            return ControlFlow::Break(Step::WaitUntil(at));
        }
        ControlFlow::Continue(())
    }

    /// Waits until `at`, or ends the flow at the deadline. `?` returns the step.
    pub(crate) fn wait<T>(&self, at: Timestamp, waiting: &'static str) -> Transition<T> {
        match self.wait_or_expire(at, waiting)? {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => done(Err(error)),
        }
    }

    /// Waits until `at` like [`wait`](Self::wait), but gives the error of the deadline to the machine.
    pub(crate) fn wait_or_expire<T>(&self, at: Timestamp, waiting: &'static str) -> Polled<T, ()> {
        match self.expired(waiting) {
            // With a reply of another flow, the runner hands that back first.
            _ if self.reply.is_some() => ControlFlow::Break(Step::WaitUntil(self.no_later_than(at))),
            Some(error) => ControlFlow::Continue(Err(error)),
            None if at > self.now => ControlFlow::Break(Step::WaitUntil(self.no_later_than(at))),
            None => ControlFlow::Continue(Ok(())),
        }
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
