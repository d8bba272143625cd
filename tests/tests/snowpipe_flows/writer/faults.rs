//! Faults that a healthy writer survives: lagging nodes, delayed statuses, answers without content, long waits.

use serde_json::json;

use super::*;

/// A node that was told of the channel late says that it does not exist. So does a status that another writer has
/// posted meanwhile.
#[test]
fn a_status_posted_by_another_writer_is_no_second_sighting() {
    let scene = Scene::with(Config { status_age: seconds(28)..=seconds(28), ..Config::default() });
    let batcher = StatusBatcher::new();
    let open = |channel| scene.open(OpenWriter::new(&scene.session, path(channel)).sharing(&batcher));
    let mut sibling = open("a");
    scene.go_on(&mut sibling, seconds(29)).expect("nothing happens");
    let mut writer = open("b");
    writer.append(batch(1)).expect("there is room");
    scene.go_on(&mut writer, Duration::from_millis(1500)).expect("its first poll finds no channel");
    // The sibling looks, too, and asks for the other channel that is due by then. Its writer is not run for half a
    // minute.
    sibling.append(batch(1)).expect("there is room");
    scene.go_on(&mut sibling, seconds(2)).expect("it is healthy");
    scene.world.sleep_until(scene.world.now() + seconds(28));
    let event = scene.next(&mut writer).expect("the node that was asked is behind");
    assert!(matches!(event, WriterEvent::Committed { rows: 1, .. }), "{event:?}");
}

#[test]
fn a_lagging_node_that_keeps_the_channel_missing_for_longer_than_it_can_lag_is_believed() {
    let scene = Scene::new();
    let mut writer = scene.open(scene.goal());
    scene.simulator.with(|account| account.blank_statuses(json!({ "channel_statuses": {} }), seconds(100)));
    let begin = scene.world.now();
    let error = scene.next(&mut writer).expect_err("there is no such channel, all answers say");
    assert_eq!(lost(&error), Some(ChannelLost::Missing), "{error}");
    assert!((59..62).contains(&scene.world.now().since(begin).as_secs()), "30 s after the first poll");
}

#[test]
fn an_answer_that_says_nothing_is_asked_for_again_and_ends_no_writer() {
    for answer in
        [json!({}), json!(null), json!([]), json!({ "channel_statuses": null }), json!({ "channel_statuses": [] })]
    {
        let scene = Scene::new();
        let mut writer = scene.open(scene.goal());
        writer.append(batch(1)).expect("there is room");
        scene.simulator.with(|account| account.blank_statuses(answer.clone(), seconds(200)));
        let event = scene.next(&mut writer).expect("an answer that cannot be read is no news of the channel");
        assert!(matches!(event, WriterEvent::Committed { rows: 1, .. }), "{answer}: {event:?}");
        scene.simulator.with(|account| account.blank_statuses(answer.clone(), seconds(200)));
        assert_eq!(scene.go_on(&mut writer, seconds(300)).expect("nor when nothing waits"), None, "{answer}");
    }
}

#[test]
fn a_status_that_cannot_be_read_is_asked_for_again_for_half_a_minute() {
    let scene = Scene::new();
    let mut writer = scene.open(scene.goal());
    let blank = json!({ "channel_statuses": { "c": {} } });
    scene.simulator.with(|account| account.blank_statuses(blank.clone(), seconds(40)));
    assert_eq!(scene.go_on(&mut writer, seconds(60)).expect("it is asked for again"), None);
    assert_eq!(opened(&scene), 1);
    scene.simulator.with(|account| account.blank_statuses(blank, seconds(100)));
    assert_eq!(scene.go_on(&mut writer, seconds(100)).expect("it is opened again"), None);
    assert_eq!(opened(&scene), 2);
}

/// What cannot be read says nothing of the channel, however long it lasts.
#[test]
fn one_missing_channel_after_many_statuses_that_cannot_be_read_is_not_believed() {
    let scene = Scene::new();
    let mut writer = scene.open(scene.goal());
    writer.append(batch(1)).expect("there is room");
    scene.go_on(&mut writer, Duration::ZERO).expect("sent");
    let blank = |answer| scene.simulator.with(|account| account.blank_statuses(answer, Duration::from_millis(29_500)));
    blank(json!({ "channel_statuses": { "c": {} } }));
    assert_eq!(scene.go_on(&mut writer, Duration::from_millis(29_500)).expect("it is asked for again"), None);
    blank(json!({ "channel_statuses": {} }));
    assert_eq!(scene.go_on(&mut writer, Duration::from_millis(2500)).expect("the node may be behind"), None);
    scene.simulator.with(|account| account.blank_statuses(json!(null), Duration::ZERO));
    let event = scene.next(&mut writer).expect("the channel is well");
    assert!(matches!(event, WriterEvent::Committed { rows: 1, .. }), "{event:?}");
}

