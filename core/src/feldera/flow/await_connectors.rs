//! The goal [`AwaitConnectorsFinished`].
//!
//! ```text
//!  Poll ◀──▶ Wait
//!   │ all have ended          for each of them
//!   └─────────────────────▶ Token ──▶ Process ──▶ Token … ──▶ Poll: still the same process ──▶ done
//! ```
//!
//! | Poll shows | then |
//! |---|---|
//! | another process than at first | failed: [`Restarted`](super::Interruption::Restarted) |
//! | a connector that is waited for does not exist | failed, with the names of the existing connectors |
//! | a connector without `end_of_input`: the server does not report whether it has ended | failed |
//! | a fatal error of a connector | failed: [`ConnectorFailed`](super::Interruption::ConnectorFailed) |
//! | the pipeline is paused | failed: [`Paused`](super::Interruption::Paused); with `even_paused`, Wait |
//! | steps are open, and there is no progress | failed: [`Wedged`](super::Interruption::Wedged) |
//! | all connectors have reached their end | Token, Process: wait until their input is processed |
//! | otherwise | Wait: a source may be slow |
//! | 410 `Terminating`, 500 with the code of a panic, 503 until the retries are used up | failed, with the cause, after polling the pipeline for up to 10 s |
//!
//! Invariants: all requests are safe. HTTP ingress has no end, and does not count as a connector here.

use std::collections::{BTreeSet, VecDeque};
use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

use super::await_completion::{AwaitCompletion, AwaitCompletionMachine};
use super::diagnosis::Diagnosis;
use super::stall_detector::StallDetector;
use super::{Interruption, PollInterval};
use crate::body::Body;
use crate::error::{BuildError, Failure, FlowError, ServiceError};
use crate::feldera::data::GetCompletionToken;
use crate::feldera::stats::{ControllerStatus, GetStats, InputStatus, PipelineState};
use crate::feldera::tuning::STALL_TIMEOUT;
use crate::feldera::{FelderaApi, Json};
use crate::flow::{Call, FlowContext, Notice, Runner, StateMachine, Transition, done, goal};
use crate::json;
use crate::operation::{Operation, OperationInfo, RequestContext};
use crate::schema::json_structs;
use crate::time::Timestamp;

/// Waits until input connectors have reached the end of their input, and all their input is processed.
///
/// A connector has an end if its source has an end: a file, a bounded generator, a snapshot. Records that could not be
/// parsed do not fail the flow: the result counts them. The flow waits for a paused connector, and for a source without
/// an end: set a [`timeout`](Self::timeout). If the flow was interrupted, run it again.
///
/// # Errors
/// * [`FlowError::Failed`] with an [`Interruption`] if a connector has failed, if the pipeline is paused, stopped,
///   crashed or waits for approval of its bootstrap, or if another process answers.
/// * `Failed` without an interruption if a named connector does not exist, or if the server does not report whether a
///   connector has reached its end.
/// * [`FlowError::Deadline`] if the timeout expires. It names the unfinished connectors, and which of them are paused.
///
/// ```
/// # let runtime = pipewright::driver::Canned::new([
/// #     ("GET /v0/pipelines/orders/stats", 200, r#"{"global_metrics":{"state":"Running","incarnation_uuid":"u","buffered_input_records":0,
/// #         "total_input_records":0,"total_processed_records":0,"pipeline_complete":false},"inputs":[{"endpoint_name":"items.backfill",
/// #         "config":{"stream":"items"},"paused":false,"metrics":{"total_bytes":9000,"total_records":340,
/// #         "buffered_records":0,"num_transport_errors":0,"num_parse_errors":0,"end_of_input":true}}],"outputs":[]}"#),
/// #     ("GET /v0/pipelines/orders/tables/items/connectors/backfill/completion_token", 200, r#"{"token":"eyJ1"}"#),
/// #     ("GET /v0/pipelines/orders/completion_status", 200, r#"{"status":"complete","step":37}"#),
/// #     ("GET /v0/pipelines/orders/stats", 200, r#"{"global_metrics":{"state":"Running","incarnation_uuid":"u","buffered_input_records":0,
/// #         "total_input_records":0,"total_processed_records":0,"pipeline_complete":false},"inputs":[{"endpoint_name":"items.backfill",
/// #         "config":{"stream":"items"},"paused":false,"metrics":{"total_bytes":9000,"total_records":340,
/// #         "buffered_records":0,"num_transport_errors":0,"num_parse_errors":0,"end_of_input":true}}],"outputs":[]}"#),
/// # ]);
/// use pipewright::feldera::{AwaitConnectorsFinished, Feldera};
/// use std::time::Duration;
///
/// let feldera = Feldera::new("http://127.0.0.1:8080".parse()?, runtime);
/// let backfill = AwaitConnectorsFinished::named("orders", ["items.backfill"]).timeout(Duration::from_secs(3600));
/// assert_eq!(feldera.run(backfill)?[0].records, Some(340));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct AwaitConnectorsFinished {
    pipeline: String,
    names: BTreeSet<String>,
    even_paused: bool,
    stall_timeout: Option<Duration>,
    timeout: Option<Duration>,
}

