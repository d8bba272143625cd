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
//! | rule | says |
//! |---|---|
//! | `statuses` | every status is an answer, with its body |
//! | `redirects` | no redirect is followed |
//! | `unchanged` | headers and body of an answer come through as they are, repeated headers and encoded bodies too |
//! | `framing` | a body ends by its length, by its chunks or with the connection; some answers have none |
//! | `interim` | answers before the final one (1xx) are passed over |
//! | `body-limit` | a longer body is `TooLarge`, unknown, with its status; one of just that length is taken |
//! | `head` | the request has its own target and headers, and of others `Host`, `Content-Length`, `Connection` only |
//! | `length` | every body arrives whole, with its exact `Content-Length` and never in chunks |
//! | `sources` | one that cannot be opened is not sent; one of another length than it said is never a success |
//! | `retries` | nothing is sent a second time |
//! | `fresh-connection` | an exchange that wants a connection of its own gets one, a repeated `GET` too |
//! | `refused` | a refused connection is not sent |
//! | `unresolvable` | a name without an address is not sent |
//! | `reset` | a connection that ends after the request has begun to arrive is unknown |
//! | `cut-off` | a body that ends early is an error with its status, unknown |
//! | `not-http` | an answer that is not HTTP, or ends in its head, is an error, unknown |
//! | `timeout` | an exchange ends with its timeout, as `Timeout`, unknown; a few bytes now and then gain nothing |
//! | `streaming` | a streaming body is handed over while it is coming; neither timeout nor limit of the exchange end it |
//! | `streaming-rejection` | any status but a success is a rejection, read whole; a streaming exchange times out like others |
//! | `streaming-cut-off` | a streaming body that breaks off ends with an error |
//!
//! In every rule: no error shows the request's credential, and nothing is called not sent that has arrived. A kind of
//! error may always be [`Other`](TransportErrorKind::Other), but where flows act on the kind: `TooLarge`, `Timeout`.
//!
//! What takes another machine is not checked: TLS, proxies, a connection that is not made in time.

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

/// Checks a transport against some of the rules, chosen by name.
///
/// ```no_run
/// # fn example(transport: impl pipewright::driver::Transport) {
/// // Where the resolver answers for names that do not exist.
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

/// The names of all rules, in the order in which they are checked.
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

/// What came of a check. `Display` is a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Everything that is wrong.
    pub findings: Vec<Finding>,
    /// The rules that the transport keeps.
    pub passed: Vec<&'static str>,
}

/// Something that a transport does wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule that it breaks.
    pub rule: &'static str,
    /// In which situation, what came, and what should have come.
    pub problem: String,
}

impl Report {
    /// Demands that nothing is wrong.
    ///
    /// # Panics
    /// When something is, with the whole list.
    #[track_caller]
    pub fn assert(&self) {
        assert!(self.findings.is_empty(), "{self}");
    }

    /// Whether a rule was found broken.
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

/// A rule while it is checked.
struct Case<'a> {
    transport: &'a dyn Transport,
    problems: Vec<String>,
}

/// What an error is to say.
#[derive(Clone, Copy)]
struct Expected {
    kinds: &'static [TransportErrorKind],
    delivery: Delivery,
    /// When the head of an answer came.
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

    /// What holds of every error.
    fn look(&mut self, what: &str, error: Option<&TransportError>, server: &Server) {
        let Some(error) = error else { return };
        if format!("{error} {error:?}").contains(SECRET) {
            self.problem(format!("{what}: the error shows the credential"));
        }
        if error.delivery() == Delivery::NotSent && server.was_reached() {
            self.problem(format!("{what}: {error:?} says not sent, but something of the request arrived"));
        }
    }

    /// Demands an answer with this status and body.
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

    /// Demands an error.
    fn failed<T>(&mut self, what: &str, result: Result<T, TransportError>, expected: Expected) {
        let Err(error) = result else { return self.problem(format!("{what}: a success instead of an error")) };
        let Expected { kinds, delivery, status } = expected;
        // Flows act on these two: other kinds only inform.
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

    /// Demands that so many requests came.
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
