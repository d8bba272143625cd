//! [`Credentials`]: where `Authorization` headers come from.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;

use crate::error::CredentialError;
use crate::flow::{CredentialRequest, Reply};
use crate::secret::Secret;
use crate::time::Timestamp;

/// Supplies `Authorization` headers.
///
/// A [`Secret`] is a fixed bearer token. [`Basic`] is a user name with a password. [`Refreshing`] and
/// [`credentials_fn`] call a closure.
pub trait Credentials {
    /// Returns a header for the service that the request names. If the request has a
    /// [`rejected`](CredentialRequest::rejected) header, returns another header.
    ///
    /// A flow asks before its first request, and again before each retry: the credential may have expired meanwhile. If
    /// a credential is expensive, keep it until shortly before it expires.
    ///
    /// # Errors
    /// A [`CredentialError`] if no credential is available. Its message must not contain a secret.
    fn authorize(&self, request: &CredentialRequest, now: Timestamp) -> Result<HeaderValue, CredentialError>;
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<T: Credentials + ?Sized> Credentials for $pointer {
            fn authorize(&self, request: &CredentialRequest, now: Timestamp) -> Result<HeaderValue, CredentialError> {
                (**self).authorize(request, now)
            }
        }
    )*};
}

forward!(&T, Arc<T>, Box<T>);

/// A fixed bearer token. It cannot be replaced if the service rejects it.
impl Credentials for Secret {
    fn authorize(&self, request: &CredentialRequest, _now: Timestamp) -> Result<HeaderValue, CredentialError> {
        match request.rejected() {
            None => self.bearer(),
            Some(_) => Err(rejected(request, "the token")),
        }
    }
}

/// Credentials for services without authentication. They supply no header.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCredentials;

impl Credentials for NoCredentials {
    fn authorize(&self, request: &CredentialRequest, _now: Timestamp) -> Result<HeaderValue, CredentialError> {
        Err(CredentialError::permanent(format!("none was configured for {}", request.authority())))
    }
}

/// Credentials from a closure. Created by [`credentials_fn`].
#[derive(Clone, Copy, Debug)]
pub struct CredentialsFn<F>(F);

/// Creates credentials from a closure.
///
/// ```
/// use pipewright::Secret;
/// use pipewright::driver::credentials_fn;
/// use pipewright::error::CredentialError;
///
/// // The platform renews the token in this file.
/// let credentials = credentials_fn(|_request, _now| {
///     let token = std::fs::read_to_string("/var/run/secrets/token");
///     let token = token.map_err(|error| CredentialError::transient(format!("reading the token: {error}")))?;
///     Secret::new(token.trim_end()).bearer()
/// });
/// ```
pub fn credentials_fn<F>(authorize: F) -> CredentialsFn<F>
where
    F: Fn(&CredentialRequest, Timestamp) -> Result<HeaderValue, CredentialError>,
{
    CredentialsFn(authorize)
}

impl<F> Credentials for CredentialsFn<F>
where
    F: Fn(&CredentialRequest, Timestamp) -> Result<HeaderValue, CredentialError>,
{
    fn authorize(&self, request: &CredentialRequest, now: Timestamp) -> Result<HeaderValue, CredentialError> {
        (self.0)(request, now)
    }
}

/// A user name and a password, as HTTP Basic authentication sends them ([RFC
/// 7617](https://www.rfc-editor.org/rfc/rfc7617)).
#[cfg(feature = "oauth")]
#[derive(Clone)]
pub struct Basic(HeaderValue);

#[cfg(feature = "oauth")]
impl Basic {
    /// Creates the credentials of a user.
    ///
    /// # Errors
    /// A [`CredentialError`] if the user name contains a colon, which separates it from the password.
    pub fn new(user: &str, password: &Secret) -> Result<Self, CredentialError> {
        if user.contains(':') {
            return Err(CredentialError::permanent(
                "the user name contains a colon, which Basic authentication cannot send",
            ));
        }
        Self::encode(user, password.expose())
    }

    /// Encodes two texts. The first text has no colon.
    pub(crate) fn encode(user: &str, password: &str) -> Result<Self, CredentialError> {
        use base64::Engine as _;

        let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        let header = HeaderValue::try_from(format!("Basic {text}"));
        let mut header = header.map_err(|_| CredentialError::permanent("the credentials are too long for a header"))?;
        header.set_sensitive(true);
        Ok(Self(header))
    }

