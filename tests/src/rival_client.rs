//! A simulated Feldera with two clients: the client under test, and a rival that starts, stops, pauses and edits the
//! same pipeline at given times. It keeps the history, so that a test can compare it with what the client under test
//! reports.
//!
//! ```
//! use pipewright::feldera::EnsureRunning;
//! use pipewright_mock::FaultPlan;
//! use pipewright_tests::rival_client::{Act, RivalScene};
//!
//! let scene = RivalScene::new(1, Default::default());
//! scene.put(pipewright_tests::rival_client::SQL);
//! scene.rival(vec![(500, Act::StartPaused)]);
//! let trial = scene.run(FaultPlan::none(), EnsureRunning::new("p"));
//! assert_eq!(trial.last().status, "Running");
//! assert!(trial.result.is_ok());
//! ```

mod coverage;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use pipewright::driver::Clock as _;
use pipewright::error::FlowError;
use pipewright::feldera::{Feldera, FelderaApi};
use pipewright::flow::Goal;
use pipewright::{Seed, Timestamp};
use pipewright_mock::feldera::{Config, Manager, PipelineView, Release};
use pipewright_mock::schedule::{Schedule, Turn};
use pipewright_mock::{Coming, Fault, FaultKind, FaultPlan, Incident, Mounted, OpenBody, Service, World};

pub use self::coverage::Coverage;

/// A program that compiles; the pipeline is called `p`.
pub const SQL: &str = "CREATE TABLE t (id BIGINT NOT NULL);\nCREATE MATERIALIZED VIEW v AS SELECT * FROM t;";
/// Another program that compiles.
pub const OTHER_SQL: &str = "CREATE TABLE t (id BIGINT NOT NULL, s VARCHAR);";
/// A program that does not compile: line 2, column 1.
pub const BAD_SQL: &str = "CREATE TABLE t (id BIGINT NOT NULL);\nCREATE VIEW v AS SELECT * FROM nosuch;";

/// What a rival does, or what happens by itself, to the pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Starts it.
    Start,
    /// Starts it as paused.
    StartPaused,
    /// Stops it by force.
    Stop,
    /// Stops it with a checkpoint.
    Suspend,
    /// Pauses it.
    Pause,
    /// Resumes it.
    Resume,
    /// Changes its program.
    Edit(&'static str),
    /// Clears its storage.
    Clear,
    /// Forgets its error.
    Dismiss,
    /// Its process panics.
    Panic,
    /// Its process is killed.
    Kill,
    /// Its process does not answer for so many milliseconds.
    Freeze(u64),
    /// Any other request: method, target after `/v0`, body.
    Request(&'static str, String, String),
}

/// Something that happened, and how the pipeline really was right afterwards.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// Of the client under test: method, target, and what the service answered. `None` is the rival's doing.
    pub request: Option<(String, String, u16)>,
    /// What the rival did.
    pub act: Option<Act>,
    /// The pipeline; `None` if no pipeline exists.
    pub view: Option<PipelineView>,
}

/// The service, and who uses it behind the client's back.
#[derive(Debug)]
pub struct Contested {
    manager: Manager,
    release: Release,
    acts: VecDeque<(Timestamp, Act)>,
    history: Vec<Moment>,
}

impl Contested {
    /// Lets the rival do what is due by now.
    fn rival(&mut self, now: Timestamp) {
        while self.acts.front().is_some_and(|(at, _)| *at <= now) {
            let Some((at, act)) = self.acts.pop_front() else { return };
            self.manager.advance(at.as_unix());
            self.act(at, act.clone());
            self.note(at, None, Some(act));
        }
    }

