//! A runtime whose answers a function computes from the request. Use it for flows with many requests.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use bytes::Bytes;
use http::{Response, header};
use pipewright::Timestamp;
use pipewright::driver::{Clock, Entropy, Opened, Transport};
use pipewright::error::{Delivery, TransportError, TransportErrorKind};
use pipewright::flow::Exchange;
use pipewright_mock::START;

use crate::har;

/// Transport, clock and entropy in one. The function takes the vendor's name of the operation and the target. It
/// returns the status and JSON, or `None` for a lost answer. Each exchange takes a millisecond.
pub struct Recorded<F> {
    now: Cell<Timestamp>,
    answer: RefCell<F>,
    /// The operation that is never answered.
    hangs: Option<&'static str>,
}

impl<F> std::fmt::Debug for Recorded<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorded").field("now", &self.now.get()).finish_non_exhaustive()
    }
}

impl<F: FnMut(&str, &str) -> Option<(u16, String)>> Recorded<F> {
    /// A service that answers so.
    pub fn new(answer: F) -> Self {
        Self { now: Cell::new(START), answer: RefCell::new(answer), hangs: None }
    }

    /// Never answers this operation: each attempt takes as long as it may.
    #[must_use]
    pub fn hanging(mut self, operation: &'static str) -> Self {
        self.hangs = Some(operation);
        self
    }
}

impl<F: FnMut(&str, &str) -> Option<(u16, String)>> Transport for Recorded<F> {
    fn send(&self, exchange: &Exchange) -> Result<Response<Bytes>, TransportError> {
        if self.hangs == Some(exchange.info().name) {
            self.now.set(self.now.get() + exchange.timeout());
            return Err(TransportError::new(TransportErrorKind::Timeout, Delivery::Unknown, "no answer in time"));
        }
        self.now.set(self.now.get() + std::time::Duration::from_millis(1));
        let target = exchange.request().uri().path_and_query().map_or("", |target| target.as_str());
        let answer = (self.answer.borrow_mut())(exchange.info().name, target);
        let lost = || TransportError::new(TransportErrorKind::Closed, Delivery::Unknown, "lost");
        answer.map(|(status, json)| response(status, json)).ok_or_else(lost)
    }

    fn open(&self, _exchange: &Exchange) -> Result<Opened, TransportError> {
        Err(TransportError::new(TransportErrorKind::Unsupported, Delivery::NotSent, "nothing live here"))
    }
}

impl<F> Clock for Recorded<F> {
    fn now(&self) -> Timestamp {
        self.now.get()
    }

    fn sleep_until(&self, at: Timestamp) {
        self.now.set(self.now.get().max(at));
    }
}

impl<F> Entropy for Recorded<F> {
    fn bits(&self) -> u128 {
        0
    }
}

fn response(status: u16, json: String) -> Response<Bytes> {
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/json")
        .body(json.into())
        .expect("a response")
}

/// What a recorded Feldera answered.
///
/// # Panics
/// When there is no recording of the name.
pub fn feldera(name: &str) -> (u16, String) {
    static ANSWERS: LazyLock<BTreeMap<String, (u16, String)>> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/feldera");
        let entries =
            har::read_folder(&folder).expect("the fixtures").into_iter().flat_map(|recording| recording.entries);
        let answers = entries.map(|entry| {
            let body = String::from_utf8_lossy(entry.response.body()).into_owned();
            (entry.name, (entry.response.status().as_u16(), body))
        });
        answers.collect()
    });
    ANSWERS.get(name).unwrap_or_else(|| panic!("no recording {name}")).clone()
}
