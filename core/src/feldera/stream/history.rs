//! Logs over several connections: each line once.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::{LogCursor, LogPosition};

/// How many lines a server keeps at the most.
const KEPT: usize = 50_000;

/// What was read of a log so far, so that the next connection repeats no line.
///
/// ```text
///  open GetLogs with cursor() ──▶ connected(position) ──▶ accept(line) for each line
///            ▲                                                   │
///            └──────────────── the connection ends ◀─────────────┘
/// ```
///
/// | server | how it resumes | what is told about lost lines |
/// |---|---|---|
/// | the response tells its [position](LogPosition), as on 0.375 | at the [cursor](Self::cursor) | their number, see [`LogResume`] |
/// | up to 0.337 | each connection begins with all that is kept; repeated lines are left out | [`may_miss`](Self::may_miss) |
///
/// **If the response tells its position**, each line has a number, so that nothing is compared or held back. A saved
/// cursor also resumes after a restart of the program.
///
/// **If it does not**, lines are compared by a hash of their text; of the last 50,000, as many as a server keeps, which
/// takes 400 kB. If the server has discarded the last lines that were seen, nothing is left out. A line whose
/// connection ended in the middle of it comes again when it is whole. What is repeated is held back until it is clear
/// that it is that: at most what a server keeps, 1 MB. Nearly all lines hold a time. Those that do not may be alike,
/// and then the log may be continued in several ways, of which the one that repeats least is taken; a gap between two
/// lines that are alike is not seen.
///
/// ```
/// # use pipewright::driver::Runtime;
/// use pipewright::feldera::Feldera;
/// use pipewright::feldera::stream::{GetLogs, LogCursor, LogHistory};
///
/// # fn example(feldera: &Feldera<impl Runtime>, saved: &str) -> Result<(), Box<dyn std::error::Error>> {
/// let mut history = LogHistory::from(saved.parse::<LogCursor>()?); // Or `LogHistory::new()`.
/// loop {
///     let mut stream = feldera.open(GetLogs::new("orders").cursor(history.cursor()))?;
///     println!("{:?}", history.connected(stream.decoder().position()));
///     while let Ok(Some(line)) = stream.next_item() {
///         for line in history.accept(line) {
///             println!("{}", String::from_utf8_lossy(&line));
///         }
///         std::fs::write("orders.cursor", history.cursor().to_string())?;
///     }
/// }
/// # }
/// ```
#[derive(Debug, Default)]
pub struct LogHistory {
    /// The server's number of the last line; `None` if it does not tell.
    at: Option<(Box<str>, u64)>,
    /// How many lines of the connection were read before.
    repeated: u64,
    /// Of each line a hash, oldest first. Only while the server does not number lines.
    seen: VecDeque<u64>,
    /// The last line, which may be a part of one.
    last: Vec<u8>,
    matching: Option<Matching>,
    may_miss: bool,
}

/// How a connection continues the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogResume {
    /// No line was read before.
    First {
        /// Lines that the server has discarded before the first one, as far as it counts them.
        lost: u64,
    },
    /// The next line is the one behind the last one that was read.
    Exact,
    /// The server has discarded lines behind the last one that was read.
    Gap {
        /// How many.
        lost: u64,
    },
    /// The log is another one: the runner was restarted, or the pipeline deleted and created again. What was not read
    /// of the log before is lost; the new one is read from its beginning.
    NewEpoch {
        /// Lines that were lost, as far as the server counts them.
        lost: u64,
    },
    /// The server does not number lines, or did not for the connection before. Lines are compared with those that were
    /// seen; [`may_miss`](LogHistory::may_miss) tells about lost ones.
    Compared,
}

/// The beginning of a connection, compared with the end of the history.
#[derive(Debug, Default)]
struct Matching {
    /// Where in the history the next line may be, in ascending order. `None` before the first line: anywhere.
    places: Option<Vec<usize>>,
    /// Lines that were seen before if a place holds, and are new if none does.
    held: Vec<Vec<u8>>,
    /// The history's end was reached.
    reached: bool,
}

impl LogHistory {
    /// A history without lines.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the position behind the last line that was accepted, for [`GetLogs::cursor`](super::GetLogs::cursor),
    /// and to be saved. It is the beginning if no line was read, or if the server does not number lines.
    pub fn cursor(&self) -> LogCursor {
        match &self.at {
            Some((epoch, sequence)) if self.matching.is_none() => LogCursor::behind(epoch, *sequence),
            // What is held back comes again, and is compared again.
            _ => LogCursor::start(),
        }
    }

    /// Begins a connection at the position that its response tells. Lines that were held back come again.
    pub fn connected(&mut self, position: Option<&LogPosition>) -> LogResume {
        let before = self.at.take().filter(|_| self.matching.is_none());
        (self.matching, self.repeated, self.may_miss) = (None, 0, false);
        let Some(LogPosition { epoch, sequence, gap }) = position else {
            // The server numbered lines, and has stopped to: none of them can be recognized.
            self.may_miss = before.is_some();
            return self.compare_all();
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
                    return LogResume::Exact;
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

    /// Whether lines may be missing between the last one of the connections before and the first new one of this.
    pub fn may_miss(&self) -> bool {
        self.may_miss
    }

    /// Takes the next line of the present connection, and gives those that are new: none, the line, or also lines
    /// before it.
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

    /// Gives the lines that are held back as new ones: for a connection that has said no more for a while, or has ended
    /// without another one.
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

    /// Whether the line, and with it those that are held back, is new.
    fn compare(&mut self, line: &[u8]) -> bool {
        let Some(matching) = &mut self.matching else { return true };
        let (end, hash) = (self.seen.len(), hash(line));
        let is_first = matching.places.is_none();
        let mut places = matching.places.take().unwrap_or_else(|| (0..end).collect());
        // Half a line is the history's end if all before it fits, so that one line alone tells nothing.
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

/// Continues behind a line that was read earlier, for example before the program was restarted.
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
        // The first line of another log is the same as one before.
        check(&[&["a", "b", "c"], &["b", "d"]], &["b", "d"], true);
        check(&[&["a", "b"], &["c"], &["c", "d"]], &["d"], false);
    }

    #[test]
    fn a_log_that_repeats_itself_is_continued_with_the_least_repetition() {
        check(&[&["x", "a", "x"], &["x", "a", "x", "b"]], &["b"], false);
        // After the first line it could go on; the second shows that it was the last one that was seen.
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
