//! What all services share: calls with retries, decoders, addresses, errors, and how often the hot paths allocate.

mod allocations;
mod bad_input;
mod call;
mod call_contact;
mod call_properties;
mod decoders;
mod fuzz;
mod lost_route;
mod paths;
mod run_async;
