//! What a script accepts, and how it fails.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use pipewright::driver::NoCredentials;
use pipewright::driver::{Clock as _, Entropy as _, Opened, Transport as _, ignore_notices, run};
use pipewright::error::{Delivery, FlowError, TransportError, TransportErrorKind};
use pipewright::flow::Call;
use pipewright::{Effect, Seed};
use pipewright_mock::{START, Script};
use serde_json::json;

use crate::common::{Add, add, config, follow, next_exchange};

const ADDRESS: &str = "http://counting.test";

fn go(script: &Script, effect: Effect) -> Result<Bytes, FlowError> {
    run(add(ADDRESS, effect), script, &NoCredentials, ignore_notices)
}

/// The message of the panic that this ends with.
fn panic_message(test: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(test)).expect_err("this panics");
    *payload.downcast::<String>().expect("a message")
}

#[test]
fn what_is_expected_is_answered_in_order() {
    let script = Script::new()
        .expect("POST", "/add")
        .body(r#"{"add": 1}"#)
        .reply_json(200, json!({"sum": 1}))
        .expect("POST", "/add")
        .header("Content-Type", "application/json")
        .json(json!({"add": 1}))
        .reply(200, "two")
        .expect("POST", "http://counting.test/add")
        .reply_header("retry-after", "7")
        .reply(429, "")
        .expect("POST", "/add")
        .reply_json(200, r#"{"sum":3}"#);
    assert_eq!(go(&script, Effect::Once).expect("one"), r#"{"sum":1}"#);
    assert_eq!(go(&script, Effect::Once).expect("two"), "two");
    assert_eq!(script.now(), START);
    assert_eq!(go(&script, Effect::Once).expect("three"), r#"{"sum":3}"#);
    assert_eq!(script.now(), START + Duration::from_secs(7));
    script.finish();
}

#[test]
fn transport_errors_can_be_scripted() {
    let script = Script::new().expect("POST", "/add").not_sent().expect("POST", "/add").reply_lost();
    let error = go(&script, Effect::Once).expect_err("the second attempt");
    assert!(error.is_ambiguous(), "{error}");
    script.finish();
}

#[test]
fn an_answer_takes_its_time_and_not_more_than_the_flow_has() {
    let script = Script::new()
        .expect("POST", "/add")
        .after(Duration::from_secs(20))
        .reply(200, "")
        .expect("POST", "/add")
        .after(Duration::from_secs(50))
        .reply(200, "");
    go(&script, Effect::Once).expect("in time");
    assert_eq!(script.now(), START + Duration::from_secs(20));
    assert!(go(&script, Effect::Once).expect_err("too late").to_string().contains("no answer within 30s"));
    assert_eq!(script.now(), START + Duration::from_secs(50));
}

#[test]
fn a_difference_is_shown_line_by_line() {
    let script = Script::new()
        .expect("PUT", "/add")
        .header("content-type", "text/plain")
        .header("x-more", "yes")
        .json(json!({"add": 2}))
        .reply(200, "");
    let message = panic_message(|| drop(go(&script, Effect::Once)));
    let expected = r#"exchange 1, add: not what was expected (- expected, + came):

  - PUT /add
  - content-type: text/plain
  - x-more: yes
  + POST /add
  + content-type: application/json
    {
  -   "add": 2
  +   "add": 1
    }"#;
    assert_eq!(message, expected);
}

#[test]
fn what_the_expectation_does_not_name_is_shown_without_a_mark() {
    let script = Script::new().expect("POST", "/sub").reply(200, "");
    let message = panic_message(|| drop(go(&script, Effect::Once)));
    assert!(message.ends_with(
        "\n  - POST /sub\n  + POST /add\n    content-type: application/json\n    {\n      \"add\": 1\n    }"
    ));
}

#[test]
fn secrets_are_not_shown() {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", "Bearer s3cr3t".parse().expect("a header"));
    let config = config("https://counting.test").with_headers(headers);
    let call = Call::new(Add::new(Effect::Once), &config, Seed::new(1));
    let script = Script::new().expect("POST", "/add").header("authorization", "Bearer 0th3r").reply(200, "");
    let message = panic_message(|| drop(run(call, &script, &NoCredentials, ignore_notices)));
    assert!(message.contains("- authorization: … (another value)\n  + authorization: … (as it came)"), "{message}");
    assert!(!message.contains("s3cr3t") && !message.contains("0th3r"), "{message}");
}

#[test]
fn bodies_that_are_no_text_are_told_apart_by_their_first_difference() {
    let text: &'static str = "\u{0}ab";
    let call = Call::new(Add { effect: Effect::Once, text }, &config(ADDRESS), Seed::new(1));
    let script = Script::new().expect("POST", "/add").body(&b"\xFFab"[..]).reply(200, "");
    let message = panic_message(|| drop(run(call, &script, &NoCredentials, ignore_notices)));
    assert!(message.contains("- (3 bytes that are no text)"), "{message}");
}

#[test]
#[should_panic(
    expected = "exchange 2, add: nothing more was expected, and this came:\n\n  + POST http://counting.test/add"
)]
fn one_exchange_too_many() {
    let script = Script::new().expect("POST", "/add").reply(200, "");
    let _ = go(&script, Effect::Once);
    let _ = go(&script, Effect::Once);
}

#[test]
#[should_panic(expected = "2 expected and never sent:\n  GET /a\n  GET /b")]
fn what_never_came_is_reported_when_the_last_clone_is_dropped() {
    let script = Script::new().expect("GET", "/a").reply(200, "").expect("GET", "/b").reply(200, "");
    drop(script.clone());
    drop(script);
}

#[test]
#[should_panic(expected = "1 expected and never sent:\n  GET /a")]
fn finish_says_what_never_came() {
    Script::new().expect("GET", "/a").reply(200, "").finish();
}

#[test]
fn a_test_that_fails_for_another_reason_is_not_made_worse() {
    let message = panic_message(|| {
        let _script = Script::new().expect("GET", "/a").reply(200, "");
        panic!("{}", "the other reason");
    });
    assert_eq!(message, "the other reason");
}

#[test]
#[should_panic(expected = "the expected body is not JSON")]
fn an_expected_body_is_checked() {
    let _ = Script::new().expect("GET", "/a").json("{");
}

#[test]
fn live_bodies_come_in_their_chunks() {
    let end = TransportError::new(TransportErrorKind::Closed, Delivery::Unknown, "cut");
    let script = Script::new()
        .expect("GET", "/follow")
        .reply_live_cut(["one ", "", "two"], end)
        .expect("GET", "/follow")
        .reply(404, "gone");
    let mut call = follow(ADDRESS);
    let exchange = next_exchange(&mut call, script.now(), None);
    let Ok(Opened::Streaming(response)) = script.open(&exchange) else { panic!("a success") };
    let mut body = response.into_body();
    let mut buffer = [0; 3];
    let mut read = || body.read(&mut buffer).map(|length| buffer[..length].to_vec());
    assert_eq!(read().expect("bytes"), b"one");
    assert_eq!(read().expect("bytes"), b" ");
    assert_eq!(read().expect("bytes"), b"two");
    assert_eq!(read().expect_err("the end").kind(), TransportErrorKind::Closed);
    let Ok(Opened::Rejection(response)) = script.open(&exchange) else { panic!("a rejection") };
    assert_eq!(response.body(), "gone");
}

#[test]
fn every_script_has_the_same_entropy() {
    let (one, two) = (Script::new(), Script::new());
    let bits = (one.bits(), one.bits());
    assert_eq!(bits, (two.bits(), two.bits()));
    assert_ne!(bits.0, bits.1);
}
