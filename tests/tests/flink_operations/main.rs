//! The operations of Flink, its HistoryServer and its SQL Gateway: their requests, and how each answer is read.

mod history_server;
mod proxy_recording;
mod replies;
mod requests;
mod retries;
mod sql_gateway;
mod traps;
