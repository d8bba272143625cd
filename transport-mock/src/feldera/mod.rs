//! A simulated Feldera: the manager, and the processes of its pipelines, as seen through the manager's API.
//!
//! [`Manager::handle`] answers one request at a time, with the status codes, bodies and rejections of a real server. As
//! there, the actual status follows the desired status later. The simulator uses no network, clock or randomness: time
//! is an argument, and ids are derived from [`Config::seed`]. Each request first carries out everything that is due by
//! its time, in order.
//!
//! ```text
//!   program     Pending ▶ CompilingSql ▶ SqlCompiled ▶ CompilingRust ▶ Success       or SqlError, RustError, SystemError
//!   deployment  Stopped ▶ Provisioning ▶ Initializing ▶ Running ◀▶ Paused ▶ Stopping ▶ Stopped
//!   storage     Cleared ▶ InUse ▶ Clearing ▶ Cleared
//! ```
//!
//! With the feature `sql`, programs are compiled and run: joins, aggregates, filters, `DISTINCT`, set operations,
//! common table expressions, sub-queries, local and materialized views, and views of views. After each step the views
//! are evaluated, and egress sends the differences. Duplicates count. An insert into a table with a primary key
//! replaces the row of the key. Errors of the compiler have positions and snippets, and `program_info` has the types
//! of views.
//!
//! A construct that the engine does not know, such as a window function, `TUMBLE` or a user-defined function, compiles
//! with a warning that names it. Its view stays empty, until a test emits rows with `Manager::emit` or with
//! `POST /_simulator/pipelines/{pipeline}/views/{view}/emit` and an array of `{"insert": {…}}` and `{"delete": {…}}`.
//! Views of such a view are scripted as well.
//!
//! Ad-hoc queries run on the same engine, as `text`, `json`, `arrow_ipc` and `hash`; `INSERT` works too. They read
//! materialized views, and tables `WITH ('materialized' = 'true')`, as snapshots do.
//!
//! Without the feature, a program has tables, and views of the form `SELECT * FROM table`; queries are
//! `SELECT * FROM relation` and `SELECT COUNT(*) FROM relation`, as `text` and `json`. The compiler's error about other
//! views names the feature.
//!
//! A table keeps the rows that are ingested. It can have these connectors:
//!
//! * `datagen` with one plan, of which it follows the limit and the rate;
//! * `file_input`, whose file never exists.
//!
//! A view can have `file_output`, which only counts rows. Egress, logs and time series are streaming responses: an
//! [`OpenBody`] is among the extensions of the response, and [`Manager::read`] returns more of the body.
//!
//! [`Manager::pipelines`] and [`Manager::requests`] return the actual state, which the API may not show yet.
//! [`Manager::history`] returns what the processes have done. A test injects failures with
//! [`panic`](Manager::panic), [`report_panic`](Manager::report_panic), [`kill`](Manager::kill),
//! [`freeze`](Manager::freeze), [`wedge`](Manager::wedge), [`fail_checkpoints`](Manager::fail_checkpoints),
//! [`fail_syncs`](Manager::fail_syncs), [`fail_compilations`](Manager::fail_compilations),
//! [`restart_runner`](Manager::restart_runner).
//!
//! # Releases
//!
//! [`Config::release`] selects a [`Release`]. A path that the release does not have is answered with an empty 404.
//! Parameters and fields that the release does not have are ignored.
//!
//! | | 0.130 | 0.337 | 0.375 |
//! |---|---|---|---|
//! | how many of the 78 operations of 0.375 exist | 40 | 77 | 78 |
//! | statuses of a pipeline | one, with `Suspending` | combined, of resources, of the runtime; `deployment_id` | as 0.337 |
//! | `/start` | starts and resumes; no parameters | starts; `initial`, `bootstrap_policy`, `dismiss_error` | as 0.337 |
//! | `/pause` | pauses, and starts as paused | pauses a process that answers | as 0.337 |
//! | who receives a new desired status | the manager; the process when it answers again | the process; otherwise 503 | as 0.337 |
//! | start with a changed program and checkpoints | bootstraps | waits for approval if the policy says so | as 0.337 |
//! | sizes and durations in settings | old names, numbers; new names are dropped | as 0.130 | both are read; new names, with units |
//! | a setting that no release knows | kept, as by a later release that has it | kept | kept |
//! | resize of a running pipeline | ignored | ignored | `deployment_config`, `memory_max` |
//! | process in the response about a checkpoint | not shown | `incarnation_uuid` | as 0.337 |
//! | checkpoint syncs in progress | not shown | not shown | `running`; success and failure never name the same checkpoint |
//! | `step` of a completion token | not shown | shown | shown |
//! | egress | no snapshots | `send_snapshot`, `snapshot` | as 0.337, and `processed_steps` after each step |
//! | logs | all kept lines | all kept lines | `follow=false`, or after a `cursor` |
//! | output connectors | statistics | statistics, commands | as 0.337, and start and pause |
//! | disks of the hosts, if a pipeline has several | not shown | not shown | `host_metrics` |
//! | errors of the Rust compiler | a text | a text | a text, and parsed `messages` |
//! | `runtime_version` | a version or a commit | as 0.130 | as 0.130, and `gen2`, which compiles no Rust |
//! | API keys | `scopes` | `role` | `role` |
//! | `edition` with a developer licence | `Enterprise` | `Enterprise` | `EnterpriseDev` |
//!
//! # Limits
//!
//! * The simulator answers at once, also if a real manager answers only after a timeout. An example is an ingress into
//!   a paused pipeline, which takes 30 s.
//! * The clock of a program with `NOW()` is not simulated: 501 `NotSimulated`.
//! * Rebalancing and compaction change nothing, the cluster has one event, and a dataflow graph is empty.
//! * If there are API keys, requests about tenants are rejected with 403 except for owners, and requests about trust
//!   except for admins.
//! * Profiles have the right file format, but almost no content.
//! * Ingress in `parquet` and `avro` is answered 501 `NotSimulated`. `connector_metadata` is accepted and has no
//!   effect, because defaults of columns are not evaluated.
//! * Ingress in `raw` takes `mode` and `column_name` on every release, also before 0.375, whose description names the
//!   format first.
//! * Egress rejects `redis`, and ignores a connector in the body.
//! * Queries as `parquet` are answered 501. The digits of `hash` are the same for the same rows, but not those of a
//!   real server. In Arrow, maps and `VARIANT` are texts. Queries over a WebSocket are not simulated.
//! * A step passes its changes through filters, projections and `UNION ALL`. It evaluates any other view that reads a
//!   changed relation from the beginning, which takes the machine longer the more rows there are.
//! * `LATENESS`, `WATERMARK`, `DEFAULT` and `CHECK` are accepted and ignored; except for `CHECK`, a warning says so.
//!   Fields of `ROW` and of user-defined types are kept as JSON. Some messages and types of results differ from those
//!   of a real compiler.
//! * `redis` wedges ingress on every release; that it does so on a real 0.375 was not tried.
//! * Ingress into a pipeline that a reader holds up is answered 200 at once, and not 503 after 30 s. The rows wait.
//! * `initial=standby` is always rejected, and a difference of programs names no connectors.
//! * The hosts in `host_metrics` are all alike. A log is bounded by its lines, not by its bytes.
//! * A wrong method is 403 on a path with one segment behind the name of the pipeline, and on ingress and egress;
//!   elsewhere it is an empty 404.
//! * A log cursor may have any epoch with 32 hexadecimal digits, and epochs are compared as text. 503 for a cursor that
//!   cannot be resolved is not simulated.
//! * A freeze does not put off what steps and checkpoints are due. Those of its time happen when it ends.
//! * [`Manager::history`], checkpoints, and the rows that wait for a step grow for as long as a pipeline lives.
//! * `datagen` makes 10,000 rows at once at most, and so 100,000 a second.
//!
//! The simulator shares no type and no code with a client. Otherwise a misunderstanding of the protocol could be on
//! both sides, and no test would show it.
//!
//! # Routes
//!
//! [`routes`] returns this table. A route that is not simulated is answered 501 `NotSimulated`, with the header
//! `x-pipewright-sim: not-simulated`, once a request has the right credential.
//!
#![doc = include_str!("routes.md")]
//!
//! To add a route, add its handler to `router.rs` and change the `no` of its line in `routes.md` to `yes`.
//!
//! # Layers
//!
//! Each file imports only files of the layers above its own in this table, or earlier files of the same layer. The
//! other simulators follow the same rule.
//!
//! | layer | files |
//! |---|---|
//! | data | `release`, `config`, `views`, `wire` (forms of values), `units`, `settings`, `errors`, `request`, `token`, `connectors`, `program`, `rows`, `raw` |
//! | parts of a process | `tables`, `endpoint`, `subscriber`, `progress`, `saved_state`, `transaction`, `checkpointing` |
//! | parts of the manager | `process`, `log`, `compilation`, `trouble`, `pipeline`, `availability`, `store`, `keys` |
//! | answers | `object`, `lifecycle`, `pipelines`, `resize`, `checkpoints`, `inputs`, `outputs`, `streaming`, `data`, `queries`, `statistics`, `introspection`, `upkeep`, `validation`, `profiles` |
//! | root | [`Manager`], which owns the parts; `router`, which names the handler of each path; `faults`, which a test injects; `scripting`, rows that a test emits |
//!
//! ```
//! # use std::time::Duration;
//! use pipewright_mock::feldera::{Config, Manager};
//!
//! let mut manager = Manager::new(Config::default());
//! let now = Duration::from_secs(1_800_000_000);
//! let request = http::Request::get("/v0/pipelines").body(bytes::Bytes::new())?;
//! assert_eq!(manager.handle(now, &request).body(), "[]");
//! # Ok::<(), http::Error>(())
//! ```

