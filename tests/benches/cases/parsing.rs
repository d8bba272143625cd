//! Answers in the form that Flink 2.3 sends.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use pipewright::Operation;
use pipewright::flink::JobId;
use pipewright::flink::jobs::{GetJob, GetJobsOverview};
use serde::de::DeserializeOwned;
use serde_json::Value;

const COUNTS: &str = r#""CANCELED":0,"RUNNING":2,"CANCELING":0,"FINISHED":0,"CREATED":0,"INITIALIZING":0,"DEPLOYING":0,"FAILED":0,"RECONCILING":0,"SCHEDULED":0"#;

/// One answer, read in three ways.
pub(crate) struct Parsing<O> {
    operation: O,
    body: Bytes,
}

impl Parsing<GetJobsOverview> {
    /// The overview of many jobs.
    pub(crate) fn overview(jobs: u128) -> Self {
        Self::new(GetJobsOverview::new(), overview(jobs))
    }
}

impl Parsing<GetJob> {
    /// The details of a job with many vertices.
    pub(crate) fn details(vertices: u128) -> Self {
        Self::new(GetJob::new(JobId::from_bits(id(1))), details(vertices))
    }
}

impl<O: Operation<Output: DeserializeOwned + PartialEq + std::fmt::Debug>> Parsing<O> {
    pub(super) fn new(operation: O, body: String) -> Self {
        let parsing = Self { operation, body: body.into() };
        assert_eq!(parsing.ours(), parsing.peer());
        parsing
    }

    /// As a call does it.
    pub(crate) fn ours(&self) -> O::Output {
        let mut response = Response::new(self.body.clone());
        let kind = HeaderValue::from_static("application/json; charset=UTF-8");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        self.operation.parse(response).expect("an answer")
    }

    /// With `serde_json` alone, into the same type.
    pub(crate) fn peer(&self) -> O::Output {
        serde_json::from_slice(&self.body).expect("an answer")
    }

    /// With `serde_json` alone, into its own type.
    pub(crate) fn value(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// Digits that look drawn.
fn id(number: u128) -> u128 {
    (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
}

fn overview(jobs: u128) -> String {
    let mut body = r#"{"jobs":["#.to_owned();
    for job in 0..jobs {
        let comma = if job == 0 { "" } else { "," };
        let _ = write!(
            body,
            r#"{comma}{{"jid":"{:032x}","name":"fraud detection, region {job}","jobType":"STREAMING","schedulerType":"Default","start-time":1795301946546,"end-time":-1,"duration":432113,"state":"RUNNING","last-modification":1795301946978,"tasks":{{"running":16,"canceling":0,"canceled":0,"total":16,"created":0,"scheduled":0,"deploying":0,"reconciling":0,"finished":0,"initializing":0,"failed":0}},"pending-operators":0}}"#,
            id(job)
        );
    }
    body + "]}"
}

fn details(vertices: u128) -> String {
    let mut body = format!(
        r#"{{"jid":"{:032x}","application-id":"{:032x}","name":"fraud detection","isStoppable":false,"state":"RUNNING","job-type":"STREAMING","schedulerType":"Default","start-time":1795301954639,"end-time":-1,"duration":294113,"maxParallelism":-1,"now":1795301957248,"timestamps":{{"FAILED":0,"INITIALIZING":1795301954639,"RUNNING":1795301954655,"SUSPENDED":0,"CANCELED":0,"FINISHED":0,"CREATED":1795301954650,"RECONCILING":0,"FAILING":0,"RESTARTING":0,"CANCELLING":0}},"vertices":["#,
        id(1),
        id(1)
    );
    for vertex in 0..vertices {
        let comma = if vertex == 0 { "" } else { "," };
        let _ = write!(
            body,
            r#"{comma}{{"id":"{:032x}","slotSharingGroupId":"{:032x}","name":"Source: numbers {vertex} -> throttle","maxParallelism":128,"parallelism":2,"status":"RUNNING","start-time":1795301954746,"end-time":-1,"duration":153113,"tasks":{{{COUNTS}}},"metrics":{{"read-bytes":23600,"read-bytes-complete":true,"write-bytes":2122,"write-bytes-complete":true,"read-records":92,"read-records-complete":true,"write-records":100,"write-records-complete":true,"accumulated-backpressured-time":0,"accumulated-idle-time":15,"accumulated-busy-time":22.0}}}}"#,
            id(vertex),
            id(0)
        );
    }
    let _ = write!(
        body,
        r#"],"status-counts":{{{COUNTS}}},"plan":{{"jid":"{:032x}","name":"fraud detection","type":"STREAMING","nodes":["#,
        id(1)
    );
    for vertex in 0..vertices {
        let comma = if vertex == 0 { "" } else { "," };
        let _ = write!(
            body,
            r#"{comma}{{"id":"{:032x}","parallelism":2,"operator":"","operator_strategy":"","description":"Source: numbers {vertex}<br/>+- throttle<br/>","inputs":[{{"num":0,"id":"{:032x}","ship_strategy":"HASH","exchange":"pipelined_bounded"}}],"optimizer_properties":{{}}}}"#,
            id(vertex),
            id(vertex + 1)
        );
    }
    body + r#"]},"pending-operators":0}"#
}
