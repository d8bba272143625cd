//! A seed of the chaos runs, on a cluster where it must fail.

use std::fs;
use std::time::Duration;

use pipewright::flink::Flink;
use pipewright_mock::flink::{Config, Program};
use pipewright_mock::serve::{Options, Server};
use pipewright_tests::chaos::case::{self, Settings};
use pipewright_tests::chaos::truth::Truth;
use pipewright_tests::chaos::verdict::End;
use pipewright_ureq::Ureq;

#[test]
fn a_cluster_that_runs_no_jar_is_a_violation() {
    let server = Server::start(Options::flink(Config::default())).expect("a free port");
    let folder = std::env::temp_dir().join(format!("pipewright-chaos-case-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("endless.jar"), Program::endless("x").main_fails("no").jar()).expect("written");
    let flink = Flink::new(server.url().parse().expect("a base"), Ureq::new());
    let truth = Truth::new(flink, folder.join("savepoints"));
    let settings = Settings { url: server.url().to_owned(), jars: folder.clone(), verbose: false };
    let verdict = case::run(2, &truth, &settings);
    fs::remove_dir_all(&folder).expect("removed");
    let verdict = verdict.expect("a verdict");
    assert!(matches!(&verdict.steps[..], [run] if matches!(run.end, End::Failed(_))), "{verdict:?}");
    assert!(verdict.violations.iter().any(|what| what.starts_with("run: failed although")), "{verdict:?}");
    assert!(verdict.violations.iter().any(|what| what.starts_with("no job was ever seen")), "{verdict:?}");
    assert!(verdict.took < Duration::from_secs(60), "{verdict:?}");
}
