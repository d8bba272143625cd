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

#[test]
fn what_cannot_be_read_or_has_no_end_is_found_behind_views_and_commas() {
    let mut session = session();
    session.ok("CREATE TABLE endless (n BIGINT) WITH ('connector'='datagen')");
    session.ok("CREATE TABLE sink (n BIGINT) WITH ('connector'='print')");
    session.ok("CREATE VIEW one AS SELECT n + 1 AS m FROM endless").ok("CREATE VIEW two AS SELECT m FROM one");
    for query in ["SELECT COUNT(*) FROM two", "SELECT COUNT(*) FROM orders, endless", "SELECT m FROM one"] {
        let error = session.result(query).expect_err("it has no end");
        assert!(error.contains("the endless table endless"), "{query}: {error}");
    }
    for query in ["SELECT COUNT(*) FROM orders AS o, sink", "SELECT COUNT(*) FROM (orders CROSS JOIN sink)"] {
        let error = session.result(query).expect_err("it is a sink");
        assert!(error.contains("'default_catalog.default_database.sink'"), "{query}: {error}");
    }
    let named = "WITH endless AS (SELECT id FROM orders) SELECT COUNT(*) AS n FROM endless";
    assert_eq!(session.rows(named, &["n"]), [[json!(3)]]);
}

#[test]
fn a_word_that_is_a_value_and_a_from_of_a_function_are_no_columns_and_tables() {
    let mut session = session();
    assert_eq!(session.rows("SELECT TRUE FROM people LIMIT 1", &["EXPR$0"]), [[json!(true)]]);
    assert_eq!(session.rows("SELECT NULL FROM people LIMIT 1", &["EXPR$0"]), [[json!(null)]]);
    let other = "SELECT EXTRACT(YEAR FROM o.`at`) AS y FROM orders AS o WHERE o.id = 1";
    assert_eq!(session.rows(other, &["y"]), [[json!(2024)]]);
    let error = session.result("SELECT CURRENT_DATE FROM people").expect_err("there is no clock");
    assert!(error.contains("not simulated by pipewright-sim: "), "{error}");
}

#[test]
fn a_statement_set_is_carried_out_or_rejected_as_a_whole() {
    let mut session = session();
    let set = "EXECUTE STATEMENT SET BEGIN\nINSERT INTO people VALUES ('eve', 'a;b');\nINSERT INTO orders (id) SELECT id + 10 FROM orders WHERE id < 3;\nEND;";
    session.list(set, "job id");
    assert_eq!(session.rows("SELECT city FROM people WHERE name = 'eve'", &["city"]), [[json!("a;b")]]);
    assert_eq!(session.rows("SELECT COUNT(*) AS n FROM orders", &["n"]), [[json!(5)]]);
    let jobs = session.rows("SHOW JOBS", &["job id", "job name", "status", "start time"]);
    let name = "insert-into_default_catalog.default_database.people,default_catalog.default_database.orders";
    assert!(jobs.iter().any(|job| job[1] == name && job[2] == "FINISHED"), "{jobs:?}");
    session.validation(
        "EXECUTE STATEMENT SET BEGIN INSERT INTO people VALUES ('x', 'y');\nINSERT INTO orders (id) SELECT nope + 1 FROM orders; END",
        "SQL validation failed. From line 2, column 32 to line 2, column 35: Column 'nope' not found in any table",
    );
    assert_eq!(session.rows("SELECT COUNT(*) AS n FROM people", &["n"]), [[json!(3)]]);
}

#[test]
fn values_that_look_like_keywords_are_kept_and_overwriting_is_not_simulated() {
    let mut session = session();
    session.list("INSERT INTO people VALUES ('OVERWRITE', 'here')", "job id");
    let rows = session.rows("SELECT city FROM people WHERE name = 'OVERWRITE'", &["city"]);
    assert_eq!(rows, [[json!("here")]]);
    let error = session.result("insert overwrite people VALUES ('a', 'b')").expect_err("it would replace rows");
    assert!(error.contains("not simulated by pipewright-sim: INSERT OVERWRITE"), "{error}");
}

#[test]
fn a_table_with_a_type_that_the_engine_does_not_have_says_so() {
    let mut session = Session::new();
    session.ok("CREATE TABLE t (id INT, bag MULTISET<INT>) WITH ('connector'='x')");
    for statement in ["SELECT id FROM t", "SELECT COUNT(*) FROM t", "INSERT INTO t (id) VALUES (1)"] {
        let error = session.result(statement).expect_err("a type that it does not have");
        assert!(error.contains("column bag of type MULTISET<INT> in table t"), "{statement}: {error}");
    }
}

