//! The names of metrics, as 1.13.6, 1.18.1 and 2.3.0 have them; those between are taken for the older of the two.

use super::config::Version;

/// Of every process, with the collectors of a JVM that collects serially.
const PROCESS: &str = "
    Status.JVM.CPU.Load Status.JVM.CPU.Time Status.JVM.ClassLoader.ClassesLoaded Status.JVM.ClassLoader.ClassesUnloaded
    Status.JVM.GarbageCollector.Copy.Count Status.JVM.GarbageCollector.Copy.Time
    Status.JVM.GarbageCollector.MarkSweepCompact.Count Status.JVM.GarbageCollector.MarkSweepCompact.Time
    Status.JVM.Memory.Direct.Count Status.JVM.Memory.Direct.MemoryUsed Status.JVM.Memory.Direct.TotalCapacity
    Status.JVM.Memory.Heap.Committed Status.JVM.Memory.Heap.Max Status.JVM.Memory.Heap.Used
    Status.JVM.Memory.Mapped.Count Status.JVM.Memory.Mapped.MemoryUsed Status.JVM.Memory.Mapped.TotalCapacity
    Status.JVM.Memory.Metaspace.Committed Status.JVM.Memory.Metaspace.Max Status.JVM.Memory.Metaspace.Used
    Status.JVM.Memory.NonHeap.Committed Status.JVM.Memory.NonHeap.Max Status.JVM.Memory.NonHeap.Used
    Status.JVM.Threads.Count";
const PROCESS_SINCE_2_0: &str = "
    Status.JVM.FileDescriptor.Max Status.JVM.FileDescriptor.Open Status.JVM.GarbageCollector.All.Count
    Status.JVM.GarbageCollector.All.Time Status.JVM.GarbageCollector.All.TimeMsPerSecond
    Status.JVM.GarbageCollector.Copy.TimeMsPerSecond Status.JVM.GarbageCollector.MarkSweepCompact.TimeMsPerSecond";

const JOB_MANAGER: &str = "numRegisteredTaskManagers numRunningJobs taskSlotsAvailable taskSlotsTotal";

const TASK_MANAGER: &str = "
    Status.Flink.Memory.Managed.Total Status.Flink.Memory.Managed.Used Status.Shuffle.Netty.AvailableMemory
    Status.Shuffle.Netty.AvailableMemorySegments Status.Shuffle.Netty.RequestedMemoryUsage
    Status.Shuffle.Netty.TotalMemory Status.Shuffle.Netty.TotalMemorySegments Status.Shuffle.Netty.UsedMemory
    Status.Shuffle.Netty.UsedMemorySegments";
const TASK_MANAGER_UNTIL_1_20: &str = "Status.Network.AvailableMemorySegments Status.Network.TotalMemorySegments";

const JOB: &str = "
    downtime lastCheckpointDuration lastCheckpointExternalPath lastCheckpointPersistedData lastCheckpointProcessedData
    lastCheckpointRestoreTimestamp lastCheckpointSize numRestarts numberOfCompletedCheckpoints
    numberOfFailedCheckpoints numberOfInProgressCheckpoints restartingTime totalNumberOfCheckpoints uptime";
const JOB_UNTIL_1_20: &str = "fullRestarts";
const JOB_SINCE_1_14: &str = "
    cancellingTime createdTime deployingTime failingTime initializingTime lastCheckpointFullSize
    lastCompletedCheckpointId runningTime";
const JOB_SINCE_2_0: &str = "
    allSubTasksRunningOrFinishedTime lastCheckpointCompletedTimestamp lastCheckpointMetadataSize numRescales";

const TASK: &str = "
    Shuffle.Netty.Input.Buffers.inPoolUsage Shuffle.Netty.Input.Buffers.inputExclusiveBuffersUsage
    Shuffle.Netty.Input.Buffers.inputFloatingBuffersUsage Shuffle.Netty.Input.Buffers.inputQueueLength
    Shuffle.Netty.Input.Buffers.inputQueueSize Shuffle.Netty.Input.numBuffersInLocal
    Shuffle.Netty.Input.numBuffersInLocalPerSecond Shuffle.Netty.Input.numBuffersInRemote
    Shuffle.Netty.Input.numBuffersInRemotePerSecond Shuffle.Netty.Input.numBytesInLocal
    Shuffle.Netty.Input.numBytesInLocalPerSecond Shuffle.Netty.Input.numBytesInRemote
    Shuffle.Netty.Input.numBytesInRemotePerSecond Shuffle.Netty.Output.Buffers.outPoolUsage
    Shuffle.Netty.Output.Buffers.outputQueueLength Shuffle.Netty.Output.Buffers.outputQueueSize
    accumulateBackPressuredTimeMs accumulateBusyTimeMs accumulateIdleTimeMs backPressuredTimeMsPerSecond
    busyTimeMsPerSecond changelogBusyTimeMsPerSecond checkpointStartDelayNanos hardBackPressuredTimeMsPerSecond
    idleTimeMsPerSecond initializationTime isBackPressured mailboxLatencyMs_max mailboxLatencyMs_mean
    mailboxLatencyMs_median mailboxLatencyMs_min mailboxLatencyMs_p75 mailboxLatencyMs_p90 mailboxLatencyMs_p95
    mailboxLatencyMs_p98 mailboxLatencyMs_p99 mailboxLatencyMs_p999 mailboxLatencyMs_stddev mailboxMailsPerSecond
    mailboxQueueSize maxHardBackPressureTimeMs maxSoftBackPressureTimeMs numBuffersInLocal numBuffersInLocalPerSecond
    numBuffersInRemote numBuffersInRemotePerSecond numBuffersOut numBuffersOutPerSecond numBytesIn numBytesInLocal
    numBytesInLocalPerSecond numBytesInPerSecond numBytesInRemote numBytesInRemotePerSecond numBytesOut
    numBytesOutPerSecond numRecordsIn numRecordsInPerSecond numRecordsOut numRecordsOutPerSecond
    softBackPressuredTimeMsPerSecond";
