//! Hosts, credentials, tokens, failover.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::super::{Account, Config, ErrorShape, FailedOver, PipeState};
use super::{Answered, CHANNEL, INGEST, ROWS, SECOND, START, STATUS, Sim, next, path, rejection};

const ACCOUNT: &str = "my-org-my-acct.snow.test";
const STALE: (u16, &str) = (400, "STALE_CONTINUATION_TOKEN_SEQUENCER");

fn hostname(sim: &mut Sim, authorization: &str, kind: &str) -> Answered {
    let headers = [
        ("host", ACCOUNT),
        ("accept", "application/json"),
        ("authorization", authorization),
        ("x-snowflake-authorization-token-type", kind),
    ];
    sim.send("GET", "/v2/streaming/hostname?requestId=a&retryCount=0", &headers, "")
}

fn jwt(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("Bearer {}.{}.c2ln", part(&json!({ "typ": "JWT", "alg": "RS256" })), part(claims))
}

#[test]
fn hostname_and_token_are_bare_text_unless_told_otherwise() {
    let mut sim = Sim::new();
    let host = "sim_account.ingest.snowpipe.test";
    assert_eq!(hostname(&mut sim, "Bearer pat", "PROGRAMMATIC_ACCESS_TOKEN"), (200, json!(host)));
    let parts: Vec<&str> = sim.token.split('.').collect();
    let claims = URL_SAFE_NO_PAD.decode(parts[1]).expect("base64url");
    let claims: Value = serde_json::from_slice(&claims).expect("JSON");
    assert_eq!((parts.len(), &claims["exp"]), (3, &json!(START.as_secs() + 600)));

    let config = Config { json_answers: true, ..Config::default() };
    let mut sim = Sim { account: Account::new(config), now: START, host: INGEST, token: String::new() };
    assert_eq!(hostname(&mut sim, "Bearer pat", "OAUTH"), (200, json!({ "hostname": host })));
    assert!(sim.exchange(host).1["token"].is_string());
}

#[test]
fn a_scope_is_the_ingest_host_and_perhaps_a_role() {
    let mut sim = Sim::new();
    for scope in [INGEST, "sim_account.ingest.snowpipe.test", "Sim-Account.ingest.snowpipe.test session:role:LOADER"] {
        assert_eq!(sim.exchange(scope).0, 200, "{scope}");
    }
    for scope in ["", SECOND, "sim-account.ingest.snowpipe.test role", "sim-account.ingest.snowpipe.test session:role:"]
    {
        assert_eq!(sim.exchange(scope), (400, json!({ "error": "invalid_scope" })), "{scope}");
    }
}

#[test]
fn the_claims_of_a_key_pair_are_checked() {
    let config =
        Config { account: Some("MYORG-MYACCT".into()), public_key_fp: Some("SHA256:abc=".into()), ..Config::default() };
    let mut sim = Sim::with(config);
    let now = START.as_secs();
    let good = json!({ "iss": "MYORG-MYACCT.INGEST.USER.SHA256:abc=", "sub": "MYORG-MYACCT.INGEST.USER",
        "iat": now, "exp": now + 3540 });
    let with = |key: &str, value: Value| {
        let mut claims = good.clone();
        claims[key] = value;
        claims
    };
    let mut millis = with("iat", json!(now * 1000));
    millis["exp"] = json!((now + 3540) * 1000);
    for claims in [&good, &millis] {
        assert_eq!(hostname(&mut sim, &jwt(claims), "KEYPAIR_JWT").0, 200, "{claims}");
    }
    for claims in [
        with("iss", json!("MYORG-MYACCT.INGEST.USER.SHA256:abd=")),
        with("iss", json!("MYORG-MYACCT.INGEST.SHA256:abc=")),
        with("sub", json!("MYORG-MYACCT.INGEST")),
        with("exp", json!(now)),
        with("exp", json!(null)),
        // Longer than an hour is not honoured.
        with("iat", json!(now - 3600)),
        with("iat", json!(now + 61)),
    ] {
        let answer = hostname(&mut sim, &jwt(&claims), "KEYPAIR_JWT");
        assert_eq!(answer, (401, json!({ "code": "390144", "message": "JWT token is invalid." })), "{claims}");
    }
    assert_eq!(rejection(&hostname(&mut sim, &jwt(&good), "JWT")), (401, "390144"));
    assert_eq!(rejection(&hostname(&mut sim, "Bearer a.b", "KEYPAIR_JWT")), (401, "390144"));
    assert_eq!(rejection(&hostname(&mut sim, "Basic abc", "OAUTH")), (401, "390144"));
}

#[test]
fn another_credential_than_the_one_that_is_expected_is_rejected() {
    let config = Config { credential: Some("secret".into()), ..Config::default() };
    let mut sim = Sim { account: Account::new(config), now: START, host: INGEST, token: String::new() };
    assert_eq!(hostname(&mut sim, "Bearer secret", "OAUTH").0, 200);
    assert_eq!(rejection(&hostname(&mut sim, "Bearer other", "OAUTH")), (401, "390144"));
}

