//! Addresses: a [`Base`] parsed once, and a [`Target`] written from a path template in one buffer.
//!
//! Nothing that a name holds can leave its path segment: every parameter is percent-encoded as one segment, and
//! what no encoding can save (an empty name, `.` and `..`, which URL parsers drop) is a [`BuildError`].

mod encode;

use std::fmt::{self, Display};
use std::str::FromStr;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Request, Uri, header};

pub(crate) use encode::query_length;
pub use encode::{Encoder, Parameter};

use crate::body::Body;
use crate::error::{BuildError, excerpt};
use crate::operation::{OperationInfo, RequestContext, Service};

/// Where a service is: scheme, host, port, and the path prefix of a proxy in front of it, if any.
///
/// ```
/// use pipewright::Base;
/// let base: Base = "https://proxy.example/flink/".parse()?;
/// assert_eq!(base.to_string(), "https://proxy.example/flink");
/// assert!("https://proxy.example/?a=b".parse::<Base>().is_err());
/// # Ok::<(), pipewright::error::BuildError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Base {
    scheme: Scheme,
    authority: Authority,
    /// Without a slash at the end; empty for none.
    prefix: Box<str>,
}

impl Base {
    /// `http` or `https`.
    pub fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// Host and port.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The path in front of every operation's own, without a slash at its end.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether it is plain `http` on this machine, as simulators are.
    pub(crate) fn is_plaintext_loopback(&self) -> bool {
        self.scheme == Scheme::HTTP && !self.is_exposed()
    }

    /// Whether what is sent there can be read on the way: plain `http` to another machine.
    pub fn is_exposed(&self) -> bool {
        self.scheme != Scheme::HTTPS && !is_loopback(self.authority.host())
    }
}

/// `localhost`, names below it ([RFC 6761 §6.3](https://www.rfc-editor.org/rfc/rfc6761#section-6.3)), 127.0.0.0/8 and `::1`.
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
        // `http::Uri` drops a fragment without a word.
        if text.contains('#') {
            return Err(refused(text, "a base address has no fragment (#…)"));
        }
        text.parse::<Uri>().map_err(|_| refused(text, what_is_wrong(text))).and_then(Self::try_from)
    }
}

impl TryFrom<Uri> for Base {
    type Error = BuildError;

    fn try_from(uri: Uri) -> Result<Self, BuildError> {
        let text = uri.to_string();
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(refused(&text, what_is_wrong(&text)));
        };
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return Err(refused(&text, "the scheme must be http or https"));
        }
        if authority.as_str().contains('@') {
            return Err(refused(&text, "credentials do not belong into an address: give them as Credentials"));
        }
        // Without userinfo, what follows the host is a port.
        let has_port = authority.as_str().len() > authority.host().len();
        if authority.host().is_empty() || has_port && authority.port_u16().is_none() {
            return Err(refused(&text, "the host or the port is missing or impossible"));
        }
        let path = parts.path_and_query;
        if path.as_ref().is_some_and(|path| path.query().is_some()) {
            return Err(refused(&text, "a base address has no query (?…)"));
        }
        let prefix = path.as_ref().map_or("", |path| path.path().trim_end_matches('/'));
        // Percent-encoded dots are dots to URL parsers.
        let prefix_segments = prefix.to_ascii_lowercase().replace("%2e", ".");
        if prefix_segments.split('/').skip(1).any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(refused(&text, "the path prefix has an empty, . or .. segment"));
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

    /// Fails for hosts that `http` takes and `url` does not, such as `1.2.3.256`.
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

/// Why a text is no absolute URL.
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

/// An error about a base address that shows it without the credentials it may hold.
fn refused(text: &str, problem: &'static str) -> BuildError {
    let is_scheme = |at: &usize| text.bytes().take(*at).all(|byte| byte.is_ascii_alphabetic());
    let (scheme, rest) = text.split_at(text.find("://").filter(is_scheme).map_or(0, |at| at + 3));
    // Up to the last `@`, wherever it is: passwords hold slashes and question marks too.
    let (cut, rest) = rest.rsplit_once('@').map_or(("", rest), |(_, host)| ("…@", host));
    let address = format!("{scheme}{cut}{}", rest.split(['?', '#']).next().unwrap_or_default());
    BuildError::Base { address: excerpt(address.as_bytes(), 80), problem }
}

