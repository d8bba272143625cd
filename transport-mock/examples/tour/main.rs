//! The three systems on embedded simulators, with faults on the way. Nothing is installed, no port is opened, and
//! minutes of waiting take no time.
//!
//! ```text
//! cargo run --example tour             all chapters
//! cargo run --example tour -- flink    one of them
//! ```

use std::error::Error;
use std::fmt::Display;

use pipewright::Timestamp;
use pipewright::driver::Client;
use pipewright::error::FlowError;
use pipewright::flow::{Goal, Notice};
use pipewright::operation::Service;
use pipewright_mock::{Event, World};

mod feldera;
mod flink;
mod snowpipe;

type Chapter = fn() -> Result<(), Box<dyn Error>>;

const CHAPTERS: &[(&str, Chapter)] =
    &[("feldera", feldera::tour), ("flink", flink::tour), ("snowpipe", snowpipe::tour)];

fn main() -> Result<(), Box<dyn Error>> {
    let wanted = std::env::args().nth(1);
    let chapters: Vec<_> =
        CHAPTERS.iter().filter(|(name, _)| wanted.as_deref().is_none_or(|wanted| wanted == *name)).collect();
    if chapters.is_empty() {
        let names: Vec<_> = CHAPTERS.iter().map(|(name, _)| *name).collect();
        return Err(format!("no chapter {}; there are {}", wanted.unwrap_or_default(), names.join(", ")).into());
    }
    for (_name, tour) in chapters {
        tour()?;
    }
    Ok(())
}

fn section(title: impl Display) {
    let title = title.to_string();
    println!("\n{title}\n{}\n", "═".repeat(title.chars().count()));
}

/// Runs a flow, and tells what it says on its way.
fn tell<S: Service, G: Goal<Service = S>>(handle: &Client<S, World>, goal: G) -> Result<G::Output, FlowError> {
    handle.run_with(goal, |notice| show(&notice))
}

fn show(notice: &Notice) {
    match notice {
        Notice::Phase { flow, phase, .. } => println!("  ── {flow}: {phase}"),
        Notice::Observed { what, state, .. } => println!("     {}", shorten(&format!("{what}: {state}"))),
        Notice::Retrying { operation, cause, .. } => println!("     {} will be sent again: {cause}", operation.name),
        Notice::Persist(saved) => {
            println!("     (a crash from here on would be resumed from {} bytes of saved state)", saved.state.len());
        }
        _ => {}
    }
}

/// An event with the seconds since the start as a margin, without the base address, which is the same in every line.
fn line(start: Timestamp, base: &str, event: &Event) -> String {
    let text = event.to_string();
    let text = text.split_once(' ').map_or(&*text, |(_time, rest)| rest).replace(base, "");
    format!("{:>8.3} s  {}", event.at.since(start).as_secs_f64(), shorten(&text))
}

/// Cuts ids of 32 digits down to 8: they are easier to tell apart so.
fn shorten(text: &str) -> String {
    let mut short = String::new();
    for word in text.split_inclusive(|letter: char| !letter.is_ascii_hexdigit() && letter != '-') {
        let end = word.len() - usize::from(!word.ends_with(|letter: char| letter.is_ascii_hexdigit() || letter == '-'));
        let (id, rest) = word.split_at(end);
        match id.len() {
            32.. => short.extend([&id[..8], "…", rest]),
            _ => short.push_str(word),
        }
    }
    short
}
