//! Rows of about 200 bytes through a `Writer` until all are committed, and by hand.

#![allow(dead_code, reason = "one bench uses the sockets, the other what needs none")]

use std::cell::Cell;
use std::hint::black_box;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use pipewright::driver::{Clock, Entropy, Opened, Runtime, Transport};
use pipewright::error::TransportError;
use pipewright::flow::{Exchange, Goal as _, Notice};
use pipewright::snowpipe::account::TokenType;
use pipewright::snowpipe::rows::{BatchOptions, Compression};
use pipewright::snowpipe::{Account, ChannelPath, OpenSession, OpenWriter, PushError, Writer, WriterEvent};
use pipewright::{Secret, Timestamp};
use pipewright_tests::recorded::Recorded;
use pipewright_ureq::Ureq;
use ureq::Agent;
use zstd::bulk::Compressor;

use super::batching::Row;
use super::exchanging;

/// How many bytes a batch has before compression.
const BATCH: usize = 1024 * 1024;
const LEVEL: i32 = 1;
/// How many rows a program has at a time.
pub(crate) const LIST: usize = 500;

/// What the service answers: account and ingest host in one, with one channel whose rows are committed at once.
fn answer(host: &str, committed: &mut Option<String>, target: &str) -> String {
    if target.contains("/hostname") {
        return host.to_owned();
    }
    if target.contains("/oauth/token") {
        return "a-token".to_owned();
    }
    if let Some((_, tokens)) = target.split_once("endOffsetToken=") {
        let token = tokens.split('&').next().unwrap_or_default();
        *committed = Some(token.to_owned());
        return format!(r#"{{"next_continuation_token":"after-{token}"}}"#);
    }
    let token = committed.as_ref().map_or("null".to_owned(), |token| format!("\"{token}\""));
    let status = format!(r#"{{"channel_status_code":"SUCCESS","last_committed_offset_token":{token}}}"#);
    if target.contains(":bulk-channel-status") {
        format!(r#"{{"channel_statuses":{{"c":{status}}}}}"#)
    } else {
        format!(r#"{{"next_continuation_token":"first","channel_status":{status}}}"#)
    }
}

/// The same over a socket; a thread and a channel for each connection.
pub(crate) fn serve(listener: &TcpListener) -> io::Result<()> {
    let host = listener.local_addr()?.to_string();
    loop {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let host = host.clone();
        thread::spawn(move || answer_all(stream, &host));
    }
}

fn answer_all(stream: TcpStream, host: &str) -> io::Result<()> {
    let mut stream = BufReader::with_capacity(128 * 1024, stream);
    let mut committed = None;
    loop {
        let (mut target, mut length, mut line) = (String::new(), 0, String::new());
        while {
            line.clear();
            if stream.read_line(&mut line)? == 0 {
                return Ok(());
            }
            line != "\r\n"
        } {
            if target.is_empty() {
                line.split(' ').nth(1).unwrap_or_default().clone_into(&mut target);
            } else if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
        io::copy(&mut stream.by_ref().take(length), &mut io::sink())?;
        // Each writer starts again.
        if target.contains("/hostname") {
            committed = None;
        }
        let body = answer(host, &mut committed, &target);
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.get_mut().write_all((head + &body).as_bytes())?;
    }
}

/// Our transport, and a clock that does not wait.
pub(crate) struct Ahead {
    ureq: Ureq,
    ahead: Cell<Duration>,
}

impl Transport for Ahead {
    fn send(&self, exchange: &Exchange) -> Result<Response<Bytes>, TransportError> {
        self.ureq.send(exchange)
    }

    fn open(&self, exchange: &Exchange) -> Result<Opened, TransportError> {
        self.ureq.open(exchange)
    }
}

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        self.ureq.now() + self.ahead.get()
    }

    fn sleep_until(&self, at: Timestamp) {
        self.ahead.set(self.ahead.get() + at.since(self.now()));
    }
}

impl Entropy for Ahead {
    fn bits(&self) -> u128 {
        self.ureq.bits()
    }
}

/// The rows, and an account for a writer.
pub(crate) struct Writing<T> {
    rows: Vec<Row>,
    tokens: Vec<String>,
    account: Account<T>,
}

impl Writing<Ahead> {
    /// To a server.
    pub(crate) fn over_loopback(rows: u64, server: SocketAddr) -> Self {
        Self::new(rows, &format!("http://{server}"), Ahead { ureq: Ureq::new(), ahead: Cell::default() })
    }
}

/// Without sockets.
pub(crate) fn in_memory(rows: u64) -> Writing<impl Runtime> {
    let mut committed = None;
    let fake = Recorded::new(move |operation, target| {
        if operation == "getHostname" {
            committed = None;
        }
        Some((200, answer("ingest.example", &mut committed, target)))
    });
    Writing::new(rows, "https://account.example", fake)
}

impl<T: Runtime> Writing<T> {
    fn new(rows: u64, base: &str, runtime: T) -> Self {
        let base = base.parse().expect("an address");
        let case = Self {
            rows: (0..rows).map(Row::new).collect(),
            tokens: (0..rows).map(|row| row.to_string()).collect(),
            account: Account::new(base, runtime).with_credentials(Secret::new("an-access-token")),
        };
        assert_eq!(case.ours(LIST), rows);
        case
    }

    /// With a new writer that gets its rows in lists of so many, from opening its channel to the commit of the last
    /// row. Gives the number of rows that are committed.
    pub(crate) fn ours(&self, list: usize) -> u64 {
        let goal = OpenSession::new(TokenType::ProgrammaticAccessToken).allow_plaintext_loopback();
        let session = goal.connect_lazy(self.account.config());
        let path = ChannelPath::new("DB", "PUBLIC", "ORDERS-STREAMING", "c");
        let batches = BatchOptions::new().bytes(BATCH).compression(Compression::Zstd(LEVEL));
        let mut writer =
            OpenWriter::new(&session, path).batches(batches).start(self.account.config(), self.account.seed());
        let mut committed = 0;
        let mut note = |event: &WriterEvent| {
            if let WriterEvent::Committed { rows, .. } = event {
                committed += rows;
            }
        };
        let quiet = |notice: Notice| drop(black_box(notice));
        let next = |writer: &mut Writer| self.account.drive(writer, quiet).expect("no fault");
        assert!(matches!(next(&mut writer), WriterEvent::Opened { committed: None }));
        for (rows, tokens) in self.rows.chunks(list).zip(self.tokens.chunks(list)) {
            for (row, token) in rows.iter().zip(tokens) {
                while let Err(rejection) = writer.push(row, Some(token)) {
                    assert!(matches!(rejection, PushError::Full { .. }), "{rejection}");
                    note(&next(&mut writer));
                }
            }
            if let Some(event) = self.account.drive_ready(&mut writer, quiet).expect("no fault") {
                note(&event);
            }
        }
        writer.close().expect("each row has a token");
        loop {
            match next(&mut writer) {
                WriterEvent::Closed => return committed,
                event => note(&event),
            }
        }
    }
}

/// The same rows, written by hand.
pub(crate) struct ByHand<S> {
    rows: Vec<Row>,
    buffer: Vec<u8>,
    compressed: Vec<u8>,
    compressor: Compressor<'static>,
    send: S,
}

/// Without sending anything.
pub(crate) fn kept(rows: u64, level: i32) -> ByHand<impl FnMut(&[u8])> {
    ByHand::new(rows, level, |bytes: &[u8]| {
        black_box(bytes);
    })
}

/// To a server, with ureq alone.
pub(crate) fn sent(rows: u64, server: SocketAddr) -> ByHand<impl FnMut(&[u8])> {
    let agent: Agent = exchanging::bare(None);
    let url = format!(
        "http://{server}/v2/streaming/data/databases/DB/schemas/PUBLIC/pipes/ORDERS-STREAMING/channels/c/rows?endOffsetToken=1"
    );
    ByHand::new(rows, LEVEL, move |bytes: &[u8]| {
        let request =
            agent.post(&url).header("content-type", "application/x-ndjson").header("content-encoding", "zstd");
        let answer = request.header("authorization", "Bearer a-token").send(bytes).expect("an answer");
        black_box(answer.into_body().read_to_vec().expect("a body"));
    })
}

impl<S: FnMut(&[u8])> ByHand<S> {
    fn new(rows: u64, level: i32, send: S) -> Self {
        let compressor = Compressor::new(level).expect("a level");
        let rows = (0..rows).map(Row::new).collect();
        Self { rows, buffer: Vec::new(), compressed: Vec::new(), compressor, send }
    }

    /// Serialised by `serde_json::to_writer` and compressed, each into one buffer. Gives the number of rows.
    pub(crate) fn run(&mut self) -> u64 {
        let Self { rows, buffer, compressed, compressor, send } = self;
        let mut flush = |buffer: &mut Vec<u8>| {
            compressed.clear();
            compressed.reserve(zstd::zstd_safe::compress_bound(buffer.len()));
            compressor.compress_to_buffer(&buffer[..], compressed).expect("room");
            send(compressed);
            buffer.clear();
        };
        for row in &*rows {
            serde_json::to_writer(&mut *buffer, row).expect("a row");
            buffer.push(b'\n');
            if buffer.len() >= BATCH {
                flush(buffer);
            }
        }
        if !buffer.is_empty() {
            flush(buffer);
        }
        rows.len() as u64
    }
}
