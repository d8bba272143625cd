//! The example `snowpipe_ingest`, run against the served simulator.

#[path = "../example/mod.rs"]
mod example;
mod keys;
mod kills;
mod program;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::time::Duration;

use pipewright_mock::serve::{Options, Server};
use pipewright_mock::snowpipe::{Account, ChannelPath, ChannelView, Config};

use self::program::{Folder, SECRET, Said, ingest, run, run_with_input};

/// One whose commits take no seconds.
fn config() -> Config {
    Config { commit_delay: Duration::from_millis(20)..=Duration::from_millis(60), ..Config::default() }
}

fn serve(config: Config) -> Server<Account> {
    Server::start(Options::snowpipe(config)).expect("a port")
}

fn path() -> ChannelPath {
    ChannelPath::new("DB", "PUBLIC", "ORDERS-STREAMING", "c")
}

fn view(server: &Server<Account>) -> Option<ChannelView> {
    server.with(|account| account.channel_view(&path()))
}

/// The rows in the table.
fn rows(server: &Server<Account>) -> Vec<String> {
    let rows = view(server).expect("the channel").rows;
    rows.iter().map(|row| String::from_utf8_lossy(row).into_owned()).collect()
}

fn row(number: u64) -> String {
    format!(r#"{{"ID":{number},"NAME":"order {number}"}}"#)
}

fn lines(numbers: std::ops::RangeInclusive<u64>) -> String {
    numbers.map(|number| row(number) + "\n").collect()
}

#[test]
fn a_file_goes_in_once_however_often_it_is_given() {
    let (server, folder) = (serve(config()), Folder::new("file"));
    let file = folder.file("rows.ndjson", &lines(1..=1000));
    let said = run(ingest(server.url()).args(["--batch-rows", "300"]).arg(&file));
    said.ended(0, "committed up to line 1000: 1000 rows");
    assert_eq!(rows(&server), lines(1..=1000).lines().collect::<Vec<_>>());

    run(ingest(server.url()).arg(&file)).ended(0, "continuing after line 1000");
    assert_eq!(rows(&server).len(), 1000);

    // Lines at the end, blank lines, and a last line without an end.
    let more = format!("{}\n  \n{}", lines(1..=1500), row(1501));
    let file = folder.file("rows.ndjson", &more);
    run(ingest(server.url()).arg(&file)).ended(0, "committed up to line 1503: 501 rows");
    assert_eq!(rows(&server), lines(1..=1501).lines().collect::<Vec<_>>());

    // Another input.
    let file = folder.file("rows.ndjson", &lines(1..=3));
    run(ingest(server.url()).arg(&file)).ended(1, "ends with line 3, and line 1503 is committed already");
    assert_eq!(rows(&server).len(), 1501);
}

/// Line 2 of one file says nothing about line 2 of another file, nor row 2 about row 2.
#[test]
fn the_tokens_of_another_input_are_not_taken_for_its_own() {
    let other = |numbers| lines(numbers).replace("order", "another order");
    for (rule, problem) in [
        (
            &[][..],
            "line 2 of the standard input: this line is committed already, and it or an earlier line was different then",
        ),
        (
            &["--offset-field", "ID"][..],
            "the field \"ID\" is 2, which is committed already, and that row was different",
        ),
    ] {
        let (server, folder) = (serve(config()), Folder::new("other-input"));
        let load = |input: &str| run_with_input(ingest(server.url()).args(rule), input);
        load(&lines(1..=2)).ended(0, "2 rows in");
        load(&other(1..=2)).ended(1, problem);
        load(&other(1..=4)).ended(1, problem);
        // With a state, too.
        let state = folder.0.join("state.json");
        let load = |input: &str| run_with_input(ingest(server.url()).args(rule).arg("--state").arg(&state), input);
        load(&other(1..=4)).ended(1, problem);
        load(&lines(1..=3)).ended(0, "1 row in");
        load(&other(1..=4)).ended(1, "was different");
        assert_eq!(rows(&server), lines(1..=3).lines().collect::<Vec<_>>());
    }
    let server = serve(config());
    let load = |input: &str| run_with_input(&mut ingest(server.url()), input);
    load(&lines(1..=3)).ended(0, "3 rows in");
    let changed = lines(1..=4).replacen("order 1", "order one", 1);
    load(&changed).ended(1, "line 3 of the standard input: this line is committed already");
    load(&format!("{}\n\n{}", lines(1..=1), lines(2..=4))).ended(1, "line 3 of the standard input");
}

/// Of another loader, which has no fingerprints.
#[test]
fn a_channel_that_has_only_positions_goes_on() {
    let server = serve(config());
    server.with(|account| account.steal(&path(), &[("2", &row(2))]));
    program::until("the row is committed", || view(&server).is_some_and(|view| view.rows.len() == 1));
    let mut command = ingest(server.url());
    run_with_input(command.args(["--offset-field", "ID"]), &lines(1..=4)).ended(0, "continuing after 2");
    assert_eq!(rows(&server), lines(2..=4).lines().collect::<Vec<_>>());
}

#[test]
fn a_field_tells_rows_apart_wherever_the_input_begins() {
    let server = serve(config());
    let load = |field: &str, input: &str| run_with_input(ingest(server.url()).args(["--offset-field", field]), input);
    load("ID", &lines(8..=12)).ended(0, "committed up to 12: 5 rows");
    load("ID", &lines(10..=15)).ended(0, "continuing after 12");
    assert_eq!(rows(&server), lines(8..=15).lines().collect::<Vec<_>>(), "10 is not before 9");

    for (field, input, problem) in [
        (
            "ID",
            lines(20..=21) + &lines(21..=21),
            "line 3 of the standard input: the field \"ID\" is 21, behind 21 in line 2",
        ),
        (
            "ID",
            "{\"ID\":22}\n{\"ID\":\"23\"}\n".to_owned(),
            "line 2 of the standard input: the offset is \"23\", behind 22",
        ),
        ("ID", "{\"ID\":23.5}".to_owned(), "the field \"ID\" is 23.5: an offset is a whole number"),
        ("ID", "{\"ID\":null}".to_owned(), "the field \"ID\" is null"),
        ("ID", "{\"id\":24}".to_owned(), "there is no field \"ID\""),
        ("ID", "{\"ID\":\"line 24\"}".to_owned(), "the field \"ID\" is \"line 24\": an offset is"),
        ("ID", "{\"ID\" 1}".to_owned(), "line 1 of the standard input: no row: expected `:` at byte 7"),
    ] {
        load(field, &input).ended(1, problem);
    }
    // The good rows before the bad rows.
    assert_eq!(rows(&server).len(), 8 + 2 + 1);
}

#[test]
fn an_offset_that_no_request_can_hold_is_named_and_what_came_before_is_loaded() {
    let server = serve(config());
    let input = format!("{{\"NAME\":\"order 1\"}}\n{{\"NAME\":\"order {}\"}}\n", "x".repeat(1100));
    let problem = "line 2 of the standard input: the field \"NAME\" has 1106 bytes: an offset has up to 990";
    run_with_input(ingest(server.url()).args(["--offset-field", "NAME"]), &input).ended(1, problem);
    assert_eq!(rows(&server).len(), 1);
    // The longest one fits.
    let longest = format!("{{\"NAME\":\"p{}\"}}\n", "x".repeat(989));
    run_with_input(ingest(server.url()).args(["--offset-field", "NAME"]), &longest).ended(0, "1 row in");
}

#[test]
fn an_input_that_ends_before_the_committed_offset_is_an_error() {
    let server = serve(config());
    let load = |input: &str| run_with_input(ingest(server.url()).args(["--offset-field", "ID"]), input);
    load(&lines(90..=100)).ended(0, "11 rows in");
    load(&lines(1..=90)).ended(1, "the input ends with the field \"ID\" at 90, and 100 is committed already");
    load(&lines(95..=100)).ended(0, "continuing after 100");
    load("").ended(0, "continuing after 100");
    load(&lines(101..=102)).ended(0, "2 rows in");
    assert_eq!(rows(&server), lines(90..=102).lines().collect::<Vec<_>>());
}

/// Also of the last row: a token stands for the rows before it, too.
#[test]
fn two_inputs_with_equal_last_rows_have_no_token_in_common() {
    let tokens = |input: &str| {
        let server = serve(config());
        run_with_input(ingest(server.url()).args(["--offset-field", "ID"]), input).ended(0, "5 rows in");
        view(&server).and_then(|view| view.committed).expect("a token")
    };
    let ours = tokens(&lines(1..=5));
    assert_eq!(ours, tokens(&lines(1..=5)));
    assert_ne!(ours, tokens(&lines(1..=5).replacen("order 2", "another order 2", 1)));
}

/// Nothing is taken for committed by a number that another rule has made.
#[test]
fn a_channel_goes_on_by_the_rule_it_was_loaded_by() {
    let (by_line, by_id, by_name) = (&[][..], &["--offset-field", "ID"][..], &["--offset-field", "NAME"][..]);
    for (first, then, problem) in [
        (by_id, by_line, "the channel is committed up to \"2\", which is no line"),
        (by_line, by_id, "the channel is committed up to line 2: it was loaded without --offset-field"),
        (by_line, by_name, "the channel is committed up to line 2: it was loaded without --offset-field"),
        (
            by_name,
            by_id,
            "the field \"ID\" is 1, and the channel is committed up to \"order 2\", which is no whole number",
        ),
        (
            by_id,
            by_name,
            "the field \"NAME\" is \"order 1\", and the channel is committed up to \"2\", which is a whole number",
        ),
    ] {
        let server = serve(config());
        let load = |rule: &[&str], input: &str| run_with_input(ingest(server.url()).args(rule), input);
        load(first, &lines(1..=2)).ended(0, "2 rows in");
        load(then, &lines(1..=4)).ended(1, problem);
        assert_eq!(rows(&server).len(), 2);
        load(first, &lines(1..=4)).ended(0, "2 rows in");
        assert_eq!(rows(&server), lines(1..=4).lines().collect::<Vec<_>>());
    }
    let server = serve(config());
    let texts = lines(25..=25) + &lines(125..=125);
    run_with_input(ingest(server.url()).args(by_name), &texts).ended(1, "texts are compared byte by byte");
    assert_eq!(rows(&server).len(), 1);
}

#[test]
fn rows_are_sent_while_the_input_is_still_open() {
    let server = serve(config());
    let mut running = program::start(&mut ingest(server.url()));
    let mut input = running.0.stdin.take().expect("piped");
    for number in 1..=2 {
        writeln!(input, "{}", row(number)).expect("it reads");
        program::until("the row is committed", || view(&server).is_some_and(|view| view.rows.len() as u64 == number));
    }
    drop(input);
    running.wait().ended(0, "committed up to line 2");
}

#[test]
fn a_line_that_is_no_row_ends_it_behind_what_was_good() {
    let (server, folder) = (serve(config()), Folder::new("bad-lines"));
    let noise = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+/".as_bytes();
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(noise[(state >> 58) as usize])
    };
    let large: String = (0..6_000_000).map(|_| next()).collect();
    for (number, (bad, problem)) in [
        ("{\"ID\":1", "malformed JSON: it ends before byte 8"),
        ("[1]", "it is a list, and a row is a JSON object"),
        (&*format!("{{\"ID\":\"{large}\"}}"), "it has 6000010 bytes"),
        (&*format!("{{\"ID\":\"{}\"}}", "x".repeat(17 * 1024 * 1024)), "it has more than 16777216 bytes"),
    ]
    .into_iter()
    .enumerate()
    {
        let good = number as u64 * 2 + 2;
        let file = folder.file("rows.ndjson", &format!("{}{bad}\n{}", lines(1..=good), row(good + 1)));
        let said = run(ingest(server.url()).arg(&file));
        said.ended(1, problem);
        assert!(said.err.len() < 1000, "{}", said.err.len());
        assert!(said.err.contains(&format!("All before it is committed, up to line {good}.")), "{}", said.err);
        assert_eq!(rows(&server), lines(1..=good).lines().collect::<Vec<_>>());
    }
    run_with_input(ingest(server.url()).args(["--channel", "new"]), "[1]").ended(1, "Nothing is committed.");
}

