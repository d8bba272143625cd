//! Background operations with a trigger id, from the trigger to the outcome.
//!
//! ```text
//!  fresh ───▶ Trigger ──answered──▶ Poll ◀──▶ Wait
//!               │  ▲                 │ ├─▶ done: the outcome
//!     ambiguous │  │ young, unknown  │ └─▶ failed: the cause
//!               ▼  │                 │
//!  resumed ──▶ Look ──known─────────▶┤
//!               │                    │ forgotten (404)
//!               └──── unknown ───────┴──▶ Lost ──▶ ambiguous, with what was found
//! ```
//!
//! | state | what came | next |
//! |---|---|---|
//! | Trigger | an id | Poll; acknowledged is saved |
//! | Trigger | ambiguous | Look; from now on there is a doubt |
//! | Trigger | rejected, not sent, out of time | that error; another id is saved for a resumption |
//! | Look | a status | Poll |
//! | Look | unknown; never acknowledged, no attempt unanswered, and younger than results are kept | Trigger, same id |
//! | Look | unknown otherwise | Lost |
//! | Poll | in progress | Wait, then Poll |
//! | Poll | completed | the outcome |
//! | Poll | failed because the job is unknown, and there is a doubt | Lost: a first operation of this id may have been carried out |
//! | Poll | unknown | Lost |
//! | Look, Poll | another refusal, no answer | the same again, until the deadline, or for 90 s without one; then ambiguous |
//! | Look, Poll | failed, without a doubt | that error; another id is saved for a resumption |
//!
//! Invariants: one id; sent only while no answer to it was seen and the server could not have forgotten it; saved
//! before it is sent for the first time, and again when it is acknowledged.

use std::time::Duration;

use super::PollInterval;
use super::diagnosis::JobDiagnosis;
use super::look::{Found, Look, LookupRetry};
use super::observation_window::ObservationWindow;
use super::triggers::TriggerState;
use crate::error::{Ambiguity, Evidence, Failure, FlowError};
use crate::flink::error::is_unknown_trigger;
use crate::flink::savepoints::{Outcome, Trigger};
use crate::flink::{FlinkRest, JobId, TriggerId};
use crate::flow::{Call, Flow, FlowContext, Notice, Reply, SavedState, StateMachine, Step, ready};
use crate::operation::Operation;
use crate::time::Timestamp;

/// How long a JobManager remembers an id at least, by default (`rest.async.store-duration`): sending it again later
/// could start a second operation.
const REMEMBERED: Duration = Duration::from_secs(300);

/// What differs between the background operations.
#[doc(hidden)]
pub trait Kind: std::fmt::Debug {
    /// The trigger.
    type Start: Operation<Output = Trigger, Service = FlinkRest> + std::fmt::Debug;
    /// The question for the outcome.
    type Status: Operation<Service = FlinkRest> + std::fmt::Debug;
    /// What a success brings.
    type Value;
    /// The goal's name.
    const NAME: &'static str;
    /// What it makes, in words.
    const WHAT: &'static str;
    /// Whether the job tells how it went: a stop is the last thing that a job does.
    const IS_STOP: bool = false;

    /// The trigger with an id.
    fn start(&self, job: JobId, id: TriggerId) -> Self::Start;
    /// The question with an id.
    fn status(job: JobId, id: TriggerId) -> Self::Status;
    /// `None` while it is in progress, or over with nothing to tell.
    fn outcome(job: JobId, status: &<Self::Status as Operation>::Output) -> Option<Outcome<Self::Value>>;
    /// Whether it is over, whatever came of it.
    fn is_over(status: &<Self::Status as Operation>::Output) -> bool;
    /// The path of a savepoint that it has written although it failed.
    fn left_behind(_status: &<Self::Status as Operation>::Output) -> Option<&str> {
        None
    }
    /// What to save.
    fn saved(&self, state: &TriggerState) -> SavedState;
    /// Whether a failure may come from what a first operation of the same id has done to the job, or from a restart that
    /// hides what that one has done.
    fn is_lost(failure: &Failure) -> bool {
        failure.details.as_deref().unwrap_or_default().contains("FlinkJobNotFoundException")
    }
}

