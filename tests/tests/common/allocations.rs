//! How often the hot paths allocate.

use std::hint::black_box;
use std::ops::Range;
use std::time::Duration;

use allocation_counter::measure;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use pipewright::decode::{Decoder, LineLimit, Lines, NdJson};
use pipewright::driver::{Clock as _, ignore_notices};
use pipewright::error::{BuildError, ServiceError};
use pipewright::feldera::stream::Egress;
use pipewright::flink::jobs::GetJobStatus;
use pipewright::flink::{FlinkRest, JobId};
use pipewright::flow::{Call, Config, Flow, Goal as _, Reply, SavedState, Step, ready};
use pipewright::operation::{Effect, OperationInfo, RequestContext, Service, Target};
use pipewright::snowpipe::account::TokenType;
use pipewright::snowpipe::rows::{BatchBuilder, BatchOptions, Compression, NonFinite};
use pipewright::snowpipe::session::Session;
use pipewright::snowpipe::{
    Account, ChannelPath, OpenSession, OpenWriter, PushError, StatusBatcher, Writer, WriterEvent,
};
use pipewright::{Base, Body, Operation, Secret, Seed, Segment, Timestamp};
use pipewright_mock::World;
use pipewright_mock::snowpipe::Config as Simulated;
use pipewright_tests::recorded::Recorded;

/// A service with nothing of its own.
#[derive(Debug)]
enum Demo {}

impl Service for Demo {
    const NAME: &'static str = "demo";

    fn parse_error(info: &'static OperationInfo, response: &Response<Bytes>) -> ServiceError {
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
    const INFO: &'static OperationInfo = &OperationInfo {
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

/// Reads records that continue from a number; how many rows came, how often it allocated, and the most that it held.
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
                builder.push(&Row(number), Some("token")).expect("a row");
                builder.push_line(b"{\"id\":1,\"name\":\"a name\"}", Some("token")).expect("a row");
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
        builder.push(&Row(1), Some("token")).expect("a row");
    }
    builder.push(&Row(1), Some("token")).expect("a row");
    let more = || (0..200).for_each(|_| builder.push(&Row(1), Some("token")).expect("a row"));
    assert_eq!(allocations(more), 0);
}

/// Scene in a simulated account.
struct Scene {
    world: World,
    account: Account<World>,
    session: Session,
    writers: Vec<Writer>,
}

impl Scene {
    /// Their channels are open.
    fn open(count: usize, goal: impl Fn(OpenWriter) -> OpenWriter) -> Self {
        let world = World::new(1);
        let simulator = world.snowpipe("https://acct.snow.test".parse().expect("an address"), Simulated::default());
        let account = Account::new(simulator.base(), world.clone()).with_credentials(Secret::new("pat"));
        let session = account.run(OpenSession::new(TokenType::ProgrammaticAccessToken)).expect("no faults");
        let start = |number| {
            let path = ChannelPath::new("DATABASE", "PUBLIC", "ORDERS-STREAMING", format!("partition-{number}"));
            goal(OpenWriter::new(&session, path)).start(account.config(), account.seed())
        };
        let writers = (0..count).map(start).collect();
        let mut this = Self { world, account, session, writers };
        this.until(|event| matches!(event, WriterEvent::Opened { .. }));
        this
    }

    /// All of them, each until an event.
    fn until(&mut self, event: fn(&WriterEvent) -> bool) {
        let flows = self.writers.iter_mut().map(|writer| Until { writer, event });
        let results = self.world.run_all_with(flows, &Secret::new("pat"), |_, _| {});
        assert!(results.into_iter().all(|result| result.is_ok()));
    }

    /// Each writes batches of a row, and waits until all are committed.
    fn write(&mut self, batches: u32) {
        for writer in &mut self.writers {
            writer.flush();
            for batch in 0..batches {
                let token = format!("{batch:020}");
                writer.push_line(br#"{"ID":1,"NAME":"a name"}"#, Some(&token)).expect("there is room");
                writer.flush();
            }
        }
        self.until(|event| matches!(event, WriterEvent::Flushed));
    }

    /// How many bytes each holds, the session included, and the board.
    fn held(self, board: StatusBatcher) -> u64 {
        let Self { session, writers, .. } = self;
        let count = writers.len() as u64;
        let freed = measure(move || drop((writers, session, board)));
        u64::try_from(-freed.bytes_current).expect("it was freed") / count
    }
}

/// Runs a writer until an event.
struct Until<'a> {
    writer: &'a mut Writer,
    event: fn(&WriterEvent) -> bool,
}

