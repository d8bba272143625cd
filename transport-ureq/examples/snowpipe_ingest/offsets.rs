//! [`Offsets`]: the offset token of each row, and which rows are committed already.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use serde_json::value::RawValue;

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
#[derive(PartialEq)]
enum Offset {
    Number(i128),
    Text(String),
}

impl Offsets {
    /// For an input of which the rows up to a token are committed.
    pub(crate) fn new(field: Option<&str>, committed: Option<String>) -> Result<Self, String> {
        let rule = match (field, committed) {
            (Some(name), committed) => Rule::Field(Field { name: name.to_owned(), committed, last: None }),
            (None, None) => Rule::Lines { committed: 0 },
            (None, Some(token)) => Rule::Lines {
                committed: token.parse().map_err(|_| {
                    format!(
                        "the channel is committed up to \"{token}\", which is no line's number: somebody else has written to it, or \
                         it was loaded with --offset-field"
                    )
                })?,
            },
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
                self.token = self.line.to_string();
                self.line <= *committed
            }
            Rule::Field(field) => {
                let offset = field.read(line)?;
                self.token = offset.to_string();
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
        if let Ok(number) = value.parse() {
            return Ok(Offset::Number(number));
        }
        match serde_json::from_str::<String>(value) {
            Ok(text) if !text.is_empty() => Ok(Offset::Text(text)),
            _ => {
                let shown: String = value.chars().take(60).collect();
                Err(format!(
                    "the field \"{name}\" is {shown}: an offset is a whole number of up to 38 digits, or a text"
                ))
            }
        }
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
                "the field \"{name}\" is {offset:?}, behind {last:?} in line {at}: it must rise from row to row{how}"
            ));
        }
        let is_committed = match &self.committed {
            None => false,
            Some(token) => {
                let committed = match offset {
                    Offset::Text(_) => Offset::Text(token.clone()),
                    Offset::Number(_) => Offset::Number(token.parse().map_err(|_| {
                        format!(
                            "the field \"{name}\" is {offset:?}, and the channel is committed up to \"{token}\", which is no whole \
                             number: somebody else has written to it, or it was loaded with another --offset-field"
                        )
                    })?),
                };
                offset.compare(&committed)? != Ordering::Greater
            }
        };
        self.last = Some((offset, line));
        Ok(is_committed)
    }
}

impl Offset {
    fn compare(&self, other: &Self) -> Result<Ordering, String> {
        match (self, other) {
            (Self::Number(ours), Self::Number(theirs)) => Ok(ours.cmp(theirs)),
            (Self::Text(ours), Self::Text(theirs)) => Ok(ours.cmp(theirs)),
            _ => Err(format!("the offset is {self:?}, behind {other:?}: numbers and texts have no order")),
        }
    }
}

/// The token.
impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// As in JSON.
impl fmt::Debug for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => fmt::Display::fmt(number, f),
            Self::Text(text) => fmt::Debug::fmt(text, f),
        }
    }
}
