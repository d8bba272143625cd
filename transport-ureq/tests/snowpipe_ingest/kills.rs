//! `kill -9` in a loop: the example is killed at random moments while it loads rows, and is started again each time.

use std::fmt::Write as _;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use pipewright::Seed;
use pipewright_mock::serve::{Options, Server};
use pipewright_mock::snowpipe::{Account, Config};
use pipewright_mock::{FaultKind, FaultPlan};

use super::program::{Folder, Running, ingest};
use super::{path, row, rows};

const ROWS: u64 = 100_000;
/// How many kills must come between two partial commits.
const KILLS: u64 = 30;
/// How many rows are committed from one kill to the next, on average.
const STRIDE: u64 = 1_500;
/// Longer than this, and it makes no progress.
const PATIENCE: Duration = Duration::from_secs(240);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The number of the last committed row.
fn committed(server: &Server<Account>) -> u64 {
    let token = server.with(|account| account.channel_view(&path())).and_then(|view| view.committed);
    let line = |token: String| token.strip_prefix("line ")?.split_once(" #")?.0.parse().ok();
    token.map_or(0, |token| line(token).expect("a line's number"))
}

/// Every exchange takes a while, on its way there or on its way back: so a kill finds one under way, and appends of a
/// process that is dead arrive while the next process already runs.
fn serve(seed: u64) -> Server<Account> {
    let plan = FaultPlan::seeded(seed)
        .delays(millis(5)..=millis(35))
        .chance(FaultKind::DelayRequest, 0.5)
        .chance(FaultKind::DelayReply, 0.5);
    let config = Config { commit_delay: millis(10)..=millis(60), seed, ..Config::default() };
    Server::start(Options::snowpipe(config).faults(plan)).expect("a port")
}

#[test]
#[ignore = "takes half a minute of real time; with KILL_SEED in the environment it takes the same chances again"]
fn killed_again_and_again_it_loads_every_row_once() {
    let seed = std::env::var("KILL_SEED").ok().map_or_else(
        || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs()),
        |text| text.parse().expect("KILL_SEED is a number"),
    );
    println!("KILL_SEED={seed}");
    let mut chance = Seed::new(u128::from(seed));
    let (server, folder) = (serve(seed), Folder::new("kills"));
    let mut input = String::new();
    for number in 1..=ROWS {
        writeln!(input, "{}", row(number)).expect("memory");
    }
    let file = folder.file("rows.ndjson", &input);

    let begin = Instant::now();
    let (mut kills, mut between, mut last) = (0_u64, 0_u64, 0_u64);
    loop {
        let mut command = ingest(server.url());
        command.args(["--batch-rows", "250"]).arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = Running(command.spawn().expect("it starts"));
        // Most die when so many rows more are committed; some whatever they are about.
        let target = match chance.below(5) {
            0 => 0,
            _ => last + 1 + chance.below(2 * STRIDE),
        };
        while committed(&server) < target && process.0.try_wait().expect("it was started").is_none() {
            assert!(begin.elapsed() < PATIENCE, "{last} rows after {kills} kills: no progress");
            thread::sleep(millis(1));
        }
        thread::sleep(millis(chance.below(if target == 0 { 300 } else { 40 })));
        if let Some(status) = process.0.try_wait().expect("it was started") {
            assert!(status.success(), "{status}");
            break;
        }
        drop(process);
        kills += 1;
        let now = committed(&server);
        if last < now && now < ROWS {
            between += 1;
        }
        last = now;
    }
    let view = server.with(|account| account.channel_view(&path())).expect("the channel");
    println!(
        "{kills} kills, {between} of them between partial commits; {} rows in {:.1} s; opened {} times",
        view.rows.len(),
        begin.elapsed().as_secs_f64(),
        view.client_sequencer
    );
    let there = rows(&server);
    let wrong = input.lines().zip(&there).position(|(wanted, found)| wanted != found);
    assert_eq!((wrong, there.len() as u64), (None, ROWS), "the first row that is wrong, and how many there are");
    assert!(between >= KILLS, "only {between} kills came between partial commits");
}
