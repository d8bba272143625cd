//! Building one request: four path segments, three query parameters, a body's type, a bearer header.

use bytes::Bytes;
use http::uri::{Authority, Parts, PathAndQuery, Scheme};
use http::{HeaderValue, Method, Request, Response, Uri, header};
use pipewright::error::{BuildError, ServiceError};
use pipewright::operation::{Effect, OperationInfo, RequestContext, Service, Target};
use pipewright::{Base, Body, Operation, Secret};
use url::Url;

const BODY: &str = r#"{"n":1}"#;
const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJwaXBld3JpZ2h0In0.mYq0Fv3B";

/// A service with nothing of its own.
#[derive(Debug)]
pub(crate) enum Demo {}

impl Service for Demo {
    const NAME: &'static str = "demo";

    fn parse_error(info: &'static OperationInfo, response: &Response<Bytes>) -> ServiceError {
        ServiceError::foreign(info, response)
    }
}

/// Rows for a table of a pipeline.
#[derive(Debug)]
pub(crate) struct PushRows {
    pipeline: String,
    table: String,
    format: &'static str,
    array: bool,
    update_format: &'static str,
}

impl Operation for PushRows {
    type Output = ();
    type Service = Demo;
    const INFO: &'static OperationInfo = &OperationInfo {
        service: Demo::NAME,
        name: "pushRows",
        method: Method::POST,
        path: "/pipelines/{pipeline}/ingress/{table}",
        effect: Effect::Once,
        effect_varies: false,
    };

    fn request(&self, cx: RequestContext<'_>) -> Result<Request<Body>, BuildError> {
        let mut target = Target::new::<Demo>(Self::INFO, cx);
        target.segment("pipeline", &self.pipeline)?;
        target.segment("table", &self.table)?;
        target.query("format", &self.format);
        target.query("array", &self.array);
        target.query("update_format", &self.update_format);
        target.finish(Some(Body::from(BODY)))
    }

    fn parse(&self, response: Response<Bytes>) -> Result<(), ServiceError> {
        if response.status().is_success() { Ok(()) } else { Err(Demo::parse_error(Self::INFO, &response)) }
    }
}

/// One request, built in three ways.
pub(crate) struct Building {
    operation: PushRows,
    credential: HeaderValue,
    base: Base,
    scheme: Scheme,
    authority: Authority,
    url: Url,
}

impl Building {
    pub(crate) fn new() -> Self {
        let base: Base = "https://feldera.example:8080".parse().expect("an address");
        let building = Self {
            operation: PushRows {
                pipeline: "fraud-detection".to_owned(),
                table: "transactions".to_owned(),
                format: "json",
                array: true,
                update_format: "insert_delete",
            },
            credential: Secret::new(TOKEN).bearer().expect("a header"),
            scheme: base.scheme().clone(),
            authority: base.authority().clone(),
            url: Url::try_from(&base).expect("an address"),
            base,
        };
        let all = [building.ours(), building.floor(), building.with_url()];
        for request in all {
            assert_eq!(request.method(), Method::POST);
            assert_eq!(
                request.uri(),
                "https://feldera.example:8080/pipelines/fraud-detection/ingress/transactions?format=json&array=true&update_format=insert_delete"
            );
            assert_eq!(request.headers().len(), 2);
            assert_eq!(request.headers()[header::AUTHORIZATION], building.credential);
            assert_eq!(request.headers()[header::CONTENT_TYPE], "application/json");
            assert_eq!(request.body().len(), BODY.len() as u64);
        }
        building
    }

    /// As a call does it.
    pub(crate) fn ours(&self) -> Request<Body> {
        let mut request = self.operation.request(RequestContext::new(&self.base)).expect("a request");
        request.headers_mut().insert(header::AUTHORIZATION, self.credential.clone());
        request
    }

    /// By hand: one string, path and query from it, and no escaping.
    pub(crate) fn floor(&self) -> Request<Body> {
        let PushRows { pipeline, table, format, array, update_format } = &self.operation;
        let mut path = String::with_capacity(160);
        path.push_str("/pipelines/");
        path.push_str(pipeline);
        path.push_str("/ingress/");
        path.push_str(table);
        path.push_str("?format=");
        path.push_str(format);
        path.push_str("&array=");
        path.push_str(if *array { "true" } else { "false" });
        path.push_str("&update_format=");
        path.push_str(update_format);
        let mut parts = Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(PathAndQuery::try_from(path).expect("a path"));
        let mut request = Request::new(Body::from(BODY));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_parts(parts).expect("an address");
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.headers_mut().insert(header::AUTHORIZATION, self.credential.clone());
        request
    }

    /// With `url`, as one would without a second thought.
    pub(crate) fn with_url(&self) -> Request<Body> {
        let PushRows { pipeline, table, format, array, update_format } = &self.operation;
        let mut url = self.url.clone();
        url.path_segments_mut().expect("a base").extend(["pipelines", pipeline, "ingress", table]);
        url.query_pairs_mut()
            .append_pair("format", format)
            .append_pair("array", &array.to_string())
            .append_pair("update_format", update_format);
        Request::builder()
            .method(Method::POST)
            .uri(url.as_str())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, self.credential.clone())
            .body(Body::from(BODY))
            .expect("a request")
    }
}
