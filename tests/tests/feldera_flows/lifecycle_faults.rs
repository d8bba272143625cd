//! The flows about the life of a pipeline in virtual time, with random faults and a second client. Each flow ends in
//! time, and reports what happened.

use std::cell::RefCell;

use pipewright::driver::NoCredentials;
use pipewright::error::{FlowError, ServiceError};
use pipewright::feldera::pipelines::Pipeline;
use pipewright::feldera::{
    ApproveBootstrap, ClearStorage, Compile, Deploy, Deployed, EnsurePaused, EnsureRunning, ErrorCode, FelderaApi,
    Interruption, Stop, Stopped, error_code,
};
use pipewright::flow::Goal;
use pipewright_mock::FaultPlan;
use pipewright_mock::feldera::{CompilerFailure, Config, Edition, PipelineView, Release};
use pipewright_mock::schedule::Schedule;
use pipewright_tests::rival_client::{
    ACTS, Act, BAD_SQL, Coverage, FAULTS, LIMIT, Moment, OTHER_SQL, RELEASES, RivalScene, SQL, Trial, hostile, polite,
    rivalry, schedule,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// What the pipeline is like when a flow begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setting {
    /// Its program is being compiled.
    Compiling,
    /// Its program does not compile.
    Broken,
    /// The platform failed to compile its program, and would not fail now.
    Uncompiled,
    /// Compiled, and never started.
    Compiled,
    /// About to start as running.
    Starting,
    Running,
    Paused,
    /// About to be stopped.
    Stopping,
    /// Stopped, with something in storage.
    Used,
    /// Stopped by an error.
    Crashed,
    /// A client has to approve the start.
    Awaiting,
}

const SETTINGS: [Setting; 11] = [
    Setting::Compiling,
    Setting::Broken,
    Setting::Uncompiled,
    Setting::Compiled,
    Setting::Starting,
    Setting::Running,
    Setting::Paused,
    Setting::Stopping,
    Setting::Used,
    Setting::Crashed,
    Setting::Awaiting,
];

/// A release, an edition, and what the pipeline is like.
#[derive(Clone, Copy, Debug)]
struct Start {
    release: Release,
    enterprise: bool,
    setting: Setting,
}

/// Draws a start. No start needs an approval before 0.164.
fn start() -> impl Strategy<Value = Start> {
    (0..Release::ALL.len(), any::<bool>(), 0..SETTINGS.len()).prop_map(|(release, enterprise, setting)| {
        let (release, setting) = (Release::ALL[release], SETTINGS[setting]);
        let has_approval = release >= Release::V0_337 || setting != Setting::Awaiting;
        Start { release, enterprise, setting: if has_approval { setting } else { Setting::Running } }
    })
}

fn scene(seed: u64, Start { release, enterprise, setting }: Start) -> RivalScene {
    // Approval is about checkpoints, and only the enterprise edition makes any.
    let enterprise = enterprise || setting == Setting::Awaiting;
    let edition = if enterprise { Edition::Enterprise } else { Edition::OpenSource };
    let scene = RivalScene::new(seed, Config { release, edition, ..Config::default() });
    let then = |acts: &[Act]| {
        for act in acts {
            scene.now(act.clone());
            scene.pass(5000);
        }
    };
    if setting == Setting::Uncompiled {
        let full = CompilerFailure::System("No space left on device (os error 28)".to_owned());
        scene.with(|manager| manager.fail_compilations(full));
    }
    scene.put(if setting == Setting::Broken { BAD_SQL } else { SQL });
    if setting == Setting::Compiling {
        return scene;
    }
    scene.pass(5000);
    scene.with(|manager| manager.fail_compilations(None));
    match setting {
        Setting::Compiling | Setting::Broken | Setting::Uncompiled | Setting::Compiled => {}
        Setting::Starting => scene.now(Act::Start),
        Setting::Running => then(&[Act::Start]),
        Setting::Paused => then(&[Act::StartPaused]),
        Setting::Stopping => {
            then(&[Act::Start]);
            scene.now(Act::Stop);
        }
        Setting::Used => then(&[Act::Start, Act::Stop]),
        Setting::Crashed => then(&[Act::Start, Act::Panic]),
        Setting::Awaiting => then(&[Act::Start, Act::Suspend, Act::Edit(OTHER_SQL), Act::Start]),
    }
    scene
}

