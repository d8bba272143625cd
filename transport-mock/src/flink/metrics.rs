//! Metrics, plain and aggregated: from a store that is filled lazily, and never refused.
//!
//! The server fetches when a client asks, at most once in an interval, and answers from what it had before. So the
//! first question after a pause is answered with old metrics, or with none.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::attempt::share;
use super::cache::Lookup;
use super::config::Version;
use super::errors::{Answer, Rejection, Reply, ok};
use super::job::{Job, SOURCE_ID, VERTICES};
use super::job_manager::JobManager;
use super::metric_names;
use super::request::{Call, path_id};
use super::subtasks::no_vertex;
use super::tasks::SHOWN;
use super::vertices::find;
use super::wire::{TASK_MANAGER, millis};

/// From the begin of a fetch until its metrics are there.
const FETCH_TAKES: Duration = Duration::from_millis(50);

/// What metrics are of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    JobManager,
    TaskManager,
    Job(String),
    Coordinator(String, &'static str),
}

/// Names and values, in the order that they are answered in.
type Metrics = Vec<(String, String)>;

/// What the metrics of a vertex' tasks are made from when they are read. A job may have any parallelism, so that
/// names and values for each task would take any amount of memory.
#[derive(Debug, Clone, Copy)]
struct Tasks {
    is_source: bool,
    count: u32,
    /// What all of them have counted.
    records: u64,
    has_ended: bool,
    version: Version,
}

impl Tasks {
    fn metrics(&self, subtask: u32) -> Metrics {
        let records = share(self.records, self.count, subtask);
        let (read, written) = if self.is_source { (0, records) } else { (records, 0) };
        let known = [
            ("numRecordsIn", read.to_string()),
            ("numRecordsOut", written.to_string()),
            // Every task is busy all the time.
            ("busyTimeMsPerSecond", "1000.0".to_owned()),
            ("currentInputWatermark", i64::MIN.to_string()),
        ];
        let mut metrics = valued(metric_names::task(self.is_source, subtask, self.version), &known);
        if self.has_ended {
            metrics.retain(|(name, _)| !metric_names::is_transient(name));
        }
        metrics
    }

    fn all(self) -> impl Iterator<Item = (u32, Metrics)> {
        (0..self.count.min(SHOWN)).map(move |subtask| (subtask, self.metrics(subtask)))
    }
}

