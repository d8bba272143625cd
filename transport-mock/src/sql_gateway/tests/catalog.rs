//! Catalogs, databases, tables and views: what creates, shows and changes them, as measured with Flink 2.3.0.

use serde_json::{Value, json};

use super::Session;

const DESCRIBED: [&str; 6] = ["name", "type", "null", "key", "extras", "watermark"];
const GEN: &str = "CREATE TABLE gen (id BIGINT, name STRING) WITH ('connector'='datagen', 'rows-per-second'='5')";

#[test]
fn a_new_session_has_one_catalog_with_one_empty_database() {
    let mut session = Session::new();
    assert_eq!(session.list("SHOW CATALOGS", "catalog name"), ["default_catalog"]);
    assert_eq!(session.list("SHOW DATABASES", "database name"), ["default_database"]);
    assert_eq!(session.list("show current catalog;", "current catalog name"), ["default_catalog"]);
    assert_eq!(session.list("SHOW CURRENT DATABASE", "current database name"), ["default_database"]);
    for (statement, column) in [
        ("SHOW TABLES", "table name"),
        ("SHOW VIEWS", "view name"),
        ("SHOW USER FUNCTIONS", "function name"),
        ("SHOW JARS", "jars"),
    ] {
        assert!(session.list(statement, column).is_empty(), "{statement}");
    }
    assert_eq!(session.list("SHOW MODULES", "module name"), ["core"]);
    assert_eq!(session.rows("SHOW FULL MODULES", &["module name", "used"]), [[json!("core"), json!(true)]]);
    assert_eq!(session.list("SHOW FUNCTIONS LIKE 'c_s'", "function name"), ["cos"]);
    assert!(session.rows("SHOW JOBS", &["job id", "job name", "status", "start time"]).is_empty());
}

#[test]
fn a_table_is_described_as_it_was_created() {
    let mut session = Session::new();
    session.ok(
        "CREATE TABLE k (id BIGINT NOT NULL COMMENT 'the key', name VARCHAR(20), `at` TIMESTAMP(3), price DECIMAL(10,2), up AS UPPER(name), m STRING METADATA FROM 'x' VIRTUAL, WATERMARK FOR `at` AS `at` - INTERVAL '5' SECOND, PRIMARY KEY (id) NOT ENFORCED) COMMENT 'keyed' WITH ('connector'='blackhole')",
    );
    let columns = [&DESCRIBED[..], &["comment"]].concat();
    let expected = [
        json!(["id", "BIGINT", false, "PRI(id)", null, null, "the key"]),
        json!(["name", "VARCHAR(20)", true, null, null, null, null]),
        json!(["at", "TIMESTAMP(3) *ROWTIME*", true, null, null, "`at` - INTERVAL '5' SECOND", null]),
        json!(["price", "DECIMAL(10, 2)", true, null, null, null, null]),
        json!(["up", "VARCHAR(20)", true, null, "AS UPPER(`name`)", null, null]),
        json!(["m", "STRING", true, null, "METADATA FROM 'x' VIRTUAL", null, null]),
    ];
    for statement in ["DESCRIBE k", "DESC default_database.k", "DESCRIBE EXTENDED k", "SHOW COLUMNS FROM k"] {
        let rows: Vec<Value> = session.rows(statement, &columns).into_iter().map(Value::from).collect();
        assert_eq!(rows, expected, "{statement}");
    }
    let some = session.rows("SHOW COLUMNS IN k NOT LIKE '%p%'", &columns);
    assert_eq!(some.iter().map(|row| &row[0]).collect::<Vec<_>>(), ["id", "name", "at", "m"]);
    let create = "CREATE TABLE `default_catalog`.`default_database`.`k` (\n  `id` BIGINT NOT NULL COMMENT 'the key',\n  `name` VARCHAR(20),\n  `at` TIMESTAMP(3),\n  `price` DECIMAL(10, 2),\n  `up` AS UPPER(`name`),\n  `m` VARCHAR(2147483647) METADATA FROM 'x' VIRTUAL,\n  WATERMARK FOR `at` AS `at` - INTERVAL '5' SECOND,\n  CONSTRAINT `PK_id` PRIMARY KEY (`id`) NOT ENFORCED\n)\nCOMMENT 'keyed'\nWITH (\n  'connector' = 'blackhole'\n)\n";
    assert_eq!(session.list("SHOW CREATE TABLE k", "result"), [create]);
}

