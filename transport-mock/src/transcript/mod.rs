//! Transcripts of whole flows, for snapshot tests and for reading.
//!
//! A [`Recorder`] wraps a runtime and records requests, answers, faults, waits and notices. Values that differ from run
//! to run get stable names, and secrets are left out, so that a transcript can be kept with the test:
//!
//! ```
//! use pipewright::flink::{AwaitJob, Flink, RunJar, TakeSavepoint};
//! use pipewright_mock::flink::{Config, Program};
//! use pipewright_mock::transcript::{self, Recorder};
//! use pipewright_mock::{Fault, FaultPlan, World};
//!
//! let world = World::new(42);
//! let cluster = world.flink("http://flink.test:8081".parse()?, Config::default());
//! let flink = Flink::new(cluster.base(), world.clone());
//! let job = flink.run(RunJar::upload("orders.jar", Program::endless("orders").jar()))?.job;
//! let _ = flink.run(AwaitJob::running(job))?;
//!
//! world.set_faults(FaultPlan::none().nth(1, Fault::ReplyLost));
//! let flink = Flink::new(cluster.base(), Recorder::new(world));
//! transcript::run(&flink, TakeSavepoint::new(job).target_directory("file:///savepoints"))?;
//! assert_eq!(flink.runtime().finish().trim_end(), r#"
//!    0.000  * TakeSavepoint: triggering
//!    0.000  * TakeSavepoint: state to save
//!    0.000  > POST http://flink.test:8081/v1/jobs/<job-1>/savepoints
//!           | {"target-directory":"file:///savepoints","triggerId":"<trigger-1>"}
//!    0.007  ! Closed, outcome unknown
//!    0.007  * triggerSavepoint again at <+0.043 s>: the connection was reset before the answer; the request may have been carried out
//!    0.007  ~ 0.036 s
//!    0.043  > POST http://flink.test:8081/v1/jobs/<job-1>/savepoints
//!           | {"target-directory":"file:///savepoints","triggerId":"<trigger-1>"}
//!    0.051  < 202
//!           | {"request-id":"<trigger-1>"}
//!    0.051  * TakeSavepoint: state to save
//!    0.051  * TakeSavepoint: waiting for the outcome
//!    0.051  > GET http://flink.test:8081/v1/jobs/<job-1>/savepoints/<trigger-1>
//!    0.058  < 200
//!           | {"operation":null,"status":{"id":"IN_PROGRESS"}}
//!    0.058  ~ 0.050 s
//!    0.108  > GET http://flink.test:8081/v1/jobs/<job-1>/savepoints/<trigger-1>
//!    0.111  < 200
//!           | {"operation":null,"status":{"id":"IN_PROGRESS"}}
//!    0.111  ~ 0.100 s
//!    0.211  > GET http://flink.test:8081/v1/jobs/<job-1>/savepoints/<trigger-1>
//!    0.215  < 200
//!           | {"operation":null,"status":{"id":"IN_PROGRESS"}}
//!    0.215  ~ 0.200 s
//!    0.415  > GET http://flink.test:8081/v1/jobs/<job-1>/savepoints/<trigger-1>
//!    0.418  < 200
//!           | {
//!           |   "operation":{"location":"file:/savepoints/savepoint-<job-1…>-<savepoint-1>"}
//!           |   "status":{"id":"COMPLETED"}
//!           | }
//!    0.418  = done
//! "#.trim_matches('\n'));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | in the margin | what |
//! |---|---|
//! | seconds | since the recorder was made |
//! | `>` | a request |
//! | `<` | its answer |
//! | `!` | what came instead of an answer |
//! | `~` | a wait |
//! | `*` | a notice; `Sending` and `Answered` are left out, because the exchange itself is there |
//! | `=` | the end of a flow |
//! | `\|` | the headers and body of the line above |
//!
//! Replaced are: ids of 32 hex digits, UUIDs and shorter hex ids that have digits and letters (`<job-1>`), moments near
//! the start (`<+0.250 s>`), ports on loopback (`<port-1>`). Left out are: sensitive headers and whatever is named like
//! a secret (`…`), headers that say how and when the message was made, saved states, whose contents are the flow's own
//! affair, and most of what is long. The keys of JSON objects are sorted.

mod names;
mod show;

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use pipewright::Timestamp;
use pipewright::driver::{Client, Clock, Entropy, Opened, Runtime, Transport};
use pipewright::error::{Delivery, FlowError, TransportError};
use pipewright::flow::{Exchange, Goal, Notice};
use pipewright::operation::Service;

use self::names::Names;
use crate::world::lock;

/// How wide a line may be.
const WIDTH: usize = 100;

/// Writes down what passes through a runtime. Clones write into the same transcript.
///
/// It takes the place of the runtime in a [`Client`] or in [`driver::run`](pipewright::driver::run). It gets notices by
/// [`run`], or by [`notice`](Self::notice).
#[derive(Clone, Debug)]
pub struct Recorder<R> {
    runtime: R,
    log: Arc<Mutex<Log>>,
}

#[derive(Debug)]
struct Log {
    start: Timestamp,
    names: Names,
    text: String,
}

