//! Deploys a Feldera pipeline, ingests a file, prints the changes of a view, makes a checkpoint, and stops.
//!
//! ```text
//! feldera_session --url URL [--api-key-env NAME] --pipeline NAME --sql FILE
//!                 [--table T --rows FILE [--resend]] [--view V] [--force-stop] [--keep-running]
//! ```
//!
//! Try it with the simulator. With a real Feldera, pass its address:
//!
//! ```sh
//! cat > orders.sql <<'END'
//! CREATE TABLE orders (id BIGINT NOT NULL PRIMARY KEY, item VARCHAR);
//! CREATE MATERIALIZED VIEW sold AS SELECT * FROM orders;
//! END
//! cat > rows.ndjson <<'END'
//! {"id":1,"item":"bolt"}
//! {"id":2,"item":"nut"}
//! {"id":1,"item":"screw"}
//! END
//! cargo build -p pipewright-mock --features serve,sql --bin pipewright-sim
//! target/debug/pipewright-sim feldera --port 8080 --edition enterprise &
//! cargo run -p pipewright-ureq --example feldera_session -- --url http://127.0.0.1:8080 --pipeline shop \
//!     --sql orders.sql --table orders --rows rows.ndjson --view sold
//! kill %1
//! ```
//!
//! The tool creates the pipeline, or changes and restarts it if it runs other SQL, and waits until it runs. To change a
//! running pipeline, it stops the pipeline with a checkpoint. The open-source edition makes no checkpoints: there,
//! `--force-stop` is required. It stops the pipeline without a checkpoint, and **all changes since its last checkpoint
//! are lost**.
//!
//! The rows are lines of JSON, which are inserted. If the file's name ends in `.csv`, they are lines of CSV without a
//! header. The tool reads the file as fast as the pipeline ingests it. Rows that cannot be parsed are left out; the
//! tool names the first twenty. If a response is lost, it is unknown whether its rows were ingested: the tool names
//! these rows, and does not send them again. `--resend` lets it send them again: use it if a second copy of a row is
//! harmless, as in a table with a primary key.
//!
//! The changes of the view, from before the first row until the last row is processed, go to the standard output: one
//! change in each line, `{"insert":{…}}` or `{"delete":{…}}`. Without `--rows`, the tool prints what the view holds;
//! this needs Feldera 0.298 or later. Everything else goes to the standard error output.
//!
//! At the end, the tool stops the pipeline, with a checkpoint if the edition supports checkpoints. **The open-source
//! edition does not: the contents of the tables are lost.** `--keep-running` leaves the pipeline running. After an
//! error it is also left running, so that you can inspect it. `--api-key-env` names an environment variable with the
//! API key.
//!
//! Exit codes: 0 done; 1 failed, or rows were not ingested; 2 wrong usage; 4 it is unknown whether a request was
//! carried out, or whether rows were ingested.

use std::error::Error;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use pipewright::Secret;
use pipewright::driver::{Stream, ignore_notices};
use pipewright::error::{ErrorKind, FlowError, TransportErrorKind};
use pipewright::feldera::data::DataFormat;
use pipewright::feldera::pipelines::{GetPipeline, ProgramError, Relation, Schema, Selector};
use pipewright::feldera::platform::GetConfig;
use pipewright::feldera::stream::{Egress, HttpOutput};
use pipewright::feldera::{Checkpoint, Deploy, ErrorCode, Feldera, Ingest, Interruption, Stop, error_code};
use pipewright::flow::{Call, Retry};
use pipewright_ureq::Ureq;

use crate::feed::{Rows, Tally, feed};
use crate::support::{Progress, tell};

#[path = "support/feed.rs"]
mod feed;
mod support;

const USAGE: &str = "usage: feldera_session --url URL [--api-key-env NAME] --pipeline NAME --sql FILE
       [--table T --rows FILE [--resend]] [--view V] [--force-stop] [--keep-running]

