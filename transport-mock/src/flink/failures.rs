//! Why jobs fail, with the texts of the server.

use std::time::Duration;

use super::errors::Throwable;

const TASK: &str =
    "org.apache.flink.streaming.runtime.tasks.StreamTask.lambda$notifyCheckpointAbortAsync$21(StreamTask.java:1576)";

pub(super) fn told_to_fail() -> Throwable {
    Throwable::new("java.lang.IllegalStateException", "demo: told to fail", "demo.Counting$Bomb.map(Counting.java:47)")
        .because(Throwable::new(
            "java.lang.RuntimeException",
            "inner cause",
            "demo.Counting$Bomb.map(Counting.java:46)",
        ))
}

pub(super) fn two_stops() -> Throwable {
    Throwable::new("org.apache.flink.util.FlinkRuntimeException", "Stop-with-savepoint failed.", TASK)
}

pub(super) fn stopping_failed(job: &str, savepoint: &str) -> Throwable {
    Throwable::new(
        "org.apache.flink.runtime.scheduler.stopwithsavepoint.StopWithSavepointStoppingException",
        format!(
            "A savepoint has been created at: {savepoint}, but the corresponding job {job} failed during stopping. The savepoint is consistent, but might have uncommitted transactions. If you want to commit the transaction please restart a job from this savepoint."
        ),
        "org.apache.flink.runtime.scheduler.stopwithsavepoint.StopWithSavepointTerminationHandlerImpl.terminateExceptionallyWithGlobalFailover(StopWithSavepointTerminationHandlerImpl.java:146)",
    )
}

pub(super) fn unrecoverable() -> Throwable {
    Throwable::new(
        "org.apache.flink.runtime.JobException",
        "The failure is not recoverable",
        "org.apache.flink.runtime.executiongraph.failover.ExecutionFailureHandler.handleFailure(ExecutionFailureHandler.java:163)",
    )
}

pub(super) fn snapshot_failed() -> Throwable {
    Throwable::new("java.lang.Exception", "Could not perform checkpoint for operator count per key.", TASK).because(
        Throwable::new("java.io.IOException", "demo: snapshot fails", "demo.Counting.snapshotState(Counting.java:81)"),
    )
}

pub(super) fn state_migration() -> Throwable {
    let frame = "org.apache.flink.streaming.api.operators.StreamTaskStateInitializerImpl.streamOperatorStateContext(StreamTaskStateInitializerImpl.java:299)";
    Throwable::new("java.lang.Exception", "Exception while creating StreamOperatorStateContext.", frame).because(
        Throwable::new(
            "org.apache.flink.util.StateMigrationException",
            "The new state serializer must not be incompatible with the old state serializer.",
            "org.apache.flink.runtime.state.heap.HeapKeyedStateBackend.tryRegisterStateTable(HeapKeyedStateBackend.java:275)",
        ),
    )
}

pub(super) fn recovery_suppressed(restarts: u32, delay: Duration) -> Throwable {
    let strategy = if restarts == 0 {
        "NoRestartBackoffTimeStrategy".to_owned()
    } else {
        let delay = delay.as_millis();
        format!("FixedDelayRestartBackoffTimeStrategy(maxNumberRestartAttempts={restarts}, backoffTimeMS={delay})")
    };
    Throwable::new(
        "org.apache.flink.runtime.JobException",
        format!("Recovery is suppressed by {strategy}"),
        "org.apache.flink.runtime.executiongraph.failover.ExecutionFailureHandler.handleFailure(ExecutionFailureHandler.java:213)",
    )
}
