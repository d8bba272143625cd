//! `WatchJobs`.

use std::collections::BTreeMap;
use std::time::Duration;

use pipewright::Seed;
use pipewright::driver::{NoCredentials, ignore_notices};
use pipewright::error::FlowError;
use pipewright::flink::jobs::JobState;
use pipewright::flink::{JobId, JobListEvent, RunJar, WatchJobs};
use pipewright::flow::{Goal as _, Notice};
use pipewright_mock::FaultPlan;
use pipewright_mock::flink::Program;
use proptest::prelude::*;

use super::{Scene, cases, hostile, is_honest};

/// Longer than all faults can hold a watch up.
const LONG: Duration = Duration::from_secs(3600);

/// What the events so far say of the jobs.
#[derive(Clone, Debug, Default)]
struct Told {
    jobs: BTreeMap<JobId, JobState>,
    gone: Vec<JobId>,
}

impl Told {
    /// Each event fits to those before it, and is true.
    fn check(&mut self, event: &JobListEvent, scene: &Scene) -> Result<(), TestCaseError> {
        match event {
            JobListEvent::Appeared(job) => {
                prop_assert!(self.jobs.insert(job.id, job.state.clone()).is_none(), "{event:?}");
            }
            JobListEvent::StateChanged { job, previous, .. } => {
                prop_assert!(
                    job.state != *previous && !job.state.is_terminal() && !previous.is_terminal(),
                    "{event:?}"
                );
                prop_assert_eq!(self.jobs.insert(job.id, job.state.clone()), Some(previous.clone()), "{:?}", event);
            }
            JobListEvent::Ended(job) => {
                prop_assert!(job.state.is_terminal(), "{event:?}");
                let last = self.jobs.insert(job.id, job.state.clone());
                prop_assert!(last.is_some_and(|last| last == job.state || !last.is_terminal()), "{event:?}");
                // A JobManager that was restarted since may have forgotten it, but it does not run again.
                prop_assert!(scene.job(job.id).is_none_or(|now| now.state == job.state.as_str()), "{event:?}");
            }
            JobListEvent::Gone { job, last_state, .. } => {
                prop_assert_eq!(self.jobs.remove(job), last_state.clone());
                prop_assert!(scene.job(*job).is_none(), "{event:?}");
                self.gone.push(*job);
            }
            event => prop_assert!(matches!(event, JobListEvent::AllEnded), "{event:?}"),
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(cases())]

    /// The program that watches dies after some events, and another one resumes.
    #[test]
    fn each_event_of_a_watched_cluster_is_true_and_fits_to_the_last_one(
        seed: u64,
        faults in 0_u64..60,
        failures in 0_u32..4,
        high_availability: bool,
        dies_after in prop::option::of(0_usize..8),
    ) {
        let scene = Scene::of(seed, true, high_availability);
        let slow = Program::bounded("slow", 6000).rate(100).fails_after(Duration::from_secs(4)).fails_times(failures);
        let programs = [slow.restarts(2), Program::bounded("short", 500).rate(100)];
        let submitted = programs.map(|program| scene.flink.run(RunJar::upload("job.jar", program.jar())));
        let jobs = submitted.map(|launched| launched.expect("nothing goes wrong yet").job);
        scene.world.set_faults(hostile(seed).at_most(faults));
        let mut watch = WatchJobs::all().until_all_ended().timeout(LONG).start(scene.flink.config(), Seed::new(7));
        // What was told when the last state was saved: a resumed flow continues from there.
        let (mut told, mut told_when_saved, mut saved, mut events) = (Told::default(), None, None, 0);
        let end = loop {
            if dies_after == Some(events) && let Some(state) = saved.take() {
                told = told_when_saved.take().expect("saved together");
                let resumed = WatchJobs::resume(&state).expect("its own state").timeout(LONG);
                watch = resumed.start(scene.flink.config(), Seed::new(8));
            }
            let keep = |notice| if let Notice::Persist(state) = notice {
                (saved, told_when_saved) = (Some(state), Some(told.clone()));
            };
            match pipewright::driver::run(&mut watch, &scene.world, &NoCredentials, keep) {
                Ok(event) => {
                    told.check(&event, &scene)?;
                    events += 1;
                    if event == JobListEvent::AllEnded {
                        break Ok(());
                    }
                }
                Err(error) => break Err(error),
            }
        };
        scene.world.set_faults(FaultPlan::none());
        scene.check();
        match end {
            Ok(()) => {
                for job in jobs {
                    let has_ended = told.jobs.get(&job).is_some_and(JobState::is_terminal);
                    // One that was lost before the first poll was never listed.
                    prop_assert!(has_ended || scene.job(job).is_none(), "{told:?}");
                }
                prop_assert!(told.gone.is_empty() || scene.may_lose_jobs() || scene.has_restarted(), "{told:?}");
                let after = pipewright::driver::run(&mut watch, &scene.world, &NoCredentials, ignore_notices);
                prop_assert!(matches!(after, Err(FlowError::Misuse(_))), "{after:?}");
            }
            Err(error) => prop_assert!(is_honest(&error), "{error:?}"),
        }
    }
}
