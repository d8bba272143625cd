//! Data: rows in, their completion, connectors, transactions, the clock.

mod outputs;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) use self::outputs::{COMMANDS as OUTPUT_COMMANDS, OPERATIONS as OUTPUT_OPERATIONS};
pub use self::outputs::{ControlOutput, SendOutputCommand};
use super::{Accepted, FelderaApi, Json};
use crate::body::Body;
use crate::error::{BuildError, ServiceError};
use crate::json;
use crate::operation::{self, Effect, Operation, OperationInfo, RequestContext, Target};
use crate::schema::{self, json_structs, operations, string_enums};
use crate::url::{Encoder, Parameter};

operations! { FelderaApi;
    /// Returns whether the input that a token covers is processed. [`CompletionStatus::Complete`] means that all its
    /// outputs were delivered.
    ///
    /// Rejected: 400 for an invalid token; 410 if the token is from an earlier process, and the data may be lost; 500
    /// if the circuit has died. A wedged circuit answers `inprogress` for ever:
    /// [`AwaitCompletion`](crate::feldera::AwaitCompletion) detects that.
    /// [Reference](https://docs.feldera.com/api/check-completion-status).
    Safe GET "/v0/pipelines/{pipeline_name}/completion_status" GetCompletionStatus "completion_status" -> Completion {
        path { pipeline_name: String }
        query {
            token: CompletionToken,
        }
    }

    /// Returns a token for all input that a connector has read so far. Rejected with 404 `UnknownInputEndpoint`.
    ///
    /// [Reference](https://docs.feldera.com/api/get-completion-token).
    Safe GET "/v0/pipelines/{pipeline_name}/tables/{table_name}/connectors/{connector_name}/completion_token"
    GetCompletionToken "completion_token" -> Token {
        path { pipeline_name: String, table_name: String, connector_name: String }
    }

    /// Starts or pauses a connector of a table. Repeating it is harmless.
    ///
    /// Rejected: 400 `InvalidConnectorAction`, 404 `UnknownInputEndpoint`, 503 if the pipeline is not deployed.
    /// [Reference](https://docs.feldera.com/api/control-input-connector).
    Idempotent POST "/v0/pipelines/{pipeline_name}/tables/{table_name}/connectors/{connector_name}/{action}"
    ControlInput "post_pipeline_input_connector_action" -> Accepted {
        path { pipeline_name: String, table_name: String, connector_name: String, action: ConnectorAction }
    }

    /// Opens a transaction: the input until its commit is processed together. Since 0.116.
    ///
    /// Rejected: 409 `TransactionInProgress`, 503 while bootstrapping or restoring.
    /// [Reference](https://docs.feldera.com/api/begin-transaction).
    Once POST "/v0/pipelines/{pipeline_name}/start_transaction"
    StartTransaction "start_transaction" -> TransactionStarted {
        path { pipeline_name: String }
    }

    /// Starts the commit of the transaction. When the commit is complete, the statistics show another `transaction_id`.
    /// Since 0.116.
    ///
    /// Rejected with 400 `NoTransactionInProgress`. [Reference](https://docs.feldera.com/api/commit-transaction).
    Once POST "/v0/pipelines/{pipeline_name}/commit_transaction" CommitTransaction "commit_transaction" -> Accepted {
        path { pipeline_name: String }
    }

    /// Advances the clock of a pipeline whose `NOW()` is controlled by this operation.
    ///
    /// Rejected with 400 by all other pipelines. [Reference](https://docs.feldera.com/api/advance-clock).
    Once POST "/v0/pipelines/{pipeline_name}/clock/advance" AdvanceClock "clock_advance" -> ClockAdvanced {
        path { pipeline_name: String }
        json {
            /// The increment in milliseconds. `None` advances the clock to the present time.
            delta_ms: Option<u64>,
        }
    }
}

/// The row of ingress.
pub(crate) const INGRESS: &[&OperationInfo] = &[HttpInput::INFO];

