//! Ad-hoc queries with the feature `sql`.

use serde_json::json;

use super::super::data::DISCONNECTED;
use super::super::errors::{Answer, Rejection, Reply};
use super::super::pipeline::Pipeline;
use super::super::program::{Program, Source};
use super::super::request::Call;
use super::super::rows::Change;
use super::super::store::Store;
use super::super::tables::Tables;
use super::text::ascii;
use super::{arrow, rejected};
use crate::sql::ast::{Insert, Query, Statement};
use crate::sql::{
    self, Binder, Budget, Catalog, Column, Dialect, Environment, Error, ErrorKind, Found, Parser, ResultSet,
    json as values,
};

/// The relations of a program, as ad-hoc queries see them.
struct Relations<'a> {
    program: &'a Program,
    /// By name: the columns of the relations that can be queried.
    columns: Vec<(&'a str, Vec<Column>)>,
    /// By name: why the others cannot.
    hidden: Vec<(&'a str, String)>,
}

impl<'a> Relations<'a> {
    fn new(program: &'a Program) -> Self {
        let tables = program.tables.iter().map(|table| (&table.name, &table.columns, table.materialized));
        let views = program.views.iter().filter(|view| !view.local);
        let views = views.map(|view| (&view.name, &view.columns, view.materialized));
        let (mut columns, mut hidden) = (Vec::new(), Vec::new());
        for (name, declared, materialized) in tables.chain(views) {
            if materialized {
                let declared = declared.iter().map(|column| Column {
                    name: column.name.clone(),
                    quoted: column.quoted,
                    kind: column.sql.clone(),
                    nullable: column.nullable,
                });
                columns.push((name.as_str(), declared.collect()));
            } else {
                hidden.push((name.as_str(), super::unreadable(name)));
            }
        }
        Self { program, columns, hidden }
    }
}

impl Catalog for Relations<'_> {
    fn relation(&self, name: &str) -> Option<Found<'_>> {
        let is_scripted =
            |view: &&super::super::program::View| view.source == Source::Scripted && view.columns.is_empty();
        if self.program.views.iter().filter(is_scripted).any(|view| view.name == name) {
            return Some(Found::Scripted);
        }
        let found = self.columns.iter().find(|(known, _)| *known == name).map(|(_, columns)| Found::Columns(columns));
        found.or_else(|| self.hidden.iter().find(|(known, _)| *known == name).map(|(_, why)| Found::Hidden(why)))
    }
}

/// How a result is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Text,
    Json,
    ArrowIpc,
    Hash,
}

/// Runs statements, of which the last may be a query.
pub(crate) fn query(store: &mut Store, call: &Call, name: &str) -> Answer {
    let format = match call.query("format").unwrap_or("text") {
        "text" => Format::Text,
        "json" => Format::Json,
        "arrow_ipc" => Format::ArrowIpc,
        "hash" => Format::Hash,
        "parquet" => {
            return Err(Rejection::format_not_simulated(
                "parquet",
                "ask for `arrow_ipc`, or run the query on a real Feldera",
            ));
        }
        other => {
            let known = "`text`, `json`, `parquet`, `arrow_ipc`, `hash`";
            return Err(Rejection::query(format!("unknown variant `{other}`, expected one of {known}")));
        }
    };
    let (now, config) = (store.now, store.config.clone());
    let pipeline = store.running(name)?;
    let statements = statements(call.query("sql").unwrap_or_default())?;
    let Some(program) = pipeline.compilation.program.clone() else { return Err(Rejection::unknown_route()) };
    let Some(process) = &mut pipeline.process else { return Err(Rejection::unknown_route()) };
    let relations = Relations::new(&program);
    let mut result = Ok(ResultSet { columns: Vec::new(), rows: Vec::new() });
    for statement in &statements {
        result = match statement {
            Statement::Query(query) => select(&relations, &process.tables, query),
            Statement::Insert(insert) => insert_rows(&relations, &process.tables, insert).map(|(table, changes)| {
                let count = changes.len();
                let endpoint = process.endpoints.open(&format!("{table}.ad-hoc"), &table);
                process.take(now, &config, endpoint, &table, changes);
                let columns = vec![Column::new("count", sql::Type::BIGINT, false)];
                ResultSet { columns, rows: vec![vec![sql::Value::Integer(count as i128)]] }
            }),
            other => return Err(rejected(&format!("Error during planning: {}", not_supported(other)))),
        };
        if let Err(error) = &result
            && error.kind != ErrorKind::Evaluation
        {
            return Err(rejected(&planning_error(error)));
        }
        if result.is_err() {
            break;
        }
    }
    written(pipeline, format, result)
}

fn statements(text: &str) -> Result<Vec<Statement>, Rejection> {
    let rejected = |error: &Error| rejected(&planning_error(error));
    let mut parser = Parser::new(text, Dialect::AdHoc).map_err(|error| rejected(&error))?;
    let mut statements = Vec::new();
    while let Some((statement, _)) = parser.next_statement().map_err(|error| rejected(&error))? {
        statements.push(statement);
    }
    match statements.split_last() {
        None => Err(super::rejected("no SQL statements were provided")),
        Some((_, before)) if before.iter().any(|statement| matches!(statement, Statement::Query(_))) => {
            Err(super::rejected(
                "only the final statement in a multi-statement ad-hoc query may return a result set; move SELECTs to the end or split into separate requests",
            ))
        }
        Some(_) => Ok(statements),
    }
}

