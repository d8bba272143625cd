//! A log over several connections on a server that numbers lines: each line once, in order, and lost lines counted.

use std::borrow::Cow;

use pipewright::decode::{Decoder as _, End};
use pipewright::error::{BuildError, FlowError};
use pipewright::feldera::Feldera;
use pipewright::feldera::stream::{GetLogs, LogCursor, LogHistory, LogResume};
use pipewright::operation::{Operation as _, RequestContext};
use pipewright_mock::Script;
use proptest::prelude::*;
use proptest::sample::Index;

/// The buffer of a runner, as the description of 0.375 has it.
#[derive(Debug, Default)]
struct Runner {
    epoch: u32,
    /// Every line of the epoch.
    lines: Vec<Vec<u8>>,
    /// How many of them it has discarded.
    discarded: usize,
}

impl Runner {
    fn restart(&mut self) {
        *self = Self { epoch: self.epoch + 1, ..Self::default() };
    }

    /// Answers a request, as far as the head and the lines that there are.
    fn answer(&self, logs: &GetLogs) -> http::Response<bytes::Bytes> {
        let base = "http://feldera.test".parse().expect("an address");
        let request = logs.request(RequestContext::new(&base)).expect("a request");
        let query = request.uri().query().expect("a query").replace("%3A", ":");
        let cursor = query.strip_prefix("cursor=").expect("a cursor");
        let asked = match cursor.split_once(':') {
            Some((epoch, sequence)) if epoch == format!("e{}", self.epoch) => sequence.parse().expect("a number"),
            _ => 0,
        };
        let before = self.discarded.max(asked);
        let body: Vec<u8> = self.lines[before..].iter().flat_map(|line| [&line[..], b"\n"].concat()).collect();
        http::Response::builder()
            .header("feldera-logs-epoch", format!("e{}", self.epoch))
            .header("feldera-logs-seq", before)
            .header("feldera-logs-gap", before - asked)
            .body(body.into())
            .expect("a response")
    }
}

#[derive(Debug, Clone)]
struct Connection {
    restarts: bool,
    new: Vec<Vec<u8>>,
    discards: Index,
    /// Where the body is cut off.
    cut: Index,
    piece: usize,
    end: End,
    /// Whether the program is restarted behind it, with the text of its cursor alone.
    saved: bool,
}

fn connection() -> impl Strategy<Value = Connection> {
    // Empty and equal lines, line ends of other systems in the middle, and what is no UTF-8.
    let line = prop::collection::vec(prop::sample::select(vec![b'a', b'b', b'\r', 0xff, 0x0b]), 0..4)
        .prop_filter("`\\r\\n` is one line end", |line| line.last() != Some(&b'\r'));
    let lines = prop::collection::vec(line, 0..6);
    let end = prop::sample::select(vec![End::Complete, End::Truncated]);
    (prop::bool::weighted(0.2), lines, any::<Index>(), any::<Index>(), 1_usize..5, end, any::<bool>()).prop_map(
        |(restarts, new, discards, cut, piece, end, saved)| Connection {
            restarts,
            new,
            discards,
            cut,
            piece,
            end,
            saved,
        },
    )
}

/// Reads lines of a connection; returns how many.
fn read(history: &mut LogHistory, logs: &mut pipewright::feldera::stream::Logs, expected: &[Vec<u8>]) -> usize {
    let mut count = 0;
    while logs.advance().expect("a line") {
        for line in history.accept(logs.item()) {
            assert_eq!(line, Cow::Borrowed(&expected[count][..]));
            count += 1;
        }
    }
    count
}

proptest! {
    /// The body ends at any byte, lines are discarded, the runner and the program are restarted.
    #[test]
    fn each_line_comes_once_and_lost_ones_are_counted(mut connections in prop::collection::vec(connection(), 1..8)) {
        // The last one reads all that there is.
        if let Some(last) = connections.last().cloned() {
            connections.push(Connection { restarts: false, ..last });
        }
        let (mut runner, mut history, mut known) = (Runner::default(), LogHistory::new(), None);
        let mut next = 0;
        let count = connections.len();
        for (number, connection) in connections.into_iter().enumerate() {
            if connection.restarts {
                runner.restart();
            }
            runner.lines.extend(connection.new);
            runner.discarded += connection.discards.index(runner.lines.len() + 1 - runner.discarded);
            let logs = GetLogs::new("p").cursor(history.cursor());
            let answer = runner.answer(&logs);
            let body = answer.body().clone();
            let mut logs = logs.parse(answer).expect("logs");
            let resume = history.connected(logs.position());
            let lost = |from: usize| runner.discarded.saturating_sub(from) as u64;
            let expected = match known {
                None => LogResume::First { lost: lost(0) },
                Some(epoch) if epoch != runner.epoch => LogResume::NewEpoch { lost: lost(0) },
                Some(_) if lost(next) > 0 => LogResume::Gap { lost: lost(next) },
                Some(_) => LogResume::Exact,
            };
            prop_assert_eq!(resume, expected);
            let may_miss = !matches!(expected, LogResume::First { .. } | LogResume::Exact);
            prop_assert_eq!(history.may_miss(), may_miss);
            if known != Some(runner.epoch) {
                next = 0;
            }
            (next, known) = (next.max(runner.discarded), Some(runner.epoch));
            let end = if number + 1 == count { body.len() } else { connection.cut.index(body.len() + 1) };
            let whole = memchr::memchr_iter(b'\n', &body[..end]).count();
            let due = &runner.lines[next..next + whole];
            let mut read_now = 0;
            for piece in body[..end].chunks(connection.piece) {
                logs.feed(piece);
                read_now += read(&mut history, &mut logs, &due[read_now..]);
            }
            prop_assert_eq!(logs.finish(connection.end), Ok(()));
            read_now += read(&mut history, &mut logs, &due[read_now..]);
            prop_assert_eq!(read_now, whole);
            next += read_now;
            prop_assert_eq!(history.cursor().sequence(), next as u64);
            if connection.saved {
                let saved = serde_json::to_string(&history.cursor()).expect("it is written");
                history = LogHistory::from(serde_json::from_str::<LogCursor>(&saved).expect("it is read"));
            }
        }
        prop_assert_eq!(next, runner.lines.len());
    }
}

