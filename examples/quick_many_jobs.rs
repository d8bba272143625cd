//! Runs 1,000 jobs on one thread. To follow the states of many jobs, use a single `WatchJobs` instead.
//! Run it: `cargo run -p pipewright-examples --example quick_many_jobs`

use pipewright::Seed;
use pipewright::driver::Clock as _;
use pipewright::flink::{FlinkRest, RunJar};
use pipewright::flow::{Config, Goal as _, Many, ManyStep};
use pipewright_mock::{World, flink, flink::Program};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let world = World::new(1);
    let config = Config::<FlinkRest>::new(world.flink("http://flink".parse()?, flink::Config::default()).base());
    let mut flows = Many::new();
    for number in 0..1000 {
        flows.insert(RunJar::upload("job.jar", Program::endless("a job").jar()).start(&config, Seed::new(number)));
    }
    let mut launched = 0;
    loop {
        match flows.poll(world.now()) {
            // An event loop writes the request to a socket here, and settles the flow when the answer is there.
            ManyStep::Send(_, exchange) => drop(world.submit(exchange)),
            ManyStep::Idle { until: Some(at) } => drop(world.next_reply(at).map(|(_, reply)| flows.settle(reply))),
            ManyStep::Idle { until: None } => break,
            ManyStep::Done(_, result) => launched += result.map(|_job| 1)?,
            ManyStep::Notice(..) | ManyStep::Authorize(..) => {}
        }
    }
    assert_eq!(launched, 1000);
    Ok(())
}
