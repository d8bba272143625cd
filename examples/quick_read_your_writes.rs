//! Ingests rows into a table of Feldera, and reads the changes that each row causes in a view.
//! Run it: `cargo run -p pipewright-examples --example quick_read_your_writes`

use pipewright::feldera::data::{DataFormat::Json, HttpInput};
use pipewright::feldera::{DeliveryProof, Deploy, Feldera, stream::HttpOutput};
use pipewright_mock::{World, feldera};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A simulated Feldera; a real one takes `Feldera::new("http://127.0.0.1:8080".parse()?, Ureq::new())`.
    let config = feldera::Config { release: feldera::Release::V0_375, ..Default::default() };
    let world = World::new(1);
    let feldera = Feldera::new(world.feldera("http://feldera".parse()?, config).base(), world);
    let table = "CREATE TABLE orders (id BIGINT NOT NULL PRIMARY KEY, item VARCHAR);";
    feldera.run(Deploy::new("shop", format!("{table} CREATE VIEW sold AS SELECT * FROM orders;")))?;
    let mut view = feldera.subscribe(HttpOutput::new("shop", "sold", Json).backpressure(true))?;

    let mut changes = Vec::new();
    for row in [r#"{"insert":{"id":1,"item":"bolt"}}"#, r#"{"insert":{"id":1,"item":"screw"}}"#] {
        let input = HttpInput::new("shop", "orders", Json, row);
        // When this returns with a proof, `changes` has every change that the row has caused.
        let proof = view.ingest(input, |chunk| changes.extend(chunk.rows().map(<[u8]>::to_vec)))?;
        assert!(matches!(proof, DeliveryProof::Delivered { .. }));
    }
    for change in &changes {
        println!("{}", String::from_utf8_lossy(change));
    }
    // The second row replaces the first row: a deletion and an insertion.
    assert_eq!(changes.len(), 3);
    Ok(())
}
