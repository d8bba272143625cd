//! Where data comes into a process: ingress, and connectors at work.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::connectors::Source;
use super::program::{Column, Program, Table};
use super::rows::Change;

/// How many ways of ingress a process has room for.
const MOST_CONNECTIONS: usize = 100;
/// How many rows a connector makes at once, at most.
const MOST_ROWS: u64 = 10_000;

/// A place where data comes in.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) name: String,
    pub(super) stream: String,
    pub(super) records: u64,
    pub(super) bytes: usize,
    pub(super) errors: usize,
    /// What fills it, if it is a connector.
    pub(super) generator: Option<Generator>,
    /// How many records it had taken in when each step began.
    pub(super) steps: Vec<(u64, u64)>,
}

/// A generator at work.
#[derive(Debug)]
pub(super) struct Generator {
    limit: Option<u64>,
    rate: Option<u64>,
    /// Rows that it made, in processes before this one too, as far as their checkpoints go.
    made: u64,
    pub(super) paused: bool,
    due: Duration,
}

impl Generator {
    pub(super) fn is_at_end(&self) -> bool {
        self.limit.is_some_and(|limit| self.made >= limit)
    }

    /// How often rows come, and how many of them.
    fn beat(&self) -> (Duration, u64) {
        match self.rate {
            None => (Duration::from_millis(10), 1000),
            Some(rate @ 10..) => (Duration::from_millis(100), (rate / 10).min(MOST_ROWS)),
            Some(rate) => (Duration::from_millis(1000 / rate.max(1)), 1),
        }
    }
}

impl Endpoint {
    /// Rows that its connector made, if it is one.
    pub(super) fn made(&self) -> Option<u64> {
        self.generator.as_ref().map(|generator| generator.made)
    }

    fn is_at_end(&self) -> bool {
        self.generator.as_ref().is_some_and(Generator::is_at_end)
    }

    /// As statistics have it.
    pub(super) fn status(&self) -> Value {
        json!({
            "endpoint_name": self.name, "config": { "stream": self.stream },
            "metrics": { "total_bytes": self.bytes, "total_records": self.records,
                "buffered_records": 0, "buffered_bytes": 0, "num_transport_errors": 0,
                "num_parse_errors": self.errors, "end_of_input": self.is_at_end(),
                "processing_latency_p99_micros": null },
            "fatal_error": null, "health": null,
            "paused": self.generator.as_ref().is_some_and(|generator| generator.paused), "barrier": false,
            "completed_frontier": null,
        })
    }
}

/// The endpoints of a process, which stay for as long as it does.
#[derive(Debug, Default)]
pub(super) struct Endpoints(Vec<Endpoint>);