/// A request target under construction, from the template of an operation.
///
/// ```
/// use pipewright::{Base, operation::RequestContext, url::Target};
/// use pipewright::Operation;
/// use pipewright::flink::FlinkRest;
/// use pipewright::flink::jars::DeleteJar;
///
/// let base: Base = "http://127.0.0.1:8081".parse()?;
/// let mut target = Target::new::<FlinkRest>(DeleteJar::INFO, RequestContext::new(&base));
/// target.segment("jarid", &"a b.jar")?;
/// let request = target.finish(None)?;
/// assert_eq!(request.uri(), "http://127.0.0.1:8081/v1/jars/a%20b.jar");
/// # Ok::<(), pipewright::error::BuildError>(())
/// ```
pub struct Target<'a> {
    info: &'static OperationInfo,
    base: &'a Base,
    /// Text.
    buffer: Vec<u8>,
    /// What of the template is not written yet.
    template: &'static [u8],
    decoded_twice: bool,
    max_line: usize,
    has_query: bool,
    /// Where and what the number of the attempt is.
    attempts: Option<(&'static str, u32)>,
    default_headers: fn(&mut HeaderMap),
    /// The first value of the query that cannot be sent.
    error: Option<BuildError>,
}

impl<'a> Target<'a> {
    /// Starts with the base's prefix and the service's.
    #[inline]
    pub fn new<S: Service>(info: &'static OperationInfo, cx: RequestContext<'a>) -> Self {
        let (base, prefix) = (cx.base(), cx.prefix::<S>());
        let mut buffer = Vec::with_capacity(base.prefix.len() + prefix.len() + info.path.len() + 80);
        buffer.extend_from_slice(base.prefix.as_bytes());
        buffer.extend_from_slice(prefix.as_bytes());
        let error = if base.prefix.is_empty() { None } else { repeats_version::<S>(base) };
        Self {
            info,
            base,
            buffer,
            template: info.path.as_bytes(),
            decoded_twice: cx.decodes_twice::<S>(),
            max_line: S::MAX_REQUEST_LINE,
            has_query: false,
            attempts: S::ATTEMPTS.map(|key| (key, cx.attempt())),
            default_headers: S::default_headers,
            error,
        }
    }

    /// Writes the template up to and with its next parameter, which must be `name`.
    ///
    /// # Errors
    /// When the value is empty, `.` or `..`.
    #[inline]
    pub fn segment<P: Parameter + ?Sized>(&mut self, name: &'static str, value: &P) -> Result<(), BuildError> {
        self.literal(name);
        let start = self.buffer.len();
        let written = value.encode(&mut Encoder { out: &mut self.buffer, twice: self.decoded_twice });
        match self.buffer.get(start..) {
            Some(b"" | b"." | b"..") | None => Err(self.refused(name, start, written.is_ok())),
            Some(_) if written.is_err() => Err(self.refused(name, start, false)),
            Some(_) => Ok(()),
        }
    }

    /// Writes the template up to its next parameter, and skips that.
    fn literal(&mut self, name: &'static str) {
        let (literal, rest) = split_at(self.template, b'{');
        // Where the name says that it ends, or wherever it does.
        let (parameter, rest) = match rest.split_at_checked(name.len()) {
            Some((parameter, [b'}', rest @ ..])) => (parameter, rest),
            _ => split_at(rest, b'}'),
        };
        debug_assert_eq!(parameter, name.as_bytes(), "parameters come in the order of the template");
        self.buffer.extend_from_slice(literal);
        self.template = rest;
    }

