//! Snowpipe Streaming, high-performance architecture: its [REST
//! API](https://docs.snowflake.com/en/user-guide/snowpipe-streaming/snowpipe-streaming-high-performance-rest-api).
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
//!
//! | module or type | what |
//! |---|---|
//! | [`account`] | the account host: returns the ingest host and the token for it |
//! | [`channels`] | open, drop, status: which rows are committed or rejected |
//! | [`append`] | rows, exactly once by a continuation token |
//! | [`elastic`] | rows, at least once, without a channel |
//! | [`rows`] | values and ready-made lines into batches: size, age, compression, offset tokens |
//! | [flows](#flows) | goals that take several exchanges: open a channel, append to it exactly once, await the commit |
//! | [`IngestClient::load`] | loads all rows of an iterator or a file into a channel, exactly once |
//! | [`IngestClient`] | a client for the ingest host, which runs goals and operations: [`Account::open_session`] |
//! | [`session`] | ingest host and token, shared by channels and threads: [`OpenSession`] |
//! | [`jwt`] | key-pair tokens: names and claims; signing is a trait |
//!
//! # Two hosts
//!
//! There are two hosts, and an operation belongs to one of them by type: those of [`SnowpipeAccount`] go to the
//! account's own host with the account's credential; those of [`SnowpipeIngest`] go to the host that
//! [`GetHostname`](account::GetHostname) names, with the token that [`ExchangeToken`](account::ExchangeToken) gives for
//! that host.
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
//! # Traps
//!
//! What to know, and how the types handle it:
//!
//! * **200 to an append means buffered**, neither committed nor valid. What is committed says
//!   [`ChannelStatus::last_committed_offset_token`](channels::ChannelStatus::last_committed_offset_token); that rows
//!   were rejected says only [`ChannelStatus::rows_error_count`](channels::ChannelStatus::rows_error_count), and the
//!   committed token passes over them.
//! * **200 to an open may be a rejection**: [`ChannelStatus::is_healthy`](channels::ChannelStatus::is_healthy). A
//!   channel that is not must be opened again, although appends may still be answered with 200.
//! * **Opening takes the channel away** from another client, and discards rows that are not committed yet unless
//!   [`OpenChannelOperation::fail_on_uncommitted_rows`](channels::OpenChannelOperation::fail_on_uncommitted_rows) is
//!   set.
//! * **Offset tokens are not compared and do not de-duplicate**; continuation tokens do.
//! * **An account's name may hold `_`, host names may not**: [`Hostname::host`](account::Hostname::host) has dashes, as
//!   the documentation asks.
//! * **JSON keys and columns**: the documentation does not say whether a default pipe matches them by case. Names that
//!   were created without quotes are upper-case; [`BatchOptions::upper_case_keys`](rows::BatchOptions::upper_case_keys)
//!   makes keys so.
//!
//! # Where the requests differ from those of the vendor's SDK
//!
//! Compared field by field with SDK 1.9:
//!
//! | what | SDK | here | why |
//! |---|---|---|---|
//! | `accept-charset: UTF-8` | always | never | nothing asks for it, and JSON is UTF-8 |
//! | `x-snowflake-uncompressed-content-length`, `x-snowflake-min-append-timestamp-ms` | appends | never | undocumented |
//! | `user-agent` | `SnowpipeStreamingSDK/v1.9.1 (…) PYTHON/3.11.7` | `pipewright/v0.1.0 (linux unix x86_64) RUST`, or the config's | the documented shape, our own name |
//! | `_` in the ingest host | kept, in scope and address | `-` in both | the documentation asks for it; many TLS stacks reject `_` |
//! | the last line of a body | followed by an empty one | not | it says nothing |
//! | the fields of an open with an offset token | `offset_token` first | last | the order of a JSON object's fields means nothing |
//! | times in a key-pair token | milliseconds | seconds, as RFC 7519 has them | the service takes both |
//! | the body of a drop by the flow | none | `fail_on_uncommitted_rows`; the operation itself sends what it is given | the documentation names it, and rows are not discarded by accident |
//! | the role of a key-pair token | in its claims | there, and in the scope as for other tokens when [`ExchangeToken::role`](account::ExchangeToken::role) is set | others have found that the scope works too |
//! | a `content-encoding` | `zstd` unless switched off | as the rows are | the caller compresses |
//!
//! All else is the same: methods, paths, order and content of queries, the other headers, bodies.
#![doc = include_str!("flows.md")]

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

/// The account's own host: a marker, the [`Service`] of its operations.
#[derive(Clone, Copy, Debug)]
pub enum SnowpipeAccount {}

impl SnowpipeAccount {
    /// Where an account is: `https://<account>.snowflakecomputing.com`. The account is `MYORG-MYACCOUNT` (or
    /// `MYORG.MYACCOUNT`, as SQL has it), a locator with or without its region (`xy12345.us-east-1`), or such a host
    /// already. Host names are lower-case and have `-` for `_`.
    ///
    /// ```
    /// use pipewright::snowpipe::SnowpipeAccount;
    /// assert_eq!(SnowpipeAccount::base("MYORG-MY_ACCOUNT")?.to_string(), "https://myorg-my-account.snowflakecomputing.com");
    /// # Ok::<(), pipewright::error::BuildError>(())
    /// ```
    ///
    /// # Errors
    /// When it holds a character that no account has.
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

/// The host that takes the rows: a marker, the [`Service`] of its operations.
#[derive(Clone, Copy, Debug)]
pub enum SnowpipeIngest {}

/// An account. See [`Client`](crate::driver::Client) for what it can.
pub type Account<T> = crate::driver::Client<SnowpipeAccount, T>;

/// An ingest host. See [`Client`](crate::driver::Client) for what it can.
pub type IngestHost<T> = crate::driver::Client<SnowpipeIngest, T>;

/// What an `Authorization` header holds.
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

/// The rows of all tables.
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
