//! Lists the failing jobs of a Flink cluster, each with its cause.
//! Run it: `cargo run -p pipewright-examples --example quick_failing_jobs`

use std::time::Duration;

use pipewright::driver::Clock as _;
use pipewright::flink::jobs::{GetJobExceptions, GetJobsOverview, JobState};
use pipewright::flink::{Flink, RunJar};
use pipewright_mock::flink::{Config, Program};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A simulated cluster; a real one takes `Flink::new("http://127.0.0.1:8081".parse()?, Ureq::new())`.
    let world = pipewright_mock::World::new(1);
    let flink = Flink::new(world.flink("http://flink".parse()?, Config::default()).base(), world.clone());
    flink.run(RunJar::upload("orders.jar", Program::endless("orders").jar()))?;
    flink.run(RunJar::upload("items.jar", Program::endless("items").fails_after(500).restarts(0).jar()))?;
    world.sleep_until(world.now() + Duration::from_secs(60));

    let mut failing = Vec::new();
    for job in flink.call(GetJobsOverview::new())?.jobs {
        if matches!(job.state, JobState::Failed | JobState::Failing | JobState::Restarting) {
            let cause = flink.call(GetJobExceptions::new(job.id).max_exceptions(1_u32))?.newest();
            failing.push(format!("{}: {}", job.name.unwrap_or_default(), cause.ok_or("no exception")?));
        }
    }
    println!("{}", failing.join("\n"));
    assert!(failing.len() == 1 && failing[0].starts_with("items: "), "{failing:?}");
    Ok(())
}
