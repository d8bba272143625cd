// For the examples of the flows: a runtime whose answers are given, in order, each with its method and path.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

pub struct Scripted {
    answers: RefCell<VecDeque<(&'static str, u16, &'static str)>>,
    now: Cell<pipewright::Timestamp>,
}

impl Scripted {
    pub fn new<const N: usize>(answers: [(&'static str, u16, &'static str); N]) -> Self {
        let now = Cell::new(pipewright::Timestamp::from_millis(1_700_000_000_000));
        Self { answers: RefCell::new(answers.into()), now }
    }
}

impl pipewright::driver::Transport for Scripted {
    fn send(
        &self,
        exchange: &pipewright::flow::Exchange,
    ) -> Result<http::Response<bytes::Bytes>, pipewright::error::TransportError> {
        let (expected, status, body) = self.answers.borrow_mut().pop_front().expect("one more answer");
        let request = exchange.request();
        assert_eq!(format!("{} {}", request.method(), request.uri().path()), expected);
        let mut response = http::Response::new(body.into());
        *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
        Ok(response)
    }

    fn open(
        &self,
        _: &pipewright::flow::Exchange,
    ) -> Result<pipewright::driver::Opened, pipewright::error::TransportError> {
        unreachable!("nothing live here")
    }
}

impl pipewright::driver::Clock for Scripted {
    fn now(&self) -> pipewright::Timestamp {
        self.now.get()
    }

    fn sleep_until(&self, at: pipewright::Timestamp) {
        self.now.set(at.max(self.now.get()));
    }
}

impl pipewright::driver::Entropy for Scripted {
    fn bits(&self) -> u128 {
        7
    }
}
