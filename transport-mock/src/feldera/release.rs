//! The releases and editions of Feldera that the simulator can be.

use std::fmt;
use std::str::FromStr;

/// A release of Feldera. What each release does differently is in the table of the [module](super).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Release {
    /// 0.130 (August 2025): one status for a pipeline, `/start` and `/pause` also start and resume it.
    V0_130,
    /// 0.337 (August 2026).
    #[default]
    V0_337,
    /// 0.375 (November 2026): sizes and durations with units, a cursor for logs, steps in egress.
    V0_375,
}

impl Release {
    /// All releases, oldest first.
    pub const ALL: [Self; 3] = [Self::V0_130, Self::V0_337, Self::V0_375];

    /// Returns the version as `/v0/config` has it.
    pub fn version(self) -> &'static str {
        match self {
            Self::V0_130 => "0.130.0",
            Self::V0_337 => "0.337.0",
            Self::V0_375 => "0.375.0",
        }
    }

    /// Returns the number without the patch level, part by part.
    pub(super) fn numbers(self) -> [u32; 2] {
        match self {
            Self::V0_130 => [0, 130],
            Self::V0_337 => [0, 337],
            Self::V0_375 => [0, 375],
        }
    }

    /// Returns the number without the patch level.
    fn name(self) -> &'static str {
        self.version().trim_end_matches(".0")
    }
}

/// As in `0.337`.
impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that is no release of the simulator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownRelease(String);

impl fmt::Display for UnknownRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let releases = Release::ALL.map(Release::name).join(", ");
        write!(f, "unknown release of Feldera `{}`; use one of {releases}", self.0)
    }
}

impl std::error::Error for UnknownRelease {}

/// Reads `0.337` or `0.337.0`.
impl FromStr for Release {
    type Err = UnknownRelease;

    fn from_str(text: &str) -> Result<Self, UnknownRelease> {
        let found = Self::ALL.into_iter().find(|release| [release.name(), release.version()].contains(&text));
        found.ok_or_else(|| UnknownRelease(text.to_owned()))
    }
}

/// An edition of Feldera.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Edition {
    /// Without checkpoints and suspends.
    #[default]
    OpenSource,
    /// With checkpoints and suspends.
    Enterprise,
    /// As [`Enterprise`](Self::Enterprise), with a licence for developers. Since 0.375; before that it is shown as
    /// `Enterprise`.
    EnterpriseDev,
}

impl Edition {
    /// Whether the edition has checkpoints and suspends.
    pub fn is_enterprise(self) -> bool {
        self != Self::OpenSource
    }

    /// Returns the name as `/v0/config` has it.
    pub(super) fn name(self, release: Release) -> &'static str {
        match self {
            Self::OpenSource => "Open source",
            Self::EnterpriseDev if release >= Release::V0_375 => "EnterpriseDev",
            Self::Enterprise | Self::EnterpriseDev => "Enterprise",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_read_with_and_without_its_patch_level() {
        for release in Release::ALL {
            assert_eq!(release.to_string().parse(), Ok(release));
            assert_eq!(release.version().parse(), Ok(release));
        }
        let error = "0.336".parse::<Release>().expect_err("unknown");
        assert_eq!(error.to_string(), "unknown release of Feldera `0.336`; use one of 0.130, 0.337, 0.375");
    }
}
