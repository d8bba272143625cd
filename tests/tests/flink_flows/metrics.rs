//! The goals that read metrics, with a server that answers from a recorded list of names, and on the simulated cluster.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use pipewright::driver::Clock as _;
use pipewright::error::{BuildError, FlowError};
use pipewright::flink::jobs::GetJob;
use pipewright::flink::metrics::{Aggregation, GetVertexMetrics};
use pipewright::flink::taskmanagers::GetTaskManagerStdout;
use pipewright::flink::{AwaitJob, Flink, FlinkRest, JobId, ReadAggregatedMetrics, ReadMetrics, RunJar, VertexId};
use pipewright::flow::{Config, Flow, Goal, Step};
use pipewright::operation::RequestContext;
use pipewright::{Body, Operation, Seed, Timestamp};
use pipewright_mock::World;
use pipewright_mock::flink::{Config as Cluster, Program};
use pipewright_tests::har;
use serde_json::{Value, json};

const JOB: JobId = JobId::from_bits(1);
const VERTEX: VertexId = VertexId::from_bits(2);
const BASE: &str = "http://127.0.0.1:8081/a/prefix";

/// The body of a recorded answer.
fn recorded(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/flink/2.3.0-inside-cases.har");
    let recording = har::read_file(&path).expect("the recording");
    let entry = recording.entries.iter().find(|entry| entry.name == name).unwrap_or_else(|| panic!("no {name}"));
    serde_json::from_slice(entry.response.body()).expect("JSON")
}

/// The names of a vertex with two subtasks, as the server would list them.
fn names() -> Vec<String> {
    let list = recorded("GET_jobs_jobid_vertices_vertexid_subtasks_metrics--names");
    let names = list.as_array().expect("a list").iter().map(|metric| metric["id"].as_str().expect("a name"));
    let names: Vec<_> = names.collect();
    (0..2).flat_map(|subtask| names.iter().map(move |name| format!("{subtask}.{name}"))).collect()
}

/// What the request asks for, the way the server takes it apart.
fn asked(request: &Request<Body>) -> Option<Vec<String>> {
    let get = request.uri().query()?.split('&').find_map(|pair| pair.strip_prefix("get="))?;
    let decoded = get.replace("%2C", ",").replace("%20", " ");
    Some(decoded.split(',').map(str::to_owned).collect())
}

struct Run<T> {
    result: Result<Vec<T>, FlowError>,
    requests: Vec<Request<()>>,
    took: Duration,
}

/// Drives a goal with a server in virtual time.
fn run<G, T>(goal: G, mut server: impl FnMut(usize, &Request<Body>) -> Value) -> Run<T>
where
    G: Goal<Service = FlinkRest, Output = Vec<T>>,
{
    let config = Config::new(BASE.parse().expect("a base"));
    let mut flow = goal.start(&config, Seed::new(7));
    let start = Timestamp::from_millis(1_000_000);
    let (mut now, mut reply, mut requests) = (start, None, Vec::new());
    loop {
        match flow.poll(now, reply.take()) {
            Step::Send(exchange) => {
                let body = server(requests.len(), exchange.request()).to_string();
                let mut seen = Request::new(());
                *seen.uri_mut() = exchange.request().uri().clone();
                requests.push(seen);
                let answer = Response::builder().header("content-type", "application/json; charset=UTF-8");
                let answer = answer.body(Bytes::from(body)).expect("an answer");
                reply = Some(exchange.settle(Ok(answer)));
            }
            Step::WaitUntil(at) | Step::InFlight { until: at } => {
                assert!(at > now, "waits for the past");
                now = at;
            }
            Step::Notice(_) => {}
            Step::Done(result) => return Run { result, requests, took: now.since(start) },
            Step::Authorize(_) | Step::Stray(_) => panic!("neither credentials nor other flows"),
        }
    }
}

/// Lists, or answers what is asked for and exists, backwards: the server promises no order.
fn answer(exist: &[String], request: &Request<Body>) -> Value {
    match asked(request) {
        None => exist.iter().map(|name| json!({ "id": name })).collect(),
        Some(asked) => {
            let found = asked.iter().rev().filter(|name| exist.contains(name));
            found.map(|name| json!({ "id": name, "value": format!("value of {name}") })).collect()
        }
    }
}

