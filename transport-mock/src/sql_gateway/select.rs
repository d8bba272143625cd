//! Queries that need no engine: columns of one table.

use super::catalog::{Catalogs, Path};
use super::failure::{Failure, Span};
use super::table::{Column, Relation};
use super::types::Kind as TypeKind;
use super::words::{Kind, Words};

/// Words that are values by themselves.
const VALUES: [&str; 8] =
    ["TRUE", "FALSE", "NULL", "CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP", "LOCALTIME", "LOCALTIMESTAMP"];

/// `SELECT columns FROM table LIMIT n`, or `SELECT n`.
#[derive(Debug)]
pub(super) struct Simple {
    /// `None` is `*`.
    pub(super) columns: Option<Vec<Item>>,
    /// The table and its place; `None` without `FROM`.
    pub(super) table: Option<(Vec<String>, Span)>,
    pub(super) limit: Option<u64>,
}

/// A column of a query.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) name: String,
    span: Span,
    alias: Option<String>,
}

impl Item {
    /// The number that it is, if it is one.
    pub(super) fn number(&self) -> Option<i32> {
        self.name.parse().ok()
    }
}

impl Simple {
    /// Reads a query; `None` if it is another statement.
    pub(super) fn read(mut words: Words<'_>) -> Option<Self> {
        if !words.take(&["SELECT"]) {
            return None;
        }
        let columns = if words.take(&["*"]) { None } else { Some(items(&mut words)?) };
        let table = if words.take(&["FROM"]) { Some(words.path().ok()?) } else { None };
        let limit = if words.take(&["LIMIT"]) { Some(words.number().ok()?.into()) } else { None };
        let is_number = |item: &Item| item.number().is_some();
        let fits = match (&columns, &table) {
            (Some(columns), None) => limit.is_none() && columns.iter().all(is_number),
            (Some(columns), Some(_)) => !columns.iter().any(is_number),
            (None, table) => table.is_some(),
        };
        (fits && words.is_at_end()).then_some(Self { columns, table, limit })
    }

    /// The column of the table that a column of the result shows.
    pub(super) fn origin<'a>(&'a self, column: &'a Column) -> &'a str {
        let items = self.columns.iter().flatten();
        let found = items.into_iter().find(|item| item.alias.as_ref() == Some(&column.name));
        found.map_or(column.name.as_str(), |item| item.name.as_str())
    }

    /// The table and the columns of the result.
    ///
    /// # Errors
    ///
    /// If the table or a column does not exist.
    pub(super) fn resolve(&self, catalogs: &Catalogs) -> Result<(Option<Path>, Vec<Column>), Failure> {
        let Some((parts, span)) = &self.table else {
            let items = self.columns.iter().flatten().enumerate();
            let column = |(at, item): (usize, &Item)| {
                let name = item.alias.clone().unwrap_or_else(|| format!("EXPR${at}"));
                Column::new(name, TypeKind::INT.required())
            };
            return Ok((None, items.map(column).collect()));
        };
        let path = catalogs.path(parts);
        let Some((relation, _)) = catalogs.find(&path) else { return Err(missing(catalogs, &path, *span)) };
        let Some(items) = &self.columns else { return Ok((Some(path), relation.columns().to_vec())) };
        let column = |item: &Item| {
            let found = relation.columns().iter().find(|column| column.name == item.name);
            let mut column = found.cloned().ok_or_else(|| unknown(relation, item))?;
            column.name = item.alias.clone().unwrap_or(column.name);
            Ok(column)
        };
        Ok((Some(path), items.iter().map(column).collect::<Result<_, Failure>>()?))
    }
}

fn items(words: &mut Words<'_>) -> Option<Vec<Item>> {
    let mut items = Vec::new();
    loop {
        let token = words.take_any().filter(|token| matches!(token.kind, Kind::Word | Kind::Quoted))?;
        let alias = if words.take(&["AS"]) { Some(words.name().ok()?) } else { None };
        // No columns, unless in quotes.
        if token.kind == Kind::Word && VALUES.iter().any(|value| value.eq_ignore_ascii_case(&token.text)) {
            return None;
        }
        items.push(Item { name: token.text, span: token.span, alias });
        if !words.take(&[","]) {
            return Some(items);
        }
    }
}

/// What the validator says of a table that does not exist.
pub(super) fn missing(catalogs: &Catalogs, path: &Path, span: Span) -> Failure {
    let Path { catalog, database, object } = path;
    let relations = catalogs.relations(catalog, database);
    let similar = relations.keys().find(|name| name.eq_ignore_ascii_case(object));
    let message = match similar {
        Some(similar) => {
            format!("Object '{object}' not found within '{catalog}.{database}'; did you mean '{similar}'?")
        }
        None => format!("Object '{object}' not found"),
    };
    Failure::query(&message, Some(span))
}

fn unknown(relation: &Relation, item: &Item) -> Failure {
    let similar = relation.columns().iter().find(|column| column.name.eq_ignore_ascii_case(&item.name));
    let hint = similar.map_or(String::new(), |column| format!("; did you mean '{}'?", column.name));
    Failure::query(&format!("Column '{}' not found in any table{hint}", item.name), Some(item.span))
}
