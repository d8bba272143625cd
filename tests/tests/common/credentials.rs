//! Credentials: Basic, tokens that are renewed, and OAuth 2.0 client credentials against a stand-in token server.

use std::time::Duration;

use pipewright::Secret;
use pipewright::driver::{Basic, Clock as _};
use pipewright::error::{BuildError, ErrorKind, FlowError, ServiceError};
use pipewright::flink::Flink;
use pipewright::flink::cluster::GetOverview;
use pipewright::flow::{Config, Retry};
use pipewright::oauth::{self, AccessToken, ClientCredentials, TokenEndpoint};
use pipewright_mock::Script;

const OVERVIEW: &str = r#"{"taskmanagers":1,"slots-total":4,"slots-available":3,"jobs-running":1,"jobs-finished":0,
    "jobs-cancelled":0,"jobs-failed":0,"flink-version":"2.3.0","flink-commit":"c0f8d1a"}"#;
/// The example of RFC 6749 §2.3.1.
const BASIC: &str = "Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3";

fn goal() -> ClientCredentials {
    ClientCredentials::new("s6BhdRkqt3", Secret::new("7Fjfp0ZBr1KtDRbnfVdmIw"))
}

fn token(script: Script, goal: ClientCredentials) -> Result<AccessToken, FlowError> {
    TokenEndpoint::new("https://login.test/oauth/token".parse().expect("an address"), script).run(goal)
}

