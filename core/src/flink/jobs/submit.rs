//! Operations of Flink's Java client: graphs and requests in Java's serialization.

use bytes::Bytes;
use http::{Method, Request, Response};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::body::Body;
use crate::error::{BuildError, ServiceError};
use crate::flink::{FlinkRest, JobId, multipart};
use crate::operation::{self, Effect, Operation, OperationInfo, RequestContext, Target};
use crate::schema::{json_structs, operations};

operations! { FlinkRest;
    /// Sends a request to an operator's coordinator in the JobManager, and returns its response. `collect()` fetches
    /// results with it. Not in the published description, and useful only for a JVM: request and response are in Java's
    /// serialization.
    ///
    /// The effect of a repeated request depends on the coordinator. An unknown job is rejected with **500**. Before 2.0
    /// an operator is named by its id of 32 hexadecimal digits, since 2.0 by its uid.
    Once POST "/jobs/{jobid}/coordinators/{operator}" Coordinate "sendRequestToCoordinator" -> Coordinated {
        path { jobid: JobId, operator: String }
        json {
            /// The request in Java's serialization, as Base64.
            request: String = "serializedCoordinationRequest",
        }
    }
}

/// The operation that is not in the table, because its body is a form.
pub(crate) const SUBMIT: &[&OperationInfo] = &[SubmitGraph::INFO];

/// Submits a job as a graph in Java's serialization, as `flink run` does. Not in the published description, and useful
/// only for a JVM. Other programs use [`SubmitJar`](crate::flink::jars::SubmitJar).
///
/// The graph contains the id of its job. A second attempt is rejected as a duplicate with 500 as long as the cluster
/// knows the first job. A graph that cannot be read is rejected with 400. Works also if `web.submit.enable` is false.
///
/// ```
/// use pipewright::{Base, Operation, flink::jobs::SubmitGraph, operation::RequestContext};
/// let base: Base = "http://127.0.0.1:8081".parse()?;
/// let request = SubmitGraph::new("serialised graph").jar("job.jar", "PK…").request(RequestContext::new(&base))?;
/// assert!(request.headers()["content-type"].to_str()?.starts_with("multipart/form-data; boundary="));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SubmitGraph {
    /// The graph, an `ExecutionPlan` in Java's serialization.
    pub graph: Body,
    /// Jars that the job needs, with their names.
    pub jars: Vec<(String, Body)>,
    /// Files for the distributed cache.
    pub artifacts: Vec<GraphArtifact>,
    /// Whether the cluster is older than 2.0. Its name for the graph is `jobGraphFileName`.
    pub before_2_0: bool,
    /// The separator of the parts of the form. It must not occur in the files.
    pub boundary: u128,
}

/// A file for the distributed cache of a job.
#[derive(Clone, Debug)]
pub struct GraphArtifact {
    /// The name by which the job opens the file.
    pub entry: String,
    /// The name of the file.
    pub name: String,
    /// The file.
    pub content: Body,
}

impl SubmitGraph {
    /// Creates the operation for a job without files.
    pub fn new(graph: impl Into<Body>) -> Self {
        Self {
            graph: graph.into(),
            jars: Vec::new(),
            artifacts: Vec::new(),
            before_2_0: false,
            boundary: 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834,
        }
    }

    /// Adds a jar that the job needs.
    pub fn jar(mut self, name: impl Into<String>, content: impl Into<Body>) -> Self {
        self.jars.push((name.into(), content.into()));
        self
    }

    /// Adds a file for the distributed cache.
    pub fn artifact(mut self, entry: impl Into<String>, name: impl Into<String>, content: impl Into<Body>) -> Self {
        self.artifacts.push(GraphArtifact { entry: entry.into(), name: name.into(), content: content.into() });
        self
    }

    /// Sets whether the cluster is older than 2.0.
    pub fn before_2_0(mut self, before: bool) -> Self {
        self.before_2_0 = before;
        self
    }

    /// Sets the boundary, for example to random bits.
    pub fn boundary(mut self, boundary: u128) -> Self {
        self.boundary = boundary;
        self
    }

    fn files(&self) -> impl Iterator<Item = (&str, &Body)> {
        let jars = self.jars.iter().map(|(name, content)| (name.as_str(), content));
        let artifacts = self.artifacts.iter().map(|artifact| (artifact.name.as_str(), &artifact.content));
        std::iter::once((GRAPH, &self.graph)).chain(jars).chain(artifacts)
    }
}

/// The name of the graph's file.
const GRAPH: &str = "graph.bin";

/// The part of the form that says which file is what.
struct Manifest<'a>(&'a SubmitGraph);

impl Serialize for Manifest<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(submit) = self;
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry(if submit.before_2_0 { "jobGraphFileName" } else { "executionPlanFileName" }, GRAPH)?;
        map.serialize_entry("jobJarFileNames", &submit.jars.iter().map(|(name, _)| name).collect::<Vec<_>>())?;
        map.serialize_entry("jobArtifactFileNames", &submit.artifacts.iter().map(Entry).collect::<Vec<_>>())?;
        map.end()
    }
}

struct Entry<'a>(&'a GraphArtifact);

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("entryName", &self.0.entry)?;
        map.serialize_entry("fileName", &self.0.name)?;
        map.end()
    }
}

impl Operation for SubmitGraph {
    type Output = JobUrl;
    type Service = FlinkRest;

    const INFO: &'static OperationInfo =
        &OperationInfo::new("flink", "submitJob", Method::POST, "/jobs", Effect::Fenced);

    fn request(&self, cx: RequestContext<'_>) -> Result<Request<Body>, BuildError> {
        let name = Self::INFO.name;
        for (file, _) in self.files() {
            if file.is_empty() || file.contains(['/', '\\', '"']) || file.chars().any(char::is_control) {
                return Err(BuildError::value(
                    name,
                    "name",
                    file,
                    "it must be the name of a file, without folders and quotes",
                ));
            }
            if self.files().filter(|(other, _)| *other == file).count() > 1 {
                return Err(BuildError::value(name, "name", file, "two files have this name: rename one"));
            }
        }
        let manifest = serde_json::to_vec(&Manifest(self))
            .map_err(|error| BuildError::value(name, "names", &error.to_string(), "they cannot be written as JSON"))?;
        let (content_type, body) = multipart::form(manifest, self.files(), self.boundary);
        Target::new::<FlinkRest>(Self::INFO, cx).finish_with(body, content_type)
    }

    fn parse(&self, response: Response<Bytes>) -> Result<JobUrl, ServiceError> {
        operation::parse::<FlinkRest, _>(Self::INFO, &response)
    }
}

json_structs! {
    /// The response to a submitted graph.
    pub struct JobUrl {
        /// The path of the job, as in `/jobs/4c7e…`. See [`job_id`](Self::job_id).
        pub url: String = "jobUrl",
    }

    /// The response of a coordinator.
    pub struct Coordinated {
        /// The result in Java's serialization, as Base64.
        pub result: String = "serializedCoordinationResult",
    }
}

impl JobUrl {
    /// Returns the job's id, from the end of the path; `None` if it has no id.
    pub fn job_id(&self) -> Option<JobId> {
        self.url.rsplit('/').next()?.parse().ok()
    }
}
