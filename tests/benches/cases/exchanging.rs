//! One exchange over a kept connection on loopback, with an answer of 300 bytes.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use pipewright::driver::Transport as _;
use pipewright::flink::cluster::GetOverview;
use pipewright::flink::{Flink, FlinkRest};
use pipewright::flow::{Call, Config, Exchange, Flow as _, Step};
use pipewright::{Seed, Timestamp};
use pipewright_ureq::Ureq;
use ureq::Agent;
use ureq::config::AutoHeaderValue;

/// An overview, made up to 300 bytes by an address that is not read.
fn body() -> String {
    let head = r#"{"taskmanagers":4,"slots-total":16,"slots-available":3,"jobs-running":5,"jobs-finished":7,"jobs-cancelled":1,"jobs-failed":0,"flink-version":"2.3.0","flink-commit":"c0f8d1a","note":""#;
    let tail = r#""}"#;
    format!("{head}{}{tail}", "x".repeat(300 - head.len() - tail.len()))
}

/// Answers every request with the overview, for as long as it is asked; a thread for each connection.
pub(crate) fn serve(listener: &TcpListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        thread::spawn(move || answer(stream));
    }
}

fn answer(stream: TcpStream) -> io::Result<()> {
    let body = body();
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=UTF-8\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        match stream.read_line(&mut line)? {
            0 => return Ok(()),
            2 => stream.get_mut().write_all(answer.as_bytes())?,
            _ => {}
        }
    }
}

/// A client for each way, each with a connection of its own.
pub(crate) struct Exchanging {
    url: String,
    raw: TcpStream,
    question: String,
    bare: Agent,
    ureq: Ureq,
    exchange: Exchange,
    flink: Flink<Ureq>,
}

impl Exchanging {
    pub(crate) fn new(server: SocketAddr) -> Self {
        let raw = TcpStream::connect(server).expect("a server");
        raw.set_nodelay(true).expect("an option");
        let base = format!("http://{server}");
        let config = Config::<FlinkRest>::new(base.parse().expect("an address"));
        let mut exchanging = Self {
            url: format!("{base}/v1/overview"),
            raw,
            question: format!("GET /v1/overview HTTP/1.1\r\nhost: {server}\r\n\r\n"),
            bare: bare(None),
            ureq: Ureq::new(),
            exchange: exchange(&config),
            flink: Flink::with_config(config, Ureq::new()),
        };
        let body = body();
        assert_eq!(exchanging.raw().expect("an answer"), 300);
        assert_eq!(exchanging.bare(), body.as_bytes());
        assert_eq!(exchanging.ours().body(), body.as_bytes());
        assert_eq!(exchanging.call(), 5);
        exchanging
    }

    /// With a socket and as little as possible. Gives the length of the body.
    pub(crate) fn raw(&mut self) -> io::Result<usize> {
        self.raw.write_all(self.question.as_bytes())?;
        let (mut buffer, mut filled) = ([0; 4096], 0);
        loop {
            let read = self.raw.read(&mut buffer[filled..])?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            filled += read;
            let Some(head) = memchr::memmem::find(&buffer[..filled], b"\r\n\r\n") else { continue };
            if filled == head + 4 + 300 {
                return Ok(300);
            }
        }
    }

    /// With ureq alone: its own timeouts, but the same headers and no redirects.
    pub(crate) fn bare(&self) -> Vec<u8> {
        let answer = self.bare.get(&self.url).call().expect("an answer");
        answer.into_body().read_to_vec().expect("a body")
    }

    /// With our transport alone.
    pub(crate) fn ours(&self) -> Response<Bytes> {
        self.ureq.send(&self.exchange).expect("an answer")
    }

    /// With all there is: call, request, transport, answer. Gives the number of running jobs.
    pub(crate) fn call(&self) -> u32 {
        self.flink.call(GetOverview::new()).expect("an answer").jobs_running.expect("a number")
    }
}

/// ureq, with a timeout for each phase, or one for the whole.
pub(crate) fn bare(whole: Option<Duration>) -> Agent {
    let each = Some(Duration::from_secs(30)).filter(|_| whole.is_none());
    Agent::config_builder()
        .proxy(None)
        .http_status_as_error(false)
        .max_redirects(0)
        .user_agent(AutoHeaderValue::None)
        .accept(AutoHeaderValue::None)
        .accept_encoding(AutoHeaderValue::None)
        .timeout_global(whole)
        .timeout_connect(each)
        .timeout_send_request(each)
        .timeout_recv_response(each)
        .timeout_recv_body(each)
        .build()
        .into()
}

/// What a call asks a transport to do.
fn exchange(config: &Config<FlinkRest>) -> Exchange {
    let mut call = Call::new(GetOverview::new(), config, Seed::new(1));
    loop {
        match call.poll(Timestamp::UNIX_EPOCH, None) {
            Step::Send(exchange) => return exchange,
            Step::Notice(_) => {}
            other => unreachable!("{other:?}"),
        }
    }
}