impl Endpoints {
    pub(super) fn iter(&self) -> std::slice::Iter<'_, Endpoint> {
        self.0.iter()
    }

    pub(super) fn get(&self, at: usize) -> Option<&Endpoint> {
        self.0.get(at)
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut Endpoint> {
        self.0.get_mut(at)
    }

    /// The endpoint of a name, which stays for as long as the process.
    pub(super) fn open(&mut self, name: &str, stream: &str) -> usize {
        if let Some(at) = self.0.iter().position(|endpoint| endpoint.name == name) {
            return at;
        }
        let (name, stream) = (name.to_owned(), stream.to_owned());
        let (records, bytes, errors, generator, steps) = (0, 0, 0, None, Vec::new());
        self.0.push(Endpoint { name, stream, records, bytes, errors, generator, steps });
        self.0.len() - 1
    }

    /// The endpoint of a way of ingress; `None` if there are too many. Each holds a connection until the process ends.
    pub(super) fn open_ingress(&mut self, name: &str, stream: &str) -> Option<usize> {
        let is_known = self.0.iter().any(|endpoint| endpoint.name == name);
        let others = self.0.iter().filter(|endpoint| endpoint.name.contains(".api-ingress-"));
        (is_known || others.count() < MOST_CONNECTIONS).then(|| self.open(name, stream))
    }

    /// The step that so many records of an endpoint were in, if they are in any yet.
    pub(super) fn step_of(&self, endpoint: usize, records: u64) -> Option<u64> {
        let steps = &self.0.get(endpoint)?.steps;
        steps.iter().find(|(taken, _)| *taken >= records).map(|(_, step)| *step)
    }

    /// Its connectors begin where a checkpoint left them; what the process says if one cannot.
    pub(super) fn connect(
        &mut self,
        now: Duration,
        program: &Program,
        saved: Option<&BTreeMap<String, u64>>,
    ) -> Result<(), Value> {
        for table in &program.tables {
            for connector in &table.connectors {
                let name = format!("{}.{}", table.name, connector.name);
                match &connector.source {
                    Source::File(path) => {
                        let error =
                            format!("Failed to open input file '{path}': No such file or directory (os error 2)");
                        let message = format!(
                            "Operation failed because the pipeline failed to initialize. Error details: FATAL error on input endpoint '{name}': {error}."
                        );
                        let details = json!({ "backtrace": "disabled backtrace", "endpoint_name": name, "error": error,
                            "fatal": true });
                        return Err(json!({ "message": message, "error_code": "InitializationError",
                            "details": { "error": details } }));
                    }
                    Source::Generator { limit, rate } => {
                        let made = saved.and_then(|made| made.get(&name)).copied().unwrap_or_default();
                        let (limit, rate, paused) = (*limit, *rate, connector.paused);
                        let at = self.open(&name, &table.name);
                        if let Some(endpoint) = self.0.get_mut(at) {
                            endpoint.generator = Some(Generator { limit, rate, made, paused, due: now });
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// When a connector makes rows next.
    pub(super) fn next_rows(&self) -> Option<Duration> {
        let generators = self.0.iter().filter_map(|endpoint| endpoint.generator.as_ref());
        let makes = |generator: &&Generator| !generator.paused && !generator.is_at_end();
        generators.filter(makes).map(|generator| generator.due).min()
    }

    /// The connector that is next makes its rows.
    pub(super) fn generate(&mut self, at: Duration, program: &Program) -> Option<(usize, String, Vec<Change>)> {
        let due = |endpoint: &mut Endpoint| {
            let generator = endpoint.generator.as_mut()?;
            (!generator.paused && !generator.is_at_end() && generator.due <= at).then_some(())?;
            let (pause, most) = generator.beat();
            let first = generator.made;
            let end = generator.limit.unwrap_or(u64::MAX).min(first.saturating_add(most));
            (generator.made, generator.due) = (end, at.saturating_add(pause));
            Some((endpoint.stream.clone(), first..end))
        };
        let found = self.0.iter_mut().enumerate().find_map(|(at, endpoint)| Some((at, due(endpoint)?)));
        let (place, (table, numbers)) = found?;
        let shape = program.tables.iter().find(|shape| shape.name == table)?;
        let changes: Vec<Change> = numbers.map(|number| Change { delete: false, row: row(shape, number) }).collect();
        if let Some(endpoint) = self.0.get_mut(place) {
            endpoint.bytes += changes.iter().map(|change| change.row.to_string().len()).sum::<usize>();
        }
        Some((place, table, changes))
    }

    /// Connectors continue from now, and do not make up for the time that they rested.
    pub(super) fn wake(&mut self, now: Duration) {
        for generator in self.0.iter_mut().filter_map(|endpoint| endpoint.generator.as_mut()) {
            generator.due = generator.due.max(now);
        }
    }

    /// Whether there are inputs, and all have ended.
    pub(super) fn are_at_end(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(Endpoint::is_at_end)
    }
}

/// Every column counts.
fn row(table: &Table, number: u64) -> Value {
    let value = |column: &Column| match column.kind.as_str() {
        "BOOLEAN" => json!(number % 2 == 1),
        "VARCHAR" | "CHAR" | "TEXT" | "STRING" => json!(number.to_string()),
        "TINYINT" | "SMALLINT" | "INT" | "INTEGER" | "BIGINT" | "DECIMAL" | "REAL" | "DOUBLE" => json!(number),
        _ => Value::Null,
    };
    Value::Object(table.columns.iter().map(|column| (column.name.clone(), value(column))).collect())
}