/// What was fetched.
#[derive(Debug, Default)]
struct Snapshot {
    metrics: BTreeMap<Scope, Metrics>,
    /// By job and vertex.
    tasks: BTreeMap<(String, &'static str), Tasks>,
}

/// What the `JobManager` knows of metrics.
#[derive(Debug, Default)]
pub(super) struct Store {
    known: Snapshot,
    /// What is being fetched, and when it is there.
    fetched: Option<(Duration, Snapshot)>,
    asked: Option<Duration>,
    updated: Option<Duration>,
}

impl Store {
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// What is known; reading it fetches newer values for the next request.
    fn read(&mut self, manager: &JobManager) -> &Snapshot {
        let now = manager.now();
        if let Some((at, mut fetched)) = self.fetched.take_if(|(at, _)| *at <= now) {
            keep_ended(&mut fetched, std::mem::take(&mut self.known), manager);
            self.known = fetched;
            self.updated = Some(at);
        }
        let interval = manager.config.metric_interval;
        if self.asked.is_none_or(|asked| asked.saturating_add(interval) <= now) {
            self.asked = Some(now);
            self.fetched = Some((now.saturating_add(FETCH_TAKES), snapshot(manager)));
        }
        &self.known
    }
}

fn snapshot(manager: &JobManager) -> Snapshot {
    let now = manager.now();
    let running = manager.jobs.all().iter().filter(|job| !job.state.has_ended());
    let count = running.clone().count();
    let mut all = Snapshot::default();
    let version = manager.config.release();
    let known = [
        ("taskSlotsTotal", manager.config.slots.to_string()),
        ("numRunningJobs", count.to_string()),
        ("taskSlotsAvailable", manager.free_slots().to_string()),
        ("numRegisteredTaskManagers", "1".to_owned()),
        ("Status.JVM.Memory.Heap.Used", "77653896".to_owned()),
    ];
    all.metrics.insert(Scope::JobManager, valued(metric_names::job_manager(version), &known));
    let known = [("Status.JVM.Memory.Heap.Used", "48418648".to_owned())];
    all.metrics.insert(Scope::TaskManager, valued(metric_names::task_manager(version), &known));
    for job in running {
        all.metrics.insert(Scope::Job(job.id.clone()), of_job(job, now, version));
        if !job.graph {
            continue;
        }
        let splits = "Source__numbers_->_throttle.coordinator.enumerator.unassignedSplits";
        all.metrics.insert(Scope::Coordinator(job.id.clone(), SOURCE_ID), vec![(splits.to_owned(), "0".to_owned())]);
        let records = job.records(now);
        for (vertex, count) in VERTICES.into_iter().zip(job.each) {
            let tasks = Tasks { is_source: vertex == SOURCE_ID, count, records, has_ended: false, version };
            all.tasks.insert((job.id.clone(), vertex), tasks);
        }
    }
    all
}

/// Adds what was known of jobs that have ended since: the server keeps it as long as it remembers the job, except for
/// what says nothing any more.
fn keep_ended(fetched: &mut Snapshot, known: Snapshot, manager: &JobManager) {
    let has_ended = |job: &str| manager.jobs.get(job).is_some_and(|job| job.state.has_ended());
    for (scope, mut metrics) in known.metrics {
        let (Scope::Job(job) | Scope::Coordinator(job, _)) = &scope else {
            continue;
        };
        if has_ended(job) {
            metrics.retain(|(name, _)| !metric_names::is_transient(name));
            fetched.metrics.entry(scope).or_insert(metrics);
        }
    }
    for ((job, vertex), tasks) in known.tasks {
        if has_ended(&job) {
            fetched.tasks.entry((job, vertex)).or_insert(Tasks { has_ended: true, ..tasks });
        }
    }
}

/// Values for all names: those that are known, and 0 for all others.
fn valued(names: Vec<String>, known: &[(&str, String)]) -> Metrics {
    let value = |name: &str| known.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    let nothing = |name: &str| if name.ends_with("PerSecond") || name.ends_with("Usage") { "0.0" } else { "0" };
    let entry = |name: String| {
        let value = value(&name).unwrap_or_else(|| nothing(&name).to_owned());
        (name, value)
    };
    names.into_iter().map(entry).collect()
}

fn of_job(job: &Job, now: Duration, version: Version) -> Metrics {
    let path = job.last_checkpoint.as_ref().map_or("n/a", |snapshot| &snapshot.path);
    let known = [
        // The metric that is no number.
        ("lastCheckpointExternalPath", path.to_owned()),
        ("numRestarts", job.restarts.to_string()),
        ("fullRestarts", job.restarts.to_string()),
        ("uptime", millis(now.saturating_sub(job.submitted)).to_string()),
        ("numberOfCompletedCheckpoints", job.checkpoints.completed.to_string()),
        ("numberOfFailedCheckpoints", job.checkpoints.failed.to_string()),
        ("numberOfInProgressCheckpoints", job.checkpoints.pending().count().to_string()),
    ];
    valued(metric_names::job(version), &known)
}

/// How metrics are taken together, in the order of the answer.
const MODES: [&str; 5] = ["min", "max", "avg", "sum", "skew"];

impl Store {
    pub(super) fn job_manager_metrics(&mut self, manager: &JobManager, call: &Call) -> Reply {
        plain(call, self.metrics_of(manager, &Scope::JobManager))
    }

    pub(super) fn task_manager_metrics(&mut self, manager: &JobManager, call: &Call, id: &str) -> Reply {
        plain(call, if id == TASK_MANAGER { self.metrics_of(manager, &Scope::TaskManager) } else { Vec::new() })
    }

