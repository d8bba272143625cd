//! The program that callgrind measures: `instructions CASE ROUNDS` runs a case in [`measured`], and the script of the
//! same name counts. Without arguments, it runs every case once.

mod cases;

use std::hint::black_box;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use cases::batching::Batching;
use cases::building::Building;
use cases::calling::Calling;
use cases::exchanging::{self, Exchanging};
use cases::feldera::Rows;
use cases::parsing::Parsing;
use cases::splitting::Splitting;
use cases::writing;

/// The only function whose instructions count.
#[inline(never)]
fn measured(rounds: u32, case: &mut dyn FnMut()) {
    for _ in 0..rounds {
        case();
    }
}

/// Prepares a case, runs it once to warm up, and then for so many rounds.
macro_rules! cases {
    ($( $name:literal => $setup:expr, |$prepared:ident| $work:expr; )*) => {
        const CASES: &[&str] = &[$( $name ),*];

        fn run(name: &str, rounds: u32) {
            match name {
                $( $name => {
                    #[allow(unused_mut, reason = "some cases change what they have")]
                    let mut $prepared = $setup;
                    let mut case = || {
                        let _ = black_box($work);
                    };
                    case();
                    measured(rounds, &mut case);
                } )*
                other => panic!("no case {other:?}, but {CASES:?}"),
            }
        }
    };
}

cases! {
    "building/ours" => Building::new(), |case| case.ours();
    "building/floor" => Building::new(), |case| case.floor();
    "building/url" => Building::new(), |case| case.with_url();
    "call/ours" => Calling::new(false), |case| case.ours();
    "call/floor" => Calling::new(false), |case| case.floor();
    "authorized-call/ours" => Calling::new(true), |case| case.ours();
    "authorized-call/floor" => Calling::new(true), |case| case.floor();
    "overview/ours" => Parsing::overview(500), |case| case.ours();
    "overview/from_slice" => Parsing::overview(500), |case| case.peer();
    "overview/value" => Parsing::overview(500), |case| case.value();
    "details/ours" => Parsing::details(60), |case| case.ours();
    "details/from_slice" => Parsing::details(60), |case| case.peer();
    "details/value" => Parsing::details(60), |case| case.value();
    "pipelines/ours" => Parsing::pipelines(100), |case| case.ours();
    "pipelines/from_slice" => Parsing::pipelines(100), |case| case.peer();
    "whole-pipelines/ours" => Parsing::whole_pipelines(50), |case| case.ours();
    "whole-pipelines/from_slice" => Parsing::whole_pipelines(50), |case| case.peer();
    "statistics/ours" => Parsing::statistics(50), |case| case.ours();
    "statistics/from_slice" => Parsing::statistics(50), |case| case.peer();
    "time-series/ours" => Parsing::time_series(600), |case| case.ours();
    "time-series/from_slice" => Parsing::time_series(600), |case| case.peer();
    "rows/ours" => Rows::new(100), |case| case.ours();
    "rows/raw_values" => Rows::new(100), |case| case.raw_values();
    "splitting/lines" => Splitting::new(10_000), |case| case.lines();
    "splitting/ndjson" => Splitting::new(10_000), |case| case.ndjson();
    "splitting/memchr" => Splitting::new(10_000), |case| case.floor();
    "splitting/memchr_iter" => Splitting::new(10_000), |case| case.memchr_iter();
    "batching/ours" => Batching::new(20_000), |case| case.ours();
    "batching/floor" => Batching::new(20_000), |case| case.floor();
    "batching/lines" => Batching::new(20_000), |case| case.lines();
    "batching/ignored" => Batching::new(20_000), |case| case.ignored();
    "writing/ours" => writing::in_memory(20_000), |case| case.ours(writing::LIST);
    "writing/row by row" => writing::in_memory(20_000), |case| case.ours(1);
    "writing/floor" => writing::kept(20_000, 1), |case| case.run();
    "exchange/raw" => Served::start(), |served| served.client.raw().expect("an answer");
    "exchange/bare" => Served::start(), |served| served.client.bare();
    "exchange/ours" => Served::start(), |served| served.client.ours();
    "exchange/call" => Served::start(), |served| served.client.call();
}

/// The clients, and a server in a process of its own, so that only the client is counted.
struct Served {
    client: Exchanging,
    server: Child,
    address: SocketAddr,
}

impl Served {
    fn start() -> Self {
        let program = std::env::current_exe().expect("a program");
        let mut server = Command::new(program).arg("serve").stdout(Stdio::piped()).spawn().expect("a process");
        let output = server.stdout.take().expect("a pipe");
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).expect("an address");
        let address = line.trim().parse().expect("an address");
        Self { client: Exchanging::new(address), server, address }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// How many more threads there are at the most while something is done.
fn threads_during(work: impl FnOnce()) -> usize {
    let threads = || std::fs::read_dir("/proc/self/task").expect("Linux").count();
    let (before, done) = (threads(), AtomicBool::new(false));
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                most = most.max(threads());
            }
            // The watcher is one of them.
            most.saturating_sub(before + 1)
        });
        work();
        done.store(true, Ordering::Relaxed);
        watcher.join().expect("no panic")
    })
}

/// How many threads our transport starts; and whether those are noticed that ureq starts for its timeout of the whole
/// exchange.
fn threads() {
    let served = Served::start();
    let ours = threads_during(|| (0..1000).for_each(|_| drop(served.client.ours())));
    let agent = exchanging::bare(Some(Duration::from_secs(30)));
    let url = format!("http://{}/", served.address);
    let ask = || drop(agent.get(&url).call().expect("an answer").into_body().read_to_vec().expect("a body"));
    let noticed = (0..20).any(|_| threads_during(|| (0..100).for_each(|_| ask())) > 0);
    println!("{ours} {noticed}");
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve"] => {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            println!("{}", listener.local_addr().expect("bound"));
            exchanging::serve(&listener).expect("a client");
        }
        ["threads"] => threads(),
        [name, rounds] => run(name, rounds.parse().expect("a number of rounds")),
        _ => CASES.iter().for_each(|name| run(name, 1)),
    }
}
