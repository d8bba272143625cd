//! A writer at its limits, and many writers at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::HeaderValue;
use pipewright::driver::{Clock as _, Credentials, ignore_notices};
use pipewright::error::{CredentialError, FlowError, ServiceError};
use pipewright::flow::{
    Config as FlowConfig, CredentialRequest, Flow, Goal as _, Notice, Reply, Retry, SavedState, Step,
};
use pipewright::snowpipe::account::TokenType;
use pipewright::snowpipe::rows::Batch;
use pipewright::snowpipe::session::Session;
use pipewright::snowpipe::{
    Account, AppendError, ChannelLost, ChannelPath, OpenSession, OpenWriter, PushError, SnowpipeAccount, StatusBatcher,
    Writer, WriterEvent,
};
use pipewright::{Base, Secret, Timestamp};
use pipewright_mock::snowpipe::{ChannelPath as Simulated, Config, ErrorShape, PipeState, Superseded};
use pipewright_mock::{Fault, FaultPlan, RetryAfter, SnowpipeHandle, World};

mod ends;
mod faults;
mod loads;
mod waits;

struct Scene {
    world: World,
    simulator: SnowpipeHandle,
    account: Account<World>,
    session: Session,
}

fn path(channel: &str) -> ChannelPath {
    ChannelPath::new("DB", "PUBLIC", "T-STREAMING", channel)
}

fn simulated(channel: &str) -> Simulated {
    Simulated::new("DB", "PUBLIC", "T-STREAMING", channel)
}

fn batch(number: u32) -> Batch {
    Batch::new(format!("{{\"ID\":{number}}}\n"), 1, number.to_string(), number.to_string())
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl Scene {
    fn new() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        Self::as_whom(config, FlowConfig::new, Secret::new("pat"))
    }

    fn as_whom(
        config: Config,
        towards: impl FnOnce(Base) -> FlowConfig<SnowpipeAccount>,
        credentials: impl Credentials + Send + Sync + 'static,
    ) -> Self {
        let world = World::new(1);
        let config = Config { number_columns: vec!["ID".into()], ..config };
        let simulator = world.snowpipe("https://acct.snow.test".parse().expect("an address"), config);
        let account = Account::with_config(towards(simulator.base()), world.clone()).with_credentials(credentials);
        let session = account.run(OpenSession::new(TokenType::ProgrammaticAccessToken)).expect("no faults");
        Self { world, simulator, account, session }
    }

    fn goal(&self) -> OpenWriter {
        OpenWriter::new(&self.session, path("c"))
    }

    fn start(&self, goal: OpenWriter) -> Writer {
        goal.start(self.account.config(), self.account.seed())
    }

    fn next(&self, writer: &mut Writer) -> Result<WriterEvent, FlowError> {
        self.account.drive(writer, ignore_notices)
    }

    /// A writer whose channel is open.
    fn open(&self, goal: OpenWriter) -> Writer {
        let mut writer = self.start(goal);
        assert!(matches!(self.next(&mut writer), Ok(WriterEvent::Opened { .. })));
        writer
    }

    fn go_on(&self, writer: &mut Writer, time: Duration) -> Result<Option<WriterEvent>, FlowError> {
        self.account.drive_until(writer, self.world.now() + time, ignore_notices)
    }

    fn rows(&self) -> usize {
        self.simulator.with(|account| account.channel_view(&simulated("c"))).expect("the channel").rows.len()
    }

    fn asked(&self, end: &str) -> usize {
        self.simulator.with(|account| account.requests().filter(|request| request.path.ends_with(end)).count())
    }
}

fn lost(error: &FlowError) -> Option<ChannelLost> {
    match error {
        FlowError::Failed(failure) => failure.cause()?.downcast_ref().cloned(),
        FlowError::Ambiguous(ambiguity) => lost(&ambiguity.cause),
        _ => None,
    }
}

