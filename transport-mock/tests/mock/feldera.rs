//! The Feldera simulator in a world, with requests that are made by hand.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use pipewright::driver::{Clock as _, Transport as _};
use pipewright::error::{BuildError, ServiceError};
use pipewright::flow::{Call, Config};
use pipewright::operation::{OperationInfo, RequestContext, Service as _, Target};
use pipewright::{Body, Operation, Seed};
use pipewright_mock::{World, feldera};

use crate::common::{Counting, next_exchange};

/// Asks for all pipelines.
struct List;

impl Operation for List {
    type Output = Bytes;
    type Service = Counting;
    const INFO: &'static OperationInfo = &OperationInfo {
        service: "counting",
        name: "list",
        method: Method::GET,
        path: "/v0/pipelines",
        effect: pipewright::Effect::Safe,
        effect_varies: false,
    };

    fn request(&self, cx: RequestContext<'_>) -> Result<Request<Body>, BuildError> {
        Target::new::<Counting>(Self::INFO, cx).finish(None)
    }

    fn parse(&self, response: Response<Bytes>) -> Result<Bytes, ServiceError> {
        if response.status().is_success() {
            Ok(response.into_body())
        } else {
            Err(Counting::parse_error(Self::INFO, &response))
        }
    }
}

#[test]
fn a_manager_is_called_and_outlives_a_restart() {
    let world = World::new(1);
    let mounted = world.feldera("https://feldera.test".parse().expect("an address"), feldera::Config::default());
    let config = Config::<Counting>::new(mounted.base());
    let ask = || {
        let exchange = next_exchange(&mut Call::new(List, &config, Seed::new(1)), world.now(), None);
        let response = world.send(&exchange).expect("an answer");
        (response.status().as_u16(), response.into_body())
    };
    assert_eq!(ask(), (200, Bytes::from_static(b"[]")));
    mounted.restart(Duration::from_secs(5));
    assert_eq!(ask().0, 502);
    world.sleep_until(world.now() + Duration::from_secs(5));
    assert_eq!(ask().0, 200);
    assert_eq!(mounted.with(|manager| manager.requests().len()), 3);
    assert!(mounted.with(|manager| manager.pipelines().is_empty()));
}
