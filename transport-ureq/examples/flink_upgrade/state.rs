//! [`State`]: what `--state` keeps.
//!
//! | step | the cluster | the file |
//! |---|---|---|
//! | `New` | nothing was submitted | how to run both jars |
//! | `Start` | the old jar may be running | the state of `RunJar` |
//! | `Ready` | the old job runs, and `UpgradeJob` has not saved anything yet | the id of the old job |
//! | `Upgrade` | the upgrade is under way | the state of `UpgradeJob` |
//!
//! The file is replaced as a whole, and is on the disk before the request that matters is sent. A second file,
//! `FILE.lock`, is locked meanwhile: the first one cannot be, because it is replaced. The system removes the lock when
//! the process ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use pipewright::flink::{JarId, JobId, RunJar, UpgradeJob};
use pipewright::flow::SavedState;
use serde_json::{Value, json};

use crate::jar::Jar;

/// How far an upgrade is.
#[derive(Clone)]
pub(crate) enum Step {
    New,
    Start(SavedState),
    Ready(JobId),
    Upgrade { job: JobId, saved: SavedState },
}

/// What a file holds.
#[derive(Clone)]
pub(crate) struct Record {
    pub(crate) step: Step,
    /// The old jar on the cluster, if the old job was started from here.
    pub(crate) started: Option<JarId>,
    /// The address of the cluster.
    pub(crate) url: String,
    /// The savepoint that the upgrade has stopped the old job with, if it has.
    pub(crate) savepoint: Option<String>,
    /// The savepoint of `--from-savepoint`.
    pub(crate) from_savepoint: Option<String>,
    pub(crate) allow_non_restored_state: bool,
    pub(crate) old: Jar,
    /// `None` if the upgrade was begun with `--roll-back`.
    pub(crate) new: Option<Jar>,
}

impl Record {
    /// The old job, if it is known.
    pub(crate) fn job(&self) -> Option<JobId> {
        match &self.step {
            Step::New | Step::Start(_) => None,
            Step::Ready(job) | Step::Upgrade { job, .. } => Some(*job),
        }
    }

    /// The id under which the old jar is being run, if it is: the job may exist.
    pub(crate) fn chosen_job(&self) -> Option<JobId> {
        let Step::Start(saved) = &self.step else { return None };
        RunJar::resume(saved).ok()?.chosen_job_id()
    }

    /// Whether it holds nothing that the command line does not say.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.step, Step::New | Step::Ready(_)) && self.started.is_none()
    }

    /// Whether a jar was to be planned, and no answer was seen: its main method may have killed a JobManager.
    pub(crate) fn has_open_plan(&self) -> bool {
        let Step::Upgrade { saved, .. } = &self.step else { return false };
        UpgradeJob::resume(saved).is_ok_and(|goal| goal.has_open_plan())
    }

    /// Whether both jars can be uploaded again.
    pub(crate) fn has_files(&self) -> bool {
        self.old.has_file() && self.new.as_ref().is_none_or(Jar::has_file)
    }

    fn to_json(&self) -> Value {
        let (step, saved) = match &self.step {
            Step::New => ("new", None),
            Step::Start(saved) => ("start", Some(saved)),
            Step::Ready(_) => ("ready", None),
            Step::Upgrade { saved, .. } => ("upgrade", Some(saved)),
        };
        json!({
            "tool": "flink_upgrade",
            "step": step,
            "url": self.url,
            "job": self.job().map(|job| job.to_string()),
            "started": self.started.as_ref().map(ToString::to_string),
            "savepoint": self.savepoint,
            "from_savepoint": self.from_savepoint,
            "allow_non_restored_state": self.allow_non_restored_state,
            "old": self.old.to_json(),
            "new": self.new.as_ref().map(Jar::to_json),
            "saved": saved,
        })
    }

    fn from_json(value: &Value) -> Option<Self> {
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        if text("tool") != Some("flink_upgrade") {
            return None;
        }
        let saved = || serde_json::from_value(value.get("saved")?.clone()).ok();
        let job = || text("job")?.parse().ok();
        let step = match text("step")? {
            "new" => Step::New,
            "start" => Step::Start(saved()?),
            "ready" => Step::Ready(job()?),
            "upgrade" => Step::Upgrade { job: job()?, saved: saved()? },
            _ => return None,
        };
        let new = match value.get("new")? {
            Value::Null => None,
            jar => Some(Jar::from_json(jar)?),
        };
        Some(Self {
            step,
            started: text("started").map(JarId::from),
            url: text("url")?.to_owned(),
            savepoint: text("savepoint").map(str::to_owned),
            from_savepoint: text("from_savepoint").map(str::to_owned),
            allow_non_restored_state: value.get("allow_non_restored_state")?.as_bool()?,
            old: Jar::from_json(value.get("old")?)?,
            new,
        })
    }
}

