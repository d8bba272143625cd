//! Finds the operation that an address belongs to.

use http::Method;
use pipewright::operation::OperationInfo;

use crate::har::Entry;

/// The operation of a service that a recorded exchange belongs to.
///
/// Where the recording says which template was meant, a placeholder does not stand for a literal that we do not have
/// yet: `/jobs/metrics` is no job.
pub fn of(service: &str, entry: &Entry) -> Option<&'static OperationInfo> {
    let (method, path) = (entry.request.method(), entry.request.uri().path());
    let info = find(service, method, path).or_else(|| of_process(service, method, path))?;
    entry.template.as_deref().is_none_or(|template| same_shape(info.path, template)).then_some(info)
}

/// Feldera's manager passes on to a pipeline's process what it is asked for behind the pipeline's name, so the process
/// itself, at its own address, is asked the same without what stands before.
fn of_process(service: &str, method: &Method, path: &str) -> Option<&'static OperationInfo> {
    if service == "feldera" { find(service, method, &format!("/v0/pipelines/p{path}")) } else { None }
}

/// Whether `/jobs/{jobid}` and `/jobs/:jobid` are the same template.
fn same_shape(ours: &str, theirs: &str) -> bool {
    let shape = |template: &str| -> Vec<String> {
        let is_placeholder = |segment: &str| segment.starts_with(['{', ':']);
        template.split('/').map(|segment| if is_placeholder(segment) { "{}" } else { segment }.to_owned()).collect()
    };
    shape(ours) == shape(theirs)
}

/// The operation of a service whose method and path template fit; a literal segment beats a placeholder.
///
/// The path may stand behind `/v1` or not, as with Flink; behind one of four versions with its SQL Gateway. Before the
/// version there may be the path of a proxy.
pub fn find(service: &str, method: &Method, path: &str) -> Option<&'static OperationInfo> {
    let versions: &[&str] = if service == "flink-sql-gateway" { &["v1", "v2", "v3", "v4"] } else { &["v1"] };
    let is_version = |segment: &str| versions.contains(&segment);
    let mut rest = path;
    let versioned = std::iter::from_fn(|| {
        let (segment, after) = rest.strip_prefix('/')?.split_once('/')?;
        rest = rest.get(rest.len() - after.len() - 1..)?;
        Some((segment, rest))
    });
    let path = versioned.into_iter().find_map(|(segment, rest)| is_version(segment).then_some(rest)).unwrap_or(path);
    pipewright::operations()
        .filter(|info| info.service == service && info.method == *method)
        .filter_map(|info| Some((literals(info.path, path)?, info)))
        .max_by(|(one, _), (other, _)| one.cmp(other))
        .map(|(_, info)| info)
}

/// Which segments of a fitting template are literals.
fn literals(template: &str, path: &str) -> Option<Vec<bool>> {
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    let mut literals = Vec::new();
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(literals),
            // `{pipe}:bulk-channel-status` has a literal behind its placeholder.
            (Some(wanted), Some(given))
                if wanted.starts_with('{')
                    && given.strip_suffix(behind(wanted)).is_some_and(|value| !value.is_empty()) =>
            {
                literals.push(false);
            }
            (Some(wanted), Some(given)) if wanted == given => literals.push(true),
            _ => return None,
        }
    }
}

/// What follows a placeholder in its segment.
fn behind(segment: &str) -> &str {
    segment.split_once('}').map_or("", |(_, literal)| literal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_compared_by_shape() {
        assert!(same_shape("/jobs/{jobid}/savepoints/{triggerid}", "/jobs/:jobid/savepoints/:trigger"));
        assert!(!same_shape("/jobs/{jobid}", "/jobs/metrics"));
    }

    #[test]
    fn a_literal_beats_a_placeholder() {
        for (method, path, name) in [
            (Method::GET, "/v1/jobs/overview", Some("getJobsOverview")),
            (Method::GET, "/jobs/overview", Some("getJobsOverview")),
            (Method::GET, "/proxy/flink/v1/jobs/overview", Some("getJobsOverview")),
            (Method::GET, "/proxy/flink/jobs/overview", None),
            (Method::GET, "/v1/jobs/abc", Some("getJobDetails")),
            (Method::PATCH, "/v1/jobs/abc", Some("cancelJob")),
            (Method::PUT, "/v1/jobs/abc", None),
            (Method::GET, "/v1//jobs", None),
            (Method::GET, "/v2/jobs", None),
            (Method::GET, "/v1/jobs/", None),
            (Method::GET, "/v1", None),
        ] {
            assert_eq!(find("flink", &method, path).map(|info| info.name), name, "{method} {path}");
        }
        let pipe = "/v2/streaming/databases/d/schemas/s/pipes/p";
        let data = "/v2/streaming/data/databases/d/schemas/s/pipes/p";
        for (path, name) in [
            (format!("{pipe}:bulk-channel-status"), Some("bulkGetChannelStatus")),
            (format!("{pipe}:pipe-info"), None),
            (format!("{data}/channels/c/rows"), Some("appendRows")),
            (format!("{data}/channels/ELASTIC/rows"), Some("appendElastic")),
        ] {
            assert_eq!(find("snowpipe", &Method::POST, &path).map(|info| info.name), name, "{path}");
        }
    }
}
