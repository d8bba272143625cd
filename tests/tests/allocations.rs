//! How often the hot paths allocate.

use std::hint::black_box;
use std::ops::Range;

use allocation_counter::measure;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use pipewright::decode::{Decoder, LineLimit, Lines, NdJson};
use pipewright::error::{BuildError, ServiceError};
use pipewright::feldera::stream::Egress;
use pipewright::flink::{FlinkRest, GetJobStatus, JobId};
use pipewright::flow::{Call, Config, Flow, Step};
use pipewright::operation::{Effect, Info, RequestContext, Service};
use pipewright::snowpipe::rows::{BatchBuilder, BatchOptions, NonFinite};
use pipewright::url::Target;
use pipewright::{Base, Body, Operation, Secret, Seed, Segment, Timestamp};

/// A service with nothing of its own.
#[derive(Debug)]
enum Demo {}

impl Service for Demo {
    const NAME: &'static str = "demo";

    fn refusal(info: &'static Info, response: &Response<Bytes>) -> ServiceError {
        ServiceError::foreign(info, response)
    }
}

/// Rows for a table of a pipeline.
#[derive(Debug)]
struct PushRows {
    pipeline: &'static str,
    table: &'static str,
    rows: Bytes,
}

impl Operation for PushRows {
    type Output = ();
    type Service = Demo;
    const INFO: &'static Info = &Info {
        service: Demo::NAME,
        name: "pushRows",
        method: http::Method::POST,
        path: "/pipelines/{pipeline}/ingress/{table}",
        effect: Effect::Once,
        effect_varies: false,
    };

    fn request(&self, cx: RequestContext<'_>) -> Result<Request<Body>, BuildError> {
        let mut target = Target::new::<Demo>(Self::INFO, cx);
        target.segment("pipeline", &self.pipeline)?;
        target.segment("table", &self.table)?;
        target.query("format", &"json");
        target.query("array", &true);
        target.query("update_format", &"insert_delete");
        target.finish(Some(Body::from(self.rows.clone())))
    }

    fn parse(&self, _: Response<Bytes>) -> Result<(), ServiceError> {
        Ok(())
    }
}

/// What the work allocates, once everything that is made on first use has been made.
fn allocations(mut work: impl FnMut()) -> u64 {
    work();
    measure(work).count_total
}

/// Bytes that are shared already: the first clone of others allocates.
fn shared(bytes: &[u8]) -> Bytes {
    let bytes = Bytes::copy_from_slice(bytes);
    drop(bytes.clone());
    bytes
}

#[test]
fn a_request_takes_four() {
    let base: Base = "https://feldera.example:8080".parse().expect("an address");
    let credential = Secret::new("s3cr3t").bearer().expect("a header");
    let operation = PushRows { pipeline: "fraud-detection", table: "transactions", rows: shared(b"[{}]") };
    let count = allocations(|| {
        let mut request = operation.request(RequestContext::new(&base)).expect("a request");
        request.headers_mut().insert(header::AUTHORIZATION, credential.clone());
        black_box(request);
    });
    // The target, what its bytes share, and two for the headers.
    assert!(count <= 4, "{count} allocations");
}

#[test]
fn a_call_adds_none_to_request_and_answer() {
    let body = shared(br#"{"status":"RUNNING"}"#);
    let response = || {
        let mut response = Response::new(body.clone());
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    };
    let operation = GetJobStatus::new(JobId::from_bits(1));
    let plain = Config::<FlinkRest>::new("https://flink.example:8081".parse().expect("an address"));
    let authorized = plain.clone().with_credentials();
    let credential = Secret::new("s3cr3t").bearer().expect("a header");

    for config in [plain, authorized] {
        let by_hand = allocations(|| {
            let mut request = operation.request(RequestContext::new(config.base())).expect("a request");
            if config.is_authorized() {
                request.headers_mut().insert(header::AUTHORIZATION, credential.clone());
            }
            black_box(request);
            black_box(operation.parse(response()).expect("an answer"));
        });
        let by_call = allocations(|| {
            let mut call = Call::new(operation.clone(), &config, Seed::new(1));
            let mut reply = None;
            let result = loop {
                match call.poll(Timestamp::from_millis(1_700_000_000_000), reply.take()) {
                    Step::Send(exchange) => reply = Some(exchange.settle(Ok(response()))),
                    Step::Authorize(request) => reply = Some(request.settle(Ok(credential.clone()))),
                    Step::Done(result) => break result,
                    Step::Notice(_) => {}
                    other => panic!("{other:?}"),
                }
            };
            black_box(result.expect("an answer"));
        });
        assert!(by_hand > 0);
        assert_eq!(by_call, by_hand, "{config:?}");
    }
}

/// Gives the number of items.
fn decode<D: for<'a> Decoder<Item<'a> = &'a [u8]>>(decoder: &mut D, text: &str) -> usize {
    let mut items = 0;
    for piece in text.as_bytes().chunks(16 * 1024) {
        decoder.feed(piece);
        while decoder.advance().expect("an item") {
            black_box(decoder.item());
            items += 1;
        }
    }
    items
}

