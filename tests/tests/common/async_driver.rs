//! `AsyncDriver`: its futures are `Send`, and run on a multi-threaded tokio.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use http::Response;
use pipewright::driver::{
    AsyncBody, AsyncDriver, Canned, Clock as _, NoCredentials, Transport as _, ignore_notices, run_async,
};
use pipewright::error::{Delivery, FlowError, Misuse, TransportError, TransportErrorKind};
use pipewright::flink::cluster::GetOverview;
use pipewright::flink::jobmanager::GetJobManagerLog;
use pipewright::flink::jobs::JobState;
use pipewright::flink::{AwaitJob, Flink, FlinkRest, JobEvent, RunJar, WatchJob};
use pipewright::flow::{Call, Config, CredentialRequest, Exchange, Goal as _, Reply};
use pipewright::{Secret, Seed, Timestamp};
use pipewright_mock::flink::{self, Program};
use pipewright_mock::{FaultPlan, World};
use tokio::runtime::{Builder, Runtime};
use tokio::task::yield_now;

fn tokio() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).build().expect("threads")
}

fn config() -> Config<FlinkRest> {
    Config::new("http://flink.test".parse().expect("a base"))
}

fn is_send<T: Send>(value: T) -> T {
    value
}

/// The closures of a driver on a blocking runtime: they suspend before each answer.
macro_rules! closures {
    ($runtime:expr) => {{
        let runtime = $runtime;
        let (clock, sender, sleeper) = (runtime.clone(), runtime.clone(), runtime.clone());
        let now = move || clock.now();
        let send = move |exchange: Exchange| {
            let runtime = sender.clone();
            async move {
                yield_now().await;
                let answer = runtime.send(&exchange);
                exchange.settle(answer)
            }
        };
        let sleep_until = move |at: Timestamp| {
            let runtime = sleeper.clone();
            async move {
                yield_now().await;
                runtime.sleep_until(at);
            }
        };
        (now, send, sleep_until)
    }};
}

fn cluster() -> (World, Flink<World>) {
    let world = World::new(5);
    let cluster = world.flink("http://flink.test".parse().expect("a base"), flink::Config::default());
    let flink = Flink::new(cluster.base(), world.clone());
    (world, flink)
}

#[test]
fn a_flow_is_spawned() {
    let (world, flink) = cluster();
    let job = flink.run(RunJar::upload("a.jar", Program::bounded("a", 500).jar())).expect("submitted").job;
    world.set_faults(FaultPlan::flaky(5));
    let flow = AwaitJob::ended(job).start(flink.config(), Seed::new(1));
    let (now, send, sleep_until) = closures!(world.clone());
    let future = is_send(run_async(flow, now, send, sleep_until, NoCredentials, ignore_notices));
    let report = tokio().block_on(async { tokio::spawn(future).await.expect("no panic") });
    assert_eq!(report.expect("it ends").state, JobState::Finished);
}

#[test]
fn an_event_flow_is_spawned_and_driven_from_event_to_event() {
    let (world, flink) = cluster();
    let job = flink.run(RunJar::upload("a.jar", Program::bounded("a", 500).jar())).expect("submitted").job;
    let mut watch = WatchJob::new(job).start(flink.config(), Seed::new(1));
    let (now, send, sleep_until) = closures!(world.clone());
    let mut driver = AsyncDriver::new(now, send, sleep_until);
    let events = async move {
        let mut events = Vec::new();
        while !matches!(events.last(), Some(JobEvent::Ended(_))) {
            events.push(driver.run(&mut watch, ignore_notices).await?);
        }
        let after = driver.run(&mut watch, ignore_notices).await;
        assert!(matches!(after, Err(FlowError::Misuse(Misuse::PolledAfterDone))), "{after:?}");
        Ok::<_, FlowError>(events)
    };
    let events = tokio().block_on(async { tokio::spawn(is_send(events)).await.expect("no panic") });
    assert!(events.expect("it ends").contains(&JobEvent::State(JobState::Finished)));
}

#[test]
fn run_until_ends_at_its_time() {
    let (world, flink) = cluster();
    let job = flink.run(RunJar::upload("a.jar", Program::endless("a").jar())).expect("submitted").job;
    let (now, send, sleep_until) = closures!(world.clone());
    let mut driver = AsyncDriver::new(now, send, sleep_until);
    let mut flow = AwaitJob::ended(job).start(flink.config(), Seed::new(1));
    let until = world.now() + std::time::Duration::from_secs(60);
    let result = tokio().block_on(driver.run_until(&mut flow, until, ignore_notices));
    assert!(result.expect("no fault").is_none());
    assert_eq!(world.now(), until);
}

/// Gives a text in pieces, then its end or a failure.
struct Pieces {
    pieces: std::vec::IntoIter<&'static str>,
    is_cut_off: bool,
}

