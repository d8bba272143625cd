//! Reads rows as types of the caller.

use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _, MapAccess, Visitor};

use super::{Chunk, ChunkRows, QueryResult};
use crate::decode::DecodeError;
use crate::driver::{Stream, StreamError};
use crate::error::excerpt;

/// A change of a table or view, as [`Chunk::changes`] yields it. An update is a deletion and an insertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RowChange<T> {
    /// The row was inserted.
    Insert(T),
    /// The row was deleted.
    Delete(T),
}

impl<T> RowChange<T> {
    /// Returns the row.
    pub fn row(&self) -> &T {
        match self {
            Self::Insert(row) | Self::Delete(row) => row,
        }
    }

    /// Returns the row, without the kind of change.
    pub fn into_row(self) -> T {
        match self {
            Self::Insert(row) | Self::Delete(row) => row,
        }
    }

    /// Returns 1 for an insertion and -1 for a deletion.
    pub fn weight(&self) -> i64 {
        match self {
            Self::Insert(_) => 1,
            Self::Delete(_) => -1,
        }
    }
}

/// `{"insert": row}` or `{"delete": row}`.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for RowChange<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Change<T>(PhantomData<fn() -> T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Change<T> {
            type Value = RowChange<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object with the field `insert` or `delete`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RowChange<T>, A::Error> {
                let change = match map.next_key::<&str>()? {
                    Some("insert") => RowChange::Insert(map.next_value()?),
                    Some("delete") => RowChange::Delete(map.next_value()?),
                    Some(other) => return Err(A::Error::unknown_field(other, &["insert", "delete"])),
                    None => return Err(A::Error::missing_field("insert")),
                };
                match map.next_key::<&str>()? {
                    None => Ok(change),
                    Some(second) => Err(A::Error::custom(format_args!("a second field, `{second}`, in one change"))),
                }
            }
        }

        deserializer.deserialize_map(Change(PhantomData))
    }
}

impl<'a> Chunk<'a> {
    /// Reads the rows of a subscription in JSON with the update format `InsertDelete`, which is the default.
    ///
    /// A `T` that borrows, such as a struct with `&str` fields, is read without a copy; text with escapes needs
    /// `String` or `Cow<str>`. An error of one row does not end the iteration.
    ///
    /// ```
    /// use pipewright::decode::{Decoder, LineLimit};
    /// use pipewright::feldera::stream::{Egress, RowChange};
    ///
    /// let mut egress = Egress::new(LineLimit::default());
    /// egress.feed(b"{\"sequence_number\":0,\"json_data\":[{\"insert\":[1,\"one\"]},{\"delete\":[2,\"two\"]}]}\r\n");
    /// assert!(egress.advance()?);
    /// let changes: Result<Vec<RowChange<(i64, &str)>>, _> = egress.item().changes().collect();
    /// assert_eq!(changes?, [RowChange::Insert((1, "one")), RowChange::Delete((2, "two"))]);
    /// # Ok::<(), pipewright::decode::DecodeError>(())
    /// ```
    ///
    /// # Errors
    /// The iterator yields [`DecodeError::Malformed`] with the number of the row in the chunk if a row is not a `T`, or
    /// if the subscription has another format.
    pub fn changes<T: Deserialize<'a>>(&self) -> Changes<'a, T> {
        Changes { rows: self.rows(), number: 0, item: PhantomData }
    }
}

/// The changes of a chunk. Created by [`Chunk::changes`].
#[derive(Clone, Debug)]
pub struct Changes<'a, T> {
    rows: ChunkRows<'a>,
    number: u64,
    item: PhantomData<fn() -> T>,
}

impl<'a, T: Deserialize<'a>> Iterator for Changes<'a, T> {
    type Item = Result<RowChange<T>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.rows.next()?;
        self.number += 1;
        Some(read(row, self.number))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.rows.size_hint()
    }
}

impl<'a, T: Deserialize<'a>> ExactSizeIterator for Changes<'a, T> {}

impl Stream<QueryResult> {
    /// Reads the rows of a result in JSON, to its end.
    ///
    /// ```
    /// use pipewright::driver::Canned;
    /// use pipewright::feldera::Feldera;
    /// use pipewright::feldera::stream::{AdhocQuery, QueryFormat};
    /// # #[derive(Debug, PartialEq)] struct Count { n: i64 }
    /// # impl<'de> serde::Deserialize<'de> for Count {
    /// #     fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
    /// #         let map = std::collections::BTreeMap::<String, i64>::deserialize(deserializer)?;
    /// #         Ok(Self { n: map["n"] })
    /// #     }
    /// # }
    ///
    /// let runtime = Canned::new([("GET /v0/pipelines/orders/query", 200, "{\"n\":1}\n{\"n\":2}\n")]);
    /// let feldera = Feldera::new("http://127.0.0.1:8080".parse()?, runtime);
    /// let mut result = feldera.open(AdhocQuery::new("orders", "SELECT n FROM counts", QueryFormat::Json))?;
    /// let rows: Vec<Count> = result.rows().collect::<Result<_, _>>()?;
    /// assert_eq!(rows, [Count { n: 1 }, Count { n: 2 }]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The iterator yields [`StreamError`] if the query fails, the body is cut off, or a row is not a `T`. After an
    /// error of the stream it yields that error again.
    pub fn rows<T: DeserializeOwned>(&mut self) -> impl Iterator<Item = Result<T, StreamError>> {
        let mut number = 0;
        std::iter::from_fn(move || match self.next_item() {
            Ok(row) => row.map(|row| {
                number += 1;
                Ok(read(row, number)?)
            }),
            Err(error) => Some(Err(error)),
        })
    }
}

fn read<'a, T: Deserialize<'a>>(row: &'a [u8], number: u64) -> Result<T, DecodeError> {
    serde_json::from_slice(row).map_err(|error| DecodeError::Malformed {
        item: number,
        problem: error.to_string(),
        excerpt: excerpt(row, 80),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Decoder as _;

    #[test]
    fn a_row_of_another_shape_is_named_and_the_next_is_read() {
        let line = br#"{"sequence_number":0,"json_data":[{"insert":{"id":"x"}},{"upsert":1},{"delete":7}]}"#;
        let mut egress = super::super::Egress::new(crate::decode::LineLimit::default());
        egress.feed(line);
        egress.feed(b"\r\n");
        assert_eq!(egress.advance(), Ok(true));
        let changes: Vec<Result<RowChange<i64>, DecodeError>> = egress.item().changes().collect();
        let problem =
            |change: &Result<RowChange<i64>, DecodeError>| change.clone().expect_err("another shape").to_string();
        assert!(problem(&changes[0]).starts_with("item 1 cannot be read: invalid type: map, expected i64"));
        assert!(problem(&changes[1]).contains("unknown field `upsert`, expected `insert` or `delete`"));
        assert_eq!(changes[2], Ok(RowChange::Delete(7)));
        assert_eq!(changes[2].as_ref().map(RowChange::weight), Ok(-1));
    }
}
