//! [`Offsets`]: the offset token of each row, and which rows are committed already.
//!
//! The token of a field's value is that value, as other loaders have it; that of a line says so, `line 5000`: one number is never
//! taken for the other.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use serde_json::value::RawValue;

/// What is before the number of a line in its token.
const LINE: &str = "line ";

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
    },
    Field(Field),
}

struct Field {
    name: String,
    committed: Option<String>,
    /// Of the row before, and its line.
    last: Option<(Offset, u64)>,
}

/// What a field holds.
enum Offset {
    Number(i128),
    Text(String),
}

impl Offsets {
    /// For an input of which the rows up to a token are committed.
    pub(crate) fn new(field: Option<&str>, committed: Option<String>) -> Result<Self, String> {
        let line = committed.as_deref().map(|token| line_of(token).ok_or(token));
        let rule = match (field, line) {
            (Some(_), Some(Ok(line))) => {
                return Err(format!(
                    "the channel is committed up to line {line}: it was loaded without --offset-field, and goes on that way"
                ));
            }
            (Some(name), _) => Rule::Field(Field { name: name.to_owned(), committed, last: None }),
            (None, None) => Rule::Lines { committed: 0 },
            (None, Some(Ok(committed))) => Rule::Lines { committed },
            (None, Some(Err(token))) => {
                return Err(format!(
                    "the channel is committed up to \"{token}\", which is no line: it was loaded with --offset-field, or somebody \
                     else has written to it"
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
        if line.trim_ascii().is_empty() {
            return Ok(None);
        }
        let is_committed = match &mut self.rule {
            Rule::Lines { committed } => {
                self.token = format!("{LINE}{}", self.line);
                self.line <= *committed
            }
            Rule::Field(field) => {
                let offset = field.read(line)?;
                self.token = match &offset {
                    Offset::Number(number) => number.to_string(),
                    Offset::Text(text) => text.clone(),
                };
                field.follow(offset, self.line)?
            }
        };
        Ok(Some(&*self.token).filter(|_| !is_committed))
    }

    /// Whether the input can be the one that was loaded before.
    pub(crate) fn end(&self) -> Result<(), String> {
        match self.rule {
            Rule::Lines { committed } if self.line < committed => Err(format!(
                "the input ends with line {}, and line {committed} is committed already: is it the same input as before? Give the \
                 same again, from its first line on",
                self.line
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
    fn follow(&mut self, offset: Offset, line: u64) -> Result<bool, String> {
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
        let is_committed = match (&self.committed, &offset) {
            (None, _) => false,
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
                text <= token
            }
            (Some(token), Offset::Number(number)) => {
                *number <= token.parse().map_err(|_| self.is_of_another(&offset, token, "no whole number"))?
            }
        };
        self.last = Some((offset, line));
        Ok(is_committed)
    }

    fn is_of_another(&self, offset: &Offset, token: &str, what: &str) -> String {
        format!(
            "the field \"{}\" is {offset}, and the channel is committed up to \"{token}\", which is {what}: it was loaded with another \
             --offset-field, or somebody else has written to it",
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

/// The number of the line that a token is of.
fn line_of(token: &str) -> Option<u64> {
    token.strip_prefix(LINE)?.parse().ok()
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
