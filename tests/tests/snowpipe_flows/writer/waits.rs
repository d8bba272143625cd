//! Time that does not count towards a writer's retry timeout: waits that the service asks for, and clocks that jump.

use super::*;

fn waits(asked: u32) -> Fault {
    Fault::Unavailable(RetryAfter::Seconds(asked))
}

/// A program that was suspended, or a clock that was set.
fn jump(scene: &Scene) {
    scene.world.sleep_until(scene.world.now() + seconds(7200));
}

fn is_committed(event: &WriterEvent) -> bool {
    matches!(event, WriterEvent::Committed { rows: 1, .. })
}

/// Opening the channel again repairs it, and is tried before the writer ends.
#[test]
fn rows_that_were_discarded_during_a_wait_that_the_service_asked_for_are_sent_again() {
    let scene = Scene::new();
    let mut writer = scene.open(scene.goal().retry_timeout(seconds(60)));
    writer.append(batch(1)).expect("there is room");
    scene.go_on(&mut writer, Duration::ZERO).expect("sent");
    scene.simulator.with(|account| account.steal(&simulated("c"), &[]));
    scene.world.set_faults(FaultPlan::none().nth_of("bulkGetChannelStatus", 1, waits(200)));
    let event = scene.next(&mut writer).expect("it has had no trouble");
    assert!(is_committed(&event), "{event:?}");
    assert_eq!(scene.rows(), 1);
}

#[test]
fn a_clock_that_jumps_while_a_commit_is_awaited_ends_no_writer() {
    let scene = Scene::new();
    let mut writer = scene.open(scene.goal());
    writer.append(batch(1)).expect("there is room");
    scene.go_on(&mut writer, Duration::ZERO).expect("sent");
    scene.simulator.with(|account| account.steal(&simulated("c"), &[]));
    jump(&scene);
    let event = scene.next(&mut writer).expect("one status shows nothing");
    assert!(is_committed(&event), "{event:?}");
}

#[test]
fn a_clock_that_jumps_while_a_request_is_repeated_ends_no_writer() {
    for operation in ["appendRows", "bulkGetChannelStatus"] {
        let scene = Scene::new();
        let mut writer = scene.open(scene.goal());
        let plan = (1..=8).fold(FaultPlan::none(), |plan, n| plan.nth_of(operation, n, Fault::NotSent));
        scene.world.set_faults(plan);
        writer.append(batch(1)).expect("there is room");
        scene.go_on(&mut writer, seconds(4)).expect("it waits for the next attempt");
        jump(&scene);
        let event = scene.next(&mut writer).expect("faults have lasted for some seconds");
        assert!(is_committed(&event), "{operation}: {event:?}");
    }
}

/// In the middle of its wait for rows that are not committed yet.
#[test]
fn a_clock_that_jumps_while_the_channel_is_busy_ends_no_writer() {
    let scene = Scene::with(Config { commit_delay: seconds(20_000)..=seconds(20_000), ..Config::default() });
    let mut writer = scene.open(scene.goal());
    writer.append(batch(1)).expect("there is room");
    scene.go_on(&mut writer, seconds(100)).expect("it opens the channel again, and waits");
    jump(&scene);
    assert_eq!(scene.go_on(&mut writer, seconds(60)).expect("it has waited for two minutes"), None);
}

/// The session's token has ended while the writer had nothing to do.
#[test]
fn a_wait_for_the_next_token_ends_no_writer() {
    for operation in ["appendRows", "bulkGetChannelStatus"] {
        let scene = Scene::with(Config { token_life: seconds(600), ..Config::default() });
        let mut writer = scene.open(scene.goal().retry_timeout(seconds(60)).idle(seconds(10_000)));
        if operation == "appendRows" {
            writer.append(batch(1)).expect("there is room");
            assert!(is_committed(&scene.next(&mut writer).expect("no faults")));
            assert_eq!(scene.go_on(&mut writer, seconds(700)).expect("it rests"), None);
        } else {
            scene.world.sleep_until(scene.world.now() + seconds(10_001));
        }
        scene.world.set_faults(FaultPlan::none().nth_of("exchangeToken", 1, waits(200)));
        writer.append(batch(2)).expect("there is room");
        let event = scene.next(&mut writer).expect("the account has asked for the wait");
        assert!(is_committed(&event), "{operation}: {event:?}");
    }
}

/// Runs a writer until an event, and counts its polls.
struct UntilCommitted<'a>(&'a mut Writer, &'a mut u32);

impl Flow for UntilCommitted<'_> {
    type Output = ();

    fn poll(&mut self, now: Timestamp, mut reply: Option<Reply>) -> Step<()> {
        *self.1 += 1;
        loop {
            match pipewright::ready!(self.0.poll(now, reply.take())) {
                Ok(event) if is_committed(&event) => return Step::Done(Ok(())),
                Ok(_) => {}
                Err(error) => return Step::Done(Err(error)),
            }
        }
    }
}

/// Only one of them asks the account. The others wait for it, and just as long.
#[test]
fn a_wait_for_the_token_that_another_writer_gets_ends_no_writer() {
    let scene = Scene::with(Config { token_life: seconds(600), ..Config::default() });
    let open = |channel| {
        let goal = OpenWriter::new(&scene.session, path(channel)).retry_timeout(seconds(60)).idle(seconds(10_000));
        scene.open(goal)
    };
    let mut writers = [open("a"), open("b"), open("c")];
    scene.world.sleep_until(scene.world.now() + seconds(700));
    scene.world.set_faults(FaultPlan::none().nth_of("exchangeToken", 1, waits(200)));
    let mut polls = [0; 3];
    for writer in &mut writers {
        writer.append(batch(1)).expect("there is room");
    }
    let flows = writers.iter_mut().zip(&mut polls).map(|(writer, polls)| UntilCommitted(writer, polls));
    for result in scene.world.run_all_with(flows, &Secret::new("pat"), |_, _| {}) {
        result.expect("the account has asked for the wait");
    }
    assert!(polls.iter().all(|polls| *polls < 500), "{polls:?} polls in 200 s");
}

/// The status is asked for by one writer, whom the service asks to wait.
#[test]
fn a_wait_that_one_writer_is_asked_for_does_not_keep_the_status_from_the_others() {
    let scene = Scene::new();
    let batcher = StatusBatcher::new();
    let open = |channel| scene.open(OpenWriter::new(&scene.session, path(channel)).sharing(&batcher));
    let (mut asks, mut waits_for_it) = (open("a"), open("b"));
    for writer in [&mut asks, &mut waits_for_it] {
        writer.append(batch(1)).expect("there is room");
        scene.go_on(writer, Duration::ZERO).expect("sent");
    }
    scene.world.set_faults(FaultPlan::none().nth_of("bulkGetChannelStatus", 1, waits(290)));
    scene.go_on(&mut asks, seconds(2)).expect("it waits");
    let (begin, mut polls) = (scene.world.now(), 0);
    let results =
        scene.world.run_all_with([UntilCommitted(&mut waits_for_it, &mut polls)], &Secret::new("pat"), |_, _| {});
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let took = scene.world.now().since(begin);
    assert!(took < seconds(15) && polls < 60, "{polls} polls in {took:?}");
}
