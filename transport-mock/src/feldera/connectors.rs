//! Connectors: the sources that tables are declared with, and the sinks of views.

use serde_json::{Value, json};

use super::release::Release;

/// A source that a table is declared with.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Connector {
    pub(super) name: String,
    pub(super) paused: bool,
    pub(super) source: Source,
    /// As it was declared.
    transport: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Source {
    /// So many rows, or without end; so many a second, or as fast as they go.
    Generator { limit: Option<u64>, rate: Option<u64> },
    /// There are no files here.
    File(String),
}

impl Connector {
    /// What goes by `connectors` behind the columns of a table, or what is wrong with it.
    #[cfg(not(feature = "sql"))]
    pub(super) fn declared(table: &str, options: &str) -> Result<Vec<Self>, String> {
        declared(table, &property(options), Self::read)
    }

    /// The connectors that the property `connectors` of a table describes, or what is wrong with it.
    #[cfg(feature = "sql")]
    pub(super) fn described(table: &str, property: &str) -> Result<Vec<Self>, String> {
        declared(table, property, Self::read)
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
            name: name(at, connector),
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

/// A sink that a view is declared with.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sink {
    pub(super) name: String,
    pub(super) paused: bool,
    /// As it was declared.
    transport: Value,
}

impl Sink {
    /// What goes by `connectors` of a view, or what is wrong with it.
    #[cfg(not(feature = "sql"))]
    pub(super) fn declared(view: &str, options: &str) -> Result<Vec<Self>, String> {
        declared(view, &property(options), Self::read)
    }

    /// The connectors that the property `connectors` of a view describes, or what is wrong with it.
    #[cfg(feature = "sql")]
    pub(super) fn described(view: &str, property: &str) -> Result<Vec<Self>, String> {
        declared(view, property, Self::read)
    }

    fn read(at: usize, connector: &Value) -> Result<Self, String> {
        let transport = connector["transport"].clone();
        match transport["name"].as_str() {
            Some("file_output") => {
                let paused = connector["paused"].as_bool().unwrap_or(false);
                Ok(Self { name: name(at, connector), paused, transport })
            }
            other => {
                let name = other.unwrap_or_default();
                let known = "the simulator has only `file_output`";
                Err(format!("deserialization failed: unknown variant `{name}`, {known}"))
            }
        }
    }

    /// As `program_info` has it.
    pub(super) fn information(&self, view: &str) -> Value {
        json!({ "stream": view, "transport": self.transport, "format": null, "index": null, "paused": self.paused })
    }
}

/// An output connector of a process.
#[derive(Debug)]
pub(super) struct Output {
    /// View and connector.
    pub(super) name: String,
    pub(super) view: String,
    /// What it is given is discarded.
    pub(super) paused: bool,
    pub(super) records: usize,
}

impl Output {
    /// As statistics have it, when so many records and steps have gone through.
    pub(super) fn status(&self, release: Release, records: u64, steps: u64) -> Value {
        let mut status = json!({
            "endpoint_name": self.name, "config": { "stream": self.view },
            "metrics": { "transmitted_records": self.records, "transmitted_bytes": 0, "queued_records": 0,
                "queued_batches": 0, "buffered_records": 0, "buffered_batches": 0, "num_encode_errors": 0,
                "num_transport_errors": 0, "total_processed_input_records": records,
                "total_processed_steps": steps, "memory": 0 },
            "fatal_error": null,
        });
        if release >= Release::V0_375 {
            status["paused"] = json!(self.paused);
        }
        status
    }
}

/// Reads each of the connectors that a relation is declared with.
fn declared<T>(
    relation: &str,
    text: &str,
    read: impl Fn(usize, &Value) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let invalid =
        |why: &str| format!("relation '{relation}': property 'connectors' has value '{text}' which is invalid: {why}");
    let declared: Vec<Value> =
        serde_json::from_str(text).map_err(|error| invalid(&format!("deserialization failed: {error}")))?;
    let numbered = declared.into_iter().enumerate();
    numbered.map(|(at, connector)| read(at, &connector).map_err(|why| invalid(&why))).collect()
}

/// The value of the property `connectors`; an empty list if it is absent.
#[cfg(not(feature = "sql"))]
fn property(options: &str) -> String {
    match options.split_once("'connectors'") {
        Some((_, rest)) => rest.trim_start().strip_prefix('=').and_then(literal).unwrap_or_default(),
        None => "[]".to_owned(),
    }
}

fn name(at: usize, connector: &Value) -> String {
    connector["name"].as_str().map_or_else(|| format!("unnamed-{at}"), str::to_owned)
}

/// A text in single quotes, of which two are one.
#[cfg(not(feature = "sql"))]
fn literal(text: &str) -> Option<String> {
    let rest = text.trim_start().strip_prefix('\'')?;
    let marked = rest.replace("''", "\0");
    Some(marked.split('\'').next()?.replace('\0', "'"))
}
