//! [`RequestId`].

use std::fmt;

use crate::url::Parameter;

/// The id of a request in the service's logs: a random UUID ([RFC 9562
/// §5.4](https://www.rfc-editor.org/rfc/rfc9562#section-5.4)).
///
/// A repeated attempt has the same id. The service does not promise to carry a request out only once because of its id.
///
/// ```
/// use pipewright::snowpipe::RequestId;
/// assert_eq!(RequestId::from_bits(7).to_string(), "00000000-0000-4000-8000-000000000007");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(u128);

impl RequestId {
    /// Creates an id from random bits, and sets the version and the variant.
    pub const fn from_bits(bits: u128) -> Self {
        let bits = bits & !(0xf << 76) & !(0x3 << 62);
        Self(bits | 0x4 << 76 | 0x2 << 62)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(bits) = *self;
        let part = |shift: u32, mask: u128| bits >> shift & mask;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            part(96, 0xffff_ffff),
            part(80, 0xffff),
            part(64, 0xffff),
            part(48, 0xffff),
            part(0, 0xffff_ffff_ffff)
        )
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({self})")
    }
}

impl Parameter for RequestId {}
