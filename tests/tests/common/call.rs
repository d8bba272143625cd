//! A [`Call`] in each case of its table, and at the edges: waits, deadlines, credentials, stray replies.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use pipewright::error::{Ambiguity, BuildError, CredentialError, Delivery, FlowError, TransportErrorKind};
use pipewright::flow::{Call, Config, Flow, Retry, Step};
use pipewright::operation::Effect::{self, Fenced, Idempotent, Once, Safe};
use pipewright::{Seed, Timestamp};
use pipewright_tests::synthetic_service::Answer::{Fine, Hopeless, Lost, NotSent, Rejected, Silence, Unauthorized};
use pipewright_tests::synthetic_service::{Answer, Event, Hand, Probe, SyntheticService, Trace};

/// Sun, 06 Nov 1994 08:49:37 GMT.
const START: Timestamp = Timestamp::from_millis(784_111_777_000);
const EFFECTS: [Effect; 4] = [Safe, Idempotent, Fenced, Once];

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn retry(attempts: u32) -> Retry {
    Retry::default().with_attempts(attempts)
}

fn config() -> Config<SyntheticService> {
    Config::new("http://127.0.0.1:1".parse().expect("a base")).with_retry(retry(3))
}

fn call(effect: Effect, config: &Config<SyntheticService>) -> Call<Probe> {
    Call::new(Probe(effect), config, Seed::new(1))
}

fn drive(effect: Effect, answers: &[Answer]) -> Trace {
    Hand::new(answers).drive(call(effect, &config()), START)
}

/// Asserts for each effect, in their order: how it ends, and after how many requests.
fn assert_table(answers: &[Answer], expected: [(&str, usize); 4]) {
    for (effect, expected) in EFFECTS.into_iter().zip(expected) {
        let trace = drive(effect, answers);
        assert_eq!((trace.verdict(), trace.sent()), expected, "{effect:?} after {answers:?}: {trace:?}");
    }
}

// ---- the table, row by row: Safe, Idempotent, Fenced, Once -------------------------------------------------------

#[test]
fn a_call_that_was_not_sent_is_sent_again_for_every_effect() {
    assert_table(&[NotSent, Fine], [("fine", 2); 4]);
    assert_table(&[NotSent], [("transport", 3); 4]);
}

#[test]
fn a_call_without_an_answer_is_ambiguous_for_an_effect_that_happens_once() {
    for answer in [Lost, Silence] {
        assert_table(&[answer.clone(), Fine], [("fine", 2), ("fine", 2), ("fine", 2), ("ambiguous", 1)]);
        assert_table(&[NotSent, answer, Fine], [("fine", 3), ("fine", 3), ("fine", 3), ("ambiguous", 2)]);
    }
}

#[test]
fn rejected_for_now_and_not_applied() {
    assert_table(&[Answer::rejected("nt"), Fine], [("fine", 2); 4]);
    assert_table(&[Answer::rejected("nt")], [("service", 3); 4]);
}

#[test]
fn rejected_for_now_and_perhaps_applied() {
    let answers = [Answer::rejected("?t"), Fine];
    assert_table(&answers, [("fine", 2), ("fine", 2), ("fine", 2), ("ambiguous", 1)]);
}

/// A response that says that it was done leaves no doubt, whatever came before, and is not asked again.
#[test]
fn rejected_and_applied() {
    for worth in ["yf", "yt"] {
        assert_table(&[Answer::rejected(worth), Fine], [("service", 1); 4]);
        let answers = [Lost, Answer::rejected(worth)];
        assert_table(&answers, [("service", 2), ("service", 2), ("service", 2), ("ambiguous", 1)]);
    }
}

#[test]
fn rejected_for_good_and_not_applied() {
    assert_table(&[Answer::rejected("nf")], [("service", 1); 4]);
    assert_table(&[NotSent, Answer::rejected("nf")], [("service", 2); 4]);
    for unanswered in [Lost, Silence, Answer::rejected("?t")] {
        let answers = [unanswered, Answer::rejected("nf")];
        assert_table(&answers, [("service", 2), ("ambiguous", 2), ("ambiguous", 2), ("ambiguous", 1)]);
    }
}

#[test]
fn rejected_for_good_and_perhaps_applied() {
    let answers = [Answer::rejected("?f")];
    assert_table(&answers, [("service", 1), ("ambiguous", 1), ("ambiguous", 1), ("ambiguous", 1)]);
}

