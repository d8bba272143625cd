//! Programs with joins, aggregates and filters.

use std::collections::BTreeMap;

use pipewright::Seed;
use serde_json::{Value, json};

use super::{Sim, read, rejection};
use crate::streaming::OpenBody;

const SHOP: &str = "\
CREATE TABLE customers (id INT NOT NULL PRIMARY KEY, name VARCHAR NOT NULL, since DATE);
CREATE TABLE orders (id BIGINT NOT NULL, customer INT, total DECIMAL(10, 2)) WITH ('materialized' = 'true');
CREATE LOCAL VIEW paid AS SELECT * FROM orders WHERE total > 0;
CREATE MATERIALIZED VIEW revenue AS
  SELECT c.name, COUNT(*) AS n, SUM(p.total) AS total
  FROM paid p JOIN customers c ON p.customer = c.id GROUP BY c.name;
CREATE VIEW good AS SELECT name FROM revenue WHERE total >= 100;
CREATE MATERIALIZED VIEW names AS SELECT DISTINCT name FROM customers UNION ALL SELECT 'Zoe' AS name;
";

fn shop(mut sim: Sim) -> Sim {
    assert_eq!(sim.create(SHOP).0, 201);
    sim.wait(1000);
    let object = sim.get("/pipelines/p").1;
    assert_eq!(sim.view().program_status, "Success", "{}", object["program_error"]);
    sim.start();
    sim
}

impl Sim {
    fn change(&mut self, table: &str, events: &[Value]) {
        let body: Vec<String> = events.iter().map(Value::to_string).collect();
        self.token(&format!("{table}?format=json"), &body.concat());
        self.wait(20);
    }

    fn egress(&mut self, view: &str) -> OpenBody {
        self.open("POST", &format!("egress/{view}?format=json&backpressure=true")).1
    }

    /// The changes that came, without heartbeats.
    fn changes(&mut self, body: OpenBody) -> Vec<String> {
        let mut changes = Vec::new();
        for line in self.follow(body, 0).0.split_terminator("\r\n") {
            let record: Value = serde_json::from_str(line).expect("a record");
            for change in record["json_data"].as_array().into_iter().flatten() {
                let (action, row) = change.as_object().and_then(|change| change.iter().next()).expect("a change");
                let fields = row.as_object().expect("a row").values().map(Value::to_string).collect::<Vec<_>>();
                changes.push(format!("{action} {}", fields.join(" ")));
            }
        }
        changes
    }

    fn query(&mut self, sql: &str) -> Vec<Value> {
        let target = format!("/pipelines/p/query?format=json&sql={}", sql.replace(' ', "%20"));
        let response = self.send("GET", &target, "", "");
        let text = String::from_utf8(response.body().to_vec()).expect("a text");
        assert_eq!(response.status(), 200, "{text}");
        text.lines().map(|line| serde_json::from_str(line).expect("a row")).collect()
    }
}

fn insert(row: impl Into<Value>) -> Value {
    json!({ "insert": row.into() })
}

fn delete(row: impl Into<Value>) -> Value {
    json!({ "delete": row.into() })
}