fn same(told: &Pipeline, view: &PipelineView) -> bool {
    told.deployment_status.as_str() == view.status
        && told.deployment_desired_status.as_ref().is_some_and(|desired| desired.as_str() == view.desired_status)
        && (told.deployment_id == view.deployment_id || told.deployment_resources_status.is_none())
        && told.storage_status.as_ref().is_some_and(|storage| storage.as_str() == view.storage)
        && told.program_status.as_ref().is_some_and(|status| status.as_str() == view.program_status)
        && told.program_version == i64::try_from(view.program_version).ok()
        && told.deployment_error.is_some() == view.error.is_some()
}

/// Whether the service refuses for a reason of its own: it lacks the edition, or the pipeline is not there.
fn is_final(error: &FlowError) -> bool {
    matches!(error.service().and_then(error_code), Some(ErrorCode::EnterpriseFeature))
}

/// Whether a stop failed because only the enterprise edition can make its checkpoint, and the service has said so to a
/// stop that was not forced.
fn needs_enterprise<T>(trial: &Trial<T>, error: &FlowError) -> bool {
    let FlowError::Failed(failure) = error else { return false };
    let is_rejected = |(method, target, status): &(String, String, u16)| {
        method == "POST" && target.ends_with("/stop") && *status == 501
    };
    failure.what.starts_with("stop ")
        && failure.reason.starts_with("only the enterprise edition makes checkpoints")
        && error.evidence::<ServiceError>().and_then(error_code) == Some(ErrorCode::EnterpriseFeature)
        && trial.history.iter().filter_map(|moment| moment.request.as_ref()).any(is_rejected)
}

/// What a flow says that it ended with, held against what really happened. Nothing but slow answers takes so long that
/// the time is up.
fn assert_honest<T: std::fmt::Debug>(trial: &Trial<T>, error: &FlowError) {
    let at_rest = |view: &PipelineView| view.status == "Stopped" && view.desired_status == "Stopped";
    let truth = match Interruption::of(error) {
        Some(Interruption::Crashed(told)) => {
            trial.ever(|view| view.error.as_ref().is_some_and(|error| error["error_code"] == told.error_code.as_str()))
        }
        Some(Interruption::Stopped) => trial.ever(at_rest),
        Some(Interruption::Overruled { desired }) => trial.ever(|view| view.desired_status == desired.as_str()),
        Some(Interruption::Replaced { was, is }) => {
            let seen = |id: &str| trial.ever(|view| view.deployment_id.as_deref() == Some(id));
            was != is && seen(was) && seen(is)
        }
        Some(Interruption::Edited { was, is }) => {
            let seen = |version: i64| trial.ever(|view| i64::try_from(view.program_version) == Ok(version));
            was != is && seen(*is) && (seen(*was) || *was < *is)
        }
        Some(Interruption::NotCompiled { status, error }) => {
            error.sql_errors().all(|message| message.start_line_number.is_some_and(|line| line > 0))
                && trial.ever(|view| view.program_status == status.as_str())
        }
        Some(Interruption::CompilerFailed { status, error, since }) => {
            error.system_error.is_some()
                && since.is_some()
                && trial.ever(|view| view.program_status == status.as_str() && view.program_status == "SystemError")
        }
        Some(Interruption::AwaitingApproval) => trial.ever(|view| view.status == "AwaitingApproval"),
        Some(Interruption::StorageInUse) => {
            trial.ever(|view| view.storage == "InUse" || view.desired_status != "Stopped")
        }
        Some(other) => panic!("not about a pipeline's life: {other:?}"),
        None => match error {
            FlowError::Ambiguous(_) => trial.lost || trial.is_contested(),
            FlowError::Failed(failure) => {
                let is_unconfirmed = failure.reason.contains("but its process");
                needs_enterprise(trial, error) || is_unconfirmed && !trial.faults.is_empty()
            }
            FlowError::Deadline { .. } => trial.is_slow(),
            FlowError::Transport(_) | FlowError::Service(_) => {
                trial.lost || trial.is_contested() || !trial.faults.is_empty() || is_final(error)
            }
            _ => false,
        },
    };
    assert!(truth, "{error:?} is not what happened: {:#?}", trial.history);
}

