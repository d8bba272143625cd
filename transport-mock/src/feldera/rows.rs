//! Rows in: what a body holds, and what is wrong with it.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::program::{Column, Table};

/// One change of a table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    pub(super) delete: bool,
    pub(super) row: Value,
}

/// What a body holds.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) changes: Vec<Change>,
    pub(super) errors: Vec<Value>,
}

/// How a body is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Csv,
    InsertDelete,
    Raw,
    Debezium,
}

/// Reads a body; `first` is the number of its first event.
pub(super) fn parse(table: &Table, format: Format, array: bool, body: &[u8], first: u64) -> Parsed {
    let mut parsed = Parsed::default();
    let text = String::from_utf8_lossy(body);
    let mut number = first;
    if format == Format::Csv {
        for line in text.lines().filter(|line| !line.is_empty()) {
            let fragment = format!("{line}\n");
            let outcome = csv(table, line).map(|row| vec![Change { delete: false, row }]);
            parsed.take(outcome.map_err(|error| (error.0, error.1)), "CSV", &fragment, number);
            number += 1;
        }
        return parsed;
    }
    for value in serde_json::Deserializer::from_str(&text).into_iter::<&RawValue>() {
        let Ok(value) = value else {
            let error = value.map_err(|error| error.to_string()).err().unwrap_or_default();
            let message = format!("failed to parse string as a JSON document: {error}");
            parsed.errors.push(json!({ "description": message, "event_number": null, "field": null,
                "invalid_bytes": null, "invalid_text": null, "suggestion": null, "tag": "text_envelope_err" }));
            break;
        };
        let items = if array { serde_json::from_str::<Vec<&RawValue>>(value.get()).ok() } else { None };
        for item in items.unwrap_or_else(|| vec![value]) {
            let mut event = serde_json::from_str(item.get()).unwrap_or_default();
            keep_digits(table, format, &mut event, item.get());
            parsed.take(json_event(table, format, &event), "JSON", quoted(format, item.get()), number);
            number += 1;
        }
    }
    parsed
}

/// Replaces numbers of decimals by their text if the number, a float, has not all digits.
fn keep_digits(table: &Table, format: Format, event: &mut Value, text: &str) {
    if !table.columns.iter().any(|column| column.kind == "DECIMAL") {
        return;
    }
    let fields = |text| serde_json::from_str::<BTreeMap<String, &RawValue>>(text).unwrap_or_default();
    match format {
        Format::Csv => {}
        Format::Raw => keep_digits_of_row(table, event, &fields(text)),
        Format::InsertDelete => {
            for (key, row) in fields(text) {
                keep_digits_of_row(table, &mut event[&key], &fields(row.get()));
            }
        }
        Format::Debezium => {
            for (key, row) in fields(text).get("payload").map(|payload| fields(payload.get())).unwrap_or_default() {
                keep_digits_of_row(table, &mut event["payload"][&key], &fields(row.get()));
            }
        }
    }
}

fn keep_digits_of_row(table: &Table, row: &mut Value, texts: &BTreeMap<String, &RawValue>) {
    let decimals = table.columns.iter().filter(|column| column.kind == "DECIMAL");
    let names: Vec<String> = decimals.map(|column| column.name.to_lowercase()).collect();
    for (key, value) in row.as_object_mut().into_iter().flatten() {
        let text = texts.get(key).filter(|_| names.contains(&key.to_lowercase()));
        if let (Value::Number(number), Some(text)) = (&*value, text)
            && number.to_string() != text.get()
        {
            *value = json!(text.get());
        }
    }
}

/// What an error quotes: the row as it was sent, without what says whether it is inserted.
fn quoted(format: Format, event: &str) -> &str {
    let inner = match format {
        Format::InsertDelete => serde_json::from_str::<BTreeMap<&str, &RawValue>>(event).ok(),
        _ => None,
    };
    inner.and_then(|event| event.into_values().next()).map_or(event, RawValue::get)
}

impl Parsed {
    /// Takes a row of the format `raw`: a column and its value.
    pub(super) fn take_raw(&mut self, table: &Table, row: &Value, bytes: &[u8], number: u64) {
        match record(table, row, false) {
            Ok(row) => self.changes.push(Change { delete: false, row }),
            Err((_, problem)) => self.reject_raw(&problem, bytes, number),
        }
    }

    pub(super) fn reject_raw(&mut self, problem: &str, bytes: &[u8], number: u64) {
        let description = format!("failed to deserialize raw record: {problem}");
        self.errors.push(json!({ "description": description, "event_number": number, "field": null,
            "invalid_bytes": bytes, "invalid_text": null, "suggestion": null, "tag": "bin_event_err" }));
    }

    fn take(&mut self, outcome: Result<Vec<Change>, Problem>, kind: &str, fragment: &str, number: u64) {
        match outcome {
            Ok(changes) => self.changes.extend(changes),
            Err((field, message)) => {
                let description = format!("failed to deserialize {kind} record: {message}");
                self.errors.push(json!({ "description": description, "event_number": number, "field": field,
                    "invalid_bytes": null, "invalid_text": fragment, "suggestion": null, "tag": "text_event_err" }));
            }
        }
    }
}

