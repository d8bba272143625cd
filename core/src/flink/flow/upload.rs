//! Uploads a jar so that its id is certain.
//!
//! ```text
//!  Upload ──▶ done
//!    └─ambiguous, or done without an id─────────▶ Find ──listed under our name──▶ done
//!                     └──not listed──▶ Upload, under another name
//! ```
//!
//! After an upload without an answer, the flow lists the jars before it uploads the jar again. The server puts a random
//! id in front of the file name. So the flow appends a random mark to the name, and recognizes its own jar by it.
//!
//! A jar that is on the cluster twice does no harm. So the flow repeats an upload up to ten times, and its error is
//! never ambiguous: no job was run.

use std::ops::ControlFlow;

use crate::body::Body;
use crate::error::{Applied, FlowError};
use crate::flink::jars::{ListJars, UploadJar};
use crate::flink::tuning::MAX_UPLOADS;
use crate::flink::{FlinkRest, JarId};
use crate::flow::{Call, FlowContext, StateMachine, Transition, done};

#[derive(Debug)]
pub(super) struct Upload {
    name: String,
    content: Body,
    /// The end of the file name of the current upload.
    mark: String,
    tries: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    Start,
    Upload(Call<UploadJar>),
    Find(Call<ListJars>, FlowError),
}

impl Upload {
    pub(super) fn new(name: String, content: Body) -> Self {
        Self { name, content, mark: String::new(), tries: 0, state: State::Start }
    }

    /// Returns the name with the mark. If the name does not end in `.jar`, the server rejects it.
    fn marked(&self) -> String {
        match self.name.strip_suffix(".jar") {
            Some(stem) => format!("{stem}{}", self.mark),
            None => self.name.clone(),
        }
    }
}

fn may_be_there(error: &FlowError) -> bool {
    error.is_ambiguous() || error.service().is_some_and(|rejection| rejection.applied() == Applied::Yes)
}

/// Returns why the upload failed, without the statement that its outcome is unknown.
fn cause(error: &FlowError) -> FlowError {
    match error {
        FlowError::Ambiguous(ambiguity) => (*ambiguity.cause).clone(),
        error => error.clone(),
    }
}

impl StateMachine for Upload {
    type Service = FlinkRest;
    type Output = JarId;
    const NAME: &'static str = "Upload";

    fn transition(&mut self, cx: &mut FlowContext<FlinkRest>) -> Transition<JarId> {
        match &mut self.state {
            State::Start => {
                self.tries += 1;
                self.mark = format!("-{:016x}.jar", cx.seed.next_u64());
                let upload = UploadJar::new(self.marked(), self.content.clone()).boundary(cx.seed.next_u128());
                self.state = State::Upload(cx.call(upload));
            }
            State::Upload(call) => match cx.poll(call)? {
                Ok(uploaded) => return done(Ok(uploaded.jar_id())),
                Err(error) if may_be_there(&error) => self.state = State::Find(cx.call(ListJars::new()), error),
                Err(error) => return done(Err(error)),
            },
            State::Find(call, error) => match cx.poll(call)? {
                // The server replaces some characters of a name, but no character of the mark.
                Ok(jars) => match jars.files.into_iter().find(|jar| jar.name.ends_with(&self.mark)) {
                    Some(jar) => return done(Ok(jar.id)),
                    None if self.tries < MAX_UPLOADS => self.state = State::Start,
                    None => return done(Err(cause(error))),
                },
                Err(_) => return done(Err(cause(error))),
            },
        }
        ControlFlow::Continue(())
    }
}
