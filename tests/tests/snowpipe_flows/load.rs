//! `IngestClient::load`: all rows of a source, exactly once, in one call.

use std::cell::Cell;
use std::error::Error as _;
use std::io::{self, Read};
use std::time::Duration;

use pipewright::Secret;
use pipewright::driver::Clock as _;
use pipewright::flow::Notice;
use pipewright::snowpipe::account::TokenType;
use pipewright::snowpipe::rows::BatchOptions;
use pipewright::snowpipe::{
    Account, ChannelPath, IngestClient, Load, LoadError, LoadFailure, LoadSummary, Ndjson, OffsetError, OnRejected,
    OnUnconfirmed, OpenSession, OpenWriter, Rows, UnsettledRows, Writer, WriterEvent,
};
use pipewright_mock::snowpipe::{ChannelPath as Simulated, Config};
use pipewright_mock::{FaultKind, FaultPlan, SnowpipeHandle, World};
use serde_json::{Value, json};

struct Scene {
    world: World,
    simulator: SnowpipeHandle,
    ingest: IngestClient<World>,
}

impl Scene {
    fn new() -> Self {
        let world = World::new(1);
        let config = Config { number_columns: vec!["ID".into()], ..Config::default() };
        let simulator = world.snowpipe("https://acct.snow.test".parse().expect("an address"), config);
        let account = Account::new(simulator.base(), world.clone()).with_credentials(Secret::new("pat"));
        let ingest = account.open_session(OpenSession::new(TokenType::ProgrammaticAccessToken)).expect("no faults");
        Self { world, simulator, ingest }
    }

    fn goal(&self) -> OpenWriter {
        let path = ChannelPath::new("DB", "PUBLIC", "T-STREAMING", "c");
        self.ingest.open_writer(path).token_prefix("numbers").batches(BatchOptions::new().rows(2))
    }

    /// The ids of the rows in the table, in the order of their commits.
    fn ids(&self) -> Vec<u64> {
        let channel = Simulated::new("DB", "PUBLIC", "T-STREAMING", "c");
        let view = self.simulator.with(|account| account.channel_view(&channel)).expect("the channel");
        view.rows
            .iter()
            .map(|row| serde_json::from_slice::<Value>(row).expect("JSON")["ID"].as_u64().expect("an id"))
            .collect()
    }
}

fn row(id: u64) -> Value {
    json!({ "ID": id })
}

fn lines(ids: impl Iterator<Item = u64>) -> Vec<u8> {
    ids.flat_map(|id| format!("{{\"ID\":{id}}}\n").into_bytes()).collect()
}

#[test]
fn a_second_load_skips_what_the_first_has_committed() {
    let scene = Scene::new();
    let summary = scene.ingest.load(scene.goal(), Rows::new((1..=5).map(row))).expect("no faults");
    assert_eq!((summary.rows_read, summary.rows_skipped, summary.rows_committed), (5, 0, 5));
    assert_eq!((summary.committed.as_deref(), summary.rows_inserted, summary.rows_rejected), (Some("5"), Some(5), 0));
    assert_eq!(summary.to_string(), "committed up to \"5\": 5 rows, after 0 that were committed before");
    let summary = scene.ingest.load(scene.goal(), Rows::new((1..=8).map(row))).expect("no faults");
    assert_eq!((summary.rows_read, summary.rows_skipped, summary.rows_committed), (8, 5, 3));
    assert_eq!((summary.rows_inserted, scene.ids()), (Some(3), (1..=8).collect()));
}

#[test]
fn lines_are_numbered_with_the_blank_ones() {
    let scene = Scene::new();
    let file = b"{\"ID\":1}\r\n\n{\"ID\":3}\n   \n{\"ID\":5}";
    let summary = scene.ingest.load(scene.goal(), Ndjson::new(&file[..])).expect("no faults");
    assert_eq!((summary.rows_read, summary.committed.as_deref(), scene.ids()), (3, Some("5"), vec![1, 3, 5]));
}

