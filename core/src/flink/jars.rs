//! Jars: upload, list, plan, run, delete.
//!
//! A cluster with `web.submit.enable: false` answers these with 404 or 400. Uploads are lost with the JobManager
//! unless `web.upload.dir` is set.
//!
//! Planning and running a jar execute its main method **in the JobManager process that answers**. A main method that
//! calls `System.exit` kills that process: the connection is closed without an answer, and without high availability
//! all jobs are lost. That is why [`PlanJar`], [`GetJarPlan`], [`SubmitJar`] and [`RunApplication`] are
//! [`Effect::Once`]: repeating them after an attempt without an answer could kill the next JobManager, too.
//! [`RunJar`](super::RunJar) and [`UpgradeJob`](super::UpgradeJob) repeat them only if the same JobManager still
//! answers.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};

use super::{Acknowledged, ApplicationId, CommaList, FlinkRest, JarId, JobId, Millis, multipart};
use crate::body::Body;
use crate::error::{Applied, BuildError, ServiceError};
use crate::operation::{self, Effect, Operation, OperationInfo, RequestContext, Target};
use crate::schema::{json_structs, operations, string_enums};

operations! { FlinkRest;
    /// Lists the uploaded jars, newest first.
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jars).
    Safe GET "/jars" ListJars "getJarList" -> JarList {}

    /// Deletes an uploaded jar. Jobs that run from it continue.
    ///
    /// An unknown jar is rejected with 400, also when an earlier attempt deleted it.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jars-jarid).
    Fenced DELETE "/jars/{jarid}" DeleteJar "deleteJar" -> Acknowledged {
        path { jarid: JarId }
    }

    /// Runs the main method of a jar just far enough to learn the graph of its job, and submits nothing.
    ///
    /// Submits nothing, but executes `main()`, which can kill the JobManager: see [`jars`](self). Therefore it is not
    /// sent again after an attempt without an answer. Rejected with 500: an unknown jar, a main method that throws or
    /// never calls `execute`.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jars-jarid-plan).
    Once POST "/jars/{jarid}/plan" PlanJar "generatePlanFromJar" -> Plan {
        timeout 180;
        path { jarid: JarId }
        json? {
            /// The class with the main method, for a jar without a `Main-Class`.
            entry_class: String = "entryClass",
            /// The arguments of the main method.
            program_args: Vec<String> = "programArgsList",
            /// The parallelism of operators that have none of their own; -1 for the cluster's default.
            parallelism: i32,
            /// The id that the graph names; a random id by default.
            job_id: JobId = "jobId",
            /// Configuration for this job. Since 1.17.
            flink_configuration: BTreeMap<String, String> = "flinkConfiguration",
        }
    }

    /// The same as [`PlanJar`] by `GET`, for proxies that pass nothing else on. Not in the published description.
    ///
    /// Executes `main()`, although it is a `GET`: a proxy that repeats it can kill the JobManager, see [`jars`](self).
    /// Rejected with 500: an unknown jar, a main method that throws or never calls `execute`.
    Once GET "/jars/{jarid}/plan" GetJarPlan "getPlanFromJar" -> Plan {
        timeout 180;
        path { jarid: JarId }
        query? {
            /// The class with the main method, for a jar without a `Main-Class`.
            entry_class: String = "entry-class",
            /// The arguments of the main method; none of them can have a comma in it.
            program_args: CommaList<String> = "programArg",
            /// The parallelism of operators that have none of their own; -1 for the cluster's default.
            parallelism: i32,
        }
    }

    /// Runs the main method of a jar and submits its job; answers as soon as it is submitted.
    ///
    /// With a chosen [`job_id`](Self::job_id) the caller can look the job up after an attempt without an answer, and a
    /// second attempt is rejected as a duplicate: the id must be new since the JobManager started. The second attempt
    /// executes `main()` again all the same, which can kill the JobManager: see [`jars`](self). Look the job up first.
    /// **A rejection with 400 does not mean that no job runs**: a main method that fails after `execute` leaves its job
    /// behind, and one that calls `execute` twice is rejected as a duplicate of itself. Rejected with 500: an unknown
    /// jar. The flow [`RunJar`](super::RunJar) takes care of all that.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jars-jarid-run).
    Once POST "/jars/{jarid}/run" SubmitJar "submitJobFromJar" -> Submitted {
        timeout 180;
        path { jarid: JarId }
        json? {
            /// The class with the main method, for a jar without a `Main-Class`.
            entry_class: String = "entryClass",
            /// The arguments of the main method.
            program_args: Vec<String> = "programArgsList",
            /// The parallelism of operators that have none of their own; -1 for the cluster's default.
            parallelism: i32,
            /// Client-chosen: makes the job findable.
            job_id: JobId = "jobId",
            /// State in the savepoint that the new graph has no operator for is dropped instead of rejected.
            allow_non_restored_state: bool = "allowNonRestoredState",
            /// The savepoint or checkpoint to start from.
            savepoint_path: String = "savepointPath",
            /// Who owns that savepoint from then on. Since 1.20; older releases reject the whole request.
            claim_mode: ClaimMode = "claimMode",
            /// The same for clusters before 1.20. Still read by 2.3.
            restore_mode: ClaimMode = "restoreMode",
            /// Configuration for this job. Since 1.17.
            flink_configuration: BTreeMap<String, String> = "flinkConfiguration",
        }
    }

    /// Runs the main method of a jar **in the JobManager, later**: answers before it is called, so that all its
    /// failures are found only at the application. Since 2.3.
    ///
    /// With a chosen [`application_id`](Self::application_id) the caller can look up the outcome of the first attempt.
    /// A `main()` that calls `System.exit` kills the JobManager after the answer, or before it: look the application up
    /// before a second attempt. What the main method submits, one or several jobs, belongs to the application: see
    /// [`GetApplication`](super::applications::GetApplication) and
    /// [`GetApplicationExceptions`](super::applications::GetApplicationExceptions). Rejected with 500: an unknown jar.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-master/docs/ops/rest_api/#jars-jarid-run-application).
    Once POST "/jars/{jarid}/run-application" RunApplication "submitApplicationFromJar" -> ApplicationSubmitted {
        timeout 180;
        path { jarid: JarId }
        json? {
            /// The class with the main method, for a jar without a `Main-Class`.
            entry_class: String = "entryClass",
            /// The arguments of the main method.
            program_args: Vec<String> = "programArgsList",
            /// The parallelism of operators that have none of their own; -1 for the cluster's default.
            parallelism: i32,
            /// Client-chosen: the id of its one job.
            job_id: JobId = "jobId",
            /// State in the savepoint that the new graph has no operator for is dropped instead of rejected.
            allow_non_restored_state: bool = "allowNonRestoredState",
            /// The savepoint or checkpoint to start from.
            savepoint_path: String = "savepointPath",
            /// Who owns that savepoint from then on.
            claim_mode: ClaimMode = "claimMode",
            /// Configuration for its jobs.
            flink_configuration: BTreeMap<String, String> = "flinkConfiguration",
            /// Client-chosen: makes the application findable.
            application_id: ApplicationId = "applicationId",
        }
    }
}

