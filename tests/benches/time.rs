//! Times and allocations, measured by divan; then the ratios of time to the floor or the peer.
//!
//! A ratio is the median of many, each from two short runs that follow each other, so that a noisy machine disturbs
//! both. What does not wait is measured in the processor time of its thread.

mod cases;

use std::hint::black_box;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use divan::AllocProfiler;
use rustix::time::{ClockId, clock_gettime};

use cases::exchanging::{self, Exchanging};
use cases::writing;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

/// The address of a server in a thread.
fn served(serve: fn(&TcpListener) -> io::Result<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || serve(&listener));
    address
}

/// A client with a server of its own.
fn exchanging() -> Exchanging {
    Exchanging::new(served(exchanging::serve))
}

mod building {
    use divan::Bencher;

    use super::cases::building::Building;

    #[divan::bench]
    fn ours(bencher: Bencher<'_, '_>) {
        let case = Building::new();
        bencher.bench_local(|| case.ours());
    }

    #[divan::bench]
    fn floor(bencher: Bencher<'_, '_>) {
        let case = Building::new();
        bencher.bench_local(|| case.floor());
    }

    #[divan::bench]
    fn with_url(bencher: Bencher<'_, '_>) {
        let case = Building::new();
        bencher.bench_local(|| case.with_url());
    }
}

mod calling {
    use divan::Bencher;

    use super::cases::calling::Calling;

    #[divan::bench(args = [false, true])]
    fn ours(bencher: Bencher<'_, '_>, authorized: bool) {
        let case = Calling::new(authorized);
        bencher.bench_local(|| case.ours());
    }

    #[divan::bench(args = [false, true])]
    fn floor(bencher: Bencher<'_, '_>, authorized: bool) {
        let case = Calling::new(authorized);
        bencher.bench_local(|| case.floor());
    }
}

mod parsing_overview {
    use divan::Bencher;

    use super::cases::parsing::Parsing;

    #[divan::bench]
    fn ours(bencher: Bencher<'_, '_>) {
        let case = Parsing::overview(500);
        bencher.bench_local(|| case.ours());
    }

    #[divan::bench]
    fn from_slice(bencher: Bencher<'_, '_>) {
        let case = Parsing::overview(500);
        bencher.bench_local(|| case.peer());
    }

    #[divan::bench]
    fn value(bencher: Bencher<'_, '_>) {
        let case = Parsing::overview(500);
        bencher.bench_local(|| case.value());
    }
}

mod parsing_details {
    use divan::Bencher;

    use super::cases::parsing::Parsing;

    #[divan::bench]
    fn ours(bencher: Bencher<'_, '_>) {
        let case = Parsing::details(60);
        bencher.bench_local(|| case.ours());
    }

    #[divan::bench]
    fn from_slice(bencher: Bencher<'_, '_>) {
        let case = Parsing::details(60);
        bencher.bench_local(|| case.peer());
    }

    #[divan::bench]
    fn value(bencher: Bencher<'_, '_>) {
        let case = Parsing::details(60);
        bencher.bench_local(|| case.value());
    }
}

mod egress_rows {
    use divan::Bencher;
    use divan::counter::ItemsCount;

    use super::cases::feldera::Rows;

    #[divan::bench]
    fn ours(bencher: Bencher<'_, '_>) {
        let case = Rows::new(100);
        bencher.counter(ItemsCount::new(10_000_usize)).bench_local(|| case.ours());
    }

    #[divan::bench]
    fn raw_values(bencher: Bencher<'_, '_>) {
        let case = Rows::new(100);
        bencher.counter(ItemsCount::new(10_000_usize)).bench_local(|| case.raw_values());
    }
}

mod splitting {
    use divan::Bencher;
    use divan::counter::ItemsCount;

    use super::cases::splitting::Splitting;

    #[divan::bench]
    fn lines(bencher: Bencher<'_, '_>) {
        let case = Splitting::new(10_000);
        bencher.counter(ItemsCount::new(10_000_usize)).bench_local(|| case.lines());
    }

    #[divan::bench]
    fn ndjson(bencher: Bencher<'_, '_>) {
        let case = Splitting::new(10_000);
        bencher.counter(ItemsCount::new(10_000_usize)).bench_local(|| case.ndjson());
    }

