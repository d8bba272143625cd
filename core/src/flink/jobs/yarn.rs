//! Operations for YARN's proxy, which forwarded only `GET`: they end jobs by `GET`.

use crate::flink::{Acknowledged, FlinkRest, JobId};
use crate::schema::operations;

operations! { FlinkRest;
    /// Cancels a job by `GET`. Use [`CancelJob`](super::CancelJob), unless a proxy forwards only `GET`. Not in the
    /// published description.
    ///
    /// An unknown job is rejected with 404, a finished or failed job with 409.
    Idempotent GET "/jobs/{jobid}/yarn-cancel" YarnCancelJob "yarnCancelJob" -> Acknowledged {
        path { jobid: JobId }
    }

    /// Does nothing. Not in the published description: use [`StartStop`](crate::flink::savepoints::StartStop).
    ///
    /// Always rejected with 308, because stopping takes a savepoint since 1.10.
    Idempotent GET "/jobs/{jobid}/yarn-stop" YarnStopJob "yarnStopJob" -> Acknowledged {
        path { jobid: JobId }
    }
}