/// Also in a second run, which passes over what is committed; by lines and by a field.
#[test]
fn a_byte_order_mark_before_the_first_row_is_skipped() {
    let (server, folder) = (serve(config()), Folder::new("byte-order-mark"));
    let marked = folder.file("rows.ndjson", &format!("\u{feff}{}", lines(1..=3)));
    run(ingest(server.url()).arg(&marked)).ended(0, "");
    run(ingest(server.url()).arg(&marked)).ended(0, "");
    assert_eq!(rows(&server), lines(1..=3).lines().collect::<Vec<_>>());

    let by_field = ["--channel", "by-field", "--offset-field", "ID"];
    run(ingest(server.url()).args(by_field).arg(&marked)).ended(0, "");
    run(ingest(server.url()).args(by_field).arg(&marked)).ended(0, "");
    // In any other place it is a mistake, which is named.
    let twice = folder.file("twice.ndjson", &format!("{}\u{feff}{}", row(1) + "\n", row(2)));
    run(ingest(server.url()).args(["--channel", "twice"]).arg(&twice)).ended(1, "line 2 of");
}

#[test]
fn rejected_rows_are_told_and_not_a_success() {
    let server = serve(Config { number_columns: vec!["ID".into()], ..config() });
    let input = format!("{}\n{{\"ID\":\"two\"}}\n{}\n", row(1), row(3));
    let said = run_with_input(&mut ingest(server.url()), &input);
    said.ended(3, "1 row was rejected at or before the offset token \"line 3\": Numeric value 'two' is not recognized");
    assert!(said.out.contains("3 rows in ") && said.out.ends_with("; 1 row rejected in this run\n"), "{}", said.out);
    assert_eq!(rows(&server).len(), 2);
    let again = run_with_input(&mut ingest(server.url()), &input);
    again.ended(0, "1 row was rejected since the channel was made, before this run");
}