    pub(super) fn job_metrics(&mut self, manager: &JobManager, call: &Call, job: &str) -> Answer {
        let job = path_id("jobid", job)?;
        Ok(plain(call, self.metrics_of(manager, &Scope::Job(job))))
    }

    pub(super) fn coordinator_metrics(&mut self, manager: &JobManager, call: &Call, job: &str, vertex: &str) -> Answer {
        let (job, vertex) = (path_id("jobid", job)?, vertex_id(vertex)?);
        let metrics = vertex.map(|vertex| self.metrics_of(manager, &Scope::Coordinator(job, vertex)));
        Ok(plain(call, metrics.unwrap_or_default()))
    }

    /// Of all subtasks, each under its number.
    pub(super) fn vertex_metrics(&mut self, manager: &JobManager, call: &Call, job: &str, vertex: &str) -> Answer {
        let numbered = |(number, metrics): (u32, Metrics)| {
            metrics.into_iter().map(move |(name, value)| (format!("{number}.{name}"), value))
        };
        let tasks = self.tasks(manager, job, vertex)?;
        Ok(plain(call, tasks.into_iter().flat_map(Tasks::all).flat_map(numbered).collect()))
    }

    pub(super) fn subtask_metrics(
        &mut self,
        manager: &JobManager,
        call: &Call,
        job: &str,
        vertex: &str,
        subtask: &str,
    ) -> Answer {
        let wanted: u32 = subtask.parse().map_err(|_| Rejection::parameter("path", "subtaskindex", subtask))?;
        let found = self.tasks(manager, job, vertex)?.filter(|tasks| wanted < tasks.count.min(SHOWN));
        Ok(plain(call, found.map(|tasks| tasks.metrics(wanted)).unwrap_or_default()))
    }

    pub(super) fn aggregated_task_manager_metrics(&mut self, manager: &JobManager, call: &Call) -> Answer {
        let only = call.query_list("taskmanagers");
        let is_meant = only.is_empty() || only.contains(&TASK_MANAGER);
        let members = if is_meant { vec![self.metrics_of(manager, &Scope::TaskManager)] } else { Vec::new() };
        aggregated(call, &members)
    }

    pub(super) fn aggregated_job_metrics(&mut self, manager: &JobManager, call: &Call) -> Answer {
        let id = |text: &str| path_id("jobs", text).map_err(|_| Rejection::parameter("query", "jobs", text));
        let only: Vec<String> = call.query_list("jobs").into_iter().map(id).collect::<Result<_, _>>()?;
        let known = self.read(manager);
        let jobs = known.metrics.iter().filter_map(|(scope, metrics)| match scope {
            Scope::Job(job) if only.is_empty() || only.contains(job) => Some(metrics.clone()),
            _ => None,
        });
        aggregated(call, &jobs.collect::<Vec<_>>())
    }

    pub(super) fn aggregated_subtask_metrics(
        &mut self,
        manager: &JobManager,
        call: &Call,
        job: &str,
        vertex: &str,
    ) -> Answer {
        let only = call.query_list("subtasks");
        let mut subtasks = self.subtasks(manager, job, vertex)?;
        subtasks.retain(|(number, _)| only.is_empty() || only.iter().any(|range| holds(range, *number)));
        aggregated(call, &subtasks.into_iter().map(|(_, metrics)| metrics).collect::<Vec<_>>())
    }

    /// How far back data piles up before each subtask of a vertex, from what they say of the last second.
    pub(super) fn back_pressure(&mut self, manager: &JobManager, call: &Call, job: &str, vertex: &str) -> Answer {
        let subtasks = self.subtasks(manager, job, vertex)?;
        let updated = self.updated.map(millis);
        if subtasks.is_empty() {
            return Ok(ok(json!({ "status": "deprecated" })));
        }
        let mut worst = 0.0_f64;
        let mut entries = Vec::new();
        for (number, metrics) in &subtasks {
            let ratio = |name: &str| {
                let value = metrics.iter().find(|(known, _)| known == name).and_then(|(_, value)| value.parse().ok());
                value.unwrap_or(0.0_f64) / 1000.0
            };
            let back_pressured = ratio("backPressuredTimeMsPerSecond");
            worst = worst.max(back_pressured);
            let entry = json!({
                "subtask": number,
                "ratio": self::number(back_pressured),
                "idleRatio": self::number(ratio("idleTimeMsPerSecond")),
                "busyRatio": self::number(ratio("busyTimeMsPerSecond")),
            });
            entries.push(leveled(entry, back_pressured, call.version));
        }
        let body = json!({ "status": "ok", "end-timestamp": updated, "subtasks": entries });
        Ok(ok(leveled(body, worst, call.version)))
    }

