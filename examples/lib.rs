//! Examples of Pipewright with async HTTP clients. Each runs against a simulator that it starts itself:
//!
//! ```text
//! cargo run -p pipewright-examples --example quick_reqwest    reqwest on tokio
//! cargo run -p pipewright-examples --example quick_hyper      hyper on tokio, with a streaming response
//! ```
