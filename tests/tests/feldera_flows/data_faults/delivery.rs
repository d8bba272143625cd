//! Rows that are ingested and read back through a subscription.

use std::collections::BTreeSet;
use std::time::Duration;

use pipewright::driver::Clock as _;
use pipewright::error::FlowError;
use pipewright::feldera::data::{DataFormat, HttpInput};
use pipewright::feldera::stream::{HttpOutput, RowChange};
use pipewright::feldera::{AwaitDelivery, DeliveryProof, Interruption, SentRows, Undelivered};
use pipewright_mock::feldera::{PipelineView, Release};
use pipewright_tests::rival_client::{LIMIT, Trial};
use serde_json::Value;

use super::{Case, PATIENCE, assert_honest, data_rivalry, history, scene, told};

/// Whatever happens, what is said to be delivered was read, and what is said to be completed is.
pub(super) fn what_is_delivered_was_read(case: Case) -> Trial<()> {
    let (scene, release) = (scene(case.seed, case.release), case.release);
    // Some read slowly, and then chunks are lost unless the pipeline waits.
    let output = HttpOutput::new("p", "v", DataFormat::Json).backpressure(case.is_odd);
    scene.rival(data_rivalry(case.seed, case.acts));
    let (mut read, mut sent, mut lost) = (BTreeSet::new(), 0..0, 0);
    let trial = scene.trial(case.plan(), |feldera| {
        let begun = feldera.runtime().now();
        let Ok(mut subscription) = feldera.subscribe(output) else { return Ok(None) };
        let mut newest = None;
        for request in 0..3 {
            let passed = feldera.runtime().now().since(begun);
            if passed > Duration::from_secs(if request == 0 { 60 } else { 10 }) {
                break;
            }
            let ids = request * 100..request * 100 + 1 + case.rows / 4;
            let rows: Vec<_> = ids.clone().map(|id| format!("{{\"insert\":{{\"id\":{id}}}}}\n")).collect();
            let rows = HttpInput::new("p", "t", DataFormat::Json, rows.concat());
            let goal = AwaitDelivery::ingest(rows, subscription.process().map(str::to_owned), subscription.progress());
            sent = ids;
            let result = subscription.run(
                goal.stall_timeout(PATIENCE).timeout(LIMIT.saturating_sub(Duration::from_secs(10) + passed)),
                |chunk| {
                    for change in chunk.changes::<Value>() {
                        if let RowChange::Insert(row) = change.expect("a row of the view") {
                            read.extend(row["id"].as_u64());
                        }
                    }
                },
            );
            lost = subscription.progress().lost;
            let proof = result?;
            if proof.is_delivered() {
                assert!(sent.clone().all(|id| read.contains(&id)), "{sent:?} are not in {read:?}: {proof:?}");
            }
            newest = Some(proof);
        }
        Ok(newest)
    });
    let taken = history(&scene).taken;
    if let Err(error) = &trial.result {
        let is_taken = |id: &u64| taken.iter().any(|row| row.row["id"].as_u64() == Some(*id));
        match SentRows::of(error) {
            Some(SentRows::NotIngested) => assert!(!sent.clone().any(|id| is_taken(&id)), "{error:?}: {taken:?}"),
            Some(SentRows::Ingested { .. }) => assert!(sent.clone().all(|id| is_taken(&id)), "{error:?}: {taken:?}"),
            Some(_) => assert!(error.is_ambiguous(), "{error:?}"),
            None => assert!(matches!(error, FlowError::Service(_)), "{error:?}"),
        }
    }
    match &trial.result {
        Ok(Some(DeliveryProof::Delivered { .. })) => assert_eq!(release, Release::V0_375),
        Ok(Some(DeliveryProof::Completed { .. })) => {
            assert!(release < Release::V0_375, "{:#?}", trial.history);
            for row in taken.iter().filter(|row| row.row["id"].as_u64().is_some_and(|id| sent.contains(&id))) {
                let is_through = |view: &PipelineView| {
                    view.incarnation.as_ref() == Some(&row.incarnation) && row.step <= view.steps.1
                };
                assert!(trial.ever(is_through), "{row:?} is not processed: {:#?}", trial.history);
            }
        }
        // There was no subscription, or it began late.
        Ok(None) => assert!(trial.is_contested() || !trial.faults.is_empty()),
        Ok(other) => panic!("{other:?}"),
        // A request that began late had less time than others.
        Err(FlowError::Deadline { .. }) if !trial.faults.is_empty() => {}
        Err(error) => match Interruption::of(error) {
            Some(Interruption::Undelivered(Undelivered::ChunksLost { chunks, .. })) => assert!(*chunks <= lost),
            Some(Interruption::Undelivered(Undelivered::SubscriptionEnded)) => {
                assert!(trial.lost || trial.is_contested() || !trial.faults.is_empty(), "{:#?}", trial.history);
            }
            // A circuit that stands still while another client's transaction is open.
            Some(Interruption::Undelivered(Undelivered::Overdue { .. })) => panic!("{:#?}", trial.history),
            _ => match error {
                FlowError::Incomplete(incomplete) => assert_honest(&trial, &incomplete.cause),
                error => assert_honest(&trial, error),
            },
        },
    }
    assert!(!trial.is_untouched() || trial.result.is_ok(), "{:?}", trial.result);
    told(trial)
}
