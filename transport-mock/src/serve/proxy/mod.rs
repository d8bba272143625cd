//! [`Proxy`]: the same faults in front of a real server.

mod har;
mod recorder;
mod redact;
mod relay;
mod upstream;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use http::{Method, Uri};
use pipewright::Timestamp;

use self::recorder::Recorder;
use super::clock::ScaledClock;
use super::gate::{self, Gate};
use super::{Served, Time, Watcher, site};
use crate::fault::{Fault, FaultKind, FaultPlan};
use crate::world::lock;

/// What a [`Proxy`] stands in front of, and what goes wrong there.
#[must_use = "options do nothing until a proxy is started with them"]
pub struct ProxyOptions {
    upstream: String,
    service: &'static str,
    port: u16,
    faults: FaultPlan,
    connections: usize,
    recording: Option<PathBuf>,
    watcher: Option<Box<Watcher>>,
}

impl ProxyOptions {
    /// A proxy for the server at `upstream`, as in `http://127.0.0.1:8081`, on any free port and without faults.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] if `upstream` is not `http://HOST` or `http://HOST:PORT`.
    pub fn new(upstream: &str) -> io::Result<Self> {
        let invalid = || {
            let message =
                format!("upstream {upstream:?}: not `http://HOST:PORT`; give scheme, host and port, and no path");
            io::Error::new(io::ErrorKind::InvalidInput, message)
        };
        let uri: Uri = upstream.parse().map_err(|_| invalid())?;
        if uri.scheme_str() == Some("https") {
            let host = uri.host().unwrap_or_default();
            let target = format!("{host}:{}", uri.port_u16().unwrap_or(443));
            let message = format!(
                "upstream {upstream:?}: the proxy speaks no TLS to the server; give `http://HOST:PORT`, such as that of \
                 `socat TCP-LISTEN:8443,bind=127.0.0.1,fork,reuseaddr OPENSSL:{target}`"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(invalid)?;
        if uri.query().is_some() || !matches!(uri.path(), "" | "/") || authority.as_str().contains('@') {
            return Err(invalid());
        }
        let upstream = format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80));
        let faults = FaultPlan::none();
        Ok(Self { upstream, service: "", port: 0, faults, connections: 512, recording: None, watcher: None })
    }

    /// Names the service, so that [`FaultPlan::nth_of`] recognises its operations: `flink`, `flink-sql-gateway`,
    /// `feldera` or `snowpipe`.
    pub fn service(mut self, name: &'static str) -> Self {
        self.service = name;
        self
    }

    /// Sets the port on the loopback interface; 0 is any free port.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Sets what goes wrong, and when.
    pub fn faults(mut self, plan: FaultPlan) -> Self {
        self.faults = plan;
        self
    }

    /// Sets how many clients' connections may be open at once, at least 1. 512 by default.
    pub fn connections(mut self, limit: usize) -> Self {
        self.connections = limit.max(1);
        self
    }

    /// Records each exchange in a [HAR 1.2](http://www.softwareishard.com/blog/har-12-spec/) file, which is replaced.
    ///
    /// An entry is what the client sent and what it was sent; its `comment` names the fault. An exchange is recorded
    /// when it is over. The file is complete after each entry. If the process is killed while it writes an entry, the
    /// file ends within that entry. On Unix, only the user of the process can read the file.
    ///
    /// A body of more than 1 MiB is not recorded: its `comment` says so, and its size is there. Compressed bodies
    /// (gzip, zstd) are recorded decompressed.
    ///
    /// The proxy does not record the values of headers, parameters, form fields, JSON fields and settings whose names
    /// are those of credentials, such as `Authorization`, `api_key` or `password`. It leaves out JSON Web Tokens,
    /// bodies that are tokens, lines that name a credential and are not JSON, and bodies that a fault spoilt if they
    /// held a credential. Feldera's completion tokens are recorded. The proxy cannot know which rows and texts are
    /// confidential.
    pub fn record(mut self, file: impl Into<PathBuf>) -> Self {
        self.recording = Some(file.into());
        self
    }

