//! [`Spelling`] and [`Unit`]: the two spellings of renamed settings.

use crate::operation::{RequestContext, ServerVersion};

/// The first release that reads all durations and sizes under their new names.
const RENAMED: ServerVersion = ServerVersion::new(0, 367, 0);

/// The names and the form in which settings are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::feldera) enum Spelling {
    /// The old name with a number, for servers before 0.367. A value that is not a whole number of the unit is rounded
    /// up, as Feldera's manager does it for pipelines that run an older release.
    Old,
    /// The new name with a text that has a unit.
    New,
    /// For a server of unknown version. The new names if the record was read with new names. Otherwise the old name
    /// with a number if the number can hold the value exactly: all releases up to now read it. Otherwise the new name.
    Common,
}

impl Spelling {
    /// Returns the spelling for a server; `version` is `None` if it is not known.
    pub(in crate::feldera) fn of(version: Option<ServerVersion>) -> Self {
        match version {
            Some(version) if version < RENAMED => Self::Old,
            Some(_) => Self::New,
            None => Self::Common,
        }
    }
}

impl From<RequestContext<'_>> for Spelling {
    fn from(cx: RequestContext<'_>) -> Self {
        Self::of(cx.server_version())
    }
}

/// The unit of a number under an old name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::feldera) enum Unit {
    Bytes,
    /// 10⁶ bytes, of `_mb`.
    Megabytes,
    /// 2²⁰ bytes, of `_mib`.
    Mebibytes,
    Microseconds,
    Milliseconds,
    Seconds,
    Days,
}

impl Unit {
    /// Returns the plural of the unit's name.
    pub(super) const fn plural(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Megabytes => "megabytes",
            Self::Mebibytes => "mebibytes",
            Self::Microseconds => "microseconds",
            Self::Milliseconds => "milliseconds",
            Self::Seconds => "seconds",
            Self::Days => "days",
        }
    }

    /// Returns the number of bytes or nanoseconds in a unit.
    pub(super) const fn factor(self) -> u64 {
        match self {
            Self::Bytes => 1,
            Self::Megabytes | Self::Milliseconds => 1_000_000,
            Self::Mebibytes => 1 << 20,
            Self::Microseconds => 1_000,
            Self::Seconds => 1_000_000_000,
            Self::Days => 24 * 3600 * 1_000_000_000,
        }
    }
}
