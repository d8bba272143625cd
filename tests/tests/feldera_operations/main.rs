//! Feldera's operations: their requests, and how each answer and each stream is read.

mod defaults;
mod metrics;
mod recordings;
mod settings;
mod shapes;
mod simulated_streams;
mod streams;
mod units;