/// Storage that was cleared once is not cleared again, unless a poll in between showed no process that could have used
/// it.
fn assert_nothing_new_is_cleared(trial: &Trial<Pipeline>) {
    // A late request arrives when no client expects it any more.
    if trial.faults.iter().any(|fault| fault == "DelayRequest") {
        return;
    }
    let deployments = |moment: &Moment| moment.view.as_ref().map(|view| view.deployments);
    let storage = |moment: &Moment| moment.view.as_ref().map(|view| view.storage.clone());
    let mut cleared = None;
    for pair in trial.history.windows(2) {
        let Some((method, target, _)) = &pair[1].request else { continue };
        if target.ends_with("/clear") && storage(&pair[0]).is_some_and(|was| was == "InUse") {
            let clears = storage(&pair[1]).is_some_and(|is| is == "Clearing");
            assert!(!clears || cleared.is_none(), "cleared again: {:#?}", trial.history);
            cleared = if clears { Some(deployments(&pair[1])) } else { cleared };
        } else if method == "GET" && cleared == Some(deployments(&pair[1])) {
            cleared = None;
        }
    }
}

/// Runs a goal, and holds whatever it says against what happened. `reached` says whether a pipeline is as it should be.
fn judge<G>(scene: &RivalScene, plan: FaultPlan, goal: G, reached: impl Fn(&PipelineView) -> bool) -> Trial<Pipeline>
where
    G: Goal<Service = FelderaApi, Output: Tells>,
{
    let trial = scene.run(plan, goal);
    let Trial { result, history, lost, faults } = trial;
    let trial = Trial { result: result.map(Tells::tell), history, lost, faults };
    match &trial.result {
        Ok(told) => {
            let looked = trial.last_look();
            assert!(same(told, looked), "{told:?} is not {looked:?}");
            assert!(reached(looked), "not reached: {looked:?}");
        }
        Err(error) => assert_honest(&trial, error),
    }
    trial
}

/// The result of a goal, as a pipeline.
trait Tells {
    fn tell(self) -> Pipeline;
}

impl Tells for Pipeline {
    fn tell(self) -> Pipeline {
        self
    }
}

impl Tells for Deployed {
    fn tell(self) -> Pipeline {
        self.pipeline
    }
}

impl Tells for Stopped {
    fn tell(self) -> Pipeline {
        self.pipeline
    }
}

/// The goals, by number, with what they are to reach.
fn try_goal(scene: &RivalScene, plan: FaultPlan, goal: usize) -> (Trial<Pipeline>, fn(&PipelineView) -> bool) {
    let is = |status: &'static str| move |view: &PipelineView| view.status == status && view.desired_status == status;
    let (trial, reached): (_, fn(&PipelineView) -> bool) = match goal {
        0 => {
            let reached = |view: &PipelineView| view.program_status == "Success";
            (judge(scene, plan, Compile::new("p").timeout(LIMIT), reached), reached)
        }
        1 => {
            let reached = |view: &PipelineView| view.status == "Running" && view.desired_status == "Running";
            (judge(scene, plan, EnsureRunning::new("p").timeout(LIMIT), is("Running")), reached)
        }
        2 => {
            let reached = |view: &PipelineView| view.status == "Paused" && view.desired_status == "Paused";
            (judge(scene, plan, EnsurePaused::new("p").timeout(LIMIT), is("Paused")), reached)
        }
        3 => {
            let reached = |view: &PipelineView| view.status == "Stopped" && view.desired_status == "Stopped";
            (judge(scene, plan, Stop::new("p").timeout(LIMIT), is("Stopped")), reached)
        }
        4 => {
            let reached = |view: &PipelineView| view.status == "Stopped" && view.desired_status == "Stopped";
            (judge(scene, plan, Stop::forced("p").timeout(LIMIT), is("Stopped")), reached)
        }
        5 => {
            let reached = |view: &PipelineView| view.storage == "Cleared";
            let trial = judge(scene, plan, ClearStorage::new("p").timeout(LIMIT), reached);
            assert_nothing_new_is_cleared(&trial);
            (trial, reached)
        }
        6 => {
            let reached = |view: &PipelineView| view.status == "Running" && view.desired_status == "Running";
            let goal = Deploy::new("p", OTHER_SQL).force_stop(true).timeout(LIMIT);
            let trial = judge(scene, plan, goal, is("Running"));
            if let Ok(told) = &trial.result
                && scene.view().is_some_and(|view| {
                    Some(view.program_version) == told.program_version.and_then(|is| u64::try_from(is).ok())
                })
            {
                assert_eq!(scene.code(), OTHER_SQL);
            }
            (trial, reached)
        }
        7 => {
            let reached = |view: &PipelineView| view.status == "Paused" && view.desired_status == "Paused";
            let goal = Deploy::new("p", SQL).paused(true).recompile(true).timeout(LIMIT);
            (judge(scene, plan, goal, is("Paused")), reached)
        }
        _ => {
            let reached = |view: &PipelineView| {
                view.status == view.desired_status && ["Running", "Paused"].contains(&&*view.status)
            };
            (judge(scene, plan, ApproveBootstrap::new("p").timeout(LIMIT), reached), reached)
        }
    };
    // What is said to be up has answered after the poll that showed it.
    let claims_up = matches!(goal, 1 | 2 | 6..) && trial.result.is_ok();
    assert!(!claims_up || trial.last().answers, "its process does not answer: {:#?}", trial.history);
    (trial, reached)
}

