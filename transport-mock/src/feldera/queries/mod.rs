//! Ad-hoc queries.

#[cfg(feature = "sql")]
mod arrow;
#[cfg(feature = "sql")]
mod evaluated;
#[cfg(not(feature = "sql"))]
mod passthrough;
mod text;

use http::StatusCode;
use serde_json::json;

use super::errors::Rejection;

#[cfg(feature = "sql")]
pub(super) use self::evaluated::query;
#[cfg(not(feature = "sql"))]
pub(super) use self::passthrough::query;

fn rejected(error: &str) -> Rejection {
    let message = format!("Error during query processing: {error}.");
    Rejection::new(StatusCode::BAD_REQUEST, "AdHocQueryError", message, json!({ "error": error }))
}

/// What is said of a relation that is not materialized.
fn unreadable(relation: &str) -> String {
    format!(
        "Execution error: Tried to SELECT from a non-materialized source. Make sure `{relation}` is configured as materialized: use `with ('materialized' = 'true')` for tables, or `create materialized view` for views."
    )
}
