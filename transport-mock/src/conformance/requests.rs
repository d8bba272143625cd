//! Rules about requests: how they must arrive at the server.

use http::Method;
use pipewright::error::{Delivery, TransportErrorKind as Kind};
use pipewright::{Body, Segment};

use super::probe::{Ask, SECRET, Text};
use super::server::{Arrival, Peer, Server, answer};
use super::{Case, Expected, short};

pub(super) fn head(case: &mut Case<'_>) {
    let plain = Ask::get();
    let mut rich = Ask::post("{}");
    rich.target = "/probe/a%2Fb%20c/%E2%82%AC;v=1?q=%26+x&q=&empty";
    rich.headers = vec![
        ("content-type", b"application/json"),
        ("x-twice", b"one"),
        ("x-twice", b"two"),
        ("user-agent", b"probe/1"),
        ("accept", b"text/plain"),
        ("x-text", "café".as_bytes()),
    ];
    let other = Ask::new(Method::from_bytes(b"REPORT").expect("a method"), "");
    for ask in [plain, rich, Ask::post("{}").once(), Ask::new(Method::DELETE, ""), other] {
        let what = ask.method.to_string();
        let server = Server::answering(answer(200, "", ""));
        let authority = server.address.to_string();
        let result = case.send(&what, &ask, &server);
        case.answered(&what, result, 200, b"");
        if let [arrival] = &case.arrived(&what, server, 1)[..] {
            compare(case, &ask, arrival, &authority);
        }
    }
}

fn compare(case: &mut Case<'_>, ask: &Ask, arrival: &Arrival, authority: &str) {
    let what = &ask.method;
    let line = format!("{what} {} HTTP/1.1", ask.target);
    if arrival.line() != line {
        case.problem(format!("{what}: the request line is {:?} instead of {line:?}", arrival.line()));
    }
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let mut missing: Vec<_> = ask.headers.iter().map(|(name, value)| ((*name).to_owned(), text(value))).collect();
    missing.push(("authorization".to_owned(), SECRET.to_owned()));
    missing.push(("host".to_owned(), authority.to_owned()));
    for (name, value) in arrival.headers() {
        match missing.iter().position(|(expected, _)| *expected == name) {
            Some(at) => {
                let (_, expected) = missing.remove(at);
                if expected != value {
                    case.problem(format!("{what}: the header {name} is {value:?} instead of {expected:?}"));
                }
            }
            None if matches!(&*name, "content-length" | "connection") => {}
            None => case.problem(format!("{what}: a header of its own, {name}: {value}")),
        }
    }
    for (name, _) in missing {
        case.problem(format!("{what}: the header {name} is missing"));
    }
}

pub(super) fn length(case: &mut Case<'_>) {
    let big = "0123456789abcdef".repeat(64 * 1024);
    let pieces = || Body::from_segments(["in ".into(), Text::honest("streamed"), "".into(), " pieces".into()]);
    for (kind, body, arrives) in [
        ("a body in one piece", Body::from("in one"), "in one"),
        ("a body in segments", Body::from_segments(["in ", "seg", "", "ments"].map(Segment::from)), "in segments"),
        ("a body from a source", Body::from_segments([Text::honest("streamed")]), "streamed"),
        ("a body of bytes and a source", pieces(), "in streamed pieces"),
        ("a body of 1 MiB", Body::from(big.clone()), &*big),
    ] {
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::GET, Method::DELETE] {
            arrives_as(case, &format!("{method} with {kind}"), &Ask::new(method, body.clone()), arrives);
        }
    }
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::GET, Method::DELETE] {
        arrives_as(case, &format!("{method} without a body"), &Ask::new(method, ""), "");
    }
}

