//! What a deployment does next: a function of what was observed and what is known. The table is in the [module
//! docs](super).

use super::differences::{Differences, is_same_program};
use super::{Change, Deploy, Deployed, ignored};
use crate::error::{Cause, Failure, FlowError, ServiceError};
use crate::feldera::Json;
use crate::feldera::flow::Interruption;
use crate::feldera::flow::reconcile::uncompiled;
use crate::feldera::flow::stop::Stopped;
use crate::feldera::pipelines::{DesiredStatus, Pipeline, PipelineStatus, ProgramError, ProgramStatus, StorageStatus};
use crate::feldera::platform::Configuration;
use crate::feldera::programs::Validation;
use crate::feldera::settings::Spellings;
use crate::feldera::tuning::MAX_DEPLOY_POLLS;
use crate::feldera::{ErrorCode, error_code, is_unknown_pipeline};
use crate::operation::ServerVersion;

/// What was observed.
#[derive(Debug)]
pub(super) enum Evidence {
    /// The flow begins, or a wait is over.
    Begun,
    Version(Result<Configuration, FlowError>),
    Poll(Result<Pipeline, FlowError>),
    Create(Result<Pipeline, FlowError>),
    Validate(Result<Validation, FlowError>, Box<Differences>),
    Stop(Result<Stopped, FlowError>, Box<Differences>),
    Change(Result<Pipeline, FlowError>),
    Compile(Result<Pipeline, FlowError>),
    Ensure(Result<Pipeline, FlowError>),
}

/// What the flow does next.
#[derive(Debug)]
pub(super) enum Action {
    /// Ask the server for its version: the spelling of settings depends on it.
    AskVersion,
    /// Ask again, because the server seems to ignore these settings.
    CheckVersion(Vec<String>),
    Poll,
    /// Poll later: the pipeline may have been changed, or another client has changed it. With the error of the request.
    PollLater(FlowError, Change),
    Create,
    /// Validate the SQL, as this version of the compiler does.
    Validate(Box<Differences>, Option<String>),
    Stop(Box<Differences>),
    Change(Box<Differences>),
    /// Wait until this version of the program is compiled.
    Compile(Option<i64>),
    /// Bring the pipeline to run, with this version of the program.
    Ensure(Option<i64>),
    End(Result<Deployed, FlowError>),
}

/// What the flow knows about the pipeline.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) change: Change,
    pub(super) restarted: bool,
    /// The version of the program that is to run.
    pub(super) version: Option<i64>,
    /// The version that the last poll has shown.
    pub(super) polled: Option<i64>,
    pub(super) polls: u32,
    /// The version of the server.
    pub(super) server: Option<ServerVersion>,
    /// Whether the server was asked for its version.
    pub(super) has_asked: bool,
    /// The settings that the server seems to ignore, and its version when the client requested it: the server may have
    /// been updated since.
    pub(super) doubted: Option<(Vec<String>, Option<ServerVersion>)>,
    /// Why the pipeline is polled again.
    pub(super) pending_error: Option<FlowError>,
}

impl Known {
    /// Remembers what was observed, before the decision.
    pub(super) fn record(&mut self, evidence: &Evidence) {
        match evidence {
            Evidence::Version(answer) => {
                self.has_asked = true;
                self.server = answer.as_ref().ok().and_then(Configuration::server_version);
            }
            Evidence::Poll(Ok(seen)) => self.polled = seen.program_version,
            Evidence::Stop(Ok(_), _) => self.restarted = true,
            _ => {}
        }
    }

    /// Returns whether settings seem to be ignored, and the server has the same version as before, or does not report
    /// it.
    fn is_confirmed(&self) -> bool {
        self.doubted.as_ref().is_some_and(|(_, before)| self.server.is_none() || self.server == *before)
    }

    /// The error of an earlier request that may have been carried out.
    fn unknown_outcome(&self) -> Option<FlowError> {
        self.pending_error.clone().filter(FlowError::is_ambiguous)
    }

    fn poll_later(&self, error: FlowError, change: Change) -> Action {
        if self.polls >= MAX_DEPLOY_POLLS { Action::End(Err(error)) } else { Action::PollLater(error, change) }
    }
}

