//! The fuzz targets on stable Rust: over the corpus, over the recordings, and over repeatable mutations of both.

use std::fs;
use std::path::Path;

use pipewright_tests::fuzz::TARGETS;
use pipewright_tests::{har, replies, routes};

fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// What is checked in under `corpus/TARGET`: seeds, and whatever a fuzzer has found.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = fs::read_dir(folder("corpus").join(target))
        .expect("a folder for each target")
        .map(|entry| entry.expect("readable").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{target} has no seeds");
    paths.into_iter().map(|path| fs::read(path).expect("readable")).collect()
}

/// The input itself, and what a few cuts and flips make of it.
fn spoilt(input: &[u8]) -> Vec<Vec<u8>> {
    let mut inputs = vec![input.to_vec()];
    let mut state = input.len() as u64 + 1;
    for _ in 0..8 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = usize::try_from(state >> 33).unwrap_or_default() % (input.len() + 1);
        let (head, tail) = input.split_at(at);
        inputs.push(head.to_vec());
        inputs.push(tail.to_vec());
        let mut flipped = input.to_vec();
        if let Some(byte) = flipped.get_mut(at) {
            *byte ^= 1 << (state & 7);
        }
        inputs.push(flipped);
    }
    inputs
}

#[test]
fn targets_find_nothing_in_the_corpus() {
    for (name, run) in TARGETS {
        for input in corpus(name) {
            for input in spoilt(&input) {
                run(&input);
            }
        }
    }
}

/// Every recorded answer, as the input that the target `reply` would see.
#[test]
fn recorded_answers_are_food_for_the_reply_target() {
    let (_, run) = TARGETS.iter().find(|(name, _)| *name == "reply").expect("it exists");
    let mut count = 0;
    for recording in har::read_folder(&folder("fixtures/flink")).expect("they are checked in") {
        for entry in &recording.entries {
            let Some(info) = routes::of("flink", entry) else { continue };
            let row = replies::names().iter().position(|name| *name == info.name).expect("a row each");
            let [high, low] = u16::try_from(row).expect("few rows").to_be_bytes();
            let mut input = vec![low, high << 4, 0];
            input.extend_from_slice(entry.response.body());
            // The long inputs are long because of stack traces, and take their time.
            if input.len() < 20_000 {
                for input in spoilt(&input) {
                    run(&input);
                }
                count += 1;
            }
        }
    }
    assert!(count > 300, "{count} answers");
}