/// Ingests rows into a table.
///
/// The answer is a token for the rows: see [`GetCompletionStatus`]. The rows are then in the pipeline's memory, and
/// survive a restart only with fault tolerance. Feldera does not detect rows that are sent twice. After a lost answer,
/// a timeout or most 503s, the rows may or may not have been ingested.
///
/// **If the request is rejected with 400 `ParseErrors`, all rows that can be parsed are ingested.** There is no token
/// for these rows. [`parse_errors`] reads the details, and the error says `Applied::Yes`.
///
/// Each distinct spelling of the table with distinct options occupies one of the pipeline's 100 API connections until
/// the process ends. Further combinations are rejected with 429 `ApiConnectionLimit`. Other rejections are 404
/// `ConfigError.UnknownInputStream` and 410 `Terminating`.
///
/// If the pipeline is paused and [`force`](Self::force) is not set, the server holds the request and answers 503 after
/// 30 s. The rows are ingested nevertheless when the pipeline is resumed.
/// [Reference](https://docs.feldera.com/api/insert-data).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HttpInput {
    /// The pipeline.
    pub pipeline_name: String,
    /// The table, as a SQL identifier: `t` is `T`, and `"t"` is not.
    pub table_name: String,
    /// The format of the rows.
    pub format: DataFormat,
    /// The rows.
    pub rows: Body,
    /// Whether JSON rows are sent in lists instead of one after the other.
    pub array: Option<bool>,
    /// Whether a paused pipeline accepts the rows.
    pub force: Option<bool>,
    /// The format of a JSON row.
    pub update_format: Option<UpdateFormat>,
    /// Metadata of every record of this request: a JSON object. Since 0.375.
    pub connector_metadata: Option<Json>,
    /// Whether to send an update format that makes older servers panic.
    pub unchecked: bool,
}

impl HttpInput {
    /// Creates a request that ingests rows into a table.
    pub fn new(
        pipeline_name: impl Into<String>,
        table_name: impl Into<String>,
        format: DataFormat,
        rows: impl Into<Body>,
    ) -> Self {
        Self {
            pipeline_name: pipeline_name.into(),
            table_name: table_name.into(),
            format,
            rows: rows.into(),
            array: None,
            force: None,
            update_format: None,
            connector_metadata: None,
            unchecked: false,
        }
    }

    /// Whether JSON rows are sent in lists instead of one after the other.
    pub fn array(mut self, array: bool) -> Self {
        self.array = Some(array);
        self
    }

    /// Whether a paused pipeline accepts the rows.
    pub fn force(mut self, force: bool) -> Self {
        self.force = Some(force);
        self
    }

    /// Sets what a row of JSON is; `InsertDelete` by default. `Redis` and `Weighted` are an error when the request is
    /// built, unless [`unchecked`](Self::unchecked) is set.
    pub fn update_format(mut self, format: UpdateFormat) -> Self {
        self.update_format = Some(format);
        self
    }

    /// Sets a JSON object that the SQL function `CONNECTOR_METADATA()` returns for every record of this request. Works
    /// with every format. Since 0.375; older servers ignore it. Anything but an object is an error when the request is
    /// built.
    ///
    /// ```
    /// use pipewright::feldera::{Json, data::{DataFormat, HttpInput}};
    /// let rows = HttpInput::new("orders", "items", DataFormat::Csv, "1,bolt\n")
    ///     .connector_metadata(Json::new(r#"{"source":"warehouse 7"}"#)?);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn connector_metadata(mut self, metadata: Json) -> Self {
        self.connector_metadata = Some(metadata);
        self
    }

    /// Sends the update format even if servers up to 0.337 panic over it and stop processing for good. Set it only for
    /// a newer server that is known to read the format. The description of 0.375 lists `redis` and no longer lists
    /// `weighted`; neither was tried on a server of that release.
    pub fn unchecked(mut self, unchecked: bool) -> Self {
        self.unchecked = unchecked;
        self
    }
}

impl Operation for HttpInput {
    type Output = Token;
    type Service = FelderaApi;

