//! The proxy in front of a small server, tested byte by byte.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use http::StatusCode;
use pipewright_mock::serve::{Proxy, ProxyOptions, Served};
use pipewright_mock::{Fault, FaultKind, FaultPlan, RetryAfter};
use socket2::{Domain, SockRef, Socket, Type};

const ANSWER: &str = "HTTP/1.1 201 Made\r\nX-Odd:  spaced \r\nContent-Length: 12\r\n\r\n{\"a\": [1,2]}";

/// A server that keeps the bytes of every request, and gives each the same answer.
pub(crate) struct Upstream {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Upstream {
    pub(crate) fn new(answer: &'static str) -> Self {
        Self::with(move |stream, _| stream.write_all(answer.as_bytes()).is_ok())
    }

    /// A server that answers a request on a stream, and says whether the connection stays open.
    pub(crate) fn with(answer: impl Fn(&mut TcpStream, usize) -> bool + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let seen: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let (own, answer) = (Arc::clone(&seen), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, answer) = (Arc::clone(&own), Arc::clone(&answer));
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(stream);
                    while let Some(request) = read_request(&mut reader) {
                        let number = {
                            let mut seen = seen.lock().expect("no panic");
                            seen.push(request);
                            seen.len()
                        };
                        if !answer(reader.get_mut(), number) {
                            break;
                        }
                    }
                });
            }
        });
        Self { url, seen }
    }

    fn seen(&self) -> Vec<String> {
        let seen = self.seen.lock().expect("no panic");
        seen.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
    }

    fn proxy(&self, plan: FaultPlan) -> Proxy {
        Proxy::start(ProxyOptions::new(&self.url).expect("a base").faults(plan)).expect("a free port")
    }
}

/// The bytes of a request, to the end of its body.
fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        if reader.read_until(b'\n', &mut bytes).ok()? == 0 {
            return None;
        }
    }
    let head = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
    if head.contains("transfer-encoding: chunked") {
        while !bytes.ends_with(b"0\r\n\r\n") {
            reader.read_until(b'\n', &mut bytes).ok()?;
        }
    } else if let Some((_, rest)) = head.split_once("content-length: ") {
        let length: usize = rest.split("\r\n").next()?.parse().ok()?;
        let at = bytes.len();
        bytes.resize(at + length, 0);
        reader.read_exact(&mut bytes[at..]).ok()?;
    }
    Some(bytes)
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.url().strip_prefix("http://").expect("an address")).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    stream
}

/// Sends the last request, and reads all that comes back.
pub(crate) fn ask(proxy: &Proxy, request: &str) -> String {
    let mut stream = connect(proxy);
    stream.write_all(request.as_bytes()).expect("written");
    read_all(&mut stream)
}