#[test]
fn views_send_the_differences_of_each_step() {
    let mut sim = shop(Sim::new());
    let (revenue, good, names) = (sim.egress("revenue"), sim.egress("good"), sim.egress("names"));
    let customer = |id: u32, name: &str| json!({ "id": id, "name": name });
    let order = |id: u32, customer: u32, total: &str| json!({ "id": id, "customer": customer, "total": total });

    sim.change("customers", &[insert(customer(1, "Ada")), insert(customer(2, "Bob"))]);
    assert_eq!(sim.changes(names), ["insert \"Ada\"", "insert \"Bob\""]);
    assert_eq!(sim.changes(revenue), [""; 0]);

    // An order without a customer and one that is not paid change nothing.
    let orders = [order(1, 1, "60.50"), order(2, 1, "40"), order(3, 9, "5"), order(4, 2, "0")];
    sim.change("orders", &orders.map(insert));
    assert_eq!(sim.changes(revenue), ["insert 2 \"Ada\" 100.5"]);
    assert_eq!(sim.changes(good), ["insert \"Ada\""]);

    // The same row twice counts twice; one deletion takes one of them back.
    sim.change("orders", &[insert(order(5, 2, "10")), insert(order(5, 2, "10"))]);
    assert_eq!(sim.changes(revenue), ["insert 2 \"Bob\" 20.0"]);
    sim.change("orders", &[delete(order(5, 2, "10.00"))]);
    assert_eq!(sim.changes(revenue), ["delete 2 \"Bob\" 20.0", "insert 1 \"Bob\" 10.0"]);

    // A row that is inserted and deleted in one step is no change.
    sim.change("orders", &[insert(order(6, 1, "1")), delete(order(6, 1, "1"))]);
    assert_eq!(sim.changes(revenue), [""; 0]);

    // A new name for a key replaces its row, and so the groups.
    sim.change("customers", &[insert(customer(1, "Bob"))]);
    assert_eq!(sim.changes(revenue), ["delete 2 \"Ada\" 100.5", "delete 1 \"Bob\" 10.0", "insert 3 \"Bob\" 110.5"]);
    assert_eq!(sim.changes(good), ["delete \"Ada\"", "insert \"Bob\""]);
    assert_eq!(sim.changes(names), ["delete \"Ada\""]);

    sim.change("orders", &[delete(order(1, 1, "60.5")), delete(order(99, 1, "1"))]);
    assert_eq!(sim.changes(revenue), ["delete 3 \"Bob\" 110.5", "insert 2 \"Bob\" 50.0"]);
    assert_eq!(sim.changes(good), ["delete \"Bob\""]);
    assert_eq!(sim.query("select name, total from revenue"), [json!({ "name": "Bob", "total": 50.0 })]);
}

#[test]
fn a_snapshot_has_all_digits_and_columns_in_their_order() {
    let mut sim = shop(Sim::new());
    sim.change("orders", &[insert(json!({ "id": 9_007_199_254_740_993_u64, "total": "12345678.90" }))]);
    let snapshot = |sim: &mut Sim, query: &str| sim.open("POST", &format!("egress/{query}&send_snapshot=true")).0;
    let json = "{\"sequence_number\":0,\"snapshot\":true,\"json_data\":[{\"insert\":{\"id\":9007199254740993,\"customer\":null,\"total\":12345678.90}}]}\r\n";
    assert_eq!(snapshot(&mut sim, "orders?format=json"), json);
    let csv = "{\"sequence_number\":0,\"snapshot\":true,\"text_data\":\"9007199254740993,,12345678.90,1\\n\"}\r\n";
    assert_eq!(snapshot(&mut sim, "orders?format=csv"), csv);
    // The rows of a constant do not wait for a step.
    assert!(snapshot(&mut sim, "names?format=json").contains("Zoe"));
}

#[test]
fn schemas_have_the_types_of_views() {
    let mut sim = shop(Sim::new());
    let schema = sim.get("/pipelines/p").1["program_info"]["schema"].clone();
    let names: Vec<&Value> = schema["outputs"].as_array().expect("views").iter().map(|view| &view["name"]).collect();
    assert_eq!(names, ["revenue", "good", "names"]);
    let types: Vec<Value> = schema["outputs"][0]["fields"]
        .as_array()
        .expect("columns")
        .iter()
        .map(|field| json!([field["name"], field["columntype"]]))
        .collect();
    assert_eq!(
        json!(types),
        json!([
            ["name", { "type": "VARCHAR", "nullable": false, "precision": -1 }],
            ["n", { "type": "BIGINT", "nullable": false }],
            ["total", { "type": "DECIMAL", "nullable": true, "precision": 10, "scale": 2 }],
        ])
    );
    assert_eq!(schema["inputs"][1]["properties"]["materialized"]["value"], "true");
}

/// One of a few rows, so that rows meet again.
fn random_change(seed: &mut Seed) -> (&'static str, Value) {
    let mut pick = |most: u64| seed.next_u64() % most;
    let name = if pick(2) == 0 { "Ada" } else { "Bob" };
    let total = if pick(4) == 0 { "0" } else { "61.25" };
    let (table, row) = match pick(4) {
        0 => ("customers", json!({ "id": pick(4), "name": name })),
        _ => ("orders", json!({ "id": pick(3), "customer": pick(5), "total": total })),
    };
    (table, if pick(3) > 0 { insert(row) } else { delete(row) })
}

/// The rows that a reader has who adds all changes up.
fn add_up(rows: &mut BTreeMap<String, i64>, changes: Vec<String>) {
    for change in changes {
        let (action, row) = change.split_once(' ').expect("an action");
        let count = rows.entry(row.to_owned()).or_insert(0);
        *count += if action == "insert" { 1 } else { -1 };
        if *count == 0 {
            rows.remove(row);
        }
    }
}

