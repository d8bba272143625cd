//! What JobManager and TaskManagers have in common: logs, threads, configuration.
//!
//! Log files and standard output are **streaming** operations: their answer is read line by line, however long the file
//! is. The server sends the whole file, from its beginning to where it ends just then; it ignores `Range`, and knows no
//! other way to ask for a part. With a blocking runtime:
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
    /// The log files of a process, and those of others that write to the same folder.
    pub struct LogList {
        /// In no order that can be relied on.
        pub logs: Vec<LogFile>,
    }

    /// A log file.
    pub struct LogFile {
        /// Its name, to ask for it with.
        pub name: String,
        /// Its size; bytes.
        pub size: Option<i64>,
        /// When it was written to last. Since 1.14.
        pub modified: Option<Millis> = "mtime",
    }

    /// Where a log can be looked at with a browser.
    pub struct LogUrl {
        /// From `web.log-url` patterns of the configuration, or a page of the web interface.
        pub url: String,
    }

    /// What the threads of a process are doing.
    pub struct ThreadDump {
        /// The threads, in no order that can be relied on.
        pub threads: Vec<ThreadInfo> = "threadInfos",
    }

    /// What a thread is doing.
    pub struct ThreadInfo {
        pub name: Option<String> = "threadName",
        /// Its state and its stack, as Java prints them. Of at most `cluster.thread-dump.stacktrace-max-depth` (8)
        /// frames.
        pub text: Option<String> = "stringifiedThreadInfo",
    }

    /// An option of the configuration.
    pub struct ConfigEntry {
        pub key: String,
        /// Its value; of secrets, `******`.
        pub value: Option<String>,
    }

    /// What a JVM was started with.
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
