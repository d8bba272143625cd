//! [`Input`]: lines from a file or the standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use pipewright::decode::{DecodeError, Decoder as _, End, LineLimit, Lines};

/// How much is read at a time, and how many such pieces may lie ready.
const CHUNK: usize = 256 * 1024;
const READY: usize = 4;
/// How long to wait for more before other things have their turn.
const TICK: Duration = Duration::from_millis(100);

/// Lines from a file or the standard input. They are read on a thread of their own, because a read may block for as
/// long as it likes, and rows that came before must be sent meanwhile. Bounded, and so are lines: to 16 MiB.
pub(crate) struct Input {
    name: String,
    chunks: Receiver<io::Result<Vec<u8>>>,
    lines: Lines,
    ended: bool,
}

/// What there is to do.
pub(crate) enum Next<'a> {
    Line(&'a [u8]),
    /// No whole line yet: time for other things.
    Nothing,
    End,
}

impl Input {
    pub(crate) fn open(file: Option<&Path>) -> Result<Self, String> {
        let (sender, chunks) = sync_channel(READY);
        let (name, source): (_, Box<dyn Read + Send>) = if let Some(path) = file {
            let name = path.display().to_string();
            let file = File::open(path).map_err(|error| format!("{name}: {error}"))?;
            (name, Box::new(file))
        } else {
            ("the standard input".to_owned(), Box::new(io::stdin()))
        };
        thread::spawn(move || pass_on(source, &sender));
        Ok(Self { name, chunks, lines: Lines::new(LineLimit::default()), ended: false })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn next(&mut self) -> Result<Next<'_>, String> {
        let whole = self.lines.advance().map_err(|error| match error {
            DecodeError::TooLong { item, limit } => {
                format!("line {item} of {}: it has more than {limit} bytes, and an append may have 4194304", self.name)
            }
            error => format!("{}: {error}", self.name),
        })?;
        if whole {
            return Ok(Next::Line(self.lines.item()));
        }
        if self.ended {
            return Ok(Next::End);
        }
        match self.chunks.recv_timeout(TICK) {
            Ok(Ok(chunk)) => self.lines.feed(&chunk),
            Ok(Err(error)) => return Err(format!("{}: {error}", self.name)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                self.ended = true;
                self.lines.finish(End::Complete).map_err(|error| format!("{}: {error}", self.name))?;
            }
        }
        Ok(Next::Nothing)
    }
}

fn pass_on(mut source: impl Read, chunks: &SyncSender<io::Result<Vec<u8>>>) {
    let mut buffer = vec![0; CHUNK];
    loop {
        let chunk = match source.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => Ok(buffer.get(..length).unwrap_or_default().to_vec()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let is_last = chunk.is_err();
        // The receiver is gone when the load has ended.
        if chunks.send(chunk).is_err() || is_last {
            return;
        }
    }
}
