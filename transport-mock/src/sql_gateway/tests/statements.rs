//! Settings, queries, plans and jobs, as measured with Flink 2.3.0.

use serde_json::json;

use super::super::{Config, Gateway, Script};
use super::{Session, ask, errors};

const GEN: &str = "CREATE TABLE gen (id BIGINT, name STRING) WITH ('connector'='datagen', 'rows-per-second'='5')";

#[test]
fn what_is_no_sql_is_told_where() {
    let mut session = Session::new();
    let parse = "org.apache.flink.table.api.SqlParserException: SQL parse failed.";
    let eof = "org.apache.flink.table.api.SqlParserEOFException: Encountered \"<EOF>\" at";
    for (statement, error) in [
        ("", format!("{eof} line 0, column 0.")),
        ("-- nothing", format!("{eof} line 0, column 0.")),
        ("FOO", format!("{parse} Non-query expression encountered in illegal context")),
        ("SHOW FOO", format!("{parse} Incorrect syntax near the keyword 'SHOW' at line 1, column 1.")),
        ("USE", format!("{parse} Incorrect syntax near the keyword 'USE' at line 1, column 1.")),
        ("SHOW CURRENT", format!("{eof} line 1, column 12.")),
        ("CREATE TABLE ", format!("{eof} line 1, column 12.")),
        ("CREATE\n  TABEL x", format!("{parse} Encountered \"TABEL\" at line 2, column 3.")),
        ("DROP FOO x", format!("{parse} Encountered \"FOO\" at line 1, column 6.")),
        ("CREATE TABLE z (a INT", format!("{eof} line 1, column 21.")),
        ("CREATE TABLE z (a INT,) WITH ('a'='b')", format!("{parse} Encountered \")\" at line 1, column 23.")),
        ("SELECT 'abc", format!("{parse} Encountered \"\\'\" at line 1, column 8.")),
        ("EXPLAIN FOO", format!("{parse} Non-query expression encountered in illegal context")),
        ("SELECT 1; SELECT 2", "java.lang.IllegalArgumentException: only single statement supported".to_owned()),
    ] {
        session.fails(statement, &error);
    }
}

#[test]
fn set_lists_what_the_session_is_set_to() {
    let mut session = Session::new();
    session.ok("SET 'execution.runtime-mode' = 'batch'").ok("SET table.local-time-zone = UTC").ok("SET 'a' = ''");
    let settings = session.rows("SET", &["key", "value"]);
    for (key, value) in
        [("a", ""), ("execution.runtime-mode", "batch"), ("table.local-time-zone", "UTC"), ("parallelism.default", "1")]
    {
        assert!(settings.contains(&vec![json!(key), json!(value)]), "{key}");
    }
    let path = session.path.clone();
    let (_, shown) = ask(&mut session.gateway, session.now, &format!("GET {path}"), "");
    assert_eq!(shown["properties"]["execution.runtime-mode"], "batch");
    session.ok("RESET 'a'").ok("RESET 'table.local-time-zone'");
    let settings = session.rows("SET;", &["key", "value"]);
    assert!(
        settings.contains(&vec![json!("a"), json!("b")])
            && settings.iter().all(|row| row[0] != "table.local-time-zone")
    );
    session.ok("RESET");
    assert!(session.rows("SET", &["key", "value"]).iter().all(|row| row[0] != "execution.runtime-mode"));
}

#[test]
fn a_generated_table_has_rows_and_a_sink_has_none() {
    let mut session = Session::new();
    session.ok("CREATE TABLE src (id BIGINT, v INT, s STRING) WITH ('connector'='datagen', 'number-of-rows'='3', 'fields.v.kind'='sequence', 'fields.v.start'='10', 'fields.v.end'='12')");
    let rows = session.rows("SELECT v AS w, s FROM src", &["w", "s"]);
    assert_eq!(rows, [[json!(10), json!("0")], [json!(11), json!("1")], [json!(12), json!("2")]]);
    assert_eq!(session.rows("SELECT * FROM src LIMIT 1", &["id", "v", "s"]).len(), 1);
    session.ok("CREATE TABLE sink (id BIGINT) WITH ('connector'='blackhole')").ok("CREATE TABLE none (a INT)");
    session.validation(
        "SELECT * FROM sink",
        "Unable to create a source for reading table 'default_catalog.default_database.sink'.\n\nTable options are:\n\n'connector'='blackhole'",
    );
    session.validation("INSERT INTO src VALUES (1)", "Unable to create a sink for writing table 'default_catalog.default_database.src'.\n\nTable options are:\n\n'connector'='datagen'\n'fields.v.end'='12'\n'fields.v.kind'='sequence'\n'fields.v.start'='10'\n'number-of-rows'='3'");
    session.validation(
        "INSERT INTO nope VALUES (1)",
        "Cannot find table '`default_catalog`.`default_database`.`nope`' in any of the catalogs [default_catalog], nor as a temporary table.",
    );
    session.validation("SELECT * FROM SRC", "SQL validation failed. From line 1, column 15 to line 1, column 17: Object 'SRC' not found within 'default_catalog.default_database'; did you mean 'src'?");
    session.validation("SELECT ID FROM src", "SQL validation failed. From line 1, column 8 to line 1, column 9: Column 'ID' not found in any table; did you mean 'id'?");
}

