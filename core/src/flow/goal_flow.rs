//! The runner that the flows of all services share: [`GoalFlow`] for the caller, [`StateMachine`] for each flow, and
//! [`FlowContext`] for what a machine uses.
//!
//! A machine makes one transition at a time. The runner repeats transitions until a step for the caller results. It
//! applies the rules of all flows:
//!
//! * Notices go out before the next transition, and before the result or the next event.
//! * The machine gets a reply first. A reply that no transition takes is returned as [`Step::Stray`].
//! * The end is sticky: polled again, the flow returns its error, or [`Misuse::PolledAfterDone`] after a success.
//! * The clock never goes back, and the deadline is the earlier of the goal's timeout and the caller's deadline.

use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

use super::{Config, Flow, FlowContext, Goal, Reply, Step, Ticket, Transition};
use crate::error::{FlowError, Misuse};
use crate::operation::Service;
use crate::seed::Seed;
use crate::time::Timestamp;

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

    /// Makes one transition: `Continue` if the next transition can follow at once, `Break` with a step for the caller
    /// otherwise.
    ///
    /// The reply, if there is one, is in the context; [`FlowContext::poll`] gives it to a child.
    fn transition(&mut self, cx: &mut FlowContext<Self::Service>) -> Transition<Self::Output>;

    /// Returns whether the flow ends with this output. An event flow ends only with its last event.
    fn is_last(&self, _output: &Self::Output) -> bool {
        true
    }

    /// Adds what the flow knows to the error that it ends with.
    fn add_evidence(&mut self, error: FlowError) -> FlowError {
        error
    }
}

/// A state machine with its context.
pub(crate) struct Runner<M: StateMachine> {
    machine: M,
    cx: FlowContext<M::Service>,
    /// The step to return when no reply and no notice is left. Boxed, because it is large and rare.
    held: Option<Box<Step<M::Output>>>,
    /// The exchange or credential request that is outstanding.
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
    /// Returns the error of every further poll.
    fn error(&self) -> &FlowError {
        match self {
            Self::Success => &FlowError::Misuse(Misuse::PolledAfterDone),
            Self::Failure(error) => error,
        }
    }
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
        let mut cx = FlowContext::new(config, seed, timeout);
        cx.phases = M::PHASES;
        Self { machine, cx, held: None, outstanding: None, ended: None }
    }

    pub(crate) fn machine(&self) -> &M {
        &self.machine
    }

    /// Returns the machine and its context, for calls on an event flow between two polls.
    pub(crate) fn parts_mut(&mut self) -> (&mut M, &mut FlowContext<M::Service>) {
        (&mut self.machine, &mut self.cx)
    }

    /// Returns the error of a flow that has ended: [`Misuse::PolledAfterDone`] after a success.
    pub(crate) fn ended(&self) -> Option<&FlowError> {
        self.ended.as_ref().map(End::error)
    }

    /// Ends the flow at this time at the latest.
    pub(crate) fn with_deadline(mut self, deadline: impl Into<Option<Timestamp>>) -> Self {
        self.cx.set_deadline(deadline.into());
        self
    }

    /// Extends the deadline by the waits that the service asks for, by at most this time in total.
    pub(crate) fn excusing(mut self, at_most: Duration) -> Self {
        self.cx.excuse = at_most;
        self
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.cx.deadline()
    }

    /// Returns a result or an event, after all notices.
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
                    // A machine that waits for a reply takes it in its first transition. This machine has given it up.
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
    /// Creates a child flow from a goal or its machine, with the same deadline.
    pub(crate) fn child<M: StateMachine<Service = S>>(&mut self, goal: impl Into<M>) -> Runner<M> {
        Runner::new(goal.into(), &self.config, self.seed.split(), None).with_deadline(self.deadline())
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

#[cfg(all(test, feature = "flink"))]
mod tests {
    use super::super::{Call, Notice, done};
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
