//! [`Look`]: what a job and its last savepoint are like, for outcomes that are unknown.

use crate::error::FlowError;
use crate::flink::checkpoints::Checkpoints;
use crate::flink::error::is_unknown_job;
use crate::flink::{FlinkRest, GetCheckpoints, GetJobStatus, JobId};
use crate::flow::{Call, Common, Flow, Reply, Step, ok};
use crate::time::Timestamp;

/// Two questions, answered in words.
#[derive(Debug)]
pub(super) struct Look {
    job: JobId,
    state: Option<String>,
    status: Call<GetJobStatus>,
    checkpoints: Call<GetCheckpoints>,
}

impl Look {
    pub(super) fn new(job: JobId, cx: &mut Common<FlinkRest>) -> Self {
        Self {
            job,
            state: None,
            status: cx.call(GetJobStatus::new(job)),
            checkpoints: cx.call(GetCheckpoints::new(job)),
        }
    }

    pub(super) fn poll(&mut self, now: Timestamp, mut reply: Option<Reply>) -> Step<String> {
        if self.state.is_none() {
            match ok!(self.status.poll(now, reply.take())) {
                Ok(job) => self.state = Some(job.status.to_string()),
                Err(FlowError::Service(error)) if is_unknown_job(&error) => {
                    return Step::Done(Ok(format!("the cluster does not know job {}", self.job)));
                }
                Err(error) => return Step::Done(Err(error)),
            }
        }
        let savepoint = match ok!(self.checkpoints.poll(now, reply)) {
            Ok(checkpoints) => last_savepoint(&checkpoints),
            Err(error) => format!("its last savepoint could not be read: {error}"),
        };
        let state = self.state.as_deref().unwrap_or_default();
        Step::Done(Ok(format!("job {} is {state}; {savepoint}", self.job)))
    }
}

fn last_savepoint(checkpoints: &Checkpoints) -> String {
    let Some(savepoint) = &checkpoints.latest.savepoint else {
        return "the JobManager lists no savepoint of it (it forgets them when it restarts, and its list may be some \
                seconds old)"
            .to_owned();
    };
    let path = savepoint.external_path.as_deref().unwrap_or("at an unknown place");
    let kind = savepoint.checkpoint_type.as_ref().map_or("SAVEPOINT", |kind| kind.as_str());
    match savepoint.trigger_timestamp.get() {
        Some(at) => format!("its last savepoint is {path} ({kind}, triggered at {at})"),
        None => format!("its last savepoint is {path} ({kind})"),
    }
}
