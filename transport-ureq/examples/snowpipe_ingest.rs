//! Loads rows into a channel of Snowpipe Streaming, exactly once, from a file or from the standard input: a JSON object
//! in each line.
//!
//! ```text
//! snowpipe_ingest --account A (--user U --private-key FILE [--passphrase-env NAME] | --token-env NAME [--oauth])
//!                 --database D --schema S (--pipe P | --table T) --channel C
//!                 [--role R] [--url URL] [--offset-field F] [--batch-rows N] [--retry-timeout SECONDS]
//!                 [--state FILE] [FILE]
//! ```
//!
//! **If the tool ends early, start it again with the same arguments and the same input**, also after Ctrl-C and `kill
//! -9`. It continues after the last committed row. No row is lost, and no row is written twice. Do not run two of these
//! on one channel at the same time.
//!
//! # Try it
//!
//! With the simulator, which is both account host and ingest host, and accepts any token:
//!
//! ```sh
//! cargo build -p pipewright-mock --features serve,sql --bin pipewright-sim
//! target/debug/pipewright-sim snowpipe --port 8085 --commit-delay 1..2 &
//! export SNOWFLAKE_TOKEN=any
//! seq 100000 | sed 's/.*/{"ID":&}/' > rows.ndjson
//! cargo run -p pipewright-ureq --features keypair --example snowpipe_ingest -- --url http://127.0.0.1:8085 \
//!     --token-env SNOWFLAKE_TOKEN --database DB --schema PUBLIC --table ORDERS --channel loader-1 rows.ndjson
//! curl http://127.0.0.1:8085/_simulator/databases/DB/schemas/PUBLIC/pipes/ORDERS-STREAMING/channels/loader-1
//! kill %1
//! ```
//!
//! `curl` shows the channel as the simulator has it; the same path with `/rows` shows its rows. For a real account,
//! replace `--url` and `--token-env` by `--account MYORG-MYACCOUNT --user U --private-key rsa_key.p8`.
//!
//! # Offset tokens
//!
//! Each row has an offset token, and the service keeps the token of the last committed row. A token has a position and
//! a fingerprint of the input, as in `line 17 #0123456789abcdef`:
//!
//! * By default, the position is the number of the line: `line 17`. The same lines must come again from the first line
//!   on, also from the standard input. Lines may be added at the end. The fingerprint is that of all lines so far.
//! * With `--offset-field ID`, the position is the value of this field. It must rise from row to row. It is a whole
//!   number of up to 38 digits, or a text of up to 990 bytes. Texts are compared byte by byte, so that `"10"` is before
//!   `"9"`; times of one form are in order. The input may begin at or before the row after the committed row; a gap
//!   there is not noticed. There are two fingerprints: of the row, and of all rows since the token that was committed
//!   at the start.
//!
//! So two loads have a token in common only if the same rows came before it. If you start the tool with another input,
//! it ends with an error if the committed line, or the row with the committed offset, differs, or if the input ends
//! before it. With `--offset-field`, it does not detect another input that lacks a row at the committed offset and has
//! rows after it. A channel that was loaded by lines cannot be continued by a field, and the other way round: that is
//! an error.
//!
//! With `--state FILE`, the tool also keeps its position in a file. A later start then ends with an error if the
//! channel was dropped, its table was replaced, or another client has written to it. Use one file for each load.
//!
//! # Rows
//!
//! `--table` goes to the default pipe of the table. The keys of a row are column names. Snowflake does not document
//! whether a default pipe matches them by case, and it silently drops a key that matches no column. Write keys exactly
//! as the columns are named: in upper case, unless the columns were created in quotes.
//!
//! A line that is not a row ends the load, after all lines before it are committed. The service takes some rows and
//! does not insert them; the committed token passes over them. The tool counts such rows, and prints the last reason.
//! It counts those of this run only; with `--state`, those since the file was made.
//!
//! # Credentials
//!
//! A credential is a private RSA key (PKCS#8, PEM), with its passphrase in an environment variable, or a token in an
//! environment variable: a programmatic access token, or with `--oauth` an OAuth access token. `--url` is for an
//! address other than the account's. Plain `http` is allowed for this machine only, such as for a simulator.
//!
//! # Exit codes
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | all rows are committed |
//! | 1 | failed |
//! | 2 | wrong usage |
//! | 3 | all rows are committed or were rejected, and some were rejected: in this run, or since the file of `--state` was made |
//! | 4 | failed, with unconfirmed rows; the next start finds out whether they are committed |

