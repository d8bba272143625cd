//! [`FileSource`]: a file as part of a request body.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pipewright::{Body, Segment, Source};

/// A file as a part of a request body. It is read while it is sent, and opened again for every attempt.
///
/// [`open`](FileSource::open) reads its length once. If the file has another length when it is sent, the exchange ends
/// with an error of the kind [`Source`](pipewright::error::TransportErrorKind::Source).
///
/// ```no_run
/// use pipewright::flink::jars::UploadJar;
/// use pipewright_ureq::FileSource;
///
/// let upload = UploadJar::new("job.jar", FileSource::open("target/job.jar")?);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct FileSource {
    path: PathBuf,
    len: u64,
}

impl FileSource {
    /// Opens the file at a path, and reads its length.
    ///
    /// # Errors
    /// If the file cannot be opened, or is not a regular file: then its length is unknown.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        // Opened, because a program that may read a file's length may not be allowed to read the file.
        let metadata = File::open(&path)?.metadata()?;
        if !metadata.is_file() {
            let problem = format!("{} is no regular file", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        Ok(Self { path, len: metadata.len() })
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Source for FileSource {
    fn len(&self) -> u64 {
        self.len
    }

    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(&self.path)?))
    }
}

impl From<FileSource> for Segment {
    fn from(file: FileSource) -> Self {
        Self::Source(Arc::new(file))
    }
}

impl From<FileSource> for Body {
    fn from(file: FileSource) -> Self {
        Self::from_segments([file.into()])
    }
}

/// As it is named in errors.
impl fmt::Debug for FileSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file {:?}", self.path)
    }
}

/// Returns a request body that is one file.
///
/// # Errors
/// The errors of [`FileSource::open`].
pub fn file_body(path: impl Into<PathBuf>) -> io::Result<Body> {
    FileSource::open(path).map(Body::from)
}