/// Whatever comes in, and however the pipeline is restarted, the changes add up to what a query finds.
#[test]
fn all_changes_together_are_the_result_of_the_query() {
    let all = "select name, n, total from revenue";
    for number in 0..12 {
        let mut seed = Seed::new(number);
        let mut sim = shop(Sim::enterprise());
        let mut summed = BTreeMap::new();
        for round in 0..4 {
            let body = sim.egress("revenue");
            for _ in 0..6 {
                let events: Vec<(&str, Value)> = (0..=seed.next_u64() % 5).map(|_| random_change(&mut seed)).collect();
                for table in ["customers", "orders"] {
                    let of = events.iter().filter(|(of, _)| *of == table).map(|(_, event)| event.clone());
                    sim.change(table, &of.collect::<Vec<_>>());
                }
            }
            add_up(&mut summed, sim.changes(body));
            let mut expected = BTreeMap::new();
            let rows = sim.query(all);
            let shown = |row: &Value| format!("insert {} {} {}", row["n"], row["name"], row["total"]);
            add_up(&mut expected, rows.iter().map(shown).collect());
            assert_eq!(summed, expected, "seed {number}, round {round}");
            if round % 2 == 0 {
                // A suspend makes a checkpoint.
                assert_eq!(sim.post("/pipelines/p/stop").0, 202);
                sim.wait(2000);
            } else {
                assert_eq!(sim.post("/pipelines/p/checkpoint").0, 200);
                sim.wait(500);
                sim.stop();
            }
            sim.start();
            assert_eq!(sim.query(all), rows, "seed {number}, round {round}");
        }
    }
}

#[test]
fn what_is_wrong_does_not_compile() {
    let table = "CREATE TABLE t (id BIGINT NOT NULL, s VARCHAR);\n";
    for (sql, kind, message, position) in [
        (
            "CREATE VIEW v AS SELECT nosuch FROM t;",
            "Error in SQL statement",
            "Column 'nosuch' not found in any table",
            (2, 25, 30),
        ),
        (
            "CREATE VIEW v AS SELECT t.nosuch FROM t;",
            "Error in SQL statement",
            "Column 'nosuch' not found in table 't'",
            (2, 27, 32),
        ),
        (
            "CREATE VIEW v AS SELEC id FROM t;",
            "Error parsing SQL",
            "Encountered \"SELEC\" at line 2, column 18.",
            (2, 18, 22),
        ),
        (
            "CREATE VIEW v AS SELECT id + s FROM t;",
            "Error in SQL statement",
            "Cannot apply '+' to arguments of type '<BIGINT> + <VARCHAR>'",
            (2, 25, 30),
        ),
        (
            "SELECT * FROM t;",
            "Error in SQL statement",
            "Raw 'SELECT' statements are not supported; did you forget to CREATE VIEW?",
            (2, 1, 15),
        ),
        ("CREATE TABLE t (x INT);", "Error in SQL statement", "Object 't' already defined", (2, 14, 14)),
    ] {
        let mut sim = Sim::new();
        assert_eq!(sim.create(&format!("{table}{sql}")).0, 201);
        sim.wait(1000);
        let error = sim.get("/pipelines/p").1["program_error"]["sql_compilation"].clone();
        let found = &error["messages"][0];
        assert_eq!((&found["error_type"], &found["message"]), (&json!(kind), &json!(message)), "{sql}");
        let (line, start, end) = position;
        let place =
            ["start_line_number", "start_column", "end_line_number", "end_column"].map(|key| found[key].clone());
        assert_eq!(place, [line, start, line, end].map(|number| json!(number)), "{sql}");
        assert_eq!((&error["exit_code"], &found["warning"]), (&json!(1), &json!(false)));
    }
    let mut sim = Sim::new();
    sim.create("CREATE TABLE t (id INT);\nCREATE VIEW v AS SELECT nosuch FROM t;\nCREATE VIEW w AS SELECT 1;");
    sim.wait(1000);
    let message = sim.get("/pipelines/p").1["program_error"]["sql_compilation"]["messages"][0].clone();
    let marks = " ".repeat(30) + &"^".repeat(6);
    let snippet = format!("    2|CREATE VIEW v AS SELECT nosuch FROM t;\n{marks}\n    3|CREATE VIEW w AS SELECT 1;\n");
    assert_eq!(message["snippet"], json!(snippet));
}