/// A background operation from its trigger to its outcome.
#[doc(hidden)]
#[derive(Debug)]
pub struct Triggered<K: Kind> {
    kind: K,
    job: JobId,
    given: Option<TriggerId>,
    /// What is known of the trigger; `None` until the first poll of a fresh one.
    trigger: Option<TriggerState>,
    /// Whether an attempt at the trigger got no answer that tells, here or in another process.
    doubtful: bool,
    /// When the last question was asked, and when the cluster has answered.
    asked: Timestamp,
    observed: ObservationWindow,
    /// Until when it is looked up although that fails.
    retry: LookupRetry,
    pace: PollInterval,
    state: State<K>,
}

#[derive(Debug)]
enum State<K: Kind> {
    Fresh,
    Resumed,
    Trigger(Call<K::Start>),
    /// After trouble: does the server know the id? With what the trouble was.
    Look(Call<K::Status>, Option<Ambiguity>),
    Poll(Call<K::Status>),
    Wait(Timestamp),
    /// The trigger could not be looked up; before the next attempt. With what the trouble was.
    LookLater(Timestamp, Option<Ambiguity>),
    Lost(Look, Ambiguity),
}

impl<K: Kind> Triggered<K> {
    fn new(kind: K, job: JobId, given: Option<TriggerId>, trigger: Option<TriggerState>, state: State<K>) -> Self {
        let is_open = |trigger: &TriggerState| trigger.doubtful.unwrap_or_default() || !trigger.acknowledged;
        Self {
            kind,
            job,
            given,
            doubtful: trigger.as_ref().is_some_and(is_open),
            trigger,
            asked: Timestamp::UNIX_EPOCH,
            observed: ObservationWindow::default(),
            retry: LookupRetry::default(),
            pace: PollInterval::START,
            state,
        }
    }

    /// A new one; the id is chosen unless it is given.
    pub(super) fn fresh(kind: K, job: JobId, given: Option<TriggerId>) -> Self {
        Self::new(kind, job, given, None, State::Fresh)
    }

    /// One whose trigger may have been sent by another process.
    pub(super) fn resumed(kind: K, trigger: TriggerState) -> Self {
        if trigger.unsent == Some(true) {
            return Self::fresh(kind, trigger.job, Some(trigger.trigger_id));
        }
        Self::new(kind, trigger.job, None, Some(trigger), State::Resumed)
    }

    pub(super) fn kind(&self) -> &K {
        &self.kind
    }

    /// What is known of the trigger, if there is one yet.
    pub(super) fn known(&self) -> Option<&TriggerState> {
        self.trigger.as_ref()
    }

    /// After another one that has looked at the same job.
    pub(super) fn observing(mut self, observed: ObservationWindow) -> Self {
        self.observed = observed;
        self
    }

    pub(super) fn observed(&self) -> ObservationWindow {
        self.observed
    }

    /// When it was first sent; the beginning of time if that is not known.
    pub(super) fn since(&self) -> Timestamp {
        self.trigger.as_ref().map_or(Timestamp::UNIX_EPOCH, |trigger| Timestamp::from_millis(trigger.since))
    }

    /// Whether the last attempt was so long ago that it cannot be on its way any more.
    pub(super) fn is_long_ago(&self, now: Timestamp) -> bool {
        let since = self.trigger.as_ref().map(|trigger| Timestamp::from_millis(trigger.since));
        // No attempt is begun once the cluster could have forgotten the first one.
        since.is_some_and(|since| now.since(since) >= REMEMBERED * 2)
    }

