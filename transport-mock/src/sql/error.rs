//! Why a statement is rejected, and where.

use std::fmt;

/// A position in the text: line and column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// A piece of the text, from its first to its last character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: Position,
    pub(crate) end: Position,
}

impl Span {
    /// The piece from the start of this piece to the end of another.
    pub(crate) fn to(self, other: Self) -> Self {
        Self { start: self.start, end: other.end }
    }
}

/// What kind of error it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// The text is not SQL.
    Syntax,
    /// A name, type or number of arguments is wrong.
    Validation,
    /// A real server runs it, and this engine does not.
    Unsupported,
    /// The statement is right, and its evaluation fails, as in a division by zero.
    Evaluation,
}

/// Why a statement is rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Error {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
    /// The piece that is wrong, if it is known.
    pub(crate) at: Option<Span>,
}

impl Error {
    pub(crate) fn syntax(message: impl Into<String>, at: Span) -> Self {
        Self { kind: ErrorKind::Syntax, message: message.into(), at: Some(at) }
    }

    pub(crate) fn validation(message: impl Into<String>, at: Span) -> Self {
        Self { kind: ErrorKind::Validation, message: message.into(), at: Some(at) }
    }

    /// `what` is a noun phrase, such as "window functions".
    pub(crate) fn unsupported(what: impl Into<String>, at: Span) -> Self {
        Self { kind: ErrorKind::Unsupported, message: what.into(), at: Some(at) }
    }

    pub(crate) fn evaluation(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Evaluation, message: message.into(), at: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
