//! Properties of every [`Call`], with random policies, effects, answers, latencies and deadlines.

use std::time::Duration;

use pipewright::error::CredentialError;
use pipewright::error::{Delivery, TransportErrorKind};
use pipewright::flow::{Call, Config, Retry};
use pipewright::operation::Effect;
use pipewright::{Seed, Timestamp};
use pipewright_tests::synthetic_service::{Answer, Event, Hand, Probe, SyntheticService, Trace};
use proptest::prelude::*;

const START: Timestamp = Timestamp::from_millis(784_111_777_000);

fn millis(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_millis)
}

fn retry() -> impl Strategy<Value = Retry> {
    (1_u32..7, millis(0..300), millis(0..1000), millis(1..5000), millis(0..20_000)).prop_map(
        |(attempts, base, cap, timeout, longest_retry_after)| {
            let mut retry = Retry::default();
            retry.attempts = attempts;
            (retry.base, retry.cap, retry.attempt_timeout) = (base, cap, timeout);
            retry.longest_retry_after = longest_retry_after;
            retry
        },
    )
}

fn answer() -> impl Strategy<Value = Answer> {
    let retry_after = proptest::option::of((0_u32..30).prop_map(|seconds| seconds.to_string()));
    let worth = proptest::sample::select(vec!["nt", "nt", "nt", "?t", "yt", "nf", "?f", "yf"]);
    prop_oneof![
        1 => Just(Answer::Fine),
        4 => Just(Answer::NotSent),
        2 => Just(Answer::Lost),
        2 => Just(Answer::Silence),
        2 => Just(Answer::Unauthorized),
        6 => (worth, retry_after).prop_map(|(worth, after)| Answer::Rejected(worth, after)),
        1 => Just(Answer::Hopeless(TransportErrorKind::TooLarge, Delivery::Unknown)),
    ]
}

type Credential = Option<Result<&'static str, CredentialError>>;

fn credential() -> impl Strategy<Value = Credential> {
    prop_oneof![
        6 => proptest::sample::select(vec!["one", "two", "three"]).prop_map(|credential| Some(Ok(credential))),
        1 => Just(None),
        1 => Just(Some(Err(CredentialError::transient("later")))),
        1 => Just(Some(Err(CredentialError::permanent("never")))),
    ]
}

fn hand() -> impl Strategy<Value = Hand> {
    let answers = proptest::collection::vec(answer(), 1..10);
    let credentials = proptest::collection::vec(credential(), 1..6);
    (answers, credentials, millis(0..2000)).prop_map(|(answers, credentials, latency)| Hand {
        answers,
        credentials,
        latency,
        meddles: false,
    })
}

#[derive(Clone, Debug)]
struct Setting {
    retry: Retry,
    effect: Effect,
    seed: u128,
    deadline: Option<Duration>,
    authorized: bool,
}

fn setting() -> impl Strategy<Value = Setting> {
    let effect = proptest::sample::select(vec![Effect::Safe, Effect::Idempotent, Effect::Fenced, Effect::Once]);
    (retry(), effect, any::<u128>(), proptest::option::of(millis(0..20_000)), any::<bool>())
        .prop_map(|(retry, effect, seed, deadline, authorized)| Setting { retry, effect, seed, deadline, authorized })
}

impl Setting {
    fn call(&self) -> Call<Probe> {
        let config =
            Config::<SyntheticService>::new("https://h".parse().expect("a base")).with_retry(self.retry.clone());
        let config = if self.authorized { config.with_credentials() } else { config };
        Call::new(Probe(self.effect), &config, Seed::new(self.seed)).with_deadline(self.deadline())
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.deadline.map(|after| START + after)
    }
}

