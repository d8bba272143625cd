//! [`Offsets`]: the offset token of each row, and which rows are committed already.
//!
//! A token is a position and a fingerprint: `line 5000 #0123456789abcdef`. The position of a line says so, so that one
//! number is never taken for the other. The fingerprint tells loads apart: it is that of all lines so far.
//!
//! With `--offset-field` the input may begin anywhere, and a token has two fingerprints, as in
//! `5000 #0123456789abcdef0123456789abcdef`. The first is the fingerprint of the row, so that a later start can check
//! it. The second covers the token that was committed at the start, and all rows since: a token stands for all rows
//! before it, too.
//!
//! Positions are compared and shown; fingerprints are only compared for equality. Other loaders have positions alone: a
//! load continues in a channel of theirs, and its last row is not checked.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use serde_json::value::RawValue;

/// What is before the number of a line in its token.
const LINE: &str = "line ";
/// What is before the fingerprint.
const MARK: &str = " #";
/// The longest text that is an offset, in bytes: a writer takes tokens of up to 1024 bytes, and 34 are for the
/// fingerprints.
const MAX_TEXT: usize = 990;

/// Goes through the lines of the input from the first on.
pub(crate) struct Offsets {
    line: u64,
    token: String,
    rule: Rule,
}

enum Rule {
    /// The number of the line.
    Lines {
        committed: u64,
        /// Of the lines up to the committed line.
        fingerprint: Option<Fingerprint>,
        /// Of the lines so far.
        so_far: Fingerprint,
    },
    Field(Field),
}

struct Field {
    name: String,
    committed: Option<String>,
    /// Of the committed row.
    fingerprint: Option<Fingerprint>,
    /// Of the committed token, and of all rows behind it so far.
    so_far: Fingerprint,
    /// Of the row before, and its line.
    last: Option<(Offset, u64)>,
    /// Whether the input has reached the committed row, or to one behind it.
    is_past_committed: bool,
}

/// What a field holds.
enum Offset {
    Number(i128),
    Text(String),
}

impl Offsets {
    /// For an input of which the rows up to a token are committed.
    pub(crate) fn new(field: Option<&str>, committed: Option<&str>) -> Result<Self, String> {
        let mut so_far = Fingerprint::default();
        so_far.add(committed.unwrap_or_default().as_bytes());
        let (committed, fingerprint) = match committed.map(split) {
            Some((position, fingerprint)) => (Some(position.to_owned()), fingerprint),
            None => (None, None),
        };
        let line = committed.as_deref().map(|position| line_of(position).ok_or(position));
        let lines = |committed| Rule::Lines { committed, fingerprint, so_far: Fingerprint::default() };
        let rule = match (field, line) {
            (Some(_), Some(Ok(line))) => {
                return Err(format!(
                    "the channel is committed up to line {line}: it was loaded without --offset-field, and must continue without it"
                ));
            }
            (Some(name), _) => {
                let is_past_committed = committed.is_none();
                let name = name.to_owned();
                Rule::Field(Field { name, committed, fingerprint, so_far, last: None, is_past_committed })
            }
            (None, None) => lines(0),
            (None, Some(Ok(committed))) => lines(committed),
            (None, Some(Err(token))) => {
                return Err(format!(
                    "the channel is committed up to \"{token}\", which is no line: it was loaded with --offset-field, or another \
                     client has written to it"
                ));
            }
        };
        Ok(Self { line: 0, token: String::new(), rule })
    }

    /// How many lines there were.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// The token of the next line's row; `None` when there is no row in it, or its row is committed.
    pub(crate) fn next(&mut self, line: &[u8]) -> Result<Option<&str>, String> {
        self.line += 1;
        let row = line.trim_ascii();
        if let Rule::Lines { committed, fingerprint, so_far } = &mut self.rule {
            if !row.is_empty() {
                so_far.add(row);
            }
            let is_other = fingerprint.is_some_and(|theirs| theirs != *so_far);
            if self.line == *committed && (is_other || row.is_empty()) {
                return Err("this line is committed already, and it or an earlier line was different then: give the same input again, \
                            from its first line on, or another channel"
                    .to_owned());
            }
        }
        if row.is_empty() {
            return Ok(None);
        }
        let (token, is_committed) = match &mut self.rule {
            Rule::Lines { committed, so_far, .. } => {
                (format!("{LINE}{}{MARK}{:016x}", self.line, so_far.0), self.line <= *committed)
            }
            Rule::Field(field) => {
                let offset = field.read(row)?;
                let position = match &offset {
                    Offset::Number(number) => number.to_string(),
                    Offset::Text(text) => text.clone(),
                };
                let mut fingerprint = Fingerprint::default();
                fingerprint.add(row);
                let is_committed = field.follow(offset, fingerprint, self.line)?;
                if !is_committed {
                    field.so_far.add(row);
                }
                (format!("{position}{MARK}{:016x}{:016x}", fingerprint.0, field.so_far.0), is_committed)
            }
        };
        self.token = token;
        Ok(Some(&*self.token).filter(|_| !is_committed))
    }

    /// Whether the input can be the input that was loaded before.
    pub(crate) fn end(&self) -> Result<(), String> {
        match &self.rule {
            Rule::Lines { committed, .. } if self.line < *committed => Err(format!(
                "the input ends with line {}, and line {committed} is committed already: is it the same input as before? Give the \
                 same again, from its first line on",
                self.line
            )),
            Rule::Field(Field {
                name,
                committed: Some(committed),
                last: Some((last, _)),
                is_past_committed: false,
                ..
            }) => Err(format!(
                "the input ends with the field \"{name}\" at {last}, and {committed} is committed already: is it the same input as \
                     before? Give one that goes at least as far"
            )),
            _ => Ok(()),
        }
    }
}