#[test]
fn a_token_that_ends_an_earlier_batch_is_rejected_and_ends_nothing() {
    let scene = Scene::new();
    let mut writer = scene.open(scene.goal());
    let row = |number: u32| serde_json::json!({ "ID": number });
    let rejected = |writer: &mut Writer, token: &str| {
        for result in [writer.push(&row(99), Some(token)), writer.push_line(b"{\"ID\":99}", Some(token))] {
            let error = result.expect_err("an older token");
            assert!(matches!(error, PushError::Invalid(_)) && error.to_string().contains(token), "{error}");
        }
        let batch = Batch::new("{\"ID\":99}\n", 1, token, token);
        assert!(matches!(writer.append(batch).expect_err("an older token").reason, PushError::Invalid(_)));
    };
    // Waiting, then committed; numbers and texts without an order.
    for (number, token) in [(1, "10"), (2, "9"), (3, "b"), (4, "a"), (5, "0005")] {
        writer.push(&row(number), Some(token)).expect("a new token");
        writer.flush();
    }
    for token in ["10", "9", "b", "a"] {
        rejected(&mut writer, token);
    }
    writer.push(&row(6), Some("6")).expect("a new token");
    rejected(&mut writer, "b");
    writer.flush();
    while scene.next(&mut writer).expect("it continues") != WriterEvent::Flushed {}
    assert_eq!((writer.committed(), scene.rows()), (Some("6"), 6));
    for token in ["10", "9", "b", "a", "0005", "6"] {
        rejected(&mut writer, token);
    }
    // So does a writer that continues from there.
    let mut next = scene.open(scene.goal());
    rejected(&mut next, "6");
    next.push(&row(7), Some("7")).expect("a new token");
    next.close().expect("a token each");
    let committed = scene.next(&mut next).expect("it continues");
    assert!(matches!(committed, WriterEvent::Committed { rows: 1, .. }), "{committed:?}");
    assert_eq!(scene.rows(), 7);
}

#[test]
fn what_cannot_be_taken_comes_back() {
    let scene = Scene::new();
    let mut writer = scene.start(scene.goal().max_batches(2));
    let rejected = |writer: &mut Writer, batch: Batch| -> AppendError { *writer.append(batch).expect_err("not taken") };
    assert!(matches!(rejected(&mut writer, batch(1)).reason, PushError::NotOpened));
    assert!(matches!(scene.next(&mut writer), Ok(WriterEvent::Opened { committed: None })));
    for (batch, problem) in [
        (Batch::new("{}\n", 1, "", ""), "no status can show"),
        (Batch::new("", 0, "1", "1"), "no rows"),
        (Batch::new(vec![b' '; 4_194_305], 1, "1", "1"), "split the batch"),
    ] {
        let length = batch.body.len();
        let rejected = rejected(&mut writer, batch);
        assert!(rejected.to_string().contains(problem), "{rejected}");
        assert_eq!(rejected.batch.body.len(), length);
    }
    writer.append(batch(1)).expect("there is room");
    assert!(rejected(&mut writer, batch(1)).to_string().contains("another batch ends with it"));
    writer.append(batch(2)).expect("there is room");
    let full = rejected(&mut writer, batch(3));
    assert!(full.is_full() && full.to_string().contains("2 batches of 18 bytes"), "{full}");
    assert!(matches!(writer.push_line(b"{}", Some("3")), Err(PushError::Full { batches: 2, bytes: 18 })));
    assert!(matches!(scene.next(&mut writer), Ok(WriterEvent::Committed { .. })));
    assert!(
        rejected(&mut writer, batch(1)).to_string().contains("another batch ends with it"),
        "also when it is committed"
    );
    writer.append(full.batch).expect("there is room again");
    writer.close().expect("no rows are left over");
    assert!(matches!(rejected(&mut writer, batch(4)).reason, PushError::Closed));
    while scene.next(&mut writer).expect("no faults") != WriterEvent::Closed {}
    assert!(matches!(scene.next(&mut writer), Err(FlowError::Misuse(_))));
    assert_eq!(scene.rows(), 3);
}

