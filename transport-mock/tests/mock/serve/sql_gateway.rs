//! Statements that a served SQL Gateway takes.

use std::time::Duration;

use pipewright_mock::serve::{Options, Server};
use pipewright_mock::sql_gateway;
use serde_json::json;

use super::{Answer, Client};

/// What a statement brings: a page of its result, or the error.
fn run(client: &mut Client, session: &str, statement: &str) -> Answer {
    let body = json!({ "statement": statement }).to_string();
    let answer = client.post(&format!("{session}/statements"), "application/json", &body).json();
    let operation = answer["operationHandle"].as_str().expect("a handle").to_owned();
    client.ask(&format!("GET {session}/operations/{operation}/result/0?rowFormat=JSON HTTP/1.1\r\nHost: x\r\n\r\n"))
}

#[test]
fn a_connection_has_room_for_the_most_nested_statement() {
    let config = sql_gateway::Config { ready_after: Duration::ZERO, ..sql_gateway::Config::default() };
    let server = Server::start(Options::sql_gateway(config)).expect("a free port");
    let mut client = Client::connect(server.url());
    let session = client.post("/v3/sessions", "application/json", "{}").json();
    let session = format!("/v3/sessions/{}", session["sessionHandle"].as_str().expect("a handle"));
    let repeated = |part: &str, count: usize| part.repeat(count);
    let filter = |count| format!("SELECT x FROM (VALUES (1)) AS t(x) WHERE x = 1{}", repeated(" OR x = 2", count));
    let parentheses = |count| format!("SELECT {}1{}", repeated("(", count), repeated(")", count));
    let cases = |count| format!("SELECT {}1{}", repeated("CASE WHEN TRUE THEN ", count), repeated(" END", count));
    let queries = |count| format!("SELECT {}1{}", repeated("(SELECT ", count), repeated(")", count));
    let sum = |count| format!("SELECT 1{}", repeated(" + 1", count));
    let union = |count| format!("SELECT 1{}", repeated(" UNION ALL SELECT 1", count));
    let join = |count| format!("SELECT 1 FROM (VALUES (1)) AS t0{}", repeated(", (VALUES (1)) AS t", count));
    let minus = |count| format!("SELECT {}1", repeated("- ", count));
    let both = |count| format!("SELECT {}1{}{}", repeated("(", 90), repeated(" + 1", count), repeated(")", 90));
    let array = |count| {
        let name = format!("t{count}");
        format!(
            "CREATE TABLE {name} (a {}INT{}) WITH ('connector'='x')",
            repeated("ARRAY<", count),
            repeated(">", count)
        )
    };
    let arrays = |count| format!("CREATE TABLE s{count} (a INT{}) WITH ('connector'='x')", repeated(" ARRAY", count));
    for (statement, is_allowed) in [
        (parentheses(95), true),
        (parentheses(20_000), false),
        (cases(95), true),
        (cases(20_000), false),
        (queries(45), true),
        (queries(20_000), false),
        (sum(200), true),
        (sum(20_000), false),
        (both(190), true),
        (both(20_000), false),
        (filter(3_000), true),
        (union(200), true),
        (union(20_000), false),
        (join(20_000), false),
        (minus(95), true),
        (minus(20_000), false),
        (array(45), true),
        (array(20_000), false),
        (arrays(45), true),
        (arrays(20_000), false),
    ] {
        let answer = run(&mut client, &session, &statement);
        let body = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status == 200, is_allowed, "{statement:.60}: {body:.600}");
    }
}
