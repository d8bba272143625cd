//! Reports flows to [tracing](https://docs.rs/tracing): a span for each flow, an event for each notice.
//!
//! ```no_run
//! use pipewright::flink::{Flink, JobId, TakeSavepoint};
//! use pipewright_ureq::{Ureq, trace};
//!
//! # fn example(job: JobId) -> Result<(), Box<dyn std::error::Error>> {
//! let flink = Flink::new("http://127.0.0.1:8081".parse()?, Ureq::new());
//! let savepoint = trace::run(&flink, TakeSavepoint::new(job))?;
//! # Ok(())
//! # }
//! ```
//!
//! | what | level | fields |
//! |---|---|---|
//! | the span `flow` | info | `service`, `goal` |
//! | a request is sent | debug | `operation`, `method`, `path`, `attempt` |
//! | a response came | debug | the same, `status`, `elapsed_ms` |
//! | an attempt failed, another follows | warn | the same without `status`, `error` |
//! | a phase begins, something was observed | info | |
//! | the flow has failed | error | `error` |
//!
//! Events have the path template instead of the path, and no headers and no bodies. A saved state is mentioned, but not
//! shown.

use pipewright::driver::{Client, Runtime};
use pipewright::error::FlowError;
use pipewright::flow::{Goal, Notice};
use pipewright::operation::Service;
use tracing::{debug, error, info, info_span, warn};

/// Runs a flow in a separate span, with an event for each notice. Does not save its states: to save them, use
/// [`Client::run_with`] and [`notice`].
///
/// # Errors
/// The errors of the flow.
pub fn run<S: Service, R: Runtime, G: Goal<Service = S>>(
    client: &Client<S, R>,
    goal: G,
) -> Result<G::Output, FlowError> {
    let name = std::any::type_name::<G>();
    let name = name.split('<').next().and_then(|path| path.rsplit("::").next()).unwrap_or(name);
    let _entered = info_span!("flow", service = S::NAME, goal = name).entered();
    let result = client.run_with(goal, |it| notice(&it));
    if let Err(problem) = &result {
        error!(error = %problem, "the flow has failed");
    }
    result
}

/// Records a notice as an event. Call it from your listener, for example in [`Client::call_with`].
pub fn notice(notice: &Notice) {
    match notice {
        Notice::Sending { operation, attempt, .. } => {
            debug!(operation = operation.name, method = %operation.method, path = operation.path, attempt, "sending");
        }
        Notice::Answered { operation, attempt, status, elapsed, .. } => {
            let (elapsed_ms, status) = (elapsed.as_secs_f64() * 1000.0, status.as_u16());
            debug!(
                operation = operation.name, method = %operation.method, path = operation.path,
                attempt, status, elapsed_ms,
                "answered"
            );
        }
        Notice::Retrying { operation, attempt, elapsed, cause, .. } => {
            let elapsed_ms = elapsed.as_secs_f64() * 1000.0;
            warn!(
                operation = operation.name, method = %operation.method, path = operation.path,
                attempt, elapsed_ms, error = %cause,
                "retrying"
            );
        }
        other => info!("{other}"),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::sync::{Arc, Mutex};

    use pipewright::driver::Canned;
    use pipewright::flink::{AwaitJob, Flink, JobId};
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    /// Writes spans and events down, one a line.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<String>>);

    struct Fields<'a>(&'a mut String);

    impl Visit for Fields<'_> {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            let _ = write!(self.0, " {field}={value:?}");
        }
    }

    impl Log {
        fn line(&self, begin: &str, record: impl FnOnce(&mut Fields<'_>)) {
            let mut text = self.0.lock().expect("no panic");
            text.push_str(begin);
            record(&mut Fields(&mut text));
            text.push('\n');
        }
    }

    impl Subscriber for Log {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target().starts_with("pipewright")
        }

        fn new_span(&self, span: &Attributes<'_>) -> Id {
            self.line(span.metadata().name(), |fields| span.record(fields));
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            self.line(event.metadata().level().as_str(), |fields| event.record(fields));
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn a_flow_has_a_span_and_each_attempt_an_event() {
        let job = JobId::from_bits(7);
        let runtime = Canned::new([
            ("GET /v1/jobs/00000000000000000000000000000007/status", 503, "starting"),
            ("GET /v1/jobs/00000000000000000000000000000007/status", 404, r#"{"errors":["gone"]}"#),
        ]);
        let flink = Flink::new("http://flink.test".parse().expect("a base"), runtime);
        let log = Log::default();
        tracing::subscriber::with_default(log.clone(), || super::run(&flink, AwaitJob::ended(job)).expect_err("gone"));
        let text = log.0.lock().expect("no panic").clone();
        let starts = |begin: &str| text.lines().any(|line| line.starts_with(begin));
        assert!(starts("flow service=\"flink\" goal=\"AwaitJob\""), "{text}");
        let get = "operation=\"getJobStatusInfo\" method=GET path=\"/jobs/{jobid}/status\"";
        assert!(starts(&format!("DEBUG message=sending {get} attempt=0")), "{text}");
        assert!(starts(&format!("WARN message=retrying {get} attempt=0 elapsed_ms=")), "{text}");
        assert!(starts(&format!("DEBUG message=answered {get} attempt=1 status=404 elapsed_ms=")), "{text}");
        assert!(starts("ERROR message=the flow has failed error="), "{text}");
    }
}
