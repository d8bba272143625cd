//! Snowpipe Streaming's flows: sessions, channels and the writer, case by case and in random schedules.

mod address;
mod goals;
mod load;
mod schedules;
mod session;
mod writer;
