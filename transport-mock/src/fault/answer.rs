//! The result of an exchange, with or without a fault.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use pipewright::Timestamp;
use pipewright::error::{Delivery, TransportError, TransportErrorKind};

use super::{Fault, RetryAfter};
use crate::streaming::{NoAnswer, OpenBody};

/// The result of an exchange.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) result: Result<Response<Bytes>, TransportError>,
    /// A streaming body that ends with an error.
    pub(crate) cut: bool,
}

impl Answer {
    pub(crate) fn failure(kind: TransportErrorKind, delivery: Delivery, message: impl Into<Box<str>>) -> Self {
        TransportError::new(kind, delivery, message).into()
    }

    /// Returns what the flow sees at `now`. `response` is `None` if the service did not get the request.
    pub(crate) fn spoilt(
        fault: Option<Fault>,
        response: Option<Response<Bytes>>,
        streaming: bool,
        now: Timestamp,
    ) -> Self {
        let closed = |message: &str| Self::failure(TransportErrorKind::Closed, Delivery::Unknown, message);
        let response = response.filter(|response| response.extensions().get::<NoAnswer>().is_none());
        let page = |status: StatusCode, after| Self::from(proxy_page(status, after, now));
        let Some(response) = response else {
            return match fault {
                Some(Fault::TooManyRequests(after)) => page(StatusCode::TOO_MANY_REQUESTS, after),
                Some(Fault::Unavailable(after)) => page(StatusCode::SERVICE_UNAVAILABLE, after),
                Some(Fault::ProxyPage { status, .. }) => page(status, RetryAfter::Absent),
                Some(Fault::Unauthorized) => Self::from(unauthorized()),
                _ => closed("the connection was reset before the answer"),
            };
        };
        let status = response.status();
        match fault {
            Some(Fault::ReplyLost | Fault::Restart { .. }) => closed("the connection was reset before the answer"),
            Some(Fault::ProxyPage { status, .. }) => page(status, RetryAfter::Absent),
            Some(Fault::CutOff) if streaming && status.is_success() => Self { result: Ok(half(response)), cut: true },
            Some(Fault::CutOff) => {
                let message = "the connection was reset in the middle of the body";
                TransportError::new(TransportErrorKind::Closed, Delivery::Unknown, message)
                    .with_head(status, response.headers())
                    .into()
            }
            Some(Fault::ShortBody) => half(response).into(),
            Some(Fault::MalformedBody) => response.map(malformed).into(),
            _ => response.into(),
        }
    }

    /// Returns an error instead if the body is larger than the limit of the exchange.
    pub(crate) fn bounded(self, limit: u64, streaming: bool) -> Self {
        match &self.result {
            Ok(response) if response.body().len() as u64 > limit && !(streaming && response.status().is_success()) => {
                let message = format!("the body has {} bytes, and the limit is {limit}", response.body().len());
                TransportError::new(TransportErrorKind::TooLarge, Delivery::Unknown, message)
                    .with_head(response.status(), response.headers())
                    .into()
            }
            _ => self,
        }
    }
}

impl From<Response<Bytes>> for Answer {
    fn from(response: Response<Bytes>) -> Self {
        Self { result: Ok(response), cut: false }
    }
}

impl From<TransportError> for Answer {
    fn from(error: TransportError) -> Self {
        Self { result: Err(error), cut: false }
    }
}

/// Returns a proxy's HTML page.
pub(crate) fn proxy_page(status: StatusCode, after: RetryAfter, now: Timestamp) -> Response<Bytes> {
    let title = match status {
        StatusCode::OK => "Sign in to continue".to_owned(),
        status => format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or("Error")),
    };
    let page = format!(
        "<!DOCTYPE html>\n<html><head><title>{title}</title></head>\n<body><h1>{title}</h1><p>edge proxy</p></body></html>\n"
    );
    let mut response = Response::new(Bytes::from(page));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    let value = match after {
        RetryAfter::Absent => None,
        RetryAfter::Seconds(seconds) => Some(HeaderValue::from(seconds)),
        RetryAfter::Date(seconds) => {
            HeaderValue::try_from(http_date(now + Duration::from_secs(u64::from(seconds)))).ok()
        }
    };
    if let Some(value) = value {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}

fn unauthorized() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// Keeps half of a body. A streaming body ends there.
fn half(mut response: Response<Bytes>) -> Response<Bytes> {
    response.extensions_mut().remove::<OpenBody>();
    response.map(|mut body| {
        body.truncate(body.len() / 2);
        body
    })
}

fn malformed(body: Bytes) -> Bytes {
    let mut bytes = Vec::from(body);
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte = 0;
    }
    bytes.into()
}

/// The preferred form of [RFC 9110 §5.6.7](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7), rounded up.
fn http_date(time: Timestamp) -> String {
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = time.as_unix().as_micros().div_ceil(1_000_000);
    let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
    let text = Timestamp::from_millis(seconds.saturating_mul(1000)).to_string();
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    let month = part(5, 7).parse::<usize>().unwrap_or(1).saturating_sub(1);
    let weekday = usize::try_from(seconds / 86_400 % 7).unwrap_or(0);
    format!("{}, {} {} {} {} GMT", WEEKDAYS[weekday], part(8, 10), MONTHS[month % 12], part(0, 4), part(11, 19))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_rounded_up_and_read_back() {
        for (millis, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_776_001, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (784_111_777_000, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (1_709_164_800_000, "Thu, 29 Feb 2024 00:00:00 GMT"),
        ] {
            assert_eq!(http_date(Timestamp::from_millis(millis)), text);
            assert!(Timestamp::from_http_date(text).expect(text).as_millis() >= millis);
        }
    }

    #[test]
    fn a_malformed_body_is_no_json_wherever_the_byte_is() {
        for body in ["{}", "[]", "1", r#"{"status":"RUNNING"}"#, r#""a string""#, "[1, 2,  3]"] {
            let body = malformed(Bytes::from(body));
            assert!(serde_json::from_slice::<serde_json::Value>(&body).is_err(), "{body:?}");
        }
        assert!(malformed(Bytes::new()).is_empty());
    }
}
