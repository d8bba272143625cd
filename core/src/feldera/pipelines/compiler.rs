//! Texts of compiler errors; and whether the program or the platform is at fault.

use std::fmt;

use super::{ProgramError, ProgramStatus, RustCompilation, RustMessage, SqlMessage};

/// What Cargo says about `udf_toml`, without a place in a file.
const DEPENDENCY_MISTAKES: [&str; 3] =
    ["failed to parse manifest", "failed to select a version", "no matching package"];

/// How many diagnostics of rustc an error's text shows.
const MAX_DIAGNOSTICS: usize = 20;
/// The texts for missing parts of a compiler's message.
const UNKNOWN_KIND: &str = "error of an unknown kind";
const NO_TEXT: &str = "the server gives no text";
/// How many characters of each message the text shows.
const MAX_MESSAGE_CHARS: usize = 500;

impl ProgramError {
    /// Returns the errors of the SQL, and messages that are not known to be warnings.
    pub fn sql_errors(&self) -> impl Iterator<Item = &SqlMessage> {
        self.sql_messages().filter(|message| message.warning != Some(true))
    }

    /// Returns whether the platform failed to compile the program: the status is `SystemError`, or it is `RustError`
    /// [without a diagnostic](RustCompilation::has_diagnostic). For example, the compiler's disk was full, or its
    /// process ran out of memory.
    pub fn is_platform_failure(&self, status: &ProgramStatus) -> bool {
        match status {
            ProgramStatus::SystemError => true,
            ProgramStatus::RustError => {
                self.rust_compilation.as_ref().is_some_and(|rust| rust.has_output() && !rust.has_diagnostic())
            }
            _ => false,
        }
    }

    fn sql_messages(&self) -> impl Iterator<Item = &SqlMessage> {
        self.sql_compilation.iter().flat_map(|compilation| &compilation.messages)
    }
}

impl RustCompilation {
    /// Returns the errors of rustc, and messages that are not known to be warnings. Empty before 0.375.
    pub fn errors(&self) -> impl Iterator<Item = &RustMessage> {
        self.messages.iter().filter(|message| message.warning != Some(true))
    }

    /// Returns whether the output shows an error in the program: an error in a file, an `error` of rustc that is
    /// followed by a position (` --> `), or Cargo's message about a dependency that does not exist. After a full disk,
    /// a failed download or a killed compiler, the output has none of these.
    pub fn has_diagnostic(&self) -> bool {
        let mut in_error = false;
        self.errors().any(|error| error.file.is_some())
            || self.stderr().lines().any(|line| {
                if is_error(line) {
                    in_error = true;
                    return DEPENDENCY_MISTAKES.iter().any(|mistake| line.contains(mistake));
                }
                in_error &= !line.starts_with("warning");
                in_error && line.trim_start().starts_with("--> ")
            })
    }

    /// Returns whether the compiler's output is known, even if it is empty.
    fn has_output(&self) -> bool {
        self.stderr.is_some() || !self.messages.is_empty()
    }

    fn stderr(&self) -> &str {
        self.stderr.as_deref().unwrap_or_default()
    }

    /// Returns the errors, one in each line. If the output was not parsed, returns it from its first error on.
    fn said(&self) -> String {
        if self.errors().next().is_none() {
            return self.output_from_first_error().to_owned();
        }
        let mut lines: Vec<_> = self.errors().take(MAX_DIAGNOSTICS).map(ToString::to_string).collect();
        let left = self.errors().skip(MAX_DIAGNOSTICS).count();
        if left > 0 {
            lines.push(format!("and {left} more errors of rustc"));
        }
        lines.join("\n")
    }

    /// Returns the output from its first error on; all of it if no error is found.
    fn output_from_first_error(&self) -> &str {
        let mut start = 0;
        for line in self.stderr().split_inclusive('\n') {
            if is_error(line) {
                return self.stderr().get(start..).unwrap_or_default().trim_end();
            }
            start += line.len();
        }
        [self.stderr(), self.stdout.as_deref().unwrap_or_default()]
            .into_iter()
            .map(str::trim)
            .find(|output| !output.is_empty())
            .unwrap_or_default()
    }

