//! `RunStatement` on the simulated gateway: each row once and in order under faults, and nothing stays open.

use std::cell::RefCell;
use std::time::Duration;

use pipewright::driver::{self, Clock as _, NoCredentials, Transport as _};
use pipewright::error::FlowError;
use pipewright::flink::sql_gateway::results::RowFormat;
use pipewright::flink::sql_gateway::sessions::OpenSession;
use pipewright::flink::sql_gateway::statements::ExecuteStatement;
use pipewright::flink::sql_gateway::{
    Page, RunStatement, SqlGateway, Statement, StatementDiagnosis, StatementEvent, is_unknown_session, is_wrong_token,
};
use pipewright::flow::{Flow as _, Goal as _, Notice, SavedState, Step};
use pipewright::operation::OperationInfo;
use pipewright::{Operation as _, Seed};
use pipewright_mock::sql_gateway::{Config, Script};
use pipewright_mock::transcript::Recorder;
use pipewright_mock::{Fault, FaultPlan, SqlGatewayHandle, World};
use pipewright_tests::recorded::Recorded;
use proptest::prelude::*;
use serde_json::json;

struct Scene {
    world: World,
    gateway: SqlGatewayHandle,
    client: SqlGateway<World>,
}

impl Scene {
    fn new(seed: u64, config: Config) -> Self {
        let world = World::new(seed);
        let gateway = world.sql_gateway("http://gateway.test:8083".parse().expect("a base"), config);
        // The version is the client's affair.
        let client = SqlGateway::new("http://gateway.test:8083/v2".parse().expect("a base"), world.clone());
        Self { world, gateway, client }
    }

    fn start(&self, goal: RunStatement) -> Statement {
        goal.start(self.client.config(), self.client.seed())
    }

    /// The next page; `None` after the last page.
    fn next(&self, statement: &mut Statement) -> Result<Option<Page>, FlowError> {
        driver::run(statement, &self.world, &NoCredentials, driver::ignore_notices).map(page)
    }

    /// All rows that come, and how it ended.
    fn rows(&self, goal: RunStatement) -> (Vec<i64>, Result<(), FlowError>) {
        let (mut statement, mut rows) = (self.start(goal), Vec::new());
        loop {
            match self.next(&mut statement) {
                Ok(Some(page)) => rows.extend(numbers(&page)),
                Ok(None) => return (rows, Ok(())),
                Err(error) => return (rows, Err(error)),
            }
        }
    }

    fn open(&self) -> (usize, usize) {
        self.gateway.with(|gateway| (gateway.sessions(), gateway.operations()))
    }

    fn submitted(&self) -> usize {
        self.gateway.with(|gateway| gateway.submitted().len())
    }
}

fn page(event: StatementEvent) -> Option<Page> {
    match event {
        StatementEvent::Page(page) => Some(page),
        StatementEvent::Closed => None,
        event => panic!("{event:?}"),
    }
}

fn numbers(page: &Page) -> impl Iterator<Item = i64> {
    page.rows.iter().map(|row| row.read::<(i64,)>().expect("one number").0)
}

fn query(limit: u64) -> RunStatement {
    RunStatement::new(format!("SELECT n FROM numbers LIMIT {limit}"))
}

