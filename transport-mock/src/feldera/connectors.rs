//! Input connectors: the sources that tables are declared with.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::errors::{Answer, Refusal, Reply};
use super::process::{Endpoint, Process, SavedState};
use super::program::{Column, Program, Table, folded};
use super::rows::Change;
use super::{Config, Manager, tokens};

/// A source that a table is declared with.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Connector {
    pub(super) name: String,
    paused: bool,
    source: Source,
    /// As it was declared.
    transport: Value,
}

#[derive(Debug, Clone, PartialEq)]
enum Source {
    /// So many rows, or without end; so many a second, or as fast as they go.
    Generator { limit: Option<u64>, rate: Option<u64> },
    /// There are no files here.
    File(String),
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
            Some(rate @ 10..) => (Duration::from_millis(100), rate / 10),
            Some(rate) => (Duration::from_millis(1000 / rate.max(1)), 1),
        }
    }
}

impl Connector {
    /// What goes by `connectors` behind the columns of a table, or what is wrong with it.
    pub(super) fn declared(table: &str, options: &str) -> Result<Vec<Self>, String> {
        let Some((_, rest)) = options.split_once("'connectors'") else { return Ok(Vec::new()) };
        let text = rest.trim_start().strip_prefix('=').and_then(literal).unwrap_or_default();
        let invalid =
            |why: &str| format!("relation '{table}': property 'connectors' has value '{text}' which is invalid: {why}");
        let declared: Vec<Value> =
            serde_json::from_str(&text).map_err(|error| invalid(&format!("deserialization failed: {error}")))?;
        let numbered = declared.into_iter().enumerate();
        numbered.map(|(at, connector)| Self::read(at, &connector).map_err(|why| invalid(&why))).collect()
    }

    fn read(at: usize, connector: &Value) -> Result<Self, String> {
        let transport = &connector["transport"];
        let source = match transport["name"].as_str() {
            Some("datagen") => {
                let plan = &transport["config"]["plan"][0];
                Source::Generator { limit: plan["limit"].as_u64(), rate: plan["rate"].as_u64() }
            }
            Some("file_input") => {
                Source::File(transport["config"]["path"].as_str().ok_or("missing field `path`")?.to_owned())
            }
            other => {
                let name = other.unwrap_or_default();
                let known = "the simulator has only `file_input`, `datagen`";
                return Err(format!("deserialization failed: unknown variant `{name}`, {known}"));
            }
        };
        Ok(Self {
            name: connector["name"].as_str().map_or_else(|| format!("unnamed-{at}"), str::to_owned),
            paused: connector["paused"].as_bool().unwrap_or(false),
            source,
            transport: transport.clone(),
        })
    }

    /// As `program_info` has it.
    pub(super) fn information(&self, table: &str) -> Value {
        json!({ "stream": table, "send_snapshot": false, "transport": self.transport, "format": null, "index": null,
            "enable_output_buffer": false, "max_output_buffer_time_millis": u64::MAX,
            "max_output_buffer_size_records": 10_000_000, "max_queued_records": 1_000_000, "paused": self.paused,
            "labels": [], "start_after": null })
    }
}

/// A text in single quotes, of which two are one.
fn literal(text: &str) -> Option<String> {
    let rest = text.trim_start().strip_prefix('\'')?;
    let marked = rest.replace("''", "\0");
    Some(marked.split('\'').next()?.replace('\0', "'"))
}

