//! Applications: what 2.3 puts around jobs. One that `run-application` started has an id of its own; a job that is
//! submitted in any other way is wrapped in one with the job's id.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::config::Version;
use super::errors::{Answer, Rejection, Throwable, accepted, ok};
use super::job::{Job, JobState};
use super::job_manager::JobManager;
use super::overview::overview_entry;
use super::request::path_id;
use super::wire::millis;

/// From the end of an application's job until the application notices it.
const NOTICES_AFTER: Duration = Duration::from_secs(2);

/// An application that `run-application` started.
#[derive(Debug, Clone)]
pub(super) struct Application {
    pub(super) id: String,
    /// The class whose `main` it is.
    pub(super) name: String,
    pub(super) created: Duration,
    /// The job that `main` submitted.
    pub(super) job: Option<String>,
    pub(super) main_failure: Option<Throwable>,
    pub(super) cancelled: Option<Duration>,
}

/// Those that `run-application` started, in the order of their submission.
#[derive(Debug, Default)]
pub(super) struct Applications(Vec<Application>);

impl Applications {
    pub(super) fn is_used(&self, id: &str) -> bool {
        self.0.iter().any(|application| application.id == id)
    }

    pub(super) fn add(&mut self, application: Application) {
        self.0.push(application);
    }

    pub(super) fn get(&self, id: &str) -> Option<&Application> {
        self.0.iter().find(|application| application.id == id)
    }

    /// Forgets those whose job is forgotten, and those without a job that are older than `expiration`.
    pub(super) fn expire(&mut self, manager: &JobManager, expiration: Duration) {
        self.0.retain(|application| match &application.job {
            Some(job) => manager.jobs.get(job).is_some(),
            None => application.created.saturating_add(expiration) > manager.now(),
        });
    }

    /// Another `JobManager` knows only those whose jobs it recovers.
    pub(super) fn recover(&mut self, manager: &JobManager) {
        self.expire(manager, Duration::ZERO);
    }

    pub(super) fn list(&self, manager: &JobManager) -> Value {
        let now = manager.now();
        let applications = self.0.iter().map(|application| View::of_application(application, manager));
        let single = manager.jobs.all().iter().filter(|job| job.application.is_none()).map(View::of_job);
        json!({ "applications": applications.chain(single).map(|view| view.summary(now)).collect::<Vec<_>>() })
    }

    pub(super) fn details(&self, manager: &JobManager, id: &str, version: Version) -> Answer {
        let id = path_id("applicationid", id)?;
        let Some(view) = self.view(manager, &id) else { return Err(unknown(&id)) };
        let now = manager.now();
        let at = |status| view.entered.get(&status).map_or(0, |at| millis(*at));
        let timestamps: Map<_, _> =
            Status::ALL.map(|status| (status.name().to_owned(), at(status).into())).into_iter().collect();
        let mut details = view.summary(now);
        details["timestamps"] = timestamps.into();
        details["jobs"] = view.job.iter().map(|job| overview_entry(job, now, version)).collect();
        Ok(ok(details))
    }

    pub(super) fn exceptions(&self, manager: &JobManager, id: &str) -> Answer {
        let id = path_id("applicationid", id)?;
        let Some(view) = self.view(manager, &id) else { return Err(unknown(&id)) };
        let entry = view.failure.map(|Failure { at, cause, job }| {
            let mut entry = json!({
                "exceptionName": cause.class,
                "stacktrace": cause.stack_trace(),
                "timestamp": millis(at),
            });
            if let Some(job) = job {
                entry["jobId"] = job.into();
            }
            entry
        });
        Ok(ok(json!({ "exceptionHistory": { "entries": entry.into_iter().collect::<Vec<_>>() } })))
    }

    /// Cancels the job of an application that has not ended.
    pub(super) fn cancel(&mut self, manager: &mut JobManager, id: &str) -> Answer {
        let id = path_id("applicationid", id)?;
        let running = self.view(manager, &id).filter(|view| view.ended().is_none());
        let Some(job) = running.map(|view| view.job.map(|job| job.id.clone())) else {
            return Err(Rejection::caused(
                StatusCode::NOT_FOUND,
                "Application could not be found.",
                "org.apache.flink.runtime.rest.handler.application.ApplicationCancellationHandler.lambda$handleRequest$0(ApplicationCancellationHandler.java:97)",
                application_not_found(&id, "cancelApplication(Dispatcher.java:1562)"),
            ));
        };
        let now = manager.now();
        if let Some(application) = self.0.iter_mut().find(|application| application.id == id) {
            application.cancelled.get_or_insert(now);
        }
        if let Some(job) = job {
            manager.cancel(&job, now);
        }
        Ok(accepted(json!({})))
    }

    fn view<'a>(&self, manager: &'a JobManager, id: &str) -> Option<View<'a>> {
        let application = self.0.iter().find(|application| application.id == id);
        let single = || manager.jobs.get(id).filter(|job| job.application.is_none());
        application.map(|application| View::of_application(application, manager)).or_else(|| single().map(View::of_job))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Status {
    Created,
    Running,
    Failing,
    Canceling,
    Failed,
    Canceled,
    Finished,
}

impl Status {
    const ALL: [Self; 7] =
        [Self::Created, Self::Running, Self::Failing, Self::Canceling, Self::Failed, Self::Canceled, Self::Finished];

