//! Ingests a CSV file into a table of Feldera. One of its lines does not fit the table.
//! Run it: `cargo run -p pipewright-examples --example quick_ingest_csv`

use pipewright::feldera::{Csv, Deploy, Feldera, Ingest, IngestRows, OnRejected, OnUnconfirmed};
use pipewright_mock::{World, feldera::Config};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A simulated Feldera; a real one takes `Feldera::new("http://127.0.0.1:8080".parse()?, Ureq::new())`.
    let world = World::new(1);
    let feldera = Feldera::new(world.feldera("http://feldera".parse()?, Config::default()).base(), world);
    feldera.run(Deploy::new("shop", "CREATE TABLE items (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR);"))?;

    let file = "id,name\n1,bolt\ntwo,nut\n3,\"screw, long\"\n";
    let goal = IngestRows::from(Ingest::new("shop", "items").csv())
        .on_rejected(OnRejected::Skip)
        // The table has a primary key, so a second copy of a row changes nothing.
        .on_unconfirmed(OnUnconfirmed::Resend);
    let summary = feldera.ingest(goal, Csv::new(file.as_bytes()).skip_header())?;
    println!("{summary}");
    for rejected in &summary.rejected {
        println!("{rejected}");
    }
    assert_eq!((summary.rows_processed, summary.rows_rejected), (2, 1));
    Ok(())
}
