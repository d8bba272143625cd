//! Snowpipe Streaming: rows go in exactly once, through a lost answer, a channel that is taken away and a crash.

use std::error::Error;
use std::ops::RangeInclusive;
use std::time::Duration;

use pipewright::driver::Clock as _;
use pipewright::error::FlowError;
use pipewright::flow::{Goal as _, Notice, SavedState};
use pipewright::snowpipe::account::TokenType;
use pipewright::snowpipe::{Account, ChannelPath, OpenSession, OpenWriter, PushError, Writer, WriterEvent};
use pipewright::{Secret, Timestamp};
use pipewright_mock::snowpipe::{ChannelPath as Simulated, ChannelView, Config};
use pipewright_mock::{Fault, FaultPlan, SnowpipeHandle, World};

use crate::{line, section, show, tell};

pub(crate) fn tour() -> Result<(), Box<dyn Error>> {
    let world = World::new(2026);
    let start = world.now();
    // A row whose ID is no number is taken, and not inserted.
    let config = Config { number_columns: vec!["ID".to_owned()], ..Config::default() };
    let simulator = world.snowpipe("https://shop.snow.example".parse()?, config);
    let account = Account::new(simulator.base(), world.clone()).with_credentials(Secret::new("an access token"));
    world.on_event(move |event| println!("{}", without_names(&line(start, "https://", event))));
    let open_session = || tell(&account, OpenSession::new(TokenType::ProgrammaticAccessToken));

    section("A simulated Snowflake account, and a channel into the table ORDERS");
    let session = open_session()?;
    let path = ChannelPath::of_table("SHOP", "PUBLIC", "ORDERS", "till-1");
    let mut process = Process::start(&account, OpenWriter::new(&session, path))?;
    process.push(1..=300)?;
    process.flush()?;
    println!("\n  \"Committed\" comes seconds after the answer to the append; until then the writer keeps the rows.");
    println!("  {} rows are in the table.", view(&simulator)?.rows.len());

    section("An answer is lost, and then the channel");
    println!(
        "  The service will take the next append, but its answer never arrives: the writer sends the same again, with the same"
    );
    println!(
        "  token, by which the service knows it. Then the channel breaks, and what it has buffered is lost with it.\n"
    );
    world.set_faults(FaultPlan::none().nth_of("appendRows", 1, Fault::ReplyLost));
    process.push(301..=600)?;
    process.work(Duration::from_millis(1500))?;
    simulator.with(|account| account.invalidate(&simulated(), "ERR_CHANNEL_MUST_BE_REOPENED"));
    println!(
        "\n  The channel is broken now. The writer sees it, opens the channel again, and sends what is not committed.\n"
    );
    process.flush()?;
    println!("\n  {} rows are in the table.", view(&simulator)?.rows.len());

    section("A row that the service takes, and does not insert");
    println!("  Every answer is a success, and the committed token passes over the row. Only a counter tells.\n");
    process.push_line(601, r#"{"ID":"six hundred and one","ITEM":"tea"}"#)?;
    process.flush()?;

    section("A crash, with rows under way");
    process.push(602..=900)?;
    process.work(Duration::from_millis(1500))?;
    let saved = process.saved.take().ok_or("a position is saved before each append")?;
    drop(process);
    println!(
        "\n  The process is gone. The append was answered, and its rows are buffered. Another process goes on from what was"
    );
    println!("  saved. It waits for the rows, because opening a channel by force discards what is buffered.\n");
    let session = open_session()?;
    let mut process = Process::start(&account, OpenWriter::resume(&session, &saved)?)?;
    let done: u32 = process.writer.committed().ok_or("rows were committed")?.parse()?;
    println!("\n  It goes on behind row {done}.\n");
    process.push(done + 1..=1000)?;
    process.writer.close()?;
    process.until(|event| *event == WriterEvent::Closed)?;

    section("The end of Snowpipe's chapter");
    let view = view(&simulator)?;
    let wanted: Vec<_> = (1..=1000).filter(|number| *number != 601).map(row).collect();
    if view.rows != wanted {
        return Err("the rows in the table are not those that were pushed".into());
    }
    println!(
        "  {} rows are in the table, each once and in order. The channel was opened {} times.",
        wanted.len(),
        view.client_sequencer
    );
    let passed = world.now().since(start);
    println!("  {:.1} s passed on the virtual clock, and none on yours.", passed.as_secs_f64());
    println!("  The same writer loads files into a real account: see transport-ureq/examples/snowpipe_ingest.rs.");
    Ok(())
}

/// What is the same in every line, or different in every one, is left out.
fn without_names(line: &str) -> String {
    let line = line.replace("sim-account.ingest.snowpipe.test/v2/streaming", "ingest host: …");
    let line = line.replace("/databases/SHOP/schemas/PUBLIC/pipes", "");
    match line.split_once("requestId=").and_then(|(head, rest)| Some((head, rest.split_once(": ")?.1))) {
        Some((head, answer)) => format!("{}: {answer}", head.trim_end_matches(['?', '&'])),
        None => line,
    }
}

fn simulated() -> Simulated {
    Simulated::new("SHOP", "PUBLIC", "ORDERS-STREAMING", "till-1")
}

fn row(number: u32) -> String {
    format!(r#"{{"ID":{number},"ITEM":"tea"}}"#)
}

fn view(simulator: &SnowpipeHandle) -> Result<ChannelView, Box<dyn Error>> {
    Ok(simulator.with(|account| account.channel_view(&simulated())).ok_or("the channel was opened")?)
}

/// A process that loads orders, and keeps what its writer wants kept.
struct Process<'a> {
    account: &'a Account<World>,
    writer: Writer,
    saved: Option<SavedState>,
}

impl<'a> Process<'a> {
    /// Starts with an open channel.
    fn start(account: &'a Account<World>, goal: OpenWriter) -> Result<Self, FlowError> {
        let writer = goal.start(account.config(), account.seed());
        let mut process = Self { account, writer, saved: None };
        process.until(|event| matches!(event, WriterEvent::Opened { .. }))?;
        Ok(process)
    }

    /// Pushes orders, each with its number as its offset token.
    fn push(&mut self, numbers: RangeInclusive<u32>) -> Result<(), PushError> {
        numbers.into_iter().try_for_each(|number| self.push_line(number, &row(number)))
    }

    fn push_line(&mut self, number: u32, line: &str) -> Result<(), PushError> {
        self.writer.push_line(line.as_bytes(), Some(&number.to_string()))
    }

    /// Waits until all that was pushed is committed.
    fn flush(&mut self) -> Result<(), FlowError> {
        self.writer.flush();
        self.until(|event| *event == WriterEvent::Flushed)
    }

    fn until(&mut self, is_last: impl Fn(&WriterEvent) -> bool) -> Result<(), FlowError> {
        while !self.drive(Timestamp::MAX)?.is_some_and(|event| is_last(&event)) {}
        Ok(())
    }

    /// Does what there is to do within a time.
    fn work(&mut self, time: Duration) -> Result<(), FlowError> {
        let until = self.account.runtime().now() + time;
        while self.drive(until)?.is_some() {}
        Ok(())
    }

    fn drive(&mut self, until: Timestamp) -> Result<Option<WriterEvent>, FlowError> {
        let saved = &mut self.saved;
        let event = self.account.drive_until(&mut self.writer, until, |notice| {
            show(&notice);
            if let Notice::Persist(state) = notice {
                *saved = Some(state);
            }
        })?;
        if let Some(event) = &event {
            println!("  ── Writer: {event}");
        }
        Ok(event)
    }
}
