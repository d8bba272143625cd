//! The served simulator, tested byte by byte.

mod limits;
mod shutdown;
#[cfg(feature = "sql")]
mod sql_gateway;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use pipewright_mock::flink::{Config, Program};
use pipewright_mock::serve::{Options, Served, Server, Time};
use pipewright_mock::{Fault, FaultPlan, RetryAfter, feldera};
use serde_json::{Value, json};

const OVERVIEW: &str = "GET /v1/overview HTTP/1.1\r\nHost: x\r\n\r\n";

fn start() -> Server {
    start_with(Options::flink(Config::default()))
}

fn start_with(options: Options) -> Server {
    Server::start(options).expect("a free port")
}

/// A connection that writes what it is told.
struct Client(BufReader<TcpStream>);

struct Answer {
    status: u16,
    head: Vec<String>,
    body: Vec<u8>,
    /// Whether the body is as long as the head says.
    whole: bool,
}

impl Client {
    fn new(server: &Server) -> Self {
        Self::connect(server.url())
    }

    fn connect(url: &str) -> Self {
        let address = url.strip_prefix("http://").expect("an address");
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        Self(BufReader::new(stream))
    }

    fn write(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).expect("written");
    }

    /// The next answer; `None` when the connection ended before it.
    fn read(&mut self) -> Option<Answer> {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            // Reset or closed: both are the end.
            if self.0.read_line(&mut line).unwrap_or(0) == 0 {
                assert!(head.is_empty(), "a head must be whole: {head:?}");
                return None;
            }
            match line.trim_end() {
                "" => break,
                line => head.push(line.to_owned()),
            }
        }
        let status = head[0].split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line");
        if status == 100 {
            return Some(Answer { status, head, body: Vec::new(), whole: true });
        }
        let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        let length: u64 = length.parse().expect("a number");
        let mut body = Vec::new();
        let read = (&mut self.0).take(length).read_to_end(&mut body);
        Some(Answer { status, head, whole: read.is_ok() && body.len() as u64 == length, body })
    }

    fn ask(&mut self, text: &str) -> Answer {
        self.write(text);
        self.read().expect("an answer")
    }

    fn post(&mut self, path: &str, kind: &str, body: &str) -> Answer {
        let length = body.len();
        self.ask(&format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
    }

    fn has_ended(&mut self) -> bool {
        self.read().is_none()
    }
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    fn error(&self) -> String {
        self.json()["errors"][0].as_str().expect("an error").to_owned()
    }
}

#[test]
fn a_connection_is_used_again_and_the_head_is_that_of_a_real_server() {
    let server = start();
    let mut client = Client::new(&server);
    for _ in 0..2 {
        let answer = client.ask(OVERVIEW);
        assert_eq!(answer.json()["slots-total"], 4);
        // As captured from Flink 2.3.0, in this order and spelling.
        let [line, kind, origin, connection, _length] = answer.head.as_slice() else { panic!("{:?}", answer.head) };
        assert_eq!(line, "HTTP/1.1 200 OK");
        assert_eq!(kind, "content-type: application/json; charset=UTF-8");
        assert_eq!(origin, "access-control-allow-origin: *");
        assert_eq!(connection, "connection: keep-alive");
    }
}

#[test]
fn requests_may_be_written_before_the_answers_are_read() {
    let server = start();
    let mut client = Client::new(&server);
    client.write(&format!("{OVERVIEW}GET /v1/jobs HTTP/1.1\r\n\r\n{OVERVIEW}"));
    assert_eq!(client.read().expect("an answer").json()["slots-total"], 4);
    assert_eq!(client.read().expect("an answer").json(), json!({ "jobs": [] }));
    assert_eq!(client.read().expect("an answer").json()["slots-total"], 4);
}

#[test]
fn the_client_decides_how_long_a_connection_lasts() {
    let server = start();
    for (request, lasts) in [
        ("GET /overview HTTP/1.1\r\nConnection: close\r\n\r\n", false),
        ("GET /overview HTTP/1.0\r\n\r\n", false),
        ("GET /overview HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true),
    ] {
        let mut client = Client::new(&server);
        let answer = client.ask(request);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.head.iter().any(|line| line == "connection: keep-alive"), lasts, "{request}");
        if lasts {
            assert_eq!(client.ask(OVERVIEW).status, 200);
        } else {
            assert!(client.has_ended());
        }
    }
}

