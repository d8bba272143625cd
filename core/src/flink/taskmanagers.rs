//! TaskManagers: list, details, logs, threads. Their metrics are in [`metrics`](super::metrics).

use std::collections::BTreeMap;

use super::logs::{LogList, ThreadDump};
use super::{FlinkRest, JobId, Millis, TaskManagerId};
use crate::decode::Lines;
use crate::schema::{json_structs, operations};

operations! { FlinkRest;
    /// Lists the TaskManagers that are registered.
    ///
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#taskmanagers).
    Safe GET "/taskmanagers" ListTaskManagers "getTaskManagers" -> TaskManagers {}

    /// All about one TaskManager.
    ///
    /// An unknown one is refused with **500**.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#taskmanagers-taskmanagerid).
    Safe GET "/taskmanagers/{taskmanagerid}" GetTaskManager "getTaskManagerDetails" -> TaskManager {
        path { taskmanagerid: TaskManagerId }
    }

    /// Lists the log files of a TaskManager.
    ///
    /// An unknown TaskManager is refused with 404.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#taskmanagers-taskmanagerid-logs).
    Safe GET "/taskmanagers/{taskmanagerid}/logs" ListTaskManagerLogs "getTaskManagerLogs" -> LogList {
        path { taskmanagerid: TaskManagerId }
    }

    /// A TaskManager's log, **live**: see [`logs`](super::logs). Not in the published description.
    ///
    /// The JobManager fetches the file first. An unknown TaskManager is refused with 404.
    Safe GET "/taskmanagers/{taskmanagerid}/log" GetTaskManagerLog "getTaskManagerLog" -> Lines {
        live;
        path { taskmanagerid: TaskManagerId }
    }

    /// What a TaskManager wrote to its standard output, **live**: see [`logs`](super::logs). Not in the published
    /// description.
    ///
    /// This is where the `print` sink writes to. An unknown TaskManager is refused with 404.
    Safe GET "/taskmanagers/{taskmanagerid}/stdout" GetTaskManagerStdout "getTaskManagerStdout" -> Lines {
        live;
        path { taskmanagerid: TaskManagerId }
    }

    /// One of the log files of a TaskManager, **live**: see [`logs`](super::logs). Not in the published description.
    ///
    /// An unknown TaskManager is refused with 404, an unknown file with **500**.
    Safe GET "/taskmanagers/{taskmanagerid}/logs/{filename}" GetTaskManagerLogFile "getTaskManagerCustomLog" -> Lines {
        live;
        path {
            taskmanagerid: TaskManagerId,
            /// As [`ListTaskManagerLogs`] calls it.
            filename: String,
        }
    }

    /// What a TaskManager's threads are doing.
    ///
    /// An unknown TaskManager is refused with **500**.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#taskmanagers-taskmanagerid-thread-dump).
    Safe GET "/taskmanagers/{taskmanagerid}/thread-dump" GetTaskManagerThreadDump "getTaskManagerThreadDump" -> ThreadDump {
        path { taskmanagerid: TaskManagerId }
    }
}

