//! The types of `pipewright::feldera`, compared with those that the server itself uses. See the README.

mod answers;
mod checkpoints;
mod compare;
mod configuration;
mod program;
mod requests;
