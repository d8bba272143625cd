//! What all services share: calls with retries, decoders, addresses, errors, and how often the hot paths allocate.

mod allocations;
mod async_driver;
mod bad_input;
mod call;
mod call_contact;
mod call_properties;
mod credentials;
mod decoders;
mod driven_flow;
mod fuzz;
mod lost_route;
mod many;
mod notices;
mod odd_answers;
mod paths;
mod run_async;
