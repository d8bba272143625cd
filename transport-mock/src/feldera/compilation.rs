//! The compilation of a program, phase by phase.

use std::time::Duration;

use serde_json::{Value, json};

use super::config::{CompilerFailure, Config};
use super::program::{self, Program};
use super::release::Release;

/// What the Rust compiler prints about a function that calls `compile_error!`.
const COMPILE_ERROR: &str = "   Compiling main v0.1.0\nerror: compile_error!\n --> crates/main/src/udf.rs:1:1\n\n\
    error: could not compile `main` (lib) due to 1 previous error\n";

/// See the module.
#[derive(Debug)]
pub(super) struct Compilation {
    pub(super) status: &'static str,
    pub(super) since: Duration,
    /// When the present phase ends.
    pub(super) due: Option<Duration>,
    pub(super) error: Value,
    /// The program, once its SQL is compiled.
    pub(super) program: Option<Program>,
    /// Whether no Rust is compiled: the runtime is `gen2`.
    pub(super) is_gen2: bool,
}

impl Compilation {
    /// Compiles from the beginning.
    pub(super) fn new(now: Duration, config: &Config) -> Self {
        let due = Some(now.saturating_add(config.compile_duration));
        Self { status: "Pending", since: now, due, error: Value::Null, program: None, is_gen2: false }
    }

    /// Ends the present phase.
    pub(super) fn advance(
        &mut self,
        at: Duration,
        config: &Config,
        code: &str,
        udf: &str,
        compiler: Option<&CompilerFailure>,
    ) {
        let next = Some(at.saturating_add(config.compile_duration));
        self.due = None;
        match self.status {
            "Pending" => {
                self.set("CompilingSql", at);
                self.due = next;
            }
            "CompilingSql" => match program::compile(code) {
                Ok(program) => {
                    self.error = json!({ "sql_compilation": { "exit_code": 0, "messages": program.warnings },
                        "rust_compilation": null, "system_error": null });
                    self.program = Some(program);
                    self.set("SqlCompiled", at);
                    self.due = next;
                }
                Err(mistake) => {
                    self.error = json!({
                        "sql_compilation": { "exit_code": mistake.exit_code(), "messages": [mistake.message()] },
                        "rust_compilation": null, "system_error": null });
                    self.set("SqlError", at);
                }
            },
            "SqlCompiled" if self.is_gen2 => self.set("Success", at),
            "SqlCompiled" => {
                self.set("CompilingRust", at);
                self.due = next;
            }
            _ => self.compile_rust(at, config.release, udf, compiler),
        }
    }

    fn compile_rust(&mut self, at: Duration, release: Release, udf: &str, compiler: Option<&CompilerFailure>) {
        let (status, code, text) = match compiler {
            Some(CompilerFailure::System(error)) => {
                self.error["system_error"] = json!(error);
                return self.set("SystemError", at);
            }
            Some(CompilerFailure::Rust(output)) => ("RustError", 101, output.as_str()),
            None if udf.contains("compile_error!") => ("RustError", 101, COMPILE_ERROR),
            None => ("Success", 0, "   Compiling main v0.1.0\n    Finished\n"),
        };
        self.error["rust_compilation"] = json!({ "exit_code": code, "stdout": "", "stderr": text });
        if release >= Release::V0_375 {
            let message = json!({ "start_line_number": 1, "start_column": 1, "end_line_number": 1, "end_column": 1,
                "warning": false, "error_type": "error", "message": "compile_error!", "file": "crates/main/src/udf.rs",
                "rendered": text });
            let messages = if text == COMPILE_ERROR { vec![message] } else { Vec::new() };
            self.error["rust_compilation"]["messages"] = json!(messages);
        }
        self.set(status, at);
    }

    fn set(&mut self, status: &'static str, at: Duration) {
        (self.status, self.since) = (status, at);
    }
}