#[test]
fn types_are_shown_in_short_and_in_full() {
    let mut session = Session::new();
    session.ok("CREATE TABLE typed (a INTEGER NOT NULL, b CHAR, c VARCHAR, d BYTES, e TIME, f TIMESTAMP, g TIMESTAMP(3) WITH LOCAL TIME ZONE, h ARRAY<INT NOT NULL> NOT NULL, i MAP<STRING, INT>, j ROW<x INT, y STRING>, k MULTISET<STRING>, l DEC(4,0), m DOUBLE PRECISION, n CHARACTER VARYING(3), o INT ARRAY) WITH ('connector'='x')");
    let types = session.rows("DESCRIBE typed", &DESCRIBED).into_iter().map(|row| row[1].clone()).collect::<Vec<_>>();
    let expected = [
        "INT",
        "CHAR(1)",
        "STRING",
        "BYTES",
        "TIME(0)",
        "TIMESTAMP(6)",
        "TIMESTAMP_LTZ(3)",
        "ARRAY<INT NOT NULL>",
        "MAP<STRING, INT>",
        "ROW<`x` INT, `y` STRING>",
        "MULTISET<STRING>",
        "DECIMAL(4, 0)",
        "DOUBLE",
        "VARCHAR(3)",
        "ARRAY<INT>",
    ];
    assert_eq!(types, expected);
    let create = session.list("SHOW CREATE TABLE typed", "result");
    for line in
        ["`c` VARCHAR(2147483647),", "`g` TIMESTAMP(3) WITH LOCAL TIME ZONE,", "`h` ARRAY<INT NOT NULL> NOT NULL,"]
    {
        assert!(create[0].contains(line), "{line}");
    }
    session.fails(
        "CREATE TABLE x (a NONSENSE) WITH ('connector'='x')",
        "org.apache.calcite.runtime.CalciteContextException: From line 1, column 19 to line 1, column 26: Unknown identifier 'NONSENSE'",
    );
    session.fails("CREATE TABLE x (a REAL)", "org.apache.flink.table.api.TableException: Type is not supported: REAL");
}

#[test]
fn temporary_tables_hide_others_of_their_name() {
    let mut session = Session::new();
    session
        .ok(GEN)
        .ok("CREATE TABLE IF NOT EXISTS gen (id BIGINT)")
        .ok("CREATE TEMPORARY TABLE gen (q INT) WITH ('connector'='print')");
    session.validation(
        "CREATE TABLE gen (id BIGINT)",
        "Could not execute CreateTable in path `default_catalog`.`default_database`.`gen`",
    );
    session.validation(
        "CREATE TEMPORARY TABLE gen (q INT)",
        "Temporary table '`default_catalog`.`default_database`.`gen`' already exists",
    );
    assert_eq!(session.rows("DESCRIBE gen", &DESCRIBED)[0][0], "q");
    assert_eq!(session.list("SHOW TABLES", "table name"), ["gen"]);
    session.validation(
        "DROP TABLE gen",
        "Temporary table with identifier '`default_catalog`.`default_database`.`gen`' exists. Drop it first before removing the permanent table.",
    );
    session.validation(
        "ALTER TABLE gen ADD x INT",
        "Table `default_catalog`.`default_database`.`gen` doesn't exist or is a temporary table.",
    );
    session.ok("DROP TEMPORARY TABLE gen");
    assert_eq!(session.rows("DESCRIBE gen", &DESCRIBED)[0][0], "id");
    session.ok("DROP TABLE gen").ok("DROP TABLE IF EXISTS gen");
    session
        .validation("DROP TABLE gen", "Table with identifier 'default_catalog.default_database.gen' does not exist.");
    session.validation(
        "DESCRIBE gen",
        "Tables or views with the identifier 'default_catalog.default_database.gen' doesn't exist.",
    );
    session.validation(
        "DROP TEMPORARY VIEW gen",
        "Temporary table or view with identifier 'default_catalog.default_database.gen' does not exist.",
    );
}

#[test]
fn views_show_columns_of_a_table() {
    let mut session = Session::new();
    session
        .ok(GEN)
        .ok("CREATE VIEW w (a, b) AS SELECT id, name FROM gen")
        .ok("CREATE TEMPORARY VIEW v AS SELECT name AS n FROM gen");
    assert_eq!(session.list("SHOW VIEWS", "view name"), ["v", "w"]);
    assert_eq!(session.list("SHOW TABLES LIKE 'g%'", "table name"), ["gen"]);
    assert_eq!(
        session.list("SHOW TABLES FROM default_catalog.default_database NOT LIKE 'g%'", "table name"),
        ["v", "w"]
    );
    assert_eq!(
        session.rows("DESCRIBE w", &DESCRIBED)[1],
        [json!("b"), json!("STRING"), json!(true), Value::Null, Value::Null, Value::Null]
    );
    let create = session.list("SHOW CREATE VIEW v", "result");
    assert!(
        create[0].starts_with("CREATE TEMPORARY VIEW `default_catalog`.`default_database`.`v` (\n  `n`\n)\nAS SELECT")
    );
    session.fails(
        "SHOW CREATE TABLE w",
        "org.apache.flink.table.api.TableException: SHOW CREATE TABLE is only supported for tables, but `default_catalog`.`default_database`.`w` is a view. Please use SHOW CREATE VIEW instead.",
    );
    session.validation(
        "CREATE VIEW x (a) AS SELECT * FROM gen",
        "VIEW definition and input fields not match:\n\tDef fields: [a].\n\tInput fields: [id, name].",
    );
    session.fails(
        "CREATE VIEW x AS SELECT nope FROM gen",
        "org.apache.calcite.runtime.CalciteContextException: From line 1, column 25 to line 1, column 28: Column 'nope' not found in any table",
    );
    session.validation("DROP TABLE w", "Table with identifier 'default_catalog.default_database.w' does not exist.");
    session.validation("ALTER TABLE w ADD x INT", "ALTER TABLE for a view is not allowed");
    session.ok("ALTER VIEW w RENAME TO u").ok("ALTER VIEW u AS SELECT id FROM gen");
    assert_eq!(session.rows("DESCRIBE u", &DESCRIBED).len(), 1);
    session.ok("DROP VIEW u").ok("DROP TEMPORARY VIEW v").ok("DROP VIEW IF EXISTS u");
}