#[test]
fn a_plan_of_one_table_is_explained() {
    let mut session = Session::new();
    session.ok(GEN);
    let scan = "TableSourceScan(table=[[default_catalog, default_database, gen]], fields=[id, name])";
    let ast = "LogicalTableScan(table=[[default_catalog, default_database, gen]])";
    let plan = |ast: &str, physical: &str| {
        format!(
            "== Abstract Syntax Tree ==\n{ast}\n\n== Optimized Physical Plan ==\n{physical}\n\n== Optimized Execution Plan ==\n{physical}\n"
        )
    };
    let whole = plan(&format!("LogicalProject(id=[$0], name=[$1])\n+- {ast}"), scan);
    assert_eq!(session.list("EXPLAIN SELECT * FROM gen", "result"), [whole]);
    let part = plan(&format!("LogicalProject(name=[$1])\n+- {ast}"), &format!("Calc(select=[name])\n+- {scan}"));
    assert_eq!(session.list("EXPLAIN PLAN FOR SELECT name FROM gen", "result"), [part]);
    let other = session.list("EXPLAIN SELECT name FROM gen WHERE id > 1", "result");
    assert!(other[0].contains("not simulated by pipewright-sim: SELECT name FROM gen WHERE id > 1"), "{other:?}");
    session.validation("EXPLAIN SELECT * FROM nope", "SQL validation failed. SQL validation failed. From line 1, column 23 to line 1, column 26: Object 'nope' not found");
}

#[test]
fn jobs_are_listed_and_stopped() {
    let mut session = Session::new();
    session.ok("CREATE TABLE sink (n BIGINT) WITH ('connector'='blackhole')");
    let job = session.list("INSERT INTO sink SELECT n FROM numbers", "job id").remove(0);
    session.rows("SELECT 1", &["EXPR$0"]);
    let columns = ["job id", "job name", "status", "start time"];
    let jobs = session.rows("SHOW JOBS", &columns);
    let shown: Vec<_> =
        jobs.iter().map(|row| (row[1].as_str().expect("a name"), row[2].as_str().expect("a status"))).collect();
    assert_eq!(shown, [("SELECT 1", "FINISHED"), ("insert-into_default_catalog.default_database.sink", "RUNNING")]);
    assert_eq!((&jobs[1][0], &jobs[1][3]), (&json!(job), &json!("1970-01-01T00:00:00.6Z")));
    let savepoint = session.list(&format!("STOP JOB '{job}' WITH SAVEPOINT"), "savepoint path");
    assert!(savepoint[0].starts_with("file:/savepoints/savepoint-"), "{savepoint:?}");
    assert_eq!(session.rows(&format!("DESCRIBE JOB '{job}'"), &columns)[0][2], "FINISHED");
    let again = session.result(&format!("STOP JOB '{job}'")).expect_err("it has ended");
    assert!(again.ends_with(&format!("Could not stop job {job}.")), "{again}");
}

#[test]
fn a_closed_query_ends_its_job_and_a_closed_insert_does_not() {
    let mut session = Session::new();
    session.ok("CREATE TABLE sink (n BIGINT) WITH ('connector'='blackhole')");
    let operations =
        ["SELECT n FROM numbers", "INSERT INTO sink SELECT n FROM numbers"].map(|text| session.submit(text));
    session.now += 300;
    for operation in operations {
        let (status, answer) = ask(&mut session.gateway, session.now, &format!("POST {operation}/cancel"), "");
        assert!(status == 500 && errors(&answer).contains("from FINISHED to CANCELED"), "{answer}");
        assert_eq!(ask(&mut session.gateway, session.now, &format!("DELETE {operation}/close"), "").0, 200);
    }
    let jobs = session.rows("SHOW JOBS", &["job id", "job name", "status", "start time"]);
    assert_eq!((&jobs[0][2], &jobs[1][2]), (&json!("RUNNING"), &json!("CANCELED")));
}