fn cases() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn rows_come_once_and_in_order(
        seed: u64, faults in 0_u64..60, limit in 0_u64..40, page_size in 1_usize..9, repeatable: bool,
    ) {
        let scene = Scene::new(seed, Config { page_size, seed, ..Config::default() });
        scene.world.set_faults(FaultPlan::hostile(seed).at_most(faults));
        let goal = query(limit);
        let (rows, end) = scene.rows(if repeatable { goal.repeatable() } else { goal });
        scene.world.set_faults(FaultPlan::none());
        let count = i64::try_from(limit).expect("small");
        prop_assert!(rows.iter().copied().eq(0..rows.len().try_into().expect("few")), "{rows:?}");
        match end {
            Ok(()) => {
                prop_assert_eq!(rows.len(), usize::try_from(count).expect("small"));
                prop_assert_eq!(scene.open().1, 0, "what was submitted is closed");
            }
            Err(FlowError::Ambiguous(ambiguity)) => {
                prop_assert!(rows.is_empty());
                prop_assert!(
                    ambiguity.found.is_some() || ambiguity.operation == OpenSession::INFO.name, "{ambiguity:?}"
                );
            }
            // A restart, or more faults in a row than a call has attempts.
            Err(FlowError::Service(_) | FlowError::Transport(_)) => {}
            Err(FlowError::Incomplete(incomplete)) => {
                prop_assert!(
                    matches!(*incomplete.cause, FlowError::Service(_) | FlowError::Transport(_)), "{incomplete:?}"
                );
            }
            Err(error) => prop_assert!(false, "{error:?}"),
        }
        if !repeatable {
            prop_assert!(scene.submitted() <= 1, "a statement that was not said to be repeatable");
        }
    }

    /// The process crashes again and again; the next process continues from what was saved last, and rows count with
    /// the state that was saved behind them.
    #[test]
    fn rows_survive_crashes(
        seed: u64, limit in 0_u64..30, page_size in 1_usize..5, crashes in prop::collection::vec(0_usize..40, 0..6),
    ) {
        let scene = Scene::new(seed, Config { page_size, seed, ..Config::default() });
        let (mut saved, mut rows): (Option<SavedState>, Vec<i64>) = (None, Vec::new());
        for steps in crashes.into_iter().chain([usize::MAX]) {
            let resumed = saved.as_ref().map(|saved| RunStatement::resume(saved).expect("its own state"));
            let goal = resumed.unwrap_or_else(|| query(limit));
            match drive_some(&scene, scene.start(goal), steps, &mut saved, &mut rows) {
                None => {}
                Some(Ok(())) => {
                    prop_assert!(rows.iter().copied().eq(0..i64::try_from(limit).expect("small")), "{rows:?}");
                    prop_assert_eq!(scene.open().1, 0);
                    return Ok(());
                }
                Some(Err(FlowError::Ambiguous(ambiguity))) => {
                    // Crashed while submitting.
                    prop_assert_eq!(ambiguity.operation, ExecuteStatement::INFO.name);
                    prop_assert!(rows.is_empty());
                    prop_assert_eq!(scene.open().1, 0, "its session was closed");
                    return Ok(());
                }
                Some(Err(error)) => prop_assert!(false, "{error:?}"),
            }
        }
    }
}

/// Drives for a number of steps, as a process that crashes then. Rows are kept together with the state saved behind
/// them.
fn drive_some(
    scene: &Scene,
    mut statement: Statement,
    steps: usize,
    saved: &mut Option<SavedState>,
    rows: &mut Vec<i64>,
) -> Option<Result<(), FlowError>> {
    let (mut reply, mut fresh) = (None, Vec::new());
    for _ in 0..steps {
        match statement.poll(scene.world.now(), reply.take()) {
            Step::Send(exchange) => {
                let answer = scene.world.send(&exchange);
                reply = Some(exchange.settle(answer));
            }
            Step::WaitUntil(at) | Step::InFlight { until: at } => scene.world.sleep_until(at),
            Step::Notice(Notice::Persist(state)) => {
                let text = serde_json::to_string(&state).expect("serialisable");
                *saved = Some(serde_json::from_str(&text).expect("readable"));
                rows.append(&mut fresh);
            }
            Step::Notice(_) => {}
            Step::Authorize(_) | Step::Stray(_) => panic!("no credentials, no other flow"),
            Step::Done(Ok(StatementEvent::Page(page))) => fresh.extend(numbers(&page)),
            Step::Done(Ok(_)) => return Some(Ok(())),
            Step::Done(Err(error)) => return Some(Err(error)),
        }
    }
    None
}

