//! [`LogHistory`]: reads a log over several connections, each line once.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::{LogCursor, LogPosition};

/// The maximum number of lines that a server keeps.
const KEPT: usize = 50_000;

/// A history of the lines that were read from a log, so that the next connection repeats no line.
///
/// ```text
///  open GetLogs with cursor() ──▶ connected(position) ──▶ accept(line) for each line
///            ▲                                                   │
///            └──────────────── the connection ends ◀─────────────┘
/// ```
///
/// | server | how the history resumes | information about lost lines |
/// |---|---|---|
/// | the response has a [position](LogPosition), as on 0.375 | at the [cursor](Self::cursor) | their number: see [`LogResume`] |
/// | up to 0.337 | each connection begins with all kept lines; the history leaves out repeated lines | whether lines may be lost: [`may_miss`](Self::may_miss) |
///
/// **If the response has a position**, each line has a number. The history compares and holds back no lines. Save the
/// cursor to resume after a restart of the program.
///
/// **If the response has no position**, the history compares lines with the last 50,000 lines that were read: a server
/// keeps no more. It stores a hash of each line, which takes 400 kB.
///
/// * While new lines match old lines, they are held back until it is clear whether they are repeated. These are at most
///   the lines that a server keeps, 1 MB. Call [`release`](Self::release) if no more lines follow.
/// * If the server has discarded the last lines that were read, the history leaves out no line.
/// * If a connection ended in the middle of a line, the whole line follows on the next connection.
/// * Nearly all lines contain a time. If lines without a time are equal, the log can continue in several ways. The
///   history assumes the way that repeats the fewest lines. It does not detect a gap between two equal lines.
///
/// ```
/// # use pipewright::driver::Runtime;
/// use pipewright::feldera::Feldera;
/// use pipewright::feldera::stream::{GetLogs, LogCursor, LogHistory};
/// use std::time::Duration;
///
/// # fn example(feldera: &Feldera<impl Runtime>, saved: &str) -> Result<(), Box<dyn std::error::Error>> {
/// let mut history = LogHistory::from(saved.parse::<LogCursor>()?); // Or `LogHistory::new()`.
/// loop {
///     let mut stream = feldera.open(GetLogs::new("orders").cursor(history.cursor()))?;
///     println!("{:?}", history.connected(stream.decoder().position()));
///     loop {
///         match stream.next_item() {
///             Ok(Some(line)) => {
///                 for line in history.accept(line) {
///                     println!("{}", String::from_utf8_lossy(&line));
///                 }
///                 std::fs::write("orders.cursor", history.cursor().to_string())?;
///             }
///             Ok(None) => break,
///             Err(error) => {
///                 eprintln!("{error}");
///                 break;
///             }
///         }
///     }
///     std::thread::sleep(Duration::from_secs(1)); // A server may end each stream at once.
/// }
/// # }
/// ```
#[derive(Debug, Default)]
pub struct LogHistory {
    /// The epoch and the number of the last line; `None` if the server does not number lines.
    at: Option<(Box<str>, u64)>,
    /// The number of lines of this connection that were read before.
    repeated: u64,
    /// A hash of each line, oldest first. Used only if the server does not number lines.
    seen: VecDeque<u64>,
    /// The last line, which may be incomplete.
    last: Vec<u8>,
    matching: Option<Matching>,
    may_miss: bool,
}

/// How a connection continues the previous connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogResume {
    /// This is the first connection: no line was read before.
    First {
        /// The number of lines that the server has discarded before the first line, as far as the server counts them.
        lost: u64,
    },
    /// The connection continues directly after the last line that was read.
    Exact,
    /// The response begins before the position of the history. The history leaves out the lines up to this position.
    ///
    /// If the request had no cursor, these lines were read before. If it had the [cursor](LogHistory::cursor), the
    /// cursor is ahead of the server, for example because it was edited. Then new lines are left out: begin with
    /// [`LogHistory::new`].
    #[non_exhaustive]
    Overlap {
        /// The number of lines that are left out.
        repeated: u64,
    },
    /// The server has discarded lines after the last line that was read.
    Gap {
        /// The number of discarded lines.
        lost: u64,
    },
    /// The connection reads a new log: the runner was restarted, or the pipeline was deleted and created again. Unread
    /// lines of the previous log are lost. The new log is read from its beginning.
    NewEpoch {
        /// The number of lost lines, as far as the server counts them.
        lost: u64,
    },
    /// The server does not number lines, or did not on the previous connection. The history compares lines with the
    /// lines that were read. Call [`may_miss`](LogHistory::may_miss) to check for lost lines.
    Compared,
    /// The server numbered lines on the previous connection, and does not on this connection, for example after a
    /// downgrade. The history cannot recognize lines that were read by number: it gives all lines that the server has
    /// kept.
    Repeated,
}

