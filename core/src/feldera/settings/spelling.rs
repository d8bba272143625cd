//! [`Spelling`] and [`Unit`]: the two spellings of renamed settings.

use crate::operation::{RequestContext, ServerVersion};

/// The first release that reads durations under their new names.
const RENAMED_DURATIONS: ServerVersion = ServerVersion::new(0, 366, 0);
/// The first release that reads sizes under their new names.
const RENAMED_SIZES: ServerVersion = ServerVersion::new(0, 367, 0);

/// The names and the form in which settings of one kind, sizes or durations, are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::feldera) enum Spelling {
    /// The old name with a number, for servers before 0.366, and for sizes before 0.367. A value that is not a whole
    /// number of the unit is rounded up, as Feldera's manager does it for pipelines that run an older release.
    Old,
    /// The new name with a text that has a unit.
    New,
    /// For a server whose names are not known. The old name with a number if the number can hold the value exactly: all
    /// releases up to now read it. Otherwise the new name.
    Common,
}

/// The spellings of both kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::feldera) struct Spellings {
    pub(in crate::feldera) sizes: Spelling,
    pub(in crate::feldera) durations: Spelling,
}

impl Spellings {
    pub(in crate::feldera) const NEW: Self = Self { sizes: Spelling::New, durations: Spelling::New };
    pub(in crate::feldera) const COMMON: Self = Self { sizes: Spelling::Common, durations: Spelling::Common };

    /// Returns the spellings for a server; `version` is `None` if it is not known.
    pub(in crate::feldera) fn of(version: Option<ServerVersion>) -> Self {
        let Some(version) = version else { return Self::COMMON };
        let since = |renamed| if version < renamed { Spelling::Old } else { Spelling::New };
        Self { sizes: since(RENAMED_SIZES), durations: since(RENAMED_DURATIONS) }
    }

    /// Returns the known spellings. Unknown spellings are taken from the names in a record that the server wrote.
    pub(in crate::feldera) fn or_as_in(self, source: Source) -> Self {
        let or = |known, seen| if known == Spelling::Common { seen } else { known };
        let Source { sizes, durations } = source;
        // Sizes were renamed after durations.
        let of_sizes = sizes.spelling().unwrap_or(match durations.spelling() {
            Some(Spelling::Old) => Spelling::Old,
            _ => Spelling::Common,
        });
        let of_durations = durations.spelling().unwrap_or(match of_sizes {
            Spelling::New => Spelling::New,
            _ => Spelling::Common,
        });
        Self { sizes: or(self.sizes, of_sizes), durations: or(self.durations, of_durations) }
    }

    pub(super) fn of_unit(self, unit: Unit) -> Spelling {
        if unit.is_size() { self.sizes } else { self.durations }
    }
}

impl From<RequestContext<'_>> for Spellings {
    fn from(cx: RequestContext<'_>) -> Self {
        Self::of(cx.server_version())
    }
}

/// The names with which a record was read. Comparisons ignore them.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::feldera) struct Source {
    sizes: Seen,
    durations: Seen,
}

impl Source {
    pub(super) fn add(&mut self, unit: Unit, is_old: bool) {
        let seen = if unit.is_size() { &mut self.sizes } else { &mut self.durations };
        *seen = seen.and(Seen { old: is_old, new: !is_old });
    }

    /// Returns the names of both records.
    pub(in crate::feldera) fn and(self, other: Self) -> Self {
        Self { sizes: self.sizes.and(other.sizes), durations: self.durations.and(other.durations) }
    }
}

impl PartialEq for Source {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// The names of one kind of settings, sizes or durations, that were read.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    old: bool,
    new: bool,
}

impl Seen {
    fn and(self, other: Self) -> Self {
        Self { old: self.old || other.old, new: self.new || other.new }
    }

    /// Only the caller mixes old and new names: a server that writes new names writes no others.
    fn spelling(self) -> Option<Spelling> {
        match self {
            Self { new: true, .. } => Some(Spelling::New),
            Self { old: true, .. } => Some(Spelling::Old),
            _ => None,
        }
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
    fn is_size(self) -> bool {
        matches!(self, Self::Bytes | Self::Megabytes | Self::Mebibytes)
    }

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