#[test]
fn what_is_not_there_is_404_in_the_servers_own_words() {
    let server = start();
    let mut client = Client::new(&server);
    let answer = client.ask("GET /v1/nope HTTP/1.1\r\n\r\n");
    assert_eq!((answer.status, answer.error().as_str()), (404, "Unable to load requested file /v1/nope."));
    let answer = client.post("/v1/nope", "application/json", "{}");
    assert_eq!((answer.status, answer.error().as_str()), (404, "Not found: /v1/nope"));
    let answer = client.ask("HEAD /v1/overview HTTP/1.1\r\n\r\n");
    assert_eq!((answer.status, answer.body.len()), (404, 0));
    // Without a length there is no body, and the connection stays open.
    let answer = client.ask("POST /v1/jobs/00000000000000000000000000000bad/savepoints HTTP/1.1\r\n\r\n");
    assert_eq!(answer.status, 202, "{:?}", answer.json());
    assert_eq!(client.ask(OVERVIEW).status, 200);
}

#[test]
fn a_jar_is_uploaded_run_and_comes_to_its_end() {
    let server = start_with(Options::flink(Config::default()).time(Time::Fast(1000)));
    let mut client = Client::new(&server);
    let jar = Program::bounded("import", 500).jar();
    let jar = std::str::from_utf8(&jar).expect("text");
    let form = format!(
        "--b\r\nContent-Disposition: form-data; name=\"jarfile\"; filename=\"import.jar\"\r\n\r\n{jar}\r\n--b--\r\n"
    );
    let uploaded = client.post("/v1/jars/upload", "multipart/form-data; boundary=b", &form).json();
    let id = uploaded["filename"].as_str().and_then(|path| path.rsplit('/').next()).expect("a file name").to_owned();
    assert_eq!(server.with(|cluster| cluster.jars()), [id.as_str()]);

    // In chunks, and asking first.
    let head = format!(
        "POST /v1/jars/{id}/run HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\nContent-Type: application/json\r\n\r\n"
    );
    assert_eq!(client.ask(&head).status, 100);
    let run = client.ask("c;x=y\r\n{\"parallelis\r\n5\r\nm\":1}\r\n0\r\nTrailer: x\r\n\r\n");
    let job = run.json()["jobid"].as_str().expect("an id").to_owned();
    let patience = Instant::now() + Duration::from_secs(20);
    loop {
        let status = client.ask(&format!("GET /v1/jobs/{job}/status HTTP/1.1\r\n\r\n")).json();
        if status["status"] == "FINISHED" {
            break;
        }
        assert!(Instant::now() < patience, "{status}");
    }
    assert_eq!(server.with(|cluster| cluster.jobs())[0].records, 500);
}

