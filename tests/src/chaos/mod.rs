//! Seeded runs against a real Flink cluster with faults. The results are compared with the cluster itself.
//!
//! | module | content |
//! |---|---|
//! | [`operator`] | runs goals as a process that is killed from time to time and resumes from its saved state |
//! | [`scenario`] | what a seed decides: the operations, the new jar, where the process is killed, the faults |
//! | [`truth`] | the state of the cluster, read without the proxy, and the savepoints on disk |
//! | [`case`] | one seed: its operations, and the checks after each operation |
//! | [`verdict`] | how operations and seeds ended |
//! | [`report`] | the table of all seeds |
//!
//! `tests/flink/chaos` starts a cluster and runs the program `flink_chaos`, which calls this module. It checks:
//!
//! * There are never two live jobs of one goal.
//! * Every savepoint that a result or an error names exists, and every savepoint on disk was named.
//! * A result is true: the job exists in the reported state, was restored from the reported savepoint, and continues to
//!   count where this savepoint was taken.
//! * If a run ends without a job, the job was stopped by request, or the error names a savepoint.

pub mod case;
pub mod operator;
pub mod report;
pub mod scenario;
pub mod truth;
pub mod verdict;
