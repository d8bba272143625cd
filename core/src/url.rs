//! Addresses: the [`Base`] of a service, and the encoding of paths and queries.

mod encode;

use std::fmt::{self, Display};
use std::str::FromStr;

use http::Uri;
use http::uri::{Authority, Scheme};

pub(crate) use encode::query_length;
pub use encode::{Encoder, Parameter};

use crate::error::{BuildError, excerpt};

/// The base address of a service: scheme, host, port, and the path prefix of a proxy in front of it.
///
/// ```
/// use pipewright::Base;
/// let base: Base = "https://proxy.example/flink/".parse()?;
/// assert_eq!(base.to_string(), "https://proxy.example/flink");
/// assert!("https://proxy.example/?a=b".parse::<Base>().is_err());
/// # Ok::<(), pipewright::error::BuildError>(())
/// ```
///
/// A `Base` is parsed from a text or from an `http::Uri`; with the feature `url`, also from a `url::Url`.
#[derive(Clone, PartialEq, Eq)]
pub struct Base {
    scheme: Scheme,
    authority: Authority,
    /// Without a slash at the end. Empty if there is no prefix.
    prefix: Box<str>,
}

impl Base {
    /// Returns `http` or `https`.
    pub fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// Returns the host and the port.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Returns the path before the path of every operation, without a slash at its end.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Returns whether it is plain `http` on this machine, as simulators are.
    pub(crate) fn is_plaintext_loopback(&self) -> bool {
        self.scheme == Scheme::HTTP && !self.is_exposed()
    }

    /// Returns whether requests can be read on the network: plain `http` to another machine.
    pub fn is_exposed(&self) -> bool {
        self.scheme != Scheme::HTTPS && !is_loopback(self.authority.host())
    }
}

/// `localhost`, names below it ([RFC 6761 §6.3](https://www.rfc-editor.org/rfc/rfc6761#section-6.3)), 127.0.0.0/8 and
/// `::1`.
fn is_loopback(host: &str) -> bool {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = host.parse::<std::net::IpAddr>() {
        return address.to_canonical().is_loopback();
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    let end = host.len().checked_sub(".localhost".len()).and_then(|start| host.get(start..));
    host.eq_ignore_ascii_case("localhost") || end.is_some_and(|end| end.eq_ignore_ascii_case(".localhost"))
}

impl FromStr for Base {
    type Err = BuildError;

    fn from_str(text: &str) -> Result<Self, BuildError> {
        // `http::Uri` silently drops a fragment.
        if text.contains('#') {
            return Err(invalid_base(text, "a base address has no fragment (#…)"));
        }
        text.parse::<Uri>().map_err(|_| invalid_base(text, what_is_wrong(text))).and_then(Self::try_from)
    }
}

impl TryFrom<Uri> for Base {
    type Error = BuildError;

    fn try_from(uri: Uri) -> Result<Self, BuildError> {
        let text = uri.to_string();
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(invalid_base(&text, what_is_wrong(&text)));
        };
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return Err(invalid_base(&text, "the scheme must be http or https"));
        }
        if authority.as_str().contains('@') {
            return Err(invalid_base(&text, "credentials do not belong into an address: give them as Credentials"));
        }
        // Without userinfo, what follows the host is a port.
        let has_port = authority.as_str().len() > authority.host().len();
        if authority.host().is_empty() || has_port && authority.port_u16().is_none() {
            return Err(invalid_base(&text, "the host or the port is missing or impossible"));
        }
        let path = parts.path_and_query;
        if path.as_ref().is_some_and(|path| path.query().is_some()) {
            return Err(invalid_base(&text, "a base address has no query (?…)"));
        }
        let prefix = path.as_ref().map_or("", |path| path.path().trim_end_matches('/'));
        // Percent-encoded dots are dots to URL parsers.
        let prefix_segments = prefix.to_ascii_lowercase().replace("%2e", ".");
        if prefix_segments.split('/').skip(1).any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(invalid_base(&text, "the path prefix has an empty, . or .. segment"));
        }
        Ok(Self { scheme, authority, prefix: prefix.into() })
    }
}

#[cfg(feature = "url")]
impl TryFrom<url::Url> for Base {
    type Error = BuildError;

    fn try_from(url: url::Url) -> Result<Self, BuildError> {
        url.as_str().parse()
    }
}

#[cfg(feature = "url")]
impl TryFrom<&Base> for url::Url {
    type Error = url::ParseError;

    /// Fails for hosts that `http` accepts and `url` rejects, such as `1.2.3.256`.
    fn try_from(base: &Base) -> Result<Self, url::ParseError> {
        Self::parse(&base.to_string())
    }
}

impl Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.prefix)
    }
}

impl fmt::Debug for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Base({self})")
    }
}

/// Returns why a text is not an absolute URL.
fn what_is_wrong(text: &str) -> &'static str {
    let (scheme, rest) = text.split_once("://").map_or((None, text), |(scheme, rest)| (Some(scheme), rest));
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    if text.contains(char::is_whitespace) {
        "it contains a space or a line break: remove it, or write it as %20 in a path"
    } else if scheme.is_none() && text.starts_with(['/', '.', '?']) {
        "not an absolute URL but a path: write https:// (or http://), host and port in front of it"
    } else if scheme.is_none() && !text.is_empty() {
        "not an absolute URL: write https:// (or http://) in front of it"
    } else if !host.is_ascii() {
        "the host is not ASCII: write it in its ASCII form (xn--…)"
    } else if !text.is_ascii() {
        "the path is not ASCII: percent-encode it"
    } else {
        "not an absolute URL such as https://host:8081/prefix"
    }
}

/// Returns an error that shows a base address without its credentials.
pub(crate) fn invalid_base(text: &str, problem: &'static str) -> BuildError {
    let is_scheme = |at: &usize| text.bytes().take(*at).all(|byte| byte.is_ascii_alphabetic());
    let (scheme, rest) = text.split_at(text.find("://").filter(is_scheme).map_or(0, |at| at + 3));
    // Up to the last `@`, because passwords may contain slashes and question marks.
    let (cut, rest) = rest.rsplit_once('@').map_or(("", rest), |(_, host)| ("…@", host));
    let address = format!("{scheme}{cut}{}", rest.split(['?', '#']).next().unwrap_or_default());
    BuildError::Base { address: excerpt(address.as_bytes(), 80), problem }
}

/// Encodes a value of a form ([URL Standard](https://url.spec.whatwg.org/#application/x-www-form-urlencoded)).
pub(crate) fn form_value(text: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_');
    utf8_percent_encode(text, KEPT).to_string().replace("%20", "+")
}
