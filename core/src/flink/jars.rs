//! Jars: upload, list, plan, run, delete.
//!
//! A cluster with `web.submit.enable: false` rejects these operations with 404 or 400. A JobManager loses its uploads
//! when it ends, unless `web.upload.dir` is set.
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

    /// Returns the graph of a jar's job. Executes the main method up to the submission, and submits no job.
    ///
    /// The main method can kill the JobManager: see [`jars`](self). So the operation is not repeated after an attempt
    /// without a response. Rejected with 500 if the jar is unknown, or if the main method throws an exception or never
    /// calls `execute`.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jars-jarid-plan).
    Once POST "/jars/{jarid}/plan" PlanJar "generatePlanFromJar" -> Plan {
        timeout 180;
        path { jarid: JarId }
        json? {
            /// The class with the main method; the `Main-Class` of the jar by default.
            entry_class: String = "entryClass",
            /// The arguments of the main method.
            program_args: Vec<String> = "programArgsList",
            /// The parallelism of operators whose parallelism the program does not set; -1 for the cluster's default.
            parallelism: i32,
            /// The id that the graph names; a random id by default.
            job_id: JobId = "jobId",
            /// Configuration for this job. Since 1.17.
            flink_configuration: BTreeMap<String, String> = "flinkConfiguration",
        }
    }

    /// Returns the graph of a jar's job, as [`PlanJar`] does, but by `GET`. Use it only if a proxy allows no other
    /// method. Not in the published description.
    ///
    /// Executes `main()`, although it is a `GET`: if a proxy repeats it, that can kill the JobManager, see
    /// [`jars`](self). Rejected as [`PlanJar`] is.
    Once GET "/jars/{jarid}/plan" GetJarPlan "getPlanFromJar" -> Plan {
        timeout 180;
        path { jarid: JarId }
        query? {
            /// The class with the main method; the `Main-Class` of the jar by default.
            entry_class: String = "entry-class",
            /// The arguments of the main method. They must not contain a comma.
            program_args: CommaList<String> = "programArg",
            /// The parallelism of operators whose parallelism the program does not set; -1 for the cluster's default.
            parallelism: i32,
        }
    }

    /// Runs the main method of a jar. The response comes as soon as its job is submitted. The goal
    /// [`RunJar`](super::RunJar) handles all of the following.
    ///
    /// Set a [`job_id`](Self::job_id) that is new since the JobManager started. Then you can look the job up after an
    /// attempt without a response, and a second attempt is rejected as a duplicate. But the second attempt executes
    /// `main()` again, which can kill the JobManager: see [`jars`](self). So look the job up first.
    ///
    /// **A rejection with 400 does not mean that no job runs.** If the main method fails after `execute`, its job runs.
    /// If it calls `execute` twice, the second call is rejected as a duplicate of the first. An unknown jar is rejected
    /// with 500.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#jars-jarid-run).
    Once POST "/jars/{jarid}/run" SubmitJar "submitJobFromJar" -> Submitted {
        timeout 180;
        path { jarid: JarId }
        json? {
            /// The class with the main method; the `Main-Class` of the jar by default.
            entry_class: String = "entryClass",
            /// The arguments of the main method.
            program_args: Vec<String> = "programArgsList",
            /// The parallelism of operators whose parallelism the program does not set; -1 for the cluster's default.
            parallelism: i32,
            /// The job's id. If the client chooses it, the client can look the job up.
            job_id: JobId = "jobId",
            /// State in the savepoint that the new graph has no operator for is dropped instead of rejected.
            allow_non_restored_state: bool = "allowNonRestoredState",
            /// The savepoint or checkpoint to start from.
            savepoint_path: String = "savepointPath",
            /// Who owns that savepoint from then on. Since 1.20; older releases reject the whole request.
            claim_mode: ClaimMode = "claimMode",
            /// The older name of `claim_mode`, for clusters before 1.20. 2.3 still accepts it.
            restore_mode: ClaimMode = "restoreMode",
            /// Configuration for this job. Since 1.17.
            flink_configuration: BTreeMap<String, String> = "flinkConfiguration",
        }
    }

    /// Runs the main method of a jar asynchronously. **The response comes before the main method is called**, so all
    /// its failures are failures of the application. Since 2.3.
    ///
    /// Set an [`application_id`](Self::application_id), to look up the outcome of the first attempt. A `main()` that
    /// calls `System.exit` kills the JobManager after the response, or before it. So look the application up before a
    /// second attempt. The jobs of the main method belong to the application: see
    /// [`GetApplication`](super::applications::GetApplication) and
    /// [`GetApplicationExceptions`](super::applications::GetApplicationExceptions). An unknown jar is rejected with
    /// 500.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-master/docs/ops/rest_api/#jars-jarid-run-application).
    Once POST "/jars/{jarid}/run-application" RunApplication "submitApplicationFromJar" -> ApplicationSubmitted {
        timeout 180;
        path { jarid: JarId }
        json? {
            /// The class with the main method; the `Main-Class` of the jar by default.
            entry_class: String = "entryClass",
            /// The arguments of the main method.
            program_args: Vec<String> = "programArgsList",
            /// The parallelism of operators whose parallelism the program does not set; -1 for the cluster's default.
            parallelism: i32,
            /// The id of the application's only job.
            job_id: JobId = "jobId",
            /// State in the savepoint that the new graph has no operator for is dropped instead of rejected.
            allow_non_restored_state: bool = "allowNonRestoredState",
            /// The savepoint or checkpoint to start from.
            savepoint_path: String = "savepointPath",
            /// Who owns that savepoint from then on.
            claim_mode: ClaimMode = "claimMode",
            /// Configuration for its jobs.
            flink_configuration: BTreeMap<String, String> = "flinkConfiguration",
            /// The application's id. If the client chooses it, the client can look the application up.
            application_id: ApplicationId = "applicationId",
        }
    }
}

