//! Ingress, tokens, transactions, egress, queries.

use serde_json::{Value, json};

use super::{Sim, read, rejection};

const RAW: &str = "t?format=json&update_format=raw";

fn row(id: u32) -> String {
    format!("{{\"id\":{id},\"b\":true,\"i\":{id},\"s\":\"x\"}}\n")
}

fn egress(sim: &mut Sim, query: &str) -> String {
    let response = sim.send("POST", &format!("/pipelines/p/egress/{query}"), "", "");
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (200, &"application/json".parse().expect("a value"))
    );
    String::from_utf8(response.body().to_vec()).expect("a text")
}

#[test]
fn rows_are_kept_and_their_token_completes_with_the_step() {
    let mut sim = Sim::new().running();
    let token = sim.token(RAW, &(row(1) + &row(2)));
    assert!(!token.contains('='));
    assert_eq!(sim.completion(&token), (200, json!({ "status": "inprogress", "step": 1 })));
    sim.wait(19);
    assert_eq!(sim.completion(&token).1["status"], "inprogress");
    assert_eq!(sim.rows("t").len(), 0);
    sim.wait(1);
    assert_eq!(sim.completion(&token), (200, json!({ "status": "complete", "step": 1 })));
    assert_eq!(sim.rows("t").len(), 2);
    let stats = sim.get("/pipelines/p/stats").1["global_metrics"].clone();
    assert_eq!((&stats["total_input_records"], &stats["total_completed_records"]), (&json!(2), &json!(2)));
    assert_eq!((&stats["total_initiated_steps"], &stats["total_completed_steps"]), (&json!(1), &json!(1)));
}

#[test]
fn tokens_that_mean_nothing_here_are_rejected() {
    let mut sim = Sim::new().running();
    let token = sim.token(RAW, &row(1));
    assert_eq!(rejection(&sim.completion("abc")), (400, "InvalidParam"));
    assert_eq!(rejection(&sim.completion(&format!("{token}="))), (400, "InvalidParam"));
    let missing = sim.get("/pipelines/p/completion_status");
    assert_eq!(missing, (400, json!("Query deserialize error: missing field `token`")));
    sim.stop();
    sim.start();
    assert_eq!(rejection(&sim.completion(&token)), (410, "PipelineRestarted"));
}

#[test]
fn every_format_is_read() {
    let mut sim = Sim::new().running();
    sim.token("T?format=json", "{\"insert\":{\"id\":1,\"b\":true,\"s\":\"a\"}}{\"insert\":{\"ID\":2,\"b\":true,\"s\":\"b\"}}\n{\"delete\":{\"id\":1,\"b\":true,\"s\":\"a\"}}");
    sim.token("t?format=json&update_format=raw&array=true", &format!("[{},{}]", row(3).trim(), row(4).trim()));
    sim.token(
        "t?format=json&update_format=debezium",
        &format!("{{\"payload\":{{\"op\":\"c\",\"before\":null,\"after\":{}}}}}", row(5)),
    );
    sim.token("%22t%22", "6,false,,\"a,\"\"b\"\n");
    sim.token(RAW, "");
    sim.wait(100);
    let ids: Vec<Value> = sim.rows("t").iter().map(|row| row["id"].clone()).collect();
    let mut sorted: Vec<u64> = ids.iter().filter_map(Value::as_u64).collect();
    sorted.sort_unstable();
    assert_eq!(sorted, [2, 3, 4, 5, 6]);
    let quoted = sim.rows("t").into_iter().find(|row| row["id"] == 6).expect("the row");
    assert_eq!(quoted, json!({ "id": 6, "b": false, "i": null, "s": "a,\"b" }));
}

#[test]
fn a_key_makes_inserts_updates() {
    let mut sim = Sim::new().running();
    let body = "{\"insert\":{\"k\":1,\"v\":\"a\"}}\n{\"insert\":{\"k\":2,\"v\":\"b\"}}\n{\"update\":{\"k\":1,\"v\":\"c\"}}\n{\"delete\":{\"k\":2}}\n";
    sim.token("kv?format=json", body);
    sim.wait(20);
    assert_eq!(sim.rows("kv"), [json!({ "k": 1, "v": "c" })]);
    let (status, error) = sim.ingress("t?format=json", "{\"update\":{\"id\":1,\"b\":true,\"s\":\"x\"}}");
    assert_eq!(status, 400);
    let description = "failed to deserialize JSON record: update operation is not supported on this stream";
    assert_eq!(error["details"]["errors"][0]["description"], description);
}