fn line(request: &Request<()>) -> usize {
    format!("GET {} HTTP/1.1", request.uri().path_and_query().expect("a target")).len()
}

#[test]
fn all_metrics_of_a_vertex_are_split_and_joined() {
    let names = names();
    // In one request they do not fit, and that is told before anything is sent.
    let all = GetVertexMetrics::new(JOB, VERTEX).names(names.clone());
    let base = BASE.parse().expect("a base");
    let error = all.request(RequestContext::new(&base)).expect_err("too long");
    assert!(matches!(error, BuildError::TooLong { limit: 4096, .. }), "{error}");

    let run = run(ReadMetrics::of_vertex(JOB, VERTEX), |_, request| answer(&names, request));
    let metrics = run.result.expect("metrics");
    let expected: BTreeSet<_> = names.iter().cloned().collect();
    assert_eq!(metrics.iter().map(|metric| metric.id.clone()).collect::<Vec<_>>(), Vec::from_iter(expected));
    for metric in &metrics {
        assert_eq!(metric.value.as_deref(), Some(&*format!("value of {}", metric.id)));
    }
    let lines: Vec<_> = run.requests.iter().map(line).collect();
    assert!(lines.len() > 2 && lines.iter().all(|length| *length <= 4096), "{lines:?}");
    // And not in more requests than it takes: each is full but the last.
    let longest = names.iter().map(String::len).max().expect("names") + 3;
    assert!(lines[1..lines.len() - 1].iter().all(|length| length + longest > 4096), "{lines:?}");
    assert_eq!(run.took, Duration::ZERO);
}

#[test]
fn named_metrics_come_in_the_order_they_were_named_in() {
    let names = names();
    let wanted = [names[9].clone(), "no.such".to_owned(), names[1].clone(), names[5].clone()];
    let run = run(ReadMetrics::of_vertex(JOB, VERTEX).names(wanted), |_, request| answer(&names, request));
    let found: Vec<_> = run.result.expect("metrics").into_iter().map(|metric| metric.id).collect();
    assert_eq!(found, [names[9].clone(), names[1].clone(), names[5].clone()]);
    assert_eq!(run.requests.len(), 1);
}

/// As recorded: a young cluster has no metrics of its jobs at the first question.
#[test]
fn what_was_not_fetched_yet_is_waited_for() {
    let (empty, listed) = (recorded("GET_jobs_metrics--empty"), recorded("GET_jobs_metrics--names"));
    assert_eq!(empty, json!([]));
    let values = recorded("GET_jobs_metrics--get");
    let goal = ReadAggregatedMetrics::of_jobs([JOB; 0]).aggregations([Aggregation::Max]);
    let run = run(goal, |at, request| match (at, asked(request)) {
        (0..3, _) => empty.clone(),
        (_, None) => listed.clone(),
        (_, Some(_)) => values.clone(),
    });
    let metrics = run.result.expect("metrics");
    assert_eq!(metrics.len(), values.as_array().expect("a list").len());
    assert!(metrics.iter().all(|metric| metric.max.is_some()), "{metrics:?}");
    assert_eq!(run.requests.len(), 5);
    assert!(run.took > Duration::ZERO && run.took < Duration::from_secs(1), "{:?}", run.took);
    // The names are not aggregated, the values are.
    let queries: Vec<_> = run.requests.iter().map(|request| request.uri().query().unwrap_or_default()).collect();
    assert!(queries[3].is_empty() && queries[4].ends_with("&agg=max"), "{queries:?}");
}

/// As recorded: an unknown job is not refused.
#[test]
fn metrics_that_never_come_are_given_up_after_the_fetch_timeout() {
    let unknown = recorded("GET_jobs_jobid_metrics--unknown-job");
    let run = run(ReadMetrics::of_job(JOB), |_, _| unknown.clone());
    assert!(run.result.expect("no error").is_empty());
    assert_eq!(run.took, Duration::from_secs(12));
    assert!(run.requests.len() < 15, "{} requests", run.requests.len());
    let once = self::run(ReadMetrics::of_job(JOB).fetch_timeout(Duration::ZERO), |_, _| unknown.clone());
    assert_eq!((once.requests.len(), once.took), (1, Duration::ZERO));
}

