//! Input connectors.

use serde_json::{Value, json};

use super::{NOT_DEPLOYED, Sim, rejection};

/// A table that is filled: ten rows a second, 25 in all, with a quote in their description.
const FILLED: &str = "CREATE TABLE t (id BIGINT NOT NULL, s VARCHAR) WITH ('connectors' = '[{\"name\": \"it''s\", \"transport\": {\"name\": \"datagen\", \"config\": {\"plan\": [{\"limit\": 25, \"rate\": 10}]}}}]');\nCREATE MATERIALIZED VIEW v AS SELECT * FROM t;";

const STATS: &str = "/pipelines/p/tables/T/connectors/it's/stats";
const START: &str = "/pipelines/p/tables/T/connectors/it's/start";
const PAUSE: &str = "/pipelines/p/tables/T/connectors/it's/pause";
const TOKEN: &str = "/pipelines/p/tables/T/connectors/it's/completion_token";

fn compiled(sql: &str) -> Sim {
    let mut sim = Sim::enterprise();
    assert_eq!(sim.create(sql).0, 201);
    sim.wait(1000);
    sim
}

fn running() -> Sim {
    let mut sim = compiled(FILLED);
    sim.start();
    sim
}

fn metrics(sim: &mut Sim) -> (u64, bool) {
    let (status, answer) = sim.get(STATS);
    assert_eq!((status, &answer["endpoint_name"]), (200, &json!("t.it's")), "{answer}");
    let metrics = &answer["metrics"];
    (metrics["total_records"].as_u64().expect("a number"), metrics["end_of_input"].as_bool().expect("a flag"))
}

#[test]
fn a_generator_makes_its_rows_and_comes_to_its_end() {
    let mut sim = running();
    assert_eq!(sim.get(STATS).1["paused"], json!(false));
    sim.wait(1000);
    let (some, ended) = metrics(&mut sim);
    assert!((8..14).contains(&some) && !ended, "{some}");
    assert_eq!(sim.get("/pipelines/p/stats").1["global_metrics"]["pipeline_complete"], json!(false));
    sim.wait(2000);
    assert_eq!(metrics(&mut sim), (25, true));
    let statistics = sim.get("/pipelines/p/stats").1;
    assert_eq!(statistics["inputs"][0]["metrics"]["end_of_input"], json!(true));
    assert_eq!(statistics["global_metrics"]["pipeline_complete"], json!(true));
    let rows = sim.rows("t");
    assert_eq!((rows.len(), rows.contains(&json!({"id": 24, "s": "24"}))), (25, true));
    let token = sim.get(TOKEN).1["token"].as_str().expect("a token").to_owned();
    assert_eq!(sim.completion(&token).1["status"], json!("complete"));
    assert!(sim.get("/pipelines/p").1["program_info"]["input_connectors"]["t.it's"].is_object());
}