#[test]
fn a_view_that_the_engine_does_not_run_is_scripted() {
    let sql = "CREATE TABLE t (id BIGINT NOT NULL, at TIMESTAMP NOT NULL LATENESS INTERVAL 1 HOUR);\n\
        CREATE MATERIALIZED VIEW ranked AS SELECT id, ROW_NUMBER() OVER (PARTITION BY id ORDER BY at) AS place FROM t;\n\
        CREATE VIEW first AS SELECT * FROM ranked WHERE place = 1;\nCREATE VIEW plain AS SELECT id FROM t;";
    let mut sim = Sim::new();
    sim.create(sql);
    sim.wait(1000);
    let messages = sim.get("/pipelines/p").1["program_error"]["sql_compilation"]["messages"].clone();
    let texts: Vec<&str> =
        messages.as_array().expect("messages").iter().filter_map(|it| it["message"].as_str()).collect();
    assert!(messages.as_array().is_some_and(|messages| messages.iter().all(|message| message["warning"] == true)));
    assert!(texts[0].contains("LATENESS") && texts[1].contains("window functions"), "{texts:?}");
    assert!(texts[1].contains("/_simulator/pipelines/{pipeline}/views/ranked/emit"), "{texts:?}");
    assert!(texts[2].contains("view 'first'"), "{texts:?}");
    sim.start();
    let body = sim.egress("ranked");
    sim.manager.emit("p", "Ranked", &[insert(json!({ "id": 1, "place": 1 }))]).expect("emitted");
    sim.wait(20);
    let target = "/_simulator/pipelines/p/views/ranked/emit";
    let events = "[{\"insert\":{\"id\":1,\"place\":2}},{\"delete\":{\"id\":1,\"place\":1}}]";
    assert_eq!(read(&sim.send_to("POST", target, "application/json", events)), (200, json!({ "emitted": 2 })));
    sim.wait(20);
    assert_eq!(sim.changes(body), ["insert 1 1", "insert 1 2", "delete 1 1"]);
    let snapshot = sim.open("POST", "egress/ranked?format=csv&send_snapshot=true").0;
    assert!(snapshot.contains("\"text_data\":\"1,2,1\\n\""), "{snapshot}");
    // A view that the engine runs is not scripted, and a view that does not exist is not either.
    for view in ["plain", "nosuch"] {
        let target = format!("/_simulator/pipelines/p/views/{view}/emit");
        assert_eq!(read(&sim.send_to("POST", &target, "application/json", "[]")).0, 404, "{view}");
    }
    assert_eq!(read(&sim.send_to("POST", target, "application/json", "[{\"x\":1}]")).0, 400);
}

