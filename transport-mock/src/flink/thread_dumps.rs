//! Thread dumps of both processes: threads that every process of their kind has, and those of running tasks.

use serde_json::{Value, json};

use super::errors::{Answer, ok};
use super::job::{Job, SINK_NAME, SOURCE_NAME};
use super::job_manager::JobManager;
use super::task_managers::known;

/// Each JVM's own threads: name, id, state with what is waited for, innermost frame.
const JVM: [Thread; 3] = [
    Thread(
        "Reference Handler",
        2,
        "RUNNABLE",
        "java.base@17.0.15/java.lang.ref.Reference.waitForReferencePendingList(Native Method)",
    ),
    Thread(
        "Finalizer",
        3,
        "WAITING on java.lang.ref.ReferenceQueue$Lock@6435a9c",
        "java.base@17.0.15/java.lang.Object.wait(Native Method)",
    ),
    Thread("Signal Dispatcher", 4, "RUNNABLE", ""),
];

const JOB_MANAGER: [Thread; 5] = [
    Thread("main", 1, "WAITING on java.util.concurrent.CompletableFuture$Signaller@1839aa0d", PARKED),
    Thread(
        "flink-pekko.actor.default-dispatcher-5",
        20,
        "WAITING on org.apache.pekko.dispatch.PekkoJdk9ForkJoinPool@1e3b4b1b",
        PARKED,
    ),
    Thread(
        "Flink-DispatcherRestEndpoint-thread-1",
        45,
        "RUNNABLE",
        "java.management@17.0.15/sun.management.ThreadImpl.dumpThreads0(Native Method)",
    ),
    Thread("flink-rest-server-netty-worker-thread-1", 65, "RUNNABLE (in native)", EPOLL),
    Thread(
        "jobmanager-io-thread-1",
        78,
        "WAITING on java.util.concurrent.locks.AbstractQueuedSynchronizer$ConditionObject@4245e3a1",
        PARKED,
    ),
];

const TASK_MANAGER: [Thread; 4] = [
    Thread("main", 1, "WAITING on java.util.concurrent.CompletableFuture$Signaller@4407f1f4", PARKED),
    Thread(
        "flink-pekko.actor.default-dispatcher-13",
        60,
        "RUNNABLE",
        "java.management@17.0.15/sun.management.ThreadImpl.dumpThreads0(Native Method)",
    ),
    Thread("Flink Netty Server (0) Thread 0", 51, "RUNNABLE (in native)", EPOLL),
    Thread(
        "taskmanager_0-main-scheduler-thread-1",
        63,
        "TIMED_WAITING on java.util.concurrent.locks.AbstractQueuedSynchronizer$ConditionObject@62525dae",
        PARKED,
    ),
];

const PARKED: &str = "java.base@17.0.15/jdk.internal.misc.Unsafe.park(Native Method)";
const EPOLL: &str = "java.base@17.0.15/sun.nio.ch.EPoll.wait(Native Method)";

/// Threads of tasks have ids from here on.
const FIRST_TASK: u64 = 100;

/// A dump lists no more tasks than this: a simulated job may run with any parallelism.
const LISTED: usize = 1024;

struct Thread(&'static str, u64, &'static str, &'static str);

pub(super) fn job_manager_dump() -> Value {
    dump(JVM.iter().chain(&JOB_MANAGER).map(info))
}

pub(super) fn task_manager_dump(manager: &JobManager, id: &str) -> Answer {
    known(id, "requestThreadDump(ResourceManager.java:906)")?;
    let running = manager.jobs.all().iter().filter(|job| job.is_processing());
    let tasks = running.flat_map(tasks).zip(FIRST_TASK..).take(LISTED).map(|(name, id)| {
        let frame = "org.apache.flink.streaming.runtime.tasks.mailbox.MailboxProcessor.runMailboxLoop(MailboxProcessor.java:233)";
        text(&name, id, "RUNNABLE", &format!("app//{frame}"))
    });
    Ok(ok(dump(JVM.iter().chain(&TASK_MANAGER).map(info).chain(tasks))))
}

/// The names of a job's tasks, as their threads have them.
fn tasks(job: &Job) -> impl Iterator<Item = String> {
    let vertices = [SOURCE_NAME, SINK_NAME].into_iter().zip(job.each);
    let attempt = job.restarts;
    vertices.flat_map(move |(vertex, subtasks)| {
        (1..=subtasks).map(move |number| format!("{vertex} ({number}/{subtasks})#{attempt}"))
    })
}

fn info(thread: &Thread) -> Value {
    let Thread(name, id, state, frame) = thread;
    text(name, *id, state, frame)
}

fn text(name: &str, id: u64, state: &str, frame: &str) -> Value {
    let frame = if frame.is_empty() { String::new() } else { format!("\tat {frame}\n") };
    json!({ "threadName": name, "stringifiedThreadInfo": format!("\"{name}\" Id={id} {state}\n{frame}\n") })
}

fn dump(threads: impl Iterator<Item = Value>) -> Value {
    json!({ "threadInfos": threads.collect::<Vec<_>>() })
}
