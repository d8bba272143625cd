//! From a text to tokens.

use super::Dialect;
use super::error::{Error, Position, Span};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A keyword or an identifier, as it was written, without its quotes.
    Word {
        text: String,
        quoted: bool,
    },
    Number(String),
    /// A text in single quotes.
    Text(String),
    Symbol(&'static str),
    End,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) at: Span,
    /// Where it starts and ends in the text, in bytes.
    pub(crate) bytes: (usize, usize),
}

/// Longer symbols first.
const SYMBOLS: [&str; 27] = [
    "<=>", "<>", "!=", "<=", ">=", "||", "=>", "::", "->", "(", ")", "[", "]", "{", "}", ",", ".", ";", "+", "-", "*",
    "/", "%", "<", ">", "=", ":",
];

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    position: Position,
    last: Position,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.at += letter.len_utf8();
        self.last = self.position;
        if letter == '\n' {
            self.position = Position { line: self.position.line + 1, column: 1 };
        } else {
            self.position.column += 1;
        }
        Some(letter)
    }

    fn bump_while(&mut self, test: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&test) {
            self.bump();
        }
    }

    fn bump_many(&mut self, letters: usize) {
        for _ in 0..letters {
            self.bump();
        }
    }

    /// Blanks and comments.
    fn skip(&mut self) {
        loop {
            self.bump_while(char::is_whitespace);
            if self.rest().starts_with("--") || self.rest().starts_with("//") {
                self.bump_while(|letter| letter != '\n');
            } else if self.rest().starts_with("/*") {
                self.bump_many(2);
                while !self.rest().is_empty() && !self.rest().starts_with("*/") {
                    self.bump();
                }
                self.bump_many(2);
            } else {
                return;
            }
        }
    }

    /// What is between two quotes, of which two inside are one.
    fn quoted(&mut self, quote: char, start: Position) -> Result<String, Error> {
        self.bump();
        let mut text = String::new();
        while let Some(letter) = self.bump() {
            if letter != quote {
                text.push(letter);
            } else if self.peek() == Some(quote) {
                text.extend(self.bump());
            } else {
                return Ok(text);
            }
        }
        let at = Span { start, end: start };
        Err(Error::syntax(
            format!("Lexical error at line {}, column {}: the {quote} is not closed", start.line, start.column),
            at,
        ))
    }

    fn number(&mut self) -> String {
        let from = self.at;
        self.bump_while(|letter| letter.is_ascii_digit());
        if self.peek() == Some('.') {
            self.bump();
            self.bump_while(|letter| letter.is_ascii_digit());
        }
        let tail = self.rest();
        let digits = tail.strip_prefix(['e', 'E']).map(|tail| tail.strip_prefix(['-', '+']).unwrap_or(tail));
        if digits.is_some_and(|digits| digits.starts_with(|letter: char| letter.is_ascii_digit())) {
            self.bump_many(2);
            self.bump_while(|letter| letter.is_ascii_digit());
        }
        self.text.get(from..self.at).unwrap_or_default().to_owned()
    }

    fn token(&mut self, dialect: Dialect) -> Result<Kind, Error> {
        let start = self.position;
        let Some(letter) = self.peek() else { return Ok(Kind::End) };
        let after = self.rest().chars().nth(1);
        match letter {
            '\'' => Ok(Kind::Text(self.quoted('\'', start)?)),
            quote if quote == dialect.quote() => Ok(Kind::Word { text: self.quoted(quote, start)?, quoted: true }),
            digit if digit.is_ascii_digit() => Ok(Kind::Number(self.number())),
            '.' if after.is_some_and(|after| after.is_ascii_digit()) => Ok(Kind::Number(self.number())),
            letter if letter.is_alphabetic() || letter == '_' => {
                let from = self.at;
                self.bump_while(|letter| letter.is_alphanumeric() || letter == '_' || letter == '$');
                let text = self.text.get(from..self.at).unwrap_or_default().to_owned();
                Ok(Kind::Word { text, quoted: false })
            }
            other => {
                if let Some(symbol) = SYMBOLS.into_iter().find(|symbol| self.rest().starts_with(symbol)) {
                    self.bump_many(symbol.len());
                    Ok(Kind::Symbol(symbol))
                } else {
                    let Position { line, column } = start;
                    let message = format!("Lexical error at line {line}, column {column}.  Encountered: \"{other}\"");
                    Err(Error::syntax(message, Span { start, end: start }))
                }
            }
        }
    }
}

/// The tokens of a text; the last token is the end.
pub(crate) fn tokens(text: &str, dialect: Dialect) -> Result<Vec<Token>, Error> {
    let position = Position { line: 1, column: 1 };
    let mut lexer = Lexer { text, at: 0, position, last: position };
    let mut tokens = Vec::new();
    loop {
        lexer.skip();
        let (start, from) = (lexer.position, lexer.at);
        let kind = lexer.token(dialect)?;
        let is_end = kind == Kind::End;
        let end = if is_end { start } else { lexer.last };
        tokens.push(Token { kind, at: Span { start, end }, bytes: (from, lexer.at) });
        if is_end {
            return Ok(tokens);
        }
    }
}
