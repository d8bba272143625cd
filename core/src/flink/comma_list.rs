//! [`CommaList`].

use std::fmt::{self, Write as _};

use crate::url::Parameter;

/// Several values of one query parameter, separated by commas.
///
/// Flink decodes the parameter before it splits it. So a value that contains a comma cannot be sent, and is a
/// [`BuildError`](crate::error::BuildError).
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

impl<T: fmt::Display> Parameter for CommaList<T> {
    fn problem(&self) -> Option<&'static str> {
        let mut commas = Commas(false);
        for value in &self.0 {
            // Writing cannot fail.
            let _ = write!(commas, "{value}");
        }
        let Commas(is_torn) = commas;
        is_torn.then_some("a value contains a comma, which cannot be escaped: Flink would read it as two values")
    }
}

/// A writer that records whether the text contains a comma.
struct Commas(bool);

impl fmt::Write for Commas {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 |= text.contains(',');
        Ok(())
    }
}

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
