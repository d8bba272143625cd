//! Operations that append rows without a channel: at least once, in no order.
//!
//! 200 means that the service has stored the rows. These rows have no offset token and no order, and the service offers
//! no way to find out whether they were committed. An attempt without a response may have been carried out: if it is
//! repeated, the table may get its rows twice. So an attempt is repeated only with
//! [`accept_duplicates`](AppendElasticOperation::accept_duplicates). [Snowflake's
//! reference](https://docs.snowflake.com/en/user-guide/snowpipe-streaming/snowpipe-streaming-high-performance-rest-api).

use bytes::Bytes;
use http::{Method, Request, Response};

use super::append::{Encoding, finish};
use super::error::check_body;
use super::{RequestId, SnowpipeIngest};
use crate::body::Body;
use crate::error::{BuildError, ServiceError, content_type};
use crate::operation::{self, Effect, Operation, OperationInfo, RequestContext, Target};
use crate::schema::json_structs;

/// The rows of this table.
pub(crate) const OPERATIONS: &[&OperationInfo] = &[AppendElasticOperation::INFO, AppendElasticToTable::INFO];

/// Declares both operations, which differ only in their path.
macro_rules! elastic {
    ($(#[$meta:meta])* $name:ident $vendor:literal $path:literal $last:ident) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub struct $name {
            /// The `database` of the path.
            pub database: String,
            /// The `schema` of the path.
            pub schema: String,
            #[doc = concat!("The `", stringify!($last), "` of the path.")]
            pub $last: String,
            /// The id of the request in the service's logs.
            pub request_id: RequestId,
            /// The rows.
            pub rows: Body,
            /// Whether an attempt without a response is repeated, although the table may then get its rows twice.
            pub accept_duplicates: bool,
            /// How the rows are compressed; `None` if they are not.
            pub encoding: Option<Encoding>,
        }

        impl $name {
            /// Creates the operation.
            pub fn new(
                database: impl Into<String>,
                schema: impl Into<String>,
                $last: impl Into<String>,
                request_id: RequestId,
                rows: impl Into<Body>,
            ) -> Self {
                Self {
                    database: database.into(),
                    schema: schema.into(),
                    $last: $last.into(),
                    request_id,
                    rows: rows.into(),
                    accept_duplicates: false,
                    encoding: None,
                }
            }

            /// Allows to repeat an attempt without a response, although the table may then get its rows twice.
            pub fn accept_duplicates(mut self) -> Self {
                self.accept_duplicates = true;
                self
            }

            /// Sets how the rows are compressed.
            pub fn encoding(mut self, encoding: Encoding) -> Self {
                self.encoding = Some(encoding);
                self
            }
        }

        impl Operation for $name {
            type Output = Buffered;
            type Service = SnowpipeIngest;

            const INFO: &'static OperationInfo = &OperationInfo {
                service: "snowpipe",
                name: $vendor,
                method: Method::POST,
                path: $path,
                effect: Effect::Once,
                effect_varies: true,
            };

            fn effect(&self) -> Effect {
                if self.accept_duplicates { Effect::Idempotent } else { Effect::Once }
            }

            fn request(&self, cx: RequestContext<'_>) -> Result<Request<Body>, BuildError> {
                let mut target = Target::new::<SnowpipeIngest>(Self::INFO, cx);
                target.segment("database", &self.database)?;
                target.segment("schema", &self.schema)?;
                target.segment(stringify!($last), &self.$last)?;
                target.query("requestId", &self.request_id);
                finish(Self::INFO, target, &self.rows, self.encoding.as_ref())
            }

            fn parse(&self, response: Response<Bytes>) -> Result<Buffered, ServiceError> {
                operation::parse_by::<SnowpipeIngest, _>(Self::INFO, &response, read)
            }
        }
    };
}

elastic! {
    /// Appends rows through a pipe, at least once.
    ///
    /// The format of rows and the rejections are those of [`AppendRows`](super::append::AppendRows), except the
    /// rejections about channels.
    AppendElasticOperation "appendElastic"
        "/v2/streaming/data/databases/{database}/schemas/{schema}/pipes/{pipe}/channels/ELASTIC/rows" pipe
}

elastic! {
    /// Appends rows to a table through its default pipe, at least once.
    ///
    /// The format of rows and the rejections are those of [`AppendRows`](super::append::AppendRows), except the
    /// rejections about channels.
    AppendElasticToTable "appendElasticToTable"
        "/v2/streaming/data/databases/{database}/schemas/{schema}/tables/{table}/rows" table
}

json_structs! {
    /// The response to an elastic append: the service has stored the rows.
    pub struct Buffered {
        /// `OK` or `None`.
        pub message: Option<String>,
        /// Empty or `None`: elastic appends have no continuation tokens.
        pub next_continuation_token: Option<String>,
    }
}

/// Reads a response. No field is mandatory, but only an empty body or an object is from the service. A page is not.
fn read(info: &'static OperationInfo, response: &Response<Bytes>) -> Result<Buffered, ServiceError> {
    check_body(info, response)?;
    let is_page = content_type(response).is_some_and(|kind| kind.eq_ignore_ascii_case("text/html"));
    if response.body().trim_ascii().is_empty() && !is_page {
        return Ok(Buffered { message: None, next_continuation_token: None });
    }
    operation::read_answer(info, response)
}

#[cfg(test)]
mod tests {
    use http::header::CONTENT_TYPE;

    use super::*;

    #[test]
    fn a_page_is_no_acknowledgement_however_empty() {
        let answer = |kind: Option<&str>, body: &'static str| {
            let mut response = Response::new(Bytes::from(body));
            if let Some(kind) = kind {
                response.headers_mut().insert(CONTENT_TYPE, kind.parse().expect("a type"));
            }
            read(AppendElasticOperation::INFO, &response)
        };
        for (kind, body) in [(None, ""), (None, " \n"), (Some("application/json"), ""), (Some("text/plain"), "")] {
            assert!(answer(kind, body).is_ok(), "{kind:?} {body:?}");
        }
        for (kind, body) in [("text/html", ""), ("text/html; charset=utf-8", " "), ("text/html", "{}")] {
            assert!(answer(Some(kind), body).is_err(), "{kind} {body:?}");
        }
    }
}