impl AwaitConnectorsFinished {
    /// Waits for all input connectors of the pipeline. Succeeds at once if there are no connectors.
    pub fn all(pipeline: impl Into<String>) -> Self {
        Self {
            pipeline: pipeline.into(),
            names: BTreeSet::new(),
            even_paused: false,
            stall_timeout: Some(STALL_TIMEOUT),
            timeout: None,
        }
    }

    /// Waits for these connectors, by their names in the statistics: table and connector, such as `items.backfill`.
    pub fn named<N: Into<String>>(pipeline: impl Into<String>, names: impl IntoIterator<Item = N>) -> Self {
        Self { names: names.into_iter().map(Into::into).collect(), ..Self::all(pipeline) }
    }

    /// Also waits while the pipeline is paused, until a client resumes it.
    pub fn even_paused(mut self) -> Self {
        self.even_paused = true;
        self
    }

    /// Sets how long the circuit may make no progress with its input; a minute by default. `None` disables the limit.
    pub fn stall_timeout(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.stall_timeout = time.into();
        self
    }
}

/// A connector that has reached the end of its input.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FinishedConnector {
    /// The name of the connector, such as `items.backfill`.
    pub name: String,
    /// The number of records that it has read. `None` if the server does not report it.
    pub records: Option<u64>,
    /// The number of records that could not be parsed. `None` if the server does not report it.
    pub parse_errors: Option<u64>,
    /// The number of errors of its source from which it has recovered. `None` if the server does not report it.
    pub transport_errors: Option<u64>,
}

/// Requests the statistics, and rejects them if a connector of a table cannot be read: otherwise the flow would assume
/// that the connector does not exist.
#[derive(Debug)]
struct GetInputs(GetStats);

json_structs! {
    /// The connectors of tables, whatever they are.
    struct Inputs {
        /// All of them.
        pub inputs: Vec<Json>,
    }
}

impl Operation for GetInputs {
    type Output = ControllerStatus;
    type Service = FelderaApi;

    const INFO: &'static OperationInfo = GetStats::INFO;

    fn request(&self, cx: RequestContext<'_>) -> Result<Request<Body>, BuildError> {
        self.0.request(cx)
    }

    fn parse(&self, response: Response<Bytes>) -> Result<ControllerStatus, ServiceError> {
        let status = self.0.parse(response.clone())?;
        let all = json::read::<Inputs>(response.body()).map_or(0, |all| all.inputs.len());
        if status.inputs.len() == all {
            return Ok(status);
        }
        let problem = format!(
            "{} of {all} connectors of tables cannot be read; this version of the library is too old for the server",
            all.saturating_sub(status.inputs.len())
        );
        Err(ServiceError::unreadable(Self::INFO, &response, &problem).with_transient(false))
    }
}

/// The transitions of [`AwaitConnectorsFinished`].
#[derive(Debug)]
pub struct AwaitConnectorsMachine {
    goal: AwaitConnectorsFinished,
    process: Option<String>,
    stall_detector: StallDetector,
    /// When the statistics were last requested.
    asked: Timestamp,
    seen: Option<String>,
    /// Table and connector of the connectors whose records are not processed.
    left: VecDeque<(String, String)>,
    /// Whether the input of all connectors is processed.
    processed: bool,
    pace: PollInterval,
    state: State,
}

