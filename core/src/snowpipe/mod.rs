//! Snowpipe Streaming, high-performance architecture: its [REST
//! API](https://docs.snowflake.com/en/user-guide/snowpipe-streaming/snowpipe-streaming-high-performance-rest-api).
//!
//! ```sh
//! cargo add pipewright pipewright-ureq
//! ```
//!
//! This program loads a million rows into a table, exactly once. If it is killed, start it again with the same rows: it
//! skips the committed rows.
//!
//! ```no_run
//! # use std::collections::BTreeMap;
//! # mod pipewright_ureq {
//! #     #[derive(Clone)]
//! #     pub struct Ureq;
//! #     impl Ureq {
//! #         pub fn new() -> std::sync::Arc<pipewright::driver::Canned> {
//! #             std::sync::Arc::new(pipewright::driver::Canned::new([]))
//! #         }
//! #     }
//! # }
//! use pipewright::Secret;
//! use pipewright::snowpipe::account::TokenType;
//! use pipewright::snowpipe::{Account, ChannelPath, Load, OpenSession, Rows, SnowpipeAccount};
//! use pipewright_ureq::Ureq;
//!
//! let token = Secret::new(std::env::var("SNOWFLAKE_TOKEN")?);
//! let account = Account::new(SnowpipeAccount::base("MYORG-MYACCOUNT")?, Ureq::new()).with_credentials(token);
//! let ingest = account.open_session(OpenSession::new(TokenType::ProgrammaticAccessToken))?;
//! let path = ChannelPath::of_table("DB", "PUBLIC", "ORDERS", "loader-1");
//! let rows = Rows::new((1..=1_000_000).map(|number| BTreeMap::from([("ID", number)])));
//! let summary = ingest.load(Load::from(ingest.open_writer(path)), rows)?;
//! println!("{summary}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![doc = include_str!("flows.md")]
//!
//! # Traps
//!
//! What to know about Snowpipe Streaming, and how the types and flows handle it:
//!
//! * **200 to an append means that the rows are buffered**, and neither committed nor valid.
//!   [`ChannelStatus::last_committed_offset_token`](channels::ChannelStatus::last_committed_offset_token) says what is
//!   committed. The committed token passes over rejected rows, which only
//!   [`ChannelStatus::rows_error_count`](channels::ChannelStatus::rows_error_count) counts. A [`Writer`] reports both.
//! * **200 to an open may be a rejection**: see [`ChannelStatus::is_healthy`](channels::ChannelStatus::is_healthy). An
//!   unhealthy channel must be opened again, although appends may still be answered with 200.
//! * **Opening a channel takes it away from another client.** It discards rows that are not committed yet, unless
//!   [`OpenChannelOperation::fail_on_uncommitted_rows`](channels::OpenChannelOperation::fail_on_uncommitted_rows) is
//!   set. [`OpenChannel`] sets it.
//! * **The service does not compare offset tokens, and does not remove duplicates by them.** It does so by
//!   continuation tokens, which [`Append`] and [`Writer`] send.
//! * **The name of an account may have `_`, a host name may not**: [`Hostname::host`](account::Hostname::host) has
//!   dashes, as the documentation requires.
//! * **A key that matches no column is silently dropped.** Snowflake does not document whether a default pipe matches
//!   keys by case. Write keys exactly as the columns are named: in upper case, unless the columns were created in
//!   quotes. [`BatchOptions::upper_case_keys`](rows::BatchOptions::upper_case_keys) converts them.
//!
//! # Two hosts
//!
//! Each operation belongs to one of two hosts, by its type. Operations of [`SnowpipeAccount`] go to the account's own
//! host, with the account's credential. Operations of [`SnowpipeIngest`] go to the host that
//! [`GetHostname`](account::GetHostname) returns, with the token that [`ExchangeToken`](account::ExchangeToken) returns
//! for this host. An [`IngestClient`] does this by itself. With single operations, it looks like this:
//!
//! ```
//! use pipewright::{Base, Operation};
//! use pipewright::operation::RequestContext;
//! use pipewright::snowpipe::RequestId;
//! use pipewright::snowpipe::append::AppendRows;
//! use pipewright::snowpipe::channels::OpenChannelOperation;
//!
//! let ingest: Base = "https://acct.us-east-1.ingest.snowflakecomputing.com".parse()?;
//! let open = OpenChannelOperation::new("DB", "PUBLIC", "T-STREAMING", "loader-1", RequestId::from_bits(1), true);
//! let request = open.request(RequestContext::new(&ingest))?;
//! assert!(request.uri().path().ends_with("/pipes/T-STREAMING/channels/loader-1"));
//!
//! let opened = open.parse(http::Response::new(
//!     r#"{"next_continuation_token":"1_0","channel_status":{"channel_status_code":"SUCCESS"}}"#.into(),
//! ))?;
//! let append = AppendRows::new("DB", "PUBLIC", "T-STREAMING", "loader-1", RequestId::from_bits(2), "{\"ID\":1}\n")
//!     .continuation_token(opened.next_continuation_token.unwrap_or_default())
//!     .offsets("1", "1");
//! let request = append.request(RequestContext::new(&ingest))?;
//! assert!(request.uri().query().is_some_and(|query| query.starts_with("startOffsetToken=1&endOffsetToken=1&")));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Modules
//!
//! | module or type | content |
//! |---|---|
//! | [`account`] | the account host: returns the ingest host and the token for it |
//! | [`channels`] | open and drop channels, read their status: which rows are committed or rejected |
//! | [`append`] | append rows exactly once, by a continuation token |
//! | [`elastic`] | append rows at least once, without a channel |
//! | [`rows`] | make batches of values or lines: size, age, compression, offset tokens |
//! | [`IngestClient::load`] | loads all rows of an iterator or a file into a channel, exactly once |
//! | [`IngestClient`] | a client for the ingest host, which runs goals and operations: [`Account::open_session`] |
//! | [`session`] | ingest host and token, shared by channels and threads: [`OpenSession`] |
//! | [`jwt`] | key-pair tokens: names and claims; signing is a trait |
//!
//! # Where the requests differ from those of the vendor's SDK
//!
//! Compared field by field with SDK 1.9:
//!
//! | what | SDK | here | why |
//! |---|---|---|---|
//! | `accept-charset: UTF-8` | always | never | not required; JSON is UTF-8 |
//! | `x-snowflake-uncompressed-content-length`, `x-snowflake-min-append-timestamp-ms` | appends | never | undocumented |
//! | `user-agent` | `SnowpipeStreamingSDK/v1.9.1 (…) PYTHON/3.11.7` | `pipewright/v0.1.0 (linux unix x86_64) RUST`, or that of the configuration | the documented form, with the name of this library |
//! | `_` in the ingest host | kept, in scope and address | `-` in both | the documentation asks for it; many TLS stacks reject `_` |
//! | the last line of a body | followed by an empty line | not | an empty line has no meaning |
//! | the fields of an open with an offset token | `offset_token` first | last | the order of the fields of a JSON object has no meaning |
//! | times in a key-pair token | milliseconds | seconds, as RFC 7519 requires | the service accepts both |
//! | the body of a drop by [`DropChannel`] | none | `fail_on_uncommitted_rows` | the documentation names it, and rows are not discarded by accident |
//! | the role of a key-pair token | in its claims | there, and in the scope if [`ExchangeToken::role`](account::ExchangeToken::role) is set | other clients found that the scope works, too |
//! | `content-encoding` | `zstd` unless switched off | the compression of the rows | the caller compresses |
//!
//! Everything else is the same: methods, paths, order and content of queries, the other headers, bodies.
#![doc = include_str!("operations.md")]