mod availability;
mod checkpointing;
mod checkpoints;
mod compilation;
mod config;
mod connectors;
mod data;
mod endpoint;
mod errors;
mod faults;
mod inputs;
mod introspection;
mod keys;
mod lifecycle;
mod log;
mod object;
mod outputs;
mod pipeline;
mod pipelines;
mod process;
mod profiles;
mod program;
mod progress;
mod queries;
mod raw;
mod release;
mod request;
mod resize;
mod router;
mod rows;
mod saved_state;
#[cfg(feature = "sql")]
mod scripting;
mod settings;
mod statistics;
mod store;
mod streaming;
mod subscriber;
mod tables;
#[cfg(test)]
mod tests;
mod token;
mod transaction;
mod trouble;
mod units;
mod upkeep;
mod validation;
mod views;
mod wire;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

pub use self::config::{CompilerFailure, Config};
pub use self::release::{Edition, Release, UnknownRelease};
#[cfg(feature = "sql")]
pub use self::scripting::EmitError;
pub use self::views::{CheckpointView, History, PipelineView, RequestView, SyncView, TakenView, TransactionView};

use self::errors::respond;
use self::keys::Keys;
use self::request::Call;
use self::store::Store;
use self::streaming::Readings;
use crate::routes::{self, Route};
use crate::streaming::{Coming, OpenBody};

