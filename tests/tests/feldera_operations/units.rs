//! Sizes and durations with their units.

use std::time::Duration;

use pipewright::feldera::{ByteSize, ConfigDuration};
use proptest::prelude::*;

#[test]
fn sizes_are_read_in_every_unit() {
    for (text, bytes) in [
        ("0", 0),
        ("4096", 4096),
        ("+4096B", 4096),
        ("1k", 1_000),
        ("1K", 1_000),
        ("1kB", 1_000),
        ("1Ki", 1 << 10),
        ("1KiB", 1 << 10),
        ("500M", 500_000_000),
        ("2MiB", 2 << 20),
        ("3G", 3_000_000_000),
        ("3GiB", 3 << 30),
        ("4T", 4_000_000_000_000),
        ("4Ti", 4 << 40),
        ("5P", 5_000_000_000_000_000),
        ("5Pi", 5 << 50),
        ("6E", 6_000_000_000_000_000_000),
        ("6Ei", 6 << 60),
        ("1.5Gi", 3 << 29),
        (".5Ki", 512),
        ("5.k", 5_000),
        ("0.4B", 0),
        ("0.5B", 1),
        ("18446744073709551615", u64::MAX),
    ] {
        assert_eq!(text.parse(), Ok(ByteSize::from_bytes(bytes)), "{text}");
    }
}

#[test]
fn sizes_are_written_in_the_unit_with_the_smallest_number() {
    for (bytes, text) in [
        (0, "0B"),
        (1, "1B"),
        (1_000, "1k"),
        (1_024, "1Ki"),
        (1_000_000, "1M"),
        (1_500_000, "1500k"),
        (1 << 30, "1Gi"),
        (1_181_116_006, "1181116006B"),
        // Divided by 1000 and by 1024 the numbers differ; only 0 would be a tie.
        (1_024_000, "1000Ki"),
        (128_000_000, "128M"),
        (u64::MAX, "18446744073709551615B"),
    ] {
        assert_eq!(ByteSize::from_bytes(bytes).to_string(), text);
    }
}

#[test]
fn durations_are_read_as_go_does_and_with_days() {
    for (text, nanos) in [
        ("0", 0),
        ("0s", 0),
        ("100ns", 100),
        ("11us", 11_000),
        ("11\u{b5}s", 11_000),
        ("11\u{3bc}s", 11_000),
        ("1ms", 1_000_000),
        ("5.s", 5_000_000_000),
        (".5s", 500_000_000),
        ("3h30m", 12_600_000_000_000),
        ("10.5s4m", 250_500_000_000),
        ("1h2m3s4ms5us6ns", 3_723_004_005_006),
        ("0.3333333333333333333h", 1_200_000_000_000),
        ("1d12h", 129_600_000_000_000),
        ("+30d", 2_592_000_000_000_000),
    ] {
        assert_eq!(text.parse(), Ok(ConfigDuration::from(Duration::from_nanos(nanos))), "{text}");
    }
}

#[test]
fn durations_are_written_with_the_longest_units_first() {
    for (nanos, text) in [
        (0, "0s"),
        (500_000_000, "500ms"),
        (100_000_000_000, "1m40s"),
        (5_400_000_000_000, "1h30m"),
        (2_592_000_000_000_000, "30d"),
        (90_061_001_002_003, "1d1h1m1s1ms2us3ns"),
    ] {
        assert_eq!(ConfigDuration::from(Duration::from_nanos(nanos)).to_string(), text);
    }
}

#[test]
fn what_is_wrong_with_a_text_is_named_with_a_way_out() {
    let size = |text: &str| text.parse::<ByteSize>().expect_err(text).to_string();
    let duration = |text: &str| text.parse::<ConfigDuration>().expect_err(text).to_string();
    for (error, parts) in [
        (size(""), ["size \"\"", "empty", "write a number"]),
        (size("-1Gi"), ["\"-1Gi\"", "negative", "zero or more"]),
        (size("Mi"), ["\"Mi\"", "no number before it", "write a number"]),
        (size("."), ["\".\"", "no number before it", "write a number"]),
        (size("12Q"), ["\"12Q\"", "\"Q\" is not a unit", "use k, M, G"]),
        (size("1 Gi"), ["\"1 Gi\"", "\" Gi\" is not a unit", "Ki, Mi, Gi"]),
        (size("1Gi2"), ["\"1Gi2\"", "\"Gi2\" is not a unit", "Ki, Mi, Gi"]),
        (size("16Ei"), ["\"16Ei\"", "too large", "18446744073709551615B"]),
        (size(&"9".repeat(200)), ["\"9999", "too large", "at most"]),
        (duration(""), ["duration \"\"", "empty", "ns, us, ms"]),
        (duration("-1s"), ["\"-1s\"", "negative", "zero or more"]),
        (duration("s"), ["\"s\"", "no number before it", "write a number"]),
        (duration("10"), ["\"10\"", "no unit after it", "add a unit, ns"]),
        (duration("1h30"), ["\"1h30\"", "no unit after it", "add a unit, ns"]),
        (duration("5sec"), ["\"5sec\"", "\"sec\" is not a unit", "use ns, us"]),
        (duration("1..2s"), ["\"1..2s\"", "no unit after it", "add a unit"]),
        (duration("184467440737095516160s"), ["\"1844", "too large", "213503982334601d"]),
    ] {
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    // Nothing of an arbitrarily long text is echoed in full.
    assert!(size(&"9".repeat(10_000)).len() < 250);
    assert!(ByteSize::from_gib(3) == ByteSize::from_mib(3072) && ByteSize::from_mb(u64::MAX) == ByteSize::MAX);
}

proptest! {
    #[test]
    fn a_size_that_is_written_is_read_as_the_same(bytes: u64, unit in 0_u32..7, number in 0_u64..2000) {
        for bytes in [bytes, bytes >> (bytes % 64), number << (10 * unit.min(5)), number * 1000_u64.pow(unit.min(4))] {
            let size = ByteSize::from_bytes(bytes);
            prop_assert_eq!(size.to_string().parse(), Ok(size));
            let json = serde_json::to_string(&size).expect("JSON");
            prop_assert_eq!(serde_json::from_str::<ByteSize>(&json).expect("a size"), size);
            // With a unit always: a bare number would count megabytes for some settings.
            prop_assert!(!size.to_string().ends_with(|last: char| last.is_ascii_digit()));
        }
    }

    #[test]
    fn a_duration_that_is_written_is_read_as_the_same(seconds: u64, nanos in 0_u32..1_000_000_000, shift in 0_u32..64) {
        let short = Duration::from_nanos(seconds);
        for duration in [Duration::new(seconds >> shift, nanos), Duration::new(seconds, 0), short] {
            let duration = ConfigDuration::from(duration);
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
            let json = serde_json::to_string(&duration).expect("JSON");
            prop_assert_eq!(serde_json::from_str::<ConfigDuration>(&json).expect("a duration"), duration);
        }
    }

    #[test]
    fn any_text_is_read_or_rejected(text in "[-+.0-9a-zA-Zµ ]{0,12}|\\PC{0,20}") {
        if let Ok(size) = text.parse::<ByteSize>() {
            prop_assert_eq!(size.to_string().parse(), Ok(size));
        }
        if let Ok(duration) = text.parse::<ConfigDuration>() {
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        }
    }
}
