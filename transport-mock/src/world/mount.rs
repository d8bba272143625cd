//! Simulated services in a world.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode, Uri};
use pipewright::driver::Clock as _;
use pipewright::{Base, Timestamp};

use super::{World, lock};
use crate::fault::RetryAfter;
use crate::fault::answer::proxy_page;
use crate::streaming::{Coming, OpenBody};
use crate::{feldera, flink, snowpipe, sql_gateway};

/// A simulated service: answers one request at a time.
///
/// Its methods run while the world is locked, so they must not use the world.
pub trait Service: Send {
    /// Answers a request that arrives at `now`. The target of the request is path and query, without the path prefix of
    /// the address that the service is mounted at. Its header `Host` is the host that it was sent to.
    fn handle(&mut self, now: Timestamp, request: &Request<Bytes>) -> Response<Bytes>;

    /// Returns the next part, at `now`, of a body that a response left open. Called only for responses with an
    /// [`OpenBody`] among their extensions.
    fn read(&mut self, now: Timestamp, body: OpenBody) -> Coming {
        let _ = (now, body);
        Coming::End
    }

    /// Called when no client reads the body any more.
    fn close(&mut self, now: Timestamp, body: OpenBody) {
        let _ = (now, body);
    }

    /// Makes the service fail at `now` and return after `downtime`. Does nothing by default: the service loses no state
    /// and returns at once.
    fn restart(&mut self, now: Timestamp, downtime: Duration) {
        let _ = (now, downtime);
    }

    /// The process in charge dies at `now`, right after it carried `request` out, to which `response` is the answer.
    /// Another one takes over after `downtime`. Returns what a process in front answers that has waited for it, and
    /// after how long; `None` if there is no such process, so that the connection is closed. By default the service
    /// [restarts](Self::restart), with nothing in front.
    fn lose_leader(
        &mut self,
        now: Timestamp,
        downtime: Duration,
        request: &Request<Bytes>,
        response: Response<Bytes>,
    ) -> Option<(Duration, Response<Bytes>)> {
        let _ = (request, response);
        self.restart(now, downtime);
        None
    }

    /// Advances the service to `now`, so that it shows its state at that time.
    fn advance(&mut self, now: Timestamp) {
        let _ = now;
    }

    /// Returns whether no process of the service listens at `now`, so that connections are refused. False by default.
    fn is_down(&mut self, now: Timestamp) -> bool {
        let _ = now;
        false
    }
}

/// A closure is a service.
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use pipewright::Timestamp;
/// use pipewright::flink::{Flink, cluster::GetOverview};
/// use pipewright_mock::World;
///
/// let world = World::new(1);
/// let starting = |_now: Timestamp, _request: &Request<Bytes>| {
///     let mut response = Response::new("the cluster starts".into());
///     *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
///     response
/// };
/// let cluster = world.mount("http://flink.test:8081".parse()?, starting);
/// let error = Flink::new(cluster.base(), world).call(GetOverview::new()).expect_err("503");
/// assert_eq!(error.service().expect("an error response").status(), 503);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl<F: FnMut(Timestamp, &Request<Bytes>) -> Response<Bytes> + Send> Service for F {
    fn handle(&mut self, now: Timestamp, request: &Request<Bytes>) -> Response<Bytes> {
        self(now, request)
    }
}

impl Service for flink::Cluster {
    fn handle(&mut self, now: Timestamp, request: &Request<Bytes>) -> Response<Bytes> {
        Self::handle(self, now.as_unix(), request)
    }

    fn restart(&mut self, now: Timestamp, downtime: Duration) {
        Self::restart(self, now.as_unix(), downtime);
    }

    fn lose_leader(
        &mut self,
        now: Timestamp,
        downtime: Duration,
        request: &Request<Bytes>,
        response: Response<Bytes>,
    ) -> Option<(Duration, Response<Bytes>)> {
        Self::lose_leader(self, now.as_unix(), downtime, request, response)
    }

    fn advance(&mut self, now: Timestamp) {
        Self::advance(self, now.as_unix());
    }

