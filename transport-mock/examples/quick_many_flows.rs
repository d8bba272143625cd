//! 1,000 flows on one thread: each uploads a jar and runs it.
//!
//! Use `Many` if each flow does something of its own. To follow 1,000 jobs, do not run 1,000 flows such as `AwaitJob`:
//! one `WatchJobs` reads the states of all jobs with one request per poll.
//!
//! ```text
//! cargo run -p pipewright-mock --example quick_many_flows
//! ```

use std::error::Error;

use pipewright::Seed;
use pipewright::flink::{FlinkRest, RunJar};
use pipewright::flow::{Config, Goal as _, Many, ManyStep};
use pipewright_mock::{World, flink};

fn main() -> Result<(), Box<dyn Error>> {
    let world = World::new(1);
    let cluster = world.flink("http://flink".parse()?, flink::Config::default());
    let config = Config::<FlinkRest>::new(cluster.base());

    let jar = flink::Program::endless("a job").jar();
    let mut flows = Many::new();
    for number in 0..1000 {
        flows.insert(RunJar::upload("job.jar", jar.clone()).start(&config, Seed::new(number)));
    }
    let (mut launched, mut until) = (0, None);
    loop {
        match flows.poll(pipewright::driver::Clock::now(&world)) {
            ManyStep::Send(_, exchange) => drop(world.submit(exchange)),
            ManyStep::Done(_, Ok(_)) => launched += 1,
            ManyStep::Done(id, Err(error)) => eprintln!("{id:?}: {error}"),
            ManyStep::Notice(..) | ManyStep::Authorize(..) => {}
            ManyStep::Idle { until: None } => break,
            ManyStep::Idle { until: Some(at) } => until = Some(at),
        }
        if let Some((_, reply)) = until.take().and_then(|at| world.next_reply(at)) {
            flows.settle(reply);
        }
    }
    println!("{launched} of 1000 jobs were launched");
    Ok(())
}
