//! The functions behind the fuzz targets. They are plain functions, so `cargo test` runs them on stable Rust, over the
//! corpus.
//!
//! A function that returns has found nothing. Rules are asserted: a fuzzer finds panics.

#![allow(clippy::missing_panics_doc, reason = "a panic is a finding")]

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use pipewright::decode::{DecodeError, Decoder, End, LineLimit, Lines, NdJson};
use pipewright::error::{Delivery, FlowError, TransportError, TransportErrorKind};
use pipewright::flink::jars::{DeleteJar, UploadJar};
use pipewright::flink::{Cause, JarId, RunJar, StopWithSavepoint};
use pipewright::flow::{Config, Flow, Goal, Notice, SavedState, Step};
use pipewright::operation::RequestContext;
use pipewright::{Base, Operation, Seed, Timestamp};
use pipewright_mock::{Service, feldera, flink, snowpipe};

use crate::{har, replies};

/// A target: its name, and what it does with any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("reply", reply),
    ("lines", lines),
    ("path", path),
    ("base", base),
    ("recording", recording),
    ("flow", flow),
    ("simulator", simulator),
    ("saved", saved),
];

/// The first byte and the rest; 0 without bytes.
fn split(data: &[u8]) -> (u8, &[u8]) {
    data.split_first().map_or((0, data), |(first, rest)| (*first, rest))
}