#[test]
fn a_generator_makes_ten_thousand_rows_at_once_at_the_most() {
    let mut sim = compiled(&FILLED.replace(r#""limit": 25, "rate": 10"#, r#""rate": 1000000"#));
    sim.start();
    let (before, _) = metrics(&mut sim);
    sim.wait(100);
    let (after, ended) = metrics(&mut sim);
    assert_eq!((after - before, ended), (10_000, false), "of 100,000 rows that the rate asks for");
}

#[test]
fn connectors_rest_while_they_or_the_pipeline_are_paused() {
    let mut sim = running();
    sim.wait(500);
    assert_eq!(sim.post(PAUSE), (200, Value::String(String::new())));
    let (some, _) = metrics(&mut sim);
    sim.wait(5000);
    assert_eq!((metrics(&mut sim), sim.get(STATS).1["paused"].clone()), ((some, false), json!(true)));
    assert_eq!(sim.post(START).0, 200);
    sim.wait(300);
    let (more, ended) = metrics(&mut sim);
    assert!(more > some && !ended, "it does not make up for its rest: {more}");
    assert_eq!(sim.post("/pipelines/p/pause").0, 202);
    sim.wait(5000);
    assert_eq!(metrics(&mut sim).0, more);
    assert_eq!(sim.post("/pipelines/p/resume").0, 202);
    sim.wait(5000);
    assert_eq!(metrics(&mut sim), (25, true));
}

/// Rows of a transaction are in it until it is committed.
#[test]
fn a_token_of_a_connector_covers_what_it_took_in() {
    let mut sim = running();
    assert_eq!(sim.post("/pipelines/p/start_transaction").0, 200);
    sim.wait(4000);
    assert_eq!(metrics(&mut sim), (25, true));
    let token = sim.get(TOKEN).1["token"].as_str().expect("a token").to_owned();
    assert_eq!(sim.completion(&token).1["status"], json!("inprogress"));
    assert_eq!(sim.post("/pipelines/p/commit_transaction").0, 200);
    sim.wait(2000);
    assert_eq!(sim.completion(&token).1["status"], json!("complete"));
}

#[test]
fn a_checkpoint_knows_how_far_its_connectors_were() {
    let mut sim = running();
    sim.wait(1000);
    assert_eq!(sim.post("/pipelines/p/stop").0, 202);
    sim.wait(2000);
    assert_eq!(sim.view().status, "Stopped");
    sim.start();
    sim.wait(5000);
    assert_eq!(sim.rows("t").len(), 25);
}

#[test]
fn what_is_no_connector_is_rejected() {
    let mut sim = running();
    for target in [
        "tables/T/connectors/nope/stats",
        "tables/NOSUCH/connectors/it's/stats",
        "tables/T/connectors/nope/completion_token",
    ] {
        assert_eq!(rejection(&sim.get(&format!("/pipelines/p/{target}"))), (404, "UnknownInputEndpoint"), "{target}");
    }
    let nope = sim.post("/pipelines/p/tables/T/connectors/nope/start");
    assert_eq!(nope.1["details"], json!({ "endpoint_name": "t.nope" }));
    assert_eq!(rejection(&sim.post("/pipelines/p/tables/T/connectors/it's/jump")), (400, "InvalidConnectorAction"));
    assert_eq!(rejection(&sim.get("/pipelines/p/views/V/connectors/x/stats")), (404, "UnknownOutputEndpoint"));
    sim.stop();
    assert_eq!(rejection(&sim.get(STATS)), NOT_DEPLOYED);
    assert_eq!(rejection(&sim.post(START)), NOT_DEPLOYED);
}

#[test]
fn a_connector_that_cannot_open_its_source_stops_the_pipeline() {
    let file = "CREATE TABLE t (id BIGINT) WITH ('connectors' = '[{\"name\": \"badfile\", \"transport\": {\"name\": \"file_input\", \"config\": {\"path\": \"/nonexistent\"}}}]');";
    let mut sim = compiled(file);
    assert_eq!(sim.post("/pipelines/p/start").0, 202);
    sim.wait(2000);
    let error = sim.view().error.expect("an error");
    assert_eq!((sim.view().status.as_str(), &error["error_code"]), ("Stopped", &json!("InitializationError")));
    assert_eq!(error["details"]["error"]["endpoint_name"], json!("t.badfile"));
}

#[test]
fn a_connector_that_is_none_does_not_compile() {
    for connectors in ["[{\"name\": \"x\", \"transport\": {\"name\": \"no_such_transport\"}}]", "no JSON"] {
        let mut sim = compiled(&format!("CREATE TABLE t (id BIGINT) WITH ('connectors' = '{connectors}');"));
        let object = sim.get("/pipelines/p").1;
        assert_eq!(object["program_status"], json!("SqlError"));
        let compilation = &object["program_error"]["sql_compilation"];
        let message = &compilation["messages"][0];
        assert_eq!(
            (&compilation["exit_code"], &message["error_type"]),
            (&json!(0), &json!("ConnectorGenerationError"))
        );
        assert!(message["message"].as_str().is_some_and(|text| text.contains(connectors)), "{message}");
    }
}
