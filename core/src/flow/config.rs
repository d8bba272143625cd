//! [`Config`]: what all flows of one service have in common.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use super::{Contact, Retry};
use crate::operation::{KnownVersion, ServerVersion, Service};
use crate::url::Base;

/// Where a service is and how to speak to it. Cheap to clone.
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
    /// The defaults: no credential, no extra headers, the default [`Retry`], bodies up to 64 MiB.
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

    /// Headers for every request, such as those that a proxy in front of the service asks for. None of their values is
    /// printed; `Authorization`, `Proxy-Authorization` and `Cookie` among them are treated as credentials, and so is
    /// whatever is marked as sensitive.
    pub fn with_headers(self, mut headers: HeaderMap) -> Self {
        let carries = CREDENTIAL_HEADERS.iter().any(|name| headers.contains_key(name))
            || headers.values().any(HeaderValue::is_sensitive);
        // An API key may have any name.
        headers.values_mut().for_each(|value| value.set_sensitive(true));
        let this = self.change(|settings| settings.carries_credentials = carries);
        this.change(|settings| settings.headers = headers)
    }

    /// How patient to be.
    pub fn with_retry(self, retry: Retry) -> Self {
        self.change(|settings| settings.retry = retry)
    }

    /// The longest answer to take, in bytes.
    pub fn with_body_limit(self, bytes: u64) -> Self {
        self.change(|settings| settings.body_limit = bytes)
    }

    /// Flows ask for a credential before their first request, and again before they repeat a request after a wait: the
    /// credential may have expired by then.
    pub fn with_credentials(self) -> Self {
        self.change(|settings| settings.authorized = true)
    }

    /// Credentials may travel over plain `http` to other machines. They can be read on the way.
    pub fn allow_plaintext_credentials(self) -> Self {
        self.change(|settings| settings.plaintext_allowed = true)
    }

    /// Sets the version of the server, for operations that depend on it: those of Feldera that send a `RuntimeConfig`.
    ///
    /// The version stays as it is if the server is updated later: set it again then. `Deploy` requests it again if the
    /// server seems to ignore settings.
    pub fn with_server_version(self, version: ServerVersion) -> Self {
        let this = self.change(|_| {});
        this.learn_server_version(version);
        this
    }

    /// Returns the version of the server: as it was set, or as a flow has found it out, which all clones of this config
    /// then know. `None` if it is not known.
    pub fn server_version(&self) -> Option<ServerVersion> {
        self.settings.server_version.get()
    }

    /// Remembers the version of the server, for all clones.
    pub(crate) fn learn_server_version(&self, version: ServerVersion) {
        self.settings.server_version.set(version);
    }

    /// Where the service is.
    pub fn base(&self) -> &Base {
        &self.settings.base
    }

    /// Headers for every request.
    pub fn headers(&self) -> &HeaderMap {
        &self.settings.headers
    }

    /// How patient to be.
    pub fn retry(&self) -> &Retry {
        &self.settings.retry
    }

    /// The longest answer to take, in bytes.
    pub fn body_limit(&self) -> u64 {
        self.settings.body_limit
    }

    /// Whether flows ask for a credential.
    pub fn is_authorized(&self) -> bool {
        self.settings.authorized
    }

    /// What is known about the address.
    pub(crate) fn contact(&self) -> &Contact {
        &self.settings.contact
    }

    pub(super) fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }
}

impl Settings {
    /// Whether a request would show a credential to other machines on the network.
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
