//! Operations on channels: open, drop, and read their status.

mod lenient;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use serde::{Deserializer, Serializer};

use super::error::{check_body, read_text};
use super::{ErrorCode, RequestId, SnowpipeIngest};
use crate::error::{Applied, BuildError, ServiceError};
use crate::json;
use crate::operation::{Operation as _, OperationInfo, read_json};
use crate::schema::{WireField, json_structs, operations};

/// The greatest number of channels in one [`BulkGetChannelStatus`].
pub const MAX_STATUSES: usize = 100;

operations! { SnowpipeIngest;
    /// Opens a channel: creates it, or takes it over from another client.
    ///
    /// An open invalidates all earlier continuation tokens of the channel. The response has the first new token, and
    /// the status of the channel. If the channel is not [healthy](ChannelStatus::is_healthy), do not use it, although
    /// the response is 200.
    ///
    /// Rejected with 409 `ERR_CHANNEL_HAS_UNCOMMITTED_DATA` or `ERR_OPEN_CHANNEL_IN_PROGRESS`: try again later.
    /// Rejected with 409 `ERR_PIPE_IN_INVALID_STATE`: a retry does not help. The first open on the pipe
    /// `<TABLE>-STREAMING` creates this pipe.
    /// [Reference](https://docs.snowflake.com/en/user-guide/snowpipe-streaming/snowpipe-streaming-high-performance-rest-api#open-channel).
    Idempotent PUT "/v2/streaming/databases/{database}/schemas/{schema}/pipes/{pipe}/channels/{channel}"
    OpenChannelOperation "openChannel" -> Opened {
        checks check_open;
        reads read_opened;
        path { database: String, schema: String, pipe: String, channel: String }
        query {
            /// The id of the request in the service's logs.
            request_id: RequestId = "requestId",
        }
        json {
            /// What to do if rows are buffered and not committed yet: `true` rejects the request with 409, `false`
            /// discards the rows without a message.
            fail_on_uncommitted_rows: bool,
        }
        json? {
            /// Sets the committed token of the channel. Use it only for a new channel, or for a channel that has
            /// expired.
            offset_token: String,
        }
    }

    /// Drops a channel, with its committed token and its counters. A channel that is no longer used need not be
    /// dropped.
    ///
    /// 404 if the channel does not exist. After an attempt that got no response, treat 404 as success. 409
    /// `ERR_CHANNEL_HAS_UNCOMMITTED_DATA`: see [`fail_on_uncommitted_rows`](Self::fail_on_uncommitted_rows).
    /// [Reference](https://docs.snowflake.com/en/user-guide/snowpipe-streaming/snowpipe-streaming-high-performance-rest-api#drop-channel).
    Idempotent DELETE "/v2/streaming/databases/{database}/schemas/{schema}/pipes/{pipe}/channels/{channel}"
    DropChannelOperation "dropChannel" -> Dropped {
        checks check_drop;
        reads read_dropped;
        path { database: String, schema: String, pipe: String, channel: String }
        query {
            /// Names the request.
            request_id: RequestId = "requestId",
        }
        json? {
            /// With rows that are buffered and not committed yet: `true` rejects the request with 409, `false`
            /// discards them silently.
            fail_on_uncommitted_rows: bool,
            /// Older releases: drops only for the holder of this token.
            continuation_token: String = "continuationToken",
        }
    }

    /// Returns the status of 1 to [`MAX_STATUSES`] channels of a pipe. Any other number of channels is an error, and no
    /// request is sent.
    ///
    /// The response leaves out channels that do not exist. The names are case-sensitive. If the status of one channel
    /// cannot be read, its code is `UNREADABLE`, and the other statuses are returned. A response without
    /// `channel_statuses` is unreadable, and the request is repeated.
    /// [Reference](https://docs.snowflake.com/en/user-guide/snowpipe-streaming/snowpipe-streaming-high-performance-rest-api#bulk-get-channel-status).
    Safe POST "/v2/streaming/databases/{database}/schemas/{schema}/pipes/{pipe}:bulk-channel-status"
    BulkGetChannelStatus "bulkGetChannelStatus" -> ChannelStatuses {
        checks check_names;
        reads read_statuses;
        path { database: String, schema: String, pipe: String }
        query {
            /// Names the request.
            request_id: RequestId = "requestId",
        }
        json {
            channel_names: Vec<String>,
        }
    }
}

