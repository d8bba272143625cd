//! Parameters of a path that an operation forgets, misnames or writes too often: the request is not built.

use std::collections::BTreeMap;

use http::Method;
use pipewright::driver::Canned;
use pipewright::error::{BuildError, FlowError};
use pipewright::flink::{Flink, FlinkRest};
use pipewright::operation::{Effect, JsonOperation, OperationInfo, Target};

/// An operation that writes these parameters of the path, and then a query.
struct GetMetric(&'static [&'static str]);

impl JsonOperation for GetMetric {
    type Answer = BTreeMap<String, u64>;
    type Api = FlinkRest;
    const ROW: &'static OperationInfo =
        &OperationInfo::new("flink", "getMetric", Method::GET, "/jobs/{jobid}/tasks/{task}/metric", Effect::Safe);

    fn parameters(&self, target: &mut Target<'_>) -> Result<(), BuildError> {
        for &name in self.0 {
            target.segment(name, &"7")?;
        }
        target.query("get", &"load");
        Ok(())
    }
}

/// Calls the operation. Only a complete path has an answer.
fn call(parameters: &'static [&'static str]) -> Result<BTreeMap<String, u64>, FlowError> {
    let runtime = Canned::new([("GET /v1/jobs/7/tasks/7/metric", 200, r#"{"load":3}"#)]);
    Flink::new("http://127.0.0.1:8081".parse().expect("a base"), runtime).call(GetMetric(parameters))
}

#[test]
fn a_path_with_all_parameters_is_requested() {
    assert_eq!(call(&["jobid", "task"]).expect("an answer")["load"], 3);
}

#[test]
fn a_path_with_a_wrong_parameter_is_not_built() {
    let other = "the next parameter of this path has another name; call `segment` once for each, in this order";
    let missing = "this parameter of the path has no value; call `segment` for it";
    let cases: [(&[&str], &str, &str); 6] = [
        (&[], "jobid", missing),
        (&["jobid"], "task", missing),
        (&["task", "jobid"], "task", other),
        (&["jobId", "task"], "jobId", other),
        (&["job", "task"], "job", other),
        (&["jobid", "task", "task"], "task", other),
    ];
    for (parameters, name, problem) in cases {
        let Err(FlowError::Build(error)) = call(parameters) else { panic!("{parameters:?} is sent") };
        assert_eq!(
            error.to_string(),
            format!("getMetric: {name} \"/jobs/{{jobid}}/tasks/{{task}}/metric\": {problem}")
        );
    }
}
