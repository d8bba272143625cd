//! Flink's operations in a [`Call`]: which requests are sent again.

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use pipewright::error::{Applied, Delivery, FlowError, TransportError, TransportErrorKind};
use pipewright::flink::jars::{DeleteJar, GetJarPlan, PlanJar, RunApplication, SubmitJar, UploadJar};
use pipewright::flink::jobs::{CancelJob, GetJob, GetJobStatus};
use pipewright::flink::savepoints::{StartSavepoint, StartStop};
use pipewright::flink::{ApplicationId, FlinkRest, JobId, TriggerId, is_unknown_job};
use pipewright::flow::{Call, Config, Flow, Step};
use pipewright::{Body, Operation, Seed, Timestamp};

const JOB: JobId = JobId::from_bits(1);
const NO_LEADER: &str =
    r#"{"errors":["Service temporarily unavailable due to an ongoing leader election. Please refresh."]}"#;

/// What comes of each attempt.
#[derive(Clone, Copy, Debug)]
enum Come {
    Answer(u16, &'static str),
    /// As JSON by its type.
    Json(u16, &'static str),
    /// JSON that a proxy has compressed.
    Compressed(u16),
    /// The connection broke after the head of the answer.
    CutOff(u16),
    /// The same, with the head of a web page.
    CutOffPage(u16),
    Lost,
}

/// Drives a call to its end; gives the requests as text, and the result.
fn drive<O: Operation<Service = FlinkRest>>(
    operation: O,
    come: &[Come],
) -> (Vec<String>, Result<O::Output, FlowError>) {
    let config = Config::new("http://127.0.0.1:8081".parse().expect("a base"));
    let mut call = Call::new(operation, &config, Seed::new(1));
    let (mut now, mut reply, mut requests) = (Timestamp::from_millis(1), None, Vec::new());
    loop {
        match call.poll(now, reply.take()) {
            Step::Send(exchange) => {
                let come = come.get(requests.len()).copied().expect("no more requests than that");
                requests.push(text(exchange.request()));
                reply = Some(exchange.settle(match come {
                    Come::Answer(status, body) => Ok(response(status, body)),
                    Come::Json(status, body) => {
                        let mut response = response(status, body);
                        response
                            .headers_mut()
                            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                        Ok(response)
                    }
                    Come::Compressed(status) => {
                        let mut response = response(status, "\u{1f}\u{8b}");
                        response
                            .headers_mut()
                            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                        Ok(response)
                    }
                    Come::CutOff(status) => {
                        let error = TransportError::new(TransportErrorKind::Closed, Delivery::Unknown, "it broke");
                        Err(error.with_status(status.try_into().expect("a status")))
                    }
                    Come::CutOffPage(status) => {
                        let error = TransportError::new(TransportErrorKind::Closed, Delivery::Unknown, "it broke");
                        let mut page = response(status, "");
                        let kind = HeaderValue::from_static("text/html; charset=utf-8");
                        page.headers_mut().insert(header::CONTENT_TYPE, kind);
                        Err(error.with_head(page.status(), page.headers()))
                    }
                    Come::Lost => Err(TransportError::new(TransportErrorKind::Closed, Delivery::Unknown, "it broke")),
                }));
            }
            Step::WaitUntil(at) | Step::InFlight { until: at } => now = at,
            Step::Notice(_) => {}
            Step::Done(result) => return (requests, result),
            Step::Authorize(_) | Step::Stray(_) => panic!("neither credentials nor another call"),
        }
    }
}

fn response(status: u16, body: &'static str) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status.try_into().expect("a status");
    response
}

fn text(request: &http::Request<Body>) -> String {
    let body = request.body().read().expect("in memory");
    format!("{} {} {}", request.method(), request.uri().path(), String::from_utf8_lossy(&body))
}

fn is_ambiguous<T: std::fmt::Debug>(result: &Result<T, FlowError>) -> bool {
    result.as_ref().is_err_and(FlowError::is_ambiguous)
}

const TRIGGERED: Come = Come::Answer(202, r#"{"request-id":"0000000000000000000000000000000b"}"#);

#[test]
fn a_trigger_is_repeated_only_with_an_id_of_its_own() {
    let (requests, result) = drive(StartSavepoint::new(JOB), &[Come::Lost]);
    assert!(is_ambiguous(&result) && requests.len() == 1, "{result:?}");
    let (requests, result) = drive(StartStop::new(JOB).drain(true), &[Come::Lost]);
    assert!(is_ambiguous(&result) && requests.len() == 1, "{result:?}");

    let id = TriggerId::from_bits(0xb);
    let (requests, result) = drive(StartSavepoint::new(JOB).trigger_id(id), &[Come::Lost, TRIGGERED]);
    assert_eq!(result.expect("triggered").request_id, id);
    assert_eq!(requests[0], requests[1]);
    assert!(requests[0].ends_with(r#"{"triggerId":"0000000000000000000000000000000b"}"#), "{requests:?}");
}

/// It may have killed the JobManager: each repetition could kill the next JobManager.
#[test]
fn a_request_that_executes_a_main_method_is_not_repeated() {
    let run = || SubmitJar::new("a.jar").job_id(JOB);
    for lost in [Come::Lost, Come::Answer(502, "<html>")] {
        let (requests, result) = drive(run(), &[lost]);
        assert!(is_ambiguous(&result) && requests.len() == 1, "{result:?}");
        let (requests, result) = drive(PlanJar::new("a.jar"), &[lost]);
        assert!(is_ambiguous(&result) && requests.len() == 1, "{result:?}");
        let (requests, result) = drive(GetJarPlan::new("a.jar"), &[lost]);
        assert!(is_ambiguous(&result) && requests.len() == 1, "{result:?}");
        let (requests, result) =
            drive(RunApplication::new("a.jar").application_id(ApplicationId::from_bits(1)), &[lost]);
        assert!(is_ambiguous(&result) && requests.len() == 1, "{result:?}");
    }
    // A plan leaves nothing behind, so that each of the cluster's own answers is final.
    let failed = r#"{"errors":["Internal server error.","<Exception on server side:\norg.apache.flink.client.program.ProgramInvocationException: The main method caused an error: no\n\nEnd of exception on server side>"]}"#;
    let (_, result) = drive(PlanJar::new("a.jar"), &[Come::Answer(500, failed)]);
    assert!(matches!(result, Err(FlowError::Service(_))), "{result:?}");
    // Without a leader nothing is executed.
    let planned = Come::Answer(200, r#"{"plan":{"jid":"a","name":"a","type":"STREAMING","nodes":[]}}"#);
    let (requests, result) = drive(PlanJar::new("a.jar"), &[Come::Answer(503, NO_LEADER), planned]);
    assert!(result.is_ok() && requests.len() == 2, "{result:?}");
}

/// Not even without an unanswered attempt before: the program may have called `execute` twice.
#[test]
fn a_duplicate_is_no_proof() {
    let duplicate = r#"{"errors":["org.apache.flink.runtime.rest.handler.RestHandlerException: Could not execute application.\nCaused by: x.DuplicateApplicationSubmissionException: Application has already been submitted."]}"#;
    let (_, result) = drive(SubmitJar::new("a.jar").job_id(JOB), &[Come::Answer(400, duplicate)]);
    let Err(FlowError::Ambiguous(ambiguity)) = result else { panic!("{result:?}") };
    assert!(!ambiguity.unanswered, "each attempt was answered");
}

#[test]
fn a_main_method_that_fails_may_have_submitted_its_job() {
    let threw = r#"{"errors":["org.apache.flink.runtime.rest.handler.RestHandlerException: Could not execute application.\nCaused by: java.lang.IllegalStateException: late"]}"#;
    let (_, result) = drive(SubmitJar::new("a.jar"), &[Come::Answer(400, threw)]);
    assert!(is_ambiguous(&result), "{result:?}");
    let error = result.expect_err("ambiguous").to_string();
    assert!(error.contains("submitJobFromJar") && error.contains("IllegalStateException: late"), "{error}");
}

#[test]
fn an_upload_is_never_repeated_but_for_lack_of_a_leader() {
    let (requests, result) = drive(UploadJar::new("a.jar", "PK"), &[Come::Lost]);
    assert!(is_ambiguous(&result) && requests.len() == 1);
    let uploaded = Come::Answer(200, r#"{"filename":"/tmp/x/1_a.jar","status":"success"}"#);
    let (requests, result) = drive(UploadJar::new("a.jar", "PK"), &[Come::Answer(503, NO_LEADER), uploaded]);
    assert_eq!((result.expect("uploaded").jar_id().as_str(), requests.len()), ("1_a.jar", 2));
}

#[test]
fn a_deleted_jar_that_is_unknown_the_second_time_is_no_proof() {
    let unknown = r#"{"errors":["x.RestHandlerException: File a.jar does not exist in /tmp."]}"#;
    let (requests, result) = drive(DeleteJar::new("a.jar"), &[Come::Lost, Come::Answer(400, unknown)]);
    assert!(is_ambiguous(&result) && requests.len() == 2, "{result:?}");
}

#[test]
fn a_cancellation_is_repeated() {
    let (requests, result) =
        drive(CancelJob::new(JOB), &[Come::Lost, Come::Answer(502, "<html>"), Come::Answer(202, "{}")]);
    assert!(result.is_ok() && requests.len() == 3);
}

#[test]
fn a_500_that_is_an_answer_is_not_repeated() {
    let unknown = "{\"errors\":[\"Internal server error.\",\"<Exception on server side:\\norg.apache.flink.runtime.messages.FlinkJobNotFoundException: Could not find Flink job (1)\\n\\nEnd of exception on server side>\"]}";
    let (requests, result) = drive(GetJobStatus::new(JOB), &[Come::Answer(500, unknown)]);
    let error = result.expect_err("unknown");
    assert_eq!(requests.len(), 1);
    assert!(error.service().is_some_and(is_unknown_job), "{error}");
}

#[test]
fn an_answer_that_is_cut_off_is_asked_for_again_and_one_of_another_shape_is_not() {
    let cut = [Come::Answer(200, r#"{"status":"RUN"#), Come::Answer(200, r#"{"status":"RUNNING"}"#)];
    assert_eq!(drive(GetJobStatus::new(JOB), &cut).0.len(), 2);
    let (requests, result) = drive(GetJob::new(JOB), &[Come::Answer(200, r#"{"jid":7}"#)]);
    assert!(matches!(result, Err(FlowError::Service(_))) && requests.len() == 1, "{result:?}");
}

const GONE: &str = r#"{"errors":["x.RestHandlerException: File a.jar does not exist in /tmp."]}"#;

fn applied<T: std::fmt::Debug>(result: Result<T, FlowError>) -> (Applied, String) {
    let error = result.expect_err("it cannot be read");
    let FlowError::Service(rejection) = &error else { panic!("{error:?}") };
    (rejection.applied(), error.to_string())
}

#[test]
fn a_compressed_answer_is_named_and_not_asked_for_again() {
    let (requests, result) = drive(GetJobStatus::new(JOB), &[Come::Compressed(200)]);
    let error = result.expect_err("compressed").to_string();
    let problem = "the body cannot be read: it is compressed, content-encoding gzip";
    assert!(error.contains(problem) && requests.len() == 1, "{error}");
    let (_, result) = drive(GetJobStatus::new(JOB), &[Come::Compressed(400)]);
    let error = result.expect_err("compressed").to_string();
    assert!(error.contains("status 400: it is compressed, content-encoding gzip"), "{error}");
}

#[test]
fn a_patch_or_delete_whose_answer_is_compressed_was_applied() {
    let (requests, result) = drive(CancelJob::new(JOB), &[Come::Compressed(202)]);
    assert_eq!((applied(result).0, requests.len()), (Applied::Yes, 1));
    let (requests, result) = drive(DeleteJar::new("a.jar"), &[Come::Compressed(200)]);
    assert_eq!((applied(result).0, requests.len()), (Applied::Yes, 1));
}

#[test]
fn a_delete_whose_answer_was_cut_off_was_applied_whatever_a_repetition_says() {
    for cut in [Come::Answer(200, "{"), Come::CutOff(200)] {
        for next in [Come::Answer(400, GONE), Come::Lost, Come::Answer(503, NO_LEADER)] {
            let mut come = vec![cut];
            come.extend([next; 19]);
            let (requests, result) = drive(DeleteJar::new("a.jar"), &come);
            let (applied, text) = applied(result);
            assert!(applied == Applied::Yes && text.contains("status 200, but the body cannot be read"), "{text}");
            assert!(requests.len() >= 2);
        }
    }
    let cut = Come::CutOff(200);
    let (requests, result) = drive(DeleteJar::new("a.jar"), &[cut, Come::Answer(200, "{}")]);
    assert!(result.is_ok() && requests.len() == 2);
}

/// A proxy may have sent it by itself.
#[test]
fn a_delete_that_is_answered_with_a_page_is_ambiguous() {
    for page in [Come::Answer(200, "<html>sign in</html>"), Come::CutOffPage(200)] {
        let (_, result) = drive(DeleteJar::new("a.jar"), &[page; 20]);
        assert!(is_ambiguous(&result), "{page:?}: {result:?}");
    }
}

/// The file handler's and the router's, too: a path that does not exist on this version.
#[test]
fn flinks_own_404_is_believed_at_once() {
    for own in [
        r#"{"errors":["Unable to load requested file /jobs/a/status."]}"#,
        r#"{"errors":["Not found: /v1/jobs/a/status"]}"#,
        r#"{"errors":["x.RestHandlerException: Job 0000000000000000000000000000000a not found\n\tat x"]}"#,
    ] {
        let (requests, result) = drive(GetJobStatus::new(JOB), &[Come::Answer(503, NO_LEADER), Come::Answer(404, own)]);
        assert!(matches!(result, Err(FlowError::Service(_))) && requests.len() == 2, "{result:?}");
    }
}

#[test]
fn other_json_is_a_proxys_404() {
    let other =
        [r#"{"message":"no Route matched with those values"}"#, r#"{"errors":[]}"#, r#"{"errors":[{"code":404}]}"#];
    for other in other {
        let (requests, result) = drive(GetJobStatus::new(JOB), &[Come::Json(404, other)]);
        assert!(matches!(result, Err(FlowError::Service(_))) && requests.len() == 1, "{result:?}");
        let running = Come::Answer(200, r#"{"status":"RUNNING"}"#);
        let come = [Come::Answer(503, NO_LEADER), Come::Json(404, other), running];
        assert!(drive(GetJobStatus::new(JOB), &come).1.is_ok(), "{other}");
    }
}
