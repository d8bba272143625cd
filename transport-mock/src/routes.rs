//! The routes of a real service, and which of these routes its simulator has.
//!
//! Each simulator has a table `routes.md`, with a line for each method and path of the real service. The simulator's
//! documentation shows the table, `pipewright-sim SERVICE --routes` prints it, and the router reads it: a route whose
//! line says `no` is answered 501, in the service's error shape. A test compares the table with the router.
//!
//! To add a route, add its handler to `router.rs` and change the `no` of its line in `routes.md` to `yes`.

use std::fmt;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response};

/// A route of a real service. Each simulator's module has a function that returns its routes, such as
/// [`flink::routes`](crate::flink::routes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Route {
    /// The method, such as `GET`.
    pub method: &'static str,
    /// The path with its variables as the service's own documentation writes them, as in `/jobs/:jobid` or
    /// `/v0/pipelines/{pipeline_name}`.
    pub path: &'static str,
    /// The releases or versions of the API that have the route. `1.17+` means 1.17 and later; `v3` means this version
    /// only; the empty string means all that the simulator knows.
    pub releases: &'static str,
    /// Whether the simulator has a handler for the route. Without a handler it answers 501.
    pub is_simulated: bool,
}

/// Method, path and releases.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<6} {}", self.method, self.path)?;
        if !self.releases.is_empty() {
            write!(f, " ({})", self.releases)?;
        }
        Ok(())
    }
}

impl Route {
    /// Returns whether a release has the route. Releases are compared number by number.
    pub(crate) fn exists_in(&self, release: &[u32]) -> bool {
        let (text, and_later) = match self.releases.strip_suffix('+') {
            Some(text) => (text, true),
            None => (self.releases, false),
        };
        let first: Vec<u32> = text.trim_start_matches('v').split('.').map_while(|part| part.parse().ok()).collect();
        first.is_empty() || release == first || and_later && release > first.as_slice()
    }

    /// Returns whether a request with this method and these decoded path segments belongs to the route.
    fn matches(&self, method: &str, segments: &[&str]) -> bool {
        let pattern = self.path.trim_start_matches('/').split('/');
        self.method == method
            && pattern.clone().count() == segments.len()
            && pattern.zip(segments).all(|(pattern, segment)| matches_segment(pattern, segment))
    }
}

/// Returns whether a segment matches. A variable is `:name`, or `{name}` with an optional suffix.
fn matches_segment(pattern: &str, segment: &str) -> bool {
    match pattern.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        Some((_, suffix)) => segment.strip_suffix(suffix).is_some_and(|name| !name.is_empty()),
        None if pattern.starts_with(':') => !segment.is_empty(),
        None => pattern == segment,
    }
}

/// The routes of a table: the lines that begin with a method in backticks.
pub(crate) fn read(table: &'static str) -> impl Iterator<Item = Route> {
    table.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split('|').map(|cell| cell.trim().trim_matches('`'));
        let (method, path, releases) = (cells.next()?, cells.next()?, cells.next()?);
        Some(Route { method, path, releases, is_simulated: cells.next()? == "yes" })
    })
}

/// Returns the route of a request if the real service has the route and the simulator does not.
pub(crate) fn find_missing(table: &'static str, release: &[u32], method: &str, segments: &[&str]) -> Option<Route> {
    let mut missing = read(table).filter(|route| !route.is_simulated && route.exists_in(release));
    missing.find(|route| route.matches(method, segments))
}

/// Returns the message of a 501.
pub(crate) fn not_simulated(service: &str, method: &str, path: &str) -> String {
    format!(
        "{method} {path} is not simulated by pipewright-sim; use a real service for it, or a route that \
         `pipewright-sim {service} --routes` lists as simulated"
    )
}

/// Marks a response as one that only the simulator gives.
pub(crate) fn mark_not_simulated(response: &mut Response<Bytes>) {
    response.headers_mut().insert(MARK, HeaderValue::from_static("not-simulated"));
}

