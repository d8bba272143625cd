//! A property test: whatever gets lost, late or rejected, a jar is run at most once.
//! Run it: `cargo test -p pipewright-examples --test quick_property_test`

use pipewright::flink::{Flink, RunJar};
use pipewright_mock::{World, flink, strategies};
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_jar_is_run_at_most_once(faults in strategies::fault_plan(), seed: u64) {
        let world = World::new(seed);
        let cluster = world.flink("http://flink".parse()?, flink::Config::default());
        world.set_faults(faults);

        let flink = Flink::new(cluster.base(), world);
        let result = flink.run(RunJar::upload("orders.jar", flink::Program::endless("orders").jar()));
        let jobs = cluster.with(|cluster| cluster.jobs().len());
        match result {
            Ok(_) => prop_assert_eq!(jobs, 1),
            // Only an ambiguous error may leave a job behind.
            Err(error) => prop_assert!(jobs == 0 || (jobs == 1 && error.is_ambiguous()), "{jobs} jobs: {error}"),
        }
    }
}
