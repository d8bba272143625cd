//! [`LookupRetry`]: for how long a lookup that fails is repeated.

use crate::error::{ErrorKind, FlowError};
use crate::flink::FlinkRest;
use crate::flink::error::is_passing;
use crate::flink::tuning::LOOKUP_TIMEOUT;
use crate::flow::FlowContext;
use crate::time::Timestamp;

/// For how long a lookup that fails is repeated: until the deadline of the flow if it has one, otherwise for
/// [`LOOKUP_TIMEOUT`]. A rejection that does not pass by itself, such as a proxy's 403, is repeated for
/// [`LOOKUP_TIMEOUT`] at the most.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LookupRetry {
    /// When a lookup first failed.
    since: Option<Timestamp>,
    /// When a rejection first came that does not pass by itself.
    rejected: Option<Timestamp>,
}

impl LookupRetry {
    /// Returns whether there is time for another lookup after this error.
    pub(super) fn allows(&mut self, error: &FlowError, cx: &FlowContext<FlinkRest>) -> bool {
        let now = cx.now();
        let since = *self.since.get_or_insert(now);
        self.rejected = is_lasting(error).then(|| self.rejected.unwrap_or(now));
        let until = cx.deadline().unwrap_or(since + LOOKUP_TIMEOUT);
        let until = self.rejected.map_or(until, |rejected| until.min(rejected + LOOKUP_TIMEOUT));
        now < until && !matches!(error, FlowError::Deadline { .. } | FlowError::Build(_))
    }

    /// Records an answer of the cluster: the next error may be repeated for the whole time again.
    pub(super) fn answered(&mut self) {
        *self = Self::default();
    }
}

/// Returns whether the request will probably be rejected until the configuration or the credentials change.
fn is_lasting(error: &FlowError) -> bool {
    match error {
        FlowError::Credential(error) => !error.is_transient(),
        FlowError::Service(error) if error.kind() == ErrorKind::Foreign => matches!(error.status().as_u16(), 401 | 403),
        FlowError::Service(error) => error.kind() == ErrorKind::Rejected && !error.is_transient() && !is_passing(error),
        _ => false,
    }
}
