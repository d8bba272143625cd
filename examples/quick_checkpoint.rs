//! Makes a checkpoint of a Feldera pipeline, and shows its progress.
//! Run it: `cargo run -p pipewright-examples --example quick_checkpoint`

use std::{collections::BTreeMap, time::Duration};

use pipewright::feldera::{Checkpoint, Deploy, Feldera, Ingest, Rows};
use pipewright::flow::Notice;
use pipewright_mock::{World, feldera};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A simulated Feldera; a real one takes `Feldera::new("http://127.0.0.1:8080".parse()?, Ureq::new())`.
    let config = feldera::Config { edition: feldera::Edition::Enterprise, ..Default::default() };
    let world = World::new(1);
    let feldera = Feldera::new(world.feldera("http://feldera".parse()?, config).base(), world);
    feldera.run(Deploy::new("shop", "CREATE TABLE items (id BIGINT NOT NULL PRIMARY KEY);"))?;
    feldera.ingest(Ingest::new("shop", "items"), Rows::new((1..=1000).map(|id| BTreeMap::from([("id", id)]))))?;

    let goal = Checkpoint::new("shop").timeout(Duration::from_secs(600));
    let checkpoint = feldera.run_with(goal, |notice| match notice {
        // After a crash, `Checkpoint::resume(&saved)` waits for this checkpoint instead of requesting another.
        Notice::Persist(saved) => println!("to save: {saved:?}"),
        Notice::Phase { .. } | Notice::Observed { .. } => println!("{notice}"),
        _ => {}
    })?;
    println!("checkpoint {} is durable", checkpoint.newest);
    assert!(checkpoint.newest >= checkpoint.number);
    Ok(())
}
