//! Calls an endpoint that the library does not know, with retries: here of a proxy in front of Flink.
//! Run it: `cargo run -p pipewright-examples --example quick_own_operation`

use std::collections::BTreeMap;

use pipewright::driver::Canned;
use pipewright::error::BuildError;
use pipewright::flink::{Flink, FlinkRest, JobId};
use pipewright::operation::{Effect, JsonOperation, OperationInfo, Target};

struct GetLabels(JobId);

impl JsonOperation for GetLabels {
    type Answer = BTreeMap<String, String>;
    type Api = FlinkRest;
    const ROW: &'static OperationInfo =
        &OperationInfo::new("flink", "getLabels", http::Method::GET, "/jobs/{jobid}/labels", Effect::Safe);

    fn parameters(&self, target: &mut Target<'_>) -> Result<(), BuildError> {
        target.segment("jobid", &self.0)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let request = "GET /v1/jobs/00000000000000000000000000000007/labels";
    let runtime = Canned::new([(request, 503, ""), (request, 200, r#"{"team":"orders"}"#)]);
    let flink = Flink::new("http://127.0.0.1:8081".parse()?, runtime);
    assert_eq!(flink.call(GetLabels(JobId::from_bits(7)))?["team"], "orders");
    Ok(())
}
