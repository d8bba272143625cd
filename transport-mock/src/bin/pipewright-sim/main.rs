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

flink              a simulated Flink cluster on 127.0.0.1
flink-sql-gateway  a simulated SQL Gateway with catalogs, tables, settings and jobs; try `SELECT n FROM numbers LIMIT 1000`
snowpipe           a simulated Snowflake account with Snowpipe Streaming; both of its hosts share the port
feldera            a simulated Feldera, which compiles and runs SQL programs
  --port N           the port; a free port by default
  --routes           prints the routes of the real service, and which of them are simulated. The others answer 501 with the
                     header `x-pipewright-sim: not-simulated`
  --seed S           the seed of ids and faults; 0 by default
  --faults PLAN      the faults: `none` (default), `flaky` (one request in ten), `hostile` (more than one in three), or a file.
                     A file has lines such as `start = flaky`, `reply-lost = 0.1` and `at-most = 20`, and sections such as
                     `[POST /v1/jobs/*/stop]` with their own probabilities; see `FaultPlan::parse`
  --time PACE        the speed of the clock: `real` (default), or `fast:K` for K times as fast
  --tls              serves HTTPS, and prints the path of the CA certificate that clients must trust after the URL
  --slots N          flink: the number of task slots; 4 by default
  --adaptive-scheduler  flink: jobs can be rescaled while they run
  --rescale-history N   flink: how many rescales of a job the cluster remembers, with --adaptive-scheduler; 0 by default
  --flame-graphs     flink: turns flame graphs of vertices on
  --profiling        flink: turns the profiler on
  --refresh-interval S  flink: how long responses about a job are cached, in seconds; 3 by default
  --metric-interval S   flink: how long metrics are cached, in seconds; 10 by default
  --release VERSION  flink, flink-sql-gateway: the release; 2.3.0 by default
                     feldera: `0.130`, `0.337` (default) or `0.375`
  --edition WHICH    feldera: `open-source` (default), `enterprise` or `enterprise-dev`
  --api-key KEY      feldera: the API key that clients must send after `Bearer`; any request is accepted by default
  --replay WHAT      snowpipe: how a used continuation token is answered: `accepted` (default), `stale` or `out-of-order`
  --commit-delay S   snowpipe: seconds until rows are committed, such as `0.5` or `0.1..0.4`; 5..8 by default
  --appends N        snowpipe: appends per second and channel; more are answered 429. Unlimited by default
  --number-column C  snowpipe: rejects rows whose column C is not a number; may be repeated
  --token-life S     snowpipe: how long a scoped token is valid, in seconds; 600 by default
  --advertise HOST   snowpipe: the host without a port that `/v2/streaming/hostname` returns. The vendor's SDK needs it. By
                     default, the simulator returns the `Host` of the request with its port
  --token T          snowpipe: the token that clients must send to the account host after `Bearer`; any token by default

SIGTERM and Ctrl-C stop the server. It accepts no more connections, finishes running requests within 5 s, and exits with 0.

proxy    forwards requests to a real server, and injects the same faults as a simulator; delays pass in real time
  --upstream URL     the server, such as http://127.0.0.1:8081
  --port N, --seed S, --faults PLAN  as above
  --record FILE.har  writes each exchange to a HAR file, and replaces an existing file. Bodies above 1 MiB and credentials
                     are left out; the comment of an entry names its fault
  --chance KIND=P    the probability of a kind of fault, from 0 to 1, such as `reply-lost=0.1`; may be repeated. Kinds:
                     not-sent reply-lost delay-request delay-reply too-many-requests unavailable proxy-page cut-off
                     short-body malformed-body restart unauthorized lost-route delivered-twice leader-lost
  --at-most N        the greatest number of faults; unlimited by default
  --delays S..S      the range of a delay in seconds, such as `0.1..2`

