//! The flows of a session.

mod call;
mod open;
mod renew;
mod run;
mod token_wait;

pub use self::call::{OperationGoal, SessionCall};
pub use self::open::OpenSession;
pub use self::renew::Renewal;
pub use self::run::SessionRun;
pub(crate) use self::token_wait::TokenWait;
