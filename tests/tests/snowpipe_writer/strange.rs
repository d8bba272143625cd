//! Answers in place of the service's that do not say what became of the request.

use bytes::Bytes;
use http::{Response, StatusCode};
use pipewright::Seed;

use super::schedule::one_in;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Strange {
    status: u16,
    /// The service has carried the request out.
    pub(crate) applied: bool,
    /// Of an edge, or in words that might be the service's own.
    body: &'static str,
}

impl Strange {
    pub(crate) fn draw(seed: &mut Seed) -> Self {
        let pick = |seed: &mut Seed, from: u64| usize::try_from(seed.below(from)).expect("small");
        let redirection = [301, 302, 303, 307, 308][pick(seed, 5)];
        let bodies = ["", "<html>", r#"{"message":"m"}"#, r#"{"code":"A_CODE_OF_TOMORROW","message":"m"}"#];
        Self { status: [redirection, 408, 499][pick(seed, 3)], applied: one_in(seed, 2), body: bodies[pick(seed, 4)] }
    }

    /// As the tally has it.
    pub(crate) fn name(self) -> &'static str {
        match (self.status, self.applied) {
            (408, false) => "408",
            (408, true) => "408, carried out",
            (499, false) => "499",
            (499, true) => "499, carried out",
            (_, false) => "3xx",
            (_, true) => "3xx, carried out",
        }
    }

    pub(crate) fn response(self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from_static(self.body.as_bytes()));
        *response.status_mut() = StatusCode::from_u16(self.status).expect("a status");
        response
    }
}
