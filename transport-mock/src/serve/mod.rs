//! Serves the simulators on a loopback port to any HTTP client: curl, a vendor's client, a program in another language,
//! or your own transport.
//!
//! ```text
//! cargo run -p pipewright-mock --features serve,sql --bin pipewright-sim -- flink --port 8081 --faults flaky
//! ```
//!
//! In a test, a [`Server`] lives as long as its value:
//!
//! ```
//! use pipewright_mock::flink::Config;
//! use pipewright_mock::serve::{Options, Server, Time};
//!
//! let server = Server::start(Options::flink(Config::default()).time(Time::Fast(100)))?;
//! println!("a Flink cluster answers at {}/v1/overview", server.url());
//! assert!(server.with(|cluster| cluster.jobs().is_empty()));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! A [`Proxy`] injects the same faults in front of a real server:
//!
//! ```text
//! pipewright-sim proxy --upstream http://127.0.0.1:8081 --port 8082 --faults flaky --seed 7 --record flink.har
//! ```
//!
//! A Snowflake account has two hosts, which share one port here: `GET /v2/streaming/hostname` answers the `Host` of the
//! request, or [the advertised host](snowpipe::Config::advertised_host).
//!
//! # TLS
//!
//! With the feature `tls`, `Options::tls` and `pipewright-sim --tls` serve HTTPS. Each server generates a certificate
//! authority, which clients must trust: `Server::ca_certificate`. The program writes it to a file, and prints the path
//! after the URL:
//!
//! ```text
//! $ pipewright-sim snowpipe --tls --advertise 127.0.0.1
//! listening on https://127.0.0.1:40123
//! CA certificate: /tmp/pipewright-sim-4242-1-ca.pem
//! ```
//!
//! curl takes the file as `--cacert`, Python's requests as the environment variable `REQUESTS_CA_BUNDLE`, and OpenSSL
//! as `SSL_CERT_FILE`. The authority is valid for a year, and its key is never written to a file. SIGTERM and SIGINT
//! remove the file with its certificate.
//!
//! # Faults
//!
//! The [`FaultPlan`] is that of a world. Each fault happens on the wire:
//!
//! | fault | on the wire |
//! |---|---|
//! | [`NotSent`](Fault::NotSent) | the connection is closed, and only the head of the request was read. A client that reuses connections cannot tell whether the request arrived. An open port cannot refuse a connection |
//! | [`ReplyLost`](Fault::ReplyLost), [`Restart`](Fault::Restart) | the connection is closed without an answer |
//! | [`LeaderLost`](Fault::LeaderLost) | a wait, and the error response of the standby; without a standby, the connection is closed |
//! | [`DelayRequest`](Fault::DelayRequest), [`DelayReply`](Fault::DelayReply) | a wait before or after the request is carried out |
//! | [`CutOff`](Fault::CutOff) | the `Content-Length` of the whole body, half the body, and the connection is closed |
//! | [`ShortBody`](Fault::ShortBody), [`MalformedBody`](Fault::MalformedBody) | half the body, or an overwritten byte, without a sign of it |
//! | other faults | the response of a proxy |
//!
//! Operations are recognised by method and path, so [`FaultPlan::nth_of`] works, too.
//!
//! # Time
//!
//! [`Time`] sets how fast the simulator's clock runs. Waits of faults are in the simulator's time. The `Retry-After` of
//! a proxy is in the client's time.
//!
//! A service that ends by itself, as a Flink cluster does after `DELETE /cluster`, closes its port and all connections.
//!
//! # Limits
//!
//! HTTP/1.1 and 1.0, with keep-alive, pipelining, chunked request bodies and `Expect: 100-continue`; bodies without an
//! end come in chunks, whatever the version.
//!
//! | | Flink, SQL Gateway | Feldera | Snowpipe Streaming |
//! |---|---|---|---|
//! | request line | 4096 bytes | 64 KiB | 128 KiB |
//! | headers | the first 8 KiB are read, the others up to 1 MiB are lost | 96, and 128 KiB with the request line | 2048, and 128 KiB |
//! | longer, or not HTTP | 404 `/bad-request` | 431; 400 | 431; 400 |
//! | scheme and host in the request line | an unknown path, 404 | served | served |
//! | request line that ends with a bare line feed | 404 `/bad-request` | served | served |
//! | JSON body | 100 MiB, then 413 | 100 MiB, then 413 | 100 MiB, then 413 |
//!
//! The limits of Flink were measured on 2.3.0, except for the 1 MiB. Those of Feldera follow from its web framework.
//! Those of Snowpipe Streaming are not known. All rejections but that of a path close the connection. An upload may
//! have 256 MiB.
//!
//! Each connection has a thread, and holds its body and at most 128 KiB of the next head. There are at most
//! [`Options::connections`] connections, 1100 by default, or as many as the system has file descriptors for. More
//! connections wait until others are closed. A connection on which nothing moves for five minutes is closed.

mod clock;
mod connection;
mod gate;
mod head;
mod limits;
mod proxy;
mod reply;
mod scan;
mod site;
mod stream;
#[cfg(feature = "tls")]
mod tls;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;
#[cfg(feature = "tls")]
use std::time::Instant;

