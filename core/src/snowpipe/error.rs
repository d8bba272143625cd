//! The service's error responses: five shapes, and whether their codes allow another attempt.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::de::{Error, Visitor};
use serde::{Deserializer, Serializer};

use crate::error::{Applied, ErrorKind, ServiceError};
use crate::json;
use crate::operation::{Effect, OperationInfo};
use crate::schema::{WireField, json_structs, string_enums};

string_enums! {
    /// A code of the service, in error responses and in
    /// [`ChannelStatus::channel_status_code`](super::channels::ChannelStatus::channel_status_code).
    /// [Snowflake's page about
    /// errors](https://docs.snowflake.com/en/user-guide/snowpipe-streaming/snowpipe-streaming-high-performance-error-handling).
    pub enum ErrorCode {
        /// No error: the only code of a channel that may be used.
        Success = "SUCCESS",
        /// The continuation token is not the next token of the channel: another client has opened the channel, or an
        /// earlier attempt was carried out. Open the channel again.
        StaleContinuationToken = "STALE_CONTINUATION_TOKEN_SEQUENCER" | "4",
        /// Another client has opened the channel in the meantime.
        InvalidClientSequencer = "ERR_CHANNEL_HAS_INVALID_CLIENT_SEQUENCER",
        /// An append is missing between the last append and this append.
        InvalidRowSequencer = "ERR_CHANNEL_HAS_INVALID_ROW_SEQUENCER",
        /// The channel is invalid. Open it again.
        MustBeReopened = "ERR_CHANNEL_MUST_BE_REOPENED",
        /// An append is missing between two appends. Open the channel again.
        MustBeReopenedRowGap = "ERR_CHANNEL_MUST_BE_REOPENED_DUE_TO_ROW_SEQ_GAP",
        /// Rows are buffered and not committed. Open or drop the channel when they are committed, some seconds later.
        UncommittedData = "ERR_CHANNEL_HAS_UNCOMMITTED_DATA",
        /// Another client is opening the channel at this moment.
        OpenInProgress = "ERR_OPEN_CHANNEL_IN_PROGRESS",
        /// The channel does not exist, or the role may not use it. Also returned after the table was replaced.
        ChannelDoesNotExist = "ERR_CHANNEL_DOES_NOT_EXIST_OR_NOT_AUTHORIZED" | "ERR_CHANNEL_DOES_NOT_EXIST_OR_IS_NOT_AUTHORIZED",
        /// The pipe does not exist, or the role may not use it.
        PipeDoesNotExist = "ERR_PIPE_DOES_NOT_EXIST_OR_NOT_AUTHORIZED",
        /// The table does not exist, or the role may not use it.
        TableDoesNotExist = "ERR_TABLE_DOES_NOT_EXIST_NOT_AUTHORIZED" | "ERR_TABLE_DOES_NOT_EXIST_OR_NOT_AUTHORIZED",
        /// The pipe cannot accept rows, for example because its target is a view.
        PipeInInvalidState = "ERR_PIPE_IN_INVALID_STATE",
        /// The pipe has moved: request the host again, and open the channel again.
        PipeFailedOver = "ERR_PIPE_FAILED_OVER",
        /// The pipe was dropped recently. Open the channel again.
        StalePipeCache = "STALE_PIPE_CACHE",
        /// No node serves the pipe yet. Retry some seconds later.
        Retry = "ERR_GENERAL_EXCEPTION_RETRY_REQUEST",
        /// A name, the key or the clock of a key-pair token is wrong.
        InvalidJwt = "390144",
        /// The token has expired, or is not a valid token.
        InvalidToken = "390303" | "3",
        /// Too many requests.
        Throttled = "390701",
        /// The request had no `Accept` header.
        UnsupportedAccept = "391902",
    }
}

impl ErrorCode {
    /// Returns whether a channel with this code may be used.
    pub fn is_success(&self) -> bool {
        *self == Self::Success
    }

    /// Returns whether opening the channel again resolves the error.
    pub fn asks_to_reopen(&self) -> bool {
        matches!(
            self,
            Self::StaleContinuationToken
                | Self::InvalidClientSequencer
                | Self::InvalidRowSequencer
                | Self::MustBeReopened
                | Self::MustBeReopenedRowGap
                | Self::StalePipeCache
        )
    }

    /// Returns whether the channel, pipe or table does not exist, or the role may not use it. Create it or grant the
    /// privileges before you try again.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::ChannelDoesNotExist | Self::PipeDoesNotExist | Self::TableDoesNotExist)
    }

    /// Returns whether the same request may succeed some seconds later.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::UncommittedData | Self::OpenInProgress | Self::Retry | Self::Throttled)
    }
}

