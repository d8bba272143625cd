//! [`Credentials`]: where `Authorization` headers come from.

use std::sync::Arc;

use http::HeaderValue;

use crate::error::CredentialError;
use crate::flow::{CredentialRequest, Reply};
use crate::secret::Secret;
use crate::time::Timestamp;

/// Supplies `Authorization` headers.
///
/// A [`Secret`] is a fixed bearer token; [`credentials_fn`] makes credentials of a closure. A reference, an `Arc` or a `Box` of
/// credentials are credentials, too.
pub trait Credentials {
    /// Returns a header for the service that the request names. If the request has a [`rejected`](CredentialRequest::rejected)
    /// header, returns another one.
    ///
    /// A flow asks before its first request and again before each repetition, so that a credential which has expired while the
    /// flow waited is not sent. If a credential is expensive, keep it until shortly before it expires.
    ///
    /// # Errors
    /// When there is no credential. The message must not contain a secret.
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

/// For services without authentication.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCredentials;

impl Credentials for NoCredentials {
    fn authorize(&self, request: &CredentialRequest, _now: Timestamp) -> Result<HeaderValue, CredentialError> {
        Err(CredentialError::permanent(format!("none was configured for {}", request.authority())))
    }
}

/// Credentials made of a closure. Created by [`credentials_fn`].
#[derive(Clone, Copy, Debug)]
pub struct CredentialsFn<F>(F);

/// Makes credentials of a closure.
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

/// The error of credentials that have no other than the rejected one.
fn rejected(request: &CredentialRequest, what: &str) -> CredentialError {
    CredentialError::permanent(format!("{} rejected {what} with 401", request.service()))
}

/// Settles a request for a credential.
pub(super) fn authorize(request: CredentialRequest, credentials: &dyn Credentials, now: Timestamp) -> Reply {
    let header = credentials.authorize(&request, now);
    request.settle(header)
}