#[test]
fn generated_values_fit_their_types() {
    let mut session = Session::new();
    session.ok("CREATE TABLE g (t TINYINT, d DATE NOT NULL, s CHAR(1), c DECIMAL(3, 2), w TIMESTAMP(3)) WITH ('connector'='datagen', 'number-of-rows'='200')");
    let bounds = "SELECT COUNT(*) AS n, MAX(t) AS t, MAX(d) AS d, MAX(s) AS s, MAX(c) AS c, MAX(w) AS w FROM g";
    let expected = [json!(200), json!(127), json!("1970-07-19"), json!("9"), json!(9.0)];
    let rows = session.rows(bounds, &["n", "t", "d", "s", "c", "w"]);
    assert_eq!(
        (&rows[0][..5], rows[0][5].as_str().map(|text| &text[..19])),
        (&expected[..], Some("1970-01-01T00:03:19"))
    );
}

#[test]
fn a_renamed_column_keeps_its_values_and_lost_rows_are_reported() {
    let mut session = session();
    session.ok("ALTER TABLE people RENAME city TO town");
    let town = session.rows("SELECT town FROM people WHERE name = 'ann'", &["town"]);
    assert_eq!(town, [[json!("Oslo")]]);
    session.ok("ALTER TABLE people ADD age INT NOT NULL");
    let error = session.result("SELECT COUNT(*) FROM people").expect_err("rows without a value");
    assert!(error.contains("the rows of table people that it had before it was changed"), "{error}");
}

#[test]
fn a_temporary_table_has_rows_of_its_own() {
    let mut session = session();
    session.ok("CREATE TEMPORARY TABLE people (name STRING, city STRING) WITH ('connector'='x')");
    assert_eq!(session.rows("SELECT COUNT(*) AS n FROM people", &["n"]), [[json!(0)]]);
    session.list("INSERT INTO people VALUES ('tmp', 'tmp')", "job id");
    session.ok("DROP TEMPORARY TABLE people");
    let rows = session.rows("SELECT name FROM people ORDER BY name", &["name"]);
    assert_eq!(rows, [[json!("ann")], [json!("bob")]]);
}

#[test]
fn values_have_the_forms_of_a_real_gateway() {
    let mut session = Session::new();
    let query = "SELECT INTERVAL '14' MONTH AS m, INTERVAL '93784.567' SECOND AS s, ARRAY[1, 2, NULL] AS a, TIMESTAMP '2024-02-29 12:34:56.789' AS t, CAST(1.5 AS DECIMAL(3, 2)) AS d, CAST('12345678901234567890.12' AS DECIMAL(22, 2)) AS l, TRUE AS b";
    let mut read = |format: &str| {
        let operation = session.submit(query);
        session.now += 300;
        let mut page = json!({});
        for token in 0..3 {
            let uri = format!("GET {operation}/result/{token}?rowFormat={format}");
            page = super::ask(&mut session.gateway, session.now, &uri, "").1;
        }
        page["results"].clone()
    };
    let plain = read("PLAIN_TEXT");
    assert_eq!(
        plain["data"][0]["fields"],
        json!([
            "+1-02",
            "+1 02:03:04.567",
            "[1, 2, NULL]",
            "2024-02-29 12:34:56.789",
            "1.50",
            "12345678901234567890.12",
            "TRUE"
        ])
    );
    let found = read("JSON");
    assert_eq!(found["data"][0]["fields"][0], json!(14));
    assert_eq!(found["data"][0]["fields"][1], json!(93_784_567));
    assert_eq!(
        found["columns"][0]["logicalType"],
        json!({"type": "INTERVAL_YEAR_MONTH", "nullable": false, "precision": 2, "resolution": "MONTH"})
    );
    assert_eq!(found["columns"][1]["logicalType"]["fractionalPrecision"], json!(3));
}

#[test]
fn decimals_in_json_have_all_of_their_digits() {
    let mut session = Session::new();
    let operation = session.submit(
        "SELECT CAST('12345678901234567890.12' AS DECIMAL(22, 2)) AS d, CAST(1.5 AS DECIMAL(3, 2)) AS e, \
         ARRAY[CAST('0.1234567890123456789' AS DECIMAL(20, 19))] AS a, CAST(NULL AS DECIMAL(3, 2)) AS n",
    );
    session.now += 300;
    let mut page = String::new();
    for token in 0..3 {
        let request = http::Request::get(format!("{operation}/result/{token}?rowFormat=JSON"));
        let request = request.body(bytes::Bytes::new()).expect("a request");
        let response = session.gateway.handle(std::time::Duration::from_millis(session.now), &request);
        page = String::from_utf8_lossy(response.body()).into_owned();
    }
    let fields = "\"fields\":[12345678901234567890.12,1.50,[0.1234567890123456789],null]";
    assert!(page.contains(fields), "{page}");
    assert!(serde_json::from_str::<serde_json::Value>(&page).is_ok(), "{page}");
}
