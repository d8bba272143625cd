//! A server on loopback. It behaves as a rule demands, and records requests.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::world::lock;

/// The longest time that a server waits for a client, so that no transport can make a check hang.
pub(super) const HOLD: Duration = Duration::from_secs(3);

pub(super) struct Server {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
    thread: JoinHandle<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    arrivals: Mutex<Vec<Arrival>>,
    /// The number of connections so far.
    connections: AtomicUsize,
    /// The open connections, by number.
    open: Mutex<BTreeMap<usize, TcpStream>>,
    /// A connection from this address ends the server.
    last: Mutex<Option<SocketAddr>>,
}

/// A request, or the part of it that arrived.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrival {
    /// Counted from 1.
    pub(super) connection: usize,
    pub(super) head: Vec<u8>,
    pub(super) body: Vec<u8>,
}

impl Server {
    /// Runs a function for every connection in its own thread, and closes the connection afterwards.
    pub(super) fn start(serve: impl Fn(&mut Peer) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared::default());
        let thread = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared, &Arc::new(serve))
        });
        Self { address, shared, thread }
    }

    /// Answers every request with this response, and keeps the connection open.
    pub(super) fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |peer| {
            loop {
                peer.request()?;
                peer.write(&answer)?;
            }
        })
    }

    /// Answers every request with this response, and closes the connection.
    pub(super) fn closing(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |peer| {
            peer.request()?;
            peer.write(&answer)
        })
    }

    /// Returns whether a byte of a request has arrived.
    pub(super) fn was_reached(&self) -> bool {
        !lock(&self.shared.arrivals).is_empty()
    }

    /// Waits until the server has read all bytes that were sent so far, and returns the requests.
    pub(super) fn finish(self) -> Vec<Arrival> {
        self.finish_counting().0
    }

    /// Returns the same, and the number of connections.
    pub(super) fn finish_counting(self) -> (Vec<Arrival>, usize) {
        {
            // Connections are accepted in the order in which they were made, so that this connection is the last.
            let mut last = lock(&self.shared.last);
            *last = TcpStream::connect(self.address).and_then(|stream| stream.local_addr()).ok();
        }
        for connection in self.thread.join().unwrap_or_default() {
            // The transport may keep its end open; what it sent can still be read.
            for stream in lock(&self.shared.open).values() {
                let _ = stream.shutdown(Shutdown::Both);
            }
            let _ = connection.join();
        }
        let connections = self.shared.connections.load(Ordering::SeqCst);
        (lock(&self.shared.arrivals).clone(), connections)
    }
}

fn accept<S: Fn(&mut Peer) -> io::Result<()> + Send + Sync + 'static>(
    listener: &TcpListener,
    shared: &Arc<Shared>,
    serve: &Arc<S>,
) -> Vec<JoinHandle<()>> {
    let mut threads = Vec::new();
    while let Ok((stream, from)) = listener.accept() {
        if *lock(&shared.last) == Some(from) {
            break;
        }
        let Ok(mut peer) = Peer::new(stream, shared) else { continue };
        let serve = Arc::clone(serve);
        // It fails when the client is gone, which may be what is wanted.
        threads.push(thread::spawn(move || drop(serve(&mut peer))));
    }
    threads
}

/// The server's side of a connection.
pub(super) struct Peer {
    stream: TcpStream,
    connection: usize,
    shared: Arc<Shared>,
}

impl Peer {
    fn new(stream: TcpStream, shared: &Arc<Shared>) -> io::Result<Self> {
        stream.set_read_timeout(Some(HOLD))?;
        stream.set_write_timeout(Some(HOLD))?;
        stream.set_nodelay(true)?;
        let connection = shared.connections.fetch_add(1, Ordering::SeqCst) + 1;
        lock(&shared.open).insert(connection, stream.try_clone()?);
        Ok(Self { stream, connection, shared: Arc::clone(shared) })
    }

    /// The address of the server.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// Reads a request. A part of a request counts as arrived, too.
    pub(super) fn request(&mut self) -> io::Result<Arrival> {
        let mut arrival = Arrival { connection: self.connection, ..Arrival::default() };
        let result = self.read_head(&mut arrival.head).and_then(|()| self.read_body(&mut arrival));
        if !arrival.head.is_empty() {
            lock(&self.shared.arrivals).push(arrival.clone());
        }
        result.map(|()| arrival)
    }

    /// Reads the head of a request, and leaves its body unread.
    pub(super) fn head(&mut self) -> io::Result<()> {
        let mut arrival = Arrival { connection: self.connection, ..Arrival::default() };
        let result = self.read_head(&mut arrival.head);
        lock(&self.shared.arrivals).push(arrival);
        result
    }

    fn read_head(&mut self, head: &mut Vec<u8>) -> io::Result<()> {
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            self.stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        Ok(())
    }

    fn read_body(&mut self, arrival: &mut Arrival) -> io::Result<()> {
        if arrival.header("expect").next().is_some() {
            self.write("HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        if arrival.header("transfer-encoding").next().is_some() {
            let mut byte = [0];
            while !arrival.body.ends_with(b"0\r\n\r\n") {
                self.stream.read_exact(&mut byte)?;
                arrival.body.push(byte[0]);
            }
            return Ok(());
        }
        let length = arrival.header("content-length").next().and_then(|length| length.parse().ok()).unwrap_or(0);
        let read = (&mut self.stream).take(length).read_to_end(&mut arrival.body)?;
        if read as u64 == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    pub(super) fn write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    pub(super) fn chunk(&mut self, text: &str) -> io::Result<()> {
        self.write(format!("{:x}\r\n{text}\r\n", text.len()))
    }

    /// Waits until the client closes the connection, but not for longer than the limit.
    pub(super) fn until_closed(&mut self) -> io::Result<()> {
        io::copy(&mut self.stream, &mut io::sink()).map(drop)
    }

    /// Waits until unread bytes have arrived. Closing the connection then resets it.
    pub(super) fn leave_unread(&mut self) -> io::Result<()> {
        if self.stream.peek(&mut [0])? > 0 {
            let mut arrivals = lock(&self.shared.arrivals);
            if arrivals.iter().all(|arrival| arrival.connection != self.connection) {
                arrivals.push(Arrival { connection: self.connection, ..Arrival::default() });
            }
        }
        Ok(())
    }
}

/// Closes the connection when the last handle is dropped.
impl Drop for Peer {
    fn drop(&mut self) {
        lock(&self.shared.open).remove(&self.connection);
    }
}

impl Arrival {
    /// The request line.
    pub(super) fn line(&self) -> String {
        self.lines().next().unwrap_or_default()
    }

    /// The name in lower case and the value of every header, in order.
    pub(super) fn headers(&self) -> Vec<(String, String)> {
        let pair = |line: String| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned()))
        };
        self.lines().skip(1).filter_map(pair).collect()
    }

    pub(super) fn header<'a>(&self, name: &'a str) -> impl Iterator<Item = String> + use<'a> {
        self.headers().into_iter().filter(move |(found, _)| found == name).map(|(_, value)| value)
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        let head = String::from_utf8_lossy(&self.head).into_owned();
        head.split("\r\n").filter(|line| !line.is_empty()).map(str::to_owned).collect::<Vec<_>>().into_iter()
    }
}

/// Returns a response with its `Content-Length`.
pub(super) fn answer(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut answer = format!("HTTP/1.1 {status} Said\r\n{headers}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend_from_slice(body);
    answer
}
