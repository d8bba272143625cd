//! [`GetClusterHealth`]: by hand, because its 503 is an answer.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};

use super::FelderaApi;
use crate::body::Body;
use crate::error::{BuildError, ServiceError};
use crate::json;
use crate::operation::{self, Effect, Operation, OperationInfo, RequestContext, Target};
use crate::schema::json_structs;

/// How the platform's own services are. Since 0.201.
///
/// That one of them is not well comes as 503, with the same body, and is an answer all the same: see
/// [`Health::all_healthy`]. [Reference](https://docs.feldera.com/api/check-cluster-health).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GetClusterHealth {}

impl GetClusterHealth {
    /// The question.
    pub fn new() -> Self {
        Self {}
    }
}

/// The row of this operation.
pub(crate) const OPERATIONS: &[&OperationInfo] = &[GetClusterHealth::INFO];

impl Operation for GetClusterHealth {
    type Output = Health;
    type Service = FelderaApi;

    const INFO: &'static OperationInfo = &OperationInfo {
        service: "feldera",
        name: "get_cluster_health",
        method: Method::GET,
        path: "/v0/cluster_healthz",
        effect: Effect::Safe,
        effect_varies: false,
    };

    fn request(&self, cx: RequestContext<'_>) -> Result<Request<Body>, BuildError> {
        Target::new::<FelderaApi>(Self::INFO, cx).finish(None)
    }

    fn parse(&self, response: Response<Bytes>) -> Result<Health, ServiceError> {
        if response.status() == StatusCode::SERVICE_UNAVAILABLE
            && let Ok(health) = json::read_answer(response.body())
        {
            return Ok(health);
        }
        operation::parse::<FelderaApi, _>(Self::INFO, &response)
    }
}

json_structs! {
    /// How the platform's own services are.
    pub struct Health {
        /// All are well, and the monitor's data is fresh.
        pub all_healthy: Option<bool>,
        /// Whether the monitor has stopped recording events, so that the last recorded states are shown. Since 0.375.
        pub stale: Option<bool>,
        /// The age from which on the monitor's data counts as stale; seconds. Since 0.375.
        pub stale_after_seconds: Option<u64>,
        /// The API server.
        pub api: ServiceHealth,
        pub compiler: ServiceHealth,
        pub runner: ServiceHealth,
    }

    /// How one of them is.
    pub struct ServiceHealth {
        /// Whether it works.
        pub healthy: Option<bool>,
        /// The server's description of it.
        pub message: Option<String>,
        /// Since when it is so; RFC 3339.
        pub unchanged_since: Option<String>,
        /// When it was looked at last; RFC 3339.
        pub checked_at: Option<String>,
    }
}
