//! From a path and a method to a handler.
//!
//! There is no 405: what no handler is registered for is 404, and GET falls through to the server of the web UI's
//! files, which words it differently. What only a real cluster has a handler for is 501: see `routes.md`.

use http::StatusCode;

use super::Cluster;
use super::errors::{Answer, Rejection, ok};
use super::logs::{self, File};
use super::operations::Space;
use super::removal::Removes;
use super::request::{Body, Call, EMPTY_BODY};
use super::{
    ROUTES, checkpoint_details, checkpoints, details, overview, processes, rescales, rescaling, submissions, subtasks,
    task_managers, thread_dumps, triggers, vertices,
};
use crate::routes;

impl Cluster {
    pub(super) fn route(&mut self, call: &Call) -> Answer {
        let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
        let since = |version| call.version >= version;
        match (call.method.as_str(), segments.as_slice()) {
            ("POST", ["jars", "upload"]) => self.jars.upload(call, self.manager.now(), &mut self.manager.ids),
            ("POST", ["jars", jar, "run"]) => self.jars.run(call, jar, &mut self.manager, &self.applications),
            ("POST", ["jars", jar, "run-application"]) if since((2, 3)) => {
                self.jars.run_application(call, jar, &mut self.manager, &mut self.applications)
            }
            ("POST", ["jobs"]) => submissions::submit_job(&mut self.manager, &self.applications, call),
            ("GET" | "POST", ["jars", jar, "plan"]) => self.jars.plan(call, jar, &mut self.manager.ids),
            ("POST", ["jobs", job, "savepoints"]) => triggers::trigger_savepoint(&mut self.manager, call, job),
            ("POST", ["jobs", job, "stop"]) => triggers::trigger_stop(&mut self.manager, call, job),
            ("POST", ["jobs", job, "checkpoints"]) if since((1, 17)) => {
                triggers::trigger_checkpoint(&mut self.manager, call, job)
            }
            ("PATCH", ["jobs", job, "clientHeartbeat"]) if since((1, 17)) => processes::client_heartbeat(call, job),
            ("POST", ["savepoint-disposal"]) => self.removals.dispose_savepoint(call, &mut self.manager),
            ("PUT", ["jobs", job, "resource-requirements"]) if since((1, 18)) => {
                rescaling::put_resource_requirements(&mut self.manager, call, job)
            }
            ("POST", ["jobmanager", "profiler"]) if self.has_profiler(call) => {
                self.profiles.start(call, None, self.manager.now())
            }
            ("POST", ["taskmanagers", id, "profiler"]) if self.has_profiler(call) => {
                self.profiles.start(call, Some(id), self.manager.now())
            }
            _ => self.route_without_body(call, &segments),
        }
    }

