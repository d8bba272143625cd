//! Rows that are inserted and queried.

use serde_json::json;

use super::Session;

const ORDERS: &str =
    "CREATE TABLE orders (id BIGINT, who STRING, price DECIMAL(10, 2), at TIMESTAMP(3)) WITH ('connector'='kafka')";

/// A session with two tables, which have rows.
fn session() -> Session {
    let mut session = Session::new();
    session.ok(&ORDERS.replace("at ", "`at` "));
    session.ok(
        "CREATE TABLE people (name STRING, city STRING, PRIMARY KEY (name) NOT ENFORCED) WITH ('connector'='jdbc')",
    );
    for insert in [
        "INSERT INTO orders VALUES (1, 'ann', 1.5, TIMESTAMP '2024-02-29 12:34:56.789'), (2, 'bob', 2.25, NULL), (3, 'ann', 4, NULL)",
        "INSERT INTO people VALUES ('ann', 'Oslo'), ('bob', 'Rome')",
    ] {
        session.list(insert, "job id");
    }
    session
}

#[test]
fn inserted_rows_are_joined_grouped_and_filtered() {
    let mut session = session();
    let rows = session.rows("SELECT * FROM orders", &["id", "who", "price", "at"]);
    assert_eq!(rows[0], [json!(1), json!("ann"), json!(1.5), json!("2024-02-29T12:34:56.789")]);
    let join = "SELECT city, COUNT(*) AS n, SUM(price) AS total FROM orders JOIN people ON who = name WHERE price > 2 GROUP BY city ORDER BY city";
    assert_eq!(
        session.rows(join, &["city", "n", "total"]),
        [[json!("Oslo"), json!(1), json!(4.0)], [json!("Rome"), json!(1), json!(2.25)]]
    );
    assert_eq!(session.rows("SELECT COUNT(*) FROM (VALUES (1), (2)) AS t(n)", &["EXPR$0"]), [[json!(2)]]);
    let jobs = session.rows("SHOW JOBS", &["job id", "job name", "status", "start time"]);
    assert!(jobs.iter().all(|job| job[2] == "FINISHED"), "{jobs:?}");
}

#[test]
fn a_table_that_is_changed_keeps_its_rows() {
    let mut session = session();
    session.ok("ALTER TABLE people RENAME TO persons").ok("ALTER TABLE persons ADD age INT");
    let rows = session.rows("SELECT name, age FROM persons", &["name", "age"]);
    assert_eq!(rows, [[json!("ann"), json!(null)], [json!("bob"), json!(null)]]);
    // By its key.
    session.list("INSERT INTO persons VALUES ('ann', 'Bern', 7)", "job id");
    session.ok("CREATE VIEW grown AS SELECT city, age + 1 AS older FROM persons WHERE age > 0");
    assert_eq!(session.rows("SELECT * FROM grown", &["city", "older"]), [[json!("Bern"), json!(8)]]);
    let described = session.rows("DESCRIBE grown", &["name", "type", "null", "key", "extras", "watermark"]);
    assert_eq!((&described[1][0], &described[1][1]), (&json!("older"), &json!("INT")));
    session.ok("DROP VIEW grown").ok("DROP TABLE persons");
    session.validation(
        "SELECT COUNT(*) FROM persons",
        "SQL validation failed. From line 1, column 22 to line 1, column 28: Object 'persons' not found",
    );
}

#[test]
fn each_database_has_its_own_rows() {
    let mut session = session();
    session.ok("CREATE DATABASE other").ok("USE other").ok("CREATE TABLE orders (id INT) WITH ('connector'='x')");
    assert_eq!(session.rows("SELECT COUNT(*) AS n FROM orders", &["n"]), [[json!(0)]]);
    let there = "SELECT MAX(id) AS n FROM default_catalog.default_database.orders";
    assert_eq!(session.rows(there, &["n"]), [[json!(3)]]);
    session.ok("CREATE TEMPORARY TABLE orders (s STRING) WITH ('connector'='x')");
    session.list("INSERT INTO orders VALUES ('a')", "job id");
    assert_eq!(session.rows("SELECT UPPER(s) AS s FROM orders", &["s"]), [[json!("A")]]);
}

#[test]
fn generated_rows_are_bounded_and_a_sink_keeps_none() {
    let mut session = Session::new();
    session.ok("CREATE TABLE src (n BIGINT) WITH ('connector'='datagen', 'number-of-rows'='5')");
    session
        .ok("CREATE TABLE sink (n BIGINT) WITH ('connector'='print')")
        .ok("CREATE TABLE kept (n BIGINT) WITH ('connector'='x')");
    session.list("INSERT INTO sink SELECT n FROM src", "job id");
    session.list("INSERT INTO kept SELECT n * 10 FROM src WHERE n > 2", "job id");
    assert_eq!(session.rows("SELECT SUM(n) AS s FROM kept", &["s"]), [[json!(70)]]);
    session.ok("CREATE TABLE endless (n BIGINT) WITH ('connector'='datagen')");
    let error = session.result("SELECT COUNT(*) FROM endless").expect_err("it has no end");
    assert!(error.contains("not simulated by pipewright-sim") && error.contains("number-of-rows"), "{error}");
}

#[test]
fn errors_have_the_shape_of_a_real_planner() {
    let mut session = session();
    session.validation(
        "SELECT nope + 1 FROM orders",
        "SQL validation failed. From line 1, column 8 to line 1, column 11: Column 'nope' not found in any table",
    );
    session.validation(
        "INSERT INTO people VALUES ('x')",
        "Column types of query result and sink for 'default_catalog.default_database.people' do not match.\nCause: Different number of columns.\n\nQuery schema: [EXPR$0: CHAR(1) NOT NULL]\nSink schema:  [name: STRING NOT NULL, city: STRING]",
    );
    session.fails("SELECT 1 / 0 FROM orders", "java.lang.ArithmeticException: Division by zero");
    session.validation(
        "EXPLAIN SELECT nope + 1 FROM orders",
        "SQL validation failed. SQL validation failed. From line 1, column 8 to line 1, column 11: Column 'nope' not found in any table",
    );
    let error = session.result("SELECT ROW_NUMBER() OVER (ORDER BY id) FROM orders").expect_err("a window function");
    assert!(error.contains("not simulated by pipewright-sim: "), "{error}");
}
