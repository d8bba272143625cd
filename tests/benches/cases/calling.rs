//! One operation: by a call, and by hand.

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use pipewright::error::ServiceError;
use pipewright::flink::jobs::GetJobStatus;
use pipewright::flink::{FlinkRest, JobId};
use pipewright::flow::{Call, Config, Flow, Step};
use pipewright::operation::RequestContext;
use pipewright::{Operation, Secret, Seed, Timestamp};

type Output = <GetJobStatus as Operation>::Output;

/// What a job is doing, asked in two ways.
pub(crate) struct Calling {
    operation: GetJobStatus,
    config: Config<FlinkRest>,
    credential: Option<HeaderValue>,
    body: Bytes,
}

impl Calling {
    pub(crate) fn new(authorized: bool) -> Self {
        let mut config = Config::new("https://flink.example:8081/".parse().expect("an address"));
        let mut credential = None;
        if authorized {
            config = config.with_credentials();
            credential = Some(Secret::new("s3cr3t").bearer().expect("a header"));
        }
        let job = JobId::from_bits(0x4c7e_6f1c_8d3b_0a5f_d2e1_9a7b_3c8d_4e5f);
        let body = Bytes::from(br#"{"status":"RUNNING"}"#.to_vec());
        let calling = Self { operation: GetJobStatus::new(job), config, credential, body };
        assert_eq!(calling.ours(), calling.floor().expect("an answer"));
        calling
    }

    fn response(&self) -> Response<Bytes> {
        let mut response = Response::new(self.body.clone());
        let kind = HeaderValue::from_static("application/json; charset=UTF-8");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }

    /// From a new call to its result, notices included.
    pub(crate) fn ours(&self) -> Output {
        let mut call = Call::new(self.operation.clone(), &self.config, Seed::new(1));
        let now = Timestamp::from_millis(1_700_000_000_000);
        let mut reply = None;
        loop {
            match call.poll(now, reply.take()) {
                Step::Send(exchange) => reply = Some(exchange.settle(Ok(self.response()))),
                Step::Authorize(request) => {
                    reply = Some(request.settle(Ok(self.credential.clone().expect("authorized"))));
                }
                Step::Done(result) => return result.expect("an answer"),
                Step::Notice(_) => {}
                Step::WaitUntil(_) | Step::InFlight { .. } | Step::Stray(_) => unreachable!("nothing to wait for"),
            }
        }
    }

    /// Request and answer, and nothing in between.
    pub(crate) fn floor(&self) -> Result<Output, ServiceError> {
        let mut request = self.operation.request(RequestContext::new(self.config.base())).expect("a request");
        if let Some(credential) = &self.credential {
            request.headers_mut().insert(header::AUTHORIZATION, credential.clone());
        }
        drop(std::hint::black_box(request));
        self.operation.parse(self.response())
    }
}