/// The answers that were given, by order of the requests.
fn given(hand: &Hand, trace: &Trace) -> Vec<Answer> {
    let last = hand.answers.last().cloned().expect("at least one");
    hand.answers.iter().cloned().chain(std::iter::repeat(last)).take(trace.sent()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_call_keeps_its_promises(setting in setting(), hand in hand()) {
        let trace = hand.drive(setting.call(), START);
        let retry = &setting.retry;
        let answers = given(&hand, &trace);

        // Not too often: only a credential's replacement may come on top.
        let attempts = retry.attempts as usize;
        let on_top = usize::from(setting.authorized && answers.contains(&Answer::Unauthorized));
        prop_assert!(trace.sent() <= attempts + on_top, "{} requests", trace.sent());

        // Never again what must not be repeated.
        if setting.effect == Effect::Once {
            let uncertain = answers.iter().position(Answer::is_uncertain);
            prop_assert!(uncertain.is_none_or(|at| at + 1 == answers.len()), "sent again after {:?}", answers);
        }

        // An error says that the outcome is unknown if, and only if, it is.
        let any = answers.iter().any(Answer::is_uncertain);
        match trace.verdict() {
            "ambiguous" => prop_assert!(any && setting.effect != Effect::Safe),
            "transport" | "deadline" | "credential" => prop_assert!(!any || setting.effect == Effect::Safe),
            "fine" => prop_assert_eq!(answers.last(), Some(&Answer::Fine)),
            "service" => {
                prop_assert!(matches!(answers.last(), Some(Answer::Rejected(..) | Answer::Unauthorized)));
                let says_done = matches!(answers.last(), Some(Answer::Rejected(worth, _)) if worth.starts_with('y'));
                prop_assert!(!any || says_done || matches!(setting.effect, Effect::Safe | Effect::Idempotent));
            }
            other => prop_assert!(false, "{other}"),
        }

        // All in time.
        if let Some(deadline) = setting.deadline() {
            prop_assert!(trace.waits().iter().all(|(_, to)| *to <= deadline));
            prop_assert!(trace.end <= deadline);
            let is_late = |event: &Event| matches!(event, Event::Sent { at, .. } if *at >= deadline);
            prop_assert!(!trace.events.iter().any(is_late));
        }

        prop_assert!(setting.authorized || trace.asked().is_empty());
    }

    /// How long it waits, after how many failures, and for which `Retry-After`.
    #[test]
    fn waits_are_within_bounds(setting in setting(), answers in proptest::collection::vec(answer(), 1..10)) {
        let setting = Setting { deadline: None, authorized: false, ..setting };
        let trace = Hand::new(answers.clone()).drive(setting.call(), START);
        let hand = Hand::new(answers);
        let mut failed = 0;
        let mut given = given(&hand, &trace).into_iter();
        let mut last = None;
        for event in &trace.events {
            match event {
                Event::Sent { .. } => {
                    failed += 1;
                    last = given.next();
                }
                Event::Waited { from, to } => {
                    let wait = to.since(*from);
                    let longest = setting.retry.longest_wait(failed);
                    match &last {
                        Some(Answer::Rejected(_, Some(seconds))) => {
                            let asked = Duration::from_secs(seconds.parse().expect("a number"));
                            prop_assert!(asked <= setting.retry.longest_retry_after);
                            prop_assert!(wait >= asked && wait <= asked.max(longest), "{wait:?} for {asked:?}");
                        }
                        _ => prop_assert!(wait <= longest, "{wait:?} after {failed} failures"),
                    }
                }
                Event::Asked { .. } => prop_assert!(false, "no credentials here"),
            }
        }
    }

    #[test]
    fn the_longest_wait_never_shrinks(retry in retry(), failed in 1_u32..100) {
        let wait = retry.longest_wait(failed);
        prop_assert!(wait <= retry.longest_wait(failed + 1) && wait <= retry.cap);
        prop_assert_eq!(retry.longest_wait(1), retry.base.min(retry.cap));
    }

    /// Replies of another call come back whole and change nothing, at any moment.
    #[test]
    fn strays_change_nothing(setting in setting(), hand in hand()) {
        let undisturbed = hand.drive(setting.call(), START);
        let disturbed = Hand { meddles: true, ..hand }.drive(setting.call(), START);
        prop_assert_eq!(disturbed.events, undisturbed.events);
        prop_assert_eq!(disturbed.notices, undisturbed.notices);
        prop_assert_eq!(format!("{:?}", disturbed.result), format!("{:?}", undisturbed.result));
    }

    /// Each credential request after a 401 says what was rejected: the credential of the request before, and only that.
    #[test]
    fn each_rejected_credential_is_named_once(
        setting in setting(), answers in proptest::collection::vec(answer(), 1..10),
    ) {
        let setting = Setting { authorized: true, deadline: None, ..setting };
        let names = ["c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9"];
        let hand = Hand::new(answers).with_credentials(&names);
        let trace = hand.drive(setting.call(), START);
        let answers = given(&hand, &trace);
        let (mut current, mut sent, mut asked) = (None, 0, 0);
        for event in &trace.events {
            match event {
                Event::Asked { rejected } => {
                    // After a wait, too: the credential may have expired. Then none is rejected.
                    if rejected.is_some() {
                        prop_assert_eq!(rejected.as_deref(), current);
                        prop_assert_eq!(&answers[sent - 1], &Answer::Unauthorized);
                    } else {
                        prop_assert!(sent == 0 || answers[sent - 1] != Answer::Unauthorized);
                    }
                    current = Some(names[asked]);
                    asked += 1;
                }
                Event::Sent { authorization, .. } => {
                    prop_assert_eq!(authorization.as_deref(), current);
                    sent += 1;
                }
                Event::Waited { .. } => {}
            }
        }
        // Two refusals with 401 in a row end it.
        let twice = answers.windows(2).position(|pair| pair == [Answer::Unauthorized, Answer::Unauthorized]);
        prop_assert!(twice.is_none_or(|at| at + 2 == answers.len()));
    }
}
