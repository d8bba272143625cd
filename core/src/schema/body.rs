//! Request bodies of named fields.

use serde::Serialize;

use crate::body::Body;
use crate::error::BuildError;
use crate::json::{self, NonFinite, WriteError};
use crate::operation_info::OperationInfo;

/// A JSON object under construction, without the fields that were not given.
#[derive(Debug, Default)]
pub(crate) struct JsonBody {
    buffer: Vec<u8>,
}

impl JsonBody {
    /// A body that is one value, such as a map whose keys are data.
    pub(crate) fn of<T: Serialize + ?Sized>(info: &OperationInfo, value: &T) -> Result<Body, BuildError> {
        let mut buffer = Vec::new();
        json::write(&mut buffer, value, NonFinite::Reject).map_err(|error| impossible(info, "body", error))?;
        Ok(Body::from(buffer))
    }

    pub(crate) fn field<T: Serialize + ?Sized>(
        &mut self,
        info: &OperationInfo,
        key: &'static str,
        value: &T,
    ) -> Result<(), BuildError> {
        self.buffer.push(if self.buffer.is_empty() { b'{' } else { b',' });
        let written = json::write(&mut self.buffer, key, NonFinite::Reject).and_then(|()| {
            self.buffer.push(b':');
            json::write(&mut self.buffer, value, NonFinite::Reject)
        });
        written.map_err(|error| impossible(info, key, error))
    }

    /// Without a field: an empty object if there is always to be one, else nothing.
    pub(crate) fn finish(mut self, always: bool) -> Option<Body> {
        match (self.buffer.is_empty(), always) {
            (true, false) => return None,
            (true, true) => self.buffer.extend_from_slice(b"{}"),
            (false, _) => self.buffer.push(b'}'),
        }
        Some(Body::from(self.buffer))
    }
}

/// A value of the caller that cannot be sent.
#[cold]
fn impossible(info: &OperationInfo, key: &'static str, error: WriteError) -> BuildError {
    match error {
        WriteError::NotFinite { field } => {
            let problem = "the number is NaN or infinite, which JSON cannot represent; set a finite number";
            BuildError::value(info.name, key, &field.unwrap_or_default(), problem)
        }
        WriteError::Serialize(error) => {
            BuildError::value(info.name, key, &error.to_string(), "it cannot be written as JSON")
        }
    }
}
