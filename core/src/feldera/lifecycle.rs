//! Life cycle: start, stop, pause and resume pipelines, clear their storage and others.
//!
//! These operations only set the desired status. Right after a success, the actual status is still unchanged: use a
//! flow such as [`EnsureRunning`](crate::feldera::EnsureRunning) to wait for it.

use super::pipelines::BootstrapPolicy;
use super::{Accepted, FelderaApi};
use crate::schema::{operations, string_enums};

operations! { FelderaApi;
    /// Starts a stopped pipeline as soon as it is compiled. Repeating the request is harmless.
    ///
    /// Rejected with 400: `IllegalPipelineAction` while the pipeline stops, `CannotStartWithCompilationError`,
    /// `CannotStartWhileClearingStorage`, `CannotStartWithUndismissedError`. Also `InitialImmutableUnlessStopped` if
    /// the pipeline was started with another initial status: resume or pause it then.
    /// [Reference](https://docs.feldera.com/api/start-pipeline).
    Idempotent POST "/v0/pipelines/{pipeline_name}/start" StartPipeline "post_pipeline_start" -> Accepted {
        path { pipeline_name: String }
        query? {
            /// The initial desired status; `Running` by default. Since 0.148; before, a start also resumes.
            initial: Initial,
            /// What to do if views have changed; `AwaitApproval` by default.
            bootstrap_policy: BootstrapPolicy,
            /// Whether the backfill writes no output. Do not combine it with `concurrent_bootstrap`.
            silent_bootstrap: bool,
            /// Whether the other views are processed during the backfill. Feldera's description of the approval calls
            /// it mutually exclusive with `silent_bootstrap`.
            concurrent_bootstrap: bool,
            /// Whether to clear the error that stopped the pipeline last; true by default.
            dismiss_error: bool,
        }
    }

    /// Stops a pipeline, after a checkpoint or at once.
    ///
    /// A forced stop is accepted in any state, cannot be cancelled, and replaces a stop without force. A stop without
    /// force is rejected with 501 `EnterpriseFeature` by the open-source edition, with 400 `InvalidTransition`, or with
    /// 503.
    /// [Reference](https://docs.feldera.com/api/stop-pipeline).
    Idempotent POST "/v0/pipelines/{pipeline_name}/stop" StopPipeline "post_pipeline_stop" -> Accepted {
        timeout 150;
        path { pipeline_name: String }
        query? {
            /// Whether to stop at once, without a checkpoint; false by default.
            force: bool,
        }
    }

    /// Pauses a running pipeline: its connectors stop reading.
    ///
    /// Rejected with 503 `PipelineInteractionNotDeployed` if the pipeline is not deployed, and with 400
    /// `InvalidTransition` if it is a standby.
    /// [Reference](https://docs.feldera.com/api/pause-pipeline).
    Idempotent POST "/v0/pipelines/{pipeline_name}/pause" PausePipeline "post_pipeline_pause" -> Accepted {
        path { pipeline_name: String }
    }

    /// Resumes a paused pipeline. Rejected as [`PausePipeline`]. Since 0.148; before, use [`StartPipeline`].
    ///
    /// [Reference](https://docs.feldera.com/api/resume-pipeline).
    Idempotent POST "/v0/pipelines/{pipeline_name}/resume" ResumePipeline "post_pipeline_resume" -> Accepted {
        path { pipeline_name: String }
    }

    /// Activates a standby pipeline. Rejected with 501 by the open-source edition, and with 400 if the pipeline is not
    /// a standby. Since 0.148.
    ///
    /// [Reference](https://docs.feldera.com/api/activate-standby-pipeline).
    Idempotent POST "/v0/pipelines/{pipeline_name}/activate" ActivatePipeline "post_pipeline_activate" -> Accepted {
        path { pipeline_name: String }
        query? {
            /// The new desired status; `Running` by default.
            initial: Initial,
        }
    }

    /// Approves the backfill of changed views. The server answers when the pipeline has left `AwaitingApproval`, or at
    /// once if it needs no approval. Since 0.164. Rejected with 503 if the pipeline is not deployed.
    ///
    /// [Reference](https://docs.feldera.com/api/approve-bootstrap).
    Idempotent POST "/v0/pipelines/{pipeline_name}/approve" ApprovePipeline "post_pipeline_approve" -> Accepted {
        timeout 150;
        path { pipeline_name: String }
        query? {
            /// Whether the backfill writes no output. Do not combine it with `concurrent_bootstrap`.
            silent_bootstrap: bool,
            /// Whether the other views are processed during the backfill. Feldera calls it mutually exclusive with
            /// `silent_bootstrap`.
            concurrent_bootstrap: bool,
        }
    }

    /// Clears the storage of a stopped pipeline. Also accepted if the storage is clear.
    ///
    /// Rejected with 400 `StorageStatusImmutableUnlessStopped` if the pipeline is not stopped.
    /// [Reference](https://docs.feldera.com/api/clear-storage).
    Idempotent POST "/v0/pipelines/{pipeline_name}/clear" ClearPipeline "post_pipeline_clear" -> Accepted {
        path { pipeline_name: String }
    }

    /// Clears the error that stopped the pipeline last. Also accepted if there was no error. Since 0.251.
    ///
    /// Rejected with 400 `DismissErrorRestrictedToFullyStopped` if the pipeline is not stopped.
    /// [Reference](https://docs.feldera.com/api/dismiss-pipeline-deployment-error).
    Idempotent POST "/v0/pipelines/{pipeline_name}/dismiss_error"
    DismissError "post_pipeline_dismiss_error" -> Accepted {
        path { pipeline_name: String }
    }

    /// Redistributes the data among the workers.
    ///
    /// [Reference](https://docs.feldera.com/api/initiate-rebalancing).
    Idempotent POST "/v0/pipelines/{pipeline_name}/rebalance" RebalancePipeline "post_pipeline_rebalance" -> Accepted {
        timeout 150;
        path { pipeline_name: String }
    }

    /// Merges the batches on disk.
    ///
    /// [Reference](https://docs.feldera.com/api/initiate-compaction).
    Idempotent POST "/v0/pipelines/{pipeline_name}/start_compaction"
    StartCompaction "post_pipeline_start_compaction" -> Accepted {
        path { pipeline_name: String }
    }
}

string_enums! {
    /// The initial desired status of a pipeline.
    pub enum Initial {
        Running = "running",
        /// The pipeline starts, but its connectors do not read.
        Paused = "paused",
        /// The pipeline follows the checkpoints of another pipeline. Enterprise edition only.
        Standby = "standby",
    }
}
