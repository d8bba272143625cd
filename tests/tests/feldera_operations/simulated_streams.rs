//! Feldera's streaming responses, from the simulator through the decoders of the core.

use std::time::Duration;

use pipewright::driver::{Clock as _, StreamError};
use pipewright::error::FlowError;
use pipewright::feldera::Feldera;
use pipewright::feldera::data::{DataFormat, HttpInput, UpdateFormat};
use pipewright::feldera::health::GetClusterHealth;
use pipewright::feldera::lifecycle::{StartPipeline, StopPipeline};
use pipewright::feldera::pipelines::CreatePipeline;
use pipewright::feldera::stream::{GetLogs, HttpOutput, LogHistory, LogResume, StreamTimeSeries};
use pipewright_mock::feldera::Release;
use pipewright_mock::{Fault, FaultPlan, FelderaHandle, Script, World, feldera};
use pipewright_tests::recorded::feldera as recorded;

const SQL: &str = "CREATE TABLE t (id BIGINT NOT NULL PRIMARY KEY); CREATE MATERIALIZED VIEW v AS SELECT * FROM t;";

/// A pipeline that runs.
fn running() -> (World, FelderaHandle, Feldera<World>) {
    running_with(feldera::Config::default())
}

fn running_with(config: feldera::Config) -> (World, FelderaHandle, Feldera<World>) {
    let world = World::new(7);
    let mounted = world.feldera("https://feldera.test".parse().expect("an address"), config);
    let client = Feldera::new(mounted.base(), world.clone());
    client.call(CreatePipeline::new("p", SQL)).expect("created");
    wait(&world, 1500);
    start(&world, &client);
    (world, mounted, client)
}

fn start(world: &World, client: &Feldera<World>) {
    client.call(StartPipeline::new("p")).expect("started");
    wait(world, 1000);
}

fn wait(world: &World, millis: u64) {
    world.sleep_until(world.now() + Duration::from_millis(millis));
}

fn push(client: &Feldera<World>, id: u64) {
    let input = HttpInput::new("p", "t", DataFormat::Json, format!("{{\"id\":{id}}}")).update_format(UpdateFormat::Raw);
    client.call(input).expect("taken in");
}

/// The same fields from each answer.
#[test]
fn cluster_health_is_read_from_the_simulator_and_from_a_real_server() {
    let (_, _, client) = running();
    let (status, body) = recorded("cluster_healthz");
    let script = Script::new().expect("GET", "/v0/cluster_healthz").reply_json(status, body);
    let real = Feldera::new("https://feldera.test".parse().expect("an address"), script.clone());
    for health in [client.call(GetClusterHealth::new()), real.call(GetClusterHealth::new())] {
        let health = health.expect("an answer");
        assert_eq!(health.all_healthy, Some(true));
        for part in [&health.api, &health.compiler, &health.runner] {
            let message = part.message.as_deref().expect("a message");
            let checked_at = part.checked_at.as_deref().expect("a time");
            let is_sound = part.healthy == Some(true) && message.starts_with("Healthy: The ");
            assert!(is_sound && checked_at.ends_with('Z'), "{part:?}");
        }
    }
    script.finish();
}

#[test]
fn a_snapshot_then_changes_then_silence_and_a_stop() {
    let (world, _, client) = running();
    push(&client, 1);
    wait(&world, 100);
    let mut stream = client.open(HttpOutput::new("p", "v", DataFormat::Json).send_snapshot(true)).expect("subscribed");
    let mut rows = |expected: &[&[u8]], snapshot: bool| {
        let chunk = stream.next_item().expect("a chunk").expect("not the end");
        assert_eq!((chunk.rows().collect::<Vec<_>>(), chunk.snapshot), (expected.to_vec(), snapshot));
        assert_eq!(stream.decoder().is_past_snapshot(), !snapshot);
    };
    rows(&[b"{\"insert\":{\"id\":1}}"], true);
    push(&client, 2);
    rows(&[b"{\"insert\":{\"id\":2}}"], false);
    let before = world.now();
    rows(&[], false);
    assert!(world.now().since(before) <= Duration::from_secs(3), "a heartbeat");
    client.call(StopPipeline::new("p").force(true)).expect("stopping");
    assert!(stream.next_item().expect("a proper end").is_none());
    assert_eq!(stream.decoder().lost(), 0);
}

#[test]
fn a_reader_that_rests_learns_how_much_it_lost() {
    let (world, _, client) = running();
    let mut stream = client.open(HttpOutput::new("p", "v", DataFormat::Csv)).expect("subscribed");
    for id in 0..130 {
        push(&client, id);
    }
    wait(&world, 4000);
    let mut rows = 0;
    while rows < 100 {
        rows += stream.next_item().expect("a chunk").expect("not the end").rows().len();
    }
    push(&client, 1000);
    let chunk = stream.next_item().expect("a chunk").expect("not the end");
    assert_eq!(chunk.rows().next(), Some(&b"1000,1"[..]));
    // Thirty rows, and a record or two that said only that nothing came.
    assert!((30..33).contains(&chunk.lost), "{}", chunk.lost);
}