#[test]
fn rows_that_were_rejected_before_a_kill_are_no_success_either() {
    let server = serve(Config { number_columns: vec!["ID".into()], ..config() });
    let folder = Folder::new("rejected");
    let mut command = ingest(server.url());
    command.arg("--state").arg(folder.0.join("state.json"));
    let mut running = program::start(&mut command);
    let mut input = running.0.stdin.take().expect("piped");
    let first = format!("{}\n{{\"ID\":\"two\"}}\n", row(1));
    input.write_all(first.as_bytes()).expect("it reads");
    // It knows of them, and has kept the place behind them.
    let mut said = BufReader::new(running.0.stderr.take().expect("piped")).lines().map_while(Result::ok);
    assert!(said.any(|line| line.contains("1 row was rejected at or before")));
    writeln!(input, "{}", row(3)).expect("it reads");
    program::until("the third is committed", || view(&server).is_some_and(|view| view.rows.len() == 2));
    drop(running);

    let input = format!("{first}{}\n{}\n", row(3), row(4));
    for _ in 0..2 {
        let said = run_with_input(&mut command, &input);
        said.ended(3, "1 row rejected since the load began");
        assert!(!said.err.contains("was rejected"), "nothing is told twice: {said:?}");
    }
    assert_eq!(rows(&server).len(), 3);
}

