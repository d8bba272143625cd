//! What ends a writer, what does not, and what a writer then reports about its rows.

use super::*;

#[test]
fn a_batch_that_nobody_takes_is_named() {
    let scene = Scene::new();
    let mut writer = scene.open(scene.goal());
    writer.append(batch(1)).expect("there is room");
    scene.go_on(&mut writer, Duration::ZERO).expect("no faults");
    scene.simulator.with(|account| account.set_pipe(&simulated("c"), PipeState::FileMode));
    writer.append(batch(2)).expect("there is room");
    writer.append(batch(3)).expect("there is room");
    // The channel may be of no use any more: it is opened again, which waits for the first batch.
    assert!(matches!(scene.go_on(&mut writer, seconds(30)), Ok(Some(WriterEvent::Committed { rows: 1, .. }))));
    let error = scene.go_on(&mut writer, seconds(30)).expect_err("the pipe takes none");
    assert_eq!(scene.asked("/rows"), 1 + 1 + 3, "it is believed with the third time since all was well");
    assert!(error.to_string().contains("the batch of 1 row with the offset tokens \"2\" to \"2\""), "{error}");
    let FlowError::Failed(failure) = &error else { panic!("{error}") };
    let rejection = failure.cause().and_then(|cause| cause.downcast_ref::<ServiceError>()).expect("the refusal");
    assert_eq!(rejection.code(), Some("SWITCH_TO_FILE_MODE"));
    assert!(matches!(writer.push_line(b"{}", Some("4")), Err(PushError::Ended(_))));
    let unsettled = writer.unsettled();
    assert_eq!(
        (unsettled.committed, unsettled.unconfirmed.len(), unsettled.unsent.len()),
        (Some("1".to_owned()), 0, 2)
    );
}

/// The service ends the channel, and a server of the oldest kind says so with a number.
#[test]
fn a_channel_that_is_ended_without_a_word_is_no_fight() {
    let scene = Scene::with(Config { error_shape: ErrorShape::StatusCode, ..Config::default() });
    let mut writer = scene.open(scene.goal());
    for number in 1..=9 {
        scene.simulator.with(|account| account.invalidate(&simulated("c"), "ERR_CHANNEL_MUST_BE_REOPENED"));
        writer.append(batch(number)).expect("there is room");
        let event = scene.go_on(&mut writer, seconds(60)).expect("opened again");
        assert!(matches!(event, Some(WriterEvent::Committed { rows: 1, .. })), "{event:?}");
    }
    scene.simulator.with(|account| account.invalidate(&simulated("c"), "ERR_CHANNEL_MUST_BE_REOPENED"));
    writer.append(batch(10)).expect("there is room");
    let error = scene.go_on(&mut writer, seconds(60)).expect_err("that is no chance any more");
    assert_eq!(lost(&error), Some(ChannelLost::Contested { times: 10 }), "{error}");
    let FlowError::Ambiguous(ambiguity) = &error else { panic!("{error}") };
    let FlowError::Failed(failure) = &*ambiguity.cause else { panic!("{error}") };
    assert!(failure.details.as_ref().is_some_and(|details| details.contains("status 409")), "{failure:?}");
}

#[test]
fn a_pipe_that_discards_is_noticed_by_the_status_alone() {
    let scene = Scene::new();
    let mut writer = scene.open(scene.goal());
    scene.simulator.with(|account| account.set_pipe(&simulated("c"), PipeState::Discards));
    writer.append(batch(1)).expect("there is room");
    let begin = scene.world.now();
    let error = scene.next(&mut writer).expect_err("its status says so");
    assert!(error.is_ambiguous() && error.to_string().contains("ERR_PIPE_DOES_NOT_EXIST"), "{error}");
    // By the first poll, and not when nothing was committed for a minute.
    assert!(scene.world.now().since(begin) < seconds(5));
}

#[test]
fn who_takes_the_channel_again_and_again_gets_it() {
    let scene = Scene::new();
    let mut writer = scene.open(scene.goal());
    let mut ended = None;
    for number in 1..=3 {
        scene.simulator.with(|account| account.steal(&simulated("c"), &[]));
        writer.append(batch(number)).expect("there is room");
        ended = scene.go_on(&mut writer, seconds(20)).err();
    }
    let error = ended.expect("a fight");
    assert_eq!(lost(&error), Some(ChannelLost::Contested { times: 3 }), "{error}");
    assert_eq!(scene.rows(), 2);
}

