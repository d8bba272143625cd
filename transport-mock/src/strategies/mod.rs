//! Strategies for property tests with [proptest](https://docs.rs/proptest): faults, responses, and how a driver polls.
//!
//! They shrink towards simple cases: fewer and earlier faults, rejections instead of lost replies, responses without
//! mutations, a driver that polls as the flow asks.
//!
//! ```
//! use pipewright::driver::NoCredentials;
//! use pipewright::flink::{AwaitJob, FlinkRest, RunJar};
//! use pipewright::flow::{Config, Goal};
//! use pipewright::Seed;
//! use pipewright_mock::flink::{Config as Cluster, Program};
//! use pipewright_mock::{World, strategies};
//! use proptest::prelude::*;
//!
//! proptest! {
//!     # #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]
//!     // In your own test: #[test]
//!     fn the_job_runs_once_whatever_happens(plan in strategies::fault_plan(), schedule in strategies::schedule()) {
//!         let world = World::new(42);
//!         let cluster = world.flink("http://flink.test:8081".parse().unwrap(), Cluster::default());
//!         world.set_faults(plan);
//!         let config = Config::<FlinkRest>::new(cluster.base());
//!         let flow = RunJar::upload("orders.jar", Program::endless("orders").jar()).start(&config, Seed::new(1));
//!         let result = world.run_with_schedule(flow, &NoCredentials, &schedule);
//!         prop_assert!(cluster.with(|cluster| cluster.jobs().len()) <= 1, "{result:?}");
//!     }
//! }
//! the_job_runs_once_whatever_happens();
//! ```

mod reply;

use std::ops::RangeInclusive;
use std::time::Duration;

use http::StatusCode;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;

pub use self::reply::{reply, reply_like};

use crate::fault::{Fault, FaultPlan, RetryAfter};
use crate::world::schedule::{Schedule, Turn};

/// Generates any fault. Rejections come first, and restarts last.
pub fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        8 => survivable(),
        1 => Just(Fault::Unauthorized),
        1 => millis(50..=40_000).prop_map(Fault::DelayRequest),
    ]
}

/// Generates faults that a flow can survive: all kinds but two. Without credentials, no flow survives
/// [`Fault::Unauthorized`]. After a [`Fault::DelayRequest`], no flow can find out the outcome of a request.
fn survivable() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::NotSent),
        retry_after().prop_map(Fault::TooManyRequests),
        retry_after().prop_map(Fault::Unavailable),
        Just(Fault::ReplyLost),
        Just(Fault::CutOff),
        Just(Fault::ShortBody),
        Just(Fault::MalformedBody),
        proxy_page(),
        millis(50..=40_000).prop_map(Fault::DelayReply),
        (millis(500..=5000), any::<bool>()).prop_map(|(downtime, applied)| Fault::Restart { downtime, applied }),
        millis(500..=5000).prop_map(|downtime| Fault::LeaderLost { downtime }),
    ]
}

/// Generates plans with up to six faults among the first twenty exchanges. A flow that retries can survive them: the
/// plans have no [`Fault::Unauthorized`] and no [`Fault::DelayRequest`]. For these, use [`fault_plan_of`].
pub fn fault_plan() -> impl Strategy<Value = FaultPlan> {
    fault_plan_of(survivable())
}

/// Generates plans with up to six of these faults among the first twenty exchanges.
pub fn fault_plan_of(faults: impl Strategy<Value = Fault>) -> impl Strategy<Value = FaultPlan> {
    vec((1..=20_u64, faults), 0..=6)
        .prop_map(|faults| faults.into_iter().fold(FaultPlan::none(), |plan, (n, fault)| plan.nth(n, fault)))
}

/// Generates schedules of a driver: up to 24 turns of any kind, late by up to five seconds.
pub fn schedule() -> impl Strategy<Value = Schedule> {
    let turn = prop_oneof![
        Just(Turn::Prompt),
        (1..=3_u8).prop_map(Turn::Again),
        Just(Turn::Stray),
        (0..=99_u8).prop_map(Turn::Early),
        millis(1..=5000).prop_map(Turn::Late),
    ];
    vec(turn, 0..=24).prop_map(Schedule::new)
}

fn proxy_page() -> impl Strategy<Value = Fault> {
    let rejection = select(vec![StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT]);
    prop_oneof![
        3 => (rejection, any::<bool>()).prop_map(|(status, applied)| Fault::ProxyPage { status, applied }),
        1 => Just(Fault::ProxyPage { status: StatusCode::OK, applied: false }),
    ]
}

fn retry_after() -> impl Strategy<Value = RetryAfter> {
    prop_oneof![
        Just(RetryAfter::Absent),
        (0..=5_u32).prop_map(RetryAfter::Seconds),
        (0..=5_u32).prop_map(RetryAfter::Date),
    ]
}

fn millis(range: RangeInclusive<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_millis)
}
