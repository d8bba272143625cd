//! Bodies without an end: egress, logs, time series.
//!
//! A reader of egress gets records as steps complete. 100 of them are kept for it: what does not fit is numbered and
//! discarded, or, with backpressure, not even begun, and then the whole pipeline stands still. After 3 s of silence
//! comes a record that says nothing. When the process ends, so does the body, properly and without a message.
//!
//! Since 0.375 a log can be resumed after a cursor: the headers of the answer tell where it starts and how many lines
//! are lost, and its body has lines of the log only. Without a cursor, the end of the log is told in a line of its own.
//!
//! As a real server does, it accepts the update format `debezium` and then drops all rows: only the pipeline's log
//! tells.

use std::collections::BTreeMap;
use std::time::Duration;

use pipewright::Timestamp;
use serde_json::json;

use super::errors::{Answer, Rejection, Reply};
use super::log::{self, Cursor};
use super::pipeline::Pipeline;
use super::process::Process;
use super::release::Release;
use super::request::Call;
use super::store::Store;
use super::subscriber::Subscriber;
use super::wire::{lines, millis};
use crate::streaming::{Coming, OpenBody};

/// Between two samples of a time series.
const SECOND: Duration = Duration::from_secs(1);

/// What a client is reading.
#[derive(Debug)]
struct Reading {
    /// Id of the pipeline.
    pipeline: String,
    what: What,
}

#[derive(Debug)]
enum What {
    /// Of this process, as this subscriber.
    Egress(String, u64),
    /// Of this epoch, after so many lines; `notices` if lines of the server about the log itself come too.
    Logs { epoch: String, read: u64, notices: bool },
    /// Nothing any more.
    Ended,
    /// Of this process: when the next sample is due.
    TimeSeries(String, Duration),
}

/// The bodies that are being read.
#[derive(Debug, Default)]
pub(super) struct Readings {
    open: BTreeMap<OpenBody, Reading>,
    opened: u64,
}

impl Readings {
    /// Leaves a body open for a subscriber of a pipeline.
    pub(super) fn egress(&mut self, pipeline: String, process: &mut Process, subscriber: Subscriber) -> Reply {
        let number = process.subscribers.subscribe(subscriber);
        let first = process.subscribers.get(number).map(Subscriber::take).unwrap_or_default();
        let what = What::Egress(process.incarnation.clone(), number);
        Reply::streaming("application/json", first, self.begin(Reading { pipeline, what }))
    }

    /// From the beginning, or after a cursor.
    pub(super) fn logs(&mut self, store: &mut Store, call: &Call, name: &str) -> Answer {
        let has_cursors = store.config.release >= Release::V0_375;
        let cursor = call.query("cursor").filter(|_| has_cursors);
        let ends = has_cursors && call.flag("follow")? == Some(false);
        let pipeline = store.find(name)?;
        let (id, epoch) = (pipeline.id.clone(), pipeline.log.epoch.clone());
        let Some(cursor) = cursor else {
            let (first, read) = pipeline.log.all();
            if ends {
                return Ok(Reply::text("text/plain", first));
            }
            let what = What::Logs { epoch, read, notices: true };
            return Ok(Reply::streaming("text/plain", first, self.begin(Reading { pipeline: id, what })));
        };
        if ends {
            return Err(log::invalid(cursor, "it cannot be combined with `follow=false`"));
        }
        let wanted = if cursor.is_empty() { None } else { Some(Cursor::parse(cursor)?) };
        let (sequence, gap) = pipeline.log.resume(wanted);
        let (first, read) = pipeline.log.since(sequence).unwrap_or_default();
        let what = What::Logs { epoch: epoch.clone(), read, notices: false };
        let reply = Reply::streaming("text/plain", first, self.begin(Reading { pipeline: id, what }));
        let reply =
            reply.with_header("feldera-logs-epoch", epoch).with_header("feldera-logs-seq", sequence.to_string());
        Ok(reply.with_header("feldera-logs-gap", gap.to_string()))
    }

