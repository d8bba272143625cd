//! Many channels on one clock.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use pipewright::driver::{self, Clock as _, Credentials, Entropy, Opened, Transport};
use pipewright::error::{CredentialError, FlowError, TransportError};
use pipewright::flow::{CredentialRequest, Exchange, Flow, Goal, Reply, Step};
use pipewright::snowpipe::channels::{BulkGetChannelStatus, ChannelStatuses};
use pipewright::snowpipe::session::{Session, SessionCall};
use pipewright::snowpipe::{Account, OpenSession};
use pipewright::{Secret, Seed, Timestamp};
use pipewright_mock::fault::{Fault, FaultKind, FaultPlan};
use pipewright_mock::snowpipe::Config as Simulated;
use pipewright_mock::{SnowpipeHandle, World};
use proptest::prelude::*;

use super::{KIND, NOW, account, drive, opened, seconds, status, token};

struct Pat;

impl Credentials for Pat {
    fn authorize(&self, request: &CredentialRequest, _: Timestamp) -> Result<HeaderValue, CredentialError> {
        assert_eq!(request.authority(), "acct.snow.test", "only the account's host gets the account's credential");
        Secret::new("pat").bearer()
    }
}

/// Asks again and again, with a pause.
struct Channel {
    session: Session,
    seed: Seed,
    call: Option<Box<<SessionCall<BulkGetChannelStatus> as Goal>::Flow>>,
    left: u32,
    pause: Duration,
    until: Timestamp,
}

impl Channel {
    fn new(session: &Session, seed: u128, calls: u32, pause: Duration) -> Self {
        Self { session: session.clone(), seed: Seed::new(seed), call: None, left: calls, pause, until: NOW }
    }
}

impl Flow for Channel {
    type Output = ();

    fn poll(&mut self, now: Timestamp, mut reply: Option<Reply>) -> Step<()> {
        while self.left > 0 {
            let Some(call) = &mut self.call else {
                if now < self.until {
                    return reply.map_or(Step::WaitUntil(self.until), Step::Stray);
                }
                let call = self.session.call(status()).start(self.session.account(), self.seed.split());
                self.call = Some(Box::new(call));
                continue;
            };
            let result: Result<ChannelStatuses, FlowError> = pipewright::ready!(call.poll(now, reply.take()));
            self.call = None;
            if let Err(error) = result {
                return Step::Done(Err(error));
            }
            self.left -= 1;
            self.until = now + self.pause;
        }
        Step::Done(Ok(()))
    }
}

fn mounted(world: &World, config: Simulated) -> SnowpipeHandle {
    world.snowpipe(account().base().clone(), config)
}

/// How many requests of each path were answered with 200.
fn answered(simulator: &SnowpipeHandle) -> BTreeMap<String, usize> {
    simulator.with(|account| {
        let mut paths = BTreeMap::new();
        for request in account.requests().filter(|request| request.status == 200) {
            let path = request.path.split("/pipes/").next().unwrap_or_default();
            *paths.entry(path.to_owned()).or_default() += 1;
        }
        paths
    })
}

#[test]
fn a_thousand_channels_make_one_exchange() {
    let world = World::new(1);
    let simulator = mounted(&world, Simulated::default());
    let session = OpenSession::new(KIND).connect_lazy(&account());
    let channels = (0..1000).map(|number| Channel::new(&session, number, 3, seconds(1)));
    for result in world.run_all_with(channels, &Pat, |_, _| {}) {
        result.expect("no faults");
    }
    let answered = answered(&simulator);
    assert_eq!((answered["/v2/streaming/hostname"], answered["/oauth/token"]), (1, 1));
}

/// A world whose clock stands still for its clients: a thread that waits lets the others run. On the virtual clock,
/// sixteen threads that wait would move the time on while the thread that renews the token is not scheduled.
struct Standing {
    world: World,
    now: Timestamp,
}

impl Transport for Standing {
    fn send(&self, exchange: &Exchange) -> Result<Response<Bytes>, TransportError> {
        self.world.send(exchange)
    }

    fn open(&self, exchange: &Exchange) -> Result<Opened, TransportError> {
        self.world.open(exchange)
    }
}

impl driver::Clock for Standing {
    fn now(&self) -> Timestamp {
        self.now
    }

    fn sleep_until(&self, _: Timestamp) {
        std::thread::yield_now();
    }
}

impl Entropy for Standing {
    fn bits(&self) -> u128 {
        self.world.bits()
    }
}

#[test]
fn threads_make_one_exchange() {
    let world = World::new(1);
    let simulator = mounted(&world, Simulated::default());
    let handle = Account::new(account().base().clone(), Standing { now: world.now(), world }).with_credentials(Pat);
    let session = OpenSession::new(KIND).connect_lazy(handle.config());
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| (0..20).for_each(|_| drop(handle.run(session.call(status())).expect("no faults"))));
        }
    });
    let answered = answered(&simulator);
    assert_eq!((answered["/v2/streaming/hostname"], answered["/oauth/token"]), (1, 1));
}

