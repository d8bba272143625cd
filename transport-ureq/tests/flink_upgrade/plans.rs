//! The comparison of plans, on plans of real clusters.

use std::path::Path;

use pipewright::flink::jars::{Graph, Plan};
use serde_json::Value;

use self::module::{Comparison, compare};

#[path = "../../examples/flink_upgrade/plans.rs"]
#[allow(dead_code, reason = "the rest is for the tool")]
mod module;

/// The plan of a recording.
fn plan(release: &str, exchange: &str) -> Graph {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/fixtures/flink/{release}.har"));
    let har: Value = serde_json::from_slice(&std::fs::read(file).expect("a recording")).expect("JSON");
    let entries = har["log"]["entries"].as_array().expect("entries");
    let entry = entries.iter().find(|entry| entry["comment"] == exchange).expect("the exchange");
    let text = entry["response"]["content"]["text"].as_str().expect("a body");
    serde_json::from_str::<Plan>(text).expect("a plan").plan
}

fn endless() -> Graph {
    plan("2.3.0", "flink-2.3.0/POST_jars_jarid_plan--ok")
}

fn params() -> Graph {
    plan("2.3.0-cases", "POST_jars_jarid_plan--ok")
}

fn compared(running: &Graph, next: &Graph) -> Comparison {
    compare(running, next).expect("the job has vertices")
}

#[test]
fn a_job_has_the_plan_of_its_jar() {
    for release in ["1.18.1", "1.20.5", "2.3.0"] {
        let jar = plan(release, &format!("flink-{release}/POST_jars_jarid_plan--ok"));
        let job = plan(&format!("{release}-inside"), &format!("flink-{release}/GET_jobs_jobid_plan--running"));
        let plans = compared(&job, &jar);
        assert!(plans.is_same() && plans.kept.len() == 2, "{release}: {plans:?}");
    }
}

/// Descriptions had another form before 1.14.
#[test]
fn releases_describe_the_same_operators() {
    let old = plan("1.13.6", "flink-1.13.6/POST_jars_jarid_plan--ok");
    let plans = compared(&old, &endless());
    assert!(plans.is_same(), "{plans:?}");
    assert_eq!(plans.kept[0].operators, "count per key, Sink: print");
}

/// Without uids, ids follow from the graph: the same program with another parallelism has other vertices.
#[test]
fn generated_ids_vanish_with_the_graph_that_they_come_from() {
    let (one, two) = (params(), plan("2.3.0-cases", "GET_jars_jarid_plan--query"));
    let plans = compared(&one, &two);
    assert_eq!((plans.kept.len(), plans.changed.len(), plans.vanished.len(), plans.added.len()), (0, 0, 3, 4));
    let vanished: Vec<&str> = plans.vanished.iter().map(|vertex| &*vertex.operators).collect();
    assert_eq!(vanished, ["Sink: print", "count", "Source: lines, split"]);
    let text = plans.to_string();
    assert!(text.contains("vertex 9dd63673dd41ea021b896d5203f3ba7c (count) vanishes: "), "{text}");
    assert!(text.contains("vertex bc764cd8ddf7a0cff126f51c16239658 (Source: lines) is new: "), "{text}");
}

#[test]
fn a_chain_with_other_operators_is_shown() {
    let mut next = endless();
    next.nodes[0].description = Some("count per key<br/>+- to &lt;text&gt;<br/>+- Sink: print<br/>".to_owned());
    let plans = compared(&endless(), &next);
    assert_eq!((plans.kept.len(), plans.changed.len()), (1, 1));
    assert!(
        plans.to_string().contains(") will have other operators: count per key, to <text>, Sink: print"),
        "{plans}"
    );
}

#[test]
fn a_job_without_a_graph_cannot_be_compared() {
    let mut running = endless();
    running.nodes.clear();
    assert_eq!(compare(&running, &endless()), None);
    // A new jar without vertices is another matter: all of them vanish.
    assert_eq!(compared(&endless(), &running).vanished.len(), 2);
}