/// What comes until the connection ends; a reset is an end, too.
fn read_all(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut piece) {
        bytes.extend_from_slice(&piece[..length]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

const RUN: &str = "POST /v1/jars/a/run?x=%41 HTTP/1.1\r\nhOsT: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";

#[test]
fn without_faults_no_byte_changes() {
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: u\r\n\r\n";
    let to_the_end = "HTTP/1.1 200 OK\r\n\r\nwithout a length";
    for (answer, stays) in [(ANSWER, true), (chunks, true), (to_the_end, false)] {
        let upstream = Upstream::with(move |stream, _| stream.write_all(answer.as_bytes()).is_ok() && stays);
        let proxy = upstream.proxy(FaultPlan::none());
        let chunked = "PUT /a HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
        let get = "GET /b HTTP/1.1\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc";
        for request in [RUN, chunked, get] {
            assert_eq!(ask(&proxy, request), answer);
        }
        assert_eq!(upstream.seen(), [RUN, chunked, get]);
        assert!(proxy.counts().is_empty());
    }
}

#[test]
fn a_connection_is_kept_and_head_has_no_body() {
    let upstream = Upstream::with(|stream, number| {
        let body = if number == 1 { "" } else { "hello" };
        stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{body}").as_bytes()).is_ok()
    });
    let proxy = upstream.proxy(FaultPlan::none());
    let mut stream = connect(&proxy);
    stream.write_all(b"HEAD / HTTP/1.1\r\n\r\n").expect("written");
    stream.write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").expect("written");
    let both = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n".repeat(2) + "hello";
    assert_eq!(read_all(&mut stream), both);
    assert_eq!(upstream.seen().len(), 2);
}

#[test]
fn each_fault_delivers_as_often_as_it_says() {
    let gateway = StatusCode::BAD_GATEWAY;
    let second = Duration::from_secs(1);
    for (fault, delivered, status) in [
        (Fault::NotSent, 0, None),
        (Fault::ReplyLost, 1, None),
        (Fault::DelayRequest(Duration::from_millis(20)), 1, Some(201)),
        (Fault::DelayReply(Duration::from_millis(20)), 1, Some(201)),
        (Fault::TooManyRequests(RetryAfter::Seconds(3)), 0, Some(429)),
        (Fault::Unavailable(RetryAfter::Absent), 0, Some(503)),
        (Fault::ProxyPage { status: gateway, applied: false }, 0, Some(502)),
        (Fault::ProxyPage { status: gateway, applied: true }, 1, Some(502)),
        (Fault::ProxyPage { status: StatusCode::NOT_FOUND, applied: false }, 0, Some(404)),
        (Fault::CutOff, 1, Some(201)),
        (Fault::ShortBody, 1, Some(201)),
        (Fault::MalformedBody, 1, Some(201)),
        (Fault::Restart { downtime: second, applied: true }, 1, None),
        (Fault::Restart { downtime: second, applied: false }, 0, None),
        (Fault::LeaderLost { downtime: second }, 1, None),
        (Fault::Unauthorized, 0, Some(401)),
        (Fault::DeliveredTwice, 2, Some(201)),
    ] {
        let upstream = Upstream::new(ANSWER);
        let proxy = upstream.proxy(FaultPlan::none().nth(1, fault));
        let answer = ask(&proxy, RUN);
        let seen = upstream.seen();
        assert_eq!(seen, vec![RUN; delivered], "{fault}");
        assert_eq!(fault.applied(), delivered > 0, "{fault}");
        let got = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        assert_eq!(got, status, "{fault}: {answer}");
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
        match fault {
            Fault::CutOff => {
                assert_eq!((body, answer.contains("content-length: 12")), ("{\"a\": ", true), "{answer}");
            }
            Fault::ShortBody => {
                assert_eq!((body, answer.contains("content-length: 6")), ("{\"a\": ", true), "{answer}");
            }
            Fault::MalformedBody => {
                assert_eq!(body, "{\"a\": \u{0}1,2]}", "{answer}");
            }
            Fault::DelayRequest(_) | Fault::DelayReply(_) | Fault::DeliveredTwice => assert_eq!(answer, ANSWER),
            Fault::TooManyRequests(_) => assert!(answer.contains("retry-after: 3\r\n"), "{answer}"),
            _ => {}
        }
        assert_eq!(proxy.counts().into_iter().collect::<Vec<_>>(), [(fault.kind(), 1)]);
        // An outage lasts, and a new plan ends it.
        let next = ask(&proxy, RUN);
        // What an outage rejects is no fault of its own.
        assert_eq!(proxy.counts().into_iter().collect::<Vec<_>>(), [(fault.kind(), 1)]);
        assert_eq!(
            next.is_empty(),
            matches!(fault, Fault::Restart { .. } | Fault::LeaderLost { .. }),
            "{fault}: {next}"
        );
        proxy.set_faults(FaultPlan::none());
        assert_eq!(ask(&proxy, RUN), ANSWER, "{fault}");
    }
}

#[test]
fn a_delayed_request_is_delivered_although_its_client_has_gone() {
    let (told, heard) = mpsc::channel();
    let upstream = Upstream::with(move |stream, _| {
        let _ = told.send(Instant::now());
        stream.write_all(ANSWER.as_bytes()).is_ok()
    });
    let delay = Duration::from_millis(150);
    let proxy = upstream.proxy(FaultPlan::none().nth(1, Fault::DelayRequest(delay)));
    let begin = Instant::now();
    connect(&proxy).write_all(RUN.as_bytes()).expect("written");
    let delivered = heard.recv_timeout(Duration::from_secs(20)).expect("delivered");
    assert!(delivered - begin >= delay);
    assert_eq!(upstream.seen(), [RUN]);
}

#[test]
fn a_fault_counts_while_its_request_is_delayed() {
    let upstream = Upstream::new(ANSWER);
    let proxy = upstream.proxy(FaultPlan::none().nth(1, Fault::DelayRequest(Duration::from_secs(600))));
    let mut stream = connect(&proxy);
    stream.write_all(RUN.as_bytes()).expect("written");
    let until = Instant::now() + Duration::from_secs(20);
    while proxy.counts().is_empty() && Instant::now() < until {
        std::thread::yield_now();
    }
    assert_eq!(proxy.counts().into_iter().collect::<Vec<_>>(), [(FaultKind::DelayRequest, 1)]);
    drop(proxy);
    assert_eq!(upstream.seen().len(), 0);
}

#[test]
fn long_uploads_pass_through_and_are_not_delivered_twice() {
    let upstream = Upstream::new(ANSWER);
    let (told, heard) = mpsc::channel();
    let plan = FaultPlan::none().nth(1, Fault::DeliveredTwice).nth(2, Fault::DeliveredTwice);
    let options = ProxyOptions::new(&upstream.url).expect("a base").faults(plan);
    let proxy = Proxy::start(options.on_request(move |served: &Served| {
        let _ = told.send(served.to_string());
    }))
    .expect("a free port");
    for (length, delivered) in [((16 << 20) + 1, 1), (1 << 20, 2)] {
        let mut stream = connect(&proxy);
        let start =
            format!("POST /v1/jars/upload HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(start.as_bytes()).expect("written");
        let mut go_on = [0; 25];
        stream.read_exact(&mut go_on).expect("an interim answer");
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(&vec![b'x'; length]).expect("written");
        let mut answer = vec![0; ANSWER.len()];
        stream.read_exact(&mut answer).expect("an answer");
        assert_eq!(answer, ANSWER.as_bytes());
        let mut seen = upstream.seen.lock().expect("no panic");
        assert_eq!(seen.iter().map(Vec::len).collect::<Vec<_>>(), vec![start.len() + length; delivered]);
        seen.clear();
        let line = heard.recv_timeout(Duration::from_secs(20)).expect("a line");
        assert_eq!(line.contains("[delivered twice]"), delivered == 2, "{line}");
    }
}

#[test]
fn an_answer_without_an_end_is_cut_but_not_spoilt() {
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let upstream = Upstream::with(move |stream, _| {
        let sent = stream.write_all(chunks.as_bytes()).is_ok();
        std::thread::sleep(Duration::from_millis(1500));
        sent && stream.write_all(b"0\r\n\r\n").is_ok()
    });
    let plan = FaultPlan::none().nth(1, Fault::CutOff).nth(2, Fault::ShortBody);
    let proxy = upstream.proxy(plan);
    let get = "GET /live HTTP/1.1\r\nConnection: close\r\n\r\n";
    assert_eq!(ask(&proxy, get), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe");
    assert_eq!(ask(&proxy, get), format!("{chunks}0\r\n\r\n"));
    assert_eq!(proxy.counts().into_iter().collect::<Vec<_>>(), [(FaultKind::CutOff, 1)]);
}

#[test]
fn a_request_is_not_delivered_again_before_its_answer_has_ended() {
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let upstream = Upstream::with(move |stream, _| {
        let sent = stream.write_all(chunks.as_bytes()).is_ok();
        std::thread::sleep(Duration::from_millis(1500));
        sent && stream.write_all(b"0\r\n\r\n").is_ok()
    });
    let proxy = upstream.proxy(FaultPlan::none().nth(1, Fault::DeliveredTwice));
    assert_eq!(ask(&proxy, RUN), format!("{chunks}0\r\n\r\n"));
    assert_eq!((upstream.seen().len(), proxy.counts().len()), (1, 0));
}

#[test]
fn half_an_answer_without_a_length_ends_with_a_reset() {
    let get = "GET / HTTP/1.1\r\nConnection: close\r\n\r\n";
    let read = |proxy: &Proxy| {
        let mut stream = connect(proxy);
        stream.write_all(get.as_bytes()).expect("written");
        let mut bytes = Vec::new();
        let result = stream.read_to_end(&mut bytes);
        (String::from_utf8_lossy(&bytes).into_owned(), result.map_err(|error| error.kind()).err())
    };
    // The first answer takes too long, the second is whole, the third is reset by the server.
    let upstream = Upstream::with(|stream, number| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n12345678");
        match number {
            1 => std::thread::sleep(Duration::from_millis(1500)),
            2 => {}
            _ => {
                std::thread::sleep(Duration::from_millis(100));
                SockRef::from(&*stream).set_linger(Some(Duration::ZERO)).expect("set");
            }
        }
        false
    });
    let proxy = upstream.proxy(FaultPlan::none().nth(1, Fault::CutOff).nth(2, Fault::CutOff));
    assert_eq!(read(&proxy), ("HTTP/1.1 200 OK\r\n\r\n1234".to_owned(), Some(ErrorKind::ConnectionReset)));
    let cut = ("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n1234".to_owned(), None);
    assert_eq!(read(&proxy), cut);
    assert_eq!(read(&proxy), ("HTTP/1.1 200 OK\r\n\r\n12345678".to_owned(), Some(ErrorKind::ConnectionReset)));
}

#[test]
fn a_server_that_answers_without_reading_is_heard() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (done, wait) = mpsc::channel::<()>();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut first = [0; 1000];
        let _ = stream.read(&mut first);
        let _ = stream.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
        // It neither reads nor closes until the test is over.
        let _ = wait.recv();
    });
    let proxy = Proxy::start(ProxyOptions::new(&url).expect("a base")).expect("a free port");
    let mut stream = connect(&proxy);
    let mut body = stream.try_clone().expect("a second handle");
    let client = std::thread::spawn(move || {
        let _ = body.write_all(format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", 64 << 20).as_bytes());
        let _ = body.write_all(&vec![b'x'; 64 << 20]);
    });
    let mut status = [0; 12];
    let result = stream.read_exact(&mut status);
    // Otherwise the client's write ends only with the kernel's next probe of a closed window.
    let _ = stream.shutdown(std::net::Shutdown::Both);
    drop((done, proxy));
    assert_eq!((result.is_ok(), &status), (true, b"HTTP/1.1 413"));
    server.join().expect("no panic");
    client.join().expect("no panic");
}

#[test]
fn a_host_that_does_not_accept_is_given_up() {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port");
    socket.listen(0).expect("listening");
    let address = socket.local_addr().ok().and_then(|address| address.as_socket()).expect("an address");
    // What does not fit into the queue gets no answer.
    let queued: Vec<_> =
        (0..4).map_while(|_| TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok()).collect();
    assert!(queued.len() < 4);
    let proxy = Proxy::start(ProxyOptions::new(&format!("http://{address}")).expect("a base")).expect("a free port");
    let answer = ask(&proxy, RUN);
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
}

#[test]
fn at_least_one_connection_is_served() {
    let upstream = Upstream::new(ANSWER);
    let proxy = Proxy::start(ProxyOptions::new(&upstream.url).expect("a base").connections(0)).expect("a free port");
    let mut stream = connect(&proxy);
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    stream.write_all(RUN.as_bytes()).expect("written");
    let answer = read_all(&mut stream);
    // Without a thread the proxy would wait for ever.
    if answer.is_empty() {
        std::mem::forget(proxy);
    }
    assert_eq!(answer, ANSWER);
}

#[test]
fn a_server_that_answers_early_or_not_at_all_is_heard() {
    // It refuses an upload after its first bytes, and closes.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut first = [0; 1000];
        let _ = stream.read(&mut first);
        let _ = stream.write_all(b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut rest = [0; 4096];
        while stream.read(&mut rest).is_ok_and(|length| length > 0) {}
    });
    let proxy = Proxy::start(ProxyOptions::new(&url).expect("a base")).expect("a free port");
    let body = "x".repeat(1 << 20);
    let answer = ask(&proxy, &format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    server.join().expect("no panic");
    // Its port is closed by now.
    assert!(ask(&proxy, RUN).starts_with("HTTP/1.1 502 "));
    // A connection that ends without an answer is passed on as such.
    let upstream = Upstream::with(|_, _| false);
    assert_eq!(ask(&upstream.proxy(FaultPlan::none()), RUN), "");
    // So is a server that has closed a kept connection: the next request gets a new connection.
    let upstream = Upstream::with(|stream, _| {
        let _ = stream.write_all(ANSWER.as_bytes());
        false
    });
    let proxy = upstream.proxy(FaultPlan::none());
    let mut stream = connect(&proxy);
    for _ in 0..2 {
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("written");
        let mut answer = vec![0; ANSWER.len()];
        stream.read_exact(&mut answer).expect("an answer");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(upstream.seen().len(), 2);
}

#[test]
fn the_same_seed_gives_the_same_faults_and_operations_are_recognised() {
    let upstream = Upstream::new(ANSWER);
    let answers = |seed| {
        let plan = FaultPlan::seeded(seed).chance(FaultKind::Unavailable, 0.5);
        let proxy = upstream.proxy(plan);
        (0..20).map(|_| ask(&proxy, RUN).starts_with("HTTP/1.1 503")).collect::<Vec<_>>()
    };
    assert_eq!(answers(7), answers(7));
    assert_ne!(answers(7), answers(8));
    let plan = FaultPlan::none().nth_of("submitJobFromJar", 2, Fault::Unauthorized);
    let options = ProxyOptions::new(&upstream.url).expect("a base").service("flink").faults(plan);
    let proxy = Proxy::start(options).expect("a free port");
    let statuses = [0; 3].map(|_| ask(&proxy, RUN).get(9..12).map(str::to_owned).unwrap_or_default());
    assert_eq!(statuses, ["201", "401", "201"]);
}

#[test]
fn an_upstream_is_a_scheme_a_host_and_a_port() {
    for url in ["https://a:1", "a:1", "http://", "http://a:1/b", "http://a:1/?b", "http://u@a:1", ""] {
        let error = ProxyOptions::new(url).expect_err(url).to_string();
        assert!(error.contains("http://HOST:PORT"), "{error}");
    }
    for url in ["http://a", "http://a:1", "http://a:1/", "http://[::1]:80"] {
        assert!(ProxyOptions::new(url).is_ok(), "{url}");
    }
}