/// A node that is behind says of a channel that was opened again what was so before.
#[test]
fn an_old_status_is_no_sign_of_a_fight() {
    let scene = Scene::new();
    let mut writer = scene.open(scene.goal());
    for number in 1..=4 {
        writer.append(batch(number)).expect("there is room");
        scene.go_on(&mut writer, Duration::ZERO).expect("sent");
        scene.simulator.with(|account| account.invalidate(&simulated("c"), "ERR_CHANNEL_HAS_INVALID_CLIENT_SEQUENCER"));
        let event = scene.go_on(&mut writer, seconds(60)).expect("opened again");
        assert!(matches!(event, Some(WriterEvent::Committed { rows: 1, .. })), "{event:?}");
    }
    assert_eq!(scene.rows(), 4);
}

#[test]
fn a_deadline_says_what_is_unconfirmed() {
    let scene = Scene::new();
    let mut writer = scene.open(scene.goal());
    writer.append(batch(1)).expect("there is room");
    let mut writer = writer.with_deadline(scene.world.now() + seconds(2));
    let error = scene.next(&mut writer).expect_err("too soon");
    assert!(error.is_ambiguous() && error.to_string().contains("deadline"), "{error}");
    assert_eq!(writer.unsettled().unconfirmed.len(), 1);
}

/// Continues for an hour at the most, and lets `after` happen every half second. How long it took, and how it has
/// ended.
fn until_it_ends(scene: &Scene, writer: &mut Writer, mut after: impl FnMut()) -> (Duration, FlowError) {
    let begin = scene.world.now();
    while scene.world.now().since(begin) < seconds(3600) {
        if let Err(error) = scene.go_on(writer, Duration::from_millis(500)) {
            return (scene.world.now().since(begin), error);
        }
        after();
    }
    panic!("no end within an hour")
}

/// So does a batch with new columns that cannot be made, whatever `ON_ERROR` says.
#[test]
fn rows_that_end_their_channel_again_and_again_end_the_writer() {
    let scene = Scene::new();
    let mut writer = scene.open(scene.goal().retry_timeout(seconds(300)));
    writer.append(batch(1)).expect("there is room");
    let code = "ERR_CHANNEL_MUST_BE_REOPENED";
    let (took, error) = until_it_ends(&scene, &mut writer, || {
        let view = scene.simulator.with(|account| account.channel_view(&simulated("c"))).expect("the channel");
        if view.buffered > 0 {
            scene.simulator.with(|account| account.invalidate(&simulated("c"), code));
        }
    });
    assert!((300..400).contains(&took.as_secs()), "{took:?}");
    assert!(error.is_ambiguous() && error.to_string().contains(code), "{error}");
    assert!(scene.asked("/rows") < 30, "more and more slowly: {}", scene.asked("/rows"));
}

#[test]
fn a_channel_that_takes_everything_and_commits_nothing_ends_the_writer() {
    let scene = Scene::new();
    let mut writer = scene.open(scene.goal().retry_timeout(seconds(300)));
    writer.append(batch(1)).expect("there is room");
    let (took, error) = until_it_ends(&scene, &mut writer, || {
        scene.simulator.with(|account| account.steal(&simulated("c"), &[]));
    });
    // It is taken for trouble after a minute without a commit.
    assert!((360..460).contains(&took.as_secs()), "{took:?}");
    assert!(error.is_ambiguous() && error.to_string().contains("no rows were committed for 300s"), "{error}");
}

#[test]
fn a_commit_that_never_comes_is_waited_for_as_long_as_faults_may_go_on() {
    let scene = Scene::with(Config { commit_delay: seconds(36_000)..=seconds(36_000), ..Config::default() });
    let mut writer = scene.open(scene.goal().retry_timeout(seconds(300)));
    writer.append(batch(1)).expect("there is room");
    let (took, error) = until_it_ends(&scene, &mut writer, || {});
    // After a minute without a commit it opens the channel again, which is told to wait.
    assert!((360..380).contains(&took.as_secs()), "{took:?}");
    assert!(error.is_ambiguous() && error.to_string().contains("ERR_CHANNEL_HAS_UNCOMMITTED_DATA"), "{error}");
}

