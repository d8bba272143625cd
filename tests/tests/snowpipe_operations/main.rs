//! Snowpipe Streaming's operations: their requests, how each answer is read, and how rows become batches.

mod recordings;
mod rows;