Deploys a pipeline, ingests the file, prints the changes of the view as lines of JSON, makes a checkpoint, and stops.

  --url URL           the address of Feldera, such as http://127.0.0.1:8080
  --api-key-env NAME  the environment variable with the API key
  --pipeline NAME     the pipeline, which is created, or changed and restarted if its SQL differs
  --sql FILE          the SQL program
  --table T           the table to insert the rows into
  --rows FILE         the rows: lines of JSON, or lines of CSV without a header if the name ends in .csv
  --resend            sends rows again if it is unknown whether they were ingested; for tables with a primary key
  --view V            the view to print
  --force-stop        if a running pipeline must be restarted, stops it without a checkpoint: changes since its last
                      checkpoint are lost. The open-source edition needs this option
  --keep-running      leaves the pipeline running
  --help              this text";

/// The release since which a subscription can begin with what there is. Those before ignore that it is asked for.
const SNAPSHOTS: (u64, u64) = (0, 298);
/// A heartbeat that was waited for longer than this was not on its way already.
const WAITED: Duration = Duration::from_millis(250);
/// How long changes are printed that come from elsewhere, once our rows are processed.
const LINGER: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let options = match Options::parse() {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            tell(format_args!("feldera_session: {error}\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    match session(&options) {
        Ok(tally) => ExitCode::from(match tally {
            Tally { unconfirmed: 1.., .. } => 4,
            Tally { rejected: 1.., .. } => 1,
            Tally { .. } => 0,
        }),
        Err(problem) => {
            tell(format_args!("feldera_session: {}", problem.text));
            ExitCode::from(if problem.outcome_unknown { 4 } else { 1 })
        }
    }
}

/// Why a session ends before its end.
struct Problem {
    text: String,
    outcome_unknown: bool,
}

impl<T: ToString> From<T> for Problem {
    fn from(text: T) -> Self {
        Self { text: text.to_string(), outcome_unknown: false }
    }
}

impl Problem {
    /// A doubt is not forgotten over what comes after it.
    fn unconfirmed(self, tally: &Tally) -> Self {
        Self { outcome_unknown: self.outcome_unknown || tally.unconfirmed > 0, ..self }
    }
}

fn session(options: &Options) -> Result<Tally, Problem> {
    let progress = Progress::new();
    let sql = std::fs::read_to_string(&options.sql).map_err(|error| in_file(&options.sql, error))?;
    // To the compiler of SQL, a byte order mark is an unknown character.
    let sql = sql.trim_start_matches('\u{feff}');
    let input = match &options.input {
        Some(input) => Some((input, Rows::open(&input.rows).map_err(|error| in_file(&input.rows, error))?)),
        None => None,
    };
    let client = Client { feldera: options.feldera()?, options, sql, progress: &progress };

    let version = client.greet()?;
    if options.view.is_some() && options.input.is_none() && is_before(&version, SNAPSHOTS) {
        let (major, minor) = SNAPSHOTS;
        return Err(format!(
            "--view without rows: Feldera {version} cannot tell what a view holds, {major}.{minor} and later can"
        )
        .into());
    }
    client.deploy()?;
    let ended = client.work(input).and_then(|(tally, followed)| {
        let ended = followed.and_then(|()| if options.keep_running { Ok(()) } else { client.end() });
        ended.map(|()| tally).map_err(|problem| problem.unconfirmed(&tally))
    });
    if ended.is_err() || options.keep_running {
        progress.say(&format!("pipeline {} was not stopped", options.pipeline));
    }
    ended
}

struct Client<'a> {
    feldera: Feldera<Ureq>,
    options: &'a Options,
    sql: &'a str,
    progress: &'a Progress,
}