/// An answer that is anything: two bytes choose status and content type, the rest is the body.
fn answer(data: &[u8]) -> Response<Bytes> {
    let (status, rest) = split(data);
    let (kind, body) = split(rest);
    let statuses = [200, 202, 204, 301, 308, 400, 401, 404, 409, 413, 429, 500, 502, 503, 504];
    let mut response = Response::new(Bytes::copy_from_slice(body));
    let status = statuses[usize::from(status & 0xf) % statuses.len()];
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    let kinds = ["application/json; charset=UTF-8", "application/json", "text/html", "", "application/problem+json"];
    let kind = kinds[usize::from(kind) % kinds.len()];
    if !kind.is_empty() {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    if status == 429 || status == 503 {
        let after = body.get(..body.len().min(30)).unwrap_or_default();
        if let Ok(after) = HeaderValue::from_bytes(after) {
            response.headers_mut().insert(header::RETRY_AFTER, after);
        }
    }
    response
}

/// Every answer type reads anything; what was read is written and read again as the same.
pub fn reply(data: &[u8]) {
    let (row, rest) = split(data);
    let names = replies::names();
    let name = names[usize::from(row) % names.len()];
    let response = answer(rest);
    match replies::parse_with(name, response.clone()) {
        None => panic!("{name} is in the table"),
        Some(Ok(parsed)) if parsed.is_text => {}
        // A secret is not written.
        Some(Ok(_)) if name == "exchangeToken" => {}
        Some(Ok(parsed)) => {
            let mut again = response.map(|_| Bytes::from(parsed.json.clone()));
            // An empty answer of any type may be read; what is written of it is JSON.
            again.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            let again = replies::parse_with(name, again).and_then(Result::ok).map(|again| again.json);
            assert_eq!(again.as_deref(), Some(&*parsed.json), "{name} is not stable");
        }
        Some(Err(error)) => {
            assert!(
                error.message().len() <= 128 * 1024 && error.details().is_none_or(|details| details.len() <= 64 * 1024)
            );
            let _ = Cause::of(error.details().unwrap_or_default()).to_string();
        }
    }
}

fn items<D>(mut decoder: D, data: &[u8], piece: usize, end: End) -> (Vec<Vec<u8>>, Option<DecodeError>)
where
    D: for<'a> Decoder<Item<'a> = &'a [u8]> + 'static,
{
    let mut items = Vec::new();
    let mut drain = |decoder: &mut D| loop {
        match decoder.advance() {
            Ok(true) => items.push(decoder.item().to_vec()),
            Ok(false) => return None,
            Err(error) => return Some(error),
        }
    };
    for piece in data.chunks(piece.max(1)) {
        decoder.feed(piece);
        if let Some(error) = drain(&mut decoder) {
            return (items, Some(error));
        }
    }
    let ended = decoder.finish(end).err();
    let error = drain(&mut decoder).or(ended);
    (items, error)
}

/// Decoders give the same items and the same error, however the bytes are cut.
pub fn lines(data: &[u8]) {
    let (piece, rest) = split(data);
    let (choice, data) = split(rest);
    let limit = LineLimit(usize::from(choice >> 1));
    let end = if choice & 1 == 0 { End::Complete } else { End::Truncated };
    let whole = data.len();
    assert_eq!(items(Lines::new(limit), data, usize::from(piece), end), items(Lines::new(limit), data, whole, end));
    assert_eq!(items(NdJson::new(limit), data, usize::from(piece), end), items(NdJson::new(limit), data, whole, end));
}

/// No name leaves its path segment.
pub fn path(data: &[u8]) {
    let Ok(name) = std::str::from_utf8(data) else { return };
    let Ok(base) = "http://h:1/prefix".parse::<Base>() else { panic!("a base") };
    let cx = RequestContext::new(&base);
    if let Ok(request) = DeleteJar::new(JarId::from(name)).request(cx) {
        let path = request.uri().path();
        assert_eq!(path.split('/').count(), 5, "{path}");
        assert!(
            request.uri().query().is_none() && request.uri().authority().is_some_and(|authority| authority == "h:1")
        );
        assert!(path.len() <= 4096);
    }
    if let Ok(request) = UploadJar::new(name, Bytes::from_static(b"jar")).request(cx) {
        let body = request.body().read().expect("in memory");
        let text = std::str::from_utf8(&body).expect("names are UTF-8");
        assert_eq!(text.matches("\r\n").count(), 6, "a name added a header: {text:?}");
    }
}

/// A base is refused, or a URL that stays what it is.
pub fn base(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match text.parse::<Base>() {
        Ok(base) => {
            assert_eq!(base.to_string().parse::<Base>().as_ref(), Ok(&base));
            assert!(!base.authority().as_str().contains('@'));
        }
        Err(error) => assert!(error.to_string().len() < 1000),
    }
    let _ = Timestamp::from_http_date(text);
}

/// Any file is read as a recording, or refused.
pub fn recording(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(har::Recording { entries, .. }) = har::read(text) {
        let mut report = crate::replay::Report::default();
        for entry in &entries {
            report.add(entry);
        }
        assert!(report.summary().starts_with(&format!("entries={}", entries.len())));
    }
}

/// A flow under hostile replies ends by its deadline, and sends no `Once` again after an unknown outcome.
pub fn flow(data: &[u8]) {
    let (which, mut rest) = split(data);
    let Ok(base) = "http://h".parse() else { panic!("a base") };
    let config = Config::new(base);
    let limit = Duration::from_secs(60);
    let job = pipewright::flink::JobId::from_bits(7);
    match which % 3 {
        0 => hostile(StopWithSavepoint::new(job).timeout(limit).start(&config, Seed::new(1)), &mut rest, limit),
        1 => hostile(RunJar::upload("a.jar", "jar").timeout(limit).start(&config, Seed::new(1)), &mut rest, limit),
        _ => {
            let upgrade = pipewright::flink::UpgradeJob::new(job, RunJar::uploaded("a.jar"), RunJar::uploaded("b.jar"));
            hostile(upgrade.timeout(limit).start(&config, Seed::new(1)), &mut rest, limit);
        }
    }
}

fn hostile<F: Flow>(mut flow: F, data: &mut &[u8], limit: Duration) {
    let start = Timestamp::from_millis(1_700_000_000_000);
    let (mut now, mut reply) = (start, None);
    let mut doubtful: Vec<Bytes> = Vec::new();
    loop {
        match flow.poll(now, reply.take()) {
            Step::Send(exchange) => {
                let body = exchange.request().body().read().expect("in memory");
                let is_once = exchange.info().effect == pipewright::Effect::Once && !exchange.info().effect_varies;
                assert!(!is_once || !doubtful.contains(&body), "{exchange:?} was sent again");
                // One byte says how long what comes next is, and whether it is an answer.
                let (choice, rest) = split(data);
                let (body_of, after) = rest.split_at(usize::from(choice >> 1).min(rest.len()));
                *data = after;
                now = now + Duration::from_millis(u64::from(choice) * 20);
                let answer = if choice & 1 == 0 && !body_of.is_empty() {
                    Ok(answer(body_of))
                } else {
                    Err(TransportError::new(TransportErrorKind::Closed, Delivery::Unknown, "lost"))
                };
                if is_once && answer.is_err() {
                    doubtful.push(body);
                }
                reply = Some(exchange.settle(answer));
            }
            Step::WaitUntil(at) | Step::InFlight { until: at } => {
                assert!(at > now, "a wait that is over");
                now = at;
            }
            Step::Notice(_) => {}
            Step::Authorize(_) | Step::Stray(_) => panic!("no credentials, no other flow"),
            Step::Done(_) => break,
        }
    }
    // The last exchange may take five seconds longer than it was given.
    assert!(now.since(start) <= limit + Duration::from_secs(6), "{now}");
}

/// The simulators answer whatever they are asked, at whatever time. Requests are separated by a NUL and a byte each.
pub fn simulator(data: &[u8]) {
    let mut cluster = flink::Cluster::new(flink::Config::default());
    asked(&mut cluster, data);
    let _ = (cluster.jobs(), cluster.savepoints(), cluster.jars());
    let one_host = snowpipe::Config { ingest_hosts: Vec::new(), ..snowpipe::Config::default() };
    asked(&mut snowpipe::Account::new(one_host), data);
    asked(&mut feldera::Manager::new(feldera::Config::default()), data);
}

fn asked(service: &mut impl Service, data: &[u8]) {
    let mut now = Timestamp::from_millis(1_700_000_000_000);
    // A service that wants a token takes any token, unless it hands tokens out itself.
    let mut bearer = HeaderValue::from_static("Bearer token");
    for request in data.split(|byte| *byte == 0).take(50) {
        let (choice, rest) = split(request);
        let (target, body) = match rest.iter().position(|byte| *byte == b' ') {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => (rest, &[][..]),
        };
        let methods = [Method::GET, Method::POST, Method::PATCH, Method::DELETE, Method::PUT];
        let mut request = Request::new(Bytes::copy_from_slice(body));
        *request.method_mut() = methods[usize::from(choice) % methods.len()].clone();
        let Ok(uri) = http::Uri::try_from(target) else { continue };
        *request.uri_mut() = uri;
        let path = request.uri().path();
        let is_token = path == "/oauth/token";
        let boundary = body.strip_prefix(b"--").and_then(|rest| rest.split(|byte| *byte == b'\r').next());
        let kind = match boundary {
            Some(boundary) => HeaderValue::from_bytes(&[b"multipart/form-data; boundary=", boundary].concat()),
            None if is_token => Ok(HeaderValue::from_static("application/x-www-form-urlencoded")),
            None if path.ends_with("/rows") => Ok(HeaderValue::from_static("application/x-ndjson")),
            None => Ok(HeaderValue::from_static("application/json")),
        };
        let headers = request.headers_mut();
        headers.extend(kind.ok().map(|kind| (header::CONTENT_TYPE, kind)));
        headers.insert(header::HOST, HeaderValue::from_static("localhost"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(header::AUTHORIZATION, bearer.clone());
        now = now + Duration::from_millis(u64::from(choice) * 37);
        if choice == 255 {
            service.restart(now, Duration::from_secs(1));
        }
        let response = service.handle(now, &request);
        assert!(response.status().as_u16() >= 200);
        if is_token && response.status().is_success() {
            let token = [b"Bearer ", &response.body()[..]].concat();
            bearer = HeaderValue::from_bytes(&token).unwrap_or(bearer);
        }
    }
}

/// A saved state that was tampered with is refused, or resumes a flow that ends.
pub fn saved(data: &[u8]) {
    let Ok(state) = std::str::from_utf8(data) else { return };
    for flow in ["TakeSavepoint", "StopWithSavepoint", "TriggerCheckpoint", "RunJar", "UpgradeJob"] {
        let text = serde_json::json!({ "flow": flow, "state": state }).to_string();
        let Ok(saved) = serde_json::from_str::<SavedState>(&text) else { panic!("its shape is right") };
        let Ok(base) = "http://h".parse() else { panic!("a base") };
        let config = Config::new(base);
        let limit = Duration::from_secs(20);
        let rest = &mut &b""[..];
        match flow {
            "TakeSavepoint" => resumed(
                pipewright::flink::TakeSavepoint::resume(&saved).map(|goal| goal.timeout(limit)),
                &config,
                rest,
                limit,
            ),
            "StopWithSavepoint" => {
                resumed(StopWithSavepoint::resume(&saved).map(|goal| goal.timeout(limit)), &config, rest, limit);
            }
            "TriggerCheckpoint" => resumed(
                pipewright::flink::TriggerCheckpoint::resume(&saved).map(|goal| goal.timeout(limit)),
                &config,
                rest,
                limit,
            ),
            "RunJar" => resumed(RunJar::resume(&saved).map(|goal| goal.timeout(limit)), &config, rest, limit),
            _ => resumed(
                pipewright::flink::UpgradeJob::resume(&saved).map(|goal| goal.timeout(limit)),
                &config,
                rest,
                limit,
            ),
        }
    }
    let _ = Notice::observed(state, "").to_string();
}

fn resumed<G>(goal: Result<G, FlowError>, config: &Config<G::Service>, data: &mut &[u8], limit: Duration)
where
    G: Goal,
{
    if let Ok(goal) = goal {
        hostile(goal.start(config, Seed::new(2)), data, limit);
    }
}
