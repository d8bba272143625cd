//! The defaults of options: what the documentation says, compared with the simulator, which follows the server's
//! source. Nothing is sent for a default. Sending the default has the same effect, and another value has not.

use std::time::Duration;

use http::Request;
use pipewright::Operation;
use pipewright::driver::Clock as _;
use pipewright::feldera::data::{DataFormat, HttpInput, UpdateFormat};
use pipewright::feldera::events::ListPipelineEvents;
use pipewright::feldera::lifecycle::{ActivatePipeline, Initial, StartPipeline, StopPipeline};
use pipewright::feldera::metrics::{GetMetrics, MetricsFormat};
use pipewright::feldera::pipelines::{BootstrapPolicy, GetPipeline, ListPipelines, Selector};
use pipewright::feldera::platform::EventSelector;
use pipewright::feldera::profiles::GetSupportBundle;
use pipewright::feldera::stream::HttpOutput;
use pipewright::operation::RequestContext;
use pipewright_mock::feldera::{Config, Edition};
use pipewright_tests::rival_client::{Act, OTHER_SQL, RivalScene, SQL};

/// What comes of an operation on a pipeline to which this was done: the answer, and what is so a while later.
fn outcome(acts: &[Act], operation: &impl Operation) -> String {
    let scene = RivalScene::new(1, Config { edition: Edition::Enterprise, ..Config::default() });
    scene.put(SQL);
    scene.pass(5000);
    for act in acts {
        scene.now(act.clone());
        scene.pass(5000);
    }
    let base = "http://feldera.test:8080".parse().expect("a base");
    let (head, body) = operation.request(RequestContext::new(&base)).expect("a request").into_parts();
    let request = Request::from_parts(head, body.read().expect("in memory"));
    let now = scene.world.now();
    let response = scene.with(|manager| manager.handle(now.as_unix(), &request));
    let said = String::from_utf8_lossy(response.body()).into_owned();
    let kind = response.headers().get("content-type").cloned();
    scene.pass(Duration::from_secs(5).as_millis().try_into().expect("small"));
    format!("{} {kind:?} {said} {:?}", response.status(), scene.view())
}

#[track_caller]
fn is_default<O: Operation>(acts: &[Act], plain: &O, default: &O, other: &O) {
    let base = "http://feldera.test:8080".parse().expect("a base");
    let target = |operation: &O| operation.request(RequestContext::new(&base)).expect("a request").uri().to_string();
    assert!(target(plain).len() < target(default).len(), "{} is sent without being asked for", target(plain));
    let came = outcome(acts, plain);
    assert_eq!(came, outcome(acts, default), "{} is not {}", target(plain), target(default));
    assert_ne!(came, outcome(acts, other), "{} is {}", target(plain), target(other));
}

#[test]
fn of_what_is_read() {
    let running = &[Act::Start][..];
    let list = ListPipelines::new;
    is_default(running, &list(), &list().selector(Selector::All), &list().selector(Selector::Status));
    let get = || GetPipeline::new("p");
    is_default(running, &get(), &get().selector(Selector::All), &get().selector(Selector::Status));
    let events = || ListPipelineEvents::new("p");
    is_default(running, &events(), &events().selector(EventSelector::Status), &events().selector(EventSelector::All));
    let metrics = || GetMetrics::new("p");
    is_default(
        running,
        &metrics(),
        &metrics().format(MetricsFormat::Prometheus),
        &metrics().format(MetricsFormat::Json),
    );
    let bundle = || GetSupportBundle::new("p");
    is_default(running, &bundle(), &bundle().collect(true), &bundle().collect(false));
    is_default(running, &bundle(), &bundle().stats(true), &bundle().stats(false));
    is_default(running, &bundle(), &bundle().logs(true), &bundle().logs(false));
    is_default(running, &bundle(), &bundle().metrics(true), &bundle().metrics(false));
    is_default(running, &bundle(), &bundle().circuit_profile(true), &bundle().circuit_profile(false));
    is_default(running, &bundle(), &bundle().pipeline_config(true), &bundle().pipeline_config(false));
    is_default(running, &bundle(), &bundle().system_config(true), &bundle().system_config(false));
    is_default(running, &bundle(), &bundle().pipeline_events(true), &bundle().pipeline_events(false));
}

#[test]
fn of_a_start() {
    let start = || StartPipeline::new("p");
    is_default(&[], &start(), &start().initial(Initial::Running), &start().initial(Initial::Paused));
    let changed = &[Act::Start, Act::Suspend, Act::Edit(OTHER_SQL)][..];
    let policy = |policy| start().bootstrap_policy(policy);
    is_default(changed, &start(), &policy(BootstrapPolicy::AwaitApproval), &policy(BootstrapPolicy::Allow));
    is_default(changed, &start(), &policy(BootstrapPolicy::AwaitApproval), &policy(BootstrapPolicy::Reject));
    let crashed = &[Act::Start, Act::Panic][..];
    is_default(crashed, &start(), &start().dismiss_error(true), &start().dismiss_error(false));
}

#[test]
fn of_a_stop_and_of_an_activation() {
    let stop = || StopPipeline::new("p");
    is_default(&[Act::Start], &stop(), &stop().force(false), &stop().force(true));
    let activate = || ActivatePipeline::new("p");
    let paused = &[Act::StartPaused][..];
    is_default(paused, &activate(), &activate().initial(Initial::Running), &activate().initial(Initial::Paused));
}

#[test]
fn of_rows_in_and_out() {
    let input = || HttpInput::new("p", "t", DataFormat::Json, "{\"insert\":{\"id\":1}}");
    let running = &[Act::Start][..];
    is_default(
        running,
        &input(),
        &input().update_format(UpdateFormat::InsertDelete),
        &input().update_format(UpdateFormat::Raw),
    );
    let list = || HttpInput::new("p", "t", DataFormat::Json, "[{\"insert\":{\"id\":1}}]");
    is_default(running, &list(), &list().array(false), &list().array(true));
    is_default(&[Act::StartPaused], &input(), &input().force(false), &input().force(true));
    let rows = Act::Request("POST", "/pipelines/p/ingress/t?format=json".into(), "{\"insert\":{\"id\":1}}".into());
    let output = || HttpOutput::new("p", "v", DataFormat::Json);
    let filled = &[Act::Start, rows][..];
    is_default(filled, &output(), &output().send_snapshot(false), &output().send_snapshot(true));
}
