//! Answers of a server, for the tests of the tables.

use bytes::Bytes;
use serde_json::json;

use crate::error::{Delivery, FlowError, TransportError, TransportErrorKind};
use crate::feldera::FelderaApi;
use crate::feldera::data::HttpInput;
use crate::feldera::stats::ControllerStatus;
use crate::operation::{Operation as _, Service as _};
use crate::time::Timestamp;

pub(super) const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Statistics of a process, with what it does about checkpoints.
pub(super) fn stats(process: &str, activity: Option<&str>) -> ControllerStatus {
    let mut body = json!({
        "global_metrics": {
            "state": "Running", "incarnation_uuid": process, "buffered_input_records": 0, "total_input_records": 0,
            "total_processed_records": 0, "pipeline_complete": false,
        },
        "inputs": [], "outputs": [],
    });
    if let Some(activity) = activity {
        body["checkpoint_activity"] = json!({ "status": activity });
    }
    serde_json::from_value(body).expect("statistics")
}

/// A rejection with this code.
pub(super) fn rejection(status: u16, code: &str) -> FlowError {
    let body = json!({ "message": code, "error_code": code, "details": null }).to_string();
    let response = http::Response::builder().status(status).body(Bytes::from(body)).expect("a response");
    FelderaApi::parse_error(HttpInput::INFO, &response).into()
}

/// A request that got no answer.
pub(super) fn lost() -> FlowError {
    let cause = TransportError::new(TransportErrorKind::Closed, Delivery::Unknown, "closed");
    FlowError::Ambiguous(crate::error::Ambiguity {
        operation: HttpInput::INFO.name,
        cause: Box::new(cause.into()),
        unanswered: true,
        found: None,
        evidence: None,
    })
}