#[test]
fn attempts_used_up_after_an_unanswered_one() {
    let ends = |safe| [(safe, 3), ("ambiguous", 3), ("ambiguous", 3), ("ambiguous", 1)];
    assert_table(&[Lost], ends("transport"));
    assert_table(&[Silence], ends("transport"));
    assert_table(&[Lost, NotSent], ends("transport"));
    assert_table(&[Lost, Answer::rejected("nt")], ends("service"));
    assert_table(&[Answer::rejected("?t")], ends("service"));
}

#[test]
fn time_used_up_after_an_unanswered_attempt() {
    for (answers, verdicts) in [
        (vec![Lost, Silence], ["deadline", "ambiguous", "ambiguous", "ambiguous"]),
        (vec![Silence], ["deadline", "ambiguous", "ambiguous", "ambiguous"]),
        (vec![Answer::Rejected("nt", Some("60".into()))], ["deadline"; 4]),
    ] {
        for (effect, verdict) in EFFECTS.into_iter().zip(verdicts) {
            let deadline = START + seconds(20);
            let trace = Hand::new(&*answers).drive(call(effect, &config()).with_deadline(deadline), START);
            assert_eq!(trace.verdict(), verdict, "{effect:?}: {trace:?}");
            assert!(trace.end <= deadline);
        }
    }
}

#[test]
fn a_transport_that_cannot_is_not_asked_again() {
    for kind in [TransportErrorKind::TooLarge, TransportErrorKind::Unsupported] {
        assert_table(&[Hopeless(kind, Delivery::NotSent)], [("transport", 1); 4]);
        let ends = [("transport", 1), ("ambiguous", 1), ("ambiguous", 1), ("ambiguous", 1)];
        assert_table(&[Hopeless(kind, Delivery::Unknown)], ends);
    }
}

#[test]
fn an_ambiguity_says_why() {
    for (answer, unanswered, cause) in [(Lost, true, "it broke"), (Answer::rejected("?f"), false, "refused ?f")] {
        let error = drive(Once, &[answer]).result.expect_err("ambiguous");
        let FlowError::Ambiguous(Ambiguity { operation: "probe", unanswered: found, .. }) = &error else {
            panic!("{error:?}");
        };
        assert_eq!(*found, unanswered, "{error:?}");
        let text = error.to_string();
        assert!(text.starts_with("probe: the outcome is unknown: ") && text.contains(cause), "{text}");
        assert!(
            text.ends_with("; repeat it only if it was not carried out, or if a second execution is harmless"),
            "{text}"
        );
    }
}

// ---- waits -------------------------------------------------------------------------------------------------------

