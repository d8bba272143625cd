//! A streaming response on tokio and hyper: reads the log of a simulated Flink cluster.
//! Run it: `cargo run -p pipewright-examples --example quick_hyper`

use std::{error::Error, time::SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::{client::legacy::Client, client::legacy::connect::HttpConnector, rt::TokioExecutor};
use pipewright::driver::{AsyncBody, AsyncDriver, ignore_notices};
use pipewright::error::{Delivery, TransportError, TransportErrorKind as Kind};
use pipewright::flink::{FlinkRest, cluster::GetOverview, jobmanager::GetJobManagerLog};
use pipewright::flow::{Call, Config, Exchange, Reply};
use pipewright::{Seed, Timestamp};
use pipewright_mock::{flink, serve};

struct Chunks(hyper::body::Incoming);

impl AsyncBody for Chunks {
    async fn next_chunk(&mut self) -> Result<Option<Bytes>, TransportError> {
        let data = self.0.frame().await.transpose().map(|frame| frame.map(|it| it.into_data().unwrap_or_default()));
        data.map_err(|error| TransportError::new(Kind::Closed, Delivery::Unknown, error.to_string()))
    }
}

async fn open(http: Client<HttpConnector, Full<Bytes>>, exchange: Exchange) -> (Reply, Option<Chunks>) {
    let failure = |kind, error: &dyn ToString| TransportError::new(kind, Delivery::Unknown, error.to_string());
    let mut stream = None;
    let answer = tokio::time::timeout(exchange.timeout(), async {
        let body = exchange.request().body().read().map_err(|error| failure(Kind::Source, &error))?;
        let answer = http.request(exchange.request().clone().map(|_| Full::new(body))).await;
        let (head, body) = answer.map_err(|error| failure(Kind::Closed, &error))?.into_parts();
        if exchange.is_streaming() && head.status.is_success() {
            stream = Some(Chunks(body));
            return Ok(http::Response::from_parts(head, Bytes::new()));
        }
        let limit = usize::try_from(exchange.body_limit()).unwrap_or(usize::MAX);
        let body = Limited::new(body, limit).collect().await.map_err(|error| failure(Kind::Closed, &error))?;
        Ok(http::Response::from_parts(head, body.to_bytes()))
    });
    let answer = answer.await.unwrap_or_else(|error| Err(failure(Kind::Timeout, &error)));
    (exchange.settle(answer), stream)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = serve::Server::start(serve::Options::flink(flink::Config::default()))?;
    let config = Config::<FlinkRest>::new(server.url().parse()?);
    let http = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
    let now = || Timestamp::from_unix(SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default());
    let open = |exchange| open(http.clone(), exchange);
    let mut driver = AsyncDriver::new(now, async |it| open(it).await.0, |at| tokio::time::sleep(at.since(now())));
    let overview = driver.run(Call::new(GetOverview::new(), &config, Seed::new(1)), ignore_notices).await?;
    println!("Flink {}", overview.flink_version.unwrap_or_default());
    let mut log = driver.open(Call::new(GetJobManagerLog::new(), &config, Seed::new(2)), open, ignore_notices).await?;
    while let Some(line) = log.next_item().await? {
        println!("{}", String::from_utf8_lossy(line));
    }
    Ok(())
}