    /// Whether the operation that failed may be the second one of its id: a server that had forgotten the id carries it
    /// out again.
    pub(super) fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    fn what(&self) -> String {
        format!("{} of job {}", K::WHAT, self.job)
    }

    fn diagnosis(&self) -> JobDiagnosis {
        let trigger = self.trigger.as_ref().map(|trigger| trigger.trigger_id);
        JobDiagnosis { trigger, ..JobDiagnosis::new(self.job) }
    }

    fn look(&mut self, lost: Ambiguity) {
        let diagnosis = self.diagnosis();
        let look = if K::IS_STOP { Look::for_stop(diagnosis, self.since()) } else { Look::new(diagnosis) };
        self.state = State::Lost(look, lost);
    }

    /// The caller needs the ids to look the job up.
    fn explain(&self, error: FlowError) -> FlowError {
        let is_open = matches!(error, FlowError::Ambiguous(_) | FlowError::Deadline { .. });
        if is_open && self.trigger.is_some() && JobDiagnosis::of(&error).is_none() {
            error.with_evidence(self.diagnosis())
        } else {
            error
        }
    }

    fn trigger(&mut self, cx: &mut FlowContext<FlinkRest>) -> TriggerState {
        let (job, given, now) = (self.job, self.given, cx.now());
        let fresh = || TriggerState {
            job,
            trigger_id: given.unwrap_or_else(|| TriggerId::from_bits(cx.seed.next_u128())),
            since: now.as_millis(),
            acknowledged: false,
            doubtful: None,
            unsent: None,
        };
        self.trigger.get_or_insert_with(fresh).clone()
    }

    fn send(&mut self, cx: &mut FlowContext<FlinkRest>) {
        let trigger = self.trigger(cx);
        cx.phase(K::NAME, "triggering");
        cx.save(self.kind.saved(&trigger));
        let forgotten = Timestamp::from_millis(trigger.since) + REMEMBERED;
        self.asked = cx.now();
        let call = cx.call(self.kind.start(trigger.job, trigger.trigger_id));
        self.state = State::Trigger(call.with_deadline(cx.no_later_than(forgotten)));
    }

    /// The server has answered for the id, so that it is never sent again.
    fn acknowledged(&mut self, id: TriggerId, cx: &mut FlowContext<FlinkRest>) {
        if let Some(trigger) = self.trigger.as_mut().filter(|trigger| !trigger.acknowledged) {
            trigger.acknowledged = true;
            trigger.doubtful = Some(self.doubtful);
            trigger.trigger_id = id;
            cx.save(self.kind.saved(trigger));
            cx.phase(K::NAME, "waiting for the outcome");
        }
    }

    fn ask(&mut self, cx: &mut FlowContext<FlinkRest>) -> Call<K::Status> {
        let trigger = self.trigger(cx);
        self.asked = cx.now();
        cx.call(K::status(trigger.job, trigger.trigger_id))
    }

    /// Waits before the next question for the outcome.
    fn wait(&mut self, cx: &mut FlowContext<FlinkRest>) {
        let trigger = self.trigger(cx);
        cx.note(self.what(), format!("trigger {} is in progress", trigger.trigger_id));
        self.state = State::Wait(self.pace.next(cx.now()));
    }

    /// The operation failed for certain. A resumed flow starts another one, under an id that was not sent yet.
    fn save_unsent(&self, cx: &mut FlowContext<FlinkRest>) {
        let trigger = TriggerState {
            job: self.job,
            trigger_id: TriggerId::from_bits(cx.seed.next_u128()),
            since: cx.now().as_millis(),
            acknowledged: false,
            doubtful: None,
            unsent: Some(true),
        };
        cx.save(self.kind.saved(&trigger));
    }

    /// It was rejected, or never sent. A resumed flow may send it, however late.
    fn not_triggered(&self, error: FlowError, cx: &mut FlowContext<FlinkRest>) -> Step<K::Value> {
        if !self.doubtful {
            self.save_unsent(cx);
        }
        Step::Done(Err(error))
    }

