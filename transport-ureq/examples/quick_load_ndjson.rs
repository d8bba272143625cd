//! A file of newline-delimited JSON into a channel of Snowpipe Streaming, exactly once, and the rest of it later.
//!
//! ```text
//! cargo run -p pipewright-ureq --example quick_load_ndjson
//! ```

use std::error::Error;

use pipewright::Secret;
use pipewright::snowpipe::account::TokenType;
use pipewright::snowpipe::{Account, ChannelPath, Load, Ndjson, OnRejected, OpenSession};
use pipewright_mock::{World, snowpipe::Config};

fn main() -> Result<(), Box<dyn Error>> {
    // A simulated account; a real one takes `Account::new(SnowpipeAccount::base("MYORG-MYACCOUNT")?, Ureq::new())`.
    let world = World::new(1);
    let simulator = world.snowpipe("https://acct.snow".parse()?, Config::default());
    let account = Account::new(simulator.base(), world).with_credentials(Secret::new("my-access-token"));
    let ingest = account.open_session(OpenSession::new(TokenType::ProgrammaticAccessToken))?;

    // The prefix names the load. A load that was interrupted, or whose file has grown, continues behind its last row.
    let goal = || {
        let path = ChannelPath::of_table("DB", "PUBLIC", "ORDERS", "loader-1");
        Load::from(ingest.open_writer(path).token_prefix("orders-2026-11-30")).on_rejected(OnRejected::Skip)
    };
    let file = "{\"ID\":1,\"ITEM\":\"bolt\"}\n{\"ID\":2,\"ITEM\":\"nut\"}\n".to_owned();
    println!("{}", ingest.load(goal(), Ndjson::new(file.as_bytes()))?);
    let file = file + "{\"ID\":3,\"ITEM\":\"screw\"}\n";
    println!("{}", ingest.load(goal(), Ndjson::new(file.as_bytes()))?);
    Ok(())
}
