//! [`StatementDiagnosis`]: what a statement had reached when it ended with an error.

use std::error::Error;
use std::fmt;

use crate::error::FlowError;
use crate::flink::JobId;
use crate::flink::sql_gateway::{OperationHandle, SessionHandle};

/// What a statement had reached when it ended with an error: the [evidence](FlowError::evidence) of the errors of
/// [`RunStatement`](super::RunStatement), as soon as there is a session.
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
    /// The session in which the statement ran.
    pub session: SessionHandle,
    /// The operation; `None` if the submission of the statement was not answered.
    pub operation: Option<OperationHandle>,
    /// The job of a query or an `INSERT`, as the last page said; `None` before that.
    pub job: Option<JobId>,
    /// The page that was to be fetched next.
    pub token: u64,
}

impl StatementDiagnosis {
    /// The diagnosis that an error carries.
    pub fn of(error: &FlowError) -> Option<&Self> {
        error.evidence()
    }
}

/// One line.
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