    fn act(&mut self, at: Timestamp, act: Act) {
        let (method, target, body) = match act {
            Act::Start => ("POST", "/pipelines/p/start".to_owned(), String::new()),
            // Before 0.148 a pause starts as paused, and a start resumes.
            Act::StartPaused if self.release == Release::V0_130 => {
                ("POST", "/pipelines/p/pause".to_owned(), String::new())
            }
            Act::Resume if self.release == Release::V0_130 => ("POST", "/pipelines/p/start".to_owned(), String::new()),
            Act::StartPaused => ("POST", "/pipelines/p/start?initial=paused".to_owned(), String::new()),
            Act::Stop => ("POST", "/pipelines/p/stop?force=true".to_owned(), String::new()),
            Act::Suspend => ("POST", "/pipelines/p/stop".to_owned(), String::new()),
            Act::Pause => ("POST", "/pipelines/p/pause".to_owned(), String::new()),
            Act::Resume => ("POST", "/pipelines/p/resume".to_owned(), String::new()),
            Act::Edit(sql) => {
                ("PATCH", "/pipelines/p".to_owned(), serde_json::json!({ "program_code": sql }).to_string())
            }
            Act::Clear => ("POST", "/pipelines/p/clear".to_owned(), String::new()),
            Act::Dismiss => ("POST", "/pipelines/p/dismiss_error".to_owned(), String::new()),
            Act::Request(method, target, body) => (method, target, body),
            // Processes that end say either of it.
            Act::Panic if at.as_millis().is_multiple_of(2) => {
                return self.manager.panic("p", "division by zero");
            }
            Act::Panic => return self.manager.report_panic("p", "division by zero"),
            Act::Kill => return self.manager.kill("p"),
            Act::Freeze(millis) => return self.manager.freeze("p", Duration::from_millis(millis)),
        };
        let mut request = Request::new(Bytes::from(body));
        *request.method_mut() = method.parse().expect("a method");
        *request.uri_mut() = format!("/v0{target}").parse().expect("a target");
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let _ = self.manager.handle(at.as_unix(), &request);
    }

    fn note(&mut self, at: Timestamp, request: Option<(String, String, u16)>, act: Option<Act>) {
        let view = self.manager.pipeline("p");
        self.history.push(Moment { at, request, act, view });
    }
}

impl Service for Contested {
    fn handle(&mut self, now: Timestamp, request: &Request<Bytes>) -> Response<Bytes> {
        self.rival(now);
        let response = self.manager.handle(now.as_unix(), request);
        let said = (request.method().to_string(), request.uri().to_string(), response.status().as_u16());
        self.note(now, Some(said), None);
        response
    }

    fn read(&mut self, now: Timestamp, body: OpenBody) -> Coming {
        self.rival(now);
        let next = self.acts.front().map(|(at, _)| *at);
        match (self.manager.read(now.as_unix(), body), next) {
            (Coming::Later(at), Some(next)) => Coming::Later(at.min(next)),
            (Coming::Idle, Some(next)) => Coming::Later(next),
            (coming, _) => coming,
        }
    }

    fn close(&mut self, now: Timestamp, body: OpenBody) {
        self.rival(now);
        self.manager.close(now.as_unix(), body);
    }

    fn restart(&mut self, now: Timestamp, downtime: Duration) {
        self.rival(now);
        self.manager.restart(now.as_unix(), downtime);
    }

    fn advance(&mut self, now: Timestamp) {
        self.rival(now);
        self.manager.advance(now.as_unix());
    }
}

/// See the [module](self).
#[derive(Debug)]
pub struct RivalScene {
    /// The clock and the faults.
    pub world: World,
    /// The client under test.
    pub feldera: Feldera<World>,
    service: Mounted<Contested>,
}

/// The deadline of every trial, from its beginning.
pub const LIMIT: Duration = Duration::from_secs(120);

/// The result of a flow, and what really happened meanwhile.
#[derive(Debug)]
pub struct Trial<T> {
    /// The result.
    pub result: Result<T, FlowError>,
    /// All that happened since it began.
    pub history: Vec<Moment>,
    /// Whether a reply was lost, or spoilt, or so late that the outcome was unknown.
    pub lost: bool,
    /// The faults that its requests met, by name.
    pub faults: Vec<String>,
}

impl RivalScene {
    /// A service without pipelines.
    ///
    /// # Panics
    /// Never.
    pub fn new(seed: u64, config: Config) -> Self {
        let world = World::new(seed);
        let release = config.release;
        let manager = Manager::new(Config { seed, ..config });
        let contested = Contested { manager, release, acts: VecDeque::new(), history: Vec::new() };
        let service = world.mount("http://feldera.test:8080".parse().expect("a base"), contested);
        let feldera = Feldera::new(service.base(), world.clone());
        Self { world, feldera, service }
    }

    /// Makes the pipeline, or gives it another program. Nothing goes wrong. It has a bucket for its checkpoints.
    pub fn put(&self, sql: &str) {
        let sync = serde_json::json!({ "bucket": "checkpoints", "provider": "Other" });
        let storage = serde_json::json!({ "backend": { "name": "file", "config": { "sync": sync } } });
        let config = serde_json::json!({ "storage": storage });
        let body = serde_json::json!({ "name": "p", "program_code": sql, "runtime_config": config }).to_string();
        self.now(Act::Request("PUT", "/pipelines/p".to_owned(), body));
    }