#[test]
fn a_body_that_breaks_off_is_no_end() {
    let (world, _, client) = running();
    push(&client, 1);
    wait(&world, 100);
    world.set_faults(FaultPlan::none().nth_of("http_output", 1, Fault::CutOff));
    let mut stream = client.open(HttpOutput::new("p", "v", DataFormat::Json).send_snapshot(true)).expect("subscribed");
    assert!(matches!(stream.next_item(), Err(StreamError::Transport(_))));
}

#[test]
fn a_log_over_two_connections_has_each_line_once() {
    Release::ALL.into_iter().for_each(two_connections);
}

/// Since 0.375 by positions, and before by comparison.
fn two_connections(release: Release) {
    let (world, mounted, client) = running_with(feldera::Config { release, ..feldera::Config::default() });
    let (mut history, mut lines) = (LogHistory::new(), Vec::new());
    for _ in 0..2 {
        let mut stream = client.open(GetLogs::new("p").cursor(history.cursor())).expect("opened");
        history.connected(stream.decoder().position());
        assert_eq!(stream.decoder().position().is_some(), release == Release::V0_375);
        client.call(StopPipeline::new("p").force(true)).expect("stopping");
        wait(&world, 1000);
        start(&world, &client);
        let mut stops = 0;
        while stops == 0 {
            let line = stream.next_item().expect("a line").expect("not the end");
            for line in history.accept(line) {
                let line = String::from_utf8_lossy(&line).into_owned();
                stops += usize::from(line.ends_with(" Stopped"));
                lines.push(line);
            }
        }
        mounted.restart(Duration::ZERO);
    }
    assert!(!history.may_miss(), "{release}");
    let mut unique = lines.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!((unique.len(), lines.iter().filter(|line| line.ends_with(" Stopped")).count()), (lines.len(), 2));
}

#[test]
fn samples_come_a_second_apart_and_end_with_the_process() {
    let (world, mounted, client) = running();
    wait(&world, 2000);
    let mut stream = client.open(StreamTimeSeries::new("p")).expect("opened");
    let mut times = Vec::new();
    for _ in 0..5 {
        times.push(stream.next_item().expect("a sample").expect("not the end").time.expect("a time"));
    }
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 1000), "{times:?}");
    mounted.with(|manager| manager.kill("p"));
    while stream.next_item().expect("a proper end").is_some() {}
}

/// Whatever happens to the request, no subscriber is left that does not read: with backpressure that would stop the
/// pipeline.
#[test]
fn an_answer_that_is_lost_leaves_no_reader_behind() {
    let (world, mounted, client) = running();
    for fault in [Fault::ReplyLost, Fault::ShortBody, Fault::CutOff] {
        world.set_faults(FaultPlan::none().nth_of("http_output", 1, fault));
        let opened = client.open(HttpOutput::new("p", "v", DataFormat::Json).backpressure(true));
        drop(opened.map_err(|error: FlowError| error.to_string()));
    }
    for id in 0..150 {
        push(&client, id);
    }
    wait(&world, 5000);
    let view = mounted.with(|manager| manager.pipeline("p")).expect("it is there");
    assert_eq!(view.tables["t"].len(), 150);
}

/// The runner keeps five lines. What a reader misses while it is away is counted, and nothing else is lost or repeated.
#[test]
fn lines_that_the_runner_has_discarded_are_counted() {
    let config = feldera::Config { release: Release::V0_375, log_lines: 5, ..feldera::Config::default() };
    let (_, mounted, client) = running_with(config);
    let (mut history, mut read, mut lost) = (LogHistory::new(), Vec::new(), 0);
    for (written, expected) in [(5_u64, None), (4, Some(LogResume::Exact)), (12, Some(LogResume::Gap { lost: 7 }))] {
        let first = read.len();
        for number in 0..written {
            mounted.with(|manager| manager.write_log("p", &format!("{written}: {number}")));
        }
        let mut stream = client.open(GetLogs::new("p").cursor(history.cursor())).expect("opened");
        let resumed = history.connected(stream.decoder().position());
        match (&resumed, expected) {
            (LogResume::First { lost: before }, None) => lost += before,
            (LogResume::Gap { lost: between }, Some(_)) => lost += between,
            _ => {}
        }
        assert!(expected.is_none_or(|expected| resumed == expected), "{resumed:?}");
        for _ in 0..written.min(5) {
            let line = stream.next_item().expect("a line").expect("not the end");
            read.extend(history.accept(line).map(|line| String::from_utf8_lossy(&line).into_owned()));
        }
        let kept = written.min(5);
        let newest: Vec<_> = (written - kept..written).map(|number| format!("{written}: {number}")).collect();
        assert_eq!(read[first..], newest);
    }
    assert_eq!(history.cursor().sequence(), lost + read.len() as u64, "each line was read or counted");
}
