//! [`RejectedRows`]: the rows of a chunk that were not ingested.

use std::collections::{BTreeMap, BTreeSet};

use super::rows::IngestChunk;
use crate::feldera::data::{ParseError, ParseErrors};

/// A chunk with rows that could not be parsed. **All its other rows are ingested**, including the rows after the
/// rejected rows.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RejectedRows {
    /// The chunk.
    pub chunk: IngestChunk,
    /// The rejected rows. Feldera reports only the last thousand errors.
    pub rows: Vec<RejectedRow>,
    /// The number of errors, including those that Feldera does not report.
    pub num_errors: u64,
}

/// A row that was not ingested.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RejectedRow {
    /// The number of the row. `None` if the error does not show which row it is about.
    pub row: Option<u64>,
    /// The error that Feldera reports.
    pub error: ParseError,
}

impl RejectedRows {
    pub(super) fn new(chunk: IngestChunk, errors: ParseErrors) -> Self {
        let places = locate(&chunk, &errors.errors);
        let first = chunk.rows().start;
        let number = |place: Option<usize>| place.map(|place| first + place as u64);
        let rows = places.into_iter().zip(errors.errors);
        let rows = rows.map(|(place, error)| RejectedRow { row: number(place), error }).collect();
        Self { chunk, rows, num_errors: errors.num_errors }
    }

    /// Returns the numbers of the ingested rows. `None` if an error does not show which row it is about.
    pub fn ingested(&self) -> Option<impl Iterator<Item = u64>> {
        let bad: BTreeSet<u64> = self.rows.iter().map(|rejected| rejected.row).collect::<Option<_>>()?;
        let all_known = self.num_errors == self.rows.len() as u64;
        all_known.then(|| self.chunk.rows().filter(move |row| !bad.contains(row)))
    }

    /// Returns the number of rejected rows, at most the number of rows in the chunk. It is an estimate, because a row
    /// may have several errors.
    pub(super) fn count(&self) -> u64 {
        let most = self.num_errors.min(self.chunk.len() as u64);
        self.ingested().map_or(most, |ingested| self.chunk.len() as u64 - ingested.count() as u64)
    }
}

/// Finds the row of the chunk that each error is about.
///
/// Errors quote the row, or the content of its envelope. Their row numbers count from the first use of this ingress
/// endpoint, which other clients may use too. So the numbers only distinguish rows with equal text, after a row with
/// unique text has shown the offset.
fn locate(chunk: &IngestChunk, errors: &[ParseError]) -> Vec<Option<usize>> {
    let mut places: BTreeMap<&[u8], Vec<usize>> =
        errors.iter().filter_map(quote).map(|quoted| (quoted, Vec::new())).collect();
    for (place, (_, record)) in chunk.records().enumerate() {
        for text in [Some(record.trim_ascii()), inside(record)].into_iter().flatten() {
            if let Some(places) = places.get_mut(text) {
                places.push(place);
            }
        }
    }
    let candidates =
        |error: &ParseError| quote(error).and_then(|quoted| places.get(quoted)).map_or(&[][..], Vec::as_slice);
    let number = |error: &ParseError| error.event_number.and_then(|number| i64::try_from(number).ok());
    let mut origins = errors.iter().filter_map(|error| match candidates(error) {
        [place] => number(error)?.checked_sub(i64::try_from(*place).ok()?),
        _ => None,
    });
    let origin = origins.next().filter(|origin| origins.all(|other| other == *origin));
    let by_number = |error: &ParseError| usize::try_from(number(error)?.checked_sub(origin?)?).ok();
    let mut seen: BTreeMap<&[u8], usize> = BTreeMap::new();
    errors
        .iter()
        .map(|error| match (candidates(error), by_number(error)) {
            ([place], _) => Some(*place),
            ([], Some(place)) => Some(place).filter(|place| quote(error).is_none() && *place < chunk.len()),
            ([], None) => None,
            (places, Some(place)) => Some(place).filter(|place| places.contains(place)),
            // Rows with equal text all fail in the same way.
            (places, None) => {
                let alike = errors.iter().filter(|other| quote(other) == quote(error)).count();
                let nth = seen.entry(quote(error).unwrap_or_default()).or_default();
                *nth += 1;
                places.get(*nth - 1).copied().filter(|_| alike == places.len())
            }
        })
        .collect()
}

fn quote(error: &ParseError) -> Option<&[u8]> {
    error.invalid_text.as_deref().map(|text| text.as_bytes().trim_ascii()).filter(|text| !text.is_empty())
}

/// Returns the content of an envelope: `…` of `{"insert":…}`.
fn inside(record: &[u8]) -> Option<&[u8]> {
    let rest = record.trim_ascii().strip_prefix(b"{")?.trim_ascii_start();
    let rest = [&b"\"insert\""[..], b"\"delete\"", b"\"update\""].iter().find_map(|key| rest.strip_prefix(*key))?;
    Some(rest.trim_ascii_start().strip_prefix(b":")?.strip_suffix(b"}")?.trim_ascii())
}
