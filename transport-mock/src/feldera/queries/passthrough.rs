//! Ad-hoc queries without the feature `sql`.

use serde_json::{Value, json};

use super::super::errors::{Answer, Rejection, Reply};
use super::super::request::Call;
use super::super::store::Store;
use super::super::tables::shown;
use super::super::wire::lines;
use super::text::ascii;
use super::{rejected, unreadable};

/// `SELECT * FROM` a relation, or `SELECT COUNT(*) FROM` one.
pub(crate) fn query(store: &mut Store, call: &Call, name: &str) -> Answer {
    let format = call.query("format").unwrap_or("text");
    if !["text", "json"].contains(&format) {
        return Err(Rejection::query(format!("the simulator has no format `{format}`, only `text` and `json`")));
    }
    let pipeline = store.running(name)?;
    let sql = call.query("sql").unwrap_or_default().trim().trim_end_matches(';');
    if sql.is_empty() {
        return Err(rejected("no SQL statements were provided"));
    }
    let words: Vec<String> = sql.split_whitespace().map(str::to_lowercase).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (counts, relation) = match words.as_slice() {
        ["select", "*", "from", relation] => (false, *relation),
        ["select", "count(*)", "from", relation] => (true, *relation),
        _ => {
            return Err(rejected(&format!(
                "Error during planning: build pipewright-mock with its feature `sql` to run: {sql}"
            )));
        }
    };
    let Some(program) = &pipeline.compilation.program else { return Err(Rejection::unknown_route()) };
    let found = program.relation(relation);
    let Some((relation, table)) = found.and_then(|found| Some((found, shown(program, found.name)?))) else {
        return Err(rejected(&format!("Error during planning: table 'datafusion.public.{relation}' not found")));
    };
    if !relation.materialized {
        return Err(rejected(&unreadable(relation.name)));
    }
    let Some(process) = &pipeline.process else { return Err(Rejection::unknown_route()) };
    let rows = process.tables.rows(&table.name);
    let (columns, rows): (Vec<String>, Vec<Value>) = if counts {
        (vec!["count(*)".into()], vec![json!({ "count(*)": rows.count() })])
    } else {
        (table.columns.iter().map(|column| column.name.clone()).collect(), rows.cloned().collect())
    };
    if format == "json" {
        return Ok(Reply::text("application/json", lines(rows.iter())));
    }
    let text = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let cells = rows.iter().map(|row| columns.iter().map(|column| text(&row[column])).collect());
    let cells: Vec<Vec<String>> = cells.collect();
    Ok(Reply::text("text/plain", ascii(&columns, &cells)))
}
