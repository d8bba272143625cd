//! Runs flows of all three services on embedded simulators, with faults. It needs no cluster and opens no port, and
//! minutes of waiting take no time.
//!
//! ```text
//! cargo run -p pipewright-mock --example tour                 all chapters
//! cargo run -p pipewright-mock --example tour -- flink        a single chapter
//! cargo run -p pipewright-mock --example tour -- --verbose    each exchange, wait and saved state
//! ```

use std::error::Error;

mod feldera;
mod flink;
mod snowpipe;
mod story;

type Chapter = fn() -> Result<(), Box<dyn Error>>;

const CHAPTERS: &[(&str, Chapter)] =
    &[("feldera", feldera::tour), ("flink", flink::tour), ("snowpipe", snowpipe::tour)];

fn main() -> Result<(), Box<dyn Error>> {
    let mut wanted = None;
    for argument in std::env::args().skip(1) {
        match &*argument {
            "--verbose" | "-v" => story::be_verbose(),
            _ => wanted = Some(argument),
        }
    }
    let chapters: Vec<_> =
        CHAPTERS.iter().filter(|(name, _)| wanted.as_deref().is_none_or(|wanted| wanted == *name)).collect();
    if chapters.is_empty() {
        let names: Vec<_> = CHAPTERS.iter().map(|(name, _)| *name).collect();
        return Err(format!("no chapter {}; there are {}", wanted.unwrap_or_default(), names.join(", ")).into());
    }
    chapters.into_iter().try_for_each(|(_name, tour)| tour())
}
