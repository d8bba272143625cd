//! `AwaitDelivery`, case by case: what proves that changes are delivered, and what does not.

use std::time::Duration;

use pipewright::decode::{Decoder as _, LineLimit};
use pipewright::driver::Clock as _;
use pipewright::error::{Applied, FlowError};
use pipewright::feldera::data::{CompletionToken, DataFormat, HttpInput, parse_errors};
use pipewright::feldera::stream::{Egress, EgressProgress, HttpOutput};
use pipewright::feldera::{AwaitDelivery, DeliveryProof, Feldera, Interruption, SentRows, Undelivered};
use pipewright_mock::feldera::{Config, Release};
use pipewright_mock::{Script, World};

use super::{ASK, COMPLETE, INGRESS, STATS, TOKEN, cause, recorded, stats};

const IN_STEP_7: &str = r#"{"status":"inprogress","step":7}"#;
const IN_NO_STEP: &str = r#"{"status":"inprogress","step":null}"#;

fn client(script: &Script) -> Feldera<Script> {
    Feldera::new("http://feldera.test".parse().expect("a base"), script.clone())
}

fn rows() -> HttpInput {
    HttpInput::new("p", "T", DataFormat::Json, r#"{"insert":{"id":1}}"#)
}

/// Of the process in the recorded statistics.
fn process() -> String {
    "u".to_owned()
}

fn of_process(script: Script, process: &str) -> Script {
    let (status, body) = stats(|metrics| metrics["incarnation_uuid"] = process.into());
    script.expect("GET", STATS).reply_json(status, body)
}

/// A script that has ingested the rows.
fn ingested() -> Script {
    of_process(Script::new(), "u").expect("POST", INGRESS).reply_json(200, TOKEN)
}

fn ask(script: Script, answer: &str) -> Script {
    script.expect("GET", ASK).reply_json(200, answer)
}

fn no_chunk() -> EgressProgress {
    Egress::new(LineLimit::default()).progress()
}

/// A subscription, and the lines that a server sends.
struct View {
    egress: Egress,
    next: u64,
}

impl View {
    fn new() -> Self {
        Self { egress: Egress::new(LineLimit::default()), next: 0 }
    }

    fn read(&mut self, rest: &str) -> EgressProgress {
        let line = format!("{{\"sequence_number\":{},\"snapshot\":false{rest}}}\r\n", self.next);
        self.next += 1;
        self.egress.feed(line.as_bytes());
        assert!(self.egress.advance().expect("a chunk"));
        self.egress.progress()
    }

    fn rows(&mut self) -> EgressProgress {
        self.read(",\"json_data\":[{\"insert\":{\"id\":1}}]")
    }

    fn step(&mut self, number: u64) -> EgressProgress {
        self.read(&format!(",\"processed_steps\":{number}"))
    }
}

fn undelivered(error: &FlowError) -> &Undelivered {
    match cause(error) {
        Some(Interruption::Undelivered(reason)) => reason,
        other => panic!("{other:?}: {error}"),
    }
}

/// Whether the token was complete; `None` unless the rows are known to be ingested.
fn processed(error: &FlowError) -> Option<bool> {
    match SentRows::of(error)? {
        SentRows::Ingested { token, is_processed, .. } if token.as_str() == "tok" => Some(*is_processed),
        _ => None,
    }
}

#[test]
fn changes_are_delivered_when_the_step_of_their_rows_is_shown() {
    let script = of_process(ask(ask(ingested(), IN_NO_STEP), IN_STEP_7), "u");
    let (feldera, mut view) = (client(&script), View::new());
    let mut delivery = feldera.start(AwaitDelivery::ingest(rows(), process(), no_chunk()));
    assert!(delivery.next_ready().expect("it waits").is_none());
    assert_eq!(delivery.flow().token().map(CompletionToken::as_str), Some("tok"));
    // The status is polled at once when something comes.
    delivery.flow_mut().observe(0, view.rows());
    assert!(delivery.next_ready().expect("it waits").is_none());
    delivery.flow_mut().observe(0, view.step(6));
    assert!(delivery.next_ready().expect("of other rows").is_none());
    delivery.flow_mut().observe(0, view.step(7));
    let proof = delivery.next_ready().expect("it is delivered").expect("at once");
    assert!(matches!(&proof, DeliveryProof::Delivered { step: 7, token, .. } if token.as_str() == "tok"), "{proof:?}");
    script.finish();
}

/// The stream is read before the status tells the step, and each subscription must have it.
#[test]
fn a_step_that_was_shown_before_it_is_known_counts() {
    let script = of_process(ask(ingested(), IN_STEP_7), "u");
    let (feldera, mut view, mut other) = (client(&script), View::new(), View::new());
    let goal = AwaitDelivery::ingest(rows(), process(), no_chunk()).subscription(no_chunk());
    let mut delivery = feldera.start(goal);
    delivery.flow_mut().observe(0, view.step(8));
    assert!(delivery.next_ready().expect("one is not enough").is_none());
    // Whatever happens to it later.
    delivery.flow_mut().ended(0);
    delivery.flow_mut().observe(2, other.step(9));
    assert!(delivery.next_ready().expect("there is no third one").is_none());
    delivery.flow_mut().observe(1, other.step(10));
    assert!(delivery.next_ready().expect("it is delivered").expect("at once").is_delivered());
    script.finish();
}

#[test]
fn nothing_is_sent_if_the_subscription_is_of_another_process() {
    let script = of_process(Script::new(), "another");
    let mut delivery = client(&script);
    let error = delivery.run(AwaitDelivery::ingest(rows(), process(), no_chunk())).expect_err("restarted");
    assert_eq!(cause(&error), Some(&Interruption::Restarted));
    assert_eq!(SentRows::of(&error), Some(&SentRows::NotIngested));
    assert!(error.to_string().ends_with("; no row was ingested"), "{error}");
    script.finish();
    // Nor if nothing is known of the process.
    let script = of_process(Script::new(), "another");
    delivery = client(&script);
    let error = delivery.run(AwaitDelivery::ingest(rows(), None, no_chunk())).expect_err("unknown");
    assert_eq!(cause(&error), Some(&Interruption::Restarted));
    script.finish();
}

/// Numbers of steps are of one process: a stream that still shows those of the process before proves nothing.
#[test]
fn a_restart_meanwhile_makes_the_numbers_meaningless() {
    let script = of_process(ask(ingested(), IN_STEP_7), "another");
    let (feldera, mut view) = (client(&script), View::new());
    let mut delivery = feldera.start(AwaitDelivery::ingest(rows(), process(), no_chunk()));
    delivery.flow_mut().observe(0, view.step(1000));
    let error = delivery.next_ready().expect_err("another process answers");
    assert_eq!((cause(&error), processed(&error)), (Some(&Interruption::Restarted), Some(false)));
    script.finish();
    let script = recorded(ingested(), "GET", ASK, "completion_status_after_restart_410");
    let error = client(&script).run(AwaitDelivery::ingest(rows(), process(), no_chunk())).expect_err("restarted");
    assert_eq!((cause(&error), processed(&error)), (Some(&Interruption::Restarted), Some(false)));
    script.finish();
}

/// The rows are processed, and then the statistics are of another process, rejected or too late.
#[test]
fn errors_after_the_completion_tell_that_the_rows_are_processed() {
    let completed = || ask(ingested(), COMPLETE);
    let restarted = of_process(completed(), "another");
    let rejected = completed().expect("GET", STATS).reply_json(403, r#"{"message":"m","error_code":"c","details":{}}"#);
    for script in [restarted, rejected] {
        let (feldera, mut view) = (client(&script), View::new());
        let mut delivery = feldera.start(AwaitDelivery::ingest(rows(), process(), no_chunk()));
        assert!(delivery.next_ready().expect("it waits").is_none());
        delivery.flow_mut().observe(0, view.step(7));
        let error = delivery.next_ready().expect_err("it cannot be verified");
        assert!(cause(&error).is_some() != error.service().is_some(), "{error:?}");
        assert_eq!(processed(&error), Some(true), "{error:?}");
        assert!(error.to_string().ends_with("the rows were ingested and processed"), "{error}");
        script.finish();
    }
    let script = completed();
    let goal = AwaitDelivery::ingest(rows(), process(), no_chunk()).timeout(Duration::from_secs(2));
    let error = client(&script).run(goal).expect_err("the time is up");
    assert!(matches!(error, FlowError::Deadline { .. }), "{error:?}");
    assert_eq!(processed(&error), Some(true), "{error:?}");
    script.finish();
}

/// Each poll costs time in which the subscription is not read.
#[test]
fn chunks_without_steps_let_the_status_be_polled_now_and_then() {
    let polled = (0..9).fold(ingested(), |script, _| ask(script, IN_NO_STEP));
    // New steps may be those of the rows.
    let script = of_process(ask(polled, IN_STEP_7), "u");
    let (feldera, mut view) = (client(&script), View::new());
    let mut delivery = feldera.start(AwaitDelivery::ingest(rows(), process(), no_chunk()));
    for _ in 0..100 {
        assert!(delivery.next_ready().expect("it waits").is_none());
        delivery.flow_mut().observe(0, view.rows());
    }
    delivery.flow_mut().observe(0, view.step(7));
    assert!(delivery.next_ready().expect("it is delivered").expect("at once").is_delivered());
    script.finish();
}

#[test]
fn lost_chunks_and_ended_subscriptions_prove_nothing() {
    let (mut lossy, mut short) = (View::new(), View::new());
    lossy.next = 3;
    let cases = [
        (Some(lossy.step(7)), false, "the subscription lost 3 chunks".to_owned()),
        (Some(short.step(6)), true, Undelivered::SubscriptionEnded.to_string()),
        (None, true, Undelivered::SubscriptionEnded.to_string()),
    ];
    for (progress, ends, expected) in cases {
        let script = ask(ingested(), IN_STEP_7);
        let feldera = client(&script);
        let mut delivery = feldera.start(AwaitDelivery::ingest(rows(), process(), no_chunk()));
        if let Some(progress) = progress {
            delivery.flow_mut().observe(0, progress);
        }
        if ends {
            delivery.flow_mut().ended(0);
        }
        let error = delivery.next().expect_err("it is not proved");
        let reason = undelivered(&error).to_string();
        assert!(reason.starts_with(&expected), "{reason}");
        script.finish();
    }
}

#[test]
fn rows_are_sent_once_and_rejections_are_the_callers() {
    let script = of_process(Script::new(), "u").expect("POST", INGRESS).reply_lost();
    let error = client(&script).run(AwaitDelivery::ingest(rows(), process(), no_chunk())).expect_err("unknown");
    assert!(matches!(error, FlowError::Ambiguous(_)), "{error}");
    assert_eq!(SentRows::of(&error), Some(&SentRows::Unconfirmed));
    script.finish();
    let script = of_process(Script::new(), "u");
    let script = recorded(script, "POST", INGRESS, "ingress_partial_parse_errors_400");
    let error = client(&script).run(AwaitDelivery::ingest(rows(), process(), no_chunk())).expect_err("rejected");
    let FlowError::Service(rejection) = &error else { panic!("{error:?}") };
    assert_eq!(rejection.applied(), Applied::Yes);
    assert!(parse_errors(rejection).is_some());
    script.finish();
}

/// A server that never sends `processed_steps`: that is proved by a chunk that was read long after the completion, or
/// known to the caller.
#[test]
fn without_steps_only_the_completion_is_proved() {
    let script = ask(ingested(), COMPLETE);
    let (feldera, mut view) = (client(&script), View::new());
    let mut delivery = feldera.start(AwaitDelivery::ingest(rows(), process(), no_chunk()));
    assert!(delivery.next_ready().expect("it waits").is_none());
    // These may have been under way since before the completion.
    for progress in [view.rows(), view.read(""), view.read("")] {
        delivery.flow_mut().observe(0, progress);
        assert!(delivery.next_ready().expect("it waits").is_none());
    }
    feldera.runtime().sleep_until(feldera.runtime().now() + Duration::from_secs(4));
    assert!(delivery.next_ready().expect("nothing was read since").is_none());
    delivery.flow_mut().observe(0, view.read(""));
    let proof = delivery.next_ready().expect("it is complete").expect("at once");
    assert!(matches!(proof, DeliveryProof::Completed { step: Some(7), .. }), "{proof:?}");
    script.finish();

    let script = ask(ingested(), COMPLETE);
    let goal = AwaitDelivery::ingest(rows(), process(), no_chunk()).without_steps();
    assert!(!client(&script).run(goal).expect("it is complete").is_delivered());
    script.finish();
    // Before 0.242.
    let script = ask(ingested(), r#"{"status":"complete"}"#);
    let proof = client(&script).run(AwaitDelivery::ingest(rows(), process(), no_chunk())).expect("it is complete");
    assert!(matches!(proof, DeliveryProof::Completed { step: None, .. }), "{proof:?}");
    script.finish();
}

/// A server that has sent `processed_steps` once sends it again.
#[test]
fn with_steps_the_completion_is_not_enough() {
    let script = ask(ingested(), COMPLETE);
    let (feldera, mut view) = (client(&script), View::new());
    let before = view.step(3);
    let mut delivery = feldera.start(AwaitDelivery::ingest(rows(), process(), before).without_steps());
    assert!(delivery.next_ready().expect("it waits").is_none());
    feldera.runtime().sleep_until(feldera.runtime().now() + Duration::from_secs(30));
    delivery.flow_mut().observe(0, view.read(""));
    assert!(delivery.next_ready().expect("it waits").is_none());
    let error = delivery.next().expect_err("it takes too long");
    assert_eq!(
        undelivered(&error).to_string(),
        "the rows are completed, and the subscription has not shown step 7; read \
         its chunks, and pass its progress after each of them"
    );
    script.finish();
}

/// The token was given out to another part of the program; the subscription began before.
#[test]
fn a_token_of_rows_that_were_sent_elsewhere_is_awaited() {
    let script = of_process(ask(of_process(Script::new(), "u"), IN_STEP_7), "u");
    let (feldera, mut view) = (client(&script), View::new());
    let before = view.step(4);
    let now = view.step(9);
    let token = CompletionToken::from("tok");
    let mut delivery = feldera.start(AwaitDelivery::new("p", token, process(), before));
    delivery.flow_mut().observe(0, now);
    assert!(delivery.next_ready().expect("it is delivered").expect("at once").is_delivered());
    script.finish();
}

/// On an older release the rows come in the stream, and it cannot be proved when.
#[test]
fn a_subscription_reads_until_the_delivery_or_the_completion() {
    Release::ALL.into_iter().for_each(subscription_on);
}

fn subscription_on(release: Release) {
    let world = World::new(3);
    let config = Config { release, ..Config::default() };
    let mounted = world.feldera("https://feldera.test".parse().expect("a base"), config);
    let feldera = Feldera::new(mounted.base(), world.clone());
    let sql = "CREATE TABLE t (id BIGINT NOT NULL); CREATE MATERIALIZED VIEW v AS SELECT * FROM t;";
    feldera.run(pipewright::feldera::Deploy::new("p", sql)).expect("it runs");
    let output = HttpOutput::new("p", "v", DataFormat::Json).backpressure(true);
    let mut subscription = feldera.subscribe(output).expect("subscribed");
    assert_eq!(subscription.last_token(), None);
    for (id, at_most) in [(1, 8), (2, 4)] {
        let (before, mut changes) = (world.now(), 0);
        let rows = HttpInput::new("p", "t", DataFormat::Json, format!("{{\"insert\":{{\"id\":{id}}}}}"));
        let proof = subscription.ingest(rows, |chunk| changes += chunk.rows().len()).expect("it is complete");
        let expected = match proof {
            DeliveryProof::Delivered { .. } => release == Release::V0_375,
            DeliveryProof::Completed { step, .. } => {
                release < Release::V0_375 && step.is_some() == (release == Release::V0_337)
            }
            _ => false,
        };
        assert!(expected, "{release}: {proof:?}");
        assert_eq!(changes, 1, "{release}");
        let took = world.now().since(before);
        assert!(took <= Duration::from_secs(at_most), "{took:?}");
    }
    assert!(subscription.last_token().is_some());
    // Only this release tells the step, and never shows it.
    if release != Release::V0_337 {
        return;
    }
    let row = HttpInput::new("p", "t", DataFormat::Json, r#"{"insert":{"id":9}}"#);
    let goal = AwaitDelivery::ingest(row, subscription.process().map(str::to_owned), subscription.progress());
    let error = subscription.run(goal.timeout(Duration::from_secs(2)), |_| {}).expect_err("the time is up");
    let Some(SentRows::Ingested { token, .. }) = SentRows::of(&error) else { panic!("{error:?}") };
    assert_eq!(subscription.last_token(), Some(token));
}
