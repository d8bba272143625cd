//! The example `flink_upgrade`, run against the served simulator.

#[path = "../example/mod.rs"]
mod example;
mod kills;
mod outcomes;
mod plans;
mod relay;
mod stage;
