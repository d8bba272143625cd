//! What YARN's proxy needed: ends of jobs by `GET`, because it passed nothing else on.

use crate::flink::{Acknowledged, FlinkRest, JobId};
use crate::schema::operations;

operations! { FlinkRest;
    /// Cancels a job, although it is a `GET`. Not in the published description: use [`CancelJob`](super::CancelJob),
    /// unless a proxy passes nothing but `GET`.
    ///
    /// Rejected: an unknown job with 404, a finished or failed one with 409.
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
