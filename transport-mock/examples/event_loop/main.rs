//! Runs 500 flows on one thread in an event loop on `mio`: how to embed Pipewright into a program with an event loop.
//!
//! ```text
//! cargo run --release -p pipewright-mock --features serve --example event_loop
//! ```
//!
//! Options: `--flows N`, `--faults none|flaky`, and `--url URL` for a running cluster with a slot for each flow.
//! Without `--url`, a simulated cluster runs in another process, so that only the loop is measured: about 7 KiB for
//! each flow and its connection.
//!
//! Each flow uploads a jar, runs it and waits until its job has finished, over its own connection.
//!
//! Read [`Loop::run`], the loop, and [`Loop::drive`], which carries out each step of a flow. The rest is what a program
//! with an event loop has already: a small HTTP client (`wire.rs`), a clock, options.
//!
//! Exit codes: 0 all flows have succeeded, 1 not all, 2 wrong usage.

mod wire;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::error::Error;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::num::NonZeroUsize;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime};

use mio::{Events, Poll, Token};
use pipewright::error::{CredentialError, FlowError};
use pipewright::flink::jobs::JobState;
use pipewright::flink::{AwaitJob, FlinkRest, RunJar};
use pipewright::flow::{Config, Flow, Goal, Notice, Reply, Step};
use pipewright::{Base, Seed, Timestamp};
use pipewright_mock::serve::{Options, Server};
use pipewright_mock::{FaultPlan, flink};

use self::wire::Wire;

/// What each lane of the loop is for: a flow, then the flow that follows from its result, and the way to the cluster.
struct Lane {
    stage: Stage,
    wire: Wire,
    /// Counts how often the flow was polled: a timer of an earlier turn does not count any more.
    turn: u64,
}

enum Stage {
    Run(<RunJar as Goal>::Flow),
    Await(<AwaitJob as Goal>::Flow),
    Ended,
}

struct Loop {
    config: Config<FlinkRest>,
    seed: Seed,
    poll: Poll,
    address: SocketAddr,
    clock: Clock,
    /// When to poll which lane, unless it has had another turn by then.
    timers: BinaryHeap<Reverse<(Timestamp, usize, u64)>>,
    exchanges: u64,
    retries: u64,
    succeeded: usize,
    failed: usize,
}

impl Loop {
    /// Runs all lanes to their end. All waiting is done in the one call of `poll`.
    fn run(&mut self, lanes: &mut [Lane]) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut report = self.clock.now();
        for (number, lane) in lanes.iter_mut().enumerate() {
            self.advance(number, lane, None);
        }
        while self.succeeded + self.failed < lanes.len() {
            let next = self.timers.peek().map_or(report, |Reverse((at, ..))| report.min(*at));
            match self.poll.poll(&mut events, Some(next.since(self.clock.now()))) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in &events {
                let number = event.token().0;
                if let Some(lane) = lanes.get_mut(number)
                    && let Some(reply) = lane.wire.go_on()
                {
                    self.advance(number, lane, Some(reply));
                }
            }
            while let Some(Reverse((at, number, turn))) = self.timers.peek().copied()
                && at <= self.clock.now()
            {
                self.timers.pop();
                if let Some(lane) = lanes.get_mut(number).filter(|lane| lane.turn == turn) {
                    // What it waited for is over: a pause, or its patience with an answer.
                    let reply = lane.wire.time_out();
                    self.advance(number, lane, reply);
                }
            }
            if report <= self.clock.now() {
                println!("{:>4} done, {} exchanges", self.succeeded + self.failed, self.exchanges);
                report = self.clock.now() + Duration::from_secs(1);
            }
        }
        Ok(())
    }

    /// Gives a lane its turn: continues with its flow, and from one flow to the next.
    fn advance(&mut self, number: usize, lane: &mut Lane, mut reply: Option<Reply>) {
        lane.turn += 1;
        let timer = (number, lane.turn);
        loop {
            let ended = match &mut lane.stage {
                Stage::Run(flow) => match self.drive(flow, &mut lane.wire, timer, reply.take()) {
                    None => return,
                    Some(Ok(launched)) => {
                        let goal = AwaitJob::ended(launched.job);
                        lane.stage = Stage::Await(goal.start(&self.config, self.seed.split()));
                        continue;
                    }
                    Some(Err(error)) => Err(error.to_string()),
                },
                Stage::Await(flow) => match self.drive(flow, &mut lane.wire, timer, reply.take()) {
                    None => return,
                    Some(Ok(report)) if report.state == JobState::Finished => Ok(()),
                    Some(Ok(report)) => Err(format!("job {} is {}", report.job, report.state)),
                    Some(Err(error)) => Err(error.to_string()),
                },
                Stage::Ended => return,
            };
            lane.stage = Stage::Ended;
            match ended {
                Ok(()) => self.succeeded += 1,
                Err(problem) => {
                    self.failed += 1;
                    eprintln!("flow {number}: {problem}");
                }
            }
            return;
        }
    }

    /// Polls a flow until it waits for something, and remembers for how long; or gives its result.
    fn drive<F: Flow>(
        &mut self,
        flow: &mut F,
        wire: &mut Wire,
        (number, turn): (usize, u64),
        mut reply: Option<Reply>,
    ) -> Option<Result<F::Output, FlowError>> {
        loop {
            let now = self.clock.now();
            let until = match flow.poll(now, reply.take()) {
                Step::Send(exchange) => {
                    self.exchanges += 1;
                    let until = now + exchange.timeout();
                    reply = wire.send(exchange, self.poll.registry(), self.address);
                    match reply {
                        None => until,
                        Some(_) => continue,
                    }
                }
                // A program with credentials looks for one here, and may take its time: the reply can come later.
                Step::Authorize(request) => {
                    let none = CredentialError::permanent("this example has none");
                    reply = Some(request.settle(Err(none)));
                    continue;
                }
                Step::WaitUntil(at) | Step::InFlight { until: at } => at,
                Step::Notice(notice) => {
                    self.retries += u64::from(matches!(notice, Notice::Retrying { .. }));
                    continue;
                }
                // Replies stay in their lane here. Where several flows share a queue of them, it goes to the next flow.
                Step::Stray(_) => continue,
                Step::Done(result) => return Some(result),
            };
            self.timers.push(Reverse((until, number, turn)));
            return None;
        }
    }
}

