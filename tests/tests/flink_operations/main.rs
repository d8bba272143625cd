//! Flink's operations, those of the HistoryServer and those of the SQL Gateway: what each sends, how each answer is
//! read.

mod history_server;
mod proxy_recording;
mod replies;
mod requests;
mod retries;
mod sql_gateway;
mod traps;