    /// The rival does this now.
    pub fn now(&self, act: Act) {
        self.rival(vec![(0, act)]);
        self.service.with(|_| {});
    }

    /// Lets time pass.
    pub fn pass(&self, millis: u64) {
        self.world.sleep_until(self.world.now() + Duration::from_millis(millis));
        self.service.with(|_| {});
    }

    /// Looks at the manager as of now, or changes it.
    pub fn with<R>(&self, look: impl FnOnce(&mut Manager) -> R) -> R {
        self.service.with(|contested| look(&mut contested.manager))
    }

    /// The pipeline as it really is now.
    pub fn view(&self) -> Option<PipelineView> {
        self.with(|manager| manager.pipeline("p"))
    }

    /// The program of the pipeline, compiled or not.
    ///
    /// # Panics
    /// When there is no pipeline.
    pub fn code(&self) -> String {
        let now = self.world.now();
        let request = Request::get("/v0/pipelines/p").body(Bytes::new()).expect("a request");
        let response = self.with(|manager| manager.handle(now.as_unix(), &request));
        let object: serde_json::Value = serde_json::from_slice(response.body()).expect("JSON");
        object["program_code"].as_str().expect("a program").to_owned()
    }

    /// What the rival will do, each so many milliseconds from now.
    pub fn rival(&self, acts: Vec<(u64, Act)>) {
        let now = self.world.now();
        let mut acts: Vec<_> = acts.into_iter().map(|(after, act)| (now + Duration::from_millis(after), act)).collect();
        acts.sort_by_key(|(at, _)| *at);
        self.service.with(|contested| contested.acts = acts.into());
    }

    /// Runs a goal under faults while the rival is at work.
    ///
    /// # Panics
    /// When it does not end by [`LIMIT`].
    pub fn run<G: Goal<Service = FelderaApi>>(&self, plan: FaultPlan, goal: G) -> Trial<G::Output> {
        self.trial(plan, |feldera| feldera.run(goal))
    }

    /// Does something under faults while the rival is at work, such as driving a session.
    ///
    /// # Panics
    /// When it does not end by [`LIMIT`].
    pub fn trial<T>(&self, plan: FaultPlan, act: impl FnOnce(&Feldera<World>) -> Result<T, FlowError>) -> Trial<T> {
        let begun = self.service.with(|contested| contested.history.len());
        let events = self.world.trace().len();
        let end = self.world.now() + LIMIT;
        self.world.set_faults(plan);
        let result = act(&self.feldera);
        self.world.set_faults(FaultPlan::none());
        assert!(
            self.world.now() <= end,
            "{} is after {end}: {result:?}",
            self.world.now(),
            result = result.as_ref().err()
        );
        let history = self.service.with(|contested| contested.history[begun..].to_vec());
        let trace = &self.world.trace()[events..];
        let faults = trace.iter().filter_map(|event| match &event.what {
            Incident::Exchange { fault: Some(fault), .. } => Some(name_of(fault)),
            _ => None,
        });
        let faults = faults.collect();
        let lost = trace.iter().any(|event| match &event.what {
            // Proxies answer 502 to 504 also to what they have passed on.
            Incident::Exchange { fault: Some(fault), .. } => {
                fault.applied() || matches!(fault, Fault::Unavailable(_) | Fault::ProxyPage { .. })
            }
            Incident::Late { .. } | Incident::Restart { .. } => true,
            _ => false,
        });
        Trial { result, history, lost, faults }
    }
}

/// The name of a variant.
fn name_of(of: &impl std::fmt::Debug) -> String {
    format!("{of:?}").split([' ', '(', '{']).next().unwrap_or_default().to_owned()
}

impl Act {
    /// Its short name; of a request, the end of its path.
    pub fn name(&self) -> String {
        match self {
            Self::Request(_, target, _) => {
                let path = target.split('?').next().unwrap_or_default();
                let mut words = path.split('/').skip(3);
                words.next().unwrap_or(path).to_owned()
            }
            act => name_of(act),
        }
    }
}

/// What [`hostile`] brings about.
pub const FAULTS: [&str; 11] = [
    "NotSent",
    "ReplyLost",
    "DelayRequest",
    "DelayReply",
    "TooManyRequests",
    "Unavailable",
    "ProxyPage",
    "CutOff",
    "ShortBody",
    "MalformedBody",
    "Restart",
];

/// The releases that every flow meets.
pub const RELEASES: [&str; 3] = ["0.130.0", "0.337.0", "0.375.0"];