use std::error::Error;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use pipewright::Timestamp;
use pipewright::driver::Clock as _;
use pipewright::error::FlowError;
use pipewright::flow::{Goal as _, Notice};
use pipewright::snowpipe::jwt::{KeyPair, KeyPairJwt};
use pipewright::snowpipe::rows::{BatchOptions, Compression};
use pipewright::snowpipe::session::Session;
use pipewright::snowpipe::{Account, ErrorCode, OpenSession, OpenWriter, PushError, Writer, WriterEvent, error_code};
use pipewright_ureq::{RsaKey, Ureq};

use crate::input::{Input, Next};
use crate::offsets::{Offsets, position};
use crate::options::{Credential, Options, USAGE};
use crate::state::State;
use crate::support::{Progress, answer, tell};

#[path = "snowpipe_ingest/input.rs"]
mod input;
#[path = "snowpipe_ingest/offsets.rs"]
mod offsets;
#[path = "snowpipe_ingest/options.rs"]
mod options;
#[path = "snowpipe_ingest/state.rs"]
mod state;
mod support;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

fn main() -> ExitCode {
    let options = match Options::parse() {
        Ok(Some(options)) => options,
        Ok(None) => {
            answer(USAGE);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            tell(format_args!("snowpipe_ingest: {error}\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    match ingest(&options) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_rejected) => ExitCode::from(3),
        Err(Failed { error, unconfirmed }) => {
            tell(format_args!("snowpipe_ingest: {error}"));
            ExitCode::from(if unconfirmed { 4 } else { 1 })
        }
    }
}

/// Why a load has failed, and whether anything of it is unconfirmed.
struct Failed {
    error: Box<dyn Error>,
    unconfirmed: bool,
}

impl<E: Into<Box<dyn Error>>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self { error: error.into(), unconfirmed: false }
    }
}

/// Loads all there is, and says how many rows were rejected.
fn ingest(options: &Options) -> Result<u64, Failed> {
    let input = Input::open(options.file.as_deref())?;
    let state = options.state.as_ref().map(|file| State::open(file, &options.path)).transpose()?;
    let progress = Progress::new();
    let (account, fingerprint) = account(options)?;
    let session = open_session(options, &account, &progress).map_err(|error| explain(error, fingerprint))?;

    let goal = match state.as_ref().and_then(|state| state.saved.as_ref()) {
        Some(saved) => OpenWriter::resume(&session, saved)?,
        None => OpenWriter::new(&session, options.path.clone()),
    };
    let batches = BatchOptions::new().compression(Compression::Zstd(1)).rows(options.batch_rows);
    // The fingerprints make them so.
    let goal = goal.unique_tokens();
    let writer = goal.batches(batches).retry_timeout(options.retry_timeout).start(account.config(), account.seed());
    let started = account.runtime().now();
    let lines = !std::io::stderr().is_terminal();
    let mut load = Load {
        options,
        account: &account,
        progress,
        writer,
        state,
        rejected_before: None,
        rows: 0,
        started,
        lines,
        shown: started,
    };
    load.run(input).map_err(|error| Failed { unconfirmed: load.is_unconfirmed(&*error), error })
}

/// The account with its credential; and the fingerprint of the key, if that is one.
fn account(options: &Options) -> Result<(Account<Ureq>, Option<String>)> {
    let account = Account::new(options.base.clone(), Ureq::new());
    match &options.credential {
        Credential::Token { token, .. } => Ok((account.with_credentials(token.clone()), None)),
        Credential::Key { account: name, user, file, passphrase } => {
            let named = |error: &dyn Error| format!("{}: {error}", file.display());
            let pem = std::fs::read_to_string(file).map_err(|error| named(&error))?;
            let key = RsaKey::from_pem(&pem, passphrase.as_ref()).map_err(|error| named(&error))?;
            let jwt = KeyPairJwt::new(name, user)?;
            let jwt = options.role.iter().fold(jwt, KeyPairJwt::role);
            let fingerprint = KeyPairJwt::fingerprint(&key);
            Ok((account.with_credentials(KeyPair::new(jwt, key)), Some(fingerprint)))
        }
    }
}

fn open_session(options: &Options, account: &Account<Ureq>, progress: &Progress) -> Result<Session, FlowError> {
    let goal = OpenSession::new(options.credential.token_type());
    let goal = options.role.iter().fold(goal, OpenSession::role);
    // Of a simulator on this machine, whose ingest host is itself.
    let goal = if options.base.scheme().as_str() == "http" { goal.allow_plaintext_loopback() } else { goal };
    let deadline = account.runtime().now() + options.retry_timeout;
    let mut opening = goal.start(account.config(), account.seed()).with_deadline(deadline);
    account.drive(&mut opening, |notice| progress.show(&notice))
}

/// What to look at when the account does not want us.
fn explain(error: FlowError, fingerprint: Option<String>) -> Box<dyn Error> {
    let invalid_jwt = error.service().and_then(error_code) == Some(ErrorCode::InvalidJwt);
    match fingerprint.filter(|_| invalid_jwt) {
        Some(fingerprint) => format!(
            "{error}\nIs this the account, and this its user? Is {fingerprint} what DESC USER shows as RSA_PUBLIC_KEY_FP? Is this \
             machine's clock right?"
        )
        .into(),
        None => error.into(),
    }
}

/// A load under way.
struct Load<'a> {
    options: &'a Options,
    account: &'a Account<Ureq>,
    progress: Progress,
    writer: Writer,
    state: Option<State>,
    /// How many rows of the channel had been rejected when the load began, if the service says.
    rejected_before: Option<i64>,
    /// Committed, by this process.
    rows: u64,
    started: Timestamp,
    /// Whether progress is shown as lines, because there is no terminal for a bar; and when it was last.
    lines: bool,
    shown: Timestamp,
}

