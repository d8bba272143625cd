//! Calls a service with an OAuth 2.0 token of client credentials. The token is renewed when it expires.
//! Run it: `cargo run -p pipewright-examples --example quick_oauth`

use bytes::Bytes;
use http::{Request, Response};
use pipewright::feldera::{Deploy, Feldera};
use pipewright::oauth::{self, ClientCredentials, TokenEndpoint};
use pipewright::{Secret, Timestamp};
use pipewright_mock::{World, feldera::Config};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let world = World::new(1);
    // A simulated identity provider. It issues the token that the simulated Feldera accepts.
    let token = r#"{"access_token":"t0k3n","token_type":"Bearer","expires_in":3600}"#;
    let issue = move |_now: Timestamp, _request: &Request<Bytes>| Response::new(token.into());
    let login = world.mount("https://login.test/oauth/token".parse()?, issue);
    let config = Config { api_key: Some("t0k3n".into()), ..Config::default() };
    let base = world.feldera("https://feldera.test".parse()?, config).base();

    let client = ClientCredentials::new("loader", Secret::new("s3cr3t")).scope("pipelines");
    let credentials = oauth::credentials(TokenEndpoint::new(login.base(), world.clone()), client);
    let feldera = Feldera::new(base, world.clone()).with_credentials(credentials);
    feldera.run(Deploy::new("shop", "CREATE TABLE items (id BIGINT);"))?;
    assert_eq!(world.trace().iter().filter(|event| event.to_string().contains("/oauth/token")).count(), 1);
    Ok(())
}