#[test]
fn a_scoped_token_expires_and_is_revoked_and_channels_do_not_mind() {
    let mut sim = Sim::new();
    let token = sim.opened();
    assert_eq!(sim.wait(599_994).append(&token, "1", "{}\n"), next("1_1"));
    let invalid = (401, json!({ "code": "390303", "message": "Invalid OAuth access token." }));
    assert_eq!(sim.wait(1).append("1_1", "2", "{}\n"), invalid);
    sim.authorize();
    assert_eq!(sim.append("1_1", "2", "{}\n"), next("1_2"));
    sim.account.revoke_tokens();
    assert_eq!(sim.append("1_2", "3", "{}\n"), invalid);
    sim.authorize();
    assert_eq!(sim.append("1_2", "3", "{}\n"), next("1_3"));
}

#[test]
fn accept_is_mandatory() {
    let mut sim = Sim::new();
    let answer = sim.send("GET", "/v2/streaming/hostname", &[("authorization", "Bearer x")], "");
    let message = "Unsupported Accept header null is specified.";
    assert_eq!(answer, (400, json!({ "code": "391902", "message": message })));
}

#[test]
fn each_host_has_its_own_routes_but_status_is_answered_by_both() {
    let mut sim = Sim::new();
    sim.opened();
    assert_eq!(rejection(&sim.ask("GET", "/v2/streaming/hostname", "", "")), (404, "NOT_FOUND"));
    assert_eq!(rejection(&sim.ask("GET", "/elsewhere", "", "")), (404, "NOT_FOUND"));
    let names = r#"{"channel_names":["chan_1"]}"#;
    sim.host = ACCOUNT;
    assert_eq!(rejection(&sim.open(&json!({}))), (404, "NOT_FOUND"));
    sim.token = "pat".into();
    let answer = sim.ask("POST", STATUS, "application/json", names);
    assert_eq!(answer.1["channel_statuses"]["chan_1"]["channel_status_code"], "SUCCESS");
    sim.host = INGEST;
    assert_eq!(rejection(&sim.ask("POST", STATUS, "application/json", names)), (401, "390303"));
}

#[test]
fn a_failover_is_410_until_everything_is_rebuilt() {
    let mut sim = Sim::new();
    let token = sim.opened();
    assert_eq!(sim.append(&token, "1", "{\"a\":1}\n"), next("1_1"));
    sim.wait(5000);
    assert_eq!(sim.append("1_1", "2", "{\"a\":2}\n"), next("1_2"));
    sim.account.fail_over(sim.now, Duration::from_secs(60));
    let gone = (410, "ERR_PIPE_FAILED_OVER");
    assert_eq!(rejection(&sim.append("1_2", "3", "{}\n")), gone);
    sim.wait(59_999);
    let old = "sim_account.ingest.snowpipe.test";
    assert_eq!(hostname(&mut sim, "Bearer pat", "OAUTH").1, json!(old));
    assert_eq!(rejection(&sim.append("1_2", "3", "{}\n")), gone);
    sim.wait(1);
    assert_eq!(hostname(&mut sim, "Bearer pat", "OAUTH").1, json!("sim_account-2.ingest.snowpipe.test"));
    assert_eq!(rejection(&sim.append("1_2", "3", "{}\n")), gone);
    assert_eq!(sim.exchange(old).0, 400);
    // The old token is worth nothing at the new host.
    sim.host = SECOND;
    assert_eq!(rejection(&sim.append("1_2", "3", "{}\n")), (401, "390303"));
    sim.authorize();
    assert_eq!(rejection(&sim.append("1_2", "3", "{}\n")), STALE);
    let (status, answer) = sim.open(&json!({ "fail_on_uncommitted_rows": true }));
    assert_eq!((status, &answer["channel_status"]["last_committed_offset_token"]), (200, &json!("1")));
    assert_eq!(sim.wait(10_000).rows(), ["{\"a\":1}"]);
    assert_eq!(sim.view().discarded, 1);
}

#[test]
fn a_failover_may_come_without_a_code() {
    let mut sim = Sim::with(Config { failed_over: FailedOver::Bare, ..Config::default() });
    let token = sim.opened();
    sim.account.fail_over(sim.now, Duration::from_secs(60));
    assert_eq!(sim.append(&token, "1", "{}\n"), (410, json!("")));
    assert_eq!(sim.open(&json!({})), (410, json!("")));
    sim.wait(60_000).host = SECOND;
    sim.authorize();
    assert_eq!(sim.open(&json!({})).0, 200);
}