use http::StatusCode;
use pipewright::Timestamp;

pub use self::clock::Time;
pub use self::proxy::{Proxy, ProxyOptions};

use self::clock::ScaledClock;
use self::gate::Gate;
use self::site::Site;
use self::stream::Stream;
#[cfg(feature = "tls")]
use self::tls::Tls;
use crate::fault::{Fault, FaultPlan};
use crate::world::{Service, lock};
use crate::{feldera, flink, snowpipe, sql_gateway};

/// The options of a [`Server`].
#[must_use = "options do nothing until a server is started with them"]
pub struct Options<S = flink::Cluster> {
    service: &'static str,
    simulator: S,
    port: u16,
    /// A host that the certificate is valid for, beside the loopback interface.
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "there is no certificate"))]
    host: Option<String>,
    #[cfg(feature = "tls")]
    tls: bool,
    faults: FaultPlan,
    time: Time,
    connections: usize,
    watcher: Option<Box<Watcher>>,
}

type Watcher = dyn Fn(&Served) + Send + Sync;

impl Options {
    /// Serves a Flink cluster, by default on any free port, without faults, in real time.
    pub fn flink(config: flink::Config) -> Self {
        Self::of("flink", flink::Cluster::new(config))
    }
}

impl Options<feldera::Manager> {
    /// Serves a Feldera, with the same defaults.
    pub fn feldera(config: feldera::Config) -> Self {
        Self::of("feldera", feldera::Manager::new(config))
    }
}

impl Options<sql_gateway::Gateway> {
    /// Serves a SQL Gateway, with the same defaults.
    pub fn sql_gateway(config: sql_gateway::Config) -> Self {
        Self::of("flink-sql-gateway", sql_gateway::Gateway::new(config))
    }
}

impl Options<snowpipe::Account> {
    /// Serves a Snowflake account with Snowpipe Streaming, with the same defaults. The port is both the account host
    /// and the ingest host, whatever the configuration says.
    pub fn snowpipe(config: snowpipe::Config) -> Self {
        let host = config.advertised_host.clone();
        Self { host, ..Self::of("snowpipe", snowpipe::Account::new(config).on_one_host()) }
    }
}

impl<S> Options<S> {
    fn of(service: &'static str, simulator: S) -> Self {
        Self {
            service,
            simulator,
            port: 0,
            host: None,
            #[cfg(feature = "tls")]
            tls: false,
            faults: FaultPlan::none(),
            time: Time::Real,
            connections: 1100,
            watcher: None,
        }
    }

    /// Sets the port on the loopback interface; 0, the default, is any free port.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Serves HTTPS instead of HTTP, with a certificate for `127.0.0.1`, `localhost`, and the
    /// [advertised host](snowpipe::Config::advertised_host) of a Snowflake account.
    ///
    /// Each server generates its own certificate authority, whose certificate is [`Server::ca_certificate`]. Private
    /// keys stay in memory.
    #[cfg(feature = "tls")]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Sets the plan of faults.
    pub fn faults(mut self, plan: FaultPlan) -> Self {
        self.faults = plan;
        self
    }

    /// Sets how fast the simulator's time passes.
    pub fn time(mut self, time: Time) -> Self {
        self.time = time;
        self
    }

    /// Sets the greatest number of open connections; 1100 by default.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// Calls a function with every request when it is over.
    ///
    /// ```
    /// # use pipewright_mock::{flink::Config, serve::Options};
    /// let options = Options::flink(Config::default()).on_request(|served| eprintln!("{served}"));
    /// ```
    pub fn on_request(mut self, watcher: impl Fn(&Served) + Send + Sync + 'static) -> Self {
        self.watcher = Some(Box::new(watcher));
        self
    }
}

impl<S> fmt::Debug for Options<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("service", &self.service)
            .field("port", &self.port)
            .field("faults", &self.faults)
            .field("time", &self.time)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

/// A request that was served. `Display` is one line: method, target, status or fault, milliseconds, remark.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Served {
    /// Method and target. If the request cannot be read, the problem.
    pub request: String,
    /// The status of the answer, complete or not; `None` without an answer.
    pub status: Option<StatusCode>,
    /// The injected fault; `None` without a fault.
    pub fault: Option<Fault>,
    /// The time from the last byte of the request to the last byte of the answer, by the machine's clock.
    pub took: Duration,
    /// How the simulator differs from the real service here, if the answer does not say so.
    pub remark: Option<String>,
}

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.request)?;
        match self.status {
            Some(status) => write!(f, "{}", status.as_u16())?,
            None => f.write_str("no answer")?,
        }
        if let Some(fault) = self.fault {
            write!(f, " [{fault}]")?;
        }
        write!(f, " {:.1} ms", self.took.as_secs_f64() * 1000.0)?;
        match &self.remark {
            Some(remark) => write!(f, "; {remark}"),
            None => Ok(()),
        }
    }
}

/// A simulator behind a port of the loopback interface, until it is dropped.
pub struct Server<S = flink::Cluster> {
    url: String,
    shared: Arc<Shared<S>>,
    listener: Option<JoinHandle<()>>,
}

