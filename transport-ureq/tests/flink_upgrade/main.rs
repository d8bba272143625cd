//! The example `flink_upgrade` with the served simulator, and tests of its parts.

mod commands;
#[path = "../example/mod.rs"]
mod example;
mod kills;
mod outcomes;
mod plans;
mod recovery;
mod relay;
mod stage;
mod verdicts;

#[allow(dead_code, reason = "the rest is for the tool")]
#[path = "../../examples/flink_upgrade/command.rs"]
mod command;
#[allow(dead_code, reason = "the rest is for the tool")]
#[path = "../../examples/flink_upgrade/found.rs"]
mod found;
#[allow(dead_code, reason = "the rest is for the tool")]
#[path = "../../examples/flink_upgrade/next.rs"]
mod next;
#[allow(dead_code, reason = "the rest is for the tool")]
#[path = "../../examples/flink_upgrade/options.rs"]
mod options;
#[allow(dead_code, reason = "the rest is for the tool")]
#[path = "../../examples/flink_upgrade/report.rs"]
mod report;
#[path = "../../examples/support/mod.rs"]
mod support;
#[path = "../../examples/flink_upgrade/verdict.rs"]
mod verdict;