#[test]
fn the_longest_wait_doubles_up_to_the_cap() {
    let retry = Retry::default();
    let waits: Vec<_> = (1..=9).map(|failed| retry.longest_wait(failed).as_millis()).collect();
    assert_eq!(waits, [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    assert_eq!(retry.longest_wait(u32::MAX), retry.cap);
}

#[test]
fn waits_are_spread_over_their_range() {
    let config = config().with_retry(retry(2));
    let mut quarters = [0; 4];
    for seed in 0..400 {
        let trace = Hand::new([NotSent]).drive(Call::new(Probe(Safe), &config, Seed::new(seed)), START);
        // No wait at all is a wait, too: of less than a microsecond.
        let wait = trace.waits().first().map_or(Duration::ZERO, |(from, to)| to.since(*from));
        assert!(wait <= Duration::from_millis(50), "{wait:?}");
        quarters[usize::try_from(wait.as_micros() * 4 / 50_001).expect("small")] += 1;
    }
    assert!(quarters.iter().all(|count| *count > 60), "{quarters:?}");
}

#[test]
fn the_same_seed_is_the_same_call() {
    let trace = |seed| {
        let call = Call::new(Probe(Safe), &config(), Seed::new(seed));
        Hand::new([NotSent, NotSent, Fine]).drive(call, START).events
    };
    assert_eq!(trace(5), trace(5));
    assert_ne!(trace(5), trace(6));
}

#[test]
fn retry_after_is_waited_for() {
    for (value, wait) in [
        ("7", 7),
        ("300", 300),
        (" 7 ", 7),
        ("Sun, 06 Nov 1994 08:49:47 GMT", 10),
        ("Sunday, 06-Nov-94 08:49:47 GMT", 10),
        ("Sun Nov  6 08:49:47 1994", 10),
    ] {
        let trace = drive(Once, &[Rejected("nt", Some(value.into())), Fine]);
        assert_eq!(trace.verdict(), "fine", "{value}");
        assert_eq!(trace.waits(), [(START, START + seconds(wait))], "{value}");
    }
    for nothing in ["0", "soon", "", "-1", "1.5", "Sun, 06 Nov 1994 08:49:30 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"] {
        let trace = drive(Once, &[Rejected("nt", Some(nothing.into())), Fine]);
        assert_eq!(trace.verdict(), "fine", "{nothing}");
        assert!(trace.end <= START + Duration::from_millis(50), "{nothing}: {trace:?}");
    }
}

#[test]
fn a_retry_after_that_is_too_long_ends_the_call() {
    let endless = "99999999999999999999999999";
    for value in ["301", endless, "Sun, 06 Nov 1994 08:54:38 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"] {
        for effect in EFFECTS {
            let trace = drive(effect, &[Rejected("nt", Some(value.into())), Fine]);
            assert_eq!((trace.verdict(), trace.sent(), trace.end), ("service", 1, START), "{value}");
            let error = trace.result.expect_err("refused");
            assert!(error.service().expect("the refusal").retry_after().is_some());
            let text = error.to_string();
            let told = text.contains("not sent again") && text.contains("Retry::longest_retry_after is 300s");
            assert!(told && (value != "301" || text.contains("allows a retry at 1994-11-06T08:54:38.000Z")), "{text}");
        }
        let trace = drive(Idempotent, &[Lost, Rejected("nt", Some(value.into()))]);
        assert_eq!((trace.verdict(), trace.sent()), ("ambiguous", 2), "{value}");
    }
}

#[test]
fn a_retry_after_of_a_final_rejection_changes_nothing() {
    let trace = drive(Safe, &[Rejected("nf", Some("7".into())), Fine]);
    assert_eq!((trace.verdict(), trace.sent(), trace.end), ("service", 1, START));
}

// ---- deadlines ---------------------------------------------------------------------------------------------------

#[test]
fn nothing_is_sent_after_the_deadline() {
    for deadline in [START, Timestamp::UNIX_EPOCH] {
        let trace = Hand::new([Fine]).drive(call(Safe, &config()).with_deadline(deadline), START);
        assert_eq!((trace.verdict(), trace.sent()), ("deadline", 0));
    }
}

#[test]
fn a_wait_is_cut_at_the_deadline() {
    let deadline = START + seconds(5);
    let answers = [Rejected("nt", Some("60".into())), Fine];
    let trace = Hand::new(answers).drive(call(Once, &config()).with_deadline(deadline), START);
    assert_eq!((trace.waits(), trace.end), (vec![(START, deadline)], deadline));
    let text = trace.result.expect_err("out of time").to_string();
    assert_eq!(
        text,
        "the deadline 1994-11-06T08:49:42.000Z passed while waiting for probe; last error: probe: status 503: refused nt"
    );
}

#[test]
fn an_answer_is_waited_for_until_the_deadline_at_most() {
    let deadline = START + seconds(5);
    let mut call = call(Safe, &config()).with_deadline(deadline);
    let mut seen = Vec::new();
    let exchange = loop {
        match call.poll(START, None) {
            Step::Send(exchange) => break exchange,
            Step::Notice(notice) => seen.push(notice.to_string()),
            step => panic!("{step:?}"),
        }
    };
    assert_eq!((exchange.timeout(), seen), (seconds(5), vec!["sending probe".to_owned()]));
    assert!(matches!(call.poll(START, None), Step::InFlight { until } if until == deadline));
    // What is there at the last moment counts.
    let reply = exchange.settle(Ok(http::Response::new("fine".into())));
    assert!(matches!(call.poll(deadline, Some(reply)), Step::Notice(_)));
    assert!(matches!(call.poll(deadline, None), Step::Done(Ok(text)) if text == "fine"));
}

#[test]
fn a_clock_that_is_set_back_changes_nothing() {
    let mut call = call(Safe, &config()).with_deadline(START + seconds(5));
    assert!(matches!(call.poll(START, None), Step::Notice(_)));
    let Step::Send(exchange) = call.poll(Timestamp::UNIX_EPOCH, None) else { panic!("no request") };
    assert_eq!(exchange.timeout(), seconds(5));
    assert!(matches!(call.poll(Timestamp::UNIX_EPOCH, None), Step::InFlight { until } if until == START + seconds(5)));
}

// ---- what an exchange says ---------------------------------------------------------------------------------------

#[test]
fn an_exchange_says_how_it_wants_to_be_sent() {
    for effect in EFFECTS {
        let config = config().with_body_limit(77);
        let mut call = call(effect, &config);
        assert!(matches!(call.poll(START, None), Step::Notice(_)));
        let Step::Send(exchange) = call.poll(START, None) else { panic!("no request") };
        assert_eq!(exchange.wants_fresh_connection(), effect == Once, "{effect:?}");
        assert_eq!((exchange.body_limit(), exchange.timeout()), (77, seconds(30)));
        assert_eq!((exchange.info().name, exchange.is_streaming()), ("probe", false));
        assert_eq!(exchange.request().uri(), "http://127.0.0.1:1/probe?attempt=0");
    }
}

#[test]
fn notices_tell_the_story() {
    let text = drive(Safe, &[NotSent, Answer::rejected("nt"), Fine]).notices;
    let lines: Vec<_> = text.lines().collect();
    let [first, again, second, once_more, third, end] = lines[..] else { panic!("{text}") };
    assert_eq!((first, second, third), ("sending probe", "sending probe, attempt 2", "sending probe, attempt 3"));
    assert!(again.starts_with("probe again at 1994-11-06T08:49:37.0") && again.contains("the request was not sent"));
    assert!(once_more.contains("probe: status 503: refused nt"), "{once_more}");
    assert_eq!(end, "probe answered 200");
}

// ---- credentials -------------------------------------------------------------------------------------------------

fn authorized(effect: Effect) -> Call<Probe> {
    call(effect, &config().with_credentials())
}

fn sent_with(trace: &Trace) -> Vec<&str> {
    let sent = trace.events.iter().filter_map(|event| match event {
        Event::Sent { authorization, .. } => Some(authorization.as_deref().unwrap_or("none")),
        _ => None,
    });
    sent.collect()
}

#[test]
fn a_credential_is_asked_for_again_after_a_wait_because_it_may_have_expired() {
    let hand = Hand::new([NotSent, Answer::rejected("nt"), Fine]).with_credentials(&["one", "two", "three"]);
    let trace = hand.drive(authorized(Once), START);
    assert_eq!((trace.verdict(), trace.asked()), ("fine", vec![None; 3]));
    assert_eq!(sent_with(&trace), ["one", "two", "three"]);
}

#[test]
fn a_rejected_credential_is_replaced_once() {
    for effect in EFFECTS {
        let hand = Hand::new([Unauthorized, Fine]).with_credentials(&["one", "two"]);
        let trace = hand.drive(authorized(effect), START);
        assert_eq!((trace.verdict(), trace.asked(), trace.end), ("fine", vec![None, Some("one")], START));
        assert_eq!(sent_with(&trace), ["one", "two"]);

        let hand = Hand::new([Unauthorized, Unauthorized, Fine]).with_credentials(&["one", "two", "three"]);
        let trace = hand.drive(authorized(effect), START);
        assert_eq!((trace.verdict(), trace.asked()), ("service", vec![None, Some("one")]), "{effect:?}");
    }
}

#[test]
fn a_credential_that_was_good_once_may_be_rejected_later() {
    let hand = Hand::new([Unauthorized, Answer::rejected("nt"), Unauthorized, Fine]);
    let hand = hand.with_credentials(&["one", "two", "two", "three"]);
    let trace = hand.drive(call(Once, &config().with_retry(retry(9)).with_credentials()), START);
    assert_eq!((trace.verdict(), trace.asked()), ("fine", vec![None, Some("one"), None, Some("two")]));
    assert_eq!(sent_with(&trace), ["one", "two", "two", "three"]);
}

#[test]
fn a_401_without_credentials_is_an_error() {
    assert_table(&[Unauthorized, Fine], [("service", 1); 4]);
}

/// One attempt, and still the credential is replaced: a rejected request was not carried out.
#[test]
fn replacing_a_credential_is_no_retry() {
    let call = call(Once, &config().with_retry(Retry::never()).with_credentials());
    let trace =
        Hand::new([Unauthorized, Answer::rejected("nt"), Fine]).with_credentials(&["one", "two"]).drive(call, START);
    assert_eq!((trace.verdict(), trace.sent()), ("service", 2));
}

#[test]
fn no_credential_is_an_error_before_anything_is_sent() {
    let mut hand = Hand::new([Fine]);
    hand.credentials = vec![Some(Err(CredentialError::permanent("the file is gone")))];
    let trace = hand.drive(authorized(Once), START);
    assert_eq!((trace.verdict(), trace.sent(), trace.asked().len()), ("credential", 0, 1));
    assert_eq!(trace.result.expect_err("none").to_string(), "no credential: the file is gone");
}

#[test]
fn credentials_that_come_later_are_waited_for() {
    let later = || Some(Err(CredentialError::transient("the server is busy")));
    let mut hand = Hand::new([Fine]);
    hand.credentials = vec![later(), None, Some(Ok("one"))];
    let trace = hand.drive(authorized(Once), START);
    assert_eq!((trace.verdict(), trace.sent(), trace.asked()), ("fine", 1, vec![None; 3]));
    assert!(trace.end >= START + seconds(30), "the second request was not answered");

    hand.credentials = vec![later()];
    let trace = hand.drive(authorized(Once), START);
    assert_eq!((trace.verdict(), trace.sent(), trace.asked()), ("credential", 0, vec![None; 3]));
    hand.credentials = vec![None];
    let trace = hand.drive(authorized(Once), START);
    assert_eq!((trace.verdict(), trace.sent(), trace.asked()), ("credential", 0, vec![None; 3]));
}

#[test]
fn a_missing_credential_does_not_hide_an_unanswered_attempt() {
    let mut hand = Hand::new([Lost, Unauthorized, Fine]);
    hand.credentials = vec![Some(Ok("one")), Some(Ok("one")), Some(Err(CredentialError::permanent("gone")))];
    for (effect, verdict) in [(Safe, "credential"), (Idempotent, "ambiguous"), (Fenced, "ambiguous")] {
        assert_eq!(hand.drive(authorized(effect), START).verdict(), verdict);
    }
}

// ---- plain http --------------------------------------------------------------------------------------------------

#[test]
fn credentials_do_not_travel_in_the_clear() {
    let at = |base: &str| Config::<SyntheticService>::new(base.parse().expect("a base")).with_retry(retry(3));
    let with = |name, config: Config<SyntheticService>| {
        config.with_headers(HeaderMap::from_iter([(name, HeaderValue::from_static("x"))]))
    };
    let exposed = "http://flink.example:8081/a";
    for config in [
        at(exposed).with_credentials(),
        with(header::AUTHORIZATION, at(exposed)),
        with(header::PROXY_AUTHORIZATION, at(exposed)),
        with(header::COOKIE, at(exposed)),
        at("http://10.0.0.1").with_credentials(),
        at("http://localhost.example").with_credentials(),
    ] {
        for effect in EFFECTS {
            let trace = Hand::new([Fine]).with_credentials(&["one"]).drive(call(effect, &config), START);
            assert_eq!((trace.verdict(), &*trace.events, &*trace.notices), ("build", &[][..], ""), "nothing happens");
            let authority = config.base().authority().to_string();
            let expected = BuildError::Plaintext { authority };
            assert!(matches!(trace.result, Err(FlowError::Build(error)) if error == expected));
        }
    }
    for config in [
        at(exposed),
        with(header::ACCEPT, at(exposed)),
        at(exposed).with_credentials().allow_plaintext_credentials(),
        with(header::COOKIE, at(exposed)).allow_plaintext_credentials(),
        at("https://flink.example").with_credentials(),
        at("http://localhost:8081").with_credentials(),
        at("http://127.0.0.9").with_credentials(),
        with(header::AUTHORIZATION, at("http://[::1]:8081")),
    ] {
        let trace = Hand::new([Fine]).with_credentials(&["one"]).drive(call(Once, &config), START);
        assert_eq!((trace.verdict(), trace.sent()), ("fine", 1), "{config:?}");
    }
}
