//! The processes of a cluster that `tests/flink/start` has started, and how to kill them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use pipewright::flink::Flink;
use pipewright::flink::cluster::GetOverview;
use pipewright::flow::{Config, Retry};
use pipewright_ureq::Ureq;

/// The time between two polls.
const POLL: Duration = Duration::from_millis(100);

/// One JobManager.
#[derive(Clone, Debug)]
pub(crate) struct JobManager {
    /// As in `NAME.pid` and `NAME.launch`.
    pub(crate) name: &'static str,
    pub(crate) url: String,
}

impl JobManager {
    /// Returns a client that sends each request once.
    pub(crate) fn ask(&self) -> Flink<Ureq> {
        let mut retry = Retry::never();
        retry.attempt_timeout = Duration::from_secs(5);
        Flink::with_config(Config::new(self.base()).with_retry(retry), Ureq::new())
    }

    pub(crate) fn base(&self) -> pipewright::Base {
        self.url.parse().unwrap_or_else(|error| panic!("{}: {error}", self.url))
    }
}

/// The run folder and the JobManagers of a cluster: one, or two with high availability.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) run: PathBuf,
    pub(crate) job_managers: Vec<JobManager>,
    task_managers: u32,
}

impl Cluster {
    /// Describes the cluster with this run folder, and its JobManagers at these URLs in the order of their names.
    pub(crate) fn new(run: PathBuf, urls: &[String]) -> Self {
        let names = ["jobmanager", "jobmanager2"];
        let job_managers = names.into_iter().zip(urls).map(|(name, url)| JobManager { name, url: url.clone() });
        let exists = |number: &u32| run.join(format!("taskmanager{number}.launch")).exists();
        let task_managers = (1..=100).take_while(exists).last().unwrap_or_default();
        Self { job_managers: job_managers.collect(), task_managers, run }
    }

    pub(crate) fn is_ha(&self) -> bool {
        self.job_managers.len() > 1
    }

    fn pid(&self, name: &str) -> Option<String> {
        let pid = fs::read_to_string(self.run.join(format!("{name}.pid"))).ok()?.trim().to_owned();
        // A dead process whose parent has not waited for it has no command line.
        let command = fs::read(Path::new("/proc").join(&pid).join("cmdline")).ok()?;
        String::from_utf8_lossy(&command).contains("org.apache.flink").then_some(pid)
    }

    /// Sends SIGKILL. Returns whether the process lived.
    pub(crate) fn kill(&self, name: &str) -> bool {
        let Some(pid) = self.pid(name) else { return false };
        Command::new("kill").args(["-KILL", &pid]).status().is_ok_and(|status| status.success())
    }

    fn launch(&self, name: &str) {
        let status = Command::new("bash").arg(self.run.join(format!("{name}.launch"))).status();
        assert!(status.is_ok_and(|status| status.success()), "{name} can be started again");
    }

    /// Returns the living JobManager that was granted leadership last, and the other JobManager.
    pub(crate) fn leader(&self) -> Option<(&JobManager, Option<&JobManager>)> {
        let granted = |job_manager: &JobManager| {
            self.pid(job_manager.name)?;
            let log = self.run.join(format!("log/flink-{}.log", job_manager.name));
            let log = String::from_utf8_lossy(&fs::read(log).ok()?).into_owned();
            let of_rest = |line: &&str| line.contains("DispatcherRestEndpoint") && line.contains("granted leadership");
            // A line begins with the time.
            log.lines().rfind(of_rest).map(str::to_owned)
        };
        let leader =
            self.job_managers.iter().filter_map(|each| Some((granted(each)?, each))).max_by_key(|pair| pair.0.clone());
        let leader = leader?.1;
        Some((leader, self.job_managers.iter().find(|each| each.name != leader.name)))
    }

    /// Waits until each JobManager answers and knows all TaskManagers. Returns `false` if the time is up.
    pub(crate) fn wait_until_whole(&self, at_most: Duration) -> bool {
        let started = Instant::now();
        let is_whole = |job_manager: &JobManager| {
            let overview = job_manager.ask().call(GetOverview::new());
            overview.is_ok_and(|overview| overview.task_managers == Some(self.task_managers))
        };
        while !self.job_managers.iter().all(is_whole) {
            if started.elapsed() > at_most {
                return false;
            }
            sleep(POLL);
        }
        true
    }
}

/// A thread that starts dead processes again and counts their deaths.
#[derive(Debug)]
pub(crate) struct Supervisor {
    ends: Arc<AtomicBool>,
    deaths: Arc<AtomicU32>,
    thread: Option<JoinHandle<()>>,
}

impl Supervisor {
    /// Supervises these processes. Each is started again a second after its death.
    pub(crate) fn start(cluster: &Arc<Cluster>, names: Vec<&'static str>) -> Self {
        let (ends, deaths) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let thread = std::thread::spawn({
            let (cluster, ends, deaths) = (Arc::clone(cluster), Arc::clone(&ends), Arc::clone(&deaths));
            move || {
                while !ends.load(Ordering::Relaxed) {
                    for name in &names {
                        if cluster.pid(name).is_none() {
                            deaths.fetch_add(1, Ordering::Relaxed);
                            sleep(Duration::from_secs(1));
                            cluster.launch(name);
                        }
                    }
                    sleep(POLL);
                }
            }
        });
        Self { ends, deaths, thread: Some(thread) }
    }

    pub(crate) fn deaths(&self) -> u32 {
        self.deaths.load(Ordering::Relaxed)
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
