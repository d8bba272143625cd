//! Two loads in one channel: which load a committed token belongs to.

use super::*;

fn numbered(number: u32, by: &str) -> Batch {
    let token = number.to_string();
    Batch::new(format!("{{\"ID\":{number},\"BY\":\"{by}\"}}\n"), 1, token.clone(), token)
}

/// Gives the writer five rows, and waits until they are committed.
fn commit_five(scene: &Scene, writer: &mut Writer, by: &str) {
    for number in 1..=5 {
        writer.append(numbered(number, by)).expect("there is room");
    }
    writer.flush();
    while scene.next(writer).expect("no faults") != WriterEvent::Flushed {}
}

fn written(scene: &Scene, by: &str) -> usize {
    let by = format!("\"BY\":\"{by}\"");
    let view = scene.simulator.with(|account| account.channel_view(&simulated("c"))).expect("the channel");
    view.rows.iter().filter(|row| String::from_utf8_lossy(row).contains(&by)).count()
}

/// The appends of the first were answered; the service restarts and loses them; another load commits rows with the same
/// tokens.
#[test]
fn with_a_prefix_the_tokens_of_another_load_commit_nothing_of_ours() {
    let scene = Scene::with(Config { restart_loses_buffered: true, ..Config::default() });
    let ours = scene.goal().token_prefix("load-b");
    let mut writer = scene.open(ours);
    for number in 1..=5 {
        writer.append(numbered(number, "b")).expect("there is room");
    }
    scene.go_on(&mut writer, Duration::ZERO).expect("all are answered");
    scene.simulator.restart(Duration::ZERO);
    let mut other = scene.open(scene.goal().token_prefix("load-a"));
    commit_five(&scene, &mut other, "a");
    assert_eq!(other.committed(), Some("5"), "callers see their own tokens");
    let error = scene.next(&mut writer).expect_err("the token is not of this load");
    assert_eq!(lost(&error), Some(ChannelLost::ForeignToken { token: "load-a|5".to_owned() }), "{error}");
    assert!(error.is_ambiguous(), "{error}");
    let unsettled = writer.unsettled();
    let tokens: Vec<_> = unsettled.unconfirmed.iter().filter_map(|batch| batch.end_offset_token.as_deref()).collect();
    assert_eq!((tokens, written(&scene, "b")), (vec!["1", "2", "3", "4", "5"], 0));
}

