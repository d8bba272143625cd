//! Flows on tokio and reqwest: runs a job on a simulated Flink cluster, and follows it in another task.
//! Run it: `cargo run -p pipewright-examples --example quick_reqwest`

use std::{error::Error, time::SystemTime};

use bytes::Bytes;
use pipewright::driver::{AsyncDriver, ignore_notices};
use pipewright::error::{Delivery, FlowError, TransportError, TransportErrorKind as Kind};
use pipewright::flink::{FlinkRest, JobEvent, RunJar, WatchJob};
use pipewright::flow::{Config, Exchange, Goal as _};
use pipewright::{Seed, Timestamp};
use pipewright_mock::{flink, serve};

async fn send(http: &reqwest::Client, exchange: &Exchange) -> Result<http::Response<Bytes>, TransportError> {
    let failure = |error: reqwest::Error| match error {
        it if it.is_connect() => TransportError::new(Kind::Connect, Delivery::NotSent, it.to_string()),
        it if it.is_timeout() => TransportError::new(Kind::Timeout, Delivery::Unknown, it.to_string()),
        it => TransportError::new(Kind::Closed, Delivery::Unknown, it.to_string()),
    };
    let body = exchange.request().body().read();
    let body = body.map_err(|it| TransportError::new(Kind::Source, Delivery::NotSent, it.to_string()))?;
    let mut request = reqwest::Request::try_from(exchange.request().clone().map(|_| body)).map_err(failure)?;
    *request.timeout_mut() = Some(exchange.timeout());
    let mut answer = http.execute(request).await.map_err(failure)?;
    let mut head = http::Response::new(());
    (*head.status_mut(), *head.headers_mut()) = (answer.status(), std::mem::take(answer.headers_mut()));
    answer.bytes().await.map(|body| head.map(|()| body)).map_err(failure)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = serve::Server::start(serve::Options::flink(flink::Config::default()).time(serve::Time::Fast(20)))?;
    let config = Config::<FlinkRest>::new(server.url().parse()?);
    // Flows want no redirects, and a fresh connection after a failure.
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).pool_max_idle_per_host(0);
    let http = http.build()?;
    let now = || Timestamp::from_unix(SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default());
    let send = move |exchange: Exchange| {
        let http = http.clone();
        async move {
            let answer = send(&http, &exchange).await;
            exchange.settle(answer)
        }
    };
    let mut driver = AsyncDriver::new(now, send, move |at: Timestamp| tokio::time::sleep(at.since(now())));
    // A program draws a random seed for each flow.
    let run = RunJar::upload("words.jar", flink::Program::bounded("words", 500).jar()).start(&config, Seed::new(1));
    let job = driver.run(run, |notice| println!("{notice}")).await?.job;
    let mut watch = WatchJob::new(job).start(&config, Seed::new(2));
    let task = tokio::spawn(async move {
        loop {
            match driver.run(&mut watch, ignore_notices).await? {
                JobEvent::Ended(report) => return Ok::<_, FlowError>(report),
                event => println!("{event:?}"),
            }
        }
    });
    println!("{job} has ended: {}", task.await??.state);
    Ok(())
}
