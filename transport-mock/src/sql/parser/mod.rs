//! From tokens to statements.
//!
//! What a real server has and this engine does not is [unsupported](super::error::ErrorKind::Unsupported), and not a
//! syntax error: the caller skips the statement and continues.

mod chains;
mod expressions;
mod kinds;
mod queries;
mod statements;

use std::collections::BTreeMap;

use super::Dialect;
use super::ast::{Name, Statement};
use super::error::{Error, Span};
use super::lexer::{Kind, Token, tokens};
use super::types::Type;

/// How deep queries, expressions and types may nest.
const MOST_DEPTH: usize = 100;

/// How many operators may follow each other on the way to one part of a statement, in `1 + 1 + …` and `UNION` too:
/// their tree is as deep.
const MOST_LINKS: usize = 200;

/// Words that begin the next part of a query, and so are no alias.
const RESERVED: [&str; 58] = [
    "ALL",
    "AND",
    "ANY",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "CREATE",
    "CROSS",
    "DELETE",
    "DESC",
    "DISTINCT",
    "DROP",
    "ELSE",
    "END",
    "ESCAPE",
    "EXCEPT",
    "EXISTS",
    "FALSE",
    "FETCH",
    "FOR",
    "FROM",
    "FULL",
    "GROUP",
    "HAVING",
    "IN",
    "INNER",
    "INSERT",
    "INTERSECT",
    "INTO",
    "IS",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "MINUS",
    "NATURAL",
    "NOT",
    "NULL",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OVER",
    "RIGHT",
    "SELECT",
    "SET",
    "THEN",
    "TRUE",
    "UNION",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WINDOW",
    "WITH",
];

/// See the module.
pub(crate) struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    dialect: Dialect,
    depth: usize,
    /// Operators that follow each other, within the current level.
    links: usize,
    /// Types that the text has given a name.
    types: BTreeMap<String, Type>,
}

impl<'a> Parser<'a> {
    pub(crate) fn new(text: &'a str, dialect: Dialect) -> Result<Self, Error> {
        let tokens = tokens(text, dialect)?;
        Ok(Self { text, tokens, at: 0, dialect, depth: 0, links: 0, types: BTreeMap::new() })
    }

    /// The next statement, and its piece of the text; `None` at the end.
    pub(crate) fn next_statement(&mut self) -> Result<Option<(Statement, Span)>, Error> {
        while self.take_symbol(";") {}
        let start = self.span();
        if self.peek().kind == Kind::End {
            return Ok(None);
        }
        self.links = 0;
        let statement = self.statement()?;
        let span = start.to(self.last());
        if !self.is_symbol(";") && self.peek().kind != Kind::End {
            return Err(self.unexpected());
        }
        if let Statement::CreateType(name, kind) = &statement {
            self.types.insert(name.text.clone(), kind.clone());
        }
        Ok(Some((statement, span)))
    }

    /// The piece at the end of the text.
    pub(crate) fn end(&self) -> Span {
        self.tokens[self.tokens.len() - 1].at
    }

    fn peek(&self) -> &Token {
        self.ahead(0)
    }

    fn ahead(&self, count: usize) -> &Token {
        let last = self.tokens.len() - 1;
        &self.tokens[(self.at + count).min(last)]
    }

    fn span(&self) -> Span {
        self.peek().at
    }

    /// The piece of the token before.
    fn last(&self) -> Span {
        self.tokens[self.at.saturating_sub(1)].at
    }

