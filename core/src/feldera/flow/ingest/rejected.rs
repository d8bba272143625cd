//! [`RejectedRows`]: which rows of a chunk were not taken in.

use std::collections::{BTreeMap, BTreeSet};

use super::rows::IngestChunk;
use crate::feldera::data::{ParseError, ParseErrors};

/// Some rows of a chunk could not be parsed. **All others of it are in**, also those after the bad rows.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RejectedRows {
    /// The chunk.
    pub chunk: IngestChunk,
    /// What could not be parsed, as far as Feldera tells: it keeps the last thousand.
    pub rows: Vec<RejectedRow>,
    /// How many errors there were in all.
    pub num_errors: u64,
}

/// A row that was not taken in.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RejectedRow {
    /// Its number; `None` when it cannot be told from the error.
    pub row: Option<u64>,
    /// What is wrong with it.
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

    /// The numbers of the rows that are in; `None` when not every error could be traced to its row.
    pub fn ingested(&self) -> Option<impl Iterator<Item = u64>> {
        let bad: BTreeSet<u64> = self.rows.iter().map(|rejected| rejected.row).collect::<Option<_>>()?;
        let all_known = self.num_errors == self.rows.len() as u64;
        all_known.then(|| self.chunk.rows().filter(move |row| !bad.contains(row)))
    }

    /// How many rows were not taken in, as far as is known: never more than there are. A row may have several errors.
    pub(super) fn count(&self) -> u64 {
        let most = self.num_errors.min(self.chunk.len() as u64);
        self.ingested().map_or(most, |ingested| self.chunk.len() as u64 - ingested.count() as u64)
    }
}

/// Which row of the chunk each error is about.
///
/// Errors quote the row, or what is in its envelope. Their numbers count from the first use of this way of ingress, and
/// other clients may use it too: they only tell rows apart that say the same, once one of the others shows where to
/// count from.
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
            // Rows that say the same fail in the same way, all of them.
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

/// What an event is about: `…` of `{"insert":…}`.
fn inside(record: &[u8]) -> Option<&[u8]> {
    let rest = record.trim_ascii().strip_prefix(b"{")?.trim_ascii_start();
    let rest = [&b"\"insert\""[..], b"\"delete\"", b"\"update\""].iter().find_map(|key| rest.strip_prefix(*key))?;
    Some(rest.trim_ascii_start().strip_prefix(b":")?.strip_suffix(b"}")?.trim_ascii())
}