fn issued(token: &str, expires_in: u64) -> String {
    format!(r#"{{"access_token":"{token}","token_type":"bearer","expires_in":{expires_in}}}"#)
}

#[test]
fn a_token_request_is_that_of_rfc_6749() {
    let script = Script::new()
        .expect("POST", "/oauth/token")
        .header("authorization", BASIC)
        .header("content-type", "application/x-www-form-urlencoded")
        .body("grant_type=client_credentials&scope=a+b%3Ac&audience=x%26y")
        .reply_json(200, issued("2YotnF", 3600));
    let token = token(script, goal().scope("a b:c").parameter("audience", "x&y")).expect("issued");
    assert_eq!((token.token.expose(), token.expires_in), ("2YotnF", Some(Duration::from_secs(3600))));
    assert!(!format!("{token:?} {:?}", goal()).contains("2YotnF") && !format!("{:?}", goal()).contains("7Fjfp0"));
}

#[test]
fn credentials_go_into_the_body_if_the_server_wants_that() {
    let script = Script::new()
        .expect("POST", "/oauth/token")
        .body("grant_type=client_credentials&client_id=s6BhdRkqt3&client_secret=7Fjfp0ZBr1KtDRbnfVdmIw")
        .reply_json(200, issued("t", 1));
    token(script, goal().credentials_in_body()).expect("issued");
}

#[test]
fn a_busy_token_server_is_asked_again_and_a_rejection_is_final() {
    let script = Script::new()
        .expect("POST", "/oauth/token")
        .reply(503, "busy")
        .expect("POST", "/oauth/token")
        .reply_json(400, r#"{"error":"temporarily_unavailable"}"#)
        .expect("POST", "/oauth/token")
        .reply_json(401, r#"{"error":"invalid_client","error_description":"Unknown client"}"#);
    let error = token(script, goal()).expect_err("rejected");
    let service = error.service().expect("the server's own");
    assert_eq!((service.code(), service.message()), (Some("invalid_client"), "Unknown client"));
    assert!(!service.is_transient());
}

#[test]
fn what_is_no_bearer_token_is_an_error_that_does_not_show_it() {
    for body in [
        r#"{"access_token":"s3cr3t","token_type":"mac"}"#,
        r#"{"access_token":"s3cr3t\n","token_type":"Bearer"}"#,
        r#"{"access_token":"s3cr3t"}"#,
        r#"["s3cr3t"]"#,
    ] {
        let script = Script::new().expect("POST", "/oauth/token").reply_json(200, body);
        let base = "https://login.test/oauth/token".parse().expect("an address");
        let endpoint = TokenEndpoint::with_config(Config::new(base).with_retry(Retry::never()), script);
        let error = endpoint.run(goal()).expect_err(body);
        assert_eq!(error.service().map(ServiceError::kind), Some(ErrorKind::Unreadable), "{error:?}");
        assert!(!format!("{error} {error:?} {error:#?}").contains("s3cr3t"), "{error:?}");
    }
}

#[test]
fn a_secret_is_not_sent_over_plain_http_unless_that_is_allowed() {
    let run = |script, goal| TokenEndpoint::new("http://login.test/t".parse().expect("an address"), script).run(goal);
    let error = run(Script::new(), goal()).expect_err("exposed");
    assert!(matches!(error, FlowError::Build(BuildError::Plaintext { .. })), "{error:?}");
    let script = Script::new().expect("POST", "/t").reply_json(200, issued("t", 1));
    run(script, goal().allow_plaintext()).expect("issued");
}

#[test]
fn a_token_is_kept_renewed_before_its_end_and_replaced_after_401() {
    let script = Script::new()
        .expect("POST", "/oauth/token")
        .reply_json(200, issued("a", 100))
        .expect("GET", "/v1/overview")
        .header("authorization", "Bearer a")
        .reply_json(200, OVERVIEW)
        .expect("GET", "/v1/overview")
        .header("authorization", "Bearer a")
        .reply_json(200, OVERVIEW)
        // Less than a minute before its end.
        .expect("POST", "/oauth/token")
        .reply_json(200, issued("b", 100))
        .expect("GET", "/v1/overview")
        .header("authorization", "Bearer b")
        .reply_json(401, r#"{"errors":["expired"]}"#)
        .expect("POST", "/oauth/token")
        .reply_json(200, issued("c", 100))
        .expect("GET", "/v1/overview")
        .header("authorization", "Bearer c")
        .reply_json(200, OVERVIEW)
        // The renewal fails, and the old token is still valid.
        .expect("POST", "/oauth/token")
        .reply_json(400, r#"{"error":"invalid_grant"}"#)
        .expect("GET", "/v1/overview")
        .header("authorization", "Bearer c")
        .reply_json(200, OVERVIEW)
        // It is over.
        .expect("POST", "/oauth/token")
        .reply_json(400, r#"{"error":"invalid_grant"}"#);
    let endpoint = TokenEndpoint::new("https://login.test/oauth/token".parse().expect("an address"), script.clone());
    let flink = Flink::new("https://flink.test".parse().expect("an address"), script.clone())
        .with_credentials(oauth::credentials(endpoint, goal()));
    let wait = |seconds| script.sleep_until(script.now() + Duration::from_secs(seconds));
    for seconds in [0, 0, 41, 41] {
        wait(seconds);
        flink.call(GetOverview::new()).expect("authorized");
    }
    wait(60);
    let error = flink.call(GetOverview::new()).expect_err("no token");
    assert!(matches!(&error, FlowError::Credential(error) if !error.is_transient()), "{error:?}");
    assert!(error.to_string().contains("invalid_grant"), "{error}");
}

#[test]
fn basic_sends_user_and_password_and_hides_them() {
    let basic = Basic::new("Aladdin", &Secret::new("open sesame")).expect("no colon");
    assert!(!format!("{basic:?}").contains("QWxhZGRp"));
    // The example of RFC 7617 §2.
    let script = Script::new()
        .expect("GET", "/v1/overview")
        .header("authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
        .reply_json(200, OVERVIEW)
        .expect("GET", "/v1/overview")
        .reply_json(401, r#"{"errors":["wrong"]}"#);
    let flink = Flink::new("https://flink.test".parse().expect("an address"), script).with_credentials(basic);
    flink.call(GetOverview::new()).expect("authorized");
    let error = flink.call(GetOverview::new()).expect_err("rejected");
    assert!(error.to_string().contains("rejected user name and password"), "{error}");
    Basic::new("a:b", &Secret::new("c")).expect_err("a colon");
}