    /// For a segment that has no effect or another one than meant.
    #[cold]
    fn refused(&self, name: &'static str, start: usize, displayed: bool) -> BuildError {
        let value = String::from_utf8_lossy(self.buffer.get(start..).unwrap_or_default());
        let problem = match &*value {
            _ if !displayed => "it cannot be displayed",
            "" => "it is empty, and the request would go to another resource",
            _ => "URL parsers drop this segment, and the request would go to another resource",
        };
        BuildError::value(self.info.name, name, &value, problem)
    }

    /// Appends `key=value` to the query. A value that has a [`problem`](Parameter::problem) makes the request an error.
    #[inline]
    pub fn query<P: Parameter + ?Sized>(&mut self, key: &'static str, value: &P) {
        self.key(key);
        if let Some(problem) = value.problem() {
            let text = value.to_string();
            self.error.get_or_insert_with(|| BuildError::value(self.info.name, key, &text, problem));
        }
        // A `Display` that fails leaves a shorter value, which the service refuses; ours do not fail.
        let _ = value.encode(&mut Encoder { out: &mut self.buffer, twice: false });
    }

    fn key(&mut self, key: &'static str) {
        self.finish_path();
        self.buffer.push(if self.has_query { b'&' } else { b'?' });
        self.has_query = true;
        self.buffer.extend_from_slice(key.as_bytes());
        self.buffer.push(b'=');
    }

    #[inline]
    fn finish_path(&mut self) {
        debug_assert!(!self.template.contains(&b'{'), "a parameter of {} was not given", self.info.path);
        if !self.template.is_empty() {
            self.buffer.extend_from_slice(std::mem::take(&mut self.template));
        }
    }

    /// The request, with a JSON body if one is given.
    ///
    /// # Errors
    /// When the request line is longer than the service reads, or a value of the query cannot be sent.
    #[inline]
    pub fn finish(self, json: Option<Body>) -> Result<Request<Body>, BuildError> {
        match json {
            Some(body) => self.finish_with(body, const { HeaderValue::from_static("application/json") }),
            None => self.into_request(Body::empty(), None),
        }
    }

    /// The request, with a body of some type.
    ///
    /// # Errors
    /// When the request line is longer than the service reads, or a value of the query cannot be sent.
    #[inline]
    pub fn finish_with(self, body: Body, content_type: HeaderValue) -> Result<Request<Body>, BuildError> {
        self.into_request(body, Some(content_type))
    }

    fn into_request(mut self, body: Body, content_type: Option<HeaderValue>) -> Result<Request<Body>, BuildError> {
        self.finish_path();
        if let Some((key, attempt)) = self.attempts {
            self.query(key, &attempt);
        }
        if let Some(error) = self.error {
            return Err(error);
        }
        let name = self.info.name;
        // "METHOD target HTTP/1.1"
        let length = self.info.method.as_str().len() + self.buffer.len() + 10;
        if length > self.max_line {
            return Err(BuildError::TooLong { operation: name, length, limit: self.max_line });
        }
        let impossible = |problem| BuildError::value(name, "target", self.info.path, problem);
        let target = PathAndQuery::from_maybe_shared(Bytes::from(self.buffer))
            .map_err(|_| impossible("the template is no URL path"))?;
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.base.scheme.clone());
        parts.authority = Some(self.base.authority.clone());
        parts.path_and_query = Some(target);
        let mut request = Request::new(body);
        *request.uri_mut() = Uri::from_parts(parts).map_err(|_| impossible("the parts make no URL"))?;
        *request.method_mut() = self.info.method.clone();
        (self.default_headers)(request.headers_mut());
        if let Some(content_type) = content_type {
            request.headers_mut().insert(header::CONTENT_TYPE, content_type);
        }
        Ok(request)
    }
}

impl fmt::Debug for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("operation", &self.info.name)
            .field("base", self.base)
            .field("written", &String::from_utf8_lossy(&self.buffer))
            .field("template", &String::from_utf8_lossy(self.template))
            .finish_non_exhaustive()
    }
}