/// Tokens are compared as what they are: as texts, 10 is before 9.
#[test]
fn offsets_of_the_rows_have_an_order_of_their_own() {
    let scene = Scene::new();
    let id = |row: &Value| row["ID"].as_u64().unwrap_or_default();
    let rows = |ids: &[u64]| Rows::new(ids.iter().copied().map(row).collect::<Vec<_>>()).offsets(id);
    let summary = scene.ingest.load(scene.goal(), rows(&[7, 9, 10])).expect("no faults");
    assert_eq!(summary.committed.as_deref(), Some("10"));
    let file = lines([9, 10, 11].into_iter());
    let rows = Ndjson::new(&*file).offsets(|line| Ok(id(&serde_json::from_slice(line)?)));
    let summary = scene.ingest.load(scene.goal(), rows).expect("no faults");
    assert_eq!((summary.rows_skipped, summary.rows_committed, scene.ids()), (2, 1, vec![7, 9, 10, 11]));
}

#[test]
fn rows_that_cannot_continue_the_load_are_an_error() {
    let scene = Scene::new();
    let id = |row: &Value| row["ID"].as_u64().unwrap_or_default();
    let of = |error: Box<LoadError>| {
        assert!(matches!(error.failure, LoadFailure::Source { .. }), "{error}");
        error.source().and_then(|error| error.downcast_ref::<OffsetError>().cloned()).expect("an offset's")
    };
    let error = scene.ingest.load(scene.goal(), Rows::new([3, 4, 4].map(row)).offsets(id)).expect_err("twice the same");
    assert!(error.to_string().contains("after row 3: the offset 4 follows 4"), "{error}");
    assert_eq!(of(error), OffsetError::NotRising { offset: "4".into(), before: "4".into() });
    assert_eq!(scene.ids(), [3, 4], "what came before is loaded");
    let error = scene.ingest.load(scene.goal(), Rows::new([1, 2, 3].map(row))).expect_err("four rows are committed");
    assert_eq!(of(error), OffsetError::TooFewRows { committed: "4".into() });
    let names = Rows::new(["a"].map(|name| json!({ "NAME": name })))
        .offsets(|row| row["NAME"].as_str().unwrap_or_default().to_owned());
    let summary = scene.ingest.load(scene.goal(), names).expect("a text is behind a number");
    assert_eq!(summary.committed.as_deref(), Some("a"));
    let error = scene.ingest.load(scene.goal(), Rows::new([1].map(row))).expect_err("no number is committed");
    assert_eq!(of(error), OffsetError::OtherLoad { committed: "a".into() });
}

#[test]
fn an_error_of_the_source_comes_with_the_summary_and_the_rows_before_it_are_committed() {
    let scene = Scene::new();
    let rows = (1..=4).map(|id| if id < 4 { Ok(row(id)) } else { Err(io::Error::other("the disk is gone")) });
    let error = scene.ingest.load(scene.goal(), Rows::fallible(rows)).expect_err("the source fails");
    let expected = "load failed: reading the rows failed after row 3: the disk is gone; committed up to \"3\": 3 rows, after 0 that \
                    were committed before";
    assert_eq!(error.to_string(), expected);
    assert!(error.unsettled.unconfirmed.is_empty() && error.unsettled.unsent.is_empty());
    let summary = scene.ingest.load(scene.goal(), Rows::new((1..=4).map(row))).expect("again, with all rows");
    assert_eq!((summary.rows_committed, scene.ids()), (1, vec![1, 2, 3, 4]));
}