    /// The id may be sent: nobody has answered for it, nothing is under way, and the server could not have forgotten it.
    fn may_send(&self, now: Timestamp, trouble: Option<&Ambiguity>) -> bool {
        trouble.is_none()
            && self.trigger.as_ref().is_none_or(|trigger| {
                !trigger.acknowledged && now.since(Timestamp::from_millis(trigger.since)) < REMEMBERED
            })
    }

    /// What became of it cannot be learnt.
    fn forgotten(cause: FlowError) -> Ambiguity {
        Ambiguity {
            operation: K::Start::INFO.name,
            cause: Box::new(cause),
            unanswered: false,
            found: None,
            evidence: None,
        }
    }

    /// The cluster has told how far it is; `None` when there is more to find out.
    fn heard_of(
        &mut self,
        status: &<K::Status as Operation>::Output,
        cx: &mut FlowContext<FlinkRest>,
    ) -> Option<Result<K::Value, FlowError>> {
        self.observed.record(self.asked);
        self.retry.answered();
        if K::is_over(status) {
            return self.over(status, cx);
        }
        self.wait(cx);
        None
    }

    /// The outcome; `None` when there is more to find out.
    fn over(
        &mut self,
        status: &<K::Status as Operation>::Output,
        cx: &mut FlowContext<FlinkRest>,
    ) -> Option<Result<K::Value, FlowError>> {
        match self.outcome(status) {
            Err(FlowError::Failed(failure)) if self.doubtful && K::is_lost(&failure) => {
                self.look(Self::forgotten(FlowError::Failed(failure)));
                None
            }
            Err(FlowError::Failed(failure)) => {
                if !self.doubtful && K::left_behind(status).is_none() {
                    self.save_unsent(cx);
                }
                Some(Err(FlowError::Failed(failure)))
            }
            outcome => Some(outcome),
        }
    }

    fn outcome(&self, status: &<K::Status as Operation>::Output) -> Result<K::Value, FlowError> {
        match K::outcome(self.job, status) {
            Some(Ok(value)) => Ok(value),
            Some(Err(throwable)) => Err(FlowError::Failed(Failure {
                what: self.what(),
                reason: throwable.cause().to_string(),
                details: Some(throwable.stack_trace),
                cause: Some(Evidence::new(JobDiagnosis {
                    savepoint: K::left_behind(status).map(str::to_owned),
                    ..self.diagnosis()
                })),
            })),
            None => Err(FlowError::Failed(Failure {
                what: self.what(),
                reason: "the cluster says that it is completed, but neither with a result nor with a cause".to_owned(),
                details: None,
                cause: Some(Evidence::new(self.diagnosis())),
            })),
        }
    }
}

impl<K: Kind> StateMachine for Triggered<K> {
    type Service = FlinkRest;
    type Output = K::Value;
    const NAME: &'static str = K::NAME;

    fn step(&mut self, cx: &mut FlowContext<FlinkRest>, reply: &mut Option<Reply>) -> Step<K::Value> {
        match self.advance(cx, reply) {
            Step::Done(Err(error)) => Step::Done(Err(self.explain(error))),
            step => step,
        }
    }
}

