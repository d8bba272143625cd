//! What the vendor's SDK asks beside what is documented.

use std::time::Duration;

use serde_json::json;

use super::super::{ChannelPath, Config, PipeState};
use super::{INGEST, ROWS, START, STATUS, Sim, path, rejection};

const PIPE_INFO: &str = "/v2/streaming/databases/Db1/schemas/Sch1/pipes/TBL-STREAMING:pipe-info";
const PIPE_INFO_BODY: &str = r#"{"generate_new_token":true,"encryption_version":"AES-CTR-128.1"}"#;

#[test]
fn the_info_of_a_pipe_has_what_the_sdk_reads() {
    let mut sim = Sim::new();
    let (status, answer) = sim.ask("POST", PIPE_INFO, "application/json", PIPE_INFO_BODY);
    assert_eq!(status, 200, "{answer}");
    for stage in ["rowset_stage_location", "durable_stage_location"] {
        let stage = &answer[stage];
        assert_eq!(stage["location_type"], "S3");
        assert!(stage["expiry_time_ms"].as_u64().is_some_and(|at| u128::from(at) > START.as_millis()), "{stage}");
        let parameters = stage["parameters"].as_object().expect("an object");
        // The SDK reads each as 16 bits.
        assert!(parameters.values().all(|value| value.as_u64().is_some_and(|it| u16::try_from(it).is_ok())), "{stage}");
    }
    assert_eq!(answer["encryption_info"]["pipe_key"].as_str().map(str::len), Some(44));
    // The same at any time, but for the expiry.
    assert_eq!(sim.ask("POST", PIPE_INFO, "application/json", PIPE_INFO_BODY).1, answer);
}

#[test]
fn the_info_of_a_pipe_needs_the_pipe_and_a_scoped_token() {
    let mut sim = Sim::new();
    let missing = PIPE_INFO.replace("TBL-STREAMING", "OTHER");
    let answer = sim.ask("POST", &missing, "application/json", PIPE_INFO_BODY);
    assert_eq!(rejection(&answer), (404, "ERR_PIPE_DOES_NOT_EXIST_OR_NOT_AUTHORIZED"));
    sim.account.set_pipe(&ChannelPath::new("Db1", "Sch1", "OTHER", ""), PipeState::Healthy);
    assert_eq!(sim.ask("POST", &missing, "application/json", PIPE_INFO_BODY).0, 200);
    sim.account.revoke_tokens();
    assert_eq!(sim.ask("POST", PIPE_INFO, "application/json", PIPE_INFO_BODY).0, 401);
}

#[test]
fn telemetry_is_accepted_by_the_account_host() {
    let mut sim = Sim::new();
    let logs = r#"{"logs":[]}"#;
    let headers = |host| [("host", host), ("accept", "*/*"), ("authorization", "Bearer pat")];
    let (status, answer) = sim.send("POST", "/telemetry/send/sessionless", &headers("my-org-my-acct.snow.test"), logs);
    assert_eq!((status, &answer["success"]), (200, &json!(true)));
    assert_ne!(sim.send("POST", "/telemetry/send/sessionless", &headers(INGEST), logs).0, 200);
    let anonymous = [("host", "my-org-my-acct.snow.test"), ("accept", "*/*")];
    assert_eq!(sim.send("POST", "/telemetry/send/sessionless", &anonymous, logs).0, 401);
}

#[test]
fn the_elastic_channel_is_always_there() {
    let commit_delay = Duration::from_secs(5)..=Duration::from_secs(5);
    let status_age = Duration::ZERO..=Duration::from_secs(3);
    let mut sim = Sim::with(Config { commit_delay, status_age, ..Config::default() });
    let status = |sim: &mut Sim, name: &str| {
        let (code, answer) =
            sim.ask("POST", STATUS, "application/json", json!({ "channel_names": [name] }).to_string());
        assert_eq!(code, 200, "{answer}");
        answer["channel_statuses"][name].clone()
    };
    assert_eq!(status(&mut sim, "chan_1"), json!(null));
    for name in ["ELASTIC", "elastic"] {
        let status = status(&mut sim, name);
        assert_eq!(status["channel_status_code"], "SUCCESS");
        assert_eq!((&status["channel_name"], &status["rows_inserted"]), (&json!("ELASTIC"), &json!(0)));
    }
    let append = ROWS.replace("chan_1", "ELASTIC");
    let answer = sim.ask("POST", &append, "application/x-ndjson", "{\"id\":1}\n");
    // Without a token the SDK takes it for a failure.
    assert_eq!(answer, (200, json!({ "message": "OK", "next_continuation_token": "" })));
    sim.wait(10_000);
    assert_eq!(status(&mut sim, "ELASTIC")["rows_inserted"], 1);

    // A month without rows, and a new table, leave it there.
    sim.wait(40 * 86_400_000);
    sim.authorize();
    assert_eq!(status(&mut sim, "ELASTIC")["rows_inserted"], 1);
    sim.account.replace_table(&path());
    sim.wait(10_000);
    assert_eq!(status(&mut sim, "ELASTIC")["rows_inserted"], 0);
}

#[test]
fn an_advertised_host_stands_for_the_one_that_was_asked() {
    let config = Config { ingest_hosts: Vec::new(), advertised_host: Some("localhost".into()), ..Config::default() };
    let mut sim = Sim { host: "127.0.0.1:4000", ..Sim::with_host(config, "localhost") };
    let headers = [("host", sim.host), ("accept", "*/*"), ("authorization", "Bearer pat")];
    let asked = sim.send("GET", "/v2/streaming/hostname", &headers, "");
    assert_eq!(asked, (200, json!("localhost")));
    // The token is for that host, and any way to it is good.
    assert_eq!(sim.ask("POST", PIPE_INFO, "application/json", PIPE_INFO_BODY).0, 200);
    assert_eq!(sim.exchange("127.0.0.1").0, 400);
}