#[test]
fn the_first_page_tells_the_columns_and_later_ones_have_rows() {
    let scene = Scene::new(1, Config { page_size: 2, ..Config::default() });
    let mut statement = scene.start(query(3).row_format(RowFormat::PlainText));
    let mut pages = Vec::new();
    while let Some(page) = scene.next(&mut statement).expect("nothing goes wrong") {
        assert_eq!(page.columns[0].name, "n");
        assert!(page.is_query && page.job.is_some());
        pages.push(page.rows.iter().map(|row| row.fields.as_str().to_owned()).collect::<Vec<_>>());
    }
    assert_eq!(pages, [vec![], vec![r#"["0"]"#.to_owned(), r#"["1"]"#.to_owned()], vec![r#"["2"]"#.to_owned()]]);
    assert_eq!(scene.open(), (0, 0));
    assert!(matches!(scene.next(&mut statement), Err(FlowError::Misuse(_))), "it was over");
}

#[test]
fn a_statement_that_fails_says_why_and_leaves_nothing_open() {
    let scene = Scene::new(2, Config::default());
    let (rows, end) = scene.rows(RunStatement::new("SELECT * FROM nope"));
    let Err(FlowError::Failed(failure)) = &end else { panic!("{end:?}") };
    assert!(rows.is_empty() && failure.reason.contains("Object 'nope' not found"), "{failure:?}");
    assert!(failure.details.as_ref().is_some_and(|details| details.contains("Caused by: ")));
    assert_eq!(scene.open(), (0, 0));
    // After some rows, too.
    let script =
        Script::query([("n", "INTEGER")], vec![vec![json!(0)]]).fails("java.lang.ArithmeticException", "/ by zero");
    scene.gateway.with(|gateway| gateway.define("SELECT 1 / n", script));
    let (rows, end) = scene.rows(RunStatement::new("SELECT 1 / n"));
    assert_eq!(rows, [0]);
    assert!(matches!(&end, Err(FlowError::Failed(failure)) if failure.reason.contains("/ by zero")), "{end:?}");
    assert_eq!(scene.open(), (0, 0));
}

#[test]
fn an_endless_query_is_closed_on_request() {
    let scene = Scene::new(3, Config::default());
    let mut statement = scene.start(RunStatement::new("SELECT n FROM numbers"));
    let mut rows = 0;
    while let Some(page) = scene.next(&mut statement).expect("nothing goes wrong") {
        rows += page.rows.len();
        if rows >= 250 {
            statement.close();
        }
    }
    assert_eq!((rows, scene.open()), (300, (0, 0)));
}

/// A state that is resumed while the process that saved it still reads: only a single process can have the pages.
#[test]
fn a_second_reader_does_not_close_what_the_first_one_reads() {
    let scene = Scene::new(9, Config { page_size: 2, ..Config::default() });
    let (mut statement, mut saved, mut rows) = (scene.start(query(20)), None, Vec::new());
    for _ in 0..6 {
        let keep = |notice: Notice| {
            if let Notice::Persist(state) = notice
                && state.state.contains(r#""token":1,"#)
            {
                saved = Some(state);
            }
        };
        let event = driver::run(&mut statement, &scene.world, &NoCredentials, keep).expect("a page");
        let page = page(event).expect("a page");
        rows.extend(numbers(&page));
    }
    let (others, end) = scene.rows(RunStatement::resume(&saved.expect("a state")).expect("its own"));
    let error = end.expect_err("the page is gone");
    assert!(others.is_empty() && error.service().is_some_and(is_wrong_token), "{error:?}");
    while let Some(page) = scene.next(&mut statement).expect("it was left open") {
        rows.extend(numbers(&page));
    }
    assert!(rows.iter().copied().eq(0..20), "{rows:?}");
    assert_eq!(scene.open(), (0, 0));
}

#[test]
fn an_existing_session_stays_open() {
    let scene = Scene::new(4, Config::default());
    let session = scene.client.call(OpenSession::new()).expect("a session").session_handle;
    let (rows, end) = scene.rows(query(2).in_session(session));
    assert!(end.is_ok());
    assert_eq!((rows, scene.open()), (vec![0, 1], (1, 0)));
}

/// Heartbeats keep a session alive that waits for longer than it may be idle.
#[test]
fn a_long_wait_is_survived_and_a_forgotten_session_is_not() {
    let hour = Duration::from_secs(3600);
    let idle_timeout = Duration::from_secs(61);
    let scene = Scene::new(5, Config { ready_after: hour, idle_timeout, ..Config::default() });
    let mut statement = scene.start(query(1));
    let mut heartbeats = 0;
    let count = |notice: Notice| {
        heartbeats += usize::from(matches!(
            notice,
            Notice::Sending { operation: OperationInfo { name: "triggerSession", .. }, .. }
        ));
    };
    let event = driver::run(&mut statement, &scene.world, &NoCredentials, count).expect("in time");
    let page = page(event).expect("a page");
    assert!(page.rows.is_empty());
    assert!((55..=60).contains(&heartbeats), "{heartbeats}");
    scene.world.sleep_until(scene.world.now() + idle_timeout);
    let error = scene.next(&mut statement).expect_err("it took too long with the page");
    assert!(error.service().is_some_and(is_unknown_session), "{error}");
}

#[test]
fn a_deadline_ends_it_and_another_one_goes_on() {
    let scene = Scene::new(6, Config { ready_after: Duration::from_secs(100), ..Config::default() });
    let (begin, mut saved) = (scene.world.now(), None);
    let goal = query(3).timeout(Duration::from_secs(20));
    let keep = |notice: Notice| {
        if let Notice::Persist(state) = notice {
            saved = Some(state);
        }
    };
    let mut statement = scene.start(goal);
    let error = driver::run(&mut statement, &scene.world, &NoCredentials, keep).expect_err("not ready");
    assert!(matches!(error, FlowError::Deadline { .. }), "{error}");
    // Nothing was closed: the handles are all that is left.
    let known = StatementDiagnosis::of(&error).expect("a diagnosis");
    assert_eq!((Some(known.session), known.operation), (statement.session(), statement.operation()));
    assert!(known.operation.is_some() && error.to_string().contains(&known.session.to_string()), "{error}");
    assert_eq!(scene.world.now(), begin + Duration::from_secs(20));
    let (rows, end) = scene.rows(RunStatement::resume(&saved.expect("a state")).expect("its own"));
    assert!(end.is_ok());
    assert_eq!((rows, scene.open(), scene.submitted()), (vec![0, 1, 2], (0, 0), 1));
}

/// A whole conversation: a session of its own, pages without rows, an answer that is lost, and everything closed.
#[test]
fn a_whole_conversation_matches_its_snapshot() {
    let scene = Scene::new(8, Config { page_size: 2, ..Config::default() });
    // The first page that is ready.
    scene.world.set_faults(FaultPlan::none().nth(6, Fault::ReplyLost));
    let recorder = Recorder::new(scene.world.clone());
    let mut statement = scene.start(query(3).session_name("nightly"));
    loop {
        let event = driver::run(&mut statement, &recorder, &NoCredentials, |notice| recorder.notice(&notice));
        let Some(page) = page(event.expect("nothing that cannot be mended")) else { break };
        recorder.note(&format!(
            "= page {}: {:?}",
            page.token,
            page.rows.iter().map(|row| &row.fields).collect::<Vec<_>>()
        ));
    }
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots/flink_sql");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("run_statement", recorder.finish()));
}

/// Out of time, nothing is closed any more, and the error does not claim it.
#[test]
fn a_submission_lost_at_the_deadline_says_what_is_left_open() {
    for (late, words) in [(true, "after the idle time"), (false, "is being closed")] {
        let scene = Scene::new(7, Config::default());
        // The session is the first exchange, the submission the second.
        let fault = if late { Fault::DelayReply(Duration::from_secs(60)) } else { Fault::ReplyLost };
        scene.world.set_faults(FaultPlan::none().nth(2, fault));
        let goal = if late { query(3).timeout(Duration::from_secs(10)) } else { query(3) };
        let (rows, end) = scene.rows(goal);
        let Err(FlowError::Ambiguous(ambiguity)) = end else { panic!("{end:?}") };
        assert!(
            rows.is_empty() && ambiguity.found.as_ref().is_some_and(|found| found.contains(words)),
            "{ambiguity:?}"
        );
        assert_eq!(scene.open().0, usize::from(late));
    }
}

#[test]
fn a_statement_rejects_the_saved_state_of_another_flow() {
    let saved: SavedState = serde_json::from_str(r#"{"flow":"RunJar","state":"{}"}"#).expect("a state");
    assert!(matches!(RunStatement::resume(&saved), Err(FlowError::Misuse(_))));
}

/// A result that lacks rows without a sign would be wrong: the flow closes the statement, and fails.
#[test]
fn rows_that_cannot_be_read_end_the_statement() {
    let handle = "01020304-0506-0708-090a-0b0c0d0e0f10";
    let names = RefCell::new(Vec::new());
    let service = Recorded::new(|name: &str, target: &str| {
        names.borrow_mut().push(name.to_owned());
        let next = target.contains("/result/0").then(|| format!("/v2/sessions/{handle}/operations/{handle}/result/1"));
        let odd = if target.contains("/result/1") { json!({ "kind": 7 }) } else { json!(null) };
        let answer = match name {
            "openSession" => json!({ "sessionHandle": handle }),
            "executeStatement" => json!({ "operationHandle": handle }),
            "fetchResults" => {
                let row = json!({ "kind": "INSERT", "fields": [1] });
                let rows = if odd.is_null() { vec![row] } else { vec![row, odd] };
                let results = json!({ "columns": [], "rowFormat": "JSON", "data": rows });
                json!({ "resultType": "PAYLOAD", "nextResultUri": next, "results": results })
            }
            _ => json!({ "status": "CLOSED" }),
        };
        Some((200, answer.to_string()))
    });
    let client = SqlGateway::new("http://gateway.test:8083/v2".parse().expect("a base"), &service);
    let mut statement = query(7).start(client.config(), Seed::new(1));
    let mut next = || driver::run(&mut statement, &service, &NoCredentials, driver::ignore_notices).map(page);
    assert_eq!(next().expect("a page").expect("a page").rows.len(), 1);
    let Err(FlowError::Failed(failure)) = next() else { panic!("the rows are missed") };
    assert!(failure.reason.contains("cannot read 1 rows of page 1; "), "{failure:?}");
    assert_eq!(names.borrow()[2..], ["fetchResults", "fetchResults", "closeOperation", "closeSession"]);
}
