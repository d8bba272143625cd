//! An invented service with arbitrary answers, and a driver for a [`Call`].

use std::fmt::{Debug, Write as _};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use pipewright::error::{
    Applied, BuildError, CredentialError, Delivery, FlowError, Misuse, ServiceError, TransportError, TransportErrorKind,
};
use pipewright::flow::{Call, Config, Exchange, Flow, Reply, Step};
use pipewright::operation::{Effect, OperationInfo, RequestContext, Service, Target};
use pipewright::{Body, Operation, Seed, Timestamp};

/// The service.
#[derive(Clone, Copy, Debug)]
pub enum SyntheticService {}

impl Service for SyntheticService {
    const NAME: &'static str = "lab";

    /// Two letters in a header say what the answer is worth: `y`, `n` or `?` for applied, `t` or `f` for transient or
    /// final. A web page is a proxy's.
    fn parse_error(info: &'static OperationInfo, response: &Response<Bytes>) -> ServiceError {
        if response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/html") {
            return ServiceError::foreign(info, response);
        }
        let worth = response.headers().get("x-worth").map_or(&b"nf"[..], HeaderValue::as_bytes);
        let applied = match worth.first() {
            Some(b'y') => Applied::Yes,
            Some(b'?') => Applied::Unknown,
            _ => Applied::No,
        };
        ServiceError::rejected(info, response, None, format!("refused {}", String::from_utf8_lossy(worth)))
            .with_applied(applied)
            .with_transient(worth.last() == Some(&b't'))
    }
}

/// Its one operation, with any effect.
#[derive(Clone, Copy, Debug)]
pub struct Probe(pub Effect);

impl Operation for Probe {
    type Output = String;
    type Service = SyntheticService;
    const INFO: &'static OperationInfo = &OperationInfo {
        service: "lab",
        name: "probe",
        method: Method::POST,
        path: "/probe",
        effect: Effect::Once,
        effect_varies: true,
    };

    fn effect(&self) -> Effect {
        self.0
    }

    fn request(&self, cx: RequestContext<'_>) -> Result<Request<Body>, BuildError> {
        let mut target = Target::new::<SyntheticService>(Self::INFO, cx);
        target.query("attempt", &cx.attempt());
        target.finish(Some(Body::from("{}")))
    }

    fn parse(&self, response: Response<Bytes>) -> Result<String, ServiceError> {
        if response.status().is_success() {
            Ok(String::from_utf8_lossy(response.body()).into_owned())
        } else {
            Err(SyntheticService::parse_error(Self::INFO, &response))
        }
    }
}

/// What comes of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 200 `fine`.
    Fine,
    /// No connection.
    NotSent,
    /// The connection broke after the request had left.
    Lost,
    /// A transport that gives up for good.
    Hopeless(TransportErrorKind, Delivery),
    /// Nothing at all, until the flow gives up waiting; a success comes too late.
    Silence,
    /// 401.
    Unauthorized,
    /// A proxy's page with this status.
    Proxy(u16),
    /// 503 with a worth, as [`SyntheticService`] reads it, and perhaps a `Retry-After`.
    Rejected(&'static str, Option<String>),
}

impl Answer {
    /// Refused with a worth.
    pub fn rejected(worth: &'static str) -> Self {
        Self::Rejected(worth, None)
    }

    /// Whether it is unknown if the request was carried out.
    pub fn is_uncertain(&self) -> bool {
        match self {
            Self::Lost | Self::Silence | Self::Hopeless(_, Delivery::Unknown) => true,
            Self::Rejected(worth, _) => worth.starts_with('?'),
            _ => false,
        }
    }