#[derive(Debug)]
enum State {
    Poll(Option<Call<GetInputs>>),
    Wait(Timestamp),
    Token(Option<Call<GetCompletionToken>>),
    Process(Runner<AwaitCompletionMachine>),
    Diagnosis(Diagnosis),
}

impl AwaitConnectorsMachine {
    fn what(&self) -> String {
        format!("input of pipeline {}", self.goal.pipeline)
    }

    fn failed(&self, reason: String) -> FlowError {
        FlowError::Failed(Failure { what: self.what(), reason, details: None, cause: None })
    }

    fn diagnose(&mut self, rejection: FlowError, cx: &mut FlowContext<FelderaApi>) {
        let had_process = self.process.is_some();
        self.state = State::Diagnosis(Diagnosis::new(&self.goal.pipeline, self.what(), rejection, had_process, cx));
    }

    /// Decides by the statistics. Returns the result when all input is processed.
    fn polled(
        &mut self,
        stats: &ControllerStatus,
        cx: &mut FlowContext<FelderaApi>,
    ) -> Result<Option<Vec<FinishedConnector>>, FlowError> {
        let metrics = &stats.global_metrics;
        let process = metrics.process();
        if self.process.is_some() && self.process != process {
            return Err(Interruption::Restarted.into_error(self.what(), None));
        }
        self.process = process;
        let connectors: Vec<_> = stats.inputs.iter().filter(|input| !is_http(input)).collect();
        if let Some(name) =
            self.goal.names.iter().find(|name| connectors.iter().all(|input| input.endpoint_name != **name))
        {
            let names: Vec<_> = connectors.iter().map(|input| &*input.endpoint_name).collect();
            let there = if names.is_empty() { "no input connectors".to_owned() } else { names.join(", ") };
            return Err(self.failed(format!("input connector {name} does not exist; the pipeline has: {there}")));
        }
        let is_meant =
            |input: &&InputStatus| self.goal.names.is_empty() || self.goal.names.contains(&input.endpoint_name);
        let meant: Vec<_> = connectors.into_iter().filter(is_meant).collect();
        if let Some((input, error)) = meant.iter().find_map(|input| Some((input, input.fatal_error.clone()?))) {
            let connector = input.endpoint_name.clone();
            return Err(Interruption::ConnectorFailed { connector, error }.into_error(self.what(), None));
        }
        if let Some(input) = meant.iter().find(|input| input.metrics.end_of_input.is_none()) {
            return Err(self.failed(format!(
                "the server does not report in a known form whether connector {} has reached the end of its input; update \
                 the library, or read the statistics with GetStats",
                input.endpoint_name
            )));
        }
        let done = meant.iter().filter(|input| has_ended(input)).count();
        let total = meant.iter().map(|input| input.metrics.total_records).sum();
        let seen = format!("{done} of {} connectors have ended, with {}", meant.len(), records(total));
        if self.seen.as_ref() != Some(&seen) {
            cx.say(Notice::Observed { what: self.what(), state: seen.clone() });
            (self.seen, self.pace) = (Some(seen), PollInterval::START);
        }
        if let Some(unfinished) = unfinished(&meant, metrics.state == PipelineState::Paused) {
            cx.note(self.what(), unfinished);
        }
        if done == meant.len() {
            self.left = meant.iter().map(|input| place(input)).collect();
            self.state = State::Token(None);
            return Ok(self.processed.then(|| meant.into_iter().map(finished).collect()));
        }
        if metrics.state == PipelineState::Paused && !self.goal.even_paused {
            return Err(Interruption::Paused.into_error(self.what(), None));
        }
        if !metrics.has_open_steps() {
            self.stall_detector = StallDetector::new(self.goal.stall_timeout);
        } else if let Some(interruption) = self.stall_detector.observe(stats, self.asked, cx.now()) {
            return Err(interruption.into_error(self.what(), None));
        }
        self.state = State::Wait(self.pace.next(cx.now()));
        Ok(None)
    }
}