    #[divan::bench]
    fn memchr(bencher: Bencher<'_, '_>) {
        let case = Splitting::new(10_000);
        bencher.counter(ItemsCount::new(10_000_usize)).bench_local(|| case.floor());
    }
}

mod batching {
    use divan::Bencher;
    use divan::counter::ItemsCount;

    use super::cases::batching::Batching;

    #[divan::bench]
    fn ours(bencher: Bencher<'_, '_>) {
        let mut case = Batching::new(20_000);
        bencher.counter(ItemsCount::new(20_000_usize)).bench_local(|| case.ours());
    }

    #[divan::bench]
    fn to_writer(bencher: Bencher<'_, '_>) {
        let mut case = Batching::new(20_000);
        bencher.counter(ItemsCount::new(20_000_usize)).bench_local(|| case.floor());
    }
}

mod exchange {
    use divan::Bencher;

    use super::exchanging;

    #[divan::bench]
    fn raw(bencher: Bencher<'_, '_>) {
        let mut case = exchanging();
        bencher.bench_local(|| case.raw());
    }

    #[divan::bench]
    fn bare(bencher: Bencher<'_, '_>) {
        let case = exchanging();
        bencher.bench_local(|| case.bare());
    }

    #[divan::bench]
    fn ours(bencher: Bencher<'_, '_>) {
        let case = exchanging();
        bencher.bench_local(|| case.ours());
    }

    #[divan::bench]
    fn call(bencher: Bencher<'_, '_>) {
        let case = exchanging();
        bencher.bench_local(|| case.call());
    }
}

/// How long the program has run.
fn wall() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}

/// How much of a processor this thread has used.
fn processor() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().expect("not negative")
}

/// How long so many rounds take.
fn timed(clock: fn() -> Duration, rounds: u32, work: &mut dyn FnMut()) -> Duration {
    let start = clock();
    for _ in 0..rounds {
        work();
    }
    clock().saturating_sub(start)
}

fn median<T: Copy>(sorted: &[T]) -> T {
    sorted[sorted.len() / 2]
}

fn ratio(what: &str, clock: fn() -> Duration, one: &mut dyn FnMut(), other: &mut dyn FnMut()) {
    let mut rounds = 1;
    while timed(clock, rounds, other) < Duration::from_millis(1) {
        rounds *= 2;
    }
    let mut ratio = || timed(clock, rounds, one).as_secs_f64() / timed(clock, rounds, other).as_secs_f64();
    let mut ratios: Vec<f64> = (0..201).map(|_| ratio()).collect();
    ratios.sort_by(f64::total_cmp);
    println!("{what:<48} {:>6.2}   (nine in ten {:.2} to {:.2})", median(&ratios), ratios[10], ratios[190]);
}

/// What a row of about 200 bytes took the vendor's SDK 1.9 in `append_rows`, all its threads together, in microseconds
/// of a processor: of a list of them, and by itself. At the best and at the worst.
const SDK: [[f64; 2]; 2] = [[1.3, 2.5], [3.5, 7.5]];
/// What serialising such a row and zstd level 3 took on the same machine.
const LEVEL_3: [f64; 2] = [0.9, 1.1];

/// Rows through a writer, in microseconds of a processor for each.
fn writer() {
    const ROWS: u32 = 20_000;
    let address = served(writing::serve);
    let case = writing::Writing::over_loopback(ROWS.into(), address);
    let (mut by_hand, mut unsent) = (writing::sent(ROWS.into(), address), writing::kept(ROWS.into(), 3));
    let micros = |work: &mut dyn FnMut() -> u64| {
        let mut work = || assert_eq!(work(), u64::from(ROWS));
        timed(processor, 1, &mut work).as_secs_f64() * 1e6 / f64::from(ROWS)
    };
    let mut round = || {
        let ours = [writing::LIST, 1].map(|list| micros(&mut || case.ours(list)));
        [ours[0], ours[1], micros(&mut || by_hand.run()), micros(&mut || unsent.run())]
    };
    let mut rounds: Vec<[f64; 4]> = (0..51).map(|_| round()).collect();
    let mut middle = |of: &dyn Fn(&[f64; 4]) -> f64| {
        rounds.sort_by(|one, other| of(one).total_cmp(&of(other)));
        of(&median(&rounds))
    };
    let [hand, level_3] = [2, 3].map(|which| middle(&|round| round[which]));
    println!("a row by hand {hand:.2} µs; serialised, and zstd level 3, {level_3:.2} µs");
    for (which, what) in ["writer, rows in lists", "writer, row by row"].into_iter().enumerate() {
        println!("{:<48} {:>6.2}", format!("{what}: ours / by hand"), middle(&|round| round[which] / round[2]));
        let ours = middle(&|round| round[which]);
        for (sdk, then) in SDK[which].into_iter().zip(LEVEL_3) {
            let here = sdk / then * level_3;
            println!(
                "  {ours:.2} µs a row / SDK {sdk:.1} µs {:.2}; as fast as this machine {:.2}",
                ours / sdk,
                ours / here
            );
        }
    }
}