impl AsyncBody for Pieces {
    async fn next_chunk(&mut self) -> Result<Option<Bytes>, TransportError> {
        yield_now().await;
        match self.pieces.next() {
            None if self.is_cut_off => {
                Err(TransportError::new(TransportErrorKind::Closed, Delivery::Unknown, "cut off"))
            }
            piece => Ok(piece.map(|text| Bytes::from_static(text.as_bytes()))),
        }
    }
}

#[test]
fn a_streaming_response_is_read_on_another_thread() {
    for is_cut_off in [false, true] {
        let (now, send, sleep_until) = closures!(Arc::new(Canned::new([])));
        let mut driver = AsyncDriver::new(now, send, sleep_until);
        let attempts = Arc::new(AtomicU32::new(0));
        let open = move |exchange: Exchange| {
            let is_first = attempts.fetch_add(1, Ordering::Relaxed) == 0;
            async move {
                yield_now().await;
                let mut head = Response::new(Bytes::new());
                if is_first {
                    *head.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
                    return (exchange.settle(Ok(head)), None);
                }
                let pieces = vec!["one\nt", "wo\nth"].into_iter();
                (exchange.settle(Ok(head)), Some(Pieces { pieces, is_cut_off }))
            }
        };
        let lines = async move {
            let call = Call::new(GetJobManagerLog::new(), &config(), Seed::new(1));
            let mut log = driver.open(call, open, ignore_notices).await.expect("the second attempt is answered");
            let mut lines = Vec::new();
            loop {
                match log.next_item().await {
                    Ok(Some(line)) => lines.push(String::from_utf8_lossy(line).into_owned()),
                    Ok(None) => return (lines, None),
                    Err(error) => return (lines, Some(error.to_string())),
                }
            }
        };
        let (lines, error) = tokio().block_on(async { tokio::spawn(is_send(lines)).await.expect("no panic") });
        assert_eq!(lines[..2], ["one", "two"]);
        assert_eq!(error.is_some(), is_cut_off, "{error:?}");
    }
}

#[test]
fn open_and_run_tell_a_wrong_operation() {
    let runtime = Arc::new(Canned::new([]));
    let (now, send, sleep_until) = closures!(Arc::clone(&runtime));
    let mut driver = AsyncDriver::new(now, send, sleep_until);
    let open = async |exchange: Exchange| -> (Reply, Option<Pieces>) {
        (exchange.settle(Ok(Response::new(Bytes::new()))), None)
    };
    let streaming = Call::new(GetJobManagerLog::new(), &config(), Seed::new(1));
    let plain = Call::new(GetOverview::new(), &config(), Seed::new(1));
    let missing = Call::new(GetJobManagerLog::new(), &config(), Seed::new(1));
    tokio().block_on(async {
        let error = driver.run(streaming, ignore_notices).await.map(drop);
        assert!(matches!(error, Err(FlowError::Misuse(Misuse::WrongMethod))), "{error:?}");
        let error = driver.open(plain, open, ignore_notices).await.map(drop);
        assert!(matches!(error, Err(FlowError::Misuse(Misuse::WrongMethod))), "{error:?}");
        let error = driver.open(missing, open, ignore_notices).await.map(drop);
        assert!(matches!(error, Err(FlowError::Transport(_))), "{error:?}");
    });
}

const OVERVIEW: &str = r#"{"taskmanagers":1,"slots-total":4,"slots-available":3,"jobs-running":1,"jobs-finished":0,
    "jobs-cancelled":0,"jobs-failed":0,"flink-version":"2.3.0","flink-commit":"c0f8d1a"}"#;

#[test]
fn async_credentials_are_awaited_and_asked_again_after_401() {
    let runtime = Arc::new(Canned::new([("GET /v1/overview", 401, ""), ("GET /v1/overview", 200, OVERVIEW)]));
    let (now, send, sleep_until) = closures!(Arc::clone(&runtime));
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let mut driver =
        AsyncDriver::new(now, send, sleep_until).with_async_credentials(move |request: CredentialRequest| {
            let number = count.fetch_add(1, Ordering::Relaxed);
            async move {
                yield_now().await;
                assert_eq!(request.rejected().is_some(), number > 0);
                let token = Secret::new(format!("token-{number}")).bearer();
                request.settle(token)
            }
        });
    let base = "https://flink.test".parse().expect("a base");
    let call = Call::new(GetOverview::new(), &Config::new(base).with_credentials(), Seed::new(1));
    let overview = async move { driver.run(call, ignore_notices).await };
    let overview = tokio().block_on(async { tokio::spawn(is_send(overview)).await.expect("no panic") });
    assert_eq!(overview.expect("the second token is accepted").slots_total, Some(4));
    assert_eq!((asked.load(Ordering::Relaxed), runtime.left()), (2, 0));
}
