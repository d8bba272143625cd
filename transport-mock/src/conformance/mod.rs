//! Checks any [`Transport`] against its contract, over real connections.
//!
//! Flows decide whether to send a request again by what the transport reports about a failure. Some mistakes of a
//! transport make requests happen twice: it follows a redirect, sends a request a second time by itself, or reports a
//! request as unsent that has arrived. [`check`] starts small servers on loopback that answer, reject, stall, garble
//! and hang up. It drives exchanges through the transport, and reports every deviation:
//!
//! ```
//! use pipewright_mock::conformance;
//! # use pipewright_mock::World;
//! # struct MyTransport;
//! # impl MyTransport { fn new() -> World { World::new(1) } }
//!
//! // In your test, this is `conformance::check(&MyTransport::new()).assert()`.
//! let report = conformance::check_only(&MyTransport::new(), |rule| rule == "unresolvable");
//! assert_eq!(report.passed, ["unresolvable"]);
//! report.assert();
//! ```
//!
//! | rule | what it requires |
//! |---|---|
//! | `statuses` | the transport returns a response with any status, and its body |
//! | `redirects` | the transport follows no redirect |
//! | `unchanged` | headers and body of a response arrive unchanged, including repeated headers and encoded bodies |
//! | `framing` | a body ends by its length, by its chunks or with the connection; some responses have no body |
//! | `interim` | interim responses (1xx) are skipped |
//! | `body-limit` | a body above the limit is `TooLarge`, outcome unknown, with the status; a body of exactly the limit is accepted |
//! | `head` | the request has its target and headers; the transport adds only `Host`, `Content-Length` and `Connection` |
//! | `length` | every body arrives whole, with its exact `Content-Length` and not in chunks |
//! | `sources` | a body source that cannot be opened is not sent; a source with a wrong length is never a success |
//! | `retries` | the transport sends no request a second time |
//! | `fresh-connection` | an exchange that asks for a fresh connection gets it, also a repeated `GET` |
//! | `refused` | if the connection is refused, the request is reported as not sent |
//! | `unresolvable` | if the host name has no address, the request is reported as not sent |
//! | `reset` | if the connection ends after a part of the request arrived, the outcome is unknown |
//! | `cut-off` | a body that ends early is an error with the status, outcome unknown |
//! | `not-http` | a response that is not HTTP, or ends in its head, is an error, outcome unknown |
//! | `timeout` | an exchange ends at its timeout as `Timeout`, outcome unknown; slowly arriving bytes do not extend it |
//! | `streaming` | a streaming body is readable while it arrives; neither the timeout nor the limit of the exchange ends it |
//! | `streaming-rejection` | a status that is no success is a rejection with its whole body; a streaming exchange times out like others |
//! | `streaming-cut-off` | a streaming body that breaks off ends with an error |
//!
//! Every rule also checks that no error shows the request's credential, and that the transport does not report a
//! request as not sent if a part of it has arrived. A transport may report any error as
//! [`Other`](TransportErrorKind::Other), except `TooLarge` and `Timeout`: flows act on these kinds.
//!
//! Not checked: TLS, proxies, and connections that time out while they are established.

mod answers;
mod failures;
pub(crate) mod probe;
mod requests;
mod server;
mod streaming;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use http::Response;
use pipewright::driver::{Opened, Transport};
use pipewright::error::{Delivery, TransportError, TransportErrorKind};

use self::probe::{Ask, SECRET};
use self::server::Server;

/// Checks a transport against every rule of the [module](self). Takes two to five seconds.
pub fn check(transport: &(impl Transport + ?Sized)) -> Report {
    check_only(transport, |_| true)
}

/// Checks a transport against the rules that `wanted` accepts, by name.
///
/// ```no_run
/// # fn example(transport: impl pipewright::driver::Transport) {
/// // For a network whose resolver returns an address for names that do not exist.
/// pipewright_mock::conformance::check_only(&transport, |rule| rule != "unresolvable").assert();
/// # }
/// ```
pub fn check_only(transport: &(impl Transport + ?Sized), wanted: impl Fn(&str) -> bool) -> Report {
    let mut report = Report::default();
    for (rule, check) in RULES.iter().filter(|(rule, _)| wanted(rule)) {
        let mut case = Case { transport: &transport, problems: Vec::new() };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(&mut case))) {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            case.problem(format!("a panic: {text}"));
        }
        if case.problems.is_empty() {
            report.passed.push(rule);
        }
        report.findings.extend(case.problems.into_iter().map(|problem| Finding { rule, problem }));
    }
    report
}

/// Returns the names of all rules, in the order in which they are checked.
pub fn rules() -> impl Iterator<Item = &'static str> {
    RULES.iter().map(|(rule, _)| *rule)
}

