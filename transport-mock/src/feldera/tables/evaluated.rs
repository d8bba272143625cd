//! The rows of tables, and views that are evaluated after each step.
//!
//! Filters, projections and unions pass the changes of a step on. Any other view is evaluated from the beginning when a
//! relation that it reads has changed, and the difference to what it had is the change. The views are a function of the
//! tables, so a checkpoint keeps the tables and the rows of scripted views, and the rest follows.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::super::program::{Column, Program, Source, Table, View};
use super::super::rows::Change;
use super::{Record, quoted};
use crate::sql::ast::SetOperation;
use crate::sql::{self, Bag, Budget, Environment, Node, Plan, Relations, Row, Scalar, Value, json};

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tables {
    stored: BTreeMap<String, sql::Table>,
    views: BTreeMap<String, BTreeMap<Row, i64>>,
    /// Views that have the rows of a table.
    shown: BTreeMap<String, String>,
}

/// What a step has changed in a relation, or in several that have the same rows.
#[derive(Debug)]
pub(crate) struct Delta<'a> {
    pub(crate) relations: Vec<&'a str>,
    columns: &'a [Column],
    rows: Bag,
}

impl Delta<'_> {
    /// The changes of several parts of a step, as one change of each relation.
    pub(crate) fn merged(mut parts: Vec<Vec<Self>>) -> Vec<Self> {
        if parts.len() == 1 {
            return parts.pop().unwrap_or_default();
        }
        let mut merged: Vec<Self> = Vec::new();
        for delta in parts.into_iter().flatten() {
            match merged.iter_mut().find(|known| known.relations == delta.relations) {
                Some(known) => known.rows.extend(delta.rows),
                None => merged.push(delta),
            }
        }
        for delta in &mut merged {
            delta.rows = cancelled(std::mem::take(&mut delta.rows));
        }
        merged.retain(|delta| !delta.rows.is_empty());
        merged
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.iter().map(|(_, weight)| copies(*weight)).sum()
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        let record =
            |(row, weight): &(Row, i64)| std::iter::repeat_n(record(self.columns, row, *weight < 0), copies(*weight));
        self.rows.iter().flat_map(record).collect()
    }
}

fn copies(weight: i64) -> usize {
    usize::try_from(weight.unsigned_abs()).unwrap_or(usize::MAX)
}

impl Relations for Tables {
    fn rows(&self, name: &str) -> Box<dyn Iterator<Item = (&Row, i64)> + '_> {
        let name = self.shown.get(name).map_or(name, String::as_str);
        match (self.stored.get(name), self.views.get(name)) {
            (Some(table), _) => Box::new(table.rows()),
            (None, Some(rows)) => Box::new(rows.iter().map(|(row, weight)| (row, *weight))),
            (None, None) => Box::new(std::iter::empty()),
        }
    }
}

impl Tables {
    /// Prepares for a program; a process calls it when it starts. Tables keep their rows if they have the same columns.
    pub(crate) fn open(&mut self, program: &Program) -> Result<(), String> {
        let mut tables = std::mem::take(&mut self.stored);
        for table in &program.tables {
            let empty = declared(table);
            let kept = tables.remove(&table.name).filter(|kept| kept.columns == empty.columns && kept.key == empty.key);
            self.stored.insert(table.name.clone(), kept.unwrap_or(empty));
        }
        let mut views = std::mem::take(&mut self.views);
        self.shown.clear();
        for View { name, source, .. } in &program.views {
            let rows = match source {
                Source::Table(table) => {
                    self.shown.insert(name.clone(), table.clone());
                    continue;
                }
                Source::Query(plan) => {
                    let budget = Budget::default();
                    let rows =
                        sql::evaluate(plan, Environment::new(self, &budget)).and_then(|rows| bounded(rows, &budget));
                    sql::consolidate(rows.map_err(|error| format!("view '{name}': {error}"))?)
                }
                Source::Scripted => views.remove(name).unwrap_or_default(),
            };
            self.views.insert(name.clone(), rows);
        }
        Ok(())
    }

