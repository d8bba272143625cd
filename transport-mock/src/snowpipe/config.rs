//! What a simulated account is like.

use std::ops::RangeInclusive;
use std::time::Duration;

/// What a simulated account is like.
#[derive(Debug, Clone)]
pub struct Config {
    /// What `GET /v2/streaming/hostname` answers, one after the other, each until the next failover:
    /// `sim_account.ingest.snowpipe.test`, then `sim_account-2.ingest.snowpipe.test`. The underscore is meant: requests
    /// reach the host under its dashed name only, as TLS has it. Without any, there is one host for everything, and the
    /// answer is the `Host` that was asked.
    pub ingest_hosts: Vec<String>,
    /// What `GET /v2/streaming/hostname` answers if there are no [`ingest_hosts`](Self::ingest_hosts): a host without a
    /// port, as the vendor's SDK needs it. `None`, the default, answers the `Host` that was asked, with its port.
    pub advertised_host: Option<String>,
    /// What the account host takes after `Bearer`: anything that is not empty. The claims of a key-pair JWT are checked
    /// in any case.
    pub credential: Option<String>,
    /// The account as in the `iss` of a key-pair JWT, such as `MYORG-MYACCT`: any.
    pub account: Option<String>,
    /// The fingerprint of the user's public key, as in `DESC USER`: any. It begins with `SHA256:`.
    pub public_key_fp: Option<String>,
    /// How long a scoped token lives: 10 min.
    pub token_life: Duration,
    /// Whether hostname and token are answered as the documentation has it, in JSON: no, as bare text.
    pub json_answers: bool,
    /// From the answer to an append until its rows are committed, in the order of the appends: 5 to 8 s.
    pub commit_delay: RangeInclusive<Duration>,
    /// How old the answer to a bulk status is, drawn for each, as if by nodes that are behind: not at all. What an
    /// open says is always of now.
    pub status_age: RangeInclusive<Duration>,
    /// How long an open keeps others off (`ERR_OPEN_CHANNEL_IN_PROGRESS`): 5 ms.
    pub open_duration: Duration,
    /// What is said to a continuation token that was used already.
    pub replay: Replay,
    /// The answer to a continuation token from before the channel was opened last.
    pub superseded: Superseded,
    /// The form of errors.
    pub error_shape: ErrorShape,
    /// How a failover is told.
    pub failed_over: FailedOver,
    /// Whether a restart loses what is buffered, its channels having to be reopened then: no.
    pub restart_loses_buffered: bool,
    /// Whether an append without a continuation token is taken, as in the oldest description: no.
    pub stateless: bool,
    /// Appends a second for each channel, above which 429 is answered: any number.
    pub appends_per_second: Option<u32>,
    /// The columns whose values have to be numbers, or strings of one: a row where they are not is an error. None.
    pub number_columns: Vec<String>,
    /// How long an unused channel is kept: 30 days.
    pub channel_expiration: Duration,
    /// How many requests are remembered for [`Account::requests`](super::Account::requests): 100 000.
    pub history: usize,
    /// What tokens and delays are drawn from: 0.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ingest_hosts: vec!["sim_account.ingest.snowpipe.test".into(), "sim_account-2.ingest.snowpipe.test".into()],
            advertised_host: None,
            credential: None,
            account: None,
            public_key_fp: None,
            token_life: Duration::from_secs(600),
            json_answers: false,
            commit_delay: Duration::from_secs(5)..=Duration::from_secs(8),
            status_age: Duration::ZERO..=Duration::ZERO,
            open_duration: Duration::from_millis(5),
            replay: Replay::Accepted,
            superseded: Superseded::Stale,
            error_shape: ErrorShape::Code,
            failed_over: FailedOver::Coded,
            restart_loses_buffered: false,
            stateless: false,
            appends_per_second: None,
            number_columns: Vec::new(),
            channel_expiration: Duration::from_secs(30 * 86_400),
            history: 100_000,
            seed: 0,
        }
    }
}

/// What is said to a continuation token whose append was carried out already. No document says; see [`Config::replay`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// 200 with the next token, and the rows are not taken again. Only for the last append of the channel.
    Accepted,
    /// 400 `STALE_CONTINUATION_TOKEN_SEQUENCER`.
    Stale,
    /// 400 `ERR_CHANNEL_HAS_INVALID_ROW_SEQUENCER`.
    OutOfOrder,
}

/// What is said to a continuation token that another open of the channel has made worthless; the documents know both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Superseded {
    /// 400 `STALE_CONTINUATION_TOKEN_SEQUENCER`.
    Stale,
    /// 409 `ERR_CHANNEL_HAS_INVALID_CLIENT_SEQUENCER`.
    Conflict,
}

/// How a request to a pipe that has failed over is rejected; only the status is documented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailedOver {
    /// 410 `ERR_PIPE_FAILED_OVER`.
    Coded,
    /// 410 without a code and without a body.
    Bare,
}

/// How the body of an error is put; the service has been seen to use each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorShape {
    /// `{"code": …, "message": …}`.
    Code,
    /// `{"error_code": …, "message": …}`.
    ErrorCode,
    /// The code as a JSON string, and nothing else.
    Text,
    /// `{"status_code": …, "message": …}` with a number, as in the oldest description: 3 for a token that has expired,
    /// 4 for a stale continuation token, codes that are numbers as they are. The numbers of
    /// all others are unknown: 99.
    StatusCode,
}

/// The state of a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PipeState {
    /// It takes rows. That is what the default pipes of tables do, unless told otherwise.
    Healthy,
    /// 404 `ERR_PIPE_DOES_NOT_EXIST_OR_NOT_AUTHORIZED`: also the answer for any pipe that is no table's default and was
    /// not [set](super::Account::set_pipe).
    Missing,
    /// 404 `ERR_TABLE_DOES_NOT_EXIST_NOT_AUTHORIZED`.
    TableMissing,
    /// 403: a privilege is missing.
    Forbidden,
    /// 409 `ERR_PIPE_IN_INVALID_STATE` to an open, as when its target is a view.
    Invalid,
    /// It takes appends and discards their rows; only the status of its channels tells, with
    /// `ERR_PIPE_DOES_NOT_EXIST_OR_NOT_AUTHORIZED`.
    Discards,
    /// No node owns it: 503 and the bare string `ERR_GENERAL_EXCEPTION_RETRY_REQUEST`.
    Unowned,
    /// 404 of an edge proxy, without a code.
    Misrouted,
    /// 400 `SWITCH_TO_FILE_MODE` to an append.
    FileMode,
}
