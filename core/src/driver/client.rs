//! [`Client`]: a handle on a service.

use std::fmt;
use std::sync::Arc;

use super::{
    Credentials, DrivenFlow, Entropy, ListenerResult, NoCredentials, Runtime, Stream, ignore_notices, open, run,
    run_until,
};
use crate::error::FlowError;
use crate::flow::{Call, Config, Flow, Goal, Notice};
use crate::operation::{Operation, ServerVersion, Service};
use crate::seed::Seed;
use crate::time::Timestamp;
use crate::url::Base;

/// A client for a service: its address, a blocking [`Runtime`], and credentials.
///
/// A clone shares the credentials. It is cheap if cloning the runtime is. Each service has an alias, such as
/// [`flink::Flink`](crate::flink::Flink). An operation of another service does not compile:
///
/// ```compile_fail,E0271
/// # fn other(client: &pipewright::driver::Client<Other, impl pipewright::driver::Runtime>) {
/// client.call(pipewright::flink::cluster::GetOverview::new());
/// # }
/// # struct Other;
/// # impl pipewright::operation::Service for Other {
/// #     const NAME: &'static str = "other";
/// #     fn parse_error(
/// #         info: &'static pipewright::operation::OperationInfo,
/// #         response: &http::Response<bytes::Bytes>,
/// #     ) -> pipewright::error::ServiceError {
/// #         pipewright::error::ServiceError::foreign(info, response)
/// #     }
/// # }
/// ```
pub struct Client<S, R> {
    config: Config<S>,
    runtime: R,
    credentials: Arc<dyn Credentials + Send + Sync>,
}

impl<S: Service, R> Client<S, R> {
    /// Creates a client for the service at an address, without credentials.
    pub fn new(base: Base, runtime: R) -> Self {
        Self::with_config(Config::new(base), runtime)
    }

    /// Creates a client with a configuration, without credentials.
    pub fn with_config(config: Config<S>, runtime: R) -> Self {
        Self { config, runtime, credentials: Arc::new(NoCredentials) }
    }

    /// Sets the credentials. A [`Secret`](crate::Secret) is a bearer token.
    pub fn with_credentials(mut self, credentials: impl Credentials + Send + Sync + 'static) -> Self {
        self.config = self.config.with_credentials();
        self.credentials = Arc::new(credentials);
        self
    }

    /// Sets the version of the server: see [`Config::with_server_version`].
    pub fn with_server_version(mut self, version: ServerVersion) -> Self {
        self.config = self.config.with_server_version(version);
        self
    }

    /// Returns the configuration.
    pub fn config(&self) -> &Config<S> {
        &self.config
    }

    /// Returns the runtime.
    pub fn runtime(&self) -> &R {
        &self.runtime
    }

    /// Draws a seed for a flow.
    pub fn seed(&self) -> Seed
    where
        R: Entropy,
    {
        Seed::new(self.runtime.bits())
    }
}

impl<S: Service, R: Runtime> Client<S, R> {
    /// Calls one operation, with retries. Ignores its notices.
    ///
    /// # Errors
    /// The error of the call.
    pub fn call<O: Operation<Service = S>>(&self, operation: O) -> Result<O::Output, FlowError> {
        self.call_with(operation, ignore_notices)
    }

    /// Calls one operation, with retries, and gives each notice to `on_notice`.
    ///
    /// # Errors
    /// The error of the call; [`FlowError::Stopped`] if the listener returns an error.
    pub fn call_with<O: Operation<Service = S>, H: ListenerResult>(
        &self,
        operation: O,
        on_notice: impl FnMut(Notice) -> H,
    ) -> Result<O::Output, FlowError> {
        run(Call::new(operation, &self.config, self.seed()), &self.runtime, &*self.credentials, on_notice)
    }

    /// Calls a streaming operation, with retries until the head of the response arrives. Ignores its notices.
    ///
    /// # Errors
    /// The error of the call.
    pub fn open<O: Operation<Service = S>>(&self, operation: O) -> Result<Stream<O::Output>, FlowError> {
        self.open_with(operation, ignore_notices)
    }

