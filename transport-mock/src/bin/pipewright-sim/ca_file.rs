//! The file with the certificate that clients of a server with TLS have to trust.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::Result;

/// A file that exists as long as this value. It is public: the key stays in memory.
pub(super) struct CaFile(PathBuf);

impl CaFile {
    /// Writes a certificate to a new file in the directory for temporary files.
    pub(super) fn create(certificate: &str) -> Result<Self> {
        let (place, process) = (std::env::temp_dir(), std::process::id());
        // What another process left under the name is neither read nor overwritten.
        let mut names = (1..=100).map(|turn| place.join(format!("pipewright-sim-{process}-{turn}-ca.pem")));
        let opened = names.find_map(|path| match File::create_new(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => None,
            Err(error) => Some(Err(format!("{}: {error}", path.display()))),
            Ok(file) => Some(Ok((Self(path), file))),
        });
        let exhausted = || format!("{}: 100 files of this process already exist", place.display());
        let (guard, mut file) = opened.ok_or_else(exhausted)??;
        file.write_all(certificate.as_bytes()).map_err(|error| format!("{}: {error}", guard.0.display()))?;
        Ok(guard)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for CaFile {
    fn drop(&mut self) {
        // A user may have moved or removed it.
        let _ = std::fs::remove_file(&self.0);
    }
}
