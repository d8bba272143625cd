//! Names of all kinds in paths and queries: they arrive unchanged, or nothing is sent.

use http::{Method, Request};
use percent_encoding::percent_decode_str;
use pipewright::error::BuildError;
use pipewright::flink::jars::{DeleteJar, PlanJar, SubmitJar};
use pipewright::flink::{FlinkRest, JarId};
use pipewright::operation::{Effect, OperationInfo, RequestContext, Service, Target};
use pipewright::{Base, Body, Operation};
use proptest::prelude::*;

const BASES: [&str; 4] = ["http://h", "https://proxy.example:8443/a/b", "http://[::1]:8081/", "http://127.0.0.1/%20"];

/// A service that decodes once, as most do.
#[derive(Clone, Copy, Debug)]
enum Plain {}

impl Service for Plain {
    const NAME: &'static str = "plain";
    const MAX_REQUEST_LINE: usize = 100_000;

    fn parse_error(
        info: &'static OperationInfo,
        response: &http::Response<bytes::Bytes>,
    ) -> pipewright::error::ServiceError {
        pipewright::error::ServiceError::foreign(info, response)
    }
}

static ROW: OperationInfo = OperationInfo {
    service: "plain",
    name: "find",
    method: Method::GET,
    path: "/of/{one}/and/{other}/found",
    effect: Effect::Safe,
    effect_varies: false,
};

fn find(base: &Base, segments: [&str; 2], query: &[String]) -> Result<Request<Body>, BuildError> {
    let mut target = Target::new::<Plain>(&ROW, RequestContext::new(base));
    target.segment("one", &segments[0])?;
    target.segment("other", &segments[1])?;
    for value in query {
        target.query("q", value);
    }
    target.finish(None)
}

fn once(text: &str) -> String {
    percent_decode_str(text).decode_utf8().expect("UTF-8").into_owned()
}

/// What Flink's router takes a path apart into: it decodes the whole path, cuts it at a question mark, splits it at
/// slashes, and decodes each piece, where a plus sign becomes a space. Empty pieces at the end fall off.
fn as_flink_reads(path: &str) -> Vec<String> {
    let path = once(&path.replace('+', " "));
    let path = path.split('?').next().unwrap_or_default();
    path.trim_matches('/').split('/').map(|piece| once(&piece.replace('+', " "))).collect()
}

/// Any text, with what is special in addresses more often than chance would have it.
fn name() -> impl Strategy<Value = String> {
    let special = proptest::sample::select(vec![
        "/", "?", "#", "%", "%2F", "%25", "%2e", "+", "..", ".", " ", "&", "=", ";", ":", "@", "\\", "\"", "\0",
        "\r\n", "é",
    ]);
    let piece = prop_oneof![special.prop_map(str::to_owned), any::<char>().prop_map(String::from), "[a-z0-9._-]{1,8}"];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn jar_ids_arrive_at_flink(id in name(), base in proptest::sample::select(BASES.to_vec())) {
        let base: Base = base.parse().expect("a base");
        let cx = RequestContext::new(&base);
        let jar = JarId::from(&*id);
        let (delete, plan, submit) = (DeleteJar::new(jar.clone()), PlanJar::new(jar.clone()), SubmitJar::new(jar));
        let requests = [delete.request(cx), plan.request(cx), submit.request(cx)];
        let templates = [DeleteJar::INFO.path, PlanJar::INFO.path, SubmitJar::INFO.path];
        for (request, template) in requests.into_iter().zip(templates) {
            let request = match request {
                Ok(request) => request,
                Err(error) => {
                    prop_assert!(matches!(&*id, "" | "." | ".."), "{error}");
                    continue;
                }
            };
            let uri = request.uri();
            prop_assert_eq!(uri.authority(), Some(base.authority()));
            prop_assert_eq!(uri.query(), None);
            let path = uri.path().strip_prefix(base.prefix()).and_then(|path| path.strip_prefix(FlinkRest::PREFIX));
            let path = path.expect("behind the prefixes");
            prop_assert_eq!(path.split('/').count(), template.split('/').count());
            // A proxy, or a client's URL parser, leaves it alone.
            let parsed: url::Url = uri.to_string().parse().expect("a URL");
            prop_assert_eq!(parsed.path(), uri.path());
            prop_assert_eq!(parsed.host_str(), uri.host());
            let expected: Vec<_> =
                template.split('/').skip(1).map(|segment| if segment == "{jarid}" { &*id } else { segment }).collect();
            prop_assert_eq!(as_flink_reads(path), expected);
        }
    }

    #[test]
    fn segments_and_query_values_arrive_elsewhere(
        one in name(), other in name(), query in proptest::collection::vec(name(), 0..4),
        base in proptest::sample::select(BASES.to_vec()),
    ) {
        let base: Base = base.parse().expect("a base");
        let Ok(request) = find(&base, [&one, &other], &query) else {
            let impossible = |name: &str| matches!(name, "" | "." | "..");
            prop_assert!(impossible(&one) || impossible(&other));
            return Ok(());
        };
        let uri = request.uri();
        prop_assert_eq!(uri.authority(), Some(base.authority()));
        let path = uri.path().strip_prefix(base.prefix()).expect("behind the prefix");
        let segments: Vec<_> = path.split('/').map(once).collect();
        prop_assert_eq!(segments, ["", "of", &one, "and", &other, "found"]);
        // As a form is read ([URL Standard](https://url.spec.whatwg.org/#concept-urlencoded-parser)), which a plus sign
        // matters to.
        let parsed: url::Url = uri.to_string().parse().expect("a URL");
        let values: Vec<_> = parsed.query_pairs().map(|(key, value)| (key.into_owned(), value.into_owned())).collect();
        let expected: Vec<_> = query.iter().map(|value| ("q".to_owned(), value.clone())).collect();
        prop_assert_eq!(values, expected);
    }

    #[test]
    fn the_request_line_has_a_bound(length in 3900_usize..4200) {
        let base: Base = "http://h".parse().expect("a base");
        let id = "x".repeat(length);
        let built = DeleteJar::new(&*id).request(RequestContext::new(&base));
        let line = format!("DELETE /v1/jars/{id} HTTP/1.1").len();
        match built {
            Ok(_) => prop_assert!(line <= FlinkRest::MAX_REQUEST_LINE),
            Err(error) => prop_assert_eq!(
                error,
                BuildError::TooLong { operation: "deleteJar", length: line, limit: FlinkRest::MAX_REQUEST_LINE },
                "{} bytes", line
            ),
        }
        prop_assert_eq!(DeleteJar::new(&*id).request(RequestContext::new(&base)).is_err(), line > 4096);
    }

    #[test]
    fn any_text_is_a_base_or_an_error(text in "(http|https|ftp)?(:|://|:/)?[a-z0-9@:/?#%. \\[\\]é-]{0,24}") {
        match text.parse::<Base>() {
            Ok(base) => {
                prop_assert!(
                    base.prefix().is_empty() || base.prefix().starts_with('/') && !base.prefix().ends_with('/')
                );
                prop_assert_eq!(base.to_string().parse::<Base>(), Ok(base));
            }
            Err(error) => prop_assert!(error.to_string().len() < 300),
        }
    }
}