const GOALS: usize = 9;

const NAMES: [&str; GOALS] = [
    "Compile",
    "EnsureRunning",
    "EnsurePaused",
    "Stop",
    "StopForced",
    "ClearStorage",
    "Deploy",
    "DeployPaused",
    "Approve",
];

/// What comes of a goal whose driver keeps to a schedule: `None` for success.
fn scheduled(scene: &RivalScene, goal: usize, schedule: &Schedule) -> Option<String> {
    fn run<G: Goal<Service = FelderaApi>>(scene: &RivalScene, goal: G, schedule: &Schedule) -> Option<String> {
        let flow = goal.start(scene.feldera.config(), scene.feldera.seed());
        scene.world.run_with_schedule(flow, &NoCredentials, schedule).err().map(|error| kind(&error))
    }
    match goal {
        0 => run(scene, Compile::new("p"), schedule),
        1 => run(scene, EnsureRunning::new("p"), schedule),
        2 => run(scene, EnsurePaused::new("p"), schedule),
        3 => run(scene, Stop::new("p"), schedule),
        4 => run(scene, Stop::forced("p"), schedule),
        5 => run(scene, ClearStorage::new("p"), schedule),
        6 => run(scene, Deploy::new("p", OTHER_SQL).force_stop(true), schedule),
        7 => run(scene, Deploy::new("p", SQL).paused(true).recompile(true), schedule),
        _ => run(scene, ApproveBootstrap::new("p"), schedule),
    }
}

/// What the result has to be without other clients and lost answers: `None` for success.
fn expected(goal: usize, Start { enterprise, setting, .. }: Start) -> Option<&'static str> {
    use Setting::{
        Awaiting, Broken, Compiled, Compiling, Crashed, Paused, Running, Starting, Stopping, Uncompiled, Used,
    };
    match (goal, setting) {
        (0..=2, Broken) => Some("NotCompiled"),
        (0..=2, Uncompiled) => Some("CompilerFailed"),
        (3, Starting | Running | Paused) if !enterprise => Some("EnterpriseFeature"),
        (5, Starting | Running | Paused | Awaiting) => Some("StorageInUse"),
        // A process that awaits approval makes no checkpoint either.
        (1..=3 | 6 | 7, Awaiting) => Some("AwaitingApproval"),
        (8, Compiling | Broken | Uncompiled | Compiled | Stopping | Used) => Some("Stopped"),
        (8, Crashed) => Some("Crashed"),
        _ => None,
    }
}

fn kind(error: &FlowError) -> String {
    match Interruption::of(error) {
        Some(interruption) => {
            let text = format!("{interruption:?}");
            text.split([' ', '(']).next().unwrap_or_default().to_owned()
        }
        None => match error.service().and_then(error_code) {
            Some(code) => code.to_string(),
            None => format!("{error:?}"),
        },
    }
}

