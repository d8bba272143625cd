//! Serves the simulators on a loopback port, writes jars for the simulated cluster, and injects faults in front of real
//! servers. The README of this package shows how to use it; `pipewright_mock::serve` documents limits and faults.
//!
//! Prints where it listens, and then a line for each request on the standard error output.

#[cfg(feature = "tls")]
mod ca_file;
mod jar;
mod output;
mod proxy;
mod signals;

use std::error::Error;
use std::ffi::OsString;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use lexopt::prelude::*;
use pipewright_mock::serve::{Options, Served, Server, Time};
use pipewright_mock::{FaultPlan, Route, Service, feldera, flink, snowpipe, sql_gateway};

#[cfg(feature = "tls")]
use self::ca_file::CaFile;
use self::output::{print, say, say_last};
use self::signals::{Signals, within_grace};

const USAGE: &str = "\
usage: pipewright-sim flink|flink-sql-gateway|snowpipe|feldera [--port N] [--seed S] [--faults none|flaky|hostile|FILE]
                      [--time real|fast:K]
                      [--tls]
       pipewright-sim proxy --upstream http://HOST:PORT [--port N] [--seed S] [--faults none|flaky|hostile|FILE]
                            [--record FILE.har] [--chance KIND=P]...
                            [--at-most N] [--delays S..S]
       pipewright-sim flink|flink-sql-gateway|snowpipe|feldera --routes
       pipewright-sim jar endless|bounded|failing|exiting -o FILE [--name NAME] [--rate N] [--records N]
                          [--parallelism N] [--restarts N] [--checkpoint-interval S]
                          [--state-incompatible] [--state-dropped] [--exits WHEN]

flink    a simulated Flink cluster on 127.0.0.1
flink-sql-gateway  a simulated SQL Gateway: catalogs, tables, settings, jobs; `SELECT n FROM numbers LIMIT 1000` has rows
snowpipe a simulated Snowflake account with Snowpipe Streaming, both of its hosts on one port
feldera  a simulated Feldera, which compiles and runs SQL programs
  --port N           the port; any free port by default
  --routes           prints the routes of the real service and whether they are simulated; those that are not are answered
                     501, with the header `x-pipewright-sim: not-simulated`
  --seed S           what ids and faults are drawn from; 0 by default
  --faults PLAN      what goes wrong: `none` (default), `flaky` (one request in ten), `hostile` (one in three), or a
                     file with a plan: lines such as `start = flaky`, `reply-lost = 0.1`, `at-most = 20`, and sections such
                     as `[POST /v1/jobs/*/stop]` with chances of their own; see `FaultPlan::parse`
  --time PACE        `real` (default), or `fast:K`: K times as fast as the machine's clock
  --tls              serves HTTPS; the path of the CA certificate that clients have to trust is printed behind the URL
  --slots N          flink: task slots; 4 by default
  --adaptive-scheduler  flink: jobs can be rescaled while they run
  --rescale-history N   flink: how many rescales of a job are remembered, with --adaptive-scheduler; 0 by default
  --flame-graphs     flink: vertices have flame graphs
  --profiling        flink: there is a profiler
  --refresh-interval S  flink: how old an answer about a job may be, in seconds; 3 by default
  --metric-interval S   flink: how old metrics may be, in seconds; 10 by default
  --release VERSION  flink, flink-sql-gateway: the release; 2.3.0 by default
                     feldera: `0.130`, `0.337` (default) or `0.375`
  --edition WHICH    feldera: `open-source` (default), `enterprise` or `enterprise-dev`
  --api-key KEY      feldera: what it takes after `Bearer`; anything by default
  --replay WHAT      snowpipe: what a used continuation token gets: `accepted` (default), `stale` or `out-of-order`
  --commit-delay S   snowpipe: seconds until rows are committed, as in `0.5` or `0.1..0.4`; 5..8 by default
  --appends N        snowpipe: appends a second and channel, above which 429 is answered; any number by default
  --number-column C  snowpipe: a row whose C is no number is rejected; may be given several times
  --token-life S     snowpipe: seconds that a scoped token lives; 600 by default
  --advertise HOST   snowpipe: the host without a port that `/v2/streaming/hostname` answers, as the vendor's SDK needs it;
                     the `Host` of the request, with its port, by default
  --token T          snowpipe: what its account host takes after `Bearer`; anything by default

SIGTERM and Ctrl-C end a server: it takes no more connections, finishes the requests that it has within 5 s, and exits with 0.

