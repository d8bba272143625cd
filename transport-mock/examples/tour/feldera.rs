//! Feldera: SQL with a mistake, rows of which an answer gets lost, a process that dies, and somebody else at the same
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

use crate::{line, section, show, tell};

const SQL: &str = "CREATE TABLE orders (id BIGINT NOT NULL PRIMARY KEY, item VARCHAR);
CREATE MATERIALIZED VIEW sold AS SELECT * FROM orders;";

pub(crate) fn tour() -> Result<(), Box<dyn Error>> {
    let world = World::new(2026);
    let start = world.now();
    let config = Config { edition: Edition::Enterprise, ..Config::default() };
    let service = world.feldera("http://feldera.example:8080".parse()?, config);
    let feldera = Feldera::new(service.base(), world.clone());
    world.on_event(move |event| {
        let line = line(start, "http://feldera.example:8080/v0", event);
        if !is_a_look(&line) {
            println!("{line}");
        }
    });

    section("A simulated Feldera, and SQL with a mistake");
    println!("  Flows wait by looking again and again. Here only what they see is told, as it changes.\n");
    let wrong = SQL.replace("FROM orders", "FROM oders");
    let error = tell(&feldera, Deploy::new("shop", &*wrong)).err().ok_or("it was not expected to compile")?;
    let Some(Interruption::NotCompiled { error, .. }) = Interruption::of(&error) else { return Err(error.into()) };
    println!();
    for message in error.sql_errors() {
        let line = usize::try_from(message.start_line_number.unwrap_or(1))?;
        let source = wrong.lines().nth(line - 1).unwrap_or_default();
        println!("  {message}\n    {source}");
    }

    section("The same without the mistake");
    tell(&feldera, Deploy::new("shop", SQL))?;

    section("Rows go in, and an answer gets lost");
    println!("  Two rows go out at a time. The second answer will not arrive, and Feldera has nothing to find out by");
    println!(
        "  whether the rows did. The session hands them to us: the table has a key, so we have them sent again.\n"
    );
    let mut view = feldera.open(HttpOutput::new("shop", "sold", DataFormat::Json).backpressure(true))?;
    world.set_faults(FaultPlan::none().nth_of("http_input", 2, Fault::ReplyLost));
    let mut rows = Ingest::new("shop", "orders").chunk_bytes(80).start(feldera.config(), feldera.seed());
    for (id, item) in [(1, "bolt"), (2, "nut"), (3, "bolt"), (1, "screw")] {
        rows.push(json!({ "id": id, "item": item }))?;
    }
    rows.push(json!({ "id": "five", "item": "a mistake" }))?;
    rows.finish();
    while feed(&feldera, &mut rows)? {}
    println!(
        "\n  What has changed in the view. The second copies replaced the first ones, and nothing is there twice:\n"
    );
    changes(&mut view)?;
    drop(view);

    section("A checkpoint, another row, and the process dies");
    tell(&feldera, Checkpoint::new("shop"))?;
    let mut rows = Ingest::new("shop", "orders").start(feldera.config(), feldera.seed());
    rows.push(json!({ "id": 6, "item": "washer" }))?;
    rows.finish();
    feed(&feldera, &mut rows)?;
    println!("\n  The row is in, but nobody has said yet that it is processed. The process is killed.\n");
    service.with(|manager| manager.kill("shop"));
    let error = feed(&feldera, &mut rows).err().ok_or("the process was killed")?;
    println!("\n  The session does not take the row for processed, because {error}.");
    println!("  Another process, from the checkpoint, and the row once more:\n");
    tell(&feldera, EnsureRunning::new("shop"))?;
    println!("\n  The view holds what the checkpoint had, without order 6:\n");
    held(&feldera)?;
    println!();
    let mut rows = Ingest::new("shop", "orders").start(feldera.config(), feldera.seed());
    rows.push(json!({ "id": 6, "item": "washer" }))?;
    rows.finish();
    while feed(&feldera, &mut rows)? {}

    section("Somebody else wants something else");
    println!(
        "  We want it paused; a colleague stops it at that moment. Two programs that insist would go on for ever.\n"
    );
    let colleague = Feldera::new(service.base(), world.clone());
    let mut asked = false;
    let paused = feldera.run_with(EnsurePaused::new("shop"), |notice| {
        show(&notice);
        if matches!(notice, Notice::Phase { .. }) && !std::mem::replace(&mut asked, true) {
            colleague.call(StopPipeline::new("shop").force(true)).map(drop)
        } else {
            Ok(())
        }
    });
    println!("\n  {}.", paused.err().ok_or("it was stopped")?);

    section("The end of Feldera's chapter");
    println!(
        "  What the colleague's stop has cost is what came after the last checkpoint. Now with one at the stop.\n"
    );
    tell(&feldera, EnsureRunning::new("shop"))?;
    let stopped = tell(&feldera, Stop::new("shop"))?;
    let checkpoint = stopped.checkpoint.ok_or("this edition makes checkpoints")?;
    println!("\n  Stopped, with checkpoint {}.", crate::shorten(&checkpoint.uuid));
    println!("  {:.1} s passed on the virtual clock, and none on yours.", world.now().since(start).as_secs_f64());
    println!("  The same flows run on a real Feldera: see transport-ureq/examples/feldera_session.rs.");
    Ok(())
}

/// One event of the session; whether it is not the last.
fn feed(feldera: &Feldera<World>, rows: &mut Ingestion) -> Result<bool, Box<dyn Error>> {
    match feldera.drive(rows, |notice| show(&notice))? {
        IngestEvent::Accepted(accepted) => println!("  rows {:?} are in", accepted.rows),
        IngestEvent::Rejected(rejected) => {
            for bad in &rejected.rows {
                println!("  row {} is not in: {}", bad.row.unwrap_or_default(), bad.error);
            }
        }
        IngestEvent::Unconfirmed(unconfirmed) => {
            println!(
                "  rows {:?} may or may not have been ingested: {}",
                unconfirmed.chunk().rows(),
                unconfirmed.cause()
            );
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

/// Whether an event is one of many like it: a wait, or a look that brought an answer.
fn is_a_look(line: &str) -> bool {
    let looks = ["selector=status", "/completion_status", "/checkpoint_status"];
    line.contains(" waited ") || line.contains(": 200 after ") && looks.iter().any(|look| line.contains(look))
}

/// What has changed up to the silence that comes after it.
fn changes(view: &mut Stream<Egress>) -> Result<(), Box<dyn Error>> {
    while let Some(chunk) = view.next_item()? {
        if chunk.is_heartbeat() {
            break;
        }
        for row in chunk.rows() {
            println!("     {}", String::from_utf8_lossy(row));
        }
    }
    Ok(())
}

fn held(feldera: &Feldera<World>) -> Result<(), Box<dyn Error>> {
    let mut rows = feldera.open(AdhocQuery::new("shop", "SELECT * FROM sold", QueryFormat::Json))?;
    while let Some(row) = rows.next_item()? {
        println!("     {}", String::from_utf8_lossy(row));
    }
    Ok(())
}
