//! Short examples of Pipewright. Each is a complete program that starts its own simulator and checks its result.
//!
//! `cargo run -p pipewright-examples --example NAME` runs an example. `cargo test -p pipewright-examples --test NAME`
//! runs an example that is a test.
//!
//! | name | what it shows |
//! |---|---|
//! | `quick_typed_changes` | Feldera: deploys a pipeline, and reads the changes of a view as values of a Rust type |
//! | `quick_read_your_writes` | Feldera: reads the changes that ingested rows cause |
//! | `quick_ingest_csv` | Feldera: ingests a CSV file, and reports the line that does not fit |
//! | `quick_checkpoint` | Feldera: makes a checkpoint, and shows its progress |
//! | `quick_failing_jobs` | Flink: lists the failing jobs, each with its cause |
//! | `quick_upgrade` | Flink: moves a job to the next jar, with a progress bar |
//! | `quick_many_jobs` | Flink: runs 1,000 jobs on one thread |
//! | `quick_sql` | SQL Gateway: fills a table, and reads the rows of a query as Rust values |
//! | `quick_load_ndjson` | Snowpipe Streaming: loads newline-delimited JSON exactly once, and resumes the load |
//! | `quick_oauth` | calls a service with an OAuth 2.0 token that is renewed |
//! | `quick_own_operation` | calls an endpoint that the library does not know |
//! | `quick_own_client` | blocking: a runtime made of closures, on reqwest |
//! | `quick_reqwest` | async: reqwest on tokio |
//! | `quick_hyper` | async: hyper on tokio, with a streaming response |
//! | `quick_snapshot_test` | a test: compares the transcript of a whole flow with a snapshot |
//! | `quick_property_test` | a test: checks a property under generated faults |
//!
//! Larger examples are in `transport-ureq/examples` (command-line tools) and `transport-mock/examples` (the tour, and
//! an event loop).
