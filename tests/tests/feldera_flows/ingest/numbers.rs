//! Rows with values that JSON cannot represent, or that a reader takes for another value.

use std::collections::BTreeMap;

use pipewright::NonFinite;
use pipewright::error::FlowError;
use pipewright::feldera::data::UpdateFormat;
use pipewright::feldera::{Ingest, IngestEvent, Json, PushError};
use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use super::{INGRESS, TOKEN, finish, next, running, start};

/// As `null`, a number would be another value, and nothing would say so.
#[test]
fn a_number_that_json_cannot_represent_is_handed_back_with_its_field() {
    let sent = "{\"insert\":{\"id\":1,\"price\":0.5}}\n";
    let script = finish(running().expect("POST", INGRESS).body(sent).reply_json(200, TOKEN));
    let mut ingestion = start(&script, Ingest::new("p", "T"));
    let row = |number: f64| BTreeMap::from([("id", 1.0), ("price", number)]);
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let pushed = ingestion.push(row(number)).expect_err("no number");
        let updated = ingestion.update(row(number)).expect_err("no number");
        let deleted = ingestion.delete(row(number)).expect_err("no number");
        for error in [pushed, updated, deleted] {
            assert_eq!(
                error.to_string(),
                "the row cannot be sent: the field \"price\" is NaN or infinite, which JSON cannot represent; send null, or \
                 set NonFinite::Null"
            );
            assert!(matches!(error, PushError::Invalid { row, .. } if row["price"].total_cmp(&number).is_eq()));
        }
        let error = ingestion.push(number).expect_err("no row").to_string();
        assert!(error.contains("a value is NaN or infinite"), "{error}");
    }
    let readings = BTreeMap::from([("readings", BTreeMap::from([("celsius", [Some(1.5_f32), Some(f32::NAN)])]))]);
    let error = ingestion.push(readings).expect_err("no number").to_string();
    assert!(error.contains("the field \"readings.celsius\" is NaN or infinite"), "{error}");
    assert_eq!((ingestion.progress().pushed, ingestion.progress().waiting_bytes), (0, 0));
    assert_eq!(ingestion.push(Prices(1, 0.5)).expect("room"), 0);
    assert!(
        matches!(next(&mut ingestion, &script), Ok(IngestEvent::Accepted(_))),
        "the rejected rows left nothing behind"
    );
    ingestion.finish();
    assert!(matches!(next(&mut ingestion, &script), Ok(IngestEvent::Finished(_))));
    script.finish();

    let script = running().expect("POST", INGRESS).body("{\"delete\":{\"id\":1,\"price\":null}}\n");
    let script = script.reply_json(200, TOKEN);
    let mut ingestion = start(&script, Ingest::new("p", "T").non_finite(NonFinite::Null));
    ingestion.delete(Prices(1, f64::NAN)).expect("null is allowed");
    assert!(matches!(next(&mut ingestion, &script), Ok(IngestEvent::Accepted(_))));
    script.finish();
}

/// The server would panic over the first row.
#[test]
fn rows_in_an_update_format_that_ingress_does_not_support_are_not_sent() {
    for format in [UpdateFormat::Redis, UpdateFormat::Weighted] {
        let script = running();
        let mut ingestion = start(&script, Ingest::new("p", "T").update_format(format.clone()));
        ingestion.push_record("{\"id\":1}").expect("room");
        let error = next(&mut ingestion, &script).expect_err("it would panic");
        assert!(matches!(error, FlowError::Build(_)) && error.to_string().contains(format.as_str()), "{error}");
        assert_eq!(ingestion.take_unsent().len(), 1);
        script.finish();
    }
}

/// `CONNECTOR_METADATA()` returns it for every row.
#[test]
fn every_chunk_carries_the_metadata_of_the_flow() {
    let path = "/v0/pipelines/p/ingress/T?format=json&connector_metadata=%7B%22from%22%3A1%7D";
    let script = finish(running().expect("POST", path).body("{\"insert\":{\"id\":1}}\n").reply_json(200, TOKEN));
    let metadata = Json::new(r#"{"from":1}"#).expect("an object");
    let mut ingestion = start(&script, Ingest::new("p", "T").connector_metadata(metadata));
    ingestion.push(BTreeMap::from([("id", 1)])).expect("room");
    assert!(matches!(next(&mut ingestion, &script), Ok(IngestEvent::Accepted(_))));
    ingestion.finish();
    assert!(matches!(next(&mut ingestion, &script), Ok(IngestEvent::Finished(_))));
    script.finish();
}

/// A key and a price.
#[derive(Debug)]
struct Prices(u64, f64);

impl Serialize for Prices {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_struct("Prices", 2)?;
        row.serialize_field("id", &self.0)?;
        row.serialize_field("price", &self.1)?;
        row.end()
    }
}

/// What the row has is what is sent: no number is rounded, and Feldera judges what it cannot hold.
#[test]
fn whole_numbers_are_sent_with_all_their_digits_and_keys_as_strings() {
    let sent = "{\"insert\":{\"1\":340282366920938463463374607431768211455}}\n";
    let script = running().expect("POST", INGRESS).body(sent).reply_json(200, TOKEN);
    let mut ingestion = start(&script, Ingest::new("p", "T"));
    ingestion.push(BTreeMap::from([(1_u8, u128::MAX)])).expect("room");
    let error = ingestion.push(BTreeMap::from([([1], 1)])).expect_err("a list as a key").to_string();
    assert_eq!(error, "the row cannot be sent: it cannot be written as JSON: key must be a string");
    assert!(matches!(next(&mut ingestion, &script), Ok(IngestEvent::Accepted(_))));
    script.finish();
}