fn opened(scene: &Scene) -> u64 {
    scene.simulator.with(|account| account.channel_view(&simulated("c"))).expect("the channel").client_sequencer
}

/// In a poll it may be older than the last open, whatever its code is.
#[test]
fn an_old_status_with_the_code_of_a_stale_token_is_no_sign_of_a_fight() {
    let scene = Scene::new();
    let mut writer = scene.open(scene.goal());
    for number in 1..=4 {
        writer.append(batch(number)).expect("there is room");
        scene.go_on(&mut writer, Duration::ZERO).expect("sent");
        scene.simulator.with(|account| account.invalidate(&simulated("c"), "STALE_CONTINUATION_TOKEN_SEQUENCER"));
        let event = scene.go_on(&mut writer, seconds(60)).expect("opened again");
        assert!(matches!(event, Some(WriterEvent::Committed { rows: 1, .. })), "{event:?}");
    }
}

fn waits(asked: u32) -> Fault {
    Fault::Unavailable(RetryAfter::Seconds(asked))
}

/// Neither one that is handed to the writer, because it is longer than a call waits, nor one that the call waits for.
#[test]
fn a_wait_that_the_service_asks_for_is_no_time_in_trouble() {
    for (asked, takes) in [(86_400, 300), (299, 299)] {
        let scene = Scene::new();
        let mut writer = scene.open(scene.goal().retry_timeout(seconds(60)));
        writer.append(batch(1)).expect("there is room");
        let plan = FaultPlan::none().nth_of("appendRows", 1, waits(asked)).nth_of("appendRows", 2, Fault::NotSent);
        scene.world.set_faults(plan);
        let begin = scene.world.now();
        let event = scene.next(&mut writer).expect("it has had trouble for some seconds");
        assert!(matches!(event, WriterEvent::Committed { .. }), "{event:?}");
        let took = scene.world.now().since(begin).as_secs();
        assert!((takes..takes + 20).contains(&took), "{took}: no longer than the longest that is waited for");
    }
}

#[test]
fn a_host_that_asks_for_a_wait_before_a_token_is_waited_for_too() {
    let scene = Scene::new();
    let mut writer = scene.open(scene.goal().retry_timeout(seconds(60)));
    scene.simulator.with(pipewright_mock::snowpipe::Account::revoke_tokens);
    let plan = FaultPlan::none().nth_of("exchangeToken", 1, waits(200)).nth_of("exchangeToken", 2, waits(400)).nth_of(
        "exchangeToken",
        3,
        Fault::NotSent,
    );
    scene.world.set_faults(plan);
    writer.append(batch(1)).expect("there is room");
    assert!(matches!(scene.next(&mut writer), Ok(WriterEvent::Committed { .. })));
}

/// A service that asks for waits and never does what it is asked ends the writer in the end, with its own answer.
#[test]
fn waits_that_the_service_asks_for_again_and_again_have_an_end() {
    let scene = Scene::new();
    let mut writer = scene.open(scene.goal().retry_timeout(seconds(120)));
    scene.world.set_faults((1..=40).fold(FaultPlan::none(), |plan, n| plan.nth_of("appendRows", n, waits(50))));
    writer.append(batch(1)).expect("there is room");
    let begin = scene.world.now();
    let error = scene.next(&mut writer).expect_err("it asks for ever");
    // 120 s of faults, 300 s of waits, and two timeouts at most.
    let took = scene.world.now().since(begin).as_secs();
    assert!((300..=480).contains(&took), "{took}: {error}");
    assert!(error.is_ambiguous() && error.to_string().contains("status 503"), "{error}");
    assert!(!error.to_string().contains("deadline"), "the test has set none: {error}");
    assert_eq!(writer.unsettled().unconfirmed.len(), 1);
}
