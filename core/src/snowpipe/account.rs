//! Operations of the account's host: find the ingest host, and get a token for it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response};
use serde::Serialize;

use super::{RequestId, SnowpipeAccount, TOKEN_TYPE, error};
use crate::body::Body;
use crate::decode::without_mark;
use crate::error::{BuildError, ServiceError};
use crate::json;
use crate::operation::{self, Effect, Operation, OperationInfo, RequestContext, Target};
use crate::schema::{json_structs, string_enums};
use crate::secret::Secret;
use crate::time::Timestamp;
use crate::url::{Base, form_value};

/// The rows of this table.
pub(crate) const OPERATIONS: &[&OperationInfo] = &[GetHostname::INFO, ExchangeToken::INFO];

string_enums! {
    /// The kind of credential for the account's host.
    pub enum TokenType {
        /// A token that is signed with the user's key: see [`jwt`](super::jwt).
        KeypairJwt = "KEYPAIR_JWT",
        /// An access token of Snowflake or another OAuth server.
        OAuth = "OAUTH",
        ProgrammaticAccessToken = "PROGRAMMATIC_ACCESS_TOKEN",
    }
}

impl TokenType {
    fn header(&self, operation: &'static str) -> Result<HeaderValue, BuildError> {
        let wrong = |_| BuildError::value(operation, "token type", self.as_str(), "no header can hold it");
        HeaderValue::try_from(self.as_str()).map_err(wrong)
    }
}

/// Requests the name of the ingest host, which accepts rows.
///
/// The name is valid until a request to that host is rejected with 410: then request it again.
///
/// Rejected with 401 `390144` if a name, the key or the clock of the key-pair token is wrong.
/// [Reference](https://docs.snowflake.com/en/user-guide/snowpipe-streaming/snowpipe-streaming-high-performance-rest-api#get-hostname).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct GetHostname {
    /// The kind of the account's credential.
    pub token_type: TokenType,
    /// The id of the request in the service's logs.
    pub request_id: RequestId,
}

impl GetHostname {
    /// Creates the operation.
    pub fn new(token_type: TokenType, request_id: RequestId) -> Self {
        Self { token_type, request_id }
    }
}

impl Operation for GetHostname {
    type Output = Hostname;
    type Service = SnowpipeAccount;

    const INFO: &'static OperationInfo = &OperationInfo {
        service: "snowpipe",
        name: "getHostname",
        method: Method::GET,
        path: "/v2/streaming/hostname",
        effect: Effect::Safe,
        effect_varies: false,
    };

    fn request(&self, cx: RequestContext<'_>) -> Result<Request<Body>, BuildError> {
        let mut target = Target::new::<SnowpipeAccount>(Self::INFO, cx);
        target.query("requestId", &self.request_id);
        let mut request = target.finish(None)?;
        request.headers_mut().insert(TOKEN_TYPE, self.token_type.header(Self::INFO.name)?);
        Ok(request)
    }

    fn parse(&self, response: Response<Bytes>) -> Result<Hostname, ServiceError> {
        operation::parse_by::<SnowpipeAccount, _>(Self::INFO, &response, |info, response| {
            let hostname = bare(info, response)?;
            match format!("https://{hostname}").parse::<Base>() {
                Ok(base) if base.prefix().is_empty() && !hostname.is_empty() => Ok(Hostname { hostname }),
                _ => Err(ServiceError::unreadable(info, response, "it is not a host name").with_transient(false)),
            }
        })
    }
}

/// Exchanges the account's credential for a token for the ingest host.
///
/// The credential is only in the `Authorization` header. Each call returns another token, and earlier tokens stay
/// valid, so a repeated call does no harm.
///
/// Rejected with 400 `invalid_grant` or 401 `390144` if the credential is wrong for this account or scope.
/// [Reference](https://docs.snowflake.com/en/user-guide/snowpipe-streaming/snowpipe-streaming-high-performance-rest-api#exchange-scoped-token).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ExchangeToken {
    /// The kind of the account's credential.
    pub token_type: TokenType,
    /// The ingest host that the token is for: [`Hostname::host`].
    pub host: String,
    /// The id of the request in the service's logs.
    pub request_id: RequestId,
    /// The role to use; `None` for the user's default role. A key-pair token contains its role.
    pub role: Option<String>,
}

impl ExchangeToken {
    /// Creates the operation.
    pub fn new(token_type: TokenType, host: impl Into<String>, request_id: RequestId) -> Self {
        Self { token_type, host: host.into(), request_id, role: None }
    }

    /// Sets the role to use.
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.role = Some(role.into());
        self
    }
}

impl Operation for ExchangeToken {
    type Output = ScopedToken;
    type Service = SnowpipeAccount;

