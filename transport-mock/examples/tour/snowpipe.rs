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

use crate::story::{event, proved, section, show};

pub(crate) fn tour() -> Result<(), Box<dyn Error>> {
    let world = World::new(2026);
    let start = world.now();
    // A row whose ID is no number is taken, and not inserted.
    let config = Config { number_columns: vec!["ID".to_owned()], ..Config::default() };
    let simulator = world.snowpipe("https://shop.snow.example".parse()?, config);
    let account = Account::new(simulator.base(), world.clone()).with_credentials(Secret::new("an access token"));
    world.on_event(move |incident| event(start, "https://", incident));
    let open_session =
        || account.run_with(OpenSession::new(TokenType::ProgrammaticAccessToken), |notice| show(None, &notice));

    section("A simulated Snowflake account, and a channel into the table ORDERS");
    let session = open_session()?;
    let path = ChannelPath::of_table("SHOP", "PUBLIC", "ORDERS", "till-1");
    let mut process = Process::start(&account, OpenWriter::new(&session, path))?;
    process.push(1..=300)?;
    process.flush()?;
    println!("  The commit comes seconds after the answer to the append; until then the writer keeps the rows.");
    println!("  {} rows are in the table.", view(&simulator)?.rows.len());

    section("An answer is lost, and then the channel");
    println!("  The answer to an append never arrives: the writer sends it again, and the service knows its token.");
    world.set_faults(FaultPlan::none().nth_of("appendRows", 1, Fault::ReplyLost));
    process.push(301..=600)?;
    process.work(Duration::from_millis(1500))?;
    simulator.with(|account| account.invalidate(&simulated(), "ERR_CHANNEL_MUST_BE_REOPENED"));
    println!(
        "  Then the channel breaks, and loses what it has buffered. The writer opens it again, and sends the rows again."
    );
    process.flush()?;
    println!("  {} rows are in the table.", view(&simulator)?.rows.len());

    section("A row that the service takes, and does not insert");
    println!("  Every answer is a success, and the committed token passes over the row. Only a counter tells.");
    process.push_line(601, r#"{"ID":"six hundred and one","ITEM":"tea"}"#)?;
    process.flush()?;

    section("A crash, with rows under way");
    process.push(602..=900)?;
    process.work(Duration::from_millis(1500))?;
    let saved = process.saved.take().ok_or("a position is saved before each append")?;
    drop(process);
    println!("  The process is gone. Another process continues from the saved state, and waits for the buffered rows.");
    let session = open_session()?;
    let mut process = Process::start(&account, OpenWriter::resume(&session, &saved)?)?;
    let done: u32 = process.writer.committed().ok_or("rows were committed")?.parse()?;
    println!("  It continues after row {done}.");
    process.push(done + 1..=1000)?;
    process.writer.close()?;
    process.until(|event| *event == WriterEvent::Closed)?;

    let view = view(&simulator)?;
    let wanted: Vec<_> = (1..=1000).filter(|number| *number != 601).map(row).collect();
    if view.rows != wanted {
        return Err("the rows in the table are not those that were pushed".into());
    }
    let rows = format!("{} rows are in the table, each once and in order", wanted.len());
    let opened = format!(
        "through a lost answer, a broken channel and a crash: the channel was opened {} times",
        view.client_sequencer
    );
    let facts = [&*rows, &opened, "the row that was not inserted was reported, although every answer was a success"];
    proved(&world, start, &facts, "transport-ureq/examples/snowpipe_ingest.rs");
    Ok(())
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

/// A process that loads orders, and keeps the state that its writer saves.
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

    /// Drives the writer for a time.
    fn work(&mut self, time: Duration) -> Result<(), FlowError> {
        let until = self.account.runtime().now() + time;
        while self.drive(until)?.is_some() {}
        Ok(())
    }

    fn drive(&mut self, until: Timestamp) -> Result<Option<WriterEvent>, FlowError> {
        let saved = &mut self.saved;
        let event = self.account.drive_until(&mut self.writer, until, |notice| {
            show(Some("Writer"), &notice);
            if let Notice::Persist(state) = notice {
                *saved = Some(state);
            }
        })?;
        if let Some(event) = event.as_ref().filter(|event| **event != WriterEvent::Flushed) {
            println!("  ── Writer: {event}");
        }
        Ok(event)
    }
}