/// An error as the engine of ad-hoc queries puts it.
fn planning_error(error: &Error) -> String {
    let message = &error.message;
    match error.kind {
        ErrorKind::Syntax => format!("SQL error: ParserError(\"{message}\")"),
        ErrorKind::Unsupported => format!("Error during planning: pipewright-sim does not run {message}"),
        ErrorKind::Evaluation => format!("Arrow error: {message}"),
        ErrorKind::Validation if message.starts_with("Execution error") => message.clone(),
        ErrorKind::Validation => match message.strip_prefix("Column '").and_then(|rest| rest.split_once('\'')) {
            Some((column, rest)) if rest.contains("not found") => format!("Schema error: No field named {column}."),
            _ => format!("Error during planning: {message}"),
        },
    }
}

fn not_supported(statement: &Statement) -> &'static str {
    match statement {
        Statement::CreateTable(_) => "DDL not supported: CreateMemoryTable",
        Statement::CreateView(_) => "DDL not supported: CreateView",
        Statement::CreateFunction(..) => "DDL not supported: CreateFunction",
        Statement::CreateIndex => "DDL not supported: CreateIndex",
        Statement::Drop(_) => "DDL not supported: DropTable",
        Statement::Delete(_) => "DML not supported: Delete",
        _ => "Unsupported statement",
    }
}

fn select(relations: &Relations<'_>, tables: &Tables, query: &Query) -> Result<ResultSet, Error> {
    let plan = Binder::new(relations, Dialect::AdHoc).plan(query)?;
    let budget = Budget::default();
    let rows = sql::evaluate(&plan, Environment::new(tables, &budget))?;
    ResultSet::new(plan.columns, rows, &budget)
}

/// The table that an `INSERT` names, and its rows.
fn insert_rows(relations: &Relations<'_>, tables: &Tables, insert: &Insert) -> Result<(String, Vec<Change>), Error> {
    let name = &insert.table;
    let table = relations.program.tables.iter().find(|table| table.name == name.text);
    let table = table
        .ok_or_else(|| Error::validation(format!("table 'datafusion.public.{}' not found", name.text), name.at))?;
    let columns = relations.columns.iter().find(|(known, _)| *known == name.text).map(|(_, columns)| columns.clone());
    let columns = columns.ok_or_else(|| Error::validation(super::unreadable(&name.text), name.at))?;
    let rows = sql::inserted(name, &insert.columns, &columns, select(relations, tables, &insert.query)?)?;
    let object = |row: &sql::Row| {
        let fields = columns.iter().zip(row);
        let fields = fields.map(|(column, value)| (column.name.clone(), values::to_json(value, &column.kind)));
        serde_json::Value::Object(fields.collect())
    };
    let changes = rows.iter().map(|row| Change { delete: false, row: object(row) }).collect();
    Ok((table.name.clone(), changes))
}

/// A result, or the error of its evaluation, which comes when the head of the response is already out.
fn written(pipeline: &mut Pipeline, format: Format, result: Result<ResultSet, Error>) -> Answer {
    let error = match result {
        Ok(result) => return Ok(reply(format, &result)),
        Err(error) => format!("Arrow error: {}", error.message),
    };
    match format {
        Format::Json => Ok(Reply::text("application/json", json!({ "error": error }).to_string())),
        Format::Text => Ok(Reply::text("text/plain", format!("ERROR: Error during query processing: {error}."))),
        Format::ArrowIpc => Err(pipeline.unreachable(DISCONNECTED)),
        Format::Hash => Err(rejected(&error)),
    }
}

fn reply(format: Format, result: &ResultSet) -> Reply {
    let ResultSet { columns, rows } = result;
    let cells = || -> Vec<Vec<String>> {
        let cells = |row: &sql::Row| {
            row.iter().zip(columns).map(|(value, column)| values::to_plain(value, &column.kind, 'T')).collect()
        };
        rows.iter().map(cells).collect()
    };
    match format {
        Format::Text => {
            let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
            Reply::text("text/plain", ascii(&names, &cells()))
        }
        Format::Json => {
            let lines = rows.iter().map(|row| values::row(columns.iter().map(Column::pair), row, 'T') + "\n");
            Reply::text("application/json", lines.collect())
        }
        Format::ArrowIpc => Reply::bytes("application/octet-stream", arrow::stream(columns, rows)),
        Format::Hash => Reply::text("text/plain", hash(&cells())),
    }
}

/// 64 digits that are the same for the same rows in any order, and with every compiler: four times FNV-1a. A real
/// server's are of a SHA-256.
fn hash(cells: &[Vec<String>]) -> String {
    let mut sorted: Vec<&Vec<String>> = cells.iter().collect();
    sorted.sort_unstable();
    // Separators that UTF-8 does not have.
    let bytes = || sorted.iter().flat_map(|row| row.iter().flat_map(|cell| cell.bytes().chain([0xff])).chain([0xfe]));
    let step = |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let part = |part: u8| format!("{:016X}", [part].into_iter().chain(bytes()).fold(0xcbf2_9ce4_8422_2325, step));
    (0..4).map(part).collect()
}