/// 256 cases, or as many as `PROPTEST_CASES` says.
fn cases() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    /// Without other clients and lost answers, it succeeds, unless it cannot, and stays so.
    #[test]
    fn every_flow_succeeds_undisturbed(
        seed: u64, goal in 0..GOALS, start in start(), faults in 0_u64..12,
    ) {
        let scene = scene(seed, start);
        let (trial, reached) = try_goal(&scene, polite(seed).at_most(faults), goal);
        prop_assert!(!trial.lost);
        let expected = expected(goal, start);
        let ended = trial.result.as_ref().err().map(kind);
        prop_assert_eq!(ended.as_deref(), expected, "{:?}", trial.result);
        scene.pass(10_000);
        let view = scene.view().expect("it is there");
        prop_assert!(expected.is_some() || reached(&view), "it did not stay so: {:?}", view);
    }

    /// A driver may poll too often, too late, and with another flow's replies: the result is the same.
    #[test]
    fn no_driver_confuses_a_lifecycle_flow(
        seed: u64, goal in 0..GOALS, start in start(), faults in 0_u64..6,
    ) {
        let scene = scene(seed, start);
        let trial = scene.trial(polite(seed).at_most(faults), |_| Ok(scheduled(&scene, goal, &schedule(seed))));
        let ended = trial.result.expect("it ends");
        prop_assert_eq!(ended.as_deref(), expected(goal, start));
    }

    /// No other client is there, but replies are lost: all these requests can be repeated, so that it succeeds all the
    /// same.
    #[test]
    fn a_lost_reply_changes_nothing(
        seed: u64, goal in 0..GOALS, start in start(), faults in 0_u64..6,
    ) {
        let scene = scene(seed, start);
        let (trial, _) = try_goal(&scene, FaultPlan::hostile(seed).at_most(faults), goal);
        // A rejection after an attempt without an answer leaves the outcome unknown.
        let is_ambiguous = trial.result.as_ref().is_err_and(FlowError::is_ambiguous);
        if trial.lost && expected(goal, start).is_some() && is_ambiguous {
            return Ok(());
        }
        let ended = trial.result.as_ref().err().map(kind);
        prop_assert_eq!(ended.as_deref(), expected(goal, start), "{:?}", trial.result);
    }
}

/// Whatever a second client does and whatever goes wrong. Prints how often which of it met which flow.
#[test]
fn every_lifecycle_flow_tells_the_truth() {
    // Enough for everything to meet every flow.
    let config = ProptestConfig { cases: cases().cases * 2, ..cases() };
    let coverage = RefCell::new(Coverage::default());
    let case = (any::<u64>(), start(), 0_u64..12, 0_u64..12);
    let mut runner = TestRunner::new(config.clone());
    let result = runner.run(&case, |(seed, start, faults, acts)| {
        for (goal, name) in NAMES.iter().enumerate() {
            let scene = scene(seed, start);
            scene.rival(rivalry(seed, acts));
            let (trial, _) = try_goal(&scene, hostile(seed.wrapping_add(goal as u64)).at_most(faults), goal);
            coverage.borrow_mut().add(name, start.release, &trial);
            if trial.is_untouched() {
                let ended = trial.result.as_ref().err().map(kind);
                prop_assert_eq!(ended.as_deref(), expected(goal, start), "{:?}", trial.result);
            }
        }
        Ok(())
    });
    coverage.into_inner().conclude(result, config.cases >= 512, &[&FAULTS[..], &ACTS, &RELEASES].concat());
}

#[test]
fn the_open_source_edition_names_the_way_out() {
    let start = Start { release: Release::V0_337, enterprise: false, setting: Setting::Running };
    let scene = scene(1, start);
    let error = scene.run(FaultPlan::none(), Stop::new("p")).result.expect_err("no checkpoints");
    assert_eq!(error.service().and_then(error_code), Some(ErrorCode::EnterpriseFeature));
    assert!(error.to_string().contains("Stop::forced"), "{error}");
    assert_eq!(scene.view().expect("it is there").status, "Running", "nothing was stopped");
    let stopped = scene.run(FaultPlan::none(), Stop::new("p").or_forced()).result.expect("by force");
    assert_eq!(stopped.checkpoint, None);
}
