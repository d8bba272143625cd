//! Logs over several connections: each line once.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// How many lines a server keeps at the most.
const KEPT: usize = 50_000;

/// What was read of a log so far, so that another connection repeats nothing.
///
/// Each connection begins with what the server has kept. So its first lines are the last ones that were seen, unless
/// the server has forgotten those: then nothing is left out, and [`may_miss`](Self::may_miss) says that lines may be
/// missing.
///
/// Lines are compared by a hash of their text; of the last 50,000, as many as a server keeps, which takes 400 kB. A
/// line whose connection ended in the middle of it comes again when it is whole. What is repeated is held back until it
/// is clear that it is that: at the most what a server keeps, 1 MB. Nearly all lines hold a time. Those that do not may
/// be alike, and then the log may be continued in several ways, of which the one that repeats least is taken; a gap
/// between two lines that are alike is not seen.
///
/// ```
/// use pipewright::feldera::stream::LogHistory;
///
/// let mut history = LogHistory::new();
/// for line in ["1 started", "2 running"] {
///     assert_eq!(history.accept(line.as_bytes()).count(), 1);
/// }
/// history.reconnected();
/// assert_eq!(history.accept(b"2 running").count(), 0);
/// let line = history.accept(b"3 paused").next();
/// assert_eq!(line.as_deref(), Some(&b"3 paused"[..]));
/// assert!(!history.may_miss());
///
/// history.reconnected();
/// assert_eq!(history.accept(b"9 running").count(), 1);
/// assert!(history.may_miss(), "no line of before: there may have been others in between");
/// ```
#[derive(Debug, Default)]
pub struct LogHistory {
    /// Of each line a hash, oldest first.
    seen: VecDeque<u64>,
    /// The last line, which may be a part of one.
    last: Vec<u8>,
    matching: Option<Matching>,
    may_miss: bool,
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
    /// Nothing was seen.
    pub fn new() -> Self {
        Self::default()
    }

    /// From here on lines are of another connection, which repeats. What was held back comes again too.
    pub fn reconnected(&mut self) {
        self.may_miss = false;
        self.matching = (!self.seen.is_empty()).then(Matching::default);
    }

    /// Whether lines may be missing between the last one of the connections before and the first new one of this.
    pub fn may_miss(&self) -> bool {
        self.may_miss
    }

    /// Takes the next line of the present connection, and gives those that are new: none, the line, or also lines
    /// before it.
    pub fn accept<'a>(&mut self, line: &'a [u8]) -> impl Iterator<Item = Cow<'a, [u8]>> + use<'a> {
        let is_new = self.compare(line);
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
            history.reconnected();
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
        history.reconnected();
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
        history.reconnected();
        let new: usize = (11..KEPT + 12).map(|line| history.accept(line.to_string().as_bytes()).count()).sum();
        assert_eq!((new, history.may_miss()), (2, false));
    }
}
