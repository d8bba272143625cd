//! The one TaskManager: its resources, its slots, and the memory of its process.

use serde_json::{Map, Value, json};

use super::config::Version;
use super::errors::{Answer, Rejection, Throwable, ok};
use super::job::Job;
use super::job_manager::JobManager;
use super::wire::{TASK_MANAGER, millis};

const MEBIBYTE: u64 = 1 << 20;

/// What one slot has of each kind of memory, in MiB: heap, off-heap, managed, network.
const SLOT: [u64; 4] = [96, 16, 32, 16];

/// A detailed answer lists no more slots than this: a simulated job may run with any parallelism.
const LISTED: u32 = 1024;

pub(super) fn list_task_managers(manager: &JobManager, version: Version) -> Value {
    json!({ "taskmanagers": [info(manager, version)] })
}

pub(super) fn task_manager_details(manager: &JobManager, id: &str, version: Version) -> Answer {
    known(id, "requestTaskManagerDetailsInfo(ResourceManager.java:708)")?;
    let mut details = info(manager, version);
    details["allocatedSlots"] = allocated_slots(manager, version).into();
    details["metrics"] = process_metrics(manager, version);
    Ok(ok(details))
}

/// Rejects the id of a TaskManager that does not exist; `method` of the server is where its search ends.
pub(super) fn known(id: &str, method: &'static str) -> Result<(), Rejection> {
    if id == TASK_MANAGER {
        return Ok(());
    }
    let message = format!("No TaskExecutor registered under {id}.");
    let class = "org.apache.flink.runtime.resourcemanager.exceptions.UnknownTaskExecutorException";
    let owner = "org.apache.flink.runtime.resourcemanager.ResourceManager.";
    Err(Rejection::Internal(Throwable::new(class, message, method).thrown_by(owner)))
}

fn info(manager: &JobManager, version: Version) -> Value {
    let slots = manager.config.slots;
    let free = slots.saturating_sub(taken_slots(manager));
    // The RPC system changed its name.
    let scheme = if version < (1, 18) { "akka" } else { "pekko" };
    let mut info = json!({
        "id": TASK_MANAGER,
        "path": format!("{scheme}.tcp://flink@127.0.0.1:44883/user/rpc/taskmanager_0"),
        "dataPort": 33509,
        "jmxPort": -1,
        // A time, whatever its name says.
        "timeSinceLastHeartbeat": millis(manager.now()),
        "slotsNumber": slots,
        "freeSlots": free,
        "totalResource": resources(slots),
        "freeResource": resources(free),
        "hardware": {
            "cpuCores": 2,
            "physicalMemory": 25_323_552_768_u64,
            "freeMemory": heap(slots),
            "managedMemory": memory(slots, 2),
        },
        "memoryConfiguration": memory_configuration(slots),
    });
    if version >= (2, 3) {
        info["assignedTasks"] = deployed(manager).map(Job::subtasks).fold(0, u32::saturating_add).into();
    }
    info
}

fn deployed(manager: &JobManager) -> impl Iterator<Item = &Job> {
    manager.jobs.all().iter().filter(|job| job.deployed.is_some() && !job.state.has_ended())
}

fn taken_slots(manager: &JobManager) -> u32 {
    deployed(manager).map(|job| job.parallelism).fold(0, u32::saturating_add)
}

/// Of so many slots, in MiB.
pub(super) fn resources(slots: u32) -> Value {
    let mut resources = json!({ "cpuCores": f64::from(slots), "extendedResources": {} });
    let names = ["taskHeapMemory", "taskOffHeapMemory", "managedMemory", "networkMemory"];
    for (name, each) in names.into_iter().zip(SLOT) {
        resources[name] = each.saturating_mul(slots.into()).into();
    }
    resources
}

/// Of one kind in all slots, in bytes.
fn memory(slots: u32, kind: usize) -> u64 {
    SLOT[kind].saturating_mul(slots.into()).saturating_mul(MEBIBYTE)
}

/// What the JVM's heap may grow to, in bytes.
fn heap(slots: u32) -> u64 {
    memory(slots, 0).saturating_add(111 * MEBIBYTE)
}

fn memory_configuration(slots: u32) -> Value {
    let sizes = [
        ("frameworkHeap", 128 * MEBIBYTE),
        ("taskHeap", memory(slots, 0)),
        ("frameworkOffHeap", 128 * MEBIBYTE),
        ("taskOffHeap", memory(slots, 1)),
        ("networkMemory", memory(slots, 3)),
        ("managedMemory", memory(slots, 2)),
        ("jvmMetaspace", 256 * MEBIBYTE),
        ("jvmOverhead", 192 * MEBIBYTE),
    ];
    let total = |sizes: &[(&str, u64)]| sizes.iter().fold(0_u64, |sum, (_, size)| sum.saturating_add(*size));
    let mut configuration: Map<_, _> =
        sizes.iter().map(|(name, size)| ((*name).to_owned(), Value::from(*size))).collect();
    configuration.insert("totalFlinkMemory".into(), total(&sizes[..6]).into());
    configuration.insert("totalProcessMemory".into(), total(&sizes).into());
    Value::Object(configuration)
}

/// A job takes as many slots as its largest vertex has subtasks, and shares each between its vertices.
fn allocated_slots(manager: &JobManager, version: Version) -> Vec<Value> {
    let slot = |job: &Job, number: u32| {
        let mut slot = json!({ "jobId": job.id, "resource": resources(1) });
        if version >= (2, 3) {
            slot["assignedTasks"] = job.each.iter().filter(|subtasks| number < **subtasks).count().into();
        }
        slot
    };
    let all = deployed(manager).flat_map(|job| (0..job.parallelism.min(LISTED)).map(move |number| (job, number)));
    all.take(LISTED as usize).map(|(job, number)| slot(job, number)).collect()
}

fn process_metrics(manager: &JobManager, version: Version) -> Value {
    let slots = manager.config.slots;
    let heap = heap(slots);
    let network = memory(slots, 3);
    let segment = 32 * 1024;
    let busy = u64::from(taken_slots(manager)).saturating_mul(4).min(network / segment);
    let available = network / segment - busy;
    let mut metrics = json!({
        "heapUsed": 48_418_648,
        "heapCommitted": heap,
        "heapMax": heap,
        "nonHeapUsed": 51_552_376,
        "nonHeapCommitted": 53_149_696,
        "nonHeapMax": 512 * MEBIBYTE,
        "directCount": 2068,
        "directUsed": 72_630_274,
        "directMax": 72_630_272,
        "mappedCount": 0,
        "mappedUsed": 0,
        "mappedMax": 0,
        "nettyShuffleMemorySegmentsAvailable": available,
        "nettyShuffleMemorySegmentsUsed": busy,
        "nettyShuffleMemorySegmentsTotal": network / segment,
        "nettyShuffleMemoryAvailable": available * segment,
        "nettyShuffleMemoryUsed": busy * segment,
        "nettyShuffleMemoryTotal": network,
        "garbageCollectors": [
            { "name": "All", "count": 2, "time": 128 },
            { "name": "Copy", "count": 0, "time": 0 },
            { "name": "MarkSweepCompact", "count": 2, "time": 128 },
        ],
    });
    if version < (2, 0) {
        metrics["memorySegmentsAvailable"] = available.into();
        metrics["memorySegmentsTotal"] = (network / segment).into();
    }
    metrics
}