    /// The answer; `None` never comes.
    pub fn result(&self) -> Option<Result<Response<Bytes>, TransportError>> {
        let broken = |kind, delivery| Some(Err(TransportError::new(kind, delivery, "it broke")));
        let rejected = |status, worth, retry_after: Option<&str>| {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = status;
            response.headers_mut().insert("x-worth", HeaderValue::from_static(worth));
            if let Some(value) = retry_after.and_then(|value| HeaderValue::from_str(value).ok()) {
                response.headers_mut().insert(header::RETRY_AFTER, value);
            }
            Some(Ok(response))
        };
        match self {
            Self::Fine => Some(Ok(Response::new("fine".into()))),
            Self::NotSent => broken(TransportErrorKind::Connect, Delivery::NotSent),
            Self::Lost => broken(TransportErrorKind::Closed, Delivery::Unknown),
            Self::Hopeless(kind, delivery) => broken(*kind, *delivery),
            Self::Silence => None,
            Self::Unauthorized => rejected(StatusCode::UNAUTHORIZED, "nf", None),
            Self::Proxy(status) => {
                let mut response = Response::new("<html>no such site</html>".into());
                *response.status_mut() = StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_GATEWAY);
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
                Some(Ok(response))
            }
            Self::Rejected(worth, retry_after) => {
                rejected(StatusCode::SERVICE_UNAVAILABLE, worth, retry_after.as_deref())
            }
        }
    }
}

/// What a call did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It sent a request.
    Sent {
        /// When.
        at: Timestamp,
        /// With which credential.
        authorization: Option<String>,
    },
    /// It asked for a credential.
    Asked {
        /// The credential that was rejected.
        rejected: Option<String>,
    },
    /// It waited.
    Waited {
        /// From when.
        from: Timestamp,
        /// To when.
        to: Timestamp,
    },
}

/// All that a call did, and its result.
#[derive(Clone, Debug)]
pub struct Trace {
    /// In order.
    pub events: Vec<Event>,
    /// The notices, one a line.
    pub notices: String,
    /// When it ended.
    pub end: Timestamp,
    /// How.
    pub result: Result<String, FlowError>,
}

impl Trace {
    /// How many requests were sent.
    pub fn sent(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Sent { .. })).count()
    }

    /// What each credential request said was rejected.
    pub fn asked(&self) -> Vec<Option<&str>> {
        let asked = self.events.iter().filter_map(|event| match event {
            Event::Asked { rejected } => Some(rejected.as_deref()),
            _ => None,
        });
        asked.collect()
    }

    /// From when to when it waited, each time.
    pub fn waits(&self) -> Vec<(Timestamp, Timestamp)> {
        let waits = self.events.iter().filter_map(|event| match event {
            Event::Waited { from, to } => Some((*from, *to)),
            _ => None,
        });
        waits.collect()
    }

    /// The error, in short: its kind and whether it is ambiguous.
    pub fn verdict(&self) -> &'static str {
        match &self.result {
            Ok(_) => "fine",
            Err(FlowError::Build(_)) => "build",
            Err(FlowError::Credential(_)) => "credential",
            Err(FlowError::Transport(_)) => "transport",
            Err(FlowError::Service(_)) => "service",
            Err(FlowError::Ambiguous(_)) => "ambiguous",
            Err(FlowError::Deadline { .. }) => "deadline",
            Err(FlowError::Misuse(_)) => "misuse",
            Err(_) => "other",
        }
    }
}

/// Drives calls by hand.
#[derive(Debug)]
pub struct Hand {
    /// What comes of each attempt; the last answer repeats for ever.
    pub answers: Vec<Answer>,
    /// What the credential requests are answered with; the last answer repeats for ever, `None` is not at all.
    pub credentials: Vec<Option<Result<&'static str, CredentialError>>>,
    /// How long each answer takes.
    pub latency: Duration,
    /// Polls more often than asked, and with replies of another call before every poll.
    pub meddles: bool,
}

impl Hand {
    /// These answers, at once, and no credentials.
    pub fn new(answers: impl Into<Vec<Answer>>) -> Self {
        Self { answers: answers.into(), credentials: vec![None], latency: Duration::ZERO, meddles: false }
    }

