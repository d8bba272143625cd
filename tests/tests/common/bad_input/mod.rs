//! Input that cannot work is rejected with an error that names the item, the value and what to do. Nothing panics, and
//! no error or debug text has a secret.

mod secrets;
mod values;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Debug;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use pipewright::error::{Applied, BuildError, ErrorKind, FlowError, ServiceError};
use pipewright::flink::checkpoints::{GetCheckpointDetails, GetCheckpointStatus, GetCheckpoints};
use pipewright::flink::cluster::GetOverview;
use pipewright::flink::jars::{DeleteJar, ListJars, PlanJar, SubmitJar, UploadJar};
use pipewright::flink::jobs::{GetJobExceptions, GetJobStatus};
use pipewright::flink::{FlinkRest, JarId, JobId, TriggerId, VertexId};
use pipewright::flow::{Call, Config, Flow, Step};
use pipewright::operation::RequestContext;
use pipewright::{Base, Operation, Secret, Seed, Timestamp};

const JOB: JobId = JobId::from_bits(1);

fn built<O: Operation>(operation: &O) -> Result<String, BuildError> {
    let base: Base = "http://127.0.0.1:8081/flink".parse().expect("a base");
    operation.request(RequestContext::new(&base)).map(|request| request.uri().to_string())
}

fn answer(kind: &str, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    if !kind.is_empty() {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_str(kind).expect("a header"));
    }
    response
}

/// Asserts that the text of an error has all the parts, is one line, and not long.
fn assert_says(error: &dyn Error, parts: &[&str]) {
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in {text:?}");
    }
    assert!(text.len() < 700 && !text.contains('\n') && !text.contains('\0'), "{text:?}");
}

// ---- names -----------------------------------------------------------------------------------------------------

#[test]
fn names_stay_in_their_segment() {
    for (name, segment) in [
        ("a/b", "a%252Fb"),
        ("a?b", "a%253Fb"),
        ("a#b", "a%23b"),
        ("a%b", "a%2525b"),
        ("a+b", "a%252Bb"),
        ("a b", "a%20b"),
        ("a\"b", "a%22b"),
        ("a\\b", "a%5Cb"),
        ("a;b&c=d", "a%3Bb%26c%3Dd"),
        ("../../config", "..%252F..%252Fconfig"),
        ("%2e%2e", "%25252e%25252e"),
        ("...", "..."),
        ("a\0b", "a%00b"),
        ("a\r\nHost: b", "a%0D%0AHost%3A%20b"),
        ("é", "%C3%A9"),
        ("🦀", "%F0%9F%A6%80"),
        ("~-._", "~-._"),
    ] {
        let expected = format!("http://127.0.0.1:8081/flink/v1/jars/{segment}");
        assert_eq!(built(&DeleteJar::new(name)).expect(name), expected, "{name:?}");
    }
}

#[test]
fn names_that_no_encoding_saves_are_rejected() {
    for (name, problem) in [("", "it is empty"), (".", "drop this segment"), ("..", "drop this segment")] {
        for error in [built(&DeleteJar::new(name)), built(&SubmitJar::new(name)), built(&PlanJar::new(name))] {
            let error = error.expect_err(name);
            assert_says(&error, &["jarid", &format!("\"{name}\""), problem, "another resource"]);
        }
    }
    assert_says(&built(&DeleteJar::new("..")).expect_err(".."), &["deleteJar"]);
}

#[test]
fn endless_names_are_rejected() {
    let long = "x".repeat(64 * 1024);
    let error = built(&DeleteJar::new(&*long)).expect_err("too long");
    assert_says(&error, &["deleteJar", "65", "bytes", "4096", "shorten"]);
    for error in [
        long.parse::<JobId>().expect_err("no id"),
        long.parse::<TriggerId>().expect_err("no id"),
        long.parse::<VertexId>().expect_err("no id"),
        built(&UploadJar::new(format!("{long}.jar"), "")).expect_err("too long"),
    ] {
        assert_says(&error, &["xxxxxxxx…", "\": "]);
        assert!(error.to_string().len() < 300);
    }
}

