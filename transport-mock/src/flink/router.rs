//! From a path and a method to a handler.
//!
//! There is no 405: what no handler is registered for is 404, and GET falls through to the server of the web UI's
//! files, which words it differently.

use http::StatusCode;

use super::Cluster;
use super::errors::{Answer, Refusal, ok};
use super::logs::File;
use super::operations::Space;
use super::removal::Removes;
use super::request::{Body, Call, EMPTY_BODY};

impl Cluster {
    pub(super) fn route(&mut self, call: &Call) -> Answer {
        let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
        let since = |version| call.version >= version;
        match (call.method.as_str(), segments.as_slice()) {
            ("POST", ["jars", "upload"]) => self.upload_jar(call),
            ("POST", ["jars", jar, "run"]) => self.run_jar(call, jar),
            ("GET" | "POST", ["jars", jar, "plan"]) => self.plan_jar(call, jar),
            ("POST", ["jobs", job, "savepoints"]) => self.trigger_savepoint(call, job),
            ("POST", ["jobs", job, "stop"]) => self.trigger_stop(call, job),
            ("POST", ["jobs", job, "checkpoints"]) if since((1, 17)) => self.trigger_checkpoint(call, job),
            ("POST", ["savepoint-disposal"]) => self.dispose_savepoint(call),
            ("PUT", ["jobs", job, "resource-requirements"]) if since((1, 18)) => {
                self.put_resource_requirements(call, job)
            }
            ("POST", ["jobmanager", "profiler"]) if self.has_profiler(call) => self.start_profile(call, None),
            ("POST", ["taskmanagers", id, "profiler"]) if self.has_profiler(call) => self.start_profile(call, Some(id)),
            _ => self.route_without_body(call, &segments),
        }
    }

