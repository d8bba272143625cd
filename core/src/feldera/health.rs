//! [`GetClusterHealth`]: by hand, because its 503 is an answer.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};

use super::FelderaApi;
use crate::body::Body;
use crate::error::{BuildError, ServiceError};
use crate::json;
use crate::operation::{self, Effect, Operation, OperationInfo, RequestContext, Target};
use crate::schema::json_structs;

/// Returns the health of the platform's own services. Since 0.201.
///
/// If a service is unhealthy, the server answers 503 with the same body. This operation treats that as a success: see
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
    /// The health of the platform's own services.
    pub struct Health {
        /// Whether all services are healthy, and the monitor's data is recent.
        pub all_healthy: Option<bool>,
        /// Whether the monitor has stopped recording events, so that the last recorded states are shown. Since 0.375.
        pub stale: Option<bool>,
        /// The age in seconds from which the monitor's data counts as stale. Since 0.375.
        pub stale_after_seconds: Option<u64>,
        /// The API server: Feldera's manager.
        pub api: ServiceHealth,
        pub compiler: ServiceHealth,
        pub runner: ServiceHealth,
    }

    /// The health of a service.
    pub struct ServiceHealth {
        pub healthy: Option<bool>,
        /// The server's description of the state.
        pub message: Option<String>,
        /// Since when the service has been in this state, in RFC 3339.
        pub unchanged_since: Option<String>,
        /// When the service was checked last, in RFC 3339.
        pub checked_at: Option<String>,
    }
}