    fn warnings(&self) -> Vec<String> {
        if self.messages.is_empty() {
            return self.stderr().lines().filter(|line| line.starts_with("warning")).map(str::to_owned).collect();
        }
        self.messages.iter().take(MAX_DIAGNOSTICS).map(ToString::to_string).collect()
    }
}

/// Returns whether a line of rustc or Cargo begins an error: `error: …`, `error[E0425]: …`.
fn is_error(line: &str) -> bool {
    line.strip_prefix("error").is_some_and(|rest| rest.starts_with([':', '[']))
}

impl fmt::Display for SqlMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(line), Some(column)) = (self.start_line_number, self.start_column) {
            write!(f, "line {line}, column {column}: ")?;
        }
        let warning = if self.warning == Some(true) { "warning: " } else { "" };
        let kind = self.error_type.as_deref().unwrap_or(UNKNOWN_KIND);
        write!(f, "{warning}{kind}: {}", self.message.as_deref().unwrap_or(NO_TEXT))
    }
}

/// Shows the position, the kind, and the beginning of the message.
impl fmt::Display for RustMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.start_line_number, self.start_column) {
            (Some(file), Some(line), Some(column)) => write!(f, "{file}, line {line}, column {column}: ")?,
            (Some(file), ..) => write!(f, "{file}: ")?,
            _ => {}
        }
        let error_type = self.error_type.as_deref().unwrap_or(UNKNOWN_KIND);
        let message = self.message.as_deref().unwrap_or(NO_TEXT);
        let warning = if self.warning == Some(true) && !error_type.starts_with("warning") { "warning: " } else { "" };
        let end = message.char_indices().nth(MAX_MESSAGE_CHARS).map_or(message.len(), |(at, _)| at);
        let shown = message.get(..end).unwrap_or_default();
        let cut = if shown.len() < message.len() { "…" } else { "" };
        write!(f, "{warning}{error_type}: {shown}{cut}")
    }
}