/// The beginning of a connection, compared with the end of the history.
#[derive(Debug, Default)]
struct Matching {
    /// The possible places of the next line in the history, in ascending order. `None` before the first line: any
    /// place.
    places: Option<Vec<usize>>,
    /// Lines that are repeated if a place proves right, and new if all prove wrong.
    held: Vec<Vec<u8>>,
    /// Whether the end of the history was reached.
    reached: bool,
}

impl LogHistory {
    /// Creates a history without lines.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the position after the last accepted line. Pass it to [`GetLogs::cursor`](super::GetLogs::cursor), and
    /// save it. It is the beginning if no line was read, or if the server does not number lines.
    pub fn cursor(&self) -> LogCursor {
        match &self.at {
            Some((epoch, sequence)) if self.matching.is_none() => LogCursor::behind(epoch, *sequence),
            // The next connection sends the lines that are held back again, and they are compared again.
            _ => LogCursor::start(),
        }
    }

    /// Begins a connection at the position of its response. Discards the lines that were held back, because the server
    /// sends them again.
    pub fn connected(&mut self, position: Option<&LogPosition>) -> LogResume {
        let before = self.at.take().filter(|_| self.matching.is_none());
        (self.matching, self.repeated, self.may_miss) = (None, 0, false);
        let Some(LogPosition { epoch, sequence, gap }) = position else {
            // The server no longer numbers lines: the lines that were read by number cannot be recognized.
            let resume = self.compare_all();
            self.may_miss = before.is_some();
            return if self.may_miss { LogResume::Repeated } else { resume };
        };
        self.at = Some((epoch.as_str().into(), *sequence));
        match before {
            None if self.seen.is_empty() => LogResume::First { lost: *gap },
            None => self.compare_all(),
            Some((old, read)) if *old == **epoch => {
                self.seen.clear();
                if let Some(repeated) = read.checked_sub(*sequence).filter(|repeated| *repeated > 0) {
                    self.repeated = repeated;
                    self.at = Some((old, read));
                    self.may_miss = true;
                    return LogResume::Overlap { repeated };
                }
                let lost = sequence.saturating_sub(read).max(*gap);
                self.may_miss = lost > 0;
                if lost > 0 { LogResume::Gap { lost } } else { LogResume::Exact }
            }
            Some(_) => {
                self.seen.clear();
                self.may_miss = true;
                LogResume::NewEpoch { lost: *gap }
            }
        }
    }

    fn compare_all(&mut self) -> LogResume {
        self.matching = (!self.seen.is_empty()).then(Matching::default);
        LogResume::Compared
    }

    /// Returns whether lines may be missing between the last line of the previous connections and the first new line of
    /// this connection.
    pub fn may_miss(&self) -> bool {
        self.may_miss
    }

    /// Takes the next line of the current connection, and returns the new lines: no line, this line, or this line after
    /// lines that were held back.
    pub fn accept<'a>(&mut self, line: &'a [u8]) -> impl Iterator<Item = Cow<'a, [u8]>> + use<'a> {
        let is_new = self.repeated == 0 && self.compare(line);
        match &mut self.at {
            Some(_) if self.repeated > 0 => self.repeated -= 1,
            Some((_, sequence)) => *sequence = sequence.saturating_add(1),
            None => {}
        }
        let held = if is_new { self.release() } else { Vec::new() };
        if is_new {
            self.remember(line);
        }
        held.into_iter().map(Cow::Owned).chain(is_new.then_some(Cow::Borrowed(line)))
    }

    /// Returns the lines that are held back, as new lines. Call it if a connection has sent no line for a while, or if
    /// it has ended and you open no other connection.
    pub fn release(&mut self) -> Vec<Vec<u8>> {
        let Some(Matching { held, reached, .. }) = self.matching.take() else { return Vec::new() };
        self.may_miss = !reached;
        for line in &held {
            self.remember(line);
        }
        held
    }

    fn remember(&mut self, line: &[u8]) {
        if self.at.is_some() {
            return;
        }
        if self.seen.len() == KEPT {
            self.seen.pop_front();
        }
        self.seen.push_back(hash(line));
        self.last.clear();
        self.last.extend_from_slice(line);
    }

    /// Returns whether the line is new. If so, the lines that are held back are new, too.
    fn compare(&mut self, line: &[u8]) -> bool {
        let Some(matching) = &mut self.matching else { return true };
        let (end, hash) = (self.seen.len(), hash(line));
        let is_first = matching.places.is_none();
        let mut places = matching.places.take().unwrap_or_else(|| (0..end).collect());
        // An incomplete line is the end of the history only if the lines before it match, so a single line proves
        // nothing.
        let is_rest = places.last() == Some(&(end - 1)) && !is_first;
        let completes = is_rest && line.len() > self.last.len() && line.starts_with(&self.last);
        places.retain(|place| self.seen.get(*place) == Some(&hash));
        for place in &mut places {
            *place += 1;
        }
        let reaches = places.pop_if(|place| *place == end).is_some();
        if reaches || completes {
            matching.held.clear();
            matching.reached = true;
        }
        let is_decided = places.is_empty();
        if !reaches && !is_decided {
            matching.held.push(line.to_vec());
        }
        matching.places = Some(places);
        if reaches && is_decided {
            self.matching = None;
        }
        is_decided && !reaches
    }
}

