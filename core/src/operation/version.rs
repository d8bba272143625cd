//! [`ServerVersion`]: the release of a server.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The version of a server: three numbers, as in `0.375.0`.
///
/// ```
/// use pipewright::operation::ServerVersion;
/// let version: ServerVersion = "0.375.0".parse()?;
/// assert!(version > ServerVersion::new(0, 367, 0));
/// assert_eq!(version.to_string(), "0.375.0");
/// # Ok::<(), pipewright::operation::InvalidVersion>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerVersion(NonZeroU64);

/// The bits of one number.
const BITS: u32 = 21;
const LARGEST: u64 = (1 << BITS) - 1;

impl ServerVersion {
    /// Creates a version of three numbers. Larger numbers than 2,097,151 count as this number.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        const fn bits(number: u32) -> u64 {
            let number = number as u64;
            if number > LARGEST { LARGEST } else { number }
        }
        // The highest bit is set, so that no version is zero.
        let packed = 1 << 63 | bits(major) << (2 * BITS) | bits(minor) << BITS | bits(patch);
        match NonZeroU64::new(packed) {
            Some(packed) => Self(packed),
            None => Self(NonZeroU64::MIN),
        }
    }

    fn numbers(self) -> [u64; 3] {
        [2 * BITS, BITS, 0].map(|shift| self.0.get() >> shift & LARGEST)
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers();
        write!(f, "{major}.{minor}.{patch}")
    }
}

impl fmt::Debug for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The error of a text that is not a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidVersion(String);

impl fmt::Display for InvalidVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot read the version {:?}: it does not begin with two numbers; write it as in \"0.375.0\"",
            self.0
        )
    }
}

impl std::error::Error for InvalidVersion {}

impl FromStr for ServerVersion {
    type Err = InvalidVersion;

    /// Reads a version. Skips a `v` before it, and everything after the third number.
    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let invalid = || InvalidVersion(crate::error::excerpt(text.as_bytes(), 40));
        let mut numbers = text.strip_prefix('v').unwrap_or(text).splitn(3, '.').map(leading_number);
        let (Some(Some(major)), Some(Some(minor))) = (numbers.next(), numbers.next()) else { return Err(invalid()) };
        Ok(Self::new(major, minor, numbers.next().flatten().unwrap_or(0)))
    }
}

fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}

/// The version of a server, once it is known. Threads share it.
#[derive(Debug, Default)]
pub(crate) struct KnownVersion(AtomicU64);

impl KnownVersion {
    pub(crate) fn get(&self) -> Option<ServerVersion> {
        NonZeroU64::new(self.0.load(Relaxed)).map(ServerVersion)
    }

    pub(crate) fn set(&self, version: ServerVersion) {
        self.0.store(version.0.get(), Relaxed);
    }
}

impl Clone for KnownVersion {
    fn clone(&self) -> Self {
        Self(AtomicU64::new(self.0.load(Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_ordered() {
        let read = |text: &str| text.parse::<ServerVersion>();
        assert_eq!(read("v0.96.0"), Ok(ServerVersion::new(0, 96, 0)));
        assert_eq!(read("0.375.1+f4dcac0"), Ok(ServerVersion::new(0, 375, 1)));
        assert_eq!(read("1.0"), Ok(ServerVersion::new(1, 0, 0)));
        let sorted = ["0.9.0", "0.366.9", "0.367.0", "1.0.0"].map(|text| read(text).expect(text));
        assert!(sorted.is_sorted() && sorted[0] < sorted[3]);
        assert_eq!(ServerVersion::new(0, 0, 0).to_string(), "0.0.0");
        assert_eq!(ServerVersion::new(0, 0, u32::MAX).to_string(), "0.0.2097151");
        for text in ["", "0", "x.y", "latest", "0.", ".1", "99999999999.1"] {
            let error = read(text).expect_err(text).to_string();
            assert!(error.contains(&format!("{text:?}")) && error.contains("0.375.0"), "{error}");
        }
    }
}