    /// As it is written on the wire; canceling has one L here.
    fn name(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Running => "RUNNING",
            Self::Failing => "FAILING",
            Self::Canceling => "CANCELING",
            Self::Failed => "FAILED",
            Self::Canceled => "CANCELED",
            Self::Finished => "FINISHED",
        }
    }

    /// What the end of its job makes of an application.
    fn after(job: JobState) -> Self {
        match job {
            JobState::Failed => Self::Failed,
            JobState::Canceled => Self::Canceled,
            _ => Self::Finished,
        }
    }
}

/// Why an application failed.
#[derive(Debug)]
struct Failure {
    at: Duration,
    cause: Throwable,
    /// The job that failed, unless `main` did.
    job: Option<String>,
}

/// An application as it is now.
#[derive(Debug)]
struct View<'a> {
    id: String,
    name: String,
    job: Option<&'a Job>,
    /// When each status was entered. They are in the order of their ranks, so the last entry is the current status.
    entered: BTreeMap<Status, Duration>,
    failure: Option<Failure>,
}

impl<'a> View<'a> {
    /// The application around a job that was submitted alone.
    fn of_job(job: &'a Job) -> Self {
        let mut entered = BTreeMap::from([(Status::Created, job.submitted), (Status::Running, job.submitted)]);
        let states = [(JobState::Failing, Status::Failing), (JobState::Cancelling, Status::Canceling)];
        // One whose job could not be initialized runs for ever.
        let failure = if job.graph { job.root_failure.clone().zip(job.ended()) } else { None };
        if job.graph {
            for (state, status) in states {
                entered.extend(job.entered.get(&state).map(|at| (status, *at)));
            }
            entered.extend(job.ended().map(|at| (Status::after(job.state), at)));
        }
        Self {
            id: job.id.clone(),
            name: format!("SingleJobApplication({})", job.name),
            job: Some(job),
            entered,
            failure: failure.map(|(cause, at)| Failure { at, cause, job: Some(job.id.clone()) }),
        }
    }

    fn of_application(application: &Application, manager: &'a JobManager) -> Self {
        let created = application.created;
        let job = application.job.as_ref().and_then(|job| manager.jobs.get(job));
        let mut entered = BTreeMap::from([(Status::Created, created), (Status::Running, created)]);
        entered.extend(application.cancelled.map(|at| (Status::Canceling, at)));
        let mut failure = None;
        if let Some(cause) = &application.main_failure {
            // It cancels what `main` has submitted.
            entered.insert(Status::Failing, created);
            entered.extend(job.map_or(Some(created), Job::ended).map(|at| (Status::Failed, at)));
            failure = Some(Failure { at: created, cause: not_executed(cause.clone()), job: None });
        } else if let Some(job) = job {
            let noticed = job.ended().map(|at| at.saturating_add(NOTICES_AFTER)).filter(|at| *at <= manager.now());
            if let Some(at) = noticed {
                let status = Status::after(job.state);
                entered.extend((status == Status::Failed).then_some((Status::Failing, at)));
                entered.insert(status, at);
                let cause = job.root_failure.clone().filter(|_| status == Status::Failed);
                failure = cause.map(|cause| Failure { at, cause: execution_failed(cause), job: Some(job.id.clone()) });
            }
        } else {
            entered.insert(Status::Finished, created);
        }
        Self { id: application.id.clone(), name: application.name.clone(), job, entered, failure }
    }

    fn ended(&self) -> Option<Duration> {
        self.entered.range(Status::Failed..).next().map(|(_, at)| *at)
    }

    /// What a list of applications and the details of one have in common, but for the jobs.
    fn summary(&self, now: Duration) -> Value {
        let created = self.entered.values().next().copied().unwrap_or_default();
        let ended = self.ended();
        let mut jobs = Map::new();
        if let Some(job) = self.job {
            jobs.insert(job.state.name().into(), 1.into());
        }
        json!({
            "id": self.id,
            "name": self.name,
            "start-time": millis(created),
            "end-time": ended.map_or(json!(-1), |at| millis(at).into()),
            "duration": millis(ended.unwrap_or(now).saturating_sub(created)),
            "status": self.entered.keys().next_back().map(|status| status.name()),
            "jobs": jobs,
        })
    }
}

fn not_executed(cause: Throwable) -> Throwable {
    Throwable::new(
        "org.apache.flink.client.deployment.application.ApplicationExecutionException",
        "Could not execute application.",
        "org.apache.flink.client.deployment.application.PackagedProgramApplication.runApplicationEntryPoint(PackagedProgramApplication.java:732)",
    )
    .because(cause)
}

fn execution_failed(cause: Throwable) -> Throwable {
    Throwable::new(
        "org.apache.flink.runtime.client.JobExecutionException",
        "Job execution failed.",
        "org.apache.flink.runtime.jobmaster.JobResult.toJobExecutionResult(JobResult.java:180)",
    )
    .because(cause)
}

fn application_not_found(id: &str, method: &'static str) -> Throwable {
    Throwable::new(
        "org.apache.flink.runtime.messages.FlinkApplicationNotFoundException",
        format!("Could not find Flink application ({id})"),
        method,
    )
    .thrown_by("org.apache.flink.runtime.dispatcher.Dispatcher.")
}

fn unknown(id: &str) -> Rejection {
    Rejection::Internal(application_not_found(id, "lambda$requestApplication$40(Dispatcher.java:1707)"))
}