const ROUTES: &str = include_str!("routes.md");

/// The routes of a real server: the operations of 0.375, and what its manager has beside them.
pub fn routes() -> Vec<Route> {
    routes::read(ROUTES).collect()
}

/// A simulated Feldera. See the [module](self).
#[derive(Debug)]
pub struct Manager {
    store: Store,
    keys: Keys,
    readings: Readings,
    requests: VecDeque<RequestView>,
    up_at: Duration,
}

impl Manager {
    /// Creates a manager without pipelines.
    pub fn new(config: Config) -> Self {
        Self {
            store: Store::new(config),
            keys: Keys::default(),
            readings: Readings::default(),
            requests: VecDeque::new(),
            up_at: Duration::ZERO,
        }
    }

    /// Answers a request that arrives at `now`, the time since the UNIX epoch. If `now` is before the time of the last
    /// call, the time of the last call is used.
    pub fn handle(&mut self, now: Duration, request: &http::Request<Bytes>) -> http::Response<Bytes> {
        self.advance(now);
        let call = Call::read(request);
        let response = respond(self.answer(&call));
        self.requests.push_back(RequestView {
            at: self.store.now,
            method: call.method,
            target: call.target,
            status: response.status().as_u16(),
        });
        while self.requests.len() > self.store.config.history {
            self.requests.pop_front();
        }
        response
    }

    /// Carries out everything that is due by `now`, so that the views show the state at that time.
    pub fn advance(&mut self, now: Duration) {
        self.store.advance(now);
    }

    /// Returns the next part, at `now`, of the body of a streaming response: egress, logs, time series.
    pub fn read(&mut self, now: Duration, body: OpenBody) -> Coming {
        self.advance(now);
        self.readings.read(&mut self.store, body)
    }

    /// Closes a body, because the client stops reading it.
    pub fn close(&mut self, now: Duration, body: OpenBody) {
        self.advance(now);
        self.readings.close(&mut self.store, body);
    }
}
