//! [`StatementDiagnosis`]: what a statement had reached when it ended with an error.

use std::error::Error;
use std::fmt;

use crate::error::FlowError;
use crate::flink::JobId;
use crate::flink::sql_gateway::{OperationHandle, SessionHandle};

/// The session, operation and job of a statement that ended with an error.
///
/// It is the [evidence](FlowError::evidence) of all errors of [`RunStatement`](super::RunStatement) after the session
/// was opened. Close the operation with it, or look up the job.
///
/// ```
/// use pipewright::error::FlowError;
/// use pipewright::flink::sql_gateway::StatementDiagnosis;
/// use pipewright::flink::sql_gateway::statements::CloseOperation;
///
/// /// Ends the query of a statement whose session is still open.
/// fn close(error: &FlowError) -> Option<CloseOperation> {
///     let diagnosis = StatementDiagnosis::of(error)?;
///     Some(CloseOperation::new(diagnosis.session, diagnosis.operation?))
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatementDiagnosis {
    /// The session of the statement.
    pub session: SessionHandle,
    /// `None` if the submission of the statement got no answer.
    pub operation: Option<OperationHandle>,
    /// The job of a query or an `INSERT`. `None` if no page has named it.
    pub job: Option<JobId>,
    /// The number of the page that the flow would have fetched next.
    pub token: u64,
}

impl StatementDiagnosis {
    /// Returns the diagnosis of an error; `None` if the error has no diagnosis.
    pub fn of(error: &FlowError) -> Option<&Self> {
        error.evidence()
    }
}

impl fmt::Display for StatementDiagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {}", self.session)?;
        match self.operation {
            Some(operation) => write!(f, ", operation {operation}, next page {}", self.token)?,
            None => f.write_str(", no known operation")?,
        }
        match self.job {
            Some(job) => write!(f, ", job {job}"),
            None => Ok(()),
        }
    }
}

impl Error for StatementDiagnosis {}