    /// Shows each request when it is over, from the thread of its connection.
    pub fn on_request(mut self, watcher: impl Fn(&Served) + Send + Sync + 'static) -> Self {
        self.watcher = Some(Box::new(watcher));
        self
    }
}

impl fmt::Debug for ProxyOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyOptions")
            .field("upstream", &self.upstream)
            .field("service", &self.service)
            .field("port", &self.port)
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}

/// An HTTP/1.1 proxy in front of a real server that loses, delays, repeats and spoils what passes through it.
///
/// It forwards each request and its answer byte by byte, unless the plan has a fault for it:
///
/// | fault | what the proxy does |
/// |---|---|
/// | [`NotSent`](Fault::NotSent) | closes the connection; the body is not read and nothing is delivered |
/// | [`ReplyLost`](Fault::ReplyLost) | delivers the request, waits for the head of the answer, closes the connection |
/// | [`DelayRequest`](Fault::DelayRequest) | reads the request, and delivers it after the delay, even if the client has gone |
/// | [`DelayReply`](Fault::DelayReply) | holds the answer back |
/// | [`TooManyRequests`](Fault::TooManyRequests), [`Unavailable`](Fault::Unavailable), [`Unauthorized`](Fault::Unauthorized) | reads the request, and answers it by itself |
/// | [`ProxyPage`](Fault::ProxyPage) | answers by itself, after it has delivered the request if the fault is applied; `FaultKind::LostRoute` if it answers 401, 403 or 404 |
/// | [`CutOff`](Fault::CutOff) | passes on the head and half of the body, and closes the connection |
/// | [`ShortBody`](Fault::ShortBody), [`MalformedBody`](Fault::MalformedBody) | passes on half of the body as if it were whole, or overwrites a byte of it |
/// | [`Restart`](Fault::Restart) | delivers the request if the fault is applied, closes the connection, and every other request for as long as the downtime. The server itself is not touched |
/// | [`LeaderLost`](Fault::LeaderLost) | the same as a restart that is applied: what a standby would say is not known here |
/// | [`DeliveredTwice`](Fault::DeliveredTwice) | delivers the request, reads the whole answer, delivers it again, passes on the second answer |
///
/// A fault that needs a body in memory does not happen to a body of more than 16 MiB, nor to an answer that has not
/// ended after one second: [`DeliveredTwice`](Fault::DeliveredTwice), [`ShortBody`](Fault::ShortBody) and
/// [`MalformedBody`](Fault::MalformedBody). [`CutOff`](Fault::CutOff) then cuts what has come so far. If an answer has
/// neither length nor chunks, [`CutOff`](Fault::CutOff) resets the connection. For a request of more than 16 MiB,
/// [`DelayRequest`](Fault::DelayRequest) delays its first byte instead. All other bodies are passed
/// on as they come and are never held in memory.
///
/// Delays and downtimes pass in real time. Each connection of a client has one connection to the server. The proxy
/// answers `Expect: 100-continue` by itself, and 502 if the server cannot be reached within three seconds. TLS and the
/// upgrade to another protocol are not supported.
///
/// ```no_run
/// use pipewright_mock::serve::{Proxy, ProxyOptions};
/// use pipewright_mock::{FaultKind, FaultPlan};
///
/// let faults = FaultPlan::seeded(7).chance(FaultKind::ReplyLost, 0.1).at_most(5);
/// let proxy = Proxy::start(ProxyOptions::new("http://127.0.0.1:8081")?.faults(faults))?;
/// println!("the cluster on a bad day: {}", proxy.url());
/// proxy.set_faults(FaultPlan::none());
/// println!("{:?}", proxy.counts());
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Proxy {
    address: SocketAddr,
    url: String,
    wire: Arc<Wire>,
    listener: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Opens the port and starts forwarding.
    ///
    /// # Errors
    /// If the port is taken, or if the recording cannot be created. Whether the server can be reached is not checked.
    pub fn start(options: ProxyOptions) -> io::Result<Self> {
        let listener = gate::bind(options.port)?;
        let address = listener.local_addr()?;
        let recorder = options.recording.as_deref().map(Recorder::create).transpose()?;
        let wire = Arc::new(Wire {
            upstream: options.upstream,
            service: options.service,
            plan: Mutex::new(options.faults),
            down_until: Mutex::default(),
            counts: Mutex::default(),
            clock: ScaledClock::new(Time::Real),
            watcher: options.watcher,
            recorder,
            clients: Gate::new(options.connections),
            servers: Gate::new(usize::MAX),
        });
        let own = Arc::clone(&wire);
        let serve = move || own.clients.listen(&listener, |stream, seat| relay::run(stream, seat, &own));
        let thread = thread::Builder::new().name("pipewright-sim proxy".into()).spawn(serve)?;
        Ok(Self { address, url: format!("http://{address}"), wire, listener: Some(thread) })
    }

    /// Returns where it listens, as in `http://127.0.0.1:8081`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Replaces the plan, for requests that arrive from now on. Ends an outage that a [`Fault::Restart`] began.
    pub fn set_faults(&self, plan: FaultPlan) {
        *lock(&self.wire.down_until) = None;
        *lock(&self.wire.plan) = plan;
    }

    /// Takes no more requests, waits for at most `time` until those that have come are finished, and ends all
    /// connections. Whatever takes longer is cut off, such as an answer without an end. Returns whether nothing took
    /// longer. A recording is complete after that.
    pub fn shutdown(&self, time: Duration) -> bool {
        self.wire.clients.drain();
        // The listener waits for a connection.
        let _ = TcpStream::connect(self.address);
        let finished = self.wire.clients.wait_empty(time);
        self.wire.clients.close();
        self.wire.servers.close();
        self.wire.clients.wait_empty(time);
        finished
    }

    /// Returns why the recording is not complete, for example because the disk is full. `None` if it is, or if nothing
    /// is recorded.
    pub fn recording_failure(&self) -> Option<String> {
        self.wire.recorder.as_ref().and_then(Recorder::failure)
    }

    /// Returns how often each kind of fault was drawn for a request, under all plans. A fault counts from the moment
    /// that its request arrives. Requests that an outage rejects, and faults that an answer is too long for, do not
    /// count.
    pub fn counts(&self) -> BTreeMap<FaultKind, u64> {
        lock(&self.wire.counts).clone()
    }
}

