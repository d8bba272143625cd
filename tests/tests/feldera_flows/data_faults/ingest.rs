//! Ingested rows, and what the flow reports about each row.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use pipewright::Seed;
use pipewright::driver::{self, NoCredentials};
use pipewright::error::FlowError;
use pipewright::feldera::data::{DataFormat, HttpInput, UpdateFormat};
use pipewright::feldera::{AwaitCompletion, Feldera, Ingest, IngestEvent, IngestProgress};
use pipewright::flow::Goal as _;
use pipewright_mock::World;
use pipewright_mock::feldera::PipelineView;
use pipewright_tests::rival_client::{LIMIT, RivalScene, Trial};
use serde_json::json;

use super::{Case, PATIENCE, assert_honest, assert_success, data_rivalry, history, scene, told};

/// What is known of the rows that went into a session.
#[derive(Debug, Default)]
pub(super) struct Fate {
    /// How often each row came in, at the least and at the most.
    pub(super) times: BTreeMap<u64, (u64, u64)>,
    /// Rows that were said not to have come in, because they cannot be parsed.
    pub(super) rejected: BTreeSet<u64>,
    /// The last barrier that was passed.
    pub(super) passed: Option<IngestProgress>,
}

impl Fate {
    fn came_in(&mut self, rows: impl IntoIterator<Item = u64>, least: u64, most: u64) {
        for row in rows {
            let times = self.times.entry(row).or_default();
            *times = (times.0 + least, times.1 + most);
        }
    }
}

/// Which rows cannot be parsed.
pub(super) fn is_bad(row: u64) -> bool {
    row % 7 == 3
}

pub(super) fn push(ingestion: &mut pipewright::feldera::Ingestion, row: u64) -> bool {
    // Some rows say the same, so that errors have to be told apart.
    let row = if is_bad(row) { json!({"id": format!("bad {}", row / 14)}) } else { json!({"id": row}) };
    match ingestion.push(row) {
        Ok(_) => true,
        Err(error) => {
            assert!(error.is_full(), "{error}");
            false
        }
    }
}

/// Puts rows in, with a barrier in the middle; decides by the seed about unconfirmed rows.
pub(super) fn ingest(
    feldera: &Feldera<World>,
    seed: u64,
    rows: Range<u64>,
    goal: Ingest,
    fate: &mut Fate,
) -> Result<(), FlowError> {
    let mut draw = Seed::new(u128::from(seed));
    let mut ingestion = goal.start(feldera.config(), feldera.seed());
    let middle = draw.below(rows.end + 1);
    let mut next = rows.start;
    loop {
        while next < rows.end && ingestion.progress().pushed == next && push(&mut ingestion, next) {
            next += 1;
            if next == middle {
                ingestion.flush();
            }
        }
        if next == rows.end {
            ingestion.finish();
        }
        match driver::run(&mut ingestion, feldera.runtime(), &NoCredentials, driver::ignore_notices) {
            Ok(IngestEvent::Accepted(accepted)) => {
                assert!(!accepted.rows.clone().any(is_bad), "{accepted:?}");
                fate.came_in(accepted.rows, 1, 1);
            }
            Ok(IngestEvent::Rejected(rejected)) => {
                let chunk = rejected.chunk.rows();
                for row in rejected.rows.iter().filter_map(|rejected| rejected.row) {
                    assert!(chunk.contains(&row) && is_bad(row), "{rejected:?}");
                    fate.rejected.insert(row);
                }
                if let Some(ingested) = rejected.ingested() {
                    assert!(ingested.eq(chunk.clone().filter(|row| !is_bad(*row))), "{rejected:?}");
                }
                fate.came_in(chunk.filter(|row| !is_bad(*row)), 1, 1);
            }
            Ok(IngestEvent::Unconfirmed(unconfirmed)) => {
                fate.came_in(unconfirmed.chunk().rows().filter(|row| !is_bad(*row)), 0, 1);
                if draw.below(2) == 0 { ingestion.resend(unconfirmed) } else { ingestion.skip(unconfirmed) }
                    .expect("its own");
            }
            Ok(IngestEvent::Processed(progress)) => fate.passed = Some(progress),
            Ok(IngestEvent::Finished(progress)) => {
                fate.passed = Some(progress);
                assert_eq!((progress.pushed, progress.waiting, progress.waiting_bytes), (rows.end, 0, 0));
                assert_eq!(progress.accepted + progress.rejected + progress.skipped, rows.end);
                return Ok(());
            }
            Ok(_) => {}
            Err(error) => {
                let unsent: u64 = ingestion.take_unsent().iter().map(|chunk| chunk.len() as u64).sum();
                let progress = ingestion.progress();
                assert_eq!(progress.accepted + progress.rejected + progress.skipped + unsent, progress.pushed);
                return Err(error);
            }
        }
    }
}

