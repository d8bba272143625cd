//! The measured cases, each with its floor or its peer.

pub(crate) mod batching;
pub(crate) mod building;
pub(crate) mod calling;
pub(crate) mod exchanging;
pub(crate) mod feldera;
pub(crate) mod parsing;
pub(crate) mod splitting;
pub(crate) mod writing;