#[test]
fn a_row_that_the_service_rejects_ends_the_load_or_is_counted() {
    let rows = || Rows::new([json!({ "ID": 1 }), json!({ "ID": "two" }), json!({ "ID": 3 })]);
    let scene = Scene::new();
    let error = scene.ingest.load(scene.goal(), rows()).expect_err("rejected rows are an error by default");
    assert!(matches!(&error.failure, LoadFailure::Rejected(rows) if rows.count == 1), "{error}");
    assert!(error.to_string().contains("'two' is not recognized"), "{error}");
    let scene = Scene::new();
    let goal = Load::from(scene.goal()).on_rejected(OnRejected::Skip);
    let summary = scene.ingest.load(goal, rows()).expect("they are counted");
    assert_eq!((summary.rows_committed, summary.rows_inserted, summary.rows_rejected), (3, Some(2), 1));
    assert!(summary.last_rejected.is_some_and(|rows| rows.to_string().contains("'two'")));
    assert_eq!(scene.ids(), [1, 3]);
}

#[test]
fn a_row_that_cannot_be_sent_ends_the_load_or_is_left_out() {
    let file = &b"{\"ID\":1}\n[2]\n{\"ID\":3}\n"[..];
    let scene = Scene::new();
    let error = scene.ingest.load(scene.goal(), Ndjson::new(file)).expect_err("it is not an object");
    assert!(error.to_string().contains("row 2: it is a list"), "{error}");
    assert_eq!((error.summary.committed.as_deref(), scene.ids()), (Some("1"), vec![1]));
    let mut notices = Vec::new();
    let on_notice =
        |notice: Notice| notices.extend(matches!(notice, Notice::Observed { .. }).then(|| notice.to_string()));
    let goal = Load::from(scene.goal()).on_rejected(OnRejected::Skip);
    let summary = scene.ingest.load_with(goal, Ndjson::new(file), on_notice, |_, _| ()).expect("it is left out");
    assert_eq!((summary.rows_invalid, summary.rows_committed, scene.ids()), (1, 1, vec![1, 3]));
    assert!(notices.len() == 1 && notices[0].contains("row 2"), "{notices:?}");
}

/// A full writer takes no row before some are committed.
#[test]
fn the_writer_bounds_how_far_the_source_is_read_ahead() {
    let scene = Scene::new();
    let (read, committed, most) = (Cell::new(0_u64), Cell::new(0), Cell::new(0));
    let rows = (1..=50).map(|id| {
        read.set(id);
        most.set(most.get().max(id - committed.get()));
        row(id)
    });
    let on_event = |_: &WriterEvent, writer: &Writer| committed.set(writer.metrics().rows_committed);
    let goal = scene.goal().max_batches(3);
    scene.ingest.load_with(goal, Rows::new(rows), drop, on_event).expect("no faults");
    assert!((5..=7).contains(&most.get()), "three batches of two rows, and the next row: {}", most.get());
    assert_eq!(scene.ids(), (1..=50).collect::<Vec<_>>());
}

/// It was read, and is in no batch: the error has its number.
#[test]
fn a_row_that_waits_for_room_when_the_writer_ends_is_named() {
    let scene = Scene::new();
    let rows = (1..=20).map(|id| {
        if id == 3 {
            scene.simulator.restart(Duration::from_secs(3600));
        }
        row(id)
    });
    let goal = scene.goal().retry_timeout(Duration::from_secs(60)).max_batches(2);
    let error = scene.ingest.load(goal, Rows::new(rows)).expect_err("it is away for an hour");
    let UnsettledRows { unconfirmed, unsent, .. } = &error.unsettled;
    let unsettled: u64 = unconfirmed.iter().chain(unsent).map(|batch| batch.rows).sum();
    assert_eq!(error.not_taken, Some(error.summary.rows_read), "{error}");
    assert_eq!(error.summary.rows_committed + unsettled + 1, error.summary.rows_read, "{error}");
}

/// Gives a line each time, and in between says that no line is there yet.
struct Trickle<'a>(Vec<&'a [u8]>, World, bool);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.2 = !self.2;
        if self.2 {
            let at = self.1.now() + Duration::from_secs(10);
            self.1.sleep_until(at);
            return Err(io::ErrorKind::TimedOut.into());
        }
        if self.0.is_empty() { Ok(0) } else { self.0.remove(0).read(buffer) }
    }
}

