//! Metrics, checkpoints of one subtask, flame graphs, profiles, rescaling, watching and removal on a real cluster.

use std::time::Duration;

use pipewright::driver::{self, Clock as _, NoCredentials};
use pipewright::error::FlowError;
use pipewright::flink::checkpoints::{GetCheckpointDetails, GetVertexCheckpoint};
use pipewright::flink::cluster::{FlinkVersion, GetConfig};
use pipewright::flink::datasets::ListDatasets;
use pipewright::flink::jobmanager::GetJobManagerConfig;
use pipewright::flink::jobs::{GetJob, JobState};
use pipewright::flink::metrics::{GetSubtaskMetrics, GetVertexMetrics};
use pipewright::flink::profiler::ProfileMode;
use pipewright::flink::rescaling::{GetRescaleConfig, GetRescales, GetResourceRequirements};
use pipewright::flink::taskmanagers::ListTaskManagers;
use pipewright::flink::{
    AwaitCheckpoint, CommaList, DatasetId, DeleteDataset, DisposeSavepoint, JobEvent, JobId, Profile, Rescale,
    SampleFlameGraph, TakeSavepoint, VertexId, WatchJob, is_unknown_job,
};
use pipewright::flow::Goal as _;

use crate::{Cluster, cluster};

const MINUTE: Duration = Duration::from_secs(60);

impl Cluster {
    fn version(&self) -> FlinkVersion {
        self.flink.call(GetConfig::new()).expect("a config").version().expect("a version")
    }

    fn setting(&self, key: &str) -> Option<String> {
        let config = self.flink.call(GetJobManagerConfig::new()).expect("a configuration");
        config.into_iter().find(|entry| entry.key == key)?.value
    }

    pub(crate) fn is_adaptive(&self) -> bool {
        self.setting("jobmanager.scheduler").is_some_and(|scheduler| scheduler.eq_ignore_ascii_case("adaptive"))
    }

    /// The vertex whose name begins so.
    fn vertex(&self, job: JobId, name: &str) -> VertexId {
        let details = self.flink.call(GetJob::new(job)).expect("the job is known");
        let vertex =
            details.vertices.iter().find(|vertex| vertex.name.as_deref().is_some_and(|has| has.starts_with(name)));
        vertex.unwrap_or_else(|| panic!("no {name} in {details:?}")).id
    }

    /// Asks until the answer is worth something: metrics are fetched when a client asks for them, and come later.
    fn eventually<T>(&self, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
        let deadline = self.flink.runtime().now() + MINUTE;
        loop {
            match ask() {
                Some(found) => return found,
                None => assert!(self.flink.runtime().now() < deadline, "never: {what}"),
            }
            self.flink.runtime().sleep_until(self.flink.runtime().now() + Duration::from_millis(300));
        }
    }
}

#[test]
fn a_job_is_rescaled() {
    let Some(cluster) = cluster() else { return };
    let job = cluster.launch("endless.jar", &[]).job;
    let goal = Rescale::to(job, 3).timeout(MINUTE);
    if !cluster.is_adaptive() {
        let error = cluster.flink.run(goal).expect_err("the default scheduler");
        let FlowError::Service(rejection) = &error else { panic!("{error:?}") };
        assert!(rejection.message().contains("AdaptiveScheduler"), "{rejection:?}");
        return;
    }
    let before = cluster.counted(job, 50);
    let rescaled = cluster.flink.run(goal).expect("there are four slots");
    assert!(rescaled.parallelism.len() == 2 && rescaled.parallelism.values().all(|has| *has == 3), "{rescaled:?}");
    let requirements = cluster.flink.call(GetResourceRequirements::new(job)).expect("an adaptive job");
    assert!(requirements.0.values().all(|vertex| vertex.parallelism.upper == 3), "{requirements:?}");
    // Its state has come along.
    assert!(cluster.counted(job, 0) >= before);
    // More than there is: as many as there are.
    let rescaled = cluster.flink.run(Rescale::to(job, 9).settle_for(4).timeout(MINUTE)).expect("four");
    assert!(rescaled.parallelism.values().all(|has| *has == 4), "{rescaled:?}");
    let error = cluster.flink.run(Rescale::to(job, 4096)).expect_err("more than its maximum");
    assert_eq!(error.service().expect("refused").status(), 400, "{error}");
    if cluster.version() >= (FlinkVersion { major: 2, minor: 3 }) {
        let config = cluster.flink.call(GetRescaleConfig::new(job)).expect("since 2.3");
        assert!(config.history_max > Some(0));
        let history = cluster.flink.call(GetRescales::new(job)).expect("since 2.3");
        assert!(history.len() >= 3, "{history:?}");
    }
    let error = cluster.flink.run(Rescale::to(JobId::from_bits(0xbad), 2)).expect_err("unknown");
    assert!(error.service().is_some_and(is_unknown_job), "{error}");
}

