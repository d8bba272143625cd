//! The transitions of an asynchronous operation, as drawn in the parent module.

use std::ops::ControlFlow;

use super::{Kind, TriggerState};
use crate::error::{Ambiguity, Evidence, Failure, FlowError};
use crate::flink::error::is_unknown_trigger;
use crate::flink::flow::PollInterval;
use crate::flink::flow::diagnose::{DiagnoseJob, Found};
use crate::flink::flow::diagnosis::JobDiagnosis;
use crate::flink::flow::lookup_retry::LookupRetry;
use crate::flink::flow::observation_window::ObservationWindow;
use crate::flink::tuning::TRIGGER_RETENTION;
use crate::flink::{FlinkRest, JobId, TriggerId};
use crate::flow::{Call, FlowContext, Notice, StateMachine, Step, Transition, done};
use crate::operation::Operation;
use crate::time::Timestamp;

/// A background operation from its trigger to its outcome.
#[derive(Debug)]
pub struct AsyncOperation<K: Kind> {
    kind: K,
    job: JobId,
    /// What is known of the trigger; `None` until the first poll of a fresh trigger.
    trigger: Option<TriggerState>,
    /// Whether an attempt at the trigger got no answer, here or in another process.
    unanswered: bool,
    /// When the last request began, and when the cluster has answered.
    requested_at: Timestamp,
    observed: ObservationWindow,
    /// For how long a lookup that fails is repeated.
    retry: LookupRetry,
    pace: PollInterval,
    state: State<K>,
}

#[derive(Debug)]
enum State<K: Kind> {
    Begin,
    Trigger(Call<K>),
    /// Looks up whether the server knows the id; with the error of an attempt that got no answer.
    Lookup(Call<K::Status>, Option<Ambiguity>),
    /// The trigger could not be looked up. Waits for the next lookup.
    LookupLater(Timestamp, Option<Ambiguity>),
    Poll(Call<K::Status>),
    Wait(Timestamp),
    /// The outcome is unknown. Looks up the job.
    Lost(DiagnoseJob, Ambiguity),
}

impl<K: Kind> AsyncOperation<K> {
    /// Begins a new operation, or continues an operation whose trigger another process may have sent.
    pub(in crate::flink::flow) fn new(mut kind: K, resumed: Option<TriggerState>) -> Self {
        if let Some(unsent) = resumed.as_ref().filter(|trigger| trigger.unsent == Some(true)) {
            kind = kind.with_id(unsent.trigger_id);
        }
        let trigger = resumed.filter(|trigger| trigger.unsent != Some(true));
        let is_open = |trigger: &TriggerState| trigger.unanswered.unwrap_or_default() || !trigger.acknowledged;
        Self {
            job: kind.ids().0,
            kind,
            unanswered: trigger.as_ref().is_some_and(is_open),
            trigger,
            requested_at: Timestamp::UNIX_EPOCH,
            observed: ObservationWindow::default(),
            retry: LookupRetry::default(),
            pace: PollInterval::START,
            state: State::Begin,
        }
    }

    pub(in crate::flink::flow) fn kind(&self) -> &K {
        &self.kind
    }

    /// Returns the state of the trigger; `None` before the first poll of a new operation.
    pub(in crate::flink::flow) fn known(&self) -> Option<&TriggerState> {
        self.trigger.as_ref()
    }

    /// Continues the observation of a job that another flow has polled before.
    pub(in crate::flink::flow) fn observing(mut self, observed: ObservationWindow) -> Self {
        self.observed = observed;
        self
    }

    pub(in crate::flink::flow) fn observed(&self) -> ObservationWindow {
        self.observed
    }

    /// Returns when the trigger was first sent; the earliest timestamp if that is not known.
    pub(in crate::flink::flow) fn since(&self) -> Timestamp {
        self.trigger.as_ref().map_or(Timestamp::UNIX_EPOCH, |trigger| Timestamp::from_millis(trigger.since))
    }

    /// Returns whether the last attempt was so long ago that its request cannot arrive any more.
    pub(in crate::flink::flow) fn is_long_ago(&self, now: Timestamp) -> bool {
        let since = self.trigger.as_ref().map(|trigger| Timestamp::from_millis(trigger.since));
        // The flow sends no attempt after the cluster could have forgotten the first attempt.
        since.is_some_and(|since| now.since(since) >= TRIGGER_RETENTION * 2)
    }

    /// Returns whether the failed operation may be the second operation of its id: a server that has forgotten the id
    /// carries the operation out again.
    pub(in crate::flink::flow) fn has_unanswered(&self) -> bool {
        self.unanswered
    }

    fn what(&self) -> String {
        format!("{} of job {}", K::WHAT, self.job)
    }

    fn diagnosis(&self) -> JobDiagnosis {
        let trigger = self.trigger.as_ref().map(|trigger| trigger.trigger_id);
        JobDiagnosis { trigger, ..JobDiagnosis::new(self.job) }
    }

