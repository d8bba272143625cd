//! Snowpipe Streaming's flows on the simulated account: the result of each flow with and without faults.

use std::time::Duration;

use bytes::Bytes;
use pipewright::driver::{self, Clock as _, NoCredentials};
use pipewright::error::{FlowError, TransportError};
use pipewright::flow::{Config as FlowConfig, Exchange, Flow as _, Goal, Step};
use pipewright::snowpipe::account::{ExchangeToken, GetHostname, TokenType};
use pipewright::snowpipe::rows::Batch;
use pipewright::snowpipe::{
    Account, AppendElastic, AwaitCommitted, Channel, ChannelPath, DropChannel, ErrorCode, IngestHost, OpenChannel,
    Position, Reconcile, RequestId, SnowpipeIngest, error_code,
};
use pipewright::{Secret, Seed, Timestamp};
use pipewright_mock::snowpipe::{ChannelPath as Simulated, ChannelView, Config, PipeState, Replay};
use pipewright_mock::{Fault, FaultPlan, SnowpipeHandle, World};

struct Scene {
    world: World,
    account: SnowpipeHandle,
    ingest: IngestHost<World>,
}

fn path() -> ChannelPath {
    ChannelPath::new("DB", "PUBLIC", "T-STREAMING", "c")
}

fn simulated() -> Simulated {
    Simulated::new("DB", "PUBLIC", "T-STREAMING", "c")
}

/// One row, whose number is its offset token.
fn batch(number: u32) -> Batch {
    Batch::new(format!("{{\"ID\":{number}}}\n"), 1, number.to_string(), number.to_string())
}

impl Scene {
    fn new(config: Config) -> Self {
        let world = World::new(1);
        let account = world.snowpipe("https://acct.snow.test".parse().expect("an address"), config);
        let handle = Account::new(account.base(), world.clone()).with_credentials(Secret::new("pat"));
        let (kind, id) = (TokenType::ProgrammaticAccessToken, RequestId::from_bits(1));
        let hostname = handle.call(GetHostname::new(kind.clone(), id)).expect("no faults yet");
        let scoped = handle.call(ExchangeToken::new(kind, hostname.host(), id)).expect("no faults yet");
        let base = hostname.base().expect("an address");
        let ingest = IngestHost::new(base, world.clone()).with_credentials(scoped.token);
        Self { world, account, ingest }
    }

    fn run<G: Goal<Service = SnowpipeIngest>>(&self, goal: G) -> Result<G::Output, FlowError> {
        self.ingest.run(goal)
    }

    fn open(&self) -> Channel {
        self.run(OpenChannel::new(path())).expect("no faults")
    }

    fn view(&self) -> ChannelView {
        self.account.with(|account| account.channel_view(&simulated())).expect("the channel")
    }

    fn requests(&self) -> usize {
        self.account.with(|account| account.requests().len())
    }

    fn sleep(&self, seconds: u64) {
        self.world.sleep_until(self.world.now() + Duration::from_secs(seconds));
    }

    fn lose(&self, operation: &str) {
        self.world.set_faults(FaultPlan::none().nth_of(operation, 1, Fault::ReplyLost));
    }
}

fn code(error: &FlowError) -> Option<ErrorCode> {
    error.service().and_then(error_code)
}

fn reason(error: FlowError) -> String {
    match error {
        FlowError::Failed(failure) => format!("{}: {}", failure.what, failure.reason),
        error => panic!("{error:?}"),
    }
}

#[test]
fn an_open_waits_for_the_rows_of_before() {
    let scene = Scene::new(Config::default());
    let channel = scene.run(scene.open().append(batch(1))).expect("no faults");
    let begin = scene.world.now();
    drop(channel);
    assert_eq!(scene.open().committed(), Some("1"));
    let waited = scene.world.now().since(begin);
    assert!((5..12).contains(&waited.as_secs()), "{waited:?}");
    // Asked to wait no longer, it says what it would have waited for.
    let channel = scene.run(scene.open().append(batch(2))).expect("no faults");
    let error = scene.run(OpenChannel::new(path()).busy_timeout(Duration::from_secs(2))).expect_err("too soon");
    assert_eq!(code(&error), Some(ErrorCode::UncommittedData), "{error}");
    drop(channel);
    // Forced, it discards them.
    assert_eq!(scene.run(OpenChannel::new(path()).force()).expect("by force").committed(), Some("1"));
    assert_eq!((scene.view().rows.len(), scene.view().discarded), (1, 1));
}

