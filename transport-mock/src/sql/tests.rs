//! Statements and their results, worked out by hand.

use super::database::{Database, Outcome, ResultSet};
use super::error::ErrorKind;
use super::types::Column;
use super::{Dialect, json};

fn rows(result: &ResultSet) -> Vec<String> {
    result.rows.iter().map(|row| json::row(result.columns.iter().map(Column::pair), row, ' ')).collect()
}

/// Two tables with a few rows.
fn shop() -> Database {
    let mut database = Database::new(Dialect::Feldera);
    for statement in [
        "CREATE TABLE orders (id BIGINT NOT NULL PRIMARY KEY, customer INT, total DECIMAL(8, 2), placed DATE)",
        "CREATE TABLE customers (id INT NOT NULL PRIMARY KEY, name VARCHAR NOT NULL)",
        "INSERT INTO customers VALUES (1, 'Ada'), (2, 'Bob'), (3, 'Cy')",
        "INSERT INTO orders VALUES (1, 1, 10.50, DATE '2024-01-31'), (2, 1, 0.25, DATE '2024-02-01'), \
         (3, 2, 7, NULL), (4, NULL, 1, NULL)",
    ] {
        if let Err(error) = database.execute(statement) {
            panic!("{statement}: {error}");
        }
    }
    database
}

#[track_caller]
fn query(database: &mut Database, text: &str) -> Vec<String> {
    match database.execute(text) {
        Ok(Outcome::Rows(result)) => rows(&result),
        other => panic!("{text}: {other:?}"),
    }
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(query(&mut shop(), text), expected, "{text}");
}