#[test]
fn a_cancelled_statement_is_not_carried_out() {
    let mut session = Session::new();
    let operation = session.submit(GEN);
    assert_eq!(
        ask(&mut session.gateway, 299, &format!("GET {operation}/status"), "").1,
        json!({ "status": "RUNNING" })
    );
    assert_eq!(
        ask(&mut session.gateway, 299, &format!("POST {operation}/cancel"), "").1,
        json!({ "status": "CANCELED" })
    );
    session.now = 300;
    assert_eq!(
        ask(&mut session.gateway, 300, &format!("GET {operation}/status"), "").1,
        json!({ "status": "CANCELED" })
    );
    assert!(session.list("SHOW TABLES", "table name").is_empty());
}

#[test]
fn a_session_is_configured_at_once_behind_what_was_submitted() {
    let mut session = Session::new();
    session.submit("CREATE TABLE t (a INT) WITH ('connector'='x')");
    let mut configure = |statement: &str| {
        let body = json!({ "statement": statement }).to_string();
        ask(&mut session.gateway, 0, &format!("POST {}/configure-session", session.path), &body)
    };
    assert_eq!(configure("ALTER TABLE t RENAME TO u"), (200, json!({})));
    let (status, answer) = configure("SELECT 1");
    assert!(
        status == 500
            && errors(&answer)
                .contains("Unsupported statement for configuring session: SELECT 1\nThe configureSession API")
    );
    let (_, answer) = configure("CREATE TABEL x");
    assert!(errors(&answer).contains("Encountered \"TABEL\" at line 1, column 8."), "{answer}");
    let body = r#"{"statement":"SELECT * FROM","position":13}"#.replace("FROM", "FROM u").replace("13", "15");
    let (_, answer) = ask(&mut session.gateway, 0, &format!("GET {}/complete-statement", session.path), &body);
    assert_eq!(answer, json!({ "candidates": ["default_catalog.default_database.u"] }));
}

#[test]
fn a_job_that_fails_has_finished_as_a_statement() {
    let mut gateway = Gateway::new(Config::default());
    let cast = Script::query([("EXPR$0", "INTEGER")], Vec::new())
        .fails("java.lang.NumberFormatException", "For input string: 'x'.");
    gateway.define("SELECT CAST('x' AS INT)", cast);
    let mut session = Session::of(gateway);
    let operation = session.submit("SELECT CAST('x' AS INT)");
    assert_eq!(
        ask(&mut session.gateway, 300, &format!("GET {operation}/status"), "").1,
        json!({ "status": "FINISHED" })
    );
    let (_, answer) = ask(&mut session.gateway, 300, &format!("GET {operation}/result/0"), "");
    let job = operation.rsplit('/').next().expect("a handle").replace('-', "");
    for cause in [
        "SqlExecutionException: Error while retrieving result.",
        &format!("Job failed (JobID: {job})"),
        "java.lang.NumberFormatException: For input string: 'x'.",
    ] {
        assert!(errors(&answer).contains(cause), "{cause} in {answer}");
    }
    assert_eq!(ask(&mut session.gateway, 300, &format!("GET {operation}/status"), "").1, json!({ "status": "ERROR" }));
}

#[test]
fn what_needs_an_engine_says_so() {
    let mut session = Session::new();
    session.ok("CREATE TABLE orders (id BIGINT) WITH ('connector'='kafka')");
    for statement in ["UPDATE orders SET id = 1", "CREATE MATERIALIZED TABLE m AS SELECT 1", "ALTER FUNCTION f AS 'x'"]
    {
        let error = session.result(statement).expect_err(statement);
        assert!(
            error.starts_with("java.lang.UnsupportedOperationException: not simulated by pipewright-sim: "),
            "{error}"
        );
    }
    #[cfg(not(feature = "sql"))]
    {
        let error = session.result("SELECT COUNT(*) FROM orders").expect_err("no engine");
        assert!(error.contains("not simulated by pipewright-sim") && error.contains("the feature `sql`"), "{error}");
    }
}
