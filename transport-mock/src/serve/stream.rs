//! The connection of a client, with or without TLS.

use std::io::{self, Read, Write};
use std::net::TcpStream;

#[cfg(feature = "tls")]
use super::tls::Session;

/// See the module.
pub(super) enum Stream<'a> {
    Plain(&'a TcpStream),
    #[cfg(feature = "tls")]
    Tls(Session<'a>),
}

/// What a reader reads from.
pub(super) trait Source {
    /// Reads some bytes; 0 at the end.
    fn receive(&self, bytes: &mut [u8]) -> io::Result<usize>;
}

impl Source for TcpStream {
    fn receive(&self, bytes: &mut [u8]) -> io::Result<usize> {
        (&mut &*self).read(bytes)
    }
}

impl Source for Stream<'_> {
    fn receive(&self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.receive(bytes),
            #[cfg(feature = "tls")]
            Self::Tls(session) => session.receive(bytes),
        }
    }
}

impl Stream<'_> {
    /// Whether the other side has closed the connection. What else it says is read later.
    pub(super) fn is_gone(&self) -> bool {
        match self {
            Self::Plain(stream) => is_gone(stream),
            #[cfg(feature = "tls")]
            Self::Tls(session) => session.is_gone(),
        }
    }

    /// Announces that nothing else is written. Without it, a TLS client takes the end of the connection for a failure.
    pub(super) fn finish(&self) {
        match self {
            Self::Plain(_) => {}
            #[cfg(feature = "tls")]
            Self::Tls(session) => session.finish(),
        }
    }
}

impl Write for &Stream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => (&mut &**stream).write(bytes),
            #[cfg(feature = "tls")]
            Stream::Tls(session) => session.send(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether the other side has closed a connection. What else it says is read later.
pub(super) fn is_gone(stream: &TcpStream) -> bool {
    let peeked = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0]));
    let restored = stream.set_nonblocking(false);
    let gone = match peeked {
        Ok(length) => length == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    };
    gone || restored.is_err()
}
