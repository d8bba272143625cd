//! The example `feldera_session` with the simulator on a port: its effects, output and exit codes.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use pipewright_mock::feldera::{Config, Edition, Manager, Release};
use pipewright_mock::serve::{Options, Server, Time};
use pipewright_mock::{Fault, FaultPlan};

use crate::example::example;

mod example;

const SQL: &str = "CREATE TABLE orders (id BIGINT NOT NULL PRIMARY KEY, item VARCHAR);
CREATE MATERIALIZED VIEW sold AS SELECT * FROM orders;
";
const ROWS: &str = r#"{"id":1,"item":"bolt"}
{"id":2,"item":"nut"}

{"id":1,"item":"screw"}
"#;
const KEY: &str = "apikey:open-sesame";
const FEED: [&str; 4] = ["--table", "orders", "--rows", "rows.ndjson"];

/// A Feldera, and a directory with files for it.
struct Stage {
    server: Server<Manager>,
    files: PathBuf,
}

/// How the program ended, and what it wrote.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Stage {
    fn new(name: &str, config: Config) -> Self {
        let server = Server::start(Options::feldera(config).time(Time::Fast(10))).expect("a free port");
        let files = Path::new(env!("CARGO_TARGET_TMPDIR")).join("feldera_session").join(name);
        std::fs::create_dir_all(&files).expect("a directory");
        let stage = Self { server, files };
        stage.write("orders.sql", SQL);
        stage.write("rows.ndjson", ROWS);
        stage
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.files.join(file), text).expect("written");
    }

    fn command(&self, sql: &str) -> Command {
        let mut command = example("feldera_session");
        command.current_dir(&self.files).args(["--url", self.server.url(), "--pipeline", "shop", "--sql", sql]);
        command
    }

    /// With the program that is expected to compile.
    fn run(&self, more: &[&str]) -> Ran {
        ran(self.command("orders.sql").args(more))
    }

    /// The pipeline's rows that came in, those included that are lost.
    fn taken(&self) -> Vec<String> {
        self.server.with(|manager| manager.history("shop").taken.iter().map(|taken| taken.row.to_string()).collect())
    }

    fn status(&self) -> String {
        self.server.with(|manager| manager.pipeline("shop").expect("it is there").status)
    }
}

fn ran(command: &mut Command) -> Ran {
    let output = command.output().expect("it starts");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    let ran = Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
    assert!(!format!("{ran:?}").contains("sesame"), "the key is shown: {ran:?}");
    ran
}

impl Ran {
    #[track_caller]
    fn ends(&self, code: i32, said: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.err);
        for text in said {
            assert!(self.err.contains(text), "{text:?} is not in:\n{}", self.err);
        }
    }
}

fn with_key() -> Config {
    Config { edition: Edition::Enterprise, api_key: Some(KEY.into()), ..Config::default() }
}

#[test]
fn rows_go_in_and_changes_come_out() {
    let stage = Stage::new("open-source", Config::default());
    let ran = stage.run(&[&FEED[..], &["--view", "sold"]].concat());
    ran.ends(0, &["Open source", "3 rows are in and processed", "no checkpoint", "what its tables held is gone"]);
    // The pipeline processes all rows in one step, so that the row which is replaced at once causes no change.
    let changes = r#"{"insert":{"id":2,"item":"nut"}}
{"insert":{"id":1,"item":"screw"}}
"#;
    assert_eq!(ran.out, changes);
    let stops: Vec<_> = ran.err.lines().filter(|line| line.contains("Stop: stopping")).collect();
    assert!(matches!(stops[..], [_, forced] if forced.ends_with("Stop: stopping by force")), "{stops:?}");
    assert_eq!(stage.status(), "Stopped");
}

#[test]
fn the_enterprise_edition_keeps_what_a_later_session_shows() {
    let stage = Stage::new("enterprise", with_key());
    let run = |more: &[&str]| {
        let mut command = stage.command("orders.sql");
        ran(command.env("SHOP_KEY", KEY).args(["--api-key-env", "SHOP_KEY"]).args(more))
    };
    run(&FEED).ends(0, &["Enterprise", "checkpoint 0 is durable", "it continues from its checkpoint"]);
    assert!(stage.server.with(|manager| manager.history("shop").checkpoints[0].made.is_some()));
    let later = run(&["--view", "sold"]);
    later.ends(0, &[]);
    assert_eq!(later.out, "{\"insert\":{\"id\":1,\"item\":\"screw\"}}\n{\"insert\":{\"id\":2,\"item\":\"nut\"}}\n");
    let kept = run(&["--keep-running"]);
    kept.ends(0, &["pipeline shop was not stopped"]);
    assert_eq!((stage.status(), kept.out), ("Running".into(), String::new()));
}

