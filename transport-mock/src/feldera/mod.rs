//! A simulated Feldera: the manager, and the processes of its pipelines, as seen through the manager's API.
//!
//! [`Manager::handle`] answers one request at a time, as a real server does: with its status codes and bodies, its
//! desired statuses that are reached later, and its rejections. There is no network in it, no clock and no chance: time
//! is an argument, and ids follow from [`Config::seed`]. Between two requests everything that is due by the time of the
//! second one happens, in order.
//!
//! ```text
//!   program     Pending ▶ CompilingSql ▶ SqlCompiled ▶ CompilingRust ▶ Success       or SqlError, RustError, SystemError
//!   deployment  Stopped ▶ Provisioning ▶ Initializing ▶ Running ◀▶ Paused ▶ Stopping ▶ Stopped
//!   storage     Cleared ▶ InUse ▶ Clearing ▶ Cleared
//! ```
//!
//! A program has tables, and views that are `SELECT * FROM` a table: anything else does not compile. A table keeps the
//! rows that are pushed into it. Queries and snapshots need a materialized view, or a table `WITH ('materialized' =
//! 'true')`. A table can have connectors: `datagen` with one plan, whose limit and rate count, and `file_input`, whose
//! file is never there; a view can have `file_output`, which only counts. Egress, logs and time series go on: their
//! responses have an [`OpenBody`] among their extensions, by which [`Manager::read`] gives the rest.
//!
//! How things really are, as opposed to what the API says about them, is seen with [`Manager::pipelines`] and
//! [`Manager::requests`], and what its processes have done with [`Manager::history`]. What goes wrong behind the API:
//! [`panic`](Manager::panic), [`report_panic`](Manager::report_panic), [`kill`](Manager::kill),
//! [`freeze`](Manager::freeze), [`wedge`](Manager::wedge), [`fail_checkpoints`](Manager::fail_checkpoints),
//! [`fail_syncs`](Manager::fail_syncs), [`fail_compilations`](Manager::fail_compilations),
//! [`restart_runner`](Manager::restart_runner).
//!
//! # Releases
//!
//! [`Config::release`] chooses one of the releases of [`Release`]. Paths, parameters and fields that a release does not
//! know are not there in it: an empty 404, and ignored.
//!
//! | | 0.130 | 0.337 | 0.375 |
//! |---|---|---|---|
//! | operations of the latest release | 40 | 77 | 78 |
//! | statuses of a pipeline | one, with `Suspending` | combined, of resources, of the runtime; `deployment_id` | as 0.337 |
//! | `/start` | starts and resumes; no parameters | starts; `initial`, `bootstrap_policy`, `dismiss_error` | as 0.337 |
//! | `/pause` | pauses, and starts as paused | pauses a process that answers | as 0.337 |
//! | who learns of a wish | the manager; the process when it answers again | the process, or 503 | as 0.337 |
//! | a changed program with checkpoints | bootstraps | awaits approval, by the policy | as 0.337 |
//! | sizes and durations in settings | old names, numbers; new names are dropped | as 0.130 | both are read; new names, with units |
//! | a setting that no release knows | kept, as by a later one that knows it | kept | kept |
//! | resize of a running pipeline | ignored | ignored | `deployment_config`, `memory_max` |
//! | the process of a checkpoint | not named | `incarnation_uuid` | as 0.337 |
//! | syncs under way | not told | not told | `running`; success and failure never name the same checkpoint |
//! | `step` of a completion token | not told | told | told |
//! | egress | no snapshots | `send_snapshot`, `snapshot` | and `processed_steps` after each step |
//! | logs | whole | whole | `follow=false`, or after a `cursor` |
//! | output connectors | statistics | statistics, commands | and start and pause |
//! | errors of Rust | a text | a text | and parsed `messages` |
//! | `runtime_version` | a version or a commit | as 0.130 | and `gen2`, which compiles no Rust |
//! | API keys | `scopes` | `role` | `role` |
//! | `edition` of a licence for developers | `Enterprise` | `Enterprise` | `EnterpriseDev` |
//!
//! # Limits
//!
//! Answers come at once: what a real manager says after its patience is over (30 s of an ingress into a paused
//! pipeline) is said without the wait. All operations of the latest release have their routes. Tenants, trust, demos,
//! owners, cluster events, the dataflow graph, the clock, rebalancing and compaction are not simulated: 501
//! `NotSimulated`, with a text that says so. Where there are keys, all but owners are rejected at tenants with 403, and
//! all but admins at trust. Profiles are files of the right form with next to nothing in them.
//!
//! The simulator shares no type and no code with a client: a misunderstanding of the protocol would otherwise be
//! on both sides and never show.
//!
//! # Layers
//!
//! Each file imports only files of the layers above its own in this table, or files before it in the same layer. So do
//! the other simulators.
//!
//! | layer | files |
//! |---|---|
//! | data | `release`, `config`, `views`, `wire` (forms of values), `units`, `settings`, `errors`, `request`, `token`, `connectors`, `program`, `rows` |
//! | parts of a process | `tables`, `endpoint`, `subscriber`, `progress`, `saved_state`, `transaction`, `checkpointing` |
//! | parts of the manager | `process`, `log`, `compilation`, `pipeline`, `availability`, `store`, `keys` |
//! | answers | `object`, `lifecycle`, `pipelines`, `resize`, `checkpoints`, `inputs`, `outputs`, `streaming`, `data`, `statistics`, `introspection`, `validation`, `profiles` |
//! | root | [`Manager`], which owns the parts; `router`, which names the handler of each path; `faults`, which a test injects |
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
mod release;
mod request;
mod resize;
mod router;
mod rows;
mod saved_state;
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
mod units;
mod validation;
mod views;
mod wire;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

pub use self::config::{CompilerFailure, Config};
pub use self::release::{Edition, Release, UnknownRelease};
pub use self::views::{CheckpointView, History, PipelineView, RequestView, SyncView, TakenView, TransactionView};

use self::errors::respond;
use self::keys::Keys;
use self::request::Call;
use self::store::Store;
use self::streaming::Readings;
use crate::streaming::{Coming, OpenBody};

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
    /// A manager without pipelines.
    pub fn new(config: Config) -> Self {
        Self {
            store: Store::new(config),
            keys: Keys::default(),
            readings: Readings::default(),
            requests: VecDeque::new(),
            up_at: Duration::ZERO,
        }
    }

    /// Answers a request that arrives at `now`, the time since the UNIX epoch. A time before that of the last call
    /// is taken for that time.
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

    /// Lets everything happen that is due by `now`, for the views to be of that time.
    pub fn advance(&mut self, now: Duration) {
        self.store.advance(now);
    }

    /// Returns what comes next, at `now`, of the body of an answer that goes on: egress, logs, time series.
    pub fn read(&mut self, now: Duration, body: OpenBody) -> Coming {
        self.advance(now);
        self.readings.read(&mut self.store, body)
    }

    /// Ends a body: the client reads no more of it.
    pub fn close(&mut self, now: Duration, body: OpenBody) {
        self.advance(now);
        self.readings.close(&mut self.store, body);
    }
}
