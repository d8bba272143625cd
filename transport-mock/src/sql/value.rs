//! Values, and their order.

use std::cmp::Ordering;
use std::sync::Arc;

/// A row of a relation or of a result.
pub(crate) type Row = Vec<Value>;

/// A value of a type. Its order is that of its type, and `NULL` is before everything else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Value {
    Null,
    Boolean(bool),
    Integer(i128),
    /// In units of the last digit that its type has.
    Decimal(i128),
    Float(Float),
    Text(Arc<str>),
    Bytes(Arc<[u8]>),
    /// Days since 1970-01-01.
    Date(i64),
    /// Nanoseconds since midnight.
    Time(i64),
    /// Microseconds since 1970-01-01.
    Timestamp(i64),
    /// Months or microseconds, as its type says.
    Interval(i64),
    Array(Vec<Value>),
    /// By key.
    Map(Vec<(Value, Value)>),
    /// JSON, without blanks.
    Json(Arc<str>),
}

impl Value {
    pub(crate) fn text(text: impl AsRef<str>) -> Self {
        Self::Text(text.as_ref().into())
    }

    pub(crate) fn float(number: f64) -> Self {
        Self::Float(Float::new(number))
    }

    pub(crate) fn is_null(&self) -> bool {
        *self == Self::Null
    }

    pub(crate) fn is_true(&self) -> bool {
        *self == Self::Boolean(true)
    }
}

/// A number with a total order, in which NaN is the largest and there is one zero.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Float(f64);

impl Float {
    pub(crate) fn new(number: f64) -> Self {
        match number {
            number if number.is_nan() => Self(f64::NAN),
            0.0 => Self(0.0),
            number => Self(number),
        }
    }

    pub(crate) fn get(self) -> f64 {
        self.0
    }
}

impl Ord for Float {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Float {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Float {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Float {}
