//! A simulated cluster, files for the tool, and its runs.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{env, fs};

use pipewright::flink::{AwaitJob, Flink, RunJar};
use pipewright_mock::flink::{Config, JobView, Program};
use pipewright_mock::serve::{Options, Server};
use pipewright_ureq::Ureq;
use serde_json::Value;

use crate::example::example;
use crate::relay::{Relay, When};

/// In the arguments of every run, and in the output of none.
pub(crate) const SECRET: &str = "s3cr3t-p4ss";

const TERMINAL: [&str; 3] = ["FINISHED", "FAILED", "CANCELED"];

/// A quick cluster, and a folder with two jars.
pub(crate) struct Stage {
    pub(crate) server: Server,
    pub(crate) files: PathBuf,
    /// The job that runs already.
    job: Option<String>,
    /// How many jobs the cluster had before the tool was run.
    begun_with: usize,
}

impl Stage {
    /// The old jar is a program without an end.
    pub(crate) fn new(next: &Program) -> Self {
        Self::of(&Program::endless("old"), next)
    }

    /// With another old jar.
    pub(crate) fn of(old: &Program, next: &Program) -> Self {
        Self::on(Config::default(), old, next)
    }

    /// On another cluster, which is made quick.
    pub(crate) fn on(config: Config, old: &Program, next: &Program) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);

        let millis = Duration::from_millis;
        let config = Config {
            savepoint_duration: millis(10),
            checkpoint_duration: millis(5),
            deploy_duration: millis(10),
            cancel_duration: millis(5),
            ..config
        };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let files = env::temp_dir().join(format!("pipewright-upgrade-{}-{number}", std::process::id()));
        fs::create_dir_all(&files).expect("a folder");
        fs::write(files.join("old.jar"), old.jar()).expect("written");
        fs::write(files.join("new.jar"), next.jar()).expect("written");
        let server = Server::start(Options::flink(config)).expect("a port");
        Self { server, files, job: None, begun_with: 0 }
    }

    /// Runs the old jar before the tool is run.
    pub(crate) fn with_job(mut self) -> Self {
        let flink = self.client();
        let jar = RunJar::upload("old.jar", fs::read(self.file("old.jar")).expect("written"));
        let job = flink.run(jar).expect("it runs").job;
        let report = flink.run(AwaitJob::running(job)).expect("it runs");
        assert!(!report.state.is_terminal());
        self.job = Some(job.to_string());
        self.begun_with = 1;
        self
    }

    pub(crate) fn client(&self) -> Flink<Ureq> {
        Flink::new(self.server.url().parse().expect("an address"), Ureq::new())
    }

    pub(crate) fn job(&self) -> &str {
        self.job.as_deref().expect("there is one")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.files.join(name)
    }

    /// The tool, without options.
    pub(crate) fn bare(&self) -> Command {
        let mut command = example("flink_upgrade");
        command.current_dir(&self.files).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The tool with both jars, a state, and the job if there is one.
    pub(crate) fn tool(&self) -> Command {
        self.tool_at(self.server.url())
    }

    pub(crate) fn tool_at(&self, url: &str) -> Command {
        let mut command = self.bare();
        command.args([
            "--url",
            url,
            "--jar",
            "old.jar",
            "--next-jar",
            "new.jar",
            "--state",
            "state.json",
            "--settle",
            "20",
        ]);
        command.args(["--arg", SECRET]);
        if let Some(job) = &self.job {
            command.args(["--job", job]);
        }
        command
    }

    pub(crate) fn run(command: &mut Command) -> Said {
        Said::of(command.output().expect("it starts"))
    }

    /// Runs it behind a relay that kills it, and says how many requests it has sent.
    pub(crate) fn run_behind_relay(
        &self,
        hook: impl Fn(u32, &str, When) -> bool + Send + Sync + 'static,
    ) -> (Said, u32) {
        let relay = Relay::start(self.server.url(), hook);
        // The relay has another address each time, and the cluster is the same.
        self.use_address(&relay.url);
        let (output, requests) = relay.run(&mut self.tool_at(&relay.url));
        (Said::of(output), requests)
    }

    /// Changes the address that the state names.
    pub(crate) fn use_address(&self, url: &str) {
        let file = self.file("state.json");
        let Ok(text) = fs::read(&file) else { return };
        let mut state: Value = serde_json::from_slice(&text).expect("whole, however the process was killed");
        state["url"] = url.into();
        fs::write(file, state.to_string()).expect("written");
    }

    pub(crate) fn has_state(&self) -> bool {
        self.file("state.json").exists()
    }

    /// The jobs that have not ended.
    pub(crate) fn alive(&self) -> Vec<JobView> {
        let jobs = self.server.with(|cluster| cluster.jobs());
        jobs.into_iter().filter(|job| !TERMINAL.contains(&&*job.state)).collect()
    }

    /// One job runs, of this program, from a savepoint that exists; nothing else is left behind.
    pub(crate) fn check_end(&self, program: &str, context: &str) {
        let alive = self.alive();
        let [job] = &*alive else { panic!("{context}: {alive:?}") };
        assert_eq!((&*job.name, &*job.state), (program, "RUNNING"), "{context}");
        let savepoints: BTreeSet<String> =
            self.server.with(|cluster| cluster.savepoints()).into_iter().map(|savepoint| savepoint.path).collect();
        let first = savepoints.iter().any(|path| job.restored_from.as_ref() == Some(path));
        assert!(first, "{context}: {:?} of {savepoints:?}", job.restored_from);
        let mut left: BTreeSet<String> = fs::read_dir(&self.files)
            .expect("readable")
            .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
            .collect();
        // A process that was killed at its very end leaves a lock that nothing holds.
        left.remove("state.json.lock");
        assert_eq!(left, BTreeSet::from(["new.jar".to_owned(), "old.jar".to_owned()]), "{context}");
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.files);
    }
}

/// What a run has said, and its exit code.
#[derive(Debug)]
pub(crate) struct Said {
    /// `None` if it was killed.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("text");
        let said = Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
        assert!(!said.out.contains(SECRET) && !said.err.contains(SECRET), "{said:?}");
        said
    }

    /// The result for programs, if it was written.
    pub(crate) fn result(&self) -> Option<Value> {
        self.out.lines().next().map(|line| serde_json::from_str(line).expect("JSON"))
    }

    pub(crate) fn ended(&self, code: i32, text: &str) -> Value {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.err.contains(text), "{text}: {self:?}");
        let result = self.result().expect("a result");
        assert_eq!(result["exit_code"], code, "{self:?}");
        result
    }
}