impl Client<'_> {
    /// Checks that a server answers and accepts the key. Flows wait longer for a server that does not answer.
    fn greet(&self) -> Result<String, Problem> {
        let config = self.feldera.config().clone().with_retry(Retry::default().with_attempts(5));
        let mut call = Call::new(GetConfig::new(), &config, self.feldera.seed());
        let platform = self.feldera.drive(&mut call, ignore_notices).map_err(|error| self.explain(&error))?;
        let version = platform.version.unwrap_or_else(|| "of an unknown version".to_owned());
        self.progress.say(&format!("Feldera {version}, {}", platform.edition.unwrap_or_default()));
        Ok(version)
    }

    fn deploy(&self) -> Result<(), Problem> {
        let goal = Deploy::new(&self.options.pipeline, self.sql).force_stop(self.options.force_stop);
        let deployed = self.feldera.run_with(goal, |notice| self.progress.show(&notice));
        let deployed = deployed.map_err(|error| self.explain(&error))?;
        let version = deployed.pipeline.program_version.unwrap_or_default();
        self.progress.say(&format!("pipeline {} runs version {version} of its program", self.options.pipeline));
        Ok(())
    }

    /// Rows go in while a thread prints what changes.
    fn work(&self, input: Option<(&Input, Rows)>) -> Result<(Tally, Result<(), Problem>), Problem> {
        let view = match &self.options.view {
            Some(view) => Some((view, self.subscribe(view, input.is_none())?)),
            None => None,
        };
        let processed = OnceLock::new();
        thread::scope(|scope| {
            let reader = view.map(|(view, mut stream)| {
                let (processed, feeds) = (&processed, input.is_some());
                scope.spawn(move || {
                    let result = if feeds { self.follow(&mut stream, processed) } else { self.list(&mut stream) };
                    result.map_err(|error| Problem::from(format!("view {view}: {error}")))
                })
            });
            let fed = input.map_or(Ok(Tally::default()), |(input, rows)| self.feed(input, rows));
            // Also after an error: the reader is not to wait for rows that do not come.
            let _ = processed.set(Instant::now());
            let followed = reader.map_or(Ok(()), |reader| reader.join().unwrap_or_else(|_| Err("it panicked".into())));
            Ok((fed?, followed))
        })
    }

    /// The subscription is there when this returns: what changes afterwards is in the stream.
    fn subscribe(&self, view: &str, snapshot: bool) -> Result<Stream<Egress>, Problem> {
        let output = HttpOutput::new(&self.options.pipeline, view, DataFormat::Json);
        // A slow reader slows the pipeline down, and loses nothing.
        self.feldera.open(output.backpressure(true).send_snapshot(snapshot)).map_err(|error| self.explain(&error))
    }

    /// Prints what changes until the rows that were fed have come through.
    fn follow(&self, stream: &mut Stream<Egress>, processed: &OnceLock<Instant>) -> Result<(), Box<dyn Error>> {
        loop {
            let (ends, asked) = (processed.get(), Instant::now());
            let Some(chunk) = stream.next_item()? else {
                return Err("its changes ended before all rows were processed: the pipeline has stopped".into());
            };
            for row in chunk.rows() {
                self.progress.print(row)?;
            }
            // Heartbeats come in a silence of 3 s: before one that had to be waited for, everything was printed.
            if ends.is_some() && chunk.is_heartbeat() && asked.elapsed() > WAITED {
                return Ok(());
            }
            if ends.is_some_and(|since| since.elapsed() > LINGER) {
                self.progress.say("the view changes further; no more changes are shown");
                return Ok(());
            }
        }
    }

    /// Prints what there is.
    fn list(&self, stream: &mut Stream<Egress>) -> Result<(), Box<dyn Error>> {
        while let Some(chunk) = stream.next_item()? {
            if !chunk.snapshot {
                return Ok(());
            }
            for row in chunk.rows() {
                self.progress.print(row)?;
            }
        }
        Err("what it holds was cut off: the pipeline has stopped".into())
    }

    fn feed(&self, input: &Input, rows: Rows) -> Result<Tally, Problem> {
        let mut goal = Ingest::new(&self.options.pipeline, &input.table);
        if rows.are_csv() {
            goal = goal.csv();
        }
        feed(&self.feldera, goal, input.resend, rows, self.progress, |error| self.explain(error))
    }

    /// A checkpoint, if the edition makes any, and the end.
    fn end(&self) -> Result<(), Problem> {
        let goal = Checkpoint::new(&self.options.pipeline).timeout(Duration::from_secs(600));
        let made = self.feldera.run_with(goal, |notice| self.progress.show(&notice));
        let is_kept = made.is_ok();
        match made {
            Ok(made) => self.progress.say(&format!("checkpoint {} is durable", made.number)),
            Err(error) if says(&error, &ErrorCode::EnterpriseFeature) => {
                self.progress.say("no checkpoint: the open-source edition makes none, and stops without");
            }
            Err(error) => return Err(self.explain(&error)),
        }
        let goal = Stop::new(&self.options.pipeline).or_forced();
        let stopped = self.feldera.run_with(goal, |notice| self.progress.show(&notice));
        let stopped = stopped.map_err(|error| self.explain(&error))?;
        let kept = if is_kept || stopped.checkpoint.is_some() {
            "it continues from its checkpoint when it is started again"
        } else {
            "what its tables held is gone"
        };
        self.progress.say(&format!("pipeline {} is stopped: {kept}", self.options.pipeline));
        Ok(())
    }

    /// An error of the library, with what to do about it here.
    fn explain(&self, error: &FlowError) -> Problem {
        let outcome_unknown = error.is_ambiguous();
        let hint = self.hint(error);
        let text = match Interruption::of(error) {
            Some(Interruption::NotCompiled { error, .. }) => marked(&self.options.sql, self.sql, error),
            _ => error.to_string(),
        };
        let text = if hint.is_empty() { text } else { format!("{text}\n{hint}") };
        Problem { text, outcome_unknown }
    }

    fn hint(&self, error: &FlowError) -> String {
        let Options { url, pipeline, key, input, view, .. } = self.options;
        let key = key.as_ref().map(|(name, _)| name);
        let rejection = error.service();
        match (error, rejection.and_then(error_code)) {
            (FlowError::Transport(error), _)
                if matches!(error.kind(), TransportErrorKind::Connect | TransportErrorKind::Resolve) =>
            {
                format!("is Feldera running at {url}, and is that its address? --url names it")
            }
            (_, Some(ErrorCode::UnknownInputStream)) => {
                let table = input.as_ref().map_or("", |input| &input.table);
                let tables = self.names(|schema| &schema.inputs);
                format!("pipeline {pipeline} has no table {table}. Its tables: {tables}")
            }
            (_, Some(ErrorCode::UnknownOutputStream)) => {
                let view = view.as_deref().unwrap_or_default();
                let views = self.names(|schema| &schema.outputs);
                format!("pipeline {pipeline} has no view {view}. Its views: {views}")
            }
            (_, Some(ErrorCode::InvalidTransportConfig)) => {
                "without rows, what the view holds is shown; only a MATERIALIZED VIEW can tell".to_owned()
            }
            (_, Some(ErrorCode::EnterpriseFeature)) => {
                "--force-stop stops without a checkpoint what runs there, and what that has computed is lost".to_owned()
            }
            (FlowError::Credential(_), _) => {
                let name = key.map_or("", String::as_str);
                format!(
                    "is the value of the environment variable {name} a key of this Feldera? One begins with apikey:"
                )
            }
            _ => match (rejection.map(|rejection| (rejection.status().as_u16(), rejection.kind())), key) {
                (Some((401, _)), None) => "--api-key-env names the environment variable that holds the key".to_owned(),
                (Some((403, _)), Some(name)) => {
                    format!("the key is the value of the environment variable {name}")
                }
                (Some((_, ErrorKind::Foreign | ErrorKind::Unreadable)), _) => {
                    format!("is it Feldera that answers at {url}?")
                }
                _ => String::new(),
            },
        }
    }

    /// The names of what the program declares.
    fn names(&self, relations: impl Fn(&Schema) -> &[Relation]) -> String {
        match self.feldera.call(GetPipeline::new(&self.options.pipeline).selector(Selector::All)) {
            Ok(pipeline) => {
                let schema = pipeline.program_info.map(|info| info.schema);
                let names: Vec<_> = schema.iter().flat_map(relations).map(Relation::identifier).collect();
                if names.is_empty() { "none".to_owned() } else { names.join(", ") }
            }
            Err(error) => format!("cannot be told: {error}"),
        }
    }
}

