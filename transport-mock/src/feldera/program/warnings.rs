//! What the compiler says of programs that it accepts, and pieces of a program in its messages.

use serde_json::{Value, json};

use crate::sql::Span;

/// What the simulator does not do of a program.
pub(super) enum Warning<'a> {
    /// It does not evaluate a view.
    Scripted { view: &'a str, what: &'a str },
    /// It keeps rows however late they are.
    Lateness,
    /// It takes no default values.
    Default,
}

impl Warning<'_> {
    pub(super) fn message(&self, code: &str, at: Span) -> Value {
        let message = match self {
            Self::Scripted { view, what } => format!(
                "pipewright-sim does not run {what}: view '{view}' stays empty until a test emits its rows, with Manager::emit or POST /_simulator/pipelines/{{pipeline}}/views/{view}/emit"
            ),
            Self::Lateness => "pipewright-sim ignores LATENESS and WATERMARK: late rows are not dropped".to_owned(),
            Self::Default => "pipewright-sim ignores DEFAULT: an absent value is NULL".to_owned(),
        };
        json!({ "start_line_number": at.start.line, "start_column": at.start.column, "end_line_number": at.end.line,
            "end_column": at.end.column, "warning": true, "error_type": "Not simulated", "message": message,
            "snippet": snippet(code, at) })
    }
}

/// The lines around a piece of a program, with the piece underlined.
pub(super) fn snippet(code: &str, at: Span) -> String {
    let line = |number: usize| code.lines().nth(number.checked_sub(1)?).map(|line| format!("{number:5}|{line}\n"));
    let end = if at.end.line == at.start.line { at.end.column } else { at.start.column };
    let (blank, marks) =
        (" ".repeat(at.start.column + 5), "^".repeat((end + 1).saturating_sub(at.start.column).max(1)));
    let (shown, next) = (line(at.start.line).unwrap_or_default(), line(at.start.line + 1).unwrap_or_default());
    format!("{shown}{blank}{marks}\n{next}")
}