/// What [`rivalry`] does.
pub const ACTS: [&str; 12] = [
    "Start",
    "StartPaused",
    "Stop",
    "Suspend",
    "Pause",
    "Resume",
    "Edit",
    "Clear",
    "Dismiss",
    "Panic",
    "Kill",
    "Freeze",
];

impl<T> Trial<T> {
    /// How the pipeline was when the service answered the flow last.
    ///
    /// # Panics
    /// When it never did, or there was no pipeline.
    pub fn last(&self) -> &PipelineView {
        let last = self.history.iter().rfind(|moment| moment.request.is_some()).expect("a request");
        last.view.as_ref().expect("a pipeline")
    }

    /// How the pipeline was when the service showed it to the flow last.
    ///
    /// # Panics
    /// When it never did, or there was no pipeline.
    pub fn last_look(&self) -> &PipelineView {
        let is_look = |moment: &&Moment| {
            moment.request.as_ref().is_some_and(|(method, target, _)| method == "GET" && !target.ends_with("/stats"))
        };
        let look = self.history.iter().rfind(is_look).expect("a poll");
        look.view.as_ref().expect("a pipeline")
    }

    /// Whether the rival did anything meanwhile.
    pub fn is_contested(&self) -> bool {
        self.history.iter().any(|moment| moment.request.is_none())
    }

    /// Whether requests or answers were on their way for so long that the time can have been up: each one 40 s at the
    /// most.
    pub fn is_slow(&self) -> bool {
        self.faults.iter().filter(|fault| fault.starts_with("Delay")).count() > 2
    }

    /// Whether no client but the flow did anything, no reply was lost, and none was so late that the time can have been
    /// up: then it has to end without an error, unless it cannot.
    pub fn is_untouched(&self) -> bool {
        !self.lost && !self.is_contested() && !self.is_slow()
    }

    /// Whether the pipeline was so at a moment since the flow began.
    pub fn ever(&self, so: impl FnMut(&PipelineView) -> bool) -> bool {
        self.history.iter().filter_map(|moment| moment.view.as_ref()).any(so)
    }

    /// The requests of the flow that changed something, or were to: method, target, status.
    pub fn wishes(&self) -> Vec<(&str, &str, u16)> {
        let requests = self.history.iter().filter_map(|moment| moment.request.as_ref());
        let requests = requests.map(|(method, target, status)| (method.as_str(), target.as_str(), *status));
        requests.filter(|(method, ..)| *method != "GET").collect()
    }
}

/// Faults after which the outcome is still known: connections that fail, and refusals.
pub fn polite(seed: u64) -> FaultPlan {
    FaultPlan::seeded(seed).chance(FaultKind::NotSent, 0.2).chance(FaultKind::TooManyRequests, 0.1)
}

/// Everything, requests too that are carried out long after the flow has given up waiting for their answers.
pub fn hostile(seed: u64) -> FaultPlan {
    FaultPlan::hostile(seed).chance(FaultKind::DelayRequest, 0.06)
}

/// What a rival does who knows no better: so many acts within the next three seconds. None at once, which would be
/// before the flow begins, and of which its trial would know nothing.
pub fn rivalry(seed: u64, acts: u64) -> Vec<(u64, Act)> {
    let mut seed = Seed::new(u128::from(seed));
    let act = |seed: &mut Seed| match seed.below(16) {
        0 | 1 => Act::Start,
        2 => Act::StartPaused,
        3 | 4 => Act::Stop,
        5 => Act::Suspend,
        6 => Act::Pause,
        7 => Act::Resume,
        8 => Act::Edit(SQL),
        13 => Act::Edit(OTHER_SQL),
        14 => Act::Edit(BAD_SQL),
        9 => Act::Clear,
        10 => Act::Dismiss,
        11 => Act::Panic,
        12 => Act::Kill,
        _ => Act::Freeze(seed.below(8000)),
    };
    (0..acts).map(|_| (1 + seed.below(3000), act(&mut seed))).collect()
}

/// A driver that polls too often, too early, too late, and with another flow's replies.
pub fn schedule(seed: u64) -> Schedule {
    let mut draw = Seed::new(u128::from(seed));
    Schedule::new((0..24).map(|_| match draw.below(5) {
        0 => Turn::Prompt,
        1 => Turn::Again(2),
        2 => Turn::Stray,
        3 => Turn::Early(50),
        _ => Turn::Late(Duration::from_millis(draw.below(3000))),
    }))
}
