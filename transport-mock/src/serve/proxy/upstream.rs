//! The connection to the server that belongs to a connection of a client.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use http::Method;

use super::Wire;
use crate::serve::connection::{is_gone, prepare};
use crate::serve::gate::Seat;
use crate::serve::head::{Reader, Trouble};
use crate::serve::reply::Reply;
use crate::serve::scan::Scanner;

/// An open connection to the server.
pub(super) struct Upstream<'a> {
    reader: Reader<Arc<TcpStream>>,
    stream: Arc<TcpStream>,
    _seat: Seat<'a>,
}

impl<'a> Upstream<'a> {
    pub(super) fn connect(wire: &'a Wire) -> io::Result<Self> {
        let stream = Arc::new(TcpStream::connect(&*wire.upstream)?);
        prepare(&stream)?;
        let seat = wire.servers.enter(&stream).ok_or(io::ErrorKind::ConnectionAborted)?;
        Ok(Self { reader: Reader::new(Arc::clone(&stream), usize::MAX), stream, _seat: seat })
    }

    /// Whether the server has closed the connection meanwhile.
    pub(super) fn is_stale(&self) -> bool {
        is_gone(&self.stream)
    }

    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        (&mut &*self.stream).write_all(bytes)
    }

    /// Reads the head of the answer.
    pub(super) fn reply(&mut self, method: &Method) -> Result<Reply, Trouble> {
        self.reader.reply(method)
    }

    pub(super) fn reader(&mut self) -> &mut Reader<Arc<TcpStream>> {
        &mut self.reader
    }

    /// Reads the rest of an answer and forgets it.
    pub(super) fn drain(&mut self, scanner: &mut Scanner) -> Result<(), Trouble> {
        while self.reader.piece(scanner)?.is_some() {}
        Ok(())
    }
}