    const INFO: &'static OperationInfo = &OperationInfo {
        service: "feldera",
        name: "http_input",
        method: Method::POST,
        path: "/v0/pipelines/{pipeline_name}/ingress/{table_name}",
        effect: Effect::Once,
        effect_varies: false,
    };

    fn request(&self, cx: RequestContext<'_>) -> Result<Request<Body>, BuildError> {
        if let (DataFormat::Json, Some(format), false) = (&self.format, &self.update_format, self.unchecked)
            && let Some(problem) = format.input_problem()
        {
            return Err(BuildError::value(Self::INFO.name, "update_format", format.as_str(), problem));
        }
        if let Some(metadata) = &self.connector_metadata {
            outputs::require_object(Self::INFO, "connector_metadata", metadata)?;
        }
        let mut target = Target::new::<FelderaApi>(Self::INFO, cx);
        target.segment("pipeline_name", &self.pipeline_name)?;
        target.segment("table_name", &self.table_name)?;
        target.query("format", &self.format);
        if let Some(array) = &self.array {
            target.query("array", array);
        }
        if let Some(force) = &self.force {
            target.query("force", force);
        }
        if let Some(format) = &self.update_format {
            target.query("update_format", format);
        }
        if let Some(metadata) = &self.connector_metadata {
            target.query("connector_metadata", &metadata.get());
        }
        target.finish_with(self.rows.clone(), HeaderValue::from_static("text/plain"))
    }

    /// The manager gives up after 30 s, and says so.
    fn timeout(&self, default: Duration) -> Duration {
        default.max(Duration::from_secs(45))
    }

    fn parse(&self, response: Response<Bytes>) -> Result<Token, ServiceError> {
        operation::parse::<FelderaApi, _>(Self::INFO, &response)
    }
}

/// Over the first row in a format that is rejected here, the server panics or drops it. Weighted ingress and Debezium
/// egress were tried out on a 0.337.0. That Redis panics in both directions stands in the server's source only: its
/// parser has no case for it, and its encoder needs the key columns that only the configuration of a connector can
/// name.
impl UpdateFormat {
    /// Why a request for ingress must not be sent. Where the server itself rejects a format, the request is sent.
    fn input_problem(&self) -> Option<&'static str> {
        matches!(self, Self::Redis | Self::Weighted).then_some(
            "servers up to 0.337 panic over the first row, and the pipeline stops processing for good; use insert_delete, raw \
             or debezium, or set `unchecked` for a newer server that reads it",
        )
    }

    /// The same for egress.
    pub(super) fn output_problem(&self) -> Option<&'static str> {
        match self {
            Self::Debezium => Some(
                "servers up to 0.337 accept it, and then drop every row without an error; use insert_delete or snowflake",
            ),
            Self::Redis => Some("servers up to 0.337 panic over the first row; use insert_delete or snowflake"),
            _ => None,
        }
    }
}

/// The problems of rejected rows: the details of a rejection with the code `ParseErrors`.
pub fn parse_errors(error: &ServiceError) -> Option<ParseErrors> {
    if error.code() != Some("ParseErrors") {
        return None;
    }
    json::read(error.details()?.as_bytes()).ok()
}

string_enums! {
    /// The format of the rows.
    pub enum DataFormat {
        Json = "json",
        /// CSV without a header.
        Csv = "csv",
        /// A file of Apache Parquet. For ingress only. It is in the description since 0.375, and so are the next two.
        /// Earlier servers were not tried; a server without the format answers 400 `ConfigError.UnknownInputFormat`.
        Parquet = "parquet",
        /// Records of Apache Avro. For ingress only.
        Avro = "avro",
        /// Unstructured bytes, for a column of text or bytes. For ingress only.
        Raw = "raw",
    }

    /// The format of a JSON row. Over HTTP, servers up to 0.337 support the following. The description of 0.375 has the
    /// same formats for ingress, without `Weighted`.
    ///
    /// | update format | ingress, [`HttpInput`] | egress, [`HttpOutput`](super::stream::HttpOutput) |
    /// |---|---|---|
    /// | `InsertDelete` | yes | yes |
    /// | `Raw` | yes | no: 400 `ConfigError.OutputFormatNotSupported` |
    /// | `Debezium` | yes | no: the server accepts the request and drops all rows, so it is not sent |
    /// | `Snowflake` | no: 400 `ConfigError.InputFormatNotSupported` | yes, one row in each chunk |
    /// | `Redis` | no: the server panics, so it is sent only if `unchecked` | no: the server panics, so it is not sent |
    /// | `Weighted` | no: the server panics, so it is sent only if `unchecked` | no: 400 `ConfigError.OutputFormatNotSupported` |
    ///
    /// It has an effect with [`DataFormat::Json`] only.
    pub enum UpdateFormat {
        /// `{"insert": {…}}`, `{"delete": {…}}`, `{"update": {…}}`.
        InsertDelete = "insert_delete",
        /// The row itself, to be inserted. For ingress only.
        Raw = "raw",
        /// A change event of Debezium. For ingress only.
        Debezium = "debezium",
        /// The row with the columns `__action`, `__stream_id` and `__seq_number`. For egress only.
        Snowflake = "snowflake",
        /// What Redis connectors write. Not over HTTP.
        Redis = "redis",
        /// The row with a weight. Not over HTTP.
        Weighted = "weighted",
    }

    /// A command to a connector.
    pub enum ConnectorAction {
        /// Resumes the connector.
        Start = "start",
        /// Pauses the connector.
        Pause = "pause",
    }

    /// Whether input is processed.
    pub enum CompletionStatus {
        /// All outputs of the input were delivered.
        Complete = "complete",
        /// Some input is not processed, or some outputs are not delivered.
        InProgress = "inprogress",
    }
}

