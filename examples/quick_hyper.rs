//! Reads the log of a Flink JobManager with hyper on tokio: a streaming response.
//! Run it: `cargo run -p pipewright-examples --example quick_hyper`

use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::{Client, Error};
use pipewright::driver::{AsyncDriver, execute, ignore_notices};
use pipewright::flink::{FlinkRest, jobmanager::GetJobManagerLog};
use pipewright::{Seed, Timestamp, error::TransportError, flow::Call, flow::Config};
use pipewright_mock::{flink, serve};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = serve::Server::start(serve::Options::flink(flink::Config::default()))?;
    let config = Config::<FlinkRest>::new(server.url().parse()?);
    let http = Client::builder(hyper_util::rt::TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
    let failed = |it: Error| if it.is_connect() { TransportError::connect(it) } else { TransportError::closed(it) };
    let fetch = async |request: http::Request<bytes::Bytes>| {
        let (head, mut body) = http.request(request.map(Full::new)).await.map_err(failed)?.into_parts();
        Ok((head.status, head.headers, async move || {
            let frame = body.frame().await.transpose().map_err(TransportError::closed)?;
            Ok(frame.and_then(|frame| frame.into_data().ok()))
        }))
    };
    let open = async |exchange| execute(exchange, tokio::time::sleep, &fetch).await;
    let now = || Timestamp::from_unix(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default());
    let mut driver = AsyncDriver::new(now, async |it| open(it).await.0, |at| tokio::time::sleep(at.since(now())));
    let mut log = driver.open(Call::new(GetJobManagerLog::new(), &config, Seed::new(1)), open, ignore_notices).await?;
    assert!(log.next_item().await?.ok_or("the log is empty")?.starts_with(b"INFO"));
    Ok(())
}
