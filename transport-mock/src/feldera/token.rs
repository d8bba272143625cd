//! Completion tokens: how far an endpoint was when it took rows in.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::errors::Rejection;

/// See the module.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) incarnation: String,
    pub(super) endpoint: usize,
    pub(super) records: u64,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { incarnation, endpoint, records } = self;
        f.write_str(&URL_SAFE_NO_PAD.encode(format!("{{\"u\":\"{incarnation}\",\"e\":{endpoint},\"c\":{records}}}")))
    }
}

impl Token {
    pub(super) fn parse(text: &str) -> Result<Self, Rejection> {
        let invalid = |error: String| Rejection::invalid_parameter(&format!("invalid completion token: {error}"));
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|error| invalid(format!("completion token is not a valid base64 string: {error}.")))?;
        let value: Value = serde_json::from_slice(&bytes)
            .map_err(|error| invalid(format!("error parsing completion token: {error}")))?;
        let number = |key: &str| value[key].as_u64();
        match (value["u"].as_str(), number("e"), number("c")) {
            (Some(incarnation), Some(endpoint), Some(records)) => {
                let endpoint = usize::try_from(endpoint).unwrap_or(usize::MAX);
                Ok(Self { incarnation: incarnation.to_owned(), endpoint, records })
            }
            _ => Err(invalid("error parsing completion token: missing field".into())),
        }
    }
}
