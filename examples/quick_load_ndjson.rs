//! Loads newline-delimited JSON into a channel of Snowpipe Streaming exactly once, and resumes the load.
//! Run it: `cargo run -p pipewright-examples --example quick_load_ndjson`

use pipewright::Secret;
use pipewright::snowpipe::account::TokenType;
use pipewright::snowpipe::{Account, ChannelPath, Load, Ndjson, OpenSession};
use pipewright_mock::{World, snowpipe::Config};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A simulated account; a real one takes `Account::new(SnowpipeAccount::base("MYORG-MYACCOUNT")?, Ureq::new())`.
    let world = World::new(1);
    let base = world.snowpipe("https://acct.snow".parse()?, Config::default()).base();
    let account = Account::new(base, world).with_credentials(Secret::new("my-access-token"));
    let ingest = account.open_session(OpenSession::new(TokenType::ProgrammaticAccessToken))?;

    let file = "{\"ID\":1,\"ITEM\":\"bolt\"}\n{\"ID\":2,\"ITEM\":\"nut\"}\n";
    let grown_file = file.to_owned() + "{\"ID\":3,\"ITEM\":\"screw\"}\n";
    for (file, skipped) in [(file, 0), (&grown_file, 2)] {
        let path = ChannelPath::of_table("DB", "PUBLIC", "ORDERS", "loader-1");
        // The prefix names the load. A load that is started again skips the rows that are committed.
        let goal = Load::from(ingest.open_writer(path).token_prefix("orders-2026-11-30"));
        let summary = ingest.load(goal, Ndjson::new(file.as_bytes()))?;
        println!("{summary}");
        assert_eq!(summary.rows_skipped, skipped);
    }
    Ok(())
}
