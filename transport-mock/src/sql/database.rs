//! Tables, what they hold, and statements that are carried out at once.

use std::cell::Cell;
use std::collections::BTreeMap;

use super::Dialect;
use super::ast::{CreateTable, CreateView, Delete, Insert, Name, Statement};
use super::bind::{Binder, Catalog, Found, MOST_PARTS, check_depth, rename};
use super::error::{Error, Span};
use super::eval::{Bag, Budget, Environment, Relations, cast, evaluate};
use super::parser::Parser;
use super::plan::Plan;
use super::types::Column;
use super::value::{Row, Value};

/// The result of a query.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ResultSet {
    pub(crate) columns: Vec<Column>,
    /// Each as often as it occurs.
    pub(crate) rows: Vec<Row>,
}

impl ResultSet {
    pub(crate) fn new(columns: Vec<Column>, rows: Bag, budget: &Budget) -> Result<Self, Error> {
        for (row, weight) in &rows {
            budget.copies(row, u64::try_from(*weight).unwrap_or(0))?;
        }
        let copies = |(row, weight): (Row, i64)| std::iter::repeat_n(row, usize::try_from(weight).unwrap_or(0));
        Ok(Self { columns, rows: rows.into_iter().flat_map(copies).collect() })
    }
}

/// What a statement did.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    /// A table, view or type was created or dropped.
    Done,
    /// So many rows were inserted or deleted.
    Changed(u64),
    Rows(ResultSet),
}

/// The rows of a table, and how often each occurs.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Table {
    pub(crate) columns: Vec<Column>,
    /// Places of the columns of the primary key.
    pub(crate) key: Vec<usize>,
    /// By key and value, as in `WITH ('connector' = 'datagen')`.
    pub(crate) options: BTreeMap<String, String>,
    rows: BTreeMap<Row, i64>,
    /// With a key: the row of each key.
    by_key: BTreeMap<Row, Row>,
}

impl Table {
    pub(crate) fn new(columns: Vec<Column>, key: Vec<usize>) -> Self {
        Self { columns, key, ..Self::default() }
    }

    /// The rows, each once, and how often it occurs.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&Row, i64)> {
        self.rows.iter().map(|(row, count)| (row, *count))
    }

    /// Inserts or deletes a row; what has changed. With a key, an insert replaces the row of the key, and a deletion
    /// needs no more than the key. A row that does not exist is not deleted.
    pub(crate) fn apply(&mut self, row: Row, delete: bool) -> Bag {
        if self.key.is_empty() {
            let count = self.rows.get(&row).copied().unwrap_or(0);
            match (delete, count) {
                (true, 0) => return Vec::new(),
                (true, 1) => drop(self.rows.remove(&row)),
                (true, _) => drop(self.rows.insert(row.clone(), count - 1)),
                (false, _) => drop(self.rows.insert(row.clone(), count + 1)),
            }
            return vec![(row, if delete { -1 } else { 1 })];
        }
        let key: Row = self.key.iter().map(|at| row[*at].clone()).collect();
        let mut changes = Bag::new();
        if let Some(before) = self.by_key.remove(&key) {
            self.rows.remove(&before);
            changes.push((before, -1));
        }
        if !delete {
            self.rows.insert(row.clone(), 1);
            self.by_key.insert(key, row.clone());
            changes.push((row, 1));
        }
        changes
    }
}

/// See the module. It is a function of the statements alone, and a clone of it is a snapshot.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    dialect: Dialect,
    tables: BTreeMap<String, Table>,
    /// Evaluated whenever they are read.
    views: BTreeMap<String, Plan>,
}

impl Catalog for Database {
    fn relation(&self, name: &str) -> Option<Found<'_>> {
        let table = self.tables.get(name).map(|table| &table.columns);
        table.or_else(|| self.views.get(name).map(|view| &view.columns)).map(|columns| Found::Columns(columns))
    }
}

impl Relations for Database {
    fn rows(&self, name: &str) -> Box<dyn Iterator<Item = (&Row, i64)> + '_> {
        match self.tables.get(name) {
            Some(table) => Box::new(table.rows()),
            None => Box::new(std::iter::empty()),
        }
    }
}