#[test]
fn whoever_is_not_wanted_is_told_and_no_secret_is() {
    let server = serve(Config { credential: Some("another".into()), ..config() });
    run_with_input(&mut ingest(server.url()), &row(1)).ended(1, "401");
    assert_eq!(view(&server), None);

    let missing = run(ingest(server.url()).env_remove("SNOW_TOKEN"));
    missing.ended(2, "--token-env SNOW_TOKEN: this environment variable does not exist; export it");
    let secret = run(ingest(server.url()).env("SNOW_TOKEN", format!("{SECRET}\n")));
    secret.ended(1, "remove a line break at its end");
}

#[test]
fn what_is_not_there_is_named() {
    let folder = Folder::new("not-there");
    let url = {
        let server = serve(config());
        let absent = folder.0.join("absent.ndjson");
        run(ingest(server.url()).arg(absent)).ended(1, "absent.ndjson: No such file");
        run(ingest(server.url()).arg(&folder.0)).ended(1, "Is a directory");
        let pipe = run(program::bare(server.url()).args(["--pipe", "NOPE", "--channel", "c"]));
        pipe.ended(1, "ERR_PIPE_DOES_NOT_EXIST_OR_NOT_AUTHORIZED");
        server.url().to_owned()
    };
    // No server listens there any more.
    let said = run(ingest(&url).args(["--retry-timeout", "1"]));
    said.ended(1, url.strip_prefix("http://").expect("plain"));
}

#[test]
fn snowpipe_ingest_exits_with_2_and_a_reason_if_its_usage_is_wrong() {
    for (arguments, problem) in [
        (&["--pipe", "P"][..], "--pipe and --table: give one of them"),
        (&["--private-key", "k"], "--private-key and --token-env: give one of them"),
        (&["--user", "u"], "--user and --passphrase-env belong to --private-key; "),
        (&["--url", "127.0.0.1"], "not an absolute URL"),
        (&["--batch-rows", "0"], "--batch-rows"),
        (&["--frequency", "1"], "--frequency"),
        (&["a", "b"], "\"b\""),
    ] {
        let said = run(ingest("http://127.0.0.1:1").args(arguments));
        said.ended(2, problem);
        assert!(said.err.contains("usage: snowpipe_ingest "), "{}", said.err);
    }
    let nowhere = run(&mut program::bare("http://127.0.0.1:1"));
    nowhere.ended(2, "--channel is missing");
    run(ingest("http://127.0.0.1:1").arg("--help")).ended(0, "usage: snowpipe_ingest ");
    run(&mut ingest("http://snow.example")).ended(1, "http");
}