proxy    forwards to a real server and lets requests go wrong as in a simulator; delays pass in real time
  --upstream URL     the server, as in http://127.0.0.1:8081
  --port N           as above, and so are --seed and --faults
  --record FILE.har  writes each exchange to a HAR file, which is replaced. Bodies of more than 1 MiB and credentials are
                     left out; the comment of an entry names its fault
  --chance KIND=P    how likely this kind of fault is, from 0 to 1, as in `reply-lost=0.1`; may be given several times. Kinds:
                     not-sent reply-lost delay-request delay-reply too-many-requests unavailable proxy-page cut-off
                     short-body malformed-body restart unauthorized lost-route delivered-twice leader-lost
  --at-most N        how many faults there are; any number by default
  --delays S..S      seconds that a delay takes, as in `0.1..2`

jar      a file for it to run
  endless            runs until it is stopped
  bounded            finishes after --records (1000 by default)
  failing            fails after --records (500 by default), each time it runs
  exiting            its main method calls System.exit, which kills the JobManager; otherwise as `endless`
  -o FILE            where to write it; its name should end in .jar
  --name NAME        the name of its job
  --rate N           records a second; 100 by default
  --parallelism N    slots it takes; 1 by default
  --checkpoint-interval S  seconds from one checkpoint to the next, as in `0.5`; 1 by default
  --restarts N       how often it is restarted when it fails; always by default, 2 times if it is `failing`
  --state-incompatible  its tasks cannot read the state of a savepoint
  --state-dropped       it has no operator any more for some state of a savepoint
  --exits WHEN       when its main method calls System.exit: `always` (planned or run; default of `exiting`),
                     `before-execute` or `after-execute` (only when it is run)";

/// How long requests may take to finish after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// What is left to do once all arguments have been read.
type Run = Box<dyn FnOnce() -> Result<()>>;

/// Reads the arguments behind the first word.
type Read = fn(lexopt::Parser) -> Result<Run>;

/// The words that the command line may begin with.
const COMMANDS: [(&str, Read); 6] = [
    ("flink", |parser| {
        simulator(parser, flink::routes, flink_option, |config, seed| config.seed = seed, Options::flink)
    }),
    ("flink-sql-gateway", |parser| {
        let seed = |config: &mut sql_gateway::Config, seed| config.seed = seed;
        simulator(parser, sql_gateway::routes, sql_gateway_option, seed, Options::sql_gateway)
    }),
    ("snowpipe", |parser| {
        simulator(parser, snowpipe::routes, snowpipe_option, |config, seed| config.seed = seed, Options::snowpipe)
    }),
    ("feldera", |parser| {
        simulator(parser, feldera::routes, feldera_option, |config, seed| config.seed = seed, Options::feldera)
    }),
    ("proxy", proxy::proxy),
    ("jar", jar::jar),
];

