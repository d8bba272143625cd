//! [`Ureq`]: the transport, and its settings.

use std::fmt;
use std::time::Duration;

use ureq::Agent;
use ureq::config::AutoHeaderValue;
use ureq::typestate::AgentScope;
use ureq::unversioned::resolver::DefaultResolver;

use crate::connect;

/// Settings of a ureq agent, to be changed in [`Ureq::with_config`].
pub type ConfigBuilder = ureq::config::ConfigBuilder<AgentScope>;

/// A blocking runtime: it executes exchanges, tells the time, and draws random bits.
///
/// It is cheap to clone. Clones share their idle connections, and any number of threads can use them.
#[derive(Clone)]
pub struct Ureq {
    pub(crate) agent: Agent,
    pub(crate) idle_timeout: Option<Duration>,
}

impl Ureq {
    /// Creates a runtime with ureq's settings, except those that the [crate](crate#settings) lists.
    pub fn new() -> Self {
        Self::with_config(|config| config)
    }

    /// Creates a runtime with changed settings, such as roots of trust, a client certificate or a proxy.
    ///
    /// Settings that [the crate](crate#settings) lists as fixed cannot be changed.
    ///
    /// ```
    /// let runtime = pipewright_ureq::Ureq::with_config(|config| config.https_only(true).max_idle_connections(2));
    /// ```
    pub fn with_config(configure: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Self {
        let config = configure(Agent::config_builder().proxy(None))
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(AutoHeaderValue::None)
            .accept(AutoHeaderValue::None)
            .accept_encoding(AutoHeaderValue::None)
            // GET and DELETE with a body, and whatever method an operation has.
            .allow_non_standard_methods(true)
            // Each of these starts a thread for each request.
            .timeout_global(None)
            .timeout_per_call(None)
            .timeout_resolve(None)
            .build();
        Self { agent: connect::agent(config, DefaultResolver::default()), idle_timeout: None }
    }

    /// Sets how long a streaming body may stay silent before it ends with a timeout; without a limit by default.
    ///
    /// Without a limit, a silent server cannot be distinguished from a server that is gone. If a service sends
    /// something regularly, such as empty lines or chunks, set a few times that interval.
    pub fn with_idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.idle_timeout = timeout.into();
        self
    }
}

impl Default for Ureq {
    fn default() -> Self {
        Self::new()
    }
}

/// Without the settings: they may hold the password of a proxy.
impl fmt::Debug for Ureq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ureq").field("idle_timeout", &self.idle_timeout).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_show_the_password_of_a_proxy() {
        let proxy = ureq::Proxy::new("http://user:s3cret@proxy.invalid:3128").expect("a proxy");
        let runtime = Ureq::with_config(|config| config.proxy(Some(proxy)));
        assert_eq!(format!("{runtime:?}"), "Ureq { idle_timeout: None, .. }");
    }

    #[test]
    fn a_proxy_of_the_environment_is_not_asked() {
        let ours = |runtime: &Ureq| runtime.agent.config().proxy().is_some();
        assert!(!ours(&Ureq::new()));
        assert!(!ours(&Ureq::with_config(|config| config.https_only(true))));
    }
}