/// Answers to appends are no progress, however many come.
#[test]
fn a_trickle_of_appends_does_not_hide_that_nothing_is_committed() {
    let scene = Scene::with(Config { commit_delay: seconds(36_000)..=seconds(36_000), ..Config::default() });
    let mut writer = scene.open(scene.goal().retry_timeout(seconds(300)));
    let begin = scene.world.now();
    let error = (1..100).find_map(|number| {
        // From some time on it waits for the first to be committed, and takes more meanwhile.
        writer.append(batch(number)).expect("there is room");
        scene.go_on(&mut writer, seconds(10)).err()
    });
    let (took, error) = (scene.world.now().since(begin), error.expect("the retry timeout ends it"));
    assert!((360..=370).contains(&took.as_secs()), "{took:?}");
    assert!(error.is_ambiguous() && error.to_string().contains("ERR_CHANNEL_HAS_UNCOMMITTED_DATA"), "{error}");
}

#[test]
fn rows_behind_the_last_token_are_among_what_remains() {
    let scene = Scene::new();
    let mut writer = scene.open(scene.goal());
    for (line, token) in [("{\"ID\":1}", None), ("{\"ID\":2}", Some("2")), ("{\"ID\":3}", None), ("{\"ID\":4}", None)] {
        writer.push_line(line.as_bytes(), token).expect("there is room");
    }
    let unsettled = writer.unsettled();
    let unsent: Vec<_> = unsettled.unsent.iter().map(|batch| (batch.rows, batch.end_offset_token.as_deref())).collect();
    assert_eq!((unsettled.unconfirmed.len(), unsent), (0, vec![(2, Some("2")), (2, None)]));
}

#[test]
fn what_was_rejected_for_certain_is_not_unconfirmed() {
    let scene = Scene::new();
    let mut writer = scene.open(scene.goal());
    scene.simulator.with(|account| account.set_pipe(&simulated("c"), PipeState::Forbidden));
    writer.append(batch(1)).expect("there is room");
    let error = scene.go_on(&mut writer, seconds(30)).expect_err("a privilege is missing");
    assert!(matches!(&error, FlowError::Service(rejection) if rejection.status() == 403), "{error}");
    let unsettled = writer.unsettled();
    assert_eq!((unsettled.unconfirmed.len(), unsettled.unsent.len()), (0, 1));

    // Nor is what was refused with a token that cannot be replaced.
    let reject = Arc::new(AtomicBool::new(false));
    let scene = Scene::as_whom(Config::default(), FlowConfig::new, Until(Arc::clone(&reject)));
    let mut writer = scene.open(scene.goal());
    reject.store(true, Ordering::Relaxed);
    scene.simulator.with(pipewright_mock::snowpipe::Account::revoke_tokens);
    writer.append(batch(1)).expect("there is room");
    let error = scene.go_on(&mut writer, seconds(30)).expect_err("no token");
    assert!(matches!(error, FlowError::Credential(_)), "{error}");
    let unsettled = writer.unsettled();
    assert_eq!((unsettled.unconfirmed.len(), unsettled.unsent.len()), (0, 1));
}

/// An open without an answer leaves no unconfirmed rows, neither before the first row nor later.
#[test]
fn a_rejection_behind_an_open_without_an_answer_is_reported_as_such() {
    let lost = || {
        let lose = |plan: FaultPlan, n| plan.nth_of("openChannel", n, Fault::ReplyLost);
        // Each open is refused twice: with the token that there is, and with another token.
        [1, 4, 7].into_iter().fold(FaultPlan::none(), lose)
    };
    let is_forbidden = |error: &FlowError| matches!(error, FlowError::Service(rejection) if rejection.status() == 403);

    let scene = Scene::new();
    scene.simulator.with(|account| account.set_pipe(&simulated("c"), PipeState::Forbidden));
    scene.world.set_faults(lost());
    let mut writer = scene.start(scene.goal());
    let error = scene.next(&mut writer).expect_err("a privilege is missing");
    assert!(is_forbidden(&error), "{error}");

    let scene = Scene::new();
    let mut writer = scene.open(scene.goal());
    scene.simulator.with(|account| account.invalidate(&simulated("c"), "ERR_CHANNEL_MUST_BE_REOPENED"));
    scene.simulator.with(|account| account.set_pipe(&simulated("c"), PipeState::Forbidden));
    scene.world.set_faults(lost());
    let error = scene.go_on(&mut writer, seconds(600)).expect_err("a privilege is missing");
    assert!(is_forbidden(&error), "{error}");
    let unsettled = writer.unsettled();
    assert_eq!((unsettled.before.len(), unsettled.unconfirmed.len()), (0, 0));
}