#[test]
fn csv_is_known_by_its_name_and_its_records_may_have_several_lines() {
    let stage = Stage::new("csv", Config::default());
    stage.write("rows.csv", "1,bolt\n2,\"a \"\"nut\"\", big\"\nx,screw\n3,\"open\n");
    let ran = stage.run(&["--table", "orders", "--rows", "rows.csv"]);
    ran.ends(1, &["rows.csv:3: not taken in: failed to deserialize CSV", "rows.csv:4: ", "a quote in the CSV record"]);
    assert_eq!(stage.taken(), [r#"{"id":1,"item":"bolt"}"#, r#"{"id":2,"item":"a \"nut\", big"}"#]);

    // A quote that is never closed is looked for in what is new.
    stage.write("rows.csv", &format!("4,\"open\n{}", "\n".repeat(500_000)));
    let ran = stage.run(&["--table", "orders", "--rows", "rows.csv"]);
    ran.ends(1, &["rows.csv:1: not taken in: ", "rows.csv: 1 row was rejected; all others are ingested"]);
}

#[test]
fn a_byte_order_mark_before_a_file_is_skipped() {
    let stage = Stage::new("byte-order-mark", Config::default());
    stage.write("orders.sql", &format!("\u{feff}{SQL}"));
    stage.write("rows.ndjson", "\u{feff}{\"id\":1}\n{\"id\":2}\n");
    stage.run(&FEED).ends(0, &[]);
    stage.write("rows.csv", "\u{feff}3,bolt\n");
    stage.run(&["--table", "orders", "--rows", "rows.csv"]).ends(0, &[]);
    assert_eq!(stage.taken().len(), 3);
}

#[test]
fn rows_that_do_not_parse_are_named_and_keep_no_other_out() {
    let stage = Stage::new("bad-rows", Config::default());
    stage.write("rows.ndjson", "{\"id\":1}\n\n{\"id\":\"x\"}\n{\"id\":3\n{\"item\":\"nut\"}\n{\"id\":5}\n");
    let said = [
        "rows.ndjson:3: not taken in: failed to deserialize JSON record: error parsing field 'id'",
        "rows.ndjson:4: not taken in: the row cannot be sent: not one JSON value",
        "rows.ndjson:5: not taken in: failed to deserialize JSON record: missing field `id`",
        "rows.ndjson: 3 rows were rejected; all others are ingested",
    ];
    stage.run(&FEED).ends(1, &said);
    assert_eq!(stage.taken(), [r#"{"id":1,"item":null}"#, r#"{"id":5,"item":null}"#]);
    assert_eq!(stage.status(), "Stopped");
}

#[test]
fn of_many_rows_that_do_not_parse_twenty_are_named_and_all_are_counted() {
    let stage = Stage::new("many-bad-rows", Config::default());
    stage.write("rows.ndjson", &("{\"id\":\"x\"}\n".repeat(24) + "no row\n{\"id\":1}\n"));
    let ran = stage.run(&FEED);
    ran.ends(
        1,
        &[
            "rows.ndjson: there are more, which are not named",
            "rows.ndjson: 25 rows were rejected; all others are ingested",
        ],
    );
    assert_eq!(ran.err.lines().filter(|line| line.contains(": not taken in: ")).count(), 20, "{}", ran.err);
    assert_eq!(stage.taken().len(), 1);
}

#[test]
fn a_release_that_cannot_tell_what_a_view_holds_does_not_say_nothing() {
    let stage = Stage::new("old", Config { release: Release::V0_130, ..Config::default() });
    let said = "Feldera 0.130.0 cannot tell what a view holds, 0.298 and later can";
    stage.run(&["--view", "sold"]).ends(1, &[said]);
    let ran = stage.run(&[&FEED[..], &["--view", "sold"]].concat());
    ran.ends(0, &[]);
    assert_eq!(ran.out.lines().count(), 2);
}

#[test]
fn whoever_has_sent_again_already_is_not_told_to() {
    let stage = Stage::new("resent-in-vain", Config::default());
    let faults = (1..=6).fold(FaultPlan::none(), |plan, nth| plan.nth_of("http_input", nth, Fault::ReplyLost));
    stage.server.set_faults(faults);
    let ran = stage.run(&[&FEED[..], &["--resend"]].concat());
    ran.ends(4, &["3 rows may or may not have been ingested", "; --resend has done so five times"]);
    assert!(!ran.err.contains("does so at once"));
}

/// Three chunks, and the answer of the second is lost.
#[test]
fn a_lost_answer_leaves_rows_unconfirmed_and_resends_them_only_on_request() {
    let item = "bolt ".repeat(2000);
    let rows: Vec<_> = (1..=250).map(|id| format!("{{\"id\":{id},\"item\":\"{item}\"}}")).collect();
    for (resend, code, sent) in [(false, 4, 250), (true, 0, 354)] {
        let stage = Stage::new(if resend { "resent" } else { "unconfirmed" }, Config::default());
        stage.write("rows.ndjson", &rows.join("\n"));
        stage.server.set_faults(FaultPlan::none().nth_of("http_input", 2, Fault::ReplyLost));
        let ran = stage.run(&[&FEED[..], if resend { &["--resend"] } else { &[] }].concat());
        ran.ends(code, &[]);
        let unconfirmed: Vec<_> =
            ran.err.lines().filter(|line| line.contains("may or may not have been ingested: ")).collect();
        match unconfirmed[..] {
            [] => assert!(resend),
            [line] => assert!(
                !resend && line.contains("lines 105 to 208 may or may not have been ingested: http_input"),
                "{line}"
            ),
            _ => panic!("{unconfirmed:?}"),
        }
        assert_eq!(stage.taken().len(), sent);
    }
}

/// One exchange in ten goes wrong. Rows with a key may be sent again, and so all come in, and come out.
#[test]
fn on_a_bad_day_every_row_comes_in() {
    for seed in 0..4 {
        let stage = Stage::new(&format!("bad-day-{seed}"), Config::default());
        stage.server.set_faults(FaultPlan::flaky(seed));
        let ran = stage.run(&[&FEED[..], &["--resend", "--view", "sold"]].concat());
        ran.ends(0, &["3 rows are in and processed", "pipeline shop is stopped"]);
        let taken = stage.taken();
        for row in [r#"{"id":1,"item":"bolt"}"#, r#"{"id":2,"item":"nut"}"#, r#"{"id":1,"item":"screw"}"#] {
            assert!(taken.iter().any(|taken| taken == row), "{row} is not in {taken:?}");
        }
        for row in [r#"{"id":2,"item":"nut"}"#, r#"{"id":1,"item":"screw"}"#] {
            assert!(ran.out.contains(&format!("{{\"insert\":{row}}}\n")), "{row} is not in {}", ran.out);
        }
        assert_eq!(stage.status(), "Stopped");
    }
}

#[test]
fn sql_that_does_not_compile_is_shown_with_its_place() {
    let stage = Stage::new("sql", Config::default());
    stage.write("bad.sql", &SQL.replace("FROM orders", "FROM oders"));
    let ran = ran(stage.command("bad.sql").args(FEED));
    let said = "\
bad.sql does not compile
bad.sql:2:48: Error in SQL statement: Object 'oders' not found
  CREATE MATERIALIZED VIEW sold AS SELECT * FROM oders;
                                                 ^^^^^
";
    ran.ends(1, &[said]);
    assert!(stage.taken().is_empty());

    // What runs is not stopped for it; and for SQL that compiles only if it may lose what it has.
    stage.run(&["--keep-running"]).ends(0, &[]);
    self::ran(&mut stage.command("bad.sql")).ends(1, &[said]);
    stage.write("more.sql", &format!("{SQL}CREATE VIEW again AS SELECT * FROM orders;"));
    self::ran(&mut stage.command("more.sql")).ends(1, &["--force-stop stops without a checkpoint what runs there"]);
    assert_eq!(stage.status(), "Running");
    self::ran(stage.command("more.sql").args(["--force-stop", "--keep-running"])).ends(0, &["runs version 3"]);
}

#[test]
fn names_that_are_none_are_answered_with_those_that_are() {
    let stage = Stage::new("names", Config::default());
    let said =
        ["pipeline shop has no table sales. Its tables: orders", "rows.ndjson: 0 rows were sent, and from line 1 on"];
    stage.run(&["--table", "sales", "--rows", "rows.ndjson"]).ends(1, &said);
    let said = ["pipeline shop has no view nothing. Its views: sold", "pipeline shop was not stopped"];
    stage.run(&[&FEED[..], &["--view", "nothing"]].concat()).ends(1, &said);
    assert!(stage.taken().is_empty(), "nothing goes in while the view cannot be followed");

    stage.write("orders.sql", &SQL.replace("MATERIALIZED ", ""));
    stage.run(&["--view", "sold", "--force-stop"]).ends(1, &["only a MATERIALIZED VIEW can tell"]);
}

#[test]
fn a_server_that_is_stopped_is_named() {
    let stage = Stage::new("stopped", Config::default());
    let port = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound").port();
    let url = format!("http://127.0.0.1:{port}");
    let ran = ran(example("feldera_session").current_dir(&stage.files).args([
        "--url",
        &url,
        "--pipeline",
        "shop",
        "--sql",
        "orders.sql",
    ]));
    let address = format!("no connection to 127.0.0.1:{port}: ");
    ran.ends(1, &[&address, &format!("is Feldera running at {url}")]);
}

#[test]
fn a_wrong_key_is_told_by_the_name_of_its_variable() {
    let stage = Stage::new("key", with_key());
    let wrong = ran(stage.command("orders.sql").env("SHOP_KEY", "apikey:sesame?").args(["--api-key-env", "SHOP_KEY"]));
    wrong.ends(1, &["is the value of the environment variable SHOP_KEY a key of this Feldera"]);
    stage.run(&[]).ends(1, &["status 401", "--api-key-env names the environment variable that holds the key"]);
    for (name, value) in [("SHOP_UNSET", None), ("SHOP_EMPTY", Some(""))] {
        let mut command = stage.command("orders.sql");
        command.args(["--api-key-env", name]).envs(value.map(|value| (name, value)));
        ran(&mut command).ends(2, &[&format!("--api-key-env {name}: "), "usage: "]);
    }
}

#[test]
fn files_that_are_missing_are_named_before_anything_is_done() {
    let stage = Stage::new("files", Config::default());
    ran(&mut stage.command("none.sql")).ends(1, &["none.sql: "]);
    stage.run(&["--table", "orders", "--rows", "none.ndjson"]).ends(1, &["none.ndjson: "]);
    assert_eq!(stage.server.with(|manager| manager.requests().len()), 0);
}

#[test]
fn feldera_session_exits_with_2_and_a_reason_if_its_usage_is_wrong() {
    let stage = Stage::new("usage", Config::default());
    for (more, problem) in [
        (&["--table", "orders"][..], "--table needs --rows"),
        (&["--rows", "rows.ndjson"], "--rows needs --table"),
        (&["--resend"], "--resend is for rows"),
        (&["--verbose"], "--verbose"),
        (&["more"], "more"),
    ] {
        stage.run(more).ends(2, &[problem, "usage: feldera_session"]);
    }
    ran(&mut example("feldera_session")).ends(2, &["--url is missing"]);
}

/// More than the buffer takes: the rest of the file waits.
#[test]
fn a_file_may_be_larger_than_the_buffer() {
    let stage = Stage::new("large", Config::default());
    let item = "bolt ".repeat(20_000);
    let rows: Vec<_> = (0..180).map(|id| format!("{{\"id\":{id},\"item\":\"{item}\"}}")).collect();
    stage.write("rows.ndjson", &rows.join("\n"));
    stage.run(&FEED).ends(0, &["180 rows are in and processed"]);
    let taken = stage.taken();
    let starts = (0..180).map(|id| format!("{{\"id\":{id},"));
    assert!(taken.len() == 180 && starts.zip(&taken).all(|(start, row)| row.starts_with(&start)));
}
