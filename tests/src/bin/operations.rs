//! Lists every operation that the library knows, a line each, with tabs in between: service, method, path template, the
//! vendor's name, effect (`per value` where it depends on the parameters).
//!
//! ```text
//! cargo run -p pipewright-tests --bin operations
//! ```

use std::io::{self, Write as _};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut out = io::stdout().lock();
    for info in pipewright::operations() {
        let effect =
            if info.effect_varies { "per value".to_owned() } else { format!("{:?}", info.effect).to_lowercase() };
        let line = writeln!(out, "{}\t{}\t{}\t{}\t{effect}", info.service, info.method, info.path, info.name);
        if line.is_err() {
            // Whoever reads has seen enough.
            return ExitCode::SUCCESS;
        }
    }
    ExitCode::SUCCESS
}
