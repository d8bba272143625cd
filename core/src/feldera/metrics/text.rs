//! The text format of Prometheus.

use std::collections::BTreeMap;

use super::{Bucket, Histogram, Metric, MetricKind, MetricValue, Metrics, SampleValue};

/// The labels of a line.
type Labels = BTreeMap<String, String>;

impl Metrics {
    /// Reads the text format. The lines of a histogram become one value.
    ///
    /// # Errors
    /// The number and the text of the first line that is not in the format.
    pub fn from_prometheus(text: &str) -> Result<Self, String> {
        let mut reader = Reader::default();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            let read = match line.strip_prefix('#') {
                Some(comment) => {
                    reader.comment(comment.trim_start());
                    Some(())
                }
                None => reader.sample(line),
            };
            read.ok_or_else(|| format!("line {}: {}", at + 1, crate::error::excerpt(line.as_bytes(), 80)))?;
        }
        let mut metrics = reader.metrics;
        for metric in &mut metrics {
            if metric.kind == Some(MetricKind::Histogram) {
                metric.values = histograms(&metric.name, std::mem::take(&mut metric.values));
            }
        }
        Ok(Self { metrics })
    }
}

#[derive(Default)]
struct Reader {
    metrics: Vec<Metric>,
    /// Where each metric is, by its name.
    places: BTreeMap<String, usize>,
}

impl Reader {
    fn named(&mut self, name: &str) -> Option<&mut Metric> {
        let at = *self.places.entry(name.to_owned()).or_insert(self.metrics.len());
        if at == self.metrics.len() {
            self.metrics.push(Metric { name: name.to_owned(), kind: None, description: None, values: Vec::new() });
        }
        self.metrics.get_mut(at)
    }

    fn comment(&mut self, comment: &str) {
        let mut words = comment.splitn(3, ' ');
        let (Some(what @ ("HELP" | "TYPE")), Some(name)) = (words.next(), words.next()) else { return };
        let rest = words.next().unwrap_or_default();
        let Some(metric) = self.named(name) else { return };
        if what == "TYPE" {
            metric.kind = Some(rest.into());
        } else {
            metric.description = Some(unescape(rest));
        }
    }

    /// Reads a line: `name{label="value",…} value timestamp?`
    fn sample(&mut self, line: &str) -> Option<()> {
        let (name, rest) = line.split_at(line.find(['{', ' ', '\t'])?);
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest)?,
            None => (Labels::new(), rest),
        };
        let value = SampleValue::Number(number(rest.split_whitespace().next()?)?);
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
        let family = family.filter(|family| self.places.contains_key(*family)).unwrap_or(name);
        let own = (family != name).then(|| name.to_owned());
        self.named(family)?.values.push(MetricValue { name: own, labels, value });
        Some(())
    }
}

/// Combines the lines of a metric: lines with equal labels, except `le`, are one histogram. Other lines are unchanged.
fn histograms(metric: &str, lines: Vec<MetricValue>) -> Vec<MetricValue> {
    let mut values: Vec<MetricValue> = Vec::new();
    // The bound and the count of the previous line, which the counts of the text format include.
    let (mut bound, mut below) = (None, 0);
    for line in lines {
        let Some((part, labels)) = part(metric, &line) else {
            values.push(line);
            continue;
        };
        let continues = |last: &&mut MetricValue| last.labels == labels && last.value.histogram().is_some();
        if values.last_mut().as_ref().is_none_or(|last| !continues(last)) {
            let value = SampleValue::Histogram(Histogram { buckets: Vec::new(), sum: f64::NAN, count: 0 });
            values.push(MetricValue { name: None, labels, value });
            (bound, below) = (None, 0);
        }
        let Some(MetricValue { value: SampleValue::Histogram(histogram), .. }) = values.last_mut() else { continue };
        match part {
            Part::Sum(sum) => histogram.sum = sum,
            Part::Count(count) => histogram.count = count,
            Part::Bucket { up_to, count } => {
                if count > below {
                    let up_to = Some(up_to).filter(|bound| bound.is_finite());
                    histogram.buckets.push(Bucket { above: bound, up_to, count: count - below });
                }
                (bound, below) = (Some(up_to), count);
            }
        }
    }
    values
}

/// The part of a histogram that a line has.
enum Part {
    Bucket { up_to: f64, count: u64 },
    Sum(f64),
    Count(u64),
}

/// Reads a line as a part of a histogram, and returns the labels of the histogram.
fn part(metric: &str, line: &MetricValue) -> Option<(Part, Labels)> {
    let value = line.value.number()?;
    let mut labels = line.labels.clone();
    let part = match line.name.as_deref()?.strip_prefix(metric)? {
        "_bucket" => Part::Bucket { up_to: number(&labels.remove("le")?)?, count: whole(value)? },
        "_sum" => Part::Sum(value),
        "_count" => Part::Count(whole(value)?),
        _ => return None,
    };
    Some((part, labels))
}

/// Converts a count, which the server writes like any other number.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole and within the range")]
fn whole(number: f64) -> Option<u64> {
    /// 2⁶³: far above any count, and the same as a floating-point number.
    const TOO_MANY: f64 = 9_223_372_036_854_775_808.0;
    (number.fract() == 0.0 && (0.0..TOO_MANY).contains(&number)).then_some(number as u64)
}

/// Reads the labels after the opening brace, up to the closing brace, and returns the rest of the line.
fn labels(mut text: &str) -> Option<(Labels, &str)> {
    let mut labels = Labels::new();
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