/// A base address that ends with the version of the API: `/v1/v1/…` does not exist.
#[cold]
fn repeats_version<S: Service>(base: &Base) -> Option<BuildError> {
    let problem = "it ends with the version of the API, which every request adds: leave that out";
    S::VERSIONS.iter().any(|version| base.prefix.ends_with(version)).then(|| refused(&base.to_string(), problem))
}

/// What stands before a byte and what behind it. Literals are short, so that a search by words takes longer.
fn split_at(template: &'static [u8], byte: u8) -> (&'static [u8], &'static [u8]) {
    let end = template.iter().position(|each| *each == byte).unwrap_or(template.len());
    (template.get(..end).unwrap_or_default(), template.get(end + 1..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(text: &str) -> Result<Base, String> {
        text.parse::<Base>().map_err(|error| error.to_string())
    }

    #[test]
    fn a_prefix_is_kept_with_and_without_its_slash() {
        for (given, kept) in [
            ("http://h", "http://h"),
            ("http://h:1/", "http://h:1"),
            ("https://h/a/b", "https://h/a/b"),
            ("https://h/a/b/", "https://h/a/b"),
            ("http://[::1]:80/a%20b", "http://[::1]:80/a%20b"),
        ] {
            assert_eq!(base(given).expect(given).to_string(), kept);
        }
    }

    #[test]
    fn what_is_no_base_is_named() {
        for (given, part) in [
            ("", "not an absolute URL"),
            ("h:8081", "write https:// (or http://) in front of it"),
            ("localhost", "write https:// (or http://) in front of it"),
            ("/v1", "a path"),
            ("../flink", "a path"),
            ("http://h/a b", "a space"),
            (" http://h", "a space"),
            ("http://h\n", "a line break"),
            ("http://flink.münchen.example:8081", "xn--"),
            ("http://例え.example", "xn--"),
            ("http://", "not an absolute URL"),
            ("ftp://h", "scheme"),
            ("http://h?a", "query"),
            ("http://h/#a", "fragment"),
            ("http://me:pass@h/", "credentials"),
            ("http://me@h/", "credentials"),
            ("http://h//a", "segment"),
            ("http://h/a/../b", "segment"),
            ("http://h:99999/", "port"),
            ("http://h:/", "port"),
        ] {
            let error = base(given).expect_err(given);
            assert!(error.contains(part) && !error.contains("pass"), "{given}: {error}");
        }
        let long = base(&format!("http://h/{}?", "x".repeat(1 << 16))).expect_err("long");
        assert!(long.len() < 300, "{long}");
    }

    #[cfg(feature = "flink")]
    #[test]
    fn a_base_that_ends_with_the_version_of_the_api_is_rejected() {
        use crate::flink::cluster::GetConfig;
        use crate::flink::history::FromHistory;
        use crate::operation::Operation as _;

        for bad in ["http://h:8081/v1", "http://h/v1/", "https://h/flink/v1"] {
            let base: Base = bad.parse().expect("a base");
            let cx = RequestContext::new(&base);
            for error in [GetConfig::new().request(cx), FromHistory(GetConfig::new()).request(cx)] {
                let error = error.expect_err(bad).to_string();
                assert!(error.contains("/v1\": it ends with the version of the API"), "{error}");
            }
        }
        for good in ["http://h/v1/flink", "http://h/rev1", "http://h/v0"] {
            let base: Base = good.parse().expect("a base");
            assert!(GetConfig::new().request(RequestContext::new(&base)).is_ok(), "{good}");
        }
    }

    #[test]
    fn exposed_means_plain_http_to_another_machine() {
        for safe in [
            "http://localhost",
            "http://LOCALHOST.:1",
            "http://a.localhost",
            "http://127.3.2.1",
            "http://[::1]",
            "https://h",
        ] {
            assert!(!base(safe).expect(safe).is_exposed(), "{safe}");
        }
        for exposed in [
            "http://h",
            "http://localhost.example",
            "http://127.0.0.1.example",
            "http://10.0.0.1",
            "http://notlocalhost",
        ] {
            assert!(base(exposed).expect(exposed).is_exposed(), "{exposed}");
        }
    }
}
