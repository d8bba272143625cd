//! Queries.

use super::super::ast::{
    Alias, Body, Condition, Expression, Item, JoinKind, Kind as Node, Order, Query, Select, SetOperation, Source, With,
};
use super::super::error::Error;
use super::super::lexer::Kind;
use super::Parser;

impl Parser<'_> {
    pub(super) fn query(&mut self) -> Result<Query, Error> {
        self.nested(Self::whole_query)
    }

    fn whole_query(&mut self) -> Result<Query, Error> {
        let start = self.span();
        let mut with = Vec::new();
        if self.take_word("WITH") {
            if self.is_word("RECURSIVE") {
                return self.unsupported("recursive queries");
            }
            with = self.list(|parser| {
                let name = parser.name()?;
                let columns = parser.name_list()?;
                parser.expect_word("AS")?;
                parser.expect_symbol("(")?;
                let query = parser.query()?;
                parser.expect_symbol(")")?;
                Ok(With { name, columns, query })
            })?;
        }
        let body = self.body()?;
        let order = if self.take_word("ORDER") {
            self.expect_word("BY")?;
            self.list(Self::order)?
        } else {
            Vec::new()
        };
        let mut limit = None;
        if self.take_word("LIMIT") && !self.take_word("ALL") {
            limit = Some(self.number()?);
        }
        let offset = if self.take_word("OFFSET") { self.number()? } else { 0 };
        self.take_word("ROWS");
        if self.take_word("FETCH") {
            if !self.take_word("FIRST") {
                self.expect_word("NEXT")?;
            }
            limit = Some(self.number()?);
            if !self.take_word("ROWS") {
                self.expect_word("ROW")?;
            }
            self.expect_word("ONLY")?;
        }
        Ok(Query { with, body, order, limit, offset, at: start.to(self.last()) })
    }

    fn order(&mut self) -> Result<Order, Error> {
        let by = self.expression()?;
        let descending = self.take_word("DESC");
        if !descending {
            self.take_word("ASC");
        }
        let mut nulls_first = None;
        if self.take_word("NULLS") {
            nulls_first = Some(self.take_word("FIRST"));
            if nulls_first == Some(false) {
                self.expect_word("LAST")?;
            }
        }
        Ok(Order { by, descending, nulls_first })
    }

    /// Unions and differences, which bind less than intersections.
    fn body(&mut self) -> Result<Body, Error> {
        let start = self.span();
        let mut left = self.intersection()?;
        loop {
            let operation = match () {
                () if self.take_word("UNION") => SetOperation::Union,
                () if self.take_word("EXCEPT") || self.take_word("MINUS") => SetOperation::Except,
                () => return Ok(left),
            };
            self.link()?;
            let all = self.quantifier();
            let right = self.intersection()?;
            let at = start.to(self.last());
            left = Body::Set { operation, all, left: Box::new(left), right: Box::new(right), at };
        }
    }

    fn intersection(&mut self) -> Result<Body, Error> {
        let start = self.span();
        let mut left = self.simple_body()?;
        while self.take_word("INTERSECT") {
            self.link()?;
            let all = self.quantifier();
            let right = self.simple_body()?;
            let (operation, at) = (SetOperation::Intersect, start.to(self.last()));
            left = Body::Set { operation, all, left: Box::new(left), right: Box::new(right), at };
        }
        Ok(left)
    }

    /// Whether all duplicates are kept.
    fn quantifier(&mut self) -> bool {
        let all = self.take_word("ALL");
        if !all {
            self.take_word("DISTINCT");
        }
        all
    }

    fn simple_body(&mut self) -> Result<Body, Error> {
        if self.take_symbol("(") {
            let query = self.query()?;
            self.expect_symbol(")")?;
            return Ok(Body::Query(Box::new(query)));
        }
        let start = self.span();
        if self.take_word("VALUES") {
            let rows = self.list(|parser| {
                if !parser.take_symbol("(") {
                    return Ok(vec![parser.expression()?]);
                }
                let row = parser.list(Self::expression)?;
                parser.expect_symbol(")")?;
                Ok(row)
            })?;
            return Ok(Body::Values(rows, start.to(self.last())));
        }
        self.select().map(|select| Body::Select(Box::new(select)))
    }

    fn select(&mut self) -> Result<Select, Error> {
        self.expect_word("SELECT")?;
        let distinct = self.take_word("DISTINCT");
        if !distinct {
            self.take_word("ALL");
        }
        let items = self.list(Self::item)?;
        let from = if self.take_word("FROM") { Some(self.sources()?) } else { None };
        let filter = if self.take_word("WHERE") { Some(self.expression()?) } else { None };
        let group = if self.take_word("GROUP") { Some(self.group()?) } else { None };
        let having = if self.take_word("HAVING") { Some(self.expression()?) } else { None };
        if self.is_any(&["QUALIFY", "WINDOW"]) {
            return self.unsupported("window functions");
        }
        Ok(Select { distinct, items, from, filter, group, having })
    }

    fn item(&mut self) -> Result<Item, Error> {
        let at = self.span();
        if self.take_symbol("*") {
            return Ok(Item::All(None, at));
        }
        let is_qualified = matches!(self.peek().kind, Kind::Word { .. });
        if is_qualified && self.is_symbol_at(1, ".") && self.is_symbol_at(2, "*") {
            let name = self.name()?;
            self.bump();
            self.bump();
            return Ok(Item::All(Some(name), at.to(self.last())));
        }
        let value = self.expression()?;
        let alias = if self.take_word("AS") || self.is_alias() { Some(self.name()?) } else { None };
        Ok(Item::Expression(value, alias))
    }

    /// Whether the next word is an alias without `AS`.
    fn is_alias(&self) -> bool {
        match &self.peek().kind {
            Kind::Word { quoted: true, .. } => true,
            Kind::Word { text, .. } => {
                !super::is_reserved(text)
                    && ![
                        "QUALIFY",
                        "PIVOT",
                        "TABLESAMPLE",
                        "MATCH_RECOGNIZE",
                        "ASOF",
                        "OUTER",
                        "ROWS",
                        "MATCH_CONDITION",
                    ]
                    .iter()
                    .any(|word| word.eq_ignore_ascii_case(text))
            }
            _ => false,
        }
    }

    fn group(&mut self) -> Result<Vec<Expression>, Error> {
        self.expect_word("BY")?;
        if self.is_any(&["CUBE", "ROLLUP", "GROUPING"]) && !self.is_symbol_at(1, ",") {
            return self.unsupported("grouping sets");
        }
        self.quantifier();
        if self.is_symbol("(") && self.is_symbol_at(1, ")") {
            self.bump();
            self.bump();
            return Ok(Vec::new());
        }
        let keys = self.list(Self::expression)?;
        if self.is_any(&["CUBE", "ROLLUP", "GROUPING"]) {
            return self.unsupported("grouping sets");
        }
        Ok(keys)
    }

    /// Relations with commas between them.
    fn sources(&mut self) -> Result<Source, Error> {
        let start = self.span();
        let mut left = self.joins()?;
        while self.take_symbol(",") {
            self.link()?;
            let right = self.joins()?;
            let (kind, condition, at) = (JoinKind::Inner, Condition::None, start.to(self.last()));
            left = Source::Join { left: Box::new(left), right: Box::new(right), kind, condition, at };
        }
        Ok(left)
    }

    fn joins(&mut self) -> Result<Source, Error> {
        let start = self.span();
        let mut left = self.source()?;
        loop {
            if self.is_word("ASOF") || (self.is_word("LEFT") && self.is_word_at(1, "ASOF")) {
                return self.unsupported("ASOF joins");
            }
            if self.is_any(&["CROSS", "OUTER"]) && self.is_word_at(1, "APPLY") {
                return self.unsupported("APPLY");
            }
            let cross = self.take_words(&["CROSS", "JOIN"]);
            let natural = !cross && self.take_word("NATURAL");
            let kind = match () {
                () if cross => JoinKind::Inner,
                () if self.take_words(&["INNER", "JOIN"]) || self.take_word("JOIN") => JoinKind::Inner,
                () if self.take_words(&["LEFT", "JOIN"]) || self.take_words(&["LEFT", "OUTER", "JOIN"]) => {
                    JoinKind::Left
                }
                () if self.take_words(&["RIGHT", "JOIN"]) || self.take_words(&["RIGHT", "OUTER", "JOIN"]) => {
                    JoinKind::Right
                }
                () if self.take_words(&["FULL", "JOIN"]) || self.take_words(&["FULL", "OUTER", "JOIN"]) => {
                    JoinKind::Full
                }
                () if natural => return Err(self.unexpected()),
                () => return Ok(left),
            };
            self.link()?;
            let right = self.source()?;
            let condition = match () {
                () if cross => Condition::None,
                () if natural => Condition::Natural,
                () if self.take_word("ON") => Condition::On(self.expression()?),
                () if self.take_word("USING") => Condition::Using(self.name_list()?),
                () => Condition::None,
            };
            let at = start.to(self.last());
            left = Source::Join { left: Box::new(left), right: Box::new(right), kind, condition, at };
        }
    }

    fn source(&mut self) -> Result<Source, Error> {
        self.nested(Self::plain_source)
    }

    fn plain_source(&mut self) -> Result<Source, Error> {
        if self.is_any(&["LATERAL", "UNNEST"]) {
            return self.unsupported("lateral joins");
        }
        if self.is_word("TABLE") && self.is_symbol_at(1, "(") {
            return self.unsupported("table functions such as TUMBLE and HOP");
        }
        if self.is_symbol("(") {
            if self.is_query() {
                self.bump();
                let query = Box::new(self.query()?);
                self.expect_symbol(")")?;
                return Ok(Source::Query { query, alias: self.alias()? });
            }
            self.bump();
            let inner = self.sources()?;
            self.expect_symbol(")")?;
            return Ok(inner);
        }
        let name = self.names()?;
        if self.is_symbol("(") {
            return self.unsupported("table functions");
        }
        if self.is_any(&["PIVOT", "TABLESAMPLE", "MATCH_RECOGNIZE"]) {
            return self.unsupported("PIVOT");
        }
        if self.is_word("FOR") {
            return self.unsupported("FOR SYSTEM_TIME");
        }
        Ok(Source::Relation { name, alias: self.alias()? })
    }

    fn alias(&mut self) -> Result<Option<Alias>, Error> {
        if self.take_word("AS") || self.is_alias() {
            return Ok(Some(Alias { name: self.name()?, columns: self.name_list()? }));
        }
        Ok(None)
    }

    /// A query in parentheses, as a value.
    pub(super) fn query_value(&mut self, make: impl Fn(Query) -> Node) -> Result<Node, Error> {
        self.expect_symbol("(")?;
        let query = self.query()?;
        self.expect_symbol(")")?;
        Ok(make(query))
    }
}
