//! The transitions of [`AwaitDelivery`].

use std::ops::ControlFlow;

use super::decide::{Subscription, Verdict, decide};
use super::{AwaitDelivery, DeliveryProof, SentRows, Undelivered};
use crate::error::{Applied, FlowError, ServiceError};
use crate::feldera::FelderaApi;
use crate::feldera::data::{CompletionToken, HttpInput};
use crate::feldera::flow::await_completion::AwaitCompletionMachine;
use crate::feldera::flow::diagnosis::Diagnosis;
use crate::feldera::flow::{AwaitCompletion, Interruption};
use crate::feldera::stats::GetStats;
use crate::feldera::stream::EgressProgress;
use crate::feldera::tuning::{PROGRESS_BURST, PROGRESS_INTERVAL, STEPS_GRACE};
use crate::flow::{Call, FlowContext, Runner, StateMachine, Step, Transition, done};
use crate::time::Timestamp;

/// Where the rows come from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Rows(HttpInput),
    Token(String, CompletionToken),
}

/// The transitions of [`AwaitDelivery`].
#[derive(Debug)]
pub(super) struct DeliveryMachine {
    goal: AwaitDelivery,
    rows: SentRows,
    /// Whether a subscription was read since the last transition.
    is_fresh: bool,
    /// Whether one has shown more steps since the status was polled.
    has_new_steps: bool,
    /// How often the status was polled because a subscription was read.
    polls: u32,
    /// When it may be polled again without new steps.
    poll_from: Option<Timestamp>,
    state: State,
}

#[derive(Debug)]
enum State {
    Start,
    Identifying(Call<GetStats>),
    Sending(Call<HttpInput>),
    Processing(Runner<AwaitCompletionMachine>),
    /// The token is complete, with this step, since then.
    Settling(u64, Timestamp),
    Verifying(Call<GetStats>, u64),
    Diagnosis(Diagnosis),
}

impl From<AwaitDelivery> for DeliveryMachine {
    fn from(goal: AwaitDelivery) -> Self {
        let rows = match &goal.source {
            Source::Rows(_) => SentRows::NotIngested,
            Source::Token(_, token) => SentRows::Ingested { token: token.clone(), is_processed: false },
        };
        let state = State::Start;
        Self { goal, rows, is_fresh: false, has_new_steps: false, polls: 0, poll_from: None, state }
    }
}

impl DeliveryMachine {
    pub(super) fn observe(&mut self, subscription: usize, progress: EgressProgress) {
        if let Some(subscription) = self.goal.subscriptions.get_mut(subscription) {
            let steps = subscription.steps();
            subscription.observe(progress);
            self.has_new_steps |= subscription.steps() > steps;
            self.is_fresh = true;
        }
    }

    pub(super) fn ended(&mut self, subscription: usize) {
        if let Some(subscription) = self.goal.subscriptions.get_mut(subscription) {
            subscription.ended();
            self.is_fresh = true;
        }
    }

    pub(super) fn token(&self) -> Option<&CompletionToken> {
        self.rows.token()
    }

    fn pipeline(&self) -> &str {
        match &self.goal.source {
            Source::Rows(input) => &input.pipeline_name,
            Source::Token(pipeline, _) => pipeline,
        }
    }

    fn what(&self) -> String {
        format!("delivery of changes by pipeline {}", self.pipeline())
    }

    fn failed(&self, interruption: Interruption) -> Transition<DeliveryProof> {
        done(Err(interruption.into_error(self.what(), None)))
    }

    fn get_stats(&self, cx: &mut FlowContext<FelderaApi>) -> Call<GetStats> {
        cx.call(GetStats::new(self.pipeline()))
    }

    fn diagnose(&mut self, error: FlowError, cx: &mut FlowContext<FelderaApi>) {
        let had_process = self.goal.process.is_some();
        self.state = State::Diagnosis(Diagnosis::new(self.pipeline(), self.what(), error, had_process, cx));
    }

    fn process(&mut self, token: CompletionToken, cx: &mut FlowContext<FelderaApi>) {
        cx.phase(Self::NAME, "waiting for rows to be processed and delivered");
        let goal = AwaitCompletion::new(self.pipeline(), token.clone()).stall_timeout(self.goal.stall_timeout);
        self.rows = SentRows::Ingested { token, is_processed: false };
        self.state = State::Processing(cx.child(goal));
    }

    fn completed(&mut self, step: Option<u64>) -> Transition<DeliveryProof> {
        match self.rows.token().cloned() {
            Some(token) => done(Ok(DeliveryProof::Completed { token, step })),
            None => ControlFlow::Continue(()),
        }
    }