#[test]
fn what_can_be_parsed_is_ingested_all_the_same() {
    let mut sim = Sim::new().running();
    let body =
        row(20) + "{\"id\":\"x\",\"b\":true,\"s\":\"bad type\"}\n{\"id\":21}\n" + &row(22) + "not json\n" + &row(23);
    let (status, error) = sim.ingress(RAW, &body);
    assert_eq!(
        (status, &error["error_code"], &error["details"]["num_errors"]),
        (400, &json!("ParseErrors"), &json!(3))
    );
    let errors = &error["details"]["errors"];
    assert_eq!((&errors[0]["event_number"], &errors[0]["field"]), (&json!(2), &json!("id")));
    assert_eq!(errors[1]["description"], "failed to deserialize JSON record: missing field `b`");
    assert_eq!((&errors[2]["tag"], &errors[2]["event_number"]), (&json!("text_envelope_err"), &Value::Null));
    assert_eq!(error.get("token"), None);
    sim.wait(20);
    assert_eq!(sim.rows("t").len(), 2);
}

#[test]
fn raw_bytes_become_the_values_of_a_column() {
    let mut sim = Sim::new();
    let sql = "CREATE TABLE texts (line VARCHAR NOT NULL);\nCREATE TABLE files (id BIGINT, content VARBINARY);\n";
    assert_eq!(sim.create(sql).0, 201);
    sim.wait(1000);
    sim.start();
    sim.token("texts?format=raw", "a\nb\n");
    sim.token("texts?format=raw&mode=lines", "c\n\nd");
    sim.token("texts?format=raw", "");
    sim.token("files?format=raw&column_name=CONTENT", "ab");
    sim.wait(100);
    let lines: Vec<_> = sim.rows("texts").iter().map(|row| row["line"].clone()).collect();
    assert_eq!(lines, ["a\nb\n", "c", "d"]);
    assert_eq!(sim.rows("files"), [json!({ "id": null, "content": [97, 98] })]);

    for (query, code) in [
        ("files?format=raw", "ConfigError.InvalidParserConfig"),
        ("files?format=raw&column_name=id", "ConfigError.InvalidParserConfig"),
        ("files?format=raw&column_name=nosuch", "ConfigError.InvalidParserConfig"),
        ("texts?format=raw&mode=words", "ConfigError.ParserConfigParseError"),
    ] {
        assert_eq!(rejection(&sim.ingress(query, "x")), (400, code), "{query}");
    }
    let body: &[u8] = b"e\n\xff\nf";
    let answer = read(&sim.send("POST", "/pipelines/p/ingress/texts?format=raw&mode=lines", "", body));
    let errors = &answer.1["details"]["errors"];
    assert_eq!((&errors[0]["tag"], &errors[0]["invalid_bytes"]), (&json!("bin_event_err"), &json!([255])));
    sim.wait(100);
    assert_eq!(sim.rows("texts").len(), 5, "the other lines are rows");
}

#[test]
fn file_formats_of_ingress_are_not_simulated() {
    let mut sim = Sim::new().running();
    for format in ["parquet", "avro"] {
        let response = sim.send("POST", &format!("/pipelines/p/ingress/t?format={format}"), "", "x");
        assert_eq!(response.headers()["x-pipewright-sim"], "not-simulated");
        let answer = read(&response);
        assert_eq!(rejection(&answer), (501, "NotSimulated"));
        let message = format!(
            "format `{format}` is not simulated by pipewright-sim; send `json`, `csv` or `raw`, or use a real Feldera"
        );
        assert_eq!(answer.1["message"], message);
    }
}

#[test]
fn rejections_of_ingress_and_egress() {
    let mut sim = Sim::new().running();
    for (query, code) in [
        ("nosuch?format=json", (404, "ConfigError.UnknownInputStream")),
        ("v?format=json", (404, "ConfigError.UnknownInputStream")),
        ("%22T%22?format=json", (404, "ConfigError.UnknownInputStream")),
        ("t?format=xml", (400, "ConfigError.UnknownInputFormat")),
        ("t?format=json&array=True", (400, "ConfigError.ParserConfigParseError")),
        ("t?format=json&update_format=zzz", (400, "ConfigError.ParserConfigParseError")),
        ("t?format=json&update_format=snowflake", (400, "ConfigError.InputFormatNotSupported")),
    ] {
        assert_eq!(rejection(&sim.ingress(query, "{}")), code, "{query}");
    }
    for (query, code) in [
        ("nosuch?format=json", (404, "ConfigError.UnknownOutputStream")),
        ("v?format=json&update_format=raw", (400, "ConfigError.OutputFormatNotSupported")),
        ("plain?format=json&send_snapshot=true", (400, "ConfigError.InvalidTransportConfig")),
        ("t?format=json&send_snapshot=true", (400, "ConfigError.InvalidTransportConfig")),
        ("v?format=parquet", (400, "")),
        ("v?format=json&backpressure=1", (400, "")),
    ] {
        let answer = read(&sim.send("POST", &format!("/pipelines/p/egress/{query}"), "", ""));
        assert_eq!(rejection(&answer), code, "{query}");
    }
}

