//! [`Jar`]: how to run a jar, as it was given or as a state holds it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use pipewright::Body;
use pipewright::flink::RunJar;
use pipewright_ureq::file_body;
use serde_json::{Value, json};

/// How to run a jar.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Jar {
    /// Where it is, on this machine; `None` if it was not given this time, or cannot be read.
    path: Option<PathBuf>,
    /// Tells jars apart.
    fingerprint: String,
    entry_class: Option<String>,
    args: Vec<String>,
}

impl Jar {
    /// Reads the jar.
    pub(crate) fn open(path: &Path, entry_class: Option<&String>, args: &[String]) -> Result<Self, String> {
        let fingerprint = fingerprint(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { path: Some(path.to_owned()), fingerprint, entry_class: entry_class.cloned(), args: args.to_vec() })
    }

    /// How to run the jar of an upgrade that was interrupted: as it was saved, with what is given now.
    ///
    /// `is_fixed` if a job of the jar may run. Then another jar is an error.
    pub(crate) fn resumed(
        saved: &Self,
        path: &Path,
        entry_class: Option<&String>,
        args: &[String],
        is_fixed: bool,
    ) -> Result<Self, String> {
        let name = path.display();
        let mut jar = match Self::open(path, entry_class, args) {
            Ok(jar) => jar,
            // The cluster may have it.
            Err(_) if is_fixed => Self { path: None, ..saved.clone() },
            Err(error) => return Err(error),
        };
        if entry_class.is_none() {
            jar.entry_class.clone_from(&saved.entry_class);
        }
        if args.is_empty() {
            jar.args.clone_from(&saved.args);
        }
        match is_fixed {
            true if jar.fingerprint != saved.fingerprint => {
                Err(format!("{name} is another jar than that of this upgrade"))
            }
            true if jar.entry_class != saved.entry_class => {
                Err(format!("{name} was to be run with another entry class"))
            }
            true if jar.args != saved.args => Err(format!("{name} was to be run with other arguments")),
            _ => Ok(jar),
        }
    }

    pub(crate) fn has_file(&self) -> bool {
        self.path.is_some()
    }

    /// The file's name and content, which is read when it is sent.
    pub(crate) fn content(&self) -> Result<Option<(String, Body)>, String> {
        let Some(path) = &self.path else { return Ok(None) };
        let name =
            path.file_name().and_then(|name| name.to_str()).ok_or_else(|| format!("{}: no name", path.display()))?;
        let content = file_body(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Some((name.to_owned(), content)))
    }

    /// The run of the jar, which is uploaded first.
    pub(crate) fn run(&self) -> Result<RunJar, String> {
        let run = match self.content()? {
            Some((name, content)) => RunJar::upload(name, content),
            None => RunJar::uploaded(""),
        };
        let run = run.program_args(&self.args);
        Ok(self.entry_class.iter().fold(run, RunJar::entry_class))
    }

    pub(crate) fn entry_class(&self) -> Option<&String> {
        self.entry_class.as_ref()
    }

    pub(crate) fn args(&self) -> &[String] {
        &self.args
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({ "fingerprint": self.fingerprint, "entry_class": self.entry_class, "args": self.args })
    }

    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        let args = value.get("args")?.as_array()?.iter().map(|arg| arg.as_str().map(str::to_owned));
        Some(Self {
            path: None,
            fingerprint: value.get("fingerprint")?.as_str()?.to_owned(),
            entry_class: value.get("entry_class").and_then(Value::as_str).map(str::to_owned),
            args: args.collect::<Option<_>>()?,
        })
    }
}

/// Length and FNV-1a hash of a file. It is for mistakes, and not for attacks.
fn fingerprint(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 16];
    let (mut length, mut hash) = (0_u64, 0xcbf2_9ce4_8422_2325_u64);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(format!("{length}-{hash:016x}"));
        }
        length += read as u64;
        for byte in buffer.iter().take(read) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}