#[test]
fn a_source_with_nothing_to_give_does_not_hold_back_rows() {
    let scene = Scene::new();
    let source = Trickle(vec![b"{\"ID\":1}\n", b"{\"ID\":2}\n"], scene.world.clone(), false);
    let mut events = Vec::new();
    let on_event = |event: &WriterEvent, _: &Writer| events.push((scene.world.now(), event.clone()));
    let begin = scene.world.now();
    scene.ingest.load_with(scene.goal(), Ndjson::new(source), drop, on_event).expect("no faults");
    let committed = |token: &str| WriterEvent::Committed { token: token.into(), batches: 1, rows: 1 };
    let at = |event| events.iter().find(|(_, at)| *at == event).map(|(at, _)| at.since(begin).as_secs());
    assert!(at(committed("1")) < at(committed("2")), "{events:?}");
}

/// The service is away for longer than the writer tries, after it has committed some rows.
fn through_an_outage(scene: &Scene, policy: OnUnconfirmed) -> Result<LoadSummary, Box<LoadError>> {
    let goal = Load::from(scene.goal().retry_timeout(Duration::from_secs(60))).on_unconfirmed(policy);
    let rows = (1..=10).map(|id| {
        match id {
            6 => scene.world.sleep_until(scene.world.now() + Duration::from_secs(20)),
            9 => scene.simulator.restart(Duration::from_secs(100)),
            _ => {}
        }
        row(id)
    });
    scene.ingest.load(goal, Rows::new(rows))
}

#[test]
fn unconfirmed_rows_come_back_with_the_error_and_the_next_load_writes_them_once() {
    let scene = Scene::new();
    let error = through_an_outage(&scene, OnUnconfirmed::Fail).expect_err("it is away for longer than a minute");
    assert!(matches!(&error.failure, LoadFailure::Writer(error) if error.is_ambiguous()), "{error}");
    let LoadSummary { rows_read, rows_committed, rows_unconfirmed, .. } = error.summary;
    assert!(rows_unconfirmed > 0, "{error}");
    let unsent: u64 = error.unsettled.unsent.iter().map(|batch| batch.rows).sum();
    let not_taken = u64::from(error.not_taken.is_some());
    assert_eq!(rows_committed + rows_unconfirmed + unsent + not_taken, rows_read, "no row is missing: {error}");
    scene.world.sleep_until(scene.world.now() + Duration::from_secs(200));
    scene.ingest.load(scene.goal(), Rows::new((1..=10).map(row))).expect("it is back");
    assert_eq!(scene.ids(), (1..=10).collect::<Vec<_>>());
}

#[test]
fn with_resend_another_writer_continues_and_writes_unconfirmed_rows_once() {
    let scene = Scene::new();
    let summary = through_an_outage(&scene, OnUnconfirmed::Resend).expect("it is back within two minutes");
    assert_eq!((summary.rows_read, summary.rows_committed, summary.rows_unconfirmed), (10, 10, 0));
    assert!(summary.reopenings > 0, "{summary:?}");
    assert_eq!(scene.ids(), (1..=10).collect::<Vec<_>>());
}

/// The timeout of the goal counts for all writers together.
#[test]
fn resend_does_not_extend_the_timeout_of_the_goal() {
    let scene = Scene::new();
    let goal = scene.goal().retry_timeout(Duration::from_secs(60)).timeout(Duration::from_secs(300));
    let goal = Load::from(goal).on_unconfirmed(OnUnconfirmed::Resend);
    let rows = (1..=100).map(|id| {
        match id % 10 {
            6 => scene.world.sleep_until(scene.world.now() + Duration::from_secs(20)),
            9 => scene.simulator.restart(Duration::from_secs(100)),
            _ => {}
        }
        row(id)
    });
    let begin = scene.world.now();
    let error = scene.ingest.load(goal, Rows::new(rows)).expect_err("ten outages take longer");
    assert!(matches!(&error.failure, LoadFailure::Writer(_)), "{error}");
    let seconds = scene.world.now().since(begin).as_secs();
    assert!((295..310).contains(&seconds), "{seconds} s: {error}");
}

