//! [`Command`]: the command to run next.

use std::fmt::Write as _;
use std::path::Path;

use pipewright::flink::JobId;

use crate::options::Options;

/// The command that was given, changed. The values of `--arg` and `--next-arg` may be secrets, and this line ends in a
/// log: they are shown as `<…>`, which a shell does not run.
pub(crate) struct Command<'a> {
    options: &'a Options,
    job: Option<JobId>,
    from_savepoint: Option<String>,
    roll_back: bool,
    dry_run: bool,
    /// Whether a state holds the arguments, so that they need not be given again.
    has_state: bool,
}

impl<'a> Command<'a> {
    /// The same command. `has_state` if the file of `--state` remains.
    pub(crate) fn again(options: &'a Options, has_state: bool) -> Self {
        Self {
            options,
            job: options.job,
            from_savepoint: options.from_savepoint.clone(),
            roll_back: options.roll_back,
            dry_run: false,
            has_state: has_state && options.state.is_some(),
        }
    }

    pub(crate) fn job(mut self, job: JobId) -> Self {
        self.job = Some(job);
        self
    }

    pub(crate) fn with_savepoint(mut self, path: Option<&str>) -> Self {
        self.from_savepoint = path.map(str::to_owned);
        self
    }

    pub(crate) fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    pub(crate) fn roll_back(mut self, roll_back: bool) -> Self {
        self.roll_back = roll_back;
        self
    }
}

impl From<Command<'_>> for String {
    fn from(command: Command<'_>) -> Self {
        command.to_string()
    }
}

impl std::fmt::Display for Command<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Options { jar, next_jar, entry_class, next_entry_class, savepoint_dir, .. } = self.options;
        let mut line = quoted(&self.options.program);
        let mut option = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                let _ = write!(line, " --{name} {}", quoted(value));
            }
        };
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let number = |number: Option<u32>| number.map(|number| number.to_string());
        option("url", Some(&self.options.url.to_string()));
        option("jar", Some(&path(jar)));
        option("next-jar", next_jar.as_deref().map(path).as_deref());
        option("job", self.job.map(|job| job.to_string()).as_deref());
        option("savepoint-dir", savepoint_dir.as_deref());
        option("entry-class", entry_class.as_deref());
        option("next-entry-class", next_entry_class.as_deref());
        option("settle", number(self.options.settle).as_deref());
        option("stable-for", number(self.options.stable_for).as_deref());
        option("state", self.options.state.as_deref().map(path).as_deref());
        option("from-savepoint", self.from_savepoint.as_deref());
        for (name, is_given) in [
            ("--allow-non-restored-state", self.options.allow_non_restored_state),
            ("--roll-back", self.roll_back),
            ("--dry-run", self.dry_run),
        ] {
            if is_given {
                let _ = write!(line, " {name}");
            }
        }
        if !self.has_state {
            for (name, args) in [("arg", &self.options.args), ("next-arg", &self.options.next_args)] {
                for number in 1..=args.len() {
                    let _ = write!(line, " --{name} <{name}-{number}>");
                }
            }
        }
        f.write_str(&line)
    }
}

/// An argument, quoted for a POSIX shell.
pub(crate) fn quoted(text: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "_@%+=:,./-".contains(char);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}
