//! The runner that the flows of all services share: [`GoalFlow`] for the caller, [`StateMachine`] for each flow.
//!
//! A machine makes one transition at a time. The runner repeats that until there is a step for the caller, and does
//! what is the same for every flow:
//!
//! * Notices go out before the next transition, and before the result or the next event.
//! * A reply is given to the machine first. A reply that no transition takes is handed back as [`Step::Stray`].
//! * The end is sticky: polled again, the flow returns its error, or [`Misuse::PolledAfterDone`] after a success.
//! * The clock never goes back, and the deadline is the earlier of the goal's timeout and the caller's deadline.

use std::collections::VecDeque;
use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

use super::{Call, Config, Flow, Goal, Notice, Reply, Retry, SavedState, Step, Ticket};
use crate::error::{FlowError, Misuse};
use crate::operation::{Operation, Service};
use crate::seed::Seed;
use crate::time::Timestamp;
use crate::url::Base;

/// The flow of a goal. Created by [`Goal::start`].
#[must_use = "a flow does nothing until it is polled"]
pub struct GoalFlow<G: MachineGoal> {
    runner: Runner<G::Machine>,
}

/// A goal of this crate: names the state machine that reaches it.
pub trait MachineGoal: Goal {
    /// The state machine.
    type Machine: StateMachine<Service = Self::Service, Output = Self::Output>;
}

/// The transitions of a flow.
pub trait StateMachine {
    /// The service that it talks to.
    type Service: Service;
    /// The result of the goal, or one event of an event flow.
    type Output;
    /// The goal's name, for notices and saved states.
    const NAME: &'static str;
    /// The phases of the flow in the usual order, for the numbers in [`Notice::Phase`]; empty if they are not numbered.
    const PHASES: &'static [&'static str] = &[];

    /// Makes one transition: `Continue` if the next one can follow at once, `Break` with a step for the caller
    /// otherwise.
    ///
    /// The reply, if there is one, is in the context; [`FlowContext::poll`] gives it to a child.
    fn transition(&mut self, cx: &mut FlowContext<Self::Service>) -> Transition<Self::Output>;

    /// Whether the flow ends with this output. An event flow ends with its last event only.
    fn is_last(&self, _output: &Self::Output) -> bool {
        true
    }

    /// Adds what the flow knows to the error that it ends with.
    fn add_evidence(&mut self, error: FlowError) -> FlowError {
        error
    }
}

/// What a transition leads to: the next one, or a step for the caller.
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

/// A state machine with its context.
pub(crate) struct Runner<M: StateMachine> {
    machine: M,
    cx: FlowContext<M::Service>,
    /// What goes out when no reply and no notice is left. Boxed: it is large, and seldom there.
    held: Option<Box<Step<M::Output>>>,
    /// The exchange or credential request that is under way.
    outstanding: Option<Ticket>,
    ended: Option<End>,
}

/// How a flow has ended. The error is boxed: most flows succeed, and thousands of writers wait.
#[derive(Debug)]
enum End {
    Success,
    Failure(Box<FlowError>),
}

impl End {
    /// The error of every further poll.
    fn error(&self) -> &FlowError {
        match self {
            Self::Success => &FlowError::Misuse(Misuse::PolledAfterDone),
            Self::Failure(error) => error,
        }
    }
}

/// The context of a state machine: configuration, clock, deadline, seed, notices and the reply.
pub struct FlowContext<S> {
    config: Config<S>,
    pub(crate) seed: Seed,
    /// How long the whole flow may take, from its first poll.
    timeout: Option<Duration>,
    deadline: Option<Timestamp>,
    /// By how much the waits that the service asks for may still move the deadline.
    excuse: Duration,
    /// The phases of the flow, in the usual order.
    phases: &'static [&'static str],
    started: bool,
    now: Timestamp,
    reply: Option<Reply>,
    notices: VecDeque<Notice>,
    /// What was observed last: of what, and its state.
    observed: Option<Box<(String, String)>>,
}

impl<G: MachineGoal> GoalFlow<G> {
    pub(crate) fn new(machine: G::Machine, config: &Config<G::Service>, seed: Seed, timeout: Option<Duration>) -> Self {
        Self { runner: Runner::new(machine, config, seed, timeout) }
    }

    /// Ends the flow at this time at the latest, even if the goal's timeout is longer.
    pub fn with_deadline(mut self, deadline: impl Into<Option<Timestamp>>) -> Self {
        self.runner = self.runner.with_deadline(deadline);
        self
    }

