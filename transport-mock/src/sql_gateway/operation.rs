//! Operations and the pages of their results.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::errors::{Answer, Rejection};
use super::failure::Failure;
use super::forms::{self, Format};
use super::statement::{Rows, Script};

/// A statement that was submitted.
#[derive(Debug)]
pub(super) struct Operation {
    /// What it says; settings of its own.
    pub(super) statement: (String, BTreeMap<String, String>),
    /// When it has been carried out.
    pub(super) ready_at: Duration,
    /// What came of it, once it is carried out.
    outcome: Option<Arc<Script>>,
    handle: String,
    page_size: usize,
    cancelled: bool,
    /// Whether the failure of its job has been told.
    failed: bool,
    /// The token that brings the next page.
    token: u64,
    /// How many rows were handed out.
    given: u64,
    /// The rows of the last page, which can be asked for again.
    last: Vec<Vec<Value>>,
}

impl Operation {
    pub(super) fn new(
        statement: (String, BTreeMap<String, String>),
        outcome: Option<Script>,
        ready_at: Duration,
        handle: &str,
        page_size: usize,
    ) -> Self {
        let (handle, last) = (handle.to_owned(), Vec::new());
        Self {
            statement,
            ready_at,
            outcome: outcome.map(Arc::new),
            handle,
            page_size,
            cancelled: false,
            failed: false,
            token: 0,
            given: 0,
            last,
        }
    }

    /// The job that it starts, if it starts one.
    pub(super) fn job(&self) -> String {
        self.handle.replace('-', "")
    }

    /// Whether it still has to be carried out.
    pub(super) fn is_pending(&self) -> bool {
        self.outcome.is_none() && !self.cancelled
    }

    pub(super) fn finish(&mut self, outcome: Script) {
        self.outcome = Some(Arc::new(outcome));
    }

    fn outcome(&self, now: Duration) -> Option<&Arc<Script>> {
        self.outcome.as_ref().filter(|_| now >= self.ready_at)
    }

    pub(super) fn status(&self, now: Duration) -> &'static str {
        let Some(outcome) = self.outcome(now).filter(|_| !self.cancelled) else {
            return if self.cancelled { "CANCELED" } else { "RUNNING" };
        };
        match &outcome.failure {
            // A job that fails is found out with its rows.
            Some(failure) if failure.job && !self.failed => "FINISHED",
            Some(_) => "ERROR",
            None => "FINISHED",
        }
    }

    pub(super) fn cancel(&mut self) {
        self.cancelled = true;
    }

    /// Whether all rows of its job have been handed out.
    pub(super) fn is_through(&self) -> bool {
        match self.outcome.as_ref().map(|outcome| &outcome.rows) {
            Some(Rows::These(rows)) => self.given >= rows.len() as u64,
            Some(Rows::Counted(_, limit)) => limit.is_some_and(|limit| self.given >= limit),
            Some(Rows::Job) => self.given >= 1,
            None => false,
        }
    }

    /// Whether closing it ends its job: the job of a query, not that of an `INSERT`.
    pub(super) fn is_query(&self) -> bool {
        self.outcome.as_ref().is_some_and(|outcome| outcome.is_query)
    }

    fn next_rows(&mut self) -> Vec<Vec<Value>> {
        let Some(outcome) = &self.outcome else { return Vec::new() };
        // Two of three pages of a query are empty: its job is waited for.
        if outcome.is_query && self.token % 3 != 2 {
            return Vec::new();
        }
        let from = self.given;
        let rows: Vec<Vec<Value>> = match &outcome.rows {
            Rows::These(rows) => {
                let from = usize::try_from(from).unwrap_or(usize::MAX);
                rows.iter().skip(from).take(self.page_size).cloned().collect()
            }
            Rows::Counted(columns, limit) => {
                let end = from.saturating_add(self.page_size as u64).min(limit.unwrap_or(u64::MAX));
                (from..end).map(|number| columns.iter().map(|column| column.value(number)).collect()).collect()
            }
            Rows::Job => vec![vec![json!(self.job())]],
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
            let failure = Failure::new("java.util.concurrent.CancellationException", "the operation was cancelled");
            return Err(Rejection::result(&failure, &self.handle));
        }
        let Some(outcome) = self.outcome(now).cloned() else {
            return Ok(json!({"resultType": "NOT_READY", "nextResultUri": uri(0)}).to_string());
        };
        if u64::try_from(token) == Ok(self.token) {
            if self.is_through() {
                if let Some(failure) = &outcome.failure {
                    self.failed = true;
                    return Err(Rejection::result(failure, &self.handle));
                }
                return Ok(self.page(&outcome, "EOS", &[], None, format));
            }
            self.last = self.next_rows();
            self.token += 1;
        } else if self.token == 0 || u64::try_from(token) != Ok(self.token - 1) {
            let before = self.token.checked_sub(1).map_or(String::new(), |before| format!(" or {before}"));
            let why = format!("Expecting token to be {}{before}, but found {token}.", self.token);
            return Err(Rejection::fetch(&why));
        }
        Ok(self.page(&outcome, "PAYLOAD", &self.last, Some(uri(self.token)), format))
    }

    /// The text of a page: a `Value` would not keep all digits of decimals.
    fn page(&self, outcome: &Script, kind: &str, rows: &[Vec<Value>], next: Option<String>, format: Format) -> String {
        let written = |(at, value): (usize, &Value)| {
            let kind = outcome.columns.get(at).map_or(&Value::Null, |column| &column["logicalType"]);
            forms::written(value, kind, format)
        };
        let row = |row: &Vec<Value>| {
            let fields: Vec<String> = row.iter().enumerate().map(written).collect();
            format!("{{\"fields\":[{}],\"kind\":\"INSERT\"}}", fields.join(","))
        };
        let results = format!(
            "{{\"columns\":{},\"data\":[{}],\"rowFormat\":\"{}\"}}",
            json!(outcome.columns),
            rows.iter().map(row).collect::<Vec<_>>().join(","),
            if format == Format::Json { "JSON" } else { "PLAIN_TEXT" },
        );
        let result_kind = if outcome.is_configuring { "SUCCESS" } else { "SUCCESS_WITH_CONTENT" };
        let mut page = vec![
            ("isQueryResult", json!(outcome.is_query).to_string()),
            ("resultKind", json!(result_kind).to_string()),
            ("resultType", json!(kind).to_string()),
            ("results", results),
        ];
        page.extend(outcome.has_job.then(|| ("jobID", json!(self.job()).to_string())));
        page.extend(next.map(|next| ("nextResultUri", json!(next).to_string())));
        let page = page.iter().map(|(key, value)| format!("\"{key}\":{value}"));
        format!("{{{}}}", page.collect::<Vec<_>>().join(","))
    }
}