/// The row of the one operation that is not declared by the table: its body is a form.
pub(crate) const UPLOAD: &[&OperationInfo] = &[UploadJar::INFO];

/// Uploads a jar.
///
/// The server takes anything under a name that ends in `.jar` and looks into it only when it is run; it may replace
/// characters such as `;`, `=` and `,` in the name, so take the id from the answer. Uploading twice makes two jars. The
/// content may be a [`Source`](crate::Source), so that a file need not be read into memory.
/// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jars-upload).
///
/// ```
/// use pipewright::{Base, Operation};
/// use pipewright::flink::jars::UploadJar;
/// use pipewright::operation::RequestContext;
/// let base: Base = "http://127.0.0.1:8081".parse()?;
/// let request = UploadJar::new("job.jar", "PK…").request(RequestContext::new(&base))?;
/// assert!(request.headers()["content-type"].to_str()?.starts_with("multipart/form-data; boundary="));
/// assert!(UploadJar::new("job.zip", "PK…").request(RequestContext::new(&base)).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UploadJar {
    /// The file name; the jar's id will end in it.
    pub name: String,
    /// The jar.
    pub content: Body,
    /// What separates the parts of the form; must not occur in the jar.
    pub boundary: u128,
}

impl UploadJar {
    /// An upload under a file name.
    pub fn new(name: impl Into<String>, content: impl Into<Body>) -> Self {
        Self { name: name.into(), content: content.into(), boundary: 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834 }
    }

    /// Another boundary, such as random bits.
    pub fn boundary(mut self, boundary: u128) -> Self {
        self.boundary = boundary;
        self
    }

    #[allow(clippy::case_sensitive_file_extension_comparisons, reason = "the server compares so too")]
    fn check_name(&self) -> Result<(), BuildError> {
        let problem = match &*self.name {
            name if !name.ends_with(".jar") => "the server takes only names that end in .jar",
            ".jar" => "the name in front of .jar is missing",
            name if name.contains(['/', '\\']) => "the server would cut the directories off: give the file name alone",
            name if name.contains('"') || name.chars().any(char::is_control) => {
                "quotes and control characters cannot be sent in a file name"
            }
            name if name.len() > 200 => {
                "file systems take names of up to 255 bytes, and the server puts an id in front"
            }
            _ => return Ok(()),
        };
        Err(BuildError::value(Self::INFO.name, "name", &self.name, problem))
    }
}

impl Operation for UploadJar {
    type Output = Uploaded;
    type Service = FlinkRest;