    /// The handlers that read no body. The server parses one all the same, before it looks at anything else.
    fn route_without_body(&mut self, call: &Call, segments: &[&str]) -> Answer {
        if let ("DELETE", ["cluster"]) = (call.method.as_str(), segments) {
            Body::read(call, &EMPTY_BODY)?;
            return Ok(self.shut_down());
        }
        let Self { manager, jars, graphs, statistics, metrics, removals, .. } = self;
        let since = |version| call.version >= version;
        let handler: &mut dyn FnMut() -> Answer = match (call.method.as_str(), segments) {
            ("GET", ["overview"]) => &mut || Ok(ok(overview::overview(manager))),
            ("GET", ["config"]) => &mut || Ok(ok(overview::configuration(manager))),
            ("GET", ["jobs", "metrics"]) => &mut || metrics.aggregated_job_metrics(manager, call),
            ("GET", ["jobs", job, "metrics"]) => &mut || metrics.job_metrics(manager, call, job),
            ("GET", ["jars"]) => &mut || Ok(ok(jars.list())),
            ("DELETE", ["jars", jar]) => &mut || jars.delete(jar),
            ("GET", ["jobs"]) => &mut || Ok(ok(overview::list_jobs(manager))),
            ("GET", ["jobs", "overview"]) => &mut || Ok(ok(overview::jobs_overview(manager, call.version))),
            ("GET", ["jobs", job]) => &mut || details::job_details(graphs.at(manager), call, job),
            ("PATCH", ["jobs", job]) => &mut || overview::cancel_job(manager, call, job),
            ("GET", ["jobs", job, "yarn-stop"]) => &mut || overview::stop_job(job),
            ("GET", ["jobs", job, "yarn-cancel"]) => &mut || overview::cancel_job(manager, call, job),
            ("GET", ["jobs", job, "status"]) if since((1, 14)) => &mut || overview::job_status(manager, job),
            ("GET", ["jobs", job, "plan"]) => &mut || details::job_plan(graphs.at(manager), call, job),
            ("GET", ["jobs", job, "config"]) => &mut || details::job_config(graphs.at(manager), call, job),
            ("GET", ["jobs", job, "exceptions"]) => &mut || details::job_exceptions(graphs.at(manager), call, job),
            ("GET", ["jobs", job, "execution-result"]) => &mut || overview::execution_result(manager, call, job),
            ("GET", ["jobs", job, "accumulators"]) => &mut || details::job_accumulators(graphs.at(manager), call, job),
            ("GET", ["savepoint-disposal", trigger]) => {
                &mut || removals.status(Removes::Savepoint, trigger, manager.now())
            }
            ("GET", ["datasets"]) => &mut || Ok(ok(removals.list_datasets())),
            ("DELETE", ["datasets", dataset]) => {
                &mut || removals.delete_dataset(dataset, manager.now(), &mut manager.ids)
            }
            ("GET", ["datasets", "delete", trigger]) => {
                &mut || removals.status(Removes::Dataset, trigger, manager.now())
            }
            ("PATCH", ["jobs", _, "rescaling"]) | ("GET", ["jobs", _, "rescaling", _]) => {
                &mut || rescaling::rescaling_disabled()
            }
            ("GET", ["jobs", job, "resource-requirements"]) if since((1, 18)) => {
                &mut || rescaling::resource_requirements(manager, job)
            }
            ("GET", ["jobs", job, "rescales", "config"]) if since((2, 3)) => {
                &mut || rescales::rescale_config(graphs.at(manager), &manager.config, job)
            }
            ("GET", ["jobs", job, "rescales", "history"]) if since((2, 3)) => {
                &mut || rescales::rescale_history(graphs.at(manager), job)
            }
            ("GET", ["jobs", job, "rescales", "overview"]) if since((2, 3)) => {
                &mut || rescales::rescale_overview(graphs.at(manager), job)
            }
            ("GET", ["jobs", job, "rescales", "summary"]) if since((2, 3)) => {
                &mut || rescales::rescale_summary(graphs.at(manager), job)
            }
            ("GET", ["jobs", job, "rescales", "details", rescale]) if since((2, 3)) => {
                &mut || rescales::rescale_details(graphs.at(manager), job, rescale)
            }
            ("GET", ["jobs", job, "checkpoints"]) => {
                &mut || checkpoints::checkpoint_statistics(statistics.at(manager), call, job)
            }
            ("GET", ["jobs", job, "checkpoints", "details", checkpoint]) => {
                &mut || checkpoint_details::checkpoint_details(statistics.at(manager), call, job, checkpoint)
            }
            ("GET", ["jobs", job, "checkpoints", "details", checkpoint, "subtasks", vertex]) => {
                &mut || checkpoint_details::checkpoint_subtasks(statistics.at(manager), call, job, checkpoint, vertex)
            }
            ("GET", ["jobs", job, "checkpoints", "config"]) => {
                &mut || checkpoints::checkpoint_config(graphs.at(manager), call, job)
            }
            ("GET", ["jobs", job, "checkpoints", trigger]) if since((1, 17)) => {
                &mut || triggers::operation_status(manager, Space::Checkpoints, job, trigger)
            }
            ("GET", ["jobs", job, "savepoints", trigger]) => {
                &mut || triggers::operation_status(manager, Space::Savepoints, job, trigger)
            }
            (_, ["jobs", _, "vertices", ..]) => return self.route_vertices(call, segments),
            _ => return self.route_processes(call, segments),
        };
        Body::read(call, &EMPTY_BODY)?;
        handler()
    }