#[test]
fn nothing_asked_for_is_nothing() {
    let run = run(ReadMetrics::of_job(JOB).names([""; 0]), |_, _| panic!("nothing to ask"));
    assert!(run.result.expect("no error").is_empty() && run.requests.is_empty());
}

#[test]
fn a_name_with_a_comma_is_rejected_before_it_is_sent() {
    let run = run(ReadMetrics::of_job_manager().names(["a,b"]), |_, _| panic!("nothing to ask"));
    let error = run.result.expect_err("a comma").to_string();
    assert!(error.contains("a,b") && error.contains("comma"), "{error}");
}

/// As a real server: one name that does not exist empties the answer; a name whose value is no number is left out
/// alone.
fn aggregated(exist: &[&str], request: &Request<Body>) -> Value {
    match asked(request) {
        None => exist.iter().map(|name| json!({ "id": name })).collect(),
        Some(asked) if asked.iter().any(|name| !exist.contains(&name.as_str())) => json!([]),
        Some(asked) => {
            let numbers = asked.iter().filter(|name| !name.starts_with("text"));
            numbers.map(|name| json!({ "id": name, "max": 1.0 })).collect()
        }
    }
}

fn ids(run: Run<pipewright::flink::metrics::AggregatedMetric>) -> Vec<String> {
    run.result.expect("metrics").into_iter().map(|metric| metric.id).collect()
}

#[test]
fn an_aggregated_name_that_does_not_exist_is_left_out_alone() {
    let goal = || ReadAggregatedMetrics::of_subtasks(JOB, VERTEX);
    let exist = ["a", "b", "c"];
    let run = run(goal().names(["c", "no.such", "a"]), |_, request| aggregated(&exist, request));
    assert_eq!(run.requests.len(), 2);
    assert_eq!(ids(run), ["c", "a"]);
    // None of them is asked for; they may come with the next fetch, so that the list is read until patience is over.
    let run = self::run(goal().names(["no.such"]), |_, request| {
        assert!(asked(request).is_none(), "{request:?}");
        aggregated(&exist, request)
    });
    assert_eq!(run.took, Duration::from_secs(12));
    assert_eq!(ids(run), [""; 0]);
    let run = self::run(goal().names([""; 0]), |_, _| panic!("nothing to ask"));
    assert_eq!(ids(run), [""; 0]);
}

/// A name that is listed can be gone when its value is asked for.
#[test]
fn an_aggregated_name_that_vanishes_is_left_out_alone() {
    let exist = ["a", "b", "c", "d"];
    for names in [None, Some(["d", "b", "a"])] {
        let goal = ReadAggregatedMetrics::of_subtasks(JOB, VERTEX);
        let goal = names.map_or_else(|| goal.clone(), |names| goal.clone().names(names));
        let run = run(goal, |at, request| aggregated(if at == 0 { &exist } else { &exist[1..] }, request));
        assert_eq!(run.requests.len(), 4, "names, values, names, values");
        assert_eq!(ids(run).len(), names.map_or(3, |names| names.len() - 1));
    }
    // All of them, with their job.
    let run = run(ReadAggregatedMetrics::of_subtasks(JOB, VERTEX).fetch_timeout(Duration::ZERO), |at, request| {
        aggregated(if at == 0 { &exist } else { &[] }, request)
    });
    assert_eq!(run.requests.len(), 3);
    assert_eq!(ids(run), [""; 0]);
}