    /// Calls a streaming operation, with retries until the head of the response arrives, and gives each notice to
    /// `on_notice`.
    ///
    /// # Errors
    /// The error of the call; [`FlowError::Stopped`] if the listener returns an error.
    pub fn open_with<O: Operation<Service = S>, H: ListenerResult>(
        &self,
        operation: O,
        on_notice: impl FnMut(Notice) -> H,
    ) -> Result<Stream<O::Output>, FlowError> {
        open(Call::new(operation, &self.config, self.seed()), &self.runtime, &*self.credentials, on_notice)
    }

    /// Runs a flow to its result; an event flow to its first event. Ignores its notices, including states to save.
    ///
    /// # Errors
    /// The error of the flow.
    pub fn run<G: Goal<Service = S>>(&self, goal: G) -> Result<G::Output, FlowError> {
        self.run_with(goal, ignore_notices)
    }

    /// Runs a flow to its result, and gives each notice to `on_notice`. A listener that returns an error stops the
    /// flow, see [`ListenerResult`].
    ///
    /// # Errors
    /// The error of the flow; [`FlowError::Stopped`] if the listener returns an error.
    pub fn run_with<G: Goal<Service = S>, H: ListenerResult>(
        &self,
        goal: G,
        on_notice: impl FnMut(Notice) -> H,
    ) -> Result<G::Output, FlowError> {
        self.drive(&mut goal.start(&self.config, self.seed()), on_notice)
    }

    /// Starts an event flow, to be driven from event to event with this client. Ignores its notices, including states
    /// to save.
    pub fn start<G: Goal<Service = S>>(&self, goal: G) -> DrivenFlow<'_, G::Flow, R> {
        self.start_with(goal, ignore_notices)
    }

    /// Starts an event flow, to be driven from event to event with this client, and gives each notice to `on_notice`. A
    /// listener that returns an error stops the flow, see [`ListenerResult`].
    pub fn start_with<G: Goal<Service = S>, L: FnMut(Notice) -> H, H: ListenerResult>(
        &self,
        goal: G,
        on_notice: L,
    ) -> DrivenFlow<'_, G::Flow, R, L> {
        let flow = goal.start(&self.config, self.seed());
        DrivenFlow::new(flow, &self.runtime, &*self.credentials, on_notice)
    }

    /// Continues a flow that was started before, to its result; an event flow to its next event.
    ///
    /// # Errors
    /// The error of the flow; [`FlowError::Stopped`] if the listener returns an error.
    pub fn drive<F: Flow, H: ListenerResult>(
        &self,
        flow: &mut F,
        on_notice: impl FnMut(Notice) -> H,
    ) -> Result<F::Output, FlowError> {
        run(flow, &self.runtime, &*self.credentials, on_notice)
    }

    /// Continues a flow until it has a result or an event. Returns `None` if it has nothing to do before `until`: see
    /// [`run_until`].
    ///
    /// # Errors
    /// The error of the flow; [`FlowError::Stopped`] if the listener returns an error.
    pub fn drive_until<F: Flow, H: ListenerResult>(
        &self,
        flow: &mut F,
        until: Timestamp,
        on_notice: impl FnMut(Notice) -> H,
    ) -> Result<Option<F::Output>, FlowError> {
        run_until(flow, until, &self.runtime, &*self.credentials, on_notice)
    }

    /// Continues a flow without sleeping: it waits only for answers. Returns `None` if there is no result or event yet.
    /// Use it for event flows that have got new work.
    ///
    /// # Errors
    /// The error of the flow; [`FlowError::Stopped`] if the listener returns an error.
    pub fn drive_ready<F: Flow, H: ListenerResult>(
        &self,
        flow: &mut F,
        on_notice: impl FnMut(Notice) -> H,
    ) -> Result<Option<F::Output>, FlowError> {
        self.drive_until(flow, Timestamp::UNIX_EPOCH, on_notice)
    }
}

impl<S, R: Clone> Clone for Client<S, R> {
    fn clone(&self) -> Self {
        Self { config: self.config.clone(), runtime: self.runtime.clone(), credentials: Arc::clone(&self.credentials) }
    }
}

impl<S: Service, R> fmt::Debug for Client<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("config", &self.config).finish_non_exhaustive()
    }
}
