//! The Snowpipe Streaming simulator in a world, with the operations of the core.

use std::time::Duration;

use pipewright::Secret;
use pipewright::driver::Clock as _;
use pipewright::error::FlowError;
use pipewright::snowpipe::account::{ExchangeToken, GetHostname, TokenType};
use pipewright::snowpipe::append::AppendRows;
use pipewright::snowpipe::channels::{BulkGetChannelStatus, DropChannelOperation, OpenChannelOperation};
use pipewright::snowpipe::elastic::AppendElasticToTable;
use pipewright::snowpipe::{Account, IngestHost, RequestId};
use pipewright_mock::snowpipe::{ChannelPath, Config, Effect};
use pipewright_mock::{SnowpipeHandle, World};

fn id(number: u128) -> RequestId {
    RequestId::from_bits(number)
}

fn mounted(world: &World) -> SnowpipeHandle {
    world.snowpipe("https://my-org-my-acct.snow.test".parse().expect("an address"), Config::default())
}

/// Finds the ingest host and gets a token for it.
fn ingest(world: &World, simulator: &SnowpipeHandle) -> Result<IngestHost<World>, FlowError> {
    let account = Account::new(simulator.base(), world.clone()).with_credentials(Secret::new("pat"));
    let kind = TokenType::ProgrammaticAccessToken;
    let hostname = account.call(GetHostname::new(kind.clone(), id(1)))?;
    let scoped = account.call(ExchangeToken::new(kind, hostname.host(), id(2)).role("LOADER"))?;
    assert_eq!(scoped.expires.map(|at| at.since(world.now()).as_secs()), Some(599));
    Ok(IngestHost::new(hostname.base().expect("an address"), world.clone()).with_credentials(scoped.token))
}

#[test]
fn rows_go_all_the_way() {
    let world = World::new(1);
    let simulator = mounted(&world);
    let ingest = ingest(&world, &simulator).expect("no faults");
    let opened =
        ingest.call(OpenChannelOperation::new("DB", "PUBLIC", "T-STREAMING", "c", id(3), true)).expect("no faults");
    assert!(opened.channel_status.is_healthy());
    let token = opened.next_continuation_token.expect("a token");
    let append = AppendRows::new("DB", "PUBLIC", "T-STREAMING", "c", id(4), "{\"ID\":1}\n{\"ID\":2}\n");
    ingest.call(append.continuation_token(token).offsets("1", "2")).expect("no faults");
    let status = || {
        let names = ["c", "nope", "ELASTIC"].map(str::to_owned).to_vec();
        let ask = BulkGetChannelStatus::new("DB", "PUBLIC", "T-STREAMING", id(5), names);
        let statuses = ingest.call(ask).expect("no faults").channel_statuses;
        assert!(statuses["ELASTIC"].is_healthy());
        (statuses.len(), statuses["c"].last_committed_offset_token.clone())
    };
    assert_eq!(status(), (2, None));
    world.sleep_until(world.now() + Duration::from_secs(8));
    assert_eq!(status(), (2, Some("2".into())));
    let view = simulator.with(|account| account.channel_view(&ChannelPath::new("DB", "PUBLIC", "T-STREAMING", "c")));
    assert_eq!(view.expect("the channel").rows, [&b"{\"ID\":1}"[..], b"{\"ID\":2}"]);
    ingest.call(DropChannelOperation::new("DB", "PUBLIC", "T-STREAMING", "c", id(6))).expect("no faults");
    ingest.call(AppendElasticToTable::new("DB", "PUBLIC", "T", id(7), "{}\n")).expect("no faults");
    let applied = simulator.with(|account| {
        account
            .requests()
            .filter(|request| request.effect == Effect::Applied)
            .map(|request| request.rows)
            .collect::<Vec<_>>()
    });
    assert_eq!(applied, [0, 2, 0, 1]);
}

#[test]
fn a_failover_leads_to_the_next_host() {
    let world = World::new(1);
    let simulator = mounted(&world);
    let old = ingest(&world, &simulator).expect("no faults");
    simulator.fail_over(Duration::from_secs(60));
    world.sleep_until(world.now() + Duration::from_secs(60));
    let open = || OpenChannelOperation::new("DB", "PUBLIC", "T-STREAMING", "c", id(3), true);
    let error = old.call(open()).expect_err("it is gone").to_string();
    assert!(error.contains("ERR_PIPE_FAILED_OVER"), "{error}");
    let new = ingest(&world, &simulator).expect("no faults");
    assert_eq!(new.config().base().authority(), "sim-account-2.ingest.snowpipe.test");
    new.call(open()).expect("no faults");
}

#[test]
fn names_with_underscores_reach_no_host() {
    let world = World::new(1);
    let simulator = mounted(&world);
    let base = "https://sim_account.ingest.snowpipe.test".parse().expect("an address");
    let ingest = IngestHost::new(base, world.clone()).with_credentials(Secret::new("x"));
    ingest
        .call(DropChannelOperation::new("DB", "PUBLIC", "T-STREAMING", "c", id(1)))
        .expect_err("TLS would not have it");
    assert_eq!(simulator.with(|account| account.requests().len()), 0);
}
