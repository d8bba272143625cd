//! [`CommaList`].

use std::fmt;

use crate::url::Parameter;

/// Several values of one query parameter, with commas in between.
///
/// Flink decodes before it splits, so that a value that has a comma in it cannot be sent.
///
/// ```
/// use pipewright::flink::{CommaList, metrics::Aggregation};
///
/// let names = CommaList::<String>::from(["numRecordsIn", "numRecordsOut"]);
/// assert_eq!(names.to_string(), "numRecordsIn,numRecordsOut");
/// let modes = CommaList::<Aggregation>::from([Aggregation::Min, Aggregation::Max]);
/// assert_eq!(modes.to_string(), "min,max");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommaList<T>(pub Vec<T>);

impl<T> Default for CommaList<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: fmt::Display> fmt::Display for CommaList<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, value) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            value.fmt(f)?;
        }
        Ok(())
    }
}

impl<T: fmt::Display> Parameter for CommaList<T> {}

impl<T, U: Into<T>, const N: usize> From<[U; N]> for CommaList<T> {
    fn from(values: [U; N]) -> Self {
        Self(values.into_iter().map(Into::into).collect())
    }
}

impl<T, U: Into<T>> From<Vec<U>> for CommaList<T> {
    fn from(values: Vec<U>) -> Self {
        Self(values.into_iter().map(Into::into).collect())
    }
}

impl<T, U: Into<T>> FromIterator<U> for CommaList<T> {
    fn from_iter<I: IntoIterator<Item = U>>(values: I) -> Self {
        Self(values.into_iter().map(Into::into).collect())
    }
}