impl Flow for Until<'_> {
    type Output = ();

    fn poll(&mut self, now: Timestamp, mut reply: Option<Reply>) -> Step<()> {
        loop {
            match ready!(self.writer.poll(now, reply.take())) {
                Ok(event) if (self.event)(&event) => return Step::Done(Ok(())),
                Ok(_) => {}
                Err(error) => return Step::Done(Err(error)),
            }
        }
    }
}

#[test]
fn an_idle_writer_holds_less_than_4_kib() {
    for (count, batches) in [(1000, 2), (20, 100)] {
        let board = StatusBatcher::new();
        let mut writers = Scene::open(count, |goal| goal.sharing(&board));
        writers.write(batches);
        let held = writers.held(board);
        assert!(held < 4096, "{held} bytes each of {count} that share a board, after {batches} batches");
    }
    // Each with a board of its own.
    for batches in [0, 2, 100] {
        let mut writers = Scene::open(20, |goal| goal);
        writers.write(batches);
        let held = writers.held(StatusBatcher::new());
        assert!(held < 4096, "{held} bytes each with a board of its own, after {batches} batches");
    }
}

/// The writer that polls posts the statuses of the others, which take them later.
#[test]
fn it_holds_no_more_when_it_has_looked_at_its_channel() {
    let board = StatusBatcher::new();
    let mut writers = Scene::open(20, |goal| goal.sharing(&board));
    writers.write(2);
    let Scene { world, account, writers: all, .. } = &mut writers;
    for writer in all {
        let later = world.now() + Duration::from_secs(40);
        assert_eq!(account.drive_until(writer, later, ignore_notices).expect("no faults"), None);
    }
    let held = writers.held(board);
    assert!(held < 4096, "{held} bytes each");
}

