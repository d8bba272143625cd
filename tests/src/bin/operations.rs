//! Lists every operation that the library knows, a line each, with tabs in between: service, method, path template, the
//! vendor's name, effect (`per value` where it depends on the parameters).
//!
//! ```text
//! cargo run -p pipewright-tests --bin operations -- [SERVICE…]
//! ```
//!
//! All services unless some are named. Exits with 2 if no service has that name.

use std::io::{self, Write as _};
use std::process::ExitCode;

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = wanted.iter().find(|name| !pipewright::operations().any(|info| info.service == **name)) {
        let mut services: Vec<_> = pipewright::operations().map(|info| info.service).collect();
        services.dedup();
        eprintln!("operations: no service {unknown:?}; there are {}", services.join(", "));
        return ExitCode::from(2);
    }
    let mut out = io::stdout().lock();
    for info in
        pipewright::operations().filter(|info| wanted.is_empty() || wanted.iter().any(|name| name == info.service))
    {
        let effect =
            if info.effect_varies { "per value".to_owned() } else { format!("{:?}", info.effect).to_lowercase() };
        let line = writeln!(out, "{}\t{}\t{}\t{}\t{effect}", info.service, info.method, info.path, info.name);
        if line.is_err() {
            // The reader has closed the pipe.
            return ExitCode::SUCCESS;
        }
    }
    ExitCode::SUCCESS
}
