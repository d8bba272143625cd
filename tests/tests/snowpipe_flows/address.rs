//! An account or an ingest host at a wrong address: the error comes within seconds, and not after an hour.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Response, StatusCode};
use pipewright::driver::{Clock, Entropy, Opened, Transport, ignore_notices};
use pipewright::error::{BuildError, Delivery, FlowError, TransportError, TransportErrorKind};
use pipewright::flow::{Exchange, Goal as _};
use pipewright::snowpipe::account::TokenType;
use pipewright::snowpipe::rows::Batch;
use pipewright::snowpipe::{Account, ChannelPath, OpenSession, OpenWriter, WriterEvent};
use pipewright::{Secret, Timestamp};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const KIND: TokenType = TokenType::ProgrammaticAccessToken;
const OPENED: &str = r#"{"next_continuation_token":"0_1","channel_status":{"database_name":"DB","schema_name":"S",
    "pipe_name":"T-STREAMING","channel_name":"c","channel_status_code":"SUCCESS","last_committed_offset_token":null}}"#;

type Answer = Result<(u16, &'static str), TransportErrorKind>;

/// An account that is well, and an ingest host that answers like this.
struct Site<F> {
    ingest: &'static str,
    answer: RefCell<F>,
    now: Cell<Timestamp>,
    sent: RefCell<Vec<&'static str>>,
}

impl<F: FnMut(&str) -> Answer> Site<F> {
    fn new(ingest: &'static str, answer: F) -> Self {
        let (answer, now) = (RefCell::new(answer), Cell::new(NOW));
        Self { ingest, answer, now, sent: RefCell::default() }
    }

    fn elapsed(&self) -> Duration {
        self.now.get().since(NOW)
    }
}

impl<F: FnMut(&str) -> Answer> Transport for &Site<F> {
    fn send(&self, exchange: &Exchange) -> Result<Response<Bytes>, TransportError> {
        let name = exchange.info().name;
        self.sent.borrow_mut().push(name);
        let (status, body) = match name {
            "getHostname" => (200, self.ingest.to_owned()),
            "exchangeToken" => {
                let end = (self.now.get() + Duration::from_secs(3600)).as_millis() / 1000;
                (200, format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{end}}}"#))))
            }
            name => match (self.answer.borrow_mut())(name) {
                Ok((status, body)) => (status, body.to_owned()),
                Err(kind) => return Err(TransportError::new(kind, Delivery::NotSent, "it did not work")),
            },
        };
        let mut response = Response::new(body.into());
        *response.status_mut() = StatusCode::from_u16(status).expect("a status");
        Ok(response)
    }

    fn open(&self, _: &Exchange) -> Result<Opened, TransportError> {
        unreachable!("nothing live here")
    }
}

impl<F> Clock for &Site<F> {
    fn now(&self) -> Timestamp {
        self.now.get()
    }

    fn sleep_until(&self, at: Timestamp) {
        self.now.set(self.now.get().max(at));
    }
}

impl<F> Entropy for &Site<F> {
    fn bits(&self) -> u128 {
        7
    }
}

fn account<F: FnMut(&str) -> Answer>(site: &Site<F>) -> Account<&Site<F>> {
    Account::new("http://127.0.0.1:8085".parse().expect("a base"), site).with_credentials(Secret::new("pat"))
}

/// Opens a channel, sends a row, and continues until it is committed or the writer ends.
fn write<F: FnMut(&str) -> Answer>(site: &Site<F>, options: OpenSession) -> Result<(), FlowError> {
    let account = account(site);
    let session = account.run(options)?;
    let path = ChannelPath::of_table("DB", "S", "T", "c");
    let mut writer = OpenWriter::new(&session, path).start(account.config(), account.seed());
    loop {
        match account.drive(&mut writer, ignore_notices)? {
            WriterEvent::Opened { .. } => writer.append(Batch::new("{\"N\":1}\n", 1, "1", "1")).expect("room"),
            WriterEvent::Committed { .. } => return Ok(()),
            _ => {}
        }
    }
}