    pub(super) fn time_series(&mut self, store: &mut Store, name: &str) -> Answer {
        let now = store.now;
        let pipeline = store.running(name)?;
        let Some(process) = &pipeline.process else { return Err(Rejection::unknown_route()) };
        let (samples, next) = process.progress.samples(now);
        let what = What::TimeSeries(process.incarnation.clone(), next);
        let body = self.begin(Reading { pipeline: pipeline.id.clone(), what });
        Ok(Reply::streaming("application/x-ndjson", lines(samples.iter()), body))
    }

    fn begin(&mut self, reading: Reading) -> OpenBody {
        self.opened += 1;
        let body = OpenBody(self.opened);
        self.open.insert(body, reading);
        body
    }

    /// What comes next of a body.
    pub(super) fn read(&mut self, store: &mut Store, body: OpenBody) -> Coming {
        let Some(reading) = self.open.get_mut(&body) else { return Coming::End };
        let pipeline = store.pipelines.iter_mut().find(|pipeline| pipeline.id == reading.pipeline);
        match pipeline.and_then(|pipeline| next(store.now, pipeline, &mut reading.what)) {
            Some(Next::Text(text)) => Coming::Bytes(text.into()),
            Some(Next::At(Some(at))) => Coming::Later(Timestamp::from_unix(at)),
            Some(Next::At(None)) => Coming::Idle,
            None if matches!(reading.what, What::Logs { notices: true, .. }) => {
                reading.what = What::Ended;
                Coming::Bytes("Logs have ended\n".into())
            }
            None => {
                self.close(store, body);
                Coming::End
            }
        }
    }

    /// Ends a body: its reader is gone.
    pub(super) fn close(&mut self, store: &mut Store, body: OpenBody) {
        let Some(Reading { pipeline, what: What::Egress(incarnation, number) }) = self.open.remove(&body) else {
            return;
        };
        let pipeline = store.pipelines.iter_mut().find(|other| other.id == pipeline);
        if let Some(process) = pipeline.and_then(|pipeline| pipeline.process.as_mut())
            && process.incarnation == incarnation
        {
            process.subscribers.remove(number);
            process.resume(store.now);
        }
    }

    /// Ends all bodies.
    pub(super) fn close_all(&mut self, store: &mut Store) {
        while let Some(body) = self.open.keys().next().copied() {
            self.close(store, body);
        }
    }
}

pub(super) fn time_series(store: &mut Store, name: &str) -> Answer {
    let now = store.now;
    let process = store.process(name)?;
    Ok(Reply::json(json!({ "now": millis(now), "samples": process.progress.samples(now).0 })))
}

enum Next {
    Text(String),
    At(Option<Duration>),
}

/// What comes next of a pipeline; `None` is the end.
fn next(now: Duration, pipeline: &mut Pipeline, what: &mut What) -> Option<Next> {
    let due = pipeline.next_due();
    match what {
        What::Ended => None,
        What::Logs { epoch, read, .. } => {
            // One that is too slow is dropped.
            let (text, total) = pipeline.log.since(*read).filter(|_| pipeline.log.epoch == *epoch)?;
            *read = total;
            Some(if text.is_empty() { Next::At(due) } else { Next::Text(text) })
        }
        What::Egress(incarnation, number) => {
            let is_well = pipeline.trouble.is_none();
            let process = pipeline.process.as_mut().filter(|process| process.incarnation == *incarnation)?;
            let subscriber = process.subscribers.get(*number)?;
            // A process that hangs or is gone does not say so.
            if !is_well {
                return Some(Next::At(due));
            }
            subscriber.beat(now);
            let text = subscriber.take();
            let beat = subscriber.next_beat();
            if text.is_empty() {
                return Some(Next::At(Some(due.map_or(beat, |due| due.min(beat)))));
            }
            process.resume(now);
            Some(Next::Text(text))
        }
        What::TimeSeries(incarnation, next) => {
            let process = pipeline.process.as_ref().filter(|process| process.incarnation == *incarnation)?;
            let mut samples = Vec::new();
            while *next <= now {
                samples.push(process.progress.sample(*next));
                *next = next.saturating_add(SECOND);
            }
            Some(if samples.is_empty() {
                Next::At(Some(due.map_or(*next, |due| due.min(*next))))
            } else {
                Next::Text(lines(samples.iter()))
            })
        }
    }
}