#[test]
fn on_one_host_a_failover_shows_by_the_token() {
    let mut sim = Sim { host: "127.0.0.1:8080", ..Sim::new() };
    sim.account = Account::new(Config::default()).on_one_host();
    sim.authorize();
    let token = sim.opened();
    sim.account.fail_over(sim.now, Duration::ZERO);
    assert_eq!(rejection(&sim.append(&token, "1", "{}\n")), (410, "ERR_PIPE_FAILED_OVER"));
    sim.authorize();
    assert_eq!(rejection(&sim.append(&token, "1", "{}\n")), STALE);
}

#[test]
fn every_state_of_a_pipe_has_its_rejection() {
    for (state, open, append) in [
        (PipeState::Missing, (404, "ERR_PIPE_DOES_NOT_EXIST_OR_NOT_AUTHORIZED"), None),
        (PipeState::TableMissing, (404, "ERR_TABLE_DOES_NOT_EXIST_NOT_AUTHORIZED"), None),
        (PipeState::Forbidden, (403, "FORBIDDEN"), None),
        (PipeState::Invalid, (409, "ERR_PIPE_IN_INVALID_STATE"), Some((200, ""))),
        (PipeState::FileMode, (200, ""), Some((400, "SWITCH_TO_FILE_MODE"))),
        (PipeState::Misrouted, (404, ""), None),
    ] {
        let mut sim = Sim::new();
        let token = sim.opened();
        sim.account.set_pipe(&path(), state);
        assert_eq!(rejection(&sim.append(&token, "1", "{}\n")), append.unwrap_or(open), "{state:?}");
        assert_eq!(rejection(&sim.open(&json!({}))), open, "{state:?}");
    }
    let mut sim = Sim::new();
    sim.account.set_pipe(&path(), PipeState::Unowned);
    assert_eq!(sim.open(&json!({})), (503, json!("ERR_GENERAL_EXCEPTION_RETRY_REQUEST")));
    // What is not the default pipe of a table has to be made.
    let custom = "/v2/streaming/databases/D/schemas/S/pipes/CUSTOM/channels/c";
    let missing = (404, "ERR_PIPE_DOES_NOT_EXIST_OR_NOT_AUTHORIZED");
    assert_eq!(rejection(&sim.ask("PUT", custom, "application/json", "{}")), missing);
    sim.account.set_pipe(&super::ChannelPath::new("d", "s", "custom", ""), PipeState::Healthy);
    assert_eq!(sim.ask("PUT", custom, "application/json", "{}").0, 200);
}

#[test]
fn errors_have_the_form_that_is_wanted() {
    let forms = [
        (ErrorShape::ErrorCode, json!({ "error_code": "390303", "message": "Invalid OAuth access token." })),
        (ErrorShape::Text, json!("390303")),
        (ErrorShape::StatusCode, json!({ "status_code": 3, "message": "Invalid OAuth access token." })),
    ];
    for (shape, body) in forms {
        let mut sim = Sim::with(Config { error_shape: shape, ..Config::default() });
        sim.token.clear();
        assert_eq!(sim.ask("PUT", CHANNEL, "application/json", "{}"), (401, body));
    }
}

#[test]
fn old_errors_have_numbers() {
    let mut sim = Sim::with(Config { error_shape: ErrorShape::StatusCode, ..Config::default() });
    let token = sim.opened();
    sim.opened();
    let (status, body) = sim.append(&token, "1", "{}\n");
    assert_eq!((status, &body["status_code"]), (400, &json!(4)));
    assert!(body["message"].is_string() && body.get("code").is_none(), "{body}");
    // Those that are numbers already, and those that have no known one.
    let headers = [("host", ACCOUNT), ("accept", "*/*"), ("authorization", "Bearer ")];
    let (status, body) = sim.send("GET", "/v2/streaming/hostname", &headers, "");
    assert_eq!((status, &body["status_code"]), (401, &json!(390_144)));
    sim.account.set_pipe(&path(), PipeState::Missing);
    assert_eq!(sim.open(&json!({})).1["status_code"], 99);
}

#[test]
fn requests_are_remembered_with_what_they_did() {
    let mut sim = Sim::with(Config { history: 2, ..Config::default() });
    let token = sim.opened();
    sim.append(&token, "7", "{}\n{}\n");
    sim.status();
    let requests: Vec<_> = sim.account.requests().collect();
    assert_eq!(requests.len(), 2);
    assert_eq!((requests[0].path.as_str(), requests[0].status, requests[0].rows), (ROWS, 200, 2));
    assert_eq!(requests[0].parameter("endOffsetToken"), Some("7"));
    assert_eq!(requests[0].effect, super::super::Effect::Applied);
    assert_eq!(requests[1].effect, super::super::Effect::Nothing);
}

#[test]
fn a_token_may_be_forbidden_and_the_next_one_not() {
    let mut sim = Sim::new();
    sim.account.forbid_tokens();
    assert_eq!(rejection(&sim.open(&json!({}))), (403, "FORBIDDEN"));
    sim.authorize();
    assert_eq!(sim.open(&json!({})).0, 200);
}