#[test]
fn rejected_rows_are_told_once_also_to_whoever_goes_on() {
    let scene = Scene::new();
    let mut saved = None;
    let mut keep = |notice: Notice| {
        if let Notice::Persist(state) = notice {
            saved = Some(state);
        }
    };
    let mut writer = scene.open(scene.goal());
    writer.push_line(br#"{"ID":"one"}"#, Some("1")).expect("a row, so far");
    writer.close().expect("nothing is left over");
    let rejected = scene.account.drive(&mut writer, &mut keep).expect("no faults");
    let message = "1 row was rejected at or before the offset token \"1\": Numeric value 'one' is not recognized";
    assert_eq!(rejected.to_string(), message);
    while scene.account.drive(&mut writer, &mut keep).expect("no faults") != WriterEvent::Closed {}
    let saved = saved.expect("a state");
    let mut next = scene.start(OpenWriter::resume(&scene.session, &saved).expect("a writer's"));
    assert_eq!(scene.next(&mut next).expect("no faults"), WriterEvent::Opened { committed: Some("1".into()) });
}

#[test]
fn the_status_and_the_metrics_show_rejected_rows_and_a_takeover() {
    let scene = Scene::new();
    let mut writer = scene.open(scene.goal().unique_tokens());
    assert!(writer.status().is_some_and(|status| status.committed().is_none()));
    writer.push_line(br#"{"ID":"one"}"#, Some("1")).expect("a row, so far");
    writer.push_line(br#"{"ID":2}"#, Some("2")).expect("a row");
    writer.flush();
    while scene.next(&mut writer).expect("no faults") != WriterEvent::Flushed {}
    let status = writer.status().expect("it was polled");
    assert_eq!((status.committed(), status.rows_inserted, status.rows_error_count), (Some("2"), Some(1), Some(1)));
    let metrics = writer.metrics();
    assert_eq!((metrics.batches_sent, metrics.batches_committed), (1, 1));
    assert_eq!((metrics.rows_committed, metrics.rows_rejected), (2, 1));
    assert_eq!((metrics.retries, metrics.reopenings, metrics.takeovers), (0, 0, 0));
    drop(scene.open(scene.goal()));
    writer.append(batch(3)).expect("there is room");
    writer.close().expect("no rows are left over");
    let mut takeovers = 0;
    let mut count =
        |notice: Notice| takeovers += usize::from(notice.to_string().contains("another client has opened it"));
    while scene.account.drive(&mut writer, &mut count).expect("it continues") != WriterEvent::Closed {}
    let metrics = writer.metrics();
    assert_eq!((takeovers, metrics.takeovers, metrics.reopenings, metrics.batches_sent), (1, 1, 1, 3));
    assert_eq!((metrics.batches_committed, metrics.rows_committed), (2, 3));
}

#[test]
fn rows_become_batches_and_the_last_need_a_token() {
    let scene = Scene::new();
    let mut writer = scene.open(scene.goal());
    for (number, token) in [(1, None), (2, Some("2")), (3, None)] {
        writer.push(&serde_json::json!({ "ID": number }), token).expect("a row");
    }
    assert!(matches!(writer.push_line(b"[]", None), Err(PushError::Row(_))));
    writer.flush();
    let committed = WriterEvent::Committed { token: "2".into(), batches: 1, rows: 2 };
    assert_eq!(scene.next(&mut writer).expect("no faults"), committed);
    assert_eq!(scene.next(&mut writer).expect("no faults"), WriterEvent::Flushed);
    let error = writer.close().expect_err("a row is left over").to_string();
    assert!(error.contains("1 rows") && error.contains("after the last offset token"), "{error}");
    assert!(writer.append(batch(9)).is_err(), "it would overtake the row");
    writer.push_line(br#"{"ID":"four"}"#, Some("4")).expect("a row, so far");
    writer.close().expect("nothing is left over");
    let rejected = scene.next(&mut writer).expect("no faults");
    assert!(matches!(rejected, WriterEvent::Rejected(rows) if rows.count == 1), "before the token that passes over it");
    assert!(matches!(scene.next(&mut writer), Ok(WriterEvent::Committed { rows: 2, .. })));
    assert_eq!(scene.next(&mut writer).expect("no faults"), WriterEvent::Closed);
}

#[test]
fn an_idle_channel_is_looked_at_and_opened_again() {
    let scene = Scene::new();
    let mut writer = scene.open(scene.goal());
    assert_eq!(scene.go_on(&mut writer, seconds(100)).expect("no faults"), None);
    assert_eq!(scene.asked(":bulk-channel-status"), 3);
    scene.simulator.with(|account| account.invalidate(&simulated("c"), "ERR_CHANNEL_MUST_BE_REOPENED"));
    assert_eq!(scene.go_on(&mut writer, seconds(30)).expect("no faults"), None);
    let view = scene.simulator.with(|account| account.channel_view(&simulated("c"))).expect("the channel");
    assert_eq!((&*view.status_code, view.client_sequencer), ("SUCCESS", 2));
    scene.simulator.with(|account| account.replace_table(&simulated("c")));
    assert_eq!(scene.go_on(&mut writer, seconds(29)).expect("the node that was asked may be behind"), None);
    let error = scene.go_on(&mut writer, seconds(40)).expect_err("it is gone");
    assert_eq!(lost(&error), Some(ChannelLost::Missing), "{error}");
}

#[test]
fn a_pipe_that_moves_is_followed_and_its_rows_are_sent_again() {
    let scene = Scene::new();
    let mut writer = scene.open(scene.goal());
    writer.append(batch(1)).expect("there is room");
    scene.go_on(&mut writer, Duration::ZERO).expect("no faults");
    // What is buffered is gone with the host.
    scene.simulator.fail_over(seconds(2));
    let begin = scene.world.now();
    assert!(matches!(scene.next(&mut writer), Ok(WriterEvent::Committed { rows: 1, .. })));
    assert!(scene.world.now().since(begin) < seconds(15));
    assert_eq!(scene.session.generation(), 2);
    assert_eq!((scene.rows(), scene.asked("/streaming/hostname")), (1, 2));
}

#[test]
fn what_somebody_has_discarded_behind_our_back_is_sent_again() {
    let scene = Scene::new();
    let mut writer = scene.open(scene.goal());
    writer.append(batch(1)).expect("there is room");
    scene.go_on(&mut writer, Duration::ZERO).expect("no faults");
    scene.simulator.with(|account| account.steal(&simulated("c"), &[]));
    let begin = scene.world.now();
    assert!(matches!(scene.next(&mut writer), Ok(WriterEvent::Committed { .. })));
    assert!((60..80).contains(&scene.world.now().since(begin).as_secs()));
    assert_eq!(scene.rows(), 1);
}

#[test]
fn a_position_goes_on_and_knows_its_channel() {
    let scene = Scene::new();
    let mut saved: Option<SavedState> = None;
    let mut writer = scene.open(scene.goal());
    writer.append(batch(1)).expect("there is room");
    let keep = |notice| {
        if let Notice::Persist(state) = notice {
            saved = Some(state);
        }
    };
    scene.account.drive_ready(&mut writer, keep).expect("no faults");
    drop(writer);
    let saved = saved.expect("before the append");
    let resume = || OpenWriter::resume(&scene.session, &saved).expect("its own state");
    let mut writer = scene.start(resume());
    let opened = WriterEvent::Opened { committed: Some("1".into()) };
    assert_eq!(scene.next(&mut writer).expect("no faults"), opened, "what was buffered is waited for");
    drop(writer);

    scene.simulator.with(|account| account.replace_table(&simulated("c")));
    let error = scene.next(&mut scene.start(resume())).expect_err("another channel");
    assert_eq!(lost(&error), Some(ChannelLost::Replaced), "{error}");
    assert!(error.is_ambiguous(), "the outcome of batch 1 is unknown: {error}");
    let error = scene.next(&mut scene.start(scene.goal().must_have_committed())).expect_err("a new channel");
    assert_eq!(lost(&error), Some(ChannelLost::TokenGone { before: None }), "{error}");
    let other: SavedState = serde_json::from_str(r#"{"flow":"RunJar","state":"{}"}"#).expect("a state");
    assert!(matches!(OpenWriter::resume(&scene.session, &other), Err(FlowError::Misuse(_))));
}

#[test]
fn a_writer_that_is_closed_at_once_still_finds_out_what_became_of_the_one_before() {
    let scene = Scene::new();
    let mut saved: Option<SavedState> = None;
    let mut writer = scene.open(scene.goal());
    writer.append(Batch::new("{\"ID\":\"x\"}\n{\"ID\":2}\n", 2, "1", "2")).expect("there is room");
    let keep = |notice| {
        if let Notice::Persist(state) = notice {
            saved = Some(state);
        }
    };
    scene.account.drive_ready(&mut writer, keep).expect("no faults");
    drop(writer);
    let mut writer =
        scene.start(OpenWriter::resume(&scene.session, &saved.expect("before the append")).expect("its own"));
    writer.flush();
    writer.close().expect("there are no rows");
    let mut next = || scene.next(&mut writer).expect("no faults");
    assert_eq!(next(), WriterEvent::Opened { committed: Some("2".into()) }, "always the first");
    assert!(matches!(next(), WriterEvent::Rejected(rows) if rows.count == 1));
    assert_eq!(next(), WriterEvent::Flushed);
    assert_eq!(next(), WriterEvent::Closed);
    assert_eq!(scene.rows(), 1);
}

#[test]
fn a_token_that_would_not_fit_is_rejected_before_its_row_is_taken() {
    let scene = Scene::new();
    let mut writer = scene.open(scene.goal());
    let (fits, long) = ("é".repeat(512), "é".repeat(513));
    let error = writer.push_line(b"{}", Some(&long)).expect_err("too long").to_string();
    assert!(error.contains("of 1026 bytes") && error.contains("up to 1024 bytes"), "{error}");
    writer.append(Batch::new("{}\n", 1, "0", &*long)).expect_err("too long");
    writer.append(Batch::new("{}\n", 1, &*long, "1")).expect_err("too long");
    // Twice, percent-encoded: it can be sent.
    writer.append(Batch::new("{\"ID\":1}\n", 1, &*fits, &*fits)).expect("there is room");
    assert!(matches!(scene.next(&mut writer), Ok(WriterEvent::Committed { token, .. }) if token == fits));
}

#[test]
fn rows_with_one_token_are_rejected_where_they_might_be_cut() {
    let scene = Scene::new();
    let mut writer = scene.open(scene.goal());
    let push =
        |writer: &mut Writer, token| writer.push_line(b"{\"ID\":1}", token).map_err(|rejection| rejection.to_string());
    push(&mut writer, None).expect("a row");
    push(&mut writer, Some("1")).expect("a row");
    for token in [Some("1"), Some("1")] {
        let error = push(&mut writer, token).expect_err("the same token");
        assert!(error.contains("\"1\"") && error.contains("only on the last row of a group"), "{error}");
        // So also when the row before is in a batch that is cut, or committed.
        writer.flush();
    }
    assert!(matches!(scene.next(&mut writer), Ok(WriterEvent::Committed { rows: 2, .. })));
    push(&mut writer, Some("1")).expect_err("the same token");
    push(&mut writer, None).expect("a row");
    push(&mut writer, Some("2")).expect("a row");
    writer.close().expect("nothing is left over");
    while scene.next(&mut writer).expect("no faults") != WriterEvent::Closed {}
    assert_eq!(scene.rows(), 4);
}

/// What it is told by others comes as late as its own questions: it has no earlier fault.
#[test]
fn who_is_told_of_a_fault_by_others_has_patience_too() {
    let scene = Scene::new();
    let batcher = StatusBatcher::new();
    let open = |channel| {
        scene.open(OpenWriter::new(&scene.session, path(channel)).sharing(&batcher).retry_timeout(seconds(60)))
    };
    let (mut asks, mut is_told) = (open("a"), open("b"));
    for _ in 0..5 {
        scene.go_on(&mut asks, Duration::from_millis(30_050)).expect("nothing happens");
        scene.go_on(&mut is_told, Duration::ZERO).expect("nothing happens");
    }
    assert_eq!(scene.asked(":bulk-channel-status"), 5, "one asks for both");
    scene.simulator.with(|account| account.invalidate(&simulated("b"), "ERR_CHANNEL_MUST_BE_REOPENED"));
    scene.go_on(&mut asks, Duration::from_millis(30_050)).expect("nothing happens");
    scene.go_on(&mut is_told, seconds(5)).expect("it opens its channel again");
    is_told.append(batch(1)).expect("there is room");
    assert!(matches!(scene.next(&mut is_told), Ok(WriterEvent::Committed { .. })));
}

/// 250 channels of one pipe: three questions a second, and one token.
#[test]
fn many_writers_ask_together() {
    let scene = Scene::new();
    let batcher = StatusBatcher::new();
    let count = 250;
    let mut writers: Vec<Writer> = (0..count)
        .map(|number| scene.open(OpenWriter::new(&scene.session, path(&format!("c{number}"))).sharing(&batcher)))
        .collect();
    for writer in &mut writers {
        writer.append(batch(1)).expect("there is room");
        writer.close().expect("nothing is left over");
    }
    let before = scene.asked(":bulk-channel-status");
    let begin = scene.world.now();
    let closed = writers.into_iter().map(Closing);
    let results = scene.world.run_all_with(closed, &Secret::new("pat"), |_, _| {});
    assert!(results.into_iter().all(|result| result.is_ok_and(|event| event == WriterEvent::Closed)));
    let took = usize::try_from(scene.world.now().since(begin).as_secs()).expect("some seconds");
    let asked = scene.asked(":bulk-channel-status") - before;
    assert!(asked <= (took + 2) * 5, "{asked} questions in {took} s");
    assert_eq!(scene.asked("/oauth/token"), 1);
}

/// Runs a writer to its end.
struct Closing(Writer);

impl Flow for Closing {
    type Output = WriterEvent;

    fn poll(&mut self, now: Timestamp, reply: Option<Reply>) -> Step<WriterEvent> {
        let mut reply = reply;
        loop {
            match self.0.poll(now, reply.take()) {
                Step::Done(Ok(event)) if event != WriterEvent::Closed => {}
                step => return step,
            }
        }
    }
}