#[test]
fn databases_and_catalogs_are_created_used_and_dropped() {
    let mut session = Session::new();
    session
        .ok("CREATE DATABASE db1 COMMENT 'one' WITH ('a'='b')")
        .ok("CREATE DATABASE IF NOT EXISTS db1")
        .ok("USE db1")
        .ok(GEN);
    session.validation(
        "CREATE DATABASE db1",
        "Could not execute CREATE DATABASE: (catalogDatabase: [{}], catalogName: [default_catalog], databaseName: [db1], ignoreIfExists: [false])",
    );
    session.ok("USE CATALOG default_catalog");
    assert_eq!(session.list("SHOW CURRENT DATABASE", "current database name"), ["db1"]);
    session.ok("USE default_catalog.default_database");
    session.validation("SHOW TABLES FROM nope", "Database 'default_catalog'.'nope' doesn't exist.");
    session.fails(
        "USE nope",
        "org.apache.flink.table.catalog.exceptions.CatalogException: A database with name [nope] does not exist in the catalog: [default_catalog].",
    );
    session.validation("DROP DATABASE db1", "Could not execute DROP DATABASE default_catalog.db1 RESTRICT");
    session.ok("DROP DATABASE db1 CASCADE").ok("DROP DATABASE IF EXISTS db1");
    session.fails(
        "DROP DATABASE default_database",
        "org.apache.flink.table.api.TableException: Could not execute DROP DATABASE default_catalog.default_database RESTRICT",
    );
    session.ok("CREATE CATALOG c1 WITH ('type'='generic_in_memory')");
    assert_eq!(session.list("SHOW CATALOGS LIKE 'c%'", "catalog name"), ["c1"]);
    let create = "CREATE CATALOG `c1`\nWITH (\n  'type' = 'generic_in_memory'\n)\n";
    assert_eq!(session.list("SHOW CREATE CATALOG c1", "result"), [create]);
    session.ok("DROP CATALOG c1");
    session
        .validation("DROP CATALOG default_catalog", "Could not execute DROP CATALOG: (catalogName: [default_catalog])");
}

#[test]
fn a_table_is_altered_step_by_step() {
    let mut session = Session::new();
    session.ok(GEN).ok("ALTER TABLE gen RENAME TO gen2").ok("ALTER TABLE gen2 SET ('rows-per-second'='7')");
    session
        .ok("ALTER TABLE gen2 ADD extra INT")
        .ok("ALTER TABLE gen2 ADD (more STRING COMMENT 'm' FIRST, most INT AFTER id)");
    session
        .ok("ALTER TABLE gen2 MODIFY extra BIGINT")
        .ok("ALTER TABLE gen2 DROP extra")
        .ok("ALTER TABLE gen2 RENAME more TO less");
    let rows = session.rows("DESCRIBE gen2", &[&DESCRIBED[..], &["comment"]].concat());
    let names: Vec<&Value> = rows.iter().map(|row| &row[0]).collect();
    assert_eq!((names, &rows[0][6]), (vec![&json!("less"), &json!("id"), &json!("most"), &json!("name")], &json!("m")));
    assert!(session.list("SHOW CREATE TABLE gen2", "result")[0].contains("'rows-per-second' = '7'"));
    let failed = "Failed to execute ALTER TABLE statement.\n";
    session.validation(
        "ALTER TABLE gen2 DROP nope",
        &format!("{failed}The column `nope` does not exist in the base table."),
    );
    session.validation("ALTER TABLE gen2 ADD id INT", &format!("{failed}Column `id` already exists in the table."));
    session
        .validation("ALTER TABLE gen2 MODIFY nope INT", &format!("{failed}Column `nope` does not exist in the table."));
    session
        .validation("ALTER TABLE gen2 RESET ('connector')", "ALTER TABLE RESET does not support changing 'connector'");
    session.ok("ALTER TABLE IF EXISTS nope ADD x INT").ok("CREATE TABLE l LIKE gen2");
    assert_eq!(session.rows("DESCRIBE l", &[&DESCRIBED[..], &["comment"]].concat()).len(), 4);
    session.validation(
        "ALTER TABLE l RENAME TO gen2",
        "Could not execute ALTER TABLE default_catalog.default_database.l RENAME TO default_catalog.default_database.gen2",
    );
}