    /// Changes rows of a table; what has really changed, in it and in its views.
    pub(crate) fn apply<'a>(
        &mut self,
        program: &'a Program,
        table: &'a Table,
        changes: Vec<Change>,
    ) -> Result<Vec<Delta<'a>>, String> {
        let stored = self.stored.entry(table.name.clone()).or_insert_with(|| declared(table));
        let mut all = Bag::new();
        for Change { delete, row } in changes {
            let value = |column: &Column| match &row[&column.name] {
                Json::Null => Value::Null,
                value => json::read(value, &column.sql).unwrap_or(Value::Null),
            };
            all.extend(stored.apply(table.columns.iter().map(value).collect(), delete));
        }
        let rows = cancelled(all);
        let views = program.views.iter().filter(|view| view.source == Source::Table(table.name.clone()));
        let relations = [table.name.as_str()].into_iter().chain(views.map(|view| view.name.as_str())).collect();
        self.propagate(program, Delta { relations, columns: &table.columns, rows })
    }

    /// Changes rows of a view that a test scripts; what has changed, in it and in views that show it.
    pub(crate) fn emit<'a>(
        &mut self,
        program: &'a Program,
        view: &str,
        changes: Vec<Change>,
    ) -> Result<Vec<Delta<'a>>, String> {
        let Some(view) = program.views.iter().find(|known| known.name == view) else { return Ok(Vec::new()) };
        let held = self.views.entry(view.name.clone()).or_default();
        let mut all = Bag::new();
        for Change { delete, row } in changes {
            let row = scripted_row(&view.columns, &row);
            // As in a table, a row that does not exist is not deleted.
            if delete && !held.contains_key(&row) {
                continue;
            }
            let change = vec![(row, if delete { -1 } else { 1 })];
            add(held, &change);
            all.extend(change);
        }
        let rows = cancelled(all);
        self.propagate(program, Delta { relations: vec![&view.name], columns: &view.columns, rows })
    }

    /// Evaluates the views after a change of a relation.
    fn propagate<'a>(&mut self, program: &'a Program, first: Delta<'a>) -> Result<Vec<Delta<'a>>, String> {
        let mut deltas = vec![first];
        for view in &program.views {
            let Source::Query(plan) = &view.source else { continue };
            let mut reads_changed = false;
            plan.for_each_relation(&mut |name| {
                reads_changed |= deltas.iter().any(|delta| delta.relations.contains(&name));
            });
            if !reads_changed {
                continue;
            }
            let budget = Budget::default();
            let environment = Environment::new(self, &budget);
            let rows = match passed_on(plan, &deltas, environment) {
                Some(rows) => rows.map(cancelled),
                None => sql::evaluate(plan, environment).map(|rows| self.difference(&view.name, rows)),
            };
            let rows = rows.and_then(|rows| bounded(rows, &budget));
            let rows = rows.map_err(|error| format!("view '{}': {error}", view.name))?;
            add(self.views.entry(view.name.clone()).or_default(), &rows);
            deltas.push(Delta { relations: vec![&view.name], columns: &view.columns, rows });
        }
        deltas.retain(|delta| !delta.rows.is_empty());
        Ok(deltas)
    }

    /// What must change in a view for it to have these rows: first deletions, then insertions.
    fn difference(&self, view: &str, rows: Bag) -> Bag {
        let old = self.views.get(view).into_iter().flatten().map(|(row, weight)| (row.clone(), -weight));
        let difference = sql::consolidate(rows.into_iter().chain(old));
        let (mut deletions, insertions): (Bag, Bag) = difference.into_iter().partition(|(_, weight)| *weight < 0);
        deletions.extend(insertions);
        deletions
    }

    /// The rows of all tables, each as often as it is there.
    pub(crate) fn contents(&self, program: &Program) -> BTreeMap<String, Vec<Json>> {
        let table = |table: &Table| {
            let object = |row: &Row| {
                let fields = table.columns.iter().zip(row);
                Json::Object(
                    fields.map(|(column, value)| (column.name.clone(), json::to_json(value, &column.sql))).collect(),
                )
            };
            let rows =
                self.rows(&table.name).flat_map(|(row, weight)| std::iter::repeat_n(object(row), copies(weight)));
            (table.name.clone(), rows.collect())
        };
        program.tables.iter().map(table).collect()
    }

    /// The rows of a table or view, for a snapshot.
    pub(crate) fn snapshot(&self, program: &Program, relation: &str) -> Vec<Record> {
        let columns = program.relation(&format!("\"{relation}\"")).map_or(&[][..], |relation| relation.columns);
        let rows = self.rows(relation);
        rows.flat_map(|(row, weight)| std::iter::repeat_n(record(columns, row, false), copies(weight))).collect()
    }
}

