//! The goal [`AppendElastic`].
//!
//! ```text
//!  Send ──200──▶ done: the table gets the rows at least once
//!   └──────────▶ failed: the table may get the rows, once or more often
//! ```

use std::ops::ControlFlow;
use std::time::Duration;

use crate::flow::{Call, FlowContext, StateMachine, Transition, done, goal};
use crate::snowpipe::elastic::AppendElasticToTable;
use crate::snowpipe::rows::Batch;
use crate::snowpipe::{self, RequestId, SnowpipeIngest};

/// Appends rows without a channel: **at least once, in no order**.
///
/// These rows have no offset token, and the service offers no way to find out whether they were committed. The flow
/// repeats an attempt without a response, with the same request id, although the service may have carried it out:
/// [`ElasticAppend::possible_duplicates`] counts such attempts. If you need each row exactly once, use a channel with
/// [`OpenWriter`](super::OpenWriter).
///
/// # Errors
/// * [`FlowError::Service`](crate::error::FlowError::Service) if the service rejects the rows.
/// * [`FlowError::Ambiguous`](crate::error::FlowError::Ambiguous) if all attempts are used up, and the service may have
///   carried out one of them.
///
/// ```
/// use pipewright::{Seed, Timestamp};
/// use pipewright::error::{Delivery, TransportError, TransportErrorKind};
/// use pipewright::flow::{Config, Flow, Goal, Step};
/// use pipewright::snowpipe::{AppendElastic, SnowpipeIngest};
/// use pipewright::snowpipe::rows::Batch;
///
/// let config = Config::<SnowpipeIngest>::new("https://acct.ingest.snowflakecomputing.com".parse()?);
/// let goal = AppendElastic::to_table("DB", "PUBLIC", "T", Batch::new("{\"ID\":1}\n", 1, "", ""));
/// let mut flow = goal.start(&config, Seed::new(1));
///
/// let lost = TransportError::new(TransportErrorKind::Closed, Delivery::Unknown, "the connection broke");
/// let mut answers = vec![Ok(http::Response::new(r#"{"message":"OK"}"#.into())), Err(lost)];
/// let (mut now, mut reply) = (Timestamp::from_millis(1_800_000_000_000), None);
/// let appended = loop {
///     match flow.poll(now, reply.take()) {
///         Step::Send(exchange) => reply = Some(exchange.settle(answers.pop().expect("two questions"))),
///         Step::WaitUntil(at) | Step::InFlight { until: at } => now = at,
///         Step::Notice(notice) => println!("{notice}"),
///         Step::Authorize(_) | Step::Stray(_) => unreachable!("no credentials, no other flow"),
///         Step::Done(result) => break result?,
///     }
/// };
/// assert_eq!(appended.possible_duplicates, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct AppendElastic {
    database: String,
    schema: String,
    target: Target,
    batch: Batch,
    timeout: Option<Duration>,
}

#[derive(Clone, Debug)]
enum Target {
    Pipe(String),
    Table(String),
}

impl AppendElastic {
    fn new(database: impl Into<String>, schema: impl Into<String>, target: Target, batch: Batch) -> Self {
        Self { database: database.into(), schema: schema.into(), target, batch, timeout: None }
    }

    /// Appends through a pipe. The batch's offset tokens are not sent.
    pub fn to_pipe(
        database: impl Into<String>,
        schema: impl Into<String>,
        pipe: impl Into<String>,
        batch: Batch,
    ) -> Self {
        Self::new(database, schema, Target::Pipe(pipe.into()), batch)
    }

    /// Appends through a table's default pipe. The batch's offset tokens are not sent.
    pub fn to_table(
        database: impl Into<String>,
        schema: impl Into<String>,
        table: impl Into<String>,
        batch: Batch,
    ) -> Self {
        Self::new(database, schema, Target::Table(table.into()), batch)
    }
}

/// The result of an [`AppendElastic`]: the service has accepted the rows at least once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ElasticAppend {
    /// How many extra copies of the rows the table may get. 0 if the service certainly did not carry out any attempt
    /// but the last.
    pub possible_duplicates: u32,
}

/// The transitions of [`AppendElastic`].
#[derive(Debug)]
pub struct ElasticMachine {
    goal: AppendElastic,
    state: State,
}

#[derive(Debug)]
enum State {
    Start,
    Pipe(Call<snowpipe::elastic::AppendElasticOperation>),
    Table(Call<AppendElasticToTable>),
}

impl ElasticMachine {
    fn send(&mut self, cx: &mut FlowContext<SnowpipeIngest>) {
        let id = RequestId::from_bits(cx.seed.next_u128());
        let AppendElastic { database, schema, target, batch, .. } = &self.goal;
        let rows = batch.body.clone();
        self.state = match target {
            Target::Pipe(pipe) => {
                let mut append = snowpipe::elastic::AppendElasticOperation::new(database, schema, pipe, id, rows)
                    .accept_duplicates();
                append.encoding.clone_from(&batch.encoding);
                State::Pipe(cx.call(append))
            }
            Target::Table(table) => {
                let mut append = AppendElasticToTable::new(database, schema, table, id, rows).accept_duplicates();
                append.encoding.clone_from(&batch.encoding);
                State::Table(cx.call(append))
            }
        };
    }
}

impl StateMachine for ElasticMachine {
    type Service = SnowpipeIngest;
    type Output = ElasticAppend;
    const NAME: &'static str = "AppendElastic";

    fn transition(&mut self, cx: &mut FlowContext<SnowpipeIngest>) -> Transition<ElasticAppend> {
        let (result, unanswered) = match &mut self.state {
            State::Start => {
                self.send(cx);
                return ControlFlow::Continue(());
            }
            State::Pipe(call) => (cx.poll(call)?, call.unanswered()),
            State::Table(call) => (cx.poll(call)?, call.unanswered()),
        };
        done(result.map(|_| ElasticAppend { possible_duplicates: unanswered }))
    }
}

impl From<AppendElastic> for ElasticMachine {
    fn from(goal: AppendElastic) -> Self {
        ElasticMachine { goal, state: State::Start }
    }
}

goal!(AppendElastic: SnowpipeIngest => ElasticAppend, ElasticMachine);