/// Decides what comes next.
pub(super) fn decide(evidence: Evidence, goal: &Deploy, known: &Known) -> Action {
    match evidence {
        Evidence::Begun if known.server.is_none() && !known.has_asked && goal.runtime_config.0.is_some() => {
            Action::AskVersion
        }
        Evidence::Version(_) if known.is_confirmed() => {
            let names = known.doubted.as_ref().map(|(names, _)| names.clone()).unwrap_or_default();
            Action::End(Err(failed(goal, Interruption::SettingsIgnored { names }, None)))
        }
        // Some proxies forward only requests about pipelines. Without a version, settings are sent as all releases read
        // them.
        Evidence::Begun | Evidence::Version(Ok(_) | Err(FlowError::Service(_))) => match unusable(goal, known) {
            None => Action::Poll,
            Some(action) => action,
        },
        Evidence::Poll(Ok(seen)) => decide_poll(&seen, goal, known),
        Evidence::Poll(Err(FlowError::Service(error))) if is_unknown_pipeline(&error) => Action::Create,
        // An unknown outcome is not forgotten because the pipeline cannot be read.
        Evidence::Poll(Err(error)) => Action::End(Err(known.unknown_outcome().unwrap_or(error))),
        Evidence::Create(Ok(created)) => compile_unless_ignored(&created, goal, known),
        Evidence::Create(Err(error)) if error.is_ambiguous() => known.poll_later(error, known.change),
        // Another client was faster, or an earlier request of this flow was carried out and its answer was lost.
        Evidence::Create(Err(error)) if says(&error, &ErrorCode::DuplicateName) => match known.unknown_outcome() {
            Some(unknown) => known.poll_later(unknown, known.change),
            None => known.poll_later(error, Change::None),
        },
        Evidence::Validate(answer, differences) => match rejected_by_compiler(answer, goal) {
            None => Action::Stop(differences),
            Some(error) => Action::End(Err(error)),
        },
        Evidence::Stop(Ok(_), differences) => Action::Change(differences),
        // The pipeline was up to date at the poll; another client has changed it since.
        Evidence::Change(Ok(changed)) if !is_of(goal, &changed) => {
            let is = changed.program_version.unwrap_or_default();
            let edited = Interruption::Edited { was: known.polled.unwrap_or(is), is };
            known.poll_later(failed(goal, edited, None), known.change)
        }
        Evidence::Change(Ok(changed)) => compile_unless_ignored(&changed, goal, known),
        Evidence::Change(Err(error))
            if error.is_ambiguous() || error.says_applied() || says(&error, &ErrorCode::UpdateRestrictedToStopped) =>
        {
            known.poll_later(error, known.change)
        }
        // The version differs from the version that was put if the program was compiled again.
        Evidence::Compile(Ok(compiled)) => Action::Ensure(compiled.program_version.or(known.version)),
        Evidence::Ensure(Ok(pipeline)) => Action::End(match (known.version, pipeline.program_version) {
            (Some(was), Some(is)) if was != is => Err(failed(goal, Interruption::Edited { was, is }, None)),
            _ => Ok(Deployed { pipeline, change: known.change, restarted: known.restarted }),
        }),
        Evidence::Version(Err(error))
        | Evidence::Create(Err(error))
        | Evidence::Stop(Err(error), _)
        | Evidence::Change(Err(error))
        | Evidence::Compile(Err(error))
        | Evidence::Ensure(Err(error)) => Action::End(Err(error)),
    }
}

/// Returns the end of the flow if no pipeline can get this configuration.
fn unusable(goal: &Deploy, known: &Known) -> Option<Action> {
    let wanted = goal.runtime_config.0.as_ref()?;
    if let Err(error) = Json::of(wanted) {
        let (what, reason) = (format!("deployment of pipeline {}", goal.name()), error.to_string());
        return Some(Action::End(Err(FlowError::Failed(Failure { what, reason, details: None, cause: None }))));
    }
    let names = ignored::unknown_to(known.server, wanted);
    (!names.is_empty()).then(|| settings_ignored(names, goal, known))
}

/// Ends the flow if the server has ignored settings. If the pipeline were started, the next deployment would stop it
/// for the same settings.
fn compile_unless_ignored(answer: &Pipeline, goal: &Deploy, known: &Known) -> Action {
    let sent = goal.runtime_config.0.as_ref().zip(answer.runtime_config.as_deref());
    let names = sent.map(|(wanted, answer)| ignored::missing(wanted, answer)).unwrap_or_default();
    if names.is_empty() { Action::Compile(answer.program_version) } else { settings_ignored(names, goal, known) }
}