#[test]
fn a_second_writer_ends_it() {
    let server = serve(config());
    let mut running = program::start(&mut ingest(server.url()));
    let mut input = running.0.stdin.take().expect("piped");
    writeln!(input, "{}", row(1)).expect("it reads");
    program::until("the row is committed", || view(&server).is_some_and(|view| view.rows.len() == 1));
    server.with(|account| account.steal(&path(), &[("theirs", r#"{"ID":0}"#)]));
    writeln!(input, "{}", row(2)).expect("it reads");
    let said = running.wait();
    assert!(
        said.err.contains("\"theirs\" was not sent by this writer") && said.err.contains("its own channel"),
        "{said:?}"
    );
    assert!(matches!(said.code, Some(1 | 4)), "{said:?}");
}

#[test]
fn a_kept_state_notices_another_channel_and_a_replaced_table() {
    let (server, folder) = (serve(config()), Folder::new("state"));
    let state = folder.0.join("state.json");
    // Another client's token.
    let other = folder.file("state.new", "mine");
    let load = |channel: &str, upto: u64| {
        let mut command = program::bare(server.url());
        command.args(["--table", "ORDERS", "--channel", channel, "--state"]).arg(&state);
        run_with_input(&mut command, &lines(1..=upto))
    };
    load("c", 2).ended(0, "committed up to line 2");
    load("c", 4).ended(0, "continuing after line 2");
    assert_eq!(fs::read_to_string(other).expect("untouched"), "mine");
    assert_eq!(fs::read_dir(&folder.0).expect("readable").count(), 2, "nothing else is left behind");
    server.with(|account| account.replace_table(&path()));
    load("c", 4).ended(1, "its table was replaced");
    assert_eq!(rows(&server).len(), 4);
}

#[test]
fn a_state_that_is_none_is_named_before_anything_is_asked() {
    let (server, folder) = (serve(config()), Folder::new("no-state"));
    let load = |state: &Path| run_with_input(ingest(server.url()).arg("--state").arg(state), &row(1));
    let state = folder.0.join("state.json");
    load(&state).ended(0, "committed up to line 1");
    let asked = server.with(|account| account.requests().len());

    let kept = fs::read_to_string(&state).expect("kept");
    let theirs = kept.replace("STREAMING.c", "STREAMING.d");
    let their_channel =
        "that is the state of the channel DB.PUBLIC.ORDERS-STREAMING.d, and not of DB.PUBLIC.ORDERS-STREAMING.c";
    for (text, problem) in [
        (&*theirs, their_channel),
        (r#"{"flow":"UpgradeJob","state":"{}"}"#, "this is no state of a load"),
        ("", "this is no state of a load"),
    ] {
        let said = load(&folder.file("other.json", text));
        said.ended(1, problem);
        assert!(said.err.contains("--state ") && said.err.contains("other.json: "), "{said:?}");
    }
    load(&folder.0).ended(1, "Is a directory");
    load(&folder.0.join("absent/state.json")).ended(1, "absent/state.json: No such file");
    assert_eq!(server.with(|account| account.requests().len()), asked);
}

#[test]
fn a_state_that_cannot_be_kept_leaves_what_was_sent_unconfirmed() {
    let server =
        serve(Config { commit_delay: Duration::from_secs(600)..=Duration::from_secs(600), ..Config::default() });
    let folder = Folder::new("lost-state");
    let mut running = program::start(ingest(server.url()).arg("--state").arg(folder.0.join("state.json")));
    let mut input = running.0.stdin.take().expect("piped");
    writeln!(input, "{}", row(1)).expect("it reads");
    program::until("the row is sent", || view(&server).is_some_and(|view| view.buffered == 1));
    fs::remove_dir_all(&folder.0).expect("removed");
    writeln!(input, "{}", row(2)).expect("it reads");
    running.wait().ended(4, "state.json: No such file");
}

/// Neither who shows the progress nor who reads the result has to stay.
#[test]
fn it_goes_on_when_nobody_listens() {
    let server = serve(config());
    let mut running = program::start(&mut ingest(server.url()));
    drop((running.0.stdout.take(), running.0.stderr.take()));
    let mut input = running.0.stdin.take().expect("piped");
    input.write_all(lines(1..=3).as_bytes()).expect("it reads");
    drop(input);
    running.wait().ended(0, "");
    assert_eq!(rows(&server).len(), 3);
}

/// Nothing that a run says may hold a secret: every run is looked at.
impl Said {
    fn ended(&self, code: i32, text: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.out.contains(text) || self.err.contains(text), "{text}: {self:?}");
    }
}