#[test]
fn queries_run_on_materialized_relations_in_all_formats() {
    let mut sim = shop(Sim::new());
    sim.change("orders", &[insert(json!({ "id": 1, "customer": 1, "total": "1.50" }))]);
    let ask = |sim: &mut Sim, format: &str, sql: &str| {
        let target = format!("/pipelines/p/query?format={format}&sql={}", sql.replace(' ', "%20").replace('+', "%2B"));
        sim.send("GET", &target, "", "")
    };
    let text = |sim: &mut Sim, sql: &str| String::from_utf8_lossy(ask(sim, "text", sql).body()).into_owned();
    sim.change("orders", &[insert(json!({ "id": 20, "customer": 1, "total": "0.25" }))]);
    assert_eq!(
        text(&mut sim, "select sum(id), count(*) from orders"),
        "+----------------+----------+\n\
         | sum(orders.id) | count(*) |\n\
         +----------------+----------+\n\
         | 21             | 2        |\n\
         +----------------+----------+"
    );
    assert_eq!(
        text(&mut sim, "select total, null as x, id from orders order by id desc"),
        "+-------+---+----+\n| total | x | id |\n+-------+---+----+\n| 0.25  |   | 20 |\n| 1.50  |   | 1  |\n+-------+---+----+"
    );
    assert_eq!(
        sim.query("select timestamp '2024-01-02 03:04:05' as ts, 1.5 as d"),
        [json!({ "ts": "2024-01-02T03:04:05", "d": 1.5 })]
    );
    let hash = |sim: &mut Sim, sql: &str| String::from_utf8_lossy(ask(sim, "hash", sql).body()).into_owned();
    let of_orders = hash(&mut sim, "select id, total from orders");
    assert_eq!(of_orders, "F431419B0CB667D98D1C1C1B1201EE5C2E150A79A3E36B4B510B24E890F349F6");
    assert_eq!(hash(&mut sim, "select id, total from orders order by id desc"), of_orders);
    assert_eq!(hash(&mut sim, "select 20 as a, '0.25' as b union all select 1, '1.50'"), of_orders);
    for other in ["select id, total from orders where id = 1", "select id, total + 0 as t from orders where false"] {
        assert_ne!(hash(&mut sim, other), of_orders, "{other}");
    }
    let arrow = ask(&mut sim, "arrow_ipc", "select * from orders");
    assert_eq!(arrow.headers()["content-type"], "application/octet-stream");
    assert!(arrow.body().ends_with(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]));
    let parquet = read(&ask(&mut sim, "parquet", "select 1"));
    assert!(
        parquet.0 == 501 && parquet.1["message"].as_str().is_some_and(|it| it.contains("arrow_ipc")),
        "{parquet:?}"
    );
    for (sql, error) in [
        ("select * from good", "Execution error: Tried to SELECT from a non-materialized source. Make sure `good`"),
        ("select * from paid", "Error during planning: table 'datafusion.public.paid' not found"),
        ("select nosuch from orders", "Schema error: No field named nosuch."),
        ("create table z (x int)", "Error during planning: DDL not supported: CreateMemoryTable"),
        ("select 1; select 2", "only the final statement in a multi-statement ad-hoc query may return a result set"),
        ("selec 1", "SQL error: ParserError("),
    ] {
        let answer = read(&ask(&mut sim, "json", sql));
        assert_eq!(rejection(&answer), (400, "AdHocQueryError"), "{sql}");
        let found = answer.1["details"]["error"].as_str().unwrap_or_default();
        assert!(found.starts_with(error), "{sql}: {found}");
    }
    // The head is out when the evaluation fails.
    let failed = ask(&mut sim, "json", "select 1 / (id - 1) from orders");
    assert_eq!(
        (failed.status().as_u16(), &failed.body()[..]),
        (200, &b"{\"error\":\"Arrow error: Divide by zero error\"}"[..])
    );
    assert_eq!(read(&ask(&mut sim, "hash", "select 1 / (id - 1) from orders")).0, 400);
    assert_eq!(read(&ask(&mut sim, "arrow_ipc", "select 1 / (id - 1) from orders")).0, 503);
}

/// The last statement sees what was there before the first.
#[test]
fn an_insert_of_a_query_is_a_step_like_any_other() {
    let mut sim = shop(Sim::new());
    let body = sim.egress("orders");
    assert_eq!(
        sim.query("insert into orders values (7, null, 2.5); select count(*) as n from orders"),
        [json!({ "n": 0 })]
    );
    sim.wait(20);
    assert_eq!(sim.changes(body), ["insert null 7 2.5"]);
    assert_eq!(sim.query("insert into orders (id) values (8)"), [json!({ "count": 1 })]);
    sim.wait(20);
    assert_eq!(sim.query("select id from orders order by id desc"), [json!({ "id": 8 }), json!({ "id": 7 })]);
}

#[test]
fn a_view_that_cannot_be_evaluated_panics() {
    let mut sim = Sim::new();
    sim.create("CREATE TABLE t (id INT NOT NULL); CREATE VIEW v AS SELECT 1 / id AS x FROM t;");
    sim.wait(1000);
    sim.start();
    sim.change("t", &[insert(json!({ "id": 0 }))]);
    sim.wait(10_000);
    let error = sim.view().error.expect("an error");
    assert_eq!((sim.view().status.as_str(), &error["error_code"]), ("Stopped", &json!("RuntimeError.WorkerPanic")));
}

