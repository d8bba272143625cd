//! Moves a Flink job to the next jar without losing its state, and shows a progress bar.
//! Run it: `cargo run -p pipewright-examples --example quick_upgrade`

use indicatif::{ProgressBar, ProgressStyle};
use pipewright::flink::{Flink, RunJar, Upgrade, UpgradeJob};
use pipewright::flow::Notice;
use pipewright_mock::{World, flink, flink::Program};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A simulated cluster; a real one takes `Flink::new("http://127.0.0.1:8081".parse()?, Ureq::new())`.
    let world = World::new(1);
    let flink = Flink::new(world.flink("http://flink".parse()?, flink::Config::default()).base(), world);
    let old = flink.run(RunJar::upload("orders-1.jar", Program::endless("orders v1").jar()))?;

    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template("{bar:20} {pos}/{len} {msg}")?);
    let new = RunJar::upload("orders-2.jar", Program::endless("orders v2").jar());
    let upgrade = flink.run_with(UpgradeJob::new(old.job, RunJar::uploaded(old.jar), new), |notice| {
        if let Notice::Phase { phase, index, total, .. } = notice {
            bar.set_length(total.into());
            bar.set_position(index.into());
            bar.set_message(phase);
        }
    })?;
    bar.finish();
    assert_eq!(bar.length(), Some(bar.position()));
    let Upgrade::Upgraded { job, savepoint, .. } = upgrade else { return Err(format!("{upgrade:?}").into()) };
    println!("job {job} continues from {savepoint}");
    Ok(())
}