/// The file of `--state`, locked.
pub(crate) struct State {
    file: PathBuf,
    lock: File,
}

impl State {
    /// Locks the file and reads it; `None` if it does not exist.
    pub(crate) fn open(file: &Path) -> Result<(Self, Option<Record>), String> {
        let named = |error: &io::Error| format!("--state {}: {error}", file.display());
        let lock = lock(file)?;
        let state = Self { file: file.to_owned(), lock };
        let text = match fs::read(file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok((state, None)),
            Err(error) => return Err(named(&error)),
        };
        let record = serde_json::from_slice(&text).ok().as_ref().and_then(Record::from_json).ok_or_else(|| {
            format!(
                "--state {}: not a state of this tool; give the file of an earlier run, or a name that does not exist",
                file.display()
            )
        })?;
        Ok((state, Some(record)))
    }

    /// Replaces the file. When this returns, the new content survives a crash of the machine.
    pub(crate) fn save(&self, record: &Record) -> Result<(), String> {
        let new = beside(&self.file, ".new");
        let write = || {
            let mut file = private().truncate(true).open(&new)?;
            file.write_all(record.to_json().to_string().as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &self.file)?;
            self.sync_folder()
        };
        write().map_err(|error| {
            let _ = fs::remove_file(&new);
            format!("--state {}: {error}", self.file.display())
        })
    }

    /// Removes the file.
    pub(crate) fn remove(&self) -> Result<(), String> {
        let removed = match fs::remove_file(&self.file) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => self.sync_folder(),
        };
        let _ = fs::remove_file(beside(&self.file, ".new"));
        removed.map_err(|error| format!("--state {}: {error}", self.file.display()))
    }

    /// A name is on the disk once its folder is. Elsewhere than on Unix, folders cannot be opened.
    fn sync_folder(&self) -> io::Result<()> {
        if !cfg!(unix) {
            return Ok(());
        }
        let folder = self.file.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

/// Leaves no lock file behind. A process that opened it before finds out that it was removed, see [`lock`].
impl Drop for State {
    fn drop(&mut self) {
        if cfg!(unix) {
            let _ = fs::remove_file(beside(&self.file, ".lock"));
        }
        let _ = self.lock.unlock();
    }
}

/// Locks the file beside the state. The file that was locked must still have its name: its last owner removes it.
fn lock(file: &Path) -> Result<File, String> {
    let name = beside(file, ".lock");
    let named = |error: &io::Error| {
        format!("locking --state {}: {error}; its folder must exist and be writable", name.display())
    };
    loop {
        let lock = private().open(&name).map_err(|error| named(&error))?;
        match lock.try_lock() {
            Ok(()) if is_named(&lock, &name) => return Ok(lock),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(format!(
                    "--state {}: another process uses this file; wait until it has ended",
                    file.display()
                ));
            }
            Err(TryLockError::Error(error)) => return Err(named(&error)),
        }
    }
}

#[cfg(unix)]
fn is_named(lock: &File, name: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    let id = |data: &fs::Metadata| (data.dev(), data.ino());
    matches!((&lock.metadata(), &fs::metadata(name)), (Ok(ours), Ok(named)) if id(ours) == id(named))
}

/// Elsewhere the file is never removed.
#[cfg(not(unix))]
fn is_named(_lock: &File, _name: &Path) -> bool {
    true
}

/// A file that only its owner can read: arguments may be secrets.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
