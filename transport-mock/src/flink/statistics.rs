//! Minimum, maximum, average and percentiles, in the forms of the server.

use serde_json::{Value, json};

/// A percentile of sorted samples, interpolated between its neighbours as the server does it. `None` without samples.
fn percentile(sorted: &[u64], thousandths: u64) -> Option<f64> {
    let (first, last) = (*sorted.first()?, *sorted.last()?);
    let count = u64::try_from(sorted.len()).unwrap_or(u64::MAX);
    let place = thousandths.saturating_mul(count.saturating_add(1));
    let below = usize::try_from(place / 1000).unwrap_or(usize::MAX);
    // Sizes and durations are far below 2^53.
    #[allow(clippy::cast_precision_loss)]
    let number = |value: u64| value as f64;
    match (below.checked_sub(1).and_then(|at| sorted.get(at)), sorted.get(below)) {
        (None, _) => Some(number(first)),
        (Some(low), Some(high)) => Some(number(*low) + number(place % 1000) / 1000.0 * (number(*high) - number(*low))),
        (Some(_), None) => Some(number(last)),
    }
}

/// Minimum, maximum and average.
fn bounds(sorted: &[u64]) -> (u64, u64, u64) {
    let sum = sorted.iter().fold(0_u64, |sum, sample| sum.saturating_add(*sample));
    let count = u64::try_from(sorted.len()).unwrap_or(u64::MAX).max(1);
    (sorted.first().copied().unwrap_or(0), sorted.last().copied().unwrap_or(0), sum / count)
}

fn summary(sorted: &[u64], percentiles: &[u64]) -> Value {
    let (min, max, avg) = bounds(sorted);
    let at = |thousandths| percentile(percentiles, thousandths).map_or_else(|| json!("NaN"), |value| json!(value));
    json!({
        "min": min,
        "max": max,
        "avg": avg,
        "p50": at(500),
        "p90": at(900),
        "p95": at(950),
        "p99": at(990),
        "p999": at(999),
    })
}

/// Without any percentiles, as before 1.14.
pub(super) fn bounds_of(mut samples: Vec<u64>) -> Value {
    samples.sort_unstable();
    let (min, max, avg) = bounds(&samples);
    json!({ "min": min, "max": max, "avg": avg })
}

/// With percentiles, which are no numbers without samples.
pub(super) fn of(mut samples: Vec<u64>) -> Value {
    samples.sort_unstable();
    summary(&samples, &samples)
}

/// With percentiles of the last `window` samples alone; they are given oldest first.
pub(super) fn of_window(mut samples: Vec<u64>, window: usize) -> Value {
    let mut last = samples.split_off(samples.len().saturating_sub(window));
    samples.extend(&last);
    samples.sort_unstable();
    last.sort_unstable();
    summary(&samples, &last)
}

/// Without samples behind them, so that no percentile is a number.
pub(super) fn without_percentiles(mut samples: Vec<u64>) -> Value {
    samples.sort_unstable();
    summary(&samples, &[])
}

/// Of subtasks: whole numbers, and other percentiles.
pub(super) fn of_subtasks(mut samples: Vec<u64>) -> Value {
    samples.sort_unstable();
    let (min, max, avg) = bounds(&samples);
    // The server cuts them off; none is negative.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let at = |thousandths| percentile(&samples, thousandths).unwrap_or(0.0) as u64;
    json!({
        "min": min,
        "max": max,
        "avg": avg,
        "sum": samples.iter().fold(0_u64, |sum, sample| sum.saturating_add(*sample)),
        "median": at(500),
        "p25": at(250),
        "p75": at(750),
        "p95": at(950),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{of, of_subtasks, of_window};

    /// As a server answered them.
    #[test]
    fn percentiles_are_those_of_a_server() {
        let rescales = of(vec![26201, 580]);
        assert_eq!(
            (&rescales["p50"], &rescales["p90"], &rescales["avg"]),
            (&json!(13390.5), &json!(26201.0), &json!(13390))
        );
        assert_eq!(of(vec![225, 116, 218])["p50"], 218.0);
        let read = of_subtasks(vec![1263, 980]);
        assert_eq!(
            read,
            json!({
                "p25": 980, "min": 980, "avg": 1121, "median": 1121, "max": 1263, "sum": 2243, "p95": 1263, "p75": 1263,
            })
        );
        assert_eq!(of(Vec::new())["p50"], "NaN");
        let window = of_window(vec![3189, 813, 925, 998, 88, 209, 261, 316, 416, 476, 558], 10);
        let read = ["min", "max", "p50", "p90"].map(|key| window[key].clone());
        assert_eq!(read, [json!(88), json!(3189), json!(446.0), json!(990.7)]);
    }
}
