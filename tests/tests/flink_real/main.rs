//! Flink's flows against a real cluster.
//!
//! ```text
//! export FLINK_URL=$(tests/flink/start) && tests/flink/build-jars && cargo test -p pipewright-tests --test flink_real
//! ```
//!
//! Skipped unless `FLINK_URL` is set. `FLINK_JOBS_OUT` says where the demo jars are, as for `build-jars`.

mod upkeep;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use pipewright::driver::{Clock as _, Transport as _};
use pipewright::error::{FlowError, ServiceError};
use pipewright::flink::checkpoints::GetCheckpoints;
use pipewright::flink::cluster::{GetConfig, GetOverview};
use pipewright::flink::jars::{DeleteJar, ListJars, PlanJar};
use pipewright::flink::jobs::{
    ApplicationStatus, GetJob, GetJobAccumulators, GetJobExceptions, GetJobStatus, GetJobsOverview, JobState,
};
use pipewright::flink::savepoints::GetSavepointStatus;
use pipewright::flink::{
    AwaitJob, Cancel, Flink, JobId, Launched, RunJar, StopWithSavepoint, TakeSavepoint, TriggerCheckpoint, TriggerId,
    Upgrade, UpgradeDiagnosis, UpgradeJob, UpgradeStatus, is_unknown_job,
};
use pipewright::flow::{Goal as _, Notice, SavedState, Step};
use pipewright_ureq::{Ureq, file_body};

/// One test at a time: the cluster has four slots.
static CLUSTER: Mutex<()> = Mutex::new(());

struct Cluster {
    flink: Flink<Ureq>,
    jars: PathBuf,
    _turn: MutexGuard<'static, ()>,
}

/// The cluster, or `None` with the reason why there is no cluster.
fn cluster() -> Option<Cluster> {
    let Ok(url) = std::env::var("FLINK_URL") else {
        eprintln!("skipped: FLINK_URL is not set; tests/flink/start prints it");
        return None;
    };
    let turn = CLUSTER.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let flink = Flink::new(url.parse().expect("FLINK_URL is a base address"), Ureq::new());
    let home = std::env::var("HOME").unwrap_or_default();
    let jars = std::env::var("FLINK_JOBS_OUT").unwrap_or(format!("{home}/.cache/flink-demo-jobs")).into();
    Some(Cluster { flink, jars, _turn: turn })
}

impl Drop for Cluster {
    /// Leaves no job behind, whatever the result of the test.
    fn drop(&mut self) {
        for job in self.flink.call(GetJobsOverview::new()).map(|overview| overview.jobs).unwrap_or_default() {
            if !job.state.is_terminal() {
                let _ = self.flink.run(Cancel::new(job.id).timeout(Duration::from_secs(30)));
            }
        }
    }
}

impl Cluster {
    fn jar(&self, name: &str, args: &[&str]) -> RunJar {
        let content = file_body(self.jars.join(name)).expect("build-jars has made it");
        RunJar::upload(name, content).program_args(args.iter().copied()).timeout(Duration::from_secs(60))
    }

    fn launch(&self, name: &str, args: &[&str]) -> Launched {
        let launched = self.flink.run(self.jar(name, args)).expect("the job is submitted");
        let report =
            self.flink.run(AwaitJob::running(launched.job).timeout(Duration::from_secs(60))).expect("it is known");
        assert_eq!(report.state, JobState::Running, "{report:?}");
        launched
    }

    /// The sum of all counts of the endless job, those restored included; waits until it is known and past `least`.
    fn counted(&self, job: JobId, least: i64) -> i64 {
        let deadline = self.flink.runtime().now() + Duration::from_secs(60);
        while self.flink.runtime().now() < deadline {
            let accumulators = self.flink.call(GetJobAccumulators::new(job)).expect("the job is known").tasks;
            let counted = accumulators.iter().find(|accumulator| accumulator.name == "counted");
            match counted.and_then(|counted| counted.value.as_ref()).map(|value| value.parse().expect("a number")) {
                Some(counted) if counted > least => return counted,
                _ => self.flink.runtime().sleep_until(self.flink.runtime().now() + Duration::from_millis(200)),
            }
        }
        panic!("job {job} never counted past {least}");
    }
}