#[test]
fn faults_are_those_of_a_wire() {
    let (sender, shown) = mpsc::channel::<Served>();
    let server = start_with(Options::flink(Config::default()).on_request(move |request| {
        // The test may be over.
        let _ = sender.send(request.clone());
    }));
    let trigger = "POST /v1/jobs/00000000000000000000000000000bad/savepoints HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}";
    let meet = |fault: Fault| {
        server.set_faults(FaultPlan::none().nth_of("triggerSavepoint", 1, fault));
        let mut client = Client::new(&server);
        client.write(trigger);
        let answer = client.read();
        (answer, client)
    };

    for fault in [Fault::NotSent, Fault::ReplyLost, Fault::Restart { downtime: Duration::ZERO, applied: true }] {
        let (answer, _) = meet(fault);
        assert!(answer.is_none(), "{fault}");
        let line = shown.recv().expect("a line");
        assert_eq!((line.status, line.fault), (None, Some(fault)));
        assert!(line.to_string().starts_with("POST /v1/jobs/0000"), "{line}");
    }
    let (answer, mut client) = meet(Fault::CutOff);
    let answer = answer.expect("a head");
    assert!(answer.status == 202 && !answer.whole && !answer.body.is_empty());
    assert!(client.has_ended());
    let (answer, mut client) = meet(Fault::ShortBody);
    let answer = answer.expect("an answer");
    assert!(answer.status == 202 && answer.whole && serde_json::from_slice::<Value>(&answer.body).is_err());
    assert_eq!(client.ask(OVERVIEW).status, 200);
    let (answer, mut client) = meet(Fault::MalformedBody);
    assert!(answer.expect("an answer").body.contains(&0));
    assert_eq!(client.ask(OVERVIEW).status, 200);
    let (answer, mut client) = meet(Fault::Unavailable(RetryAfter::Seconds(3)));
    let answer = answer.expect("an answer");
    assert_eq!(answer.status, 503);
    assert!(answer.head.iter().any(|line| line == "retry-after: 3") && answer.body.starts_with(b"<!DOCTYPE html>"));
    assert_eq!(client.ask(OVERVIEW).status, 200);
    let delay = Duration::from_millis(30);
    let begin = Instant::now();
    let (answer, _) = meet(Fault::DelayReply(delay));
    assert!(answer.expect("an answer").whole && begin.elapsed() >= delay);
}

#[test]
fn what_was_lost_on_the_way_back_was_carried_out() {
    let server = start();
    let upload = |fault: Fault| {
        server.set_faults(FaultPlan::none().nth_of("uploadJar", 1, fault));
        let form = "--b\r\nContent-Disposition: form-data; name=\"x\"; filename=\"x.jar\"\r\n\r\nx\r\n--b--\r\n";
        let length = form.len();
        let mut client = Client::new(&server);
        client.write(&format!(
            "POST /jars/upload HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: {length}\r\n\r\n{form}"
        ));
        assert!(client.has_ended(), "{fault}");
        server.with(|cluster| cluster.jars().len())
    };
    assert_eq!(upload(Fault::NotSent), 0);
    assert_eq!(upload(Fault::ReplyLost), 1);
    assert_eq!(upload(Fault::Restart { downtime: Duration::from_secs(60), applied: false }), 0);
    // Until it is back, the cluster has no leader.
    assert_eq!(Client::new(&server).ask(OVERVIEW).status, 503);
}

#[test]
fn connections_do_not_wait_for_each_other_and_end_with_the_server() {
    let server = start();
    let mut clients: Vec<Client> = (0..200).map(|_| Client::new(&server)).collect();
    for _ in 0..2 {
        for client in &mut clients {
            client.write(OVERVIEW);
        }
        assert!(clients.iter_mut().all(|client| client.read().expect("an answer").status == 200));
    }
    // One that waits for an hour is not in the way of the others, nor of the end.
    server.set_faults(FaultPlan::none().nth_of("getJobsOverview", 1, Fault::DelayReply(Duration::from_secs(3600))));
    clients[0].write("GET /v1/jobs/overview HTTP/1.1\r\n\r\n");
    clients[1].write("POST /v1/jars/x/run HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf");
    assert_eq!(clients[2].ask(OVERVIEW).status, 200);
    drop(server);
    assert!(clients.iter_mut().all(Client::has_ended));
}

#[test]
fn more_connections_than_allowed_wait_for_their_turn() {
    let (sender, shown) = mpsc::channel::<Served>();
    let options = Options::flink(Config::default()).connections(1).on_request(move |request| {
        // The test may be over.
        let _ = sender.send(request.clone());
    });
    let server = start_with(options);
    let mut first = Client::new(&server);
    assert_eq!(first.ask(OVERVIEW).status, 200);
    let mut second = Client::new(&server);
    second.write("GET /v1/jobs HTTP/1.1\r\n\r\n");
    for _ in 0..100 {
        assert_eq!(first.ask(OVERVIEW).status, 200);
    }
    drop(first);
    assert_eq!(second.read().expect("an answer").status, 200);
    let order: Vec<String> = shown.iter().take(102).map(|served| served.request).collect();
    assert_eq!(order.last().expect("some"), "GET /v1/jobs");
}