    /// The input watermark of each subtask; a source has none.
    pub(super) fn watermarks(&mut self, manager: &JobManager, graphs: Lookup<'_>, job: &str, vertex: &str) -> Answer {
        const NAME: &str = "currentInputWatermark";
        let (id, wanted) = (path_id("jobid", job)?, path_id("vertexid", vertex)?);
        let (_, found) = graphs.find(&id)?;
        if find(found, &wanted).is_none() {
            return Err(no_vertex(&wanted));
        }
        let subtasks = self.subtasks(manager, job, vertex)?;
        let marks = subtasks.iter().filter_map(|(number, metrics)| {
            let (_, value) = metrics.iter().find(|(name, _)| name == NAME)?;
            Some(json!({ "id": format!("{number}.{NAME}"), "value": value }))
        });
        Ok(ok(marks.collect()))
    }

    fn metrics_of(&mut self, manager: &JobManager, scope: &Scope) -> Metrics {
        self.read(manager).metrics.get(scope).cloned().unwrap_or_default()
    }

    /// An unknown job or vertex has no metrics.
    fn tasks(&mut self, manager: &JobManager, job: &str, vertex: &str) -> Result<Option<Tasks>, Rejection> {
        let (job, vertex) = (path_id("jobid", job)?, vertex_id(vertex)?);
        let known = self.read(manager);
        Ok(vertex.and_then(|vertex| known.tasks.get(&(job, vertex)).copied()))
    }

    fn subtasks(&mut self, manager: &JobManager, job: &str, vertex: &str) -> Result<Vec<(u32, Metrics)>, Rejection> {
        Ok(self.tasks(manager, job, vertex)?.into_iter().flat_map(Tasks::all).collect())
    }
}

/// Adds a level, under both of its names: 1.13 has the second one alone.
fn leveled(mut entry: Value, ratio: f64, version: Version) -> Value {
    let level = match ratio {
        ratio if ratio <= 0.1 => "ok",
        ratio if ratio <= 0.5 => "low",
        _ => "high",
    };
    if version >= (1, 14) {
        entry["backpressureLevel"] = level.into();
    }
    entry["backpressure-level"] = level.into();
    entry
}

fn vertex_id(text: &str) -> Result<Option<&'static str>, Rejection> {
    let wanted = path_id("vertexid", text)?;
    Ok(VERTICES.into_iter().find(|id| *id == wanted))
}

/// `3` or `0-2`; what is neither holds nothing, and is no error.
fn holds(range: &str, number: u32) -> bool {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    match (first.trim().parse::<u32>(), last.trim().parse::<u32>()) {
        (Ok(first), Ok(last)) => (first..=last).contains(&number),
        _ => false,
    }
}

/// Names, or the values of the requested metrics that exist, in the server's own order.
fn plain(call: &Call, metrics: Metrics) -> Reply {
    if !call.has_query("get") {
        return ok(metrics.into_iter().map(|(name, _)| json!({ "id": name })).collect());
    }
    let asked = call.query_list("get");
    let found = metrics.into_iter().filter(|(name, _)| asked.contains(&name.as_str()));
    ok(found.map(|(name, value)| json!({ "id": name, "value": value })).collect())
}

