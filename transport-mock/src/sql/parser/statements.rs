//! Statements.

use super::super::ast::{
    ColumnDefinition, CreateTable, CreateView, Delete, Drop, Insert, Name, Property, Statement, ViewKind,
};
use super::super::error::{Error, ErrorKind};
use super::super::types::Type;
use super::Parser;

impl Parser<'_> {
    pub(super) fn statement(&mut self) -> Result<Statement, Error> {
        match self.word_at(0).map(str::to_uppercase).as_deref() {
            Some("CREATE") => self.create(),
            Some("INSERT") => self.insert(),
            Some("DELETE") => self.delete(),
            Some("DROP") => self.drop(),
            Some("DECLARE") => {
                self.bump();
                self.expect_word("RECURSIVE")?;
                self.expect_word("VIEW")?;
                let name = self.name()?;
                self.skip_parentheses()?;
                Ok(Statement::DeclareView(name))
            }
            Some("LATENESS") => {
                self.bump();
                self.name()?;
                self.skip_statement();
                Ok(Statement::Lateness)
            }
            Some("SELECT" | "WITH" | "VALUES") => Ok(Statement::Query(self.query()?)),
            _ if self.is_symbol("(") => Ok(Statement::Query(self.query()?)),
            _ => Err(self.unexpected()),
        }
    }

    fn create(&mut self) -> Result<Statement, Error> {
        self.bump();
        let temporary = self.take_word("TEMPORARY");
        if self.take_word("TABLE") {
            return self.create_table();
        }
        let kind = match () {
            () if self.take_word("LOCAL") => ViewKind::Local,
            () if self.take_word("MATERIALIZED") => ViewKind::Materialized,
            () => ViewKind::Plain,
        };
        if self.take_word("VIEW") {
            return self.create_view(kind);
        }
        if temporary || kind != ViewKind::Plain {
            return Err(self.unexpected());
        }
        if self.take_word("TYPE") {
            return self.create_type();
        }
        if self.take_word("FUNCTION") || self.take_words(&["LINEAR", "AGGREGATE"]) || self.take_word("AGGREGATE") {
            let name = self.name()?;
            self.skip_parentheses()?;
            self.expect_word("RETURNS")?;
            let kind = self.kind()?;
            self.skip_statement();
            return Ok(Statement::CreateFunction(name, kind));
        }
        if self.take_word("INDEX") {
            self.name()?;
            self.expect_word("ON")?;
            self.name()?;
            self.name_list()?;
            return Ok(Statement::CreateIndex);
        }
        Err(self.unexpected())
    }

    fn create_type(&mut self) -> Result<Statement, Error> {
        let name = self.name()?;
        self.expect_word("AS")?;
        let kind = if self.is_symbol("(") {
            self.skip_parentheses()?;
            Type::Opaque("STRUCT")
        } else {
            self.kind()?
        };
        self.take_words(&["NOT", "NULL"]);
        Ok(Statement::CreateType(name, kind))
    }

    fn create_table(&mut self) -> Result<Statement, Error> {
        let if_not_exists = self.take_words(&["IF", "NOT", "EXISTS"]);
        let name = self.name()?;
        self.expect_symbol("(")?;
        let mut table = CreateTable {
            name,
            columns: Vec::new(),
            key: Vec::new(),
            options: Vec::new(),
            if_not_exists,
            lateness: None,
        };
        loop {
            self.table_element(&mut table)?;
            if !self.take_symbol(",") {
                break;
            }
        }
        self.expect_symbol(")")?;
        if self.take_word("COMMENT") {
            self.literal_text()?;
        }
        if self.take_word("WITH") {
            table.options = self.properties()?;
        }
        Ok(Statement::CreateTable(table))
    }

    fn table_element(&mut self, table: &mut CreateTable) -> Result<(), Error> {
        if self.take_word("CONSTRAINT") {
            self.name()?;
        }
        if self.is_word("PRIMARY") && self.is_word_at(1, "KEY") {
            self.take_words(&["PRIMARY", "KEY"]);
            table.key.extend(self.name_list()?);
            self.take_words(&["NOT", "ENFORCED"]);
            return Ok(());
        }
        if self.take_words(&["FOREIGN", "KEY"]) {
            self.name_list()?;
            self.expect_word("REFERENCES")?;
            self.name()?;
            self.name_list()?;
            return Ok(());
        }
        if self.is_word("CHECK") && self.is_symbol_at(1, "(") {
            self.bump();
            return self.skip_parentheses();
        }
        if self.is_word("WATERMARK") && self.is_word_at(1, "FOR") {
            table.lateness = Some(self.span());
            self.take_words(&["WATERMARK", "FOR"]);
            self.names()?;
            self.expect_word("AS")?;
            self.expression()?;
            return Ok(());
        }
        let column = self.column()?;
        if column.has_lateness {
            table.lateness = table.lateness.or(Some(column.at));
        }
        table.columns.push(column);
        Ok(())
    }

    fn column(&mut self) -> Result<ColumnDefinition, Error> {
        let start = self.span();
        let name = self.name()?;
        if self.is_word("AS") {
            return self.unsupported("computed columns");
        }
        let kind = self.kind()?;
        let (mut nullable, mut is_key, mut default, mut has_lateness) = (true, false, None, false);
        loop {
            if self.take_words(&["NOT", "NULL"]) {
                nullable = false;
            } else if self.take_words(&["PRIMARY", "KEY"]) {
                is_key = true;
                self.take_words(&["NOT", "ENFORCED"]);
            } else if self.take_words(&["FOREIGN", "KEY"]) || self.is_word("REFERENCES") {
                self.expect_word("REFERENCES")?;
                self.name()?;
                self.name_list()?;
            } else if self.take_word("DEFAULT") {
                default = Some(self.expression()?);
            } else if self.is_word("LATENESS") || self.is_word("WATERMARK") {
                self.bump();
                self.expression()?;
                has_lateness = true;
            } else if self.is_word("METADATA") {
                return self.unsupported("metadata columns");
            } else if self.take_word("COMMENT") {
                self.literal_text()?;
            } else if !self.take_word("NULL") && !self.take_word("INTERNED") {
                break;
            }
        }
        let at = start.to(self.last());
        Ok(ColumnDefinition { name, kind, nullable: nullable && !is_key, is_key, default, has_lateness, at })
    }

    /// Pairs of texts in parentheses.
    fn properties(&mut self) -> Result<Vec<Property>, Error> {
        self.expect_symbol("(")?;
        let properties = self.list(|parser| {
            let key_at = parser.span();
            let key = parser.literal_text()?;
            if !parser.take_symbol("=") {
                parser.expect_symbol(":")?;
            }
            let value_at = parser.span();
            Ok(Property { key, key_at, value: parser.literal_text()?, value_at })
        })?;
        self.expect_symbol(")")?;
        Ok(properties)
    }

    fn create_view(&mut self, kind: ViewKind) -> Result<Statement, Error> {
        self.take_words(&["IF", "NOT", "EXISTS"]);
        let name = self.name()?;
        let columns = self.name_list()?;
        let options = if self.take_word("WITH") { self.properties()? } else { Vec::new() };
        self.expect_word("AS")?;
        let start = self.span();
        let query = match self.query() {
            // What follows is of the same construct, which the parser does not know.
            Err(error) if error.kind == ErrorKind::Unsupported => {
                self.depth = 0;
                self.skip_statement();
                Err(error)
            }
            Err(error) => return Err(error),
            Ok(query) => Ok(query),
        };
        let at = start.to(self.last());
        Ok(Statement::CreateView(CreateView { name, kind, columns, options, query, at }))
    }

    fn insert(&mut self) -> Result<Statement, Error> {
        self.bump();
        self.expect_word("INTO")?;
        let table = self.table_name()?;
        let columns = if self.is_symbol("(") && !self.is_word_at(1, "SELECT") && !self.is_word_at(1, "VALUES") {
            self.name_list()?
        } else {
            Vec::new()
        };
        Ok(Statement::Insert(Insert { table, columns, query: self.query()? }))
    }

    fn delete(&mut self) -> Result<Statement, Error> {
        self.bump();
        self.expect_word("FROM")?;
        let table = self.table_name()?;
        let filter = if self.take_word("WHERE") { Some(self.expression()?) } else { None };
        Ok(Statement::Delete(Delete { table, filter }))
    }

    fn drop(&mut self) -> Result<Statement, Error> {
        self.bump();
        self.take_word("TEMPORARY");
        let is_view = self.take_word("VIEW");
        if !is_view {
            self.expect_word("TABLE")?;
        }
        let if_exists = self.take_words(&["IF", "EXISTS"]);
        Ok(Statement::Drop(Drop { name: self.table_name()?, is_view, if_exists }))
    }

    /// The last of the names of a table: there is one catalog.
    fn table_name(&mut self) -> Result<Name, Error> {
        let mut names = self.names()?;
        names.pop().ok_or_else(|| self.unexpected())
    }

    /// Whether a statement begins here that makes nothing but a result.
    pub(super) fn is_query(&self) -> bool {
        self.is_any(&["SELECT", "WITH", "VALUES"]) || (self.is_symbol("(") && self.is_query_in_parentheses())
    }

    /// Whether what the next parenthesis encloses is a query, and not an expression or a join that begins with a query.
    fn is_query_in_parentheses(&self) -> bool {
        let opened = (0..self.tokens.len()).take_while(|ahead| self.is_symbol_at(*ahead, "(")).count();
        if !["SELECT", "WITH", "VALUES"].iter().any(|word| self.is_word_at(opened, word)) {
            return false;
        }
        // Of the parentheses at the start, this many are open; `depth` counts those of the query, too.
        let (mut left, mut depth) = (opened, opened);
        for ahead in opened..self.tokens.len() - self.at {
            if left == 1 {
                return true;
            }
            if self.is_symbol_at(ahead, "(") {
                depth += 1;
            } else if self.is_symbol_at(ahead, ")") {
                if depth == left {
                    if !self.continues_query_at(ahead + 1) {
                        return false;
                    }
                    left -= 1;
                }
                depth -= 1;
            }
        }
        // The text ends within it: the parser of queries says where.
        true
    }

    /// Whether a query in parentheses is over, or its set operation, order or limit follows.
    fn continues_query_at(&self, ahead: usize) -> bool {
        const WORDS: [&str; 8] = ["UNION", "EXCEPT", "MINUS", "INTERSECT", "ORDER", "LIMIT", "OFFSET", "FETCH"];
        self.is_symbol_at(ahead, ")") || WORDS.iter().any(|word| self.is_word_at(ahead, word))
    }
}