/// The field, and what is wrong.
type Problem = (Option<String>, String);

fn json_event(table: &Table, format: Format, event: &Value) -> Result<Vec<Change>, Problem> {
    let plain = |message: &str| (None, message.to_owned());
    let change = |delete: bool, row: &Value| Ok(Change { delete, row: record(table, row, delete)? });
    match format {
        Format::Raw | Format::Csv => Ok(vec![change(false, event)?]),
        Format::InsertDelete => {
            let object = event.as_object().ok_or_else(|| plain("invalid type, expected struct InsDelUpdate"))?;
            match object.iter().next() {
                Some((key, row)) if key == "insert" => Ok(vec![change(false, row)?]),
                Some((key, row)) if key == "delete" => Ok(vec![change(true, row)?]),
                Some((key, row)) if key == "update" => {
                    if !table.columns.iter().any(|column| column.key) {
                        return Err(plain("update operation is not supported on this stream"));
                    }
                    Ok(vec![change(false, row)?])
                }
                _ => Err(plain("unknown field, expected one of `insert`, `delete`, `update`")),
            }
        }
        Format::Debezium => {
            let payload = event.get("payload").ok_or_else(|| plain("missing field `payload`"))?;
            let mut changes = Vec::new();
            for (key, delete) in [("before", true), ("after", false)] {
                if let Some(row) = payload.get(key).filter(|row| !row.is_null()) {
                    changes.push(change(delete, row)?);
                }
            }
            Ok(changes)
        }
    }
}

/// A row of the table, with all its columns; a deletion by key needs no more than the key.
fn record(table: &Table, row: &Value, delete: bool) -> Result<Value, Problem> {
    let Value::Object(row) = row else {
        return Err((None, format!("invalid type: {}, expected a struct", kind(row))));
    };
    let keyed = table.columns.iter().any(|column| column.key);
    let mut whole = Map::new();
    for column in &table.columns {
        let value =
            row.iter().find(|(key, _)| key.to_lowercase() == column.name.to_lowercase()).map(|(_, value)| value);
        match value {
            Some(value) if !value.is_null() => {
                whole.insert(column.name.clone(), checked(column, value)?);
            }
            _ if column.nullable || (delete && keyed && !column.key) => {
                whole.insert(column.name.clone(), Value::Null);
            }
            _ => return Err((Some(column.name.clone()), format!("missing field `{}`", column.name))),
        }
    }
    Ok(Value::Object(whole))
}

/// The value as the type of the column has it.
#[cfg(feature = "sql")]
fn checked(column: &Column, value: &Value) -> Result<Value, Problem> {
    let typed = crate::sql::json::read(value, &column.sql).ok_or_else(|| mismatch(column, value))?;
    Ok(crate::sql::json::to_json(&typed, &column.sql))
}

#[cfg(not(feature = "sql"))]
fn checked(column: &Column, value: &Value) -> Result<Value, Problem> {
    let fits = match column.kind.as_str() {
        "BIGINT" | "INT" | "INTEGER" | "SMALLINT" | "TINYINT" => value.is_i64(),
        "BOOLEAN" => value.is_boolean(),
        "DOUBLE" | "REAL" | "FLOAT" => value.is_number(),
        "VARCHAR" | "TEXT" | "CHAR" => value.is_string(),
        _ => true,
    };
    if fits { Ok(value.clone()) } else { Err(mismatch(column, value)) }
}

fn mismatch(column: &Column, value: &Value) -> Problem {
    let message =
        format!("error parsing field '{}': invalid type: {}, expected {}", column.name, kind(value), column.kind);
    (Some(column.name.clone()), message)
}

fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) => format!("boolean `{value}`"),
        Value::Number(_) => format!("number `{value}`"),
        Value::String(_) => format!("string {value}"),
        Value::Array(_) => "sequence".into(),
        Value::Object(_) => "map".into(),
    }
}

fn csv(table: &Table, line: &str) -> Result<Value, Problem> {
    let fields = fields(line);
    let mut row = Map::new();
    for (at, column) in table.columns.iter().enumerate() {
        let text =
            fields.get(at).ok_or_else(|| (Some(column.name.clone()), format!("missing field `{}`", column.name)))?;
        let is_text = matches!(column.kind.as_str(), "VARCHAR" | "TEXT" | "CHAR");
        let null = text.eq_ignore_ascii_case("null") || (text.is_empty() && !is_text);
        let value = match column.kind.as_str() {
            _ if null => Value::Null,
            // As a number, a decimal would lose digits.
            "DECIMAL" if cfg!(feature = "sql") => json!(text),
            _ if is_text => json!(text),
            _ => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
        };
        row.insert(column.name.clone(), value);
    }
    record(table, &Value::Object(row), false)
}

/// The fields of a line, some of them in quotes.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            other => field.push(other),
        }
    }
    fields.push(field);
    fields
}