fn main() -> ExitCode {
    let run = match command(lexopt::Parser::from_env()) {
        Ok(run) => run,
        Err(error) => {
            say(format_args!("pipewright-sim: {error}\n\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say_last(format_args!("pipewright-sim: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn command(mut parser: lexopt::Parser) -> Result<Run> {
    let names = COMMANDS.map(|(name, _)| format!("`{name}`")).join(", ");
    match parser.next()? {
        Some(Long("help") | Short('h')) => Ok(help()),
        Some(Value(word)) => match COMMANDS.iter().find(|(name, _)| word == *name) {
            Some((_, read)) => read(parser),
            None => Err(format!("`{}` is not one of {names}", word.to_string_lossy()).into()),
        },
        Some(other) => Err(other.unexpected().into()),
        None => Err(format!("what is it to do: one of {names}?").into()),
    }
}

fn help() -> Run {
    Box::new(|| {
        print(USAGE);
        Ok(())
    })
}

/// Prints routes, those that are simulated first.
fn list(mut routes: Vec<Route>) -> Run {
    Box::new(move || {
        routes.sort_by_key(|route| !route.is_simulated);
        for route in routes {
            print(format_args!("{:<13}  {route}", if route.is_simulated { "simulated" } else { "not simulated" }));
        }
        Ok(())
    })
}

/// Serves until the process is ended, or the service ends by itself.
fn serve<S: Service + 'static>(options: Options<S>) -> Result<()> {
    // A signal that comes from now on leaves no file behind.
    let signals = Signals::register()?;
    let server = Server::start(options)?;
    #[cfg(feature = "tls")]
    let file = server.ca_certificate().map(CaFile::create).transpose()?;
    announce(server.url());
    #[cfg(feature = "tls")]
    if let Some(file) = &file {
        print(format_args!("CA certificate: {}", file.path().display()));
    }
    let signalled = signals.wait_while(|| server.is_running());
    let finished = within_grace(move || server.shutdown(GRACE));
    #[cfg(feature = "tls")]
    drop(file);
    if signalled {
        report(finished);
    } else {
        say_last("the service was shut down");
    }
    Ok(())
}

/// Says where the server listens.
fn announce(url: &str) {
    print(format_args!("listening on {url}"));
}

/// Says how a shutdown went.
fn report(finished: bool) {
    if finished {
        say_last("shut down");
    } else {
        say_last(format_args!("shut down; requests that took longer than {} s were cut off", GRACE.as_secs()));
    }
}

/// What every simulator can be told.
struct CommonOptions {
    port: u16,
    seed: u64,
    time: Time,
    tls: bool,
    faults: Faults,
}

/// Where the faults come from.
enum Faults {
    Named(fn(u64) -> FaultPlan),
    /// The text of a file, and its name.
    File(String, String),
}

impl CommonOptions {
    fn new() -> Self {
        Self { port: 0, seed: 0, time: Time::Real, tls: false, faults: Faults::Named(|_| FaultPlan::none()) }
    }

    /// Reads an option's value; false if it is another option.
    fn read(&mut self, option: &str, parser: &mut lexopt::Parser) -> Result<bool> {
        match option {
            "port" => self.port = port(parser)?,
            "seed" => self.seed = value(parser, "--seed")?,
            "time" => self.time = value(parser, "--time")?,
            "tls" if cfg!(feature = "tls") => self.tls = true,
            "tls" => return Err("--tls: this program was built without TLS; build it with `--features sql,tls`".into()),
            "faults" => {
                self.faults = match parser.value()?.to_string_lossy().as_ref() {
                    "none" => Faults::Named(|_| FaultPlan::none()),
                    "flaky" => Faults::Named(FaultPlan::flaky),
                    "hostile" => Faults::Named(FaultPlan::hostile),
                    file => {
                        let text = std::fs::read_to_string(file).map_err(|error| {
                            format!("--faults {file}: {error}; use none, flaky, hostile or a file with a plan")
                        })?;
                        Faults::File(text, file.to_owned())
                    }
                };
                self.plan()?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn plan(&self) -> Result<FaultPlan> {
        match &self.faults {
            Faults::Named(plan) => Ok(plan(self.seed)),
            Faults::File(text, file) => {
                FaultPlan::parse(text, self.seed).map_err(|error| format!("--faults {file}: {error}").into())
            }
        }
    }

    fn applied<S>(&self, options: Options<S>) -> Result<Options<S>> {
        let options = options.port(self.port).time(self.time).faults(self.plan()?);
        #[cfg(feature = "tls")]
        let options = if self.tls { options.tls() } else { options };
        Ok(options.on_request(log))
    }
}

/// Writes a line for a request.
fn log(served: &Served) {
    say(served);
}

/// Reads arguments up to the end: common options, and those of one simulator, which are read into its configuration.
fn simulator<C: Default + 'static, S: Service + 'static>(
    mut parser: lexopt::Parser,
    routes: fn() -> Vec<Route>,
    special: fn(&mut C, &str, &mut lexopt::Parser) -> Result<bool>,
    seed: fn(&mut C, u64),
    options: fn(C) -> Options<S>,
) -> Result<Run> {
    let (mut common, mut config) = (CommonOptions::new(), C::default());
    while let Some(argument) = parser.next()? {
        let name = match argument {
            Long("help") | Short('h') => return Ok(help()),
            Long("routes") => return Ok(list(routes())),
            Long(name) => name.to_owned(),
            other => return Err(other.unexpected().into()),
        };
        if !common.read(&name, &mut parser)? && !special(&mut config, &name, &mut parser)? {
            return Err(Long(&name).unexpected().into());
        }
    }
    seed(&mut config, common.seed);
    Ok(Box::new(move || serve(common.applied(options(config))?)))
}

fn flink_option(config: &mut flink::Config, name: &str, parser: &mut lexopt::Parser) -> Result<bool> {
    match name {
        "slots" => config.slots = value(parser, "--slots")?,
        "adaptive-scheduler" => config.adaptive_scheduler = true,
        "rescale-history" => config.rescale_history = value(parser, "--rescale-history")?,
        "flame-graphs" => config.flame_graphs = true,
        "profiling" => config.profiling = true,
        "refresh-interval" => config.refresh_interval = duration(parser, "--refresh-interval")?,
        "metric-interval" => config.metric_interval = duration(parser, "--metric-interval")?,
        "release" => config.version = release(parser.value()?)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn sql_gateway_option(config: &mut sql_gateway::Config, name: &str, parser: &mut lexopt::Parser) -> Result<bool> {
    match name {
        "release" => config.version = release(parser.value()?)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn snowpipe_option(config: &mut snowpipe::Config, name: &str, parser: &mut lexopt::Parser) -> Result<bool> {
    match name {
        "replay" => {
            config.replay = match parser.value()?.to_string_lossy().as_ref() {
                "accepted" => snowpipe::Replay::Accepted,
                "stale" => snowpipe::Replay::Stale,
                "out-of-order" => snowpipe::Replay::OutOfOrder,
                other => return Err(format!("--replay {other}: it is `accepted`, `stale` or `out-of-order`").into()),
            };
        }
        "commit-delay" => config.commit_delay = seconds(parser, "--commit-delay")?,
        "appends" => config.appends_per_second = Some(value(parser, "--appends")?),
        "number-column" => config.number_columns.push(parser.value()?.string()?),
        "token-life" => config.token_life = duration(parser, "--token-life")?,
        "advertise" => config.advertised_host = Some(host(&parser.value()?.string()?)?),
        "token" => config.credential = Some(parser.value()?.string()?),
        _ => return Ok(false),
    }
    Ok(true)
}

/// A host without scheme, port and path.
fn host(text: &str) -> Result<String> {
    let is_part =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if !text.split('.').all(is_part) {
        return Err(
            format!("--advertise {text}: it is a bare host name such as localhost, without scheme and port").into()
        );
    }
    Ok(text.to_owned())
}

/// Seconds, and no range of them.
fn duration(parser: &mut lexopt::Parser, option: &str) -> Result<Duration> {
    let text = parser.value()?.string()?;
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| format!("{option} {text}: it is seconds, as in 0.5").into())
}

/// Seconds, or a range of them.
fn seconds(parser: &mut lexopt::Parser, option: &str) -> Result<RangeInclusive<Duration>> {
    let text = parser.value()?.string()?;
    let (from, to) = text.split_once("..").unwrap_or((&text, &text));
    let read = |text: &str| text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let range = read(from).zip(read(to)).map(|(from, to)| from..=to).filter(|range| !range.is_empty());
    range.ok_or_else(|| format!("{option} {text}: it is seconds, as in 0.5, or a range of them, as in 0.1..0.4").into())
}

fn feldera_option(config: &mut feldera::Config, name: &str, parser: &mut lexopt::Parser) -> Result<bool> {
    match name {
        "release" => config.release = value(parser, "--release")?,
        "api-key" => config.api_key = Some(parser.value()?.string()?),
        "edition" => {
            config.edition = match parser.value()?.to_string_lossy().as_ref() {
                "open-source" => feldera::Edition::OpenSource,
                "enterprise" => feldera::Edition::Enterprise,
                "enterprise-dev" => feldera::Edition::EnterpriseDev,
                other => {
                    let known = "it is `open-source`, `enterprise` or `enterprise-dev`";
                    return Err(format!("--edition {other}: {known}").into());
                }
            };
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn release(text: OsString) -> Result<String> {
    let text = text.string()?;
    let numbers = text.split('.').filter(|number| number.parse::<u32>().is_ok()).count();
    if numbers < 2 || numbers != text.split('.').count() {
        return Err(format!("--release {text}: it is a version such as 1.20.5").into());
    }
    Ok(text)
}

/// The value of an option; an error names it.
fn value<T: FromStr<Err: Display>>(parser: &mut lexopt::Parser, option: &str) -> Result<T> {
    let text = parser.value()?.string()?;
    text.parse().map_err(|error| format!("{option} {text}: {error}").into())
}

/// A port, which the standard library's own error does not tell the range of.
fn port(parser: &mut lexopt::Parser) -> Result<u16> {
    let text = parser.value()?.string()?;
    text.parse()
        .map_err(|_| format!("--port {text}: it is a number from 0, which means any free port, to 65535").into())
}