/// Opens with these answers: status, `Retry-After` and body. How long it took.
fn open_with(
    goal: OpenChannel,
    answers: &[(u16, Option<u32>, &'static str)],
    jump: Duration,
) -> Result<u64, FlowError> {
    let config = FlowConfig::<SnowpipeIngest>::new("https://acct.ingest.snow.test".parse().expect("an address"));
    let mut flow = goal.start(&config, Seed::new(1));
    let begin = Timestamp::from_millis(1_800_000_000_000);
    let (mut answers, mut now, mut reply) = (answers.iter(), begin, None);
    loop {
        match flow.poll(now, reply.take()) {
            Step::Send(exchange) => {
                let (status, after, body) = answers.next().expect("not more requests than answers");
                let mut answer = http::Response::builder().status(*status);
                if let Some(after) = after {
                    answer = answer.header("retry-after", *after);
                }
                reply = Some(exchange.settle(Ok(answer.body((*body).into()).expect("an answer"))));
            }
            Step::WaitUntil(at) => now = at + jump,
            Step::Notice(_) => {}
            Step::Done(result) => return result.map(|_| now.since(begin).as_secs()),
            step => panic!("{step:?}"),
        }
    }
}

const BUSY: &str = r#"{"code":"ERR_CHANNEL_HAS_UNCOMMITTED_DATA","message":"m"}"#;
const OPENED: &str = r#"{"next_continuation_token":"1_0","channel_status":{"channel_status_code":"SUCCESS"}}"#;

#[test]
fn a_wait_that_the_service_asks_for_does_not_count_as_waiting_for_rows_of_before() {
    let goal = || OpenChannel::new(path()).busy_timeout(Duration::from_secs(20));
    let between = [(409, None, BUSY), (429, Some(200), "{}"), (409, None, BUSY), (200, None, OPENED)];
    let took = open_with(goal(), &between, Duration::ZERO).expect("it has waited for rows for some seconds");
    assert!((200..220).contains(&took), "{took}");
    let with_it = [(409, Some(150), BUSY), (409, Some(100), BUSY), (409, None, BUSY), (200, None, OPENED)];
    let took = open_with(goal(), &with_it, Duration::ZERO).expect("so it has here");
    assert!((250..270).contains(&took), "as long as asked for: {took}");
}

#[test]
fn a_clock_that_jumps_does_not_use_up_the_wait_for_rows_of_before() {
    let answers = [(409, None, BUSY), (409, None, BUSY), (200, None, OPENED)];
    let goal = OpenChannel::new(path()).busy_timeout(Duration::from_secs(120));
    open_with(goal, &answers, Duration::from_secs(3600)).expect("it was refused twice");
}

#[test]
fn an_open_that_cannot_succeed_is_not_repeated() {
    let scene = Scene::new(Config::default());
    for (state, expected) in [
        (PipeState::Invalid, ErrorCode::PipeInInvalidState),
        (PipeState::Missing, ErrorCode::PipeDoesNotExist),
        (PipeState::TableMissing, ErrorCode::TableDoesNotExist),
    ] {
        scene.account.with(|account| account.set_pipe(&simulated(), state));
        let before = scene.requests();
        let error = scene.run(OpenChannel::new(path())).expect_err("no such pipe");
        assert_eq!((code(&error), scene.requests() - before), (Some(expected), 1), "{error}");
    }
}

/// Runs a flow whose exchanges are all answered with 200 and this.
fn answered<G: Goal<Service = SnowpipeIngest>>(goal: G, body: &'static str) -> Result<G::Output, FlowError> {
    struct Same(&'static str);

    impl driver::Transport for Same {
        fn send(&self, _: &Exchange) -> Result<http::Response<Bytes>, TransportError> {
            Ok(http::Response::new(Bytes::from_static(self.0.as_bytes())))
        }

        fn open(&self, _: &Exchange) -> Result<driver::Opened, TransportError> {
            unreachable!("nothing here is live")
        }
    }

    impl driver::Clock for Same {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(1)
        }

        fn sleep_until(&self, _: Timestamp) {}
    }

    impl driver::Entropy for Same {
        fn bits(&self) -> u128 {
            1
        }
    }

    let config = FlowConfig::new("https://h.test".parse().expect("an address"));
    driver::run(goal.start(&config, Seed::new(1)), &Same(body), &NoCredentials, driver::ignore_notices)
}

#[test]
fn a_channel_that_must_not_be_used_is_no_success() {
    let body = r#"{"next_continuation_token":"1_0","channel_status":{"channel_status_code":"STALE_PIPE_CACHE"}}"#;
    let error = answered(OpenChannel::new(path()), body).expect_err("not healthy");
    assert_eq!(code(&error), Some(ErrorCode::StalePipeCache), "{error}");
    let body = r#"{"channel_statuses":{"c":{"channel_status_code":"NEW","last_committed_offset_token":"1"}}}"#;
    let error = answered(AwaitCommitted::new(path(), "1"), body).expect_err("not healthy");
    assert_eq!(code(&error), Some(ErrorCode::Unknown("NEW".into())), "{error}");
    let body = r#"{"channel_status":{"channel_status_code":"SUCCESS"}}"#;
    let error = answered(OpenChannel::new(path()), body).expect_err("nothing can be appended");
    assert!(error.to_string().contains("no next_continuation_token"), "{error}");
}

#[test]
fn an_append_whose_answer_is_lost_is_made_again() {
    let scene = Scene::new(Config::default());
    let channel = scene.open();
    scene.lose("appendRows");
    let channel = scene.run(channel.append(batch(1))).expect("the service knows the token");
    scene.run(channel.append(batch(2))).expect("no faults");
    scene.sleep(10);
    assert_eq!(scene.view().rows, [&b"{\"ID\":1}"[..], b"{\"ID\":2}"]);
}

#[test]
fn a_node_that_is_behind_does_not_know_the_channel_yet() {
    let behind = Duration::from_secs(20);
    let scene = Scene::new(Config { status_age: behind..=behind, ..Config::default() });
    let channel = scene.run(scene.open().append(batch(1))).expect("no faults");
    let committed = scene.run(channel.await_committed("1")).expect("known in the end");
    assert_eq!(committed.token, "1");
    let begin = scene.world.now();
    let error = scene.run(AwaitCommitted::new(ChannelPath::new("DB", "PUBLIC", "T-STREAMING", "none"), "1"));
    assert!(reason(error.expect_err("no such channel")).contains("does not know it"));
    assert_eq!(scene.world.now().since(begin).as_secs(), 30);
}

#[test]
fn an_answer_that_says_nothing_is_no_news_of_the_channel() {
    for answer in ["{}", "null", "[]", r#"{"channel_statuses":null}"#, r#"{"channel_statuses":{"c":{}}}"#] {
        let scene = Scene::new(Config::default());
        let channel = scene.run(scene.open().append(batch(1))).expect("no faults");
        let blank = serde_json::from_str(answer).expect("JSON");
        scene.account.with(|account| account.blank_statuses(blank, Duration::from_secs(20)));
        let committed = scene.run(channel.await_committed("1")).expect("it is asked for again");
        assert_eq!(committed.token, "1", "{answer}");
    }
    let scene = Scene::new(Config::default());
    let channel = scene.open();
    let blank = serde_json::json!({ "channel_statuses": { "c": {} } });
    scene.account.with(|account| account.blank_statuses(blank, Duration::from_secs(60)));
    let error = scene.run(channel.await_committed("1")).expect_err("it stays so");
    assert_eq!(code(&error), Some(ErrorCode::Unknown("UNREADABLE".into())), "{error}");
}

/// A clock that jumps by an hour is no proof that a node was asked for an hour.
#[test]
fn a_clock_that_jumps_does_not_make_a_channel_missing() {
    let config = FlowConfig::<SnowpipeIngest>::new("https://acct.ingest.snow.test".parse().expect("an address"));
    let mut flow = AwaitCommitted::new(path(), "1").start(&config, Seed::new(1));
    let none = r#"{"channel_statuses":{}}"#;
    let committed = r#"{"channel_statuses":{"c":{"channel_status_code":"SUCCESS","last_committed_offset_token":"1"}}}"#;
    let mut answers = [none, none, none, committed].into_iter();
    let (mut now, mut reply) = (Timestamp::from_millis(1_800_000_000_000), None);
    let result = loop {
        match flow.poll(now, reply.take()) {
            Step::Send(exchange) => {
                let answer = answers.next().expect("not more than four looks");
                reply = Some(exchange.settle(Ok(http::Response::new(answer.into()))));
            }
            Step::WaitUntil(_) => now = now + Duration::from_secs(3600),
            Step::Notice(_) => {}
            Step::Done(result) => break result,
            step => panic!("{step:?}"),
        }
    };
    assert_eq!(result.expect("it is there").token, "1");
}

/// One that was dropped behind our back, and a channel that was recreated: its rows are in no status.
#[test]
fn a_wait_for_a_channel_that_is_another_one_by_now_ends() {
    let scene = Scene::new(Config::default());
    let channel = scene.run(scene.open().append(batch(1))).expect("no faults");
    scene.run(channel.await_committed("1")).expect("no faults");
    let channel = scene.open();
    scene.run(DropChannel::new(path())).expect("nothing is buffered");
    scene.sleep(1);
    scene.open();
    let error = scene.run(channel.await_committed("2")).expect_err("recreated");
    assert!(reason(error).contains("it was recreated"));
    let mut status = channel.status().clone();
    status.created_on_ms = None;
    let error = scene.run(AwaitCommitted::new(path(), "2").since(&status)).expect_err("a new channel");
    assert!(reason(error).contains("\"1\" is gone"));
    // What the service says itself comes first.
    let code = "ERR_CHANNEL_DOES_NOT_EXIST_OR_NOT_AUTHORIZED";
    scene.account.with(|account| account.invalidate(&simulated(), code));
    let error = scene.run(channel.await_committed("2")).expect_err("it must not be used");
    assert_eq!(self::code(&error), Some(ErrorCode::ChannelDoesNotExist), "{error}");
}

#[test]
fn what_became_of_an_append_is_found_out() {
    let scene = Scene::new(Config { replay: Replay::Stale, ..Config::default() });
    let channel = scene.open();
    let mut position = Position::of(channel.status());
    position.sent = vec!["1".to_owned(), "2".to_owned()];
    scene.lose("appendRows");
    let error = scene.run(channel.append(batch(1))).expect_err("the service does not know the token any more");
    assert!(error.is_ambiguous());
    assert_eq!(code(&error), Some(ErrorCode::StaleContinuationToken), "{error}");
    let reconciled = scene.run(Reconcile::new(path(), position)).expect("no faults");
    assert_eq!((reconciled.settled, reconciled.rejected), (1, None));
    assert_eq!(reconciled.channel.committed(), Some("1"));
}

#[test]
fn a_committed_token_that_is_gone_or_of_somebody_else_ends_it() {
    let scene = Scene::new(Config::default());
    let channel = scene.run(scene.open().append(batch(1))).expect("no faults");
    scene.run(channel.await_committed("1")).expect("no faults");
    let position = Position::of(scene.open().status());
    let reconcile = |position: &Position| scene.run(Reconcile::new(path(), position.clone()));
    assert_eq!(reconcile(&position).expect("as before").settled, 0);

    scene.account.with(|account| account.steal(&simulated(), &[("one-of-theirs", "{}")]));
    let error = reason(reconcile(&position).expect_err("another writer"));
    assert!(error.contains("\"one-of-theirs\"") && error.contains("another writer"), "{error}");

    scene.sleep(10);
    scene.run(DropChannel::new(path())).expect("no faults");
    let error = reason(reconcile(&position).expect_err("a new channel"));
    assert!(error.contains("it was recreated"), "{error}");
    let mut unknown = position;
    unknown.created_on_ms = None;
    let error = reason(reconcile(&unknown).expect_err("a new channel"));
    assert!(error.contains("\"1\" is gone"), "{error}");
}

/// By the caller's own account of what it was told.
#[test]
fn the_token_of_an_append_that_was_rejected_settles_nothing() {
    let scene = Scene::new(Config::default());
    let channel = scene.open();
    let mut position = Position::of(channel.status());
    scene.account.with(|account| account.steal(&simulated(), &[("1", r#"{"ID":7}"#)]));
    let error = scene.run(channel.append(batch(1))).expect_err("another client has the channel");
    assert_eq!(code(&error), Some(ErrorCode::StaleContinuationToken), "{error}");
    position.sent = vec!["1".to_owned()];
    position.rejected = Some("1".to_owned());
    let error = reason(scene.run(Reconcile::new(path(), position)).expect_err("whose row is it?"));
    assert!(error.contains("another client may have opened the channel and used an equal token"), "{error}");
}

#[test]
fn rejected_rows_are_counted_although_the_token_passes_over_them() {
    let scene = Scene::new(Config { number_columns: vec!["ID".into()], ..Config::default() });
    let channel = scene.open();
    let rows = Batch::new("{\"ID\":1}\n{\"ID\":\"x\"}\n{\"ID\":3}\n", 3, "1", "3");
    let channel = scene.run(channel.append(rows)).expect("no faults");
    let committed = scene.run(channel.await_committed("3")).expect("no faults");
    let rejected = committed.rejected.expect("one of three");
    assert_eq!((rejected.count, rejected.last_error_offset_upper_bound.as_deref()), (1, Some("3")));
    assert!(rejected.last_error_message.is_some());
}

#[test]
fn a_wait_ends_when_the_channel_does() {
    let scene = Scene::new(Config::default());
    let channel = scene.run(scene.open().append(batch(1))).expect("no faults");
    scene.account.with(|account| account.invalidate(&simulated(), "ERR_CHANNEL_MUST_BE_REOPENED"));
    let error = scene.run(channel.await_committed("1")).expect_err("it is lost");
    assert_eq!(code(&error), Some(ErrorCode::MustBeReopened), "{error}");
    scene.account.with(|account| account.replace_table(&simulated()));
    let error = reason(scene.run(channel.await_committed("1")).expect_err("no such channel"));
    assert!(error.contains("does not know it"), "{error}");
    // Time that is up says nothing.
    let channel = scene.run(scene.open().append(batch(1))).expect("no faults");
    let wait = channel.await_committed("1");
    let error = scene.run(wait.clone().timeout(Duration::from_secs(2))).expect_err("too soon");
    assert!(matches!(error, FlowError::Deadline { .. }), "{error}");
    scene.run(wait).expect("no faults");
}

#[test]
fn a_drop_waits_and_does_not_mind_that_it_was_done() {
    let scene = Scene::new(Config::default());
    scene.run(scene.open().append(batch(1))).expect("no faults");
    let dropped = scene.run(DropChannel::new(path())).expect("no faults");
    assert_eq!(dropped.last_committed_offset_token.as_deref(), Some("1"));
    assert!(!scene.view().exists);
    let error = scene.run(DropChannel::new(path())).expect_err("it is gone");
    assert_eq!(code(&error), Some(ErrorCode::ChannelDoesNotExist), "{error}");
    scene.run(DropChannel::new(path()).if_exists()).expect("that is fine");

    scene.run(scene.open().append(batch(2))).expect("no faults");
    scene.lose("dropChannel");
    scene.run(DropChannel::new(path()).force()).expect("the second attempt finds it gone");
    assert_eq!((scene.view().rows.len(), scene.view().discarded), (1, 1));
}

#[test]
fn rows_without_a_channel_may_be_there_twice_and_that_is_said() {
    let scene = Scene::new(Config::default());
    let append = || AppendElastic::to_table("DB", "PUBLIC", "T", batch(1));
    assert_eq!(scene.run(append()).expect("no faults").possible_duplicates, 0);
    scene.world.set_faults(FaultPlan::none().nth(1, Fault::NotSent));
    assert_eq!(scene.run(append()).expect("again").possible_duplicates, 0);
    scene.lose("appendElasticToTable");
    assert_eq!(scene.run(append()).expect("again").possible_duplicates, 1);
    scene.world.set_faults(FaultPlan::none());
    let pipe = AppendElastic::to_pipe("DB", "PUBLIC", "T-STREAMING", batch(1));
    assert_eq!(scene.run(pipe).expect("no faults").possible_duplicates, 0);
    scene.sleep(10);
    let elastic = Simulated::new("DB", "PUBLIC", "T-STREAMING", "ELASTIC");
    let rows = scene.account.with(|account| account.channel_view(&elastic)).expect("rows").rows;
    assert_eq!(rows.len(), 5);
}