json_structs! {
    /// The TaskManagers.
    pub struct TaskManagers {
        /// In no order that can be relied on.
        pub task_managers: Vec<TaskManager> = "taskmanagers",
    }

    /// A TaskManager.
    pub struct TaskManager {
        /// Its id.
        pub id: TaskManagerId = "id",
        /// Its address for the JobManager.
        pub path: String = "path",
        /// Where it takes data from other TaskManagers.
        pub data_port: i32 = "dataPort",
        /// Where JMX listens; -1 when it does not.
        pub jmx_port: Option<i32> = "jmxPort",
        /// When it was heard of last: a moment, in spite of the name on the wire.
        pub last_heartbeat: Millis = "timeSinceLastHeartbeat",
        /// Its task slots.
        pub slots_number: u32 = "slotsNumber",
        /// Those without a task.
        pub free_slots: u32 = "freeSlots",
        /// How many tasks it has. Since 2.1.
        pub assigned_tasks: Option<i32> = "assignedTasks",
        /// What all its slots have.
        pub total_resource: Option<Resource> = "totalResource",
        /// What its free slots have.
        pub free_resource: Option<Resource> = "freeResource",
        /// The machine.
        pub hardware: Hardware = "hardware",
        /// How its memory is divided.
        pub memory_configuration: Option<MemoryConfiguration> = "memoryConfiguration",
        /// Whether it gets no new tasks; `None` is no.
        pub blocked: Option<bool> = "blocked",
        /// The slots that jobs have taken; empty in lists.
        pub allocated_slots: Vec<AllocatedSlot> = "allocatedSlots",
        /// How its memory is used; `None` in lists. Up to 10 s old, and zeros while nothing was fetched.
        pub metrics: Option<TaskManagerMetrics> = "metrics",
    }

    /// A slot that a job has taken.
    pub struct AllocatedSlot {
        /// The job.
        pub job: JobId = "jobId",
        /// What the slot has.
        pub resource: Resource = "resource",
        /// How many tasks are in it. Since 2.1.
        pub assigned_tasks: Option<i32> = "assignedTasks",
    }

    /// What slots have. **MiB**, not bytes.
    pub struct Resource {
        /// Cores.
        pub cpu_cores: f64 = "cpuCores",
        /// Task heap; MiB.
        pub task_heap_memory: i64 = "taskHeapMemory",
        /// Task off-heap memory; MiB.
        pub task_off_heap_memory: i64 = "taskOffHeapMemory",
        /// Managed memory; MiB.
        pub managed_memory: i64 = "managedMemory",
        /// Network memory; MiB.
        pub network_memory: i64 = "networkMemory",
        /// Other resources, such as GPUs.
        pub extended_resources: BTreeMap<String, f64> = "extendedResources",
    }

    /// A machine.
    pub struct Hardware {
        /// Cores.
        pub cpu_cores: i32 = "cpuCores",
        /// Bytes; -1 for unknown.
        pub physical_memory: i64 = "physicalMemory",
        /// The JVM's free heap; bytes.
        pub free_memory: i64 = "freeMemory",
        /// Bytes.
        pub managed_memory: i64 = "managedMemory",
    }

    /// How the memory of a TaskManager is divided. Bytes; `None` where it is not configured.
    pub struct MemoryConfiguration {
        /// Heap of the framework.
        pub framework_heap: Option<i64> = "frameworkHeap",
        /// Heap of the tasks.
        pub task_heap: Option<i64> = "taskHeap",
        /// Off-heap memory of the framework.
        pub framework_off_heap: Option<i64> = "frameworkOffHeap",
        /// Off-heap memory of the tasks.
        pub task_off_heap: Option<i64> = "taskOffHeap",
        /// Network buffers.
        pub network_memory: Option<i64> = "networkMemory",
        /// State backends and sorting.
        pub managed_memory: Option<i64> = "managedMemory",
        /// Classes.
        pub jvm_metaspace: Option<i64> = "jvmMetaspace",
        /// What else the JVM needs.
        pub jvm_overhead: Option<i64> = "jvmOverhead",
        /// Without metaspace and overhead.
        pub total_flink_memory: Option<i64> = "totalFlinkMemory",
        /// All.
        pub total_process_memory: Option<i64> = "totalProcessMemory",
    }

    /// How the memory of a TaskManager is used. Bytes and counts.
    pub struct TaskManagerMetrics {
        /// Heap in use.
        pub heap_used: i64 = "heapUsed",
        /// Heap that the JVM has.
        pub heap_committed: i64 = "heapCommitted",
        /// Heap that it may have.
        pub heap_max: i64 = "heapMax",
        /// Other memory in use.
        pub non_heap_used: i64 = "nonHeapUsed",
        /// Other memory that the JVM has.
        pub non_heap_committed: i64 = "nonHeapCommitted",
        /// Other memory that it may have.
        pub non_heap_max: i64 = "nonHeapMax",
        /// Direct buffers.
        pub direct_count: i64 = "directCount",
        /// Their bytes in use.
        pub direct_used: i64 = "directUsed",
        /// Their bytes.
        pub direct_max: i64 = "directMax",
        /// Mapped buffers.
        pub mapped_count: i64 = "mappedCount",
        /// Their bytes in use.
        pub mapped_used: i64 = "mappedUsed",
        /// Their bytes.
        pub mapped_max: i64 = "mappedMax",
        /// Free network buffers. Until 1.20; the same as the next ones.
        pub memory_segments_available: Option<i64> = "memorySegmentsAvailable",
        /// Network buffers. Until 1.20.
        pub memory_segments_total: Option<i64> = "memorySegmentsTotal",
        /// Free network buffers.
        pub netty_shuffle_memory_segments_available: i64 = "nettyShuffleMemorySegmentsAvailable",
        /// Network buffers in use.
        pub netty_shuffle_memory_segments_used: i64 = "nettyShuffleMemorySegmentsUsed",
        /// Network buffers.
        pub netty_shuffle_memory_segments_total: i64 = "nettyShuffleMemorySegmentsTotal",
        /// Free bytes of network buffers.
        pub netty_shuffle_memory_available: i64 = "nettyShuffleMemoryAvailable",
        /// Bytes of network buffers in use.
        pub netty_shuffle_memory_used: i64 = "nettyShuffleMemoryUsed",
        /// Bytes of network buffers.
        pub netty_shuffle_memory_total: i64 = "nettyShuffleMemoryTotal",
        /// What collecting garbage took.
        pub garbage_collectors: Vec<GarbageCollector> = "garbageCollectors",
    }

    /// What a garbage collector did.
    pub struct GarbageCollector {
        /// Its name.
        pub name: String = "name",
        /// How often it ran.
        pub count: i64 = "count",
        /// How long it ran; milliseconds.
        pub time: i64 = "time",
    }
}