    /// What asks vertices and their subtasks.
    fn route_vertices(&mut self, call: &Call, segments: &[&str]) -> Answer {
        let Self { manager, graphs, metrics, samples, .. } = self;
        let flame_graphs = manager.config.flame_graphs;
        let handler: &mut dyn FnMut() -> Answer = match (call.method.as_str(), segments) {
            ("GET", ["jobs", job, "vertices", vertex, "metrics"]) => {
                &mut || metrics.vertex_metrics(manager, call, job, vertex)
            }
            ("GET", ["jobs", job, "vertices", vertex, "jm-operator-metrics"]) if call.version >= (1, 20) => {
                &mut || metrics.coordinator_metrics(manager, call, job, vertex)
            }
            ("GET", ["jobs", job, "vertices", vertex, "subtasks", "metrics"]) => {
                &mut || metrics.aggregated_subtask_metrics(manager, call, job, vertex)
            }
            ("GET", ["jobs", job, "vertices", vertex, "subtasks", subtask, "metrics"]) => {
                &mut || metrics.subtask_metrics(manager, call, job, vertex, subtask)
            }
            ("GET", ["jobs", job, "vertices", vertex, "flamegraph"]) => {
                &mut || samples.flame_graph(call, job, vertex, graphs.at(manager), flame_graphs)
            }
            ("GET", ["jobs", job, "vertices", vertex]) => {
                &mut || vertices::job_vertex(graphs.at(manager), call, job, vertex)
            }
            ("GET", ["jobs", job, "vertices", vertex, "taskmanagers"]) => {
                &mut || vertices::vertex_task_managers(graphs.at(manager), call, job, vertex)
            }
            ("GET", ["jobs", job, "vertices", vertex, "accumulators"]) => {
                &mut || subtasks::vertex_accumulators(graphs.at(manager), job, vertex)
            }
            ("GET", ["jobs", job, "vertices", vertex, "backpressure"]) => {
                &mut || metrics.back_pressure(manager, call, job, vertex)
            }
            ("GET", ["jobs", job, "vertices", vertex, "watermarks"]) => {
                &mut || metrics.watermarks(manager, graphs.at(manager), job, vertex)
            }
            ("GET", ["jobs", job, "vertices", vertex, "subtasktimes"]) => {
                &mut || subtasks::subtask_times(graphs.at(manager), call, job, vertex)
            }
            ("GET", ["jobs", job, "vertices", vertex, "subtasks", "accumulators"]) => {
                &mut || subtasks::subtask_accumulators(graphs.at(manager), call, job, vertex)
            }
            ("GET", ["jobs", job, "vertices", vertex, "subtasks", subtask]) => {
                &mut || subtasks::subtask(graphs.at(manager), call, job, vertex, subtask)
            }
            ("GET", ["jobs", job, "vertices", vertex, "subtasks", subtask, "attempts", attempt]) => {
                &mut || subtasks::attempt(graphs.at(manager), call, job, vertex, subtask, attempt)
            }
            ("GET", ["jobs", job, "vertices", vertex, "subtasks", subtask, "attempts", attempt, "accumulators"]) => {
                &mut || subtasks::attempt_accumulators(graphs.at(manager), call, job, vertex, subtask, attempt)
            }
            _ => return Err(without_handler(call, segments)),
        };
        Body::read(call, &EMPTY_BODY)?;
        handler()
    }