    fn diagnose(&self, lost: Ambiguity) -> State<K> {
        let diagnosis = self.diagnosis();
        let lookup =
            if K::IS_STOP { DiagnoseJob::for_stop(diagnosis, self.since()) } else { DiagnoseJob::new(diagnosis) };
        State::Lost(lookup, lost)
    }

    fn trigger(&mut self, cx: &mut FlowContext<FlinkRest>) -> TriggerState {
        let ((job, given), now) = (self.kind.ids(), cx.now());
        let fresh = || TriggerState {
            job,
            trigger_id: given.unwrap_or_else(|| TriggerId::from_bits(cx.seed.next_u128())),
            since: now.as_millis(),
            acknowledged: false,
            unanswered: None,
            unsent: None,
        };
        self.trigger.get_or_insert_with(fresh).clone()
    }

    fn send(&mut self, cx: &mut FlowContext<FlinkRest>) -> State<K> {
        let trigger = self.trigger(cx);
        cx.phase(K::NAME, "triggering");
        cx.save(self.kind.saved(&trigger));
        let forgotten = Timestamp::from_millis(trigger.since) + TRIGGER_RETENTION;
        self.requested_at = cx.now();
        let call = cx.call(self.kind.clone().with_id(trigger.trigger_id));
        State::Trigger(call.with_deadline(cx.no_later_than(forgotten)))
    }

    /// Records that the server has acknowledged the id, so that it is never sent again.
    fn acknowledged(&mut self, id: TriggerId, cx: &mut FlowContext<FlinkRest>) {
        if let Some(trigger) = self.trigger.as_mut().filter(|trigger| !trigger.acknowledged) {
            trigger.acknowledged = true;
            trigger.unanswered = Some(self.unanswered);
            trigger.trigger_id = id;
            cx.save(self.kind.saved(trigger));
            cx.phase(K::NAME, "waiting for the outcome");
        }
    }

    fn status(&mut self, cx: &mut FlowContext<FlinkRest>) -> Call<K::Status> {
        let trigger = self.trigger(cx);
        self.requested_at = cx.now();
        cx.call(K::status(trigger.job, trigger.trigger_id))
    }

    /// Saves, after a failure, a new id: a resumed flow starts another operation with it.
    fn save_unsent(&self, cx: &mut FlowContext<FlinkRest>) {
        let trigger = TriggerState {
            job: self.job,
            trigger_id: TriggerId::from_bits(cx.seed.next_u128()),
            since: cx.now().as_millis(),
            acknowledged: false,
            unanswered: None,
            unsent: Some(true),
        };
        cx.save(self.kind.saved(&trigger));
    }

    /// Saves that the trigger was rejected or never sent: a resumed flow may send it at any later time.
    fn not_triggered(&self, cx: &mut FlowContext<FlinkRest>) {
        if !self.unanswered {
            self.save_unsent(cx);
        }
    }

    /// Returns whether the id may be sent: the server has not acknowledged it, no request is under way, and the server
    /// cannot have forgotten it.
    fn may_send(&self, now: Timestamp, lost: Option<&Ambiguity>) -> bool {
        lost.is_none()
            && self.trigger.as_ref().is_none_or(|trigger| {
                !trigger.acknowledged && now.since(Timestamp::from_millis(trigger.since)) < TRIGGER_RETENTION
            })
    }

    /// Returns the error for a trigger that may have been carried out and cannot be looked up.
    fn unconfirmed(lost: Option<Ambiguity>, error: FlowError) -> FlowError {
        let unknown = || Ambiguity { unanswered: true, ..Self::forgotten(error) };
        FlowError::Ambiguous(lost.unwrap_or_else(unknown))
    }

    /// Returns the error for a trigger that the cluster has forgotten.
    fn forgotten(cause: FlowError) -> Ambiguity {
        Ambiguity { operation: K::INFO.name, cause: Box::new(cause), unanswered: false, found: None, evidence: None }
    }

    /// Handles a status of the operation: polls again, or ends.
    fn reported(
        &mut self,
        status: &<K::Status as Operation>::Output,
        cx: &mut FlowContext<FlinkRest>,
    ) -> ControlFlow<Step<K::Value>, State<K>> {
        self.observed.record(self.requested_at);
        self.retry.answered();
        if !K::is_over(status) {
            let trigger = self.trigger(cx);
            cx.note(self.what(), format!("trigger {} is in progress", trigger.trigger_id));
            return ControlFlow::Continue(State::Wait(self.pace.next(cx.now())));
        }
        let outcome = self.outcome(status);
        if let Err(FlowError::Failed(failure)) = &outcome {
            if self.unanswered && K::is_lost(failure) {
                return ControlFlow::Continue(self.diagnose(Self::forgotten(FlowError::Failed(failure.clone()))));
            }
            if !self.unanswered && K::left_behind(status).is_none() {
                self.save_unsent(cx);
            }
        }
        ControlFlow::Break(Step::Done(outcome))
    }