/// Names the connectors that have not ended, and those that cannot, because they are paused.
fn unfinished(meant: &[&InputStatus], is_paused: bool) -> Option<String> {
    let name = |input: &&InputStatus| match input {
        input if input.paused == Some(true) => {
            format!("{} (paused, {} so far)", input.endpoint_name, records(input.metrics.total_records))
        }
        input => format!("{} ({} so far)", input.endpoint_name, records(input.metrics.total_records)),
    };
    let open: Vec<_> = meant.iter().filter(|input| !has_ended(input)).map(name).collect();
    let paused = if is_paused { "the pipeline is paused; " } else { "" };
    (!open.is_empty()).then(|| format!("{paused}not finished: {}", open.join(", ")))
}

fn has_ended(input: &InputStatus) -> bool {
    input.metrics.end_of_input == Some(true)
}

fn records(number: Option<u64>) -> String {
    number.map_or_else(|| "an unknown number of records".to_owned(), |number| format!("{number} records"))
}

/// The statistics list the endpoints of HTTP ingress among the connectors.
fn is_http(input: &InputStatus) -> bool {
    place(input).1.starts_with("api-ingress-")
}

/// Table and connector.
fn place(input: &InputStatus) -> (String, String) {
    let name = &*input.endpoint_name;
    let stream = input.config.stream.as_deref();
    let connector = stream.and_then(|stream| Some((stream, name.strip_prefix(stream)?.strip_prefix('.')?)));
    match connector {
        Some((stream, connector)) => (stream.to_owned(), connector.to_owned()),
        None => name.split_once('.').map(|(table, rest)| (table.to_owned(), rest.to_owned())).unwrap_or_default(),
    }
}

fn finished(input: &InputStatus) -> FinishedConnector {
    FinishedConnector {
        name: input.endpoint_name.clone(),
        records: input.metrics.total_records,
        parse_errors: input.metrics.num_parse_errors,
        transport_errors: input.metrics.num_transport_errors,
    }
}

impl StateMachine for AwaitConnectorsMachine {
    type Service = FelderaApi;
    type Output = Vec<FinishedConnector>;
    const NAME: &'static str = "AwaitConnectorsFinished";

    fn transition(&mut self, cx: &mut FlowContext<FelderaApi>) -> Transition<Self::Output> {
        match &mut self.state {
            State::Poll(None) => {
                self.asked = cx.now();
                self.state = State::Poll(Some(cx.call(GetInputs(GetStats::new(self.goal.pipeline.clone())))));
            }
            State::Poll(Some(call)) => match cx.poll(call)? {
                Ok(stats) => {
                    if let Some(result) = self.polled(&stats, cx).transpose() {
                        return done(result);
                    }
                }
                Err(error) => self.diagnose(error, cx),
            },
            State::Wait(until) => {
                cx.wait(*until, "connectors to end")?;
                self.state = State::Poll(None);
            }
            State::Token(None) => match self.left.pop_front() {
                None => {
                    self.processed = true;
                    self.state = State::Poll(None);
                }
                Some((table, connector)) => {
                    let ask = GetCompletionToken::new(self.goal.pipeline.clone(), table, connector);
                    self.state = State::Token(Some(cx.call(ask)));
                }
            },
            State::Token(Some(call)) => match cx.poll(call)? {
                Ok(token) => {
                    let goal = AwaitCompletion::new(self.goal.pipeline.clone(), token.token);
                    let goal = goal.stall_timeout(self.goal.stall_timeout).even_paused(self.goal.even_paused);
                    self.state = State::Process(cx.child(goal));
                }
                Err(error) => self.diagnose(error, cx),
            },
            State::Process(flow) => match cx.poll(flow)? {
                Ok(_) => self.state = State::Token(None),
                Err(error) => return done(Err(error)),
            },
            State::Diagnosis(diagnosis) => {
                let error = diagnosis.poll(cx)?;
                return done(Err(error));
            }
        }
        ControlFlow::Continue(())
    }
}

impl From<AwaitConnectorsFinished> for AwaitConnectorsMachine {
    fn from(goal: AwaitConnectorsFinished) -> Self {
        AwaitConnectorsMachine {
            process: None,
            stall_detector: StallDetector::new(goal.stall_timeout),
            asked: Timestamp::UNIX_EPOCH,
            seen: None,
            left: VecDeque::new(),
            processed: false,
            pace: PollInterval::START,
            state: State::Poll(None),
            goal,
        }
    }
}

goal!(AwaitConnectorsFinished: FelderaApi => Vec<FinishedConnector>, AwaitConnectorsMachine);