json_structs! {
    /// A completion token.
    pub struct Token {
        pub token: CompletionToken,
    }

    /// The status of the input that a token covers.
    pub struct Completion {
        pub status: CompletionStatus,
        /// The number of steps that must be completed. `None` until all of the input is in a step. Since 0.242.
        ///
        /// The unit is that of [`Chunk::processed_steps`](super::stream::Chunk::processed_steps): a subscription that
        /// has shown at least this number has delivered every change.
        pub step: Option<u64>,
    }

    /// A transaction that was opened.
    pub struct TransactionStarted {
        /// The id of the transaction. Ids are not consecutive.
        pub transaction_id: i64,
    }

    /// The clock of a pipeline after it was advanced.
    pub struct ClockAdvanced {
        /// The time of the clock, in RFC 3339.
        pub now: Option<String>,
        /// The same in milliseconds since the epoch.
        pub now_ms: Option<i64>,
    }

    /// The errors of records that could not be parsed.
    pub struct ParseErrors {
        /// The number of errors.
        pub num_errors: u64,
        /// The last thousand errors.
        pub errors: Vec<ParseError>,
    }

    /// The error of a record that could not be parsed.
    pub struct ParseError {
        /// The server's message.
        pub description: Option<String>,
        /// The number of the record, counted since the first use of this ingress endpoint, not in the request.
        pub event_number: Option<u64>,
        /// The column.
        pub field: Option<String>,
        /// The invalid text. `Debug` does not show it.
        pub invalid_text: Option<String> = "invalid_text" (private),
        /// The invalid bytes, if they are not text.
        pub invalid_bytes: Option<Vec<u32>> = "invalid_bytes" (private),
        /// Feldera's suggestion for a valid value.
        pub suggestion: Option<String>,
        /// `text_event_err` for an error of one record, `text_envelope_err` for an error outside of records.
        pub tag: Option<String>,
    }
}

/// What is wrong, and what would be right if Feldera says so. Does not show the row, but Feldera's description may
/// quote a value of it.
///
/// ```
/// # use pipewright::feldera::data::ParseError;
/// let text = r#"{"description":"missing field `b`","invalid_text":"{\"a\":1}","suggestion":"add it"}"#;
/// let error: ParseError = serde_json::from_str(text)?;
/// assert_eq!(error.to_string(), "missing field `b`: add it");
/// # Ok::<(), serde_json::Error>(())
/// ```
impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.description.as_deref().unwrap_or("a record could not be parsed"))?;
        match &self.suggestion {
            Some(suggestion) => write!(f, ": {suggestion}"),
            None => Ok(()),
        }
    }
}

/// A token for all rows that an ingress endpoint or a connector had ingested when the token was issued. A later token
/// of the same origin covers the earlier tokens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CompletionToken(Box<str>);

impl CompletionToken {
    /// As it stands on the wire: Base64 for URLs, without padding.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: Into<Box<str>>> From<T> for CompletionToken {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for CompletionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Parameter for CompletionToken {
    fn encode(&self, out: &mut Encoder<'_>) -> fmt::Result {
        // A padded token is refused; Feldera's own documentation shows some.
        fmt::Write::write_str(out, self.0.trim_end_matches('='))
    }
}

impl Serialize for CompletionToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for CompletionToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Into::into)
    }
}

impl schema::WireField for CompletionToken {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(deserializer)
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.serialize(serializer)
    }
}