fn arrives_as(case: &mut Case<'_>, what: &str, ask: &Ask, body: &str) {
    let server = Server::answering(answer(200, "", ""));
    let result = case.send(what, ask, &server);
    case.answered(what, result, 200, b"");
    let arrivals = case.arrived(what, server, 1);
    let Some(arrival) = arrivals.first() else { return };
    let lengths: Vec<_> = arrival.header("content-length").collect();
    // Both are sound where there is no body, and servers take both.
    let sound = match &lengths[..] {
        [length] => *length == body.len().to_string(),
        [] => body.is_empty(),
        _ => false,
    };
    if !sound {
        case.problem(format!("{what}: Content-Length {lengths:?} for {} bytes", body.len()));
    }
    if arrival.header("transfer-encoding").next().is_some() {
        case.problem(format!("{what}: sent with a Transfer-Encoding"));
    } else if arrival.body != body.as_bytes() {
        case.problem(format!("{what}: {:?} arrived instead of {:?}", short(&arrival.body), short(body.as_bytes())));
    }
}

pub(super) fn sources(case: &mut Case<'_>) {
    let broken = || Text { said: 9, text: None }.into_segment();
    for (what, segments) in [
        ("a source that cannot be opened", vec![broken()]),
        ("a source that cannot be opened, after others", vec!["in ".into(), Text::honest("streamed"), broken()]),
    ] {
        let server = Server::answering(answer(200, "", ""));
        let result = case.send(what, &Ask::post(Body::from_segments(segments)), &server);
        let expected = Expected { kinds: &[Kind::Source], delivery: Delivery::NotSent, status: None };
        case.failed(what, result, expected);
        // A connection may be made by then.
        if !server.finish().is_empty() {
            case.problem(format!("{what}: something was sent"));
        }
    }
    for (what, said) in [("a source shorter than it said", 9), ("a source longer than it said", 3)] {
        let server = Server::answering(answer(200, "", ""));
        let source = Text { said, text: Some("short") }.into_segment();
        let ask = Ask::post(Body::from_segments(["before ".into(), source])).timeout(super::failures::TIMEOUT);
        let result = case.send(what, &ask, &server);
        // What was sent before the wrong length was noticed was sent once.
        match (result, server.finish().len()) {
            (Ok(_), _) => case.problem(format!("{what}: a success instead of an error")),
            (Err(_), 2..) => case.problem(format!("{what}: sent more than once")),
            (Err(error), 1) if error.delivery() == Delivery::NotSent => {
                case.problem(format!("{what}: {} but something of it arrived", super::tell(&error)));
            }
            (Err(_), _) => {}
        }
    }
}

pub(super) fn retries(case: &mut Case<'_>) {
    for ask in [Ask::get(), Ask::post("{}"), Ask::post("{}").once()] {
        let of = |what: &str| format!("{} {what}", ask.method);

        let what = of("and a reset");
        let server = Server::start(Peer::leave_unread);
        let _ = case.send(&what, &ask, &server);
        case.arrived(&what, server, 1);

        for (situation, bytes) in [
            ("and no answer", Vec::new()),
            ("and the end in the middle of the body", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234".to_vec()),
            ("answered by 408", answer(408, "Connection: close\r\n", "")),
            ("answered by 425", answer(425, "", "")),
            ("answered by 429 with Retry-After: 0", answer(429, "Retry-After: 0\r\n", "")),
            ("answered by 502", answer(502, "", "")),
            ("answered by 503 with Retry-After: 0", answer(503, "Retry-After: 0\r\n", "")),
        ] {
            let what = of(situation);
            let server = Server::closing(bytes);
            let _ = case.send(&what, &ask, &server);
            case.arrived(&what, server, 1);
        }
    }
}

pub(super) fn fresh_connection(case: &mut Case<'_>) {
    let what = "exchanges that want a fresh connection";
    let server = Server::answering(answer(200, "", "ok"));
    for ask in [Ask::get(), Ask::post("{}").once(), Ask::post("{}").once(), Ask::get().repeated()] {
        let result = case.send(what, &ask, &server);
        case.answered(what, result, 200, b"ok");
    }
    let mut connections: Vec<_> = server.finish().iter().map(|arrival| arrival.connection).collect();
    connections.dedup();
    if connections.len() != 4 {
        case.problem(format!("{what}: one went over a connection that was used before"));
    }
}
