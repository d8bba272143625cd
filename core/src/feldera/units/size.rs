//! [`ByteSize`].

use std::fmt;
use std::str::FromStr;

use super::number::Number;
use super::{InvalidUnit, Problem};

pub(super) const WHAT: &str = "size";
pub(super) const UNITS_TEXT: &str =
    "k, M, G, T, P or E (powers of 1000), Ki, Mi, Gi, Ti, Pi or Ei (powers of 1024), or B for bytes";
pub(super) const LARGEST_TEXT: &str = "18446744073709551615B";

/// The units that are written. The binary units come first, because they win ties.
const UNITS: [(&str, u64); 12] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("Pi", 1 << 50),
    ("Ei", 1 << 60),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("P", 1_000_000_000_000_000),
    ("E", 1_000_000_000_000_000_000),
];

/// A size of a pipeline's settings, since release 0.367: `16Gi`, `500M`, `0B`.
///
/// A text is a number, with a fraction or without, and a unit: `k M G T P E` are powers of 1000, `Ki Mi Gi Ti Pi Ei`
/// powers of 1024. A `B` may follow each unit. Without a unit, the number counts bytes. A fraction of a byte is rounded
/// to the nearest byte.
///
/// Two sizes are equal if they have the same number of bytes. A size is written as Feldera writes it: in the unit that
/// divides it exactly with the smallest number.
///
/// ```
/// use pipewright::feldera::ByteSize;
/// let size: ByteSize = "16GiB".parse()?;
/// assert_eq!(size, ByteSize::from_mib(16 * 1024));
/// assert_eq!(size.to_string(), "16Gi");
/// assert_eq!(ByteSize::from_bytes(1_500_000).to_string(), "1500k");
/// assert_eq!(ByteSize::ZERO.to_string(), "0B");
/// let error = "16 Gi".parse::<ByteSize>().expect_err("no unit");
/// assert_eq!(
///     error.to_string(),
///     "cannot read the size \"16 Gi\": \" Gi\" is not a unit; use k, M, G, T, P or E (powers of 1000), \
///      Ki, Mi, Gi, Ti, Pi or Ei (powers of 1024), or B for bytes"
/// );
/// # Ok::<(), pipewright::feldera::InvalidUnit>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

impl ByteSize {
    /// The size zero.
    pub const ZERO: Self = Self(0);
    /// The largest size.
    pub const MAX: Self = Self(u64::MAX);

    /// Creates a size from bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Creates a size from megabytes of 10⁶ bytes; at most [`MAX`](Self::MAX).
    pub const fn from_mb(megabytes: u64) -> Self {
        Self(megabytes.saturating_mul(1_000_000))
    }

    /// Creates a size from mebibytes of 2²⁰ bytes; at most [`MAX`](Self::MAX).
    pub const fn from_mib(mebibytes: u64) -> Self {
        Self(mebibytes.saturating_mul(1 << 20))
    }

    /// Creates a size from gibibytes of 2³⁰ bytes; at most [`MAX`](Self::MAX).
    pub const fn from_gib(gibibytes: u64) -> Self {
        Self(gibibytes.saturating_mul(1 << 30))
    }

    /// Returns the number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = InvalidUnit;

    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        let error = |problem| InvalidUnit::new(WHAT, text, problem);
        if text.starts_with('-') {
            return Err(error(Problem::Negative));
        }
        let (number, unit) = Number::split(text.strip_prefix('+').unwrap_or(text));
        let bytes =
            bytes_of(unit).ok_or_else(|| error(Problem::UnknownUnit(crate::error::excerpt(unit.as_bytes(), 20))))?;
        if number.is_empty() {
            return Err(error(if text.is_empty() { Problem::Empty } else { Problem::NoNumber }));
        }
        let total = number.times(bytes.into()).and_then(|total| total.try_into().ok());
        total.map(Self).ok_or_else(|| error(Problem::TooLarge))
    }
}

/// Returns the bytes of a unit; 1 for no unit, and for `B`.
fn bytes_of(unit: &str) -> Option<u64> {
    match unit.strip_suffix('B').unwrap_or(unit) {
        "" => Some(1),
        // Read, but never written.
        "K" => Some(1_000),
        unit => UNITS.iter().find_map(|&(name, bytes)| (name == unit).then_some(bytes)),
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = UNITS.iter().filter(|&&(_, bytes)| self.0 != 0 && self.0.is_multiple_of(bytes));
        let (number, unit) = exact
            .map(|&(name, bytes)| (self.0 / bytes, name))
            .min_by_key(|&(number, _)| number)
            .unwrap_or((self.0, "B"));
        f.pad(&format!("{number}{unit}"))
    }
}

impl fmt::Debug for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
