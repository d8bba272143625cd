//! No text of the library has a secret.

use super::*;

fn assert_keeps(what: &dyn Debug) {
    let shown = format!("{what:?} {what:#?}");
    assert!(!shown.contains("s3cr3t"), "{shown}");
}

#[test]
fn no_debug_text_holds_a_secret() {
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Basic s3cr3t"));
    headers.insert(header::PROXY_AUTHORIZATION, HeaderValue::from_static("Basic s3cr3t"));
    headers.append(header::COOKIE, HeaderValue::from_static("a=s3cr3t"));
    headers.append(header::COOKIE, HeaderValue::from_static("b=s3cr3t"));
    let config =
        Config::<FlinkRest>::new("https://h".parse().expect("a base")).with_headers(headers).with_credentials();
    assert_keeps(&config);
    assert_keeps(&Secret::new("s3cr3t"));
    assert_keeps(&Secret::new("s3cr3t\n").bearer());

    let mut call = Call::new(JarId::from("a.jar").pipe(DeleteJar::new), &config, Seed::new(1));
    let (mut reply, mut asked, now) = (None, 0, Timestamp::from_millis(1));
    loop {
        assert_keeps(&call);
        assert_keeps(&reply);
        let step = call.poll(now, reply.take());
        assert_keeps(&step);
        match step {
            Step::Authorize(request) => {
                asked += 1;
                assert_eq!(
                    request.rejected().is_some(),
                    asked == 2,
                    "only the second request found another credential"
                );
                reply = Some(request.settle(Ok(HeaderValue::from_static("Bearer s3cr3t"))));
            }
            Step::Send(exchange) => {
                assert_eq!(exchange.request().headers()[header::AUTHORIZATION], "Bearer s3cr3t");
                let mut response = Response::new(Bytes::new());
                *response.status_mut() = http::StatusCode::UNAUTHORIZED;
                reply = Some(exchange.settle(Ok(response)));
            }
            Step::Notice(notice) => assert!(!notice.to_string().contains("s3cr3t")),
            Step::Done(result) => {
                let error = result.expect_err("refused twice");
                assert!(!error.to_string().contains("s3cr3t"));
                assert!(matches!(error.service().map(ServiceError::status), Some(http::StatusCode::UNAUTHORIZED)));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(asked, 2);
}

/// Statements, arguments and settings of jobs often hold the passwords of what they read from.
#[test]
fn no_debug_text_holds_what_is_run() {
    use pipewright::feldera::Deploy;
    use pipewright::feldera::pipelines::CreatePipeline;
    use pipewright::flink::sql_gateway::statements::ExecuteStatement;
    use pipewright::flink::sql_gateway::{RunStatement, SessionHandle};
    use pipewright::flink::{RunJar, UpgradeJob};

    let secret = || "'password' = 's3cr3t'";
    let settings = || BTreeMap::from([("key".to_owned(), "s3cr3t".to_owned())]);
    let run = || RunJar::uploaded("a.jar").program_args([secret()]).flink_configuration(settings());
    assert_keeps(&run());
    assert_keeps(&UpgradeJob::new(JOB, run(), run()));
    assert_keeps(&SubmitJar::new("a.jar").program_args(vec![secret().to_owned()]));
    assert_keeps(&RunStatement::new(secret()).properties(settings()).execution_config(settings()));
    assert_keeps(&Deploy::new("p", secret()).udf_rust(secret()).udf_toml(secret()));
    assert_keeps(&CreatePipeline::new("p", secret()));
    let execute = ExecuteStatement::new(SessionHandle::from_bits(1), secret()).execution_config(settings());
    assert_keeps(&execute);
    // What there is, is shown.
    let shown = format!("{execute:?}");
    for part in ["session_handle", "statement: …", "execution_config: Some(…)", "execution_timeout: None"] {
        assert!(shown.contains(part), "{shown}");
    }
}

/// `f(self)`, so that what is made first is read first.
trait Pipe: Sized {
    fn pipe<T>(self, f: impl FnOnce(Self) -> T) -> T {
        f(self)
    }
}

impl<T> Pipe for T {}

#[test]
fn an_error_in_plain_http_names_the_host_and_not_the_credential() {
    let config = Config::<FlinkRest>::new("http://flink.example:8081".parse().expect("a base")).with_credentials();
    let mut call = Call::new(GetOverview::new(), &config, Seed::new(1));
    match call.poll(Timestamp::from_millis(1), None) {
        Step::Done(Err(error @ FlowError::Build(BuildError::Plaintext { .. }))) => {
            assert_says(&error, &["flink.example:8081", "plain http", "use https", "allow_plaintext_credentials"]);
        }
        other => panic!("{other:?}"),
    }
}

/// A query may hold what a caller gives, such as metadata with the key of a bucket.
#[test]
fn no_debug_text_of_a_request_holds_what_is_in_its_query() {
    use pipewright::feldera::data::{DataFormat, HttpInput};
    use pipewright::feldera::{FelderaApi, Json};

    let metadata = Json::new(r#"{"key":"s3cr3t"}"#).expect("JSON");
    let input = HttpInput::new("p", "t", DataFormat::Csv, "1\n").connector_metadata(metadata);
    let config = Config::<FelderaApi>::new("http://h".parse().expect("a base"));
    let mut call = Call::new(input, &config, Seed::new(1));
    loop {
        match call.poll(Timestamp::from_millis(1), None) {
            Step::Send(exchange) => {
                assert!(exchange.request().uri().query().is_some_and(|query| query.contains("s3cr3t")));
                assert_keeps(&exchange);
                let shown = format!("{exchange:?}");
                assert!(shown.contains("/ingress/t?format=…&connector_metadata=…"), "{shown}");
                return;
            }
            Step::Notice(_) => {}
            other => panic!("{other:?}"),
        }
    }
}
