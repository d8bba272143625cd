//! Checkpoints, and what of them is in storage.

use std::collections::BTreeSet;

use feldera_types::checkpoint::{
    CheckpointFailure, CheckpointMetadata, CheckpointResponse, CheckpointStatus, CheckpointSyncFailure,
    CheckpointSyncResponse, CheckpointSyncStatus, RemoteCheckpoint,
};
use feldera_types::runtime_status::StorageStatusDetails;
use pipewright::feldera::{checkpoints, pipelines};

use crate::answers::{moment, uuid};
use crate::compare::compare;

fn metadata() -> CheckpointMetadata {
    CheckpointMetadata {
        uuid: uuid(),
        identifier: Some("before".to_owned()),
        fingerprint: u64::MAX,
        size: Some(1),
        steps: Some(2),
        processed_records: Some(3),
    }
}

#[test]
fn checkpoints_that_are_made() {
    let started = CheckpointResponse { checkpoint_sequence_number: 5, incarnation_uuid: Some(uuid()) };
    compare::<checkpoints::CheckpointStarted, _>(&[started], &[]);
    let failure = CheckpointFailure {
        sequence_number: 6,
        error: "disk full".to_owned(),
        failed_at: moment("2026-11-01T10:00:00.123456789Z"),
    };
    let status = CheckpointStatus { success: Some(5), failure: Some(failure) };
    compare::<checkpoints::CheckpointStatus, _>(&[status, CheckpointStatus::default()], &[]);
    compare::<checkpoints::CheckpointInfo, _>(&[metadata()], &[]);
    let stored = StorageStatusDetails { checkpoints: vec![metadata()] };
    compare::<pipelines::StorageDetails, _>(&[stored, StorageStatusDetails { checkpoints: Vec::new() }], &[]);
}

#[test]
fn checkpoints_that_are_sent() {
    let started = CheckpointSyncResponse { checkpoint_uuid: uuid(), incarnation_uuid: Some(uuid()) };
    compare::<checkpoints::CheckpointSyncStarted, _>(&[started], &[]);
    let status = CheckpointSyncStatus {
        success: Some(uuid()),
        failure: Some(CheckpointSyncFailure { uuid: uuid(), error: "no bucket".to_owned() }),
        periodic: Some(uuid()),
        running: BTreeSet::from([uuid()]),
    };
    compare::<checkpoints::CheckpointSyncStatus, _>(&[status, CheckpointSyncStatus::default()], &[]);
    compare::<checkpoints::RemoteCheckpoint, _>(&[RemoteCheckpoint { uuid: uuid() }], &[]);
}
