//! A session: one token exchange for all its users, a token for its own host only, and the effects of 401, 403 and 410.

mod flows;
mod many;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderValue, Response, StatusCode};
use pipewright::error::FlowError;
use pipewright::flow::{Config, Exchange, Flow, Goal, Step};
use pipewright::snowpipe::account::TokenType;
use pipewright::snowpipe::channels::{BulkGetChannelStatus, OpenChannelOperation};
use pipewright::snowpipe::session::{Access, Grant, Lease, Session};
use pipewright::snowpipe::{OpenSession, RequestId, SnowpipeAccount};
use pipewright::{Secret, Seed, Timestamp};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const KIND: TokenType = TokenType::ProgrammaticAccessToken;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn account() -> Config<SnowpipeAccount> {
    Config::new("https://acct.snow.test".parse().expect("an address"))
}

fn status() -> BulkGetChannelStatus {
    BulkGetChannelStatus::new("DB", "PUBLIC", "T-STREAMING", RequestId::from_bits(1), vec!["c".to_owned()])
}

/// A token that ends so long after [`NOW`].
fn token(number: u32, life: Duration) -> String {
    let claims = format!(r#"{{"exp":{},"jti":{number}}}"#, (NOW + life).as_millis() / 1000);
    format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims))
}

/// Drives a flow by hand: credentials are `Bearer pat`, exchanges are answered by `answer`.
fn drive<T>(
    flow: &mut impl Flow<Output = T>,
    now: Timestamp,
    mut answer: impl FnMut(&Exchange) -> (u16, String),
) -> Result<T, FlowError> {
    let (mut reply, mut now) = (None, now);
    loop {
        match flow.poll(now, reply.take()) {
            Step::Send(exchange) => {
                let (status, body) = answer(&exchange);
                let mut response = Response::new(body.into());
                *response.status_mut() = StatusCode::from_u16(status).expect("a status");
                reply = Some(exchange.settle(Ok(response)));
            }
            Step::Authorize(request) => {
                assert_eq!(request.authority(), "acct.snow.test", "the session answers for the ingest host itself");
                reply = Some(request.settle(Secret::new("pat").bearer()));
            }
            Step::WaitUntil(at) | Step::InFlight { until: at } => now = at,
            Step::Notice(_) => {}
            Step::Stray(_) => panic!("no other flow"),
            Step::Done(result) => return result,
        }
    }
}

fn lease(session: &Session, now: Timestamp) -> Lease {
    match session.token(now) {
        Access::Renew(lease) => lease,
        other => panic!("{other:?}"),
    }
}

fn pass(session: &Session, now: Timestamp) -> Grant {
    match session.token(now) {
        Access::Ready(pass) => pass,
        other => panic!("{other:?}"),
    }
}

/// Renews with the answers of an account that has one ingest host.
fn renew(lease: Lease, now: Timestamp, token: &str) -> Result<(), FlowError> {
    drive(&mut lease.renew(Seed::new(1)), now, |exchange| match exchange.request().uri().path() {
        "/v2/streaming/hostname" => (200, "My_Host.ingest.snow.test\n".to_owned()),
        "/oauth/token" => {
            let form = exchange.request().body().read().expect("in memory");
            let form = String::from_utf8(form.to_vec()).expect("UTF-8");
            assert!(form.contains("scope=my-host.ingest.snow.test"), "{form}");
            (200, token.to_owned())
        }
        other => panic!("{other}"),
    })
}

fn opened(now: Timestamp, token: &str) -> Session {
    let session = OpenSession::new(KIND).connect_lazy(&account());
    renew(lease(&session, now), now, token).expect("a token");
    session
}

#[test]
fn a_token_is_renewed_before_it_ends_and_used_until_then() {
    // Lives and when they are renewed, as the vendor's SDK does.
    for (life, renewed) in [(3600, 3300), (330, 30), (150, 3), (75, 3)] {
        let session = opened(NOW, &token(1, seconds(life)));
        let at = |after: u64| NOW + seconds(after);
        assert!(matches!(session.token(at(renewed - 1)), Access::Ready(_)), "{life}");
        drop(lease(&session, at(renewed)));
        // Others need not wait before it ends, as long as a flow renews it.
        let lease = lease(&session, at(life - 20));
        assert!(matches!(session.token(at(life - 1)), Access::Ready(_)), "{life}");
        assert!(matches!(session.token(at(life)), Access::Wait(_)), "{life}");
        drop(lease);
    }
}

