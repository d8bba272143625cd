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

    /// Returns the details of one TaskManager.
    ///
    /// An unknown TaskManager is rejected with **500**.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#taskmanagers-taskmanagerid).
    Safe GET "/taskmanagers/{taskmanagerid}" GetTaskManager "getTaskManagerDetails" -> TaskManager {
        path { taskmanagerid: TaskManagerId }
    }

    /// Lists the log files of a TaskManager.
    ///
    /// An unknown TaskManager is rejected with 404.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#taskmanagers-taskmanagerid-logs).
    Safe GET "/taskmanagers/{taskmanagerid}/logs" ListTaskManagerLogs "getTaskManagerLogs" -> LogList {
        path { taskmanagerid: TaskManagerId }
    }

    /// Returns a TaskManager's log, **streaming**: see [`logs`](super::logs). Not in the published description.
    ///
    /// The JobManager fetches the file first. An unknown TaskManager is rejected with 404.
    Safe GET "/taskmanagers/{taskmanagerid}/log" GetTaskManagerLog "getTaskManagerLog" -> Lines {
        streaming;
        path { taskmanagerid: TaskManagerId }
    }

    /// Returns a TaskManager's standard output, **streaming**: see [`logs`](super::logs). Not in the published
    /// description.
    ///
    /// The `print` sink writes to it. An unknown TaskManager is rejected with 404.
    Safe GET "/taskmanagers/{taskmanagerid}/stdout" GetTaskManagerStdout "getTaskManagerStdout" -> Lines {
        streaming;
        path { taskmanagerid: TaskManagerId }
    }

    /// Returns a log file of a TaskManager, **streaming**: see [`logs`](super::logs). Not in the published description.
    ///
    /// An unknown TaskManager is rejected with 404, an unknown file with **500**.
    Safe GET "/taskmanagers/{taskmanagerid}/logs/{filename}" GetTaskManagerLogFile "getTaskManagerCustomLog" -> Lines {
        streaming;
        path {
            taskmanagerid: TaskManagerId,
            /// The name from [`ListTaskManagerLogs`].
            filename: String,
        }
    }

    /// Returns the stacks of a TaskManager's threads.
    ///
    /// An unknown TaskManager is rejected with **500**.
    /// [Reference](https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/#taskmanagers-taskmanagerid-thread-dump).
    Safe GET "/taskmanagers/{taskmanagerid}/thread-dump"
    GetTaskManagerThreadDump "getTaskManagerThreadDump" -> ThreadDump {
        path { taskmanagerid: TaskManagerId }
    }
}