/// Continues after a line that was read earlier, for example before the program was restarted. If the server does not
/// number lines, the history gives all lines that the server has kept: see [`LogResume::Repeated`].
impl From<LogCursor> for LogHistory {
    fn from(cursor: LogCursor) -> Self {
        let at = cursor.epoch().map(|epoch| (epoch.into(), cursor.sequence()));
        Self { at, ..Self::default() }
    }
}

fn hash(line: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    line.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of connections, one after the other; gives what is new in the last, and whether something may be missing.
    fn read(connections: &[&[&str]]) -> (Vec<String>, bool) {
        let mut history = LogHistory::new();
        let mut new = Vec::new();
        for connection in connections {
            history.connected(None);
            new.clear();
            for line in *connection {
                new.extend(history.accept(line.as_bytes()).map(|line| String::from_utf8_lossy(&line).into_owned()));
            }
        }
        (new, history.may_miss())
    }

    fn check(connections: &[&[&str]], new: &[&str], may_miss: bool) {
        assert_eq!(read(connections), (new.iter().map(ToString::to_string).collect(), may_miss), "{connections:?}");
    }

    #[test]
    fn what_was_seen_is_left_out() {
        check(&[&["a", "b", "c"]], &["a", "b", "c"], false);
        check(&[&["a", "b", "c"], &["a", "b", "c", "d"]], &["d"], false);
        // The server has forgotten some, and a connection brought nothing new.
        check(&[&["a", "b", "c"], &["b", "c"], &["c", "d"]], &["d"], false);
        check(&[&["a"], &[], &["a", "b"]], &["b"], false);
    }

    #[test]
    fn a_gap_is_told_and_nothing_left_out() {
        check(&[&["a", "b"], &["c", "d"]], &["c", "d"], true);
        // The first line of another log equals an earlier line.
        check(&[&["a", "b", "c"], &["b", "d"]], &["b", "d"], true);
        check(&[&["a", "b"], &["c"], &["c", "d"]], &["d"], false);
    }

    #[test]
    fn a_log_that_repeats_itself_is_continued_with_the_least_repetition() {
        check(&[&["x", "a", "x"], &["x", "a", "x", "b"]], &["b"], false);
        // After the first line the log could continue; the second shows that this line was the last that was seen.
        check(&[&["x", "a", "x"], &["x", "b"]], &["b"], false);
        check(&[&["x", "a", "y", "x"], &["x", "a", "z"]], &["a", "z"], false);
    }

    #[test]
    fn half_a_line_comes_again_when_it_is_whole() {
        check(&[&["a", "b", "par"], &["a", "b", "partial", "d"]], &["partial", "d"], false);
        // Of one line alone nothing can be said.
        check(&[&["a", "par"], &["partial"]], &["partial"], true);
    }

    #[test]
    fn what_is_held_back_is_released() {
        let mut history = LogHistory::new();
        for line in ["a", "b", "c"] {
            let _ = history.accept(line.as_bytes());
        }
        history.connected(None);
        assert_eq!(history.accept(b"a").count() + history.accept(b"b").count(), 0);
        assert_eq!(history.release(), [b"a", b"b"]);
        assert!(history.may_miss());
        assert_eq!(history.accept(b"c").count(), 1);
    }

    #[test]
    fn memory_is_bounded() {
        let mut history = LogHistory::new();
        (0..KEPT + 10).for_each(|line| drop(history.accept(line.to_string().as_bytes())));
        assert_eq!(history.seen.len(), KEPT);
        history.connected(None);
        let new: usize = (11..KEPT + 12).map(|line| history.accept(line.to_string().as_bytes()).count()).sum();
        assert_eq!((new, history.may_miss()), (2, false));
    }
}
