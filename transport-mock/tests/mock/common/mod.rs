//! A service that counts, and its operations.

#![allow(dead_code, reason = "the tests of some features use the rest")]

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, header};
use pipewright::error::{BuildError, ServiceError};
use pipewright::flow::{Call, Config, Flow, Reply, Step};
use pipewright::operation::{OperationInfo, RequestContext, Service, Target};
use pipewright::{Body, Effect, Operation, Seed, Timestamp};

/// The protocol of the counting service.
#[derive(Debug)]
pub(crate) enum Counting {}

impl Service for Counting {
    const NAME: &'static str = "counting";

    fn parse_error(info: &'static OperationInfo, response: &Response<Bytes>) -> ServiceError {
        ServiceError::foreign(info, response)
    }
}

/// Counts one more; the answer is what was sent.
#[derive(Clone, Debug)]
pub(crate) struct Add {
    pub(crate) effect: Effect,
    pub(crate) text: &'static str,
}

impl Add {
    pub(crate) fn new(effect: Effect) -> Self {
        Self { effect, text: r#"{"add": 1}"# }
    }
}

impl Operation for Add {
    type Output = Bytes;
    type Service = Counting;
    const INFO: &'static OperationInfo = &OperationInfo {
        service: "counting",
        name: "add",
        method: Method::POST,
        path: "/add",
        effect: Effect::Once,
        effect_varies: true,
    };

    fn effect(&self) -> Effect {
        self.effect
    }

    fn request(&self, cx: RequestContext<'_>) -> Result<Request<Body>, BuildError> {
        let mut request = Target::new::<Counting>(Self::INFO, cx).finish(None)?;
        *request.body_mut() = Body::from(self.text);
        request.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        Ok(request)
    }

    fn parse(&self, response: Response<Bytes>) -> Result<Bytes, ServiceError> {
        if response.status().is_success() {
            Ok(response.into_body())
        } else {
            Err(Counting::parse_error(Self::INFO, &response))
        }
    }
}

/// Counts one more; the answer is a stream of what was sent, and the decoder is whatever.
#[derive(Debug)]
pub(crate) struct Follow;

impl Operation for Follow {
    type Output = ();
    type Service = Counting;
    const INFO: &'static OperationInfo = &OperationInfo {
        service: "counting",
        name: "follow",
        method: Method::GET,
        path: "/follow",
        effect: Effect::Safe,
        effect_varies: false,
    };
    const STREAMING: bool = true;

    fn request(&self, cx: RequestContext<'_>) -> Result<Request<Body>, BuildError> {
        let mut request = Target::new::<Counting>(Self::INFO, cx).finish(None)?;
        *request.body_mut() = Body::from("a long story");
        Ok(request)
    }

    fn parse(&self, _response: Response<Bytes>) -> Result<(), ServiceError> {
        Ok(())
    }
}

/// Counts what it is asked, and remembers when.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    pub(crate) asked: Vec<Timestamp>,
    pub(crate) restarts: Vec<(Timestamp, Duration)>,
    pub(crate) paths: Vec<String>,
}

impl pipewright_mock::Service for Counter {
    fn handle(&mut self, now: Timestamp, request: &Request<Bytes>) -> Response<Bytes> {
        self.asked.push(now);
        self.paths.push(request.uri().to_string());
        let mut response = Response::new(request.body().clone());
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        response
    }

    fn restart(&mut self, now: Timestamp, downtime: Duration) {
        self.restarts.push((now, downtime));
    }
}

pub(crate) fn config(address: &str) -> Config<Counting> {
    Config::new(address.parse().expect("a base address"))
}

pub(crate) fn add(address: &str, effect: Effect) -> Call<Add> {
    Call::new(Add::new(effect), &config(address), Seed::new(1))
}

/// Polls a flow up to its next exchange.
pub(crate) fn next_exchange<F: Flow>(
    flow: &mut F,
    now: Timestamp,
    mut reply: Option<Reply>,
) -> pipewright::flow::Exchange {
    loop {
        match flow.poll(now, reply.take()) {
            Step::Send(exchange) => return exchange,
            Step::Notice(_) => {}
            _ => panic!("the flow wants no exchange now"),
        }
    }
}

pub(crate) fn follow(address: &str) -> Call<Follow> {
    Call::new(Follow, &config(address), Seed::new(1))
}