/// Ends the flow, unless the version was not learnt by this flow: then the server may have been updated since.
fn settings_ignored(names: Vec<String>, goal: &Deploy, known: &Known) -> Action {
    if known.server.is_some() && !known.has_asked {
        Action::CheckVersion(names)
    } else {
        Action::End(Err(failed(goal, Interruption::SettingsIgnored { names }, None)))
    }
}

fn decide_poll(seen: &Pipeline, goal: &Deploy, known: &Known) -> Action {
    let differences = Box::new(Differences::between(goal, seen, Spellings::of(known.server)));
    let is_clear = seen.storage_status.as_ref().is_none_or(|status| *status == StorageStatus::Cleared);
    if !differences.any() {
        return if is_up(seen, goal) {
            Action::Ensure(seen.program_version)
        } else {
            Action::Compile(seen.program_version)
        };
    }
    if let Some(field) = differences.need_clear_storage(seen).filter(|_| !is_clear) {
        let what = format!("deployment of pipeline {}", goal.name());
        let reason = format!(
            "{field} can be changed only while the storage is clear; stop the pipeline with Stop, then clear the storage \
             with ClearStorage, which deletes its content"
        );
        let cause = Some(Cause::new(Interruption::StorageInUse));
        return Action::End(Err(FlowError::Failed(Failure { what, reason, details: None, cause })));
    }
    if seen.is_at_rest() || !differences.need_a_stop() {
        Action::Change(differences)
    } else if known.restarted {
        let desired = seen.deployment_desired_status.clone().unwrap_or(DesiredStatus::Running);
        Action::End(Err(failed(goal, Interruption::Overruled { desired }, None)))
    } else if differences.0.program_code.is_some() {
        let config = differences.0.program_config.as_ref().or(seen.program_config.as_ref());
        let runtime_version = config.and_then(|config| config.runtime_version.clone());
        Action::Validate(differences, runtime_version)
    } else {
        Action::Stop(differences)
    }
}

/// Whether the pipeline has the desired status, with a compiled program.
fn is_up(seen: &Pipeline, goal: &Deploy) -> bool {
    let (status, desired) = if goal.paused {
        (PipelineStatus::Paused, DesiredStatus::Paused)
    } else {
        (PipelineStatus::Running, DesiredStatus::Running)
    };
    let is_desired = seen.deployment_desired_status.as_ref().is_none_or(|seen| *seen == desired);
    seen.deployment_status == status && is_desired && seen.is_compiled()
}

/// Returns the compiler's errors in the SQL, before a pipeline is stopped for it.
fn rejected_by_compiler(answer: Result<Validation, FlowError>, goal: &Deploy) -> Option<FlowError> {
    let nothing = ProgramError { sql_compilation: None, rust_compilation: None, system_error: None };
    let (status, error) = match answer {
        Ok(Validation::SqlError(problem)) => {
            (ProgramStatus::SqlError, ProgramError { sql_compilation: Some(problem.info), ..nothing })
        }
        Ok(Validation::SystemError(problem)) => {
            (ProgramStatus::SystemError, ProgramError { system_error: Some(problem.error), ..nothing })
        }
        Ok(_) => return None,
        // Releases before 0.324 do not know the address, and cannot validate.
        Err(FlowError::Service(error)) if is_no_address(&error) => return None,
        Err(error) => return Some(error),
    };
    let details = Some(error.to_string());
    Some(failed(goal, uncompiled(status, error, None), details))
}

fn failed(goal: &Deploy, interruption: Interruption, details: Option<String>) -> FlowError {
    interruption.into_error(format!("deployment of pipeline {}", goal.name()), details)
}

/// Whether an answer shows the program that is to run, as far as it shows any.
fn is_of(goal: &Deploy, answer: &Pipeline) -> bool {
    let same = |wanted: Option<&String>, has: &Option<String>| {
        has.as_ref().zip(wanted).is_none_or(|(has, wanted)| has == wanted)
    };
    answer.program_code.as_ref().is_none_or(|has| is_same_program(&goal.program_code.0, has))
        && same(goal.udf_rust.0.as_ref(), &answer.udf_rust)
        && same(goal.udf_toml.0.as_ref(), &answer.udf_toml)
}

fn says(error: &FlowError, code: &ErrorCode) -> bool {
    error.service().and_then(error_code).as_ref() == Some(code)
}

