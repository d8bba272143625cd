//! Apache Flink: a job is upgraded without losing its state, and then once more, with a jar that does not run.

use std::error::Error;
use std::time::Duration;

use pipewright::driver::Clock as _;
use pipewright::flink::jobs::GetJobAccumulators;
use pipewright::flink::{AwaitJob, Flink, JobId, RunJar, Upgrade, UpgradeJob};
use pipewright_mock::flink::{Config, Program};
use pipewright_mock::{Fault, FaultPlan, World};

use crate::story::{event, proved, section, tell};

pub(crate) fn tour() -> Result<(), Box<dyn Error>> {
    let world = World::new(2026);
    let start = world.now();
    let cluster = world.flink("http://flink.example:8081".parse()?, Config::default());
    let flink = Flink::new(cluster.base(), world.clone());
    world.on_event(move |incident| event(start, "http://flink.example:8081/v1", incident));

    section("A simulated Flink cluster, and a job that counts orders");
    let first = Program::endless("orders v1").rate(50);
    let job = tell(&flink, RunJar::upload("orders-1.jar", first.jar()))?;
    let _ = tell(&flink, AwaitJob::running(job.job))?;
    world.sleep_until(world.now() + Duration::from_secs(20));
    let before = counted(&flink, job.job)?;
    println!("  The job has counted {before} orders.");

    section("An upgrade, on which one answer gets lost");
    println!(
        "  The cluster carries out the stop, but its answer never arrives. The flow sends the same trigger id again."
    );
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
    let after = counted(&flink, job)?;
    println!("  Orders v2 continues from {savepoint}, and has counted {after} orders.");

    section("An upgrade to a jar that does not run");
    println!("  Orders v3 cannot read the state of v2. The old job is stopped by then, so the old jar must run again.");
    let old = cluster
        .with(|cluster| cluster.jars())
        .into_iter()
        .find(|jar| jar.contains("orders-2"))
        .ok_or("it was uploaded")?;
    let third = Program::endless("orders v3").state_incompatible().restarts(2);
    let upgrade =
        tell(&flink, UpgradeJob::new(job, RunJar::uploaded(old), RunJar::upload("orders-3.jar", third.jar())))?;
    let Upgrade::RolledBack { job, savepoint, reason } = upgrade else {
        return Err("the new jar was expected to fail".into());
    };
    println!("  Rolled back: {}", reason.split_once("caused by ").map_or(&*reason, |(_, cause)| cause));
    let last = counted(&flink, job)?;
    println!("  Orders v2 runs again from {savepoint}, and has counted {last} orders.");
    if stops != 1 || after <= before || last <= after {
        return Err(format!("{stops} savepoints; counted {before}, {after}, {last}").into());
    }
    let counts = format!("the count continued from the state each time: {before}, then {after}, then {last}");
    let facts = [
        "a stop whose answer was lost stopped the job once, with 1 savepoint",
        &counts,
        "a jar that does not run was replaced by the old jar, from the same savepoint",
    ];
    proved(&world, start, &facts, "transport-ureq/examples/flink_upgrade");
    Ok(())
}

/// What the job has counted, as the cluster's cache tells: it may be three seconds old.
fn counted(flink: &Flink<World>, job: JobId) -> Result<u64, Box<dyn Error>> {
    flink.runtime().sleep_until(flink.runtime().now() + Duration::from_secs(4));
    let accumulators = flink.call(GetJobAccumulators::new(job))?.tasks;
    let records = accumulators.iter().find(|accumulator| accumulator.name == "records").ok_or("it counts records")?;
    Ok(records.value.as_deref().ok_or("it has a value")?.parse()?)
}