impl Database {
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self { dialect, tables: BTreeMap::new(), views: BTreeMap::new() }
    }

    /// The columns of a table or view.
    pub(crate) fn columns(&self, name: &str) -> Option<&[Column]> {
        match self.relation(name) {
            Some(Found::Columns(columns)) => Some(columns),
            _ => None,
        }
    }

    /// Carries out a text with one statement.
    pub(crate) fn execute(&mut self, text: &str) -> Result<Outcome, Error> {
        let mut parser = Parser::new(text, self.dialect)?;
        let Some((statement, at)) = parser.next_statement()? else {
            return Err(Error::syntax("Encountered \"<EOF>\" at line 0, column 0.", parser.end()));
        };
        if let Some((_, at)) = parser.next_statement()? {
            return Err(Error::syntax("only single statement supported", at));
        }
        self.carry_out(&statement, at)
    }

    /// The columns that a query would have, without its evaluation.
    pub(crate) fn describe(&self, text: &str) -> Result<Vec<Column>, Error> {
        let mut parser = Parser::new(text, self.dialect)?;
        match parser.next_statement()? {
            Some((Statement::Query(query), _)) => Ok(self.plan(&query)?.columns),
            Some((_, at)) => Err(Error::validation("it is not a query", at)),
            None => Ok(Vec::new()),
        }
    }

    /// The plan of a query, with views written out.
    fn plan(&self, query: &super::ast::Query) -> Result<Plan, Error> {
        let mut plan = Binder::new(self, self.dialect).plan(query)?;
        // A view that reads views grows with each of them.
        let left = Cell::new(MOST_PARTS);
        let too_large = Cell::new(false);
        plan.replace_scans(&|name| {
            let view = self.views.get(name)?;
            match left.get().checked_sub(view.parts()) {
                Some(rest) => left.set(rest),
                None => too_large.set(true),
            }
            (!too_large.get()).then(|| view.clone())
        });
        if too_large.get() {
            let what = format!("views of more than {MOST_PARTS} expressions and relations");
            return Err(Error::unsupported(what, query.at));
        }
        Ok(plan)
    }

    fn query(&self, query: &super::ast::Query) -> Result<ResultSet, Error> {
        let plan = self.plan(query)?;
        let budget = Budget::default();
        let rows = evaluate(&plan, Environment::new(self, &budget))?;
        ResultSet::new(plan.columns, rows, &budget)
    }

    fn carry_out(&mut self, statement: &Statement, at: Span) -> Result<Outcome, Error> {
        match statement {
            Statement::Query(query) => Ok(Outcome::Rows(self.query(query)?)),
            Statement::CreateTable(table) => self.create_table(table),
            Statement::CreateView(view) => self.create_view(view),
            Statement::Insert(insert) => self.insert(insert),
            Statement::Delete(delete) => self.delete(delete),
            Statement::Drop(dropped) => {
                let name = &dropped.name;
                let existed = if dropped.is_view {
                    self.views.remove(&name.text).is_some()
                } else {
                    self.tables.remove(&name.text).is_some()
                };
                if existed || dropped.if_exists { Ok(Outcome::Done) } else { Err(self.missing(name)) }
            }
            Statement::DeclareView(_) => Err(Error::unsupported("recursive views", at)),
            Statement::CreateFunction(..) => Err(Error::unsupported("user-defined functions", at)),
            Statement::CreateType(..) | Statement::CreateIndex | Statement::Lateness => Ok(Outcome::Done),
        }
    }

    fn missing(&self, name: &Name) -> Error {
        Error::validation(self.dialect.missing_relation(&name.text), name.at)
    }

    fn create_table(&mut self, create: &CreateTable) -> Result<Outcome, Error> {
        let name = &create.name;
        if self.relation(&name.text).is_some() {
            if create.if_not_exists {
                return Ok(Outcome::Done);
            }
            return Err(Error::validation(format!("Object '{}' already exists", name.text), name.at));
        }
        let (columns, key) = table_columns(create)?;
        let mut table = Table::new(columns, key);
        table.options = create.options.iter().map(|option| (option.key.clone(), option.value.clone())).collect();
        self.tables.insert(name.text.clone(), table);
        Ok(Outcome::Done)
    }

    fn create_view(&mut self, create: &CreateView) -> Result<Outcome, Error> {
        let name = &create.name;
        if self.relation(&name.text).is_some() {
            return Err(Error::validation(format!("Object '{}' already exists", name.text), name.at));
        }
        let mut plan = self.plan(create.query.as_ref().map_err(Clone::clone)?)?;
        check_depth(&plan, "views", name.at)?;
        rename(&mut plan.columns, &create.columns, name)?;
        self.views.insert(name.text.clone(), plan);
        Ok(Outcome::Done)
    }

    fn insert(&mut self, insert: &Insert) -> Result<Outcome, Error> {
        let table = self.tables.get(&insert.table.text).ok_or_else(|| self.missing(&insert.table))?;
        let result = self.query(&insert.query)?;
        let rows = inserted(&insert.table, &insert.columns, &table.columns, result)?;
        let count = rows.len() as u64;
        if let Some(table) = self.tables.get_mut(&insert.table.text) {
            for row in rows {
                table.apply(row, false);
            }
        }
        Ok(Outcome::Changed(count))
    }

    fn delete(&mut self, delete: &Delete) -> Result<Outcome, Error> {
        let table = self.tables.get(&delete.table.text).ok_or_else(|| self.missing(&delete.table))?;
        let filter = match &delete.filter {
            Some(filter) => Some(Binder::new(self, self.dialect).over(&delete.table, &table.columns, filter)?),
            None => None,
        };
        let budget = Budget::default();
        let mut doomed = Vec::new();
        for (row, count) in table.rows() {
            let dies = match &filter {
                Some(filter) => filter.evaluate(row, Environment::new(self, &budget))?.is_true(),
                None => true,
            };
            if dies {
                doomed.extend((0..count).map(|_| row.clone()));
            }
        }
        let count = doomed.len() as u64;
        if let Some(table) = self.tables.get_mut(&delete.table.text) {
            for row in doomed {
                table.apply(row, true);
            }
        }
        Ok(Outcome::Changed(count))
    }
}