#[test]
fn a_running_job_has_metrics() {
    let Some(cluster) = cluster() else { return };
    let job = cluster.launch("endless.jar", &[]).job;
    let source = cluster.vertex(job, "Source: numbers");
    let name = "numRecordsOut";
    let value = cluster.eventually("records of the source", || {
        let ask = GetSubtaskMetrics::new(job, source, 0_u32).names(CommaList::from([name]));
        let metrics = cluster.flink.call(ask).expect("metrics");
        metrics.into_iter().find(|metric| metric.id == name)?.value?.parse().ok().filter(|count: &i64| *count > 0)
    });
    assert!(value > 0);
    // Of the vertex, its subtasks' numbers stand before the names.
    let names = cluster.flink.call(GetVertexMetrics::new(job, source)).expect("names");
    assert!(names.iter().any(|metric| metric.id == "0.numRecordsOut" && metric.value.is_none()), "{names:?}");
}

#[test]
fn a_checkpoint_is_told_subtask_by_subtask() {
    let Some(cluster) = cluster() else { return };
    let job = cluster.launch("endless.jar", &[]).job;
    let first = cluster.flink.run(AwaitCheckpoint::any(job).timeout(MINUTE)).expect("one a second");
    let next = cluster.flink.run(AwaitCheckpoint::next(job).timeout(MINUTE)).expect("one a second");
    assert!(next.id > first.id && next.external_path.is_some(), "{next:?}");
    let details = cluster.flink.call(GetCheckpointDetails::new(job, next.id)).expect("it is remembered");
    assert_eq!(details.tasks.len(), 2, "{details:?}");
    let count = cluster.vertex(job, "count per key");
    let vertex = cluster.flink.call(GetVertexCheckpoint::new(job, next.id, count)).expect("it is remembered");
    assert_eq!(vertex.subtasks.len(), 1, "{vertex:?}");
    assert_eq!(vertex.subtasks[0].index, 0);
}

#[test]
fn a_flame_graph_is_sampled() {
    let Some(cluster) = cluster() else { return };
    let job = cluster.launch("endless.jar", &[]).job;
    let source = cluster.vertex(job, "Source: numbers");
    let graph = cluster.flink.run(SampleFlameGraph::new(job, source).timeout(MINUTE)).expect("samples");
    let root = graph.data.expect("it is ready");
    assert!(root.value > Some(0), "{root:?}");
    // The thread sleeps in the throttle, most of the time.
    let (mut level, mut frames) = (vec![&root], Vec::new());
    while let Some(node) = level.pop() {
        frames.extend(node.name.as_deref());
        level.extend(&node.children);
    }
    assert!(frames.iter().any(|frame| frame.contains("Throttle")), "{frames:?}");
}