    /// Continues to verify the process if the changes are delivered; ends if they cannot be.
    fn judge(&mut self, step: Option<u64>, cx: &mut FlowContext<FelderaApi>) -> Transition<DeliveryProof> {
        let subscriptions: &[Subscription] = &self.goal.subscriptions;
        match (decide(step, subscriptions), step) {
            (Verdict::Delivered, Some(step)) => self.state = State::Verifying(self.get_stats(cx), step),
            (Verdict::Undelivered(reason), _) => return self.failed(Interruption::Undelivered(reason)),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    /// Waits for the subscriptions to show the step of a token that is complete.
    fn settle(&mut self, step: u64, since: Timestamp, cx: &mut FlowContext<FelderaApi>) -> Transition<DeliveryProof> {
        let is_fresh = std::mem::take(&mut self.is_fresh);
        self.judge(Some(step), cx)?;
        if !matches!(self.state, State::Settling(..)) {
            return ControlFlow::Continue(());
        }
        let has_steps = self.goal.subscriptions.iter().any(Subscription::has_steps);
        let is_proved = !self.goal.has_steps || is_fresh && cx.now() >= since + STEPS_GRACE;
        if !has_steps && is_proved {
            return self.completed(Some(step));
        }
        let until = self.goal.stall_timeout.map_or(Timestamp::MAX, |time| since + time);
        cx.wait(until, "a subscription to show the step of the rows")?;
        self.failed(Interruption::Undelivered(Undelivered::Overdue { step }))
    }
}

impl StateMachine for DeliveryMachine {
    type Service = FelderaApi;
    type Output = DeliveryProof;
    const NAME: &'static str = "AwaitDelivery";

    fn transition(&mut self, cx: &mut FlowContext<FelderaApi>) -> Transition<DeliveryProof> {
        match &mut self.state {
            State::Start => self.state = State::Identifying(self.get_stats(cx)),
            State::Identifying(call) => match cx.poll(call)? {
                Ok(stats) if stats.global_metrics.process() != self.goal.process => {
                    return self.failed(Interruption::Restarted);
                }
                Ok(_) => match self.goal.source.clone() {
                    Source::Rows(input) => self.state = State::Sending(cx.call(input)),
                    Source::Token(_, token) => self.process(token, cx),
                },
                Err(error @ FlowError::Service(_)) => self.diagnose(error, cx),
                Err(error) => return done(Err(error)),
            },
            State::Sending(call) => match cx.poll(call)? {
                Ok(token) => self.process(token.token, cx),
                Err(error) => {
                    let applied = error.service().map(ServiceError::applied);
                    if error.is_ambiguous() || applied.is_some_and(|applied| applied != Applied::No) {
                        self.rows = SentRows::Unconfirmed;
                    }
                    match error {
                        error @ FlowError::Service(_) => self.diagnose(error, cx),
                        error => return done(Err(error)),
                    }
                }
            },
            State::Processing(child) => {
                let polled = cx.poll(child);
                // No request is under way while the child waits.
                if let ControlFlow::Break(Step::WaitUntil(_)) = polled {
                    let step = child.machine().step();
                    let is_fresh = std::mem::take(&mut self.is_fresh);
                    let is_late = cx.deadline().is_some_and(|deadline| deadline <= cx.now());
                    let has_steps = self.goal.subscriptions.iter().any(Subscription::has_steps);
                    self.judge(step, cx)?;
                    let State::Processing(child) = &mut self.state else { return ControlFlow::Continue(()) };
                    let may_poll = self.polls < PROGRESS_BURST || self.poll_from.is_none_or(|from| from <= cx.now());
                    let has_news = self.has_new_steps || is_fresh && may_poll;
                    if has_news && !is_late && (step.is_none() || !has_steps) {
                        child.parts_mut().0.poll_now();
                        self.polls += 1;
                        (self.has_new_steps, self.poll_from) = (false, Some(cx.now() + PROGRESS_INTERVAL));
                        return ControlFlow::Continue(());
                    }
                }
                match polled? {
                    Ok(completed) => {
                        if let SentRows::Ingested { is_processed, .. } = &mut self.rows {
                            *is_processed = true;
                        }
                        match completed.step {
                            Some(step) => self.state = State::Settling(step, cx.now()),
                            None => return self.completed(None),
                        }
                    }
                    Err(error) => return done(Err(error)),
                }
            }
            State::Settling(step, since) => {
                let (step, since) = (*step, *since);
                return self.settle(step, since, cx);
            }
            State::Verifying(call, step) => match (cx.poll(call)?, *step) {
                (Ok(stats), step) => {
                    let process = stats.global_metrics.process();
                    return match self.rows.token().cloned() {
                        Some(token) if process.is_some() && process == self.goal.process => {
                            done(Ok(DeliveryProof::Delivered { token, step }))
                        }
                        _ => self.failed(Interruption::Restarted),
                    };
                }
                (Err(error @ FlowError::Service(_)), _) => self.diagnose(error, cx),
                (Err(error), _) => return done(Err(error)),
            },
            State::Diagnosis(diagnosis) => {
                let error = diagnosis.poll(cx)?;
                return done(Err(error));
            }
        }
        ControlFlow::Continue(())
    }

    fn add_evidence(&mut self, error: FlowError) -> FlowError {
        self.rows.add_to(error)
    }
}
