//! Sizes and durations as 0.375 reads and writes them in settings.

/// What a setting measures, and how much one of its old name's units is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Bytes.
    Size(u128),
    /// Nanoseconds.
    Time(u128),
}

/// Units of sizes, in bytes. The binary units come last and win ties.
const SIZES: [(&str, u128); 12] = [
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("P", 1_000_000_000_000_000),
    ("E", 1_000_000_000_000_000_000),
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("Pi", 1 << 50),
    ("Ei", 1 << 60),
];

pub(super) const SECOND: u128 = 1_000_000_000;

/// Units of durations, in nanoseconds, longest first.
const TIMES: [(&str, u128); 7] = [
    ("d", 86_400 * SECOND),
    ("h", 3_600 * SECOND),
    ("m", 60 * SECOND),
    ("s", SECOND),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

impl Unit {
    /// Reads a text; the error says what is wrong with it.
    pub(super) fn read(self, text: &str) -> Result<u128, String> {
        let rest = text.strip_prefix('+').unwrap_or(text);
        match self {
            Self::Size(counted) => {
                let (number, unit) = rest.split_at(digits(rest));
                if unit.is_empty() && counted > 1 {
                    return Err(format!("size '{text}' has no unit; write a size such as '{text}M'"));
                }
                let unit = match unit.strip_suffix('B').unwrap_or(unit) {
                    "" => 1,
                    "K" => 1_000,
                    unit => find(&SIZES, unit).ok_or_else(|| format!("unknown unit '{unit}' in size '{text}'"))?,
                };
                scaled(number, unit).ok_or_else(|| format!("size '{text}' has no number"))
            }
            Self::Time(_) if rest == "0" => Ok(0),
            Self::Time(_) => {
                let (mut rest, mut total) = (rest, 0_u128);
                loop {
                    let (number, behind) = rest.split_at(digits(rest));
                    let (unit, behind) =
                        behind.split_at(behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len()));
                    let nanos =
                        find(&TIMES, unit).ok_or_else(|| format!("unknown unit '{unit}' in duration '{text}'"))?;
                    let part = scaled(number, nanos).ok_or_else(|| format!("duration '{text}' has no number"))?;
                    (rest, total) = (behind, total.saturating_add(part));
                    if rest.is_empty() {
                        return Ok(total);
                    }
                }
            }
        }
    }

    /// Writes a value: a size in the unit that needs the smallest number, a duration in all units, longest first.
    pub(super) fn written(self, value: u128) -> String {
        match self {
            Self::Size(_) => {
                let exact = SIZES.iter().filter(|(_, unit)| value > 0 && value.is_multiple_of(*unit));
                let best = exact.max_by_key(|(_, unit)| *unit);
                best.map_or_else(|| format!("{value}B"), |(name, unit)| format!("{}{name}", value / unit))
            }
            Self::Time(_) if value == 0 => "0s".to_owned(),
            Self::Time(_) => {
                let mut rest = value;
                let parts = TIMES.iter().filter_map(|(name, unit)| {
                    let count = rest / unit;
                    rest %= unit;
                    (count > 0).then(|| format!("{count}{name}"))
                });
                parts.collect()
            }
        }
    }

    /// How much a number under the old name is.
    pub(super) fn counted(self, number: u64) -> u128 {
        let (Self::Size(unit) | Self::Time(unit)) = self;
        unit * u128::from(number)
    }
}

fn find(units: &[(&str, u128)], name: &str) -> Option<u128> {
    units.iter().find(|(unit, _)| *unit == name).map(|(_, value)| *value)
}

fn digits(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len())
}

/// A number, perhaps with a fraction, of a unit; rounded.
fn scaled(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction = fraction.get(..fraction.len().min(18))?;
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let part: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    whole.checked_mul(unit)?.checked_add((part * unit + scale / 2) / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_in_the_units_that_need_the_smallest_numbers() {
        let size = Unit::Size(1_000_000);
        let sizes =
            [("16G", "16G"), ("1024Mi", "1Gi"), ("1000k", "1M"), ("0k", "0B"), ("1.5GiB", "1536Mi"), ("7B", "7B")];
        for (text, written) in sizes {
            assert_eq!(size.read(text).map(|value| size.written(value)).as_deref(), Ok(written), "{text}");
        }
        assert_eq!(size.written(size.counted(16_384)), "15625Mi");
        assert_eq!(size.written(1_181_116_006), "1181116006B");
        assert!(size.read("16000").is_err() && Unit::Size(1).read("16000") == Ok(16_000));
        let time = Unit::Time(SECOND);
        for (text, written) in [("90s", "1m30s"), ("1.5h", "1h30m"), ("0", "0s"), ("30d", "30d"), ("1500ms", "1s500ms")]
        {
            assert_eq!(time.read(text).map(|value| time.written(value)).as_deref(), Ok(written), "{text}");
        }
        for text in ["", "90", "s", "1x", "1h30"] {
            assert!(time.read(text).is_err(), "{text}");
        }
        for text in ["", "G", "1x", "-1G", "1e3"] {
            assert!(size.read(text).is_err(), "{text}");
        }
    }
}