#[test]
fn an_upgraded_job_goes_on_counting() {
    let Some(cluster) = cluster() else { return };
    let old = cluster.launch("endless.jar", &["--name", "old"]);
    let before = cluster.counted(old.job, 50);

    let new = cluster.jar("endless.jar", &["--name", "new", "--rate", "20"]);
    let goal = UpgradeJob::new(old.job, RunJar::uploaded(old.jar), new).timeout(Duration::from_secs(120));
    let upgrade = cluster.flink.run(goal).expect("the upgrade is decided");

    let Upgrade::Upgraded { job, savepoint, checkpoint } = upgrade else { panic!("{upgrade:?}") };
    let checkpoints = cluster.flink.call(GetCheckpoints::new(job)).expect("the job is known");
    let restored = checkpoints.latest.restored.expect("it was restored");
    assert_eq!(restored.external_path.as_deref(), Some(&*savepoint));
    assert!(checkpoint > Some(restored.id), "{checkpoint:?} after {}", restored.id);
    assert_eq!(cluster.flink.call(GetJob::new(job)).expect("known").name.as_deref(), Some("new"));
    // A job that had lost its state would have to count for seconds to get there.
    let first = cluster.counted(job, 0);
    assert!(first >= before, "{first} after {before}");
    assert_eq!(cluster.flink.call(GetJobStatus::new(old.job)).expect("known").status, JobState::Finished);
}

#[test]
fn an_upgrade_to_a_bad_jar_is_rolled_back() {
    let Some(cluster) = cluster() else { return };
    let old = cluster.launch("endless.jar", &[]);
    let before = cluster.counted(old.job, 50);
    let bad = ["--fail-snapshot", "true"];
    let goal = UpgradeJob::new(old.job, RunJar::uploaded(old.jar), cluster.jar("endless.jar", &bad))
        .settle_timeout(Duration::from_secs(12))
        .timeout(Duration::from_secs(180));
    let upgrade = cluster.flink.run(goal).expect("the upgrade is decided");

    let Upgrade::RolledBack { job, savepoint, reason } = upgrade else { panic!("{upgrade:?}") };
    assert!(reason.contains("checkpoint") || reason.contains("tasks"), "{reason}");
    let restored = cluster.flink.call(GetCheckpoints::new(job)).expect("known").latest.restored.expect("restored");
    assert_eq!(restored.external_path, Some(savepoint));
    assert!(cluster.counted(job, 0) >= before);
    let running = cluster.flink.call(GetJobsOverview::new()).expect("an overview").jobs;
    let running: Vec<_> = running.into_iter().filter(|job| !job.state.is_terminal()).map(|job| job.id).collect();
    assert_eq!(running, [job], "the new job must be gone");
}

#[test]
fn a_jar_that_cannot_be_planned_costs_nothing() {
    let Some(cluster) = cluster() else { return };
    let old = cluster.launch("endless.jar", &[]);
    let goal = UpgradeJob::new(old.job, RunJar::uploaded(old.jar), cluster.jar("broken.jar", &[]));
    let error = cluster.flink.run(goal).expect_err("no zip, no jar");
    assert_eq!(error.service().map(ServiceError::operation), Some("generatePlanFromJar"), "{error}");
    assert_eq!(UpgradeDiagnosis::of(&error).map(|known| known.status), Some(UpgradeStatus::Untouched));
    assert_eq!(cluster.flink.call(GetJobStatus::new(old.job)).expect("known").status, JobState::Running);
}

/// Drives a flow up to the first exchange of an operation, and gives the state it saved last. The exchange is executed,
/// and its answer lost, if `execute` says so. Then the process "crashes".
fn crash<F: pipewright::flow::Flow>(flink: &Flink<Ureq>, mut flow: F, operation: &str, execute: bool) -> SavedState {
    let (mut reply, mut saved) = (None, None);
    loop {
        match flow.poll(flink.runtime().now(), reply.take()) {
            Step::Send(exchange) if exchange.info().name == operation => {
                if execute {
                    flink.runtime().send(&exchange).expect("an answer");
                }
                return saved.expect("a state is saved before the request that matters");
            }
            Step::Send(exchange) => {
                let answer = flink.runtime().send(&exchange);
                reply = Some(exchange.settle(answer));
            }
            Step::Notice(Notice::Persist(state)) => saved = Some(state),
            Step::Notice(_) => {}
            Step::WaitUntil(at) | Step::InFlight { until: at } => flink.runtime().sleep_until(at),
            Step::Authorize(_) | Step::Stray(_) | Step::Done(_) => panic!("the flow never sent {operation}"),
        }
    }
}

