//! `AwaitConnectorsFinished`.

use std::time::Duration;

use pipewright::feldera::{AwaitConnectorsFinished, Feldera, FinishedConnector, Interruption};
use pipewright_mock::Script;
use pipewright_tests::recorded::Recorded;
use serde_json::{Value, json};

use super::{base, calm, looked, restarted, run, stats};

/// The recorded statistics have one connector, `t.gen1`, at its end, and many ways of ingress.
fn connector(change: impl FnOnce(&mut Value)) -> String {
    stats(|body| {
        let inputs = body["inputs"].as_array_mut().expect("a list");
        let gen1 = inputs.iter_mut().find(|input| input["endpoint_name"] == "t.gen1").expect("the connector");
        change(gen1);
    })
}

fn finished(script: Script) -> Script {
    let script = calm(script)
        .expect("GET", "/v0/pipelines/p/tables/t/connectors/gen1/completion_token")
        .reply_json(200, r#"{"token":"tok"}"#)
        .expect("GET", "/v0/pipelines/p/completion_status?token=tok")
        .reply_json(200, r#"{"status":"complete","step":7}"#);
    calm(script)
}

fn summary(connectors: &[FinishedConnector]) -> Vec<(&str, u64)> {
    connectors.iter().map(|connector| (&*connector.name, connector.records.expect("a number"))).collect()
}

#[test]
fn connectors_are_waited_for_and_ways_of_ingress_are_not() {
    let script = looked(Script::new(), &connector(|gen1| gen1["metrics"]["end_of_input"] = json!(false)));
    let script = finished(script);
    let (result, _) = run(&script, AwaitConnectorsFinished::all("p"));
    assert_eq!(summary(&result.expect("finished")), [("t.gen1", 5)]);
    script.finish();
    let script = finished(Script::new());
    run(&script, AwaitConnectorsFinished::named("p", ["t.gen1"])).0.expect("finished");
    script.finish();
}

/// What one took in may have gone through while another's has not.
#[test]
fn every_connectors_records_are_waited_for() {
    let two = stats(|body| {
        let inputs = body["inputs"].as_array_mut().expect("a list");
        let mut second = inputs.iter().find(|input| input["endpoint_name"] == "t.gen1").expect("the connector").clone();
        second["endpoint_name"] = json!("t.gen2");
        inputs.push(second);
    });
    let mut script = looked(Script::new(), &two);
    for (connector, token) in [("gen1", "one"), ("gen2", "two")] {
        script = script
            .expect("GET", &format!("/v0/pipelines/p/tables/t/connectors/{connector}/completion_token"))
            .reply_json(200, json!({ "token": token }))
            .expect("GET", &format!("/v0/pipelines/p/completion_status?token={token}"))
            .reply_json(200, r#"{"status":"complete","step":7}"#);
    }
    let script = looked(script, &two);
    let (result, _) = run(&script, AwaitConnectorsFinished::all("p"));
    assert_eq!(summary(&result.expect("finished")), [("t.gen1", 5), ("t.gen2", 5)]);
    script.finish();
}

#[test]
fn a_connector_that_failed_is_named() {
    let script = looked(Script::new(), &connector(|gen1| gen1["fatal_error"] = json!("no such bucket")));
    let error = run(&script, AwaitConnectorsFinished::all("p")).0.expect_err("failed");
    let (connector, why) = ("t.gen1".to_owned(), "no such bucket".to_owned());
    assert_eq!(Interruption::of(&error), Some(&Interruption::ConnectorFailed { connector, error: why }));
    script.finish();

    let script = calm(Script::new());
    let error = run(&script, AwaitConnectorsFinished::named("p", ["t.gen2"])).0.expect_err("none");
    assert!(error.to_string().ends_with("input connector t.gen2 does not exist; the pipeline has: t.gen1"), "{error}");
    script.finish();
}

#[test]
fn a_paused_pipelines_connectors_do_not_come_to_their_end() {
    let paused = stats(|body| {
        body["global_metrics"]["state"] = json!("Paused");
        let inputs = body["inputs"].as_array_mut().expect("a list");
        for input in inputs.iter_mut() {
            input["metrics"]["end_of_input"] = json!(false);
        }
    });
    let script = looked(Script::new(), &paused);
    let error = run(&script, AwaitConnectorsFinished::all("p")).0.expect_err("paused");
    assert_eq!(Interruption::of(&error), Some(&Interruption::Paused));
    script.finish();
    let script = finished(looked(Script::new(), &paused));
    run(&script, AwaitConnectorsFinished::all("p").even_paused()).0.expect("finished");
    script.finish();
}

/// Records that a paused pipeline has taken in go through when it is resumed.
#[test]
fn a_paused_pipeline_is_waited_for_to_the_end() {
    let mut asked = 0;
    let mut answer = |name: &str| {
        Some(match name {
            "completion_token" => (200, r#"{"token":"tok"}"#.to_owned()),
            "completion_status" => {
                asked += 1;
                let status = if asked > 40 { "complete" } else { "inprogress" };
                (200, json!({ "status": status, "step": null }).to_string())
            }
            _ => (200, stats(|body| body["global_metrics"]["state"] = json!("Paused"))),
        })
    };
    let fake = Feldera::new(base(), Recorded::new(|name: &str, _: &str| answer(name)));
    assert_eq!(summary(&fake.run(AwaitConnectorsFinished::all("p").even_paused()).expect("finished")), [("t.gen1", 5)]);
    let answer = |name: &str| {
        Some(match name {
            "completion_token" => (200, r#"{"token":"tok"}"#.to_owned()),
            "completion_status" => (200, r#"{"status":"inprogress","step":null}"#.to_owned()),
            _ => (200, stats(|body| body["global_metrics"]["state"] = json!("Paused"))),
        })
    };
    let fake = Feldera::new(base(), Recorded::new(|name: &str, _: &str| answer(name)));
    let error = fake.run(AwaitConnectorsFinished::all("p")).expect_err("paused");
    assert_eq!(Interruption::of(&error), Some(&Interruption::Paused));
}

/// Another client has paused one of two connectors: it is named when the time is up, and the finished connector is not.
#[test]
fn time_that_is_up_names_the_connectors_that_are_unfinished_or_paused() {
    let body = |paused: bool| {
        stats(|body| {
            body["global_metrics"]["state"] = json!(if paused { "Paused" } else { "Running" });
            let inputs = body["inputs"].as_array_mut().expect("a list");
            let gen1 = inputs.iter().find(|input| input["endpoint_name"] == "t.gen1").expect("the connector").clone();
            for (name, rests) in [("t.gen2", true), ("t.gen3", false)] {
                let mut other = gen1.clone();
                other["endpoint_name"] = json!(name);
                (other["paused"], other["metrics"]["end_of_input"]) = (json!(rests), json!(false));
                inputs.push(other);
            }
        })
    };
    let wait = |paused: bool| {
        let fake = Feldera::new(base(), Recorded::new(move |_: &str, _: &str| Some((200, body(paused)))));
        let goal = AwaitConnectorsFinished::all("p").even_paused().timeout(Duration::from_secs(60));
        fake.run(goal).expect_err("it takes longer").to_string()
    };
    let unfinished = "not finished: t.gen2 (paused, 5 records so far), t.gen3 (5 records so far)";
    let error = wait(false);
    assert!(error.ends_with(&format!("last observed: input of pipeline p: {unfinished}")), "{error}");
    let error = wait(true);
    assert!(error.ends_with(&format!("input of pipeline p: the pipeline is paused; {unfinished}")), "{error}");
}

#[test]
fn a_restarted_source_has_not_come_to_its_end() {
    let script = calm(Script::new())
        .expect("GET", "/v0/pipelines/p/tables/t/connectors/gen1/completion_token")
        .reply_json(200, r#"{"token":"tok"}"#)
        .expect("GET", "/v0/pipelines/p/completion_status?token=tok")
        .reply_json(200, r#"{"status":"complete","step":7}"#);
    let script = looked(script, &restarted());
    let error = run(&script, AwaitConnectorsFinished::all("p")).0.expect_err("restarted");
    assert_eq!(Interruption::of(&error), Some(&Interruption::Restarted));
    script.finish();
}