    /// What asks the processes, and applications, which are around jobs.
    fn route_processes(&mut self, call: &Call, segments: &[&str]) -> Answer {
        let has_profiler = self.has_profiler(call);
        let Self { manager, applications, metrics, profiles, generation, .. } = self;
        let since = |version| call.version >= version;
        let handler: &mut dyn FnMut() -> Answer = match (call.method.as_str(), segments) {
            ("GET", ["jobmanager", "metrics"]) => &mut || Ok(metrics.job_manager_metrics(manager, call)),
            ("GET", ["taskmanagers", "metrics"]) => &mut || metrics.aggregated_task_manager_metrics(manager, call),
            ("GET", ["taskmanagers", id]) => &mut || task_managers::task_manager_details(manager, id, call.version),
            ("GET", ["taskmanagers", id, "metrics"]) => &mut || Ok(metrics.task_manager_metrics(manager, call, id)),
            ("GET", ["jobmanager", "config"]) => &mut || Ok(ok(processes::configuration(&manager.config, *generation))),
            ("GET", ["jobmanager", "environment"]) if since((1, 14)) => {
                &mut || Ok(ok(processes::environment(&manager.config)))
            }
            ("GET", ["jobmanager", "thread-dump"]) if since((1, 14)) => {
                &mut || Ok(ok(thread_dumps::job_manager_dump()))
            }
            ("GET", ["jobs", job, "jobmanager", "config"]) if since((1, 14)) => {
                &mut || processes::configuration_of("jobid", job, &manager.config, *generation)
            }
            ("GET", ["jobs", job, "jobmanager", "environment"]) if since((1, 14)) => {
                &mut || processes::environment_of(job, &manager.config)
            }
            ("GET", ["jobs", _, "jobmanager", "log-url"]) if since((1, 14)) => {
                &mut || Ok(ok(processes::job_manager_log_url()))
            }
            ("GET", ["jobs", _, "taskmanagers", id, "log-url"]) if since((1, 14)) => {
                &mut || Ok(ok(processes::task_manager_log_url(id)))
            }
            ("GET", ["jobmanager", "log"]) => &mut || logs::job_manager_file(manager, File::Log),
            ("GET", ["jobmanager", "stdout"]) => &mut || logs::job_manager_file(manager, File::Out),
            ("GET", ["jobmanager", "logs"]) => &mut || logs::list_logs(manager, call, None),
            ("GET", ["jobmanager", "logs", name]) => &mut || logs::job_manager_file(manager, File::Named(name)),
            ("GET", ["taskmanagers"]) => &mut || Ok(ok(task_managers::list_task_managers(manager, call.version))),
            ("GET", ["taskmanagers", id, "thread-dump"]) => &mut || thread_dumps::task_manager_dump(manager, id),
            ("GET", ["taskmanagers", id, "log"]) => &mut || logs::task_manager_file(manager, id, File::Log),
            ("GET", ["taskmanagers", id, "stdout"]) => &mut || logs::task_manager_file(manager, id, File::Out),
            ("GET", ["taskmanagers", id, "logs"]) => &mut || logs::list_logs(manager, call, Some(id)),
            ("GET", ["taskmanagers", id, "logs", name]) => {
                &mut || logs::task_manager_file(manager, id, File::Named(name))
            }
            ("GET", ["jobmanager", "profiler"]) if has_profiler => &mut || profiles.list(None, manager.now()),
            ("GET", ["jobmanager", "profiler", file]) if has_profiler => {
                &mut || profiles.fetch(None, file, manager.now())
            }
            ("GET", ["taskmanagers", id, "profiler"]) if has_profiler => &mut || profiles.list(Some(id), manager.now()),
            ("GET", ["taskmanagers", id, "profiler", file]) if has_profiler => {
                &mut || profiles.fetch(Some(id), file, manager.now())
            }
            ("GET", ["applications", "overview"]) if since((2, 3)) => &mut || Ok(ok(applications.list(manager))),
            ("GET", ["applications", id]) if since((2, 3)) => &mut || applications.details(manager, id, call.version),
            ("GET", ["applications", id, "exceptions"]) if since((2, 3)) => {
                &mut || applications.exceptions(manager, id)
            }
            ("GET", ["applications", id, "jobmanager", "config"]) if since((2, 3)) => {
                &mut || processes::configuration_of("applicationid", id, &manager.config, *generation)
            }
            ("POST", ["applications", id, "cancel"]) if since((2, 3)) => &mut || applications.cancel(manager, id),
            _ => return Err(without_handler(call, segments)),
        };
        Body::read(call, &EMPTY_BODY)?;
        handler()
    }

    /// Whether there is a profiler at all.
    fn has_profiler(&self, call: &Call) -> bool {
        self.manager.config.profiling && call.version >= (1, 19)
    }
}

fn without_handler(call: &Call, segments: &[&str]) -> Rejection {
    let path = &call.raw_path;
    if routes::find_missing(ROUTES, &[call.version.0, call.version.1], &call.method, segments).is_some() {
        return Rejection::NotSimulated(routes::not_simulated("flink", &call.method, path));
    }
    match call.method.as_str() {
        "GET" => Rejection::Bare(StatusCode::NOT_FOUND, format!("Unable to load requested file {path}.")),
        "HEAD" => Rejection::Empty(StatusCode::NOT_FOUND),
        _ => Rejection::Short(StatusCode::NOT_FOUND, format!("Not found: {path}")),
    }
}