/// Runs a flow on a recorded runtime, with its notices and its end in the transcript.
///
/// # Errors
/// The flow's.
pub fn run<S, R, G>(handle: &Client<S, Recorder<R>>, goal: G) -> Result<G::Output, FlowError>
where
    S: Service,
    R: Runtime,
    G: Goal<Service = S>,
{
    let recorder = handle.runtime();
    let result = handle.run_with(goal, |notice| recorder.notice(&notice));
    let end = match &result {
        Ok(_) => "= done".to_owned(),
        Err(error) => format!("= {error}"),
    };
    recorder.write(|log, at| log.line(at, &end));
    result
}

impl<R: Clock> Recorder<R> {
    /// Records what passes through a runtime from now on.
    pub fn new(runtime: R) -> Self {
        let start = runtime.now();
        let log = Log { start, names: Names::new(start), text: String::new() };
        Self { runtime, log: Arc::new(Mutex::new(log)) }
    }

    /// The runtime.
    pub fn runtime(&self) -> &R {
        &self.runtime
    }

    /// Writes a notice down.
    pub fn notice(&self, notice: &Notice) {
        self.write(|log, at| match notice {
            Notice::Sending { .. } | Notice::Answered { .. } => {}
            _ => log.line(at, &format!("* {notice}")),
        });
    }

    /// Writes down a line of one's own.
    pub fn note(&self, text: &str) {
        self.write(|log, at| log.line(at, text));
    }

    /// The transcript so far. It continues from here with nothing in it, but with the same names.
    pub fn finish(&self) -> String {
        std::mem::take(&mut lock(&self.log).text)
    }

    fn write(&self, write: impl FnOnce(&mut Log, Timestamp)) {
        let now = self.runtime.now();
        write(&mut lock(&self.log), now);
    }

    fn request(&self, exchange: &Exchange) {
        self.write(|log, at| {
            let request = exchange.request();
            let target = show::target(&mut log.names, request.uri(), exchange.info().path);
            log.line(at, &format!("> {} {target}", request.method()));
            let headers = show::headers(&mut log.names, request.headers());
            log.lines(headers);
            let body = show::request_body(&mut log.names, request);
            log.lines(body);
        });
    }

    fn answer(&self, response: &Response<Bytes>) {
        self.write(|log, at| {
            log.line(at, &format!("< {}", response.status().as_u16()));
            let headers = show::headers(&mut log.names, response.headers());
            log.lines(headers);
            let body = show::body(&mut log.names, show::content_type(response.headers()), response.body());
            log.lines(body);
        });
    }

    fn failure(&self, error: &TransportError) {
        self.write(|log, at| {
            let delivery = match error.delivery() {
                Delivery::NotSent => "not sent",
                Delivery::Unknown => "outcome unknown",
            };
            let status = error.status().map_or(String::new(), |status| format!(" after {}", status.as_u16()));
            log.line(at, &format!("! {:?}{status}, {delivery}", error.kind()));
        });
    }
}

impl Log {
    /// Writes a line with its time, renamed and cut.
    fn line(&mut self, at: Timestamp, line: &str) {
        // Moments in the text are cut off like this too.
        let seconds = Duration::from_millis(at.as_millis().saturating_sub(self.start.as_millis())).as_secs_f64();
        let line = show::cut(&self.names.rename(line, "id"), 2 * WIDTH);
        let _ = writeln!(self.text, "{seconds:>8.3}  {line}");
    }

    fn lines(&mut self, lines: Vec<String>) {
        for line in lines {
            let _ = writeln!(self.text, "          | {line}");
        }
    }
}

impl<R: Transport + Clock> Transport for Recorder<R> {
    fn send(&self, exchange: &Exchange) -> Result<Response<Bytes>, TransportError> {
        self.request(exchange);
        let result = self.runtime.send(exchange);
        match &result {
            Ok(response) => self.answer(response),
            Err(error) => self.failure(error),
        }
        result
    }

    fn open(&self, exchange: &Exchange) -> Result<Opened, TransportError> {
        self.request(exchange);
        let result = self.runtime.open(exchange);
        match &result {
            Ok(Opened::Streaming(response)) => self.write(|log, at| {
                log.line(at, &format!("< {}, and a streaming body", response.status().as_u16()));
                let headers = show::headers(&mut log.names, response.headers());
                log.lines(headers);
            }),
            Ok(Opened::Rejection(response)) => self.answer(response),
            Err(error) => self.failure(error),
        }
        result
    }
}

impl<R: Clock> Clock for Recorder<R> {
    fn now(&self) -> Timestamp {
        self.runtime.now()
    }

    fn sleep_until(&self, at: Timestamp) {
        let from = self.runtime.now();
        let wait = at.since(from);
        if wait > Duration::ZERO {
            self.write(|log, _| log.line(from, &format!("~ {:.3} s", wait.as_secs_f64())));
        }
        self.runtime.sleep_until(at);
    }
}

impl<R: Entropy> Entropy for Recorder<R> {
    fn bits(&self) -> u128 {
        self.runtime.bits()
    }
}