fn main() -> ExitCode {
    let arguments = match Arguments::parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("event_loop: {error}\nusage: event_loop [--flows N] [--faults none|flaky] [--url URL]");
            return ExitCode::from(2);
        }
    };
    let result = if arguments.serve { serve(&arguments) } else { run(&arguments) };
    match result {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("event_loop: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs all flows; gives how many failed.
fn run(arguments: &Arguments) -> Result<usize, Box<dyn Error>> {
    let (_cluster, url) = match &arguments.url {
        Some(url) => (None, url.clone()),
        None => start_cluster(arguments)?,
    };
    let base: Base = url.parse()?;
    let address = base.authority().as_str().to_socket_addrs()?.next().ok_or("the host has no address")?;
    let mut seed = Seed::new(u128::from(random()) << 64 | u128::from(random()));
    let config = Config::new(base);
    let jar = flink::Program::bounded("one of many", 300).jar();
    let before = status("VmRSS");
    let begin = Instant::now();

    let lane = |number| {
        let flow = RunJar::upload("many.jar", jar.clone()).start(&config, seed.split());
        Lane { stage: Stage::Run(flow), wire: Wire::new(Token(number)), turn: 0 }
    };
    let mut lanes: Vec<Lane> = (0..arguments.flows).map(lane).collect();
    let mut event_loop = Loop {
        config,
        seed,
        poll: Poll::new()?,
        address,
        clock: Clock::new(),
        timers: BinaryHeap::new(),
        exchanges: 0,
        retries: 0,
        succeeded: 0,
        failed: 0,
    };
    event_loop.run(&mut lanes)?;

    let Loop { exchanges, retries, succeeded, failed, .. } = event_loop;
    println!("{succeeded} flows done, {failed} failed, in {:.1} s", begin.elapsed().as_secs_f64());
    println!("{exchanges} exchanges, {retries} of them sent again");
    if let Some(threads) = status("Threads") {
        println!("{threads} thread in this process");
    }
    if let (Some(before), Some(peak)) = (before, status("VmHWM")) {
        let grown = peak.saturating_sub(before);
        println!("{grown} KiB of memory more at its peak than before the first flow (VmHWM less VmRSS),");
        println!("{} bytes for each flow with its connection", grown * 1024 / arguments.flows as u64);
    }
    println!("{} bytes of that are the values themselves, without what they have on the heap", size_of::<Lane>());
    Ok(failed)
}

/// The wall clock, except that it never goes back.
struct Clock(Duration, Instant);

impl Clock {
    fn new() -> Self {
        Self(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default(), Instant::now())
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.0 + self.1.elapsed())
    }
}

/// Starts this program once more, as a cluster. It ends when its input does, and so with this process at the latest.
fn start_cluster(arguments: &Arguments) -> Result<(Option<Cluster>, String), Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--serve").arg("--flows").arg(arguments.flows.to_string());
    if arguments.flaky {
        command.args(["--faults", "flaky"]);
    }
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let output = process.stdout.take().ok_or("the cluster has no output")?;
    let cluster = Cluster(process);
    let mut url = String::new();
    BufReader::new(output).read_line(&mut url)?;
    Ok((Some(cluster), url.trim_end().to_owned()))
}

struct Cluster(Child);

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Is a cluster until the input ends.
fn serve(arguments: &Arguments) -> Result<usize, Box<dyn Error>> {
    let slots = u32::try_from(arguments.flows)?;
    let faults = if arguments.flaky { FaultPlan::flaky(random()) } else { FaultPlan::none() };
    let server = Server::start(Options::flink(flink::Config { slots, ..flink::Config::default() }).faults(faults))?;
    println!("{}", server.url());
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(0)
}

/// A line of what Linux tells about this process, without its unit; other systems do not.
fn status(key: &str) -> Option<u64> {
    let all = std::fs::read_to_string("/proc/self/status").ok()?;
    let value = all.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    value.split_whitespace().next()?.parse().ok()
}

/// Enough for ids that differ from those of the last time.
fn random() -> u64 {
    RandomState::new().hash_one(Instant::now())
}

struct Arguments {
    flows: usize,
    flaky: bool,
    url: Option<String>,
    serve: bool,
}

impl Arguments {
    fn parse() -> Result<Self, Box<dyn Error>> {
        use lexopt::prelude::*;

        let mut arguments = Self { flows: 500, flaky: false, url: None, serve: false };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("flows") => arguments.flows = parser.value()?.parse::<NonZeroUsize>()?.get(),
                Long("url") => arguments.url = Some(parser.value()?.string()?),
                Long("serve") => arguments.serve = true,
                Long("faults") => {
                    arguments.flaky = match &*parser.value()?.string()? {
                        "none" => false,
                        "flaky" => true,
                        other => return Err(format!("--faults {other}: it is `none` or `flaky`").into()),
                    }
                }
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(arguments)
    }
}
