//! A [`Call`] to an address that has never answered, and to an address that has answered.

use std::time::Duration;

use pipewright::error::{Delivery, FlowError, TransportErrorKind};
use pipewright::flow::{Call, Config, Flow, Retry, Step};
use pipewright::operation::Effect::{self, Fenced, Idempotent, Once, Safe};
use pipewright::{Seed, Timestamp};
use pipewright_tests::synthetic_service::Answer::{Fine, Hopeless, Lost, NotSent, Proxy, Unauthorized};
use pipewright_tests::synthetic_service::{Answer, Hand, Probe, SyntheticService, Trace};

const START: Timestamp = Timestamp::from_millis(784_111_777_000);
const EFFECTS: [Effect; 4] = [Safe, Idempotent, Fenced, Once];
const NO_TLS: Answer = Hopeless(TransportErrorKind::Tls, Delivery::NotSent);
const NO_NAME: Answer = Hopeless(TransportErrorKind::Resolve, Delivery::NotSent);

fn config() -> Config<SyntheticService> {
    Config::new("https://lab.example".parse().expect("a base"))
}

fn drive(config: &Config<SyntheticService>, effect: Effect, answers: &[Answer]) -> Trace {
    Hand::new(answers).drive(Call::new(Probe(effect), config, Seed::new(1)), START)
}

/// A config whose address has given this answer.
fn after(answer: Answer) -> Config<SyntheticService> {
    let config = config();
    let _ = drive(&config, Once, &[answer]);
    config
}

#[test]
fn a_proxys_401_403_and_404_end_a_first_request() {
    for status in [401, 403, 404] {
        for effect in EFFECTS {
            let trace = drive(&config(), effect, &[Proxy(status), Fine]);
            assert_eq!((trace.verdict(), trace.sent()), ("service", 1), "{status}");
            // Another proxy's page is no sign that the service is there.
            let trace = drive(&after(Proxy(status)), effect, &[Proxy(status), Fine]);
            assert_eq!((trace.verdict(), trace.sent()), ("service", 1), "{status}");
        }
    }
}

#[test]
fn a_proxys_401_403_and_404_pass_once_the_service_has_answered() {
    for answered in [Fine, Answer::rejected("nf"), Unauthorized] {
        for status in [401, 403, 404] {
            for effect in EFFECTS {
                let trace = drive(&after(answered.clone()), effect, &[Proxy(status), Proxy(status), Fine]);
                assert_eq!((trace.verdict(), trace.sent()), ("fine", 3), "{status} after {answered:?}");
            }
        }
    }
    // An answer to an earlier attempt of the same call is as good.
    let trace = drive(&config(), Safe, &[Answer::rejected("nt"), Proxy(404), Fine]);
    assert_eq!((trace.verdict(), trace.sent()), ("fine", 3));
}

#[test]
fn a_proxys_404_does_not_pass_for_ever() {
    for effect in EFFECTS {
        let trace = drive(&after(Fine), effect, &[Proxy(404)]);
        assert_eq!((trace.verdict(), trace.sent()), ("service", 20), "{effect:?}");
        assert!(trace.end.since(START) < Duration::from_secs(90), "{trace:?}");
    }
}

#[test]
fn a_proxys_400_and_405_do_not_pass() {
    for status in [400, 405, 410] {
        let trace = drive(&after(Fine), Safe, &[Proxy(status), Fine]);
        assert_eq!((trace.verdict(), trace.sent()), ("service", 1), "{status}");
    }
}

#[test]
fn a_proxys_401_is_answered_with_another_credential_first() {
    let config = after(Fine).with_credentials();
    let call = Call::new(Probe(Once), &config, Seed::new(1));
    let hand = Hand::new([Proxy(401), Proxy(401), Fine]).with_credentials(&["one", "two", "three"]);
    let trace = hand.drive(call, START);
    assert_eq!((trace.verdict(), trace.asked()), ("fine", vec![None, Some("one"), None]));
}