json_structs! {
    /// The response to an open.
    pub struct Opened {
        /// The continuation token for the first append. `None` from servers that do not use continuation tokens.
        pub next_continuation_token: Option<String>,
        pub channel_status: ChannelStatus,
    }

    /// The response to a drop.
    pub struct Dropped {
        /// The last committed token; `None` if the service does not say.
        pub last_committed_offset_token: Option<String>,
    }

    /// The statuses of channels.
    pub struct ChannelStatuses {
        /// The existing channels, by the requested name.
        pub channel_statuses: BTreeMap<String, ChannelStatus>,
    }

    /// The status of a channel. The counters count from the creation of the channel, over all opens. `None` in any
    /// field means that the service does not say.
    pub struct ChannelStatus {
        pub database_name: Option<String>,
        pub schema_name: Option<String>,
        pub pipe_name: Option<String>,
        pub channel_name: Option<String>,
        /// `SUCCESS`, or why the channel must not be used. See [`is_healthy`](Self::is_healthy).
        pub channel_status_code: ErrorCode,
        /// The last offset token whose rows are committed; `None` for a new channel. It advances past rejected rows.
        pub last_committed_offset_token: Option<String> = "last_committed_offset_token" | "last_commited_offset_token",
        /// When the channel was created, in milliseconds since the epoch.
        pub created_on_ms: Option<i64>,
        /// Rows that are in the table.
        pub rows_inserted: Option<i64>,
        /// Rows that were read, without rows that the pipe filters out.
        pub rows_parsed: Option<i64>,
        /// Rows that were rejected.
        pub rows_error_count: Option<i64> = "rows_error_count" | "rows_errors",
        /// The last rejected row is at or before this offset token.
        pub last_error_offset_upper_bound: Option<String>,
        /// Why the last rejected row was rejected.
        pub last_error_message: Option<String>,
        /// When the last rejected row was rejected.
        pub last_error_timestamp: Option<ErrorTime> = "last_error_timestamp_ms" | "last_error_timestamp",
        /// The average time from an append to its commit, in milliseconds.
        pub snowflake_avg_processing_latency_ms: Option<i64>,
    }
}

impl ChannelStatus {
    /// Returns whether the channel may be used. If not, remove the cause, then open the channel again.
    pub fn is_healthy(&self) -> bool {
        self.channel_status_code.is_success()
    }

    /// Returns the average time from an append to its commit; `None` if the service does not say.
    pub fn average_latency(&self) -> Option<Duration> {
        let millis = self.snowflake_avg_processing_latency_ms?;
        u64::try_from(millis).ok().map(Duration::from_millis)
    }

    /// Returns the last offset token whose rows are committed; `None` if it is missing or empty.
    pub fn committed(&self) -> Option<&str> {
        self.last_committed_offset_token.as_deref().filter(|token| !token.is_empty())
    }

    /// Returns whether the response had a value for this channel that is not a status.
    pub(super) fn is_unreadable(&self) -> bool {
        self.channel_status_code.as_str() == lenient::UNREADABLE
    }

    /// Returns the status as a rejection if the channel must not be used, although the response is 200.
    pub(super) fn rejection(&self, info: &'static OperationInfo) -> Option<ServiceError> {
        let message = self.channel_name.as_ref().map_or_else(
            || "this is the status of the channel: it must not be used".to_owned(),
            |name| format!("this is the status of channel {name}: it must not be used"),
        );
        let code = self.channel_status_code.as_str().to_owned();
        let answer = Response::new(Bytes::new());
        (!self.is_healthy()).then(|| ServiceError::rejected(info, &answer, Some(code), message))
    }
}

/// A time in the service's notation: milliseconds since the epoch, or a date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorTime {
    /// Milliseconds since the epoch.
    Millis(i64),
    /// Anything else.
    Text(String),
}