/// The header of a 501, for clients and proxies that do not read bodies.
const MARK: HeaderName = HeaderName::from_static("x-pipewright-sim");

/// Compares a table with a router. `ask` sends a request without a body to a new simulator of a release, and returns
/// the response, and whether it is what the real service says to a path that it does not have.
#[cfg(test)]
pub(crate) fn compare(
    table: &'static str,
    release: &[u32],
    values: &[(&str, &str)],
    ask: impl Fn(&Route, &str) -> (Response<Bytes>, bool),
) {
    let mut wrong = Vec::new();
    for route in read(table) {
        let mut path = route.path.to_owned();
        for (variable, value) in values {
            path = path.replace(variable, value);
        }
        assert!(!path.contains('{') && !path.contains("/:"), "{path}: a variable has no value");
        let (response, is_unknown) = ask(&route, &path);
        let says = String::from_utf8_lossy(response.body()).contains("is not simulated by pipewright-sim");
        let is_marked = response.headers().get(MARK).is_some_and(|value| value == "not-simulated");
        let is_501 = response.status() == http::StatusCode::NOT_IMPLEMENTED;
        let (missing, exists) = (!route.is_simulated, route.exists_in(release));
        let is_right = match (exists, missing) {
            (false, _) => is_unknown,
            (true, true) => says && is_marked && is_501,
            (true, false) => !is_unknown && !says && !is_marked && !is_501,
        };
        if !is_right {
            wrong.push(format!("{release:?} {route}, simulated: {}: {response:?}", route.is_simulated));
        }
    }
    assert!(wrong.is_empty(), "routes.md and router.rs differ:\n{}", wrong.join("\n"));
}

#[cfg(test)]
mod tests {
    use super::{Route, find_missing, read};

    const TABLE: &str = "\
| Method | Path | Releases | Simulated |
|---|---|---|---|
| `GET` | `/jobs/:jobid` | | yes |
| `POST` | `/jobs/:jobid/stop` | 1.17+ | no |
| `POST` | `/pipes/{pipe}:info` | v3 | no |
";

    fn exists(releases: &'static str, release: &[u32]) -> bool {
        Route { method: "GET", path: "/", releases, is_simulated: true }.exists_in(release)
    }

    #[test]
    fn a_table_is_read_line_by_line() {
        let lines: Vec<_> = read(TABLE).map(|route| (route.to_string(), route.is_simulated)).collect();
        let expected = [
            ("GET    /jobs/:jobid", true),
            ("POST   /jobs/:jobid/stop (1.17+)", false),
            ("POST   /pipes/{pipe}:info (v3)", false),
        ];
        assert_eq!(lines, expected.map(|(line, simulated)| (line.to_owned(), simulated)));
    }

    #[test]
    fn only_a_missing_route_of_the_release_is_found() {
        let find =
            |release: &[u32], method, segments: &[&str]| find_missing(TABLE, release, method, segments).is_some();
        assert!(find(&[2, 3], "POST", &["jobs", "a", "stop"]));
        assert!(!find(&[1, 16], "POST", &["jobs", "a", "stop"]));
        assert!(!find(&[2, 3], "GET", &["jobs", "a", "stop"]));
        assert!(!find(&[2, 3], "POST", &["jobs", "", "stop"]));
        assert!(!find(&[2, 3], "GET", &["jobs", "a"]));
        assert!(find(&[3], "POST", &["pipes", "p:info"]));
        assert!(!find(&[3], "POST", &["pipes", ":info"]));
        assert!(!find(&[4], "POST", &["pipes", "p:info"]));
    }

    #[test]
    fn releases_are_compared_number_by_number() {
        assert!(exists("", &[1, 13]));
        assert!(exists("1.9+", &[1, 13]) && exists("1.13+", &[1, 13]) && exists("1.13+", &[2, 0]));
        assert!(!exists("1.13+", &[1, 9]));
        assert!(exists("v3", &[3]) && !exists("v3", &[4]) && !exists("v3", &[2]));
    }
}
