//! [`Secret`]: a text that `Debug` does not show.

use std::fmt;

use http::HeaderValue;
use serde::{Deserializer, Serializer};

use crate::error::CredentialError;
use crate::schema::{Redacted, WireField};

/// A password, token or key. `Debug` does not show it. It has no `Display` and cannot be serialized.
///
/// ```
/// use pipewright::Secret;
/// let token = Secret::new("s3cr3t");
/// assert_eq!(format!("{token:?}"), "Secret(…)");
/// assert_eq!(token.expose(), "s3cr3t");
/// ```
#[derive(Clone)]
pub struct Secret(Box<str>);

impl Secret {
    /// Wraps a secret.
    pub fn new(secret: impl Into<Box<str>>) -> Self {
        Self(secret.into())
    }

    /// Returns the secret text. Do not log it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns the value of an `Authorization` header with this bearer token ([RFC 6750
    /// §2.1](https://www.rfc-editor.org/rfc/rfc6750#section-2.1)), marked as sensitive.
    ///
    /// # Errors
    /// A [`CredentialError`] if the text contains a character that is not allowed in a header, such as a line break.
    pub fn bearer(&self) -> Result<HeaderValue, CredentialError> {
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.0)).map_err(|_| {
            CredentialError::permanent(
                "the token contains a character that is not allowed in an HTTP header; remove a line break at its end, for example",
            )
        })?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A value of a flow that may contain a secret, such as the arguments of a program. `Debug` shows only whether it
/// exists.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Private<T>(pub(crate) T);

impl<T: WireField> fmt::Debug for Private<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Redacted(self.0.is_absent()).fmt(f)
    }
}

impl<T: WireField> WireField for Private<T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::read(deserializer).map(Self)
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.write(serializer)
    }

    fn absent() -> Option<Self> {
        T::absent().map(Self)
    }

    fn is_absent(&self) -> bool {
        self.0.is_absent()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_private_is_shown_to_be_there_or_not() {
        let of = |text: Option<&str>| format!("{:?}", Private(text.map(str::to_owned)));
        assert_eq!((of(Some("s3cr3t")), of(None)), ("…".to_owned(), "None".to_owned()));
        assert_eq!(format!("{:?}", Private(Vec::<String>::new())), "None");
    }

    #[test]
    fn a_bearer_header_is_sensitive_and_not_printed() {
        let header = Secret::new("s3cr3t").bearer().expect("plain text");
        assert!(header.is_sensitive());
        assert!(!format!("{header:?}").contains("s3cr3t"));
        assert!(!format!("{:?}", Secret::new("s3cr3t\n").bearer()).contains("s3cr3t"));
    }
}
