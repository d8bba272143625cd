//! Runs of jars: what `main` submits, alone or in an application, and how both fail.

use http::StatusCode;
use serde_json::json;

use super::applications::{Application, Applications};
use super::config::Version;
use super::errors::{Answer, Rejection, Throwable, accepted, ok};
use super::jars::{Jars, MAIN, Start, main_caused};
use super::job_manager::{JobManager, Submission};
use super::program::{Exits, Program, Quirk};
use super::request::{Body, Call, Format, Kind};
use super::storage::{Snapshot, Storage};

const CLAIM_MODE: Kind =
    Kind::OneOf("org.apache.flink.core.execution.RecoveryClaimMode", &["LEGACY", "CLAIM", "NO_CLAIM"]);

const RUN: Format = Format {
    name: "JarRunRequestBody",
    fields: &[
        ("entryClass", Kind::Text, (1, 0)),
        ("programArgsList", Kind::Texts, (1, 0)),
        ("parallelism", Kind::Number, (1, 0)),
        ("jobId", Kind::Id, (1, 0)),
        ("flinkConfiguration", Kind::TextMap, (1, 17)),
        ("allowNonRestoredState", Kind::Flag, (1, 0)),
        ("savepointPath", Kind::Text, (1, 0)),
        ("claimMode", CLAIM_MODE, (1, 20)),
        ("restoreMode", CLAIM_MODE, (1, 15)),
        ("programArgs", Kind::Text, (1, 0)),
    ],
};

const RUN_APPLICATION: Format = Format {
    name: "JarRunApplicationRequestBody",
    fields: &[
        ("entryClass", Kind::Text, (1, 0)),
        ("programArgsList", Kind::Texts, (1, 0)),
        ("parallelism", Kind::Number, (1, 0)),
        ("jobId", Kind::Id, (1, 0)),
        ("flinkConfiguration", Kind::TextMap, (1, 0)),
        ("allowNonRestoredState", Kind::Flag, (1, 0)),
        ("savepointPath", Kind::Text, (1, 0)),
        ("claimMode", CLAIM_MODE, (1, 0)),
        ("applicationId", Kind::Id, (1, 0)),
    ],
};

impl Jars {
    pub(super) fn run(&self, call: &Call, jar: &str, manager: &mut JobManager, applications: &Applications) -> Answer {
        let body = Body::read(call, &RUN)?;
        let start = self.start_of(call, &body, jar)?;
        if let Some(failure) = start.main_failure() {
            return Err(not_executed(failure));
        }
        if matches!(start.program.exits, Some(Exits::Always | Exits::BeforeExecute)) {
            return Err(Rejection::Exited);
        }
        if start.program.has(Quirk::NeverExecutes) {
            return Err(Rejection::handler(
                StatusCode::BAD_REQUEST,
                "No jobs included in application.",
                "org.apache.flink.runtime.webmonitor.handlers.JarRunHandler.lambda$handleRequest$1(JarRunHandler.java:120)",
            ));
        }
        let execution = Execution::read(call, &body, manager)?;
        let id = execution.job.clone();
        if applications.is_used(&id) {
            return Err(not_executed(duplicate(call.version, &start.name)));
        }
        execution.submit(&start, None, manager, call.version).map_err(not_executed)?;
        if start.program.exits == Some(Exits::AfterExecute) {
            return Err(Rejection::Exited);
        }
        if let Some(failure) = late_failure(&start.program) {
            return Err(not_executed(failure));
        }
        let mut answer = json!({ "jobid": id });
        if call.version >= (2, 3) {
            answer["applicationId"] = id.into();
        }
        Ok(ok(answer))
    }

    /// Starts an application. How its `main` fails shows in the application alone.
    pub(super) fn run_application(
        &self,
        call: &Call,
        jar: &str,
        manager: &mut JobManager,
        applications: &mut Applications,
    ) -> Answer {
        let body = Body::read(call, &RUN_APPLICATION)?;
        let start = self.start_of(call, &body, jar)?;
        let id = body.text("applicationId").map_or_else(|| manager.ids.hex32(), str::to_owned);
        if applications.is_used(&id) || manager.jobs.is_used(&id) {
            return Err(Rejection::caused(
                StatusCode::BAD_REQUEST,
                "Could not submit application.",
                "org.apache.flink.runtime.webmonitor.handlers.JarRunApplicationHandler.lambda$handleRequest$1(JarRunApplicationHandler.java:145)",
                Throwable::completion(submitted_already(call.version)),
            ));
        }
        if matches!(start.program.exits, Some(Exits::Always | Exits::BeforeExecute)) {
            return Err(Rejection::Exited);
        }
        let mut application = Application {
            id: id.clone(),
            name: start.program.class.clone(),
            created: manager.now(),
            job: None,
            main_failure: start.main_failure(),
            cancelled: None,
        };
        if application.main_failure.is_none() && !start.program.has(Quirk::NeverExecutes) {
            let execution = Execution::read(call, &body, manager)?;
            let job = execution.job.clone();
            let is_used = manager.jobs.is_used(&job);
            let submitted = execution.submit(&start, Some(&id), manager, call.version);
            application.main_failure = submitted.err().or_else(|| late_failure(&start.program));
            application.job = Some(job).filter(|_| !is_used);
        }
        if start.program.exits == Some(Exits::AfterExecute) {
            return Err(Rejection::Exited);
        }
        if let Some(job) = application.job.as_ref().filter(|_| application.main_failure.is_some()) {
            manager.cancel(job, manager.now());
        }
        applications.add(application);
        Ok(accepted(json!({ "applicationid": id })))
    }
}

