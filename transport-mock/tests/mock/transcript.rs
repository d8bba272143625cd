//! The texts of transcripts.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use pipewright::driver::{NoCredentials, Opened, Transport as _, run};
use pipewright::flink::jobs::GetJobStatus;
use pipewright::flink::{AwaitJob, Flink, FlinkRest, JobId, RunJar, StopWithSavepoint};
use pipewright::flow::{Call, Config, Notice};
use pipewright::{Effect, Secret, Seed, Timestamp};
use pipewright_mock::flink::{Config as Cluster, Program};
use pipewright_mock::transcript::{self, Recorder};
use pipewright_mock::{Fault, FaultPlan, RetryAfter, Service, World};

use crate::common::{Add, Counter, Counting, add, config, follow, next_exchange};

const ADDRESS: &str = "http://127.0.0.1:40123";

#[track_caller]
fn reads(transcript: &str, expected: &[&str]) {
    let lines: Vec<_> = transcript.lines().collect();
    assert_eq!(lines, expected, "\n{transcript}");
}

/// A world whose exchanges take 4 ms.
fn world<S: Service + 'static>(address: &str, service: S) -> World {
    let world = World::new(1);
    world.set_latency(std::time::Duration::from_millis(4)..=std::time::Duration::from_millis(4));
    world.mount(address.parse().expect("an address"), service);
    world
}

/// Gives one answer to everything.
struct Says(fn() -> Response<Bytes>);

impl Service for Says {
    fn handle(&mut self, _now: Timestamp, _request: &Request<Bytes>) -> Response<Bytes> {
        (self.0)()
    }
}

/// What is written of one answer, without the request.
fn answer(says: fn() -> Response<Bytes>) -> Vec<String> {
    let recorder = Recorder::new(world(ADDRESS, Says(says)));
    let _ = recorder.send(&next_exchange(&mut add(ADDRESS, Effect::Once), Timestamp::UNIX_EPOCH, None));
    let transcript = recorder.finish();
    transcript
        .lines()
        .skip_while(|line| !line.contains("  < "))
        .skip(1)
        .map(|line| line.trim_start().to_owned())
        .collect()
}

fn stop(seed: u64) -> String {
    let world = World::new(seed);
    let cluster = world.flink("http://flink.test:8081".parse().expect("an address"), Cluster::default());
    let flink = Flink::new(cluster.base(), Recorder::new(world.clone()));
    let jar = Program::endless("orders").jar();
    let job = transcript::run(&flink, RunJar::upload("orders.jar", jar)).expect("it is submitted").job;
    let _ = flink.run(AwaitJob::running(job)).expect("it starts");
    flink.runtime().note(&format!("# {job} is running"));
    world.set_faults(FaultPlan::none().nth(1, Fault::ReplyLost));
    transcript::run(&flink, StopWithSavepoint::new(job).target_directory("file:///savepoints")).expect("it stops");
    flink.runtime().finish()
}

#[test]
fn a_whole_story_has_names_for_all_that_varies() {
    let story = stop(1);
    assert_eq!(story, stop(1));
    assert!(story.lines().next().is_some_and(|line| line == "   0.000  * RunJar: uploading the jar"), "{story}");
    assert!(story.lines().any(|line| line.ends_with("  # <job-1> is running")), "{story}");
    assert!(story.contains("/v1/jars/<jar-1>_orders-<jar-2>.jar/run\n          | {\"jobId\":\"<job-1>\"}"), "{story}");
    assert!(story.contains("/v1/jobs/<job-1>/savepoints/<trigger-1>\n"), "{story}");
    assert_eq!(story.matches("  ! Closed, outcome unknown\n").count(), 1, "{story}");
    assert_eq!(story.matches("  = done\n").count(), 2, "{story}");
    for seed in [1, 2, 3] {
        let story = stop(seed);
        let ids = story.split(|letter: char| !letter.is_ascii_alphanumeric());
        let ids: Vec<_> =
            ids.filter(|word| word.len() >= 12 && word.bytes().all(|byte| byte.is_ascii_hexdigit())).collect();
        assert!(ids.is_empty() && !story.contains("17672") && !story.contains("2026-"), "{ids:?}\n{story}");
        assert!(story.lines().all(|line| line.chars().count() <= 210), "{story}");
    }
}

