//! Metrics, in the text format of Prometheus or as JSON. Both are read into the same types.

mod text;

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Response;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::value::reject_page;
use super::{FelderaApi, Json};
use crate::decode::without_mark;
use crate::error::{ServiceError, content_type};
use crate::operation::{FromResponse, OperationInfo, read_answer};
use crate::schema::{self, json_structs, operations, string_enums};

operations! { FelderaApi;
    /// Returns the metrics of all running and paused pipelines. The answer omits pipelines that do not answer, without
    /// a sign.
    ///
    /// [Reference](https://docs.feldera.com/api/list-all-metrics).
    Safe GET "/v0/metrics" GetAllMetrics "get_metrics" -> Metrics {}

    /// Returns the metrics of a pipeline. Rejected with 503 if the pipeline is not deployed.
    ///
    /// [Reference](https://docs.feldera.com/api/get-pipeline-metrics).
    Safe GET "/v0/pipelines/{pipeline_name}/metrics" GetMetrics "get_pipeline_metrics" -> Metrics {
        path { pipeline_name: String }
        query? {
            /// The format of the answer; `Prometheus` by default.
            format: MetricsFormat,
        }
    }
}

string_enums! {
    /// The format of metrics in an answer.
    pub enum MetricsFormat {
        /// The [text format](https://prometheus.io/docs/instrumenting/exposition_formats/).
        Prometheus = "prometheus",
        /// JSON.
        Json = "json",
    }

    /// The kind of a metric.
    pub enum MetricKind {
        /// A number that only grows while the process runs.
        Counter = "counter",
        /// A number that may grow and shrink.
        Gauge = "gauge",
        /// The number of measured values in each of several ranges.
        Histogram = "histogram",
        /// Quantiles of a measured value. Feldera up to 0.349 has none.
        Summary = "summary",
        /// An unknown kind. Feldera up to 0.349 has none.
        Untyped = "untyped",
    }
}

json_structs! {
    /// A metric.
    pub struct Metric {
        pub name: String = "key",
        /// The kind. `None` if the text format does not state it.
        pub kind: Option<MetricKind> = "type",
        /// Its meaning, in English.
        pub description: Option<String>,
        /// A value for each combination of labels.
        pub values: Vec<MetricValue>,
    }

    /// A value of a metric.
    pub struct MetricValue {
        /// The name of the line in the text format, if it is not the metric's, such as `x_sum` of a summary `x`.
        pub name: Option<String>,
        pub labels: BTreeMap<String, String>,
        pub value: SampleValue,
    }

    /// The number of measured values in each of several ranges.
    pub struct Histogram {
        /// The ranges with values, in ascending order.
        pub buckets: Vec<Bucket>,
        /// The sum of all measured values, in the unit of the metric.
        pub sum: f64,
        pub count: u64,
    }

    /// A range of a histogram.
    pub struct Bucket (sparse) {
        /// The exclusive lower bound. `None` in the lowest range.
        pub above: Option<f64> = "gt",
        /// The inclusive upper bound. `None` in the highest range.
        pub up_to: Option<f64> = "le",
        /// The number of values in this range.
        pub count: u64,
    }
}

/// A number, or a histogram.
///
/// ```
/// use pipewright::feldera::metrics::Metrics;
/// let text = r#"[{"key":"delay","type":"histogram","values":[{"labels":{},"value":
///     {"buckets":[{"gt":0.01,"le":0.02,"count":2},{"gt":0.02,"count":1}],"sum":7.25,"count":3}}]}]"#;
/// let metrics: Metrics = serde_json::from_str(text)?;
/// let delay = metrics.get("delay").and_then(|metric| metric.values[0].value.histogram()).expect("a histogram");
/// assert_eq!((delay.sum, delay.count), (7.25, 3));
/// assert_eq!((delay.buckets[1].above, delay.buckets[1].up_to), (Some(0.02), None));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SampleValue {
    /// The number of a counter or a gauge. May be infinite or `NaN`.
    Number(f64),
    /// A histogram.
    Histogram(Histogram),
    /// A value of another shape, as the server sent it: it has other or more fields than a histogram.
    Unknown(Json),
}

impl SampleValue {
    /// Returns the number of a counter or a gauge.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// Returns the histogram.
    pub fn histogram(&self) -> Option<&Histogram> {
        match self {
            Self::Histogram(histogram) => Some(histogram),
            _ => None,
        }
    }
}

impl Serialize for SampleValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => schema::AsWire(number).serialize(serializer),
            Self::Histogram(histogram) => histogram.serialize(serializer),
            Self::Unknown(value) => value.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for SampleValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A value of an unknown shape must not make all other metrics unreadable.
        let value = Json::deserialize(deserializer)?;
        let read = if value.get().starts_with('{') {
            let is_known = value.parse::<BTreeMap<String, Json>>().is_ok_and(|fields| is_histogram(&fields));
            value.parse().ok().map(Self::Histogram).filter(|_| is_known)
        } else {
            value.parse().ok().map(|schema::Value(number)| Self::Number(number))
        };
        Ok(read.unwrap_or(Self::Unknown(value)))
    }
}

/// Returns whether these are the fields of a [`Histogram`].
fn is_histogram(fields: &BTreeMap<String, Json>) -> bool {
    let has_only = |fields: &BTreeMap<String, Json>, known: &[&str]| fields.keys().all(|key| known.contains(&&**key));
    let buckets = fields.get("buckets").and_then(|buckets| buckets.parse::<Vec<BTreeMap<String, Json>>>().ok());
    has_only(fields, &["buckets", "sum", "count"])
        && buckets.is_some_and(|buckets| buckets.iter().all(|bucket| has_only(bucket, &["gt", "le", "count"])))
}

impl schema::WireField for SampleValue {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(deserializer)
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.serialize(serializer)
    }

    /// JSON cannot represent `NaN`; many writers send `null` instead.
    fn absent() -> Option<Self> {
        Some(Self::Number(f64::NAN))
    }
}

/// Metrics, in the order of the answer.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Metrics {
    /// The metrics.
    pub metrics: Vec<Metric>,
}

impl Metrics {
    /// Returns the metric of this name.
    pub fn get(&self, name: &str) -> Option<&Metric> {
        self.metrics.iter().find(|metric| metric.name == name)
    }
}

impl Serialize for Metrics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.metrics.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Metrics {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        schema::Value::deserialize(deserializer).map(|schema::Value(metrics)| Self { metrics })
    }
}

impl FromResponse for Metrics {
    fn from_response(info: &'static OperationInfo, response: &Response<Bytes>) -> Result<Self, ServiceError> {
        reject_page(info, response)?;
        // The text format is described as `application/octet-stream` and comes as `text/plain`.
        if content_type(response).is_some_and(|kind| kind.eq_ignore_ascii_case("application/json")) {
            return read_answer(info, response);
        }
        let unreadable = |problem: String| ServiceError::unreadable(info, response, &problem);
        let text = std::str::from_utf8(without_mark(response.body()));
        let text = text.map_err(|error| unreadable(format!("no text: {error}")))?;
        Self::from_prometheus(text).map_err(|problem| unreadable(format!("not the text format: {problem}")))
    }
}
