//! [`Confirmation`]: asks the process of a pipeline whether it runs, after the manager has shown that.
//!
//! | the request for statistics was answered with | then |
//! |---|---|
//! | statistics with the state that the manager shows, or a success that cannot be read | confirmed |
//! | the same after an attempt that got no answer | the flow polls the pipeline again: it may have been replaced meanwhile |
//! | statistics with a state of a later release | the flow polls again; after 10 s: confirmed |
//! | statistics with another state, or of a circuit that has ended | the flow polls again; after a minute: failed |
//! | 410 `Terminating`, 500 with the code of a panic, 503: the process does not answer | the flow polls again; after a minute: failed with the rejection |
//! | any other rejection | failed with it |
//! | no answer within the minute | failed with the last rejection or transport error |

use bytes::Bytes;
use http::{Request, Response};

use super::diagnosis::is_of_process;
use crate::body::Body;
use crate::error::{
    Applied, BuildError, ErrorKind, Failure, FlowError, ServiceError, TransportError, TransportErrorKind,
};
use crate::feldera::FelderaApi;
use crate::feldera::pipelines::PipelineStatus;
use crate::feldera::stats::{GetStats, PipelineState};
use crate::feldera::tuning::{MAX_STATUS_LAG, STALL_TIMEOUT};
use crate::flow::{Call, FlowContext};
use crate::operation::{self, Operation, OperationInfo, RequestContext};
use crate::schema::json_structs;
use crate::time::Timestamp;

json_structs! {
    /// The part of the statistics that a confirmation needs. The rest may have any shape.
    struct Told {
        /// The metrics of the process.
        pub global_metrics: Metrics,
    }

    /// The state among the metrics.
    struct Metrics {
        pub state: PipelineState,
    }
}

/// Asks for the statistics of a process and reads only its state. `None` is a success that cannot be read.
#[derive(Debug)]
pub(super) struct GetState(GetStats);

impl Operation for GetState {
    type Output = Option<PipelineState>;
    type Service = FelderaApi;

    const INFO: &'static OperationInfo = GetStats::INFO;

    fn request(&self, cx: RequestContext<'_>) -> Result<Request<Body>, BuildError> {
        self.0.request(cx)
    }

    fn parse(&self, response: Response<Bytes>) -> Result<Self::Output, ServiceError> {
        match operation::parse::<FelderaApi, Told>(Self::INFO, &response) {
            Ok(told) => Ok(Some(told.global_metrics.state)),
            // A page or other text may be a proxy's.
            Err(error) if error.kind() == ErrorKind::Unreadable && error.applied() == Applied::Yes => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Asks the process of a pipeline whether it runs, after the manager has shown that.
#[derive(Debug, Default)]
pub(super) struct Confirmation {
    /// Since when the manager has shown that the pipeline is up, and its process has not confirmed it.
    since: Option<Timestamp>,
    /// Why it is not confirmed.
    last_error: Option<FlowError>,
}

impl Confirmation {
    /// Makes the request. It ends a minute after the first request, but has ten seconds also if the polls took longer
    /// than that.
    pub(super) fn ask(&mut self, pipeline: &str, cx: &mut FlowContext<FelderaApi>) -> Call<GetState> {
        let since = *self.since.get_or_insert(cx.now());
        let until = (since + STALL_TIMEOUT).max(cx.now() + MAX_STATUS_LAG);
        let call = cx.until(Some(until), |cx| cx.call(GetState(GetStats::new(pipeline))));
        // The manager's next answer about the pipeline tells more than another attempt.
        call.handing_back(is_of_process)
    }

    /// The manager no longer shows that the pipeline is up.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Decides by an answer. `shown` is what the manager shows, `what` is for the error. `None` is another poll.
    pub(super) fn answered(
        &mut self,
        answer: Result<Option<PipelineState>, FlowError>,
        is_repeated: bool,
        shown: &PipelineStatus,
        what: impl FnOnce() -> String,
        cx: &FlowContext<FelderaApi>,
    ) -> Option<Result<(), FlowError>> {
        let waited = self.since.map(|since| cx.now().since(since)).unwrap_or_default();
        let is_over = waited >= STALL_TIMEOUT;
        let answer = match answer {
            // The answer of a process that has much to tell.
            Err(FlowError::Transport(error)) if is_too_large(&error) => Ok(None),
            answer => answer,
        };
        let error = match answer {
            Ok(told) => {
                let confirms = match &told {
                    None => true,
                    Some(PipelineState::Unknown(_)) if waited >= MAX_STATUS_LAG => true,
                    Some(told) => told.as_str() == shown.as_str(),
                };
                match (confirms, told) {
                    (true, _) if is_repeated && !is_over => return None,
                    (false, Some(told)) => unconfirmed(what(), shown, &format!("its process reports {told}")),
                    _ => return Some(Ok(())),
                }
            }
            Err(FlowError::Service(rejection)) if is_of_process(&rejection) => rejection.into(),
            // The minute is over, and the flow's own time is not.
            Err(FlowError::Deadline { last, .. }) if is_over && cx.expired("").is_none() => {
                let last = last.map(|last| *last).or(self.last_error.take());
                return Some(Err(last.unwrap_or_else(|| unconfirmed(what(), shown, "its process does not answer"))));
            }
            Err(error) => return Some(Err(error)),
        };
        if is_over {
            return Some(Err(error));
        }
        self.last_error = Some(error);
        None
    }
}

fn is_too_large(error: &TransportError) -> bool {
    error.kind() == TransportErrorKind::TooLarge && error.status().is_some_and(|status| status.is_success())
}

fn unconfirmed(what: String, shown: &PipelineStatus, told: &str) -> FlowError {
    let seconds = STALL_TIMEOUT.as_secs();
    let reason = format!(
        "the manager has shown {shown} for {seconds} s, but {told}; read the logs of the pipeline, or stop it by force and \
         start it again"
    );
    FlowError::Failed(Failure { what, reason, details: None, cause: None })
}
