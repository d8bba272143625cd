//! The goal [`Profile`].
//!
//! ```text
//!  Before ──▶ Start ──answered────▶ Wait ──▶ List ──finished──▶ Fetch ──▶ done
//!              ▲ │                    ▲       │ └──failed, or no longer listed──▶ failed
//!              │ └─ambiguous─▶ Lookup └───────┘ running
//!              │                │ └─there──▶ Wait
//!              └──not there─────┘ a few times, then ambiguous
//! ```
//!
//! A profile has no id, only the time of its start by the server's clock. So the flow reads the list of profiles before
//! it sends the request. After a request without an answer, a new profile in the list with the same mode and duration
//! is the requested profile. A process takes one profile at a time, so a repeated request starts no second profile.

use std::ops::ControlFlow;
use std::time::Duration;

use super::PollInterval;
use crate::error::{Ambiguity, FlowError};
use crate::flink::profiler::{
    GetJobManagerProfile, GetTaskManagerProfile, ListJobManagerProfiles, ListTaskManagerProfiles, ProfileInfo,
    ProfileMode, ProfilePage, ProfileStatus, Profiles, StartJobManagerProfile, StartTaskManagerProfile,
};
use crate::flink::tuning::MAX_PROFILE_LOOKUPS;
use crate::flink::{FlinkRest, Millis, TaskManagerId};
use crate::flow::{Call, Flow, FlowContext, Notice, Reply, StateMachine, Step, Transition, done, goal};
use crate::operation::Operation as _;
use crate::time::Timestamp;

/// Profiles the JobManager or a TaskManager, waits for the result, and fetches it. Since 1.19. The cluster must set
/// `rest.profiling.enabled`.
///
/// # Errors
/// * [`FlowError::Service`] if the cluster rejects the request, for example while another profile of the process is
///   being taken.
/// * [`FlowError::Failed`] if the profile fails, for example because the machine does not offer the mode.
/// * [`FlowError::Ambiguous`] if no attempt to start the profile was answered, and the profile is not in the list or
///   the list cannot be read.
/// * [`FlowError::Deadline`] if the [`timeout`](Self::timeout) expires. The cluster continues the profile.
///
/// ```
/// use pipewright::flink::{Profile, profiler::ProfileMode};
/// let goal = Profile::job_manager(ProfileMode::Itimer, 10);
/// let goal = Profile::task_manager("127.0.0.1:45775-f84075", ProfileMode::Wall, 10);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct Profile {
    target: Option<TaskManagerId>,
    mode: ProfileMode,
    seconds: u32,
    timeout: Option<Duration>,
}

impl Profile {
    /// Profiles the JobManager for a number of seconds.
    pub fn job_manager(mode: ProfileMode, seconds: u32) -> Self {
        Self { target: None, mode, seconds, timeout: None }
    }

    /// Profiles a TaskManager for a number of seconds.
    pub fn task_manager(id: impl Into<TaskManagerId>, mode: ProfileMode, seconds: u32) -> Self {
        Self { target: Some(id.into()), mode, seconds, timeout: None }
    }
}

/// A finished profile.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Profiled {
    /// When and how the profile was taken.
    pub info: ProfileInfo,
    /// The profile itself, an HTML page.
    pub page: ProfilePage,
}

/// The transitions of [`Profile`].
#[derive(Debug)]
pub struct ProfileMachine {
    goal: Profile,
    /// The profiles in the list before the request.
    before: Vec<Millis>,
    lookups: u32,
    pace: PollInterval,
    state: State,
}

/// An operation on the JobManager, or the same operation on a TaskManager.
#[derive(Debug)]
enum Either<J, T> {
    Job(J),
    Task(T),
}

impl<J: Flow, T: Flow<Output = J::Output>> Flow for Either<J, T> {
    type Output = J::Output;

    fn poll(&mut self, now: Timestamp, reply: Option<Reply>) -> Step<J::Output> {
        match self {
            Self::Job(call) => call.poll(now, reply),
            Self::Task(call) => call.poll(now, reply),
        }
    }
}

type List = Either<Call<ListJobManagerProfiles>, Call<ListTaskManagerProfiles>>;
type Start = Either<Call<StartJobManagerProfile>, Call<StartTaskManagerProfile>>;
type Fetch = Either<Call<GetJobManagerProfile>, Call<GetTaskManagerProfile>>;

#[derive(Debug)]
enum State {
    Fresh,
    Before(List),
    Start(Start),
    Lookup(List, Ambiguity),
    Wait(Timestamp, Millis),
    List(List, Millis),
    Fetch(Fetch, ProfileInfo),
}

impl ProfileMachine {
    fn what(&self) -> String {
        match &self.goal.target {
            None => "profile of the JobManager".to_owned(),
            Some(id) => format!("profile of TaskManager {id}"),
        }
    }

    fn failed(&self, reason: String) -> FlowError {
        FlowError::failed(self.what(), reason)
    }

    /// Returns the error for a request of which an earlier attempt got no answer.
    fn unanswered(&self, cause: FlowError) -> Ambiguity {
        let operation = match &self.goal.target {
            None => StartJobManagerProfile::INFO.name,
            Some(_) => StartTaskManagerProfile::INFO.name,
        };
        Ambiguity { operation, cause: Box::new(cause), unanswered: true, found: None, evidence: None }
    }

    fn list(&self, cx: &mut FlowContext<FlinkRest>) -> List {
        match &self.goal.target {
            None => Either::Job(cx.call(ListJobManagerProfiles::new())),
            Some(id) => Either::Task(cx.call(ListTaskManagerProfiles::new(id.clone()))),
        }
    }