pub mod account;
pub mod append;
pub mod channels;
pub mod elastic;
mod error;
mod flow;
mod ids;
mod ingest;
pub mod jwt;
mod load;
pub mod rows;
pub mod session;
mod tuning;

use std::borrow::Cow;
use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

pub use self::error::{ErrorCode, error_code};
pub use self::flow::{
    Append, AppendElastic, AppendError, AwaitCommitted, Channel, ChannelLost, ChannelPath, Committed, DropChannel,
    ElasticAppend, OpenChannel, OpenWriter, Position, PushError, Reconcile, Reconciled, RejectedRows, StatusBatcher,
    UnsettledRows, Writer, WriterEvent, WriterMetrics,
};
pub use self::ids::RequestId;
pub use self::ingest::IngestClient;
pub use self::load::{
    Load, LoadError, LoadFailure, LoadSummary, Ndjson, NextRow, OffsetError, OnRejected, OnUnconfirmed, RowSource, Rows,
};
pub use self::session::flow::OpenSession;

use crate::error::{BuildError, ServiceError};
use crate::operation::{OperationInfo, Service};
use crate::url::Base;

/// A marker for the host of an account: the [`Service`] of its operations.
#[derive(Clone, Copy, Debug)]
pub enum SnowpipeAccount {}

impl SnowpipeAccount {
    /// Returns the address of an account: `https://<account>.snowflakecomputing.com`.
    ///
    /// `account` is `MYORG-MYACCOUNT` (in SQL: `MYORG.MYACCOUNT`), a locator with or without its region
    /// (`xy12345.us-east-1`), or the whole host name. The host name is in lower case and has `-` instead of `_`.
    ///
    /// ```
    /// use pipewright::snowpipe::SnowpipeAccount;
    /// assert_eq!(SnowpipeAccount::base("MYORG-MY_ACCOUNT")?.to_string(), "https://myorg-my-account.snowflakecomputing.com");
    /// # Ok::<(), pipewright::error::BuildError>(())
    /// ```
    ///
    /// # Errors
    /// If `account` has a character that the name of an account cannot have.
    pub fn base(account: &str) -> Result<Base, BuildError> {
        let is_name = |name: &str| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        if !account.split('.').all(is_name) {
            let problem = "give the account's name, such as MYORG-MYACCOUNT, and not an address";
            return Err(BuildError::value("SnowpipeAccount", "account", account, problem));
        }
        let host = with_hyphen(account).to_ascii_lowercase().replace('_', "-");
        let is_host = [".snowflakecomputing.com", ".snowflakecomputing.cn"].iter().any(|domain| host.ends_with(domain));
        format!("https://{host}{}", if is_host { "" } else { ".snowflakecomputing.com" }).parse()
    }
}

