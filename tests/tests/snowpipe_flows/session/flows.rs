//! The flows of channels, with the host and the token of a session.

use std::time::Duration;

use http::{HeaderValue, StatusCode};
use pipewright::driver::{Clock as _, Credentials};
use pipewright::error::{CredentialError, FlowError, ServiceError};
use pipewright::flow::{CredentialRequest, Goal};
use pipewright::snowpipe::rows::Batch;
use pipewright::snowpipe::session::Session;
use pipewright::snowpipe::{
    Account, AppendElastic, ChannelPath, DropChannel, IngestClient, OpenChannel, OpenSession, Position, Reconcile,
};
use pipewright::{Secret, Seed, Timestamp};
use pipewright_mock::snowpipe::{ChannelPath as Simulated, ChannelView, Config as SimulatedConfig};
use pipewright_mock::{Fault, FaultPlan, SnowpipeHandle, World};

use super::{KIND, NOW, account, drive, opened, seconds, token};

struct Pat;

impl Credentials for Pat {
    fn authorize(&self, request: &CredentialRequest, _: Timestamp) -> Result<HeaderValue, CredentialError> {
        assert_eq!(request.authority(), "acct.snow.test", "the session answers for the ingest host");
        Secret::new("pat").bearer()
    }
}

fn path() -> ChannelPath {
    ChannelPath::of_table("DB", "PUBLIC", "T", "c")
}

fn batch(number: u32) -> Batch {
    Batch::new(format!("{{\"ID\":{number}}}\n"), 1, number.to_string(), number.to_string())
}

struct Scene {
    world: World,
    simulator: SnowpipeHandle,
    account: Account<World>,
    session: Session,
}

impl Scene {
    fn new() -> Self {
        let world = World::new(1);
        let simulator = world.snowpipe(account().base().clone(), SimulatedConfig::default());
        let account = Account::new(account().base().clone(), world.clone()).with_credentials(Pat);
        let session = OpenSession::new(KIND).connect_lazy(account.config());
        Self { world, simulator, account, session }
    }

    fn ingest(&self) -> IngestClient<World> {
        IngestClient::new(self.account.clone(), self.session.clone())
    }

    fn view(&self) -> ChannelView {
        let path = Simulated::new("DB", "PUBLIC", "T-STREAMING", "c");
        self.simulator.with(|account| account.channel_view(&path)).expect("the channel")
    }

    fn revoke(&self) {
        self.simulator.with(pipewright_mock::snowpipe::Account::revoke_tokens);
    }
}

#[test]
fn every_flow_runs_with_a_session_whatever_becomes_of_its_token() {
    let scene = Scene::new();
    let ingest = scene.ingest();
    let channel = ingest.run(OpenChannel::new(path())).expect("host and token are found");
    let position = Position::of(channel.status());
    scene.revoke();
    let channel = ingest.run(channel.append(batch(1))).expect("another token");
    scene.revoke();
    let committed = ingest.run(channel.await_committed("1")).expect("another token");
    assert_eq!(committed.token, "1");
    scene.revoke();
    let sent = Position::of(channel.status());
    assert_eq!(sent, position);
    let mut position = position;
    position.sent.push("1".to_owned());
    let reconciled = ingest.run(Reconcile::new(path(), position)).expect("another token");
    assert_eq!(reconciled.settled, 1);
    scene.revoke();
    ingest.run(AppendElastic::to_table("DB", "PUBLIC", "T", batch(2))).expect("another token");
    scene.revoke();
    ingest.run(DropChannel::new(path())).expect("another token");
    assert_eq!(scene.view().rows.len(), 1);
    let tokens = scene.simulator.with(|account| account.requests().filter(|it| it.path == "/oauth/token").count());
    assert_eq!(tokens, 6, "one for each time that they were revoked");
}

