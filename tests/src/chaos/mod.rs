//! Seeded runs against a real Flink cluster with faults. The results are compared with the cluster itself.
//!
//! | module | what |
//! |---|---|
//! | [`operator`] | carries goals out as a process that is killed now and then and resumes from its saved state |
//! | [`scenario`] | what a seed draws: the operations, the new jar, where the process is killed, the faults |
//! | [`truth`] | what the cluster itself says, asked directly, and the savepoints on disk |
//! | [`case`] | one seed: its operations, and what must hold after each |
//! | [`verdict`] | how operations and seeds ended |
//! | [`report`] | the table of all seeds |
//!
//! `tests/flink/chaos` starts a cluster and runs the program `flink_chaos`, which is built from this.
//!
//! What must hold:
//!
//! * There are never two live jobs of one goal.
//! * Every savepoint that a result or an error names exists, and every savepoint on disk was named.
//! * A result is true: the job is there in the state that it says, restored from the savepoint that it says, and
//!   continues to count where that savepoint was taken.
//! * No run ends without a job if it was not stopped by request, unless its error names a savepoint.

pub mod case;
pub mod operator;
pub mod report;
pub mod scenario;
pub mod truth;
pub mod verdict;
