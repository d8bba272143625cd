//! What callgrind counts: `instructions CASE ROUNDS` runs a case in [`measured`]. The script of the same name does the
//! rest. Without arguments every case runs once.

mod cases;

use std::hint::black_box;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use cases::building::Building;
use cases::calling::Calling;
use cases::exchanging::{self, Exchanging};
use cases::parsing::Parsing;
use cases::splitting::Splitting;

/// The only function whose instructions count.
#[inline(never)]
fn measured(rounds: u32, case: &mut dyn FnMut()) {
    for _ in 0..rounds {
        case();
    }
}

/// A server in a process of its own, so that only the client is counted.
struct Server(Child);

impl Server {
    fn start() -> (Self, std::net::SocketAddr) {
        let program = std::env::current_exe().expect("a program");
        let mut child = Command::new(program).arg("serve").stdout(Stdio::piped()).spawn().expect("a process");
        let mut line = String::new();
        let output = child.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("an address");
        (Self(child), line.trim().parse().expect("an address"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Prepares a case, runs it once to warm up, and then for so many rounds.
macro_rules! cases {
    ($name:expr, $rounds:expr; $( $case:literal => $setup:expr, |$prepared:ident| $work:expr; )*) => {
        match $name {
            $( $case => {
                #[allow(unused_mut, reason = "some cases write to a socket")]
                let mut $prepared = $setup;
                let mut case = || { black_box($work); };
                case();
                measured($rounds, &mut case);
            } )*
            other => panic!("no case {other:?}"),
        }
    };
}

const CASES: [&str; 18] = [
    "building/ours",
    "building/floor",
    "building/url",
    "call/ours",
    "call/floor",
    "authorized-call/ours",
    "authorized-call/floor",
    "overview/ours",
    "overview/from_slice",
    "details/ours",
    "details/from_slice",
    "splitting/lines",
    "splitting/ndjson",
    "splitting/memchr",
    "splitting/memchr_iter",
    "exchange/raw",
    "exchange/bare",
    "exchange/ours",
];

fn run(name: &str, rounds: u32) {
    let (_server, address) = match name.starts_with("exchange/") {
        true => Some(Server::start()).unzip(),
        false => (None, None),
    };
    let exchanging = || Exchanging::new(address.expect("a server"));
    cases! { name, rounds;
        "building/ours" => Building::new(), |case| case.ours();
        "building/floor" => Building::new(), |case| case.floor();
        "building/url" => Building::new(), |case| case.with_url();
        "call/ours" => Calling::new(false), |case| case.ours();
        "call/floor" => Calling::new(false), |case| case.floor().expect("an answer");
        "authorized-call/ours" => Calling::new(true), |case| case.ours();
        "authorized-call/floor" => Calling::new(true), |case| case.floor().expect("an answer");
        "overview/ours" => Parsing::overview(500), |case| case.ours();
        "overview/from_slice" => Parsing::overview(500), |case| case.from_slice();
        "details/ours" => Parsing::details(60), |case| case.ours();
        "details/from_slice" => Parsing::details(60), |case| case.from_slice();
        "splitting/lines" => Splitting::new(10_000), |case| case.lines();
        "splitting/ndjson" => Splitting::new(10_000), |case| case.ndjson();
        "splitting/memchr" => Splitting::new(10_000), |case| case.floor();
        "splitting/memchr_iter" => Splitting::new(10_000), |case| case.memchr_iter();
        "exchange/raw" => exchanging(), |case| case.raw().expect("an answer");
        "exchange/bare" => exchanging(), |case| case.bare();
        "exchange/ours" => exchanging(), |case| case.ours();
        "exchange/call" => exchanging(), |case| case.call();
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve"] => {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            println!("{}", listener.local_addr().expect("bound"));
            exchanging::serve(&listener).expect("a client");
        }
        [name, rounds] => run(name, rounds.parse().expect("a number of rounds")),
        _ => CASES.iter().for_each(|name| run(name, 1)),
    }
}
