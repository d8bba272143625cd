//! Answers that do not tell the outcome of the request, or tell it wrongly: for example, a proxy sends an append twice
//! and passes on the second answer.

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{Response, StatusCode};
use pipewright::Seed;

use super::schedule::{one_in, small};

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Strange {
    status: u16,
    /// The service has carried the request out.
    pub(crate) applied: bool,
    /// Of an edge, or with a text that might be the service's own.
    body: &'static str,
    /// `Retry-After`, in seconds.
    retry_after: Option<u32>,
}

/// A rejection with an unknown code.
const OF_TOMORROW: &str = r#"{"code":"A_CODE_OF_TOMORROW","message":"m"}"#;

impl Strange {
    pub(crate) fn draw(seed: &mut Seed) -> Self {
        let pick = |seed: &mut Seed, from: u64| usize::try_from(seed.below(from)).expect("small");
        let redirection = [301, 302, 303, 307, 308][pick(seed, 5)];
        let bodies = ["", "<html>", r#"{"message":"m"}"#, OF_TOMORROW];
        let status = [redirection, 408, 499][pick(seed, 3)];
        Self { status, applied: one_in(seed, 2), body: bodies[pick(seed, 4)], retry_after: None }
    }

    /// The service asks to be left alone for longer than the writer's retry timeout.
    pub(crate) fn much_later(seed: &mut Seed) -> Self {
        let status = if one_in(seed, 2) { 429 } else { 503 };
        let retry_after = Some(small(seed, 3600, 100_000));
        Self { status, applied: false, body: "", retry_after }
    }

    /// The service asks to be left alone for longer than a short retry timeout, and for less than is waited for.
    pub(crate) fn later(seed: &mut Seed) -> Self {
        let status = if one_in(seed, 2) { 429 } else { 503 };
        Self { status, applied: false, body: "", retry_after: Some(small(seed, 110, 290)) }
    }

    /// A fault that no call repeats.
    pub(crate) fn moved() -> Self {
        Self { status: 302, applied: false, body: "", retry_after: None }
    }

    /// In place of the answer to an append.
    pub(crate) fn to_append(seed: &mut Seed) -> Self {
        let pick = |seed: &mut Seed, from: u64| usize::try_from(seed.below(from)).expect("small");
        let out_of_order = r#"{"code":"ERR_CHANNEL_HAS_INVALID_ROW_SEQUENCER","message":"m"}"#;
        let (status, applied, body) =
            [(400, false, OF_TOMORROW), (400, true, OF_TOMORROW), (400, true, out_of_order), (409, true, OF_TOMORROW)]
                [pick(seed, 4)];
        Self { status, applied, body, retry_after: None }
    }

    /// Whether it can be the answer to this.
    pub(crate) fn fits(self, operation: &str) -> bool {
        !matches!(self.status, 400 | 409) || operation == "appendRows"
    }

    /// How many refusals of tokens it stands for, until it is believed.
    pub(crate) fn rejections(self) -> u32 {
        if self.status == 400 { 2 } else { 0 }
    }

    /// As the coverage has it.
    pub(crate) fn name(self) -> &'static str {
        match (self.status, self.applied) {
            (429 | 503, _) => "come again in hours",
            (400, false) => "400, unknown",
            (400, true) => "400, carried out",
            (409, _) => "409, carried out",
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
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}
