//! Logs, threads and configuration of JobManagers and TaskManagers.
//!
//! Log files and standard output are **streaming** operations: the response is read line by line, however long the file
//! is. The server sends the whole file, from its beginning to its current end. It ignores `Range`, and offers no other
//! way to request a part. With a blocking runtime:
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> { Ok(()) }
//! # fn with(flink: pipewright::flink::Flink<impl pipewright::driver::Runtime>)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! use pipewright::flink::jobmanager::GetJobManagerLog;
//!
//! let mut log = flink.open(GetJobManagerLog::new())?;
//! while let Some(line) = log.next_item()? {
//!     if line.windows(5).any(|word| word == b"ERROR") {
//!         println!("{}", String::from_utf8_lossy(line));
//!     }
//! }
//! # Ok(()) }
//! ```

use super::Millis;
use crate::schema::json_structs;

json_structs! {
    /// The log files of a process, and of other processes that write to the same folder.
    pub struct LogList {
        /// In arbitrary order.
        pub logs: Vec<LogFile>,
    }

    /// A log file.
    pub struct LogFile {
        /// Its name: request the file with it.
        pub name: String,
        /// Its size in bytes.
        pub size: Option<i64>,
        /// When it was last written. Since 1.14.
        pub modified: Option<Millis> = "mtime",
    }

    /// The address of a page with a log, for a browser.
    pub struct LogUrl {
        /// An address from the cluster's `web.log-url` patterns, or a page of the web interface.
        pub url: String,
    }

    /// The stacks of the threads of a process.
    pub struct ThreadDump {
        /// The threads, in arbitrary order.
        pub threads: Vec<ThreadInfo> = "threadInfos",
    }

    /// The stack of a thread.
    pub struct ThreadInfo {
        pub name: Option<String> = "threadName",
        /// Its state and its stack, as Java prints them. The stack has at most
        /// `cluster.thread-dump.stacktrace-max-depth` (8) frames.
        pub text: Option<String> = "stringifiedThreadInfo",
    }

    /// An option of the configuration.
    pub struct ConfigEntry {
        pub key: String,
        /// Its value; `******` for a secret.
        pub value: Option<String>,
    }

    /// The options and the class path of a JVM.
    pub struct Environment {
        pub jvm: Jvm,
        /// Its class path.
        pub classpath: Vec<String>,
    }

    /// A JVM.
    pub struct Jvm {
        /// Name, vendor and version.
        pub version: Option<String>,
        /// The machine's architecture, as in `amd64`.
        pub arch: Option<String>,
        /// The options on its command line.
        pub options: Vec<String>,
    }
}
