//! Feldera: SQL with a mistake, rows whose answer gets lost, a process that dies, and another client of the same
//! pipeline.

use std::error::Error;

use pipewright::driver::{Clock as _, Stream};
use pipewright::feldera::data::DataFormat;
use pipewright::feldera::lifecycle::StopPipeline;
use pipewright::feldera::stream::{AdhocQuery, Egress, HttpOutput, QueryFormat};
use pipewright::feldera::{
    Checkpoint, Deploy, EnsurePaused, EnsureRunning, Feldera, Ingest, IngestEvent, Ingestion, Interruption, Stop,
};
use pipewright::flow::{Goal as _, Notice};
use pipewright_mock::feldera::{Config, Edition};
use pipewright_mock::{Fault, FaultPlan, World};
use serde_json::json;

use crate::story::{event, proved, section, shorten, show, tell};

const SQL: &str = "CREATE TABLE orders (id BIGINT NOT NULL PRIMARY KEY, item VARCHAR);
CREATE MATERIALIZED VIEW sold AS SELECT * FROM orders;";

pub(crate) fn tour() -> Result<(), Box<dyn Error>> {
    let world = World::new(2026);
    let start = world.now();
    let config = Config { edition: Edition::Enterprise, ..Config::default() };
    let service = world.feldera("http://feldera.example:8080".parse()?, config);
    let feldera = Feldera::new(service.base(), world.clone());
    world.on_event(move |incident| event(start, "http://feldera.example:8080/v0", incident));

    section("A simulated Feldera, and SQL with a mistake");
    let wrong = SQL.replace("FROM orders", "FROM oders");
    let error = tell(&feldera, Deploy::new("shop", &*wrong)).err().ok_or("it was not expected to compile")?;
    let Some(Interruption::NotCompiled { error, .. }) = Interruption::of(&error) else { return Err(error.into()) };
    for message in error.sql_errors() {
        let line = usize::try_from(message.start_line_number.unwrap_or(1))?;
        let source = wrong.lines().nth(line - 1).unwrap_or_default();
        println!("  {message}\n    {source}");
    }

    section("The same without the mistake");
    tell(&feldera, Deploy::new("shop", SQL))?;

    section("Rows go in, and an answer gets lost");
    println!("  Feldera offers no way to check whether the rows arrived. The table has a key, so we send them again.");
    let mut view = feldera.open(HttpOutput::new("shop", "sold", DataFormat::Json).backpressure(true))?;
    world.set_faults(FaultPlan::none().nth_of("http_input", 2, Fault::ReplyLost));
    let mut rows = Ingest::new("shop", "orders").chunk_bytes(80).start(feldera.config(), feldera.seed());
    for (id, item) in [(1, "bolt"), (2, "nut"), (3, "bolt"), (1, "screw")] {
        rows.push(json!({ "id": id, "item": item }))?;
    }
    rows.push(json!({ "id": "five", "item": "a mistake" }))?;
    rows.finish();
    while feed(&feldera, &mut rows)? {}
    println!("  The changes of the view. The second copies replaced the first copies:");
    changes(&mut view)?;
    drop(view);

    section("A checkpoint, another row, and the process dies");
    tell(&feldera, Checkpoint::new("shop"))?;
    let mut rows = Ingest::new("shop", "orders").start(feldera.config(), feldera.seed());
    rows.push(json!({ "id": 6, "item": "washer" }))?;
    rows.finish();
    feed(&feldera, &mut rows)?;
    println!("  The row is in, but not yet processed. The process is killed.");
    service.with(|manager| manager.kill("shop"));
    let error = feed(&feldera, &mut rows).err().ok_or("the process was killed")?;
    let error = error.to_string();
    println!("  The row does not count as processed: {}", error.split(": ").nth(1).unwrap_or(&error));
    println!("  Another process starts from the checkpoint, and gets the row once more:");
    tell(&feldera, EnsureRunning::new("shop"))?;
    let kept = held(&feldera)?;
    println!("  The view holds what the checkpoint had, {kept} orders, without order 6.");
    let mut rows = Ingest::new("shop", "orders").start(feldera.config(), feldera.seed());
    rows.push(json!({ "id": 6, "item": "washer" }))?;
    rows.finish();
    while feed(&feldera, &mut rows)? {}

    section("Another client wants another status");
    println!("  We want the pipeline paused; a colleague stops it at that moment.");
    let colleague = Feldera::new(service.base(), world.clone());
    let mut asked = false;
    let paused = feldera.run_with(EnsurePaused::new("shop"), |notice| {
        show(Some("EnsurePaused"), &notice);
        if matches!(notice, Notice::Phase { .. }) && !std::mem::replace(&mut asked, true) {
            colleague.call(StopPipeline::new("shop").force(true)).map(drop)
        } else {
            Ok(())
        }
    });
    println!("  {}", paused.err().ok_or("it was stopped")?);

    section("A stop with a checkpoint");
    tell(&feldera, EnsureRunning::new("shop"))?;
    let stopped = tell(&feldera, Stop::new("shop"))?;
    let checkpoint = stopped.checkpoint.ok_or("this edition makes checkpoints")?;
    println!("  Stopped, with checkpoint {}", shorten(&checkpoint.uuid));
    let facts = [
        "rows whose answer was lost are in the view once, and a bad row kept no other row out",
        "a row that died with its process was not reported as processed",
        "two clients that disagree do not fight: one flow ends with an error that says why",
    ];
    proved(&world, start, &facts, "transport-ureq/examples/feldera_session.rs");
    Ok(())
}

/// One event of the session; whether it is not the last.
fn feed(feldera: &Feldera<World>, rows: &mut Ingestion) -> Result<bool, Box<dyn Error>> {
    match feldera.drive(rows, |notice| show(None, &notice))? {
        IngestEvent::Accepted(accepted) => println!("  rows {:?} are in", accepted.rows),
        IngestEvent::Rejected(rejected) => {
            for bad in &rejected.rows {
                println!("  row {} is not in: {}", bad.row.unwrap_or_default(), bad.error);
            }
        }
        IngestEvent::Unconfirmed(unconfirmed) => {
            println!("  rows {:?} may or may not have been ingested", unconfirmed.chunk().rows());
            rows.resend(unconfirmed).map_err(|_| "it is this session's")?;
        }
        IngestEvent::Finished(progress) => {
            println!("  rows processed: {}, rejected: {}", progress.accepted, progress.rejected);
            return Ok(false);
        }
        _ => {}
    }
    Ok(true)
}

/// Prints what has changed, up to the silence after it.
fn changes(view: &mut Stream<Egress>) -> Result<(), Box<dyn Error>> {
    let mut all = Vec::new();
    while let Some(chunk) = view.next_item()? {
        if chunk.is_heartbeat() {
            break;
        }
        all.extend(chunk.rows().map(|row| String::from_utf8_lossy(row).into_owned()));
    }
    all.chunks(3).for_each(|rows| println!("     {}", rows.join(" ")));
    Ok(())
}

/// How many orders the view holds.
fn held(feldera: &Feldera<World>) -> Result<usize, Box<dyn Error>> {
    let mut rows = feldera.open(AdhocQuery::new("shop", "SELECT * FROM sold", QueryFormat::Json))?;
    let mut count = 0;
    while rows.next_item()?.is_some() {
        count += 1;
    }
    Ok(count)
}
