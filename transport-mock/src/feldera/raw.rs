//! Ingress in the format `raw`: the bytes of a body become the values of one column.

use std::str;

use http::StatusCode;
use serde_json::{Value, json};

use super::errors::Rejection;
use super::program::{Table, folded};
use super::request::Call;
use super::rows::Parsed;

/// How the body is read.
#[derive(Debug)]
pub(super) struct Raw {
    /// The name of the column that takes the bytes, and whether it is a text.
    column: String,
    is_text: bool,
    /// Whether each line is a row. Otherwise the whole body is.
    lines: bool,
}

impl Raw {
    /// Reads `mode` and `column_name`, and checks them against the table.
    pub(super) fn new(call: &Call, table: &Table, endpoint: &str) -> Result<Self, Rejection> {
        let invalid = |error: String| {
            let message = format!("invalid parser configuration for endpoint '{endpoint}': {error}");
            let details = json!({ "endpoint_name": endpoint, "error": error });
            Rejection::configuration(StatusCode::BAD_REQUEST, "InvalidParserConfig", &message, details)
        };
        let lines = match call.query("mode") {
            None | Some("blob") => false,
            Some("lines") => true,
            Some(other) => {
                let error = format!("unknown variant `{other}`, expected `blob` or `lines`");
                return Err(Rejection::unparsed_format(&call.raw_query, endpoint, &error));
            }
        };
        let name = &table.name;
        let column = match (call.query("column_name"), table.columns.as_slice()) {
            (Some(wanted), columns) => {
                let column = columns.iter().find(|column| column.name == folded(wanted));
                column.ok_or_else(|| invalid(format!("column '{wanted}' not found in table '{name}'")))?
            }
            (None, [column]) => column,
            (None, columns) => {
                let error = format!(
                    "table '{name}' has {} columns: the format 'raw' needs 'column_name', the column that takes the bytes",
                    columns.len()
                );
                return Err(invalid(error));
            }
        };
        let is_text = match column.kind.as_str() {
            "VARCHAR" | "TEXT" => true,
            "VARBINARY" | "BYTEA" => false,
            kind => {
                let error = format!(
                    "the format 'raw' needs a column of type 'VARCHAR' or 'VARBINARY', but column {} has type {kind}",
                    column.name
                );
                return Err(invalid(error));
            }
        };
        Ok(Self { column: column.name.clone(), is_text, lines })
    }

    /// Reads a body; `first` is the number of its first event. An empty body, and an empty line, is no row.
    pub(super) fn parse(&self, table: &Table, body: &[u8], first: u64) -> Parsed {
        let mut parsed = Parsed::default();
        let rows = body.split(|byte| self.lines && *byte == b'\n').filter(|row| !row.is_empty());
        for (row, number) in rows.zip(first..) {
            match self.value(row) {
                Ok(value) => parsed.take_raw(table, &json!({ &self.column: value }), row, number),
                Err(problem) => parsed.reject_raw(&problem, row, number),
            }
        }
        parsed
    }

    fn value(&self, row: &[u8]) -> Result<Value, String> {
        if !self.is_text {
            return Ok(json!(row));
        }
        str::from_utf8(row).map(|text| json!(text)).map_err(|error| {
            format!("unable to convert buffer to UTF-8 string (consider changing column type to 'VARBINARY'): {error}")
        })
    }
}