impl Process {
    /// Its connectors begin where a checkpoint left them; what the process says if one cannot.
    pub(super) fn connect(
        &mut self,
        now: Duration,
        program: &Program,
        saved: Option<&SavedState>,
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
                        let made = saved.and_then(|saved| saved.made.get(&name)).copied().unwrap_or_default();
                        let (limit, rate, paused) = (*limit, *rate, connector.paused);
                        let at = self.endpoint(&name, &table.name);
                        if let Some(endpoint) = self.endpoints.get_mut(at) {
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
        let at_work = self.status == "Running" && !self.is_busy();
        let generators = self.endpoints.iter().filter_map(|endpoint| endpoint.generator.as_ref());
        let makes = |generator: &&Generator| at_work && !generator.paused && !generator.is_at_end();
        generators.filter(makes).map(|generator| generator.due).min()
    }

    /// The connector that is next makes its rows.
    pub(super) fn generate(&mut self, at: Duration, config: &Config, program: &Program) {
        if self.next_rows().is_none_or(|due| due > at) {
            return;
        }
        let due = |endpoint: &mut Endpoint| {
            let generator = endpoint.generator.as_mut()?;
            (!generator.paused && !generator.is_at_end() && generator.due <= at).then_some(())?;
            let (pause, most) = generator.beat();
            let first = generator.made;
            let end = generator.limit.unwrap_or(u64::MAX).min(first.saturating_add(most));
            (generator.made, generator.due) = (end, at.saturating_add(pause));
            Some((endpoint.stream.clone(), first..end))
        };
        let found = self.endpoints.iter_mut().enumerate().find_map(|(at, endpoint)| Some((at, due(endpoint)?)));
        let Some((place, (table, numbers))) = found else { return };
        let Some(shape) = program.tables.iter().find(|shape| shape.name == table) else { return };
        let changes: Vec<Change> = numbers.map(|number| Change { delete: false, row: row(shape, number) }).collect();
        if let Some(endpoint) = self.endpoints.get_mut(place) {
            endpoint.bytes += changes.iter().map(|change| change.row.to_string().len()).sum::<usize>();
        }
        self.take(at, config, place, &table, changes);
    }

    /// Connectors go on from now, and do not make up for the time that they rested.
    pub(super) fn wake(&mut self, now: Duration) {
        for generator in self.endpoints.iter_mut().filter_map(|endpoint| endpoint.generator.as_mut()) {
            generator.due = generator.due.max(now);
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

/// Whether all inputs have come to their end, and all they took in has gone through.
pub(super) fn is_complete(process: &Process) -> bool {
    let ended = !process.endpoints.is_empty() && process.endpoints.iter().all(Endpoint::is_at_end);
    ended && process.initiated == process.completed
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

impl Manager {
    /// A connector, or a way of ingress, of a process that answers.
    fn input(&mut self, name: &str, table: &str, connector: &str) -> Result<(&mut Process, usize), Refusal> {
        let pipeline = self.live(name)?;
        let Some(process) = &mut pipeline.process else { return Err(Refusal::unknown_route()) };
        let wanted = format!("{}.{connector}", folded(table));
        let found = process.endpoints.iter().position(|endpoint| endpoint.name == wanted);
        found.map(|at| (process, at)).ok_or_else(|| Refusal::unknown_endpoint(table, connector))
    }

    pub(super) fn input_status(&mut self, name: &str, table: &str, connector: &str) -> Answer {
        let (process, at) = self.input(name, table, connector)?;
        let mut status = process.endpoints.get(at).map(Endpoint::status).unwrap_or_default();
        (status["parse_errors"], status["transport_errors"]) = (json!([]), json!([]));
        Ok(Reply::json(status))
    }

    pub(super) fn input_token(&mut self, name: &str, table: &str, connector: &str) -> Answer {
        let (process, at) = self.input(name, table, connector)?;
        Ok(Reply::json(json!({ "token": tokens::write(process, at) })))
    }

    pub(super) fn control_input(&mut self, name: &str, table: &str, connector: &str, action: &str) -> Answer {
        let paused = match action {
            "start" => false,
            "pause" => true,
            other => {
                let message = format!("Invalid input connector action '{other}'");
                let details = json!({ "invalid_action": other });
                return Err(Refusal::new(StatusCode::BAD_REQUEST, "InvalidConnectorAction", message, details));
            }
        };
        let now = self.now;
        let (process, at) = self.input(name, table, connector)?;
        process.wake(now);
        if let Some(generator) = process.endpoints.get_mut(at).and_then(|endpoint| endpoint.generator.as_mut()) {
            generator.paused = paused;
        }
        Ok(Reply::empty())
    }
}