/// Whether or not the 409 has a body: the service may have ended the channel by itself.
#[test]
fn an_append_that_is_rejected_with_409_for_the_tenth_time_ends_the_writer() {
    let scene = Scene::new();
    let mut writer = scene.open(scene.goal());
    let page = Fault::ProxyPage { status: http::StatusCode::CONFLICT, applied: false };
    scene.world.set_faults((1..=20).fold(FaultPlan::none(), |plan, n| plan.nth_of("appendRows", n, page)));
    writer.append(batch(1)).expect("there is room");
    let (took, error) = until_it_ends(&scene, &mut writer, || {});
    assert_eq!(lost(&error), Some(ChannelLost::Contested { times: 10 }), "{error}");
    assert_eq!(scene.asked("/rows"), 0, "the page comes before the service");
    assert!(took < seconds(600), "{took:?}");
}

/// Credentials for as long as they are not revoked.
struct Until(Arc<AtomicBool>);

impl Credentials for Until {
    fn authorize(&self, _: &CredentialRequest, _: Timestamp) -> Result<HeaderValue, CredentialError> {
        if self.0.load(Ordering::Relaxed) {
            return Err(CredentialError::permanent("it was revoked"));
        }
        Secret::new("pat").bearer()
    }
}

/// Whatever it is in the middle of.
#[test]
fn a_writer_that_has_ended_stays_so() {
    let scene = Scene::new();
    let mut writer = scene.open(scene.goal());
    for token in ["1", "2"] {
        writer.push_line(b"{\"ID\":1}", Some(token)).expect("a row");
        writer.flush();
    }
    scene.simulator.with(pipewright_mock::snowpipe::Account::revoke_tokens);
    let plan = (1..=20)
        .fold(FaultPlan::none(), |plan, n| plan.nth_of("exchangeToken", n, Fault::Unavailable(RetryAfter::Absent)));
    scene.world.set_faults(plan);
    assert_eq!(scene.go_on(&mut writer, seconds(5)).expect("it waits for a token"), None);
    let mut writer = writer.with_deadline(scene.world.now() + seconds(10));
    for _ in 0..3 {
        let error = scene.go_on(&mut writer, seconds(60)).expect_err("the time is up");
        assert!(matches!(error, FlowError::Deadline { .. }), "{error}");
    }
}

/// An open of ours that has got no answer arrives later, and takes the channel from ourselves.
#[test]
fn opens_that_arrive_late_are_no_fight() {
    let mut retry = Retry::default();
    (retry.attempts, retry.attempt_timeout) = (1, seconds(5));
    let config = Config { commit_delay: Duration::ZERO..=Duration::ZERO, ..Config::default() };
    let scene = Scene::as_whom(config, |base| FlowConfig::new(base).with_retry(retry), Secret::new("pat"));
    let mut writer = scene.open(scene.goal());
    let plan = [1, 3, 5, 7]
        .into_iter()
        .fold(FaultPlan::none(), |plan, n| plan.nth_of("openChannel", n, Fault::DelayRequest(seconds(9))));
    scene.world.set_faults(plan);
    scene.simulator.with(|account| account.steal(&simulated("c"), &[]));
    for number in 1..=4 {
        writer.append(batch(number)).expect("there is room");
        let begin = scene.world.now();
        let event = scene.go_on(&mut writer, seconds(30)).expect("no fight");
        assert!(matches!(event, Some(WriterEvent::Committed { rows: 1, .. })), "{event:?}");
        // The open before the answered open is carried out now.
        scene.go_on(&mut writer, seconds(20)).expect("no fight");
        assert!(scene.world.now().since(begin) >= seconds(20));
    }
    assert_eq!(scene.rows(), 4);
}