    /// Returns the value of the `Authorization` header.
    pub(crate) fn into_header(self) -> HeaderValue {
        self.0
    }
}

/// A fixed user name and password. They cannot be replaced if the service rejects them.
#[cfg(feature = "oauth")]
impl Credentials for Basic {
    fn authorize(&self, request: &CredentialRequest, _now: Timestamp) -> Result<HeaderValue, CredentialError> {
        match request.rejected() {
            None => Ok(self.0.clone()),
            Some(_) => Err(rejected(request, "user name and password")),
        }
    }
}

#[cfg(feature = "oauth")]
impl fmt::Debug for Basic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Basic").finish()
    }
}

/// How long before its expiry a token is replaced.
const RENEWAL_MARGIN: Duration = Duration::from_secs(60);

/// A bearer token with its expiry time.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BearerToken {
    /// The token.
    pub token: Secret,
    /// When the token expires. If `None`, the token is used until the service rejects it.
    pub expires: Option<Timestamp>,
}

impl BearerToken {
    /// Creates a token that expires at a time.
    pub fn new(token: Secret, expires: impl Into<Option<Timestamp>>) -> Self {
        Self { token, expires: expires.into() }
    }
}

/// Credentials with bearer tokens from a closure, which requests them from an identity provider, for example. They keep
/// a token until a minute before it expires, or until the service rejects it.
///
/// One call of the closure serves all flows. Flows on other threads wait for it. In an async program, await the token
/// in a closure of [`AsyncDriver::with_async_credentials`](super::AsyncDriver::with_async_credentials) instead, and
/// keep it there.
///
/// ```
/// use std::time::Duration;
/// use pipewright::Secret;
/// use pipewright::driver::{BearerToken, Refreshing};
///
/// let credentials = Refreshing::new(|now| {
///     let token = Secret::new("from your identity provider");
///     Ok(BearerToken::new(token, now + Duration::from_secs(3600)))
/// });
/// ```
pub struct Refreshing<F> {
    fetch: F,
    current: Mutex<Option<Current>>,
}

struct Current {
    header: HeaderValue,
    expires: Option<Timestamp>,
}

impl<F: Fn(Timestamp) -> Result<BearerToken, CredentialError>> Refreshing<F> {
    /// Creates credentials. The closure gets the current time and returns a token.
    pub fn new(fetch: F) -> Self {
        Self { fetch, current: Mutex::new(None) }
    }
}

impl<F: Fn(Timestamp) -> Result<BearerToken, CredentialError>> Credentials for Refreshing<F> {
    fn authorize(&self, request: &CredentialRequest, now: Timestamp) -> Result<HeaderValue, CredentialError> {
        // Held while a token is fetched, so that it is fetched once.
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let usable = |at: Timestamp| {
            move |it: &&Current| request.rejected() != Some(&it.header) && it.expires.is_none_or(|expires| at < expires)
        };
        if let Some(fresh) = current.as_ref().filter(usable(now + RENEWAL_MARGIN)) {
            return Ok(fresh.header.clone());
        }
        let fetched = (self.fetch)(now).and_then(|it| Ok(Current { header: it.token.bearer()?, expires: it.expires }));
        match (fetched, current.as_ref().filter(usable(now))) {
            (Ok(fetched), _) => Ok(current.insert(fetched).header.clone()),
            // The previous token is still valid for some seconds, and the next request tries again.
            (Err(_), Some(old)) => Ok(old.header.clone()),
            (Err(error), None) => Err(error),
        }
    }
}

impl<F> fmt::Debug for Refreshing<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refreshing").finish_non_exhaustive()
    }
}

/// Returns the error of credentials that cannot replace the rejected header.
fn rejected(request: &CredentialRequest, what: &str) -> CredentialError {
    CredentialError::permanent(format!("{} rejected {what} with 401", request.service()))
}

/// Settles a request for a credential.
pub(super) fn authorize(request: CredentialRequest, credentials: &dyn Credentials, now: Timestamp) -> Reply {
    let header = credentials.authorize(&request, now);
    request.settle(header)
}
