//! The Flink simulator in a world.

use std::time::Duration;

use pipewright::driver::Clock as _;
use pipewright::flink::Flink;
use pipewright::flink::cluster::GetOverview;
use pipewright::flink::jobs::GetJobsOverview;
use pipewright_mock::{FaultPlan, START, World, flink};

#[test]
fn a_cluster_is_called_and_outlives_a_restart() {
    let world = World::new(1);
    let config = flink::Config { slots: 9, ..flink::Config::default() };
    let cluster = world.flink("http://flink.test:8081".parse().expect("an address"), config);
    let flink = Flink::new(cluster.base(), world.clone());
    assert_eq!(flink.call(GetOverview::new()).expect("no faults").slots_total, Some(9));

    let restarted = world.now();
    cluster.restart(Duration::from_secs(2));
    assert_eq!(flink.call(GetOverview::new()).expect("it comes back").slots_total, Some(9));
    assert!(world.now() >= restarted + Duration::from_secs(2));
}

#[test]
fn a_hostile_world_is_survived() {
    for seed in 0..20 {
        let world = World::new(seed);
        let cluster = world.flink("http://flink.test:8081".parse().expect("an address"), flink::Config::default());
        world.set_faults(FaultPlan::hostile(seed).until(START + Duration::from_secs(60)));
        let flink = Flink::new(cluster.base(), world.clone());
        for _ in 0..10 {
            let jobs = flink.call(GetJobsOverview::new()).expect("reading can be repeated").jobs;
            assert!(jobs.is_empty());
        }
        assert!(cluster.with(|cluster| cluster.jars().is_empty()));
    }
}