    /// The handlers that read no body. The server parses one all the same, before it looks at anything else.
    fn route_without_body(&mut self, call: &Call, segments: &[&str]) -> Answer {
        let since = |version| call.version >= version;
        let handler: &dyn Fn(&mut Self) -> Answer = match (call.method.as_str(), segments) {
            ("GET", ["overview"]) => &|cluster| Ok(ok(cluster.overview())),
            ("GET", ["config"]) => &|cluster| Ok(ok(cluster.configuration())),
            ("GET", ["jobmanager", "config"]) => &|cluster| Ok(ok(cluster.job_manager_config())),
            ("GET", ["jobmanager", "log"]) => &|cluster| cluster.job_manager_file(File::Log),
            ("GET", ["jobmanager", "stdout"]) => &|cluster| cluster.job_manager_file(File::Out),
            ("GET", ["jobmanager", "logs"]) => &|cluster| cluster.list_logs(call, None),
            ("GET", ["jobmanager", "logs", name]) => &|cluster| cluster.job_manager_file(File::Named(name)),
            ("GET", ["taskmanagers", id, "log"]) => &|cluster| cluster.task_manager_file(id, File::Log),
            ("GET", ["taskmanagers", id, "stdout"]) => &|cluster| cluster.task_manager_file(id, File::Out),
            ("GET", ["taskmanagers", id, "logs"]) => &|cluster| cluster.list_logs(call, Some(id)),
            ("GET", ["taskmanagers", id, "logs", name]) => &|cluster| cluster.task_manager_file(id, File::Named(name)),
            ("GET", ["jobmanager", "metrics"]) => &|cluster| Ok(cluster.job_manager_metrics(call)),
            ("GET", ["taskmanagers", "metrics"]) => &|cluster| cluster.aggregated_task_manager_metrics(call),
            ("GET", ["taskmanagers", id, "metrics"]) => &|cluster| Ok(cluster.task_manager_metrics(call, id)),
            ("GET", ["jobs", "metrics"]) => &|cluster| cluster.aggregated_job_metrics(call),
            ("GET", ["jobs", job, "metrics"]) => &|cluster| cluster.job_metrics(call, job),
            ("GET", ["jobs", job, "vertices", vertex, "metrics"]) => {
                &|cluster| cluster.vertex_metrics(call, job, vertex)
            }
            ("GET", ["jobs", job, "vertices", vertex, "jm-operator-metrics"]) if since((1, 20)) => {
                &|cluster| cluster.coordinator_metrics(call, job, vertex)
            }
            ("GET", ["jobs", job, "vertices", vertex, "subtasks", "metrics"]) => {
                &|cluster| cluster.aggregated_subtask_metrics(call, job, vertex)
            }
            ("GET", ["jobs", job, "vertices", vertex, "subtasks", subtask, "metrics"]) => {
                &|cluster| cluster.subtask_metrics(call, job, vertex, subtask)
            }
            ("GET", ["jars"]) => &|cluster| Ok(ok(cluster.list_jars())),
            ("DELETE", ["jars", jar]) => &|cluster| cluster.delete_jar(jar),
            ("GET", ["jobs"]) => &|cluster| Ok(ok(cluster.list_jobs())),
            ("GET", ["jobs", "overview"]) => &|cluster| Ok(ok(cluster.jobs_overview(call.version))),
            ("GET", ["jobs", job]) => &|cluster| cluster.job_details(call, job),
            ("PATCH", ["jobs", job]) => &|cluster| cluster.cancel_job(call, job),
            ("GET", ["jobs", job, "yarn-cancel"]) => &|cluster| cluster.cancel_job(call, job),
            ("GET", ["jobs", job, "status"]) if since((1, 14)) => &|cluster| cluster.job_status(job),
            ("GET", ["jobs", job, "plan"]) => &|cluster| cluster.job_plan(job),
            ("GET", ["jobs", job, "config"]) => &|cluster| cluster.job_config(job),
            ("GET", ["jobs", job, "exceptions"]) => &|cluster| cluster.job_exceptions(call, job),
            ("GET", ["jobs", job, "execution-result"]) => &|cluster| cluster.execution_result(call, job),
            ("GET", ["jobs", job, "accumulators"]) => &|cluster| cluster.job_accumulators(call, job),
            ("GET", ["savepoint-disposal", trigger]) => &|cluster| cluster.removal_status(Removes::Savepoint, trigger),
            ("GET", ["jobmanager", "profiler"]) if self.has_profiler(call) => &|cluster| cluster.list_profiles(None),
            ("GET", ["jobmanager", "profiler", file]) if self.has_profiler(call) => {
                &|cluster| cluster.fetch_profile(None, file)
            }
            ("GET", ["taskmanagers", id, "profiler"]) if self.has_profiler(call) => {
                &|cluster| cluster.list_profiles(Some(id))
            }
            ("GET", ["taskmanagers", id, "profiler", file]) if self.has_profiler(call) => {
                &|cluster| cluster.fetch_profile(Some(id), file)
            }
            ("GET", ["datasets"]) => &|cluster| Ok(ok(cluster.list_datasets())),
            ("DELETE", ["datasets", dataset]) => &|cluster| cluster.delete_dataset(dataset),
            ("GET", ["datasets", "delete", trigger]) => &|cluster| cluster.removal_status(Removes::Dataset, trigger),
            ("PATCH", ["jobs", _, "rescaling"]) | ("GET", ["jobs", _, "rescaling", _]) => {
                &|_| Self::rescaling_disabled()
            }
            ("GET", ["jobs", job, "resource-requirements"]) if since((1, 18)) => {
                &|cluster| cluster.resource_requirements(job)
            }
            ("GET", ["jobs", job, "vertices", vertex, "flamegraph"]) => {
                &|cluster| cluster.flame_graph(call, job, vertex)
            }
            ("GET", ["jobs", job, "vertices", vertex]) => &|cluster| cluster.job_vertex(call, job, vertex),
            ("GET", ["jobs", job, "checkpoints"]) => &|cluster| cluster.checkpoint_statistics(call, job),
            ("GET", ["jobs", job, "checkpoints", "config"]) => &|cluster| cluster.checkpoint_config(job),
            ("GET", ["jobs", job, "checkpoints", trigger]) if since((1, 17)) => {
                &|cluster| cluster.operation_status(Space::Checkpoints, job, trigger)
            }
            ("GET", ["jobs", job, "savepoints", trigger]) => {
                &|cluster| cluster.operation_status(Space::Savepoints, job, trigger)
            }
            _ => return Err(not_found(call)),
        };
        Body::read(call, &EMPTY_BODY)?;
        handler(self)
    }
}

fn not_found(call: &Call) -> Refusal {
    let path = &call.raw_path;
    match call.method.as_str() {
        "GET" => Refusal::Bare(StatusCode::NOT_FOUND, format!("Unable to load requested file {path}.")),
        "HEAD" => Refusal::Empty(StatusCode::NOT_FOUND),
        _ => Refusal::Short(StatusCode::NOT_FOUND, format!("Not found: {path}")),
    }
}
