//! Batches of rows of about 200 bytes.

#![allow(dead_code, reason = "one bench has cases that the other has not")]

use std::hint::black_box;

use pipewright::Timestamp;
use pipewright::snowpipe::rows::{BatchBuilder, BatchOptions};
use serde::de::IgnoredAny;
use serde::ser::{Serialize, SerializeStruct as _, Serializer};

/// How many bytes a batch has.
const BATCH: usize = 1024 * 1024;

/// What a program writes: numbers, texts, a list.
pub(crate) struct Row {
    id: u64,
    account: String,
    note: String,
    amount: f64,
    open: bool,
    parent: Option<u64>,
    tags: [&'static str; 2],
}

impl Row {
    pub(crate) fn new(id: u64) -> Self {
        Self {
            id,
            account: format!("DE{:020}", id.wrapping_mul(0x9E37_79B9_7F4A_7C15) % 10_000_000_000),
            note: format!("an order of {} pieces, \"as usual\", to be delivered on day {}", id % 17, id % 365),
            amount: f64::from(u32::try_from(id % 100_000).unwrap_or_default()) / 8.0,
            open: id.is_multiple_of(3),
            parent: id.is_multiple_of(2).then_some(id / 2),
            tags: ["retail", if id.is_multiple_of(5) { "express" } else { "standard" }],
        }
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_struct("Row", 7)?;
        row.serialize_field("ID", &self.id)?;
        row.serialize_field("ACCOUNT", &self.account)?;
        row.serialize_field("NOTE", &self.note)?;
        row.serialize_field("AMOUNT", &self.amount)?;
        row.serialize_field("OPEN", &self.open)?;
        row.serialize_field("PARENT", &self.parent)?;
        row.serialize_field("TAGS", &self.tags)?;
        row.end()
    }
}

/// The same rows, written in two ways; and as lines of JSON that are ready.
pub(crate) struct Batching {
    rows: Vec<Row>,
    lines: Vec<String>,
    tokens: Vec<String>,
    builder: BatchBuilder,
    buffer: Vec<u8>,
}

impl Batching {
    pub(crate) fn new(rows: u64) -> Self {
        let line = |row| serde_json::to_string(&Row::new(row)).expect("a row");
        let mut case = Self {
            rows: (0..rows).map(Row::new).collect(),
            lines: (0..rows).map(line).collect(),
            tokens: (0..rows).map(|row| row.to_string()).collect(),
            builder: BatchBuilder::new(BatchOptions::new().bytes(BATCH)),
            buffer: Vec::new(),
        };
        // Both fill their last batch, at the latest, in the next round.
        assert!(case.ours() <= case.floor());
        case
    }

    /// With a [`BatchBuilder`] that gets its batches back, each row with an offset token. Gives the bytes of the
    /// batches.
    pub(crate) fn ours(&mut self) -> u64 {
        let mut bytes = 0;
        for (row, token) in self.rows.iter().zip(&self.tokens) {
            self.builder.push(row, Some(token)).expect("a row");
            while let Some(batch) = self.builder.next_batch(Timestamp::UNIX_EPOCH) {
                bytes += black_box(&batch).body.len();
                self.builder.reuse(batch);
            }
        }
        bytes
    }

    /// The lines, checked and copied by a [`BatchBuilder`]. Gives the bytes of the batches.
    pub(crate) fn lines(&mut self) -> u64 {
        let mut bytes = 0;
        for (line, token) in self.lines.iter().zip(&self.tokens) {
            self.builder.push_line(line.as_bytes(), Some(token)).expect("a row");
            while let Some(batch) = self.builder.next_batch(Timestamp::UNIX_EPOCH) {
                bytes += black_box(&batch).body.len();
                self.builder.reuse(batch);
            }
        }
        bytes
    }

    /// The lines, read by `serde_json` as a value that is ignored, and copied into one buffer.
    pub(crate) fn ignored(&mut self) -> u64 {
        let mut bytes = 0;
        for line in &self.lines {
            let text = std::str::from_utf8(line.as_bytes()).expect("UTF-8");
            black_box(serde_json::from_str::<IgnoredAny>(text).expect("a row"));
            self.buffer.extend_from_slice(line.as_bytes());
            self.buffer.push(b'\n');
            if self.buffer.len() >= BATCH {
                bytes += black_box(&self.buffer).len() as u64;
                self.buffer.clear();
            }
        }
        bytes + self.buffer.len() as u64
    }

    /// With `serde_json::to_writer` into one buffer.
    pub(crate) fn floor(&mut self) -> u64 {
        let mut bytes = 0;
        for row in &self.rows {
            serde_json::to_writer(&mut self.buffer, row).expect("a row");
            self.buffer.push(b'\n');
            if self.buffer.len() >= BATCH {
                bytes += black_box(&self.buffer).len() as u64;
                self.buffer.clear();
            }
        }
        bytes + self.buffer.len() as u64
    }
}
