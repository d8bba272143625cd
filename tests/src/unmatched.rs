//! Recorded exchanges that belong to no operation, with the reason for each.

use http::Method;

/// The list: method, path, reason.
const LIST: &[&str] = &[
    include_str!("../fixtures/feldera/unmatched.tsv"),
    include_str!("../fixtures/flink/unmatched.tsv"),
    include_str!("../fixtures/flink-sql-gateway/unmatched.tsv"),
    include_str!("../fixtures/snowpipe/unmatched.tsv"),
];

/// Why an exchange belongs to no operation, if that is as it should be.
pub fn reason(method: &Method, path: &str) -> Option<&'static str> {
    rows().find(|row| row.0 == method.as_str() && fits(row.1, path)).map(|row| row.2)
}

fn rows() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    LIST.iter().flat_map(|list| list.lines()).filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut cells = line.split('\t');
        Some((cells.next()?, cells.next()?, cells.next()?))
    })
}

/// `*` stands for any segment, or for what it begins with, but not for nothing.
fn fits(pattern: &str, path: &str) -> bool {
    let (wanted, given) = (pattern.split('/'), path.split('/'));
    wanted.clone().count() == given.clone().count()
        && wanted.zip(given).all(|(wanted, given)| match wanted.strip_prefix('*') {
            Some(end) => given.len() > end.len() && given.ends_with(end),
            None => wanted == given,
        })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::har;
    use crate::replay::{Report, Verdict};

    #[test]
    fn patterns_fit_segment_by_segment() {
        assert!(fits("/jobs/*/stop", "/jobs/1/stop") && fits("/", "/"));
        assert!(fits("/pipes/*:info", "/pipes/a:info") && !fits("/pipes/*:info", "/pipes/:info"));
        assert!(!fits("/jobs/*/stop", "/jobs//stop") && !fits("/jobs/*", "/jobs/1/stop"));
    }

    #[test]
    fn what_is_unmatched_is_explained_and_all_explanations_are_used() {
        let folders = ["feldera", "flink", "flink-sql-gateway", "snowpipe"]
            .map(|service| Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(service));
        let (mut used, mut report) = (BTreeSet::new(), Report::default());
        for recording in folders.iter().flat_map(|folder| har::read_folder(folder).expect("the recordings")) {
            for entry in &recording.entries {
                let (method, path) = (entry.request.method(), entry.request.uri().path());
                let reason = reason(method, path);
                let (verdict, _) = report.add(entry);
                let is_unmatched = verdict == Verdict::Unmatched;
                assert_eq!(reason.is_some(), is_unmatched, "{}: {method} {path}: {verdict}", recording.name);
                used.extend(rows().find(|row| row.0 == method.as_str() && fits(row.1, path)).filter(|_| is_unmatched));
            }
        }
        assert_eq!(used, rows().collect());
    }
}
