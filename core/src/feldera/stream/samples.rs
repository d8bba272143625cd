//! Time series without an end.

use bytes::Bytes;
use http::{Method, Request, Response};

use crate::body::Body;
use crate::decode::{DecodeError, Decoder, End, LineLimit, NdJson};
use crate::error::{BuildError, ServiceError, excerpt};
use crate::feldera::FelderaApi;
use crate::feldera::stats::Sample;
use crate::json;
use crate::operation::{Effect, Info, Operation, RequestContext};
use crate::url::Target;

/// Records, memory and storage: the last minute, then a sample each second until the pipeline stops. Since 0.129.
///
/// [Reference](https://docs.feldera.com/api/stream-time-series).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamTimeSeries {
    /// The pipeline.
    pub pipeline_name: String,
}

impl StreamTimeSeries {
    /// Of a pipeline.
    pub fn new(pipeline_name: impl Into<String>) -> Self {
        Self { pipeline_name: pipeline_name.into() }
    }
}

impl Operation for StreamTimeSeries {
    type Output = Samples;
    type Service = FelderaApi;

    const INFO: &'static Info = &Info {
        service: "feldera",
        name: "get_pipeline_time_series_stream",
        method: Method::GET,
        path: "/v0/pipelines/{pipeline_name}/time_series_stream",
        effect: Effect::Safe,
        effect_varies: false,
    };
    const LIVE: bool = true;

    fn request(&self, cx: RequestContext<'_>) -> Result<Request<Body>, BuildError> {
        let mut target = Target::new::<FelderaApi>(Self::INFO, cx);
        target.segment("pipeline_name", &self.pipeline_name)?;
        target.finish(None)
    }

    fn parse(&self, response: Response<Bytes>) -> Result<Samples, ServiceError> {
        super::head(Self::INFO, &response)?;
        Ok(Samples::new())
    }
}

/// Samples, one a line.
#[derive(Debug)]
pub struct Samples {
    lines: NdJson,
    sample: Sample,
    error: Option<DecodeError>,
}

impl Samples {
    /// A decoder at the beginning of a body.
    pub fn new() -> Self {
        Self { lines: NdJson::new(LineLimit(64 * 1024)), sample: Self::none(), error: None }
    }

    fn none() -> Sample {
        Sample { time: 0, records: 0, memory: 0, storage: 0 }
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
            Ok(true) => json::read(self.lines.item()).map_err(|error| DecodeError::Malformed {
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
        // Each sample has its line end: one without is cut off, however the body ended.
        self.lines.finish(End::Truncated)
    }
}