impl Load<'_> {
    fn run(&mut self, mut input: Input) -> Result<u64> {
        let committed = loop {
            if let WriterEvent::Opened { committed } = self.next_event()? {
                break committed;
            }
        };
        self.tell_where(committed.as_deref());
        self.rejected_before = match &mut self.state {
            Some(State { rejected_before, saved: Some(_), .. }) => *rejected_before,
            Some(state) => {
                state.rejected_before = self.writer.position().and_then(|position| position.rows_error_count);
                state.rejected_before
            }
            None => self.writer.position().and_then(|position| position.rows_error_count),
        };
        let mut offsets = Offsets::new(self.options.offset_field.as_deref(), committed.as_deref())?;
        let trouble = self.feed(&mut input, &mut offsets)?;
        // What came before the trouble is loaded all the same.
        self.writer.close()?;
        let end = loop {
            match self.next_event() {
                Ok(WriterEvent::Closed) => break Ok(()),
                Ok(_) => {}
                Err(error) => break Err(error),
            }
        };
        if let Some(trouble) = trouble {
            end.inspect_err(|_| tell(format_args!("snowpipe_ingest: {trouble}")))?;
            let before = match self.writer.committed() {
                Some(token) => format!("All before it is committed, up to {}.", position(token)),
                None => "Nothing is committed.".to_owned(),
            };
            return Err(format!("{trouble}\n{before}").into());
        }
        end?;
        self.progress.end(&format!("done: {}", self.summary()));
        Ok(self.rejected())
    }

    /// Gives the writer all rows there are. Ends early when the input is not what it should be: `Some`.
    fn feed(&mut self, input: &mut Input, offsets: &mut Offsets) -> Result<Option<String>> {
        loop {
            let line = match input.next() {
                Ok(Next::Line(line)) => line,
                Ok(Next::Nothing) => {
                    self.turn()?;
                    continue;
                }
                Ok(Next::End) => return Ok(offsets.end().err()),
                Err(trouble) => return Ok(Some(trouble)),
            };
            let taken = match offsets.next(line) {
                Ok(Some(token)) => self.push(line, token)?,
                Ok(None) => Ok(()),
                Err(problem) => Err(problem),
            };
            if let Err(problem) = taken {
                return Ok(Some(format!("line {} of {}: {problem}", offsets.line(), input.name())));
            }
        }
    }

    /// Gives the writer a row, and waits for room if the writer has none. The inner error is the row's own.
    fn push(&mut self, line: &[u8], token: &str) -> Result<Result<(), String>> {
        loop {
            match self.writer.push_line(line, Some(token)) {
                Ok(()) => return Ok(Ok(())),
                Err(PushError::Row(error)) => return Ok(Err(error.problem())),
                Err(PushError::Invalid(error)) => return Ok(Err(error.to_string())),
                Err(PushError::Full { .. }) => {
                    self.next_event()?;
                }
                Err(PushError::Ended(error)) => return Err(error.into()),
                Err(rejection) => return Err(rejection.into()),
            }
        }
    }

    /// Lets the writer do what it can do at once.
    fn turn(&mut self) -> Result<(), FlowError> {
        while self.drive(Timestamp::UNIX_EPOCH)?.is_some() {}
        Ok(())
    }

    /// Waits until something has happened.
    fn next_event(&mut self) -> Result<WriterEvent, FlowError> {
        loop {
            if let Some(event) = self.drive(Timestamp::MAX)? {
                return Ok(event);
            }
        }
    }

    fn drive(&mut self, until: Timestamp) -> Result<Option<WriterEvent>, FlowError> {
        let (progress, state) = (&self.progress, self.state.as_ref());
        let event = self.account.drive_until(&mut self.writer, until, |notice| heed(&notice, progress, state))?;
        if let Some(event) = &event {
            self.show(event);
        }
        Ok(event)
    }

    fn show(&mut self, event: &WriterEvent) {
        match event {
            WriterEvent::Committed { rows, .. } => {
                self.rows += rows;
                let now = self.account.runtime().now();
                self.progress.status(|| self.summary());
                if self.lines && now.since(self.shown) >= Duration::from_secs(1) {
                    self.shown = now;
                    self.progress.say(&self.summary());
                }
            }
            WriterEvent::Rejected(rejected) => {
                let mut rejected = rejected.clone();
                let bound = &mut rejected.last_error_offset_upper_bound;
                *bound = bound.take().map(|token| position(&token).to_owned());
                self.progress.say(&rejected.to_string());
            }
            _ => {}
        }
    }

    fn tell_where(&self, committed: Option<&str>) {
        let path = self.writer.path();
        self.progress.say(&match committed {
            None => format!("{path}: nothing is committed"),
            Some(token) => format!("{path}: continuing after {}", position(token)),
        });
        // The state of a load knows which of them are its own.
        let is_resumed = self.state.as_ref().is_some_and(|state| state.saved.is_some());
        let before = self.writer.position().and_then(|position| position.rows_error_count).unwrap_or_default();
        match before {
            1.. if is_resumed => {}
            1 => self.progress.say(&format!("{path}: 1 row was rejected since the channel was made, before this run")),
            2.. => self
                .progress
                .say(&format!("{path}: {before} rows were rejected since the channel was made, before this run")),
            _ => {}
        }
    }

    /// How many rows of the load were rejected.
    fn rejected(&self) -> u64 {
        let now = self.writer.position().and_then(|position| position.rows_error_count);
        let count = now.zip(self.rejected_before).map_or(0, |(now, before)| now.saturating_sub(before));
        u64::try_from(count).unwrap_or_default()
    }

    fn summary(&self) -> String {
        let rows = |rows: u64| if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") };
        let seconds = self.account.runtime().now().since(self.started).as_secs_f64();
        let committed =
            self.writer.committed().map_or("nothing".to_owned(), |token| format!("up to {}", position(token)));
        let rejected = match self.rejected() {
            0 => String::new(),
            count if self.state.is_some() => format!("; {} rejected since the load began", rows(count)),
            count => format!("; {} rejected in this run", rows(count)),
        };
        format!("committed {committed}: {} in {seconds:.1} s{rejected}", rows(self.rows))
    }

    /// Whether the load leaves something unconfirmed. The writer's own errors say so; others, as when its state cannot
    /// be kept, come in between.
    fn is_unconfirmed(&self, error: &(dyn Error + 'static)) -> bool {
        match error.downcast_ref::<FlowError>() {
            Some(FlowError::Stopped(_)) | None => {
                self.writer.position().is_some_and(|position| !position.sent.is_empty())
            }
            Some(error) => error.is_ambiguous(),
        }
    }
}

/// Shows a notice, and keeps what it wants kept: what cannot be kept is not sent.
fn heed(notice: &Notice, progress: &Progress, state: Option<&State>) -> Result<(), String> {
    progress.show(notice);
    match (notice, state) {
        (Notice::Persist(saved), Some(state)) => state.keep(saved),
        _ => Ok(()),
    }
}
