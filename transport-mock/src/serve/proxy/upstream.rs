//! The connection to the server that belongs to a connection of a client.

use std::io::{self, ErrorKind, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;

use super::Wire;
use crate::serve::connection::{SILENCE, prepare};
use crate::serve::gate::Seat;
use crate::serve::head::{Reader, Trouble};
use crate::serve::limits::WIDE;
use crate::serve::reply::Reply;
use crate::serve::stream::is_gone;

/// How long a connection to the server may take to be established.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How often the server is checked for an early answer while it does not read the request.
const CHECK: Duration = Duration::from_millis(250);

/// An open connection to the server.
pub(super) struct Upstream<'a> {
    reader: Reader<Arc<TcpStream>>,
    stream: Arc<TcpStream>,
    _seat: Seat<'a>,
}

impl<'a> Upstream<'a> {
    pub(super) fn connect(wire: &'a Wire) -> io::Result<Self> {
        let stream = Arc::new(connect(&wire.upstream)?);
        prepare(&stream)?;
        stream.set_write_timeout(Some(CHECK))?;
        let seat = wire.servers.enter(&stream).ok_or(io::ErrorKind::ConnectionAborted)?;
        Ok(Self { reader: Reader::new(Arc::clone(&stream), WIDE), stream, _seat: seat })
    }

    /// Whether the server has closed the connection meanwhile.
    pub(super) fn is_stale(&self) -> bool {
        is_gone(&self.stream)
    }

    /// Writes bytes of a request.
    ///
    /// # Errors
    /// If the connection has ended, if the server has answered instead of reading, or if it does neither for too long.
    pub(super) fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        let mut since = Instant::now();
        while !bytes.is_empty() {
            match (&mut &*self.stream).write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(length) => {
                    bytes = bytes.get(length..).unwrap_or_default();
                    since = Instant::now();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The server does not read. A millisecond is the shortest wait.
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if since.elapsed() > SILENCE || self.reader.wait(Duration::from_millis(1)) != Ok(false) {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads the head of the answer.
    pub(super) fn reply(&mut self, method: &Method) -> Result<Reply, Trouble> {
        self.reader.reply(method)
    }

    pub(super) fn reader(&mut self) -> &mut Reader<Arc<TcpStream>> {
        &mut self.reader
    }
}

/// Connects to the first address of a host that accepts.
fn connect(upstream: &str) -> io::Result<TcpStream> {
    let mut failure = ErrorKind::NotFound.into();
    for address in upstream.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}
