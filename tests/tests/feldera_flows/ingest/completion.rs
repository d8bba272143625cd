//! `AwaitCompletion`.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use pipewright::driver::Clock as _;
use pipewright::error::FlowError;
use pipewright::feldera::data::CompletionToken;
use pipewright::feldera::{AwaitCompletion, Feldera, Interruption};
use pipewright::flow::{Flow as _, Goal as _, Step};
use pipewright_mock::{START, Script};
use pipewright_tests::recorded::{Recorded, feldera};
use serde_json::{Value, json};

use super::{ASK, COMPLETE, STATUS, cause, recorded, stats};

fn await_completion(
    answer: impl FnMut(&str, &str) -> Option<(u16, String)>,
    goal: AwaitCompletion,
) -> (Result<Option<u64>, FlowError>, Duration) {
    let feldera = Feldera::new("http://feldera.test".parse().expect("a base"), Recorded::new(answer));
    let start = feldera.runtime().now();
    let result = feldera.run(goal).map(|completed| completed.step);
    (result, feldera.runtime().now().since(start))
}

fn tok() -> AwaitCompletion {
    AwaitCompletion::new("p", CompletionToken::from("tok"))
}

#[test]
fn a_slow_step_is_waited_for() {
    let mut answers = ["slow_step_completion_0", "slow_step_completion_1", "slow_step_completion_4"].into_iter();
    let (result, took) = await_completion(|_, _| answers.next().map(feldera), tok());
    assert_eq!(result.expect("it is complete"), Some(2));
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn a_token_of_another_process_is_no_error_of_the_token() {
    for name in ["completion_status_after_restart_410", "completion_status_other_incarnation_410"] {
        let script = recorded(Script::new(), "GET", ASK, name);
        let flow = Feldera::new("http://feldera.test".parse().expect("a base"), script.clone()).run(tok());
        assert_eq!(cause(&flow.expect_err("restarted")), Some(&Interruption::Restarted));
        script.finish();
    }
    let (result, _) = await_completion(|_, _| Some(feldera("completion_status_garbage_token_400")), tok());
    assert!(matches!(result, Err(FlowError::Service(error)) if error.code() == Some("InvalidParam")));
}

#[test]
fn a_panic_is_told_by_the_process_and_later_by_the_pipeline() {
    let panic = json!({"message": "DBSP error: runtime error: One or more worker threads terminated unexpectedly\nworker",
        "error_code": "RuntimeError.WorkerPanic", "details": {"panic_info": []}});
    let (result, _) = await_completion(|_, _| Some((500, panic.to_string())), tok());
    let error = result.expect_err("dead");
    assert!(matches!(
        cause(&error), Some(Interruption::Crashed(error)) if error.error_code.as_str() == "RuntimeError.WorkerPanic"
    ));
    assert!(error.to_string().ends_with("One or more worker threads terminated unexpectedly"), "{error}");

    let (_, stopped) = feldera("panic_completion_status_stopped");
    let object = |error: &Value| {
        json!({"name": "p", "deployment_status": "Stopped", "deployment_desired_status": "Stopped",
        "deployment_error": error})
    };
    for (left, expected) in [(panic, true), (Value::Null, false)] {
        let script = Script::new()
            .expect("GET", ASK)
            .reply_json(503, &stopped)
            .expect("GET", STATUS)
            .reply_json(200, object(&left));
        let result = Feldera::new("http://feldera.test".parse().expect("a base"), script.clone()).run(tok());
        match cause(&result.expect_err("stopped")) {
            Some(Interruption::Crashed(_)) => assert!(expected),
            other => assert_eq!((other, expected), (Some(&Interruption::Stopped), false)),
        }
        script.finish();
    }
}

#[test]
fn approval_is_somebody_elses() {
    let rejection = r#"{"message":"Operation failed because the pipeline is awaiting approval of its bootstrap.","error_code":"AwaitingApproval","details":null}"#;
    let (result, _) = await_completion(|_, _| Some((503, rejection.to_owned())), tok());
    assert_eq!(cause(&result.expect_err("waits")), Some(&Interruption::AwaitingApproval));
}

#[test]
fn a_wedged_circuit_is_seen_by_what_does_not_move() {
    let wedged = |metrics: &mut Value| {
        (metrics["total_initiated_steps"], metrics["total_completed_steps"]) = (json!(12), json!(11));
    };
    let answer = |name: &str, _: &str| match name {
        "get_pipeline_stats" => Some(stats(wedged)),
        _ => Some(feldera("wedged_completion_status")),
    };
    let (result, took) = await_completion(answer, tok());
    let error = result.expect_err("stuck");
    let Some(Interruption::Wedged { stalled, initiated: 12, completed: 11, outputs }) = cause(&error) else {
        panic!("{error:?}")
    };
    assert!(outputs.is_empty() && (60..75).contains(&stalled.as_secs()));
    assert!(error.to_string().contains("no progress for 6"), "{error}");
    assert!((60..75).contains(&took.as_secs()), "{took:?}");
    let patient = tok().stall_timeout(Duration::from_secs(600)).timeout(Duration::from_secs(300));
    let (result, took) = await_completion(answer, patient);
    assert!(matches!(result, Err(FlowError::Deadline { .. })));
    assert_eq!(took.as_secs(), 300);
}

#[test]
fn what_moves_is_not_wedged() {
    let mut records = 0;
    let answer = |name: &str, _: &str| match name {
        "get_pipeline_stats" => {
            records += 1;
            Some(stats(|metrics| {
                metrics["total_initiated_steps"] = json!(40);
                metrics["total_processed_records"] = json!(records);
            }))
        }
        _ if records >= 40 => Some((200, COMPLETE.to_owned())),
        _ => Some(feldera("slow_step_completion_0")),
    };
    assert_eq!(await_completion(answer, tok()).0.expect("it is slow"), Some(7));
}

/// Nothing moves before a long step ends but the processor.
#[test]
fn what_computes_is_not_wedged() {
    let mut looks = 0;
    let mut answer = |rate: u64, name: &str| match name {
        "get_pipeline_stats" => {
            looks += 1;
            Some(stats(|metrics| {
                metrics["total_initiated_steps"] = json!(40);
                metrics["cpu_msecs"] = json!(1000 + rate * looks);
            }))
        }
        _ if looks >= 40 => Some((200, COMPLETE.to_owned())),
        _ => Some(feldera("slow_step_completion_0")),
    };
    let busy = await_completion(|name: &str, _: &str| answer(5000, name), tok()).0;
    assert_eq!(busy.expect("it computes"), Some(7));
    // An idle process takes a hundredth of a processor.
    looks = 0;
    let mut answer = |name: &str| match name {
        "get_pipeline_stats" => {
            looks += 1;
            Some(stats(|metrics| {
                metrics["total_initiated_steps"] = json!(40);
                metrics["cpu_msecs"] = json!(1000 + 50 * looks);
            }))
        }
        _ => Some(feldera("slow_step_completion_0")),
    };
    let idle = await_completion(|name: &str, _: &str| answer(name), tok()).0;
    assert!(matches!(cause(&idle.expect_err("it does nothing")), Some(Interruption::Wedged { .. })));
}

/// Statistics that were long on their way say nothing about the time that they took.
#[test]
fn a_slow_answer_is_no_standstill() {
    let feldera = Feldera::new("http://feldera.test".parse().expect("a base"), Script::new());
    let goal = tok().stall_timeout(Duration::from_secs(20));
    let mut flow = goal.start(feldera.config(), feldera.seed());
    let (mut now, mut reply, mut looks) = (START, None, 0);
    let completed = loop {
        match flow.poll(now, reply.take()) {
            Step::Send(exchange) => {
                let body = if exchange.info().name == "get_pipeline_stats" {
                    now = now + Duration::from_secs(29);
                    looks += 1;
                    stats(|metrics| metrics["total_initiated_steps"] = json!(40)).1
                } else if looks == 2 {
                    COMPLETE.to_owned()
                } else {
                    super::feldera("slow_step_completion_0").1
                };
                reply = Some(exchange.settle(Ok(Response::new(Bytes::from(body)))));
            }
            Step::WaitUntil(at) => now = at,
            Step::Notice(_) => {}
            Step::Done(result) => break result,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(completed.expect("it stood still for five seconds at the most").step, Some(7));
}

#[test]
fn an_open_transaction_holds_back_for_as_long_as_it_likes() {
    let answer = |name: &str, _: &str| match name {
        "get_pipeline_stats" => Some(stats(|metrics| {
            metrics["total_initiated_steps"] = json!(40);
            metrics["transaction_status"] = json!("TransactionInProgress");
            metrics["transaction_id"] = json!(20);
        })),
        _ => Some(feldera("completion_status_in_transaction")),
    };
    let (result, _) = await_completion(answer, tok().timeout(Duration::from_secs(1000)));
    assert!(matches!(result, Err(FlowError::Deadline { .. })), "{result:?}");
    // And is named when the time is up.
    let error = result.expect_err("the time is up").to_string();
    assert!(error.contains("which is not completed: a transaction is open"), "{error}");
}

/// Views take as long as they take to be filled.
#[test]
fn a_bootstrap_is_not_wedged() {
    let answer = |name: &str, _: &str| match name {
        "get_pipeline_stats" => Some(stats(|metrics| {
            metrics["total_initiated_steps"] = json!(40);
            metrics["bootstrap_in_progress"] = json!(true);
        })),
        _ => Some(feldera("slow_step_completion_0")),
    };
    let (result, _) = await_completion(answer, tok().timeout(Duration::from_secs(1000)));
    assert!(matches!(result, Err(FlowError::Deadline { .. })), "{result:?}");
}

/// A step that a paused pipeline is in continues.
#[test]
fn a_paused_pipeline_finishes_its_step() {
    let mut looks = 0;
    let answer = |name: &str, _: &str| match name {
        "get_pipeline_stats" => {
            looks += 1;
            Some(stats(|metrics| {
                (metrics["state"], metrics["total_initiated_steps"]) = (json!("Paused"), json!(40));
            }))
        }
        _ if looks > 4 => Some((200, COMPLETE.to_owned())),
        _ => Some(feldera("slow_step_completion_0")),
    };
    assert_eq!(await_completion(answer, tok()).0.expect("it goes through"), Some(7));
}

#[test]
fn a_paused_pipeline_in_which_nothing_moves_is_paused() {
    let answer = |name: &str, _: &str| match name {
        "get_pipeline_stats" => Some(feldera("paused_stats")),
        _ => Some((200, r#"{"status":"inprogress","step":null}"#.to_owned())),
    };
    let (result, took) = await_completion(answer, tok());
    assert_eq!(cause(&result.expect_err("paused")), Some(&Interruption::Paused));
    assert!(took < Duration::from_secs(15), "{took:?}");
    // What was forced in is processed all the same.
    let mut answers = ["paused_completion_status", "paused_completion_status_after_1s"].into_iter();
    assert_eq!(await_completion(|_, _| answers.next().map(feldera), tok()).0.expect("complete"), Some(3));
}