#[test]
fn a_paused_pipeline_times_out_and_takes_it_when_resumed() {
    let mut sim = Sim::new().running();
    sim.post("/pipelines/p/pause");
    let (status, error) = sim.ingress(RAW, &row(1));
    assert_eq!((status, &error["error_code"]), (503, &json!("PipelineInteractionUnreachable")));
    assert!(error["message"].as_str().is_some_and(|text| text.contains("timeout (30s) was reached")));
    assert_eq!(sim.wait(1000).rows("t").len(), 0);
    let token = sim.token(&format!("{RAW}&force=true"), &row(2));
    sim.wait(20);
    assert_eq!(sim.completion(&token).1["status"], "complete");
    assert_eq!(sim.rows("t").len(), 1);
    sim.post("/pipelines/p/resume");
    assert_eq!(sim.wait(20).rows("t").len(), 2);
}

#[test]
fn a_transaction_holds_steps_back_until_it_is_committed() {
    let mut sim = Sim::new().running();
    assert_eq!(rejection(&sim.post("/pipelines/p/commit_transaction")), (400, "NoTransactionInProgress"));
    assert_eq!(sim.post("/pipelines/p/start_transaction"), (200, json!({ "transaction_id": 20 })));
    assert_eq!(rejection(&sim.post("/pipelines/p/start_transaction")), (409, "TransactionInProgress"));
    let token = sim.token(RAW, &row(1));
    sim.wait(10_000);
    assert_eq!(sim.completion(&token), (200, json!({ "status": "inprogress", "step": 1 })));
    assert_eq!(sim.get("/pipelines/p/stats").1["global_metrics"]["transaction_id"], 20);
    assert_eq!(sim.post("/pipelines/p/commit_transaction"), (200, json!("Transaction commit initiated")));
    assert_eq!(sim.completion(&token).1["status"], "inprogress");
    sim.wait(50);
    assert_eq!(sim.completion(&token).1["status"], "complete");
    assert_eq!(sim.get("/pipelines/p/stats").1["global_metrics"]["transaction_status"], "NoTransaction");
    assert_eq!(sim.post("/pipelines/p/start_transaction").1["transaction_id"], 21);
}

/// Until its first rows arrive, only the id and the initiator show an open transaction.
#[test]
fn an_open_transaction_without_rows_has_the_status_of_none() {
    let mut sim = Sim::new().running();
    let shown = |sim: &mut Sim| {
        let metrics = sim.get("/pipelines/p/stats").1["global_metrics"].clone();
        let fields = ["transaction_status", "transaction_id", "transaction_msecs", "transaction_initiators"];
        fields.map(|field| metrics[field].clone())
    };
    let initiators =
        |id: Value, api: Value| json!({ "transaction_id": id, "initiated_by_api": api, "initiated_by_connectors": {} });
    let none = [json!("NoTransaction"), json!(0), Value::Null, initiators(Value::Null, Value::Null)];
    assert_eq!(shown(&mut sim), none);
    sim.post("/pipelines/p/start_transaction");
    let idle = [json!("NoTransaction"), json!(20), Value::Null, initiators(json!(20), json!("Started"))];
    assert_eq!(shown(sim.wait(60_000)), idle);
    assert_eq!(rejection(&sim.post("/pipelines/p/start_transaction")), (409, "TransactionInProgress"));
    sim.token(RAW, &row(1));
    let begun = [json!("TransactionInProgress"), json!(20), json!(10), initiators(json!(20), json!("Started"))];
    assert_eq!(shown(sim.wait(10)), begun);
    sim.post("/pipelines/p/commit_transaction");
    assert_eq!(shown(&mut sim)[0], "CommitInProgress");
    assert_eq!(shown(sim.wait(50)), none);
}