#[test]
fn decoders_allocate_for_the_buffer_only() {
    let text = r#"{"insert":{"id":1,"account":"DE02120300000000202051","amount":12345}}"#.to_owned() + "\n";
    let text = text.repeat(5000);

    let mut lines = Lines::new(LineLimit::default());
    assert_eq!(allocations(|| assert_eq!(decode(&mut lines, &text), 5000)), 0);
    let mut rows = NdJson::new(LineLimit::default());
    assert_eq!(allocations(|| assert_eq!(decode(&mut rows, &text), 5000)), 0);
}

/// Reads records that go on from a number; how many rows came, how often it allocated, and the most that it held.
fn read_rows(egress: &mut Egress, records: Range<u32>, payload: &str) -> (usize, u64, u64) {
    let record = |number| format!("{{\"sequence_number\":{number},\"snapshot\":false,{payload}}}\r\n");
    let body: String = records.map(record).collect();
    let mut rows = 0;
    let allocated = measure(|| {
        for piece in body.as_bytes().chunks(32 * 1024) {
            egress.feed(piece);
            while egress.advance().expect("a chunk") {
                rows += egress.item().rows().map(black_box).count();
            }
        }
    });
    (rows, allocated.count_total, allocated.bytes_max)
}

#[test]
fn rows_of_a_view_are_handed_out_where_they_stand() {
    let row = r#"{"insert":{"id":1,"account":"DE02120300000000202051","amount":12345}}"#;
    let json = format!("\"json_data\":[{}]", vec![row; 100].join(","));
    let csv = format!("\"text_data\":\"{}\"", "1,DE02120300000000202051,1\\n".repeat(100));
    for payload in [json, csv] {
        let mut egress = Egress::new(LineLimit::default());
        let (rows, _, held) = read_rows(&mut egress, 0..100, &payload);
        assert_eq!(rows, 10_000);
        assert!(held < 150_000, "{held} bytes, and the longest record has {}", payload.len());
        let (rows, allocations, _) = read_rows(&mut egress, 100..1000, &payload);
        assert_eq!((rows, allocations), (90_000, 0));
    }
}

#[test]
fn a_clone_of_a_body_is_free() {
    let pieces = || [Segment::Bytes(shared(b"head")), Segment::Bytes(shared(b"tail"))];
    for body in [Body::empty(), Body::from(shared(b"rows")), Body::from_segments(pieces())] {
        assert_eq!(allocations(|| drop(black_box(body.clone()))), 0, "{body:?}");
    }
}

/// A row that serde writes field by field, with what needs looking at: numbers, texts, a list, nothing.
struct Row(u32);

impl serde::Serialize for Row {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut row = serializer.serialize_struct("Row", 4)?;
        row.serialize_field("id", &self.0)?;
        row.serialize_field("amount", &(f64::from(self.0) / 8.0))?;
        row.serialize_field("name", "a \"name\"")?;
        row.serialize_field("tags", &[Some("one"), None])?;
        row.end()
    }
}

#[test]
fn a_row_takes_none_and_a_batch_its_buffer() {
    let now = Timestamp::UNIX_EPOCH;
    for options in [
        BatchOptions::new().rows(1000),
        BatchOptions::new().rows(1000).upper_case_keys(true).non_finite(NonFinite::Null),
    ] {
        let mut builder = BatchBuilder::new(options);
        let mut batch = || {
            for number in 0..500 {
                builder.push(&Row(number), Some("token"), now).expect("a row");
                builder.push_line(b"{\"id\":1,\"name\":\"a name\"}", Some("token"), now).expect("a row");
            }
            black_box(builder.next_batch(now).expect("a batch"));
        };
        // The first shows how much room they take.
        batch();
        // Lines, tokens and rows; what shares the lines; two tokens, and the place of the batch.
        let count = allocations(batch);
        assert!(count <= 8, "{count} allocations for 1000 rows");
    }
    // Rows whose batch stays open take nothing at all.
    let mut builder = BatchBuilder::new(BatchOptions::new().rows(1000));
    for _ in 0..1000 {
        builder.push(&Row(1), Some("token"), now).expect("a row");
    }
    builder.push(&Row(1), Some("token"), now).expect("a row");
    let more = || (0..200).for_each(|_| builder.push(&Row(1), Some("token"), now).expect("a row"));
    assert_eq!(allocations(more), 0);
}