/// The same of several members, taken together; those that are no numbers drop out with their values. One name that
/// does not exist empties the answer.
fn aggregated(call: &Call, members: &[Metrics]) -> Answer {
    let mut values: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (name, value) in members.iter().flatten() {
        values.entry(name).or_default().extend(value.parse::<f64>());
    }
    if !call.has_query("get") {
        return Ok(ok(values.keys().map(|name| json!({ "id": name })).collect()));
    }
    // Skew came with 1.20.
    let known = if call.version >= (1, 20) { &MODES[..] } else { &MODES[..4] };
    let asked = call.query_list("agg");
    let mut modes = Vec::new();
    for mode in &asked {
        let known = known.iter().find(|known| known.eq_ignore_ascii_case(mode));
        modes.push(*known.ok_or_else(|| Rejection::parameter("query", "agg", mode))?);
    }
    let modes = if modes.is_empty() { known } else { &modes };
    let asked = call.query_list("get");
    // One unknown name empties the whole answer; one whose value is no number is left out alone.
    if asked.iter().any(|name| !values.contains_key(name)) {
        return Ok(ok(json!([])));
    }
    let found = values.iter().filter(|(name, values)| asked.contains(name) && !values.is_empty());
    let entry = |(name, values): (&&str, &Vec<f64>)| {
        let mut entry = Map::new();
        entry.insert("id".to_owned(), (*name).into());
        for mode in modes {
            entry.insert((*mode).to_owned(), number(take(mode, values)));
        }
        Value::Object(entry)
    };
    Ok(ok(found.map(entry).collect()))
}

fn take(mode: &str, values: &[f64]) -> f64 {
    // Far fewer than 2^53.
    #[allow(clippy::cast_precision_loss)]
    let count = values.len() as f64;
    let sum: f64 = values.iter().sum();
    let mean = sum / count;
    match mode {
        "min" => values.iter().copied().fold(f64::INFINITY, f64::min),
        "max" => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        "avg" => mean,
        "sum" => sum,
        // How far they are from the mean, on average and in hundredths of it.
        _ if sum == 0.0 => 0.0,
        _ => values.iter().map(|value| (value - mean).abs()).sum::<f64>() / count / mean * 100.0,
    }
}

/// What JSON has no number for is text.
fn number(value: f64) -> Value {
    if value.is_finite() { json!(value) } else { json!(format!("{value}").replace("inf", "Infinity")) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{JobManager, VERTICES, holds, number, snapshot, take};
    use crate::flink::job_manager::Submission;
    use crate::flink::{Config, Program};
    use serde_json::json;

    #[test]
    fn what_is_kept_does_not_grow_with_the_parallelism() {
        let mut manager = JobManager::new(Config::default());
        for number in 0..20 {
            manager.submit(Submission {
                id: format!("{number:032x}"),
                name: "wide".into(),
                program: Program::endless("wide"),
                application: None,
                parallelism: 2_000_000_000,
                origin: None,
            });
        }
        manager.advance(Duration::from_secs(1));
        let kept = snapshot(&manager);
        assert!(kept.metrics.values().map(Vec::len).sum::<usize>() < 20 * 64);
        assert_eq!(kept.tasks.len(), 20 * VERTICES.len());
    }

    /// As recorded from a server with two subtasks.
    #[test]
    fn skew_is_what_a_server_says() {
        assert!((take("skew", &[302.0, 394.0]) - 13.218_390_804_597_702).abs() < 1e-12);
        assert!((take("skew", &[1000.0, 1000.0])).abs() < 1e-12);
    }

    #[test]
    fn ranges_of_subtasks() {
        let of = |ranges: &[&str]| (0..8).filter(|n| ranges.iter().any(|range| holds(range, *n))).collect::<Vec<_>>();
        assert_eq!(of(&["0-2", "5"]), [0, 1, 2, 5]);
        assert_eq!(of(&["x", "-", ""]), Vec::<u32>::new());
    }

    #[test]
    fn what_is_no_number_is_text() {
        assert_eq!(
            [number(f64::NAN), number(-f64::INFINITY), number(2.0)],
            [json!("NaN"), json!("-Infinity"), json!(2.0)]
        );
    }
}
