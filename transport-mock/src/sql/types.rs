//! The types of columns and expressions.

use std::fmt;

/// The largest number of digits of a decimal.
pub(crate) const MOST_DIGITS: u8 = 38;

/// How wide an integer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Width {
    Tiny,
    Small,
    Int,
    Big,
}

impl Width {
    /// The number of bits.
    fn bits(self) -> u32 {
        match self {
            Self::Tiny => 8,
            Self::Small => 16,
            Self::Int => 32,
            Self::Big => 64,
        }
    }

    /// The number of decimal digits that any such integer fits into.
    pub(crate) fn digits(self) -> u8 {
        match self {
            Self::Tiny => 3,
            Self::Small => 5,
            Self::Int => 10,
            Self::Big => 19,
        }
    }
}

/// A type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Type {
    /// The type of `NULL`.
    Null,
    Boolean,
    Integer {
        width: Width,
        signed: bool,
    },
    Decimal {
        precision: u8,
        scale: u8,
    },
    Real,
    Double,
    /// A text of a fixed length.
    Char(u32),
    /// A text, perhaps of a maximal length.
    Varchar(Option<u32>),
    /// Bytes, perhaps of a fixed length.
    Binary(Option<u32>),
    Date,
    Time,
    /// Without a time zone, in microseconds.
    Timestamp,
    /// Months, for years and months.
    MonthInterval,
    /// Microseconds, for days, hours, minutes and seconds.
    TimeInterval,
    Uuid,
    Array(Box<Type>),
    Map(Box<Type>, Box<Type>),
    /// Any JSON value.
    Variant,
    /// A type whose values are kept as JSON and never looked into, such as `ROW`.
    Opaque(&'static str),
}

impl Type {
    pub(crate) const INT: Self = Self::Integer { width: Width::Int, signed: true };
    pub(crate) const BIGINT: Self = Self::Integer { width: Width::Big, signed: true };
    pub(crate) const TEXT: Self = Self::Varchar(None);

    pub(crate) fn decimal(precision: u8, scale: u8) -> Self {
        let precision = precision.min(MOST_DIGITS);
        Self::Decimal { precision, scale: scale.min(precision) }
    }

    /// The name, without precision or elements, as schemas have it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Boolean => "BOOLEAN",
            Self::Integer { width: Width::Tiny, signed: true } => "TINYINT",
            Self::Integer { width: Width::Small, signed: true } => "SMALLINT",
            Self::Integer { width: Width::Int, signed: true } => "INTEGER",
            Self::Integer { width: Width::Big, signed: true } => "BIGINT",
            Self::Integer { width: Width::Tiny, signed: false } => "UTINYINT",
            Self::Integer { width: Width::Small, signed: false } => "USMALLINT",
            Self::Integer { width: Width::Int, signed: false } => "UINTEGER",
            Self::Integer { width: Width::Big, signed: false } => "UBIGINT",
            Self::Decimal { .. } => "DECIMAL",
            Self::Real => "REAL",
            Self::Double => "DOUBLE",
            Self::Char(_) => "CHAR",
            Self::Varchar(_) => "VARCHAR",
            Self::Binary(Some(_)) => "BINARY",
            Self::Binary(None) => "VARBINARY",
            Self::Date => "DATE",
            Self::Time => "TIME",
            Self::Timestamp => "TIMESTAMP",
            Self::MonthInterval => "INTERVAL_YEAR_MONTH",
            Self::TimeInterval => "INTERVAL_DAY_SECOND",
            Self::Uuid => "UUID",
            Self::Array(_) => "ARRAY",
            Self::Map(..) => "MAP",
            Self::Variant => "VARIANT",
            Self::Opaque(name) => name,
        }
    }

    pub(crate) fn is_integer(&self) -> bool {
        matches!(self, Self::Integer { .. })
    }

    pub(crate) fn is_float(&self) -> bool {
        matches!(self, Self::Real | Self::Double)
    }

    pub(crate) fn is_number(&self) -> bool {
        self.is_integer() || self.is_float() || matches!(self, Self::Decimal { .. })
    }

    pub(crate) fn is_text(&self) -> bool {
        matches!(self, Self::Char(_) | Self::Varchar(_))
    }

    pub(crate) fn is_interval(&self) -> bool {
        matches!(self, Self::MonthInterval | Self::TimeInterval)
    }

    /// The smallest and the largest integer of the type, if it is one of integers.
    pub(crate) fn range(&self) -> Option<(i128, i128)> {
        let Self::Integer { width, signed } = self else { return None };
        let bits = width.bits();
        Some(if *signed { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) })
    }

    /// Precision and scale of the decimal that holds any value of this exact number.
    pub(crate) fn digits(&self) -> Option<(u8, u8)> {
        match self {
            Self::Integer { width, .. } => Some((width.digits(), 0)),
            Self::Decimal { precision, scale } => Some((*precision, *scale)),
            _ => None,
        }
    }

    /// The type that both convert to without a cast; `None` if no such type exists.
    pub(crate) fn common(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (same, other) if same == other => Some(same.clone()),
            (Self::Null, other) | (other, Self::Null) => Some(other.clone()),
            (Self::Variant, _) | (_, Self::Variant) => Some(Self::Variant),
            (Self::Integer { width, signed }, Self::Integer { width: other, signed: other_signed }) => {
                let signed = if width == other { *signed && *other_signed } else { *signed || *other_signed };
                Some(Self::Integer { width: *width.max(other), signed })
            }
            (a, b) if a.is_number() && b.is_number() => match (a.digits(), b.digits()) {
                (Some(left), Some(right)) => {
                    let scale = left.1.max(right.1);
                    Some(Self::decimal((left.0 - left.1).max(right.0 - right.1).saturating_add(scale), scale))
                }
                _ if *a == Self::Real && *b == Self::Real => Some(Self::Real),
                _ => Some(Self::Double),
            },
            (a, b) if a.is_text() && b.is_text() => Some(Self::TEXT),
            (Self::Date, Self::Timestamp) | (Self::Timestamp, Self::Date) => Some(Self::Timestamp),
            (Self::Binary(_), Self::Binary(_)) => Some(Self::Binary(None)),
            (Self::Array(a), Self::Array(b)) => Some(Self::Array(Box::new(a.common(b)?))),
            (Self::Map(a, b), Self::Map(c, d)) => Some(Self::Map(Box::new(a.common(c)?), Box::new(b.common(d)?))),
            _ => None,
        }
    }
}

/// As in `CREATE TABLE`.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decimal { precision, scale } => write!(f, "DECIMAL({precision}, {scale})"),
            Self::Char(length) => write!(f, "CHAR({length})"),
            Self::Varchar(Some(length)) => write!(f, "VARCHAR({length})"),
            Self::Binary(Some(length)) => write!(f, "BINARY({length})"),
            Self::Array(element) => write!(f, "{element} ARRAY"),
            Self::Map(key, value) => write!(f, "MAP<{key}, {value}>"),
            other => f.write_str(other.name()),
        }
    }
}

/// A column of a relation or of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    /// As the dialect folds it.
    pub(crate) name: String,
    /// Whether it was in quotes where it was declared.
    pub(crate) quoted: bool,
    pub(crate) kind: Type,
    pub(crate) nullable: bool,
}

impl Column {
    pub(crate) fn new(name: impl Into<String>, kind: Type, nullable: bool) -> Self {
        Self { name: name.into(), quoted: false, kind, nullable }
    }

    /// Its name and type.
    pub(crate) fn pair(&self) -> (&str, &Type) {
        (&self.name, &self.kind)
    }
}
