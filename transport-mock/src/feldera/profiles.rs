//! Files: what is collected for support, and profiles of circuits.

use serde_json::json;

use super::errors::{Answer, Rejection, Reply};
use super::request::Call;
use super::store::Store;
use super::wire::stamp;
use super::{introspection, pipelines, statistics};

/// The parts of a bundle that a request can leave out.
const PARTS: [&str; 9] = [
    "circuit_profile",
    "heap_profile",
    "metrics",
    "logs",
    "stats",
    "pipeline_config",
    "system_config",
    "dataflow_graph",
    "pipeline_events",
];

/// A zip with a directory for each collection, of which there is one here, or none.
pub(super) fn support_bundle(store: &mut Store, call: &Call, name: &str) -> Answer {
    let collect = call.flag("collect")?.unwrap_or(true);
    let mut wanted = Vec::new();
    for part in PARTS {
        if call.flag(part)?.unwrap_or(true) {
            wanted.push(part);
        }
    }
    store.find(name)?;
    let now = stamp(store.now);
    let metadata = json!({ "pipeline_name": name, "collections": if collect { vec![&now] } else { vec![] } });
    let mut files = vec![("metadata.json".to_owned(), metadata.to_string())];
    if collect {
        let parts = wanted.into_iter().filter_map(|part| Some((part, content(store, call, name, part)?)));
        files.extend(parts.map(|(part, text)| (format!("{now}/{part}"), text)));
    }
    Ok(Reply::file("application/zip", "support_bundle.zip", zip(&files)))
}

/// What there is of a part of a bundle; what cannot be had now is left out.
fn content(store: &mut Store, call: &Call, name: &str, part: &str) -> Option<String> {
    let answer = match part {
        "circuit_profile" => return store.running(name).is_ok().then(|| GRAPH.to_owned()),
        "metrics" => introspection::metrics(store, call, name),
        "stats" => statistics::statistics(store, name),
        "pipeline_config" => pipelines::get_pipeline(store, call, name),
        "system_config" => Ok(Reply::json(introspection::configuration(&store.config))),
        "pipeline_events" => introspection::events(store, call, name),
        "logs" => return store.find(name).ok().map(|pipeline| pipeline.log.all().0),
        _ => return None,
    };
    answer.ok().map(Reply::into_text)
}

pub(super) fn circuit_profile(store: &mut Store, name: &str) -> Answer {
    store.running(name)?;
    let files = [("0.dot", GRAPH), ("0.txt", "worker 0\n"), ("Makefile", "all: 0.svg\n")];
    let files = files.map(|(name, text)| (name.to_owned(), text.to_owned()));
    Ok(Reply::file("application/zip", "profile.zip", zip(&files)))
}

pub(super) fn circuit_json_profile(store: &mut Store, name: &str) -> Answer {
    store.running(name)?;
    let metric = json!({ "name": "used_memory_bytes", "category": "State", "advanced": false, "description": "" });
    let profile = json!({ "metrics": [metric], "worker_profiles": [], "graph": { "nodes": [], "edges": [] } });
    Ok(Reply::file("application/json", "profile.json", profile.to_string().into_bytes()))
}

/// This build has none.
pub(super) fn heap_profile(store: &mut Store, name: &str) -> Answer {
    store.running(name)?;
    let error = "heap profiling is not available in this build";
    let message = format!("Heap profiler error: {error}.");
    Err(Rejection::new(http::StatusCode::BAD_REQUEST, "HeapProfilerError", message, json!({ "error": error })))
}

/// None was ever made.
pub(super) fn samply_profile(store: &mut Store, name: &str) -> Answer {
    store.running(name)?;
    let message = "no samply profile found; trigger a samply profile by making a POST request to `/samply_profile`";
    Err(Rejection::new(http::StatusCode::BAD_REQUEST, "NoSamplyProfile", message, serde_json::Value::Null))
}

/// As on a machine without Samply.
pub(super) fn start_samply_profile(store: &mut Store, name: &str) -> Answer {
    store.running(name)?;
    let message = "failed to profile the pipeline using samply";
    let details = json!("failed to get samply version; is Samply installed and in `$PATH`?");
    Err(Rejection::new(http::StatusCode::INTERNAL_SERVER_ERROR, "SamplyProfilingFailure", message, details))
}

const GRAPH: &str = "digraph circuit {\n}\n";

/// Files in a zip, as they are.
fn zip(files: &[(String, String)]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, text) in files {
        let (size, at) = (number(text.len()), number(out.len()));
        let mut sum = flate2::Crc::new();
        sum.update(text.as_bytes());
        // The version that can read it, no flags, stored, no time, and a day that there is.
        let mut header = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
        header.extend(sum.sum().to_le_bytes());
        header.extend([size.to_le_bytes(), size.to_le_bytes()].concat());
        header.extend(number(name.len()).to_le_bytes());
        out.extend(*b"PK\x03\x04");
        out.extend(&header);
        out.extend(name.as_bytes());
        out.extend(text.as_bytes());
        directory.extend(*b"PK\x01\x02\x14\x00");
        directory.extend(&header);
        directory.extend([0; 10]);
        directory.extend(at.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (count, at) = (number(files.len()).to_le_bytes(), number(out.len()));
    let size = number(directory.len());
    out.extend(directory);
    out.extend(*b"PK\x05\x06\0\0\0\0");
    out.extend([count[0], count[1], count[0], count[1]]);
    out.extend([size.to_le_bytes(), at.to_le_bytes()].concat());
    out.extend([0, 0]);
    out
}

fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
