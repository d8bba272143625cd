//! Values that no server could accept as intended are rejected before they are sent.

use pipewright::feldera::Json;
use pipewright::feldera::data::{DataFormat, HttpInput, SendOutputCommand, UpdateFormat};
use pipewright::feldera::pipelines::{CreatePipeline, PatchPipeline, ResourceConfig, RuntimeConfig};
use pipewright::feldera::stream::HttpOutput;
use pipewright::flink::taskmanagers::Resource;
use serde_json::json;

use super::{assert_says, built};

fn runtime(cores: f64) -> RuntimeConfig {
    let mut resources = ResourceConfig::default();
    resources.cpu_cores_max = Some(cores);
    let mut config = RuntimeConfig::default();
    config.resources = Some(resources);
    config
}

#[test]
fn a_number_in_a_configuration_that_is_not_finite_is_named() {
    for cores in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let create = built(&CreatePipeline::new("p", "SELECT 1").runtime_config(runtime(cores)));
        let patch = built(&PatchPipeline::new("p").runtime_config(runtime(cores)));
        for error in [create, patch] {
            let error = error.expect_err("not finite");
            assert_says(&error, &["runtime_config \"resources.cpu_cores_max\"", "NaN or infinite", "a finite number"]);
        }
    }
    built(&CreatePipeline::new("p", "SELECT 1").runtime_config(runtime(1.5))).expect("finite");
}

#[test]
fn a_json_value_of_the_caller_has_no_null_for_a_number_that_is_not_finite() {
    let error = Json::of(&[("limit", f32::INFINITY)]).expect_err("not finite");
    assert_says(&error, &["a value is NaN or infinite"]);
    assert_eq!(
        Json::of(&json!({ "limit": 0.5, "whole": u64::MAX })).expect("JSON").get(),
        r#"{"limit":0.5,"whole":18446744073709551615}"#
    );
    let wide = Json::of(&[i128::MIN, 0]).expect("JSON");
    assert_eq!(wide.get(), "[-170141183460469231731687303715884105728,0]");
}

/// Answers of Flink have numbers that are not finite, and are read back as they were written.
#[test]
fn a_number_of_an_answer_that_is_not_finite_is_written_as_text() {
    let slot = |cores: &str| {
        format!(
            r#"{{"cpuCores":{cores},"taskHeapMemory":1,"taskOffHeapMemory":1,"managedMemory":1,"networkMemory":1,
            "extendedResources":{{"gpu":{cores}}}}}"#
        )
    };
    let parse = |text: &str| serde_json::from_str::<Resource>(text);
    let profile = parse(&slot("\"-Infinity\"")).expect("resources");
    let written = serde_json::to_string(&profile).expect("written");
    assert!(written.contains(r#""cpuCores":"-Infinity""#) && written.contains(r#""gpu":"-Infinity""#), "{written}");
    assert_eq!(parse(&written).expect("as written"), profile);
}

/// Weighted and Redis updates make the server panic, and the pipeline never completes another step.
#[test]
fn updates_that_a_server_panics_over_are_not_sent() {
    for format in [UpdateFormat::Weighted, UpdateFormat::Redis] {
        let input = HttpInput::new("p", "t", DataFormat::Json, "{}").update_format(format.clone());
        let problem = ["http_input: update_format", format.as_str(), "panic", "use insert_delete, raw or debezium"];
        assert_says(&built(&input).expect_err("a panic"), &problem);
        // The caller knows a newer server.
        built(&input.unchecked(true)).expect("a request");
    }
    for format in [UpdateFormat::InsertDelete, UpdateFormat::Raw, UpdateFormat::Debezium, "flat".into()] {
        built(&HttpInput::new("p", "t", DataFormat::Json, "{}").update_format(format)).expect("a request");
    }
    // What the server itself rejects is left to it.
    built(&HttpInput::new("p", "t", DataFormat::Json, "{}").update_format(UpdateFormat::Snowflake)).expect("a request");
}

/// Feldera takes a JSON object as metadata and as a command of a connector.
#[test]
fn what_must_be_an_object_is_no_other_value() {
    for (text, kind) in
        [("[1]", "an array"), ("\"secret\"", "a string"), ("7", "a number"), ("null", "null"), ("true", "a boolean")]
    {
        let value = || Json::new(text).expect("JSON");
        let input = HttpInput::new("p", "t", DataFormat::Parquet, "PAR1").connector_metadata(value());
        assert_says(&built(&input).expect_err(text), &["http_input: connector_metadata", kind, "an object"]);
        let command = SendOutputCommand::new("p", "v", "c", value());
        let problem = ["post_pipeline_output_connector_command: command", kind, "an object"];
        let error = built(&command).expect_err(text);
        assert_says(&error, &problem);
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    for format in [DataFormat::Parquet, DataFormat::Avro, DataFormat::Raw] {
        let metadata = Json::new(" {\"a\": 1}").expect("an object");
        built(&HttpInput::new("p", "t", format, "").connector_metadata(metadata)).expect("a request");
    }
}

/// A server accepts Debezium egress with 200, and then sends heartbeats only.
#[test]
fn egress_in_a_format_whose_rows_would_be_lost_is_not_sent() {
    for (format, problem) in [(UpdateFormat::Debezium, "drop every row"), (UpdateFormat::Redis, "panic")] {
        let output = HttpOutput::new("p", "v", DataFormat::Json).update_format(format.clone());
        let parts = ["http_output: update_format", format.as_str(), problem, "use insert_delete or snowflake"];
        assert_says(&built(&output).expect_err("no rows"), &parts);
        // CSV has no update formats, and its rows come.
        built(&HttpOutput::new("p", "v", DataFormat::Csv).update_format(format)).expect("a request");
    }
    for format in [UpdateFormat::InsertDelete, UpdateFormat::Snowflake, UpdateFormat::Raw, UpdateFormat::Weighted] {
        built(&HttpOutput::new("p", "v", DataFormat::Json).update_format(format)).expect("a request");
    }
}