    fn bump(&mut self) -> Token {
        let token = self.peek().clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    fn word_at(&self, ahead: usize) -> Option<&str> {
        match &self.ahead(ahead).kind {
            Kind::Word { text, quoted: false } => Some(text),
            _ => None,
        }
    }

    fn is_word(&self, word: &str) -> bool {
        self.is_word_at(0, word)
    }

    fn is_word_at(&self, ahead: usize, word: &str) -> bool {
        self.word_at(ahead).is_some_and(|text| text.eq_ignore_ascii_case(word))
    }

    fn is_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is_word(word))
    }

    fn take_word(&mut self, word: &str) -> bool {
        let is = self.is_word(word);
        if is {
            self.bump();
        }
        is
    }

    /// Takes several words, or none of them.
    fn take_words(&mut self, words: &[&str]) -> bool {
        let are = words.iter().enumerate().all(|(ahead, word)| self.is_word_at(ahead, word));
        if are {
            for _ in words {
                self.bump();
            }
        }
        are
    }

    fn expect_word(&mut self, word: &str) -> Result<(), Error> {
        if self.take_word(word) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.peek().kind, Kind::Symbol(have) if have == symbol)
    }

    fn is_symbol_at(&self, ahead: usize, symbol: &str) -> bool {
        matches!(self.ahead(ahead).kind, Kind::Symbol(have) if have == symbol)
    }

    fn take_symbol(&mut self, symbol: &str) -> bool {
        let is = self.is_symbol(symbol);
        if is {
            self.bump();
        }
        is
    }

    fn expect_symbol(&mut self, symbol: &str) -> Result<(), Error> {
        if self.take_symbol(symbol) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// The error about the next token.
    fn unexpected(&self) -> Error {
        let token = self.peek();
        let what = match &token.kind {
            Kind::End => "<EOF>",
            _ => self.text.get(token.bytes.0..token.bytes.1).unwrap_or_default(),
        };
        let Span { start, .. } = token.at;
        Error::syntax(format!("Encountered \"{what}\" at line {}, column {}.", start.line, start.column), token.at)
    }

    fn unsupported<T>(&self, what: &str) -> Result<T, Error> {
        Err(Error::unsupported(what, self.span()))
    }

    fn name(&mut self) -> Result<Name, Error> {
        let at = self.span();
        match self.peek().kind.clone() {
            Kind::Word { text, quoted } if quoted || !is_reserved(&text) => {
                self.bump();
                let text = if quoted { text } else { self.dialect.fold(&text) };
                Ok(Name { text, quoted, at })
            }
            _ => Err(self.unexpected()),
        }
    }

    /// Names with dots between them.
    fn names(&mut self) -> Result<Vec<Name>, Error> {
        let mut names = vec![self.name()?];
        while self.is_symbol(".") && !self.is_symbol_at(1, "*") {
            self.bump();
            names.push(self.name()?);
        }
        Ok(names)
    }

    /// Names in parentheses, if there are any.
    fn name_list(&mut self) -> Result<Vec<Name>, Error> {
        if !self.take_symbol("(") {
            return Ok(Vec::new());
        }
        let names = self.list(Self::name)?;
        self.expect_symbol(")")?;
        Ok(names)
    }

    /// Items with commas between them.
    fn list<T>(&mut self, item: impl Fn(&mut Self) -> Result<T, Error>) -> Result<Vec<T>, Error> {
        let mut items = vec![item(self)?];
        while self.take_symbol(",") {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn number(&mut self) -> Result<u64, Error> {
        match &self.peek().kind {
            Kind::Number(text) => match text.parse() {
                Ok(number) => {
                    self.bump();
                    Ok(number)
                }
                Err(_) => Err(self.unexpected()),
            },
            _ => Err(self.unexpected()),
        }
    }

    fn literal_text(&mut self) -> Result<String, Error> {
        match self.peek().kind.clone() {
            Kind::Text(text) => {
                self.bump();
                Ok(text)
            }
            _ => Err(self.unexpected()),
        }
    }

    /// Runs one level deeper.
    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        if self.depth == MOST_DEPTH {
            return Err(Error::syntax(format!("The statement nests deeper than {MOST_DEPTH} levels"), self.span()));
        }
        self.depth += 1;
        let before = std::mem::take(&mut self.links);
        let result = inner(self);
        self.links = self.links.max(before);
        self.depth -= 1;
        result
    }

    /// Counts an operator whose left side is what was parsed before.
    fn link(&mut self) -> Result<(), Error> {
        if self.links == MOST_LINKS {
            let message = format!("The statement has more than {MOST_LINKS} operators in a row");
            return Err(Error::syntax(message, self.span()));
        }
        self.links += 1;
        Ok(())
    }

    /// Goes to the end of the statement.
    fn skip_statement(&mut self) {
        while !self.is_symbol(";") && self.peek().kind != Kind::End {
            self.bump();
        }
    }
}

fn is_reserved(word: &str) -> bool {
    RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(word))
}
