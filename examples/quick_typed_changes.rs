//! Deploys a Feldera pipeline, and reads the changes of a view as values of a Rust type.
//! Run it: `cargo run -p pipewright-examples --example quick_typed_changes`

use pipewright::feldera::stream::{HttpOutput, RowChange::Insert};
use pipewright::feldera::{Deploy, Feldera, Ingest, Rows, data::DataFormat};
use pipewright_mock::{World, feldera::Config};

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Order {
    id: i64,
    item: String,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A simulated Feldera; a real one takes `Feldera::new("http://127.0.0.1:8080".parse()?, Ureq::new())`.
    let world = World::new(1);
    let feldera = Feldera::new(world.feldera("http://feldera".parse()?, Config::default()).base(), world);
    let table = "CREATE TABLE orders (id BIGINT NOT NULL PRIMARY KEY, item VARCHAR);";
    feldera.run(Deploy::new("shop", format!("{table} CREATE VIEW sold AS SELECT * FROM orders;")))?;

    let mut view = feldera.open(HttpOutput::new("shop", "sold", DataFormat::Json))?;
    let orders = [(1, "bolt"), (2, "nut")].map(|(id, item)| Order { id, item: item.to_owned() });
    feldera.ingest(Ingest::new("shop", "orders"), Rows::new(orders.clone()))?;
    let chunk = view.next_item()?.ok_or("the pipeline has stopped")?;
    let changes = chunk.changes::<Order>().collect::<Result<Vec<_>, _>>()?;
    println!("{changes:?}");
    assert_eq!(changes, orders.map(Insert));
    Ok(())
}