    fn is_down(&mut self, now: Timestamp) -> bool {
        Self::advance(self, now.as_unix());
        self.is_shut_down()
    }
}

impl Service for flink::History {
    fn handle(&mut self, now: Timestamp, request: &Request<Bytes>) -> Response<Bytes> {
        Self::handle(self, now.as_unix(), request)
    }

    fn advance(&mut self, now: Timestamp) {
        Self::advance(self, now.as_unix());
    }
}

impl Service for snowpipe::Account {
    fn handle(&mut self, now: Timestamp, request: &Request<Bytes>) -> Response<Bytes> {
        Self::handle(self, now.as_unix(), request)
    }

    fn restart(&mut self, now: Timestamp, downtime: Duration) {
        Self::restart(self, now.as_unix(), downtime);
    }

    fn advance(&mut self, now: Timestamp) {
        Self::advance(self, now.as_unix());
    }
}

impl Service for feldera::Manager {
    fn handle(&mut self, now: Timestamp, request: &Request<Bytes>) -> Response<Bytes> {
        Self::handle(self, now.as_unix(), request)
    }

    fn read(&mut self, now: Timestamp, body: OpenBody) -> Coming {
        Self::read(self, now.as_unix(), body)
    }

    fn close(&mut self, now: Timestamp, body: OpenBody) {
        Self::close(self, now.as_unix(), body);
    }

    fn restart(&mut self, now: Timestamp, downtime: Duration) {
        Self::restart(self, now.as_unix(), downtime);
    }

    fn advance(&mut self, now: Timestamp) {
        Self::advance(self, now.as_unix());
    }
}

impl Service for sql_gateway::Gateway {
    fn handle(&mut self, now: Timestamp, request: &Request<Bytes>) -> Response<Bytes> {
        Self::handle(self, now.as_unix(), request)
    }

    fn restart(&mut self, now: Timestamp, _downtime: Duration) {
        Self::restart(self, now.as_unix());
    }

    fn advance(&mut self, now: Timestamp) {
        Self::advance(self, now.as_unix());
    }
}

/// A handle on a service in a world, to observe and restart it. Cheap to clone.
pub struct Mounted<S> {
    world: World,
    base: Base,
    service: Arc<Mutex<S>>,
}

/// A simulated Flink cluster in a world.
pub type FlinkHandle = Mounted<flink::Cluster>;

/// A simulated Feldera in a world.
pub type FelderaHandle = Mounted<feldera::Manager>;

/// A simulated SQL Gateway in a world.
pub type SqlGatewayHandle = Mounted<sql_gateway::Gateway>;

/// A simulated Snowflake account in a world.
pub type SnowpipeHandle = Mounted<snowpipe::Account>;

impl<S: Service + 'static> Mounted<S> {
    /// Returns the address of the service.
    pub fn base(&self) -> Base {
        self.base.clone()
    }

    /// Calls a function with the service, to read or change its state, as another client could.
    ///
    /// Do not use the world in this function: it would wait for the service forever.
    pub fn with<T>(&self, look: impl FnOnce(&mut S) -> T) -> T {
        let now = self.world.now();
        let mut service = lock(&self.service);
        service.advance(now);
        look(&mut service)
    }

    /// Makes the service fail now and return after `downtime`.
    pub fn restart(&self, downtime: Duration) {
        self.world.restart(&key(self.base.scheme().as_str(), self.base.authority()), downtime);
    }
}

impl SnowpipeHandle {
    /// Makes the account [fail over](snowpipe::Account::fail_over) now.
    pub fn fail_over(&self, downtime: Duration) {
        let now = self.world.now();
        lock(&self.service).fail_over(now.as_unix(), downtime);
    }
}

