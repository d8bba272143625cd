//! Statements as words, with their positions.

use super::failure::{Failure, Span};

/// A piece of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A keyword, a name without quotes, or a number.
    Word,
    /// A name in backticks.
    Quoted,
    /// A text in quotes.
    Text,
    /// One character.
    Symbol,
}

/// See [`Kind`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// Without quotes.
    pub(super) text: String,
    pub(super) span: Span,
    /// Where it is in the statement, in bytes.
    pub(super) at: std::ops::Range<usize>,
}

/// Reads a statement from its first word to its last. Cheap to clone, to look ahead.
#[derive(Debug, Clone)]
pub(super) struct Words<'a> {
    pub(super) text: &'a str,
    tokens: std::rc::Rc<[Token]>,
    next: usize,
}

impl<'a> Words<'a> {
    /// Splits a statement. Comments and semicolons at the end are no part of it.
    ///
    /// # Errors
    ///
    /// If a quote does not end, or if there are several statements.
    pub(super) fn new(text: &'a str) -> Result<Self, Failure> {
        let mut tokens = tokens(text)?;
        while tokens.last().is_some_and(|token| token.kind == Kind::Symbol && token.text == ";") {
            tokens.pop();
        }
        let is_set = ["STATEMENT", "SET", "BEGIN"].iter().rev().enumerate().all(|(at, word)| {
            let found = tokens.get(3 - at);
            found.is_some_and(|token| token.kind == Kind::Word && token.text.eq_ignore_ascii_case(word))
        });
        if !is_set && tokens.iter().any(|token| token.kind == Kind::Symbol && token.text == ";") {
            return Err(Failure::new("java.lang.IllegalArgumentException", "only single statement supported"));
        }
        Ok(Self { text, tokens: tokens.into(), next: 0 })
    }

