//! Rows go into a table of Feldera, and the changes that they cause in a view come back before the next line runs.
//!
//! ```text
//! cargo run -p pipewright-ureq --example quick_read_your_writes
//! ```

use std::error::Error;

use pipewright::feldera::data::{DataFormat, HttpInput};
use pipewright::feldera::stream::HttpOutput;
use pipewright::feldera::{DeliveryProof, Deploy, Feldera};
use pipewright_mock::{World, feldera::Config, feldera::Release};

const SQL: &str = "CREATE TABLE orders (id BIGINT NOT NULL PRIMARY KEY, item VARCHAR);
CREATE MATERIALIZED VIEW sold AS SELECT * FROM orders;";

fn main() -> Result<(), Box<dyn Error>> {
    // A simulated Feldera; a real one takes `Feldera::new("http://127.0.0.1:8080".parse()?, Ureq::new())`.
    let (world, config) = (World::new(1), Config { release: Release::V0_375, ..Config::default() });
    let feldera = Feldera::new(world.feldera("http://feldera".parse()?, config).base(), world);
    feldera.run(Deploy::new("shop", SQL))?;
    let mut view = feldera.subscribe(HttpOutput::new("shop", "sold", DataFormat::Json).backpressure(true))?;

    for (id, item) in [(1, "bolt"), (2, "nut"), (1, "screw")] {
        let row = format!(r#"{{"insert":{{"id":{id},"item":"{item}"}}}}"#);
        let row = HttpInput::new("shop", "orders", DataFormat::Json, row);
        let proof = view.ingest(row, |chunk| {
            chunk.rows().for_each(|change| println!("{}", String::from_utf8_lossy(change)));
        })?;
        match proof {
            DeliveryProof::Delivered { step, .. } => println!("these were all changes until step {step}"),
            proof => println!("the server does not tell whether there are more changes: {proof:?}"),
        }
    }
    Ok(())
}
