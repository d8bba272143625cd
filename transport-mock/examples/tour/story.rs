//! What the tour prints: everything with `--verbose`; otherwise phases, faults and results.

use std::fmt::Display;
use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use pipewright::Timestamp;
use pipewright::driver::Client;
use pipewright::error::FlowError;
use pipewright::flow::{Goal, Notice};
use pipewright::operation::Service;
use pipewright_mock::event::Incident;
use pipewright_mock::{Event, World};

static VERBOSE: AtomicBool = AtomicBool::new(false);
/// How many exchanges the chapter has had.
static EXCHANGES: AtomicU64 = AtomicU64::new(0);

const BOLD: &str = "1";
const FAINT: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";

pub(crate) fn be_verbose() {
    VERBOSE.store(true, Ordering::Relaxed);
}

fn is_verbose() -> bool {
    VERBOSE.load(Ordering::Relaxed)
}

/// Prints a line, in colour on a terminal.
fn print(style: &str, line: impl Display) {
    if std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        println!("\x1b[{style}m{line}\x1b[0m");
    } else {
        println!("{line}");
    }
}

/// Begins a section.
pub(crate) fn section(title: impl Display) {
    print(BOLD, format_args!("\n━━ {title}"));
}

/// Ends a chapter with what it has proved.
pub(crate) fn proved(world: &World, start: Timestamp, facts: &[&str], further: &str) {
    use pipewright::driver::Clock as _;
    for fact in facts {
        print(GREEN, format_args!("  ✓ {fact}"));
    }
    let passed = world.now().since(start).as_secs_f64();
    let exchanges = EXCHANGES.swap(0, Ordering::Relaxed);
    let line = format!("  {exchanges} requests, {passed:.1} s on the virtual clock. With a real service: {further}");
    print(FAINT, line);
}

/// Runs a flow, and prints its phases; those of its child flows with `--verbose` only.
pub(crate) fn tell<S: Service, G: Goal<Service = S>>(
    client: &Client<S, World>,
    goal: G,
) -> Result<G::Output, FlowError> {
    let mut outer = None;
    client.run_with(goal, |notice| {
        if let Notice::Phase { flow, .. } = notice {
            outer.get_or_insert(flow);
        }
        show(outer, &notice);
    })
}

/// Prints a notice of a flow: its phases; all other notices with `--verbose` only.
pub(crate) fn show(outer: Option<&str>, notice: &Notice) {
    match notice {
        Notice::Phase { flow, phase, .. } if is_verbose() || outer == Some(*flow) => println!("  ── {flow}: {phase}"),
        Notice::Observed { what, state, .. } if is_verbose() => {
            println!("     {}", shorten(&format!("{what}: {state}")));
        }
        Notice::Retrying { operation, cause, .. } if is_verbose() => {
            println!("     {} will be sent again: {cause}", operation.name);
        }
        Notice::Persist(saved) if is_verbose() => {
            println!("     (a crash from here on would be resumed from {} bytes of saved state)", saved.state.len());
        }
        _ => {}
    }
}

/// Prints an event with the seconds since the start as a margin, without the base address, which is the same in every
/// line. Without `--verbose` only exchanges that met a fault.
pub(crate) fn event(start: Timestamp, base: &str, event: &Event) {
    EXCHANGES.fetch_add(u64::from(matches!(event.what, Incident::Exchange { .. })), Ordering::Relaxed);
    if event.fault().is_none() && !is_verbose() {
        return;
    }
    let text = event.to_string();
    let text = text.split_once(' ').map_or(&*text, |(_time, rest)| rest).replace(base, "");
    let line = format!("{:>8.3} s  {}", event.at.since(start).as_secs_f64(), without_names(&shorten(&text)));
    print(if event.fault().is_some() { RED } else { FAINT }, line);
}

/// Leaves out what is the same in every line of Snowpipe's chapter, and ids of requests.
fn without_names(line: &str) -> String {
    let line = line.replace("sim-account.ingest.snowpipe.test/v2/streaming", "ingest host: …");
    let line = line.replace("/databases/SHOP/schemas/PUBLIC/pipes", "");
    match line.split_once("requestId=").and_then(|(head, rest)| Some((head, rest.split_once(": ")?.1))) {
        Some((head, answer)) => format!("{}: {answer}", head.trim_end_matches(['?', '&'])),
        None => line,
    }
}

/// Cuts ids of 32 digits and longer tokens down to 8: they are easier to tell apart so.
pub(crate) fn shorten(text: &str) -> String {
    let mut short = String::new();
    for word in text.split_inclusive(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-') {
        let end =
            word.len() - usize::from(!word.ends_with(|letter: char| letter.is_ascii_alphanumeric() || letter == '-'));
        let (id, rest) = word.split_at(end);
        match id.len() {
            32.. => short.extend([&id[..8], "…", rest]),
            _ => short.push_str(word),
        }
    }
    short
}
