//! What the conformance check finds in sound transports, and in transports with flaws.

mod plain;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Response};
use pipewright::driver::{Opened, StreamingBody, Transport};
use pipewright::error::{Delivery, TransportError, TransportErrorKind};
use pipewright::flow::Exchange;
use pipewright_mock::conformance::{self, Report};

use plain::Plain;

/// The rules that a transport breaks, and in one of them a problem with these words.
#[track_caller]
fn breaks(transport: &impl Transport, rules: &[&str], words: &str) {
    let report = conformance::check(transport);
    let broken: BTreeSet<_> = report.findings.iter().map(|finding| finding.rule).collect();
    assert_eq!(broken, rules.iter().copied().collect(), "{report}");
    assert!(report.to_string().contains(words), "{report}");
    assert_eq!(report.passed.len() + broken.len(), conformance::rules().count());
    assert!(report.passed.iter().all(|rule| !report.breaks(rule)));
}

#[test]
fn a_sound_transport_passes_and_quickly() {
    let start = Instant::now();
    let report = conformance::check(&Plain::default());
    report.assert();
    assert_eq!(report.passed, conformance::rules().collect::<Vec<_>>());
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn one_that_follows_redirects() {
    let plain = Plain { follows: true, ..Plain::default() };
    breaks(
        &plain,
        &["redirects", "streaming-rejection"],
        "POST answered by 307 with a Location: 2 requests arrived instead of 1",
    );
}

#[test]
fn one_with_headers_of_its_own() {
    let plain = Plain { user_agent: true, ..Plain::default() };
    breaks(&plain, &["head"], "head: GET: a header of its own, user-agent: plain/1");
}

#[test]
fn one_without_a_limit() {
    let plain = Plain { limitless: true, ..Plain::default() };
    breaks(&plain, &["body-limit", "streaming-rejection"], "a body without end: a success instead of an error");
}

#[test]
fn one_that_is_more_patient_than_its_exchange() {
    let plain = Plain { anew: true, ..Plain::default() };
    breaks(&plain, &["timeout"], "a body that comes in drops: it ended after");
}

#[test]
fn one_that_takes_the_first_answer() {
    let plain = Plain { hasty: true, ..Plain::default() };
    breaks(&plain, &["interim"], "103 before the answer: status 103 instead of 200");
}

#[test]
fn one_that_knows_no_chunks() {
    let plain = Plain { chunkless: true, ..Plain::default() };
    let rules = ["framing", "body-limit", "cut-off", "not-http", "streaming", "streaming-cut-off"];
    breaks(&plain, &rules, r#"a body in chunks: the body is "4\r\n0123\r\n6;x=y"#);
}

#[test]
fn one_that_takes_half_a_body_for_a_body() {
    let plain = Plain { trusting: true, ..Plain::default() };
    breaks(&plain, &["cut-off", "streaming-cut-off"], "half of the body: a success instead of an error");
}

#[test]
fn one_that_miscounts() {
    let plain = Plain { miscounts: true, ..Plain::default() };
    let report = conformance::check_only(&plain, |rule| rule == "length");
    assert!(
        report.to_string().contains(r#"POST with a body in segments: Content-Length ["3"] for 11 bytes"#),
        "{report}"
    );
}

#[test]
fn one_that_cuts_sources() {
    let plain = Plain { cuts_sources: true, ..Plain::default() };
    breaks(&plain, &["sources"], "a source longer than it said: a success instead of an error");
}

#[test]
fn one_with_a_single_connection() {
    let plain = Plain { keeps: Some(Mutex::default()), ..Plain::default() };
    let report = conformance::check_only(&plain, |rule| rule == "fresh-connection");
    assert!(report.to_string().contains("over a connection that was used before"), "{report}");
}

#[test]
fn one_that_shows_credentials() {
    let plain = Plain { talkative: true, ..Plain::default() };
    let report = conformance::check_only(&plain, |rule| rule == "not-http");
    assert!(report.to_string().contains("no answer: the error shows the credential"), "{report}");
}

#[test]
fn one_that_panics_everywhere() {
    let report = conformance::check_only(&Plain { panics: true, ..Plain::default() }, |rule| rule != "timeout");
    assert_eq!(report.findings.len(), conformance::rules().count() - 1);
    assert_eq!(report.findings[0].to_string(), "statuses: a panic: out of order");
    assert!(report.passed.is_empty());
}

/// Passes exchanges on, and changes what comes of them.
struct Wrapped<S, O> {
    send: S,
    open: O,
}

impl<S, O> Transport for Wrapped<S, O>
where
    S: Fn(&Exchange) -> Result<Response<Bytes>, TransportError>,
    O: Fn(&Exchange) -> Result<Opened, TransportError>,
{
    fn send(&self, exchange: &Exchange) -> Result<Response<Bytes>, TransportError> {
        (self.send)(exchange)
    }

    fn open(&self, exchange: &Exchange) -> Result<Opened, TransportError> {
        (self.open)(exchange)
    }
}

fn changing(change: impl Fn(TransportError) -> TransportError) -> impl Transport {
    let change = std::rc::Rc::new(change);
    let too = change.clone();
    let plain = Plain::default();
    Wrapped {
        send: move |exchange: &Exchange| plain.send(exchange).map_err(|error| change(error)),
        open: move |exchange: &Exchange| Plain::default().open(exchange).map_err(|error| too(error)),
    }
}

fn sending(send: impl Fn(&Exchange) -> Result<Response<Bytes>, TransportError>) -> impl Transport {
    Wrapped { send, open: |exchange: &Exchange| Plain::default().open(exchange) }
}

fn opening(open: impl Fn(&Exchange) -> Result<Opened, TransportError>) -> impl Transport {
    Wrapped { send: |exchange: &Exchange| Plain::default().send(exchange), open }
}

#[test]
fn one_that_tries_again() {
    let plain = Plain::default();
    let again = sending(|exchange| plain.send(exchange).or_else(|_| plain.send(exchange)));
    let report = conformance::check_only(&again, |rule| rule == "retries");
    let text = report.to_string();
    assert!(text.contains("POST and a reset: 2 requests arrived instead of 1"), "{text}");
    assert!(text.contains("GET and no answer: 2 requests arrived instead of 1"), "{text}");

    let again = sending(|exchange| {
        let response = plain.send(exchange)?;
        if response.status() == 503 { plain.send(exchange) } else { Ok(response) }
    });
    let report = conformance::check_only(&again, |rule| rule == "retries");
    assert!(report.to_string().contains("503 with Retry-After: 0: 2 requests"), "{report}");
    assert_eq!(report.findings.len(), 3, "{report}");
}

fn again(error: &TransportError, delivery: Delivery) -> TransportError {
    let again = TransportError::new(error.kind(), delivery, error.to_string());
    error.status().map_or(again.clone(), |status| again.with_status(status))
}

#[test]
fn one_that_says_not_sent_of_everything() {
    let transport = changing(|error| again(&error, Delivery::NotSent));
    let rules = ["body-limit", "reset", "cut-off", "not-http", "timeout", "streaming-rejection"];
    // Their errors are looked at for nothing but this.
    let rules = [&rules[..], &["retries"]].concat();
    breaks(&transport, &rules, "says not sent, but something of the request arrived");
}

#[test]
fn one_that_says_unknown_of_everything() {
    let transport = changing(|error| again(&error, Delivery::Unknown));
    breaks(
        &transport,
        &["refused", "unresolvable", "sources"],
        "a port without a listener: the error Connect, Unknown",
    );
}

#[test]
fn one_that_loses_the_status() {
    let transport = changing(|error| TransportError::new(error.kind(), error.delivery(), "no"));
    let rules = ["body-limit", "cut-off", "timeout", "streaming-rejection"];
    breaks(&transport, &rules, "half of a rejection: the error Closed, Unknown (no; ");
}

#[test]
fn one_that_calls_everything_other() {
    let transport = changing(|error| {
        let other = TransportError::new(TransportErrorKind::Other, error.delivery(), "no");
        error.status().map_or(other.clone(), |status| other.with_status(status))
    });
    breaks(&transport, &["body-limit", "timeout", "streaming-rejection"], "is not one of [TooLarge]");
}

#[test]
fn one_for_which_a_rejection_is_an_error() {
    let transport = sending(|exchange| {
        let response = Plain::default().send(exchange)?;
        let message = "that is no success";
        let error = TransportError::new(TransportErrorKind::Other, Delivery::Unknown, message);
        if response.status().as_u16() < 400 { Ok(response) } else { Err(error.with_status(response.status())) }
    });
    breaks(&transport, &["statuses"], "status 404: the error Other, Unknown (that is no success");
}

#[test]
fn one_that_loses_repeated_headers() {
    let transport = sending(|exchange| {
        let mut response = Plain::default().send(exchange)?;
        let mut headers = HeaderMap::new();
        for (name, value) in response.headers() {
            headers.insert(name.clone(), value.clone());
        }
        *response.headers_mut() = headers;
        Ok(response)
    });
    breaks(&transport, &["unchanged"], r#"the header x-twice is ["two"] instead of ["one", "two"]"#);
}

#[test]
fn one_that_sends_a_little_and_says_it_did_not() {
    let transport = sending(|exchange| {
        let result = Plain::default().send(exchange);
        result.map_err(|error| if error.status().is_some() { again(&error, Delivery::NotSent) } else { error })
    });
    let report = conformance::check_only(&transport, |rule| rule == "cut-off");
    assert!(report.to_string().contains("says not sent, but something of the request arrived"), "{report}");
}

/// A body that was read before it was handed over.
#[derive(Debug)]
struct Read(Bytes);

impl StreamingBody for Read {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, TransportError> {
        let part = self.0.split_to(self.0.len().min(buffer.len()));
        buffer[..part.len()].copy_from_slice(&part);
        Ok(part.len())
    }
}

#[test]
fn one_that_reads_live_bodies_whole() {
    let transport = opening(|exchange| {
        let response = Plain::default().send(exchange)?;
        let rejected = !response.status().is_success();
        let live = |response: Response<Bytes>| response.map(|body| Box::new(Read(body)) as _);
        Ok(if rejected { Opened::Rejection(response) } else { Opened::Streaming(live(response)) })
    });
    breaks(
        &transport,
        &["streaming", "streaming-cut-off"],
        "a streaming body: what had come was held back until more came",
    );
}

#[test]
fn one_for_which_every_live_answer_is_live() {
    let transport = opening(|exchange| {
        let response = Plain::default().send(exchange)?;
        Ok(Opened::Streaming(response.map(|body| Box::new(Read(body)) as _)))
    });
    let report = conformance::check_only(&transport, |rule| rule == "streaming-rejection");
    assert!(report.to_string().contains("answered by 404: a streaming body instead of a rejection"), "{report}");
}

#[test]
#[should_panic(
    expected = "2 findings against the contract of Transport; 19 rules are kept\n  sources: a source shorter"
)]
fn a_report_panics_with_its_list() {
    conformance::check(&Plain { cuts_sources: true, ..Plain::default() }).assert();
}

#[test]
fn the_table_of_the_documentation_has_every_rule() {
    let source = include_str!("../../../src/conformance/mod.rs");
    let table: Vec<_> = source.lines().filter_map(|line| line.strip_prefix("//! | `")?.split('`').next()).collect();
    assert_eq!(table, conformance::rules().collect::<Vec<_>>());
    let report = Report::default();
    assert_eq!(report.to_string(), "0 findings against the contract of Transport; 0 rules are kept");
}