#[test]
fn a_token_that_says_no_end_or_a_wrong_one_is_renewed_after_five_minutes() {
    for text in ["opaque".to_owned(), token(1, Duration::ZERO)] {
        let session = opened(NOW, &text);
        assert!(matches!(session.token(NOW + seconds(299)), Access::Ready(_)));
        let lease = lease(&session, NOW + seconds(300));
        assert!(matches!(session.token(NOW + seconds(310)), Access::Ready(_)), "used until it is refused");
        drop(lease);
    }
}

#[test]
fn one_lease_at_a_time_and_a_dropped_one_is_free() {
    let session = OpenSession::new(KIND).connect_lazy(&account());
    assert_eq!((session.generation(), session.ingest().is_none()), (0, true));
    let first = lease(&session, NOW);
    let Access::Wait(until) = session.token(NOW) else { panic!("another flow has the lease") };
    assert!(until > NOW && until < NOW + seconds(1));
    drop(first);
    let second = lease(&session, NOW);
    // A holder that does nothing for too long has lost it.
    let late = NOW + seconds(60);
    let third = lease(&session, late);
    renew(second, late, &token(2, seconds(3600))).expect("it is answered");
    assert!(matches!(session.token(late), Access::Wait(_)), "a void lease has no effect");
    renew(third, late, &token(3, seconds(3600))).expect("it is answered");
    let expected = format!("Bearer {}", token(3, seconds(3600)));
    let pass = pass(&session, late);
    assert_eq!(pass.header, expected);
    assert!(pass.header.is_sensitive());
    assert_eq!(pass.config.base().to_string(), "https://my-host.ingest.snow.test");
    assert_eq!((session.generation(), pass.generation), (1, 1));
    let shown = format!("{session:?} {pass:?}");
    assert!(shown.contains("my-host") && !shown.contains("e30"), "{shown}");
}

#[test]
fn a_rejection_of_a_token_that_is_replaced_changes_nothing() {
    let session = opened(NOW, &token(1, seconds(3600)));
    let old = pass(&session, NOW).header;
    session.reject(&HeaderValue::from_static("Bearer other"), NOW);
    assert!(matches!(session.token(NOW), Access::Ready(_)));
    session.reject(&old, NOW);
    // At once, although the last exchange was just now.
    renew(lease(&session, NOW), NOW, &token(2, seconds(3600))).expect("a token");
    session.reject(&old, NOW);
    let new = pass(&session, NOW).header;
    assert_ne!(new, old);
    // The next one too: now those who ask have to wait.
    session.reject(&new, NOW + seconds(1));
    let Access::Wait(until) = session.token(NOW + seconds(1)) else { panic!("no more than every 3 s") };
    assert_eq!(until, NOW + seconds(3));
    drop(lease(&session, until));
}

#[test]
fn a_final_rejection_is_everybodys_for_a_while() {
    let session = OpenSession::new(KIND).connect_lazy(&account());
    let mut flow = lease(&session, NOW).renew(Seed::new(1));
    let rejection = r#"{"code":"390144","message":"JWT token is invalid."}"#;
    drive(&mut flow, NOW, |_| (401, rejection.to_owned())).expect_err("refused");
    for after in 0..3 {
        let Access::Rejected(FlowError::Service(error)) = session.token(NOW + seconds(after)) else {
            panic!("after {after}")
        };
        assert_eq!(error.code(), Some("390144"));
    }
    drop(lease(&session, NOW + seconds(3)));

    // What may pass is only the holder's.
    let session = OpenSession::new(KIND).connect_lazy(&account());
    let flow = lease(&session, NOW).renew(Seed::new(1));
    let mut flow = flow.with_deadline(NOW + seconds(2));
    drive(&mut flow, NOW, |_| (503, String::new())).expect_err("in time");
    drop(lease(&session, NOW + seconds(2)));
}

