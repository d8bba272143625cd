//! The port: it takes connections, gives each a thread, and ends them all when the server stops.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::world::lock;

/// More than the most nested statement of SQL takes in a build without optimization. It is only reserved: a connection
/// takes the memory that it uses.
const STACK: usize = 16 * 1024 * 1024;

/// Opens a port of the loopback interface; 0 is any free port. An error names the port.
pub(super) fn bind(port: u16) -> io::Result<TcpListener> {
    listener(port).map_err(|error| io::Error::new(error.kind(), format!("port {port} of 127.0.0.1: {error}")))
}

fn listener(port: u16) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // As the standard library does: elsewhere it would let two listeners share a port.
    socket.set_reuse_address(cfg!(unix))?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

/// The open connections of a server, and whether it stops.
pub(super) struct Gate {
    limit: usize,
    open: Mutex<Open>,
    /// Signalled when a connection was closed and when the server stops.
    changed: Condvar,
}

#[derive(Default)]
struct Open {
    stopping: bool,
    /// No request is taken any more, but those that have come are finished.
    draining: bool,
    opened: u64,
    streams: BTreeMap<u64, Connected>,
}

struct Connected {
    stream: Arc<TcpStream>,
    /// Has a request.
    busy: bool,
}

/// A connection that ends when the server stops.
pub(super) struct Seat<'a> {
    gate: &'a Gate,
    number: u64,
}

impl Seat<'_> {
    /// Notes that a request has come.
    pub(super) fn begin(&self) {
        self.set_busy(true);
    }

    /// Notes that it is finished; false if no other request is taken.
    pub(super) fn finish(&self) -> bool {
        self.set_busy(false)
    }

    /// Whether the server waits for this connection to end.
    pub(super) fn is_draining(&self) -> bool {
        lock(&self.gate.open).draining
    }

    fn set_busy(&self, busy: bool) -> bool {
        let mut open = lock(&self.gate.open);
        if let Some(connected) = open.streams.get_mut(&self.number) {
            connected.busy = busy;
        }
        !open.draining
    }
}

/// Also when the thread panics, so that its client is not left waiting.
impl Drop for Seat<'_> {
    fn drop(&mut self) {
        lock(&self.gate.open).streams.remove(&self.number);
        self.gate.changed.notify_all();
    }
}

impl Gate {
    /// At most `limit` connections are open at once.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, open: Mutex::default(), changed: Condvar::new() }
    }

    /// Gives every connection a thread that serves it with `run`, until the server stops and all of them have ended.
    pub(super) fn listen(&self, listener: &TcpListener, run: impl Fn(&TcpStream, &Seat<'_>) + Sync) {
        let run = &run;
        thread::scope(|scope| {
            while self.has_room() {
                let Ok((stream, _)) = listener.accept() else {
                    // Out of file descriptors, most likely: try again when a connection was closed, or soon.
                    self.wait(Duration::from_millis(50));
                    continue;
                };
                let stream = Arc::new(stream);
                let Some(seat) = self.enter(&stream) else { break };
                let name = format!("connection {}", seat.number);
                let thread = thread::Builder::new().name(name).stack_size(STACK);
                // Without a thread the seat is dropped here and now, and the connection closed with it.
                let _ = thread.spawn_scoped(scope, move || run(&stream, &seat));
            }
        });
    }

    /// Waits until another connection is allowed; false when the server stops.
    fn has_room(&self) -> bool {
        let full = |open: &mut Open| !open.draining && open.streams.len() >= self.limit;
        let open = self.changed.wait_while(lock(&self.open), full);
        !open.unwrap_or_else(PoisonError::into_inner).draining
    }

    /// Registers a connection; `None` when the server stops.
    pub(super) fn enter(&self, stream: &Arc<TcpStream>) -> Option<Seat<'_>> {
        let mut open = lock(&self.open);
        if open.draining {
            return None;
        }
        open.opened += 1;
        let number = open.opened;
        open.streams.insert(number, Connected { stream: Arc::clone(stream), busy: false });
        Some(Seat { gate: self, number })
    }

    /// Waits, but not beyond the end of the server; false then.
    pub(super) fn wait(&self, time: Duration) -> bool {
        let running = |open: &mut Open| !open.stopping;
        let waited = self.changed.wait_timeout_while(lock(&self.open), time, running);
        !waited.unwrap_or_else(PoisonError::into_inner).0.stopping
    }

    /// Takes no more connections, and no more requests on those that there are.
    pub(super) fn drain(&self) {
        let mut open = lock(&self.open);
        open.draining = true;
        for connected in open.streams.values().filter(|connected| !connected.busy) {
            // What has come already is still read. One that is closed already needs no closing.
            let _ = connected.stream.shutdown(Shutdown::Read);
        }
        drop(open);
        self.changed.notify_all();
    }

    /// Waits until all connections have ended; false if they have not in this time.
    pub(super) fn wait_empty(&self, time: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(lock(&self.open), time, |open| !open.streams.is_empty());
        waited.unwrap_or_else(PoisonError::into_inner).0.streams.is_empty()
    }

    /// Ends all connections, and takes no more.
    pub(super) fn close(&self) {
        let mut open = lock(&self.open);
        (open.stopping, open.draining) = (true, true);
        for connected in open.streams.values() {
            // One that is closed already needs no closing.
            let _ = connected.stream.shutdown(Shutdown::Both);
        }
        drop(open);
        self.changed.notify_all();
    }
}
