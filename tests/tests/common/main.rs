//! Tests of what all services share: calls with retries, decoders, addresses, errors, allocations.

mod allocations;
mod async_driver;
mod bad_input;
mod call;
mod call_contact;
mod call_properties;
mod credentials;
mod decoders;
mod driven_flow;
mod execute;
mod fuzz;
mod lost_route;
mod many;
mod notices;
mod odd_answers;
mod path_parameters;
mod paths;
mod run_async;