fn is_no_address(error: &ServiceError) -> bool {
    error.status() == http::StatusCode::NOT_FOUND && error.code().is_none()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::feldera::flow::test_answers::{lost, rejection};
    use crate::feldera::pipelines::RuntimeConfig;
    use crate::feldera::programs::SystemProblem;

    const SQL: &str = "CREATE TABLE t (x INT);";

    fn pipeline(status: &str, desired: &str, changes: &[(&str, &str)]) -> Pipeline {
        let mut body = json!({
            "name": "p", "deployment_status": status, "deployment_desired_status": desired, "program_code": SQL,
            "program_status": "Success", "program_version": 3, "storage_status": "Cleared",
        });
        for (field, value) in changes {
            body[*field] = json!(value);
        }
        serde_json::from_value(body).expect("a pipeline")
    }

    fn known() -> Known {
        let (change, restarted, polls) = (Change::None, false, 1);
        let (version, polled) = (Some(3), Some(3));
        let (server, has_asked, doubted, pending_error) = (None, false, None, None);
        Known { change, restarted, version, polled, polls, server, has_asked, doubted, pending_error }
    }

    fn differences() -> Box<Differences> {
        let seen = pipeline("Stopped", "Stopped", &[("program_code", "")]);
        Box::new(Differences::between(&Deploy::new("p", SQL), &seen, Spellings::COMMON))
    }

    /// What is decided, in short.
    fn next(evidence: Evidence, goal: &Deploy, known: &Known) -> String {
        match decide(evidence, goal, known) {
            Action::PollLater(_, change) => format!("PollLater {change:?}"),
            Action::Validate(..) => "Validate".to_owned(),
            Action::Stop(_) => "Stop".to_owned(),
            Action::Change(_) => "Change".to_owned(),
            Action::End(Ok(deployed)) => format!("done {:?}", deployed.change),
            Action::End(Err(FlowError::Ambiguous(_))) => "ambiguous".to_owned(),
            Action::End(Err(error)) => match Interruption::of(&error) {
                Some(interruption) => {
                    format!("{interruption:?}").split([' ', '(']).next().unwrap_or_default().to_owned()
                }
                None => "failed".to_owned(),
            },
            action => format!("{action:?}"),
        }
    }

    #[test]
    fn a_poll_is_read_by_the_rows_of_the_table() {
        let goal = Deploy::new("p", SQL);
        let polled = |goal: &Deploy, seen: Pipeline| next(Evidence::Poll(Ok(seen)), goal, &known());
        let other = [("program_code", "CREATE TABLE u (x INT);")];
        assert_eq!(polled(&goal, pipeline("Running", "Running", &[])), "Ensure(Some(3))");
        assert_eq!(polled(&goal.clone().paused(true), pipeline("Paused", "Paused", &[])), "Ensure(Some(3))");
        assert_eq!(polled(&goal, pipeline("Running", "Running", &[("program_status", "Pending")])), "Compile(Some(3))");
        assert_eq!(polled(&goal, pipeline("Stopped", "Stopped", &[])), "Compile(Some(3))");
        // Another client has just asked for something else.
        assert_eq!(polled(&goal, pipeline("Running", "Stopped", &[])), "Compile(Some(3))");
        assert_eq!(polled(&goal, pipeline("Stopped", "Stopped", &other)), "Change");
        assert_eq!(polled(&goal.clone().description("new"), pipeline("Running", "Running", &[])), "Change");
        assert_eq!(polled(&goal, pipeline("Running", "Running", &other)), "Validate");
        assert_eq!(polled(&goal.clone().udf_rust("fn f() {}"), pipeline("Running", "Running", &[])), "Stop");
        let again = Known { restarted: true, ..known() };
        assert_eq!(next(Evidence::Poll(Ok(pipeline("Running", "Running", &other))), &goal, &again), "Overruled");
    }

    #[test]
    fn the_version_is_asked_for_once_if_a_configuration_is_to_be_sent() {
        let plain = Deploy::new("p", SQL);
        let goal = plain.clone().runtime_config(RuntimeConfig::default());
        assert_eq!(next(Evidence::Begun, &plain, &known()), "Poll");
        assert_eq!(next(Evidence::Begun, &goal, &known()), "AskVersion");
        let server = Some(ServerVersion::new(0, 375, 0));
        assert_eq!(next(Evidence::Begun, &goal, &Known { server, ..known() }), "Poll");
        for (answer, action) in [(rejection(403, "Forbidden"), "Poll"), (lost(), "ambiguous")] {
            let (evidence, mut known) = (Evidence::Version(Err(answer)), known());
            known.record(&evidence);
            assert_eq!(next(evidence, &goal, &known), action);
            assert_eq!(next(Evidence::Begun, &goal, &known), "Poll");
        }
    }

    #[test]
    fn an_unknown_outcome_survives_a_pipeline_that_cannot_be_read() {
        let goal = Deploy::new("p", SQL);
        let unread = || Evidence::Poll(Err(rejection(500, "DatabaseError")));
        assert_eq!(next(Evidence::Poll(Err(rejection(404, "UnknownPipelineName"))), &goal, &known()), "Create");
        assert_eq!(next(unread(), &goal, &known()), "failed");
        assert_eq!(next(unread(), &goal, &Known { pending_error: Some(lost()), ..known() }), "ambiguous");
    }

    #[test]
    fn a_creation_whose_outcome_is_unknown_is_polled_for() {
        let goal = Deploy::new("p", SQL);
        let created = Known { change: Change::Created, ..known() };
        let duplicate = || Evidence::Create(Err(rejection(409, "DuplicateName")));
        let ours = Known { pending_error: Some(lost()), ..known() };
        let made = Evidence::Create(Ok(pipeline("Stopped", "Stopped", &[])));
        assert_eq!(next(made, &goal, &created), "Compile(Some(3))");
        assert_eq!(next(Evidence::Create(Err(lost())), &goal, &created), "PollLater Created");
        assert_eq!(next(duplicate(), &goal, &created), "PollLater None");
        assert_eq!(next(duplicate(), &goal, &Known { change: Change::Created, ..ours }), "PollLater Created");
        assert_eq!(next(Evidence::Create(Err(rejection(400, "InvalidName"))), &goal, &created), "failed");
        let last = Known { polls: MAX_DEPLOY_POLLS, ..known() };
        assert_eq!(next(Evidence::Create(Err(lost())), &goal, &last), "ambiguous");
    }

    #[test]
    fn nothing_is_stopped_for_sql_that_does_not_compile() {
        let goal = Deploy::new("p", SQL);
        let validated = |answer| next(Evidence::Validate(answer, differences()), &goal, &known());
        let system = SystemProblem { error: "out of memory".to_owned() };
        assert_eq!(validated(Ok(Validation::SystemError(system))), "CompilerFailed");
        assert_eq!(validated(Ok(Validation::Unknown("later".into(), None))), "Stop");
        assert_eq!(validated(Err(rejection(500, "Internal"))), "failed");
        assert_eq!(next(Evidence::Stop(Err(rejection(500, "Internal")), differences()), &goal, &known()), "failed");
        let stopped = Stopped { pipeline: pipeline("Stopped", "Stopped", &[]), checkpoint: None };
        let evidence = Evidence::Stop(Ok(stopped), differences());
        let mut known = known();
        known.record(&evidence);
        assert!(known.restarted);
        assert_eq!(next(evidence, &goal, &known), "Change");
    }

    #[test]
    fn the_program_that_runs_is_the_one_that_was_put() {
        let goal = Deploy::new("p", SQL);
        let changed = |fields: &[(&str, &str)]| Evidence::Change(Ok(pipeline("Stopped", "Stopped", fields)));
        let updated = Known { change: Change::Updated, ..known() };
        assert_eq!(next(changed(&[]), &goal, &updated), "Compile(Some(3))");
        assert_eq!(next(changed(&[("program_code", "another")]), &goal, &updated), "PollLater Updated");
        assert_eq!(next(Evidence::Change(Err(lost())), &goal, &updated), "PollLater Updated");
        let restricted = Err(rejection(400, "UpdateRestrictedToStopped"));
        assert_eq!(next(Evidence::Change(restricted), &goal, &updated), "PollLater Updated");
        assert_eq!(next(Evidence::Change(Err(rejection(400, "Other"))), &goal, &updated), "failed");
        let compiled = Evidence::Compile(Ok(pipeline("Stopped", "Stopped", &[])));
        assert_eq!(next(compiled, &goal, &Known { version: Some(2), ..known() }), "Ensure(Some(3))");
        let up = || Evidence::Ensure(Ok(pipeline("Running", "Running", &[])));
        assert_eq!(next(up(), &goal, &updated), "done Updated");
        assert_eq!(next(up(), &goal, &Known { version: Some(2), ..known() }), "Edited");
    }
}