/// They exist, and have no value: it is not their fault that others have vanished.
#[test]
fn aggregated_names_that_are_no_numbers_hide_no_others() {
    let exist = ["text.a", "text.b", "text.c", "text.d", "e"];
    let goal = ReadAggregatedMetrics::of_subtasks(JOB, VERTEX);
    let run = run(goal.clone().names(exist), |_, request| aggregated(&exist, request));
    assert_eq!(run.requests.len(), 2);
    assert_eq!(ids(run), ["e"]);
    let run = self::run(goal.names(exist[..4].to_vec()).fetch_timeout(Duration::ZERO), |_, request| {
        aggregated(&exist, request)
    });
    assert!(run.requests.len() < 12, "{} requests", run.requests.len());
    assert_eq!(ids(run), [""; 0]);
}

#[test]
fn aggregated_names_that_cannot_be_sent_are_rejected_before_anything_is_sent() {
    for (name, problem) in [("a,b".to_owned(), "comma"), ("x".repeat(5000), "request line")] {
        let goal = ReadAggregatedMetrics::of_jobs([JOB; 0]).names(["a".to_owned(), name]);
        let run = run(goal, |_, request| {
            assert!(asked(request).is_some_and(|asked| asked == ["a"]), "{request:?}");
            json!([{ "id": "a", "max": 1.0 }])
        });
        let error = run.result.expect_err("it cannot be sent").to_string();
        assert!(error.contains(problem), "{error}");
    }
}

/// On the simulated cluster, which answers as a real cluster.
#[test]
fn unknown_names_do_not_hide_the_aggregated_metrics_of_a_cluster() {
    let (_world, flink, job, vertex) = launch();
    for (goal, known) in [
        (ReadAggregatedMetrics::of_task_managers([""; 0]), "Status.JVM.CPU.Load"),
        (ReadAggregatedMetrics::of_jobs([job]), "uptime"),
        (ReadAggregatedMetrics::of_subtasks(job, vertex), "numRecordsIn"),
    ] {
        let metrics = flink.run(goal.names(["no.such", known, "lastCheckpointExternalPath"])).expect(known);
        let found: Vec<_> = metrics.iter().map(|metric| &*metric.id).collect();
        assert_eq!(found, [known]);
    }
}

/// No server of ours lists such a name, but a reporter's own might be; the others are still read.
#[test]
fn a_listed_name_with_a_comma_is_left_out() {
    let names = ["a".to_owned(), "b,c".to_owned(), "d".to_owned()];
    let run = run(ReadMetrics::of_job_manager(), |_, request| answer(&names, request));
    let found: Vec<_> = run.result.expect("metrics").into_iter().map(|metric| metric.id).collect();
    assert_eq!(found, ["a", "d"]);
}

#[test]
fn an_endless_name_is_rejected_with_its_length() {
    let run = run(ReadMetrics::of_job_manager().names(["x".repeat(5000)]), |_, _| panic!("nothing to ask"));
    let error = run.result.expect_err("too long");
    assert!(matches!(error, FlowError::Build(BuildError::TooLong { limit: 4096, .. })), "{error}");
}

/// A job with four subtasks a vertex, and the id of its second vertex.
fn launch() -> (World, Flink<World>, JobId, VertexId) {
    let world = World::new(1);
    let cluster = world.flink("http://flink.test:8081".parse().expect("a base"), Cluster::default());
    let flink = Flink::new(cluster.base(), world.clone());
    let jar = Program::endless("job").parallelism(4).jar();
    let job = flink.run(RunJar::upload("a.jar", jar)).expect("submitted").job;
    let _ = flink.run(AwaitJob::running(job)).expect("it runs");
    let vertex = flink.call(GetJob::new(job)).expect("details").vertices[1].id;
    world.sleep_until(world.now() + Duration::from_secs(10));
    (world, flink, job, vertex)
}

