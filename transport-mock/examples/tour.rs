//! The main job, on the embedded simulator: a job is upgraded without losing its state, and then once more, with a jar
//! that is no good. Nothing is installed, no port is opened, and a minute of waiting takes no time.
//!
//! ```text
//! cargo run --example tour
//! ```

use std::error::Error;
use std::time::Duration;

use pipewright::Timestamp;
use pipewright::drive::Clock as _;
use pipewright::flink::flow::Upgrade;
use pipewright::flink::{AwaitJob, Flink, GetJobAccumulators, JobId, RunJar, UpgradeJob};
use pipewright::flow::{Goal, Notice};
use pipewright_mock::flink::{Config, Program};
use pipewright_mock::{Event, Fault, FaultPlan, World};

fn main() -> Result<(), Box<dyn Error>> {
    let world = World::new(2026);
    let start = world.now();
    let cluster = world.flink("http://flink.example:8081".parse()?, Config::default());
    let flink = Flink::new(cluster.base(), world.clone());
    world.on_event(move |event| println!("{}", line(start, event)));

    chapter("A simulated Flink cluster, and a job that counts orders");
    let first = Program::endless("orders v1").rate(50);
    let job = tell(&flink, RunJar::upload("orders-1.jar", first.jar()))?;
    let _ = tell(&flink, AwaitJob::running(job.job))?;
    world.sleep_until(world.now() + Duration::from_secs(20));
    let before = counted(&flink, job.job)?;
    println!("\n  The job has counted {before} orders.");

    chapter("An upgrade, on which one answer gets lost");
    println!("  The cluster will carry out the stop, but its answer never arrives: was it carried out?");
    println!("  The flow sends the same trigger id again, and the cluster recognises it. The job is stopped once.\n");
    world.set_faults(FaultPlan::none().nth_of("triggerStopWithSavepoint", 1, Fault::ReplyLost));
    let second = Program::endless("orders v2").rate(80);
    let upgrade = tell(
        &flink,
        UpgradeJob::new(job.job, RunJar::uploaded(job.jar), RunJar::upload("orders-2.jar", second.jar())),
    )?;
    let Upgrade::Upgraded { job, savepoint, .. } = upgrade else {
        return Err("the new jar was expected to be good".into());
    };
    let stops = cluster.with(|cluster| cluster.savepoints().len());
    println!("\n  Orders v2 goes on from {savepoint}; {stops} savepoint was taken.");
    println!("  It has counted {} orders: it went on from {before} and more.", counted(&flink, job)?);

    chapter("An upgrade to a jar that is no good");
    println!("  Orders v3 cannot read the state of v2. The job is stopped by then, so the old jar must run again.\n");
    let old = cluster
        .with(|cluster| cluster.jars())
        .into_iter()
        .find(|jar| jar.contains("orders-2"))
        .ok_or("it was uploaded")?;
    let third = Program::endless("orders v3").state_incompatible().restarts(2);
    let upgrade =
        tell(&flink, UpgradeJob::new(job, RunJar::uploaded(old), RunJar::upload("orders-3.jar", third.jar())))?;
    let Upgrade::RolledBack { job, savepoint, reason } = upgrade else {
        return Err("the new jar was expected to be no good".into());
    };
    println!("\n  Rolled back, because {reason}.");
    println!("  Orders v2 runs again from {savepoint}, and has counted {} orders.", counted(&flink, job)?);

    chapter("The end");
    let waited = world.now().since(start);
    println!("  {:.1} s passed on the virtual clock, and none on yours.", waited.as_secs_f64());
    println!("  The same flows run on a real cluster: see transport-ureq/examples/flink_upgrade.rs.");
    Ok(())
}

/// Runs a flow, and tells what it says on its way.
fn tell<G: Goal<Service = pipewright::flink::FlinkRest>>(
    flink: &Flink<World>,
    goal: G,
) -> Result<G::Output, Box<dyn Error>> {
    Ok(flink.run_with(goal, |notice| match notice {
        Notice::Phase { flow, phase } => println!("  ── {flow}: {phase}"),
        Notice::Observed { what, state } => println!("     {}", shorten(&format!("{what}: {state}"))),
        Notice::Retrying { operation, cause, .. } => println!("     {operation} will be sent again: {cause}"),
        Notice::Save(saved) => {
            println!("     (a crash from here on would be resumed from {} bytes of saved state)", saved.state.len());
        }
        _ => {}
    })?)
}

/// What the job has counted, as the cluster's cache tells: it may be three seconds old.
fn counted(flink: &Flink<World>, job: JobId) -> Result<u64, Box<dyn Error>> {
    flink.runtime().sleep_until(flink.runtime().now() + Duration::from_secs(4));
    let accumulators = flink.call(GetJobAccumulators::new(job))?.tasks;
    let records = accumulators.iter().find(|accumulator| accumulator.name == "records").ok_or("it counts records")?;
    Ok(records.value.parse()?)
}

fn chapter(title: &str) {
    println!("\n{title}\n{}\n", "═".repeat(title.chars().count()));
}

/// An event with the seconds since the start as a margin, without what is the same in every line.
fn line(start: Timestamp, event: &Event) -> String {
    let text = event.to_string();
    let text = text.split_once(' ').map_or(&*text, |(_time, rest)| rest).replace("http://flink.example:8081/v1", "");
    format!("{:>8.3} s  {}", event.at.since(start).as_secs_f64(), shorten(&text))
}

/// Cuts ids of 32 digits down to 8: they are easier to tell apart so.
fn shorten(text: &str) -> String {
    let mut short = String::new();
    for word in text.split_inclusive(|letter: char| !letter.is_ascii_hexdigit() && letter != '-') {
        let end = word.len() - usize::from(!word.ends_with(|letter: char| letter.is_ascii_hexdigit() || letter == '-'));
        let (id, rest) = word.split_at(end);
        match id.len() {
            32.. => short.extend([&id[..8], "…", rest]),
            _ => short.push_str(word),
        }
    }
    short
}
