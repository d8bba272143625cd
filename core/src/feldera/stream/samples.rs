//! The stream of time series.

use bytes::Bytes;
use http::Response;

use crate::decode::{DecodeError, Decoder, End, LineLimit, NdJson};
use crate::error::{ServiceError, excerpt};
use crate::feldera::FelderaApi;
use crate::feldera::stats::Sample;
use crate::json;
use crate::operation::{FromResponse, OperationInfo};
use crate::schema::operations;

operations! { FelderaApi;
    /// Streams the records, memory and storage of a pipeline: the last minute, then a sample each second until the
    /// pipeline stops. Since 0.129.
    ///
    /// [Reference](https://docs.feldera.com/api/stream-time-series).
    Safe GET "/v0/pipelines/{pipeline_name}/time_series_stream"
    StreamTimeSeries "get_pipeline_time_series_stream" -> Samples {
        streaming;
        path { pipeline_name: String }
    }
}

/// A decoder for samples.
#[derive(Debug)]
pub struct Samples {
    lines: NdJson,
    sample: Sample,
    error: Option<DecodeError>,
}

impl Samples {
    /// Creates a decoder.
    pub fn new() -> Self {
        Self { lines: NdJson::new(LineLimit(64 * 1024)), sample: Self::none(), error: None }
    }

    fn none() -> Sample {
        Sample { time: None, records: None, memory: None, storage: None }
    }
}

impl FromResponse for Samples {
    fn from_response(info: &'static OperationInfo, response: &Response<Bytes>) -> Result<Self, ServiceError> {
        super::reject_page(info, response).map(|()| Self::new())
    }
}

impl Default for Samples {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder for Samples {
    type Item<'a> = &'a Sample;

    fn feed(&mut self, bytes: &[u8]) {
        if self.error.is_none() {
            self.lines.feed(bytes);
        }
    }

    fn advance(&mut self) -> Result<bool, DecodeError> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        let read = self.lines.advance();
        self.sample = match read {
            Ok(true) => json::read_answer(self.lines.item()).map_err(|error| DecodeError::Malformed {
                item: self.lines.count(),
                problem: error.to_string(),
                excerpt: excerpt(self.lines.item(), 80),
            }),
            Ok(false) => {
                self.sample = Self::none();
                return Ok(false);
            }
            Err(error) => Err(error),
        }
        .inspect_err(|error| self.error = Some(error.clone()))?;
        Ok(true)
    }

    fn item(&self) -> &Sample {
        &self.sample
    }

    fn finish(&mut self, _: End) -> Result<(), DecodeError> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        // Each sample ends with a line end. A sample without it is cut off, even if the body ended properly.
        self.lines.finish(End::Truncated)
    }
}