#[test]
fn a_savepoint_is_resumed_after_a_crash() {
    let Some(cluster) = cluster() else { return };
    let job = cluster.launch("endless.jar", &["--slow", "500", "--interval", "0"]).job;
    for executed in [true, false] {
        let flow = TakeSavepoint::new(job).start(cluster.flink.config(), cluster.flink.seed());
        let saved = crash(&cluster.flink, flow, "triggerSavepoint", executed);
        // What a new process reads back from its disk.
        let text = serde_json::to_string(&saved).expect("serialisable");
        let saved: SavedState = serde_json::from_str(&text).expect("readable");
        let goal = TakeSavepoint::resume(&saved).expect("its own state").timeout(Duration::from_secs(60));
        let savepoint = cluster.flink.run(goal).expect("a savepoint");
        assert!(savepoint.location.contains("savepoint-"), "{savepoint:?}");
    }
    let deadline = cluster.flink.runtime().now() + Duration::from_secs(20);
    loop {
        let counts = cluster.flink.call(GetCheckpoints::new(job)).expect("known").counts;
        if (counts.completed, counts.total) == (Some(2), Some(2)) {
            break;
        }
        assert!(
            cluster.flink.runtime().now() < deadline && counts.total <= Some(2),
            "one savepoint for each trigger: {counts:?}"
        );
        cluster.flink.runtime().sleep_until(cluster.flink.runtime().now() + Duration::from_millis(200));
    }
}

#[test]
fn an_upgrade_is_resumed_after_a_crash() {
    let Some(cluster) = cluster() else { return };
    let old = cluster.launch("endless.jar", &[]);
    for operation in ["triggerStopWithSavepoint", "submitJobFromJar"] {
        let current = cluster.flink.call(GetJobsOverview::new()).expect("an overview").jobs;
        let current = current.iter().find(|job| job.state == JobState::Running).expect("a running job").id;
        let goal = UpgradeJob::new(current, RunJar::uploaded(old.jar.clone()), cluster.jar("endless.jar", &[]));
        let saved = crash(&cluster.flink, goal.start(cluster.flink.config(), cluster.flink.seed()), operation, true);
        let goal = UpgradeJob::resume(&saved).expect("its own state").timeout(Duration::from_secs(120));
        let upgrade = cluster.flink.run(goal).expect("the upgrade is decided");
        assert!(matches!(upgrade, Upgrade::Upgraded { .. }), "{upgrade:?}");
        let running = cluster.flink.call(GetJobsOverview::new()).expect("an overview").jobs;
        assert_eq!(running.iter().filter(|job| !job.state.is_terminal()).count(), 1);
    }
}

#[test]
fn a_failing_job_tells_why() {
    let Some(cluster) = cluster() else { return };
    let launched =
        cluster.flink.run(cluster.jar("failing.jar", &["--at", "3", "--message", "told to"])).expect("submitted");
    let report = cluster.flink.run(AwaitJob::ended(launched.job).timeout(Duration::from_secs(60))).expect("it ends");
    assert_eq!(report.state, JobState::Failed);
    let result = report.result.as_ref().expect("it is kept for a while");
    assert_eq!(result.application_status, ApplicationStatus::Failed);
    // The deepest cause, not the wrappers around it.
    assert_eq!(
        report.failure().as_deref(),
        Some("IllegalStateException: told to; caused by RuntimeException: inner cause")
    );
    let exceptions = cluster.flink.call(GetJobExceptions::new(launched.job)).expect("known");
    let entry = &exceptions.history.expect("since 1.13").entries[0];
    assert!(entry.stacktrace.as_ref().is_some_and(|trace| trace.contains("told to")), "{entry:?}");
    let tasks = entry.concurrent_exceptions.iter().chain([entry]).filter(|entry| entry.task_name.is_some());
    // The adaptive scheduler does not say which task it was.
    let expected = usize::from(!cluster.is_adaptive());
    assert_eq!(tasks.count(), expected, "{entry:?}");
}

#[test]
fn a_bounded_job_ends_with_its_accumulators() {
    let Some(cluster) = cluster() else { return };
    let launched = cluster.flink.run(cluster.jar("bounded.jar", &["--n", "123"])).expect("submitted");
    let report = cluster.flink.run(AwaitJob::ended(launched.job).timeout(Duration::from_secs(60))).expect("it ends");
    assert_eq!(report.state, JobState::Finished);
    assert!(report.result.expect("kept").accumulator_results.contains_key("records"));
    let accumulators = cluster.flink.call(GetJobAccumulators::new(launched.job)).expect("known").tasks;
    let records = accumulators.iter().find(|accumulator| accumulator.name == "records").expect("it counts records");
    assert_eq!((records.kind.as_deref(), records.value.as_deref()), (Some("LongCounter"), Some("123")));
}

