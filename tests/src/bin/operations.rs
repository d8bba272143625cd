//! Lists every operation of the library. Each line has the service, method, path template, the vendor's name and the
//! effect, with tabs in between. The effect is `per value` if it depends on the parameters.
//!
//! ```text
//! cargo run -p pipewright-tests --bin operations -- [SERVICE…]
//! ```
//!
//! Without arguments it lists all services. It exits with 2 if a service does not exist.

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
