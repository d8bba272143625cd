//! Rows: where one ends, and what is wrong with it.

use bytes::Bytes;
use serde_json::Value;

/// The lines of a body that are not blank.
pub(super) fn lines(body: &Bytes) -> Vec<Bytes> {
    let line = |piece: &[u8]| body.slice_ref(piece.trim_ascii());
    body.split(|byte| *byte == b'\n').map(line).filter(|line| !line.is_empty()).collect()
}

/// A body of rows, each in a line.
pub(super) fn body(rows: &[Bytes]) -> Bytes {
    rows.iter().flat_map(|row| [row.as_ref(), b"\n"]).collect::<Vec<_>>().concat().into()
}

/// Why a row is an error, if it is one.
pub(super) fn problem(row: &[u8], number_columns: &[String]) -> Option<String> {
    let value = match serde_json::from_slice::<Value>(row) {
        Ok(Value::Object(value)) => value,
        Ok(_) => return Some("Error parsing JSON: the row is not an object".into()),
        Err(error) => return Some(format!("Error parsing JSON: {error}")),
    };
    let odd = number_columns.iter().filter_map(|column| value.get(column)).find(|value| !is_numeric(value));
    odd.map(|value| format!("Numeric value '{}' is not recognized", value.as_str().unwrap_or(&value.to_string())))
}

fn is_numeric(value: &Value) -> bool {
    match value {
        Value::Null | Value::Number(_) => true,
        Value::String(text) => text.trim().parse::<f64>().is_ok_and(f64::is_finite),
        _ => false,
    }
}