#[test]
fn a_simulators_ingest_host_without_permission_for_plain_http_is_said_at_once() {
    for ingest in ["127.0.0.1:8085", "localhost:9", "[::1]:9"] {
        let site = Site::new(ingest, |_| panic!("nothing goes to the ingest host"));
        let error = write(&site, OpenSession::new(KIND)).expect_err("it would be https");
        assert!(matches!(error, FlowError::Build(BuildError::Base { .. })), "{error:?}");
        assert!(error.to_string().contains("OpenSession::allow_plaintext_loopback"), "{error}");
        assert_eq!((&**site.sent.borrow(), site.elapsed()), (&["getHostname"][..], Duration::ZERO));
    }
}

#[test]
fn an_ingest_host_that_refuses_connections_ends_a_writer_within_seconds() {
    for kind in [TransportErrorKind::Connect, TransportErrorKind::Resolve] {
        let site = Site::new("127.0.0.1:9", move |_| Err(kind));
        let error = write(&site, OpenSession::new(KIND).allow_plaintext_loopback()).expect_err("no server");
        assert!(error.to_string().contains("nothing has answered at this address yet"), "{error}");
        assert!(site.elapsed() < Duration::from_secs(30), "{:?}", site.elapsed());
    }
}

#[test]
fn an_ingest_host_without_tls_ends_a_writer_at_once() {
    let site = Site::new("ingest.example", |_| Err(TransportErrorKind::Tls));
    let error = write(&site, OpenSession::new(KIND)).expect_err("no TLS");
    assert!(matches!(&error, FlowError::Transport(error) if error.kind() == TransportErrorKind::Tls), "{error:?}");
    assert_eq!(site.elapsed(), Duration::ZERO);
}

#[test]
fn an_ingest_host_that_is_another_server_ends_a_writer_within_minutes() {
    for (status, body) in [
        (404, "<html>no such site</html>"),
        (502, "<html>no such site</html>"),
        // The JSON of gateways.
        (404, r#"{"message":"no Route matched with those values"}"#),
        (503, r#"{"code":"ServiceUnavailable","message":"no healthy upstream"}"#),
    ] {
        let site = Site::new("ingest.example", move |_| Ok((status, body)));
        assert!(write(&site, OpenSession::new(KIND)).is_err());
        assert!(site.elapsed() < Duration::from_secs(300), "{body}: {:?}", site.elapsed());
    }
}

#[test]
fn an_account_that_nobody_listens_at_fails_within_seconds() {
    let site = Site::new("ingest.example", |_| panic!("not asked"));
    let base = "http://127.0.0.1:1".parse().expect("a base");
    let account = Account::new(base, Rejecting(&site)).with_credentials(Secret::new("pat"));
    let error = account.run(OpenSession::new(KIND)).expect_err("no server");
    assert!(error.to_string().contains("nothing has answered at this address yet"), "{error}");
    assert!(site.elapsed() < Duration::from_secs(7), "{:?}", site.elapsed());
}

/// A host that has answered may be gone for as long as the writer's retry timeout lasts.
#[test]
fn a_host_that_has_answered_once_is_waited_for() {
    let is_open = Cell::new(false);
    let site = Site::new("ingest.example", |name| match name {
        "openChannel" if !is_open.replace(true) => Ok((200, OPENED)),
        _ => Err(TransportErrorKind::Tls),
    });
    assert!(write(&site, OpenSession::new(KIND)).is_err());
    assert!(site.elapsed() >= Duration::from_secs(3600), "{:?}", site.elapsed());
}

/// Refuses every connection.
struct Rejecting<'a, T>(&'a T);

impl<F: FnMut(&str) -> Answer> Transport for Rejecting<'_, Site<F>> {
    fn send(&self, _: &Exchange) -> Result<Response<Bytes>, TransportError> {
        Err(TransportError::new(TransportErrorKind::Connect, Delivery::NotSent, "refused"))
    }

    fn open(&self, _: &Exchange) -> Result<Opened, TransportError> {
        unreachable!("nothing live here")
    }
}

impl<F> Clock for Rejecting<'_, Site<F>> {
    fn now(&self) -> Timestamp {
        self.0.now.get()
    }

    fn sleep_until(&self, at: Timestamp) {
        self.0.sleep_until(at);
    }
}

impl<F> Entropy for Rejecting<'_, Site<F>> {
    fn bits(&self) -> u128 {
        7
    }
}