/// What is committed is told only if the channel was opened.
#[test]
fn a_load_that_opens_no_channel_does_not_say_that_nothing_is_committed() {
    let scene = Scene::new();
    scene.ingest.load(scene.goal(), Rows::new([row(1)])).expect("no faults");
    scene.simulator.restart(Duration::from_secs(3600));
    let goal = scene.goal().timeout(Duration::from_secs(60));
    let error = scene.ingest.load(goal, Rows::new([1, 2].map(row))).expect_err("it is away");
    assert!(
        !error.summary.is_opened && error.to_string().ends_with("which rows are committed is not known"),
        "{error}"
    );
}

/// The listener can end a load, while it reads and while it waits for the commits.
#[test]
fn a_stop_by_the_listener_is_told_as_such() {
    for last in [1, 30] {
        let scene = Scene::new();
        let mut notices = 0;
        let on_notice = |_: Notice| {
            notices += 1;
            if notices == last { Err("enough") } else { Ok(()) }
        };
        let Err(error) = scene.ingest.load_with(scene.goal(), Rows::new((1..=40).map(row)), on_notice, |_, _| ())
        else {
            panic!("{last}: not stopped")
        };
        assert!(matches!(&error.failure, LoadFailure::Stopped(reason) if reason == "enough"), "{error}");
        assert!(error.writer_error.is_none() && error.source().is_none(), "{error:?}");
    }
}

#[test]
fn resend_ends_when_nothing_was_committed_in_between() {
    let scene = Scene::new();
    scene.ingest.load(scene.goal(), Rows::new([row(1)])).expect("no faults");
    let rows = (1..=3).map(|id| {
        if id == 3 {
            scene.simulator.restart(Duration::from_secs(3600));
        }
        row(id)
    });
    let goal = Load::from(scene.goal().retry_timeout(Duration::from_secs(60))).on_unconfirmed(OnUnconfirmed::Resend);
    let begin = scene.world.now();
    let error = scene.ingest.load(goal, Rows::new(rows)).expect_err("it is away for an hour");
    assert!(scene.world.now().since(begin) < Duration::from_secs(300), "{error}");
}

/// Faults of all kinds, and processes that are killed at any of their notices.
#[test]
fn each_row_is_written_once_whatever_happens() {
    let (mut kills, mut failures) = (0, 0);
    for seed in 0..60 {
        let scene = Scene::new();
        scene.world.set_faults(FaultPlan::hostile(seed).chance(FaultKind::DeliveredTwice, 0.05).at_most(40));
        let policy = if seed % 2 == 0 { OnUnconfirmed::Fail } else { OnUnconfirmed::Resend };
        let mut killed_at = 5 + seed % 20;
        let mut loads = 0;
        let summary = loop {
            loads += 1;
            assert!(loads < 50, "seed {seed}: it makes no progress");
            let mut notices = 0;
            let on_notice = |_: Notice| {
                notices += 1;
                if notices == killed_at { Err("killed") } else { Ok(()) }
            };
            let goal = Load::from(scene.goal().retry_timeout(Duration::from_secs(90))).on_unconfirmed(policy);
            match scene.ingest.load_with(goal, Rows::new((1..=30).map(row)), on_notice, |_, _| ()) {
                Ok(summary) => break summary,
                Err(error) if matches!(error.failure, LoadFailure::Stopped(_)) => kills += 1,
                Err(_) => failures += 1,
            }
            killed_at += 7;
        };
        assert_eq!(summary.rows_skipped + summary.rows_committed, 30, "seed {seed}: {summary}");
        assert_eq!(scene.ids(), (1..=30).collect::<Vec<_>>(), "seed {seed}");
    }
    assert!(kills > 60, "{kills} kills, {failures} failures");
}