/// Returns the code of an error response; `None` if it has no code.
///
/// ```
/// use pipewright::Operation;
/// use pipewright::operation::RequestContext;
/// use pipewright::snowpipe::{ErrorCode, RequestId, error_code};
/// use pipewright::snowpipe::channels::OpenChannelOperation;
///
/// let open = OpenChannelOperation::new("DB", "PUBLIC", "T-STREAMING", "c", RequestId::from_bits(1), true);
/// let answer = http::Response::builder().status(409);
/// let answer = answer.body(r#"{"code":"ERR_OPEN_CHANNEL_IN_PROGRESS","message":"m"}"#.into())?;
/// let rejection = open.parse(answer).expect_err("a rejection");
/// assert_eq!(error_code(&rejection), Some(ErrorCode::OpenInProgress));
/// assert!(rejection.is_transient());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn error_code(error: &ServiceError) -> Option<ErrorCode> {
    error.code().filter(|_| error.kind() == ErrorKind::Rejected).map(ErrorCode::from)
}

/// Returns whether a rejection has a code that only the service uses. Gateways use a status, a message or another text.
pub(super) fn identifies_service(rejection: &ServiceError) -> bool {
    let is_known = |code| !matches!(ErrorCode::from(code), ErrorCode::Unknown(_));
    rejection.code().is_some_and(|code| code.starts_with("ERR_") || is_known(code))
}

/// A code: text, or a number that is read as text.
#[derive(Clone, Debug, PartialEq)]
struct Code(String);

impl WireField for Code {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_text(deserializer).map(Self)
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Text, or a whole number as text.
pub(super) fn read_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    struct Text;

    impl Visitor<'_> for Text {
        type Value = String;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("text or a whole number")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<String, E> {
            Ok(number.to_string())
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<String, E> {
            Ok(number.to_string())
        }
    }

    deserializer.deserialize_any(Text)
}

json_structs! {
    /// The body of an error response, with all names that its fields have had. `error` and `error_description` are from
    /// OAuth ([RFC 6749 §5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2)).
    struct ErrorBody {
        /// Symbolic or a number.
        pub code: Option<Code> = "code" | "error_code" | "error",
        /// A number, of the oldest answers.
        pub status_code: Option<Code>,
        /// Not stable.
        pub message: Option<String> = "message" | "error_description",
    }

    /// The wrapper of the oldest responses. Any status code but 0 is an error.
    struct Wrapper {
        /// 0 for success.
        pub status_code: Option<i64>,
        /// Why not.
        pub message: Option<String>,
    }
}

/// Fails if the body of a success reports an error, as the oldest responses do.
pub(super) fn check_body(info: &'static OperationInfo, response: &Response<Bytes>) -> Result<(), ServiceError> {
    match json::read::<Wrapper>(response.body()) {
        Ok(Wrapper { status_code: Some(code), message }) if code != 0 => {
            Err(own(info, response, Some(code.to_string()), message.unwrap_or_default()))
        }
        _ => Ok(()),
    }
}

/// Parses an error response. A body in none of the service's five shapes comes from a proxy.
pub(super) fn parse_error(info: &'static OperationInfo, response: &Response<Bytes>) -> ServiceError {
    let body = response.body();
    let is_code = |code: &String| is_code(code, response.status());
    let read = if let Ok(ErrorBody { code, status_code, message }) = json::read::<ErrorBody>(body) {
        let code = code.or(status_code).map(|Code(code)| code);
        let is_empty = code.is_none() && message.is_none();
        (!is_empty).then(|| (code.filter(is_code), message.unwrap_or_default()))
    } else {
        let text = json::read::<String>(body).ok().filter(|text| !text.is_empty());
        text.map(|text| if is_code(&text) { (Some(text), String::new()) } else { (None, text) })
    };
    match read {
        Some((code, message)) => own(info, response, code, message),
        None => foreign(info, response),
    }
}

/// Returns whether a code is from the service. A proxy repeats the status instead, as in `{"code":404}` or
/// `{"error":"Not Found"}`. A 404 from a proxy that has lost its backend must not look like a channel that does not
/// exist.
fn is_code(code: &str, status: StatusCode) -> bool {
    let is_number = || code.bytes().all(|byte| byte.is_ascii_digit());
    let is_services =
        || code.starts_with("ERR_") || is_number() || !matches!(ErrorCode::from(code), ErrorCode::Unknown(_));
    !code.is_empty()
        && !code.contains(char::is_whitespace)
        && code != status.as_str()
        && (status != StatusCode::NOT_FOUND || is_services())
}

/// Returns a rejection by the service itself, also if the status of the response is a success.
pub(super) fn own(
    info: &'static OperationInfo,
    response: &Response<Bytes>,
    code: Option<String>,
    message: String,
) -> ServiceError {
    let status = response.status();
    let known = code.as_deref().map(ErrorCode::from);
    let message = if message.is_empty() { "no message".to_owned() } else { message };
    let by_code = known.as_ref().is_some_and(ErrorCode::is_passing);
    let applied = match status.as_u16() {
        _ if info.effect == Effect::Safe => Applied::No,
        // Another node may have got the request.
        300..=399 | 408 | 499 | 500..=599 => Applied::Unknown,
        _ => Applied::No,
    };
    // A 404 without a code is from an edge that cannot reach the service at the moment.
    let lost = status == StatusCode::NOT_FOUND && code.is_none();
    ServiceError::rejected(info, response, code, message)
        .with_applied(applied)
        .with_transient(by_code || lost || is_passing(status))
}

