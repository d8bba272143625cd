//! The example as a process.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs};

use super::example::example;

/// In the environment of every run, and in the output of none.
pub(crate) const SECRET: &str = "s3cr3t-t0ken";

/// A folder that is removed at the end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("pipewright-ingest-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).expect("written");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The program with a token, and without a channel.
pub(crate) fn bare(url: &str) -> Command {
    let mut command = example("snowpipe_ingest");
    command.args(["--url", url, "--token-env", "SNOW_TOKEN", "--database", "DB", "--schema", "PUBLIC"]);
    command.env("SNOW_TOKEN", SECRET).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The program with all that it needs.
pub(crate) fn ingest(url: &str) -> Command {
    let mut command = bare(url);
    command.args(["--table", "ORDERS", "--channel", "c"]);
    command
}

/// The program with a key instead of a token.
pub(crate) fn ingest_with_key(url: &str, key: &Path) -> Command {
    let mut command = example("snowpipe_ingest");
    command.args(["--url", url, "--account", "myorg-acct", "--user", "loader", "--private-key"]).arg(key);
    command.args(["--database", "DB", "--schema", "PUBLIC", "--table", "ORDERS", "--channel", "c"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a run has said, and its exit code.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A run under way; killed when it is dropped.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Waits for its end. What it says is short, and fits into the pipes.
    pub(crate) fn wait(mut self) -> Said {
        let status = self.0.wait().expect("it was started");
        let (mut out, mut err) = (String::new(), String::new());
        self.0.stdout.take().map(|mut pipe| pipe.read_to_string(&mut out).expect("text"));
        self.0.stderr.take().map(|mut pipe| pipe.read_to_string(&mut err).expect("text"));
        let said = Said { code: status.code(), out, err };
        assert!(!said.out.contains("s3cr3t") && !said.err.contains("s3cr3t"), "{said:?}");
        said
    }
}

/// Starts it, with an input that is open.
pub(crate) fn start(command: &mut Command) -> Running {
    Running(command.stdin(Stdio::piped()).spawn().expect("it starts"))
}

pub(crate) fn run(command: &mut Command) -> Said {
    Running(command.spawn().expect("it starts")).wait()
}

pub(crate) fn run_with_input(command: &mut Command, input: &str) -> Said {
    let mut running = start(command);
    let mut pipe = running.0.stdin.take().expect("piped");
    // It may have ended before it has read everything.
    let _ = pipe.write_all(input.as_bytes());
    drop(pipe);
    running.wait()
}

/// Waits for another process.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(60), "a minute is over before {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