    const INFO: &'static OperationInfo =
        &OperationInfo::new("flink", "uploadJar", Method::POST, "/jars/upload", Effect::Once);

    /// Half a minute more for each 16 MiB: half a megabyte a second is slow.
    fn timeout(&self, usual: Duration) -> Duration {
        let pieces = u32::try_from(self.content.len() >> 24).unwrap_or(u32::MAX);
        usual.saturating_add(Duration::from_secs(30).saturating_mul(pieces))
    }

    fn request(&self, cx: RequestContext<'_>) -> Result<Request<Body>, BuildError> {
        self.check_name()?;
        let (content_type, body) =
            multipart::file("jarfile", &self.name, "application/java-archive", &self.content, self.boundary);
        Target::new::<FlinkRest>(Self::INFO, cx).finish_with(body, content_type)
    }

    fn parse(&self, response: Response<Bytes>) -> Result<Uploaded, ServiceError> {
        let uploaded: Uploaded = operation::parse::<FlinkRest, _>(Self::INFO, &response)?;
        match JarId::from_path(&uploaded.filename) {
            Some(_) => Ok(uploaded),
            None => Err(ServiceError::unreadable(Self::INFO, &response, "the file name names no file")
                .with_applied(Applied::Yes)
                .with_transient(false)),
        }
    }
}

json_structs! {
    /// The answer to an upload.
    pub struct Uploaded {
        /// The file's path on the server. See [`jar_id`](Self::jar_id).
        pub filename: String,
        /// `success`.
        pub status: Option<String>,
    }

    /// The uploaded jars.
    pub struct JarList {
        /// The address of the JobManager.
        pub address: Option<String>,
        /// The jars, newest first.
        pub files: Vec<Jar>,
    }

    /// An uploaded jar.
    pub struct Jar {
        pub id: JarId,
        /// The file name that it was uploaded under.
        pub name: String,
        /// When it was uploaded, by the server's clock.
        pub uploaded: Option<Millis>,
        /// Its main classes; empty when its manifest names none, or when it is no jar at all.
        pub entry: Vec<JarEntry>,
    }

    /// A class with a main method.
    pub struct JarEntry {
        /// The class with its package.
        pub name: Option<String>,
        /// What the program says of itself.
        pub description: Option<String>,
    }

    /// The answer to a run.
    pub struct Submitted {
        pub job_id: JobId = "jobid",
        /// The application around it. Since 2.3; equal to the job's id.
        pub application_id: Option<ApplicationId> = "applicationId",
    }

    /// The answer to a run as an application.
    pub struct ApplicationSubmitted {
        pub application_id: ApplicationId = "applicationid",
    }

    /// The graph of a job.
    pub struct Plan {
        /// The graph.
        pub plan: Graph,
    }

    /// Vertices and what flows between them.
    pub struct Graph {
        /// The job; a random id when nothing was submitted. Releases before 2.0 leave it out while a job has no graph.
        pub job: Option<String> = "jid",
        /// The job's name; left out likewise.
        pub name: Option<String>,
        /// `STREAMING` or `BATCH`. Since 1.14.
        pub kind: Option<String> = "type",
        /// The vertices, in no order that can be relied on.
        pub nodes: Vec<Node>,
    }

    /// A vertex.
    pub struct Node {
        pub id: String,
        /// How many subtasks it has.
        pub parallelism: Option<i64>,
        /// Empty, of historical interest.
        pub operator: Option<String>,
        /// Empty, of historical interest.
        pub operator_strategy: Option<String>,
        /// The operators in it, as HTML.
        pub description: Option<String>,
        /// What flows into it.
        pub inputs: Vec<Input>,
    }

    /// An edge between two vertices.
    pub struct Input {
        /// Which input of the vertex it is, from 0.
        pub number: Option<i64> = "num",
        /// The vertex that it comes from.
        pub id: String,
        /// How records are dealt out, as in `HASH`.
        pub ship_strategy: Option<String>,
        /// `pipelined_bounded`, `blocking` and the like.
        pub exchange: Option<String>,
        /// Of batch jobs.
        pub local_strategy: Option<String>,
        /// Of batch jobs.
        pub caching: Option<String>,
    }
}

impl Uploaded {
    /// The jar's id: the last part of its path on the server.
    pub fn jar_id(&self) -> JarId {
        JarId::from_path(&self.filename).unwrap_or_else(|| JarId::from(""))
    }
}

string_enums! {
    /// Who owns a savepoint that a job was started from.
    /// [Explained](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/state/savepoints/#resuming-from-savepoints).
    pub enum ClaimMode {
        /// The job: it may delete the savepoint when it no longer needs it.
        Claim = "CLAIM",
        /// Its first owner. The job's first checkpoint is full and does not refer to it.
        NoClaim = "NO_CLAIM",
        /// No owner: the job may continue to refer to the savepoint. Removed in 2.x.
        Legacy = "LEGACY",
    }
}