#[test]
fn processes_are_profiled_where_they_can_be() {
    let Some(cluster) = cluster() else { return };
    let task_manager = cluster.flink.call(ListTaskManagers::new()).expect("a list").task_managers[0].id.clone();
    for goal in
        [Profile::job_manager(ProfileMode::Itimer, 1), Profile::task_manager(task_manager, ProfileMode::Itimer, 1)]
    {
        let result = cluster.flink.run(goal.timeout(MINUTE));
        if cluster.version() < (FlinkVersion { major: 1, minor: 19 }) {
            assert_eq!(result.expect_err("not yet").service().expect("refused").status(), 404);
            continue;
        }
        match result {
            Ok(profiled) => assert!(profiled.page.0.contains("<html"), "{profiled:?}"),
            // Some machines do not let async-profiler in; the cluster then says so.
            Err(FlowError::Failed(failure)) => assert!(failure.reason.contains("FAILED"), "{failure:?}"),
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[test]
fn a_watched_job_tells_what_it_runs_into() {
    let Some(cluster) = cluster() else { return };
    let goal = cluster.jar("failing.jar", &["--at", "3", "--message", "told to"]);
    let job = cluster.flink.run(goal).expect("submitted").job;
    let mut watch = WatchJob::new(job)
        .poll_interval(Duration::from_millis(200))
        .start(cluster.flink.config(), cluster.flink.seed());
    let (mut states, mut exceptions) = (Vec::new(), Vec::new());
    let report = loop {
        match driver::run(&mut watch, cluster.flink.runtime(), &NoCredentials, driver::ignore_notices)
            .expect("an event")
        {
            JobEvent::State(state) => states.push(state),
            JobEvent::Exception(exception) => exceptions.push(exception),
            JobEvent::Ended(report) => break report,
            event => panic!("{event:?}"),
        }
    };
    assert_eq!((states.last(), &report.state), (Some(&JobState::Failed), &JobState::Failed));
    let traces: Vec<_> = exceptions.iter().filter_map(|exception| exception.stacktrace.as_deref()).collect();
    assert!(!traces.is_empty() && traces.len() == exceptions.len() && traces.iter().all(|trace| !trace.is_empty()));
    let told = traces.iter().filter(|trace| trace.contains("told to")).count();
    assert!(told > 0, "{exceptions:?}");
    assert!(report.failure().expect("it is kept for a while").contains("told to"), "{report:?}");
}

#[test]
fn a_savepoint_is_disposed_of() {
    let Some(cluster) = cluster() else { return };
    let job = cluster.launch("endless.jar", &["--interval", "0"]).job;
    let savepoint = cluster.flink.run(TakeSavepoint::new(job).timeout(MINUTE)).expect("a savepoint");
    let goal = DisposeSavepoint::new(&*savepoint.location).timeout(MINUTE);
    assert!(!cluster.flink.run(goal.clone()).expect("it is there").was_gone);
    let error = cluster.flink.run(goal).expect_err("it is gone");
    assert!(matches!(&error, FlowError::Failed(failure) if failure.what.contains(&savepoint.location)), "{error:?}");
}

#[test]
fn data_sets_are_listed_and_deleted() {
    let Some(cluster) = cluster() else { return };
    let _ = cluster.flink.call(ListDatasets::new()).expect("a list");
    // The cluster does not know it, and that is no failure.
    let removed = cluster.flink.run(DeleteDataset::new(DatasetId::from_bits(0xbad)).timeout(MINUTE)).expect("gone");
    assert!(!removed.was_gone);
    // A job that leaves one: needs an API that 1.13 does not have.
    if !cluster.jars.join("cached.jar").exists() {
        return;
    }
    let launched = cluster.flink.run(cluster.jar("cached.jar", &[])).expect("submitted");
    let _ = cluster.flink.run(pipewright::flink::AwaitJob::ended(launched.job).timeout(MINUTE)).expect("it ends");
    let listed = cluster.flink.call(ListDatasets::new()).expect("a list").datasets;
    for dataset in &listed {
        let _ = cluster.flink.run(DeleteDataset::new(dataset.id).timeout(MINUTE)).expect("deleted");
    }
    assert!(!listed.is_empty(), "the job has left nothing");
    assert!(cluster.flink.call(ListDatasets::new()).expect("a list").datasets.is_empty());
}