    pub(crate) fn into_runner(self) -> Runner<G::Machine> {
        self.runner
    }
}

impl<G: MachineGoal> Flow for GoalFlow<G> {
    type Output = G::Output;

    fn poll(&mut self, now: Timestamp, reply: Option<Reply>) -> Step<G::Output> {
        self.runner.poll(now, reply)
    }
}

impl<G: MachineGoal> fmt::Debug for GoalFlow<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GoalFlow").field("runner", &self.runner).finish()
    }
}

impl<M: StateMachine> Runner<M> {
    pub(crate) fn new(machine: M, config: &Config<M::Service>, seed: Seed, timeout: Option<Duration>) -> Self {
        let cx = FlowContext { phases: M::PHASES, ..FlowContext::new(config, seed, timeout) };
        Self { machine, cx, held: None, outstanding: None, ended: None }
    }

    pub(crate) fn machine(&self) -> &M {
        &self.machine
    }

    /// The machine and its context, for what the caller of an event flow does between two polls.
    pub(crate) fn parts_mut(&mut self) -> (&mut M, &mut FlowContext<M::Service>) {
        (&mut self.machine, &mut self.cx)
    }

    /// The error that the flow has ended with: [`Misuse::PolledAfterDone`] after a success.
    pub(crate) fn ended(&self) -> Option<&FlowError> {
        self.ended.as_ref().map(End::error)
    }

    /// Ends the flow at this time at the latest.
    pub(crate) fn with_deadline(mut self, deadline: impl Into<Option<Timestamp>>) -> Self {
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

    /// A result or an event, once all notices are out.
    fn finish(&mut self, result: Result<M::Output, FlowError>) -> Step<M::Output> {
        let result = result.map_err(|mut error| {
            // A call knows only its own operation.
            if let FlowError::Deadline { observed: observed @ None, .. } = &mut error {
                *observed = self.cx.observed();
            }
            self.machine.add_evidence(error)
        });
        self.ended = match &result {
            Ok(output) if !self.machine.is_last(output) => None,
            Ok(_) => Some(End::Success),
            Err(error) => Some(End::Failure(Box::new(error.clone()))),
        };
        Step::Done(result)
    }
}

impl<M: StateMachine> Flow for Runner<M> {
    type Output = M::Output;

