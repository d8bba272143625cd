//! An endpoint that the library does not know, with retries and error parsing: here of a proxy in front of Flink.
//!
//! ```text
//! cargo run -p pipewright-examples --example quick_own_operation
//! ```

use std::collections::BTreeMap;
use std::error::Error;

use bytes::Bytes;
use http::{Method, Request, Response};
use pipewright::Body;
use pipewright::driver::Canned;
use pipewright::error::{BuildError, ServiceError};
use pipewright::flink::{Flink, FlinkRest};
use pipewright::operation::{Effect, Operation, OperationInfo, RequestContext, Target, parse_json};

struct GetLabels {
    job: String,
}

impl Operation for GetLabels {
    type Output = BTreeMap<String, String>;
    type Service = FlinkRest;
    const INFO: &'static OperationInfo =
        &OperationInfo::new("flink", "getLabels", Method::GET, "/jobs/{jobid}/labels", Effect::Safe);

    fn request(&self, cx: RequestContext<'_>) -> Result<Request<Body>, BuildError> {
        let mut target = Target::new::<FlinkRest>(Self::INFO, cx);
        target.segment("jobid", &self.job)?;
        target.finish(None)
    }

    fn parse(&self, response: Response<Bytes>) -> Result<Self::Output, ServiceError> {
        parse_json::<FlinkRest, _>(Self::INFO, &response)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let labels = "GET /v1/jobs/7/labels";
    let runtime = Canned::new([(labels, 503, ""), (labels, 200, r#"{"team":"orders"}"#)]);
    let flink = Flink::new("http://127.0.0.1:8081".parse()?, runtime);
    let labels = flink.call_with(GetLabels { job: "7".into() }, |notice| println!("{notice}"))?;
    println!("{labels:?}");
    Ok(())
}