/// The columns of a table, and the places of its primary key.
pub(crate) fn table_columns(create: &CreateTable) -> Result<(Vec<Column>, Vec<usize>), Error> {
    let mut columns: Vec<Column> = Vec::new();
    let mut key = Vec::new();
    for defined in &create.columns {
        if columns.iter().any(|column| column.name == defined.name.text) {
            return Err(Error::validation(format!("Duplicate column name '{}'", defined.name.text), defined.name.at));
        }
        if defined.is_key {
            key.push(columns.len());
        }
        let Name { text, quoted, .. } = &defined.name;
        let (kind, nullable) = (defined.kind.clone(), defined.nullable);
        columns.push(Column { name: text.clone(), quoted: *quoted, kind, nullable });
    }
    for name in &create.key {
        let at = columns.iter().position(|column| column.name == name.text);
        let at =
            at.ok_or_else(|| Error::validation(format!("Column '{}' not found in any table", name.text), name.at))?;
        columns[at].nullable = false;
        key.push(at);
    }
    Ok((columns, key))
}

/// The rows of an `INSERT`, with all columns of their table.
pub(crate) fn inserted(table: &Name, names: &[Name], columns: &[Column], result: ResultSet) -> Result<Vec<Row>, Error> {
    let mut places = Vec::new();
    for name in names {
        let at = columns.iter().position(|column| column.name == name.text);
        places.push(at.ok_or_else(|| Error::validation(format!("Unknown target column '{}'", name.text), name.at))?);
    }
    if names.is_empty() {
        places = (0..columns.len()).collect();
    }
    if places.len() != result.columns.len() {
        let message = format!(
            "Number of INSERT target columns ({}) does not equal number of source items ({})",
            places.len(),
            result.columns.len()
        );
        return Err(Error::validation(message, table.at));
    }
    let mut rows = Vec::new();
    for source in result.rows {
        let mut row = vec![Value::Null; columns.len()];
        for ((at, value), from) in places.iter().zip(source).zip(&result.columns) {
            row[*at] = cast(&value, &from.kind, &columns[*at].kind)?;
        }
        if let Some((column, _)) = columns.iter().zip(&row).find(|(column, value)| !column.nullable && value.is_null())
        {
            return Err(Error::evaluation(format!(
                "Column '{}' has no default value and does not allow NULLs",
                column.name
            )));
        }
        rows.push(row);
    }
    Ok(rows)
}