json_structs! {
    /// The TaskManagers.
    pub struct TaskManagers {
        /// In arbitrary order.
        pub task_managers: Vec<TaskManager> = "taskmanagers",
    }

    /// A TaskManager.
    pub struct TaskManager in camel {
        pub id: TaskManagerId,
        /// Its address for the JobManager.
        pub path: Option<String>,
        /// The port for data from other TaskManagers.
        pub data_port: Option<i32>,
        /// The port of JMX; -1 if JMX is off.
        pub jmx_port: Option<i32>,
        /// When it sent its last heartbeat: a time, although the name on the wire says a duration.
        pub last_heartbeat: Option<Millis> = "timeSinceLastHeartbeat",
        pub slots_number: Option<u32>,
        /// Slots without a task.
        pub free_slots: Option<u32>,
        /// How many tasks it has. Since 2.1.
        pub assigned_tasks: Option<i32>,
        /// The resources of all its slots.
        pub total_resource: Option<Resource>,
        /// The resources of its free slots.
        pub free_resource: Option<Resource>,
        pub hardware: Hardware,
        /// How its memory is divided.
        pub memory_configuration: Option<MemoryConfiguration>,
        /// Whether it gets no new tasks; `None` means false.
        pub blocked: Option<bool>,
        /// The slots that jobs use; empty in lists.
        pub allocated_slots: Vec<AllocatedSlot>,
        /// How its memory is used; `None` in lists. The numbers may be 10 s old, and are 0 before the first fetch.
        pub metrics: Option<TaskManagerMetrics>,
    }

    /// A slot that a job uses.
    pub struct AllocatedSlot {
        pub job: JobId = "jobId",
        pub resource: Resource,
        /// How many tasks are in it. Since 2.1.
        pub assigned_tasks: Option<i32> = "assignedTasks",
    }

    /// The resources of slots, in **MiB**, not bytes.
    pub struct Resource in camel {
        pub cpu_cores: Option<f64>,
        /// Task heap; MiB.
        pub task_heap_memory: Option<i64>,
        /// Task off-heap memory; MiB.
        pub task_off_heap_memory: Option<i64>,
        /// Managed memory; MiB.
        pub managed_memory: Option<i64>,
        /// Network memory; MiB.
        pub network_memory: Option<i64>,
        /// Other resources, such as GPUs.
        pub extended_resources: BTreeMap<String, f64>,
    }

    /// A machine.
    pub struct Hardware in camel {
        pub cpu_cores: Option<i32>,
        /// Bytes; -1 for unknown.
        pub physical_memory: Option<i64>,
        /// The JVM's free heap; bytes.
        pub free_memory: Option<i64>,
        /// Bytes.
        pub managed_memory: Option<i64>,
    }

    /// How the memory of a TaskManager is divided. Bytes; `None` where it is not configured.
    pub struct MemoryConfiguration in camel {
        pub framework_heap: Option<i64>,
        pub task_heap: Option<i64>,
        pub framework_off_heap: Option<i64>,
        pub task_off_heap: Option<i64>,
        /// Network buffers.
        pub network_memory: Option<i64>,
        /// State backends and sorting.
        pub managed_memory: Option<i64>,
        /// Classes.
        pub jvm_metaspace: Option<i64>,
        /// Other memory of the JVM.
        pub jvm_overhead: Option<i64>,
        /// The total without metaspace and overhead.
        pub total_flink_memory: Option<i64>,
        pub total_process_memory: Option<i64>,
    }

    /// How the memory of a TaskManager is used. Bytes and counts.
    pub struct TaskManagerMetrics in camel {
        /// Heap in use.
        pub heap_used: Option<i64>,
        /// Heap that the JVM has.
        pub heap_committed: Option<i64>,
        /// Heap that it may have.
        pub heap_max: Option<i64>,
        /// Other memory in use.
        pub non_heap_used: Option<i64>,
        /// Other memory that the JVM has.
        pub non_heap_committed: Option<i64>,
        /// Other memory that it may have.
        pub non_heap_max: Option<i64>,
        /// Direct buffers.
        pub direct_count: Option<i64>,
        /// Their bytes in use.
        pub direct_used: Option<i64>,
        /// Their bytes.
        pub direct_max: Option<i64>,
        /// Mapped buffers.
        pub mapped_count: Option<i64>,
        /// Their bytes in use.
        pub mapped_used: Option<i64>,
        /// Their bytes.
        pub mapped_max: Option<i64>,
        /// Free network buffers. Until 1.20; the same as the next fields.
        pub memory_segments_available: Option<i64>,
        /// Network buffers. Until 1.20.
        pub memory_segments_total: Option<i64>,
        /// Free network buffers.
        pub netty_shuffle_memory_segments_available: Option<i64>,
        /// Network buffers in use.
        pub netty_shuffle_memory_segments_used: Option<i64>,
        /// Network buffers.
        pub netty_shuffle_memory_segments_total: Option<i64>,
        /// Free bytes of network buffers.
        pub netty_shuffle_memory_available: Option<i64>,
        /// Bytes of network buffers in use.
        pub netty_shuffle_memory_used: Option<i64>,
        /// Bytes of network buffers.
        pub netty_shuffle_memory_total: Option<i64>,
        pub garbage_collectors: Vec<GarbageCollector>,
    }

    /// The statistics of a garbage collector.
    pub struct GarbageCollector {
        pub name: String,
        /// How many times it ran.
        pub count: Option<i64>,
        /// How many milliseconds it ran.
        pub time: Option<i64>,
    }
}
