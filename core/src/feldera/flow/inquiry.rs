//! [`Inquiry`]: why a pipeline refuses, found out by a look at it.

use super::Interruption;
use crate::error::{FlowError, ServiceError};
use crate::feldera::pipelines::{DesiredStatus, Pipeline, PipelineStatus, Selector};
use crate::feldera::{ErrorCode, FelderaApi, GetPipeline, HttpInput, error_code};
use crate::flow::{Call, Common, Flow as _, Reply, Step, ok};
use crate::operation::Operation as _;
use crate::time::Timestamp;

/// A refusal on its way to becoming the error of a flow.
#[derive(Debug)]
pub(super) struct Inquiry {
    /// What cannot be done any more, in words.
    what: String,
    refusal: FlowError,
    /// Whether the flow has asked a process before, so that one that is only starting is another one.
    had_process: bool,
    /// `None` when the refusal says it all.
    look: Option<Call<GetPipeline>>,
}

impl Inquiry {
    /// About a refusal to a flow that has, or has not, asked a process of the pipeline before.
    pub(super) fn new(
        pipeline: &str,
        what: String,
        refusal: FlowError,
        had_process: bool,
        cx: &mut Common<FelderaApi>,
    ) -> Self {
        let look = refusal.service().is_some_and(says_too_little);
        let look = look.then(|| cx.call(GetPipeline::new(pipeline).selector(Selector::Status)));
        Self { what, refusal, had_process, look }
    }

    /// Comes to the error that the flow ends with.
    pub(super) fn poll(&mut self, now: Timestamp, reply: Option<Reply>) -> Step<FlowError> {
        let mut reply = reply;
        let found = match &mut self.look {
            Some(call) => {
                let looked = ok!(call.poll(now, reply.take()));
                looked.ok().and_then(|pipeline| interruption(&pipeline)).filter(|found| self.explains(found))
            }
            None => self.refusal.service().and_then(Interruption::told_by),
        };
        if let Some(stray) = reply {
            return Step::Stray(stray);
        }
        let details = self.refusal.service().and_then(|refusal| refusal.details().map(str::to_owned));
        Step::Done(Ok(match (found, &mut self.refusal) {
            (Some(found), FlowError::Ambiguous(ambiguity)) => {
                ambiguity.found = Some(found.to_string());
                self.refusal.clone()
            }
            (Some(found), _) => found.into_error(std::mem::take(&mut self.what), details),
            (None, refusal) => refusal.clone(),
        }))
    }

    /// Whether what was found is why the pipeline refused.
    fn explains(&self, found: &Interruption) -> bool {
        match found {
            // A first process that takes long to start has taken in nothing.
            Interruption::Restarted => self.had_process,
            // It holds rows, and does everything else.
            Interruption::Paused => {
                self.refusal.service().is_some_and(|refusal| refusal.operation() == HttpInput::INFO.name)
            }
            _ => true,
        }
    }
}

/// Whether a refusal leaves open why the process does not answer.
fn says_too_little(refusal: &ServiceError) -> bool {
    matches!(
        error_code(refusal),
        Some(
            ErrorCode::PipelineInteractionNotDeployed
                | ErrorCode::PipelineInteractionUnreachable
                | ErrorCode::PipelineUnavailable
                | ErrorCode::Suspended
                | ErrorCode::Terminating
        )
    )
}

/// What a pipeline's object says about why its process does not do its work.
pub(super) fn interruption(pipeline: &Pipeline) -> Option<Interruption> {
    let ends =
        matches!(
            pipeline.deployment_status,
            PipelineStatus::Stopped | PipelineStatus::Stopping | PipelineStatus::Suspended | PipelineStatus::Suspending
        ) || matches!(pipeline.deployment_desired_status, Some(DesiredStatus::Stopped | DesiredStatus::Suspended));
    match (&pipeline.deployment_error, &pipeline.deployment_status) {
        (Some(error), _) => Some(Interruption::Crashed(error.clone())),
        (None, _) if ends => Some(Interruption::Stopped),
        (None, PipelineStatus::AwaitingApproval) => Some(Interruption::AwaitingApproval),
        (None, PipelineStatus::Provisioning | PipelineStatus::Initializing) => Some(Interruption::Restarted),
        (None, PipelineStatus::Paused) => Some(Interruption::Paused),
        _ => None,
    }
}
