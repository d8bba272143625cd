//! The file of a recording: whole after each entry.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::world::lock;

const END: &str = "\n]}}\n";

/// Writes entries to a HAR file.
pub(super) struct Recorder {
    file: Mutex<Recording>,
}

struct Recording {
    file: File,
    /// Where the next entry goes: at the start of the end of the file.
    at: u64,
    is_empty: bool,
    /// Why there are no entries any more.
    failure: Option<io::Error>,
}

impl Recorder {
    /// Creates the file, without entries. A file of this name is replaced.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("recording {}: {error}", path.display()));
        let mut file = create(path).map_err(named)?;
        let creator = json!({ "name": "pipewright-sim", "version": env!("CARGO_PKG_VERSION") });
        let start = format!(r#"{{"log":{{"version":"1.2","creator":{creator},"entries":["#);
        file.write_all(format!("{start}{END}").as_bytes()).map_err(named)?;
        let recording = Recording { file, at: start.len() as u64, is_empty: true, failure: None };
        Ok(Self { file: Mutex::new(recording) })
    }

    /// Adds an entry: entry and end of the file are written over the end that was there. The file is not whole while
    /// that lasts. After a failure nothing more is recorded.
    pub(super) fn add(&self, entry: &Value) {
        let mut recording = lock(&self.file);
        if recording.failure.is_some() {
            return;
        }
        let separator = if recording.is_empty { "\n" } else { ",\n" };
        let entry = format!("{separator}{entry}");
        match recording.write(&format!("{entry}{END}")) {
            Ok(()) => {
                recording.at += entry.len() as u64;
                recording.is_empty = false;
            }
            Err(error) => {
                recording.failure = Some(error);
                // A full disk has room for what was there before.
                let at = recording.at;
                let _ = recording.file.set_len(at).and_then(|()| recording.write(END));
            }
        }
    }

    /// Why the recording is not complete.
    pub(super) fn failure(&self) -> Option<String> {
        lock(&self.file).failure.as_ref().map(io::Error::to_string)
    }
}

/// Creates a file that other users cannot read: rows are confidential, too.
fn create(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    // A file that is replaced keeps its mode otherwise. What is no file, such as /dev/stdout, stays as it is.
    #[cfg(unix)]
    if file.metadata()?.is_file() {
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    }
    Ok(file)
}

impl Recording {
    fn write(&mut self, text: &str) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.at))?;
        self.file.write_all(text.as_bytes())
    }
}