    fn outcome(&self, status: &<K::Status as Operation>::Output) -> Result<K::Value, FlowError> {
        match K::outcome(self.job, status) {
            Some(Ok(value)) => Ok(value),
            Some(Err(throwable)) => Err(FlowError::Failed(Failure {
                what: self.what(),
                reason: throwable.cause().to_string(),
                details: throwable.stack_trace,
                cause: Some(Evidence::new(JobDiagnosis {
                    savepoint: K::left_behind(status).map(str::to_owned),
                    ..self.diagnosis()
                })),
            })),
            None => Err(FlowError::Failed(Failure {
                what: self.what(),
                reason: "the cluster reports it as completed, but without a result and without a cause".to_owned(),
                details: None,
                cause: Some(Evidence::new(self.diagnosis())),
            })),
        }
    }
}

impl<K: Kind> StateMachine for AsyncOperation<K> {
    type Service = FlinkRest;
    type Output = K::Value;
    const NAME: &'static str = K::NAME;

    fn transition(&mut self, cx: &mut FlowContext<FlinkRest>) -> Transition<K::Value> {
        self.state = match &mut self.state {
            State::Begin if self.trigger.is_none() => self.send(cx),
            State::Begin => {
                cx.phase(K::NAME, "looking for the trigger");
                State::Lookup(self.status(cx), None)
            }
            State::Trigger(call) => match cx.poll(call)? {
                Ok(trigger) => {
                    self.unanswered |= call.has_unanswered();
                    self.observed.record(self.requested_at);
                    self.acknowledged(trigger.request_id, cx);
                    State::Poll(self.status(cx))
                }
                Err(FlowError::Ambiguous(lost)) => {
                    self.unanswered = true;
                    cx.phase(K::NAME, "looking for the trigger");
                    State::Lookup(self.status(cx), Some(lost))
                }
                Err(error) => {
                    self.not_triggered(cx);
                    return done(Err(error));
                }
            },
            State::Lookup(call, lost) => {
                let status = cx.poll(call)?;
                let lost = lost.take();
                match status {
                    Ok(status) => {
                        let id = self.trigger(cx).trigger_id;
                        self.acknowledged(id, cx);
                        self.reported(&status, cx)?
                    }
                    Err(FlowError::Service(error)) if is_unknown_trigger(&error) => {
                        if self.may_send(cx.now(), lost.as_ref()) {
                            self.send(cx)
                        } else {
                            self.diagnose(lost.unwrap_or_else(|| Self::forgotten(error.into())))
                        }
                    }
                    Err(error) if self.retry.allows(&error, cx) => State::LookupLater(self.pace.next(cx.now()), lost),
                    Err(error) => return done(Err(Self::unconfirmed(lost, error))),
                }
            }
            State::LookupLater(until, lost) => {
                let waited = cx.wait_or_expire(*until, K::WHAT)?;
                let lost = lost.take();
                match waited {
                    Ok(()) => State::Lookup(self.status(cx), lost),
                    Err(error) => return done(Err(Self::unconfirmed(lost, error))),
                }
            }
            State::Poll(call) => match cx.poll(call)? {
                Ok(status) => self.reported(&status, cx)?,
                Err(FlowError::Service(error)) if is_unknown_trigger(&error) => {
                    cx.phase(K::NAME, "the cluster has forgotten the trigger; looking at the job");
                    self.diagnose(Self::forgotten(error.into()))
                }
                Err(error @ FlowError::Deadline { .. }) => return done(Err(error)),
                Err(error) if self.retry.allows(&error, cx) => State::Wait(self.pace.next(cx.now())),
                Err(error) => return done(Err(FlowError::Ambiguous(Self::forgotten(error)))),
            },
            State::Wait(until) => {
                cx.wait(*until, K::WHAT)?;
                State::Poll(self.status(cx))
            }
            State::Lost(lookup, lost) => {
                let Found { diagnosis, text } = lookup.poll(cx)?;
                let mut lost = lost.clone();
                (lost.found, lost.evidence) = (Some(text), Some(Evidence::new(diagnosis)));
                cx.say(Notice::Observed { what: self.what(), state: "outcome unknown".to_owned() });
                return done(Err(FlowError::Ambiguous(lost)));
            }
        };
        ControlFlow::Continue(())
    }

    /// Adds the ids that the caller needs to look the job up.
    fn add_evidence(&mut self, error: FlowError) -> FlowError {
        let is_open = matches!(error, FlowError::Ambiguous(_) | FlowError::Deadline { .. });
        if is_open && self.trigger.is_some() && JobDiagnosis::of(&error).is_none() {
            error.with_evidence(self.diagnosis())
        } else {
            error
        }
    }
}
