//! A recording of the fault proxy is read like a recording of any other program.

use std::time::Duration;

use pipewright::flink::Flink;
use pipewright::flink::cluster::{GetConfig, GetOverview};
use pipewright::flink::jars::ListJars;
use pipewright::flink::jobs::{GetJobs, GetJobsOverview};
use pipewright_mock::flink::Config;
use pipewright_mock::serve::{Options, Proxy, ProxyOptions, Server};
use pipewright_mock::{FaultKind, FaultPlan};
use pipewright_tests::har;
use pipewright_tests::replay::Report;
use pipewright_ureq::Ureq;

#[test]
fn what_the_fault_proxy_records_is_replayed() {
    let server = Server::start(Options::flink(Config::default())).expect("a free port");
    let file = std::env::temp_dir().join(format!("pipewright-replay-{}.har", std::process::id()));
    let faults = FaultPlan::seeded(7)
        .delays(Duration::from_millis(1)..=Duration::from_millis(5))
        .chance(FaultKind::NotSent, 0.1)
        .chance(FaultKind::ReplyLost, 0.1)
        .chance(FaultKind::DelayReply, 0.1)
        .at_most(6);
    let options = ProxyOptions::new(server.url()).expect("an address").faults(faults).record(&file);
    let proxy = Proxy::start(options).expect("a free port");
    let flink = Flink::new(proxy.url().parse().expect("an address"), Ureq::new());
    for _ in 0..8 {
        flink.call(GetOverview::new()).expect("an answer");
        flink.call(GetConfig::new()).expect("an answer");
        flink.call(ListJars::new()).expect("an answer");
        flink.call(GetJobs::new()).expect("an answer");
        flink.call(GetJobsOverview::new()).expect("an answer");
    }
    drop(flink);
    assert!(proxy.shutdown(Duration::from_secs(20)));
    let lost: u64 =
        [FaultKind::NotSent, FaultKind::ReplyLost].iter().filter_map(|kind| proxy.counts().get(kind).copied()).sum();

    let recording = har::read_file(&file).expect("a recording");
    std::fs::remove_file(&file).expect("deleted");
    let mut report = Report::default();
    for entry in &recording.entries {
        report.add(entry);
    }
    assert_eq!((report.count("ok"), report.count("failed"), report.count("unmatched")), (40, 0, 0));
    assert!(lost > 0);
    assert_eq!(recording.skipped.len() as u64, lost, "{:?}", recording.skipped);
}