jar      writes a jar file that the simulated Flink can run
  endless            a job that runs until it is stopped
  bounded            a job that finishes after --records records (1000 by default)
  failing            a job that fails after --records records (500 by default), again after each restart
  exiting            a jar whose main method calls System.exit, which kills the JobManager; otherwise like `endless`
  -o FILE            the file to write; its name should end in .jar
  --name NAME        the name of the job; the kind of the jar by default
  --rate N           records per second; 100 by default
  --parallelism N    the parallelism, which is also the number of slots; 1 by default
  --checkpoint-interval S  seconds between checkpoints, such as `0.5`; 1 by default
  --restarts N       how often the job is restarted after a failure; unlimited by default, 2 for `failing`
  --state-incompatible  the job's tasks cannot read the state of a savepoint
  --state-dropped       the job has no operator for some of the state in a savepoint
  --exits WHEN       when the main method calls System.exit: `always` (planned or run; default of `exiting`),
                     `before-execute` or `after-execute` (only when it is run)";

/// How long requests may take to finish after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// Runs the command, after all arguments were read.
type Run = Box<dyn FnOnce() -> Result<()>>;

/// Reads the arguments after the command.
type Read = fn(lexopt::Parser) -> Result<Run>;

/// The commands.
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
            None => Err(format!("unknown command `{}`; use one of {names}", word.to_string_lossy()).into()),
        },
        Some(other) => Err(other.unexpected().into()),
        None => Err(format!("the command is missing; use one of {names}").into()),
    }
}

fn help() -> Run {
    Box::new(|| {
        print(USAGE);
        Ok(())
    })
}

/// Prints the routes, simulated routes first.
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
    // From here on, a signal leaves no file behind.
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

/// Prints the address of the server.
fn announce(url: &str) {
    print(format_args!("listening on {url}"));
}

/// Prints how the shutdown ended.
fn report(finished: bool) {
    if finished {
        say_last("shut down");
    } else {
        say_last(format_args!("shut down; requests that took longer than {} s were cut off", GRACE.as_secs()));
    }
}

/// The options of every simulator.
struct CommonOptions {
    port: u16,
    seed: u64,
    time: Time,
    tls: bool,
    faults: Faults,
}

/// The plan of faults, before the seed is known.
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
                other => {
                    return Err(format!("--replay {other}: unknown; use `accepted`, `stale` or `out-of-order`").into());
                }
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
        return Err(format!(
            "--advertise {text}: not a host name; use a name without scheme and port, such as `localhost`"
        )
        .into());
    }
    Ok(text.to_owned())
}

/// Parses a number of seconds, not a range.
fn duration(parser: &mut lexopt::Parser, option: &str) -> Result<Duration> {
    let text = parser.value()?.string()?;
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| format!("{option} {text}: not a number of seconds; use one such as 0.5").into())
}

/// Parses a number of seconds, or a range.
fn seconds(parser: &mut lexopt::Parser, option: &str) -> Result<RangeInclusive<Duration>> {
    let text = parser.value()?.string()?;
    let (from, to) = text.split_once("..").unwrap_or((&text, &text));
    let read = |text: &str| text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let range = read(from).zip(read(to)).map(|(from, to)| from..=to).filter(|range| !range.is_empty());
    range.ok_or_else(|| {
        format!("{option} {text}: not a number of seconds; use one such as 0.5, or a range such as 0.1..0.4").into()
    })
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
                    let known = "unknown; use `open-source`, `enterprise` or `enterprise-dev`";
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
        return Err(format!("--release {text}: not a version; use one such as 1.20.5").into());
    }
    Ok(text)
}

/// Parses the value of an option. An error names the option.
fn value<T: FromStr<Err: Display>>(parser: &mut lexopt::Parser, option: &str) -> Result<T> {
    let text = parser.value()?.string()?;
    text.parse().map_err(|error| format!("{option} {text}: {error}").into())
}

/// Parses a port. The standard library's error does not name the range.
fn port(parser: &mut lexopt::Parser) -> Result<u16> {
    let text = parser.value()?.string()?;
    text.parse()
        .map_err(|_| format!("--port {text}: not a port; use a number up to 65535, or 0 for any free port").into())
}