/// The only operation that the macro does not declare, because its body is a form.
pub(crate) const UPLOAD: &[&OperationInfo] = &[UploadJar::INFO];

/// Uploads a jar.
///
/// The server accepts any file with a name that ends in `.jar`, and reads it only when it is run. It may replace
/// characters such as `;`, `=` and `,` in the name, so take the id from the response. Two uploads create two jars. The
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
    /// The file name. The jar's id will end in it.
    pub name: String,
    /// The bytes of the jar.
    pub content: Body,
    /// The separator of the parts of the form. It must not occur in the jar.
    pub boundary: u128,
}

impl UploadJar {
    /// Creates an upload under a file name.
    pub fn new(name: impl Into<String>, content: impl Into<Body>) -> Self {
        Self { name: name.into(), content: content.into(), boundary: 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834 }
    }

    /// Sets the boundary, for example to random bits.
    pub fn boundary(mut self, boundary: u128) -> Self {
        self.boundary = boundary;
        self
    }

    #[allow(clippy::case_sensitive_file_extension_comparisons, reason = "the server compares so too")]
    fn check_name(&self) -> Result<(), BuildError> {
        let problem = match &*self.name {
            name if !name.ends_with(".jar") => "the server accepts only names that end in .jar",
            ".jar" => "the name in front of .jar is missing",
            name if name.contains(['/', '\\']) => "the server would remove the directories: give only the file name",
            name if name.contains('"') || name.chars().any(char::is_control) => {
                "quotes and control characters cannot be sent in a file name"
            }
            name if name.len() > 200 => {
                "it is too long: file names have up to 255 bytes, and the server puts an id in front"
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

    /// Adds 30 s for each 16 MiB, so that an upload with half a megabyte per second is in time.
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
            None => Err(ServiceError::unreadable(
                Self::INFO,
                &response,
                "the path on the server does not end in a file name; list the jars with `ListJars`",
            )
            .with_applied(Applied::Yes)
            .with_transient(false)),
        }
    }
}

json_structs! {
    /// The response to an upload.
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
        /// Its main classes; empty if its manifest has none, or if the file is not a jar.
        pub entry: Vec<JarEntry>,
    }

    /// A class with a main method.
    pub struct JarEntry {
        /// The class with its package.
        pub name: Option<String>,
        /// The program's description of itself.
        pub description: Option<String>,
    }

    /// The response to a run.
    pub struct Submitted {
        pub job_id: JobId = "jobid",
        /// The application around it. Since 2.3; equal to the job's id.
        pub application_id: Option<ApplicationId> = "applicationId",
    }

    /// The response to a run as an application.
    pub struct ApplicationSubmitted {
        pub application_id: ApplicationId = "applicationid",
    }

    /// The graph of a job.
    pub struct Plan {
        pub plan: Graph,
    }

    /// The graph of a job: its vertices and edges.
    pub struct Graph {
        /// The job's id; a random id in a plan. Before 2.0 it is `None` while a job has no graph.
        pub job: Option<String> = "jid",
        /// The job's name. Before 2.0 it is `None` while a job has no graph.
        pub name: Option<String>,
        /// `STREAMING` or `BATCH`. Since 1.14.
        pub kind: Option<String> = "type",
        /// The vertices, in arbitrary order.
        pub nodes: Vec<Node>,
    }

    /// A vertex.
    pub struct Node {
        pub id: String,
        /// The number of subtasks.
        pub parallelism: Option<i64>,
        /// Always empty.
        pub operator: Option<String>,
        /// Always empty.
        pub operator_strategy: Option<String>,
        /// The operators in it, as HTML.
        pub description: Option<String>,
        /// The edges into the vertex.
        pub inputs: Vec<Input>,
    }

    /// An edge between two vertices.
    pub struct Input {
        /// The number of the vertex's input, from 0.
        pub number: Option<i64> = "num",
        /// The vertex that the edge comes from.
        pub id: String,
        /// How records are distributed, as in `HASH`.
        pub ship_strategy: Option<String>,
        /// `pipelined_bounded`, `blocking` and the like.
        pub exchange: Option<String>,
        /// Only for batch jobs.
        pub local_strategy: Option<String>,
        /// Only for batch jobs.
        pub caching: Option<String>,
    }
}

impl Uploaded {
    /// Returns the jar's id: the last part of its path on the server.
    pub fn jar_id(&self) -> JarId {
        JarId::from_path(&self.filename).unwrap_or_else(|| JarId::from(""))
    }
}

string_enums! {
    /// Who owns the files of a savepoint after a job was started from it. [Flink's page about
    /// savepoints](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/state/savepoints/#resuming-from-savepoints).
    pub enum ClaimMode {
        /// The job owns them: it may delete the savepoint when it no longer needs it.
        Claim = "CLAIM",
        /// The user owns them. The job's first checkpoint is full and does not refer to the savepoint.
        NoClaim = "NO_CLAIM",
        /// The ownership is undefined: the job may continue to refer to the savepoint. Removed in 2.x.
        Legacy = "LEGACY",
    }
}
