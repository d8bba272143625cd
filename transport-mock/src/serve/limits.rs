//! The limits of each service for the head of a request.

use super::head::{HEAD, HEADERS};

/// The limits of a service. Longer heads are rejected: see `Site::unreadable` and `Site::head_too_large`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The greatest length of a request line, in bytes.
    pub(super) line: usize,
    /// The greatest number of headers, at most [`HEADERS`].
    pub(super) headers: usize,
    /// The greatest length of a head with its request line, in bytes.
    pub(super) head: usize,
    /// How many bytes of headers are read. The service ignores the other headers, and serves the request.
    pub(super) read: Option<usize>,
    /// Whether a request line may end with a bare line feed, and may contain scheme and host.
    pub(super) is_lenient: bool,
}

/// Measured on Flink 2.3.0, whose server is Netty. It serves 20,000 headers and 512 KiB of them, and reads the first
/// 8 KiB.
const NETTY: Limits = Limits { line: 4096, headers: HEADERS, head: 1 << 20, read: Some(8192), is_lenient: false };

/// The limits of actix-web, which Feldera uses. Queries are part of request lines; `http` accepts no longer address.
const ACTIX: Limits = Limits { line: 65_534 + 32, headers: 96, head: 128 << 10, read: None, is_lenient: true };

/// Wide limits, for services whose limits are not known, and for a proxy.
pub(super) const WIDE: Limits = Limits { line: HEAD, headers: HEADERS, head: HEAD, read: None, is_lenient: true };

impl Limits {
    pub(super) fn of(service: &str) -> Self {
        match service {
            "flink" | "flink-sql-gateway" => NETTY,
            "feldera" => ACTIX,
            _ => WIDE,
        }
    }
}