    const INFO: &'static OperationInfo = &OperationInfo {
        service: "snowpipe",
        name: "exchangeToken",
        method: Method::POST,
        path: "/oauth/token",
        effect: Effect::Safe,
        effect_varies: false,
    };

    fn request(&self, cx: RequestContext<'_>) -> Result<Request<Body>, BuildError> {
        let mut target = Target::new::<SnowpipeAccount>(Self::INFO, cx);
        target.query("requestId", &self.request_id);
        let (grant, subject) = match &self.token_type {
            TokenType::KeypairJwt => ("urn:ietf:params:oauth:grant-type:jwt-bearer", None),
            TokenType::ProgrammaticAccessToken => (EXCHANGE, Some("programmatic_access_token")),
            TokenType::OAuth | TokenType::Unknown(_) => {
                (EXCHANGE, Some("urn:ietf:params:oauth:token-type:access_token"))
            }
        };
        let role = self.role.as_ref().map(|role| format!(" session:role:{role}")).unwrap_or_default();
        let mut form =
            format!("grant_type={}&scope={}", form_value(grant), form_value(&format!("{}{role}", self.host)));
        if let Some(subject) = subject {
            form.push_str("&subject_token_type=");
            form.push_str(&form_value(subject));
        }
        let content_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        let mut request = target.finish_with(form.into(), content_type)?;
        request.headers_mut().insert(TOKEN_TYPE, self.token_type.header(Self::INFO.name)?);
        Ok(request)
    }

    fn parse(&self, response: Response<Bytes>) -> Result<ScopedToken, ServiceError> {
        operation::parse_by::<SnowpipeAccount, _>(Self::INFO, &response, |info, response| {
            // A token that cannot be a header value is not shown, either.
            let hide = |_| {
                let empty = Response::builder().status(response.status()).body(Bytes::new()).unwrap_or_default();
                ServiceError::unreadable(info, &empty, "a token with characters that no header may hold")
            };
            let token = Secret::new(bare(info, response)?);
            token.bearer().map_err(hide)?;
            let expires = expiry(token.expose());
            Ok(ScopedToken { token, expires })
        })
    }
}

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

json_structs! {
    /// The name of the ingest host.
    pub struct Hostname {
        /// The name from the response. It may contain `_`.
        pub hostname: String,
    }

    /// A response that is a JSON object instead of the bare value.
    struct Wrapped {
        /// In the oldest responses. Any code but 0 is a rejection.
        pub status_code: Option<i64>,
        /// In the oldest responses.
        pub message: Option<String>,
        /// The requested value.
        pub value: Option<String> = "hostname" | "token" | "access_token",
    }
}

impl Hostname {
    /// Returns the name to use in addresses and as the scope of tokens: in lower case, with `-` for every `_`.
    ///
    /// ```
    /// use pipewright::Operation;
    /// use pipewright::snowpipe::RequestId;
    /// use pipewright::snowpipe::account::{GetHostname, TokenType};
    /// let get = GetHostname::new(TokenType::KeypairJwt, RequestId::from_bits(1));
    /// let answer = get.parse(http::Response::new("My_Acct.ingest.snowflakecomputing.com\n".into()))?;
    /// assert_eq!(answer.host(), "my-acct.ingest.snowflakecomputing.com");
    /// # Ok::<(), pipewright::error::ServiceError>(())
    /// ```
    pub fn host(&self) -> String {
        self.hostname.to_ascii_lowercase().replace('_', "-")
    }

    /// Returns the `https` address of the host.
    ///
    /// # Errors
    /// If the text is not a host name. A parsed response always contains a host name.
    pub fn base(&self) -> Result<Base, BuildError> {
        format!("https://{}", self.host()).parse()
    }
}

/// A token for the ingest host. Serializing it does not write the secret, so it cannot be deserialized.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ScopedToken {
    #[allow(missing_docs, reason = "the name says everything")]
    pub token: Secret,
    /// When the token expires: its claim `exp`, unverified. `None` if it has no readable `exp`.
    pub expires: Option<Timestamp>,
}

impl PartialEq for ScopedToken {
    fn eq(&self, other: &Self) -> bool {
        self.token.expose() == other.token.expose() && self.expires == other.expires
    }
}

/// Writes the token without the secret.
impl Serialize for ScopedToken {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut record = serializer.serialize_struct("ScopedToken", 1)?;
        record.serialize_field("expires", &self.expires)?;
        record.end()
    }
}

