//! Batches of rows: nothing is lost or split, tokens are correct, and what cannot be sent is rejected.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::time::Duration;

use pipewright::Timestamp;
use pipewright::snowpipe::append::{Encoding, MAX_BYTES};
use pipewright::snowpipe::rows::{Batch, BatchBuilder, BatchOptions, Compression, Cut, NonFinite, RowError};
use proptest::prelude::*;
use serde::Serialize;
use serde::ser::{SerializeStruct as _, Serializer};
use serde_json::json;
use serde_json::value::RawValue;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// The text of a batch, decompressed by others than what compressed it.
fn text(batch: &Batch) -> String {
    let body = batch.body.read().expect("in memory");
    let mut text = String::new();
    match &batch.encoding {
        None => text = String::from_utf8(body.to_vec()).expect("UTF-8"),
        Some(Encoding::Gzip) => text = String::from_utf8(gunzip(&body)).expect("UTF-8"),
        Some(Encoding::Zstd) => {
            ruzstd::decoding::StreamingDecoder::new(&body[..]).expect("zstd").read_to_string(&mut text).expect("zstd");
        }
        Some(other) => panic!("{other}"),
    }
    assert_eq!(text.len() as u64, batch.uncompressed);
    text
}

/// One member of [RFC 1952](https://www.rfc-editor.org/rfc/rfc1952), read by hand but for what is deflated in it: by
/// flate2 it was written.
fn gunzip(body: &[u8]) -> Vec<u8> {
    let (head, rest) = body.split_at(10);
    let (deflated, tail) = rest.split_at(rest.len() - 8);
    assert_eq!(head[..4], [0x1f, 0x8b, 8, 0], "deflate, and no optional fields");
    let bytes = miniz_oxide::inflate::decompress_to_vec(deflated).expect("deflated");
    let crc = bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    });
    let length = u32::try_from(bytes.len()).expect("small");
    assert_eq!(tail, [(!crc).to_le_bytes(), length.to_le_bytes()].concat(), "CRC-32 and length");
    bytes
}

fn drain(builder: &mut BatchBuilder) -> Vec<Batch> {
    builder.flush();
    std::iter::from_fn(|| builder.next_batch(NOW)).collect()
}

/// Hardly compressible text.
fn noise(length: usize, mut state: u64) -> String {
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'0' + u8::try_from((state >> 33) % 75).expect("small"))
        })
        .collect::<String>()
        .replace('\\', "/")
}

