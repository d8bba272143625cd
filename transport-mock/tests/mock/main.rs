//! The simulators, the world, the server of the simulators, and the contract of transports.

mod common;
mod conformance;
mod faults;
mod feldera;
#[cfg(feature = "sql")]
mod feldera_sql;
mod flink;
#[cfg(feature = "serve")]
mod pipewright_sim;
#[cfg(feature = "serve")]
mod proxy;
#[cfg(feature = "serve")]
mod recording;
mod script;
#[cfg(feature = "serve")]
mod serve;
mod snowpipe;
#[cfg(feature = "proptest")]
mod strategies;
#[cfg(feature = "tls")]
mod tls;
mod transcript;
mod world;
