//! The flow of the SQL Gateway.

mod run_statement;

pub use run_statement::{Page, RunStatement, Statement, StatementDiagnosis, StatementEvent};