fn declared(table: &Table) -> sql::Table {
    let columns = table.columns.iter().map(|column| sql::Column {
        name: column.name.clone(),
        quoted: column.quoted,
        kind: column.sql.clone(),
        nullable: column.nullable,
    });
    let key = table.columns.iter().enumerate().filter(|(_, column)| column.key).map(|(at, _)| at);
    sql::Table::new(columns.collect(), key.collect())
}

/// The row of a scripted view: its columns, or the whole object if their names are not known.
fn scripted_row(columns: &[Column], row: &Json) -> Row {
    let json = |value: &Json| if value.is_null() { Value::Null } else { Value::Json(value.to_string().into()) };
    if columns.is_empty() {
        return vec![json(row)];
    }
    columns.iter().map(|column| json(&row[&column.name])).collect()
}

fn record(columns: &[Column], row: &Row, delete: bool) -> Record {
    if let ([], [Value::Json(object)]) = (columns, row.as_slice()) {
        let fields: Json = serde_json::from_str(object).unwrap_or_default();
        let csv = fields.as_object().into_iter().flatten().map(|(_, value)| match value {
            Json::Null => String::new(),
            Json::String(text) => quoted(text),
            other => quoted(&other.to_string()),
        });
        return Record { delete, json: object.to_string(), csv: csv.collect::<Vec<_>>().join(",") };
    }
    let pairs = columns.iter().map(|column| (column.name.as_str(), &column.sql));
    let csv = columns.iter().zip(row).map(|(column, value)| quoted(&json::to_plain(value, &column.sql, ' ')));
    Record { delete, json: json::row(pairs, row, ' '), csv: csv.collect::<Vec<_>>().join(",") }
}

/// Rows, unless there are too many copies of them to send.
fn bounded(rows: Bag, budget: &Budget) -> Result<Bag, sql::Error> {
    for (row, weight) in &rows {
        budget.copies(row, weight.unsigned_abs())?;
    }
    Ok(rows)
}

/// Adds changes to the rows of a view.
fn add(rows: &mut BTreeMap<Row, i64>, changes: &Bag) {
    for (row, weight) in changes {
        let sum = rows.entry(row.clone()).or_insert(0);
        *sum += weight;
        if *sum == 0 {
            rows.remove(row);
        }
    }
}

/// Changes in their order, without those that another one takes back.
fn cancelled(changes: Bag) -> Bag {
    let mut net = sql::consolidate(changes.iter().cloned());
    let mut kept = Bag::new();
    for (row, weight) in changes {
        let Some(left) = net.get_mut(&row).filter(|left| left.signum() == weight.signum()) else { continue };
        let taken = if weight < 0 { weight.max(*left) } else { weight.min(*left) };
        *left -= taken;
        if taken != 0 {
            kept.push((row, taken));
        }
    }
    kept
}

/// The changes of a plan that takes rows one by one, from the changes of what it reads; `None` if it does not.
fn passed_on(plan: &Plan, deltas: &[Delta<'_>], environment: Environment<'_>) -> Option<Result<Bag, sql::Error>> {
    match &plan.node {
        Node::Scan(name) => {
            let changed = deltas.iter().find(|delta| delta.relations.contains(&name.as_str()));
            Some(Ok(changed.map(|delta| delta.rows.clone()).unwrap_or_default()))
        }
        Node::Filter(input, condition) if !condition.has_query() => {
            let rows = passed_on(input, deltas, environment)?;
            Some(rows.and_then(|rows| sql::over(plan, rows, environment)))
        }
        Node::Project(input, values) if !values.iter().any(Scalar::has_query) => {
            let rows = passed_on(input, deltas, environment)?;
            Some(rows.and_then(|rows| sql::over(plan, rows, environment)))
        }
        Node::Set { operation: SetOperation::Union, all: true, left, right } => {
            let (left, right) = (passed_on(left, deltas, environment)?, passed_on(right, deltas, environment)?);
            Some(left.and_then(|left| Ok(left.into_iter().chain(right?).collect())))
        }
        _ => None,
    }
}
