//! [`Sibling`]: an idle writer of another channel on the same status batcher. It also requests the status of the
//! others.

use pipewright::driver::Clock as _;
use pipewright::error::FlowError;
use pipewright::flow::{Config as FlowConfig, Exchange, Flow as _, Goal as _, Reply, Step};
use pipewright::snowpipe::session::Session;
use pipewright::snowpipe::{ChannelPath, OpenWriter, SnowpipeAccount, StatusBatcher, Writer};
use pipewright::{Secret, Seed, Timestamp};
use pipewright_mock::World;

/// See the module.
pub(crate) struct Sibling {
    writer: Writer,
    pub(crate) wake: Timestamp,
    reply: Option<Reply>,
    pub(crate) end: Option<FlowError>,
}

impl Sibling {
    pub(crate) fn new(
        number: u32,
        session: &Session,
        batcher: &StatusBatcher,
        config: &FlowConfig<SnowpipeAccount>,
        world: &World,
    ) -> Self {
        let path = ChannelPath::new("DB", "PUBLIC", "T-STREAMING", format!("idle-{number}"));
        let seed = Seed::new(u128::from(number) << 32 | 0x1d1e);
        let writer = OpenWriter::new(session, path).sharing(batcher).start(config, seed);
        Self { writer, wake: world.now(), reply: None, end: None }
    }

    /// Polls it until it waits for something, or for the answer to this exchange.
    pub(crate) fn turn(&mut self, now: Timestamp) -> Result<Option<Exchange>, String> {
        loop {
            match self.writer.poll(now, self.reply.take()) {
                Step::Send(exchange) => return Ok(Some(exchange)),
                Step::Authorize(request) => self.reply = Some(request.settle(Secret::new("pat").bearer())),
                Step::WaitUntil(until) | Step::InFlight { until } => {
                    self.wake = until.max(now + std::time::Duration::from_millis(1));
                    return Ok(None);
                }
                Step::Notice(_) | Step::Done(Ok(_)) => {}
                Step::Stray(_) => return Err("a reply was not taken".to_owned()),
                Step::Done(Err(error)) => {
                    self.end = Some(error);
                    return Ok(None);
                }
            }
        }
    }

    pub(crate) fn answer(&mut self, reply: Reply, now: Timestamp) {
        (self.reply, self.wake) = (Some(reply), now);
    }
}