#[test]
fn what_is_no_id_is_named() {
    for bad in ["", "abc", "../../../../../../../../../../../", "zz000000000000000000000000000000", "\0", "é\n"] {
        assert_says(&bad.parse::<JobId>().expect_err(bad), &["JobId", "id \"", "32 hexadecimal digits"]);
    }
    assert_says(&"abc".parse::<TriggerId>().expect_err("short"), &["TriggerId", "\"abc\""]);
    assert_says(&"abc".parse::<VertexId>().expect_err("short"), &["VertexId", "\"abc\""]);
}

#[test]
fn file_names_are_checked() {
    for (name, way_out) in [
        ("a.zip", "end in .jar"),
        ("", "end in .jar"),
        (".jar", "in front of .jar"),
        ("../a.jar", "give only the file name"),
        ("c:\\a.jar", "give only the file name"),
        ("a\"; x=\".jar", "quotes"),
        ("a\r\nb.jar", "control characters"),
        ("a\0.jar", "control characters"),
    ] {
        assert_says(&built(&UploadJar::new(name, "PK")).expect_err(name), &["uploadJar", "name \"", way_out]);
    }
}

// ---- base addresses --------------------------------------------------------------------------------------------

#[test]
fn prefixes_are_kept() {
    for (base, uri) in [
        ("http://h", "http://h/v1/overview"),
        ("http://h/", "http://h/v1/overview"),
        ("https://h:1/a", "https://h:1/a/v1/overview"),
        ("https://h:1/a/b/", "https://h:1/a/b/v1/overview"),
        ("http://[::1]:8081/%20", "http://[::1]:8081/%20/v1/overview"),
    ] {
        let base: Base = base.parse().expect(base);
        let request = GetOverview::new().request(RequestContext::new(&base)).expect("a request");
        assert_eq!(request.uri(), uri);
    }
}

#[test]
fn an_invalid_base_url_is_named_with_its_problem() {
    for (base, shown, problem) in [
        ("", "\"\"", "not an absolute URL such as https://host:8081/prefix"),
        ("localhost:8081", "localhost:8081", "write https:// (or http://) in front of it"),
        ("/v1", "/v1", "not an absolute URL but a path"),
        ("../flink", "../flink", "a path"),
        ("http://", "http://", "not an absolute URL"),
        ("http:/h", "http:/h", "not an absolute URL"),
        ("http://a b/", "a b", "contains a space"),
        (" http://h", "http://h", "contains a space"),
        ("http://h\n", "http://h", "a line break"),
        ("http://flink.münchen.example:8081", "flink.m", "xn--"),
        ("http://h\0/", "h", "not an absolute URL"),
        ("ftp://h", "ftp://h", "http or https"),
        ("file:///etc/passwd", "file:///etc/passwd", "not an absolute URL"),
        ("http://h/?a=b", "http://h/", "no query"),
        ("http://h?", "http://h", "no query"),
        ("http://h/#a", "http://h/", "no fragment"),
        ("http://h/a//b", "http://h/a//b", "empty"),
        ("http://h/a/../b", "http://h/a/../b", ".."),
        ("http://h/a/%2e%2E/b", "http://h/a/%2e%2E/b", ".."),
        ("http://h/.%2e", "http://h/.%2e", ".."),
        ("http://h:0x1F", "h:0x1F", ""),
        ("http://h:99999", "h:99999", "port"),
        ("http://h:/", "h:", "port"),
        ("http://:80", ":80", ""),
    ] {
        let error = base.parse::<Base>().expect_err(base);
        assert_says(&error, &["base address", shown, problem]);
    }
    let long = format!("http://h/{}?q", "x".repeat(1 << 16)).parse::<Base>().expect_err("a query");
    assert!(long.to_string().len() < 300, "{long}");
}