impl fmt::Display for ProgramError {
    /// Shows the errors, one in each line, with their positions; the warnings if no error exists. A `RustError` begins
    /// with the first error, not with the names of the crates that were compiled before it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<String> = self.sql_errors().map(ToString::to_string).collect();
        if let Some(rust) = self.rust_compilation.as_ref().filter(|rust| rust.exit_code != Some(0)) {
            let said = rust.said();
            let silent = |code| format!("the Rust compiler ended with exit code {code} and said nothing");
            lines.extend(if said.is_empty() { rust.exit_code.map(silent) } else { Some(said) });
        }
        lines.extend(self.system_error.clone());
        if lines.is_empty() {
            lines.extend(self.sql_messages().map(ToString::to_string));
            lines.extend(self.rust_compilation.iter().flat_map(RustCompilation::warnings));
        }
        f.write_str(&lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rust(stderr: &str) -> RustCompilation {
        RustCompilation { exit_code: Some(101), stdout: None, stderr: Some(stderr.to_owned()), messages: Vec::new() }
    }

    fn error_of(rust: RustCompilation) -> ProgramError {
        ProgramError { sql_compilation: None, rust_compilation: Some(rust), system_error: None }
    }

    const OUT_OF_MEMORY: &str = "   Compiling dbsp v0.337.0\n   Compiling main v0.1.0\nerror: could not compile `main` (bin \"main\")\n\n\
        Caused by:\n  process didn't exit successfully: `rustc` (signal: 9, SIGKILL: kill)\n";

    #[test]
    fn a_rust_error_leads_with_its_first_error_line() {
        let text = "   Compiling main v0.1.0\nwarning: unused variable: `x`\n --> main.rs:3:9\n\nerror[E0425]: cannot find function `f`\n \
            --> main.rs:1:1\n";
        let told = error_of(rust(text)).to_string();
        assert_eq!(told, "error[E0425]: cannot find function `f`\n --> main.rs:1:1");
        assert!(error_of(rust(OUT_OF_MEMORY)).to_string().starts_with("error: could not compile `main`"));
        // Without any error it is not hidden what there is.
        assert_eq!(error_of(rust("  killed\n")).to_string(), "killed");
        assert_eq!(error_of(rust("")).to_string(), "the Rust compiler ended with exit code 101 and said nothing");
    }

    #[test]
    fn only_a_rust_error_that_points_at_a_mistake_is_the_programs() {
        let full = "error: failed to write `/data/main.d`\n\nCaused by:\n  No space left on device (os error 28)\n";
        let linker = "warning: unused\n --> main.rs:3:9\nerror: linking with `cc` failed: exit status: 1\n  = note: ld: out of memory\n";
        for text in [OUT_OF_MEMORY, full, linker, "", "LLVM ERROR: out of memory\n"] {
            assert!(!rust(text).has_diagnostic(), "{text}");
            assert!(error_of(rust(text)).is_platform_failure(&ProgramStatus::RustError), "{text}");
        }
        let plain = "error: this is the user's\n  --> udf.rs:1:1\n   |\n";
        let missing = "error: no matching package named `nosuch` found\nlocation searched: crates.io index\n";
        for text in ["error[E0425]: cannot find\n --> main.rs:1:1\n", plain, missing] {
            assert!(rust(text).has_diagnostic(), "{text}");
            assert!(!error_of(rust(text)).is_platform_failure(&ProgramStatus::RustError), "{text}");
        }
        assert!(error_of(rust(plain)).is_platform_failure(&ProgramStatus::SystemError));
        let unknown = RustCompilation { stderr: None, ..rust("") };
        assert!(!error_of(unknown).is_platform_failure(&ProgramStatus::RustError), "its output cannot be read");
        let nothing = ProgramError { sql_compilation: None, rust_compilation: None, system_error: None };
        assert!(!nothing.is_platform_failure(&ProgramStatus::RustError), "it is not known what the compiler said");
        assert!(!nothing.is_platform_failure(&ProgramStatus::SqlError));
    }

    #[test]
    fn parsed_diagnostics_are_shown_with_their_positions() {
        let message = |number: usize, warning: bool, text: &str| {
            let text = format!(
                r#"{{"file":"udf.rs","start_line_number":{number},"start_column":5,"end_line_number":{number},"end_column":9,
                "warning":{warning},"error_type":"E0425","message":"{text}","rendered":"error[E0425]: …"}}"#
            );
            serde_json::from_str::<RustMessage>(&text).expect("a message")
        };
        let mut failed = rust("error: could not compile `main`\n");
        failed.messages = vec![message(1, true, "unused"), message(2, false, "cannot find `f`")];
        assert!(failed.has_diagnostic());
        assert!(!error_of(failed.clone()).is_platform_failure(&ProgramStatus::RustError));
        assert_eq!(error_of(failed.clone()).to_string(), "udf.rs, line 2, column 5: E0425: cannot find `f`");
        // The text is bounded, however many there are and however long they are.
        failed.messages = (0..1000).map(|number| message(number, false, &"ü".repeat(10_000))).collect();
        let text = error_of(failed.clone()).to_string();
        assert!(text.len() < 25_000 && text.ends_with("and 980 more errors of rustc"), "{} bytes", text.len());
        // An error without a file is not the program's; warnings alone are shown like those of SQL.
        failed.messages = vec![RustMessage { file: None, ..message(0, false, "linking failed") }];
        assert!(!failed.has_diagnostic());
        (failed.exit_code, failed.messages) = (Some(0), vec![message(7, true, "unused")]);
        assert_eq!(error_of(failed).to_string(), "udf.rs, line 7, column 5: warning: E0425: unused");
    }

    #[test]
    fn a_program_error_with_warnings_only_prints_them() {
        let sql = r#"{"exit_code":0,"messages":[{"start_line_number":1,"start_column":8,"end_line_number":1,"end_column":12,
            "warning":true,"error_type":"PRIMARY KEY","message":"Table has no primary key","snippet":null}]}"#;
        let mut error = ProgramError {
            sql_compilation: serde_json::from_str(sql).expect("JSON"),
            rust_compilation: Some(RustCompilation {
                exit_code: Some(0),
                stdout: None,
                stderr: Some(
                    "   Compiling main v0.1.0\nwarning: unused variable: `x`\n --> main.rs:3:9\n    Finished\n"
                        .to_owned(),
                ),
                messages: Vec::new(),
            }),
            system_error: None,
        };
        let warnings =
            "line 1, column 8: warning: PRIMARY KEY: Table has no primary key\nwarning: unused variable: `x`";
        assert_eq!(error.to_string(), warnings);
        // They are not what the reader of an error looks for.
        error.system_error = Some("the disk is full".to_owned());
        assert_eq!(error.to_string(), "the disk is full");
    }
}