/// Ends all connections, and returns when no thread is left.
impl Drop for Proxy {
    fn drop(&mut self) {
        self.wire.clients.close();
        self.wire.servers.close();
        // The listener waits for a connection.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.listener.take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("url", &self.url).field("upstream", &self.wire.upstream).finish_non_exhaustive()
    }
}

/// What the connections of a proxy have in common.
struct Wire {
    upstream: String,
    service: &'static str,
    plan: Mutex<FaultPlan>,
    /// The end of an outage.
    down_until: Mutex<Option<Instant>>,
    counts: Mutex<BTreeMap<FaultKind, u64>>,
    clock: ScaledClock,
    watcher: Option<Box<Watcher>>,
    recorder: Option<Recorder>,
    clients: Gate,
    servers: Gate,
}

impl Wire {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The fault for the next request.
    fn draw(&self, method: &Method, path: &str) -> Option<Fault> {
        if lock(&self.down_until).is_some_and(|until| Instant::now() < until) {
            return Some(Fault::NotSent);
        }
        let operation = site::operation(self.service, method, path);
        let fault = lock(&self.plan).next(self.now(), operation, method, path)?;
        *lock(&self.counts).entry(fault.kind()).or_default() += 1;
        Some(fault)
    }

    /// Takes back a fault that did not happen.
    fn spare(&self, fault: Fault) {
        if let Entry::Occupied(mut count) = lock(&self.counts).entry(fault.kind()) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    fn go_down(&self, time: Duration) {
        *lock(&self.down_until) = Instant::now().checked_add(time);
    }

    fn show(&self, served: &Served) {
        if let Some(watcher) = &self.watcher {
            watcher(served);
        }
    }
}
