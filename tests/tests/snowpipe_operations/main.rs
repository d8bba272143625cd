//! Snowpipe Streaming's operations: what each sends, how each answer is read, and how rows become batches.

mod recordings;
mod rows;