    pub(super) fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next)
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.peek().is_none()
    }

    /// The text from the next word to the last word.
    pub(super) fn rest(&self) -> &'a str {
        let (Some(first), Some(last)) = (self.peek(), self.tokens.last()) else { return "" };
        self.text.get(first.at.start..last.at.end).unwrap_or_default()
    }

    /// The text between a word, such as one that was read before, and the next word.
    pub(super) fn since(&self, from: usize) -> &'a str {
        let last = self.next.checked_sub(1).and_then(|at| self.tokens.get(at));
        last.and_then(|last| self.text.get(from..last.at.end)).unwrap_or_default()
    }

    /// Where the next word begins.
    pub(super) fn position(&self) -> usize {
        self.peek().map_or(self.text.len(), |token| token.at.start)
    }

    fn is(&self, ahead: usize, word: &str) -> bool {
        self.tokens.get(self.next + ahead).is_some_and(|token| match token.kind {
            Kind::Word => token.text.eq_ignore_ascii_case(word),
            Kind::Symbol => token.text == word,
            Kind::Quoted | Kind::Text => false,
        })
    }

    /// Takes these words if they come next.
    pub(super) fn take(&mut self, words: &[&str]) -> bool {
        let found = words.iter().enumerate().all(|(ahead, word)| self.is(ahead, word));
        if found {
            self.next += words.len();
        }
        found
    }

    /// Takes one of these words.
    pub(super) fn take_one_of<'w>(&mut self, words: &[&'w str]) -> Option<&'w str> {
        let found = words.iter().find(|word| self.is(0, word))?;
        self.next += 1;
        Some(found)
    }

    pub(super) fn take_any(&mut self) -> Option<Token> {
        let token = self.peek().cloned()?;
        self.next += 1;
        Some(token)
    }

    /// # Errors
    ///
    /// If another word comes next, or none.
    pub(super) fn expect(&mut self, words: &[&str]) -> Result<(), Failure> {
        for word in words {
            if !self.take(&[word]) {
                return Err(self.unexpected());
            }
        }
        Ok(())
    }

    /// What the parser says about the next word.
    pub(super) fn unexpected(&self) -> Failure {
        match (self.peek(), self.tokens.last()) {
            (Some(token), _) => {
                let (line, column) = token.span.from;
                Failure::parse(&format!("Encountered \"{}\" at line {line}, column {column}.", token.text))
            }
            (None, Some(last)) => Failure::end_of_text(last.span.to),
            (None, None) => Failure::end_of_text((0, 0)),
        }
    }

    /// What the parser says about a statement whose first word is known, and whose second is not.
    pub(super) fn unexpected_keyword(&self) -> Failure {
        let Some(first) = self.tokens.first() else { return self.unexpected() };
        let (line, column) = first.span.from;
        let word = first.text.to_uppercase();
        Failure::parse(&format!("Incorrect syntax near the keyword '{word}' at line {line}, column {column}."))
    }

    /// # Errors
    ///
    /// If there is another word.
    pub(super) fn end(&self) -> Result<(), Failure> {
        if self.is_at_end() { Ok(()) } else { Err(self.unexpected()) }
    }

    /// # Errors
    ///
    /// If no name comes next.
    pub(super) fn name(&mut self) -> Result<String, Failure> {
        match self.peek() {
            Some(token) if matches!(token.kind, Kind::Word | Kind::Quoted) => {
                let text = token.text.clone();
                self.next += 1;
                Ok(text)
            }
            _ => Err(self.unexpected()),
        }
    }

    /// A name of one or more parts, and where it is.
    ///
    /// # Errors
    ///
    /// If no name comes next.
    pub(super) fn path(&mut self) -> Result<(Vec<String>, Span), Failure> {
        let start = self.peek().map(|token| token.span.from).unwrap_or_default();
        let mut parts = vec![self.name()?];
        while self.take(&["."]) {
            parts.push(self.name()?);
        }
        let to = self.next.checked_sub(1).and_then(|at| self.tokens.get(at)).map(|token| token.span.to);
        Ok((parts, Span { from: start, to: to.unwrap_or(start) }))
    }

    /// # Errors
    ///
    /// If no text in quotes comes next.
    pub(super) fn literal(&mut self) -> Result<String, Failure> {
        match self.peek() {
            Some(token) if token.kind == Kind::Text => {
                let text = token.text.clone();
                self.next += 1;
                Ok(text)
            }
            _ => Err(self.unexpected()),
        }
    }

    /// # Errors
    ///
    /// If no whole number comes next.
    pub(super) fn number(&mut self) -> Result<u32, Failure> {
        match self.peek().and_then(|token| token.text.parse().ok()) {
            Some(number) => {
                self.next += 1;
                Ok(number)
            }
            None => Err(self.unexpected()),
        }
    }

    /// `('key' = 'value', …)`
    ///
    /// # Errors
    ///
    /// If anything else comes next.
    pub(super) fn options(&mut self) -> Result<Vec<(String, String)>, Failure> {
        self.expect(&["("])?;
        let mut options = Vec::new();
        loop {
            let key = self.literal()?;
            self.expect(&["="])?;
            options.push((key, self.literal()?));
            if !self.take(&[","]) {
                self.expect(&[")"])?;
                return Ok(options);
            }
        }
    }

    /// The tables that the queries of a statement read, and their places.
    pub(super) fn sources(&self) -> Vec<(Vec<String>, Span)> {
        let (mut words, mut sources) = (self.clone(), Vec::new());
        let named = self.named_queries();
        // For each parenthesis that is open: where in a query it is.
        let mut places = vec![Place::Elsewhere];
        while let Some(token) = words.peek().cloned() {
            let place = places.last().copied().unwrap_or(Place::Elsewhere);
            let upper = if token.kind == Kind::Word { token.text.to_uppercase() } else { String::new() };
            let next = match (place, upper.as_str()) {
                (_, "SELECT") => Place::Items,
                // Not that of `EXTRACT(YEAR FROM at)` and `IS DISTINCT FROM`.
                (Place::Items, "FROM") if !words.follows_distinct() => Place::Source,
                (Place::From, "JOIN") => Place::Source,
                (Place::From, "WHERE" | "GROUP" | "HAVING" | "ORDER" | "UNION" | "EXCEPT" | "INTERSECT" | "LIMIT") => {
                    Place::Elsewhere
                }
                _ if token.kind == Kind::Symbol => match (place, token.text.as_str()) {
                    (_, "(") => {
                        if place == Place::Source {
                            *places.last_mut().unwrap_or(&mut Place::From) = Place::From;
                            Place::Source
                        } else {
                            Place::Elsewhere
                        }
                    }
                    (Place::From, ",") => Place::Source,
                    (_, ")") => {
                        if places.len() > 1 {
                            places.pop();
                        }
                        words.next += 1;
                        continue;
                    }
                    _ => place,
                },
                (Place::Source, "LATERAL" | "TABLE" | "UNNEST") => Place::From,
                (Place::Source, _) => {
                    match words.path() {
                        // A function has its arguments behind it.
                        Ok(found) if !words.is(0, "(") => sources.push(found),
                        Ok(_) => {}
                        Err(_) => words.next += 1,
                    }
                    *places.last_mut().unwrap_or(&mut Place::From) = Place::From;
                    continue;
                }
                _ => place,
            };
            if token.kind == Kind::Symbol && token.text == "(" {
                places.push(next);
            } else if let Some(place) = places.last_mut() {
                *place = next;
            }
            words.next += 1;
        }
        sources.retain(|(parts, _)| !matches!(parts.as_slice(), [name] if named.contains(name)));
        sources
    }

    fn follows_distinct(&self) -> bool {
        let is = |back: usize, word: &str| {
            let token = self.next.checked_sub(back).and_then(|at| self.tokens.get(at));
            token.is_some_and(|token| token.kind == Kind::Word && token.text.eq_ignore_ascii_case(word))
        };
        is(1, "DISTINCT") && (is(2, "IS") || is(2, "NOT"))
    }

    /// The names that `WITH` gives to queries.
    fn named_queries(&self) -> Vec<String> {
        let mut names = Vec::new();
        for at in 0..self.tokens.len() {
            let words = Self { text: self.text, tokens: self.tokens.clone(), next: at };
            let is_query = |words: &Self| {
                words.is(0, "AS")
                    && words.is(1, "(")
                    && ["SELECT", "WITH", "VALUES"].iter().any(|word| words.is(2, word))
            };
            if (words.is(0, "WITH") || words.is(0, ","))
                && let Some(name) = self.tokens.get(at + 1)
                && is_query(&Self { text: self.text, tokens: self.tokens.clone(), next: at + 2 })
            {
                names.push(name.text.clone());
            }
        }
        names
    }

    /// Skips an expression: up to one of these words outside of parentheses.
    pub(super) fn skip_until(&mut self, ends: &[&str]) {
        let mut depth = 0_usize;
        while let Some(token) = self.peek() {
            if depth == 0 && ends.iter().any(|end| self.is(0, end)) {
                return;
            }
            match (&token.kind, token.text.as_str()) {
                (Kind::Symbol, "(" | "<" | "[") => depth += 1,
                (Kind::Symbol, ")" | ">" | "]") => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.next += 1;
        }
    }
}

