//! A view of Feldera as changes of a type of your own.
//!
//! ```text
//! cargo run -p pipewright-ureq --example quick_typed_changes
//! ```

use std::error::Error;

use pipewright::feldera::data::DataFormat;
use pipewright::feldera::stream::{HttpOutput, RowChange};
use pipewright::feldera::{Deploy, Feldera, Ingest};
use pipewright_mock::{World, feldera::Config};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Order<'a> {
    id: i64,
    item: &'a str,
}

const SQL: &str = "CREATE TABLE orders (id BIGINT NOT NULL PRIMARY KEY, item VARCHAR);
CREATE MATERIALIZED VIEW sold AS SELECT * FROM orders;";

fn main() -> Result<(), Box<dyn Error>> {
    // A simulated Feldera; a real one takes `Feldera::new("http://127.0.0.1:8080".parse()?, Ureq::new())`.
    let world = World::new(1);
    let feldera = Feldera::new(world.feldera("http://feldera".parse()?, Config::default()).base(), world);
    feldera.run(Deploy::new("shop", SQL))?;
    let mut view = feldera.open(HttpOutput::new("shop", "sold", DataFormat::Json))?;

    let mut rows = feldera.start(Ingest::new("shop", "orders"));
    for (id, item) in [(1, "bolt"), (2, "nut"), (1, "screw")] {
        rows.flow_mut().push(Order { id, item })?;
    }
    rows.flow_mut().finish();
    while rows.next()?.is_some() {}

    while let Some(chunk) = view.next_item()?.filter(|chunk| !chunk.is_heartbeat()) {
        for change in chunk.changes::<Order<'_>>() {
            match change? {
                RowChange::Insert(order) => println!("+ {order:?}"),
                RowChange::Delete(order) => println!("- {order:?}"),
                _ => {}
            }
        }
    }
    Ok(())
}
