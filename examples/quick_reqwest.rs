//! Calls Flink with reqwest on tokio. For a flow, pass `goal.start(&config, seed)` to the driver instead of a `Call`.
//! Run it: `cargo run -p pipewright-examples --example quick_reqwest`

use pipewright::driver::{AsyncDriver, execute, ignore_notices};
use pipewright::flink::{FlinkRest, cluster::GetOverview};
use pipewright::{Seed, Timestamp, error::TransportError, flow::Call, flow::Config};
use pipewright_mock::{flink, serve};
use reqwest::{Client, Error, redirect::Policy};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = serve::Server::start(serve::Options::flink(flink::Config::default()))?;
    let config = Config::<FlinkRest>::new(server.url().parse()?);
    let http = Client::builder().redirect(Policy::none()).pool_max_idle_per_host(0).build()?;
    let failed = |it: Error| {
        let is_unsent = it.is_connect() || it.is_builder();
        if is_unsent { TransportError::connect(it.without_url()) } else { TransportError::closed(it.without_url()) }
    };
    let fetch = async |request: http::Request<bytes::Bytes>| {
        let mut answer = http.execute(request.try_into().map_err(failed)?).await.map_err(failed)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        Ok((status, headers, async move || answer.chunk().await.map_err(failed)))
    };
    let send = async |exchange| execute(exchange, tokio::time::sleep, &fetch).await.0;
    let now = || Timestamp::from_unix(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default());
    let mut driver = AsyncDriver::new(now, send, |at| tokio::time::sleep(at.since(now())));
    let overview = driver.run(Call::new(GetOverview::new(), &config, Seed::new(1)), ignore_notices).await?;
    assert_eq!(overview.slots_total, Some(4));
    Ok(())
}