impl WireField for ErrorTime {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = read_text(deserializer)?;
        Ok(text.parse().map_or(Self::Text(text), Self::Millis))
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Millis(millis) => serializer.serialize_i64(*millis),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

/// Reads the response to an open: nested, or flat as in the oldest documentation.
fn read_opened(info: &'static OperationInfo, response: &Response<Bytes>) -> Result<Opened, ServiceError> {
    check_body(info, response)?;
    match read_json(info, response) {
        Ok(opened) => Ok(opened),
        Err(error) => match json::read::<ChannelStatus>(response.body()) {
            Ok(channel_status) => {
                let next_continuation_token = json::read::<Chained>(response.body()).ok().and_then(|it| it.token);
                Ok(Opened { next_continuation_token, channel_status })
            }
            // A second open does no harm.
            Err(_) => lenient::opened(response.body()).ok_or_else(|| error.with_transient(true)),
        },
    }
}

json_structs! {
    /// The token in a flat response.
    struct Chained {
        /// The continuation token for the next append.
        pub token: Option<String> = "next_continuation_token",
    }
}

/// Reads any successful response, because the documentation promises no fields. Only a page is not from the service.
fn read_dropped(info: &'static OperationInfo, response: &Response<Bytes>) -> Result<Dropped, ServiceError> {
    check_body(info, response)?;
    if response.body().trim_ascii_start().starts_with(b"<") {
        return Err(ServiceError::unreadable(info, response, "it is a page").with_applied(Applied::Unknown));
    }
    Ok(json::read(response.body()).unwrap_or(Dropped { last_committed_offset_token: None }))
}

fn check_open(open: &OpenChannelOperation) -> Result<(), BuildError> {
    check_name(OpenChannelOperation::INFO, &open.channel)
}

fn check_drop(drop: &DropChannelOperation) -> Result<(), BuildError> {
    check_name(DropChannelOperation::INFO, &drop.channel)
}

/// Rejects the reserved name `ELASTIC`: an append to it is an elastic append.
pub(super) fn check_name(info: &'static OperationInfo, channel: &str) -> Result<(), BuildError> {
    if channel.eq_ignore_ascii_case("ELASTIC") {
        let problem = "this name is reserved: use AppendElastic, or another name";
        return Err(BuildError::value(info.name, "channel", channel, problem));
    }
    Ok(())
}

fn check_names(get: &BulkGetChannelStatus) -> Result<(), BuildError> {
    match get.channel_names.len() {
        1..=MAX_STATUSES => Ok(()),
        number => {
            let problem = "name 1 to 100 channels";
            Err(BuildError::value(
                BulkGetChannelStatus::INFO.name,
                "channel_names",
                &format!("{number} names"),
                problem,
            ))
        }
    }
}

impl ChannelStatuses {
    /// Takes the status of a channel. A flat response may lack the name of the channel if only one channel was
    /// requested.
    pub(super) fn take(&mut self, channel: &str, is_alone: bool) -> Option<ChannelStatus> {
        let statuses = &mut self.channel_statuses;
        statuses.remove(channel).or_else(|| statuses.remove("").filter(|_| is_alone))
    }
}

json_structs! {
    /// The response for several channels. Only a map says which channels exist: a proxy may answer `{}`.
    struct Statuses {
        /// The channels that exist.
        pub channel_statuses: Option<BTreeMap<String, ChannelStatus>>,
    }
}

/// Reads a map, or one flat status as in the oldest documentation. A flat status without a name gets an empty name.
fn read_statuses(info: &'static OperationInfo, response: &Response<Bytes>) -> Result<ChannelStatuses, ServiceError> {
    check_body(info, response)?;
    match json::read::<ChannelStatus>(response.body()) {
        Ok(status) => {
            let name = status.channel_name.clone().unwrap_or_default();
            Ok(ChannelStatuses { channel_statuses: [(name, status)].into() })
        }
        Err(_) => match read_json::<Statuses>(info, response) {
            Ok(Statuses { channel_statuses: Some(channel_statuses) }) => Ok(ChannelStatuses { channel_statuses }),
            result => lenient::statuses(response.body()).ok_or_else(|| {
                let problem = "it has no channel_statuses";
                let error = result.err().unwrap_or_else(|| ServiceError::unreadable(info, response, problem));
                // The request only reads, so it can be repeated whatever the answer looks like.
                error.with_transient(true)
            }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::RequestContext;

    fn answer(text: &str) -> Response<Bytes> {
        Response::new(text.to_owned().into())
    }

    #[test]
    fn opens_are_read_nested_and_flat() {
        let open = OpenChannelOperation::new("d", "s", "p", "c", RequestId::from_bits(1), true);
        for (text, token) in [
            (
                r#"{"next_continuation_token":"1_0","channel_status":{"channel_status_code":"SUCCESS","last_committed_offset_token":"7","rows_errors":3}}"#,
                Some("1_0"),
            ),
            (
                r#"{"status_code":0,"message":"Success","channel_status_code":"SUCCESS","last_commited_offset_token":"7","rows_error_count":3}"#,
                None,
            ),
            (
                r#"{"next_continuation_token":"1_0","channel_status_code":"SUCCESS","last_committed_offset_token":"7","rows_errors":3}"#,
                Some("1_0"),
            ),
        ] {
            let opened = open.parse(answer(text)).expect(text);
            let status = &opened.channel_status;
            assert_eq!(opened.next_continuation_token.as_deref(), token);
            assert_eq!((status.last_committed_offset_token.as_deref(), status.rows_error_count), (Some("7"), Some(3)));
            assert!(status.is_healthy());
        }
        let rejection = open.parse(answer(r#"{"status_code":4,"message":"m"}"#)).expect_err("a rejection");
        assert_eq!(crate::snowpipe::error_code(&rejection), Some(ErrorCode::StaleContinuationToken));
        assert!(open.parse(answer("{}")).is_err());
    }

    #[test]
    fn drops_are_read_whatever_they_say() {
        let drop = DropChannelOperation::new("d", "s", "p", "c", RequestId::from_bits(1));
        for text in ["", "\n", "{}", "null", "OK", "\"OK\"", "[]", r#"{"status_code":0,"message":"Success"}"#] {
            assert_eq!(drop.parse(answer(text)).expect(text).last_committed_offset_token, None);
        }
        assert!(drop.parse(answer("<html>")).is_err());
    }

    #[test]
    fn what_cannot_be_asked_for_is_not() {
        let base = "https://h".parse().expect("a base");
        let cx = || RequestContext::new(&base);
        let id = RequestId::from_bits(1);
        let open = OpenChannelOperation::new("d", "s", "p", "elastic", id, true).request(cx());
        let drop = DropChannelOperation::new("d", "s", "p", "ELASTIC", id).request(cx());
        for built in [open, drop] {
            let error = built.expect_err("reserved").to_string();
            assert!(error.contains("reserved"), "{error}");
        }
        for (number, fits) in [(0, false), (1, true), (100, true), (101, false)] {
            let names = (0..number).map(|name| name.to_string()).collect::<Vec<_>>();
            assert_eq!(BulkGetChannelStatus::new("d", "s", "p", id, names).request(cx()).is_ok(), fits, "{number}");
        }
    }

    #[test]
    fn statuses_are_read_as_a_map_and_flat() {
        let get = BulkGetChannelStatus::new("d", "s", "p", RequestId::from_bits(1), vec!["c".to_owned()]);
        for (text, time) in [
            (
                r#"{"channel_statuses":{"c":{"channel_status_code":"STALE_PIPE_CACHE","last_error_timestamp_ms":5}}}"#,
                ErrorTime::Millis(5),
            ),
            (
                r#"{"status_code":0,"channel_name":"c","channel_status_code":"STALE_PIPE_CACHE","last_error_timestamp":"5"}"#,
                ErrorTime::Millis(5),
            ),
            (
                r#"{"channel_statuses":{"c":{"channel_status_code":"STALE_PIPE_CACHE","last_error_timestamp":"2026-01-01"}}}"#,
                ErrorTime::Text("2026-01-01".to_owned()),
            ),
        ] {
            let statuses = get.parse(answer(text)).expect(text).channel_statuses;
            assert_eq!(statuses["c"].last_error_timestamp, Some(time));
            assert!(!statuses["c"].is_healthy());
        }
        assert!(get.parse(answer(r#"{"channel_statuses":{}}"#)).expect("none").channel_statuses.is_empty());
    }

    #[test]
    fn an_answer_without_statuses_is_unreadable_and_not_an_empty_list_of_channels() {
        let get = BulkGetChannelStatus::new("d", "s", "p", RequestId::from_bits(1), vec!["c".to_owned()]);
        for text in [
            "{}",
            "null",
            "[]",
            "",
            r#"{"channel_statuses":null}"#,
            r#"{"channel_statuses":[]}"#,
            r#"{"channel_statuses":7}"#,
            r#"{"status_code":0,"message":"Success"}"#,
            r#"{"channel_name":"c","last_committed_offset_token":"7"}"#,
        ] {
            let error = get.parse(answer(text)).expect_err(text);
            assert!(error.is_transient() && error.to_string().contains("cannot be read"), "{text}: {error}");
        }
        let statuses = get.parse(answer(r#"{"channel_statuses":{"c":{}}}"#)).expect("a map").channel_statuses;
        assert!(statuses["c"].is_unreadable());
        let open = OpenChannelOperation::new("d", "s", "p", "c", RequestId::from_bits(1), true);
        for text in ["{}", "null", "[]", r#"{"next_continuation_token":"1_0"}"#, r#"{"channel_status":{}}"#] {
            assert!(open.parse(answer(text)).expect_err(text).is_transient(), "{text}");
        }
    }

    #[test]
    fn one_odd_value_costs_no_more_than_itself() {
        let odd = r#"{"channel_status_code":"SUCCESS","last_committed_offset_token":"7","rows_inserted":"8","rows_error_count":1.0,
            "snowflake_avg_processing_latency_ms":12.5,"last_error_timestamp":2.5,"last_error_message":["m"],"created_on_ms":5}"#;
        let check = |status: &ChannelStatus| {
            assert_eq!(
                (status.committed(), status.rows_inserted, status.rows_error_count),
                (Some("7"), Some(8), Some(1))
            );
            assert_eq!((status.snowflake_avg_processing_latency_ms, status.created_on_ms), (Some(12), Some(5)));
            assert_eq!((&status.last_error_timestamp, &status.last_error_message), (&None, &None));
            assert!(status.is_healthy());
        };
        let open = OpenChannelOperation::new("d", "s", "p", "c", RequestId::from_bits(1), true);
        for text in [
            format!(r#"{{"next_continuation_token":"1_0","channel_status":{odd}}}"#),
            format!(r#"{{"next_continuation_token":"1_0",{}"#, &odd[1..]),
        ] {
            let opened = open.parse(answer(&text)).expect(&text);
            assert_eq!(opened.next_continuation_token.as_deref(), Some("1_0"));
            check(&opened.channel_status);
        }
        let get = BulkGetChannelStatus::new("d", "s", "p", RequestId::from_bits(1), vec!["a".to_owned()]);
        check(&get.parse(answer(odd)).expect("flat").channel_statuses[""]);
        let healthy = r#"{"channel_status_code":"SUCCESS"}"#;
        let many = format!(r#"{{"channel_statuses":{{"a":{odd},"b":null,"c":{{}},"d":7,"e":{healthy}}}}}"#);
        let statuses = get.parse(answer(&many)).expect("readable").channel_statuses;
        check(&statuses["a"]);
        assert!(!statuses.contains_key("b") && statuses["e"].is_healthy());
        assert!(["c", "d"].iter().all(|name| statuses[*name].channel_status_code.as_str() == "UNREADABLE"));
        // What is needed is not left out.
        for needed in [r#""last_committed_offset_token":7"#, r#""rows_error_count":"many""#, r#""created_on_ms":[]"#] {
            let status = format!(r#"{{"channel_status_code":"SUCCESS",{needed}}}"#);
            let nested = format!(r#"{{"next_continuation_token":"1_0","channel_status":{status}}}"#);
            assert!(open.parse(answer(&nested)).is_err(), "{needed}");
            let many = format!(r#"{{"channel_statuses":{{"a":{status}}}}}"#);
            let statuses = get.parse(answer(&many)).expect("a code").channel_statuses;
            assert_eq!(statuses["a"].channel_status_code.as_str(), "UNREADABLE");
        }
        assert!(get.parse(answer(r#"{"channel_statuses":7}"#)).is_err());
    }
}
