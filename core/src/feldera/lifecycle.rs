//! Lifecycle: start, stop, pause, resume and what else can be wished of a pipeline.
//!
//! A success means that the wish is recorded; the status seen right afterwards is the old one.

use super::pipelines::BootstrapPolicy;
use super::{Accepted, FelderaApi};
use crate::schema::{operations, string_enums};

operations! { FelderaApi;
    /// Starts a stopped pipeline, once it is compiled. Repeating it is harmless.
    ///
    /// Refused with 400: `IllegalPipelineAction` while it stops, `CannotStartWithCompilationError`,
    /// `CannotStartWhileClearingStorage`, `CannotStartWithUndismissedError`, `InitialImmutableUnlessStopped` when it
    /// was started as something else: resume or pause it then.
    /// [Reference](https://docs.feldera.com/api/start-pipeline).
    Idempotent POST "/v0/pipelines/{pipeline_name}/start" StartPipeline "post_pipeline_start" -> Accepted {
        path { pipeline_name: String }
        query? {
            /// What it is to be; `Running` by default. Since 0.148, before which a start resumes too.
            initial: Initial,
            /// Whether changed views are filled; `AwaitApproval` by default.
            bootstrap_policy: BootstrapPolicy,
            /// Filling them writes no output.
            silent_bootstrap: bool,
            /// Others go on meanwhile.
            concurrent_bootstrap: bool,
            /// Forgets the error that stopped it last; true by default.
            dismiss_error: bool,
        }
    }

    /// Stops a pipeline: with a checkpoint, or at once.
    ///
    /// A forced stop is accepted in any state, cannot be taken back, and cancels one that is not forced. Refused
    /// without force: 501 `EnterpriseFeature` by the open-source edition, 400 `InvalidTransition`, 503.
    /// [Reference](https://docs.feldera.com/api/stop-pipeline).
    Idempotent POST "/v0/pipelines/{pipeline_name}/stop" StopPipeline "post_pipeline_stop" -> Accepted {
        timeout 150;
        path { pipeline_name: String }
        query? {
            /// At once, without a checkpoint; false by default.
            force: bool,
        }
    }

    /// Lets the connectors of a running pipeline rest.
    ///
    /// Refused with 503 `PipelineInteractionNotDeployed` when it is not deployed, 400 `InvalidTransition` from standby.
    /// [Reference](https://docs.feldera.com/api/pause-pipeline).
    Idempotent POST "/v0/pipelines/{pipeline_name}/pause" PausePipeline "post_pipeline_pause" -> Accepted {
        path { pipeline_name: String }
    }

    /// Ends the rest. Refused as [`PausePipeline`]. Since 0.148, before which [`StartPipeline`] does it.
    ///
    /// [Reference](https://docs.feldera.com/api/resume-pipeline).
    Idempotent POST "/v0/pipelines/{pipeline_name}/resume" ResumePipeline "post_pipeline_resume" -> Accepted {
        path { pipeline_name: String }
    }

    /// Ends the standby. Enterprise only: refused with 501 otherwise, with 400 from any other state. Since 0.148.
    ///
    /// [Reference](https://docs.feldera.com/api/activate-standby-pipeline).
    Idempotent POST "/v0/pipelines/{pipeline_name}/activate" ActivatePipeline "post_pipeline_activate" -> Accepted {
        path { pipeline_name: String }
        query? {
            /// What it is to be; `Running` by default.
            initial: Initial,
        }
    }

    /// Approves that changed views are filled; answers when the pipeline has left `AwaitingApproval`, and also when it
    /// was not there. Since 0.164. Refused with 503 when it is not deployed.
    ///
    /// [Reference](https://docs.feldera.com/api/approve-bootstrap).
    Idempotent POST "/v0/pipelines/{pipeline_name}/approve" ApprovePipeline "post_pipeline_approve" -> Accepted {
        timeout 150;
        path { pipeline_name: String }
        query? {
            /// Without output; false by default.
            silent_bootstrap: bool,
            /// Others go on meanwhile; false by default.
            concurrent_bootstrap: bool,
        }
    }

    /// Clears the storage of a stopped pipeline. Accepted also when it is clear.
    ///
    /// Refused with 400 `StorageStatusImmutableUnlessStopped`. [Reference](https://docs.feldera.com/api/clear-storage).
    Idempotent POST "/v0/pipelines/{pipeline_name}/clear" ClearPipeline "post_pipeline_clear" -> Accepted {
        path { pipeline_name: String }
    }

    /// Forgets the error that stopped the pipeline last. Accepted also without one. Since 0.251.
    ///
    /// Refused with 400 `DismissErrorRestrictedToFullyStopped`.
    /// [Reference](https://docs.feldera.com/api/dismiss-pipeline-deployment-error).
    Idempotent POST "/v0/pipelines/{pipeline_name}/dismiss_error"
    DismissError "post_pipeline_dismiss_error" -> Accepted {
        path { pipeline_name: String }
    }

    /// Deals data out to the workers anew.
    ///
    /// [Reference](https://docs.feldera.com/api/initiate-rebalancing).
    Idempotent POST "/v0/pipelines/{pipeline_name}/rebalance" RebalancePipeline "post_pipeline_rebalance" -> Accepted {
        timeout 150;
        path { pipeline_name: String }
    }

    /// Merges what lies on disk.
    ///
    /// [Reference](https://docs.feldera.com/api/initiate-compaction).
    Idempotent POST "/v0/pipelines/{pipeline_name}/start_compaction"
    StartCompaction "post_pipeline_start_compaction" -> Accepted {
        path { pipeline_name: String }
    }
}

string_enums! {
    /// What a pipeline is started as.
    pub enum Initial {
        Running = "running",
        /// With resting connectors.
        Paused = "paused",
        /// Following checkpoints of another; enterprise only.
        Standby = "standby",
    }
}