/// Holds a session against the rows that really came in.
pub(super) fn judge(scene: &RivalScene, trial: &Trial<()>, fate: &Fate, rows: u64) {
    let taken = history(scene).taken;
    let ours: Vec<_> =
        taken.iter().filter_map(|taken| Some((taken.row["id"].as_u64().filter(|id| *id < rows)?, taken))).collect();
    for row in 0..rows {
        let count = ours.iter().filter(|(id, _)| *id == row).count() as u64;
        let (least, most) = fate.times.get(&row).copied().unwrap_or_default();
        assert!((least..=most).contains(&count), "row {row} came in {count} times, not {least} to {most}");
    }
    match &trial.result {
        Ok(()) if rows == 0 => {}
        Ok(()) => {
            // What took the newest rows has let them go through. It may be gone by now: one request has met one
            // process, whichever answers the poll afterwards.
            let since = fate.times.keys().max().copied().unwrap_or_default();
            for (_, taken) in ours.iter().filter(|(id, _)| *id == since) {
                let is_through = |view: &PipelineView| {
                    view.incarnation.as_ref() == Some(&taken.incarnation) && taken.step <= view.steps.1
                };
                assert!(trial.ever(is_through), "{taken:?} is not processed: {:#?}", trial.history);
            }
        }
        Err(error) => assert_honest(trial, error),
    }
}

pub(super) fn small(draw: u64) -> Ingest {
    let (chunk, buffer) = (20 + draw % 120, 160 + draw % 300);
    let size = |bytes: u64| usize::try_from(bytes).expect("small");
    let goal = Ingest::new("p", "t").chunk_bytes(size(chunk)).buffer_bytes(size(buffer));
    goal.stall_timeout(PATIENCE).timeout(LIMIT)
}

pub(super) fn rows_come_in_as_often_as_they_are_said_to(case: Case) -> Trial<()> {
    let scene = case.scene();
    let mut fate = Fate::default();
    let (seed, rows) = (case.seed, case.rows);
    let trial = scene.trial(case.plan(), |feldera| ingest(feldera, seed, 0..rows, small(seed), &mut fate));
    judge(&scene, &trial, &fate, rows);
    assert_success(&trial);
    trial
}

pub(super) fn what_is_complete_has_gone_through(case: Case) -> Trial<()> {
    let scene = scene(case.seed, case.release);
    let rows = HttpInput::new("p", "t", DataFormat::Json, "{\"id\":1}{\"id\":2}").update_format(UpdateFormat::Raw);
    let token = scene.feldera.call(rows).expect("nothing goes wrong yet").token;
    scene.rival(data_rivalry(case.seed, case.acts));
    let trial = scene.run(case.plan(), AwaitCompletion::new("p", token).stall_timeout(PATIENCE).timeout(LIMIT));
    match &trial.result {
        Ok(_) => {
            let (last, rows) = (trial.last(), history(&scene).taken);
            assert_eq!(Some(&rows[0].incarnation), last.incarnation.as_ref());
            assert!(rows[1].step <= last.steps.1);
        }
        Err(error) => assert_honest(&trial, error),
    }
    assert_success(&trial);
    told(trial)
}
