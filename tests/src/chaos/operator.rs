//! An operator: it runs goals, is killed from time to time, and resumes from the last saved state.

use std::fmt::{self, Debug, Write as _};

use http::Method;
use pipewright::Seed;
use pipewright::driver::{Clock as _, Transport as _};
use pipewright::error::FlowError;
use pipewright::flink::Flink;
use pipewright::flow::{Exchange, Flow, Goal, Notice, SavedState, Step};
use pipewright_ureq::Ureq;

/// How often an operator resumes a goal while things still go wrong.
const RESUMPTIONS: usize = 3;

/// How one process ended.
#[derive(Debug)]
pub enum Ending<T> {
    /// It was killed.
    Killed,
    /// The flow ended.
    Ended(Result<T, FlowError>),
}

/// The outcome of a goal after its last resumption.
#[derive(Debug)]
pub struct Outcome<T> {
    /// The last result.
    pub result: Result<T, FlowError>,
    /// The state that was saved last; `None` if none was.
    pub saved: Option<SavedState>,
    /// How often the process was killed.
    pub kills: usize,
    /// The errors that a resumption followed.
    pub errors: Vec<FlowError>,
    /// All that was told on the way, as text: results, errors, saved states.
    pub told: String,
}

impl<T> Outcome<T> {
    /// Returns how many errors on the way said that an outcome is unknown.
    pub fn cleared(&self) -> usize {
        self.errors.iter().filter(|error| error.is_ambiguous()).count()
    }
}

/// Carries goals out.
pub struct Operator<'a> {
    /// The client, which may go through a proxy.
    pub flink: &'a Flink<Ureq>,
    /// Where the process is killed.
    pub seed: Seed,
    /// How many of ten processes are killed.
    pub kills_of_ten: u64,
    /// Is called before the last resumption: it ends what goes wrong.
    pub calm: &'a dyn Fn(),
    /// Shows a line.
    pub log: &'a dyn Fn(String),
}

impl fmt::Debug for Operator<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operator").field("flink", &self.flink).finish_non_exhaustive()
    }
}

impl Operator<'_> {
    /// Carries out the goal that `make` gives, from the saved state if there is one: kills and resumes it while things
    /// go wrong, and once more after that if it has not succeeded. `check` sees every error at once.
    ///
    /// # Errors
    /// Of the outcome: those of the last flow.
    pub fn carry_out<G>(
        &mut self,
        what: &str,
        make: impl Fn(Option<&SavedState>) -> Result<G, FlowError>,
        check: impl Fn(&FlowError),
    ) -> Outcome<G::Output>
    where
        G: Goal<Service = pipewright::flink::FlinkRest>,
        G::Output: Debug,
    {
        let (mut saved, mut kills, mut errors, mut told) = (None, 0, Vec::new(), String::new());
        for round in 0.. {
            let last = round >= RESUMPTIONS;
            if last {
                (self.calm)();
            }
            let goal = match make(saved.as_ref()) {
                Ok(goal) => goal,
                Err(error) => return Outcome { result: Err(error), saved, kills, errors, told },
            };
            let flow = goal.start(self.flink.config(), self.flink.seed());
            let kill = Kill::draw(&mut self.seed);
            let killed = !last && self.seed.below(10) < self.kills_of_ten;
            let ending = drive(self.flink, flow, killed.then_some(kill), &mut saved, |notice| {
                (self.log)(format!("{what}: {notice}"));
            });
            if let Some(saved) = &saved {
                told.push_str(&saved.state);
            }
            match ending {
                Ending::Killed => {
                    (self.log)(format!("{what}: KILLED, {kill:?}"));
                    kills += 1;
                }
                Ending::Ended(result) => {
                    let _ = write!(told, "{result:?}");
                    if let Err(error) = &result {
                        (self.log)(format!("{what}: ERROR {error}"));
                        told.push_str(&error.to_string());
                        check(error);
                    }
                    match result {
                        // Without a state nothing can be resumed: what is not known stays unknown.
                        Err(error) if !last && (saved.is_some() || !error.is_ambiguous()) => errors.push(error),
                        result => return Outcome { result, saved, kills, errors, told },
                    }
                }
            }
        }
        unreachable!("the last round returns")
    }
}

/// When a process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kill {
    /// At a step: a request counts before it is sent and after it was carried out, its answer being lost then, and a
    /// notice counts before it is delivered.
    AtStep(u64),
    /// At the nth request that changes a job.
    AtChange {
        /// Counted from 0.
        nth: u64,
        /// Whether the request is carried out before.
        carried_out: bool,
    },
}

impl Kill {
    fn draw(seed: &mut Seed) -> Self {
        if seed.below(2) == 0 {
            return Self::AtChange { nth: seed.below(3) / 2, carried_out: seed.below(3) > 0 };
        }
        // Early steps more often: most flows are short.
        let latest = 1 + seed.below(120);
        Self::AtStep(seed.below(latest))
    }
}

/// What a process has done.
#[derive(Default)]
struct Life {
    kill: Option<Kill>,
    steps: u64,
    changes: u64,
}

impl Life {
    /// Counts a step, and says whether the process is killed there.
    fn step(&mut self) -> bool {
        self.steps += 1;
        matches!(self.kill, Some(Kill::AtStep(at)) if self.steps > at)
    }

    /// The same at a request.
    fn request(&mut self, exchange: &Exchange, was_carried_out: bool) -> bool {
        let info = exchange.info();
        let is_change = info.method != Method::GET && !matches!(info.name, "uploadJar" | "generatePlanFromJar");
        if is_change && was_carried_out {
            self.changes += 1;
        }
        let nth = self.changes.checked_sub(u64::from(was_carried_out));
        let at_change = matches!(self.kill, Some(Kill::AtChange { nth: at, carried_out })
            if is_change && carried_out == was_carried_out && nth == Some(at));
        self.step() || at_change
    }
}

/// Drives a flow to its end, or until its process is killed.
pub fn drive<F: Flow>(
    flink: &Flink<Ureq>,
    mut flow: F,
    kill: Option<Kill>,
    saved: &mut Option<SavedState>,
    mut show: impl FnMut(&Notice),
) -> Ending<F::Output> {
    let (mut reply, mut life) = (None, Life { kill, ..Life::default() });
    loop {
        match flow.poll(flink.runtime().now(), reply.take()) {
            Step::Send(exchange) => {
                if life.request(&exchange, false) {
                    return Ending::Killed;
                }
                let answer = flink.runtime().send(&exchange);
                if life.request(&exchange, true) {
                    return Ending::Killed;
                }
                reply = Some(exchange.settle(answer));
            }
            Step::Notice(notice) => {
                if life.step() {
                    return Ending::Killed;
                }
                show(&notice);
                if let Notice::Persist(state) = notice {
                    // What a new process reads back from its disk.
                    let text = serde_json::to_string(&state).unwrap_or_default();
                    *saved = serde_json::from_str(&text).ok();
                }
            }
            Step::WaitUntil(at) | Step::InFlight { until: at } => flink.runtime().sleep_until(at),
            Step::Done(result) => return Ending::Ended(result),
            Step::Authorize(_) | Step::Stray(_) => {
                let reason = "the flow asks for a credential, or does not know its own reply";
                return Ending::Ended(Err(FlowError::Stopped(reason.to_owned())));
            }
        }
    }
}
