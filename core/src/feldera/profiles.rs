//! Profiles and support bundles: files for other programs.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Accepted, Download, FelderaApi, Json};
use crate::error::ServiceError;
use crate::operation::{FromResponse, OperationInfo};
use crate::schema::operations;

operations! { FelderaApi;
    /// Returns a performance profile of the circuit: a zip file with a graph for each worker.
    ///
    /// [Reference](https://docs.feldera.com/api/get-performance-profile).
    Safe GET "/v0/pipelines/{pipeline_name}/circuit_profile"
    GetCircuitProfile "get_pipeline_circuit_profile" -> Download {
        timeout 150;
        path { pipeline_name: String }
    }

    /// Returns the profile of [`GetCircuitProfile`] as JSON, for the web console. Since 0.193.
    ///
    /// [Reference](https://docs.feldera.com/api/performance-profile-json).
    Safe GET "/v0/pipelines/{pipeline_name}/circuit_json_profile"
    GetCircuitJsonProfile "get_pipeline_circuit_json_profile" -> Json {
        timeout 150;
        path { pipeline_name: String }
    }

    /// Returns a profile of the memory, for `pprof`. Rejected with 400 `HeapProfilerError` if it is not available.
    ///
    /// [Reference](https://docs.feldera.com/api/get-heap-profile).
    Safe GET "/v0/pipelines/{pipeline_name}/heap_profile" GetHeapProfile "get_pipeline_heap_profile" -> Download {
        timeout 150;
        path { pipeline_name: String }
    }

    /// Returns the last profile that [`StartSamplyProfile`] took, compressed with gzip.
    ///
    /// Rejected: 400 `NoSamplyProfile`, 500 `SamplyProfilingFailure`.
    /// [Reference](https://docs.feldera.com/api/get-samply-profile).
    Safe GET "/v0/pipelines/{pipeline_name}/samply_profile"
    GetSamplyProfile "get_pipeline_samply_profile" -> SamplyProfile {
        timeout 150;
        path { pipeline_name: String }
        query? {
            /// The host, counted from 0.
            ordinal: u64,
            /// Rejects the request while a profile is being taken, instead of returning an old profile; false by
            /// default.
            latest: bool,
        }
    }

    /// Starts a `samply` profile of the process.
    ///
    /// Rejected: 409 while a profile is being taken, 500 `SamplyProfilingFailure`.
    /// [Reference](https://docs.feldera.com/api/start-a-samply-profile).
    Fenced POST "/v0/pipelines/{pipeline_name}/samply_profile" StartSamplyProfile "start_samply_profile" -> Accepted {
        path { pipeline_name: String }
        query? {
            /// The host, counted from 0.
            ordinal: u64,
            /// The duration in seconds; 30 by default.
            duration_secs: u64,
        }
    }

    /// Downloads a support bundle as a zip file. It contains every part that is not switched off.
    ///
    /// Rejected with 400 `InvalidSupportBundleParameter`.
    /// [Reference](https://docs.feldera.com/api/download-support-bundle).
    Safe GET "/v0/pipelines/{pipeline_name}/support_bundle" GetSupportBundle "get_pipeline_support_bundle" -> Download {
        timeout 300;
        path { pipeline_name: String }
        query? {
            /// Whether to collect new data, which may take long; true by default.
            collect: bool,
            /// The maximum number of collections, newest first.
            limit: u64,
            circuit_profile: bool,
            heap_profile: bool,
            metrics: bool,
            logs: bool,
            /// Statistics.
            stats: bool,
            /// The pipeline's configuration.
            pipeline_config: bool,
            /// The platform's configuration.
            system_config: bool,
            dataflow_graph: bool,
            pipeline_events: bool,
        }
    }
}

/// A profile, if there is one yet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SamplyProfile {
    /// It; `None` while it is being taken.
    pub profile: Option<Download>,
}

impl Serialize for SamplyProfile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.profile.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SamplyProfile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(|profile| Self { profile })
    }
}

impl FromResponse for SamplyProfile {
    fn from_response(info: &'static OperationInfo, response: &Response<Bytes>) -> Result<Self, ServiceError> {
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(Self { profile: None });
        }
        Download::from_response(info, response).map(|profile| Self { profile: Some(profile) })
    }
}
