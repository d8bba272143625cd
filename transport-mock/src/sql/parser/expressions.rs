//! Expressions, from the operators that bind least to those that bind most.

use super::super::ast::{Call, Expression, Kind as Node, Name, Operator, UnitFunction};
use super::super::datetime;
use super::super::decimal;
use super::super::error::{Error, Span};
use super::super::lexer::Kind;
use super::super::types::Type;
use super::super::value::Value;
use super::Parser;

impl Parser<'_> {
    pub(super) fn expression(&mut self) -> Result<Expression, Error> {
        self.nested(Self::disjunction)
    }

    fn finish(&self, start: Span, kind: Node) -> Expression {
        Expression { kind: Box::new(kind), at: start.to(self.last()) }
    }

    fn disjunction(&mut self) -> Result<Expression, Error> {
        let start = self.span();
        let left = self.conjunction()?;
        self.chain(start, left, "OR", Operator::Or, Self::conjunction)
    }

    fn conjunction(&mut self) -> Result<Expression, Error> {
        let start = self.span();
        let left = self.negation()?;
        self.chain(start, left, "AND", Operator::And, Self::negation)
    }

    fn negation(&mut self) -> Result<Expression, Error> {
        let start = self.span();
        if self.take_word("NOT") {
            let inner = self.nested(Self::negation)?;
            return Ok(self.finish(start, Node::Not(inner)));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Expression, Error> {
        let start = self.span();
        let mut left = self.sum()?;
        loop {
            let operator = match self.peek().kind {
                Kind::Symbol("=") => Operator::Equal,
                Kind::Symbol("<>" | "!=") => Operator::NotEqual,
                Kind::Symbol("<") => Operator::Less,
                Kind::Symbol("<=") => Operator::LessEqual,
                Kind::Symbol(">") => Operator::Greater,
                Kind::Symbol(">=") => Operator::GreaterEqual,
                _ => match self.predicate(start, left.clone())? {
                    Some(next) => {
                        self.link()?;
                        left = next;
                        continue;
                    }
                    None => return Ok(left),
                },
            };
            self.bump();
            self.link()?;
            if self.is_any(&["ANY", "SOME", "ALL"]) {
                return self.unsupported("quantified comparisons");
            }
            let right = self.sum()?;
            left = self.finish(start, Node::Binary(operator, left, right));
        }
    }

    /// A test of a value, by the keyword behind it.
    fn predicate(&mut self, start: Span, left: Expression) -> Result<Option<Expression>, Error> {
        if self.take_word("IS") {
            let negated = self.take_word("NOT");
            let kind = match () {
                () if self.take_word("NULL") || self.take_word("UNKNOWN") => Node::IsNull(left, negated),
                () if self.take_word("TRUE") => Node::IsTruth(left, true, negated),
                () if self.take_word("FALSE") => Node::IsTruth(left, false, negated),
                () if self.take_words(&["DISTINCT", "FROM"]) => Node::IsDistinct(left, self.sum()?, negated),
                () => return Err(self.unexpected()),
            };
            return Ok(Some(self.finish(start, kind)));
        }
        let negated = self.is_word("NOT")
            && ["BETWEEN", "IN", "LIKE", "ILIKE", "RLIKE"].iter().any(|word| self.is_word_at(1, word));
        if negated {
            self.bump();
        }
        let kind = match () {
            () if self.take_word("BETWEEN") => {
                self.take_word("SYMMETRIC");
                let low = self.sum()?;
                self.expect_word("AND")?;
                Node::Between(left, low, self.sum()?, negated)
            }
            () if self.take_word("IN") => self.membership(left, negated)?,
            () if self.is_any(&["LIKE", "ILIKE"]) => {
                let fold = self.is_word("ILIKE");
                self.bump();
                let pattern = self.sum()?;
                let escape = if self.take_word("ESCAPE") { Some(self.sum()?) } else { None };
                Node::Like { value: left, pattern, escape, negated, fold }
            }
            () if self.is_word("RLIKE") => return self.unsupported("RLIKE"),
            () => return Ok(None),
        };
        Ok(Some(self.finish(start, kind)))
    }

    fn membership(&mut self, left: Expression, negated: bool) -> Result<Node, Error> {
        if self.is_symbol("(") && self.is_query() {
            return self.query_value(|query| Node::InQuery(left.clone(), query, negated));
        }
        self.expect_symbol("(")?;
        let values = self.list(Self::expression)?;
        self.expect_symbol(")")?;
        Ok(Node::InList(left, values, negated))
    }

    fn sum(&mut self) -> Result<Expression, Error> {
        let start = self.span();
        let mut left = self.product()?;
        loop {
            let operator = match self.peek().kind {
                Kind::Symbol("+") => Operator::Add,
                Kind::Symbol("-") => Operator::Subtract,
                Kind::Symbol("||") => Operator::Concat,
                _ => return Ok(left),
            };
            self.bump();
            self.link()?;
            let right = self.product()?;
            left = self.finish(start, Node::Binary(operator, left, right));
        }
    }

    fn product(&mut self) -> Result<Expression, Error> {
        let start = self.span();
        let mut left = self.factor()?;
        loop {
            let operator = match self.peek().kind {
                Kind::Symbol("*") => Operator::Multiply,
                Kind::Symbol("/") => Operator::Divide,
                Kind::Symbol("%") => Operator::Modulo,
                _ => return Ok(left),
            };
            self.bump();
            self.link()?;
            let right = self.factor()?;
            left = self.finish(start, Node::Binary(operator, left, right));
        }
    }

    fn factor(&mut self) -> Result<Expression, Error> {
        let start = self.span();
        if self.take_symbol("-") {
            let inner = self.nested(Self::factor)?;
            return Ok(self.finish(start, Node::Negate(inner)));
        }
        if self.take_symbol("+") {
            return self.nested(Self::factor);
        }
        let mut value = self.primary()?;
        loop {
            if self.take_symbol("[") {
                self.link()?;
                let index = self.expression()?;
                self.expect_symbol("]")?;
                value = self.finish(start, Node::Index(value, index));
            } else if self.take_symbol("::") {
                self.link()?;
                let to = self.kind()?;
                value = self.finish(start, Node::Cast { value, to, safe: false });
            } else if self.is_symbol(".") {
                return self.unsupported("fields of structures");
            } else {
                return Ok(value);
            }
        }
    }

    fn primary(&mut self) -> Result<Expression, Error> {
        let start = self.span();
        let kind = match self.peek().kind.clone() {
            Kind::Number(text) => {
                self.bump();
                number(&text, start)?
            }
            Kind::Text(text) => {
                self.bump();
                let length = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
                Node::Literal(Value::text(text), Type::Char(length))
            }
            Kind::Symbol("(") if self.is_query() => self.query_value(Node::Scalar)?,
            Kind::Symbol("(") => {
                self.bump();
                let inner = self.expression()?;
                if self.is_symbol(",") {
                    return self.unsupported("rows as values");
                }
                self.expect_symbol(")")?;
                return Ok(Expression { kind: inner.kind, at: start.to(self.last()) });
            }
            Kind::Word { quoted: true, .. } => self.column_or_call()?,
            Kind::Word { text, .. } => match self.keyword(&text.to_uppercase())? {
                Some(kind) => kind,
                None => self.column_or_call()?,
            },
            _ => return Err(self.unexpected()),
        };
        Ok(self.finish(start, kind))
    }

    /// An expression that begins with a keyword, which is neither a column nor a function.
    fn keyword(&mut self, word: &str) -> Result<Option<Node>, Error> {
        let calls = self.is_symbol_at(1, "(");
        let literal = matches!(self.ahead(1).kind, Kind::Text(_));
        Ok(Some(match word {
            "NULL" => self.constant(Value::Null, Type::Null),
            "TRUE" => self.constant(Value::Boolean(true), Type::Boolean),
            "FALSE" => self.constant(Value::Boolean(false), Type::Boolean),
            "DATE" | "TIME" | "TIMESTAMP" | "UUID" if literal => self.typed_literal(word)?,
            "INTERVAL" if !calls => self.interval()?,
            "CASE" => self.case()?,
            "CAST" | "SAFE_CAST" | "TRY_CAST" if calls => {
                self.bump();
                self.bump();
                let value = self.expression()?;
                self.expect_word("AS")?;
                let to = self.kind()?;
                self.take_word("NULL");
                self.expect_symbol(")")?;
                Node::Cast { value, to, safe: word != "CAST" }
            }
            "EXISTS" if calls => {
                self.bump();
                self.query_value(Node::Exists)?
            }
            "EXTRACT" if calls => {
                self.bump();
                self.bump();
                let unit = self.name()?.text.to_uppercase();
                self.expect_word("FROM")?;
                let value = self.expression()?;
                self.expect_symbol(")")?;
                Node::Unit(UnitFunction::Extract, unit, value)
            }
            "FLOOR" | "CEIL" | "CEILING" if calls => self.rounding(word)?,
            "ARRAY" if self.is_symbol_at(1, "[") => {
                self.bump();
                self.bump();
                let items = if self.is_symbol("]") { Vec::new() } else { self.list(Self::expression)? };
                self.expect_symbol("]")?;
                Node::Array(items)
            }
            "LEFT" | "RIGHT" if calls => {
                let at = self.bump().at;
                let name = Name { text: word.to_owned(), quoted: false, at };
                self.bump();
                let arguments = self.list(Self::expression)?;
                self.expect_symbol(")")?;
                Node::Call(Call { name, arguments, star: false, distinct: false, filter: None })
            }
            "TRIM" | "SUBSTRING" | "POSITION" | "OVERLAY" if calls => self.spelled_call(word)?,
            "ARRAY" | "MAP" | "ROW" if calls || self.is_symbol_at(1, "[") => {
                return self.unsupported("constructors of rows, maps and arrays");
            }
            "CURRENT_DATE" | "CURRENT_TIME" | "CURRENT_TIMESTAMP" | "LOCALTIME" | "LOCALTIMESTAMP" => {
                return self.unsupported("the current time");
            }
            "NOW" if calls => return self.unsupported("the current time"),
            _ => return Ok(None),
        }))
    }

    fn constant(&mut self, value: Value, kind: Type) -> Node {
        self.bump();
        Node::Literal(value, kind)
    }

    fn typed_literal(&mut self, word: &str) -> Result<Node, Error> {
        self.bump();
        let at = self.span();
        let text = self.literal_text()?;
        let wrong = || Error::validation(format!("Illegal {word} literal '{text}'"), at);
        Ok(match word {
            "DATE" => Node::Literal(Value::Date(datetime::parse_date(&text).ok_or_else(wrong)?), Type::Date),
            "TIME" => Node::Literal(Value::Time(datetime::parse_time(&text).ok_or_else(wrong)?), Type::Time),
            "TIMESTAMP" => {
                Node::Literal(Value::Timestamp(datetime::parse_timestamp(&text).ok_or_else(wrong)?), Type::Timestamp)
            }
            _ => Node::Literal(Value::text(text.to_lowercase()), Type::Uuid),
        })
    }

    /// `INTERVAL 3 DAYS`, `INTERVAL '3' DAY`.
    fn interval(&mut self) -> Result<Node, Error> {
        self.bump();
        let negative = self.take_symbol("-");
        let at = self.span();
        let (Kind::Text(text) | Kind::Number(text)) = self.bump().kind else {
            return Err(Error::syntax("Illegal interval literal", at));
        };
        let unit = self.name()?.text.to_uppercase();
        if self.is_word("TO") {
            return self.unsupported("intervals of several units");
        }
        let wrong = || Error::validation(format!("Illegal interval literal '{text}' {unit}"), at);
        let second = datetime::MICROS_PER_SECOND;
        let (each, kind) = match unit.trim_end_matches('S') {
            "YEAR" => (12, Type::MonthInterval),
            "QUARTER" => (3, Type::MonthInterval),
            "MONTH" => (1, Type::MonthInterval),
            "WEEK" => (7 * datetime::MICROS_PER_DAY, Type::TimeInterval),
            "DAY" => (datetime::MICROS_PER_DAY, Type::TimeInterval),
            "HOUR" => (3600 * second, Type::TimeInterval),
            "MINUTE" => (60 * second, Type::TimeInterval),
            "SECOND" => (second, Type::TimeInterval),
            "MILLISECOND" => (1000, Type::TimeInterval),
            _ => return Err(wrong()),
        };
        let (digits, scale) = decimal::parse(text.trim()).ok_or_else(wrong)?;
        let total = digits.checked_mul(i128::from(each)).and_then(|total| decimal::rescale(total, scale, 0));
        let total = total.and_then(|total| i64::try_from(total).ok()).ok_or_else(wrong)?;
        Ok(Node::Literal(Value::Interval(if negative { -total } else { total }), kind))
    }

    fn case(&mut self) -> Result<Node, Error> {
        self.bump();
        let of = if self.is_word("WHEN") { None } else { Some(self.expression()?) };
        let mut branches = Vec::new();
        while self.take_word("WHEN") {
            let condition = self.expression()?;
            self.expect_word("THEN")?;
            branches.push((condition, self.expression()?));
        }
        if branches.is_empty() {
            return Err(self.unexpected());
        }
        let otherwise = if self.take_word("ELSE") { Some(self.expression()?) } else { None };
        self.expect_word("END")?;
        Ok(Node::Case { of, branches, otherwise })
    }

    /// `FLOOR(value)`, or `FLOOR(value TO unit)`.
    fn rounding(&mut self, word: &str) -> Result<Node, Error> {
        let name = self.name()?;
        self.bump();
        let value = self.expression()?;
        if self.take_word("TO") {
            let unit = self.name()?.text.to_uppercase();
            self.expect_symbol(")")?;
            let function = if word == "FLOOR" { UnitFunction::Floor } else { UnitFunction::Ceil };
            return Ok(Node::Unit(function, unit, value));
        }
        self.expect_symbol(")")?;
        Ok(Node::Call(Call { name, arguments: vec![value], star: false, distinct: false, filter: None }))
    }

    /// Functions whose arguments have words between them.
    fn spelled_call(&mut self, word: &str) -> Result<Node, Error> {
        let mut name = self.name()?;
        self.bump();
        let mut arguments = Vec::new();
        match word {
            "TRIM" => {
                let side = ["BOTH", "LEADING", "TRAILING"].into_iter().find(|side| self.take_word(side));
                if side.is_some() && self.take_word("FROM") {
                    arguments.push(self.expression()?);
                } else {
                    let first = self.expression()?;
                    if self.take_word("FROM") {
                        arguments.push(self.expression()?);
                    }
                    arguments.push(first);
                }
                let called = match side {
                    Some("LEADING") => "LTRIM",
                    Some("TRAILING") => "RTRIM",
                    _ => "TRIM",
                };
                called.clone_into(&mut name.text);
            }
            "POSITION" => {
                arguments.push(self.sum()?);
                self.expect_word("IN")?;
                arguments.push(self.expression()?);
            }
            "SUBSTRING" => {
                arguments.push(self.expression()?);
                for word in ["FROM", "FOR"] {
                    if self.take_word(word) || self.take_symbol(",") {
                        arguments.push(self.expression()?);
                    }
                }
            }
            _ => return self.unsupported("OVERLAY"),
        }
        self.expect_symbol(")")?;
        Ok(Node::Call(Call { name, arguments, star: false, distinct: false, filter: None }))
    }

    fn column_or_call(&mut self) -> Result<Node, Error> {
        let names = self.names()?;
        if !self.is_symbol("(") {
            return Ok(Node::Column(names));
        }
        let [name] = <[_; 1]>::try_from(names).map_err(|_| self.unexpected())?;
        self.bump();
        let distinct = self.take_word("DISTINCT");
        if !distinct {
            self.take_word("ALL");
        }
        let star = self.take_symbol("*");
        let arguments = if star || self.is_symbol(")") { Vec::new() } else { self.list(Self::expression)? };
        if self.is_any(&["ORDER", "RESPECT", "IGNORE", "SEPARATOR"]) {
            return self.unsupported("ordered aggregates");
        }
        if self.is_symbol("=>") {
            return self.unsupported("named arguments");
        }
        self.expect_symbol(")")?;
        if self.is_any(&["RESPECT", "IGNORE", "OVER"]) {
            return self.unsupported("window functions");
        }
        if self.is_word("WITHIN") {
            return self.unsupported("WITHIN DISTINCT");
        }
        let mut filter = None;
        if self.is_word("FILTER") && self.is_symbol_at(1, "(") {
            self.bump();
            self.bump();
            self.expect_word("WHERE")?;
            filter = Some(self.expression()?);
            self.expect_symbol(")")?;
            if self.is_word("OVER") {
                return self.unsupported("window functions");
            }
        }
        Ok(Node::Call(Call { name, arguments, star, distinct, filter }))
    }
}

/// A number: an integer if it has no point and no exponent, a decimal if it has no exponent.
fn number(text: &str, at: Span) -> Result<Node, Error> {
    if text.contains(['e', 'E']) {
        let number = text.parse().map_err(|_| Error::syntax(format!("Illegal number {text}"), at))?;
        return Ok(Node::Literal(Value::float(number), Type::Double));
    }
    let wrong = || Error::validation(format!("Numeric literal '{text}' out of range"), at);
    let (digits, scale) = decimal::parse(text).ok_or_else(wrong)?;
    if !text.contains('.') {
        if digits <= i128::from(i32::MAX) {
            return Ok(Node::Literal(Value::Integer(digits), Type::INT));
        }
        if digits <= i128::from(i64::MAX) {
            return Ok(Node::Literal(Value::Integer(digits), Type::BIGINT));
        }
    }
    let precision = u8::try_from(digits.to_string().len()).map_err(|_| wrong())?.max(scale);
    decimal::fit(digits, precision, scale).map_err(|_| wrong())?;
    Ok(Node::Literal(Value::Decimal(digits), Type::decimal(precision, scale)))
}