#[test]
fn a_renewal_that_fails_leaves_the_token_that_is_there() {
    let session = opened(NOW, &token(1, seconds(600)));
    let later = NOW + seconds(400);
    let mut exchanges = 0;
    let mut call = session.call(status()).start(&account(), Seed::new(1));
    let statuses = drive(&mut call, later, |exchange| match exchange.request().uri().path() {
        "/oauth/token" | "/v2/streaming/hostname" => {
            exchanges += 1;
            (401, "{\"code\":\"390144\",\"message\":\"m\"}".to_owned())
        }
        _ => {
            let expected = format!("Bearer {}", token(1, seconds(600)));
            assert_eq!(exchange.request().headers()["authorization"], expected);
            (200, r#"{"channel_statuses":{}}"#.to_owned())
        }
    });
    statuses.expect("the token is still good");
    // Once, and once more with another credential of the account.
    assert_eq!(exchanges, 2);
}

/// Also by a fault that passes, for which no flow waits long, nor every time.
#[test]
fn a_renewal_that_cannot_be_made_leaves_the_token_that_is_there() {
    let session = opened(NOW, &token(1, seconds(600)));
    let mut exchanges = 0;
    for (second, expected) in [(400, true), (415, false), (445, true), (580, true), (599, false)] {
        let later = NOW + seconds(second);
        let before = exchanges;
        let mut call = session.call(status()).start(&account(), Seed::new(u128::from(second)));
        let statuses = drive(&mut call, later, |exchange| match exchange.request().uri().path() {
            "/oauth/token" => {
                exchanges += 1;
                (503, String::new())
            }
            _ => (200, r#"{"channel_statuses":{}}"#.to_owned()),
        });
        statuses.expect("the token is still good");
        assert_eq!(exchanges > before, expected, "{second}");
    }
    assert!(matches!(session.token(NOW + seconds(600)), Access::Renew(_)));
}

/// What was said of an early renewal does not hold for a flow without a token.
#[test]
fn after_a_failover_nobody_waits_for_what_was_early() {
    let session = opened(NOW, &token(1, seconds(600)));
    let later = NOW + seconds(400);
    drive(&mut lease(&session, later).renew(Seed::new(1)), later, |_| (503, String::new())).expect_err("in time");
    let later = later + seconds(11);
    assert!(matches!(session.token(later), Access::Ready(_)));
    session.moved(1);
    drop(lease(&session, later));

    // Nor does a flow that was in the middle of a renewal end.
    let session = opened(NOW, &token(1, seconds(600)));
    let mut renewals = 0;
    let mut call = session.call(status()).start(&account(), Seed::new(1));
    let statuses = drive(&mut call, NOW + seconds(400), |exchange| match exchange.request().uri().path() {
        "/v2/streaming/hostname" => (200, "other.ingest.snow.test".to_owned()),
        "/oauth/token" => {
            renewals += 1;
            if renewals == 1 {
                session.moved(1);
            }
            if renewals < 18 { (503, String::new()) } else { (200, token(2, seconds(9000))) }
        }
        _ => (200, r#"{"channel_statuses":{}}"#.to_owned()),
    });
    statuses.expect("with a token for the next host");
}

/// The oldest answers have a code for it, and no status that says so.
#[test]
fn a_token_that_has_expired_by_a_code_is_replaced() {
    let session = opened(NOW, &token(1, seconds(3600)));
    let (mut asked, mut tokens) = (0, 1);
    let mut call = session.call(status()).start(&account(), Seed::new(1));
    let statuses = drive(&mut call, NOW, |exchange| {
        if exchange.request().uri().path() == "/oauth/token" {
            tokens += 1;
            (200, token(tokens, seconds(3600)))
        } else {
            asked += 1;
            let expired = r#"{"status_code":3,"message":"Authentication token has expired."}"#;
            (200, if asked == 1 { expired } else { r#"{"channel_statuses":{}}"# }.to_owned())
        }
    });
    statuses.expect("with the next token");
    assert_eq!((asked, tokens), (2, 2));
}

#[test]
fn a_host_that_the_account_does_not_know_any_more_is_asked_for_again() {
    let session = opened(NOW, &token(1, seconds(600)));
    let later = NOW + seconds(400);
    let mut flow = lease(&session, later).renew(Seed::new(1));
    drive(&mut flow, later, |exchange| {
        if exchange.request().uri().path() == "/v2/streaming/hostname" {
            (200, "other.ingest.snow.test".to_owned())
        } else {
            let form = exchange.request().body().read().expect("in memory");
            let known = form.windows(7).any(|part| part == b"my-host");
            if known { (400, r#"{"error":"invalid_scope"}"#.to_owned()) } else { (200, token(2, seconds(3600))) }
        }
    })
    .expect("a token for the other host");
    assert_eq!(session.generation(), 2);
    assert_eq!(session.ingest().expect("a host").base().authority(), "other.ingest.snow.test");
}

/// The name of a host may be cut off on its way, or the account fails over between the two questions.
#[test]
fn what_the_account_says_of_a_host_is_believed_when_it_says_so_of_one_just_asked_for() {
    let rejected = (400, r#"{"error":"invalid_scope"}"#);
    let whole = "other.ingest.snow.test";
    // Whether a former host is known, what the account calls its host in turn, and how many exchanges
    // there are.
    let cases: [(bool, &[&str], usize, bool); 5] = [
        (false, &["other.ingest.sn", whole], 2, true),
        (true, &["other.ingest.sn", whole], 3, true),
        (true, &["my-host.ingest.snow.test", whole], 3, true),
        (false, &["other.ingest.sn", "other.ingest.sn"], 2, false),
        (true, &["other.ingest.sn", "other.ingest.sn"], 3, false),
    ];
    for (is_known, names, expected, is_fine) in cases {
        let session = if is_known {
            opened(NOW, &token(1, seconds(600)))
        } else {
            OpenSession::new(KIND).connect_lazy(&account())
        };
        let later = NOW + seconds(700);
        let (mut names, mut exchanges) = (names.iter(), 0);
        let mut flow = lease(&session, later).renew(Seed::new(1));
        let result = drive(&mut flow, later, |exchange| {
            if exchange.request().uri().path() == "/v2/streaming/hostname" {
                return (200, (*names.next().expect("no other question")).to_owned());
            }
            exchanges += 1;
            let form = exchange.request().body().read().expect("in memory");
            let form = String::from_utf8(form.to_vec()).expect("UTF-8");
            if form.contains(&format!("scope={whole}")) {
                (200, token(2, seconds(3600)))
            } else {
                (rejected.0, rejected.1.to_owned())
            }
        });
        assert_eq!((exchanges, names.len()), (expected, 0), "{is_known} {result:?}");
        if is_fine {
            result.expect("a token");
            assert_eq!(session.ingest().expect("a host").base().authority(), whole);
        } else {
            let Err(FlowError::Service(error)) = result else { panic!("{result:?}") };
            assert_eq!(error.code(), Some("invalid_scope"));
            assert!(matches!(session.token(later), Access::Rejected(_)), "for all who ask");
        }
    }
}

#[test]
fn tokens_go_over_https_but_on_this_machine_when_allowed() {
    for (host, allowed, expected) in [
        ("127.0.0.1:8090", true, "http://127.0.0.1:8090"),
        ("127.0.0.1:8090", false, "https://127.0.0.1:8090"),
        ("localhost", true, "http://localhost"),
        ("ingest.snow.test", true, "https://ingest.snow.test"),
    ] {
        let goal = OpenSession::new(KIND);
        let goal = if allowed { goal.allow_plaintext_loopback() } else { goal };
        let session = goal.connect_lazy(&account());
        let mut flow = lease(&session, NOW).renew(Seed::new(1));
        drive(&mut flow, NOW, |exchange| {
            let path = exchange.request().uri().path();
            (200, if path == "/oauth/token" { token(1, seconds(3600)) } else { host.to_owned() })
        })
        .expect("a token");
        assert_eq!(session.ingest().expect("a host").base().to_string(), expected);
    }
}

/// Between two attempts of one call the session moves: the token for the new host does not go to the old host.
#[test]
fn a_token_goes_to_its_own_host_only() {
    for sent_before in [false, true] {
        let session = opened(NOW, &token(1, seconds(3600)));
        let open = OpenChannelOperation::new("DB", "PUBLIC", "T-STREAMING", "c", RequestId::from_bits(1), true);
        let mut call = session.call(open).start(&account(), Seed::new(1));
        let (mut moved, mut tokens) = (false, 1);
        // What the other channels do meanwhile.
        let mut others = |session: &Session| {
            if !std::mem::replace(&mut moved, true) {
                session.moved(1);
            }
        };
        if !sent_before {
            session.reject(&pass(&session, NOW).header, NOW);
        }
        let result = drive(&mut call, NOW + seconds(5), |exchange| {
            let uri = exchange.request().uri();
            match uri.path() {
                "/v2/streaming/hostname" => (200, "other.ingest.snow.test".to_owned()),
                "/oauth/token" => {
                    others(&session);
                    tokens += 1;
                    (200, token(tokens, seconds(3600)))
                }
                _ => {
                    if uri.host() == Some("my-host.ingest.snow.test") {
                        assert_eq!(
                            exchange.request().headers()["authorization"],
                            format!("Bearer {}", token(1, seconds(3600)))
                        );
                        return (401, r#"{"code":"390303","message":"m"}"#.to_owned());
                    }
                    assert_eq!(uri.host(), Some("other.ingest.snow.test"));
                    let status =
                        r#"{"next_continuation_token":"1","channel_status":{"channel_status_code":"SUCCESS"}}"#;
                    (200, status.to_owned())
                }
            }
        });
        match result {
            Ok(_) => assert!(!sent_before),
            Err(FlowError::Credential(error)) => {
                assert!(sent_before && error.to_string().contains("moved"), "{error}");
            }
            Err(other) => panic!("{other}"),
        }
        assert_eq!(session.generation(), 2);
    }
}