#[test]
fn a_call_with_its_faults_waits_and_notices() {
    let world = world(ADDRESS, Counter::default());
    world.set_faults(FaultPlan::none().nth(1, Fault::NotSent).nth(2, Fault::TooManyRequests(RetryAfter::Seconds(2))));
    let recorder = Recorder::new(world);
    let call = add(ADDRESS, Effect::Once);
    run(call, &recorder, &NoCredentials, |notice| recorder.notice(&notice)).expect("in the end");
    reads(
        &recorder.finish(),
        &[
            "   0.000  > POST http://127.0.0.1:<port-1>/add",
            r#"          | {"add":1}"#,
            "   0.002  ! Connect, not sent",
            "   0.002  * add again at <+0.048 s>: http://127.0.0.1:<port-1> refused the connection; the request was not sent",
            "   0.002  ~ 0.046 s",
            "   0.048  > POST http://127.0.0.1:<port-1>/add",
            r#"          | {"add":1}"#,
            "   0.052  < 429",
            "          | retry-after: 2",
            "          | 140 bytes of text/html: <!DOCTYPE html>",
            "   0.052  * add again at <+2.052 s>: add: status 429: not an answer of counting: text/html: <!DOCTYPE html> <html><head><title>429 Too Many Requests</title></head> <body><h1>429 Too Many Requests</h1><p>edge pr…",
            "   0.052  ~ 2.000 s",
            "   2.052  > POST http://127.0.0.1:<port-1>/add",
            r#"          | {"add":1}"#,
            "   2.056  < 200",
            r#"          | {"add":1}"#,
        ],
    );
    assert_eq!(recorder.finish(), "");
}

#[test]
fn nothing_secret_is_written_down() {
    let mut headers = HeaderMap::new();
    for (name, value) in [("x-api-key", "hidden"), ("cookie", "hidden"), ("x-other", "hidden")] {
        // What is configured counts as sensitive.
        headers.insert(name, HeaderValue::from_static(value));
    }
    let config: Config<Counting> = config(ADDRESS).with_headers(headers).with_credentials();
    let text =
        r#"{"user":"ann","password":"hidden","nested":{"accessToken":["hidden"],"token":"hidden"},"secret":null}"#;
    let call = Call::new(Add { effect: Effect::Once, text }, &config, Seed::new(1));
    let recorder = Recorder::new(world(ADDRESS, Counter::default()));
    run(call, &recorder, &Secret::new("hidden"), |notice| recorder.notice(&notice)).expect("no faults");
    let body = r#"          | {"nested":{"accessToken":…,"token":…},"password":…,"secret":null,"user":"ann"}"#;
    reads(
        &recorder.finish(),
        &[
            "   0.000  > POST http://127.0.0.1:<port-1>/add",
            "          | x-api-key: …",
            "          | cookie: …",
            "          | x-other: …",
            "          | authorization: …",
            body,
            "   0.004  < 200",
            body,
        ],
    );
}

