//! [`Config`]: the address of a service, and settings for all its flows.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use super::{Contact, Retry};
use crate::operation::{KnownVersion, ServerVersion, Service};
use crate::url::Base;

/// The configuration of all flows of one service: address, headers, retries and limits. Cheap to clone.
///
/// The clones of a config also share whether the address has ever answered. [`Call`](super::call) retries less before
/// the first answer, when the address is probably wrong.
///
/// ```
/// use pipewright::flow::{Config, Retry};
/// use pipewright::flink::FlinkRest;
///
/// let config = Config::<FlinkRest>::new("https://proxy.example/flink".parse()?).with_retry(Retry::never());
/// assert_eq!(config.base().prefix(), "/flink");
/// # Ok::<(), pipewright::error::BuildError>(())
/// ```
pub struct Config<S> {
    settings: Arc<Settings>,
    service: PhantomData<fn() -> S>,
}

/// What a [`Config`] holds, without the type of the service.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) base: Base,
    pub(super) headers: HeaderMap,
    pub(super) retry: Retry,
    pub(super) body_limit: u64,
    pub(super) authorized: bool,
    /// Whether the headers hold a credential.
    carries_credentials: bool,
    plaintext_allowed: bool,
    pub(super) contact: Contact,
    pub(super) server_version: KnownVersion,
}

impl<S: Service> Config<S> {
    /// Creates a configuration with the defaults: no credential, no extra headers, the default [`Retry`], response
    /// bodies up to 64 MiB.
    pub fn new(base: Base) -> Self {
        let settings = Settings {
            base,
            headers: HeaderMap::new(),
            retry: Retry::default(),
            body_limit: 64 * 1024 * 1024,
            authorized: false,
            carries_credentials: false,
            plaintext_allowed: false,
            contact: Contact::default(),
            server_version: KnownVersion::default(),
        };
        Self { settings: Arc::new(settings), service: PhantomData }
    }

    fn change(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }

    /// Sets headers for every request, such as headers for a proxy in front of the service. `Debug` shows none of their
    /// values. `Authorization`, `Proxy-Authorization`, `Cookie` and all headers marked as sensitive count as
    /// credentials.
    pub fn with_headers(self, mut headers: HeaderMap) -> Self {
        let carries = CREDENTIAL_HEADERS.iter().any(|name| headers.contains_key(name))
            || headers.values().any(HeaderValue::is_sensitive);
        // An API key may have any name.
        headers.values_mut().for_each(|value| value.set_sensitive(true));
        let this = self.change(|settings| settings.carries_credentials = carries);
        this.change(|settings| settings.headers = headers)
    }

    /// Sets when and how often requests are repeated.
    pub fn with_retry(self, retry: Retry) -> Self {
        self.change(|settings| settings.retry = retry)
    }

    /// Sets the maximum size of a response body in bytes; 64 MiB by default.
    pub fn with_body_limit(self, bytes: u64) -> Self {
        self.change(|settings| settings.body_limit = bytes)
    }

    /// Makes flows ask for a credential before their first request, and again before they repeat a request after a
    /// wait: the credential may have expired meanwhile.
    pub fn with_credentials(self) -> Self {
        self.change(|settings| settings.authorized = true)
    }

    /// Allows credentials over plain `http` to other machines. They can be read on the network.
    pub fn allow_plaintext_credentials(self) -> Self {
        self.change(|settings| settings.plaintext_allowed = true)
    }

    /// Sets the version of the server, for operations that depend on it: those of Feldera that send a `RuntimeConfig`.
    ///
    /// If the server is updated later, set the version again. `Deploy` requests it again if the server seems to ignore
    /// settings.
    pub fn with_server_version(self, version: ServerVersion) -> Self {
        let this = self.change(|_| {});
        this.learn_server_version(version);
        this
    }

    /// Returns the version of the server, as set by the caller or requested by a flow; all clones of this configuration
    /// share it. `None` if it is unknown.
    pub fn server_version(&self) -> Option<ServerVersion> {
        self.settings.server_version.get()
    }

    /// Remembers the version of the server, for all clones.
    pub(crate) fn learn_server_version(&self, version: ServerVersion) {
        self.settings.server_version.set(version);
    }

    /// Returns the base address of the service.
    pub fn base(&self) -> &Base {
        &self.settings.base
    }

    /// Returns the headers for every request.
    pub fn headers(&self) -> &HeaderMap {
        &self.settings.headers
    }

    /// Returns when and how often requests are repeated.
    pub fn retry(&self) -> &Retry {
        &self.settings.retry
    }

    /// Returns the maximum size of a response body in bytes.
    pub fn body_limit(&self) -> u64 {
        self.settings.body_limit
    }

    /// Returns whether flows ask for a credential.
    pub fn is_authorized(&self) -> bool {
        self.settings.authorized
    }

    /// Returns what is known about the address.
    pub(crate) fn contact(&self) -> &Contact {
        &self.settings.contact
    }

    pub(super) fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }
}

impl Settings {
    /// Returns whether a request would show a credential to other machines on the network.
    pub(super) fn exposes_credentials(&self) -> bool {
        let carries = self.authorized || self.carries_credentials;
        carries && !self.plaintext_allowed && self.base.is_exposed()
    }
}

const CREDENTIAL_HEADERS: [http::HeaderName; 3] =
    [http::header::AUTHORIZATION, http::header::PROXY_AUTHORIZATION, http::header::COOKIE];

impl<S> Clone for Config<S> {
    fn clone(&self) -> Self {
        Self { settings: Arc::clone(&self.settings), service: PhantomData }
    }
}

impl<S: Service> fmt::Debug for Config<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("service", &S::NAME)
            .field("base", self.base())
            .field("headers", self.headers())
            .field("retry", self.retry())
            .finish_non_exhaustive()
    }
}
