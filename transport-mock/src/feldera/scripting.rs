//! Rows of views that the simulator does not evaluate, as a test emits them.

use std::fmt;

use http::StatusCode;
use serde_json::{Value, json};

use super::Manager;
use super::errors::{Answer, Rejection, Reply};
use super::program::{Source, folded};
use super::request::Call;
use super::rows::Change;
use super::store::Store;

/// Why rows cannot be emitted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EmitError {
    /// The pipeline does not exist or has no process.
    NotRunning(String),
    /// The program has no such view, or the simulator evaluates it.
    NotScripted(String),
    /// An event that is neither `{"insert": {…}}` nor `{"delete": {…}}`.
    NoEvent(Value),
}

impl fmt::Display for EmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning(name) => write!(f, "emitting rows: pipeline '{name}' has no process; start it first"),
            Self::NotScripted(view) => {
                write!(f, "emitting rows: '{view}' is not a view whose rows are scripted; see the compiler's warnings")
            }
            Self::NoEvent(event) => write!(f, "emitting rows: {event} is neither an insert nor a delete of an object"),
        }
    }
}

impl std::error::Error for EmitError {}

impl Manager {
    /// Inserts and deletes rows of a view that the simulator does not evaluate, in a step of their own. `events` have
    /// the form of egress: `{"insert": {…}}` or `{"delete": {…}}`.
    ///
    /// The compiler's warnings name such views. The same can be done over HTTP, with an array of events:
    /// `POST /_simulator/pipelines/{pipeline}/views/{view}/emit`.
    ///
    /// # Errors
    ///
    /// * [`EmitError::NotRunning`] if the pipeline does not exist or has no process.
    /// * [`EmitError::NotScripted`] if the program has no such view, or the simulator evaluates it.
    /// * [`EmitError::NoEvent`] if an event has another form. Then nothing is emitted.
    pub fn emit(&mut self, pipeline: &str, view: &str, events: &[Value]) -> Result<(), EmitError> {
        emit_events(&mut self.store, pipeline, view, events)
    }
}

fn emit_events(store: &mut Store, name: &str, view: &str, events: &[Value]) -> Result<(), EmitError> {
    let (now, config) = (store.now, store.config.clone());
    let not_running = || EmitError::NotRunning(name.to_owned());
    let pipeline = store.find(name).map_err(|_| not_running())?;
    let (Some(process), Some(program)) = (&mut pipeline.process, &pipeline.compilation.program) else {
        return Err(not_running());
    };
    let folded = folded(view);
    if !program.views.iter().any(|known| known.name == folded && known.source == Source::Scripted) {
        return Err(EmitError::NotScripted(view.to_owned()));
    }
    let changes: Result<Vec<Change>, EmitError> = events.iter().map(change).collect();
    process.take_emitted(now, &config, &folded, changes?);
    Ok(())
}

fn change(event: &Value) -> Result<Change, EmitError> {
    let fields = event.as_object().filter(|fields| fields.len() == 1);
    let (action, row) =
        fields.and_then(|fields| fields.iter().next()).ok_or_else(|| EmitError::NoEvent(event.clone()))?;
    match action.as_str() {
        "insert" | "delete" if row.is_object() => Ok(Change { delete: action == "delete", row: row.clone() }),
        _ => Err(EmitError::NoEvent(event.clone())),
    }
}

/// `POST /_simulator/pipelines/{pipeline}/views/{view}/emit`.
pub(super) fn emit(store: &mut Store, call: &Call, name: &str, view: &str) -> Answer {
    let events: Vec<Value> = serde_json::from_slice(&call.body).map_err(|error| Rejection::body(error.to_string()))?;
    emit_events(store, name, view, &events).map_err(|error| {
        let status = match error {
            EmitError::NoEvent(_) => StatusCode::BAD_REQUEST,
            EmitError::NotRunning(_) | EmitError::NotScripted(_) => StatusCode::NOT_FOUND,
        };
        Rejection::new(status, "Simulator", error.to_string(), json!({}))
    })?;
    Ok(Reply::json(json!({ "emitted": events.len() })))
}