#[test]
fn a_batch_ends_by_rows_by_bytes_and_by_age() {
    let mut builder = BatchBuilder::new(BatchOptions::new().rows(2).bytes(20).age(Duration::from_millis(10)));
    let mut push = |text: &str, token: &str, now| {
        builder.push_line(text.as_bytes(), Some(token)).expect("a row");
        std::iter::from_fn(|| builder.next_batch(now)).map(|batch| batch.end_offset_token.expect("a token")).collect()
    };
    let none: [&str; 0] = [];
    let check = |got: Vec<String>, expected: &[&str]| assert_eq!(got, expected);
    check(push(r#"{"a":1}"#, "1", NOW), &none);
    check(push(r#"{"a":2}"#, "2", NOW), &["2"]);
    // 12 bytes, then 12 more, which would be 24.
    check(push(r#"{"a":"333"}"#, "3", NOW), &none);
    check(push(r#"{"a":"444"}"#, "4", NOW), &["3"]);
    // One row that is larger than a batch has one of its own, behind what came before.
    check(push(r#"{"a":"55555555555555"}"#, "5", NOW), &["4", "5"]);
    let later = NOW + Duration::from_millis(10);
    check(push("{}", "6", NOW), &none);
    assert_eq!(builder.due(), Some(later));
    assert!(builder.next_batch(NOW + Duration::from_millis(9)).is_none());
    assert_eq!(builder.next_batch(later).expect("it is old").end_offset_token.as_deref(), Some("6"));
    assert_eq!((builder.due(), builder.next_batch(later).is_none()), (None, true));
    assert_eq!((builder.taken(), builder.open_rows(), builder.open_bytes()), (6, 0, 0));
}

#[test]
fn tokens_are_those_of_the_first_and_last_row_that_have_one() {
    let mut builder = BatchBuilder::new(BatchOptions::new());
    for token in [None, Some("7"), Some(""), Some("9"), None] {
        builder.push(&json!({}), token).expect("a row");
    }
    let [batch] = &drain(&mut builder)[..] else { panic!("one batch") };
    assert_eq!(batch.start_offset_token.as_deref(), Some("7"));
    assert_eq!(batch.end_offset_token.as_deref(), Some("9"));
    assert_eq!((batch.rows, batch.first_row), (5, 0));

    builder.push(&json!({}), None).expect("a row");
    let [batch] = &drain(&mut builder)[..] else { panic!("one batch") };
    assert_eq!((&batch.start_offset_token, &batch.end_offset_token, batch.first_row), (&None, &None, 5));
}

#[test]
fn what_belongs_together_is_not_cut() {
    let options = BatchOptions::new().rows(2).cut(Cut::BehindTokens);
    let mut builder = BatchBuilder::new(options);
    let push = |builder: &mut BatchBuilder, token| builder.push(&json!({}), token).expect("a row");
    for token in [None, None, None] {
        push(&mut builder, token);
        assert!(builder.next_batch(Timestamp::MAX).is_none(), "neither by rows nor by age");
    }
    assert_eq!(builder.due(), None);
    builder.flush();
    assert_eq!(builder.open_rows(), 3, "nor by a flush");
    push(&mut builder, Some("4"));
    let batch = builder.next_batch(NOW).expect("the token is there");
    assert_eq!((batch.rows, batch.end_offset_token.as_deref()), (4, Some("4")));
    // What waits stays behind.
    push(&mut builder, Some("5"));
    push(&mut builder, None);
    let batch = builder.next_batch(NOW).expect("by rows");
    assert_eq!((batch.rows, batch.end_offset_token.as_deref()), (1, Some("5")));
    assert_eq!(builder.open_rows(), 1);

    let mut builder = BatchBuilder::new(BatchOptions::new().cut(Cut::BehindTokens));
    let row = json!({ "a": "x".repeat(1_500_000) });
    builder.push(&row, Some("1")).expect("a row");
    builder.push(&row, None).expect("a row");
    builder.push(&row, None).expect("a row");
    let error = builder.push(&row, Some("2")).expect_err("4.5 MB together");
    let RowError::TooLargeTogether { index: 3, rows: 3, bytes: 4_500_027 } = error else { panic!("{error:?}") };
    assert_eq!(builder.open_rows(), 2);
}

/// A row with every kind of value that serde knows.
struct Odd(f64);

impl Serialize for Odd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_struct("Odd", 3)?;
        row.serialize_field("list", &[Some(1.5), None])?;
        row.serialize_field("map", &BTreeMap::from([("k", ((1_u8, 'c', "s"), Some(self.0)))]))?;
        row.serialize_field("last", &())?;
        row.end()
    }
}

#[test]
fn rows_are_written_as_serde_json_writes_them() {
    let mut builder = BatchBuilder::new(BatchOptions::new());
    builder.push(&Odd(-0.25), None).expect("a row");
    let [batch] = &drain(&mut builder)[..] else { panic!("one batch") };
    assert_eq!(text(batch), serde_json::to_string(&Odd(-0.25)).expect("JSON") + "\n");
}

#[test]
fn numbers_that_are_none_are_rejected_or_null() {
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut builder = BatchBuilder::new(BatchOptions::new());
        builder.push(&json!({ "a": 1 }), Some("1")).expect("a row");
        let error = builder.push(&BTreeMap::from([("price", number)]), Some("2")).expect_err("no number");
        assert_eq!(error, RowError::NotFinite { index: 1, field: Some("price".to_owned()) });
        assert!(error.to_string().contains("row 1: the field \"price\" is NaN"), "{error}");
        let error = builder.push(&Odd(number), Some("2")).expect_err("no number");
        assert_eq!(error, RowError::NotFinite { index: 1, field: Some("map.k".to_owned()) });
        builder.push(&BTreeMap::from([("narrow", 1.0_f32 / 0.0)]), None).expect_err("no number");
        let [batch] = &drain(&mut builder)[..] else { panic!("one batch") };
        assert_eq!(text(batch), "{\"a\":1}\n", "the refused rows left nothing behind");
        assert_eq!(batch.end_offset_token.as_deref(), Some("1"));

        let mut builder = BatchBuilder::new(BatchOptions::new().non_finite(NonFinite::Null));
        builder.push(&BTreeMap::from([("price", number)]), None).expect("null");
        let [batch] = &drain(&mut builder)[..] else { panic!("one batch") };
        assert_eq!(text(batch), "{\"price\":null}\n");
    }
}

#[test]
fn what_is_no_row_is_rejected() {
    let mut builder = BatchBuilder::new(BatchOptions::new());
    for (value, found) in [
        (json!([{}]), "a list"),
        (json!("{}"), "a text"),
        (json!(null), "null"),
        (json!(-1), "a number"),
        (json!(true), "a boolean"),
    ] {
        assert_eq!(builder.push(&value, None), Err(RowError::NotAnObject { index: 0, found }));
        let line = value.to_string();
        assert_eq!(builder.push_line(line.as_bytes(), None), Err(RowError::NotAnObject { index: 0, found }));
    }
    for (line, problem) in [
        (&b""[..], "a value is expected"),
        (b"{", "ends before byte 2"),
        (b"{}{}", "expected nothing behind the value"),
        (b"{\"a\":NaN}", "expected"),
        (b"{\"a\":\n1}", "line end"),
        (b"{}\r{}", "line end"),
        (b"{\"a\":\"\xff\"}", "UTF-8"),
        (b"not json", "expected"),
        (b"\xef\xbb\xbf{}", "there is a byte order mark; leave out its three bytes"),
        (b"{\"a\":1e999}", "the number at byte 6 is beyond the range of a 64-bit float"),
        (b"{\"a\":\"\\udc00\"}", "the escape at byte 7 is one half of a surrogate pair"),
        (("{\"a\":".repeat(100_000) + "1" + &"}".repeat(100_000)).as_bytes(), "nested more than 120 levels deep"),
    ] {
        let error = builder.push_line(line, None).expect_err("no row");
        assert!(matches!(error, RowError::Line { index: 0, .. }), "{error:?}");
        assert!(error.to_string().contains(problem), "{error}");
    }
    let pairs = BTreeMap::from([((1, 2), 3)]);
    assert!(matches!(builder.push(&pairs, None), Err(RowError::Serialize { index: 0, .. })));
    assert_eq!((builder.taken(), builder.open_bytes()), (0, 0));
    builder.push_line(b" {\"a\": 1}\r\n", None).expect("white space around it is nothing");
    assert_eq!(text(&drain(&mut builder)[0]), "{\"a\": 1}\n");
}

#[test]
fn raw_values_lose_their_line_ends() {
    let raw = RawValue::from_string("{\n  \"a\": \"x\\n\",\r\n \"b\": [\n]}".to_owned()).expect("JSON");
    let mut builder = BatchBuilder::new(BatchOptions::new());
    builder.push(&BTreeMap::from([("raw", &raw)]), None).expect("a row");
    builder.push(&raw, None).expect("a row");
    let text = text(&drain(&mut builder)[0]);
    let rows: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(rows, [json!({ "raw": { "a": "x\n", "b": [] } }), json!({ "a": "x\n", "b": [] })]);
}

#[test]
fn keys_in_upper_case() {
    let mut builder = BatchBuilder::new(BatchOptions::new().upper_case_keys(true));
    builder.push(&json!({ "id": "x", "o": { "k": 1 } }), None).expect("a row");
    builder.push_line(br#"{"id":"x","o":{"k":1}}"#, None).expect("a row");
    assert_eq!(text(&drain(&mut builder)[0]), "{\"ID\":\"x\",\"O\":{\"k\":1}}\n".repeat(2));
}

#[test]
fn a_row_that_fits_into_no_append_is_rejected_with_its_size() {
    let fits = json!({ "a": noise(4_194_295, 1) });
    let larger = json!({ "a": noise(4_194_296, 1) });
    let repeated = json!({ "a": "x".repeat(6_000_000) });
    let huge = json!({ "a": noise(6_000_000, 1) });

    let mut builder = BatchBuilder::new(BatchOptions::new());
    builder.push(&json!({}), Some("0")).expect("a row");
    builder.push(&fits, Some("1")).expect("just as much as fits");
    let error = builder.push(&larger, Some("2")).expect_err("a byte more");
    assert_eq!(error, RowError::TooLarge { index: 2, bytes: MAX_BYTES + 1, compressed: None });
    assert!(error.to_string().contains("row 2: it has 4194305 bytes"), "{error}");
    let ends: Vec<_> = drain(&mut builder).into_iter().map(|batch| (batch.rows, batch.body.len())).collect();
    assert_eq!(ends, [(1, 3), (1, MAX_BYTES)]);

    for compression in [Compression::Gzip(1), Compression::Zstd(1)] {
        let mut builder = BatchBuilder::new(BatchOptions::new().compression(compression));
        builder.push(&json!({}), Some("0")).expect("a row");
        builder.push(&repeated, Some("1")).expect("small when compressed");
        builder.push(&larger, Some("2")).expect("it has 75 different bytes, and fits");
        let error = builder.push(&huge, Some("3")).expect_err("not even compressed");
        let RowError::TooLarge { index: 3, bytes: 6_000_009, compressed: Some(compressed) } = error else {
            panic!("{error:?}")
        };
        assert!(compressed > MAX_BYTES);
        builder.push(&json!({}), Some("3")).expect("it continues");
        let batches = drain(&mut builder);
        let ends: Vec<_> = batches.iter().map(|batch| batch.end_offset_token.as_deref().expect("a token")).collect();
        assert_eq!(ends, ["0", "1", "2", "3"]);
        assert!(text(&batches[1]).contains("xxx") && batches[1].body.len() < 100_000);
        assert_eq!(batches[3].first_row, 3);
    }
}

#[test]
fn what_is_too_large_after_compression_is_several_batches() {
    // 12 MB, which compress to 9.
    let rows: Vec<String> = (0..60).map(|row| json!({ "n": row, "text": noise(200_000, row) }).to_string()).collect();
    let lines = rows.join("\n") + "\n";
    for compression in [Compression::Gzip(1), Compression::Zstd(1)] {
        for cut in [Cut::Anywhere, Cut::BehindTokens] {
            let options = BatchOptions::new().bytes(40_000_000).compression(compression).cut(cut);
            let mut builder = BatchBuilder::new(options);
            for (index, row) in rows.iter().enumerate() {
                // A token for every third.
                let token = (index % 3 == 2).then(|| index.to_string());
                builder.push_line(row.as_bytes(), token.as_deref()).expect("a row");
            }
            let batches = drain(&mut builder);
            assert_eq!(batches.len(), 4);
            let mut next = 0;
            for batch in &batches {
                assert!(batch.body.len() <= MAX_BYTES, "{batch:?}");
                assert_eq!(batch.first_row, next);
                next += batch.rows;
                // The last row with a token, by counting.
                assert_eq!(
                    batch.end_offset_token,
                    (next.checked_sub(1)).map(|last| ((last + 1) / 3 * 3 - 1).to_string())
                );
                assert!(cut == Cut::Anywhere || next % 3 == 0, "cut behind row {next}");
            }
            assert_eq!(batches.iter().map(text).collect::<String>(), lines);
        }
    }
}

/// Two batches with the same end token could not be told apart.
#[test]
fn a_split_batch_ends_behind_tokens_that_one_row_has() {
    let options = BatchOptions::new().bytes(40_000_000).compression(Compression::Zstd(1)).cut(Cut::BehindTokens);
    let mut builder = BatchBuilder::new(options);
    for index in 0..30_u64 {
        let row = json!({ "text": noise(200_000, index) });
        let token = if index % 10 == 9 { index.to_string() } else { "the same".to_owned() };
        builder.push(&row, Some(&token)).expect("a row");
    }
    let ends: Vec<_> = drain(&mut builder).into_iter().filter_map(|batch| batch.end_offset_token).collect();
    assert!(ends.len() > 1 && !ends.contains(&"the same".to_owned()), "{ends:?}");
}

#[test]
fn what_does_not_get_smaller_is_sent_as_it_is() {
    let mut builder = BatchBuilder::new(BatchOptions::new().compression(Compression::Zstd(1)));
    builder.push(&json!({}), None).expect("a row");
    let [batch] = &drain(&mut builder)[..] else { panic!("one batch") };
    assert_eq!((&batch.encoding, batch.body.len()), (&None, 3));
}

fn options() -> impl Strategy<Value = BatchOptions> {
    let compression = prop_oneof![Just(Compression::None), Just(Compression::Gzip(6)), Just(Compression::Zstd(-1))];
    (1..300_usize, 1..20_usize, compression, any::<bool>()).prop_map(|(bytes, rows, compression, together)| {
        let cut = if together { Cut::BehindTokens } else { Cut::Anywhere };
        BatchOptions::new().bytes(bytes).rows(rows).compression(compression).cut(cut)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the limits and whenever batches are taken, each row is in one batch, in order, with the right tokens.
    #[test]
    fn every_row_is_in_one_batch(
        options in options(),
        rows in proptest::collection::vec(("[a-z\\PC]{0,40}", any::<bool>(), 0..600_u64, any::<bool>()), 0..120),
    ) {
        let mut builder = BatchBuilder::new(options.clone());
        let (mut now, mut batches, mut expected, mut tokens) = (NOW, Vec::new(), String::new(), Vec::new());
        for (index, (content, has_token, wait, rejected)) in rows.iter().enumerate() {
            if *rejected {
                builder.push(&json!([content]), Some("refused")).expect_err("a list");
                builder.push(&BTreeMap::from([(content, f64::NAN)]), Some("refused")).expect_err("no number");
            }
            let row = json!({ "c": content });
            let token = has_token.then(|| index.to_string());
            if index % 2 == 0 {
                builder.push(&row, token.as_deref()).expect("a row");
            } else {
                builder.push_line(row.to_string().as_bytes(), token.as_deref()).expect("a row");
            }
            expected += &row.to_string();
            expected.push('\n');
            tokens.push(token);
            batches.extend(std::iter::from_fn(|| builder.next_batch(now)));
            now = now + Duration::from_millis(*wait);
        }
        builder.flush();
        batches.extend(std::iter::from_fn(|| builder.next_batch(now)));

        let mut next = 0;
        for batch in &batches {
            let rows = usize::try_from(batch.rows).expect("small");
            prop_assert!(rows > 0 && batch.first_row == next as u64);
            let lines = text(batch);
            prop_assert_eq!(lines.lines().count(), rows);
            let mut its = tokens[next..next + rows].iter().flatten();
            prop_assert_eq!(&batch.start_offset_token, &its.clone().next().cloned());
            prop_assert_eq!(&batch.end_offset_token, &its.next_back().cloned());
            next += rows;
            if options.cut == Cut::BehindTokens {
                prop_assert!(tokens[next - 1].is_some());
            } else {
                prop_assert!(rows <= options.rows);
                prop_assert!(rows == 1 || lines.len() <= options.bytes);
            }
        }
        let sent: String = batches.iter().map(text).collect();
        let left = builder.open_bytes();
        prop_assert_eq!(&expected[..expected.len() - left], sent);
        prop_assert!(left == 0 || options.cut == Cut::BehindTokens);
        prop_assert_eq!(tokens[next..].iter().flatten().count(), 0);
    }
}
