//! Metrics: in the text format of Prometheus, or as JSON; read into the same types.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Response;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::FelderaApi;
use super::value::refuse_page;
use crate::error::{ServiceError, content_type};
use crate::operation::{Answer, Info, read_json};
use crate::table::{self, operations, records, words};

operations! { FelderaApi;
    /// Metrics of all pipelines that are running or paused. Those that do not answer are left out without a word.
    ///
    /// [Reference](https://docs.feldera.com/api/list-all-metrics).
    Safe GET "/v0/metrics" GetAllMetrics "get_metrics" -> Metrics {}

    /// Metrics of a pipeline. Refused with 503 when not deployed.
    ///
    /// [Reference](https://docs.feldera.com/api/get-pipeline-metrics).
    Safe GET "/v0/pipelines/{pipeline_name}/metrics" GetMetrics "get_pipeline_metrics" -> Metrics {
        path { pipeline_name: String }
        query? {
            /// How they are sent; `Prometheus` by default.
            format: MetricsFormat = "format",
        }
    }
}

words! {
    /// How metrics are sent.
    pub enum MetricsFormat {
        /// The [text format](https://prometheus.io/docs/instrumenting/exposition_formats/).
        Prometheus = "prometheus",
        /// JSON.
        Json = "json",
    }
}

records! {
    /// A metric.
    pub struct Metric {
        /// Its name.
        pub name: String = "key",
        /// `counter`, `gauge`, `histogram` and the like.
        pub kind: Option<String> = "type",
        /// What it means.
        pub description: Option<String> = "description",
        /// Its values.
        pub values: Vec<MetricValue> = "values",
    }

    /// A value of a metric.
    pub struct MetricValue {
        /// What it is the value of, such as a part of a histogram: its name, where that is not the metric's.
        pub name: Option<String> = "name",
        /// Its labels.
        pub labels: BTreeMap<String, String> = "labels",
        /// The value.
        pub value: f64 = "value",
    }
}

/// Metrics, in the order in which they came.
///
/// ```
/// use pipewright::feldera::metrics::Metrics;
/// let text = "# TYPE records counter\nrecords{pipeline=\"p\"} 5\n";
/// let metrics = Metrics::from_prometheus(text).expect("well-formed");
/// assert_eq!(metrics.get("records").expect("it is there").values[0].value, 5.0);
/// assert_eq!(Metrics::from_prometheus("records{").unwrap_err(), "line 1: records{");
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Metrics {
    /// The metrics.
    pub metrics: Vec<Metric>,
}

impl Metrics {
    /// The metric of a name.
    pub fn get(&self, name: &str) -> Option<&Metric> {
        self.metrics.iter().find(|metric| metric.name == name)
    }

    /// Reads the text format.
    ///
    /// # Errors
    /// With the number and text of the first line that is none of it.
    pub fn from_prometheus(text: &str) -> Result<Self, String> {
        let (mut metrics, mut places) = (Self::default(), BTreeMap::new());
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            let read = match line.strip_prefix('#') {
                Some(comment) => {
                    metrics.comment(&mut places, comment.trim_start());
                    Some(())
                }
                None => metrics.sample(&mut places, line),
            };
            read.ok_or_else(|| format!("line {}: {}", at + 1, crate::error::excerpt(line.as_bytes(), 80)))?;
        }
        Ok(metrics)
    }

    fn named(&mut self, places: &mut BTreeMap<String, usize>, name: &str) -> Option<&mut Metric> {
        let at = *places.entry(name.to_owned()).or_insert(self.metrics.len());
        if at == self.metrics.len() {
            self.metrics.push(Metric { name: name.to_owned(), kind: None, description: None, values: Vec::new() });
        }
        self.metrics.get_mut(at)
    }

    fn comment(&mut self, places: &mut BTreeMap<String, usize>, comment: &str) {
        let mut words = comment.splitn(3, ' ');
        let (Some(what @ ("HELP" | "TYPE")), Some(name)) = (words.next(), words.next()) else { return };
        let rest = words.next().unwrap_or_default();
        let Some(metric) = self.named(places, name) else { return };
        if what == "TYPE" {
            metric.kind = Some(rest.to_owned());
        } else {
            metric.description = Some(unescape(rest));
        }
    }

    /// `name{label="value",…} value timestamp?`
    fn sample(&mut self, places: &mut BTreeMap<String, usize>, line: &str) -> Option<()> {
        let (name, rest) = line.split_at(line.find(['{', ' ', '\t'])?);
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest)?,
            None => (BTreeMap::new(), rest),
        };
        let value = number(rest.split_whitespace().next()?)?;
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
        let family = family.filter(|family| places.contains_key(*family)).unwrap_or(name);
        let own = (family != name).then(|| name.to_owned());
        self.named(places, family)?.values.push(MetricValue { name: own, labels, value });
        Some(())
    }
}

/// What stands behind the brace, up to the next, and the rest.
fn labels(mut text: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        text = text.trim_start_matches([' ', ',']);
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, rest) = text.split_once("=\"")?;
        let mut escaped = false;
        let end = rest.bytes().position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        })?;
        labels.insert(name.trim().to_owned(), unescape(rest.get(..end)?));
        text = rest.get(end + 1..)?;
    }
}

fn unescape(text: &str) -> String {
    let (mut out, mut chars) = (String::with_capacity(text.len()), text.chars());
    while let Some(char) = chars.next() {
        match (char, char == '\\') {
            (char, false) => out.push(char),
            (_, true) => match chars.next() {
                Some('n') => out.push('\n'),
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
        }
    }
    out
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        _ => text.parse().ok(),
    }
}

impl Serialize for Metrics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.metrics.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Metrics {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        table::Value::deserialize(deserializer).map(|table::Value(metrics)| Self { metrics })
    }
}

impl Answer for Metrics {
    fn read(info: &'static Info, response: &Response<Bytes>) -> Result<Self, ServiceError> {
        refuse_page(info, response)?;
        // The text format is described as `application/octet-stream` and comes as `text/plain`.
        if content_type(response).is_some_and(|kind| kind.eq_ignore_ascii_case("application/json")) {
            return read_json(info, response);
        }
        let unreadable = |problem: String| ServiceError::unreadable(info, response, &problem);
        let text = std::str::from_utf8(response.body()).map_err(|error| unreadable(format!("no text: {error}")))?;
        Self::from_prometheus(text).map_err(|problem| unreadable(format!("not the text format: {problem}")))
    }
}
