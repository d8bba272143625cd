//! [`Client`]: a service in one value.

use std::fmt;

use super::{Clock, Credentials, Entropy, ListenerResult, NoCredentials, Stream, Transport, open, run, run_until};
use crate::error::FlowError;
use crate::flow::{Call, Config, Flow, Goal, Notice};
use crate::operation::{Operation, Service};
use crate::seed::Seed;
use crate::time::Timestamp;
use crate::url::Base;

/// A service: its address, a blocking runtime (transport, clock and entropy in one value), credentials.
///
/// Each service has an alias, such as [`flink::Flink`](crate::flink::Flink). An operation of another service does
/// not compile:
///
/// ```compile_fail,E0271
/// # fn other<T>(handle: &pipewright::driver::Client<Other, T>)
/// # where T: pipewright::driver::Transport + pipewright::driver::Clock + pipewright::driver::Entropy {
/// # enum Never {}
/// handle.call(pipewright::flink::GetOverview::new());
/// # }
/// # struct Other;
/// # impl pipewright::operation::Service for Other {
/// #     const NAME: &'static str = "other";
/// #     fn parse_error(info: &'static pipewright::operation::OperationInfo, response: &http::Response<bytes::Bytes>) -> pipewright::error::ServiceError {
/// #         pipewright::error::ServiceError::foreign(info, response)
/// #     }
/// # }
/// ```
pub struct Client<S, T> {
    config: Config<S>,
    runtime: T,
    credentials: Box<dyn Credentials + Send + Sync>,
}

impl<S: Service, T: Transport + Clock + Entropy> Client<S, T> {
    /// A service at an address, without credentials.
    pub fn new(base: Base, runtime: T) -> Self {
        Self::with_config(Config::new(base), runtime)
    }

    /// A service with a config of one's own.
    pub fn with_config(config: Config<S>, runtime: T) -> Self {
        Self { config, runtime, credentials: Box::new(NoCredentials) }
    }

    /// Asks these credentials before the first request of each flow. A [`Secret`](crate::Secret) is a bearer token.
    pub fn with_credentials(mut self, credentials: impl Credentials + Send + Sync + 'static) -> Self {
        self.config = self.config.with_credentials();
        self.credentials = Box::new(credentials);
        self
    }

    /// Address, headers, patience.
    pub fn config(&self) -> &Config<S> {
        &self.config
    }

    /// The transport.
    pub fn runtime(&self) -> &T {
        &self.runtime
    }

    /// A seed for a flow.
    pub fn seed(&self) -> Seed {
        Seed::new(self.runtime.bits())
    }

    /// Carries one operation through.
    ///
    /// # Errors
    /// The call's.
    pub fn call<O: Operation<Service = S>>(&self, operation: O) -> Result<O::Output, FlowError> {
        let call = Call::new(operation, &self.config, self.seed());
        run(call, &self.runtime, &*self.credentials, drop)
    }

    /// Carries one operation with a live body through, up to its first byte.
    ///
    /// # Errors
    /// The call's.
    pub fn open<O: Operation<Service = S>>(&self, operation: O) -> Result<Stream<O::Output>, FlowError> {
        let call = Call::new(operation, &self.config, self.seed());
        open(call, &self.runtime, &*self.credentials, drop)
    }

    /// Runs a flow to its end.
    ///
    /// # Errors
    /// The flow's.
    pub fn run<G: Goal<Service = S>>(&self, goal: G) -> Result<G::Output, FlowError> {
        self.run_with(goal, drop)
    }

    /// Runs a flow to its end and shows its notices on the way. A listener that returns an error stops it, see [`ListenerResult`].
    ///
    /// # Errors
    /// The flow's.
    pub fn run_with<G: Goal<Service = S>, H: ListenerResult>(
        &self,
        goal: G,
        on_notice: impl FnMut(Notice) -> H,
    ) -> Result<G::Output, FlowError> {
        run(goal.start(&self.config, self.seed()), &self.runtime, &*self.credentials, on_notice)
    }
}

impl<S: Service, T: Transport + Clock> Client<S, T> {
    /// Goes on with a flow that was started already, to its end; with a session, to its next event.
    ///
    /// # Errors
    /// The flow's.
    pub fn drive<F: Flow, H: ListenerResult>(
        &self,
        flow: F,
        on_notice: impl FnMut(Notice) -> H,
    ) -> Result<F::Output, FlowError> {
        run(flow, &self.runtime, &*self.credentials, on_notice)
    }

    /// Goes on with a flow until it has a result, or has nothing to do before `until`: `None`. See [`run_until`].
    ///
    /// # Errors
    /// The flow's.
    pub fn drive_until<F: Flow, H: ListenerResult>(
        &self,
        flow: &mut F,
        until: Timestamp,
        on_notice: impl FnMut(Notice) -> H,
    ) -> Result<Option<F::Output>, FlowError> {
        run_until(flow, until, &self.runtime, &*self.credentials, on_notice)
    }

    /// Does what a flow has to do now, and waits for nothing but answers: `None` when there is no result yet. For sessions, after
    /// they were given work.
    ///
    /// # Errors
    /// The flow's.
    pub fn drive_ready<F: Flow, H: ListenerResult>(
        &self,
        flow: &mut F,
        on_notice: impl FnMut(Notice) -> H,
    ) -> Result<Option<F::Output>, FlowError> {
        self.drive_until(flow, Timestamp::UNIX_EPOCH, on_notice)
    }
}

impl<S: Service, T> fmt::Debug for Client<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("config", &self.config).finish_non_exhaustive()
    }
}