#[test]
fn an_address_that_nobody_listens_on_fails_within_seconds() {
    for answer in [NotSent, NO_NAME] {
        for effect in EFFECTS {
            let trace = drive(&config(), effect, std::slice::from_ref(&answer));
            assert_eq!((trace.verdict(), trace.sent()), ("transport", 8), "{answer:?}");
            assert!(trace.end.since(START) < Duration::from_secs(7), "{:?}", trace.end.since(START));
            let text = trace.result.expect_err("no server").to_string();
            assert!(text.contains("nothing has answered at this address yet; check http or https"), "{text}");
        }
        // A server that answered before is only away for a while.
        for answered in [Fine, Answer::rejected("nf"), Proxy(502)] {
            let trace = drive(&after(answered), Once, std::slice::from_ref(&answer));
            assert_eq!(trace.sent(), 20, "{answer:?}");
        }
    }
}

#[test]
fn the_attempts_to_connect_can_be_raised_for_a_service_that_is_being_started() {
    let mut retry = Retry::default();
    retry.connect_attempts = u32::MAX;
    let trace = drive(&config().with_retry(retry), Safe, &[NotSent]);
    assert_eq!(trace.sent(), 20);
}

#[test]
fn a_failed_handshake_is_final_unless_tls_has_worked_before() {
    for effect in EFFECTS {
        let trace = drive(&config(), effect, &[NO_TLS, Fine]);
        assert_eq!((trace.verdict(), trace.sent(), trace.end), ("transport", 1, START));
        for answered in [Fine, Answer::rejected("nf"), Proxy(502)] {
            let trace = drive(&after(answered), effect, &[NO_TLS, Fine]);
            assert_eq!((trace.verdict(), trace.sent()), ("fine", 2));
        }
    }
}

/// Which requests of a call want a connection of their own.
fn fresh(config: &Config<SyntheticService>, effect: Effect, answers: &[Answer]) -> Vec<bool> {
    let mut call = Call::new(Probe(effect), config, Seed::new(1));
    let (mut now, mut reply, mut answers, mut fresh) = (START, None, answers.iter(), Vec::new());
    loop {
        match call.poll(now, reply.take()) {
            Step::Send(exchange) => {
                fresh.push(exchange.wants_fresh_connection());
                let result = answers.next().expect("an answer").clone().result();
                reply = result.map(|result| exchange.settle(result));
            }
            Step::WaitUntil(at) | Step::InFlight { until: at } => now = at,
            Step::Notice(_) => {}
            Step::Done(_) => return fresh,
            step => panic!("{step:?}"),
        }
    }
}

#[test]
fn a_repetition_after_no_answer_wants_a_fresh_connection() {
    for effect in [Safe, Idempotent, Fenced] {
        for silent in [Lost, Answer::Silence, NotSent] {
            let answers = [silent.clone(), silent.clone(), Answer::rejected("nt"), Fine];
            assert_eq!(fresh(&config(), effect, &answers), [false, true, true, false], "{effect:?} after {silent:?}");
        }
        assert_eq!(fresh(&config(), effect, &[Answer::rejected("?t"), Fine]), [false, false], "{effect:?}");
    }
}

/// As after a request that is not repeated: the flow looks up the outcome, by a call of its own.
#[test]
fn the_next_call_after_one_without_an_answer_wants_a_fresh_connection() {
    let config = config();
    assert_eq!(fresh(&config, Once, &[Lost]), [true]);
    assert_eq!(fresh(&config.clone(), Safe, &[Fine]), [true]);
    assert_eq!(fresh(&config, Safe, &[Fine]), [false]);
}

#[test]
fn an_error_without_an_answer_keeps_its_kind() {
    let Err(FlowError::Transport(error)) = drive(&config(), Safe, &[NO_TLS]).result else { panic!("no TLS") };
    assert_eq!((error.kind(), error.delivery()), (TransportErrorKind::Tls, Delivery::NotSent));
}