/// What another process had sent is many tokens, and they are forgotten when their outcome is known.
#[test]
fn it_holds_nothing_of_the_one_before() {
    let position = |sent: usize| {
        let tokens: Vec<String> = (0..sent).map(|number| format!("\"{number:020}\"")).collect();
        let path = r#"{"database":"DATABASE","schema":"PUBLIC","pipe":"ORDERS-STREAMING","channel":"c"}"#;
        let state = format!(r#"{{"path":{path},"position":{{"sent":[{}]}}}}"#, tokens.join(","));
        serde_json::from_value::<SavedState>(serde_json::json!({ "flow": "Writer", "state": state })).expect("a state")
    };
    let mut writers = Scene::open(1, |goal| goal);
    let resumed = OpenWriter::resume(&writers.session, &position(200)).expect("a position");
    writers.writers = vec![resumed.start(writers.account.config(), writers.account.seed())];
    writers.until(|event| matches!(event, WriterEvent::Opened { .. }));
    let held = writers.held(StatusBatcher::new());
    assert!(held < 6144, "{held} bytes with the session");
}

impl Scene {
    /// Polls the first writer until it waits; how often it allocated, until when it waits, and what has happened.
    fn until_it_waits(&mut self) -> (u64, Timestamp, Vec<WriterEvent>) {
        let Self { world, writers, .. } = self;
        let writer = &mut writers[0];
        let (mut count, mut reply, mut events) = (0, None, Vec::new());
        loop {
            let mut step = None;
            let now = world.now();
            count += measure(|| step = Some(writer.poll(now, reply.take()))).count_total;
            match step.expect("it was polled") {
                Step::Send(exchange) => {
                    world.submit(exchange);
                    reply = world.next_reply(Timestamp::MAX).map(|(_, reply)| reply);
                }
                Step::Authorize(request) => reply = Some(request.settle(Secret::new("pat").bearer())),
                Step::Notice(_) => {}
                Step::Done(event) => events.push(event.expect("no faults")),
                Step::WaitUntil(at) | Step::InFlight { until: at } => return (count, at, events),
                Step::Stray(reply) => panic!("{reply:?}"),
            }
        }
    }
}

/// How often pushing a row with each of the tokens allocates.
fn push(writer: &mut Writer, tokens: &[String], row: fn(&mut Writer, &str) -> Result<(), PushError>) -> u64 {
    let push_all = || tokens.iter().for_each(|token| row(writer, token).expect("there is room"));
    measure(push_all).count_total
}

#[test]
fn a_writer_allocates_for_batches_and_not_for_rows() {
    let serialized = |writer: &mut Writer, token: &str| writer.push(&Row(7), Some(token));
    let ready = |writer: &mut Writer, token: &str| writer.push_line(br#"{"id":1,"name":"a name"}"#, Some(token));
    let mut one = Scene::open(1, |goal| goal.batches(BatchOptions::new().rows(1000)));
    let tokens: Vec<String> = (0..5000).map(|number| format!("{number:020}")).collect();
    for (batch, tokens) in tokens.chunks(1000).enumerate() {
        let writer = &mut one.writers[0];
        let first = push(writer, &tokens[..1], serialized);
        let rows = push(writer, &tokens[1..500], serialized) + push(writer, &tokens[500..999], ready);
        let last = push(writer, &tokens[999..], serialized);
        let (append, mut until, mut events) = one.until_it_waits();
        assert_eq!(events, [], "it was sent");
        let mut look = 0;
        while events.is_empty() {
            one.world.sleep_until(until);
            (look, until, events) = one.until_it_waits();
        }
        assert!(matches!(&*events, [WriterEvent::Committed { batches: 1, rows: 1000, .. }]), "{events:?}");
        // The first batch shows how much room they take.
        if batch > 0 {
            assert_eq!(rows, 0, "of a batch that stays open");
            // As above; and the batch's place in the list of waiting batches.
            assert!(first + last <= 9, "{first} + {last} allocations for 1000 rows");
            assert!(append <= 32, "{append} allocations to append a batch");
            assert!(look <= 48, "{look} allocations to poll whether it is committed");
        }
    }
}

#[test]
fn a_builder_keeps_its_memory_for_more_rows_until_it_is_flushed() {
    let now = Timestamp::UNIX_EPOCH;
    for compression in [Compression::None, Compression::Zstd(1)] {
        let mut builder = BatchBuilder::new(BatchOptions::new().rows(1000).compression(compression));
        let mut uncompressed = 0;
        let mut batch = |builder: &mut BatchBuilder| {
            (0..1000).for_each(|number| builder.push(&Row(number), Some("token")).expect("a row"));
            let batch = builder.next_batch(now).expect("a batch");
            uncompressed = batch.uncompressed;
            builder.reuse(batch);
        };
        let first = measure(|| (0..3).for_each(|_| batch(&mut builder)));
        assert!(first.bytes_current > 0, "{compression:?}: rows may follow");
        let next = measure(|| batch(&mut builder));
        assert_eq!(next.bytes_current, 0, "{compression:?}");
        // What is compressed is given as much room as it may take in the worst case.
        let limit = if compression == Compression::None { 1024 } else { uncompressed / 2 * 3 };
        assert!(next.bytes_total < limit, "{compression:?}: {} bytes for {uncompressed}", next.bytes_total);
        let flushed = measure(|| builder.flush());
        assert_eq!(first.bytes_current + flushed.bytes_current, 0, "{compression:?}: nothing is kept");
    }
}

#[test]
fn a_writer_whose_rows_are_committed_keeps_no_buffer() {
    let status = |token| format!(r#"{{"channel_status_code":"SUCCESS","last_committed_offset_token":{token}}}"#);
    let service = Recorded::new(move |operation, _| {
        let answer = match operation {
            "getHostname" => "ingest.example".to_owned(),
            "openChannel" => format!(r#"{{"next_continuation_token":"0","channel_status":{}}}"#, status("null")),
            "appendRows" => r#"{"next_continuation_token":"1"}"#.to_owned(),
            "bulkGetChannelStatus" => format!(r#"{{"channel_statuses":{{"c":{}}}}}"#, status("\"999\"")),
            _ => "a-token".to_owned(),
        };
        Some((200, answer))
    });
    let base = "https://account.example".parse().expect("an address");
    let account = Account::new(base, service).with_credentials(Secret::new("an-access-token"));
    let session = OpenSession::new(TokenType::ProgrammaticAccessToken).connect_lazy(account.config());
    for compression in [Compression::None, Compression::Zstd(1)] {
        let batches = BatchOptions::new().rows(1000).compression(compression);
        let goal = OpenWriter::new(&session, ChannelPath::new("D", "S", "P", "c")).batches(batches);
        let mut writer = goal.start(account.config(), account.seed());
        let mut next = || account.drive(&mut writer, ignore_notices).expect("no fault");
        assert_eq!(next(), WriterEvent::Opened { committed: None });
        let more = measure(|| {
            for number in 0..1000 {
                writer.push(&Row(number), Some(&number.to_string())).expect("room");
            }
            let committed = account.drive(&mut writer, ignore_notices).expect("no fault");
            assert_eq!(committed, WriterEvent::Committed { token: "999".to_owned(), batches: 1, rows: 1000 });
        });
        assert!(more.bytes_max > 50_000, "{compression:?}: {} bytes are less than the rows", more.bytes_max);
        assert!(more.bytes_current < 4096, "{compression:?}: {} bytes", more.bytes_current);
    }
}