#[test]
fn a_view_or_query_beyond_the_limits_fails_and_says_so() {
    let rows = "SELECT a.id FROM t a CROSS JOIN t b CROSS JOIN t c";
    let bytes = "SELECT COUNT(REPEAT('a', 15000000)) AS n FROM t";
    let create = |view: &str| format!("CREATE TABLE t (id INT NOT NULL) WITH ('materialized' = 'true'); {view}");
    // 40 numbers, and 0 often: as the engine counts equal rows, few are compared.
    let numbers: Vec<Value> = (0..40).chain([0; 200]).map(|id| insert(json!({ "id": id }))).collect();
    for (sql, limit) in [(rows, "needs more than 5000000 rows"), (bytes, "needs more than 536870912 bytes")] {
        let message =
            format!("the evaluation {limit}, the limit of this simulator; use fewer rows or a narrower query");
        let mut sim = Sim::new();
        sim.create(&create(""));
        sim.wait(1000);
        sim.start();
        sim.change("t", &numbers);
        assert_eq!(sim.query(sql), [json!({ "error": format!("Arrow error: {message}") })]);
        assert_eq!(sim.view().status, "Running");

        let mut sim = Sim::new();
        sim.create(&create(&format!("CREATE VIEW v AS {sql};")));
        sim.wait(1000);
        sim.start();
        sim.change("t", &numbers);
        sim.wait(10_000);
        let error = sim.view().error.expect("an error");
        assert_eq!((sim.view().status.as_str(), &error["error_code"]), ("Stopped", &json!("RuntimeError.WorkerPanic")));
        assert!(error.to_string().contains(&format!("view 'v': {message}")), "{error}");
    }
}

#[test]
fn a_view_that_cannot_be_evaluated_at_the_start_panics() {
    let mut sim = Sim::new();
    sim.create("CREATE TABLE t (id INT NOT NULL); CREATE VIEW v AS SELECT 1 / 0 AS x;");
    sim.wait(1000);
    sim.post("/pipelines/p/start");
    sim.wait(20_000);
    let error = sim.view().error.expect("an error");
    assert_eq!((sim.view().status.as_str(), &error["error_code"]), ("Stopped", &json!("RuntimeError.WorkerPanic")));
}

#[test]
fn statements_after_one_that_fails_do_not_run() {
    let mut sim = shop(Sim::new());
    let sql = "insert into orders (id) values (1 / 0); insert into orders (id) values (8)";
    assert_eq!(sim.query(sql), [json!({ "error": "Arrow error: Divide by zero error" })]);
    sim.wait(20);
    assert_eq!(sim.query("select count(*) as n from orders"), [json!({ "n": 0 })]);
}

#[test]
fn a_scripted_view_does_not_lose_rows_that_it_does_not_have() {
    let mut sim = Sim::new();
    sim.create(
        "CREATE TABLE t (id BIGINT NOT NULL, x BIGINT DEFAULT PI());
        CREATE VIEW spread AS SELECT id, STDDEV(x) AS s FROM t GROUP BY id;",
    );
    sim.wait(1000);
    sim.start();
    let body = sim.egress("spread");
    let row = |id: u32| json!({ "id": id, "s": 1 });
    sim.manager.emit("p", "spread", &[delete(row(1)), insert(row(2))]).expect("emitted");
    sim.wait(20);
    sim.manager.emit("p", "spread", &[insert(row(1)), delete(row(2)), delete(row(2))]).expect("emitted");
    sim.wait(20);
    assert_eq!(sim.changes(body), ["insert 2 1", "insert 1 1", "delete 2 1"]);
}

#[test]
fn a_transaction_is_one_change() {
    let mut sim = shop(Sim::new());
    let body = sim.egress("revenue");
    sim.change("customers", &[insert(json!({ "id": 1, "name": "Ada" }))]);
    sim.post("/pipelines/p/start_transaction");
    for id in 1..4 {
        sim.change("orders", &[insert(json!({ "id": id, "customer": 1, "total": "10" }))]);
    }
    sim.change("orders", &[delete(json!({ "id": 3, "customer": 1, "total": "10" }))]);
    assert_eq!(sim.changes(body), [""; 0]);
    sim.post("/pipelines/p/commit_transaction");
    sim.wait(1000);
    assert_eq!(sim.changes(body), ["insert 2 \"Ada\" 20.0"]);
}

#[test]
fn a_decimal_keeps_the_digits_of_its_number() {
    let mut sim = Sim::new();
    sim.create("CREATE TABLE d (x DECIMAL(38, 10)) WITH ('materialized' = 'true');");
    sim.wait(1000);
    sim.start();
    sim.token("d?format=json", "{\"insert\":{\"x\":12345678901234567890.0123456789}}");
    sim.wait(20);
    let snapshot = sim.open("POST", "egress/d?format=csv&send_snapshot=true").0;
    assert!(snapshot.contains("12345678901234567890.0123456789,1"), "{snapshot}");
}
