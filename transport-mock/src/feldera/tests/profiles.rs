//! Profiles and support bundles.

use bytes::Bytes;

use super::{NOT_DEPLOYED, Sim, rejection};

fn file(sim: &mut Sim, target: &str) -> (u16, String, Bytes) {
    let response = sim.send("GET", &format!("/pipelines/p/{target}"), "application/json", "");
    let kind = response.headers().get("content-type").expect("a type").to_str().expect("a text").to_owned();
    (response.status().as_u16(), kind, response.into_body())
}

/// The names in the directory of a zip, which is at its end.
fn names(zip: &[u8]) -> Vec<String> {
    assert!(zip.starts_with(b"PK\x03\x04"), "a zip");
    let end = zip.len() - 22;
    assert!(zip[end..].starts_with(b"PK\x05\x06"), "the end of a zip");
    let number =
        |at: usize, bytes: usize| zip[at..at + bytes].iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    let mut at = number(end + 16, 4);
    let mut names = Vec::new();
    for _ in 0..number(end + 10, 2) {
        let name = at + 46;
        let length = number(at + 28, 2);
        let (header, size) = (number(at + 42, 4), number(at + 24, 4));
        let content = header + 30 + length;
        let mut sum = flate2::Crc::new();
        sum.update(&zip[content..content + size]);
        assert_eq!(usize::try_from(sum.sum()).expect("64 bits"), number(at + 16, 4));
        names.push(String::from_utf8_lossy(&zip[name..name + length]).into_owned());
        at = name + length;
    }
    names
}

#[test]
fn a_bundle_has_the_parts_that_were_asked_for() {
    let mut sim = Sim::new().running();
    let (status, kind, zip) = file(&mut sim, "support_bundle");
    assert_eq!((status, kind.as_str()), (200, "application/zip"));
    let all = names(&zip);
    assert_eq!(all[0], "metadata.json");
    for part in ["circuit_profile", "metrics", "stats", "logs", "pipeline_config", "system_config", "pipeline_events"] {
        assert_eq!(all.iter().filter(|name| name.ends_with(&format!("Z/{part}"))).count(), 1, "{part} in {all:?}");
    }
    let (_, _, zip) = file(&mut sim, "support_bundle?stats=false&logs=false");
    assert_eq!(names(&zip).len(), all.len() - 2);
    assert_eq!(names(&file(&mut sim, "support_bundle?collect=false").2), ["metadata.json"]);
    assert_eq!(file(&mut sim, "support_bundle?logs=no").0, 400);
    sim.stop();
    assert_eq!(names(&file(&mut sim, "support_bundle").2).len(), all.len() - 3, "without what only a process has");
}

#[test]
fn profiles_are_files() {
    let mut sim = Sim::new().running();
    let (status, kind, zip) = file(&mut sim, "circuit_profile");
    assert_eq!(
        (status, kind.as_str(), names(&zip)),
        (200, "application/zip", vec!["0.dot".into(), "0.txt".into(), "Makefile".into()])
    );
    let (status, kind, profile) = file(&mut sim, "circuit_json_profile");
    assert_eq!((status, kind.as_str()), (200, "application/json"));
    assert!(serde_json::from_slice::<serde_json::Value>(&profile).expect("JSON").is_object());
    assert_eq!(rejection(&sim.get("/pipelines/p/heap_profile")), (400, "HeapProfilerError"));
    assert_eq!(rejection(&sim.get("/pipelines/p/samply_profile")), (400, "NoSamplyProfile"));
    assert_eq!(rejection(&sim.post("/pipelines/p/samply_profile")), (500, "SamplyProfilingFailure"));
    sim.stop();
    for target in ["circuit_profile", "circuit_json_profile", "heap_profile", "samply_profile"] {
        assert_eq!(rejection(&sim.get(&format!("/pipelines/p/{target}"))), NOT_DEPLOYED, "{target}");
    }
}
