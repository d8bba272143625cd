//! The simulator's own tests: each rule of the service that a client could stumble over, seen through the API.

mod append;
mod auth;
mod channels;
mod commit;
mod routes;
mod sdk;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::{Account, ChannelPath, ChannelView, Config};

const START: Duration = Duration::from_secs(1_800_000_000);
const INGEST: &str = "sim-account.ingest.snowpipe.test";
const SECOND: &str = "sim-account-2.ingest.snowpipe.test";
const CHANNEL: &str = "/v2/streaming/databases/Db1/schemas/Sch1/pipes/TBL-STREAMING/channels/chan_1";
const ROWS: &str = "/v2/streaming/data/databases/Db1/schemas/Sch1/pipes/TBL-STREAMING/channels/chan_1/rows";
const STATUS: &str = "/v2/streaming/databases/Db1/schemas/Sch1/pipes/TBL-STREAMING:bulk-channel-status";

/// An account, a clock and what it takes to ask.
struct Sim {
    account: Account,
    now: Duration,
    host: &'static str,
    token: String,
}

/// What was answered: the status and the body, as JSON if it is.
type Answered = (u16, Value);

impl Sim {
    fn new() -> Self {
        Self::with(Config { commit_delay: Duration::from_secs(5)..=Duration::from_secs(5), ..Config::default() })
    }

    /// One that has its scoped token.
    fn with(config: Config) -> Self {
        Self::with_host(config, INGEST)
    }

    fn with_host(config: Config, host: &'static str) -> Self {
        let mut sim = Self { account: Account::new(config), now: START, host, token: String::new() };
        sim.authorize();
        sim
    }

    fn wait(&mut self, millis: u64) -> &mut Self {
        self.now += Duration::from_millis(millis);
        self.account.advance(self.now);
        self
    }

    fn send(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answered {
        let mut request = http::Request::new(body.into());
        *request.method_mut() = method.parse().expect("a method");
        *request.uri_mut() = target.parse().expect("a target");
        for (name, value) in headers {
            let name: HeaderName = name.parse().expect("a name");
            request.headers_mut().insert(name, HeaderValue::from_str(value).expect("a value"));
        }
        let response = self.account.handle(self.now, &request);
        let text = String::from_utf8_lossy(response.body()).into_owned();
        (response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    fn ask(&mut self, method: &str, target: &str, kind: &str, body: impl Into<Bytes>) -> Answered {
        let bearer = format!("Bearer {}", self.token);
        let headers = [("host", self.host), ("accept", "*/*"), ("authorization", &bearer), ("content-type", kind)];
        self.send(method, target, &headers, body)
    }

    fn exchange(&mut self, scope: &str) -> Answered {
        let scope = scope.replace(' ', "+").replace(':', "%3A");
        let body = format!(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&scope={scope}&subject_token_type=programmatic_access_token"
        );
        let one_host = ![INGEST, SECOND].contains(&self.host);
        let headers = [
            ("host", if one_host { self.host } else { "my-org-my-acct.snow.test" }),
            ("accept", "application/json"),
            ("authorization", "Bearer pat"),
            ("x-snowflake-authorization-token-type", "PROGRAMMATIC_ACCESS_TOKEN"),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        self.send("POST", "/oauth/token?requestId=a&retryCount=0", &headers, body)
    }

    fn authorize(&mut self) {
        let (status, token) = self.exchange(self.host);
        assert_eq!(status, 200, "{token}");
        self.token = token.as_str().expect("a token").to_owned();
    }

    fn open(&mut self, body: &Value) -> Answered {
        self.ask("PUT", CHANNEL, "application/json", body.to_string())
    }

    /// Opens the channel; its continuation token.
    fn opened(&mut self) -> String {
        let (status, answer) = self.open(&json!({}));
        assert_eq!(status, 200, "{answer}");
        self.wait(5);
        answer["next_continuation_token"].as_str().expect("a token").to_owned()
    }

    fn append(&mut self, continuation: &str, offset: &str, rows: &str) -> Answered {
        let target =
            format!("{ROWS}?startOffsetToken={offset}&endOffsetToken={offset}&continuationToken={continuation}");
        self.ask("POST", &target, "application/x-ndjson", rows.to_owned())
    }

    fn status(&mut self) -> Value {
        let (status, answer) = self.ask("POST", STATUS, "application/json", r#"{"channel_names":["chan_1"]}"#);
        assert_eq!(status, 200, "{answer}");
        answer["channel_statuses"]["chan_1"].clone()
    }

    fn view(&self) -> ChannelView {
        self.account.channel_view(&path()).expect("the channel")
    }

    fn rows(&self) -> Vec<String> {
        self.view().rows.iter().map(|row| String::from_utf8_lossy(row).into_owned()).collect()
    }
}

fn path() -> ChannelPath {
    ChannelPath::new("DB1", "sch1", "tbl-streaming", "chan_1")
}

fn next(token: &str) -> Answered {
    (200, json!({ "next_continuation_token": token }))
}

/// The status and the code of a rejection.
fn rejection(answer: &Answered) -> (u16, &str) {
    (answer.0, answer.1["code"].as_str().unwrap_or_default())
}
