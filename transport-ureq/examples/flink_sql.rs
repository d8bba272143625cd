//! Runs statements on a Flink SQL Gateway, and prints their rows as they come.
//!
//! ```text
//! flink_sql --url URL --statement SQL… [--set KEY=VALUE]… [--plain] [--max-rows N]
//! ```
//!
//! Try it with a simulated gateway:
//!
//! ```sh
//! cargo build -p pipewright-mock --features serve,sql --bin pipewright-sim
//! target/debug/pipewright-sim flink-sql-gateway --port 8083 &
//! cargo run -p pipewright-ureq --example flink_sql -- --url http://127.0.0.1:8083 \
//!     --statement 'SELECT n FROM numbers LIMIT 10'
//! kill %1
//! ```
//!
//! All statements run in one session, in this order. A statement starts when the rows of the statement before are read.
//! The tool closes the session at the end. It prints a row in each line, with a tab between the fields: as JSON, or as
//! text with `--plain`. Rows that a changelog retracts or replaces have a mark in front. `--max-rows` ends an endless
//! query.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage, 4 outcome unknown.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use pipewright::error::FlowError;
use pipewright::flink::sql_gateway::results::{RowFormat, RowKind};
use pipewright::flink::sql_gateway::sessions::{CloseSession, OpenSession};
use pipewright::flink::sql_gateway::{Page, RunStatement, SessionHandle, SqlGateway, StatementEvent};
use pipewright::flow::Notice;
use pipewright_ureq::Ureq;

const USAGE: &str = "\
usage: flink_sql --url URL --statement SQL... [--set KEY=VALUE]... [--plain] [--max-rows N]

Runs the statements in one session, in this order, and prints their rows: a line for each row, a tab between fields.

  --url URL        the address of the SQL Gateway, such as http://127.0.0.1:8083
  --statement SQL  a statement; repeat it for more
  --set KEY=VALUE  an option of Flink for the session; may be repeated
  --plain          prints fields as text instead of JSON
  --max-rows N     ends a statement after N rows; needed for an endless query
  --help           this text

exit codes: 0 done, 1 failed, 2 wrong usage, 4 unknown whether a statement was executed";

fn main() -> ExitCode {
    let options = match Options::parse() {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("flink_sql: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("flink_sql: {error}");
            let ambiguous = error.downcast_ref::<FlowError>().is_some_and(FlowError::is_ambiguous);
            ExitCode::from(if ambiguous { 4 } else { 1 })
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let gateway = SqlGateway::new(options.url.parse()?, Ureq::new());
    let open = OpenSession::new().session_name("flink_sql").properties(options.properties.clone());
    let session = gateway.call(open)?.session_handle;
    let result = options.statements.iter().try_for_each(|text| statement(&gateway, session, text, options));
    if let Err(error) = gateway.call(CloseSession::new(session)) {
        eprintln!("session {session} was not closed: {error}; the gateway closes it after its idle time");
    }
    result
}

fn statement(
    gateway: &SqlGateway<Ureq>,
    session: SessionHandle,
    text: &str,
    options: &Options,
) -> Result<(), Box<dyn Error>> {
    let mut goal = RunStatement::new(text).in_session(session);
    if options.plain {
        goal = goal.row_format(RowFormat::PlainText);
    }
    if is_read(text) {
        goal = goal.repeatable();
    }
    let mut statement = gateway.start_with(goal, |notice| show(&notice));
    let mut rows = 0_u64;
    while let Some(StatementEvent::Page(page)) = statement.next()? {
        if rows == 0 && page.rows.is_empty() {
            let columns: Vec<_> = page.columns.iter().map(|it| format!("{} {}", it.name, it.logical_type)).collect();
            eprintln!("{}", columns.join(", "));
        }
        rows += print(&page, options.max_rows - rows)?;
        if rows >= options.max_rows {
            statement.flow_mut().close();
        }
    }
    eprintln!("{rows} rows");
    Ok(())
}

/// Returns whether a statement only reads. Such a statement can be repeated.
fn is_read(statement: &str) -> bool {
    let first = statement.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    ["SELECT", "WITH", "VALUES", "SHOW", "DESCRIBE", "DESC", "EXPLAIN"].contains(&&*first)
}

/// Prints at most `at_most` rows, and returns how many.
fn print(page: &Page, at_most: u64) -> Result<u64, Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    let mut printed = 0;
    for row in page.rows.iter().take(usize::try_from(at_most)?) {
        let cells: Vec<_> = row.fields.cells()?.iter().map(|cell| cell.get()).collect();
        let mark = match row.kind {
            RowKind::Insert => "",
            RowKind::UpdateBefore => "-U\t",
            RowKind::UpdateAfter => "+U\t",
            _ => "-D\t",
        };
        writeln!(out, "{mark}{}", cells.join("\t"))?;
        printed += 1;
    }
    out.flush()?;
    Ok(printed)
}

fn show(notice: &Notice) {
    if matches!(notice, Notice::Phase { .. } | Notice::Observed { .. } | Notice::Retrying { .. }) {
        eprintln!("{notice}");
    }
}

struct Options {
    url: String,
    statements: Vec<String>,
    properties: BTreeMap<String, String>,
    plain: bool,
    max_rows: u64,
}

impl Options {
    /// `None` if help is wanted.
    fn parse() -> Result<Option<Self>, Box<dyn Error>> {
        use lexopt::prelude::*;

        let (mut url, mut statements, mut properties) = (None, Vec::new(), BTreeMap::new());
        let (mut plain, mut max_rows) = (false, u64::MAX);
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("url") => url = Some(parser.value()?.string()?),
                Long("statement") => statements.push(parser.value()?.string()?),
                Long("set") => {
                    let pair = parser.value()?.string()?;
                    let (key, value) =
                        pair.split_once('=').ok_or_else(|| format!("--set {pair}: not an option; use KEY=VALUE"))?;
                    properties.insert(key.to_owned(), value.to_owned());
                }
                Long("plain") => plain = true,
                Long("max-rows") => max_rows = parser.value()?.parse()?,
                Long("help") | Short('h') => return Ok(None),
                other => return Err(other.unexpected().into()),
            }
        }
        if statements.is_empty() {
            return Err("--statement is missing".into());
        }
        Ok(Some(Self { url: url.ok_or("--url is missing")?, statements, properties, plain, max_rows }))
    }
}