#[test]
fn bodies_that_go_on_come_in_chunks_and_end_when_they_should() {
    let options = Options::feldera(feldera::Config::default()).time(Time::Fast(20));
    let server = Server::start(options).expect("a free port");
    let mut client = Client::connect(server.url());
    let sql = r#"{"name":"p","program_code":"CREATE TABLE t (id BIGINT);"}"#;
    let post = |client: &mut Client, path: &str, body: &str| {
        let head = format!("POST /v0/pipelines{path} HTTP/1.1\r\nContent-Type: application/json\r\n");
        client.ask(&format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())).status
    };
    let deployed = |wanted: bool| {
        let patience = Instant::now() + Duration::from_secs(20);
        while server.with(|manager| manager.pipeline("p").is_none_or(|it| (it.status == "Running") != wanted)) {
            assert!(Instant::now() < patience, "in vain");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    assert_eq!(post(&mut client, "", sql), 201);
    assert_eq!(post(&mut client, "/p/start", ""), 202);
    deployed(true);

    let mut reader = Client::connect(server.url());
    reader.write("POST /v0/pipelines/p/egress/t?format=json HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        reader.0.read_line(&mut line).expect("a head");
        assert!(!line.starts_with("content-length"), "{line}");
    }
    let mut chunk = || {
        let mut size = String::new();
        reader.0.read_line(&mut size).expect("a size");
        let mut bytes = vec![0; usize::from_str_radix(size.trim(), 16).expect("a size") + 2];
        reader.0.read_exact(&mut bytes).expect("a chunk");
        String::from_utf8(bytes).expect("a text")
    };
    assert_eq!(post(&mut client, "/p/ingress/t?format=json&update_format=raw", "{\"id\":1}"), 200);
    let mut read = String::new();
    while !read.contains("insert") {
        read += &chunk();
    }
    assert!(read.contains("\"json_data\":[{\"insert\":{\"id\":1}}]}\r\n"), "{read}");
    while !chunk().ends_with("\"snapshot\":false}\r\n\r\n") {}
    assert_eq!(post(&mut client, "/p/stop?force=true", ""), 202);
    while chunk() != "\r\n" {}
    // And the connection is as good as before.
    assert_eq!(reader.ask("GET /v0/pipelines HTTP/1.1\r\n\r\n").status, 200);

    // A query stands in its request line.
    let long = format!("GET /v0/pipelines/p/query?sql={} HTTP/1.1\r\n\r\n", "x".repeat(20_000));
    assert_eq!(reader.ask(&long).status, 503);
}

#[test]
fn a_remark_of_the_simulator_ends_the_line_of_its_request() {
    let (sender, lines) = mpsc::channel();
    let options = Options::flink(Config::default()).on_request(move |served| drop(sender.send(served.to_string())));
    let server = start_with(options);
    // What the official Java client sends, shortened.
    let graph = "\u{0}\u{21}org.apache.flink.api.common.JobID123456789\u{0}\u{0}xq12341234567812345678t\u{0}\u{5}words";
    let graph = [b"\xac\xed\x00\x05".as_slice(), graph.as_bytes()].concat();
    let part = |head: &str| format!("--b\r\ncontent-disposition: form-data; {head}\r\n\r\n");
    let body = [
        part("name=\"request\"").into_bytes(),
        b"{\"executionPlanFileName\":\"plan.bin\"}\r\n".to_vec(),
        part("name=\"file_0\"; filename=\"plan.bin\"").into_bytes(),
        graph,
        b"\r\n--b--\r\n".to_vec(),
    ]
    .concat();
    let mut client = Client::new(&server);
    client.write(&format!(
        "POST /v1/jobs HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n\r\n",
        body.len()
    ));
    client.0.get_mut().write_all(&body).expect("written");
    assert_eq!(client.read().expect("an answer").status, 202);
    let line = lines.recv_timeout(Duration::from_secs(20)).expect("a line");
    let id = "31323334353637383132333435363738";
    let remark = format!("; the simulator cannot run a job graph: {id} is an endless job named \"words\"");
    assert!(line.starts_with("POST /v1/jobs 202 ") && line.ends_with(&remark), "{line}");
}
