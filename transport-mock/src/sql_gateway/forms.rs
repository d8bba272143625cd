//! The two forms in which results have their values.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Number, Value, json};

/// How fields are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Format {
    #[default]
    Json,
    PlainText,
}

/// The format that a query asks for; its text if no format has that name.
pub(super) fn format(query: &str) -> Result<Format, String> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix("rowFormat="));
    match value.map(str::to_ascii_uppercase).as_deref() {
        None | Some("JSON") => Ok(Format::Json),
        Some("PLAIN_TEXT") => Ok(Format::PlainText),
        Some(_) => Err(value.unwrap_or_default().to_owned()),
    }
}

/// A value of a type as JSON; the type is as results describe it. A decimal may be a text, so that it has all of its
/// digits.
pub(super) fn written(value: &Value, kind: &Value, format: Format) -> String {
    match format {
        Format::Json => number(value, kind),
        Format::PlainText if value.is_null() => "null".to_owned(),
        Format::PlainText => json!(plain(value, kind)).to_string(),
    }
}

/// With decimals as numbers that have all of their digits, which a `Value` would not keep.
fn number(value: &Value, kind: &Value) -> String {
    match (kind["type"].as_str().unwrap_or_default(), value) {
        ("DECIMAL", Value::String(text)) if serde_json::from_str::<Number>(text).is_ok() => text.clone(),
        ("ARRAY", Value::Array(items)) => {
            let items = items.iter().map(|item| number(item, &kind["elementType"]));
            format!("[{}]", items.collect::<Vec<_>>().join(","))
        }
        ("MAP", Value::Object(items)) => {
            let item = |(key, item): (&String, &Value)| format!("{}:{}", json!(key), number(item, &kind["valueType"]));
            format!("{{{}}}", items.iter().map(item).collect::<Vec<_>>().join(","))
        }
        _ => value.to_string(),
    }
}

fn plain(value: &Value, kind: &Value) -> String {
    let list = |items: Vec<String>| items.join(", ");
    match (kind["type"].as_str().unwrap_or_default(), value) {
        (_, Value::Null) => "NULL".to_owned(),
        (_, Value::Bool(truth)) => truth.to_string().to_uppercase(),
        ("INTERVAL_YEAR_MONTH", Value::Number(months)) => {
            let months = months.as_i64().unwrap_or_default();
            let size = months.unsigned_abs();
            format!("{}{}-{:02}", sign(months), size / 12, size % 12)
        }
        ("INTERVAL_DAY_TIME", Value::Number(millis)) => {
            let millis = millis.as_i64().unwrap_or_default();
            let size = millis.unsigned_abs();
            let seconds = size / 1000;
            let [hours, minutes, rest] = [seconds / 3600 % 24, seconds / 60 % 60, seconds % 60];
            let days = seconds / 86_400;
            format!("{}{days} {hours:02}:{minutes:02}:{rest:02}.{:03}", sign(millis), size % 1000)
        }
        ("DECIMAL", Value::Number(number)) if !number.is_f64() => match kind["scale"].as_u64() {
            Some(scale @ 1..=38) => format!("{number}.{}", "0".repeat(usize::try_from(scale).unwrap_or_default())),
            _ => number.to_string(),
        },
        (_, Value::Number(number)) => number.to_string(),
        ("TIMESTAMP_WITHOUT_TIME_ZONE" | "TIMESTAMP_WITH_LOCAL_TIME_ZONE", Value::String(text)) => {
            text.replace('T', " ").trim_end_matches('Z').to_owned()
        }
        ("BINARY" | "VARBINARY", Value::String(text)) => match STANDARD.decode(text) {
            Ok(bytes) => format!("x'{}'", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()),
            Err(_) => text.clone(),
        },
        (_, Value::String(text)) => text.clone(),
        (_, Value::Array(items)) => {
            format!("[{}]", list(items.iter().map(|item| plain(item, &kind["elementType"])).collect()))
        }
        ("ROW", Value::Object(items)) => {
            let fields = kind["fields"].as_array().into_iter().flatten();
            let field = |field: &Value| {
                let name = field["name"].as_str().unwrap_or_default();
                plain(items.get(name).unwrap_or(&Value::Null), &field["fieldType"])
            };
            format!("({})", list(fields.map(field).collect()))
        }
        (_, Value::Object(items)) => {
            let item = |(key, item): (&String, &Value)| format!("{key}={}", plain(item, &kind["valueType"]));
            format!("{{{}}}", list(items.iter().map(item).collect()))
        }
    }
}

fn sign(number: i64) -> char {
    if number < 0 { '-' } else { '+' }
}