const TASK_UNTIL_1_20: &str = "
    buffers.inPoolUsage buffers.inputExclusiveBuffersUsage buffers.inputFloatingBuffersUsage buffers.inputQueueLength
    buffers.inputQueueSize buffers.outPoolUsage buffers.outputQueueLength buffers.outputQueueSize";
const TASK_SINCE_2_0: &str = "numFiredTimers numFiredTimersPerSecond";

/// Of each operator in a task, behind its name.
const OPERATOR: &str = "
    currentOutputWatermark numBytesIn numBytesInPerSecond numBytesOut numBytesOutPerSecond numRecordsIn
    numRecordsInPerSecond numRecordsOut numRecordsOutPerSecond";
const SOURCE: &str = "currentEmitEventTimeLag numRecordsInErrors sourceIdleTime watermarkLag";
const SPLIT_SINCE_2_1: &str = "
    accumulatedActiveTimeMs accumulatedIdleTimeMs accumulatedPausedTimeMs activeTimeMsPerSecond currentWatermark
    idleTimeMsPerSecond pausedTimeMsPerSecond";

/// Metrics that say nothing any more when their task has ended: the server drops them then.
pub(super) fn is_transient(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    matches!(last, "idleTimeMsPerSecond" | "backPressuredTimeMsPerSecond" | "busyTimeMsPerSecond")
}

fn names<'a>(parts: impl IntoIterator<Item = (bool, &'a str)>) -> Vec<String> {
    let chosen = parts.into_iter().filter(|(is_there, _)| *is_there);
    chosen.flat_map(|(_, names)| names.split_ascii_whitespace()).map(str::to_owned).collect()
}

pub(super) fn job_manager(version: Version) -> Vec<String> {
    names([(true, PROCESS), (version >= (2, 0), PROCESS_SINCE_2_0), (true, JOB_MANAGER)])
}

pub(super) fn task_manager(version: Version) -> Vec<String> {
    let old = version < (2, 0);
    names([(true, PROCESS), (!old, PROCESS_SINCE_2_0), (true, TASK_MANAGER), (old, TASK_MANAGER_UNTIL_1_20)])
}

pub(super) fn job(version: Version) -> Vec<String> {
    let old = version < (2, 0);
    names([(true, JOB), (version >= (1, 14), JOB_SINCE_1_14), (old, JOB_UNTIL_1_20), (!old, JOB_SINCE_2_0)])
}

/// Of a task of the source or of the sink; a source reads the split whose number is its own plus one.
pub(super) fn task(is_source: bool, subtask: u32, version: Version) -> Vec<String> {
    let old = version < (2, 0);
    let mut all = names([(true, TASK), (old, TASK_UNTIL_1_20), (!old, TASK_SINCE_2_0)]);
    let mut add = |prefix: &str, names: &str| {
        all.extend(names.split_ascii_whitespace().map(|name| format!("{prefix}.{name}")));
    };
    if is_source {
        add("Source__numbers", OPERATOR);
        add("Source__numbers", SOURCE);
        if version >= (2, 1) {
            add(&format!("Source__numbers.split.{}.watermark", u64::from(subtask) + 1), SPLIT_SINCE_2_1);
        }
        add("throttle", OPERATOR);
        add("throttle", "currentInputWatermark");
    } else {
        for operator in ["count_per_key", "Sink__print"] {
            add(operator, OPERATOR);
            add(operator, "currentInputWatermark");
        }
        all.extend(["checkpointAlignmentTime", "currentInputWatermark"].map(str::to_owned));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::{is_transient, job, job_manager, task, task_manager};

    /// How many a server has.
    #[test]
    fn there_are_as_many_names_as_a_server_has() {
        for (version, counts) in [((2, 3), [35, 40, 26, 93, 85]), ((1, 18), [28, 35, 23, 92, 91])] {
            let names = [
                job_manager(version),
                task_manager(version),
                job(version),
                task(true, 0, version),
                task(false, 0, version),
            ];
            assert_eq!(names.map(|names| names.len()), counts, "{version:?}");
        }
        assert_eq!(job((1, 13)).len(), 15);
    }

    #[test]
    fn ratios_of_the_last_second_are_transient() {
        assert!(is_transient("busyTimeMsPerSecond") && is_transient("a.split.1.watermark.idleTimeMsPerSecond"));
        assert!(!is_transient("hardBackPressuredTimeMsPerSecond"));
    }
}
