//! A program with two tables, a join, an aggregate and a filter: in a world, and served.

use std::time::Duration;

use pipewright::driver::Clock as _;
use pipewright::feldera::data::{DataFormat, HttpInput};
use pipewright::feldera::stream::{AdhocQuery, HttpOutput, QueryFormat};
use pipewright::feldera::{Deploy, Feldera};
use pipewright_mock::{World, feldera};

const SQL: &str = "\
CREATE TABLE customers (id INT NOT NULL PRIMARY KEY, name VARCHAR NOT NULL);
CREATE TABLE orders (id BIGINT NOT NULL, customer INT NOT NULL, total DECIMAL(10, 2) NOT NULL);
CREATE MATERIALIZED VIEW revenue AS
  SELECT c.name, COUNT(*) AS n, SUM(o.total) AS total
  FROM orders o JOIN customers c ON o.customer = c.id WHERE o.total > 0 GROUP BY c.name;";

const CUSTOMERS: &str = r#"{"insert":{"id":1,"name":"Ada"}}{"insert":{"id":2,"name":"Bob"}}"#;
/// What comes in, and the changes of `revenue`.
const STEPS: [(&str, &str, &[&str]); 4] = [
    ("customers", CUSTOMERS, &[]),
    (
        "orders",
        r#"{"insert":{"id":1,"customer":1,"total":"10.50"}}{"insert":{"id":2,"customer":2,"total":"0"}}"#,
        &[r#"{"insert":{"name":"Ada","n":1,"total":10.50}}"#],
    ),
    (
        "orders",
        r#"{"insert":{"id":3,"customer":1,"total":"2"}}{"insert":{"id":4,"customer":2,"total":"5"}}"#,
        &[
            r#"{"delete":{"name":"Ada","n":1,"total":10.50}}"#,
            r#"{"insert":{"name":"Ada","n":2,"total":12.50}}"#,
            r#"{"insert":{"name":"Bob","n":1,"total":5.00}}"#,
        ],
    ),
    ("customers", r#"{"delete":{"id":2}}"#, &[r#"{"delete":{"name":"Bob","n":1,"total":5.00}}"#]),
];

#[test]
fn a_view_of_two_tables_sends_the_right_differences() {
    let world = World::new(7);
    let base = world.feldera("https://feldera.test".parse().expect("an address"), feldera::Config::default()).base();
    let client = Feldera::new(base, world.clone());
    client.run(Deploy::new("shop", SQL)).expect("it runs");
    let mut view = client.open(HttpOutput::new("shop", "revenue", DataFormat::Json).backpressure(true)).expect("open");
    for (table, body, expected) in STEPS {
        client.call(HttpInput::new("shop", table, DataFormat::Json, body)).expect("taken in");
        world.sleep_until(world.now() + Duration::from_millis(100));
        if expected.is_empty() {
            continue;
        }
        let chunk = view.next_item().expect("a chunk").expect("not the end");
        let rows: Vec<&[u8]> = chunk.rows().collect();
        let rows: Vec<&str> = rows.into_iter().map(|row| std::str::from_utf8(row).expect("a text")).collect();
        assert_eq!(rows, expected, "after {body}");
    }
    let query = AdhocQuery::new("shop", "SELECT name, total FROM revenue", QueryFormat::Json);
    let mut result = client.open(query).expect("a result");
    let mut text = Vec::new();
    while let Some(piece) = result.next_item().expect("a piece") {
        text.extend_from_slice(piece);
    }
    assert_eq!(String::from_utf8_lossy(&text).trim_end(), r#"{"name":"Ada","total":12.50}"#);
}

#[cfg(feature = "serve")]
mod served {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::TcpStream;
    use std::time::{Duration, Instant};

    use pipewright_mock::feldera::{Config, Manager};
    use pipewright_mock::serve::{Options, Server, Time};
    use serde_json::json;

    use super::{SQL, STEPS};

    fn send(server: &Server<Manager>, method: &str, path: &str, body: &str) -> BufReader<TcpStream> {
        let address = server.url().strip_prefix("http://").expect("an address");
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n");
        write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).expect("written");
        BufReader::new(stream)
    }

    fn ask(server: &Server<Manager>, method: &str, path: &str, body: &str) -> String {
        let mut text = String::new();
        send(server, method, path, body).read_to_string(&mut text).expect("an answer");
        text
    }

    #[test]
    fn the_same_differences_come_over_a_port() {
        let options = Options::feldera(Config::default()).time(Time::Fast(20));
        let server = Server::start(options).expect("a free port");
        let program = json!({ "name": "shop", "program_code": SQL }).to_string();
        assert!(ask(&server, "POST", "/v0/pipelines", &program).starts_with("HTTP/1.1 201"));
        assert!(ask(&server, "POST", "/v0/pipelines/shop/start", "").starts_with("HTTP/1.1 202"));
        let patience = Instant::now() + Duration::from_secs(30);
        while server.with(|manager| manager.pipeline("shop").is_none_or(|it| it.status != "Running")) {
            assert!(Instant::now() < patience, "the pipeline does not run");
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut view = send(&server, "POST", "/v0/pipelines/shop/egress/revenue?format=json&backpressure=true", "");
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            view.read_line(&mut line).expect("a head");
        }
        for (table, body, expected) in STEPS {
            let path = format!("/v0/pipelines/shop/ingress/{table}?format=json");
            assert!(ask(&server, "POST", &path, body).starts_with("HTTP/1.1 200"), "{body}");
            if expected.is_empty() {
                continue;
            }
            let expected = format!("\"json_data\":[{}]", expected.join(","));
            line.clear();
            while !line.contains("json_data") {
                line.clear();
                assert!(view.read_line(&mut line).expect("a line") > 0, "the end before {expected}");
            }
            assert!(line.contains(&expected), "{line} has not {expected}");
        }
    }
}