impl<K: Kind> Triggered<K> {
    fn advance(&mut self, cx: &mut FlowContext<FlinkRest>, reply: &mut Option<Reply>) -> Step<K::Value> {
        loop {
            if let Some(notice) = cx.next_notice(reply.as_ref()) {
                return Step::Notice(notice);
            }
            match &mut self.state {
                State::Fresh => self.send(cx),
                State::Resumed => {
                    cx.phase(K::NAME, "looking for the trigger");
                    self.state = State::Look(self.ask(cx), None);
                }
                State::Trigger(call) => match ready!(call.poll(cx.now(), reply.take())) {
                    Ok(trigger) => {
                        self.doubtful |= call.has_unanswered();
                        self.observed.record(self.asked);
                        self.acknowledged(trigger.request_id, cx);
                        self.state = State::Poll(self.ask(cx));
                    }
                    Err(FlowError::Ambiguous(trouble)) => {
                        self.doubtful = true;
                        cx.phase(K::NAME, "looking for the trigger");
                        self.state = State::Look(self.ask(cx), Some(trouble));
                    }
                    Err(error) => return self.not_triggered(error, cx),
                },
                State::Look(call, trouble) => match ready!(call.poll(cx.now(), reply.take())) {
                    Ok(status) => {
                        let id = self.trigger(cx).trigger_id;
                        self.acknowledged(id, cx);
                        if let Some(outcome) = self.heard_of(&status, cx) {
                            return Step::Done(outcome);
                        }
                    }
                    Err(FlowError::Service(error)) if is_unknown_trigger(&error) => {
                        let trouble = trouble.take();
                        if self.may_send(cx.now(), trouble.as_ref()) {
                            self.send(cx);
                        } else {
                            let lost = trouble.unwrap_or_else(|| Self::forgotten(error.into()));
                            self.look(lost);
                        }
                    }
                    Err(error) if self.retry.allows(&error, cx) => {
                        let trouble = trouble.take();
                        self.state = State::LookLater(self.pace.next(cx.now()), trouble);
                    }
                    Err(error) => {
                        // The trigger may have been carried out, and there is no way to look.
                        let lost =
                            trouble.take().unwrap_or_else(|| Ambiguity { unanswered: true, ..Self::forgotten(error) });
                        return Step::Done(Err(FlowError::Ambiguous(lost)));
                    }
                },
                State::Poll(call) => match ready!(call.poll(cx.now(), reply.take())) {
                    Ok(status) => {
                        if let Some(outcome) = self.heard_of(&status, cx) {
                            return Step::Done(outcome);
                        }
                    }
                    Err(FlowError::Service(error)) if is_unknown_trigger(&error) => {
                        cx.phase(K::NAME, "the cluster has forgotten the trigger; looking at the job");
                        self.look(Self::forgotten(error.into()));
                    }
                    Err(error @ FlowError::Deadline { .. }) => return Step::Done(Err(error)),
                    Err(error) if self.retry.allows(&error, cx) => {
                        self.state = State::Wait(self.pace.next(cx.now()));
                    }
                    Err(error) => return Step::Done(Err(FlowError::Ambiguous(Self::forgotten(error)))),
                },
                State::Wait(until) => {
                    if let Some(step) = cx.wait_until(*until, K::WHAT, reply) {
                        return step;
                    }
                    self.state = State::Poll(self.ask(cx));
                }
                State::LookLater(until, trouble) => {
                    if let Some(step) = cx.wait_until(*until, K::WHAT, reply) {
                        return match step {
                            // The trigger may have been carried out, and there is no time to look.
                            Step::Done(Err(error)) => {
                                let unknown = || Ambiguity { unanswered: true, ..Self::forgotten(error) };
                                Step::Done(Err(FlowError::Ambiguous(trouble.take().unwrap_or_else(unknown))))
                            }
                            step => step,
                        };
                    }
                    let trouble = trouble.take();
                    self.state = State::Look(self.ask(cx), trouble);
                }
                State::Lost(look, lost) => {
                    let Found { diagnosis, text } = match ready!(look.poll(cx, reply)) {
                        Ok(found) => found,
                        Err(error) => return Step::Done(Err(error)),
                    };
                    let mut lost = lost.clone();
                    (lost.found, lost.evidence) = (Some(text), Some(Evidence::new(diagnosis)));
                    cx.say(Notice::Observed { what: self.what(), state: "outcome unknown".to_owned() });
                    return Step::Done(Err(FlowError::Ambiguous(lost)));
                }
            }
        }
    }
}