#[test]
fn joins_groups_and_filters() {
    check(
        "SELECT c.name, COUNT(*) AS n, SUM(o.total) AS s FROM orders o JOIN customers c ON o.customer = c.id \
         WHERE o.total > 0.25 GROUP BY c.name ORDER BY s DESC",
        &[r#"{"name":"Ada","n":1,"s":10.50}"#, r#"{"name":"Bob","n":1,"s":7.00}"#],
    );
    check(
        "SELECT c.id, o.id FROM customers c LEFT JOIN orders o ON o.customer = c.id ORDER BY 1, 2",
        &[r#"{"id":1,"id0":1}"#, r#"{"id":1,"id0":2}"#, r#"{"id":2,"id0":3}"#, r#"{"id":3,"id0":null}"#],
    );
    check(
        "SELECT name FROM customers c WHERE NOT EXISTS (SELECT 1 FROM orders o WHERE o.customer = c.id)",
        &[r#"{"name":"Cy"}"#],
    );
    check(
        "SELECT id FROM customers WHERE id IN (SELECT customer FROM orders) ORDER BY id",
        &[r#"{"id":1}"#, r#"{"id":2}"#],
    );
    // One customer is NULL: whether 3 is among them is not known.
    check("SELECT id FROM customers WHERE id NOT IN (SELECT customer FROM orders)", &[]);
    check(
        "SELECT COUNT(*), SUM(total), MAX(placed) FROM orders WHERE id > 9",
        &[r#"{"EXPR$0":0,"EXPR$1":null,"EXPR$2":null}"#],
    );
    check("SELECT customer FROM orders GROUP BY customer HAVING COUNT(*) > 1", &[r#"{"customer":1}"#]);
    check(
        "WITH big AS (SELECT * FROM orders WHERE total >= 1) SELECT (SELECT COUNT(*) FROM big) AS n, \
         AVG(total) AS a FROM big",
        &[r#"{"n":3,"a":6.16}"#],
    );
    check(
        "SELECT id FROM orders o WHERE total = (SELECT MAX(total) FROM orders i WHERE i.customer = o.customer) ORDER BY id",
        &[r#"{"id":1}"#, r#"{"id":3}"#],
    );
    check(
        "SELECT id, name FROM customers JOIN (SELECT customer AS id, total FROM orders) USING (id) ORDER BY id, name",
        &[r#"{"id":1,"name":"Ada"}"#, r#"{"id":1,"name":"Ada"}"#, r#"{"id":2,"name":"Bob"}"#],
    );
}

#[test]
fn sets_keep_or_drop_duplicates() {
    check("SELECT 1 AS x UNION ALL SELECT 1", &[r#"{"x":1}"#, r#"{"x":1}"#]);
    check("SELECT 1 AS x UNION SELECT 1", &[r#"{"x":1}"#]);
    check("SELECT id FROM customers EXCEPT SELECT customer FROM orders", &[r#"{"id":3}"#]);
    check(
        "SELECT customer FROM orders INTERSECT SELECT id FROM customers ORDER BY 1 DESC",
        &[r#"{"customer":2}"#, r#"{"customer":1}"#],
    );
    check(
        "SELECT DISTINCT customer FROM orders ORDER BY customer LIMIT 2",
        &[r#"{"customer":null}"#, r#"{"customer":1}"#],
    );
}

#[test]
fn parentheses_may_begin_with_a_query() {
    check("SELECT ((SELECT 1) + 1) AS x", &[r#"{"x":2}"#]);
    check("SELECT (((SELECT 1)) * (2 + (SELECT 3))) AS x", &[r#"{"x":5}"#]);
    check("SELECT id FROM customers WHERE id IN ((SELECT 1), 2) ORDER BY id", &[r#"{"id":1}"#, r#"{"id":2}"#]);
    check(
        "SELECT id FROM customers WHERE id IN ((SELECT 1) UNION (SELECT 3)) ORDER BY id",
        &[r#"{"id":1}"#, r#"{"id":3}"#],
    );
    check("SELECT q.x, c.name FROM ((SELECT 2 AS x) q JOIN customers c ON c.id = q.x)", &[r#"{"x":2,"name":"Bob"}"#]);
    check("SELECT x FROM (((SELECT 2 AS x)) AS q)", &[r#"{"x":2}"#]);
    check("SELECT x FROM (((SELECT 2 AS x) UNION ALL SELECT 1) ORDER BY x LIMIT 1) AS q", &[r#"{"x":1}"#]);
    check("((SELECT 1 AS x) UNION SELECT 1)", &[r#"{"x":1}"#]);
    let error = shop().execute("SELECT ((SELECT 1) + 1").expect_err("an open parenthesis");
    assert_eq!(error.kind, ErrorKind::Syntax, "{error}");
}

#[test]
fn expressions() {
    for (expression, expected) in [
        ("1 + 2 * 3", "7"),
        ("7 / 2", "3"),
        ("7 % 4", "3"),
        ("0.1 + 0.2", "0.3"),
        ("1.50 * 2", "3.00"),
        ("CAST('12.345' AS DECIMAL(5, 2))", "12.34"),
        ("CAST(2.5 AS INT)", "2"),
        ("ROUND(2.675, 2)", "2.680"),
        ("NULL + 1", "null"),
        ("NULL AND FALSE", "false"),
        ("NULL OR FALSE", "null"),
        ("1 IN (2, NULL)", "null"),
        ("3 BETWEEN 1 AND 3", "true"),
        ("'abc' LIKE '_b%'", "true"),
        ("UPPER('abc') || '!'", r#""ABC!""#),
        ("SUBSTRING('hello' FROM 2 FOR 3)", r#""ell""#),
        ("COALESCE(NULL, 'x')", r#""x""#),
        ("CASE WHEN 1 > 2 THEN 'a' WHEN TRUE THEN 'bcd' END", r#""bcd""#),
        ("EXTRACT(MONTH FROM DATE '2024-03-05')", "3"),
        ("DATE '2024-01-31' + INTERVAL 1 MONTH", r#""2024-02-29""#),
        ("TIMESTAMP '2024-01-01 00:00:00' + INTERVAL '90' SECOND", r#""2024-01-01 00:01:30""#),
        ("FLOOR(TIMESTAMP '2024-05-17 10:11:12' TO MONTH)", r#""2024-05-01 00:00:00""#),
        ("ARRAY[1, 2, 3][2]", "2"),
        ("CAST(PARSE_JSON('{\"a\":[10,20]}')['a'][1] AS INT)", "20"),
        ("NULLIF(1, 1)", "null"),
        ("NOT (1 = 2)", "true"),
        ("1 IS DISTINCT FROM NULL", "true"),
        ("- - 3", "3"),
    ] {
        let expected = format!("{{\"x\":{expected}}}");
        check(&format!("SELECT {expression} AS x"), &[&expected]);
    }
}

#[test]
fn an_insert_into_a_table_with_a_key_replaces_the_row_of_the_key() {
    let mut database = shop();
    assert_eq!(database.execute("INSERT INTO customers VALUES (2, 'Bea')"), Ok(Outcome::Changed(1)));
    assert_eq!(database.execute("DELETE FROM customers WHERE id = 3"), Ok(Outcome::Changed(1)));
    assert_eq!(
        query(&mut database, "SELECT name FROM customers ORDER BY 1"),
        [r#"{"name":"Ada"}"#, r#"{"name":"Bea"}"#]
    );
}

#[test]
fn errors_say_what_is_wrong_and_where() {
    for (text, kind, message, column) in [
        ("SELECT nosuch FROM orders", ErrorKind::Validation, "Column 'nosuch' not found in any table", 8),
        ("SELECT * FROM nosuch", ErrorKind::Validation, "Object 'nosuch' not found", 15),
        ("SELECT id FROM orders o JOIN customers c ON TRUE", ErrorKind::Validation, "Column 'id' is ambiguous", 8),
        ("SELECT total FROM orders GROUP BY id", ErrorKind::Validation, "Expression 'total' is not being grouped", 8),
        ("SELECT id FROM orders WHERE", ErrorKind::Syntax, "Encountered \"<EOF>\" at line 1, column 28.", 28),
        ("SELECT FROM orders", ErrorKind::Syntax, "Encountered \"FROM\" at line 1, column 8.", 8),
        ("SELEC 1", ErrorKind::Syntax, "Encountered \"SELEC\" at line 1, column 1.", 1),
        ("CREATE TABLE t (x FLOAT)", ErrorKind::Validation, "Unknown identifier 'FLOAT'", 19),
        ("SELECT TRUE + 1", ErrorKind::Validation, "Cannot apply '+' to arguments of type '<BOOLEAN> + <INTEGER>'", 8),
        ("SELECT NOSUCH(1)", ErrorKind::Validation, "No match found for function signature NOSUCH(<INTEGER>)", 8),
        ("SELECT ROW_NUMBER() OVER (ORDER BY id) FROM orders", ErrorKind::Unsupported, "window functions", 21),
        (
            "SELECT * FROM TABLE(TUMBLE(TABLE orders, 1))",
            ErrorKind::Unsupported,
            "table functions such as TUMBLE and HOP",
            15,
        ),
    ] {
        let error = shop().execute(text).expect_err(text);
        assert_eq!((error.kind, error.message.as_str()), (kind, message), "{text}");
        assert_eq!(error.at.map(|at| at.start.column), Some(column), "{text}");
    }
    let error = shop().execute("SELECT 1 / 0").expect_err("a division by zero");
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Evaluation, "Divide by zero error"));
}

#[test]
fn result_columns_have_types() {
    let types = |text: &str| {
        let columns = shop().describe(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let shown = columns
            .iter()
            .map(|column| format!("{} {}{}", column.name, column.kind, if column.nullable { "" } else { " NOT NULL" }));
        shown.collect::<Vec<_>>().join(", ")
    };
    assert_eq!(types("SELECT * FROM orders"), "id BIGINT NOT NULL, customer INTEGER, total DECIMAL(8, 2), placed DATE");
    assert_eq!(
        types("SELECT COUNT(*) AS n, SUM(total) AS s, AVG(customer) AS a FROM orders GROUP BY placed"),
        "n BIGINT NOT NULL, s DECIMAL(8, 2), a INTEGER"
    );
    assert_eq!(types("SELECT total * 2 AS x, total + 1 AS y FROM orders"), "x DECIMAL(18, 2), y DECIMAL(13, 2)");
    assert_eq!(types("SELECT c.name FROM orders o LEFT JOIN customers c ON c.id = o.customer"), "name VARCHAR");
    assert_eq!(
        types("SELECT \"Id\", Name FROM (SELECT id AS \"Id\", name FROM customers)"),
        "Id INTEGER NOT NULL, name VARCHAR NOT NULL"
    );
}

#[test]
fn flink_keeps_the_case_of_names() {
    let mut database = Database::new(Dialect::Flink);
    let create = "CREATE TABLE `Orders` (Id INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND, \
        PRIMARY KEY (Id) NOT ENFORCED) WITH ('connector' = 'datagen', 'rows' = '3')";
    assert_eq!(database.execute(create), Ok(Outcome::Done));
    assert_eq!(
        database.execute("INSERT INTO Orders VALUES (1, TIMESTAMP '2024-01-01 00:00:00')"),
        Ok(Outcome::Changed(1))
    );
    assert_eq!(query(&mut database, "SELECT Id + 1, ts FROM Orders"), [r#"{"EXPR$0":2,"ts":"2024-01-01 00:00:00"}"#]);
    assert!(database.execute("SELECT id FROM Orders").is_err());
    assert!(database.execute("SELECT 1; SELECT 2").is_err());
    assert_eq!(database.execute("CREATE VIEW v AS SELECT COUNT(*) AS n FROM Orders"), Ok(Outcome::Done));
    assert_eq!(query(&mut database, "SELECT * FROM v"), [r#"{"n":1}"#]);
    assert_eq!(database.execute("DROP TABLE IF EXISTS nosuch"), Ok(Outcome::Done));
}

#[test]
fn what_no_type_holds_is_an_error_of_the_evaluation() {
    for expression in [
        "CAST('1e-32768' AS DECIMAL(5, 2))",
        "CAST('1e32767' AS DECIMAL(5, 2))",
        "DATE '9999-12-31' + INTERVAL 1 DAY",
        "DATE '9999-12-31' + INTERVAL 1 MONTH",
        "DATE '0001-01-01' - INTERVAL 1 YEAR",
        "TIMESTAMP '9999-12-31 23:59:59' + INTERVAL 1 SECOND",
        "CEIL(TIMESTAMP '9999-12-31 23:59:59' TO YEAR)",
        "CAST('10000-01-01' AS DATE)",
        "-CAST('-2147483648' AS INT)",
        "ABS(CAST('-2147483648' AS INT))",
        "CAST('a' AS CHAR(2147483647))",
    ] {
        let error = shop().execute(&format!("SELECT {expression} AS x")).expect_err(expression);
        assert_eq!(error.kind, ErrorKind::Evaluation, "{expression}: {error}");
    }
    let Ok(Outcome::Rows(result)) = shop().execute("SELECT CHAR_LENGTH(CAST('a' AS CHAR(70000))) AS x") else {
        panic!("a text of 70,000 letters");
    };
    assert_eq!(rows(&result), [r#"{"x":70000}"#]);
}

#[test]
fn an_aggregate_that_the_engine_does_not_have_is_unsupported() {
    for text in [
        "SELECT STDDEV(total) AS x FROM orders",
        "SELECT customer, STDDEV(total) AS x FROM orders GROUP BY customer",
        "SELECT customer, VAR_POP(total) + 1 AS x, COUNT(*) FROM orders GROUP BY customer",
        "SELECT customer FROM orders GROUP BY customer HAVING STDDEV(DISTINCT total) > 1",
    ] {
        let error = shop().execute(text).expect_err(text);
        assert_eq!(error.kind, ErrorKind::Unsupported, "{text}: {error}");
    }
}

#[test]
fn the_size_of_a_plan_grows_with_the_text() {
    let nested = |innermost: &str, around: [&str; 2]| {
        (0..20).fold(innermost.to_owned(), |inner, _| format!("{}({inner}){}", around[0], around[1]))
    };
    let grouped = nested("SELECT 1", ["SELECT COUNT(*) + ", " AS x FROM orders GROUP BY customer"]);
    let between = format!("SELECT {}", nested("TRUE", ["", " BETWEEN FALSE AND TRUE"]));
    let case = format!("SELECT {}", nested("1", ["CASE ", " WHEN 1 THEN 2 WHEN 2 THEN 1 END"]));
    for text in [grouped, between, case] {
        let mut parser = super::Parser::new(&text, Dialect::Feldera).expect("a text");
        let Ok(Some((super::ast::Statement::Query(query), _))) = parser.next_statement() else { panic!("{text}") };
        let parts = super::Binder::new(&shop(), Dialect::Feldera).plan(&query).map(|plan| plan.parts());
        assert!(parts.is_ok_and(|parts| parts < 500), "{text}");
    }
    let doubled = (1..40).map(|at| format!(", t{at} AS (SELECT a.x FROM t{0} a JOIN t{0} b ON a.x = b.x)", at - 1));
    let text = format!("WITH t0 AS (SELECT 1 AS x){} SELECT * FROM t39", doubled.collect::<String>());
    assert_eq!(shop().execute(&text).map_err(|error| error.kind), Err(ErrorKind::Unsupported));
    let mut database = shop();
    database.execute("CREATE VIEW v0 AS SELECT 1 AS x").expect("a view");
    let views =
        (1..40).map(|at| format!("CREATE VIEW v{at} AS SELECT a.x FROM v{0} a JOIN v{0} b ON a.x = b.x", at - 1));
    let failed = views.map(|text| database.execute(&text)).find(Result::is_err);
    assert_eq!(failed.and_then(Result::err).map(|error| error.kind), Some(ErrorKind::Unsupported));
}

#[test]
fn chains_of_queries_are_limited() {
    let error = |result: Result<Outcome, super::Error>| result.map(drop).map_err(|error| (error.kind, error.message));
    let limit = |what: &str| {
        Err((ErrorKind::Unsupported, format!("{what} that build on each other more than 500 levels deep")))
    };
    let with = |count: usize| {
        let more = (1..count).map(|at| format!(", t{at} AS (SELECT x + 1 AS x FROM t{})", at - 1));
        format!("WITH t0 AS (SELECT 1 AS x){} SELECT * FROM t{}", more.collect::<String>(), count - 1)
    };
    check(&with(200), &[r#"{"x":200}"#]);
    assert_eq!(error(shop().execute(&with(20_000))), limit("common table expressions"));
    let mut database = shop();
    database.execute("CREATE VIEW v0 AS SELECT 1 AS x").expect("a view");
    let create = |at: usize| format!("CREATE VIEW v{at} AS SELECT x + 1 AS x FROM v{}", at - 1);
    for at in 1..200 {
        database.execute(&create(at)).expect("a view");
    }
    assert_eq!(query(&mut database, "SELECT * FROM v199"), [r#"{"x":200}"#]);
    let failed = (200..20_000).map(|at| database.execute(&create(at))).find(Result::is_err);
    assert_eq!(failed.map(error), Some(limit("views")));
}

/// A table with the numbers from 0 to 1,999, and some of them twice.
fn numbers() -> Database {
    let mut database = Database::new(Dialect::Feldera);
    database.execute("CREATE TABLE n (x INT, y INT)").expect("a table");
    let rows: Vec<String> = (0..2000).map(|x| format!("({x}, {})", x / 2)).collect();
    database.execute(&format!("INSERT INTO n VALUES {}", rows.join(", "))).expect("rows");
    database
}

#[test]
fn an_evaluation_ends_at_its_limits() {
    let mut database = numbers();
    for text in [
        "SELECT COUNT(*) FROM n a CROSS JOIN n b CROSS JOIN n c",
        "SELECT REPEAT('a', 2000000000) AS x",
        "SELECT REPLACE(REPEAT('a', 16000000), 'a', 'abcdefgh') AS x",
        "SELECT REPEAT('a', 10000000) || REPEAT('b', 10000000) AS x",
        "SELECT COUNT(REPEAT('a', 1000000 + x)) AS x FROM n",
    ] {
        let error = database.execute(text).expect_err(text);
        assert!(
            error.kind == ErrorKind::Evaluation && error.message.contains("the limit of this simulator"),
            "{error}"
        );
    }
}

#[test]
fn comma_joins_and_inner_queries_do_not_compare_all_rows() {
    let mut database = numbers();
    for (text, count) in [
        ("SELECT COUNT(*) AS c FROM n a, n b, n c WHERE a.x = b.x AND b.y = c.x AND a.x > 9", 1990),
        ("SELECT COUNT(*) AS c FROM n a, n b WHERE a.y = b.x AND a.x <> b.x", 1999),
        ("SELECT COUNT(*) AS c FROM n WHERE x IN (SELECT a.y FROM n a JOIN n b ON a.x = b.x)", 1000),
        ("SELECT COUNT(*) AS c FROM n WHERE x > (SELECT AVG(a.x) FROM n a JOIN n b ON a.x = b.x)", 1000),
        ("SELECT COUNT(*) AS c FROM n a WHERE x < 20 AND EXISTS (SELECT 1 FROM n b WHERE b.y = a.x AND b.x > 9)", 15),
    ] {
        assert_eq!(query(&mut database, text), [format!("{{\"c\":{count}}}")], "{text}");
    }
}

#[test]
fn columns_that_joins_share_are_one() {
    let mut database = Database::new(Dialect::Feldera);
    for statement in [
        "CREATE TABLE a (id INT, x INT)",
        "CREATE TABLE b (id INT, y INT)",
        "CREATE TABLE c (id INT, z INT)",
        "INSERT INTO a VALUES (1, 10), (2, 20)",
        "INSERT INTO b VALUES (2, 200), (3, 300)",
        "INSERT INTO c VALUES (3, 3000), (4, 4000)",
    ] {
        database.execute(statement).expect(statement);
    }
    for (text, expected) in [
        ("SELECT * FROM a RIGHT JOIN b USING (id) ORDER BY id", &["2,20,200", "3,null,300"][..]),
        ("SELECT * FROM a FULL JOIN b USING (id) ORDER BY id", &["1,10,null", "2,20,200", "3,null,300"]),
        ("SELECT * FROM a NATURAL JOIN b", &["2,20,200"]),
        (
            "SELECT * FROM a FULL JOIN b USING (id) FULL JOIN c USING (id) ORDER BY id",
            &["1,10,null,null", "2,20,200,null", "3,null,300,3000", "4,null,null,4000"],
        ),
        ("SELECT * FROM a RIGHT JOIN b USING (id) JOIN c USING (id)", &["3,null,300,3000"]),
        ("SELECT * FROM a NATURAL RIGHT JOIN b NATURAL LEFT JOIN c ORDER BY id", &["2,20,200,null", "3,null,300,3000"]),
        ("SELECT a.x, id, z FROM a, b JOIN c USING (id) ORDER BY x", &["10,3,3000", "20,3,3000"]),
        ("SELECT * FROM a, (SELECT id FROM b WHERE id = 3) WHERE a.id = 1", &["1,10,3"]),
    ] {
        let Ok(Outcome::Rows(result)) = database.execute(text) else { panic!("{text}") };
        let plain = |row: &super::Row| {
            let pairs = row.iter().zip(&result.columns);
            pairs.map(|(value, column)| json::to_text(value, &column.kind, ' ')).collect::<Vec<_>>().join(",")
        };
        assert_eq!(result.rows.iter().map(plain).collect::<Vec<_>>(), expected, "{text}");
    }
    let error = database.execute("SELECT 1 FROM a JOIN b ON TRUE JOIN c USING (id)").expect_err("two columns");
    assert_eq!(error.message, "Column 'id' is ambiguous");
}

#[test]
fn the_sum_of_reals_is_a_real() {
    let mut database = Database::new(Dialect::Feldera);
    database.execute("CREATE TABLE r (x REAL)").expect("a table");
    database.execute("INSERT INTO r VALUES (16777216), (1)").expect("rows");
    assert_eq!(query(&mut database, "SELECT CAST(SUM(x) AS DOUBLE) AS s FROM r"), [r#"{"s":16777216.0}"#]);
}
