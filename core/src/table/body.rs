//! Request bodies of named fields.

use serde::Serialize;

use crate::body::Body;
use crate::error::BuildError;
use crate::operation::Info;

/// A JSON object under construction, without the fields that were not given.
#[derive(Debug, Default)]
pub(crate) struct JsonBody {
    buffer: Vec<u8>,
}

impl JsonBody {
    /// A body that is one value, such as a map whose keys are data.
    pub(crate) fn of<T: Serialize + ?Sized>(info: &Info, value: &T) -> Result<Body, BuildError> {
        serde_json::to_vec(value)
            .map(Body::from)
            .map_err(|error| BuildError::value(info.name, "body", &error.to_string(), "it cannot be written as JSON"))
    }

    pub(crate) fn field<T: Serialize + ?Sized>(
        &mut self,
        info: &Info,
        key: &'static str,
        value: &T,
    ) -> Result<(), BuildError> {
        self.buffer.push(if self.buffer.is_empty() { b'{' } else { b',' });
        serde_json::to_writer(&mut self.buffer, key)
            .and_then(|()| {
                self.buffer.push(b':');
                serde_json::to_writer(&mut self.buffer, value)
            })
            .map_err(|error| BuildError::value(info.name, key, &error.to_string(), "it cannot be written as JSON"))
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
