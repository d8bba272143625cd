//! [`Target`]: builds a request from a path template.
//!
//! Every parameter is percent-encoded as one path segment, so a name cannot change the path. A segment that encoding
//! cannot protect is a [`BuildError`]: an empty name, and `.` and `..`, which URL parsers drop.

use std::fmt;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Uri, header};

use super::{OperationInfo, RequestContext, Service};
use crate::body::Body;
use crate::error::BuildError;
use crate::url::{self, Base, Encoder, Parameter};

/// A builder for the request of an operation, from its path template.
///
/// ```
/// use pipewright::{Base, operation::{RequestContext, Target}};
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
    /// The text of the target.
    buffer: Vec<u8>,
    /// The rest of the template.
    template: &'static [u8],
    decoded_twice: bool,
    max_line: usize,
    has_query: bool,
    /// The query parameter for the number of the attempt, and the number.
    attempts: Option<(&'static str, u32)>,
    default_headers: fn(&mut HeaderMap),
    /// The first problem that `finish` returns.
    error: Option<BuildError>,
}

impl<'a> Target<'a> {
    /// Starts a target with the prefixes of the base address and of the service.
    #[inline]
    pub fn new<S: Service>(info: &'static OperationInfo, cx: RequestContext<'a>) -> Self {
        let (base, prefix) = (cx.base(), cx.prefix::<S>());
        let mut buffer = Vec::with_capacity(base.prefix().len() + prefix.len() + info.path.len() + 80);
        buffer.extend_from_slice(base.prefix().as_bytes());
        buffer.extend_from_slice(prefix.as_bytes());
        let error = if base.prefix().is_empty() { None } else { repeats_version::<S>(base) };
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

    /// Writes the template up to its next parameter, which must be `name`, and then the value.
    ///
    /// # Errors
    /// * [`BuildError::Value`] if the value is empty, `.` or `..`.
    /// * [`BuildError::Value`] with the template as its value, if the next parameter is not `name`.
    #[inline]
    pub fn segment<P: Parameter + ?Sized>(&mut self, name: &'static str, value: &P) -> Result<(), BuildError> {
        self.literal(name)?;
        let start = self.buffer.len();
        let written = value.encode(&mut Encoder::new(&mut self.buffer, self.decoded_twice));
        match self.buffer.get(start..) {
            Some(b"" | b"." | b"..") | None => Err(self.invalid(name, start, written.is_ok())),
            Some(_) if written.is_err() => Err(self.invalid(name, start, false)),
            Some(_) => Ok(()),
        }
    }

    /// Writes the template up to its next parameter, which must be `name`, and skips that.
    fn literal(&mut self, name: &'static str) -> Result<(), BuildError> {
        let (literal, rest) = split_at(self.template, b'{');
        match rest.split_at_checked(name.len()) {
            Some((parameter, [b'}', rest @ ..])) if parameter == name.as_bytes() => {
                self.buffer.extend_from_slice(literal);
                self.template = rest;
                Ok(())
            }
            _ => Err(self.misplaced(name)),
        }
    }

    /// Returns the error for a parameter that the template does not have at this place.
    #[cold]
    fn misplaced(&self, name: &'static str) -> BuildError {
        let problem = "the next parameter of this path has another name; call `segment` once for each, in this order";
        BuildError::value(self.info.name, name, self.info.path, problem)
    }

    /// Returns the error for a path that ends with a parameter without a value.
    #[cold]
    fn missing(&self) -> BuildError {
        let name = std::str::from_utf8(split_at(split_at(self.template, b'{').1, b'}').0).unwrap_or_default();
        let problem = "this parameter of the path has no value; call `segment` for it";
        BuildError::value(self.info.name, name, self.info.path, problem)
    }

    /// Returns the error for a segment that would lead to another resource.
    #[cold]
    fn invalid(&self, name: &'static str, start: usize, displayed: bool) -> BuildError {
        let value = String::from_utf8_lossy(self.buffer.get(start..).unwrap_or_default());
        let problem = match &*value {
            _ if !displayed => "it cannot be displayed",
            "" => "it is empty, and the request would go to another resource",
            _ => "URL parsers drop this segment, and the request would go to another resource",
        };
        BuildError::value(self.info.name, name, &value, problem)
    }

    /// Appends `key=value` to the query. If the value has a [`problem`](Parameter::problem), `finish` returns it.
    #[inline]
    pub fn query<P: Parameter + ?Sized>(&mut self, key: &'static str, value: &P) {
        self.key(key);
        if let Some(problem) = value.problem() {
            let text = value.to_string();
            self.error.get_or_insert_with(|| BuildError::value(self.info.name, key, &text, problem));
        }
        // A `Display` that fails leaves a shorter value, which the service rejects. The types of this crate do not
        // fail.
        let _ = value.encode(&mut Encoder::new(&mut self.buffer, false));
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
        if !self.template.is_empty() {
            if self.error.is_none() && self.template.contains(&b'{') {
                self.error = Some(self.missing());
            }
            self.buffer.extend_from_slice(std::mem::take(&mut self.template));
        }
    }

    /// Builds the request, with a JSON body or without a body.
    ///
    /// # Errors
    /// * [`BuildError::TooLong`] if the request line is longer than the service reads.
    /// * [`BuildError::Value`] if a parameter of the path has no value, or if a value of the query cannot be sent.
    /// * [`BuildError::Base`] if the base address ends with a version of the API.
    #[inline]
    pub fn finish(self, json: Option<Body>) -> Result<Request<Body>, BuildError> {
        match json {
            Some(body) => self.finish_with(body, const { HeaderValue::from_static("application/json") }),
            None => self.into_request(Body::empty(), None),
        }
    }

    /// Builds the request, with a body of this content type.
    ///
    /// # Errors
    /// The errors of [`finish`](Self::finish).
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
        parts.scheme = Some(self.base.scheme().clone());
        parts.authority = Some(self.base.authority().clone());
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

/// Returns the error for a base address that ends with a version of the API: `/v1/v1/…` does not exist.
#[cold]
fn repeats_version<S: Service>(base: &Base) -> Option<BuildError> {
    let problem = "it ends with the version of the API, which every request adds; leave it out";
    S::VERSIONS
        .iter()
        .any(|version| base.prefix().ends_with(version))
        .then(|| url::invalid_base(&base.to_string(), problem))
}

/// Splits at a byte. Literals are short, so a search by machine words takes longer.
fn split_at(template: &'static [u8], byte: u8) -> (&'static [u8], &'static [u8]) {
    let end = template.iter().position(|each| *each == byte).unwrap_or(template.len());
    (template.get(..end).unwrap_or_default(), template.get(end + 1..).unwrap_or_default())
}