/// Where in a query a word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Between `SELECT` and `FROM`.
    Items,
    /// Where the name of a table comes next.
    Source,
    /// Behind `FROM`.
    From,
    Elsewhere,
}

fn tokens(text: &str) -> Result<Vec<Token>, Failure> {
    let letters: Vec<(usize, char)> = text.char_indices().collect();
    let place = places(&letters);
    let letter = |at: usize| letters.get(at).map(|(_, letter)| *letter);
    let byte = |at: usize| letters.get(at).map_or(text.len(), |(byte, _)| *byte);
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = letter(at) {
        let start = at;
        let (kind, content) = match (first, letter(at + 1)) {
            (space, _) if space.is_whitespace() => {
                at += 1;
                continue;
            }
            ('-', Some('-')) => {
                while letter(at).is_some_and(|letter| letter != '\n') {
                    at += 1;
                }
                continue;
            }
            ('/', Some('*')) => {
                at += 2;
                while letter(at).is_some() && (letter(at), letter(at + 1)) != (Some('*'), Some('/')) {
                    at += 1;
                }
                at += 2;
                continue;
            }
            (quote @ ('\'' | '`'), _) => {
                let mut content = String::new();
                at += 1;
                loop {
                    match (letter(at), letter(at + 1)) {
                        (Some(letter), Some(next)) if letter == quote && next == quote => {
                            content.push(quote);
                            at += 2;
                        }
                        (Some(letter), _) if letter == quote => break,
                        (Some(letter), _) => {
                            content.push(letter);
                            at += 1;
                        }
                        (None, _) => {
                            let (line, column) = place.get(start).copied().unwrap_or((1, 1));
                            let message = format!("Encountered \"\\{quote}\" at line {line}, column {column}.");
                            return Err(Failure::parse(&message));
                        }
                    }
                }
                at += 1;
                (if quote == '`' { Kind::Quoted } else { Kind::Text }, content)
            }
            (word, _) if is_word(word) => {
                while letter(at).is_some_and(is_word) {
                    at += 1;
                }
                (Kind::Word, letters[start..at].iter().map(|(_, letter)| *letter).collect())
            }
            (symbol, _) => {
                at += 1;
                (Kind::Symbol, symbol.to_string())
            }
        };
        let places = (place.get(start), place.get(at - 1));
        let span = Span { from: places.0.copied().unwrap_or((1, 1)), to: places.1.copied().unwrap_or((1, 1)) };
        tokens.push(Token { kind, text: content, span, at: byte(start)..byte(at) });
    }
    Ok(tokens)
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_' || letter == '$'
}

/// Line and column of each character.
fn places(letters: &[(usize, char)]) -> Vec<(usize, usize)> {
    let (mut line, mut column) = (1, 0);
    let place = |(_, letter): &(usize, char)| {
        column += 1;
        let place = (line, column);
        if *letter == '\n' {
            (line, column) = (line + 1, 0);
        }
        place
    };
    letters.iter().map(place).collect()
}