impl World {
    /// Mounts a service at an address, and removes an earlier service at that address. Scheme, host and port select the
    /// service. If the address has a path prefix, a simulated proxy answers requests outside that prefix with 404.
    pub fn mount<S: Service + 'static>(&self, base: Base, service: S) -> Mounted<S> {
        let service = Arc::new(Mutex::new(service));
        let mount = Mount { prefix: base.prefix().to_owned(), service: service.clone() };
        let key = key(base.scheme().as_str(), base.authority());
        self.change(|network| network.services.insert(key, mount));
        Mounted { world: self.clone(), base, service }
    }

    /// Mounts a new Flink cluster at an address.
    pub fn flink(&self, base: Base, config: flink::Config) -> FlinkHandle {
        self.mount(base, flink::Cluster::new(config))
    }

    /// Mounts a HistoryServer of a Flink cluster at an address.
    pub fn flink_history(&self, base: Base, cluster: &FlinkHandle) -> Mounted<flink::History> {
        self.mount(base, flink::History::new(Arc::clone(&cluster.service)))
    }

    /// Mounts a new Feldera at an address.
    pub fn feldera(&self, base: Base, config: feldera::Config) -> FelderaHandle {
        self.mount(base, feldera::Manager::new(config))
    }

    /// Mounts a new SQL Gateway at an address.
    pub fn sql_gateway(&self, base: Base, config: sql_gateway::Config) -> SqlGatewayHandle {
        self.mount(base, sql_gateway::Gateway::new(config))
    }

    /// Mounts a new Snowflake account at an address, and at its [ingest hosts](snowpipe::Config::ingest_hosts), with
    /// `-` for `_` and on the default port.
    pub fn snowpipe(&self, base: Base, config: snowpipe::Config) -> SnowpipeHandle {
        let account = snowpipe::Account::new(config);
        let hosts = account.hosts();
        let mounted = self.mount(base, account);
        for host in hosts {
            let Ok(authority) = host.parse() else { continue };
            let mount = Mount { prefix: String::new(), service: mounted.service.clone() };
            let key = key(mounted.base.scheme().as_str(), &authority);
            self.change(|network| network.services.insert(key, mount));
        }
        mounted
    }
}

impl<S> Clone for Mounted<S> {
    fn clone(&self) -> Self {
        Self { world: self.world.clone(), base: self.base.clone(), service: Arc::clone(&self.service) }
    }
}

impl<S> fmt::Debug for Mounted<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mounted").field("base", &self.base).finish_non_exhaustive()
    }
}

/// A service as the network sees it.
pub(super) struct Mount {
    prefix: String,
    service: Arc<Mutex<dyn Service>>,
}

impl Mount {
    pub(super) fn handle(&self, now: Timestamp, mut request: Request<Bytes>) -> Response<Bytes> {
        let target = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
        let inside = target.strip_prefix(&self.prefix).filter(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
        let inside = inside.map(|rest| if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") });
        let Some(inside) = inside.and_then(|rest| rest.parse::<Uri>().ok()) else {
            return proxy_page(StatusCode::NOT_FOUND, RetryAfter::Absent, now);
        };
        *request.uri_mut() = inside;
        lock(&self.service).handle(now, &request)
    }

    pub(super) fn is_down(&self, now: Timestamp) -> bool {
        lock(&self.service).is_down(now)
    }

    pub(super) fn lose_leader(
        &self,
        now: Timestamp,
        downtime: Duration,
        request: &Request<Bytes>,
        response: Response<Bytes>,
    ) -> Option<(Duration, Response<Bytes>)> {
        lock(&self.service).lose_leader(now, downtime, request, response)
    }

    pub(super) fn restart(&self, now: Timestamp, downtime: Duration) {
        lock(&self.service).restart(now, downtime);
    }

    pub(super) fn close(&self, now: Timestamp, body: OpenBody) {
        lock(&self.service).close(now, body);
    }

    pub(super) fn service(&self) -> Arc<Mutex<dyn Service>> {
        Arc::clone(&self.service)
    }
}

/// What requests find a service by: scheme, host in lower case, and port.
pub(super) fn key(scheme: &str, authority: &http::uri::Authority) -> String {
    let port = authority.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    format!("{scheme}://{}:{port}", authority.host().to_ascii_lowercase())
}