/// Lines of one connection.
fn connect(history: &mut LogHistory, position: Option<(&str, u64, u64)>, lines: &[&str]) -> (LogResume, Vec<String>) {
    let mut response = http::Response::builder();
    if let Some((epoch, sequence, gap)) = position {
        response = response.header("feldera-logs-epoch", epoch);
        response = response.header("feldera-logs-seq", sequence).header("feldera-logs-gap", gap);
    }
    let logs = GetLogs::new("p").parse(response.body("".into()).expect("a response")).expect("logs");
    let resume = history.connected(logs.position());
    let new = lines.iter().flat_map(|line| history.accept(line.as_bytes()));
    (resume, new.map(|line| String::from_utf8_lossy(&line).into_owned()).collect())
}

#[test]
fn a_server_that_sends_older_lines_again_is_not_read_twice() {
    let mut history = LogHistory::from("e:2".parse::<LogCursor>().expect("a cursor"));
    let (resume, new) = connect(&mut history, Some(("e", 0, 0)), &["1", "2", "3"]);
    assert!(matches!(resume, LogResume::Overlap { repeated: 2, .. }), "{resume:?}");
    assert_eq!((&new[..], history.may_miss()), (&["3".to_owned()][..], true));
    assert_eq!(history.cursor().to_string(), "e:3");
}

#[test]
fn a_server_is_replaced_by_one_that_numbers_lines_and_back() {
    let mut history = LogHistory::new();
    let (resume, new) = connect(&mut history, None, &["a", "b"]);
    assert_eq!((resume, new.len(), history.cursor()), (LogResume::Compared, 2, LogCursor::start()));
    // The first request had no cursor, and the buffer is the same: what was read is left out.
    let (resume, new) = connect(&mut history, Some(("e", 4, 0)), &["a", "b", "c"]);
    assert_eq!((resume, &new[..]), (LogResume::Compared, &["c".to_owned()][..]));
    assert!(!history.may_miss());
    assert_eq!(history.cursor().to_string(), "e:7");
    let (resume, new) = connect(&mut history, Some(("e", 7, 0)), &["d"]);
    assert_eq!((resume, new.len()), (LogResume::Exact, 1));
    let (resume, new) = connect(&mut history, None, &["x"]);
    assert_eq!((resume, new.len(), history.may_miss()), (LogResume::Repeated, 1, true));
    assert_eq!(history.cursor(), LogCursor::start());
    // Again the lines are compared.
    let (resume, new) = connect(&mut history, None, &["x", "y"]);
    assert_eq!((resume, new.len(), history.may_miss()), (LogResume::Compared, 1, false));
    // A saved cursor, and a server that ignores it.
    let mut history = LogHistory::from("e:2".parse::<LogCursor>().expect("a cursor"));
    let (resume, new) = connect(&mut history, None, &["1", "2", "3"]);
    assert_eq!((resume, new.len(), history.may_miss()), (LogResume::Repeated, 3, true));
}

/// Until it is clear which lines are repeated, the position is not known.
#[test]
fn lines_that_are_held_back_are_not_behind_the_cursor() {
    let mut history = LogHistory::new();
    connect(&mut history, None, &["a", "b", "c"]);
    let (_, new) = connect(&mut history, Some(("e", 0, 0)), &["a", "b"]);
    assert_eq!((new.len(), history.cursor()), (0, LogCursor::start()));
    let (resume, new) = connect(&mut history, Some(("e", 0, 0)), &["a", "b", "c", "d"]);
    assert_eq!((resume, &new[..]), (LogResume::Compared, &["d".to_owned()][..]));
    assert_eq!(history.cursor().to_string(), "e:4");
}

#[test]
fn follow_false_and_a_cursor_are_not_sent_together() {
    let base = "http://feldera.test".parse().expect("an address");
    let logs = GetLogs::new("p").follow(false).cursor(LogCursor::start());
    let error = logs.request(RequestContext::new(&base)).expect_err("the server would reject it");
    assert!(matches!(error, BuildError::Value { parameter: "cursor", .. }), "{error}");
    let logs = GetLogs::new("p").follow(false);
    let request = logs.request(RequestContext::new(&base)).expect("a request");
    assert_eq!(request.uri().query(), Some("follow=false"));
}

/// 503: the runner did not answer.
#[test]
fn a_position_that_cannot_be_resolved_is_asked_for_again() {
    let body =
        r#"{"message":"Unable to reach","error_code":"RunnerInteractionUnreachable","details":{"error":"timeout"}}"#;
    let script = Script::new()
        .expect("GET", "/v0/pipelines/p/logs?cursor=e%3A3")
        .reply_json(503, body)
        .expect("GET", "/v0/pipelines/p/logs?cursor=e%3A3")
        .reply_json(400, r#"{"message":"Malformed cursor","error_code":"InvalidLogsCursor","details":{}}"#);
    let client = Feldera::new("http://feldera.test".parse().expect("an address"), script.clone());
    let cursor: LogCursor = "e:3".parse().expect("a cursor");
    let error = client.open(GetLogs::new("p").cursor(cursor)).expect_err("malformed, says the server");
    assert!(matches!(&error, FlowError::Service(error) if error.status() == 400), "{error}");
    script.finish();
}