    fn poll(&mut self, now: Timestamp, reply: Option<Reply>) -> Step<M::Output> {
        if let Some(end) = &self.ended {
            return reply.map_or_else(|| Step::Done(Err(end.error().clone())), Step::Stray);
        }
        self.cx.tick(now);
        match reply {
            Some(stray) if self.outstanding != Some(stray.ticket) => return Step::Stray(stray),
            reply => self.cx.reply = reply,
        }
        loop {
            // A reply is taken first, so that it is never kept waiting.
            if self.cx.reply.is_none()
                && let Some(notice) = self.cx.notices.pop_front()
            {
                return Step::Notice(notice);
            }
            let replied = self.cx.reply.as_ref().map(|reply| reply.ticket);
            let step = match self.held.take() {
                Some(step) => *step,
                None => match self.machine.transition(&mut self.cx) {
                    // A machine that waits for a reply takes it in its first transition. This one has given it up.
                    ControlFlow::Continue(()) => match self.cx.reply.take_if(|reply| Some(reply.ticket) == replied) {
                        Some(stray) => return Step::Stray(stray),
                        None => continue,
                    },
                    ControlFlow::Break(step) => step,
                },
            };
            if let Some(stray) = self.cx.reply.take() {
                // No request is outstanding that it could belong to. The next poll asks for the wait again.
                self.held =
                    Some(step).filter(|step| !matches!(step, Step::WaitUntil(_) | Step::InFlight { .. })).map(Box::new);
                return Step::Stray(stray);
            }
            match &step {
                Step::Send(exchange) => self.outstanding = Some(exchange.ticket),
                Step::Authorize(request) => self.outstanding = Some(request.ticket),
                // Nothing is under way while a machine waits for a time.
                Step::WaitUntil(_) => self.outstanding = None,
                _ => {}
            }
            match step {
                Step::Done(result) if self.cx.notices.is_empty() => return self.finish(result),
                step @ Step::Done(_) => self.held = Some(Box::new(step)),
                step => return step,
            }
        }
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
            phases: &[],
            started: false,
            now: Timestamp::UNIX_EPOCH,
            reply: None,
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

    /// A child flow, of a goal or of its machine, with the same deadline.
    pub(crate) fn child<M: StateMachine<Service = S>>(&mut self, goal: impl Into<M>) -> Runner<M> {
        Runner::new(goal.into(), &self.config, self.seed.split(), None).with_deadline(self.deadline)
    }

    pub(crate) fn say(&mut self, notice: Notice) {
        if let Notice::Observed { what, state } = &notice {
            self.note(what.clone(), state.clone());
        }
        self.notices.push_back(notice);
    }

    /// Keeps an observation for the error that the time is up, without a notice.
    pub(crate) fn note(&mut self, what: String, state: String) {
        self.observed = Some(Box::new((what, state)));
    }

    fn observed(&self) -> Option<String> {
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

    /// Whether there is a reply that no child has taken yet.
    pub(crate) fn has_reply(&self) -> bool {
        self.reply.is_some()
    }

    /// The reply, for a child whose steps the machine looks at before it passes them on.
    pub(crate) fn take_reply(&mut self) -> Option<Reply> {
        self.reply.take()
    }

    /// A reply that the machine has made itself.
    pub(crate) fn put_reply(&mut self, reply: Reply) {
        self.reply = Some(reply);
    }

    /// Waits until `at`, or until the deadline, which the next request then reports. `?` passes the wait on.
    pub(crate) fn pause<T>(&self, at: Timestamp) -> Transition<T> {
        let at = self.no_later_than(at);
        // With a reply of another flow, the runner hands that back first.
        if at > self.now || self.reply.is_some() {
            return ControlFlow::Break(Step::WaitUntil(at));
        }
        ControlFlow::Continue(())
    }

    /// Waits until `at`. `?` passes the wait on; at the deadline the flow ends.
    pub(crate) fn wait<T>(&self, at: Timestamp, waiting: &'static str) -> Transition<T> {
        match self.wait_or_expire(at, waiting)? {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => done(Err(error)),
        }
    }

    /// Waits until `at`, as [`wait`](Self::wait) does, but gives the error of the deadline to the machine.
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

impl<M: StateMachine> fmt::Debug for Runner<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("goal", &M::NAME)
            .field("context", &self.cx)
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

#[cfg(all(test, feature = "flink"))]
mod tests {
    use super::*;
    use crate::flink::FlinkRest;
    use crate::flink::JobId;
    use crate::flink::jobs::GetJobStatus;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    /// Yields two events, with a notice before each, and never takes a reply.
    struct Events(Vec<u32>);

    impl StateMachine for Events {
        type Service = FlinkRest;
        type Output = u32;
        const NAME: &'static str = "Events";
        const PHASES: &'static [&'static str] = &["one", "two"];

        fn transition(&mut self, cx: &mut FlowContext<FlinkRest>) -> Transition<u32> {
            match self.0.pop() {
                Some(event) => {
                    cx.phase(Self::NAME, if event == 1 { "one" } else { "two" });
                    done(Ok(event))
                }
                None => ControlFlow::Continue(()),
            }
        }

        fn is_last(&self, event: &u32) -> bool {
            *event == 2
        }
    }

    fn config() -> Config<FlinkRest> {
        Config::new("http://flink.test".parse().expect("an address"))
    }

    fn reply_of_another_flow() -> Reply {
        let mut call = Call::new(GetJobStatus::new(JobId::from_bits(1)), &config(), Seed::new(1));
        loop {
            if let Step::Send(exchange) = call.poll(NOW, None) {
                return exchange.settle(Ok(http::Response::new("{}".into())));
            }
        }
    }

    #[test]
    fn a_stray_reply_comes_back_in_every_state_and_changes_nothing() {
        let mut runner = Runner::new(Events(vec![2, 1]), &config(), Seed::new(1), None);
        for event in [1, 2] {
            assert!(matches!(runner.poll(NOW, Some(reply_of_another_flow())), Step::Stray(_)));
            let Step::Notice(Notice::Phase { index, total: 2, .. }) = runner.poll(NOW, None) else {
                panic!("no notice")
            };
            assert_eq!(index, event);
            assert!(matches!(runner.poll(NOW, Some(reply_of_another_flow())), Step::Stray(_)));
            assert!(matches!(runner.poll(NOW, None), Step::Done(Ok(yielded)) if yielded == event));
        }
        assert!(matches!(runner.poll(NOW, Some(reply_of_another_flow())), Step::Stray(_)));
        let after_end = runner.poll(NOW, None);
        assert!(matches!(after_end, Step::Done(Err(FlowError::Misuse(Misuse::PolledAfterDone)))), "{after_end:?}");
    }
}
