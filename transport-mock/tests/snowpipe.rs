//! The Snowpipe Streaming simulator in a world. Requests are made by hand: who it is that asks does not matter.

mod common;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use pipewright::drive::{Clock as _, Transport as _};
use pipewright::error::{BuildError, ServiceError};
use pipewright::flow::{Call, Config};
use pipewright::operation::{Info, RequestContext, Service as _};
use pipewright::url::Target;
use pipewright::{Body, Operation, Seed};
use pipewright_mock::{World, snowpipe};

use crate::common::{Counting, next_exchange};

/// Asks for the host of the data.
struct Hostname;

impl Operation for Hostname {
    type Output = Bytes;
    type Service = Counting;
    const INFO: &'static Info = &Info {
        service: "counting",
        name: "hostname",
        method: Method::GET,
        path: "/v2/streaming/hostname",
        effect: pipewright::Effect::Safe,
        effect_varies: false,
    };

    fn request(&self, cx: RequestContext<'_>) -> Result<Request<Body>, BuildError> {
        let mut request = Target::new::<Counting>(Self::INFO, cx).finish(None)?;
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer pat"));
        Ok(request)
    }

    fn parse(&self, response: Response<Bytes>) -> Result<Bytes, ServiceError> {
        if response.status().is_success() {
            Ok(response.into_body())
        } else {
            Err(Counting::refusal(Self::INFO, &response))
        }
    }
}

/// What a host answers when it is asked for the host of the data; nothing when there is no such host.
fn ask(world: &World, host: &str) -> Option<(u16, Bytes)> {
    let config = Config::<Counting>::new(format!("https://{host}").parse().expect("an address"));
    let mut call = Call::new(Hostname, &config, Seed::new(1));
    let exchange = next_exchange(&mut call, world.now(), None);
    let response = world.send(&exchange).ok()?;
    Some((response.status().as_u16(), response.into_body()))
}

#[test]
fn an_account_and_its_ingest_hosts_are_one_simulator() {
    let world = World::new(1);
    let base = "https://my-org-my-acct.snow.test".parse().expect("an address");
    let account = world.snowpipe(base, snowpipe::Config::default());
    assert_eq!(
        ask(&world, "my-org-my-acct.snow.test"),
        Some((200, Bytes::from_static(b"sim_account.ingest.snowpipe.test")))
    );
    // The hosts of the data have no such route, and are there under their dashed names only.
    for host in ["sim-account.ingest.snowpipe.test", "sim-account-2.ingest.snowpipe.test"] {
        assert_eq!(ask(&world, host).expect("an answer").0, 404, "{host}");
    }
    assert_eq!(ask(&world, "sim_account.ingest.snowpipe.test"), None);
    account.fail_over(Duration::from_secs(60));
    world.sleep_until(world.now() + Duration::from_secs(60));
    assert_eq!(
        ask(&world, "my-org-my-acct.snow.test"),
        Some((200, Bytes::from_static(b"sim_account-2.ingest.snowpipe.test")))
    );
    assert_eq!(account.with(|account| account.requests().len()), 4);
}