#[test]
fn a_row_is_there_as_often_as_it_was_inserted() {
    let mut sim = Sim::new().running();
    sim.token(RAW, &row(1).repeat(3));
    sim.token("t?format=json", &format!("{{\"delete\":{}}}", row(1).trim()));
    sim.wait(100);
    assert_eq!(sim.rows("t").len(), 2);
    assert_eq!(egress(&mut sim, "v?format=json&send_snapshot=true").matches("insert").count(), 2);
}

/// As in a recording of a real server: the first border is narrower than the last border.
#[test]
fn columns_of_a_text_query_grow_and_shrink_with_each_batch() {
    let mut sim = Sim::new().running();
    let rows: Vec<String> = (0..1500).map(|id| format!("{{\"k\":{id},\"v\":\"\"}}\n")).collect();
    sim.token("kv?format=json&update_format=raw", &rows.concat());
    sim.wait(20);
    let (_, table) = sim.get("/pipelines/p/query?sql=select%20*%20from%20kv");
    let lines: Vec<&str> = table.as_str().expect("a table").lines().collect();
    assert_eq!(lines.len(), 1504);
    let borders: Vec<&str> = lines.iter().copied().filter(|line| line.starts_with('+')).collect();
    let (narrow, wide) = ("+-----+---+", "+------+---+");
    assert!(borders == [narrow, narrow, wide] || borders == [wide, wide, narrow], "{borders:?}");
    assert!(lines.last() == borders.last());
}

#[test]
fn queries_read_what_is_materialized() {
    let mut sim = Sim::new().running();
    sim.token(RAW, &(row(1) + &row(2)));
    sim.wait(20);
    let (_, json) = sim.get("/pipelines/p/query?format=json&sql=select%20*%20from%20v");
    assert_eq!(json.as_str().map(|text| text.lines().count()), Some(2));
    let (_, count) = sim.get("/pipelines/p/query?sql=SELECT%20COUNT(*)%20FROM%20V;");
    assert_eq!(count, json!("+----------+\n| count(*) |\n+----------+\n| 2        |\n+----------+"));
    for sql in ["", "select", "select%20*%20from%20plain", "select%20*%20from%20t", "select%20*%20from%20nosuch"] {
        let answer = sim.get(&format!("/pipelines/p/query?sql={sql}"));
        assert_eq!(rejection(&answer), (400, "AdHocQueryError"), "{sql}");
    }
}

/// A table is materialized only if it says so.
#[test]
fn a_table_that_is_not_materialized_has_no_snapshot_and_no_query() {
    let mut sim = Sim::new().running();
    sim.token("kv?format=json", "{\"insert\":{\"k\":1,\"v\":\"a\"}}");
    sim.wait(100);
    let query = |sim: &mut Sim, table: &str| sim.get(&format!("/pipelines/p/query?sql=select%20*%20from%20{table}"));
    let rejected = query(&mut sim, "t");
    let error = rejected.1["details"]["error"].as_str().expect("why");
    assert!(
        error.starts_with("Execution error: Tried to SELECT from a non-materialized source. Make sure `t`"),
        "{error}"
    );
    assert_eq!(query(&mut sim, "kv").0, 200);
    assert!(egress(&mut sim, "kv?format=json&send_snapshot=true").contains("insert"));
    let inputs = sim.get("/pipelines/p").1["program_info"]["schema"]["inputs"].clone();
    assert_eq!((&inputs[0]["materialized"], &inputs[1]["materialized"]), (&json!(false), &json!(true)));
}

/// Each way of ingress is an endpoint, whatever the order of its parameters is, and there is room for 100.
#[test]
fn ways_of_ingress_are_counted() {
    let mut sim = Sim::new().running();
    let same = ["t?format=json&array=true", "t?array=true&format=json", "t?force=false&format=json&array=true"];
    for way in same {
        sim.token(way, "[]");
    }
    for spare in 1..100 {
        sim.token(&format!("t?format=csv&spare={spare}"), "");
    }
    assert_eq!(rejection(&sim.ingress("t?format=csv&spare=100", "")), (429, "ApiConnectionLimit"));
    for way in same {
        sim.token(way, "[]");
    }
}

#[test]
fn a_token_of_nothing_waits_for_nothing() {
    let mut sim = Sim::new().running();
    let token = sim.token("t?format=csv", "");
    assert_eq!(sim.completion(&token).1["status"], "complete");
    sim.manager.wedge("p");
    sim.token("t?format=csv", "1,true,1,x\n");
    assert_eq!(sim.completion(&token).1["status"], "complete");
}
