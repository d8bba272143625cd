//! A CSV file into a table of Feldera, with a line that does not fit.
//!
//! ```text
//! cargo run -p pipewright-ureq --example quick_ingest_csv
//! ```

use std::error::Error;

use pipewright::feldera::{Csv, Deploy, Feldera, Ingest, IngestRows, OnRejected, OnUnconfirmed};
use pipewright_mock::{World, feldera::Config};

fn main() -> Result<(), Box<dyn Error>> {
    // A simulated Feldera; a real one takes `Feldera::new("http://127.0.0.1:8080".parse()?, Ureq::new())`.
    let world = World::new(1);
    let simulator = world.feldera("http://feldera.test:8080".parse()?, Config::default());
    let feldera = Feldera::new(simulator.base(), world);
    feldera.run(Deploy::new("orders", "CREATE TABLE items (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR);"))?;

    let file = "id,name\n1,bolt\ntwo,nut\n3,\"screw, long\"\n".as_bytes();
    let goal = IngestRows::from(Ingest::new("orders", "items").csv())
        .on_rejected(OnRejected::Skip)
        // The table has a primary key, so a second copy of a row changes nothing.
        .on_unconfirmed(OnUnconfirmed::Resend);
    let summary = feldera.ingest(goal, Csv::new(file).skip_header())?;
    println!("{summary}");
    for rejected in &summary.rejected {
        println!("{rejected}");
    }
    Ok(())
}
