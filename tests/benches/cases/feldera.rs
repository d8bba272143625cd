//! Feldera's answers: rows of an egress body; the list of pipelines, statistics and time series as 0.337 sends them.

use std::fmt::{self, Write as _};
use std::hint::black_box;
use std::path::Path;

use memchr::memchr_iter;
use pipewright::decode::{Decoder, LineLimit};
use pipewright::feldera::pipelines::ListPipelines;
use pipewright::feldera::stats::{GetStats, GetTimeSeries};
use pipewright::feldera::stream::Egress;
use pipewright_tests::har;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::parsing::Parsing;

/// As Feldera's proxy sends bodies.
const PIECE: usize = 32 * 1024;

/// An egress body, read in two ways. Each gives the number of rows.
pub(crate) struct Rows {
    bytes: Vec<u8>,
}

impl Rows {
    /// Records of 100 rows of about 100 bytes.
    pub(crate) fn new(records: u32) -> Self {
        let mut text = String::new();
        for record in 0..records {
            let _ = write!(text, r#"{{"sequence_number":{record},"snapshot":false,"json_data":["#);
            for row in 0..100 {
                let (comma, width) = (if row == 0 { "" } else { "," }, row % 21);
                let _ = write!(
                    text,
                    r#"{comma}{{"insert":{{"id":1{row:07},"account":"DE{row:020}","note":"{:width$}","amount":{}}}}}"#,
                    "",
                    row * 997 % 99_999
                );
            }
            text.push_str("]}\r\n");
        }
        let rows = Self { bytes: text.into_bytes() };
        assert_eq!([rows.ours(), rows.raw_values()], [records as usize * 100; 2]);
        rows
    }

    /// With [`Egress`].
    pub(crate) fn ours(&self) -> usize {
        let (mut egress, mut rows) = (Egress::new(LineLimit::default()), 0);
        for piece in self.bytes.chunks(PIECE) {
            egress.feed(piece);
            while egress.advance().expect("a chunk") {
                for row in egress.item().rows() {
                    black_box(row);
                    rows += 1;
                }
            }
        }
        rows
    }

    /// With memchr and `serde_json`, over the whole and without a copy.
    pub(crate) fn raw_values(&self) -> usize {
        let (mut start, mut rows) = (0, 0);
        for end in memchr_iter(b'\n', &self.bytes) {
            let record: Record<'_> = serde_json::from_slice(&self.bytes[start..end]).expect("a record");
            start = end + 1;
            for row in record.0 {
                black_box(row.get());
                rows += 1;
            }
        }
        rows
    }
}

/// The rows of a record, as `serde_json` hands them out.
struct Record<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Record<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Record<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a record")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record<'de>, A::Error> {
                let mut rows = Vec::new();
                while let Some(key) = map.next_key::<&str>()? {
                    if key == "json_data" {
                        rows = map.next_value()?;
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Record(rows))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

/// The body of a recorded answer.
fn recorded(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/feldera/0.337.0-manager.har");
    let recording = har::read_file(&path).expect("the recording");
    let entry = recording.entries.iter().find(|entry| entry.name == name).expect("an entry");
    serde_json::from_slice(entry.response.body()).expect("JSON")
}

impl Parsing<ListPipelines> {
    /// A list of many pipelines, as one polls it.
    pub(crate) fn pipelines(count: usize) -> Self {
        Self::repeated("p2_killed_01_running", count)
    }

    /// The same with all that is known of them.
    pub(crate) fn whole_pipelines(count: usize) -> Self {
        Self::repeated("sqlwarning_get_success", count)
    }

    fn repeated(name: &str, count: usize) -> Self {
        let pipeline = recorded(name);
        Self::new(ListPipelines::new(), Value::from(vec![pipeline; count]).to_string())
    }
}

impl Parsing<GetStats> {
    /// Statistics of a pipeline with many connectors.
    pub(crate) fn statistics(connectors: usize) -> Self {
        let mut statistics = recorded("stats_after_transaction");
        for list in ["inputs", "outputs"] {
            let items = statistics[list].as_array_mut().expect("a list");
            let first = items.first().cloned();
            items.extend(std::iter::repeat_n(first, connectors).flatten());
        }
        Self::new(GetStats::new("p"), statistics.to_string())
    }
}

impl Parsing<GetTimeSeries> {
    /// The last minute, many times as long.
    pub(crate) fn time_series(samples: u64) -> Self {
        let samples: Vec<String> = (0..samples)
            .map(|at| {
                format!(
                    r#"{{"t":{},"r":{},"m":{},"s":0}}"#,
                    1_787_301_946_546 + at * 1000,
                    at * 1234,
                    163_213_312 + at * 4096
                )
            })
            .collect();
        Self::new(GetTimeSeries::new("p"), format!(r#"{{"now":1787301999000,"samples":[{}]}}"#, samples.join(",")))
    }
}