/// `MYORG.MYACCOUNT` with a hyphen. What follows the dot of a locator is a region, which has hyphens, or `privatelink`;
/// an account's name has none.
fn with_hyphen(account: &str) -> Cow<'_, str> {
    match account.split_once('.') {
        Some((organization, name)) if !name.contains(['.', '-']) && !name.eq_ignore_ascii_case("privatelink") => {
            format!("{organization}-{name}").into()
        }
        _ => account.into(),
    }
}

/// A marker for the ingest host: the [`Service`] of its operations.
#[derive(Clone, Copy, Debug)]
pub enum SnowpipeIngest {}

/// A client for an account. See [`Client`](crate::driver::Client) for its methods.
pub type Account<T> = crate::driver::Client<SnowpipeAccount, T>;

/// A client for an ingest host. See [`Client`](crate::driver::Client) for its methods.
pub type IngestHost<T> = crate::driver::Client<SnowpipeIngest, T>;

/// The kind of token in the header `Authorization`.
const TOKEN_TYPE: HeaderName = HeaderName::from_static("x-snowflake-authorization-token-type");

impl Service for SnowpipeAccount {
    const NAME: &'static str = "snowpipe";
    const ATTEMPTS: Option<&'static str> = Some("retryCount");

    fn parse_error(info: &'static OperationInfo, response: &Response<Bytes>) -> ServiceError {
        let error = error::parse_error(info, response);
        // No node comes and goes behind this host: there is no such account.
        let is_final = error.status() == StatusCode::NOT_FOUND;
        if is_final { error.with_transient(false) } else { error }
    }

    fn identifies_service(rejection: &ServiceError) -> bool {
        error::identifies_service(rejection)
    }

    fn default_headers(headers: &mut HeaderMap) {
        default_headers(headers);
    }
}

impl Service for SnowpipeIngest {
    const NAME: &'static str = "snowpipe";
    const ATTEMPTS: Option<&'static str> = Some("retryCount");

    fn parse_error(info: &'static OperationInfo, response: &Response<Bytes>) -> ServiceError {
        error::parse_error(info, response)
    }

    fn identifies_service(rejection: &ServiceError) -> bool {
        error::identifies_service(rejection)
    }

    /// The oldest answers say so with a code alone, whatever their status.
    fn is_auth_error(rejection: &ServiceError) -> bool {
        matches!(rejection.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
            || error_code(rejection) == Some(ErrorCode::InvalidToken)
    }

    fn default_headers(headers: &mut HeaderMap) {
        default_headers(headers);
        headers.insert(TOKEN_TYPE, HeaderValue::from_static("OAUTH"));
    }
}

/// In the shape that the documentation asks for.
static USER_AGENT: LazyLock<HeaderValue> = LazyLock::new(|| {
    use std::env::consts::{ARCH, FAMILY, OS};
    let agent = format!("pipewright/v{} ({OS} {FAMILY} {ARCH}) RUST", env!("CARGO_PKG_VERSION"));
    HeaderValue::try_from(agent).unwrap_or(HeaderValue::from_static("pipewright"))
});

/// Without `Accept` the service answers with error 391902.
fn default_headers(headers: &mut HeaderMap) {
    headers.insert(header::USER_AGENT, USER_AGENT.clone());
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
}

/// Returns all operations, from the tables of the modules.
pub(crate) fn operations() -> impl Iterator<Item = &'static OperationInfo> {
    [account::OPERATIONS, channels::OPERATIONS, append::OPERATIONS, elastic::OPERATIONS].into_iter().flatten().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_have_addresses() {
        for (account, host) in [
            ("myorg-acct", "myorg-acct.snowflakecomputing.com"),
            ("MYORG.MY_ACCT", "myorg-my-acct.snowflakecomputing.com"),
            ("xy12345.privatelink", "xy12345.privatelink.snowflakecomputing.com"),
            ("XY12345.us-east-1.privatelink", "xy12345.us-east-1.privatelink.snowflakecomputing.com"),
            ("my_org-acct.snowflakecomputing.com", "my-org-acct.snowflakecomputing.com"),
            ("a.snowflakecomputing.cn", "a.snowflakecomputing.cn"),
        ] {
            let base = SnowpipeAccount::base(account).expect("an account");
            assert_eq!(base.to_string(), format!("https://{host}"));
        }
        for wrong in ["", ".", "a..b", "https://a.snowflakecomputing.com", "a/b", "a@b", "a:443", "ä"] {
            let error = SnowpipeAccount::base(wrong).expect_err(wrong).to_string();
            assert!(error.contains("MYORG-MYACCOUNT"), "{error}");
        }
    }
}