#[test]
fn a_job_is_savepointed_checkpointed_and_stopped() {
    let Some(cluster) = cluster() else { return };
    let job = cluster.launch("endless.jar", &["--interval", "0"]).job;
    let minute = Duration::from_secs(60);
    let savepoint = cluster.flink.run(TakeSavepoint::new(job).timeout(minute)).expect("a savepoint");
    let checkpoint = cluster.flink.run(TriggerCheckpoint::new(job).timeout(minute)).expect("a checkpoint");
    assert!(checkpoint > 0);
    let stopped = cluster.flink.run(StopWithSavepoint::new(job).timeout(minute)).expect("stopped");
    assert_eq!(stopped.state, Some(JobState::Finished));
    assert_ne!(stopped.location, savepoint.location);
    // Cancelling what has ended is no error, and says how it ended.
    let report = cluster.flink.run(Cancel::new(job).timeout(minute)).expect("it has ended");
    assert_eq!(report.state, JobState::Finished);
}

#[test]
fn a_savepoint_that_cannot_be_written_is_a_failure_with_its_cause() {
    let Some(cluster) = cluster() else { return };
    let job = cluster.launch("endless.jar", &["--interval", "0"]).job;
    let goal = TakeSavepoint::new(job).target_directory("file:///proc/nowhere").timeout(Duration::from_secs(60));
    let error = cluster.flink.run(goal).expect_err("the directory is not writable");
    assert!(matches!(&error, FlowError::Failed(failure) if failure.details.is_some()), "{error:?}");
    assert!(error.to_string().starts_with(&format!("savepoint of job {job} failed: ")), "{error}");
    assert_eq!(cluster.flink.call(GetJobStatus::new(job)).expect("known").status, JobState::Running);
}

#[test]
fn unknown_things_are_named() {
    let Some(cluster) = cluster() else { return };
    let flink = &cluster.flink;
    let nobody = JobId::from_bits(0xbad);
    for error in [
        flink.call(GetJob::new(nobody)).map(|_| ()).expect_err("unknown"),
        flink.call(GetJobStatus::new(nobody)).map(|_| ()).expect_err("unknown"),
        flink.call(GetCheckpoints::new(nobody)).map(|_| ()).expect_err("unknown"),
        flink.call(GetJobExceptions::new(nobody)).map(|_| ()).expect_err("unknown"),
        flink.run(Cancel::new(nobody)).map(|_| ()).expect_err("unknown"),
        flink.run(AwaitJob::ended(nobody)).map(|_| ()).expect_err("unknown"),
    ] {
        let FlowError::Service(rejection) = &error else { panic!("{error:?}") };
        assert!(is_unknown_job(rejection), "{rejection:?}");
        assert!(error.to_string().contains(&nobody.to_string()), "{error}");
    }
    // Triggers for it are accepted, and fail afterwards.
    let error = flink.run(TakeSavepoint::new(nobody).timeout(Duration::from_secs(30))).expect_err("unknown");
    assert!(
        matches!(&error, FlowError::Failed(failure) if failure.reason.contains("FlinkJobNotFoundException")),
        "{error:?}"
    );
    let error = flink.call(GetSavepointStatus::new(nobody, TriggerId::from_bits(1))).expect_err("unknown");
    assert_eq!(error.service().expect("refused").status(), 404);
    for jar in ["nothing.jar", "with space.jar", "a+b%2F.jar", "j\u{f6}b.jar"] {
        let error = flink.call(PlanJar::new(jar)).map(|_| ()).expect_err("unknown");
        assert_eq!(error.service().expect("refused").status(), 500, "{error}");
        assert!(error.to_string().contains(jar), "decoded as it was meant: {error}");
        let error = flink.call(DeleteJar::new(jar)).map(|_| ()).expect_err("unknown");
        assert_eq!(error.service().expect("refused").status(), 400, "{error}");
    }
}

#[test]
fn the_cluster_is_read() {
    let Some(cluster) = cluster() else { return };
    let overview = cluster.flink.call(GetOverview::new()).expect("an overview");
    assert!(overview.task_managers > Some(0) && overview.slots_total > Some(0));
    let config = cluster.flink.call(GetConfig::new()).expect("a config");
    assert_eq!(config.flink_version, overview.flink_version);
    assert!(config.version().is_some(), "{:?}", config.flink_version);
    // Names that are hard on paths: uploaded, listed, planned and deleted again.
    for name in ["plain.jar", "with space.jar", "j\u{f6}b (1).jar"] {
        let content = file_body(cluster.jars.join("params.jar")).expect("it is built");
        let uploaded = cluster.flink.call(pipewright::flink::jars::UploadJar::new(name, content)).expect("uploaded");
        let listed = cluster.flink.call(ListJars::new()).expect("a list").files;
        assert!(listed.iter().any(|jar| jar.id == uploaded.jar_id() && jar.name == name), "{listed:?}");
        let plan = cluster.flink.call(PlanJar::new(uploaded.jar_id())).expect("a plan").plan;
        assert!(plan.nodes.len() > 1, "{plan:?}");
        cluster.flink.call(DeleteJar::new(uploaded.jar_id())).expect("deleted");
    }
}
