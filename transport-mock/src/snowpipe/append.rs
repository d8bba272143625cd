//! What the bodies and the queries of appends say.

use bytes::Bytes;

use super::errors::Rejection;
use super::request::Call;
use super::rows::lines;

/// An append to a channel.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) rows: Vec<Bytes>,
    pub(super) continuation: Option<String>,
    /// The offset token that is committed with the rows; `Some("")` commits the rows and no token.
    pub(super) offset: Option<String>,
}

impl Append {
    pub(super) fn read(call: &Call) -> Result<Self, Rejection> {
        let rows = lines(&call.rows()?);
        let offset = match (call.query("startOffsetToken"), call.query("endOffsetToken"), call.query("offsetToken")) {
            (Some(_), Some(end), _) => Some(end),
            (_, _, single) => single,
        };
        let continuation = call.query("continuationToken").map(str::to_owned);
        Ok(Self { rows, continuation, offset: offset.map(str::to_owned) })
    }
}

/// The rows of an elastic append: without tokens, at least once, in any order.
pub(super) fn elastic_rows(call: &Call) -> Result<Vec<Bytes>, Rejection> {
    let tokens = ["offsetToken", "startOffsetToken", "endOffsetToken", "continuationToken"];
    if let Some(token) = tokens.into_iter().find(|token| call.query(token).is_some()) {
        return Err(Rejection::bad_request(format!("{token} is not allowed in an elastic append.")));
    }
    let rows = lines(&call.rows()?);
    if rows.is_empty() {
        return Err(Rejection::no_rows());
    }
    Ok(rows)
}
