//! A snapshot test: the transcript of a whole flow, in which an answer gets lost.
//! Run it: `cargo test -p pipewright-examples --test quick_snapshot_test`

use pipewright::flink::jobs::JobState;
use pipewright::flink::{Cancel, Flink, RunJar};
use pipewright_mock::transcript::{self, Recorder};
use pipewright_mock::{Fault, FaultPlan, World, flink};

#[test]
fn a_cancel_whose_answer_is_lost_is_sent_again() -> Result<(), Box<dyn std::error::Error>> {
    let world = World::new(1);
    let cluster = world.flink("http://flink".parse()?, flink::Config::default());
    let program = flink::Program::endless("orders");
    let job = Flink::new(cluster.base(), world.clone()).run(RunJar::upload("orders.jar", program.jar()))?.job;

    world.set_faults(FaultPlan::none().nth_of("cancelJob", 1, Fault::ReplyLost));
    let flink = Flink::new(cluster.base(), Recorder::new(world));
    let canceled = transcript::run(&flink, Cancel::new(job))?;
    assert_eq!(canceled.state, JobState::Canceled);
    // Review the snapshot in `snapshots` with `cargo insta`. Ids and times in it have stable names.
    insta::assert_snapshot!("cancel_with_a_lost_answer", flink.runtime().finish());
    Ok(())
}