impl<S: Service + 'static> Server<S> {
    /// Opens the port and starts answering.
    ///
    /// # Errors
    /// If the port is taken, or if the advertised host is not a name that a certificate can have.
    pub fn start(options: Options<S>) -> io::Result<Self> {
        #[cfg(feature = "tls")]
        let tls = options.tls.then(|| Tls::generate(options.host.as_deref())).transpose()?;
        let listener = gate::bind(options.port)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            address,
            site: Mutex::new(Site::new(options.service, options.simulator, options.faults)),
            clock: ScaledClock::new(options.time),
            #[cfg(feature = "tls")]
            tls,
            watcher: options.watcher,
            gate: Gate::new(options.connections),
        });
        let own = Arc::clone(&shared);
        let serve = move || own.gate.listen(&listener, |stream, seat| connection::run(stream, seat, &own));
        let thread = thread::Builder::new().name("pipewright-sim".into()).spawn(serve)?;
        let url = format!("{}://{address}", shared.scheme());
        Ok(Self { url, shared, listener: Some(thread) })
    }

    /// Returns the address of the server, as in `http://127.0.0.1:8081`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the certificate that clients have to trust, as PEM; `None` without [`Options::tls`].
    #[cfg(feature = "tls")]
    pub fn ca_certificate(&self) -> Option<&str> {
        self.shared.tls.as_ref().map(|tls| tls.authority.as_str())
    }

    /// Returns the simulator's time.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Calls a function with the simulator, to read or change its state. Clients wait until the function returns.
    pub fn with<T>(&self, look: impl FnOnce(&mut S) -> T) -> T {
        let mut site = lock(&self.shared.site);
        site.simulator.advance(self.now());
        look(&mut site.simulator)
    }

    /// Sets another plan of faults for requests from now on.
    pub fn set_faults(&self, plan: FaultPlan) {
        lock(&self.shared.site).faults = plan;
    }

    /// Waits until the service has ended by itself, as a Flink cluster does after `DELETE /cluster`: the port is closed
    /// then. Other services never end.
    pub fn wait(mut self) {
        if let Some(thread) = self.listener.take() {
            let _ = thread.join();
        }
    }

    /// Returns whether the service has not ended by itself: see [`wait`](Self::wait).
    pub fn is_running(&self) -> bool {
        self.listener.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Accepts no more requests, waits at most `time` until the current requests are finished, and closes all
    /// connections. Streaming responses are cut off at once. Returns whether all requests finished in time.
    pub fn shutdown(self, time: Duration) -> bool {
        self.shared.gate.drain();
        // The listener is waiting for a connection.
        let _ = TcpStream::connect(self.shared.address);
        self.shared.gate.wait_empty(time)
    }

    /// Makes the service fail now and return after `downtime` of the simulator's time.
    pub fn restart(&self, downtime: Duration) {
        lock(&self.shared.site).simulator.restart(self.now(), downtime);
    }
}

/// Ends all connections, and returns when no thread is left.
impl<S> Drop for Server<S> {
    fn drop(&mut self) {
        self.shared.close();
        if let Some(thread) = self.listener.take() {
            let _ = thread.join();
        }
    }
}

impl<S> fmt::Debug for Server<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("url", &self.url).finish_non_exhaustive()
    }
}

/// What the threads of a server have in common.
struct Shared<S> {
    address: SocketAddr,
    site: Mutex<Site<S>>,
    clock: ScaledClock,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
    watcher: Option<Box<Watcher>>,
    gate: Gate,
}

impl<S: Service> Shared<S> {
    /// Whether the service has ended by itself.
    fn is_down(&self) -> bool {
        lock(&self.site).simulator.is_down(self.clock.now())
    }
}

impl<S> Shared<S> {
    /// Ends all connections, and takes no more.
    fn close(&self) {
        self.gate.close();
        // The listener is waiting for a connection; one that is refused is as good.
        let _ = TcpStream::connect(self.address);
    }

    #[cfg_attr(not(feature = "tls"), expect(clippy::unused_self, reason = "there is only HTTP"))]
    fn scheme(&self) -> &'static str {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return "https";
        }
        "http"
    }

    /// Agrees with a client on keys, if it has to. `None` if that fails, which is shown.
    #[cfg_attr(
        not(feature = "tls"),
        expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "there is only HTTP")
    )]
    fn accept<'a>(&self, tcp: &'a TcpStream) -> Option<Stream<'a>> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            let since = Instant::now();
            let accepted = tls.accept(tcp).map_err(|error| {
                let request = format!("TLS handshake failed: {error}; does the client trust the CA certificate?");
                self.show(&Served { request, status: None, fault: None, took: since.elapsed(), remark: None });
            });
            return accepted.ok().map(Stream::Tls);
        }
        Some(Stream::Plain(tcp))
    }

    /// Waits, but not beyond the end of the server; false then.
    fn wait(&self, time: Duration) -> bool {
        self.gate.wait(time)
    }

    fn show(&self, served: &Served) {
        if let Some(watcher) = &self.watcher {
            watcher(served);
        }
    }
}
