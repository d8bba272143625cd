//! Descriptions of why a checkpoint or the end of a step has to wait.

use super::diagnosis::is_of_process;
use crate::error::FlowError;
use crate::feldera::FelderaApi;
use crate::feldera::stats::{ControllerStatus, GetStats, PermanentSuspendError, SuspendError, TemporarySuspendError};
use crate::feldera::tuning::{DELAY_QUERY_AFTER, DELAY_QUERY_TIMEOUT, STATS_INTERVAL};
use crate::flow::{Call, FlowContext, Notice};
use crate::time::Timestamp;

/// Asks the process what delays its suspension, after a second and then every five seconds.
#[derive(Debug, Default)]
pub(super) struct Delay {
    ask_at: Option<Timestamp>,
    said: Option<String>,
}

impl Delay {
    /// Returns the request, if it is due. Only one request is in progress at a time.
    pub(super) fn ask(&mut self, pipeline: &str, cx: &mut FlowContext<FelderaApi>) -> Option<Call<GetStats>> {
        let now = cx.now();
        if *self.ask_at.get_or_insert(now + DELAY_QUERY_AFTER) > now {
            return None;
        }
        self.ask_at = Some(now + STATS_INTERVAL);
        let call = cx.until(Some(now + DELAY_QUERY_TIMEOUT), |cx| cx.call(GetStats::new(pipeline)));
        // A process that does not answer may have ended just now: the next poll shows that.
        Some(call.handing_back(is_of_process))
    }

    /// Tells the listener what delays `what`, if that has changed. Without an answer the flow continues to wait: the
    /// process may just have ended.
    pub(super) fn answered(
        &mut self,
        what: String,
        answer: Result<ControllerStatus, FlowError>,
        cx: &mut FlowContext<FelderaApi>,
    ) {
        let Some(error) = answer.ok().and_then(|stats| stats.suspend_error) else { return };
        let reasons = of_suspend(&error);
        if self.said.as_ref() != Some(&reasons) {
            cx.say(Notice::Observed { what, state: format!("delayed: {reasons}") });
            self.said = Some(reasons);
        }
    }
}

/// Describes what delays or prevents a suspension.
fn of_suspend(error: &SuspendError) -> String {
    match error {
        SuspendError::Temporary(reasons) => temporary(reasons),
        SuspendError::Permanent(reasons) => join(reasons.iter().map(never)),
        SuspendError::Unknown(word, _) => format!("not possible: {word}"),
    }
}

/// Describes what delays a checkpoint.
pub(super) fn temporary(reasons: &[TemporarySuspendError]) -> String {
    join(reasons.iter().map(not_yet))
}

fn not_yet(reason: &TemporarySuspendError) -> String {
    match reason {
        TemporarySuspendError::Replaying => "the pipeline replays its input".to_owned(),
        TemporarySuspendError::Bootstrapping => "the pipeline backfills changed views".to_owned(),
        TemporarySuspendError::TransactionInProgress => "a transaction is open".to_owned(),
        TemporarySuspendError::Coordination => "the hosts of the pipeline coordinate".to_owned(),
        TemporarySuspendError::InputEndpointBarrier(name) => format!("connector {name} holds it back"),
        TemporarySuspendError::Unknown(word, _) => word.to_string(),
    }
}

fn never(reason: &PermanentSuspendError) -> String {
    match reason {
        PermanentSuspendError::StorageRequired => "the pipeline has no storage".to_owned(),
        PermanentSuspendError::EnterpriseFeature => "only the enterprise edition makes checkpoints".to_owned(),
        PermanentSuspendError::UnsupportedInputEndpoint(name) => {
            format!("connector {name} does not support checkpoints")
        }
        PermanentSuspendError::FailedInputEndpointBarrier(name) => format!("connector {name} failed and holds it back"),
        PermanentSuspendError::Unknown(word, _) => word.to_string(),
    }
}

fn join(reasons: impl Iterator<Item = String>) -> String {
    reasons.collect::<Vec<_>>().join(", ")
}