impl Field {
    fn read(&self, line: &[u8]) -> Result<Offset, String> {
        let name = &self.name;
        let fields: BTreeMap<String, &RawValue> = serde_json::from_slice(line)
            .map_err(|error| format!("no row: {}", error.to_string().replace(" at line 1 column ", " at byte ")))?;
        let value =
            fields.get(name).ok_or_else(|| format!("there is no field \"{name}\" to take the offset from"))?.get();
        Offset::of_json(value).ok_or_else(|| {
            let shown: String = value.chars().take(60).collect();
            format!(
                "the field \"{name}\" is {shown}: an offset is a whole number of up to 38 digits, or a text, but not as `{LINE}7`"
            )
        })
    }

    /// Whether a row with this offset is committed already.
    fn follow(&mut self, offset: Offset, fingerprint: Fingerprint, line: u64) -> Result<bool, String> {
        let name = &self.name;
        if let Some((last, at)) = &self.last
            && offset.compare(last)? != Ordering::Greater
        {
            let how = match offset {
                Offset::Number(_) => "",
                Offset::Text(_) => "; texts are compared byte by byte",
            };
            return Err(format!(
                "the field \"{name}\" is {offset}, behind {last} in line {at}: it must rise from row to row{how}"
            ));
        }
        let order = match (&self.committed, &offset) {
            (None, _) => Ordering::Greater,
            (Some(token), Offset::Text(text)) => {
                // Texts of one length have the order of their bytes, whatever they stand for.
                if text.len() != token.len() && token.parse::<i128>().is_ok() {
                    if text.parse::<i128>().is_err() {
                        return Err(self.is_of_another(&offset, token, "a whole number"));
                    }
                    return Err(format!(
                        "the field \"{name}\" is {offset}, and the channel is committed up to \"{token}\": texts are compared byte by \
                         byte, so that \"10\" is before \"9\"; give them one length, or numbers without quotes"
                    ));
                }
                text.cmp(token)
            }
            (Some(token), Offset::Number(number)) => {
                number.cmp(&token.parse().map_err(|_| self.is_of_another(&offset, token, "no whole number"))?)
            }
        };
        if order == Ordering::Equal && self.fingerprint.is_some_and(|theirs| theirs != fingerprint) {
            return Err(format!(
                "the field \"{name}\" is {offset}, which is committed already, and that row was different: the channel was loaded from \
                 another input"
            ));
        }
        if let Offset::Text(text) = &offset
            && order == Ordering::Greater
            && text.len() > MAX_TEXT
        {
            let bytes = text.len();
            return Err(format!("the field \"{name}\" has {bytes} bytes: an offset has up to {MAX_TEXT}"));
        }
        self.is_past_committed |= order != Ordering::Less;
        self.last = Some((offset, line));
        Ok(order != Ordering::Greater)
    }

    fn is_of_another(&self, offset: &Offset, token: &str, what: &str) -> String {
        format!(
            "the field \"{}\" is {offset}, and the channel is committed up to \"{token}\", which is {what}: it was loaded with another \
             --offset-field, or another client has written to it",
            self.name
        )
    }
}

impl Offset {
    /// What a value of a row is, if it can be one.
    fn of_json(value: &str) -> Option<Self> {
        if let Ok(number) = value.parse() {
            return Some(Self::Number(number));
        }
        let is_fine = |text: &String| !text.is_empty() && line_of(text).is_none();
        serde_json::from_str(value).ok().filter(is_fine).map(Self::Text)
    }

    fn compare(&self, other: &Self) -> Result<Ordering, String> {
        match (self, other) {
            (Self::Number(ours), Self::Number(theirs)) => Ok(ours.cmp(theirs)),
            (Self::Text(ours), Self::Text(theirs)) => Ok(ours.cmp(theirs)),
            _ => Err(format!("the offset is {self}, behind {other}: numbers and texts have no order")),
        }
    }
}

/// The number of the line that a position is of.
fn line_of(position: &str) -> Option<u64> {
    position.strip_prefix(LINE)?.parse().ok()
}

/// The position of a token and its first fingerprint, which tokens of other loaders do not have.
fn split(token: &str) -> (&str, Option<Fingerprint>) {
    let parts = token.rsplit_once(MARK).and_then(|(position, digits)| {
        let (first, second) = digits.split_at_checked(16)?;
        let is_fine = second.is_empty() || second.len() == 16 && u64::from_str_radix(second, 16).is_ok();
        Some((position, u64::from_str_radix(first, 16).ok().filter(|_| is_fine)?))
    });
    parts.map_or((token, None), |(position, bits)| (position, Some(Fingerprint(bits))))
}

/// The position of a token: what people want to see.
pub(crate) fn position(token: &str) -> &str {
    split(token).0
}

/// A number that differs for different rows, by chance alone: FNV-1a, 64 bits.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Fingerprint(u64);

impl Default for Fingerprint {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fingerprint {
    fn add(&mut self, row: &[u8]) {
        for byte in row.iter().chain(b"\n") {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

/// As in JSON.
impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => serde_json::Value::from(text.as_str()).fmt(f),
        }
    }
}