    fn start(&self, cx: &mut FlowContext<FlinkRest>) -> Start {
        let (mode, seconds) = (self.goal.mode.clone(), self.goal.seconds);
        match &self.goal.target {
            None => Either::Job(cx.call(StartJobManagerProfile::new(mode, seconds))),
            Some(id) => Either::Task(cx.call(StartTaskManagerProfile::new(id.clone(), mode, seconds))),
        }
    }

    fn fetch(&self, file: String, cx: &mut FlowContext<FlinkRest>) -> Fetch {
        match &self.goal.target {
            None => Either::Job(cx.call(GetJobManagerProfile::new(file))),
            Some(id) => Either::Task(cx.call(GetTaskManagerProfile::new(id.clone(), file))),
        }
    }

    /// Returns the new profile with the mode and duration of the request.
    fn ours(&self, profiles: &Profiles) -> Option<Millis> {
        let is_ours = |profile: &&ProfileInfo| {
            profile.mode == self.goal.mode
                && profile.duration == i64::from(self.goal.seconds)
                && !self.before.contains(&profile.trigger_time)
        };
        profiles.profiles.iter().find(is_ours).map(|profile| profile.trigger_time)
    }

    fn wait(&mut self, profile: Millis, cx: &mut FlowContext<FlinkRest>) {
        cx.phase(Self::NAME, "waiting for the profile");
        self.state = State::Wait(cx.now() + Duration::from_secs(self.goal.seconds.into()), profile);
    }
}

impl StateMachine for ProfileMachine {
    type Service = FlinkRest;
    type Output = Profiled;
    const NAME: &'static str = "Profile";
    const PHASES: &'static [&'static str] = &["starting the profile", "waiting for the profile"];

    fn transition(&mut self, cx: &mut FlowContext<FlinkRest>) -> Transition<Profiled> {
        match &mut self.state {
            State::Fresh => self.state = State::Before(self.list(cx)),
            State::Before(call) => match cx.poll(call)? {
                Ok(list) => {
                    self.before = list.profiles.iter().map(|profile| profile.trigger_time).collect();
                    cx.phase(Self::NAME, "starting the profile");
                    self.state = State::Start(self.start(cx));
                }
                Err(error) => return done(Err(error)),
            },
            State::Start(call) => match cx.poll(call)? {
                Ok(profile) => self.wait(profile.trigger_time, cx),
                Err(FlowError::Ambiguous(lost)) => {
                    self.lookups += 1;
                    cx.phase(Self::NAME, "looking for the profile");
                    self.state = State::Lookup(self.list(cx), lost);
                }
                // The process is busy, perhaps with the profile that an unanswered attempt has started.
                Err(FlowError::Service(error)) if self.lookups > 0 && self.lookups <= MAX_PROFILE_LOOKUPS => {
                    self.lookups += 1;
                    let lost = self.unanswered(error.into());
                    self.state = State::Lookup(self.list(cx), lost);
                }
                // The rejection is only about the last attempt. An earlier attempt may have started the profile.
                Err(error) if self.lookups > 0 => return done(Err(FlowError::Ambiguous(self.unanswered(error)))),
                Err(error) => return done(Err(error)),
            },
            State::Lookup(call, lost) => match cx.poll(call)? {
                Ok(profiles) => {
                    let mut lost = lost.clone();
                    match self.ours(&profiles) {
                        Some(profile) => self.wait(profile, cx),
                        None if self.lookups > MAX_PROFILE_LOOKUPS => {
                            lost.found = Some("the list has no new profile".to_owned());
                            return done(Err(FlowError::Ambiguous(lost)));
                        }
                        None => self.state = State::Start(self.start(cx)),
                    }
                }
                Err(error) => {
                    let mut lost = lost.clone();
                    lost.found = Some(format!("the list of profiles could not be read: {error}"));
                    return done(Err(FlowError::Ambiguous(lost)));
                }
            },
            State::Wait(until, profile) => {
                cx.wait(*until, "the profile")?;
                let profile = *profile;
                self.state = State::List(self.list(cx), profile);
            }
            State::List(call, wanted) => match cx.poll(call)? {
                Ok(list) => {
                    let wanted = *wanted;
                    let Some(info) = list.profiles.into_iter().find(|profile| profile.trigger_time == wanted) else {
                        return done(Err(self.failed(
                            "it is no longer listed: the process was restarted, or many newer profiles have replaced it"
                                .to_owned(),
                        )));
                    };
                    match (&info.status, &info.output_file) {
                        (ProfileStatus::Finished, Some(file)) => {
                            let what = self.what();
                            cx.say(Notice::Observed { what, state: format!("{} in {file}", info.status) });
                            self.state = State::Fetch(self.fetch(file.clone(), cx), info);
                        }
                        (ProfileStatus::Running, _) => {
                            let again = self.pace.next(cx.now());
                            self.state = State::Wait(again, wanted);
                        }
                        (status, _) => {
                            let why = info.message.as_deref().unwrap_or("the cluster gives no reason");
                            return done(Err(self.failed(format!("{why} ({status})"))));
                        }
                    }
                }
                Err(error) => return done(Err(error)),
            },
            State::Fetch(call, info) => {
                let page = cx.poll(call)?;
                let info = info.clone();
                return done(page.map(|page| Profiled { info, page }));
            }
        }
        ControlFlow::Continue(())
    }
}

impl From<Profile> for ProfileMachine {
    fn from(goal: Profile) -> Self {
        ProfileMachine { goal, before: Vec::new(), lookups: 0, pace: PollInterval::START, state: State::Fresh }
    }
}

goal!(Profile: FlinkRest => Profiled, ProfileMachine);
