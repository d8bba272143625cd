//! [`Spelling`] and [`Unit`]: the two spellings of renamed settings.

use crate::operation::{RequestContext, ServerVersion};

/// The first release that reads all durations and sizes under their new names.
const RENAMED: ServerVersion = ServerVersion::new(0, 367, 0);

/// Under which names settings are written, and in which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::feldera) enum Spelling {
    /// The old name with a number, for servers before 0.367. A value that is not a whole number of the unit is rounded
    /// up, as Feldera's manager does it for pipelines that run an older release.
    Old,
    /// The new name with a text that has a unit.
    New,
    /// For a server whose version is not known. The new names if the record was read with some. Otherwise the old name
    /// with a number, which all releases up to now read, if it can hold the value, and else the new one.
    Common,
}

impl Spelling {
    /// The spelling for a server; `None` if its version is not known.
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

/// What a number under an old name counts.
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
    /// What it is called.
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

    /// How many bytes or nanoseconds one is.
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