/// Reads the value: bare text, a JSON string, or a field of a JSON object. Errors do not show the response, because it
/// may be a token.
fn bare(info: &'static OperationInfo, response: &Response<Bytes>) -> Result<String, ServiceError> {
    let unreadable = |problem: &str| {
        let empty = Response::builder().status(response.status()).body(Bytes::new()).unwrap_or_default();
        ServiceError::unreadable(info, &empty, problem)
    };
    operation::reject_compressed(info, response)?;
    let text = std::str::from_utf8(without_mark(response.body())).map_err(|_| unreadable("not UTF-8"))?.trim();
    let value = match text.as_bytes().first() {
        Some(b'{') => {
            let wrapped: Wrapped =
                json::read(text.as_bytes()).map_err(|_| unreadable("an object that cannot be read"))?;
            if let Some(code) = wrapped.status_code.filter(|code| *code != 0) {
                let message = wrapped.message.unwrap_or_default();
                return Err(error::own(info, response, Some(code.to_string()), message));
            }
            wrapped.value.ok_or_else(|| unreadable("an object without hostname, token or access_token"))?
        }
        Some(b'"') => json::read(text.as_bytes()).map_err(|_| unreadable("a quoted text that cannot be read"))?,
        Some(b'<') if text.ends_with('>') && text.to_ascii_lowercase().contains("<html") => {
            return Err(unreadable("a page of HTML"));
        }
        _ => text.to_owned(),
    };
    if value.trim().is_empty() { Err(unreadable("the body is empty")) } else { Ok(value.trim().to_owned()) }
}

/// Returns the `exp` of a JSON Web Token. It is in seconds ([RFC 7519
/// §4.1.4](https://www.rfc-editor.org/rfc/rfc7519#section-4.1.4)), or in milliseconds, which this service accepts, too.
fn expiry(token: &str) -> Option<Timestamp> {
    let claims = token.split('.').nth(1)?.trim_end_matches('=');
    let claims: Claims = json::read(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    let exp = claims.exp.filter(|exp| *exp > 0.0)?;
    // A second of the year 5138 is a millisecond of 1973.
    let seconds = if exp < 1e11 { exp } else { exp / 1000.0 };
    let since_epoch = Duration::try_from_secs_f64(seconds).ok()?;
    let millis = since_epoch.saturating_add(Duration::from_micros(500)).as_millis();
    u64::try_from(millis).ok().map(Timestamp::from_millis)
}

json_structs! {
    /// The claims of a token that this module reads.
    struct Claims {
        /// When the token expires.
        pub exp: Option<f64>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hostname(body: &str) -> Result<String, String> {
        let get = GetHostname::new(TokenType::OAuth, RequestId::from_bits(1));
        let answer = get.parse(Response::new(body.to_owned().into()));
        answer.map(|answer| answer.hostname).map_err(|error| error.to_string())
    }

    #[test]
    fn hostnames_in_all_shapes() {
        for body in [
            "a_b.test",
            " a_b.test\r\n",
            "\"a_b.test\"",
            r#"{"hostname":"a_b.test"}"#,
            r#"{"status_code":0,"message":"Success","hostname":"a_b.test"}"#,
        ] {
            assert_eq!(hostname(body).as_deref(), Ok("a_b.test"), "{body}");
        }
        for (body, problem) in [
            ("", "empty"),
            ("\"\"", "empty"),
            ("{}", "without hostname"),
            ("a.test/path", "not a host name"),
            ("https://a.test", "not a host name"),
            ("user@a.test", "not a host name"),
            ("a b", "not a host name"),
            ("<html>502</html>", "HTML"),
            (r#"{"status_code":3,"message":"expired"}"#, "3: expired"),
        ] {
            let error = hostname(body).expect_err(body);
            assert!(error.contains(problem), "{body}: {error}");
        }
    }

    #[test]
    fn tokens_tell_when_they_end_and_are_not_shown() {
        let exchange = ExchangeToken::new(TokenType::KeypairJwt, "a.test", RequestId::from_bits(1));
        let jwt = |claims: &str| format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims));
        for (token, millis) in [
            (jwt(r#"{"exp":1700000000}"#), Some(1_700_000_000_000)),
            (jwt(r#"{"exp":1700000000123}"#), Some(1_700_000_000_123)),
            (jwt("{}"), None),
            (jwt(r#"{"exp":-1}"#), None),
            (jwt(r#"{"exp":1e300}"#), None),
            ("opaque".to_owned(), None),
        ] {
            let scoped = exchange.parse(Response::new(token.clone().into())).expect("a token");
            assert_eq!(scoped.expires, millis.map(Timestamp::from_millis), "{token}");
            assert_eq!(scoped.token.expose(), token);
            assert!(!format!("{scoped:?}").contains(&token));
        }
        let error = exchange.parse(Response::new("s3cr\u{1}3t".into())).expect_err("no header");
        assert!(!format!("{error} {error:?}").contains("s3cr"), "{error:?}");
    }
}
