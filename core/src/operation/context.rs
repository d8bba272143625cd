//! [`RequestContext`]: the destination of a request.

use super::{ServerVersion, Service};
use crate::url::Base;

/// What a request needs besides the operation: the base address, the number of the attempt, and the server's version if
/// it is known.
#[derive(Clone, Copy, Debug)]
pub struct RequestContext<'a> {
    base: &'a Base,
    attempt: u32,
    server_version: Option<ServerVersion>,
    /// The prefix of another service than the operation's, and whether it decodes twice.
    paths: Option<(&'static str, bool)>,
}

impl<'a> RequestContext<'a> {
    /// Returns the context of the first attempt at a base address.
    pub fn new(base: &'a Base) -> Self {
        Self { base, attempt: 0, server_version: None, paths: None }
    }

    /// Sets the number of the attempt, counted from 0.
    pub fn with_attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// Sets the version of the server. Some operations write settings as that version reads them.
    pub fn with_server_version(mut self, version: impl Into<Option<ServerVersion>>) -> Self {
        self.server_version = version.into();
        self
    }

    /// Builds paths as service `S` reads them: with its [`PREFIX`](Service::PREFIX) and
    /// [`DECODES_TWICE`](Service::DECODES_TWICE), and not with the values of the operation's own service. Use it for a
    /// server that serves operations of another service.
    pub fn with_paths_of<S: Service>(mut self) -> Self {
        self.paths = Some((S::PREFIX, S::DECODES_TWICE));
        self
    }

    /// Returns the path between the base address and the template.
    pub(super) fn prefix<S: Service>(&self) -> &'static str {
        self.paths.map_or(S::PREFIX, |(prefix, _)| prefix)
    }

    /// Returns whether the server percent-decodes path segments twice.
    pub(super) fn decodes_twice<S: Service>(&self) -> bool {
        self.paths.map_or(S::DECODES_TWICE, |(_, twice)| twice)
    }

    /// Returns the address of the service.
    pub fn base(&self) -> &'a Base {
        self.base
    }

    /// Returns the version of the server, or `None` if it is not known.
    pub fn server_version(&self) -> Option<ServerVersion> {
        self.server_version
    }

    /// Returns the number of earlier attempts.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }
}