#[test]
fn revoked_tokens_are_replaced_once() {
    let world = World::new(1);
    let simulator = mounted(&world, Simulated::default());
    let handle = Account::new(account().base().clone(), world.clone()).with_credentials(Pat);
    let session = handle.run(OpenSession::new(KIND)).expect("no faults");
    simulator.with(pipewright_mock::snowpipe::Account::revoke_tokens);
    let channels = (0..200).map(|number| Channel::new(&session, number, 2, seconds(1)));
    for result in world.run_all_with(channels, &Pat, |_, _| {}) {
        result.expect("refused once, then answered");
    }
    assert_eq!(answered(&simulator)["/oauth/token"], 2);
}

#[test]
fn a_failover_leads_every_channel_to_the_next_host() {
    let world = World::new(1);
    let simulator = mounted(&world, Simulated::default());
    let handle = Account::new(account().base().clone(), world.clone()).with_credentials(Pat);
    let session = handle.run(OpenSession::new(KIND)).expect("no faults");
    simulator.fail_over(seconds(60));
    world.sleep_until(world.now() + seconds(60));
    let call = || session.call(status());
    let error = handle.run(call()).expect_err("it is gone");
    assert_eq!(error.service().map(pipewright::error::ServiceError::status), Some(StatusCode::GONE));
    handle.run(call()).expect("the next host");
    assert_eq!(session.generation(), 2);
    assert_eq!(session.ingest().expect("a host").base().authority(), "sim-account-2.ingest.snowpipe.test");
    // Late news of the first host.
    session.moved(1);
    assert_eq!(session.ingest().expect("a host").base().authority(), "sim-account-2.ingest.snowpipe.test");
}

#[test]
fn a_missing_privilege_is_no_expired_token() {
    let session = opened(NOW, &token(1, seconds(3600)));
    let (mut asked, mut tokens) = (0, 1);
    let mut call = session.call(status()).start(&account(), Seed::new(1));
    let error = drive(&mut call, NOW, |exchange| {
        if exchange.request().uri().path() == "/oauth/token" {
            tokens += 1;
            (200, token(tokens, seconds(3600)))
        } else {
            asked += 1;
            (403, r#"{"code":"FORBIDDEN","message":"m"}"#.to_owned())
        }
    })
    .expect_err("forbidden");
    assert_eq!((asked, tokens), (2, 2), "another token, once");
    assert!(matches!(error, FlowError::Service(_)), "{error:?}");
    // And the same again.
    let again = call.poll(NOW, None);
    assert!(matches!(again, Step::Done(Err(FlowError::Service(_)))), "{again:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever goes wrong and in whatever order: no flow makes an exchange while another is under way, no more are
    /// made than tokens end or are lost, and every channel gets its answers.
    #[test]
    fn exchanges_are_few(
        seed: u64,
        channels in 1..60_usize,
        life in 310..1000_u64,
        pause in 1..120_u64,
        lost in proptest::collection::vec(1..40_u64, 0..4),
    ) {
        let world = World::new(seed);
        let simulator = mounted(&world, Simulated { token_life: seconds(life), ..Simulated::default() });
        let mut plan = FaultPlan::seeded(seed).chance(FaultKind::Unavailable, 0.02);
        for number in &lost {
            plan = plan.nth_of("exchangeToken", *number, Fault::ReplyLost);
        }
        world.set_faults(plan);
        let session = OpenSession::new(KIND).connect_lazy(&account());
        let start = world.now();
        let flows =
            (0..channels).map(|number| Channel::new(&session, u128::from(seed) + number as u128, 10, seconds(pause)));
        for result in world.run_all_with(flows, &Pat, |_, _| {}) {
            prop_assert!(result.is_ok(), "{:?}", result.err().map(|error| error.to_string()));
        }
        let answered = answered(&simulator);
        let tokens = answered["/oauth/token"] as u64;
        let elapsed = world.now().since(start).as_secs();
        let most = 1 + elapsed / (life - 301) + lost.len() as u64;
        prop_assert!(tokens <= most, "{tokens} exchanges in {elapsed} s, with a life of {life} s");
        prop_assert_eq!(answered["/v2/streaming/hostname"], 1);
    }
}

#[test]
fn one_line_with_the_account_s_handle() {
    let world = World::new(1);
    mounted(&world, Simulated::default());
    let session = OpenSession::new(KIND).connect_lazy(&account());
    let call = session.call(status()).start(&account(), Seed::new(1));
    assert!(driver::run(call, &world, &Pat, driver::ignore_notices).expect("no faults").channel_statuses.is_empty());
}