#[test]
fn an_append_that_was_rejected_is_not_settled_by_an_equal_token() {
    let scene = Scene::new();
    let mut saved: Option<SavedState> = None;
    let mut writer = scene.open(scene.goal());
    scene.simulator.with(|account| account.steal(&simulated("c"), &[("1", r#"{"ID":1,"BY":"a"}"#)]));
    writer.append(numbered(1, "b")).expect("there is room");
    let keep = |notice| {
        if let Notice::Persist(state) = notice {
            saved = Some(state);
        }
    };
    let error = scene.account.drive(&mut writer, keep).expect_err("the row's writer is unknown");
    let ambiguous = Some(ChannelLost::AmbiguousToken { token: "1".to_owned() });
    assert_eq!(lost(&error), ambiguous, "{error}");
    assert!(error.is_ambiguous() && error.to_string().contains("\"1\""), "{error}");
    let unsettled = writer.unsettled();
    assert_eq!((unsettled.committed, unsettled.unconfirmed.len(), unsettled.unsent.len()), (None, 1, 0));
    assert_eq!(written(&scene, "b"), 0);

    // Nor does the next process believe it.
    let resumed = OpenWriter::resume(&scene.session, &saved.expect("a state")).expect("its own");
    let error = scene.next(&mut scene.start(resumed)).expect_err("the row's writer is unknown");
    assert_eq!(lost(&error), ambiguous, "{error}");
}

/// A caller that has found the rows in the table.
#[test]
fn a_saved_state_that_was_left_by_an_ambiguous_token_goes_on_once_the_tokens_are_said_to_be_unique() {
    let scene = Scene::new();
    let mut saved: Option<SavedState> = None;
    let mut writer = scene.open(scene.goal());
    scene.simulator.with(|account| account.steal(&simulated("c"), &[("1", r#"{"ID":1,"BY":"b"}"#)]));
    writer.append(numbered(1, "b")).expect("there is room");
    let keep = |notice| {
        if let Notice::Persist(state) = notice {
            saved = Some(state);
        }
    };
    let error = scene.account.drive(&mut writer, keep).expect_err("the row's writer is unknown");
    assert_eq!(lost(&error), Some(ChannelLost::AmbiguousToken { token: "1".to_owned() }), "{error}");
    let resumed = OpenWriter::resume(&scene.session, &saved.expect("a state")).expect("its own").unique_tokens();
    let opened = scene.next(&mut scene.start(resumed)).expect("equal tokens mean equal rows");
    assert_eq!(opened, WriterEvent::Opened { committed: Some("1".to_owned()) });
}

/// Five appends are answered, the service restarts and loses them, and another load commits rows with the same tokens.
#[test]
fn batches_that_were_answered_are_not_settled_by_equal_tokens_once_another_client_has_the_channel() {
    for superseded in [Superseded::Stale, Superseded::Conflict] {
        let scene = Scene::with(Config { restart_loses_buffered: true, superseded, ..Config::default() });
        let mut writer = scene.open(scene.goal());
        commit_five(&scene, &mut writer, "b");
        for number in 6..=10 {
            writer.append(numbered(number, "b")).expect("there is room");
        }
        scene.go_on(&mut writer, Duration::ZERO).expect("all are answered");
        scene.simulator.restart(Duration::ZERO);
        let theirs: Vec<_> =
            (6..=10).map(|number| (number.to_string(), format!(r#"{{"ID":{number},"BY":"a"}}"#))).collect();
        let theirs: Vec<_> = theirs.iter().map(|(token, row)| (&**token, &**row)).collect();
        scene.simulator.with(|account| account.steal(&simulated("c"), &theirs));
        writer.append(numbered(11, "b")).expect("there is room");
        let error = scene.next(&mut writer).expect_err("the rows' writer is unknown");
        assert_eq!(lost(&error), Some(ChannelLost::AmbiguousToken { token: "10".to_owned() }), "{error}");
        assert!(error.is_ambiguous(), "{error}");
        let unsettled = writer.unsettled();
        let tokens: Vec<_> =
            unsettled.unconfirmed.iter().filter_map(|batch| batch.end_offset_token.as_deref()).collect();
        assert_eq!((unsettled.committed.as_deref(), tokens), (Some("5"), vec!["6", "7", "8", "9", "10", "11"]));
        assert_eq!((written(&scene, "a"), written(&scene, "b")), (5, 5), "what was seen committed before stays so");
    }
}

/// The codes of some servers do not say that another client has opened the channel: the service may have ended it.
#[test]
fn a_conflict_without_a_known_code_leaves_only_the_rejected_append_unsettled() {
    for (theirs, is_settled) in [("1", true), ("2", false)] {
        let scene = Scene::with(Config {
            superseded: Superseded::Conflict,
            error_shape: ErrorShape::StatusCode,
            commit_delay: Duration::from_millis(200)..=Duration::from_millis(200),
            ..Config::default()
        });
        let mut writer = scene.open(scene.goal());
        writer.append(numbered(1, "b")).expect("there is room");
        scene.go_on(&mut writer, Duration::ZERO).expect("it is answered");
        // It is committed before the writer polls again.
        scene.world.sleep_until(scene.world.now() + Duration::from_millis(500));
        let stolen = [(theirs, r#"{"ID":2,"BY":"a"}"#)];
        scene.simulator.with(|account| account.steal(&simulated("c"), if is_settled { &[] } else { &stolen }));
        writer.append(numbered(2, "b")).expect("there is room");
        let next = scene.next(&mut writer);
        match next {
            Ok(WriterEvent::Committed { token, .. }) if is_settled => assert_eq!(token, "1"),
            Err(error) if !is_settled => {
                assert_eq!(lost(&error), Some(ChannelLost::AmbiguousToken { token: "2".to_owned() }), "{error}");
            }
            next => panic!("{theirs}: {next:?}"),
        }
    }
}

#[test]
fn the_load_of_a_prefix_that_begins_another_prefix_begins_with_its_first_row() {
    let scene = Scene::new();
    let mut other = scene.open(scene.goal().token_prefix("load-10"));
    commit_five(&scene, &mut other, "load-10");
    let mut writer = scene.start(scene.goal().token_prefix("load-1").ignore_other_prefixes());
    assert_eq!(scene.next(&mut writer).expect("no faults"), WriterEvent::Opened { committed: None });
}

/// So does a proxy that has sent the append twice, and passes on the answer to the second.
#[test]
fn tokens_that_are_unique_are_believed_although_the_append_was_rejected() {
    for goal in [|goal: OpenWriter| goal.unique_tokens(), |goal: OpenWriter| goal.token_prefix("load")] {
        let scene = Scene::new();
        let mut writer = scene.open(goal(scene.goal()));
        // Another process of the same load.
        let (plain, prefixed) = (r#"{"ID":1,"BY":"b"}"#, "load|1");
        let token = if format!("{:?}", goal(scene.goal())).contains("load") { prefixed } else { "1" };
        scene.simulator.with(|account| account.steal(&simulated("c"), &[(token, plain)]));
        writer.append(numbered(1, "b")).expect("there is room");
        let event = scene.next(&mut writer).expect("equal tokens mean equal rows");
        assert!(matches!(&event, WriterEvent::Committed { token, .. } if token == "1"), "{event:?}");
    }
}

#[test]
fn a_channel_with_the_token_of_another_load_is_begun_anew_only_on_demand() {
    let scene = Scene::new();
    let mut first = scene.open(scene.goal().token_prefix("monday"));
    commit_five(&scene, &mut first, "monday");
    let error = scene.next(&mut scene.start(scene.goal().token_prefix("tuesday"))).expect_err("of another load");
    let other = ChannelLost::OtherLoad { token: "monday|5".to_owned(), prefix: "tuesday".to_owned() };
    assert_eq!(lost(&error), Some(other), "{error}");
    assert!(error.to_string().contains("set ignore_other_prefixes"), "{error}");

    let goal = || scene.goal().token_prefix("tuesday").ignore_other_prefixes();
    let mut writer = scene.start(goal());
    assert_eq!(scene.next(&mut writer).expect("no faults"), WriterEvent::Opened { committed: None });
    let mut saved: Option<SavedState> = None;
    writer.append(numbered(1, "tuesday")).expect("there is room");
    let keep = |notice| {
        if let Notice::Persist(state) = notice {
            saved = Some(state);
        }
    };
    let event = scene.account.drive(&mut writer, keep).expect("no faults");
    assert!(matches!(&event, WriterEvent::Committed { token, .. } if token == "1"), "{event:?}");
    let opened = WriterEvent::Opened { committed: Some("1".to_owned()) };
    assert_eq!(scene.next(&mut scene.start(goal())).expect("no faults"), opened);
    // The prefix is saved.
    let resumed = OpenWriter::resume(&scene.session, &saved.expect("a state")).expect("its own");
    assert_eq!(scene.next(&mut scene.start(resumed)).expect("no faults"), opened);
    let error = scene.next(&mut scene.start(scene.goal().token_prefix("x".repeat(129)))).expect_err("too long");
    assert!(matches!(&error, FlowError::Build(_)), "{error}");
    assert_eq!((written(&scene, "monday"), written(&scene, "tuesday")), (5, 1));
}

/// What the service says of rejected rows has the prefix, too.
#[test]
fn rejected_rows_are_named_by_the_callers_own_token() {
    let scene = Scene::new();
    let mut writer = scene.open(scene.goal().token_prefix("load"));
    writer.push_line(br#"{"ID":"one"}"#, Some("1")).expect("a row, so far");
    writer.flush();
    let event = scene.next(&mut writer).expect("no faults");
    let bound = Some("1".to_owned());
    assert!(matches!(&event, WriterEvent::Rejected(rows) if rows.last_error_offset_upper_bound == bound), "{event:?}");
}