/// The first question is answered with nothing, and the names of a vertex fill several request lines.
#[test]
fn a_cluster_is_asked_until_it_has_fetched() {
    let (world, flink, job, vertex) = launch();
    let before = world.now();
    let metrics = flink.run(ReadMetrics::of_vertex(job, vertex)).expect("metrics");
    assert!(world.now() > before);
    // Behind the number of the subtask: its operators have this metric, too.
    let is_read = |id: &str| id.split_once('.').is_some_and(|(_, name)| name == "numRecordsIn");
    let read: Vec<_> = metrics.iter().filter(|metric| is_read(&metric.id)).collect();
    assert_eq!(
        read.iter().map(|metric| &*metric.id).collect::<Vec<_>>(),
        (0..4).map(|n| format!("{n}.numRecordsIn")).collect::<Vec<_>>()
    );
    let sum: f64 = read.iter().filter_map(|metric| metric.number()).sum();
    assert!(metrics.iter().map(|metric| metric.id.len() + 3).sum::<usize>() > 4096, "one request would do");
    assert!(metrics.iter().all(|metric| metric.value.is_some()), "{metrics:?}");
    // Within the interval the answers are those of the same moment.
    let goal =
        ReadAggregatedMetrics::of_some_subtasks(job, vertex, "0-1,3").names(["numRecordsIn", "busyTimeMsPerSecond"]);
    let metrics = flink.run(goal.aggregations([Aggregation::Sum, Aggregation::Skew])).expect("metrics");
    assert_eq!(metrics[0].id, "numRecordsIn");
    assert!(metrics[0].sum.is_some_and(|some| some > 0.0 && some < sum) && metrics[0].min.is_none(), "{metrics:?}");
    assert_eq!((metrics[1].sum, metrics[1].skew), (Some(3000.0), Some(0.0)));
    let source = flink.call(GetJob::new(job)).expect("details").vertices[0].id;
    let busy = flink.run(ReadMetrics::of_subtask(job, source, 0).names(["busyTimeMsPerSecond"])).expect("metrics");
    assert_eq!(busy[0].number(), Some(1000.0), "{busy:?}");
}

#[test]
fn every_scope_of_a_cluster_has_metrics() {
    let (_world, flink, job, vertex) = launch();
    let source = flink.call(GetJob::new(job)).expect("details").vertices[0].id;
    let manager = "127.0.0.1:44883-f8bb4a";
    for (goal, name) in [
        (ReadMetrics::of_job_manager(), "taskSlotsTotal"),
        (ReadMetrics::of_task_manager(manager), "Status.JVM.CPU.Load"),
        (ReadMetrics::of_job(job), "lastCheckpointExternalPath"),
        (ReadMetrics::of_vertex(job, vertex), "3.numRecordsIn"),
        (
            ReadMetrics::of_coordinator(job, source),
            "Source__numbers_->_throttle.coordinator.enumerator.unassignedSplits",
        ),
        (ReadMetrics::of_subtask(job, vertex, 3), "numRecordsIn"),
    ] {
        let metrics = flink.run(goal.clone()).expect(name);
        assert!(metrics.iter().any(|metric| metric.id == name), "{goal:?}: {metrics:?}");
    }
    for (goal, name) in [
        (ReadAggregatedMetrics::of_task_managers([manager]), "Status.JVM.CPU.Load"),
        (ReadAggregatedMetrics::of_jobs([job]), "uptime"),
        (ReadAggregatedMetrics::of_subtasks(job, vertex), "numRecordsIn"),
    ] {
        let metrics = flink.run(goal.clone()).expect(name);
        assert!(metrics.iter().any(|metric| metric.id == name && metric.max.is_some()), "{goal:?}: {metrics:?}");
        // It has a name, and no value that could be taken together.
        assert!(metrics.iter().all(|metric| metric.id != "lastCheckpointExternalPath"), "{metrics:?}");
    }
}

/// What the print sink prints is read line by line.
#[test]
fn standard_output_is_read_line_by_line() {
    let (_world, flink, _job, _vertex) = launch();
    let mut lines = flink.open(GetTaskManagerStdout::new("127.0.0.1:44883-f8bb4a")).expect("it is there");
    let mut read = Vec::new();
    while let Some(line) = lines.next_item().expect("nothing goes wrong") {
        read.push(String::from_utf8_lossy(line).into_owned());
    }
    assert_eq!(read.len(), 1000, "the newest");
    let number = |line: &str| line.trim_end_matches(')').rsplit(',').next().and_then(|text| text.parse::<u64>().ok());
    assert!(read.windows(2).all(|pair| number(&pair[0]).map(|n| n + 1) == number(&pair[1])), "{:?}", &read[..3]);
}