#[test]
fn headers_of_answers() {
    let lines = answer(|| {
        let mut response = Response::new(Bytes::new());
        for (name, value) in [
            ("set-cookie", "hidden"),
            ("x-api-key", "hidden"),
            ("x-marked", "hidden"),
            ("x-twice", "one"),
            ("x-twice", "two"),
            ("location", "http://localhost:40123/jobs/4c7e6f1c8d3b0a5fd2e19a7b3c8d4e5f"),
            ("content-length", "0"),
            ("date", "Thu, 01 Jan 2026 00:00:00 GMT"),
            ("last-modified", "Thu, 01 Jan 2026 00:00:01 GMT"),
        ] {
            let mut value = HeaderValue::from_static(value);
            value.set_sensitive(name == "x-marked");
            response.headers_mut().append(name, value);
        }
        response
    });
    let expected = [
        "| set-cookie: …",
        "| x-api-key: …",
        "| x-marked: …",
        "| x-twice: one",
        "| x-twice: two",
        "| location: http://localhost:<port-1>/jobs/<job-1>",
        "| last-modified: <+1.000 s>",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn what_is_long_is_shortened() {
    let lines = answer(|| {
        let items: Vec<_> = (0..50).map(|item| format!(r#"{{"item":{item}}}"#)).collect();
        let deep = format!("{}1{}", "[".repeat(20), "]".repeat(20));
        let text = "x".repeat(1000);
        Response::new(format!(r#"{{"items":[{}],"deep":{deep},"text":"{text}"}}"#, items.join(",")).into())
    });
    let text = format!(r#"|   "text":"{}…""#, "x".repeat(72));
    let expected =
        ["| {", r#"|   "deep":[[[[…]]]]"#, r#"|   "items":[{"item":0},{"item":1},{"item":2},… 47 more]"#, &text, "| }"];
    assert_eq!(lines, expected.map(str::to_owned));

    let lines = answer(|| {
        let fields: Vec<_> = (0..30).map(|field| format!(r#""field-{field:02}":{field}"#)).collect();
        Response::new(format!("{{{}}}", fields.join(",")).into())
    });
    assert_eq!((lines.len(), &*lines[12], &*lines[13]), (15, r#"|   "field-11":11"#, "|   … 5 more"));
}

#[test]
fn what_is_no_json_is_told_by_its_size() {
    fn of(kind: &'static str, body: &'static [u8]) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from_static(body));
        response.headers_mut().insert("content-type", HeaderValue::from_static(kind));
        response
    }
    assert_eq!(answer(|| of("application/json", b"{\"cut")), [r#"| 5 bytes of application/json: {\"cut"#]);
    assert_eq!(answer(|| of("image/png", b"\x89PNG")), ["| 4 bytes of image/png"]);
    assert_eq!(answer(|| of("text/plain; charset=x", b"one\ntwo")), ["| 7 bytes of text/plain: one"]);
    assert_eq!(answer(|| of("application/problem+json", b"{}")), ["| application/problem+json:", "| {}"]);
    assert_eq!(answer(|| Response::new(Bytes::new())), [""; 0]);
}

#[test]
fn live_bodies_rejections_and_what_is_cut_off() {
    let world = world(ADDRESS, Counter::default());
    world.set_faults(FaultPlan::none().nth(2, Fault::TooManyRequests(RetryAfter::Absent)).nth(3, Fault::NotSent));
    let recorder = Recorder::new(world.clone());
    let exchange = || next_exchange(&mut follow(ADDRESS), Timestamp::UNIX_EPOCH, None);
    let Ok(Opened::Streaming(response)) = recorder.open(&exchange()) else { panic!("a streaming body") };
    assert!(response.into_body().read(&mut [0; 64]).is_ok_and(|read| read > 0));
    assert!(matches!(recorder.open(&exchange()), Ok(Opened::Rejection(_))));
    assert!(recorder.open(&exchange()).is_err());
    world.set_faults(FaultPlan::none().nth(1, Fault::CutOff));
    let add = next_exchange(&mut add(ADDRESS, Effect::Once), Timestamp::UNIX_EPOCH, None);
    assert!(recorder.send(&add).is_err());
    reads(
        &recorder.finish(),
        &[
            "   0.000  > GET http://127.0.0.1:<port-1>/follow",
            "          | 12 bytes: a long story",
            "   0.004  < 200, and a streaming body",
            "   0.004  > GET http://127.0.0.1:<port-1>/follow",
            "          | 12 bytes: a long story",
            "   0.008  < 429",
            "          | 140 bytes of text/html: <!DOCTYPE html>",
            "   0.008  > GET http://127.0.0.1:<port-1>/follow",
            "          | 12 bytes: a long story",
            "   0.010  ! Connect, not sent",
            "   0.010  > POST http://127.0.0.1:<port-1>/add",
            r#"          | {"add":1}"#,
            "   0.014  ! Closed after 200, outcome unknown",
        ],
    );
}

#[test]
fn clones_write_into_one_transcript_and_a_failed_flow_says_why() {
    let world = world("http://flink.test:8081", Says(|| Response::new(r#"{"status":"?"}"#.into())));
    let recorder = Recorder::new(world);
    let config = Config::<FlinkRest>::new("http://flink.test:8081".parse().expect("an address"));
    let call = Call::new(GetJobStatus::new(JobId::from_bits(7)), &config, Seed::new(1));
    let _ = run(call, &recorder.clone(), &NoCredentials, |notice| recorder.notice(&notice));
    recorder.notice(&Notice::observed(format!("job {}", JobId::from_bits(8)), "GONE"));
    let text = recorder.finish();
    assert!(
        text.starts_with("   0.000  > GET http://flink.test:8081/v1/jobs/<job-1>/status\n   0.004  < 200\n"),
        "{text}"
    );
    assert!(text.ends_with("   0.004  * job <job-2>: GONE\n"), "{text}");
}