/// Of a version that does not look like one nothing is known.
fn is_before(version: &str, release: (u64, u64)) -> bool {
    let mut numbers = version.split('.').map_while(|number| number.parse().ok());
    numbers.next().zip(numbers.next()).is_some_and(|version| version < release)
}

fn says(error: &FlowError, code: &ErrorCode) -> bool {
    error.service().and_then(error_code).as_ref() == Some(code)
}

fn in_file(file: &Path, error: impl Display) -> String {
    format!("{}: {error}", file.display())
}

/// What the compilers said, with the lines of the SQL it is about.
fn marked(file: &Path, sql: &str, error: &ProgramError) -> String {
    let mut text = format!("{} does not compile", file.display());
    for message in error.sql_errors() {
        let (Some(line), Some(column)) = (message.start_line_number, message.start_column) else {
            text = format!("{text}\n{}: {message}", file.display());
            continue;
        };
        let kind = message.error_type.as_deref().unwrap_or("error");
        let problem = message.message.as_deref().unwrap_or_default();
        text = format!("{text}\n{}:{line}:{column}: {kind}: {problem}", file.display());
        let index = usize::try_from(line).ok().and_then(|line| line.checked_sub(1));
        if let Some(source) = index.and_then(|index| sql.lines().nth(index)) {
            let end = message.end_column.filter(|_| message.end_line_number == Some(line)).unwrap_or(column);
            let before: String =
                source.chars().zip(1..column).map(|(letter, _)| if letter == '\t' { '\t' } else { ' ' }).collect();
            let mark: String = source.chars().zip(column..=end.max(column)).map(|_| '^').collect();
            text = format!("{text}\n  {source}\n  {before}{mark}");
        }
    }
    if error.sql_errors().next().is_none() {
        text = format!("{text}\n{error}");
    }
    text
}