#[test]
fn a_flow_that_finds_its_host_gone_leaves_the_next_to_another() {
    let scene = Scene::new();
    let ingest = scene.ingest();
    let channel = ingest.run(OpenChannel::new(path())).expect("host and token are found");
    scene.simulator.fail_over(seconds(60));
    scene.world.sleep_until(scene.world.now() + seconds(60));
    let error = ingest.run(channel.append(batch(1))).expect_err("it is gone");
    assert_eq!(error.service().map(ServiceError::status), Some(StatusCode::GONE));
    let channel = ingest.run(OpenChannel::new(path())).expect("the next host");
    ingest.run(channel.append(batch(1))).expect("no faults");
    assert_eq!(ingest.session().generation(), 2);
    scene.world.sleep_until(scene.world.now() + seconds(10));
    assert_eq!(scene.view().rows.len(), 1);
}

/// What was perhaps carried out stays unknown when there is no token to make the next attempt with.
#[test]
fn no_token_after_an_attempt_without_an_answer_is_ambiguous() {
    for unanswered in [false, true] {
        let scene = Scene::new();
        let (account, session) = (&scene.account, &scene.session);
        let channel = account.run(session.run(OpenChannel::new(path()))).expect("host and token are found");
        let mut plan = FaultPlan::none();
        if unanswered {
            plan = plan.nth_of("appendRows", 1, Fault::ReplyLost);
        }
        scene.world.set_faults(plan.nth_of("appendRows", 1 + u64::from(unanswered), Fault::Unauthorized));
        let append = session.run(channel.append(batch(1)));
        let stranger = Account::new(super::account().base().clone(), scene.world.clone());
        let error = stranger.run(append).expect_err("no token");
        assert_eq!(error.is_ambiguous(), unanswered, "{error}");
        assert!(error.to_string().contains("none was configured"), "{error}");
    }
}

/// Time that goes by without a token counts like any other.
#[test]
fn a_flow_ends_in_time_also_while_there_is_no_token() {
    let scene = Scene::new();
    let (account, session) = (&scene.account, &scene.session);
    let no_tokens = (1..1000).fold(FaultPlan::none(), |plan, n| plan.nth_of("exchangeToken", n, Fault::ReplyLost));
    scene.world.set_faults(no_tokens.clone());
    let begin = scene.world.now();
    let error = account.run(session.run(OpenChannel::new(path())).timeout(seconds(5))).expect_err("no token");
    assert!(matches!(error, FlowError::Deadline { .. }), "{error}");
    assert_eq!(scene.world.now().since(begin), seconds(5));

    scene.world.set_faults(FaultPlan::none());
    let channel = account.run(session.run(OpenChannel::new(path()))).expect("host and token are found");
    scene.world.set_faults(no_tokens);
    scene.revoke();
    let begin = scene.world.now();
    let error = account.run(session.run(channel.append(batch(1)).timeout(seconds(5)))).expect_err("no token");
    assert!(!error.is_ambiguous() && error.to_string().contains("the deadline"), "{error}");
    assert_eq!(scene.world.now().since(begin), seconds(5));
}

/// In the middle of a flow the session moves: the token for the new host does not go to the old host.
#[test]
fn a_token_of_another_host_is_not_shown_to_this_one() {
    let session = opened(NOW, &token(1, seconds(3600)));
    let mut flow = session.run(OpenChannel::new(path())).start(&account(), Seed::new(1));
    let mut tokens = 1;
    let error = drive(&mut flow, NOW + seconds(5), |exchange| match exchange.request().uri().path() {
        "/v2/streaming/hostname" => (200, "other.ingest.snow.test".to_owned()),
        "/oauth/token" => {
            tokens += 1;
            // What comes of this exchange is for the earlier host.
            if tokens == 2 {
                session.moved(1);
            }
            (200, token(tokens, Duration::from_secs(3600)))
        }
        _ => {
            assert_eq!(exchange.request().uri().host(), Some("my-host.ingest.snow.test"));
            let first = format!("Bearer {}", token(1, seconds(3600)));
            assert_eq!(exchange.request().headers()["authorization"], first);
            (401, r#"{"code":"390303","message":"m"}"#.to_owned())
        }
    })
    .expect_err("it has moved");
    assert!(matches!(&error, FlowError::Credential(_)) && error.to_string().contains("moved"), "{error}");
}
