//! Feldera's flows: case by case with recorded answers, and under random faults in virtual time.

mod data_faults;
mod durable;
mod ingest;
mod lifecycle;
mod lifecycle_faults;
