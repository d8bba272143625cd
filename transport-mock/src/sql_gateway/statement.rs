//! The results of statements.

use serde_json::{Value, json};

use super::counted::Counted;
use super::failure::Failure;
use super::table::Column;
use super::types::{Kind, Type};

/// What comes of a statement.
#[derive(Debug, Clone)]
pub struct Script {
    pub(super) columns: Vec<Value>,
    pub(super) rows: Rows,
    /// Why the result is rejected, once the rows are through.
    pub(super) failure: Option<Failure>,
    pub(super) is_query: bool,
    pub(super) has_job: bool,
    pub(super) is_configuring: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Rows {
    These(Vec<Vec<Value>>),
    /// Rows that are counted; perhaps without an end.
    Counted(Vec<Counted>, Option<u64>),
    /// The id of the job that it starts.
    Job,
}

impl Script {
    /// A query with columns, by name and type as in `BIGINT` or `VARCHAR(3) NOT NULL`, and rows.
    pub fn query<'a>(columns: impl IntoIterator<Item = (&'a str, &'a str)>, rows: Vec<Vec<Value>>) -> Self {
        let columns = columns.into_iter().map(|(name, kind)| column(name, kind)).collect();
        Self { columns, rows: Rows::These(rows), failure: None, is_query: true, has_job: true, is_configuring: false }
    }

    /// Fails after its rows, with the class and the message of an exception.
    pub fn fails(mut self, class: impl Into<String>, message: impl Into<String>) -> Self {
        self.failure = Some(if self.has_job { Failure::of_job(class, message) } else { Failure::new(class, message) });
        self
    }

    /// One row "OK".
    pub fn ok() -> Self {
        let rows = vec![vec![json!("OK")]];
        Self { is_configuring: true, ..Self::table(&["result"], rows) }
    }

    /// Texts under these names, as of `SHOW`: without a job.
    pub(super) fn table(names: &[&str], rows: Vec<Vec<Value>>) -> Self {
        let columns = names.iter().map(|name| Column::new(*name, Kind::STRING.nullable()).described()).collect();
        let (failure, is_query, has_job, is_configuring) = (None, false, false, false);
        Self { columns, rows: Rows::These(rows), failure, is_query, has_job, is_configuring }
    }

    /// One column of texts, in their order.
    pub(super) fn list<T: Into<Value>>(name: &str, items: impl IntoIterator<Item = T>) -> Self {
        Self::table(&[name], items.into_iter().map(|item| vec![item.into()]).collect())
    }

    /// The statement is rejected.
    pub(super) fn failure(failure: Failure) -> Self {
        Self { failure: Some(failure), ..Self::table(&["result"], Vec::new()) }
    }

    /// A query whose columns are known.
    pub(super) fn select(columns: &[Column], rows: Rows) -> Self {
        Self { columns: columns.iter().map(Column::described).collect(), rows, ..Self::query([], Vec::new()) }
    }

    /// A job is submitted, and continues: one row with its id.
    pub(super) fn job() -> Self {
        Self { rows: Rows::Job, has_job: true, ..Self::table(&["job id"], Vec::new()) }
    }
}

fn column(name: &str, kind: &str) -> Value {
    match Type::named(kind) {
        Some(kind) => Column::new(name, kind).described(),
        // The name of a type in JSON, such as `TIMESTAMP_WITHOUT_TIME_ZONE`.
        None => json!({ "name": name, "logicalType": { "type": kind, "nullable": true }, "comment": null }),
    }
}
