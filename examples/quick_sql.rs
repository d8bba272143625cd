//! Runs SQL on a Flink SQL Gateway, and prints the rows of a table as Rust values.
//! Run it: `cargo run -p pipewright-examples --example quick_sql`

use pipewright::flink::sql_gateway::sessions::{CloseSession, OpenSession};
use pipewright::flink::sql_gateway::{RunStatement, SqlGateway, StatementEvent, results::Row};
use pipewright_mock::{World, sql_gateway::Config};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A simulated gateway; a real one takes `SqlGateway::new("http://127.0.0.1:8083".parse()?, Ureq::new())`.
    let world = World::new(1);
    let gateway = SqlGateway::new(world.sql_gateway("http://gateway".parse()?, Config::default()).base(), world);
    let session = gateway.call(OpenSession::new())?.session_handle;
    let mut items: Vec<(String, i64)> = Vec::new();
    for sql in [
        "CREATE TABLE orders (item STRING, pieces BIGINT) WITH ('connector' = 'filesystem')",
        "INSERT INTO orders VALUES ('bolt', 4), ('nut', 2), ('bolt', 3)",
        "SELECT item, SUM(pieces) FROM orders GROUP BY item ORDER BY item",
    ] {
        let mut statement = gateway.start(RunStatement::new(sql).in_session(session));
        while let Some(StatementEvent::Page(page)) = statement.next()? {
            if page.is_query {
                items.extend(page.rows.iter().map(Row::read).collect::<Result<Vec<_>, _>>()?);
            }
        }
    }
    gateway.call(CloseSession::new(session))?;
    println!("{items:?}");
    assert_eq!(items, [("bolt".to_owned(), 7), ("nut".to_owned(), 2)]);
    Ok(())
}