#[test]
fn credentials_in_a_base_are_rejected_and_not_repeated() {
    for base in [
        "http://me:s3cr3t@h/",
        "https://s3cr3t@h:8081/flink",
        "me:s3cr3t@h:8081",
        "http:/me:s3cr3t@h/",
        "http:///me:s3cr3t@h/",
        "http://me:s3cr3t@@h/",
        "http://me:s3cr3t/1@h/",
        "http://me:s3cr3t#1@h/",
        "http://me:s3cr3t?1@h/",
        "http://me:1#s3cr3t@h/",
        "http://me:1?s3cr3t@h/",
        "http://me:s3cr3t @h/",
        "http://h/?token=s3cr3t",
        "http://h/#s3cr3t",
        "ftp://me:s3cr3t@h/",
        "me:s3cr3t://x@h/",
    ] {
        let error = base.parse::<Base>().expect_err(base);
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("s3cr3t"), "{base}: {shown}");
    }
    assert_says(&"http://me:x@h/".parse::<Base>().expect_err("credentials"), &["…@h", "give them as Credentials"]);
}

#[test]
fn exposed_means_plain_http_to_another_machine() {
    let is_exposed = |base: &str| base.parse::<Base>().expect(base).is_exposed();
    for safe in ["localhost", "LOCALHOST.:1", "a.localhost", "127.3.2.1", "[::1]"] {
        assert!(!is_exposed(&format!("http://{safe}")), "{safe}");
    }
    assert!(!is_exposed("https://h"));
    for exposed in ["h", "localhost.example", "127.0.0.1.example", "10.0.0.1", "notlocalhost"] {
        assert!(is_exposed(&format!("http://{exposed}")), "{exposed}");
    }
}

#[test]
fn every_base_goes_to_and_from_url() {
    for base in ["http://h", "https://[::1]:1/a/b", "http://h/a%20b", "http://xn--bcher-kva.example:8081"] {
        let base: Base = base.parse().expect(base);
        let url = url::Url::try_from(&base).expect("a URL");
        assert_eq!(Base::try_from(url).expect("a base"), base);
    }
    // What `http` takes for a host and `url` does not: numbers that are no address.
    for base in ["http://1.2.3.256", "http://1.2.3.4.5", "http://0x100000000"] {
        let base: Base = base.parse().expect(base);
        assert!(url::Url::try_from(&base).is_err(), "{base}");
    }
    let url: url::Url = "http://me:s3cr3t@h/?q".parse().expect("a URL");
    assert!(!Base::try_from(url).expect_err("credentials").to_string().contains("s3cr3t"));
}

// ---- answers ---------------------------------------------------------------------------------------------------