struct Options {
    url: String,
    /// The name of an environment variable, and its value.
    key: Option<(String, Secret)>,
    pipeline: String,
    sql: PathBuf,
    input: Option<Input>,
    view: Option<String>,
    force_stop: bool,
    keep_running: bool,
}

struct Input {
    table: String,
    rows: PathBuf,
    resend: bool,
}

impl Options {
    /// `None` if help is wanted.
    fn parse() -> Result<Option<Self>, Box<dyn Error>> {
        use lexopt::prelude::*;

        let (mut url, mut key, mut pipeline, mut sql) = (None, None, None, None);
        let (mut table, mut rows, mut view) = (None, None, None);
        let (mut resend, mut force_stop, mut keep_running) = (false, false, false);
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("url") => url = Some(parser.value()?.string()?),
                Long("api-key-env") => key = Some(secret(parser.value()?.string()?)?),
                Long("pipeline") => pipeline = Some(parser.value()?.string()?),
                Long("sql") => sql = Some(parser.value()?.into()),
                Long("table") => table = Some(parser.value()?.string()?),
                Long("rows") => rows = Some(parser.value()?.into()),
                Long("resend") => resend = true,
                Long("view") => view = Some(parser.value()?.string()?),
                Long("force-stop") => force_stop = true,
                Long("keep-running") => keep_running = true,
                Long("help") | Short('h') => return Ok(None),
                other => return Err(other.unexpected().into()),
            }
        }
        let input = match (table, rows) {
            (Some(table), Some(rows)) => Some(Input { table, rows, resend }),
            (None, None) if resend => return Err("--resend is for rows: --table and --rows are missing".into()),
            (None, None) => None,
            (Some(_), None) => return Err("--table needs --rows".into()),
            (None, Some(_)) => return Err("--rows needs --table".into()),
        };
        let missing = |name: &str| format!("--{name} is missing");
        Ok(Some(Self {
            url: url.ok_or_else(|| missing("url"))?,
            key,
            pipeline: pipeline.ok_or_else(|| missing("pipeline"))?,
            sql: sql.ok_or_else(|| missing("sql"))?,
            input,
            view,
            force_stop,
            keep_running,
        }))
    }

    fn feldera(&self) -> Result<Feldera<Ureq>, Problem> {
        // Feldera writes to a subscription at least every 3 s.
        let runtime = Ureq::new().with_idle_timeout(Duration::from_secs(15));
        let feldera = Feldera::new(self.url.parse()?, runtime);
        Ok(match &self.key {
            Some((_, key)) => feldera.with_credentials(key.clone()),
            None => feldera,
        })
    }
}

fn secret(name: String) -> Result<(String, Secret), Box<dyn Error>> {
    match std::env::var(&name) {
        Ok(value) if !value.is_empty() => Ok((name, Secret::new(value))),
        Ok(_) => Err(format!("--api-key-env {name}: this environment variable is empty").into()),
        Err(std::env::VarError::NotPresent) => {
            Err(format!("--api-key-env {name}: this environment variable does not exist; export it").into())
        }
        // The error itself would show the value.
        Err(_) => Err(format!("--api-key-env {name}: this environment variable is not UTF-8").into()),
    }
}
