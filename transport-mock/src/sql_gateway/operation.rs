//! Operations and the pages of their results.

use std::time::Duration;

use serde_json::{Value, json};

use super::errors::{Answer, Rejection};
use super::statement::{Rows, Script};

/// How fields are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Format {
    #[default]
    Json,
    PlainText,
}

/// The format that a query asks for; its text when there is none of that name.
pub(super) fn format(query: &str) -> Result<Format, String> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix("rowFormat="));
    match value.map(str::to_ascii_uppercase).as_deref() {
        None | Some("JSON") => Ok(Format::Json),
        Some("PLAIN_TEXT") => Ok(Format::PlainText),
        Some(_) => Err(value.unwrap_or_default().to_owned()),
    }
}

/// A statement that was submitted.
#[derive(Debug)]
pub(super) struct Operation {
    script: Script,
    ready_at: Duration,
    page_size: usize,
    job: String,
    cancelled: bool,
    /// The token that brings the next page.
    token: u64,
    /// How many rows were handed out.
    given: u64,
    /// The rows of the last page, which can be asked for again.
    last: Vec<Vec<Value>>,
}

impl Operation {
    pub(super) fn new(script: Script, ready_at: Duration, handle: &str, page_size: usize) -> Self {
        let job = handle.replace('-', "");
        Self { script, ready_at, page_size, job, cancelled: false, token: 0, given: 0, last: Vec::new() }
    }

    pub(super) fn status(&self, now: Duration) -> &'static str {
        match () {
            () if self.cancelled => "CANCELED",
            () if now < self.ready_at => "RUNNING",
            // One that fails while it is carried out has been FINISHED before.
            () if self.script.failure.is_some() && self.is_through() => "ERROR",
            () => "FINISHED",
        }
    }

    pub(super) fn cancel(&mut self) {
        self.cancelled = true;
    }

    fn is_through(&self) -> bool {
        match &self.script.rows {
            Rows::These(rows) => self.given >= rows.len() as u64,
            Rows::Numbers(limit) => limit.is_some_and(|limit| self.given >= limit),
            Rows::Job => self.given >= 1,
        }
    }

    fn next_rows(&mut self) -> Vec<Vec<Value>> {
        // Two of three pages are empty when there is a job to wait for.
        if self.script.has_job && self.token % 3 != 2 {
            return Vec::new();
        }
        let from = self.given;
        let rows: Vec<Vec<Value>> = match &self.script.rows {
            Rows::These(rows) => {
                let from = usize::try_from(from).unwrap_or(usize::MAX);
                rows.iter().skip(from).take(self.page_size).cloned().collect()
            }
            Rows::Numbers(limit) => {
                let end = from.saturating_add(self.page_size as u64).min(limit.unwrap_or(u64::MAX));
                (from..end).map(|number| vec![json!(number)]).collect()
            }
            Rows::Job => vec![vec![json!(self.job)]],
        };
        self.given += rows.len() as u64;
        rows
    }

    pub(super) fn fetch(&mut self, now: Duration, token: i64, base: &str, format: Format, version: u32) -> Answer {
        let uri = |token: u64| {
            let query = match format {
                _ if version < 2 => "",
                Format::Json => "?rowFormat=JSON",
                Format::PlainText => "?rowFormat=PLAIN_TEXT",
            };
            format!("{base}/{token}{query}")
        };
        if self.cancelled {
            return Err(Rejection::result("java.util.concurrent.CancellationException", "the operation was cancelled"));
        }
        if now < self.ready_at {
            return Ok(json!({"resultType": "NOT_READY", "nextResultUri": uri(0)}));
        }
        if u64::try_from(token) == Ok(self.token) {
            if self.is_through() {
                if let Some((class, why)) = &self.script.failure {
                    return Err(Rejection::result(class, why));
                }
                return Ok(self.page("EOS", &[], None, format));
            }
            self.last = self.next_rows();
            self.token += 1;
        } else if self.token == 0 || u64::try_from(token) != Ok(self.token - 1) {
            let before = self.token.checked_sub(1).map_or(String::new(), |before| format!(" or {before}"));
            let why = format!("Expecting token to be {}{before}, but found {token}.", self.token);
            return Err(Rejection::result("org.apache.flink.table.gateway.service.utils.SqlExecutionException", &why));
        }
        Ok(self.page("PAYLOAD", &self.last, Some(uri(self.token)), format))
    }

    fn page(&self, kind: &str, rows: &[Vec<Value>], next: Option<String>, format: Format) -> Value {
        let written = |value: &Value| match (format, value) {
            (Format::PlainText, Value::Bool(truth)) => json!(truth.to_string().to_uppercase()),
            (Format::PlainText, Value::Number(number)) => json!(number.to_string()),
            _ => value.clone(),
        };
        let data: Vec<Value> = rows
            .iter()
            .map(|row| json!({"kind": "INSERT", "fields": row.iter().map(written).collect::<Vec<_>>()}))
            .collect();
        let mut page = json!({
            "resultType": kind,
            "isQueryResult": self.script.is_query,
            "resultKind": if self.script.is_configuring { "SUCCESS" } else { "SUCCESS_WITH_CONTENT" },
            "results": {
                "columns": self.script.columns,
                "rowFormat": if format == Format::Json { "JSON" } else { "PLAIN_TEXT" },
                "data": data,
            },
        });
        if self.script.has_job {
            page["jobID"] = json!(self.job);
        }
        if let Some(next) = next {
            page["nextResultUri"] = json!(next);
        }
        page
    }
}
