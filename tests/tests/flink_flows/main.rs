//! Flink's flows: case by case on the simulated cluster, and under random faults in virtual time.

mod cases;
mod chaos;
mod cluster;
mod exits;
mod faults;
mod job_manager;
mod metrics;
mod resume;
mod run;
mod run_statement;
mod states;
mod stop;
mod upgrade;
mod upgrade_failover;
mod upgrade_options;
mod upgrade_outcomes;
mod upkeep;
mod watch_jobs;