type Check = fn(&mut Case<'_>);

const RULES: [(&str, Check); 20] = [
    ("statuses", answers::statuses),
    ("redirects", answers::redirects),
    ("unchanged", answers::unchanged),
    ("framing", answers::framing),
    ("interim", answers::interim),
    ("body-limit", answers::body_limit),
    ("head", requests::head),
    ("length", requests::length),
    ("sources", requests::sources),
    ("retries", requests::retries),
    ("fresh-connection", requests::fresh_connection),
    ("refused", failures::rejected),
    ("unresolvable", failures::unresolvable),
    ("reset", failures::reset),
    ("cut-off", failures::cut_off),
    ("not-http", failures::not_http),
    ("timeout", failures::timeout),
    ("streaming", streaming::streaming),
    ("streaming-rejection", streaming::rejection),
    ("streaming-cut-off", streaming::cut_off),
];

/// The result of a check. `Display` lists the findings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// All deviations from the contract.
    pub findings: Vec<Finding>,
    /// The names of the rules without a finding.
    pub passed: Vec<&'static str>,
}

/// A deviation of a transport from its contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The name of the broken rule.
    pub rule: &'static str,
    /// The situation, the actual result and the expected result.
    pub problem: String,
}

impl Report {
    /// Asserts that there are no findings.
    ///
    /// # Panics
    /// If there is a finding. The message lists all findings.
    #[track_caller]
    pub fn assert(&self) {
        assert!(self.findings.is_empty(), "{self}");
    }

    /// Returns whether the report has a finding for a rule.
    pub fn breaks(&self, rule: &str) -> bool {
        self.findings.iter().any(|finding| finding.rule == rule)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (found, passed) = (self.findings.len(), self.passed.len());
        write!(f, "{found} {} against the contract of Transport", if found == 1 { "finding" } else { "findings" })?;
        write!(f, "; {passed} {} kept", if passed == 1 { "rule is" } else { "rules are" })?;
        self.findings.iter().try_for_each(|finding| write!(f, "\n  {finding}"))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.problem)
    }
}

/// The check of one rule.
struct Case<'a> {
    transport: &'a dyn Transport,
    problems: Vec<String>,
}

/// The properties that an error must have.
#[derive(Clone, Copy)]
struct Expected {
    kinds: &'static [TransportErrorKind],
    delivery: Delivery,
    /// The status, if the head of a response arrived.
    status: Option<u16>,
}

impl Case<'_> {
    fn problem(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }

    fn send(&mut self, what: &str, ask: &Ask, server: &Server) -> Result<Response<Bytes>, TransportError> {
        let result = self.transport.send(&ask.exchange(server.address));
        self.look(what, result.as_ref().err(), server);
        result
    }

    fn open(&mut self, what: &str, ask: &Ask, server: &Server) -> Result<Opened, TransportError> {
        let result = self.transport.open(&ask.streaming(server.address));
        self.look(what, result.as_ref().err(), server);
        result
    }

    /// Checks what is required of every error.
    fn look(&mut self, what: &str, error: Option<&TransportError>, server: &Server) {
        let Some(error) = error else { return };
        if format!("{error} {error:?}").contains(SECRET) {
            self.problem(format!("{what}: the error shows the credential"));
        }
        if error.delivery() == Delivery::NotSent && server.was_reached() {
            self.problem(format!("{what}: {error:?} says not sent, but something of the request arrived"));
        }
    }

    /// Requires a response with this status and body.
    fn answered(
        &mut self,
        what: &str,
        result: Result<Response<Bytes>, TransportError>,
        status: u16,
        body: &[u8],
    ) -> Option<Response<Bytes>> {
        match result {
            Ok(response) => {
                if response.status() != status {
                    self.problem(format!("{what}: status {} instead of {status}", response.status().as_u16()));
                } else if response.body() != body {
                    self.problem(format!(
                        "{what}: the body is {:?} instead of {:?}",
                        short(response.body()),
                        short(body)
                    ));
                }
                Some(response)
            }
            Err(error) => {
                self.problem(format!("{what}: {} instead of an answer", tell(&error)));
                None
            }
        }
    }

    /// Requires an error.
    fn failed<T>(&mut self, what: &str, result: Result<T, TransportError>, expected: Expected) {
        let Err(error) = result else { return self.problem(format!("{what}: a success instead of an error")) };
        let Expected { kinds, delivery, status } = expected;
        // Flows act on these two kinds only.
        let strict =
            kinds.iter().any(|kind| matches!(kind, TransportErrorKind::TooLarge | TransportErrorKind::Timeout));
        if !kinds.contains(&error.kind()) && (strict || error.kind() != TransportErrorKind::Other) {
            self.problem(format!("{what}: {} is not one of {kinds:?}", tell(&error)));
        }
        if error.delivery() != delivery {
            self.problem(format!("{what}: {} should be {delivery:?}", tell(&error)));
        }
        if let Some(status) = status
            && error.status().is_none_or(|kept| kept != status)
        {
            self.problem(format!("{what}: {} has lost the status {status}", tell(&error)));
        }
    }

    /// Requires that this number of requests arrived.
    fn arrived(&mut self, what: &str, server: Server, requests: usize) -> Vec<server::Arrival> {
        let (arrivals, connections) = server.finish_counting();
        if arrivals.len() != requests {
            self.problem(format!("{what}: {} requests arrived instead of {requests}", arrivals.len()));
        } else if connections > requests {
            self.problem(format!("{what}: {connections} connections were made for {requests} requests"));
        }
        arrivals
    }
}

fn tell(error: &TransportError) -> String {
    format!("the error {:?}, {:?} ({error})", error.kind(), error.delivery())
}

fn short(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}… ({} bytes)", &text[..at], bytes.len()),
        None => text.into_owned(),
    }
}