/// What a request makes of `execute` in `main`.
#[derive(Debug)]
struct Execution {
    job: String,
    savepoint: Option<String>,
    /// State of the savepoint may be left behind.
    lenient: bool,
}

impl Execution {
    fn read(call: &Call, body: &Body, manager: &mut JobManager) -> Result<Self, Rejection> {
        let path = body.text("savepointPath").or(call.query("savepointPath")?).filter(|path| !path.is_empty());
        let lenient = match body.flag("allowNonRestoredState") {
            Some(flag) => flag,
            None => call.query("allowNonRestoredState")?.is_some_and(|flag| flag.eq_ignore_ascii_case("true")),
        };
        let job = body.text("jobId").map_or_else(|| manager.ids.hex32(), str::to_owned);
        Ok(Self { job, savepoint: path.map(str::to_owned), lenient })
    }

    /// Submits the job. The error is what `main` throws then.
    fn submit(
        self,
        start: &Start,
        application: Option<&str>,
        manager: &mut JobManager,
        version: Version,
    ) -> Result<(), Throwable> {
        if manager.jobs.is_used(&self.job) {
            return Err(duplicate(version, &start.name));
        }
        let path = self.savepoint.as_deref();
        let origin = path.map(|path| origin(&manager.storage, path, &start.program, self.lenient)).transpose();
        let submission = |origin| Submission {
            id: self.job.clone(),
            name: start.name.clone(),
            program: start.program.clone(),
            application: application.map(str::to_owned),
            parallelism: start.parallelism.unwrap_or(1),
            origin,
        };
        let cause = match origin {
            Ok(origin) => {
                manager.submit(submission(origin));
                return Ok(());
            }
            Err(cause) => cause,
        };
        // The job has been accepted all the same, and is to be found among the failed jobs.
        let cause = Throwable::new(
            "org.apache.flink.runtime.client.JobInitializationException",
            "Could not start the JobMaster.",
            "org.apache.flink.runtime.jobmaster.DefaultJobMasterServiceProcess.lambda$new$0(DefaultJobMasterServiceProcess.java:97)",
        )
        .because(cause);
        manager.submit_failed(submission(None), cause.clone());
        Err(failed_to_execute(&start.name, cause))
    }
}

/// What `main` throws after `execute` has submitted the job.
fn late_failure(program: &Program) -> Option<Throwable> {
    let message = "demo: main() failed after the job was submitted";
    let thrown = || main_caused(message, Throwable::new("java.lang.IllegalStateException", message, MAIN));
    program.has(Quirk::MainFailsLate).then(thrown)
}

/// What a job is to be restored from, or why it cannot be.
fn origin(storage: &Storage, path: &str, program: &Program, lenient: bool) -> Result<Snapshot, Throwable> {
    let Some(snapshot) = storage.get(path) else {
        let scheme = path.split_once(':').map_or("file", |(scheme, _)| scheme);
        return Err(Throwable::new(
            "java.io.FileNotFoundException",
            format!("Cannot find checkpoint or savepoint file/directory '{path}' on file system '{scheme}'."),
            "org.apache.flink.runtime.state.filesystem.AbstractFsCheckpointStorageAccess.resolveCheckpointPointer(AbstractFsCheckpointStorageAccess.java:274)",
        ));
    };
    if program.has(Quirk::StateDropped) && !lenient {
        return Err(Throwable::new(
            "java.lang.IllegalStateException",
            format!(
                "Failed to rollback to checkpoint/savepoint {}. Cannot map checkpoint/savepoint state for operator 20ba6b65f97481d5570070de90e4e791 to the new program, because the operator is not available in the new program. If you want to allow to skip this, you can set the --allowNonRestoredState option on the CLI.",
                snapshot.path
            ),
            "org.apache.flink.runtime.checkpoint.Checkpoints.throwNonRestoredStateException(Checkpoints.java:233)",
        ));
    }
    Ok(snapshot.clone())
}

/// `execute` threw, and `main` with it.
fn failed_to_execute(name: &str, cause: Throwable) -> Throwable {
    let message = format!("Failed to execute job '{name}'.");
    let frame = "org.apache.flink.streaming.api.environment.StreamExecutionEnvironment.executeAsync(StreamExecutionEnvironment.java:2008)";
    main_caused(&message, Throwable::new("org.apache.flink.util.FlinkException", message.clone(), frame).because(cause))
}

fn duplicate(version: Version, name: &str) -> Throwable {
    failed_to_execute(name, submitted_already(version))
}

/// The dispatcher's exception for an id that is used.
pub(super) fn submitted_already(version: Version) -> Throwable {
    let (class, message) = if version >= (2, 3) {
        (
            "org.apache.flink.runtime.client.DuplicateApplicationSubmissionException",
            "Application has already been submitted.",
        )
    } else {
        ("org.apache.flink.runtime.client.DuplicateJobSubmissionException", "Job has already been submitted.")
    };
    let frame = "org.apache.flink.runtime.dispatcher.Dispatcher.lambda$submitApplication$9(Dispatcher.java:952)";
    Throwable::new(class, message, frame)
}

/// The program did not get through, whether or not it left a job behind.
pub(super) fn not_executed(cause: Throwable) -> Rejection {
    let cause = Throwable::new(
        "org.apache.flink.util.FlinkRuntimeException",
        "Could not execute application.",
        "org.apache.flink.client.deployment.application.DetachedApplicationRunner.tryExecuteJobs(DetachedApplicationRunner.java:88)",
    )
    .because(cause);
    Rejection::caused(
        StatusCode::BAD_REQUEST,
        "Could not execute application.",
        "org.apache.flink.runtime.webmonitor.handlers.JarRunHandler.lambda$handleRequest$1(JarRunHandler.java:114)",
        Throwable::completion(cause),
    )
}