fn ratios(parts: &[&str]) {
    use cases::batching::Batching;
    use cases::building::Building;
    use cases::calling::Calling;
    use cases::feldera::Rows;
    use cases::parsing::Parsing;
    use cases::splitting::Splitting;

    macro_rules! ratio {
        ($what:literal, $one:expr, $other:expr) => {
            ratio!(processor, $what, $one, $other)
        };
        ($clock:ident, $what:literal, $one:expr, $other:expr) => {{
            let mut one = || {
                let _ = black_box($one);
            };
            let mut other = || {
                let _ = black_box($other);
            };
            if parts.is_empty() || parts.iter().any(|part| $what.contains(part)) {
                ratio($what, $clock, &mut one, &mut other);
            }
        }};
    }

    println!("\nratios of time");
    let case = Building::new();
    ratio!("request: ours / by hand", case.ours(), case.floor());
    ratio!("request: with url / by hand", case.with_url(), case.floor());
    let case = Calling::new(false);
    ratio!("call: ours / request and parse", case.ours(), case.floor());
    let case = Calling::new(true);
    ratio!("call with credential: ours / request and parse", case.ours(), case.floor());
    let case = Parsing::overview(500);
    ratio!("parse 500 jobs: ours / from_slice", case.ours(), case.peer());
    ratio!("parse 500 jobs: Value / from_slice", case.value(), case.peer());
    let case = Parsing::details(60);
    ratio!("parse 60 vertices: ours / from_slice", case.ours(), case.peer());
    ratio!("parse 60 vertices: Value / from_slice", case.value(), case.peer());
    let case = Parsing::pipelines(100);
    ratio!("parse 100 pipelines: ours / from_slice", case.ours(), case.peer());
    let case = Parsing::whole_pipelines(50);
    ratio!("parse 50 whole pipelines: ours / from_slice", case.ours(), case.peer());
    let case = Parsing::statistics(50);
    ratio!("parse statistics: ours / from_slice", case.ours(), case.peer());
    let case = Parsing::time_series(600);
    ratio!("parse time series: ours / from_slice", case.ours(), case.peer());
    let case = Rows::new(100);
    ratio!("egress rows: ours / Vec<&RawValue>", case.ours(), case.raw_values());
    let case = Splitting::new(10_000);
    ratio!("split 10,000 lines: Lines / memchr", case.lines(), case.floor());
    ratio!("split 10,000 lines: NdJson / memchr", case.ndjson(), case.floor());
    let (mut case, mut floor) = (Batching::new(20_000), Batching::new(20_000));
    ratio!("rows into batches: ours / to_writer", case.ours(), floor.floor());
    if parts.is_empty() || parts.contains(&"writer,") {
        writer();
    }
    let (case, mut raw) = (exchanging(), exchanging());
    ratio!(wall, "exchange: our transport / ureq", case.ours(), case.bare());
    ratio!(wall, "exchange: call and our transport / ureq", case.call(), case.bare());
    ratio!(wall, "exchange: ureq / TcpStream", case.bare(), raw.raw().expect("an answer"));
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).filter(|argument| *argument != "--bench").collect::<Vec<_>>()[..] {
        ["ratios", ref parts @ ..] => ratios(parts),
        [] if !arguments.is_empty() => {
            divan::main();
            ratios(&[]);
        }
        _ => divan::main(),
    }
}