fn foreign(info: &'static OperationInfo, response: &Response<Bytes>) -> ServiceError {
    let status = response.status();
    let error = ServiceError::foreign(info, response);
    let error = match status.as_u16() {
        // The request may have been forwarded. Following the redirection would turn a POST into a GET.
        300..=399 | 499 => error.with_applied(Applied::Unknown),
        _ => error,
    };
    let error = if info.effect == Effect::Safe { error.with_applied(Applied::No) } else { error };
    error.with_transient(status == StatusCode::NOT_FOUND || is_passing(status))
}

fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 499 | 500..=599)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::{Operation, Service};
    use crate::snowpipe::SnowpipeAccount;
    use crate::snowpipe::account::GetHostname;
    use crate::snowpipe::append::AppendRows;

    fn read(status: u16, body: &'static str) -> ServiceError {
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = StatusCode::from_u16(status).expect("a status");
        parse_error(AppendRows::INFO, &response)
    }

    #[test]
    fn all_shapes_of_error_bodies_are_read() {
        for (body, code, message) in [
            (
                r#"{"code":"STALE_CONTINUATION_TOKEN_SEQUENCER","message":"m"}"#,
                Some("STALE_CONTINUATION_TOKEN_SEQUENCER"),
                "m",
            ),
            (r#"{"code":"390701","message":"m"}"#, Some("390701"), "m"),
            (r#"{"error_code":390701,"message":"m"}"#, Some("390701"), "m"),
            (r#""ERR_GENERAL_EXCEPTION_RETRY_REQUEST""#, Some("ERR_GENERAL_EXCEPTION_RETRY_REQUEST"), "no message"),
            (r#"{"status_code":4,"message":"m"}"#, Some("4"), "m"),
            (r#"{"message":"m"}"#, None, "m"),
            (r#"{"error":"invalid_grant"}"#, Some("invalid_grant"), "no message"),
        ] {
            let error = read(400, body);
            assert_eq!((error.kind(), error.code(), error.message()), (ErrorKind::Rejected, code, message), "{body}");
        }
        for body in ["", "<html>", "{}", "[]", "null", "\"\"", "{\"code\":"] {
            assert_eq!(read(400, body).kind(), ErrorKind::Foreign, "{body}");
        }
    }

    #[test]
    fn what_to_do() {
        let (again, never) = (true, false);
        for (status, body, expected) in [
            (400, r#"{"code":"STALE_CONTINUATION_TOKEN_SEQUENCER"}"#, (never, Applied::No)),
            (404, r#"{"code":"ERR_PIPE_DOES_NOT_EXIST_OR_NOT_AUTHORIZED"}"#, (never, Applied::No)),
            (404, "", (again, Applied::No)),
            (404, r#"{"message":"no healthy upstream"}"#, (again, Applied::No)),
            (404, r#"{"status":404,"error":"Not Found"}"#, (again, Applied::No)),
            (404, r#"{"code":404,"message":"Not Found"}"#, (again, Applied::No)),
            (404, r#""Not Found""#, (again, Applied::No)),
            (404, r#""NotFound""#, (again, Applied::No)),
            (404, r#"{"error":"not_found"}"#, (again, Applied::No)),
            (404, r#"{"code":"ERR_OF_TOMORROW"}"#, (never, Applied::No)),
            (409, r#"{"code":"ERR_CHANNEL_HAS_UNCOMMITTED_DATA"}"#, (again, Applied::No)),
            (409, r#"{"code":"ERR_OPEN_CHANNEL_IN_PROGRESS"}"#, (again, Applied::No)),
            (409, r#"{"code":"ERR_PIPE_IN_INVALID_STATE"}"#, (never, Applied::No)),
            (410, r#"{"code":"ERR_PIPE_FAILED_OVER"}"#, (never, Applied::No)),
            (413, "", (never, Applied::No)),
            (429, "", (again, Applied::No)),
            (429, r#"{"code":"390701"}"#, (again, Applied::No)),
            (499, "", (again, Applied::Unknown)),
            (500, r#"{"code":"INTERNAL"}"#, (again, Applied::Unknown)),
            (503, r#""ERR_GENERAL_EXCEPTION_RETRY_REQUEST""#, (again, Applied::Unknown)),
            (502, "<html>", (again, Applied::Unknown)),
            (302, "", (never, Applied::Unknown)),
            (302, r#"{"message":"elsewhere"}"#, (never, Applied::Unknown)),
            (401, r#"{"code":"390303"}"#, (never, Applied::No)),
        ] {
            let error = read(status, body);
            assert_eq!((error.is_transient(), error.applied()), expected, "{status} {body}");
        }
    }

    #[test]
    fn an_account_that_is_not_there_will_not_be() {
        let mut response = Response::new(Bytes::from("<html>"));
        for (status, expected) in [(404, false), (503, true), (429, true), (400, false)] {
            *response.status_mut() = StatusCode::from_u16(status).expect("a status");
            assert_eq!(SnowpipeAccount::parse_error(GetHostname::INFO, &response).is_transient(), expected, "{status}");
        }
    }
}