    /// Answers credential requests with these.
    pub fn with_credentials(mut self, credentials: &[&'static str]) -> Self {
        self.credentials = credentials.iter().map(|credential| Some(Ok(*credential))).collect();
        self
    }

    /// Drives a call from a moment to its end.
    ///
    /// # Panics
    /// When the call breaks one of the rules that hold for every flow: a stray or late reply is not handed back,
    /// polling again changes something, it never ends, or it gives another result the second time.
    pub fn drive(&self, mut call: Call<Probe>, start: Timestamp) -> Trace {
        let (mut now, mut reply) = (start, None);
        let (mut events, mut notices) = (Vec::new(), String::new());
        let (mut answers, mut credentials) = (Script::new(&self.answers), Script::new(&self.credentials));
        let (mut silent, mut late) = (None::<Exchange>, None::<Exchange>);
        for _ in 0..10_000 {
            if self.meddles {
                meddle(&mut call, now);
            }
            if let Some(exchange) = late.take() {
                let _ = assert_stray(call.poll(now, Some(exchange.settle(Ok(Response::new("late".into()))))));
            }
            let step = call.poll(now, reply.take());
            if !matches!(step, Step::InFlight { .. }) {
                late = silent.take();
            }
            match step {
                Step::Send(exchange) => {
                    let authorization = exchange.request().headers().get(header::AUTHORIZATION).map(text);
                    events.push(Event::Sent { at: now, authorization });
                    match answers.next().result() {
                        Some(result) => {
                            now = now + self.latency.min(exchange.timeout());
                            reply = Some(exchange.settle(result));
                        }
                        None => silent = Some(exchange),
                    }
                }
                Step::Authorize(request) => {
                    events.push(Event::Asked { rejected: request.rejected().map(text) });
                    if let Some(credential) = credentials.next() {
                        reply = Some(request.settle(credential.map(HeaderValue::from_static)));
                    }
                }
                Step::WaitUntil(at) | Step::InFlight { until: at } => {
                    assert!(at > now, "waiting for a moment that has come: {at}");
                    match call.poll(now, None) {
                        Step::WaitUntil(again) => events.push(Event::Waited { from: now, to: again }),
                        Step::InFlight { until } => assert_eq!(until, at, "polled again"),
                        other => panic!("polled again, and then {other:?}"),
                    }
                    now = at;
                }
                Step::Notice(notice) => writeln!(notices, "{notice}").expect("a string"),
                Step::Stray(stray) => panic!("not taken: {stray:?}"),
                Step::Done(result) => {
                    assert_over(&mut call, now, &result, late);
                    return Trace { events, notices, end: now, result };
                }
            }
        }
        panic!("no end: {} events", events.len());
    }
}

/// Answers in order, the last answer for ever.
struct Script<'a, T>(&'a [T]);

impl<'a, T: Clone> Script<'a, T> {
    fn new(items: &'a [T]) -> Self {
        Self(items)
    }

    fn next(&mut self) -> T {
        match self.0 {
            [last] => last.clone(),
            [first, rest @ ..] => {
                self.0 = rest;
                first.clone()
            }
            [] => panic!("an empty script"),
        }
    }
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

fn assert_stray<T: Debug>(step: Step<T>) -> Reply {
    match step {
        Step::Stray(reply) => reply,
        other => panic!("not handed back: {other:?}"),
    }
}

/// Polls with the reply of another call, which must come back whole.
fn meddle(call: &mut Call<Probe>, now: Timestamp) {
    let config = Config::new("http://127.0.0.1".parse().expect("a base"));
    let mut other = Call::new(Probe(Effect::Safe), &config, Seed::new(7));
    let exchange = loop {
        match other.poll(now, None) {
            Step::Send(exchange) => break exchange,
            Step::Notice(_) => {}
            step => panic!("{step:?}"),
        }
    };
    let stray = assert_stray(call.poll(now, Some(exchange.settle(Ok(Response::new("whole".into()))))));
    let mut reply = Some(stray);
    loop {
        match other.poll(now, reply.take()) {
            Step::Notice(_) => {}
            Step::Done(result) => break assert_eq!(result.expect("an answer"), "whole"),
            step => panic!("{step:?}"),
        }
    }
}

/// A result is given once, an error again and again, and a reply that comes still later is stray.
fn assert_over(call: &mut Call<Probe>, now: Timestamp, result: &Result<String, FlowError>, late: Option<Exchange>) {
    if let Some(exchange) = late {
        let _ = assert_stray(call.poll(now, Some(exchange.settle(Ok(Response::new("late".into()))))));
    }
    let later = now + Duration::from_secs(1_000_000);
    for _ in 0..2 {
        let expected = match result {
            Ok(_) => format!("{:?}", FlowError::Misuse(Misuse::PolledAfterDone)),
            Err(error) => format!("{error:?}"),
        };
        match call.poll(later, None) {
            Step::Done(Err(error)) => assert_eq!(format!("{error:?}"), expected),
            step => panic!("after the end: {step:?}"),
        }
    }
}
