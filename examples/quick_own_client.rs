//! Runs flows with a blocking HTTP client of your own: reqwest. `pipewright_mock::conformance` tests such a client.
//! Run it: `cargo run -p pipewright-examples --example quick_own_client`

use pipewright::flink::{Flink, cluster::GetOverview};
use pipewright::{Timestamp, driver::runtime_fn, error::TransportError, flow::Exchange};
use pipewright_mock::{flink, serve};
use reqwest::{blocking, redirect::Policy};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Flows want no redirects, and no connections that the server may have closed meanwhile.
    let http = blocking::Client::builder().redirect(Policy::none()).pool_max_idle_per_host(0).build()?;
    let failed = |it: reqwest::Error| match it {
        it if it.is_connect() || it.is_builder() => TransportError::connect(it.without_url()),
        it if it.is_timeout() => TransportError::timeout(it.without_url()),
        it => TransportError::closed(it.without_url()),
    };
    let send = |exchange: &Exchange| {
        let mut request = blocking::Request::try_from(exchange.read_request()?).map_err(failed)?;
        *request.timeout_mut() = Some(exchange.timeout());
        let answer = http.execute(request).map_err(failed)?;
        exchange.read_response(answer.status(), answer.headers().clone(), answer)
    };
    let now = || Timestamp::from_unix(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default());
    let runtime = runtime_fn(now, send, |at| std::thread::sleep(at.since(now())), || fastrand::u128(..));
    let server = serve::Server::start(serve::Options::flink(flink::Config::default()))?;
    let overview = Flink::new(server.url().parse()?, runtime).call(GetOverview::new())?;
    assert_eq!(overview.slots_total, Some(4));
    Ok(())
}
