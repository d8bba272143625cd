//! What the JobManager says of itself: its configuration, its JVM, and where its log is read.

use serde_json::{Value, json};

use super::config::Config;
use super::errors::{Answer, accepted, ok};
use super::ids::Ids;
use super::request::{Body, Call, Format, Kind, path_id};
use super::wire::{WEB_UI, millis};

const HEARTBEAT: Format =
    Format { name: "JobClientHeartbeatRequestBody", fields: &[("expiredTimestamp", Kind::Long, (1, 17))] };

/// What is configured. Each process works in a directory of its own.
pub(super) fn configuration(config: &Config, generation: u64) -> Value {
    let process = Ids::new(config.seed ^ generation.wrapping_mul(0x9e37_79b9) ^ 0x7765_6274).uuid();
    let text = str::to_owned;
    let mut entries = vec![
        ("blob.server.port", text("39441")),
        ("jobmanager.rpc.address", text("127.0.0.1")),
        ("jobmanager.rpc.port", text("6123")),
        ("jobmanager.scheduler", text(if config.adaptive_scheduler { "adaptive" } else { "default" })),
        ("metrics.fetcher.update-interval", millis(config.metric_interval).to_string()),
        ("parallelism.default", text("1")),
        ("rest.address", text("127.0.0.1")),
        ("rest.flamegraph.enabled", config.flame_graphs.to_string()),
        ("rest.port", text("8081")),
        ("rest.profiling.enabled", config.profiling.to_string()),
        ("state.backend.type", text("hashmap")),
        ("taskmanager.host", text("127.0.0.1")),
        ("taskmanager.numberOfTaskSlots", config.slots.to_string()),
        ("web.cancel.enable", text("true")),
        ("web.refresh-interval", millis(config.refresh_interval).to_string()),
        ("web.submit.enable", text("true")),
        ("web.tmpdir", format!("/tmp/flink-web-{process}")),
    ];
    if let Some(directory) = &config.savepoint_directory {
        let key = if config.release() < (1, 20) { "state.savepoints.dir" } else { SAVEPOINTS };
        entries.push((key, directory.clone()));
    }
    if config.high_availability {
        let key = if config.release() < (1, 17) { "high-availability" } else { "high-availability.type" };
        entries.push((key, text("zookeeper")));
    }
    if config.rescale_history > 0 {
        entries.push(("web.adaptive-scheduler.rescale-history.size", config.rescale_history.to_string()));
    }
    if config.retain_uploads {
        entries.push(("web.upload.dir", text("/opt/flink/upload")));
    }
    entries.sort();
    entries.into_iter().map(|(key, value)| json!({ "key": key, "value": value })).collect()
}

const SAVEPOINTS: &str = "execution.checkpointing.savepoint-dir";

/// The same for a job or an application, whether or not it exists: only the form of its id is checked.
pub(super) fn configuration_of(kind: &str, id: &str, config: &Config, generation: u64) -> Answer {
    path_id(kind, id)?;
    Ok(ok(configuration(config, generation)))
}

pub(super) fn environment(config: &Config) -> Value {
    let jar = |name: &str| format!("/opt/flink-{0}/lib/{name}-{0}.jar", config.version);
    let classpath = ["flink-cep", "flink-connector-files", "flink-dist", "flink-json"].map(jar);
    json!({
        "jvm": {
            "version": "OpenJDK 64-Bit Server VM - Debian - 17/17.0.15+6-Debian-1deb12u1",
            "arch": "amd64",
            "options": [
                "-Xms256m",
                "-Xmx512m",
                "-XX:MaxMetaspaceSize=256m",
                "--add-opens=java.base/java.lang=ALL-UNNAMED",
                "--add-opens=java.base/java.util=ALL-UNNAMED",
                "-Dlog.file=/opt/flink/log/flink-jobmanager.log",
            ],
        },
        "classpath": classpath,
    })
}

/// The same for a job, whether or not it exists.
pub(super) fn environment_of(job: &str, config: &Config) -> Answer {
    path_id("jobid", job)?;
    Ok(ok(environment(config)))
}

/// Without a pattern for the URLs of logs, the web UI's page; no id is checked.
pub(super) fn job_manager_log_url() -> Value {
    json!({ "url": format!("{WEB_UI}/#/job-manager/logs") })
}

/// See [`job_manager_log_url`].
pub(super) fn task_manager_log_url(id: &str) -> Value {
    json!({ "url": format!("{WEB_UI}/#/task-manager/{id}/logs") })
}

/// A client that waits for its job. An unknown job is accepted too.
pub(super) fn client_heartbeat(call: &Call, job: &str) -> Answer {
    let body = Body::read(call, &HEARTBEAT)?;
    if body.number("expiredTimestamp").is_none() {
        return Err(Body::lacks(&HEARTBEAT, "expiredTimestamp"));
    }
    path_id("jobid", job)?;
    Ok(accepted(json!({})))
}
