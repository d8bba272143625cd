//! Feldera's metrics in both formats, and in forms that no recording has.

use pipewright::feldera::metrics::{MetricKind, Metrics};
use serde_json::json;

/// The text format: comments, labels with escapes, numbers that cannot be read, lines of unknown kinds.
#[test]
fn metrics_in_the_text_format() {
    let text = concat!(
        "# HELP records Records, \\\\ and\\nlines.\n# TYPE records counter\n",
        "records{pipeline=\"p\",path=\"a\\\\b\\\"c}\\n\",} 5 1756000000000\n\n",
        "# TYPE delay summary\ndelay{quantile=\"0.5\"} 1\ndelay_sum 7.25\n",
        "# a remark\nalone_sum\t-Inf\nodd NaN\n",
    );
    let metrics = Metrics::from_prometheus(text).expect("well-formed");
    let names: Vec<_> = metrics.metrics.iter().map(|metric| (&*metric.name, metric.values.len())).collect();
    assert_eq!(names, [("records", 1), ("delay", 2), ("alone_sum", 1), ("odd", 1)]);
    let records = metrics.get("records").expect("it is there");
    assert_eq!(
        (&records.kind, records.description.as_deref()),
        (&Some(MetricKind::Counter), Some("Records, \\ and\nlines."))
    );
    assert_eq!(records.values[0].labels["path"], "a\\b\"c}\n");
    let number = |name: &str, at: usize| metrics.get(name).expect("it is there").values[at].value.number();
    let delay = metrics.get("delay").expect("it is there");
    assert_eq!((delay.values[1].name.as_deref(), number("delay", 1)), (Some("delay_sum"), Some(7.25)));
    assert_eq!(number("alone_sum", 0), Some(f64::NEG_INFINITY));
    assert!(number("odd", 0).is_some_and(f64::is_nan));
    for bad in ["records", "records{a=\"b\" 1", "records{a=\"b\"}", "records{a=b} 1", "records one"] {
        assert!(Metrics::from_prometheus(bad).expect_err(bad).starts_with("line 1: records"), "{bad}");
    }
}

/// In JSON a histogram is an object, with one range open at the bottom and one at the top; the text format has a line
/// for each range, with the count of all ranges below in it.
#[test]
fn a_histogram_is_the_same_in_both_formats() {
    let text = concat!(
        "# HELP delay d\n# TYPE delay histogram\n",
        "delay_bucket{p=\"a\",le=\"0.5\"} 3\ndelay_bucket{p=\"a\",le=\"1\"} 3\ndelay_bucket{p=\"a\",le=\"2\"} 4\n",
        "delay_bucket{p=\"a\",le=\"inf\"} 9\ndelay_sum{p=\"a\"} 53.5\ndelay_count{p=\"a\"} 9\n",
        "delay_bucket{p=\"b\",le=\"+Inf\"} 0\ndelay_sum{p=\"b\"} 0\ndelay_count{p=\"b\"} 0\n",
    );
    let json = json!([{ "key": "delay", "type": "histogram", "description": "d", "values": [
        { "labels": { "p": "a" }, "value": { "buckets": [
            { "le": 0.5, "count": 3 }, { "gt": 1.0, "le": 2.0, "count": 1 }, { "gt": 2.0, "count": 5 }
        ], "sum": 53.5, "count": 9 } },
        { "labels": { "p": "b" }, "value": { "buckets": [], "sum": 0.0, "count": 0 } }
    ] }]);
    let of_json: Metrics = serde_json::from_value(json.clone()).expect("of the shape");
    assert_eq!(Metrics::from_prometheus(text).expect("well-formed"), of_json);
    let histogram = of_json.metrics[0].values[0].value.histogram().expect("a histogram");
    let bounds: Vec<_> = histogram.buckets.iter().map(|it| (it.above, it.up_to, it.count)).collect();
    assert_eq!(bounds, [(None, Some(0.5), 3), (Some(1.0), Some(2.0), 1), (Some(2.0), None, 5)]);
    // Nothing is lost when it is written: a range without a bound has no field for it.
    let mut written = serde_json::to_value(&of_json).expect("JSON");
    for value in written[0]["values"].as_array_mut().expect("a list") {
        value.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
    }
    assert_eq!(written, json);
}

/// A later release may add to them, and what it adds is written back.
#[test]
fn a_histogram_with_unknown_fields_is_kept_as_it_is() {
    for value in [
        r#"{"sum":1.5,"count":2}"#,
        r#"{"quantiles":[1.50],"sum":1.5,"count":2}"#,
        r#"{"buckets":[],"sum":1.5,"count":2,"max":9.0}"#,
        r#"{"buckets":[{"le":1.0,"count":2,"exemplar":"x"}],"sum":1.5,"count":2}"#,
    ] {
        let text = format!(r#"[{{"key":"a","type":"histogram","values":[{{"labels":{{}},"value":{value}}}]}}]"#);
        let metrics: Metrics = serde_json::from_str(&text).expect("of the shape");
        assert_eq!(serde_json::to_string(&metrics.metrics[0].values[0].value).expect("JSON"), value);
    }
}

/// A value of another shape, and lines that are no part of a histogram, stand beside the others.
#[test]
fn values_of_unknown_shapes_are_kept() {
    let text = r#"[{"key":"a","type":"sketch","values":[{"labels":{},"value":{"points":[1.50]}},{"labels":{},"value":"nan"},
        {"labels":{},"value":"-inf"},{"labels":{},"value":null},{"labels":{},"value":"soon"}]},
        {"key":"b","type":"histogram","values":[{"labels":{},"value":7},{"labels":{},"value":{"buckets":[],"sum":"inf","count":2}}]}]"#;
    let metrics: Metrics = serde_json::from_str(text).expect("of the shape");
    let [sketch, b] = &*metrics.metrics else { panic!("two metrics: {metrics:?}") };
    assert_eq!(sketch.kind, Some(MetricKind::Unknown("sketch".into())));
    let written: Vec<_> = sketch.values.iter().map(|it| serde_json::to_string(&it.value).expect("JSON")).collect();
    assert_eq!(written, [r#"{"points":[1.50]}"#, r#""NaN""#, r#""-Infinity""#, r#""NaN""#, r#""soon""#]);
    assert_eq!(b.values[0].value.number(), Some(7.0));
    let histogram = b.values[1].value.histogram().expect("a histogram");
    assert_eq!((histogram.sum, histogram.count), (f64::INFINITY, 2));

    let text = "# TYPE h histogram\nh_bucket 3\nh_sum{a=\"b\"} 1\nh_created 12\nh_count{a=\"b\"} 1.5\n";
    let metrics = Metrics::from_prometheus(text).expect("well-formed");
    let lines: Vec<_> = metrics.metrics[0].values.iter().map(|it| (it.name.as_deref(), it.value.number())).collect();
    assert_eq!(lines, [(Some("h_bucket"), Some(3.0)), (None, None), (Some("h_count"), Some(1.5))]);
    assert_eq!(metrics.get("h_created").map(|metric| metric.values.len()), Some(1));
}