#[test]
fn successes_that_cannot_be_read() {
    let html = "<!DOCTYPE html>\n<html><title>Sign in</title></html>";
    for (kind, body, parts) in [
        ("application/json", "", &["the body is empty"][..]),
        ("", "", &["the body is empty"]),
        ("text/html; charset=utf-8", html, &["expected application/json, got text/html", "<title>Sign in</title>"]),
        ("", html, &["malformed JSON", "<!DOCTYPE html>"]),
        ("application/json", html, &["malformed JSON", "<!DOCTYPE html>"]),
        ("text/plain", r#"{"status":"RUNNING"}"#, &["expected application/json, got text/plain"]),
        ("application/octet-stream", r#"{"status":"RUNNING"}"#, &["got application/octet-stream"]),
        ("application/json", r#"{"status":"RUN"#, &["malformed JSON: EOF", "column", r#"{"status":"RUN"#]),
        ("application/json", r#"{"status":"RUNNING"}}"#, &["malformed JSON: trailing characters"]),
        ("application/json", "{}", &["missing field `status`", "{}"]),
        ("application/json", "null", &["the object JobStatus", "null"]),
        ("application/json", "[]", &["the object JobStatus"]),
        ("application/json", r#"{"status":null}"#, &["missing field `status`"]),
        ("application/json", r#"{"status":{}}"#, &["the text of a JobState", "{}"]),
    ] {
        let error = GetJobStatus::new(JOB).parse(answer(kind, body)).expect_err(body);
        // A proxy may have sent a page or a text by itself; anything else says that it was applied.
        let applied = if kind.starts_with("text/") || body == html { Applied::Unknown } else { Applied::Yes };
        assert_eq!((error.kind(), error.applied()), (ErrorKind::Unreadable, applied), "{error}");
        assert_says(&error, &["getJobStatusInfo: status 200, but the body cannot be read: "]);
        assert_says(&error, parts);
    }
    let error = GetJobStatus::new(JOB).parse(answer("", &b"{\"status\":\"\xff\"}"[..])).expect_err("no UTF-8");
    assert_says(&error, &["not UTF-8 at byte 11"]);
    let error = GetJobStatus::new(JOB).parse(answer("", vec![b'x'; 1 << 20])).expect_err("long");
    assert!(error.to_string().len() < 600);
}

#[test]
fn similar_types_are_json() {
    for kind in ["", "application/json;charset=UTF-8", "Application/JSON", "application/vnd.x+json"] {
        let answer = answer(kind, r#"{"status":"RUNNING"}"#);
        assert!(GetJobStatus::new(JOB).parse(answer).is_ok(), "{kind}");
    }
}

#[test]
fn numbers_and_texts_are_told_apart() {
    let overview = |tasks: &str| {
        format!(
            r#"{{"taskmanagers":{tasks},"slots-total":1,"slots-available":1,"jobs-running":0,"jobs-finished":0,
            "jobs-cancelled":0,"jobs-failed":0,"flink-version":"2.3.0","flink-commit":"c0f8d1a"}}"#
        )
    };
    assert!(GetOverview::new().parse(answer("", overview("1"))).is_ok());
    let checkpoint = |id: &str| format!(r#"{{"id":{id},"status":"COMPLETED","is_savepoint":false}}"#);
    let read = |id: &str| GetCheckpointDetails::new(JOB, 1).parse(answer("", checkpoint(id)));
    assert!(read("1").is_ok());
    for (bad, shown) in [("\"NaN\"", "string \"NaN\""), ("1.5", "`1.5`"), ("{}", "map")] {
        // A number that nothing decides by costs itself, an id costs its object.
        let parsed = GetOverview::new().parse(answer("", overview(bad))).expect(bad);
        assert_eq!((parsed.task_managers, parsed.slots_total), (None, Some(1)), "{bad}");
        let error = read(bad).expect_err(bad);
        assert_says(&error, &["getCheckpointStatisticDetails", "unexpected JSON", shown, "i64", "line 1"]);
        assert!(!error.is_transient(), "the next answer will be the same");
    }
    for bad in ["-1", "4294967296"] {
        let parsed = GetOverview::new().parse(answer("", overview(bad))).expect(bad);
        assert_eq!((parsed.task_managers, parsed.slots_total), (None, Some(1)), "{bad}");
    }
}

#[test]
fn text_where_a_percentile_is_due() {
    let checkpoints = |number: &str| {
        let stats = format!(r#"{{"min":0,"max":0,"avg":0,"p50":{number}}}"#);
        format!(
            r#"{{"counts":{{"restored":0,"total":0,"in_progress":0,"completed":0,"failed":0}},
            "summary":{{"state_size":{stats},"end_to_end_duration":{stats}}},"latest":{{}},"history":null}}"#
        )
    };
    for (text, number) in [("\"NaN\"", f64::NAN), ("\"-Infinity\"", f64::NEG_INFINITY), ("1e3", 1000.0), ("2", 2.0)] {
        let parsed = GetCheckpoints::new(JOB).parse(answer("", checkpoints(text))).expect(text);
        let p50 = parsed.summary.state_size.p50.expect("a number");
        assert!(p50.total_cmp(&number).is_eq(), "{text}: {p50}");
        assert!(parsed.history.is_empty());
    }
    for (odd, number) in [("\"NAN\"", None), ("true", None), ("[]", None), ("\"1\"", Some(1.0))] {
        let parsed = GetCheckpoints::new(JOB).parse(answer("", checkpoints(odd))).expect(odd);
        assert_eq!(parsed.summary.state_size.p50, number, "{odd}");
    }
}

/// Also on the stack that threads have by default.
#[test]
fn answers_that_are_nested_too_deep_are_rejected() {
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(deep_documents).expect("a thread");
    thread.join().expect("no panic, and no end of the stack");
}

fn deep_documents() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let job = |extra: &str| format!(r#"{{"extra":{extra},"status":"RUNNING"}}"#);
    for depth in [1, 126, 127, 128, 255, 319] {
        assert!(GetJobStatus::new(JOB).parse(answer("", job(&nested(depth)))).is_ok(), "{depth} levels and one");
    }
    for depth in [601, 5000, 1 << 20] {
        let error = GetJobStatus::new(JOB).parse(answer("", nested(depth))).expect_err("too deep");
        assert_says(&error, &[&format!("nested {depth} levels deep"), "and 320 are read"]);
    }
    // In what is read and not skipped: each exception is two levels, and three more are around them.
    let exceptions = |count: usize| {
        let open = r#"{"exceptionName":"a","stacktrace":"b","timestamp":1,"concurrentExceptions":["#;
        let (open, close) = (open.repeat(count), "]}".repeat(count));
        format!(r#"{{"exceptionHistory":{{"truncated":false,"entries":[{open}{close}]}}}}"#)
    };
    for count in [126, 158] {
        let parsed = GetJobExceptions::new(JOB).parse(answer("", exceptions(count))).expect("255 and 319 levels");
        let written = serde_json::to_string(&parsed).expect("written");
        let again = GetJobExceptions::new(JOB).parse(answer("", written)).expect("as written");
        assert!(again == parsed && format!("{:?}", parsed.clone()).len() > count);
    }
    let error = GetJobExceptions::new(JOB).parse(answer("", exceptions(300))).expect_err("too deep");
    assert_says(&error, &["nested 603 levels deep"]);
}

#[test]
fn rejections_of_somebody_in_between() {
    for (status, kind, body, transient, applied) in [
        (302, "text/html", "moved", false, Applied::No),
        (401, "text/html", "<html>Sign in</html>", false, Applied::No),
        (404, "", "", false, Applied::No),
        (408, "text/plain", "slow", true, Applied::Unknown),
        (413, "text/html", "too large", false, Applied::No),
        (429, "text/plain", "slow down", true, Applied::No),
        (500, "application/json", r#"{"message":"x"}"#, true, Applied::Unknown),
        (500, "application/json", r#"{"errors":[]}"#, true, Applied::Unknown),
        (500, "application/json", r#"{"errors":["cut"#, true, Applied::Unknown),
        (500, "text/html", r#"{"errors":["not said to be JSON"]}"#, true, Applied::Unknown),
        (501, "text/html", "no", false, Applied::Unknown),
        (502, "text/html", "<html>Bad Gateway</html>", true, Applied::Unknown),
        (503, "text/plain", "no healthy upstream", true, Applied::Unknown),
    ] {
        let mut response = answer(kind, body);
        *response.status_mut() = status.try_into().expect("a status");
        let error = GetOverview::new().parse(response).expect_err(body);
        assert_eq!(error.kind(), ErrorKind::Foreign, "{error}");
        assert_eq!((error.is_transient(), error.applied()), (transient, applied), "{error}");
        let shown = if body.is_empty() { "an empty body" } else { body };
        assert_says(&error, &["getClusterOverview", &format!("status {status}"), shown]);
    }
}

/// Two refusals of Flink have no body, and are recognised all the same.
#[test]
fn rejections_without_a_body() {
    for (status, way_out) in [(413, "rest.server.max-content-length"), (301, "must begin with https")] {
        let mut response = answer("", "");
        *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
        let error = SubmitJar::new("a.jar").parse(response).expect_err("refused");
        assert_eq!((error.kind(), error.applied()), (ErrorKind::Rejected, Applied::No));
        assert_says(&error, &["submitJobFromJar", way_out]);
    }
}

/// What Flink's own server errors say about a request that changes something.
#[test]
fn server_errors_of_flink() {
    for (status, text, transient, applied) in [
        (503, "Service temporarily unavailable due to an ongoing leader election. Please refresh.", true, Applied::No),
        (503, "Rescaling is temporarily disabled. See FLINK-12312.", false, Applied::No),
        (500, "java.util.concurrent.TimeoutException: Invocation timed out", true, Applied::Unknown),
        (500, "java.lang.NullPointerException", false, Applied::Unknown),
        (500, "a.ProgramInvocationException: The program's entry point class 'X' was not found", false, Applied::No),
        (500, "a.RestHandlerException: Jar file /x/a.jar does not exist", false, Applied::No),
        (500, "a.UnsupportedOperationException: thrown by a main method", false, Applied::Unknown),
        (400, "a.RestHandlerException: Could not execute application.", false, Applied::Unknown),
        (
            400,
            "a.RestHandlerException: Could not execute application.: DuplicateJobSubmissionException",
            false,
            Applied::Unknown,
        ),
        (400, "a.RestHandlerException: No jobs included in application.", false, Applied::No),
        (400, "a.RestHandlerException: Request did not match expected format", false, Applied::No),
        (429, "slow down", true, Applied::No),
        (404, "Not found: /v1/jars/a.jar/run", false, Applied::No),
    ] {
        let mut response = answer("application/json", format!(r#"{{"errors":["{text}"]}}"#));
        *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
        let error = SubmitJar::new("a.jar").parse(response.clone()).expect_err(text);
        assert_eq!((error.kind(), error.status()), (ErrorKind::Rejected, response.status()), "{error}");
        assert_eq!((error.is_transient(), error.applied()), (transient, applied), "{error}");
        // Reading changes nothing.
        assert_eq!(GetOverview::new().parse(response).expect_err(text).applied(), Applied::No);
    }
}

/// The first that says something counts, whichever of its names it has.
#[test]
fn a_field_that_comes_twice() {
    let status =
        |body: &str| GetJobStatus::new(JOB).parse(answer("", body.to_owned())).map(|job| job.status.to_string());
    assert_eq!(status(r#"{"status":"RUNNING","status":"FAILED"}"#).as_deref(), Ok("RUNNING"));
    assert_eq!(status(r#"{"status":null,"status":"FAILED","status":null}"#).as_deref(), Ok("FAILED"));
    assert_eq!(status(r#"{"status":"SOMETHING_NEW"}"#).as_deref(), Ok("SOMETHING_NEW"));
    for names in [["failureCause", "failure-cause"], ["failure-cause", "failureCause"]] {
        let [one, other] = names.map(|name| format!(r#""{name}":{{"class":"{name}","stack-trace":"x"}}"#));
        let body = format!(r#"{{"status":{{"id":"COMPLETED"}},"operation":{{{one},{other}}}}}"#);
        let status = GetCheckpointStatus::new(JOB, TriggerId::from_bits(1)).parse(answer("", body)).expect("a status");
        assert_eq!(status.outcome().expect("over").expect_err("failed").class.as_deref(), Some(names[0]));
    }
}

#[test]
fn an_upload_that_names_no_file() {
    let body = r#"{"filename":"/tmp/","status":"success"}"#;
    let error = UploadJar::new("a.jar", "PK").parse(answer("application/json", body)).expect_err("no name");
    assert_says(&error, &["uploadJar", "does not end in a file name", "/tmp/"]);
    assert_eq!((error.applied(), error.is_transient()), (Applied::Yes, false));
    let body = r#"{"address":"http://h","files":[{"id":"","name":"a.jar","uploaded":1}]}"#;
    // One that cannot be used costs no more than itself.
    assert!(ListJars::new().parse(answer("", body)).expect("a list").files.is_empty());
}
